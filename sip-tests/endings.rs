//! Each status and each end reason that a call can have, over real SIP, as the API tells them.

use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use crate::{
    api::post,
    records::{api, connect, get, key},
    sipp::{caller, numbers, phone, scenario},
    support::{Process, Server, breathe, free_port},
};

/// How far along a status is.
const RANKS: [(&str, u8); 4] = [("queued", 0), ("initiated", 1), ("ringing", 2), ("in_progress", 3)];

pub struct Bench {
    pub server: Server,
    pub at: String,
    pub key: String,
}

impl Bench {
    pub fn new(more: &str, scripts: &[(&str, &str)]) -> Bench {
        let server = Server::start(&format!("[api]\nlisten = \"127.0.0.1:0\"\n{more}"), scripts);
        let (at, key) = (api(&server), key(&server));
        Bench { server, at, key }
    }

    pub fn folder(&self) -> &Path {
        self.server.folder.path()
    }

    /// Have a call made to this address; gives its id.
    fn call(&self, to: SocketAddr, more: &Value) -> String {
        let mut order = json!({"to": format!("sip:x@{to}"), "from": "100"});
        order.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let answer = post(&self.at, &self.key, "/v1/calls", &order.to_string());
        let body = answer.split("\r\n\r\n").nth(1).unwrap();
        let begun: Value = serde_json::from_str(body).unwrap();
        begun["id"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    /// Wait until the call is so far.
    pub fn wait_for(&self, id: &str, status: &str) {
        for _ in 0..1000 {
            if get(&self.at, &self.key, &format!("/v1/calls/{id}"))["status"] == status {
                return;
            }
            breathe(self.server.sip);
        }
        panic!("it did not become {status}: {}", get(&self.at, &self.key, &format!("/v1/calls/{id}")));
    }

    /// The record of a call once it is over. Its events went forward only, and one alone was the end.
    pub fn over(&self, id: &str) -> Value {
        for _ in 0..3000 {
            let call = get(&self.at, &self.key, &format!("/v1/calls/{id}"));
            if !call["end_reason"].is_null() {
                self.went_forward(id, &call);
                return call;
            }
            breathe(self.server.sip);
        }
        panic!("it goes on: {}", get(&self.at, &self.key, &format!("/v1/calls/{id}")));
    }

    fn went_forward(&self, id: &str, call: &Value) {
        let events = get(&self.at, &self.key, &format!("/v1/calls/{id}/events"));
        let kind = |event: &&Value| event["kind"].as_str().is_some_and(|kind| kind.starts_with("call."));
        let events: Vec<&Value> = events.as_array().unwrap().iter().filter(kind).collect();
        let (last, before) = events.split_last().unwrap();
        assert_eq!((&last["kind"], &last["data"]["status"]), (&"call.ended".into(), &call["status"]), "{events:#?}");
        // What else happens is no step.
        let ranks = before.iter().filter_map(|event| event["data"]["status"].as_str()).map(|status| {
            RANKS.iter().find(|(name, _)| *name == status).unwrap_or_else(|| panic!("{status} is no step")).1
        });
        assert!(ranks.is_sorted(), "{events:#?}");
    }

    /// A recording that goes on, some seconds after it began.
    pub fn recording(&self, name: &str) -> PathBuf {
        let file = self.server.path("recordings").join(name);
        for _ in 0..1500 {
            if fs::metadata(&file).is_ok_and(|data| data.len() > 40_000) {
                break;
            }
            breathe(self.server.sip);
        }
        file
    }

    /// The kinds of a call's events.
    pub fn kinds(&self, id: &str) -> Vec<String> {
        let events = get(&self.at, &self.key, &format!("/v1/calls/{id}/events"));
        events.as_array().unwrap().iter().map(|event| event["kind"].as_str().unwrap().to_owned()).collect()
    }

    /// The call to this number of ours, once it is over.
    fn to(&self, number: &str) -> Value {
        let path = format!("/v1/calls?number={number}&direction=inbound");
        for _ in 0..3000 {
            let page = get(&self.at, &self.key, &path);
            if let Some(call) = page["calls"].as_array().unwrap().iter().find(|call| !call["end_reason"].is_null()) {
                self.went_forward(call["id"].as_str().unwrap(), call);
                return call.clone();
            }
            breathe(self.server.sip);
        }
        panic!("no call to {number} is over");
    }
}

fn end(call: &Value) -> (&str, &str, Option<u64>) {
    (call["status"].as_str().unwrap(), call["end_reason"].as_str().unwrap(), call["code"].as_u64())
}

/// A phone that refuses one call with this answer.
fn refusing(bench: &Bench, name: &str, answer: &str) -> (Process, SocketAddr, PathBuf) {
    let text = fs::read_to_string(scenario(name)).unwrap().replace("[answer]", answer);
    let file = bench.folder().join(format!("{name}-{}", &answer[..3]));
    fs::write(file.with_extension("xml"), text).unwrap();
    phone(bench.folder(), file.to_str().unwrap(), &["-m", "1"])
}

#[test]
fn what_a_phone_answers_to_a_call_of_ours_is_the_status_and_the_reason_of_its_end() {
    let bench = Bench::new("", &[]);
    let refusals = [
        ("404 Not Found", ("failed", "telephony_error", Some(404))),
        ("488 Not Acceptable Here", ("failed", "telephony_error", Some(488))),
        ("503 Service Unavailable", ("failed", "telephony_error", Some(503))),
        ("486 Busy Here", ("busy", "busy", Some(486))),
        ("600 Busy Everywhere", ("busy", "busy", Some(600))),
    ];
    let phones = refusals.map(|(answer, _)| refusing(&bench, "uas_refuses", answer));
    let calls: Vec<String> = phones.iter().map(|(_, at, _)| bench.call(*at, &json!({}))).collect();
    for (id, (answer, wanted)) in calls.iter().zip(refusals) {
        let call = bench.over(id);
        assert_eq!(end(&call), wanted, "{answer}: {call:#}");
        assert_eq!((&call["direction"], &call["from"]), (&"outbound".into(), &"100".into()));
        assert!(!bench.kinds(id).contains(&"call.ringing".into()), "{answer}");
    }
    for answer in ["480 Temporarily Unavailable", "408 Request Timeout"] {
        let (_there, at, _) = refusing(&bench, "uas_rings_and_refuses", answer);
        let id = bench.call(at, &json!({}));
        let call = bench.over(&id);
        assert_eq!((&end(&call).0, &end(&call).1), (&"no_answer", &"no_answer"), "{answer}: {call:#}");
        assert_eq!(bench.kinds(&id), ["call.queued", "call.initiated", "call.ringing", "call.ended"], "{answer}");
    }
    // Nobody is there.
    let nobody = bench.call(SocketAddr::from(([127, 0, 0, 1], free_port())), &json!({}));
    let call = bench.over(&nobody);
    assert_eq!((end(&call).0, end(&call).1), ("failed", "telephony_error"), "{call:#}");
}

#[test]
fn a_call_of_ours_that_nobody_takes_or_that_is_given_up_is_cancelled() {
    let bench = Bench::new("", &[]);
    let (there, at, messages) = phone(bench.folder(), "uas_ring", &["-m", "1"]);
    let id = bench.call(at, &json!({"ring_s": 1}));
    bench.wait_for(&id, "ringing");
    let call = bench.over(&id);
    assert_eq!((end(&call).0, end(&call).1), ("no_answer", "no_answer"), "{call:#}");
    assert!(there.finish().0.success());
    assert!(fs::read_to_string(messages).unwrap().contains("\nCANCEL "));
    let (there, at, _) = phone(bench.folder(), "uas_ring", &["-m", "1"]);
    let id = bench.call(at, &json!({}));
    bench.wait_for(&id, "ringing");
    assert!(post(&bench.at, &bench.key, &format!("/v1/calls/{id}/hangup"), "").starts_with("HTTP/1.0 200"));
    let call = bench.over(&id);
    assert_eq!((end(&call).0, end(&call).1), ("canceled", "canceled"), "{call:#}");
    assert!(there.finish().0.success(), "CANCEL came");
    assert_eq!(bench.kinds(&id), ["call.queued", "call.initiated", "call.ringing", "call.ended"]);
}

#[test]
fn calls_of_ours_that_were_answered_are_completed_whoever_ends_them() {
    let bench = Bench::new("", &[("short.lua", "call:sleep(0.2)\n"), ("long.lua", "call:sleep(60)\n")]);
    let (there, at, _) = phone(bench.folder(), "uas_answer", &["-m", "1"]);
    let id = bench.call(at, &json!({"script": "short.lua"}));
    let call = bench.over(&id);
    assert_eq!(end(&call), ("completed", "agent_completed", Some(200)), "{call:#}");
    assert_eq!(call["path"], json!(["short.lua:1 sleep"]));
    let kinds = bench.kinds(&id);
    assert_eq!(kinds, ["call.queued", "call.initiated", "call.ringing", "call.in_progress", "call.ended"]);
    assert!(there.finish().0.success());
    let (there, at, _) = phone(bench.folder(), "uas_hangs_up", &["-m", "1"]);
    let id = bench.call(at, &json!({"script": "long.lua"}));
    let call = bench.over(&id);
    assert_eq!(end(&call), ("completed", "caller_hangup", Some(200)), "{call:#}");
    assert!(there.finish().0.success());
}

/// Status, end reason and SIP code.
type Ending = (&'static str, &'static str, Option<u64>);

/// The script of each number, and how a call to it ends.
const INBOUND: [(&str, &str, &str, Ending); 8] = [
    ("201", "ends.lua", "call:answer()\ncall:sleep(0.2)\n", ("completed", "agent_completed", Some(200))),
    ("202", "early.lua", "error('oh')\n", ("failed", "agent_error", Some(500))),
    ("203", "late.lua", "call:answer()\nerror('oh')\n", ("completed", "agent_error", Some(200))),
    ("204", "round.lua", "call:answer()\nwhile true do end\n", ("completed", "agent_crashed", Some(200))),
    ("205", "busy.lua", "call:reject(486)\n", ("busy", "busy", Some(486))),
    ("206", "rings.lua", "call:ring()\ncall:sleep(0.2)\n", ("no_answer", "no_answer", Some(480))),
    ("207", "waits.lua", "call:ring()\ncall:sleep(60)\n", ("canceled", "canceled", Some(487))),
    ("208", "stays.lua", "call:answer()\ncall:sleep(60)\n", ("completed", "caller_hangup", Some(200))),
];

#[test]
fn calls_to_us_end_as_their_scripts_and_their_callers_end_them() {
    let table: Vec<(&str, &str)> = INBOUND.iter().map(|(number, name, ..)| (*number, *name)).collect();
    let scripts: Vec<(&str, &str)> = INBOUND.iter().map(|(_, name, text, _)| (*name, *text)).collect();
    let bench = Bench::new(&format!("[script]\nrun_ms = 500\n{}", numbers(&table)), &scripts);
    let with = |number: &str, name: &str| {
        let file = scenario(name).to_str().unwrap().to_owned();
        caller(bench.server.sip, bench.folder(), number, &["-sf", &file, "-m", "1"])
    };
    let _peers: Vec<_> = INBOUND
        .iter()
        .map(|(number, ..)| match *number {
            "207" => with(number, "cancel_after_180"),
            "208" => caller(bench.server.sip, bench.folder(), number, &["-sn", "uac", "-m", "1", "-d", "300"]),
            _ => with(number, "answered"),
        })
        .collect();
    for (number, _, text, wanted) in INBOUND {
        let call = bench.to(number);
        assert_eq!(end(&call), wanted, "{text}: {call:#}");
        assert_eq!(call["code"].as_u64(), wanted.2, "{text}");
    }
    let ends: BTreeMap<String, Value> =
        INBOUND.iter().map(|(number, ..)| ((*number).to_owned(), bench.to(number))).collect();
    // Which text ran, and what it did.
    assert_eq!(ends["201"]["path"], json!(["ends.lua:1 answer", "ends.lua:2 sleep"]));
    assert_eq!(ends["202"]["path"], json!([]));
    // Its caller cancels as soon as it hears the 180, which may be before the script goes on to sleep.
    assert_eq!(ends["207"]["path"][0], "waits.lua:1 ring");
    assert!(ends["201"]["flow_version"].as_str().unwrap().starts_with("sha256:"), "{}", ends["201"]);
    // Who calls a number that there is not is refused, and that is kept, too.
    let _peer = with("999", "answered");
    assert_eq!(end(&bench.to("999")), ("failed", "agent_unavailable", Some(404)));
}

#[test]
fn a_version_that_was_put_into_service_is_named_by_the_records_of_its_calls() {
    let bench = Bench::new(&numbers(&[("200", "menu.lua")]), &[("menu.lua", "call:answer()\n")]);
    let publish = |text: &str| {
        let answer = post(&bench.at, &bench.key, "/v1/flows/menu.lua/versions", &json!({"text": text}).to_string());
        assert!(answer.starts_with("HTTP/1.0 201"), "{answer}");
    };
    publish("call:answer()\ncall:sleep(0.1)\n");
    publish("call:ring()\ncall:answer()\n");
    assert!(post(&bench.at, &bench.key, "/v1/flows/menu.lua/activate", "{\"version\": 2}").starts_with("HTTP/1.0 200"));
    let file = scenario("answered").to_str().unwrap().to_owned();
    let (status, said) = caller(bench.server.sip, bench.folder(), "200", &["-sf", &file, "-m", "1"]).finish();
    assert!(status.success(), "{said}");
    let call = bench.to("200");
    assert_eq!((&call["flow_version"], &call["path_left_out"]), (&"2".into(), &0.into()), "{call:#}");
    assert_eq!(call["path"], json!(["menu.lua:1 ring", "menu.lua:2 answer"]));
    let mut table = String::new();
    std::io::Read::read_to_string(&mut connect(&bench.at, &bench.key, "/v1/calls?format=csv"), &mut table).unwrap();
    assert!(table.contains("\"2\",\"menu.lua:1 ring; menu.lua:2 answer\""), "{table}");
}
