//! What answers a call, as a confusion matrix on sounds that no detector was tuned on: signal tones of countries that our
//! own table does not have, with other frequencies, cadences, levels and noise; recorded voices that were kept apart; music.
//! `docs/listening.md` has what this prints.

use std::{f64::consts::TAU, path::Path};

use switchhook::{
    audio::{g711, progress::Progress, vad::level},
    verbs::Heard,
};

use crate::listening::{HELD_OUT, TUNED, files, samples_of};

/// Dial tone, ringing, busy, congestion (ITU-T E.180, supplement 2, and national papers). `425+480/1000,0/4000` is both
/// for a second and then four of silence, `400*33` the one getting louder and quieter as often as the other.
const COUNTRIES: [(&str, [&str; 4]); 19] = [
    ("Bulgaria", ["425", "425/1000,0/4000", "425/500,0/500", "425/250,0/250"]),
    ("Chile", ["400", "400/1000,0/3000", "400/500,0/500", "400/200,0/200"]),
    ("Estonia", ["425", "425/1000,0/4000", "425/300,0/300", "425/200,0/200"]),
    ("Greece", ["", "425/1000,0/4000", "425/300,0/300", "425/200,0/200"]),
    ("Hong Kong", ["350+440", "440+480/400,0/200,440+480/400,0/3000", "480+620/500,0/500", "480+620/250,0/250"]),
    ("Indonesia", ["425", "425/1000,0/4000", "425/500,0/500", "425/250,0/250"]),
    ("Ireland", ["425", "400+450/400,0/200,400+450/400,0/2000", "425/500,0/500", ""]),
    ("Israel", ["414", "414/1000,0/3000", "414/500,0/500", "414/250,0/250"]),
    ("Korea", ["350+440", "440+480/1000,0/2000", "480+620/500,0/500", "480+620/300,0/200"]),
    ("Lithuania", ["425", "425/1000,0/4000", "425/350,0/350", "425/200,0/200"]),
    ("Malaysia", ["425", "425/400,0/200,425/400,0/2000", "425/500,0/500", ""]),
    ("Philippines", ["425", "425+480/1000,0/4000", "480+620/500,0/500", "480+620/250,0/250"]),
    ("Russia", ["425", "425/800,0/3200", "425/350,0/350", "425/175,0/175"]),
    ("Singapore", ["425", "425*24/400,0/200,425*24/400,0/2000", "425/750,0/750", "425/250,0/250"]),
    ("South Africa", ["400*33", "400*33/400,0/200,400*33/400,0/2000", "400/500,0/500", "400/250,0/250"]),
    ("Taiwan", ["350+440", "440+480/1000,0/2000", "480+620/500,0/500", "480+620/250,0/250"]),
    ("Thailand", ["400*50", "420/1000,0/5000", "400/500,0/500", "400/300,0/300"]),
    ("Turkey", ["450", "450/2000,0/4000", "450/500,0/500", "450/200,0/200,450/200,0/200,450/200,0/200,450/600,0/200"]),
    ("Venezuela", ["425", "425/1000,0/4000", "425/500,0/500", "425/250,0/250"]),
];
/// How often each tone is sounded, each time in another way.
const TIMES: usize = 10;

/// Random numbers, the same in every run.
struct Dice(u64);

impl Dice {
    fn between(&mut self, from: f64, to: f64) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        from + (to - from) * ((self.0 >> 33) as f64 / f64::from(1_u32 << 31))
    }
}

/// What a matrix has a row for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Truth {
    Dial,
    Ringing,
    Busy,
    Congestion,
    Sit,
    Calling,
    Called,
    Person,
    Machine,
    Music,
    Nobody,
}

