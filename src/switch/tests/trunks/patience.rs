//! A carrier that says 100 and then nothing: its proxy is there, and what lies behind it is not.

use super::*;

/// Carrier a has this long.
fn patient(progress: Duration) -> World {
    let mut world = world_with(|config| first(config).progress = progress);
    originate(&mut world, "+4930", "1");
    world
}

fn came_to_b(world: &World) -> bool {
    world.seen().iter().any(|seen| seen.starts_with(CARRIER_B))
}

#[test]
fn a_carrier_that_only_says_100_is_cancelled_and_the_next_one_takes_the_call() {
    let mut world = patient(millis(1500));
    let begin = world.now;
    let invite = invite_at(&mut world, CARRIER_A);
    says(&mut world, CARRIER_A, &invite, 100, None);
    world.run(millis(700));
    says(&mut world, CARRIER_A, &invite, 100, None);
    world.run(begin + millis(1490) - world.now);
    assert!(!came_to_b(&world), "it has its time: {:?}", world.seen());
    world.run(millis(40));
    world.request_at(address(CARRIER_A), Method::Cancel);
    let second = invite_at(&mut world, CARRIER_B);
    says(&mut world, CARRIER_A, &invite, 487, None);
    world.request_at(address(CARRIER_A), Method::Ack);
    says(&mut world, CARRIER_B, &second, 200, Some(&sdp()));
    world.request_at(address(CARRIER_B), Method::Ack);
    let flow = world.node().starts[0].flow;
    world.end_flow(flow, FlowEnd::Finished);
    world.assert_clean(1);
    assert_eq!(world.node().records[0].trunk.as_deref(), Some("b"));
}

#[test]
fn one_that_rings_in_time_is_waited_for_and_so_is_one_without_such_a_limit() {
    for (progress, rings) in [(millis(1500), true), (Duration::ZERO, false)] {
        let mut world = patient(progress);
        let invite = invite_at(&mut world, CARRIER_A);
        says(&mut world, CARRIER_A, &invite, 100, None);
        world.run(secs(1));
        if rings {
            says(&mut world, CARRIER_A, &invite, 180, None);
        }
        world.run(secs(15));
        assert!(!came_to_b(&world), "{:?}", world.seen());
        says(&mut world, CARRIER_A, &invite, 200, Some(&sdp()));
        assert_eq!(world.node().starts.len(), 1, "answered");
    }
}
