//! INVITE server transaction: RFC 3261 section 17.2.1, with Accepted from RFC 6026.
//!
//! ```text
//! Proceeding ──CANCEL──▶ Cancelled
//!    ├──user: 2xx───────────┴──▶ Accepted ───────────────────L──▶ Terminated
//!    └──user: 300-699───────┴──▶ Completed ──ACK──▶ Confirmed ─I──▶ Terminated
//!                                    └──H: no ACK────────────────▶ Terminated
//!
//! G  resends a failure at T1, 2*T1, ... up to T2; unreliable transports only
//! H  64*T1: no ACK came
//! I  T4 (0 where reliable): swallows the peer's resends
//! L  64*T1: resent INVITEs are swallowed; the 2xx is resent by its user (see accept.rs)
//! ```

use std::collections::VecDeque;

use bytes::Bytes;

use super::{
    Failure, ServerTx,
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
    /// The failure may not have arrived.
    Lost(Failure),
}

/// A deadline lives in the state it belongs to, so leaving the state cancels it.
#[derive(Debug)]
enum State {
    /// The user has it; `last` is the newest provisional answer.
    Proceeding {
        last: Bytes,
    },
    /// The same, and the peer does not want it any more.
    Cancelled {
        last: Bytes,
    },
    /// The user sent a 2xx.
    Accepted {
        until: Time,
    },
    /// The user sent a failure.
    Completed {
        response: Bytes,
        resend: Option<Resend>,
        give_up: Time,
    },
    /// The failure is acknowledged, or its transport broke.
    Confirmed {
        until: Time,
    },
    Terminated,
}

/// One INVITE of a peer's.
#[derive(Debug)]
pub struct InviteServer {
    id: ServerTx,
    timers: Timers,
    reliable: bool,
    state: State,
    out: VecDeque<Output>,
}

impl InviteServer {
    /// An INVITE came; answers it with `trying`, a 100, at once.
    pub fn new(timers: Timers, id: ServerTx, trying: Bytes, reliable: bool) -> InviteServer {
        let out = VecDeque::from([Output::Send(trying.clone())]);
        InviteServer { id, timers, reliable, state: State::Proceeding { last: trying }, out }
    }

    /// The same INVITE came again.
    pub fn handle_request(&mut self) {
        match &self.state {
            State::Proceeding { last: bytes }
            | State::Cancelled { last: bytes }
            | State::Completed { response: bytes, .. } => self.out.push_back(Output::Resend(bytes.clone())),
            State::Accepted { .. } | State::Confirmed { .. } | State::Terminated => {}
        }
    }

    /// An ACK with the INVITE's branch came. True where it is the user's: an ACK to a 2xx.
    pub fn handle_ack(&mut self, now: Time) -> bool {
        match self.state {
            State::Accepted { .. } => return true,
            State::Completed { .. } => {
                let until = now + self.timers.t4;
                self.enter(if self.reliable { State::Terminated } else { State::Confirmed { until } });
            }
            State::Proceeding { .. } | State::Cancelled { .. } | State::Confirmed { .. } | State::Terminated => {}
        }
        false
    }

    /// A CANCEL came. True where the user must hear of it: the first time, and before the final answer.
    pub fn handle_cancel(&mut self) -> bool {
        match &self.state {
            State::Proceeding { last } => {
                let last = last.clone();
                self.enter(State::Cancelled { last });
                true
            }
            State::Cancelled { .. }
            | State::Accepted { .. }
            | State::Completed { .. }
            | State::Confirmed { .. }
            | State::Terminated => false,
        }
    }

