//! SRTP and SRTCP (RFC 3711; AES-256: RFC 6188; AES-GCM: RFC 7714), packet by packet and in place: nothing is allocated.
//!
//! ```text
//! RTP   header | encrypted payload | tag
//! RTCP  header, SSRC | encrypted rest | E, index | tag         with GCM the tag comes before the index
//! ```
//!
//! The ciphers are those of the crates `aes`, `hmac`, `sha1` and `ring`; what is here is how a packet's place in its
//! stream (rollover counter and sequence number) makes its key stream, and who is believed. A rollover counter belongs
//! to an SSRC and starts at 0 with it; a new key goes on counting (RFC 3711 section 3.3.1).

mod cipher;
mod window;

#[cfg(test)]
mod tests;

use cipher::{Cipher, Labels};
use window::{Index, Window};

use crate::secure::Key;

/// Most bytes that [`Seal`] adds to a packet: tag and index of RTCP with GCM.
pub const MOST_ADDED: usize = 20;
/// Sources that are followed at a time; the one that was silent for longest makes room for a new one.
const SOURCES: usize = 4;
/// This bit of an SRTCP index says that the packet is encrypted.
const ENCRYPTED: u32 = 1 << 31;
/// Bytes of an RTCP packet that stay readable: header and SSRC.
const RTCP_HEADER: usize = 8;

/// The sending side: one source.
pub struct Seal {
    key: Key,
    rtp: Cipher,
    rtcp: Cipher,
    ssrc: Option<u32>,
    index: Index,
    rtcp_index: u32,
}

/// The receiving side: few sources.
pub struct Open {
    key: Key,
    rtp: Cipher,
    rtcp: Cipher,
    sources: [Option<Source>; SOURCES],
    /// Counts packets, to know who was silent for longest.
    clock: u64,
}

#[derive(Clone, Copy)]
struct Source {
    ssrc: u32,
    index: Index,
    seen: Window,
    rtcp_seen: Window,
    heard: u64,
    /// The key is newer than the counter, and no packet has proved yet that the peer went on counting.
    unsure: bool,
}

impl Source {
    fn new(ssrc: u32) -> Source {
        let (index, seen) = (Index::default(), Window::default());
        Source { ssrc, index, seen, rtcp_seen: seen, heard: 0, unsure: false }
    }
}

impl Seal {
    /// With our master key.
    pub fn new(key: &Key) -> Seal {
        let (rtp, rtcp) = (Cipher::new(key, Labels::RTP), Cipher::new(key, Labels::RTCP));
        Seal { key: *key, rtp, rtcp, ssrc: None, index: Index::default(), rtcp_index: 0 }
    }

    /// The key that it was made with.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// Encrypt the RTP packet in the first `len` bytes. Returns how long it is now; `None`: it is no RTP, or there is no
    /// room.
    pub fn rtp(&mut self, buffer: &mut [u8], len: usize) -> Option<usize> {
        let Fixed { header, sequence, ssrc } = Fixed::read(buffer.get(..len)?)?;
        if self.ssrc != Some(ssrc) {
            (self.ssrc, self.index) = (Some(ssrc), Index::default());
        }
        let index = self.index.guess(sequence);
        let len = self.rtp.seal_rtp((ssrc, index), buffer, header, len)?;
        self.index.take(index);
        Some(len)
    }

    /// The same for RTCP.
    pub fn rtcp(&mut self, buffer: &mut [u8], len: usize) -> Option<usize> {
        let ssrc = rtcp_source(buffer.get(..len)?)?;
        let index = (self.rtcp_index + 1) & !ENCRYPTED;
        let len = self.rtcp.seal_rtcp((ssrc, index | ENCRYPTED), buffer, len)?;
        self.rtcp_index = index;
        Some(len)
    }
}

impl Open {
    /// With the peer's master key.
    pub fn new(key: &Key) -> Open {
        let (rtp, rtcp) = (Cipher::new(key, Labels::RTP), Cipher::new(key, Labels::RTCP));
        Open { key: *key, rtp, rtcp, sources: [None; SOURCES], clock: 0 }
    }

