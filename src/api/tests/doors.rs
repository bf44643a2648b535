//! Every door of the API, and who may pass it.

use super::*;

/// A door: method, path, the least scope, whether it is only for keys for all numbers, and a body that is right.
type Door = (&'static str, &'static str, Scope, bool, &'static str);

use Scope::{Admin, Call, Read};

const CONTACT: &str = r#"{"name": "Anna", "numbers": ["4711"]}"#;
const AGENT: &str = r#"{"addresses": ["201"]}"#;
const USER: &str = r#"{"name": "anna", "password": "long enough", "role": "read"}"#;

const DOORS: [Door; 81] = [
    ("get", "/metrics", Read, true, ""),
    ("get", "/v1/numbers", Read, true, ""),
    ("get", "/v1/trunks", Read, true, ""),
    ("get", "/v1/phones", Read, true, ""),
    ("post", "/v1/reload", Admin, true, ""),
    ("get", "/v1/events", Read, false, ""),
    ("get", "/v1/events/socket", Read, false, ""),
    ("get", "/v1/webhooks", Admin, true, ""),
    ("post", "/v1/webhooks", Admin, true, r#"{"name": "x", "url": "http://127.0.0.1:9/"}"#),
    ("get", "/v1/webhooks/{id}", Admin, true, ""),
    ("patch", "/v1/webhooks/{id}", Admin, true, r#"{"kinds": ["call.*"]}"#),
    ("delete", "/v1/webhooks/{id}", Admin, true, ""),
    ("get", "/v1/calls", Read, false, ""),
    ("post", "/v1/calls", Call, false, r#"{"to": "sip:a@b", "from": "1"}"#),
    ("post", "/v1/quick-calls", Call, false, r#"{"to": "sip:a@b", "from": "1"}"#),
    ("get", "/v1/calls/{id}", Read, false, ""),
    ("get", "/v1/calls/{id}/events", Read, false, ""),
    ("get", "/v1/calls/{id}/transcript", Read, false, ""),
    ("post", "/v1/calls/{id}/transcript", Call, false, r#"{"who": "caller", "text": "hello"}"#),
    ("post", "/v1/calls/{id}/hangup", Call, false, ""),
    ("post", "/v1/calls/{id}/play", Call, false, r#"{"file": "a.wav"}"#),
    ("post", "/v1/calls/{id}/play/steer", Call, false, r#"{"action": "pause"}"#),
    ("post", "/v1/calls/{id}/play/stop", Call, false, ""),
    ("get", "/v1/rooms", Read, true, ""),
    ("get", "/v1/rooms/{room}", Read, true, ""),
    ("post", "/v1/rooms/{room}/member", Call, true, r#"{"member": "a-1", "action": "mute"}"#),
    ("post", "/v1/rooms/{room}/record", Call, true, ""),
    ("post", "/v1/rooms/{room}/record/mode", Call, true, r#"{"recording": 1, "mode": "mask"}"#),
    ("post", "/v1/calls/{id}/record", Call, false, ""),
    ("post", "/v1/calls/{id}/record/stop", Call, false, r#"{"recording": 1}"#),
    ("post", "/v1/calls/{id}/record/mode", Call, false, r#"{"recording": 1, "mode": "mask"}"#),
    ("post", "/v1/calls/{id}/siprec/mask", Call, false, r#"{"on": true}"#),
    ("post", "/v1/calls/{id}/hold", Call, false, ""),
    ("post", "/v1/calls/{id}/resume", Call, false, ""),
    ("post", "/v1/calls/{id}/mute", Call, false, ""),
    ("post", "/v1/calls/{id}/unmute", Call, false, ""),
    ("post", "/v1/calls/{id}/listen", Call, false, r#"{"to": "sip:a@b", "from": "1"}"#),
    ("post", "/v1/calls/{id}/transfer", Call, false, r#"{"to": "sip:a@b"}"#),
    ("post", "/v1/calls/{id}/digits", Call, false, r#"{"digits": "1"}"#),
    ("post", "/v1/calls/{id}/flow", Call, false, r#"{"script": "x.lua"}"#),
    ("get", "/v1/contacts", Read, true, ""),
    ("post", "/v1/contacts", Call, true, CONTACT),
    ("get", "/v1/contacts/{id}", Read, true, ""),
    ("get", "/v1/contacts/{id}/calls", Read, true, ""),
    ("put", "/v1/contacts/{id}", Call, true, CONTACT),
    ("delete", "/v1/contacts/{id}", Call, true, ""),
    ("get", "/v1/queues", Read, true, ""),
    ("post", "/v1/queues", Admin, true, r#"{"name": "x"}"#),
    ("get", "/v1/queues/{id}", Read, true, ""),
    ("put", "/v1/queues/{id}", Admin, true, r#"{"name": "x"}"#),
    ("delete", "/v1/queues/{id}", Admin, true, ""),
    ("get", "/v1/agents", Read, true, ""),
    ("post", "/v1/agents", Admin, true, AGENT),
    ("get", "/v1/agents/{id}", Read, true, ""),
    ("put", "/v1/agents/{id}", Admin, true, AGENT),
    ("delete", "/v1/agents/{id}", Admin, true, ""),
    ("get", "/v1/ai-agents", Read, true, ""),
    ("post", "/v1/ai-agents", Admin, true, r#"{"model": "x"}"#),
    ("get", "/v1/ai-agents/{id}", Read, true, ""),
    ("put", "/v1/ai-agents/{id}", Admin, true, r#"{"model": "x"}"#),
    ("delete", "/v1/ai-agents/{id}", Admin, true, ""),
    ("get", "/v1/flows", Read, true, ""),
    ("get", "/v1/flows/{id}/versions", Read, true, ""),
    ("post", "/v1/flows/{id}/versions", Admin, true, r#"{"text": "call:answer()"}"#),
    ("get", "/v1/flows/{id}/versions/{version}", Read, true, ""),
    ("post", "/v1/flows/{id}/activate", Admin, true, r#"{"version": 1}"#),
    ("get", "/v1/recordings", Read, false, ""),
    ("get", "/v1/recordings/{id}", Read, false, ""),
    ("get", "/v1/recordings/{id}/audio", Read, false, ""),
    ("delete", "/v1/recordings/{id}", Admin, false, ""),
    ("get", "/v1/session", Read, false, ""),
    ("delete", "/v1/session", Read, false, ""),
    ("get", "/v1/keys", Admin, true, ""),
    ("post", "/v1/keys", Admin, true, r#"{"name": "x", "scope": "read"}"#),
    ("delete", "/v1/keys/{id}", Admin, true, ""),
    ("get", "/v1/users", Admin, true, ""),
    ("post", "/v1/users", Admin, true, USER),
    ("patch", "/v1/users/{id}", Admin, true, r#"{"role": "call"}"#),
    ("delete", "/v1/users/{id}", Admin, true, ""),
    ("get", "/v1/audit", Admin, true, ""),
    // Asked of the program around, which is not there: it comes last.
    ("get", "/nowhere", Read, false, ""),
];

/// Those that need no key.
const OPEN: [(&str, &str); 2] = [("get", "/healthz"), ("post", "/v1/session")];

#[tokio::test]
async fn the_table_has_every_door_of_the_description() {
    let document = doc::described();
    let mut described = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, about) in methods.as_object().unwrap() {
            let open = OPEN.contains(&(method.as_str(), path.as_str()));
            assert_eq!(about.get("security").is_none(), open, "{method} {path}");
            let refusals = if open { &[][..] } else { &["401", "403", "429", "503"][..] };
            for code in refusals {
                let kinds = &about["responses"][*code]["content"];
                let told = kinds["application/problem+json"].is_object() && kinds["application/json"].is_null();
                assert!(told, "{code} of {method} {path}");
            }
            if !open {
                described.push((method.clone(), path.clone()));
            }
        }
    }
    let mut table: Vec<_> = DOORS.iter().map(|door| (door.0.to_owned(), door.1.to_owned())).collect();
    table.retain(|(_, path)| path != "/nowhere");
    table.sort();
    described.sort();
    assert_eq!(table, described);
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
}

#[tokio::test]
async fn no_door_opens_without_a_key_or_with_a_key_of_too_small_a_scope() {
    let bench = Bench::new().await;
    let key = async |scope, numbers: &[String]| bench.store.make_key("k", scope, numbers, 1).await.unwrap().1;
    let (read, call) = (key(Read, &[]).await, key(Call, &[]).await);
    let one_number = key(Admin, &["100".into()]).await;
    for (method, path, scope, everywhere, body) in DOORS.into_iter().filter(|door| door.1 != "/nowhere") {
        let path = path.replace("{id}", "x").replace("{room}", "x").replace("{version}", "1");
        let method = method.to_uppercase();
        for wrong in ["", "swh_wrong", "sws_wrong"] {
            let (code, problem) = bench.ask(&method, &path, wrong, "", body).await;
            assert_eq!((code, problem["type"].as_str()), (401, Some("unauthorized")), "{method} {path} {wrong}");
        }
        for (shown, is) in [(&read, Read), (&call, Call)] {
            if is < scope {
                let (code, problem) = bench.ask(&method, &path, shown, "", body).await;
                assert_eq!((code, problem["type"].as_str()), (403, Some("forbidden")), "{method} {path} {is:?}");
            }
        }
        if everywhere {
            assert_eq!(bench.ask(&method, &path, &one_number, "", body).await.0, 403, "{method} {path}");
        }
    }
    assert_eq!(bench.get("/nowhere").await.0, 404);
    assert_eq!(bench.ask("PUT", "/v1/calls", &bench.admin, "", "").await.0, 405);
    assert_eq!(bench.get("/v1/calls/%ff").await.0, 404, "what is no text names nothing");
}

#[tokio::test]
async fn the_least_scope_opens_the_door() {
    let bench = Bench::new().await;
    // What asks the control task waits for ever here, and a stream does not end.
    let asking = ["/metrics", "/v1/numbers", "/v1/trunks", "/v1/phones", "/v1/reload", "/v1/quick-calls", "/v1/events"];
    for (method, path, scope, _, body) in DOORS {
        if asking.contains(&path) || path.starts_with("/v1/rooms") || (method, path) == ("post", "/v1/calls") {
            continue;
        }
        let (_, key) = bench.store.make_key("k", scope, &[], 1).await.unwrap();
        let path = path.replace("{id}", "x").replace("{room}", "x").replace("{version}", "1");
        let (code, told) = bench.ask(&method.to_uppercase(), &path, &key, "", body).await;
        assert!(![401, 403].contains(&code) && code < 500, "{method} {path}: {code} {told}");
    }
}

#[tokio::test]
async fn who_asks_too_often_is_told_when_to_come_again() {
    let bench = Bench::with(|config| Config { requests_per_s: 5, ..config }).await;
    let mut refused = None;
    for _ in 0..30 {
        let (code, head, body) = bench.answer("GET", "/v1/session", &bench.admin, "", "").await;
        if code == 429 {
            refused = Some((head, body));
            break;
        }
        assert_eq!(code, 200);
    }
    let (head, body) = refused.expect("ten at once are all");
    assert!(head.contains("retry-after: 1"), "{head}");
    let problem: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((problem["type"].as_str(), problem["retry_after_s"].as_u64()), (Some("too_often"), Some(1)));
    let (_, other) = bench.store.make_key("other", Read, &[], 1).await.unwrap();
    assert_eq!(bench.ask("GET", "/v1/session", &other, "", "").await.0, 200, "others are not concerned");
}
