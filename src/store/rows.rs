//! What the writer puts into the tables, many rows in a statement.

use std::{collections::BTreeMap, sync::Arc};

use serde::Deserialize;
use sqlx::{Any, AssertSqlSafe, Transaction, any::AnyArguments, query::Query};

use super::recordings;
use crate::switch::Status;

/// Rows in one statement. Few lengths, since each is a statement of its own to the database.
const ROWS: [usize; 4] = [250, 50, 10, 1];

const CALLS: Table = Table {
    name: "calls (node, id, parent, direction, caller, called, trunk, script, status, stage, end_reason, code, \
           start_ms, answer_ms, end_ms, document)",
    columns: 16,
    // A call never goes back. The record of one that was left behind comes after it was found to be over.
    conflict: "ON CONFLICT (node, id) DO UPDATE SET trunk = excluded.trunk, script = excluded.script, \
               status = excluded.status, stage = excluded.stage, end_reason = excluded.end_reason, \
               code = excluded.code, answer_ms = excluded.answer_ms, end_ms = excluded.end_ms, \
               document = excluded.document WHERE excluded.stage >= calls.stage AND \
               (calls.stage < 4 OR (calls.end_reason = 'reconciled' AND excluded.end_reason = 'reconciled'))",
};
const EVENTS: Table = Table {
    name: "events (node, id, at_ms, kind, call, document)",
    columns: 6,
    conflict: "ON CONFLICT (node, id) DO NOTHING",
};

struct Table {
    name: &'static str,
    columns: usize,
    conflict: &'static str,
}

impl Table {
    /// The statement for so many rows. SQLite looks each parameter's name up in a list of all of them, which takes more
    /// time than the rows themselves: it gets parameters without names. PostgreSQL knows only numbered ones.
    fn insert(&self, rows: usize, sqlite: bool) -> Arc<str> {
        let mut text = format!("INSERT INTO {} VALUES ", self.name);
        for row in 0..rows {
            text.push_str(if row == 0 { "(" } else { ", (" });
            for column in 1..=self.columns {
                text.push_str(if column == 1 { "" } else { ", " });
                match sqlite {
                    true => text.push('?'),
                    false => text.push_str(&format!("${}", row * self.columns + column)),
                }
            }
            text.push(')');
        }
        text.push(' ');
        text.push_str(self.conflict);
        text.into()
    }

    fn all(&self, sqlite: bool) -> [Arc<str>; ROWS.len()] {
        ROWS.map(|rows| self.insert(rows, sqlite))
    }
}

/// The statements, made once.
pub struct Statements {
    calls: [Arc<str>; ROWS.len()],
    events: [Arc<str>; ROWS.len()],
}

impl Statements {
    /// For SQLite, or for PostgreSQL.
    pub fn new(sqlite: bool) -> Statements {
        Statements { calls: CALLS.all(sqlite), events: EVENTS.all(sqlite) }
    }

    /// Calls by their ids, each as its last line has it. What cannot be read is told and left out: the event stays.
    pub async fn put_calls(
        &self,
        work: &mut Transaction<'_, Any>,
        node: &str,
        calls: &BTreeMap<&str, &str>,
    ) -> Result<(), sqlx::Error> {
        let rows: Vec<_> = calls
            .iter()
            .filter_map(|(id, document)| match serde_json::from_str::<CallRow>(document) {
                Ok(row) => Some((*id, row, *document)),
                Err(error) => {
                    tracing::error!(call = id, %error, "a call cannot be read; only its event is kept");
                    None
                }
            })
            .collect();
        for (which, chunk) in chunks(&rows) {
            let mut query = sqlx::query(AssertSqlSafe(self.calls[which].clone()));
            for (id, row, document) in chunk {
                query = row.bind(query, node, id, document);
            }
            query.execute(&mut **work).await?;
        }
        for (id, row, _) in rows.iter().filter(|(_, row, _)| !row.recordings.is_empty()) {
            let files = (&row.recordings[..], &row.recorded_parties);
            recordings::put(work, (node, id), row.start_ms, [&row.from, &row.to], files).await?;
        }
        Ok(())
    }

