//! Tones: signals in the frequencies and cadences of many countries (ITU-T E.180 supplement 2), digits (Q.23), beeps.
//!
//! Levels are those that networks use: -10 dBm0 for one frequency, -13 dBm0 for each of two. Every edge rises or falls
//! within 5 ms, so that nothing clicks.

use std::{f64::consts::TAU, time::Duration};

use crate::{
    audio::RATE,
    verbs::{SignalTone, Tone},
};

/// The longest tone that is made; one without end is looped instead.
pub const LONGEST: Duration = Duration::from_secs(3600);

/// Amplitude of a sine at 0 dBm0, 3.14 dB below the largest that A-law can carry (G.711 table 5).
const ZERO_DBM0: f64 = 22_438.0;
/// One frequency: -10 dBm0.
const ONE: f64 = ZERO_DBM0 * 0.316;
/// Each of two frequencies: -13 dBm0.
const TWO: f64 = ZERO_DBM0 * 0.224;
/// The lower frequency of a digit, -9 dBm0, and the higher one, -7 dBm0.
const DIGIT: (f64, f64) = (ZERO_DBM0 * 0.355, ZERO_DBM0 * 0.447);
/// Length of an edge: 5 ms.
const EDGE: usize = 40;
/// A beep without a length of its own.
const BEEP: Duration = Duration::from_millis(200);

/// The countries whose tones are known: ISO 3166 alpha-2, lower case.
pub fn countries() -> impl Iterator<Item = &'static str> {
    COUNTRIES.iter().map(|country| country.code)
}

/// A tone, ready to be played.
#[derive(Debug, PartialEq, Eq)]
pub struct ToneSound {
    /// Mono at 8,000 Hz.
    pub samples: Vec<i16>,
    /// Begin again at the end, for ever, without a gap.
    pub looped: bool,
}

/// Why there is no such tone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnknownTone {
    /// Nobody told how it sounds there.
    #[error("no tones are known for the country {0:?} (known: {known})", known = countries().collect::<Vec<_>>().join(" "))]
    Country(String),
    /// Neither one nor two, or out of range.
    #[error("a tone has one or two frequencies of 20 to 3800 Hz")]
    Frequencies,
    /// Longer than [`LONGEST`].
    #[error("a tone of a given length lasts an hour at most")]
    Length,
}

/// Make a tone: `length` of it, or, where absent, one that goes on for ever (a beep: 200 ms). `default_country` is used
/// where a signal names none (ISO 3166 alpha-2, case ignored).
pub fn tone(tone: &Tone, length: Option<Duration>, default_country: &str) -> Result<ToneSound, UnknownTone> {
    if length.is_some_and(|length| length > LONGEST) {
        return Err(UnknownTone::Length);
    }
    match tone {
        Tone::Beep => Ok(sound(&[on(One(1000))], Some(length.unwrap_or(BEEP)))),
        Tone::Signal { signal, country } => {
            let code = country.as_deref().unwrap_or(default_country);
            let country = COUNTRIES.iter().find(|c| c.code.eq_ignore_ascii_case(code));
            let country = country.ok_or_else(|| UnknownTone::Country(code.to_owned()))?;
            let cadence = match signal {
                SignalTone::Dial => country.dial,
                SignalTone::Ringing => country.ringing,
                SignalTone::Busy => country.busy,
                SignalTone::Congestion => country.congestion,
            };
            Ok(sound(cadence, length))
        }
        Tone::Frequencies(list) => {
            if list.iter().any(|f| !(20..=3800).contains(f)) {
                return Err(UnknownTone::Frequencies);
            }
            match list[..] {
                [one] => Ok(sound(&[on(One(one))], length)),
                [one, other] => Ok(sound(&[on(Two(one, other))], length)),
                _ => Err(UnknownTone::Frequencies),
            }
        }
    }
}

