//! INVITE client transaction: RFC 3261 section 17.1.1, with Accepted from RFC 6026.
//!
//! ```text
//! Calling ──1xx──▶ Proceeding ──cancel, C──▶ Cancelling
//!    ├──2xx──────────┴──────────────────────────┴──▶ Accepted ──M──▶ Terminated
//!    ├──300-699──────┴──────────────────────────┴──▶ Completed ─D──▶ Terminated
//!    └──B: no answer                  64*T1 ────┴──────────────────▶ Terminated
//!
//! A  resends the INVITE at T1, 2*T1, 4*T1, ... while Calling; unreliable transports only
//! B  64*T1: nobody answered
//! C  no final answer after a provisional one: cancel, as a proxy would (16.8); anew with each 101-199
//! D  64*T1 (0 where reliable): a resent failure is acknowledged again
//! M  64*T1: resent and forked 2xx still come through
//! ```
//!
//! A CANCEL waits for the first provisional answer (section 9.1); where no final answer follows it within 64*T1, the
//! transaction is over.

use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;

use super::{
    ClientTx, Failure,
    timers::{Resend, Timers},
};
use crate::time::Time;

/// What the owner must do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Put this on the wire.
    Send(Bytes),
    /// Put this on the wire once more.
    Resend(Bytes),
    /// Send a CANCEL, in a transaction of its own.
    Cancel,
    /// No final answer will come.
    Failed(Failure),
}

/// A deadline lives in the state it belongs to, so leaving the state cancels it.
#[derive(Debug)]
enum State {
    /// Sent; nobody answered yet. `cancel`: wanted, but not allowed before a provisional answer.
    Calling {
        resend: Option<Resend>,
        give_up: Time,
        cancel: bool,
    },
    /// Being worked on; cancelled at `cancel_at`.
    Proceeding {
        cancel_at: Time,
    },
    /// The CANCEL is out.
    Cancelling {
        give_up: Time,
    },
    /// A 2xx came.
    Accepted {
        until: Time,
    },
    /// A failure came.
    Completed {
        ack: Bytes,
        until: Time,
    },
    Terminated,
}

/// One INVITE of ours.
#[derive(Debug)]
pub struct InviteClient {
    id: ClientTx,
    timers: Timers,
    reliable: bool,
    invite: Bytes,
    state: State,
    out: VecDeque<Output>,
}

impl InviteClient {
    /// Sends `invite`, the whole message.
    pub fn new(now: Time, timers: Timers, id: ClientTx, invite: Bytes, reliable: bool) -> InviteClient {
        let resend = (!reliable).then(|| Resend::new(now, timers.t1, Duration::MAX));
        let state = State::Calling { resend, give_up: now + timers.long(), cancel: false };
        let out = VecDeque::from([Output::Send(invite.clone())]);
        InviteClient { id, timers, reliable, invite, state, out }
    }

    /// A response with `code` came; `ack` makes the ACK to a failure. True where it is news for the user.
    pub fn handle_response(&mut self, now: Time, code: u16, ack: impl FnOnce() -> Bytes) -> bool {
        match (&mut self.state, code) {
            (State::Calling { cancel: true, .. }, ..=199) => {
                self.out.push_back(Output::Cancel);
                self.enter(State::Cancelling { give_up: now + self.timers.long() });
            }
            (State::Calling { cancel: false, .. }, ..=199) => {
                self.enter(State::Proceeding { cancel_at: now + self.timers.c });
            }
            (State::Proceeding { cancel_at }, 101..=199) => *cancel_at = now + self.timers.c,
            (State::Proceeding { .. } | State::Cancelling { .. }, ..=199) | (State::Accepted { .. }, 200..=299) => {}
            (State::Calling { .. } | State::Proceeding { .. } | State::Cancelling { .. }, 200..=299) => {
                self.enter(State::Accepted { until: now + self.timers.long() });
            }
            (State::Calling { .. } | State::Proceeding { .. } | State::Cancelling { .. }, 300..) => {
                self.fail(now, ack());
            }
            (State::Completed { ack, .. }, 300..) => {
                self.out.push_back(Output::Resend(ack.clone()));
                return false;
            }
            (State::Accepted { .. } | State::Completed { .. } | State::Terminated, _) => return false,
        }
        true
    }

    /// The user does not want the call any more. Does nothing once a final answer came.
    pub fn cancel(&mut self, now: Time) {
        match &mut self.state {
            State::Calling { cancel, .. } => *cancel = true,
            State::Proceeding { .. } => {
                self.out.push_back(Output::Cancel);
                self.enter(State::Cancelling { give_up: now + self.timers.long() });
            }
            State::Cancelling { .. } | State::Accepted { .. } | State::Completed { .. } | State::Terminated => {}
        }
    }

