//! What is told of a call's sound as it happens, and what its record says of that later.

use super::*;
use crate::verbs::{Torn, Voices};

fn recording(world: &mut World, flow: FlowId, call: CallId, file: &str) -> RecordingId {
    let (format, room, rate, max, end_of_silence) = (None, None, None, None, None);
    let (file, stop_on, voices) = (Some(file.to_owned()), "#".to_owned(), Voices::Apart);
    let record = Record { file, format, voices, room, rate, max, end_of_silence, stop_on, beep: false, wait: false };
    let id = world.ask(flow, call, Verb::Record(record));
    let Some(Reply::Recording(recording)) = world.reply(id) else { panic!("it records") };
    *recording
}

struct Recorded {
    recording: u64,
    files: Vec<String>,
    seconds: f64,
    reason: &'static str,
    error: Option<String>,
}

fn recorded(world: &mut World) -> Vec<Recorded> {
    let told = world.node().happenings.iter().filter_map(|happening| match happening.what.clone() {
        Happened::Recorded { recording, files, seconds, reason, error } => {
            Some(Recorded { recording, files, seconds, reason, error })
        }
        _ => None,
    });
    told.collect()
}

#[test]
fn a_full_disk_ends_a_recording_and_the_call_goes_on_and_its_record_says_so() {
    let (mut world, mut caller, flow, call) = answered();
    let [some, none, whole] = ["some.wav", "none.wav", "whole.wav"].map(|file| recording(&mut world, flow, call, file));
    for (recording, why, begun) in
        [(some, "some.wav: No space left on device", true), (none, "none.wav: File exists", false)]
    {
        let result = Err(Torn { why: why.into(), begun });
        world.input(0, Input::RecordingWritten { recording, result });
    }
    world.key(0, '#');
    let told = recorded(&mut world);
    let legs = |stem: &str| vec![format!("{stem}-said.wav"), format!("{stem}-heard.wav")];
    let all: Vec<_> = told.iter().map(|one| (one.recording, one.reason, one.files.clone())).collect();
    assert_eq!(all, [(some.0, "disk", legs("some")), (none.0, "disk", vec![]), (whole.0, "key", legs("whole")),]);
    assert_eq!(told[0].error.as_deref(), Some("some.wav: No space left on device"));
    assert_eq!((told[2].error.as_deref(), told[2].seconds), (None, 2.0));
    assert_eq!(world.node().switch.counts().calls, 1);
    caller.cseq += 1;
    caller.send(&mut world, "BYE", None);
    world.end_flow(flow, FlowEnd::Finished);
    let record = &world.node().records[0];
    assert_eq!(record.recordings, [legs("some"), legs("whole")].concat());
    assert_eq!(record.recording_errors, ["some.wav: No space left on device", "none.wav: File exists"]);
    world.assert_clean(1);
}

#[test]
fn the_reason_of_one_way_audio_is_named_with_both_addresses_and_told_once() {
    let (mut world, mut caller, flow, _) = answered();
    let (port, worker) = world.node().opened[0];
    let stranger = "203.0.113.9:4002".parse().unwrap();
    let quality = Quality { refused: 7, refused_from: Some(stranger), ..Quality::default() };
    world.input(0, Input::Media { worker, event: media::Event::Quality { port, quality } });
    for _ in 0..2 {
        world.input(0, Input::Media { worker, event: media::Event::NoRtp { port } });
    }
    let [told] = &world.node().happenings[..] else { panic!("once: {:?}", world.node().happenings) };
    assert_eq!((told.from.as_str(), told.to.as_str(), told.what.kind()), ("anna", "100", "media.one_way"));
    let Happened::OneWay(one_way) = &told.what else { panic!("{told:?}") };
    let said = one_way.sdp.unwrap();
    assert_eq!((one_way.reason, one_way.source), (OneWayReason::Refused, Some(stranger)));
    let text = format!("SDP says {said}, packets come from 203.0.113.9:4002, and are refused: 7 so far");
    assert_eq!(one_way.text, text);
    let json = serde_json::to_value(told).unwrap();
    assert_eq!((&json["from"], &json["reason"], &json["call"]), (&"anna".into(), &"refused".into(), &().into()));
    // The figures that are told while it goes on have it, too.
    let quality = Quality { refused: 9, received: 0, ..Quality::default() };
    world.input(0, Input::Media { worker, event: media::Event::Quality { port, quality } });
    let (name, figures) = world.node().qualities.last().unwrap().clone();
    assert_eq!((figures.refused, figures.alarms), (9, vec![text]));
    caller.cseq += 1;
    caller.send(&mut world, "BYE", None);
    world.end_flow(flow, FlowEnd::Finished);
    assert_eq!(world.node().records[0].id, name);
    world.assert_clean(1);
}

