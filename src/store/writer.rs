//! From the spool into the database, in order, each line once: how far it got is kept in the database itself, and
//! changes in the same transaction.

use std::{collections::BTreeMap, io, path::PathBuf, thread, time::Duration};

use sqlx::{Any, AnyPool, Row, Transaction};
use tokio::sync::{oneshot, watch};

use super::{
    Database,
    event::{STARTED, Written},
    retention::Retention,
    rows::{EventRow, Statements},
    spool::{self, Tail},
};

/// Lines in one transaction.
const BATCH: usize = 2000;
/// Lines gather for so long: one transaction for many costs little more than one for one, and a call whose steps come
/// together is written once.
const GATHER: Duration = Duration::from_millis(250);
/// A lost database is looked for again after so long.
const AGAIN: Duration = Duration::from_secs(1);
/// A database that says nothing for so long is taken for lost: whoever it was that answered may be gone without a word.
const PATIENCE: Duration = Duration::from_secs(120);

/// Calls of one server that are open were left behind.
const RECONCILE: &str = "UPDATE calls SET status = CASE WHEN answer_ms IS NULL THEN 'failed' ELSE 'completed' END, stage = 4, \
     end_reason = 'reconciled', end_ms = $1 WHERE node = $2 AND end_reason IS NULL";
/// So were the open ones of all servers but one; they ended nobody knows when.
pub(super) const RECONCILE_OTHERS: &str = "UPDATE calls SET status = CASE WHEN answer_ms IS NULL THEN 'failed' ELSE 'completed' END, stage = 4, \
     end_reason = 'reconciled', end_ms = COALESCE(answer_ms, start_ms) WHERE node <> $1 AND end_reason IS NULL";

/// What the writer is told.
#[derive(Clone, Debug)]
pub struct WriterConfig {
    /// Which database.
    pub database: Database,
    /// Folder of the spool.
    pub folder: PathBuf,
    /// Events older than so many days are forgotten; 0: never.
    pub event_days: u32,
    /// Call records older than so many days are forgotten; 0: never.
    pub record_days: u32,
}

/// Start the thread. It ends soon after `written` is closed, where the database is there; what is left then stays in the
/// spool for the next start. `ready` is told when the database was reached first, and all of the spool was in it.
pub fn spawn(
    config: WriterConfig,
    written: watch::Receiver<u64>,
    ready: oneshot::Sender<()>,
) -> io::Result<thread::JoinHandle<()>> {
    let node = spool::name(&config.folder)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let retention = Retention::new(config.event_days, config.record_days);
    let statements = Statements::new(config.database.is_sqlite());
    let writer =
        Writer { config, node, written, ready: Some(ready), pool: None, failing: false, retention, statements };
    thread::Builder::new().name("store".into()).spawn(move || runtime.block_on(writer.run()))
}

struct Writer {
    config: WriterConfig,
    node: String,
    written: watch::Receiver<u64>,
    ready: Option<oneshot::Sender<()>>,
    pool: Option<AnyPool>,
    failing: bool,
    retention: Retention,
    statements: Statements,
}

/// Why a turn failed.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    #[error("the spool: {0}")]
    Spool(#[from] io::Error),
    #[error("no answer within {} s", PATIENCE.as_secs())]
    Silent,
}

impl Writer {
    async fn run(mut self) {
        loop {
            match self.work().await {
                Ok(()) => break,
                Err(error) => {
                    if !self.failing {
                        tracing::error!(%error, "the database takes nothing; what it should have waits in the spool");
                    }
                    (self.failing, self.pool) = (true, None);
                }
            }
            if self.written.has_changed().is_err() {
                break;
            }
            super::wait(AGAIN).await;
        }
        if let Some(pool) = self.pool {
            pool.close().await;
        }
    }

    /// Until the journal has ended and all of it is in the database.
    async fn work(&mut self) -> Result<(), Trouble> {
        // A line leaves the spool when the database says that it has it.
        let pool = self.config.database.open(1, true).await?;
        self.pool = Some(pool.clone());
        let mut done = self.position(&pool).await?;
        let mut tail = Tail::after(&self.config.folder, done);
        loop {
            let open = self.written.has_changed().is_ok();
            let end = *self.written.borrow_and_update();
            while done < end {
                let lines = tail.read(end, BATCH)?;
                let Some(last) = lines.last().map(|(number, _)| *number) else {
                    tracing::error!(from = done + 1, to = end, "the spool has lost lines");
                    done = end;
                    break;
                };
                let put = tokio::time::timeout(PATIENCE, self.put(&pool, &lines, last)).await;
                let latest = put.map_err(|_| Trouble::Silent)??;
                done = last;
                tail.forget(done)?;
                self.retention.look(&pool, latest).await?;
                self.retention.step(&pool).await?;
            }
            if std::mem::take(&mut self.failing) {
                tracing::warn!("the database is there again, and has all that waited for it");
            }
            if let Some(ready) = self.ready.take() {
                // Who waited may be gone.
                let _ = ready.send(());
            }
            if !open {
                return Ok(());
            }
            // Nothing waits: there is time to forget something, piece by piece.
            if self.retention.step(&pool).await? {
                continue;
            }
            if self.written.changed().await.is_ok() {
                super::wait(GATHER).await;
            }
        }
    }

