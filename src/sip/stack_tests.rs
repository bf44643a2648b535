//! The stack as its user and the network see it.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use proptest::prelude::*;

use super::{fuzz_stack::two_stacks_settle, *};
use crate::{ids::InterfaceId, time::Time};

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

mod server {
    use super::*;

    #[test]
    fn invite_gets_100_at_once_and_other_requests_get_nothing() {
        let mut stack = stack();
        let seen = hear(&mut stack, 0, udp(), &ask("INVITE", "z9hG4bKa", &["Timestamp: 54"]));
        assert_eq!(seen.lines(), ["SIP/2.0 100 Trying"]);
        assert_eq!(seen.response(0).headers.get("Timestamp"), Some("54"));
        assert_eq!(seen.response(0).headers.to.tag(), None);
        assert_eq!(seen.asked().1.method, Method::Invite);
        let options = ["From: <sip:bob@example.org>;tag=other"];
        let seen = hear(&mut stack, 0, udp(), &ask("OPTIONS", "z9hG4bKb", &options));
        assert!(seen.lines().is_empty());
        assert_eq!(seen.asked().1.method, Method::Options);
    }

    #[test]
    fn resent_request_is_answered_again_and_not_told_again() {
        let mut stack = stack();
        let text = ask("INVITE", "z9hG4bKa", &[]);
        let (tx, request) = hear(&mut stack, 0, udp(), &text).asked();
        let seen = hear(&mut stack, 500, udp(), &text);
        assert_eq!((seen.lines(), seen.events.len()), (vec!["SIP/2.0 100 Trying"], 0));
        respond(&mut stack, 600, tx, &request, 180);
        let seen = hear(&mut stack, 1500, udp(), &text);
        assert_eq!((seen.lines(), seen.events.len()), (vec!["SIP/2.0 180 Ringing"], 0));
        assert_eq!(stack.counters().retransmitted, 2);
    }

    #[test]
    fn all_answers_to_a_request_have_one_tag_and_the_users_own_is_kept() {
        let mut stack = stack();
        let (tx, request) = hear(&mut stack, 0, udp(), &ask("INVITE", "z9hG4bKa", &[])).asked();
        let ringing = respond(&mut stack, 1, tx, &request, 180).response(0);
        let busy = respond(&mut stack, 2, tx, &request, 486).response(0);
        assert!(ringing.headers.to.tag().is_some());
        assert_eq!(ringing.headers.to.tag(), busy.headers.to.tag());
        assert_eq!(busy.headers.get("Server"), Some("Switchhook"));
        let other = ask("INVITE", "z9hG4bKb", &["Call-ID: other"]);
        let (tx, request) = hear(&mut stack, 3, udp(), &other).asked();
        let mut ringing = request.response(180, None);
        ringing.headers.to.set_tag("mine");
        stack.respond(at(4), tx, ringing);
        drain(&mut stack);
        let busy = respond(&mut stack, 5, tx, &request, 486).response(0);
        assert_eq!(busy.headers.to.tag(), Some("mine"));
    }

    #[test]
    fn answer_goes_to_the_source_port_with_rport_and_to_the_named_port_without() {
        let mut stack = stack();
        let nat = Hop { remote: "203.0.113.9:40000".parse().unwrap(), ..udp() };
        let seen = hear(&mut stack, 0, nat, &ask("INVITE", "z9hG4bKa", &[]));
        assert_eq!(seen.sent[0].0, nat);
        let via = &seen.response(0).headers.via[0];
        assert_eq!(via.rport(), Some(Some(40000)));
        assert_eq!(via.received(), Some("203.0.113.9".parse().unwrap()));
        let plain = ["Via: SIP/2.0/UDP phone.example.org:5071;branch=z9hG4bKb", "Call-ID: b"];
        let seen = hear(&mut stack, 0, nat, &ask("INVITE", "", &plain));
        assert_eq!(seen.sent[0].0.remote, "203.0.113.9:5071".parse().unwrap());
        let bare = ["Via: SIP/2.0/UDP 203.0.113.9;branch=z9hG4bKc;maddr=10.9.9.9", "Call-ID: c"];
        let seen = hear(&mut stack, 0, nat, &ask("INVITE", "", &bare));
        assert_eq!(seen.sent[0].0.remote, "203.0.113.9:5060".parse().unwrap());
        assert_eq!(seen.response(0).headers.via[0].received(), None);
        let stream = ["Via: SIP/2.0/TCP phone.example.org:5071;branch=z9hG4bKd", "Call-ID: d"];
        let seen = hear(&mut stack, 0, tcp(), &ask("INVITE", "", &stream));
        assert_eq!(seen.sent[0].0, tcp());
    }

