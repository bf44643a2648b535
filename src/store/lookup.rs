//! Contacts for scripts: whom a number belongs to. A thread of its own: a database that is slow or away holds up nothing
//! but the scripts that ask for it, and those not for long.

use std::{io, thread, time::Duration};

use tokio::{sync::mpsc, time::timeout};

use super::{Answer, ContactFilter, Database, Store};
use crate::{
    io::{clock::Clock, runtime},
    switch::Dialling,
    time::Time,
    verbs::{Contact, Failure, Keep, KeepOp, Reply},
};

/// A database that does not answer within this time is away.
const PATIENCE: Duration = Duration::from_secs(1);
/// And it is not asked again for so long.
const AGAIN: Duration = Duration::from_secs(1);

/// Start the thread. It ends when the sender of `jobs` is gone.
pub fn spawn(
    database: Database,
    (dialling, clock): (Dialling, Clock),
    mut jobs: mpsc::Receiver<Keep>,
    mut answer: Answer,
) -> io::Result<thread::JoinHandle<()>> {
    let runtime = runtime()?;
    let mut contacts = Contacts { database, dialling, clock, store: None, away_until: clock.now() };
    thread::Builder::new().name("contacts".into()).spawn(move || {
        // The answer may have to wait for room, which nobody may do within the runtime.
        while let Some(Keep { flow, id, op }) = jobs.blocking_recv() {
            if let KeepOp::Contact { number } = op {
                answer(flow, id, runtime.block_on(contacts.find(&number)));
            }
        }
    })
}

struct Contacts {
    database: Database,
    dialling: Dialling,
    clock: Clock,
    store: Option<Store>,
    away_until: Time,
}

impl Contacts {
    async fn find(&mut self, number: &str) -> Reply {
        if number.is_empty() {
            return Reply::Contact(None);
        }
        if self.clock.now() < self.away_until {
            return away();
        }
        match timeout(PATIENCE, self.look(number)).await {
            Ok(Ok(contact)) => Reply::Contact(contact.map(Box::new)),
            Ok(Err(error)) => {
                tracing::warn!(%error, "the database does not say whose number it is");
                self.give_up()
            }
            Err(_) => self.give_up(),
        }
    }

    fn give_up(&mut self) -> Reply {
        self.away_until = self.clock.now() + AGAIN;
        away()
    }

    /// Of several with this number the one that was made last.
    async fn look(&mut self, number: &str) -> Result<Option<Contact>, sqlx::Error> {
        let store = match self.store.take() {
            Some(store) => store,
            None => Store::open(&self.database).await?,
        };
        let store = self.store.insert(store);
        let filter = ContactFilter { numbers: self.dialling.plain_ways(number), limit: 1, ..ContactFilter::default() };
        let (found, _) = store.contacts(&filter).await?;
        Ok(found.into_iter().next().map(|one| {
            let super::Contact { id, name, numbers, notes, vars, .. } = one;
            Contact { id, name, numbers, notes, vars: vars.into_iter().collect() }
        }))
    }
}

fn away() -> Reply {
    Reply::Failed(Failure::Store("the database does not answer".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_number_is_found_whichever_way_it_is_written_and_the_newest_contact_counts() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::file(&folder.path().join("x.sqlite"));
        let clock = Clock::start();
        let dialling = Dialling { country: "49".into(), ..Dialling::default() };
        let mut contacts =
            Contacts { database: database.clone(), dialling, clock, store: None, away_until: clock.now() };
        let store = Store::open(&database).await.unwrap();
        let numbers = vec!["+49 (30) 1234".to_owned(), "anna".to_owned()];
        let anna = crate::store::Contact { name: "Anna".into(), numbers, ..Default::default() };
        store.add_contact(anna.clone(), 1).await.unwrap();
        let mut name = async |number: &str| match contacts.find(number).await {
            Reply::Contact(contact) => contact.map(|one| one.name),
            other => panic!("{number}: {other:?}"),
        };
        for number in ["+49301234", "0049 30 1234", "030-1234", "4930 1234", "Anna"] {
            assert_eq!(name(number).await.as_deref(), Some("Anna"), "{number}");
        }
        for number in ["", "301234", "+43301234"] {
            assert_eq!(name(number).await, None, "{number}");
        }
        store.add_contact(crate::store::Contact { name: "Bo".into(), ..anna }, 2).await.unwrap();
        assert_eq!(name("0301234").await.as_deref(), Some("Bo"));
    }

    #[tokio::test]
    async fn a_database_that_is_away_is_told_and_soon_asked_again() {
        let clock = Clock::start();
        let database = Database::parse("sqlite:///nowhere/at/all.sqlite").unwrap();
        let dialling = Dialling::default();
        let mut contacts = Contacts { database, dialling, clock, store: None, away_until: clock.now() };
        assert_eq!(contacts.find("1").await, away());
        assert!(contacts.away_until > clock.now());
        assert_eq!(contacts.find("1").await, away(), "at once");
    }
}
