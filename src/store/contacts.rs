//! Contacts: people and companies that are called or call, with numbers, notes and variables.

use std::collections::BTreeMap;

use sqlx::{Any, AssertSqlSafe, Row, Transaction};

use super::{Place, Store, keys};
use crate::switch::Dialling;

/// A contact.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contact {
    /// By which it is named; empty in one that is not kept yet.
    pub id: String,
    /// Whose it is.
    pub name: String,
    /// Its numbers, the best first.
    pub numbers: Vec<String>,
    /// What is known.
    pub notes: String,
    /// Values for flows, by name.
    pub vars: BTreeMap<String, String>,
    /// When it was made, in ms since 1970.
    pub created_ms: i64,
    /// When it was changed last.
    pub changed_ms: i64,
}

/// Which contacts.
#[derive(Clone, Debug, Default)]
pub struct ContactFilter {
    /// With a number that is plainly one of these, see [`Dialling::plain_ways`]; empty: any.
    pub numbers: Vec<String>,
    /// With this in the name, in capital or small letters.
    pub text: Option<String>,
    /// After this one.
    pub after: Option<Place>,
    /// At most so many.
    pub limit: u32,
}

impl Store {
    /// Keep a new contact; gives it with its id.
    pub async fn add_contact(&self, new: Contact, now_ms: i64) -> Result<Contact, sqlx::Error> {
        let contact = Contact { id: keys::random::<8>(), created_ms: now_ms, changed_ms: now_ms, ..new };
        let mut work = self.pool.begin().await?;
        sqlx::query(
            "INSERT INTO contacts (id, name, notes, vars, created_ms, changed_ms) VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(contact.id.as_str())
        .bind(contact.name.as_str())
        .bind(contact.notes.as_str())
        .bind(json(&contact.vars))
        .bind(now_ms)
        .bind(now_ms)
        .execute(&mut *work)
        .await?;
        put_numbers(&mut work, &contact).await?;
        work.commit().await?;
        Ok(contact)
    }

    /// Put this in the place of the contact with its id. False: there is none.
    pub async fn change_contact(&self, contact: &Contact, now_ms: i64) -> Result<bool, sqlx::Error> {
        let mut work = self.pool.begin().await?;
        let done = sqlx::query("UPDATE contacts SET name = $1, notes = $2, vars = $3, changed_ms = $4 WHERE id = $5")
            .bind(contact.name.as_str())
            .bind(contact.notes.as_str())
            .bind(json(&contact.vars))
            .bind(now_ms)
            .bind(contact.id.as_str())
            .execute(&mut *work)
            .await?;
        if done.rows_affected() == 0 {
            return Ok(false);
        }
        drop_numbers(&mut work, &contact.id).await?;
        put_numbers(&mut work, contact).await?;
        work.commit().await?;
        Ok(true)
    }

    /// Forget a contact. False: there is none.
    pub async fn remove_contact(&self, id: &str) -> Result<bool, sqlx::Error> {
        let mut work = self.pool.begin().await?;
        drop_numbers(&mut work, id).await?;
        let done = sqlx::query("DELETE FROM contacts WHERE id = $1").bind(id).execute(&mut *work).await?;
        work.commit().await?;
        Ok(done.rows_affected() > 0)
    }

    /// One contact.
    pub async fn contact(&self, id: &str) -> Result<Option<Contact>, sqlx::Error> {
        let row = sqlx::query("SELECT id, name, notes, vars, created_ms, changed_ms FROM contacts WHERE id = $1");
        let Some(row) = row.bind(id).fetch_optional(&self.pool).await? else { return Ok(None) };
        Ok(Some(Contact { numbers: self.numbers_of(id).await?, ..contact(&row)? }))
    }

    /// Contacts, the newest first. Gives also where the next page begins.
    pub async fn contacts(&self, filter: &ContactFilter) -> Result<(Vec<Contact>, Option<Place>), sqlx::Error> {
        let (at, id) = filter.after.clone().unwrap_or((i64::MAX, String::new()));
        let mut text = "SELECT id, name, notes, vars, created_ms, changed_ms FROM contacts
            WHERE (created_ms < $1 OR (created_ms = $1 AND id < $2))"
            .to_owned();
        let mut words = Vec::new();
        if !filter.numbers.is_empty() {
            words.clone_from(&filter.numbers);
            let marks: Vec<String> = (3..words.len() + 3).map(|at| format!("${at}")).collect();
            let marks = marks.join(", ");
            text.push_str(&format!(" AND id IN (SELECT contact FROM contact_numbers WHERE plain IN ({marks}))"));
        }
        if let Some(part) = &filter.text {
            words.push(format!("%{}%", literal(&part.to_lowercase())));
            text.push_str(&format!(" AND LOWER(name) LIKE ${} ESCAPE '!'", words.len() + 2));
        }
        text.push_str(&format!(" ORDER BY created_ms DESC, id DESC LIMIT {}", filter.limit + 1));
        let mut query = sqlx::query(AssertSqlSafe(text)).bind(at).bind(id);
        for word in &words {
            query = query.bind(word.as_str());
        }
        let rows = query.fetch_all(&self.pool).await?;
        let mut found = rows.iter().map(contact).collect::<Result<Vec<_>, _>>()?;
        let more = found.len() > filter.limit as usize;
        found.truncate(filter.limit as usize);
        for one in &mut found {
            one.numbers = self.numbers_of(&one.id).await?;
        }
        let next = found.last().filter(|_| more).map(|last| (last.created_ms, last.id.clone()));
        Ok((found, next))
    }

    async fn numbers_of(&self, id: &str) -> Result<Vec<String>, sqlx::Error> {
        let query = sqlx::query("SELECT number FROM contact_numbers WHERE contact = $1 ORDER BY place");
        query.bind(id).fetch_all(&self.pool).await?.iter().map(|row| row.try_get(0)).collect()
    }
}

/// What LIKE takes for itself stands for itself.
fn literal(text: &str) -> String {
    text.replace('!', "!!").replace('%', "!%").replace('_', "!_")
}

fn json(vars: &BTreeMap<String, String>) -> String {
    serde_json::to_string(vars).expect("texts are plain data")
}

async fn put_numbers(work: &mut Transaction<'_, Any>, contact: &Contact) -> Result<(), sqlx::Error> {
    for (place, number) in (0i64..).zip(&contact.numbers) {
        sqlx::query("INSERT INTO contact_numbers (contact, place, number, plain) VALUES ($1, $2, $3, $4)")
            .bind(contact.id.as_str())
            .bind(place)
            .bind(number.as_str())
            .bind(Dialling::plain(number))
            .execute(&mut **work)
            .await?;
    }
    Ok(())
}

async fn drop_numbers(work: &mut Transaction<'_, Any>, id: &str) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM contact_numbers WHERE contact = $1").bind(id).execute(&mut **work).await.map(drop)
}

fn contact(row: &sqlx::any::AnyRow) -> Result<Contact, sqlx::Error> {
    let vars: String = row.try_get(3)?;
    Ok(Contact {
        id: row.try_get(0)?,
        name: row.try_get(1)?,
        numbers: Vec::new(),
        notes: row.try_get(2)?,
        vars: serde_json::from_str(&vars).unwrap_or_default(),
        created_ms: row.try_get(4)?,
        changed_ms: row.try_get(5)?,
    })
}
