//! Loads the system's libbcg729, where there is one: see [`crate::audio::g729`].
#![expect(unsafe_code, reason = "the functions of a C library are called by their addresses")]

use libloading::Library;

use crate::audio::g729::{Functions, is_there, provide};

/// Where Debian, Ubuntu and Fedora have it; without the number where only its development files do.
const NAMES: [&str; 2] = ["libbcg729.so.0", "libbcg729.so"];

/// Find it on this machine. `Err`: why there is none.
pub fn load() -> Result<(), String> {
    if is_there() {
        return Ok(());
    }
    let missing = |error: libloading::Error| {
        format!("G.729 needs libbcg729 ({error}); install it (apt install libbcg729-0), or it is only passed on")
    };
    // SAFETY: what runs at the loading of this well-known library makes tables of its own and touches nothing else.
    let opened = NAMES.iter().map(|name| unsafe { Library::new(*name) });
    let library = opened.reduce(Result::or).expect("there are names").map_err(missing)?;
    // SAFETY: it is only looked for: versions before 1.0.2, whose functions take other arguments, do not have it.
    unsafe { library.get::<unsafe extern "C" fn()>(b"bcg729GetRFC3389Payload").map(drop).map_err(missing)? };
    // SAFETY: the signatures are those of its headers since version 1.0.2.
    let functions = unsafe {
        Functions {
            new_decoder: *library.get(b"initBcg729DecoderChannel").map_err(missing)?,
            close_decoder: *library.get(b"closeBcg729DecoderChannel").map_err(missing)?,
            decode: *library.get(b"bcg729Decoder").map_err(missing)?,
            new_encoder: *library.get(b"initBcg729EncoderChannel").map_err(missing)?,
            close_encoder: *library.get(b"closeBcg729EncoderChannel").map_err(missing)?,
            encode: *library.get(b"bcg729Encoder").map_err(missing)?,
        }
    };
    // Never unloaded: calls may use it to the last moment.
    std::mem::forget(library);
    // SAFETY: the signatures are right, and the library stays.
    unsafe { provide(functions) };
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::f64::consts::TAU;

    use super::*;
    use crate::{
        audio::{Decoder, Encoder, g729, goertzel, units_in},
        codec::{Codec, OpusWish, Rate},
    };

    fn sine(count: usize) -> Vec<i16> {
        (0..count).map(|n| (8000.0 * (TAU * 400.0 * n as f64 / 8000.0).sin()) as i16).collect()
    }

    /// What is left of a tone after both ways; `None`: this machine has no libbcg729.
    fn there_and_back(samples: &[i16]) -> Option<(Vec<u8>, Vec<i16>)> {
        load().ok()?;
        let mut bits = vec![0; samples.len()];
        let mut encoder = Encoder::new(&[Codec::G729], OpusWish::default());
        let length = encoder.encode(Codec::G729, Rate::Narrow, samples, &mut bits);
        bits.truncate(length);
        let mut heard = vec![0; samples.len()];
        let count = Decoder::new(&[Codec::G729]).decode(Codec::G729, Rate::Narrow, &bits, &mut heard);
        heard.truncate(count);
        Some((bits, heard))
    }

    #[test]
    fn a_tone_comes_through_at_an_eighth_of_the_bits() {
        let said = sine(8000);
        let Some((bits, heard)) = there_and_back(&said) else { return };
        assert_eq!((bits.len(), heard.len()), (1000, 8000));
        assert_eq!(units_in(Codec::G729, &bits[..20]), 160);
        let share = goertzel::power(&heard[4000..], 400.0, 8000) / (8000.0_f64.powi(2) / 2.0);
        assert!((0.5..1.5).contains(&share), "{share} of the tone");
    }

    #[test]
    fn odd_lengths_and_silence_frames_harm_nobody() {
        if load().is_err() {
            return;
        }
        let mut decoder = g729::Decoder::new().expect("it is there");
        let mut out = [0; 160];
        for (length, samples) in [(0, 0), (1, 0), (2, 80), (9, 0), (10, 80), (12, 160), (13, 80), (20, 160), (250, 160)]
        {
            assert_eq!(decoder.decode(&vec![0x55; length], &mut out), samples, "{length} bytes");
        }
        assert_eq!((g729::units(&[0; 12]), g729::units(&[0; 13])), (160, 80));
        let mut encoder = g729::Encoder::new().expect("it is there");
        assert_eq!(encoder.encode(&[0; 159], &mut [0; 100]), 10);
        assert_eq!(encoder.encode(&[0; 160], &mut [0; 15]), 10);
    }
}
