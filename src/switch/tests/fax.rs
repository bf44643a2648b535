//! Audio gives way to a fax, and comes back.

use super::{
    hold::{bridged, bridged_in},
    transfer::Phone,
    *,
};

const B: &str = "203.0.113.1:5060";

/// A description of a fax.
pub(super) fn fax(ip: &str, port: u16, rate: u32) -> String {
    format!(
        "v=0\r\no=- 1 2 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=image {port} udptl t38\r\n\
         a=T38FaxVersion:0\r\na=T38MaxBitRate:{rate}\r\na=T38FaxUdpEC:t38UDPRedundancy\r\n"
    )
}

pub(super) fn text(body: &[u8]) -> String {
    String::from_utf8_lossy(body).into_owned()
}

/// Where each port passes datagrams on to, in order of the commands.
pub(super) fn passed(world: &World) -> Vec<SocketAddr> {
    let remotes = world.node().commands.iter().filter_map(|(_, command)| match command {
        Command::Pass { remote, .. } => Some(*remote),
        _ => None,
    });
    remotes.collect()
}

pub(super) fn invites(world: &World, at: &str) -> usize {
    world.seen().iter().filter(|seen| **seen == format!("{at} INVITE")).count()
}

fn says(world: &mut World, request: &SipRequest, code: u16, body: Option<&str>) {
    world.say(address(B), answer(request, code, "b", body));
    world.settle();
}

/// The caller wants a fax, and B is asked for it.
fn wanted() -> (World, Caller, FlowId, SipRequest, SipRequest) {
    let (mut world, mut caller, flow, _, _, invite) = bridged();
    caller.send(&mut world, "INVITE", Some(("application/sdp", &fax("198.51.100.7", 4444, 14_400))));
    let asked = world.request_at(address(B), Method::Invite);
    (world, caller, flow, invite, asked)
}

/// Both have it.
fn on() -> (World, Caller, FlowId, SipRequest) {
    let (mut world, mut caller, flow, invite, asked) = wanted();
    says(&mut world, &asked, 200, Some(&fax("203.0.113.1", 7000, 9600)));
    world.request_at(address(B), Method::Ack);
    let response = world.response_at(caller.at, 200);
    caller.ack(&mut world, &response, None);
    world.inbox.clear();
    (world, caller, flow, invite)
}

fn end(mut world: World, mut caller: Caller, flow: FlowId) {
    caller.cseq += 1;
    caller.send(&mut world, "BYE", None);
    world.end_flow(flow, FlowEnd::Finished);
    world.assert_clean(2);
}

#[test]
fn each_is_told_of_the_others_fax_with_our_address_and_both_are_passed_on() {
    let (mut world, mut caller, flow, _, asked) = wanted();
    let said = |rate| format!("a=T38FaxVersion:0\r\na=T38MaxBitRate:{rate}\r\na=T38FaxUdpEC:t38UDPRedundancy\r\n");
    assert!(text(&asked.body).contains("c=IN IP4 192.0.2.1\r\n") && text(&asked.body).ends_with(&said(14_400)));
    assert!(!world.seen().iter().any(|seen| seen.ends_with("200 INVITE")), "not before B agreed");
    assert_eq!(passed(&world), []);
    says(&mut world, &asked, 200, Some(&fax("203.0.113.1", 7000, 9600)));
    world.request_at(address(B), Method::Ack);
    let response = world.response_at(caller.at, 200);
    assert!(text(&response.body).contains("c=IN IP4 192.0.2.1\r\n") && text(&response.body).ends_with(&said(9600)));
    assert_eq!(passed(&world), [address("203.0.113.1:7000"), address("198.51.100.7:4444")]);
    caller.ack(&mut world, &response, None);
    end(world, caller, flow);
}

#[test]
fn the_called_party_may_begin_it_as_answering_machines_for_faxes_do() {
    let (mut world, caller, flow, _, _, invite) = bridged();
    let mut phone = Phone::new(B, &invite, "b");
    phone.send(&mut world, Method::Invite, &[("Content-Type", "application/sdp")], &fax("203.0.113.1", 7000, 9600));
    let asked = world.request_at(caller.at, Method::Invite);
    world.say(caller.at, answer(&asked, 200, "anna", Some(&fax("198.51.100.7", 4444, 14_400))));
    world.settle();
    assert_eq!(passed(&world), [address("198.51.100.7:4444"), address("203.0.113.1:7000")]);
    world.response_at(address(B), 200);
    end(world, caller, flow);
}

#[test]
fn whoever_refuses_a_fax_stays_with_audio_and_the_other_gets_488() {
    for (code, body) in [(488, None), (200, Some(fax("203.0.113.1", 0, 9600)))] {
        let (mut world, caller, flow, _, asked) = wanted();
        says(&mut world, &asked, code, body.as_deref());
        world.request_at(address(B), Method::Ack);
        let refused = world.response_at(caller.at, 488);
        assert!(refused.headers.get("Warning").is_some_and(|why| why.contains("wants no fax")));
        assert_eq!(passed(&world), []);
        if code == 200 {
            let again = world.request_at(address(B), Method::Invite);
            assert!(text(&again.body).contains("m=audio 1000"), "it has no media now: {}", text(&again.body));
            says(&mut world, &again, 200, Some(&sdp_at("203.0.113.1", 4100)));
        }
        assert_eq!(invites(&world, B), 0);
        end(world, caller, flow);
    }
}

