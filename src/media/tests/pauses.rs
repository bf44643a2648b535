//! Comfort noise that we send in the place of silence, and what becomes of comfort noise that comes.

use super::*;
use crate::{audio::speech::rms, chance::Chance};

/// Where comfort noise is agreed on.
const NOISE: u8 = 13;

fn taking(n: u64, payload: Payload, sent: bool) -> Stream {
    Stream {
        send: Some(payload),
        receive: vec![payload],
        comfort: Some(NOISE),
        send_comfort: sent.then_some(NOISE),
        ..stream_to(address(n))
    }
}

impl Phone {
    /// 20 ms of noise, this loud.
    fn hiss(&mut self, dbm0: f64, chance: &mut Chance) -> Vec<u8> {
        let peak = 15_866.0 * 3.0_f64.sqrt() * 10.0_f64.powf(dbm0 / 20.0);
        let samples: Vec<i16> = (0..FRAME).map(|_| ((chance.share() * 2.0 - 1.0) * peak).round() as i16).collect();
        let mut payload = [0; FRAME];
        self.encoder.encode(self.payload.codec, Rate::Narrow, &samples, &mut payload);
        let packet = self.packet(self.payload.number, &payload);
        self.next.timestamp = self.next.timestamp.wrapping_add(FRAME as u32);
        packet
    }
}

impl World {
    fn hiss(&mut self, ms: u64, dbm0: f64, phone: &mut Phone, chance: &mut Chance) {
        for _ in 0..ms / 20 {
            let packet = phone.hiss(dbm0, chance);
            self.receive(phone, &packet);
            self.run(20);
        }
    }

    /// When comfort noise was sent to a phone, in ms since the beginning, and how loud it was said to be.
    fn noise(&self, phone: &Phone) -> Vec<(u64, u8)> {
        let sent = self.sent.iter().filter(|sent| sent.slot == phone.slot);
        let noise = |sent: &Sent| match sent.rtp() {
            Some((header, [level])) if header.payload_type == NOISE => {
                assert!(!header.marker, "RFC 3389 section 4");
                Some(((sent.at - at(1000)).as_millis() as u64, *level))
            }
            _ => None,
        };
        sent.filter_map(noise).collect()
    }

    /// Audio and noise to a phone are one stream: numbers in a row, and timestamps in step with the time.
    fn assert_in_step(&self, phone: &Phone) {
        let sent = self.sent.iter().filter(|sent| sent.slot == phone.slot);
        let packets: Vec<(Time, Header)> =
            sent.filter_map(|sent| Some((sent.at, sent.rtp()?.0))).filter(|(_, h)| h.payload_type != 101).collect();
        for pair in packets.windows(2) {
            let [(before, a), (now, b)] = [pair[0], pair[1]];
            assert_eq!(b.sequence, a.sequence.wrapping_add(1));
            let units = (now - before).as_millis() as u32 * 8;
            assert_eq!(b.timestamp.wrapping_sub(a.timestamp), units, "{a:?} {b:?}");
            assert_eq!(b.marker, a.payload_type == NOISE && b.payload_type != NOISE, "{a:?} {b:?}");
        }
    }
}

#[test]
fn to_whom_nobody_speaks_silence_goes_as_comfort_noise_every_5_s_and_a_prompt_follows_with_the_marker() {
    for payload in [PCMU, PCMA, Payload { number: 9, codec: Codec::G722 }] {
        let mut world = World::new();
        let a = world.open_with(1, taking(1, payload, true));
        world.run(12_000);
        assert_eq!(world.noise(&a), [(200, 106), (5200, 106), (10_200, 106)], "{payload:?}");
        assert_eq!(world.packets(&a).len(), 9 + 3);
        world.play(&a, 1, vec![5000; 8000]);
        world.run(1000);
        assert_eq!(world.packets(&a).len(), 12 + 50);
        world.assert_in_step(&a);
    }
}

#[test]
fn where_it_is_only_taken_silence_is_sent_as_packets() {
    let mut world = World::new();
    let a = world.open_with(1, taking(1, PCMU, false));
    world.run(2000);
    assert!(world.noise(&a).is_empty());
    assert!(world.packets(&a).len() >= 99);
}

