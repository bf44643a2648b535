//! Phones: who they are, where they are, and that they ring.

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

/// The body of the NOTIFY that came to the device; answered with `code`.
fn notified(world: &mut World, device: &Device, code: u16) -> (SipRequest, String) {
    let notify = world.request_at(device.at, Method::Notify);
    world.say(device.at, answer(&notify, code, "x", None));
    world.settle();
    let body = String::from_utf8(notify.body.to_vec()).unwrap();
    (notify, body)
}

#[test]
fn a_lamp_shows_that_the_phone_rings_talks_and_is_free() {
    let mut world = office();
    let mut anna = Device::new("anna", "198.51.100.7:5070");
    let mut bo = Device::new("bo", "198.51.100.20:5060");
    anna.register(&mut world, "");
    let told = bo.ask(&mut world, "SUBSCRIBE", "sip:201@192.0.2.1", "Event: dialog;id=7\r\nExpires: 600\r\n");
    assert_eq!((told.code, told.headers.get("Expires")), (200, Some("600")));
    let (notify, body) = notified(&mut world, &bo, 200);
    assert_eq!(notify.headers.get("Event"), Some("dialog;id=7"));
    assert_eq!(notify.headers.get("Subscription-State"), Some("active;expires=600"));
    assert!(body.contains("version=\"0\"") && body.contains("entity=\"sip:201@192.0.2.1\""), "{body}");
    assert!(!body.contains("<dialog "), "{body}");
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
    let invite = world.request_at(anna.at, Method::Invite);
    let (_, body) = notified(&mut world, &bo, 200);
    assert!(body.contains("version=\"1\"") && body.contains("<state>early</state>"), "{body}");
    assert!(body.contains("direction=\"recipient\"") && body.contains("<identity>100</identity>"), "{body}");
    world.say(anna.at, answer(&invite, 200, "anna", Some(&sdp())));
    world.settle();
    assert!(notified(&mut world, &bo, 200).1.contains("<state>confirmed</state>"));
    world.input(0, Input::HangUpAll);
    world.settle();
    assert!(!notified(&mut world, &bo, 481).1.contains("<dialog "), "free again");
    assert_eq!(world.nodes[0].switch.counts().subscriptions, 0, "481 ends it");
}

#[test]
fn a_subscription_ends_with_a_last_notify() {
    let mut world = office();
    let mut bo = Device::new("bo", "198.51.100.20:5060");
    bo.ask(&mut world, "SUBSCRIBE", "sip:202@192.0.2.1", "Event: message-summary\r\nExpires: 100\r\n");
    let (_, body) = notified(&mut world, &bo, 200);
    assert_eq!(body, "Messages-Waiting: no\r\nMessage-Account: sip:202@192.0.2.1\r\nVoice-Message: 0/0 (0/0)\r\n");
    world.run(secs(101));
    let (notify, _) = notified(&mut world, &bo, 200);
    assert_eq!(notify.headers.get("Subscription-State"), Some("terminated;reason=timeout"));
    assert_eq!(world.nodes[0].switch.counts().subscriptions, 0);
}

#[test]
fn what_nobody_may_subscribe_to_is_refused() {
    let mut world = office();
    let mut bo = Device::new("bo", "198.51.100.20:5060");
    bo.say(&mut world, "SUBSCRIBE", "sip:201@192.0.2.1", "Event: presence\r\n");
    let refused = bo.response(&mut world);
    assert_eq!(refused.code, 489);
    assert_eq!(refused.headers.all("Allow-Events").collect::<Vec<_>>(), ["dialog", "message-summary"]);
    let mut code = |uri, more: &str| bo.ask(&mut world, "SUBSCRIBE", uri, more).code;
    assert_eq!(code("sip:201@192.0.2.1", "Event: message-summary\r\n"), 403, "another's messages");
    assert_eq!(code("sip:999@192.0.2.1", "Event: dialog\r\n"), 404);
    assert_eq!(code("sip:201@192.0.2.1", "Event: dialog\r\nExpires: 5\r\n"), 423);
}

