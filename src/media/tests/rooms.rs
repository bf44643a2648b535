//! Rooms beyond the sum: whisperers, members who neither speak nor hear, the chime, the loudest, automatic gain.

use super::*;

fn join_as(world: &mut World, phones: &[(&Phone, Role)]) {
    for (phone, role) in phones {
        world.join_as(phone, *role);
    }
}

#[test]
fn a_whisperer_hears_both_and_is_heard_by_one() {
    let mut world = World::new();
    let (mut a, mut b, mut boss) = (world.open(1), world.open(2), world.open(3));
    world.join(&[&a, &b]);
    world.talk(400, &mut [&mut a, &mut b, &mut boss]);
    world.join_as(&boss, Role::Whisper(a.port));
    world.talk(2000, &mut [&mut a, &mut b, &mut boss]);
    let heard = |phone: &Phone, of: &Phone| has_tone(&world.heard(phone, 1000), of);
    assert!(heard(&a, &b) && heard(&a, &boss) && !heard(&a, &a));
    assert!(heard(&b, &a) && !heard(&b, &boss));
    assert!(heard(&boss, &a) && heard(&boss, &b) && !heard(&boss, &boss));
    world.command(Command::Leave { port: boss.port });
    world.talk(400, &mut [&mut a, &mut b, &mut boss]);
    let packet = a.speak();
    assert_eq!(world.receive(&a, &packet).len(), 1, "the two are relayed again");
}

#[test]
fn who_is_idle_neither_hears_nor_is_heard() {
    let mut world = World::new();
    let (mut a, mut b, mut c) = (world.open(1), world.open(2), world.open(3));
    join_as(&mut world, &[(&a, Role::Both), (&b, Role::Both), (&c, Role::Idle)]);
    world.talk(2000, &mut [&mut a, &mut b, &mut c]);
    let heard = |phone: &Phone, of: &Phone| has_tone(&world.heard(phone, 1000), of);
    assert!(heard(&a, &b) && !heard(&a, &c) && heard(&b, &a) && !heard(&b, &c));
    assert!(!heard(&c, &a) && !heard(&c, &b));
    world.assert_one_stream(&c);
}

#[test]
fn the_chime_is_heard_by_all_once_and_by_nobody_in_another_room() {
    let mut world = World::new();
    let (a, b, c, other) = (world.open(1), world.open(2), world.open(3), world.open(4));
    world.join(&[&a, &b, &c]);
    world.command(Command::Join { bridge: BridgeId(2), port: other.port, role: Role::Both });
    world.run(200);
    world.command(Command::Chime { port: b.port, rising: true });
    world.run(400);
    let power = |phone: &Phone| {
        let heard = world.heard(phone, 400);
        heard.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / heard.len() as f64
    };
    assert!([&a, &b, &c].iter().all(|phone| power(phone) > 1e5) && power(&other) < 1.0);
    world.run(400);
    assert!(world.heard(&a, 400).iter().all(|s| s.abs() < 10), "it is over");
    world.command(Command::Chime { port: PortId(9), rising: true });
}

#[test]
fn of_three_the_loudest_is_told_when_it_changes() {
    let mut world = World::new();
    let (mut a, mut b, c) = (world.open(1), world.open(2), world.open(3));
    world.join(&[&a, &b, &c]);
    world.talk(3000, &mut [&mut a]);
    world.run(3000);
    world.talk(3000, &mut [&mut b]);
    let loudest: Vec<PortId> = world
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Loudest { port } => Some(*port),
            _ => None,
        })
        .collect();
    assert_eq!(loudest, [a.port, b.port]);
}

#[test]
fn who_interrupt_each_other_are_told_at_most_once_a_second_and_the_last_one_is_told() {
    let mut world = World::new();
    let (mut a, mut b, c) = (world.open(1), world.open(2), world.open(3));
    world.join(&[&a, &b, &c]);
    world.talk(1000, &mut [&mut a]);
    let before = world.events.len();
    for _ in 0..10 {
        world.talk(300, &mut [&mut a]);
        world.talk(300, &mut [&mut b]);
    }
    world.run(2000);
    world.talk(2000, &mut [&mut b]);
    let told = |events: &[Event]| -> Vec<PortId> {
        let loudest = events.iter().filter_map(|event| match event {
            Event::Loudest { port } => Some(*port),
            _ => None,
        });
        loudest.collect()
    };
    let turns = told(&world.events[before..]);
    assert!(turns.len() <= 7 && told(&world.events).last() == Some(&b.port), "{turns:?}");
}

#[test]
fn the_quiet_are_raised_and_the_loud_lowered_where_that_is_wanted() {
    let mut world = World::new();
    let (mut a, b) = (world.open(1), world.open(2));
    world.join(&[&a, &b]);
    world.command(Command::Level { port: a.port, on: true });
    world.talk(10_000, &mut [&mut a]);
    let heard = world.heard(&b, 1000);
    let level = audio::vad::level(&heard);
    // The phone hums at -9 dBm0.
    assert!((-21.0..-17.0).contains(&level), "{level}");
    world.command(Command::Level { port: a.port, on: false });
    let packet = a.speak();
    assert_eq!(world.receive(&a, &packet).len(), 1, "relayed again");
}

