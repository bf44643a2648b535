//! A packet's place in its stream, and which places were taken (RFC 3711 section 3.3.1 and 3.3.2).

/// Places that are remembered behind the newest.
const WIDTH: u64 = 128;

/// The newest place: rollover counter and sequence number in one number of 48 bits. None: nothing came.
#[derive(Clone, Copy, Default)]
pub(super) struct Index(Option<u64>);

impl Index {
    /// The place that a sequence number most likely means: the one nearest to the newest.
    pub(super) fn guess(self, sequence: u16) -> u64 {
        let Some(newest) = self.0 else { return u64::from(sequence) };
        let ahead = sequence.wrapping_sub(newest as u16) as i16;
        // Before the first rollover there is nothing to go back to.
        newest.checked_add_signed(i64::from(ahead)).unwrap_or(u64::from(sequence))
    }

    /// A packet proved that it is there.
    pub(super) fn take(&mut self, index: u64) {
        self.0 = Some(self.0.map_or(index, |newest| newest.max(index)));
    }
}

/// The places that were taken.
#[derive(Clone, Copy, Default)]
pub(super) struct Window {
    newest: u64,
    /// Bit n: the place n before the newest was taken.
    bits: u128,
}

impl Window {
    /// Nobody was there yet, as far as is known.
    pub(super) fn is_new(&self, index: u64) -> bool {
        match self.newest.checked_sub(index) {
            None => true,
            Some(behind) => behind < WIDTH && self.bits >> behind & 1 == 0,
        }
    }

    pub(super) fn take(&mut self, index: u64) {
        if let Some(ahead) = index.checked_sub(self.newest) {
            self.bits = if ahead < WIDTH { self.bits << ahead } else { 0 };
            self.newest = index;
        }
        let behind = self.newest - index;
        if behind < WIDTH {
            self.bits |= 1 << behind;
        }
    }
}
