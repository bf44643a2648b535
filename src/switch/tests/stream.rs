//! Calls whose audio goes to a program outside.

use super::*;
use crate::{
    media::Side,
    verbs::{NoStream, Sides, Stream, StreamFault},
};

fn wish(sides: Sides) -> Verb {
    Verb::Stream(Stream { url: "ws://x/".into(), sides, rate: Rate::Wide, token: None, data: None })
}

fn over(why: Option<NoStream>) -> StreamNews {
    StreamNews::Over { frames: 7, dropped: 1, why }
}

fn news(world: &mut World, news: StreamNews) {
    let stream = world.node().streams.last().unwrap().stream;
    world.input(0, Input::Streamed { stream, news });
}

/// What was done with taps, in its order.
fn taps(world: &World) -> Vec<&'static str> {
    let found = world.node().commands.iter().filter_map(|(_, command)| match command {
        Command::Tap { .. } => Some("tap"),
        Command::Untap { .. } => Some("untap"),
        Command::MaskTap { on: true, .. } => Some("masked"),
        Command::MaskTap { on: false, .. } => Some("open"),
        _ => None,
    });
    found.collect()
}

fn end(mut world: World, mut caller: Caller, flow: FlowId) {
    caller.cseq += 1;
    caller.send(&mut world, "BYE", None);
    world.end_flow(flow, FlowEnd::Finished);
    world.assert_clean(1);
}

#[test]
fn a_stream_taps_the_call_when_its_far_end_takes_it_and_ends_with_the_call() {
    let (mut world, caller, flow, call) = answered();
    let id = world.ask(flow, call, wish(Sides::Both));
    assert_eq!(world.reply(id), None);
    let order = &world.node().streams[0];
    let sides: Vec<_> = order.taps.iter().map(|tap| (tap.side, tap.rate)).collect();
    assert_eq!(sides, [(Side::Said, Rate::Wide), (Side::Heard, Rate::Wide)]);
    assert_eq!((order.about.from.as_str(), order.about.to.as_str(), order.about.inbound), ("anna", "100", true));
    assert!(taps(&world).is_empty(), "nobody listens yet");
    let held = order.taps.clone();
    news(&mut world, StreamNews::Open);
    assert_eq!(world.reply(id), Some(&Reply::Done));
    assert_eq!(taps(&world), ["tap", "tap"]);
    assert_eq!(world.node().switch.counts().streams, 1);
    end(world, caller, flow);
    assert!(held.iter().all(|tap| tap.is_over()), "the thread that streams sees the end");
}

#[test]
fn a_script_may_end_it_and_begin_another_but_not_two_at_once() {
    let (mut world, caller, flow, call) = answered();
    world.ask(flow, call, wish(Sides::Said));
    news(&mut world, StreamNews::Open);
    let second = world.ask(flow, call, wish(Sides::Heard));
    assert_eq!(world.reply(second), Some(&Reply::Failed(Failure::WrongState)));
    let stop = world.ask(flow, call, Verb::StreamStop);
    assert_eq!(world.reply(stop), Some(&Reply::Done));
    assert_eq!(taps(&world), ["tap", "untap"]);
    news(&mut world, over(None));
    let again = world.ask(flow, call, Verb::StreamStop);
    assert_eq!(world.reply(again), Some(&Reply::Failed(Failure::WrongState)));
    let third = world.ask(flow, call, wish(Sides::Heard));
    news(&mut world, StreamNews::Open);
    assert_eq!(world.reply(third), Some(&Reply::Done));
    end(world, caller, flow);
}

#[test]
fn what_a_recording_leaves_out_is_silence_for_the_stream_too_also_where_it_begins_meanwhile() {
    let (mut world, caller, flow, call) = answered();
    let record = |wait| {
        let (file, stop_on) = (None, String::new());
        let (format, room, rate, max, end_of_silence) = (None, None, None, None, None);
        let voices = Voices::Mixed;
        Verb::Record(Record { file, format, voices, room, rate, max, end_of_silence, stop_on, beep: false, wait })
    };
    let id = world.ask(flow, call, record(false));
    let Some(&Reply::Recording(recording)) = world.reply(id) else { panic!("it records") };
    let mask = |world: &mut World, mode| {
        world.ask(flow, call, Verb::RecordAs { recording, mode });
    };
    mask(&mut world, RecordMode::Mask);
    world.ask(flow, call, wish(Sides::Both));
    assert!(taps(&world).is_empty(), "nobody listens yet");
    news(&mut world, StreamNews::Open);
    assert_eq!(taps(&world), ["tap", "tap", "masked", "masked"]);
    mask(&mut world, RecordMode::Pause);
    assert_eq!(taps(&world).len(), 4, "that is silence, too");
    mask(&mut world, RecordMode::Keep);
    assert_eq!(taps(&world)[4..], ["open", "open"]);
    mask(&mut world, RecordMode::Mask);
    world.ask(flow, call, Verb::RecordStop { recording });
    assert_eq!(taps(&world)[6..], ["masked", "masked", "open", "open"], "a recording that is over hides nothing");
    end(world, caller, flow);
}

#[test]
fn a_far_end_that_fails_is_told_to_the_script_and_costs_the_call_nothing() {
    let (mut world, caller, flow, call) = answered();
    let id = world.ask(flow, call, wish(Sides::Said));
    let why = NoStream { fault: StreamFault::Status(403), text: "it answered 403".into() };
    news(&mut world, over(Some(why.clone())));
    assert_eq!(world.reply(id), Some(&Reply::Failed(Failure::Stream(why.clone()))));
    // One that fails later leaves the call's taps.
    world.ask(flow, call, wish(Sides::Said));
    news(&mut world, StreamNews::Open);
    news(&mut world, over(Some(why)));
    assert_eq!(taps(&world).last(), Some(&"untap"));
    let stop = world.ask(flow, call, Verb::StreamStop);
    assert_eq!(world.reply(stop), Some(&Reply::Failed(Failure::WrongState)));
    assert_eq!(world.node().switch.counts().calls, 1, "the call goes on");
    end(world, caller, flow);
}

#[test]
fn a_call_that_ends_before_the_far_end_answers_leaves_nothing() {
    let (mut world, mut caller, flow, call) = answered();
    world.ask(flow, call, wish(Sides::Said));
    let held = world.node().streams[0].taps.clone();
    caller.cseq += 1;
    caller.send(&mut world, "BYE", None);
    assert!(held[0].is_over());
    news(&mut world, StreamNews::Open);
    assert!(taps(&world).iter().all(|what| *what != "tap"));
    world.end_flow(flow, FlowEnd::Finished);
    world.assert_clean(1);
}

#[test]
fn a_call_without_audio_has_nothing_to_stream() {
    let mut world = World::new();
    let mut caller = Caller::new();
    caller.invite(&mut world, Some(&sdp()));
    let start = world.node().starts.last().unwrap().clone();
    let id = world.ask(start.flow, start.call, wish(Sides::Said));
    assert_eq!(world.reply(id), Some(&Reply::Failed(Failure::WrongState)));
    world.ask(start.flow, start.call, Verb::Reject { code: 486, reason: None });
    world.settle();
    assert!(world.node().streams.is_empty());
}
