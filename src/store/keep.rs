//! The persistent key-value store of the scripts: one SQLite table.

use std::{io, path::Path, thread};

use sqlx::{
    ConnectOptions, Connection, Row, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};
use tokio::sync::mpsc;

use crate::{
    ids::{FlowId, RequestId},
    verbs::{Failure, Keep, KeepOp, Reply},
};

/// Its file in the folder of what is kept.
pub(super) const FILE: &str = "keep.sqlite";
/// How its table is made.
pub(super) const TABLE: &str =
    "CREATE TABLE IF NOT EXISTS keep (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID";
const MAX_KEY: usize = 256;
const MAX_VALUE: usize = 65_536;

/// Whom an answer goes to.
pub type Answer = Box<dyn FnMut(FlowId, RequestId, Reply) + Send>;

/// Open the store in `folder` and start its thread. It ends when the sender of `jobs` is gone. What is asked of the list of
/// contacts, and of queues and agents, goes on to `lookup`.
pub fn spawn(
    folder: &Path,
    mut jobs: mpsc::Receiver<Keep>,
    lookup: mpsc::Sender<Keep>,
    mut answer: Answer,
) -> io::Result<thread::JoinHandle<()>> {
    std::fs::create_dir_all(folder)?;
    let file = folder.join(FILE);
    let runtime = crate::io::runtime()?;
    let mut store = runtime
        .block_on(Store::open(&file))
        .map_err(|error| io::Error::other(format!("{}: {error}", file.display())))?;
    thread::Builder::new().name("keep".into()).spawn(move || {
        // The answer may have to wait for room, which nobody may do within the runtime.
        while let Some(Keep { flow, id, op }) = jobs.blocking_recv() {
            if matches!(op, KeepOp::Contact { .. } | KeepOp::Resource { .. }) {
                if lookup.try_send(Keep { flow, id, op }).is_err() {
                    answer(flow, id, Reply::Failed(Failure::Store("too many ask the database".into())));
                }
                continue;
            }
            let reply = runtime.block_on(store.run(op)).unwrap_or_else(Reply::Failed);
            answer(flow, id, reply);
        }
        // Losing the last checkpoint loses nothing: the log is read at the next start.
        let _ = runtime.block_on(store.connection.close());
    })
}

struct Store {
    connection: SqliteConnection,
}

impl Store {
    async fn open(file: &Path) -> Result<Store, sqlx::Error> {
        let options = SqliteConnectOptions::new()
            .filename(file)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .disable_statement_logging();
        let mut connection = options.connect().await?;
        sqlx::query(TABLE).execute(&mut connection).await?;
        Ok(Store { connection })
    }

    async fn run(&mut self, op: KeepOp) -> Result<Reply, Failure> {
        match op {
            // Asked elsewhere.
            KeepOp::Contact { .. } => Ok(Reply::Contact(None)),
            KeepOp::Resource { .. } => Ok(Reply::Resource(None)),
            KeepOp::Get { key } => Ok(Reply::Value(self.get(&checked(key)?).await.map_err(failed)?)),
            KeepOp::Set { key, value } => {
                let key = checked(key)?;
                match value {
                    Some(value) if value.len() > MAX_VALUE => {
                        Err(Failure::Store(format!("a value of {} bytes; allowed: up to {MAX_VALUE}", value.len())))
                    }
                    Some(value) => self.set(&key, &value).await.map(|()| Reply::Done).map_err(failed),
                    None => self.remove(&key).await.map(|()| Reply::Done).map_err(failed),
                }
            }
            // This thread alone writes, so reading and writing are one step.
            KeepOp::Add { key, by } => {
                let key = checked(key)?;
                let old = self.get(&key).await.map_err(failed)?;
                let number = match old.as_deref().map(str::parse::<i64>) {
                    None => 0,
                    Some(Ok(number)) => number,
                    Some(Err(_)) => return Err(Failure::Store(format!("the value of `{key}` is not a whole number"))),
                };
                let sum = number
                    .checked_add(by)
                    .ok_or_else(|| Failure::Store(format!("the value of `{key}` would exceed 64 bits")))?
                    .to_string();
                self.set(&key, &sum).await.map_err(failed)?;
                Ok(Reply::Value(Some(sum)))
            }
        }
    }

    async fn get(&mut self, key: &str) -> Result<Option<String>, sqlx::Error> {
        let row =
            sqlx::query("SELECT value FROM keep WHERE key = ?").bind(key).fetch_optional(&mut self.connection).await?;
        row.map(|row| row.try_get(0)).transpose()
    }

    async fn set(&mut self, key: &str, value: &str) -> Result<(), sqlx::Error> {
        sqlx::query(
            "INSERT INTO keep (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        )
        .bind(key)
        .bind(value)
        .execute(&mut self.connection)
        .await
        .map(drop)
    }

    async fn remove(&mut self, key: &str) -> Result<(), sqlx::Error> {
        sqlx::query("DELETE FROM keep WHERE key = ?").bind(key).execute(&mut self.connection).await.map(drop)
    }
}

fn checked(key: String) -> Result<String, Failure> {
    if key.is_empty() || key.len() > MAX_KEY {
        return Err(Failure::Store(format!("a key of {} bytes; allowed: 1 to {MAX_KEY}", key.len())));
    }
    Ok(key)
}

fn failed(error: sqlx::Error) -> Failure {
    Failure::Store(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(key: &str) -> KeepOp {
        KeepOp::Get { key: key.into() }
    }

    fn set(key: &str, value: Option<&str>) -> KeepOp {
        KeepOp::Set { key: key.into(), value: value.map(Into::into) }
    }

    #[tokio::test]
    async fn a_value_outlives_the_store_that_kept_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.sqlite");
        let mut store = Store::open(&file).await.unwrap();
        assert_eq!(store.run(get("a")).await, Ok(Reply::Value(None)));
        assert_eq!(store.run(set("a", Some("1"))).await, Ok(Reply::Done));
        assert_eq!(store.run(KeepOp::Add { key: "a".into(), by: 41 }).await, Ok(Reply::Value(Some("42".into()))));
        store.connection.close().await.unwrap();
        let mut store = Store::open(&file).await.unwrap();
        assert_eq!(store.run(get("a")).await, Ok(Reply::Value(Some("42".into()))));
        assert_eq!(store.run(set("a", None)).await, Ok(Reply::Done));
        assert_eq!(store.run(get("a")).await, Ok(Reply::Value(None)));
    }

    #[tokio::test]
    async fn what_does_not_fit_is_refused_and_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open(&folder.path().join("x.sqlite")).await.unwrap();
        assert!(matches!(store.run(get("")).await, Err(Failure::Store(_))));
        assert!(matches!(store.run(set("k", Some(&"v".repeat(70_000)))).await, Err(Failure::Store(_))));
        store.run(set("word", Some("x"))).await.unwrap();
        let sum = store.run(KeepOp::Add { key: "word".into(), by: 1 }).await;
        assert!(matches!(sum, Err(Failure::Store(why)) if why.contains("whole number")));
        assert_eq!(store.run(get("word")).await, Ok(Reply::Value(Some("x".into()))));
        store.run(set("most", Some(&i64::MAX.to_string()))).await.unwrap();
        assert!(store.run(KeepOp::Add { key: "most".into(), by: 1 }).await.is_err());
    }
}
