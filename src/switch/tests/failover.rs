//! A name that leads to several places: which is tried when, and what becomes of those that are left (RFC 3263 section
//! 4.3).

use super::*;

const FIRST: &str = "203.0.113.8:5060";
const SECOND: &str = "203.0.113.9:5060";

/// Calls a name that leads to both places.
fn call_name(world: &mut World) {
    call_name_at(world, &[FIRST, SECOND]);
}

fn call_name_at(world: &mut World, places: &[&str]) {
    let wish = Originate {
        request: RequestId(77),
        target: "sip:bob@pbx.example".into(),
        from: "1".into(),
        script: Some(Arc::from("out.lua")),
        vars: vec![],
        headers: vec![],
        timeout: secs(20),
    };
    world.input(0, Input::Originate(wish));
    let query = world.node().queries.last().unwrap().0;
    let places = places.iter().copied().map(udp).collect();
    world.input(0, Input::Resolved { query, result: Ok(places) });
    world.settle();
}

/// How many INVITEs, resent ones too, came to a place and were not looked at yet.
fn invites_at(world: &World, at: &str) -> usize {
    let invite = |(to, message): &&(SocketAddr, Message)| match message {
        Message::Request(request) => *to == address(at) && request.method == Method::Invite,
        Message::Response(_) => false,
    };
    world.inbox.iter().filter(invite).count()
}

/// The second place answers, the script ends, the callee confirms the BYE.
fn second_takes_it(world: &mut World) {
    let invite = world.request_at(address(SECOND), Method::Invite);
    world.say(address(SECOND), answer(&invite, 200, "bob", Some(&sdp())));
    world.settle();
    world.request_at(address(SECOND), Method::Ack);
    let flow = world.node().starts.last().unwrap().flow;
    world.end_flow(flow, FlowEnd::Finished);
    world.settle();
    let bye = world.request_at(address(SECOND), Method::Bye);
    world.say(address(SECOND), answer(&bye, 200, "bob", None));
}

#[test]
fn a_place_that_says_503_is_acknowledged_and_left_at_once() {
    let mut world = World::new();
    call_name(&mut world);
    let invite = world.request_at(address(FIRST), Method::Invite);
    world.say(address(FIRST), answer(&invite, 503, "full", None));
    world.settle();
    world.request_at(address(FIRST), Method::Ack);
    second_takes_it(&mut world);
    world.assert_clean(1);
}

#[test]
fn a_place_that_refuses_datagrams_is_left_at_once() {
    let mut world = World::new();
    call_name(&mut world);
    let hop = Hop { transport: Transport::Udp, interface: InterfaceId(0), remote: address(FIRST) };
    world.input(0, Input::TransportFailed { hop });
    world.settle();
    second_takes_it(&mut world);
    world.assert_clean(1);
}

#[test]
fn a_silent_place_is_left_after_two_seconds_and_not_asked_again() {
    let mut world = World::new();
    let begin = world.now;
    call_name(&mut world);
    world.run(begin + millis(1990) - world.now);
    assert_eq!(invites_at(&world, SECOND), 0, "too early");
    world.run(millis(20));
    assert_eq!(invites_at(&world, SECOND), 1);
    let asked = invites_at(&world, FIRST);
    second_takes_it(&mut world);
    world.run(secs(40));
    assert_eq!(invites_at(&world, FIRST), asked, "no more resends");
    world.assert_clean(1);
}

#[test]
fn a_place_that_rings_late_is_cancelled_and_one_that_answers_late_is_hung_up() {
    for late in [180, 200] {
        let mut world = World::new();
        call_name(&mut world);
        world.run(millis(2000));
        let first = world.request_at(address(FIRST), Method::Invite);
        world.say(
            address(FIRST),
            answer(&first, late, "late", Some(&sdp()).filter(|_| late == 200).map(|x| x.as_str())),
        );
        world.settle();
        if late == 180 {
            let cancel = world.request_at(address(FIRST), Method::Cancel);
            world.say(address(FIRST), answer(&cancel, 200, "late", None));
            world.say(address(FIRST), answer(&first, 487, "late", None));
            world.settle();
            world.request_at(address(FIRST), Method::Ack);
        } else {
            world.request_at(address(FIRST), Method::Ack);
            let bye = world.request_at(address(FIRST), Method::Bye);
            world.say(address(FIRST), answer(&bye, 200, "late", None));
        }
        second_takes_it(&mut world);
        world.assert_clean(1);
    }
}

