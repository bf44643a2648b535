//! Numbers that are put through without a script.

use super::*;
use crate::media::Role;

const ANNA: &str = "203.0.113.1:5060";
const BERT: &str = "203.0.113.2:5060";

/// The number 100 leads to `targets`.
pub(super) fn world(targets: &[&str], strategy: Strategy, direct: bool) -> World {
    let targets = targets.iter().map(|target| (*target).to_owned()).collect();
    let through = Through { targets, strategy, timeout: secs(20), direct };
    World::with(|config| {
        config.routes[0].service = Service::Through(Arc::new(through));
    })
}

fn to_anna() -> World {
    world(&["sip:{called}@203.0.113.1"], Strategy::All, false)
}

pub(super) fn says(world: &mut World, at: &str, request: &SipRequest, code: u16, body: Option<&str>) {
    world.say(address(at), answer(request, code, &format!("tag{}", &at[10..11]), body));
    world.settle();
}

fn sdp_of(formats: &str) -> String {
    sdp().replace("RTP/AVP 0 101", &format!("RTP/AVP {formats}"))
}

/// What the m-line of a message says.
pub(super) fn formats(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body).into_owned();
    let line = text.lines().find(|line| line.starts_with("m=audio")).expect("audio");
    line.split(' ').skip(3).collect::<Vec<_>>().join(" ")
}

/// A call that Anna answered.
fn connected() -> (World, Caller, SipRequest) {
    let mut world = to_anna();
    let mut caller = Caller::new();
    caller.invite(&mut world, Some(&sdp()));
    let invite = world.request_at(address(ANNA), Method::Invite);
    says(&mut world, ANNA, &invite, 200, Some(&sdp_at("203.0.113.1", 5000)));
    world.request_at(address(ANNA), Method::Ack);
    let response = world.response_at(caller.at, 200);
    caller.ack(&mut world, &response, None);
    (world, caller, invite)
}

#[test]
fn a_call_is_put_through_without_a_script_and_the_two_hear_each_other() {
    let (mut world, mut caller, invite) = connected();
    assert_eq!(invite.uri.to_string(), "sip:100@203.0.113.1", "the number that was called stands in the target");
    assert_eq!(invite.headers.from.uri.user.as_deref(), Some("anna"), "the caller's number is shown");
    let joins = world.node().commands.iter().filter(|(_, c)| matches!(c, Command::Join { role: Role::Both, .. }));
    assert_eq!(joins.count(), 2);
    assert!(!world.commands().contains(&"Play"), "the caller hears what the target sends, and nothing of ours");
    caller.send(&mut world, "BYE", None);
    world.request_at(address(ANNA), Method::Bye);
    assert!(world.node().starts.is_empty() && world.node().stops.is_empty() && world.node().replies.is_empty());
    world.assert_clean(2);
    let statuses: Vec<Status> = world.node().records.iter().map(|record| record.status).collect();
    assert_eq!(statuses, [Status::Completed; 2]);
}

#[test]
fn when_the_target_hangs_up_the_caller_is_hung_up_too() {
    let (mut world, caller, invite) = connected();
    world.say(address(ANNA), bye(&invite));
    world.settle();
    world.response_at(address(ANNA), 200);
    world.request_at(caller.at, Method::Bye);
    world.assert_clean(2);
}

/// Anna hangs up.
pub(super) fn bye(invite: &SipRequest) -> String {
    let (to, from) = (&invite.headers.from, &invite.headers.to);
    format!(
        "BYE sip:switchhook@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP {ANNA};branch=z9hG4bKbye\r\nMax-Forwards: 70\r\n\
         From: {from};tag=tag1\r\nTo: {to}\r\nCall-ID: {}\r\nCSeq: 1 BYE\r\nContent-Length: 0\r\n\r\n",
        invite.headers.call_id
    )
}

#[test]
fn ringing_and_early_media_of_the_target_come_to_the_caller_as_they_are() {
    let mut world = to_anna();
    let mut caller = Caller::new();
    caller.invite(&mut world, Some(&sdp()));
    let invite = world.request_at(address(ANNA), Method::Invite);
    says(&mut world, ANNA, &invite, 180, None);
    world.response_at(caller.at, 180);
    says(&mut world, ANNA, &invite, 183, Some(&sdp_at("203.0.113.1", 5000)));
    let early = world.response_at(caller.at, 183);
    assert!(!early.body.is_empty());
    let speaks = world.node().commands.iter().any(|(_, c)| matches!(c, Command::Join { role: Role::Speak, .. }));
    assert!(speaks, "what the target sends is heard");
    assert!(!world.commands().contains(&"Play"));
    caller.to_tag = early.headers.to.tag().map(str::to_owned);
    says(&mut world, ANNA, &invite, 200, Some(&sdp_at("203.0.113.1", 5000)));
    let response = world.response_at(caller.at, 200);
    assert_eq!(formats(&response.body), formats(&early.body));
    caller.ack(&mut world, &response, None);
    caller.send(&mut world, "BYE", None);
    world.assert_clean(2);
}

