use super::*;

#[test]
fn two_with_one_codec_are_relayed_at_once_under_our_own_header() {
    let mut world = World::new();
    let (mut a, b) = (world.open(1), world.open(2));
    world.join(&[&a, &b]);
    let mut first = None;
    for n in 0..5u16 {
        let packet = a.speak();
        let out = world.receive(&a, &packet);
        let (header, payload) = &out[0];
        assert_eq!((out.len(), &payload[..]), (1, &packet[12..]));
        let (sequence, timestamp) = *first.get_or_insert((header.sequence, header.timestamp));
        assert_eq!(header.sequence, sequence.wrapping_add(n));
        assert_eq!(header.timestamp, timestamp.wrapping_add(160 * u32::from(n)));
        assert!(header.ssrc != a.next.ssrc && header.marker == (n == 0));
        assert_eq!(world.sent.last().unwrap().to, b.from);
    }
    world.run(1000);
    assert_eq!(world.packets(&b).len(), 5, "a tick adds nothing to a relay");
}

fn foreign(number: u8, format: &str) -> Foreign {
    Foreign { receive: number, send: number, format: format.into(), clock: 8000 }
}

#[test]
fn payload_types_are_those_of_the_side_that_receives() {
    let mut world = World::new();
    let other = Stream {
        send: Some(Payload { number: 96, codec: Codec::Pcmu }),
        receive: vec![Payload { number: 97, codec: Codec::Pcmu }],
        send_digits: Some(Digits::narrow(110)),
        receive_digits: vec![Digits::narrow(111)],
        foreign: vec![foreign(98, "G729"), foreign(99, "AMR")],
        ..stream_to(address(2))
    };
    let (mut a, mut b) = (world.open(1), world.open_with(2, other));
    world.update(&a, |stream| stream.foreign = vec![foreign(18, "G729")]);
    world.join(&[&a, &b]);
    let (digit, speech) = (a.press(5).remove(0), a.speak());
    assert_eq!(world.receive(&a, &speech)[0].0.payload_type, 96);
    assert_eq!(world.receive(&a, &digit), [], "overtaken by what began the relay");
    let digit = a.press(6).remove(0);
    assert_eq!(world.receive(&a, &digit)[0].0.payload_type, 110);
    for (from_a, number, relayed) in [(true, 18, Some(98)), (false, 98, Some(18)), (false, 99, None)] {
        let from = if from_a { &mut a } else { &mut b };
        let packet = from.packet(number, &[1, 2, 3]);
        let out = world.receive(from, &packet);
        assert_eq!(out.first().map(|(header, _)| header.payload_type), relayed, "{number}");
        assert!(out.iter().all(|(_, payload)| payload == &[1, 2, 3]));
    }
    assert_eq!(world.keys(&a), "56");
}

#[test]
fn digits_are_relayed_packet_by_packet_and_told_once() {
    let mut world = World::new();
    let (mut a, b) = (world.open(1), world.open(2));
    world.join(&[&a, &b]);
    let mut sent = Vec::new();
    let speech = a.speak();
    sent.extend(world.receive(&a, &speech));
    for packet in a.press(11) {
        world.run(20);
        sent.extend(world.receive(&a, &packet));
    }
    let speech = a.speak();
    sent.extend(world.receive(&a, &speech));
    assert_eq!(world.keys(&a), "#");
    let times: Vec<_> = sent.iter().map(|(header, _)| header.timestamp.wrapping_sub(sent[0].0.timestamp)).collect();
    assert_eq!(times, [0, 160, 160, 160, 160, 160, 960]);
    world.assert_one_stream(&b);
}

#[test]
fn a_bridge_goes_from_relay_to_mix_and_back_in_one_stream() {
    let mut world = World::new();
    let (mut a, mut b) = (world.open(1), world.open(2));
    world.join(&[&a, &b]);
    world.talk(500, &mut [&mut a, &mut b]);
    world.record(&a, 1, Layout::Mix);
    world.talk(500, &mut [&mut a, &mut b]);
    world.command(Command::StopRecording { port: a.port, recording: RecordingId(1) });
    world.talk(500, &mut [&mut a, &mut b]);
    world.play(&b, 1, vec![0; 4000]);
    world.talk(1000, &mut [&mut a, &mut b]);
    let mut c = world.open(3);
    world.join(&[&c]);
    world.talk(300, &mut [&mut a, &mut b, &mut c]);
    world.command(Command::Leave { port: c.port });
    world.talk(300, &mut [&mut a, &mut b]);
    for phone in [&a, &b] {
        world.assert_one_stream(phone);
        let packets = world.packets(phone);
        let span = packets[packets.len() - 1].0.timestamp.wrapping_sub(packets[0].0.timestamp);
        assert!((24500..=25500).contains(&span), "3.1 s have passed, not {span} samples");
        assert!(packets[1..].iter().all(|(header, _)| !header.marker), "nothing was left out");
    }
    let heard = world.heard(&a, 200);
    assert!(has_tone(&heard, &b) && !has_tone(&heard, &a));
}

