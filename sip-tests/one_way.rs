//! The alarms about audio that goes one way only, each over real SIP (SIPp) with packets that are sent from elsewhere, are
//! of the wrong kind, end, say nothing, or open with no key.

use std::{
    net::{SocketAddr, UdpSocket},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use serde_json::{Value, json};

use crate::{
    comfort::Line,
    doors::pass,
    endings::Bench,
    sipp::numbers,
    support::{PATIENCE, Process},
};

/// One call of SIPp, in which the server plays a tone.
struct Talk {
    bench: Bench,
    line: Line,
    id: String,
    /// Where the server hears it.
    to: SocketAddr,
    _caller: Process,
}

impl Talk {
    fn new(scenario: &str, keys: &[&str]) -> Talk {
        let conf = format!("[media]\nsilence_timeout_s = 2\n{}", numbers(&[("100", "tone.lua")]));
        let bench = Bench::new(&conf, &[("tone.lua", "call:answer() call:tone({600}, {seconds = 100})")]);
        let line = Line::free();
        let caller = line.call_as(&bench.server, bench.folder(), scenario, keys);
        let to = SocketAddr::new([127, 0, 0, 1].into(), line.told(&bench.server, bench.folder()));
        let live = bench.get_until("/v1/calls?live=true", |live| live["calls"][0]["status"] == "in_progress");
        let id = live["calls"][0]["id"].as_str().unwrap().to_owned();
        Talk { bench, line, id, to, _caller: caller }
    }

    /// With plain audio in G.711.
    fn plain() -> Talk {
        Talk::new("rtp_caller", &["-key", "formats", "0"])
    }

    /// The first alarm. It is in the record, too, when the call is over; gives both.
    fn told(&self) -> (Value, Value) {
        let told = self.bench.events(&self.id, "media.one_way", 1).remove(0)["data"].clone();
        self.bench.steer(&self.id, "hangup", &json!({}));
        let record = self.bench.over(&self.id);
        assert_eq!(record["quality"]["alarms"], json!([told["text"]]), "{record:#}");
        (told, record)
    }

    fn named(&self) -> String {
        format!("127.0.0.1:{}", self.line.port)
    }
}

/// A socket elsewhere than where SDP says.
fn elsewhere() -> (UdpSocket, String) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let at = socket.local_addr().unwrap().to_string();
    (socket, at)
}

/// Sends packets of 20 ms from now on, until told to stop.
struct Sending {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Sending {
    fn start(socket: UdpSocket, to: SocketAddr, (payload_type, sample): (u8, fn(usize) -> u8)) -> Sending {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = thread::spawn(move || {
            let mut sequence = 0_u16;
            while !stopped.load(Ordering::Relaxed) {
                sequence += 1;
                let mut packet = vec![0x80, payload_type];
                packet.extend(sequence.to_be_bytes());
                packet.extend((u32::from(sequence) * 160).to_be_bytes());
                packet.extend([0, 0, 0, 7]);
                packet.extend((0..160).map(sample));
                socket.send_to(&packet, to).unwrap();
                pass(Duration::from_millis(20));
            }
        });
        Sending { stop, thread }
    }

    fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
    }
}

/// 1,000 Hz in µ-law, about -10 dBm0.
fn tone(at: usize) -> u8 {
    [0xff, 0x9b, 0x94, 0x9b, 0x7f, 0x1b, 0x14, 0x1b][at % 8]
}

fn nothing(_: usize) -> u8 {
    0xff
}

#[test]
fn packets_of_a_format_that_was_not_agreed_on_are_an_alarm_with_both_addresses() {
    let talk = Talk::plain();
    let (socket, at) = elsewhere();
    let sending = Sending::start(socket, talk.to, (97, tone));
    let (told, record) = talk.told();
    sending.stop();
    let named = talk.named();
    assert_eq!((&told["reason"], &told["sdp"], &told["source"]), (&json!("refused"), &json!(named), &json!(at)));
    let text = told["text"].as_str().unwrap();
    let begins = format!("SDP says {named}, packets come from {at}, and are refused: ");
    let refused: u64 = text.strip_prefix(&begins).unwrap().strip_suffix(" so far").unwrap().parse().unwrap();
    assert!(refused > 50 && record["quality"]["refused"].as_u64().unwrap() >= refused, "{record:#}");
}

#[test]
fn audio_from_elsewhere_than_sdp_says_is_heard_and_its_end_is_an_alarm() {
    let talk = Talk::plain();
    let (socket, at) = elsewhere();
    let sending = Sending::start(socket, talk.to, (0, tone));
    pass(Duration::from_secs(2));
    sending.stop();
    let (told, record) = talk.told();
    let named = talk.named();
    assert_eq!((&told["reason"], &told["sdp"], &told["source"]), (&json!("stopped"), &json!(named), &json!(at)));
    assert_eq!(told["text"], format!("packets came from {at}, and then no more"));
    assert_eq!(record["no_audio"], format!("SDP says {named}, packets come from {at}"));
    assert!(record["quality"]["received"].as_u64().unwrap() > 50 && record["quality"]["refused"] == 0, "{record:#}");
}

