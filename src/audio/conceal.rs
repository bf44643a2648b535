//! Packet loss concealment: what was lost is made up from what was just heard.
//!
//! The idea is that of G.711 Appendix I: find the pitch of the last 50 ms, repeat the last pitch period, after 10 ms the
//! last two, after 20 ms the last three (one period over and over soon sounds like a machine), and get quieter. Here
//! nothing is held back for it: instead of delaying all audio by 3.75 ms to blend into the loss, the repetition starts
//! with the step that it would make, and lets that step die away.
//!
//! ```text
//! level  1.0 ──────┐10 ms
//!                    ╲___           60 ms: 0.25
//!                        ╲___ ______╲  80 ms: silence
//! ```
//!
//! The first good samples after a loss are cross-faded with the repetition going on below them. Where they are known before
//! the loss is to be heard, they go back into it as the past goes on into it ([`Conceal::join`]): that is better by half a
//! PESQ point at 5 % loss.
//!
//! All lengths in here are in samples at 8 kHz; at a higher rate they are multiplied, and the pitch is found roughly
//! first.

mod pitch;
mod repetition;
#[cfg(test)]
mod tests;

use self::{
    pitch::MAX_PERIOD,
    repetition::{GoingOn, Repetition, SILENT},
};
use crate::codec::Rate;

/// How much of the past is kept: three longest periods and the overlap.
const HISTORY: usize = 400;
/// So much of what follows a gap must be known, to go back from there.
const LEAST_NEXT: usize = 80;
/// Longest cross-fade back: 10 ms.
const LONGEST_RETURN: usize = 80;

/// One stream's concealment. Give it every good sample with [`Conceal::hear`], ask for the lost ones with
/// [`Conceal::make_up`], in the order in which they are played. Pieces may have any length.
#[derive(Debug)]
pub struct Conceal {
    state: State,
    /// How many samples there are for one at 8 kHz.
    scale: usize,
    /// The last samples that were played, newest last; [`HISTORY`] of them at the present rate, room for the highest.
    history: Box<[i16]>,
    /// What is repeated: the history as it was when the loss began.
    source: Box<[i16]>,
    repetition: Repetition,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Nothing was ever heard.
    Fresh,
    /// Nothing is missing.
    Hearing,
    /// `made` samples were made up so far.
    MakingUp { made: usize },
    /// Good samples come again: `done` of `length` are cross-faded; `made` counts on.
    Returning { made: usize, done: usize, length: usize },
}

impl Conceal {
    /// Nothing heard yet; memory for rates up to `highest`, which it begins with.
    pub fn new(highest: Rate) -> Conceal {
        let room = HISTORY * highest.scale();
        Conceal {
            state: State::Fresh,
            scale: highest.scale(),
            history: vec![0; room].into_boxed_slice(),
            source: vec![0; room].into_boxed_slice(),
            repetition: Repetition { period: MAX_PERIOD * highest.scale(), periods: 3, unvoiced: true, step: 0.0 },
        }
    }

    /// Nothing heard yet, at `rate` from now on.
    pub fn reset(&mut self, rate: Rate) {
        self.state = State::Fresh;
        self.scale = rate.scale().min(self.history.len() / HISTORY);
        self.history.fill(0);
    }

    /// So many samples at the present rate.
    fn at_rate(&self, samples: usize) -> usize {
        samples * self.scale
    }

    fn history(&self) -> &[i16] {
        &self.history[..HISTORY * self.scale]
    }

    /// Good samples, on their way to be played. After a loss they are cross-faded in place.
    pub fn hear(&mut self, samples: &mut [i16]) {
        if let State::MakingUp { made } = self.state {
            self.state = State::Returning { made, done: 0, length: return_length(made / self.scale) * self.scale };
        }
        if matches!(self.state, State::Fresh) {
            self.state = State::Hearing;
        }
        if let State::Returning { made, done, length } = self.state {
            let now = samples.len().min(length - done);
            for (at, sample) in samples.iter_mut().take(now).enumerate() {
                let share = (done + at + 1) as f32 / (length + 1) as f32;
                let below = self.repeated(made + at);
                *sample = (below + share * (f32::from(*sample) - below)) as i16;
            }
            self.state = if done + now < length {
                State::Returning { made: made + now, done: done + now, length }
            } else {
                State::Hearing
            };
        }
        self.remember(samples);
    }

