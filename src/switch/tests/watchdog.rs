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

fn over_tcp(every: u64) -> (World, Hop) {
    let mut world = World::with(|config| {
        config.rules.watchdog = secs(every);
        config.rules.session.expires = Duration::ZERO;
    });
    let (phone, _) = answer_over_tcp(&mut world);
    world.settle();
    world.inbox.clear();
    (world, phone)
}

#[test]
fn a_party_whose_connection_closed_and_that_is_not_heard_is_asked_elsewhere_and_then_gone() {
    for every in [0, 600] {
        let (mut world, phone) = over_tcp(every);
        world.input(0, Input::TransportFailed { hop: phone });
        world.run(millis(10_900));
        assert!(world.inbox.is_empty(), "{:?}", world.seen());
        world.run(millis(200));
        world.request_at(address("198.51.100.7:5070"), Method::Options);
        let there = Hop { remote: address("198.51.100.7:5070"), ..phone };
        world.input(0, Input::TransportFailed { hop: there });
        world.run(secs(60));
        let record = &world.node().records[0];
        assert_eq!((record.status, record.end_reason), (Status::Completed, EndReason::TelephonyError));
        assert_eq!(record.end_detail, Some(EndDetail::TransportLost));
        assert!(record.error.as_deref().unwrap().starts_with("the party's connection closed"), "{:?}", record.error);
    }
}

#[test]
fn a_party_whose_connection_closed_and_that_speaks_or_answers_is_there() {
    for speaks in [true, false] {
        let (mut world, phone) = over_tcp(0);
        world.input(0, Input::TransportFailed { hop: phone });
        if speaks {
            heard(&mut world, 50);
        }
        world.run(secs(12));
        if !speaks {
            let at = address("198.51.100.7:5070");
            let options = world.request_at(at, Method::Options);
            world.say(at, options.response(200, None).to_bytes());
            world.settle();
        }
        world.run(secs(600));
        assert!(world.inbox.is_empty() && world.node().records.is_empty(), "{:?}", world.seen());
    }
}

#[test]
fn a_call_over_another_connection_is_left_in_peace() {
    let (mut world, phone) = over_tcp(0);
    world.input(0, Input::TransportFailed { hop: Hop { remote: address("198.51.100.7:40001"), ..phone } });
    world.run(secs(60));
    assert!(world.inbox.is_empty(), "{:?}", world.seen());
}

#[test]
fn a_caller_whose_websocket_closed_before_the_answer_is_gone_at_once_and_over_tcp_it_may_come_back() {
    for (transport, name, gone) in [(Transport::Ws, "WS", true), (Transport::Tcp, "TCP", false)] {
        let mut world = World::new();
        let hop = Hop { transport, interface: InterfaceId(0), remote: address("198.51.100.7:40000") };
        let mut caller = Caller::new();
        let invite = caller.text("INVITE", Some(("application/sdp", &sdp())), "");
        let invite = invite.replace("SIP/2.0/UDP", &format!("SIP/2.0/{name}"));
        world.input(0, Input::Datagram { hop, bytes: Bytes::from(invite) });
        let start = world.node().starts[0].clone();
        world.ask(start.flow, start.call, Verb::Ring);
        world.settle();
        world.input(0, Input::TransportFailed { hop });
        world.settle();
        assert_eq!(world.node().records.len(), usize::from(gone), "{name}");
        if let Some(record) = world.node().records.first() {
            assert_eq!((record.status, record.end_reason), (Status::Failed, EndReason::TelephonyError));
            assert_eq!(record.end_detail, Some(EndDetail::TransportLost));
        }
    }
}
