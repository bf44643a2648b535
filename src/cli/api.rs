//! Commands that ask a running server by its API.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
};

use serde_json::Value;

use crate::{
    conf::Conf,
    io::clock::Clock,
    server,
    store::{Scope, Store},
    time::Time,
};

/// Where the API is, and the key to it.
#[derive(Debug, clap::Args)]
pub struct Access {
    /// Address and port of the API; else SWITCHHOOK_API, else 127.0.0.1:8088.
    #[arg(long, value_name = "ADDRESS")]
    api: Option<String>,
    /// Key to the API; else SWITCHHOOK_KEY. Other users of this machine see what stands here.
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// JSON instead of a table.
    #[arg(long)]
    json: bool,
}

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
    /// Registered phones.
    Phones {
        #[command(flatten)]
        access: Access,
    },
    /// Events as they happen, one JSON object a line.
    Events {
        #[command(flatten)]
        access: Access,
    },
}

impl Access {
    fn connect(&self, method: &str, path: &str) -> Result<BufReader<TcpStream>, String> {
        let named = |given: &Option<String>, variable: &str| given.clone().or_else(|| std::env::var(variable).ok());
        let at = named(&self.api, "SWITCHHOOK_API").unwrap_or_else(|| "127.0.0.1:8088".into());
        let key = named(&self.key, "SWITCHHOOK_KEY").ok_or("a key is wanted: --key, or SWITCHHOOK_KEY")?;
        if key.contains(char::is_control) {
            return Err("the key has characters that no key has".into());
        }
        let fault = |error: std::io::Error| format!("{at}: {error}");
        let mut stream = TcpStream::connect(&at).map_err(fault)?;
        // The older version: the answer ends with the connection, and comes in one piece.
        let ask = format!(
            "{method} {path} HTTP/1.0\r\nHost: {at}\r\nAuthorization: Bearer {key}\r\nContent-Length: 0\r\n\r\n"
        );
        stream.write_all(ask.as_bytes()).map_err(fault)?;
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        reader.read_line(&mut line).map_err(fault)?;
        let good = line.split(' ').nth(1).is_some_and(|code| code.starts_with('2'));
        while !line.trim().is_empty() {
            line.clear();
            reader.read_line(&mut line).map_err(fault)?;
        }
        if good { Ok(reader) } else { Err(complaint(reader)) }
    }

    fn ask(&self, method: &str, path: &str) -> Result<Value, String> {
        let mut text = String::new();
        self.connect(method, path)?.read_to_string(&mut text).map_err(|error| error.to_string())?;
        serde_json::from_str(&text).map_err(|error| format!("this is not the API of a switchhook: {error}"))
    }

    fn show(&self, rows: &Value, columns: &[&str]) {
        if self.json {
            println!("{rows}");
            return;
        }
        print!("{}", table(rows.as_array().map_or(&[], Vec::as_slice), columns));
    }
}

/// What the problem document says.
fn complaint(mut reader: impl Read) -> String {
    let mut text = String::new();
    // What did not come is not told.
    let _ = reader.read_to_string(&mut text);
    let problem: Value = serde_json::from_str(&text).unwrap_or_default();
    match (problem["title"].as_str(), problem["detail"].as_str()) {
        (Some(title), Some(detail)) => format!("{title}: {detail}"),
        _ => "the server refused, and did not say why".to_owned(),
    }
}

/// Columns as wide as what is in them.
fn table(rows: &[Value], columns: &[&str]) -> String {
    let cell = |row: &Value, column: &str| match &row[column] {
        Value::Null => "-".to_owned(),
        // What a peer said must not steer the terminal.
        Value::String(text) => text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect(),
        other => other.to_string(),
    };
    let mut lines: Vec<Vec<String>> = vec![columns.iter().map(|column| column.to_uppercase()).collect()];
    lines.extend(rows.iter().map(|row| columns.iter().map(|column| cell(row, column)).collect()));
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let show = |line: &Vec<String>| {
        let cells = line.iter().zip(&widths).map(|(text, width)| format!("{text:width$}"));
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    lines.iter().map(show).collect()
}

impl Verb {
    /// Do it.
    pub fn run(self) -> Result<(), String> {
        match self {
            Verb::Calls { all, access } => {
                let found =
                    access.ask("GET", if all { "/v1/calls?limit=500" } else { "/v1/calls?live=true&limit=500" })?;
                let columns = ["id", "direction", "from", "to", "trunk", "script", "status", "end_reason"];
                access.show(&found["calls"], if all { &columns } else { &columns[..7] });
            }
            Verb::Hangup { id, access } => {
                if !id.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')) {
                    return Err(format!("{id}: no call has such an id"));
                }
                access.ask("POST", &format!("/v1/calls/{id}/hangup"))?;
            }
            Verb::Flows { access } => access.show(&access.ask("GET", "/v1/numbers")?, &["number", "script"]),
            Verb::Trunks { access } => access.show(&access.ask("GET", "/v1/trunks")?, &["name", "registered", "down"]),
            Verb::Phones { access } => {
                access.show(&access.ask("GET", "/v1/phones")?, &["user", "contact", "source", "agent", "silent"]);
            }
            Verb::Events { access } => {
                for line in access.connect("GET", "/v1/events")?.lines() {
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

/// Make a key to the API, in the database itself.
#[derive(Debug, clap::Args)]
pub struct NewKey {
    /// What it is for.
    #[arg(long)]
    name: String,
    /// What it allows: read, call or admin.
    #[arg(long, default_value = "read")]
    scope: String,
    /// A number whose calls it may see and make; several times for several. Without, all.
    #[arg(long)]
    number: Vec<String>,
}

impl NewKey {
    /// Make it, and print its secret.
    pub fn run(&self, conf: &Conf) -> Result<(), String> {
        let scope: Scope = self.scope.parse().map_err(|allowed| format!("--scope: allowed: {allowed}"))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
        std::fs::create_dir_all(&conf.folders.state).map_err(|error| error.to_string())?;
        let now = Clock::start().epoch().unix(Time::START).as_millis();
        let made = runtime.block_on(async {
            let store = Store::open(&server::database(conf)).await?;
            store.make_key(&self.name, scope, &self.number, i64::try_from(now).unwrap_or(i64::MAX)).await
        });
        let (_, secret) = made.map_err(|error| error.to_string())?;
        println!("{secret}");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_as_wide_as_its_cells_and_steers_no_terminal() {
        let rows = [serde_json::json!({"id": "1-1", "from": "a\u{1b}[2J"}), serde_json::json!({"id": "10-10"})];
        assert_eq!(table(&rows, &["id", "from"]), "ID     FROM\n1-1    a [2J\n10-10  -\n");
    }

    #[test]
    fn a_problem_is_told_in_its_words() {
        let text = r#"{"type":"not_found","title":"Not found","detail":"there is no such call"}"#;
        assert_eq!(complaint(text.as_bytes()), "Not found: there is no such call");
        assert!(complaint(&b"<html>"[..]).contains("did not say why"));
    }
}
