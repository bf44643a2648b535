use std::f64::consts::TAU;

use super::*;
use crate::audio::goertzel;

fn pcm(samples: &[i16], looped: bool) -> Arc<Pcm> {
    Arc::new(Pcm { rate: Rate::Narrow, samples: samples.into(), looped })
}

fn player<const N: usize>(sounds: [Arc<Pcm>; N]) -> Player {
    Player::new(PlayId(1), sounds.into(), Manner::default())
}

/// A sine of 500 Hz from sample `from` on.
fn sine(rate: Rate, from: usize, count: usize) -> Vec<i16> {
    let wave = |n: usize| (10_000.0 * (TAU * 500.0 * n as f64 / f64::from(rate.hz())).sin()) as i16;
    (from..from + count).map(wave).collect()
}

fn next(player: &mut Player) -> Vec<i16> {
    let mut frame = Frame::silent(Rate::Full);
    player.fill(&mut frame);
    frame.samples().to_vec()
}

fn ticks(player: &mut Player, count: usize) -> Vec<i16> {
    (0..count).flat_map(|_| next(player)).collect()
}

#[test]
fn sounds_follow_each_other_without_a_gap_and_the_rest_is_silence() {
    let mut player = player([pcm(&[1; 100], false), pcm(&[], true), pcm(&[2; 100], false)]);
    let out = next(&mut player);
    assert!(out[..100].iter().all(|s| *s == 1) && out[100..].iter().all(|s| *s == 2));
    assert!(!player.finished());
    let out = next(&mut player);
    assert!(out[..40].iter().all(|s| *s == 2) && out[40..].iter().all(|s| *s == 0));
    assert!(player.finished());
    assert_eq!(player.played(), 200);
}

#[test]
fn a_looped_sound_never_ends() {
    let mut player = player([pcm(&[1, 2, 3], true), pcm(&[7; 10], false)]);
    let mut out = Vec::new();
    for _ in 0..100 {
        out = next(&mut player);
        assert!(out.iter().all(|s| (1..=3).contains(s)));
    }
    assert_eq!(out[..4], [1, 2, 3, 1], "99 frames before are a whole number of turns");
    assert!(!player.finished());
}

#[test]
fn a_sine_that_is_cut_between_two_rates_stays_one_sine() {
    // 105 samples at 16 kHz: the cut is between two samples of 8 kHz, and within a tick.
    for (first, second) in [(Rate::Narrow, Rate::Full), (Rate::Full, Rate::Narrow), (Rate::Wide, Rate::Full)] {
        let cut = 840 * first.scale();
        let a = Arc::new(Pcm { rate: first, samples: sine(first, 0, cut).into(), looped: false });
        let from = 840 * second.scale();
        let samples = sine(second, from, 1560 * second.scale()).into();
        let b = Arc::new(Pcm { rate: second, samples, looped: false });
        let mut player = player([a, b]);
        let out = ticks(&mut player, 15);
        assert!(player.finished());
        assert_eq!(player.played(), 2400);
        let whole = out.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / out.len() as f64;
        let rest = whole - goertzel::power(&out, 500.0, 48_000);
        // What is beside the sine: at its ends there is nothing to filter from.
        assert!(10.0 * (whole / rest.max(1.0)).log10() > 30.0, "{first:?} to {second:?}: {rest} of {whole}");
        let jump = out[2000..10_000].windows(2).map(|two| two[0].abs_diff(two[1])).max();
        assert!(jump < Some(900), "{first:?} to {second:?}: {jump:?}");
    }
}

#[test]
fn a_looped_sound_of_a_lower_rate_has_no_seam() {
    let looped = Arc::new(Pcm { rate: Rate::Narrow, samples: sine(Rate::Narrow, 0, 800).into(), looped: true });
    let never = Arc::new(Pcm { rate: Rate::Full, samples: [1; 6].into(), looped: false });
    let mut player = player([looped, never]);
    let out = ticks(&mut player, 50);
    let jump = out[960..].windows(2).map(|two| two[0].abs_diff(two[1])).max();
    assert!(jump < Some(700), "{jump:?}");
}

#[test]
fn nothing_to_play_is_finished_at_once() {
    assert!(player([]).finished());
    assert!(player([pcm(&[], true)]).finished());
    let manner = Manner { times: None, ..Manner::default() };
    let mut nothing = Player::new(PlayId(1), [pcm(&[], false)].into(), manner);
    assert!(nothing.finished(), "though it is to be played for ever");
    assert_eq!(next(&mut nothing), [0; 160]);
}

