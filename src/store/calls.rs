//! What readers ask of the database.

use serde_json::Value;
use sqlx::{AnyPool, AssertSqlSafe, Row};

use super::{Database, Key, Scope, keys};

/// Most calls in one answer.
pub const PAGE: u32 = 500;

/// Which calls.
#[derive(Clone, Debug, Default)]
pub struct CallFilter {
    /// Of this status.
    pub status: Option<String>,
    /// With this end reason.
    pub end_reason: Option<String>,
    /// Between a number that is written in one of these ways and another; empty: any.
    pub number: Vec<String>,
    /// `inbound` or `outbound`.
    pub direction: Option<String>,
    /// Began at this moment or later, in ms since 1970.
    pub since_ms: Option<i64>,
    /// Began before this moment.
    pub until_ms: Option<i64>,
    /// Only those that come after this one, by a [`Page::next`] of before.
    pub after: Option<(i64, String)>,
    /// At most so many, 1 to 500.
    pub limit: u32,
    /// Only with one of these numbers; empty: any.
    pub numbers: Vec<String>,
}

/// A call as it is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct CallView {
    /// Its id.
    pub id: String,
    /// Who called, and who was called.
    pub parties: [String; 2],
    /// Its record; while it goes on, how it stands.
    pub document: Value,
}

/// Some calls, the newest first.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// The calls.
    pub calls: Vec<CallView>,
    /// Where the next page begins; absent: this was the last.
    pub next: Option<(i64, String)>,
}

/// What was ordered under a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ordered {
    /// What was asked then, as whoever asked wrote it down.
    pub body: String,
    /// The call that came of it; absent: not known yet.
    pub call: Option<String>,
    /// When, in ms since 1970.
    pub at_ms: i64,
    /// By which server, as the database knows it; empty: that was not written down yet.
    pub node: String,
}

/// The database, for reading and for what few writes are not by the journal.
#[derive(Clone, Debug)]
pub struct Store {
    pub(super) pool: AnyPool,
}

const COLUMNS: &str = "SELECT id, caller, called, document, status, end_reason, end_ms, start_ms FROM calls";

impl Store {
    /// Connect, and bring the tables up to date.
    pub async fn open(database: &Database) -> Result<Store, sqlx::Error> {
        Ok(Store { pool: database.open(4, false).await? })
    }

    /// Calls, the newest first.
    pub async fn calls(&self, filter: &CallFilter) -> Result<Page, sqlx::Error> {
        let mut text = format!("{COLUMNS} WHERE 1 = 1");
        let mut words: Vec<String> = Vec::new();
        let mut times: Vec<i64> = Vec::new();
        // Words come first, times after them: two kinds of arguments, each in its own order.
        let equal = [("status", &filter.status), ("end_reason", &filter.end_reason), ("direction", &filter.direction)];
        for (column, value) in equal {
            if let Some(value) = value {
                words.push(value.clone());
                text.push_str(&format!(" AND {column} = ${}", words.len()));
            }
        }
        for numbers in [&filter.number, &filter.numbers] {
            let mut any = Vec::new();
            for number in numbers {
                words.push(number.clone());
                any.push(format!("caller = ${0} OR called = ${0}", words.len()));
            }
            if !any.is_empty() {
                text.push_str(&format!(" AND ({})", any.join(" OR ")));
            }
        }
        let mark = |times: &Vec<i64>, words: &Vec<String>| words.len() + times.len();
        let after = filter.after.as_ref();
        if let Some((_, id)) = after {
            words.push(id.clone());
        }
        let id = words.len();
        for (test, time) in [(">=", filter.since_ms), ("<", filter.until_ms)] {
            if let Some(time) = time {
                times.push(time);
                text.push_str(&format!(" AND start_ms {test} ${}", mark(&times, &words)));
            }
        }
        if let Some((start, _)) = after {
            times.push(*start);
            let start = mark(&times, &words);
            text.push_str(&format!(" AND (start_ms < ${start} OR (start_ms = ${start} AND id < ${id}))"));
        }
        let limit = filter.limit.clamp(1, PAGE);
        text.push_str(&format!(" ORDER BY start_ms DESC, id DESC LIMIT {}", limit + 1));
        let mut query = sqlx::query(AssertSqlSafe(text));
        for word in &words {
            query = query.bind(word.as_str());
        }
        for time in &times {
            query = query.bind(*time);
        }
        let rows = query.fetch_all(&self.pool).await?;
        let shown = &rows[..rows.len().min(limit as usize)];
        let next = match shown.last() {
            Some(last) if rows.len() > shown.len() => Some((last.try_get("start_ms")?, last.try_get("id")?)),
            Some(_) | None => None,
        };
        Ok(Page { calls: shown.iter().map(view).collect::<Result<_, _>>()?, next })
    }

    /// One call.
    pub async fn call(&self, id: &str) -> Result<Option<CallView>, sqlx::Error> {
        // By the key of the table, whose first part is one of a few names.
        let text =
            format!("{COLUMNS} WHERE node IN (SELECT node FROM spool) AND id = $1 ORDER BY start_ms DESC LIMIT 1");
        let row = sqlx::query(AssertSqlSafe(text)).bind(id).fetch_optional(&self.pool).await?;
        row.as_ref().map(view).transpose()
    }

