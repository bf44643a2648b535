//! Facts on their way into the database, with each of the two kinds of database.

mod backup;
mod behind;
mod desk;
mod left_recordings;
mod lost;
mod postgres;
mod random;
mod roster;

use std::{path::Path, sync::Arc, time::Duration};

use tokio::sync::{broadcast, oneshot};

use self::postgres::Postgres;
use super::*;
use crate::{
    ids::CallId,
    io::{Fact, clock::Clock, disk::ToDisk, pass, ring::Ring},
    switch::{CallRecord, Direction, Happened, Happening, MessageRecord, Progress, Status},
};

fn progress(id: &str, status: Status) -> Fact {
    Fact::Progress(Box::new(Progress {
        id: id.into(),
        call: CallId(1),
        parent: None,
        direction: Direction::Inbound,
        from: "4711".into(),
        to: "100".into(),
        trunk: None,
        sip_call_id: "x\"\\\n\u{e4}".into(),
        start_ms: 1_800_000_000_000,
        answer_ms: (status == Status::InProgress).then_some(1_800_000_001_000),
        status,
        script: Some("menu.lua".into()),
    }))
}

fn record(id: &str, at_ms: u64) -> Fact {
    Fact::Record(Box::new(CallRecord {
        start_ms: at_ms,
        answer_ms: Some(at_ms + 1000),
        end_ms: at_ms + 5000,
        talk_seconds: 4.0,
        total_seconds: 5.0,
        q850: Some(16),
        script: Some("menu.lua".into()),
        ..CallRecord::sample(id)
    }))
}

/// The events from now on.
async fn followed(journal: &Journal) -> broadcast::Receiver<Arc<Event>> {
    let (to, follow) = oneshot::channel();
    journal.questions.send(Question::Follow { after: None, to }).await.unwrap();
    follow.await.unwrap().events
}

/// The calls that go on.
async fn live(journal: &Journal) -> Vec<Arc<Progress>> {
    let (to, live) = oneshot::channel();
    journal.questions.send(Question::Live(to)).await.unwrap();
    live.await.unwrap().into_iter().map(|(call, _)| call).collect()
}

/// Somebody speaks loudest in a room.
fn speaker(call: &str) -> Fact {
    let what = Happened::Speaker { room: "team".into() };
    Fact::Happened(Box::new(Happening { call: Some(call.into()), from: "4711".into(), to: "100".into(), what }))
}

fn message(direction: Direction, code: Option<u16>) -> Fact {
    Fact::Message(Box::new(MessageRecord {
        id: "1-m2".into(),
        direction,
        call: Some("a-1".into()),
        from: "4711".into(),
        to: "100".into(),
        trunk: None,
        script: Some("sms.lua".into()),
        media_type: "text/plain".into(),
        bytes: 5,
        start_ms: 1_800_000_000_000,
        end_ms: 1_800_000_000_300,
        code,
        error: None,
    }))
}

struct Running {
    journal: Journal,
    writer: std::thread::JoinHandle<()>,
    ready: oneshot::Receiver<()>,
}

fn start(folder: &Path, database: &Database) -> Running {
    start_keeping(folder, database, 0)
}

/// Keeps events and records for so many days.
fn start_keeping(folder: &Path, database: &Database, days: u32) -> Running {
    start_telling(folder, database, days, |journal| Tell { facts: Some(journal.facts.downgrade()), lines: None })
}

fn start_telling(folder: &Path, database: &Database, days: u32, tell: impl Fn(&Journal) -> Tell) -> Running {
    let config = JournalConfig { folder: folder.join("spool"), limit: 1 << 30, clock: Clock::start() };
    let journal = spawn_journal(config).unwrap();
    let config = WriterConfig {
        database: database.clone(),
        folder: folder.join("spool"),
        days: Days { events: days, records: days, audit: days },
        reconciled: tell(&journal),
    };
    let (told, ready) = oneshot::channel();
    let writer = spawn_writer(config, journal.line(), told).unwrap();
    Running { journal, writer, ready }
}

impl Running {
    async fn tell(&self, fact: Fact) {
        self.journal.facts.send(fact).await.unwrap();
    }

