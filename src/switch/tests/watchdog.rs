//! A party that vanished without a word is found out, and one that is only quiet is left in peace.

use super::*;

fn watched() -> (World, Caller, FlowId, CallId) {
    answered_in(World::with(|config| {
        config.rules.watchdog = secs(60);
        config.rules.session.expires = Duration::ZERO;
    }))
}

fn heard(world: &mut World, packets: u64) {
    let port = world.node().opened[0].0;
    let quality = Quality { received: packets, ..Quality::default() };
    world.input(0, Input::Media { worker: WorkerId(0), event: media::Event::Quality { port, quality } });
}

#[test]
fn a_party_that_does_not_answer_is_gone_and_its_call_is_reconciled() {
    let (mut world, caller, ..) = watched();
    world.run(millis(59_900));
    assert!(world.inbox.is_empty(), "{:?}", world.seen());
    world.run(millis(200));
    let options = world.request_at(caller.at, Method::Options);
    assert_eq!(options.headers.to.tag(), Some("anna"), "within the dialog");
    world.run(secs(32));
    world.request_at(caller.at, Method::Bye);
    world.run(secs(60));
    let record = &world.node().records[0];
    assert_eq!((record.status, record.end_reason), (Status::Completed, EndReason::Reconciled));
    let why = record.error.as_deref().unwrap();
    assert_eq!(why, "watchdog: nothing was heard of the party for 60 s, and no answer to OPTIONS");
}

#[test]
fn a_party_that_knows_nothing_of_the_call_is_gone_at_once() {
    let (mut world, caller, ..) = watched();
    world.run(secs(61));
    let options = world.request_at(caller.at, Method::Options);
    world.say(caller.at, options.response(481, None).to_bytes());
    world.settle();
    world.request_at(caller.at, Method::Bye);
    world.run(secs(60));
    assert!(world.node().records[0].error.as_deref().unwrap().contains("481"));
}

#[test]
fn any_other_answer_is_a_sign_of_life_also_a_refusal() {
    let (mut world, caller, ..) = watched();
    for (code, after) in [(200, 61), (405, 120), (501, 120), (200, 120)] {
        world.run(secs(after));
        let options = world.request_at(caller.at, Method::Options);
        world.say(caller.at, options.response(code, None).to_bytes());
        world.settle();
        world.inbox.clear();
    }
    assert!(world.node().records.is_empty());
}

#[test]
fn a_party_that_is_heard_is_not_asked() {
    let (mut world, mut caller, ..) = watched();
    for packets in 1..5 {
        world.run(secs(50));
        heard(&mut world, packets * 1000);
    }
    assert!(world.inbox.is_empty(), "audio is a sign: {:?}", world.seen());
    for _ in 0..4 {
        world.run(secs(50));
        caller.send(&mut world, "INFO", Some(("application/dtmf", "2")));
        world.response_at(caller.at, 200);
    }
    assert!(world.inbox.is_empty(), "so is SIP: {:?}", world.seen());
    world.run(secs(121));
    world.request_at(caller.at, Method::Options);
}

#[test]
fn nobody_is_asked_where_the_operator_does_not_want_it() {
    let (mut world, ..) = answered_in(World::with(|config| config.rules.session.expires = Duration::ZERO));
    world.run(secs(7200));
    assert!(world.inbox.is_empty() && world.node().records.is_empty(), "{:?}", world.seen());
}
