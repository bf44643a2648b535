//! A number in all the ways in which peers write it.

use super::*;

/// Which script an INVITE for this address starts; none: it is refused.
fn started(routed: &str, uri: &str) -> Option<String> {
    let mut world = World::with(|config| {
        config.routes = vec![
            Route { number: Pattern::parse(routed).unwrap(), service: Service::script("ours.lua") },
            Route { number: Pattern::parse("*").unwrap(), service: Service::script("other.lua") },
        ];
    });
    let mut caller = Caller::new();
    let text = caller.text("INVITE", Some(("application/sdp", &sdp())), "");
    world.say(caller.at, text.replace("INVITE sip:100@192.0.2.1", &format!("INVITE {uri}")));
    world.settle();
    world.node().starts.first().map(|start| start.script.to_string())
}

#[test]
fn a_number_reaches_the_same_flow_however_it_is_written() {
    for routed in ["+493012345", "493012345"] {
        for uri in [
            "sip:+493012345@192.0.2.1",
            "sip:493012345@192.0.2.1",
            "sip:+493012345@carrier.example;user=phone",
            "sip:+49-30-12345;npdi@192.0.2.1",
            "sip:%2B493012345@192.0.2.1",
            "tel:+493012345",
            "tel:+49-(30)-123.45",
            "TEL:493012345;phone-context=example.com",
        ] {
            assert_eq!(started(routed, uri).as_deref(), Some("ours.lua"), "{uri} to {routed}");
        }
        for uri in ["sip:+493012346@192.0.2.1", "tel:+4930123456", "sip:3012345@192.0.2.1"] {
            assert_eq!(started(routed, uri).as_deref(), Some("other.lua"), "{uri} to {routed}");
        }
    }
}

#[test]
fn a_call_to_a_tel_address_is_answered_and_ends_like_any_other() {
    let mut world = World::new();
    let mut caller = Caller::new();
    let text = caller.text("INVITE", Some(("application/sdp", &sdp())), "");
    let text = text.replace("INVITE sip:100@192.0.2.1", "INVITE tel:1-00;phone-context=example.com");
    world.say(caller.at, text.replace("To: <sip:100@192.0.2.1>", "To: <tel:100>"));
    world.settle();
    let start = world.node().starts[0].clone();
    assert_eq!(start.facts.called, "100");
    world.ask(start.flow, start.call, Verb::Answer);
    world.settle();
    let response = world.response_at(caller.at, 200);
    caller.ack(&mut world, &response, None);
    caller.send(&mut world, "BYE", None);
    world.response_at(caller.at, 200);
    assert_eq!(world.node().records[0].to, "100");
    assert_eq!(world.node().records[0].status, Status::Completed);
    world.assert_clean(1);
}

#[test]
fn only_calls_and_messages_go_to_telephone_numbers() {
    let mut world = World::new();
    let mut caller = Caller::new();
    for (method, code) in [("OPTIONS", 416), ("SUBSCRIBE", 416)] {
        let text = caller.text(method, None, "").replace("sip:100@192.0.2.1 SIP", "tel:100 SIP");
        caller.call_id.push('x');
        world.say(caller.at, text);
        world.settle();
        world.response_at(caller.at, code);
    }
}
