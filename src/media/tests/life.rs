use super::*;
use crate::rtp::rtcp::{self, Compound, Packet};

fn closed(world: &World) -> Vec<Quality> {
    let quality = |event: &Event| match event {
        Event::Closed { quality, .. } => Some(quality.clone()),
        _ => None,
    };
    world.events.iter().filter_map(quality).collect()
}

fn rtcp_of<'a>(world: &'a World, phone: &Phone) -> Vec<&'a Sent> {
    world.sent.iter().filter(|sent| sent.slot == phone.slot && sent.channel == Channel::Rtcp).collect()
}

#[test]
fn a_port_fits_into_its_memory() {
    assert!(size_of::<Port>() <= 20 * 1024, "{}", size_of::<Port>());
}

#[test]
fn an_engine_without_ports_has_nothing_to_wait_for() {
    let mut world = World::new();
    assert_eq!(world.engine.timeout(), None);
    let a = world.open(1);
    assert_eq!(world.engine.timeout(), Some(world.now + TICK));
    world.command(Command::Close { port: a.port });
    assert_eq!(world.engine.timeout(), Some(world.now), "for its goodbye");
    world.run(0);
    assert_eq!(world.engine.timeout(), None);
    assert_eq!(closed(&world).len(), 1);
}

#[test]
fn ticks_are_absolute_and_a_thread_that_comes_far_too_late_leaves_some_out() {
    let mut world = World::new();
    let a = world.open(1);
    world.play(&a, 1, vec![0; 80_000]);
    let begin = world.now;
    for late in [3, 0, 19, 7] {
        let due = world.engine.timeout().unwrap();
        world.engine.handle_timeout(due + Duration::from_millis(late), &mut world.batch);
        world.drain();
        assert_eq!(world.engine.timeout(), Some(due + TICK));
    }
    assert_eq!(world.engine.timeout(), Some(begin + 5 * TICK));
    world.engine.handle_timeout(begin + 5 * TICK + Duration::from_millis(190), &mut world.batch);
    world.drain();
    assert_eq!((world.packets(&a).len(), world.engine.skipped_ticks()), (4 + 10, 0), "what is late is caught up");
    let due = world.engine.timeout().unwrap();
    world.now = due + Duration::from_millis(1010);
    world.engine.handle_timeout(world.now, &mut world.batch);
    world.drain();
    assert_eq!((world.packets(&a).len(), world.engine.skipped_ticks()), (15, 50));
    let packets = world.packets(&a);
    assert_eq!(packets[14].0.timestamp.wrapping_sub(packets[13].0.timestamp), 160 + 8000);
    assert!(packets[14].0.marker);
}

#[test]
fn more_ports_than_fit_are_refused_and_slots_are_used_again() {
    let mut world = World::new();
    let phones: Vec<_> = (1..=8).map(|n| world.open(n)).collect();
    let memory = Port::new(PortId(9), stream_to(address(9)), &config(), 9);
    world.command(Command::Open { port: PortId(9), memory });
    assert_eq!((closed(&world).len(), world.engine.slot(PortId(9))), (1, None));
    world.command(Command::Close { port: phones[3].port });
    world.run(0);
    let again = world.open(10);
    assert_eq!(again.slot, phones[3].slot);
}

#[test]
fn silence_of_a_peer_that_should_send_is_told_once_until_it_comes_back() {
    let silent = |world: &World| world.count(|event| matches!(event, Event::NoRtp { .. }));
    let mut world = World::new();
    let mut a = world.open(1);
    world.run(9_900);
    assert_eq!(silent(&world), 0);
    world.run(30_000);
    assert_eq!(silent(&world), 1);
    world.talk(100, &mut [&mut a]);
    world.run(30_000);
    assert_eq!(silent(&world), 2);
    world.update(&a, |stream| stream.receiving = false);
    world.run(30_000);
    world.update(&a, |_| ());
    world.run(9_000);
    assert_eq!(silent(&world), 2, "on hold it need not send");
    world.run(2_000);
    assert_eq!(silent(&world), 3);
}

