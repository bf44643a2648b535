//! The RTP header: RFC 3550 section 5.1.

use std::ops::Range;

use rtp_rs::RtpReader;

/// Bytes of a header without CSRCs and extension: what [`write()`] puts down.
pub const HEADER: usize = 12;

/// The fixed fields of an RTP packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Payload type, 0 to 127.
    pub payload_type: u8,
    /// First packet after a silence, or of a digit.
    pub marker: bool,
    /// Counts packets; wraps.
    pub sequence: u16,
    /// Sampling moment of the first sample, in units of the payload's clock; wraps.
    pub timestamp: u32,
    /// The source.
    pub ssrc: u32,
}

/// Reads one packet: its header, and where its payload lies (without CSRCs, extension and padding). `None`: it is no
/// RTP packet after the checks of RFC 3550 A.1 (version, lengths, extension and padding within bounds), or it is RTCP on
/// the wrong port (RFC 5761 section 4: second byte 192 to 223).
pub fn read(packet: &[u8]) -> Option<(Header, Range<usize>)> {
    if matches!(packet.get(1), Some(192..=223)) {
        return None;
    }
    // The reader of rtp-rs borrows and makes every bounds check in `new`; only its builder allocates, so we write on
    // our own.
    let reader = RtpReader::new(packet).ok()?;
    let header = Header {
        payload_type: reader.payload_type(),
        marker: reader.mark(),
        sequence: reader.sequence_number().into(),
        timestamp: reader.timestamp(),
        ssrc: reader.ssrc(),
    };
    let start = reader.payload_offset();
    Some((header, start..start + reader.payload().len()))
}

/// Writes the twelve bytes of `header` and returns [`HEADER`], or 0 where `into` is too short. The payload follows.
pub fn write(header: &Header, into: &mut [u8]) -> usize {
    let Some(into) = into.first_chunk_mut::<HEADER>() else { return 0 };
    into[0] = 2 << 6;
    into[1] = u8::from(header.marker) << 7 | header.payload_type & 0x7f;
    into[2..4].copy_from_slice(&header.sequence.to_be_bytes());
    into[4..8].copy_from_slice(&header.timestamp.to_be_bytes());
    into[8..12].copy_from_slice(&header.ssrc.to_be_bytes());
    HEADER
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SAMPLE: Header =
        Header { payload_type: 101, marker: true, sequence: 0xfffe, timestamp: 0xdead_beef, ssrc: 0x0102_0304 };

    #[test]
    fn what_is_written_is_read_again() {
        let mut packet = [7; 172];
        assert_eq!(write(&SAMPLE, &mut packet), 12);
        assert_eq!(read(&packet), Some((SAMPLE, 12..172)));
    }

    #[test]
    fn csrcs_extension_and_padding_are_no_payload() {
        let mut packet = vec![0; 12];
        write(&SAMPLE, &mut packet);
        packet[0] |= 0x20 | 0x10 | 2; // padding, extension, two CSRCs
        packet.extend([0; 8]);
        packet.extend([0xbe, 0xde, 0, 1, 1, 2, 3, 4]);
        packet.extend([9, 9, 9]);
        packet.extend([0, 0, 0, 4]);
        assert_eq!(read(&packet), Some((SAMPLE, 28..31)));
    }

    #[test]
    fn lengths_that_do_not_fit_are_refused() {
        let mut packet = [0; 16];
        write(&SAMPLE, &mut packet);
        let broken = |change: &dyn Fn(&mut [u8; 16])| {
            let mut copy = packet;
            change(&mut copy);
            read(&copy)
        };
        assert!(broken(&|_| ()).is_some());
        assert_eq!(broken(&|p| p[0] = 1 << 6), None, "version 1");
        assert_eq!(broken(&|p| p[0] |= 2), None, "two CSRCs in four bytes");
        assert_eq!(broken(&|p| (p[0], p[15]) = (p[0] | 0x10, 1)), None, "extension of one word in none");
        assert_eq!(broken(&|p| p[0] |= 0x20), None, "padding of no byte");
        assert_eq!(broken(&|p| (p[0], p[15]) = (p[0] | 0x20, 5)), None, "padding into the header");
        assert_eq!(read(&packet[..11]), None, "too short");
        assert_eq!(read(&[]), None);
    }

    #[test]
    fn rtcp_is_kept_apart() {
        let mut packet = [0; 28];
        packet[0] = 2 << 6;
        packet[1] = 200;
        assert_eq!(read(&packet), None);
    }

    #[test]
    fn a_buffer_too_short_for_the_header_stays_untouched() {
        let mut into = [1; 11];
        assert_eq!(write(&SAMPLE, &mut into), 0);
        assert_eq!(into, [1; 11]);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic_and_the_payload_lies_within(mut bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            if let Some(first) = bytes.first_mut() {
                *first = *first & 0x3f | 0x80;
            }
            if let Some((_, payload)) = read(&bytes) {
                prop_assert!(payload.start >= 12 && payload.end <= bytes.len() && payload.start <= payload.end);
            }
        }
    }
}
