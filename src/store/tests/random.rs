//! Calls in random orders on their way from the journal over the spool into the database, through restarts, runs without
//! a database, torn and spoilt files, and lines that the database gets again: no status goes back, each call has one end,
//! nothing is there twice, and nothing that was told is lost.
//!
//! Eight orders; 300 with `PROOF`. A failure names the seed of its order.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::OpenOptions,
    io::Write,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use serde_json::Value;
use sqlx::Row;

use super::*;
use crate::{
    chance::Chance,
    switch::{Happened, Happening},
};

fn happening(id: &str) -> Fact {
    let (from, to) = ("4711".to_owned(), "100".to_owned());
    let what = Happened::Key { key: Some('5') };
    Fact::Happened(Box::new(Happening { call: Some(id.to_owned()), from, to, what }))
}

/// Calls that go on, each with its next step.
#[derive(Default)]
struct Calls {
    open: Vec<(String, u8)>,
    begun: u64,
}

impl Calls {
    /// The next thing that happens to some call.
    fn next(&mut self, seed: u64, chance: &mut Chance) -> Fact {
        if self.open.is_empty() || chance.below(4) == 0 {
            self.begun += 1;
            self.open.push((format!("{seed}-{}", self.begun), 0));
            let (id, _) = self.open.last().unwrap();
            return progress(id, Status::Initiated);
        }
        let at = chance.below(self.open.len() as u64) as usize;
        let (id, step) = &mut self.open[at];
        let steps = [Status::Initiated, Status::Ringing, Status::InProgress];
        match chance.below(5) {
            0 => record(&self.open.swap_remove(at).0, 1_800_000_000_000),
            1 | 2 => happening(id),
            // Steps may be left out, and told again where another script takes over.
            _ => {
                *step = (*step + chance.below(3) as u8).min(2);
                progress(id, steps[usize::from(*step)])
            }
        }
    }
}

/// What the database says of each call, looked at again and again: it never goes back.
async fn watches(database: Database, done: Arc<AtomicBool>) {
    let store = Store::open(&database).await.unwrap();
    let mut seen: BTreeMap<String, (i64, Option<String>)> = BTreeMap::new();
    loop {
        let last = done.load(Ordering::Relaxed);
        let rows =
            sqlx::query("SELECT id, stage, end_reason FROM calls").fetch_all(&store.pool).await.unwrap_or_default();
        for row in &rows {
            let (id, stage): (String, i64) = (row.get(0), row.get(1));
            let reason: Option<String> = row.get(2);
            if let Some((before, old)) = seen.get(&id) {
                assert!(stage >= *before, "{id} went from {before} back to {stage}");
                assert!(old.is_none() || *old == reason, "{id} ended twice: {old:?}, {reason:?}");
            }
            seen.insert(id, (stage, reason));
        }
        if last {
            return;
        }
        pass(Duration::from_millis(7)).await;
    }
}

/// What somebody is told from now on, until the run ends.
async fn listens(journal: &Journal) -> tokio::task::JoinHandle<Vec<Arc<Event>>> {
    let (to, following) = oneshot::channel();
    journal.questions.send(Question::Follow { after: None, to }).await.unwrap();
    let mut events = following.await.unwrap().events;
    tokio::spawn(async move {
        let mut told = Vec::new();
        while let Ok(event) = events.recv().await {
            told.push(event);
        }
        told
    })
}

/// The last file of the spool gets what a kill or a bad disk leaves there.
fn spoil(folder: &Path, chance: &mut Chance) {
    let files = std::fs::read_dir(folder.join("spool")).unwrap().map(|entry| entry.unwrap().path());
    let last = files.filter(|path| path.extension().is_some_and(|end| end == "jsonl")).max().unwrap();
    let mut file = OpenOptions::new().append(true).open(last).unwrap();
    match chance.below(4) {
        0 => {}
        1 => file.write_all(b"{\"id\":7,\"at_ms\":1,\"kind\":\"call.en").unwrap(),
        2 => file.write_all(b"{\"id\":7,\"at_ms\":1,\"ki\n").unwrap(),
        _ => file.write_all(&[0; 333]).unwrap(),
    }
}

/// The database forgets how far it was, or was restored from a moment before: it gets lines again.
async fn rewind(database: &Database, chance: &mut Chance) {
    let store = Store::open(database).await.unwrap();
    let back = i64::try_from(chance.below(200)).unwrap();
    let text = "UPDATE spool SET done = CASE WHEN done > $1 THEN done - $1 ELSE 0 END";
    sqlx::query(text).bind(back).execute(&store.pool).await.unwrap();
}

/// So many calls have begun, and each has its end.
async fn settles(store: &Store, begun: u64) {
    let ask = |text: &'static str| async move {
        let rows = sqlx::query(text).fetch_all(&store.pool).await.unwrap();
        rows.into_iter().map(|row| row.get::<String, _>(0)).collect::<BTreeSet<_>>()
    };
    loop {
        let ended = ask("SELECT call FROM events WHERE kind = 'call.ended'").await;
        let known = ask("SELECT id FROM calls").await;
        if known.len() as u64 == begun && known.is_subset(&ended) {
            return;
        }
        pass(Duration::from_millis(30)).await;
    }
}

