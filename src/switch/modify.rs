//! A re-INVITE: the peer holds, resumes, moves its RTP port or changes the codec (RFC 3261 section 14.2, RFC 3264
//! section 8). It is answered at once; its 2xx is resent until the ACK comes, like that of the first INVITE.

use bytes::Bytes;

use super::{
    TraceEvent,
    accept::{description, warning},
    call::{Call, End, State},
    core::{Core, SDP},
};
use crate::{
    sdp,
    sip::{Accept, AcceptOutput, Request, ServerTx},
};

/// The peer's re-INVITE is answered with 2xx, and waits for its ACK.
pub(super) struct Reinvite {
    pub accept: Accept,
    pub cseq: u32,
    /// Our offer, where the re-INVITE had none.
    pub offer: Option<(sdp::Session, sdp::Local)>,
}

impl Call {
    /// An INVITE within the dialog; its CSeq is in order.
    pub fn handle_reinvite(&mut self, core: &mut Core, tx: ServerTx, request: &Request) {
        match &mut self.state {
            State::Talking { .. } if self.reoffer.is_asked() || self.fax.waits() => {
                return core.answer(tx, request, 491, &[]);
            }
            State::Talking { dialog, reinvite: None } => dialog.refresh_target(&request.headers),
            // An INVITE of one side is under way: the other one has to come back (RFC 3261 section 14.2).
            State::Talking { reinvite: Some(_), .. } | State::Accepting(_) | State::Inviting(_) => {
                return core.answer(tx, request, 491, &[]);
            }
            State::Incoming(_) => return core.answer(tx, request, 500, &[("Retry-After", "1")]),
            State::Locating(_) | State::Gone => return core.answer(tx, request, 481, &[]),
        }
        if self.refuse_brief_session(core, tx, request) {
            return;
        }
        self.learn_peer(&request.headers);
        if self.pass_on(core, tx, request) {
            return;
        }
        let offer = match description(&request.headers, &request.body) {
            Ok(offer) => offer,
            Err(bad) => {
                let fields = [("Accept", SDP), ("Warning", &warning(&bad.why))];
                return core.answer(tx, request, bad.code, &fields);
            }
        };
        let offer = match offer {
            Some(fax) if fax.is_fax() => return self.fax_offered(core, tx, request, fax),
            Some(audio) => Some(audio),
            None if self.describe_fax(core, tx, request) => return,
            None => None,
        };
        // RFC 3264 section 8.4: whoever was on hold is resumed by an offer that says so, so ours asks for everything.
        let Some(local) = self.local(core) else { return core.answer(tx, request, 488, &[]) };
        match offer {
            Some(offer) => match sdp::answer(&offer, &local) {
                Ok((answer, agreed)) => {
                    self.agree(core, agreed);
                    self.accept_reinvite(core, tx, request, answer.to_string().into(), None);
                }
                Err(refusal) => {
                    let why = refusal.to_string();
                    core.trace(self.id, TraceEvent::Sdp(why.clone()));
                    core.answer(tx, request, 488, &[("Warning", &warning(&why))]);
                }
            },
            None => {
                let agreed = self.port.open().and_then(|open| open.agreed.as_ref());
                let offer = agreed.map_or_else(|| sdp::offer(&local), |agreed| sdp::reoffer(&local, agreed));
                self.accept_reinvite(core, tx, request, offer.to_string().into(), Some((offer, local)));
            }
        }
    }

    pub fn accept_reinvite(
        &mut self,
        core: &mut Core,
        tx: ServerTx,
        request: &Request,
        body: Bytes,
        offer: Option<(sdp::Session, sdp::Local)>,
    ) {
        let mut response = request.response(200, None);
        self.agree_session(core, &request.headers, &mut response);
        let State::Talking { dialog, reinvite } = &mut self.state else { return };
        core.introduce(&mut response.headers, dialog.hop);
        response.headers.set("Content-Type", SDP);
        response.body = body;
        core.respond(tx, response.clone());
        let accept = Accept::new(core.now, &core.config.sip, tx, response);
        *reinvite = Some(Box::new(Reinvite { accept, cseq: request.headers.cseq.number, offer }));
    }

    /// The ACK of the re-INVITE came.
    pub fn reinvite_acknowledged(&mut self, core: &mut Core, ack: &Request) {
        let State::Talking { reinvite, .. } = &mut self.state else { return };
        if let Some((offer, local)) = reinvite.take().and_then(|r| r.offer)
            && let Err(why) = self.take_answer(core, &offer, &local, ack)
        {
            self.about.error = Some(why.clone());
            return self.hang_up(core, End::media(why));
        }
        self.hear_acknowledged(core, ack);
        self.go_on_reoffering(core);
    }

    /// Resend the 2xx, or end the call whose peer never acknowledges it (RFC 3261 section 13.3.1.4).
    pub fn reinvite_timeout(&mut self, core: &mut Core) {
        let State::Talking { reinvite, .. } = &mut self.state else { return };
        let Some(Reinvite { accept, .. }) = reinvite.as_deref_mut() else { return };
        accept.handle_timeout(core.now);
        let mut gave_up = false;
        while let Some(output) = accept.poll() {
            match output {
                AcceptOutput::Resend(response) => core.respond(accept.tx(), response),
                AcceptOutput::GaveUp => gave_up = true,
            }
        }
        if gave_up {
            *reinvite = None;
            self.about.error.get_or_insert_with(|| "no ACK came to a re-INVITE".to_owned());
            self.hang_up(core, End::BROKEN);
        }
    }
}
