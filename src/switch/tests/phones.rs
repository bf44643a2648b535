//! Phones: who they are, where they are, and that they ring.

mod desk;
mod lamps;

use super::*;
use crate::sip::auth::{Algorithm, Asked, Credentials, Secret, authorize};

/// A phone by hand: where it is seen, and what it says of itself.
struct Device {
    at: SocketAddr,
    transport: Transport,
    user: String,
    password: String,
    contact: String,
    call_id: String,
    cseq: u32,
    extra: String,
}

impl Device {
    fn new(user: &str, at: &str) -> Device {
        Device {
            at: address(at),
            transport: Transport::Udp,
            user: user.into(),
            password: "secret".into(),
            contact: format!("<sip:{user}@{at}>"),
            call_id: format!("{user}-{at}"),
            cseq: 0,
            extra: String::new(),
        }
    }

    fn say(&mut self, world: &mut World, method: &str, uri: &str, more: &str) {
        self.cseq += 1;
        let Device { at, user, contact, call_id, cseq, extra, .. } = self;
        let to = if method == "REGISTER" { format!("sip:{user}@192.0.2.1") } else { uri.to_owned() };
        let (kind, body) = match method {
            "INVITE" => ("Content-Type: application/sdp\r\n", sdp_at(&at.ip().to_string(), 4000)),
            _ => ("", String::new()),
        };
        let contact = if contact.is_empty() { String::new() } else { format!("Contact: {contact}\r\n") };
        let text = format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP 10.9.9.9;rport;branch=z9hG4bK{call_id}{cseq}\r\n\
             Max-Forwards: 70\r\nFrom: <sip:{user}@192.0.2.1>;tag=f{user}\r\nTo: <{to}>\r\nCall-ID: {call_id}\r\n\
             CSeq: {cseq} {method}\r\n{contact}{extra}{more}{kind}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let hop = Hop { transport: self.transport, interface: InterfaceId(0), remote: *at };
        world.input(0, Input::Datagram { hop, bytes: text.into() });
        world.settle();
    }

    /// Asks, is challenged, asks again with the password, and gives back the final answer.
    fn ask(&mut self, world: &mut World, method: &str, uri: &str, more: &str) -> Response {
        self.say(world, method, uri, more);
        let challenge = self.response(world);
        assert_eq!(challenge.code, 401);
        self.ask_again(world, &challenge, method, uri, more);
        self.response(world)
    }

    fn ask_again(&mut self, world: &mut World, challenge: &Response, method: &str, uri: &str, more: &str) {
        let challenges = challenge.headers.all("WWW-Authenticate");
        let who = Credentials { user: self.user.clone(), secret: Secret::Password(self.password.clone()) };
        let asked = Asked { method, uri, body: b"" };
        let done = authorize(challenges, &who, &asked, "cnonce", 1).expect("a challenge for us");
        self.say(world, method, uri, &format!("Authorization: {}\r\n{more}", done.value));
    }

    /// The newest final answer.
    fn response(&self, world: &mut World) -> Response {
        let at = self.at;
        let code = world.inbox.iter().rev().find_map(|(to, message)| match message {
            Message::Response(response) if *to == at && response.code >= 200 => Some(response.clone()),
            Message::Response(_) | Message::Request(_) => None,
        });
        let seen = world.seen();
        code.unwrap_or_else(|| panic!("no answer, but {seen:?}"))
    }

    fn register(&mut self, world: &mut World, more: &str) -> Response {
        let response = self.ask(world, "REGISTER", "sip:192.0.2.1", more);
        world.inbox.clear();
        response
    }
}

fn office() -> World {
    World::with(|config| {
        config.phones.script = Some("extension.lua".into());
        assert!(config.phones.add(Phone { max_contacts: 3, ..Phone::new("anna", "201", "secret") }));
        assert!(config.phones.add(Phone::new("bo", "202", "secret")));
    })
}

fn contacts(response: &Response) -> Vec<&str> {
    assert_eq!(response.code, 200);
    response.headers.all("Contact").collect()
}