    /// Events; those that are there stay as they are.
    pub async fn put_events(
        &self,
        work: &mut Transaction<'_, Any>,
        node: &str,
        events: &[EventRow<'_>],
    ) -> Result<(), sqlx::Error> {
        for (which, chunk) in chunks(events) {
            let mut query = sqlx::query(AssertSqlSafe(self.events[which].clone()));
            for event in chunk {
                query = query.bind(node).bind(i64::try_from(event.id).unwrap_or(i64::MAX));
                query = query.bind(event.at_ms).bind(event.kind).bind(event.call).bind(event.line);
            }
            query.execute(&mut **work).await?;
        }
        Ok(())
    }
}

/// Cut into pieces of the few lengths, each with the index of its length.
fn chunks<T>(mut rows: &[T]) -> impl Iterator<Item = (usize, &[T])> {
    std::iter::from_fn(move || {
        let which = ROWS.iter().position(|length| *length <= rows.len())?;
        let (now, later) = rows.split_at(ROWS[which]);
        rows = later;
        Some((which, now))
    })
}

/// An event, as its table has it.
pub struct EventRow<'a> {
    /// Its number.
    pub id: u64,
    /// When, in ms since 1970.
    pub at_ms: i64,
    /// What kind.
    pub kind: &'a str,
    /// The call that it is about.
    pub call: Option<&'a str>,
    /// All of it, as JSON.
    pub line: &'a str,
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
    status: Status,
    end_reason: Option<&'a str>,
    code: Option<u16>,
    start_ms: i64,
    answer_ms: Option<i64>,
    end_ms: Option<i64>,
    /// Only of a call that is over.
    #[serde(default)]
    recordings: Vec<String>,
    #[serde(default)]
    recorded_parties: BTreeMap<String, Vec<String>>,
}

type AnyQuery<'q> = Query<'q, Any, AnyArguments>;

impl CallRow<'_> {
    fn bind<'q>(&'q self, query: AnyQuery<'q>, node: &'q str, id: &'q str, document: &'q str) -> AnyQuery<'q> {
        let query = query.bind(node).bind(id).bind(self.parent).bind(self.direction);
        let query = query.bind(kept(&self.from)).bind(kept(&self.to)).bind(&self.trunk).bind(&self.script);
        let query = query.bind(self.status.to_string()).bind(i64::from(self.status.rank()));
        let query = query.bind(self.end_reason).bind(self.code.map(i64::from));
        query.bind(self.start_ms).bind(self.answer_ms).bind(self.end_ms).bind(document)
    }
}

/// A party as a column takes it: PostgreSQL knows no text with a NUL in it.
fn kept(party: &str) -> String {
    party.replace('\0', "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_cut_into_pieces_of_few_lengths_and_none_is_left() {
        let rows: Vec<usize> = (0..573).collect();
        let cut: Vec<usize> = chunks(&rows)
            .map(|(which, chunk)| {
                assert_eq!(chunk.len(), ROWS[which]);
                chunk.len()
            })
            .collect();
        assert_eq!(cut, [250, 250, 50, 10, 10, 1, 1, 1]);
        assert_eq!(chunks(&rows).flat_map(|(_, chunk)| chunk).copied().collect::<Vec<_>>(), rows);
    }

    #[test]
    fn parameters_have_numbers_for_postgresql_and_no_names_for_sqlite() {
        let table = Table { name: "t (a, b)", columns: 2, conflict: "" };
        assert_eq!(&*table.insert(2, false), "INSERT INTO t (a, b) VALUES ($1, $2), ($3, $4) ");
        assert_eq!(&*table.insert(2, true), "INSERT INTO t (a, b) VALUES (?, ?), (?, ?) ");
    }
}
