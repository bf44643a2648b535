//! From one rate to another while a call runs: polyphase filters with a delay of 2 ms, nothing allocated.
//!
//! All rates are whole multiples of each other. Each step has a filter of 32 taps for each sample of the lower rate on
//! either side of it: flat to 3.4 of 4 kHz (or 6.8 of 8), 60 dB down from 4.6.
//!
//! Why not rubato, which brings whole sounds to their rate (`resample`)? Measured with rubato 5.0.1, frames of 20 ms, one
//! channel, in microseconds a frame on one core. Its `Fft` was cheaper than ours with fractions for taps, but a frame comes
//! out 10 ms later, and a call between two rates is converted once each way. Its `Async` (sinc of 32) has our delay, but gives 159 samples for some frames, which
//! asks for a queue behind it, and its filter is as long as ours only where the rate goes up: down from 48 kHz it folds.
//!
//! | from, to | ours with fractions | `Fft` | `Async` |
//! |---|---|---|---|
//! | 8, 16 kHz | 5.0, 2 ms late | 4.1, 10 ms late | 9.7, 2 ms late |
//! | 16, 8 kHz | 5.7 | 2.6 | 4.5, filter half as long |
//! | 8, 48 kHz | 16.6 | 8.2 | 30.7 |
//! | 48, 8 kHz | 15.8 | 5.6 | 4.8, filter a sixth as long |
//! | 16, 48 kHz | 17.5 | 13.6 | 29.2 |
//!
//! Since the taps are whole numbers ours take a third of that: in one run 1.2 in place of 3.7 from 8 to 16 kHz, 1.5 in place
//! of 4.0 back, 3.3 and 3.6 in place of 11.6 and 9.3 to 48 kHz and back.

use crate::codec::Rate;

/// Taps for each sample of the lower rate.
const TAPS: usize = 32;
/// Between the highest and the lowest rate.
const MOST: usize = 6;
/// Input that is kept for the next call, at most.
const PAST: usize = TAPS * MOST;
/// Longest piece that is converted in one go, in samples of the input.
const PIECE: usize = Rate::Full.frame();

/// The filters by factor, each phase for itself and backwards: `phase * TAPS + tap`.
static BY_2: [i16; TAPS * 2] = filter();
static BY_3: [i16; TAPS * 3] = filter();
static BY_6: [i16; TAPS * 6] = filter();
/// What a tap of 1 is written as. Whole numbers, for a processor multiplies twice as many of them at once.
const ONE: i32 = 1 << UNIT;
const UNIT: u32 = 14;

/// A converter between any two rates; when they change, it begins anew.
#[derive(Clone, Debug)]
pub struct Convert {
    from: Rate,
    to: Rate,
    /// The newest of what was converted before, newest last.
    past: [i16; PAST],
}

impl Default for Convert {
    fn default() -> Convert {
        Convert::new()
    }
}

impl Convert {
    /// For whatever comes first.
    pub const fn new() -> Convert {
        Convert { from: Rate::Narrow, to: Rate::Narrow, past: [0; PAST] }
    }

