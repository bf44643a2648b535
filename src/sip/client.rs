//! Non-INVITE client transaction: RFC 3261 section 17.1.2.
//!
//! ```text
//! Trying ──1xx──▶ Proceeding
//!    ├──200-699─────┴──▶ Completed ──K──▶ Terminated
//!    └──F: no answer┴───────────────────▶ Terminated
//!
//! E  resends at T1, 2*T1, ... up to T2; each T2 while Proceeding; unreliable transports only
//! F  64*T1: nobody answered
//! K  T4 (0 where reliable): swallows the peer's resends
//! ```

use std::collections::VecDeque;

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
    /// No final answer will come.
    Failed(Failure),
}

/// A deadline lives in the state it belongs to, so leaving the state cancels it.
#[derive(Debug)]
enum State {
    /// Sent; nobody answered yet.
    Trying {
        resend: Option<Resend>,
        give_up: Time,
    },
    /// Being worked on.
    Proceeding {
        resend: Option<Resend>,
        give_up: Time,
    },
    /// The final answer came.
    Completed {
        until: Time,
    },
    Terminated,
}

/// One request of ours that is neither INVITE nor ACK.
#[derive(Debug)]
pub struct Client {
    id: ClientTx,
    timers: Timers,
    reliable: bool,
    request: Bytes,
    state: State,
    out: VecDeque<Output>,
}

impl Client {
    /// Sends `request`, the whole message.
    pub fn new(now: Time, timers: Timers, id: ClientTx, request: Bytes, reliable: bool) -> Client {
        let resend = (!reliable).then(|| Resend::new(now, timers.t1, timers.t2));
        let state = State::Trying { resend, give_up: now + timers.long() };
        let out = VecDeque::from([Output::Send(request.clone())]);
        Client { id, timers, reliable, request, state, out }
    }

    /// A response with `code` came. True where it is news for the user.
    pub fn handle_response(&mut self, now: Time, code: u16) -> bool {
        match (&self.state, code) {
            (&State::Trying { mut resend, give_up }, ..=199) => {
                resend.iter_mut().for_each(Resend::slow_down);
                self.enter(State::Proceeding { resend, give_up });
            }
            (State::Proceeding { .. }, ..=199) => {}
            (State::Trying { .. } | State::Proceeding { .. }, 200..) => {
                let until = now + self.timers.t4;
                self.enter(if self.reliable { State::Terminated } else { State::Completed { until } });
            }
            (State::Completed { .. } | State::Terminated, _) => return false,
        }
        true
    }

    /// The way to the peer is broken.
    pub fn handle_transport_failed(&mut self) {
        match self.state {
            State::Trying { .. } | State::Proceeding { .. } => {
                self.out.push_back(Output::Failed(Failure::Transport));
                self.enter(State::Terminated);
            }
            State::Completed { .. } => self.enter(State::Terminated),
            State::Terminated => {}
        }
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Time) {
        match &mut self.state {
            State::Trying { give_up, .. } | State::Proceeding { give_up, .. } if *give_up <= now => {
                self.out.push_back(Output::Failed(Failure::TimedOut));
                self.enter(State::Terminated);
            }
            State::Trying { resend: Some(resend), .. } | State::Proceeding { resend: Some(resend), .. } => {
                if resend.is_due(now) {
                    self.out.push_back(Output::Resend(self.request.clone()));
                }
            }
            State::Completed { until } if *until <= now => self.enter(State::Terminated),
            State::Trying { resend: None, .. }
            | State::Proceeding { resend: None, .. }
            | State::Completed { .. }
            | State::Terminated => {}
        }
    }

    /// The next moment [`Self::handle_timeout`] has something to do.
    pub fn timeout(&self) -> Option<Time> {
        match self.state {
            State::Trying { resend, give_up } | State::Proceeding { resend, give_up } => {
                Some(resend.map_or(give_up, |resend| resend.at().min(give_up)))
            }
            State::Completed { until } => Some(until),
            State::Terminated => None,
        }
    }

