use super::*;

fn no_sound(why: &str) -> NoSound {
    NoSound::new(SoundFault::Missing, why)
}

fn gather(max: usize) -> Gather {
    let (prompt, terminators, barge_in, secret) = (vec![], "#".into(), true, false);
    Gather { prompt, max, terminators, first_timeout: secs(5), timeout: secs(2), barge_in, secret }
}

#[test]
fn keys_by_info_are_gathered_like_those_by_rtp() {
    let (mut world, mut caller, flow, call) = answered();
    let id = world.ask(flow, call, Verb::Gather(gather(3)));
    caller.send(&mut world, "INFO", Some(("application/dtmf-relay", "Signal=1\r\nDuration=160\r\n")));
    world.response_at(caller.at, 200);
    caller.send(&mut world, "INFO", Some(("application/dtmf", "2")));
    world.key(0, '3');
    let digits = Reply::Digits { digits: "123".into(), why: verbs::GatherEnd::Max };
    assert_eq!(world.reply(id), Some(&digits));
    caller.send(&mut world, "INFO", Some(("text/plain", "hello")));
    world.response_at(caller.at, 415);
    caller.send(&mut world, "INFO", Some(("application/dtmf", "hello")));
    world.response_at(caller.at, 400);
}

#[test]
fn keys_pressed_before_the_gather_count() {
    let (mut world, _, flow, call) = answered();
    world.key(0, '4');
    world.key(0, '2');
    world.key(0, '#');
    let prompt = vec![Sound::File("menu.wav".into())];
    let id = world.ask(flow, call, Verb::Gather(Gather { prompt, ..gather(9) }));
    let digits = Reply::Digits { digits: "42".into(), why: verbs::GatherEnd::Terminator('#') };
    assert_eq!(world.reply(id), Some(&digits));
    assert_eq!(world.node().loads.len(), 0, "who knows the menu need not hear it");
}

#[test]
fn a_gather_without_keys_ends_after_its_prompt_and_the_first_pause() {
    let (mut world, _, flow, call) = answered();
    let prompt = vec![Sound::File("menu.wav".into())];
    let id = world.ask(flow, call, Verb::Gather(Gather { prompt, ..gather(9) }));
    world.run(millis(4900));
    assert_eq!(world.reply(id), None);
    world.run(millis(200));
    let digits = Reply::Digits { digits: String::new(), why: verbs::GatherEnd::NoInput };
    assert_eq!(world.reply(id), Some(&digits));
}

#[test]
fn a_key_stops_the_prompt_and_the_play_that_listens_to_it() {
    let (mut world, _, flow, call) = answered();
    world.nodes[0].plays_end = false;
    let prompt = vec![Sound::Silence(secs(5))];
    let id = world.ask(flow, call, Verb::Gather(Gather { prompt: prompt.clone(), ..gather(2) }));
    world.key(0, '1');
    assert_eq!(world.commands().last(), Some(&"Stop"));
    world.key(0, '2');
    assert!(matches!(world.reply(id), Some(Reply::Digits { digits, .. }) if digits == "12"));

    let id = world.ask(flow, call, Verb::Play(Play { stop_on: "*".into(), ..Play::new(prompt) }));
    world.key(0, '5');
    assert_eq!(world.reply(id), None);
    world.key(0, '*');
    assert_eq!(world.reply(id), Some(&Reply::Played { key: Some('*'), length: millis(100) }));
    let next = world.ask(flow, call, Verb::Gather(gather(1)));
    assert!(matches!(world.reply(next), Some(Reply::Digits { digits, .. }) if digits == "5"), "the star is used up");
}