    /// The events of a call after this number in their order, as JSON, at most so many.
    pub async fn events_of(&self, call: &str, after: u64, most: usize) -> Result<Vec<String>, sqlx::Error> {
        let bounded = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        let rows = sqlx::query("SELECT document FROM events WHERE call = $1 AND id > $2 ORDER BY id LIMIT $3")
            .bind(call)
            .bind(bounded(after))
            .bind(bounded(most as u64))
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(|row| row.try_get(0)).collect()
    }

    /// Events of this server after `done`, as JSON, with their numbers.
    pub async fn events_after(&self, node: &str, done: i64, most: u32) -> Result<Vec<(i64, String)>, sqlx::Error> {
        let rows = sqlx::query("SELECT id, document FROM events WHERE node = $1 AND id > $2 ORDER BY id LIMIT $3")
            .bind(node)
            .bind(done)
            .bind(i64::from(most))
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
    }

    /// Make a key to the API; gives its secret, which is not kept.
    pub async fn make_key(
        &self,
        name: &str,
        scope: Scope,
        numbers: &[String],
        now_ms: i64,
    ) -> Result<(Key, String), sqlx::Error> {
        keys::make(&self.pool, name, scope, numbers, now_ms).await
    }

    /// The key of whose secret this is the [`hash`](keys::hash).
    pub async fn find_key(&self, hash: &str) -> Result<Option<Key>, sqlx::Error> {
        keys::find(&self.pool, hash).await
    }

    /// All keys.
    pub async fn keys(&self) -> Result<Vec<Key>, sqlx::Error> {
        keys::list(&self.pool).await
    }

    /// Forget a key. False: there is none.
    pub async fn remove_key(&self, id: &str) -> Result<bool, sqlx::Error> {
        keys::remove(&self.pool, id).await
    }

    /// Remember that `owner` ordered under this name, and that the server `node` carries it out. Gives what was ordered before under the same name.
    pub async fn order(
        &self,
        (owner, name): (&str, &str),
        body: &str,
        (node, now_ms): (&str, i64),
    ) -> Result<Option<Ordered>, sqlx::Error> {
        let done = sqlx::query(
            "INSERT INTO orders (owner, name, body, call, at_ms, node) VALUES ($1, $2, $3, '', $4, $5)
                ON CONFLICT (owner, name) DO NOTHING",
        )
        .bind(owner)
        .bind(name)
        .bind(body)
        .bind(now_ms)
        .bind(node)
        .execute(&self.pool)
        .await?;
        if done.rows_affected() > 0 {
            return Ok(None);
        }
        let row = sqlx::query("SELECT body, call, at_ms, node FROM orders WHERE owner = $1 AND name = $2")
            .bind(owner)
            .bind(name)
            .fetch_one(&self.pool)
            .await?;
        let call = Some(row.try_get::<String, _>(1)?).filter(|call| !call.is_empty());
        Ok(Some(Ordered { body: row.try_get(0)?, call, at_ms: row.try_get(2)?, node: row.try_get(3)? }))
    }

    /// Take over an order of which nothing came, since who carried it out is gone. False: somebody else did.
    pub async fn order_again(
        &self,
        (owner, name): (&str, &str),
        before_ms: i64,
        now_ms: i64,
    ) -> Result<bool, sqlx::Error> {
        let text = "UPDATE orders SET at_ms = $4 WHERE owner = $1 AND name = $2 AND at_ms = $3 AND call = ''";
        let query = sqlx::query(text).bind(owner).bind(name).bind(before_ms).bind(now_ms);
        Ok(query.execute(&self.pool).await?.rows_affected() > 0)
    }

    /// What came of an order: a call, or nothing, and then the name is free again.
    pub async fn ordered(&self, (owner, name): (&str, &str), call: Option<&str>) -> Result<(), sqlx::Error> {
        let text = match call {
            Some(_) => "UPDATE orders SET call = $3 WHERE owner = $1 AND name = $2",
            None => "DELETE FROM orders WHERE owner = $1 AND name = $2 AND call <> $3",
        };
        let query = sqlx::query(text).bind(owner).bind(name).bind(call.unwrap_or("-"));
        query.execute(&self.pool).await.map(drop)
    }
}

/// The document, and what a reconciled call has beyond it.
fn view(row: &sqlx::any::AnyRow) -> Result<CallView, sqlx::Error> {
    let document: String = row.try_get("document")?;
    let mut document: Value = serde_json::from_str(&document).unwrap_or(Value::Null);
    if let Some(fields) = document.as_object_mut() {
        fields.insert("status".into(), row.try_get::<String, _>("status")?.into());
        fields.insert("end_reason".into(), row.try_get::<Option<String>, _>("end_reason")?.into());
        fields.insert("end_ms".into(), row.try_get::<Option<i64>, _>("end_ms")?.into());
    }
    Ok(CallView { id: row.try_get("id")?, parties: [row.try_get("caller")?, row.try_get("called")?], document })
}
