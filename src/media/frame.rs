//! One tick of audio: 20 ms that know their rate.

use crate::codec::Rate;

/// Samples of the longest frame.
pub const MAX_FRAME: usize = Rate::Full.frame();

/// 20 ms of mono audio at any [`Rate`]; plain memory, nothing is allocated.
#[derive(Clone, Debug)]
pub struct Frame {
    rate: Rate,
    samples: [i16; MAX_FRAME],
}

impl Frame {
    /// Silence.
    pub const fn silent(rate: Rate) -> Frame {
        Frame { rate, samples: [0; MAX_FRAME] }
    }

    /// How many samples a second.
    pub fn rate(&self) -> Rate {
        self.rate
    }

    /// [`Rate::frame`] samples.
    pub fn samples(&self) -> &[i16] {
        &self.samples[..self.rate.frame()]
    }

    /// The same, to be written.
    pub fn samples_mut(&mut self) -> &mut [i16] {
        &mut self.samples[..self.rate.frame()]
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
    pub fn copy_from(&mut self, other: &Frame) {
        self.reset(other.rate).copy_from_slice(other.samples());
    }
}