    async fn position(&self, pool: &AnyPool) -> Result<u64, sqlx::Error> {
        let row =
            sqlx::query("SELECT done FROM spool WHERE node = $1").bind(self.node.as_str()).fetch_optional(pool).await?;
        let done = row.map(|row| row.try_get::<i64, _>(0)).transpose()?.unwrap_or(0);
        Ok(u64::try_from(done).unwrap_or(0))
    }

    /// All of it or nothing. Gives the moment of the last line.
    async fn put(&self, pool: &AnyPool, lines: &[(u64, String)], last: u64) -> Result<i64, sqlx::Error> {
        let mut work = pool.begin().await?;
        let latest = self.apply(&mut work, lines, last).await?;
        work.commit().await?;
        Ok(latest)
    }

    async fn apply(
        &self,
        work: &mut Transaction<'_, Any>,
        lines: &[(u64, String)],
        last: u64,
    ) -> Result<i64, sqlx::Error> {
        let mut events = Vec::with_capacity(lines.len());
        let mut calls = BTreeMap::new();
        let mut latest = 0;
        for (number, line) in lines {
            let Ok(event) = serde_json::from_str::<Written<'_>>(line) else {
                tracing::error!(number, line, "a line of the spool cannot be read; it is only here");
                continue;
            };
            latest = i64::try_from(event.at_ms).unwrap_or(i64::MAX);
            events.push(EventRow { id: *number, at_ms: latest, kind: event.kind, call: event.call, line });
            if event.kind == STARTED {
                // What came before belongs to an earlier run: whatever of it is open was left behind.
                self.statements.put_calls(work, &self.node, &std::mem::take(&mut calls)).await?;
                self.reconcile(work, latest).await?;
            }
            if let (Some(id), Some(data)) = (event.call, event.data) {
                // A call's last line is how far it has come.
                calls.insert(id, data.get());
            }
        }
        self.statements.put_calls(work, &self.node, &calls).await?;
        self.statements.put_events(work, &self.node, &events).await?;
        sqlx::query(
            "INSERT INTO spool (node, done) VALUES ($1, $2) ON CONFLICT (node) DO UPDATE SET done = excluded.done",
        )
        .bind(self.node.as_str())
        .bind(i64::try_from(last).unwrap_or(i64::MAX))
        .execute(&mut **work)
        .await?;
        Ok(latest)
    }

    /// Calls whose end nobody saw, since the server was gone.
    async fn reconcile(&self, work: &mut Transaction<'_, Any>, at_ms: i64) -> Result<(), sqlx::Error> {
        let done = sqlx::query(RECONCILE).bind(at_ms).bind(self.node.as_str()).execute(&mut **work).await?;
        if done.rows_affected() > 0 {
            tracing::warn!(calls = done.rows_affected(), "calls were left behind by an earlier run; they are over");
        }
        Ok(())
    }