/// A phone of the office that called 100 and was answered there.
fn talking(world: &mut World, user: &str, at: &str) -> (Device, Start) {
    let mut device = Device::new(user, at);
    device.say(world, "INVITE", "sip:100@192.0.2.1", "");
    let challenge = device.response(world);
    device.ask_again(world, &challenge, "INVITE", "sip:100@192.0.2.1", "");
    let start = world.node().starts.last().unwrap().clone();
    let id = world.ask(start.flow, start.call, Verb::Answer);
    world.settle();
    let ok = world.response_at(device.at, 200);
    let tag = ok.headers.to.tag().unwrap().to_owned();
    let ack = format!(
        "ACK sip:100@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 10.9.9.9;rport;branch=z9hG4bKack{user}\r\nFrom: \
         <sip:{user}@192.0.2.1>;tag=f{user}\r\nTo: <sip:100@192.0.2.1>;tag={tag}\r\nCall-ID: {}\r\nCSeq: {} ACK\r\n\
         Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n",
        device.call_id, device.cseq
    );
    world.say(device.at, ack);
    world.settle();
    assert_eq!(world.reply(id), Some(&Reply::Done));
    world.inbox.clear();
    (device, start)
}

/// Has `user` rung by the call of `start`, and says 180: the early dialog's Call-ID, and our tag.
fn rung(world: &mut World, start: &Start, number: &str, at: SocketAddr) -> (RequestId, SipRequest) {
    let dial = ringing(number, 30);
    let dialled = world.ask(start.flow, start.call, Verb::Dial(dial));
    world.settle();
    let invite = world.request_at(at, Method::Invite);
    world.say(at, answer(&invite, 180, "anna", None));
    world.settle();
    (dialled, invite)
}

fn acknowledge(world: &mut World, device: &Device, ok: &Response) {
    let (user, tag) = (&device.user, ok.headers.to.tag().unwrap());
    let ack = format!(
        "ACK sip:100@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 10.9.9.9;rport;branch=z9hG4bKack{tag}\r\nFrom: \
         <sip:{user}@192.0.2.1>;tag=f{user}\r\nTo: <sip:100@192.0.2.1>;tag={tag}\r\nCall-ID: {}\r\nCSeq: {} ACK\r\n\
         Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n",
        device.call_id, ok.headers.cseq.number
    );
    world.say(device.at, ack);
    world.settle();
}

/// 100 calls phone 201, as an order.
fn call_201(world: &mut World) {
    let order = Originate {
        request: RequestId(1),
        target: "201".into(),
        from: "100".into(),
        script: None,
        vars: vec![],
        headers: vec![],
        timeout: secs(30),
    };
    world.input(0, Input::Originate(order));
    world.settle();
}

/// Whom, what, where and why.
fn told(happening: &Happening) -> (&str, &str, String) {
    let place = match &happening.what {
        Happened::PhoneRegistered { contact, .. } => contact.clone(),
        Happened::PhoneGone { contact, reason } => format!("{contact} {reason:?}"),
        other => panic!("{other:?}"),
    };
    (&happening.from, happening.what.kind(), place)
}

#[test]
fn a_phone_registers_with_its_password_and_learns_what_is_registered() {
    let mut world = office();
    let mut desk = Device::new("anna", "198.51.100.7:5070");
    let mut mobile = Device::new("anna", "198.51.100.8:6060");
    let first = desk.register(&mut world, "");
    assert_eq!(contacts(&first), ["<sip:anna@198.51.100.7:5070>;expires=3600"]);
    world.run(secs(100));
    let second = mobile.register(&mut world, "Expires: 600\r\n");
    assert_eq!(contacts(&second).len(), 2);
    assert_eq!(contacts(&second)[1], "<sip:anna@198.51.100.8:6060>;expires=600");
    mobile.contact = String::new();
    assert_eq!(contacts(&mobile.register(&mut world, "")).len(), 2, "a question changes nothing");
    world.run(secs(600));
    assert_eq!(contacts(&mobile.register(&mut world, "")).len(), 1, "one has ended");
    desk.register(&mut world, "");
    desk.register(&mut world, "Expires: 0\r\n");
    let told: Vec<(&str, &str, String)> = world.node().happenings.iter().map(told).collect();
    let (here, there) = ("sip:anna@198.51.100.7:5070", "sip:anna@198.51.100.8:6060");
    let want = [
        ("anna", "phone.registered", here.to_owned()),
        ("anna", "phone.registered", there.to_owned()),
        ("anna", "phone.unregistered", format!("{there} Expired")),
        ("anna", "phone.unregistered", format!("{here} Left")),
    ];
    assert_eq!(told, want, "refreshes are no news");
}

