//! The live view beside the wire: what calls show while their peers hold back, how soon, and what a caller gets that nobody
//! answers (R228, R229, R232, R233, R236, R259, R263).

use std::{net::SocketAddr, time::Duration};

use serde_json::{Value, json};
use switchhook::{io::clock::Clock, time::Time};

use crate::{
    doors::{Hand, within},
    endings::Bench,
    records::get,
    sipp::numbers,
    support::{PATIENCE, Server, breathe, free_port},
    wires::certificates,
};

/// A call that somebody makes by hand.
struct Dialling<'a> {
    hand: &'a Hand,
    to: SocketAddr,
    number: String,
    /// User part of From.
    from: String,
}

impl Dialling<'_> {
    fn say(&self, method: &str, number: u32, to_tag: &str, with_audio: bool) {
        let (at, to, Dialling { number: called, from, .. }) = (self.hand.at(), self.to, self);
        let port = self.hand.rtp.local_addr().unwrap().port();
        let body = format!(
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {port} RTP/AVP 0\r\n"
        );
        let (kind, body) = if with_audio { ("Content-Type: application/sdp\r\n", &*body) } else { ("", "") };
        // The ACK of a refusal belongs to the INVITE; all else here is a transaction of its own.
        let branch = if method == "BYE" { "bye" } else { "invite" };
        let text = format!(
            "{method} sip:{called}@{to} SIP/2.0\r\nVia: SIP/2.0/UDP {at};branch=z9hG4bK{branch}{port}\r\n\
             From: <sip:{from}@elsewhere.example>;tag=hand\r\nTo: <sip:{called}@{to}>{to_tag}\r\nCall-ID: live-{port}\r\n\
             CSeq: {number} {method}\r\nContact: <sip:hand@{at}>\r\nMax-Forwards: 70\r\n{kind}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.hand.sip.send_to(text.as_bytes(), to).unwrap();
    }
}

fn to_tag(response: &str) -> String {
    let to = response.lines().find(|line| line.starts_with("To:")).unwrap();
    to.split_once(";tag=").map(|(_, tag)| format!(";tag={}", tag.trim())).unwrap_or_default()
}

/// All that comes within this time.
fn all_within(socket: &std::net::UdpSocket, time: Duration) -> Vec<String> {
    let (clock, mut bytes, mut all) = (Clock::start(), [0; 4096], Vec::new());
    let end = clock.now() + time;
    while clock.now() < end {
        socket.set_read_timeout(Some((end - clock.now()).max(Duration::from_millis(1)))).unwrap();
        if let Ok(len) = socket.recv(&mut bytes) {
            all.push(String::from_utf8_lossy(&bytes[..len]).into_owned());
        }
    }
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    all
}

impl Bench {
    fn live(&self) -> Vec<Value> {
        get(&self.at, &self.key, "/v1/calls?live=true")["calls"].as_array().unwrap().clone()
    }

    /// How long after `since` the live view shows this many calls of this status.
    fn shown_after(&self, (clock, since): (Clock, Time), count: usize, status: &str) -> Duration {
        loop {
            let live = self.live();
            let is = live.iter().filter(|call| call["status"] == status).count();
            let passed = clock.now() - since;
            if is == count && (count > 0 || live.is_empty()) {
                return passed;
            }
            assert!(passed < PATIENCE, "{count} {status} are wanted: {live:#?}");
        }
    }

    /// The live view shows one call, and that is so for half a second.
    fn stays(&self, status: &str) {
        let clock = Clock::start();
        let end = clock.now() + Duration::from_millis(500);
        self.shown_after((clock, clock.now()), 1, status);
        while clock.now() < end {
            let live = self.live();
            assert!(live.len() == 1 && live[0]["status"] == status, "{live:#?}");
            breathe(self.server.sip);
        }
    }
}

#[test]
fn a_caller_to_a_number_that_nothing_answers_gets_one_refusal_and_neither_ringing_nor_a_sound() {
    for (more, code) in [("", 404), ("[call]\nunknown_number = 480\n", 480)] {
        let bench = Bench::new(&format!("{more}{}", numbers(&[("100", "a.lua")])), &[("a.lua", "call:answer()\n")]);
        let hand = Hand::new();
        let call = Dialling { hand: &hand, to: bench.server.sip, number: "999".into(), from: "+4930123".into() };
        call.say("INVITE", 1, "", true);
        let refusal = hand.next(&format!("SIP/2.0 {code} ")).0;
        call.say("ACK", 1, &to_tag(&refusal), false);
        // Repeated answers would come by now, and so would sounds.
        let later = all_within(&hand.sip, Duration::from_millis(1500));
        assert!(
            later.iter().all(|text| text.starts_with("SIP/2.0 404") || text.starts_with("SIP/2.0 480")),
            "{later:?}"
        );
        assert!(all_within(&hand.rtp, Duration::from_millis(20)).is_empty(), "no RTP");
        let record = bench.server.wait_for_records(1).remove(0);
        assert_eq!((&record["status"], &record["end_reason"]), (&json!("failed"), &json!("agent_unavailable")));
        assert_eq!(
            (&record["code"], &record["from"], &record["to"]),
            (&json!(code), &json!("+4930123"), &json!("999"))
        );
        let kinds = bench.kinds(record["id"].as_str().unwrap());
        assert!(!kinds.contains(&"call.ringing".to_owned()), "{kinds:?}");
    }
}

#[test]
fn nothing_but_100_comes_before_the_refusal_of_an_unknown_number() {
    let bench = Bench::new(&numbers(&[("100", "a.lua")]), &[("a.lua", "call:answer()\n")]);
    let hand = Hand::new();
    let call = Dialling { hand: &hand, to: bench.server.sip, number: "999".into(), from: "201".into() };
    call.say("INVITE", 1, "", true);
    let all = all_within(&hand.sip, Duration::from_millis(400));
    let codes: Vec<&str> = all.iter().map(|text| &text[8..11]).collect();
    assert!(codes.contains(&"404") && codes.iter().all(|code| ["100", "404"].contains(code)), "{codes:?}");
}

