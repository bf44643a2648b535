//! Text messages: to scripts, from scripts, and within calls.

use super::{
    trunks::{CARRIER_A, CARRIER_B, trunking},
    *,
};
use crate::{
    sip::auth::{Asked, Credentials, Secret, authorize},
    verbs::{Message as TextMessage, Messaging, Text},
};

pub(super) const DESK: &str = "198.51.100.30:5060";
pub(super) const MOBILE: &str = "198.51.100.31:5060";

/// Messages to 100 start `sms.lua`; anna's phone is 201, and guests are welcome.
pub(super) fn world() -> World {
    world_with(|_| {})
}

fn world_with(change: impl FnOnce(&mut Config)) -> World {
    World::with(|config| {
        let number = Pattern::parse("100").unwrap();
        let vars = vec![("tone".to_owned(), "kind".to_owned())];
        config.messages.routes = vec![MessageRoute { number, script: "sms.lua".into(), vars }];
        assert!(config.phones.add(Phone::new("anna", "201", "secret")));
        config.phones.guests = true;
        change(config);
    })
}

pub(super) struct Letter<'a> {
    pub from: &'a str,
    pub to: &'a str,
    pub kind: &'a str,
    pub more: &'a str,
    pub body: &'a [u8],
}

pub(super) const LETTER: Letter<'static> =
    Letter { from: "guest@elsewhere.example", to: "100", kind: "text/plain", more: "", body: b"hello" };

impl Letter<'_> {
    pub fn post(&self, world: &mut World, number: u32) {
        let Letter { from, to, kind, more, body } = self;
        let head = format!(
            "MESSAGE sip:{to}@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP {PHONE};branch=z9hG4bKm{number}\r\n\
             Max-Forwards: 70\r\nFrom: \"Gus\" <sip:{from}>;tag=g{number}\r\nTo: <sip:{to}@192.0.2.1>\r\n\
             Call-ID: m{number}\r\nCSeq: 1 MESSAGE\r\nContent-Type: {kind}\r\n{more}Content-Length: {}\r\n\r\n",
            body.len()
        );
        world.say(address(PHONE), [head.as_bytes(), body].concat());
        world.settle();
    }

    pub fn code(&self, world: &mut World, number: u32) -> Response {
        self.post(world, number);
        last_answer(world)
    }
}

fn last_answer(world: &World) -> Response {
    let finals = world.inbox.iter().rev().find_map(|(_, message)| match message {
        Message::Response(response) if response.code >= 200 => Some(response.clone()),
        _ => None,
    });
    finals.unwrap_or_else(|| panic!("no answer, but {:?}", world.seen()))
}

fn is_unanswered(world: &World) -> bool {
    !world.inbox.iter().any(|(_, message)| matches!(message, Message::Response(_)))
}

pub(super) fn word(code: u16) -> Verb {
    Verb::Messaging(Messaging::Answer { code, reason: None })
}

pub(super) fn send(to: &str) -> Verb {
    let text = Text { kind: "text/plain".into(), text: "grüezi".into() };
    Verb::Messaging(Messaging::Send(TextMessage { to: Some(to.into()), from: None, text, headers: vec![] }))
}

pub(super) fn within(text: &str) -> Verb {
    let text = Text { kind: "text/plain".into(), text: text.into() };
    Verb::Messaging(Messaging::Send(TextMessage { to: None, from: None, text, headers: vec![] }))
}

