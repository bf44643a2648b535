//! Flows in versions: each text that was ever given for a flow, and which one is in service.

use sqlx::{Row, any::AnyRow};

use super::Store;

/// How often a number is tried that somebody else may take at the same moment.
const TRIES: usize = 5;

/// A version of a flow, without its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// The flow: a path below the folder of scripts.
    pub flow: String,
    /// Counted from 1.
    pub version: i64,
    /// What is said about it.
    pub note: String,
    /// Who gave it.
    pub made_by: String,
    /// When, in ms since 1970.
    pub made_ms: i64,
}

/// A flow, and what is in service of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Activity {
    /// The flow.
    pub flow: String,
    /// Its newest version.
    pub newest: i64,
    /// The version in service; absent: none of these.
    pub active: Option<i64>,
}

impl Store {
    /// Keep a new version of a flow, and give its number.
    pub async fn add_version(
        &self,
        (flow, text): (&str, &str),
        note: &str,
        (who, now_ms): (&str, i64),
    ) -> Result<i64, sqlx::Error> {
        let mut tries = TRIES;
        loop {
            tries -= 1;
            let added = sqlx::query(
                "INSERT INTO flow_versions (flow, version, text, note, made_by, made_ms)
                    VALUES ($1, (SELECT COALESCE(MAX(version), 0) + 1 FROM flow_versions WHERE flow = $2), $3, $4, $5, $6)
                    RETURNING version",
            )
            .bind(flow)
            .bind(flow)
            .bind(text)
            .bind(note)
            .bind(who)
            .bind(now_ms)
            .fetch_one(&self.pool)
            .await;
            match added {
                Ok(row) => return row.try_get(0),
                // Somebody else gave one at the same moment.
                Err(sqlx::Error::Database(error)) if error.is_unique_violation() && tries > 0 => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// All flows that have versions, by name.
    pub async fn flows(&self) -> Result<Vec<Activity>, sqlx::Error> {
        let rows = sqlx::query(
            "SELECT flow_versions.flow, MAX(flow_versions.version), MAX(active_flows.version) FROM flow_versions
                LEFT JOIN active_flows ON active_flows.flow = flow_versions.flow
                GROUP BY flow_versions.flow ORDER BY flow_versions.flow",
        )
        .fetch_all(&self.pool)
        .await?;
        let one =
            |row: &AnyRow| Ok(Activity { flow: row.try_get(0)?, newest: row.try_get(1)?, active: row.try_get(2)? });
        rows.iter().map(one).collect()
    }

    /// The versions of a flow, the newest first.
    pub async fn versions(&self, flow: &str) -> Result<Vec<Version>, sqlx::Error> {
        let text = "SELECT flow, version, note, made_by, made_ms FROM flow_versions
            WHERE flow = $1 ORDER BY version DESC";
        let rows = sqlx::query(text).bind(flow).fetch_all(&self.pool).await?;
        let one = |row: &AnyRow| {
            Ok(Version {
                flow: row.try_get(0)?,
                version: row.try_get(1)?,
                note: row.try_get(2)?,
                made_by: row.try_get(3)?,
                made_ms: row.try_get(4)?,
            })
        };
        rows.iter().map(one).collect()
    }

    /// The text of a version.
    pub async fn version_text(&self, flow: &str, version: i64) -> Result<Option<String>, sqlx::Error> {
        let query = sqlx::query("SELECT text FROM flow_versions WHERE flow = $1 AND version = $2");
        let row = query.bind(flow).bind(version).fetch_optional(&self.pool).await?;
        row.map(|row| row.try_get(0)).transpose()
    }

    /// The version of a flow that is in service; absent: none of these.
    pub async fn active_version(&self, flow: &str) -> Result<Option<i64>, sqlx::Error> {
        let query = sqlx::query("SELECT version FROM active_flows WHERE flow = $1");
        let row = query.bind(flow).fetch_optional(&self.pool).await?;
        row.map(|row| row.try_get(0)).transpose()
    }

    /// This version is in service from now on.
    pub async fn activate(&self, flow: &str, version: i64, (who, now_ms): (&str, i64)) -> Result<(), sqlx::Error> {
        sqlx::query(
            "INSERT INTO active_flows (flow, version, since_ms, made_by) VALUES ($1, $2, $3, $4)
                ON CONFLICT (flow) DO UPDATE SET version = excluded.version, since_ms = excluded.since_ms,
                    made_by = excluded.made_by",
        )
        .bind(flow)
        .bind(version)
        .bind(now_ms)
        .bind(who)
        .execute(&self.pool)
        .await
        .map(drop)
    }
}
