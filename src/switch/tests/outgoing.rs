use super::*;

const CALLEE: &str = "203.0.113.9:5060";

fn originate(world: &mut World, target: &str) -> RequestId {
    let request = RequestId(77);
    let wish = Originate {
        request,
        target: target.into(),
        from: "+4930123".into(),
        script: Some(Arc::from("out.lua")),
        vars: vec![],
        headers: vec![("X-Order".into(), "9".into())],
        timeout: secs(20),
    };
    world.input(0, Input::Originate(wish));
    world.settle();
    request
}

fn invited(world: &mut World) -> SipRequest {
    let invite = world.request_at(address(CALLEE), Method::Invite);
    world.say(address(CALLEE), answer(&invite, 180, "bob", None));
    invite
}

#[test]
fn an_ordered_call_runs_its_script_when_it_is_answered() {
    let mut world = World::new();
    let request = originate(&mut world, "sip:bob@203.0.113.9");
    let invite = invited(&mut world);
    assert_eq!(invite.headers.from.uri.to_string(), "sip:+4930123@192.0.2.1");
    assert_eq!(invite.headers.get("X-Order"), Some("9"));
    assert!(String::from_utf8_lossy(&invite.body).contains("RTP/AVP 0 8 101"));
    world.say(address(CALLEE), answer(&invite, 200, "bob", Some(&sdp())));
    world.settle();
    world.request_at(address(CALLEE), Method::Ack);
    let start = world.node().starts[0].clone();
    assert!(!start.facts.inbound);
    assert_eq!((start.facts.caller.as_str(), start.facts.called.as_str()), ("+4930123", "bob"));
    let call = start.call;
    let name = "1700000000000-1".to_owned();
    assert_eq!(
        world.node().console,
        [ConsoleReply::Calling { request, call, name }, ConsoleReply::Answered { request, call }]
    );
    let play = world.ask(start.flow, call, Verb::Play(Play::new(vec![Sound::Silence(secs(1))])));
    assert_eq!(world.reply(play), Some(&Reply::Played { key: None, length: secs(1) }));
    world.end_flow(start.flow, FlowEnd::Finished);
    world.settle();
    let bye = world.request_at(address(CALLEE), Method::Bye);
    assert_eq!(bye.uri.to_string(), "sip:bob@203.0.113.9:5060");
    world.say(address(CALLEE), answer(&bye, 200, "bob", None));
    world.assert_clean(1);
    assert_eq!(world.node().console.last(), Some(&ConsoleReply::Ended { request, call }));
    assert_eq!(world.node().records[0].direction, Direction::Outbound);
}

#[test]
fn what_the_callee_says_becomes_the_status_and_the_failure() {
    for (rings, code, status, failure) in [
        (true, 486, Status::Busy, Failure::Busy),
        (true, 600, Status::Busy, Failure::Busy),
        (true, 480, Status::NoAnswer, Failure::NoAnswer),
        (false, 480, Status::Failed, Failure::Unreachable),
        (false, 404, Status::Failed, Failure::Unreachable),
        (true, 603, Status::Failed, Failure::Refused(603)),
        (false, 403, Status::Failed, Failure::Refused(403)),
    ] {
        let mut world = World::new();
        let request = originate(&mut world, "sip:bob@203.0.113.9");
        let invite = world.request_at(address(CALLEE), Method::Invite);
        if rings {
            world.say(address(CALLEE), answer(&invite, 180, "bob", None));
        }
        world.say(address(CALLEE), answer(&invite, code, "bob", None));
        world.settle();
        world.request_at(address(CALLEE), Method::Ack);
        let told = ConsoleReply::Failed { request, failure, code: Some(code) };
        assert_eq!(world.node().console.last(), Some(&told));
        world.assert_clean(1);
        assert_eq!((world.node().records[0].status, world.node().records[0].code), (status, Some(code)));
    }
}

#[test]
fn ringing_ends_with_cancel_and_no_answer() {
    let mut world = World::new();
    originate(&mut world, "sip:bob@203.0.113.9");
    let invite = invited(&mut world);
    world.run(secs(21));
    let cancel = world.request_at(address(CALLEE), Method::Cancel);
    world.say(address(CALLEE), answer(&cancel, 200, "bob", None));
    world.say(address(CALLEE), answer(&invite, 487, "bob", None));
    world.settle();
    world.request_at(address(CALLEE), Method::Ack);
    world.assert_clean(1);
    let record = &world.node().records[0];
    assert_eq!((record.status, record.end_reason), (Status::NoAnswer, EndReason::NoAnswer));
}

