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
    let is_other = differs((pool, node), next(folder, last, last)?).await?;
    if !is_other && done <= end && new.is_none_or(|new| done < new) {
        return Ok(None);
    }
    // Once it is another one, all that follow are.
    let (mut other, mut high) = (next(folder, 1, last)?.map_or(last + 1, |(first, _)| first), last + 1);
    while other < high {
        let middle = u64::midpoint(other, high);
        match differs((pool, node), next(folder, middle, last)?).await? {
            true => high = middle,
            false => other = middle + 1,
        }
    }
    Ok(Some(Behind { done, from: new.map_or(other, |new| new.min(other)) }))
}

/// The first line of the spool from this number on, up to the last one.
fn next(folder: &Path, number: u64, last: u64) -> io::Result<Option<(u64, String)>> {
    Ok(Tail::after(folder, number.saturating_sub(1)).read(last, 1)?.pop())
}

/// The database has something else under the number of this line.
async fn differs((pool, node): (&AnyPool, &str), line: Option<(u64, String)>) -> Result<bool, sqlx::Error> {
    let Some((number, line)) = line else { return Ok(false) };
    let query = sqlx::query("SELECT document FROM events WHERE node = $1 AND id = $2").bind(node);
    let row = query.bind(i64::try_from(number).unwrap_or(i64::MAX)).fetch_optional(pool).await?;
    Ok(row.map(|row| row.try_get::<String, _>(0)).transpose()?.is_some_and(|kept| kept != line))
}