#[test]
fn a_message_starts_the_script_of_its_number_and_waits_for_its_word() {
    let mut world = world();
    Letter { more: "X-Shop: 7\r\n", ..LETTER }.post(&mut world, 1);
    assert!(is_unanswered(&world));
    let start = world.node().starts[0].clone();
    assert_eq!((&*start.script, start.vars[0].1.as_str()), ("sms.lua", "kind"));
    let facts = &start.facts;
    assert_eq!(facts.message.as_deref(), Some(&Text { kind: "text/plain".into(), text: "hello".into() }));
    assert_eq!((facts.caller.as_str(), facts.caller_name.as_str(), facts.called.as_str()), ("guest", "Gus", "100"));
    assert_eq!((facts.source.as_str(), facts.phone.as_deref(), facts.inbound), (PHONE, None, true));
    assert_eq!(facts.headers, [("X-Shop".to_owned(), "7".to_owned())]);
    let id = world.ask(start.flow, start.call, word(200));
    world.settle();
    assert_eq!(world.reply(id), Some(&Reply::Done));
    let response = last_answer(&world);
    assert_eq!((response.code, response.headers.get("Contact")), (200, None));
    let twice = world.ask(start.flow, start.call, word(486));
    assert_eq!(world.reply(twice), Some(&Reply::Failed(Failure::WrongState)));
    let call = world.ask(start.flow, start.call, Verb::Answer);
    assert_eq!(world.reply(call), Some(&Reply::Failed(Failure::NoSuchCall)), "there is no call");
    world.end_flow(start.flow, FlowEnd::Finished);
    world.assert_clean(0);
}

#[test]
fn a_script_without_a_word_has_taken_its_message_if_it_came_to_its_end() {
    let broken = FlowEnd::Error("oh".into());
    for (end, code) in [(FlowEnd::Finished, 200), (broken, 500), (FlowEnd::Limit("memory"), 500)] {
        let mut world = world();
        LETTER.post(&mut world, 1);
        let flow = world.node().starts[0].flow;
        world.end_flow(flow, end);
        world.settle();
        assert_eq!(last_answer(&world).code, code);
        world.assert_clean(0);
    }
}

#[test]
fn a_script_that_takes_its_time_does_not_keep_the_sender_waiting() {
    let mut world = world();
    LETTER.post(&mut world, 1);
    world.run(millis(1800));
    assert!(is_unanswered(&world));
    world.run(millis(200));
    assert_eq!(last_answer(&world).code, 202);
    let flow = world.node().starts[0].flow;
    world.end_flow(flow, FlowEnd::Error("too late to matter".into()));
    world.assert_clean(0);
}

#[test]
fn what_cannot_be_taken_is_refused_with_the_reason() {
    let mut world = world_with(|config| config.messages.longest = 10);
    let cases = [
        (Letter { kind: "text/html", ..LETTER }, 415, Some(("Accept", "text/plain"))),
        (Letter { kind: "text/plain;charset=ISO-8859-1", ..LETTER }, 415, Some(("Accept", "text/plain"))),
        (Letter { more: "Content-Encoding: gzip\r\n", ..LETTER }, 415, Some(("Accept-Encoding", "identity"))),
        (Letter { body: b"more than ten", ..LETTER }, 413, None),
        (Letter { body: b"\xff\xfe", ..LETTER }, 400, None),
        (Letter { to: "999", ..LETTER }, 404, None),
    ];
    for (number, (letter, code, header)) in cases.into_iter().enumerate() {
        let response = letter.code(&mut world, number as u32);
        assert_eq!(response.code, code);
        if let Some((name, value)) = header {
            assert_eq!(response.headers.get(name), Some(value));
        }
    }
    assert!(world.node().starts.is_empty());
    world.assert_clean(0);
}

#[test]
fn a_phone_proves_itself_before_its_message_is_read() {
    let mut world = world_with(|config| config.phones.guests = false);
    let challenge = Letter { body: b"\xff", from: "anna@192.0.2.1", ..LETTER }.code(&mut world, 1);
    assert_eq!(challenge.code, 401);
    let who = Credentials { user: "anna".into(), secret: Secret::Password("secret".into()) };
    let asked = Asked { method: "MESSAGE", uri: "sip:100@192.0.2.1", body: b"" };
    let proof = authorize(challenge.headers.all("WWW-Authenticate"), &who, &asked, "cnonce", 1).unwrap().value;
    let more = format!("Authorization: {proof}\r\n");
    Letter { from: "boss@192.0.2.1", more: &more, ..LETTER }.post(&mut world, 2);
    let facts = &world.node().starts[0].facts;
    assert_eq!((facts.phone.as_deref(), facts.caller.as_str()), (Some("anna"), "201"), "its number, whatever it says");
}

