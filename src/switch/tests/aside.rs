//! What programs do to calls beside their flows: mute, announcements, another flow; and what a server says that drains.

use super::{hold::bridged, *};
use crate::media::Role;

/// Ask in the name of the operator.
pub(super) fn order(world: &mut World, id: u64, call: CallId, verb: Verb) {
    let request = Request { origin: Origin::Console, id: RequestId(id), call, verb };
    world.input(0, Input::Request(request));
    world.settle();
}

/// What the operator was told about its request.
pub(super) fn told(world: &World, id: u64) -> Vec<&Reply> {
    let replies = world.node().console.iter().filter_map(|told| match told {
        ConsoleReply::Reply { request, reply } if *request == RequestId(id) => Some(reply),
        _ => None,
    });
    replies.collect()
}

fn roles(world: &World) -> Vec<Role> {
    let joins = world.node().commands.iter().filter_map(|(_, command)| match command {
        Command::Join { role, .. } => Some(*role),
        _ => None,
    });
    joins.collect()
}

fn say(text: &str) -> Verb {
    Verb::Announce { sounds: vec![Sound::File(text.into())], manner: Manner::default() }
}

#[test]
fn a_muted_party_is_heard_nowhere_till_it_is_unmuted() {
    let (mut world, _caller, flow, call, _peer, _invite) = bridged();
    order(&mut world, 1, call, Verb::Mute { on: true });
    assert_eq!(told(&world, 1), [&Reply::Done]);
    assert_eq!(roles(&world), [Role::Listen]);
    // Wherever it goes, it stays so.
    let room = Verb::Join { room: "r".into(), stop_on: String::new(), muted: false, entry: Default::default() };
    world.ask(flow, call, room);
    world.settle();
    assert_eq!(roles(&world), [Role::Listen, Role::Listen]);
    order(&mut world, 2, call, Verb::Mute { on: false });
    assert_eq!(roles(&world).last(), Some(&Role::Both));
}

#[test]
fn an_announcement_leaves_the_flow_alone() {
    let (mut world, _caller, flow, call) = answered();
    let sleep = world.ask(flow, call, Verb::Sleep(secs(3)));
    order(&mut world, 1, call, say("news.wav"));
    assert!(matches!(told(&world, 1)[..], [Reply::Played { key: None, .. }]));
    assert_eq!(world.reply(sleep), None);
    world.run(secs(3));
    assert_eq!(world.reply(sleep), Some(&Reply::Done));
}

#[test]
fn an_announcement_does_not_talk_into_what_is_played_and_ends_when_the_flow_plays() {
    let (mut world, _caller, flow, call) = answered();
    world.nodes[0].plays_end = false;
    order(&mut world, 1, call, say("news.wav"));
    assert!(told(&world, 1).is_empty(), "it is on the air");
    let play = Verb::Play(Play::new(vec![Sound::File("menu.wav".into())]));
    let play = world.ask(flow, call, play);
    world.settle();
    assert_eq!(told(&world, 1), [&Reply::Failed(Failure::WrongState)]);
    assert_eq!(world.reply(play), None, "the flow's own sound is not over");
    order(&mut world, 2, call, say("news.wav"));
    assert_eq!(told(&world, 2), [&Reply::Failed(Failure::WrongState)]);
}

#[test]
fn a_party_that_hangs_up_ends_its_announcement() {
    let (mut world, mut caller, _flow, call) = answered();
    world.nodes[0].plays_end = false;
    order(&mut world, 1, call, say("news.wav"));
    caller.send(&mut world, "BYE", None);
    assert_eq!(told(&world, 1), [&Reply::Failed(Failure::HungUp)]);
    world.assert_clean(1);
}

fn keys(digits: &str) -> Verb {
    Verb::SendDigits { digits: digits.into(), length: millis(100), gap: millis(100) }
}

fn dialled(world: &World) -> Vec<&str> {
    let all = world.node().commands.iter().filter_map(|(_, command)| match command {
        Command::Digits { digits, .. } => Some(&**digits),
        _ => None,
    });
    all.collect()
}