    #[test]
    fn cancel_is_answered_with_the_invites_tag_and_told_and_the_ack_of_the_487_is_not() {
        let mut stack = stack();
        let (tx, request) = hear(&mut stack, 0, udp(), &ask("INVITE", "z9hG4bKa", &[])).asked();
        let cancel = ask("CANCEL", "z9hG4bKa", &["Reason: SIP;cause=200"]);
        let seen = hear(&mut stack, 10, udp(), &cancel);
        assert_eq!(seen.lines(), ["SIP/2.0 200 OK"]);
        let tag = seen.response(0).headers.to.tag().unwrap().to_owned();
        let [Event::Cancel { tx: cancelled, request: told }] = seen.events.as_slice() else { panic!("{seen:?}") };
        assert_eq!((*cancelled, told.headers.get("Reason")), (tx, Some("SIP;cause=200")));
        let seen = hear(&mut stack, 20, udp(), &cancel);
        assert_eq!((seen.lines(), seen.events.len()), (vec!["SIP/2.0 200 OK"], 0));
        let refused = respond(&mut stack, 30, tx, &request, 487).response(0);
        assert_eq!(refused.headers.to.tag(), Some(tag.as_str()));
        let ack = ask("ACK", "z9hG4bKa", &[&format!("To: <sip:alice@192.0.2.1>;tag={tag}")]);
        let seen = hear(&mut stack, 40, udp(), &ack);
        assert!(seen.sent.is_empty() && seen.events.is_empty());
        let seen = run_out(&mut stack);
        assert!(seen.sent.is_empty() && seen.events.is_empty());
        assert!(stack.is_empty());
    }

    #[test]
    fn cancel_after_the_final_answer_gets_200_and_is_not_told() {
        let mut stack = stack();
        let (tx, request) = hear(&mut stack, 0, udp(), &ask("INVITE", "z9hG4bKa", &[])).asked();
        respond(&mut stack, 10, tx, &request, 200);
        let seen = hear(&mut stack, 20, udp(), &ask("CANCEL", "z9hG4bKa", &[]));
        assert_eq!((seen.lines(), seen.events.len()), (vec!["SIP/2.0 200 OK"], 0));
    }

    #[test]
    fn cancel_of_nothing_gets_481_and_leaves_no_trace() {
        let mut stack = stack();
        let seen = hear(&mut stack, 0, udp(), &ask("CANCEL", "z9hG4bKa", &[]));
        assert_eq!(seen.lines(), ["SIP/2.0 481 Call/Transaction Does Not Exist"]);
        assert!(stack.is_empty());
    }

    #[test]
    fn the_same_request_by_another_way_gets_482_but_not_within_a_dialog() {
        let mut stack = stack();
        hear(&mut stack, 0, udp(), &ask("INVITE", "z9hG4bKa", &[])).asked();
        let seen = hear(&mut stack, 1, udp(), &ask("INVITE", "z9hG4bKb", &[]));
        assert_eq!((seen.lines(), seen.events.len()), (vec!["SIP/2.0 482 Loop Detected"], 0));
        hear(&mut stack, 2, udp(), &ask("INVITE", "z9hG4bKc", &["CSeq: 2 INVITE"])).asked();
        hear(&mut stack, 3, udp(), &ask("INVITE", "z9hG4bKd", &["To: <sip:alice@192.0.2.1>;tag=x"])).asked();
    }

