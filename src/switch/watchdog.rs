//! A call whose party is gone without a word. Where its audio is not watched, no session timer was agreed on, or the audio
//! does not come to us, nothing else would ever end it.
//!
//! ```text
//! Quiet ──nothing was heard for `watchdog`───────────────────────▶ asks (OPTIONS in the dialog) ──any answer──▶ Quiet
//!   └────its connection closed, nothing was heard for `cut`──────▶ asks
//!          asks ──none, 408 or 481 (RFC 3261 section 12.2.1.2)──▶ the call is over: reconciled; after a cut: transport_lost
//! ```
//!
//! A connection that closes ends no answered call by itself: the party may come back over another one, and its audio goes
//! another way in any case. Who waits for an answer over a WebSocket can get it no other way (RFC 7118 section 5): that call
//! is over at once, and with it the ringing elsewhere.

use super::{
    call::{Call, End, State},
    core::Core,
    switch::Switch,
    within::Purpose,
};
use crate::{
    sip::{Hop, Method, Transport},
    time::Time,
};

/// What is known of a party's being there.
#[derive(Debug, Default)]
pub(super) struct Watchdog {
    /// When to look again; absent: nobody watches.
    due: Option<Time>,
    /// Something came from it since the last look, be it the answer to our question.
    heard: bool,
    /// Packets that had come when somebody looked last.
    packets: u64,
    /// The question is out.
    asked: bool,
    /// Its connection closed, and nothing was heard since.
    cut: bool,
}

impl Watchdog {
    pub fn timeout(&self) -> Option<Time> {
        self.due
    }

    /// A request or an answer of the party came.
    pub fn hear(&mut self) {
        self.heard = true;
        self.cut = false;
    }
}

impl Call {
    /// The call is answered: from now on it is watched, where the operator wants that.
    pub fn watch(&mut self, core: &Core) {
        let every = core.config.rules.watchdog;
        self.watchdog.due = (!every.is_zero()).then(|| core.now + every);
    }

    /// The party's connection is gone: is it there without it?
    fn handle_cut(&mut self, core: &Core) {
        self.watchdog.cut = true;
        self.watchdog.heard = false;
        self.watchdog.packets = self.hearing.packets();
        self.watchdog.due = Some(core.now + core.config.rules.cut);
    }

    /// Was anything heard of the party meanwhile? Else it is asked.
    pub fn watch_timeout(&mut self, core: &mut Core) {
        if self.watchdog.due.is_none_or(|due| due > core.now) || self.over.is_some() {
            return;
        }
        self.watch(core);
        let packets = self.hearing.packets();
        let quiet = packets == self.watchdog.packets && !std::mem::take(&mut self.watchdog.heard);
        self.watchdog.packets = packets;
        self.watchdog.cut &= quiet;
        if !quiet || self.watchdog.asked {
            return;
        }
        let State::Talking { dialog, .. } = &mut self.state else { return };
        let request = dialog.request(Method::Options, &core.contact(dialog.hop));
        let hop = core.in_dialog(dialog);
        self.watchdog.asked = true;
        tracing::debug!(call = %self.name, "nothing was heard of the party; it is asked whether it is there");
        self.ask_peer(core, request, hop, Purpose::Alive);
    }

    /// What came of the question: a code, or nothing.
    pub fn watch_answered(&mut self, core: &mut Core, code: Option<u16>) {
        self.watchdog.asked = false;
        let why = match code {
            None => "and no answer to OPTIONS",
            Some(408) => "and 408 to OPTIONS",
            Some(481) => "and it does not know of the call (481)",
            Some(_) => return,
        };
        if self.over.is_some() {
            return;
        }
        tracing::warn!(call = %self.name, why, "the party is gone; the call is ended");
        if self.watchdog.cut {
            self.about.error = Some(format!("the party's connection closed, nothing was heard since, {why}"));
            return self.hang_up(core, End::CUT);
        }
        let silence = core.config.rules.watchdog.as_secs();
        self.about.error = Some(format!("watchdog: nothing was heard of the party for {silence} s, {why}"));
        self.hang_up(core, End::LEFT_BEHIND);
    }
}

impl Switch {
    /// A connection is gone. Where it carried calls they are looked for among all: who wants to cost us that must have
    /// begun a call over it, which costs more.
    pub(super) fn calls_cut(&mut self, hop: Hop) {
        if !self.core.carried(hop) {
            return;
        }
        let only_way = matches!(hop.transport, Transport::Ws | Transport::Wss);
        for (id, call) in &mut self.calls {
            match &call.state {
                State::Talking { dialog, .. } if dialog.hop == hop => call.handle_cut(&self.core),
                State::Incoming(incoming) if only_way && incoming.dialog.hop == hop => {
                    call.about
                        .error
                        .get_or_insert_with(|| "the caller's connection closed before the answer".to_owned());
                    call.hang_up(&mut self.core, End::CUT);
                }
                State::Talking { .. }
                | State::Incoming(_)
                | State::Accepting(_)
                | State::Locating(_)
                | State::Inviting(_)
                | State::Gone => continue,
            }
            self.dirty.insert(*id);
        }
    }
}
