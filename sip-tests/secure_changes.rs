//! Encrypted and plain calls that change while they go on: held and taken back from either side, described anew, with
//! another key, and with an INVITE that has no offer. After each step sound is heard both ways.

use std::{
    collections::BTreeMap,
    f64::consts::TAU,
    fs,
    net::{SocketAddr, UdpSocket},
    path::Path,
    thread,
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::json;
use switchhook::{
    audio::g711,
    io::clock::Clock,
    rtp::{self, Header, srtp},
    secure::{Key, Suite},
    time::Time,
};

use crate::{
    baresip::{Phone, all_heard},
    command_line::tone,
    doors::{pass, seconds_with},
    endings::Bench,
    records::get,
    sipp::numbers,
    support::{PATIENCE, read_wav},
};

/// Says 600 Hz, and keeps what the party says.
const SCRIPT: &str = "call:answer() call:record{file = call.id .. '.wav', stereo = true}
    call:tone({600}, {seconds = 60})";

/// The ways to encrypt: the server's `media.security` and `media.keys`, and what baresip's account says.
const WAYS: [(&str, &str, &str); 3] =
    [("off", "sdes", ""), ("required", "sdes", ";mediaenc=srtp-mand"), ("required", "dtls", ";mediaenc=dtls_srtp")];

/// Side by side: the calls mostly wait.
fn in_each_way(test: impl Fn((&str, &str, &str)) + Sync) {
    let test = &test;
    thread::scope(|scope| {
        let running = WAYS.map(|way| scope.spawn(move || test(way)));
        running.into_iter().for_each(|one| one.join().unwrap());
    });
}

fn bench(security: &str, keys: &str) -> Bench {
    let conf = format!("[media]\nsecurity = \"{security}\"\nkeys = \"{keys}\"\n{}", numbers(&[("100", "tone.lua")]));
    let bench = Bench::new(&conf, &[("tone.lua", SCRIPT), ("out.lua", &SCRIPT.replace("call:answer() ", ""))]);
    tone(&bench.server.path("prompts/wait.wav"), 1500.0, 8000, 5);
    bench
}

/// What the server's recording has of the party, second by second: for how much of each it was heard.
fn said(bench: &Bench, id: &str) -> Vec<f64> {
    let (channels, _) = read_wav(&bench.server.path("recordings").join(format!("{id}.wav")));
    channels[0].chunks(8000).map(|second| seconds_with(second, 1000.0)).collect()
}

/// For how long baresip heard our tone so far. The head of a file says how long it is only when it is closed: the
/// samples are what follows it.
fn tone_so_far(folder: &Path) -> f64 {
    let seconds = all_heard(folder).into_iter().map(|file| {
        let bytes = fs::read(file).unwrap();
        let samples = bytes.get(44..).unwrap_or_default().chunks_exact(2);
        let samples: Vec<i16> = samples.map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect();
        seconds_with(&samples, 600.0)
    });
    seconds.sum()
}

/// Baresip's call goes through all the changes; `id` names it.
fn changes(bench: &Bench, phone: &mut Phone, folder: &Path, id: &str, what: &str) {
    let heard = |least: f64, step: &str| {
        let before = tone_so_far(folder);
        pass(Duration::from_secs(2));
        let more = tone_so_far(folder) - before;
        assert!(more >= least, "{what}: after {step} it heard {more} s of the tone");
    };
    // A handshake takes its time first.
    heard(0.5, "the answer");
    phone.tell("reinvite", "");
    heard(1.0, "its re-INVITE");
    // With a hold baresip ends its file: from here on its reports say what arrives there.
    phone.tell("hold", "");
    pass(Duration::from_millis(1500));
    phone.tell("resume", "");
    pass(Duration::from_secs(2));
    for step in ["hold", "resume"] {
        bench.steer(id, step, &json!({}));
        pass(Duration::from_millis(2200));
    }
    // Long enough for a report of baresip's about what it gets now.
    pass(Duration::from_secs(7));
    phone.tell("hangup", "");
    phone.wait_for_event("CALL_CLOSED");
    let record = bench.over(id);
    assert_eq!((&record["end_reason"], &record["error"]), (&json!("caller_hangup"), &json!(null)), "{record:#}");
    let lost = record["quality"]["peer_lost"].as_f64();
    assert!(lost.is_some_and(|lost| lost < 0.05), "{what}: at the end it gets what we send: {record:#}");
    let seconds = said(bench, id);
    let spoken = seconds.iter().filter(|second| **second > 0.9).count();
    let silent = seconds.iter().filter(|second| **second < 0.1).count();
    assert!(spoken >= 6, "{what}: {seconds:?}");
    assert!(silent >= 1, "{what}: on hold it says nothing: {seconds:?}");
    assert!(seconds.iter().rev().skip(1).take(2).all(|second| *second > 0.9), "{what}: heard at the end: {seconds:?}");
}

fn start(account: &str) -> (tempfile::TempDir, Phone) {
    let folder = tempfile::tempdir().unwrap();
    let speaks = folder.path().join("speak.wav");
    tone(&speaks, 1000.0, 8000, 120);
    // With keys by a handshake reports come where both share a port: we make no second one for a port of their own.
    let more = if account.contains("dtls_srtp") { "rtcp_mux yes\n" } else { "" };
    let phone = Phone::with_config(folder.path(), &speaks, account, more);
    (folder, phone)
}

#[test]
fn baresip_is_heard_and_hears_after_each_change_of_its_call_plain_or_encrypted() {
    in_each_way(|(security, keys, more)| {
        let bench = bench(security, keys);
        let (folder, mut phone) = start(&format!("<sip:baresip@127.0.0.1>;regint=0{more}"));
        phone.dial(&format!("sip:100@{}", bench.server.sip));
        let live = get(&bench.at, &bench.key, "/v1/calls?live=true");
        let id = live["calls"][0]["id"].as_str().unwrap().to_owned();
        changes(&bench, &mut phone, folder.path(), &id, &format!("it calls{more}"));
        bench.server.wait_until_idle();
    });
}

#[test]
fn baresip_is_heard_and_hears_after_each_change_of_a_call_that_we_offered_it_plain_or_encrypted() {
    in_each_way(|(security, keys, more)| {
        let bench = bench(security, keys);
        let (folder, mut phone) = start(&format!("<sip:baresip@127.0.0.1>;regint=0;answermode=auto{more}"));
        let to = format!("sip:baresip@127.0.0.1:{}", phone.sip);
        let id = bench.start("/v1/calls", &json!({"to": to, "from": "1", "script": "out.lua"}));
        phone.wait_for_event("CALL_ESTABLISHED");
        changes(&bench, &mut phone, folder.path(), &id, &format!("we call{more}"));
        bench.server.wait_until_idle();
    });
}

/// A phone by hand with keys in SDP, which may call without an offer and change its key.
struct Hand {
    sip: UdpSocket,
    rtp: UdpSocket,
    server: SocketAddr,
    cseq: u32,
    to: String,
    /// Its own key, and what it sends with it.
    key: Key,
    seal: srtp::Seal,
    version: u32,
    sequence: u16,
}

const SUITE: Suite = Suite::AesCm128Sha1_80;

fn key(n: u8) -> Key {
    Key::new(SUITE, &[n; 30]).unwrap()
}

impl Hand {
    fn new(server: SocketAddr) -> Hand {
        let [sip, rtp] = [PATIENCE, Duration::from_millis(5)].map(|patience| {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            socket.set_read_timeout(Some(patience)).unwrap();
            socket
        });
        let (to, key) = (format!("<sip:100@{server}>"), key(1));
        Hand { sip, rtp, server, cseq: 0, to, seal: srtp::Seal::new(&key), key, version: 0, sequence: 0 }
    }

    /// From now on it sends with another key.
    fn change_key(&mut self, n: u8) {
        self.key = key(n);
        self.seal = srtp::Seal::new(&self.key);
    }

    fn sdp(&mut self, direction: &str) -> String {
        self.version += 1;
        let (version, port) = (self.version, self.rtp.local_addr().unwrap().port());
        let key = STANDARD.encode(self.key.both());
        format!(
            "v=0\r\no=- 1 {version} IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
             m=audio {port} RTP/SAVP 0\r\na=crypto:1 {} inline:{key}\r\na={direction}\r\n",
            SUITE.name()
        )
    }

    fn send(&mut self, method: &str, body: &str) {
        let (at, server) = (self.sip.local_addr().unwrap(), self.server);
        let (cseq, to, branch) = (self.cseq, &self.to, format!("z9hG4bK{method}{}", self.cseq));
        let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
        let text = format!(
            "{method} sip:100@{server} SIP/2.0\r\nVia: SIP/2.0/UDP {at};branch={branch}\r\nMax-Forwards: 70\r\n\
             From: <sip:hand@{at}>;tag=hand\r\nTo: {to}\r\nCall-ID: by-hand@{at}\r\nCSeq: {cseq} {method}\r\n\
             Contact: <sip:hand@{at}>\r\n{kind}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.sip.send_to(text.as_bytes(), server).unwrap();
    }

    /// The body of the 200 to its last request.
    fn accepted(&mut self) -> String {
        let mut bytes = [0; 8192];
        loop {
            let (len, _) = self.sip.recv_from(&mut bytes).expect("an answer comes");
            let text = String::from_utf8_lossy(&bytes[..len]).into_owned();
            let its = text.contains(&format!("CSeq: {} ", self.cseq));
            assert!(!its || text.starts_with("SIP/2.0 1") || text.starts_with("SIP/2.0 200"), "{text}");
            if its && text.starts_with("SIP/2.0 200") {
                let to = text.lines().find_map(|line| line.strip_prefix("To: ")).unwrap();
                self.to = to.trim().to_owned();
                return text.split("\r\n\r\n").nth(1).unwrap().to_owned();
            }
        }
    }

    /// An INVITE with an offer, and what is said to it.
    fn invite(&mut self, direction: &str) -> Far {
        self.cseq += 1;
        let offer = self.sdp(direction);
        self.send("INVITE", &offer);
        let answer = self.accepted();
        self.send("ACK", "");
        Far::of(&answer)
    }

    /// An INVITE without one: the offer is in the answer.
    fn invite_late(&mut self) -> Far {
        self.cseq += 1;
        self.send("INVITE", "");
        let offer = self.accepted();
        assert!(offer.contains("RTP/SAVP"), "encryption is offered: {offer}");
        let answer = self.sdp("sendrecv");
        let tag = offer.lines().find_map(|line| {
            let (tag, rest) = line.strip_prefix("a=crypto:")?.split_once(' ')?;
            rest.starts_with(SUITE.name()).then(|| tag.to_owned())
        });
        let answer = answer.replace("a=crypto:1 ", &format!("a=crypto:{} ", tag.expect("the usual suite is offered")));
        self.send("ACK", &answer);
        Far::of(&offer)
    }

    /// Says 1000 Hz for so long, and hears: in how many seconds of what came with the key of `far` is each tone?
    fn talk(&mut self, far: &mut Far, time: Duration) -> BTreeMap<u32, f64> {
        let mut heard = Vec::new();
        let frames = time.as_millis() / 20;
        let clock = Clock::start();
        for frame in 0..frames as u32 {
            self.say(far.at);
            while clock.now() < Time::START + Duration::from_millis(20) * (frame + 1) {
                let mut bytes = [0; 2000];
                let Ok(len) = self.rtp.recv(&mut bytes) else { continue };
                if (bytes[1] & 0x7f) != 0 {
                    continue;
                }
                let opened = far.open.rtp(&mut bytes[..len]).expect("it is sealed with the key that was told");
                let mut samples = [0; 1000];
                let count = g711::decode_ulaw(&bytes[rtp::HEADER..opened], &mut samples);
                heard.extend(&samples[..count]);
            }
        }
        [600, 1500].map(|frequency| (frequency, seconds_with(&heard, f64::from(frequency)))).into()
    }

    fn say(&mut self, to: SocketAddr) {
        let mut bytes = vec![0; rtp::HEADER + 160 + srtp::MOST_ADDED];
        let timestamp = u32::from(self.sequence) * 160;
        let header = Header { payload_type: 0, marker: false, sequence: self.sequence, timestamp, ssrc: 77 };
        rtp::write(&header, &mut bytes);
        let tone = |n: u32| (10_000.0 * (TAU * 1000.0 * f64::from(timestamp + n) / 8000.0).sin()) as i16;
        let samples: Vec<i16> = (0..160).map(tone).collect();
        g711::encode_ulaw(&samples, &mut bytes[rtp::HEADER..]);
        let sealed = self.seal.rtp(&mut bytes, rtp::HEADER + 160).unwrap();
        self.rtp.send_to(&bytes[..sealed], to).unwrap();
        self.sequence += 1;
    }
}

/// What is known of the server's side.
struct Far {
    at: SocketAddr,
    key: Key,
    open: srtp::Open,
}

impl Far {
    fn of(sdp: &str) -> Far {
        let media = sdp.lines().find_map(|line| line.strip_prefix("m=audio ")).unwrap();
        let port: u16 = media.split(' ').next().unwrap().parse().unwrap();
        let inline = sdp.lines().find(|line| line.contains(SUITE.name())).unwrap_or_else(|| panic!("no key: {sdp}"));
        let text = inline.split("inline:").nth(1).unwrap().split(['|', ' ']).next().unwrap();
        let key = Key::new(SUITE, &STANDARD.decode(text.trim()).unwrap()).unwrap();
        Far { at: SocketAddr::from(([127, 0, 0, 1], port)), open: srtp::Open::new(&key), key }
    }

    /// The server's key may stay over a change; then its counter goes on, too.
    fn then(self, next: Far) -> Far {
        if self.key == next.key { Far { at: next.at, ..self } } else { next }
    }
}

#[test]
fn a_call_without_an_offer_is_encrypted_and_hold_and_another_key_leave_it_heard_both_ways() {
    for late in [true, false] {
        let bench = bench("required", "sdes");
        let mut hand = Hand::new(bench.server.sip);
        let mut far = if late { hand.invite_late() } else { hand.invite("sendrecv") };
        let live = get(&bench.at, &bench.key, "/v1/calls?live=true");
        let id = live["calls"][0]["id"].as_str().unwrap().to_owned();
        let second = Duration::from_millis(1500);
        let both =
            |heard: &BTreeMap<u32, f64>, step: &str| assert!(heard[&600] > 1.0, "{late}: after {step}: {heard:?}");
        both(&hand.talk(&mut far, second), "the answer");
        // Held with the same key, and taken back.
        far = far.then(hand.invite("sendonly"));
        let held = hand.talk(&mut far, second);
        assert!(held[&600] < 0.2, "on hold nothing is sent to it: {held:?}");
        far = far.then(hand.invite("sendrecv"));
        both(&hand.talk(&mut far, second), "the hold");
        // Another key, twice: the second time while it is held.
        hand.change_key(2);
        far = far.then(hand.invite("sendrecv"));
        both(&hand.talk(&mut far, second), "the second key");
        hand.change_key(3);
        far = far.then(hand.invite("sendonly"));
        hand.talk(&mut far, second);
        far = far.then(hand.invite("sendrecv"));
        both(&hand.talk(&mut far, second), "the third key");
        hand.cseq += 1;
        hand.send("BYE", "");
        hand.accepted();
        let record = bench.over(&id);
        assert_eq!(record["error"], json!(null), "{record:#}");
        let seconds = said(&bench, &id);
        let spoken: f64 = seconds.iter().sum();
        // It spoke for nine seconds, also while it held.
        assert!(spoken > 7.5, "{late}: {seconds:?}");
        bench.server.wait_until_idle();
    }
}
