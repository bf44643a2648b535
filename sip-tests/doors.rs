//! Calls that a program starts and steers by the API, as the phones at their other ends see and hear them; and calls to
//! us whose number is written in other ways.

use std::{
    fs,
    net::{SocketAddr, UdpSocket},
    path::Path,
    time::Duration,
};

use serde_json::{Value, json};
use switchhook::io::clock::Clock;

use crate::{
    api::post,
    baresip::{Phone, all_heard},
    command_line::tone,
    endings::Bench,
    records::get,
    sipp::{caller, numbers, passes, phone, scenario},
    support::{PATIENCE, breathe, read_wav},
};

/// What a requirement allows on a machine that does nothing else; a busy one gets ten times as long.
pub fn within(ms: u64) -> Duration {
    Duration::from_millis(if std::env::var_os("PROOF").is_some() { ms } else { ms * 10 })
}

/// Baresip, which sends a tone and takes every call.
pub struct Taker {
    pub folder: tempfile::TempDir,
    pub phone: Phone,
}

impl Taker {
    pub fn new(frequency: f64) -> Taker {
        let folder = tempfile::tempdir().unwrap();
        let speaks = folder.path().join("speak.wav");
        tone(&speaks, frequency, 8000, 120);
        let account = "<sip:baresip@127.0.0.1>;regint=0;answermode=auto";
        let phone = Phone::with_account(folder.path(), &speaks, account);
        Taker { folder, phone }
    }

    pub fn uri(&self) -> String {
        format!("sip:baresip@127.0.0.1:{}", self.phone.sip)
    }

    /// In how many seconds of what it heard a tone of each frequency was; its call is over.
    pub fn heard<const N: usize>(&mut self, frequencies: [f64; N]) -> [f64; N] {
        self.phone.wait_for_event("CALL_CLOSED");
        // It closes its file a moment after it has told the end.
        (0..25).for_each(|_| breathe(SocketAddr::from(([127, 0, 0, 1], 9))));
        // After each re-INVITE it begins another file.
        let files: Vec<_> = all_heard(self.folder.path()).iter().map(|file| read_wav(file).0.remove(0)).collect();
        frequencies.map(|frequency| files.iter().map(|samples| seconds_with(samples, frequency)).sum())
    }
}

/// For how long a tone was there, perhaps beside others.
pub fn seconds_with(samples: &[i16], frequency: f64) -> f64 {
    let holds = |frame: &&[i16]| {
        let energy: f64 = frame.iter().map(|s| f64::from(*s).powi(2)).sum();
        let power = switchhook::audio::goertzel::power(frame, frequency, 8000) * frame.len() as f64;
        energy > 1e6 && power > 0.2 * energy
    };
    samples.chunks_exact(160).filter(holds).count() as f64 * 0.02
}

pub fn pass(time: Duration) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(time)).unwrap();
    let _ = socket.recv(&mut [0; 1]);
}

impl Bench {
    /// Ask for a call; gives its id.
    pub fn start(&self, door: &str, order: &Value) -> String {
        let answer = post(&self.at, &self.key, door, &order.to_string());
        assert!(answer.starts_with("HTTP/1.0 201"), "{answer}");
        let begun: Value = serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap();
        begun["id"].as_str().unwrap().to_owned()
    }

    pub fn steer(&self, id: &str, what: &str, body: &Value) -> String {
        let answer = post(&self.at, &self.key, &format!("/v1/calls/{id}/{what}"), &body.to_string());
        assert!(answer.starts_with("HTTP/1.0 20"), "{what}: {answer}");
        answer
    }
}

/// A phone by hand, where it matters when each message and each packet comes.
pub struct Hand {
    pub sip: UdpSocket,
    pub rtp: UdpSocket,
}

impl Hand {
    pub fn new() -> Hand {
        let [sip, rtp] = [0, 1].map(|_| {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
            socket
        });
        Hand { sip, rtp }
    }

    pub fn at(&self) -> SocketAddr {
        self.sip.local_addr().unwrap()
    }