#[test]
fn too_many_messages_at_a_time_are_to_come_again() {
    let mut world = world_with(|config| config.messages.flows = 1);
    LETTER.post(&mut world, 1);
    let response = LETTER.code(&mut world, 2);
    assert_eq!((response.code, response.headers.get("Retry-After")), (503, Some("30")));
    world.input(0, Input::HangUpAll);
    assert_eq!(world.node().stops.len(), 1, "the script ends with the server");
    world.settle();
    let response = LETTER.code(&mut world, 3);
    assert_eq!(response.code, 503);
    world.assert_clean(0);
}

/// A world with a running message script, which says what to send; and anna's two devices.
pub(super) fn sending(change: impl FnOnce(&mut Config)) -> (World, FlowId, CallId) {
    let mut world = world_with(change);
    LETTER.post(&mut world, 1);
    for (number, at) in [(1, DESK), (2, MOBILE)] {
        let binding = binding(&world, number, at);
        let mut all: Vec<Binding> = world.nodes[0].switch.registrations().map(|(_, one)| one.clone()).collect();
        all.push(binding);
        world.nodes[0].switch.restore_registrations("anna", all);
    }
    let start = world.node().starts[0].clone();
    world.ask(start.flow, start.call, word(200));
    world.settle();
    world.inbox.clear();
    (world, start.flow, start.call)
}

fn binding(world: &World, number: u32, at: &str) -> Binding {
    let remote = address(at);
    Binding {
        contact: sip::NameAddr::parse(&format!("<sip:anna@{at}>")).unwrap(),
        hop: Some(Hop { transport: Transport::Udp, interface: InterfaceId(0), remote }),
        path: vec![],
        call_id: format!("r{number}"),
        cseq: 1,
        until: world.now + secs(3600),
        instance: None,
        reg_id: None,
        agent: "Desk 1".into(),
        silent: false,
    }
}

pub(super) fn answers(world: &mut World, at: &str, code: u16) -> SipRequest {
    let request = world.request_at(address(at), Method::Message);
    world.say(address(at), request.response(code, None).to_bytes());
    world.settle();
    request
}

#[test]
fn each_device_of_a_phone_gets_a_copy_and_the_first_that_takes_it_counts() {
    let (mut world, flow, call) = sending(|_| {});
    let id = world.ask(flow, call, send("201"));
    world.settle();
    let copy = answers(&mut world, DESK, 486);
    assert_eq!(world.reply(id), None);
    assert_eq!(&copy.body[..], "grüezi".as_bytes());
    assert_eq!(copy.headers.get("Content-Type"), Some("text/plain;charset=UTF-8"));
    assert_eq!(copy.headers.get("Max-Forwards"), Some("69"), "one less than what it follows from");
    assert_eq!((copy.headers.get("Contact"), copy.headers.from.uri.user.as_deref()), (None, Some("100")));
    answers(&mut world, MOBILE, 200);
    assert_eq!(world.reply(id), Some(&Reply::Sent { code: 200 }));
    world.end_flow(flow, FlowEnd::Finished);
    world.assert_clean(0);
}

#[test]
fn a_message_that_nobody_takes_says_why() {
    let (mut world, flow, call) = sending(|_| {});
    let id = world.ask(flow, call, send("201"));
    world.settle();
    answers(&mut world, DESK, 415);
    answers(&mut world, MOBILE, 404);
    assert_eq!(world.reply(id), Some(&Reply::Failed(Failure::Refused(415))), "the first reason");
    let silent = world.ask(flow, call, send("sip:x@198.51.100.77"));
    world.run(secs(31));
    assert_eq!(world.reply(silent), None);
    world.run(secs(2));
    assert_eq!(world.reply(silent), Some(&Reply::Failed(Failure::Unreachable)));
    let nowhere = world.ask(flow, call, send("+4930"));
    assert_eq!(world.reply(nowhere), Some(&Reply::Failed(Failure::Denied("no outbound rule allows the number"))));
    world.end_flow(flow, FlowEnd::Finished);
    world.assert_clean(0);
}

