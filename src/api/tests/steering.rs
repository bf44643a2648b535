//! Calls are begun and steered: what the control task is asked for, and what becomes of its answers.

use super::*;
use crate::verbs::{RecordMode, Sound};

impl Bench {
    /// What the control task is asked for next.
    async fn input(&mut self) -> Input {
        loop {
            match self.orders.recv().await.expect("the API is there") {
                Order::Input(input) => return *input,
                Order::View(to) => {
                    let numbers = vec![("2XX".into(), "menu.lua".into()), ("300".into(), "trunk a".into())];
                    let view =
                        View { counts: Default::default(), draining: false, numbers, trunks: vec![], phones: vec![] };
                    to.send(view).unwrap();
                }
                other => panic!("{other:?}"),
            }
        }
    }

    /// The next request, answered with this.
    async fn request(&mut self, reply: Reply) -> Verb {
        let Input::Request(asked) = self.input().await else { panic!("no request") };
        assert_eq!(asked.call, CallId(7));
        self.replies.send(ConsoleReply::Reply { request: asked.id, reply }).unwrap();
        asked.verb
    }

    fn script(&self, name: &str) {
        std::fs::write(self.folder.path().join("scripts").join(name), "call:answer()").unwrap();
    }
}

/// Ask, and answer what the control task is asked meanwhile.
async fn steer(bench: &mut Bench, what: &str, body: Value, reply: Reply) -> (Verb, u16, Value) {
    let asking = posting(bench.at, &bench.admin, format!("/v1/calls/a-1/{what}"), &body);
    let verb = bench.request(reply).await;
    let (code, told) = asking.await.unwrap();
    (verb, code, told)
}

#[tokio::test]
async fn each_way_to_steer_is_one_verb() {
    let mut bench = Bench::new().await;
    bench.tell("a-1", "4711", Status::InProgress).await;
    bench.script("vip.lua");
    let recording = crate::ids::RecordingId(3);
    let verbs = [
        ("mute", json!({}), Verb::Mute { on: true }),
        ("unmute", json!({}), Verb::Mute { on: false }),
        ("hold", json!({}), Verb::Hold { music: None }),
        ("resume", json!({}), Verb::Resume),
        ("play", json!({"file": "a.wav"}), Verb::Announce { sounds: vec![Sound::File("a.wav".into())] }),
        ("record/mode", json!({"recording": 3, "mode": "mask"}), Verb::RecordAs { recording, mode: RecordMode::Mask }),
        (
            "flow",
            json!({"script": "vip.lua", "vars": {"a": "b"}}),
            Verb::Run { script: "vip.lua".into(), vars: vec![("a".into(), "b".into())] },
        ),
        ("hangup", json!({}), Verb::Hangup),
    ];
    for (what, body, wanted) in verbs {
        let (verb, code, told) = steer(&mut bench, what, body, Reply::Done).await;
        assert_eq!((verb, code, told), (wanted, 200, json!({"outcome": "done"})), "{what}");
    }
    let end = Reply::Recorded {
        recording,
        files: vec!["x.wav".into()],
        length: Duration::from_millis(1500),
        why: crate::verbs::RecordEnd::Stopped,
    };
    let (verb, _, told) = steer(&mut bench, "record/stop", json!({"recording": 3}), end).await;
    assert_eq!(verb, Verb::RecordStop { recording });
    assert_eq!(told, json!({"outcome": "recorded", "files": ["x.wav"], "seconds": 1.5}));
    let (code, problem) = bench.post("/v1/calls/a-1/flow", &json!({"script": "none.lua"})).await;
    assert_eq!((code, problem["field"].as_str()), (422, Some("script")));
    let (_, audit) = bench.get("/v1/audit?limit=500").await;
    assert!(audit["entries"].as_array().unwrap().iter().any(|one| one["what"] == "call.mute" && one["about"] == "a-1"));
}

/// Order a call; the control task begins it as call 7.
async fn begin(bench: &mut Bench, path: &str, body: Value) -> (crate::switch::Originate, u16, Value) {
    let asking = posting(bench.at, &bench.admin, path.into(), &body);
    let Input::Originate(wish) = bench.input().await else { panic!("no call") };
    let begun = ConsoleReply::Calling { request: wish.request, call: CallId(7), name: "c-7".into() };
    bench.replies.send(begun).unwrap();
    let (code, told) = asking.await.unwrap();
    (wish, code, told)
}

