//! How many calls may begin in any second.

use std::{collections::VecDeque, time::Duration};

use crate::time::Time;

const SECOND: Duration = Duration::from_secs(1);

/// When the calls of the last second began: never more than the limit of then.
#[derive(Debug, Default)]
pub(super) struct Pace {
    begun: VecDeque<Time>,
}

impl Pace {
    /// How long to wait till one more may begin; zero: it may now.
    pub fn wait(&mut self, now: Time, most: usize) -> Duration {
        while self.begun.front().is_some_and(|begun| now - *begun >= SECOND) {
            self.begun.pop_front();
        }
        if most == 0 || self.begun.len() < most {
            return Duration::ZERO;
        }
        let freed = self.begun.get(self.begun.len() - most).copied().unwrap_or(now);
        SECOND.saturating_sub(now - freed)
    }

    /// One begins. Nothing is kept where there is no limit.
    pub fn begin(&mut self, now: Time, most: usize) {
        if most > 0 {
            self.begun.push_back(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_no_second_more_begin_than_allowed() {
        let mut pace = Pace::default();
        let at = |ms| Time::START + Duration::from_millis(ms);
        let mut begun = Vec::new();
        for ms in (0..5000).step_by(90) {
            if pace.wait(at(ms), 3) == Duration::ZERO {
                pace.begin(at(ms), 3);
                begun.push(ms);
            }
        }
        assert!(begun.windows(4).all(|four| four[3] - four[0] >= 1000), "{begun:?}");
        assert!(begun.len() >= 14, "nearly three a second: {begun:?}");
        assert_eq!(pace.wait(at(9000), 1), Duration::ZERO);
    }

    #[test]
    fn without_a_limit_nothing_is_remembered() {
        let mut pace = Pace::default();
        for _ in 0..1000 {
            assert_eq!(pace.wait(Time::START, 0), Duration::ZERO);
            pace.begin(Time::START, 0);
        }
        assert!(pace.begun.is_empty());
    }
}
