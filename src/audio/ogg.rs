//! Ogg files with Opus (RFC 7845) or Vorbis in them.

use std::io::Cursor;

use audiopus::{Channels, SampleRate, coder::Decoder};
use lewton::inside_ogg::OggStreamReader;
use ogg::PacketReader;

use super::resample;
use crate::codec::Rate;

/// Time in Ogg Opus is counted at this rate (RFC 7845 section 4).
const GRANULES: u64 = 48_000;
/// Samples of one channel in the longest packet, 120 ms (RFC 6716 section 3.2.5), at 8,000 Hz.
const LONGEST_PACKET: usize = 8000 * 120 / 1000;

/// The sound of an Ogg file as mono samples at the rate that fits it best, up to `most`; an error says what is wrong with
/// it.
pub fn decode(bytes: &[u8], most: Rate) -> Result<(Rate, Vec<i16>), String> {
    let mut packets = PacketReader::new(Cursor::new(bytes));
    let first = packets.read_packet().map_err(|error| error.to_string())?.ok_or("the Ogg file is empty")?;
    if first.data.starts_with(b"OpusHead") { opus(&first.data, packets, most) } else { vorbis(bytes, most) }
}

/// The decoder gives the rate that we want at once, whatever was encoded.
fn opus(head: &[u8], mut packets: PacketReader<Cursor<&[u8]>>, most: Rate) -> Result<(Rate, Vec<i16>), String> {
    let &[_, channels, skip_low, skip_high, a, b, c, d, ..] = head.get(8..).unwrap_or_default() else {
        return Err("the head of the Opus stream is cut short".to_owned());
    };
    // Channels are told apart by a mapping of their own where there are more than two (section 5.1.1).
    let both = match channels {
        1 => Channels::Mono,
        2 => Channels::Stereo,
        _ => return Err(format!("Opus with {channels} channels is not read (1 and 2 are)")),
    };
    let channels = usize::from(channels);
    // What went in had this rate; 0: nobody knows (section 5.1).
    let rate = match u32::from_le_bytes([a, b, c, d]) {
        0 => most,
        known => resample::fitting(known, most),
    };
    let at = match rate {
        Rate::Narrow => SampleRate::Hz8000,
        Rate::Wide => SampleRate::Hz16000,
        Rate::Full => SampleRate::Hz48000,
    };
    let mut decoder = Decoder::new(at, both).map_err(|error| error.to_string())?;
    let hertz = u64::from(rate.hz());
    let mut skip = (u64::from(u16::from_le_bytes([skip_low, skip_high])) * hertz / GRANULES) as usize;
    let (skipped, mut made, mut end) = (skip, Vec::new(), None);
    let mut heard = vec![0; LONGEST_PACKET * rate.scale() * channels];
    let mut tags = true;
    while let Some(packet) = packets.read_packet().map_err(|error| error.to_string())? {
        if std::mem::take(&mut tags) {
            continue;
        }
        if packet.last_in_stream() {
            end = Some(packet.absgp_page());
        }
        let data = packet.data.as_slice().try_into().map_err(|error: audiopus::Error| error.to_string())?;
        let room = heard.as_mut_slice().try_into().map_err(|error: audiopus::Error| error.to_string())?;
        let count = decoder.decode(Some(data), room, false).map_err(|error| error.to_string())?;
        let frames = heard.chunks_exact(channels).take(count);
        let mono = frames.map(|frame| (frame.iter().map(|s| i32::from(*s)).sum::<i32>() / channels as i32) as i16);
        made.extend(mono.skip(skip));
        skip -= skip.min(count);
        let longest = resample::longest(rate);
        if made.len() as u64 > longest * hertz {
            return Err(format!("the sound lasts more than {longest} seconds, which is too much at {hertz} Hz"));
        }
    }
    if let Some(end) = end {
        made.truncate((end.saturating_mul(hertz) / GRANULES).saturating_sub(skipped as u64) as usize);
    }
    Ok((rate, made))
}

fn vorbis(bytes: &[u8], most: Rate) -> Result<(Rate, Vec<i16>), String> {
    let strange = |error: lewton::VorbisError| format!("neither Opus nor Vorbis: {error}");
    let mut stream = OggStreamReader::new(Cursor::new(bytes)).map_err(strange)?;
    let (channels, rate) = (usize::from(stream.ident_hdr.audio_channels), stream.ident_hdr.audio_sample_rate);
    if channels == 0 || !(4000..=192_000).contains(&rate) {
        return Err(format!("Vorbis with {channels} channels and {rate} samples a second is not read"));
    }
    let (mut some, mut at) = (Vec::new(), 0);
    let mono = std::iter::from_fn(move || {
        while at >= some.len() {
            // What is broken ends the sound.
            some = stream.read_dec_packet_itl().ok().flatten()?;
            at = 0;
        }
        let frame = some.get(at..at + channels)?;
        at += channels;
        Some(frame.iter().map(|sample| f32::from(*sample)).sum::<f32>() / (32_768.0 * channels as f32))
    });
    let to = resample::fitting(rate, most);
    Ok((to, resample::bring(rate, to, mono)?))
}
