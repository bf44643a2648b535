//! What is told of text messages once their fate is known.

use super::{
    messages::{DESK, LETTER, Letter, MOBILE, answers, send, sending, within, word, world},
    *,
};

/// What became of each message: which way, who, to whom, the code.
fn fates(world: &World) -> Vec<(Direction, &str, &str, Option<u16>)> {
    let all = world.node().messages.iter();
    all.map(|one| (one.direction, one.from.as_str(), one.to.as_str(), one.code)).collect()
}

#[test]
fn a_message_that_comes_is_told_when_it_is_answered() {
    let mut world = world();
    LETTER.post(&mut world, 1);
    assert!(world.node().messages.is_empty(), "nobody knows yet");
    world.run(millis(300));
    let start = world.node().starts[0].clone();
    world.ask(start.flow, start.call, word(200));
    Letter { kind: "text/html", ..LETTER }.post(&mut world, 2);
    Letter { to: "999", ..LETTER }.post(&mut world, 3);
    assert_eq!(
        fates(&world),
        [
            (Direction::Inbound, "guest", "100", Some(200)),
            (Direction::Inbound, "guest", "100", Some(415)),
            (Direction::Inbound, "guest", "999", Some(404))
        ]
    );
    let first = &world.node().messages[0];
    assert_eq!((first.script.as_deref(), first.id.as_str()), (Some("sms.lua"), start.facts.id.as_str()));
    assert_eq!((first.media_type.as_str(), first.bytes), ("text/plain", 5));
    assert!((300..500).contains(&(first.end_ms - first.start_ms)), "{first:?}");
    assert_eq!(world.node().messages[1].media_type, "text/html");
    world.end_flow(start.flow, FlowEnd::Finished);
    world.assert_clean(0);
    assert_eq!(world.node().messages.len(), 3, "each is told once");
}

#[test]
fn a_message_that_goes_out_is_told_once_whoever_gets_a_copy() {
    let (mut world, flow, call) = sending(|_| {});
    world.ask(flow, call, send("201"));
    world.settle();
    answers(&mut world, DESK, 202);
    answers(&mut world, MOBILE, 200);
    world.ask(flow, call, send("201"));
    world.settle();
    answers(&mut world, DESK, 415);
    answers(&mut world, MOBILE, 404);
    world.ask(flow, call, send("sip:x@198.51.100.77"));
    world.run(secs(33));
    let sent = |to: &'static str, code| (Direction::Outbound, "100", to, code);
    assert_eq!(fates(&world)[1..], [sent("201", Some(202)), sent("201", Some(415)), sent("sip:x@198.51.100.77", None)]);
    let errors: Vec<_> = world.node().messages[1..].iter().map(|one| one.error).collect();
    assert_eq!(errors, [None, Some("refused"), Some("unreachable")]);
    world.end_flow(flow, FlowEnd::Finished);
    world.assert_clean(0);
}

#[test]
fn behind_we_shed_messages_but_those_of_calls_and_those_that_came_before() {
    let (mut world, mut caller, ..) = answered_in(world());
    LETTER.post(&mut world, 1);
    let starts = world.node().starts.len();
    world.input(0, Input::Waited(millis(101)));
    world.run(millis(500));
    world.input(0, Input::Waited(millis(101)));
    let refused = LETTER.code(&mut world, 2);
    assert_eq!((refused.code, refused.headers.get("Retry-After")), (503, Some("30")));
    world.inbox.clear();
    LETTER.post(&mut world, 1);
    assert!(world.inbox.is_empty(), "its script is at it: {:?}", world.seen());
    caller.send(&mut world, "MESSAGE", Some(("text/plain", "one")));
    world.response_at(caller.at, 202);
    assert_eq!((world.node().starts.len(), world.node().switch.guarded().shed), (starts, 1));
    assert_eq!(fates(&world), [(Direction::Inbound, "anna", "100", Some(202))]);
}

#[test]
fn messages_within_a_call_are_told_with_its_name() {
    let (mut world, mut caller, flow, call) = answered_in(world());
    caller.send(&mut world, "MESSAGE", Some(("text/plain", "one")));
    world.ask(flow, call, within("two"));
    world.settle();
    answers(&mut world, PHONE, 200);
    assert_eq!(
        fates(&world),
        [(Direction::Inbound, "anna", "100", Some(202)), (Direction::Outbound, "100", "anna", Some(200))]
    );
    caller.cseq = 20;
    caller.send(&mut world, "BYE", None);
    world.assert_clean(1);
    let name = Some(world.node().records[0].id.clone());
    assert!(world.node().messages.iter().all(|one| one.call == name));
}
