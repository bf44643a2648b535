//! Keys to the API: made here, shown once, and kept as hashes.

use std::str::FromStr;

use ring::rand::{SecureRandom, SystemRandom};
use sha2::{Digest, Sha256};
use sqlx::{AnyPool, Row};

use crate::switch::Dialling;

/// What a key allows; each includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// To look.
    Read,
    /// To make calls and to steer them.
    Call,
    /// Everything.
    Admin,
}

impl Scope {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Scope::Read => "read",
            Scope::Call => "call",
            Scope::Admin => "admin",
        }
    }
}

impl FromStr for Scope {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Scope, &'static str> {
        match text {
            "read" => Ok(Scope::Read),
            "call" => Ok(Scope::Call),
            "admin" => Ok(Scope::Admin),
            _ => Err("read, call or admin"),
        }
    }
}

/// A key, without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// By which it is named.
    pub id: String,
    /// What it is for, in words of who made it.
    pub name: String,
    /// What it allows.
    pub scope: Scope,
    /// The numbers whose calls it sees and makes; empty: all.
    pub numbers: Vec<String>,
}

impl Key {
    /// Does it see calls between these two, whichever way their numbers are written?
    pub fn sees(&self, dialling: &Dialling, parties: [&str; 2]) -> bool {
        self.numbers.is_empty() || parties.iter().any(|party| self.has(dialling, party))
    }

    /// Is this one of its numbers, whichever way it is written?
    pub fn has(&self, dialling: &Dialling, number: &str) -> bool {
        self.numbers.iter().any(|own| dialling.same(own, number))
    }

    /// All ways to write its numbers; none: it is for all.
    pub fn ways(&self, dialling: &Dialling) -> Vec<String> {
        self.numbers.iter().flat_map(|number| dialling.ways(number)).collect()
    }
}

pub(super) fn random<const N: usize>() -> String {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).expect("the kernel gives randomness");
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What is kept of the secret of a key or the token of a session: its SHA-256, as small hexadecimal digits. 256 bits of
/// chance need no slow hash.
pub fn hash(secret: &str) -> String {
    Sha256::digest(secret.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Make a key. Gives it, and its secret, which is not kept.
pub(super) async fn make(
    pool: &AnyPool,
    name: &str,
    scope: Scope,
    numbers: &[String],
    now_ms: i64,
) -> Result<(Key, String), sqlx::Error> {
    let (id, secret) = (random::<4>(), format!("swh_{}", random::<32>()));
    sqlx::query("INSERT INTO api_keys (id, name, hash, scope, numbers, created_ms) VALUES ($1, $2, $3, $4, $5, $6)")
        .bind(id.as_str())
        .bind(name)
        .bind(hash(&secret))
        .bind(scope.as_str())
        .bind(numbers.join(","))
        .bind(now_ms)
        .execute(pool)
        .await?;
    Ok((Key { id, name: name.to_owned(), scope, numbers: numbers.to_vec() }, secret))
}

/// The key of whose secret this is the hash.
pub(super) async fn find(pool: &AnyPool, hash: &str) -> Result<Option<Key>, sqlx::Error> {
    let row = sqlx::query("SELECT id, name, scope, numbers FROM api_keys WHERE hash = $1")
        .bind(hash)
        .fetch_optional(pool)
        .await?;
    row.map(|row| key(&row)).transpose()
}

/// All keys.
pub(super) async fn list(pool: &AnyPool) -> Result<Vec<Key>, sqlx::Error> {
    let rows =
        sqlx::query("SELECT id, name, scope, numbers FROM api_keys ORDER BY created_ms, id").fetch_all(pool).await?;
    rows.iter().map(key).collect()
}

/// Forget a key. False: there is none.
pub(super) async fn remove(pool: &AnyPool, id: &str) -> Result<bool, sqlx::Error> {
    let done = sqlx::query("DELETE FROM api_keys WHERE id = $1").bind(id).execute(pool).await?;
    Ok(done.rows_affected() > 0)
}

fn key(row: &sqlx::any::AnyRow) -> Result<Key, sqlx::Error> {
    let numbers: String = row.try_get(3)?;
    Ok(Key {
        id: row.try_get(0)?,
        name: row.try_get(1)?,
        // A word that is none of ours allows the least.
        scope: row.try_get::<String, _>(2)?.parse().unwrap_or(Scope::Read),
        numbers: numbers_of(&numbers),
    })
}

/// Numbers as they stand in a column.
pub(super) fn numbers_of(column: &str) -> Vec<String> {
    column.split(',').filter(|number| !number.is_empty()).map(str::to_owned).collect()
}
