//! Calls whose audio goes past us.

use super::{
    through::{bye, formats, says, world},
    *,
};

const ANNA: &str = "203.0.113.1:5060";
const BERT: &str = "203.0.113.2:5060";

fn direct(targets: &[&str]) -> World {
    world(targets, Strategy::All, true)
}

fn anna_says() -> String {
    sdp_at("203.0.113.1", 5000)
}

fn body(message: &[u8]) -> String {
    String::from_utf8_lossy(message).into_owned()
}

/// What Anna sends within the call.
fn from_anna(invite: &SipRequest, method: &str, cseq: u32, sdp: &str) -> String {
    let (to, from) = (&invite.headers.from, &invite.headers.to);
    let kind = if sdp.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
    format!(
        "{method} sip:switchhook@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP {ANNA};branch=z9hG4bK{method}{cseq}\r\n\
         Max-Forwards: 70\r\nFrom: {from};tag=tag1\r\nTo: {to}\r\nCall-ID: {}\r\nCSeq: {cseq} {method}\r\n\
         Contact: <sip:anna@{ANNA}>\r\n{kind}Content-Length: {}\r\n\r\n{sdp}",
        invite.headers.call_id,
        sdp.len()
    )
}

fn connected() -> (World, Caller, SipRequest) {
    let mut world = direct(&["sip:{called}@203.0.113.1"]);
    let mut caller = Caller::new();
    caller.invite(&mut world, Some(&sdp()));
    let invite = world.request_at(address(ANNA), Method::Invite);
    says(&mut world, ANNA, &invite, 200, Some(&anna_says()));
    world.request_at(address(ANNA), Method::Ack);
    let response = world.response_at(caller.at, 200);
    caller.ack(&mut world, &response, None);
    assert_eq!(body(&invite.body), sdp(), "the target is told the caller's own words");
    assert_eq!(body(&response.body), anna_says(), "and the caller the target's");
    world.inbox.clear();
    (world, caller, invite)
}

#[test]
fn the_two_hear_of_each_other_and_no_port_is_opened() {
    let (mut world, mut caller, _) = connected();
    caller.send(&mut world, "BYE", None);
    world.request_at(address(ANNA), Method::Bye);
    assert!(world.node().opened.is_empty() && world.node().commands.is_empty());
    world.assert_clean(2);
    assert!(world.node().records.iter().all(|record| record.status == Status::Completed && record.codec.is_none()));
}

#[test]
fn media_that_we_do_not_know_is_none_of_our_business() {
    let mut world = direct(&["sip:{called}@203.0.113.1"]);
    let mut caller = Caller::new();
    let strange = sdp().replace("RTP/AVP 0 101", "RTP/AVP 96").replace("rtpmap:0 PCMU/8000", "rtpmap:96 EVS/16000");
    caller.invite(&mut world, Some(&strange));
    let invite = world.request_at(address(ANNA), Method::Invite);
    assert_eq!(formats(&invite.body), "96");
    says(&mut world, ANNA, &invite, 486, None);
    world.response_at(caller.at, 486);
    world.assert_clean(2);
}

#[test]
fn early_media_of_the_only_target_are_told_and_those_of_one_among_many_are_not() {
    for (targets, code) in [(&["sip:a@203.0.113.1"][..], 183), (&["sip:a@203.0.113.1", "sip:b@203.0.113.2"], 180)] {
        let mut world = direct(targets);
        let mut caller = Caller::new();
        caller.invite(&mut world, Some(&sdp()));
        let invite = world.request_at(address(ANNA), Method::Invite);
        says(&mut world, ANNA, &invite, 183, Some(&anna_says()));
        let early = world.response_at(caller.at, code);
        assert_eq!(body(&early.body), if code == 183 { anna_says() } else { String::new() });
        // The answer itself says nothing: what came before stands.
        says(&mut world, ANNA, &invite, 200, None);
        let response = world.response_at(caller.at, 200);
        assert_eq!(body(&response.body), anna_says());
        if targets.len() > 1 {
            let second = world.request_at(address(BERT), Method::Invite);
            says(&mut world, BERT, &second, 180, None);
            let cancel = world.request_at(address(BERT), Method::Cancel);
            says(&mut world, BERT, &cancel, 200, None);
            says(&mut world, BERT, &second, 487, None);
        }
        caller.ack(&mut world, &response, None);
        caller.send(&mut world, "BYE", None);
        world.assert_clean(1 + targets.len());
    }
}