    /// The next message that begins with this.
    pub fn next(&self, start: &str) -> (String, SocketAddr) {
        let mut bytes = [0; 4096];
        loop {
            let (len, from) = self.sip.recv_from(&mut bytes).unwrap_or_else(|error| panic!("no {start}: {error}"));
            let text = String::from_utf8_lossy(&bytes[..len]).into_owned();
            if text.starts_with(start) {
                return (text, from);
            }
        }
    }

    pub fn answer(&self, (request, from): &(String, SocketAddr), code: u16, with_audio: bool) {
        let copied = request
            .lines()
            .filter(|line| ["Via:", "From:", "To:", "Call-ID:", "CSeq:"].iter().any(|name| line.starts_with(name)));
        let tagged = copied.map(|line| match line.strip_prefix("To:") {
            Some(to) if !to.contains(";tag=") => format!("To:{to};tag=hand\r\n"),
            Some(_) | None => format!("{line}\r\n"),
        });
        let (at, port) = (self.at(), self.rtp.local_addr().unwrap().port());
        let body = format!(
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {port} RTP/AVP 0\r\n"
        );
        let (kind, body) = if with_audio { ("Content-Type: application/sdp\r\n", &*body) } else { ("", "") };
        let text = format!(
            "SIP/2.0 {code} X\r\n{}Contact: <sip:hand@{at}>\r\n{kind}Content-Length: {}\r\n\r\n{body}",
            tagged.collect::<String>(),
            body.len()
        );
        self.sip.send_to(text.as_bytes(), from).unwrap();
    }

    /// Wait for the first packet with a sound in it.
    pub fn first_sound(&self) {
        let mut bytes = [0; 2000];
        loop {
            let len = self.rtp.recv(&mut bytes).expect("a sound comes");
            // Silence is 0xff or 0x7f (G.711).
            if len > 12 && bytes[1] & 0x7f == 0 && bytes[12..len].iter().any(|sample| sample & 0x7f < 0x60) {
                return;
            }
        }
    }
}

#[test]
fn a_call_that_is_started_goes_out_at_once_and_its_flow_speaks_at_once() {
    let script = "call:tone({600}, {seconds = 5})\n";
    let bench = Bench::new("", &[("tone.lua", script)]);
    let hand = Hand::new();
    let headers = json!({"X-Shop": "7"});
    let to = format!("sip:anna@{}", hand.at());
    let id = bench.start("/v1/calls", &json!({"to": to, "from": "201", "script": "tone.lua", "headers": headers}));
    let clock = Clock::start();
    let answered = clock.now();
    let invite = hand.next("INVITE sip:anna@");
    let late = clock.now() - answered;
    assert!(late < within(200), "the INVITE came {late:?} after the API's answer");
    assert!(invite.0.contains("\r\nX-Shop: 7\r\n") && invite.0.contains("<sip:201@"), "{}", invite.0);
    // It is shown at once, with the number that the INVITE shows.
    let live = get(&bench.at, &bench.key, "/v1/calls?live=true");
    let (call, shown) = (&live["calls"][0], clock.now() - answered);
    assert_eq!(
        (&call["id"], &call["direction"], &call["from"]),
        (&id.clone().into(), &"outbound".into(), &"201".into())
    );
    assert!(shown < within(500), "it was shown after {shown:?}");
    hand.answer(&invite, 200, true);
    hand.next("ACK ");
    let acknowledged = clock.now();
    hand.first_sound();
    let late = clock.now() - acknowledged;
    assert!(late < within(200), "the flow was heard {late:?} after the ACK");
    bench.steer(&id, "hangup", &json!({}));
    let ended = clock.now();
    let bye = hand.next("BYE ");
    hand.answer(&bye, 200, false);
    while get(&bench.at, &bench.key, "/v1/calls?live=true")["calls"] != json!([]) {
        let shown = clock.now() - ended;
        assert!(shown < within(1000), "it is still shown after {shown:?}");
        breathe(bench.server.sip);
    }
    assert_eq!(bench.over(&id)["end_reason"], "agent_completed");
}