#[test]
fn keys_are_sent_while_the_flow_sleeps_or_plays_and_leave_it_alone() {
    let (mut world, _caller, flow, call) = answered();
    let sleep = world.ask(flow, call, Verb::Sleep(secs(3)));
    order(&mut world, 1, call, keys("12"));
    assert_eq!(told(&world, 1), [&Reply::Done]);
    assert_eq!(world.reply(sleep), None);
    world.run(secs(3));
    assert_eq!(world.reply(sleep), Some(&Reply::Done));
    world.nodes[0].plays_end = false;
    let play = world.ask(flow, call, Verb::Play(Play::new(vec![Sound::File("menu.wav".into())])));
    world.settle();
    order(&mut world, 2, call, keys("#"));
    assert_eq!(told(&world, 2), [&Reply::Done]);
    assert_eq!((world.reply(play), dialled(&world)), (None, vec!["12", "#"]));
    order(&mut world, 3, call, keys("x"));
    assert!(matches!(told(&world, 3)[..], [Reply::Failed(Failure::Limit(_))]));
}

#[test]
fn keys_are_sent_to_a_party_that_is_bridged() {
    let (mut world, _caller, _flow, call, peer, _invite) = bridged();
    order(&mut world, 1, call, keys("1"));
    order(&mut world, 2, peer, keys("2"));
    assert_eq!((told(&world, 1), told(&world, 2)), (vec![&Reply::Done], vec![&Reply::Done]));
    assert_eq!(dialled(&world), ["1", "2"]);
}

#[test]
fn orders_of_keys_are_answered_each_when_its_own_are_sent() {
    let (mut world, mut caller, flow, call) = answered();
    // The engine says by hand that it has sent some.
    world.automatic = false;
    let own = world.ask(flow, call, keys("1"));
    for id in 1..=4 {
        order(&mut world, id, call, keys("2"));
    }
    assert!(matches!(told(&world, 4)[..], [Reply::Failed(Failure::Limit(_))]), "four at a time");
    let port = world.node().opened[0].0;
    let sent = |world: &mut World| {
        world.input(0, Input::Media { worker: WorkerId(0), event: media::Event::DigitsSent { port } });
        world.settle();
    };
    sent(&mut world);
    assert_eq!((world.reply(own), told(&world, 1).len()), (Some(&Reply::Done), 0));
    sent(&mut world);
    assert_eq!((told(&world, 1), told(&world, 2).len()), (vec![&Reply::Done], 0));
    caller.send(&mut world, "BYE", None);
    assert_eq!(told(&world, 2), [&Reply::Failed(Failure::HungUp)]);
    assert_eq!(told(&world, 3), [&Reply::Failed(Failure::HungUp)]);
}

fn other_flow() -> Verb {
    Verb::Run { script: "other.lua".into(), vars: vec![("why".into(), "vip".into())] }
}

