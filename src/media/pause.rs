//! Comfort noise going out (RFC 3389): where a party has only silence to hear, how loud that is is told now and then, in
//! the place of packets.
//!
//! ```text
//! said    ▇▆▇▅▁▁▁▁▁▁▁▁▁▁▁▁▂▂▂▂▂▂▂▂▇▆▇
//! sent    ━━━━━━━━CN──────CN──────━━━     packets, the first after a pause with the marker
//!             200 ms      3 dB louder; else every 5 s, so that ways through NAT stay open
//! ```

use std::time::Duration;

use super::TICK;
use crate::audio::vad::{Vad, level};

/// So many ticks without a voice begin a pause: 200 ms.
const HANGOVER: u32 = 10;
/// What is louder is never taken for noise, in dBm0: it may be music.
const LOUDEST: f32 = -40.0;
/// While a sound is played only what is not there at all is a pause, in dBm0.
const PLAYED: f32 = -75.0;
/// A pause is over at once where something is this much louder than was told, in dB, and above the next, in dBm0.
const LOUDER: f32 = 6.0;
const AUDIBLE: f32 = -60.0;
/// Another level is told where it differs by so much, in dB, and so many ticks after the one before: 400 ms.
const DIFFERS: f32 = 3.0;
const LEAST: u32 = 20;
/// The same level is told again after so many ticks: 5 s.
const AGAIN: u32 = 250;
/// How fast the level that is told follows that of the noise.
const FOLLOW: f32 = 0.2;
/// From dBm0 to decibels below the loudest square wave, as RFC 3389 section 3.1 counts.
const OVERLOAD: f32 = 6.3;

/// What is to be sent of a tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// All of it.
    Audio,
    /// Comfort noise of this level: the payload's first byte.
    Noise(u8),
    /// Nothing: the pause goes on as it was told.
    Nothing,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    /// Somebody speaks, or did `quiet` ticks ago.
    Speaking { quiet: u32 },
    /// A pause, whose level (in dBm0) was `told` so many `ticks` ago.
    Pausing { told: f32, ticks: u32 },
}

/// Finds the pauses in what is sent to one party.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pause {
    vad: Vad,
    state: State,
    /// Level of the pause, smoothed, in dBm0.
    noise: f32,
}

impl Pause {
    pub(super) fn new() -> Pause {
        Pause { vad: Vad::new(TICK, Duration::ZERO), state: State::Speaking { quiet: 0 }, noise: 0.0 }
    }

    /// Nothing is sent now, or in another way: what comes next is another pause.
    pub(super) fn end(&mut self) {
        self.state = State::Speaking { quiet: 0 };
    }

    /// One tick of what there is to be sent; `played`: a sound that a script plays.
    pub(super) fn handle(&mut self, samples: &[i16], played: bool) -> Sent {
        let level = level(samples);
        let voice = self.vad.handle_level(level);
        let most = if played { PLAYED } else { LOUDEST };
        let quiet = !voice && level <= most;
        match self.state {
            State::Speaking { .. } if !quiet => self.end(),
            State::Speaking { quiet } => {
                self.follow(level, quiet == 0);
                if quiet + 1 >= HANGOVER {
                    return self.tell();
                }
                self.state = State::Speaking { quiet: quiet + 1 };
            }
            State::Pausing { told, .. } if !quiet || (level > told + LOUDER && level > AUDIBLE) => self.end(),
            State::Pausing { told, ticks } => {
                self.follow(level, false);
                let differs = (self.noise - told).abs() >= DIFFERS && self.noise.max(told) > PLAYED;
                if ticks + 1 >= AGAIN || (differs && ticks + 1 >= LEAST) {
                    return self.tell();
                }
                self.state = State::Pausing { told, ticks: ticks + 1 };
                return Sent::Nothing;
            }
        }
        Sent::Audio
    }

    fn follow(&mut self, level: f32, anew: bool) {
        self.noise += (level - self.noise) * if anew { 1.0 } else { FOLLOW };
    }

