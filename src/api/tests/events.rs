//! Events since an event of before, how a call stands as it goes on, and what the description says of both.

use super::*;
use tokio::io::Lines;

type Stream = Lines<BufReader<TcpStream>>;

impl Bench {
    /// A stream of events; `more` are header fields.
    async fn stream(&self, path: &str, key: &str, more: &str) -> Stream {
        let mut stream = TcpStream::connect(self.at).await.unwrap();
        let text = format!("GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n{more}\r\n");
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut lines = BufReader::new(stream).lines();
        assert!(lines.next_line().await.unwrap().unwrap().contains(" 200 "));
        while !lines.next_line().await.unwrap().unwrap().is_empty() {}
        lines
    }

    /// Wait until the database has the event with this number.
    async fn stored(&self, id: u64) {
        let mut told = self.journal.stored.subscribe();
        while told.borrow_and_update().done != Some(id) {
            tokio::time::timeout(Duration::from_secs(30), told.changed()).await.expect("it comes").unwrap();
        }
    }
}

/// The next thing that is told.
async fn next(lines: &mut Stream) -> Value {
    let wait = Duration::from_secs(30);
    loop {
        let line = tokio::time::timeout(wait, lines.next_line()).await.expect("it comes").unwrap().unwrap();
        if let Some(event) = line.strip_prefix("data: ") {
            return serde_json::from_str(event).unwrap();
        }
    }
}

async fn ids<const N: usize>(lines: &mut Stream) -> [u64; N] {
    let mut ids = [0; N];
    for id in &mut ids {
        *id = next(lines).await["id"].as_u64().unwrap();
    }
    ids
}

#[tokio::test]
async fn who_names_an_event_gets_all_that_came_after_it_and_then_what_happens() {
    let bench = Bench::new().await;
    for call in ["a-1", "a-2", "a-3"] {
        bench.tell(call, "4711", Status::Ringing).await;
    }
    bench.journal.written.clone().wait_for(|last| *last == 4).await.unwrap();
    // Be they in the database yet or not: the first event is that the server starts.
    for _ in 0..2 {
        let mut since = bench.stream("/v1/events?after=2", &bench.admin, "").await;
        assert_eq!(ids(&mut since).await, [3, 4]);
        let mut all = bench.stream("/v1/events?after=0", &bench.admin, "").await;
        assert_eq!(ids(&mut all).await, [1, 2, 3, 4]);
        let mut again = bench.stream("/v1/events?after=0", &bench.admin, "Last-Event-ID: 3\r\n").await;
        assert_eq!(ids(&mut again).await, [4]);
        let mut one = bench.stream("/v1/events?after=0&call=a-2", &bench.admin, "").await;
        assert_eq!(ids(&mut one).await, [3]);
        bench.stored(4).await;
    }
    let mut later = bench.stream("/v1/events?after=3", &bench.admin, "").await;
    let mut other_server = bench.stream("/v1/events?after=700", &bench.admin, "").await;
    let mut now = bench.stream("/v1/events", &bench.admin, "").await;
    bench.tell("a-4", "4712", Status::Ringing).await;
    assert_eq!(ids(&mut later).await, [4, 5]);
    assert_eq!(ids(&mut other_server).await, [5]);
    assert_eq!(ids(&mut now).await, [5]);
    let (code, problem) = bench.ask("GET", "/v1/events", &bench.admin, "Last-Event-ID: x\r\n", "").await;
    assert_eq!((code, problem["field"].as_str()), (400, Some("Last-Event-ID")));
}

#[tokio::test]
async fn a_key_for_some_numbers_is_told_the_past_of_these_only() {
    let bench = Bench::new().await;
    let (_, key) = bench.store.make_key("n", Scope::Read, &["4711".into()], 1).await.unwrap();
    for (call, from) in [("a-1", "4711"), ("a-2", "4712"), ("a-3", "4711")] {
        bench.tell(call, from, Status::Ringing).await;
    }
    bench.journal.written.clone().wait_for(|last| *last == 4).await.unwrap();
    let mut its = bench.stream("/v1/events?after=0", &key, "").await;
    assert_eq!(ids(&mut its).await, [2, 4]);
}

