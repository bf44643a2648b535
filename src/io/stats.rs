//! A media thread's counters, for others to read at any time.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::driver::Counters;

/// How a media thread keeps up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Ticks that it came to more than 5 ms late.
    pub late: u64,
    /// Ticks that it left out, since it was far too late for them.
    pub skipped: u64,
}

/// Written by one thread, read by any; the numbers of one reading may be of two turns.
#[derive(Debug, Default)]
pub(super) struct Stats([AtomicU64; 7], [AtomicU64; 2]);

impl Stats {
    pub(super) fn write(&self, counters: &Counters) {
        let Counters { turns, received, sent, send_dropped, too_long, receive_errors, starved } = *counters;
        let numbers = [turns, received, sent, send_dropped, too_long, receive_errors, starved];
        self.0.iter().zip(numbers).for_each(|(place, number)| place.store(number, Relaxed));
    }

    pub(super) fn write_load(&self, load: Load) {
        self.1[0].store(load.late, Relaxed);
        self.1[1].store(load.skipped, Relaxed);
    }

    pub(super) fn load(&self) -> Load {
        Load { late: self.1[0].load(Relaxed), skipped: self.1[1].load(Relaxed) }
    }

    pub(super) fn read(&self) -> Counters {
        let [turns, received, sent, send_dropped, too_long, receive_errors, starved] =
            [0, 1, 2, 3, 4, 5, 6].map(|place: usize| self.0[place].load(Relaxed));
        Counters { turns, received, sent, send_dropped, too_long, receive_errors, starved }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let counters =
            Counters { turns: 1, received: 2, sent: 3, send_dropped: 4, too_long: 5, receive_errors: 6, starved: 7 };
        let stats = Stats::default();
        stats.write(&counters);
        assert_eq!((stats.read(), stats.load()), (counters, Load::default()));
        let load = Load { late: 8, skipped: 9 };
        stats.write_load(load);
        assert_eq!((stats.read(), stats.load()), (counters, load));
    }
}
