//! An INVITE that takes the place of a call that is there (RFC 3891): the last step of an attended transfer by phones that
//! do it among themselves.

use super::{
    bridge::Joined,
    call::{Call, End, State},
    desk::Who,
    rules::TransferRule,
    switch::Switch,
};
use crate::{
    ids::CallId,
    sip::{Hop, Replaces, Request, ServerTx},
};

/// The call whose place a new one takes.
#[derive(Clone, Copy)]
pub(super) enum Replaced {
    /// It is connected with this partner.
    Connected { old: CallId, partner: CallId },
    /// It rings a phone for this caller: the new one picks it up.
    Ringing { leg: CallId, caller: CallId },
}

impl Replaced {
    /// Who will talk with the new call.
    fn partner(self) -> CallId {
        match self {
            Replaced::Connected { partner, .. } => partner,
            Replaced::Ringing { caller, .. } => caller,
        }
    }
}

impl Switch {
    /// The call of ours that `replaces` names.
    pub(super) fn find_replaced(&self, replaces: &Replaces) -> Option<CallId> {
        let key = (replaces.call_id.clone(), replaces.to_tag.clone());
        let call = self.core.dialogs.get(&key).and_then(|id| self.calls.get(id))?;
        let State::Talking { dialog, .. } = &call.state else { return None };
        let theirs = dialog.remote.tag() == Some(replaces.from_tag.as_str());
        (theirs && call.over.is_none() && call.direct.is_none()).then_some(call.id)
    }

    /// The phone that rings in the early dialog that `replaces` names, and for whom. We made it, so it may be replaced
    /// (RFC 3891 section 3).
    fn find_ringing(&self, replaces: &Replaces) -> Option<Replaced> {
        let key = (replaces.call_id.clone(), replaces.to_tag.clone());
        let call = self.core.dialogs.get(&key).and_then(|id| self.calls.get(id)).filter(|call| call.over.is_none())?;
        let State::Inviting(inviting) = &call.state else { return None };
        let theirs = |tag: Option<&str>| tag == Some(replaces.from_tag.as_str());
        let named = inviting.earlies.iter().any(|early| theirs(early.dialog.remote.tag()));
        let caller = call.parent.filter(|_| named)?;
        Some(Replaced::Ringing { leg: call.id, caller })
    }

    /// A new call in the place of an old one, which has to be in a bridge of two, or to ring a phone.
    pub(super) fn on_replacing_invite(&mut self, tx: ServerTx, hop: Hop, request: Request) {
        let core = &mut self.core;
        if core.config.rules.transfer == TransferRule::Nobody {
            return core.answer(tx, &request, 403, &[]);
        }
        // The names of a dialog are a secret, but who takes a call also says who he is (section 6).
        let source = hop.remote.ip();
        let carrier =
            core.trunks.of(&core.config.trunking, source).or_else(|| core.links.registered_at(source)).is_some();
        let who = if carrier { Some(Who::Guest) } else { core.admit(tx, hop, &request) };
        let Some(who) = who else { return };
        let replaced = match self.judge_replaces(&request, &who) {
            Ok(replaced) => replaced,
            Err(code) => return self.core.answer(tx, &request, code, &[]),
        };
        if self.draining.is_some() || self.calls.len() >= self.core.config.limits.calls {
            return self.core.answer_later(tx, &request);
        }
        let Some(mut call) = Call::incoming(&mut self.core, tx, hop, request) else { return };
        call.take_phone(&self.core, who.phone());
        call.worker = self.calls.get(&replaced.partner()).and_then(|partner| partner.port.worker());
        call.moving.replaces = Some(replaced);
        let id = call.id;
        let wanted = call.read_offer(&mut self.core, false);
        self.adopt(call);
        if wanted && let Some((call, core)) = self.call(id) {
            // It is ringing no more: the call is there already.
            let _ = call.answer(core);
        }
    }

    fn judge_replaces(&mut self, request: &Request, who: &Who) -> Result<Replaced, u16> {
        let replaces = request.headers.get("Replaces").and_then(Replaces::parse).ok_or(400u16)?;
        if let Some(ringing) = self.find_ringing(&replaces) {
            // Only a phone may pick up what rings another one.
            let Replaced::Ringing { leg, caller } = ringing else { return Err(481) };
            let rings = self.place_in_hunt(caller, leg).is_some();
            return if who.phone().is_none() { Err(403) } else { rings.then_some(ringing).ok_or(481) };
        }
        let old = self.find_replaced(&replaces).ok_or(481u16)?;
        if replaces.early_only {
            return Err(486);
        }
        match self.calls.get(&old).map(|call| &call.joined) {
            Some(Joined::Peer { peer, .. }) => Ok(Replaced::Connected { old, partner: *peer }),
            Some(Joined::Alone | Joined::Room(_) | Joined::Watch { .. }) | None => Err(481),
        }
    }

    /// A call that replaces another one is answered. False: this one replaces none.
    pub(super) fn replacement_answered(&mut self, id: CallId) -> bool {
        match self.calls.get_mut(&id).and_then(|call| call.moving.replaces.take()) {
            None => return false,
            Some(Replaced::Ringing { leg, caller }) => self.pick_up_ringing(id, leg, caller),
            Some(Replaced::Connected { old, partner }) => {
                let joined = self.calls.get(&old).map(|call| &call.joined);
                if matches!(joined, Some(Joined::Peer { peer, .. }) if *peer == partner) {
                    self.connect_pair(partner, id);
                    self.end_leg(old, End::TRANSFERRED);
                } else {
                    self.end_leg(id, End::HUNG_UP);
                }
            }
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
