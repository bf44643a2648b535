//! The frames of one or two taps put side by side, by their numbers: what was lost on one side is silence there, what was
//! lost on both is a gap.

use std::sync::Arc;

use crate::media::{Tap, TapFrame};

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// 20 ms: 16-bit samples, little-endian, the sides interleaved.
    Audio(Vec<u8>),
    /// So many frames were left out, from this number on.
    Gap {
        /// The first of them.
        at: u64,
        /// How many.
        frames: u64,
    },
}

/// See the module.
pub(super) struct Weave<'a> {
    taps: &'a [Arc<Tap>],
    /// The next frame of each, where it is there.
    waiting: Vec<Option<TapFrame>>,
    /// The number of the frame that comes next.
    next: u64,
}

impl<'a> Weave<'a> {
    pub(super) fn new(taps: &'a [Arc<Tap>]) -> Weave<'a> {
        Weave { taps, waiting: vec![None; taps.len()], next: 0 }
    }

    /// Nothing comes any more but what waits.
    pub(super) fn is_over(&self) -> bool {
        self.taps.iter().all(|tap| tap.is_over())
    }

    /// What can be sent now.
    pub(super) fn next(&mut self) -> Option<Piece> {
        let mut whole = true;
        for (tap, waiting) in self.taps.iter().zip(&mut self.waiting) {
            // Looked at first: what comes before the end is there when the end is seen.
            let over = tap.is_over();
            if waiting.is_none() {
                *waiting = tap.take();
            }
            whole &= waiting.is_some() || over;
        }
        let number = self.waiting.iter().flatten().map(|frame| frame.number).min().filter(|_| whole)?;
        if number > self.next {
            let piece = Piece::Gap { at: self.next, frames: number - self.next };
            self.next = number;
            return Some(piece);
        }
        self.next = number + 1;
        Some(Piece::Audio(self.audio(number)))
    }

    /// The frames of this number, which are used up; silence for who has none.
    fn audio(&mut self, number: u64) -> Vec<u8> {
        let sides = self.waiting.len();
        let length = self.taps.first().map_or(0, |tap| tap.rate.frame());
        let mut bytes = vec![0; 2 * sides * length];
        for (side, waiting) in self.waiting.iter_mut().enumerate() {
            let Some(frame) = waiting.take_if(|frame| frame.number == number) else { continue };
            for (place, sample) in bytes.chunks_exact_mut(2).skip(side).step_by(sides).zip(frame.samples()) {
                place.copy_from_slice(&sample.to_le_bytes());
            }
        }
        bytes
    }
}