    /// Fill `out` with what is likely to have been there.
    pub fn make_up(&mut self, out: &mut [i16]) {
        let made = match self.state {
            State::Fresh => return out.fill(0),
            State::MakingUp { made } => made,
            State::Hearing | State::Returning { .. } => {
                self.begin();
                0
            }
        };
        for (at, sample) in out.iter_mut().enumerate() {
            *sample = self.repeated(made + at) as i16;
        }
        // Past the fade the count has no meaning any more; it must not run over in a call of weeks.
        self.state = State::MakingUp { made: (made + out.len()).min(self.at_rate(SILENT)) };
        self.remember(out);
    }

    /// Nothing is missing at the moment.
    pub fn is_hearing(&self) -> bool {
        match self.state {
            State::Hearing | State::Returning { .. } => true,
            State::Fresh | State::MakingUp { .. } => false,
        }
    }

    /// What [`Conceal::make_up`] would give if a loss began now; nothing is changed by it.
    pub fn guess(&mut self, out: &mut [i16]) {
        self.begin();
        for (at, sample) in out.iter_mut().enumerate() {
            *sample = self.repeated(at) as i16;
        }
    }

    /// Fill `gap` where it is known already what comes after it: `next`, at least 10 ms of good samples. What is before it goes
    /// on into the gap, what is after it goes back into it, turned round, and one fades into the other. The gap is no loss
    /// any more: it is to be heard as good samples are. [`Conceal::can_join`] is asked before.
    pub fn join(&mut self, gap: &mut [i16], next: &[i16]) {
        let scale = self.scale;
        let known = next.len().min(self.at_rate(HISTORY));
        let made = match self.state {
            State::MakingUp { made } => made,
            State::Fresh | State::Hearing | State::Returning { .. } => {
                self.begin();
                0
            }
        };
        let mut turned = [0; HISTORY * Rate::Full.scale()];
        for (to, from) in turned[..known].iter_mut().zip(next[..known].iter().rev()) {
            *to = *from;
        }
        let source = &turned[..known];
        let back = GoingOn { source, repetition: Repetition::of(source, scale), scale };
        let length = gap.len();
        for (at, sample) in gap.iter_mut().enumerate() {
            let turn = std::f32::consts::PI * (at + 1) as f32 / (length + 1) as f32;
            let share = 0.5 - 0.5 * turn.cos();
            let (before, after) = (self.repeated(made + at), back.sample(length - 1 - at));
            *sample = (before + share * (after - before)) as i16;
        }
        self.state = State::Hearing;
    }

    /// Something was heard before, and so many samples at 8 kHz are enough to go back from.
    pub fn can_join(&self, next: usize) -> bool {
        next >= LEAST_NEXT && !matches!(self.state, State::Fresh)
    }

    /// True where all that is made up is silence by now.
    pub fn is_silent(&self) -> bool {
        match self.state {
            State::Fresh => true,
            State::MakingUp { made } => made >= self.at_rate(SILENT),
            State::Hearing | State::Returning { .. } => false,
        }
    }

    /// A loss begins.
    fn begin(&mut self) {
        let length = self.at_rate(HISTORY);
        self.source[..length].copy_from_slice(&self.history[..length]);
        self.repetition = Repetition::of(self.history(), self.scale);
    }

    /// Made-up sample number `at`, counted from the start of the loss.
    fn repeated(&self, at: usize) -> f32 {
        let source = &self.source[..self.at_rate(HISTORY)];
        GoingOn { source, repetition: self.repetition, scale: self.scale }.sample(at)
    }

    fn remember(&mut self, samples: &[i16]) {
        let length = HISTORY * self.scale;
        let newest = &samples[samples.len().saturating_sub(length)..];
        self.history.copy_within(newest.len()..length, 0);
        self.history[length - newest.len()..length].copy_from_slice(newest);
    }
}

/// The longer the loss, the longer the way back: 4 ms, and 4 ms more for each 10 ms. Silence needs no more than 4 ms.
fn return_length(made: usize) -> usize {
    if made >= SILENT { 32 } else { (32 + made / 80 * 32).min(LONGEST_RETURN) }
}
