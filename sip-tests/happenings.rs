//! What happens to a call beside its steps is told, kept, and read back as it was told (R269); calls of ours wait for
//! their turn (R231); a party that vanished is found out (R252); and no secret gets out on any of these ways (R270).

use std::{
    fs,
    io::{BufRead, Read},
    net::SocketAddr,
    path::Path,
    sync::mpsc::{Receiver, channel},
    thread,
};

use serde_json::{Value, json};

use crate::{
    api::post,
    endings::Bench,
    records::{api, connect, get},
    sipp::{caller, numbers, passes, phone, scenario},
    support::{PATIENCE, Process, Server, breathe, signal},
};

/// A caller that is answered, presses these keys by INFO, one every 300 ms, and waits for the end.
pub fn presses(server: SocketAddr, folder: &Path, number: &str, keys: &str) -> Process {
    let answered = fs::read_to_string(scenario("answered")).unwrap();
    let (begin, end) = answered.split_once("  <recv request=\"BYE\"/>").unwrap();
    let mut text = begin.to_owned();
    for (at, key) in keys.chars().enumerate() {
        text.push_str(&format!(
            "  <pause milliseconds=\"300\"/>\n  <send retrans=\"500\">\n    <![CDATA[\n
      INFO sip:[service]@[remote_ip]:[remote_port] SIP/2.0
      Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]
      From: sipp <sip:sipp@[local_ip]:[local_port]>;tag=[pid]SIPpTag00[call_number]
      To: [service] <sip:[service]@[remote_ip]:[remote_port]>[peer_tag_param]
      Call-ID: [call_id]
      CSeq: {} INFO
      Contact: sip:sipp@[local_ip]:[local_port]
      Max-Forwards: 70
      Content-Type: application/dtmf-relay
      Content-Length: [len]

      Signal={key}
      Duration=160
    ]]>\n  </send>\n  <recv response=\"200\"/>\n",
            at + 2
        ));
    }
    text.push_str(&format!("  <recv request=\"BYE\"/>{end}"));
    // Who claims to be one of ours would have to prove it.
    let text = text.replace("sip:sipp@[local_ip]:[local_port]>;tag", "sip:sipp@elsewhere.example>;tag");
    let file = folder.join(format!("presses-{number}.xml"));
    fs::write(&file, text).unwrap();
    caller(server, folder, number, &["-sf", file.to_str().unwrap(), "-m", "1"])
}

/// All events, as they are told.
fn listen(bench: &Bench) -> Receiver<Value> {
    let mut events = connect(&bench.at, &bench.key, "/v1/events");
    let (told, receiver) = channel();
    thread::spawn(move || {
        let mut line = String::new();
        while events.read_line(&mut line).is_ok_and(|count| count > 0) {
            if let Some(event) = line.strip_prefix("data: ").and_then(|text| serde_json::from_str(text).ok())
                && told.send(event).is_err()
            {
                return;
            }
            line.clear();
        }
    });
    receiver
}

/// Those of this call, up to its end.
fn until_the_end(events: &Receiver<Value>, id: &str) -> Vec<Value> {
    let mut told: Vec<Value> = Vec::new();
    while told.last().is_none_or(|last| last["kind"] != "call.ended") {
        let event = events.recv_timeout(PATIENCE).expect("its end is told");
        told.extend((event["call"] == id).then_some(event));
    }
    told
}

const MENU: &str = "call:answer()
call:tone('beep')
local recording = call:record()
call:gather { max = 1, timeout = 20 }
recording:mask()
call:gather { max = 1, timeout = 20 }
recording:resume()
call:gather { max = 2, timeout = 20, secret = true }
call:gather { max = 1, timeout = 20 }
recording:stop()
";