#[test]
fn two_calls_that_are_started_at_once_have_values_of_their_own_that_are_heard() {
    let script = "vars.heard = vars.name\ncall:tone({tonumber(vars.tone)}, {seconds = 1})\ncall:sleep(0.3)\n";
    let bench = Bench::new("", &[("tone.lua", script)]);
    let mut takers = [Taker::new(300.0), Taker::new(300.0)];
    let values = [("201", "700", "Anna"), ("202", "1100", "Bert")];
    let calls: Vec<String> = takers
        .iter()
        .zip(values)
        .map(|(taker, (from, tone, name))| {
            let vars = json!({"tone": tone, "name": name});
            bench.start("/v1/calls", &json!({"to": taker.uri(), "from": from, "script": "tone.lua", "vars": vars}))
        })
        .collect();
    for ((taker, id), (from, tone, name)) in takers.iter_mut().zip(&calls).zip(values) {
        taker.phone.wait_for_event(&format!("sip:{from}@"));
        let [own, other] = taker.heard(if tone == "700" { [700.0, 1100.0] } else { [1100.0, 700.0] });
        assert!((0.8..=1.1).contains(&own) && other == 0.0, "{name}: {own} s of its tone, {other} s of the other's");
        let call = bench.over(id);
        assert_eq!((&call["from"], &call["vars"]["heard"]), (&from.into(), &name.into()), "{call:#}");
        assert_eq!((&call["direction"], &call["status"]), (&"outbound".into(), &"completed".into()));
    }
}

#[test]
fn a_quick_call_calls_a_contact_with_the_flow_of_its_number_and_no_other_number_calls_anybody() {
    let script = "vars.said = vars.name .. ' ' .. vars.product\ncall:tone({700}, {seconds = 1})\ncall:sleep(0.3)\n";
    let bench = Bench::new(
        &numbers(&[("+49302011", "sale.lua"), ("2XX", "none.lua")]),
        &[("sale.lua", script), ("none.lua", "call:answer()\n")],
    );
    let mut taker = Taker::new(300.0);
    let contact = json!({"name": "Anna", "numbers": [taker.uri()], "vars": {"product": "tea"}});
    let contact = bench.start("/v1/contacts", &contact);
    // The number is written in another way than in the configuration.
    let id = bench.start("/v1/quick-calls", &json!({"contact": contact, "from": "49302011"}));
    let [tone] = taker.heard([700.0]);
    assert!((0.8..=1.1).contains(&tone), "{tone} s");
    let call = bench.over(&id);
    assert_eq!((&call["script"], &call["vars"]["said"]), (&"sale.lua".into(), &"Anna tea".into()), "{call:#}");
    let hand = Hand::new();
    hand.sip.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    let order = json!({"to": format!("sip:x@{}", hand.at()), "from": "999"});
    let answer = post(&bench.at, &bench.key, "/v1/quick-calls", &order.to_string());
    assert!(answer.starts_with("HTTP/1.0 409") && answer.contains("\"unpublished\""), "{answer}");
    assert!(hand.sip.recv(&mut [0; 10]).is_err(), "nobody is called");
}

/// Two who are called into one room, saying 600 and 1000 Hz; and the ids of their calls.
fn two_in_a_room() -> (Bench, [Taker; 2], [String; 2]) {
    let bench = Bench::new("", &[("room.lua", "call:join('r')\n")]);
    let mut takers = [Taker::new(600.0), Taker::new(1000.0)];
    let calls = [0, 1]
        .map(|at: usize| bench.start("/v1/calls", &json!({"to": takers[at].uri(), "from": "1", "script": "room.lua"})));
    for taker in &mut takers {
        taker.phone.wait_for_event("CALL_ESTABLISHED");
    }
    (bench, takers, calls)
}