#[test]
fn waiting_messages_light_the_lamp_when_a_script_says_so() {
    let mut world = office();
    let mut bo = Device::new("bo", "198.51.100.20:5060");
    bo.ask(&mut world, "SUBSCRIBE", "sip:202@192.0.2.1", "Event: message-summary\r\n");
    notified(&mut world, &bo, 200);
    bo.say(&mut world, "INVITE", "sip:100@192.0.2.1", "");
    let challenge = bo.response(&mut world);
    bo.ask_again(&mut world, &challenge, "INVITE", "sip:100@192.0.2.1", "");
    let start = world.node().starts.last().unwrap().clone();
    let verb = |phone: &str| Verb::Mailbox { phone: phone.into(), new: 2, old: 5 };
    let id = world.ask(start.flow, start.call, verb("202"));
    assert_eq!(world.reply(id), Some(&Reply::Done));
    world.settle();
    let (_, body) = notified(&mut world, &bo, 200);
    assert!(body.starts_with("Messages-Waiting: yes") && body.contains("Voice-Message: 2/5"), "{body}");
    let id = world.ask(start.flow, start.call, verb("999"));
    assert_eq!(world.reply(id), Some(&Reply::Failed(Failure::Unreachable)));
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

#[test]
fn a_colleague_picks_up_what_rings_the_phone() {
    let mut world = office();
    let mut anna = Device::new("anna", "198.51.100.7:5070");
    anna.register(&mut world, "");
    let (_, caller) = talking(&mut world, "bo", "198.51.100.20:5060");
    let (_, taker) = talking(&mut world, "anna", "198.51.100.21:5060");
    let early = world.ask(taker.flow, taker.call, Verb::Pickup { phone: "202".into() });
    assert_eq!(world.reply(early), Some(&Reply::Failed(Failure::Unreachable)), "bo's phone does not ring");
    let dial = ringing("201", 30);
    let dialled = world.ask(caller.flow, caller.call, Verb::Dial(dial));
    world.settle();
    let invite = world.request_at(anna.at, Method::Invite);
    world.say(anna.at, answer(&invite, 180, "anna", None));
    world.settle();
    world.ask(taker.flow, taker.call, Verb::Pickup { phone: "201".into() });
    world.settle();
    assert_eq!(world.reply(dialled), Some(&Reply::Dialed { call: taker.call, target: 0 }));
    assert_eq!(world.node().stops, [taker.flow], "the taker's script is over, its call is not");
    world.request_at(anna.at, Method::Cancel);
    let wait = world.ask(caller.flow, caller.call, Verb::Bridge { other: taker.call, stop_on: String::new() });
    world.settle();
    assert_eq!(world.reply(wait), None, "they talk");
}

#[test]
fn a_parked_call_is_fetched_once() {
    let mut world = office();
    let (_, parked) = talking(&mut world, "bo", "198.51.100.20:5060");
    let (_, taker) = talking(&mut world, "anna", "198.51.100.21:5060");
    let empty = world.ask(taker.flow, taker.call, Verb::Retrieve { slot: "701".into() });
    assert_eq!(world.reply(empty), Some(&Reply::Failed(Failure::Unreachable)));
    let park = Verb::Park { slot: "701".into(), timeout: secs(60) };
    let waiting = world.ask(parked.flow, parked.call, park.clone());
    let taken = world.ask(taker.flow, taker.call, park.clone());
    assert_eq!(world.reply(taken), Some(&Reply::Failed(Failure::Busy)), "one call a slot");
    world.ask(taker.flow, taker.call, Verb::Retrieve { slot: "701".into() });
    assert_eq!(world.reply(waiting), Some(&Reply::Dialed { call: taker.call, target: 0 }));
    assert_eq!(world.node().stops, [taker.flow]);
    let again = world.ask(parked.flow, parked.call, park);
    world.run(secs(61));
    assert_eq!(world.reply(again), Some(&Reply::Failed(Failure::NoAnswer)), "nobody came");
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

/// What `name="..."` says in a document.
fn attribute(document: &str, name: &str) -> Option<String> {
    let start = document.find(&format!(" {name}=\""))? + name.len() + 3;
    document[start..].split('"').next().map(str::to_owned)
}

#[test]
fn a_lamp_tells_what_a_phone_needs_to_pick_up_what_rings_another() {
    let mut world = office();
    let mut anna = Device::new("anna", "198.51.100.7:5070");
    anna.register(&mut world, "");
    let mut bo = Device::new("bo", "198.51.100.20:5060");
    bo.ask(&mut world, "SUBSCRIBE", "sip:201@192.0.2.1", "Event: dialog\r\nExpires: 600\r\n");
    notified(&mut world, &bo, 200);
    world.inbox.clear();
    let (_, caller) = talking(&mut world, "bo", "198.51.100.21:5060");
    let (dialled, invite) = rung(&mut world, &caller, "201", anna.at);
    // Of the two documents (called; rings) the second one names the dialog.
    let mut document = notified(&mut world, &bo, 200).1;
    if attribute(&document, "call-id").is_none() {
        document = notified(&mut world, &bo, 200).1;
    }
    let named = |name: &str| attribute(&document, name).unwrap();
    assert_eq!(named("call-id"), invite.headers.call_id, "{document}");
    assert_eq!((named("local-tag"), Some(named("remote-tag").as_str())), ("anna".into(), invite.headers.from.tag()));
    let replaces = format!("{};to-tag={};from-tag={}", named("call-id"), named("remote-tag"), named("local-tag"));

    let mut thief = Device { user: "mallory".into(), ..Device::new("mallory", "198.51.100.66:5060") };
    thief.say(&mut world, "INVITE", "sip:201@192.0.2.1", &format!("Replaces: {replaces}\r\n"));
    assert_eq!(thief.response(&mut world).code, 401, "who takes a call says who he is");

    let mut taker = Device::new("bo", "198.51.100.22:5060");
    let more = format!("Replaces: {replaces}\r\n");
    taker.say(&mut world, "INVITE", "sip:201@192.0.2.1", &more);
    let challenge = taker.response(&mut world);
    taker.ask_again(&mut world, &challenge, "INVITE", "sip:201@192.0.2.1", &more);
    let ok = world.response_at(taker.at, 200);
    acknowledge(&mut world, &taker, &ok);
    let Some(Reply::Dialed { call: taken, target: 0 }) = world.reply(dialled).cloned() else {
        panic!("{:?}", world.reply(dialled));
    };
    world.request_at(anna.at, Method::Cancel);
    world.say(anna.at, answer(&invite, 487, "anna", None));
    world.settle();
    let wait = world.ask(caller.flow, caller.call, Verb::Bridge { other: taken, stop_on: String::new() });
    world.settle();
    assert_eq!(world.reply(wait), None, "they talk");
    let mut late = Device::new("bo", "198.51.100.23:5060");
    late.say(&mut world, "INVITE", "sip:201@192.0.2.1", &more);
    let challenge = late.response(&mut world);
    late.ask_again(&mut world, &challenge, "INVITE", "sip:201@192.0.2.1", &more);
    assert_eq!(late.response(&mut world).code, 481, "it rings no more");
}

#[test]
fn a_call_in_progress_is_not_named_by_the_lamp() {
    let mut world = office();
    let mut bo = Device::new("bo", "198.51.100.20:5060");
    bo.ask(&mut world, "SUBSCRIBE", "sip:201@192.0.2.1", "Event: dialog\r\nExpires: 600\r\n");
    notified(&mut world, &bo, 200);
    let _ = talking(&mut world, "anna", "198.51.100.21:5060");
    let documents: Vec<String> = world
        .said
        .iter()
        .filter_map(|message| match message {
            Message::Request(request) if request.method == Method::Notify => {
                Some(String::from_utf8_lossy(&request.body).into_owned())
            }
            _ => None,
        })
        .collect();
    assert!(documents.iter().any(|document| document.contains("<dialog id=")), "{documents:?}");
    assert!(!documents.iter().any(|document| document.contains("call-id")), "{documents:?}");
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

#[test]
fn who_is_parked_hears_music_until_it_is_fetched() {
    let mut world = office();
    let (_, parked) = talking(&mut world, "bo", "198.51.100.20:5060");
    let (_, taker) = talking(&mut world, "anna", "198.51.100.21:5060");
    world.nodes[0].commands.clear();
    world.ask(parked.flow, parked.call, Verb::Park { slot: "701".into(), timeout: secs(60) });
    assert_eq!(world.commands(), ["Play"]);
    world.ask(taker.flow, taker.call, Verb::Retrieve { slot: "701".into() });
    world.settle();
    assert!(world.commands().contains(&"Stop"), "{:?}", world.commands());
    world.nodes[0].commands.clear();
    let (_, parked) = talking(&mut world, "bo", "198.51.100.24:5060");
    world.ask(parked.flow, parked.call, Verb::Park { slot: "701".into(), timeout: secs(5) });
    world.run(secs(6));
    assert_eq!(world.commands().last(), Some(&"Stop"), "nobody came: the script plays what it likes");
}

#[test]
fn a_phone_that_proved_itself_may_transfer_and_a_guest_may_not() {
    for (proven, code) in [(true, 202), (false, 603)] {
        let mut world = office();
        if !proven {
            world = World::new();
        }
        let (device, start) = match proven {
            true => talking(&mut world, "bo", "198.51.100.20:5060"),
            false => {
                let (answered, caller, flow, call) = answered();
                world = answered;
                let mut start = world.node().starts[0].clone();
                (start.flow, start.call) = (flow, call);
                let device = Device { call_id: caller.call_id.clone(), ..Device::new("anna", PHONE) };
                (device, start)
            }
        };
        let (dialled, invite) = rung(&mut world, &start, "sip:c@198.51.100.40", address("198.51.100.40:5060"));
        world.say(address("198.51.100.40:5060"), answer(&invite, 200, "anna", Some(&sdp())));
        world.settle();
        assert!(matches!(world.reply(dialled), Some(Reply::Dialed { .. })));
        let tag = world.said.iter().find_map(|message| match message {
            Message::Response(response) if response.headers.call_id == device.call_id && response.code == 200 => {
                response.headers.to.tag().map(str::to_owned)
            }
            _ => None,
        });
        let from = if proven { "fbo" } else { "anna" };
        let refer = format!(
            "REFER sip:100@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 10.9.9.9;rport;branch=z9hG4bKrefer\r\nFrom: \
             <sip:x@192.0.2.1>;tag={from}\r\nTo: <sip:100@192.0.2.1>;tag={}\r\nCall-ID: {}\r\nCSeq: 50 REFER\r\n\
             Max-Forwards: 70\r\nContact: <sip:x@{}>\r\nRefer-To: <sip:d@198.51.100.41>\r\nContent-Length: 0\r\n\r\n",
            tag.unwrap(),
            device.call_id,
            device.at,
        );
        world.say(device.at, refer);
        world.settle();
        world.response_at(device.at, code);
    }
}

#[test]
fn a_phone_that_was_rung_parks_its_caller_with_a_key() {
    let mut world = office();
    let (_, caller) = talking(&mut world, "bo", "198.51.100.20:5060");
    let callee = address("198.51.100.40:5060");
    let (dialled, invite) = rung(&mut world, &caller, "sip:c@198.51.100.40", callee);
    world.say(callee, answer(&invite, 200, "anna", Some(&sdp())));
    world.settle();
    let Some(Reply::Dialed { call: leg, .. }) = world.reply(dialled).cloned() else { panic!("not dialled") };
    let talk = world.ask(caller.flow, leg, Verb::Bridge { other: caller.call, stop_on: "#".into() });
    world.key(0, '#');
    assert_eq!(world.reply(talk), None, "the caller's keys do not count");
    world.key(1, '#');
    assert_eq!(world.reply(talk), Some(&Reply::Left(verbs::LeaveReason::Key('#'))));
    let gone = world.ask(caller.flow, leg, Verb::Hangup);
    assert_eq!(world.reply(gone), Some(&Reply::Done));
    let park = world.ask(caller.flow, caller.call, Verb::Park { slot: "201".into(), timeout: secs(60) });
    world.settle();
    assert_eq!((world.reply(park), world.commands().last()), (None, Some(&"Play")), "it waits, and hears music");
}
