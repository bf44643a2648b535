//! Letting go what is older than it is to be kept: once a day, in pieces, so that no statement takes long.

use std::collections::VecDeque;

use sqlx::{AnyPool, Row};

const DAY_MS: i64 = 86_400_000;
/// Most rows that go at once.
const PIECE: i64 = 1000;

/// Events of one server from its first one on: their numbers count up with time, so that their key finds the old ones.
const EVENTS: &str = "DELETE FROM events WHERE node = $1 AND at_ms < $2 AND id IN \
     (SELECT id FROM events WHERE node = $1 ORDER BY id LIMIT $3)";
/// Records from the first call on. A call that goes on stays.
const RECORDS: &str = "DELETE FROM calls WHERE (node, id) IN (SELECT node, id FROM calls \
     WHERE start_ms < $1 AND end_reason IS NOT NULL ORDER BY start_ms LIMIT $2)";
/// The index only: the files have a retention of their own.
const RECORDINGS: &str = "DELETE FROM recordings WHERE (node, id) IN (SELECT node, id FROM recordings \
     WHERE at_ms < $1 ORDER BY at_ms LIMIT $2)";
/// As they lie in the table, which is nearly in order.
const TRANSCRIPTS: &str = "DELETE FROM transcripts WHERE (call, turn) IN (SELECT call, turn FROM transcripts \
     WHERE at_ms < $1 LIMIT $2)";
/// Its rows have no key; some of before are alike, and go together.
const AUDIT: &str = "DELETE FROM audit WHERE at_ms < $1 AND (at_ms, id) IN (SELECT at_ms, id FROM audit \
     WHERE at_ms < $1 ORDER BY at_ms, id LIMIT $2)";
const ORDERS: &str = "DELETE FROM orders WHERE (owner, name) IN (SELECT owner, name FROM orders \
     WHERE at_ms < $1 LIMIT $2)";

/// What is still to be let go.
#[derive(Debug, PartialEq, Eq)]
enum Job {
    /// Events of this server before this moment.
    Events(String, i64),
    /// Records of calls that began before this moment.
    Records(i64),
    /// Recordings in the index of calls that began before this moment.
    Recordings(i64),
    /// What was said before this moment.
    Transcripts(i64),
    /// Names of orders before this moment.
    Orders(i64),
    /// What was done by the API before this moment.
    Audit(i64),
}

/// For how many days things are kept; 0: for ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Days {
    /// Events, and the names of orders (`Idempotency-Key`).
    pub events: u32,
    /// Call records, transcripts, and the index of recordings.
    pub records: u32,
    /// What was done by the API.
    pub audit: u32,
}

/// How long things are kept, and what is to be let go today.
pub struct Retention {
    days: Days,
    /// The last day on which somebody looked.
    day: i64,
    jobs: VecDeque<Job>,
}

impl Retention {
    /// For so long.
    pub fn new(days: Days) -> Retention {
        Retention { days, day: 0, jobs: VecDeque::new() }
    }

    /// It is so late, in ms since 1970: on a new day, find what is to go.
    pub async fn look(&mut self, pool: &AnyPool, now_ms: i64) -> Result<(), sqlx::Error> {
        let day = now_ms / DAY_MS;
        if day <= self.day {
            return Ok(());
        }
        let before = |days: u32| (day - i64::from(days)).saturating_mul(DAY_MS);
        let mut jobs = VecDeque::new();
        let Days { events, records, audit } = self.days;
        if events > 0 {
            let rows = sqlx::query("SELECT node FROM spool ORDER BY node").fetch_all(pool).await?;
            for row in &rows {
                jobs.push_back(Job::Events(row.try_get(0)?, before(events)));
            }
            jobs.push_back(Job::Orders(before(events)));
        }
        if records > 0 {
            jobs.push_back(Job::Records(before(records)));
            jobs.push_back(Job::Recordings(before(records)));
            jobs.push_back(Job::Transcripts(before(records)));
        }
        if audit > 0 {
            jobs.push_back(Job::Audit(before(audit)));
        }
        (self.day, self.jobs) = (day, jobs);
        Ok(())
    }

    /// Let one piece go. False: there was nothing to do.
    pub async fn step(&mut self, pool: &AnyPool) -> Result<bool, sqlx::Error> {
        let Some(job) = self.jobs.front() else { return Ok(false) };
        let query = match job {
            Job::Events(node, before) => sqlx::query(EVENTS).bind(node.as_str()).bind(*before).bind(PIECE),
            Job::Records(before) => sqlx::query(RECORDS).bind(*before).bind(PIECE),
            Job::Recordings(before) => sqlx::query(RECORDINGS).bind(*before).bind(PIECE),
            Job::Transcripts(before) => sqlx::query(TRANSCRIPTS).bind(*before).bind(PIECE),
            Job::Orders(before) => sqlx::query(ORDERS).bind(*before).bind(PIECE),
            Job::Audit(before) => sqlx::query(AUDIT).bind(*before).bind(PIECE),
        };
        let gone = query.execute(pool).await?.rows_affected();
        if gone < PIECE.unsigned_abs() {
            self.jobs.pop_front();
        }
        Ok(true)
    }
}
