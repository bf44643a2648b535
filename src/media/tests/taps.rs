//! Taps, and ports that send on what comes out of them.

use super::*;
use crate::ids::TapId;

fn tap(world: &mut World, phone: &Phone, id: u64, (side, rate, room): (Side, Rate, usize)) -> Arc<Tap> {
    let tap = Tap::new(TapId(id), side, rate, room);
    world.command(Command::Tap { port: phone.port, tapping: Tapping::new(tap.clone()) });
    tap
}

fn taken(tap: &Tap) -> Vec<TapFrame> {
    std::iter::from_fn(|| tap.take()).collect()
}

fn samples(frames: &[TapFrame]) -> Vec<i16> {
    frames.iter().flat_map(|frame| frame.samples().to_vec()).collect()
}

#[test]
fn each_side_of_a_relayed_call_is_heard_and_the_call_goes_on() {
    let mut world = World::new();
    let (mut a, mut b) = (world.open(1), world.open(2));
    world.join(&[&a, &b]);
    let said = tap(&mut world, &a, 1, (Side::Said, Rate::Narrow, 100));
    let heard = tap(&mut world, &a, 2, (Side::Heard, Rate::Wide, 100));
    world.talk(1000, &mut [&mut a, &mut b]);
    let (said, heard) = (taken(&said), taken(&heard));
    assert_eq!((said.len(), heard.len()), (50, 50));
    assert!(said.iter().enumerate().all(|(at, frame)| frame.number == at as u64 && frame.samples().len() == 160));
    assert!(heard.iter().all(|frame| frame.samples().len() == 320));
    let loud = |samples: &[i16], hz: f64, rate: u32| goertzel::power(&samples[samples.len() / 2..], hz, rate);
    let (said, heard) = (samples(&said), samples(&heard));
    assert!(loud(&said, a.tone, 8000) > 10.0 * loud(&said, b.tone, 8000), "its own voice");
    assert!(loud(&heard, b.tone, 16_000) > 10.0 * loud(&heard, a.tone, 16_000), "the other one's");
    assert!(world.packets(&b).len() >= 45, "the other party hears it all the same");
}

#[test]
fn a_slow_consumer_loses_the_oldest_frames_and_sees_which() {
    let mut world = World::new();
    let mut a = world.open(1);
    let tapped = tap(&mut world, &a, 1, (Side::Said, Rate::Narrow, 10));
    world.talk(1000, &mut [&mut a]);
    assert_eq!(tapped.dropped(), 40);
    let numbers: Vec<u64> = taken(&tapped).iter().map(|frame| frame.number).collect();
    assert_eq!(numbers, (40..50).collect::<Vec<u64>>());
    assert!(!tapped.is_over());
}

#[test]
fn a_masked_tap_has_silence_of_the_same_length_and_nothing_of_what_was_said_meanwhile() {
    let mut world = World::new();
    let mut a = world.open(1);
    let masked = tap(&mut world, &a, 1, (Side::Said, Rate::Narrow, 100));
    let other = tap(&mut world, &a, 2, (Side::Said, Rate::Narrow, 100));
    world.talk(500, &mut [&mut a]);
    world.command(Command::MaskTap { port: a.port, tap: TapId(1), on: true });
    world.talk(500, &mut [&mut a]);
    world.command(Command::MaskTap { port: a.port, tap: TapId(1), on: false });
    world.talk(500, &mut [&mut a]);
    let (masked, other) = (taken(&masked), taken(&other));
    assert!(masked.iter().zip(&other).all(|(one, two)| one.number == two.number) && masked.len() == 75);
    let silent = |frames: &[TapFrame]| samples(frames).iter().all(|sample| *sample == 0);
    assert!(silent(&masked[25..50]));
    assert_eq!(samples(&masked[51..]), samples(&other[51..]), "exact again, but for the first moment");
    assert!(!silent(&masked[10..25]) && !silent(&other[25..50]), "the other tap is its own");
}

#[test]
fn a_tap_is_over_when_it_is_taken_away_when_there_are_too_many_and_with_its_port() {
    let mut world = World::new();
    let mut a = world.open(1);
    let taps: Vec<Arc<Tap>> = (1..=5).map(|id| tap(&mut world, &a, id, (Side::Said, Rate::Narrow, 10))).collect();
    let over = |taps: &[Arc<Tap>]| taps.iter().map(|tap| tap.is_over()).collect::<Vec<_>>();
    assert_eq!(over(&taps), [false, false, false, false, true]);
    world.command(Command::Untap { port: a.port, tap: TapId(2) });
    assert_eq!(over(&taps), [false, true, false, false, true]);
    world.talk(100, &mut [&mut a]);
    world.command(Command::Close { port: a.port });
    assert_eq!(over(&taps), [true; 5]);
    assert_eq!(taken(&taps[0]).len(), 5, "what came before is still there");
    let nobody = tap(&mut world, &a, 9, (Side::Said, Rate::Narrow, 10));
    assert!(nobody.is_over(), "there is no port");
}

#[test]
fn a_port_sends_on_what_comes_out_of_a_tap_and_is_never_late_by_more_than_a_moment() {
    let mut world = World::new();
    let mut a = world.open(1);
    let recorder = world.open_with(2, Stream { receiving: false, ..stream_to(address(2)) });
    let tapped = tap(&mut world, &a, 1, (Side::Said, Rate::Narrow, 100));
    // A second passes before anybody listens.
    world.talk(1000, &mut [&mut a]);
    world.command(Command::Feed { port: recorder.port, tap: tapped });
    world.sent.clear();
    world.talk(1000, &mut [&mut a]);
    world.assert_one_stream(&recorder);
    assert!(has_tone(&world.heard(&recorder, 500), &a), "the party's voice");
    world.command(Command::Close { port: a.port });
    world.run(200);
    assert!(world.heard(&recorder, 40).iter().all(|sample| sample.abs() < 16), "silence after its end");
}