#[test]
fn a_hold_by_either_side_goes_to_the_other_and_its_answer_comes_back() {
    let (mut world, mut caller, invite) = connected();
    let held = sdp() + "a=sendonly\r\n";
    caller.send(&mut world, "INVITE", Some(("application/sdp", &held)));
    let again = world.request_at(address(ANNA), Method::Invite);
    assert_eq!(body(&again.body), held);
    assert!(!world.seen().iter().any(|seen| seen.ends_with("200 INVITE")), "not before Anna answered");
    let answer = anna_says() + "a=recvonly\r\n";
    says(&mut world, ANNA, &again, 200, Some(&answer));
    world.request_at(address(ANNA), Method::Ack);
    let response = world.response_at(caller.at, 200);
    assert_eq!(body(&response.body), answer);
    caller.ack(&mut world, &response, None);

    let resumed = anna_says() + "a=sendrecv\r\n";
    world.say(address(ANNA), from_anna(&invite, "UPDATE", 7, &resumed));
    world.settle();
    let asked = world.request_at(caller.at, Method::Invite);
    assert_eq!(body(&asked.body), resumed);
    world.say(caller.at, super::answer(&asked, 200, "anna", Some(&sdp())));
    world.settle();
    world.request_at(caller.at, Method::Ack);
    let updated = world.response_at(address(ANNA), 200);
    assert_eq!(body(&updated.body), sdp());
    caller.send(&mut world, "BYE", None);
    world.assert_clean(2);
}

#[test]
fn a_refused_change_is_refused_and_what_was_said_before_stands() {
    let (mut world, mut caller, _) = connected();
    let moved = sdp().replace("m=audio 4000", "m=audio 4444");
    caller.send(&mut world, "INVITE", Some(("application/sdp", &moved)));
    let again = world.request_at(address(ANNA), Method::Invite);
    says(&mut world, ANNA, &again, 488, None);
    world.response_at(caller.at, 488);
    caller.send(&mut world, "INVITE", Some(("application/sdp", &sdp())));
    let response = world.response_at(caller.at, 200);
    assert_eq!(body(&response.body), anna_says(), "a refresh says nothing new: nobody else is asked");
    assert!(!world.seen().iter().any(|seen| seen.starts_with(ANNA) && seen.ends_with("INVITE")));
    caller.ack(&mut world, &response, None);
    caller.send(&mut world, "BYE", None);
    world.assert_clean(2);
}

#[test]
fn a_change_that_waits_is_answered_when_the_other_one_hangs_up() {
    let (mut world, mut caller, invite) = connected();
    let moved = sdp().replace("m=audio 4000", "m=audio 4444");
    caller.send(&mut world, "INVITE", Some(("application/sdp", &moved)));
    world.request_at(address(ANNA), Method::Invite);
    world.say(address(ANNA), bye(&invite));
    world.settle();
    world.response_at(caller.at, 487);
    world.request_at(caller.at, Method::Bye);
    world.assert_clean(2);
}

#[test]
fn who_offers_nothing_anew_is_told_what_the_other_one_said_and_its_answer_goes_there() {
    let (mut world, mut caller, _) = connected();
    caller.send(&mut world, "INVITE", None);
    let response = world.response_at(caller.at, 200);
    assert_eq!(body(&response.body), anna_says());
    let moved = sdp().replace("m=audio 4000", "m=audio 4444");
    caller.ack(&mut world, &response, Some(&moved));
    let again = world.request_at(address(ANNA), Method::Invite);
    assert_eq!(body(&again.body), moved);
    says(&mut world, ANNA, &again, 200, Some(&anna_says()));
    caller.send(&mut world, "BYE", None);
    world.assert_clean(2);
}

#[test]
fn nobody_is_moved_out_of_such_a_call() {
    let mut world = direct(&["sip:{called}@203.0.113.1"]);
    world.input(
        0,
        Input::Configure(Box::new({
            let mut all = config(address("192.0.2.1:5060"));
            all.rules.transfer = TransferRule::All;
            let through = Through {
                targets: vec!["sip:a@203.0.113.1".into()],
                strategy: Strategy::All,
                timeout: secs(20),
                direct: true,
            };
            all.routes[0].service = Service::Through(Arc::new(through));
            all
        })),
    );
    let mut caller = Caller::new();
    caller.invite(&mut world, Some(&sdp()));
    let invite = world.request_at(address(ANNA), Method::Invite);
    says(&mut world, ANNA, &invite, 200, Some(&anna_says()));
    let response = world.response_at(caller.at, 200);
    caller.ack(&mut world, &response, None);
    let refer = caller.text("REFER", None, "Refer-To: <sip:x@203.0.113.9>\r\n").replace("CSeq: 1 ", "CSeq: 2 ");
    world.say(caller.at, refer);
    world.settle();
    world.response_at(caller.at, 603);
    caller.cseq = 2;
    caller.send(&mut world, "BYE", None);
    world.assert_clean(2);
}

#[test]
fn a_caller_without_an_offer_is_put_through_with_audio_by_us() {
    let mut world = direct(&["sip:{called}@203.0.113.1"]);
    let mut caller = Caller::new();
    caller.invite(&mut world, None);
    let invite = world.request_at(address(ANNA), Method::Invite);
    says(&mut world, ANNA, &invite, 200, Some(&anna_says()));
    let response = world.response_at(caller.at, 200);
    caller.ack(&mut world, &response, Some(&sdp()));
    assert_eq!(world.node().opened.len(), 2);
    caller.send(&mut world, "BYE", None);
    world.assert_clean(2);
}