const ROWS: [(Truth, &str); 11] = [
    (Truth::Dial, "dial tone"),
    (Truth::Ringing, "ringing"),
    (Truth::Busy, "busy"),
    (Truth::Congestion, "congestion"),
    (Truth::Sit, "special information tones"),
    (Truth::Calling, "fax that calls (CNG)"),
    (Truth::Called, "fax that is called (CED, ANSam)"),
    (Truth::Person, "person"),
    (Truth::Machine, "machine"),
    (Truth::Music, "music"),
    (Truth::Nobody, "nobody"),
];
/// Of each row so many must be right: all that `docs/listening.md` says.
const RIGHT: [(Truth, usize, usize); 10] = [
    (Truth::Dial, 0, 174),
    (Truth::Ringing, 1, 186),
    (Truth::Busy, 2, 173),
    (Truth::Congestion, 3, 168),
    (Truth::Sit, 4, 100),
    (Truth::Calling, 5, 100),
    (Truth::Called, 5, 100),
    (Truth::Person, 6, 1343),
    (Truth::Machine, 7, 397),
    (Truth::Nobody, 8, 50),
];
const COLUMNS: [&str; 10] =
    ["dial", "ringing", "busy", "congestion", "sit", "fax", "person", "machine", "silence", "unknown"];

fn column(heard: Option<Heard>) -> usize {
    match heard {
        Some(Heard::Dial) => 0,
        Some(Heard::Ringing) => 1,
        Some(Heard::Busy) => 2,
        Some(Heard::Congestion) => 3,
        Some(Heard::Sit) => 4,
        Some(Heard::Fax) => 5,
        Some(Heard::Human) => 6,
        Some(Heard::Machine) => 7,
        Some(Heard::Silence) => 8,
        Some(Heard::Beep) | None => 9,
    }
}

/// The first thing that is told of `samples`, and after how many ms.
fn judged(samples: &[i16]) -> Option<(Heard, usize)> {
    let (mut progress, mut found) = (Progress::new(8000), None);
    for (at, frame) in samples.chunks(160).enumerate() {
        progress.handle(frame, |heard| found = found.or(Some((heard, (at + 1) * 20))));
    }
    found
}

fn beep_in(samples: &[i16]) -> bool {
    let (mut progress, mut found) = (Progress::new(8000), false);
    samples.chunks(160).for_each(|frame| progress.handle(frame, |heard| found |= heard == Heard::Beep));
    found
}

/// One part of a tone at 8 kHz: `sum` of sines, each with a frequency and a share, for so many ms.
type Part = (Vec<(f64, f64)>, f64);

/// A tone as it stands in [`COUNTRIES`], a little off.
fn parts(text: &str, dice: &mut Dice) -> Vec<Part> {
    let (detune, stretch) = (dice.between(0.98, 1.02), dice.between(0.92, 1.08));
    let part = |element: &str| {
        let (tones, ms) = element.split_once('/').unwrap_or((element, "15000"));
        let hz = |text: &str| text.parse::<f64>().unwrap() * detune;
        let sines = match (tones.split_once('+'), tones.split_once('*')) {
            (Some((a, b)), _) => vec![(hz(a), 0.5), (hz(b), 0.5)],
            (None, Some((a, by))) => {
                let (a, by) = (hz(a), by.parse::<f64>().unwrap());
                vec![(a, 0.5), (a - by, 0.225), (a + by, 0.225)]
            }
            (None, None) if tones == "0" => vec![],
            (None, None) => vec![(hz(tones), 1.0)],
        };
        (sines, ms.parse::<f64>().unwrap() * stretch)
    };
    text.split(',').map(part).collect()
}

/// These parts over and over, from anywhere in them, for 15 seconds; `once`: from their beginning, and then silence.
fn sounded(parts: &[Part], once: bool, dice: &mut Dice) -> Vec<i16> {
    let amplitude = 22_438.0 * 10.0_f64.powf(dice.between(-30.0, -8.0) / 20.0);
    let mut round = vec![];
    for (sines, ms) in parts {
        let length = (ms * 8.0) as usize;
        let wave = |n: usize| sines.iter().map(|(hz, share)| share * (TAU * hz * n as f64 / 8000.0).sin()).sum::<f64>();
        round.extend((0..length).map(|n| (amplitude * wave(n)) as i16));
    }
    let mut samples = vec![0; dice.between(0.0, 12_000.0) as usize];
    let from = if once { 0 } else { dice.between(0.0, round.len() as f64) as usize };
    let rounds = if once { 1 } else { 200_000 / round.len() + 2 };
    samples.extend(round.iter().copied().cycle().skip(from).take(round.len() * rounds - from));
    samples.resize(120_000, 0);
    on_the_line(&samples, amplitude, dice)
}