    #[test]
    fn request_that_cannot_be_served_is_refused_with_the_code_for_it() {
        let mut stack = stack();
        let cases = [
            ("OPTIONS", "Require: never, timer", "420"),
            ("OPTIONS", "Max-Forwards: 0", "483"),
            ("OPTIONS", "CSeq: 2147483648 OPTIONS", "400"),
            ("OPTIONS", "CSeq: 1 INVITE", "400"),
            ("FROBNICATE", "Subject: x", "501"),
        ];
        for (method, line, code) in cases {
            let seen = hear(&mut stack, 0, udp(), &ask(method, "z9hG4bKa", &[line]));
            assert_eq!(seen.lines().len(), 1, "{line}");
            assert!(seen.lines()[0].starts_with(&format!("SIP/2.0 {code} ")), "{line}: {:?}", seen.lines());
            assert!(seen.response_tag().is_some(), "{line}");
            assert!(seen.events.is_empty(), "{line}");
        }
        let text = ask("OPTIONS", "z9hG4bKa", &[]);
        let seen = hear(&mut stack, 0, udp(), &text.replace("sip:alice@192.0.2.1 SIP", "mailto:alice@192.0.2.1 SIP"));
        assert_eq!(seen.lines(), ["SIP/2.0 416 Unsupported URI Scheme"]);
        let seen = hear(&mut stack, 0, udp(), &text.replace("SIP/2.0\r\nVia", "SIP/3.0\r\nVia"));
        assert_eq!(seen.lines(), ["SIP/2.0 505 Version Not Supported"]);
        let seen = hear(&mut stack, 0, udp(), &ask("OPTIONS", "z9hG4bKa", &["Require: never, timer, sometimes"]));
        assert_eq!(seen.response(0).headers.all("Unsupported").collect::<Vec<_>>(), ["never", "sometimes"]);
        assert_eq!(stack.counters().refused, 8);
        assert!(stack.is_empty());
    }

    impl Seen {
        fn response_tag(&self) -> Option<&str> {
            self.sent[0].1.lines().find(|line| line.starts_with("To: "))?.split_once(";tag=").map(|(_, tag)| tag)
        }
    }

    #[test]
    fn ack_of_a_refusal_without_transaction_is_not_told_but_that_of_a_2xx_is() {
        let mut stack = stack();
        let seen = hear(&mut stack, 0, udp(), &ask("INVITE", "z9hG4bKa", &["Require: x"]));
        let tag = seen.response(0).headers.to.tag().unwrap().to_owned();
        let again = hear(&mut stack, 500, udp(), &ask("INVITE", "z9hG4bKa", &["Require: x"]));
        assert_eq!(again.response(0).headers.to.tag(), Some(tag.as_str()), "a resend gets the same tag");
        let ack = ask("ACK", "z9hG4bKa", &[&format!("To: <sip:alice@192.0.2.1>;tag={tag}")]);
        assert!(hear(&mut stack, 600, udp(), &ack).events.is_empty());
        let (tx, request) = hear(&mut stack, 700, udp(), &ask("INVITE", "z9hG4bKb", &[])).asked();
        let tag = respond(&mut stack, 800, tx, &request, 200).response(0).headers.to.tag().unwrap().to_owned();
        for branch in ["z9hG4bKc", "z9hG4bKb"] {
            let ack = ask("ACK", branch, &[&format!("To: <sip:alice@192.0.2.1>;tag={tag}")]);
            let seen = hear(&mut stack, 900, udp(), &ack);
            assert!(matches!(seen.events.as_slice(), [Event::Ack { .. }]), "{branch}: {seen:?}");
        }
    }

    #[test]
    fn ack_of_an_invite_refused_within_a_dialog_is_not_told() {
        let mut stack = stack();
        let to = "To: <sip:alice@192.0.2.1>;tag=dialog";
        let seen = hear(&mut stack, 0, udp(), &ask("INVITE", "z9hG4bKa", &["Require: x", to]));
        assert_eq!(seen.lines(), ["SIP/2.0 100 Trying", "SIP/2.0 420 Bad Extension"]);
        let seen = hear(&mut stack, 1, udp(), &ask("ACK", "z9hG4bKa", &[to]));
        assert!(seen.events.is_empty() && seen.sent.is_empty());
    }

