//! Lamps: what a subscriber sees of other phones and of its mailbox.

use super::*;

/// The body of the NOTIFY that came to the device; answered with `code`.
fn notified(world: &mut World, device: &Device, code: u16) -> (SipRequest, String) {
    let notify = world.request_at(device.at, Method::Notify);
    world.say(device.at, answer(&notify, code, "x", None));
    world.settle();
    let body = String::from_utf8(notify.body.to_vec()).unwrap();
    (notify, body)
}

#[test]
fn a_lamp_shows_that_the_phone_rings_talks_and_is_free() {
    let mut world = office();
    let mut anna = Device::new("anna", "198.51.100.7:5070");
    let mut bo = Device::new("bo", "198.51.100.20:5060");
    anna.register(&mut world, "");
    let told = bo.ask(&mut world, "SUBSCRIBE", "sip:201@192.0.2.1", "Event: dialog;id=7\r\nExpires: 600\r\n");
    assert_eq!((told.code, told.headers.get("Expires")), (200, Some("600")));
    let (notify, body) = notified(&mut world, &bo, 200);
    assert_eq!(notify.headers.get("Event"), Some("dialog;id=7"));
    assert_eq!(notify.headers.get("Subscription-State"), Some("active;expires=600"));
    assert!(body.contains("version=\"0\"") && body.contains("entity=\"sip:201@192.0.2.1\""), "{body}");
    assert!(!body.contains("<dialog "), "{body}");
    call_201(&mut world);
    let invite = world.request_at(anna.at, Method::Invite);
    let (_, body) = notified(&mut world, &bo, 200);
    assert!(body.contains("version=\"1\"") && body.contains("<state>early</state>"), "{body}");
    assert!(body.contains("direction=\"recipient\"") && body.contains("<identity>100</identity>"), "{body}");
    world.say(anna.at, answer(&invite, 200, "anna", Some(&sdp())));
    world.settle();
    assert!(notified(&mut world, &bo, 200).1.contains("<state>confirmed</state>"));
    world.input(0, Input::HangUpAll);
    world.settle();
    assert!(!notified(&mut world, &bo, 481).1.contains("<dialog "), "free again");
    assert_eq!(world.nodes[0].switch.counts().subscriptions, 0, "481 ends it");
}

#[test]
fn a_subscription_ends_with_a_last_notify() {
    let mut world = office();
    let mut bo = Device::new("bo", "198.51.100.20:5060");
    bo.ask(&mut world, "SUBSCRIBE", "sip:202@192.0.2.1", "Event: message-summary\r\nExpires: 100\r\n");
    let (_, body) = notified(&mut world, &bo, 200);
    assert_eq!(body, "Messages-Waiting: no\r\nMessage-Account: sip:202@192.0.2.1\r\nVoice-Message: 0/0 (0/0)\r\n");
    world.run(secs(101));
    let (notify, _) = notified(&mut world, &bo, 200);
    assert_eq!(notify.headers.get("Subscription-State"), Some("terminated;reason=timeout"));
    assert_eq!(world.nodes[0].switch.counts().subscriptions, 0);
}

#[test]
fn what_nobody_may_subscribe_to_is_refused() {
    let mut world = office();
    let mut bo = Device::new("bo", "198.51.100.20:5060");
    bo.say(&mut world, "SUBSCRIBE", "sip:201@192.0.2.1", "Event: presence\r\n");
    let refused = bo.response(&mut world);
    assert_eq!(refused.code, 489);
    assert_eq!(refused.headers.all("Allow-Events").collect::<Vec<_>>(), ["dialog", "message-summary"]);
    let mut code = |uri, more: &str| bo.ask(&mut world, "SUBSCRIBE", uri, more).code;
    assert_eq!(code("sip:201@192.0.2.1", "Event: message-summary\r\n"), 403, "another's messages");
    assert_eq!(code("sip:999@192.0.2.1", "Event: dialog\r\n"), 404);
    assert_eq!(code("sip:201@192.0.2.1", "Event: dialog\r\nExpires: 5\r\n"), 423);
}

#[test]
fn waiting_messages_light_the_lamp_when_a_script_says_so() {
    let mut world = office();
    let mut bo = Device::new("bo", "198.51.100.20:5060");
    bo.ask(&mut world, "SUBSCRIBE", "sip:202@192.0.2.1", "Event: message-summary\r\n");
    notified(&mut world, &bo, 200);
    bo.say(&mut world, "INVITE", "sip:100@192.0.2.1", "");
    let challenge = bo.response(&mut world);
    bo.ask_again(&mut world, &challenge, "INVITE", "sip:100@192.0.2.1", "");
    let start = world.node().starts.last().unwrap().clone();
    let verb = |phone: &str| Verb::Mailbox { phone: phone.into(), new: 2, old: 5 };
    let id = world.ask(start.flow, start.call, verb("202"));
    assert_eq!(world.reply(id), Some(&Reply::Done));
    world.settle();
    let (_, body) = notified(&mut world, &bo, 200);
    assert!(body.starts_with("Messages-Waiting: yes") && body.contains("Voice-Message: 2/5"), "{body}");
    let id = world.ask(start.flow, start.call, verb("999"));
    assert_eq!(world.reply(id), Some(&Reply::Failed(Failure::Unreachable)));
}

