//! The door: what every SIP message passes before it is read. See [`Guard`](super::guard) for who is kept out.

use bytes::Bytes;

use super::{
    core::Core,
    guard::{Guarded, Offence, Verdict},
    switch::Switch,
};
use crate::{
    sip::{Glance, Hop},
    time::Time,
};

/// Least and most that a log line about overload waits for the next one.
const QUIET: std::time::Duration = std::time::Duration::from_secs(10);

/// How far behind we are.
#[derive(Debug, Default)]
pub(super) struct Overload {
    /// How long new requests wait at the moment, as told by [`super::Input::Waited`].
    pub waited: std::time::Duration,
    /// When it was last told, and how many calls had been shed by then.
    told: Option<(Time, u64)>,
}

impl Switch {
    /// One whole message came. What may come in is read; a new call that we have no time for is not.
    pub(super) fn on_datagram(&mut self, hop: Hop, bytes: &Bytes) {
        if !self.is_let_in(hop, bytes) {
            return;
        }
        self.see(false, hop, bytes);
        let core = &mut self.core;
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
        let behind = core.is_behind();
        let trusted = core.guard.trusts(ip);
        if trusted && !behind {
            return core.guard.admit(core.now, hop.interface, ip, false) == Verdict::Admitted;
        }
        let glance = Glance::new(bytes);
        let known = glance.call_id.as_deref().is_some_and(|id| core.knows(id));
        if core.guard.admit(core.now, hop.interface, ip, !known) != Verdict::Admitted {
            return false;
        }
        if !trusted && core.is_scanner(&glance) {
            core.guard.note(core.now, ip, Offence::Scanner);
            return false;
        }
        if behind && !known && glance.is_new_call() {
            let retry_after = core.config.retry_after.as_secs().max(1);
            if core.stack.shed(hop, bytes, retry_after) {
                core.guard.count_shed();
                core.tell_overload();
                return false;
            }
        }
        true
    }
}

impl Core {
    fn is_behind(&self) -> bool {
        let limit = self.guard.config().shed_after;
        !limit.is_zero() && self.overload.waited > limit
    }

    /// True where a call of this Call-ID is there.
    fn knows(&self, call_id: &str) -> bool {
        let first = (call_id.to_owned(), String::new());
        self.dialogs.range(first..).next().is_some_and(|((id, _), _)| id == call_id)
    }

    fn is_scanner(&self, glance: &Glance<'_>) -> bool {
        let Some(agent) = glance.agent.as_deref().map(str::to_lowercase) else { return false };
        self.guard.config().scanners.iter().any(|name| agent.contains(name.as_str()))
    }

    /// An alarm when it begins, and every while as long as it lasts.
    fn tell_overload(&mut self) {
        let shed = self.guard.counters().shed;
        let (last, before) = self.overload.told.map_or((None, shed - 1), |(at, shed)| (Some(at), shed));
        if last.is_some_and(|at| self.now - at < QUIET) {
            return;
        }
        let waited = self.overload.waited.as_millis();
        tracing::warn!(waited_ms = waited, calls = shed - before, "overload: new calls get 503");
        self.overload.told = Some((self.now, shed));
    }
}
