//! What happens beside the steps of calls is told: each thing once, in its order, and nothing of it is a secret.

use serde_json::{Value, json};

use super::{hold::bridged, *};
use crate::verbs::Transfer;

/// What was told since the last time: `kind` and its own fields.
fn told(world: &mut World) -> Vec<(&'static str, Value)> {
    let happenings = std::mem::take(&mut world.nodes[0].happenings);
    let one = |happening: Happening| (happening.what.kind(), serde_json::to_value(&happening.what).unwrap());
    happenings.into_iter().map(one).collect()
}

fn kinds(world: &mut World) -> Vec<&'static str> {
    told(world).into_iter().map(|(kind, _)| kind).collect()
}

#[test]
fn what_a_script_plays_is_told_with_its_length_and_without_what_was_said() {
    let (mut world, _, flow, call) = answered();
    world.ask(flow, call, Verb::Play(Play::new(vec![Sound::File("a.wav".into())])));
    let want = [("play.started", json!({"sounds": ["a.wav"]})), ("play.stopped", json!({"seconds": 1.0}))];
    assert_eq!(told(&mut world), want);
    let speech = verbs::Speech { text: "secret".into(), language: None, voice: None };
    world.nodes[0].plays_end = false;
    world.ask(flow, call, Verb::Play(Play { wait: false, ..Play::new(vec![Sound::Speech(speech)]) }));
    assert_eq!(told(&mut world), [("play.started", json!({"sounds": ["speech of 6 characters"]}))]);
    world.ask(flow, call, Verb::Play(Play { wait: false, ..Play::new(vec![Sound::Silence(secs(1))]) }));
    let first = told(&mut world).remove(0);
    assert_eq!(first, ("play.stopped", json!({"seconds": null})), "another took its place");
    // Nobody is told of the music of a hold.
    world.ask(flow, call, Verb::StopPlay { play: None });
    told(&mut world);
    world.ask(flow, call, Verb::Hold { music: Some(Sound::File("wait.wav".into())) });
    assert_eq!(kinds(&mut world), Vec::<&str>::new(), "the party has not agreed yet");
}

#[test]
fn a_sound_that_cannot_be_had_is_told() {
    let (mut world, _, flow, call) = answered();
    world.automatic = false;
    world.ask(flow, call, Verb::Play(Play::new(vec![Sound::File("a.wav".into())])));
    let load = world.node().loads[0].0;
    let result = Err(NoSound::new(SoundFault::Missing, "a.wav is not there"));
    world.input(0, Input::Loaded { load, result });
    assert_eq!(told(&mut world)[1], ("play.failed", json!({"reason": "missing"})));
}

#[test]
fn keys_are_told_but_not_those_that_are_masked_or_secret() {
    let (mut world, caller, flow, call) = answered();
    let key = |key: Value| ("call.key", json!({ "key": key }));
    world.key(0, '5');
    assert_eq!(told(&mut world), [key(json!("5"))]);
    let id = world.ask(flow, call, Verb::Record(Record { file: Some("x.wav".into()), ..mixed() }));
    let Some(Reply::Recording(recording)) = world.reply(id) else { panic!("it is recorded") };
    let recording = *recording;
    world.ask(flow, call, Verb::RecordAs { recording, mode: RecordMode::Mask });
    world.key(0, '6');
    world.ask(flow, call, Verb::RecordAs { recording, mode: RecordMode::Keep });
    world.key(0, '7');
    world.ask(flow, call, Verb::RecordStop { recording });
    let number = recording.0;
    let want = [
        ("recording.started", json!({"recording": number, "file": "x.wav", "files": ["x.wav"], "room": null})),
        ("recording.mode", json!({"recording": number, "mode": "mask"})),
        key(Value::Null),
        ("recording.mode", json!({"recording": number, "mode": "keep"})),
        key(json!("7")),
        (
            "recording.stopped",
            json!({"recording": number, "files": ["x.wav"], "seconds": 2.0, "reason": "stopped", "error": null}),
        ),
    ];
    assert_eq!(told(&mut world), want);
    let (terminators, first_timeout, timeout) = ("#".to_owned(), secs(5), secs(5));
    // What was pressed before is taken first.
    let gather = Gather { prompt: vec![], max: 9, terminators, first_timeout, timeout, barge_in: true, secret: true };
    world.ask(flow, call, Verb::Gather(gather));
    world.key(0, '4');
    world.key(0, '#');
    world.key(0, '8');
    assert_eq!(told(&mut world), [key(Value::Null), key(Value::Null), key(json!("8"))]);
    drop(caller);
}

#[test]
fn a_recording_that_the_disk_lost_is_told_with_the_reason() {
    let (mut world, _, flow, call) = answered();
    let id = world.ask(flow, call, Verb::Record(Record { file: Some("x.wav".into()), ..mixed() }));
    let Some(Reply::Recording(recording)) = world.reply(id) else { panic!("it is recorded") };
    let recording = *recording;
    world.input(
        0,
        Input::RecordingWritten { recording, result: Err(verbs::Torn { why: "no space left".into(), begun: false }) },
    );
    let (kind, data) = told(&mut world).pop().unwrap();
    assert_eq!((kind, &data["reason"], &data["error"]), ("recording.stopped", &json!("disk"), &json!("no space left")));
}

