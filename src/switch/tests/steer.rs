//! What is done to something while it plays: by its flow, and by keys.

use super::*;

/// An answered call whose plays do not end by themselves.
fn playing() -> (World, FlowId, CallId) {
    let (mut world, _, flow, call) = answered();
    world.nodes[0].plays_end = false;
    (world, flow, call)
}

fn sound() -> Vec<Sound> {
    vec![Sound::Silence(secs(5))]
}

fn steered(world: &World) -> Vec<Steer> {
    let steer = |command: &Command| match command {
        Command::Steer { steer, .. } => Some(*steer),
        _ => None,
    };
    world.node().commands.iter().filter_map(|(_, command)| steer(command)).collect()
}

#[test]
fn a_play_beside_is_told_when_it_begins_and_the_flow_goes_on() {
    let (mut world, flow, call) = playing();
    let id = world.ask(flow, call, Verb::Play(Play { wait: false, ..Play::new(sound()) }));
    let Some(&Reply::Playing(play)) = world.reply(id) else { panic!("it begins") };
    let sleep = world.ask(flow, call, Verb::Sleep(secs(1)));
    let pause = world.ask(flow, call, Verb::Steer { play: Some(play), steer: Steer::Pause });
    assert_eq!(world.reply(pause), Some(&Reply::At(millis(500))));
    let wrong = world.ask(flow, call, Verb::Steer { play: Some(crate::ids::PlayId(1)), steer: Steer::Tell });
    assert_eq!(world.reply(wrong), Some(&Reply::Failed(Failure::WrongState)));
    let stop = world.ask(flow, call, Verb::StopPlay { play: Some(play) });
    assert_eq!(world.reply(stop), Some(&Reply::Done));
    let late = world.ask(flow, call, Verb::Steer { play: Some(play), steer: Steer::Tell });
    assert_eq!(world.reply(late), Some(&Reply::Failed(Failure::WrongState)), "it is over");
    world.run(millis(1100));
    assert_eq!(world.reply(sleep), Some(&Reply::Done));
}

#[test]
fn a_play_beside_fails_as_another_does_where_its_sound_cannot_be_had() {
    let (mut world, flow, call) = playing();
    world.automatic = false;
    let web = vec![Sound::Web("http://x.example/a.wav".into())];
    let id = world.ask(flow, call, Verb::Play(Play { wait: false, ..Play::new(web) }));
    assert_eq!(world.reply(id), None, "it has not begun");
    let load = world.node().loads[0].0;
    let why = NoSound::new(SoundFault::Timeout, "too late");
    world.input(0, Input::Loaded { load, result: Err(why.clone()) });
    assert_eq!(world.reply(id), Some(&Reply::Failed(Failure::Sound(why))));
}

#[test]
fn keys_pause_seek_and_change_the_volume_of_what_is_waited_for() {
    let (mut world, flow, call) = playing();
    let keys = vec![
        ('5', PlayKey::Pause),
        ('4', PlayKey::Back),
        ('6', PlayKey::Forward),
        ('1', PlayKey::Restart),
        ('9', PlayKey::Louder),
        ('8', PlayKey::Softer),
    ];
    let manner = Manner { volume: 17.0, ..Manner::default() };
    let play = Play { keys, manner, stop_on: "0123456789".into(), step: secs(3), ..Play::new(sound()) };
    let id = world.ask(flow, call, Verb::Play(play));
    for key in "5546199828".chars() {
        world.key(0, key);
    }
    let want = [
        Steer::Pause,
        Steer::Resume,
        Steer::Back(secs(3)),
        Steer::Forward(secs(3)),
        Steer::Seek(Duration::ZERO),
        Steer::Volume(20.0),
        Steer::Volume(20.0),
        Steer::Volume(17.0),
    ];
    assert_eq!(steered(&world), want, "and 2 stops it");
    assert_eq!(world.reply(id), Some(&Reply::Played { key: Some('2'), length: millis(100) }));
}

#[test]
fn a_key_that_stops_a_play_beside_is_still_the_next_gathers() {
    let (mut world, flow, call) = playing();
    let play = Play { stop_on: "0123456789*#".into(), wait: false, ..Play::new(sound()) };
    world.ask(flow, call, Verb::Play(play));
    world.key(0, '7');
    assert_eq!(world.commands().last(), Some(&"Stop"));
    let (terminators, first_timeout, timeout) = (String::new(), secs(5), secs(2));
    let gather = Gather { prompt: vec![], max: 1, terminators, first_timeout, timeout, barge_in: true, secret: false };
    let id = world.ask(flow, call, Verb::Gather(gather));
    assert!(matches!(world.reply(id), Some(Reply::Digits { digits, .. }) if digits == "7"));
}

#[test]
fn sounds_are_asked_for_at_the_rate_that_the_party_can_hear() {
    let (mut world, flow, call) = playing();
    world.ask(flow, call, Verb::Play(Play::new(vec![Sound::File("a.wav".into())])));
    assert_eq!(world.node().rates, [Rate::Narrow]);
}
