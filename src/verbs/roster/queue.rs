//! Queues: where callers wait until an agent takes them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Listed, Resource, ResourceKind, Roster, Unfit, first, is_id, is_list, is_script, unfit_label, unfit_tags};

/// Most agents of one queue.
const MOST_AGENTS: usize = 1000;
/// Longest limit: a day.
const LONGEST_S: u32 = 86_400;

/// Where callers wait until an agent takes them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Queue {
    /// By which flows name it: letters, digits, `.`, `_`, `-`, no dot at the beginning. Empty in one that is being made:
    /// it gets one.
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
    /// The agents that take its callers, by their ids, each once; empty: all whom the tags fit.
    #[serde(default)]
    #[schema(max_items = 1000)]
    pub agents: Vec<String>,
    /// Only agents with at least one of these take its callers; empty: all of `agents`.
    #[serde(default)]
    #[schema(max_items = 50)]
    pub tags: Vec<String>,
    /// The script that callers hear while they wait, below the folder of scripts; empty: none of its own.
    #[serde(default)]
    #[schema(max_length = 200)]
    pub wait_script: String,
    /// How long a caller may wait, in seconds; 0: as long as it likes.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 86400)]
    pub wait_limit_s: u32,
    /// How long caller and agent may talk, in seconds; 0: as long as they like.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 86400)]
    pub talk_limit_s: u32,
}

impl Listed for Queue {
    const KIND: ResourceKind = ResourceKind::Queue;

    fn id(&self) -> &str {
        &self.id
    }

    fn with_id(self, id: String) -> Queue {
        Queue { id, ..self }
    }

    fn unfit(&self) -> Option<Unfit> {
        let script = self.wait_script.is_empty() || is_script(&self.wait_script);
        unfit_label(&self.id, &self.name, &self.notes).or_else(|| unfit_tags(&self.tags)).or_else(|| {
            first([
                (is_list(&self.agents, MOST_AGENTS, is_id), ("agents", "ids of up to 1,000 agents, each once")),
                (script, ("wait_script", "a path below the folder of scripts, or empty")),
                (self.wait_limit_s <= LONGEST_S, ("wait_limit_s", "0 to 86400")),
                (self.talk_limit_s <= LONGEST_S, ("talk_limit_s", "0 to 86400")),
            ])
        })
    }

    fn agents(&self) -> &[String] {
        &self.agents
    }

    fn script(&self) -> &str {
        &self.wait_script
    }

    fn of(roster: &Roster) -> &BTreeMap<String, Queue> {
        &roster.queues
    }

    fn into_resource(self) -> Resource {
        Resource::Queue(self)
    }
}
