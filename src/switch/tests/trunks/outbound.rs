use super::*;

#[test]
fn a_number_goes_over_the_carrier_of_its_rule() {
    let mut world = world_with(|config| {
        config.trunking.outbound.rules[0].strip = 1;
        config.trunking.outbound.rules[0].prepend = "00".into();
        first(config).codecs = vec![Codec::Pcma];
    });
    originate(&mut world, "+4930123", "+49301");
    let invite = invite_at(&mut world, CARRIER_A);
    assert_eq!(invite.uri.to_string(), "sip:004930123@203.0.113.1:5060");
    assert_eq!(invite.headers.from.uri.user.as_deref(), Some("+49301"));
    assert!(String::from_utf8_lossy(&invite.body).contains("RTP/AVP 8 101"), "the carrier's codecs");
    says(&mut world, CARRIER_A, &invite, 486, None);
    assert_failed(&world, Failure::Busy, Some(486));
    world.assert_clean(1);
    let record = &world.node().records[0];
    assert_eq!((record.to.as_str(), record.trunk.as_deref()), ("+4930123", Some("a")));
}

#[test]
fn what_no_rule_allows_is_denied() {
    let mut world = world_with(|config| config.trunking.outbound.rules.push(rule("+49900*", "", 1)));
    for (target, why) in [
        ("+44123", "no outbound rule allows the number"),
        ("tel:+44-123", "no outbound rule allows the number"),
        ("+4990012", "an outbound rule denies the number"),
    ] {
        originate(&mut world, target, "1");
        assert_failed(&world, Failure::Denied(why), None);
    }
    assert!(world.inbox.is_empty());
}

#[test]
fn addresses_can_be_denied_too() {
    let mut world = world_with(|config| config.trunking.outbound.allow_uris = false);
    originate(&mut world, "sip:+4930123@203.0.113.9", "1");
    assert_failed(&world, Failure::Denied("outbound.allow_uris is false"), None);
    originate(&mut world, "tel:+49-30-123", "1");
    invite_at(&mut world, CARRIER_A);
}

#[test]
fn the_next_carrier_is_tried_when_one_fails_and_each_final_answer_gets_its_ack() {
    let mut world = world_with(|_| {});
    originate(&mut world, "+4930", "1");
    let invite = invite_at(&mut world, CARRIER_A);
    says(&mut world, CARRIER_A, &invite, 503, None);
    world.request_at(address(CARRIER_A), Method::Ack);
    let again = invite_at(&mut world, CARRIER_B);
    assert_eq!(again.headers.call_id, invite.headers.call_id);
    assert_eq!(again.headers.cseq.number, invite.headers.cseq.number + 1);
    says(&mut world, CARRIER_B, &again, 200, Some(&sdp()));
    world.request_at(address(CARRIER_B), Method::Ack);
    let start = world.node().starts[0].clone();
    assert_eq!(start.facts.trunk.as_deref(), Some("b"));
    world.end_flow(start.flow, FlowEnd::Finished);
    world.assert_clean(1);
    assert_eq!(world.node().records[0].trunk.as_deref(), Some("b"));
}

#[test]
fn a_carrier_shows_its_calls_and_why_it_took_one_no_more() {
    let mut world = world_with(|config| first(config).calls = 7);
    let view = |world: &World, at: usize| world.node().switch.trunks()[at].clone();
    assert_eq!((view(&world, 0).name.as_str(), view(&world, 0).calls, view(&world, 0).most), ("a", 0, 7));
    originate(&mut world, "+4930", "1");
    assert_eq!((view(&world, 0).calls, view(&world, 0).trouble), (1, None));
    let invite = invite_at(&mut world, CARRIER_A);
    says(&mut world, CARRIER_A, &invite, 503, None);
    let trouble = view(&world, 0).trouble.map(|trouble| trouble.why);
    assert_eq!((view(&world, 0).calls, trouble.as_deref()), (0, Some("refused with 503")));
    let again = invite_at(&mut world, CARRIER_B);
    assert_eq!(view(&world, 1).calls, 1);
    says(&mut world, CARRIER_B, &again, 486, None);
    assert_eq!(
        (view(&world, 1).calls, view(&world, 1).trouble),
        (0, None),
        "a busy party is no fault of the carrier's"
    );
}