    #[test]
    fn one_transaction_too_many_gets_503_with_retry_after_and_no_memory() {
        let mut stack = Stack::new(Config { max_transactions: 1, ..config() }, 1);
        hear(&mut stack, 0, udp(), &ask("INVITE", "z9hG4bKa", &[])).asked();
        let seen = hear(&mut stack, 1, udp(), &ask("INVITE", "z9hG4bKb", &["Call-ID: b"]));
        assert_eq!((seen.lines(), seen.events.len()), (vec!["SIP/2.0 503 Service Unavailable"], 0));
        assert!(seen.response(0).headers.get("Retry-After").is_some());
        assert_eq!((stack.counters().overloaded, stack.counters().servers), (1, 1));
        let seen = hear(&mut stack, 2, udp(), &ask("CANCEL", "z9hG4bKa", &[]));
        assert_eq!(seen.lines(), ["SIP/2.0 200 OK"], "what makes room is let in");
    }

    #[test]
    fn requests_of_rfc_2543_without_the_cookie_find_their_transaction() {
        let mut stack = stack();
        let via = "Via: SIP/2.0/UDP 198.51.100.2:5070;branch=1";
        let (tx, request) = hear(&mut stack, 0, udp(), &ask("INVITE", "", &[via])).asked();
        let seen = hear(&mut stack, 1, udp(), &ask("INVITE", "", &[via]));
        assert_eq!(seen.lines(), ["SIP/2.0 100 Trying"]);
        let seen = hear(&mut stack, 2, udp(), &ask("CANCEL", "", &[via]));
        assert!(matches!(seen.events.as_slice(), [Event::Cancel { .. }]));
        let tag = respond(&mut stack, 3, tx, &request, 487).response(0).headers.to.tag().unwrap().to_owned();
        let ack = ask("ACK", "", &[via, &format!("To: <sip:alice@192.0.2.1>;tag={tag}")]);
        assert!(hear(&mut stack, 4, udp(), &ack).events.is_empty());
        assert!(run_out(&mut stack).sent.is_empty());
        // The next request has the same branch and is another one all the same.
        hear(&mut stack, 60_000, udp(), &ask("INVITE", "", &[via, "CSeq: 2 INVITE"])).asked();
    }

    #[test]
    fn one_branch_of_two_senders_or_of_two_methods_is_two_transactions() {
        let mut stack = stack();
        hear(&mut stack, 0, udp(), &ask("INVITE", "z9hG4bKa", &[])).asked();
        let other = ["Via: SIP/2.0/UDP 198.51.100.3:5070;branch=z9hG4bKa", "Call-ID: b"];
        hear(&mut stack, 1, udp(), &ask("INVITE", "", &other)).asked();
        hear(&mut stack, 2, udp(), &ask("BYE", "z9hG4bKa", &[])).asked();
        assert_eq!(stack.counters().servers, 3);
    }

    #[test]
    fn what_cannot_be_read_is_counted_and_keepalives_are_not() {
        let mut stack = stack();
        for bytes in ["", "\r\n\r\n", "\0\0\0\0"] {
            stack.handle_datagram(at(0), udp(), bytes.as_bytes());
        }
        assert_eq!(stack.counters().dropped_malformed, 0);
        stack.handle_datagram(at(0), udp(), b"\x80\x00 no SIP");
        stack.handle_datagram(at(0), udp(), ask("ACK", "z9hG4bKa", &["CSeq: x"]).as_bytes());
        assert_eq!(stack.counters().dropped_malformed, 2);
        let seen = hear(&mut stack, 0, udp(), &ask("OPTIONS", "z9hG4bKa", &["CSeq: x"]));
        assert!(seen.lines()[0].starts_with("SIP/2.0 400 "));
        assert!(stack.is_empty());
    }

    #[test]
    fn accepted_call_is_resent_by_accept_until_its_ack_or_for_64_t1() {
        let mut stack = stack();
        let (tx, request) = hear(&mut stack, 0, udp(), &ask("INVITE", "z9hG4bKa", &[])).asked();
        let response = request.response(200, None);
        stack.respond(at(0), tx, response.clone());
        let mut accept = Accept::new(at(0), &config(), tx, response);
        drain(&mut stack);
        let mut times = Vec::new();
        let mut gave_up = false;
        while let Some(due) = accept.timeout() {
            accept.handle_timeout(due);
            times.push((due - Time::START).as_millis());
            match accept.poll() {
                Some(AcceptOutput::Resend(response)) => stack.respond(due, accept.tx(), response),
                Some(AcceptOutput::GaveUp) => gave_up = true,
                None => panic!("nothing to do"),
            }
        }
        assert_eq!(times, [500, 1500, 3500, 7500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500, 32_000]);
        assert!(gave_up);
        assert_eq!(drain(&mut stack).lines(), ["SIP/2.0 200 OK"; 10]);
        let mut acknowledged = Accept::new(at(0), &config(), tx, request.response(200, None));
        acknowledged.handle_ack();
        assert_eq!(acknowledged.timeout(), None);
    }
}

