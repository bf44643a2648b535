//! What the operator asks of rooms, without naming a call.

use super::{
    aside::{order, told},
    *,
};
use crate::{ids::BridgeId, verbs::RoomOrder};

/// Two parties in a room.
fn two() -> (World, [(Caller, FlowId); 2]) {
    let mut world = World::new();
    let second = Caller { at: address("203.0.113.9:5060"), call_id: "def@phone".into(), ..Caller::new() };
    let parties = [Caller::new(), second].map(|caller| {
        let (caller, flow, call) = answer_one(&mut world, caller);
        let room = Verb::Join { room: "team".into(), stop_on: String::new(), muted: false, entry: Default::default() };
        world.ask(flow, call, room);
        world.settle();
        (caller, flow)
    });
    (world, parties)
}

fn tape() -> Verb {
    Verb::Record(Record { file: Some("t".into()), room: Some("team".into()), ..mixed() })
}

fn rooms(world: &mut World, id: u64) -> Vec<(String, usize, Vec<RecordingId>)> {
    order(world, id, CallId::NONE, Verb::Room(RoomOrder::Rooms));
    match told(world, id)[..] {
        [Reply::Rooms(rooms)] => rooms.iter().map(|r| (r.room.clone(), r.members, r.recordings.clone())).collect(),
        ref other => panic!("{other:?}"),
    }
}

fn leave(world: &mut World, (caller, flow): &mut (Caller, FlowId)) {
    caller.cseq += 1;
    caller.send(world, "BYE", None);
    world.end_flow(*flow, FlowEnd::Finished);
    world.settle();
}

#[test]
fn a_room_is_recorded_by_nobodys_call_and_goes_on_when_who_was_first_leaves() {
    let (mut world, mut parties) = two();
    assert_eq!(rooms(&mut world, 1), [("team".to_owned(), 2, vec![])]);
    order(&mut world, 2, CallId::NONE, tape());
    let [Reply::Recording(recording)] = told(&world, 2)[..] else { panic!("{:?}", told(&world, 2)) };
    let recording = *recording;
    let bridge = world.node().commands.iter().find_map(|(_, command)| match command {
        Command::RecordBridge { bridge, .. } => Some(*bridge),
        _ => None,
    });
    assert!(bridge.is_some_and(|bridge: BridgeId| bridge.0 > 0));
    leave(&mut world, &mut parties[0]);
    assert_eq!(rooms(&mut world, 3), [("team".to_owned(), 1, vec![recording])]);
    order(&mut world, 4, CallId::NONE, Verb::RecordAs { recording, mode: RecordMode::Mask });
    assert_eq!(told(&world, 4), [&Reply::Done]);
    order(&mut world, 5, CallId::NONE, Verb::RecordStop { recording });
    assert!(matches!(told(&world, 5)[..], [Reply::Recorded { .. }]), "{:?}", told(&world, 5));
    order(&mut world, 6, CallId::NONE, Verb::RecordStop { recording });
    assert_eq!(told(&world, 6), [&Reply::Failed(Failure::NoSuchCall)], "it is over");
    leave(&mut world, &mut parties[1]);
    assert_eq!(rooms(&mut world, 7), []);
    order(&mut world, 8, CallId::NONE, tape());
    assert_eq!(told(&world, 8), [&Reply::Failed(Failure::NoSuchCall)]);
    world.assert_clean(2);
}

#[test]
fn members_are_ordered_about_without_a_call_and_flows_may_not_do_so() {
    let (mut world, parties) = two();
    order(&mut world, 1, CallId::NONE, Verb::Room(RoomOrder::Members { room: "team".into() }));
    let [Reply::Members(members)] = told(&world, 1)[..] else { panic!("{:?}", told(&world, 1)) };
    let member = members[0].id.clone();
    let kick = || Verb::Room(RoomOrder::Kick { room: "team".into(), member: member.clone() });
    let asked = world.ask(parties[0].1, CallId::NONE, kick());
    assert_eq!(world.reply(asked), Some(&Reply::Failed(Failure::NoSuchCall)), "a flow names a call of its own");
    order(&mut world, 2, CallId::NONE, kick());
    assert_eq!(told(&world, 2), [&Reply::Done]);
    assert_eq!(rooms(&mut world, 3)[0].1, 1);
    order(&mut world, 4, CallId::NONE, Verb::Hangup);
    assert_eq!(told(&world, 4), [&Reply::Failed(Failure::NoSuchCall)], "this concerns a call");
}

#[test]
fn who_listens_in_is_told_by_the_call_that_is_heard() {
    let (mut world, mut parties) = two();
    let listener = |world: &mut World, port: u16| {
        let at = address(&format!("203.0.113.10:{port}"));
        answer_one(world, Caller { at, call_id: format!("{port}@phone"), ..Caller::new() })
    };
    order(&mut world, 1, CallId::NONE, Verb::Room(RoomOrder::Members { room: "team".into() }));
    let [Reply::Members(members)] = told(&world, 1)[..] else { panic!("{:?}", told(&world, 1)) };
    let heard = members[0].id.clone();
    let listen = |whisper| Verb::Listen { call: heard.clone(), whisper, stop_on: "*".into() };
    let (caller, flow, call) = listener(&mut world, 5060);
    world.nodes[0].happenings.clear();
    world.ask(flow, call, listen(true));
    world.settle();
    leave(&mut world, &mut (caller, flow));
    let happenings = std::mem::take(&mut world.nodes[0].happenings);
    let kinds: Vec<_> = happenings.iter().map(|one| one.what.kind()).collect();
    assert_eq!(kinds, ["call.listened", "call.unlistened"]);
    let Happened::Listened { listener: who, whisper: true } = &happenings[0].what else { panic!("{happenings:?}") };
    assert_eq!(happenings[1].what, Happened::Unlistened { listener: who.clone() });
    assert!(happenings.iter().all(|one| one.call.as_ref() == Some(&heard)) && *who != heard);
    // The call that is heard leaves: nobody listens any more, and its end says so.
    let (_, flow, call) = listener(&mut world, 5070);
    let waiting = world.ask(flow, call, listen(false));
    world.settle();
    leave(&mut world, &mut parties[0]);
    assert_eq!(world.reply(waiting), Some(&Reply::Left(verbs::LeaveReason::PeerHungUp)));
    let kinds: Vec<_> = world.node().happenings.iter().map(|one| one.what.kind()).collect();
    assert!(kinds.contains(&"call.listened") && !kinds.contains(&"call.unlistened"), "{kinds:?}");
}
