//! What is so new that the database does not have it yet; and how far that is behind.

use super::{kept::record, *};
use crate::switch::{CallQuality, Happened, Happening};

#[tokio::test]
async fn the_events_of_a_call_are_there_the_moment_that_it_is_over() {
    let bench = Bench::new().await;
    let (_, key) = bench.store.make_key("n", Scope::Read, &["4712".into()], 1).await.unwrap();
    let orders = |events: &Value| -> Vec<u64> {
        events.as_array().unwrap().iter().map(|event| event["order"].as_u64().unwrap()).collect()
    };
    bench.tell("7-1", "4711", Status::Ringing).await;
    let (code, events) = bench.get("/v1/calls/7-1/events").await;
    assert_eq!((code, events[0]["kind"].as_str()), (200, Some("call.ringing")));
    bench.journal.facts.send(record("7-1", "4711", &[])).await.unwrap();
    let (code, events) = bench.get("/v1/calls/7-1/events").await;
    assert_eq!((code, orders(&events)), (200, vec![1, 2]));
    assert_eq!((&events[1]["kind"], &events[1]["data"]["end_reason"]), (&json!("call.ended"), &json!("caller_hangup")));
    assert_eq!(bench.ask("GET", "/v1/calls/7-1/events", &key, "", "").await.0, 404, "not a call of this key");
    // The same when the database has it, or part of it.
    let mut stored = bench.journal.stored.subscribe();
    while stored.borrow_and_update().done.is_none_or(|done| done < 3) {
        stored.changed().await.unwrap();
    }
    assert_eq!(orders(&bench.get("/v1/calls/7-1/events").await.1), [1, 2]);
    assert_eq!(bench.ask("GET", "/v1/calls/7-1/events", &key, "", "").await.0, 404);
    assert_eq!(bench.get("/v1/calls/7-2/events").await.0, 404);
}

#[tokio::test]
async fn how_a_call_sounds_is_told_while_it_goes_on_and_what_happens_on_it_is_an_event() {
    let bench = Bench::new().await;
    bench.tell("7-1", "4711", Status::InProgress).await;
    bench.tell("7-2", "4712", Status::InProgress).await;
    assert_eq!(bench.get("/v1/calls/7-1").await.1["quality"], Value::Null, "nothing is known yet");
    let quality = Box::new(CallQuality { lost: 7, mos: Some(4.1), ..CallQuality::default() });
    for call in ["7-1", "7-9"] {
        bench.journal.facts.send(Fact::Quality { call: call.into(), quality: quality.clone() }).await.unwrap();
    }
    let what = Happened::Speaker { room: "team".into() };
    let happening = Happening { call: Some("7-1".into()), from: "4711".into(), to: "100".into(), what };
    bench.journal.facts.send(Fact::Happened(Box::new(happening))).await.unwrap();
    let (code, call) = bench.get("/v1/calls/7-1").await;
    assert_eq!((code, &call["quality"]["lost"], &call["quality"]["mos"]), (200, &json!(7), &json!(4.1)));
    assert_eq!(call["status"], "in_progress");
    let all = bench.get("/v1/calls?live=true").await.1;
    let lost = |id: &str| {
        let call = all["calls"].as_array().unwrap().iter().find(|call| call["id"] == id).unwrap();
        call["quality"]["lost"].as_u64()
    };
    assert_eq!((lost("7-1"), lost("7-2")), (Some(7), None));
    let csv = bench.answer("GET", "/v1/calls?live=true&format=csv", &bench.admin, "", "").await.2;
    assert!(csv.lines().any(|line| line.contains("\"7-1\"") && line.contains(",4.1,7,")), "{csv}");
    let events = bench.get("/v1/calls/7-1/events").await.1;
    let told = json!({"from": "4711", "to": "100", "room": "team"});
    assert_eq!(
        (&events[1]["kind"], &events[1]["order"], &events[1]["data"]),
        (&json!("room.speaker"), &json!(2), &told)
    );
    // The database has them in the same way, and the call as it stands.
    let mut stored = bench.journal.stored.subscribe();
    while stored.borrow_and_update().done.is_none_or(|done| done < 4) {
        stored.changed().await.unwrap();
    }
    assert_eq!(bench.get("/v1/calls/7-1/events").await.1, events);
    let kept = bench.get("/v1/calls").await.1;
    assert!(kept["calls"].as_array().unwrap().iter().all(|call| call["status"] == "in_progress"), "{kept}");
}

