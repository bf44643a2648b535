//! The API over real HTTP, with a journal, a database and a control task in the test's hand.

mod away;
mod doors;
mod events;
mod finish;
mod first;
mod fresh;
mod gate;
mod kept;
mod people;
mod roster;
mod steering;
mod stuck;
mod webhook_doors;

use std::time::Duration;

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};

use super::*;
use crate::{
    ids::CallId,
    io::{Fact, Figures, View, pass},
    store::{
        Journal, JournalConfig, Person, Question, Scope, Stored, WriterConfig, spawn_journal, spawn_writer, spool_name,
    },
    switch::{Direction, Input, Progress, Status},
    verbs::{Failure, Reply, Verb},
};

/// An API with all that it needs.
struct Bench {
    folder: tempfile::TempDir,
    at: SocketAddr,
    journal: Journal,
    orders: mpsc::Receiver<Order>,
    reloads: mpsc::Receiver<Reload>,
    /// Keeps the control task's inbox open.
    _inbox: mpsc::Sender<Order>,
    replies: mpsc::UnboundedSender<ConsoleReply>,
    store: Store,
    admin: String,
}

impl Bench {
    async fn new() -> Bench {
        Bench::with(|config| config).await
    }

    async fn with(change: impl FnOnce(Config) -> Config) -> Bench {
        Bench::asking(change, |journal| journal.questions.clone()).await
    }

    /// With the questions to the journal going there.
    async fn asking(
        change: impl FnOnce(Config) -> Config,
        questions: impl FnOnce(&Journal) -> mpsc::Sender<Question>,
    ) -> Bench {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::start();
        let spool = folder.path().join("spool");
        let journal = spawn_journal(JournalConfig { folder: spool.clone(), limit: 1 << 30, clock }).unwrap();
        let database = Database::file(&folder.path().join("x.sqlite"));
        let config = WriterConfig {
            database: database.clone(),
            folder: spool.clone(),
            days: Default::default(),
            reconciled: Default::default(),
        };
        let (told, ready) = tokio::sync::oneshot::channel();
        spawn_writer(config, journal.line(), told).unwrap();
        ready.await.unwrap();
        let store = Store::open(&database).await.unwrap();
        let (_, admin) = store.make_key("test", Scope::Admin, &[], 1).await.unwrap();
        let listen = "127.0.0.1:0".parse().unwrap();
        let (scripts, recordings) = (folder.path().join("scripts"), folder.path().join("recordings"));
        for at in [&scripts, &recordings] {
            std::fs::create_dir(at).unwrap();
        }
        let session = Duration::from_secs(3600);
        let tls = None;
        let dialling = Dialling { country: "49".into(), ..Dialling::default() };
        let config = Config {
            listen,
            database,
            clock,
            tls,
            requests_per_s: 0,
            max_per_address: 0,
            session,
            scripts,
            recordings,
            dialling,
        };
        let config = change(config);
        let (reload, reloads) = mpsc::channel(8);
        let (inbox, orders) = mpsc::channel(100);
        let (to, replies) = mpsc::unbounded_channel();
        let (node, (changed, _)) = (spool_name(&spool).unwrap(), mpsc::channel(1));
        let fixed = watch::channel(webhook_doors::fixed()).1;
        let ends = Ends {
            orders: inbox.downgrade(),
            replies,
            questions: questions(&journal),
            reload,
            webhooks: WebhookEnds { node, fixed, changed },
            roster: watch::channel(roster::fixed()).1,
        };
        let at = tokio::task::spawn_blocking(move || spawn(config, ends).unwrap()).await.unwrap();
        Bench { folder, at, journal, orders, reloads, _inbox: inbox, replies: to, store, admin }
    }

    async fn ask(&self, method: &str, path: &str, key: &str, more: &str, body: &str) -> (u16, Value) {
        let (code, _, body) = self.answer(method, path, key, more, body).await;
        (code, serde_json::from_str(&body).unwrap_or_else(|_| body.into()))
    }

    /// Status, header fields and body.
    async fn answer(&self, method: &str, path: &str, key: &str, more: &str, body: &str) -> (u16, String, String) {
        send(self.at, (method, path), key, more, body).await
    }

    async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        self.ask("POST", path, &self.admin, "", &body.to_string()).await
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        self.ask("GET", path, &self.admin, "", "").await
    }

    async fn tell(&self, id: &str, from: &str, status: Status) {
        let progress = Progress {
            id: id.into(),
            call: CallId(7),
            parent: None,
            direction: Direction::Inbound,
            from: from.into(),
            to: "100".into(),
            trunk: None,
            sip_call_id: "x".into(),
            start_ms: 1_800_000_000_000,
            answer_ms: None,
            status,
            script: None,
        };
        self.journal.facts.send(Fact::Progress(Box::new(progress))).await.unwrap();
        // It is there when it is on the disk.
        let mut written = self.journal.written.clone();
        written.changed().await.unwrap();
    }
}

