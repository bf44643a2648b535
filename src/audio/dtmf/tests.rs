use super::*;
use crate::{
    audio::{Conceal, g711},
    chance::Chance,
    codec::Rate,
};

const ALL: &str = "123A456B789C*0#D";

/// How a key is sounded.
#[derive(Clone, Copy, Debug)]
struct Press {
    key: char,
    ms: f64,
    /// Of the louder tone, in dBm0.
    level: f64,
    /// Higher tone over lower tone, in dB.
    twist: f64,
    /// Both tones are off by these parts.
    off: (f64, f64),
}

const PLAIN: Press = Press { key: '5', ms: 50.0, level: -10.0, twist: 0.0, off: (0.0, 0.0) };

fn amplitude_of(dbm0: f64) -> f64 {
    22_438.0 * 10f64.powf(dbm0 / 20.0)
}

/// The key with a second's tenth of silence on either side, through µ-law, beginning anywhere.
fn sounded(press: Press, chance: &mut Chance) -> Vec<i16> {
    let (row, column) = KEYS
        .iter()
        .enumerate()
        .find_map(|(row, keys)| Some((row, keys.iter().position(|k| char::from(*k) == press.key)?)))
        .unwrap();
    let low = amplitude_of(press.level - press.twist.max(0.0));
    let high = amplitude_of(press.level + press.twist.min(0.0));
    let steps = [(TONES[row] * (1.0 + press.off.0), low), (TONES[column + 4] * (1.0 + press.off.1), high)];
    let phases = [chance.share() * TAU, chance.share() * TAU];
    let lead = 800 + (chance.share() * 64.0) as usize;
    let mut samples = vec![0i16; lead];
    for n in 0..(press.ms * 8.0) as usize {
        let wave = |(f, a): (f64, f64), phase: f64| a * (TAU * f * n as f64 / 8000.0 + phase).sin();
        let sum = wave(steps[0], phases[0]) + wave(steps[1], phases[1]);
        samples.push(sum.clamp(-32768.0, 32767.0) as i16);
    }
    samples.resize(samples.len() + 800, 0);
    through_ulaw(&samples)
}

fn through_ulaw(samples: &[i16]) -> Vec<i16> {
    let (mut coded, mut back) = (vec![0; samples.len()], vec![0; samples.len()]);
    g711::encode_ulaw(samples, &mut coded);
    g711::decode_ulaw(&coded, &mut back);
    back
}

fn keys(samples: &[i16]) -> String {
    let (mut detector, mut keys) = (Detector::new(8000), String::new());
    for frame in samples.chunks(160) {
        detector.handle(frame, |key| keys.push(key));
    }
    keys
}

/// All the presses that Q.24 wants heard, at the corners of what it allows and within.
fn allowed(chance: &mut Chance) -> Vec<Press> {
    let mut presses = Vec::new();
    for key in ALL.chars() {
        for ms in [40.0, 45.0, 60.0, 80.0, 100.0] {
            for level in [-25.0, -14.0, -3.0] {
                for twist in [4.0, 0.0, -8.0] {
                    for off in [(0.015, 0.015), (-0.015, -0.015), (0.015, -0.015), (-0.015, 0.015)] {
                        presses.push(Press { key, ms, level, twist, off });
                    }
                }
            }
        }
        for _ in 0..100 {
            let between = |chance: &mut Chance, from: f64, to: f64| from + (to - from) * chance.share();
            presses.push(Press {
                key,
                ms: between(chance, 40.0, 100.0),
                level: between(chance, -25.0, -3.0),
                twist: between(chance, -8.0, 4.0),
                off: (between(chance, -0.015, 0.015), between(chance, -0.015, 0.015)),
            });
        }
    }
    presses
}

#[test]
fn every_key_is_heard_once_at_every_level_length_twist_and_frequency_that_q24_allows() {
    let mut chance = Chance::new(1);
    let presses = allowed(&mut chance);
    assert!(presses.len() > 4000);
    for press in presses {
        let heard = keys(&sounded(press, &mut chance));
        assert_eq!(heard, press.key.to_string(), "{press:?}");
    }
}

#[test]
fn tones_of_23_ms_or_less_are_refused() {
    let mut chance = Chance::new(2);
    for key in ALL.chars() {
        for ms in [5.0, 10.0, 15.0, 20.0, 22.0, 23.0] {
            for level in [-25.0, -10.0, -3.0] {
                for _ in 0..10 {
                    let press = Press { key, ms, level, ..PLAIN };
                    assert_eq!(keys(&sounded(press, &mut chance)), "", "{press:?}");
                }
            }
        }
    }
}

