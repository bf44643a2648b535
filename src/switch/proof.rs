//! Requests of ours within a call that the carrier challenges: they are sent once more with an answer, as INVITE is (RFC
//! 3261 section 22). ACK and CANCEL cannot be challenged.

use super::{
    call::{Call, State},
    core::Core,
    within::Purpose,
};
use crate::sip::{ClientTx, Hop, Request, Response};

/// Challenges that are answered for one request.
const PROOFS: u8 = 3;

/// A request of ours within the dialog, other than INVITE, that is not answered yet.
pub(super) struct Pending {
    pub tx: ClientTx,
    pub purpose: Purpose,
    pub request: Request,
    hop: Hop,
    /// Challenges that were answered.
    proofs: u8,
}

impl Call {
    /// Send a request within the dialog, whose answer `purpose` is about.
    pub fn ask_peer(&mut self, core: &mut Core, request: Request, hop: Hop, purpose: Purpose) {
        let tx = core.request(self.id, request.clone(), hop);
        self.pending.push(Pending { tx, purpose, request, hop, proofs: 0 });
    }

    /// Send `asked` once more where `response` only asks who we are. None: that was done.
    pub fn prove_pending(&mut self, core: &mut Core, asked: Pending, response: &Response) -> Option<Pending> {
        let Some(again) = self.proven(core, &asked.request, response, asked.proofs) else { return Some(asked) };
        let tx = core.request(self.id, again.clone(), asked.hop);
        self.pending.push(Pending { tx, request: again, proofs: asked.proofs + 1, ..asked });
        None
    }

    /// `request` with the answer to the challenge in `response`, and the dialog's next number; None: there is none, or
    /// `done` are enough.
    pub fn proven(&mut self, core: &mut Core, request: &Request, response: &Response, done: u8) -> Option<Request> {
        if !matches!(response.code, 401 | 407) || done >= PROOFS || matches!(self.state, State::Gone) {
            return None;
        }
        let trunk = self.trunk.as_ref()?.name.clone();
        let mut again = core.prove(&trunk, request, response)?;
        // Other requests may have gone out since.
        let dialog = self.dialog(request.headers.to.tag())?;
        dialog.local_seq += 1;
        again.headers.cseq.number = dialog.local_seq;
        Some(again)
    }
}
