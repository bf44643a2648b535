//! What the API keeps: contacts, flows in versions, recordings, transcripts.

use super::*;
use crate::switch::CallRecord;

/// The calls' end, with these recordings.
pub(super) fn record(id: &str, from: &str, recordings: &[&str]) -> Fact {
    Fact::Record(Box::new(CallRecord {
        from: from.into(),
        answer_ms: None,
        talk_seconds: 0.0,
        recordings: recordings.iter().map(|file| (*file).to_owned()).collect(),
        ..CallRecord::sample(id)
    }))
}

impl Bench {
    /// Ask until the database has it.
    async fn ask_until(&self, path: &str, is: impl Fn(u16, &Value) -> bool) -> Value {
        for _ in 0..500 {
            let (code, value) = self.get(path).await;
            if is(code, &value) {
                return value;
            }
            pass(Duration::from_millis(20)).await;
        }
        panic!("{path}: {:?}", self.get(path).await);
    }
}

#[tokio::test]
async fn contacts_are_kept_found_changed_and_forgotten() {
    let bench = Bench::new().await;
    let anna =
        json!({"name": "Anna 100%", "numbers": ["+49 30 1234", "4711"], "notes": "likes tea", "vars": {"shop": "7"}});
    let (code, made) = bench.post("/v1/contacts", &anna).await;
    assert_eq!((code, &made["numbers"]), (201, &json!(["+49301234", "4711"])));
    let id = made["id"].as_str().unwrap();
    assert_eq!(bench.post("/v1/contacts", &json!({"name": "Bo"})).await.0, 201);
    let found = async |query: &str| {
        let (code, page) = bench.get(&format!("/v1/contacts?{query}")).await;
        assert_eq!(code, 200, "{page}");
        page["contacts"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(found("number=4711").await, ["Anna 100%"]);
    assert_eq!(found("text=aNNa").await, ["Anna 100%"]);
    assert_eq!(found("text=%25").await, ["Anna 100%"], "a sign of the database's own is a sign");
    assert_eq!(found("text=a%25b").await, Vec::<String>::new());
    assert_eq!(found("number=4711&text=bo").await, Vec::<String>::new());
    let (_, first) = bench.get("/v1/contacts?limit=1").await;
    let (_, second) = bench.get(&format!("/v1/contacts?limit=1&cursor={}", first["next"].as_str().unwrap())).await;
    assert_ne!(first["contacts"][0]["id"], second["contacts"][0]["id"]);
    assert!(second["next"].is_null());
    let path = format!("/v1/contacts/{id}");
    let changed = json!({"name": "Anna", "numbers": ["5"]}).to_string();
    let (code, now) = bench.ask("PUT", &path, &bench.admin, "", &changed).await;
    assert_eq!((code, &now["numbers"], &now["notes"]), (200, &json!(["5"]), &json!("")));
    assert_eq!(found("number=4711").await, Vec::<String>::new());
    assert_eq!(bench.get(&path).await.1, now);
    assert_eq!(bench.ask("DELETE", &path, &bench.admin, "", "").await.0, 204);
    assert_eq!(bench.get(&path).await.0, 404);
    assert_eq!(bench.ask("PUT", &path, &bench.admin, "", &changed).await.0, 404);
}

#[tokio::test]
async fn a_contact_is_found_whichever_way_its_number_is_written_and_so_are_its_calls() {
    let bench = Bench::new().await;
    let anna = json!({"name": "Anna", "numbers": ["+49 (30) 1234", "201"]});
    let id = bench.post("/v1/contacts", &anna).await.1["id"].as_str().unwrap().to_owned();
    for number in ["%2B49301234", "0049301234", "030-1234", "49301234", "201"] {
        let (_, page) = bench.get(&format!("/v1/contacts?number={number}")).await;
        assert_eq!(page["contacts"][0]["id"], id.as_str(), "{number}");
    }
    assert_eq!(bench.get("/v1/contacts?number=0431234").await.1["contacts"], json!([]));
    for (call, from) in [("8-1", "0301234"), ("8-2", "+49301234"), ("8-3", "201"), ("8-4", "2011")] {
        bench.journal.facts.send(record(call, from, &[])).await.unwrap();
    }
    bench.ask_until("/v1/calls/8-4/events", |code, _| code == 200).await;
    bench.ask_until("/v1/calls", |_, page| page["calls"].as_array().unwrap().len() == 4).await;
    let path = format!("/v1/contacts/{id}/calls");
    let ids = |page: &Value| {
        let ids = page["calls"].as_array().unwrap().iter().map(|call| call["id"].as_str().unwrap().to_owned());
        ids.collect::<Vec<_>>()
    };
    assert_eq!(ids(&bench.get(&path).await.1), ["8-3", "8-2", "8-1"]);
    let (_, first) = bench.get(&format!("{path}?limit=2")).await;
    let (_, second) = bench.get(&format!("{path}?limit=2&cursor={}", first["next"].as_str().unwrap())).await;
    assert_eq!((ids(&first), ids(&second)), (vec!["8-3".into(), "8-2".into()], vec!["8-1".to_owned()]));
    assert_eq!(ids(&bench.get("/v1/calls?number=0049301234").await.1), ["8-2", "8-1"]);
    let none = bench.post("/v1/contacts", &json!({"name": "Bo"})).await.1["id"].as_str().unwrap().to_owned();
    assert_eq!(bench.get(&format!("/v1/contacts/{none}/calls")).await.1["calls"], json!([]));
    assert_eq!(bench.get("/v1/contacts/nobody/calls").await.0, 404);
}

#[tokio::test]
async fn lists_without_anything_around_them_come_in_parts_too() {
    let bench = Bench::new().await;
    for version in 1..=5 {
        let text = format!("-- {version}");
        bench.post("/v1/flows/menu.lua/versions", &json!({"text": text})).await;
        bench.post(&format!("/v1/flows/f{version}.lua/versions"), &json!({"text": text})).await;
        bench.store.make_key(&format!("k{version}"), Scope::Read, &[], 1).await.unwrap();
    }
    let parts = async |path: &str, name: &str| {
        let (mut all, mut cursor) = (Vec::new(), String::new());
        loop {
            let asked = format!("{path}?limit=2{cursor}");
            let (code, head, body) = bench.answer("GET", &asked, &bench.admin, "", "").await;
            assert_eq!(code, 200, "{body}");
            let part: Vec<Value> = serde_json::from_str(&body).unwrap();
            assert!(part.len() <= 2);
            all.extend(part.iter().map(|one| one[name].to_string().replace('"', "")));
            let next = head.lines().find_map(|line| line.strip_prefix("x-next-cursor: "));
            match next {
                Some(next) => cursor = format!("&cursor={}", next.trim()),
                None => return all,
            }
        }
    };
    assert_eq!(parts("/v1/flows/menu.lua/versions", "version").await, ["5", "4", "3", "2", "1"]);
    assert_eq!(parts("/v1/flows", "flow").await, ["f1.lua", "f2.lua", "f3.lua", "f4.lua", "f5.lua", "menu.lua"]);
    assert_eq!(parts("/v1/keys", "name").await, ["k1", "k2", "k3", "k4", "k5", "test"]);
    assert_eq!(parts("/v1/webhooks", "name").await, ["crm"]);
    assert_eq!(bench.get("/v1/keys?cursor=x").await.1["field"], "cursor");
}

#[tokio::test]
async fn a_flow_is_uploaded_in_versions_and_the_one_that_is_activated_is_the_file() {
    let bench = Bench::new().await;
    let upload =
        async |flow: &str, text: &str| bench.post(&format!("/v1/flows/{flow}/versions"), &json!({"text": text})).await;
    assert_eq!(upload("menu.lua", "call:answer()").await, (201, json!({"flow": "menu.lua", "version": 1})));
    assert_eq!(upload("menu.lua", "call:hangup()").await.1["version"], 2);
    assert_eq!(upload("shop%2Fmenu.lua", "call:answer()").await.1["flow"], "shop/menu.lua");
    let (code, problem) = upload("menu.lua", "call:answer(\nif").await;
    assert_eq!((code, problem["field"].as_str()), (422, Some("text")));
    assert!(problem["detail"].as_str().unwrap().contains("menu.lua:2"), "{problem}");
    for bad in ["menu.exe", "..%2Fx.lua", ".lua"] {
        assert_eq!(upload(bad, "").await.1["field"], "id", "{bad}");
    }
    let file = bench.folder.path().join("scripts/menu.lua");
    assert!(!file.exists(), "nothing is in service before somebody says so");
    let activate = async |flow: &str, version: i64| {
        bench.post(&format!("/v1/flows/{flow}/activate"), &json!({"version": version})).await
    };
    assert_eq!(activate("menu.lua", 2).await.0, 200);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "call:hangup()");
    assert_eq!(activate("menu.lua", 1).await.0, 200);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "call:answer()");
    assert_eq!(activate("menu.lua", 3).await.0, 404);
    assert_eq!(activate("shop%2Fmenu.lua", 1).await.0, 200);
    assert!(bench.folder.path().join("scripts/shop/menu.lua").is_file());
    let (_, flows) = bench.get("/v1/flows").await;
    assert_eq!(flows[0], json!({"flow": "menu.lua", "newest": 2, "active": 1}));
    let (_, versions) = bench.get("/v1/flows/menu.lua/versions").await;
    assert_eq!((versions[0]["version"].as_i64(), versions[1]["version"].as_i64()), (Some(2), Some(1)));
    assert_eq!(bench.get("/v1/flows/menu.lua/versions/2").await.1["text"], "call:hangup()");
    assert_eq!(bench.get("/v1/flows/menu.lua/versions/x").await.0, 404);
}

