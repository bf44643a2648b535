//! Calls that somebody else's machine records.

use super::*;
use crate::{
    media::{Side, Stream},
    sdp::Policy,
};

const SRS: &str = "203.0.113.50:5060";

/// The recorder's answer: it listens on these ports.
fn listens(ports: [u16; 2]) -> String {
    let line = |port| format!("m=audio {port} RTP/AVP 0\r\na=recvonly\r\n");
    let [first, second] = ports.map(line);
    format!("v=0\r\no=- 1 1 IN IP4 203.0.113.50\r\ns=-\r\nc=IN IP4 203.0.113.50\r\nt=0 0\r\n{first}{second}")
}

fn wish() -> Verb {
    Verb::Siprec { recorder: Some(format!("sip:srs@{SRS}")) }
}

fn text(body: &[u8]) -> String {
    String::from_utf8_lossy(body).into_owned()
}

/// A call whose recorder was asked: world, caller, flow, call, the wish and the recorder's INVITE.
fn asked() -> (World, Caller, FlowId, CallId, RequestId, SipRequest) {
    let (mut world, caller, flow, call) = answered();
    world.nodes[0].commands.clear();
    let id = world.ask(flow, call, wish());
    world.settle();
    let invite = world.request_at(address(SRS), Method::Invite);
    (world, caller, flow, call, id, invite)
}

fn records(world: &mut World, invite: &SipRequest, code: u16, ports: [u16; 2]) {
    let body = listens(ports);
    world.say(address(SRS), answer(invite, code, "srs", (code == 200).then_some(&body)));
    world.settle();
}

fn taps(world: &World) -> Vec<(PortId, &'static str)> {
    let found = world.node().commands.iter().filter_map(|(_, command)| match command {
        Command::Tap { port, .. } => Some((*port, "tap")),
        Command::Untap { port, .. } => Some((*port, "untap")),
        Command::MaskTap { port, on, .. } => Some((*port, if *on { "masked" } else { "open" })),
        Command::Feed { port, tap } => Some((*port, if tap.side == Side::Said { "said" } else { "heard" })),
        _ => None,
    });
    found.collect()
}

fn streams(world: &World) -> Vec<(PortId, Stream)> {
    let found = world.node().commands.iter().filter_map(|(_, command)| match command {
        Command::Update { port, stream, .. } => Some((*port, (**stream).clone())),
        _ => None,
    });
    found.collect()
}

fn end(mut world: World, mut caller: Caller, flow: FlowId, calls: usize) -> World {
    caller.cseq += 1;
    caller.send(&mut world, "BYE", None);
    world.end_flow(flow, FlowEnd::Finished);
    world.settle();
    if let Some(bye) = world.inbox.iter().find_map(|(to, message)| match message {
        Message::Request(request) if *to == address(SRS) && request.method == Method::Bye => Some(request.clone()),
        _ => None,
    }) {
        world.say(address(SRS), answer(&bye, 200, "srs", None));
    }
    world.assert_clean(calls);
    world
}

#[test]
fn a_recorder_is_told_who_speaks_and_hears_both_sides_on_lines_of_their_own() {
    let (mut world, caller, flow, _, id, invite) = asked();
    assert_eq!(invite.headers.get("Require"), Some("siprec"));
    assert!(invite.headers.get("Contact").is_some_and(|contact| contact.ends_with(";+sip.src")));
    let kind = invite.headers.get("Content-Type").unwrap().to_owned();
    let boundary = kind.strip_prefix("multipart/mixed;boundary=\"").unwrap().trim_end_matches('"').to_owned();
    let body = text(&invite.body);
    let parts: Vec<&str> = body.split(&format!("--{boundary}")).collect();
    assert_eq!(parts.len(), 4, "{body}");
    assert!(parts[1].starts_with("\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n"), "{body}");
    assert_eq!(parts[1].matches("a=sendonly").count(), 2);
    assert!(parts[2].contains("application/rs-metadata+xml") && parts[2].contains("aor=\"sip:anna@phone\""), "{body}");
    assert_eq!(world.reply(id), None);

    records(&mut world, &invite, 200, [6000, 6002]);
    world.request_at(address(SRS), Method::Ack);
    assert_eq!(world.reply(id), Some(&Reply::Done));
    let [call, first, second] = [0, 1, 2].map(|at| world.node().opened[at].0);
    assert_eq!(taps(&world), [(first, "said"), (second, "heard"), (call, "tap"), (call, "tap")]);
    let told = streams(&world);
    assert_eq!(told.iter().map(|(port, _)| *port).collect::<Vec<_>>(), [first, second]);
    assert_eq!(told[0].1.remote, Some(address("203.0.113.50:6000")));
    assert!(told.iter().all(|(_, stream)| stream.sending && !stream.receiving));
    let world = end(world, caller, flow, 2);
    assert!(world.node().records[1].parent.is_some() || world.node().records[0].parent.is_some());
}

