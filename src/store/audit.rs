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
}

impl Store {
    /// Remember who did what.
    pub async fn note(&self, now_ms: i64, who: &str, what: &str, about: &str) -> Result<(), sqlx::Error> {
        let query = sqlx::query("INSERT INTO audit (at_ms, id, who, what, about) VALUES ($1, $2, $3, $4, $5)");
        let query = query.bind(now_ms).bind(keys::random::<6>()).bind(who).bind(what).bind(about);
        query.execute(&self.pool).await.map(drop)
    }

    /// What was done, the newest first; after `after`, where that is given. Gives also where the next page begins.
    pub async fn done(&self, after: Option<&Place>, limit: u32) -> Result<(Vec<Done>, Option<Place>), sqlx::Error> {
        let (at, id) = after.map_or((i64::MAX, ""), |(at, id)| (*at, id));
        let text = "SELECT at_ms, who, what, about, id FROM audit
            WHERE at_ms < $1 OR (at_ms = $1 AND id < $2) ORDER BY at_ms DESC, id DESC LIMIT $3";
        let query = sqlx::query(text).bind(at).bind(id).bind(i64::from(limit) + 1);
        let rows = query.fetch_all(&self.pool).await?;
        let shown = &rows[..rows.len().min(limit as usize)];
        let next = match shown.last().filter(|_| rows.len() > shown.len()) {
            Some(last) => Some((last.try_get(0)?, last.try_get(4)?)),
            None => None,
        };
        let done = |row: &sqlx::any::AnyRow| {
            Ok(Done { at_ms: row.try_get(0)?, who: row.try_get(1)?, what: row.try_get(2)?, about: row.try_get(3)? })
        };
        Ok((shown.iter().map(done).collect::<Result<_, sqlx::Error>>()?, next))
    }
}