    fn stop(self) {
        drop(self.journal.facts);
        self.journal.thread.join().unwrap();
        self.writer.join().unwrap();
    }
}

fn filter(limit: u32) -> CallFilter {
    CallFilter { limit, ..CallFilter::default() }
}

#[allow(clippy::too_many_lines, reason = "one story")]
async fn keeps_and_finds(folder: &Path, database: &Database) {
    let running = start(folder, database);
    for step in [Status::Initiated, Status::Ringing, Status::InProgress] {
        running.tell(progress("a-1", step)).await;
        running.tell(progress("a-2", step)).await;
    }
    // What happens on a call is an event of it, and says nothing of how the call stands.
    for call in ["a-1", "a-2"] {
        running.tell(speaker(call)).await;
    }
    running.tell(speaker("nobody")).await;
    // A message is no event of its call, and no call.
    running.tell(message(Direction::Inbound, Some(200))).await;
    running.tell(record("a-1", 1_800_000_000_000)).await;
    for call in 0..130 {
        running.tell(record(&format!("b-{call:03}"), 1_800_000_100_000 + 10 * (call / 2))).await;
    }
    running.stop();
    let store = Store::open(database).await.unwrap();
    let done = store.call("a-1").await.unwrap().unwrap();
    assert_eq!((done.document["status"].as_str(), done.document["q850"].as_u64()), (Some("completed"), Some(16)));
    let open = store.call("a-2").await.unwrap().unwrap();
    assert_eq!((open.document["status"].as_str(), open.document["end_reason"].as_str()), (Some("in_progress"), None));
    // Pages meet without a gap and without a repetition.
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = store.calls(&CallFilter { after, ..filter(7) }).await.unwrap();
        seen.extend(page.calls.into_iter().map(|call| call.id));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let mut sorted = seen.clone();
    sorted.sort();
    sorted.dedup();
    assert_eq!((seen.len(), sorted.len()), (132, 132));
    assert_eq!(seen[0], "b-129");
    let events = store.events_of("a-1", 0, 1000).await.unwrap();
    let kinds: Vec<String> = events
        .iter()
        .map(|e| serde_json::from_str::<serde_json::Value>(e).unwrap()["kind"].as_str().unwrap().into())
        .collect();
    assert_eq!(kinds, ["call.initiated", "call.ringing", "call.in_progress", "room.speaker", "call.ended"]);
    let strangers = CallFilter { numbers: vec!["999".into()], ..filter(10) };
    assert!(store.calls(&strangers).await.unwrap().calls.is_empty());
    let mine = CallFilter { numbers: vec!["999".into(), "100".into()], number: vec!["4711".into()], ..filter(500) };
    assert_eq!(store.calls(&mine).await.unwrap().calls.len(), 132);
    let between = CallFilter { since_ms: Some(1_800_000_100_000), until_ms: Some(1_800_000_100_010), ..filter(500) };
    assert_eq!(store.calls(&between).await.unwrap().calls.len(), 2);

    // The next run finds what this one left behind.
    let running = start(folder, database);
    running.tell(record("c-1", 1_800_000_200_000)).await;
    running.stop();
    let left = store.call("a-2").await.unwrap().unwrap();
    assert_eq!(
        (left.document["status"].as_str(), left.document["end_reason"].as_str()),
        (Some("completed"), Some("reconciled"))
    );
    let done = store.call("a-1").await.unwrap().unwrap();
    assert_eq!(done.document["end_reason"].as_str(), Some("caller_hangup"), "what was over stays as it was");
    assert_eq!(store.calls(&filter(500)).await.unwrap().calls.len(), 133);
    tells_once_what_was_left_behind(folder, database, &store).await;

    let (key, secret) = store.make_key("desk", Scope::Call, &["100".into()], 1).await.unwrap();
    assert_eq!(store.find_key(&secret_hash(&secret)).await.unwrap(), Some(key.clone()));
    assert_eq!(store.find_key(&key.id).await.unwrap(), None);
    let german = crate::switch::Dialling { country: "49".into(), ..Default::default() };
    assert!(key.sees(&german, ["1", "100"]) && !key.sees(&german, ["1", "2"]));
    assert!(store.remove_key(&key.id).await.unwrap() && !store.remove_key(&key.id).await.unwrap());
    assert_eq!(store.order(("k", "n"), "body", ("here", 1)).await.unwrap(), None);
    store.ordered(("k", "n"), Some("call")).await.unwrap();
    let before = Ordered { body: "body".into(), call: Some("call".into()), at_ms: 1, node: "here".into() };
    assert_eq!(store.order(("k", "n"), "other", ("there", 2)).await.unwrap(), Some(before));
    assert!(!store.order_again(("k", "n"), 1, 2).await.unwrap(), "its call is known");
    assert_eq!(store.order(("k", "m"), "body", ("here", 1)).await.unwrap(), None);
    assert!(store.order_again(("k", "m"), 1, 2).await.unwrap());
    assert!(!store.order_again(("k", "m"), 1, 2).await.unwrap(), "once");
}

