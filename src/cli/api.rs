//! Commands that ask a running server by its API.

use std::{
    io::BufRead,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use super::ask::Access;

/// What to show or do.
#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    /// Calls: those that go on; with --all, those that are over, too.
    Calls {
        /// Also calls that are over, the newest first.
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        access: Access,
    },
    /// End a call.
    Hangup {
        /// The call's id.
        id: String,
        #[command(flatten)]
        access: Access,
    },
    /// Numbers, and the flows that answer them.
    Flows {
        #[command(flatten)]
        access: Access,
    },
    /// Carriers, and how they stand.
    Trunks {
        #[command(flatten)]
        access: Access,
    },
    /// Conference rooms, how many are in them, and their recordings that run.
    Rooms {
        #[command(flatten)]
        access: Access,
    },
    /// Registered phones.
    Phones {
        #[command(flatten)]
        access: Access,
    },
    /// Web servers that are told events, and how far each is.
    Webhooks {
        #[command(flatten)]
        access: Access,
    },
    /// Queues, and the agents that take their callers.
    Queues {
        #[command(flatten)]
        access: Access,
    },
    /// Persons who take calls, and what rings.
    Agents {
        #[command(flatten)]
        access: Access,
    },
    /// Programs that talk to callers.
    AiAgents {
        #[command(flatten)]
        access: Access,
    },
    /// Recordings of calls that are over, the newest first.
    Recordings {
        #[command(flatten)]
        access: Access,
    },
    /// What was done by the API, and by whom, the newest first.
    Audit {
        #[command(flatten)]
        access: Access,
    },
    /// Keep a new version of a flow, and put it into service.
    Publish {
        /// The text: Lua.
        text: PathBuf,
        /// The flow, by its path below the folder of scripts; else the file's own name.
        #[arg(long, value_name = "NAME")]
        flow: Option<String>,
        /// What is to be said about this version.
        #[arg(long, default_value = "")]
        note: String,
        #[command(flatten)]
        access: Access,
    },
    /// Versions of flows, and which are in service.
    Versions {
        #[command(flatten)]
        access: Access,
    },
    /// Read the configuration again, and tell what changes.
    Reload {
        /// Only tell what would change.
        #[arg(long)]
        plan: bool,
        #[command(flatten)]
        access: Access,
    },
    /// Events as they happen, one JSON object a line.
    Events {
        #[command(flatten)]
        access: Access,
    },
}

impl Verb {
    /// Do it.
    pub fn run(self) -> Result<(), String> {
        match self {
            Verb::Calls { all, access } => show_calls(&access, all)?,
            Verb::Hangup { id, access } => {
                if !id.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')) {
                    return Err(format!("{id}: no call has such an id"));
                }
                access.ask("POST", &format!("/v1/calls/{id}/hangup"))?;
            }
            Verb::Flows { access } => access.show(&access.list("/v1/numbers")?, &["number", "script"]),
            Verb::Trunks { access } => {
                let columns = ["name", "calls", "max_calls", "registered", "expires_s", "down"];
                access.show(&access.list("/v1/trunks")?, &columns);
            }
            Verb::Rooms { access } => {
                access.show(&access.list("/v1/rooms")?, &["room", "members", "recordings"]);
            }
            Verb::Phones { access } => {
                let columns = ["user", "contact", "source", "agent", "expires_s", "silent", "calls"];
                access.show(&access.list("/v1/phones")?, &columns);
            }
            Verb::Webhooks { access } => {
                let columns = ["name", "url", "kinds", "numbers", "waiting", "trouble"];
                access.show(&access.list("/v1/webhooks")?, &columns);
            }
            Verb::Queues { access } => {
                let columns = ["id", "name", "agents", "tags", "wait_limit_s", "fixed"];
                access.show(&access.list("/v1/queues")?, &columns);
            }
            Verb::Agents { access } => {
                access.show(&access.list("/v1/agents")?, &["id", "name", "addresses", "in_turn", "tags", "fixed"]);
            }
            Verb::AiAgents { access } => {
                access.show(&access.list("/v1/ai-agents")?, &["id", "name", "model", "language", "tools", "fixed"]);
            }
            Verb::Recordings { access } => {
                let found = access.pages("/v1/recordings?limit=500", "recordings")?;
                access.show(&found, &["id", "call", "from", "to", "file", "erased_ms"]);
            }
            Verb::Audit { access } => {
                let found = access.pages("/v1/audit?limit=500", "entries")?;
                access.show(&found, &["at_ms", "who", "what", "about", "outcome"]);
            }
            Verb::Publish { text, flow, note, access } => publish(&access, &text, flow, &note)?,
            Verb::Versions { access } => {
                access.show(&access.list("/v1/flows")?, &["flow", "newest", "active"]);
            }
            Verb::Reload { plan, access } => reload(&access, plan)?,
            Verb::Events { access } => {
                for line in access.connect("GET", "/v1/events", "")?.lines() {
                    let line = line.map_err(|error| error.to_string())?;
                    if let Some(event) = line.strip_prefix("data: ") {
                        println!("{event}");
                    }
                }
            }
        }
        Ok(())
    }
}

fn reload(access: &Access, plan: bool) -> Result<(), String> {
    let done = access.say("POST", "/v1/reload", &json!({"only_plan": plan}).to_string())?;
    let changes = done["changes"].as_array().map_or(&[][..], Vec::as_slice);
    changes.iter().filter_map(Value::as_str).for_each(|line| println!("{line}"));
    let what = if plan { "would be" } else { "reloaded:" };
    println!("{what} {} changes", changes.len());
    Ok(())
}

fn show_calls(access: &Access, all: bool) -> Result<(), String> {
    let path = if all { "/v1/calls?limit=500" } else { "/v1/calls?live=true&limit=500" };
    let mut columns = vec!["id", "direction", "from", "to", "trunk", "script", "status"];
    columns.extend(all.then_some("end_reason"));
    columns.extend(["quality.mos", "quality.lost", "quality.jitter_ms", "quality.round_trip_ms"]);
    access.show(&access.pages(path, "calls")?, &columns);
    Ok(())
}

fn publish(access: &Access, text: &Path, flow: Option<String>, note: &str) -> Result<(), String> {
    let own = || text.file_name().map(|name| name.to_string_lossy().into_owned());
    let flow = flow.or_else(own).ok_or("the flow needs a name: --flow")?;
    let text = std::fs::read_to_string(text).map_err(|error| format!("{}: {error}", text.display()))?;
    let path = format!("/v1/flows/{}", escaped(&flow));
    let kept = access.say("POST", &format!("{path}/versions"), &json!({"text": text, "note": note}).to_string())?;
    let which = json!({"version": kept["version"]}).to_string();
    let active = access.say("POST", &format!("{path}/activate"), &which)?;
    println!("version {} of {flow} is in service", active["version"]);
    Ok(())
}

/// As one part of a path (RFC 3986 section 2.1).
fn escaped(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_a_slash_is_one_part_of_a_path() {
        assert_eq!(escaped("shop/menu 2.lua"), "shop%2Fmenu%202.lua");
    }
}
