//! An INVITE that takes the place of a call that is there (RFC 3891): the last step of an attended transfer by phones that
//! do it among themselves.

use super::{
    bridge::Joined,
    call::{Call, End, State},
    rules::TransferRule,
    switch::Switch,
};
use crate::{
    ids::CallId,
    sip::{Hop, Replaces, Request, ServerTx},
};

/// The call whose place a new one takes, and with whom that was.
#[derive(Clone, Copy)]
pub(super) struct Replaced {
    old: CallId,
    partner: CallId,
}

impl Switch {
    /// The call of ours that `replaces` names.
    pub(super) fn find_replaced(&self, replaces: &Replaces) -> Option<CallId> {
        let key = (replaces.call_id.clone(), replaces.to_tag.clone());
        let call = self.core.dialogs.get(&key).and_then(|id| self.calls.get(id))?;
        let State::Talking { dialog, .. } = &call.state else { return None };
        let theirs = dialog.remote.tag() == Some(replaces.from_tag.as_str());
        (theirs && call.over.is_none()).then_some(call.id)
    }

    /// A new call in the place of an old one, which has to be in a bridge of two.
    pub(super) fn on_replacing_invite(&mut self, tx: ServerTx, hop: Hop, request: Request) {
        let replaced = match self.judge_replaces(&request) {
            Ok(replaced) => replaced,
            Err(code) => return self.core.answer(tx, &request, code, &[]),
        };
        if self.draining.is_some() || self.calls.len() >= self.core.config.limits.calls {
            return self.core.answer_later(tx, &request);
        }
        let Some(mut call) = Call::incoming(&mut self.core, tx, hop, request) else { return };
        call.worker = self.calls.get(&replaced.partner).and_then(|partner| partner.port.worker());
        call.moving.replaces = Some(replaced);
        let id = call.id;
        let wanted = call.read_offer(&mut self.core);
        self.adopt(call);
        if wanted && let Some((call, core)) = self.call(id) {
            // It is ringing no more: the call is there already.
            let _ = call.answer(core);
        }
    }

    fn judge_replaces(&self, request: &Request) -> Result<Replaced, u16> {
        if self.core.config.rules.transfer == TransferRule::Nobody {
            return Err(403);
        }
        let replaces = request.headers.get("Replaces").and_then(Replaces::parse).ok_or(400u16)?;
        let old = self.find_replaced(&replaces).ok_or(481u16)?;
        if replaces.early_only {
            return Err(486);
        }
        match self.calls.get(&old).map(|call| &call.joined) {
            Some(Joined::Peer { peer, .. }) => Ok(Replaced { old, partner: *peer }),
            Some(Joined::Alone | Joined::Room(_) | Joined::Watch { .. }) | None => Err(481),
        }
    }

    /// A call that replaces another one is answered. False: this one replaces none.
    pub(super) fn replacement_answered(&mut self, id: CallId) -> bool {
        let Some(Replaced { old, partner }) = self.calls.get_mut(&id).and_then(|call| call.moving.replaces.take())
        else {
            return false;
        };
        let still = self
            .calls
            .get(&old)
            .is_some_and(|call| matches!(call.joined, Joined::Peer { peer, .. } if peer == partner));
        if still {
            self.connect_pair(partner, id);
            self.end_leg(old, End::TRANSFERRED);
        } else {
            self.end_leg(id, End::HUNG_UP);
        }
        true
    }

    /// A call that was to replace another one came to nothing: the other one goes on.
    pub(super) fn replacement_over(&mut self, id: CallId) {
        if let Some(call) = self.calls.get_mut(&id) {
            call.moving.replaces = None;
        }
    }

    /// No media could be had for a call that nobody but us answers.
    pub(super) fn replacement_without_media(&mut self, id: CallId, why: &str) {
        if self.calls.get(&id).is_some_and(|call| call.moving.replaces.is_some()) {
            self.end_leg(id, End::media(why.to_owned()));
        }
    }
}
