//! Webhooks of the real program: over HTTPS with an authority of our own, through a kill between two batches, and one
//! that is stuck beside others.

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
        mpsc::{Receiver, channel},
    },
    thread,
    time::Duration,
};

use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use serde_json::{Value, json};

use crate::{
    api::{certificates, post},
    endings::Bench,
    records::{api, get},
    sipp::{caller, passes},
    support::{PATIENCE, breathe},
};

/// A web server that takes events.
struct Taker {
    at: SocketAddr,
    /// Head and body of each request.
    requests: Receiver<(String, String)>,
    /// What it answers from now on; 0: nothing, for ever.
    code: Arc<AtomicU16>,
}

impl Taker {
    /// With a certificate and its key (PEM), over TLS.
    fn new(secure: Option<(&str, &str)>, code: u16) -> Taker {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (at, code) = (listener.local_addr().unwrap(), Arc::new(AtomicU16::new(code)));
        let (told, requests) = channel();
        let tls = secure.map(|(certificate, key)| {
            let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let builder = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
            Arc::new(builder.unwrap().with_no_client_auth().with_single_cert(chain, key).unwrap())
        });
        let says = code.clone();
        thread::spawn(move || {
            let mut stuck = Vec::new();
            for stream in listener.incoming().map_while(Result::ok) {
                if says.load(Ordering::SeqCst) == 0 {
                    stuck.push(stream);
                    continue;
                }
                let taken = match &tls {
                    Some(tls) => {
                        let connection = rustls::ServerConnection::new(tls.clone()).unwrap();
                        take(rustls::StreamOwned::new(connection, stream), &says)
                    }
                    None => take(stream, &says),
                };
                // Who does not believe the certificate says nothing.
                if let Some(taken) = taken
                    && told.send(taken).is_err()
                {
                    return;
                }
            }
        });
        Taker { at, requests, code }
    }

    fn says(&self, code: u16) {
        self.code.store(code, Ordering::SeqCst);
    }

    /// The events of the next request.
    fn next(&self) -> Vec<Value> {
        let (_, body) = self.requests.recv_timeout(PATIENCE).expect("a request comes");
        serde_json::from_str(&body).unwrap()
    }

    /// Events until there was one that is it.
    fn until(&self, is: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        let mut all = Vec::new();
        while !is(&all) {
            all.extend(self.next());
        }
        all
    }
}

/// One request, answered.
fn take(mut stream: impl Read + Write, says: &AtomicU16) -> Option<(String, String)> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).ok()?;
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")?.trim().parse().ok())?;
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    let code = says.load(Ordering::SeqCst);
    let _ = stream.write_all(format!("HTTP/1.1 {code} X\r\nContent-Length: 0\r\n\r\n").as_bytes());
    let _ = stream.flush();
    Some((head, String::from_utf8(body).ok()?))
}

fn ended(events: &[Value]) -> usize {
    events.iter().filter(|event| event["kind"] == "call.ended").count()
}

fn ids(events: &[Value]) -> Vec<u64> {
    events.iter().map(|event| event["id"].as_u64().unwrap()).collect()
}

fn webhook(name: &str, url: &str, more: &str) -> String {
    format!("[[webhook]]\nname = \"{name}\"\nurl = \"{url}\"\n{more}\n")
}

const NUMBER: &str = "[[number]]\nnumber = \"1\"\nscript = \"some.lua\"\n";
const SCRIPT: (&str, &str) = ("some.lua", "call:answer()\ncall:sleep(60)\n");

impl Bench {
    /// So many calls of SIPp, of which each hangs up soon.
    fn calls(&self, count: usize) {
        let (sip, count) = (self.server.sip, count.to_string());
        let how = ["-sn", "uac", "-m", &count, "-r", "50", "-d", "200"];
        passes(caller(sip, self.folder(), "1", &how), self.folder());
    }

    fn webhook(&self, name: &str, is: impl Fn(&Value) -> bool) -> Value {
        for _ in 0..1000 {
            let shown = get(&self.at, &self.key, &format!("/v1/webhooks/{name}"));
            if is(&shown) {
                return shown;
            }
            breathe(self.server.sip);
        }
        panic!("{name}: {}", get(&self.at, &self.key, &format!("/v1/webhooks/{name}")));
    }
}