#[tokio::test]
async fn a_flow_document_is_kept_but_not_put_into_service() {
    let bench = Bench::new().await;
    let upload = async |text: &str| bench.post("/v1/flows/shop.json/versions", &json!({"text": text})).await;
    assert_eq!(upload("not json").await.0, 422);
    assert_eq!(upload("{\"nodes\": []}").await.0, 201);
    let (code, problem) = bench.post("/v1/flows/shop.json/activate", &json!({"version": 1})).await;
    assert_eq!((code, problem["type"].as_str()), (409, Some("no_runner")));
    let large = format!("-- {}", "x".repeat(200_000));
    assert_eq!(bench.post("/v1/flows/large.lua/versions", &json!({"text": large})).await.0, 201);
}

#[tokio::test]
async fn recordings_are_listed_fetched_and_erased_by_who_may_hear_them() {
    let bench = Bench::new().await;
    let sound = vec![7u8; 150_000];
    std::fs::create_dir(bench.folder.path().join("recordings/day")).unwrap();
    let file = bench.folder.path().join("recordings/day/a.wav");
    std::fs::write(&file, &sound).unwrap();
    for fact in [record("7-1", "4711", &["day/a.wav", "day/b.mp3"]), record("7-2", "4712", &["../../secret"])] {
        bench.journal.facts.send(fact).await.unwrap();
    }
    let all =
        bench.ask_until("/v1/recordings", |_, page| page["recordings"].as_array().is_some_and(|r| r.len() == 3)).await;
    assert_eq!(all["recordings"][0]["id"], "7-2.0");
    let (_, key) = bench.store.make_key("n", Scope::Read, &["4711".into()], 1).await.unwrap();
    let (_, its) = bench.ask("GET", "/v1/recordings", &key, "", "").await;
    assert_eq!(its["recordings"].as_array().unwrap().len(), 2);
    assert_eq!(bench.ask("GET", "/v1/recordings/7-2.0", &key, "", "").await.0, 404);
    let (_, of_call) = bench.get("/v1/recordings?call=7-1&limit=1").await;
    let next = of_call["next"].as_str().expect("there is one more");
    let (_, rest) = bench.get(&format!("/v1/recordings?call=7-1&cursor={next}")).await;
    assert_eq!((rest["recordings"][0]["file"].as_str(), rest["next"].as_str()), (Some("day/a.wav"), None));
    let mut stream = TcpStream::connect(bench.at).await.unwrap();
    let ask = format!(
        "GET /v1/recordings/7-1.0/audio HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {key}\r\n\r\n"
    );
    stream.write_all(ask.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let head = String::from_utf8_lossy(&answer[..end]).to_lowercase();
    assert!(head.contains("content-type: audio/wav") && head.contains("content-length: 150000"), "{head}");
    assert!(head.contains("accept-ranges: bytes"), "{head}");
    assert_eq!(&answer[end + 4..], &sound[..]);
    assert_eq!(bench.get("/v1/recordings/7-1.1/audio").await.0, 410, "its file is not there");
    assert_eq!(bench.get("/v1/recordings/7-2.0/audio").await.0, 404, "no file outside the folder");
    assert_eq!(bench.ask("DELETE", "/v1/recordings/7-1.0", &key, "", "").await.0, 403);
    assert_eq!(bench.ask("DELETE", "/v1/recordings/7-1.0", &bench.admin, "", "").await.0, 204);
    assert!(!file.exists());
    assert_eq!(bench.get("/v1/recordings/7-1.0/audio").await.0, 410);
    assert!(bench.get("/v1/recordings/7-1.0").await.1["erased_ms"].is_i64(), "that it was there stays known");
}

#[tokio::test]
async fn what_was_said_on_a_call_is_kept_in_order() {
    let bench = Bench::new().await;
    bench.tell("7-1", "4711", Status::InProgress).await;
    for (number, text) in [(1, "hello"), (2, "how are you?")] {
        let (code, turn) = bench.post("/v1/calls/7-1/transcript", &json!({"who": "caller", "text": text})).await;
        assert_eq!((code, turn["turn"].as_i64()), (201, Some(number)));
    }
    let (_, turns) = bench.get("/v1/calls/7-1/transcript").await;
    assert_eq!((turns[0]["text"].as_str(), turns[1]["turn"].as_i64()), (Some("hello"), Some(2)));
    bench.journal.facts.send(record("7-1", "4711", &[])).await.unwrap();
    bench.ask_until("/v1/calls/7-1", |_, call| call["status"] == "completed").await;
    assert_eq!(bench.get("/v1/calls/7-1/transcript").await.1.as_array().unwrap().len(), 2);
    assert_eq!(bench.get("/v1/calls/7-9/transcript").await.0, 404);
}
