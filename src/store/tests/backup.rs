//! Copies of all that is kept, and the way back.

use sqlx::Row;

use super::*;
use crate::verbs::{Keep, KeepOp};

/// All rows of a table as text, sorted.
async fn rows(database: &Database, columns: &str, table: &str) -> Vec<String> {
    let pool = database.open(1, false).await.unwrap();
    let text = format!("SELECT {columns} FROM {table}");
    let rows = sqlx::query(sqlx::AssertSqlSafe(text)).fetch_all(&pool).await.unwrap();
    let cell = |row: &sqlx::any::AnyRow, at: usize| {
        row.try_get::<Option<String>, _>(at)
            .map(|text| format!("{text:?}"))
            .or_else(|_| row.try_get::<Option<i64>, _>(at).map(|number| format!("{number:?}")))
            .unwrap()
    };
    let mut all: Vec<String> =
        rows.iter().map(|row| (0..row.len()).map(|at| cell(row, at)).collect::<Vec<_>>().join("|")).collect();
    all.sort();
    all
}

async fn same(a: &Database, b: &Database) {
    for (table, columns) in [
        ("spool", "node, done"),
        ("calls", "node, id, parent, direction, caller, called, trunk, status, stage, end_reason, start_ms, document"),
        ("events", "node, id, at_ms, kind, call, document"),
        ("api_keys", "id, name, hash, scope, numbers, created_ms"),
        ("orders", "owner, name, body, call, at_ms"),
    ] {
        let (a, b) = (rows(a, columns, table).await, rows(b, columns, table).await);
        assert!(!a.is_empty(), "{table}");
        assert_eq!(a.len(), b.len(), "{table}");
        assert!(a == b, "{table}");
    }
}

/// A database with something in every table.
async fn filled(folder: &Path, database: &Database) {
    let running = start(folder, database);
    for call in 0..700 {
        running.tell(progress(&format!("a-{call}"), Status::Ringing)).await;
        running.tell(record(&format!("a-{call}"), 1_800_000_000_000 + call)).await;
    }
    running.tell(progress("open", Status::InProgress)).await;
    running.stop();
    let store = Store::open(database).await.unwrap();
    store.make_key("desk", Scope::Call, &["100".into()], 1).await.unwrap();
    store.order(("k", "n"), "b\u{e4}", ("here", 1)).await.unwrap();
}

/// What scripts keep has a thread of its own.
fn keep_one(folder: &Path, key: &str, value: &str) {
    let (jobs, kept) = tokio::sync::mpsc::channel(1);
    let (answers, mut answered) = tokio::sync::mpsc::channel(1);
    let answer = Box::new(move |_, _, reply| answers.blocking_send(reply).unwrap());
    let thread = spawn_keep(folder, kept, tokio::sync::mpsc::channel(1).0, answer).unwrap();
    let op = KeepOp::Set { key: key.into(), value: Some(value.into()) };
    let job = Keep { flow: crate::ids::FlowId(1), id: crate::ids::RequestId(1), op };
    jobs.blocking_send(job).unwrap();
    assert_eq!(answered.blocking_recv(), Some(crate::verbs::Reply::Done));
    drop(jobs);
    thread.join().unwrap();
}

fn count(counted: &Counted, table: &str) -> Option<u64> {
    counted.iter().find(|(name, _)| name == table).map(|(_, rows)| *rows)
}

#[tokio::test]
async fn a_copy_brings_everything_back_and_mixes_it_with_nothing() {
    let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let database = Database::file(&old.path().join("switchhook.sqlite"));
    filled(old.path(), &database).await;
    std::thread::scope(|scope| scope.spawn(|| keep_one(old.path(), "opened", "1")).join().unwrap());

    // Somebody writes meanwhile: the copy shows one moment.
    let running = start_telling(old.path(), &database, 0, |_| Tell::default());
    let file = new.path().join("copy");
    let counted = backup(&database, old.path(), &file).await.unwrap();
    running.stop();
    assert_eq!((count(&counted, "calls"), count(&counted, "keep")), (Some(701), Some(1)));
    assert!(backup(&database, old.path(), &file).await.is_err(), "a file that is there stays");
    assert_eq!(std::fs::read_dir(new.path()).unwrap().count(), 1, "one file, and nothing beside it");

    let back = Database::file(&new.path().join("switchhook.sqlite"));
    restore(&back, new.path(), &file, false).await.unwrap();
    assert_eq!(rows(&database, "id, document", "calls").await, rows(&back, "id, document", "calls").await);
    let kept = Database::file(&new.path().join("keep.sqlite"));
    assert_eq!(rows(&kept, "key, value", "keep").await, ["Some(\"opened\")|Some(\"1\")"]);
    let open = Store::open(&back).await.unwrap().call("open").await.unwrap().unwrap();
    assert_eq!(open.document["end_reason"], "reconciled", "no server of this name will ever end it");
    assert!(matches!(restore(&back, new.path(), &file, false).await, Err(BackupError::NotEmpty { .. })));
    restore(&back, new.path(), &file, true).await.unwrap();
    assert_eq!(rows(&back, "id", "calls").await.len(), 701);

    // A server that runs is not pulled from under its feet.
    let running = start(new.path(), &back);
    let refused = restore(&back, new.path(), &file, true).await.unwrap_err();
    assert!(refused.to_string().contains("another server"), "{refused}");
    running.stop();
}

#[tokio::test]
async fn a_copy_moves_from_sqlite_to_postgresql_and_back() {
    let Some(postgres) = Postgres::start() else { return };
    let (one, two, three) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let sqlite = Database::file(&one.path().join("switchhook.sqlite"));
    filled(one.path(), &sqlite).await;
    backup(&sqlite, one.path(), &one.path().join("copy")).await.unwrap();
    let pg = Database::parse(&postgres.url()).unwrap();
    restore(&pg, two.path(), &one.path().join("copy"), false).await.unwrap();
    same(&sqlite, &pg).await;
    backup(&pg, two.path(), &two.path().join("copy")).await.unwrap();
    // Under the name of the first server, nobody but itself ends what it left open.
    std::fs::create_dir_all(three.path().join("spool")).unwrap();
    std::fs::copy(one.path().join("spool/name"), three.path().join("spool/name")).unwrap();
    let back = Database::file(&three.path().join("switchhook.sqlite"));
    restore(&back, three.path(), &two.path().join("copy"), false).await.unwrap();
    same(&sqlite, &back).await;
}