#[test]
fn noise_behind_a_pause_goes_with_its_level_and_a_change_is_told_after_400_ms_at_the_soonest() {
    let mut world = World::new();
    let (mut a, b) = (world.open(1), world.open_with(2, taking(2, PCMA, true)));
    world.join(&[&a, &b]);
    let mut chance = Chance::new(1);
    world.talk(1000, &mut [&mut a]);
    world.hiss(3000, -55.0, &mut a, &mut chance);
    world.hiss(3000, -50.5, &mut a, &mut chance);
    world.talk(1000, &mut [&mut a]);
    let noise = world.noise(&b);
    assert!((2..=4).contains(&noise.len()), "{noise:?}");
    assert!(noise[0].1.abs_diff(61) <= 1 && noise.last().unwrap().1.abs_diff(57) <= 2, "{noise:?}");
    assert!(noise.windows(2).all(|pair| pair[1].0 - pair[0].0 >= 400), "{noise:?}");
    world.assert_in_step(&b);
    assert!(has_tone(&world.heard(&b, 800), &a));
}

#[test]
fn a_member_of_a_room_that_hears_nobody_is_sent_noise_and_one_that_hears_somebody_is_not() {
    let mut world = World::new();
    let mut speaks = world.open(1);
    let (silent, deaf) = (world.open_with(2, taking(2, PCMU, true)), world.open_with(3, taking(3, PCMU, true)));
    world.join(&[&speaks, &silent]);
    world.join_as(&deaf, Role::Speak);
    world.talk(2000, &mut [&mut speaks]);
    assert_eq!((world.noise(&silent).len(), world.noise(&deaf).len()), (0, 1));
    assert!(has_tone(&world.heard(&silent, 1000), &speaks));
    world.run(2000);
    assert_eq!(world.noise(&silent).len(), 1);
    for phone in [&silent, &deaf] {
        world.assert_in_step(phone);
    }
}

#[test]
fn noise_that_comes_is_passed_on_where_the_other_takes_it_and_becomes_audio_where_it_does_not() {
    for other in [taking(2, PCMU, false), stream_to(address(2))] {
        let takes = other.comfort.is_some();
        let mut world = World::new();
        let (mut a, b) = (world.open_with(1, taking(1, PCMU, false)), world.open_with(2, other));
        world.join(&[&a, &b]);
        world.talk(500, &mut [&mut a]);
        let before = world.packets(&b).len();
        assert_eq!(before, 25, "relayed");
        let packet = a.packet(NOISE, &[50]);
        world.receive(&a, &packet);
        world.run(1000);
        if takes {
            assert_eq!(world.noise(&b), [(500, 50)]);
            assert_eq!(world.packets(&b).len(), before + 1);
        } else {
            assert!(world.noise(&b).is_empty());
            let level = rms(&world.heard(&b, 600));
            assert!((60.0..160.0).contains(&level), "{level}");
        }
        a.next.timestamp = a.next.timestamp.wrapping_add(8000);
        world.talk(1000, &mut [&mut a]);
        assert!(has_tone(&world.heard(&b, 800), &a));
    }
}

#[test]
fn noise_that_comes_goes_on_as_noise_where_it_is_decoded_on_the_way() {
    let mut world = World::new();
    let (mut a, b) = (world.open_with(1, taking(1, PCMU, false)), world.open_with(2, taking(2, PCMA, true)));
    world.join(&[&a, &b]);
    world.talk(500, &mut [&mut a]);
    let packet = a.packet(NOISE, &[60]);
    world.receive(&a, &packet);
    world.run(4000);
    let noise = world.noise(&b);
    assert!(!noise.is_empty() && noise.last().unwrap().1.abs_diff(60) <= 1, "{noise:?}");
    let last: Vec<_> = world.sent.iter().filter(|sent| world.now - sent.at < Duration::from_secs(3)).collect();
    assert!(last.iter().filter(|sent| sent.slot == b.slot).filter_map(|sent| sent.rtp()).count() <= 2);
    world.assert_in_step(&b);
}

#[test]
fn a_key_in_a_pause_is_sent_and_the_pause_goes_on_after_it() {
    let mut world = World::new();
    let a = world.open_with(1, taking(1, PCMU, true));
    world.run(1000);
    let (length, gap) = (Duration::from_millis(100), Duration::from_millis(60));
    world.command(Command::Digits { port: a.port, digits: "7".into(), length, gap });
    world.run(3000);
    let packets = world.packets(&a);
    let markers = packets.iter().filter(|(h, payload)| h.payload_type == 101 && h.marker && payload[0] == 7).count();
    assert_eq!(markers, 1);
    assert_eq!(world.noise(&a).len(), 2, "{:?}", world.noise(&a));
    assert!(packets.windows(2).all(|pair| pair[1].0.sequence == pair[0].0.sequence.wrapping_add(1)));
}
