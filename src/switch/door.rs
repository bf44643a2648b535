//! The door: what every SIP message passes before it is read. See [`Guard`](super::guard) for who is kept out.

use bytes::Bytes;

use super::{
    core::Core,
    guard::{Guarded, Offence, Verdict},
    switch::Switch,
    trunk,
};
use crate::sip::{Glance, Hop, Transport};

impl Switch {
    /// One whole message came. What may come in is read; a new call or message that we have no time for is not.
    pub(super) fn on_datagram(&mut self, hop: Hop, bytes: &Bytes) {
        if !self.is_let_in(hop, bytes) {
            return;
        }
        self.see(false, hop, bytes);
        let core = &mut self.core;
        core.closed.remove(&hop);
        let before = core.stack.counters().malformed;
        core.stack.handle_datagram(core.now, hop, bytes);
        if core.stack.counters().malformed > before {
            core.guard.note(core.now, hop.remote.ip(), Offence::Malformed);
        }
    }

    /// What was kept out so far.
    pub fn guarded(&self) -> Guarded {
        self.core.guard.counters()
    }

    fn is_let_in(&mut self, hop: Hop, bytes: &[u8]) -> bool {
        let core = &mut self.core;
        let ip = hop.remote.ip();
        let behind = core.overload.sheds();
        let trusted = core.guard.trusts(ip);
        if trusted && !behind {
            return core.guard.admit(core.now, hop.interface, ip, false) == Verdict::Admitted;
        }
        let glance = Glance::new(bytes);
        if glance.idle && glance.method.as_deref() == Some("ACK") {
            // The ACK of a 503 that left no trace.
            return false;
        }
        let known = glance.call_id.as_deref().is_some_and(|id| core.knows(id));
        if core.guard.admit(core.now, hop.interface, ip, !known) != Verdict::Admitted {
            return false;
        }
        if !trusted && core.is_scanner(&glance) {
            core.guard.note(core.now, ip, Offence::Scanner);
            return false;
        }
        !(behind && !known && glance.is_new_work() && !core.is_urgent(&glance) && core.shed(hop, bytes))
    }
}

impl Core {
    /// Gets rid of what begins something. False: it is to be read.
    fn shed(&mut self, hop: Hop, bytes: &[u8]) -> bool {
        // Over a connection nothing gets lost: who is not answered there waits for half a minute.
        if hop.transport == Transport::Udp && !self.overload.may_answer(self.now, self.guard.config().shed_answers) {
            self.guard.count_unanswered();
            return true;
        }
        let retry_after = self.config.retry_after.as_secs().max(1);
        let shed = self.stack.shed(hop, bytes, retry_after);
        if shed {
            self.guard.count_shed();
        }
        shed
    }

    /// True where a call of this Call-ID is there.
    fn knows(&self, call_id: &str) -> bool {
        let first = (call_id.to_owned(), String::new());
        self.dialogs.range(first..).next().is_some_and(|((id, _), _)| id == call_id)
    }

    /// A call for help passes: it has room of its own, and no more than that.
    fn is_urgent(&self, glance: &Glance<'_>) -> bool {
        glance.number.as_deref().is_some_and(|number| trunk::is_emergency(&self.config.trunking, number))
    }

    fn is_scanner(&self, glance: &Glance<'_>) -> bool {
        let Some(agent) = glance.agent.as_deref().map(str::to_lowercase) else { return false };
        self.guard.config().scanners.iter().any(|name| agent.contains(name.as_str()))
    }
}