#[test]
fn tones_too_far_off_too_uneven_too_quiet_or_single_are_refused() {
    let mut chance = Chance::new(3);
    for key in ALL.chars() {
        let plain = Press { key, ms: 80.0, ..PLAIN };
        for press in [
            Press { off: (0.035, 0.035), ..plain },
            Press { off: (-0.035, 0.0), ..plain },
            Press { off: (0.0, 0.035), ..plain },
            Press { twist: 14.0, ..plain },
            Press { twist: -16.0, ..plain },
            Press { level: -45.0, ..plain },
            Press { twist: 60.0, ..plain },
        ] {
            assert_eq!(keys(&sounded(press, &mut chance)), "", "{press:?}");
        }
    }
}

#[test]
fn presses_with_short_pauses_are_told_apart_and_an_interruption_is_none() {
    let mut chance = Chance::new(4);
    let sound = |press: Press, chance: &mut Chance| {
        let samples = sounded(press, chance);
        let from = samples.iter().position(|s| s.abs() > 300).unwrap();
        samples[from..from + (press.ms * 8.0) as usize].to_vec()
    };
    let mut all = vec![0; 400];
    for key in "1159*#D00".chars() {
        all.extend(sound(Press { key, ..PLAIN }, &mut chance));
        all.extend([0; 400]);
    }
    assert_eq!(keys(&all), "1159*#D00");
    let mut broken = vec![0; 400];
    for _ in 0..2 {
        broken.extend(sound(Press { key: '7', ..PLAIN }, &mut chance));
        broken.extend([0; 80]);
    }
    broken.extend([0; 800]);
    assert_eq!(keys(&broken), "7");
}

#[test]
fn keys_are_heard_in_noise_of_15_db_and_after_a_dial_tone() {
    let mut chance = Chance::new(5);
    for key in ALL.chars() {
        let mut samples = sounded(Press { key, ms: 60.0, ..PLAIN }, &mut chance);
        for sample in &mut samples {
            // Uniform noise of an eighth of the tones' power, 15 dB below both together.
            *sample += ((chance.share() - 0.5) * 2.0 * amplitude_of(-10.0) * 0.3) as i16;
        }
        assert_eq!(keys(&samples), key.to_string());
    }
}

#[test]
fn higher_rates_are_heard_as_well() {
    let mut chance = Chance::new(6);
    let samples = sounded(Press { ms: 60.0, ..PLAIN }, &mut chance);
    let tripled: Vec<i16> = samples.iter().flat_map(|s| [*s; 6]).collect();
    let (mut detector, mut keys) = (Detector::new(48_000), String::new());
    detector.handle(&tripled, |key| keys.push(key));
    assert_eq!(keys, "5");
}

#[test]
fn noise_and_loud_rectangles_are_no_keys() {
    let mut chance = Chance::new(7);
    let noise: Vec<i16> = (0..800_000).map(|_| ((chance.share() - 0.5) * 30_000.0) as i16).collect();
    assert_eq!(keys(&noise), "");
    let rectangle: Vec<i16> = (0..80_000).map(|n| if n / 40 % 2 == 0 { 20_000 } else { -20_000 }).collect();
    assert_eq!(keys(&rectangle), "");
}

/// What is heard where this frame of 20 ms is lost and made up.
fn keys_without(samples: &[i16], lost: usize) -> String {
    let (mut detector, mut conceal, mut keys) = (Detector::new(8000), Conceal::new(Rate::Narrow), String::new());
    for (at, frame) in samples.chunks_exact(160).enumerate() {
        let mut frame = frame.to_vec();
        if at == lost {
            conceal.make_up(&mut frame);
            detector.handle_made_up(&frame, |key| keys.push(key));
        } else {
            conceal.hear(&mut frame);
            detector.handle(&frame, |key| keys.push(key));
        }
    }
    keys
}

#[test]
fn a_packet_lost_within_a_tone_of_usual_length_neither_hides_it_nor_makes_two_of_it() {
    let mut chance = Chance::new(8);
    for key in ALL.chars() {
        let samples = sounded(Press { key, ms: 100.0, ..PLAIN }, &mut chance);
        for lost in 0..samples.len() / 160 {
            assert_eq!(keys_without(&samples, lost), key.to_string(), "frame {lost}");
        }
    }
}

#[test]
fn a_packet_lost_in_the_pause_between_two_presses_does_not_join_them() {
    let mut chance = Chance::new(9);
    for key in ALL.chars() {
        let one = sounded(Press { key, ms: 80.0, ..PLAIN }, &mut chance);
        let both = [&one[..], &one[800..]].concat();
        for lost in 0..both.len() / 160 {
            assert_eq!(keys_without(&both, lost), format!("{key}{key}"), "frame {lost}");
        }
    }
}
