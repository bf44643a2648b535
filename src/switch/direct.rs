//! Calls whose audio goes from one party to the other without us: what each says of its media is handed to the other as
//! it stands, at first and whenever it changes. Such a call has no port. It cannot be played to, recorded or moved.
//!
//! ```text
//! INVITE ─offer─▶ INVITE ... 18x, 200 ─answer─▶ 18x, 200
//! re-INVITE, UPDATE ─offer─▶ re-INVITE ... its answer ─▶ answer to the first
//! ```
//!
//! A description that says nothing new (a refresh of the session) is answered at once with what the other one said last.

use bytes::Bytes;

use super::{
    accept::description,
    bridge::Joined,
    call::{Call, End, Notice, State},
    core::{Core, SDP},
    switch::Switch,
};
use crate::{
    ids::CallId,
    sip::{Method, Request, Response, ServerTx},
    verbs::Failure,
};

/// What the two parties said of their media.
#[derive(Default)]
pub(super) struct Direct {
    /// What this call's party said last.
    pub theirs: Bytes,
    /// What it was told last: the other party's words.
    pub ours: Bytes,
    /// An offer of this party's that waits for the other one's answer.
    pub waiting: Option<(ServerTx, Request)>,
}

impl Call {
    /// A provisional answer describes the target's media.
    pub fn hear_early(&mut self, core: &mut Core, response: &Response) -> bool {
        let Some(direct) = &mut self.direct else { return false };
        let described = matches!(description(&response.headers, &response.body), Ok(Some(_)));
        if described && direct.theirs.is_empty() {
            direct.theirs = response.body.clone();
            core.tell(self.id, Notice::EarlyMedia);
        }
        true
    }

    /// The target's answer came.
    pub fn hear_answer(&mut self, core: &mut Core, response: &Response) {
        let Some(direct) = &mut self.direct else { return };
        let why = match description(&response.headers, &response.body) {
            Ok(Some(_)) => {
                direct.theirs = response.body.clone();
                None
            }
            // It came in this dialog's 18x.
            Ok(None) if !direct.theirs.is_empty() => None,
            Ok(None) => Some("the answer has no session description".to_owned()),
            Err(bad) => Some(bad.why),
        };
        match why {
            None => core.tell(self.id, Notice::Answered),
            Some(why) => {
                self.about.error = Some(why.clone());
                self.hang_up(core, End::media(why));
            }
        }
    }

    /// A re-INVITE or UPDATE of the party's. False: this call's media come to us.
    pub fn pass_on(&mut self, core: &mut Core, tx: ServerTx, request: &Request) -> bool {
        let Some(direct) = &mut self.direct else { return false };
        if direct.waiting.is_some() {
            core.answer(tx, request, 491, &[]);
        } else if request.body.is_empty() || request.body == direct.theirs {
            let ours = direct.ours.clone();
            self.answer_directly(core, tx, request, ours);
        } else {
            direct.waiting = Some((tx, request.clone()));
            core.tell(self.id, Notice::Described);
        }
        true
    }

    pub fn answer_directly(&mut self, core: &mut Core, tx: ServerTx, request: &Request, body: Bytes) {
        if request.method == Method::Invite {
            return self.accept_reinvite(core, tx, request, body, None);
        }
        let State::Talking { dialog, .. } = &mut self.state else { return core.answer(tx, request, 481, &[]) };
        dialog.refresh_target(&request.headers);
        let hop = dialog.hop;
        let mut response = request.response(200, None);
        core.introduce(&mut response.headers, hop);
        self.agree_session(core, &request.headers, &mut response);
        if !request.body.is_empty() {
            response.headers.set("Content-Type", SDP);
            response.body = body;
        }
        core.respond(tx, response);
    }

