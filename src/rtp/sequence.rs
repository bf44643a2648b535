//! Sequence numbers made whole, and what a receiver reports about them: RFC 3550 A.1, A.3 and A.8.

use std::time::Duration;

use crate::{
    rtp::{packet::Header, rtcp::Block},
    time::Time,
};

/// A jump forward of fewer packets than this is a loss; a longer one may be a restart (`MAX_DROPOUT`).
const MAX_DROPOUT: u16 = 3000;
/// A packet at most this many behind the newest is late (`MAX_MISORDER`).
const MAX_MISORDER: u16 = 100;
/// Numbers begin in the second cycle, so that a packet older than the first one has a number, too.
const FIRST_CYCLE: u64 = 1 << 16;
/// A change of transit time above this is a new clock at the sender, not jitter, in seconds.
const NEW_CLOCK: u32 = 10;

/// Where a packet belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Its number in 64 bits; greater is newer.
    At(u64),
    /// A jump that the next packet must confirm; drop this one.
    Suspect,
    /// The sender began anew: greater than every number before, and what was buffered is of the past.
    Restarted(u64),
}

/// Widens 16-bit sequence numbers to 64 bits (RFC 3550 A.1). There is no probation of new sources: SDP names ours.
#[derive(Clone, Copy, Debug, Default)]
pub struct Extender {
    highest: Option<u64>,
    /// The number that would confirm a restart.
    confirms: Option<u16>,
}

impl Extender {
    /// Places a packet that has just come.
    pub fn place(&mut self, sequence: u16) -> Place {
        let Some(highest) = self.highest else {
            return Place::At(self.reach(FIRST_CYCLE | u64::from(sequence)));
        };
        let ahead = sequence.wrapping_sub(highest as u16);
        let behind = ahead.wrapping_neg();
        if ahead < MAX_DROPOUT {
            Place::At(self.reach(highest + u64::from(ahead)))
        } else if behind <= MAX_MISORDER {
            Place::At(highest - u64::from(behind))
        } else if self.confirms == Some(sequence) {
            let next_cycle = ((highest >> 16) + 1) << 16;
            Place::Restarted(self.reach(next_cycle | u64::from(sequence)))
        } else {
            self.confirms = Some(sequence.wrapping_add(1));
            Place::Suspect
        }
    }

    /// The newest number so far.
    pub fn highest(&self) -> Option<u64> {
        self.highest
    }

    fn reach(&mut self, number: u64) -> u64 {
        self.highest = Some(number);
        self.confirms = None;
        number
    }
}

/// What came from one source: placed, counted and timed.
#[derive(Clone, Copy, Debug)]
pub struct Reception {
    clock: u32,
    ssrc: u32,
    extender: Extender,
    /// Number of the first packet since the last restart.
    base: u64,
    /// Packets since the last restart.
    received: u64,
    /// Packets, and packets missing, before the last restart.
    earlier: (u64, i64),
    /// (expected, received) at the last report.
    prior: (u64, u64),
    /// Timestamp and transit time of the packet before, in clock units.
    last: Option<(u32, u32)>,
    /// Sixteen times the jitter, in clock units.
    jitter: u32,
}

impl Reception {
    /// Nothing received yet. `clock`: RTP clock in Hz.
    pub fn new(clock: u32) -> Reception {
        Reception {
            clock,
            ssrc: 0,
            extender: Extender::default(),
            base: 0,
            received: 0,
            earlier: (0, 0),
            prior: (0, 0),
            last: None,
            jitter: 0,
        }
    }

    /// A packet came at `now`. A new SSRC counts as a restart.
    pub fn handle(&mut self, now: Time, header: &Header) -> Place {
        let first = self.extender.highest.is_none();
        let expected = self.expected();
        let place = if !first && header.ssrc != self.ssrc {
            let next_cycle = (self.extender.highest.unwrap_or(0) >> 16) + 1;
            Place::Restarted(self.extender.reach(next_cycle << 16 | u64::from(header.sequence)))
        } else {
            self.extender.place(header.sequence)
        };
        self.ssrc = header.ssrc;
        match place {
            Place::At(number) if first => self.base = number,
            Place::At(_) => {}
            Place::Suspect => return place,
            Place::Restarted(number) => self.restart(number, expected),
        }
        self.received += 1;
        self.time(now, header.timestamp);
        place
    }

    /// The source of the last packet.
    pub fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// Packets that came, duplicates counted.
    pub fn received(&self) -> u64 {
        self.earlier.0 + self.received
    }

    /// Packets that did not come; negative where duplicates outnumber the losses (RFC 3550 A.3).
    pub fn lost(&self) -> i64 {
        self.earlier.1 + self.expected() as i64 - self.received as i64
    }

    /// Interarrival jitter (RFC 3550 A.8).
    pub fn jitter(&self) -> Duration {
        Duration::from_micros(u64::from(self.jitter >> 4) * 1_000_000 / u64::from(self.clock.max(1)))
    }

    /// A report block about this source; its loss fraction covers the time since the last one. `None`: nothing came
    /// yet. `last_sr` and `delay` are for the caller to fill in.
    pub fn report(&mut self) -> Option<Block> {
        let highest = self.extender.highest?;
        let expected = self.expected();
        let (expected_before, received_before) = self.prior;
        self.prior = (expected, self.received);
        let expected_since = expected.saturating_sub(expected_before);
        let lost_since = expected_since.saturating_sub(self.received.saturating_sub(received_before));
        let fraction = (lost_since * 256).checked_div(expected_since).unwrap_or(0);
        Some(Block {
            ssrc: self.ssrc,
            fraction: fraction.min(255) as u8,
            lost: self.lost().clamp(-0x80_0000, 0x7f_ffff) as i32,
            highest: (highest - FIRST_CYCLE) as u32,
            jitter: self.jitter >> 4,
            last_sr: 0,
            delay: 0,
        })
    }

