//! Is anybody there? OPTIONS now and then to each target of a carrier (RFC 3261 section 11).

use std::time::Duration;

use crate::time::Time;

/// How long an answer is waited for: three resends over UDP.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a target last was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::switch) enum Condition {
    /// Nobody asked, or no answer yet.
    Unknown,
    Up,
    Down,
}

/// The machine of one target.
#[derive(Debug)]
pub(in crate::switch) struct Health {
    every: Duration,
    pub condition: Condition,
    state: State,
}

#[derive(Debug)]
enum State {
    Resting { until: Time },
    Asking { since: Time },
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::switch) enum Due {
    /// Ask.
    Ask,
    /// It no longer is what it was.
    Changed(Condition),
}

impl Health {
    pub fn new(now: Time, every: Duration) -> Health {
        Health { every, condition: Condition::Unknown, state: State::Resting { until: now } }
    }

    pub fn timeout(&self) -> Time {
        match self.state {
            State::Resting { until } => until,
            State::Asking { since } => since + PATIENCE,
        }
    }

    /// Time passed.
    pub fn handle_timeout(&mut self, now: Time) -> Option<Due> {
        if self.timeout() > now {
            return None;
        }
        match self.state {
            State::Resting { .. } => {
                self.state = State::Asking { since: now };
                Some(Due::Ask)
            }
            State::Asking { since } => self.handle_answer(since, false),
        }
    }

    /// What came of the question that was asked at `since`: an answer from somebody who is well, or not.
    pub fn handle_answer(&mut self, since: Time, well: bool) -> Option<Due> {
        if !matches!(self.state, State::Asking { since: asked } if asked == since) {
            return None;
        }
        self.state = State::Resting { until: since + self.every.max(PATIENCE) };
        let condition = if well { Condition::Up } else { Condition::Down };
        let changed = std::mem::replace(&mut self.condition, condition) != condition;
        changed.then_some(Due::Changed(condition))
    }
}

/// True for an answer of somebody who takes calls: any but those that say "not now" (and what a proxy says when nobody
/// is behind it).
pub(in crate::switch) fn is_well(code: u16) -> bool {
    !matches!(code, 408 | 500 | 502 | 503 | 504)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_target_is_asked_again_and_again_and_only_changes_are_told() {
        let mut now = Time::START + secs(1);
        let mut health = Health::new(now, secs(30));
        for (well, told) in [
            (true, Some(Condition::Up)),
            (true, None),
            (false, Some(Condition::Down)),
            (false, None),
            (true, Some(Condition::Up)),
        ] {
            assert_eq!(health.handle_timeout(now), Some(Due::Ask));
            let since = now;
            assert_eq!(health.handle_answer(since, well), told.map(Due::Changed));
            assert_eq!(health.handle_answer(since, !well), None, "one answer to a question");
            assert_eq!(health.timeout() - now, secs(30));
            now = health.timeout();
        }
    }

    #[test]
    fn silence_is_no_health() {
        let now = Time::START;
        let mut health = Health::new(now, secs(30));
        assert_eq!(health.handle_timeout(now), Some(Due::Ask));
        assert_eq!(health.handle_timeout(now + secs(4)), None);
        assert_eq!(health.handle_timeout(now + secs(5)), Some(Due::Changed(Condition::Down)));
        assert_eq!(health.timeout(), now + secs(30));
    }
}
