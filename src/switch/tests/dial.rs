use super::*;
use crate::media::Role;

const ANNA: &str = "203.0.113.1:5060";
const BERT: &str = "203.0.113.2:5060";
const CARL: &str = "203.0.113.3:5060";

fn dial(targets: &[&str]) -> Dial {
    Dial {
        targets: targets.iter().map(|at| format!("sip:someone@{at}")).collect(),
        strategy: Strategy::All,
        timeout: secs(20),
        early_media: true,
        caller_id: None,
        headers: vec![("X-Hunt".into(), "1".into())],
        ringback: None,
    }
}

fn invites(world: &mut World, at: &[&str]) -> Vec<SipRequest> {
    at.iter().map(|at| world.request_at(address(at), Method::Invite)).collect()
}

/// `at` answers `request`.
fn says(world: &mut World, at: &str, request: &SipRequest, code: u16, body: Option<&str>) {
    let tag = format!("tag{}", &at[10..11]);
    world.say(address(at), answer(request, code, &tag, body));
}

fn ringing(targets: &[&str]) -> (World, Caller, RequestId, Vec<SipRequest>) {
    let (mut world, caller, flow, call) = answered();
    let id = world.ask(flow, call, Verb::Dial(dial(targets)));
    world.settle();
    let invites = invites(&mut world, targets);
    (world, caller, id, invites)
}

#[test]
fn all_ring_at_once_the_first_answer_wins_and_the_others_are_cancelled() {
    let (mut world, mut caller, id, requests) = ringing(&[ANNA, BERT, CARL]);
    assert_eq!(requests[1].headers.from.uri.user.as_deref(), Some("anna"), "they see the caller's number");
    assert_eq!(requests[1].headers.get("X-Hunt"), Some("1"));
    assert_eq!(world.commands()[2..], ["Play", "Open", "Open", "Open"], "the caller hears ringing");
    for (at, request) in [ANNA, BERT, CARL].iter().zip(&requests) {
        says(&mut world, at, request, 180, None);
    }
    world.settle();
    says(&mut world, BERT, &requests[1], 200, Some(&sdp_at("203.0.113.2", 5000)));
    world.settle();
    world.request_at(address(BERT), Method::Ack);
    for (at, request) in [(ANNA, &requests[0]), (CARL, &requests[2])] {
        let cancel = world.request_at(address(at), Method::Cancel);
        assert!(cancel.headers.get("Reason").is_some_and(|reason| reason.contains("cause=200")));
        says(&mut world, at, &cancel, 200, None);
        says(&mut world, at, request, 487, None);
    }
    world.settle();
    let Some(&Reply::Dialed { call, target: 1 }) = world.reply(id) else { panic!("{:?}", world.reply(id)) };
    let joins = world.node().commands.iter().filter(|(_, c)| matches!(c, Command::Join { role: Role::Both, .. }));
    assert_eq!(joins.count(), 2);
    assert_eq!(world.node().records.len(), 2, "the losers");

    let flow = world.node().starts[0].flow;
    let own = world.node().starts[0].call;
    let wait = world.ask(flow, own, Verb::Bridge { other: call, stop_on: String::new() });
    caller.send(&mut world, "BYE", None);
    world.request_at(address(BERT), Method::Bye);
    assert_eq!(world.reply(wait), None);
    world.assert_clean(4);
    let parent = world.node().records.iter().find(|r| r.direction == Direction::Inbound).unwrap().id.clone();
    let legs: Vec<_> = world.node().records.iter().filter(|r| r.direction == Direction::Outbound).collect();
    assert_eq!(legs.iter().filter(|r| r.status == Status::Completed).count(), 1);
    assert_eq!(legs.iter().filter(|r| r.status == Status::Canceled).count(), 2);
    assert!(legs.iter().all(|leg| leg.parent == Some(parent.clone())));
}

#[test]
fn all_ports_of_a_hunt_are_on_the_callers_thread() {
    let (world, ..) = ringing(&[ANNA, BERT, CARL]);
    assert!(world.node().opened.iter().all(|(_, worker)| *worker == WorkerId(0)));
}

