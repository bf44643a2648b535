//! Overload and draining: new calls are told when to come again, calls in progress stay as they are.

use super::{phone::Hand, *};

fn busy(limit: usize) -> World {
    let mut world = World::new(Weather::CALM, 5);
    let mut server = config(SERVER, &[("100", "main.lua")]);
    server.limits.calls = limit;
    world.tap();
    world.add(SERVER, server, &[("main.lua", "call:answer() call:play('long.wav')")]);
    world.host(SERVER).prompts.insert("long.wav".into(), hum(600.0, 160_000));
    for last in 2..=6 {
        add_phone(&mut world, other(last), "", "call:record{file = 'heard.wav'} call:sleep(60)");
    }
    world
}

fn refusal(world: &mut World, ip: IpAddr) -> String {
    let text = |trace: &crate::switch::Trace| match &trace.what {
        TraceEvent::Message { sent: false, text, first_line, .. } if first_line.contains(" 503 ") => Some(text.clone()),
        TraceEvent::Message { .. } | TraceEvent::Sdp(_) | TraceEvent::Media(_) | TraceEvent::Call(_) => None,
    };
    world.host(ip).traces.iter().find_map(text).expect("a 503")
}

#[test]
fn calls_over_the_limit_get_503_and_those_in_progress_are_untouched() {
    let mut world = busy(2);
    for last in 2..=3 {
        call_from(&mut world, other(last), "sip:100@10.0.0.1", secs(60));
    }
    world.run_for(secs(5));
    for last in 4..=6 {
        call_from(&mut world, other(last), "sip:100@10.0.0.1", secs(60));
    }
    world.run_for(secs(5));
    for last in 4..=6 {
        assert!(refusal(&mut world, other(last)).contains("Retry-After: 5\r\n"));
        let record = world.host(other(last)).records[0].clone();
        assert_eq!(
            (record.status, record.end_reason, record.code),
            (Status::Failed, EndReason::TelephonyError, Some(503))
        );
    }
    world.run_for(secs(20));
    for last in 2..=3 {
        assert!(seconds_of(recording(&mut world, other(last), "heard.wav"), 0, 600.0) > 19.5);
        let gap = longest_gap(&audio_at(&world, other(last)));
        assert!(gap <= Duration::from_millis(40), "{gap:?}");
    }
    // There is room again.
    call_from(&mut world, other(4), "sip:100@10.0.0.1", secs(60));
    world.run_for(secs(30));
    assert_eq!(world.host(other(4)).records[1].status, Status::Completed);
    assert_clean(&mut world, &[SERVER, other(2), other(3), other(4), other(5), other(6)]);
}

#[test]
fn a_server_that_drains_takes_no_calls_says_so_and_tells_when_it_is_empty() {
    let mut world = busy(100);
    call_from(&mut world, other(2), "sip:100@10.0.0.1", secs(60));
    let mut hand = Hand::new(other(9));
    hand.run(&mut world, secs(5));
    hand.request(&mut world, "OPTIONS", "", "");
    hand.run(&mut world, secs(1));
    assert_eq!(hand.last_status(), "SIP/2.0 200 OK");
    world.tell(SERVER, Input::Drain);
    call_from(&mut world, other(4), "sip:100@10.0.0.1", secs(60));
    let mut hand = Hand::new(other(10));
    hand.request(&mut world, "OPTIONS", "", "");
    hand.run(&mut world, secs(1));
    assert!(hand.last_status().starts_with("SIP/2.0 503"), "{}", hand.last_status());
    assert!(hand.messages.iter().any(|text| text.contains("Retry-After: ")));
    assert!(refusal(&mut world, other(4)).contains("Retry-After: 5\r\n"));
    assert!(!world.host(SERVER).console.contains(&ConsoleReply::Drained));
    world.run_for(secs(30));
    assert!(seconds_of(recording(&mut world, other(2), "heard.wav"), 0, 600.0) > 19.5, "the call goes on to its end");
    assert!(world.host(SERVER).console.contains(&ConsoleReply::Drained));
    assert_clean(&mut world, &[SERVER, other(2), other(4)]);
}

#[test]
fn a_flow_can_dial_only_as_many_legs_as_it_may() {
    let mut world = busy(100);
    let mut server = config(SERVER, &[("100", "main.lua")]);
    server.limits.legs_per_flow = 2;
    let script = "call:answer() local p
        p, vars.why, vars.which = call:dial{'sip:1@10.0.0.3', 'sip:1@10.0.0.4', 'sip:1@10.0.0.5', timeout = 5}";
    world.add(SERVER, server, &[("main.lua", script)]);
    call_from(&mut world, other(2), "sip:100@10.0.0.1", secs(60));
    world.run_for(secs(10));
    let record = inbound(&mut world, SERVER);
    assert_eq!((var(&record, "why").as_str(), var(&record, "which").as_str()), ("limit", "legs of a flow"));
    assert_clean(&mut world, &[SERVER, other(2)]);
}
