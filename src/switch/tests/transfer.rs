//! Transfers: by a party's REFER, by the party we ask, and by an INVITE that takes a call's place.

use super::{hold::bridged_in, *};

const B: &str = "203.0.113.1:5060";
const C: &str = "203.0.113.9:5060";

fn all(config: &mut Config) {
    config.rules.transfer = TransferRule::All;
}

/// Caller A and phone B in a bridge; both may transfer.
fn bridged() -> (World, Caller, FlowId, CallId, CallId, SipRequest) {
    bridged_in(World::with(all))
}

fn refer(world: &mut World, caller: &mut Caller, fields: &str) {
    caller.cseq += 1;
    let text = caller.text("REFER", None, fields);
    world.say(caller.at, text);
    world.settle();
}

fn to_c() -> String {
    format!("Refer-To: <sip:c@{C}>\r\n")
}

/// The bodies of the NOTIFYs that came to `at`, each of which is answered; they are gone from the inbox then.
fn told(world: &mut World, at: SocketAddr) -> Vec<String> {
    let mut bodies = Vec::new();
    while world.seen().iter().any(|seen| *seen == format!("{at} NOTIFY")) {
        let notify = world.request_at(at, Method::Notify);
        assert!(notify.headers.get("Event").unwrap().starts_with("refer;id="));
        let state = notify.headers.get("Subscription-State").unwrap().to_owned();
        let body = String::from_utf8_lossy(&notify.body).trim().to_owned();
        assert_eq!(state.starts_with("terminated"), !body.starts_with("SIP/2.0 1"), "{state} {body}");
        bodies.push(body);
        world.say(at, notify.response(200, None).to_bytes());
        world.settle();
    }
    bodies
}

fn has(world: &World, seen: &str) -> bool {
    world.seen().iter().any(|one| one == seen)
}

/// The phone at `at` answers an INVITE.
fn picks_up(world: &mut World, at: &str, invite: &SipRequest, tag: &str) {
    world.say(address(at), answer(invite, 200, tag, Some(&sdp_at(at.split(':').next().unwrap(), 4300))));
    world.settle();
}

/// Every dialog with a phone at `at` is ended with BYE, once; all BYEs are answered.
fn byes(world: &mut World, at: SocketAddr) -> usize {
    let mut count = 0;
    while has(world, &format!("{at} BYE")) {
        let bye = world.request_at(at, Method::Bye);
        world.say(at, bye.response(200, None).to_bytes());
        world.settle();
        count += 1;
    }
    count
}

/// Ports that are in the same bridge at the end, by order of their opening.
fn together(world: &World) -> Vec<usize> {
    let place = |port: &PortId| world.node().opened.iter().position(|(id, _)| id == port).unwrap();
    let mut inside = Vec::new();
    for (_, command) in &world.node().commands {
        match command {
            Command::Join { port, .. } => {
                inside.retain(|at| *at != place(port));
                inside.push(place(port));
            }
            Command::Leave { port } | Command::Close { port } => inside.retain(|at| *at != place(port)),
            _ => {}
        }
    }
    inside.sort_unstable();
    inside
}

#[test]
fn a_caller_transfers_its_partner_and_leaves() {
    let (mut world, mut caller, ..) = bridged();
    refer(&mut world, &mut caller, &to_c());
    assert_eq!(world.response_at(caller.at, 202).headers.cseq.method, Method::Refer);
    let invite = world.request_at(address(C), Method::Invite);
    assert_eq!(invite.uri.to_string(), format!("sip:c@{C}"));
    world.say(address(C), answer(&invite, 180, "c", None));
    world.settle();
    picks_up(&mut world, C, &invite, "c");
    let at = caller.at;
    assert_eq!(told(&mut world, at), ["SIP/2.0 100 Trying", "SIP/2.0 180 Ringing", "SIP/2.0 200 OK"]);
    assert_eq!(byes(&mut world, at), 1, "the one who transferred is out");
    assert_eq!(together(&world), [1, 2]);
    assert_eq!(world.node().stops.len(), 1, "its script, too");
    assert!(!has(&world, &format!("{B} BYE")) && !has(&world, &format!("{C} BYE")));
    assert_eq!(world.node().switch.counts().calls, 2);
    // The two live as long as each other.
    let mut dialog = sip::Dialog::uas(&invite, hop(C), "c").unwrap();
    let mut bye = dialog.request(Method::Bye, &format!("<sip:c@{C}>").parse().unwrap());
    bye.headers.via.push(format!("SIP/2.0/UDP {C};branch=z9hG4bKend").parse().unwrap());
    world.say(address(C), bye.to_bytes());
    world.settle();
    assert_eq!(byes(&mut world, address(B)), 1);
    world.assert_clean(3);
    let moved: Vec<EndReason> =
        world.node().records.iter().filter(|record| record.transferred).map(|record| record.end_reason).collect();
    assert_eq!(moved, [EndReason::AgentCompleted]);
}