#[test]
fn of_two_answers_at_once_exactly_one_stays() {
    let (mut world, _, id, requests) = ringing(&[ANNA, BERT]);
    says(&mut world, ANNA, &requests[0], 200, Some(&sdp()));
    says(&mut world, BERT, &requests[1], 200, Some(&sdp()));
    world.settle();
    assert!(matches!(world.reply(id), Some(Reply::Dialed { target: 0, .. })));
    world.request_at(address(ANNA), Method::Ack);
    world.request_at(address(BERT), Method::Ack);
    world.request_at(address(BERT), Method::Bye);
    assert!(!world.seen().iter().any(|line| line.starts_with(ANNA)), "{:?}", world.seen());
    let flow = world.node().starts[0].flow;
    world.end_flow(flow, FlowEnd::Finished);
    world.assert_clean(3);
}

#[test]
fn a_caller_who_gives_up_cancels_all_who_ring() {
    let (mut world, mut caller, id, requests) = ringing(&[ANNA, BERT]);
    says(&mut world, ANNA, &requests[0], 180, None);
    says(&mut world, BERT, &requests[1], 180, None);
    world.settle();
    caller.send(&mut world, "BYE", None);
    world.request_at(address(ANNA), Method::Cancel);
    world.request_at(address(BERT), Method::Cancel);
    assert_eq!(world.reply(id), None);
    says(&mut world, ANNA, &requests[0], 200, Some(&sdp()));
    world.settle();
    world.request_at(address(ANNA), Method::Ack);
    world.request_at(address(ANNA), Method::Bye);
    world.assert_clean(3);
}

#[test]
fn a_target_before_its_first_word_is_cancelled_as_soon_as_it_speaks() {
    let (mut world, mut caller, _, requests) = ringing(&[ANNA]);
    caller.send(&mut world, "BYE", None);
    assert!(!world.seen().iter().any(|line| line.ends_with("CANCEL")));
    says(&mut world, ANNA, &requests[0], 180, None);
    world.settle();
    world.request_at(address(ANNA), Method::Cancel);
    says(&mut world, ANNA, &requests[0], 487, None);
    world.assert_clean(2);
}

#[test]
fn when_all_fail_the_best_reason_is_told() {
    let (mut world, _, id, requests) = ringing(&[ANNA, BERT, CARL]);
    says(&mut world, ANNA, &requests[0], 503, None);
    says(&mut world, BERT, &requests[1], 486, None);
    world.settle();
    assert_eq!(world.reply(id), None);
    says(&mut world, CARL, &requests[2], 404, None);
    world.settle();
    assert_eq!(world.reply(id), Some(&Reply::Failed(Failure::Busy)));
    assert_eq!(world.commands().last(), Some(&"Stop"), "the ringing stops");
}

#[test]
fn ringing_stops_for_all_after_the_timeout() {
    let (mut world, _, id, requests) = ringing(&[ANNA, BERT]);
    says(&mut world, ANNA, &requests[0], 180, None);
    world.run(secs(19));
    assert_eq!(world.reply(id), None);
    world.run(secs(2));
    assert_eq!(world.reply(id), Some(&Reply::Failed(Failure::NoAnswer)));
    world.request_at(address(ANNA), Method::Cancel);
}

#[test]
fn one_after_another_each_has_its_own_time() {
    let (mut world, _, flow, call) = answered();
    let hunt = Dial { strategy: Strategy::InTurn, timeout: secs(5), ..dial(&[ANNA, BERT, CARL]) };
    let id = world.ask(flow, call, Verb::Dial(hunt));
    world.settle();
    let anna = invites(&mut world, &[ANNA])[0].clone();
    says(&mut world, ANNA, &anna, 180, None);
    world.settle();
    assert_eq!(world.seen(), [] as [&str; 0], "only the first one rings");
    world.run(secs(5));
    let bert = invites(&mut world, &[BERT])[0].clone();
    says(&mut world, BERT, &bert, 486, None);
    world.settle();
    let carl = invites(&mut world, &[CARL])[0].clone();
    says(&mut world, CARL, &carl, 200, Some(&sdp()));
    world.settle();
    assert!(matches!(world.reply(id), Some(Reply::Dialed { target: 2, .. })));
}

#[test]
fn a_target_that_leads_nowhere_does_not_spoil_the_others() {
    let (mut world, _, flow, call) = answered();
    let mut hunt = dial(&[ANNA, BERT]);
    hunt.targets.insert(0, "nonsense".into());
    hunt.targets.insert(1, "sip:x@nowhere.example".into());
    let id = world.ask(flow, call, Verb::Dial(hunt));
    world.settle();
    let query = world.node().queries[0].0;
    world.input(0, Input::Resolved { query, result: Err("no such name".into()) });
    let requests = invites(&mut world, &[ANNA, BERT]);
    says(&mut world, BERT, &requests[1], 200, Some(&sdp()));
    world.settle();
    assert!(matches!(world.reply(id), Some(Reply::Dialed { target: 3, .. })));
}

