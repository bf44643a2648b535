//! The next place within one try (RFC 3263 section 4.3): one that refuses, breaks, says 503 or says nothing is left for
//! the next one of its name, and is tried last for a while by all calls.

use super::{
    call::{Call, End, State},
    carriers::CallFault,
    connect::{Inviting, Locating},
    core::Core,
    forks::Sent,
    target,
};
use crate::{
    ids::QueryId,
    sip::{ClientTx, Dialog, Hop, Target},
};

impl Call {
    /// The name was looked up. Places that none of our interfaces reaches do not count.
    pub fn handle_resolved(&mut self, core: &mut Core, query: QueryId, result: Result<Vec<Target>, String>) {
        let State::Locating(locating) = &mut self.state else { return };
        if locating.query != Some(query) {
            return;
        }
        locating.query = None;
        match result {
            Ok(mut places) => {
                places.retain(|place| target::hop(&core.config.sip, *place).is_some());
                core.failover.put_in_order(core.now, &mut places);
                locating.places = places.into();
                self.try_next(core);
            }
            Err(why) => self.target_failed(core, End::UNREACHABLE, &why),
        }
    }

    /// An answer came to our INVITE, whatever it says.
    pub fn hear(&mut self, core: &mut Core, tx: ClientTx, code: u16) {
        let State::Inviting(inviting) = &mut self.state else { return };
        if inviting.tx != tx {
            return;
        }
        match code {
            100 if inviting.trying => {}
            100 => {
                let carrier = inviting.outgoing.carrier.now.as_ref();
                let trunk = carrier.and_then(|way| core.config.trunking.trunk(&way.trunk));
                let patience = trunk.map(|trunk| trunk.progress).filter(|patience| !patience.is_zero());
                (inviting.silent, inviting.trying) = (patience.map(|patience| core.now + patience), true);
            }
            _ => inviting.silent = None,
        }
        match code {
            503 => self.place_failed(core),
            _ => core.failover.worked(place(inviting.hop)),
        }
    }

    /// Nothing can be had from where the INVITE went.
    pub fn place_failed(&mut self, core: &mut Core) {
        if let State::Inviting(inviting) = &self.state {
            core.failover.failed(core.now, place(inviting.hop), core.config.limits.avoid);
        }
    }

    /// Nobody said a word, or a carrier nothing but 100. Where there is a next place or target, go there; what may still come from here is answered,
    /// and ended.
    pub fn leave_silent(&mut self, core: &mut Core) {
        let State::Inviting(inviting) = &mut self.state else { return };
        inviting.silent = None;
        // The port that the offer names is of one address family.
        let family = inviting.hop.remote.is_ipv6();
        inviting.places.retain(|place| place.address.is_ipv6() == family);
        let outgoing = &inviting.outgoing;
        let onward = outgoing.carrier.goes_on(core, 408, false);
        if inviting.places.is_empty() && outgoing.targets.is_empty() && !onward {
            return;
        }
        self.blame(core, CallFault::Silent);
        let State::Inviting(inviting) = &self.state else { return };
        // A proxy that says 100 is there: it is what lies behind it that is not.
        if !inviting.trying {
            self.place_failed(core);
        }
        let State::Inviting(inviting) = self.enter(State::Gone) else { return };
        let Inviting { outgoing, uri, places, tx, request, hop, .. } = *inviting;
        tracing::info!(call = %self.name, from = %hop.remote, "no answer: on to the next place");
        core.transactions.remove(&tx);
        core.stack.abandon(core.now, tx);
        core.left.push(Sent::new(tx, request, hop));
        let next = places.is_empty();
        self.enter(State::Locating(Box::new(Locating { outgoing, uri, places, query: None })));
        if next { self.locate(core) } else { self.try_next(core) }
    }
}

impl Core {
    /// Where a dialog's requests go, as [`target::in_dialog`] says; but not over a connection that is gone where
    /// the peer named an address that a new one can be made to.
    pub fn in_dialog(&self, dialog: &Dialog) -> Hop {
        let hop = target::in_dialog(dialog);
        if !self.closed.contains(&hop) {
            return hop;
        }
        target::anew(dialog).unwrap_or(hop)
    }

    /// A connection is gone. It is remembered until something comes over one of the same name.
    pub fn link_closed(&mut self, hop: Hop) {
        if hop.transport.is_reliable() {
            if self.closed.len() >= CLOSED {
                self.closed.pop_first();
            }
            self.closed.insert(hop);
        }
    }
}

/// Closed connections that are remembered.
const CLOSED: usize = 65_536;

fn place(hop: Hop) -> Target {
    Target { transport: hop.transport, address: hop.remote }
}
