//! The door: scanners, strangers, overload.

use super::*;

const SCANNER: &str = "203.0.113.66:5060";

fn request(method: &str, number: &str, call_id: &str, extra: &str) -> String {
    format!(
        "{method} sip:{number}@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP {SCANNER};branch=z9hG4bK{call_id}\r\n\
         Max-Forwards: 70\r\nFrom: <sip:x@y>;tag=1\r\nTo: <sip:{number}@192.0.2.1>\r\nCall-ID: {call_id}\r\n\
         CSeq: 1 {method}\r\nContact: <sip:x@{SCANNER}>\r\n{extra}Content-Length: 0\r\n\r\n"
    )
}

/// How many of such messages, a tenth of a second apart, get a final answer.
fn answers(world: &mut World, count: usize, text: impl Fn(usize) -> String) -> usize {
    let from = address(SCANNER);
    let answered = |(to, message): &(SocketAddr, Message)| match message {
        Message::Response(response) => (*to == from && response.code >= 200).then(|| response.headers.call_id.clone()),
        Message::Request(_) => None,
    };
    let mut seen = std::collections::BTreeSet::new();
    for n in 0..count {
        world.say(from, text(n));
        world.settle();
        seen.extend(world.inbox.iter().filter_map(answered));
        world.inbox.clear();
    }
    seen.len()
}

/// Ten offences bring a ban; in the second that they took, one may have been forgotten.
fn ten(got: usize) -> bool {
    (10..=11).contains(&got)
}

#[test]
fn one_who_tries_numbers_is_banned_after_ten() {
    let mut world = World::new();
    let got = answers(&mut world, 100, |n| request("INVITE", &format!("9{n:03}"), &format!("scan{n}"), ""));
    assert!(ten(got), "{got}");
    assert_eq!(world.node().switch.guarded().bans, 1);
    // Another number would be there, but not for this source.
    assert_eq!(answers(&mut world, 1, |_| request("INVITE", "100", "good", "")), 0);
    assert!(world.node().starts.is_empty());
    world.run(secs(301));
    answers(&mut world, 1, |_| request("INVITE", "100", "later", ""));
    assert_eq!(world.node().starts.len(), 1, "the ban is over");
}

#[test]
fn what_cannot_be_read_is_answered_ten_times() {
    let mut world = World::new();
    let text = |n| request("OPTIONS", "100", &format!("bad{n}"), "").replace("Length: 0", "Length: 5");
    let got = answers(&mut world, 50, text);
    assert!(ten(got), "{got}");
}

#[test]
fn methods_that_are_not_served_and_dialogs_that_are_not_there_are_offences() {
    let mut world = World::new();
    let got = answers(&mut world, 50, |n| request("PUBLISH", "100", &format!("p{n}"), ""));
    assert!(ten(got), "{got}");
    let mut world = World::new();
    let got = answers(&mut world, 100, |n| {
        request("BYE", "100", &format!("b{n}"), "").replace("@192.0.2.1>\r\nCall", "@192.0.2.1>;tag=2\r\nCall")
    });
    // At ten a second some are forgotten meanwhile.
    assert!((50..60).contains(&got), "{got}");
}

#[test]
fn a_scanner_that_names_itself_gets_nothing() {
    let mut world = World::new();
    let text = |n| request("OPTIONS", "100", &format!("s{n}"), "User-Agent: Friendly-Scanner\r\n");
    assert_eq!(answers(&mut world, 5, text), 0);
    // Nor does it with another name.
    assert_eq!(answers(&mut world, 5, |n| request("OPTIONS", "100", &format!("t{n}"), "")), 0);
}

#[test]
fn an_options_storm_gets_no_more_than_the_rate_and_then_nothing() {
    let mut world = World::new();
    let from = address(SCANNER);
    for n in 0..5000 {
        world.say(from, request("OPTIONS", "100", &format!("o{n}"), ""));
        world.run(millis(1));
    }
    let answers = world.inbox.len();
    assert!((200..450).contains(&answers), "{answers}");
    let guarded = world.node().switch.guarded();
    assert!(guarded.bans == 1 && guarded.banned > 3500, "{guarded:?}");
}

#[test]
fn a_ban_does_not_cut_the_call_that_the_source_has() {
    let (mut world, mut caller, ..) = answered();
    for n in 0..20 {
        let scan = request("INVITE", "999", &format!("n{n}"), "").replace(SCANNER, PHONE);
        world.say(caller.at, scan);
        world.settle();
    }
    assert_eq!(world.node().switch.guarded().in_force, 1);
    world.inbox.clear();
    caller.send(&mut world, "BYE", None);
    world.response_at(address(PHONE), 200);
}

#[test]
fn tags_are_matched_strictly_on_both_sides() {
    let (mut world, mut caller, ..) = answered();
    let good = caller.to_tag.clone();
    for (to_tag, from_tag) in [("other", "anna"), ("", "anna"), (good.as_deref().unwrap(), "other")] {
        caller.to_tag = Some(to_tag.to_owned());
        caller.cseq += 1;
        let bye = caller.text("BYE", None, "").replace("tag=anna", &format!("tag={from_tag}"));
        world.say(caller.at, bye);
        world.settle();
        world.response_at(address(PHONE), 481);
    }
    assert_eq!(world.node().switch.counts().calls, 1, "the call goes on");
    caller.to_tag = good;
    caller.send(&mut world, "BYE", None);
    world.response_at(address(PHONE), 200);
}