<<<<<<< HEAD

    async fn put_calls(
        &self,
        work: &mut Transaction<'_, Any>,
        calls: BTreeMap<&str, (CallRow<'_>, &str)>,
    ) -> Result<(), sqlx::Error> {
        let rows: Vec<_> = calls.into_iter().collect();
        for chunk in chunks(&rows) {
            let mut query = sqlx::query(AssertSqlSafe(insert(CALLS, chunk.len(), CALLS_CONFLICT)));
            for (id, (row, document)) in chunk {
                query = row.bind(query, &self.node, id, document);
            }
            query.execute(&mut **work).await?;
        }
        for (id, (row, _)) in rows.iter().filter(|(_, (row, _))| !row.recordings.is_empty()) {
            let parties = [row.from.as_str(), &row.to];
            super::recordings::put(work, (&self.node, id), row.start_ms, parties, &row.recordings).await?;
        }
        Ok(())
    }

    async fn put_events(&self, work: &mut Transaction<'_, Any>, events: &[EventRow<'_>]) -> Result<(), sqlx::Error> {
        for chunk in chunks(events) {
            let mut query =
                sqlx::query(AssertSqlSafe(insert(EVENTS, chunk.len(), "ON CONFLICT (node, id) DO NOTHING")));
            for event in chunk {
                query = query.bind(self.node.as_str()).bind(i64::try_from(event.id).unwrap_or(i64::MAX));
                query = query.bind(event.at_ms).bind(event.kind).bind(event.call).bind(event.line);
            }
            query.execute(&mut **work).await?;
        }
        Ok(())
    }

    /// Let go what is older than it is to be kept.
    async fn forget(&self, work: &mut Transaction<'_, Any>, day: i64) -> Result<(), sqlx::Error> {
        for (days, statement) in [
            (self.config.event_days, "DELETE FROM events WHERE at_ms < $1"),
            (self.config.record_days, "DELETE FROM calls WHERE start_ms < $1 AND end_reason IS NOT NULL"),
            (self.config.record_days, "DELETE FROM recordings WHERE at_ms < $1"),
            (self.config.record_days, "DELETE FROM transcripts WHERE at_ms < $1"),
            (self.config.event_days, "DELETE FROM orders WHERE at_ms < $1"),
        ] {
            if days > 0 {
                let before = (day - i64::from(days)).saturating_mul(DAY_MS);
                sqlx::query(statement).bind(before).execute(&mut **work).await?;
            }
        }
        Ok(())
    }
}

const CALLS: (&str, usize) = (
    "calls (node, id, parent, direction, caller, called, trunk, script, status, stage, end_reason, code, start_ms, \
     answer_ms, end_ms, document)",
    16,
);
/// A call never goes back.
const CALLS_CONFLICT: &str = "ON CONFLICT (node, id) DO UPDATE SET trunk = excluded.trunk, script = excluded.script, \
     status = excluded.status, stage = excluded.stage, end_reason = excluded.end_reason, code = excluded.code, \
     answer_ms = excluded.answer_ms, end_ms = excluded.end_ms, document = excluded.document \
     WHERE excluded.stage >= calls.stage AND calls.stage < 4";
const EVENTS: (&str, usize) = ("events (node, id, at_ms, kind, call, document)", 6);

/// The statement for so many rows.
fn insert((table, columns): (&str, usize), rows: usize, conflict: &str) -> String {
    let mut text = format!("INSERT INTO {table} VALUES ");
    for row in 0..rows {
        let marks: Vec<String> = (1..=columns).map(|column| format!("${}", row * columns + column)).collect();
        text.push_str(if row == 0 { "(" } else { ", (" });
        text.push_str(&marks.join(", "));
        text.push(')');
    }
    text.push(' ');
    text.push_str(conflict);
    text
}

/// Cut into pieces of the few lengths.
fn chunks<T>(mut rows: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let length = ROWS.into_iter().find(|length| *length <= rows.len())?;
        let (now, later) = rows.split_at(length);
        rows = later;
        Some(now)
    })
}

struct EventRow<'a> {
    id: u64,
    at_ms: i64,
    kind: &'a str,
    call: Option<&'a str>,
    line: &'a str,
}

/// The columns of a call, from its progress or its record.
#[derive(Deserialize)]
struct CallRow<'a> {
    parent: Option<&'a str>,
    direction: &'a str,
    from: String,
    to: String,
    trunk: Option<String>,
    script: Option<String>,
    status: crate::switch::Status,
    end_reason: Option<&'a str>,
    code: Option<u16>,
    start_ms: i64,
    answer_ms: Option<i64>,
    end_ms: Option<i64>,
    /// Only of a call that is over.
    #[serde(default)]
    recordings: Vec<String>,
}

type AnyQuery<'q> = Query<'q, Any, sqlx::any::AnyArguments>;

impl CallRow<'_> {
    fn bind<'q>(&'q self, query: AnyQuery<'q>, node: &'q str, id: &'q str, document: &'q str) -> AnyQuery<'q> {
        let query = query.bind(node).bind(id).bind(self.parent).bind(self.direction).bind(&self.from).bind(&self.to);
        let query = query.bind(&self.trunk).bind(&self.script).bind(self.status.to_string());
        let query = query.bind(i64::from(self.status.rank())).bind(self.end_reason).bind(self.code.map(i64::from));
        query.bind(self.start_ms).bind(self.answer_ms).bind(self.end_ms).bind(document)
    }
=======
>>>>>>> int
}
