//! Audio as pure functions and small machines: G.711, mixing, concealment, tones, WAV files.
//!
//! Everything works on 16-bit linear mono samples at 8,000 Hz unless it says otherwise.

pub mod agc;
pub mod conceal;
pub mod dtmf;
pub mod g711;
pub mod goertzel;
pub mod likeness;
pub mod mix;
pub mod progress;
mod resample;
pub mod sines;
#[cfg(test)]
pub(crate) mod speech;
pub mod thin;
pub mod tone;
pub mod vad;
pub mod wav;

pub use conceal::Conceal;

use crate::codec::Codec;

/// Samples a second that everything in here works with.
pub const RATE: u32 = 8000;

/// Decode a payload into `out`. Returns how many samples were written: what the payload holds, or as many as fit.
pub fn decode(codec: Codec, payload: &[u8], out: &mut [i16]) -> usize {
    match codec {
        Codec::Pcmu => g711::decode_ulaw(payload, out),
        Codec::Pcma => g711::decode_alaw(payload, out),
    }
}

/// Encode samples into `out`. Returns how many bytes were written: what the samples need, or as many as fit.
pub fn encode(codec: Codec, samples: &[i16], out: &mut [u8]) -> usize {
    match codec {
        Codec::Pcmu => g711::encode_ulaw(samples, out),
        Codec::Pcma => g711::encode_alaw(samples, out),
    }
}

/// How many samples a payload of `bytes` bytes holds.
pub const fn samples_in(codec: Codec, bytes: usize) -> usize {
    match codec {
        Codec::Pcmu | Codec::Pcma => bytes,
    }
}
