//! The packets that wait to be played, encoded as they came, in order of their numbers.

use std::{ops::Range, time::Duration};

use super::LONGEST;
use crate::codec::Codec;

/// Least room: packets, and bytes of payload (800 ms of G.711). A stalled network hands over more at once than the most
/// delay.
const PACKETS: usize = 48;
const BYTES: usize = 6400;
/// Packets shorter than this may fill the store before the most delay does, in units: 10 ms.
const SHORT: usize = 80;

/// A packet's place, and what it carries.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    /// Its number.
    pub(super) number: i64,
    /// Extended timestamp of its first sample.
    pub(super) place: i64,
    /// When it came.
    pub(super) arrived: i64,
    /// How many samples it holds; 0 for a packet without audio.
    pub(super) samples: u16,
    /// How it is encoded.
    pub(super) codec: Codec,
    /// Where its payload is.
    from: u16,
    bytes: u16,
}

impl Entry {
    pub(super) fn new(number: i64, place: i64, arrived: i64, samples: u16, codec: Codec) -> Entry {
        Entry { number, place, arrived, samples, codec, from: 0, bytes: 0 }
    }

    /// The timestamp after its last sample.
    pub(super) fn end(&self) -> i64 {
        self.place + i64::from(self.samples)
    }

    fn range(&self) -> Range<usize> {
        usize::from(self.from)..usize::from(self.from) + usize::from(self.bytes)
    }
}

/// See the module. Its memory is made outside the engine.
#[derive(Debug)]
pub(in crate::media) struct Store {
    /// Sorted; its capacity is never exceeded.
    entries: Vec<Entry>,
    packets: usize,
    bytes: Box<[u8]>,
    /// Where the next payload goes.
    next: usize,
}

impl Store {
    /// Room for packets of these codecs that wait for `most`, for the next of them, and for what is lost where the memory
    /// begins anew: a packet each.
    pub(super) fn new(most: Duration, codecs: &[Codec]) -> Store {
        let units = (most.as_millis() as usize).min(60_000) * 8 + 2 * LONGEST;
        let bytes = units * codecs.iter().map(|codec| bytes_in_unit(*codec)).max().unwrap_or(1);
        let (packets, bytes) = ((units / SHORT).max(PACKETS), bytes.clamp(BYTES, u16::MAX.into()));
        Store { entries: Vec::with_capacity(packets), packets, bytes: vec![0; bytes].into_boxed_slice(), next: 0 }
    }

    /// No room at all.
    pub(super) fn none() -> Store {
        Store { entries: Vec::new(), packets: 0, bytes: Box::default(), next: 0 }
    }

    /// How many packets and bytes fit.
    pub(super) fn room(&self) -> (usize, usize) {
        (self.packets, self.bytes.len())
    }

    /// Keep a packet. False: there is no room for it.
    pub(super) fn insert(&mut self, entry: Entry, payload: &[u8]) -> bool {
        let from = if self.next + payload.len() > self.bytes.len() { 0 } else { self.next };
        let to = from + payload.len();
        let taken = self.entries.iter().map(Entry::range).any(|other| other.start < to && from < other.end);
        if taken || to > self.bytes.len() || self.entries.len() == self.packets {
            return false;
        }
        self.bytes[from..to].copy_from_slice(payload);
        self.next = to;
        let at = self.entries.partition_point(|other| other.number < entry.number);
        // Both are at most as many as there are bytes: u16::MAX.
        self.entries.insert(at, Entry { from: from as u16, bytes: payload.len() as u16, ..entry });
        true
    }

    /// The first in order.
    pub(super) fn front(&self) -> Option<Entry> {
        self.entries.first().copied()
    }

    /// The payload of the first in order.
    pub(super) fn payload(&self) -> &[u8] {
        self.entries.first().map_or(&[], |entry| &self.bytes[entry.range()])
    }

    /// Forget the first in order.
    pub(super) fn pop(&mut self) {
        if !self.entries.is_empty() {
            self.entries.remove(0);
        }
    }

    pub(super) fn clear(&mut self) {
        self.entries.clear();
    }
}

/// Most bytes of payload in a unit of 1/8000 s. Opus may have more, and never does where people speak: 128 kbit/s.
pub(super) fn bytes_in_unit(codec: Codec) -> usize {
    match codec {
        Codec::Pcmu | Codec::Pcma | Codec::G722 | Codec::G729 => 1,
        Codec::L16 | Codec::Opus => 2,
        Codec::L16Wide => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> Store {
        Store::new(Duration::from_millis(200), &[Codec::Pcmu])
    }

    fn entry(number: i64) -> Entry {
        Entry::new(number, 0, 0, 0, Codec::Pcmu)
    }

    #[test]
    fn packets_come_out_in_order_with_their_own_bytes() {
        let mut store = store();
        for number in [3_u8, 1, 2] {
            assert!(store.insert(entry(number.into()), &[number; 160]));
        }
        for number in 1_u8..=3 {
            assert_eq!(store.front().map(|e| e.number), Some(number.into()));
            assert_eq!(store.payload(), [number; 160]);
            store.pop();
        }
        assert!(store.front().is_none() && store.payload().is_empty());
        store.pop();
    }

    #[test]
    fn memory_goes_round_and_what_does_not_fit_is_refused() {
        let mut store = store();
        for n in 0..1000_i64 {
            assert!(store.insert(entry(n), &[n as u8; 480]));
            if n >= 9 {
                assert_eq!(store.payload(), [(n - 9) as u8; 480]);
                store.pop();
            }
        }
        let held = (0..).take_while(|&n| store.insert(entry(n), &[0; 480])).count();
        assert!((3..=5).contains(&held), "{held}");
        assert!(!store.insert(entry(0), &[0; BYTES + 1]));
        store.clear();
        assert_eq!((0..).take_while(|&n| store.insert(entry(n), &[])).count(), PACKETS);
    }
}
