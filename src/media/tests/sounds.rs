use super::*;

fn sine(frequency: f64, samples: usize) -> Vec<i16> {
    (0..samples).map(|n| (8000.0 * (TAU * frequency * n as f64 / 8000.0).sin()) as i16).collect()
}

fn done(world: &World) -> Vec<(u64, u64, bool)> {
    let done = |event: &Event| match event {
        Event::PlayDone { play, samples, finished, .. } => Some((play.0, *samples, *finished)),
        _ => None,
    };
    world.events.iter().filter_map(done).collect()
}

/// The recording `id`: its samples, and (samples, missed).
fn recorded(world: &World, id: u64) -> (Vec<i16>, Option<(u64, u64)>) {
    let (mut all, mut end) = (Vec::new(), None);
    for event in &world.events {
        match event {
            Event::Recorded { recording, block, .. } if recording.0 == id => {
                assert_eq!(end, None, "no block follows the end");
                all.extend_from_slice(&block.samples);
            }
            Event::RecordDone { recording, samples, missed, .. } if recording.0 == id => {
                assert_eq!(end.replace((*samples, *missed)), None);
            }
            _ => {}
        }
    }
    (all, end)
}

#[test]
fn a_sound_is_sent_whole_and_its_end_is_told() {
    let mut world = World::new();
    let a = world.open(1);
    let sound = sine(1000.0, 1000);
    world.play(&a, 5, sound.clone());
    world.run(1000);
    let heard = world.heard(&a, u64::MAX);
    assert_eq!(heard.len(), 8000, "and silence follows");
    assert!(heard.iter().zip(&sound).all(|(heard, sent)| heard.abs_diff(*sent) < 300));
    assert!(heard[1000..].iter().all(|sample| *sample == 0));
    assert_eq!(done(&world), [(5, 1000, true)]);
    assert!(world.packets(&a)[0].0.marker);
}

#[test]
fn a_new_play_ends_the_one_before_and_a_late_stop_changes_nothing() {
    let mut world = World::new();
    let a = world.open(1);
    world.play(&a, 1, vec![5; 80_000]);
    world.run(100);
    world.play(&a, 2, vec![5; 80_000]);
    world.run(100);
    world.command(Command::Stop { port: a.port, play: PlayId(1) });
    world.run(100);
    world.command(Command::Stop { port: a.port, play: PlayId(2) });
    world.command(Command::Stop { port: a.port, play: PlayId(2) });
    world.play(&a, 3, vec![]);
    world.run(100);
    assert_eq!(done(&world), [(1, 800, false), (2, 1600, false), (3, 0, true)]);
    world.command(Command::Play { port: PortId(99), play: PlayId(4), sounds: Box::new([]), manner: Manner::default() });
    assert_eq!(done(&world).last(), Some(&(4, 0, false)), "a play that comes after the close is answered, too");
}

#[test]
fn a_play_silences_the_other_side_for_its_hearer_only() {
    let mut world = World::new();
    let (mut a, mut b) = (world.open(1), world.open(2));
    world.join(&[&a, &b]);
    world.talk(200, &mut [&mut a, &mut b]);
    world.play(&a, 1, vec![0; 16_000]);
    world.talk(1000, &mut [&mut a, &mut b]);
    let late = 400;
    assert!(!has_tone(&world.heard(&a, late), &b));
    assert!(has_tone(&world.heard(&b, late), &a));
}

#[test]
fn a_stereo_recording_has_the_party_left_and_what_it_hears_right() {
    let mut world = World::new();
    let (mut a, mut b) = (world.open(1), world.open(2));
    world.join(&[&a, &b]);
    world.talk(200, &mut [&mut a, &mut b]);
    world.record(&a, 1, Layout::Stereo);
    world.talk(1000, &mut [&mut a, &mut b]);
    world.command(Command::StopRecording { port: a.port, recording: RecordingId(1) });
    let (all, end) = recorded(&world, 1);
    assert_eq!(end, Some((8000, 0)));
    let left: Vec<_> = all.chunks(2).map(|pair| pair[0]).skip(4000).collect();
    let right: Vec<_> = all.chunks(2).map(|pair| pair[1]).skip(4000).collect();
    assert!(has_tone(&left, &a) && !has_tone(&left, &b));
    assert!(has_tone(&right, &b) && !has_tone(&right, &a));
}

#[test]
fn what_is_recorded_of_the_sent_side_is_what_was_sent_at_that_sample() {
    let mut world = World::new();
    let a = world.open(1);
    world.record(&a, 1, Layout::Stereo);
    world.record(&a, 2, Layout::Mix);
    world.run(100);
    let sound = sine(440.0, 1600);
    world.play(&a, 1, sound.clone());
    world.run(400);
    world.command(Command::Close { port: a.port });
    world.run(0);
    let (all, end) = recorded(&world, 1);
    assert_eq!(end, Some((4000, 0)));
    let right: Vec<_> = all.chunks(2).map(|pair| pair[1]).collect();
    assert_eq!(right[800..2400], sound);
    assert!(right[..800].iter().chain(&right[2400..]).all(|sample| *sample == 0));
    assert_eq!(recorded(&world, 2).0, right);
}

