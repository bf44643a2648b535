//! The 2xx to an INVITE, resent until its ACK comes (RFC 3261 section 13.3.1.4).
//!
//! Over every transport, as a proxy on the way may use an unreliable one: at T1, doubling up to T2, for 64*T1.

use std::collections::VecDeque;

use super::{
    Config, Response, ServerTx,
    timers::{Resend, Timers},
};
use crate::time::Time;

/// What the owner must do next.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly every one is a response, and it is handed on at once")]
pub enum AcceptOutput {
    /// Answer the INVITE with this once more.
    Resend(Response),
    /// No ACK came: end the call with BYE.
    GaveUp,
}

#[derive(Debug)]
enum State {
    /// Sent, not acknowledged.
    Waiting { resend: Resend, give_up: Time },
    /// Acknowledged, or given up.
    Done,
}

/// One 2xx that waits for its ACK. Its owner sends it for the first time.
#[derive(Debug)]
pub struct Accept {
    tx: ServerTx,
    response: Response,
    state: State,
    out: VecDeque<AcceptOutput>,
}

impl Accept {
    /// `response` went out at `now` as the answer to `tx`.
    pub fn new(now: Time, config: &Config, tx: ServerTx, response: Response) -> Accept {
        let timers = Timers::new(config);
        let state = State::Waiting { resend: Resend::new(now, timers.t1, timers.t2), give_up: now + timers.long() };
        Accept { tx, response, state, out: VecDeque::new() }
    }

    /// The INVITE's transaction, which the resends go to.
    pub fn tx(&self) -> ServerTx {
        self.tx
    }

    /// True once the ACK came or was given up.
    pub fn is_done(&self) -> bool {
        matches!(self.state, State::Done)
    }

    /// The ACK came.
    pub fn handle_ack(&mut self) {
        self.enter(State::Done);
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Time) {
        match &mut self.state {
            State::Waiting { give_up, .. } if *give_up <= now => {
                self.out.push_back(AcceptOutput::GaveUp);
                self.enter(State::Done);
            }
            State::Waiting { resend, .. } => {
                if resend.is_due(now) {
                    self.out.push_back(AcceptOutput::Resend(self.response.clone()));
                }
            }
            State::Done => {}
        }
    }

    /// The next moment [`Self::handle_timeout`] has something to do.
    pub fn timeout(&self) -> Option<Time> {
        match self.state {
            State::Waiting { resend, give_up } => Some(resend.at().min(give_up)),
            State::Done => None,
        }
    }

    /// What to do next; drain it after every call.
    pub fn poll(&mut self) -> Option<AcceptOutput> {
        self.out.pop_front()
    }

    /// The only place the state changes, hence the only place that logs it.
    fn enter(&mut self, next: State) {
        tracing::debug!("accept of {}: {:?} -> {next:?}", self.tx.0, self.state);
        self.state = next;
    }
}