    /// The user's answer. In Accepted a 2xx is sent again; anything else after the final answer is ignored.
    pub fn respond(&mut self, now: Time, code: u16, response: Bytes) {
        match (&mut self.state, code) {
            (State::Proceeding { last } | State::Cancelled { last }, ..=199) => {
                *last = response.clone();
                self.out.push_back(Output::Send(response));
            }
            (State::Proceeding { .. } | State::Cancelled { .. }, 200..=299) => {
                self.out.push_back(Output::Send(response));
                self.enter(State::Accepted { until: now + self.timers.long() });
            }
            (State::Proceeding { .. } | State::Cancelled { .. }, 300..) => {
                self.out.push_back(Output::Send(response.clone()));
                let resend = (!self.reliable).then(|| Resend::new(now, self.timers.t1, self.timers.t2));
                self.enter(State::Completed { response, resend, give_up: now + self.timers.long() });
            }
            (State::Accepted { .. }, 200..=299) => self.out.push_back(Output::Resend(response)),
            (State::Accepted { .. } | State::Completed { .. } | State::Confirmed { .. } | State::Terminated, _) => {}
        }
    }

    /// The way to the peer is broken. An answer yet to be given may find another one (RFC 3261 section 18.2.2).
    pub fn handle_transport_failed(&mut self) {
        match self.state {
            State::Completed { give_up, .. } => {
                self.out.push_back(Output::Lost(Failure::Transport));
                self.enter(State::Confirmed { until: give_up });
            }
            State::Proceeding { .. }
            | State::Cancelled { .. }
            | State::Accepted { .. }
            | State::Confirmed { .. }
            | State::Terminated => {}
        }
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Time) {
        match &mut self.state {
            State::Completed { give_up, .. } if *give_up <= now => {
                self.out.push_back(Output::Lost(Failure::TimedOut));
                self.enter(State::Terminated);
            }
            State::Completed { response, resend: Some(resend), .. } => {
                if resend.is_due(now) {
                    self.out.push_back(Output::Resend(response.clone()));
                }
            }
            State::Accepted { until } | State::Confirmed { until } if *until <= now => self.enter(State::Terminated),
            State::Proceeding { .. }
            | State::Cancelled { .. }
            | State::Accepted { .. }
            | State::Completed { resend: None, .. }
            | State::Confirmed { .. }
            | State::Terminated => {}
        }
    }