#[test]
fn what_happens_to_a_call_is_told_in_its_order_and_read_back_the_same_after_a_restart() {
    let mut bench = Bench::new(&numbers(&[("1", "menu.lua")]), &[("menu.lua", MENU)]);
    let events = listen(&bench);
    passes(presses(bench.server.sip, bench.folder(), "1", "47115"), bench.folder());
    let id = bench.server.wait_for_records(1)[0]["id"].as_str().unwrap().to_owned();
    bench.over(&id);
    let told = until_the_end(&events, &id);
    bench.server.restart("TERM");
    bench.at = api(&bench.server);
    let kept = get(&bench.at, &bench.key, &format!("/v1/calls/{id}/events"));
    assert_eq!(kept, Value::Array(told.clone()), "read back as it was told");
    let orders: Vec<u64> = told.iter().map(|event| event["order"].as_u64().unwrap()).collect();
    assert_eq!(orders, (1..=told.len() as u64).collect::<Vec<_>>());
    let kinds: Vec<(&str, &Value)> =
        told.iter().map(|event| (event["kind"].as_str().unwrap(), &event["data"])).collect();
    let words: Vec<&str> = kinds.iter().map(|(kind, _)| *kind).collect();
    let steps = ["call.initiated", "call.in_progress", "play.started", "play.stopped", "recording.started"];
    assert_eq!(words[..5], steps, "{words:?}");
    let rest = ["call.key", "recording.mode", "call.key", "recording.mode", "call.key", "call.key", "call.key"];
    assert_eq!(words[5..12], rest, "{words:?}");
    assert_eq!(words[12..], ["recording.stopped", "call.ended"], "{words:?}");
    let keys: Vec<&Value> =
        kinds.iter().filter(|(kind, _)| *kind == "call.key").map(|(_, data)| &data["key"]).collect();
    assert_eq!(keys, [&json!("4"), &json!(null), &json!(null), &json!(null), &json!("5")], "masked, then secret");
    let (stopped, record) = (kinds[12].1, kinds[13].1);
    assert_eq!((&stopped["reason"], &stopped["files"]), (&json!("stopped"), &record["recordings"]), "{stopped}");
    assert_eq!((&kinds[2].1["sounds"], &kinds[2].1["to"]), (&json!(["tone"]), &json!("1")));
    assert!(bench.server.stop().success());
}

#[test]
fn with_room_for_one_call_the_second_one_stays_queued_and_no_invite_goes_out() {
    let folder = tempfile::tempdir().unwrap();
    let (carrier, at, log) = phone(folder.path(), "uas_answer", &["-m", "2"]);
    let conf = format!(
        "[[trunk]]\nname = \"one\"\ntarget = [\"sip:{at}\"]\nmax_calls = 1\nqueue_s = 60\n\
         [[outbound.rule]]\nnumber = \"+49*\"\ntrunk = \"one\"\n"
    );
    let bench = Bench::new(&conf, &[("long.lua", "call:sleep(60)\n"), ("short.lua", "call:sleep(0.2)\n")]);
    let order = |to: &str, script: &str| {
        let answer =
            post(&bench.at, &bench.key, "/v1/calls", &json!({"to": to, "from": "100", "script": script}).to_string());
        let begun: Value = serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap();
        begun["id"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    };
    let invites = || fs::read_to_string(&log).unwrap_or_default().matches("\nINVITE sip:").count();
    let first = order("+4930", "long.lua");
    bench.wait_for(&first, "in_progress");
    let second = order("+4931", "short.lua");
    bench.wait_for(&second, "queued");
    (0..50).for_each(|_| breathe(bench.server.sip));
    bench.wait_for(&second, "queued");
    assert_eq!(invites(), 1, "the second one waits");
    assert_eq!(bench.kinds(&second), ["call.queued"]);
    assert!(post(&bench.at, &bench.key, &format!("/v1/calls/{first}/hangup"), "").starts_with("HTTP/1.0 200"));
    let call = bench.over(&second);
    assert_eq!((&call["status"], &call["trunk"]), (&json!("completed"), &json!("one")), "{call:#}");
    let kinds = bench.kinds(&second);
    assert_eq!(kinds, ["call.queued", "call.initiated", "call.ringing", "call.in_progress", "call.ended"]);
    passes(carrier, folder.path());
}

#[test]
fn a_call_whose_party_stopped_silently_is_found_out_and_reconciled_where_nobody_looks_at_its_audio() {
    let conf = "[call]\nwatchdog_s = 5\nsession_timer_s = 0\n[sip]\nt1_ms = 50\n[media]\nrtp_timeout_s = 0\n";
    let script = "call:answer()\ncall:sleep(600)\n";
    let bench = Bench::new(&format!("{conf}{}", numbers(&[("1", "some.lua")])), &[("some.lua", script)]);
    let uac = ["-sn", "uac", "-m", "1", "-d", "60000"];
    let mut peer = caller(bench.server.sip, bench.folder(), "1", &uac);
    let live = || get(&bench.at, &bench.key, "/v1/calls?live=true")["calls"][0].clone();
    while live()["status"] != "in_progress" {
        breathe(bench.server.sip);
    }
    let id = live()["id"].as_str().unwrap().to_owned();
    // It is there and answers nothing any more, not even by ICMP.
    signal(peer.child.id(), "STOP");
    let call = bench.over(&id);
    assert_eq!((&call["status"], &call["end_reason"]), (&json!("completed"), &json!("reconciled")), "{call:#}");
    let why = call["error"].as_str().unwrap();
    assert!(why.starts_with("watchdog: nothing was heard of the party for 5 s"), "{why}");
    assert_eq!(live(), json!(null));
    peer.child.kill().unwrap();
    peer.wait();
}

/// Passwords, keys and digits that nobody may ever read again.
const MARKS: [&str; 11] = [
    "MARKuser7",
    "MARKmodel7",
    "MARKphone7",
    "MARKtrunk7",
    "MARKhook7",
    "MARKupload7",
    "MARKheader7",
    "MARKvar7",
    "MARKlogin7",
    "MARKspeech7",
    "48151623",
];

/// Every file below, but those that the operator wrote.
fn files(folder: &Path, found: &mut Vec<(String, Vec<u8>)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            files(&path, found);
        } else if !["toml", "lua", "xml", "log"].contains(&name.rsplit('.').next().unwrap()) {
            found.push((path.display().to_string(), fs::read(&path).unwrap()));
        }
    }
}

