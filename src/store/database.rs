//! The database: SQLite in a file of ours, or PostgreSQL by its address; the same statements for both.

use std::{path::Path, time::Duration};

use sqlx::{AnyConnection, AnyPool, Executor, Row, any::AnyPoolOptions};

use super::schema::MIGRATIONS;

/// Which database.
#[derive(Clone, PartialEq, Eq)]
pub struct Database {
    url: String,
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The address may hold a password.
        f.write_str(if self.is_sqlite() { "SQLite" } else { "PostgreSQL" })
    }
}

impl Database {
    /// `postgres://user:password@host/name`, or `sqlite:` and a file. None: it is neither.
    pub fn parse(url: &str) -> Option<Database> {
        let known = ["postgres://", "postgresql://", "sqlite:"].iter().any(|start| url.starts_with(start));
        known.then(|| Database { url: url.to_owned() })
    }

    /// The SQLite database in this file.
    pub fn file(path: &Path) -> Database {
        let escaped = path.display().to_string().replace('%', "%25").replace('?', "%3f").replace('#', "%23");
        Database { url: format!("sqlite://{escaped}?mode=rwc") }
    }

    pub(super) fn is_sqlite(&self) -> bool {
        self.url.starts_with("sqlite:")
    }

    /// Connect with up to `connections`, and bring the tables up to date. `durable`: what is written is on the disk when
    /// that is said, even if the machine loses its power; else only if the program dies.
    pub async fn open(&self, connections: u32, durable: bool) -> Result<AnyPool, sqlx::Error> {
        let pool = self.connect(connections, durable).await?;
        migrate(&pool, self.is_sqlite()).await?;
        Ok(pool)
    }

    /// As [`Self::open`], with the tables left as they are.
    pub(super) async fn connect(&self, connections: u32, durable: bool) -> Result<AnyPool, sqlx::Error> {
        sqlx::any::install_default_drivers();
        let sqlite = self.is_sqlite();
        let options = AnyPoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(Duration::from_secs(5))
            .after_connect(move |connection, _| Box::pin(async move { prepare(connection, sqlite, durable).await }));
        options.connect(&self.url).await
    }
}

async fn prepare(connection: &mut AnyConnection, sqlite: bool, durable: bool) -> Result<(), sqlx::Error> {
    if sqlite {
        for pragma in [
            "PRAGMA busy_timeout = 10000",
            // Rows are long: with larger pages than usual, five hundred calls a second cost an eighth less. Only a new
            // file takes it.
            "PRAGMA page_size = 8192",
            "PRAGMA journal_mode = WAL",
            if durable { "PRAGMA synchronous = FULL" } else { "PRAGMA synchronous = NORMAL" },
            // Pages that change all the time are brought from the log to their places seldom, and found in memory.
            "PRAGMA wal_autocheckpoint = 4000",
            if durable { "PRAGMA cache_size = -16384" } else { "PRAGMA cache_size = -2048" },
        ] {
            connection.execute(pragma).await?;
        }
    } else {
        connection.execute("SET statement_timeout = 30000").await?;
    }
    Ok(())
}

async fn migrate(pool: &AnyPool, sqlite: bool) -> Result<(), sqlx::Error> {
    let mut work = pool.begin().await?;
    if !sqlite {
        // Two servers of one database may start together.
        work.execute("SELECT pg_advisory_xact_lock(8724651)").await?;
    }
    work.execute("CREATE TABLE IF NOT EXISTS schema_version (version BIGINT NOT NULL)").await?;
    let rows = sqlx::query("SELECT version FROM schema_version").fetch_all(&mut *work).await?;
    let taken = rows.iter().map(|row| row.try_get(0)).collect::<Result<Vec<i64>, _>>()?;
    for (version, statements) in MIGRATIONS.iter().filter(|(version, _)| !taken.contains(version)) {
        for statement in *statements {
            work.execute(*statement).await?;
        }
        sqlx::query("INSERT INTO schema_version (version) VALUES ($1)").bind(*version).execute(&mut *work).await?;
    }
    work.commit().await
}
