use std::f32::consts::TAU;

use super::*;
use crate::audio::speech::{largest_step, rms, speech};

fn tone(frequency: f32, samples: usize) -> Vec<i16> {
    (0..samples).map(|n| (8000.0 * (TAU * frequency * n as f32 / 8000.0).sin()) as i16).collect()
}

/// Play `signal` in frames of 20 ms, losing those that `lost` names.
fn play(signal: &[i16], lost: impl Fn(usize) -> bool) -> Vec<i16> {
    let mut conceal = Conceal::new(Rate::Narrow);
    let mut played = signal.to_vec();
    for (n, frame) in played.chunks_mut(160).enumerate() {
        if lost(n) { conceal.make_up(frame) } else { conceal.hear(frame) }
    }
    played
}

#[test]
fn without_loss_nothing_is_changed() {
    let signal = speech(1, 16_000);
    assert_eq!(play(&signal, |_| false), signal);
}

#[test]
fn a_lost_frame_of_a_steady_tone_is_hardly_to_be_told_from_the_tone() {
    for frequency in [100.0, 160.0, 250.0, 400.0, 1000.0] {
        let signal = tone(frequency, 3200);
        let played = play(&signal, |n| n == 10);
        let error: Vec<i16> = played.iter().zip(&signal).map(|(a, b)| a - b).collect();
        let lost = 1600..1760;
        assert!(rms(&error[lost.clone()]) < 0.35 * rms(&signal[lost.clone()]), "{frequency} Hz");
        assert!(rms(&played[lost]) > 0.7 * 8000.0 / 2.0_f64.sqrt(), "{frequency} Hz is too quiet");
        assert!(largest_step(&played) <= largest_step(&signal) * 3 / 2, "{frequency} Hz clicks");
    }
}

#[test]
fn speech_with_losses_has_no_silent_frame_no_click_and_keeps_its_level() {
    for seed in 1..20 {
        let signal = speech(seed, 80_000);
        let played = play(&signal, |n| n % 17 == 9 || n % 50 == 20 || n % 50 == 21);
        for (n, frame) in played.chunks(160).enumerate().skip(3) {
            let around = rms(&signal[(n - 3) * 160..(n * 160 + 320).min(signal.len())]);
            assert!(frame.iter().any(|&s| s != 0), "frame {n} of {seed} is plain silence");
            assert!(rms(frame) > 0.1 * around, "frame {n} of {seed}: {} of {around}", rms(frame));
            assert!(rms(frame) < 3.0 * around, "frame {n} of {seed}: {} of {around}", rms(frame));
            let near = (n - 3) * 160..(n * 160 + 320).min(signal.len());
            let (heard, said) = (largest_step(&played[n * 160 - 1..n * 160 + 160]), largest_step(&signal[near]));
            assert!(heard <= said * 3 / 2 + 50, "frame {n} of {seed} steps by {heard}, speech by {said}");
        }
    }
}

/// Play `signal` as [`play`] does, with what follows a loss known before.
fn play_joined(signal: &[i16], rate: Rate, lost: impl Fn(usize) -> bool) -> Vec<i16> {
    let mut conceal = Conceal::new(rate);
    let mut played = signal.to_vec();
    let length = rate.frame();
    for n in 0..played.len() / length {
        let (before, next) = played.split_at_mut((n + 1) * length);
        let frame = &mut before[n * length..];
        if lost(n) {
            assert!(conceal.can_join(160));
            conceal.join(frame, &next[..length]);
        }
        conceal.hear(frame);
    }
    played
}