#[test]
fn a_silent_carrier_is_left_after_two_seconds() {
    let mut world = world_with(|_| {});
    let wish = Originate {
        request: RequestId(77),
        target: "+4930".into(),
        from: "1".into(),
        script: None,
        vars: vec![],
        headers: vec![],
        timeout: secs(60),
    };
    world.input(0, Input::Originate(wish));
    world.run(millis(2100));
    invite_at(&mut world, CARRIER_B);
    let trouble = world.node().switch.trunks()[0].trouble.clone().unwrap();
    assert_eq!(trouble.why, "no answer came");
}

#[test]
fn busy_or_missing_people_are_not_looked_for_elsewhere() {
    for code in [404, 486, 480, 603] {
        let mut world = world_with(|_| {});
        originate(&mut world, "+4930", "1");
        let invite = invite_at(&mut world, CARRIER_A);
        says(&mut world, CARRIER_A, &invite, code, None);
        assert!(!world.seen().iter().any(|line| line.starts_with(CARRIER_B)), "{code}");
        world.assert_clean(1);
    }
}

#[test]
fn a_phone_that_rang_till_408_is_not_rung_over_another_carrier() {
    let mut world = world_with(|_| {});
    originate(&mut world, "+4930", "1");
    let invite = invite_at(&mut world, CARRIER_A);
    says(&mut world, CARRIER_A, &invite, 180, None);
    says(&mut world, CARRIER_A, &invite, 408, None);
    assert_failed(&world, Failure::NoAnswer, Some(408));
}

#[test]
fn a_full_carrier_is_passed_over() {
    let mut world = world_with(|config| first(config).calls = 1);
    originate(&mut world, "+4930", "1");
    invite_at(&mut world, CARRIER_A);
    originate(&mut world, "+4931", "1");
    invite_at(&mut world, CARRIER_B);

    let mut world = world_with(|config| {
        first(config).calls_per_second = 1;
        config.trunking.outbound.rules.truncate(1);
    });
    originate(&mut world, "+4930", "1");
    invite_at(&mut world, CARRIER_A);
    originate(&mut world, "+4931", "1");
    assert_failed(&world, Failure::Limit("trunk's calls a second"), Some(503));
    world.run(secs(1));
    world.inbox.clear();
    originate(&mut world, "+4932", "1");
    assert_eq!(invite_at(&mut world, CARRIER_A).uri.user.as_deref(), Some("+4932"));
}

#[test]
fn a_carrier_that_failed_no_longer_counts_the_call() {
    let mut world = world_with(|config| first(config).calls = 1);
    originate(&mut world, "+4930", "1");
    let invite = invite_at(&mut world, CARRIER_A);
    says(&mut world, CARRIER_A, &invite, 500, None);
    invite_at(&mut world, CARRIER_B);
    originate(&mut world, "+4931", "1");
    invite_at(&mut world, CARRIER_A);
}

#[test]
fn emergency_calls_pass_every_limit_and_denial() {
    let mut world = world_with(|config| {
        config.limits.calls = 1;
        config.trunking.outbound.rules = vec![rule("+49*", "a", 1), rule("*", "", 1)];
        first(config).calls = 1;
        first(config).calls_per_second = 1;
    });
    originate(&mut world, "+4930", "1");
    invite_at(&mut world, CARRIER_A);
    originate(&mut world, "112", "1");
    let urgent = invite_at(&mut world, CARRIER_A);
    assert_eq!(urgent.uri.user.as_deref(), Some("112"));
    says(&mut world, CARRIER_A, &urgent, 500, None);
    assert_eq!(invite_at(&mut world, CARRIER_B).uri.user.as_deref(), Some("112"), "over every carrier");
}

