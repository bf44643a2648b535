//! Hold and resume by a script and by a party, and re-INVITEs that cross.

use super::*;
use crate::codec::Rate;
use crate::media::Stream;

const B: &str = "203.0.113.1:5060";

fn agreements(world: &World) -> Vec<Stream> {
    let updates = world.node().commands.iter().filter_map(|(_, command)| match command {
        Command::Update { stream, .. } => Some((**stream).clone()),
        _ => None,
    });
    updates.collect()
}

fn last(world: &World) -> Stream {
    agreements(world).pop().expect("something is agreed")
}

/// The peer's answer to our re-INVITE, with a description of its own.
fn agree(world: &mut World, at: SocketAddr, request: &SipRequest, direction: &str) {
    let mut response = request.response(200, None);
    response.headers.set("Contact", format!("<sip:x@{at}>"));
    response.headers.set("Content-Type", "application/sdp");
    response.body = format!("{}a={direction}\r\n", sdp()).into();
    world.say(at, response.to_bytes());
    world.settle();
}

fn refuse(world: &mut World, at: SocketAddr, request: &SipRequest, code: u16) {
    world.say(at, request.response(code, None).to_bytes());
    world.settle();
}

/// Let time pass until the next INVITE is here.
fn wait_for_invite(world: &mut World, most_ms: u64) {
    world.inbox.clear();
    for _ in 0..most_ms / 10 {
        world.run(millis(10));
        if world.seen().iter().any(|seen| seen.ends_with("INVITE")) {
            return;
        }
    }
}

fn body(request: &SipRequest) -> String {
    String::from_utf8_lossy(&request.body).into_owned()
}

/// A caller and a phone that it dialled, both talking: world, caller, flow, both calls, and the phone's INVITE.
pub(super) fn bridged_in(world: World) -> (World, Caller, FlowId, CallId, CallId, SipRequest) {
    let (mut world, caller, flow, call) = answered_in(world);
    let dial = ringing(&format!("sip:b@{B}"), 20);
    let id = world.ask(flow, call, Verb::Dial(dial));
    world.settle();
    let invite = world.request_at(address(B), Method::Invite);
    world.say(address(B), answer(&invite, 200, "b", Some(&sdp_at("203.0.113.1", 4100))));
    world.settle();
    let Some(Reply::Dialed { call: peer, .. }) = world.reply(id) else { panic!("no answer: {:?}", world.reply(id)) };
    let peer = *peer;
    world.inbox.clear();
    world.nodes[0].commands.clear();
    (world, caller, flow, call, peer, invite)
}

pub(super) fn bridged() -> (World, Caller, FlowId, CallId, CallId, SipRequest) {
    bridged_in(World::new())
}

#[test]
fn a_held_party_hears_music_till_it_is_resumed() {
    let (mut world, mut caller, flow, call) = answered();
    world.nodes[0].plays_end = false;
    let hold = world.ask(flow, call, Verb::Hold { music: Some(Sound::File("wait.wav".into())) });
    world.settle();
    let at = caller.at;
    let invite = world.request_at(at, Method::Invite);
    assert!(body(&invite).contains("a=sendonly"), "{}", body(&invite));
    assert_eq!(world.reply(hold), None, "the party has not agreed yet");
    agree(&mut world, at, &invite, "recvonly");
    world.request_at(at, Method::Ack);
    assert_eq!(world.reply(hold), Some(&Reply::Done));
    assert!((last(&world).sending, last(&world).receiving) == (true, false));
    assert_eq!(world.node().loads.last().map(|(_, sound)| sound.clone()), Some(Sound::File("wait.wav".into())));
    assert_eq!(world.commands().last(), Some(&"Play"));

    let resume = world.ask(flow, call, Verb::Resume);
    world.settle();
    assert_eq!(world.commands().last(), Some(&"Stop"));
    let invite = world.request_at(at, Method::Invite);
    assert!(body(&invite).contains("a=sendrecv"), "{}", body(&invite));
    agree(&mut world, at, &invite, "sendrecv");
    assert_eq!(world.reply(resume), Some(&Reply::Done));
    assert!(last(&world).sending && last(&world).receiving);
    caller.cseq += 1;
    caller.send(&mut world, "BYE", None);
    world.assert_clean(1);
}