#[test]
fn without_another_party_or_where_it_may_not_be_it_is_refused_at_once() {
    let (mut world, mut caller, ..) = answered();
    caller.send(&mut world, "INVITE", Some(("application/sdp", &fax("198.51.100.7", 4444, 14_400))));
    world.response_at(caller.at, 488);
    let changes: [fn(&mut Config); 2] =
        [|config| config.rules.fax = false, |config| config.rules.hold = HoldRule::Relay];
    for (change, refused) in changes.into_iter().zip([true, false]) {
        let (mut world, mut caller, ..) = bridged_in(World::with(change));
        caller.send(&mut world, "INVITE", Some(("application/sdp", &fax("198.51.100.7", 4444, 14_400))));
        assert_eq!(invites(&world, B) == 0, refused);
        if refused {
            world.response_at(caller.at, 488);
        }
    }
    let (mut world, mut caller, ..) = bridged();
    caller.send(&mut world, "INVITE", Some(("application/sdp", &fax("0.0.0.0", 4444, 14_400))));
    world.response_at(caller.at, 488);
}

#[test]
fn audio_that_one_of_them_offers_again_comes_back_on_both_sides() {
    let (mut world, mut caller, flow, _) = on();
    world.nodes[0].commands.clear();
    caller.cseq += 1;
    caller.send(&mut world, "INVITE", Some(("application/sdp", &sdp())));
    let response = world.response_at(caller.at, 200);
    assert!(text(&response.body).contains("m=audio 1000"));
    caller.ack(&mut world, &response, None);
    let asked = world.request_at(address(B), Method::Invite);
    assert!(text(&asked.body).contains("m=audio 1000") && !text(&asked.body).contains("image"));
    says(&mut world, &asked, 200, Some(&sdp_at("203.0.113.1", 4100)));
    assert_eq!(world.commands(), ["Update", "Update"]);
    end(world, caller, flow);
}

#[test]
fn a_refresh_in_the_midst_of_a_fax_describes_the_fax_and_asks_nobody_else() {
    let (mut world, mut caller, flow, _) = on();
    for (body, says) in [(Some(fax("198.51.100.8", 4446, 14_400)), true), (None, false)] {
        caller.cseq += 1;
        caller.send(&mut world, "INVITE", body.as_ref().map(|body| ("application/sdp", body.as_str())));
        let response = world.response_at(caller.at, 200);
        assert!(text(&response.body).contains("udptl t38\r\na=T38FaxVersion:0\r\na=T38MaxBitRate:9600"));
        caller.ack(&mut world, &response, (!says).then(|| fax("198.51.100.8", 4446, 14_400)).as_deref());
    }
    assert_eq!(invites(&world, B), 0);
    assert_eq!(passed(&world).last(), Some(&address("198.51.100.8:4446")), "it moved");
    // A hold waits until the fax is over: the party is told of the fax again.
    let hold = world.ask(flow, world.node().starts[0].call, Verb::Hold { music: None });
    world.settle();
    let asked = world.request_at(caller.at, Method::Invite);
    assert!(text(&asked.body).contains("udptl t38"));
    world.say(caller.at, answer(&asked, 200, "anna", Some(&fax("198.51.100.8", 4446, 14_400))));
    world.settle();
    assert_eq!(world.reply(hold), Some(&Reply::Done));
    caller.cseq += 1;
    end(world, caller, flow);
}

#[test]
fn who_waits_for_a_fax_is_answered_when_either_hangs_up() {
    for by_caller in [true, false] {
        let (mut world, mut caller, flow, invite, asked) = wanted();
        if by_caller {
            caller.send(&mut world, "BYE", None);
            world.response_at(caller.at, 487);
        } else {
            let mut phone = Phone::new(B, &invite, "b");
            phone.send(&mut world, Method::Bye, &[], "");
            world.response_at(caller.at, 488);
            caller.cseq += 1;
            caller.send(&mut world, "BYE", None);
        }
        says(&mut world, &asked, 200, Some(&fax("203.0.113.1", 7000, 9600)));
        world.end_flow(flow, FlowEnd::Finished);
        world.assert_clean(2);
    }
}

#[test]
fn whoever_is_alone_after_a_fax_gets_audio_again() {
    let (mut world, caller, flow, invite) = on();
    let mut phone = Phone::new(B, &invite, "b");
    phone.send(&mut world, Method::Bye, &[], "");
    assert_eq!(invites(&world, PHONE), 0, "it may be hung up at once");
    world.run(millis(600));
    let asked = world.request_at(caller.at, Method::Invite);
    assert!(text(&asked.body).contains("m=audio 1000"), "{}", text(&asked.body));
    world.say(caller.at, answer(&asked, 200, "anna", Some(&sdp())));
    world.settle();
    assert_eq!(world.commands().last(), Some(&"Update"));
    end(world, caller, flow);
}

#[test]
fn a_second_wish_while_the_first_waits_is_told_to_come_back() {
    let (mut world, mut caller, flow, invite, asked) = wanted();
    caller.send(&mut world, "INVITE", Some(("application/sdp", &sdp())));
    world.response_at(caller.at, 491);
    let mut phone = Phone::new(B, &invite, "b");
    phone.send(&mut world, Method::Invite, &[("Content-Type", "application/sdp")], &fax("203.0.113.1", 7000, 9600));
    world.response_at(address(B), 491);
    says(&mut world, &asked, 488, None);
    world.response_at(caller.at, 488);
    end(world, caller, flow);
}