    /// Convert a whole number of samples of the lower rate: at most 20 ms. `out` has room for exactly the result.
    pub fn run(&mut self, from: Rate, samples: &[i16], to: Rate, out: &mut [i16]) {
        if (self.from, self.to) != (from, to) {
            *self = Convert { from, to, past: [0; PAST] };
        }
        let factor = from.scale().max(to.scale()) / from.scale().min(to.scale());
        let filter: &[i16] = match factor {
            1 => return out.copy_from_slice(samples),
            2 => &BY_2,
            3 => &BY_3,
            _ => &BY_6,
        };
        let past = if from < to { TAPS } else { TAPS * factor };
        let mut input = [0; PAST + PIECE];
        let count = samples.len().min(PIECE);
        input[..past].copy_from_slice(&self.past[PAST - past..]);
        input[past..past + count].copy_from_slice(&samples[..count]);
        if from < to {
            for (at, group) in out.chunks_exact_mut(factor).enumerate().take(count) {
                let window = &input[at + 1..at + 1 + TAPS];
                for (sample, phase) in group.iter_mut().zip(filter.chunks_exact(TAPS)) {
                    *sample = saturate((dot(phase, window) + ONE / 2) >> UNIT);
                }
            }
        } else {
            // The phases lie one after another, as the samples do not: each takes every `factor`-th sample.
            let mut split = [0; PAST + PIECE];
            let (length, scale) = ((past + count) / factor, 1.0 / (factor as f32 * ONE as f32));
            for (at, group) in input[..past + count].chunks_exact(factor).enumerate() {
                for (phase, &sample) in group.iter().enumerate() {
                    split[phase * length + at] = sample;
                }
            }
            for (at, sample) in out.iter_mut().enumerate().take(count / factor) {
                let phases = filter.chunks_exact(TAPS).enumerate();
                // Adding up, each tap is that of the other direction, divided by the factor.
                let sum: i64 = phases
                    .map(|(phase, taps)| {
                        let start = (factor - 1 - phase) * length + at + 1;
                        i64::from(dot(taps, &split[start..start + TAPS]))
                    })
                    .sum();
                *sample = to_i16(sum as f32 * scale);
            }
        }
        let newest = &samples[count - count.min(PAST)..count];
        self.past.copy_within(newest.len().., 0);
        self.past[PAST - newest.len()..].copy_from_slice(newest);
    }
}

/// The nearest whole number. (The library's function for that is a call, where the processor may be any of its kind.)
fn to_i16(sample: f32) -> i16 {
    // In a number of this size the last bit stands for one.
    const WHOLE: f32 = 12_582_912.0;
    (sample.clamp(-32_768.0, 32_767.0) + WHOLE).to_bits() as i16
}

fn saturate(sample: i32) -> i16 {
    sample.clamp(i16::MIN.into(), i16::MAX.into()) as i16
}

/// Sum of products of two pieces of [`TAPS`].
fn dot(taps: &[i16], samples: &[i16]) -> i32 {
    taps.iter().zip(samples).map(|(tap, sample)| i32::from(*tap) * i32::from(*sample)).sum()
}

/// A low-pass filter for a step of `N / TAPS`: a sinc under a Blackman window, made when the program is compiled. Each
/// phase adds up to one, and its magnitudes to less than four, so that no sum leaves 32 bits.
const fn filter<const N: usize>() -> [i16; N] {
    const TAU: f64 = std::f64::consts::TAU;
    let factor = N / TAPS;
    let mut taps = [0; N];
    let mut phase = 0;
    while phase < factor {
        let mut line = [0.0; TAPS];
        let (mut sum, mut tap) = (0.0, 0);
        while tap < TAPS {
            // Tap 31 meets the newest sample.
            let place = ((TAPS - 1 - tap) * factor + phase) as f64 + 0.5;
            let turn = TAU * place / N as f64;
            let window = 0.42 - 0.5 * cos(turn) + 0.08 * cos(2.0 * turn);
            // 0.5 would be half the lower rate; a little less leaves the window room to fall.
            let x = TAU * 0.475 * (place - N as f64 / 2.0) / factor as f64;
            let sinc = if -1e-9 < x && x < 1e-9 { 1.0 } else { sin(x) / x };
            line[tap] = window * sinc;
            sum += line[tap];
            tap += 1;
        }
        let (mut whole, mut magnitude, mut largest) = (0, 0, 0);
        tap = 0;
        while tap < TAPS {
            let exact = line[tap] / sum * ONE as f64;
            let nearest = (if exact < 0.0 { exact - 0.5 } else { exact + 0.5 }) as i32;
            taps[phase * TAPS + tap] = nearest as i16;
            (whole, magnitude) = (whole + nearest, magnitude + nearest.abs());
            if line[tap] > line[largest] {
                largest = tap;
            }
            tap += 1;
        }
        taps[phase * TAPS + largest] += (ONE - whole) as i16;
        assert!(magnitude < 4 * ONE);
        phase += 1;
    }
    taps
}