#[test]
fn music_that_ends_begins_anew_and_music_that_is_missing_becomes_a_beep() {
    let (mut world, caller, flow, call) = answered();
    world.nodes[0].plays_end = false;
    world.automatic = false;
    world.ask(flow, call, Verb::Hold { music: Some(Sound::File("wait.wav".into())) });
    world.settle();
    let at = caller.at;
    let invite = world.request_at(at, Method::Invite);
    agree(&mut world, at, &invite, "recvonly");
    let load = world.node().loads.last().unwrap().0;
    let pcm = Pcm { rate: Rate::Narrow, samples: vec![0; 80].into(), looped: false };
    world.input(0, Input::Loaded { load, result: Ok(Arc::new(pcm)) });
    let played = |world: &World| world.commands().iter().filter(|name| **name == "Play").count();
    assert_eq!(played(&world), 1);
    let (port, worker) = world.node().opened[0];
    let play = world.node().commands.iter().rev().find_map(|(_, c)| match c {
        Command::Play { play, .. } => Some(*play),
        _ => None,
    });
    let event = media::Event::PlayDone { port, play: play.unwrap(), samples: 80, finished: true };
    world.input(0, Input::Media { worker, event });
    let load = world.node().loads.last().unwrap().0;
    world.input(0, Input::Loaded { load, result: Err(NoSound::new(SoundFault::Missing, "gone")) });
    assert_eq!(played(&world), 2, "the beep needs no loading");
    assert_eq!(world.node().loads.len(), 2);
}

#[test]
fn crossing_reinvites_are_repeated_after_the_time_that_the_role_demands() {
    for rounds in [1, 3] {
        let (mut world, caller, flow, call) = answered();
        let hold = world.ask(flow, call, Verb::Hold { music: None });
        world.settle();
        for _ in 0..rounds {
            let at = caller.at;
            let invite = world.request_at(at, Method::Invite);
            refuse(&mut world, at, &invite, 491);
            world.request_at(at, Method::Ack);
            // The caller owns the Call-ID, so we wait for 2 s at the most.
            wait_for_invite(&mut world, 2000);
        }
        let invite = world.request_at(caller.at, Method::Invite);
        agree(&mut world, caller.at, &invite, "recvonly");
        assert_eq!(world.reply(hold), Some(&Reply::Done));
    }
}

#[test]
fn a_leg_that_we_called_is_asked_again_after_two_seconds_at_least() {
    let (mut world, _, flow, _, peer, _) = bridged();
    let hold = world.ask(flow, peer, Verb::Hold { music: None });
    world.settle();
    let at = address(B);
    let invite = world.request_at(at, Method::Invite);
    refuse(&mut world, at, &invite, 491);
    world.run(millis(1900));
    assert!(!world.seen().iter().any(|seen| seen.contains("INVITE") && seen.starts_with(B)), "{:?}", world.seen());
    world.run(millis(2200));
    let again = world.request_at(at, Method::Invite);
    assert_eq!(again.headers.cseq.number, invite.headers.cseq.number + 1);
    agree(&mut world, at, &again, "recvonly");
    assert_eq!(world.reply(hold), Some(&Reply::Done));
}

#[test]
fn a_peer_that_always_answers_491_is_given_up_and_the_session_stays() {
    let (mut world, caller, flow, call) = answered();
    let hold = world.ask(flow, call, Verb::Hold { music: None });
    world.settle();
    for _ in 0..6 {
        let invite = world.request_at(caller.at, Method::Invite);
        refuse(&mut world, caller.at, &invite, 491);
        wait_for_invite(&mut world, 2000);
    }
    assert_eq!(world.reply(hold), Some(&Reply::Failed(Failure::Refused(491))));
    assert_eq!(world.node().switch.counts().calls, 1);
    let resume = world.ask(flow, call, Verb::Resume);
    assert_eq!(world.reply(resume), Some(&Reply::Done), "nobody is on hold");
}

#[test]
fn a_reinvite_of_the_peers_meets_ours_with_491_and_ours_waits_for_its_ack() {
    let (mut world, mut caller, flow, call) = answered();
    world.ask(flow, call, Verb::Hold { music: None });
    world.settle();
    let ours = world.request_at(caller.at, Method::Invite);
    caller.send(&mut world, "INVITE", Some(("application/sdp", &sdp())));
    world.response_at(caller.at, 491);
    agree(&mut world, caller.at, &ours, "recvonly");
    // Now theirs is first: ours waits until it is acknowledged.
    caller.cseq += 1;
    caller.send(&mut world, "INVITE", Some(("application/sdp", &sdp())));
    let response = world.response_at(caller.at, 200);
    assert!(String::from_utf8_lossy(&response.body).contains("a=sendonly"), "the hold stands");
    world.inbox.clear();
    let resume = world.ask(flow, call, Verb::Resume);
    world.settle();
    assert_eq!(world.seen(), Vec::<String>::new());
    caller.ack(&mut world, &response, None);
    let ours = world.request_at(caller.at, Method::Invite);
    agree(&mut world, caller.at, &ours, "sendrecv");
    assert_eq!(world.reply(resume), Some(&Reply::Done));
}

#[test]
fn a_refused_hold_leaves_the_session_as_it_was() {
    let (mut world, caller, flow, call) = answered();
    let before = last(&world);
    let hold = world.ask(flow, call, Verb::Hold { music: None });
    world.settle();
    let invite = world.request_at(caller.at, Method::Invite);
    refuse(&mut world, caller.at, &invite, 488);
    assert_eq!(world.reply(hold), Some(&Reply::Failed(Failure::Refused(488))));
    assert_eq!(last(&world), before);
    assert!(!world.commands().contains(&"Play"));
}

