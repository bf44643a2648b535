//! Webhooks, those that were made by the API: web servers that are told events; and of all webhooks how far each one is.

use sqlx::{Any, Row, any::AnyRow};

use super::Store;

/// A web server that is told events.
#[derive(Clone, PartialEq, Eq)]
pub struct Webhook {
    /// By which it is named, and its place is remembered.
    pub name: String,
    /// Where events are posted to: `http://` or `https://`. There may be a secret in it.
    pub url: String,
    /// Signs what is posted; empty: nothing does.
    pub secret: String,
    /// The kinds of events that it is told, `*` at the end for any rest; empty: all.
    pub kinds: Vec<String>,
    /// Only of calls and messages with one of these numbers; empty: all.
    pub numbers: Vec<String>,
    /// It begins with the oldest event that is kept; else with what comes after it was made.
    pub whole: bool,
    /// When it was made, in ms since 1970.
    pub created_ms: i64,
}

/// There are secrets in it.
impl std::fmt::Debug for Webhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Webhook").field("name", &self.name).finish_non_exhaustive()
    }
}

/// How far a webhook is with the events of one server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// The number of the last event that needs not be told any more.
    pub done: i64,
    /// Events from before this moment are not for it, in ms since 1970.
    pub since_ms: i64,
    /// When it took some last, in ms since 1970; 0: never yet.
    pub taken_ms: i64,
    /// Why it takes none; empty: it does, as far as anybody knows.
    pub trouble: String,
    /// Since when, in ms since 1970.
    pub trouble_ms: i64,
}

/// An event with what decides whether a webhook wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its number.
    pub id: i64,
    /// What kind.
    pub kind: String,
    /// All of it, as JSON.
    pub line: String,
    /// Who called and who was called, of the call that it is about; absent: it is about none that is kept.
    pub parties: Option<[String; 2]>,
}

const COLUMNS: &str = "SELECT name, url, secret, kinds, numbers, whole, created_ms FROM webhooks";

impl Store {
    /// Keep a new webhook. False: there is one of this name.
    pub async fn add_webhook(&self, new: &Webhook) -> Result<bool, sqlx::Error> {
        let query = sqlx::query(
            "INSERT INTO webhooks (name, url, secret, kinds, numbers, whole, created_ms)
                VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (name) DO NOTHING",
        );
        let done = bound(query.bind(new.name.as_str()), new).bind(new.created_ms).execute(&self.pool).await?;
        Ok(done.rows_affected() > 0)
    }

    /// Put this in the place of the webhook of its name, which goes on from where it was. False: there is none.
    pub async fn change_webhook(&self, to: &Webhook) -> Result<bool, sqlx::Error> {
        let query = sqlx::query(
            "UPDATE webhooks SET url = $2, secret = $3, kinds = $4, numbers = $5, whole = $6 WHERE name = $1",
        );
        let done = bound(query.bind(to.name.as_str()), to).execute(&self.pool).await?;
        Ok(done.rows_affected() > 0)
    }

    /// Forget a webhook, and how far it was. False: there is none.
    pub async fn remove_webhook(&self, name: &str) -> Result<bool, sqlx::Error> {
        let mut work = self.pool.begin().await?;
        sqlx::query("DELETE FROM webhook_places WHERE webhook = $1").bind(name).execute(&mut *work).await?;
        let done = sqlx::query("DELETE FROM webhooks WHERE name = $1").bind(name).execute(&mut *work).await?;
        work.commit().await?;
        Ok(done.rows_affected() > 0)
    }

    /// All webhooks that were made by the API, by name.
    pub async fn webhooks(&self) -> Result<Vec<Webhook>, sqlx::Error> {
        let text = format!("{COLUMNS} ORDER BY name");
        sqlx::query(sqlx::AssertSqlSafe(text)).fetch_all(&self.pool).await?.iter().map(webhook).collect()
    }

    /// How far a webhook is with the events of this server; absent: it was told none yet.
    pub async fn told(&self, webhook: &str, node: &str) -> Result<Option<Told>, sqlx::Error> {
        let row = sqlx::query(
            "SELECT done, since_ms, taken_ms, trouble, trouble_ms FROM webhook_places
                WHERE webhook = $1 AND node = $2",
        );
        let row = row.bind(webhook).bind(node).fetch_optional(&self.pool).await?;
        row.map(|row| {
            Ok(Told {
                done: row.try_get(0)?,
                since_ms: row.try_get(1)?,
                taken_ms: row.try_get(2)?,
                trouble: row.try_get(3)?,
                trouble_ms: row.try_get(4)?,
            })
        })
        .transpose()
    }