#[test]
fn what_came_in_vain_is_told_before_the_silence_is() {
    let mut world = World::new();
    let mut a = world.open(1);
    world.run(9_900);
    let mut unknown = a.speak();
    unknown[1] = 97;
    world.receive(&a, &unknown);
    world.run(200);
    let last: Vec<&Event> = world.events.iter().rev().take(2).collect();
    let [Event::NoRtp { .. }, Event::Quality { quality, .. }] = last[..] else { panic!("{last:?}") };
    assert_eq!((quality.refused, quality.refused_from), (1, Some(a.from)));
}

#[test]
fn a_peer_without_rtp_and_rtcp_is_lost_after_its_time_but_not_while_it_reports() {
    let lost = |world: &World| world.count(|event| matches!(event, Event::Lost { .. }));
    let mut world = World::new();
    let mut a = world.open(1);
    world.talk(1000, &mut [&mut a]);
    let report = |world: &mut World| {
        let compound = Compound { ssrc: a.next.ssrc, sender: None, block: None, cname: "a", goodbye: false };
        let mut bytes = [0; 344];
        let length = compound.write(&mut bytes);
        let from = SocketAddr::new(a.from.ip(), 4001);
        world.engine.handle_packet(world.now, a.slot, Channel::Rtcp, from, &bytes[..length], &mut world.batch);
    };
    for _ in 0..40 {
        world.run(5_000);
        report(&mut world);
    }
    assert_eq!(lost(&world), 0, "200 s of reports");
    world.run(59_900);
    assert_eq!(lost(&world), 0);
    world.run(200);
    assert_eq!(lost(&world), 1);
    world.run(60_000);
    assert_eq!(lost(&world), 2, "nobody did anything about it");
}

#[test]
fn a_source_is_told_when_it_latches() {
    let mut world = World::new();
    let mut a = world.open(1);
    a.from = "203.0.113.7:50001".parse().unwrap();
    world.talk(100, &mut [&mut a]);
    let from = a.from;
    assert_eq!(world.count(|event| matches!(event, Event::Latched { from: f, .. } if *f == from)), 1);
    world.play(&a, 1, vec![0; 160]);
    world.run(40);
    assert_eq!(world.sent.last().unwrap().to, from);
}

#[test]
fn reports_tell_what_came_and_the_peers_tell_the_round_trip() {
    let mut world = World::new();
    let (mut a, mut b) = (world.open(1), world.open(2));
    world.join(&[&a, &b]);
    world.talk(8_000, &mut [&mut a, &mut b]);
    let report = rtcp_of(&world, &a)[0];
    assert_eq!(report.to, SocketAddr::new(a.from.ip(), 4001));
    let (sent_at, bytes) = (report.at, report.bytes.clone());
    let Some(Packet::Report { ssrc, sender: Some(sender), mut blocks }) = rtcp::read(&bytes).next() else {
        panic!("a sender report")
    };
    let block = blocks.next().expect("it was heard");
    assert_eq!((block.ssrc, block.lost, block.fraction), (a.next.ssrc, 0, 0));
    assert!(sender.packets > 100 && sender.octets == 160 * sender.packets);
    // 300 ms after it came, 40 ms before it is back, the peer answers.
    let answer = rtcp::Block {
        ssrc,
        fraction: 64,
        last_sr: rtcp::middle(sender.ntp),
        delay: rtcp::delay(Duration::from_millis(300)),
        ..Default::default()
    };
    let compound = Compound { ssrc: a.next.ssrc, sender: None, block: Some(answer), cname: "a", goodbye: false };
    let mut bytes = [0; 344];
    let length = compound.write(&mut bytes);
    let now = sent_at + Duration::from_millis(340);
    let from = SocketAddr::new(a.from.ip(), 4001);
    let stranger = "198.51.100.66:4001".parse().unwrap();
    for source in [stranger, from] {
        world.engine.handle_packet(now, a.slot, Channel::Rtcp, source, &bytes[..length], &mut world.batch);
    }
    world.command(Command::Close { port: a.port });
    world.run(0);
    let quality = &closed(&world)[0];
    assert!(quality.round_trip_us.unwrap().abs_diff(40_000) < 100, "{quality:?}");
    assert_eq!((quality.peer_lost_fraction, quality.refused), (Some(64), 1));
    let last = rtcp_of(&world, &a).pop().unwrap();
    assert!(rtcp::read(&last.bytes).any(|packet| matches!(packet, Packet::Goodbye { .. })));
}

