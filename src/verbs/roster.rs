//! Where callers wait, and who takes them: queues, agents, AI agents. They stand in the configuration or are made by the
//! API; flows find each by its id.

mod agent;
mod ai_agent;
mod queue;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Serialize, de::DeserializeOwned};

pub use agent::Agent;
pub use ai_agent::AiAgent;
pub use queue::Queue;

/// Longest id, and longest tag, in characters.
const LONGEST_ID: usize = 64;
/// Longest name for people, in characters.
const LONGEST_NAME: usize = 200;
/// Longest notes, in characters.
const LONGEST_NOTES: usize = 10_000;
/// Most tags of one.
const MOST_TAGS: usize = 50;

/// What kind of thing is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResourceKind {
    /// Where callers wait.
    Queue,
    /// A person who takes calls.
    Agent,
    /// A program that talks to callers.
    AiAgent,
}

impl ResourceKind {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            ResourceKind::Queue => "queue",
            ResourceKind::Agent => "agent",
            ResourceKind::AiAgent => "ai_agent",
        }
    }
}

/// One of them, of whichever kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resource {
    /// Where callers wait.
    Queue(Queue),
    /// A person who takes calls.
    Agent(Agent),
    /// A program that talks to callers.
    AiAgent(AiAgent),
}

/// What does not fit in an entry: its field, and what is allowed there.
pub type Unfit = (&'static str, &'static str);

/// What the three kinds have in common.
pub trait Listed: Clone + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// Which kind this is.
    const KIND: ResourceKind;

    /// By which flows name it.
    fn id(&self) -> &str;

    /// The same under this id.
    fn with_id(self, id: String) -> Self;

    /// The first thing in it that does not fit; none: all does.
    fn unfit(&self) -> Option<Unfit>;

    /// The agents that it names.
    fn agents(&self) -> &[String] {
        &[]
    }

    /// The script that it names; empty: none.
    fn script(&self) -> &str {
        ""
    }

    /// Those of its kind in the configuration, by id.
    fn of(roster: &Roster) -> &BTreeMap<String, Self>;

    /// As one of whichever kind.
    fn into_resource(self) -> Resource;
}

/// All that stands in the configuration, by id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roster {
    /// Where callers wait.
    pub queues: BTreeMap<String, Queue>,
    /// Persons who take calls.
    pub agents: BTreeMap<String, Agent>,
    /// Programs that talk to callers.
    pub ai_agents: BTreeMap<String, AiAgent>,
}

impl Roster {
    /// The one of this kind and id.
    pub fn find(&self, kind: ResourceKind, id: &str) -> Option<Resource> {
        match kind {
            ResourceKind::Queue => self.queues.get(id).cloned().map(Resource::Queue),
            ResourceKind::Agent => self.agents.get(id).cloned().map(Resource::Agent),
            ResourceKind::AiAgent => self.ai_agents.get(id).cloned().map(Resource::AiAgent),
        }
    }
}

/// Can something be named so? Without a dot at its beginning, so that it stands in a path for what it is.
fn is_id(id: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    (1..=LONGEST_ID).contains(&id.len()) && id.chars().all(fits) && !id.starts_with('.')
}

fn is_line(text: &str, most: usize) -> bool {
    text.chars().count() <= most && !text.contains(char::is_control)
}

/// PostgreSQL knows no text with a NUL in it.
fn is_text(text: &str, most: usize) -> bool {
    text.chars().count() <= most && !text.contains('\0')
}

/// Each once.
fn is_list(list: &[String], most: usize, fits: impl Fn(&str) -> bool) -> bool {
    let once = |at: usize| !list[..at].contains(&list[at]);
    list.len() <= most && (0..list.len()).all(|at| fits(&list[at]) && once(at))
}

/// A path of a script, below the folder of scripts.
fn is_script(path: &str) -> bool {
    let part = |part: &str| !part.is_empty() && !part.starts_with('.') && !part.contains(char::is_control);
    path.chars().count() <= 200 && path.split('/').all(part)
}

/// The first of these that is not so.
fn first<const N: usize>(rules: [(bool, Unfit); N]) -> Option<Unfit> {
    rules.into_iter().find_map(|(fits, unfit)| (!fits).then_some(unfit))
}

/// What all kinds have: id, name, notes.
fn unfit_label(id: &str, name: &str, notes: &str) -> Option<Unfit> {
    first([
        (is_id(id), ("id", "1 to 64 letters, digits, . _ -, with no dot at the beginning")),
        (is_line(name, LONGEST_NAME), ("name", "up to 200 characters in one line")),
        (is_text(notes, LONGEST_NOTES), ("notes", "up to 10,000 characters")),
    ])
}

fn unfit_tags(tags: &[String]) -> Option<Unfit> {
    let fits = is_list(tags, MOST_TAGS, |tag| !tag.is_empty() && is_line(tag, LONGEST_ID));
    (!fits).then_some(("tags", "up to 50 words of up to 64 characters, each once"))
}
