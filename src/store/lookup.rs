//! What scripts ask the database: whom a number belongs to; which queues, agents and AI agents there are. A thread of its
//! own: a database that is slow or away holds up nothing but the scripts that ask for it, and those not for long.

use std::{io, sync::Arc, thread, time::Duration};

use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};

use super::{Answer, ContactFilter, Database, Store};
use crate::{
    io::{clock::Clock, runtime},
    switch::Dialling,
    time::Time,
    verbs::{Agent, AiAgent, Contact, Failure, Keep, KeepOp, Listed, Queue, Reply, Resource, ResourceKind, Roster},
};

/// A database that does not answer within this time is away.
const PATIENCE: Duration = Duration::from_secs(1);
/// And it is not asked again for so long.
const AGAIN: Duration = Duration::from_secs(1);

/// What the thread needs.
#[derive(Clone, Debug)]
pub struct LookupConfig {
    /// What is asked.
    pub database: Database,
    /// How numbers are written here.
    pub dialling: Dialling,
    /// The process's clock.
    pub clock: Clock,
    /// What stands in the configuration: it is not looked for in the database.
    pub roster: watch::Receiver<Arc<Roster>>,
}

/// Start the thread. It ends when the sender of `jobs` is gone.
pub fn spawn(
    config: LookupConfig,
    mut jobs: mpsc::Receiver<Keep>,
    mut answer: Answer,
) -> io::Result<thread::JoinHandle<()>> {
    let runtime = runtime()?;
    let mut lookup = Lookup::new(config);
    thread::Builder::new().name("lookup".into()).spawn(move || {
        // The answer may have to wait for room, which nobody may do within the runtime.
        while let Some(Keep { flow, id: request, op }) = jobs.blocking_recv() {
            match op {
                KeepOp::Contact { number } => answer(flow, request, runtime.block_on(lookup.contact(&number))),
                KeepOp::Resource { kind, id } => answer(flow, request, runtime.block_on(lookup.resource(kind, &id))),
                // Asked elsewhere.
                KeepOp::Get { .. } | KeepOp::Set { .. } | KeepOp::Add { .. } => {}
            }
        }
    })
}

struct Lookup {
    config: LookupConfig,
    store: Option<Store>,
    away_until: Time,
}

impl Lookup {
    fn new(config: LookupConfig) -> Lookup {
        let away_until = config.clock.now();
        Lookup { config, store: None, away_until }
    }

    async fn contact(&mut self, number: &str) -> Reply {
        if number.is_empty() {
            return Reply::Contact(None);
        }
        let numbers = self.config.dialling.plain_ways(number);
        self.ask(async |store| find_contact(store, numbers).await.map(|found| Reply::Contact(found.map(Box::new))))
            .await
    }

    /// Of two of an id the one of the configuration; that is known without the database.
    async fn resource(&mut self, kind: ResourceKind, id: &str) -> Reply {
        let fixed = self.config.roster.borrow().find(kind, id);
        if let Some(fixed) = fixed {
            return Reply::Resource(Some(Box::new(fixed)));
        }
        self.ask(async |store| find(store, kind, id).await.map(|found| Reply::Resource(found.map(Box::new)))).await
    }

    async fn ask(&mut self, question: impl AsyncFnOnce(&Store) -> Result<Reply, sqlx::Error>) -> Reply {
        if self.config.clock.now() < self.away_until {
            return away();
        }
        let asked = async {
            let store = match self.store.take() {
                Some(store) => store,
                None => Store::open(&self.config.database).await?,
            };
            question(self.store.insert(store)).await
        };
        match timeout(PATIENCE, asked).await {
            Ok(Ok(reply)) => return reply,
            Ok(Err(error)) => tracing::warn!(%error, "the database does not answer a script"),
            Err(_) => {}
        }
        self.away_until = self.config.clock.now() + AGAIN;
        away()
    }
}