/// With noise 25 to 45 dB below `amplitude`, through A-law or µ-law.
fn on_the_line(samples: &[i16], amplitude: f64, dice: &mut Dice) -> Vec<i16> {
    let noise = (amplitude * 10.0_f64.powf(-dice.between(25.0, 45.0) / 20.0)).min(85.0);
    let noisy: Vec<i16> = samples.iter().map(|s| s.saturating_add(dice.between(-noise, noise) as i16)).collect();
    let (mut coded, mut back) = (vec![0; noisy.len()], vec![0; noisy.len()]);
    if dice.between(0.0, 1.0) < 0.5 {
        g711::encode_ulaw(&noisy, &mut coded);
        g711::decode_ulaw(&coded, &mut back);
    } else {
        g711::encode_alaw(&noisy, &mut coded);
        g711::decode_alaw(&coded, &mut back);
    }
    back
}

/// ITU-T E.180: 950, 1400 and 1800 Hz, each 50 Hz off at most, 330 ms each, 30 ms apart at most.
fn sit(dice: &mut Dice) -> Vec<i16> {
    let parts: Vec<Part> = [950.0, 1400.0, 1800.0]
        .into_iter()
        .flat_map(|hz| {
            let tone = (vec![(hz + dice.between(-50.0, 50.0), 1.0)], 330.0 + dice.between(-50.0, 50.0));
            [tone, (vec![], dice.between(0.0, 30.0))]
        })
        .collect();
    sounded(&parts, true, dice)
}

/// ITU-T T.30: CNG is 1100 Hz for half a second every 3.5 s, 38 Hz off at most.
fn calling(dice: &mut Dice) -> Vec<i16> {
    let off = dice.between(-38.0, 38.0);
    sounded(&[(vec![(1100.0 + off, 1.0)], dice.between(425.0, 575.0)), (vec![], 3000.0)], false, dice)
}

/// T.30: CED is 2100 Hz for 2.6 to 4 s, 15 Hz off at most. V.8: ANSam turns its phase round every 450 ms, and sways.
fn called(dice: &mut Dice) -> Vec<i16> {
    let (hz, ms) = (2100.0 + dice.between(-15.0, 15.0), dice.between(2600.0, 4000.0));
    if dice.between(0.0, 1.0) < 0.5 {
        return sounded(&[(vec![(hz, 1.0)], ms)], true, dice);
    }
    let sway = vec![(hz, 0.8), (hz - 15.0, 0.08), (hz + 15.0, 0.08)];
    let back: Vec<(f64, f64)> = sway.iter().map(|(hz, share)| (*hz, -share)).collect();
    let parts: Vec<Part> = (0..8).map(|n| (if n % 2 == 0 { sway.clone() } else { back.clone() }, 450.0)).collect();
    sounded(&parts, true, dice)
}

/// Where something is to be heard in a recording: from its first sound to its last.
fn spoken(samples: &[i16]) -> &[i16] {
    let loud = |frame: &[i16]| level(frame) > -40.0;
    let first = samples.chunks(160).position(loud).unwrap_or(0) * 160;
    let last = samples.chunks(160).rposition(loud).map_or(0, |at| (at + 1) * 160).min(samples.len());
    &samples[first.min(last)..last]
}

/// A recording on the line: somewhere in the first second and a half, louder or quieter, with silence after it. Gives
/// where it begins and ends, in ms.
fn recorded(speech: &[i16], dice: &mut Dice) -> (Vec<i16>, usize, usize) {
    let lead = (dice.between(200.0, 1500.0) as usize) * 8;
    let gain = 10.0_f64.powf((dice.between(-24.0, -12.0) - f64::from(level(speech))) / 20.0);
    let mut samples = vec![0; lead];
    samples.extend(speech.iter().map(|s| (f64::from(*s) * gain).clamp(-32_000.0, 32_000.0) as i16));
    let ends = samples.len();
    samples.resize(ends + 32_000, 0);
    (on_the_line(&samples, 6000.0, dice), lead / 8, ends / 8)
}

