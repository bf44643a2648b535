//! Two parties in a bridge: packets are passed on as they come while nobody listens in, audio and keys arrive.

use super::{phone::Hand, *};

const CALLEE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 3));

/// A phone made by hand, and a host that hums 1,400 Hz when it is called and keeps what it hears.
pub(super) fn bridge(script: &str, callee: &str) -> (World, Hand) {
    let mut world = World::new(Weather::CALM, 5);
    world.tap();
    world.add(SERVER, config(SERVER, &[("100", "main.lua")]), &[("main.lua", script)]);
    add_phone(&mut world, CALLEE, callee, "");
    world.host(CALLEE).prompts.insert("hello.wav".into(), hum(1400.0, 480_000));
    (world, Hand::new(PHONE))
}

pub(super) const TALKS: &str =
    "call:answer() call:record{file = 'callee.wav', stereo = true} call:play('hello.wav') call:sleep(60)";
pub(super) const DIALS: &str = "call:answer() local peer = call:dial{'sip:1@10.0.0.3', timeout = 20} ";

/// Audio packets that the callee got since `from` until `to`, and how many of them left the server in the moment in
/// which one of the phone's arrived there.
fn relayed(world: &World, from: Time, to: Time) -> (usize, usize) {
    let within = |at: &Time| (from..to).contains(at);
    let came = |sender: IpAddr, receiver: IpAddr| {
        let wire = world.wire().iter();
        wire.filter(move |(_, d)| d.from.ip() == sender && d.to.ip() == receiver && d.bytes.len() == 172)
            .map(|(at, _)| *at)
    };
    let arrived: std::collections::BTreeSet<Time> = came(PHONE, SERVER).collect();
    let passed: Vec<Time> = came(SERVER, CALLEE).filter(within).collect();
    let at_once = passed.iter().filter(|at| arrived.iter().any(|a| *a + Duration::from_millis(1) == **at)).count();
    (passed.len(), at_once)
}

fn callee_gap(world: &World, from: Time) -> Duration {
    let heard: Vec<_> = audio_at(world, CALLEE).into_iter().filter(|(at, _)| *at > from).collect();
    longest_gap(&heard)
}

#[test]
fn a_recording_begun_and_ended_in_a_bridged_call_ends_and_begins_the_relay_without_a_click() {
    let script = format!(
        "{DIALS} call:sleep(3) local recording = call:record{{file = 'both.wav', stereo = true}} call:sleep(5)
        recording:stop() vars.seconds = recording.seconds call:bridge(peer)"
    );
    let (mut world, mut hand) = bridge(&script, TALKS);
    hand.invite(&mut world);
    hand.run(&mut world, secs(1));
    // Between the server's ticks: what leaves at once can be told from what leaves at the next tick.
    world.run_for(Duration::from_millis(7));
    let talk = world.now;
    hand.run(&mut world, secs(14));
    hand.request(&mut world, "BYE", "", "");
    hand.run(&mut world, secs(1));
    assert_clean(&mut world, &[SERVER, CALLEE]);
    let at = |ms: u64| talk + Duration::from_millis(ms);
    for (from, to, relay) in [(0, 1500, true), (2500, 6500, false), (8500, 13_000, true)] {
        let (all, at_once) = relayed(&world, at(from), at(to));
        let expected = (to - from) as usize / 20;
        assert!(all.abs_diff(expected) <= 2, "{all} of {expected} packets from {from} ms on");
        assert!(
            if relay { at_once == all } else { at_once < all / 10 },
            "{at_once} of {all} at once from {from} ms on"
        );
    }
    let gap = callee_gap(&world, talk);
    assert!(gap <= Duration::from_millis(40), "{gap:?}");
    let both = recording(&mut world, SERVER, "both.wav").clone();
    let seconds = both.samples.len() as f64 / 16_000.0;
    assert!((seconds - 5.0).abs() <= 0.02, "{seconds} s for 5 s");
    let record = inbound(&mut world, SERVER);
    assert!((var(&record, "seconds").parse::<f64>().unwrap() - seconds).abs() < 0.001);
    assert_eq!(record.recordings, ["both.wav"]);
    assert!(record.recorded_parties["both.wav"].contains(&"1".to_owned()), "{:?}", record.recorded_parties);
    assert_eq!((record.status, record.end_reason), (Status::Completed, EndReason::CallerHangup));
    assert_eq!(record.no_audio, None);
    for (channel, tone, steepest) in [(0, 1000.0, 6123), (1, 1400.0, 8362)] {
        let heard = seconds_of(&both, channel, tone);
        assert!(heard > 4.8, "channel {channel}: {heard} s");
        let jump = largest_jump(&channel_of(&both, channel));
        assert!(jump < steepest + 1000, "channel {channel} clicks: {jump}");
    }
    let callee = recording(&mut world, CALLEE, "callee.wav").clone();
    assert!(seconds_of(&callee, 0, 1000.0) > 12.5);
    assert!(largest_jump(&channel_of(&callee, 0)) < 7200, "{}", largest_jump(&channel_of(&callee, 0)));
    let heard = hand.audio(hand.rtp, talk);
    let hello = heard.iter().filter(|(_, s)| holds(s, 1400.0)).count();
    assert!(hello + 5 >= heard.len() && hello > 650, "{hello} of {}", heard.len());
    assert!(longest_gap(&heard) <= Duration::from_millis(40), "{:?}", longest_gap(&heard));
}

