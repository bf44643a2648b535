//! Time as an input: a point on the process's own monotonic line. There is no `now` here on purpose.

use std::{
    fmt,
    ops::{Add, AddAssign, Sub},
    time::Duration,
};

/// A moment, as the time since the process (or the simulated world) began. Nanosecond steps, never negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(Duration);

impl Time {
    /// The first moment there is.
    pub const START: Time = Time(Duration::ZERO);

    /// The moment `since_start` after [`Time::START`].
    pub const fn from_start(since_start: Duration) -> Time {
        Time(since_start)
    }

    /// How long after [`Time::START`] this is.
    pub const fn since_start(self) -> Duration {
        self.0
    }

    /// The earlier of two deadlines, where either may be absent.
    pub fn soonest(a: Option<Time>, b: Option<Time>) -> Option<Time> {
        match (a, b) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }
}

impl Add<Duration> for Time {
    type Output = Time;
    fn add(self, by: Duration) -> Time {
        Time(self.0.saturating_add(by))
    }
}

impl AddAssign<Duration> for Time {
    fn add_assign(&mut self, by: Duration) {
        *self = *self + by;
    }
}

/// The time from `earlier` to `self`; zero where `earlier` is the later one.
impl Sub<Time> for Time {
    type Output = Duration;
    fn sub(self, earlier: Time) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03}s", self.0.as_secs(), self.0.subsec_millis())
    }
}

/// What the wall clock showed at [`Time::START`], as the time since 1970-01-01 UTC: turns a [`Time`] into a date.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Epoch(pub Duration);

impl Epoch {
    /// Seconds and their fraction since 1970-01-01 UTC at `at`.
    pub fn unix(self, at: Time) -> Duration {
        self.0 + at.since_start()
    }

    /// The 64-bit NTP timestamp of `at` (RFC 3550 section 4): seconds since 1900 in the upper, their fraction in the
    /// lower half.
    pub fn ntp(self, at: Time) -> u64 {
        const FROM_1900_TO_1970: u64 = 2_208_988_800;
        let unix = self.unix(at);
        let fraction = (u64::from(unix.subsec_nanos()) << 32) / 1_000_000_000;
        (unix.as_secs().wrapping_add(FROM_1900_TO_1970) << 32) | fraction
    }
}

/// Year, month and day (both from 1) in UTC, from seconds since 1970: the civil calendar from a count of days, of which
/// 400 years have 146,097.
pub fn civil(unix: u64) -> (u64, u64, u64) {
    let days = unix / 86_400 + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (era * 400 + year + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ntp_time_of_the_unix_epoch_is_the_well_known_number() {
        let epoch = Epoch(Duration::from_millis(500));
        assert_eq!(epoch.ntp(Time::START), (2_208_988_800 << 32) | (1 << 31));
    }

    #[test]
    fn the_soonest_of_two_deadlines_ignores_an_absent_one() {
        let a = Time::START + Duration::from_secs(1);
        assert_eq!(Time::soonest(Some(a), None), Some(a));
        assert_eq!(Time::soonest(Some(a), Some(Time::START)), Some(Time::START));
        assert_eq!(Time::soonest(None, None), None);
    }
}