#[test]
fn a_sound_that_cannot_be_had_fails_the_play_alone() {
    let (mut world, _, flow, call) = answered();
    world.automatic = false;
    let sounds = vec![Sound::File("a.wav".into()), Sound::File("b.wav".into())];
    let id = world.ask(flow, call, Verb::Play(Play::new(sounds)));
    let loads = world.node().loads.clone();
    assert_eq!(loads.len(), 2);
    world.input(0, Input::Loaded { load: loads[1].0, result: Err(no_sound("no such file")) });
    assert_eq!(world.reply(id), Some(&Reply::Failed(Failure::Sound(no_sound("no such file")))));
    world.input(0, Input::Loaded { load: loads[0].0, result: Err(no_sound("too late to matter")) });
    assert_eq!(world.node().switch.counts().loads, 0);
    let tone = verbs::Tone::Signal { signal: verbs::SignalTone::Busy, country: Some("xx".into()) };
    let sounds = vec![Sound::Tone { tone, length: None }];
    let id = world.ask(flow, call, Verb::Play(Play::new(sounds)));
    assert!(matches!(world.reply(id), Some(Reply::Failed(Failure::Sound(_)))));
    let sounds = vec![Sound::Silence(secs(100_000))];
    let id = world.ask(flow, call, Verb::Play(Play::new(sounds)));
    assert!(matches!(world.reply(id), Some(Reply::Failed(Failure::Limit(_)))));
}

#[test]
fn one_call_does_one_lasting_thing_at_a_time() {
    let (mut world, _, flow, call) = answered();
    let sleep = world.ask(flow, call, Verb::Sleep(secs(3)));
    let play = world.ask(flow, call, Verb::Play(Play::new(vec![])));
    assert_eq!(world.reply(play), Some(&Reply::Failed(Failure::WrongState)));
    world.run(millis(2900));
    assert_eq!(world.reply(sleep), None);
    world.run(millis(200));
    assert_eq!(world.reply(sleep), Some(&Reply::Done));
    let play = world.ask(flow, call, Verb::Play(Play::new(vec![])));
    assert_eq!(world.reply(play), Some(&Reply::Played { key: None, length: Duration::ZERO }));
}

fn record(wait: bool) -> Record {
    Record {
        file: Some("mail/1".into()),
        voices: Voices::Party,
        max: Some(secs(120)),
        stop_on: "#".into(),
        wait,
        ..mixed()
    }
}

#[test]
fn a_voicemail_ends_with_a_key_and_is_told_when_its_file_is_closed() {
    let (mut world, mut caller, flow, call) = answered();
    let id = world.ask(flow, call, Verb::Record(record(true)));
    assert_eq!(world.reply(id), None);
    let recording = world.node().files[0].0;
    assert!(world.node().commands.iter().any(|(_, command)| {
        matches!(
            command,
            Command::Record {
                ends: media::Ends { after: Some(960_000), quiet: None },
                layout: media::Layout::Party,
                ..
            }
        )
    }));
    world.key(0, '#');
    let want =
        Reply::Recorded { recording, files: vec!["mail/1.wav".into()], length: secs(2), why: RecordEnd::Key('#') };
    assert_eq!(world.reply(id), Some(&want));
    caller.send(&mut world, "BYE", None);
    world.assert_clean(1);
    assert_eq!(world.node().records[0].recordings, ["mail/1.wav"]);
}

#[test]
fn a_recording_beside_the_flow_is_paused_and_stopped_by_its_number() {
    let (mut world, _, flow, call) = answered();
    let id = world.ask(flow, call, Verb::Record(Record { file: None, stop_on: String::new(), ..record(false) }));
    let Some(&Reply::Recording(recording)) = world.reply(id) else { panic!("it runs") };
    assert!(world.node().files[0].1.starts_with("2023-11-14/1700000000000-"), "{:?}", world.node().files);
    let pause = world.ask(flow, call, Verb::RecordAs { recording, mode: RecordMode::Mask });
    assert_eq!(world.reply(pause), Some(&Reply::Done));
    let stop = world.ask(flow, call, Verb::RecordStop { recording });
    assert!(matches!(world.reply(stop), Some(Reply::Recorded { why: RecordEnd::Stopped, .. })));
    let again = world.ask(flow, call, Verb::RecordStop { recording });
    assert_eq!(world.reply(again), Some(&Reply::Failed(Failure::NoSuchRecording)));
    let bad = world.ask(flow, call, Verb::Record(Record { file: Some("../x".into()), ..record(false) }));
    assert!(matches!(world.reply(bad), Some(Reply::Failed(Failure::Media(_)))));
}