    /// The ACK of a re-INVITE without an offer brings the party's answer to the other one's words.
    pub fn hear_acknowledged(&mut self, core: &mut Core, ack: &Request) {
        let Some(direct) = &mut self.direct else { return };
        if !ack.body.is_empty() && ack.body != direct.theirs {
            direct.theirs = ack.body.clone();
            core.tell(self.id, Notice::Described);
        }
    }

    /// The party answered our re-INVITE.
    pub fn hear_reoffered(&mut self, core: &mut Core, response: &Response) {
        let Some(direct) = &mut self.direct else { return };
        if !response.body.is_empty() {
            direct.theirs = response.body.clone();
        }
        core.tell(self.id, Notice::Reoffered(Ok(())));
    }

    /// Nobody will answer what waits.
    pub fn drop_described(&mut self, core: &mut Core, code: u16) {
        if let Some((tx, request)) = self.direct.as_mut().and_then(|direct| direct.waiting.take()) {
            core.answer(tx, &request, code, &[]);
        }
    }
}

impl Switch {
    /// The early answer of `leg` goes to the caller, where it is the only one who is rung.
    pub(super) fn early_directly(&mut self, caller: CallId, leg: CallId) {
        let theirs = self.calls.get(&leg).and_then(|leg| leg.direct.as_ref()).map(|direct| direct.theirs.clone());
        if let Some((call, core)) = self.call(caller)
            && let Some(direct) = &mut call.direct
        {
            direct.ours = theirs.unwrap_or_default();
            call.progress_directly(core);
        }
    }

    /// What `leg` answered is what the caller will be told.
    pub(super) fn hand_answer(&mut self, caller: CallId, leg: CallId) {
        let theirs = self.calls.get(&leg).and_then(|leg| leg.direct.as_ref()).map(|direct| direct.theirs.clone());
        if let Some((call, _)) = self.call(caller)
            && let (Some(direct), Some(theirs)) = (&mut call.direct, theirs)
        {
            direct.ours = theirs;
        }
    }

    pub(super) fn partner(&self, id: CallId) -> Option<CallId> {
        match self.calls.get(&id)?.joined {
            Joined::Peer { peer, .. } => Some(peer),
            Joined::Alone | Joined::Room(_) | Joined::Watch { .. } => None,
        }
    }

    /// A party describes its media anew: the other one is asked.
    pub(super) fn on_described(&mut self, id: CallId) {
        if self.recorder_described(id) {
            return;
        }
        let direct = self.calls.get(&id).and_then(|call| call.direct.as_ref());
        let Some(direct) = direct else { return };
        let body = direct.waiting.as_ref().map_or(&direct.theirs, |(_, request)| &request.body).clone();
        let partner = self.partner(id).and_then(|partner| self.call(partner));
        let asked = partner.is_some_and(|(call, core)| match (&mut call.direct, &call.state) {
            (Some(direct), State::Talking { .. }) => {
                direct.ours = body;
                call.reoffer(core);
                true
            }
            (Some(_) | None, _) => false,
        });
        if !asked && let Some((call, core)) = self.call(id) {
            call.drop_described(core, 491);
        }
    }

    /// The other party answered our re-INVITE, or refused it.
    pub(super) fn directly_reoffered(&mut self, id: CallId, result: &Result<(), Failure>) {
        let theirs = self.calls.get(&id).and_then(|call| call.direct.as_ref()).map(|direct| direct.theirs.clone());
        let Some((theirs, partner)) = theirs.zip(self.partner(id)) else { return };
        let Some((call, core)) = self.call(partner) else { return };
        let Some(direct) = &mut call.direct else { return };
        let Some((tx, request)) = direct.waiting.take() else { return };
        match result {
            Ok(()) => {
                (direct.ours, direct.theirs) = (theirs.clone(), request.body.clone());
                call.answer_directly(core, tx, &request, theirs);
            }
            Err(Failure::Refused(code)) if *code != 401 && *code != 407 => core.answer(tx, &request, *code, &[]),
            Err(_) => core.answer(tx, &request, 488, &[]),
        }
    }
}
