//! Reliable provisional answers in both directions, and what else happens before the answer.

use super::*;

const B: &str = "203.0.113.1:5060";

fn dial(world: &mut World, flow: FlowId, call: CallId, early_media: bool) -> RequestId {
    let dial = Dial {
        targets: vec![format!("sip:b@{B}")],
        strategy: Strategy::All,
        timeout: secs(20),
        early_media,
        caller_id: None,
        headers: vec![],
        ringback: None,
    };
    let id = world.ask(flow, call, Verb::Dial(dial));
    world.settle();
    id
}

fn ringing(extra: &str) -> (World, Caller, FlowId, CallId) {
    let (mut world, mut caller) = (World::new(), Caller::new());
    let text = caller.text("INVITE", Some(("application/sdp", &sdp())), extra);
    world.say(caller.at, text);
    world.settle();
    let start = world.node().starts[0].clone();
    (world, caller, start.flow, start.call)
}

fn prack(world: &mut World, caller: &mut Caller, response: &Response, body: Option<(&str, &str)>) {
    caller.to_tag = response.headers.to.tag().map(str::to_owned);
    let rack = format!("RAck: {} 1 INVITE\r\n", response.headers.get("RSeq").unwrap_or("0"));
    caller.cseq += 1;
    let text = caller.text("PRACK", body, &rack);
    world.say(caller.at, text);
    world.settle();
}

#[test]
fn early_media_is_repeated_until_the_prack_and_the_answer_waits_for_it() {
    let (mut world, mut caller, flow, call) = ringing("Supported: 100rel\r\n");
    world.ask(flow, call, Verb::Ring);
    world.settle();
    let ring = world.response_at(caller.at, 180);
    assert_eq!(ring.headers.get("RSeq"), None, "there is nothing in it that must not be lost");
    world.ask(flow, call, Verb::Progress);
    world.settle();
    let early = world.response_at(caller.at, 183);
    assert_eq!(early.headers.get("Require"), Some("100rel"));
    world.run(millis(600));
    world.response_at(caller.at, 183);
    let answer = world.ask(flow, call, Verb::Answer);
    world.settle();
    assert!(!world.seen().iter().any(|seen| seen.contains("200")), "{:?}", world.seen());
    prack(&mut world, &mut caller, &early, None);
    let mut answers = 0;
    while world.seen().iter().any(|seen| seen.ends_with("200 PRACK") || seen.ends_with("200 INVITE")) {
        let response = world.response_at(caller.at, 200);
        answers += 1;
        if response.headers.cseq.method == Method::Invite {
            caller.ack(&mut world, &response, None);
        }
    }
    assert_eq!(answers, 2);
    assert_eq!(world.reply(answer), Some(&Reply::Done));
    caller.cseq = 9;
    caller.send(&mut world, "BYE", None);
    world.assert_clean(1);
}

#[test]
fn a_caller_that_demands_it_gets_every_provisional_answer_reliably_and_in_order() {
    let (mut world, mut caller, flow, call) = ringing("Require: 100rel\r\n");
    world.ask(flow, call, Verb::Ring);
    world.ask(flow, call, Verb::Progress);
    world.settle();
    let ring = world.response_at(caller.at, 180);
    assert!(!world.seen().iter().any(|seen| seen.contains("183")), "it waits for its turn: {:?}", world.seen());
    prack(&mut world, &mut caller, &ring, None);
    world.response_at(caller.at, 200);
    let early = world.response_at(caller.at, 183);
    let number = |r: &Response| r.headers.get("RSeq").unwrap().parse::<u32>().unwrap();
    assert_eq!(number(&early), number(&ring) + 1);
    prack(&mut world, &mut caller, &ring, None);
    world.response_at(caller.at, 481);
    // Media may move with the PRACK.
    let moved = sdp_at("198.51.100.7", 4444);
    prack(&mut world, &mut caller, &early, Some(("application/sdp", &moved)));
    assert!(String::from_utf8_lossy(&world.response_at(caller.at, 200).body).contains("m=audio"));
    world.end_flow(flow, FlowEnd::Finished);
    world.assert_clean(1);
}

#[test]
fn a_caller_that_never_sends_the_prack_is_refused() {
    let (mut world, caller, flow, call) = ringing("Require: 100rel\r\n");
    world.ask(flow, call, Verb::Ring);
    world.run(secs(33));
    world.response_at(caller.at, 500);
    world.assert_clean(1);
    assert!(world.node().records[0].error.as_deref().unwrap().contains("PRACK"));
}

#[test]
fn reliability_can_be_switched_off_but_not_for_those_who_demand_it() {
    for (extra, reliable) in [("Supported: 100rel\r\n", false), ("Require: 100rel\r\n", true)] {
        let (mut world, mut caller) = (World::with(|config| config.rules.reliable = false), Caller::new());
        let text = caller.text("INVITE", Some(("application/sdp", &sdp())), extra);
        world.say(caller.at, text);
        world.settle();
        let start = world.node().starts[0].clone();
        world.ask(start.flow, start.call, Verb::Progress);
        world.settle();
        assert_eq!(world.response_at(caller.at, 183).headers.get("RSeq").is_some(), reliable);
    }
}

