//! What is kept through the worst: a killed server, a lost database, a full disk, readers that do not read. The real
//! program with calls of SIPp, on SQLite and on PostgreSQL.
//!
//! With PROOF set: more rounds, and a database that is gone for a minute.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::BufRead,
    path::Path,
    process::Command,
    thread,
    time::Duration,
};

use serde_json::Value;
use switchhook::store::{Database, Store, spool_name};

use crate::{
    api::post,
    postgres::{Postgres, left_out},
    records::{CONF, all, api, connect, get, key, program},
    sipp::{caller, passes},
    support::{Process, Server, breathe, free_port},
};

fn proof() -> bool {
    std::env::var_os("PROOF").is_some()
}

fn conf(database: &str) -> String {
    format!("[store]\ndatabase = \"{database}\"\n{CONF}")
}

/// The kind of the last event that a listener was told of each call, until the server is gone.
fn listen(at: &str, key: &str) -> thread::JoinHandle<BTreeMap<String, String>> {
    let mut events = connect(at, key, "/v1/events");
    thread::spawn(move || {
        let mut told = BTreeMap::new();
        let mut line = String::new();
        while events.read_line(&mut line).is_ok_and(|count| count > 0) {
            if let Some(event) = line.strip_prefix("data: ").and_then(|text| serde_json::from_str::<Value>(text).ok())
                && let Some(call) = event["call"].as_str()
            {
                told.insert(call.to_owned(), event["kind"].as_str().unwrap().to_owned());
            }
            line.clear();
        }
        told
    })
}

fn in_progress(at: &str, key: &str) -> usize {
    get(at, key, "/v1/calls?live=true&status=in_progress&limit=500")["calls"].as_array().unwrap().len()
}

/// What was told is kept, what went on is reconciled, nothing is there twice.
fn nothing_is_lost(server: &Server, at: &str, key: &str, told: &BTreeMap<String, String>) {
    // What was on the spool comes first, then the news of the new start.
    let mut kept = all(at, key);
    for _ in 0..1000 {
        if kept.values().all(|call| !call["end_reason"].is_null()) && told.keys().all(|id| kept.contains_key(id)) {
            break;
        }
        breathe(server.sip);
        kept = all(at, key);
    }
    for (id, last) in told {
        let call = kept.get(id).unwrap_or_else(|| panic!("{id} is lost; told was {last}"));
        if last == "call.ended" {
            assert_ne!(call["end_reason"], "reconciled", "{call}");
        }
    }
    let open: Vec<&Value> = kept.values().filter(|call| call["end_reason"].is_null()).collect();
    assert!(open.is_empty(), "{open:#?}");
    for call in kept.values().filter(|call| call["end_reason"] == "reconciled") {
        let answered = !call["answer_ms"].is_null();
        assert_eq!(call["status"], if answered { "completed" } else { "failed" }, "{call}");
    }
    // Those that were left behind get their last event, once each.
    let left: Vec<&String> =
        kept.iter().filter(|(_, call)| call["end_reason"] == "reconciled").map(|(id, _)| id).collect();
    for id in left.into_iter().rev().take(20) {
        let ends = || {
            let events = get(at, key, &format!("/v1/calls/{id}/events"));
            events.as_array().unwrap().iter().filter(|event| event["kind"] == "call.ended").count()
        };
        for _ in 0..1000 {
            if ends() > 0 {
                break;
            }
            breathe(server.sip);
        }
        assert_eq!(ends(), 1, "{id}");
    }
    for id in told.keys().take(20) {
        let events = get(at, key, &format!("/v1/calls/{id}/events"));
        let orders: Vec<u64> = events.as_array().unwrap().iter().map(|e| e["order"].as_u64().unwrap()).collect();
        assert_eq!(orders, (1..=orders.len() as u64).collect::<Vec<_>>(), "{events}");
        assert!(!orders.is_empty());
    }
}

fn survives_kills(database: &str) {
    let script = "call:answer()\ncall:sleep(math.random() < 0.5 and 0.2 or 60)\n";
    let mut server = Server::start(&conf(database), &[("some.lua", script)]);
    let key = key(&server);
    let mut at = api(&server);
    for round in 0..if proof() { 20 } else { 3 } {
        let listener = listen(&at, &key);
        let folder = server.folder.path().join(format!("sipp{round}"));
        fs::create_dir_all(&folder).unwrap();
        let peers: Process =
            caller(server.sip, &folder, "1", &["-sn", "uac", "-m", "400", "-r", "150", "-l", "400", "-d", "60000"]);
        // In the middle of some 200: half have ended or end soon, half go on, and new ones come.
        while in_progress(&at, &key) < 150 {
            breathe(server.sip);
        }
        server.restart("KILL");
        let told = listener.join().unwrap();
        drop(peers);
        assert!(told.len() > 120, "{}", told.len());
        at = api(&server);
        nothing_is_lost(&server, &at, &key, &told);
        let reconciled = all(&at, &key).into_values().filter(|call| call["end_reason"] == "reconciled").count();
        assert!(reconciled >= 60 * (round + 1), "{reconciled} in round {round}");
    }
    assert!(server.stop().success());
}