#[test]
fn a_dialled_number_tells_the_carrier_who_calls_and_hides_who_hides() {
    for (extra, hidden) in [("", false), ("Privacy: id\r\n", true)] {
        let mut world = world_with(|config| {
            let trunk = first(config);
            trunk.identity.voucher = Voucher::Asserted;
            trunk.identity.diversion = Trail::Set;
        });
        let mut caller = Caller::new();
        let text = caller.text("INVITE", Some(("application/sdp", &sdp())), extra);
        world.say(caller.at, text);
        world.settle();
        let start = world.node().starts[0].clone();
        let dial = ringing("+4930", 20);
        world.ask(start.flow, start.call, Verb::Dial(dial));
        world.settle();
        let headers = invite_at(&mut world, CARRIER_A).headers;
        assert_eq!(headers.get("Diversion"), Some("<sip:100@192.0.2.1>;reason=unconditional;counter=1"));
        match hidden {
            true => {
                assert_eq!(headers.from.uri.to_string(), "sip:anonymous@anonymous.invalid");
                assert_eq!((headers.get("Privacy"), headers.get("P-Asserted-Identity")), (Some("id"), None));
            }
            false => {
                assert_eq!(headers.from.to_string().split(";tag").next(), Some("\"Anna\" <sip:anna@192.0.2.1>"));
                assert_eq!(headers.get("P-Asserted-Identity"), Some("<sip:anna@192.0.2.1>"));
            }
        }
    }
}

fn alarms(world: &World) -> Vec<Alarm> {
    let told = world.node().console.iter().filter_map(|reply| match reply {
        ConsoleReply::Alarm(alarm) => Some(alarm.clone()),
        _ => None,
    });
    told.collect()
}

#[test]
fn a_cap_denies_what_comes_after_it_raises_alarms_and_lets_emergencies_pass() {
    let mut world = world_with(|config| {
        let number = Pattern::parse("*").unwrap();
        let period = secs(3600);
        config.trunking.outbound.caps =
            vec![Cap { number, by: CapBy::Caller, calls: Some(2), spend: None, period, alarm: 80 }];
    });
    for number in ["+4930", "+4931"] {
        originate(&mut world, number, "1");
        let invite = invite_at(&mut world, CARRIER_A);
        says(&mut world, CARRIER_A, &invite, 503, None);
        let invite = invite_at(&mut world, CARRIER_B);
        says(&mut world, CARRIER_B, &invite, 486, None);
    }
    assert_eq!(alarms(&world).len(), 1, "one call over two carriers is one call");
    for _ in 0..3 {
        originate(&mut world, "+4932", "1");
        assert_failed(&world, Failure::Limit("outbound cap"), Some(503));
    }
    assert_eq!(alarms(&world).last().map(|alarm| (alarm.who.as_str(), alarm.denied)), Some(("1", true)));
    assert_eq!(alarms(&world).len(), 2, "each is told once");
    originate(&mut world, "112", "1");
    invite_at(&mut world, CARRIER_A);
    originate(&mut world, "+4932", "2");
    invite_at(&mut world, CARRIER_A);
}

#[test]
fn a_record_says_what_the_call_cost() {
    let mut world = world_with(|config| config.trunking.outbound.rules[0].price = 60_000);
    originate(&mut world, "+4930", "1");
    let invite = invite_at(&mut world, CARRIER_A);
    says(&mut world, CARRIER_A, &invite, 200, Some(&sdp()));
    world.run(secs(90));
    let flow = world.node().starts[0].flow;
    world.end_flow(flow, FlowEnd::Finished);
    world.assert_clean(1);
    let cost = world.node().records[0].cost.unwrap();
    assert!((0.09..0.0902).contains(&cost), "{cost}");
}