/// The two frequencies of a digit key (Q.23), for `length`; nothing where `key` is none of `0-9 * # A-D`.
pub fn digit(key: char, length: Duration) -> Option<Vec<i16>> {
    let (low, high) = frequencies(key)?;
    let mut samples = vec![0; samples_in(length.min(LONGEST))];
    add_sine(&mut samples, low, DIGIT.0);
    add_sine(&mut samples, high, DIGIT.1);
    rise(&mut samples);
    fall(&mut samples);
    Some(samples)
}

/// A key as it goes on: fills `out` with what follows on its first `from` samples. `rate`:
/// samples a second. Begins within 5 ms, so that nothing clicks. What is no key is silence.
pub fn sound_key(key: char, rate: u32, from: u32, out: &mut [i16]) {
    let Some((low, high)) = frequencies(key) else { return out.fill(0) };
    let edge = rate / 200;
    for (sample, at) in out.iter_mut().zip(from..) {
        let turn = TAU * f64::from(at) / f64::from(rate);
        let wave = DIGIT.0 * (turn * low).sin() + DIGIT.1 * (turn * high).sin();
        *sample = (wave * f64::from(at.min(edge)) / f64::from(edge)) as i16;
    }
}

/// The two frequencies of a key, in Hz.
fn frequencies(key: char) -> Option<(f64, f64)> {
    const KEYS: [&str; 4] = ["123A", "456B", "789C", "*0#D"];
    const LOW: [f64; 4] = [697.0, 770.0, 852.0, 941.0];
    const HIGH: [f64; 4] = [1209.0, 1336.0, 1477.0, 1633.0];
    let key = key.to_ascii_uppercase();
    let (row, column) = KEYS.iter().enumerate().find_map(|(row, keys)| Some((row, keys.find(key)?)))?;
    Some((LOW[row], HIGH[column]))
}

/// What is to be heard while a tone is on. Frequencies in Hz.
#[derive(Clone, Copy)]
enum Wave {
    One(u16),
    Two(u16, u16),
    /// The first, getting louder and quieter as often as the second.
    Swelling(u16, u16),
}
use Wave::{One, Swelling, Two};

/// One part of a cadence: on for so many ms, then off for so many.
type Part = (Wave, u16, u16);

/// Without a break. A second holds a whole number of periods of every frequency, so it can be looped.
const fn on(wave: Wave) -> Part {
    (wave, 1000, 0)
}

struct Country {
    code: &'static str,
    dial: &'static [Part],
    ringing: &'static [Part],
    busy: &'static [Part],
    congestion: &'static [Part],
}

/// In the order of [`Country`]'s fields.
const fn country(
    code: &'static str,
    dial: &'static [Part],
    ringing: &'static [Part],
    busy: &'static [Part],
    congestion: &'static [Part],
) -> Country {
    Country { code, dial, ringing, busy, congestion }
}