#[test]
fn both_calls_of_a_bridge_know_each_other_and_so_do_their_records() {
    let (mut world, mut caller, flow, call, peer, invite) = bridged();
    let happenings = std::mem::take(&mut world.nodes[0].happenings);
    let names: Vec<String> = happenings.iter().filter_map(|one| one.call.clone()).collect();
    assert_eq!(names.len(), 2, "{happenings:?}");
    let partner = |name: &String| Happened::Bridged { partner: name.clone() };
    assert_eq!(happenings[0].what, partner(&names[1]));
    assert_eq!(happenings[1].what, partner(&names[0]));
    world.ask(flow, call, Verb::Bridge { other: peer, stop_on: "*".into() });
    assert_eq!(kinds(&mut world), Vec::<&str>::new(), "they are bridged already");
    world.key(0, '*');
    assert_eq!(kinds(&mut world), ["call.key", "call.parted", "call.parted"]);
    world.ask(flow, call, Verb::Bridge { other: peer, stop_on: String::new() });
    assert_eq!(kinds(&mut world), ["call.bridged", "call.bridged"]);
    caller.send(&mut world, "BYE", None);
    let bye = world.request_at(address("203.0.113.1:5060"), Method::Bye);
    world.say(address("203.0.113.1:5060"), bye.response(200, None).to_bytes());
    world.settle();
    // Who hung up needs no word; the other one was left.
    assert_eq!(kinds(&mut world), ["call.parted"]);
    let partners: BTreeMap<String, Vec<String>> =
        world.node().records.iter().map(|record| (record.id.clone(), record.partners.clone())).collect();
    assert_eq!(partners[&names[0]], [names[1].clone()], "each once");
    assert_eq!(partners[&names[1]], [names[0].clone()]);
    drop(invite);
}

#[test]
fn hold_and_mute_are_told_when_they_change_and_by_whom() {
    let (mut world, mut caller, flow, call) = answered();
    world.ask(flow, call, Verb::Mute { on: true });
    world.ask(flow, call, Verb::Mute { on: true });
    world.ask(flow, call, Verb::Mute { on: false });
    assert_eq!(kinds(&mut world), ["call.muted", "call.unmuted"]);
    caller.send(&mut world, "INVITE", Some(("application/sdp", &format!("{}a=sendonly\r\n", sdp()))));
    assert_eq!(told(&mut world), [("call.held", json!({"by": "party"}))]);
    let ok = world.response_at(caller.at, 200);
    caller.ack(&mut world, &ok, None);
    caller.send(&mut world, "INVITE", Some(("application/sdp", &sdp())));
    assert_eq!(told(&mut world), [("call.resumed", json!({"by": "party"}))]);
    let ok = world.response_at(caller.at, 200);
    caller.ack(&mut world, &ok, None);
    world.ask(flow, call, Verb::Hold { music: None });
    world.settle();
    let invite = world.request_at(caller.at, Method::Invite);
    let mut agreed = invite.response(200, None);
    agreed.headers.set("Contact", format!("<sip:x@{}>", caller.at));
    agreed.headers.set("Content-Type", "application/sdp");
    agreed.body = format!("{}a=recvonly\r\n", sdp()).into();
    world.say(caller.at, agreed.to_bytes());
    world.settle();
    assert_eq!(told(&mut world), [("call.held", json!({"by": "us"}))]);
}

#[test]
fn a_transfer_is_told_and_how_it_went() {
    let (mut world, caller, flow, call) = answered();
    let target = "sip:c@203.0.113.9:5060".to_owned();
    let wish = Transfer::Blind { target: target.clone(), timeout: secs(10) };
    world.ask(flow, call, Verb::Transfer(wish));
    world.settle();
    let refer = world.request_at(caller.at, Method::Refer);
    world.say(caller.at, refer.response(202, None).to_bytes());
    world.settle();
    assert_eq!(told(&mut world), [("call.transferring", json!({"by": "us", "target": target}))]);
    world.run(secs(11));
    assert_eq!(told(&mut world), [("call.transfer_failed", json!({"by": "us", "reason": "no_answer"}))]);
}

#[test]
fn nothing_is_told_of_a_call_before_its_first_step_or_after_its_record() {
    let (mut world, mut caller, flow, call) = answered();
    world.ask(flow, call, Verb::Record(Record { file: Some("x.wav".into()), ..mixed() }));
    world.ask(flow, call, Verb::Hangup);
    world.settle();
    let bye = world.request_at(caller.at, Method::Bye);
    world.say(caller.at, bye.response(200, None).to_bytes());
    // These engines do not say that a recording is over.
    world.run(secs(11));
    // The node's own test looks at what comes after the record.
    assert_eq!(kinds(&mut world), ["recording.started", "recording.stopped"]);
    caller.cseq += 1;
}