    /// As [`Self::cancel`], and where nobody answered yet, the INVITE is not sent again either.
    pub fn abandon(&mut self, now: Time) {
        match &mut self.state {
            State::Calling { resend, .. } => *resend = None,
            State::Proceeding { .. }
            | State::Cancelling { .. }
            | State::Accepted { .. }
            | State::Completed { .. }
            | State::Terminated => {}
        }
        self.cancel(now);
    }

    /// The way to the peer is broken.
    pub fn handle_transport_failed(&mut self) {
        match self.state {
            State::Calling { .. } | State::Proceeding { .. } | State::Cancelling { .. } => {
                self.out.push_back(Output::Failed(Failure::Transport));
                self.enter(State::Terminated);
            }
            // A forked 2xx may still find its way.
            State::Accepted { .. } | State::Terminated => {}
            State::Completed { .. } => self.enter(State::Terminated),
        }
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Time) {
        match &mut self.state {
            State::Calling { give_up, .. } | State::Cancelling { give_up } if *give_up <= now => {
                self.out.push_back(Output::Failed(Failure::TimedOut));
                self.enter(State::Terminated);
            }
            State::Calling { resend: Some(resend), .. } => {
                if resend.is_due(now) {
                    self.out.push_back(Output::Resend(self.invite.clone()));
                }
            }
            State::Proceeding { cancel_at } if *cancel_at <= now => self.cancel(now),
            State::Accepted { until } | State::Completed { until, .. } if *until <= now => {
                self.enter(State::Terminated);
            }
            State::Calling { .. }
            | State::Proceeding { .. }
            | State::Cancelling { .. }
            | State::Accepted { .. }
            | State::Completed { .. }
            | State::Terminated => {}
        }
    }

    /// The next moment [`Self::handle_timeout`] has something to do.
    pub fn timeout(&self) -> Option<Time> {
        match self.state {
            State::Calling { resend, give_up, .. } => Some(resend.map_or(give_up, |resend| resend.at().min(give_up))),
            State::Proceeding { cancel_at } => Some(cancel_at),
            State::Cancelling { give_up } => Some(give_up),
            State::Accepted { until } | State::Completed { until, .. } => Some(until),
            State::Terminated => None,
        }
    }

    /// What to do next; drain it after every call.
    pub fn poll(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    /// True once a final answer came or none will.
    pub fn is_decided(&self) -> bool {
        match self.state {
            State::Calling { .. } | State::Proceeding { .. } | State::Cancelling { .. } => false,
            State::Accepted { .. } | State::Completed { .. } | State::Terminated => true,
        }
    }

    /// True when there is nothing left to do.
    pub fn is_terminated(&self) -> bool {
        matches!(self.state, State::Terminated)
    }

    fn fail(&mut self, now: Time, ack: Bytes) {
        self.out.push_back(Output::Send(ack.clone()));
        let until = now + self.timers.long();
        self.enter(if self.reliable { State::Terminated } else { State::Completed { ack, until } });
    }

    /// The only place a state changes, hence the only place that logs it.
    fn enter(&mut self, next: State) {
        tracing::debug!("invite client {:x}: {} -> {}", self.id.0, self.state.name(), next.name());
        self.state = next;
        if self.is_decided() {
            self.invite = Bytes::new(); // the answer waits for half a minute; the INVITE need not
        }
    }
}

impl State {
    fn name(&self) -> &'static str {
        match self {
            State::Calling { .. } => "Calling",
            State::Proceeding { .. } => "Proceeding",
            State::Cancelling { .. } => "Cancelling",
            State::Accepted { .. } => "Accepted",
            State::Completed { .. } => "Completed",
            State::Terminated => "Terminated",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::timers::STANDARD, *};

    const INVITE: Bytes = Bytes::from_static(b"INVITE");
    const ACK: Bytes = Bytes::from_static(b"ACK");

    fn at(ms: u64) -> Time {
        Time::START + Duration::from_millis(ms)
    }

    fn tx(reliable: bool) -> InviteClient {
        let mut tx = InviteClient::new(Time::START, STANDARD, ClientTx(1), INVITE, reliable);
        assert_eq!(drain(&mut tx), [Output::Send(INVITE)]);
        tx
    }

    fn drain(tx: &mut InviteClient) -> Vec<Output> {
        std::iter::from_fn(|| tx.poll()).collect()
    }

    fn answer(tx: &mut InviteClient, ms: u64, code: u16) -> bool {
        tx.handle_response(at(ms), code, || ACK)
    }

    /// Runs all timers out: when each fired, and what came of it.
    fn ladder(tx: &mut InviteClient) -> Vec<(u128, Vec<Output>)> {
        let mut seen = Vec::new();
        while let Some(due) = tx.timeout() {
            tx.handle_timeout(due);
            seen.push((due.since_start().as_millis(), drain(tx)));
        }
        assert!(tx.is_terminated());
        seen
    }