#[test]
fn the_first_early_media_is_heard_until_somebody_answers() {
    let (mut world, _, id, requests) = ringing(&[ANNA, BERT]);
    let before = world.commands().len();
    says(&mut world, ANNA, &requests[0], 183, Some(&sdp()));
    world.settle();
    assert_eq!(world.commands()[before..], ["Update", "Stop", "Join", "Join"]);
    assert!(matches!(world.node().commands[before + 2].1, Command::Join { role: Role::Speak, .. }));
    says(&mut world, BERT, &requests[1], 183, Some(&sdp()));
    world.settle();
    assert_eq!(world.commands()[before + 4..], ["Update"], "the second one is not heard");
    says(&mut world, BERT, &requests[1], 200, Some(&sdp()));
    world.settle();
    assert!(matches!(world.reply(id), Some(Reply::Dialed { target: 1, .. })));
    let rest = world.commands()[before + 5..].to_vec();
    assert_eq!(rest.iter().filter(|name| **name == "Join").count(), 2, "{rest:?}");
    world.request_at(address(ANNA), Method::Cancel);
}

#[test]
fn ringing_comes_back_when_early_media_ends_without_an_answer() {
    let (mut world, _, _, requests) = ringing(&[ANNA, BERT]);
    says(&mut world, ANNA, &requests[0], 183, Some(&sdp()));
    world.settle();
    says(&mut world, ANNA, &requests[0], 486, None);
    world.settle();
    assert_eq!(world.commands().last(), Some(&"Play"));
}

#[test]
fn an_unanswered_caller_hears_ringing_and_is_answered_with_the_first_answer() {
    let mut world = World::new();
    let mut caller = Caller::new();
    caller.invite(&mut world, Some(&sdp()));
    let start = world.node().starts[0].clone();
    let id = world.ask(start.flow, start.call, Verb::Dial(dial(&[ANNA])));
    world.settle();
    world.response_at(caller.at, 183);
    assert_eq!(world.commands()[..3], ["Open", "Update", "Play"]);
    let requests = invites(&mut world, &[ANNA]);
    says(&mut world, ANNA, &requests[0], 200, Some(&sdp()));
    world.settle();
    assert_eq!(world.reply(id), None, "the caller's ACK is not in");
    let response = world.response_at(caller.at, 200);
    caller.ack(&mut world, &response, None);
    assert!(matches!(world.reply(id), Some(Reply::Dialed { target: 0, .. })));
}

#[test]
fn an_unanswered_caller_without_early_media_is_told_180() {
    let mut world = World::new();
    let mut caller = Caller::new();
    caller.invite(&mut world, Some(&sdp()));
    let start = world.node().starts[0].clone();
    let id = world.ask(start.flow, start.call, Verb::Dial(Dial { early_media: false, ..dial(&[ANNA]) }));
    world.settle();
    let requests = invites(&mut world, &[ANNA]);
    says(&mut world, ANNA, &requests[0], 180, None);
    world.settle();
    world.response_at(caller.at, 180);
    assert!(!world.seen().iter().any(|line| line.contains("183")));
    says(&mut world, ANNA, &requests[0], 200, Some(&sdp()));
    world.settle();
    let response = world.response_at(caller.at, 200);
    caller.ack(&mut world, &response, None);
    assert!(matches!(world.reply(id), Some(Reply::Dialed { target: 0, .. })));
    assert!(world.node().opened.iter().all(|(_, worker)| *worker == world.node().opened[0].1));
}

#[test]
fn a_callee_who_hangs_up_before_the_caller_is_answered_fails_the_dial() {
    let mut world = World::new();
    let mut caller = Caller::new();
    caller.invite(&mut world, Some(&sdp()));
    let start = world.node().starts[0].clone();
    let id = world.ask(start.flow, start.call, Verb::Dial(dial(&[ANNA])));
    world.settle();
    let requests = invites(&mut world, &[ANNA]);
    says(&mut world, ANNA, &requests[0], 200, Some(&sdp()));
    world.settle();
    let ack = world.request_at(address(ANNA), Method::Ack);
    world.say(address(ANNA), bye_from_callee(&ack));
    world.settle();
    assert_eq!(world.reply(id), Some(&Reply::Failed(Failure::HungUp)));
}

