//! Whether we are behind, and what is done about it: new calls and messages are shed.
//!
//! ```text
//! No ──one waited too long──▶ Perhaps ──for half a second──▶ Yes ──a second without one──▶ No
//! ```
//!
//! Those that waited too long are shed, with 503 where that is not too much work either: so many a second get an answer,
//! the others none, as if the network had lost them (RFC 7339 section 5.1 leaves to the server what it drops). Whoever is
//! not shed goes through whole: what belongs to calls in progress is read first.

use std::time::Duration;

use super::core::Core;
use crate::time::Time;

/// How long a log line about overload waits for the next one.
const QUIET: Duration = Duration::from_secs(10);
/// New calls must wait too long for so long before the first one is shed: a burst, or a moment in which the machine did
/// something else, is made up for.
const LASTING: Duration = Duration::from_millis(500);
/// And so long without too long a wait ends it.
const RELIEF: Duration = Duration::from_secs(1);
/// Answers that may go at once, as a part of those of a second.
const BURST: f64 = 0.1;

/// How far behind we are.
#[derive(Debug, Default)]
pub(super) struct Overload {
    state: State,
    /// Answers that may still be given, at `filled`.
    answers: f64,
    filled: Time,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    No,
    /// New calls wait too long since then.
    Perhaps { since: Time },
    /// They are shed. When one waited too long for the last time, whether the present one does, and when that was told.
    Yes { last: Time, now: bool, told: Time, before: u64 },
}

impl Overload {
    /// A new call that comes now is to be shed.
    pub(super) const fn sheds(&self) -> bool {
        match self.state {
            State::Yes { now, .. } => now,
            State::No | State::Perhaps { .. } => false,
        }
    }

    /// One more answer is no harm, where there may be `most` a second; 0: any number.
    pub(super) fn may_answer(&mut self, now: Time, most: u32) -> bool {
        let a_second = f64::from(most);
        let earned = (now - self.filled).as_secs_f64() * a_second;
        self.answers = (self.answers + earned).min((a_second * BURST).max(1.0));
        self.filled = now;
        let may = most == 0 || self.answers >= 1.0;
        if may {
            self.answers = (self.answers - 1.0).max(0.0);
        }
        may
    }
}

impl State {
    /// New requests wait for so long at the moment; so many were `shed` by now.
    fn next(self, now: Time, late: bool, shed: u64) -> State {
        match self {
            State::No if late => State::Perhaps { since: now },
            State::Perhaps { since } if late && now - since >= LASTING => {
                tracing::warn!("overload begins: new calls and messages are shed");
                State::Yes { last: now, now: true, told: now, before: shed }
            }
            State::Perhaps { since } if late => State::Perhaps { since },
            State::Yes { told, before, .. } if late => {
                let again = now - told >= QUIET;
                if again {
                    tracing::warn!(calls = shed - before, "overload goes on: so many new calls and messages were shed");
                }
                let (told, before) = if again { (now, shed) } else { (told, before) };
                State::Yes { last: now, now: true, told, before }
            }
            State::Yes { last, told, before, .. } if now - last < RELIEF => {
                State::Yes { last, now: false, told, before }
            }
            State::Yes { before, .. } => {
                tracing::warn!(
                    calls = shed - before,
                    "overload is over: so many new calls and messages were shed since it was last told"
                );
                State::No
            }
            State::No | State::Perhaps { .. } => State::No,
        }
    }
}

impl Core {
    /// New requests wait for so long at the moment.
    pub(super) fn on_waited(&mut self, waited: Duration) {
        let limit = self.guard.config().shed_after;
        let late = !limit.is_zero() && waited > limit;
        let counters = self.guard.counters();
        let shed = counters.shed + counters.unanswered;
        self.overload.state = std::mem::take(&mut self.overload.state).next(self.now, late, shed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Time {
        Time::START + Duration::from_millis(ms)
    }

    #[test]
    fn so_many_a_second_are_answered_and_any_number_where_nothing_is_said() {
        let mut overload = Overload { filled: at(0), ..Overload::default() };
        let answered =
            |overload: &mut Overload, most| (0..5000).filter(|n| overload.may_answer(at(1000 + n), most)).count();
        let count = answered(&mut overload, 100);
        assert!((499..=511).contains(&count), "five seconds, and what was saved up: {count}");
        assert_eq!(answered(&mut Overload::default(), 0), 5000);
        let mut overload = Overload::default();
        assert_eq!((0..1000).filter(|_| overload.may_answer(at(60_000), 50)).count(), 5, "a tenth of a second's");
    }
}
