//! Queues, agents and AI agents that were made by the API: each a document under its id, and which queues name which
//! agents.

use sqlx::{Any, AssertSqlSafe, Row, Transaction, any::AnyRow};

use super::{Store, keys};
use crate::verbs::{Listed, ResourceKind};

/// An entry as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filed<R> {
    /// The queue, agent or AI agent.
    pub entry: R,
    /// When it was made, in ms since 1970.
    pub created_ms: i64,
    /// When it was changed last.
    pub changed_ms: i64,
}

/// What came of keeping an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Put {
    /// It is kept.
    Done,
    /// A new one: there is one of its id. A changed one: there is none.
    NotSo,
    /// There is no agent of this id, which it names.
    Lacks(String),
}

/// What came of removing an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Removed {
    /// It is gone.
    Done,
    /// There is none.
    NotThere,
    /// These queues name it; it is still there.
    Named(Vec<String>),
}

const fn table(kind: ResourceKind) -> &'static str {
    match kind {
        ResourceKind::Queue => "queues",
        ResourceKind::Agent => "agents",
        ResourceKind::AiAgent => "ai_agents",
    }
}

impl Store {
    /// An id for an entry that comes without one.
    pub fn fresh_id() -> String {
        keys::random::<8>()
    }

    /// The ids of all entries of a kind, in no order.
    pub async fn entry_ids(&self, kind: ResourceKind) -> Result<Vec<String>, sqlx::Error> {
        let text = format!("SELECT id FROM {}", table(kind));
        sqlx::query(AssertSqlSafe(text)).fetch_all(&self.pool).await?.iter().map(|row| row.try_get(0)).collect()
    }

    /// The entries of these ids, in no order; those that there are.
    pub async fn entries<R: Listed>(&self, ids: &[String]) -> Result<Vec<Filed<R>>, sqlx::Error> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let marks: Vec<String> = (1..=ids.len()).map(|at| format!("${at}")).collect();
        let (table, marks) = (table(R::KIND), marks.join(", "));
        let text = format!("SELECT document, created_ms, changed_ms FROM {table} WHERE id IN ({marks})");
        let mut query = sqlx::query(AssertSqlSafe(text));
        for id in ids {
            query = query.bind(id.as_str());
        }
        query.fetch_all(&self.pool).await?.iter().map(filed).collect()
    }

    /// One entry.
    pub async fn entry<R: Listed>(&self, id: &str) -> Result<Option<Filed<R>>, sqlx::Error> {
        let text = format!("SELECT document, created_ms, changed_ms FROM {} WHERE id = $1", table(R::KIND));
        let row = sqlx::query(AssertSqlSafe(text)).bind(id).fetch_optional(&self.pool).await?;
        row.as_ref().map(filed).transpose()
    }

    /// How many entries of a kind there are.
    pub async fn count_entries(&self, kind: ResourceKind) -> Result<i64, sqlx::Error> {
        let text = format!("SELECT COUNT(*) FROM {}", table(kind));
        sqlx::query(AssertSqlSafe(text)).fetch_one(&self.pool).await?.try_get(0)
    }

    /// Keep a new entry, where all agents of these ids are kept, too.
    pub async fn add_entry<R: Listed>(&self, new: &R, needs: &[String], now_ms: i64) -> Result<Put, sqlx::Error> {
        let text = format!(
            "INSERT INTO {} (id, document, created_ms, changed_ms) VALUES ($1, $2, $3, $4) ON CONFLICT (id) DO NOTHING",
            table(R::KIND)
        );
        let mut work = self.pool.begin().await?;
        let query = sqlx::query(AssertSqlSafe(text)).bind(new.id()).bind(json(new)).bind(now_ms).bind(now_ms);
        if query.execute(&mut *work).await?.rows_affected() == 0 {
            return Ok(Put::NotSo);
        }
        finish(work, new, needs).await
    }

    /// Put this in the place of the entry of its id; the rest as [`Store::add_entry`].
    pub async fn change_entry<R: Listed>(&self, entry: &R, needs: &[String], now_ms: i64) -> Result<Put, sqlx::Error> {
        let text = format!("UPDATE {} SET document = $1, changed_ms = $2 WHERE id = $3", table(R::KIND));
        let mut work = self.pool.begin().await?;
        let query = sqlx::query(AssertSqlSafe(text)).bind(json(entry)).bind(now_ms).bind(entry.id());
        if query.execute(&mut *work).await?.rows_affected() == 0 {
            return Ok(Put::NotSo);
        }
        unname(&mut work, entry.id(), R::KIND).await?;
        finish(work, entry, needs).await
    }

    /// Forget an entry. An agent that queues name stays.
    pub async fn remove_entry(&self, kind: ResourceKind, id: &str) -> Result<Removed, sqlx::Error> {
        let mut work = self.pool.begin().await?;
        if !hold(&mut work, kind, id).await? {
            return Ok(Removed::NotThere);
        }
        if kind == ResourceKind::Agent {
            let query = sqlx::query("SELECT queue FROM queue_agents WHERE agent = $1").bind(id);
            let rows = query.fetch_all(&mut *work).await?;
            let mut queues = rows.iter().map(|row| row.try_get(0)).collect::<Result<Vec<String>, _>>()?;
            if !queues.is_empty() {
                queues.sort();
                return Ok(Removed::Named(queues));
            }
        }
        unname(&mut work, id, kind).await?;
        let text = format!("DELETE FROM {} WHERE id = $1", table(kind));
        sqlx::query(AssertSqlSafe(text)).bind(id).execute(&mut *work).await?;
        work.commit().await?;
        Ok(Removed::Done)
    }
}