#[test]
fn a_killed_server_has_kept_all_that_it_told_and_reconciles_the_rest_in_sqlite() {
    survives_kills("");
}

#[test]
fn a_killed_server_has_kept_all_that_it_told_and_reconciles_the_rest_in_postgresql() {
    let Some(postgres) = Postgres::start() else { return };
    survives_kills(&postgres.url());
}

/// A server is killed the moment that it has told the id of a call: the call is known to the next one.
#[test]
fn a_call_that_was_acknowledged_survives_a_kill() {
    let mut server = Server::start(CONF, &[("some.lua", "call:sleep(60)\n")]);
    let (mut at, key) = (api(&server), key(&server));
    for round in 0..3 {
        let body = format!("{{\"to\": \"sip:x@127.0.0.1:{}\", \"from\": \"1\"}}", free_port());
        let begun = post(&at, &key, "/v1/calls", &body);
        server.restart("KILL");
        at = api(&server);
        let begun: Value = serde_json::from_str(begun.split("\r\n\r\n").nth(1).unwrap()).unwrap();
        let id = begun["id"].as_str().unwrap_or_else(|| panic!("{begun}"));
        let mut call = get(&at, &key, &format!("/v1/calls/{id}"));
        // The database is filled from the spool in a moment.
        for _ in 0..1000 {
            if call["end_reason"].is_string() {
                break;
            }
            breathe(server.sip);
            call = get(&at, &key, &format!("/v1/calls/{id}"));
        }
        assert_eq!(call["id"].as_str(), Some(id), "round {round}: {call}");
        let mut events = get(&at, &key, &format!("/v1/calls/{id}/events"));
        for _ in 0..1000 {
            if events.as_array().is_some_and(|all| all.last().is_some_and(|last| last["kind"] == "call.ended")) {
                break;
            }
            breathe(server.sip);
            events = get(&at, &key, &format!("/v1/calls/{id}/events"));
        }
        let kinds: Vec<&str> = events.as_array().unwrap().iter().map(|one| one["kind"].as_str().unwrap()).collect();
        assert_eq!(kinds.iter().filter(|kind| **kind == "call.ended").count(), 1, "{kinds:?}");
        if call["end_reason"] == "reconciled" {
            let mut records = server.records();
            // It is written by another thread than the database.
            for _ in 0..1000 {
                if records.iter().any(|record| record["id"] == id) {
                    break;
                }
                breathe(server.sip);
                records = server.records();
            }
            assert_eq!(records.iter().filter(|record| record["id"] == id).count(), 1, "{records:?}");
        }
    }
    assert!(server.stop().success());
}

/// SIPp's times from INVITE to 200, in ms, sorted.
fn answer_times(folder: &Path) -> Vec<f64> {
    let mut times = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.to_string_lossy().ends_with("rtt.csv") {
            let text = fs::read_to_string(path).unwrap();
            times.extend(text.lines().filter_map(|line| line.split(';').nth(1)?.parse::<f64>().ok()));
        }
    }
    times.sort_by(f64::total_cmp);
    times
}

/// Every call ended well, and is there once; so is each of its events.
fn kept_once(server: &Server, at: &str, key: &str, calls: usize, database: &Database) {
    let mut kept = all(at, key);
    for _ in 0..3000 {
        if kept.len() == calls && kept.values().all(|call| !call["end_reason"].is_null()) {
            break;
        }
        breathe(server.sip);
        kept = all(at, key);
    }
    assert_eq!(kept.len(), calls);
    let odd: Vec<&Value> = kept.values().filter(|call| call["status"] != "completed").collect();
    assert!(odd.is_empty(), "{odd:#?}");
    let node = spool_name(&server.path("state/spool")).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let events = runtime
        .block_on(async { Store::open(database).await.unwrap().events_after(&node, 0, 1_000_000).await.unwrap() });
    let mut seen = BTreeSet::new();
    for (number, line) in &events {
        let event: Value = serde_json::from_str(line).unwrap();
        assert_eq!(event["id"].as_i64(), Some(*number));
        let Some(call) = event["call"].as_str() else { continue };
        let order = event["order"].as_u64().unwrap();
        assert!(seen.insert((call.to_owned(), order)), "twice: {line}");
        assert!(order == 1 || seen.contains(&(call.to_owned(), order - 1)), "a gap before {line}");
    }
    let numbers: Vec<i64> = events.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, (1..=numbers.len() as i64).collect::<Vec<_>>(), "numbers have no gaps");
    let ended = events.iter().filter(|(_, line)| line.contains("\"call.ended\"")).count();
    assert_eq!(ended, calls);
}

