//! The only reader of the system's clocks.

#![expect(clippy::disallowed_types, reason = "this is where time comes from")]

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::time::{Epoch, Time};

/// The process's own line of time. Copies of one clock agree with each other.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
    epoch: Epoch,
}

impl Clock {
    /// A line that begins now. Make one for the whole process.
    pub fn start() -> Clock {
        let epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Clock { start: Instant::now(), epoch: Epoch(epoch) }
    }

    /// The present moment; never goes back.
    pub fn now(&self) -> Time {
        Time::from_start(self.start.elapsed())
    }

    /// The present moment, and what the wall clock shows at it, as the time since 1970-01-01 UTC.
    pub fn both(&self) -> (Time, Duration) {
        (self.now(), SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
    }

    /// What the wall clock showed when the line began.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// A moment of tokio's, or of a crate that keeps such moments; not before the start.
    pub fn time(&self, at: Instant) -> Time {
        Time::from_start(at.saturating_duration_since(self.start))
    }

    /// The moment as tokio's timers want it.
    pub fn instant(&self, at: Time) -> Instant {
        self.start + at.since_start()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_starts_near_zero_and_never_goes_back() {
        let clock = Clock::start();
        let (first, second) = (clock.now(), clock.now());
        assert!(first <= second);
        assert!(first - Time::START < Duration::from_secs(10));
    }

    #[test]
    fn the_epoch_is_a_date_after_the_writing_of_this_test() {
        assert!(Clock::start().epoch().unix(Time::START) > Duration::from_secs(1_750_000_000));
    }

    #[test]
    fn an_instant_lies_as_far_from_the_start_as_its_time() {
        let clock = Clock::start();
        let gap = clock.instant(Time::START + Duration::from_millis(1500)) - clock.instant(Time::START);
        assert_eq!(gap, Duration::from_millis(1500));
        let later = Time::START + Duration::from_millis(7);
        assert_eq!(clock.time(clock.instant(later)), later);
    }
}