#[test]
fn names_are_looked_up_and_limits_hold() {
    let (mut world, flow, call) = sending(|config| (config.messages.sending, config.messages.longest) = (1, 6));
    let long = world.ask(flow, call, send("sip:x@name.example"));
    assert_eq!(world.reply(long), Some(&Reply::Failed(Failure::Limit("message length"))), "grüezi has seven bytes");
    let text = Text { kind: "text/plain".into(), text: "hi".into() };
    let message = TextMessage { to: Some("sip:x@name.example".into()), from: Some("77".into()), text, headers: vec![] };
    let verb = Verb::Messaging(Messaging::Send(message));
    let id = world.ask(flow, call, verb.clone());
    let second = world.ask(flow, call, verb);
    assert_eq!(world.reply(second), Some(&Reply::Failed(Failure::Limit("messages under way"))));
    let (query, host) = world.node().queries[0].clone();
    assert_eq!(host, "name.example");
    world.input(0, Input::Resolved { query, result: Ok(vec![udp("198.51.100.50:5060"), udp("198.51.100.51:5060")]) });
    world.settle();
    assert_eq!(answers(&mut world, "198.51.100.50:5060", 503).headers.from.uri.user.as_deref(), Some("77"));
    answers(&mut world, "198.51.100.51:5060", 202);
    assert_eq!(world.reply(id), Some(&Reply::Sent { code: 202 }));
    world.end_flow(flow, FlowEnd::Finished);
    world.assert_clean(0);
}

/// A challenge of the carrier's.
fn challenges(world: &mut World, at: &str, request: &SipRequest) {
    let mut response = request.response(407, None);
    if response.headers.to.tag().is_none() {
        response.headers.to.set_tag("proxy");
    }
    response.headers.push("Proxy-Authenticate", "Digest realm=\"carrier\", nonce=\"n\", qop=\"auth\"");
    world.say(address(at), response.to_bytes());
    world.settle();
}

/// Carriers a and b, of which the first knows us as u.
fn with_carriers(config: &mut Config) {
    config.trunking = trunking();
    let trunk = Arc::make_mut(&mut config.trunking.trunks[0]);
    trunk.credentials = Some(Credentials { user: "u".into(), secret: Secret::Password("p".into()) });
    trunk.calls = 1;
}

#[test]
fn a_message_to_a_number_goes_over_carriers_and_proves_who_sends_it() {
    let (mut world, flow, call) = sending(with_carriers);
    let id = world.ask(flow, call, send("+4930"));
    world.settle();
    let first = world.request_at(address(CARRIER_A), Method::Message);
    challenges(&mut world, CARRIER_A, &first);
    let again = answers(&mut world, CARRIER_A, 503);
    assert!(again.headers.get("Proxy-Authorization").is_some());
    assert_eq!(again.headers.cseq.number, first.headers.cseq.number + 1);
    let elsewhere = answers(&mut world, CARRIER_B, 200);
    assert_eq!(elsewhere.uri.user.as_deref(), Some("+4930"));
    assert_eq!(world.reply(id), Some(&Reply::Sent { code: 200 }));
    let next = world.ask(flow, call, send("+4931"));
    world.settle();
    answers(&mut world, CARRIER_A, 200);
    assert_eq!(world.reply(next), Some(&Reply::Sent { code: 200 }), "the one call that it may have is free again");
    world.end_flow(flow, FlowEnd::Finished);
    world.assert_clean(0);
}