#[test]
fn an_unknown_user_gets_what_a_wrong_password_gets() {
    let mut world = office();
    let mut wrong = Device { password: "guess".into(), ..Device::new("anna", "198.51.100.7:5070") };
    let mut nobody = Device::new("nobody", "198.51.100.9:5070");
    let shape = |response: Response| {
        let names: Vec<String> = response.headers.others().map(|(name, _)| name.to_owned()).collect();
        let lengths: Vec<usize> = response.headers.all("WWW-Authenticate").map(str::len).collect();
        (response.code, response.reason, names, lengths)
    };
    let to_wrong = wrong.register(&mut world, "");
    assert_eq!(to_wrong.code, 401);
    assert_eq!(shape(to_wrong), shape(nobody.register(&mut world, "")));
    assert!(world.nodes[0].switch.registrations().next().is_none());
}

#[test]
fn a_phone_registers_for_itself_only() {
    let mut world = office();
    let mut anna = Device::new("anna", "198.51.100.7:5070");
    anna.say(&mut world, "REGISTER", "sip:192.0.2.1", "");
    let challenge = anna.response(&mut world);
    let who = Credentials { user: "bo".into(), secret: Secret::Password("secret".into()) };
    let asked = Asked { method: "REGISTER", uri: "sip:192.0.2.1", body: b"" };
    let all = challenge.headers.all("WWW-Authenticate");
    let value = authorize(all, &who, &asked, "c", 1).expect("ours").value;
    anna.say(&mut world, "REGISTER", "sip:192.0.2.1", &format!("Authorization: {value}\r\n"));
    assert_eq!(anna.response(&mut world).code, 403);
}

#[test]
fn registrations_are_brief_old_many_or_taken_back() {
    let mut world = office();
    let mut anna = Device::new("anna", "198.51.100.7:5070");
    let brief = anna.register(&mut world, "Expires: 59\r\n");
    assert_eq!((brief.code, brief.headers.get("Min-Expires")), (423, Some("60")));
    assert_eq!(
        contacts(&anna.register(&mut world, "Expires: 99999999999\r\n"))[0].split("expires=").nth(1),
        Some("3600")
    );
    for port in [5071, 5072, 5073] {
        let mut more = Device::new("anna", &format!("198.51.100.7:{port}"));
        more.register(&mut world, "");
    }
    let mut last = Device { contact: String::new(), ..Device::new("anna", "198.51.100.7:5074") };
    let told = last.register(&mut world, "");
    assert_eq!(contacts(&told).len(), 3, "the oldest was forgotten");
    assert!(!contacts(&told).iter().any(|one| one.contains(":5070")), "{:?}", contacts(&told));
    last.contact = "*".into();
    assert_eq!(last.register(&mut world, "").code, 400, "without Expires: 0");
    assert_eq!(contacts(&last.register(&mut world, "Expires: 0\r\n")), Vec::<&str>::new());
}

#[test]
fn a_dialled_number_rings_every_device_where_it_registered_from() {
    let mut world = office();
    // The first is behind a NAT: what it says of itself leads nowhere.
    let mut desk = Device { contact: "<sip:anna@10.1.1.1:5060>".into(), ..Device::new("anna", "198.51.100.7:5070") };
    let mut mobile = Device::new("anna", "198.51.100.8:6060");
    desk.register(&mut world, "");
    mobile.register(&mut world, "");
    let mut bo = Device::new("bo", "198.51.100.20:5060");
    bo.say(&mut world, "INVITE", "sip:201@192.0.2.1", "");
    let challenge = bo.response(&mut world);
    assert_eq!(challenge.code, 401);
    assert!(world.node().starts.is_empty(), "no script before the password");
    bo.ask_again(&mut world, &challenge, "INVITE", "sip:201@192.0.2.1", "");
    let start = world.node().starts.last().unwrap().clone();
    assert_eq!(&*start.script, "extension.lua");
    assert_eq!((start.facts.phone.as_deref(), start.facts.caller.as_str()), (Some("bo"), "202"));
    assert_eq!(start.vars, [("phone".to_owned(), "201".to_owned())]);
    world.inbox.clear();
    let dial = ringing("201", 30);
    let id = world.ask(start.flow, start.call, Verb::Dial(dial));
    world.settle();
    let at_desk = world.request_at(desk.at, Method::Invite);
    let at_mobile = world.request_at(mobile.at, Method::Invite);
    assert_eq!(at_desk.uri.to_string(), "sip:anna@10.1.1.1:5060", "the Contact, over the way that it came by");
    assert_eq!(at_mobile.headers.from.uri.user.as_deref(), Some("202"));
    world.say(mobile.at, answer(&at_mobile, 200, "mobile", Some(&sdp())));
    world.settle();
    assert_eq!(world.request_at(mobile.at, Method::Ack).headers.to.tag(), Some("mobile"));
    world.say(desk.at, answer(&at_desk, 180, "desk", None));
    world.settle();
    world.request_at(desk.at, Method::Cancel);
    let _ = id;
}