/// Status, header fields and body of the answer.
async fn send(
    at: SocketAddr,
    (method, path): (&str, &str),
    key: &str,
    more: &str,
    body: &str,
) -> (u16, String, String) {
    let mut stream = TcpStream::connect(at).await.unwrap();
    let key = if key.is_empty() { String::new() } else { format!("Authorization: Bearer {key}\r\n") };
    let length = body.len();
    let text = format!(
        "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{key}{more}Content-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let code = answer[9..12].parse().unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (code, head.to_owned(), body.to_owned())
}

/// Ask beside the test, which meanwhile is the rest of the server.
fn posting(at: SocketAddr, key: &str, path: String, body: &Value) -> tokio::task::JoinHandle<(u16, Value)> {
    let (key, body) = (key.to_owned(), body.to_string());
    tokio::spawn(async move {
        let (code, _, answer) = send(at, ("POST", &path), &key, "", &body).await;
        (code, serde_json::from_str(&answer).unwrap())
    })
}

#[tokio::test]
async fn a_key_for_some_numbers_sees_no_other_calls() {
    let bench = Bench::new().await;
    let (_, key) = bench.store.make_key("n", Scope::Call, &["4711".into()], 1).await.unwrap();
    bench.tell("a-1", "4711", Status::Ringing).await;
    bench.tell("a-2", "4712", Status::Ringing).await;
    let (code, all) = bench.get("/v1/calls?live=true").await;
    assert_eq!((code, all["calls"].as_array().unwrap().len()), (200, 2));
    let (_, its) = bench.ask("GET", "/v1/calls?live=true", &key, "", "").await;
    assert_eq!(its["calls"][0]["id"], "a-1");
    assert_eq!(its["calls"].as_array().unwrap().len(), 1);
    assert_eq!(bench.ask("GET", "/v1/calls/a-1", &key, "", "").await.0, 200);
    assert_eq!(bench.ask("GET", "/v1/calls/a-2", &key, "", "").await.0, 404);
    assert_eq!(bench.ask("POST", "/v1/calls/a-2/hangup", &key, "", "").await.0, 404);
    let body = r#"{"to": "sip:a@b", "from": "4712"}"#;
    let (code, problem) = bench.ask("POST", "/v1/calls", &key, "", body).await;
    assert_eq!((code, problem["field"].as_str()), (403, Some("from")));
}

#[tokio::test]
async fn a_key_for_a_number_is_for_it_whichever_way_it_is_written() {
    let mut bench = Bench::new().await;
    let (_, key) = bench.store.make_key("n", Scope::Call, &["030 1234".into()], 1).await.unwrap();
    let ways = ["+49301234", "0049301234", "0301234", "49301234"];
    for (at, from) in ways.into_iter().enumerate() {
        bench.tell(&format!("a-{at}"), from, Status::Ringing).await;
    }
    bench.tell("a-9", "+43301234", Status::Ringing).await;
    let count = async |path| bench.ask("GET", path, &key, "", "").await.1["calls"].as_array().unwrap().len();
    assert_eq!(count("/v1/calls?live=true").await, ways.len());
    assert_eq!(bench.ask("GET", "/v1/calls/a-9", &key, "", "").await.0, 404);
    for (at, from) in ways.into_iter().enumerate() {
        bench.journal.facts.send(kept::record(&format!("a-{at}"), from, &["a.wav"])).await.unwrap();
    }
    bench.journal.facts.send(kept::record("a-9", "+43301234", &["b.wav"])).await.unwrap();
    let mut stored = bench.journal.stored.subscribe();
    while stored.borrow_and_update().done.is_none_or(|done| done < 11) {
        stored.changed().await.unwrap();
    }
    assert_eq!(count("/v1/calls").await, ways.len(), "the database has them");
    let (_, heard) = bench.ask("GET", "/v1/recordings", &key, "", "").await;
    assert_eq!(heard["recordings"].as_array().unwrap().len(), ways.len(), "{heard}");
    for (at, _) in ways.into_iter().enumerate() {
        assert_eq!(bench.ask("GET", &format!("/v1/calls/a-{at}"), &key, "", "").await.0, 200);
    }
    let asking = posting(bench.at, &key, "/v1/calls".into(), &json!({"to": "sip:a@b", "from": "+49 (30) 1234"}));
    let request = loop {
        let Order::Input(input) = bench.orders.recv().await.unwrap() else { continue };
        let Input::Originate(wish) = *input else { panic!("a call is made") };
        break wish.request;
    };
    bench.replies.send(ConsoleReply::Calling { request, call: CallId(8), name: "c-1".into() }).unwrap();
    assert_eq!(asking.await.unwrap().0, 201, "its own number, written otherwise");
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_named() {
    let bench = Bench::new().await;
    for (body, field) in [
        (r#"{"to": "sip:a@b"}"#, "from"),
        (r#"["to"]"#, "."),
        (r#"{"to": "sip:a@b", "from": 5}"#, "from"),
        (r#"{"to": "", "from": "5"}"#, "to"),
        (r#"{"to": "sip:a@b", "from": "5", "vars": {"a": 5}}"#, "vars.a"),
        (r#"{"to": "sip:a@b", "from": "5", "ring_s": 0}"#, "ring_s"),
        (r#"{"to": "sip:a@b", "from": "5", "colour": 1}"#, "colour"),
        (r#" ["sip:a@b", "5"]"#, "."),
    ] {
        let (code, problem) = bench.ask("POST", "/v1/calls", &bench.admin, "", body).await;
        assert_eq!((code, problem["field"].as_str()), (400, Some(field)), "{body}: {problem}");
    }
    let (code, problem) = bench.get("/v1/calls?limit=501").await;
    assert_eq!((code, problem["field"].as_str()), (400, Some("limit")));
    for (query, field) in
        [("limit=many", "limit"), ("colour=1", "colour"), ("live=maybe", "live"), ("cursor=x", "cursor")]
    {
        let (code, problem) = bench.get(&format!("/v1/calls?{query}")).await;
        assert_eq!((code, problem["field"].as_str()), (400, Some(field)), "{query}: {problem}");
    }
    assert_eq!(bench.get("/v1/calls?cursor=1_x").await.0, 200, "whatever has the form of a cursor is one");
    assert_eq!(bench.ask("POST", "/v1/calls", &bench.admin, "", &"x".repeat(70_000)).await.0, 413);
}

#[tokio::test]
async fn one_order_makes_one_call_however_often_it_comes() {
    let mut bench = Bench::new().await;
    let body = r#"{"to": "sip:a@b", "from": "1", "vars": {"k": "v"}}"#;
    let (replies, mut orders) = (bench.replies.clone(), std::mem::replace(&mut bench.orders, mpsc::channel(1).1));
    let control = tokio::spawn(async move {
        let mut made = 0;
        while let Some(order) = orders.recv().await {
            let Order::Input(input) = order else { continue };
            let Input::Originate(wish) = *input else { continue };
            made += 1;
            let (request, name) = (wish.request, format!("c-{made}"));
            assert_eq!(wish.vars, [("k".to_owned(), "v".to_owned())]);
            let reply = match made {
                2 => ConsoleReply::Failed { request, failure: Failure::Unreachable, code: None },
                _ => ConsoleReply::Calling { request, call: CallId(made), name },
            };
            replies.send(reply).unwrap();
            if made == 3 {
                break;
            }
        }
    });
    let named = |name: &str| format!("Idempotency-Key: {name}\r\n");
    for code in [201, 200, 200] {
        let (got, begun) = bench.ask("POST", "/v1/calls", &bench.admin, &named("one"), body).await;
        assert_eq!((got, begun["id"].as_str()), (code, Some("c-1")));
    }
    let other = r#"{"to": "sip:c@b", "from": "1"}"#;
    assert_eq!(bench.ask("POST", "/v1/calls", &bench.admin, &named("one"), other).await.0, 409);
    // What failed may be tried again under its name.
    assert_eq!(bench.ask("POST", "/v1/calls", &bench.admin, &named("two"), body).await.0, 409);
    let (code, begun) = bench.ask("POST", "/v1/calls", &bench.admin, &named("two"), body).await;
    assert_eq!((code, begun["id"].as_str()), (201, Some("c-3")));
    control.await.unwrap();
}

#[tokio::test]
async fn a_call_is_steered_and_the_answer_says_how_it_went() {
    let mut bench = Bench::new().await;
    bench.tell("a-1", "4711", Status::InProgress).await;
    let replies = bench.replies.clone();
    let mut orders = std::mem::replace(&mut bench.orders, mpsc::channel(1).1);
    let control = tokio::spawn(async move {
        while let Some(order) = orders.recv().await {
            let Order::Input(input) = order else { continue };
            let Input::Request(asked) = *input else { continue };
            assert_eq!(asked.call, CallId(7));
            let reply = match asked.verb {
                Verb::Hold { .. } => Reply::Failed(Failure::WrongState),
                // It takes its time.
                Verb::Announce { .. } => continue,
                Verb::Hangup => Reply::Done,
                other => panic!("{other:?}"),
            };
            let done = matches!(reply, Reply::Done);
            replies.send(ConsoleReply::Reply { request: asked.id, reply }).unwrap();
            if done {
                break;
            }
        }
    });
    let (code, problem) = bench.ask("POST", "/v1/calls/a-1/hold", &bench.admin, "", "").await;
    assert_eq!((code, problem["type"].as_str()), (409, Some("wrong_state")));
    let (code, outcome) = bench.ask("POST", "/v1/calls/a-1/play", &bench.admin, "", r#"{"text": "hello"}"#).await;
    assert_eq!((code, outcome), (202, json!({"outcome": "begun"})));
    let (code, outcome) = bench.ask("POST", "/v1/calls/a-1/hangup", &bench.admin, "", "").await;
    assert_eq!((code, outcome), (200, json!({"outcome": "done"})));
    control.await.unwrap();
}

#[tokio::test]
async fn health_and_figures_tell_how_the_server_is() {
    let mut bench = Bench::new().await;
    let mut orders = std::mem::replace(&mut bench.orders, mpsc::channel(1).1);
    tokio::spawn(async move {
        let mut draining = false;
        while let Some(order) = orders.recv().await {
            let Order::Figures(to) = order else { continue };
            to.send(Figures { draining, trunks: vec!["carrier".into()], ..Figures::default() }).unwrap();
            draining = true;
        }
    });
    assert_eq!(
        bench.ask("GET", "/healthz", "", "", "").await,
        (200, json!({"status": "ok", "calls": 0, "store": "ok", "disk": "ok"}))
    );
    let (code, health) = bench.ask("GET", "/healthz", "", "", "").await;
    assert_eq!((code, health["status"].as_str()), (503, Some("draining")));
    bench.tell("a-1", "4711", Status::Ringing).await;
    let (code, text) = bench.get("/metrics").await;
    let text = text.as_str().unwrap();
    assert_eq!(code, 200);
    assert!(text.contains("switchhook_calls{state=\"ringing\"} 1\n"), "{text}");
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let value = line.rsplit(' ').next().unwrap();
        assert!(line.starts_with("switchhook_") && value.parse::<f64>().is_ok(), "{line}");
    }
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one story")]
async fn ten_readers_get_every_event_in_order_and_a_stuck_one_delays_nobody_and_hears_what_it_lost() {
    const EVENTS: u64 = 60_000;
    let bench = Bench::new().await;
    let mut readers = Vec::new();
    for _ in 0..10 {
        let mut stream = TcpStream::connect(bench.at).await.unwrap();
        let text = format!("GET /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\r\n", bench.admin);
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut lines = BufReader::new(stream).lines();
        while !lines.next_line().await.unwrap().unwrap().is_empty() {}
        readers.push(lines);
    }
    let mut stuck = readers.pop().unwrap();
    let quick: Vec<_> = readers
        .into_iter()
        .map(|mut lines| {
            tokio::spawn(async move {
                let mut last = 0;
                let mut seen = 0;
                while seen < EVENTS {
                    let line = lines.next_line().await.unwrap().unwrap();
                    let Some(id) = line.strip_prefix("id: ") else {
                        assert!(!line.contains("lost"), "{line} after {seen}");
                        continue;
                    };
                    let id: u64 = id.parse().unwrap();
                    assert!(id > last);
                    (last, seen) = (id, seen + 1);
                }
            })
        })
        .collect();
    let mut facts = 0;
    while facts < EVENTS {
        // Ten thousand a second.
        for _ in 0..100 {
            let progress = Progress {
                id: format!("a-{}", facts / 4),
                call: CallId(1),
                parent: None,
                direction: Direction::Inbound,
                from: "4711".into(),
                to: "100".into(),
                trunk: None,
                sip_call_id: "0123456789abcdef0123456789abcdef".into(),
                start_ms: 1_800_000_000_000,
                answer_ms: None,
                status: Status::Ringing,
                script: None,
            };
            bench.journal.facts.send(Fact::Progress(Box::new(progress))).await.unwrap();
            facts += 1;
        }
        pass(Duration::from_millis(10)).await;
    }
    for reader in quick {
        tokio::time::timeout(Duration::from_secs(60), reader).await.expect("nobody is delayed").unwrap();
    }
    let lost = async {
        loop {
            let line = stuck.next_line().await.unwrap().unwrap();
            if let Some(text) = line.strip_prefix("data: ").filter(|text| text.starts_with("{\"kind\":\"lost\"")) {
                return serde_json::from_str::<Value>(text).unwrap();
            }
        }
    };
    // It wants all events, so what it lost is a row of numbers, whoever lost them.
    let lost = tokio::time::timeout(Duration::from_secs(30), lost).await.expect("it is told");
    let lost = lost["last"].as_u64().unwrap() + 1 - lost["first"].as_u64().unwrap();
    assert!(lost > 1000 && lost < EVENTS, "{lost}");
}
