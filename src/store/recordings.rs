//! The index of recordings: which call each belongs to, and where its file is.

use std::collections::BTreeMap;

use sqlx::{Any, AssertSqlSafe, Row, Transaction, any::AnyRow};

use super::{Place, Store};

/// A recording, as the index knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// By which it is named: the call's id, a dot, and a number counted from 0.
    pub id: String,
    /// The call.
    pub call: String,
    /// Path below the folder of recordings.
    pub file: String,
    /// When the call began, in ms since 1970.
    pub at_ms: i64,
    /// Who called, and who was called.
    pub parties: [String; 2],
    /// Who is on it.
    pub heard: Vec<String>,
    /// When it was erased; absent: it was not.
    pub erased_ms: Option<i64>,
}

/// Which recordings.
#[derive(Clone, Debug, Default)]
pub struct RecordingFilter {
    /// Of this call.
    pub call: Option<String>,
    /// Of calls between a number that is written in one of these ways and another, and those that it is on; empty: any.
    pub number: Vec<String>,
    /// Only with one of these numbers; empty: any.
    pub numbers: Vec<String>,
    /// After this one.
    pub after: Option<Place>,
    /// At most so many.
    pub limit: u32,
}

const COLUMNS: &str = "SELECT id, call, file, at_ms, caller, called, erased_ms, heard FROM recordings";

/// The files of a call whose record was just written.
pub async fn put(
    work: &mut Transaction<'_, Any>,
    (node, call): (&str, &str),
    at_ms: i64,
    [from, to]: [&str; 2],
    (files, heard): (&[String], &BTreeMap<String, Vec<String>>),
) -> Result<(), sqlx::Error> {
    for (number, file) in files.iter().enumerate() {
        sqlx::query(
            "INSERT INTO recordings (node, id, call, file, at_ms, caller, called, heard)
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
                ON CONFLICT (node, id) DO NOTHING",
        )
        .bind(node)
        .bind(format!("{call}.{number}"))
        .bind(call)
        .bind(file.as_str())
        .bind(at_ms)
        .bind(from)
        .bind(to)
        .bind(lines(heard.get(file).map_or(&[], Vec::as_slice)))
        .execute(&mut **work)
        .await?;
    }
    Ok(())
}

impl Store {
    /// Recordings, the newest first. Gives also where the next page begins.
    pub async fn recordings(&self, filter: &RecordingFilter) -> Result<(Vec<Kept>, Option<Place>), sqlx::Error> {
        let (at, id) = filter.after.clone().unwrap_or((i64::MAX, String::new()));
        let mut text = format!("{COLUMNS} WHERE (at_ms < $1 OR (at_ms = $1 AND id < $2))");
        let mut words: Vec<&str> = Vec::new();
        if let Some(call) = &filter.call {
            words.push(call);
            text.push_str(" AND call = $3");
        }
        let on_it: Vec<String> = filter.number.iter().map(|number| like(number)).collect();
        for (numbers, on_it) in [(&filter.number, &on_it[..]), (&filter.numbers, &[])] {
            let mut any = Vec::new();
            for number in numbers {
                words.push(number);
                any.push(format!("caller = ${0} OR called = ${0}", words.len() + 2));
            }
            for lines in on_it {
                words.push(lines);
                any.push(format!("heard LIKE ${} ESCAPE '!'", words.len() + 2));
            }
            if !any.is_empty() {
                text.push_str(&format!(" AND ({})", any.join(" OR ")));
            }
        }
        text.push_str(&format!(" ORDER BY at_ms DESC, id DESC LIMIT {}", filter.limit + 1));
        let mut query = sqlx::query(AssertSqlSafe(text)).bind(at).bind(id);
        for word in words {
            query = query.bind(word);
        }
        let rows = query.fetch_all(&self.pool).await?;
        let mut found = rows.iter().map(kept).collect::<Result<Vec<_>, _>>()?;
        let more = found.len() > filter.limit as usize;
        found.truncate(filter.limit as usize);
        let next = found.last().filter(|_| more).map(|last| (last.at_ms, last.id.clone()));
        Ok((found, next))
    }

    /// One recording.
    pub async fn recording(&self, id: &str) -> Result<Option<Kept>, sqlx::Error> {
        let text = format!("{COLUMNS} WHERE id = $1 ORDER BY at_ms DESC LIMIT 1");
        let row = sqlx::query(AssertSqlSafe(text)).bind(id).fetch_optional(&self.pool).await?;
        row.as_ref().map(kept).transpose()
    }

    /// The file of a recording is gone, for good.
    pub async fn recording_erased(&self, id: &str, now_ms: i64) -> Result<(), sqlx::Error> {
        let query = sqlx::query("UPDATE recordings SET erased_ms = $1 WHERE id = $2 AND erased_ms IS NULL");
        query.bind(now_ms).bind(id).execute(&self.pool).await.map(drop)
    }
}

/// People as a column has them: each in a line of its own, which ends, and begins with the end of the one before.
fn lines(people: &[String]) -> String {
    let line =
        |person: &String| person.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect::<String>();
    people.iter().fold(String::new(), |lines, person| {
        if lines.is_empty() { format!("\n{}\n", line(person)) } else { lines + &line(person) + "\n" }
    })
}

/// What finds a person in such lines.
fn like(person: &str) -> String {
    let plain = |c: char| if matches!(c, '%' | '_' | '!') { format!("!{c}") } else { c.to_string() };
    format!("%\n{}\n%", person.chars().map(plain).collect::<String>())
}

fn kept(row: &AnyRow) -> Result<Kept, sqlx::Error> {
    Ok(Kept {
        id: row.try_get(0)?,
        call: row.try_get(1)?,
        file: row.try_get(2)?,
        at_ms: row.try_get(3)?,
        parties: [row.try_get(4)?, row.try_get(5)?],
        erased_ms: row.try_get(6)?,
        heard: row.try_get::<String, _>(7)?.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect(),
    })
}
