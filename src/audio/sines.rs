//! Is it one or two steady tones, and which? A sine follows a rule: each sample is told by the two before it, a sum of
//! two sines by the four before it. How well the rule fits tells whether there are such tones at all.
//!
//! ```text
//! one:  x[n] + x[n-2] = y x[n-1]                             y = 2 cos(2π f / rate)
//! two:  x[n] + x[n-4] = a (x[n-1] + x[n-3]) + b x[n-2]       y² - a y - b - 2 = 0 for both
//! ```

use std::f64::consts::TAU;

/// What a piece of audio is made of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Sines {
    /// One tone, at this frequency in Hz.
    One(f32),
    /// Two, the lower first.
    Two(f32, f32),
    /// Anything else, or nothing.
    Other,
}

/// Share of the power that may be left over by the rule, for one tone and for two: what the codec and the line add.
const LEFT: (f64, f64) = (0.02, 0.02);

/// What `samples` of `rate` per second are. 20 ms are enough for tones 60 Hz apart.
pub fn sines(samples: &[i16], rate: u32) -> Sines {
    if samples.len() < 16 {
        return Sines::Other;
    }
    let x = |n: usize| f64::from(samples[n]);
    let (mut xx, mut xs, mut ss) = (1.0, 0.0, 1.0);
    let (mut uu, mut uv, mut vv, mut ud, mut vd, mut dd) = (1.0, 0.0, 1.0, 0.0, 0.0, 1.0);
    for n in 4..samples.len() {
        let sum = x(n) + x(n - 2);
        xx += x(n - 1) * x(n - 1);
        xs += x(n - 1) * sum;
        ss += sum * sum;
        let (u, v, d) = (x(n - 1) + x(n - 3), x(n - 2), x(n) + x(n - 4));
        uu += u * u;
        uv += u * v;
        vv += v * v;
        ud += u * d;
        vd += v * d;
        dd += d * d;
    }
    let y = xs / xx;
    if ss - y * xs < LEFT.0 * xx
        && let Some(frequency) = frequency(y, rate)
    {
        return Sines::One(frequency);
    }
    let determinant = uu * vv - uv * uv;
    if determinant <= 0.0 {
        return Sines::Other;
    }
    let (a, b) = ((ud * vv - vd * uv) / determinant, (vd * uu - ud * uv) / determinant);
    let discriminant = a * a / 4.0 + b + 2.0;
    if dd - a * ud - b * vd > LEFT.1 * vv || discriminant < 0.0 {
        return Sines::Other;
    }
    let (low, high) = (a / 2.0 + discriminant.sqrt(), a / 2.0 - discriminant.sqrt());
    match (frequency(low, rate), frequency(high, rate)) {
        (Some(low), Some(high)) => Sines::Two(low, high),
        (Some(_), None) | (None, _) => Sines::Other,
    }
}

/// The frequency whose doubled cosine this is.
fn frequency(y: f64, rate: u32) -> Option<f32> {
    (y.abs() < 2.0).then(|| ((y / 2.0).acos() / TAU * f64::from(rate)) as f32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{audio::g711, chance::Chance};

    fn made(tones: &[(f64, f64)]) -> Vec<i16> {
        let at = |n: usize| tones.iter().map(|(f, a)| a * (TAU * f * n as f64 / 8000.0).sin()).sum::<f64>();
        let samples: Vec<i16> = (0..160).map(|n| at(n) as i16).collect();
        let (mut coded, mut back) = (vec![0; 160], vec![0; 160]);
        g711::encode_ulaw(&samples, &mut coded);
        g711::decode_ulaw(&coded, &mut back);
        back
    }

    #[test]
    fn one_tone_is_found_within_half_a_percent_at_any_level() {
        for frequency in [400.0, 425.0, 950.0, 1400.0, 1800.0, 2100.0] {
            for amplitude in [300.0, 3000.0, 20_000.0] {
                let Sines::One(found) = sines(&made(&[(frequency, amplitude)]), 8000) else { panic!("{frequency}") };
                assert!((f64::from(found) / frequency - 1.0).abs() < 0.01, "{frequency} {found}");
            }
        }
    }

    #[test]
    fn two_tones_are_two_and_noise_and_silence_are_neither() {
        for (low, high) in [(440.0, 480.0), (480.0, 620.0), (350.0, 440.0), (697.0, 1209.0)] {
            let found = sines(&made(&[(low, 5000.0), (high, 5000.0)]), 8000);
            // Two that are close together may be taken for one in between: the cadence tells more.
            let fits = match found {
                Sines::One(f) => (low * 0.9..high * 1.1).contains(&f64::from(f)) && high < 700.0,
                Sines::Two(a, b) => (200.0..high * 1.1).contains(&f64::from(a)) && f64::from(b) < high * 1.3,
                Sines::Other => false,
            };
            assert!(fits, "{low} {high}: {found:?}");
        }
        let mut chance = Chance::new(1);
        let noise: Vec<i16> = (0..80_000).map(|_| ((chance.share() - 0.5) * 20_000.0) as i16).collect();
        assert!(noise.chunks_exact(160).all(|frame| sines(frame, 8000) == Sines::Other));
        assert_eq!(sines(&[0; 160], 8000), Sines::Other);
        assert_eq!(sines(&[5; 3], 8000), Sines::Other);
    }
}