#[test]
fn a_recording_is_no_longer_than_the_operator_allows_and_says_whose_it_is_from_its_beginning() {
    let most = Some(Duration::from_secs(60));
    let (mut world, mut caller, flow, call) = answered_in(World::with(|config| config.rules.record_most = most));
    for (max, wanted) in [(None, 60), (Some(90), 60), (Some(30), 30)] {
        let (file, format, room, rate, end_of_silence) = (None, None, None, None, None);
        let (stop_on, voices, max) = (String::new(), Voices::Party, max.map(Duration::from_secs));
        let record =
            Record { file, format, voices, room, rate, max, end_of_silence, stop_on, beep: false, wait: false };
        world.ask(flow, call, Verb::Record(record));
        let Some((_, Command::Record { ends, .. })) = world.node().commands.last() else { panic!("it records") };
        assert_eq!(ends.after, Some(wanted * 8000));
    }
    let call = world.node().notes.last().unwrap().1.call.clone();
    assert_eq!((call.from.as_str(), call.to.as_str(), call.status), ("anna", "100", Status::InProgress));
    caller.cseq += 1;
    caller.send(&mut world, "BYE", None);
    world.end_flow(flow, FlowEnd::Finished);
}

/// What is told of one-way audio.
fn one_way(world: &mut World) -> Vec<OneWay> {
    let told = world.node().happenings.iter().filter_map(|happening| match &happening.what {
        Happened::OneWay(told) => Some(told.clone()),
        _ => None,
    });
    told.collect()
}

#[test]
fn a_handshake_that_fails_is_an_alarm_of_its_own_when_no_other_is_tried_or_nothing_comes_in_the_end() {
    let peer = "203.0.113.9:4002".parse().unwrap();
    for (over, then_through, reason) in [
        (true, false, Some(OneWayReason::Keys)),
        (false, false, Some(OneWayReason::Keys)),
        (false, true, Some(OneWayReason::Nothing)),
    ] {
        let (mut world, mut caller, flow, _) = answered();
        let (port, worker) = world.node().opened[0];
        let fault = NoKeys { from: Some(peer), why: "its certificate is wrong".into(), over };
        world.input(0, Input::Shaken { port, result: Err(Box::new(fault)) });
        assert_eq!(one_way(&mut world).len(), usize::from(over), "a stranger may have come first");
        if then_through {
            world.input(0, Input::Shaken { port, result: Ok(()) });
        }
        world.input(0, Input::Media { worker, event: media::Event::NoRtp { port } });
        let told = one_way(&mut world);
        assert_eq!(told.iter().map(|told| told.reason).collect::<Vec<_>>(), Vec::from_iter(reason));
        if reason == Some(OneWayReason::Keys) {
            assert_eq!(told[0].source, Some(peer));
            let text = "the handshake for keys with 203.0.113.9:4002 failed: its certificate is wrong";
            assert!(told[0].text.ends_with(text), "{}", told[0].text);
            assert_eq!(serde_json::to_value(&told[0]).unwrap()["reason"], "keys");
        }
        caller.cseq += 1;
        caller.send(&mut world, "BYE", None);
        world.end_flow(flow, FlowEnd::Finished);
        world.assert_clean(1);
    }
}

#[test]
fn packets_that_no_key_opens_are_told_as_that_at_the_start_and_later_on() {
    let source = Some("203.0.113.9:4002".parse().unwrap());
    for heard_before in [false, true] {
        let (mut world, mut caller, flow, _) = answered();
        let (port, worker) = world.node().opened[0];
        let received = u64::from(heard_before) * 50;
        if heard_before {
            world.input(0, Input::Media { worker, event: media::Event::Latched { port, from: source.unwrap() } });
        }
        for report in 0..4 {
            let unproved = report * 250;
            let quality = Quality { received, refused: unproved, unproved, refused_from: source, ..Quality::default() };
            world.input(0, Input::Media { worker, event: media::Event::Quality { port, quality } });
            assert_eq!(one_way(&mut world).len(), usize::from(report >= 2), "two reports that say the same");
        }
        world.input(0, Input::Media { worker, event: media::Event::NoRtp { port } });
        let [told] = &one_way(&mut world)[..] else { panic!("once") };
        assert_eq!((told.reason, told.source), (OneWayReason::Keys, source));
        assert!(told.text.ends_with("packets come from 203.0.113.9:4002, and no key opens them: 500 so far"));
        caller.cseq += 1;
        caller.send(&mut world, "BYE", None);
        world.end_flow(flow, FlowEnd::Finished);
        world.assert_clean(1);
    }
}