// Columns: dial, ringing, busy, congestion.
#[rustfmt::skip]
const COUNTRIES: &[Country] = &[
    country("at", &[on(One(420))], &[(One(420), 1000, 5000)], &[(One(420), 400, 400)], &[(One(420), 200, 200)]),
    country("au", &[on(Two(413, 438))], &[(Two(413, 438), 400, 200), (Two(413, 438), 400, 2000)], &[(One(425), 375, 375)], &[(One(425), 375, 375), (One(420), 375, 375)]),
    country("be", &[on(One(425))], &[(One(425), 1000, 3000)], &[(One(425), 500, 500)], &[(One(425), 167, 167)]),
    country("br", &[on(One(425))], &[(One(425), 1000, 4000)], &[(One(425), 250, 250)], &[(One(425), 250, 250), (One(425), 750, 250)]),
    country("ca", &[on(Two(350, 440))], &[(Two(440, 480), 2000, 4000)], &[(Two(480, 620), 500, 500)], &[(Two(480, 620), 250, 250)]),
    country("ch", &[on(One(425))], &[(One(425), 1000, 4000)], &[(One(425), 500, 500)], &[(One(425), 200, 200)]),
    country("cn", &[on(One(450))], &[(One(450), 1000, 4000)], &[(One(450), 350, 350)], &[(One(450), 700, 700)]),
    country("cz", &[(One(425), 330, 330), (One(425), 660, 660)], &[(One(425), 1000, 4000)], &[(One(425), 330, 330)], &[(One(425), 165, 165)]),
    country("de", &[on(One(425))], &[(One(425), 1000, 4000)], &[(One(425), 480, 480)], &[(One(425), 240, 240)]),
    country("dk", &[on(One(425))], &[(One(425), 1000, 4000)], &[(One(425), 500, 500)], &[(One(425), 200, 200)]),
    country("es", &[on(One(425))], &[(One(425), 1500, 3000)], &[(One(425), 200, 200)], &[(One(425), 200, 200), (One(425), 200, 200), (One(425), 200, 600)]),
    country("fi", &[on(One(425))], &[(One(425), 1000, 4000)], &[(One(425), 300, 300)], &[(One(425), 200, 200)]),
    country("fr", &[on(One(440))], &[(One(440), 1500, 3500)], &[(One(440), 500, 500)], &[(One(440), 250, 250)]),
    country("gb", &[on(Two(350, 440))], &[(Two(400, 450), 400, 200), (Two(400, 450), 400, 2000)], &[(One(400), 375, 375)], &[(One(400), 400, 350), (One(400), 225, 525)]),
    country("hu", &[on(One(425))], &[(One(425), 1250, 3750)], &[(One(425), 300, 300)], &[(One(425), 300, 300)]),
    country("in", &[on(Swelling(400, 25))], &[(Swelling(400, 25), 400, 200), (Swelling(400, 25), 400, 2000)], &[(One(400), 750, 750)], &[(One(400), 250, 250)]),
    country("it", &[(One(425), 200, 200), (One(425), 600, 1000)], &[(One(425), 1000, 4000)], &[(One(425), 500, 500)], &[(One(425), 200, 200)]),
    country("jp", &[on(One(400))], &[(Swelling(400, 16), 1000, 2000)], &[(One(400), 500, 500)], &[(One(400), 500, 500)]),
    country("mx", &[on(One(425))], &[(One(425), 1000, 4000)], &[(One(425), 250, 250)], &[(One(425), 250, 250)]),
    country("nl", &[on(One(425))], &[(One(425), 1000, 4000)], &[(One(425), 500, 500)], &[(One(425), 250, 250)]),
    country("no", &[on(One(425))], &[(One(425), 1000, 4000)], &[(One(425), 500, 500)], &[(One(425), 200, 200)]),
    country("nz", &[on(One(400))], &[(Two(400, 450), 400, 200), (Two(400, 450), 400, 2000)], &[(One(400), 500, 500)], &[(One(400), 250, 250)]),
    country("pl", &[on(One(425))], &[(One(425), 1000, 4000)], &[(One(425), 500, 500)], &[(One(425), 500, 500)]),
    country("pt", &[on(One(425))], &[(One(425), 1000, 5000)], &[(One(425), 500, 500)], &[(One(425), 200, 200)]),
    country("se", &[on(One(425))], &[(One(425), 1000, 5000)], &[(One(425), 250, 250)], &[(One(425), 250, 750)]),
    country("us", &[on(Two(350, 440))], &[(Two(440, 480), 2000, 4000)], &[(Two(480, 620), 500, 500)], &[(Two(480, 620), 250, 250)]),
];

