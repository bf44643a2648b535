//! How often somebody may ask: at a steady rate, with room for a burst (the generic cell rate algorithm, ITU-T I.371).

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    time::Duration,
};

use tokio::sync::{mpsc, oneshot};

use crate::{io::clock::Clock, time::Time};

/// Names that are remembered; there are that many only where strangers make them up.
const MOST: usize = 10_000;
/// How long who comes is turned away while there are too many names.
const CROWDED: Duration = Duration::from_secs(1);
/// Tries to log in, for each name: so many at once, then one in ten seconds.
const LOGINS: (u32, Duration) = (5, Duration::from_secs(10));
/// From each address, whatever the names: so many at once, then one in two seconds.
const ADDRESS_LOGINS: (u32, Duration) = (10, Duration::from_secs(2));
/// And of all names and addresses together: each costs a sixth of a second on a core.
const ALL_LOGINS: (u32, Duration) = (20, Duration::from_millis(500));

/// Counts who comes how often.
#[derive(Debug)]
pub(super) struct Limiter {
    /// How many may come at once.
    burst: u32,
    /// Time between two who come steadily.
    gap: Duration,
    /// When the next one is expected, by name; those that are past are as good as absent.
    expected: HashMap<String, Time>,
}

impl Limiter {
    /// With room for so many at once, and then one in each gap.
    pub(super) fn new((burst, gap): (u32, Duration)) -> Limiter {
        Limiter { burst, gap, expected: HashMap::new() }
    }

    /// How long somebody who came now would have to wait; none: they might come.
    pub(super) fn wait(&self, now: Time, name: &str) -> Option<Duration> {
        let early = self.expected.get(name).copied().unwrap_or(now).max(now) + self.gap - now;
        let room = self.gap * self.burst;
        (early > room).then(|| early - room)
    }

    /// Somebody comes. None: they may; else they may after so long.
    pub(super) fn come(&mut self, now: Time, name: &str) -> Option<Duration> {
        if let Some(wait) = self.wait(now, name) {
            return Some(wait);
        }
        let expected = self.expected.get(name).copied().unwrap_or(now).max(now);
        if self.expected.len() >= MOST && !self.expected.contains_key(name) {
            self.expected.retain(|_, expected| *expected > now);
            if self.expected.len() >= MOST {
                return Some(CROWDED);
            }
        }
        self.expected.insert(name.to_owned(), expected + self.gap);
        None
    }
}

/// Somebody at the door, and where the answer goes: none, or how long to wait.
#[derive(Debug)]
pub(super) enum Knock {
    /// A key or a session.
    Key(String, oneshot::Sender<Option<Duration>>),
    /// Somebody there who wants to log in by this name.
    Login(IpAddr, String, oneshot::Sender<Option<Duration>>),
}

/// Whom an address counts for: a host of IPv6 has a whole /64 for itself (RFC 7721 section 4.3).
pub(super) fn house(from: IpAddr) -> IpAddr {
    match from.to_canonical() {
        IpAddr::V6(six) if !six.is_loopback() => Ipv6Addr::from_bits(six.to_bits() >> 64 << 64).into(),
        other => other,
    }
}

/// Tries to log in.
struct Logins {
    addresses: Limiter,
    names: Limiter,
    all: Limiter,
}

impl Logins {
    fn new() -> Logins {
        let [addresses, names, all] = [ADDRESS_LOGINS, LOGINS, ALL_LOGINS].map(Limiter::new);
        Logins { addresses, names, all }
    }

    /// None: they may try. Who is turned away at one door is not counted at the next: so one address uses up neither what
    /// others may try, nor what a name may.
    fn come(&mut self, now: Time, from: IpAddr, name: &str) -> Option<Duration> {
        self.addresses
            .come(now, &house(from).to_string())
            .or_else(|| self.names.come(now, name))
            .or_else(|| self.all.come(now, ""))
    }
}

/// Answer them until the server is gone. A key may ask `a_second` times a second, and twice as often at once; 0: as
/// often as it likes.
pub(super) async fn keep(mut knocks: mpsc::Receiver<Knock>, a_second: u32, clock: Clock) {
    let gap = Duration::from_secs(1).checked_div(a_second).unwrap_or(Duration::ZERO);
    let mut keys = Limiter::new((a_second.saturating_mul(2).max(1), gap));
    let mut logins = Logins::new();
    while let Some(knock) = knocks.recv().await {
        let now = clock.now();
        // Who asked may be gone.
        let _ = match knock {
            Knock::Key(id, answer) => answer.send(keys.come(now, &id)),
            Knock::Login(from, name, answer) => answer.send(logins.come(now, from, &name)),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn who_comes_too_often_is_told_when_to_come_again_and_others_are_not_concerned() {
        let mut limiter = Limiter::new((3, ms(100)));
        let now = Time::START + ms(5000);
        for _ in 0..3 {
            assert_eq!(limiter.come(now, "a"), None);
        }
        assert_eq!(limiter.come(now, "a"), Some(ms(100)));
        assert_eq!(limiter.come(now, "b"), None);
        assert_eq!(limiter.come(now + ms(99), "a"), Some(ms(1)));
        assert_eq!(limiter.come(now + ms(100), "a"), None);
        assert_eq!(limiter.come(now + ms(100), "a"), Some(ms(100)));
        // After a rest there is room for a burst again.
        for _ in 0..3 {
            assert_eq!(limiter.come(now + ms(1000), "a"), None);
        }
        assert_eq!(limiter.come(now + ms(1000), "a"), Some(ms(100)));
    }

    #[test]
    fn who_tries_passwords_from_one_address_keeps_nobody_else_from_logging_in() {
        let mut logins = Logins::new();
        let now = Time::START + ms(100_000);
        let there = |last| IpAddr::from([192, 0, 2, last]);
        let tried = (0..1000).filter(|n| logins.come(now, there(1), &n.to_string()).is_none()).count();
        assert_eq!(tried, ADDRESS_LOGINS.0 as usize);
        for _ in 0..LOGINS.0 {
            assert_eq!(logins.come(now, there(2), "anna"), None);
        }
        assert!(logins.come(now, there(3), "anna").is_some(), "a name is tried so often, from wherever");
        assert_eq!(logins.come(now, there(3), "bo"), None);
    }

    #[test]
    fn a_network_of_ipv6_is_one_address() {
        let house_of = |text: &str| house(text.parse().unwrap()).to_string();
        assert_eq!(house_of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(house_of("::ffff:192.0.2.1"), "192.0.2.1");
        assert_eq!(house_of("::1"), "::1");
    }

    #[test]
    fn strangers_who_make_up_names_do_not_fill_the_memory() {
        let mut limiter = Limiter::new((1, ms(1000)));
        for name in 0..MOST {
            assert_eq!(limiter.come(Time::START, &name.to_string()), None);
        }
        assert_eq!(limiter.come(Time::START, "one more"), Some(CROWDED));
        assert_eq!(limiter.come(Time::START + ms(1001), "one more"), None);
        assert_eq!(limiter.expected.len(), 1);
    }
}
