//! One tick of audio: 20 ms that know their rate.

use crate::codec::Rate;

/// Samples of the longest frame.
pub const MAX_FRAME: usize = Rate::Full.frame();

/// 20 ms of mono audio at any [`Rate`] that there is memory for; nothing is allocated but what `Frame::lasting` takes.
#[derive(Clone, Debug)]
pub struct Frame<M = [i16; MAX_FRAME]> {
    rate: Rate,
    samples: M,
}

/// A frame that is kept: it has memory for the rates that it may come to, and no more.
pub(super) type Lasting = Frame<Box<[i16]>>;

/// A frame to be read.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    rate: Rate,
    samples: &'a [i16],
}

impl Frame {
    /// Silence, for any rate.
    pub const fn silent(rate: Rate) -> Frame {
        Frame { rate, samples: [0; MAX_FRAME] }
    }
}

impl Lasting {
    /// Silence, for rates up to `highest`.
    pub(super) fn lasting(highest: Rate) -> Lasting {
        Frame { rate: Rate::Narrow, samples: vec![0; highest.frame()].into_boxed_slice() }
    }

    /// There is as much memory in both.
    pub(super) fn is_like(&self, other: &Lasting) -> bool {
        self.samples.len() == other.samples.len()
    }
}

impl<M: AsRef<[i16]> + AsMut<[i16]>> Frame<M> {
    /// How many samples a second.
    pub fn rate(&self) -> Rate {
        self.rate
    }

    /// [`Rate::frame`] samples.
    pub fn samples(&self) -> &[i16] {
        &self.samples.as_ref()[..self.rate.frame()]
    }

    /// The same, to be written.
    pub fn samples_mut(&mut self) -> &mut [i16] {
        &mut self.samples.as_mut()[..self.rate.frame()]
    }

    /// To be read.
    pub fn view(&self) -> View<'_> {
        View { rate: self.rate, samples: self.samples() }
    }

    /// At `rate` from now on; all of it is to be written anew.
    pub fn reset(&mut self, rate: Rate) -> &mut [i16] {
        self.rate = rate;
        self.samples_mut()
    }

    /// Silence, at the same rate.
    pub fn silence(&mut self) {
        self.samples_mut().fill(0);
    }

    /// The same audio as `other`.
    pub fn copy_from(&mut self, other: View<'_>) {
        self.reset(other.rate).copy_from_slice(other.samples);
    }
}

impl<'a> View<'a> {
    /// How many samples a second.
    pub fn rate(self) -> Rate {
        self.rate
    }

    /// [`Rate::frame`] samples.
    pub fn samples(self) -> &'a [i16] {
        self.samples
    }
}
