//! What a phone does with calls: it picks up, parks, fetches, transfers.

use super::*;

#[test]
fn a_colleague_picks_up_what_rings_the_phone() {
    let mut world = office();
    let mut anna = Device::new("anna", "198.51.100.7:5070");
    anna.register(&mut world, "");
    let (_, caller) = talking(&mut world, "bo", "198.51.100.20:5060");
    let (_, taker) = talking(&mut world, "anna", "198.51.100.21:5060");
    let early = world.ask(taker.flow, taker.call, Verb::Pickup { phone: "202".into() });
    assert_eq!(world.reply(early), Some(&Reply::Failed(Failure::Unreachable)), "bo's phone does not ring");
    let dial = ringing("201", 30);
    let dialled = world.ask(caller.flow, caller.call, Verb::Dial(dial));
    world.settle();
    let invite = world.request_at(anna.at, Method::Invite);
    world.say(anna.at, answer(&invite, 180, "anna", None));
    world.settle();
    world.ask(taker.flow, taker.call, Verb::Pickup { phone: "201".into() });
    world.settle();
    assert_eq!(world.reply(dialled), Some(&Reply::Dialed { call: taker.call, target: 0 }));
    assert_eq!(world.node().stops, [taker.flow], "the taker's script is over, its call is not");
    world.request_at(anna.at, Method::Cancel);
    let wait = world.ask(caller.flow, caller.call, Verb::Bridge { other: taker.call, stop_on: String::new() });
    world.settle();
    assert_eq!(world.reply(wait), None, "they talk");
}

#[test]
fn a_parked_call_is_fetched_once() {
    let mut world = office();
    let (_, parked) = talking(&mut world, "bo", "198.51.100.20:5060");
    let (_, taker) = talking(&mut world, "anna", "198.51.100.21:5060");
    let empty = world.ask(taker.flow, taker.call, Verb::Retrieve { slot: "701".into() });
    assert_eq!(world.reply(empty), Some(&Reply::Failed(Failure::Unreachable)));
    let park = Verb::Park { slot: "701".into(), timeout: secs(60) };
    let waiting = world.ask(parked.flow, parked.call, park.clone());
    let taken = world.ask(taker.flow, taker.call, park.clone());
    assert_eq!(world.reply(taken), Some(&Reply::Failed(Failure::Busy)), "one call a slot");
    world.ask(taker.flow, taker.call, Verb::Retrieve { slot: "701".into() });
    assert_eq!(world.reply(waiting), Some(&Reply::Dialed { call: taker.call, target: 0 }));
    assert_eq!(world.node().stops, [taker.flow]);
    let again = world.ask(parked.flow, parked.call, park);
    world.run(secs(61));
    assert_eq!(world.reply(again), Some(&Reply::Failed(Failure::NoAnswer)), "nobody came");
}

#[test]
fn where_a_call_is_parked_and_who_fetched_it_is_told() {
    let mut world = office();
    let (_, parked) = talking(&mut world, "bo", "198.51.100.20:5060");
    let (_, taker) = talking(&mut world, "anna", "198.51.100.21:5060");
    let park = || Verb::Park { slot: "701".into(), timeout: secs(60) };
    world.nodes[0].happenings.clear();
    world.ask(parked.flow, parked.call, park());
    world.run(secs(61));
    world.ask(parked.flow, parked.call, park());
    world.ask(taker.flow, taker.call, Verb::Retrieve { slot: "701".into() });
    world.settle();
    let happenings = std::mem::take(&mut world.nodes[0].happenings);
    let parkings = |kind: &str| kind.ends_with("parked");
    let told: Vec<_> = happenings.iter().filter(|one| parkings(one.what.kind())).collect();
    let slot = || "701".to_owned();
    let taker = happenings.iter().filter_map(|one| one.call.clone()).find(|call| Some(call) != told[0].call.as_ref());
    let whats: Vec<_> = told.iter().map(|one| one.what.clone()).collect();
    let want = [
        Happened::Parked { slot: slot() },
        Happened::Unparked { slot: slot(), by: None },
        Happened::Parked { slot: slot() },
        Happened::Unparked { slot: slot(), by: taker },
    ];
    assert_eq!(whats, want);
    assert!(told.iter().all(|one| one.call == told[0].call), "{told:?}");
    let Happened::Unparked { by: Some(_), .. } = &whats[3] else { panic!("{whats:?}") };
}

