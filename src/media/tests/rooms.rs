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