#[test]
fn all_is_played_as_often_as_asked_without_a_gap() {
    let manner = |times| Manner { times, ..Manner::default() };
    let sounds = || -> Box<[Arc<Pcm>]> { [pcm(&[1; 90], false), pcm(&[2; 10], false)].into() };
    let mut thrice = Player::new(PlayId(1), sounds(), manner(Some(3)));
    let out = ticks(&mut thrice, 2);
    assert!(out[..300].iter().enumerate().all(|(at, s)| *s == if at % 100 < 90 { 1 } else { 2 }), "{out:?}");
    assert!(out[300..].iter().all(|s| *s == 0));
    assert!(thrice.finished());
    assert_eq!(thrice.played(), 300);
    let mut always = Player::new(PlayId(1), sounds(), manner(None));
    assert!(ticks(&mut always, 100).iter().all(|s| *s > 0));
    assert!(!always.finished());
}

#[test]
fn a_pause_keeps_the_place_and_fades_instead_of_clicking() {
    let mut player = player([pcm(&[10_000; 1600], false)]);
    next(&mut player);
    assert_eq!(player.steer(Steer::Pause), 160);
    let fading = next(&mut player);
    assert!(fading.windows(2).all(|two| two[0].abs_diff(two[1]) < 100), "{fading:?}");
    assert!(ticks(&mut player, 10).iter().all(|s| *s == 0));
    assert_eq!(player.steer(Steer::Tell), 320);
    assert!(!player.finished());
    player.steer(Steer::Resume);
    let rising = next(&mut player);
    assert!(rising[0] == 0 && rising.windows(2).all(|two| two[1] >= two[0]), "{rising:?}");
    assert_eq!(next(&mut player), [10_000; 160]);
    ticks(&mut player, 6);
    assert!(player.finished());
    assert_eq!(player.played(), 1600, "a pause is not played");
}

#[test]
fn a_place_is_sought_across_sounds_and_never_outside_them() {
    let wide = Arc::new(Pcm { rate: Rate::Wide, samples: [2; 3200].into(), looped: false });
    let mut player = player([wide, pcm(&[], false), pcm(&[3; 1600], false)]);
    assert_eq!(player.steer(Steer::Seek(Duration::from_millis(250))), 2000);
    next(&mut player);
    assert!(next(&mut player)[..300].iter().all(|s| *s == 3));
    assert_eq!(player.steer(Steer::Back(Duration::from_millis(100))), 1520);
    assert_eq!(player.steer(Steer::Back(Duration::from_secs(9))), 0);
    assert_eq!(player.steer(Steer::Forward(Duration::from_millis(399))), 3192);
    assert!(!player.finished());
    assert_eq!(player.steer(Steer::Forward(Duration::from_secs(9))), 3200);
    assert!(player.finished());
    let manner = Manner { from: Duration::from_millis(150), ..Manner::default() };
    let later = Player::new(PlayId(1), [pcm(&[1; 1600], false)].into(), manner);
    assert_eq!(later.at(), 1200);
}

#[test]
fn a_place_in_a_looped_sound_is_one_of_its_turns() {
    let mut player = player([pcm(&[5; 100], true)]);
    assert_eq!(player.steer(Steer::Seek(Duration::from_secs(3600))), 0);
    assert_eq!(player.steer(Steer::Seek(Duration::from_millis(14))), 12);
}

#[test]
fn louder_and_softer_are_in_decibels_and_too_loud_is_full_scale() {
    let manner = Manner { volume: -6.0, ..Manner::default() };
    let mut player = Player::new(PlayId(1), [pcm(&[10_000; 16_000], false)].into(), manner);
    assert!(next(&mut player).iter().all(|s| s.abs_diff(5012) <= 1));
    player.steer(Steer::Volume(20.0));
    let rising = next(&mut player);
    assert!(rising.windows(2).all(|two| two[1] >= two[0]), "{rising:?}");
    assert_eq!(next(&mut player), [i16::MAX; 160]);
    player.steer(Steer::Volume(0.0));
    next(&mut player);
    assert_eq!(next(&mut player), [10_000; 160]);
}