    fn tell(&mut self) -> Sent {
        self.state = State::Pausing { told: self.noise, ticks: 0 };
        Sent::Noise((OVERLOAD - self.noise).round().clamp(0.0, 127.0) as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{audio::speech::speech, chance::Chance};

    fn noise(seed: u64, dbm0: f32, ticks: usize) -> Vec<i16> {
        let peak = 15_866.0 * 3.0_f64.sqrt() * 10.0_f64.powf(f64::from(dbm0) / 20.0);
        let mut chance = Chance::new(seed);
        (0..ticks * 160).map(|_| ((chance.share() * 2.0 - 1.0) * peak).round() as i16).collect()
    }

    fn sent(pause: &mut Pause, samples: &[i16], played: bool) -> Vec<Sent> {
        samples.chunks(160).map(|frame| pause.handle(frame, played)).collect()
    }

    /// The ticks in which noise was told, with its level.
    fn told(sent: &[Sent]) -> Vec<(usize, u8)> {
        let level = |(at, sent): (usize, &Sent)| match sent {
            Sent::Noise(level) => Some((at, *level)),
            Sent::Audio | Sent::Nothing => None,
        };
        sent.iter().enumerate().filter_map(level).collect()
    }

    #[test]
    fn silence_is_told_after_200_ms_and_again_every_5_s() {
        let sent = sent(&mut Pause::new(), &[0; 160 * 600], false);
        assert!(sent[..9].iter().all(|sent| *sent == Sent::Audio));
        assert_eq!(told(&sent), [(9, 106), (259, 106), (509, 106)]);
    }

    #[test]
    fn noise_is_told_with_its_level_and_another_level_no_sooner_than_400_ms_later() {
        let mut pause = Pause::new();
        let quiet = told(&sent(&mut pause, &noise(1, -58.0, 200), false));
        assert!(quiet.len() == 1 && quiet[0].1.abs_diff(64) <= 1, "{quiet:?}");
        let louder = told(&sent(&mut pause, &noise(2, -53.5, 200), false));
        assert!((1..=2).contains(&louder.len()), "{louder:?}");
        assert!(louder.iter().all(|(_, level)| level.abs_diff(60) <= 2), "{louder:?}");
        let swaying: Vec<i16> = (0..50).flat_map(|n| noise(n, if n % 2 == 0 { -64.0 } else { -58.5 }, 10)).collect();
        let swaying = told(&sent(&mut pause, &swaying, false));
        assert!(swaying.windows(2).all(|pair| pair[1].0 - pair[0].0 >= 20), "{swaying:?}");
    }

    #[test]
    fn a_voice_is_sent_from_its_first_frame_on_and_none_of_it_is_left_out() {
        let mut pause = Pause::new();
        assert!(sent(&mut pause, &noise(1, -60.0, 100), false).contains(&Sent::Nothing));
        let voice: Vec<i16> = speech(3, 160 * 200).iter().map(|s| s.saturating_mul(2)).collect();
        assert!(sent(&mut pause, &voice, false).iter().all(|sent| *sent == Sent::Audio));
    }

    #[test]
    fn a_quiet_sound_that_is_played_and_a_steady_tone_are_no_pauses() {
        let tone = |amplitude: f32| (0..160 * 3000).map(|n| (amplitude * (n as f32 * 0.35).sin()) as i16).collect();
        let (quiet, steady): (Vec<i16>, Vec<i16>) = (tone(60.0), tone(800.0));
        assert!(sent(&mut Pause::new(), &quiet, true).iter().all(|sent| *sent == Sent::Audio));
        assert!(sent(&mut Pause::new(), &steady, false).iter().all(|sent| *sent == Sent::Audio));
    }

    #[test]
    fn after_an_interruption_the_pause_is_told_anew() {
        let mut pause = Pause::new();
        sent(&mut pause, &[0; 160 * 50], false);
        pause.end();
        assert_eq!(told(&sent(&mut pause, &[0; 160 * 50], false)), [(9, 106)]);
    }
}