async fn one_order(folder: &Path, database: &Database, seed: u64) {
    let (mut chance, mut calls) = (Chance::new(seed), Calls::default());
    // Its tables are there before two of them look for it at once.
    Store::open(database).await.unwrap();
    let mut told: Vec<Arc<Event>> = Vec::new();
    let nowhere = Database::file(&folder.join("no folder").join("x.sqlite"));
    for run in 0..5 {
        // Now and then nobody has the database.
        let away = run > 0 && run < 4 && chance.below(3) == 0;
        let running = start(folder, if away { &nowhere } else { database });
        let listener = listens(&running.journal).await;
        let done = Arc::new(AtomicBool::new(false));
        let watcher = (!away).then(|| tokio::spawn(watches(database.clone(), done.clone())));
        // The calls of the run before are gone with it.
        calls.open.clear();
        for _ in 0..50 + chance.below(150) {
            running.tell(calls.next(seed, &mut chance)).await;
            if chance.below(40) == 0 {
                pass(Duration::from_millis(chance.below(120))).await;
            }
        }
        running.stop();
        told.extend(listener.await.unwrap());
        done.store(true, Ordering::Relaxed);
        if let Some(watcher) = watcher {
            watcher.await.unwrap();
        }
        spoil(folder, &mut chance);
        if chance.below(2) == 0 && !away {
            rewind(database, &mut chance).await;
        }
    }
    // A last run finds what is left, and tells its end.
    let running = start(folder, database);
    let store = Store::open(database).await.unwrap();
    tokio::time::timeout(Duration::from_secs(30), settles(&store, calls.begun))
        .await
        .unwrap_or_else(|_| panic!("{seed}: some calls have no end"));
    running.stop();
    let mut kept: BTreeMap<u64, String> = BTreeMap::new();
    for number in 1..=calls.begun {
        let id = format!("{seed}-{number}");
        let lines = store.events_of(&id, 0, 10_000).await.unwrap();
        let events: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        check(seed, &id, &events, &store.call(&id).await.unwrap().unwrap().document);
        kept.extend(
            events.iter().zip(lines.iter().cloned()).map(|(event, line)| (event["id"].as_u64().unwrap(), line)),
        );
    }
    for event in told.iter().filter(|event| !event.call.is_empty()) {
        assert_eq!(kept.get(&event.id).map(String::as_str), Some(&*event.line), "{seed}: told, and lost");
    }
}

/// The events of one call, and its row.
fn check(seed: u64, id: &str, events: &[Value], row: &Value) {
    let orders: Vec<u64> = events.iter().map(|event| event["order"].as_u64().unwrap()).collect();
    assert_eq!(orders, (1..=orders.len() as u64).collect::<Vec<_>>(), "seed {seed}, {id}: {events:#?}");
    let ends: Vec<&Value> = events.iter().filter(|event| event["kind"] == "call.ended").collect();
    assert_eq!(ends.len(), 1, "seed {seed}, {id}: {events:#?}");
    assert_eq!(events.last().unwrap()["kind"], "call.ended", "seed {seed}, {id}");
    let rank = |status: &str| ["queued", "initiated", "ringing", "in_progress"].iter().position(|one| *one == status);
    let ranks =
        events.iter().filter_map(|event| event["data"]["status"].as_str()).map(|status| rank(status).unwrap_or(9));
    assert!(ranks.clone().is_sorted(), "seed {seed}, {id}: {events:#?}");
    for field in ["status", "end_reason"] {
        assert_eq!(row[field], ends[0]["data"][field], "seed {seed}, {id}");
    }
}

fn seeds(few: u64) -> std::ops::Range<u64> {
    if std::env::var_os("PROOF").is_some() { 1..301 } else { 1..few + 1 }
}

#[tokio::test(flavor = "multi_thread")]
async fn in_any_order_and_through_any_fault_each_call_ends_once_and_never_goes_back() {
    for seed in seeds(8) {
        let folder = tempfile::tempdir().unwrap();
        one_order(folder.path(), &Database::file(&folder.path().join("x.sqlite")), seed).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn so_it_is_with_postgresql() {
    let Some(postgres) = Postgres::start() else { return };
    let database = Database::parse(&postgres.url()).unwrap();
    for seed in seeds(3).take(20) {
        let folder = tempfile::tempdir().unwrap();
        one_order(folder.path(), &database, seed).await;
        let store = Store::open(&database).await.unwrap();
        for table in ["DELETE FROM calls", "DELETE FROM events", "DELETE FROM spool"] {
            sqlx::query(table).execute(&store.pool).await.unwrap();
        }
    }
}
