//! Sounds going out to a port, one after another without a gap; they can be paused, sought in, and made softer and louder.
//!
//! A play has one rate: the highest of its sounds. What is lower is brought to it as it is played, in step to the sample:
//! the converter is run ahead by its own delay before a sound begins, and is fed silence (or the sound's own beginning,
//! where it is looped) past its end.

use std::{sync::Arc, time::Duration};

use super::{Frame, Pcm, RATE};
use crate::{
    audio::Convert,
    codec::Rate,
    ids::PlayId,
    verbs::{Manner, Steer},
};

/// By how many samples of the lower rate a converter is late.
const LATE: usize = 16;
/// Most samples of a lower rate in a tick.
const MOST: usize = Rate::Full.frame() / 3;

/// One play.
#[derive(Debug)]
pub(super) struct Player {
    pub(super) id: PlayId,
    sounds: Box<[Arc<Pcm>]>,
    rate: Rate,
    /// There is nothing in any of the sounds.
    empty: bool,
    /// Which sound, and which sample of it, is next.
    sound: usize,
    sample: usize,
    /// How often all of it is played after this time; absent: for ever.
    rounds: Option<u32>,
    /// Brings the present sound to the play's rate; absent: it is to be run ahead first.
    convert: Option<Convert>,
    paused: bool,
    /// How loud it is to be, and is: it follows within a tick, so that nothing clicks.
    gain: f32,
    level: f32,
    /// Samples played, counted at 48 kHz.
    played: u64,
}

impl Player {
    pub(super) fn new(id: PlayId, sounds: Box<[Arc<Pcm>]>, manner: Manner) -> Player {
        let gain = gain(manner.volume);
        let mut player = Player {
            id,
            rate: sounds.iter().map(|pcm| pcm.rate).max().unwrap_or_default(),
            empty: sounds.iter().all(|pcm| pcm.samples.is_empty()),
            sounds,
            sound: 0,
            sample: 0,
            rounds: manner.times.map(|times| times.saturating_sub(1)),
            convert: None,
            paused: false,
            gain,
            level: gain,
            played: 0,
        };
        if !manner.from.is_zero() {
            player.seek(samples(manner.from));
        }
        player
    }

    /// Do something to it. Gives the place where it is then.
    pub(super) fn steer(&mut self, steer: Steer) -> u64 {
        let at = self.at();
        match steer {
            Steer::Pause => self.paused = true,
            Steer::Resume => self.paused = false,
            Steer::Seek(to) => self.seek(samples(to)),
            Steer::Forward(by) => self.seek(at.saturating_add(samples(by))),
            Steer::Back(by) => self.seek(at.saturating_sub(samples(by))),
            Steer::Volume(volume) => self.gain = gain(volume),
            Steer::Tell => {}
        }
        self.at()
    }

    /// The next 20 ms, at the play's rate; silence after its end, and while it is paused.
    pub(super) fn fill(&mut self, frame: &mut Frame) {
        let out = frame.reset(self.rate);
        let wanted = if self.paused { 0.0 } else { self.gain };
        if self.paused && self.level == 0.0 {
            return out.fill(0);
        }
        let filled = self.read(out);
        out[filled..].fill(0);
        self.played += (filled * (Rate::Full.scale() / self.rate.scale())) as u64;
        let from = std::mem::replace(&mut self.level, wanted);
        if (from, wanted) != (1.0, 1.0) {
            let step = (wanted - from) / out.len() as f32;
            for (at, sample) in out.iter_mut().enumerate() {
                // The cast puts what is too loud at full scale.
                *sample = (f32::from(*sample) * (from + step * at as f32)) as i16;
            }
        }
    }

    /// Whether all was played.
    pub(super) fn finished(&self) -> bool {
        // Empty sounds at the end are played without a frame of their own.
        let last = || self.sounds.get(self.sound..).unwrap_or_default().iter().all(|pcm| pcm.samples.is_empty());
        self.empty || (self.rounds == Some(0) && last())
    }

    /// Samples played so far, at [`RATE`].
    pub(super) fn played(&self) -> u64 {
        self.played / Rate::Full.scale() as u64
    }

    /// The sounds, to be freed elsewhere.
    pub(super) fn into_sounds(self) -> Box<[Arc<Pcm>]> {
        self.sounds
    }