#[test]
fn a_place_that_said_trying_is_waited_for() {
    let mut world = World::new();
    call_name(&mut world);
    let invite = world.request_at(address(FIRST), Method::Invite);
    world.say(address(FIRST), invite.response(100, None).to_bytes());
    world.run(secs(10));
    assert_eq!(invites_at(&world, SECOND), 0);
    world.say(address(FIRST), answer(&invite, 486, "busy", None));
    world.assert_clean(1);
}

#[test]
fn the_only_place_is_waited_for_as_long_as_it_may_ring() {
    let mut world = World::new();
    call_name_at(&mut world, &[FIRST]);
    world.run(secs(10));
    assert_eq!(invites_at(&world, FIRST), 5, "at 0, 0.5, 1.5, 3.5 and 7.5 s");
    world.assert_clean(1);
    assert!(matches!(world.node().console.last(), Some(ConsoleReply::Failed { .. })));
}

#[test]
fn a_dead_place_is_tried_last_by_the_next_calls_and_comes_back() {
    let mut world = World::new();
    call_name(&mut world);
    world.run(millis(2000));
    second_takes_it(&mut world);
    world.settle();
    world.inbox.clear();
    for _ in 0..3 {
        call_name(&mut world);
        assert_eq!((invites_at(&world, FIRST), invites_at(&world, SECOND)), (0, 1), "no wait for the dead one");
        second_takes_it(&mut world);
        world.settle();
    }
    world.run(secs(60));
    world.inbox.clear();
    call_name(&mut world);
    assert_eq!(invites_at(&world, FIRST), 1, "it has its turn again");
    let invite = world.request_at(address(FIRST), Method::Invite);
    world.say(address(FIRST), answer(&invite, 486, "bob", None));
    world.settle();
    call_name(&mut world);
    assert_eq!(invites_at(&world, FIRST), 1, "and stays first now that it works");
    let invite = world.request_at(address(FIRST), Method::Invite);
    world.say(address(FIRST), answer(&invite, 486, "bob", None));
    world.assert_clean(6);
}

#[test]
fn where_all_places_are_dead_the_caller_hears_so_and_the_next_call_tries_all_again() {
    let mut world = World::new();
    for _ in 0..2 {
        call_name(&mut world);
        for place in [FIRST, SECOND] {
            let invite = world.request_at(address(place), Method::Invite);
            world.say(address(place), answer(&invite, 503, "full", None));
            world.settle();
            world.request_at(address(place), Method::Ack);
        }
        assert!(matches!(world.node().console.last(), Some(ConsoleReply::Failed { code: Some(503), .. })));
    }
    world.assert_clean(2);
}

#[test]
fn an_answer_other_than_503_is_the_names_answer() {
    let mut world = World::new();
    call_name(&mut world);
    let invite = world.request_at(address(FIRST), Method::Invite);
    world.say(address(FIRST), answer(&invite, 404, "bob", None));
    world.settle();
    assert_eq!(invites_at(&world, SECOND), 0);
    world.assert_clean(1);
}

#[test]
fn a_bye_does_not_go_over_a_connection_that_is_gone() {
    for closed in [false, true] {
        let mut world = World::new();
        let (phone, flow) = answer_over_tcp(&mut world);
        if closed {
            world.input(0, Input::TransportFailed { hop: phone });
        }
        world.end_flow(flow, FlowEnd::Finished);
        world.settle();
        let to = if closed { address("198.51.100.7:5070") } else { phone.remote };
        let bye = world.request_at(to, Method::Bye);
        assert_eq!(bye.headers.via[0].transport, "TCP");
        world.say(to, answer(&bye, 200, "anna", None));
        world.assert_clean(1);
    }
}
