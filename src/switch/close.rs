//! The end of a call: BYE, CANCEL or a refusal, as its state asks for (RFC 3261 sections 9 and 15).

use super::{
    call::{Call, End, State},
    core::Core,
};
use crate::sip::{Method, Request, ServerTx};

impl Call {
    /// End the call from our side.
    pub fn hang_up(&mut self, core: &mut Core, end: End) {
        let code = end.code;
        match &mut self.state {
            State::Incoming(_) => self.refuse(core, code, None, &[], end),
            State::Accepting(accepting) => {
                // No BYE before the ACK (section 15): it follows as soon as the ACK is here or given up.
                accepting.ending = true;
                self.decide(core, end, Some(200));
            }
            State::Locating(_) => self.decide_gone(core, end),
            State::Inviting(_) => {
                self.cancel_invite(core, end.cancel_reason());
                self.decide(core, end, Some(487));
            }
            State::Talking { .. } => {
                self.say_bye(core);
                self.decide(core, end, Some(200));
            }
            State::Gone => self.decide(core, end, None),
        }
    }

    /// The end of a call of which the peer knows nothing.
    pub fn decide_gone(&mut self, core: &mut Core, end: End) {
        self.decide_gone_with(core, end, None);
    }

    pub fn decide_gone_with(&mut self, core: &mut Core, end: End, code: Option<u16>) {
        if let State::Locating(locating) = self.enter(State::Gone)
            && let Some(query) = locating.query
        {
            core.queries.remove(&query);
        }
        self.decide(core, end, code);
    }

    /// BYE; nobody waits for its answer.
    pub fn say_bye(&mut self, core: &mut Core) {
        let State::Talking { mut dialog, .. } = self.enter(State::Gone) else { return };
        let bye = dialog.request(Method::Bye, &core.contact(dialog.hop));
        core.stack.request(core.now, bye, core.in_dialog(&dialog));
    }

    /// The peer hangs up.
    pub fn handle_bye(&mut self, core: &mut Core, tx: ServerTx, request: &Request) {
        core.answer(tx, request, 200, &[]);
        match &self.state {
            // A caller may end its early dialog so (section 15); its INVITE still wants an answer.
            State::Incoming(_) => self.refuse(core, 487, None, &[], End::BY_PARTY),
            // The ACK was lost.
            State::Accepting(_) => {
                self.about.answered.get_or_insert(core.now);
                self.enter(State::Gone);
                self.decide(core, End::BY_PARTY, Some(200));
            }
            State::Talking { .. } => {
                self.enter(State::Gone);
                self.decide(core, End::BY_PARTY, Some(200));
            }
            // Only the caller of an early dialog may end it so: our INVITE's own answer counts.
            State::Inviting(_) | State::Locating(_) | State::Gone => {}
        }
    }
}