    /// Where it is: samples since the beginning of the first sound, at [`RATE`].
    fn at(&self) -> u64 {
        let before: u64 = self.sounds.iter().take(self.sound).map(|pcm| length(pcm)).sum();
        let scale = self.sounds.get(self.sound).map_or(1, |pcm| pcm.rate.scale());
        before + (self.sample / scale) as u64
    }

    fn seek(&mut self, mut to: u64) {
        self.level = 0.0;
        self.convert = None;
        (self.sound, self.sample) = (0, 0);
        while let Some(pcm) = self.sounds.get(self.sound) {
            let length = length(pcm);
            if to < length || (pcm.looped && length > 0) {
                self.sample = (to % length) as usize * pcm.rate.scale();
                return;
            }
            to -= length;
            self.sound += 1;
        }
    }

    /// Fills `out` as far as there is something.
    fn read(&mut self, out: &mut [i16]) -> usize {
        let mut filled = 0;
        while filled < out.len() && self.find_next() {
            let pcm = &self.sounds[self.sound];
            let (looped, length) = (pcm.looped, pcm.samples.len());
            let factor = self.rate.scale() / pcm.rate.scale();
            // After a sound that ended between two samples of this one: less than a fifth of a millisecond.
            let pad = (out.len() - filled) % factor;
            out[filled..filled + pad].fill(0);
            filled += pad;
            let take = (length - self.sample).min((out.len() - filled) / factor);
            let into = &mut out[filled..filled + take * factor];
            if factor == 1 {
                into.copy_from_slice(&pcm.samples[self.sample..self.sample + take]);
            } else {
                let convert = self.convert.get_or_insert_with(|| ahead(pcm, self.sample, self.rate));
                let mut input = [0; MOST];
                piece(pcm, (self.sample + LATE) as i64, &mut input[..take]);
                convert.run(pcm.rate, &input[..take], self.rate, into);
            }
            filled += take * factor;
            self.sample += take;
            if self.sample == length {
                self.sample = 0;
                if !looped {
                    self.sound += 1;
                    self.convert = None;
                }
            }
        }
        filled
    }

    /// Goes to the next sound that is not empty, beginning anew where that is wanted. False: that was all.
    fn find_next(&mut self) -> bool {
        while !self.empty {
            match (self.sounds.get(self.sound), self.rounds) {
                (Some(pcm), _) if pcm.samples.is_empty() => self.sound += 1,
                (Some(_), _) => return true,
                (None, Some(0)) => return false,
                (None, rounds) => {
                    self.rounds = rounds.map(|rounds| rounds - 1);
                    self.sound = 0;
                }
            }
        }
        false
    }
}

/// A converter that has heard what comes before `sample`, and is ahead by its delay.
fn ahead(pcm: &Pcm, sample: usize, rate: Rate) -> Convert {
    let (mut convert, mut input, mut unheard) = (Convert::new(), [0; 2 * LATE], [0; 2 * LATE * Rate::Full.scale()]);
    piece(pcm, sample as i64 - LATE as i64, &mut input);
    let length = input.len() * (rate.scale() / pcm.rate.scale());
    convert.run(pcm.rate, &input, rate, &mut unheard[..length]);
    convert
}

/// The samples of a sound from `from` on: silence where there are none, the sound itself again where it is looped.
fn piece(pcm: &Pcm, from: i64, out: &mut [i16]) {
    let length = pcm.samples.len() as i64;
    for (at, sample) in (from..).zip(out) {
        let at = if pcm.looped { at.rem_euclid(length) } else { at };
        *sample = usize::try_from(at).ok().and_then(|at| pcm.samples.get(at)).copied().unwrap_or(0);
    }
}

/// How long a sound is, in samples at [`RATE`].
fn length(pcm: &Pcm) -> u64 {
    (pcm.samples.len() / pcm.rate.scale()) as u64
}

/// A time in samples at [`RATE`].
fn samples(time: Duration) -> u64 {
    u64::try_from(time.as_micros() * u128::from(RATE) / 1_000_000).unwrap_or(u64::MAX)
}

/// Decibels as a factor.
fn gain(volume: f32) -> f32 {
    if volume == 0.0 { 1.0 } else { 10_f32.powf(volume / 20.0) }
}

#[cfg(test)]
#[path = "player_tests.rs"]
mod tests;
