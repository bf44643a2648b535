//! RTP going out of a port: one source, one line of sequence numbers and one of timestamps, whoever fills it.
//!
//! ```text
//! time       0    20    40   ...    200   220          timestamps go on with the wall clock where nothing is sent;
//! sent       mix  mix   -    ...    mix   relay        the packet after such a gap has the marker
//! timestamp  0    160               1600  1760
//! ```
//!
//! Relayed packets keep the distances that their own source gave them, in number and in time.

use std::time::Duration;

use super::{Batch, Channel, Frame, MAX_PACKET, Payload, RATE, Slot, TICK};
use crate::{
    audio::Encoder,
    codec::{Codec, Rate},
    rtp::{self, Header, digits},
    time::Time,
};

/// A pause up to this long is no gap: packets that are relayed come early and late.
const STEADY: Duration = Duration::from_millis(30);

/// Where the packets of one port go: its part of the batch.
pub(super) struct Outlet<'a> {
    pub(super) batch: &'a mut Batch,
    pub(super) slot: Slot,
    pub(super) to: std::net::SocketAddr,
}

impl Outlet<'_> {
    fn send(&mut self, header: &Header, payload: &[u8]) -> bool {
        let payload = &payload[..payload.len().min(MAX_PACKET - rtp::HEADER)];
        self.batch.push(self.slot, Channel::Rtp, self.to, |bytes| {
            let start = rtp::write(header, bytes);
            bytes[start..start + payload.len()].copy_from_slice(payload);
            start + payload.len()
        })
    }

    /// As [`Outlet::send`], with a payload that is encoded in its place. What is not worth a packet (0 bytes) is not sent.
    fn send_encoded(&mut self, header: &Header, encode: impl FnOnce(&mut [u8]) -> usize) -> Sent {
        let mut sent = Sent::Full;
        self.batch.offer(self.slot, Channel::Rtp, self.to, |bytes| {
            let start = rtp::write(header, bytes);
            let length = encode(&mut bytes[start..]);
            sent = if length == 0 { Sent::Nothing } else { Sent::Bytes(length) };
            (length > 0).then_some(start + length)
        });
        sent
    }
}

/// What became of a packet.
enum Sent {
    /// There was no room for it.
    Full,
    /// There was nothing to be sent.
    Nothing,
    /// It is on its way, with so much payload.
    Bytes(usize),
}

/// How the packets of another source are fitted into the line.
#[derive(Clone, Copy, Debug)]
struct Fit {
    /// The source's first and newest number, and ours for the first.
    first: u64,
    newest: u64,
    sequence: u16,
    /// From its timestamps to ours.
    shift: u32,
}

/// A packet to be relayed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Relayed<'a> {
    /// Its number at its source.
    pub(super) number: u64,
    /// As it came, with our payload type.
    pub(super) header: Header,
    pub(super) payload: &'a [u8],
    /// From its timestamp to its end, in RTP units.
    pub(super) length: u32,
}

/// How the audio is sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Format {
    pub(super) payload: Payload,
    /// Packet length in ms.
    pub(super) ptime: u8,
}

/// The sending side of a port.
#[derive(Debug)]
pub(super) struct Sender {
    ssrc: u32,
    sequence: u16,
    /// The timestamp of the moment `next`, which is when what was sent (or collected) ends. Absent: nothing was sent.
    timestamp: u32,
    next: Option<Time>,
    /// The next packet is the first after a gap.
    marker: bool,
    fit: Option<Fit>,
    /// Units of the timestamps in a second: that of what is sent.
    clock: u32,
    /// Samples that wait until there are enough of them for a packet, and their rate.
    collected: Box<[i16]>,
    count: usize,
    rate: Rate,
    encoder: Encoder,
    packets: u64,
    octets: u64,
}

impl Sender {
    /// Where the numbers begin is chosen at random (RFC 3550 section 5.1).
    pub(super) fn new((ssrc, sequence, timestamp): (u32, u16, u32), encoder: Encoder, collected: Box<[i16]>) -> Sender {
        Sender {
            ssrc,
            sequence,
            timestamp,
            next: None,
            marker: true,
            fit: None,
            clock: RATE,
            collected,
            count: 0,
            rate: Rate::Narrow,
            encoder,
            packets: 0,
            octets: 0,
        }
    }

    pub(super) fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// Packets and payload bytes sent.
    pub(super) fn sent(&self) -> (u64, u64) {
        (self.packets, self.octets)
    }