#[test]
fn a_recorder_that_refuses_or_is_silent_or_takes_nothing_costs_the_call_nothing() {
    for (code, ports, failure) in
        [(486, [0, 0], Failure::Busy), (200, [0, 0], Failure::Media(String::new())), (0, [0, 0], Failure::Unreachable)]
    {
        let (mut world, caller, flow, _, id, invite) = asked();
        match code {
            0 => world.run(secs(40)),
            code => records(&mut world, &invite, code, ports),
        }
        let told = world.reply(id).cloned();
        let Some(Reply::Failed(why)) = told else { panic!("{code}: {told:?}") };
        assert_eq!(why.as_str(), if code == 0 { why.as_str() } else { failure.as_str() });
        assert_eq!(taps(&world), []);
        assert_eq!(world.node().switch.counts().calls, 1, "the call goes on");
        end(world, caller, flow, 2);
    }
}

#[test]
fn a_recorder_may_take_one_line_only() {
    let (mut world, caller, flow, _, id, invite) = asked();
    records(&mut world, &invite, 200, [6000, 0]);
    assert_eq!(world.reply(id), Some(&Reply::Done));
    assert_eq!(streams(&world).len(), 1);
    end(world, caller, flow, 2);
}

#[test]
fn a_script_may_end_it_and_begin_it_anew_but_not_twice_at_once() {
    let (mut world, caller, flow, call, _, invite) = asked();
    let second = world.ask(flow, call, wish());
    assert_eq!(world.reply(second), Some(&Reply::Failed(Failure::WrongState)));
    records(&mut world, &invite, 200, [6000, 6002]);
    let stop = world.ask(flow, call, Verb::SiprecStop);
    world.settle();
    assert_eq!(world.reply(stop), Some(&Reply::Done));
    let bye = world.request_at(address(SRS), Method::Bye);
    world.say(address(SRS), answer(&bye, 200, "srs", None));
    world.settle();
    assert_eq!(taps(&world).iter().filter(|(_, what)| *what == "untap").count(), 2);
    let again = world.ask(flow, call, Verb::SiprecStop);
    assert_eq!(world.reply(again), Some(&Reply::Failed(Failure::NoSuchRecording)));
    world.ask(flow, call, wish());
    world.settle();
    let invite = world.request_at(address(SRS), Method::Invite);
    records(&mut world, &invite, 200, [6000, 6002]);
    end(world, caller, flow, 3);
}

