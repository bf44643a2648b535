use proptest::prelude::*;

use super::*;
use crate::{
    audio::speech::{largest_step, rms, speech},
    chance::Chance,
};

fn buffer(min: Duration, max: Duration) -> Jitter {
    Jitter::new(min, max, Workbench::new(&[Codec::Pcmu], max))
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A sender, a network and the ticks of a port, in virtual time (ms).
#[derive(Clone)]
struct Scene {
    seed: u64,
    seconds: usize,
    /// Packet length in samples.
    length: usize,
    /// Each packet takes `path` and up to `jitter` more.
    path: f64,
    jitter: f64,
    /// Lost packets, per 1000.
    loss: u64,
    /// The sender's clock is fast by so many millionths.
    ppm: f64,
    min: u64,
    said: fn(u64, usize) -> Vec<i16>,
    number: u64,
    timestamp: u32,
}

const CALM: Scene = Scene {
    seed: 1,
    seconds: 20,
    length: 160,
    path: 31.0,
    jitter: 0.0,
    loss: 0,
    ppm: 0.0,
    min: 20,
    said: speech,
    number: 65_636,
    timestamp: 5000,
};

impl Scene {
    /// Where in what is played the first sample is, if nothing is lost.
    fn start(&self) -> usize {
        ((self.length as f64 / 8.0 + self.path + self.min as f64) * 8.0) as usize
    }
}

struct Played {
    source: Vec<i16>,
    out: Vec<i16>,
    pulled: Vec<Pulled>,
    /// From the coming of packets to their being played, as a running mean, tick by tick.
    delays: Vec<f64>,
    stats: Stats,
}

impl Played {
    fn mean_delay(&self) -> f64 {
        self.delays.iter().sum::<f64>() / self.delays.len() as f64
    }

    fn count(&self, what: Pulled) -> usize {
        self.pulled.iter().filter(|&&p| p == what).count()
    }

    /// No frame between the first and the last of speech is silent, or much quieter or louder than the speech around.
    fn assert_continuous(&self) {
        let first = self.pulled.iter().position(|&p| p == Pulled::Voice).unwrap() + 2;
        let last = self.pulled.iter().rposition(|&p| p == Pulled::Voice).unwrap() - 2;
        for n in first..last {
            let frame = &self.out[n * 160..][..160];
            assert!(frame.iter().any(|&s| s != 0), "frame {n} is plain silence: {:?}", self.pulled[n]);
            let near: Vec<f64> =
                (n.saturating_sub(9)..n + 2).filter_map(|m| self.source.get(m * 160..(m + 1) * 160)).map(rms).collect();
            let (least, most) = near.iter().fold((f64::MAX, 0.0_f64), |(a, b), &c| (a.min(c), b.max(c)));
            let level = rms(frame);
            assert!(level > 0.12 * least && level < 2.0 * most, "frame {n}: {level} between {least} and {most}");
        }
    }

    /// No sample is further from the one before than speech itself goes around there.
    fn assert_no_click(&self) {
        for (n, frame) in self.out.chunks(160).enumerate() {
            let end = self.source.len();
            let near = (n * 160).saturating_sub(2400).min(end)..(n * 160 + 1280).min(end);
            let frame = &self.out[(n * 160).saturating_sub(1)..n * 160 + frame.len()];
            let (heard, said) = (largest_step(frame), largest_step(&self.source[near]));
            assert!(heard <= said * 3 / 2 + 50, "frame {n} steps by {heard}, the source by {said}");
        }
    }
}

fn play(scene: &Scene) -> Played {
    play_with(scene, |jitter, packet, _| jitter.push(packet))
}

/// `deliver` hands a packet to the buffer, or does something worse with it.
fn play_with(scene: &Scene, mut deliver: impl FnMut(&mut Jitter, Packet<'_>, usize)) -> Played {
    let source = (scene.said)(scene.seed, scene.seconds * 8000);
    let mut codes = vec![0; source.len()];
    audio::g711::encode_ulaw(&source, &mut codes);
    let mut chance = Chance::new(scene.seed);
    let interval = scene.length as f64 / 8.0 / (1.0 + scene.ppm * 1e-6);
    let mut packets: Vec<(f64, usize)> = Vec::new();
    for n in 0..codes.len() / scene.length {
        let sent = (n + 1) as f64 * interval;
        if chance.below(1000) >= scene.loss || n == 0 {
            packets.push((sent + scene.path + chance.share() * scene.jitter, n));
        }
    }
    packets.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut jitter = buffer(ms(scene.min), ms(300));
    let mut waiting = packets.into_iter().peekable();
    let mut played = Played { source, out: vec![], pulled: vec![], delays: vec![], stats: Stats::default() };
    for tick in 0..scene.seconds * 50 + 20 {
        let now = tick as f64 * 20.0;
        let mut came_one = false;
        while let Some((came, n)) = waiting.next_if(|&(came, _)| came <= now) {
            let payload = &codes[n * scene.length..(n + 1) * scene.length];
            let packet = Packet {
                number: scene.number + n as u64,
                timestamp: scene.timestamp.wrapping_add((n * scene.length) as u32),
                codec: Codec::Pcmu,
                payload,
                early: ((now - came) * 8.0) as u16,
            };
            deliver(&mut jitter, packet, n);
            came_one = true;
        }
        let mut frame = [0; 160];
        played.pulled.push(jitter.pull(&mut frame));
        played.out.extend(frame);
        if came_one && matches!(jitter.state, State::Playing { .. }) {
            played.delays.push(jitter.wait as f64 / 16.0 / 8.0);
        }
    }
    played.stats = jitter.stats();
    played
}

#[test]
fn a_calm_stream_comes_out_as_it_was_said() {
    let played = play(&CALM);
    let mut expected = vec![0; played.source.len()];
    let mut codes = vec![0; played.source.len()];
    audio::g711::encode_ulaw(&played.source, &mut codes);
    audio::g711::decode_ulaw(&codes, &mut expected);
    let first = CALM.start();
    assert_eq!(played.out[first..first + expected.len()], expected);
    assert_eq!(played.stats, Stats { delay: ms(20), ..Stats::default() });
    let voice = played.count(Pulled::Voice);
    assert!(voice.abs_diff(played.source.len() / 160) <= 1, "{voice}");
}

#[test]
fn with_20_ms_jitter_and_5_percent_loss_speech_goes_on_at_40_ms_of_delay_or_less() {
    for (jitter, most) in [(20.0, 40.0), (40.0, 50.0)] {
        for seed in 1..6 {
            let played = play(&Scene { seed, seconds: 60, jitter, loss: 50, min: 0, ..CALM });
            let stats = played.stats;
            let delay = played.mean_delay();
            println!(
                "jitter 0-{jitter} ms, 5 % loss, seed {seed}: mean delay {delay:.1} ms, late {}, concealed {} of {}",
                stats.late,
                stats.concealed,
                played.pulled.len()
            );
            assert!(delay <= most, "{delay} ms");
            assert!(stats.late <= 60, "{} late", stats.late);
            assert!((100..280).contains(&stats.concealed), "{} concealed", stats.concealed);
            played.assert_continuous();
            played.assert_no_click();
        }
    }
}

#[test]
fn drifting_clocks_neither_pile_up_delay_nor_click_in_ten_minutes() {
    for ppm in [-200.0, 200.0] {
        let played = play(&Scene { seconds: 600, ppm, min: 30, ..CALM });
        let minute = played.delays.len() / 10;
        let mean = |range: &[f64]| range.iter().sum::<f64>() / range.len() as f64;
        let (early, late) = (mean(&played.delays[..minute]), mean(&played.delays[9 * minute..]));
        println!("{ppm} ppm: {early:.1} ms in the first minute, {late:.1} in the last, late {}", played.stats.late);
        assert!((early - late).abs() < 6.0 && late < 45.0, "{ppm} ppm: {early} ms, then {late} ms");
        // A recording of two parties is aligned as long as this holds for both.
        let settled = &played.delays[minute / 10..];
        let range = settled.iter().fold((f64::MAX, 0.0_f64), |(a, b), &c| (a.min(c), b.max(c)));
        assert!(range.0 >= 25.0 && range.1 <= 45.0, "{ppm} ppm: the delay wandered in {range:?} ms");
        assert!(played.stats.late < 30 && played.stats.concealed < 5, "{:?}", played.stats);
        played.assert_no_click();
        let first = played.pulled.iter().position(|&p| p == Pulled::Voice).unwrap();
        let last = played.pulled.iter().rposition(|&p| p == Pulled::Voice).unwrap();
        assert!(played.out[first * 160..last * 160].chunks(160).all(|f| f.iter().any(|&s| s != 0)));
    }
}

/// Two smooth frequencies, in which every joint that is not smooth would stand out.
fn dial_tone(_: u64, samples: usize) -> Vec<i16> {
    let wave = |frequency: f64, n: usize| (std::f64::consts::TAU * frequency * n as f64 / 8000.0).sin();
    (0..samples).map(|n| (6000.0 * (wave(350.0, n) + wave(440.0, n))) as i16).collect()
}

#[test]
fn a_tone_is_cut_and_stretched_without_a_click() {
    for ppm in [-3000.0, 3000.0] {
        let played = play(&Scene { seconds: 60, ppm, said: dial_tone, ..CALM });
        let first = played.pulled.iter().position(|&p| p == Pulled::Voice).unwrap() * 160;
        let last = played.pulled.iter().rposition(|&p| p == Pulled::Voice).unwrap() * 160;
        let (heard, said) = (largest_step(&played.out[first..last]), largest_step(&played.source));
        println!("{ppm} ppm: steps by {heard} of {said}, concealed {}", played.stats.concealed);
        assert!(heard <= said * 5 / 4, "{ppm} ppm: steps by {heard}, the tone by {said}");
        assert!(played.stats.concealed <= 15, "{:?}", played.stats);
    }
}

#[test]
fn packets_of_every_length_play_alike() {
    for length in [80, 160, 240, 320, 400, 480, 123, 960] {
        let played = play(&Scene { length, ..CALM });
        assert_eq!((played.stats.late, played.stats.concealed, played.stats.discarded), (0, 0, 0), "{length}");
        let expected = CALM.seconds * 50;
        let voice = played.count(Pulled::Voice);
        assert!((expected - 12..=expected + 1).contains(&voice), "{voice} frames of {expected} with {length} samples");
        let lossy = play(&Scene { length, jitter: 20.0, loss: 30, ..CALM });
        lossy.assert_no_click();
        assert!(lossy.mean_delay() < 75.0, "{length}: {} ms", lossy.mean_delay());
    }
}

/// A sender without a network: each packet is in the buffer a tick before it is due.
struct Talk {
    jitter: Jitter,
    number: u64,
    timestamp: u32,
    voice: Vec<i16>,
    said: usize,
}

impl Talk {
    fn new() -> Talk {
        let voice = speech(9, 80_000);
        Talk { jitter: buffer(ms(20), ms(200)), number: 65_536, timestamp: u32::MAX - 1000, voice, said: 0 }
    }

    fn send(&mut self) {
        let mut payload = [0; 160];
        audio::g711::encode_alaw(&self.voice[self.said..self.said + 160], &mut payload);
        let (number, timestamp) = (self.number, self.timestamp);
        self.jitter.push(Packet { number, timestamp, codec: Codec::Pcma, payload: &payload, early: 0 });
        self.said += 160;
        self.number += 1;
        self.timestamp = self.timestamp.wrapping_add(160);
    }

    fn hear(&mut self) -> (Pulled, [i16; FRAME]) {
        let mut frame = [1; FRAME];
        (self.jitter.pull(&mut frame), frame)
    }

    /// So many packets, each followed by a tick.
    fn go_on(&mut self, packets: usize) -> Vec<Pulled> {
        (0..packets)
            .map(|_| {
                self.send();
                self.hear().0
            })
            .collect()
    }
}

#[test]
fn timestamps_go_on_where_their_32_bits_begin_again() {
    let mut talk = Talk::new();
    let pulled = talk.go_on(60);
    assert_eq!(pulled[0], Pulled::Nothing);
    assert!(pulled[1..].iter().all(|&p| p == Pulled::Voice), "{pulled:?}");
    assert_eq!(talk.jitter.stats(), Stats { delay: ms(20), ..Stats::default() });
}

#[test]
fn after_the_sender_stops_the_sound_fades_and_that_is_no_loss() {
    let mut talk = Talk::new();
    talk.go_on(50);
    assert_eq!(talk.hear().0, Pulled::Voice);
    let levels: Vec<(Pulled, f64)> = (0..6)
        .map(|_| {
            let (pulled, frame) = talk.hear();
            (pulled, rms(&frame))
        })
        .collect();
    assert!(levels[..4].iter().all(|l| l.0 == Pulled::Concealed && l.1 > 0.0), "{levels:?}");
    assert!(levels[4..].iter().all(|l| *l == (Pulled::Nothing, 0.0)), "{levels:?}");
    assert_eq!(talk.jitter.stats().concealed, 0);
    // Half a minute later, with a timestamp that counted on meanwhile, or did not.
    for counted in [1500 * 160, 0] {
        for _ in 0..1500 {
            assert_eq!(talk.hear().0, Pulled::Nothing);
        }
        talk.timestamp = talk.timestamp.wrapping_add(counted);
        let pulled = talk.go_on(20);
        assert!(pulled[0] == Pulled::Nothing && pulled[1..].iter().all(|&p| p == Pulled::Voice), "{pulled:?}");
        talk.hear();
        for _ in 0..4 {
            talk.hear();
        }
    }
    assert_eq!((talk.jitter.stats().concealed, talk.jitter.stats().late), (0, 0));
}

#[test]
fn a_short_pause_of_the_sender_is_no_loss_either() {
    let mut talk = Talk::new();
    talk.go_on(50);
    for _ in 0..2 {
        talk.hear();
    }
    talk.timestamp = talk.timestamp.wrapping_add(320);
    let pulled = talk.go_on(20);
    assert!(pulled[2..].iter().all(|&p| p == Pulled::Voice), "{pulled:?}");
    assert_eq!((talk.jitter.stats().concealed, talk.jitter.stats().late), (0, 0));
}

#[test]
fn a_lost_packet_is_made_up_and_counted_once() {
    let mut talk = Talk::new();
    talk.go_on(50);
    let (mut lost, mut concealed) = (0, 0);
    for n in 0..100 {
        if n % 10 == 5 {
            talk.number += 1;
            talk.timestamp = talk.timestamp.wrapping_add(160);
            talk.said += 160;
            lost += 1;
        } else {
            talk.send();
        }
        let (pulled, frame) = talk.hear();
        concealed += u64::from(pulled == Pulled::Concealed);
        assert!(rms(&frame) > 50.0, "frame {n} is too quiet");
    }
    assert_eq!((talk.jitter.stats().concealed, concealed, talk.jitter.stats().late), (lost, lost, 0));
}

#[test]
fn digits_in_between_are_no_loss() {
    let mut talk = Talk::new();
    talk.go_on(50);
    for _ in 0..8 {
        talk.jitter.skip(talk.number);
        talk.number += 1;
        talk.hear();
    }
    talk.timestamp = talk.timestamp.wrapping_add(8 * 160);
    let pulled = talk.go_on(20);
    assert!(pulled[2..].iter().all(|&p| p == Pulled::Voice), "{pulled:?}");
    assert_eq!(talk.jitter.stats().concealed, 0);
}

#[test]
fn a_jump_of_the_timestamps_alone_is_not_heard() {
    for jump in [1_000_000_u32, 1_000_000_u32.wrapping_neg(), 1 << 31, 40_000, 40_000_u32.wrapping_neg()] {
        let mut talk = Talk::new();
        talk.go_on(50);
        talk.timestamp = talk.timestamp.wrapping_add(jump);
        let pulled = talk.go_on(50);
        assert!(pulled.iter().all(|&p| p == Pulled::Voice), "{jump}: {pulled:?}");
        assert_eq!(talk.jitter.stats(), Stats { delay: ms(20), ..Stats::default() });
    }
}

#[test]
fn another_source_is_heard_at_once() {
    let mut talk = Talk::new();
    talk.go_on(50);
    talk.number += 70_000;
    talk.timestamp = 77;
    let pulled = talk.go_on(20);
    assert!(pulled[0] == Pulled::Concealed && pulled[1..].iter().all(|&p| p == Pulled::Voice), "{pulled:?}");
    assert_eq!((talk.jitter.stats().concealed, talk.jitter.stats().late), (0, 0));
}

#[test]
fn after_a_reset_nothing_of_before_is_heard() {
    let mut talk = Talk::new();
    talk.go_on(50);
    talk.jitter.reset();
    assert_eq!(talk.hear(), (Pulled::Nothing, [0; FRAME]));
    assert!(talk.go_on(20)[1..].iter().all(|&p| p == Pulled::Voice));
}

#[test]
fn what_came_at_once_after_a_stall_is_played_and_the_delay_comes_down_again() {
    let mut talk = Talk::new();
    talk.go_on(100);
    for _ in 0..25 {
        talk.hear();
    }
    (0..25).for_each(|_| talk.send());
    let pulled = talk.go_on(100);
    assert!(pulled[1..].iter().all(|&p| p == Pulled::Voice), "{pulled:?}");
    assert!(talk.jitter.stats().delay <= ms(220), "{:?}", talk.jitter.stats());
    for _ in 0..5 {
        talk.said = 0;
        let pulled = talk.go_on(200);
        assert!(pulled.iter().all(|&p| p == Pulled::Voice), "{pulled:?}");
    }
    assert!(talk.jitter.stats().delay <= ms(40), "{:?}", talk.jitter.stats());
}

#[test]
fn packets_that_come_twice_or_out_of_order_change_nothing() {
    let calm = play(&CALM);
    let mut held: Option<(u64, u32, Vec<u8>)> = None;
    let mut before: Vec<(u64, u32, Vec<u8>)> = Vec::new();
    let mixed = play_with(&Scene { min: 40, ..CALM }, |jitter, packet, n| {
        let own = (packet.number, packet.timestamp, packet.payload.to_vec());
        let mut push = |of: &(u64, u32, Vec<u8>)| {
            jitter.push(Packet {
                number: of.0,
                timestamp: of.1,
                codec: Codec::Pcmu,
                payload: &of.2,
                early: packet.early,
            });
        };
        // Every fifth comes after the next one; each comes again at once, and again two packets later.
        if n % 5 == 2 {
            held = Some(own);
            return;
        }
        push(&own);
        if let Some(late) = held.take() {
            push(&late);
        }
        push(&own);
        before.push(own);
        if before.len() > 2 {
            push(&before.remove(0));
        }
    });
    assert_eq!((mixed.stats.late, mixed.stats.concealed), (0, 0));
    assert!(mixed.stats.duplicates > 1500);
    let (a, b) = (CALM.start(), Scene { min: 40, ..CALM }.start());
    assert_eq!(calm.out[a..a + 150_000], mixed.out[b..b + 150_000]);
}

#[test]
fn the_memory_of_a_buffer_is_small() {
    let (packets, held) = Workbench::new(&[Codec::Pcmu, Codec::Pcma], ms(200)).store.room();
    let bytes = size_of::<Jitter>() + packets * size_of::<Entry>() + held + stretch::ROOM * size_of::<i16>();
    println!("a jitter buffer takes {bytes} bytes");
    assert!(bytes <= 14 << 10, "{bytes}");
}

#[derive(Clone, Debug)]
enum Deed {
    Push { ahead: u64, behind: u64, timestamp: Option<u32>, bytes: usize },
    Skip { ahead: u64 },
    Pull,
    Reset,
}

fn deed() -> impl Strategy<Value = Deed> {
    let ahead = prop_oneof![8 => 1..2_u64, 2 => 0..20_u64, 1 => Just(70_000_u64)];
    let timestamp = prop_oneof![6 => Just(None), 1 => any::<u32>().prop_map(Some)];
    let bytes = prop_oneof![6 => Just(160_usize), 1 => 0..1500_usize];
    prop_oneof![
        8 => (ahead.clone(), 0..4_u64, timestamp, bytes)
            .prop_map(|(ahead, behind, timestamp, bytes)| Deed::Push { ahead, behind, timestamp, bytes }),
        1 => ahead.prop_map(|ahead| Deed::Skip { ahead }),
        8 => Just(Deed::Pull),
        1 => Just(Deed::Reset),
    ]
}

proptest! {
    #[test]
    fn whatever_comes_nothing_panics_and_silence_follows_in_the_end(
        deeds in prop::collection::vec(deed(), 0..400), min in 0..100_u64, max in 0..700_u64)
    {
        let mut jitter = buffer(ms(min), ms(max));
        let mut frame = [0; FRAME];
        let (mut number, mut timestamp) = (65_536_u64, 0_u32);
        let payload = [0x21; 1500];
        for deed in deeds {
            match deed {
                Deed::Push { ahead, behind, timestamp: given, bytes } => {
                    number += ahead;
                    timestamp = given.unwrap_or(timestamp.wrapping_add(160));
                    let number = number - behind;
                    let payload = &payload[..bytes];
                    jitter.push(Packet { number, timestamp, codec: Codec::Pcmu, payload, early: (number % 400) as u16 });
                }
                Deed::Skip { ahead } => {
                    number += ahead;
                    jitter.skip(number);
                }
                Deed::Pull => drop(jitter.pull(&mut frame)),
                Deed::Reset => jitter.reset(),
            }
        }
        // The most that waits is the longest delay, the store, and the fade.
        for _ in 0..200 {
            jitter.pull(&mut frame);
        }
        prop_assert_eq!(jitter.pull(&mut frame), Pulled::Nothing);
        prop_assert_eq!(frame, [0; FRAME]);
        prop_assert!(matches!(jitter.state, State::Idle));
    }
}

/// Opus packets of 20 ms each as a sender with DTX has them; none where nothing is to be sent.
fn left_out(source: &[i16]) -> Vec<Option<Vec<u8>>> {
    let wish = crate::codec::OpusWish { dtx: true, ..Default::default() };
    let mut encoder = audio::opus::Encoder::new(wish);
    let frames = source.chunks_exact(320).map(|frame| {
        let mut packet = [0; 1275];
        let written = encoder.encode(Rate::Wide, frame, &mut packet);
        (written > 0).then(|| packet[..written].to_vec())
    });
    frames.collect()
}

/// Wideband speech over the noise of a room until `until` (in seconds), then the noise alone.
fn in_a_room(seconds: usize, until: usize, noise: f64) -> Vec<i16> {
    let mut chance = Chance::new(3);
    let said = speech(9, seconds * 8000);
    (0..seconds * 16_000)
        .map(|n| {
            let hiss = ((chance.share() + chance.share() - 1.0) * noise * 2.45) as i16;
            if n < until * 16_000 { said[n / 2].saturating_add(hiss) } else { hiss }
        })
        .collect()
}

/// What is heard of these packets, in frames; `told` is what stands for a frame that is left out.
fn heard_of(packets: &[Option<Vec<u8>>], told: &[u8]) -> (Vec<(Pulled, f64)>, Stats) {
    let bench = Workbench::new(&[Codec::Opus], ms(200));
    let mut jitter = Jitter::new(ms(20), ms(200), bench);
    jitter.set_wish(Rate::Wide);
    let mut number = 65_536;
    let frames = packets.iter().zip(0_u32..).map(|(packet, at)| {
        let payload = packet.as_deref().unwrap_or(told);
        if !payload.is_empty() {
            jitter.push(Packet { number, timestamp: at * 960, codec: Codec::Opus, payload, early: 0 });
            number += 1;
        }
        let mut frame = [0; 320];
        let pulled = jitter.pull(&mut frame);
        (pulled, rms(&frame))
    });
    (frames.collect(), jitter.stats())
}

#[test]
fn the_noise_of_an_opus_sender_that_leaves_out_silence_stays_as_loud_as_it_was() {
    for noise in [15.0, 30.0] {
        let packets = left_out(&in_a_room(8, 3, noise));
        let sent = packets[200..].iter().flatten().count();
        assert!((5..40).contains(&sent), "of 200 frames of noise {sent} are sent");
        // A sender may send what stands for silence as an empty packet now and then, always, or not at all.
        for told in [&[][..], &[packets[160].as_ref().or(packets[0].as_ref()).unwrap()[0]][..]] {
            let (heard, stats) = heard_of(&packets, told);
            let levels: Vec<f64> =
                heard[250..395].chunks(5).map(|five| five.iter().map(|f| f.1).sum::<f64>() / 5.0).collect();
            let (least, most) = levels.iter().fold((f64::MAX, 0.0_f64), |(a, b), &c| (a.min(c), b.max(c)));
            println!("noise {noise}, {} bytes: {least:.1} to {most:.1}", told.len());
            assert!(least > 0.4 * noise && most < 2.0 * noise, "noise {noise}, told {told:?}: {levels:.0?}");
            assert!(heard[250..395].iter().filter(|f| f.0 != Pulled::Voice).count() < 45, "most of it is no loss");
            assert_eq!((stats.concealed, stats.late), (0, 0));
        }
    }
}

#[test]
fn an_opus_voice_that_is_lost_in_a_room_whose_silence_is_left_out_does_not_go_on() {
    let source = in_a_room(8, 2, 30.0);
    let more = speech(5, 16_000).iter().flat_map(|s| [*s, *s]).collect::<Vec<i16>>();
    let mut packets = left_out(&[source, more].concat());
    packets.truncate(460);
    packets.resize(540, None);
    let (heard, _) = heard_of(&packets, &[]);
    let level = |from: usize| heard[from..from + 3].iter().map(|f| f.1).sum::<f64>() / 3.0;
    assert!(level(450) > 150.0, "it speaks: {}", level(450));
    assert!(level(466) < 60.0 && level(480) < 60.0, "{} {}", level(466), level(480));
    assert!(heard[520..].iter().all(|f| *f == (Pulled::Nothing, 0.0)), "after a second nothing is left");
}

/// A network that hands over everything once in so many ms; what comes of it in the last ten seconds of thirty.
fn in_bursts(codec: Codec, units: u32, hold: u64, max: u64) -> Stats {
    let payload = vec![0; units as usize * store::bytes_in_unit(codec)];
    let bench = Workbench::new(&[codec], ms(max));
    let mut jitter = Jitter::new(ms(20), ms(max), bench);
    let (mut number, mut before) = (0, Stats::default());
    for now in (0..30_000).step_by(20) {
        if now % hold == 0 {
            while u64::from(units) * (number + 1) <= now * 8 {
                let timestamp = number as u32 * units * (codec.clock() / 8000);
                jitter.push(Packet { number: 1 + number, timestamp, codec, payload: &payload, early: 0 });
                number += 1;
            }
        }
        if now == 20_000 {
            before = jitter.stats();
        }
        jitter.pull(&mut vec![0; jitter.rate().frame()]);
    }
    let after = jitter.stats();
    let (late, concealed) = (after.late - before.late, after.concealed - before.concealed);
    Stats { late, concealed, ..after }
}

#[test]
fn the_most_delay_that_can_be_asked_for_is_held_in_each_codec() {
    for (codec, units) in
        [(Codec::Pcmu, 80), (Codec::Pcma, 480), (Codec::G722, 160), (Codec::L16, 160), (Codec::L16Wide, 160)]
    {
        for (hold, max) in [(180, 200), (980, 1000)] {
            let stats = in_bursts(codec, units, hold, max);
            assert_eq!((stats.discarded, stats.late, stats.concealed), (0, 0, 0), "{codec:?}, {max} ms: {stats:?}");
            assert!(stats.delay > ms(hold / 3), "{stats:?}");
        }
    }
    let stats = in_bursts(Codec::Pcmu, 160, 980, 200);
    assert!(stats.discarded + stats.late + stats.concealed > 100, "there is no room for much more: {stats:?}");
}
