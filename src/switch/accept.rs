//! The answer to an INVITE, until its ACK (RFC 3261 section 13.3.1.4).
//!
//! An INVITE without an offer gets ours in the 200, and its answer comes in the ACK ("late offer"; section 13.2.1),
//! unless all that was settled before, by PRACK.

use super::{
    call::{Call, End, Notice, State},
    core::{Core, SDP},
    provisional::Told,
    telephone,
};
use crate::{
    sdp,
    sip::{Accept, AcceptOutput, Dialog, Request},
};

/// The 2xx is out, its ACK is not in.
pub(super) struct Accepting {
    pub dialog: Box<Dialog>,
    pub accept: Accept,
    pub cseq: u32,
    /// Our late offer, and what it was made of.
    pub offer: Option<(sdp::Session, sdp::Local)>,
    /// The call is over: BYE follows the ACK (RFC 3261 section 15).
    pub ending: bool,
}

/// Why a body is no offer: the code to refuse it with, and a Warning.
pub(super) struct BadBody {
    pub code: u16,
    pub why: String,
}

/// The session description that a message carries, where it carries one.
pub(super) fn description(headers: &crate::sip::Headers, body: &[u8]) -> Result<Option<sdp::Session>, BadBody> {
    if body.is_empty() {
        return Ok(None);
    }
    let kind = headers.get("Content-Type").unwrap_or(SDP);
    let kind = kind.split(';').next().unwrap_or(kind).trim();
    if !kind.eq_ignore_ascii_case(SDP) {
        return Err(BadBody { code: 415, why: format!("cannot read {}", kind.escape_default()) });
    }
    sdp::Session::parse(body).map(Some).map_err(|e| BadBody { code: 400, why: e.to_string() })
}

/// The number that is called.
pub(super) fn number(invite: &Request) -> String {
    telephone::of(&invite.uri).unwrap_or_default()
}

/// A Warning header with our own text (RFC 3261 section 20.43).
pub(super) fn warning(why: &str) -> String {
    let plain = why.chars().map(|c| if c.is_control() || c == '"' || c == '\\' { ' ' } else { c });
    format!("399 switchhook \"{}\"", plain.collect::<String>())
}

impl Call {
    /// Our answer to the INVITE's offer; the same in 183 and 200.
    pub fn answer_offer(&mut self, core: &mut Core) -> Option<String> {
        if let Some(direct) = &self.direct {
            return Some(String::from_utf8_lossy(&direct.ours).into_owned());
        }
        if let Some(answer) = self.answer_wished(core) {
            return answer;
        }
        let mut local = self.local(core)?;
        let dearest = self.dearest.first().copied();
        let State::Incoming(incoming) = &mut self.state else { return None };
        // What the other party answered with, where this one speaks it, too: nothing is to be transcoded then.
        let spoken = incoming.offer.as_ref().map(sdp::Session::codecs).unwrap_or_default();
        if let Some(codec) = dearest.filter(|codec| spoken.contains(codec) && local.codecs.contains(codec)) {
            local.codecs = vec![codec];
        }
        if let Told::EarlyMedia { answer: Some(answer) } = &incoming.told {
            return Some(answer.clone());
        }
        match sdp::answer(incoming.offer.as_ref()?, &local) {
            Ok((answer, agreed)) => {
                self.agree(core, agreed);
                Some(answer.to_string())
            }
            Err(refusal) => {
                core.tell(self.id, Notice::Media(Err(refusal.to_string())));
                None
            }
        }
    }

    pub fn send_answer(&mut self, core: &mut Core) {
        let State::Incoming(incoming) = &self.state else { return };
        let (body, offer) = match (&incoming.offer, incoming.has_early_media()) {
            (Some(_), _) => match self.answer_offer(core) {
                Some(answer) => (Some(answer), None),
                None => return,
            },
            // The PRACK answered our offer: nothing is left to be said.
            (None, true) => (None, None),
            (None, false) => {
                let Some(local) = self.local(core) else { return };
                self.expect_security(core, &local);
                let offer = sdp::offer(&local);
                (Some(offer.to_string()), Some((offer, local)))
            }
        };
        let State::Incoming(incoming) = self.enter(State::Gone) else { return };
        let mut response = incoming.response(core, 200, body.as_deref());
        self.agree_session(core, &incoming.request.headers, &mut response);
        core.respond(incoming.tx, response.clone());
        core.invites.remove(&incoming.tx);

        let accept = Accept::new(core.now, &core.config.sip, incoming.tx, response);
        let cseq = incoming.request.headers.cseq.number;
        self.enter(State::Accepting(Box::new(Accepting {
            dialog: incoming.dialog,
            accept,
            cseq,
            offer,
            ending: false,
        })));
        if self.is_hearable() {
            core.tell(self.id, Notice::Media(Ok(())));
        }
    }

    /// The ACK of a 2xx came.
    pub fn handle_ack(&mut self, core: &mut Core, ack: &Request) {
        let number = ack.headers.cseq.number;
        match &mut self.state {
            State::Accepting(accepting) if accepting.cseq == number => self.acknowledged(core, ack),
            State::Talking { reinvite: Some(reinvite), .. } if reinvite.cseq == number => {
                self.reinvite_acknowledged(core, ack);
            }
            State::Accepting(_)
            | State::Talking { .. }
            | State::Incoming(_)
            | State::Locating(_)
            | State::Inviting(_)
            | State::Gone => {}
        }
    }

    fn acknowledged(&mut self, core: &mut Core, ack: &Request) {
        let State::Accepting(accepting) = self.enter(State::Gone) else { return };
        self.enter(State::Talking { dialog: accepting.dialog, reinvite: None });
        if accepting.ending {
            return self.say_bye(core);
        }
        self.about.answered = Some(core.now);
        if let Some((offer, local)) = accepting.offer {
            if let Err(why) = self.take_answer(core, &offer, &local, ack) {
                return self.hang_up(core, End::media(why));
            }
            core.tell(self.id, Notice::Media(Ok(())));
        }
        core.tell(self.id, Notice::Answered);
        self.go_on_reoffering(core);
    }

    /// The answer to our late offer, out of an ACK or PRACK.
    pub fn take_answer(
        &mut self,
        core: &mut Core,
        offer: &sdp::Session,
        local: &sdp::Local,
        ack: &Request,
    ) -> Result<(), String> {
        let answer = description(&ack.headers, &ack.body).map_err(|bad| bad.why)?;
        let answer = answer.ok_or_else(|| "our offer got no answer".to_owned())?;
        let agreed = sdp::accept(offer, &answer, local).map_err(|refusal| refusal.to_string())?;
        self.agree(core, agreed);
        Ok(())
    }

    /// Resend the 2xx, or give up waiting for its ACK.
    pub fn accept_timeout(&mut self, core: &mut Core) {
        let State::Accepting(accepting) = &mut self.state else { return };
        accepting.accept.handle_timeout(core.now);
        let mut gave_up = false;
        while let Some(output) = accepting.accept.poll() {
            match output {
                AcceptOutput::Resend(response) => core.respond(accepting.accept.tx(), response),
                AcceptOutput::GaveUp => gave_up = true,
            }
        }
        if gave_up {
            let State::Accepting(accepting) = self.enter(State::Gone) else { return };
            self.enter(State::Talking { dialog: accepting.dialog, reinvite: None });
            self.about.error.get_or_insert_with(|| "no ACK came".to_owned());
            self.say_bye(core);
            self.decide(core, End::NO_ACK, Some(200));
        }
    }
}