/// 50 calls a second, so many in all; with their answer times in the folder.
fn fifty_a_second(server: &Server, folder: &Path, calls: usize) -> Process {
    fs::create_dir_all(folder).unwrap();
    let calls = calls.to_string();
    let arguments = ["-sn", "uac", "-m", &calls, "-r", "50", "-d", "300", "-trace_rtt", "-rtt_freq", "1"];
    caller(server.sip, folder, "1", &arguments)
}

/// SIPp's times from INVITE to 200 in ms: half of them, 99 of a hundred, and the longest.
fn quantiles(folder: &Path, calls: usize) -> [f64; 3] {
    let times = answer_times(folder);
    assert!(times.len() >= calls, "{} times of {calls} calls", times.len());
    [times[times.len() / 2], times[times.len() * 99 / 100], times[times.len() - 1]]
}

/// As many calls a second for a while in which nothing is wrong: what this machine can do at this hour.
fn undisturbed(server: &Server) -> (usize, [f64; 3]) {
    let (folder, calls) = (server.folder.path().join("undisturbed"), 200);
    passes(fifty_a_second(server, &folder, calls), &folder);
    (calls, quantiles(&folder, calls))
}

/// No call waited for a store that did not answer: they were answered as they were before.
fn none_was_delayed(folder: &Path, calls: usize, before: [f64; 3]) {
    let with = quantiles(folder, calls);
    println!("INVITE to 200, p50 p99 most: before {before:.1?} ms, without the store {with:.1?} ms");
    // A busy machine is busier at one moment than at another, and the slowest of a few hundred calls may be one whose
    // INVITE SIPp had to repeat. Who waited for the store would have waited for seconds, and half of all calls came
    // meanwhile. Other tests beside this one keep the disk busy, too.
    let room = if proof() { 500.0 } else { 2000.0 };
    let (late, longest) = (before[1] + room, before[2] + 2.0 * room);
    assert!(with[0] < 2.0 * before[0] + 50.0, "half: {before:?} without, {with:?} with the fault");
    assert!(with[1] < late, "99 of 100: {before:?} without, {with:?} with the fault");
    assert!(with[2] < longest, "the longest: {before:?} without, {with:?} with the fault");
}

fn pass_seconds(server: &Server, seconds: u32) {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(seconds.into()))).unwrap();
    let _ = socket.recv(&mut [0; 1]);
    assert!(server.counts()["calls"].as_u64().is_some());
}

#[test]
fn a_database_that_is_gone_for_a_while_delays_no_call_and_loses_nothing() {
    let Some(postgres) = Postgres::start() else { return };
    let gone = if proof() { 60 } else { 6 };
    let server = Server::start(&conf(&postgres.url()), &[("some.lua", "call:answer()\ncall:sleep(60)\n")]);
    let (at, key) = (api(&server), key(&server));
    let folder = server.folder.path().join("sipp");
    let (more, before) = undisturbed(&server);
    let calls = 50 * (gone as usize + 6);
    let peers = fifty_a_second(&server, &folder, calls);
    pass_seconds(&server, 2);
    assert!(in_progress(&at, &key) > 0);
    postgres.down();
    // Who was known before looks at calls and acts all the same.
    assert!(in_progress(&at, &key) > 0);
    server.wait_for("the database takes nothing");
    pass_seconds(&server, gone);
    assert_eq!(get(&at, &key, "/healthz")["store"], "lost");
    assert!(post(&at, &key, "/v1/reload", "{}").contains(" 200 OK"));
    let (events, bytes, seconds) = waiting(&at, &key);
    assert!(events > 50.0 && bytes > 300.0 * events && seconds > 1.0, "{events} events, {bytes} bytes, {seconds} s");
    postgres.up();
    server.wait_for("the database is there again");
    passes(peers, &folder);
    none_was_delayed(&folder, calls, before);
    kept_once(&server, &at, &key, calls + more, &Database::parse(&postgres.url()).unwrap());
    assert_eq!((get(&at, &key, "/healthz")["store"].as_str(), waiting(&at, &key)), (Some("ok"), (0.0, 0.0, 0.0)));
    // It is noted once the database is back.
    let mut audit = get(&at, &key, "/v1/audit").to_string();
    for _ in 0..1000 {
        if audit.contains("server.reload") {
            break;
        }
        breathe(server.sip);
        audit = get(&at, &key, "/v1/audit").to_string();
    }
    assert!(audit.contains("server.reload"), "{audit}");
    assert!(server.stop().success());
}

