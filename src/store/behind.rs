//! A spool whose numbers lie behind those that the database has of it: its folder was emptied, or brought back from a
//! copy of the machine. What it holds then bears numbers that were given before, and would be taken for what the
//! database has already. So it gets numbers that nobody had.

use std::{io, path::Path};

use sqlx::{AnyPool, Row};

use super::{spool::Tail, writer::Trouble};

/// What was found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Behind {
    /// Number of the last event that the database has.
    pub done: u64,
    /// Number of the first line of the spool that the database does not have.
    pub from: u64,
}

/// Does the database, which has all up to `done` of this spool, have what its lines up to `end` say? None: so it is.
/// `new`: from this line on it cannot have any, where nobody told it any in this run. An event that is there no more says
/// nothing: events do not stay for ever.
pub(super) async fn find(
    (pool, node): (&AnyPool, &str),
    folder: &Path,
    (done, end): (u64, u64),
    new: Option<u64>,
) -> Result<Option<Behind>, Trouble> {
    let last = done.min(end);
    let line = Tail::after(folder, last.saturating_sub(1)).read(last, 1)?.pop();
    let is_other = match &line {
        Some((number, line)) => differs((pool, node), *number, line).await?,
        None => false,
    };
    if !is_other && done <= end && new.is_none_or(|new| done < new) {
        return Ok(None);
    }
    // Once it is another one, all that follow are.
    let lines = all(folder, last)?;
    let (mut low, mut high) = (0, lines.len());
    while low < high {
        let middle = usize::midpoint(low, high);
        let (number, line) = &lines[middle];
        match differs((pool, node), *number, line).await? {
            true => high = middle,
            false => low = middle + 1,
        }
    }
    let other = lines.get(low).map_or(last + 1, |(number, _)| *number);
    Ok(Some(Behind { done, from: new.map_or(other, |new| new.min(other)) }))
}

/// All lines of the spool up to this number.
fn all(folder: &Path, last: u64) -> io::Result<Vec<(u64, String)>> {
    Tail::after(folder, 0).read(last, usize::MAX)
}

/// The database has something else under this number.
async fn differs((pool, node): (&AnyPool, &str), number: u64, line: &str) -> Result<bool, sqlx::Error> {
    let query = sqlx::query("SELECT document FROM events WHERE node = $1 AND id = $2").bind(node);
    let row = query.bind(i64::try_from(number).unwrap_or(i64::MAX)).fetch_optional(pool).await?;
    Ok(row.map(|row| row.try_get::<String, _>(0)).transpose()?.is_some_and(|kept| kept != line))
}