/// Of the prompts some are no speech but sounds.
fn speaks(file: &Path) -> bool {
    let name = file.file_stem().unwrap().to_string_lossy();
    !["beep", "ascending-2tone", "descending-2tone", "confbridge-join", "confbridge-leave"].contains(&&*name)
}

/// The longest silence within a recording, in ms.
fn longest_pause(speech: &[i16]) -> usize {
    let (mut longest, mut now) = (0, 0);
    for frame in speech.chunks(160) {
        now = if level(frame) < -40.0 { now + 20 } else { 0 };
        longest = longest.max(now);
    }
    longest
}

#[derive(Default)]
struct Matrix {
    counts: Vec<(Truth, [usize; COLUMNS.len()])>,
    /// How long after its end a person was known, after its beginning a machine; in ms.
    person: Vec<usize>,
    machine: Vec<usize>,
}

impl Matrix {
    fn count(&mut self, truth: Truth, heard: Option<Heard>) {
        if !self.counts.iter().any(|(had, _)| *had == truth) {
            self.counts.push((truth, [0; COLUMNS.len()]));
        }
        let row = self.counts.iter_mut().find(|(had, _)| *had == truth).expect("was added");
        row.1[column(heard)] += 1;
    }

    fn of(&self, truth: Truth) -> [usize; COLUMNS.len()] {
        self.counts.iter().find(|(had, _)| *had == truth).expect("was counted").1
    }

    fn print(&self) {
        println!("| truth | all | {} |", COLUMNS.join(" | "));
        for (truth, name) in ROWS {
            let row = self.of(truth);
            let cells: Vec<String> = row.iter().map(usize::to_string).collect();
            println!("| {name} | {} | {} |", row.iter().sum::<usize>(), cells.join(" | "));
        }
    }

    fn tones(&mut self, dice: &mut Dice) {
        for (country, tones) in COUNTRIES {
            for (text, truth) in tones.iter().zip([Truth::Dial, Truth::Ringing, Truth::Busy, Truth::Congestion]) {
                for _ in (0..TIMES).filter(|_| !text.is_empty()) {
                    let heard = judged(&sounded(&parts(text, dice), false, dice)).map(|(heard, _)| heard);
                    self.count(truth, heard);
                    let right = [Heard::Dial, Heard::Ringing, Heard::Busy, Heard::Congestion];
                    if heard != Some(right[truth as usize]) {
                        println!("{country}: {truth:?} ({text}) heard as {heard:?}");
                    }
                }
            }
        }
        for (truth, make) in
            [(Truth::Sit, sit as fn(&mut Dice) -> Vec<i16>), (Truth::Calling, calling), (Truth::Called, called)]
        {
            for _ in 0..100 {
                self.count(truth, judged(&make(dice)).map(|(heard, _)| heard));
            }
        }
        for _ in 0..50 {
            let silence = on_the_line(&[0; 120_000], 2000.0, dice);
            self.count(Truth::Nobody, judged(&silence).map(|(heard, _)| heard));
        }
    }

    fn voices(&mut self, dice: &mut Dice) {
        for voice in HELD_OUT {
            for file in files(voice).into_iter().filter(|file| speaks(file)) {
                let samples = samples_of(&file);
                let speech = spoken(&samples);
                let (ms, pause) = (speech.len() / 8, longest_pause(speech));
                let truth = match ms {
                    200..=1800 if pause < 500 => Truth::Person,
                    3500.. if pause < 800 => Truth::Machine,
                    _ => continue,
                };
                let (line, begins, ends) = recorded(speech, dice);
                let found = judged(&line);
                self.count(truth, found.map(|(heard, _)| heard));
                match (truth, found) {
                    (Truth::Person, Some((Heard::Human, at))) => self.person.push(at.saturating_sub(ends)),
                    (Truth::Machine, Some((Heard::Machine, at))) => self.machine.push(at - begins),
                    (_, found) => println!("{}: {truth:?} ({ms} ms) heard as {found:?}", file.display()),
                }
            }
        }
    }

