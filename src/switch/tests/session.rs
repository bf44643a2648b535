//! Session timers in both roles, and UPDATE.

use super::{hold::bridged_in, *};

const B: &str = "203.0.113.1:5060";
const TIMER: &str = "Supported: timer\r\n";

/// An answered call whose INVITE had these fields, and our 200.
fn answered_with(world: World, extra: &str) -> (World, Caller, CallId, Response) {
    let (mut world, mut caller) = (world, Caller::new());
    let text = caller.text("INVITE", Some(("application/sdp", &sdp())), extra);
    world.say(caller.at, text);
    world.settle();
    let start = world.node().starts[0].clone();
    world.ask(start.flow, start.call, Verb::Answer);
    world.settle();
    let response = world.response_at(caller.at, 200);
    caller.ack(&mut world, &response, None);
    world.inbox.clear();
    (world, caller, start.call, response)
}

fn expires(response: &Response) -> Option<&str> {
    response.headers.get("Session-Expires")
}

fn send_with(world: &mut World, caller: &mut Caller, method: &str, body: Option<(&str, &str)>, extra: &str) {
    caller.cseq += 1;
    let text = caller.text(method, body, extra);
    world.say(caller.at, text);
    world.settle();
}

#[test]
fn a_caller_with_timers_refreshes_and_is_missed_when_it_does_not() {
    let (mut world, mut caller, _, response) = answered_with(World::new(), &format!("{TIMER}Session-Expires: 300\r\n"));
    assert_eq!(expires(&response), Some("300;refresher=uac"));
    assert_eq!(response.headers.get("Require"), Some("timer"));
    world.run(secs(200));
    send_with(&mut world, &mut caller, "UPDATE", None, &format!("{TIMER}Session-Expires: 300;refresher=uac\r\n"));
    assert_eq!(expires(&world.response_at(caller.at, 200)), Some("300;refresher=uac"));
    world.run(secs(260));
    assert_eq!(world.node().switch.counts().calls, 1, "it was refreshed");
    world.run(secs(10));
    world.request_at(caller.at, Method::Bye);
    world.assert_clean(1);
    let record = &world.node().records[0];
    assert_eq!((record.status, record.end_reason), (Status::Completed, EndReason::TelephonyError));
    assert_eq!(record.end_detail, Some(EndDetail::SessionExpired));
    assert!(record.error.as_deref().unwrap().contains("expired"));
}

#[test]
fn a_caller_who_leaves_the_refresh_to_us_gets_updates_where_it_allows_them() {
    let extra = format!("{TIMER}Session-Expires: 300;refresher=uas\r\nAllow: INVITE, ACK, BYE, UPDATE\r\n");
    let (mut world, caller, _, response) = answered_with(World::new(), &extra);
    assert_eq!(expires(&response), Some("300;refresher=uas"));
    for _ in 0..3 {
        world.run(secs(151));
        let update = world.request_at(caller.at, Method::Update);
        assert_eq!(update.headers.get("Session-Expires"), Some("300;refresher=uac"));
        assert!(update.body.is_empty());
        let mut response = update.response(200, None);
        response.headers.set("Session-Expires", "300;refresher=uac");
        world.say(caller.at, response.to_bytes());
        world.settle();
        world.inbox.clear();
    }
    assert_eq!(world.node().switch.counts().calls, 1);
    world.run(secs(200));
    world.request_at(caller.at, Method::Bye);
}

#[test]
fn a_peer_without_update_is_refreshed_by_reinvite_with_the_same_session() {
    for refuses in [false, true] {
        let allow = if refuses { "Allow: INVITE, UPDATE\r\n" } else { "Allow: INVITE, ACK, BYE\r\n" };
        let extra = format!("{TIMER}Session-Expires: 300;refresher=uas\r\n{allow}");
        let (mut world, caller, ..) = answered_with(World::new(), &extra);
        world.run(secs(150));
        world.settle();
        if refuses {
            let update = world.request_at(caller.at, Method::Update);
            world.say(caller.at, update.response(501, None).to_bytes());
            world.settle();
        }
        let invite = world.request_at(caller.at, Method::Invite);
        assert!(String::from_utf8_lossy(&invite.body).contains("a=sendrecv"));
        let mut response = invite.response(200, None);
        response.headers.set("Session-Expires", "300;refresher=uac");
        response.headers.set("Content-Type", "application/sdp");
        response.body = sdp().into();
        world.say(caller.at, response.to_bytes());
        world.settle();
        world.request_at(caller.at, Method::Ack);
        world.run(secs(149));
        assert_eq!(world.node().switch.counts().calls, 1);
    }
}

#[test]
fn a_refresh_that_nobody_answers_ends_the_call() {
    let extra = format!("{TIMER}Session-Expires: 300;refresher=uas\r\nAllow: UPDATE\r\n");
    for code in [None, Some(481)] {
        let (mut world, caller, ..) = answered_with(World::new(), &extra);
        world.run(secs(151));
        if let Some(code) = code {
            let update = world.request_at(caller.at, Method::Update);
            world.say(caller.at, update.response(code, None).to_bytes());
        }
        world.run(secs(33));
        world.request_at(caller.at, Method::Bye);
        world.assert_clean(1);
        assert_eq!(world.node().records[0].end_reason, EndReason::TelephonyError);
    }
}

