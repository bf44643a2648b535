//! Calls are begun and steered: what the control task is asked for, and what becomes of its answers.

use super::*;
use crate::{
    ids::RecordingId,
    verbs::{Manner, Member, Record, RecordMode, RoomOrder, RoomView, Sound, Steer, Voices},
};

impl Bench {
    /// What the control task is asked for next.
    async fn input(&mut self) -> Input {
        loop {
            match self.orders.recv().await.expect("the API is there") {
                Order::Input(input) => return *input,
                Order::View(to) => {
                    let numbers = vec![("2XX".into(), "menu.lua".into()), ("300".into(), "trunk a".into())];
                    let view = View { counts: Default::default(), draining: false, numbers, ..View::default() };
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
    let recording = RecordingId(3);
    let verbs = [
        ("mute", json!({}), Verb::Mute { on: true }),
        ("unmute", json!({}), Verb::Mute { on: false }),
        ("hold", json!({}), Verb::Hold { music: None }),
        ("resume", json!({}), Verb::Resume),
        ("play", json!({"file": "a.wav"}), announce(&["a.wav"], Manner::default())),
        (
            "play",
            json!({"files": ["a.wav", "b.m3u"], "volume_db": -6.5, "times": 3, "from_s": 1.5}),
            announce(&["a.wav", "b.m3u"], Manner { volume: -6.5, times: Some(3), from: Duration::from_millis(1500) }),
        ),
        (
            "play",
            json!({"file": "a.wav", "loop": true}),
            announce(&["a.wav"], Manner { times: None, ..Manner::default() }),
        ),
        ("play/stop", json!({}), Verb::StopPlay { play: None }),
        ("record/mode", json!({"recording": 3, "mode": "mask"}), Verb::RecordAs { recording, mode: RecordMode::Mask }),
        ("siprec/mask", json!({"on": true}), Verb::SiprecMask { on: true }),
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
    let (_, code, _) = steer(&mut bench, "hold", json!({}), Reply::Failed(Failure::WrongState)).await;
    assert_eq!(code, 409);
    let (_, audit) = bench.get("/v1/audit?limit=500").await;
    let has = |what: &str, outcome: &str| {
        let is = |one: &Value| one["what"] == what && one["about"] == "a-1" && one["outcome"] == outcome;
        audit["entries"].as_array().unwrap().iter().any(is)
    };
    assert!(has("call.mute", "done") && has("call.hold", "done"), "{audit:#}");
    assert!(has("call.hold", "refused: wrong_state") && !has("call.mute", "refused: wrong_state"), "{audit:#}");
}

fn announce(files: &[&str], manner: Manner) -> Verb {
    Verb::Announce { sounds: files.iter().map(|file| Sound::File((*file).into())).collect(), manner }
}

#[tokio::test]
async fn what_is_played_is_steered_and_its_place_is_told() {
    let mut bench = Bench::new().await;
    bench.tell("a-1", "4711", Status::InProgress).await;
    let second = Duration::from_millis(2500);
    for (body, wanted) in [
        (json!({"action": "pause"}), Steer::Pause),
        (json!({"action": "resume"}), Steer::Resume),
        (json!({"action": "tell"}), Steer::Tell),
        (json!({"action": "seek", "seconds": 2.5}), Steer::Seek(second)),
        (json!({"action": "forward", "seconds": 2.5}), Steer::Forward(second)),
        (json!({"action": "back", "seconds": 2.5}), Steer::Back(second)),
        (json!({"action": "volume", "volume_db": 3}), Steer::Volume(3.0)),
    ] {
        let (verb, code, told) = steer(&mut bench, "play/steer", body, Reply::At(second)).await;
        assert_eq!((verb, code), (Verb::Steer { play: None, steer: wanted }, 200));
        assert_eq!(told, json!({"outcome": "done", "seconds": 2.5}));
    }
    for (path, body, field, status) in [
        ("play/steer", json!({"action": "seek"}), "seconds", 422),
        ("play/steer", json!({"action": "seek", "seconds": -1}), "seconds", 400),
        ("play/steer", json!({"action": "volume", "volume_db": 21}), "volume_db", 400),
        ("play/steer", json!({"action": "dance"}), "action", 400),
        ("play", json!({}), "file", 422),
        ("play", json!({"file": "a.wav", "text": "b"}), "file", 422),
        ("play", json!({"files": []}), "file", 422),
        ("play", json!({"file": "a.wav", "loop": true, "times": 2}), "times", 422),
        ("play", json!({"file": "a.wav", "times": 0}), "times", 400),
        ("play", json!({"file": "a.wav", "volume_db": -61}), "volume_db", 400),
        ("play", json!({"file": "a.wav", "from_s": 86401}), "from_s", 400),
    ] {
        let (code, problem) = bench.post(&format!("/v1/calls/a-1/{path}"), &body).await;
        assert_eq!((code, problem["field"].as_str()), (status, Some(field)), "{path} {body}");
    }
}

impl Bench {
    /// The next request, which names no call, answered with this.
    async fn room_request(&mut self, reply: Reply) -> Verb {
        let Input::Request(asked) = self.input().await else { panic!("no request") };
        assert_eq!(asked.call, CallId::NONE);
        self.replies.send(ConsoleReply::Reply { request: asked.id, reply }).unwrap();
        asked.verb
    }
}

/// One room with a recording.
fn one_room() -> Reply {
    Reply::Rooms(vec![RoomView { room: "team a".into(), members: 2, recordings: vec![RecordingId(9)] }])
}

#[tokio::test]
async fn a_room_is_looked_at_and_its_members_are_ordered_about() {
    let mut bench = Bench::new().await;
    let admin = bench.admin.clone();
    let get = |at, path: &'static str| {
        let admin = admin.clone();
        tokio::spawn(async move { send(at, ("GET", path), &admin, "", "").await })
    };
    let asking = get(bench.at, "/v1/rooms");
    assert_eq!(bench.room_request(one_room()).await, Verb::Room(RoomOrder::Rooms));
    let (code, _, body) = asking.await.unwrap();
    assert_eq!((code, body.as_str()), (200, r#"[{"room":"team a","members":2,"recordings":[9]}]"#));
    let asking = get(bench.at, "/v1/rooms/team%20a");
    bench.room_request(one_room()).await;
    let member = Member { id: "a-1".into(), party: "4711".into(), muted: true, deaf: false, loudest: false };
    let asked = bench.room_request(Reply::Members(vec![member])).await;
    assert_eq!(asked, Verb::Room(RoomOrder::Members { room: "team a".into() }));
    let (code, _, body) = asking.await.unwrap();
    let want = r#"[{"id":"a-1","party":"4711","muted":true,"deaf":false,"loudest":false}]"#;
    assert_eq!((code, body.as_str()), (200, want));
    // A part at a time, the second one from where the first ended.
    let member = |id: &str| Member { id: id.into(), party: "1".into(), muted: false, deaf: false, loudest: false };
    let all = || ["5-9", "5-10", "5-11"].map(member).to_vec();
    let asking = get(bench.at, "/v1/rooms/team%20a?limit=2");
    bench.room_request(one_room()).await;
    bench.room_request(Reply::Members(all())).await;
    let (_, head, body) = asking.await.unwrap();
    let ids = |body: &str| -> Vec<String> {
        let members: Vec<Value> = serde_json::from_str(body).unwrap();
        members.iter().map(|member| member["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids(&body), ["5-9", "5-10"]);
    let cursor = head.lines().find_map(|line| line.strip_prefix("x-next-cursor: ")).expect("there is more").to_owned();
    let path = format!("/v1/rooms/team%20a?limit=2&cursor={cursor}");
    let (at, key) = (bench.at, admin.clone());
    let asking = tokio::spawn(async move { send(at, ("GET", &path), &key, "", "").await });
    bench.room_request(one_room()).await;
    // One that was shown has left meanwhile.
    bench.room_request(Reply::Members(all()[1..].to_vec())).await;
    let (_, head, body) = asking.await.unwrap();
    assert_eq!((ids(&body), head.contains("x-next-cursor")), (vec!["5-11".to_owned()], false));
    let asking = get(bench.at, "/v1/rooms/other");
    bench.room_request(one_room()).await;
    assert_eq!(asking.await.unwrap().0, 404);
    let (room, member) = (|| "team a".to_owned(), || "a-1".to_owned());
    for (action, wanted) in [
        ("mute", RoomOrder::Mute { room: room(), member: member(), on: true }),
        ("unmute", RoomOrder::Mute { room: room(), member: member(), on: false }),
        ("deafen", RoomOrder::Deafen { room: room(), member: member(), on: true }),
        ("undeafen", RoomOrder::Deafen { room: room(), member: member(), on: false }),
        ("kick", RoomOrder::Kick { room: room(), member: member() }),
    ] {
        let body = json!({"member": "a-1", "action": action});
        let asking = posting(bench.at, &bench.admin, "/v1/rooms/team%20a/member".into(), &body);
        assert_eq!(bench.room_request(Reply::Done).await, Verb::Room(wanted));
        assert_eq!(asking.await.unwrap(), (200, json!({"outcome": "done"})));
    }
}

#[tokio::test]
async fn a_room_is_recorded_paused_and_its_recording_finished_by_those_who_may() {
    let mut bench = Bench::new().await;
    let path = "/v1/rooms/team%20a/record";
    let asking = posting(bench.at, &bench.admin, path.into(), &json!({"max_s": 60, "format": "mp3"}));
    bench.room_request(one_room()).await;
    let Verb::Record(Record { room, max, format, voices, wait, .. }) =
        bench.room_request(Reply::Recording(RecordingId(9))).await
    else {
        panic!("no recording")
    };
    assert_eq!(
        (room.as_deref(), max, wait, voices),
        (Some("team a"), Some(Duration::from_secs(60)), false, Voices::Mixed)
    );
    assert_eq!(format, Some(crate::verbs::FileFormat::Mp3));
    assert_eq!(asking.await.unwrap(), (200, json!({"outcome": "recording", "recording": 9})));
    let recording = RecordingId(9);
    for (mode, wanted) in [
        ("pause", Verb::RecordAs { recording, mode: RecordMode::Pause }),
        ("mask", Verb::RecordAs { recording, mode: RecordMode::Mask }),
        ("keep", Verb::RecordAs { recording, mode: RecordMode::Keep }),
        ("stop", Verb::RecordStop { recording }),
    ] {
        let body = json!({"recording": 9, "mode": mode});
        let asking = posting(bench.at, &bench.admin, format!("{path}/mode"), &body);
        bench.room_request(one_room()).await;
        assert_eq!(bench.room_request(Reply::Done).await, wanted);
        assert_eq!(asking.await.unwrap().0, 200);
    }
    let asking = posting(bench.at, &bench.admin, format!("{path}/mode"), &json!({"recording": 8, "mode": "stop"}));
    bench.room_request(one_room()).await;
    assert_eq!(asking.await.unwrap().0, 404, "a recording of something else");
    let (_, few) = bench.store.make_key("n", Scope::Call, &["4711".into()], 1).await.unwrap();
    assert_eq!(bench.ask("POST", path, &few, "", "{}").await.0, 403);
    assert_eq!(bench.ask("GET", "/v1/rooms", &few, "", "").await.0, 403);
    for (body, field) in [(json!({"max_s": 0}), "max_s"), (json!({"format": "flac"}), "format")] {
        let (code, problem) = bench.post(path, &body).await;
        assert_eq!((code, problem["field"].as_str()), (400, Some(field)));
    }
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