#[test]
fn different_codecs_are_translated() {
    let mut world = World::new();
    let pcma = Stream { send: Some(PCMA), receive: vec![PCMA], ..stream_to(address(2)) };
    let (mut a, mut b) = (world.open(1), world.open_with(2, pcma));
    world.join(&[&a, &b]);
    world.talk(1000, &mut [&mut a, &mut b]);
    let late = 400;
    assert!(has_tone(&world.heard(&a, late), &b) && has_tone(&world.heard(&b, late), &a));
    assert!(world.packets(&b).iter().all(|(header, _)| header.payload_type == 8));
}

#[test]
fn a_peer_that_takes_another_of_the_agreed_codecs_is_heard_all_the_same() {
    let mut world = World::new();
    let both = |n| Stream { receive: vec![PCMU, PCMA], ..stream_to(address(n)) };
    let (mut a, mut b) = (world.open_with(1, both(1)), world.open_with(2, both(2)));
    world.join(&[&a, &b]);
    world.talk(200, &mut [&mut a, &mut b]);
    a.payload = PCMA;
    world.talk(600, &mut [&mut a, &mut b]);
    let late = 300;
    assert!(has_tone(&world.heard(&b, late), &a));
    a.payload = PCMU;
    world.talk(200, &mut [&mut a, &mut b]);
    let packet = a.speak();
    assert_eq!(world.receive(&a, &packet).len(), 1, "relayed again");
    world.assert_one_stream(&b);
}

#[test]
fn a_source_that_begins_anew_goes_on_in_one_stream() {
    let mut world = World::new();
    let (mut a, b) = (world.open(1), world.open(2));
    world.join(&[&a, &b]);
    world.talk(200, &mut [&mut a]);
    a.next = Header { ssrc: 4711, sequence: 9, timestamp: 0x8000_0000, ..a.next };
    world.talk(200, &mut [&mut a]);
    assert_eq!(world.packets(&b).len(), 20);
    world.assert_one_stream(&b);
}

#[test]
fn only_who_speaks_is_relayed_and_only_to_who_hears() {
    for (role, other, there, back) in [
        (Role::Both, Role::Both, 1, 1),
        (Role::Speak, Role::Both, 1, 0),
        (Role::Listen, Role::Both, 0, 1),
        (Role::Speak, Role::Listen, 1, 0),
        (Role::Listen, Role::Listen, 0, 0),
    ] {
        let mut world = World::new();
        let (mut a, mut b) = (world.open(1), world.open(2));
        world.join_as(&a, role);
        world.join_as(&b, other);
        let (from_a, from_b) = (a.speak(), b.speak());
        assert_eq!(world.receive(&a, &from_a).len(), there, "{role:?} to {other:?}");
        assert_eq!(world.receive(&b, &from_b).len(), back, "{other:?} to {role:?}");
    }
}

#[test]
fn echo_sends_packets_back_as_they_come() {
    let mut world = World::new();
    let mut a = world.open(1);
    world.command(Command::Echo { port: a.port, on: true });
    let packet = a.speak();
    let out = world.receive(&a, &packet);
    assert_eq!(out[0].1, packet[12..]);
    world.record(&a, 1, Layout::Party);
    world.talk(500, &mut [&mut a]);
    assert!(has_tone(&world.heard(&a, 200), &a));
    world.command(Command::Echo { port: a.port, on: false });
    world.sent.clear();
    world.talk(200, &mut [&mut a]);
    assert!(world.heard(&a, u64::MAX).iter().all(|sample| *sample == 0), "nothing of its own any more");
}

#[test]
fn a_party_on_hold_gets_no_rtp_but_reports() {
    let mut world = World::new();
    let (mut a, b) = (world.open(1), world.open(2));
    world.join(&[&a, &b]);
    world.talk(200, &mut [&mut a]);
    world.update(&b, |stream| stream.sending = false);
    world.sent.clear();
    world.talk(8000, &mut [&mut a]);
    assert_eq!(world.packets(&b).len(), 0);
    assert!(world.sent.iter().any(|sent| sent.slot == b.slot && sent.channel == Channel::Rtcp));
    world.update(&b, |_| ());
    world.talk(200, &mut [&mut a]);
    assert_eq!(world.packets(&b).len(), 10);
    assert!(world.packets(&b)[0].0.marker);
    world.assert_one_stream(&b);
}

#[test]
fn strangers_are_neither_heard_nor_answered() {
    let mut world = World::new();
    let (mut a, b) = (world.open(1), world.open(2));
    world.join(&[&a, &b]);
    let stranger: SocketAddr = "198.51.100.66:6666".parse().unwrap();
    world.talk(100, &mut [&mut a]);
    for _ in 0..500 {
        let forged = a.speak();
        assert_eq!(world.receive_from(&a, stranger, &forged), []);
    }
    world.sent.clear();
    a.next.sequence = a.next.sequence.wrapping_sub(500);
    world.talk(100, &mut [&mut a]);
    assert_eq!(world.packets(&b).len(), 5);
    assert!(world.sent.iter().all(|sent| sent.to != stranger));
    world.command(Command::Close { port: a.port });
    world.run(20);
    let quality = world.events.iter().find_map(|event| match event {
        Event::Closed { quality, .. } => Some(quality.clone()),
        _ => None,
    });
    let quality = quality.expect("it closed");
    assert_eq!((quality.refused, quality.received, quality.lost), (500, 10, 0));
    assert_eq!(quality.source, Some(a.from));
}
