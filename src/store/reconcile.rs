//! Calls that an earlier run left behind: nobody saw their end. They are over in the database with the event that says
//! that there is a new run; then each gets its last event and its record, as every other call.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use sqlx::{Any, AnyPool, Row, Transaction, any::AnyRow};
use tokio::sync::mpsc;

use crate::{
    io::{Fact, disk::ToDisk, ring::Ring},
    switch::{CallRecord, Direction, EndReason, Progress, Status},
};

const DAY_MS: i64 = 86_400_000;

/// Calls of one server that are open were left behind.
const RECONCILE: &str = "UPDATE calls SET status = CASE WHEN answer_ms IS NULL THEN 'failed' ELSE 'completed' END, stage = 4, \
     end_reason = 'reconciled', end_ms = $1 WHERE node = $2 AND end_reason IS NULL";
/// So were the open ones of all servers but one; they ended nobody knows when.
pub(super) const RECONCILE_OTHERS: &str = "UPDATE calls SET status = CASE WHEN answer_ms IS NULL THEN 'failed' ELSE 'completed' END, stage = 4, \
     end_reason = 'reconciled', end_ms = COALESCE(answer_ms, start_ms) WHERE node <> $1 AND end_reason IS NULL";
/// Those that have no last event: a run may be killed after they were over in the database, and before that event was
/// written. Of the last day, since events do not stay for ever.
const UNTOLD: &str = "SELECT id, document, end_ms, (SELECT COUNT(*) FROM events WHERE events.call = calls.id AND events.node = $1) AS told \
     FROM calls WHERE node = $1 AND end_reason = 'reconciled' AND end_ms >= $2 AND NOT EXISTS \
     (SELECT 1 FROM events WHERE events.call = calls.id AND events.node = $1 AND events.kind = 'call.ended') ORDER BY id";

/// What was told of a call's recordings, in turn.
const RECORDED: &str = "SELECT document FROM events WHERE node = $1 AND call = $2 \
     AND kind IN ('recording.started', 'recording.stopped') ORDER BY id";

/// Who is told of them.
#[derive(Clone, Debug, Default)]
pub struct Tell {
    /// The journal, for as long as somebody else has something to tell it.
    pub facts: Option<mpsc::WeakSender<Fact>>,
    /// The lines of call records.
    pub lines: Option<Ring<ToDisk>>,
}

/// Tells each of them once.
pub(super) struct Reconciler {
    tell: Tell,
    /// Told in this run; the database may not have their events yet.
    told: BTreeSet<String>,
    /// When this run began, in ms since 1970, where some may have to be told.
    due: Option<i64>,
}

impl Reconciler {
    pub fn new(tell: Tell) -> Reconciler {
        Reconciler { tell, told: BTreeSet::new(), due: None }
    }

    /// A run began at that moment: what is open belongs to an earlier one.
    pub async fn reconcile(&self, work: &mut Transaction<'_, Any>, node: &str, at_ms: i64) -> Result<(), sqlx::Error> {
        let done = sqlx::query(RECONCILE).bind(at_ms).bind(node).execute(&mut **work).await?;
        if done.rows_affected() > 0 {
            tracing::warn!(calls = done.rows_affected(), "calls were left behind by an earlier run; they are over");
        }
        Ok(())
    }

    /// A run began at that moment, and the database knows it by now.
    pub fn began(&mut self, at_ms: i64) {
        self.due = Some(at_ms);
    }

    /// Tell those that nobody was told of, where there may be any.
    pub async fn tell(&mut self, pool: &AnyPool, node: &str) -> Result<(), sqlx::Error> {
        let Some(began) = self.due.take() else { return Ok(()) };
        let Some(facts) = self.tell.facts.as_ref().and_then(mpsc::WeakSender::upgrade) else { return Ok(()) };
        let rows = sqlx::query(UNTOLD).bind(node).bind(began - DAY_MS).fetch_all(pool).await?;
        for row in &rows {
            let Some((mut record, order)) = left_behind(row)? else { continue };
            if !self.told.insert(record.id.clone()) {
                continue;
            }
            record.recordings = recordings(pool, node, &record.id).await?;
            self.write(&record);
            if facts.send(Fact::Reconciled(Box::new(record), order)).await.is_err() {
                break;
            }
        }
        Ok(())
    }