#[test]
fn a_peer_that_knows_no_such_call_or_never_answers_ends_it() {
    for code in [Some(481), Some(408), None] {
        let (mut world, caller, flow, call) = answered();
        world.ask(flow, call, Verb::Hold { music: None });
        world.settle();
        let invite = world.request_at(caller.at, Method::Invite);
        match code {
            Some(code) => refuse(&mut world, caller.at, &invite, code),
            None => world.run(secs(40)),
        }
        world.request_at(caller.at, Method::Bye);
        world.assert_clean(1);
        assert_eq!(world.node().records[0].end_reason, EndReason::TelephonyError);
    }
}

#[test]
fn a_2xx_that_comes_again_or_after_our_bye_is_acknowledged() {
    let (mut world, caller, flow, call) = answered();
    world.ask(flow, call, Verb::Hold { music: None });
    world.settle();
    let invite = world.request_at(caller.at, Method::Invite);
    for _ in 0..2 {
        agree(&mut world, caller.at, &invite, "recvonly");
        world.request_at(caller.at, Method::Ack);
    }
    world.ask(flow, call, Verb::Resume);
    world.settle();
    let invite = world.request_at(caller.at, Method::Invite);
    world.end_flow(flow, FlowEnd::Finished);
    world.settle();
    let bye = world.request_at(caller.at, Method::Bye);
    agree(&mut world, caller.at, &invite, "sendrecv");
    world.request_at(caller.at, Method::Ack);
    world.say(caller.at, answer(&bye, 200, "x", None));
    world.assert_clean(1);
}

#[test]
fn what_a_script_asks_of_a_call_that_ends_is_answered() {
    let (mut world, _, flow, _, peer, invite) = bridged();
    let hold = world.ask(flow, peer, Verb::Hold { music: None });
    world.settle();
    let mut dialog = sip::Dialog::uas(&invite, hop_of(B), "b").unwrap();
    let bye = dialog.request(Method::Bye, &"<sip:b@203.0.113.1>".parse().unwrap());
    let mut bye = bye;
    bye.headers.via.push("SIP/2.0/UDP 203.0.113.1:5060;branch=z9hG4bKbye".parse().unwrap());
    world.say(address(B), bye.to_bytes());
    world.settle();
    assert_eq!(world.reply(hold), Some(&Reply::Failed(Failure::HungUp)));
}

fn hop_of(at: &str) -> Hop {
    Hop { transport: Transport::Udp, interface: InterfaceId(0), remote: address(at) }
}

#[test]
fn one_party_of_a_bridge_holds_and_the_other_hears_music() {
    let (mut world, mut caller, ..) = bridged();
    world.nodes[0].plays_end = false;
    let phone = world.node().opened[1].0;
    let body = format!("{}a=sendonly\r\n", sdp());
    caller.send(&mut world, "INVITE", Some(("application/sdp", &body)));
    let response = world.response_at(caller.at, 200);
    caller.ack(&mut world, &response, None);
    let plays = world.node().commands.iter().filter(|(_, c)| matches!(c, Command::Play { port, .. } if *port == phone));
    assert_eq!(plays.count(), 1);
    assert!(!world.seen().iter().any(|seen| seen.starts_with(B)), "the other one is told nothing: {:?}", world.seen());
    caller.cseq += 1;
    caller.send(&mut world, "INVITE", Some(("application/sdp", &sdp())));
    let response = world.response_at(caller.at, 200);
    caller.ack(&mut world, &response, None);
    assert_eq!(world.commands().last(), Some(&"Stop"));
}

#[test]
fn a_hold_is_relayed_to_the_other_party_where_that_is_the_rule() {
    let world = World::with(|config| config.rules.hold = HoldRule::Relay);
    let (mut world, mut caller, ..) = bridged_in(world);
    for (theirs, ours, back) in [("sendonly", "a=sendonly", "recvonly"), ("sendrecv", "a=sendrecv", "sendrecv")] {
        caller.cseq += 1;
        caller.send(&mut world, "INVITE", Some(("application/sdp", &format!("{}a={theirs}\r\n", sdp()))));
        let response = world.response_at(caller.at, 200);
        caller.ack(&mut world, &response, None);
        let invite = world.request_at(address(B), Method::Invite);
        assert!(body(&invite).contains(ours), "{}", body(&invite));
        agree(&mut world, address(B), &invite, back);
        world.request_at(address(B), Method::Ack);
    }
}

#[test]
fn hold_is_for_answered_calls() {
    let mut world = World::new();
    let mut caller = Caller::new();
    caller.invite(&mut world, Some(&sdp()));
    let start = world.node().starts[0].clone();
    for verb in [Verb::Hold { music: None }, Verb::Resume] {
        let id = world.ask(start.flow, start.call, verb);
        assert_eq!(world.reply(id), Some(&Reply::Failed(Failure::WrongState)));
    }
}