    #[test]
    fn unanswered_invite_is_resent_at_doubling_gaps_then_times_out() {
        let seen = ladder(&mut tx(false));
        let times: Vec<_> = seen.iter().map(|(at, _)| *at).collect();
        assert_eq!(times, [500, 1500, 3500, 7500, 15_500, 31_500, 32_000]);
        assert!(seen[..6].iter().all(|(_, out)| *out == [Output::Resend(INVITE)]));
        assert_eq!(seen[6].1, [Output::Failed(Failure::TimedOut)]);
    }

    #[test]
    fn an_abandoned_invite_is_not_sent_again_and_a_late_answer_is_cancelled() {
        let mut silent = tx(false);
        silent.abandon(at(100));
        assert_eq!(ladder(&mut silent), [(32_000, vec![Output::Failed(Failure::TimedOut)])]);
        let mut late = tx(false);
        late.abandon(at(100));
        assert!(answer(&mut late, 5000, 180));
        assert_eq!(drain(&mut late), [Output::Cancel]);
    }

    #[test]
    fn over_a_reliable_transport_nothing_is_resent() {
        assert_eq!(ladder(&mut tx(true)), [(32_000, vec![Output::Failed(Failure::TimedOut)])]);
    }

    #[test]
    fn provisional_answer_stops_the_resends_and_starts_timer_c_that_cancels() {
        let mut tx = tx(false);
        assert!(answer(&mut tx, 100, 100));
        assert_eq!(
            ladder(&mut tx),
            [(180_100, vec![Output::Cancel]), (212_100, vec![Output::Failed(Failure::TimedOut)])]
        );
    }

    #[test]
    fn ringing_prolongs_timer_c_but_trying_does_not() {
        let mut tx = tx(true);
        assert!(answer(&mut tx, 0, 180));
        assert!(answer(&mut tx, 50_000, 100));
        assert_eq!(tx.timeout(), Some(at(180_000)));
        assert!(answer(&mut tx, 60_000, 183));
        assert_eq!(tx.timeout(), Some(at(240_000)));
    }

    #[test]
    fn cancel_waits_for_a_provisional_answer_and_goes_out_once() {
        let mut tx = tx(false);
        tx.cancel(at(10));
        assert_eq!(drain(&mut tx), []);
        assert!(answer(&mut tx, 200, 100));
        tx.cancel(at(210));
        assert_eq!(drain(&mut tx), [Output::Cancel]);
        assert_eq!(ladder(&mut tx), [(32_200, vec![Output::Failed(Failure::TimedOut)])]);
    }

    #[test]
    fn cancel_after_the_final_answer_does_nothing() {
        let mut tx = tx(false);
        assert!(answer(&mut tx, 10, 200));
        tx.cancel(at(20));
        assert_eq!(drain(&mut tx), []);
    }

    #[test]
    fn answer_that_crosses_our_cancel_still_counts() {
        let mut tx = tx(false);
        assert!(answer(&mut tx, 10, 180));
        tx.cancel(at(20));
        assert!(answer(&mut tx, 30, 200));
        assert_eq!(drain(&mut tx), [Output::Cancel]);
        assert_eq!(ladder(&mut tx), [(32_030, vec![])]);
    }

    #[test]
    fn every_2xx_is_news_until_timer_m_but_nothing_else_is() {
        let mut tx = tx(false);
        assert!(answer(&mut tx, 1000, 200));
        assert!(answer(&mut tx, 1500, 200));
        assert!(!answer(&mut tx, 1600, 180));
        assert!(!answer(&mut tx, 1700, 486));
        assert_eq!(ladder(&mut tx), [(33_000, vec![])]);
        assert!(!answer(&mut tx, 34_000, 200));
    }

    #[test]
    fn failure_is_acknowledged_each_time_but_told_once_until_timer_d() {
        let mut tx = tx(false);
        assert!(answer(&mut tx, 1000, 486));
        assert_eq!(drain(&mut tx), [Output::Send(ACK)]);
        assert!(!answer(&mut tx, 1500, 486));
        assert!(!answer(&mut tx, 1600, 200));
        assert_eq!(drain(&mut tx), [Output::Resend(ACK)]);
        assert_eq!(ladder(&mut tx), [(33_000, vec![])]);
    }

    #[test]
    fn failure_over_a_reliable_transport_ends_at_once() {
        let mut tx = tx(true);
        assert!(answer(&mut tx, 1000, 603));
        assert_eq!(drain(&mut tx), [Output::Send(ACK)]);
        assert!(tx.is_terminated());
    }

    #[test]
    fn broken_transport_fails_what_is_undecided_and_keeps_what_is_accepted() {
        let mut undecided = tx(true);
        undecided.handle_transport_failed();
        assert_eq!(drain(&mut undecided), [Output::Failed(Failure::Transport)]);
        assert!(undecided.is_terminated());
        let mut accepted = tx(true);
        assert!(answer(&mut accepted, 10, 200));
        accepted.handle_transport_failed();
        assert_eq!(ladder(&mut accepted), [(32_010, vec![])]);
    }
}