#[test]
fn the_channels_of_a_recording_are_aligned() {
    let script = format!("{DIALS} call:record{{file = 'both.wav', stereo = true}} call:bridge(peer)");
    let (mut world, mut hand) = bridge(&script, "call:answer() call:sleep(4) call:play('hello.wav') call:sleep(60)");
    hand.invite(&mut world);
    hand.run(&mut world, secs(3));
    hand.hums = None;
    let silent = world.now;
    hand.run(&mut world, secs(4));
    hand.request(&mut world, "BYE", "", "");
    hand.run(&mut world, secs(1));
    let loud = |(at, d): &&(Time, Datagram)| {
        let mut samples = [0; 160];
        let audio = d.from.ip() == CALLEE && d.to.ip() == SERVER && d.bytes.len() == 172 && *at > Time::START;
        audio && {
            g711::decode_ulaw(&d.bytes[12..], &mut samples);
            holds(&samples, 1400.0)
        }
    };
    let spoke = world.wire().iter().find(loud).expect("the callee speaks").0;
    let both = recording(&mut world, SERVER, "both.wav").clone();
    let last = channel_of(&both, 0).chunks_exact(160).rposition(|frame| seconds_frame(frame, 1000.0)).unwrap();
    let first = channel_of(&both, 1).chunks_exact(160).position(|frame| seconds_frame(frame, 1400.0)).unwrap();
    let (wire, file) = ((spoke - silent).as_secs_f64(), (first as f64 - last as f64) * 0.02);
    assert!((wire - file).abs() <= 0.1, "{wire} s on the wire, {file} s in the file");
}

/// A whole frame of the tone at full loudness: concealment fades.
fn seconds_frame(frame: &[i16], tone: f64) -> bool {
    goertzel::power(frame, tone, 8000) > 2.5e7
}

#[test]
fn keys_pass_through_a_bridge_once_whether_it_is_relayed_or_listened_to() {
    for listen in ["", "call:record{file = 'x.wav'}"] {
        let script = format!("{DIALS} {listen} call:bridge(peer)");
        let (mut world, mut hand) = bridge(
            &script,
            "call:answer() vars.keys = call:gather{max = 9, first_timeout = 20, timeout = 3} call:sleep(5)",
        );
        hand.invite(&mut world);
        hand.run(&mut world, secs(2));
        for key in [5, 5, 1] {
            hand.event(&mut world, key, |_| true);
            hand.run(&mut world, Duration::from_millis(200));
        }
        hand.run(&mut world, secs(20));
        assert_clean(&mut world, &[SERVER, CALLEE]);
        assert_eq!(var(&inbound(&mut world, CALLEE), "keys"), "551", "{listen}");
        let record = inbound(&mut world, SERVER);
        assert_eq!((record.status, record.end_reason), (Status::Completed, EndReason::AgentCompleted));
    }
}

#[test]
fn a_key_ends_a_bridge_and_the_callee_can_be_played_to_and_bridged_again() {
    let script = format!(
        "{DIALS} vars.first = call:bridge(peer, {{stop_on = '*'}}) call:play('menu.wav') vars.second = call:bridge(peer)"
    );
    let (mut world, mut hand) = bridge(
        &script,
        "call:answer() call:record{file = 'callee.wav', stereo = true} call:play('hello.wav', {stop_on = '9'}) call:sleep(8)",
    );
    world.host(CALLEE).prompts.insert("hello.wav".into(), hum(1400.0, 64_000));
    world.host(SERVER).prompts.insert("menu.wav".into(), hum(600.0, 16_000));
    hand.invite(&mut world);
    hand.run(&mut world, secs(3));
    hand.event(&mut world, 10, |_| true);
    hand.run(&mut world, secs(20));
    assert_clean(&mut world, &[SERVER, CALLEE]);
    let record = inbound(&mut world, SERVER);
    assert_eq!((var(&record, "first"), var(&record, "second")), ("key".into(), "peer_hangup".into()));
    assert!(hand.audio(hand.rtp, Time::START).iter().filter(|(_, s)| holds(s, 600.0)).count() > 95);
}

#[test]
fn keys_of_a_conversation_are_not_taken_for_answers_to_the_next_question() {
    for stay in ["call:bridge(peer)", "call:sleep(8)", "call:join('room', {stop_on = '*'})"] {
        let script = format!("{DIALS} {stay} vars.keys, vars.why = call:gather{{max = 1, first_timeout = 2}}");
        let (mut world, mut hand) = bridge(&script, "call:answer() call:sleep(7)");
        hand.invite(&mut world);
        hand.run(&mut world, secs(2));
        hand.event(&mut world, 5, |_| true);
        hand.run(&mut world, secs(1));
        hand.event(&mut world, 10, |_| true);
        hand.run(&mut world, secs(15));
        assert_clean(&mut world, &[SERVER, CALLEE]);
        let record = inbound(&mut world, SERVER);
        assert_eq!((var(&record, "keys").as_str(), var(&record, "why").as_str()), ("", "no_input"), "{stay}");
    }
}
