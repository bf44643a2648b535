//! Queues, agents and AI agents, with each of the two kinds of database.

use super::*;
use crate::verbs::{Agent, AiAgent, Queue, ResourceKind};

#[tokio::test]
async fn sqlite_keeps_the_roster_and_names_no_agent_that_goes() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::file(&folder.path().join("x.sqlite"));
    keeps_the_roster(&database).await;
    names_no_agent_that_goes(&database).await;
}

fn agent(id: &str) -> Agent {
    Agent { id: id.into(), addresses: vec!["201".into()], ..Agent::default() }
}

fn queue(agents: &[&str]) -> Queue {
    let agents = agents.iter().map(|one| (*one).to_owned()).collect();
    Queue { id: "support".into(), agents, ..Queue::default() }
}

pub(super) async fn keeps_the_roster(database: &Database) {
    let store = Store::open(database).await.unwrap();
    let none: &[String] = &[];
    for id in ["bo", "anna"] {
        assert_eq!(store.add_entry(&agent(id), none, 1).await.unwrap(), Put::Done);
    }
    assert_eq!(store.add_entry(&agent("bo"), none, 2).await.unwrap(), Put::NotSo, "there is one");
    let ai = AiAgent { id: "bo".into(), key: Some("k".into()), ..AiAgent::default() };
    assert_eq!(store.add_entry(&ai, none, 3).await.unwrap(), Put::Done, "of another kind");
    let filed = Filed { entry: ai, created_ms: 3, changed_ms: 3 };
    assert_eq!(store.entry::<AiAgent>("bo").await.unwrap(), Some(filed));

    let all = queue(&["bo", "carl", "fixed"]);
    let lacks = Put::Lacks("carl".into());
    assert_eq!(store.add_entry(&all, &["bo".into(), "carl".into()], 4).await.unwrap(), lacks);
    assert_eq!(store.entry::<Queue>("support").await.unwrap(), None, "nothing is kept of it");
    let two = queue(&["bo", "fixed"]);
    assert_eq!(store.change_entry(&two, none, 4).await.unwrap(), Put::NotSo, "there is none");
    assert_eq!(store.add_entry(&two, &["bo".into()], 5).await.unwrap(), Put::Done);
    let named = Removed::Named(vec!["support".into()]);
    assert_eq!(store.remove_entry(ResourceKind::Agent, "bo").await.unwrap(), named);
    assert_eq!(store.remove_entry(ResourceKind::AiAgent, "bo").await.unwrap(), Removed::Done, "another bo");

    assert_eq!(store.change_entry(&all, &["carl".into()], 6).await.unwrap(), lacks);
    let is = store.entry::<Queue>("support").await.unwrap().unwrap();
    assert_eq!((is.entry, is.changed_ms), (two, 5), "nothing is changed");
    let other = queue(&["anna"]);
    assert_eq!(store.change_entry(&other, &["anna".into()], 7).await.unwrap(), Put::Done);
    let (is, ids) = (Filed { entry: other, created_ms: 5, changed_ms: 7 }, ["support".to_owned(), "gone".to_owned()]);
    assert_eq!(store.entries::<Queue>(&ids).await.unwrap(), [is]);
    assert_eq!(store.entries::<Queue>(&[]).await.unwrap(), []);
    assert_eq!(store.entry_ids(ResourceKind::Queue).await.unwrap(), ids[..1]);
    assert_eq!(store.remove_entry(ResourceKind::Agent, "bo").await.unwrap(), Removed::Done, "no queue names it now");
    assert_eq!(store.remove_entry(ResourceKind::Queue, "support").await.unwrap(), Removed::Done);
    assert_eq!(store.remove_entry(ResourceKind::Queue, "support").await.unwrap(), Removed::NotThere);
    assert_eq!(store.remove_entry(ResourceKind::Agent, "anna").await.unwrap(), Removed::Done);
    assert_eq!(store.count_entries(ResourceKind::Agent).await.unwrap(), 0);
}

pub(super) async fn names_no_agent_that_goes(database: &Database) {
    let store = Store::open(database).await.unwrap();
    let none: &[String] = &[];
    for round in 0..20 {
        let id = format!("agent-{round}");
        assert_eq!(store.add_entry(&agent(&id), none, 1).await.unwrap(), Put::Done);
        let (queue, needs) = (queue(&[&id]), [id.clone()]);
        let naming = store.add_entry(&queue, &needs, 2);
        let going = store.remove_entry(ResourceKind::Agent, &id);
        let (named, gone) = tokio::join!(naming, going);
        let is = (store.entry::<Queue>("support").await.unwrap(), store.entry::<Agent>(&id).await.unwrap());
        match (named.unwrap(), gone.unwrap()) {
            (Put::Done, Removed::Named(_)) => assert!(is.0.is_some() && is.1.is_some()),
            (Put::Lacks(_), Removed::Done) => assert!(is.0.is_none() && is.1.is_none()),
            other => panic!("{other:?}"),
        }
        store.remove_entry(ResourceKind::Queue, "support").await.unwrap();
    }
}