#[test]
fn who_is_muted_or_held_is_not_heard_and_who_is_held_hears_nobody() {
    let (bench, mut takers, calls) = two_in_a_room();
    let first = |what: &str| drop(bench.steer(&calls[0], what, &json!({})));
    pass(Duration::from_secs(2));
    first("mute");
    pass(Duration::from_secs(3));
    first("unmute");
    pass(Duration::from_secs(2));
    first("hold");
    pass(Duration::from_secs(3));
    first("resume");
    pass(Duration::from_secs(2));
    bench.steer(&calls[1], "hangup", &json!({}));
    first("hangup");
    let [other] = takers[0].heard([1000.0]);
    let [muted] = takers[1].heard([600.0]);
    let all = bench.over(&calls[1])["talk_seconds"].as_f64().unwrap();
    // The first was muted for 3 s and held for 3: so long the other one did not hear it.
    assert!(muted > 3.0 && muted < all - 5.0, "{muted} of {all} s");
    // Its own mute did not keep it from hearing the other one; with the hold baresip ends its file.
    assert!(other > 5.5 && other < all - 4.0, "{other} of {all} s");
}

#[test]
fn keys_arrive_while_the_flow_plays_and_it_plays_on() {
    let script = "call:tone({700}, {seconds = 6})\nvars.played = 'all'\ncall:sleep(1)\nvars.slept = 'all'\n";
    let bench = Bench::new("", &[("tone.lua", script)]);
    let mut taker = Taker::new(300.0);
    let id = bench.start("/v1/calls", &json!({"to": taker.uri(), "from": "1", "script": "tone.lua"}));
    taker.phone.wait_for_event("CALL_ESTABLISHED");
    bench.wait_for(&id, "in_progress");
    pass(Duration::from_secs(1));
    bench.steer(&id, "digits", &json!({"digits": "12#"}));
    for key in ["1", "2", "#"] {
        taker.phone.wait_for_event(&format!("\"param\":\"{key}\""));
    }
    let [tone] = taker.heard([700.0]);
    // Without the three tenths of a second in which keys were down.
    assert!((4.5..6.0).contains(&tone), "{tone} s");
    let call = bench.over(&id);
    assert_eq!((&call["vars"]["played"], &call["vars"]["slept"]), (&"all".into(), &"all".into()), "{call:#}");
}

#[test]
fn keys_that_are_sent_arrive_and_who_is_transferred_calls_somebody_else() {
    let bench = Bench::new("", &[]);
    let mut taker = Taker::new(600.0);
    let id = bench.start("/v1/calls", &json!({"to": taker.uri(), "from": "1"}));
    taker.phone.wait_for_event("CALL_ESTABLISHED");
    bench.wait_for(&id, "in_progress");
    bench.steer(&id, "digits", &json!({"digits": "12#"}));
    for key in ["1", "2", "#"] {
        taker.phone.wait_for_event(&format!("\"param\":\"{key}\""));
    }
    // The last key is pressed for a while.
    pass(Duration::from_secs(1));
    let folder = tempfile::tempdir().unwrap();
    let (elsewhere, at, messages) = phone(folder.path(), "uas_hangs_up", &["-m", "1"]);
    bench.steer(&id, "transfer", &json!({"to": format!("sip:elsewhere@{at}")}));
    passes(elsewhere, folder.path());
    assert!(fs::read_to_string(messages).unwrap().contains("INVITE sip:elsewhere@"));
    // It is with the other one now; whoever steers it ends our part.
    bench.steer(&id, "hangup", &json!({}));
    assert_eq!(bench.over(&id)["status"], "completed");
}

#[test]
fn a_supervisor_hears_both_parties_and_whispers_to_one() {
    let (bench, mut takers, calls) = two_in_a_room();
    let mut boss = Taker::new(1500.0);
    let order = json!({"to": boss.uri(), "from": "1", "whisper": true});
    let listening = bench.start(&format!("/v1/calls/{}/listen", calls[0]), &order);
    boss.phone.wait_for_event("CALL_ESTABLISHED");
    pass(Duration::from_secs(3));
    bench.steer(&listening, "hangup", &json!({}));
    calls.iter().for_each(|id| drop(bench.steer(id, "hangup", &json!({}))));
    let [first, second] = boss.heard([600.0, 1000.0]);
    assert!(first > 1.5 && second > 1.5, "the supervisor: {first} s and {second} s");
    let [whispered] = takers[0].heard([1500.0]);
    let [leaked] = takers[1].heard([1500.0]);
    assert!(whispered > 1.5 && leaked == 0.0, "{whispered} s, and {leaked} s where nobody should hear it");
}

