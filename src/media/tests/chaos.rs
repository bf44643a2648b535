use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const PORTS: u64 = 5;

/// One thing that happens. Ports, plays and recordings are counted; what does not exist is a case of its own.
#[derive(Clone, Debug)]
enum Step {
    Open(u64),
    Close(u64),
    Update(u64, bool, bool, u8),
    Join(u64, u64, u8),
    Leave(u64),
    Echo(u64, bool),
    Play(u64, u16, bool),
    Stop(u64, u64),
    Steer(u64, u64, usize),
    Tape(u64, Option<u64>),
    Record(u64, u8, Option<u64>),
    Space(u64, u64),
    Pause(u64, u64, bool),
    StopRecording(u64, u64),
    Digits(u64, String),
    Speak(u64, u8),
    Press(u64, u8),
    Bytes(u64, bool, Vec<u8>),
    Move(u64),
    Run(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let port = || 0..PORTS;
    prop_oneof![
        2 => port().prop_map(Step::Open),
        1 => port().prop_map(Step::Close),
        1 => (port(), any::<bool>(), any::<bool>(), 0..9u8).prop_map(|(p, s, r, t)| Step::Update(p, s, r, t * 10)),
        3 => (port(), 0..3u64, 0..5u8).prop_map(|(p, b, r)| Step::Join(p, b, r)),
        1 => port().prop_map(Step::Leave),
        1 => (port(), any::<bool>()).prop_map(|(p, on)| Step::Echo(p, on)),
        2 => (port(), 0..1000u16, any::<bool>()).prop_map(|(p, n, l)| Step::Play(p, n, l)),
        1 => (port(), 0..10u64).prop_map(|(p, n)| Step::Stop(p, n)),
        1 => (port(), 0..10u64, 0..6usize).prop_map(|(p, n, s)| Step::Steer(p, n, s)),
        1 => (0..3u64, prop::option::of(0..2000u64)).prop_map(|(b, n)| Step::Tape(b, n)),
        2 => (port(), 0..3u8, prop::option::of(0..2000u64)).prop_map(|(p, l, n)| Step::Record(p, l, n)),
        1 => (port(), 0..10u64).prop_map(|(p, n)| Step::Space(p, n)),
        1 => (port(), 0..10u64, any::<bool>()).prop_map(|(p, n, on)| Step::Pause(p, n, on)),
        1 => (port(), 0..10u64).prop_map(|(p, n)| Step::StopRecording(p, n)),
        1 => (port(), "[0-9,x#é]{0,4}").prop_map(|(p, d)| Step::Digits(p, d)),
        8 => (port(), 0..4u8).prop_map(|(p, from)| Step::Speak(p, from)),
        1 => (port(), 0..20u8).prop_map(|(p, code)| Step::Press(p, code)),
        2 => (port(), any::<bool>(), prop::collection::vec(any::<u8>(), 0..80)).prop_map(|(p, c, b)| Step::Bytes(p, c, b)),
        1 => port().prop_map(Step::Move),
        6 => (0..500u64).prop_map(Step::Run),
    ]
}

/// What was asked for and must be answered.
#[derive(Default)]
struct Asked {
    opened: usize,
    plays: u64,
    recordings: u64,
    digits: usize,
}

#[expect(clippy::too_many_lines, reason = "a table of all that can happen")]
fn apply(world: &mut World, phones: &mut [Option<Phone>], asked: &mut Asked, step: Step) {
    let layouts = [Layout::Mix, Layout::Party, Layout::Stereo];
    // A port of this turn of the slot, or one that never was.
    let name = |phones: &[Option<Phone>], n: u64| phones[n as usize].as_ref().map_or(PortId(99), |phone| phone.port);
    match step {
        Step::Open(n) => {
            if phones[n as usize].is_none() {
                asked.opened += 1;
                let mut phone = world.open(10 * asked.opened as u64 + n);
                phone.from = address(n);
                phones[n as usize] = Some(phone);
            }
        }
        Step::Close(n) => {
            world.command(Command::Close { port: name(phones, n) });
            phones[n as usize] = None;
        }
        Step::Update(n, sending, receiving, ptime) => {
            let stream = Stream { sending, receiving, ptime, ..stream_to(address(n)) };
            let tools = Tools::new(&stream, &config());
            world.command(Command::Update { port: name(phones, n), stream: Box::new(stream), tools });
        }
        Step::Join(n, bridge, role) => {
            let role = [Role::Both, Role::Listen, Role::Speak, Role::Whisper(PortId(1)), Role::Idle][usize::from(role)];
            world.command(Command::Join { bridge: BridgeId(bridge), port: name(phones, n), role });
        }
        Step::Leave(n) => world.command(Command::Leave { port: name(phones, n) }),
        Step::Echo(n, on) => world.command(Command::Echo { port: name(phones, n), on }),
        Step::Play(n, length, looped) => {
            asked.plays += 1;
            let sounds = [Arc::new(Pcm { rate: Rate::Narrow, samples: vec![1; length.into()].into(), looped })].into();
            world.command(Command::Play {
                port: name(phones, n),
                play: PlayId(asked.plays),
                sounds,
                manner: Manner::default(),
            });
        }
        Step::Steer(n, play, which) => {
            let time = Duration::from_millis(30);
            let steers = [
                Steer::Pause,
                Steer::Resume,
                Steer::Seek(time),
                Steer::Forward(time),
                Steer::Back(time),
                Steer::Volume(-9.0),
            ];
            world.command(Command::Steer { port: name(phones, n), play: PlayId(play), steer: steers[which] });
        }
        Step::Tape(bridge, after) => {
            asked.recordings += 1;
            let blocks = (0..3).map(|_| Block { samples: Vec::with_capacity(501) }).collect();
            let (recording, name) = (RecordingId(asked.recordings), PortId(5000 + asked.recordings));
            let (bridge, rate, ends) = (BridgeId(bridge), Rate::Wide, Ends { after, quiet: None });
            world.command(Command::RecordBridge { bridge, name, recording, rate, ends, blocks });
        }
        Step::Stop(n, play) => world.command(Command::Stop { port: name(phones, n), play: PlayId(play) }),
        Step::Record(n, layout, limit) => {
            asked.recordings += 1;
            let blocks = (0..3).map(|_| Block { samples: Vec::with_capacity(501) }).collect();
            let (recording, layout) = (RecordingId(asked.recordings), layouts[usize::from(layout)]);
            let ends = Ends { after: limit, quiet: Some(2000) };
            let (port, rate) = (name(phones, n), Rate::Narrow);
            world.command(Command::Record { port, recording, layout, rate, ends, blocks });
        }
        Step::Space(n, id) => {
            let block = Block { samples: vec![7; 300] };
            world.command(Command::Space { port: name(phones, n), recording: RecordingId(id), block });
        }
        Step::Pause(n, id, paused) => {
            let mode = if paused { RecordMode::Pause } else { RecordMode::Mask };
            world.command(Command::RecordAs { port: name(phones, n), recording: RecordingId(id), mode });
        }
        Step::StopRecording(n, id) => {
            world.command(Command::StopRecording { port: name(phones, n), recording: RecordingId(id) });
        }
        Step::Digits(n, digits) => {
            asked.digits += 1;
            let (length, gap) = (Duration::from_millis(50), Duration::from_millis(50));
            world.command(Command::Digits { port: name(phones, n), digits: digits.into(), length, gap });
        }
        Step::Speak(n, from) => {
            if let Some(phone) = &mut phones[n as usize] {
                let packet = phone.speak();
                let from = if from == 0 { address(77) } else { phone.from };
                world.receive_from(phone, from, &packet);
            }
        }
        Step::Press(n, code) => {
            if let Some(phone) = &mut phones[n as usize] {
                for packet in phone.press(code) {
                    world.receive(phone, &packet);
                }
            }
        }
        Step::Bytes(n, rtp, mut bytes) => {
            // Half of them look like RTP or RTCP from afar.
            if let Some(first) = bytes.first_mut().filter(|first| **first & 1 == 0) {
                *first = 0x80 | *first & 0x3f;
            }
            let channel = if rtp { Channel::Rtp } else { Channel::Rtcp };
            world.engine.handle_packet(world.now, Slot(n as u32), channel, address(n), &bytes, &mut world.batch);
            world.drain();
        }
        Step::Move(n) => {
            if let Some(phone) = &mut phones[n as usize] {
                let port = world.engine.give(phone.port).expect("it is open");
                phone.slot = world.engine.take(world.now, port);
            }
        }
        Step::Run(ms) => world.run(ms),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_each_order_is_answered_once_and_each_stream_counts_up(steps in prop::collection::vec(step(), 1..120)) {
        let mut world = World::with(config(), 8);
        let mut phones: Vec<Option<Phone>> = (0..PORTS).map(|_| None).collect();
        let mut asked = Asked::default();
        for step in steps {
            apply(&mut world, &mut phones, &mut asked, step);
        }
        for n in 0..PORTS {
            apply(&mut world, &mut phones, &mut asked, Step::Close(n));
        }
        world.run(1000);
        prop_assert_eq!(world.engine.timeout(), None);
        let mut plays: Vec<_> = Vec::new();
        let mut recordings: Vec<_> = Vec::new();
        let (mut closed, mut dialed) = (0, 0);
        for event in &world.events {
            match event {
                Event::PlayDone { play, .. } => plays.push(play.0),
                Event::RecordDone { recording, .. } => recordings.push(recording.0),
                Event::Recorded { recording, block, .. } => {
                    prop_assert!(!block.samples.is_empty() && !recordings.contains(&recording.0));
                }
                Event::Closed { .. } => closed += 1,
                Event::DigitsSent { .. } => dialed += 1,
                Event::PlayAt { .. }
                | Event::Digit { .. }
                | Event::Latched { .. }
                | Event::NoRtp { .. }
                | Event::Lost { .. }
                | Event::Handshake { .. }
                | Event::Loudest { .. }
                | Event::Repacked { .. }
                | Event::Heard { .. }
                | Event::Quality { .. } => {}
            }
        }
        plays.sort_unstable();
        recordings.sort_unstable();
        prop_assert_eq!(plays, (1..=asked.plays).collect::<Vec<_>>());
        prop_assert_eq!(recordings, (1..=asked.recordings).collect::<Vec<_>>());
        prop_assert_eq!((closed, dialed), (asked.opened, asked.digits));
        let mut newest = BTreeMap::new();
        for (header, _) in world.sent.iter().filter_map(Sent::rtp) {
            if let Some(before) = newest.insert(header.ssrc, header.sequence) {
                prop_assert!((1..1000).contains(&header.sequence.wrapping_sub(before)), "{header:?} after {before}");
            }
        }
    }
}
