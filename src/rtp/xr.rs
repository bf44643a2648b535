//! RTCP extended reports: RFC 3611, the VoIP metrics block (section 4.7). It tells a peer how its voice arrives here.

/// RTCP packet type of an extended report.
pub(super) const EXTENDED: u8 = 207;
/// Type of the VoIP metrics block.
const VOIP: u8 = 7;
/// Bytes of the block without its header.
const BODY: usize = 32;
/// Bytes of an extended report with this one block.
pub const LENGTH: usize = 12 + BODY;
/// What stands for "not known" in fields of one byte.
const UNKNOWN: u8 = 127;
/// Losses with fewer packets than this between them belong to one burst (section 4.7.2, its usual value).
pub const GMIN: u8 = 16;

/// How a voice arrives. Rates and densities are parts of 256.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Voip {
    /// The source that is heard.
    pub ssrc: u32,
    /// Packets that never came.
    pub loss: u8,
    /// Packets that came too late or too early to be played.
    pub discard: u8,
    /// Packets lost or discarded within bursts, and between them.
    pub density: (u8, u8),
    /// Mean length of a burst and of a gap, in ms.
    pub duration: (u16, u16),
    /// Round trip by RTCP, in ms; 0: not known.
    pub round_trip: u16,
    /// Delay within the receiver, in ms.
    pub end_system: u16,
    /// Level of speech and of the noise between, in dBm0.
    pub level: (Option<i8>, Option<i8>),
    /// R of the E-model, 0 to 100.
    pub r: Option<u8>,
    /// Ten times the mean opinion score: listening, and conversation with its delay. 10 to 50.
    pub mos: (Option<u8>, Option<u8>),
    /// Jitter buffer: present and greatest delay, in ms.
    pub jitter_buffer: (u16, u16),
}

impl Voip {
    /// Writes an extended report of `ssrc` with this block. Returns [`LENGTH`], or 0 where `into` is too short.
    pub fn write(&self, ssrc: u32, into: &mut [u8]) -> usize {
        let Some(into) = into.get_mut(..LENGTH) else { return 0 };
        let level = |level: Option<i8>| level.map_or(UNKNOWN, |level| level.to_be_bytes()[0]);
        let fields: [&[u8]; 18] = [
            &[0x80, EXTENDED],
            &((LENGTH / 4 - 1) as u16).to_be_bytes(),
            &ssrc.to_be_bytes(),
            &[VOIP, 0],
            &((BODY / 4) as u16).to_be_bytes(),
            &self.ssrc.to_be_bytes(),
            &[self.loss, self.discard, self.density.0, self.density.1],
            &self.duration.0.to_be_bytes(),
            &self.duration.1.to_be_bytes(),
            &self.round_trip.to_be_bytes(),
            &self.end_system.to_be_bytes(),
            // Signal, noise; residual echo is not measured.
            &[level(self.level.0), level(self.level.1), UNKNOWN, GMIN],
            // R; that of the network beyond is not known.
            &[self.r.unwrap_or(UNKNOWN), UNKNOWN],
            &[self.mos.0.unwrap_or(UNKNOWN), self.mos.1.unwrap_or(UNKNOWN)],
            // Losses are concealed (enhanced, 2), the buffer adapts (3), how fast is not said.
            &[2 << 6 | 3 << 4, 0],
            &self.jitter_buffer.0.to_be_bytes(),
            &self.jitter_buffer.1.to_be_bytes(),
            &self.jitter_buffer.1.to_be_bytes(),
        ];
        let mut at = 0;
        for field in fields {
            into[at..at + field.len()].copy_from_slice(field);
            at += field.len();
        }
        at
    }
}

/// The VoIP metrics block in the body of an extended report (which begins with the reporter's SSRC), if there is one.
pub(super) fn read(body: &[u8]) -> Option<Voip> {
    let mut blocks = body.get(4..)?;
    while let Some((&[kind, _, high, low], rest)) = blocks.split_first_chunk() {
        let (block, rest) = rest.split_at_checked(4 * usize::from(u16::from_be_bytes([high, low])))?;
        if kind == VOIP {
            return voip(block);
        }
        blocks = rest;
    }
    None
}

fn voip(block: &[u8]) -> Option<Voip> {
    let block: &[u8; BODY] = block.try_into().ok()?;
    let two = |at: usize| u16::from_be_bytes([block[at], block[at + 1]]);
    let known = |at: usize| Some(block[at]).filter(|value| *value != UNKNOWN);
    let level = |at: usize| known(at).map(|value| i8::from_be_bytes([value]));
    Some(Voip {
        ssrc: u32::from_be_bytes([block[0], block[1], block[2], block[3]]),
        loss: block[4],
        discard: block[5],
        density: (block[6], block[7]),
        duration: (two(8), two(10)),
        round_trip: two(12),
        end_system: two(14),
        level: (level(16), level(17)),
        r: known(20),
        mos: (known(22), known(23)),
        jitter_buffer: (two(26), two(28)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtp::rtcp::{self, Packet};

    const SEEN: Voip = Voip {
        ssrc: 0x0102_0304,
        loss: 5,
        discard: 6,
        density: (70, 8),
        duration: (900, 10_000),
        round_trip: 110,
        end_system: 12,
        level: (Some(-20), None),
        r: Some(88),
        mos: (Some(42), None),
        jitter_buffer: (40, 200),
    };

    #[test]
    fn the_block_stands_where_the_rfc_says() {
        let mut bytes = [0xee; 60];
        assert_eq!(SEEN.write(9, &mut bytes), LENGTH);
        #[rustfmt::skip]
        let wanted = [
            0x80, 207, 0, 10, 0, 0, 0, 9, 7, 0, 0, 8,
            1, 2, 3, 4, 5, 6, 70, 8, 3, 132, 39, 16, 0, 110, 0, 12, 236, 127, 127, 16,
            88, 127, 42, 127, 0xb0, 0, 0, 40, 0, 200, 0, 200,
        ];
        assert_eq!(bytes[..LENGTH], wanted);
        assert_eq!(SEEN.write(9, &mut bytes[..LENGTH - 1]), 0);
    }

    #[test]
    fn it_is_read_as_it_was_written_also_behind_blocks_of_other_kinds() {
        let mut bytes = [0; LENGTH];
        SEEN.write(9, &mut bytes);
        assert!(matches!(rtcp::read(&bytes).next(), Some(Packet::Voip { ssrc: 9, seen }) if seen == SEEN));
        let mut body = vec![0, 0, 0, 9, 4, 0, 0, 2, 1, 2, 3, 4, 5, 6, 7, 8];
        body.extend(&bytes[8..]);
        assert_eq!(read(&body), Some(SEEN));
        for end in 0..body.len() {
            assert_eq!(read(&body[..end]), None);
        }
    }
}