fn hop(at: &str) -> Hop {
    Hop { transport: Transport::Udp, interface: InterfaceId(0), remote: address(at) }
}

#[test]
fn a_target_on_our_own_machine_but_another_port_is_somebody_else() {
    let (mut world, mut caller, ..) = bridged();
    refer(&mut world, &mut caller, "Refer-To: <sip:c@192.0.2.1:5080>\r\n");
    let invite = world.request_at(address("192.0.2.1:5080"), Method::Invite);
    assert_eq!(invite.uri.to_string(), "sip:c@192.0.2.1:5080");
    let at = caller.at;
    assert_eq!(told(&mut world, at), ["SIP/2.0 100 Trying"]);
    // Here it is a number, as if it had been dialled, and this one leads nowhere.
    refer(&mut world, &mut caller, "Refer-To: <sip:c@192.0.2.1:5060>\r\n");
    assert_eq!(world.response_at(caller.at, 491).headers.cseq.method, Method::Refer, "one is under way");
}

#[test]
fn a_target_that_refuses_leaves_everybody_where_they_were() {
    for (code, frag) in [(486, "SIP/2.0 486 Busy Here"), (404, "SIP/2.0 404 Not Found")] {
        let (mut world, mut caller, ..) = bridged();
        let before = together(&world);
        refer(&mut world, &mut caller, &to_c());
        let invite = world.request_at(address(C), Method::Invite);
        world.say(address(C), answer(&invite, code, "c", None));
        world.settle();
        let at = caller.at;
        assert_eq!(told(&mut world, at), ["SIP/2.0 100 Trying", frag]);
        assert_eq!(together(&world), before);
        assert_eq!(world.node().switch.counts().calls, 2);
        // And it may try again.
        refer(&mut world, &mut caller, &to_c());
        let invite = world.request_at(address(C), Method::Invite);
        picks_up(&mut world, C, &invite, "c");
        assert_eq!(told(&mut world, at).last().unwrap(), "SIP/2.0 200 OK");
    }
}

#[test]
fn a_caller_that_leaves_at_once_is_replaced_all_the_same() {
    for answers in [true, false] {
        let (mut world, mut caller, ..) = bridged();
        refer(&mut world, &mut caller, &to_c());
        let invite = world.request_at(address(C), Method::Invite);
        caller.send(&mut world, "BYE", None);
        assert_eq!(world.node().switch.counts().calls, 2, "the moved party waits");
        world.say(address(C), answer(&invite, 180, "c", None));
        world.settle();
        assert!(world.commands().contains(&"Play"), "and hears ringing");
        if answers {
            picks_up(&mut world, C, &invite, "c");
            assert_eq!(together(&world), [1, 2]);
            assert!(!has(&world, &format!("{B} BYE")));
        } else {
            world.say(address(C), answer(&invite, 480, "c", None));
            world.settle();
            assert_eq!(byes(&mut world, address(B)), 1, "nobody is left to talk to");
            world.assert_clean(3);
        }
    }
}

/// The dialog that phone B has with us, and a request of B's in it.
pub(super) struct Phone {
    at: &'static str,
    pub(super) dialog: sip::Dialog,
    count: u32,
}

