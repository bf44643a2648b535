//! RTCP: RFC 3550 section 6. Sender and receiver reports, CNAME and BYE; the rest is skipped.

use std::time::Duration;

use super::xr::{self, Voip};

const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const SOURCE_DESCRIPTION: u8 = 202;
const GOODBYE: u8 = 203;
const CNAME: u8 = 1;
/// Bytes of a report block.
const BLOCK: usize = 24;
/// Bytes of the sender's part of a sender report.
const SENDER: usize = 20;

/// What a sender says about itself (RFC 3550 section 6.4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sender {
    /// When it was sent, by the sender's clock: 64-bit NTP time.
    pub ntp: u64,
    /// The same moment in the units of the RTP timestamps.
    pub timestamp: u32,
    /// RTP packets sent.
    pub packets: u32,
    /// Payload bytes sent.
    pub octets: u32,
}

/// What a receiver says about one source (RFC 3550 section 6.4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Block {
    /// The source.
    pub ssrc: u32,
    /// Lost since the report before, in 256ths.
    pub fraction: u8,
    /// Lost since the beginning; 24 bits, signed.
    pub lost: i32,
    /// Newest sequence number; cycles in the upper half.
    pub highest: u32,
    /// Interarrival jitter in clock units.
    pub jitter: u32,
    /// [`middle`] of the NTP time of the last sender report that came, or 0.
    pub last_sr: u32,
    /// Since then, in 65536ths of a second.
    pub delay: u32,
}

/// One thing read from a compound packet.
#[derive(Clone, Copy, Debug)]
pub enum Packet<'a> {
    /// A sender or a receiver report.
    Report {
        /// Who reports.
        ssrc: u32,
        /// Present in a sender report.
        sender: Option<Sender>,
        /// About whom.
        blocks: Blocks<'a>,
    },
    /// The CNAME of the first source of a source description.
    Cname {
        /// Of whom.
        ssrc: u32,
        /// The name; meant to be UTF-8.
        name: &'a [u8],
    },
    /// The VoIP metrics of an extended report (RFC 3611 section 4.7).
    Voip {
        /// Who reports.
        ssrc: u32,
        /// How the voice that it hears arrives.
        seen: Voip,
    },
    /// A source left; the first one named.
    Goodbye {
        /// Who.
        ssrc: u32,
    },
}

/// Reads a datagram packet by packet. It ends at the first that is malformed; packets of other kinds are passed over.
/// Reports that do not begin with SR or RR (RFC 5506) are read, too.
pub fn read(datagram: &[u8]) -> Packets<'_> {
    Packets { rest: datagram }
}

/// The packets of a datagram; see [`read`].
#[derive(Clone, Copy, Debug)]
pub struct Packets<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Packets<'a> {
    type Item = Packet<'a>;

    fn next(&mut self) -> Option<Packet<'a>> {
        loop {
            let (kind, count, body) = self.take()?;
            let packet = match kind {
                SENDER_REPORT => report(body, count, true),
                RECEIVER_REPORT => report(body, count, false),
                SOURCE_DESCRIPTION if count > 0 => cname(body),
                xr::EXTENDED => number(body, 0).zip(xr::read(body)).map(|(ssrc, seen)| Packet::Voip { ssrc, seen }),
                GOODBYE if count > 0 => number(body, 0).map(|ssrc| Packet::Goodbye { ssrc }),
                _ => None,
            };
            if packet.is_some() {
                return packet;
            }
        }
    }
}

impl<'a> Packets<'a> {
    /// The next packet as type, count and body without padding.
    fn take(&mut self) -> Option<(u8, usize, &'a [u8])> {
        let rest = std::mem::take(&mut self.rest);
        let (&[first, kind, high, low], after) = rest.split_first_chunk()?;
        if first >> 6 != 2 {
            return None;
        }
        let (body, rest) = after.split_at_checked(4 * usize::from(u16::from_be_bytes([high, low])))?;
        let padding = if first & 0x20 != 0 { usize::from(*body.last()?) } else { 0 };
        let body = body.get(..body.len().checked_sub(padding)?)?;
        self.rest = rest;
        Some((kind, usize::from(first & 0x1f), body))
    }
}

/// The blocks of a report.
#[derive(Clone, Copy, Debug)]
pub struct Blocks<'a> {
    bytes: &'a [u8],
}

impl Iterator for Blocks<'_> {
    type Item = Block;

    fn next(&mut self) -> Option<Block> {
        let (block, rest) = self.bytes.split_at_checked(BLOCK)?;
        self.bytes = rest;
        let loss = number(block, 4)?;
        Some(Block {
            ssrc: number(block, 0)?,
            fraction: (loss >> 24) as u8,
            lost: ((loss << 8) as i32) >> 8, // carries the sign of 24 bits
            highest: number(block, 8)?,
            jitter: number(block, 12)?,
            last_sr: number(block, 16)?,
            delay: number(block, 20)?,
        })
    }
}