#[test]
fn an_answer_that_crosses_the_cancel_gets_ack_and_bye() {
    let mut world = World::new();
    originate(&mut world, "sip:bob@203.0.113.9");
    let invite = invited(&mut world);
    world.run(secs(21));
    world.request_at(address(CALLEE), Method::Cancel);
    world.say(address(CALLEE), answer(&invite, 200, "bob", Some(&sdp())));
    world.settle();
    world.request_at(address(CALLEE), Method::Ack);
    world.request_at(address(CALLEE), Method::Bye);
    assert!(world.node().starts.is_empty());
    world.assert_clean(1);
    assert_eq!(world.node().records[0].status, Status::NoAnswer);
}

#[test]
fn a_cancelled_callee_who_never_says_a_word_is_forgotten() {
    let mut world = World::new();
    originate(&mut world, "sip:bob@203.0.113.9");
    let invite = invited(&mut world);
    world.run(secs(60));
    assert_eq!(world.node().switch.counts(), Counts::default());
    world.inbox.clear();
    world.say(address(CALLEE), answer(&invite, 200, "bob", Some(&sdp())));
    world.assert_clean(1);
}

#[test]
fn two_forks_that_answer_end_as_one_call_and_one_goodbye() {
    let mut world = World::new();
    originate(&mut world, "sip:bob@203.0.113.9");
    let invite = invited(&mut world);
    world.say(address(CALLEE), answer(&invite, 200, "bob", Some(&sdp())));
    world.say(address(CALLEE), answer(&invite, 200, "desk", Some(&sdp_at("203.0.113.9", 6000))));
    world.settle();
    for _ in 0..2 {
        world.request_at(address(CALLEE), Method::Ack);
    }
    let bye = world.request_at(address(CALLEE), Method::Bye);
    assert_eq!(bye.headers.to.tag(), Some("desk"));
    world.inbox.clear();
    world.say(address(CALLEE), answer(&invite, 200, "desk", Some(&sdp())));
    world.say(address(CALLEE), answer(&invite, 200, "bob", Some(&sdp())));
    world.settle();
    assert_eq!(
        world.seen(),
        [format!("{CALLEE} ACK"), format!("{CALLEE} ACK")],
        "resent answers are acknowledged again"
    );

    let flow = world.node().starts[0].flow;
    world.end_flow(flow, FlowEnd::Finished);
    world.settle();
    assert_eq!(world.node().switch.counts(), Counts { forks: 1, ..Counts::default() });
    world.inbox.clear();
    world.say(address(CALLEE), answer(&invite, 200, "late", Some(&sdp())));
    world.settle();
    world.request_at(address(CALLEE), Method::Ack);
    world.request_at(address(CALLEE), Method::Bye);
    world.assert_clean(1);
}

#[test]
fn redirections_are_followed_up_to_a_limit() {
    let mut world = World::with(|config| config.limits.redirects = 2);
    originate(&mut world, "sip:bob@203.0.113.9");
    for turn in 0..3 {
        let invite = world.request_at(address(CALLEE), Method::Invite);
        assert_eq!(invite.headers.cseq.number, turn + 1);
        let mut response = invite.response(302, None);
        response.headers.to.set_tag("bob");
        response.headers.set("Contact", format!("<sip:turn{turn}@203.0.113.9>"));
        world.say(address(CALLEE), response.to_bytes());
        world.settle();
    }
    world.request_at(address(CALLEE), Method::Ack);
    assert!(matches!(world.node().console.last(), Some(ConsoleReply::Failed { code: Some(302), .. })));
    world.assert_clean(1);
}

#[test]
fn a_name_is_looked_up_and_its_addresses_are_tried_in_turn() {
    let mut world = World::new();
    originate(&mut world, "sip:bob@pbx.example");
    let (query, host) = world.node().queries[0].clone();
    assert_eq!(host, "pbx.example");
    let places = ["[2001:db8::1]:5060", "203.0.113.8:5060", CALLEE].map(udp).to_vec();
    world.input(0, Input::Resolved { query, result: Ok(places) });
    world.settle();
    let first = world.request_at(address("203.0.113.8:5060"), Method::Invite);
    let hop = Hop { transport: Transport::Udp, interface: InterfaceId(0), remote: address("203.0.113.8:5060") };
    world.input(0, Input::TransportFailed { hop });
    world.settle();
    let second = world.request_at(address(CALLEE), Method::Invite);
    assert_eq!(first.headers.call_id, second.headers.call_id);
    world.say(address(CALLEE), answer(&second, 486, "bob", None));
    world.assert_clean(1);
}

#[test]
fn targets_that_lead_nowhere_fail_at_once() {
    for target in [
        "tel:+4930",
        "sip:bob@203.0.113.9;transport=sctp",
        "sip:bob@203.0.113.9;transport=ws",
        "nonsense",
        "sip:[2001:db8::1]",
    ] {
        let mut world = World::new();
        originate(&mut world, target);
        assert!(matches!(world.node().console.last(), Some(ConsoleReply::Failed { .. })), "{target}");
        assert_eq!(world.node().switch.counts(), Counts::default());
    }
    let mut world = World::new();
    originate(&mut world, "sip:bob@nowhere.example");
    let query = world.node().queries[0].0;
    world.input(0, Input::Resolved { query, result: Err("no such name".into()) });
    world.assert_clean(1);
    assert_eq!(world.node().records[0].error.as_deref(), Some("no such name"));
}