#[test]
fn a_number_without_a_registered_device_cannot_be_reached() {
    let (mut world, _, flow, call) = answered_in(World::with(|config| {
        config.phones.guests = true;
        config.phones.add(Phone::new("anna", "201", "secret"));
    }));
    let dial = ringing("201", 30);
    let id = world.ask(flow, call, Verb::Dial(dial));
    assert_eq!(world.reply(id), Some(&Reply::Failed(Failure::Unreachable)));
}

#[test]
fn guests_come_in_where_the_operator_says_so_and_not_in_our_name() {
    for (guests, code) in [(true, 100), (false, 401)] {
        let mut world = World::with(|config| {
            config.phones.guests = guests;
            config.phones.add(Phone::new("anna", "201", "secret"));
        });
        let mut caller = Caller::new();
        caller.invite(&mut world, Some(&sdp()));
        world.response_at(caller.at, code);
        assert_eq!(world.node().starts.len(), usize::from(guests));
        // Whether there is such a phone or not.
        for user in ["anna", "nobody"] {
            let mut false_anna = Device::new(user, "198.51.100.66:5060");
            false_anna.say(&mut world, "INVITE", "sip:100@192.0.2.1", "");
            assert_eq!(false_anna.response(&mut world).code, 401);
        }
    }
}

#[test]
fn without_phones_nobody_is_asked_and_nobody_can_register() {
    let mut world = World::new();
    let mut anna = Device::new("anna", "198.51.100.7:5070");
    anna.say(&mut world, "REGISTER", "sip:192.0.2.1", "");
    assert_eq!(anna.response(&mut world).code, 405);
    anna.say(&mut world, "INVITE", "sip:100@192.0.2.1", "");
    assert_eq!(world.node().starts.len(), 1);
}

#[test]
fn the_path_of_a_registration_is_gone_back() {
    let mut world = office();
    let mut anna = Device::new("anna", "198.51.100.99:5060"); // The proxy that the REGISTER came over.
    anna.contact = "<sip:anna@10.1.1.1>".into();
    let told = anna.register(&mut world, "Supported: path\r\nRequire: path\r\nPath: <sip:edge@198.51.100.99;lr>\r\n");
    assert_eq!(told.headers.get("Path"), Some("<sip:edge@198.51.100.99;lr>"));
    call_201(&mut world);
    let invite = world.request_at(anna.at, Method::Invite);
    assert_eq!(invite.uri.to_string(), "sip:anna@10.1.1.1");
    assert_eq!(invite.headers.all("Route").collect::<Vec<_>>(), ["<sip:edge@198.51.100.99;lr>"]);
}

#[test]
fn a_flow_of_outbound_is_confirmed_replaced_and_ends_with_its_connection() {
    let mut world = office();
    let instance = "\"<urn:uuid:00000000-0000-1000-8000-000A95A0E128>\"";
    let mut anna = Device { transport: Transport::Tcp, ..Device::new("anna", "198.51.100.7:40001") };
    anna.contact = format!("<sip:anna@10.1.1.1;transport=tcp>;reg-id=1;+sip.instance={instance}");
    anna.extra = "Supported: path, outbound\r\n".into();
    let told = anna.register(&mut world, "");
    assert_eq!((told.headers.get("Require"), told.headers.get("Flow-Timer")), (Some("outbound"), Some("120")));
    assert!(contacts(&told)[0].contains("reg-id=1") && contacts(&told)[0].contains("urn:uuid"), "{told:?}");
    anna.at = address("198.51.100.7:40002"); // The same flow, over a new connection.
    assert_eq!(contacts(&anna.register(&mut world, "")).len(), 1);
    anna.contact = anna.contact.replace("reg-id=1", "reg-id=2");
    anna.at = address("198.51.100.7:40003");
    assert_eq!(contacts(&anna.register(&mut world, "")).len(), 2);
    let hop = |at: &str| Hop { transport: Transport::Tcp, interface: InterfaceId(0), remote: address(at) };
    world.input(0, Input::TransportFailed { hop: hop("198.51.100.7:40001") });
    assert_eq!(world.nodes[0].switch.registrations().count(), 2, "that connection was replaced");
    world.input(0, Input::TransportFailed { hop: hop("198.51.100.7:40002") });
    let left: Vec<_> = world.nodes[0].switch.registrations().map(|(user, one)| (user, one.reg_id)).collect();
    assert_eq!(left, [("anna", Some(2))]);
}

