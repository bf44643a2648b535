//! Who did what, by the API.

use sqlx::Row;

use super::{Place, Store, keys};

/// Something that was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// When, in ms since 1970.
    pub at_ms: i64,
    /// The id of a key, or `user:` and a name.
    pub who: String,
    /// What, such as `call.hangup`.
    pub what: String,
    /// To what.
    pub about: String,
    /// `done`, `begun` (it takes its time, and events tell more), or `refused: ` and a word for why.
    pub outcome: String,
}

impl Store {
    /// Remember who did what.
    pub async fn note(&self, done: &Done) -> Result<(), sqlx::Error> {
        let text = "INSERT INTO audit (at_ms, id, who, what, about, outcome) VALUES ($1, $2, $3, $4, $5, $6)";
        let query = sqlx::query(text).bind(done.at_ms).bind(keys::random::<6>()).bind(done.who.as_str());
        let query = query.bind(done.what.as_str()).bind(done.about.as_str()).bind(done.outcome.as_str());
        query.execute(&self.pool).await.map(drop)
    }

    /// What was done, the newest first; after `after`, where that is given. Gives also where the next page begins.
    pub async fn done(&self, after: Option<&Place>, limit: u32) -> Result<(Vec<Done>, Option<Place>), sqlx::Error> {
        let (at, id) = after.map_or((i64::MAX, ""), |(at, id)| (*at, id));
        let text = "SELECT at_ms, who, what, about, id, outcome FROM audit
            WHERE at_ms < $1 OR (at_ms = $1 AND id < $2) ORDER BY at_ms DESC, id DESC LIMIT $3";
        let query = sqlx::query(text).bind(at).bind(id).bind(i64::from(limit) + 1);
        let rows = query.fetch_all(&self.pool).await?;
        let shown = &rows[..rows.len().min(limit as usize)];
        let next = match shown.last().filter(|_| rows.len() > shown.len()) {
            Some(last) => Some((last.try_get(0)?, last.try_get(4)?)),
            None => None,
        };
        let done = |row: &sqlx::any::AnyRow| {
            let (at_ms, who, what) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
            Ok(Done { at_ms, who, what, about: row.try_get(3)?, outcome: row.try_get(5)? })
        };
        Ok((shown.iter().map(done).collect::<Result<_, sqlx::Error>>()?, next))
    }
}