/// The call `a-2`, which an earlier run left behind, gets its last event and its record, however often servers start.
async fn tells_once_what_was_left_behind(folder: &Path, database: &Database, store: &Store) {
    let lines = Ring::new(64).unwrap();
    for run in 0..3 {
        let tell = |journal: &Journal| Tell { facts: Some(journal.facts.downgrade()), lines: Some(lines.clone()) };
        let running = start_telling(folder, database, 0, tell);
        let told = async {
            while store.events_of("a-2", 0, 100).await.unwrap().len() < 5 {
                pass(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), told).await.expect("its end is told");
        if run == 0 {
            let (to, totals) = oneshot::channel();
            running.journal.questions.send(Question::Totals(to)).await.unwrap();
            let reconciled = totals.await.unwrap().ended.get(&("completed".into(), "reconciled".into())).copied();
            assert!(matches!(reconciled, None | Some(1)), "{reconciled:?}");
        }
        running.stop();
    }
    let events = store.events_of("a-2", 0, 100).await.unwrap();
    let last: serde_json::Value = serde_json::from_str(events.last().unwrap()).unwrap();
    assert_eq!((events.len(), last["kind"].as_str(), last["order"].as_u64()), (5, Some("call.ended"), Some(5)));
    assert_eq!(last["data"]["end_reason"].as_str(), Some("reconciled"));
    let kept = store.call("a-2").await.unwrap().unwrap().document;
    assert_eq!((kept["end_reason"].as_str(), kept["code"].as_u64()), (Some("reconciled"), Some(200)), "a whole record");
    let Some(ToDisk::CallRecord { line, .. }) = lines.pop() else { return };
    assert!(line.contains("\"a-2\"") && lines.pop().is_none(), "{line}");
}

#[tokio::test]
async fn sqlite_keeps_every_call_once_and_finds_it() {
    let folder = tempfile::tempdir().unwrap();
    keeps_and_finds(folder.path(), &Database::file(&folder.path().join("a b?.sqlite"))).await;
}

#[tokio::test]
async fn postgresql_keeps_every_call_once_and_finds_it_and_may_be_gone_for_a_while() {
    let Some(postgres) = Postgres::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let database = Database::parse(&postgres.url()).unwrap();
    keeps_and_finds(folder.path(), &database).await;
    desk::keeps_what_people_work_with(folder.path(), &database).await;
    roster::keeps_the_roster(&database).await;
    roster::names_no_agent_that_goes(&database).await;

    let running = start(folder.path(), &database);
    for call in 0..300 {
        running.tell(record(&format!("d-{call}"), 1_800_000_300_000)).await;
        match call {
            100 => postgres.down(),
            200 => postgres.up(),
            _ => pass(Duration::from_millis(5)).await,
        }
    }
    let Running { journal, writer, ready } = running;
    // It was there at the start.
    let _ = ready.await;
    let store = Store::open(&database).await.unwrap();
    let found = async {
        while store.call("d-299").await.ok().flatten().is_none() {
            pass(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), found).await.expect("what waited comes");
    for call in 0..300 {
        let events = store.events_of(&format!("d-{call}"), 0, 1000).await.unwrap();
        assert_eq!(events.len(), 1, "{call}");
    }
    drop(journal.facts);
    journal.thread.join().unwrap();
    writer.join().unwrap();
}

#[tokio::test]
async fn a_full_disk_is_waited_for_and_nothing_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let config = JournalConfig { folder: folder.path().into(), limit: 12 << 20, clock: Clock::start() };
    let mut journal = spawn_journal(config).unwrap();
    // Far more than there is room for.
    for call in 0..40_000 {
        journal.facts.send(record(&format!("e-{call}"), 1)).await.unwrap();
    }
    let stuck = async {
        let mut last = 0;
        loop {
            // Batches come every 20 ms while there is room.
            pass(Duration::from_secs(2)).await;
            let now = *journal.written.borrow();
            if now == last {
                return last;
            }
            last = now;
        }
    };
    let full = stuck.await;
    assert!(full > 1000 && full < 40_001, "{full}");
    // Calls go on meanwhile, and are shown.
    journal.facts.send(progress("live", Status::Ringing)).await.unwrap();
    let (to, live) = oneshot::channel();
    while journal.facts.capacity() < journal::WAITING {
        pass(Duration::from_millis(10)).await;
    }
    pass(Duration::from_millis(100)).await;
    journal.questions.send(Question::Live(to)).await.unwrap();
    assert_eq!(live.await.unwrap().len(), 1);
    // Somebody reads, and there is room again: all comes, each once.
    let mut tail = spool::Tail::after(folder.path(), 0);
    let mut due = 1;
    let all = async {
        while due <= 40_002 {
            let end = *journal.written.borrow_and_update();
            for (number, _) in tail.read(end, 1000).unwrap() {
                assert_eq!(number, due);
                due += 1;
            }
            tail.forget(due - 1).unwrap();
            if due > end && due <= 40_002 {
                journal.written.changed().await.unwrap();
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), all).await.expect("all that waited comes");
}

#[tokio::test]
async fn what_became_of_a_message_is_an_event_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let config = JournalConfig { folder: folder.path().into(), limit: 1 << 30, clock: Clock::start() };
    let journal = spawn_journal(config).unwrap();
    let mut reader = followed(&journal).await;
    for (direction, code, kind) in [
        (Direction::Inbound, Some(202), "message.received"),
        (Direction::Inbound, Some(404), "message.refused"),
        (Direction::Outbound, Some(200), "message.sent"),
        (Direction::Outbound, None, "message.failed"),
    ] {
        journal.facts.send(message(direction, code)).await.unwrap();
        let event = reader.recv().await.unwrap();
        assert_eq!((event.kind, event.call.as_str()), (kind, ""));
        assert_eq!(event.parties, ["4711", "100"]);
        let line: serde_json::Value = serde_json::from_str(&event.line).unwrap();
        assert_eq!((&line["call"], &line["data"]["bytes"]), (&serde_json::Value::Null, &5.into()));
        assert_eq!(line["data"]["code"], serde_json::json!(code));
    }
    assert!(live(&journal).await.is_empty(), "it is no call");
}

#[tokio::test]
async fn a_reader_is_told_what_is_on_disk_and_which_calls_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let config = JournalConfig { folder: folder.path().into(), limit: 1 << 30, clock: Clock::start() };
    let journal = spawn_journal(config).unwrap();
    let mut reader = followed(&journal).await;
    journal.facts.send(progress("a", Status::Ringing)).await.unwrap();
    let event = reader.recv().await.unwrap();
    assert_eq!((event.id, event.kind, event.call.as_str()), (2, "call.ringing", "a"));
    assert_eq!(live(&journal).await[0].id, "a");
    assert!(*journal.written.borrow() >= 2);
    let mut on_disk = spool::Tail::after(folder.path(), 0);
    let lines = on_disk.read(2, 10).unwrap();
    assert_eq!(lines[1].1, &*event.line);
    journal.facts.send(record("a", 1)).await.unwrap();
    assert_eq!(reader.recv().await.unwrap().kind, "call.ended");
    assert!(live(&journal).await.is_empty());
}