#[test]
fn a_recorder_may_hang_up_pause_and_move() {
    let (mut world, caller, flow, call, _, invite) = asked();
    records(&mut world, &invite, 200, [6000, 6002]);
    let mut srs = transfer::Phone::new(SRS, &invite, "srs");
    let kind = [("Content-Type", "application/sdp")];
    srs.send(&mut world, Method::Invite, &kind, &listens([7000, 7002]).replace("recvonly", "inactive"));
    let response = world.response_at(address(SRS), 200);
    assert!(text(&response.body).contains("a=label:2"));
    assert_eq!(text(&response.body).matches("a=inactive").count(), 2, "{}", text(&response.body));
    let last = streams(&world).pop().unwrap().1;
    assert_eq!((last.remote, last.sending), (Some(address("203.0.113.50:7002")), false));
    let mut ack = srs.dialog.ack(1);
    ack.headers.via.push(format!("SIP/2.0/UDP {SRS};branch=z9hG4bKack").parse().unwrap());
    world.say(address(SRS), ack.to_bytes());
    world.settle();
    srs.send(&mut world, Method::Bye, &[], "");
    assert_eq!(taps(&world).iter().filter(|(_, what)| *what == "untap").count(), 2);
    let again = world.ask(flow, call, Verb::SiprecStop);
    assert_eq!(world.reply(again), Some(&Reply::Failed(Failure::NoSuchRecording)));
    end(world, caller, flow, 2);
}

#[test]
fn every_call_that_comes_in_is_recorded_where_the_operator_wants_it() {
    let world = World::with(|config| {
        config.rules.recorders =
            Recorders { usual: sip::Uri::parse(&format!("sip:srs@{SRS}")).ok(), always: true, ..Recorders::default() };
    });
    let mut world = world;
    let mut caller = Caller::new();
    caller.invite(&mut world, Some(&sdp()));
    let start = world.node().starts.last().unwrap().clone();
    world.ask(start.flow, start.call, Verb::Answer);
    world.settle();
    let response = world.response_at(caller.at, 200);
    caller.ack(&mut world, &response, None);
    let invite = world.request_at(address(SRS), Method::Invite);
    records(&mut world, &invite, 200, [6000, 6002]);
    assert_eq!(taps(&world).len(), 4);
    end(world, caller, start.flow, 2);
}

#[test]
fn without_a_port_for_the_recorder_or_without_a_recorder_the_script_hears_why() {
    let (mut world, caller, flow, call) = answered();
    let nowhere = world.ask(flow, call, Verb::Siprec { recorder: None });
    assert_eq!(world.reply(nowhere), Some(&Reply::Failed(Failure::Unreachable)));
    world.automatic = false;
    let id = world.ask(flow, call, wish());
    let [first, second] = [1, 2].map(|at| world.node().opened[at].0);
    world.input(0, Input::PortOpened { port: first, result: Ok(address("192.0.2.1:10004")) });
    world.input(0, Input::PortOpened { port: second, result: Err("none is left".into()) });
    assert_eq!(world.reply(id), Some(&Reply::Failed(Failure::Media("none is left".into()))));
    world.automatic = true;
    let worker = world.node().opened[1].1;
    world.input(0, Input::Media { worker, event: media::Event::Closed { port: first, quality: Quality::default() } });
    end(world, caller, flow, 2);
}

/// A call whose recorder, which is reached over `transport`, was asked; what is sent there is encrypted by `policy`.
fn asked_over(transport: &str, policy: Policy) -> (World, Caller, FlowId, RequestId) {
    let mut world = World::with(|config| config.rules.recorders.security = policy);
    let (caller, flow, call) = answer_one(&mut world, Caller::new());
    world.nodes[0].commands.clear();
    let recorder = Some(format!("sip:srs@{SRS};transport={transport}"));
    let id = world.ask(flow, call, Verb::Siprec { recorder });
    world.settle();
    (world, caller, flow, id)
}

/// The lines about keys of the first suite that we offer.
fn keys(body: &[u8]) -> Vec<String> {
    text(body)
        .lines()
        .filter(|line| line.starts_with("a=crypto:1 AEAD_AES_256_GCM inline:"))
        .map(str::to_owned)
        .collect()
}

/// The recorder's answer, with a key of its own for each line.
fn listens_securely(profile: &str) -> String {
    let (key, profile) = (["A".repeat(59), "=".to_owned()].concat(), format!("RTP/{profile}"));
    let keyed = format!("a=recvonly\r\na=crypto:1 AEAD_AES_256_GCM inline:{key}");
    listens([6000, 6002]).replace("RTP/AVP", &profile).replace("a=recvonly", &keyed)
}

