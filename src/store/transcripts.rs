//! What was said on calls, turn by turn.

use sqlx::{Row, any::AnyRow};

use super::Store;

/// Something that was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Counted from 1 in each call.
    pub turn: i64,
    /// When, in ms since 1970.
    pub at_ms: i64,
    /// Who said it, such as `caller` or `agent`.
    pub who: String,
    /// What.
    pub text: String,
}

impl Store {
    /// Keep what was said on a call; gives the number of the turn.
    pub async fn add_turn(&self, call: &str, (who, text): (&str, &str), at_ms: i64) -> Result<i64, sqlx::Error> {
        let row = sqlx::query(
            "INSERT INTO transcripts (call, turn, at_ms, who, text)
                VALUES ($1, (SELECT COALESCE(MAX(turn), 0) + 1 FROM transcripts WHERE call = $2), $3, $4, $5)
                RETURNING turn",
        )
        .bind(call)
        .bind(call)
        .bind(at_ms)
        .bind(who)
        .bind(text)
        .fetch_one(&self.pool)
        .await?;
        row.try_get(0)
    }

    /// What was said on a call after this turn, in order; at most so many turns.
    pub async fn transcript(&self, call: &str, after: i64, most: u32) -> Result<Vec<Turn>, sqlx::Error> {
        let text =
            "SELECT turn, at_ms, who, text FROM transcripts WHERE call = $1 AND turn > $2 ORDER BY turn LIMIT $3";
        let rows = sqlx::query(text).bind(call).bind(after).bind(i64::from(most)).fetch_all(&self.pool).await?;
        let turn = |row: &AnyRow| {
            Ok(Turn { turn: row.try_get(0)?, at_ms: row.try_get(1)?, who: row.try_get(2)?, text: row.try_get(3)? })
        };
        rows.iter().map(turn).collect()
    }
}
