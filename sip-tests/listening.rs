//! What we hear in real people's voices: prompts recorded in studios, from Debian's packages. The first voice is the
//! one that thresholds were chosen with; the others were kept apart, and no figure in the docs is of the first.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use switchhook::{
    audio::{Conceal, dtmf, progress::Progress},
    codec::Rate,
    verbs::Heard,
};

/// The voice that thresholds were chosen with.
pub const TUNED: &str = "en_US_f_Allison";
/// Voices that were never looked at before: Spanish, French, Italian (a man), Russian.
pub const HELD_OUT: [&str; 4] = ["es_MX_f_Allison", "fr_CA_f_June", "it_IT_m_Carlo", "ru_RU_f_IvrvoiceRU"];

pub fn files(voice: &str) -> Vec<PathBuf> {
    let mut folders = vec![Path::new("/usr/share/asterisk/sounds").join(voice)];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
        for path in entries.map(|entry| entry.unwrap().path()) {
            match path.extension() {
                None if path.is_dir() => folders.push(path),
                Some(kind) if kind == "wav" => found.push(path),
                Some(_) | None => {}
            }
        }
    }
    found.sort();
    found
}

/// What a voice says, all or one in `every` prompts, one after the other with a moment of silence between.
pub fn voice(name: &str, every: usize) -> Vec<i16> {
    let mut samples = Vec::new();
    for file in files(name).into_iter().step_by(every) {
        let mut reader = hound::WavReader::open(&file).unwrap();
        assert_eq!((reader.spec().sample_rate, reader.spec().channels), (8000, 1), "{}", file.display());
        samples.extend(reader.samples::<i16>().map(|sample| sample.unwrap()));
        samples.extend([0; 1600]);
    }
    samples
}

/// The same where one packet in twenty is lost and made up.
fn false_keys_at_loss(samples: &[i16]) -> String {
    let (mut detector, mut conceal, mut keys) = (dtmf::Detector::new(8000), Conceal::new(Rate::Narrow), String::new());
    let mut seed = 5_u64;
    for frame in samples.chunks_exact(160) {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let mut frame = frame.to_vec();
        if (seed >> 33).is_multiple_of(20) {
            conceal.make_up(&mut frame);
            detector.handle_made_up(&frame, |key| keys.push(key));
        } else {
            conceal.hear(&mut frame);
            detector.handle(&frame, |key| keys.push(key));
        }
    }
    keys
}

fn false_keys(samples: &[i16]) -> String {
    let (mut detector, mut keys) = (dtmf::Detector::new(8000), String::new());
    for frame in samples.chunks(160) {
        detector.handle(frame, |key| keys.push(key));
    }
    keys
}

#[test]
fn hours_of_speech_in_five_voices_hold_no_digit() {
    // All two hours, or each third prompt.
    let (every, least) = if std::env::var_os("PROOF").is_some() { (1, 100) } else { (3, 33) };
    let mut held_out = 0;
    for name in HELD_OUT.into_iter().chain([TUNED]) {
        let samples = voice(name, every);
        let minutes = samples.len() / 480_000;
        let keys = false_keys(&samples);
        let at_loss = false_keys_at_loss(&samples);
        println!("{name}: {minutes} min of speech, false keys: {keys:?}, at 5 % loss: {at_loss:?}");
        assert_eq!((keys.as_str(), at_loss.as_str()), ("", ""), "{name}");
        held_out += if name == TUNED { 0 } else { minutes };
    }
    assert!(held_out >= least, "{held_out} min");
}

/// Text spoken by espeak-ng, at 8,000 samples a second.
pub fn spoken(voice: &str, speed: u32, text: &str) -> Vec<i16> {
    let folder = tempfile::tempdir().unwrap();
    let (wide, narrow) = (folder.path().join("wide.wav"), folder.path().join("narrow.wav"));
    let run = |command: &mut Command| assert!(command.status().unwrap().success(), "{command:?}");
    run(Command::new("espeak-ng").args(["-v", voice, "-s", &speed.to_string(), "-w"]).arg(&wide).arg(text));
    run(Command::new("sox").args(["-V1", "-G"]).arg(&wide).args(["-r", "8000", "-c", "1", "-b", "16"]).arg(&narrow));
    samples_of(&narrow)
}

pub fn samples_of(file: &Path) -> Vec<i16> {
    hound::WavReader::open(file).unwrap().samples::<i16>().map(|sample| sample.unwrap()).collect()
}

/// What is told of a call that begins with half a second of silence and ends with three.
fn judged(greeting: &[i16]) -> Vec<Heard> {
    let samples = [&vec![0; 4000][..], greeting, &vec![0; 24_000]].concat();
    let (mut progress, mut found) = (Progress::new(8000), Vec::new());
    samples.chunks(160).for_each(|frame| progress.handle(frame, |heard| found.push(heard)));
    found
}

fn beep(frequency: f64, ms: usize) -> Vec<i16> {
    let wave = |n: usize| 6000.0 * (std::f64::consts::TAU * frequency * n as f64 / 8000.0).sin();
    let pause = vec![0; 3200];
    let tone: Vec<i16> = (0..ms * 8).map(|n| wave(n) as i16).collect();
    [pause, tone].concat()
}

