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
    let dial = Dial {
        targets: vec!["+4930".into()],
        strategy: Strategy::All,
        timeout: secs(20),
        early_media: false,
        caller_id: None,
        headers: vec![],
        ringback: None,
    };
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
