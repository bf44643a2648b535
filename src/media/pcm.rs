//! Audio in memory on its way in and out: sounds to be played, blocks of recordings.

use crate::{codec::Rate, verbs::FileFormat};

/// Sound in memory, shared by all that play it: mono.
#[derive(Debug, PartialEq, Eq)]
pub struct Pcm {
    /// Of the samples.
    pub rate: Rate,
    /// The samples.
    pub samples: Box<[i16]>,
    /// Begin again at the end, for ever (tones with a cadence).
    pub looped: bool,
}

/// A piece of a recording on its way to the disk and back: filled by the engine, emptied by the disk. Its rate is that of
/// its recording ([`Command::Record`](super::Command::Record)).
#[derive(Debug, Default)]
pub struct Block {
    /// Interleaved samples; the capacity is given by the maker and never exceeded.
    pub samples: Vec<i16>,
}

/// How a recording is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// One channel: what the party says and hears, added.
    Mix,
    /// One channel: only what the party says.
    Party,
    /// Two channels: left what the party says, right what it hears.
    Stereo,
}

impl Layout {
    /// How many channels the file has.
    pub const fn channels(self) -> u16 {
        match self {
            Layout::Mix | Layout::Party => 1,
            Layout::Stereo => 2,
        }
    }
}

/// How a recording becomes files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// What is in the blocks.
    pub layout: Layout,
    /// What is in the file.
    pub format: FileFormat,
    /// The two channels of [`Layout::Stereo`] go to two files, named by [`crate::verbs::leg_files`].
    pub apart: bool,
    /// Samples a second.
    pub rate: u32,
}
