//! Calls that begin with a fax.

use super::{
    fax::{fax, invites, passed, text},
    through::{bye, says, world as put_through},
    *,
};

const ANNA: &str = "203.0.113.1:5060";
const BERT: &str = "203.0.113.2:5060";

/// Beside audio.
fn both() -> String {
    format!("{}m=image 4444 udptl t38\r\na=T38MaxBitRate:14400\r\n", sdp())
}

fn theirs() -> String {
    fax("203.0.113.1", 7000, 9600)
}

fn to_anna() -> World {
    put_through(&["sip:a@203.0.113.1"], Strategy::All, false)
}

/// The caller offers `offer`, and Anna is invited.
fn called(mut world: World, offer: &str) -> (World, Caller, SipRequest) {
    let mut caller = Caller::new();
    caller.invite(&mut world, Some(offer));
    let invite = world.request_at(address(ANNA), Method::Invite);
    (world, caller, invite)
}

fn lines(body: &[u8]) -> Vec<String> {
    text(body).lines().filter(|line| line.starts_with("m=")).map(str::to_owned).collect()
}

fn end(mut world: World, mut caller: Caller) {
    caller.cseq += 1;
    caller.send(&mut world, "BYE", None);
    world.assert_clean(2);
}

#[test]
fn a_call_that_is_nothing_but_a_fax_is_put_through_and_each_is_told_of_the_others() {
    let (mut world, mut caller, invite) = called(to_anna(), &fax("198.51.100.7", 4444, 14_400));
    let said = |rate| format!("a=T38FaxVersion:0\r\na=T38MaxBitRate:{rate}\r\na=T38FaxUdpEC:t38UDPRedundancy\r\n");
    assert_eq!(lines(&invite.body).len(), 1, "no audio: {}", text(&invite.body));
    assert!(text(&invite.body).contains("c=IN IP4 192.0.2.1\r\n") && text(&invite.body).ends_with(&said(14_400)));
    says(&mut world, ANNA, &invite, 180, None);
    world.response_at(caller.at, 180);
    says(&mut world, ANNA, &invite, 200, Some(&theirs()));
    world.request_at(address(ANNA), Method::Ack);
    let response = world.response_at(caller.at, 200);
    assert!(text(&response.body).contains("c=IN IP4 192.0.2.1\r\n") && text(&response.body).ends_with(&said(9600)));
    assert_eq!(passed(&world), [address("203.0.113.1:7000"), address("198.51.100.7:4444")]);
    caller.ack(&mut world, &response, None);
    let joins = world.node().commands.iter().filter(|(_, c)| matches!(c, Command::Join { .. }));
    assert_eq!(joins.count(), 2, "what one sends goes to the other");
    end(world, caller);
}

#[test]
fn a_fax_that_the_target_describes_before_its_answer_is_there_at_the_answer() {
    let (mut world, mut caller, invite) = called(to_anna(), &fax("198.51.100.7", 4444, 14_400));
    says(&mut world, ANNA, &invite, 183, Some(&theirs()));
    world.response_at(caller.at, 180);
    says(&mut world, ANNA, &invite, 200, None);
    let response = world.response_at(caller.at, 200);
    assert_eq!(passed(&world), [address("203.0.113.1:7000"), address("198.51.100.7:4444")]);
    caller.ack(&mut world, &response, None);
    end(world, caller);
}

#[test]
fn a_caller_with_nothing_but_a_fax_gets_488_where_nobody_takes_it() {
    // A target that answers with audio, or with nothing; one that refuses; one that may not have it.
    for (code, body) in
        [(200, Some(sdp_at("203.0.113.1", 4100))), (200, Some(fax("203.0.113.1", 0, 9600))), (488, None)]
    {
        let (mut world, mut caller, invite) = called(to_anna(), &fax("198.51.100.7", 4444, 14_400));
        says(&mut world, ANNA, &invite, code, body.as_deref());
        world.response_at(caller.at, 488);
        assert_eq!(passed(&world), []);
        if code == 200 {
            let bye = world.request_at(address(ANNA), Method::Bye);
            says(&mut world, ANNA, &bye, 200, None);
        }
        caller.cseq = 1;
        world.assert_clean(2);
    }
    let forbids: [fn(&mut Config); 2] =
        [|config| config.rules.fax = false, |config| config.security.policy = crate::sdp::Policy::Required];
    for forbid in forbids {
        let mut world = World::with(forbid);
        let mut caller = Caller::new();
        caller.invite(&mut world, Some(&fax("198.51.100.7", 4444, 14_400)));
        let refused = world.response_at(caller.at, 488);
        assert!(refused.headers.get("Warning").is_some_and(|why| why.contains("fax")), "{refused:?}");
        assert!(world.node().starts.is_empty(), "no script hears of it");
        world.assert_clean(1);
    }
}

#[test]
fn a_script_cannot_take_a_fax_by_itself_but_may_dial_for_it() {
    let mut world = World::new();
    let mut caller = Caller::new();
    caller.invite(&mut world, Some(&fax("198.51.100.7", 4444, 14_400)));
    let start = world.node().starts[0].clone();
    let early = world.ask(start.flow, start.call, Verb::Progress);
    world.settle();
    assert!(matches!(world.reply(early), Some(Reply::Failed(Failure::Media(_)))), "{:?}", world.reply(early));
    let dial = world.ask(start.flow, start.call, Verb::Dial(ringing(&format!("sip:a@{ANNA}"), 20)));
    world.settle();
    let invite = world.request_at(address(ANNA), Method::Invite);
    says(&mut world, ANNA, &invite, 486, None);
    assert_eq!(world.reply(dial), Some(&Reply::Failed(Failure::Busy)));
    world.ask(start.flow, start.call, Verb::Answer);
    world.settle();
    let refused = world.response_at(caller.at, 488);
    assert!(refused.headers.get("Warning").is_some_and(|why| why.contains("needs another party")), "{refused:?}");
    world.end_flow(start.flow, FlowEnd::Stopped);
    world.assert_clean(2);
}