#[tokio::test]
async fn events_that_are_kept_no_more_are_told_to_be_lost() {
    let bench = Bench::new().await;
    for call in ["a-1", "a-2", "a-3"] {
        bench.tell(call, "4711", Status::Ringing).await;
    }
    bench.stored(4).await;
    let file = format!("sqlite://{}", bench.folder.path().join("x.sqlite").display());
    let pool = sqlx::AnyPool::connect(&file).await.unwrap();
    sqlx::query("DELETE FROM events WHERE id < 3").execute(&pool).await.unwrap();
    let mut all = bench.stream("/v1/events?after=0", &bench.admin, "").await;
    assert_eq!(next(&mut all).await, json!({"kind": "lost", "count": null, "first": 1, "last": 2}));
    assert_eq!(ids(&mut all).await, [3, 4]);
}

#[tokio::test]
async fn a_calls_events_come_in_pages() {
    let bench = Bench::new().await;
    for status in [Status::Initiated, Status::Ringing, Status::InProgress] {
        bench.tell("a-1", "4711", status).await;
    }
    let (code, head, body) = bench.answer("GET", "/v1/calls/a-1/events?limit=2", &bench.admin, "", "").await;
    let page: Vec<Value> = serde_json::from_str(&body).unwrap();
    assert_eq!((code, page.len(), head.contains("x-next-cursor: 3")), (200, 2, true), "{head}");
    let (_, head, body) = bench.answer("GET", "/v1/calls/a-1/events?after=3&limit=2", &bench.admin, "", "").await;
    let page: Vec<Value> = serde_json::from_str(&body).unwrap();
    assert_eq!((page.len(), page[0]["kind"].as_str()), (1, Some("call.in_progress")));
    assert!(!head.contains("x-next-cursor"), "{head}");
}

/// The fields that the description gives an object, those of what it is made of included.
fn described(document: &Value, name: &str) -> Vec<String> {
    let schema = &document["components"]["schemas"][name];
    let parts = schema["allOf"].as_array().map_or(vec![schema], |parts| parts.iter().collect());
    let mut fields = Vec::new();
    for part in parts {
        match part["$ref"].as_str().and_then(|name| name.rsplit('/').next()) {
            Some(name) => fields.extend(described(document, name)),
            None => fields.extend(part["properties"].as_object().unwrap().keys().cloned()),
        }
    }
    fields.sort();
    fields
}

fn fields(value: &Value) -> Vec<String> {
    let mut fields: Vec<String> = value.as_object().unwrap().keys().cloned().collect();
    fields.sort();
    fields
}

#[tokio::test]
async fn calls_events_and_outcomes_are_as_the_description_says() {
    let bench = Bench::new().await;
    bench.tell("a-1", "4711", Status::Ringing).await;
    let document = doc::described();
    let (_, live) = bench.get("/v1/calls/a-1").await;
    assert_eq!(fields(&live), described(&document, "LiveCall"));
    assert_eq!((&live["talk_seconds"], &live["total_seconds"]), (&json!(0.0), &json!(0.0)), "it began in the future");
    let (_, events) = bench.get("/v1/calls/a-1/events").await;
    assert_eq!(fields(&events[0]), described(&document, "Told"));
    assert_eq!(fields(&events[0]["data"]), described(&document, "Progress"));
    let outcomes = document["components"]["schemas"]["Outcome"]["oneOf"].as_array().unwrap();
    let words = outcomes.iter().map(|one| one["properties"]["outcome"]["enum"][0].as_str());
    assert_eq!(words.flatten().collect::<Vec<_>>(), ["begun", "done", "recording", "recorded"], "{outcomes:#?}");
    let hangup = &document["paths"]["/v1/calls/{id}/hangup"]["post"]["responses"]["200"]["content"];
    assert_eq!(hangup["application/json"]["schema"]["$ref"], "#/components/schemas/Outcome");
}

#[tokio::test]
async fn a_key_that_was_taken_back_opens_no_door_from_then_on() {
    let bench = Bench::new().await;
    let (key, secret) = bench.store.make_key("n", Scope::Read, &[], 1).await.unwrap();
    assert_eq!(bench.ask("GET", "/v1/calls", &secret, "", "").await.0, 200);
    let gone = bench.answer("DELETE", &format!("/v1/keys/{}", key.id), &bench.admin, "", "").await;
    assert_eq!(gone.0, 204, "{gone:?}");
    assert_eq!(bench.ask("GET", "/v1/calls", &secret, "", "").await.0, 401);
}