fn report(body: &[u8], count: usize, of_sender: bool) -> Option<Packet<'_>> {
    let ssrc = number(body, 0)?;
    let sender = if of_sender {
        let ntp = u64::from(number(body, 4)?) << 32 | u64::from(number(body, 8)?);
        Some(Sender { ntp, timestamp: number(body, 12)?, packets: number(body, 16)?, octets: number(body, 20)? })
    } else {
        None
    };
    let start = if of_sender { 4 + SENDER } else { 4 };
    let blocks = body.get(start..start + count * BLOCK)?;
    Some(Packet::Report { ssrc, sender, blocks: Blocks { bytes: blocks } })
}

fn cname(body: &[u8]) -> Option<Packet<'_>> {
    let ssrc = number(body, 0)?;
    let mut items = body.get(4..)?;
    // A zero where a type should be ends the items.
    while let Some((&[kind @ 1..=255, length], rest)) = items.split_first_chunk() {
        let (text, rest) = rest.split_at_checked(usize::from(length))?;
        if kind == CNAME {
            return Some(Packet::Cname { ssrc, name: text });
        }
        items = rest;
    }
    None
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|four| u32::from_be_bytes(*four))
}

/// A datagram to send: SR or RR, SDES with CNAME, and BYE at the end (RFC 3550 section 6.1).
#[derive(Clone, Copy, Debug)]
pub struct Compound<'a> {
    /// We.
    pub ssrc: u32,
    /// Present where we sent RTP since the report before: makes it a sender report.
    pub sender: Option<Sender>,
    /// About the source we hear.
    pub block: Option<Block>,
    /// Our name, the same for the whole call; 255 bytes of it count.
    pub cname: &'a str,
    /// We leave.
    pub goodbye: bool,
}

impl Compound<'_> {
    /// Writes it and returns its length in bytes; 0 where `into` is too short (344 always suffice).
    pub fn write(&self, into: &mut [u8]) -> usize {
        let mut out = Writer { into, used: 0 };
        self.put(&mut out).map_or(0, |()| out.used)
    }

    fn put(&self, out: &mut Writer<'_>) -> Option<()> {
        let blocks = usize::from(self.block.is_some());
        let sender = if self.sender.is_some() { SENDER } else { 0 };
        let kind = if self.sender.is_some() { SENDER_REPORT } else { RECEIVER_REPORT };
        out.header(kind, blocks, 4 + sender + blocks * BLOCK)?;
        out.number(self.ssrc)?;
        if let Some(sender) = self.sender {
            out.bytes(&sender.ntp.to_be_bytes())?;
            [sender.timestamp, sender.packets, sender.octets].into_iter().try_for_each(|n| out.number(n))?;
        }
        if let Some(block) = self.block {
            let loss = u32::from(block.fraction) << 24 | block.lost as u32 & 0x00ff_ffff;
            [block.ssrc, loss, block.highest, block.jitter, block.last_sr, block.delay]
                .into_iter()
                .try_for_each(|n| out.number(n))?;
        }
        let name = self.cname.as_bytes();
        let name = &name[..name.len().min(255)];
        // The items end with at least one zero byte and fill whole words.
        let items = (2 + name.len() + 1).next_multiple_of(4);
        out.header(SOURCE_DESCRIPTION, 1, 4 + items)?;
        out.number(self.ssrc)?;
        out.bytes(&[CNAME, name.len() as u8])?;
        out.bytes(name)?;
        out.bytes(&[0; 4][..items - 2 - name.len()])?;
        if self.goodbye {
            out.header(GOODBYE, 1, 4)?;
            out.number(self.ssrc)?;
        }
        Some(())
    }
}

struct Writer<'a> {
    into: &'a mut [u8],
    used: usize,
}

impl Writer<'_> {
    fn header(&mut self, kind: u8, count: usize, body: usize) -> Option<()> {
        let words = ((body / 4) as u16).to_be_bytes();
        self.bytes(&[2 << 6 | count as u8, kind, words[0], words[1]])
    }

    fn number(&mut self, number: u32) -> Option<()> {
        self.bytes(&number.to_be_bytes())
    }

    fn bytes(&mut self, bytes: &[u8]) -> Option<()> {
        self.into.get_mut(self.used..self.used + bytes.len())?.copy_from_slice(bytes);
        self.used += bytes.len();
        Some(())
    }
}