/// BYE of a callee, made from our ACK to it.
fn bye_from_callee(ack: &SipRequest) -> String {
    format!(
        "BYE sip:switchhook@192.0.2.1:5060 SIP/2.0\r\nVia: SIP/2.0/UDP 203.0.113.1;branch=z9hG4bKbye\r\n\
         Max-Forwards: 70\r\nFrom: {}\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: 1 BYE\r\nContent-Length: 0\r\n\r\n",
        ack.headers.to, ack.headers.from, ack.headers.call_id
    )
}

#[test]
fn the_callee_hangs_up_and_the_caller_goes_on() {
    let (mut world, mut caller, id, requests) = ringing(&[ANNA]);
    says(&mut world, ANNA, &requests[0], 200, Some(&sdp()));
    world.settle();
    let Some(&Reply::Dialed { call: leg, .. }) = world.reply(id) else { panic!("answered") };
    let ack = world.request_at(address(ANNA), Method::Ack);
    let (flow, own) = (world.node().starts[0].flow, world.node().starts[0].call);
    let wait = world.ask(flow, own, Verb::Bridge { other: leg, stop_on: String::new() });
    world.say(address(ANNA), bye_from_callee(&ack));
    world.settle();
    assert_eq!(world.reply(wait), Some(&Reply::Left(verbs::LeaveReason::PeerHungUp)));
    let again = world.ask(flow, own, Verb::Bridge { other: leg, stop_on: String::new() });
    assert_eq!(world.reply(again), Some(&Reply::Left(verbs::LeaveReason::PeerHungUp)));
    let never = world.ask(flow, own, Verb::Bridge { other: CallId(9999), stop_on: String::new() });
    assert_eq!(world.reply(never), Some(&Reply::Failed(Failure::NoSuchCall)));
    let play = world.ask(flow, own, Verb::Play(Play::new(vec![Sound::Silence(secs(1))])));
    assert!(matches!(world.reply(play), Some(Reply::Played { .. })));
    caller.send(&mut world, "BYE", None);
    world.assert_clean(2);
}

#[test]
fn a_key_of_the_caller_ends_the_bridge_and_both_stay() {
    let (mut world, _, id, requests) = ringing(&[ANNA]);
    says(&mut world, ANNA, &requests[0], 200, Some(&sdp()));
    world.settle();
    let Some(&Reply::Dialed { call: leg, .. }) = world.reply(id) else { panic!("answered") };
    let (flow, own) = (world.node().starts[0].flow, world.node().starts[0].call);
    let wait = world.ask(flow, own, Verb::Bridge { other: leg, stop_on: "*".into() });
    world.key(0, '*');
    assert_eq!(world.reply(wait), Some(&Reply::Left(verbs::LeaveReason::Key('*'))));
    assert_eq!(world.commands()[world.commands().len() - 2..], ["Leave", "Leave"]);
    let joins = |world: &World| world.commands().iter().filter(|name| **name == "Join").count();
    let before = joins(&world);
    world.ask(flow, own, Verb::Bridge { other: leg, stop_on: String::new() });
    assert_eq!(joins(&world), before + 2, "they are bridged again");
    let hangup = world.ask(flow, leg, Verb::Hangup);
    assert_eq!(world.reply(hangup), Some(&Reply::Done));
    world.settle();
    world.request_at(address(ANNA), Method::Bye);
}

#[test]
fn bad_orders_are_refused_before_anybody_rings() {
    let (mut world, _, flow, call) = answered();
    for (hunt, failure) in [
        (Dial { targets: vec![], ..dial(&[]) }, Failure::WrongState),
        (Dial { headers: vec![("From".into(), "x".into())], ..dial(&[ANNA]) }, Failure::WrongState),
        (Dial { caller_id: Some("a b".into()), ..dial(&[ANNA]) }, Failure::WrongState),
        (dial(&[ANNA; 33]), Failure::Limit("legs of a flow")),
    ] {
        let id = world.ask(flow, call, Verb::Dial(hunt));
        assert_eq!(world.reply(id), Some(&Reply::Failed(failure)));
    }
    world.settle();
    assert_eq!(world.seen(), [] as [&str; 0]);
    assert_eq!(world.node().switch.counts().calls, 1);
}
