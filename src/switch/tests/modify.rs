use super::*;
use crate::media::Stream;

/// The last agreement that the engine was told.
fn agreed(world: &World) -> &Stream {
    let mut updates = world.node().commands.iter().rev();
    let last = updates.find_map(|(_, command)| match command {
        Command::Update { stream, .. } => Some(stream),
        _ => None,
    });
    last.expect("something is agreed")
}

fn reinvite(world: &mut World, caller: &mut Caller, body: &str) -> Response {
    caller.send(world, "INVITE", Some(("application/sdp", body)));
    let response = world.response_at(caller.at, 200);
    caller.ack(world, &response, None);
    response
}

#[test]
fn a_peer_may_hold_resume_and_move_its_port() {
    let (mut world, mut caller, _, _) = answered();
    let held = reinvite(&mut world, &mut caller, &(sdp() + "a=sendonly\r\n"));
    assert!(String::from_utf8_lossy(&held.body).contains("a=recvonly"));
    assert!(!agreed(&world).sending && agreed(&world).receiving);

    let held = reinvite(&mut world, &mut caller, &sdp().replace("c=IN IP4 198.51.100.7", "c=IN IP4 0.0.0.0"));
    assert!(!held.body.is_empty());
    assert!(!agreed(&world).sending);

    let resumed = reinvite(&mut world, &mut caller, &sdp());
    assert!(!String::from_utf8_lossy(&resumed.body).contains("only"));
    assert!(agreed(&world).sending && agreed(&world).receiving);

    reinvite(&mut world, &mut caller, &sdp_at("198.51.100.8", 4444));
    assert_eq!(agreed(&world).remote, Some(address("198.51.100.8:4444")));
}

#[test]
fn each_description_of_ours_has_a_new_version_of_the_same_session() {
    let (mut world, mut caller, _, _) = answered();
    let origin = |response: &Response| {
        let body = String::from_utf8_lossy(&response.body).into_owned();
        let line = body.lines().find(|line| line.starts_with("o=")).unwrap();
        let mut words = line.split(' ').skip(1).map(|word| word.parse::<u64>().unwrap_or(0));
        (words.next().unwrap(), words.next().unwrap())
    };
    let first = origin(&reinvite(&mut world, &mut caller, &sdp()));
    let second = origin(&reinvite(&mut world, &mut caller, &sdp_at("198.51.100.8", 4444)));
    assert_eq!(first.0, second.0);
    assert!(second.1 > first.1);
}

#[test]
fn a_reinvite_without_offer_gets_ours_and_answers_in_the_ack() {
    let (mut world, mut caller, _, _) = answered();
    caller.send(&mut world, "INVITE", None);
    let response = world.response_at(caller.at, 200);
    assert!(String::from_utf8_lossy(&response.body).contains("m=audio 10002"));
    caller.ack(&mut world, &response, Some(&sdp_at("198.51.100.7", 4008)));
    assert_eq!(agreed(&world).remote, Some(address("198.51.100.7:4008")));
}

#[test]
fn an_offer_without_a_common_codec_leaves_the_session_as_it_was() {
    let (mut world, mut caller, _, _) = answered();
    let body = sdp().replace("RTP/AVP 0 101", "RTP/AVP 18").replace("a=rtpmap:0 PCMU/8000\r\n", "");
    caller.send(&mut world, "INVITE", Some(("application/sdp", &body)));
    assert!(world.response_at(caller.at, 488).headers.get("Warning").is_some());
    assert_eq!(agreed(&world).remote, Some(address("198.51.100.7:4000")));
    caller.send(&mut world, "BYE", None);
    world.response_at(caller.at, 200);
}

#[test]
fn a_reinvite_while_another_one_is_open_gets_491() {
    let (mut world, mut caller, _, _) = answered();
    caller.send(&mut world, "INVITE", None);
    let response = world.response_at(caller.at, 200);
    caller.send(&mut world, "INVITE", Some(("application/sdp", &sdp())));
    world.response_at(caller.at, 491);
    caller.ack(&mut world, &response, Some(&sdp()));
    caller.cseq += 1;
    reinvite(&mut world, &mut caller, &sdp());
}

#[test]
fn a_reinvite_whose_ack_never_comes_ends_the_call() {
    let (mut world, mut caller, _, _) = answered();
    caller.send(&mut world, "INVITE", Some(("application/sdp", &sdp())));
    world.run(secs(33));
    world.request_at(caller.at, Method::Bye);
    world.assert_clean(1);
    assert_eq!(world.node().records[0].end_reason, EndReason::TelephonyError);
}

#[test]
fn requests_out_of_order_or_out_of_place_are_refused() {
    let (mut world, mut caller, _, _) = answered();
    caller.cseq = 9;
    caller.send(&mut world, "OPTIONS", None);
    assert!(world.response_at(caller.at, 200).headers.get("Allow").is_some());
    caller.cseq = 4;
    caller.send(&mut world, "OPTIONS", None);
    world.response_at(caller.at, 500);
    caller.cseq = 20;
    caller.send(&mut world, "REFER", None);
    world.response_at(caller.at, 603);
    caller.send(&mut world, "PUBLISH", None);
    world.response_at(caller.at, 405);
    let tag = caller.to_tag.replace("stranger".into());
    caller.send(&mut world, "BYE", None);
    world.response_at(caller.at, 481);
    caller.to_tag = tag;
    let text = caller.text("BYE", None, "").replace("tag=anna", "tag=eve");
    world.say(caller.at, text);
    world.settle();
    world.response_at(caller.at, 481);
    assert_eq!(world.node().switch.counts().calls, 1);
}

#[test]
fn a_bye_that_is_resent_is_answered_again() {
    let (mut world, mut caller, _, _) = answered();
    caller.cseq += 1;
    let bye = caller.text("BYE", None, "");
    for _ in 0..3 {
        world.say(caller.at, bye.clone());
        world.settle();
        world.response_at(caller.at, 200);
    }
    world.assert_clean(1);
}

#[test]
fn our_bye_is_resent_when_it_is_lost_and_given_up_in_the_end() {
    let (mut world, caller, flow, _) = answered();
    world.lose = Box::new(|text| text.starts_with("BYE"));
    world.end_flow(flow, FlowEnd::Finished);
    world.run(secs(2));
    world.lose = Box::new(|_| false);
    world.run(secs(4));
    let bye = world.request_at(caller.at, Method::Bye);
    assert_eq!(bye.uri.to_string(), format!("sip:anna@{PHONE}"));
    world.assert_clean(1);
    let record = &world.node().records[0];
    assert_eq!((record.status, record.end_reason), (Status::Completed, EndReason::AgentCompleted));
}