fn has(bytes: &[u8], mark: &str) -> bool {
    bytes.windows(mark.len()).any(|window| window.eq_ignore_ascii_case(mark.as_bytes()))
}

const SECRET_MENU: &str = "call:answer()
local code = call:gather { max = 8, timeout = 20, secret = true }
if code == '48151623' then vars.known = 'yes' end
call:say('Your code is MARKspeech7')
";

const SECRET_SCRIPTS: [(&str, &str); 3] =
    [("menu.lua", SECRET_MENU), ("out.lua", "call:sleep(0.2)\n"), ("extension.lua", "")];

#[test]
fn no_secret_is_in_logs_events_records_files_or_answers() {
    let folder = tempfile::tempdir().unwrap();
    let text = fs::read_to_string(scenario("uas_auth")).unwrap().replace("geheim7", "MARKtrunk7");
    let file = folder.path().join("uas_auth");
    fs::write(file.with_extension("xml"), text).unwrap();
    let (carrier, at, _) = phone(folder.path(), file.to_str().unwrap(), &["-m", "1"]);
    let bench = Bench::new(&full_of_secrets(&at.to_string()), &SECRET_SCRIPTS);
    let listener = listen(&bench);
    // A phone registers and calls with its password, and keys in its code.
    let text = fs::read_to_string(scenario("password")).unwrap().replace("password=secret", "password=MARKphone7");
    let file = folder.path().join("password.xml");
    fs::write(&file, text).unwrap();
    let arguments = ["-sf", file.to_str().unwrap(), "-m", "1"];
    let phone = caller(bench.server.sip, folder.path(), "100", &arguments);
    passes(phone, folder.path());
    // A carrier wants a password; the order has a name, a header and a variable that are nobody's business.
    order_once(&bench);
    passes(carrier, folder.path());
    // Somebody tries to log in, and the code is keyed in by INFO.
    let login = json!({"user": "admin", "password": "MARKlogin7"}).to_string();
    let mut answers = vec![post(&bench.at, &bench.key, "/v1/session", &login)];
    let _keys = guest(&bench, "48151623");
    let user = json!({"name": "bo", "password": "MARKuser7", "role": "read"}).to_string();
    answers.push(post(&bench.at, &bench.key, "/v1/users", &user));
    let calls = ["/v1/calls", "/v1/calls?live=true", "/v1/calls?format=csv", "/v1/calls?format=jsonl"];
    let lists =
        ["audit", "trunks", "phones", "recordings", "keys", "users", "webhooks", "contacts", "numbers", "flows"];
    let talk = ["/v1/queues", "/v1/agents", "/v1/ai-agents"];
    let lists = lists.map(|list| format!("/v1/{list}"));
    let others = ["/v1/session", "/v1/rooms", "/metrics", "/healthz"];
    for path in calls.into_iter().chain(others).chain(talk).chain(lists.iter().map(String::as_str)) {
        let mut text = String::new();
        connect(&bench.at, &bench.key, path).read_to_string(&mut text).unwrap();
        assert!(!text.is_empty(), "{path}");
        answers.push(text);
    }
    let shown = |what: &str| answers.iter().any(|answer| answer.contains(what));
    assert!(
        shown("\"bo\"") && shown("\"crm\"") && shown("\"desk\"") && shown("switchhook_calls"),
        "what has secrets is among them"
    );
    let Bench { server, key, .. } = bench;
    let (log, folder) = (server.stop_and_tell(), server);
    let events: Vec<Value> = listener.iter().collect();
    assert!(log.contains("DEBUG") && log.contains("call ended"), "the log is there: {} bytes", log.len());
    assert!(events.iter().any(|event| event["kind"] == "phone.registered"), "{events:#?}");
    let keys: Vec<&Value> = events.iter().filter(|event| event["kind"] == "call.key").collect();
    assert!(keys.len() == 8 && keys.iter().all(|event| event["data"]["key"].is_null()), "{keys:#?}");
    let mut found = vec![("the log".to_owned(), log.into_bytes())];
    found.extend(events.iter().map(|event| ("an event".to_owned(), event.to_string().into_bytes())));
    found.extend(answers.into_iter().map(|answer| ("an answer".to_owned(), answer.into_bytes())));
    files(folder.folder.path(), &mut found);
    assert!(found.iter().any(|(name, _)| name.ends_with("switchhook.sqlite")), "the database is looked at, too");
    for mark in MARKS.iter().copied().chain([key.as_str()]) {
        let place = found.iter().find(|(_, bytes)| has(bytes, mark));
        let shown = place.map(|(name, bytes)| (name, String::from_utf8_lossy(&bytes[..bytes.len().min(2000)])));
        assert!(shown.is_none(), "{mark} is in {shown:?}");
    }
}