/// Voices and greetings that thresholds were chosen with, and those that were kept apart: other languages, other voices,
/// other words.
const PEOPLE: [(&[&str], &[&str]); 2] = [
    (&["en-us", "en-us+f3"], &["Hello?", "Hello, Miller speaking.", "Yes?", "Good morning, this is Anna."]),
    (
        &["en-gb", "en-gb+f2", "en-gb+m7", "en-029+m3", "en-gb-scotland+f4"],
        &["Hi.", "Smith.", "Yes, hello?", "Hello, Peter here.", "Jones and sons, hello?", "Hello, who is it?"],
    ),
];
const FOREIGN: [(&str, &[&str]); 4] = [
    ("de+m2", &["Ja, hallo?", "Müller.", "Guten Tag, Schmidt hier.", "Hallo?"]),
    ("fr+f1", &["Allô ?", "Oui, bonjour ?", "Dupont, bonjour."]),
    ("es+m4", &["¿Diga?", "Hola, buenos días.", "¿Sí?"]),
    ("it+f2", &["Pronto?", "Pronto, chi parla?"]),
];
const MACHINES: [(&[&str], &[&str]); 2] = [
    (
        &["en-us", "en-us+f3"],
        &[
            "Hello, you have reached the voicemail of John Miller. Please leave a message after the tone.",
            "Hi, I can't come to the phone right now, leave me a message and I will call you back.",
        ],
    ),
    (
        &["en-gb", "en-gb+f2", "en-gb+m7", "en-029+m3", "en-gb-scotland+f4"],
        &[
            "The person you are calling is not available at the moment. Please speak after the beep.",
            "Thank you for calling Jones and sons. Our office is closed today. We are open from nine to five.",
            "Your call has been forwarded to an automated voice messaging system.",
        ],
    ),
];
const FOREIGN_MACHINES: [(&str, &str); 4] = [
    ("de+m2", "Hier ist der Anschluss von Familie Müller. Bitte hinterlassen Sie eine Nachricht nach dem Signalton."),
    ("fr+f1", "Bonjour, vous êtes bien chez Monsieur Dupont. Laissez un message après le bip sonore."),
    ("es+m4", "Ha llamado al buzón de voz. Por favor, deje su mensaje después de la señal."),
    ("it+f2", "La segreteria telefonica è attiva. Lasciate un messaggio dopo il segnale acustico."),
];
/// Prompts of machines as people recorded them.
const RECORDED: [&str; 5] = ["vm-intro.wav", "vm-goodbye.wav", "ss-noservice.wav", "queue-thankyou.wav", "invalid.wav"];

/// Counts what was judged: (right, all) by truth, with a line for each that was not.
fn matrix(name: &str, cases: &[(Heard, String, Vec<i16>)]) -> [(usize, usize); 2] {
    let mut counts = [[0; 3]; 2];
    for (truth, what, samples) in cases {
        let found = judged(samples);
        let row = usize::from(*truth == Heard::Machine);
        let column = match found.iter().find(|heard| matches!(heard, Heard::Human | Heard::Machine)) {
            Some(Heard::Human) => 0,
            Some(_) => 1,
            None => 2,
        };
        if column != row {
            println!("{name}: {what}: {found:?} ({} ms)", samples.len() / 8);
        }
        counts[row][column] += 1;
    }
    for (truth, [human, machine, unknown]) in ["human", "machine"].into_iter().zip(counts) {
        println!("{name}: {truth:>8} heard as human {human}, machine {machine}, unknown {unknown}");
    }
    [0, 1].map(|row| (counts[row][row], counts[row].iter().sum()))
}

fn cases(at: usize) -> Vec<(Heard, String, Vec<i16>)> {
    let mut cases = Vec::new();
    for (truth, (voices, texts)) in [(Heard::Human, PEOPLE[at]), (Heard::Machine, MACHINES[at])] {
        for voice in voices {
            for text in texts {
                for speed in [150, 185] {
                    cases.push((truth, format!("{voice} {text}"), spoken(voice, speed, text)));
                }
            }
        }
    }
    cases
}

#[test]
fn people_and_machines_are_told_apart_also_in_voices_that_were_kept_apart() {
    let tuned = matrix("tuned", &cases(0));
    assert!(tuned.iter().all(|(right, all)| right == all), "{tuned:?}");
    let mut held_out = cases(1);
    for (voice, texts) in FOREIGN {
        held_out.extend(texts.iter().map(|text| (Heard::Human, format!("{voice} {text}"), spoken(voice, 165, text))));
    }
    for (voice, text) in FOREIGN_MACHINES {
        held_out.push((Heard::Machine, format!("{voice} {text}"), spoken(voice, 165, text)));
    }
    let [(people, all_people), (machines, all_machines)] = matrix("held out", &held_out);
    assert!(people * 100 >= all_people * 90, "{people} of {all_people} people");
    assert!(machines * 100 >= all_machines * 90, "{machines} of {all_machines} machines");
}

#[test]
fn recorded_voices_of_machines_and_their_beeps_are_known() {
    let (mut right, mut beeps, mut all) = (0, 0, 0);
    for (at, voice) in HELD_OUT.iter().enumerate() {
        let folder = Path::new("/usr/share/asterisk/sounds").join(voice);
        let intro = RECORDED.iter().map(|name| folder.join(name)).filter(|file| file.exists());
        let greeting: Vec<i16> = intro.flat_map(|file| [samples_of(&file), vec![0; 2400]].concat()).collect();
        for (frequency, ms) in [(440.0, 500), (1000.0, 200), (1000.0, 800), (1400.0, 400), (850.0, 300)] {
            let found = judged(&[greeting.clone(), beep(frequency + at as f64, ms)].concat());
            all += 1;
            right += usize::from(found.contains(&Heard::Machine) && !found.contains(&Heard::Human));
            beeps += usize::from(found.contains(&Heard::Beep));
        }
    }
    println!("recorded machines: {right} of {all} machines, {beeps} of {all} beeps");
    assert!(right * 100 >= all * 90 && beeps * 100 >= all * 90, "{right} {beeps} of {all}");
}
