//! How much of one frequency is in a piece of audio: Goertzel's filter, a Fourier transform of a single line.

use std::f64::consts::TAU;

/// The mean power of `frequency` (Hz) in `samples` taken at `rate` (Hz): a sine of amplitude `a` that fills the piece
/// has `a² / 2`. Comparable with the mean square of the samples. Neighbouring frequencies closer than `rate` divided by
/// the number of samples are not told apart.
pub fn power(samples: &[i16], frequency: f64, rate: u32) -> f64 {
    let turn = TAU * frequency / f64::from(rate);
    let (mut last, mut before) = (0.0, 0.0);
    for &sample in samples {
        (last, before) = (f64::from(sample) + 2.0 * turn.cos() * last - before, last);
    }
    let squared = last * last + before * before - 2.0 * turn.cos() * last * before;
    let count = samples.len().max(1) as f64;
    2.0 * squared / (count * count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sine(frequency: f64, amplitude: f64) -> Vec<i16> {
        (0..800).map(|n| (amplitude * (TAU * frequency * f64::from(n) / 8000.0).sin()) as i16).collect()
    }

    #[test]
    fn a_sine_has_all_its_power_at_its_own_frequency() {
        let samples = sine(1000.0, 10_000.0);
        let expected = 10_000.0_f64.powi(2) / 2.0;
        assert!((power(&samples, 1000.0, 8000) / expected - 1.0).abs() < 0.001);
        assert!(power(&samples, 1100.0, 8000) < expected * 1e-6);
        assert!(power(&samples, 2000.0, 8000) < expected * 1e-6);
    }

    #[test]
    fn an_empty_piece_has_no_power() {
        assert!(power(&[], 1000.0, 8000).abs() < f64::EPSILON);
    }
}
