//! Packets that are longer than the other party takes.

use super::*;
use crate::audio::g711;

/// A phone that takes packets of `longest` ms at most, and wishes such.
fn short(n: u64, longest: u8) -> Stream {
    Stream { longest: Some(longest), ptime: longest, ..stream_to(address(n)) }
}

/// So many packets of `ms` ms each, with the phone's tone. What left in the same wake-up as the first.
fn speak(world: &mut World, phone: &mut Phone, ms: usize, packets: usize) -> usize {
    let mut at_once = 0;
    for packet in 0..packets {
        let said: Vec<i16> = (phone.spoken..phone.spoken + ms * 8)
            .map(|n| (8000.0 * (TAU * phone.tone * n as f64 / 8000.0).sin()) as i16)
            .collect();
        phone.spoken += said.len();
        let mut codes = vec![0; said.len()];
        g711::encode_ulaw(&said, &mut codes);
        let bytes = phone.packet(0, &codes);
        phone.next.timestamp = phone.next.timestamp.wrapping_add(codes.len() as u32);
        let left = world.receive(phone, &bytes).len();
        at_once += if packet == 0 { left } else { 0 };
        world.run(ms as u64);
    }
    at_once
}

fn repacked(world: &World) -> Vec<(u64, u16, u8)> {
    let told = world.events.iter().filter_map(|event| match event {
        Event::Repacked { port, ms, most } => Some((port.0, *ms, *most)),
        _ => None,
    });
    told.collect()
}

#[test]
fn packets_that_are_too_long_for_the_other_are_packed_anew_from_the_first_on_and_that_is_told_once() {
    let mut world = World::new();
    let (mut a, mut b) = (world.open(1), world.open_with(2, short(2, 20)));
    world.join(&[&a, &b]);
    assert_eq!(speak(&mut world, &mut a, 60, 50), 0, "none is relayed");
    let sizes: Vec<usize> = world.packets(&b).iter().map(|(_, payload)| payload.len()).collect();
    assert!(sizes.len() > 140 && sizes.iter().all(|size| *size == 160), "{sizes:?}");
    assert!(has_tone(&world.heard(&b, 2000), &a));
    world.assert_one_stream(&b);
    assert_eq!(speak(&mut world, &mut b, 20, 50), 0);
    assert!(has_tone(&world.heard(&a, 600), &b), "and the way back");
    assert_eq!(repacked(&world), [(1, 60, 20)]);
}

#[test]
fn packets_that_fit_are_relayed_and_those_that_become_longer_no_more_until_there_is_a_new_agreement() {
    let mut world = World::new();
    let (mut a, b) = (world.open(1), world.open_with(2, short(2, 40)));
    world.join(&[&a, &b]);
    assert_eq!((speak(&mut world, &mut a, 20, 20), speak(&mut world, &mut a, 40, 20)), (1, 1));
    assert_eq!(repacked(&world), []);
    assert_eq!((speak(&mut world, &mut a, 60, 20), speak(&mut world, &mut a, 20, 20)), (0, 0));
    assert!(world.packets(&b).iter().all(|(_, payload)| payload.len() <= 320));
    world.assert_one_stream(&b);
    assert_eq!(repacked(&world), [(1, 60, 40)]);
    world.update(&a, |_| {});
    assert_eq!(speak(&mut world, &mut a, 20, 20), 1, "relayed again");
}

#[test]
fn an_echo_of_packets_that_are_too_long_for_who_sends_them_comes_in_short_ones() {
    let mut world = World::new();
    let mut a = world.open_with(1, short(1, 20));
    world.command(Command::Echo { port: a.port, on: true });
    assert_eq!(speak(&mut world, &mut a, 60, 20), 0);
    assert!(world.packets(&a).iter().all(|(_, payload)| payload.len() == 160));
    assert!(has_tone(&world.heard(&a, 600), &a));
}

#[test]
fn who_says_nothing_of_what_it_takes_gets_what_comes() {
    let mut world = World::new();
    let (mut a, b) = (world.open(1), world.open(2));
    world.join(&[&a, &b]);
    assert_eq!(speak(&mut world, &mut a, 60, 20), 1);
    assert!(world.packets(&b).iter().all(|(_, payload)| payload.len() == 480));
}
