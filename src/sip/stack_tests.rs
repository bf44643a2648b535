//! The stack as its user and the network see it.

mod client;
mod server;

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use proptest::prelude::*;

use super::{fuzz_stack::two_stacks_settle, *};
use crate::{chance::Chance, ids::InterfaceId, time::Time};

fn at(ms: u64) -> Time {
    Time::START + Duration::from_millis(ms)
}

pub(super) fn config() -> Config {
    Config {
        interfaces: vec![Interface::plain("192.0.2.1:5060".parse().unwrap())],
        t1: Duration::from_millis(500),
        t2: Duration::from_secs(4),
        t4: Duration::from_secs(5),
        timer_c: Duration::from_secs(180),
        max_message: 65_535,
        max_headers: 100,
        max_transactions: 100_000,
        udp_limit: 65_535,
        agent: "Switchhook".to_owned(),
    }
}

fn stack() -> Stack {
    Stack::new(config(), 7)
}

fn peer() -> SocketAddr {
    "198.51.100.2:5070".parse().unwrap()
}

fn udp() -> Hop {
    Hop { transport: Transport::Udp, interface: InterfaceId(0), remote: peer() }
}

fn tcp() -> Hop {
    Hop { transport: Transport::Tcp, ..udp() }
}

/// A request of the peer's. `lines` go between the first line and the rest, and take the place of what they name.
fn ask(method: &str, branch: &str, lines: &[&str]) -> String {
    let defaults = [
        &format!("Via: SIP/2.0/UDP 198.51.100.2:5070;branch={branch};rport"),
        "Max-Forwards: 70",
        "From: <sip:bob@example.org>;tag=bob",
        "To: <sip:alice@192.0.2.1>",
        "Call-ID: one@example.org",
        &format!("CSeq: 1 {method}"),
        "Contact: <sip:bob@198.51.100.2:5070>",
    ];
    let mut text = format!("{method} sip:alice@192.0.2.1 SIP/2.0\r\n");
    let name = |line: &str| line.split(':').next().unwrap_or_default().to_owned();
    for line in defaults.iter().filter(|line| !lines.iter().any(|other| name(other) == name(line))).chain(lines) {
        text.push_str(line);
        text.push_str("\r\n");
    }
    text + "\r\n"
}

/// What the stack wants sent, and what it tells.
#[derive(Debug, Default)]
struct Seen {
    sent: Vec<(Hop, String)>,
    events: Vec<Event>,
}

impl Seen {
    /// The first lines of what was sent.
    fn lines(&self) -> Vec<&str> {
        self.sent.iter().map(|(_, text)| text.lines().next().unwrap()).collect()
    }

    fn message(&self, index: usize) -> Message {
        let limits = Limits { max_headers: 100, max_message: 65_535 };
        Message::parse(self.sent[index].1.as_bytes(), &limits).unwrap()
    }

    fn request(&self, index: usize) -> Request {
        match self.message(index) {
            Message::Request(request) => request,
            Message::Response(response) => panic!("{response:?}"),
        }
    }

    fn response(&self, index: usize) -> Response {
        match self.message(index) {
            Message::Response(response) => response,
            Message::Request(request) => panic!("{request:?}"),
        }
    }

    /// The one request that was told.
    fn asked(&self) -> (ServerTx, Request) {
        match self.events.as_slice() {
            [Event::Request { tx, request, .. }] => (*tx, request.clone()),
            other => panic!("{other:?}"),
        }
    }

    /// Codes of the responses that were told.
    fn codes(&self) -> Vec<u16> {
        let code = |event: &Event| {
            let Event::Response { response, .. } = event else { panic!("{event:?}") };
            response.code
        };
        self.events.iter().map(code).collect()
    }
}

fn drain(stack: &mut Stack) -> Seen {
    let mut seen = Seen::default();
    while let Some(output) = stack.poll() {
        match output {
            Output::Send { hop, bytes } => seen.sent.push((hop, String::from_utf8(bytes.to_vec()).unwrap())),
            Output::Event(event) => seen.events.push(event),
        }
    }
    seen
}

fn hear(stack: &mut Stack, ms: u64, hop: Hop, text: &str) -> Seen {
    stack.handle_datagram(at(ms), hop, text.as_bytes());
    drain(stack)
}

fn respond(stack: &mut Stack, ms: u64, tx: ServerTx, request: &Request, code: u16) -> Seen {
    stack.respond(at(ms), tx, request.response(code, None));
    drain(stack)
}

/// Lets all timers run out.
fn run_out(stack: &mut Stack) -> Seen {
    let mut seen = Seen::default();
    while let Some(due) = stack.timeout() {
        stack.handle_timeout(due);
        let more = drain(stack);
        seen.sent.extend(more.sent);
        seen.events.extend(more.events);
    }
    seen
}

fn our_request(method: Method) -> Request {
    let mut from: NameAddr = "<sip:alice@192.0.2.1>;tag=alice".parse().unwrap();
    from.display = Some("Alice".to_owned());
    let cseq = CSeq { number: 1, method };
    let mut headers = Headers::new(from, "<sip:bob@example.org>".parse().unwrap(), "two@192.0.2.1".to_owned(), cseq);
    headers.push("Route", "<sip:proxy.example.org;lr>");
    headers.push("Contact", "<sip:alice@192.0.2.1>");
    Request { method, uri: "sip:bob@example.org".parse().unwrap(), headers, body: Bytes::from_static(b"body") }
}

/// Sends a request; gives back its transaction, and the request as it went out.
fn send(stack: &mut Stack, method: Method, hop: Hop) -> (ClientTx, Request) {
    let tx = stack.request(at(0), our_request(method), hop);
    let seen = drain(stack);
    (tx, seen.request(0))
}

fn answer(stack: &mut Stack, ms: u64, request: &Request, code: u16, tag: &str) -> Seen {
    let mut response = request.response(code, None);
    response.headers.to.set_tag(tag);
    stack.handle_datagram(at(ms), udp(), &response.to_bytes());
    drain(stack)
}

#[test]
fn ten_thousand_transactions_leave_nothing_behind() {
    let mut stack = stack();
    for n in 0..5000_u64 {
        let now = at(n * 10);
        stack.handle_timeout(now);
        let method = if n % 2 == 0 { Method::Invite } else { Method::Options };
        let tx = stack.request(now, our_request(method), udp());
        if n % 3 == 0 {
            stack.cancel(now, tx, None);
        }
        let text = ask(&method.to_string(), &format!("z9hG4bK{n}"), &[&format!("Call-ID: {n}")]);
        stack.handle_datagram(now, udp(), text.as_bytes());
        for event in drain(&mut stack).events {
            if let Event::Request { tx, request, .. } = event {
                stack.respond(now, tx, request.response(if n % 5 == 0 { 404 } else { 200 }, None));
            }
        }
    }
    assert!(stack.counters().clients > 1000 && stack.counters().servers > 1000);
    run_out(&mut stack);
    assert!(stack.is_empty(), "{:?}", stack.counters());
    assert_eq!((stack.counters().clients, stack.counters().servers), (0, 0));
}

/// Bytes without a pattern.
fn noise(seed: u64, count: usize) -> Vec<u8> {
    let mut chance = Chance::new(seed);
    (0..count).map(|_| chance.bits() as u8).collect()
}

#[test]
fn on_a_bad_network_every_request_ends_once_and_nothing_is_left() {
    for seed in 0..200 {
        two_stacks_settle(&noise(seed, 3000));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_two_users_do_every_request_ends_once_and_nothing_is_left(choices in prop::collection::vec(any::<u8>(), 0..600)) {
        two_stacks_settle(&choices);
    }
}