#[test]
fn a_room_of_many_with_one_speaker_is_heard_by_all_the_others() {
    let mut world = World::new();
    let mut phones: Vec<Phone> = (1..=8).map(|n| world.open(n)).collect();
    world.join(&phones.iter().collect::<Vec<_>>());
    for _ in 0..100 {
        // All send; only the first says something.
        for (n, phone) in phones.iter_mut().enumerate() {
            let packet = phone.speak();
            let silent = phone.payload.number;
            let packet = if n == 0 { packet } else { [&packet[..rtp::HEADER], &[0xff; FRAME]].concat() };
            assert_eq!(packet[1] & 0x7f, silent);
            world.receive(phone, &packet);
        }
        world.run(20);
    }
    let (first, others) = phones.split_first().unwrap();
    assert!(others.iter().all(|phone| has_tone(&world.heard(phone, 1000), first)));
    assert!(!has_tone(&world.heard(first, 1000), first));
}

/// What was recorded under this id: its samples, and (samples, why).
fn tape(world: &World, id: u64) -> (Vec<i16>, Option<(u64, RecordEnd)>) {
    let (mut all, mut end) = (Vec::new(), None);
    for event in &world.events {
        match event {
            Event::Recorded { port: PortId(900), recording, block } if recording.0 == id => {
                assert_eq!(end, None, "no block follows the end");
                all.extend_from_slice(&block.samples);
            }
            Event::RecordDone { port: PortId(900), recording, samples, why, .. } if recording.0 == id => {
                assert_eq!(end.replace((*samples, *why)), None);
            }
            _ => {}
        }
    }
    (all, end)
}

fn record_bridge(world: &mut World, bridge: u64, recording: u64, rate: Rate, after: Option<u64>) {
    let blocks = (0..100).map(|_| Block { samples: Vec::with_capacity(3200) }).collect();
    let (name, ends) = (PortId(900), Ends { after, quiet: None });
    let (bridge, recording) = (BridgeId(bridge), RecordingId(recording));
    world.command(Command::RecordBridge { bridge, name, recording, rate, ends, blocks });
}

#[test]
fn a_recorded_room_has_all_who_speak_while_they_come_and_go_and_ends_with_the_last() {
    let mut world = World::new();
    let (mut a, mut b, mut c) = (world.open(1), world.open(2), world.open(3));
    world.join_as(&a, Role::Both);
    record_bridge(&mut world, 1, 1, Rate::Wide, None);
    world.talk(1000, &mut [&mut a]);
    world.join_as(&b, Role::Both);
    world.join_as(&c, Role::Listen);
    world.talk(1000, &mut [&mut a, &mut b, &mut c]);
    world.command(Command::Leave { port: a.port });
    world.talk(1000, &mut [&mut a, &mut b, &mut c]);
    world.command(Command::Close { port: c.port });
    world.command(Command::Leave { port: b.port });
    let (all, end) = tape(&world, 1);
    assert_eq!(end, Some((48_000, RecordEnd::Stopped)));
    let share = |second: usize, phone: &Phone| {
        let part = &all[second * 16_000 + 6000..(second + 1) * 16_000];
        goertzel::power(part, phone.tone, 16_000) / (8000.0_f64.powi(2) / 2.0)
    };
    for (second, phone, there) in
        [(0, &a, true), (0, &b, false), (1, &a, true), (1, &b, true), (1, &c, false), (2, &a, false), (2, &b, true)]
    {
        let share = share(second, phone);
        assert!(if there { share > 0.6 } else { share < 0.01 }, "{} Hz in second {second}: {share}", phone.tone);
    }
}

#[test]
fn two_who_are_recorded_as_a_room_are_mixed_and_relayed_again_afterwards() {
    let mut world = World::new();
    let (mut a, mut b) = (world.open(1), world.open(2));
    world.join(&[&a, &b]);
    world.talk(200, &mut [&mut a, &mut b]);
    record_bridge(&mut world, 1, 1, Rate::Narrow, None);
    world.talk(400, &mut [&mut a, &mut b]);
    let packet = a.speak();
    assert_eq!(world.receive(&a, &packet).len(), 0, "it is decoded");
    world.command(Command::RecordAs { port: PortId(900), recording: RecordingId(1), mode: RecordMode::Mask });
    world.talk(200, &mut [&mut a, &mut b]);
    world.command(Command::StopRecording { port: PortId(900), recording: RecordingId(1) });
    let (all, end) = tape(&world, 1);
    assert_eq!(end, Some((4800, RecordEnd::Stopped)));
    assert!(has_tone(&all[1600..3200], &a) && has_tone(&all[1600..3200], &b));
    assert!(all[3300..].iter().all(|sample| *sample == 0), "what was masked");
    let packet = a.speak();
    assert_eq!(world.receive(&a, &packet).len(), 1, "relayed again");
}

#[test]
fn a_recording_of_a_room_ends_at_its_limit_and_one_of_no_room_at_once() {
    let mut world = World::new();
    let mut a = world.open(1);
    record_bridge(&mut world, 1, 1, Rate::Narrow, None);
    assert_eq!(tape(&world, 1).1, Some((0, RecordEnd::Stopped)));
    world.join_as(&a, Role::Both);
    record_bridge(&mut world, 1, 2, Rate::Narrow, Some(1000));
    record_bridge(&mut world, 1, 3, Rate::Full, None);
    world.talk(400, &mut [&mut a]);
    assert_eq!(tape(&world, 2).1, Some((1000, RecordEnd::Max)));
    world.command(Command::Close { port: a.port });
    world.run(0);
    assert_eq!(tape(&world, 3).1, Some((19_200, RecordEnd::Stopped)));
}