/// How many events the database does not have yet, their bytes, and for how many seconds the oldest has waited.
fn waiting(at: &str, key: &str) -> (f64, f64, f64) {
    let mut text = String::new();
    std::io::Read::read_to_string(&mut connect(at, key, "/metrics"), &mut text).unwrap();
    let figure = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("switchhook_store_waiting_{name} ")));
        line.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("{name} is not in {text}"))
    };
    (figure("events"), figure("bytes"), figure("seconds"))
}

/// A small file system of its own over this folder; gone when dropped.
struct SmallDisk(std::path::PathBuf);

impl SmallDisk {
    /// None: this user may not mount anything.
    fn over(folder: &Path, megabytes: u32) -> Option<SmallDisk> {
        let size = format!("size={megabytes}m");
        let done = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(folder).output().ok()?;
        done.status.success().then(|| SmallDisk(folder.to_owned()))
    }

    /// Write until nothing more fits.
    fn fill(&self) {
        use std::io::Write;
        let mut file = fs::File::create(self.0.join("ballast")).unwrap();
        while file.write_all(&[0; 4096]).is_ok() {}
    }

    fn empty(&self) {
        fs::remove_file(self.0.join("ballast")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // What is left goes with the folder.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn calls_go_on_over_a_full_disk_and_all_is_written_when_there_is_room_again() {
    let mut server = Server::start(CONF, &[("some.lua", "call:answer()\ncall:sleep(60)\n")]);
    let Some(disk) = SmallDisk::over(&server.path("state"), 64) else {
        return left_out("mount");
    };
    server.restart("TERM");
    let (at, key) = (api(&server), key(&server));
    let folder = server.folder.path().join("sipp");
    let (more, before) = undisturbed(&server);
    let calls = 50 * if proof() { 30 } else { 8 };
    let peers = fifty_a_second(&server, &folder, calls);
    pass_seconds(&server, 1);
    disk.fill();
    server.wait_for("cannot be written; they wait in memory");
    pass_seconds(&server, 3);
    assert_eq!(get(&at, &key, "/healthz")["disk"], "full");
    // The calls of this moment are shown nevertheless.
    assert!(in_progress(&at, &key) > 0);
    disk.empty();
    server.wait_for("are written again");
    passes(peers, &folder);
    none_was_delayed(&folder, calls, before);
    kept_once(&server, &at, &key, calls + more, &Database::file(&server.path("state/switchhook.sqlite")));
    assert!(server.stop().success());
    drop(disk);
}

#[test]
fn a_copy_made_while_the_server_runs_brings_its_calls_to_another_one() {
    let script = "call:answer()\nstore.set('last', call.caller)\ncall:sleep(60)\n";
    let server = Server::start(CONF, &[("some.lua", script)]);
    let (at, key) = (api(&server), key(&server));
    let folder = server.folder.path().to_owned();
    passes(caller(server.sip, &folder, "1", &["-sn", "uac", "-m", "20", "-r", "20"]), &folder);
    let mut kept = all(&at, &key);
    while kept.len() < 20 || kept.values().any(|call| call["end_reason"].is_null()) {
        breathe(server.sip);
        kept = all(&at, &key);
    }
    let told = program(&server, &["backup", "copy.sqlite", "--conf", "switchhook.toml"]);
    assert!(told.contains("20 calls") && told.contains("1 keep") && told.contains("2 api_keys"), "{told}");

    let mut other = Server::start(CONF, &[("some.lua", script)]);
    api(&other);
    let copy = server.path("copy.sqlite").display().to_string();
    let arguments = ["restore", copy.as_str(), "--replace", "--conf", "switchhook.toml"];
    let refused =
        Command::new(crate::support::PROGRAM).args(arguments).current_dir(other.folder.path()).output().unwrap();
    assert!(!refused.status.success(), "the server still runs");
    other.restart_after("TERM", |other| drop(program(other, &arguments)));
    let at = api(&other);
    // Its key is there, too.
    assert_eq!(all(&at, &key), kept);
    assert!(server.stop().success() && other.stop().success());
}