mod client {
    use super::*;

    #[test]
    fn request_goes_out_with_what_the_user_need_not_know() {
        let mut stack = stack();
        let (tx, request) = send(&mut stack, Method::Options, udp());
        let via = &request.headers.via[0];
        assert_eq!((via.transport.as_str(), via.host.as_str(), via.port), ("UDP", "192.0.2.1", Some(5060)));
        assert_eq!((via.rport(), via.branch()), (Some(None), Some(branch::branch(tx.0).as_str())));
        assert_eq!(request.headers.max_forwards(), Some(70));
        assert_eq!(request.headers.get("User-Agent"), Some("Switchhook"));
        assert_eq!(request.body, "body");
    }

    #[test]
    fn unanswered_invite_fails_once_after_seven_sends() {
        let mut stack = stack();
        let (tx, _) = send(&mut stack, Method::Invite, udp());
        let seen = run_out(&mut stack);
        assert_eq!(seen.sent.len(), 6);
        assert!(matches!(seen.events.as_slice(), [Event::Failed { tx: t, why: Failure::TimedOut }] if *t == tx));
        assert_eq!(stack.counters().retransmitted, 6);
        assert!(stack.is_empty());
    }

    #[test]
    fn failure_is_acknowledged_on_the_invites_way_and_told_once() {
        let mut stack = stack();
        let (_, invite) = send(&mut stack, Method::Invite, udp());
        let seen = answer(&mut stack, 10, &invite, 486, "bob");
        assert_eq!(seen.codes(), [486]);
        let ack = seen.request(0);
        assert_eq!((ack.method, &ack.uri), (Method::Ack, &invite.uri));
        assert_eq!(ack.headers.via, invite.headers.via);
        assert_eq!(ack.headers.get("Route"), Some("<sip:proxy.example.org;lr>"));
        assert_eq!((ack.headers.to.tag(), ack.headers.cseq.number), (Some("bob"), 1));
        assert_eq!((&ack.headers.from, &ack.headers.call_id), (&invite.headers.from, &invite.headers.call_id));
        assert!(ack.body.is_empty());
        let again = answer(&mut stack, 500, &invite, 486, "bob");
        assert_eq!((again.lines(), again.events.len()), (vec!["ACK sip:bob@example.org SIP/2.0"], 0));
    }

    #[test]
    fn cancel_waits_for_a_provisional_answer_and_its_own_answer_is_not_told() {
        let mut stack = stack();
        let (tx, invite) = send(&mut stack, Method::Invite, udp());
        stack.cancel(at(1), tx, Some("SIP;cause=200;text=\"Call completed elsewhere\""));
        assert!(drain(&mut stack).sent.is_empty());
        let seen = answer(&mut stack, 10, &invite, 100, "bob");
        assert_eq!(seen.codes(), [100]);
        let cancel = seen.request(0);
        assert_eq!((cancel.method, &cancel.uri), (Method::Cancel, &invite.uri));
        assert_eq!((&cancel.headers.via, &cancel.headers.to), (&invite.headers.via, &invite.headers.to));
        assert_eq!(cancel.headers.get("Route"), Some("<sip:proxy.example.org;lr>"));
        assert_eq!(cancel.headers.get("Reason"), Some("SIP;cause=200;text=\"Call completed elsewhere\""));
        assert!(answer(&mut stack, 20, &cancel, 200, "bob").events.is_empty());
        assert_eq!(answer(&mut stack, 30, &invite, 487, "bob").codes(), [487]);
        assert!(run_out(&mut stack).events.is_empty());
        assert!(stack.is_empty());
    }