impl Phone {
    pub(super) fn new(at: &'static str, invite: &SipRequest, tag: &str) -> Phone {
        Phone { at, dialog: sip::Dialog::uas(invite, hop(at), tag).unwrap(), count: 0 }
    }

    pub(super) fn send(&mut self, world: &mut World, method: Method, fields: &[(&str, &str)], body: &str) {
        self.count += 1;
        let mut request = self.dialog.request(method, &format!("<sip:x@{}>", self.at).parse().unwrap());
        let via = format!("SIP/2.0/UDP {};branch=z9hG4bK{}{}", self.at, method, self.count);
        request.headers.via.push(via.parse().unwrap());
        for (name, value) in fields {
            request.headers.push(name, *value);
        }
        request.body = body.to_owned().into();
        world.say(address(self.at), request.to_bytes());
        world.settle();
    }
}

#[test]
fn a_phone_that_we_called_transfers_the_caller_whose_script_goes_on() {
    let (mut world, mut caller, flow, call, peer, invite) = bridged_in(World::new());
    let wait = world.ask(flow, call, Verb::Bridge { other: peer, stop_on: String::new() });
    let mut phone = Phone::new(B, &invite, "b");
    phone.send(&mut world, Method::Refer, &[("Refer-To", &format!("<sip:c@{C}>"))], "");
    world.response_at(address(B), 202);
    let to_c = world.request_at(address(C), Method::Invite);
    picks_up(&mut world, C, &to_c, "c");
    assert_eq!(told(&mut world, address(B)), ["SIP/2.0 100 Trying", "SIP/2.0 200 OK"]);
    assert_eq!(byes(&mut world, address(B)), 1);
    assert_eq!(together(&world), [0, 2]);
    assert_eq!(world.reply(wait), None, "the conversation goes on, with somebody else");
    Phone::new(C, &to_c, "c").send(&mut world, Method::Bye, &[], "");
    assert_eq!(world.reply(wait), Some(&Reply::Left(verbs::LeaveReason::PeerHungUp)));
    caller.cseq = 9;
    caller.send(&mut world, "BYE", None);
    world.assert_clean(3);
}

#[test]
fn who_may_not_transfer_is_declined_and_who_cannot_is_told_why() {
    let (mut world, mut caller, ..) = bridged_in(World::new());
    refer(&mut world, &mut caller, &to_c());
    world.response_at(caller.at, 603);
    let (mut world, mut caller, flow, _) = answered_in(World::with(all));
    refer(&mut world, &mut caller, &to_c());
    world.response_at(caller.at, 603);
    world.end_flow(flow, FlowEnd::Finished);
    let (mut world, mut caller, ..) = bridged();
    for (fields, code) in
        [("", 400), ("Refer-To: <sip:c@203.0.113.9;method=BYE>\r\n", 400), ("Refer-To: <tel:+4930123>\r\n", 416)]
    {
        refer(&mut world, &mut caller, fields);
        world.response_at(caller.at, code);
    }
    refer(&mut world, &mut caller, &to_c());
    world.response_at(caller.at, 202);
    refer(&mut world, &mut caller, &to_c());
    world.response_at(caller.at, 491);
}

#[test]
fn nobody_is_told_how_it_goes_who_does_not_want_to_know() {
    let (mut world, mut caller, ..) = bridged();
    refer(&mut world, &mut caller, &format!("{}Refer-Sub: false\r\n", to_c()));
    assert_eq!(world.response_at(caller.at, 202).headers.get("Refer-Sub"), Some("false"));
    let invite = world.request_at(address(C), Method::Invite);
    picks_up(&mut world, C, &invite, "c");
    let at = caller.at;
    assert_eq!(told(&mut world, at), Vec::<String>::new());
    assert_eq!(byes(&mut world, at), 1);
}

/// A second call of the same caller, in a bridge with C.
fn consultation(world: &mut World) -> (Caller, SipRequest) {
    let (caller, flow, call) = answer_one(world, Caller { call_id: "second@phone".into(), ..Caller::new() });
    let dial = ringing(&format!("sip:c@{C}"), 20);
    world.ask(flow, call, Verb::Dial(dial));
    world.settle();
    let invite = world.request_at(address(C), Method::Invite);
    picks_up(world, C, &invite, "c");
    world.inbox.clear();
    (caller, invite)
}