#[tokio::test]
async fn a_supervisor_is_called_hears_the_call_and_is_hung_up_when_it_ends() {
    let mut bench = Bench::new().await;
    bench.tell("a-1", "4711", Status::InProgress).await;
    let body = json!({"to": "sip:boss@b", "from": "1", "whisper": true});
    let (wish, code, told) = begin(&mut bench, "/v1/calls/a-1/listen", body).await;
    assert_eq!((code, told, wish.script), (201, json!({"id": "c-7"}), None));
    bench.replies.send(ConsoleReply::Answered { request: wish.request, call: CallId(7) }).unwrap();
    let Input::Request(asked) = bench.input().await else { panic!("no request") };
    let listen = Verb::Listen { call: "a-1".into(), whisper: true, stop_on: String::new() };
    assert_eq!((asked.call, asked.verb), (CallId(7), listen));
    let over = Reply::Left(crate::verbs::LeaveReason::PeerHungUp);
    bench.replies.send(ConsoleReply::Reply { request: asked.id, reply: over }).unwrap();
    assert_eq!(bench.request(Reply::Done).await, Verb::Hangup);
}

#[tokio::test]
async fn a_call_is_hung_up_at_its_limit() {
    let mut bench = Bench::new().await;
    let (wish, code, _) = begin(&mut bench, "/v1/calls", json!({"to": "sip:a@b", "from": "1", "limit_s": 1})).await;
    assert_eq!(code, 201);
    bench.replies.send(ConsoleReply::Answered { request: wish.request, call: CallId(7) }).unwrap();
    let hangup = tokio::time::timeout(Duration::from_secs(20), bench.request(Reply::Done)).await;
    assert_eq!(hangup.expect("it comes"), Verb::Hangup);
}

#[tokio::test]
async fn a_quick_call_runs_the_flow_of_its_number_and_of_no_other() {
    let mut bench = Bench::new().await;
    bench.script("menu.lua");
    let contact = json!({"name": "Anna", "numbers": ["4711"], "vars": {"shop": "7"}});
    let (_, contact) = bench.post("/v1/contacts", &contact).await;
    let body = json!({"contact": contact["id"], "from": "201", "vars": {"product": "tea"}});
    let (wish, code, _) = begin(&mut bench, "/v1/quick-calls", body).await;
    assert_eq!((code, wish.target.as_str(), wish.from.as_str()), (201, "4711", "201"));
    assert_eq!(wish.script.as_deref(), Some("menu.lua"));
    let vars: Vec<_> = wish.vars.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(vars, ["name=Anna", "product=tea", "shop=7"]);
    // A number without a flow of its own, and one that nobody has.
    let at = bench.at;
    let admin = bench.admin.clone();
    let watching = tokio::spawn(async move { bench.input().await });
    for from in ["300", "999"] {
        let body = json!({"to": "4711", "from": from});
        let (code, problem) = posting(at, &admin, "/v1/quick-calls".into(), &body).await.unwrap();
        assert_eq!((code, problem["type"].as_str()), (409, Some("unpublished")));
    }
    assert!(!watching.is_finished(), "no call was asked for");
}

#[tokio::test]
async fn a_reload_is_asked_of_the_program_and_its_plan_is_told() {
    let mut bench = Bench::new().await;
    let mut reloads = std::mem::replace(&mut bench.reloads, mpsc::channel(1).1);
    let program = tokio::spawn(async move {
        let first = reloads.recv().await.unwrap();
        assert!(first.only_plan);
        first.answer.send(Ok(vec!["+ trunk new".into()])).unwrap();
        let second = reloads.recv().await.unwrap();
        assert!(!second.only_plan);
        second.answer.send(Err(vec!["sip: a change here needs a restart".into(), "tls: a change".into()])).unwrap();
    });
    let (code, plan) = bench.post("/v1/reload", &json!({"only_plan": true})).await;
    assert_eq!((code, plan), (200, json!({"changes": ["+ trunk new"], "taken": false})));
    let (code, problem) = bench.post("/v1/reload", &json!({})).await;
    assert_eq!((code, problem["type"].as_str()), (409, Some("not_reloaded")));
    assert!(problem["detail"].as_str().unwrap().lines().count() == 2, "{problem}");
    program.await.unwrap();
}
