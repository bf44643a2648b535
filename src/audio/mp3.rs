//! MP3 files: any bit rate and any rate of MPEG 1, 2 and 2.5, tags left out, the encoder's delay cut off.

use nanomp3::SliceReader;

use super::resample;
use crate::codec::Rate;

/// The sound of an MP3 file as mono samples at the rate that fits it best, up to `most`; an error says what is wrong with
/// it.
pub fn decode(bytes: &[u8], most: Rate) -> Result<(Rate, Vec<i16>), String> {
    let mut reader = SliceReader::<f32>::new(bytes);
    let (Some(channels), rate) = (reader.channels(), reader.sample_rate()) else {
        return Err("there is no sound in this MP3 file".to_owned());
    };
    let channels = channels as usize;
    let (mut frame, mut at) = (Vec::new(), 0);
    let mono = std::iter::from_fn(move || {
        if at == frame.len() {
            frame.clear();
            // A stream whose format changes ends there.
            frame.extend_from_slice(reader.read_frame().ok().flatten()?);
            at = 0;
        }
        let sample = frame.get(at..at + channels)?;
        at += channels;
        Some(sample.iter().sum::<f32>() / channels as f32)
    });
    let to = resample::fitting(rate, most);
    Ok((to, resample::bring(rate, to, mono)?))
}
