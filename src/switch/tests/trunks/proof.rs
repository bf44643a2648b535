use super::*;
use crate::sip::auth::{Credentials, Secret};

const NEAR: &str = "Digest realm=\"near\", nonce=\"n1\", qop=\"auth\", algorithm=SHA-256";
const FAR: &str = "Digest realm=\"far\", nonce=\"n2\", qop=\"auth\"";

fn known(config: &mut Config) {
    first(config).credentials = Some(Credentials { user: "acct".into(), secret: Secret::Password("secret".into()) });
}

fn challenges(world: &mut World, request: &SipRequest, code: u16, challenge: &str) {
    let mut response = request.response(code, None);
    response.headers.to.set_tag("proxy");
    response.headers.push(if code == 401 { "WWW-Authenticate" } else { "Proxy-Authenticate" }, challenge);
    world.say(address(CARRIER_A), response.to_bytes());
    world.settle();
}

#[test]
fn a_carrier_that_challenges_invite_and_bye_gets_its_answers() {
    let mut world = world_with(known);
    originate(&mut world, "+4930", "1");
    let first = invite_at(&mut world, CARRIER_A);
    challenges(&mut world, &first, 407, NEAR);
    world.request_at(address(CARRIER_A), Method::Ack);
    let second = invite_at(&mut world, CARRIER_A);
    assert!(second.headers.get("Proxy-Authorization").unwrap().contains("algorithm=SHA-256, qop=auth, nc=00000001"));
    assert_eq!(second.headers.call_id, first.headers.call_id);
    assert_eq!(second.headers.from.tag(), first.headers.from.tag());
    assert_eq!(second.headers.cseq.number, first.headers.cseq.number + 1);
    assert_eq!(second.body, first.body);
    challenges(&mut world, &second, 401, FAR);
    let third = invite_at(&mut world, CARRIER_A);
    assert!(third.headers.get("Proxy-Authorization").is_some() && third.headers.get("Authorization").is_some());
    world.inbox.clear();
    says(&mut world, CARRIER_A, &third, 200, Some(&sdp()));
    let ack = world.request_at(address(CARRIER_A), Method::Ack);
    assert_eq!(ack.headers.cseq.number, third.headers.cseq.number);

    let flow = world.node().starts[0].flow;
    world.end_flow(flow, FlowEnd::Finished);
    world.settle();
    let bye = world.request_at(address(CARRIER_A), Method::Bye);
    challenges(&mut world, &bye, 407, NEAR);
    let again = world.request_at(address(CARRIER_A), Method::Bye);
    assert!(again.headers.get("Proxy-Authorization").is_some());
    assert_eq!(again.headers.cseq.number, bye.headers.cseq.number + 1);
    says(&mut world, CARRIER_A, &again, 200, None);
    world.assert_clean(1);
}

#[test]
fn a_wrong_password_leads_to_the_next_carrier() {
    let mut world = world_with(known);
    originate(&mut world, "+4930", "1");
    let first = invite_at(&mut world, CARRIER_A);
    challenges(&mut world, &first, 407, NEAR);
    let second = invite_at(&mut world, CARRIER_A);
    challenges(&mut world, &second, 407, NEAR);
    invite_at(&mut world, CARRIER_B);
}

#[test]
fn without_credentials_a_challenge_is_a_refusal() {
    let mut world = world_with(|config| config.trunking.outbound.rules.truncate(1));
    originate(&mut world, "+4930", "1");
    let invite = invite_at(&mut world, CARRIER_A);
    challenges(&mut world, &invite, 407, NEAR);
    assert_failed(&world, Failure::Refused(407), Some(407));
    world.assert_clean(1);
}

#[test]
fn credentials_are_only_for_their_carrier() {
    let mut world = world_with(known);
    originate(&mut world, "sip:+4930@203.0.113.1", "1");
    let invite = invite_at(&mut world, CARRIER_A);
    challenges(&mut world, &invite, 401, FAR);
    assert_failed(&world, Failure::Refused(401), Some(401));
}

#[test]
fn a_caller_who_gives_up_during_the_challenge_gets_no_second_invite() {
    let mut world = world_with(known);
    let mut caller = Caller::new();
    caller.invite(&mut world, Some(&sdp()));
    let start = world.node().starts[0].clone();
    let dial = ringing("+4930", 20);
    world.ask(start.flow, start.call, Verb::Dial(dial));
    world.settle();
    let invite = invite_at(&mut world, CARRIER_A);
    let cancel = caller.text("CANCEL", None, "");
    world.say(caller.at, cancel);
    world.settle();
    challenges(&mut world, &invite, 407, NEAR);
    assert!(!world.seen().iter().any(|line| line.ends_with("INVITE") && line.starts_with(CARRIER_A)));
    world.assert_clean(2);
}