#[test]
fn an_attended_transfer_joins_the_two_far_ends_and_frees_the_one_between() {
    let (mut world, mut caller, _, _, _, first) = bridged();
    let (second, to_c) = consultation(&mut world);
    let replaces = format!("second%40phone%3Bto-tag%3D{}%3Bfrom-tag%3Danna", second.to_tag.as_ref().unwrap());
    refer(&mut world, &mut caller, &format!("Refer-To: <sip:c@192.0.2.1?Replaces={replaces}>\r\n"));
    world.response_at(caller.at, 202);
    let at = caller.at;
    assert_eq!(told(&mut world, at), ["SIP/2.0 100 Trying", "SIP/2.0 200 OK"]);
    assert_eq!(byes(&mut world, at), 2, "both its calls");
    assert_eq!(together(&world), [1, 3]);
    assert!(!has(&world, &format!("{B} BYE")) && !has(&world, &format!("{C} BYE")), "{:?}", world.seen());
    Phone::new(B, &first, "b").send(&mut world, Method::Bye, &[], "");
    assert_eq!(byes(&mut world, address(C)), 1);
    let _ = to_c;
    world.assert_clean(4);
}

#[test]
fn a_replaced_call_elsewhere_is_named_to_the_target() {
    let (mut world, mut caller, ..) = bridged();
    let fields = format!(
        "Refer-To: <sip:c@{C}?Replaces=x%40y%3Bto-tag%3D1%3Bfrom-tag%3D2>\r\nReferred-By: <sip:anna@phone>\r\n"
    );
    refer(&mut world, &mut caller, &fields);
    let invite = world.request_at(address(C), Method::Invite);
    assert_eq!(invite.headers.get("Replaces"), Some("x@y;to-tag=1;from-tag=2"));
    assert_eq!(invite.headers.get("Referred-By"), Some("<sip:anna@phone>"));
    assert!(invite.uri.headers.is_empty());
}

#[test]
fn an_invite_takes_the_place_of_a_call_that_it_names() {
    let (mut world, caller, _, _, _, _) = bridged();
    let tag = caller.to_tag.clone().unwrap();
    let mut other = Caller { call_id: "new@phone".into(), at: address("198.51.100.8:5070"), ..Caller::new() };
    for (value, code) in [
        (format!("abc@phone;to-tag={tag};from-tag=eve"), 481),
        ("nonsense".to_owned(), 400),
        (format!("abc@phone;to-tag={tag};from-tag=anna;early-only"), 486),
    ] {
        let text = other.text("INVITE", Some(("application/sdp", &sdp())), &format!("Replaces: {value}\r\n"));
        world.say(other.at, text);
        world.settle();
        world.response_at(other.at, code);
        let text = other.text("ACK", None, "");
        world.say(other.at, text);
        world.settle();
        other.cseq += 1;
    }
    let fields = format!("Replaces: abc@phone;to-tag={tag};from-tag=anna\r\nRequire: replaces\r\n");
    let text = other.text("INVITE", Some(("application/sdp", &sdp())), &fields);
    world.say(other.at, text);
    world.settle();
    let response = world.response_at(other.at, 200);
    other.ack(&mut world, &response, None);
    assert_eq!(byes(&mut world, caller.at), 1);
    assert_eq!(together(&world), [1, 2]);
    assert!(!has(&world, &format!("{B} BYE")));
    other.send(&mut world, "BYE", None);
    assert_eq!(byes(&mut world, address(B)), 1);
    world.assert_clean(3);
}

/// Ask the caller of an answered call to call C.
fn transferring(timeout: Duration) -> (World, Caller, RequestId, SipRequest, Phone) {
    let (mut world, caller, flow, call) = answered();
    let wish = verbs::Transfer::Blind { target: format!("sip:c@{C}"), timeout };
    let id = world.ask(flow, call, Verb::Transfer(wish));
    world.settle();
    let refer = world.request_at(caller.at, Method::Refer);
    let mut dialog = sip::Dialog::uas(&refer, hop(PHONE), "anna").unwrap();
    dialog.local_seq = 100;
    (world, caller, id, refer, Phone { at: PHONE, dialog, count: 0 })
}