/// Of several with one of these numbers the one that was made last.
async fn find_contact(store: &Store, numbers: Vec<String>) -> Result<Option<Contact>, sqlx::Error> {
    let filter = ContactFilter { numbers, limit: 1, ..ContactFilter::default() };
    let (found, _) = store.contacts(&filter).await?;
    Ok(found.into_iter().next().map(|one| {
        let super::Contact { id, name, numbers, notes, vars, .. } = one;
        Contact { id, name, numbers, notes, vars: vars.into_iter().collect() }
    }))
}

async fn find(store: &Store, kind: ResourceKind, id: &str) -> Result<Option<Resource>, sqlx::Error> {
    async fn one<R: Listed>(store: &Store, id: &str) -> Result<Option<Resource>, sqlx::Error> {
        Ok(store.entry::<R>(id).await?.map(|filed| filed.entry.into_resource()))
    }
    match kind {
        ResourceKind::Queue => one::<Queue>(store, id).await,
        ResourceKind::Agent => one::<Agent>(store, id).await,
        ResourceKind::AiAgent => one::<AiAgent>(store, id).await,
    }
}

fn away() -> Reply {
    Reply::Failed(Failure::Store("the database does not answer".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup(database: &Database, roster: Roster) -> Lookup {
        let (clock, roster) = (Clock::start(), watch::channel(Arc::new(roster)).1);
        let dialling = Dialling { country: "49".into(), ..Dialling::default() };
        Lookup::new(LookupConfig { database: database.clone(), dialling, clock, roster })
    }

    #[tokio::test]
    async fn a_number_is_found_whichever_way_it_is_written_and_the_newest_contact_counts() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::file(&folder.path().join("x.sqlite"));
        let mut lookup = lookup(&database, Roster::default());
        let store = Store::open(&database).await.unwrap();
        let numbers = vec!["+49 (30) 1234".to_owned(), "anna".to_owned()];
        let anna = crate::store::Contact { name: "Anna".into(), numbers, ..Default::default() };
        store.add_contact(anna.clone(), 1).await.unwrap();
        let mut name = async |number: &str| match lookup.contact(number).await {
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
        let database = Database::parse("sqlite:///nowhere/at/all.sqlite").unwrap();
        let mut lookup = lookup(&database, Roster::default());
        assert_eq!(lookup.contact("1").await, away());
        assert!(lookup.away_until > lookup.config.clock.now());
        assert_eq!(lookup.contact("1").await, away(), "at once");
        assert_eq!(lookup.resource(ResourceKind::Queue, "a").await, away());
    }

    #[tokio::test]
    async fn what_stands_in_the_configuration_is_found_without_the_database_and_before_it() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::file(&folder.path().join("x.sqlite"));
        let anna = Agent { id: "anna".into(), addresses: vec!["201".into()], ..Agent::default() };
        let roster = Roster { agents: [("anna".to_owned(), anna.clone())].into(), ..Roster::default() };
        let nowhere = Database::parse("sqlite:///nowhere/at/all.sqlite").unwrap();
        let mut away = lookup(&nowhere, roster.clone());
        let found = |agent: &Agent| Reply::Resource(Some(Box::new(Resource::Agent(agent.clone()))));
        assert_eq!(away.resource(ResourceKind::Agent, "anna").await, found(&anna));

        let store = Store::open(&database).await.unwrap();
        let bo = Agent { id: "bo".into(), ..anna.clone() };
        let other = Agent { name: "another".into(), ..anna.clone() };
        for agent in [&bo, &other] {
            store.add_entry(agent, &[], 1).await.unwrap();
        }
        let mut lookup = lookup(&database, roster);
        assert_eq!(lookup.resource(ResourceKind::Agent, "anna").await, found(&anna));
        assert_eq!(lookup.resource(ResourceKind::Agent, "bo").await, found(&bo));
        assert_eq!(lookup.resource(ResourceKind::Queue, "bo").await, Reply::Resource(None));
    }
}
