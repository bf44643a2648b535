//! People who log in, and their sessions.

use sqlx::{Row, any::AnyRow};

use super::{Key, Password, Scope, Store, keys};

/// Somebody who may log in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// By which they log in.
    pub name: String,
    /// What they may do.
    pub role: Scope,
    /// The numbers whose calls they see and make; empty: all.
    pub numbers: Vec<String>,
}

impl Person {
    /// What the API takes them for.
    pub fn key(&self) -> Key {
        let Person { name, role, numbers } = self.clone();
        Key { id: format!("user:{name}"), name, scope: role, numbers }
    }
}

impl Store {
    /// Let somebody log in. False: somebody of this name is there.
    pub async fn add_person(&self, new: &Person, password: &Password, now_ms: i64) -> Result<bool, sqlx::Error> {
        let done = sqlx::query(
            "INSERT INTO people (name, password, role, numbers, created_ms) VALUES ($1, $2, $3, $4, $5)
                ON CONFLICT (name) DO NOTHING",
        )
        .bind(new.name.as_str())
        .bind(password.0.as_str())
        .bind(new.role.as_str())
        .bind(new.numbers.join(","))
        .bind(now_ms)
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected() > 0)
    }

    /// Everybody, by name.
    pub async fn people(&self) -> Result<Vec<Person>, sqlx::Error> {
        let rows = sqlx::query("SELECT name, role, numbers FROM people ORDER BY name").fetch_all(&self.pool).await?;
        rows.iter().map(person).collect()
    }

    /// Somebody, and their password.
    pub async fn person(&self, name: &str) -> Result<Option<(Person, Password)>, sqlx::Error> {
        let row = sqlx::query("SELECT name, role, numbers, password FROM people WHERE name = $1")
            .bind(name)
            .fetch_optional(&self.pool)
            .await?;
        row.map(|row| Ok((person(&row)?, Password(row.try_get(3)?)))).transpose()
    }

    /// What somebody may do from now on, their open sessions included. False: nobody of this name.
    pub async fn change_person(&self, to: &Person) -> Result<bool, sqlx::Error> {
        let query = sqlx::query("UPDATE people SET role = $1, numbers = $2 WHERE name = $3");
        let query = query.bind(to.role.as_str()).bind(to.numbers.join(",")).bind(to.name.as_str());
        Ok(query.execute(&self.pool).await?.rows_affected() > 0)
    }

    /// Another password, which ends all sessions. False: nobody of this name.
    pub async fn change_password(&self, name: &str, password: &Password) -> Result<bool, sqlx::Error> {
        let mut work = self.pool.begin().await?;
        let query = sqlx::query("UPDATE people SET password = $1 WHERE name = $2");
        let done = query.bind(password.0.as_str()).bind(name).execute(&mut *work).await?;
        sqlx::query("DELETE FROM sessions WHERE person = $1").bind(name).execute(&mut *work).await?;
        work.commit().await?;
        Ok(done.rows_affected() > 0)
    }

    /// Forget somebody, and end their sessions. False: nobody of this name.
    pub async fn remove_person(&self, name: &str) -> Result<bool, sqlx::Error> {
        let mut work = self.pool.begin().await?;
        sqlx::query("DELETE FROM sessions WHERE person = $1").bind(name).execute(&mut *work).await?;
        let done = sqlx::query("DELETE FROM people WHERE name = $1").bind(name).execute(&mut *work).await?;
        work.commit().await?;
        Ok(done.rows_affected() > 0)
    }

    /// Begin a session of somebody, until then. Gives its token, which is not kept. Sessions that are over go.
    pub async fn begin_session(&self, name: &str, now_ms: i64, expires_ms: i64) -> Result<String, sqlx::Error> {
        let token = format!("sws_{}", keys::random::<32>());
        sqlx::query("DELETE FROM sessions WHERE expires_ms <= $1").bind(now_ms).execute(&self.pool).await?;
        sqlx::query("INSERT INTO sessions (hash, person, created_ms, expires_ms) VALUES ($1, $2, $3, $4)")
            .bind(keys::hash(&token))
            .bind(name)
            .bind(now_ms)
            .bind(expires_ms)
            .execute(&self.pool)
            .await?;
        Ok(token)
    }

    /// Whose session this is, and when it will be over, in ms since 1970; none: it is. By the [`hash`](keys::hash) of
    /// its token.
    pub async fn find_session(&self, hash: &str, now_ms: i64) -> Result<Option<(Person, i64)>, sqlx::Error> {
        let row = sqlx::query(
            "SELECT people.name, people.role, people.numbers, sessions.expires_ms FROM sessions
                JOIN people ON people.name = sessions.person
                WHERE sessions.hash = $1 AND sessions.expires_ms > $2",
        )
        .bind(hash)
        .bind(now_ms)
        .fetch_optional(&self.pool)
        .await?;
        row.map(|row| Ok((person(&row)?, row.try_get(3)?))).transpose()
    }

    /// End a session.
    pub async fn end_session(&self, token: &str) -> Result<(), sqlx::Error> {
        let query = sqlx::query("DELETE FROM sessions WHERE hash = $1");
        query.bind(keys::hash(token)).execute(&self.pool).await.map(drop)
    }
}

fn person(row: &AnyRow) -> Result<Person, sqlx::Error> {
    let numbers: String = row.try_get(2)?;
    Ok(Person {
        name: row.try_get(0)?,
        // A word that is none of ours allows the least.
        role: row.try_get::<String, _>(1)?.parse().unwrap_or(Scope::Read),
        numbers: keys::numbers_of(&numbers),
    })
}
