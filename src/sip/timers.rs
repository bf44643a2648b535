//! The base values of RFC 3261 table 4 (T1, T2, T4, C), and the one ladder by which everything unreliable is resent.

use std::time::Duration;

use super::Config;
use crate::time::Time;

/// From these all of the timers A to M follow.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Timers {
    /// Round-trip estimate.
    pub t1: Duration,
    /// Longest gap between resends.
    pub t2: Duration,
    /// How long a message may stay in the network.
    pub t4: Duration,
    /// Longest wait for a final response after a provisional one.
    pub c: Duration,
}

impl Timers {
    /// Those of `config`.
    pub fn new(config: &Config) -> Timers {
        Timers { t1: config.t1, t2: config.t2, t4: config.t4, c: config.timer_c }
    }

    /// 64*T1: timers B, D, F, H, J, L and M.
    pub fn long(&self) -> Duration {
        self.t1.saturating_mul(64)
    }
}

/// The resends of one message: at gaps that double from T1 up to a cap (timers A, E, G, and the 2xx of section
/// 13.3.1.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resend {
    at: Time,
    gap: Duration,
    cap: Duration,
}

impl Resend {
    /// The first resend is `first` after `now`; no gap is longer than `cap`.
    pub fn new(now: Time, first: Duration, cap: Duration) -> Resend {
        Resend { at: now + first, gap: first, cap }
    }

    /// When the next resend is due.
    pub fn at(&self) -> Time {
        self.at
    }

    /// True where a resend is due; the next one is then set up. A late call does not catch up with a burst.
    pub fn is_due(&mut self, now: Time) -> bool {
        if now < self.at {
            return false;
        }
        self.gap = self.gap.saturating_mul(2).min(self.cap);
        self.at = now + self.gap;
        true
    }

    /// From the next resend on, every gap is the cap (timer E in Proceeding, section 17.1.2.2).
    pub fn slow_down(&mut self) {
        self.gap = self.cap;
    }
}

/// The base values of the RFC, for the tests of this folder.
#[cfg(test)]
pub const STANDARD: Timers = Timers {
    t1: Duration::from_millis(500),
    t2: Duration::from_secs(4),
    t4: Duration::from_secs(5),
    c: Duration::from_secs(180),
};
