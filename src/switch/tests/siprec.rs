//! Calls that somebody else's machine records.

use super::*;
use crate::media::{Side, Stream};

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
        config.rules.recorders = Recorders { usual: sip::Uri::parse(&format!("sip:srs@{SRS}")).ok(), always: true };
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