/// Nobody else changes the entry before this work is done. False: there is none.
///
/// Who names an agent holds it, and so does who removes it: so no queue comes to name an agent that goes.
async fn hold(work: &mut Transaction<'_, Any>, kind: ResourceKind, id: &str) -> Result<bool, sqlx::Error> {
    let text = format!("UPDATE {} SET changed_ms = changed_ms WHERE id = $1", table(kind));
    let done = sqlx::query(AssertSqlSafe(text)).bind(id).execute(&mut **work).await?;
    Ok(done.rows_affected() > 0)
}

/// The agents that it names are noted, and the work is done; unless one that it needs is not there.
async fn finish<R: Listed>(mut work: Transaction<'_, Any>, entry: &R, needs: &[String]) -> Result<Put, sqlx::Error> {
    // In one order, so that two who want the same never wait for each other.
    let mut needs = needs.to_vec();
    needs.sort();
    for agent in needs {
        if !hold(&mut work, ResourceKind::Agent, &agent).await? {
            return Ok(Put::Lacks(agent));
        }
    }
    for agent in entry.agents() {
        let query = sqlx::query("INSERT INTO queue_agents (queue, agent) VALUES ($1, $2)").bind(entry.id());
        query.bind(agent.as_str()).execute(&mut *work).await?;
    }
    work.commit().await?;
    Ok(Put::Done)
}

async fn unname(work: &mut Transaction<'_, Any>, id: &str, kind: ResourceKind) -> Result<(), sqlx::Error> {
    if kind != ResourceKind::Queue {
        return Ok(());
    }
    sqlx::query("DELETE FROM queue_agents WHERE queue = $1").bind(id).execute(&mut **work).await.map(drop)
}

fn json(entry: &impl Listed) -> String {
    serde_json::to_string(entry).expect("an entry is plain data")
}

fn filed<R: Listed>(row: &AnyRow) -> Result<Filed<R>, sqlx::Error> {
    let document: String = row.try_get(0)?;
    let entry = serde_json::from_str(&document).map_err(|error| sqlx::Error::Decode(error.into()))?;
    Ok(Filed { entry, created_ms: row.try_get(1)?, changed_ms: row.try_get(2)? })
}
