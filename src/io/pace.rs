//! How long a media thread lets packets gather before it wakes up for them.
//!
//! Waking up costs about as much as relaying several packets. With little to do that is no matter, and packets should not
//! wait; with much to do one wake-up should serve many. Where no packet is sent on as it comes, all wait for the tick in
//! any case.

use std::time::Duration;

use crate::time::Time;

/// What the operator wishes for packets that are sent on as they come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Gather {
    /// By load: see [`LADDER`].
    #[default]
    Auto,
    /// Wake-ups are at least this far apart, 1 ms at most; zero: wake up for each packet.
    Fixed(Duration),
}

/// Packets a second from which on they gather, and how far apart wake-ups are then.
pub const LADDER: [(u32, Duration); 4] = [
    (60_000, Duration::from_millis(1)),
    (30_000, Duration::from_micros(250)),
    (10_000, Duration::from_micros(150)),
    (0, Duration::ZERO),
];

/// Between two wake-ups of a thread that sends no packet on as it comes. A command waits no longer, either: it ends the
/// sleep only when this is over.
pub const PATIENT: Duration = Duration::from_millis(5);
/// The longest that packets may gather which are sent on.
pub const LONGEST: Duration = Duration::from_millis(1);
/// Over this time the load is measured.
const WINDOW: Duration = Duration::from_millis(50);
const WINDOWS_A_SECOND: u32 = 20;

/// The load, and what follows from it.
#[derive(Debug)]
pub(super) struct Pace {
    wish: Gather,
    window_ends: Time,
    packets: u32,
    apart: Duration,
}

impl Pace {
    pub(super) fn new(wish: Gather) -> Pace {
        let apart = match wish {
            Gather::Auto => Duration::ZERO,
            Gather::Fixed(wish) => wish.min(LONGEST),
        };
        Pace { wish, window_ends: Time::START, packets: 0, apart }
    }

    /// The thread woke up at `now`, and so many packets had come.
    pub(super) fn handle_packets(&mut self, now: Time, packets: u32) {
        self.packets = self.packets.saturating_add(packets);
        if now < self.window_ends {
            return;
        }
        let load = self.packets.saturating_mul(WINDOWS_A_SECOND);
        // A turn that slept through more than a window says little of the load while there is some.
        let awake = now - self.window_ends < WINDOW;
        if self.wish == Gather::Auto {
            let step = LADDER.iter().find(|(from, _)| awake && load >= *from);
            self.apart = step.map_or(Duration::ZERO, |(_, apart)| *apart);
        }
        self.packets = 0;
        self.window_ends = now + WINDOW;
    }

    /// How far apart wake-ups are to be, where packets are sent on as they come (`hurries`) or wait for the tick.
    pub(super) fn apart(&self, hurries: bool) -> Duration {
        if hurries { self.apart } else { PATIENT }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pace after a second of so many packets.
    fn at(wish: Gather, packets_a_second: u32) -> Duration {
        let mut pace = Pace::new(wish);
        let moments = (0..1000).map(|millisecond| Time::START + Duration::from_millis(millisecond));
        moments.for_each(|now| pace.handle_packets(now, packets_a_second / 1000));
        pace.apart(true)
    }

    #[test]
    fn packets_gather_the_longer_the_more_there_are() {
        let paces = [5_000, 20_000, 100_000].map(|load| at(Gather::Auto, load));
        assert_eq!(paces, [Duration::ZERO, Duration::from_micros(150), Duration::from_millis(1)]);
    }

    #[test]
    fn a_fixed_pace_does_not_look_at_the_load_and_has_a_limit() {
        for load in [0, 100_000] {
            assert_eq!(at(Gather::Fixed(Duration::from_micros(300)), load), Duration::from_micros(300));
            assert_eq!(at(Gather::Fixed(Duration::from_secs(1)), load), LONGEST);
        }
    }

    #[test]
    fn after_a_quiet_time_packets_wait_no_more() {
        let mut pace = Pace::new(Gather::Auto);
        for millisecond in 0..200 {
            pace.handle_packets(Time::START + Duration::from_millis(millisecond), 100);
        }
        let later = Time::START + Duration::from_secs(2);
        pace.handle_packets(later, 1);
        assert_eq!(pace.apart(true), Duration::ZERO);
    }

    #[test]
    fn nobody_wakes_up_for_each_packet_where_all_wait_for_the_tick() {
        assert_eq!(Pace::new(Gather::Fixed(Duration::ZERO)).apart(false), PATIENT);
    }
}
