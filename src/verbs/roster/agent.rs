//! Agents: persons who take calls.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Listed, Resource, ResourceKind, Roster, Unfit, is_list, unfit_label, unfit_tags};

/// Most addresses of one agent.
const MOST_ADDRESSES: usize = 10;

/// A person who takes calls.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Agent {
    /// By which flows and queues name it: letters, digits, `.`, `_`, `-`, no dot at the beginning. Empty in one that is
    /// being made: it gets one.
    #[serde(default)]
    #[schema(max_length = 64, pattern = "^([A-Za-z0-9_-][A-Za-z0-9._-]*)?$")]
    pub id: String,
    /// What people call it.
    #[serde(default)]
    #[schema(max_length = 200)]
    pub name: String,
    /// What is to be known about it.
    #[serde(default)]
    #[schema(max_length = 10000)]
    pub notes: String,
    /// What rings: numbers, users of phones, `sip:`, `sips:` or `tel:` addresses; 1 to 10, each once.
    #[schema(min_items = 1, max_items = 10)]
    pub addresses: Vec<String>,
    /// True: the addresses ring one after another; else all at once.
    #[serde(default)]
    pub in_turn: bool,
    /// What it is good at; queues with tags take agents that share one.
    #[serde(default)]
    #[schema(max_items = 50)]
    pub tags: Vec<String>,
}

/// As `call:dial` takes it, in ASCII.
fn is_address(text: &str) -> bool {
    let of = |scheme: &str| {
        let start = text.get(..scheme.len()).filter(|start| start.eq_ignore_ascii_case(scheme));
        start.is_some() && text.len() > scheme.len()
    };
    let number = text.len() <= 64 && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.+*#".contains(c));
    let printed = text.len() <= 500 && text.chars().all(|c| c.is_ascii_graphic() && !"<>\"".contains(c));
    !text.is_empty() && (number || printed && ["sip:", "sips:", "tel:"].into_iter().any(of))
}

impl Listed for Agent {
    const KIND: ResourceKind = ResourceKind::Agent;

    fn id(&self) -> &str {
        &self.id
    }

    fn with_id(self, id: String) -> Agent {
        Agent { id, ..self }
    }

    fn unfit(&self) -> Option<Unfit> {
        unfit_label(&self.id, &self.name, &self.notes).or_else(|| unfit_tags(&self.tags)).or_else(|| {
            let fits = !self.addresses.is_empty() && is_list(&self.addresses, MOST_ADDRESSES, is_address);
            (!fits).then_some(("addresses", "1 to 10 numbers or sip:, sips:, tel: addresses, each once"))
        })
    }

    fn of(roster: &Roster) -> &BTreeMap<String, Agent> {
        &roster.agents
    }

    fn into_resource(self) -> Resource {
        Resource::Agent(self)
    }
}
