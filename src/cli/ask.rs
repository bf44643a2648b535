//! Asking the API of a running server, over HTTP or HTTPS.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::PathBuf,
    sync::Arc,
};

use serde_json::Value;

use crate::io::streams::tls::{ClientCertificates, Tls, TlsConfig, server_name};

/// The authorities that Debian trusts.
const TRUST: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Where the API is, and the key to it.
#[derive(Debug, clap::Args)]
pub struct Access {
    /// Address and port of the API, behind https:// where it speaks TLS; else SWITCHHOOK_API, else 127.0.0.1:8088.
    #[arg(long, value_name = "ADDRESS")]
    api: Option<String>,
    /// Key to the API; else SWITCHHOOK_KEY. Other users of this machine see what stands here.
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// PEM file of the authorities that sign its certificate; else SWITCHHOOK_TRUST, else those that the system trusts.
    #[arg(long, value_name = "FILE")]
    trust: Option<String>,
    /// JSON instead of a table.
    #[arg(long)]
    json: bool,
}

/// What follows the head of an answer.
type Answer = BufReader<Box<dyn Read>>;

impl Access {
    pub(super) fn connect(&self, method: &str, path: &str, body: &str) -> Result<Answer, String> {
        self.open(method, path, body).map(|(_, answer)| answer)
    }