    /// The timestamp of the moment `at`, for reports.
    pub(super) fn timestamp_at(&self, at: Time) -> u32 {
        let Some(next) = self.next else { return self.timestamp };
        self.timestamp.wrapping_add(self.units(at - next)).wrapping_sub(self.units(next - at))
    }

    /// Units of the timestamps in a second.
    pub(super) fn clock(&self) -> u32 {
        self.clock
    }

    /// The clock of what is sent from now on. The timestamps go on from where they are (RFC 7160 section 4.1 would have
    /// another SSRC; hardly a phone follows one without losing audio).
    pub(super) fn set_clock(&mut self, clock: u32) {
        self.clock = clock;
    }

    /// Another codec is sent from now on; what is not needed any more stays behind.
    pub(super) fn equip(&mut self, encoder: &mut Encoder, collected: &mut Box<[i16]>) {
        self.drop_collected();
        std::mem::swap(encoder, &mut self.encoder);
        std::mem::swap(collected, &mut self.collected);
    }

    /// The encoder in use.
    pub(super) fn encoder(&mut self) -> &mut Encoder {
        &mut self.encoder
    }

    /// What was relayed so far is over: the next packet that is relayed follows on what was sent last.
    pub(super) fn end_relay(&mut self) {
        self.fit = None;
    }

    /// Forget what is collected and not yet sent; its time has passed.
    pub(super) fn drop_collected(&mut self) {
        self.count = 0;
    }

    /// One tick of audio at the rate of the codec. It is sent at once, or when as much has come as a packet shall hold.
    pub(super) fn frame(&mut self, at: Time, frame: &Frame, format: Format, out: &mut Outlet<'_>) {
        if self.align(at) || self.rate != frame.rate() {
            self.drop_collected();
        }
        self.rate = frame.rate();
        self.pass(at);
        let size = usize::from(packet_ms(format)) * 8 * self.rate.scale();
        let Format { payload, .. } = format;
        if self.count == 0 && size == frame.samples().len() {
            return self.send_samples(frame.samples(), self.units(TICK), payload, out);
        }
        let end = self.count + frame.samples().len();
        let Some(room) = self.collected.get_mut(self.count..end) else { return self.drop_collected() };
        room.copy_from_slice(frame.samples());
        self.count = end;
        while self.count >= size {
            self.send_collected(size, payload, out);
        }
    }

    /// Send what is collected, though less than a packet shall hold: nothing follows now.
    pub(super) fn flush(&mut self, payload: Payload, out: &mut Outlet<'_>) {
        if self.count > 0 {
            self.send_collected(self.count, payload, out);
        }
    }

    fn send_collected(&mut self, size: usize, payload: Payload, out: &mut Outlet<'_>) {
        let collected = std::mem::take(&mut self.collected);
        let back = self.span(self.count);
        self.send_samples(&collected[..size], back, payload, out);
        self.collected = collected;
        self.collected.copy_within(size..self.count, 0);
        self.count -= size;
    }

    /// Encode and send samples that began `back` before the present timestamp.
    fn send_samples(&mut self, samples: &[i16], back: u32, payload: Payload, out: &mut Outlet<'_>) {
        let header = Header {
            payload_type: payload.number,
            marker: self.marker,
            sequence: self.sequence,
            timestamp: self.timestamp.wrapping_sub(back),
            ssrc: self.ssrc,
        };
        let (encoder, rate) = (&mut self.encoder, self.rate);
        match out.send_encoded(&header, |bytes| encoder.encode(payload.codec, rate, samples, bytes)) {
            Sent::Bytes(size) => {
                self.packets += 1;
                self.octets += size as u64;
            }
            Sent::Full => {}
            // Silence that is left out is a gap without a number (RFC 7587 section 3.1.3).
            Sent::Nothing => return self.marker = true,
        }
        self.marker = false;
        self.sequence = self.sequence.wrapping_add(1);
    }

    /// Samples at the present rate in RTP units.
    fn span(&self, samples: usize) -> u32 {
        (samples / self.rate.scale()) as u32 * (self.clock / RATE)
    }

    /// A span in RTP units; they wrap.
    fn units(&self, span: Duration) -> u32 {
        (span.as_micros() * u128::from(self.clock / RATE) / 125) as u32
    }

    /// The timestamp of the tick at `at`, for digits that begin or go on there. Time passes by [`Self::pass`] only.
    pub(super) fn tick(&mut self, at: Time) -> u32 {
        self.align(at);
        self.timestamp
    }

