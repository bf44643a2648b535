//! When a datagram came: the kernel's stamp (SO_TIMESTAMPNS), brought to the process's own line of time. So a packet may
//! wait until it is needed, and the jitter that is measured (RFC 3550 section 6.4.1) is the network's, not ours.

use std::time::Duration;

use crate::{io::clock::Clock, time::Time};

/// What is known of the last two wake-ups.
pub(super) struct Stamps {
    clock: Clock,
    before: Time,
    woke: Time,
    /// The wall clock then; stamps are of that clock.
    wall: Duration,
}

impl Stamps {
    pub(super) fn new(clock: Clock) -> Stamps {
        Stamps { clock, before: Time::START, woke: Time::START, wall: Duration::ZERO }
    }

    /// A sleep is over.
    pub(super) fn wake(&mut self) -> Time {
        self.before = self.woke;
        (self.woke, self.wall) = self.clock.both();
        self.woke
    }

    /// When the last sleep ended.
    pub(super) fn woke(&self) -> Time {
        self.woke
    }

    /// When a datagram with this stamp came. After the wake-up before, for then it would have been read; so a wall clock
    /// that was set meanwhile does little harm.
    pub(super) fn time(&self, stamp: Option<Duration>) -> Time {
        let age = stamp.map_or(Duration::ZERO, |stamp| self.wall.saturating_sub(stamp));
        Time::from_start(self.woke.since_start().saturating_sub(age)).max(self.before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_as_old_as_the_wall_clock_says_and_lies_between_the_wake_ups() {
        let at = |ms| Time::START + Duration::from_millis(ms);
        let wall = Duration::from_secs(1_800_000_000);
        let stamps = Stamps { clock: Clock::start(), before: at(100), woke: at(105), wall };
        assert_eq!(stamps.time(Some(wall - Duration::from_millis(2))), at(103));
        assert_eq!(stamps.time(None), at(105));
        // The wall clock was set.
        assert_eq!(stamps.time(Some(wall - Duration::from_secs(3600))), at(100));
        assert_eq!(stamps.time(Some(wall + Duration::from_secs(3600))), at(105));
    }
}