    /// What to do next; drain it after every call.
    pub fn poll(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    /// True when there is nothing left to do.
    pub fn is_terminated(&self) -> bool {
        matches!(self.state, State::Terminated)
    }

    /// The only place a state changes, hence the only place that logs it.
    fn enter(&mut self, next: State) {
        tracing::debug!("client {:x}: {} -> {}", self.id.0, self.state.name(), next.name());
        self.state = next;
        if matches!(self.state, State::Completed { .. }) {
            self.request = Bytes::new(); // never sent again
        }
    }
}

impl State {
    fn name(&self) -> &'static str {
        match self {
            State::Trying { .. } => "Trying",
            State::Proceeding { .. } => "Proceeding",
            State::Completed { .. } => "Completed",
            State::Terminated => "Terminated",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{super::timers::STANDARD, *};

    const BYE: Bytes = Bytes::from_static(b"BYE");

    fn at(ms: u64) -> Time {
        Time::START + Duration::from_millis(ms)
    }

    fn tx(reliable: bool) -> Client {
        let mut tx = Client::new(Time::START, STANDARD, ClientTx(1), BYE, reliable);
        assert_eq!(drain(&mut tx), [Output::Send(BYE)]);
        tx
    }

    fn drain(tx: &mut Client) -> Vec<Output> {
        std::iter::from_fn(|| tx.poll()).collect()
    }

    /// Runs all timers out: when each fired, and what came of it.
    fn ladder(tx: &mut Client) -> Vec<(u128, Vec<Output>)> {
        let mut seen = Vec::new();
        while let Some(due) = tx.timeout() {
            tx.handle_timeout(due);
            seen.push((due.since_start().as_millis(), drain(tx)));
        }
        assert!(tx.is_terminated());
        seen
    }

    #[test]
    fn unanswered_request_is_resent_at_gaps_that_double_up_to_t2_then_times_out() {
        let seen = ladder(&mut tx(false));
        let times: Vec<_> = seen.iter().map(|(at, _)| *at).collect();
        assert_eq!(times, [500, 1500, 3500, 7500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500, 32_000]);
        assert!(seen[..10].iter().all(|(_, out)| *out == [Output::Resend(BYE)]));
        assert_eq!(seen[10].1, [Output::Failed(Failure::TimedOut)]);
    }

    #[test]
    fn provisional_answer_slows_the_resends_down_to_t2_at_once() {
        let mut tx = tx(false);
        assert!(tx.handle_response(at(100), 100));
        let times: Vec<_> = ladder(&mut tx).iter().map(|(at, _)| *at).collect();
        assert_eq!(times, [500, 4500, 8500, 12_500, 16_500, 20_500, 24_500, 28_500, 32_000]);
    }

    #[test]
    fn over_a_reliable_transport_nothing_is_resent() {
        assert_eq!(ladder(&mut tx(true)), [(32_000, vec![Output::Failed(Failure::TimedOut)])]);
        let mut proceeding = tx(true);
        assert!(proceeding.handle_response(at(100), 100));
        assert_eq!(ladder(&mut proceeding), [(32_000, vec![Output::Failed(Failure::TimedOut)])]);
    }

    #[test]
    fn final_answer_is_told_once_and_its_resends_swallowed_until_timer_k() {
        let mut tx = tx(false);
        assert!(tx.handle_response(at(1000), 200));
        assert!(!tx.handle_response(at(1500), 200));
        assert_eq!(ladder(&mut tx), [(6000, vec![])]);
    }

    #[test]
    fn final_answer_over_a_reliable_transport_ends_at_once() {
        let mut tx = tx(true);
        assert!(tx.handle_response(at(1000), 404));
        assert!(tx.is_terminated());
    }

    #[test]
    fn broken_transport_fails_what_is_undecided_only() {
        let mut undecided = tx(false);
        undecided.handle_transport_failed();
        assert_eq!(drain(&mut undecided), [Output::Failed(Failure::Transport)]);
        let mut decided = tx(false);
        assert!(decided.handle_response(at(10), 200));
        decided.handle_transport_failed();
        assert_eq!(drain(&mut decided), []);
        assert!(decided.is_terminated());
    }
}
