//! Decoded samples on their way out, which can be made a little shorter or longer without being heard.
//!
//! Both join two places that are alike: to shorten, the samples ahead are blended into those a pitch period later; to
//! lengthen, back into those a period before. In speech that adds or drops a whole period; in silence, anything.

use crate::{audio::likeness::likeness, codec::Rate};

/// Room: a frame and a period to look ahead, the longest packet, and what lengthening adds.
pub(super) const ROOM: usize = 1440;
/// Shortest piece that is dropped or repeated: 4 ms.
const MIN_PIECE: usize = 32;
/// Longest piece that is dropped or repeated: 15 ms.
pub(super) const MAX_PIECE: usize = 120;
/// Length of the blend: 8 ms.
const BLEND: usize = 64;

/// All lengths are in samples at 8 kHz (units), whatever the rate of the samples is.
#[derive(Debug)]
pub(super) struct Fifo {
    /// How many samples there are in a unit.
    scale: usize,
    samples: Box<[i16]>,
    /// How many samples wait: a multiple of the scale.
    len: usize,
}

impl Fifo {
    /// Memory for rates up to `highest`, which it begins with.
    pub(super) fn new(highest: Rate) -> Fifo {
        let scale = highest.scale();
        Fifo { scale, samples: vec![0; ROOM * scale].into_boxed_slice(), len: 0 }
    }

    /// Empty, and at `rate` from now on.
    pub(super) fn reset(&mut self, rate: Rate) {
        self.scale = rate.scale().min(self.samples.len() / ROOM);
        self.len = 0;
    }

    /// Units that wait.
    pub(super) fn len(&self) -> usize {
        self.len / self.scale
    }

    pub(super) fn clear(&mut self) {
        self.len = 0;
    }

    /// Add what `decode` writes (it returns how many samples), without the first `skip` units of it. Returns how many units
    /// `decode` wrote.
    pub(super) fn append(&mut self, skip: usize, decode: impl FnOnce(&mut [i16]) -> usize) -> usize {
        let room = ROOM * self.scale;
        let written = decode(&mut self.samples[self.len..room]) / self.scale * self.scale;
        let skip = (skip * self.scale).min(written);
        self.samples.copy_within(self.len + skip..self.len + written, self.len);
        self.len += written - skip;
        written / self.scale
    }

    /// Move the oldest samples to `out`; returns how many.
    pub(super) fn take(&mut self, out: &mut [i16]) -> usize {
        let taken = out.len().min(self.len);
        out[..taken].copy_from_slice(&self.samples[..taken]);
        self.samples.copy_within(taken..self.len, 0);
        self.len -= taken;
        taken
    }

    /// Mean of the magnitudes of the oldest samples that an adjustment would touch.
    pub(super) fn loudness(&self) -> i32 {
        let touched = &self.samples[..self.len.min((MAX_PIECE + BLEND) * self.scale)];
        let sum: i32 = touched.iter().map(|&s| i32::from(s).abs()).sum();
        sum / touched.len().max(1) as i32
    }

    /// Drop `longest` units or fewer, leaving at least `keep`, where two places that far apart are at least as alike as
    /// `alike`. Returns how many were dropped.
    pub(super) fn shorten(&mut self, longest: usize, keep: usize, alike: f32) -> Option<usize> {
        let longest = longest.min(self.len().saturating_sub(keep.max(BLEND)));
        let units = self.best_piece(longest, alike)?;
        let (piece, length) = (units * self.scale, BLEND * self.scale);
        for at in 0..length {
            self.samples[at] = blend(self.samples[at], self.samples[at + piece], at, length);
        }
        self.samples.copy_within(length + piece..self.len, length);
        self.len -= piece;
        Some(units)
    }

    /// Repeat `longest` units or fewer, as [`Fifo::shorten`] drops them. Returns how many were added.
    pub(super) fn lengthen(&mut self, longest: usize, alike: f32) -> Option<usize> {
        let longest = longest.min(self.len().saturating_sub(BLEND)).min(ROOM - self.len());
        let units = self.best_piece(longest, alike)?;
        let (piece, length) = (units * self.scale, BLEND * self.scale);
        let mut joint = [0; BLEND * Rate::Full.scale()];
        for (at, sample) in joint[..length].iter_mut().enumerate() {
            *sample = blend(self.samples[at + piece], self.samples[at], at, length);
        }
        self.samples.copy_within(length..self.len, length + piece);
        self.samples[piece..piece + length].copy_from_slice(&joint[..length]);
        self.len += piece;
        Some(units)
    }

