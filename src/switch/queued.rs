//! Outgoing calls that wait for their turn: the carriers that would take them have as many calls, or as many new ones a
//! second, as they may. Whoever came first goes first; status `queued`, and no INVITE, until then.
//!
//! ```text
//! Locating ──every carrier is full──▶ waits ──one has room, and nobody waits before it──▶ Locating ──▶ Inviting
//!                                       └──the carriers' `queue_s` is over──▶ fails as without waiting
//! ```

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use super::{
    TraceEvent,
    call::{Call, End, Notice, State},
    core::Core,
    trunk::{Full, Way},
};
use crate::{ids::CallId, time::Time};

/// Who waits for which carrier, in the order of their coming.
#[derive(Default)]
pub(super) struct Lines {
    lines: BTreeMap<Arc<str>, VecDeque<CallId>>,
}

impl Lines {
    /// Somebody else waits for this carrier, and came before this call.
    pub fn has_others_before(&self, trunk: &str, call: CallId) -> bool {
        self.lines.get(trunk).and_then(VecDeque::front).is_some_and(|first| *first != call)
    }

    fn join(&mut self, trunk: &Arc<str>, call: CallId) {
        let line = self.lines.entry(trunk.clone()).or_default();
        if !line.contains(&call) {
            line.push_back(call);
        }
    }

    /// It waits nowhere any more. Gives the carriers whose first in line it was.
    fn leave(&mut self, call: CallId) -> Vec<Arc<str>> {
        let mut freed = Vec::new();
        self.lines.retain(|trunk, line| {
            if line.front() == Some(&call) {
                freed.push(trunk.clone());
            }
            line.retain(|waiting| *waiting != call);
            !line.is_empty()
        });
        freed
    }
}

/// A call's wait for its turn.
#[derive(Default)]
pub(super) struct Turn {
    /// The ways that have no room now, and when it may be worth another try; absent: when somebody leaves.
    full: Vec<(Way, Option<Time>)>,
    /// Since when it waits, and until when.
    waiting: Option<(Time, Time)>,
}

impl Turn {
    /// It waits.
    pub fn is_waiting(&self) -> bool {
        self.waiting.is_some()
    }

    /// When something is due.
    pub fn timeout(&self) -> Option<Time> {
        let (_, until) = self.waiting?;
        let again = self.full.iter().filter_map(|(_, again)| *again).min();
        Time::soonest(again, Some(until))
    }

    /// This way has no room now: it may be worth waiting for.
    pub fn note(&mut self, now: Time, patience: Duration, way: &Way, full: Full) {
        if patience.is_zero() {
            return;
        }
        match full {
            Full::Calls => self.full.push((way.clone(), None)),
            Full::Pace(wait) => self.full.push((way.clone(), Some(now + wait))),
            Full::Cap | Full::Gone => {}
        }
    }
}

impl Call {
    /// Every way is full, and some are worth waiting for: take a place in their lines. False: none is.
    pub fn wait_for_turn(&mut self, core: &mut Core) -> bool {
        let State::Locating(locating) = &mut self.state else { return false };
        let turn = &mut locating.outgoing.carrier.turn;
        if turn.full.is_empty() {
            return false;
        }
        for (way, _) in &turn.full {
            core.lines.join(&way.trunk, self.id);
        }
        if turn.waiting.is_none() {
            let patience = |way: &Way| core.config.trunking.trunk(&way.trunk).map(|trunk| trunk.queue);
            let longest = turn.full.iter().filter_map(|(way, _)| patience(way)).max().unwrap_or_default();
            turn.waiting = Some((core.now, core.now + longest));
            tracing::info!(call = %self.name, ?longest, "waits for a trunk");
            core.trace(self.id, TraceEvent::Call("every trunk is full: it waits for its turn".to_owned()));
        }
        true
    }

    /// Somebody left a carrier that it waits for, or time passed.
    pub fn try_turn(&mut self, core: &mut Core) {
        let State::Locating(locating) = &mut self.state else { return };
        let outgoing = &mut locating.outgoing;
        let Some((since, until)) = outgoing.carrier.turn.waiting else { return };
        let full = std::mem::take(&mut outgoing.carrier.turn.full);
        if until <= core.now {
            let trunks: Vec<&str> = full.iter().map(|(way, _)| &*way.trunk).collect();
            let waited = (until - since).as_secs();
            self.about.error = Some(format!("waited {waited} s for room in trunk {}", trunks.join(", ")));
            let end = outgoing.failed.take().unwrap_or(End::UNREACHABLE);
            let code = end.code;
            return self.decide_gone_with(core, end, Some(code));
        }
        outgoing.carrier.ways.extend(full.into_iter().map(|(way, _)| way));
        self.locate(core);
    }

    /// It has its turn, and the time that it waited is none in which it rang.
    pub fn has_turn(&mut self, core: &mut Core) {
        if let State::Locating(locating) = &mut self.state
            && let Some((since, _)) = std::mem::take(&mut locating.outgoing.carrier.turn).waiting
        {
            locating.outgoing.give_up += core.now - since;
            locating.outgoing.failed = None;
        }
        core.leave_lines(self.id);
    }
}

impl Core {
    /// A call waits for no carrier any more: who came after it may have its turn.
    pub fn leave_lines(&mut self, call: CallId) {
        for trunk in self.lines.leave(call) {
            self.call_next(&trunk);
        }
    }

    /// Carriers may have more room than before.
    pub fn call_all(&mut self) {
        let all: Vec<Arc<str>> = self.lines.lines.keys().cloned().collect();
        all.iter().for_each(|trunk| self.call_next(trunk));
    }

    /// A carrier may have room: whoever waits for it longest shall try.
    pub fn call_next(&mut self, trunk: &str) {
        if let Some(first) = self.lines.lines.get(trunk).and_then(VecDeque::front) {
            self.notices.push_back((*first, Notice::Turn));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_waits_longest_is_first_in_each_line() {
        let (a, b): (Arc<str>, Arc<str>) = ("a".into(), "b".into());
        let mut lines = Lines::default();
        lines.join(&a, CallId(1));
        lines.join(&a, CallId(2));
        lines.join(&b, CallId(2));
        lines.join(&a, CallId(1));
        assert!(!lines.has_others_before("a", CallId(1)) && lines.has_others_before("a", CallId(2)));
        assert!(!lines.has_others_before("b", CallId(2)) && !lines.has_others_before("c", CallId(9)));
        assert_eq!(lines.leave(CallId(2)), [b]);
        assert_eq!(lines.leave(CallId(1)), [a]);
        assert!(lines.lines.is_empty());
    }
}