#[test]
fn a_refusal_comes_to_the_caller_with_its_code() {
    for (code, told) in [(486, 486), (404, 404), (480, 480), (603, 603), (407, 503)] {
        let mut world = to_anna();
        let mut caller = Caller::new();
        caller.invite(&mut world, Some(&sdp()));
        let invite = world.request_at(address(ANNA), Method::Invite);
        says(&mut world, ANNA, &invite, code, None);
        world.response_at(caller.at, told);
        caller.cseq = 1;
        world.assert_clean(2);
    }
}

#[test]
fn in_turn_the_second_target_is_rung_when_the_first_is_busy() {
    let mut world = world(&["sip:a@203.0.113.1", "sip:b@203.0.113.2"], Strategy::InTurn, false);
    let mut caller = Caller::new();
    caller.invite(&mut world, Some(&sdp()));
    let first = world.request_at(address(ANNA), Method::Invite);
    assert!(!world.seen().iter().any(|line| line.starts_with(BERT)));
    says(&mut world, ANNA, &first, 486, None);
    let second = world.request_at(address(BERT), Method::Invite);
    says(&mut world, BERT, &second, 200, Some(&sdp_at("203.0.113.2", 5000)));
    let response = world.response_at(caller.at, 200);
    caller.ack(&mut world, &response, None);
    caller.send(&mut world, "BYE", None);
    world.request_at(address(BERT), Method::Bye);
    world.assert_clean(3);
}

#[test]
fn a_caller_who_gives_up_cancels_the_target() {
    let mut world = to_anna();
    let mut caller = Caller::new();
    caller.invite(&mut world, Some(&sdp()));
    let invite = world.request_at(address(ANNA), Method::Invite);
    says(&mut world, ANNA, &invite, 180, None);
    let cancel = caller.text("CANCEL", None, "");
    world.say(caller.at, cancel);
    world.settle();
    world.response_at(caller.at, 487);
    let cancel = world.request_at(address(ANNA), Method::Cancel);
    says(&mut world, ANNA, &cancel, 200, None);
    says(&mut world, ANNA, &invite, 487, None);
    world.assert_clean(2);
}

#[test]
fn what_no_rule_allows_is_not_put_through() {
    let mut world = world(&["+4930123"], Strategy::All, false);
    let mut caller = Caller::new();
    caller.invite(&mut world, Some(&sdp()));
    world.response_at(caller.at, 403);
    world.assert_clean(1);
}

#[test]
fn a_number_that_leads_to_itself_ends_after_as_many_hops_as_the_caller_allowed() {
    let mut world = world(&["sip:100@192.0.2.1"], Strategy::All, false);
    let mut caller = Caller::new();
    let text = caller.text("INVITE", Some(("application/sdp", &sdp())), "").replace("Forwards: 70", "Forwards: 5");
    world.say(caller.at, text);
    world.run(secs(2));
    world.response_at(caller.at, 483);
    world.assert_clean(10);
}

#[test]
fn the_target_is_offered_the_callers_codecs_first_and_the_caller_answered_with_the_targets() {
    let mut world = to_anna();
    let mut caller = Caller::new();
    caller.invite(&mut world, Some(&sdp_of("8 0 101")));
    let invite = world.request_at(address(ANNA), Method::Invite);
    assert_eq!(formats(&invite.body), "8 0 101", "the caller's order, though ours is another");
    says(&mut world, ANNA, &invite, 200, Some(&sdp_of("0 101")));
    let response = world.response_at(caller.at, 200);
    assert_eq!(formats(&response.body), "0 101", "what the target took, so that nothing is transcoded");
    caller.ack(&mut world, &response, None);
    caller.send(&mut world, "BYE", None);
    world.assert_clean(2);
}

#[test]
fn a_caller_without_an_offer_gets_ours_and_is_put_through() {
    let mut world = to_anna();
    let mut caller = Caller::new();
    caller.invite(&mut world, None);
    let invite = world.request_at(address(ANNA), Method::Invite);
    says(&mut world, ANNA, &invite, 183, Some(&sdp_at("203.0.113.1", 5000)));
    world.response_at(caller.at, 180);
    says(&mut world, ANNA, &invite, 200, Some(&sdp_at("203.0.113.1", 5000)));
    let response = world.response_at(caller.at, 200);
    caller.ack(&mut world, &response, Some(&sdp()));
    let joins = world.node().commands.iter().filter(|(_, c)| matches!(c, Command::Join { role: Role::Both, .. }));
    assert_eq!(joins.count(), 2);
    caller.send(&mut world, "BYE", None);
    world.assert_clean(2);
}
