//! An INVITE without an offer: our offer goes out before the answer where its caller acknowledges that.

use super::*;

/// A caller whose INVITE offers nothing, and says this about itself.
fn late(extra: &str) -> (World, Caller, FlowId, CallId) {
    let (mut world, mut caller) = (World::new(), Caller::new());
    let text = caller.text("INVITE", None, extra);
    world.say(caller.at, text);
    world.settle();
    let start = world.node().starts[0].clone();
    (world, caller, start.flow, start.call)
}

/// The PRACK of `response`, with an answer or without one.
fn prack(world: &mut World, caller: &mut Caller, response: &Response, answer: Option<&str>) {
    caller.to_tag = response.headers.to.tag().map(str::to_owned);
    let rack = format!("RAck: {} 1 INVITE\r\n", response.headers.get("RSeq").expect("it is reliable"));
    caller.cseq += 1;
    let text = caller.text("PRACK", answer.map(|answer| ("application/sdp", answer)), &rack);
    world.say(caller.at, text);
    world.settle();
}

/// The 200 to the INVITE, which is acknowledged, and that to the PRACK, in either order.
fn take_answers(world: &mut World, caller: &mut Caller) -> Response {
    let mut ok = None;
    for _ in 0..2 {
        let response = world.response_at(caller.at, 200);
        if response.headers.cseq.method == Method::Invite {
            caller.ack(world, &response, None);
            ok = Some(response);
        }
    }
    ok.expect("the answer to the INVITE")
}

fn offers(response: &Response) -> bool {
    String::from_utf8_lossy(&response.body).contains("RTP/AVP 0 8 101")
}

#[test]
fn our_offer_goes_out_before_the_answer_and_the_prack_brings_the_callers() {
    let (mut world, mut caller, flow, call) = late("Supported: 100rel\r\n");
    world.ask(flow, call, Verb::Ring);
    world.settle();
    let ring = world.response_at(caller.at, 180);
    assert!(ring.body.is_empty() && ring.headers.get("RSeq").is_none(), "it may be lost");
    let progress = world.ask(flow, call, Verb::Progress);
    world.settle();
    let early = world.response_at(caller.at, 183);
    assert!(offers(&early));
    assert_eq!(early.headers.get("Require"), Some("100rel"));
    assert_eq!((world.reply(progress), world.commands()), (None, vec!["Open"]), "nobody is heard yet");
    prack(&mut world, &mut caller, &early, Some(&sdp()));
    assert_eq!(world.reply(progress), Some(&Reply::Done));
    assert_eq!(world.commands(), ["Open", "Update"]);
    world.ask(flow, call, Verb::Answer);
    world.settle();
    let ok = take_answers(&mut world, &mut caller);
    assert!(ok.body.is_empty(), "all is said: a description would be an offer anew");
    assert_eq!(world.commands(), ["Open", "Update"]);
    caller.cseq = 9;
    caller.send(&mut world, "BYE", None);
    world.assert_clean(1);
    assert_eq!(world.node().records[0].status, Status::Completed);
}

#[test]
fn an_answer_that_is_asked_for_meanwhile_waits_for_the_prack() {
    let (mut world, mut caller, flow, call) = late("Supported: 100rel\r\n");
    world.ask(flow, call, Verb::Play(Play::new(vec![Sound::Silence(secs(9))])));
    world.settle();
    let early = world.response_at(caller.at, 183);
    let update = sdp_at("198.51.100.7", 4444);
    caller.to_tag = early.headers.to.tag().map(str::to_owned);
    caller.send(&mut world, "UPDATE", Some(("application/sdp", &update)));
    world.response_at(caller.at, 491);
    assert!(!world.commands().contains(&"Play"), "there is no way to the caller yet");
    prack(&mut world, &mut caller, &early, Some(&sdp()));
    assert!(world.commands().contains(&"Play"));
    world.response_at(caller.at, 200);
    caller.send(&mut world, "UPDATE", Some(("application/sdp", &update)));
    assert!(offers_audio(&world.response_at(caller.at, 200)), "now media may be described anew");
    world.end_flow(flow, FlowEnd::Finished);
    world.assert_clean(1);
}

fn offers_audio(response: &Response) -> bool {
    String::from_utf8_lossy(&response.body).contains("m=audio")
}

#[test]
fn a_caller_that_demands_it_gets_our_offer_with_the_ringing() {
    let (mut world, mut caller, flow, call) = late("Require: 100rel\r\n");
    world.ask(flow, call, Verb::Ring);
    world.settle();
    let ring = world.response_at(caller.at, 180);
    assert!(offers(&ring) && ring.headers.get("RSeq").is_some());
    let answer = world.ask(flow, call, Verb::Answer);
    world.settle();
    assert!(!world.seen().iter().any(|seen| seen.contains("200")), "{:?}", world.seen());
    prack(&mut world, &mut caller, &ring, Some(&sdp()));
    assert!(take_answers(&mut world, &mut caller).body.is_empty());
    assert_eq!(world.reply(answer), Some(&Reply::Done));
}

#[test]
fn a_prack_without_an_answer_or_with_one_that_will_not_do_costs_the_call() {
    let video = sdp().replace("m=audio", "m=video");
    for answer in [None, Some(video.as_str())] {
        let (mut world, mut caller, flow, call) = late("Supported: 100rel\r\n");
        world.ask(flow, call, Verb::Progress);
        world.settle();
        let early = world.response_at(caller.at, 183);
        prack(&mut world, &mut caller, &early, answer);
        assert_eq!(world.response_at(caller.at, 200).headers.cseq.method, Method::PRack);
        world.response_at(caller.at, 488);
        world.assert_clean(1);
        assert!(world.node().records[0].error.is_some());
    }
}

#[test]
fn a_dialling_caller_without_an_offer_hears_the_callees_early_media() {
    let (mut world, mut caller, flow, call) = late("Supported: 100rel\r\n");
    let dial = Dial { early_media: true, ..ringing("sip:b@203.0.113.1:5060", 20) };
    let id = world.ask(flow, call, Verb::Dial(dial));
    world.settle();
    let early = world.response_at(caller.at, 183);
    prack(&mut world, &mut caller, &early, Some(&sdp()));
    let callee = address("203.0.113.1:5060");
    let invite = world.request_at(callee, Method::Invite);
    world.say(callee, answer(&invite, 183, "b", Some(&sdp_at("203.0.113.1", 4200))));
    world.settle();
    assert!(world.commands().contains(&"Join"), "{:?}", world.commands());
    world.say(callee, answer(&invite, 200, "b", Some(&sdp_at("203.0.113.1", 4200))));
    world.settle();
    let ok = take_answers(&mut world, &mut caller);
    assert!(ok.body.is_empty());
    assert!(matches!(world.reply(id), Some(Reply::Dialed { .. })));
}