#[test]
fn packets_with_nothing_but_silence_in_them_are_an_alarm() {
    let talk = Talk::plain();
    let (socket, at) = elsewhere();
    let sending = Sending::start(socket, talk.to, (0, nothing));
    let (told, _) = talk.told();
    sending.stop();
    assert_eq!((&told["reason"], &told["source"]), (&json!("silence"), &json!(at)));
    assert_eq!(told["text"], format!("packets come from {at}, with nothing but silence"));
}

#[test]
fn a_party_that_reports_that_next_to_nothing_arrives_is_an_alarm() {
    let talk = Talk::plain();
    let socket = UdpSocket::bind(("127.0.0.1", talk.line.port)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut packet = [0; 2000];
    socket.recv(&mut packet).expect("the tone comes");
    let ours = packet[8..12].to_vec();
    let sending = Sending::start(socket, talk.to, (0, tone));
    let reports = UdpSocket::bind(("127.0.0.1", talk.line.port + 1)).unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = stop.clone();
    let to = SocketAddr::new(talk.to.ip(), talk.to.port() + 1);
    let reporting = thread::spawn(move || {
        while !stopped.load(Ordering::Relaxed) {
            // A receiver report (RFC 3550 section 6.4.2): 250 of 256 lost.
            let mut report = vec![0x81, 201, 0, 7, 0, 0, 0, 7];
            report.extend(&ours);
            report.extend([250, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
            reports.send_to(&report, to).unwrap();
            pass(Duration::from_millis(500));
        }
    });
    let (told, record) = talk.told();
    stop.store(true, Ordering::Relaxed);
    reporting.join().unwrap();
    sending.stop();
    let named = talk.named();
    assert_eq!((&told["reason"], &told["source"]), (&json!("unheard"), &json!(named)));
    assert_eq!(told["text"], format!("we send to {named}, which says that next to nothing arrives"));
    assert!(record["quality"]["peer_lost"].as_f64().unwrap() > 0.9, "{record:#}");
}

#[test]
fn packets_that_the_keys_in_sdp_do_not_open_are_an_alarm_of_their_own() {
    let crypto = format!("crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{}", "A".repeat(40));
    let keys = ["-key", "profile", "RTP/SAVP", "-key", "attribute", &crypto, "-key", "other", "ptime:20"];
    let talk = Talk::new("secure_rtp_caller", &keys);
    let socket = UdpSocket::bind(("127.0.0.1", talk.line.port)).unwrap();
    let sending = Sending::start(socket, talk.to, (0, tone));
    let (told, record) = talk.told();
    sending.stop();
    let named = talk.named();
    assert_eq!((&told["reason"], &told["sdp"], &told["source"]), (&json!("keys"), &json!(named), &json!(named)));
    let begins = format!("SDP says {named}, packets come from {named}, and no key opens them: ");
    assert!(told["text"].as_str().unwrap().starts_with(&begins), "{told:#}");
    assert_eq!(record["no_audio"], format!("SDP says {named}, packets come from {named}, and no key opens them"));
}

/// OpenSSL's own client, with a certificate of its own.
#[test]
fn a_handshake_with_another_certificate_than_sdp_names_is_an_alarm_that_says_so() {
    let wanted = format!("fingerprint:sha-256 {}", ["AB"; 32].join(":"));
    let keys = ["-key", "profile", "UDP/TLS/RTP/SAVP", "-key", "attribute", &wanted, "-key", "other", "setup:active"];
    let talk = Talk::new("secure_rtp_caller", &keys);
    let folder = talk.bench.folder();
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=stranger", "-days", "1"])
        .args(["-keyout", "key.pem", "-out", "cert.pem"])
        .current_dir(folder)
        .output()
        .expect("openssl is installed");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let mut shakes = Command::new("openssl")
        .args(["s_client", "-dtls1_2", "-use_srtp", "SRTP_AES128_CM_SHA1_80", "-connect", &talk.to.to_string()])
        .args(["-bind", &talk.named(), "-cert", "cert.pem", "-key", "key.pem"])
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let (told, _) = talk.told();
    shakes.kill().unwrap();
    shakes.wait().unwrap();
    let named = talk.named();
    assert_eq!((&told["reason"], &told["source"]), (&json!("keys"), &json!(named)));
    let text = format!(
        "SDP says {named}, the handshake for keys with {named} failed: its certificate is not the one that SDP names"
    );
    assert_eq!(told["text"], text);
}
