//! Hold, resume, a moved port and a late offer, as phones do them.

use super::{
    media::{DIALS, TALKS, bridge},
    phone::{Hand, Media},
    *,
};

const CALLEE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 3));

fn talking(script: &str) -> (World, Hand) {
    let (mut world, mut hand) = bridge(script, TALKS);
    hand.invite(&mut world);
    hand.run(&mut world, secs(3));
    (world, hand)
}

/// How many packets of the callee's hum came to the phone in the next 2 s, beginning 200 ms from now.
fn hears(world: &mut World, hand: &mut Hand) -> usize {
    hand.run(world, Duration::from_millis(200));
    let from = world.now;
    hand.run(world, secs(2));
    hand.audio(hand.rtp, from).iter().filter(|(_, s)| holds(s, 1400.0)).count()
}

/// How many of the phone's packets the callee got in the last 2 s.
fn is_heard(world: &World) -> usize {
    let from = world.now;
    let recent = |(at, s): &&(Time, Vec<i16>)| *at + secs(2) > from && holds(s, 1000.0);
    audio_at(world, CALLEE).iter().filter(recent).count()
}

fn end(world: &mut World, hand: &mut Hand) -> CallRecord {
    hand.request(world, "BYE", "", "");
    hand.run(world, secs(1));
    assert_clean(world, &[SERVER, CALLEE]);
    let record = inbound(world, SERVER);
    assert_eq!(
        (record.status, record.end_reason, record.code),
        (Status::Completed, EndReason::CallerHangup, Some(200))
    );
    record
}

#[test]
fn a_phone_holds_and_resumes_in_each_way_that_phones_do() {
    let nowhere: SocketAddr = "0.0.0.0:40000".parse().unwrap();
    for recorded in ["", "call:record{file = 'both.wav', stereo = true}"] {
        for (said, direction, answer) in
            [(None, "sendonly", "recvonly"), (None, "inactive", "inactive"), (Some(nowhere), "sendrecv", "")]
        {
            let (mut world, mut hand) = talking(&format!("{DIALS} {recorded} call:bridge(peer)"));
            assert!(hears(&mut world, &mut hand) > 95);
            let place = hand.media.clone();
            for round in 0..2 {
                hand.media = Media { said: said.unwrap_or(place.said), direction };
                hand.hums = None;
                hand.invite(&mut world);
                let heard = hears(&mut world, &mut hand);
                assert_eq!(heard, 0, "{direction}: the phone on hold gets nothing, round {round}");
                assert!(hand.last_answer().contains(&format!("a={answer}")), "{}", hand.last_answer());
                assert_eq!(is_heard(&world), 0);
                hand.media = place.clone();
                hand.hums = Some(1000.0);
                hand.invite(&mut world);
                let heard = hears(&mut world, &mut hand);
                assert!(heard > 95, "{direction} {recorded}: {heard} packets after resuming, round {round}");
                assert!(is_heard(&world) > 95, "{direction} {recorded}: heard again, {}", is_heard(&world));
            }
            end(&mut world, &mut hand);
        }
    }
}

#[test]
fn a_moved_port_is_followed_at_once() {
    let (mut world, mut hand) = talking(&format!("{DIALS} call:bridge(peer)"));
    let old = hand.rtp;
    hand.rtp.set_port(41_000);
    hand.media.said = hand.rtp;
    hand.invite(&mut world);
    assert!(hears(&mut world, &mut hand) > 95);
    let moved = world.now;
    assert!(is_heard(&world) > 95);
    hand.run(&mut world, secs(2));
    assert!(hand.audio(old, moved).is_empty(), "nothing goes to the old port");
    let record = end(&mut world, &mut hand);
    assert_eq!(record.no_audio, None);
}

#[test]
fn a_late_offer_is_answered_in_the_ack() {
    let (mut world, mut hand) = bridge(&format!("{DIALS} call:bridge(peer)"), TALKS);
    hand.late = true;
    hand.invite(&mut world);
    hand.run(&mut world, secs(2));
    assert!(hears(&mut world, &mut hand) > 95);
    assert!(is_heard(&world) > 95);
    // The same again within the call.
    hand.invite(&mut world);
    assert!(hears(&mut world, &mut hand) > 95);
    end(&mut world, &mut hand);
}

#[test]
fn a_recording_over_a_hold_stays_on_one_clock() {
    let (mut world, mut hand) = talking(&format!(
        "{DIALS} local recording = call:record{{file = 'both.wav', stereo = true}} call:sleep(12) recording:stop()
        vars.seconds = recording.seconds call:bridge(peer)"
    ));
    hand.media.direction = "sendonly";
    hand.hums = None;
    hand.invite(&mut world);
    hand.run(&mut world, secs(4));
    hand.media.direction = "sendrecv";
    hand.hums = Some(1000.0);
    hand.invite(&mut world);
    hand.run(&mut world, secs(8));
    let both = recording(&mut world, SERVER, "both.wav").clone();
    let seconds = both.samples.len() as f64 / 16_000.0;
    assert!((seconds - 12.0).abs() <= 0.02, "{seconds} s for 12 s");
    let said = seconds_of(&both, 0, 1000.0);
    assert!((7.5..8.3).contains(&said), "12 s without 4 s of hold: {said}");
    // It begins again where it began again: about 7 s after the call's beginning.
    let left = channel_of(&both, 0);
    let frames: Vec<bool> = left.chunks_exact(160).map(|frame| holds(frame, 1000.0)).collect();
    let again = (100..frames.len()).find(|at| !frames[at - 1] && frames[*at] && frames[at + 5]).unwrap();
    assert!((6.7..7.2).contains(&(again as f64 * 0.02)), "resumed at {} s", again as f64 * 0.02);
    end(&mut world, &mut hand);
}
