//! What happened to every call, through the death of the server: records, events and the API.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::Command,
    thread,
};

use serde_json::Value;

use crate::{
    sipp::caller,
    support::{PROGRAM, Process, Server, breathe},
};

const CONF: &str = "[api]\nlisten = \"127.0.0.1:0\"\n[[number]]\nnumber = \"1\"\nscript = \"some.lua\"\n";

fn program(server: &Server, arguments: &[&str]) -> String {
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
    let mut stream = TcpStream::connect(at).unwrap();
    write!(stream, "GET {path} HTTP/1.0\r\nHost: x\r\nAuthorization: Bearer {key}\r\n\r\n").unwrap();
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    while line != "\r\n" {
        line.clear();
        reader.read_line(&mut line).unwrap();
    }
    reader
}

fn get(at: &str, key: &str, path: &str) -> Value {
    let mut text = String::new();
    connect(at, key, path).read_to_string(&mut text).unwrap();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}: {text}"))
}

/// All calls of the database, by id.
fn all(at: &str, key: &str) -> BTreeMap<String, Value> {
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
#[expect(clippy::too_many_lines, reason = "one story")]
fn a_killed_server_has_kept_all_that_it_told_and_reconciles_the_rest() {
    let script = "call:answer()\ncall:sleep(math.random() < 0.5 and 0.2 or 60)\n";
    let mut server = Server::start(CONF, &[("some.lua", script)]);
    let key = key(&server);
    for round in 0..3 {
        let at = api(&server);
        let mut events = connect(&at, &key, "/v1/events");
        let reader = thread::spawn(move || {
            let mut told = BTreeMap::new();
            let mut line = String::new();
            while events.read_line(&mut line).is_ok_and(|count| count > 0) {
                if let Some(event) =
                    line.strip_prefix("data: ").and_then(|text| serde_json::from_str::<Value>(text).ok())
                    && let Some(call) = event["call"].as_str()
                {
                    told.insert(call.to_owned(), event["kind"].as_str().unwrap().to_owned());
                }
                line.clear();
            }
            told
        });
        let folder = server.folder.path().join(format!("sipp{round}"));
        std::fs::create_dir_all(&folder).unwrap();
        let peers: Process =
            caller(server.sip, &folder, "1", &["-sn", "uac", "-m", "300", "-r", "150", "-l", "300", "-d", "60000"]);
        // In the middle: some have ended, some go on, and new ones come.
        while get(&at, &key, "/v1/calls?live=true&status=in_progress&limit=500")["calls"].as_array().unwrap().len() < 80
        {
            breathe(server.sip);
        }
        server.restart("KILL");
        let told = reader.join().unwrap();
        drop(peers);
        assert!(told.len() > 100, "{}", told.len());
        let at = api(&server);
        // What was on the spool comes first, then the news of the new start.
        let mut kept = all(&at, &key);
        for _ in 0..500 {
            if kept.values().all(|call| !call["end_reason"].is_null()) && told.keys().all(|id| kept.contains_key(id)) {
                break;
            }
            breathe(server.sip);
            kept = all(&at, &key);
        }
        for (id, last) in &told {
            let call = kept.get(id).unwrap_or_else(|| panic!("{id} is lost; told was {last}"));
            if last == "call.ended" {
                assert_ne!(call["end_reason"], "reconciled", "{call}");
            }
        }
        let open: Vec<&Value> = kept.values().filter(|call| call["end_reason"].is_null()).collect();
        assert!(open.is_empty(), "{open:#?}");
        let left = kept.values().filter(|call| call["end_reason"] == "reconciled");
        assert!(left.clone().count() >= 80);
        for call in left {
            let answered = !call["answer_ms"].is_null();
            assert_eq!(call["status"], if answered { "completed" } else { "failed" }, "{call}");
        }
        if round == 2 {
            let events = get(&at, &key, &format!("/v1/calls/{}/events", told.keys().next().unwrap()));
            let mut orders: Vec<u64> =
                events.as_array().unwrap().iter().map(|e| e["order"].as_u64().unwrap()).collect();
            assert!(!orders.is_empty());
            orders.dedup();
            assert_eq!(orders, (1..=orders.len() as u64).collect::<Vec<_>>(), "{events}");
            break;
        }
        // The next round waits for the line of its own server.
        server.restart("KILL");
    }
    assert!(server.stop().success());
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