#[test]
fn who_registered_before_a_restart_is_rung_after_it() {
    let mut world = office();
    let mut desk = Device::new("anna", "198.51.100.7:5070");
    desk.register(&mut world, "");
    let mut stream = Device { transport: Transport::Tcp, ..Device::new("bo", "198.51.100.8:40001") };
    stream.contact = "<sip:bo@198.51.100.8:5071;transport=tcp>".into();
    stream.register(&mut world, "");
    let told = std::mem::take(&mut world.nodes[0].registered);
    assert_eq!(told.iter().map(|(user, all)| (user.as_str(), all.len())).collect::<Vec<_>>(), [("anna", 1), ("bo", 1)]);
    let mut again = office();
    for (user, bindings) in &told {
        again.nodes[0].switch.restore_registrations(user, bindings.clone());
    }
    again.nodes[0].switch.restore_registrations("nobody", told[0].1.clone());
    let back: Vec<_> = again.nodes[0].switch.registrations().map(|(user, one)| (user, one.hop)).collect();
    assert_eq!(back, [("anna", told[0].1[0].hop), ("bo", None)], "a connection does not outlive the program");
    again.run(secs(3601));
    assert_eq!(again.nodes[0].switch.registrations().count(), 0, "they end as they would have");
    let last = again.nodes[0].registered.pop();
    assert!(last.is_some_and(|(_, bindings)| bindings.is_empty()), "and that is told");
}

#[test]
fn behind_a_proxy_without_outbound_there_is_no_flow() {
    let mut world = office();
    let mut anna = Device { transport: Transport::Tcp, ..Device::new("anna", "198.51.100.7:40001") };
    anna.contact = "<sip:anna@10.1.1.1;transport=tcp>;reg-id=1;+sip.instance=\"<urn:uuid:1>\"".into();
    anna.extra = "Supported: outbound\r\nVia: SIP/2.0/TCP 10.1.1.1;branch=z9hG4bKx\r\n".into();
    assert_eq!(anna.register(&mut world, "").code, 439);
    anna.extra.push_str("Path: <sip:edge@198.51.100.7;lr;ob>\r\n");
    assert_eq!(anna.register(&mut world, "").headers.get("Require"), Some("outbound"));
}

#[test]
fn phones_on_udp_are_kept_reachable_and_silence_is_noted() {
    let mut world = World::with(|config| {
        config.phones.keep_alive = Some(secs(30));
        config.phones.add(Phone::new("anna", "201", "secret"));
    });
    let mut anna = Device { contact: "<sip:anna@10.1.1.1>".into(), ..Device::new("anna", "198.51.100.7:5070") };
    anna.register(&mut world, "");
    world.run(secs(31));
    let options = world.request_at(anna.at, Method::Options);
    assert_eq!(options.uri.to_string(), "sip:anna@10.1.1.1");
    let silent = |world: &World| world.nodes[0].switch.registrations().all(|(_, one)| one.silent);
    world.run(secs(33));
    assert!(silent(&world), "no answer came");
    world.inbox.clear();
    world.run(secs(30));
    let options = world.request_at(anna.at, Method::Options);
    world.say(anna.at, answer(&options, 200, "anna", None));
    world.settle();
    assert!(!silent(&world));
}

#[test]
fn a_phone_that_is_taken_out_of_the_configuration_is_gone() {
    let mut world = office();
    Device::new("anna", "198.51.100.7:5070").register(&mut world, "");
    let mut config = config(address("192.0.2.1:5060"));
    config.phones.algorithms = vec![Algorithm::Md5];
    config.phones.add(Phone::new("bo", "202", "secret"));
    world.input(0, Input::Configure(Box::new(config)));
    assert_eq!(world.nodes[0].switch.registrations().count(), 0);
    let mut bo = Device::new("bo", "198.51.100.20:5060");
    bo.say(&mut world, "REGISTER", "sip:192.0.2.1", "");
    assert_eq!(bo.response(&mut world).headers.all("WWW-Authenticate").count(), 1);
}