#[test]
fn a_call_moves_to_another_flow_and_what_the_first_one_dialled_ends() {
    let (mut world, mut caller, flow, call, _peer, _invite) = bridged();
    order(&mut world, 1, call, other_flow());
    assert_eq!(told(&world, 1), [&Reply::Done]);
    let bye = world.request_at(address("203.0.113.1:5060"), Method::Bye);
    world.say(address("203.0.113.1:5060"), bye.response(200, None).to_bytes());
    world.settle();
    assert_eq!(world.node().stops, [flow], "the first one is unwound");
    let start = world.node().starts.last().unwrap().clone();
    assert_eq!((&*start.script, start.call), ("other.lua", call));
    assert_eq!(start.vars, [("why".to_owned(), "vip".to_owned())]);
    let old = world.ask(flow, call, Verb::Hangup);
    world.settle();
    assert_eq!(world.reply(old), Some(&Reply::Failed(Failure::NoSuchCall)), "the first one commands nothing");
    let sleep = world.ask(start.flow, call, Verb::Sleep(secs(1)));
    world.run(secs(1));
    assert_eq!(world.reply(sleep), Some(&Reply::Done));
    caller.send(&mut world, "BYE", None);
    world.assert_clean(2);
    let scripts: Vec<_> = world.node().records.iter().map(|record| record.script.as_deref()).collect();
    assert!(scripts.contains(&Some("other.lua")), "{scripts:?}");
    // Each of them is told of.
    let record = world.node().records.iter().find(|record| record.script.is_some()).unwrap();
    let runs: Vec<_> = record.runs.iter().map(|run| (&*run.script, run.end)).collect();
    assert_eq!(runs, [("100.lua", Some(RunEnd::Replaced)), ("other.lua", Some(RunEnd::CallOver))]);
    let [first, second] = &record.runs[..] else { panic!("{:?}", record.runs) };
    assert_eq!((first.ended_ms, second.ended_ms), (Some(second.began_ms), Some(record.end_ms)));
    assert!(first.began_ms >= record.start_ms && second.began_ms >= first.began_ms);
}

#[test]
fn a_record_tells_of_the_last_runs_and_how_each_ended_with_what_it_did() {
    let (mut world, caller, flow, call) = answered();
    let ran = |step: &str| {
        let mut ran = Ran::default();
        ran.version = Some("7".into());
        ran.note(step.to_owned());
        Box::new(ran)
    };
    for id in 0..40 {
        order(&mut world, id, call, other_flow());
    }
    let last = world.node().starts.last().unwrap().flow;
    assert_ne!(last, flow);
    let end = FlowEnd::Error("other.lua:3: oh".into());
    world.input(0, Input::FlowEnded { flow: last, end, ran: ran("other.lua:3 play") });
    world.settle();
    let bye = world.request_at(caller.at, Method::Bye);
    world.say(caller.at, bye.response(200, None).to_bytes());
    world.settle();
    let record = world.node().records[0].clone();
    assert_eq!(record.runs.len(), 32);
    let run = record.runs.last().unwrap();
    assert_eq!((run.end, run.version.as_deref()), (Some(RunEnd::Error), Some("7")));
    assert_eq!(
        (&*run.path, &*record.path),
        (&["other.lua:3 play".to_owned()][..], &["other.lua:3 play".to_owned()][..])
    );
}

#[test]
fn a_leg_of_another_flow_cannot_be_moved() {
    let (mut world, _caller, _flow, _call, peer, _invite) = bridged();
    order(&mut world, 1, peer, other_flow());
    assert_eq!(told(&world, 1), [&Reply::Failed(Failure::WrongState)]);
    assert_eq!(world.node().starts.len(), 1);
}

#[test]
fn a_call_that_rings_phones_stops_ringing_them_when_it_moves() {
    let (mut world, mut caller, flow, call) = answered();
    let target = address("203.0.113.1:5060");
    let dial = world.ask(flow, call, Verb::Dial(ringing("sip:b@203.0.113.1:5060", 20)));
    world.settle();
    let invite = world.request_at(target, Method::Invite);
    world.say(target, answer(&invite, 180, "b", None));
    world.settle();
    order(&mut world, 1, call, other_flow());
    world.request_at(target, Method::Cancel);
    world.say(target, answer(&invite, 487, "b", None));
    world.settle();
    assert_eq!(world.reply(dial), None, "nobody is there to hear it");
    caller.send(&mut world, "BYE", None);
    world.assert_clean(2);
}

#[test]
fn a_server_that_drains_answers_options_with_503_and_when_to_come_again() {
    let mut world = World::new();
    let mut caller = Caller::new();
    let at = caller.at;
    caller.send(&mut world, "OPTIONS", None);
    world.response_at(at, 200);
    world.input(0, Input::Drain);
    caller.branch += 1;
    caller.send(&mut world, "OPTIONS", None);
    let response = world.response_at(at, 503);
    assert_eq!(response.headers.get("Retry-After"), Some("30"));
}