    /// A tick without audio of its own: a digit is sent in its place.
    pub(super) fn pass(&mut self, at: Time) {
        self.timestamp = self.timestamp.wrapping_add(self.units(TICK));
        self.next = Some(at + TICK);
    }

    /// One packet of a digit.
    pub(super) fn digit(&mut self, packet: &digits::Packet, number: u8, out: &mut Outlet<'_>) {
        let header = Header {
            payload_type: number,
            marker: packet.marker,
            sequence: self.sequence,
            timestamp: packet.timestamp,
            ssrc: self.ssrc,
        };
        if out.send(&header, &packet.payload) {
            self.packets += 1;
            self.octets += packet.payload.len() as u64;
        }
        self.sequence = self.sequence.wrapping_add(1);
    }

    /// One packet of comfort noise in the place of a tick's audio. What is said after it has the marker (RFC 3389 section 4).
    pub(super) fn comfort(&mut self, at: Time, level: u8, number: u8, out: &mut Outlet<'_>) {
        let timestamp = self.tick(at);
        let header =
            Header { payload_type: number, marker: false, sequence: self.sequence, timestamp, ssrc: self.ssrc };
        if out.send(&header, &[level]) {
            self.packets += 1;
            self.octets += 1;
        }
        self.sequence = self.sequence.wrapping_add(1);
        self.marker = true;
        self.pass(at);
    }

    /// A tick of which nothing is sent; the time goes on.
    pub(super) fn rest(&mut self, at: Time) {
        self.tick(at);
        self.pass(at);
    }

    /// Pass on a packet of another source.
    pub(super) fn relay(&mut self, now: Time, relayed: &Relayed<'_>, out: &mut Outlet<'_>) {
        let mut fit = match self.fit {
            Some(fit) => fit,
            None => self.fit_in(now, relayed),
        };
        // Sent before the relay began, overtaken on the way: its number is taken.
        let Some(ahead) = relayed.number.checked_sub(fit.first) else { return };
        let sequence = fit.sequence.wrapping_add(ahead as u16);
        let timestamp = relayed.header.timestamp.wrapping_add(fit.shift);
        if relayed.number >= fit.newest {
            fit.newest = relayed.number;
            self.sequence = sequence.wrapping_add(1);
        }
        self.fit = Some(fit);
        let end = timestamp.wrapping_add(relayed.length);
        if (end.wrapping_sub(self.timestamp) as i32) > 0 {
            self.timestamp = end;
            self.next =
                Some(now + Duration::from_micros(u64::from(relayed.length) * 1_000_000 / u64::from(self.clock)));
        }
        let marker = std::mem::take(&mut self.marker) || relayed.header.marker;
        let header = Header { marker, sequence, timestamp, ssrc: self.ssrc, ..relayed.header };
        if out.send(&header, relayed.payload) {
            self.packets += 1;
            self.octets += relayed.payload.len() as u64;
        }
    }

    fn fit_in(&mut self, now: Time, relayed: &Relayed<'_>) -> Fit {
        // What was collected and not sent is left out, and so is its time.
        self.timestamp = self.timestamp.wrapping_sub(self.span(self.count));
        self.count = 0;
        self.align(now);
        Fit {
            first: relayed.number,
            newest: relayed.number,
            sequence: self.sequence,
            shift: self.timestamp.wrapping_sub(relayed.header.timestamp),
        }
    }

    /// Lets the timestamps go on over a gap, to `at`. True: there was one.
    fn align(&mut self, at: Time) -> bool {
        let Some(next) = self.next else {
            self.next = Some(at);
            return true;
        };
        let gap = at - next;
        let long = gap >= STEADY;
        if long {
            self.timestamp = self.timestamp.wrapping_add(self.units(gap));
            self.next = Some(at);
            self.marker = true;
        }
        long
    }
}