#[tokio::test]
async fn how_far_the_database_is_behind_is_told() {
    let bench = Bench::new().await;
    // What the view of the control task needs does not matter here.
    let mut orders = bench.orders;
    tokio::spawn(async move {
        while let Some(order) = orders.recv().await {
            if let Order::Figures(to) = order {
                to.send(Figures::default()).unwrap();
            }
        }
    });
    let health = async || send(bench.at, ("GET", "/healthz"), "", "", "").await;
    let (code, _, body) = health().await;
    assert_eq!((code, serde_json::from_str::<Value>(&body).unwrap()["store"].as_str()), (200, Some("ok")));
    let (_, _, text) = send(bench.at, ("GET", "/metrics"), &bench.admin, "", "").await;
    assert!(text.contains("\nswitchhook_store_up 1\n"), "{text}");
    bench.journal.stored.send_modify(|stored| *stored = Stored { failing: true, ..*stored });
    let (code, _, body) = health().await;
    assert_eq!((code, serde_json::from_str::<Value>(&body).unwrap()["store"].as_str()), (200, Some("lost")));
    let (_, _, text) = send(bench.at, ("GET", "/metrics"), &bench.admin, "", "").await;
    for figure in ["up 0\n", "waiting_events 0\n", "waiting_bytes 0\n", "waiting_seconds 0.000\n"] {
        assert!(text.contains(&format!("\nswitchhook_store_{figure}")), "{figure}: {text}");
    }
}

#[tokio::test]
async fn a_browser_that_seeks_gets_the_part_that_it_asks_for() {
    let bench = Bench::new().await;
    let sound: Vec<u8> = (0..200_000u32).map(|at| b'a' + (at % 23) as u8).collect();
    std::fs::write(bench.folder.path().join("recordings/a.ogg"), &sound).unwrap();
    bench.journal.facts.send(record("7-1", "4711", &["a.ogg"])).await.unwrap();
    let mut stored = bench.journal.stored.subscribe();
    while stored.borrow_and_update().done.is_none_or(|done| done < 2) {
        stored.changed().await.unwrap();
    }
    let part = async |range: &str| {
        let (code, head, body) =
            bench.answer("GET", "/v1/recordings/7-1.0/audio", &bench.admin, &format!("Range: {range}\r\n"), "").await;
        (code, head.to_lowercase(), body.into_bytes())
    };
    let (code, head, body) = part("bytes=1000-1999").await;
    assert_eq!((code, &body[..]), (206, &sound[1000..2000]));
    assert!(head.contains("content-range: bytes 1000-1999/200000") && head.contains("content-length: 1000"), "{head}");
    assert!(head.contains("content-type: audio/ogg"), "{head}");
    let (code, head, body) = part("bytes=-70000").await;
    assert_eq!((code, &body[..]), (206, &sound[130_000..]), "more than is read at a time");
    assert!(head.contains("content-range: bytes 130000-199999/200000"), "{head}");
    assert_eq!(part("bytes=0-1,5-6").await.0, 200, "several parts at once are as if nothing was asked");
    let (code, head, body) = part("bytes=200000-").await;
    assert_eq!((code, head.contains("content-range: bytes */200000")), (416, true), "{head}");
    assert_eq!(serde_json::from_slice::<Value>(&body).unwrap()["type"], "range");
}
