//! Symmetric RTP: phones behind NATs, and strangers who send to open ports.

use super::{
    media::{DIALS, TALKS, bridge},
    phone::{Hand, rtp},
    *,
};

const CALLEE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 3));
const STRANGER: &str = "198.51.100.66:6666";

fn packets(world: &World, to: SocketAddr, from: Time) -> usize {
    world.wire().iter().filter(|(at, d)| d.to == to && *at >= from).count()
}

fn heard_by(hand: &Hand, from: Time) -> usize {
    hand.audio(hand.rtp, from).iter().filter(|(_, s)| holds(s, 1400.0)).count()
}

fn callee_hears(world: &World, tone: f64, from: Time) -> usize {
    audio_at(world, CALLEE).iter().filter(|(at, s)| *at >= from && holds(s, tone)).count()
}

/// A stranger's 700 Hz, ten packets in each 20 ms, beside the phone.
fn flood(world: &mut World, hand: &mut Hand, time: Duration) {
    let stranger: SocketAddr = STRANGER.parse().unwrap();
    let pcm = hum(700.0, 160);
    let mut payload = vec![0; 160];
    g711::encode_ulaw(&pcm.samples, &mut payload);
    let end = world.now + time;
    let mut sequence = 0u16;
    while world.now < end {
        for _ in 0..10 {
            sequence = sequence.wrapping_add(1);
            let bytes = rtp(0, sequence, u32::from(sequence) * 160, false, &payload);
            if let Some(to) = hand.server_rtp {
                world.net.send(world.now, Datagram::udp(stranger, to, bytes));
            }
        }
        hand.run(world, Duration::from_millis(20));
    }
}

#[test]
fn a_phone_whose_address_is_private_is_heard_and_hears_and_the_record_says_so() {
    for listen in ["", "call:record{file = 'x.wav'}"] {
        let (mut world, mut hand) = bridge(&format!("{DIALS} {listen} call:bridge(peer)"), TALKS);
        hand.media.said = "192.168.1.5:40000".parse().unwrap();
        hand.rtp = "203.0.113.7:50001".parse().unwrap();
        hand.invite(&mut world);
        hand.run(&mut world, secs(3));
        let from = world.now;
        hand.run(&mut world, secs(4));
        assert!(heard_by(&hand, from) > 195, "{} packets", heard_by(&hand, from));
        assert!(callee_hears(&world, 1000.0, from) > 195);
        assert_eq!(packets(&world, hand.media.said, from), 0, "nothing goes to the private address any more");
        hand.request(&mut world, "BYE", "", "");
        hand.run(&mut world, secs(1));
        assert_clean(&mut world, &[SERVER, CALLEE]);
        let record = inbound(&mut world, SERVER);
        let line = record.no_audio.expect("the record tells where the packets came from");
        assert!(line.contains("192.168.1.5:40000") && line.contains("203.0.113.7:50001"), "{line}");
    }
}

#[test]
fn strangers_are_not_heard_and_get_nothing() {
    let stranger: SocketAddr = STRANGER.parse().unwrap();
    let (mut world, mut hand) =
        bridge(&format!("{DIALS} call:record{{file = 'x.wav', stereo = true}} call:bridge(peer)"), TALKS);
    hand.invite(&mut world);
    hand.run(&mut world, secs(2));
    let from = world.now;
    flood(&mut world, &mut hand, secs(3));
    assert!(heard_by(&hand, from) > 145);
    assert!(callee_hears(&world, 1000.0, from) > 145);
    assert_eq!(callee_hears(&world, 700.0, from), 0);
    assert_eq!(packets(&world, stranger, Time::START), 0);
    assert_eq!(seconds_with(recording(&mut world, SERVER, "x.wav"), 0, 700.0), 0.0);
    hand.request(&mut world, "BYE", "", "");
    hand.run(&mut world, secs(1));
    let refused = inbound(&mut world, SERVER).quality.unwrap().refused;
    assert!((1400..=1500).contains(&refused), "{refused} refused");
}

#[test]
fn a_stranger_who_came_first_gives_way_to_the_phone() {
    let stranger: SocketAddr = STRANGER.parse().unwrap();
    let (mut world, mut hand) = bridge(&format!("{DIALS} call:bridge(peer)"), TALKS);
    hand.hums = None;
    hand.invite(&mut world);
    hand.run(&mut world, Duration::from_millis(200));
    flood(&mut world, &mut hand, secs(1));
    hand.hums = Some(1000.0);
    flood(&mut world, &mut hand, Duration::from_millis(200));
    let from = world.now;
    flood(&mut world, &mut hand, secs(3));
    assert!(heard_by(&hand, from) > 145);
    assert!(callee_hears(&world, 1000.0, from) > 145);
    assert_eq!(callee_hears(&world, 700.0, from + Duration::from_millis(100)), 0);
    assert_eq!(packets(&world, stranger, from + Duration::from_millis(100)), 0);
}

#[test]
fn after_a_reinvite_the_phone_is_followed_to_its_new_place_behind_the_nat() {
    let (mut world, mut hand) = bridge(&format!("{DIALS} call:bridge(peer)"), TALKS);
    hand.media.said = "192.168.1.5:40000".parse().unwrap();
    hand.rtp = "203.0.113.7:50001".parse().unwrap();
    hand.invite(&mut world);
    hand.run(&mut world, secs(3));
    hand.media.said = "192.168.1.5:40002".parse().unwrap();
    hand.rtp = "203.0.113.7:50009".parse().unwrap();
    hand.invite(&mut world);
    hand.run(&mut world, Duration::from_millis(300));
    let from = world.now;
    flood(&mut world, &mut hand, secs(3));
    assert!(heard_by(&hand, from) > 145, "{}", heard_by(&hand, from));
    assert!(callee_hears(&world, 1000.0, from) > 145);
    assert_eq!(packets(&world, "203.0.113.7:50001".parse().unwrap(), from), 0);
    assert_eq!(callee_hears(&world, 700.0, from), 0);
}

#[test]
fn a_phone_that_sends_nothing_is_in_the_record_and_is_hung_up_after_its_time() {
    for hang_up in [None, Some(40)] {
        let mut world = World::new(Weather::CALM, 5);
        world.tap();
        let mut server = config(SERVER, &[("100", "main.lua")]);
        server.media.rtp_timeout = hang_up.map(secs);
        world.add(SERVER, server, &[("main.lua", "call:answer() call:sleep(60)")]);
        let mut hand = Hand::new(PHONE);
        hand.hums = None;
        hand.invite(&mut world);
        hand.run(&mut world, secs(70));
        assert_clean(&mut world, &[SERVER]);
        let record = inbound(&mut world, SERVER);
        assert_eq!(record.no_audio.as_deref(), Some("no packet came; SDP says 10.0.0.2:40000"));
        let (reason, seconds) =
            hang_up.map_or((EndReason::AgentCompleted, 60.0), |after| (EndReason::TelephonyError, after as f64));
        assert_eq!((record.status, record.end_reason), (Status::Completed, reason));
        assert!((record.talk_seconds - seconds).abs() < 2.0, "{}", record.talk_seconds);
    }
}