/// One round of the cadence, looped, or as much of its repetition as fits into `length`.
fn sound(cadence: &[Part], length: Option<Duration>) -> ToneSound {
    let mut round = Vec::new();
    for &(wave, on, off) in cadence {
        let mut part = made_of(wave, samples_in(Duration::from_millis(on.into())));
        if off > 0 {
            rise(&mut part);
            fall(&mut part);
        }
        round.extend(part);
        round.resize(round.len() + samples_in(Duration::from_millis(off.into())), 0);
    }
    let Some(length) = length else { return ToneSound { samples: round, looped: true } };
    let mut samples: Vec<i16> = round.iter().copied().cycle().take(samples_in(length)).collect();
    rise(&mut samples);
    fall(&mut samples);
    ToneSound { samples, looped: false }
}

fn made_of(wave: Wave, length: usize) -> Vec<i16> {
    let mut samples = vec![0; length];
    match wave {
        One(frequency) => add_sine(&mut samples, f64::from(frequency), ONE),
        Two(one, other) => {
            add_sine(&mut samples, f64::from(one), TWO);
            add_sine(&mut samples, f64::from(other), TWO);
        }
        Swelling(frequency, by) => {
            // Amplitude modulation by 90 % is a carrier with a weaker frequency on either side.
            add_sine(&mut samples, f64::from(frequency), TWO);
            add_sine(&mut samples, f64::from(frequency - by), 0.45 * TWO);
            add_sine(&mut samples, f64::from(frequency + by), 0.45 * TWO);
        }
    }
    samples
}

fn add_sine(samples: &mut [i16], frequency: f64, amplitude: f64) {
    for (at, sample) in samples.iter_mut().enumerate() {
        let value = amplitude * (TAU * frequency * at as f64 / f64::from(RATE)).sin();
        *sample = sample.saturating_add(value.round() as i16);
    }
}

fn rise(samples: &mut [i16]) {
    for (at, sample) in samples.iter_mut().take(EDGE).enumerate() {
        *sample = (i32::from(*sample) * at as i32 / EDGE as i32) as i16;
    }
}

fn fall(samples: &mut [i16]) {
    for (at, sample) in samples.iter_mut().rev().take(EDGE).enumerate() {
        *sample = (i32::from(*sample) * at as i32 / EDGE as i32) as i16;
    }
}

