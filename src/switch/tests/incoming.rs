use super::*;

#[test]
fn an_answered_call_runs_its_script_and_ends_with_the_callers_bye() {
    let mut world = World::new();
    let mut caller = Caller::new();
    caller.invite(&mut world, Some(&sdp()));
    world.response_at(caller.at, 100);
    let start = world.node().starts[0].clone();
    assert_eq!(&*start.script, "100.lua");
    assert_eq!(start.vars, [("number".to_owned(), "100".to_owned())]);
    let facts = Facts {
        trunk: None,
        phone: None,
        id: start.facts.id.clone(),
        caller: "anna".into(),
        caller_name: "Anna".into(),
        called: "100".into(),
        sip_call_id: "abc@phone".into(),
        source: PHONE.into(),
        inbound: true,
        headers: vec![("X-Shop".into(), "7".into())],
        stir: None,
        message: None,
    };
    assert_eq!(start.facts, facts);

    let id = world.ask(start.flow, start.call, Verb::Answer);
    world.settle();
    assert_eq!(world.reply(id), None, "the ACK is not in");
    let response = world.response_at(caller.at, 200);
    let body = String::from_utf8_lossy(&response.body).into_owned();
    assert!(body.contains("m=audio 10002 RTP/AVP 0 101"), "{body}");
    caller.ack(&mut world, &response, None);
    assert_eq!(world.reply(id), Some(&Reply::Done));
    assert_eq!(world.commands(), ["Open", "Update"]);

    world.run(secs(5));
    caller.send(&mut world, "BYE", None);
    world.response_at(caller.at, 200);
    assert_eq!(world.node().stops, [start.flow]);
    world.assert_clean(1);
    let record = &world.node().records[0];
    assert_eq!((record.status, record.end_reason), (Status::Completed, EndReason::CallerHangup));
    assert_eq!((record.from.as_str(), record.to.as_str(), record.code), ("anna", "100", Some(200)));
    assert!((5.0..5.2).contains(&record.talk_seconds), "{}", record.talk_seconds);
    assert_eq!(record.start_ms, 1_700_000_001_005);
    assert_eq!(record.no_audio.as_deref(), Some("no packet came; SDP says 198.51.100.7:4000"));
    assert_eq!(record.codec.as_deref(), Some("PCMU"));
}

#[test]
fn a_number_without_a_script_gets_404_and_a_record() {
    let mut world = World::new();
    let mut caller = Caller::new();
    let text = caller.text("INVITE", None, "").replace("INVITE sip:100@", "INVITE sip:7@");
    world.say(caller.at, text);
    world.settle();
    world.response_at(caller.at, 404);
    assert!(world.node().starts.is_empty());
    world.assert_clean(1);
    let record = &world.node().records[0];
    assert_eq!((record.status, record.end_reason), (Status::Failed, EndReason::AgentUnavailable));
    assert_eq!(record.code, Some(404));
}

#[test]
fn the_answer_to_an_unknown_number_is_the_operators_choice() {
    let mut world = World::new();
    let mut config = config(address("192.0.2.1:5060"));
    config.rules.unknown_number = 486;
    world.input(0, Input::Configure(Box::new(config)));
    let mut caller = Caller::new();
    let text = caller.text("INVITE", None, "").replace("INVITE sip:100@", "INVITE sip:7@");
    world.say(caller.at, text);
    world.settle();
    world.response_at(caller.at, 486);
    world.assert_clean(1);
    let record = &world.node().records[0];
    assert_eq!((record.status, record.end_reason), (Status::Failed, EndReason::AgentUnavailable));
    assert_eq!((record.code, record.error.as_deref()), (Some(486), Some("nothing answers this number")));
}

#[test]
fn the_answer_is_resent_until_its_ack_comes() {
    let mut world = World::new();
    let mut caller = Caller::new();
    caller.invite(&mut world, Some(&sdp()));
    let start = world.node().starts[0].clone();
    let id = world.ask(start.flow, start.call, Verb::Answer);
    world.run(secs(4));
    let answers = world.seen().iter().filter(|line| line.ends_with("200 INVITE")).count();
    assert_eq!(answers, 4, "at 0, 0.5, 1.5 and 3.5 s");
    let response = world.response_at(caller.at, 200);
    caller.ack(&mut world, &response, None);
    assert_eq!(world.reply(id), Some(&Reply::Done));
    world.inbox.clear();
    world.run(secs(10));
    assert_eq!(world.seen(), [] as [&str; 0]);
}