/// What `name="..."` says in a document.
fn attribute(document: &str, name: &str) -> Option<String> {
    let start = document.find(&format!(" {name}=\""))? + name.len() + 3;
    document[start..].split('"').next().map(str::to_owned)
}

#[test]
fn a_lamp_tells_what_a_phone_needs_to_pick_up_what_rings_another() {
    let mut world = office();
    let mut anna = Device::new("anna", "198.51.100.7:5070");
    anna.register(&mut world, "");
    let mut bo = Device::new("bo", "198.51.100.20:5060");
    bo.ask(&mut world, "SUBSCRIBE", "sip:201@192.0.2.1", "Event: dialog\r\nExpires: 600\r\n");
    notified(&mut world, &bo, 200);
    world.inbox.clear();
    let (_, caller) = talking(&mut world, "bo", "198.51.100.21:5060");
    let (dialled, invite) = rung(&mut world, &caller, "201", anna.at);
    // Of the two documents (called; rings) the second one names the dialog.
    let mut document = notified(&mut world, &bo, 200).1;
    if attribute(&document, "call-id").is_none() {
        document = notified(&mut world, &bo, 200).1;
    }
    let named = |name: &str| attribute(&document, name).unwrap();
    assert_eq!(named("call-id"), invite.headers.call_id, "{document}");
    assert_eq!((named("local-tag"), Some(named("remote-tag").as_str())), ("anna".into(), invite.headers.from.tag()));
    let replaces = format!("{};to-tag={};from-tag={}", named("call-id"), named("remote-tag"), named("local-tag"));

    let mut thief = Device { user: "mallory".into(), ..Device::new("mallory", "198.51.100.66:5060") };
    thief.say(&mut world, "INVITE", "sip:201@192.0.2.1", &format!("Replaces: {replaces}\r\n"));
    assert_eq!(thief.response(&mut world).code, 401, "who takes a call says who he is");

    let mut taker = Device::new("bo", "198.51.100.22:5060");
    let more = format!("Replaces: {replaces}\r\n");
    taker.say(&mut world, "INVITE", "sip:201@192.0.2.1", &more);
    let challenge = taker.response(&mut world);
    taker.ask_again(&mut world, &challenge, "INVITE", "sip:201@192.0.2.1", &more);
    let ok = world.response_at(taker.at, 200);
    acknowledge(&mut world, &taker, &ok);
    let Some(Reply::Dialed { call: taken, target: 0 }) = world.reply(dialled).cloned() else {
        panic!("{:?}", world.reply(dialled));
    };
    world.request_at(anna.at, Method::Cancel);
    world.say(anna.at, answer(&invite, 487, "anna", None));
    world.settle();
    let wait = world.ask(caller.flow, caller.call, Verb::Bridge { other: taken, stop_on: String::new() });
    world.settle();
    assert_eq!(world.reply(wait), None, "they talk");
    let mut late = Device::new("bo", "198.51.100.23:5060");
    late.say(&mut world, "INVITE", "sip:201@192.0.2.1", &more);
    let challenge = late.response(&mut world);
    late.ask_again(&mut world, &challenge, "INVITE", "sip:201@192.0.2.1", &more);
    assert_eq!(late.response(&mut world).code, 481, "it rings no more");
}

#[test]
fn a_call_in_progress_is_not_named_by_the_lamp() {
    let mut world = office();
    let mut bo = Device::new("bo", "198.51.100.20:5060");
    bo.ask(&mut world, "SUBSCRIBE", "sip:201@192.0.2.1", "Event: dialog\r\nExpires: 600\r\n");
    notified(&mut world, &bo, 200);
    let _ = talking(&mut world, "anna", "198.51.100.21:5060");
    let documents: Vec<String> = world
        .said
        .iter()
        .filter_map(|message| match message {
            Message::Request(request) if request.method == Method::Notify => {
                Some(String::from_utf8_lossy(&request.body).into_owned())
            }
            _ => None,
        })
        .collect();
    assert!(documents.iter().any(|document| document.contains("<dialog id=")), "{documents:?}");
    assert!(!documents.iter().any(|document| document.contains("call-id")), "{documents:?}");
}
