//! From the spool into the database, in order, each line once: how far it got is kept in the database itself, and
//! changes in the same transaction.

use std::{collections::BTreeMap, io, path::PathBuf, thread, time::Duration};

use sqlx::{Any, AnyPool, Row, Transaction};
use tokio::sync::oneshot;

use super::{
    Database,
    behind::{self, Behind},
    event::{STARTED, Written},
    journal::Line,
    question::Question,
    reconcile::{Reconciler, Tell},
    retention::{Days, Retention},
    rows::{EventRow, Statements},
    spool::{self, Tail},
    way::Stored,
};

/// Lines in one transaction.
const BATCH: usize = 2000;
/// Lines gather for so long: one transaction for many costs little more than one for one, and a call whose steps come
/// together is written once.
const GATHER: Duration = Duration::from_millis(1000);
/// A lost database is looked for again after so long.
const AGAIN: Duration = Duration::from_secs(1);
/// A database that says nothing for so long is taken for lost: whoever it was that answered may be gone without a word.
const PATIENCE: Duration = Duration::from_secs(120);

/// What the writer is told.
#[derive(Clone, Debug)]
pub struct WriterConfig {
    /// Which database.
    pub database: Database,
    /// Folder of the spool.
    pub folder: PathBuf,
    /// How long things are kept.
    pub days: Days,
    /// Who is told of calls that an earlier run left behind.
    pub reconciled: Tell,
}

/// Start the thread. It ends soon after the journal has, where the database is there; what is left then stays in the
/// spool for the next start. `ready` is told when the database was reached first, and all of the spool was in it.
pub fn spawn(config: WriterConfig, line: Line, ready: oneshot::Sender<()>) -> io::Result<thread::JoinHandle<()>> {
    let node = spool::name(&config.folder)?;
    let runtime = crate::io::runtime()?;
    let retention = Retention::new(config.days);
    let statements = Statements::new(config.database.is_sqlite());
    let reconciler = Reconciler::new(config.reconciled.clone());
    let ready = Some(ready);
    let (pool, failing, reached) = (None, false, false);
    let writer = Writer { config, node, line, ready, pool, failing, reached, retention, reconciler, statements };
    thread::Builder::new().name("store".into()).spawn(move || runtime.block_on(writer.run()))
}

struct Writer {
    config: WriterConfig,
    node: String,
    line: Line,
    ready: Option<oneshot::Sender<()>>,
    pool: Option<AnyPool>,
    failing: bool,
    /// The database was there once in this run.
    reached: bool,
    retention: Retention,
    reconciler: Reconciler,
    statements: Statements,
}

/// What was put into the database at once.
struct Put {
    /// The moment of the last line, in ms since 1970.
    latest: i64,
    /// A run of the server began then.
    began: Option<i64>,
}

/// Why a turn failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    #[error("the spool: {0}")]
    Spool(#[from] io::Error),
    #[error("no answer within {} s", PATIENCE.as_secs())]
    Silent,
    #[error("its numbers for events are not the spool's, and the disk takes nothing")]
    Numbers,
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
                    self.line.stored.send_modify(|stored| stored.failing = true);
                }
            }
            if self.ends_within(AGAIN).await {
                break;
            }
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
        let (written, new) = (*self.line.written.borrow(), (!self.reached).then_some(self.line.first));
        let found = behind::find((&pool, &self.node), &self.config.folder, (done, written), new).await?;
        if let Some(behind) = found {
            self.renumber(behind).await?;
        }
        self.reached = true;
        let mut tail = Tail::after(&self.config.folder, done);
        self.line.stored.send_replace(Stored { done: Some(done), failing: self.failing });
        loop {
            let open = self.line.written.has_changed().is_ok();
            let end = *self.line.written.borrow_and_update();
            while done < end {
                let lines = tail.read(end, BATCH)?;
                let Some(last) = lines.last().map(|(number, _)| *number) else {
                    tracing::error!(from = done + 1, to = end, "the spool has lost lines");
                    done = end;
                    break;
                };
                if let Some((first, _)) = lines.first().filter(|(first, _)| *first > done + 1) {
                    tracing::error!(from = done + 1, to = first - 1, "the spool does not have these events any more");
                }
                let put = tokio::time::timeout(PATIENCE, self.put(&pool, &lines, last)).await;
                let Put { latest, began } = put.map_err(|_| Trouble::Silent)??;
                if let Some(at_ms) = began {
                    self.reconciler.began(at_ms);
                }
                done = last;
                self.line.stored.send_replace(Stored { done: Some(done), failing: false });
                tail.forget(done)?;
                self.retention.look(&pool, latest).await?;
                self.retention.step(&pool).await?;
            }
            if std::mem::take(&mut self.failing) {
                self.line.stored.send_replace(Stored { done: Some(done), failing: false });
                tracing::warn!("the database is there again, and has all that waited for it");
            }
            self.reconciler.tell(&pool, &self.node).await?;
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
            if self.line.written.changed().await.is_ok() {
                self.ends_within(GATHER).await;
            }
        }
    }

    /// Let `time` pass, unless the journal ends: then what it wrote last is to be in the database soon.
    async fn ends_within(&mut self, time: Duration) -> bool {
        tokio::time::timeout(time, self.line.written.wait_for(|_| false)).await.is_ok()
    }

    /// What the database does not have gets numbers after those that it has.
    async fn renumber(&self, behind: Behind) -> Result<(), Trouble> {
        let (to, done) = oneshot::channel();
        self.line.questions.send(Question::Renumber(behind, to)).await.map_err(|_| Trouble::Numbers)?;
        done.await.map_err(|_| Trouble::Numbers)
    }

    async fn position(&self, pool: &AnyPool) -> Result<u64, sqlx::Error> {
        let row =
            sqlx::query("SELECT done FROM spool WHERE node = $1").bind(self.node.as_str()).fetch_optional(pool).await?;
        let done = row.map(|row| row.try_get::<i64, _>(0)).transpose()?.unwrap_or(0);
        Ok(u64::try_from(done).unwrap_or(0))
    }

    /// All of it or nothing.
    async fn put(&self, pool: &AnyPool, lines: &[(u64, String)], last: u64) -> Result<Put, sqlx::Error> {
        let mut work = pool.begin().await?;
        let put = self.apply(&mut work, lines, last).await?;
        work.commit().await?;
        Ok(put)
    }

    async fn apply(
        &self,
        work: &mut Transaction<'_, Any>,
        lines: &[(u64, String)],
        last: u64,
    ) -> Result<Put, sqlx::Error> {
        let mut events = Vec::with_capacity(lines.len());
        let mut calls = BTreeMap::new();
        let (mut latest, mut began) = (0, None);
        for (number, line) in lines {
            let Ok(event) = serde_json::from_str::<Written<'_>>(line) else {
                // What it says may be a secret: it is not shown here.
                tracing::error!(number, bytes = line.len(), "a line of the spool cannot be read; it is left out");
                continue;
            };
            latest = i64::try_from(event.at_ms).unwrap_or(i64::MAX);
            events.push(EventRow { id: *number, at_ms: latest, kind: event.kind, call: event.call, line });
            if event.kind == STARTED {
                // What came before belongs to an earlier run: whatever of it is open was left behind.
                self.statements.put_calls(work, &self.node, &std::mem::take(&mut calls)).await?;
                self.reconciler.reconcile(work, &self.node, latest).await?;
                began = Some(latest);
            }
            if let (Some(id), Some(data), true) = (event.call, event.data, event.is_step()) {
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
        Ok(Put { latest, began })
    }
}