fn samples_in(length: Duration) -> usize {
    (length.as_millis() as usize) * (RATE as usize / 1000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::{goertzel, speech::largest_step};

    fn signal(signal: SignalTone, country: &str) -> Tone {
        Tone::Signal { signal, country: Some(country.to_owned()) }
    }

    /// Lengths in ms of what sounds and what is silent, taken 10 ms at a time.
    fn cadence(samples: &[i16]) -> Vec<(bool, usize)> {
        let mut found: Vec<(bool, usize)> = Vec::new();
        for piece in samples.chunks(80) {
            let on = piece.iter().any(|&s| s.abs() > 500);
            match found.last_mut() {
                Some((was, length)) if *was == on => *length += 10,
                _ => found.push((on, 10)),
            }
        }
        found
    }

    fn decibels(samples: &[i16], frequency: u16, amplitude: f64) -> f64 {
        10.0 * (goertzel::power(samples, frequency.into(), RATE) / (amplitude * amplitude / 2.0)).log10()
    }

    #[test]
    fn american_ringing_is_440_and_480_hz_two_seconds_on_four_off() {
        let made = tone(&signal(SignalTone::Ringing, "us"), None, "de").unwrap();
        assert!(made.looped);
        assert_eq!(cadence(&made.samples), [(true, 2000), (false, 4000)]);
        let middle = &made.samples[4000..12_000];
        assert!(decibels(middle, 440, TWO).abs() < 0.5 && decibels(middle, 480, TWO).abs() < 0.5);
        assert!(decibels(middle, 425, TWO) < -40.0);
    }

    #[test]
    fn british_ringing_is_a_double_ring_and_german_busy_is_425_hz() {
        let made = tone(&signal(SignalTone::Ringing, "GB"), None, "us").unwrap();
        assert_eq!(cadence(&made.samples), [(true, 400), (false, 200), (true, 400), (false, 2000)]);
        let unnamed = Tone::Signal { signal: SignalTone::Busy, country: None };
        let made = tone(&unnamed, None, "de").unwrap();
        assert_eq!(cadence(&made.samples), [(true, 480), (false, 480)]);
        assert!(decibels(&made.samples[80..3760], 425, ONE).abs() < 0.5);
    }

    #[test]
    fn every_signal_of_every_country_is_at_its_level_and_never_clicks_also_where_it_is_looped() {
        for country in COUNTRIES {
            for kind in [SignalTone::Dial, SignalTone::Ringing, SignalTone::Busy, SignalTone::Congestion] {
                for length in [None, Some(Duration::from_millis(7_777))] {
                    let made = tone(&signal(kind, country.code), length, "").unwrap();
                    let loudest = made.samples.iter().map(|s| s.abs()).max().unwrap();
                    assert!((6_500..12_000).contains(&loudest), "{kind:?} {} {loudest}", country.code);
                    let twice = made.samples.repeat(2);
                    // The steepest that 620 Hz and 480 Hz together can be.
                    let step = largest_step(&twice);
                    assert!(step < 4_600, "{kind:?} {} steps by {step}", country.code);
                    if let Some(length) = length {
                        assert_eq!(made.samples.len() as u128, length.as_millis() * 8);
                        assert!(!made.looped && made.samples[0] == 0 && made.samples.last() == Some(&0));
                    }
                }
            }
        }
    }

    #[test]
    fn the_countries_that_were_promised_are_known_in_order_and_once() {
        for code in ["us", "gb", "de", "fr", "it", "es", "nl", "be", "ch", "at", "au", "jp", "in", "br"] {
            assert!(COUNTRIES.iter().any(|c| c.code == code), "{code}");
        }
        assert!(COUNTRIES.is_sorted_by(|a, b| a.code < b.code));
    }

    #[test]
    fn what_is_no_tone_is_refused_with_a_reason() {
        let unknown = tone(&signal(SignalTone::Dial, "xx"), None, "us").unwrap_err();
        assert!(unknown.to_string().contains("\"xx\" (known: at au"), "{unknown}");
        for bad in [vec![], vec![19], vec![3801], vec![400, 500, 600]] {
            assert_eq!(tone(&Tone::Frequencies(bad), None, "us"), Err(UnknownTone::Frequencies));
        }
        assert_eq!(tone(&Tone::Beep, Some(LONGEST + Duration::from_millis(1)), "us"), Err(UnknownTone::Length));
    }

    #[test]
    fn a_beep_is_short_and_frequencies_go_on_as_long_as_asked() {
        let beep = tone(&Tone::Beep, None, "us").unwrap();
        assert!(!beep.looped);
        assert_eq!(cadence(&beep.samples), [(true, 200)]);
        assert!(decibels(&beep.samples[80..1520], 1000, ONE).abs() < 0.5);
        let odd = tone(&Tone::Frequencies(vec![333, 3777]), None, "us").unwrap();
        assert!(odd.looped);
        assert!(decibels(&odd.samples, 333, TWO).abs() < 0.1 && decibels(&odd.samples, 3777, TWO).abs() < 0.1);
        assert!(tone(&Tone::Beep, Some(Duration::ZERO), "us").unwrap().samples.is_empty());
    }

    #[test]
    fn digits_have_their_two_frequencies_and_nothing_else_is_a_digit() {
        let length = Duration::from_millis(100);
        for (key, low, high) in [('1', 697, 1209), ('5', 770, 1336), ('#', 941, 1477), ('d', 941, 1633)] {
            let samples = digit(key, length).unwrap();
            assert_eq!(samples.len(), 800);
            assert!(decibels(&samples, low, DIGIT.0).abs() < 1.0 && decibels(&samples, high, DIGIT.1).abs() < 1.0);
        }
        assert_eq!(digit('x', length), None);
        assert_eq!(digit('é', length), None);
    }
}
