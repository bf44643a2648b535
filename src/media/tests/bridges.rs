use super::*;

#[test]
fn each_of_three_hears_the_others_and_not_itself() {
    let mut world = World::new();
    let (mut a, mut b, mut c) = (world.open(1), world.open(2), world.open(3));
    world.join(&[&a, &b, &c]);
    world.talk(1000, &mut [&mut a, &mut b, &mut c]);
    let late = 400;
    for phone in [&a, &b, &c] {
        let heard = world.heard(phone, late);
        for other in [&a, &b, &c] {
            assert_eq!(has_tone(&heard, other), other.port != phone.port, "{} hears {}", phone.port, other.port);
        }
        world.assert_one_stream(phone);
    }
}

#[test]
fn a_listener_hears_and_is_not_heard_and_a_speaker_hears_nothing() {
    let mut world = World::new();
    let (mut a, mut b, mut c) = (world.open(1), world.open(2), world.open(3));
    world.join(&[&a]);
    world.join_as(&b, Role::Listen);
    world.join_as(&c, Role::Speak);
    world.talk(1000, &mut [&mut a, &mut b, &mut c]);
    let late = 400;
    let hears = |phone| [&a, &b, &c].map(|other| has_tone(&world.heard(phone, late), other));
    assert_eq!(hears(&a), [false, false, true]);
    assert_eq!(hears(&b), [true, false, true]);
    assert_eq!(hears(&c), [false; 3]);
    assert_eq!(world.heard(&c, late).len(), 3200, "but gets silence, so that its NAT stays open");
}

#[test]
fn one_whom_nobody_talks_to_gets_silence_in_a_bridge_and_outside() {
    let mut world = World::new();
    let mut a = world.open(1);
    world.talk(100, &mut [&mut a]);
    assert_eq!(world.packets(&a).len(), 5, "its NAT stays open while a script thinks");
    world.join(&[&a]);
    world.talk(1000, &mut [&mut a]);
    assert_eq!(world.packets(&a).len(), 55);
    assert!(world.heard(&a, u64::MAX).iter().all(|sample| *sample == 0));
    world.assert_one_stream(&a);
}

#[test]
fn a_batch_too_small_for_a_tick_is_filled_again_and_again() {
    let mut big = World::new();
    let mut small = World::with(config(), 8);
    for world in [&mut big, &mut small] {
        let mut phones: Vec<_> = (1..=6).map(|n| world.open(n)).collect();
        phones.iter().for_each(|phone| world.join(&[phone]));
        world.talk(500, &mut phones.iter_mut().collect::<Vec<_>>());
    }
    let bytes = |world: &World| world.sent.iter().map(|sent| (sent.slot, sent.bytes.clone())).collect::<Vec<_>>();
    assert_eq!(bytes(&big), bytes(&small));
}

#[test]
fn packet_lengths_are_those_of_each_peer() {
    let mut world = World::new();
    let mut phones: Vec<_> = [10, 20, 30, 40, 60]
        .into_iter()
        .zip(1..)
        .map(|(ptime, n)| world.open_with(n, Stream { ptime, ..stream_to(address(n)) }))
        .collect();
    phones.iter().for_each(|phone| world.join(&[phone]));
    world.talk(1200, &mut phones.iter_mut().collect::<Vec<_>>());
    for (phone, ptime) in phones.iter().zip([10, 20, 30, 40, 60]) {
        assert!(world.packets(phone).iter().all(|(_, payload)| payload.len() == 8 * ptime));
        assert_eq!(world.heard(phone, u64::MAX).len(), 9600);
        world.assert_one_stream(phone);
    }
}

#[test]
fn a_digit_in_a_mixed_bridge_of_two_is_made_anew_for_the_other() {
    let mut world = World::new();
    let (mut a, mut b) = (world.open(1), world.open(2));
    let watcher = world.open(3);
    world.join(&[&a, &b]);
    world.join_as(&watcher, Role::Listen);
    world.talk(200, &mut [&mut a, &mut b]);
    for packet in a.press(9) {
        world.receive(&a, &packet);
        world.run(20);
    }
    world.talk(400, &mut [&mut a, &mut b]);
    assert_eq!(world.keys(&a), "9");
    let digits =
        |phone: &Phone| world.packets(phone).into_iter().filter(|(header, _)| header.payload_type == 101).count();
    assert_eq!((digits(&a), digits(&b), digits(&watcher)), (0, 7, 0));
    world.assert_one_stream(&b);
}

#[test]
fn joining_another_bridge_leaves_the_first() {
    let mut world = World::new();
    let (mut a, mut b, mut c) = (world.open(1), world.open(2), world.open(3));
    world.join(&[&a, &b]);
    world.talk(100, &mut [&mut a, &mut b]);
    for phone in [&a, &c] {
        world.command(Command::Join { bridge: BridgeId(2), port: phone.port, role: Role::Both });
    }
    let (from_a, from_b, from_c) = (a.speak(), b.speak(), c.speak());
    assert_eq!(world.receive(&b, &from_b).len(), 0);
    assert_eq!(world.receive(&a, &from_a).len(), 1);
    assert_eq!(world.sent.last().unwrap().slot, c.slot);
    assert_eq!(world.receive(&c, &from_c).len(), 1);
    assert_eq!(world.sent.last().unwrap().slot, a.slot);
}
