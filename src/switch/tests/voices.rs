//! Who is on a recording: in the note beside it while it goes on, and in the record of the call whose it is.

use super::{aside::order, *};

fn record(file: &str, voices: Voices, room: Option<&str>) -> Verb {
    Verb::Record(Record { file: Some(file.into()), voices, room: room.map(str::to_owned), ..mixed() })
}

/// Somebody calls, and is answered.
fn party(world: &mut World, user: &'static str) -> (Caller, FlowId, CallId) {
    let last = user.len() + 10;
    let caller = Caller {
        at: address(&format!("203.0.113.{last}:5060")),
        call_id: format!("{user}@phone"),
        user,
        ..Caller::new()
    };
    answer_one(world, caller)
}

fn enters(world: &mut World, (_, flow, call): &(Caller, FlowId, CallId)) {
    let room = Verb::Join { room: "team".into(), stop_on: String::new(), muted: false, entry: Default::default() };
    world.ask(*flow, *call, room);
    world.settle();
}

fn leaves(world: &mut World, (mut caller, flow, _): (Caller, FlowId, CallId)) {
    caller.send(world, "BYE", None);
    world.end_flow(flow, FlowEnd::Finished);
    world.settle();
}

/// The recording that was begun with this file is over.
fn stops(world: &mut World, file: &str) {
    let recording = world.node().files.iter().find(|(_, known)| known == file).expect("it was begun").0;
    order(world, recording.0, CallId::NONE, Verb::RecordStop { recording });
}

/// Who is on this file, as it is noted beside it now.
fn noted(world: &mut World, file: &str) -> Vec<String> {
    let notes = world.node().notes.iter().rev();
    notes.filter_map(|(_, note)| note.recorded_parties.get(file)).next().expect("it is noted").clone()
}

fn recorded(world: &mut World, call: &str) -> BTreeMap<String, Vec<String>> {
    let record = world.node().records.iter().find(|record| record.from == call).expect("it is over");
    record.recorded_parties.clone()
}

#[test]
fn whoever_talks_with_a_recorded_call_is_on_the_recordings_that_hear_them() {
    let mut world = World::new();
    let (anna, bert) = (party(&mut world, "anna"), party(&mut world, "bert"));
    world.ask(anna.1, anna.2, record("own.wav", Voices::Party, None));
    world.ask(anna.1, anna.2, record("both.wav", Voices::Apart, None));
    assert_eq!(noted(&mut world, "both-said.wav"), ["100", "anna"]);
    order(&mut world, 1, anna.2, Verb::Bridge { other: bert.2, stop_on: String::new() });
    for file in ["both-said.wav", "both-heard.wav"] {
        assert_eq!(noted(&mut world, file), ["100", "anna", "bert"]);
    }
    // What begins while they talk knows it at once.
    world.ask(anna.1, anna.2, record("later.wav", Voices::Stereo, None));
    assert_eq!(noted(&mut world, "later.wav"), ["100", "anna", "bert"]);
    ["own.wav", "both.wav", "later.wav"].iter().for_each(|file| stops(&mut world, file));
    leaves(&mut world, anna);
    let recorded = recorded(&mut world, "anna");
    assert_eq!(recorded["own.wav"], ["100", "anna"], "what others say is not in it");
    for file in ["both-said.wav", "both-heard.wav", "later.wav"] {
        assert_eq!(recorded[file], ["100", "anna", "bert"]);
    }
    leaves(&mut world, bert);
    world.assert_clean(2);
}

#[test]
fn all_who_were_in_a_room_are_on_its_recording_whoever_has_it_in_the_end() {
    let mut world = World::new();
    let [anna, bert, carl, dora] = ["anna", "bertram", "carla", "dorothea"].map(|user| party(&mut world, user));
    enters(&mut world, &anna);
    world.ask(anna.1, anna.2, record("own.wav", Voices::Stereo, None));
    order(&mut world, 1, CallId::NONE, record("room.wav", Voices::Mixed, Some("team")));
    assert_eq!(noted(&mut world, "room.wav"), ["100", "anna"]);
    enters(&mut world, &bert);
    assert_eq!(noted(&mut world, "room.wav"), ["100", "anna", "bertram"]);
    stops(&mut world, "own.wav");
    leaves(&mut world, anna);
    // Its own recording ended before the others came, and is its own.
    assert_eq!(
        recorded(&mut world, "anna"),
        BTreeMap::from([("own.wav".into(), vec!["100".into(), "anna".into(), "bertram".into()])])
    );
    enters(&mut world, &carl);
    assert_eq!(noted(&mut world, "room.wav"), ["100", "anna", "bertram", "carla"]);
    leaves(&mut world, bert);
    enters(&mut world, &dora);
    leaves(&mut world, dora);
    stops(&mut world, "room.wav");
    leaves(&mut world, carl);
    let all = ["100", "anna", "bertram", "carla", "dorothea"].map(str::to_owned).to_vec();
    assert_eq!(recorded(&mut world, "carla"), BTreeMap::from([("room.wav".into(), all)]));
    world.assert_clean(4);
}
