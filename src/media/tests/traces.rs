//! What networks and senders do to streams, seen from the other side: two phones in a mixed bridge, of which one goes
//! through it all.

use super::*;
use crate::audio::speech::{largest_step, rms};

/// Two phones that are recorded, so that nothing is relayed.
fn pair() -> (World, Phone, Phone) {
    let mut world = World::new();
    let (a, b) = (world.open(1), world.open(2));
    world.join(&[&a, &b]);
    world.record(&a, 1, Layout::Party);
    (world, a, b)
}

fn quality(world: &mut World, phone: &Phone) -> Quality {
    world.command(Command::Close { port: phone.port });
    world.run(0);
    let closed = world.events.iter().rev().find_map(|event| match event {
        Event::Closed { quality, .. } => Some(quality.clone()),
        _ => None,
    });
    closed.expect("it was closed")
}

/// The steepest that a phone's tone is, and a little more for what µ-law adds.
fn steepest(phone: &Phone) -> i32 {
    (8000.0 * TAU * phone.tone / 8000.0) as i32 + 600
}

#[test]
fn another_ssrc_in_the_middle_of_a_call_is_heard_at_once_and_is_no_loss() {
    let (mut world, mut a, b) = pair();
    world.talk(2000, &mut [&mut a]);
    for turn in 0..5_u32 {
        a.next.ssrc += 0x1234_5678;
        a.next.sequence = (turn * 13_000) as u16;
        a.next.timestamp = a.next.timestamp.wrapping_mul(7).wrapping_add(99);
        a.next.marker = turn.is_multiple_of(2);
        world.talk(1000, &mut [&mut a]);
        let heard = world.heard(&b, 900);
        let silent = heard.chunks(160).filter(|frame| rms(frame) < 1000.0).count();
        assert!(has_tone(&heard, &a) && silent <= 1, "turn {turn}: {silent} frames of silence");
        assert!(largest_step(&heard) <= steepest(&a), "turn {turn} clicks: {}", largest_step(&heard));
    }
    world.assert_one_stream(&b);
    let quality = quality(&mut world, &a);
    assert_eq!((quality.lost, quality.received), (0, 350));
}

#[test]
fn after_a_gap_of_any_length_the_voice_is_back_within_two_frames_of_its_coming() {
    for (gap, sent) in [(200, true), (200, false), (1000, true), (5000, false), (60_000, true), (3_600_000, false)] {
        let (mut world, mut a, b) = pair();
        world.talk(2000, &mut [&mut a]);
        world.run(gap);
        // The network lost them all, or the sender said nothing and its clock went on.
        a.next.timestamp = a.next.timestamp.wrapping_add((gap * 8) as u32);
        if sent {
            a.next.sequence = a.next.sequence.wrapping_add((gap / 20) as u16);
        }
        world.talk(200, &mut [&mut a]);
        let back = world.heard(&b, 140);
        assert!(back.chunks(160).all(|frame| rms(frame) > 3000.0), "{gap} ms, sent: {sent}");
        world.assert_one_stream(&b);
        let quality = quality(&mut world, &a);
        assert!(quality.buffer <= Duration::from_millis(45), "{:?} after {gap} ms", quality.buffer);
    }
}

#[test]
fn packets_that_come_twice_or_thrice_change_nothing_that_is_heard() {
    let play = |copies: usize, later: bool| {
        let (mut world, mut a, b) = pair();
        let mut before: Option<Vec<u8>> = None;
        for _ in 0..100 {
            let packet = a.speak();
            for _ in 0..copies {
                world.receive(&a, &packet);
            }
            if let Some(old) = before.replace(packet).filter(|_| later) {
                world.receive(&a, &old);
            }
            world.run(20);
        }
        let heard = world.heard(&b, 1500);
        let quality = quality(&mut world, &a);
        (heard, quality.lost, quality.late, quality.concealed)
    };
    let once = play(1, false);
    assert_eq!(once, play(3, false));
    assert_eq!(once, play(1, true));
}

