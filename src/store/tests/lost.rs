//! What the journal cannot keep, and what it keeps all the same: the ends of calls.

use super::*;

/// So much is not on the disk.
async fn unwritten(journal: &Journal) -> Unwritten {
    let (to, unwritten) = oneshot::channel();
    journal.questions.send(Question::Unwritten(to)).await.unwrap();
    unwritten.await.unwrap()
}

/// Read all that comes, as its database would, until the end of that call.
async fn read_until_end_of(journal: &mut Journal, folder: &Path, call: &str) -> Vec<(String, String)> {
    let mut tail = spool::Tail::after(folder, 0);
    let mut read = Vec::new();
    loop {
        let end = *journal.written.borrow_and_update();
        let lines = tail.read(end, 1000).unwrap();
        if let Some((last, _)) = lines.last() {
            tail.forget(*last).unwrap();
        } else {
            journal.written.changed().await.unwrap();
        }
        for (_, line) in lines {
            let line: serde_json::Value = serde_json::from_str(&line).unwrap();
            let (kind, about) = (line["kind"].as_str().unwrap(), line["call"].as_str().unwrap_or_default());
            if !about.is_empty() {
                read.push((kind.to_owned(), about.to_owned()));
            }
            if kind == "call.ended" && about == call {
                return read;
            }
        }
    }
}

#[tokio::test]
async fn where_no_more_events_fit_into_memory_the_ends_of_calls_that_had_begun_still_do() {
    let folder = tempfile::tempdir().unwrap();
    let config = JournalConfig { folder: folder.path().into(), limit: 12 << 20, clock: Clock::start() };
    let mut journal = spawn_journal(config).unwrap();
    for call in ["a", "b", "c"] {
        journal.facts.send(progress(call, Status::InProgress)).await.unwrap();
    }
    // The disk takes some of them, memory two hundred thousand more.
    while unwritten(&journal).await.lost < 5 {
        for _ in 0..5000 {
            journal.facts.send(message(Direction::Inbound, Some(200))).await.unwrap();
        }
    }
    let before = unwritten(&journal).await.lost;
    journal.facts.send(progress("begun later", Status::Initiated)).await.unwrap();
    for call in ["a", "b", "begun later", "c"] {
        journal.facts.send(record(call, 1)).await.unwrap();
    }
    assert_eq!(unwritten(&journal).await.lost, before + 2, "what nobody heard of need not end");
    assert!(live(&journal).await.is_empty());
    let read = read_until_end_of(&mut journal, folder.path(), "c");
    let read = tokio::time::timeout(Duration::from_secs(120), read).await.expect("all comes");
    let ended: Vec<&str> = read.iter().filter(|(kind, _)| kind == "call.ended").map(|(_, call)| &**call).collect();
    assert_eq!(ended, ["a", "b", "c"]);
    assert_eq!(unwritten(&journal).await.lost, before + 2, "it stays counted");
    // There is room for everything again.
    journal.facts.send(progress("d", Status::Initiated)).await.unwrap();
    journal.facts.send(record("d", 1)).await.unwrap();
    let read = read_until_end_of(&mut journal, folder.path(), "d");
    let read = tokio::time::timeout(Duration::from_secs(30), read).await.expect("all comes");
    assert_eq!(read.iter().filter(|(_, call)| call == "d").count(), 2);
}

#[tokio::test]
async fn a_call_whose_end_found_no_room_is_over_once_the_store_knows_which_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::file(&folder.path().join("x.sqlite"));
    let running = start(folder.path(), &database);
    for call in ["a", "b"] {
        running.tell(progress(call, Status::InProgress)).await;
    }
    assert_eq!(live(&running.journal).await.len(), 2);
    running.tell(Fact::Alive(["a".to_owned()].into())).await;
    let live = live(&running.journal).await;
    assert_eq!(live.iter().map(|call| &*call.id).collect::<Vec<_>>(), ["a"]);
    running.tell(record("a", 1_800_000_000_000)).await;
    running.stop();
    let store = Store::open(&database).await.unwrap();
    let stray = store.call("b").await.unwrap().unwrap().document;
    assert_eq!((stray["status"].as_str(), stray["end_reason"].as_str()), (Some("completed"), Some("reconciled")));
    assert_eq!(stray["error"].as_str(), Some("the store could not follow when it ended"));
    let events = store.events_of("b", 0, 10).await.unwrap();
    let last: serde_json::Value = serde_json::from_str(events.last().unwrap()).unwrap();
    assert_eq!((last["kind"].as_str(), last["order"].as_u64()), (Some("call.ended"), Some(2)));
    let normal = store.call("a").await.unwrap().unwrap().document;
    assert_eq!(normal["end_reason"].as_str(), Some("caller_hangup"));
}