fn reports(world: &mut World, phone: &mut Phone, code: u16, state: &str) {
    let body = format!("SIP/2.0 {code} x\r\n");
    let fields = [("Event", "refer"), ("Subscription-State", state), ("Content-Type", "message/sipfrag;version=2.0")];
    phone.send(world, Method::Notify, &fields, &body);
    world.response_at(address(PHONE), 200);
}

#[test]
fn what_becomes_of_a_transfer_that_we_ask_for_is_told_in_words() {
    for (code, rang, want) in [
        (200, true, Reply::Transferred),
        (486, true, Reply::Failed(Failure::Busy)),
        (480, true, Reply::Failed(Failure::NoAnswer)),
        (404, false, Reply::Failed(Failure::Unreachable)),
        (603, true, Reply::Failed(Failure::Refused(603))),
    ] {
        let (mut world, caller, id, refer, mut phone) = transferring(secs(30));
        assert_eq!(refer.headers.get("Refer-To"), Some(&*format!("<sip:c@{C}>")));
        world.say(caller.at, refer.response(202, None).to_bytes());
        reports(&mut world, &mut phone, 100, "active;expires=60");
        if rang {
            reports(&mut world, &mut phone, 180, "active");
        }
        assert_eq!(world.reply(id), None);
        reports(&mut world, &mut phone, code, "terminated;reason=noresource");
        assert_eq!(world.reply(id), Some(&want));
        assert_eq!(world.node().switch.counts().calls, 1);
    }
}

#[test]
fn a_party_that_refuses_to_transfer_or_never_says_how_it_went_is_told_as_such() {
    let (mut world, caller, id, refer, _) = transferring(secs(30));
    world.say(caller.at, refer.response(603, None).to_bytes());
    world.settle();
    assert_eq!(world.reply(id), Some(&Reply::Failed(Failure::Refused(603))));
    let (mut world, caller, id, refer, _) = transferring(secs(30));
    world.say(caller.at, refer.response(202, None).to_bytes());
    world.run(secs(31));
    assert_eq!(world.reply(id), Some(&Reply::Failed(Failure::NoAnswer)));
    let (mut world, _, id, _, _) = transferring(secs(60));
    world.run(secs(33));
    assert_eq!(world.reply(id), Some(&Reply::Failed(Failure::Unreachable)));
    let (mut world, caller, id, refer, mut phone) = transferring(secs(30));
    world.say(caller.at, refer.response(202, None).to_bytes());
    reports(&mut world, &mut phone, 100, "terminated;reason=timeout");
    assert_eq!(world.reply(id), Some(&Reply::Failed(Failure::NoAnswer)));
}

#[test]
fn one_party_is_asked_to_call_the_other_in_our_place() {
    let (mut world, caller, flow, call, peer, invite) = bridged_in(World::new());
    let wish = verbs::Transfer::Attended { other: peer, timeout: secs(30) };
    world.ask(flow, call, Verb::Transfer(wish));
    world.settle();
    let refer = world.request_at(caller.at, Method::Refer);
    let text = refer.headers.get("Refer-To").unwrap();
    let to = sip::ReferTo::parse(text).unwrap();
    let replaces = to.replaces.unwrap();
    assert_eq!(replaces.call_id, invite.headers.call_id);
    assert_eq!((replaces.to_tag.as_str(), Some(replaces.from_tag.as_str())), ("b", invite.headers.from.tag()));
}

#[test]
fn a_notify_about_nothing_is_refused() {
    let (mut world, caller, ..) = answered();
    let mut phone = {
        let mut caller = caller;
        caller.send(&mut world, "OPTIONS", None);
        caller
    };
    for (fields, code) in [("Event: refer\r\n", 481), ("Event: presence\r\n", 489)] {
        phone.cseq += 1;
        let text = phone.text("NOTIFY", None, fields);
        world.say(phone.at, text);
        world.settle();
        world.response_at(phone.at, code);
    }
}
