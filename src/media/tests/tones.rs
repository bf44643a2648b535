//! Keys between phones that say them in different ways: as events and as tones in the audio.

use super::*;
use crate::audio::{dtmf, tone};

fn without_events(stream: &mut Stream) {
    (stream.send_digits, stream.receive_digits) = (None, vec![]);
}

fn open_plain(world: &mut World, n: u64) -> Phone {
    let mut stream = stream_to(address(n));
    without_events(&mut stream);
    world.open_with(n, stream)
}

/// The phone presses a key by its tone, for 100 ms; then it is silent.
fn press(world: &mut World, phone: &mut Phone, key: char) {
    let mut samples = tone::digit(key, Duration::from_millis(100)).unwrap();
    samples.resize(samples.len() + 3200, 0);
    for frame in samples.chunks(FRAME) {
        let mut payload = [0; FRAME];
        phone.encoder.encode(phone.payload.codec, Rate::Narrow, frame, &mut payload);
        let packet = phone.packet(phone.payload.number, &payload);
        phone.next.timestamp = phone.next.timestamp.wrapping_add(FRAME as u32);
        world.receive(phone, &packet);
        world.run(20);
    }
}

/// Keys that a phone can hear in what it was sent in the last `ms`.
fn tones(world: &World, phone: &Phone, ms: u64) -> String {
    let mut keys = String::new();
    dtmf::Detector::new(RATE).handle(&world.heard(phone, ms), |key| keys.push(key));
    keys
}

/// Event codes of the markers that a phone was sent.
fn events(world: &World, phone: &Phone) -> Vec<u8> {
    let packets = world.packets(phone);
    packets.iter().filter(|(h, _)| h.payload_type == 101 && h.marker).map(|(_, payload)| payload[0]).collect()
}

#[test]
fn a_tone_becomes_an_event_for_the_other_and_is_no_longer_heard() {
    let mut world = World::new();
    let (mut a, b) = (open_plain(&mut world, 1), world.open(2));
    world.join(&[&a, &b]);
    press(&mut world, &mut a, '8');
    world.run(400);
    assert_eq!(world.keys(&a), "8");
    assert_eq!(events(&world, &b), [8]);
    assert_eq!(tones(&world, &b, 2000), "", "what is left of the tone is too short to be heard as one");
}

#[test]
fn an_event_becomes_a_tone_for_the_other() {
    let mut world = World::new();
    let (mut a, b) = (world.open(1), open_plain(&mut world, 2));
    world.join(&[&a, &b]);
    world.talk(200, &mut [&mut a]);
    for code in [1, 1, 11] {
        for packet in a.press(code) {
            world.receive(&a, &packet);
            world.run(20);
        }
        world.run(300);
    }
    assert_eq!(world.keys(&a), "11#");
    assert_eq!(tones(&world, &b, 2000), "11#");
    world.assert_one_stream(&b);
}

#[test]
fn between_two_that_only_know_tones_the_tone_itself_is_heard_and_told_once() {
    let mut world = World::new();
    let (mut a, b) = (open_plain(&mut world, 1), open_plain(&mut world, 2));
    world.join(&[&a, &b]);
    for key in "40D".chars() {
        press(&mut world, &mut a, key);
    }
    world.run(400);
    assert_eq!((world.keys(&a), world.keys(&b)), ("40D".to_owned(), String::new()));
    assert_eq!(tones(&world, &b, 3000), "40D");
}

#[test]
fn a_phone_alone_is_heard_pressing_and_is_sent_tones() {
    let mut world = World::new();
    let mut a = open_plain(&mut world, 1);
    press(&mut world, &mut a, '*');
    assert_eq!(world.keys(&a), "*");
    let (length, gap) = (Duration::from_millis(80), Duration::from_millis(60));
    world.command(Command::Digits { port: a.port, digits: "12,9".into(), length, gap });
    world.run(2000);
    assert_eq!(world.count(|event| matches!(event, Event::DigitsSent { .. })), 1);
    assert_eq!(tones(&world, &a, 2000), "129");
    world.assert_one_stream(&a);
}

#[test]
fn agreeing_on_events_later_ends_the_listening_for_tones() {
    let mut world = World::new();
    let mut a = open_plain(&mut world, 1);
    world.update(&a, |_| {});
    press(&mut world, &mut a, '3');
    assert_eq!(world.keys(&a), "");
    world.update(&a, without_events);
    press(&mut world, &mut a, '3');
    assert_eq!(world.keys(&a), "3");
}
