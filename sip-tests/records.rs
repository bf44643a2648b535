//! What happened to every call: records, events and the API, over the wire and from the command line.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::Command,
};

use serde_json::Value;

use crate::{
    sipp::caller,
    support::{PROGRAM, Server, breathe},
};

pub const CONF: &str = "[api]\nlisten = \"127.0.0.1:0\"\n[[number]]\nnumber = \"1\"\nscript = \"some.lua\"\n";

pub fn program(server: &Server, arguments: &[&str]) -> String {
    let done = Command::new(PROGRAM).args(arguments).current_dir(server.folder.path()).output().unwrap();
    assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

/// Where the API of a server that was just started listens.
pub fn api(server: &Server) -> String {
    let line = server.wait_for("the API over HTTP");
    line.split("listening on ").nth(1).and_then(|rest| rest.split(',').next()).expect("an address").to_owned()
}

pub fn key(server: &Server) -> String {
    program(server, &["key", "--conf", "switchhook.toml", "--name", "test", "--scope", "admin"]).trim().to_owned()
}

pub fn connect(at: &str, key: &str, path: &str) -> BufReader<TcpStream> {
    ask(TcpStream::connect(at).unwrap(), key, path)
}

/// The same, over a connection of one's own.
pub fn ask(mut stream: TcpStream, key: &str, path: &str) -> BufReader<TcpStream> {
    write!(stream, "GET {path} HTTP/1.0\r\nHost: x\r\nAuthorization: Bearer {key}\r\n\r\n").unwrap();
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    while line != "\r\n" {
        line.clear();
        reader.read_line(&mut line).unwrap();
    }
    reader
}

/// What is there. Where the machine's disk is so busy that there is no answer for the moment (503), it is asked again.
pub fn get(at: &str, key: &str, path: &str) -> Value {
    for _ in 0..20 {
        let mut text = String::new();
        connect(at, key, path).read_to_string(&mut text).unwrap();
        let answer: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}: {text}"));
        if answer["status"] != 503 {
            return answer;
        }
    }
    panic!("{path}: nothing but 503");
}

/// All calls of the database, by id.
pub fn all(at: &str, key: &str) -> BTreeMap<String, Value> {
    let (mut calls, mut cursor) = (BTreeMap::new(), String::new());
    loop {
        let page = get(at, key, &format!("/v1/calls?limit=500{cursor}"));
        for call in page["calls"].as_array().unwrap_or_else(|| panic!("{page}")) {
            let before = calls.insert(call["id"].as_str().unwrap().to_owned(), call.clone());
            assert!(before.is_none(), "twice: {call}");
        }
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return calls,
        }
    }
}

#[test]
fn the_command_line_shows_calls_and_ends_them_and_a_reload_spares_them() {
    let script = "call:answer()\ncall:sleep(60)\n";
    let server = Server::start(CONF, &[("some.lua", script)]);
    let (at, key) = (api(&server), key(&server));
    let ask = |what: &[&str]| {
        let access = ["--api", at.as_str(), "--key", key.as_str()];
        program(&server, &[what, &access[..]].concat())
    };
    let _peer = caller(server.sip, server.folder.path(), "1", &["-sn", "uac", "-m", "1", "-d", "60000"]);
    let mut shown = ask(&["calls"]);
    while !shown.contains("in_progress") {
        breathe(server.sip);
        shown = ask(&["calls"]);
    }
    let line = shown.lines().nth(1).unwrap();
    assert!(shown.starts_with("ID") && line.contains("inbound") && line.contains("some.lua"), "{shown}");
    assert!(ask(&["flows"]).contains("some.lua"));
    // A good configuration is taken, a bad one is not, and the call knows of neither.
    let file = server.path("switchhook.toml");
    let conf = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, conf.replace("number = \"1\"", "number = \"2\"")).unwrap();
    crate::support::signal(server.pid(), "HUP");
    server.wait_for("- number 1 -> some.lua");
    server.wait_for("+ number 2 -> some.lua");
    server.wait_for("reloaded");
    assert!(ask(&["flows"]).contains("\n2  "), "{}", ask(&["flows"]));
    std::fs::write(&file, conf.replace("some.lua", "none.lua")).unwrap();
    crate::support::signal(server.pid(), "HUP");
    server.wait_for("not reloaded");
    assert!(ask(&["calls"]).contains("in_progress"));
    let id = line.split_whitespace().next().unwrap();
    ask(&["hangup", id]);
    let records = server.wait_for_records(1);
    assert_eq!((&records[0]["status"], &records[0]["end_reason"]), (&"completed".into(), &"agent_completed".into()));
    let mut over = ask(&["calls", "--all", "--json"]);
    while !over.contains("agent_completed") {
        breathe(server.sip);
        over = ask(&["calls", "--all", "--json"]);
    }
    assert!(server.stop().success());
}
