//! Who listens in changes nothing for those who are listened to; and how those are left out of a crowd who say nothing.

use super::*;
use crate::{
    audio::{g711, speech, vad},
    chance::Chance,
};

/// Speech, then a pause in which only the room is heard (-60 dBm0), and so on.
fn conversation(seed: u64, seconds: usize) -> Vec<i16> {
    let mut chance = Chance::new(seed);
    let said = speech::speech(seed, seconds * 8000).into_iter().enumerate();
    let noise = said.map(|(at, sample)| (chance.below(70) as i16 - 35, at / 16_000 % 2 == 0, sample));
    noise.map(|(noise, speaks, sample)| if speaks { sample.saturating_add(noise) } else { noise }).collect()
}

/// What G.711 makes of it.
fn coarse(samples: &[i16]) -> Vec<i16> {
    let (mut codes, mut back) = (vec![0; samples.len()], vec![0; samples.len()]);
    g711::encode_ulaw(samples, &mut codes);
    g711::decode_ulaw(&codes, &mut back);
    back
}

/// These say this, in packets of 20 ms.
fn say(world: &mut World, parts: &mut [(&mut Phone, &[i16])]) {
    let ticks = parts.iter().map(|(_, said)| said.len() / FRAME).min().unwrap_or(0);
    for tick in 0..ticks {
        for (phone, said) in parts.iter_mut() {
            let mut codes = [0; FRAME];
            g711::encode_ulaw(&said[tick * FRAME..(tick + 1) * FRAME], &mut codes);
            let packet = phone.packet(0, &codes);
            phone.next.timestamp = phone.next.timestamp.wrapping_add(FRAME as u32);
            world.receive(phone, &packet);
        }
        world.run(20);
    }
}

/// Whether all of `said` but its last frames was heard, sample for sample.
fn heard_whole(world: &World, phone: &Phone, said: &[i16]) -> bool {
    let heard = world.heard(phone, u64::MAX);
    let expected = &coarse(said)[..said.len() - 10 * FRAME];
    (0..20 * FRAME).any(|from| heard.get(from..from + expected.len()) == Some(expected))
}

#[test]
fn who_listens_or_whispers_leaves_each_sample_of_the_two_as_it_was_said() {
    for role in [Role::Listen, Role::Whisper(PortId(1)), Role::Idle] {
        let mut world = World::new();
        let (mut a, mut b, boss) = (world.open(1), world.open(2), world.open(3));
        world.join(&[&a, &b]);
        world.join_as(&boss, role);
        let (from_a, from_b) = (conversation(1, 20), conversation(2, 20));
        say(&mut world, &mut [(&mut a, &from_a), (&mut b, &from_b)]);
        assert!(heard_whole(&world, &b, &from_a) && heard_whole(&world, &a, &from_b), "{role:?}");
        assert_eq!(world.count(|event| matches!(event, Event::Loudest { .. })), 0, "two are no crowd");
    }
}

#[test]
fn in_a_crowd_the_silent_are_left_out_and_let_in_without_a_click() {
    let mut world = World::new();
    let (mut a, b, c) = (world.open(1), world.open(2), world.open(3));
    world.join(&[&a, &b, &c]);
    // A level that only its edges can make heard: the hum of a line, then something loud.
    let said = [vec![60; 40_000], vec![3000; 8000], vec![60; 16_000]].concat();
    say(&mut world, &mut [(&mut a, &said)]);
    let heard = world.heard(&b, u64::MAX);
    let silent = |range: std::ops::Range<usize>| heard[range].iter().all(|sample| *sample == 0);
    assert!(heard[8000] > 40 && silent(30_000..38_000) && silent(56_000..62_000) && heard[46_000] > 2500);
    let largest = |range: std::ops::Range<usize>| {
        let steps = heard[range].windows(2).map(|pair| (pair[0] - pair[1]).abs());
        steps.max().unwrap_or(0)
    };
    assert!(largest(8000..30_000) <= 8, "left out: a step of {}", largest(8000..30_000));
    // G.711 has steps of 128 there.
    assert!(largest(38_000..46_000) <= 256, "let in: a step of {}", largest(38_000..46_000));
}

#[test]
fn music_and_tones_are_not_taken_for_the_noise_of_a_room_in_time() {
    let mut world = World::new();
    let (mut a, mut b, c) = (world.open(1), world.open(2), world.open(3));
    world.join(&[&a, &b, &c]);
    let sine = |amplitude: f64| -> Vec<i16> {
        (0..8000 * 90).map(|n| (amplitude * (TAU * 425.0 * f64::from(n) / 8000.0).sin()) as i16).collect()
    };
    // -30 dBm0, and a hum of -50 dBm0.
    say(&mut world, &mut [(&mut a, &sine(710.0)), (&mut b, &sine(71.0))]);
    let (by_b, by_a) = (vad::level(&world.heard(&b, 60_000)), vad::level(&world.heard(&a, 60_000)));
    assert!((-31.0..-29.0).contains(&by_b) && by_a < -90.0, "{by_b} {by_a}");
}

#[test]
fn of_three_each_word_is_whole_from_the_moment_in_which_the_third_comes() {
    let mut world = World::new();
    let (mut a, b, c) = (world.open(1), world.open(2), world.open(3));
    world.join(&[&a, &b, &c]);
    // Without a pause: nothing has told yet what is noise here.
    let said = speech::speech(5, 16_000);
    say(&mut world, &mut [(&mut a, &said)]);
    assert!(heard_whole(&world, &b, &said));
}