const fn cos(x: f64) -> f64 {
    sin(x + std::f64::consts::FRAC_PI_2)
}

/// By its series, which is short enough near zero.
const fn sin(x: f64) -> f64 {
    let turns = (x / std::f64::consts::TAU) as i64;
    let mut x = x - turns as f64 * std::f64::consts::TAU;
    if x > std::f64::consts::PI {
        x -= std::f64::consts::TAU;
    }
    if x < -std::f64::consts::PI {
        x += std::f64::consts::TAU;
    }
    let (mut term, mut sum, mut n) = (x, x, 1.0);
    while n < 24.0 {
        term *= -x * x / ((n + 1.0) * (n + 2.0));
        sum += term;
        n += 2.0;
    }
    sum
}

#[cfg(test)]
mod tests {
    use std::f64::consts::TAU;

    use super::*;
    use crate::audio::goertzel;

    fn converted(from: Rate, to: Rate, frequency: f64) -> Vec<i16> {
        let mut convert = Convert::new();
        let mut heard = Vec::new();
        for frame in 0..50 {
            let samples: Vec<i16> = (frame * from.frame()..(frame + 1) * from.frame())
                .map(|n| (10_000.0 * (TAU * frequency * n as f64 / f64::from(from.hz())).sin()) as i16)
                .collect();
            let mut out = vec![0; to.frame()];
            convert.run(from, &samples, to, &mut out);
            heard.extend(out);
        }
        heard
    }

    #[test]
    fn what_both_rates_can_carry_passes_at_its_level_and_nothing_is_added() {
        for from in Rate::ALL {
            for to in Rate::ALL {
                let top = 3400.0 * from.scale().min(to.scale()) as f64;
                for frequency in [100.0, 1000.0, 3000.0, top] {
                    let heard = &converted(from, to, frequency)[to.frame() * 5..];
                    let whole = heard.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / heard.len() as f64;
                    let tone = goertzel::power(heard, frequency, to.hz());
                    let level = 10.0 * (tone / (1e8 / 2.0)).log10();
                    assert!((-1.0..0.2).contains(&level), "{from:?} to {to:?}, {frequency} Hz: {level} dB");
                    let rest = 10.0 * ((whole - tone).max(1.0) / whole).log10();
                    assert!(rest < -50.0, "{from:?} to {to:?}, {frequency} Hz: {rest} dB beside it");
                }
            }
        }
    }

    #[test]
    fn what_the_lower_rate_cannot_carry_is_gone() {
        for (from, to, frequency) in [
            (Rate::Wide, Rate::Narrow, 4700.0),
            (Rate::Full, Rate::Narrow, 5000.0),
            (Rate::Full, Rate::Narrow, 20_000.0),
            (Rate::Full, Rate::Wide, 9400.0),
        ] {
            let heard = &converted(from, to, frequency)[to.frame() * 5..];
            let whole = heard.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / heard.len() as f64;
            let level = 10.0 * (whole.max(0.01) / (1e8 / 2.0)).log10();
            assert!(level < -55.0, "{frequency} Hz: {level} dB");
        }
    }

    #[test]
    fn a_change_of_rates_begins_anew_and_equal_rates_change_nothing() {
        let mut convert = Convert::new();
        let (loud, mut out) = ([20_000; 320], [0; 160]);
        convert.run(Rate::Wide, &loud, Rate::Narrow, &mut out);
        assert!(out[100] > 19_000);
        let mut same = [0; 320];
        convert.run(Rate::Wide, &loud, Rate::Wide, &mut same);
        assert_eq!(same, loud);
        convert.run(Rate::Wide, &[0; 320], Rate::Narrow, &mut out);
        assert_eq!(out, [0; 160]);
    }
}