#[test]
fn who_is_parked_hears_music_until_it_is_fetched() {
    let mut world = office();
    let (_, parked) = talking(&mut world, "bo", "198.51.100.20:5060");
    let (_, taker) = talking(&mut world, "anna", "198.51.100.21:5060");
    world.nodes[0].commands.clear();
    world.ask(parked.flow, parked.call, Verb::Park { slot: "701".into(), timeout: secs(60) });
    assert_eq!(world.commands(), ["Play"]);
    world.ask(taker.flow, taker.call, Verb::Retrieve { slot: "701".into() });
    world.settle();
    assert!(world.commands().contains(&"Stop"), "{:?}", world.commands());
    world.nodes[0].commands.clear();
    let (_, parked) = talking(&mut world, "bo", "198.51.100.24:5060");
    world.ask(parked.flow, parked.call, Verb::Park { slot: "701".into(), timeout: secs(5) });
    world.run(secs(6));
    assert_eq!(world.commands().last(), Some(&"Stop"), "nobody came: the script plays what it likes");
}

#[test]
fn a_phone_that_proved_itself_may_transfer_and_a_guest_may_not() {
    for (proven, code) in [(true, 202), (false, 603)] {
        let mut world = office();
        if !proven {
            world = World::new();
        }
        let (device, start) = match proven {
            true => talking(&mut world, "bo", "198.51.100.20:5060"),
            false => {
                let (answered, caller, flow, call) = answered();
                world = answered;
                let mut start = world.node().starts[0].clone();
                (start.flow, start.call) = (flow, call);
                let device = Device { call_id: caller.call_id.clone(), ..Device::new("anna", PHONE) };
                (device, start)
            }
        };
        let (dialled, invite) = rung(&mut world, &start, "sip:c@198.51.100.40", address("198.51.100.40:5060"));
        world.say(address("198.51.100.40:5060"), answer(&invite, 200, "anna", Some(&sdp())));
        world.settle();
        assert!(matches!(world.reply(dialled), Some(Reply::Dialed { .. })));
        let tag = world.said.iter().find_map(|message| match message {
            Message::Response(response) if response.headers.call_id == device.call_id && response.code == 200 => {
                response.headers.to.tag().map(str::to_owned)
            }
            _ => None,
        });
        let from = if proven { "fbo" } else { "anna" };
        let refer = format!(
            "REFER sip:100@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 10.9.9.9;rport;branch=z9hG4bKrefer\r\nFrom: \
             <sip:x@192.0.2.1>;tag={from}\r\nTo: <sip:100@192.0.2.1>;tag={}\r\nCall-ID: {}\r\nCSeq: 50 REFER\r\n\
             Max-Forwards: 70\r\nContact: <sip:x@{}>\r\nRefer-To: <sip:d@198.51.100.41>\r\nContent-Length: 0\r\n\r\n",
            tag.unwrap(),
            device.call_id,
            device.at,
        );
        world.say(device.at, refer);
        world.settle();
        world.response_at(device.at, code);
    }
}

#[test]
fn a_phone_that_was_rung_parks_its_caller_with_a_key() {
    let mut world = office();
    let (_, caller) = talking(&mut world, "bo", "198.51.100.20:5060");
    let callee = address("198.51.100.40:5060");
    let (dialled, invite) = rung(&mut world, &caller, "sip:c@198.51.100.40", callee);
    world.say(callee, answer(&invite, 200, "anna", Some(&sdp())));
    world.settle();
    let Some(Reply::Dialed { call: leg, .. }) = world.reply(dialled).cloned() else { panic!("not dialled") };
    let talk = world.ask(caller.flow, leg, Verb::Bridge { other: caller.call, stop_on: "#".into() });
    world.key(0, '#');
    assert_eq!(world.reply(talk), None, "the caller's keys do not count");
    world.key(1, '#');
    assert_eq!(world.reply(talk), Some(&Reply::Left(verbs::LeaveReason::Key('#'))));
    let gone = world.ask(caller.flow, leg, Verb::Hangup);
    assert_eq!(world.reply(gone), Some(&Reply::Done));
    let park = world.ask(caller.flow, caller.call, Verb::Park { slot: "201".into(), timeout: secs(60) });
    world.settle();
    assert_eq!((world.reply(park), world.commands().last()), (None, Some(&"Play")), "it waits, and hears music");
}