    fn expected(&self) -> u64 {
        self.extender.highest.map_or(0, |highest| highest + 1 - self.base)
    }

    /// Begins to count anew at `number`; `expected` packets should have come before it. The losses so far are kept; the
    /// jump itself is none.
    fn restart(&mut self, number: u64, expected: u64) {
        self.earlier.0 += self.received;
        self.earlier.1 += expected as i64 - self.received as i64;
        self.received = 0;
        self.base = number;
        self.prior = (0, 0);
        self.last = None;
    }

    fn time(&mut self, now: Time, timestamp: u32) {
        let arrival = now.since_start().as_nanos() * u128::from(self.clock) / 1_000_000_000;
        let transit = (arrival as u32).wrapping_sub(timestamp);
        let before = self.last.replace((timestamp, transit));
        let Some((last_timestamp, last_transit)) = before else { return };
        // Packets of one digit share a timestamp; how far apart they come tells nothing of the network.
        if timestamp == last_timestamp {
            self.last = before;
            return;
        }
        let change = (transit.wrapping_sub(last_transit) as i32).unsigned_abs();
        if change < NEW_CLOCK * self.clock {
            self.jitter = (self.jitter + change).saturating_sub((self.jitter + 8) >> 4);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(sequence: u16) -> Header {
        Header { sequence, timestamp: u32::from(sequence) * 160, ssrc: 7, ..Header::default() }
    }

    fn at(ms: u64) -> Time {
        Time::from_start(Duration::from_millis(ms))
    }

    #[test]
    fn numbers_go_on_across_the_wrap_and_late_ones_find_their_place() {
        let mut extender = Extender::default();
        let placed = [65534, 65535, 1, 0, 2, 65535].map(|n| extender.place(n));
        assert_eq!(placed, [131070, 131071, 131073, 131072, 131074, 131071].map(Place::At));
        assert_eq!(extender.highest(), Some(131074));
    }

    #[test]
    fn a_packet_older_than_the_first_has_a_number() {
        let mut extender = Extender::default();
        assert_eq!(extender.place(0), Place::At(65536));
        assert_eq!(extender.place(65535), Place::At(65535));
    }

    #[test]
    fn a_jump_is_believed_when_the_next_packet_confirms_it() {
        let mut extender = Extender::default();
        extender.place(100);
        assert_eq!(extender.place(30000), Place::Suspect);
        assert_eq!(extender.place(101), Place::At(65637), "a stray packet changes nothing");
        assert_eq!(extender.place(40000), Place::Suspect);
        assert_eq!(extender.place(40001), Place::Restarted(2 * 65536 + 40001));
        assert_eq!(extender.place(40002), Place::At(2 * 65536 + 40002));
    }

    #[test]
    fn losses_are_counted_and_told_as_a_fraction_since_the_last_report() {
        let mut reception = Reception::new(8000);
        assert_eq!(reception.report(), None);
        for n in 0..100u16 {
            if n % 4 != 3 {
                reception.handle(at(u64::from(n) * 20), &header(n));
            }
        }
        let block = reception.report().unwrap();
        // 0..=98 expected, 24 of them missing
        assert_eq!((reception.received(), reception.lost()), (75, 24));
        assert_eq!((block.ssrc, block.lost, block.highest), (7, 24, 98));
        assert_eq!(block.fraction, (24u32 * 256 / 99) as u8);
        assert_eq!(reception.report().unwrap().fraction, 0, "nothing expected since");
    }

    #[test]
    fn duplicates_make_the_loss_negative_but_not_the_fraction() {
        let mut reception = Reception::new(8000);
        for n in [1, 1, 1, 2] {
            reception.handle(at(0), &header(n));
        }
        let block = reception.report().unwrap();
        assert_eq!((block.lost, block.fraction), (-2, 0));
    }

    #[test]
    fn a_new_source_begins_anew_and_keeps_what_was_counted() {
        let mut reception = Reception::new(8000);
        for n in [1, 2, 4] {
            reception.handle(at(0), &header(n));
        }
        let place = reception.handle(at(0), &Header { ssrc: 8, ..header(60000) });
        assert!(matches!(place, Place::Restarted(_)));
        reception.handle(at(0), &Header { ssrc: 8, ..header(60002) });
        assert_eq!((reception.ssrc(), reception.received(), reception.lost()), (8, 5, 2));
    }

    #[test]
    fn jitter_follows_the_formula_of_the_rfc() {
        let mut reception = Reception::new(8000);
        reception.handle(at(0), &header(0));
        reception.handle(at(36), &header(1)); // 16 ms late: 128 units, a sixteenth of it counts
        assert_eq!(reception.report().unwrap().jitter, 8);
        assert_eq!(reception.jitter(), Duration::from_millis(1));
    }

    #[test]
    fn packets_of_a_digit_and_new_clocks_are_no_jitter() {
        let mut reception = Reception::new(8000);
        for n in 0..50 {
            reception.handle(at(20 * n), &Header { timestamp: 4000, ..header(n as u16) });
        }
        reception.handle(at(1000), &Header { timestamp: 0x8000_0000, ..header(50) });
        assert_eq!(reception.jitter(), Duration::ZERO);
    }
}