#[test]
fn the_record_of_a_call_waits_for_its_recording_but_not_for_ever() {
    let (mut world, mut caller, flow, call) = answered();
    world.ask(flow, call, Verb::Record(record(true)));
    caller.send(&mut world, "BYE", None);
    assert!(world.node().records.is_empty());
    world.run(secs(11));
    assert_eq!(world.node().records.len(), 1);
    world.assert_clean(1);
}

#[test]
fn echo_ends_with_its_key_or_its_limit() {
    let (mut world, _, flow, call) = answered();
    let echo = |limit| Verb::Echo { stop_on: "9".into(), limit };
    let id = world.ask(flow, call, echo(None));
    world.key(0, '9');
    assert_eq!(world.reply(id), Some(&Reply::Left(verbs::LeaveReason::Key('9'))));
    let id = world.ask(flow, call, echo(Some(secs(3))));
    world.run(secs(4));
    assert_eq!(world.reply(id), Some(&Reply::Left(verbs::LeaveReason::Limit)));
    assert_eq!(world.commands()[2..], ["Echo on", "Echo off", "Echo on", "Echo off"]);
}

#[test]
fn digits_are_sent_where_the_peer_takes_them() {
    let (mut world, _, flow, call) = answered();
    let send = |digits: &str| Verb::SendDigits { digits: digits.into(), length: millis(100), gap: millis(50) };
    let id = world.ask(flow, call, send("12,#"));
    assert_eq!(world.reply(id), Some(&Reply::Done));
    let id = world.ask(flow, call, send("hello"));
    assert!(matches!(world.reply(id), Some(Reply::Failed(Failure::Limit(_)))));
}

#[test]
fn a_room_gathers_calls_of_several_flows_on_one_thread_and_ends_with_the_last() {
    let mut world = World::new();
    let (mut anna, flow_a, a) = answer_one(&mut world, Caller::new());
    let (_, flow_b, b) = answer_one(&mut world, Caller { call_id: "b".into(), ..Caller::new() });
    let workers: Vec<WorkerId> = world.node().opened.iter().map(|(_, worker)| *worker).collect();
    assert_eq!(workers, [WorkerId(0), WorkerId(1)], "new calls go where the fewest ports are");
    let join = |muted| Verb::Join { room: "team".into(), stop_on: "*".into(), muted, entry: verbs::Entry::default() };
    let in_a = world.ask(flow_a, a, join(false));
    world.automatic = false;
    let in_b = world.ask(flow_b, b, join(true));
    let (port, from, to) = world.node().moves[0];
    assert_eq!((from, to), (WorkerId(1), WorkerId(0)));
    let joins = |world: &World| world.commands().iter().filter(|name| **name == "Join").count();
    assert_eq!(joins(&world), 1, "nothing is commanded on the way");
    world.input(0, Input::PortMoved { port, worker: to });
    assert_eq!(joins(&world), 2);
    assert!(matches!(
        world.node().commands.last(),
        Some((WorkerId(0), Command::Join { role: media::Role::Listen, .. }))
    ));
    world.automatic = true;
    world.key(1, '*');
    assert_eq!(world.reply(in_b), Some(&Reply::Left(verbs::LeaveReason::Key('*'))));
    assert_eq!(world.node().switch.counts().rooms, 1);
    anna.send(&mut world, "BYE", None);
    assert_eq!(world.reply(in_a), None, "its flow is stopped instead");
    assert_eq!(world.node().switch.counts().rooms, 0);
    world.end_flow(flow_b, FlowEnd::Finished);
    world.assert_clean(2);
}

#[test]
fn silence_is_noted_and_a_party_that_is_gone_is_hung_up_and_its_record_says_why() {
    let (mut world, ..) = answered();
    let (port, worker) = world.node().opened[0];
    world.input(0, Input::Media { worker, event: media::Event::NoRtp { port } });
    assert_eq!(world.node().switch.counts().calls, 1);
    world.input(0, Input::Media { worker, event: media::Event::Lost { port } });
    assert_eq!(world.node().switch.counts().calls, 0);
    let record = &world.node().records[0];
    assert_eq!((record.status, record.end_reason), (Status::Completed, EndReason::TelephonyError));
    assert_eq!(record.end_detail, Some(EndDetail::RtpTimeout));
    let error = record.error.as_deref().unwrap();
    assert!(error.starts_with("neither audio nor reports came any more: no packet came"), "{error}");
}
