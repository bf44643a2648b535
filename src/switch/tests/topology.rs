//! Neither party of a bridge sees where the other one is: no address, Call-ID, tag or branch of one leg gets to the
//! other.

use super::{hold::bridged_in, *};
use crate::switch::rules::{HoldRule, TransferRule};

const B: &str = "203.0.113.1:5060";
const C: &str = "203.0.113.9:5060";
/// What only the caller's side knows.
const CALLERS: [&str; 4] = ["198.51.100.7", "abc@phone", "tag=anna", "z9hG4bKabc"];

fn text(message: &Message) -> String {
    let bytes = match message {
        Message::Request(request) => request.to_bytes(),
        Message::Response(response) => response.to_bytes(),
    };
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What came to `at` holds none of these words; how much it was.
fn hidden(world: &World, at: SocketAddr, words: &[&str]) -> usize {
    let came: Vec<String> = world.inbox.iter().filter(|(to, _)| *to == at).map(|(_, message)| text(message)).collect();
    for message in &came {
        let leak = words.iter().find(|word| message.contains(**word));
        assert_eq!(leak, None, "{message}");
    }
    came.len()
}

#[test]
fn no_word_of_one_leg_gets_to_the_other() {
    let mut world = World::with(|config| {
        config.rules.transfer = TransferRule::All;
        config.rules.hold = HoldRule::Relay;
    });
    world.inbox.clear();
    let (mut world, mut caller, _, _, _, invite) = bridged_in(world);
    let first = text(&Message::Request(invite.clone()));
    assert!(CALLERS.iter().all(|word| !first.contains(word)), "{first}");
    let callees = ["203.0.113.1", invite.headers.call_id.as_str(), "tag=b\r", "203.0.113.9"];
    // Held, and released again: the other one is held, too.
    for direction in ["sendonly", "sendrecv"] {
        caller.cseq += 1;
        let body = format!("{}a={direction}\r\n", sdp());
        let text = caller.text("INVITE", Some(("application/sdp", &body)), "User-Agent: 198.51.100.7\r\n");
        world.say(caller.at, text);
        world.run(secs(1));
    }
    caller.cseq += 1;
    let fields = format!("Refer-To: <sip:c@{C}>\r\nReferred-By: <sip:anna@198.51.100.7:5070>\r\n");
    let text = caller.text("REFER", None, &fields);
    world.say(caller.at, text);
    world.run(secs(3));
    let (to_caller, to_callee) = (hidden(&world, caller.at, &callees), hidden(&world, address(B), &CALLERS));
    let to_target = hidden(&world, address(C), &CALLERS);
    assert!(to_caller > 2 && to_callee > 1 && to_target > 0, "{:?}", world.seen());
    let referred = world.request_at(address(C), Method::Invite).headers.get("Referred-By").map(str::to_owned);
    assert_eq!(referred.as_deref(), Some("<sip:anna@192.0.2.1>"));
}

#[test]
fn a_call_that_leaves_by_another_interface_does_not_name_the_one_it_came_by() {
    let mut world = World::with(|config| {
        let outer = Interface { tls: Some(5061), ..Interface::plain(address("203.0.113.250:5060")) };
        config.sip.interfaces.push(outer);
    });
    let wish = Originate {
        request: RequestId(77),
        target: "sip:b@203.0.113.1:5061;transport=tls".into(),
        from: "100".into(),
        script: Some(Arc::from("out.lua")),
        vars: vec![],
        headers: vec![],
        timeout: secs(20),
    };
    world.input(0, Input::Originate(wish));
    world.settle();
    let invite = world.request_at(address("203.0.113.1:5061"), Method::Invite);
    let text = text(&Message::Request(SipRequest { body: Default::default(), ..invite }));
    assert!(!text.contains("192.0.2.1") && text.contains("From: <sip:100@203.0.113.250>"), "{text}");
}