/// A configuration with a marked secret wherever one goes, and a carrier at this address.
fn full_of_secrets(carrier: &str) -> String {
    format!(
        "[[ai_agent]]\nid = \"desk\"\nmodel = \"m\"\nkey = \"MARKmodel7\"\n[[webhook]]\nname = \"crm\"\nurl = \"http://127.0.0.1:9/?key=MARKhook7\"\nsecret = \"MARKhook7\"\n[log]\nlevel = \"debug\"\n\
         [recording]\nupload = \"s3\"\nupload_url = \"http://127.0.0.1:9/b\"\nupload_key = \"k\"\nupload_secret = \"MARKupload7\"\n\
         [phones]\nguests = true\n[[phone]]\nuser = \"anna\"\nnumber = \"201\"\npassword = \"MARKphone7\"\n\
         [[trunk]]\nname = \"carrier\"\ntarget = [\"sip:{carrier}\"]\nuser = \"acct\"\npassword = \"MARKtrunk7\"\nsource = [\"127.0.0.9\"]\n\
         [[outbound.rule]]\nnumber = \"+49*\"\ntrunk = \"carrier\"\n{}",
        numbers(&[("1", "menu.lua"), ("100", "menu.lua")])
    )
}

/// A call with a name, a header and a variable that are nobody's business, ordered once; it is over.
fn order_once(bench: &Bench) {
    let order = json!({"to": "+4930", "from": "100", "script": "out.lua", "headers": {"X-Token": "MARKheader7"},
        "vars": {"token": "MARKvar7"}});
    let length = order.to_string().len();
    let head = format!(
        "POST /v1/calls HTTP/1.0\r\nHost: x\r\nAuthorization: Bearer {}\r\nIdempotency-Key: once\r\nContent-Length: {length}\r\n\r\n",
        bench.key
    );
    let mut stream = std::net::TcpStream::connect(&bench.at).unwrap();
    std::io::Write::write_all(&mut stream, format!("{head}{order}").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let begun: Value = serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    bench.over(begun["id"].as_str().unwrap_or_else(|| panic!("{answer}")));
}

/// The phone, which is known by its address now, keys in this code.
fn guest(bench: &Bench, code: &str) -> Value {
    passes(presses(bench.server.sip, bench.folder(), "1", code), bench.folder());
    // The phone's call, the order and this one.
    let records = bench.server.wait_for_records(3);
    let last = records.into_iter().find(|record| record["vars"]["known"] == "yes");
    last.expect("the script got the code")
}

impl Server {
    /// Stop it, and give what it logged from the last line on that somebody waited for. Its folder stays.
    fn stop_and_tell(&self) -> String {
        signal(self.pid(), "TERM");
        self.rest_of_log()
    }
}