#[test]
fn a_call_of_ours_is_initiated_until_the_phone_rings_and_ringing_until_it_is_answered() {
    let bench = Bench::new("", &[]);
    let hand = Hand::new();
    let id = bench.start("/v1/calls", &json!({"to": format!("sip:anna@{}", hand.at()), "from": "201"}));
    let invite = hand.next("INVITE ");
    // It holds back even the 100; the INVITE comes again.
    bench.stays("initiated");
    hand.next("INVITE ");
    hand.answer(&invite, 100, false);
    bench.stays("initiated");
    hand.answer(&invite, 180, false);
    bench.stays("ringing");
    hand.answer(&invite, 200, true);
    hand.next("ACK ");
    bench.stays("in_progress");
    bench.steer(&id, "hangup", &json!({}));
    let bye = hand.next("BYE ");
    hand.answer(&bye, 200, false);
    assert_eq!(bench.over(&id)["status"], "completed");
}

#[test]
fn a_call_to_us_is_initiated_until_we_ring_and_shows_both_numbers_as_the_caller_wrote_them() {
    let script = "call:sleep(3)\ncall:ring()\ncall:sleep(3)\ncall:answer()\ncall:sleep(60)\n";
    let bench = Bench::new(&numbers(&[("+49301000", "slow.lua")]), &[("slow.lua", script)]);
    let hand = Hand::new();
    let call = Dialling { hand: &hand, to: bench.server.sip, number: "+49301000".into(), from: "+4930123456".into() };
    call.say("INVITE", 1, "", true);
    bench.stays("initiated");
    let shown = &bench.live()[0];
    assert_eq!((&shown["from"], &shown["to"]), (&json!("+4930123456"), &json!("+49301000")), "{shown:#}");
    assert_eq!(shown["direction"], "inbound");
    hand.next("SIP/2.0 180 ");
    bench.stays("ringing");
    let answer = hand.next("SIP/2.0 200 ").0;
    call.say("ACK", 1, &to_tag(&answer), false);
    bench.stays("in_progress");
    call.say("BYE", 2, &to_tag(&answer), false);
    let record = bench.server.wait_for_records(1).remove(0);
    assert_eq!((&record["from"], &record["to"]), (&json!("+4930123456"), &json!("+49301000")), "{record:#}");
    assert_eq!(record["end_reason"], "caller_hangup");
}

#[test]
fn three_calls_show_each_state_within_half_a_second_and_are_gone_within_one() {
    let bench = Bench::new("", &[]);
    let clock = Clock::start();
    let (mut shown, mut gone) = (Vec::new(), Vec::new());
    for _ in 0..5 {
        let hands = [0; 3].map(|_| Hand::new());
        for hand in &hands {
            bench.start("/v1/calls", &json!({"to": format!("sip:anna@{}", hand.at()), "from": "201"}));
        }
        // Each time counts from the last message on the wire.
        let invites: Vec<_> = hands.iter().map(|hand| hand.next("INVITE ")).collect();
        shown.push(bench.shown_after((clock, clock.now()), 3, "initiated"));
        for (code, status) in [(180, "ringing"), (200, "in_progress")] {
            hands.iter().zip(&invites).for_each(|(hand, invite)| hand.answer(invite, code, code == 200));
            shown.push(bench.shown_after((clock, clock.now()), 3, status));
        }
        for call in bench.live() {
            bench.steer(call["id"].as_str().unwrap(), "hangup", &json!({}));
        }
        for hand in &hands {
            let bye = hand.next("BYE ");
            hand.answer(&bye, 200, false);
        }
        gone.push(bench.shown_after((clock, clock.now()), 0, "in_progress"));
    }
    for times in [&mut shown, &mut gone] {
        times.sort();
    }
    let median = |times: &[Duration]| times[times.len() / 2];
    let (last_shown, last_gone) = (shown[shown.len() - 1], gone[gone.len() - 1]);
    println!(
        "shown after {:?} (median), {last_shown:?} at most; gone after {:?}, {last_gone:?}",
        median(&shown),
        median(&gone)
    );
    assert!(median(&shown) <= Duration::from_millis(500) && last_shown <= within(500), "{shown:?}");
    assert!(median(&gone) <= Duration::from_secs(1) && last_gone <= within(1000), "{gone:?}");
}

#[test]
fn a_server_whose_certificate_nobody_vouches_for_and_one_that_is_not_there_are_telephony_errors() {
    let folders = [0; 2].map(|_| tempfile::tempdir().unwrap());
    let [(_, own), (other, _)] = folders.each_ref().map(|folder| certificates(folder.path()));
    let conf = format!("tls = 0\n[tls]\ncertificate = {own:?}\n{}", numbers(&[("100", "a.lua")]));
    let there = Server::start(&conf, &[("a.lua", "call:answer()\ncall:sleep(60)\n")]);
    let bench = Bench::new(&format!("[tls]\ntrust = {other:?}\n"), &[]);
    for port in [there.port("tls"), free_port()] {
        let id = bench.start("/v1/calls", &json!({"to": format!("sips:100@127.0.0.1:{port}"), "from": "201"}));
        let call = bench.over(&id);
        assert_eq!((&call["status"], &call["end_reason"]), (&json!("failed"), &json!("telephony_error")), "{call:#}");
        assert!(call["answer_ms"].is_null() && call["error"].is_string(), "{call:#}");
    }
    assert!(there.records().is_empty(), "no INVITE got through");
}
