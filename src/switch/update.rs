//! UPDATE from the peer (RFC 3311): a refresh of the session, or a change of its media, answered at once.

use super::{
    TraceEvent,
    accept::{description, warning},
    call::{Call, State},
    core::{Core, SDP},
};
use crate::{
    sdp,
    sip::{Request, ServerTx},
};

/// The code of a refusal and what its header says.
type Refused = (u16, Vec<(&'static str, String)>);

impl Call {
    /// An UPDATE within the dialog; its CSeq is in order.
    pub fn handle_update(&mut self, core: &mut Core, tx: ServerTx, request: &Request) {
        if self.refuse_brief_session(core, tx, request) {
            return;
        }
        if matches!(self.state, State::Talking { .. }) && self.pass_on(core, tx, request) {
            return;
        }
        let offer = match description(&request.headers, &request.body) {
            Ok(offer) => offer,
            Err(bad) => {
                let fields = [("Accept", SDP), ("Warning", &warning(&bad.why))];
                return core.answer(tx, request, bad.code, &fields);
            }
        };
        let body = match offer {
            None => None,
            Some(offer) => match self.answer_update(core, &offer, request.headers.from.tag()) {
                Ok(body) => Some(body),
                Err((code, fields)) => {
                    let fields: Vec<(&str, &str)> =
                        fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
                    return core.answer(tx, request, code, &fields);
                }
            },
        };
        self.learn_peer(&request.headers);
        let Some(dialog) = self.dialog(request.headers.from.tag()) else { return core.answer(tx, request, 481, &[]) };
        dialog.refresh_target(&request.headers);
        let hop = dialog.hop;
        let mut response = request.response(200, None);
        core.introduce(&mut response.headers, hop);
        self.agree_session(core, &request.headers, &mut response);
        if let Some(body) = body {
            response.headers.set("Content-Type", SDP);
            response.body = body.into();
        }
        core.respond(tx, response);
    }

    /// Our answer to the offer of an UPDATE; else a code and header fields (section 5.2).
    pub fn answer_update(
        &mut self,
        core: &mut Core,
        offer: &sdp::Session,
        from: Option<&str>,
    ) -> Result<String, Refused> {
        if self.owes_answer() {
            return Err((500, vec![("Retry-After", (core.random() % 10).to_string())]));
        }
        if self.awaits_answer(from) {
            return Err((491, vec![]));
        }
        let Some(local) = self.local(core) else { return Err((488, vec![])) };
        match sdp::answer(offer, &local) {
            Ok((answer, agreed)) => {
                self.agree(core, agreed);
                Ok(answer.to_string())
            }
            Err(refusal) => {
                let why = refusal.to_string();
                core.trace(self.id, TraceEvent::Sdp(why.clone()));
                Err((488, vec![("Warning", warning(&why))]))
            }
        }
    }

    /// An offer of the peer's is not answered yet.
    fn owes_answer(&self) -> bool {
        match &self.state {
            State::Incoming(incoming) => !incoming.has_early_media() && !incoming.has_offered(),
            State::Talking { .. } => self.fax.waits(),
            State::Accepting(_) | State::Locating(_) | State::Inviting(_) | State::Gone => false,
        }
    }

    /// An offer of ours is not answered yet.
    fn awaits_answer(&self, from: Option<&str>) -> bool {
        match &self.state {
            State::Accepting(accepting) => accepting.offer.is_some(),
            State::Talking { reinvite, .. } => {
                self.reoffer.is_asked() || reinvite.as_ref().is_some_and(|reinvite| reinvite.offer.is_some())
            }
            State::Inviting(inviting) => !inviting.has_answer_of(from),
            State::Incoming(incoming) => incoming.has_offered(),
            State::Locating(_) | State::Gone => false,
        }
    }
}
