//! Test signals: something that behaves like speech, made of a seed.

use std::f32::consts::TAU;

use crate::chance::Chance;

/// Connected speech: a voice whose pitch wanders between 90 and 190 Hz with three formants, hissing consonants in
/// between, and a level that rises and falls four times a second without ever reaching silence.
pub(crate) fn speech(seed: u64, samples: usize) -> Vec<i16> {
    let mut chance = Chance::new(seed);
    let mut phase = 0.0_f32;
    let mut formants = [Resonator::default(), Resonator::default(), Resonator::default()];
    let mut hiss = Resonator::default();
    let mut voice = 0.0_f32;
    let mut last_hiss = 0.0_f32;
    (0..samples)
        .map(|n| {
            let t = n as f32 / 8000.0;
            let syllable = n % 2000;
            let voiced = syllable < 1600;
            let pitch = 140.0 + 40.0 * (TAU * 0.31 * t).sin() + 10.0 * (TAU * 2.3 * t).sin();
            phase += pitch / 8000.0;
            if phase >= 1.0 {
                phase -= 1.0;
            }
            // A glottal pulse: rises for 40 % of the period, falls for 16 %, then rests.
            let pulse = match phase {
                p if p < 0.4 => 0.5 - 0.5 * (TAU * p / 0.8).cos(),
                p if p < 0.56 => (TAU * (p - 0.4) / 0.64).cos(),
                _ => 0.0,
            };
            voice += 0.01 * (f32::from(u8::from(voiced)) - voice);
            let noise = chance.share() as f32 - 0.5;
            let source = voice * (pulse - 0.2) + 0.01 * noise;
            let vowel = (TAU * 0.9 * t).sin();
            let spoken = formants[0].next(source, 550.0 + 180.0 * vowel, 90.0)
                + 0.6 * formants[1].next(source, 1500.0 - 350.0 * vowel, 120.0)
                + 0.3 * formants[2].next(source, 2500.0, 180.0);
            let hissed = hiss.next((1.0 - voice) * noise, 3000.0, 900.0);
            last_hiss = hissed;
            let level = 0.65 + 0.35 * (TAU * 4.0 * t).sin();
            (level * (3500.0 * spoken + 2500.0 * last_hiss)).clamp(-30_000.0, 30_000.0) as i16
        })
        .collect()
}

/// A two-pole filter.
#[derive(Default)]
struct Resonator {
    y1: f32,
    y2: f32,
}

impl Resonator {
    fn next(&mut self, x: f32, frequency: f32, width: f32) -> f32 {
        let radius = (-std::f32::consts::PI * width / 8000.0).exp();
        let turn = 2.0 * radius * (TAU * frequency / 8000.0).cos();
        let y = (1.0 - radius) * x + turn * self.y1 - radius * radius * self.y2;
        self.y2 = self.y1;
        self.y1 = y;
        y
    }
}

/// Root of the mean square.
pub(crate) fn rms(samples: &[i16]) -> f64 {
    let sum: f64 = samples.iter().map(|&s| f64::from(s).powi(2)).sum();
    (sum / samples.len().max(1) as f64).sqrt()
}

/// The largest step from one sample to the next.
pub(crate) fn largest_step(samples: &[i16]) -> i32 {
    samples.windows(2).map(|w| (i32::from(w[1]) - i32::from(w[0])).abs()).max().unwrap_or(0)
}