#[test]
fn a_gap_whose_other_side_is_known_is_closer_to_what_was_said_and_changes_nothing_after_it() {
    let (mut joined, mut alone) = (0.0, 0.0);
    for seed in 1..20 {
        let signal = speech(seed, 80_000);
        let lost = |n| n % 17 == 9;
        let error =
            |played: &[i16]| rms(&played.iter().zip(&signal).map(|(a, b)| a.saturating_sub(*b)).collect::<Vec<_>>());
        let played = play_joined(&signal, Rate::Narrow, lost);
        joined += error(&played);
        alone += error(&play(&signal, lost));
        for n in (0..500).filter(|n| n % 17 != 9) {
            assert_eq!(played[n * 160..][..160], signal[n * 160..][..160], "frame {n} of {seed}");
        }
        for n in (9..499).step_by(17) {
            let near = (n - 3) * 160..(n * 160 + 480).min(signal.len());
            let (heard, said) = (largest_step(&played[n * 160 - 1..n * 160 + 161]), largest_step(&signal[near]));
            assert!(heard <= said * 3 / 2 + 50, "frame {n} of {seed} steps by {heard}, speech by {said}");
        }
    }
    assert!(joined < 0.85 * alone, "{joined} against {alone}");
}

#[test]
fn a_joined_gap_in_a_steady_tone_is_the_tone_at_every_rate() {
    for rate in Rate::ALL {
        let hz = rate.hz() as f32;
        let signal: Vec<i16> =
            (0..rate.frame() * 20).map(|n| (8000.0 * (TAU * 250.0 * n as f32 / hz).sin()) as i16).collect();
        let played = play_joined(&signal, rate, |n| n == 10);
        let error: Vec<i16> = played.iter().zip(&signal).map(|(a, b)| a - b).collect();
        let lost = rate.frame() * 10..rate.frame() * 11;
        assert!(rms(&error[lost.clone()]) < 0.2 * rms(&signal[lost]), "{rate:?}");
    }
}

#[test]
fn the_shortest_that_may_follow_a_gap_is_10_ms_and_silence_is_no_ground_to_join_on() {
    let mut conceal = Conceal::new(Rate::Narrow);
    assert!(!conceal.can_join(160));
    conceal.hear(&mut tone(250.0, 400));
    assert!(conceal.can_join(80) && !conceal.can_join(79));
    let mut gap = [0; 480];
    conceal.join(&mut gap, &tone(250.0, 80));
    assert!(gap.iter().any(|s| *s != 0));
}

#[test]
fn a_long_loss_gets_quieter_and_is_silent_after_80_ms() {
    let signal = speech(3, 1600 + 160 * 10);
    let mut conceal = Conceal::new(Rate::Narrow);
    let mut heard = signal[..1600].to_vec();
    conceal.hear(&mut heard);
    let levels: Vec<f64> = (0..6)
        .map(|_| {
            let mut frame = [0; 160];
            conceal.make_up(&mut frame);
            rms(&frame)
        })
        .collect();
    assert!(levels[0] > levels[2] && levels[2] > levels[3] && levels[3] > 0.0, "{levels:?}");
    assert_eq!(levels[4..], [0.0, 0.0]);
    assert!(conceal.is_silent());
    let mut back = tone(500.0, 160);
    conceal.hear(&mut back);
    assert!(back[0].abs() < 400 && !conceal.is_silent());
    assert_eq!(back[32..], tone(500.0, 160)[32..], "faded in within 4 ms");
}

#[test]
fn pieces_of_any_length_give_the_same_as_whole_frames() {
    let signal = speech(5, 4800);
    let whole = play(&signal, |n| n == 12);
    let mut conceal = Conceal::new(Rate::Narrow);
    let mut pieces = signal;
    for (n, piece) in pieces.chunks_mut(10).enumerate() {
        if n / 16 == 12 { conceal.make_up(piece) } else { conceal.hear(piece) }
    }
    assert_eq!(pieces, whole);
}

#[test]
fn a_loss_before_anything_was_heard_is_silence() {
    let mut conceal = Conceal::new(Rate::Narrow);
    let mut frame = [9; 160];
    conceal.make_up(&mut frame);
    assert_eq!(frame, [0; 160]);
    conceal.hear(&mut []);
    conceal.make_up(&mut []);
    conceal.hear(&mut [i16::MIN; 1000]);
    conceal.make_up(&mut [0; 1000]);
}