#[test]
fn the_time_of_a_call_counts_from_its_answer_in_the_live_view_and_in_its_record() {
    let script = "call:ring()\ncall:sleep(3)\ncall:answer()\ncall:sleep(5)\n";
    let bench = Bench::new(&numbers(&[("100", "slow.lua")]), &[("slow.lua", script)]);
    let file = scenario("answered").to_str().unwrap().to_owned();
    let peers = caller(bench.server.sip, bench.folder(), "100", &["-sf", &file, "-m", "3", "-r", "3", "-rp", "50"]);
    let live = || get(&bench.at, &bench.key, "/v1/calls?live=true")["calls"].as_array().unwrap().clone();
    let (mut shown, mut seen) = (live(), Vec::new());
    while shown.len() < 3 {
        breathe(bench.server.sip);
        shown = live();
    }
    while !shown.is_empty() {
        seen.extend(shown.into_iter().map(|call| {
            let seconds = |name: &str| call[name].as_f64().unwrap();
            (call["status"].as_str().unwrap().to_owned(), seconds("talk_seconds"), seconds("total_seconds"))
        }));
        breathe(bench.server.sip);
        shown = live();
    }
    passes(peers, bench.folder());
    let ringing: Vec<_> = seen.iter().filter(|(status, ..)| status == "ringing").collect();
    assert!(ringing.iter().all(|(_, talk, _)| *talk == 0.0) && !ringing.is_empty());
    let talking = seen.iter().filter(|(status, ..)| status == "in_progress");
    let (mut talk, mut total) = (0.0, 0.0);
    for (_, talked, all) in talking {
        assert!((2.5..=4.0).contains(&(all - talked)), "it rang for {} s", all - talked);
        (talk, total) = (f64::max(talk, *talked), f64::max(total, *all));
    }
    assert!((4.0..=6.0).contains(&talk) && (7.0..=9.0).contains(&total), "{talk} of {total} s");
    for call in bench.server.wait_for_records(3) {
        let (talk, total) = (call["talk_seconds"].as_f64().unwrap(), call["total_seconds"].as_f64().unwrap());
        assert!((4.0..=6.0).contains(&talk) && (7.0..=9.0).contains(&total), "{call:#}");
    }
}

/// SIPp's scenario `answered` with another address in its INVITE.
fn scenario_for(folder: &Path, at: usize, uri: &str) -> String {
    let text = fs::read_to_string(scenario("answered")).unwrap();
    let text = text.replacen("INVITE sip:[service]@[remote_ip]:[remote_port]", &format!("INVITE {uri}"), 1);
    let file = folder.join(format!("written-{at}.xml"));
    fs::write(&file, text).unwrap();
    file.to_str().unwrap().to_owned()
}

#[test]
fn a_number_reaches_the_same_flow_however_the_carrier_writes_it() {
    let script = "vars.called = call.called\ncall:answer()\ncall:sleep(0.1)\n";
    let bench = Bench::new(
        &numbers(&[("+493012345", "ours.lua"), ("*", "other.lua")]),
        &[("ours.lua", script), ("other.lua", script)],
    );
    let written = [
        "sip:+493012345@[remote_ip]:[remote_port]",
        "sip:493012345@[remote_ip]:[remote_port]",
        "sip:+49-30-12345@carrier.example;user=phone",
        "tel:+493012345",
        "tel:+49-30-123.45",
    ];
    for (at, uri) in written.iter().enumerate() {
        let file = scenario_for(bench.folder(), at, uri);
        passes(caller(bench.server.sip, bench.folder(), "x", &["-sf", &file, "-m", "1"]), bench.folder());
        let records = bench.server.wait_for_records(at + 1);
        assert_eq!(
            (&records[at]["script"], &records[at]["status"]),
            (&"ours.lua".into(), &"completed".into()),
            "{uri}"
        );
    }
}