    /// The next moment [`Self::handle_timeout`] has something to do.
    pub fn timeout(&self) -> Option<Time> {
        match self.state {
            State::Proceeding { .. } | State::Cancelled { .. } | State::Terminated => None,
            State::Accepted { until } | State::Confirmed { until } => Some(until),
            State::Completed { resend, give_up, .. } => Some(resend.map_or(give_up, |resend| resend.at().min(give_up))),
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
        tracing::debug!("invite server {}: {} -> {}", self.id.0, self.state.name(), next.name());
        self.state = next;
    }
}

impl State {
    fn name(&self) -> &'static str {
        match self {
            State::Proceeding { .. } => "Proceeding",
            State::Cancelled { .. } => "Cancelled",
            State::Accepted { .. } => "Accepted",
            State::Completed { .. } => "Completed",
            State::Confirmed { .. } => "Confirmed",
            State::Terminated => "Terminated",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{super::timers::STANDARD, *};

    const TRYING: Bytes = Bytes::from_static(b"100");
    const RINGING: Bytes = Bytes::from_static(b"180");
    const OK: Bytes = Bytes::from_static(b"200");
    const BUSY: Bytes = Bytes::from_static(b"486");

    fn at(ms: u64) -> Time {
        Time::START + Duration::from_millis(ms)
    }

    fn tx(reliable: bool) -> InviteServer {
        let mut tx = InviteServer::new(STANDARD, ServerTx(1), TRYING, reliable);
        assert_eq!(drain(&mut tx), [Output::Send(TRYING)]);
        assert_eq!(tx.timeout(), None);
        tx
    }

    fn drain(tx: &mut InviteServer) -> Vec<Output> {
        std::iter::from_fn(|| tx.poll()).collect()
    }

    /// Runs all timers out: when each fired, and what came of it.
    fn ladder(tx: &mut InviteServer) -> Vec<(u128, Vec<Output>)> {
        let mut seen = Vec::new();
        while let Some(due) = tx.timeout() {
            tx.handle_timeout(due);
            seen.push((due.since_start().as_millis(), drain(tx)));
        }
        assert!(tx.is_terminated());
        seen
    }

    #[test]
    fn resent_invite_gets_the_newest_provisional_answer() {
        let mut tx = tx(false);
        tx.handle_request();
        tx.respond(at(10), 180, RINGING);
        tx.handle_request();
        assert_eq!(drain(&mut tx), [Output::Resend(TRYING), Output::Send(RINGING), Output::Resend(RINGING)]);
    }

    #[test]
    fn unacknowledged_failure_is_resent_up_to_t2_then_lost() {
        let mut tx = tx(false);
        tx.respond(at(0), 486, BUSY);
        assert_eq!(drain(&mut tx), [Output::Send(BUSY)]);
        let seen = ladder(&mut tx);
        let times: Vec<_> = seen.iter().map(|(at, _)| *at).collect();
        assert_eq!(times, [500, 1500, 3500, 7500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500, 32_000]);
        assert!(seen[..10].iter().all(|(_, out)| *out == [Output::Resend(BUSY)]));
        assert_eq!(seen[10].1, [Output::Lost(Failure::TimedOut)]);
    }

    #[test]
    fn unacknowledged_failure_over_a_reliable_transport_is_lost_without_resends() {
        let mut tx = tx(true);
        tx.respond(at(0), 486, BUSY);
        assert_eq!(drain(&mut tx), [Output::Send(BUSY)]);
        assert_eq!(ladder(&mut tx), [(32_000, vec![Output::Lost(Failure::TimedOut)])]);
    }

    #[test]
    fn acknowledged_failure_swallows_resends_until_timer_i() {
        let mut tx = tx(false);
        tx.respond(at(0), 486, BUSY);
        tx.handle_request();
        assert_eq!(drain(&mut tx), [Output::Send(BUSY), Output::Resend(BUSY)]);
        assert!(!tx.handle_ack(at(100)));
        assert!(!tx.handle_ack(at(200)));
        tx.handle_request();
        assert_eq!(ladder(&mut tx), [(5100, vec![])]);
    }

    #[test]
    fn acknowledged_failure_over_a_reliable_transport_ends_at_once() {
        let mut tx = tx(true);
        tx.respond(at(0), 486, BUSY);
        assert!(!tx.handle_ack(at(100)));
        assert!(tx.is_terminated());
    }

    #[test]
    fn accepted_invite_swallows_resends_but_lets_2xx_and_ack_through_until_timer_l() {
        let mut tx = tx(true);
        tx.respond(at(0), 200, OK);
        tx.handle_request();
        tx.respond(at(500), 200, OK);
        tx.respond(at(600), 486, BUSY);
        assert_eq!(drain(&mut tx), [Output::Send(OK), Output::Resend(OK)]);
        assert!(tx.handle_ack(at(700)));
        assert_eq!(ladder(&mut tx), [(32_000, vec![])]);
    }

    #[test]
    fn cancel_is_told_once_and_only_before_the_final_answer() {
        let mut early = tx(false);
        assert!(early.handle_cancel());
        assert!(!early.handle_cancel());
        early.respond(at(10), 487, BUSY);
        assert_eq!(drain(&mut early), [Output::Send(BUSY)]);
        let mut late = tx(false);
        late.respond(at(10), 200, OK);
        assert!(!late.handle_cancel());
    }

    #[test]
    fn broken_transport_loses_an_unacknowledged_failure_once() {
        let mut tx = tx(false);
        tx.handle_transport_failed();
        assert_eq!(drain(&mut tx), []);
        tx.respond(at(0), 486, BUSY);
        tx.handle_transport_failed();
        tx.handle_transport_failed();
        assert_eq!(drain(&mut tx), [Output::Send(BUSY), Output::Lost(Failure::Transport)]);
        assert_eq!(ladder(&mut tx), [(32_000, vec![])]);
    }
}
