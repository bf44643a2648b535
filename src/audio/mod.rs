//! Audio as pure functions and small machines: codecs, rates, mixing, concealment, tones, WAV files.
//!
//! Everything works on 16-bit linear mono samples, at 8,000 Hz unless it names a [`crate::codec::Rate`].

pub mod coder;
pub mod conceal;
pub mod convert;
pub mod g711;
pub mod g722;
pub mod goertzel;
pub mod l16;
pub mod likeness;
pub mod mix;
pub mod opus;
mod resample;
#[cfg(test)]
pub(crate) mod speech;
pub mod tone;
pub mod wav;

pub use coder::{Decoder, Encoder, units_in};
pub use conceal::Conceal;
pub use convert::Convert;

/// Samples a second where no rate is named.
pub const RATE: u32 = 8000;
