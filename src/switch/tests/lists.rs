//! Play lists among what is to be played.

use super::*;

fn files(names: &[&str]) -> Vec<Sound> {
    names.iter().map(|name| Sound::File((*name).to_owned())).collect()
}

/// A call that plays these, and whose sounds are given by hand.
fn playing(names: &[&str]) -> (World, RequestId) {
    let (mut world, _, flow, call) = answered();
    world.automatic = false;
    world.nodes[0].plays_end = false;
    let id = world.ask(flow, call, Verb::Play(Play::new(files(names))));
    (world, id)
}

/// The last load of this name.
fn load(world: &World, name: &str) -> LoadId {
    let found = world.node().loads.iter().rfind(|(_, sound)| *sound == Sound::File(name.to_owned()));
    found.unwrap_or_else(|| panic!("{name} was not asked for: {:?}", world.node().loads)).0
}

fn listed(world: &mut World, name: &str, entries: &[&str]) {
    let load = load(world, name);
    world.input(0, Input::Listed { load, result: Ok(files(entries)) });
}

/// A sound that is as many samples long as its name's number says.
fn loaded(world: &mut World, name: &str) {
    let samples = name.trim_end_matches(".wav").parse().unwrap();
    let pcm = Pcm { rate: Rate::Narrow, samples: vec![0; samples].into(), looped: false };
    let load = load(world, name);
    world.input(0, Input::Loaded { load, result: Ok(Arc::new(pcm)) });
}

fn on_the_air(world: &World) -> Option<Vec<usize>> {
    world.node().commands.iter().find_map(|(_, command)| match command {
        Command::Play { sounds, .. } => Some(sounds.iter().map(|sound| sound.samples.len()).collect()),
        _ => None,
    })
}

fn fault(world: &World, id: RequestId) -> SoundFault {
    match world.reply(id) {
        Some(Reply::Failed(Failure::Sound(why))) => why.fault,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_entries_of_a_list_are_played_in_its_place_whatever_comes_first() {
    let (mut world, _) = playing(&["1.wav", "a.m3u", "9.wav"]);
    loaded(&mut world, "9.wav");
    listed(&mut world, "a.m3u", &["2.wav", "b.m3u", "6.wav"]);
    loaded(&mut world, "6.wav");
    listed(&mut world, "b.m3u", &["3.wav", "4.wav", "5.wav"]);
    for name in ["5.wav", "1.wav", "3.wav", "2.wav"] {
        loaded(&mut world, name);
    }
    assert_eq!(on_the_air(&world), None, "one is still missing");
    loaded(&mut world, "4.wav");
    assert_eq!(on_the_air(&world), Some(vec![1, 2, 3, 4, 5, 6, 9]));
}

#[test]
fn a_list_that_names_itself_or_has_too_many_entries_is_refused_and_nothing_is_left() {
    let (mut world, id) = playing(&["a.m3u"]);
    for _ in 0..3 {
        listed(&mut world, "a.m3u", &["1.wav", "a.m3u"]);
    }
    assert_eq!(world.reply(id), None);
    listed(&mut world, "a.m3u", &["1.wav", "a.m3u"]);
    assert_eq!(fault(&world, id), SoundFault::TooLarge);
    assert_eq!(world.node().switch.counts().loads, 0);

    let (mut world, id) = playing(&["1.wav", "a.m3u"]);
    let most = Limits::default().sounds;
    listed(&mut world, "a.m3u", &vec!["2.wav"; most]);
    assert_eq!(fault(&world, id), SoundFault::TooLarge);
    let (mut world, id) = playing(&["1.wav", "a.m3u"]);
    listed(&mut world, "a.m3u", &vec!["2.wav"; most - 1]);
    assert_eq!(world.reply(id), None, "as many as allowed");
}

#[test]
fn a_list_that_is_missing_fails_the_play_and_one_that_comes_late_is_of_no_interest() {
    let (mut world, id) = playing(&["a.m3u"]);
    let load = load(&world, "a.m3u");
    let missing = || Err(NoSound::new(SoundFault::Missing, "none"));
    world.input(0, Input::Listed { load, result: missing() });
    assert_eq!(fault(&world, id), SoundFault::Missing);
    world.input(0, Input::Listed { load, result: missing() });
    assert_eq!(world.node().switch.counts().loads, 0);
}