    fn write(&self, record: &CallRecord) {
        let Some(lines) = &self.tell.lines else { return };
        let line = serde_json::to_string(record).expect("a record is plain data");
        let recorded = !record.recordings.is_empty();
        if lines.push(ToDisk::CallRecord { line, recorded }).is_err() {
            tracing::error!(call = record.id, "the disk cannot follow: this call's record is only in the database");
        }
    }
}

/// What was told last of such a call: see [`Progress`](crate::switch::Progress).
#[derive(Deserialize)]
struct Left {
    id: String,
    parent: Option<String>,
    direction: Direction,
    from: String,
    to: String,
    trunk: Option<String>,
    sip_call_id: String,
    start_ms: u64,
    answer_ms: Option<u64>,
    script: Option<String>,
}

/// The files of a call's recordings, as its events tell them: those that are over name what is left of them, the others
/// may have been cut off.
async fn recordings(pool: &AnyPool, node: &str, call: &str) -> Result<Vec<String>, sqlx::Error> {
    let mut files: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    for row in sqlx::query(RECORDED).bind(node).bind(call).fetch_all(pool).await? {
        let document: String = row.try_get(0)?;
        if let Ok(Recorded { data }) = serde_json::from_str(&document) {
            files.insert(data.recording, data.files);
        }
    }
    Ok(files.into_values().flatten().collect())
}

/// An event of a recording.
#[derive(Deserialize)]
struct Recorded {
    data: RecordedData,
}

#[derive(Deserialize)]
struct RecordedData {
    recording: u64,
    files: Vec<String>,
}

/// Its record, and the place of its last event. None: it cannot be read, which was told when it was written.
fn left_behind(row: &AnyRow) -> Result<Option<(CallRecord, u32)>, sqlx::Error> {
    let document: String = row.try_get("document")?;
    let Ok(left) = serde_json::from_str::<Left>(&document) else { return Ok(None) };
    let end_ms = u64::try_from(row.try_get::<i64, _>("end_ms")?).unwrap_or(0);
    let order = u32::try_from(row.try_get::<i64, _>("told")?).unwrap_or(u32::MAX - 1) + 1;
    Ok(Some((record(left, end_ms), order)))
}

/// A call of this run, of which the end found no room on its way here.
pub(super) fn stray(progress: &Progress, end_ms: u64) -> CallRecord {
    let left = Left {
        id: progress.id.clone(),
        parent: progress.parent.clone(),
        direction: progress.direction,
        from: progress.from.clone(),
        to: progress.to.clone(),
        trunk: progress.trunk.as_deref().map(str::to_owned),
        sip_call_id: progress.sip_call_id.clone(),
        start_ms: progress.start_ms,
        answer_ms: progress.answer_ms,
        script: progress.script.as_deref().map(str::to_owned),
    };
    CallRecord { error: Some("the store could not follow when it ended".to_owned()), ..record(left, end_ms) }
}

/// What is known of a call of which only this was told.
fn record(left: Left, end_ms: u64) -> CallRecord {
    let seconds = |from: u64| end_ms.saturating_sub(from) as f64 / 1000.0;
    CallRecord {
        id: left.id,
        parent: left.parent,
        partners: Vec::new(),
        direction: left.direction,
        from: left.from,
        to: left.to,
        trunk: left.trunk,
        cost: None,
        sip_call_id: left.sip_call_id,
        peer: None,
        start_ms: left.start_ms,
        answer_ms: left.answer_ms,
        end_ms,
        talk_seconds: left.answer_ms.map_or(0.0, seconds),
        total_seconds: seconds(left.start_ms),
        status: if left.answer_ms.is_some() { Status::Completed } else { Status::Failed },
        end_reason: EndReason::Reconciled,
        end_detail: None,
        code: left.answer_ms.map(|_| 200),
        q850: None,
        transferred: false,
        script: left.script,
        flow_version: None,
        path: Vec::new(),
        path_left_out: 0,
        runs: Vec::new(),
        codec: None,
        quality: None,
        no_audio: None,
        recordings: Vec::new(),
        recorded_parties: Default::default(),
        recording_errors: Vec::new(),
        stir: None,
        vars: Default::default(),
        error: Some("the server was gone when it ended".to_owned()),
    }
}