    #[test]
    fn unanswered_cancel_is_resent_and_ends_the_invite_as_timed_out() {
        let mut stack = stack();
        let (tx, invite) = send(&mut stack, Method::Invite, udp());
        answer(&mut stack, 10, &invite, 180, "bob");
        stack.cancel(at(20), tx, None);
        let seen = run_out(&mut stack);
        assert_eq!(seen.lines(), ["CANCEL sip:bob@example.org SIP/2.0"; 11]);
        assert!(matches!(seen.events.as_slice(), [Event::Failed { why: Failure::TimedOut, .. }]));
        assert!(stack.is_empty());
    }

    #[test]
    fn every_fork_that_answers_is_told_and_so_is_every_resend() {
        let mut stack = stack();
        let (_, invite) = send(&mut stack, Method::Invite, udp());
        for (ms, tag) in [(10, "one"), (20, "two"), (510, "one"), (31_000, "two")] {
            let seen = answer(&mut stack, ms, &invite, 200, tag);
            assert_eq!((seen.codes(), seen.sent.len()), (vec![200], 0));
        }
        run_out(&mut stack);
        answer(&mut stack, 33_000, &invite, 200, "one");
        assert_eq!(stack.counters().dropped_stray, 1);
    }

    #[test]
    fn response_that_nobody_waits_for_is_dropped_and_counted() {
        let mut stack = stack();
        let (_, request) = send(&mut stack, Method::Options, udp());
        let mut strays: [Request; 4] = std::array::from_fn(|_| request.clone());
        strays[0].headers.via[0].set_param("branch", Some("z9hG4bK0123456789abcdef"));
        strays[1].headers.via[0].host = "192.0.2.99".to_owned();
        strays[2].headers.via.push(request.headers.via[0].clone());
        strays[3].headers.cseq.method = Method::Invite;
        for stray in strays {
            assert!(answer(&mut stack, 1, &stray, 200, "bob").events.is_empty());
        }
        assert_eq!(stack.counters().dropped_stray, 4);
        assert_eq!(answer(&mut stack, 2, &request, 200, "bob").codes(), [200]);
    }

    #[test]
    fn broken_transport_fails_all_that_waits_for_an_answer_over_it_and_nothing_else() {
        let mut stack = stack();
        let (invite, _) = send(&mut stack, Method::Invite, tcp());
        let (options, _) = send(&mut stack, Method::Options, tcp());
        send(&mut stack, Method::Options, udp());
        stack.handle_transport_failed(at(5), tcp());
        let mut failed: Vec<_> = drain(&mut stack).events.into_iter().map(failed_tx).collect();
        failed.sort();
        let mut expected = [invite, options];
        expected.sort();
        assert_eq!(failed, expected);
        assert_eq!(stack.counters().clients, 1);
        stack.handle_transport_failed(at(6), tcp());
        assert!(drain(&mut stack).events.is_empty());
    }

    fn failed_tx(event: Event) -> ClientTx {
        let Event::Failed { tx, why: Failure::Transport } = event else { panic!("{event:?}") };
        tx
    }

    #[test]
    fn ack_of_a_2xx_has_a_branch_of_its_own_and_the_dialogs_route() {
        let mut stack = stack();
        let (_, invite) = send(&mut stack, Method::Invite, udp());
        let mut response = invite.response(200, None);
        response.headers.to.set_tag("bob");
        response.headers.push("Record-Route", "<sip:p2.example.org;lr>, <sip:p1.example.org;lr>");
        response.headers.push("Contact", "<sip:bob@203.0.113.7>");
        let dialog = Dialog::uac(&invite, &response, udp()).unwrap();
        stack.send_ack(at(1), dialog.ack(1), udp());
        let ack = drain(&mut stack).request(0);
        assert_ne!(ack.headers.via[0].branch(), invite.headers.via[0].branch());
        assert_eq!(ack.uri, "sip:bob@203.0.113.7".parse().unwrap());
        let routes: Vec<_> = ack.headers.all("Route").collect();
        assert_eq!(routes, ["<sip:p1.example.org;lr>", "<sip:p2.example.org;lr>"]);
    }
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

/// Bytes without a pattern (xorshift).
fn noise(seed: u64, count: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..count).map(|_| next()).collect()
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