#[test]
fn a_message_within_a_call_waits_for_its_script() {
    let (mut world, mut caller, flow, call) = answered_in(world());
    let wait = |secs_: u64| Verb::Messaging(Messaging::Await { timeout: secs(secs_) });
    caller.send(&mut world, "MESSAGE", Some(("text/plain", "one")));
    world.response_at(caller.at, 202);
    let id = world.ask(flow, call, wait(5));
    let one = Text { kind: "text/plain".into(), text: "one".into() };
    assert_eq!(world.reply(id), Some(&Reply::Message(one)), "it was kept");
    let id = world.ask(flow, call, wait(5));
    assert_eq!(world.reply(id), None);
    let busy = world.ask(flow, call, wait(5));
    assert_eq!(world.reply(busy), Some(&Reply::Failed(Failure::WrongState)), "one thing at a time");
    caller.send(&mut world, "MESSAGE", Some(("text/plain", "two")));
    world.response_at(caller.at, 200);
    assert!(matches!(world.reply(id), Some(Reply::Message(text)) if text.text == "two"));
    let id = world.ask(flow, call, wait(5));
    world.run(secs(5));
    assert_eq!(world.reply(id), Some(&Reply::Failed(Failure::NoAnswer)));
    caller.send(&mut world, "MESSAGE", Some(("image/png", "x")));
    world.response_at(caller.at, 415);
    for _ in 0..16 {
        caller.send(&mut world, "MESSAGE", Some(("text/plain", "more")));
        world.response_at(caller.at, 202);
    }
    caller.send(&mut world, "MESSAGE", Some(("text/plain", "too much")));
    world.response_at(caller.at, 503);
    caller.send(&mut world, "BYE", None);
    world.assert_clean(1);
}

#[test]
fn a_script_sends_messages_within_its_call() {
    let (mut world, mut caller, flow, call) = answered_in(world());
    let id = world.ask(flow, call, within("hi"));
    world.settle();
    let message = answers(&mut world, PHONE, 200);
    assert_eq!((message.headers.to.tag(), message.headers.get("Contact")), (Some("anna"), None));
    assert_eq!(world.reply(id), Some(&Reply::Sent { code: 200 }));
    let refused = world.ask(flow, call, within("hi"));
    world.settle();
    answers(&mut world, PHONE, 405);
    assert_eq!(world.reply(refused), Some(&Reply::Failed(Failure::Refused(405))));
    world.ask(flow, call, within("lost"));
    caller.send(&mut world, "BYE", None);
    world.assert_clean(1);
}

#[test]
fn a_message_beside_the_call_reaches_the_script_that_waits_for_it() {
    let (mut world, _, flow, call) = answered_in(world());
    let id = world.ask(flow, call, Verb::Messaging(Messaging::Await { timeout: secs(5) }));
    let from_caller = Letter { from: "anna@phone", ..LETTER };
    assert_eq!(from_caller.code(&mut world, 5).code, 200);
    assert!(matches!(world.reply(id), Some(Reply::Message(text)) if text.text == "hello"));
    let starts = world.node().starts.len();
    from_caller.post(&mut world, 6);
    assert_eq!(world.node().starts.len(), starts + 1, "nobody waits: the number's script has it");
    Letter { from: "bo@phone", ..LETTER }.post(&mut world, 7);
    assert_eq!(world.node().starts.len(), starts + 2, "another sender");
}

#[test]
fn a_script_sees_where_a_phone_is_registered() {
    let (mut world, flow, call) = sending(|_| {});
    let id = world.ask(flow, call, Verb::Registrations { phone: "201".into() });
    let Some(Reply::Registrations(places)) = world.reply(id) else { panic!("no registrations") };
    assert_eq!(places.len(), 2);
    assert_eq!(places[0].contact, format!("sip:anna@{DESK}"));
    assert_eq!((places[0].source.as_deref(), places[0].transport), (Some(DESK), Some("udp")));
    assert_eq!((places[0].agent.as_str(), places[0].answers), ("Desk 1", true));
    assert!(places[0].expires <= secs(3600) && places[0].expires > secs(3590));
    let id = world.ask(flow, call, Verb::Registrations { phone: "999".into() });
    assert_eq!(world.reply(id), Some(&Reply::Failed(Failure::NoSuchPhone)));
}
