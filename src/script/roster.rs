//! `queues`, `agents`, `ai_agents`: where callers wait, and who takes them.

use mlua::{IntoLua, Lua, Table, Value};

use super::{
    args::{Given, Refusal},
    ask::{Arguments, Asked, Want},
    vm::Step,
};
use crate::verbs::{Agent, AiAgent, KeepOp, Queue, Resource, ResourceKind};

/// Functions of each of the three lists.
pub(super) const OF_ROSTER: [&str; 1] = ["get"];
/// Longest id, in bytes.
const LONGEST: usize = 200;

/// Which list a function belongs to; none: it belongs to another part.
pub(super) fn kind(function: &str) -> Option<ResourceKind> {
    match function.split_once('.')?.0 {
        "queues" => Some(ResourceKind::Queue),
        "agents" => Some(ResourceKind::Agent),
        "ai_agents" => Some(ResourceKind::AiAgent),
        _ => None,
    }
}

/// `queues.get(id)`, and the same of the other lists.
pub(super) fn get(function: &str, kind: ResourceKind, given: &Arguments) -> Result<Asked, Refusal> {
    let id = Given::argument(function, "the id", &given.own).text(LONGEST)?;
    Ok(Asked { step: Step::Keep(KeepOp::Resource { kind, id }), want: Want::Plain })
}

/// What a script gets: a table, or nil.
pub(super) fn resource(lua: &Lua, resource: Option<Box<Resource>>) -> mlua::Result<Value> {
    let Some(resource) = resource else { return Ok(Value::Nil) };
    let table = lua.create_table()?;
    match *resource {
        Resource::Queue(one) => queue(&table, one)?,
        Resource::Agent(one) => agent(&table, one)?,
        Resource::AiAgent(one) => ai_agent(lua, &table, one)?,
    }
    table.into_lua(lua)
}

fn label(table: &Table, id: String, name: String, notes: String) -> mlua::Result<()> {
    table.raw_set("id", id)?;
    table.raw_set("name", name)?;
    table.raw_set("notes", notes)
}

fn queue(table: &Table, queue: Queue) -> mlua::Result<()> {
    label(table, queue.id, queue.name, queue.notes)?;
    table.raw_set("agents", queue.agents)?;
    table.raw_set("tags", queue.tags)?;
    // What is not there is nil, for a script as for people.
    table.raw_set("wait_script", Some(queue.wait_script).filter(|script| !script.is_empty()))?;
    table.raw_set("wait_limit", Some(queue.wait_limit_s).filter(|limit| *limit > 0))?;
    table.raw_set("talk_limit", Some(queue.talk_limit_s).filter(|limit| *limit > 0))
}

fn agent(table: &Table, agent: Agent) -> mlua::Result<()> {
    label(table, agent.id, agent.name, agent.notes)?;
    table.raw_set("addresses", agent.addresses)?;
    table.raw_set("strategy", if agent.in_turn { "in_turn" } else { "all" })?;
    table.raw_set("tags", agent.tags)
}

/// Without its key: a script has no use for that, and may write down what it gets.
fn ai_agent(lua: &Lua, table: &Table, agent: AiAgent) -> mlua::Result<()> {
    label(table, agent.id, agent.name, agent.notes)?;
    table.raw_set("model", agent.model)?;
    table.raw_set("prompt", agent.prompt)?;
    table.raw_set("parameters", lua.create_table_from(agent.parameters)?)?;
    table.raw_set("tts", agent.tts)?;
    table.raw_set("voice", agent.voice)?;
    table.raw_set("stt", agent.stt)?;
    table.raw_set("language", agent.language)?;
    table.raw_set("tools", agent.tools)
}