    /// The key that it was made with.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// Go on counting where `old` was, under this newer key. A peer that began anew at 0 is understood, too.
    pub fn follow(&mut self, old: &Open) {
        self.clock = old.clock;
        self.sources = old.sources.map(|source| {
            let source = source?;
            Some(Source { index: source.index, heard: source.heard, unsure: true, ..Source::new(source.ssrc) })
        });
    }

    /// Decrypt an RTP packet in place. Returns its length; `None`: it is not the peer's, or it came before.
    pub fn rtp(&mut self, packet: &mut [u8]) -> Option<usize> {
        let Fixed { header, sequence, ssrc } = Fixed::read(packet)?;
        let mut source = self.source(ssrc);
        let mut index = source.index.guess(sequence);
        if !source.seen.is_new(index) {
            return None;
        }
        let len = if source.unsure {
            // Opening may spoil the bytes: the second attempt needs them as they came.
            let mut copy = [0; crate::rtp::LONGEST];
            let copy = copy.get_mut(..packet.len())?;
            copy.copy_from_slice(packet);
            match self.rtp.open_rtp((ssrc, index), packet, header) {
                Some(len) => len,
                None => {
                    index = u64::from(sequence);
                    packet.copy_from_slice(copy);
                    let len = self.rtp.open_rtp((ssrc, index), packet, header)?;
                    source.index = Index::default();
                    len
                }
            }
        } else {
            self.rtp.open_rtp((ssrc, index), packet, header)?
        };
        source.unsure = false;
        source.index.take(index);
        source.seen.take(index);
        self.keep(source);
        Some(len)
    }

    /// The same for RTCP.
    pub fn rtcp(&mut self, packet: &mut [u8]) -> Option<usize> {
        let ssrc = rtcp_source(packet)?;
        let mut source = self.source(ssrc);
        let fresh = |index: u32| source.rtcp_seen.is_new(u64::from(index));
        let (len, index) = self.rtcp.open_rtcp(ssrc, packet, fresh)?;
        source.rtcp_seen.take(u64::from(index));
        self.keep(source);
        Some(len)
    }

    fn source(&self, ssrc: u32) -> Source {
        self.sources.iter().flatten().find(|source| source.ssrc == ssrc).copied().unwrap_or_else(|| Source::new(ssrc))
    }

    /// Only for a source that proved itself.
    fn keep(&mut self, source: Source) {
        self.clock += 1;
        let source = Source { heard: self.clock, ..source };
        let same = |place: &Option<Source>| place.is_some_and(|had| had.ssrc == source.ssrc);
        let heard = |at: &usize| self.sources[*at].map_or(0, |had| had.heard);
        let longest = (0..SOURCES).min_by_key(heard).expect("there are places");
        let place = self.sources.iter().position(same).unwrap_or(longest);
        self.sources[place] = Some(source);
    }
}

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Seal({:?})", self.key)
    }
}

impl std::fmt::Debug for Open {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Open({:?})", self.key)
    }
}

/// What of an RTP packet is needed here; the payload may not be looked at before it is proved.
struct Fixed {
    /// Bytes up to the payload.
    header: usize,
    sequence: u16,
    ssrc: u32,
}

impl Fixed {
    /// `None`: no RTP.
    fn read(packet: &[u8]) -> Option<Fixed> {
        let fixed = packet.first_chunk::<12>()?;
        if fixed[0] >> 6 != 2 {
            return None;
        }
        let mut header = 12 + 4 * usize::from(fixed[0] & 0xf);
        if fixed[0] & 0x10 != 0 {
            let words = packet.get(header + 2..header + 4)?;
            header += 4 + 4 * usize::from(u16::from_be_bytes([words[0], words[1]]));
        }
        let ssrc = u32::from_be_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]);
        let sequence = u16::from_be_bytes([fixed[2], fixed[3]]);
        (header <= packet.len()).then_some(Fixed { header, sequence, ssrc })
    }
}

/// `None`: no RTCP.
fn rtcp_source(packet: &[u8]) -> Option<u32> {
    let fixed = packet.first_chunk::<RTCP_HEADER>()?;
    (fixed[0] >> 6 == 2).then(|| u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]))
}