/// A provisional answer of the callee's.
fn says(world: &mut World, invite: &SipRequest, code: u16, tag: &str, rseq: Option<u32>, body: Option<&str>) {
    let Message::Response(mut response) = parsed(&answer(invite, code, tag, body)) else { unreachable!("it is one") };
    if let Some(rseq) = rseq {
        response.headers.set("Require", "100rel");
        response.headers.set("RSeq", rseq.to_string());
    }
    world.say(address(B), response.to_bytes());
    world.settle();
}

#[test]
fn a_callees_reliable_answers_are_acknowledged_once_and_in_order() {
    let (mut world, _, flow, call) = answered();
    let id = dial(&mut world, flow, call, true);
    let invite = world.request_at(address(B), Method::Invite);
    assert!(invite.headers.all("Supported").any(|tag| tag == "100rel"));
    says(&mut world, &invite, 180, "b", Some(70), None);
    let first = world.request_at(address(B), Method::PRack);
    assert_eq!(first.headers.get("RAck"), Some("70 1 INVITE"));
    assert_eq!(first.headers.to.tag(), Some("b"));
    world.say(address(B), first.response(200, None).to_bytes());
    says(&mut world, &invite, 180, "b", Some(70), None);
    says(&mut world, &invite, 183, "b", Some(72), Some(&sdp()));
    assert!(
        !world.seen().iter().any(|seen| seen.contains("PRACK")),
        "neither again nor out of order: {:?}",
        world.seen()
    );
    says(&mut world, &invite, 183, "b", Some(71), Some(&sdp()));
    let second = world.request_at(address(B), Method::PRack);
    assert_eq!(second.headers.get("RAck"), Some("71 1 INVITE"));
    assert_eq!(second.headers.cseq.number, first.headers.cseq.number + 1);
    world.say(address(B), second.response(200, None).to_bytes());
    assert!(world.commands().contains(&"Join"), "the caller hears the early media");
    // The answer needs no description any more, and our count goes on in the dialog.
    says(&mut world, &invite, 200, "b", None, None);
    assert!(matches!(world.reply(id), Some(Reply::Dialed { .. })));
    world.inbox.clear();
    world.end_flow(flow, FlowEnd::Finished);
    world.settle();
    let bye = world.request_at(address(B), Method::Bye);
    assert!(bye.headers.cseq.number > second.headers.cseq.number);
}

#[test]
fn every_fork_has_an_early_dialog_of_its_own() {
    let (mut world, _, flow, call) = answered();
    let id = dial(&mut world, flow, call, true);
    let invite = world.request_at(address(B), Method::Invite);
    for (tag, rseq) in [("one", 5), ("two", 900)] {
        says(&mut world, &invite, 183, tag, Some(rseq), Some(&sdp()));
        let prack = world.request_at(address(B), Method::PRack);
        assert_eq!((prack.headers.to.tag(), prack.headers.cseq.number), (Some(tag), 2));
        world.say(address(B), prack.response(200, None).to_bytes());
        world.settle();
    }
    // The second fork answers first, the first one a moment later: it gets ACK and BYE.
    says(&mut world, &invite, 200, "two", None, Some(&sdp()));
    assert!(matches!(world.reply(id), Some(Reply::Dialed { .. })));
    assert_eq!(world.request_at(address(B), Method::Ack).headers.to.tag(), Some("two"));
    says(&mut world, &invite, 200, "one", None, Some(&sdp()));
    assert_eq!(world.request_at(address(B), Method::Ack).headers.to.tag(), Some("one"));
    let bye = world.request_at(address(B), Method::Bye);
    assert_eq!(bye.headers.to.tag(), Some("one"));
}

#[test]
fn a_callee_may_change_its_early_media_by_update() {
    let (mut world, _, flow, call) = answered();
    dial(&mut world, flow, call, true);
    let invite = world.request_at(address(B), Method::Invite);
    let mut dialog = {
        let hop = Hop { transport: Transport::Udp, interface: InterfaceId(0), remote: address(B) };
        sip::Dialog::uas(&invite, hop, "b").unwrap()
    };
    let mut update = |world: &mut World, number: u32| {
        let mut update = dialog.request(Method::Update, &"<sip:b@203.0.113.1>".parse().unwrap());
        let via = format!("SIP/2.0/UDP 203.0.113.1:5060;branch=z9hG4bKup{number}");
        update.headers.via.push(via.parse().unwrap());
        update.headers.push("Content-Type", "application/sdp");
        update.body = sdp_at("203.0.113.1", 4200).into();
        world.say(address(B), update.to_bytes());
        world.settle();
    };
    says(&mut world, &invite, 180, "b", None, None);
    update(&mut world, 1);
    world.response_at(address(B), 491);
    says(&mut world, &invite, 183, "b", Some(1), Some(&sdp()));
    update(&mut world, 2);
    let response = world.response_at(address(B), 200);
    assert!(String::from_utf8_lossy(&response.body).contains("m=audio"));
    let last = world.node().commands.iter().rev().find_map(|(_, c)| match c {
        Command::Update { stream, .. } => stream.remote,
        _ => None,
    });
    assert_eq!(last, Some(address("203.0.113.1:4200")));
}
