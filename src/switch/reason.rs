//! Reason and its Q.850 cause (RFC 3326) from one leg to the other: what a peer says about the end of its call is repeated
//! to the one whose call ends because of that.

use std::time::Duration;

use super::{
    bridge::Joined,
    call::{Call, State},
    core::Core,
    switch::Switch,
};
use crate::{
    ids::CallId,
    sip::{Headers, Reason},
    time::Time,
};

/// A leg that ends later than that after the other one ends for reasons of its own.
const AT_ONCE: Duration = Duration::from_secs(1);

/// What is known about why a call ends.
#[derive(Default)]
pub(super) struct Why {
    /// What the call's own peer said.
    said: Option<Reason>,
    /// What the other leg's peer said, and when.
    other: Option<(Time, Reason)>,
    /// The Q.850 cause that the peer gave.
    pub cause: Option<u8>,
}

impl Call {
    /// The peer ends the call, or refuses it.
    pub fn hear_reason(&mut self, headers: &Headers) {
        self.why.said = Reason::of(headers);
        self.why.cause = self.why.said.as_ref().and_then(Reason::cause).or(self.why.cause);
    }

    /// What we say about the end, where it follows at once from that of the other leg.
    pub fn give_reason(&self, core: &Core, headers: &mut Headers) {
        if let Some(reason) = self.reason(core) {
            headers.set("Reason", reason);
        }
    }

    /// The value of Reason for our BYE, CANCEL or refusal.
    pub fn reason(&self, core: &Core) -> Option<String> {
        let (at, reason) = self.why.other.as_ref()?;
        (core.now - *at <= AT_ONCE).then(|| reason.to_string())
    }
}

impl Switch {
    /// A call is over: tell its partner, its legs, or the one for whom it was rung, why.
    pub(super) fn pass_reason_on(&mut self, id: CallId) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        let Some(reason) = call.why.said.take() else { return };
        let partner = match call.joined {
            Joined::Peer { peer, .. } => Some(peer),
            Joined::Alone | Joined::Room(_) | Joined::Watch { .. } => None,
        };
        let parent = call.parent.filter(|_| !call.is_answered());
        let legs = call.legs.clone();
        let parent = parent
            .filter(|parent| self.calls.get(parent).is_some_and(|parent| matches!(parent.state, State::Incoming(_))));
        let now = self.core.now;
        for other in partner.into_iter().chain(parent).chain(legs) {
            if let Some(call) = self.calls.get_mut(&other) {
                call.why.other = Some((now, reason.clone()));
            }
        }
    }
}
