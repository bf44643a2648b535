use super::*;

/// A caller at a carrier's address.
fn caller_at(at: &str, call_id: &str) -> Caller {
    Caller { at: address(at), call_id: call_id.into(), ..Caller::new() }
}

#[test]
fn a_call_belongs_to_the_carrier_whose_address_it_comes_from() {
    let mut world = world_with(|_| {});
    caller_at("203.0.113.2:5071", "x").invite(&mut world, Some(&sdp()));
    Caller::new().invite(&mut world, Some(&sdp()));
    let starts = &world.node().starts;
    assert_eq!(starts[0].facts.trunk.as_deref(), Some("b"), "any port of the address");
    assert_eq!(starts[1].facts.trunk, None);
    let flows: Vec<_> = starts.iter().map(|start| start.flow).collect();
    flows.into_iter().for_each(|flow| world.end_flow(flow, FlowEnd::Finished));
    world.assert_clean(2);
    assert_eq!(world.node().records[0].trunk.as_deref(), Some("b"));
}

#[test]
fn the_most_exact_network_wins() {
    let mut world = world_with(|config| first(config).sources = vec!["203.0.113.0/24".parse().unwrap()]);
    for (at, trunk) in [("203.0.113.2:5060", "b"), ("203.0.113.3:5060", "a")] {
        caller_at(at, at).invite(&mut world, Some(&sdp()));
        assert_eq!(world.node().starts.last().unwrap().facts.trunk.as_deref(), Some(trunk), "{at}");
    }
}

#[test]
fn a_carrier_at_its_limit_of_calls_gets_503_with_retry_after_and_others_do_not() {
    let mut world = world_with(|config| first(config).calls = 2);
    for (call, code) in [("1", None), ("2", None), ("3", Some(503))] {
        let mut caller = caller_at(CARRIER_A, call);
        caller.invite(&mut world, Some(&sdp()));
        if let Some(code) = code {
            let refused = world.response_at(caller.at, code);
            assert_eq!(refused.headers.get("Retry-After"), Some("30"));
        }
    }
    caller_at(CARRIER_B, "4").invite(&mut world, Some(&sdp()));
    assert_eq!(world.node().starts.len(), 3);

    let flow = world.node().starts[0].flow;
    world.end_flow(flow, FlowEnd::Finished);
    world.run(secs(1));
    caller_at(CARRIER_A, "5").invite(&mut world, Some(&sdp()));
    assert_eq!(world.node().starts.len(), 4, "there is room again");
}

#[test]
fn a_carrier_that_calls_too_fast_is_told_when_to_come_again() {
    let mut world = world_with(|config| first(config).calls_per_second = 2);
    for call in ["1", "2", "3"] {
        caller_at(CARRIER_A, call).invite(&mut world, Some(&sdp()));
    }
    assert_eq!(world.node().starts.len(), 2);
    assert_eq!(world.response_at(address(CARRIER_A), 503).headers.get("Retry-After"), Some("1"));
    world.run(secs(1));
    caller_at(CARRIER_A, "4").invite(&mut world, Some(&sdp()));
    assert_eq!(world.node().starts.len(), 3);
}

#[test]
fn emergency_numbers_pass_the_limits_of_carriers_and_of_all_calls() {
    let mut world = world_with(|config| {
        config.limits.calls = 1;
        first(config).calls = 1;
        config.routes.push(Route { number: Pattern::parse("112").unwrap(), service: Service::script("sos.lua") });
    });
    caller_at(CARRIER_A, "1").invite(&mut world, Some(&sdp()));
    caller_at(CARRIER_A, "2").invite(&mut world, Some(&sdp()));
    assert_eq!(world.node().starts.len(), 1);
    let mut urgent = caller_at(CARRIER_A, "3");
    let text = urgent.text("INVITE", Some(("application/sdp", &sdp())), "").replacen("sip:100@", "sip:112@", 1);
    world.say(urgent.at, text);
    world.settle();
    assert_eq!(&*world.node().starts[1].script, "sos.lua");
}