/// How long a packet is that is asked to be `ptime` long, in ms: Opus has frames of 10, 20, 40 and 60; and 60 ms of L16 at
/// 16 kHz would not fit.
fn packet_ms(format: Format) -> u8 {
    let ms = format.ptime.clamp(10, 60) / 10 * 10;
    match (format.payload.codec, ms) {
        (Codec::Opus, 30) => 20,
        (Codec::Opus | Codec::L16Wide, 50) => 40,
        (Codec::L16Wide, 60) => 40,
        _ => ms,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::tests::at;

    const PCMU: Payload = Payload { number: 0, codec: Codec::Pcmu };

    struct Wire {
        sender: Sender,
        batch: Batch,
    }

    impl Wire {
        fn new() -> Wire {
            let encoder = Encoder::new(&[], crate::codec::OpusWish::default());
            let sender = Sender::new((1, 65530, 0xffff_ff00), encoder, vec![0; 640].into());
            Wire { sender, batch: Batch::new(16) }
        }

        fn frame(&mut self, ms: u64, ptime: u8) -> Vec<(Header, usize)> {
            let mut out = Outlet { batch: &mut self.batch, slot: Slot(0), to: ([192, 0, 2, 1], 4000).into() };
            self.sender.frame(at(ms), &Frame::silent(Rate::Narrow), Format { payload: PCMU, ptime }, &mut out);
            self.sent()
        }

        fn relay(&mut self, ms: u64, number: u64, timestamp: u32) -> Vec<(Header, usize)> {
            let mut out = Outlet { batch: &mut self.batch, slot: Slot(0), to: ([192, 0, 2, 1], 4000).into() };
            let header = Header { sequence: number as u16, timestamp, ssrc: 99, ..Header::default() };
            self.sender.relay(at(ms), &Relayed { number, header, payload: &[0; 160], length: 160 }, &mut out);
            self.sent()
        }

        fn sent(&mut self) -> Vec<(Header, usize)> {
            let packets = self.batch.datagrams().iter().map(|d| rtp::read(d.bytes()).unwrap());
            let sent = packets.map(|(header, payload)| (header, payload.len())).collect();
            self.batch.clear();
            sent
        }
    }

    /// Relative to where the line began: (sequence, timestamp, marker, bytes).
    fn short(sent: &[(Header, usize)]) -> Vec<(u16, u32, bool, usize)> {
        let one = |(h, len): &(Header, usize)| {
            (h.sequence.wrapping_sub(65530), h.timestamp.wrapping_sub(0xffff_ff00), h.marker, *len)
        };
        sent.iter().map(one).collect()
    }

    #[test]
    fn packet_lengths_other_than_the_tick_are_collected_or_split() {
        for (ptime, ticks, expected) in [
            (10, 1, vec![(0, 0, true, 80), (1, 80, false, 80)]),
            (30, 3, vec![(0, 0, true, 240), (1, 240, false, 240)]),
            (40, 4, vec![(0, 0, true, 320), (1, 320, false, 320)]),
            (60, 4, vec![(0, 0, true, 480)]),
        ] {
            let mut wire = Wire::new();
            let sent: Vec<_> = (0..ticks).flat_map(|n| wire.frame(n * 20, ptime)).collect();
            assert_eq!(short(&sent), expected, "{ptime}");
        }
    }

    #[test]
    fn timestamps_go_on_with_the_clock_over_a_gap_and_the_marker_tells_of_it() {
        let mut wire = Wire::new();
        assert_eq!(short(&wire.frame(0, 20)), [(0, 0, true, 160)]);
        assert_eq!(short(&wire.frame(20, 20)), [(1, 160, false, 160)]);
        assert_eq!(short(&wire.frame(1000, 20)), [(2, 8000, true, 160)]);
        assert_eq!(wire.sender.timestamp_at(at(1100)).wrapping_sub(0xffff_ff00), 8800);
    }

    #[test]
    fn a_relay_goes_on_where_the_mix_ended_and_the_mix_where_the_relay_ended() {
        let mut wire = Wire::new();
        wire.frame(0, 20);
        wire.frame(20, 20);
        assert_eq!(short(&wire.relay(33, 700, 5000)), [(2, 320, false, 160)]);
        assert_eq!(short(&wire.relay(75, 702, 5320)), [(4, 640, false, 160)], "a loss stays a loss");
        assert_eq!(short(&wire.relay(76, 701, 5160)), [(3, 480, false, 160)], "and what is late finds its place");
        assert_eq!(short(&wire.relay(77, 699, 4840)), [], "from before the relay");
        assert_eq!(short(&wire.frame(100, 20)), [(5, 800, false, 160)]);
        wire.sender.end_relay();
        assert_eq!(short(&wire.relay(133, 5, 77)), [(6, 960, false, 160)], "another source");
    }

    #[test]
    fn what_was_collected_when_a_relay_begins_leaves_no_hole() {
        let mut wire = Wire::new();
        assert_eq!(wire.frame(0, 60).len(), 0);
        assert_eq!(short(&wire.relay(20, 1, 1)), [(0, 0, true, 160)]);
    }
}