#[test]
fn events_go_over_https_to_who_is_believed_and_a_new_webhook_is_told_what_happens_from_now_on() {
    let [authority, leaf, key] = certificates();
    let files = tempfile::tempdir().unwrap();
    let ca = files.path().join("ca.pem");
    fs::write(&ca, &authority).unwrap();
    let secure = Taker::new(Some((&leaf, &key)), 204);
    let url = format!("https://{}/calls?token=hidden", secure.at);
    let believed = format!("secret = \"s\"\nkinds = [\"call.*\"]\ntrust = {:?}", ca.display().to_string());
    let conf = [NUMBER, &webhook("crm", &url, &believed), &webhook("stranger", &url, "")].concat();
    let bench = Bench::new(&conf, &[SCRIPT]);
    bench.calls(3);
    let (head, body) = secure.requests.recv_timeout(PATIENCE).unwrap();
    assert!(head.starts_with("POST /calls?token=hidden HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("Switchhook-Signature: t="), "{head}");
    let mut told: Vec<Value> = serde_json::from_str(&body).unwrap();
    told.extend(secure.until(|more| ended(more) + ended(&told) >= 3));
    assert!(told.iter().all(|event| event["kind"].as_str().unwrap().starts_with("call.")), "{told:?}");
    let stranger = bench.webhook("stranger", |shown| !shown["trouble"].is_null());
    assert!(!stranger.to_string().contains("hidden"), "{stranger}");
    assert_eq!((&stranger["taken_ms"], &stranger["fixed"]), (&Value::Null, &json!(true)));
    // By the API, beside those: plain, only ends, from now on.
    let plain = Taker::new(None, 204);
    let new = json!({"name": "late", "url": format!("http://{}/", plain.at), "kinds": ["call.ended"]});
    let made = post(&bench.at, &bench.key, "/v1/webhooks", &new.to_string());
    assert!(made.starts_with("HTTP/1.0 201"), "{made}");
    bench.calls(2);
    let late = plain.until(|all| all.len() >= 2);
    assert_eq!((late.len(), ended(&late)), (2, 2), "nothing of before: {late:?}");
    // What came last to the first one was of these calls, too.
    secure.until(|more| ended(more) >= 2);
    let log = fs::read_to_string(bench.server.path("switchhook.toml")).unwrap();
    assert!(log.contains("hidden"), "the operator's own file");
    assert!(bench.server.stop().success());
}

#[test]
fn a_server_that_is_killed_between_two_batches_goes_on_where_the_last_one_was_taken() {
    let taker = Taker::new(None, 503);
    let conf = [NUMBER, &webhook("crm", &format!("http://{}/", taker.at), "all = true")].concat();
    let mut bench = Bench::new(&conf, &[SCRIPT]);
    bench.calls(100);
    bench.webhook("crm", |shown| shown["waiting"].as_i64() >= Some(300) && shown["trouble"] == "the answer is 503");
    while taker.requests.try_recv().is_ok() {}
    taker.says(204);
    let mut first = taker.next();
    // What was asked before it changed its mind.
    while first.len() < 100 {
        first = taker.next();
    }
    bench.server.restart("KILL");
    bench.at = api(&bench.server);
    let mut all = ids(&first);
    let last = |all: &[u64]| all.iter().copied().max().unwrap_or(0);
    let starts = |events: &[Value]| events.iter().any(|event| event["kind"] == "server.started" && event["id"] != 1);
    let rest = taker.until(starts);
    all.extend(ids(&rest));
    let known: BTreeSet<u64> = all.iter().copied().collect();
    assert_eq!(known, (1..=last(&all)).collect(), "none is left out");
    assert!(all.len() - known.len() <= 100, "at most one batch comes twice: {} of {}", all.len(), known.len());
    let orders: Vec<bool> = all.windows(2).map(|two| two[1] == two[0] + 1).collect();
    assert!(orders.iter().filter(|good| !**good).count() <= 1, "in order, but for what comes twice");
    assert!(known.len() > 300);
    assert!(bench.server.stop().success());
}

#[test]
fn a_webhook_and_a_websocket_that_are_stuck_delay_neither_calls_nor_readers() {
    let (stuck, quick) = (Taker::new(None, 0), Taker::new(None, 204));
    let at = |taker: &Taker| format!("http://{}/", taker.at);
    let conf = [NUMBER, &webhook("stuck", &at(&stuck), ""), &webhook("quick", &at(&quick), "")].concat();
    let bench = Bench::new(&conf, &[SCRIPT]);
    let _silent = websocket(&bench.at, &bench.key);
    let mut reader = crate::records::connect(&bench.at, &bench.key, "/v1/events?kinds=call.ended");
    let reading = thread::spawn(move || {
        let (mut late, mut line) = (Vec::new(), String::new());
        while late.len() < 200 {
            line.clear();
            assert!(reader.read_line(&mut line).unwrap() > 0, "it ended after {}", late.len());
            let Some(event) = line.strip_prefix("data: ") else { continue };
            let event: Value = serde_json::from_str(event).unwrap();
            let clock = switchhook::io::clock::Clock::start();
            let now = clock.epoch().unix(clock.now()).as_millis() as u64;
            late.push(now.saturating_sub(event["at_ms"].as_u64().unwrap()));
        }
        late.sort_unstable();
        late
    });
    bench.calls(200);
    let late = reading.join().unwrap();
    println!("a reader beside them: p50 {} ms, p99 {} ms late", late[100], late[197]);
    // The pace of the journal is 50 ms; a busy machine is slower, but who waits for somebody stuck waits ten seconds.
    assert!(late[197] < 9000, "{late:?}");
    let told = quick.until(|all| ended(all) >= 200);
    assert_eq!(ended(&told), 200);
    bench.webhook("stuck", |shown| shown["trouble"].as_str().is_some_and(|why| why.starts_with("no answer within")));
    assert!(bench.server.stop().success());
}

/// A WebSocket to the events, of which nothing is ever read but the first answer.
fn websocket(at: &str, key: &str) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(&at.parse::<SocketAddr>().unwrap().into()).unwrap();
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    write!(
        stream,
        "GET /v1/events/socket HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    .unwrap();
    let mut line = String::new();
    BufReader::with_capacity(16, &stream).read_line(&mut line).unwrap();
    assert!(line.starts_with("HTTP/1.1 101"), "{line}");
    stream
}