#[test]
fn a_call_whose_ack_never_comes_ends_with_bye() {
    let mut world = World::new();
    let mut caller = Caller::new();
    caller.invite(&mut world, Some(&sdp()));
    let start = world.node().starts[0].clone();
    world.ask(start.flow, start.call, Verb::Answer);
    world.run(secs(33));
    let bye = world.request_at(caller.at, Method::Bye);
    assert_eq!(bye.headers.to.tag(), Some("anna"));
    assert_eq!(world.node().stops.len(), 1);
    world.assert_clean(1);
    let record = &world.node().records[0];
    assert_eq!((record.status, record.end_reason), (Status::Failed, EndReason::TelephonyError));
    assert_eq!(record.error.as_deref(), Some("no ACK came"));
}

#[test]
fn an_invite_without_offer_gets_ours_and_answers_in_the_ack() {
    let mut world = World::new();
    let mut caller = Caller::new();
    caller.invite(&mut world, None);
    let start = world.node().starts[0].clone();
    let early = world.ask(start.flow, start.call, Verb::Progress);
    assert!(matches!(world.reply(early), Some(Reply::Failed(Failure::Media(_)))));
    let id = world.ask(start.flow, start.call, Verb::Answer);
    world.settle();
    let response = world.response_at(caller.at, 200);
    assert!(String::from_utf8_lossy(&response.body).contains("RTP/AVP 0 8 101"));
    assert_eq!(world.commands(), ["Open"]);
    caller.ack(&mut world, &response, Some(&sdp()));
    assert_eq!(world.commands(), ["Open", "Update"]);
    assert_eq!(world.reply(id), Some(&Reply::Done));
}

#[test]
fn a_late_offer_that_is_not_answered_ends_the_call() {
    let mut world = World::new();
    let mut caller = Caller::new();
    caller.invite(&mut world, None);
    let start = world.node().starts[0].clone();
    world.ask(start.flow, start.call, Verb::Answer);
    world.settle();
    let response = world.response_at(caller.at, 200);
    caller.ack(&mut world, &response, None);
    world.request_at(caller.at, Method::Bye);
    world.assert_clean(1);
    assert_eq!(world.node().records[0].end_reason, EndReason::TelephonyError);
}

#[test]
fn a_caller_who_gives_up_gets_487_and_the_script_is_stopped() {
    let mut world = World::new();
    let mut caller = Caller::new();
    caller.invite(&mut world, Some(&sdp()));
    let start = world.node().starts[0].clone();
    world.ask(start.flow, start.call, Verb::Ring);
    world.settle();
    world.response_at(caller.at, 180);
    let cancel = caller.text("CANCEL", None, "");
    world.say(caller.at, cancel);
    world.settle();
    world.response_at(caller.at, 487);
    assert_eq!(world.node().stops, [start.flow]);
    world.assert_clean(1);
    let record = &world.node().records[0];
    assert_eq!((record.status, record.end_reason), (Status::Canceled, EndReason::Canceled));
}

#[test]
fn playing_to_an_unanswered_caller_opens_early_media() {
    let mut world = World::new();
    let mut caller = Caller::new();
    caller.invite(&mut world, Some(&sdp()));
    let start = world.node().starts[0].clone();
    let sounds = vec![Sound::Silence(secs(1)), Sound::File("hello.wav".into())];
    let id = world.ask(start.flow, start.call, Verb::Play(Play::new(sounds)));
    world.settle();
    let early = world.response_at(caller.at, 183);
    assert!(!early.body.is_empty());
    assert_eq!(world.commands(), ["Open", "Update", "Play"]);
    assert_eq!(world.reply(id), Some(&Reply::Played { key: None, length: secs(2) }));

    world.ask(start.flow, start.call, Verb::Answer);
    world.settle();
    let answer = world.response_at(caller.at, 200);
    assert_eq!(answer.body, early.body, "the answer to the offer stays the same");
    assert_eq!(answer.headers.to.tag(), early.headers.to.tag());
}