#[test]
fn a_session_that_is_too_brief_gets_422_with_what_we_allow() {
    let mut world = World::with(|config| config.rules.session.min = secs(120));
    let mut caller = Caller::new();
    let brief = format!("{TIMER}Session-Expires: 119\r\n");
    let text = caller.text("INVITE", Some(("application/sdp", &sdp())), &brief);
    world.say(caller.at, text);
    world.settle();
    assert_eq!(world.response_at(caller.at, 422).headers.get("Min-SE"), Some("120"));
    let text = caller.text("ACK", None, "");
    world.say(caller.at, text);
    caller = Caller { call_id: "other".into(), ..Caller::new() };
    let (mut caller, ..) = answer_one(&mut world, caller);
    send_with(&mut world, &mut caller, "UPDATE", None, &brief);
    world.response_at(caller.at, 422);
    send_with(&mut world, &mut caller, "INVITE", Some(("application/sdp", &sdp())), &brief);
    world.response_at(caller.at, 422);
}

#[test]
fn a_callee_that_finds_the_timer_too_brief_is_asked_again_with_its_own() {
    let (mut world, _, flow, call) = answered_in(World::new());
    let dial = ringing(&format!("sip:b@{B}"), 20);
    let id = world.ask(flow, call, Verb::Dial(dial));
    world.settle();
    let invite = world.request_at(address(B), Method::Invite);
    assert_eq!(invite.headers.get("Session-Expires"), Some("1800"));
    let mut response = invite.response(422, None);
    response.headers.set("Min-SE", "3600");
    world.say(address(B), response.to_bytes());
    world.settle();
    world.request_at(address(B), Method::Ack);
    let again = world.request_at(address(B), Method::Invite);
    assert_eq!((again.headers.get("Session-Expires"), again.headers.get("Min-SE")), (Some("3600"), Some("3600")));
    assert_eq!(again.headers.cseq.number, 2);
    // The same once more leads nowhere.
    let mut response = again.response(422, None);
    response.headers.set("Min-SE", "3600");
    world.say(address(B), response.to_bytes());
    world.settle();
    assert_eq!(world.reply(id), Some(&Reply::Failed(Failure::Refused(422))));
}

#[test]
fn a_callee_that_agreed_to_refresh_and_vanishes_is_missed() {
    let (mut world, _, _, _, _, invite) = bridged_in(World::new());
    let mut dialog = sip::Dialog::uas(&invite, hop(B), "b").unwrap();
    let mut update = dialog.request(Method::Update, &"<sip:b@203.0.113.1>".parse().unwrap());
    update.headers.via.push("SIP/2.0/UDP 203.0.113.1:5060;branch=z9hG4bKu".parse().unwrap());
    update.headers.push("Supported", "timer");
    update.headers.push("Session-Expires", "90;refresher=uac");
    world.say(address(B), update.to_bytes());
    world.settle();
    world.response_at(address(B), 200);
    world.run(secs(59));
    assert_eq!(world.node().switch.counts().calls, 2);
    world.run(secs(1));
    world.request_at(address(B), Method::Bye);
    assert_eq!(world.node().switch.counts().calls, 1);
}

fn hop(at: &str) -> Hop {
    Hop { transport: Transport::Udp, interface: InterfaceId(0), remote: address(at) }
}

#[test]
fn an_update_with_an_offer_changes_the_media_and_one_without_common_codec_does_not() {
    let (mut world, mut caller, ..) = answered_with(World::new(), "");
    let moved = sdp_at("198.51.100.7", 4444);
    send_with(&mut world, &mut caller, "UPDATE", Some(("application/sdp", &moved)), "");
    let response = world.response_at(caller.at, 200);
    assert!(String::from_utf8_lossy(&response.body).contains("m=audio"));
    let remote = |world: &World| {
        let updates = world.node().commands.iter().rev();
        let mut streams = updates.filter_map(|(_, c)| match c {
            Command::Update { stream, .. } => Some(stream.remote),
            _ => None,
        });
        streams.next().flatten()
    };
    assert_eq!(remote(&world), Some(address("198.51.100.7:4444")));
    let body = sdp().replace("RTP/AVP 0 101", "RTP/AVP 18").replace("a=rtpmap:0 PCMU/8000\r\n", "");
    send_with(&mut world, &mut caller, "UPDATE", Some(("application/sdp", &body)), "");
    world.response_at(caller.at, 488);
    assert_eq!(remote(&world), Some(address("198.51.100.7:4444")));
    // While an offer of ours is open, theirs has to wait.
    caller.send(&mut world, "INVITE", None);
    let late = world.response_at(caller.at, 200);
    send_with(&mut world, &mut caller, "UPDATE", Some(("application/sdp", &moved)), "");
    world.response_at(caller.at, 491);
    caller.ack(&mut world, &late, Some(&sdp()));
}
