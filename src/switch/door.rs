//! The door: what every SIP message passes before it is read. See [`Guard`](super::guard) for who is kept out.

use std::time::Duration;

use bytes::Bytes;

use super::{
    core::Core,
    guard::{Guarded, Offence, Verdict},
    switch::Switch,
    trunk,
};
use crate::{
    sip::{Glance, Hop},
    time::Time,
};

/// How long a log line about overload waits for the next one.
const QUIET: Duration = Duration::from_secs(10);
/// New calls must wait too long for so long before the first one is shed: a burst, or a moment in which the machine did
/// something else, is made up for.
const LASTING: Duration = Duration::from_millis(500);
/// And so long without too long a wait ends it.
const RELIEF: Duration = Duration::from_secs(1);

/// How far behind we are.
#[derive(Debug, Default)]
pub(super) enum Overload {
    #[default]
    No,
    /// New calls wait too long since then.
    Perhaps { since: Time },
    /// They are shed. When one waited too long for the last time, whether the present one does, and when that was told.
    Yes { last: Time, now: bool, told: Time, before: u64 },
}

impl Overload {
    /// New requests wait for so long at the moment.
    fn next(self, now: Time, late: bool, shed: u64) -> Overload {
        match self {
            Overload::No if late => Overload::Perhaps { since: now },
            Overload::Perhaps { since } if late && now - since >= LASTING => {
                tracing::warn!("overload begins: new calls and messages get 503");
                Overload::Yes { last: now, now: true, told: now, before: shed }
            }
            Overload::Perhaps { since } if late => Overload::Perhaps { since },
            Overload::Yes { told, before, .. } if late => {
                let again = now - told >= QUIET;
                if again {
                    tracing::warn!(calls = shed - before, "overload goes on: so many new calls and messages got 503");
                }
                let (told, before) = if again { (now, shed) } else { (told, before) };
                Overload::Yes { last: now, now: true, told, before }
            }
            Overload::Yes { last, told, before, .. } if now - last < RELIEF => {
                Overload::Yes { last, now: false, told, before }
            }
            Overload::Yes { before, .. } => {
                tracing::warn!(
                    calls = shed - before,
                    "overload is over: so many new calls and messages got 503 since it was last told"
                );
                Overload::No
            }
            Overload::No | Overload::Perhaps { .. } => Overload::No,
        }
    }

    /// A new call that comes now is to be shed.
    const fn sheds(&self) -> bool {
        match self {
            Overload::Yes { now, .. } => *now,
            Overload::No | Overload::Perhaps { .. } => false,
        }
    }
}

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
        let known = glance.call_id.as_deref().is_some_and(|id| core.knows(id));
        if core.guard.admit(core.now, hop.interface, ip, !known) != Verdict::Admitted {
            return false;
        }
        if !trusted && core.is_scanner(&glance) {
            core.guard.note(core.now, ip, Offence::Scanner);
            return false;
        }
        if behind && !known && glance.is_new_work() && !core.is_urgent(&glance) {
            let retry_after = core.config.retry_after.as_secs().max(1);
            if core.stack.shed(hop, bytes, retry_after) {
                core.guard.count_shed();
                return false;
            }
        }
        true
    }
}

impl Core {
    /// New requests wait for so long at the moment.
    pub(super) fn on_waited(&mut self, waited: Duration) {
        let limit = self.guard.config().shed_after;
        let late = !limit.is_zero() && waited > limit;
        let shed = self.guard.counters().shed;
        self.overload = std::mem::take(&mut self.overload).next(self.now, late, shed);
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