#[test]
fn a_party_on_hold_is_recorded_as_it_heard_nothing() {
    let mut world = World::new();
    let a = world.open(1);
    world.update(&a, |stream| stream.sending = false);
    world.record(&a, 1, Layout::Stereo);
    world.play(&a, 1, vec![1000; 800]);
    world.run(200);
    world.command(Command::StopRecording { port: a.port, recording: RecordingId(1) });
    assert!(recorded(&world, 1).0.iter().all(|sample| *sample == 0));
    assert_eq!(done(&world), [(1, 800, true)], "time goes on for the play");
}

#[test]
fn a_recording_ends_at_its_limit_and_the_bridge_is_relayed_again() {
    let mut world = World::new();
    let (mut a, b) = (world.open(1), world.open(2));
    world.join(&[&a, &b]);
    let blocks = vec![Block { samples: Vec::with_capacity(8000) }];
    let (recording, layout) = (RecordingId(1), Layout::Party);
    let (rate, ends) = (Rate::Narrow, Ends { after: Some(1000), quiet: None });
    world.command(Command::Record { port: a.port, recording, layout, rate, ends, blocks });
    world.talk(200, &mut [&mut a]);
    assert_eq!(recorded(&world, 1).1, Some((1000, 0)));
    let packet = a.speak();
    assert_eq!(world.receive(&a, &packet).len(), 1);
}

#[test]
fn a_recording_too_many_and_one_without_a_port_are_answered_at_once() {
    let mut world = World::new();
    let a = world.open(1);
    for n in 1..=3 {
        world.record(&a, n, Layout::Mix);
    }
    assert_eq!(recorded(&world, 3), (vec![], Some((0, 0))));
    assert_eq!(recorded(&world, 2).1, None);
    world.command(Command::Close { port: a.port });
    world.record(&a, 4, Layout::Mix);
    assert_eq!(recorded(&world, 4).1, Some((0, 0)));
}

#[test]
fn digits_are_sent_in_place_of_audio_in_one_stream_and_their_end_is_told() {
    let mut world = World::new();
    let (mut a, mut b) = (world.open(1), world.open(2));
    world.join(&[&a, &b]);
    world.talk(200, &mut [&mut a, &mut b]);
    let (length, gap) = (Duration::from_millis(100), Duration::from_millis(60));
    world.command(Command::Digits { port: b.port, digits: "1,2".into(), length, gap });
    world.talk(1100, &mut [&mut a, &mut b]);
    assert_eq!(world.count(|event| matches!(event, Event::DigitsSent { .. })), 0);
    world.talk(400, &mut [&mut a, &mut b]);
    assert_eq!(world.count(|event| matches!(event, Event::DigitsSent { port } if *port == b.port)), 1);
    let packets = world.packets(&b);
    let digits: Vec<_> = packets.iter().filter(|(header, _)| header.payload_type == 101).collect();
    assert_eq!(digits.len(), 14);
    let begins: Vec<_> =
        digits.iter().filter(|(header, _)| header.marker).map(|(header, event)| (header.timestamp, event[0])).collect();
    assert_eq!(begins.len(), 2);
    assert_eq!((begins[0].1, begins[1].1), (1, 2));
    assert_eq!(begins[1].0.wrapping_sub(begins[0].0), 8000 + 1280);
    for (header, payload) in packets.iter().filter(|(header, _)| header.payload_type == 0) {
        for (begin, _) in &begins {
            let into = header.timestamp.wrapping_sub(*begin) as i32;
            assert!(into >= 800 || into + payload.len() as i32 <= 0, "audio at {into} of a digit");
        }
    }
    let packet = a.speak();
    assert_eq!(world.receive(&a, &packet).len(), 1, "relayed again");
    world.assert_one_stream(&b);
}

#[test]
fn digits_to_a_peer_that_takes_no_events_are_answered_when_their_tones_are_over() {
    let mut world = World::new();
    let a = world.open(1);
    world.update(&a, |stream| stream.send_digits = None);
    let (length, gap) = (Duration::from_millis(100), Duration::from_millis(60));
    world.command(Command::Digits { port: a.port, digits: "123".into(), length, gap });
    world.run(440);
    assert_eq!(world.count(|event| matches!(event, Event::DigitsSent { .. })), 0);
    world.run(100);
    assert_eq!(world.count(|event| matches!(event, Event::DigitsSent { .. })), 1);
    assert!(world.packets(&a).iter().all(|(header, _)| header.payload_type == 0), "no event goes out");
}