/// The recorder has our answer to its last INVITE.
fn acknowledges(world: &mut World, srs: &transfer::Phone) {
    let mut ack = srs.dialog.ack(srs.dialog.local_seq);
    ack.headers.via.push(format!("SIP/2.0/UDP {SRS};branch=z9hG4bKack{}", srs.dialog.local_seq).parse().unwrap());
    world.say(address(SRS), ack.to_bytes());
    world.settle();
}

fn shields(world: &World) -> usize {
    world.commands().iter().filter(|name| **name == "Shield").count()
}

#[test]
fn what_goes_to_a_recorder_over_tls_is_encrypted_with_a_key_for_each_line() {
    for (policy, profile) in [(Policy::Required, "SAVP"), (Policy::Optional, "AVP")] {
        let (mut world, caller, flow, id) = asked_over("tls", policy);
        let invite = world.request_at(address(SRS), Method::Invite);
        assert_eq!(text(&invite.body).matches(&format!(" RTP/{profile} ")).count(), 2, "{}", text(&invite.body));
        let ours = keys(&invite.body);
        assert!(ours.len() == 2 && ours[0] != ours[1], "{ours:?}");
        world.say(address(SRS), answer(&invite, 200, "srs", Some(&listens_securely(profile))));
        world.settle();
        assert_eq!(world.reply(id), Some(&Reply::Done));
        assert_eq!(shields(&world), 2);
        let told = world.commands();
        let first = |name: &str| told.iter().position(|told| *told == name);
        assert!(first("Shield") < first("Update") && first("Shield").is_some(), "nothing leaves before: {told:?}");

        // A recorder that pauses is answered with one key a line, the same as before, and no port is told anew.
        let mut srs = transfer::Phone::new(SRS, &invite, "srs");
        let pauses = listens_securely(profile).replace("recvonly", "inactive");
        srs.send(&mut world, Method::Invite, &[("Content-Type", "application/sdp")], &pauses);
        let response = world.response_at(address(SRS), 200);
        assert_eq!(keys(&response.body), ours);
        assert_eq!(text(&response.body).matches("a=crypto").count(), 2, "{}", text(&response.body));
        assert_eq!(shields(&world), 2);
        acknowledges(&mut world, &srs);
        // One that leaves a suite and comes back to it gets another key there.
        let other = format!("AEAD_AES_128_GCM inline:{}", "A".repeat(38) + "==");
        let was = format!("AEAD_AES_256_GCM inline:{}", "A".repeat(59) + "=");
        let kind = [("Content-Type", "application/sdp")];
        srs.send(&mut world, Method::Invite, &kind, &listens_securely(profile).replace(&was, &other));
        let response = world.response_at(address(SRS), 200);
        assert_eq!(text(&response.body).matches("a=crypto:1 AEAD_AES_128_GCM").count(), 2, "{}", text(&response.body));
        acknowledges(&mut world, &srs);
        srs.send(&mut world, Method::Invite, &kind, &listens_securely(profile));
        let again = keys(&world.response_at(address(SRS), 200).body);
        assert!(again.len() == 2 && again.iter().all(|key| !ours.contains(key)), "{again:?}");
        acknowledges(&mut world, &srs);
        end(world, caller, flow, 2);
    }
}

#[test]
fn a_recorder_that_leaves_the_keys_gets_plain_audio_only_where_that_will_do() {
    for (policy, goes) in [(Policy::Optional, true), (Policy::Required, false)] {
        let (mut world, caller, flow, id) = asked_over("tls", policy);
        let invite = world.request_at(address(SRS), Method::Invite);
        records(&mut world, &invite, 200, [6000, 6002]);
        match world.reply(id) {
            Some(Reply::Done) => assert!(goes, "{policy:?}"),
            told => assert!(!goes && matches!(told, Some(Reply::Failed(Failure::Media(_)))), "{told:?}"),
        }
        assert_eq!((shields(&world), taps(&world).is_empty()), (0, !goes));
        end(world, caller, flow, 2);
    }
}

