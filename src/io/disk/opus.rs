//! Opus in Ogg (RFC 7845). A page ends at least each half second, so a file that was cut off plays up to there.

use std::io;

use audiopus::{Application, Bitrate, Channels, SampleRate, coder::Encoder};
use ogg::writing::{PacketWriteEndInfo, PacketWriter};

/// Time in Ogg Opus is counted at this rate, whatever the encoder's own.
const GRANULES: u64 = 48_000;
/// Packets of 20 ms in a page.
const PAGE: u64 = 25;
/// Longest packet that the encoder makes, in bytes (RFC 6716 section 3.4: 1,275 a frame).
const LONGEST: usize = 1275;

/// One file's encoder.
pub(super) struct OggOpus {
    encoder: Encoder,
    pages: PacketWriter<Vec<u8>>,
    serial: u32,
    channels: usize,
    /// Samples a second, and of one channel in 20 ms.
    rate: u32,
    frame: usize,
    /// What a decoder leaves out at the beginning, in granules.
    skip: u64,
    /// Interleaved samples that fill no frame yet.
    rest: Vec<i16>,
    /// Samples of one channel that were given.
    given: u64,
    /// The packet that is not written yet: only at the end it is known to be the last.
    held: Option<Box<[u8]>>,
    /// Packets that were made.
    made: u64,
}

impl OggOpus {
    /// `serial` tells this stream from others that it may be put together with.
    pub(super) fn new(channels: u16, rate: u32, serial: u32) -> io::Result<OggOpus> {
        let rate_of = |rate: u32| i32::try_from(rate).ok().and_then(|rate| SampleRate::try_from(rate).ok());
        let known = rate_of(rate).ok_or_else(|| io::Error::other(format!("Opus has no rate of {rate} Hz")))?;
        let both = if channels == 1 { Channels::Mono } else { Channels::Stereo };
        let mut encoder = Encoder::new(known, both, Application::Audio).map_err(io::Error::other)?;
        let bits = i32::from(channels) * if rate > 16_000 { 48_000 } else { 24_000 };
        encoder.set_bitrate(Bitrate::BitsPerSecond(bits)).map_err(io::Error::other)?;
        // Of 0 to 10: what costs half of the highest, and is not told from it at 24 kbit/s of speech.
        encoder.set_complexity(3).map_err(io::Error::other)?;
        let skip = u64::from(encoder.lookahead().map_err(io::Error::other)?) * GRANULES / u64::from(rate);
        let mut pages = PacketWriter::new(Vec::new());
        let head = head(channels as u8, skip as u16, rate);
        pages.write_packet(head.into(), serial, PacketWriteEndInfo::EndPage, 0)?;
        pages.write_packet(tags().into(), serial, PacketWriteEndInfo::EndPage, 0)?;
        let (channels, frame) = (usize::from(channels), (rate / 50) as usize);
        let (rest, held) = (Vec::new(), None);
        Ok(OggOpus { encoder, pages, serial, channels, rate, frame, skip, rest, given: 0, held, made: 0 })
    }

    /// Encode interleaved samples; pages that are complete are added to `out`.
    pub(super) fn add(&mut self, samples: &[i16], out: &mut Vec<u8>) -> io::Result<()> {
        self.given += (samples.len() / self.channels) as u64;
        self.rest.extend_from_slice(samples);
        self.encode()?;
        out.append(self.pages.inner_mut());
        Ok(())
    }

    /// The last pages. The last one says where the sound really ends (RFC 7845 section 4.5).
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        let end = self.skip + self.given * GRANULES / u64::from(self.rate);
        while self.made * (GRANULES / 50) < end.max(1) {
            self.rest.resize(self.frame * self.channels, 0);
            self.encode()?;
        }
        if let Some(last) = self.held.take() {
            self.pages.write_packet(last, self.serial, PacketWriteEndInfo::EndStream, end)?;
        }
        out.append(self.pages.inner_mut());
        Ok(())
    }

    fn encode(&mut self) -> io::Result<()> {
        let size = self.frame * self.channels;
        let mut packet = [0; LONGEST];
        let mut at = 0;
        while let Some(frame) = self.rest.get(at..at + size) {
            let length = self.encoder.encode(frame, &mut packet).map_err(io::Error::other)?;
            at += size;
            if let Some(before) = self.held.replace(packet[..length].into()) {
                let end = match self.made % PAGE {
                    0 => PacketWriteEndInfo::EndPage,
                    _ => PacketWriteEndInfo::NormalPacket,
                };
                self.pages.write_packet(before, self.serial, end, self.made * (GRANULES / 50))?;
            }
            self.made += 1;
        }
        self.rest.drain(..at);
        Ok(())
    }
}

/// RFC 7845 section 5.1.
fn head(channels: u8, skip: u16, rate: u32) -> Vec<u8> {
    let mut head = b"OpusHead\x01".to_vec();
    head.push(channels);
    head.extend(skip.to_le_bytes());
    head.extend(rate.to_le_bytes());
    // No gain; one stream of one or two channels.
    head.extend([0, 0, 0]);
    head
}

/// RFC 7845 section 5.2: who made it, and no comments.
fn tags() -> Vec<u8> {
    const VENDOR: &str = "switchhook";
    let mut tags = b"OpusTags".to_vec();
    tags.extend((VENDOR.len() as u32).to_le_bytes());
    tags.extend(VENDOR.as_bytes());
    tags.extend(0_u32.to_le_bytes());
    tags
}
