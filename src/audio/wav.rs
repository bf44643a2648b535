//! WAV files: read any usual kind as mono at one of our rates, write the head of a 16-bit one.
//!
//! Read are PCM of 8, 16, 24 and 32 bits, floats of 32 and 64 bits, A-law and µ-law, plain or in the extensible form,
//! 1 to 8 channels (mixed to one), 4 to 192 kHz. The bytes may come from anywhere; what is wrong is told in a sentence.

use std::ops::Range;

use crate::{
    audio::{g711, resample},
    codec::Rate,
};

/// The largest file that is read, in bytes.
pub const LARGEST: usize = 128 << 20;

/// Why a file cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WavError {
    /// It begins with something else.
    #[error("this is not a WAV file (no RIFF/WAVE at its start)")]
    NotWav,
    /// More than [`LARGEST`].
    #[error("the file has {0} bytes; at most {LARGEST} are read")]
    TooLarge(usize),
    /// Longer than is read.
    #[error("the sound lasts {seconds} seconds; at most {most} are read at this rate")]
    TooLong {
        /// How long it is.
        seconds: u64,
        /// How long it may be.
        most: u64,
    },
    /// A chunk says that it is longer than what there is.
    #[error("the file is cut short: {missing} bytes are missing at its end")]
    CutShort {
        /// How many more were announced.
        missing: usize,
    },
    /// No `fmt ` chunk before the data, or a broken one.
    #[error("the file does not say what format its samples have")]
    NoFormat,
    /// No `data` chunk.
    #[error("the file has no samples")]
    NoData,
    /// A format tag or a width that is not read.
    #[error("samples of format {tag:#06x} with {bits} bits are not read (PCM, float, A-law and µ-law are)")]
    Format {
        /// The format tag, such as 1 for PCM.
        tag: u16,
        /// Bits a sample.
        bits: u16,
    },
    /// None or more than 8.
    #[error("{0} channels are not read (1 to 8 are)")]
    Channels(u16),
    /// Too low or too high.
    #[error("{0} samples a second are not read (4,000 to 192,000 are)")]
    Rate(u32),
}

/// Read a WAV file: mono samples at the rate that fits it best, up to `most`.
pub fn decode(bytes: &[u8], most: Rate) -> Result<(Rate, Vec<i16>), WavError> {
    if bytes.len() > LARGEST {
        return Err(WavError::TooLarge(bytes.len()));
    }
    let (format, data) = chunks(bytes)?;
    let frames = data.len() / format.frame_bytes();
    let seconds = frames as u64 / u64::from(format.rate);
    let rate = resample::fitting(format.rate, most);
    if seconds > resample::longest(rate) {
        return Err(WavError::TooLong { seconds, most: resample::longest(rate) });
    }
    let mono = data.chunks_exact(format.frame_bytes()).map(|frame| format.mono(frame));
    // It may be longer by less than a second.
    let whole = mono.take((resample::longest(rate) * u64::from(format.rate)) as usize);
    Ok((rate, resample::bring(format.rate, rate, whole).expect("it was cut to what is taken")))
}

/// The head of a file of 16-bit PCM. `samples` counts those of one channel; it may be 0 while they are not known yet,
/// and the head be written again later. Sizes that the format cannot express are put at its largest.
pub fn header(channels: u16, rate: u32, samples: u64) -> [u8; 44] {
    let frame = channels.saturating_mul(2);
    let data = u32::try_from(samples.saturating_mul(frame.into())).unwrap_or(u32::MAX);
    let mut head = [0; 44];
    let mut at = 0;
    let mut put = |bytes: &[u8]| {
        head[at..at + bytes.len()].copy_from_slice(bytes);
        at += bytes.len();
    };
    put(b"RIFF");
    put(&data.saturating_add(36).to_le_bytes());
    put(b"WAVEfmt ");
    put(&16_u32.to_le_bytes());
    put(&PCM.to_le_bytes());
    put(&channels.to_le_bytes());
    put(&rate.to_le_bytes());
    put(&rate.saturating_mul(frame.into()).to_le_bytes());
    put(&frame.to_le_bytes());
    put(&16_u16.to_le_bytes());
    put(b"data");
    put(&data.to_le_bytes());
    head
}

const PCM: u16 = 1;
const FLOAT: u16 = 3;
const ALAW: u16 = 6;
const ULAW: u16 = 7;
/// The real tag follows in the first two bytes of the sub-format.
const EXTENSIBLE: u16 = 0xFFFE;
/// Writers to a pipe do not know the length, and put something from here up, or 0.
const UNKNOWN_LENGTH: u32 = 0x7FFF_0000;

/// What the samples are.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Unsigned8,
    Signed16,
    Signed24,
    Signed32,
    Float32,
    Float64,
    Alaw,
    Ulaw,
}

#[derive(Clone, Copy, Debug)]
struct Format {
    kind: Kind,
    channels: u16,
    rate: u32,
}