    /// Where the next part of the list begins, where this is one of several; and the answer.
    fn open(&self, method: &str, path: &str, body: &str) -> Result<(Option<String>, Answer), String> {
        let named = |given: &Option<String>, variable: &str| given.clone().or_else(|| std::env::var(variable).ok());
        let at = named(&self.api, "SWITCHHOOK_API").unwrap_or_else(|| "127.0.0.1:8088".into());
        let key = named(&self.key, "SWITCHHOOK_KEY").ok_or("a key is wanted: --key, or SWITCHHOOK_KEY")?;
        if key.contains(char::is_control) {
            return Err("the key has characters that no key has".into());
        }
        let (secure, host) = match at.split_once("://") {
            Some(("https", host)) => (true, host.trim_end_matches('/')),
            Some(("http", host)) => (false, host.trim_end_matches('/')),
            Some(_) => return Err(format!("{at}: allowed: address:port, http:// or https:// and that")),
            None => (false, at.as_str()),
        };
        let fault = |error: std::io::Error| format!("{at}: {error}");
        // The older version: the answer ends with the connection, and comes in one piece.
        let ask = format!(
            "{method} {path} HTTP/1.0\r\nHost: {host}\r\nAuthorization: Bearer {key}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut stream = TcpStream::connect(host).map_err(fault)?;
        let answer: Box<dyn Read> = if secure {
            let trust = named(&self.trust, "SWITCHHOOK_TRUST").unwrap_or_else(|| TRUST.into());
            let mut stream = rustls::StreamOwned::new(shake_hands(host, trust.into(), &stream)?, stream);
            stream.write_all(ask.as_bytes()).map_err(fault)?;
            Box::new(stream)
        } else {
            stream.write_all(ask.as_bytes()).map_err(fault)?;
            Box::new(stream)
        };
        let mut reader = BufReader::new(answer);
        let mut line = String::new();
        reader.read_line(&mut line).map_err(fault)?;
        let good = line.split(' ').nth(1).is_some_and(|code| code.starts_with('2'));
        let mut next = None;
        while !line.trim().is_empty() {
            line.clear();
            reader.read_line(&mut line).map_err(fault)?;
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("x-next-cursor")
            {
                next = Some(value.trim().to_owned());
            }
        }
        if good { Ok((next, reader)) } else { Err(complaint(reader)) }
    }

    pub(super) fn ask(&self, method: &str, path: &str) -> Result<Value, String> {
        self.say(method, path, "")
    }

    pub(super) fn say(&self, method: &str, path: &str, body: &str) -> Result<Value, String> {
        read(self.connect(method, path, body)?)
    }

    /// All entries of a list of which the answer has nothing but entries.
    pub(super) fn list(&self, path: &str) -> Result<Value, String> {
        let (mut all, mut cursor) = (Vec::new(), String::new());
        loop {
            let (next, answer) = self.open("GET", &format!("{path}{cursor}"), "")?;
            if let Value::Array(entries) = read(answer)? {
                all.extend(entries);
            }
            match next {
                Some(next) => cursor = format!("?cursor={next}"),
                None => return Ok(all.into()),
            }
        }
    }

    /// All entries of a list that comes in pages, of which each has the entries under `name`.
    pub(super) fn pages(&self, path: &str, name: &str) -> Result<Value, String> {
        let (mut all, mut cursor) = (Vec::new(), String::new());
        loop {
            let mut page = self.ask("GET", &format!("{path}{cursor}"))?;
            if let Value::Array(entries) = page[name].take() {
                all.extend(entries);
            }
            match page["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return Ok(all.into()),
            }
        }
    }

    pub(super) fn show(&self, rows: &Value, columns: &[&str]) {
        if self.json {
            println!("{rows}");
            return;
        }
        print!("{}", table(rows.as_array().map_or(&[], Vec::as_slice), columns));
    }
}

fn shake_hands(host: &str, trust: PathBuf, stream: &TcpStream) -> Result<rustls::ClientConnection, String> {
    let clients = ClientCertificates::Off;
    let config = TlsConfig { certificate: None, key: None, more: Vec::new(), trust, verify: true, clients };
    let tls = Tls::load(&config).map_err(|error| error.to_string())?;
    let name = host.rsplit_once(':').map(|(name, _)| name).filter(|name| name.parse::<std::net::IpAddr>().is_err());
    let peer = stream.peer_addr().map_err(|error| error.to_string())?;
    let name = server_name(name, peer.ip());
    rustls::ClientConnection::new(Arc::clone(&tls.client), name).map_err(|error| error.to_string())
}

fn read(mut answer: Answer) -> Result<Value, String> {
    let mut text = String::new();
    answer.read_to_string(&mut text).map_err(|error| error.to_string())?;
    serde_json::from_str(&text).map_err(|error| format!("this is not the API of a switchhook: {error}"))
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

/// Columns as wide as what is in them. A dot leads into an object; what comes after it is the column's name.
pub(super) fn table(rows: &[Value], columns: &[&str]) -> String {
    let cell = |row: &Value, column: &str| match column.split('.').fold(row, |value, name| &value[name]) {
        Value::Null => "-".to_owned(),
        // What a peer said must not steer the terminal.
        Value::String(text) => text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect(),
        other => other.to_string(),
    };
    let name = |column: &str| column.rsplit('.').next().unwrap_or(column).to_uppercase();
    let mut lines: Vec<Vec<String>> = vec![columns.iter().map(|column| name(column)).collect()];
    lines.extend(rows.iter().map(|row| columns.iter().map(|column| cell(row, column)).collect()));
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let show = |line: &Vec<String>| {
        let cells = line.iter().zip(&widths).map(|(text, width)| format!("{text:width$}"));
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    lines.iter().map(show).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_as_wide_as_its_cells_and_steers_no_terminal() {
        let rows = [serde_json::json!({"id": "1-1", "from": "a\u{1b}[2J"}), serde_json::json!({"id": "10-10"})];
        assert_eq!(table(&rows, &["id", "from"]), "ID     FROM\n1-1    a [2J\n10-10  -\n");
        let rows = [serde_json::json!({"id": "1-1", "quality": {"mos": 4.41}}), serde_json::json!({"quality": null})];
        assert_eq!(table(&rows, &["id", "quality.mos"]), "ID   MOS\n1-1  4.41\n-    -\n");
    }

    #[test]
    fn a_problem_is_told_in_its_words() {
        let text = r#"{"type":"not_found","title":"Not found","detail":"there is no such call"}"#;
        assert_eq!(complaint(text.as_bytes()), "Not found: there is no such call");
        assert!(complaint(&b"<html>"[..]).contains("did not say why"));
    }
}
