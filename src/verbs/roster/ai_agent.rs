//! AI agents: programs that talk to callers, and what they are to know.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Listed, Resource, ResourceKind, Roster, Unfit, first, is_id, is_line, is_list, is_text, unfit_label};

/// Most tools of one.
const MOST_TOOLS: usize = 50;
/// Most parameters of one.
const MOST_PARAMETERS: usize = 100;

/// A program that talks to callers.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AiAgent {
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
    /// The language model, such as `openai.gpt-4o`.
    #[serde(default)]
    #[schema(max_length = 200)]
    pub model: String,
    /// The key to the model's service. It is kept, and shown to nobody. Absent in a change: as it is; empty: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 500)]
    pub key: Option<String>,
    /// What the model is told before anything is said.
    #[serde(default)]
    #[schema(max_length = 10000)]
    pub prompt: String,
    /// What else the model's service is told, by name.
    #[serde(default)]
    pub parameters: BTreeMap<String, String>,
    /// What makes speech of its text; empty: the server's own.
    #[serde(default)]
    #[schema(max_length = 64)]
    pub tts: String,
    /// Whose voice; empty: the usual one.
    #[serde(default)]
    #[schema(max_length = 200)]
    pub voice: String,
    /// What makes text of the caller's speech; empty: the server's own.
    #[serde(default)]
    #[schema(max_length = 64)]
    pub stt: String,
    /// The language that is spoken, such as `en-US` (BCP 47); empty: found out.
    #[serde(default)]
    #[schema(max_length = 35, pattern = "^([A-Za-z0-9]+(-[A-Za-z0-9]+)*)?$")]
    pub language: String,
    /// What the model may do by itself, each once: names of tools, or `all`.
    #[serde(default)]
    #[schema(max_items = 50)]
    pub tools: Vec<String>,
}

/// There is a key in it.
impl fmt::Debug for AiAgent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AiAgent").field("id", &self.id).field("model", &self.model).finish_non_exhaustive()
    }
}

fn is_language(tag: &str) -> bool {
    let part = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric());
    tag.is_empty() || tag.len() <= 35 && tag.split('-').all(part)
}

impl AiAgent {
    fn are_parameters_fit(&self) -> bool {
        let fits = |(name, value): (&String, &String)| is_text(name, 256) && is_text(value, 8192);
        self.parameters.len() <= MOST_PARAMETERS && self.parameters.iter().all(fits)
    }
}

impl Listed for AiAgent {
    const KIND: ResourceKind = ResourceKind::AiAgent;

    fn id(&self) -> &str {
        &self.id
    }

    fn with_id(self, id: String) -> AiAgent {
        AiAgent { id, ..self }
    }

    fn unfit(&self) -> Option<Unfit> {
        let key = self.key.as_deref().unwrap_or_default();
        unfit_label(&self.id, &self.name, &self.notes).or_else(|| {
            first([
                (is_line(&self.model, 200), ("model", "up to 200 characters in one line")),
                (is_line(key, 500), ("key", "up to 500 characters in one line")),
                (is_text(&self.prompt, 10_000), ("prompt", "up to 10,000 characters")),
                (self.are_parameters_fit(), ("parameters", "up to 100, of 8,192 characters each")),
                (is_line(&self.tts, 64), ("tts", "up to 64 characters in one line")),
                (is_line(&self.voice, 200), ("voice", "up to 200 characters in one line")),
                (is_line(&self.stt, 64), ("stt", "up to 64 characters in one line")),
                (is_language(&self.language), ("language", "a language such as en-US, or empty")),
                (is_list(&self.tools, MOST_TOOLS, is_id), ("tools", "up to 50 names of tools, each once")),
            ])
        })
    }

    fn of(roster: &Roster) -> &BTreeMap<String, AiAgent> {
        &roster.ai_agents
    }

    fn into_resource(self) -> Resource {
        Resource::AiAgent(self)
    }
}