#[test]
fn an_answer_whose_media_will_not_do_ends_the_call() {
    for body in [None, Some("v=0\r\no=- 1 1 IN IP4 1.2.3.4\r\ns=-\r\nt=0 0\r\n")] {
        let mut world = World::new();
        originate(&mut world, "sip:bob@203.0.113.9");
        let invite = invited(&mut world);
        world.say(address(CALLEE), answer(&invite, 200, "bob", body));
        world.settle();
        world.request_at(address(CALLEE), Method::Ack);
        world.request_at(address(CALLEE), Method::Bye);
        world.assert_clean(1);
        assert_eq!(world.node().records[0].end_reason, EndReason::TelephonyError);
    }
}

#[test]
fn two_switches_call_each_other_and_either_hangs_up() {
    for other_hangs_up in [false, true] {
        let mut world = World::new();
        let other = world.add(config(address(CALLEE)));
        originate(&mut world, "sip:100@203.0.113.9");
        let start = world.nodes[other].starts[0].clone();
        let verb = Verb::Answer;
        world.input(
            other,
            Input::Request(Request { origin: Origin::Flow(start.flow), id: RequestId(1), call: start.call, verb }),
        );
        world.settle();
        assert_eq!(world.nodes[other].replies, [(RequestId(1), Reply::Done)]);
        let ours = world.node().starts[0].flow;
        let (node, flow) = if other_hangs_up { (other, start.flow) } else { (0, ours) };
        world.input(node, Input::FlowEnded { flow, end: FlowEnd::Finished, ran: Box::default() });
        world.settle();
        assert_eq!(world.nodes[1 - node].stops.len(), 1);
        world.assert_clean(1);
        assert_eq!(world.nodes[other].records.len(), 1);
    }
}

#[test]
fn a_switch_may_call_itself() {
    let mut world = World::with(|config| config.trace = true);
    originate(&mut world, "sip:100@192.0.2.1");
    let incoming = world.node().starts[0].clone();
    let id = world.ask(incoming.flow, incoming.call, Verb::Answer);
    world.settle();
    assert_eq!(world.reply(id), Some(&Reply::Done));
    let outgoing = world.node().starts[1].clone();
    let count = |call: CallId, sent: bool| {
        let of = |trace: &&Trace| matches!(&trace.what, TraceEvent::Message { sent: s, .. } if trace.call == call && *s == sent);
        world.node().traces.iter().filter(of).count()
    };
    assert_eq!((count(outgoing.call, true), count(outgoing.call, false)), (2, 2), "INVITE, ACK; 100, 200");
    assert_eq!((count(incoming.call, true), count(incoming.call, false)), (2, 2));
    world.end_flow(outgoing.flow, FlowEnd::Finished);
    world.assert_clean(2);
}

#[test]
fn headers_of_the_stack_cannot_be_added() {
    for name in ["Via", "contact", "Call-ID", "v", "Content-Length", "Bad Name", "Route"] {
        let mut world = World::new();
        let headers = vec![(name.to_owned(), "x".to_owned())];
        let wish = Originate {
            request: RequestId(1),
            target: "sip:bob@203.0.113.9".into(),
            from: "1".into(),
            script: None,
            vars: vec![],
            headers,
            timeout: secs(20),
        };
        world.input(0, Input::Originate(wish));
        assert!(matches!(world.node().console.last(), Some(ConsoleReply::Failed { .. })), "{name}");
    }
    assert!(!target::may_add(&[("X-A".into(), "1\r\nVia: evil".into())]));
    assert!(target::may_add(&[("X-A".into(), "1".into()), ("Subject".into(), "hello".into())]));
}

#[test]
fn the_trace_of_a_cancelled_call_ends_with_the_487_and_its_ack() {
    let mut world = World::with(|config| config.trace = true);
    originate(&mut world, "sip:bob@203.0.113.9");
    let invite = invited(&mut world);
    world.input(0, Input::HangUpAll);
    world.settle();
    let cancel = world.request_at(address(CALLEE), Method::Cancel);
    world.say(address(CALLEE), answer(&cancel, 200, "bob", None));
    world.say(address(CALLEE), answer(&invite, 487, "bob", None));
    world.settle();
    let messages = world.node().traces.iter().filter_map(|trace| match &trace.what {
        TraceEvent::Message { first_line, .. } => first_line.split(" sip:").next(),
        TraceEvent::Sdp(_) | TraceEvent::Media(_) | TraceEvent::Call(_) => None,
    });
    let lines: Vec<&str> = messages.collect();
    assert_eq!(lines[2..], ["CANCEL", "SIP/2.0 200 OK", "SIP/2.0 487 Request Terminated", "ACK"], "{lines:?}");
}
