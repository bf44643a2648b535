use std::time::Duration;

use super::*;
use crate::{
    audio::{g711, speech::speech, tone},
    chance::Chance,
    verbs::{SignalTone, Tone},
};

fn heard(samples: &[i16]) -> Vec<Heard> {
    let (mut coded, mut back) = (vec![0; samples.len()], vec![0; samples.len()]);
    g711::encode_ulaw(samples, &mut coded);
    g711::decode_ulaw(&coded, &mut back);
    let (mut progress, mut found) = (Progress::new(8000), Vec::new());
    back.chunks(160).for_each(|frame| progress.handle(frame, |heard| found.push(heard)));
    found
}

fn signal(signal: SignalTone, country: &str) -> Vec<i16> {
    let tone = Tone::Signal { signal, country: Some(country.to_owned()) };
    let mut samples = vec![0; 4000];
    samples.extend(tone::tone(&tone, Some(Duration::from_secs(13)), "us").unwrap().samples);
    samples
}

fn tones(list: &[(u16, u64)]) -> Vec<i16> {
    let one = |(frequency, ms): &(u16, u64)| match frequency {
        0 => vec![0; *ms as usize * 8],
        f => tone::tone(&Tone::Frequencies(vec![*f]), Some(Duration::from_millis(*ms)), "us").unwrap().samples,
    };
    list.iter().flat_map(one).collect()
}

#[test]
fn every_countrys_ringing_is_ringing_and_its_busy_is_no_way_through() {
    for country in tone::countries() {
        assert_eq!(heard(&signal(SignalTone::Ringing, country)), [Heard::Ringing], "{country}");
        // Where busy is as fast as congestion is elsewhere, the ear alone cannot tell them apart.
        let busy = heard(&signal(SignalTone::Busy, country));
        assert!(busy == [Heard::Busy] || busy == [Heard::Congestion], "{country} {busy:?}");
    }
}

#[test]
fn busy_congestion_and_dial_tones_are_told_apart_in_most_countries() {
    for country in ["us", "gb", "de", "fr", "it", "nl", "ch", "at", "au", "jp", "be"] {
        assert_eq!(heard(&signal(SignalTone::Busy, country)), [Heard::Busy], "{country}");
    }
    for country in ["us", "de", "fr", "it", "nl", "ch", "at", "in", "br"] {
        assert_eq!(heard(&signal(SignalTone::Congestion, country)), [Heard::Congestion], "{country}");
    }
    for country in ["us", "gb", "de", "fr", "es", "jp"] {
        assert_eq!(heard(&signal(SignalTone::Dial, country)), [Heard::Dial], "{country}");
    }
}

#[test]
fn special_information_and_fax_tones_are_known() {
    let sit = [(0, 500), (950, 330), (1400, 330), (1800, 330), (0, 1000)];
    assert_eq!(heard(&tones(&sit)), [Heard::Sit]);
    let other = [(0, 500), (985, 380), (1371, 274), (1777, 380), (0, 1000)];
    assert_eq!(heard(&tones(&other)), [Heard::Sit]);
    assert_eq!(heard(&tones(&[(0, 1000), (1100, 500), (0, 3000)])), [Heard::Fax]);
    assert_eq!(heard(&tones(&[(0, 1000), (2100, 3000), (0, 500)])), [Heard::Fax]);
}

#[test]
fn a_short_greeting_is_a_persons_and_a_long_one_with_a_beep_a_machines() {
    let person = [vec![0; 6000], speech(1, 7000), vec![0; 24_000]].concat();
    assert_eq!(heard(&person), [Heard::Human]);
    let beep = tones(&[(0, 500), (1000, 400), (0, 2000)]);
    let machine = [vec![0; 6000], speech(2, 48_000), beep].concat();
    assert_eq!(heard(&machine), [Heard::Machine, Heard::Beep]);
}

#[test]
fn silence_and_noise_are_nobody() {
    assert_eq!(heard(&[0; 80_000]), [Heard::Silence]);
    let mut chance = Chance::new(1);
    let noise: Vec<i16> = (0..80_000).map(|_| ((chance.share() - 0.5) * 60.0) as i16).collect();
    assert_eq!(heard(&noise), [Heard::Silence]);
}
