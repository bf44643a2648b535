//! Which targets failed lately (RFC 3263 section 4.3): those are tried after the others, for a while. Nobody is struck
//! off: where all failed, all are tried, and one that works again is as good as before at once.

use std::{collections::BTreeMap, time::Duration};

use super::Target;
use crate::time::Time;

/// Most targets that are remembered; past that the one that failed first is forgotten.
const MOST: usize = 4096;

/// The memory of one process.
#[derive(Debug, Default)]
pub struct Failover {
    /// Until when each is avoided.
    avoided: BTreeMap<Target, Time>,
}

impl Failover {
    /// A target was silent, refused the connection, or said 503.
    pub fn failed(&mut self, now: Time, target: Target, avoid: Duration) {
        if self.avoided.len() >= MOST && !self.avoided.contains_key(&target) {
            self.avoided.retain(|_, until| *until > now);
            let first = self.avoided.iter().min_by_key(|(_, until)| **until).map(|(target, _)| *target);
            if let Some(first) = first.filter(|_| self.avoided.len() >= MOST) {
                self.avoided.remove(&first);
            }
        }
        self.avoided.insert(target, now + avoid);
    }

    /// A target answered.
    pub fn worked(&mut self, target: Target) {
        self.avoided.remove(&target);
    }

    /// True where it failed lately.
    pub fn is_avoided(&self, now: Time, target: Target) -> bool {
        self.avoided.get(&target).is_some_and(|until| *until > now)
    }

    /// Puts those that failed lately behind the others. Apart from that the order stays.
    pub fn put_in_order(&self, now: Time, targets: &mut [Target]) {
        targets.sort_by_key(|target| self.is_avoided(now, *target));
    }
}

#[cfg(test)]
mod tests {
    use super::{super::Transport, *};

    const AVOID: Duration = Duration::from_secs(60);

    fn target(last: u16) -> Target {
        Target { transport: Transport::Udp, address: ([192, 0, 2, 1], last).into() }
    }

    fn at(seconds: u64) -> Time {
        Time::START + Duration::from_secs(seconds)
    }

    fn ordered(failover: &Failover, now: Time) -> Vec<u16> {
        let mut targets = [target(1), target(2), target(3)];
        failover.put_in_order(now, &mut targets);
        targets.iter().map(|target| target.address.port()).collect()
    }

    #[test]
    fn a_target_that_failed_is_tried_last_for_a_while_and_then_comes_back() {
        let mut failover = Failover::default();
        assert_eq!(ordered(&failover, at(0)), [1, 2, 3]);
        failover.failed(at(0), target(1), AVOID);
        assert_eq!(ordered(&failover, at(59)), [2, 3, 1]);
        assert_eq!(ordered(&failover, at(60)), [1, 2, 3]);
    }

    #[test]
    fn a_target_that_works_again_is_as_good_as_before() {
        let mut failover = Failover::default();
        failover.failed(at(0), target(1), AVOID);
        failover.worked(target(1));
        assert_eq!(ordered(&failover, at(1)), [1, 2, 3]);
    }

    #[test]
    fn where_all_failed_all_are_tried_in_their_order() {
        let mut failover = Failover::default();
        (1..=3).for_each(|last| failover.failed(at(0), target(last), AVOID));
        assert_eq!(ordered(&failover, at(1)), [1, 2, 3]);
    }

    #[test]
    fn the_other_transport_of_a_host_is_another_target() {
        let mut failover = Failover::default();
        failover.failed(at(0), target(1), AVOID);
        assert!(!failover.is_avoided(at(1), Target { transport: Transport::Tcp, ..target(1) }));
    }

    #[test]
    fn the_memory_has_a_limit() {
        let mut failover = Failover::default();
        (0..10_000).for_each(|last| failover.failed(at(u64::from(last) / 1000), target(last), AVOID));
        assert_eq!(failover.avoided.len(), MOST);
        assert!(failover.is_avoided(at(11), target(9999)) && !failover.is_avoided(at(11), target(0)));
    }
}
