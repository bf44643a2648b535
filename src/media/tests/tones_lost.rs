//! Keys as tones over a network that loses packets, in every codec: how many are missed, and that none is told twice.
//! The figures are those of `docs/listening.md`; run with `--nocapture` to see them.

use super::*;
use crate::chance::Chance;

const ALL: &str = "123A456B789C*0#D";
const CODECS: [(&str, Payload); 4] = [
    ("PCMU", PCMU),
    ("G.722", Payload { number: 9, codec: Codec::G722 }),
    ("Opus", Payload { number: 111, codec: Codec::Opus }),
    ("L16", Payload { number: 97, codec: Codec::L16Wide }),
];

/// How keys are pressed.
#[derive(Clone, Copy)]
struct Habit {
    /// Length of the tone and of the pause after it, in ms: from, to.
    ms: (u32, u32),
    pause: usize,
}

/// As phones and gateways press them.
const USUAL: Habit = Habit { ms: (80, 120), pause: 160 };
/// The shortest that Q.24 wants heard, and a little more.
const SHORT: Habit = Habit { ms: (40, 60), ..USUAL };

#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    missed: usize,
    /// Told more than once.
    twice: usize,
    /// Told as another key.
    wrong: usize,
}

/// One key as it is sounded at `rate`: it begins anywhere in its first frame, at -20 to -5 dBm0, up to 1 % off.
fn sounded(key: char, habit: Habit, rate: Rate, chance: &mut Chance) -> Vec<i16> {
    let at = ALL.find(key).expect("a key");
    let low = [697.0, 770.0, 852.0, 941.0][at / 4];
    let high = [1209.0, 1336.0, 1477.0, 1633.0][at % 4];
    let mut within = |from: f64, to: f64| from + (to - from) * chance.share();
    let (off, level) = (1.0 + within(-0.01, 0.01), 22_438.0 * 10.0_f64.powf(within(-20.0, -5.0) / 20.0));
    let per_ms = rate.hz() as usize / 1000;
    let lead = within(0.0, 20.0) as usize * per_ms;
    let length = within(habit.ms.0 as f64, habit.ms.1 as f64) as usize * per_ms;
    let wave = |n: usize, hz: f64| (TAU * hz * off * n as f64 / f64::from(rate.hz())).sin();
    let mut samples = vec![0; lead];
    samples.extend((0..length).map(|n| (level * (wave(n, low) + wave(n, high))).clamp(-32_768.0, 32_767.0) as i16));
    let whole = (samples.len() + habit.pause * per_ms).next_multiple_of(rate.frame());
    samples.resize(whole, 0);
    samples
}

/// What becomes of the sixteen keys, each pressed so many `times`, where one packet in `100 / percent` is lost.
fn count(payload: Payload, percent: u64, habit: Habit, times: usize) -> Counts {
    let mut world = World::new();
    let mut stream = Stream { send: Some(payload), receive: vec![payload], ..stream_to(address(1)) };
    (stream.send_digits, stream.receive_digits) = (None, vec![]);
    let mut phone = world.open_with(1, stream);
    let (mut chance, rate) = (Chance::new(percent + 7), payload.codec.rate_for(Rate::Wide));
    let mut counts = Counts::default();
    for key in ALL.repeat(times).chars() {
        let before = world.keys(&phone).len();
        for frame in sounded(key, habit, rate, &mut chance).chunks(rate.frame()) {
            let mut coded = [0; MAX_PACKET];
            let length = phone.encoder.encode(payload.codec, rate, frame, &mut coded);
            let packet = phone.packet(payload.number, &coded[..length]);
            phone.next.timestamp = phone.next.timestamp.wrapping_add(payload.codec.clock() / 50);
            if chance.below(100) >= percent {
                world.receive(&phone, &packet);
            }
            world.run(20);
        }
        let told = world.keys(&phone)[before..].to_owned();
        counts.missed += usize::from(told.is_empty());
        counts.twice += usize::from(told.len() > 1);
        counts.wrong += usize::from(told.chars().any(|other| other != key));
        world.sent.clear();
    }
    counts
}

/// For each codec how many of 160 may be missed at 1, 3 and 5 % loss: what was measured, and room for another chance.
fn missed_at_most(most: [[usize; 3]; CODECS.len()], habit: Habit, times: usize) {
    let name = format!("{} to {} ms", habit.ms.0, habit.ms.1);
    for ((codec, payload), most) in CODECS.into_iter().zip(most) {
        for (percent, most) in [1, 3, 5].into_iter().zip(most) {
            let Counts { missed, twice, wrong } = count(payload, percent, habit, times);
            println!("{name}, {codec}, {percent} %: {missed} of {} missed", 16 * times);
            assert_eq!((twice, wrong), (0, 0), "{name}, {codec}, {percent} %");
            let most = (most * times).div_ceil(10);
            assert!(missed <= most, "{name}, {codec}, {percent} %: {missed} missed");
        }
    }
}

const USUAL_MISSED: [[usize; 3]; CODECS.len()] = [[0, 0, 1], [1, 3, 5], [0, 0, 1], [0, 0, 1]];
const SHORT_MISSED: [[usize; 3]; CODECS.len()] = [[2, 6, 10], [2, 10, 18], [1, 3, 4], [2, 4, 8]];

#[test]
fn at_up_to_5_percent_loss_hardly_a_key_of_usual_length_is_missed_and_none_is_told_twice() {
    missed_at_most(USUAL_MISSED, USUAL, 3);
}

#[test]
fn the_shortest_keys_are_missed_where_their_packets_are_lost_and_never_told_twice_or_as_others() {
    missed_at_most(SHORT_MISSED, SHORT, 3);
}

#[test]
#[ignore = "the figures of the page: minutes, in a build for tests"]
fn of_160_keys_no_more_are_missed_than_the_page_says_and_a_few() {
    missed_at_most(USUAL_MISSED, USUAL, 10);
    missed_at_most(SHORT_MISSED, SHORT, 10);
}