    /// A machine's greeting and then its beep, or none: how many beeps are heard, and how many that are not there.
    fn beeps(&self, voices: &[&str], dice: &mut Dice) -> [(usize, usize); 2] {
        let mut counts = [(0, 0); 2];
        for voice in voices {
            let long = files(voice).into_iter().map(|file| samples_of(&file));
            for samples in long.filter(|samples| spoken(samples).len() > 28_000) {
                let (mut line, _, ends) = recorded(spoken(&samples), dice);
                counts[1].0 += usize::from(beep_in(&line));
                counts[1].1 += 1;
                let (hz, ms) = (dice.between(400.0, 2000.0), dice.between(150.0, 1000.0));
                let amplitude = 22_438.0 * 10.0_f64.powf(dice.between(-25.0, -8.0) / 20.0);
                let from = (ends + dice.between(100.0, 1500.0) as usize) * 8;
                for (n, sample) in line[from..].iter_mut().take((ms * 8.0) as usize).enumerate() {
                    *sample = sample.saturating_add((amplitude * (TAU * hz * n as f64 / 8000.0).sin()) as i16);
                }
                counts[0].0 += usize::from(beep_in(&line));
                counts[0].1 += 1;
            }
        }
        counts
    }

    fn music(&mut self, dice: &mut Dice) {
        for name in
            ["macroform-cold_day", "macroform-robot_dity", "macroform-the_simplicity", "manolo_camp-morning_coffee"]
        {
            let samples = samples_of(&Path::new("/usr/share/asterisk/moh").join(format!("{name}.wav")));
            for piece in samples.chunks_exact(120_000).step_by(4) {
                self.count(Truth::Music, judged(&on_the_line(piece, 6000.0, dice)).map(|(heard, _)| heard));
            }
        }
    }
}

/// The middle one, and the one that 95 of 100 do not exceed.
fn spread(times: &mut [usize]) -> (usize, usize) {
    times.sort_unstable();
    (times[times.len() / 2], times[times.len() * 95 / 100])
}

#[test]
fn what_answers_is_known_on_sounds_that_were_kept_apart() {
    let (mut matrix, mut dice) = (Matrix::default(), Dice(20));
    matrix.tones(&mut dice);
    matrix.voices(&mut dice);
    matrix.music(&mut dice);
    let [(tuned, all_tuned), (tuned_none, _)] = matrix.beeps(&[TUNED], &mut dice);
    println!("tuned: beeps heard: {tuned} of {all_tuned}; heard where there is none: {tuned_none}");
    let [(beeps, all_beeps), (none, all_none)] = matrix.beeps(&HELD_OUT, &mut dice);
    matrix.print();
    println!("beeps heard: {beeps} of {all_beeps}; heard where there is none: {none} of {all_none}");
    let (person, machine) = (spread(&mut matrix.person.clone()), spread(&mut matrix.machine.clone()));
    println!("a person is known {} ms (median) after the greeting, {} ms (95 %)", person.0, person.1);
    for (truth, column, right) in RIGHT {
        assert!(matrix.of(truth)[column] >= right, "{truth:?}: {:?}", matrix.of(truth));
    }
    for truth in [Truth::Person, Truth::Machine, Truth::Music] {
        assert_eq!(matrix.of(truth)[..6], [0; 6], "{truth:?} is no tone");
    }
    assert_eq!(matrix.of(Truth::Person)[7] + matrix.of(Truth::Machine)[6], 0, "nobody is taken for the other");
    assert!(beeps * 1000 >= all_beeps * 999 && none == 0, "{beeps} of {all_beeps}, {none}");
    assert!(person.0 <= 900 && person.1 <= 920 && machine.0 <= 2810 && machine.1 <= 2940, "{person:?} {machine:?}");
    println!("a machine is known {} ms (median) after its greeting began, {} ms (95 %)", machine.0, machine.1);
}