    /// A webhook is so far.
    pub async fn has_told(&self, webhook: &str, node: &str, told: &Told) -> Result<(), sqlx::Error> {
        let query = sqlx::query(
            "INSERT INTO webhook_places (webhook, node, done, since_ms, taken_ms, trouble, trouble_ms)
                VALUES ($1, $2, $3, $4, $5, $6, $7)
                ON CONFLICT (webhook, node) DO UPDATE SET done = excluded.done, since_ms = excluded.since_ms,
                    taken_ms = excluded.taken_ms, trouble = excluded.trouble, trouble_ms = excluded.trouble_ms",
        );
        let query = query.bind(webhook).bind(node).bind(told.done).bind(told.since_ms).bind(told.taken_ms);
        query.bind(told.trouble.as_str()).bind(told.trouble_ms).execute(&self.pool).await.map(drop)
    }

    /// The number of the last event of this server from before that moment; 0: there is none.
    pub async fn last_before(&self, node: &str, at_ms: i64) -> Result<i64, sqlx::Error> {
        let row = sqlx::query("SELECT id FROM events WHERE node = $1 AND at_ms < $2 ORDER BY id DESC LIMIT 1")
            .bind(node)
            .bind(at_ms)
            .fetch_optional(&self.pool)
            .await?;
        row.map_or(Ok(0), |row| row.try_get(0))
    }

    /// How many events of this server are kept after `done`; counted up to `most`.
    pub async fn count_after(&self, node: &str, done: i64, most: i64) -> Result<i64, sqlx::Error> {
        let text = "SELECT COUNT(*) FROM (SELECT id FROM events WHERE node = $1 AND id > $2 LIMIT $3) AS waiting";
        sqlx::query(text).bind(node).bind(done).bind(most).fetch_one(&self.pool).await?.try_get(0)
    }

    /// Events of this server after `done`, not from before `since_ms`, in order, at most so many.
    pub async fn candidates(
        &self,
        node: &str,
        (done, since_ms): (i64, i64),
        most: u32,
    ) -> Result<Vec<Candidate>, sqlx::Error> {
        let rows = sqlx::query(
            "SELECT events.id, events.kind, events.document, calls.caller, calls.called FROM events
                LEFT JOIN calls ON calls.node = events.node AND calls.id = events.call
                WHERE events.node = $1 AND events.id > $2 AND events.at_ms >= $3 ORDER BY events.id LIMIT $4",
        );
        let rows = rows.bind(node).bind(done).bind(since_ms).bind(i64::from(most)).fetch_all(&self.pool).await?;
        rows.iter().map(candidate).collect()
    }
}

type AnyQuery<'q> = sqlx::query::Query<'q, Any, sqlx::any::AnyArguments>;

fn bound<'q>(query: AnyQuery<'q>, webhook: &'q Webhook) -> AnyQuery<'q> {
    let query = query.bind(webhook.url.as_str()).bind(webhook.secret.as_str());
    query.bind(webhook.kinds.join(",")).bind(webhook.numbers.join(",")).bind(i64::from(webhook.whole))
}

fn webhook(row: &AnyRow) -> Result<Webhook, sqlx::Error> {
    let list = |column: String| super::keys::numbers_of(&column);
    Ok(Webhook {
        name: row.try_get(0)?,
        url: row.try_get(1)?,
        secret: row.try_get(2)?,
        kinds: list(row.try_get(3)?),
        numbers: list(row.try_get(4)?),
        whole: row.try_get::<i64, _>(5)? != 0,
        created_ms: row.try_get(6)?,
    })
}

fn candidate(row: &AnyRow) -> Result<Candidate, sqlx::Error> {
    let caller: Option<String> = row.try_get(3)?;
    let called: Option<String> = row.try_get(4)?;
    let parties = caller.zip(called).map(|(caller, called)| [caller, called]);
    Ok(Candidate { id: row.try_get(0)?, kind: row.try_get(1)?, line: row.try_get(2)?, parties })
}