#[test]
fn the_end_of_a_script_ends_its_call_as_the_end_asks_for() {
    for (end, code, status, reason) in [
        (FlowEnd::Finished, 480, Status::NoAnswer, EndReason::NoAnswer),
        (FlowEnd::Error("oops".into()), 500, Status::Failed, EndReason::AgentError),
        (FlowEnd::Limit("instructions"), 500, Status::Failed, EndReason::AgentError),
    ] {
        let mut world = World::new();
        let mut caller = Caller::new();
        caller.invite(&mut world, Some(&sdp()));
        let flow = world.node().starts[0].flow;
        world.end_flow(flow, end);
        world.settle();
        world.response_at(caller.at, code);
        world.assert_clean(1);
        let record = &world.node().records[0];
        assert_eq!((record.status, record.end_reason, record.code), (status, reason, Some(code)));
    }
    let (mut world, caller, flow, _) = answered();
    world.end_flow(flow, FlowEnd::Error("oops".into()));
    world.settle();
    world.request_at(caller.at, Method::Bye);
    world.assert_clean(1);
    let record = &world.node().records[0];
    assert_eq!((record.status, record.end_reason), (Status::Completed, EndReason::AgentError));
    assert_eq!(record.error.as_deref(), Some("oops"));
}

#[test]
fn a_script_refuses_a_call_with_its_own_code_and_words() {
    let mut world = World::new();
    let mut caller = Caller::new();
    caller.invite(&mut world, Some(&sdp()));
    let start = world.node().starts[0].clone();
    let bad = world.ask(start.flow, start.call, Verb::Reject { code: 200, reason: None });
    assert_eq!(world.reply(bad), Some(&Reply::Failed(Failure::WrongState)));
    world.ask(start.flow, start.call, Verb::Reject { code: 486, reason: Some("In a meeting".into()) });
    world.settle();
    assert_eq!(world.response_at(caller.at, 486).reason, "In a meeting");
    world.assert_clean(1);
    assert_eq!(world.node().records[0].status, Status::Busy);
}

#[test]
fn bodies_that_are_no_usable_offer_are_refused_with_a_reason() {
    let video = "v=0\r\no=- 1 1 IN IP4 1.2.3.4\r\ns=-\r\nc=IN IP4 1.2.3.4\r\nt=0 0\r\nm=audio 4000 RTP/AVP 18\r\n";
    for (kind, body, code) in
        [("text/plain", "hello", 415), ("application/sdp", "hello", 400), ("application/sdp", video, 488)]
    {
        let mut world = World::new();
        let mut caller = Caller::new();
        let text = caller.text("INVITE", Some((kind, body)), "");
        world.say(caller.at, text);
        world.settle();
        let response = world.response_at(caller.at, code);
        assert!(response.headers.get("Warning").is_some_and(|w| w.starts_with("399 ")), "{code}");
        world.assert_clean(1);
        assert_eq!(world.node().records[0].code, Some(code));
    }
}

#[test]
fn a_full_or_draining_switch_sends_callers_away_for_a_while() {
    let mut world = World::with(|config| config.limits.calls = 1);
    let mut first = Caller::new();
    first.invite(&mut world, Some(&sdp()));
    let mut second = Caller { call_id: "other".into(), ..Caller::new() };
    second.invite(&mut world, Some(&sdp()));
    assert_eq!(world.response_at(second.at, 503).headers.get("Retry-After"), Some("30"));

    world.input(0, Input::Drain);
    assert_eq!(world.node().console, []);
    let flow = world.node().starts[0].flow;
    world.end_flow(flow, FlowEnd::Finished);
    assert_eq!(world.node().console, [ConsoleReply::Drained]);
    let mut third = Caller { call_id: "third".into(), ..Caller::new() };
    third.invite(&mut world, Some(&sdp()));
    world.response_at(third.at, 503);
    let mut options = Caller { call_id: "options".into(), ..Caller::new() };
    options.send(&mut world, "OPTIONS", None);
    world.response_at(options.at, 503);
    world.assert_clean(1);
}

#[test]
fn a_call_that_nobody_answers_gets_480_in_the_end() {
    let mut world = World::new();
    let mut caller = Caller::new();
    caller.invite(&mut world, Some(&sdp()));
    world.run(secs(179));
    assert!(!world.seen().iter().any(|line| line.contains("480")));
    world.run(secs(2));
    world.response_at(caller.at, 480);
    assert_eq!(world.node().stops.len(), 1);
    world.assert_clean(1);
    assert_eq!(world.node().records[0].status, Status::NoAnswer);
}

#[test]
fn requests_outside_dialogs_are_answered_by_what_they_are() {
    for (method, code) in
        [("OPTIONS", 200), ("REGISTER", 405), ("SUBSCRIBE", 405), ("MESSAGE", 404), ("BYE", 481), ("INFO", 481)]
    {
        let mut world = World::new();
        let mut caller = Caller::new();
        caller.send(&mut world, method, None);
        let response = world.response_at(caller.at, code);
        assert_eq!(response.headers.get("Allow").is_some(), [200, 405].contains(&code), "{method}");
    }
}