/// A call over carrier a, answered with these header fields: the script's flow and call.
fn connected(world: &mut World, extra: &[(&str, &str)]) -> (FlowId, CallId) {
    originate(world, "+4930", "1");
    let invite = invite_at(world, CARRIER_A);
    let Message::Response(mut response) = parsed(&answer(&invite, 200, "carrier", Some(&sdp()))) else {
        unreachable!()
    };
    response.headers.set("Contact", format!("<sip:c@{CARRIER_A}>"));
    for (name, value) in extra {
        response.headers.push(name, *value);
    }
    world.say(address(CARRIER_A), response.to_bytes());
    world.settle();
    world.inbox.clear();
    let start = world.node().starts[0].clone();
    (start.flow, start.call)
}

/// The request with this method came, is challenged, and comes again with an answer.
#[track_caller]
fn proves(world: &mut World, method: Method, code: u16) -> SipRequest {
    let first = world.request_at(address(CARRIER_A), method);
    challenges(world, &first, code, NEAR);
    let again = world.request_at(address(CARRIER_A), method);
    let name = if code == 401 { "Authorization" } else { "Proxy-Authorization" };
    assert!(again.headers.get(name).is_some(), "{method}");
    assert_eq!(again.headers.cseq.number, first.headers.cseq.number + 1, "{method}");
    assert_eq!((&again.body, again.headers.to.tag()), (&first.body, first.headers.to.tag()), "{method}");
    again
}

#[test]
fn a_carrier_that_challenges_within_the_call_gets_its_answers() {
    let mut world = world_with(known);
    let (flow, call) = connected(&mut world, &[]);
    let hold = world.ask(flow, call, Verb::Hold { music: None });
    world.settle();
    let held = proves(&mut world, Method::Invite, 407);
    assert!(String::from_utf8_lossy(&held.body).contains("a=sendonly"));
    says(&mut world, CARRIER_A, &held, 200, Some(&sdp().replace("a=rtpmap:0", "a=recvonly\r\na=rtpmap:0")));
    assert_eq!(world.reply(hold), Some(&Reply::Done));
    let ack = world.said.iter().rev().find_map(|message| match message {
        Message::Request(request) if request.method == Method::Ack => Some(request.headers.cseq.number),
        _ => None,
    });
    assert_eq!(ack, Some(held.headers.cseq.number));

    let text = verbs::Text { kind: "text/plain".into(), text: "hi".into() };
    let message = verbs::Message { to: None, from: None, text, headers: vec![] };
    let texted = world.ask(flow, call, Verb::Messaging(verbs::Messaging::Send(message)));
    world.settle();
    let message = proves(&mut world, Method::Message, 407);
    says(&mut world, CARRIER_A, &message, 200, None);
    assert_eq!(world.reply(texted), Some(&Reply::Sent { code: 200 }));

    let transfer = verbs::Transfer::Blind { target: "sip:x@y".into(), timeout: secs(20) };
    let moved = world.ask(flow, call, Verb::Transfer(transfer));
    world.settle();
    let refer = proves(&mut world, Method::Refer, 401);
    assert_eq!(refer.headers.get("Refer-To"), Some("<sip:x@y>"));
    says(&mut world, CARRIER_A, &refer, 603, None);
    assert_eq!(world.reply(moved), Some(&Reply::Failed(Failure::Refused(603))));
}

#[test]
fn the_refresh_of_a_session_proves_who_we_are() {
    for (allow, method) in [("INVITE, UPDATE", Method::Update), ("INVITE", Method::Invite)] {
        let mut world = world_with(known);
        let timer = "1800;refresher=uac";
        connected(&mut world, &[("Allow", allow), ("Session-Expires", timer), ("Require", "timer")]);
        world.run(millis(900_000));
        let refresh = proves(&mut world, method, 407);
        says(&mut world, CARRIER_A, &refresh, 200, (method == Method::Invite).then(sdp).as_deref());
        world.run(secs(880));
        assert!(world.node().records.is_empty(), "the call goes on");
    }
}

#[test]
fn a_challenge_within_the_call_is_answered_once_only() {
    let mut world = world_with(known);
    let (flow, call) = connected(&mut world, &[]);
    let hold = world.ask(flow, call, Verb::Hold { music: None });
    world.settle();
    let again = proves(&mut world, Method::Invite, 407);
    challenges(&mut world, &again, 407, NEAR);
    assert_eq!(world.reply(hold), Some(&Reply::Failed(Failure::Refused(407))), "the password is wrong");
}

#[test]
fn a_prack_proves_who_we_are() {
    let mut world = world_with(known);
    originate(&mut world, "+4930", "1");
    let invite = invite_at(&mut world, CARRIER_A);
    let Message::Response(mut ringing) = parsed(&answer(&invite, 180, "carrier", None)) else { unreachable!() };
    ringing.headers.set("Contact", format!("<sip:c@{CARRIER_A}>"));
    ringing.headers.push("Require", "100rel");
    ringing.headers.push("RSeq", "7");
    world.say(address(CARRIER_A), ringing.to_bytes());
    world.settle();
    let prack = proves(&mut world, Method::PRack, 401);
    assert_eq!(prack.headers.get("RAck"), Some(format!("7 {} INVITE", invite.headers.cseq.number).as_str()));
}