    /// The length up to `longest` at which the samples are most like themselves; the longest where they are equally so.
    /// It is sought in whole units.
    fn best_piece(&self, longest: usize, alike: f32) -> Option<usize> {
        let longest = longest.min(MAX_PIECE);
        let mut samples = [0.0; MAX_PIECE + BLEND];
        for (to, group) in samples.iter_mut().zip(self.samples[..self.len].chunks_exact(self.scale)) {
            *to = group.iter().map(|&s| f32::from(s)).sum();
        }
        let pieces =
            (MIN_PIECE..=longest).map(|piece| (piece, likeness(&samples[..BLEND], &samples[piece..][..BLEND])));
        let (piece, best) = pieces.max_by(|a, b| a.1.total_cmp(&b.1))?;
        (best >= alike).then_some(piece)
    }
}

/// From `a` to `b`, `at` of the way of `length`.
fn blend(a: i16, b: i16, at: usize, length: usize) -> i16 {
    let (a, b, share) = (i32::from(a), i32::from(b), at as i32 + 1);
    (a + (b - a) * share / (length as i32 + 1)) as i16
}

#[cfg(test)]
mod tests {
    use std::f32::consts::TAU;

    use super::*;
    use crate::audio::speech::largest_step;

    fn filled(samples: &[i16]) -> Fifo {
        let mut fifo = Fifo::new(Rate::Narrow);
        fifo.append(0, |room| {
            room[..samples.len()].copy_from_slice(samples);
            samples.len()
        });
        fifo
    }

    fn tone(length: usize) -> Vec<i16> {
        (0..length).map(|n| (8000.0 * (TAU * n as f32 / 80.0).sin()) as i16).collect()
    }

    #[test]
    fn a_tone_loses_or_gains_whole_periods_and_stays_the_same_tone() {
        let mut out = [0; 400];
        let mut fifo = filled(&tone(400));
        assert_eq!(fifo.shorten(120, 160, 0.9), Some(80));
        assert_eq!(fifo.take(&mut out), 320);
        assert!(out[..320].iter().zip(tone(320)).all(|(a, b)| (a - b).abs() < 3));
        let mut fifo = filled(&tone(320));
        assert_eq!(fifo.lengthen(120, 0.9), Some(80));
        assert_eq!(fifo.take(&mut out), 400);
        assert!(out.iter().zip(tone(400)).all(|(a, b)| (a - b).abs() < 3));
    }

    #[test]
    fn what_is_not_alike_is_left_alone_and_where_it_must_be_joined_nothing_clicks() {
        // Half a period is all that may go: the two places are opposites.
        for longest in [40, 45, 50] {
            let mut fifo = filled(&tone(400));
            assert_eq!(fifo.shorten(longest, 160, 0.75), None);
            assert_eq!(fifo.lengthen(longest, 0.75), None);
            assert_eq!(fifo.len(), 400);
            let dropped = fifo.shorten(longest, 160, -1.0).expect("anything will do");
            let added = fifo.lengthen(longest, -1.0).expect("anything will do");
            assert!((MIN_PIECE..=longest).contains(&dropped) && (MIN_PIECE..=longest).contains(&added));
            let mut out = [0; 400 + MAX_PIECE];
            let left = fifo.take(&mut out);
            assert_eq!(left, 400 - dropped + added);
            assert!(largest_step(&out[..left]) < largest_step(&tone(400)) * 5 / 4);
        }
    }

    #[test]
    fn too_few_samples_are_not_touched() {
        let mut fifo = filled(&tone(190));
        assert_eq!(fifo.shorten(120, 160, -1.0), None, "30 could go, 32 is the least");
        assert_eq!(filled(&tone(90)).lengthen(120, -1.0), None);
        assert_eq!(Fifo::new(Rate::Narrow).lengthen(120, -1.0), None);
        assert_eq!(Fifo::new(Rate::Narrow).shorten(120, 0, -1.0), None);
        let mut full = filled(&tone(ROOM));
        assert_eq!(full.lengthen(120, -1.0), None);
        full.append(5, |room| room.len());
        assert_eq!(full.len(), ROOM);
    }
}
