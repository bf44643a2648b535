//! A spool whose numbers lie behind what the database has of it.

use sqlx::Row;

use super::*;

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
}

/// A run of the server with these calls, of which the database has all at its end.
async fn run(folder: &Path, database: &Database, calls: &[&str]) {
    let running = start(folder, database);
    let mut stored = running.journal.stored.subscribe();
    for call in calls {
        running.tell(record(call, 1_800_000_000_000)).await;
    }
    let all = async {
        let store = Store::open(database).await.unwrap();
        for call in calls {
            while store.call(call).await.unwrap().is_none() {
                stored.changed().await.unwrap();
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), all).await.expect("the database gets every call");
    running.stop();
}

/// Each call, and how many events it has in the database; none under a number of another.
async fn kept(database: &Database) -> Vec<(String, i64)> {
    let store = Store::open(database).await.unwrap();
    let rows = sqlx::query("SELECT id, document FROM events").fetch_all(&store.pool).await.unwrap();
    for row in rows {
        let line: serde_json::Value = serde_json::from_str(row.get(1)).unwrap();
        assert_eq!(line["id"].as_i64(), Some(row.get::<i64, _>(0)), "{line}");
    }
    let text = "SELECT call, COUNT(*) FROM events WHERE kind = 'call.ended' GROUP BY call ORDER BY call";
    let rows = sqlx::query(text).fetch_all(&store.pool).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

fn once(calls: &[&str]) -> Vec<(String, i64)> {
    calls.iter().map(|call| ((*call).to_owned(), 1)).collect()
}

async fn brings_back_a_copy_of_the_spool(folder: &Path, database: &Database) {
    let (spool, saved) = (folder.join("spool"), folder.join("saved"));
    run(folder, database, &["a1", "a2"]).await;
    copy(&spool, &saved);
    run(folder, database, &["b1", "b2", "b3", "b4", "b5"]).await;
    // The machine is brought back as it was after the first run; the database is another machine's.
    std::fs::remove_dir_all(&spool).unwrap();
    copy(&saved, &spool);
    run(folder, database, &["c1", "c2"]).await;
    assert_eq!(kept(database).await, once(&["a1", "a2", "b1", "b2", "b3", "b4", "b5", "c1", "c2"]));
    // Its numbers go on.
    run(folder, database, &["d1"]).await;
    assert_eq!(kept(database).await.len(), 10);
    // All its files are gone, but it has the name that it had.
    for entry in std::fs::read_dir(&spool).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|end| end == "jsonl") {
            std::fs::remove_file(path).unwrap();
        }
    }
    run(folder, database, &["e1"]).await;
    assert_eq!(kept(database).await.len(), 11);
}

#[tokio::test]
async fn a_spool_that_is_brought_back_from_a_copy_loses_nothing_to_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    brings_back_a_copy_of_the_spool(folder.path(), &Database::file(&folder.path().join("x.sqlite"))).await;
}

#[tokio::test]
async fn a_spool_that_is_brought_back_from_a_copy_loses_nothing_to_postgresql() {
    let Some(postgres) = Postgres::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    brings_back_a_copy_of_the_spool(folder.path(), &Database::parse(&postgres.url()).unwrap()).await;
}

#[tokio::test]
async fn what_happened_between_the_copy_and_the_return_of_the_database_is_kept_too() {
    let folder = tempfile::tempdir().unwrap();
    let (spool, saved, data) = (folder.path().join("spool"), folder.path().join("saved"), folder.path().join("data"));
    std::fs::create_dir(&data).unwrap();
    let database = Database::file(&data.join("x.sqlite"));
    run(folder.path(), &database, &["a1"]).await;
    copy(&spool, &saved);
    run(folder.path(), &database, &["b1", "b2", "b3", "b4", "b5", "b6", "b7", "b8"]).await;
    std::fs::remove_dir_all(&spool).unwrap();
    copy(&saved, &spool);
    let away = folder.path().join("away");
    std::fs::rename(&data, &away).unwrap();
    let running = start(folder.path(), &database);
    running.tell(record("c1", 1_800_000_000_000)).await;
    let mut written = running.journal.written.clone();
    written.wait_for(|last| *last >= 4).await.unwrap();
    running.stop();
    std::fs::rename(&away, &data).unwrap();
    run(folder.path(), &database, &["d1"]).await;
    let calls = ["a1", "b1", "b2", "b3", "b4", "b5", "b6", "b7", "b8", "c1", "d1"];
    assert_eq!(kept(&database).await, once(&calls));
}

#[tokio::test]
async fn a_reader_that_comes_again_after_such_a_jump_gets_what_is_new() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::file(&folder.path().join("x.sqlite"));
    let (spool, saved) = (folder.path().join("spool"), folder.path().join("saved"));
    run(folder.path(), &database, &["a1"]).await;
    copy(&spool, &saved);
    run(folder.path(), &database, &["b1", "b2", "b3"]).await;
    std::fs::remove_dir_all(&spool).unwrap();
    copy(&saved, &spool);
    let running = start(folder.path(), &database);
    let store = Store::open(&database).await.unwrap();
    let mut written = running.journal.written.clone();
    // a1 and b1 to b3 with two starts are 1 to 6; the third start was 3 first, and is 7.
    written.wait_for(|last| *last == 7).await.unwrap();
    let mut reader = followed(&running.journal).await;
    running.tell(record("c1", 1_800_000_000_000)).await;
    assert_eq!(reader.recv().await.unwrap().id, 8);
    running.stop();
    let after = store.events_after(&spool::name(&spool).unwrap(), 6, 10).await.unwrap();
    assert_eq!(after.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [7, 8]);
}
