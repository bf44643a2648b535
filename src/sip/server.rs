//! Non-INVITE server transaction: RFC 3261 section 17.2.2.
//!
//! ```text
//! Trying ──user: 1xx──▶ Proceeding
//!    ├──user: 200-699──────┴──▶ Completed ──J──▶ Terminated
//!    └──64*T1: user is late┴───────────────────▶ Terminated
//!
//! J  64*T1 (0 where reliable): a resent request is answered again
//! ```
//!
//! An answer later than 64*T1 helps nobody, as the peer's timer F has fired (RFC 4320 section 4): such a transaction
//! ends by itself.

use std::collections::VecDeque;

use bytes::Bytes;

use super::{Failure, ServerTx, timers::Timers};
use crate::time::Time;

/// What the owner must do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Put this on the wire.
    Send(Bytes),
    /// Put this on the wire once more.
    Resend(Bytes),
    /// Nobody answered in time.
    Lost(Failure),
}

/// A deadline lives in the state it belongs to, so leaving the state cancels it.
#[derive(Debug)]
enum State {
    /// The user has it.
    Trying {
        give_up: Time,
    },
    /// The user sent a provisional answer, the newest of which is `last`.
    Proceeding {
        last: Bytes,
        give_up: Time,
    },
    /// The user sent the final answer.
    Completed {
        response: Bytes,
        until: Time,
    },
    Terminated,
}

/// One request of a peer's that is neither INVITE nor ACK.
#[derive(Debug)]
pub struct Server {
    id: ServerTx,
    timers: Timers,
    reliable: bool,
    state: State,
    out: VecDeque<Output>,
}

impl Server {
    /// A request came.
    pub fn new(now: Time, timers: Timers, id: ServerTx, reliable: bool) -> Server {
        let state = State::Trying { give_up: now + timers.long() };
        Server { id, timers, reliable, state, out: VecDeque::new() }
    }

    /// The same request came again.
    pub fn handle_request(&mut self) {
        match &self.state {
            State::Proceeding { last: bytes, .. } | State::Completed { response: bytes, .. } => {
                self.out.push_back(Output::Resend(bytes.clone()));
            }
            State::Trying { .. } | State::Terminated => {}
        }
    }

    /// The user's answer. Ignored after the final one.
    pub fn respond(&mut self, now: Time, code: u16, response: Bytes) {
        match (&self.state, code) {
            (&State::Trying { give_up } | &State::Proceeding { give_up, .. }, ..=199) => {
                self.out.push_back(Output::Send(response.clone()));
                self.enter(State::Proceeding { last: response, give_up });
            }
            (State::Trying { .. } | State::Proceeding { .. }, 200..) => {
                self.out.push_back(Output::Send(response.clone()));
                let until = now + self.timers.long();
                self.enter(if self.reliable { State::Terminated } else { State::Completed { response, until } });
            }
            (State::Completed { .. } | State::Terminated, _) => {}
        }
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Time) {
        match self.state {
            State::Trying { give_up } | State::Proceeding { give_up, .. } if give_up <= now => {
                self.out.push_back(Output::Lost(Failure::TimedOut));
                self.enter(State::Terminated);
            }
            State::Completed { until, .. } if until <= now => self.enter(State::Terminated),
            State::Trying { .. } | State::Proceeding { .. } | State::Completed { .. } | State::Terminated => {}
        }
    }

    /// The next moment [`Self::handle_timeout`] has something to do.
    pub fn timeout(&self) -> Option<Time> {
        match self.state {
            State::Trying { give_up } | State::Proceeding { give_up, .. } => Some(give_up),
            State::Completed { until, .. } => Some(until),
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
        tracing::debug!("server {}: {} -> {}", self.id.0, self.state.name(), next.name());
        self.state = next;
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

    const TRYING: Bytes = Bytes::from_static(b"100");
    const OK: Bytes = Bytes::from_static(b"200");

    fn at(ms: u64) -> Time {
        Time::START + Duration::from_millis(ms)
    }

    fn tx(reliable: bool) -> Server {
        Server::new(Time::START, STANDARD, ServerTx(1), reliable)
    }

    fn drain(tx: &mut Server) -> Vec<Output> {
        std::iter::from_fn(|| tx.poll()).collect()
    }

    #[test]
    fn resent_request_is_swallowed_first_and_then_gets_the_newest_answer() {
        let mut tx = tx(false);
        tx.handle_request();
        assert_eq!(drain(&mut tx), []);
        tx.respond(at(10), 100, TRYING);
        tx.handle_request();
        tx.respond(at(20), 200, OK);
        tx.handle_request();
        assert_eq!(
            drain(&mut tx),
            [Output::Send(TRYING), Output::Resend(TRYING), Output::Send(OK), Output::Resend(OK)]
        );
    }

    #[test]
    fn answered_request_is_kept_until_timer_j() {
        let mut tx = tx(false);
        tx.respond(at(1000), 200, OK);
        assert_eq!(tx.timeout(), Some(at(33_000)));
        tx.handle_timeout(at(32_999));
        assert!(!tx.is_terminated());
        tx.handle_timeout(at(33_000));
        assert!(tx.is_terminated());
    }

    #[test]
    fn answered_request_over_a_reliable_transport_ends_at_once() {
        let mut tx = tx(true);
        tx.respond(at(1000), 200, OK);
        assert_eq!(drain(&mut tx), [Output::Send(OK)]);
        assert!(tx.is_terminated());
    }

    #[test]
    fn request_that_nobody_answers_is_lost_when_the_peer_has_given_up() {
        for provisional in [false, true] {
            let mut tx = tx(true);
            if provisional {
                tx.respond(at(1000), 100, TRYING);
                drain(&mut tx);
            }
            assert_eq!(tx.timeout(), Some(at(32_000)));
            tx.handle_timeout(at(32_000));
            assert_eq!(drain(&mut tx), [Output::Lost(Failure::TimedOut)]);
            assert!(tx.is_terminated());
        }
    }
}