#[test]
fn reports_of_many_calls_are_spread() {
    let mut world = World::new();
    let phones: Vec<_> = (1..=8).map(|n| world.open(n)).collect();
    world.run(60_000);
    let mut firsts: Vec<_> = phones.iter().map(|phone| rtcp_of(&world, phone)[0].at).collect();
    for phone in &phones {
        assert!((8..=24).contains(&rtcp_of(&world, phone).len()));
    }
    firsts.sort_unstable();
    assert!(firsts[7] - firsts[0] > Duration::from_secs(1));
}

#[test]
fn a_port_moves_to_another_engine_with_what_it_is_doing() {
    let mut world = World::new();
    let mut other = World::new();
    let mut a = world.open(1);
    world.play(&a, 1, vec![100; 8000]);
    world.record(&a, 2, Layout::Stereo);
    world.talk(500, &mut [&mut a]);
    other.now = world.now;
    let port = world.engine.give(a.port).expect("it is here");
    assert_eq!((world.engine.slot(a.port), world.engine.timeout()), (None, None));
    a.slot = other.engine.take(other.now, port);
    other.talk(1000, &mut [&mut a]);
    assert_eq!(other.count(|event| matches!(event, Event::PlayDone { samples: 8000, finished: true, .. })), 1);
    other.command(Command::Close { port: a.port });
    other.run(0);
    assert_eq!(other.count(|event| matches!(event, Event::RecordDone { samples: 12_000, missed: 0, .. })), 1);
    let last = world.packets(&a).last().unwrap().0;
    let first = other.packets(&a)[0].0;
    assert_eq!(first.sequence, last.sequence.wrapping_add(1));
    assert_eq!(first.timestamp, last.timestamp.wrapping_add(160));
}

#[test]
fn a_close_answers_all_that_somebody_waits_for_before_it_is_told() {
    let mut world = World::new();
    let a = world.open(1);
    world.play(&a, 1, vec![0; 8000]);
    world.record(&a, 2, Layout::Mix);
    let (length, gap) = (Duration::from_millis(100), Duration::from_millis(60));
    world.command(Command::Digits { port: a.port, digits: "1".into(), length, gap });
    world.run(40);
    world.events.clear();
    world.command(Command::Close { port: a.port });
    world.command(Command::Close { port: a.port });
    world.run(100);
    let told: Vec<_> = world.events.iter().collect();
    assert!(
        matches!(
            told[..],
            [
                Event::PlayDone { finished: false, .. },
                Event::Recorded { .. },
                Event::RecordDone { samples: 320, .. },
                Event::DigitsSent { .. },
                Event::Closed { .. }
            ]
        ),
        "{told:?}"
    );
}

#[test]
fn a_new_address_is_sent_to_at_once_and_strangers_gain_nothing_from_it() {
    let mut world = World::new();
    let (mut a, mut b) = (world.open(1), world.open(2));
    world.join(&[&a, &b]);
    world.talk(200, &mut [&mut a, &mut b]);
    let (moved, stranger) = (address(50), address(66));
    world.update(&a, |stream| stream.remote = Some(moved));
    world.sent.clear();
    world.talk(100, &mut [&mut b]);
    assert!(world.sent.iter().all(|sent| sent.to == moved));
    a.from = moved;
    world.talk(100, &mut [&mut a, &mut b]);
    for _ in 0..50 {
        let forged = a.packet(0, &[0; FRAME]);
        assert_eq!(world.receive_from(&a, stranger, &forged), []);
    }
    world.talk(100, &mut [&mut b]);
    assert!(world.sent.iter().filter(|sent| sent.slot == a.slot).all(|sent| sent.to == moved));
    world.assert_one_stream(&a);
}
