//! A copy of all that is kept, in one SQLite file, whichever database it comes from; and the way back, into either
//! kind. So a copy also moves a server from SQLite to PostgreSQL.
//!
//! The copy holds the database as it was at one moment, and beside it what scripts keep and where phones were. It is
//! made while the server runs. Nobody may write while it is brought back.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use sqlx::{AnyConnection, Executor};

use super::{
    Database,
    copy::{self, Table},
    keep, registrations, spool,
};

/// Why there is no copy, or nothing was brought back.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// One of the two databases.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    /// A file.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// What is there would be mixed with what is in the copy.
    #[error("{table} is not empty: nothing was changed; with --replace, what is there goes")]
    NotEmpty {
        /// A table with rows.
        table: String,
    },
}

/// How many rows each table had.
pub type Counted = Vec<(String, u64)>;

/// The small databases in `folders.state`: file, table, and how that is made.
const BESIDE: [(&str, &str, &str); 2] =
    [(keep::FILE, "keep", keep::TABLE), (registrations::FILE, "registration", registrations::TABLE)];

fn at(path: &Path) -> impl FnOnce(io::Error) -> BackupError {
    move |source| BackupError::File { path: path.to_owned(), source }
}

/// Copy everything into the new file `to`. `state`: the folder of what is beside the database.
pub async fn backup(database: &Database, state: &Path, to: &Path) -> Result<Counted, BackupError> {
    if to.exists() {
        return Err(at(to)(io::ErrorKind::AlreadyExists.into()));
    }
    // Whoever finds the file under its name finds all of it.
    let mut new = to.as_os_str().to_owned();
    new.push(".new");
    let new = PathBuf::from(new);
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(at(&new)(error)),
        Ok(()) | Err(_) => {}
    }
    let counted = copy_all(database, state, &new).await;
    let counted = counted.inspect_err(|_| drop(fs::remove_file(&new)))?;
    File::open(&new).and_then(|file| file.sync_all()).map_err(at(&new))?;
    fs::rename(&new, to).map_err(at(to))?;
    Ok(counted)
}

async fn copy_all(database: &Database, state: &Path, to: &Path) -> Result<Counted, BackupError> {
    let source = database.open(1, false).await?;
    let target = Database::file(to).open(1, true).await?;
    let mut from = source.begin().await?;
    if !database.is_sqlite() {
        // SQLite shows one moment to a transaction in any case.
        from.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    }
    let mut into = target.begin().await?;
    let mut counted = Vec::new();
    for table in copy::tables(&mut into).await? {
        let rows = table.copy(&mut from, &mut into).await?;
        counted.push((table.name, rows));
    }
    for (file, name, make) in BESIDE {
        let file = state.join(file);
        if !file.exists() {
            continue;
        }
        into.execute(make).await?;
        let small = Database::file(&file).connect(1, false).await?;
        let rows = of_name(&mut into, name).await?.copy(&mut *small.acquire().await?, &mut into).await?;
        small.close().await;
        counted.push((name.to_owned(), rows));
    }
    into.commit().await?;
    // One file, with nothing beside it.
    target.execute("PRAGMA journal_mode = DELETE").await?;
    target.close().await;
    from.rollback().await?;
    source.close().await;
    Ok(counted)
}

async fn of_name(of: &mut AnyConnection, name: &str) -> Result<Table, sqlx::Error> {
    let all = copy::tables(of).await?;
    all.into_iter().find(|table| table.name == name).ok_or(sqlx::Error::RowNotFound)
}

/// Bring everything in the file `from` back. What is there is not mixed with it: it goes where `replace` says so, else
/// nothing is changed. The server must not run.
pub async fn restore(database: &Database, state: &Path, from: &Path, replace: bool) -> Result<Counted, BackupError> {
    let spool = state.join("spool");
    let _nobody_else = spool::hold(&spool).map_err(at(&spool))?;
    let node = spool::name(&spool).map_err(at(&spool))?;
    // A copy of the copy: it may be an older one, and is brought up to date.
    let work = state.join("restore.sqlite");
    fs::copy(from, &work).map_err(at(from))?;
    let counted = bring_back(database, (state, &node), &work, replace).await;
    fs::remove_file(&work).map_err(at(&work))?;
    counted
}

async fn bring_back(
    database: &Database,
    (state, node): (&Path, &str),
    from: &Path,
    replace: bool,
) -> Result<Counted, BackupError> {
    let source = Database::file(from).open(1, false).await?;
    let target = database.open(1, true).await?;
    let mut from = source.acquire().await?;
    let mut into = target.begin().await?;
    let (beside, tables): (Vec<Table>, Vec<Table>) =
        copy::tables(&mut from).await?.into_iter().partition(|table| BESIDE.iter().any(|one| one.1 == table.name));
    let mut counted = Vec::new();
    for table in tables {
        let rows = refill(&table, &mut from, &mut into, replace).await?;
        counted.push((table.name, rows));
    }
    if database.is_sqlite() {
        // Nobody else writes to it: what other servers left open, nobody will ever end.
        sqlx::query(super::reconcile::RECONCILE_OTHERS).bind(node).execute(&mut *into).await?;
    }
    into.commit().await?;
    target.close().await;
    for table in beside {
        let Some((file, _, make)) = BESIDE.into_iter().find(|one| one.1 == table.name) else { continue };
        let small = Database::file(&state.join(file)).connect(1, true).await?;
        let mut into = small.begin().await?;
        into.execute(make).await?;
        let rows = refill(&table, &mut from, &mut into, replace).await?;
        into.commit().await?;
        small.close().await;
        counted.push((table.name, rows));
    }
    drop(from);
    source.close().await;
    Ok(counted)
}

async fn refill(
    table: &Table,
    from: &mut AnyConnection,
    into: &mut AnyConnection,
    replace: bool,
) -> Result<u64, BackupError> {
    if replace {
        table.clear(into).await?;
    } else if !table.is_empty(into).await? {
        return Err(BackupError::NotEmpty { table: table.name.clone() });
    }
    Ok(table.copy(from, into).await?)
}