#[test]
fn keys_are_never_sent_in_the_clear() {
    let (world, caller, flow, id) = asked_over("udp", Policy::Required);
    let told = world.reply(id).cloned();
    let Some(Reply::Failed(Failure::Media(why))) = told else { panic!("{told:?}") };
    assert!(why.contains("not reached over TLS"), "{why}");
    assert!(!world.seen().iter().any(|seen| seen.starts_with(SRS)), "nobody was asked");
    end(world, caller, flow, 2);

    let (mut world, caller, flow, _) = asked_over("udp", Policy::Optional);
    let invite = world.request_at(address(SRS), Method::Invite);
    assert!(!text(&invite.body).contains("a=crypto"));
    records(&mut world, &invite, 200, [6000, 6002]);
    assert_eq!(shields(&world), 0);
    end(world, caller, flow, 2);
}

/// What the recorder of a call may hear, by what the taps were told.
fn masks(world: &World) -> Vec<&'static str> {
    taps(world).into_iter().map(|(_, what)| what).filter(|what| ["masked", "open"].contains(what)).collect()
}

fn recording(world: &mut World, flow: FlowId, call: CallId) -> RecordingId {
    let record = Record { voices: Voices::Stereo, ..mixed() };
    let id = world.ask(flow, call, Verb::Record(record));
    match world.reply(id) {
        Some(Reply::Recording(recording)) => *recording,
        told => panic!("{told:?}"),
    }
}

#[test]
fn what_our_own_recordings_leave_out_is_silence_for_the_recorder_too() {
    let (mut world, caller, flow, call, _, invite) = asked();
    records(&mut world, &invite, 200, [6000, 6002]);
    let (first, second) = (recording(&mut world, flow, call), recording(&mut world, flow, call));
    for (recording, mode, told) in [
        (first, RecordMode::Mask, "masked"),
        (second, RecordMode::Pause, ""),
        (first, RecordMode::Keep, ""),
        (second, RecordMode::Keep, "open"),
        (second, RecordMode::Pause, "masked"),
    ] {
        world.nodes[0].commands.clear();
        world.ask(flow, call, Verb::RecordAs { recording, mode });
        let want = if told.is_empty() { vec![] } else { vec![told; 2] };
        assert_eq!(masks(&world), want, "{recording:?} {mode:?}");
    }
    world.nodes[0].commands.clear();
    world.ask(flow, call, Verb::RecordStop { recording: second });
    assert_eq!(masks(&world), ["open"; 2], "a recording that is over hides nothing");
    end(world, caller, flow, 2);
}

#[test]
fn a_recorder_that_comes_while_a_recording_is_masked_hears_nothing_yet_and_a_script_may_mask_it_alone() {
    let (mut world, caller, flow, call) = answered();
    let own = recording(&mut world, flow, call);
    world.ask(flow, call, Verb::RecordAs { recording: own, mode: RecordMode::Mask });
    world.ask(flow, call, wish());
    world.settle();
    let invite = world.request_at(address(SRS), Method::Invite);
    records(&mut world, &invite, 200, [6000, 6002]);
    assert_eq!(masks(&world), ["masked"; 2]);
    world.ask(flow, call, Verb::SiprecMask { on: true });
    world.ask(flow, call, Verb::RecordAs { recording: own, mode: RecordMode::Keep });
    assert_eq!(masks(&world), ["masked"; 2], "the script still wants it");
    let open = world.ask(flow, call, Verb::SiprecMask { on: false });
    assert_eq!((masks(&world), world.reply(open)), (vec!["masked", "masked", "open", "open"], Some(&Reply::Done)));
    world.ask(flow, call, Verb::SiprecStop);
    let nobody = world.ask(flow, call, Verb::SiprecMask { on: true });
    assert_eq!(world.reply(nobody), Some(&Reply::Failed(Failure::NoSuchRecording)));
    world.settle();
    end(world, caller, flow, 2);
}