/// The middle 32 bits of an NTP time: seconds and 65536ths, as LSR carries them.
pub fn middle(ntp: u64) -> u32 {
    (ntp >> 16) as u32
}

/// A span in 65536ths of a second, as DLSR carries it.
pub fn delay(span: Duration) -> u32 {
    ((span.as_micros() << 16) / 1_000_000).min(u128::from(u32::MAX)) as u32
}

/// The time to the peer and back, from a block about us that came at `now` (64-bit NTP time by our clock). `None`: the
/// peer has no sender report of ours yet, or its numbers make no sense.
pub fn round_trip(now: u64, block: &Block) -> Option<Duration> {
    if block.last_sr == 0 {
        return None;
    }
    let trip = middle(now).wrapping_sub(block.last_sr).wrapping_sub(block.delay);
    // Above half the range: negative, a clock that runs wild.
    (trip < 1 << 31).then(|| Duration::from_micros((u64::from(trip) * 1_000_000) >> 16))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SENT: Sender = Sender { ntp: 0x0123_4567_89ab_cdef, timestamp: 5, packets: 6, octets: 7 };
    const BLOCK: Block =
        Block { ssrc: 9, fraction: 200, lost: -3, highest: 70000, jitter: 12, last_sr: 0x4567_89ab, delay: 65536 };

    fn full() -> Compound<'static> {
        Compound { ssrc: 1, sender: Some(SENT), block: Some(BLOCK), cname: "a@b", goodbye: true }
    }

    #[test]
    fn a_compound_packet_is_read_as_it_was_written() {
        for cname in ["", "a", "ab", "abc", "abcd", &"x".repeat(300)] {
            let mut buffer = [0xff; 400];
            let length = Compound { cname, ..full() }.write(&mut buffer);
            assert!(length.is_multiple_of(4) && length <= 344);
            let packets: Vec<_> = read(&buffer[..length]).collect();
            let [Packet::Report { ssrc: 1, sender: Some(sender), blocks }, Packet::Cname { ssrc: 1, name }, bye] =
                packets[..]
            else {
                panic!("{packets:?}")
            };
            assert_eq!((sender, blocks.collect::<Vec<_>>()), (SENT, vec![BLOCK]));
            assert_eq!(name, &cname.as_bytes()[..cname.len().min(255)]);
            assert!(matches!(bye, Packet::Goodbye { ssrc: 1 }));
        }
    }

    #[test]
    fn a_receiver_report_without_blocks_is_the_smallest() {
        let mut buffer = [0; 400];
        let compound = Compound { sender: None, block: None, goodbye: false, ..full() };
        let length = compound.write(&mut buffer);
        assert_eq!(
            buffer[..length],
            [0x80, 201, 0, 1, 0, 0, 0, 1, 0x81, 202, 0, 3, 0, 0, 0, 1, 1, 3, b'a', b'@', b'b', 0, 0, 0]
        );
    }

    #[test]
    fn what_does_not_fit_is_not_written_in_part() {
        let mut buffer = [0; 400];
        let whole = full().write(&mut buffer);
        for room in 0..whole {
            assert_eq!(full().write(&mut buffer[..room]), 0);
        }
    }

    #[test]
    fn packets_of_other_kinds_are_passed_over() {
        let mut datagram = vec![0x80, 204, 0, 2, 0, 0, 0, 1, b'n', b'a', b'm', b'e'];
        datagram.extend([0x81, 203, 0, 1, 0, 0, 0, 5]);
        assert!(matches!(read(&datagram).collect::<Vec<_>>()[..], [Packet::Goodbye { ssrc: 5 }]));
    }

    #[test]
    fn round_trip_is_what_neither_end_waited() {
        let sent = 100_u64 << 32;
        let came_back = sent + (3 << 32) / 2; // 1.5 s later, of which the peer kept it 1 s
        let block = Block { last_sr: middle(sent), delay: delay(Duration::from_secs(1)), ..BLOCK };
        assert_eq!(round_trip(came_back, &block), Some(Duration::from_millis(500)));
        assert_eq!(round_trip(sent, &block), None, "negative");
        assert_eq!(round_trip(came_back, &Block { last_sr: 0, ..block }), None, "no report yet");
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            for packet in read(&bytes) {
                if let Packet::Report { blocks, .. } = packet {
                    prop_assert!(blocks.count() <= 31);
                }
            }
        }

        #[test]
        fn a_changed_byte_never_panics(at in 0..76_usize, value: u8) {
            let mut buffer = [0; 400];
            let length = full().write(&mut buffer);
            buffer[at] = value;
            prop_assert!(read(&buffer[..length]).count() <= length / 4);
        }
    }
}