#[test]
fn an_ack_with_a_strange_from_tag_does_not_confirm_the_call() {
    let mut world = World::new();
    let mut caller = Caller::new();
    caller.invite(&mut world, Some(&sdp()));
    let start = world.node().starts[0].clone();
    let id = world.ask(start.flow, start.call, Verb::Answer);
    world.settle();
    let response = world.response_at(address(PHONE), 200);
    caller.to_tag = response.headers.to.tag().map(str::to_owned);
    caller.branch += 1;
    let ack = caller.text("ACK", None, "").replace("tag=anna", "tag=mallory");
    world.say(caller.at, ack);
    world.settle();
    assert_eq!(world.reply(id), None, "a stranger's ACK is none");
    caller.ack(&mut world, &response, None);
    assert_eq!(world.reply(id), Some(&Reply::Done));
}

#[test]
fn messages_beyond_the_limits_are_refused() {
    let mut world = World::with(|config| config.sip.max_message = 2000);
    let from = address(SCANNER);
    for (extra, code) in [(format!("X-Long: {}\r\n", "x".repeat(2000)), 513), ("X-Many: 1\r\n".repeat(100), 400)] {
        world.say(from, request("OPTIONS", "100", "big", &extra));
        world.settle();
        world.response_at(from, code);
    }
}

/// New requests keep waiting too long.
fn behind(world: &mut World) {
    world.input(0, Input::Waited(millis(101)));
    world.run(millis(500));
    world.input(0, Input::Waited(millis(101)));
}

#[test]
fn a_moment_of_lateness_sheds_nothing() {
    let mut world = World::new();
    for _ in 0..10 {
        world.input(0, Input::Waited(millis(400)));
        world.run(millis(499));
        world.input(0, Input::Waited(millis(0)));
    }
    world.input(0, Input::Waited(secs(3)));
    Caller::new().invite(&mut world, Some(&sdp()));
    assert_eq!(world.node().starts.len(), 1);
    assert_eq!(world.node().switch.guarded().shed, 0);
}

#[test]
fn behind_we_shed_new_calls_and_nothing_else() {
    let (mut world, mut caller, ..) = answered();
    behind(&mut world);
    let mut other = Caller { at: address("198.51.100.8:5070"), call_id: "new@phone".into(), ..Caller::new() };
    other.invite(&mut world, Some(&sdp()));
    let refused = world.response_at(other.at, 503);
    assert_eq!(refused.headers.get("Retry-After"), Some("30"));
    assert_eq!(world.node().starts.len(), 1);
    other.ack(&mut world, &refused, None);
    // A re-INVITE and what follows is a call's in progress.
    caller.send(&mut world, "INVITE", Some(("application/sdp", &sdp())));
    let response = world.response_at(caller.at, 200);
    caller.ack(&mut world, &response, None);
    world.input(0, Input::Waited(millis(100)));
    let mut third = Caller { at: address("198.51.100.9:5070"), call_id: "third@phone".into(), ..Caller::new() };
    third.invite(&mut world, Some(&sdp()));
    assert_eq!(world.node().starts.len(), 2, "no longer behind");
    assert_eq!(world.node().switch.guarded().shed, 1);
    caller.send(&mut world, "BYE", None);
    world.response_at(caller.at, 200);
}

#[test]
fn behind_only_so_many_are_told_so_but_over_a_connection_each_is() {
    let mut world = World::with(|config| config.guard.shed_answers = 10);
    behind(&mut world);
    let hop = |transport| Hop { transport, interface: InterfaceId(0), remote: address(PHONE) };
    let tell = |world: &mut World, transport, n: usize| {
        let text = Caller { call_id: format!("{n}@phone"), ..Caller::new() }.text("INVITE", None, "");
        world.input(0, Input::Datagram { hop: hop(transport), bytes: text.into() });
    };
    (0..5).for_each(|n| tell(&mut world, Transport::Udp, n));
    (5..10).for_each(|n| tell(&mut world, Transport::Tcp, n));
    let guarded = world.node().switch.guarded();
    assert_eq!((guarded.shed, guarded.unanswered), (1 + 5, 4));
    world.run(secs(1));
    world.input(0, Input::Waited(millis(101)));
    tell(&mut world, Transport::Udp, 10);
    assert_eq!(world.node().switch.guarded().shed, 7, "a second later there is room for another");
    assert!(world.node().starts.is_empty());
}

#[test]
fn an_invite_that_is_resent_while_we_are_behind_is_still_the_call_that_it_began() {
    let mut world = World::new();
    let mut caller = Caller::new();
    let invite = caller.text("INVITE", Some(("application/sdp", &sdp())), "");
    world.say(caller.at, invite.clone());
    world.settle();
    behind(&mut world);
    world.inbox.clear();
    world.say(caller.at, invite);
    world.settle();
    assert!(!world.seen().iter().any(|line| line.contains("503")), "{:?}", world.seen());
    assert_eq!(world.node().starts.len(), 1);
}

#[test]
fn an_emergency_call_is_never_shed() {
    let mut world = World::with(|config| {
        config.trunking.outbound.emergency = ["112".to_owned()].into();
        config.routes.push(Route { number: Pattern::parse("112").unwrap(), service: Service::script("help.lua") });
    });
    behind(&mut world);
    let mut caller = Caller::new();
    let text = caller.text("INVITE", Some(("application/sdp", &sdp())), "").replace("sip:100@", "sip:112@");
    world.say(caller.at, text);
    world.settle();
    assert_eq!(world.node().starts.last().map(|start| &*start.script), Some("help.lua"));
    let mut other = Caller { at: address("198.51.100.8:5070"), call_id: "new@phone".into(), ..Caller::new() };
    other.invite(&mut world, Some(&sdp()));
    world.response_at(other.at, 503);
}