#[test]
fn beside_audio_the_target_chooses_and_the_caller_gets_the_same() {
    let image = "m=image 0 udptl t38";
    for (answer, caller_gets) in [
        (format!("{}{image}\r\n", sdp_at("203.0.113.1", 4100)), "audio"),
        (theirs().replace("m=image", "m=audio 0 RTP/AVP 0\r\nm=image"), "fax"),
    ] {
        let (mut world, mut caller, invite) = called(to_anna(), &both());
        let offered = lines(&invite.body);
        assert!(offered[0].starts_with("m=audio 1000") && offered[1].starts_with("m=image 1000"), "{offered:?}");
        says(&mut world, ANNA, &invite, 200, Some(&answer));
        let response = world.response_at(caller.at, 200);
        let told = lines(&response.body);
        if caller_gets == "audio" {
            assert!(told[0].starts_with("m=audio 1000") && told[1] == image, "{told:?}");
            assert_eq!(passed(&world), []);
        } else {
            assert!(told[0].starts_with("m=audio 0 ") && told[1].starts_with("m=image 1000"), "{told:?}");
            assert_eq!(passed(&world), [address("203.0.113.1:7000"), address("198.51.100.7:4444")]);
        }
        caller.ack(&mut world, &response, None);
        assert_eq!(invites(&world, ANNA), 0, "all is said");
        end(world, caller);
    }
}

#[test]
fn a_target_that_takes_audio_and_fax_is_asked_to_do_without_the_fax() {
    let (mut world, mut caller, invite) = called(to_anna(), &both());
    let takes = format!("{}m=image 7000 udptl t38\r\n", sdp_at("203.0.113.1", 4100));
    says(&mut world, ANNA, &invite, 200, Some(&takes));
    let again = world.request_at(address(ANNA), Method::Invite);
    let offered = lines(&again.body);
    assert!(offered[0].starts_with("m=audio 1000") && offered[1] == "m=image 0 udptl t38", "{offered:?}");
    says(&mut world, ANNA, &again, 200, Some(&sdp_at("203.0.113.1", 4100)));
    let response = world.response_at(caller.at, 200);
    caller.ack(&mut world, &response, None);
    assert_eq!(passed(&world), []);
    end(world, caller);
}

#[test]
fn a_caller_who_has_audio_by_then_keeps_it_and_the_target_gets_it_too() {
    let (mut world, mut caller, invite) = called(to_anna(), &both());
    says(&mut world, ANNA, &invite, 183, Some(&sdp_at("203.0.113.1", 4100)));
    let early = world.response_at(caller.at, 183);
    assert!(lines(&early.body)[0].starts_with("m=audio 1000"));
    let chooses = theirs().replace("m=image", "m=audio 0 RTP/AVP 0\r\nm=image");
    says(&mut world, ANNA, &invite, 200, Some(&chooses));
    let again = world.request_at(address(ANNA), Method::Invite);
    assert!(lines(&again.body)[0].starts_with("m=audio 1000"), "{}", text(&again.body));
    says(&mut world, ANNA, &again, 200, Some(&sdp_at("203.0.113.1", 4100)));
    let response = world.response_at(caller.at, 200);
    assert!(lines(&response.body)[0].starts_with("m=audio 1000"));
    caller.ack(&mut world, &response, None);
    end(world, caller);
}

#[test]
fn audio_may_follow_a_fax_that_the_call_began_with() {
    let (mut world, mut caller, invite) = called(to_anna(), &fax("198.51.100.7", 4444, 14_400));
    says(&mut world, ANNA, &invite, 200, Some(&theirs()));
    let response = world.response_at(caller.at, 200);
    caller.ack(&mut world, &response, None);
    world.inbox.clear();
    caller.cseq += 1;
    caller.send(&mut world, "INVITE", Some(("application/sdp", &sdp())));
    let response = world.response_at(caller.at, 200);
    assert!(text(&response.body).contains("m=audio 1000"));
    caller.ack(&mut world, &response, None);
    let asked = world.request_at(address(ANNA), Method::Invite);
    assert_eq!(lines(&asked.body).len(), 1, "in the place of the fax: {}", text(&asked.body));
    assert!(lines(&asked.body)[0].contains("RTP/AVP 0 "), "with our codecs: {}", text(&asked.body));
    says(&mut world, ANNA, &asked, 200, Some(&sdp_at("203.0.113.1", 4100)));
    assert_eq!(world.commands().iter().filter(|name| **name == "Update").count(), 2);
    end(world, caller);
}

#[test]
fn of_several_targets_the_one_that_answers_first_has_the_fax() {
    let world = put_through(&["sip:a@203.0.113.1", "sip:b@203.0.113.2"], Strategy::All, false);
    let (mut world, mut caller, invite) = called(world, &fax("198.51.100.7", 4444, 14_400));
    let other = world.request_at(address(BERT), Method::Invite);
    assert_eq!(lines(&other.body).len(), 1);
    says(&mut world, BERT, &other, 486, None);
    says(&mut world, ANNA, &invite, 200, Some(&theirs()));
    let response = world.response_at(caller.at, 200);
    caller.ack(&mut world, &response, None);
    world.say(address(ANNA), bye(&invite));
    world.settle();
    world.request_at(caller.at, Method::Bye);
    world.assert_clean(3);
}
