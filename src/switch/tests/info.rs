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
