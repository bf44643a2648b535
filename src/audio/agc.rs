//! Automatic gain: everybody in a room is about as loud as everybody else.

use crate::audio::vad;

/// How loud speech should be, in dBm0: what networks are built for.
const TARGET: f32 = -19.0;
/// Quieter frames say nothing of how loud somebody speaks.
const SPEECH: f32 = -45.0;
/// Least and most gain, in dB.
const GAIN: (f32, f32) = (-12.0, 15.0);
/// Most change of the gain in a frame, in dB: louder slowly, quieter soon.
const STEP: (f32, f32) = (-0.5, 0.1);
/// How fast the measured level follows.
const FOLLOW: f32 = 0.05;

/// The gain of one party.
#[derive(Clone, Copy, Debug)]
pub struct Agc {
    /// Mean level of its speech, in dBm0.
    level: f32,
    gain: f32,
}

impl Default for Agc {
    fn default() -> Agc {
        Agc { level: TARGET, gain: 0.0 }
    }
}

impl Agc {
    /// One frame of 20 ms, made louder or quieter in place. The gain moves evenly through the frame: nothing clicks.
    pub fn handle(&mut self, frame: &mut [i16]) {
        let level = vad::level(frame);
        let before = self.gain;
        if level > SPEECH {
            self.level += (level - self.level) * FOLLOW;
            let wanted = (TARGET - self.level).clamp(GAIN.0, GAIN.1);
            self.gain += (wanted - self.gain).clamp(STEP.0, STEP.1);
        }
        let (from, to) = (factor(before), factor(self.gain));
        let count = frame.len().max(1) as f32;
        for (at, sample) in frame.iter_mut().enumerate() {
            let gain = from + (to - from) * (at as f32 + 1.0) / count;
            *sample = (f32::from(*sample) * gain).clamp(-32768.0, 32767.0) as i16;
        }
    }
}

fn factor(decibels: f32) -> f32 {
    10f32.powf(decibels / 20.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::speech::speech;

    /// Level of the last two seconds of ten, spoken at this part of the usual loudness.
    fn level_after(part: f32) -> f32 {
        let mut samples: Vec<i16> = speech(3, 160_000).iter().map(|s| (f32::from(*s) * part) as i16).collect();
        let mut agc = Agc::default();
        samples.chunks_mut(160).for_each(|frame| agc.handle(frame));
        vad::level(&samples[128_000..])
    }

    #[test]
    fn the_loud_and_the_quiet_come_together() {
        let (loud, quiet) = (level_after(4.0), level_after(1.0));
        assert!((loud - quiet).abs() < 3.0, "{loud} {quiet}");
        assert!((loud - TARGET).abs() < 4.0, "{loud}");
    }

    #[test]
    fn silence_stays_silent_and_changes_nothing() {
        let mut agc = Agc::default();
        let mut silence = [3; 160];
        for _ in 0..1000 {
            agc.handle(&mut silence);
        }
        assert_eq!(silence, [3; 160]);
    }
}
