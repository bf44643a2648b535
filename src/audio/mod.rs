//! Audio as pure functions and small machines: codecs, rates, mixing, concealment, tones, WAV files.
//!
//! Everything works on 16-bit linear mono samples, at 8,000 Hz unless it names a [`crate::codec::Rate`].

pub mod agc;
pub mod coder;
pub mod conceal;
pub mod convert;
pub mod dtmf;
pub mod g711;
pub mod g722;
pub mod g729;
pub mod goertzel;
pub mod l16;
pub mod likeness;
pub mod m3u;
pub mod mix;
mod mp3;
mod ogg;
pub mod opus;
pub mod progress;
pub mod quiet;
mod resample;
pub mod sines;
#[cfg(test)]
pub(crate) mod speech;
pub mod thin;
pub mod tone;
pub mod vad;
pub mod wav;

pub use coder::{Decoder, Encoder, units_in};
pub use conceal::Conceal;
pub use convert::Convert;

use crate::codec::Rate;

/// Samples a second where no rate is named.
pub const RATE: u32 = 8000;

/// The sound of a WAV, MP3 or Ogg file as mono samples at the rate that fits it best, up to `most`; an error says what is
/// wrong with it. What kind it is stands at its beginning, whatever it is called.
pub fn decode_file(bytes: &[u8], most: Rate) -> Result<(Rate, Vec<i16>), String> {
    match bytes {
        [b'R', b'I', b'F', b'F', ..] => wav::decode(bytes, most).map_err(|error| error.to_string()),
        [b'O', b'g', b'g', b'S', ..] => ogg::decode(bytes, most),
        _ if bytes.len() > wav::LARGEST => Err(wav::WavError::TooLarge(bytes.len()).to_string()),
        _ if nanomp3::detect(bytes) => mp3::decode(bytes, most),
        _ => Err("this is no WAV, MP3 or Ogg file".to_owned()),
    }
}
