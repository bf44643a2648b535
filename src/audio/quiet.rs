//! Is anybody speaking? By level alone: good enough to end a voicemail, and cheap.
//!
//! The background's level is followed: down at once, up by a decibel a second. A voice is what is twice as loud (6 dB).
//! The line between both stays within bounds, so that a steady tone is no background, and a hiss no voice.

/// The line is never below this root of the mean square (about -50 dB of full scale), nor above the next.
const LOWEST: f32 = 100.0;
const HIGHEST: f32 = 400.0;
/// How fast the background may rise, as a factor a second: a decibel.
const RISE: f32 = 1.122;
/// A voice is this much above the background.
const ABOVE: f32 = 2.0;
/// Shorter sounds are clicks, in seconds.
const SHORTEST: f32 = 0.04;

/// Measures how long nobody has spoken.
#[derive(Clone, Debug)]
pub struct Quiet {
    background: f32,
    /// Samples that were loud, up to now without a pause.
    loud: u64,
    /// Samples since the last voice.
    silent: u64,
}

impl Default for Quiet {
    fn default() -> Quiet {
        Quiet { background: LOWEST, loud: 0, silent: 0 }
    }
}

impl Quiet {
    /// Hear `samples` of `rate` a second. Returns for how many samples there has been no voice.
    pub fn hear(&mut self, samples: &[i16], rate: u32) -> u64 {
        if samples.is_empty() {
            return self.silent;
        }
        let sum: f32 = samples.iter().map(|sample| f32::from(*sample).powi(2)).sum();
        let level = (sum / samples.len() as f32).sqrt();
        let count = samples.len() as u64;
        let line = (self.background * ABOVE).clamp(LOWEST, HIGHEST);
        self.loud = if level > line { self.loud + count } else { 0 };
        self.silent += count;
        if self.loud as f32 > SHORTEST * rate as f32 {
            self.silent = 0;
        }
        let seconds = count as f32 / rate as f32;
        self.background = level.min(self.background * (1.0 + (RISE - 1.0) * seconds)).max(1.0);
        self.silent
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{audio::speech::speech, chance::Chance};

    /// Seconds of silence at the end of these samples at 8 kHz.
    fn silence(quiet: &mut Quiet, samples: &[i16]) -> f64 {
        samples.chunks(160).map(|frame| quiet.hear(frame, 8000)).last().unwrap_or(0) as f64 / 8000.0
    }

    fn hiss(amplitude: i16, count: usize) -> Vec<i16> {
        let mut chance = Chance::new(5);
        (0..count).map(|_| (chance.below(2 * amplitude as u64 + 1) as i16) - amplitude).collect()
    }

    #[test]
    fn a_voice_is_heard_and_the_pause_after_it_measured() {
        let mut quiet = Quiet::default();
        assert!(silence(&mut quiet, &speech(1, 80_000)) < 0.3);
        let after = silence(&mut quiet, &vec![0; 40_000]);
        assert!((4.9..5.4).contains(&after), "{after}");
    }

    #[test]
    fn a_steady_tone_is_not_taken_for_background_in_two_minutes() {
        let tone: Vec<i16> = (0..8000 * 120).map(|n| ((n as f32 * 0.345).sin() * 3000.0) as i16).collect();
        let mut quiet = Quiet::default();
        let longest = tone.chunks(160).map(|frame| quiet.hear(frame, 8000)).skip(5).max().unwrap();
        assert_eq!(longest, 0);
    }

    #[test]
    fn a_hiss_behind_the_voice_and_clicks_are_silence() {
        let mut quiet = Quiet::default();
        let noisy: Vec<i16> =
            speech(2, 40_000).iter().zip(hiss(150, 40_000)).map(|(a, b)| a.saturating_add(b)).collect();
        silence(&mut quiet, &noisy);
        let mut pause = hiss(150, 48_000);
        for at in [8000, 20_000, 33_000] {
            pause[at..at + 40].fill(20_000);
        }
        let after = silence(&mut quiet, &pause);
        assert!(after > 5.5, "{after}");
    }
}