#[test]
fn packets_in_any_order_within_the_buffer_are_heard_in_theirs() {
    let mut world = World::with(Config { jitter_min: Duration::from_millis(100), ..config() }, 64);
    let (mut a, b) = (world.open(1), world.open(2));
    world.join(&[&a, &b]);
    world.record(&a, 1, Layout::Party);
    for _ in 0..50 {
        let mut four: Vec<_> = (0..4).map(|_| a.speak()).collect();
        four.swap(0, 3);
        four.swap(1, 2);
        for packet in four {
            world.receive(&a, &packet);
            world.run(20);
        }
    }
    let heard = world.heard(&b, 3000);
    assert!(has_tone(&heard, &a) && largest_step(&heard) <= steepest(&a));
    // It begins with the last of four: how long the others take is known only then.
    assert!(quality(&mut world, &a).late <= 4);
}

#[test]
fn sequence_numbers_and_timestamps_that_run_over_are_not_heard() {
    let (mut world, mut a, b) = pair();
    (a.next.sequence, a.next.timestamp) = (u16::MAX - 50, u32::MAX - 50 * 160);
    world.talk(2000, &mut [&mut a]);
    let heard = world.heard(&b, 1900);
    assert!(has_tone(&heard, &a) && largest_step(&heard) <= steepest(&a));
    let quality = quality(&mut world, &a);
    assert_eq!((quality.lost, quality.late, quality.concealed), (0, 0, 0));
}

#[test]
fn opus_is_waited_for_a_little_longer_once_packets_are_lost() {
    let opus = Payload { number: 96, codec: Codec::Opus };
    let wish = OpusWish { fec: true, ..OpusWish::default() };
    let delay = |lossy: bool| {
        let mut world = World::new();
        let stream = Stream { send: Some(opus), receive: vec![opus], opus: wish, ..stream_to(address(1)) };
        let mut a = world.open_with(1, stream);
        world.record(&a, 1, Layout::Party);
        for n in 0..500 {
            let packet = a.speak();
            if !(lossy && n % 20 == 7) {
                world.receive(&a, &packet);
            }
            world.run(20);
        }
        quality(&mut world, &a).buffer
    };
    let (calm, lossy) = (delay(false), delay(true));
    assert!(calm <= Duration::from_millis(22), "{calm:?}");
    assert!((Duration::from_millis(38)..=Duration::from_millis(55)).contains(&lossy), "{lossy:?}");
}

#[test]
fn a_peer_whose_reports_tell_of_losses_gets_redundant_data_with_its_opus() {
    let opus = Payload { number: 96, codec: Codec::Opus };
    let wish = OpusWish { fec: true, ..OpusWish::default() };
    let mut world = World::new();
    let stream = Stream { send: Some(opus), receive: vec![opus], opus: wish, ..stream_to(address(1)) };
    let a = world.open_with(1, stream);
    world.play(&a, 1, audio::speech::speech(3, 240_000));
    let bytes = |world: &mut World| {
        world.sent.clear();
        world.run(8000);
        world.packets(&a).iter().map(|(_, payload)| payload.len()).sum::<usize>()
    };
    let calm = bytes(&mut world);
    let ssrc = world.packets(&a)[0].0.ssrc;
    let block = rtp::rtcp::Block { ssrc, fraction: 26, ..Default::default() };
    let compound = rtp::rtcp::Compound { ssrc: 7, sender: None, block: Some(block), cname: "a", goodbye: false };
    let mut report = [0; 344];
    let length = compound.write(&mut report);
    let from = SocketAddr::new(a.from.ip(), 4001);
    world.engine.handle_packet(world.now, a.slot, Channel::Rtcp, from, &report[..length], &mut world.batch);
    let lossy = bytes(&mut world);
    assert!(lossy > calm * 5 / 4, "{lossy} bytes instead of {calm}");
}