#[tokio::test]
async fn what_is_too_old_goes_in_pieces_and_the_rest_stays() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::file(&folder.path().join("x.sqlite"));
    let running = start(folder.path(), &database);
    let today = u64::try_from(Clock::start().epoch().unix(crate::time::Time::START).as_millis()).unwrap();
    for call in 0..2500 {
        running.tell(record(&format!("old-{call}"), 1)).await;
        running.tell(record(&format!("new-{call}"), today)).await;
    }
    running.stop();
    // Their events came just now: they are made as old as the calls.
    let pool = database.open(1, false).await.unwrap();
    sqlx::query("UPDATE events SET at_ms = 1 WHERE id <= 3000").execute(&pool).await.unwrap();
    let count = |table: &'static str| {
        let pool = pool.clone();
        async move {
            let text = sqlx::AssertSqlSafe(format!("SELECT COUNT(*) FROM {table}"));
            sqlx::Row::get::<i64, _>(&sqlx::query(text).fetch_one(&pool).await.unwrap(), 0)
        }
    };
    assert_eq!((count("events").await, count("calls").await), (5001, 5000));
    let store = Store::open(&database).await.unwrap();
    for at_ms in [1, i64::try_from(today).unwrap()] {
        let [who, what, about, outcome] = ["k", "call.hangup", "a-1", "done"].map(str::to_owned);
        store.note(&Done { at_ms, who, what, about, outcome }).await.unwrap();
    }
    // Half of each of these is old.
    for rows in [
        "audit (at_ms, who, what, about) SELECT at, 'k', 'x', n FROM at",
        "orders (owner, name, body, call, at_ms) SELECT 'o', 'n' || n, 'b', '', at FROM at",
        "transcripts (call, turn, at_ms, who, text) SELECT 'c', n, at, 'w', 't' FROM at",
        "recordings (node, id, call, file, at_ms, caller, called) SELECT 'n', 'r' || n, 'c', 'f', at, '1', '2' FROM at",
    ] {
        let text = format!(
            "WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 5000), \
             at (n, at) AS (SELECT n, CASE WHEN n % 2 = 0 THEN 1 ELSE {today} END FROM c) INSERT INTO {rows}"
        );
        sqlx::query(sqlx::AssertSqlSafe(text)).execute(&pool).await.unwrap();
    }
    let running = start_keeping(folder.path(), &database, 2);
    running.tell(record("last", today)).await;
    let wanted = [
        ("calls", 2501),
        ("events", 2003),
        ("audit", 2501),
        ("orders", 2500),
        ("transcripts", 2500),
        ("recordings", 2500),
    ];
    let gone = async {
        for (table, left) in wanted {
            while count(table).await != left {
                pass(Duration::from_millis(20)).await;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), gone).await.expect("old ones go");
    running.stop();
    for (table, left) in wanted {
        assert_eq!(count(table).await, left, "{table}");
    }
    assert!(store.call("old-7").await.unwrap().is_none());
    assert!(store.call("new-7").await.unwrap().is_some());
}

#[tokio::test]
async fn the_end_of_a_call_is_at_hand_before_the_database_has_it() {
    let folder = tempfile::tempdir().unwrap();
    let config = JournalConfig { folder: folder.path().into(), limit: 1 << 30, clock: Clock::start() };
    let journal = spawn_journal(config).unwrap();
    let mut reader = followed(&journal).await;
    for call in 0..3000 {
        journal.facts.send(record(&format!("a-{call}"), 1)).await.unwrap();
    }
    while reader.recv().await.unwrap().call != "a-2999" {}
    let ended = async |id: &str| {
        let (to, found) = oneshot::channel();
        journal.questions.send(Question::Ended(id.into(), to)).await.unwrap();
        found.await.unwrap()
    };
    assert_eq!(ended("a-2999").await.unwrap().kind, "call.ended");
    assert_eq!(ended("a-2000").await.unwrap().call, "a-2000");
    assert_eq!(ended("a-7").await.unwrap().call, "a-7");
    journal.stored.send_replace(Stored { done: Some(1001), failing: false });
    assert!(ended("a-7").await.is_none(), "the database has it");
    assert_eq!(ended("a-1000").await.unwrap().call, "a-1000");
    assert!(ended("b").await.is_none());
}
