//! Reason and Q.850 over the two legs.

use super::{hold::bridged, transfer::Phone, *};

const B: &str = "203.0.113.1:5060";
const CLEAR: &str = "Q.850;cause=16;text=\"Normal call clearing\"";

#[test]
fn what_one_party_says_about_its_end_is_repeated_to_the_other() {
    let (mut world, caller, flow, _, _, invite) = bridged();
    Phone::new(B, &invite, "b").send(&mut world, Method::Bye, &[("Reason", CLEAR)], "");
    world.end_flow(flow, FlowEnd::Finished);
    world.settle();
    assert_eq!(world.request_at(caller.at, Method::Bye).headers.get("Reason"), Some(CLEAR));
    // The other way round.
    let (mut world, mut caller, ..) = bridged();
    caller.cseq += 1;
    let text = caller.text("BYE", None, &format!("Reason: {CLEAR}\r\n"));
    world.say(caller.at, text);
    world.settle();
    assert_eq!(world.request_at(address(B), Method::Bye).headers.get("Reason"), Some(CLEAR));
}

#[test]
fn an_end_that_follows_later_has_reasons_of_its_own() {
    let (mut world, caller, flow, _, _, invite) = bridged();
    Phone::new(B, &invite, "b").send(&mut world, Method::Bye, &[("Reason", CLEAR)], "");
    world.run(secs(5));
    world.end_flow(flow, FlowEnd::Finished);
    world.settle();
    assert_eq!(world.request_at(caller.at, Method::Bye).headers.get("Reason"), None);
}

#[test]
fn a_refusal_carries_the_cause_of_the_one_who_refused() {
    let mut world = World::new();
    let mut caller = Caller::new();
    caller.invite(&mut world, Some(&sdp()));
    let start = world.node().starts[0].clone();
    let dial = ringing(&format!("sip:b@{B}"), 20);
    let id = world.ask(start.flow, start.call, Verb::Dial(dial));
    world.settle();
    let invite = world.request_at(address(B), Method::Invite);
    let mut response = invite.response(486, None);
    response.headers.push("Reason", "Q.850;cause=17");
    world.say(address(B), response.to_bytes());
    world.settle();
    assert_eq!(world.reply(id), Some(&Reply::Failed(Failure::Busy)));
    world.ask(start.flow, start.call, Verb::Reject { code: 486, reason: None });
    world.settle();
    assert_eq!(world.response_at(caller.at, 486).headers.get("Reason"), Some("Q.850;cause=17"));
}