/// The format and the data chunk's bytes.
fn chunks(bytes: &[u8]) -> Result<(Format, &[u8]), WavError> {
    if bytes.get(..4) != Some(b"RIFF") || bytes.get(8..12) != Some(b"WAVE") {
        return Err(WavError::NotWav);
    }
    let mut format = None;
    let mut at = 12;
    while let (Some(id), Some(length)) = (bytes.get(at..at + 4), u32_at(bytes, at + 4)) {
        let body = at + 8;
        let end = body.saturating_add(length as usize);
        if id == b"data" {
            let format = format.ok_or(WavError::NoFormat)?;
            return Ok((format, &bytes[data_range(bytes.len(), body, length)?]));
        }
        let Some(chunk) = bytes.get(body..end) else {
            return Err(WavError::CutShort { missing: end - bytes.len() });
        };
        if id == b"fmt " {
            format = Some(Format::read(chunk)?);
        }
        // Chunks begin at even places.
        at = end + (end & 1);
    }
    Err(if format.is_some() { WavError::NoData } else { WavError::NoFormat })
}

fn data_range(total: usize, body: usize, length: u32) -> Result<Range<usize>, WavError> {
    let end = body.saturating_add(length as usize);
    match length {
        0 | UNKNOWN_LENGTH.. => Ok(body..total),
        _ if end > total => Err(WavError::CutShort { missing: end - total }),
        _ => Ok(body..end),
    }
}

impl Format {
    fn read(chunk: &[u8]) -> Result<Format, WavError> {
        let field = |at| u16_at(chunk, at).ok_or(WavError::NoFormat);
        let (mut tag, channels, bits) = (field(0)?, field(2)?, field(14)?);
        let rate = u32_at(chunk, 4).ok_or(WavError::NoFormat)?;
        if tag == EXTENSIBLE {
            tag = field(24)?;
        }
        let kind = match (tag, bits) {
            (PCM, 8) => Kind::Unsigned8,
            (PCM, 16) => Kind::Signed16,
            (PCM, 24) => Kind::Signed24,
            (PCM, 32) => Kind::Signed32,
            (FLOAT, 32) => Kind::Float32,
            (FLOAT, 64) => Kind::Float64,
            (ALAW, 8) => Kind::Alaw,
            (ULAW, 8) => Kind::Ulaw,
            _ => return Err(WavError::Format { tag, bits }),
        };
        if !(1..=8).contains(&channels) {
            return Err(WavError::Channels(channels));
        }
        if !(4000..=192_000).contains(&rate) {
            return Err(WavError::Rate(rate));
        }
        Ok(Format { kind, channels, rate })
    }

    fn sample_bytes(self) -> usize {
        match self.kind {
            Kind::Unsigned8 | Kind::Alaw | Kind::Ulaw => 1,
            Kind::Signed16 => 2,
            Kind::Signed24 => 3,
            Kind::Signed32 | Kind::Float32 => 4,
            Kind::Float64 => 8,
        }
    }

    fn frame_bytes(self) -> usize {
        self.sample_bytes() * usize::from(self.channels)
    }

    /// The mean of one sample of each channel. Full scale is 1.0.
    fn mono(self, frame: &[u8]) -> f32 {
        let sum: f32 = frame.chunks_exact(self.sample_bytes()).map(|sample| self.level(sample)).sum();
        sum / f32::from(self.channels)
    }

    fn level(self, sample: &[u8]) -> f32 {
        match (self.kind, sample) {
            (Kind::Unsigned8, &[a]) => (f32::from(a) - 128.0) / 128.0,
            (Kind::Signed16, &[a, b]) => from_i16(i16::from_le_bytes([a, b])),
            (Kind::Signed24, &[a, b, c]) => from_i32(i32::from_le_bytes([0, a, b, c])),
            (Kind::Signed32, &[a, b, c, d]) => from_i32(i32::from_le_bytes([a, b, c, d])),
            (Kind::Float32, &[a, b, c, d]) => audible(f32::from_le_bytes([a, b, c, d])),
            (Kind::Float64, &[a, b, c, d, e, f, g, h]) => audible(f64::from_le_bytes([a, b, c, d, e, f, g, h]) as f32),
            (Kind::Alaw, &[_]) => from_law(g711::decode_alaw, sample),
            (Kind::Ulaw, &[_]) => from_law(g711::decode_ulaw, sample),
            (_, _) => unreachable!("samples are cut by their kind's own width"),
        }
    }
}

fn from_i16(sample: i16) -> f32 {
    f32::from(sample) / 32_768.0
}

fn from_i32(sample: i32) -> f32 {
    (f64::from(sample) / 2_147_483_648.0) as f32
}

/// A float within full scale. What is no number would spoil all that is filtered with it.
fn audible(sample: f32) -> f32 {
    if sample.is_nan() { 0.0 } else { sample.clamp(-1.0, 1.0) }
}

fn from_law(decode: fn(&[u8], &mut [i16]) -> usize, code: &[u8]) -> f32 {
    let mut sample = [0];
    decode(code, &mut sample);
    from_i16(sample[0])
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2).map(|b| u16::from_le_bytes([b[0], b[1]]))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]))
}

#[cfg(test)]
#[path = "wav_tests.rs"]
mod tests;
