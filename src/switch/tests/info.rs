//! Keys by INFO, from leg to leg and as a flow's order.

use super::{hold::bridged, *};

/// The caller offers audio without telephone-event from now on, and says a key by INFO.
fn goes_over_to_info(world: &mut World, caller: &mut Caller) {
    let plain = "v=0\r\no=- 1 2 IN IP4 198.51.100.7\r\ns=-\r\nc=IN IP4 198.51.100.7\r\nt=0 0\r\n\
                 m=audio 4000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n";
    caller.send(world, "INVITE", Some(("application/sdp", plain)));
    let response = world.response_at(caller.at, 200);
    caller.ack(world, &response, None);
    says(world, caller, "1");
}

fn says(world: &mut World, caller: &mut Caller, key: &str) {
    caller.send(world, "INFO", Some(("application/dtmf", key)));
    world.response_at(caller.at, 200);
}

#[test]
fn a_key_by_info_is_passed_on_to_the_other_party() {
    let (mut world, mut caller, ..) = bridged();
    says(&mut world, &mut caller, "5");
    let passed: Vec<char> = world.node().commands.iter().filter_map(|(_, command)| passed_key(command)).collect();
    assert_eq!(passed, ['5']);
}

fn passed_key(command: &Command) -> Option<char> {
    if let Command::PassKey { key, .. } = command { Some(*key) } else { None }
}

#[test]
fn who_says_keys_by_info_and_takes_no_events_is_told_them_by_info() {
    let (mut world, mut caller, ..) = bridged();
    goes_over_to_info(&mut world, &mut caller);
    assert!(world.commands().contains(&"LeaveTones"), "the key is not told as a tone as well");
    world.key(1, '7');
    world.settle();
    let info = world.request_at(caller.at, Method::Info);
    assert_eq!(info.headers.get("Content-Type"), Some("application/dtmf-relay"));
    assert_eq!(info.body, "Signal=7\r\nDuration=160\r\n");
}

#[test]
fn keys_that_a_program_orders_go_out_by_info_beside_the_flow() {
    let (mut world, mut caller, flow, call) = answered();
    goes_over_to_info(&mut world, &mut caller);
    let sleep = world.ask(flow, call, Verb::Sleep(secs(9)));
    let keys = |digits: &str| Verb::SendDigits { digits: digits.into(), length: millis(100), gap: millis(100) };
    for (id, digits) in [(1, "4"), (2, "5")] {
        aside::order(&mut world, id, call, keys(digits));
    }
    for want in ["4", "5"] {
        world.run(millis(300));
        let info = world.request_at(caller.at, Method::Info);
        assert_eq!(info.body, format!("Signal={want}\r\nDuration=100\r\n"));
        world.say(caller.at, answer(&info, 200, "anna", None));
    }
    world.run(millis(500));
    assert_eq!(aside::told(&world, 1), [&Reply::Done]);
    assert_eq!(aside::told(&world, 2), [&Reply::Done]);
    assert_eq!(world.reply(sleep), None);
}

#[test]
fn an_order_of_keys_goes_out_by_info_one_after_another() {
    let (mut world, mut caller, flow, call) = answered();
    goes_over_to_info(&mut world, &mut caller);
    let (length, gap) = (millis(100), millis(100));
    let id = world.ask(flow, call, Verb::SendDigits { digits: "4,#".into(), length, gap });
    let began = world.now;
    world.run(millis(50));
    let first = world.request_at(caller.at, Method::Info);
    assert_eq!(first.body, "Signal=4\r\nDuration=100\r\n");
    world.say(caller.at, answer(&first, 200, "anna", None));
    world.run(millis(1100));
    assert_eq!(world.reply(id), None);
    world.run(millis(400));
    let second = world.request_at(caller.at, Method::Info);
    assert_eq!(second.body, "Signal=#\r\nDuration=100\r\n");
    world.say(caller.at, answer(&second, 200, "anna", None));
    world.run(millis(300));
    assert_eq!(world.reply(id), Some(&Reply::Done));
    assert!(world.now - began < secs(3));
}

/// A carrier calls, which takes keys in this form only; audio with telephone-event is agreed on.
fn called_by_a_carrier(keys_out: KeysOut) -> (World, Caller, FlowId, CallId) {
    let mut world = World::with(|config| {
        config.trunking = trunks::trunking();
        Arc::make_mut(&mut config.trunking.trunks[0]).keys_out = keys_out;
    });
    let caller = Caller { at: address(trunks::CARRIER_A), ..Caller::new() };
    let (caller, flow, call) = answer_one(&mut world, caller);
    (world, caller, flow, call)
}

#[test]
fn a_carrier_is_told_keys_in_the_form_that_its_operator_names_whatever_is_agreed_on() {
    for (keys_out, events, info) in [
        (KeysOut::Auto, true, false),
        (KeysOut::Events, true, false),
        (KeysOut::Info, false, true),
        (KeysOut::Tones, false, false),
    ] {
        let (mut world, caller, flow, call) = called_by_a_carrier(keys_out);
        let agreed = world.node().commands.iter().rev().find_map(|(_, command)| match command {
            Command::Update { stream, .. } => Some(stream.clone()),
            _ => None,
        });
        let agreed = agreed.expect("audio is agreed on");
        assert_eq!(agreed.send_digits.is_some(), events, "{keys_out:?}");
        assert!(!agreed.receive_digits.is_empty(), "what it says is heard in any form");
        assert_eq!(world.commands().contains(&"LeaveTones"), info, "{keys_out:?}");
        let (length, gap) = (millis(100), millis(100));
        let id = world.ask(flow, call, Verb::SendDigits { digits: "7".into(), length, gap });
        world.run(millis(50));
        assert_eq!(world.commands().contains(&"Digits"), !info, "{keys_out:?}");
        if info {
            let request = world.request_at(caller.at, Method::Info);
            assert_eq!(request.body, "Signal=7\r\nDuration=100\r\n");
            world.say(caller.at, answer(&request, 200, "anna", None));
            world.run(millis(300));
            assert_eq!(world.reply(id), Some(&Reply::Done));
        }
    }
}

#[test]
fn a_carrier_that_is_not_to_be_told_keys_by_info_is_not_though_it_says_its_own_so() {
    for (keys_out, info) in [(KeysOut::Auto, true), (KeysOut::Events, false), (KeysOut::Tones, false)] {
        let (mut world, mut caller, flow, call) = called_by_a_carrier(keys_out);
        goes_over_to_info(&mut world, &mut caller);
        assert_eq!(world.commands().contains(&"LeaveTones"), info, "{keys_out:?}");
        let (length, gap) = (millis(100), millis(100));
        world.ask(flow, call, Verb::SendDigits { digits: "7".into(), length, gap });
        world.run(millis(50));
        assert_eq!(world.commands().contains(&"Digits"), !info, "{keys_out:?}");
    }
}