#[test]
fn a_malformed_call_does_not_stay_among_the_carriers_calls() {
    let mut world = world_with(|config| first(config).calls = 1);
    let mut bad = caller_at(CARRIER_A, "1");
    let text = bad.text("INVITE", Some(("application/sdp", &sdp())), "");
    let text: String = text.split_inclusive("\r\n").filter(|line| !line.starts_with("Contact")).collect();
    world.say(bad.at, text);
    world.settle();
    world.response_at(bad.at, 400);
    caller_at(CARRIER_A, "2").invite(&mut world, Some(&sdp()));
    assert_eq!(world.node().starts.len(), 1);
}

#[test]
fn numbers_are_rewritten_and_the_asserted_caller_of_a_trusted_carrier_is_known() {
    for (trusted, caller) in [(true, "+4977"), (false, "anna")] {
        let mut world = world_with(|config| {
            let trunk = first(config);
            trunk.trusted = trusted;
            trunk.in_called = vec![Rewrite::new("049*", 3, "").unwrap()];
            trunk.in_caller = vec![Rewrite::new("0*", 1, "+49").unwrap()];
        });
        let mut from = caller_at(CARRIER_A, "1");
        let extra = "P-Asserted-Identity: <sip:077@carrier>\r\nP-Unheard-Of: <a;b=\"c\">\r\nX-Any: 1\r\n";
        let text = from.text("INVITE", Some(("application/sdp", &sdp())), extra).replacen("sip:100@", "sip:049100@", 1);
        world.say(from.at, text);
        world.settle();
        let facts = &world.node().starts[0].facts;
        assert_eq!((facts.called.as_str(), facts.caller.as_str()), ("100", caller), "trusted: {trusted}");
        assert_eq!(facts.headers, [("X-Any".to_owned(), "1".to_owned())]);
    }
}

#[test]
fn a_carriers_codecs_are_the_only_ones_that_are_taken() {
    let mut world = world_with(|config| first(config).codecs = vec![Codec::Pcma]);
    caller_at(CARRIER_A, "1").invite(&mut world, Some(&sdp()));
    world.response_at(address(CARRIER_A), 488);
    let both = sdp().replace("RTP/AVP 0 101", "RTP/AVP 0 8 101");
    caller_at(CARRIER_A, "2").invite(&mut world, Some(&both));
    let start = world.node().starts[0].clone();
    world.ask(start.flow, start.call, Verb::Answer);
    world.settle();
    let answer = world.response_at(address(CARRIER_A), 200);
    assert!(String::from_utf8_lossy(&answer.body).contains("RTP/AVP 8 101"), "{:?}", answer.body);
}

#[test]
fn a_carrier_may_prove_itself_with_a_password_wherever_it_calls_from() {
    use crate::sip::{
        auth::{Credentials, Secret},
        prove,
    };
    let credentials = |password: &str| Credentials { user: "acct".into(), secret: Secret::Password(password.into()) };
    for (password, known) in [("secret", true), ("wrong", false)] {
        let mut world = world_with(|config| {
            let trunk = first(config);
            trunk.sources.clear();
            trunk.credentials = Some(credentials("secret"));
            trunk.proves = true;
        });
        let mut caller = Caller::new();
        let text = caller.text("INVITE", Some(("application/sdp", &sdp())), "");
        world.say(caller.at, text.clone());
        world.settle();
        assert!(world.node().starts.is_empty(), "nobody is let in unproven");
        let challenge = world.response_at(caller.at, 401);
        let Message::Request(invite) = parsed(text.as_bytes()) else { unreachable!("an INVITE") };
        let again = prove(&invite, &challenge, &credentials(password), "c").unwrap();
        let via = format!("SIP/2.0/UDP {};branch=z9hG4bKagain", caller.at);
        let again = String::from_utf8_lossy(&again.to_bytes()).replacen("\r\n", &format!("\r\nVia: {via}\r\n"), 1);
        world.say(caller.at, again);
        world.settle();
        let trunks: Vec<_> = world.node().starts.iter().map(|start| start.facts.trunk.as_deref()).collect();
        assert_eq!(trunks, if known { vec![Some("a")] } else { vec![] });
        if !known {
            world.response_at(caller.at, 401);
        }
    }
}