#[test]
fn a_script_may_note_variables_until_its_end() {
    let mut world = World::new();
    world.automatic = false;
    let mut caller = Caller::new();
    caller.invite(&mut world, Some(&sdp()));
    let start = world.node().starts[0].clone();
    let set = |name: &str, value: &str| Verb::SetVar { name: name.into(), value: Some(value.into()) };
    world.ask(start.flow, start.call, set("a", "1"));
    let cancel = caller.text("CANCEL", None, "");
    world.say(caller.at, cancel);
    world.settle();
    let late = world.ask(start.flow, start.call, set("b", "2"));
    assert_eq!(world.reply(late), Some(&Reply::Done));
    let play = world.ask(start.flow, start.call, Verb::Ring);
    assert_eq!(world.reply(play), Some(&Reply::Failed(Failure::HungUp)));
    assert!(world.node().records.is_empty(), "on_hangup still runs");
    world.end_flow(start.flow, FlowEnd::Stopped);
    world.assert_clean(1);
    let vars: Vec<_> = world.node().records[0].vars.clone().into_iter().collect();
    assert_eq!(vars, [("a".to_owned(), "1".to_owned()), ("b".to_owned(), "2".to_owned())]);
}

#[test]
fn nobody_commands_the_call_of_another() {
    let (mut world, _, _, call) = answered();
    let stranger = world.ask(FlowId(999), call, Verb::Hangup);
    assert_eq!(world.reply(stranger), Some(&Reply::Failed(Failure::NoSuchCall)));
}

#[test]
fn a_port_that_cannot_be_had_is_told_and_the_call_goes_on() {
    let mut world = World::new();
    world.automatic = false;
    let mut caller = Caller::new();
    caller.invite(&mut world, Some(&sdp()));
    let start = world.node().starts[0].clone();
    let id = world.ask(start.flow, start.call, Verb::Answer);
    let (port, _) = world.node().opened[0];
    world.input(0, Input::PortOpened { port, result: Err("no ports left".into()) });
    assert_eq!(world.reply(id), Some(&Reply::Failed(Failure::Media("no ports left".into()))));
    world.ask(start.flow, start.call, Verb::Reject { code: 503, reason: None });
    world.settle();
    world.response_at(caller.at, 503);
    world.end_flow(start.flow, FlowEnd::Stopped);
    world.assert_clean(1);
}

#[test]
fn a_port_that_opens_after_the_end_of_its_call_is_closed_again() {
    let mut world = World::new();
    world.automatic = false;
    let mut caller = Caller::new();
    caller.invite(&mut world, Some(&sdp()));
    let start = world.node().starts[0].clone();
    world.ask(start.flow, start.call, Verb::Answer);
    let cancel = caller.text("CANCEL", None, "");
    world.say(caller.at, cancel);
    world.settle();
    world.end_flow(start.flow, FlowEnd::Stopped);
    assert!(world.node().records.is_empty());
    let (port, worker) = world.node().opened[0];
    world.input(0, Input::PortOpened { port, result: Ok(address("192.0.2.1:20000")) });
    assert_eq!(world.commands(), ["Open", "Close"]);
    world.input(0, Input::Media { worker, event: media::Event::Closed { port, quality: Quality::default() } });
    world.assert_clean(1);
}

#[test]
fn every_message_of_a_call_is_traced_with_the_call() {
    let (mut world, mut caller, _, call) = answered_in(World::with(|config| config.trace = true));
    caller.send(&mut world, "BYE", None);
    let lines: Vec<String> = world
        .node()
        .traces
        .iter()
        .filter_map(|trace| {
            assert_eq!(trace.call, call);
            match &trace.what {
                TraceEvent::Message { sent, first_line, .. } => {
                    Some(format!("{} {}", if *sent { ">" } else { "<" }, first_line.split(" sip:").next().unwrap()))
                }
                TraceEvent::Sdp(_) | TraceEvent::Media(_) | TraceEvent::Call(_) => None,
            }
        })
        .collect();
    let want = ["< INVITE", "> SIP/2.0 100 Trying", "> SIP/2.0 200 OK", "< ACK", "< BYE", "> SIP/2.0 200 OK"];
    assert_eq!(lines, want);
}
