//! Calls of ours that wait for their turn: status `queued` and no INVITE until a carrier has room.

use super::*;

/// Carrier a alone, with these limits.
fn one(calls: usize, calls_per_second: usize, queue: Duration) -> World {
    world_with(|config| {
        config.trunking.outbound.rules.truncate(1);
        let trunk = first(config);
        (trunk.calls, trunk.calls_per_second, trunk.queue) = (calls, calls_per_second, queue);
    })
}

fn standing(world: &World) -> Vec<(String, Status)> {
    let told = world.node().progress.iter().map(|progress| (progress.to.clone(), progress.status));
    told.collect()
}

fn last_of(world: &World, number: &str) -> Status {
    standing(world).into_iter().rfind(|(to, _)| to == number).unwrap().1
}

fn invites(world: &World) -> usize {
    world.seen().iter().filter(|seen| seen.ends_with("INVITE")).count()
}

#[test]
fn with_a_limit_of_one_the_second_call_stays_queued_until_the_first_is_over() {
    let mut world = one(1, 0, secs(60));
    originate(&mut world, "+491", "1");
    let first = invite_at(&mut world, CARRIER_A);
    says(&mut world, CARRIER_A, &first, 100, None);
    originate(&mut world, "+492", "1");
    originate(&mut world, "+493", "1");
    world.run(secs(5));
    assert_eq!((invites(&world), last_of(&world, "+492")), (0, Status::Queued));
    assert_eq!(last_of(&world, "+493"), Status::Queued);
    says(&mut world, CARRIER_A, &first, 486, None);
    world.request_at(address(CARRIER_A), Method::Ack);
    let second = invite_at(&mut world, CARRIER_A);
    assert_eq!(second.uri.user.as_deref(), Some("+492"), "who came first is next");
    assert_eq!(last_of(&world, "+492"), Status::Initiated);
    assert_eq!((invites(&world), last_of(&world, "+493")), (0, Status::Queued));
    // It rings for its whole time, however long it waited.
    says(&mut world, CARRIER_A, &second, 180, None);
    world.run(secs(19));
    assert!(!world.seen().iter().any(|seen| seen.ends_with("CANCEL")), "{:?}", world.seen());
    says(&mut world, CARRIER_A, &second, 486, None);
    world.request_at(address(CARRIER_A), Method::Ack);
    let third = invite_at(&mut world, CARRIER_A);
    says(&mut world, CARRIER_A, &third, 486, None);
    world.assert_clean(3);
    let statuses: Vec<Status> =
        standing(&world).into_iter().filter(|(to, _)| to == "+492").map(|(_, status)| status).collect();
    assert_eq!(statuses, [Status::Queued, Status::Initiated, Status::Ringing]);
}

#[test]
fn so_many_a_second_go_out_and_the_others_follow_in_their_order() {
    let mut world = one(0, 2, secs(60));
    for number in 1..=7 {
        originate(&mut world, &format!("+49{number}"), "1");
    }
    let mut gone: Vec<(Time, String)> = Vec::new();
    for _ in 0..500 {
        for (_, message) in std::mem::take(&mut world.inbox) {
            let Message::Request(invite) = message else { continue };
            let number = invite.uri.user.clone().unwrap_or_default();
            if invite.method == Method::Invite && gone.iter().all(|(_, known)| *known != number) {
                gone.push((world.now, number));
                says(&mut world, CARRIER_A, &invite, 486, None);
            }
        }
        world.run(millis(10));
    }
    let order: Vec<&str> = gone.iter().map(|(_, number)| number.as_str()).collect();
    assert_eq!(order, ["+491", "+492", "+493", "+494", "+495", "+496", "+497"]);
    // What came in the first moments was looked at later.
    let times: Vec<Time> = gone.iter().map(|(at, _)| *at).collect();
    assert!(times[2..].windows(3).all(|three| three[2] - three[0] >= millis(950)), "{times:?}");
    assert!(times[6] - times[0] < secs(4), "none waits longer than it has to: {times:?}");
}

#[test]
fn a_wait_that_is_over_fails_as_without_it_and_says_for_what_it_waited() {
    let mut world = one(1, 0, secs(10));
    originate(&mut world, "+491", "1");
    originate(&mut world, "+492", "1");
    world.run(secs(9));
    assert!(world.node().records.is_empty());
    world.run(secs(1));
    let record = &world.node().records[0];
    assert_eq!((record.to.as_str(), record.status, record.code), ("+492", Status::Failed, Some(503)));
    assert_eq!(record.error.as_deref(), Some("waited 10 s for room in trunk a"));
    assert_failed(&world, Failure::Limit("trunk's calls"), Some(503));
}

#[test]
fn a_call_that_is_given_up_while_it_waits_makes_room_for_who_came_after_it() {
    let mut world = one(1, 0, secs(60));
    for number in ["+491", "+492", "+493"] {
        originate(&mut world, number, "1");
    }
    let first = invite_at(&mut world, CARRIER_A);
    let second = world.node().progress.iter().find(|progress| progress.to == "+492").unwrap().call;
    let request = Request { origin: Origin::Console, id: RequestId(70), call: second, verb: Verb::Hangup };
    world.input(0, Input::Request(request));
    world.settle();
    let record = &world.node().records[0];
    assert_eq!((record.to.as_str(), record.status), ("+492", Status::Canceled));
    says(&mut world, CARRIER_A, &first, 486, None);
    world.request_at(address(CARRIER_A), Method::Ack);
    let next = invite_at(&mut world, CARRIER_A);
    assert_eq!(next.uri.user.as_deref(), Some("+493"));
    says(&mut world, CARRIER_A, &next, 486, None);
    world.assert_clean(3);
}

#[test]
fn more_room_by_a_new_configuration_lets_those_in_who_wait() {
    let mut world = one(1, 0, secs(60));
    originate(&mut world, "+491", "1");
    originate(&mut world, "+492", "1");
    let mut config = world.node().switch.config().clone();
    first(&mut config).calls = 2;
    invite_at(&mut world, CARRIER_A);
    world.input(0, Input::Configure(Box::new(config)));
    world.settle();
    assert_eq!(invite_at(&mut world, CARRIER_A).uri.user.as_deref(), Some("+492"));
}

#[test]
fn where_another_carrier_has_room_nobody_waits_and_without_the_key_nobody_does() {
    let mut world = world_with(|config| {
        let trunk = first(config);
        (trunk.calls, trunk.queue) = (1, secs(60));
    });
    originate(&mut world, "+491", "1");
    originate(&mut world, "+492", "1");
    invite_at(&mut world, CARRIER_A);
    assert_eq!(invite_at(&mut world, CARRIER_B).uri.user.as_deref(), Some("+492"));
    let mut world = one(1, 0, Duration::ZERO);
    originate(&mut world, "+491", "1");
    originate(&mut world, "+492", "1");
    assert_failed(&world, Failure::Limit("trunk's calls"), Some(503));
}
