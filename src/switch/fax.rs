//! Fax: two parties of a bridge that both want it change from audio to T.38 over UDPTL (ITU-T T.38 annex D), which is
//! passed on untouched, and come back to audio when one of them wants to, or is alone.
//!
//! ```text
//! who asks   Audio ──its re-INVITE──▶ Waiting ──the other agrees, 200──▶ On ──┐
//!                                        └──the other does not, 488──▶ Audio  ├──audio is agreed on──▶ Audio
//! the other  Audio ──our re-INVITE──▶ Asked ────────2xx────────────────▶ On ──┘
//! ```
//!
//! How a call begins with one is in `fax_first`.

use std::time::Duration;

use super::{
    TraceEvent,
    accept::warning,
    call::{Call, Notice, State},
    core::Core,
    fax_first::{Invited, Wished},
    switch::Switch,
};
use crate::{
    ids::CallId,
    media::Command,
    sdp::{self, Policy, Session},
    sip::{Request, ServerTx},
    verbs::Failure,
};

/// How long a party that is alone after a fax waits for audio: mostly it is hung up, too.
pub(super) const ALONE: Duration = Duration::from_millis(500);

/// How far a call has come from audio to a fax.
pub(super) enum Fax {
    Audio,
    /// The party's INVITE offers one, and is not answered yet.
    Wished(Box<Wished>),
    /// Our INVITE offers one, as another party wants it.
    Invited(Box<Invited>),
    /// The party asks for one, and the other party is asked.
    Waiting(Box<Waiting>),
    /// The party is asked, as the other party wants one; this is what the other one says of itself.
    Asked(sdp::Fax),
    /// What comes is passed on.
    On(Box<On>),
}

/// A re-INVITE that is not answered yet.
pub(super) struct Waiting {
    tx: ServerTx,
    request: Request,
    offer: Session,
    theirs: sdp::Fax,
}

pub(super) struct On {
    /// What the party says of itself.
    theirs: sdp::Fax,
    /// What it was told: the other party's words.
    other: sdp::Fax,
}

/// What a call tells about its fax.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FaxNews {
    /// The party asks for one.
    Wanted,
    /// The party was asked and agreed to nothing.
    Declined,
    /// The party went back to audio.
    Ended,
}

impl On {
    pub fn theirs(&self) -> sdp::Fax {
        self.theirs.clone()
    }

    pub fn other(&self) -> sdp::Fax {
        self.other.clone()
    }
}

impl Fax {
    /// It is there: what the party says of itself, and what it was told.
    pub fn on(theirs: sdp::Fax, other: sdp::Fax) -> Fax {
        Fax::On(Box::new(On { theirs, other }))
    }

    pub fn is_on(&self) -> bool {
        matches!(self, Fax::On(_))
    }

    /// The party's re-INVITE is not answered yet.
    pub fn waits(&self) -> bool {
        matches!(self, Fax::Waiting(_))
    }

    /// The party is to be asked, or is.
    pub fn is_wanted(&self) -> bool {
        matches!(self, Fax::Asked(_))
    }

    /// Our offer of it, where it is wanted or there.
    pub fn offer(&self, agreed: &sdp::Agreed, local: &sdp::Local) -> Option<Session> {
        match self {
            Fax::Asked(other) => Some(sdp::fax_offer(agreed, other, local)),
            Fax::On(on) => Some(sdp::fax_offer(agreed, &on.other, local)),
            Fax::Audio | Fax::Wished(_) | Fax::Invited(_) | Fax::Waiting(_) => None,
        }
    }

    /// Our first offer to the party, where it is invited with one.
    pub fn invitation(&self, local: &sdp::Local) -> Option<Session> {
        match self {
            Fax::Invited(invited) => Some(sdp::fax_invitation(&invited.other, local, invited.alone)),
            Fax::Audio | Fax::Wished(_) | Fax::Waiting(_) | Fax::Asked(_) | Fax::On(_) => None,
        }
    }
}

impl Call {
    /// The party offers a fax in its re-INVITE.
    pub fn fax_offered(&mut self, core: &mut Core, tx: ServerTx, request: &Request, offer: Session) {
        let theirs =
            match self.may_fax(core).and_then(|ours| sdp::Fax::of(&offer, ours).map_err(|refusal| refusal.to_string()))
            {
                Ok(theirs) => theirs,
                Err(why) => return self.decline_fax(core, (tx, request), 488, &why),
            };
        if let Fax::On(on) = &mut self.fax {
            // The other party need not know from where to where it goes.
            let other = on.other.clone();
            return self.answer_fax(core, Waiting { tx, request: request.clone(), offer, theirs }, other);
        }
        self.fax = Fax::Waiting(Box::new(Waiting { tx, request: request.clone(), offer, theirs }));
        core.tell(self.id, Notice::Fax(FaxNews::Wanted));
    }

    /// Our address, where this call may become a fax; else why not.
    fn may_fax(&self, core: &Core) -> Result<std::net::IpAddr, String> {
        self.fax_allowed(core)?;
        let open = self.port.open().filter(|open| open.agreed.is_some());
        open.map(|open| open.address.ip()).ok_or_else(|| "there are no media yet".into())
    }

    /// Else why no fax may be with this party at all.
    pub fn fax_allowed(&self, core: &Core) -> Result<(), String> {
        if !core.config.rules.fax {
            return Err("fax is switched off".into());
        }
        if self.security(core).policy == Policy::Required {
            return Err("fax over UDPTL is not encrypted, and encryption is required".into());
        }
        Ok(())
    }

    fn decline_fax(&mut self, core: &mut Core, (tx, request): (ServerTx, &Request), code: u16, why: &str) {
        core.trace(self.id, TraceEvent::Sdp(why.to_owned()));
        core.answer(tx, request, code, &[("Warning", &warning(why))]);
    }

    /// A re-INVITE without an offer comes in the midst of a fax: it is told again what there is. False: there is none.
    pub fn describe_fax(&mut self, core: &mut Core, tx: ServerTx, request: &Request) -> bool {
        if !matches!(self.fax, Fax::On(_)) {
            return false;
        }
        let Some(local) = self.local(core) else { return false };
        let agreed = self.port.open().and_then(|open| open.agreed.as_ref());
        let Some(offer) = agreed.and_then(|agreed| self.fax.offer(agreed, &local)) else { return false };
        self.accept_reinvite(core, tx, request, offer.to_string().into(), None);
        true
    }

    /// Who waits may have its fax; `other` is what the other party says of itself.
    fn begin_fax(&mut self, core: &mut Core, other: sdp::Fax) {
        match std::mem::replace(&mut self.fax, Fax::Audio) {
            Fax::Waiting(waiting) => self.answer_fax(core, *waiting, other),
            had @ (Fax::Audio | Fax::Wished(_) | Fax::Invited(_) | Fax::Asked(_) | Fax::On(_)) => self.fax = had,
        }
    }

    fn answer_fax(&mut self, core: &mut Core, waiting: Waiting, other: sdp::Fax) {
        let Waiting { tx, request, offer, theirs } = waiting;
        let Some(local) = self.local(core) else { return core.answer(tx, &request, 488, &[]) };
        let answer = sdp::fax_answer(&offer, &other, &local);
        self.pass_fax(core, &theirs, &answer);
        self.fax = Fax::On(Box::new(On { theirs, other }));
        self.accept_reinvite(core, tx, &request, answer.to_string().into(), None);
    }

    /// The answer to our offer of a fax.
    pub fn take_fax_answer(&mut self, core: &mut Core, offer: &(Session, sdp::Local), answer: Option<Session>) {
        let (ours, local) = offer;
        let taken = answer.and_then(|answer| sdp::Fax::of(&answer, local.address.ip()).ok());
        let other = match std::mem::replace(&mut self.fax, Fax::Audio) {
            Fax::Asked(other) => other,
            Fax::On(on) => on.other,
            // Whoever wanted it is gone.
            had @ (Fax::Audio | Fax::Wished(_) | Fax::Invited(_) | Fax::Waiting(_)) => {
                self.fax = had;
                return self.reoffer(core);
            }
        };
        match taken {
            Some(theirs) => {
                self.pass_fax(core, &theirs, ours);
                self.fax = Fax::On(Box::new(On { theirs, other }));
                core.tell(self.id, Notice::Reoffered(Ok(())));
            }
            None => {
                // It agreed to no media at all (RFC 3264 section 6): audio is offered again.
                if let Some(agreed) = self.port.open_mut().and_then(|open| open.agreed.as_mut()) {
                    agreed.keep_lines(ours);
                }
                core.tell(self.id, Notice::Fax(FaxNews::Declined));
                self.reoffer(core);
            }
        }
    }

    /// Tell the engine; `ours` is how we described it.
    pub fn pass_fax(&mut self, core: &mut Core, theirs: &sdp::Fax, ours: &Session) {
        tracing::info!(call = %self.name, remote = %theirs.remote, "fax");
        core.trace(self.id, TraceEvent::Sdp(format!("a fax, passed on untouched; its party is at {}", theirs.remote)));
        let Some(open) = self.port.open_mut() else { return };
        let port = open.id;
        if let Some(agreed) = &mut open.agreed {
            agreed.keep_lines(ours);
        }
        self.command(core, Command::Pass { port, remote: theirs.remote });
    }

    /// Audio is agreed on: if there was a fax, it is over.
    pub fn audio_again(&mut self, core: &mut Core) {
        if let Fax::On(_) = self.fax {
            self.fax = Fax::Audio;
            core.tell(self.id, Notice::Fax(FaxNews::Ended));
        }
    }

    /// There will be no fax any more, or it has no other end: back to audio, after this time.
    pub fn end_fax(&mut self, core: &mut Core, wait: Duration) {
        self.drop_fax(core, 488, Some("the other party wants no fax"));
        let had = std::mem::replace(&mut self.fax, Fax::Audio);
        let (on, talks) = (matches!(had, Fax::On(_)), matches!(self.state, State::Talking { .. }));
        if on && talks && self.over.is_none() {
            match wait {
                Duration::ZERO => self.reoffer(core),
                wait => self.reoffer_at(core.now + wait),
            }
        }
        self.go_on_reoffering(core);
    }

    /// Nobody will answer what waits: it is refused with `code`.
    pub fn drop_fax(&mut self, core: &mut Core, code: u16, why: Option<&str>) {
        match std::mem::replace(&mut self.fax, Fax::Audio) {
            Fax::Waiting(waiting) => match why {
                Some(why) => self.decline_fax(core, (waiting.tx, &waiting.request), code, why),
                None => core.answer(waiting.tx, &waiting.request, code, &[]),
            },
            had @ (Fax::Audio | Fax::Wished(_) | Fax::Invited(_) | Fax::Asked(_) | Fax::On(_)) => self.fax = had,
        }
    }
}

impl Switch {
    pub(super) fn on_fax(&mut self, id: CallId, news: FaxNews) {
        match news {
            FaxNews::Wanted => self.ask_for_fax(id),
            FaxNews::Declined | FaxNews::Ended => {
                if let Some((call, core)) = self.partner(id).and_then(|partner| self.call(partner)) {
                    call.end_fax(core, Duration::ZERO);
                }
            }
        }
    }

    /// One party asks for a fax: the other one is asked, if it can be.
    fn ask_for_fax(&mut self, id: CallId) {
        let theirs = match self.calls.get(&id).map(|call| &call.fax) {
            Some(Fax::Waiting(waiting)) => waiting.theirs.clone(),
            Some(Fax::Audio | Fax::Wished(_) | Fax::Invited(_) | Fax::Asked(_) | Fax::On(_)) | None => return,
        };
        let partner = self.partner(id).and_then(|partner| self.call(partner));
        let refused = match partner {
            Some((call, core)) if matches!((&call.state, &call.fax), (State::Talking { .. }, Fax::Audio)) => {
                match call.may_fax(core) {
                    Ok(_) => {
                        call.fax = Fax::Asked(theirs);
                        call.reoffer(core);
                        None
                    }
                    Err(why) => Some(why),
                }
            }
            Some(_) => Some("the other party cannot be asked for a fax now".to_owned()),
            None => Some("a fax needs another party".to_owned()),
        };
        if let Some(why) = refused
            && let Some((call, core)) = self.call(id)
        {
            call.drop_fax(core, 488, Some(&why));
            call.go_on_reoffering(core);
        }
    }

    /// Our re-INVITE is through: where it offered a fax, whoever wanted it is answered.
    pub(super) fn fax_reoffered(&mut self, id: CallId, result: &Result<(), Failure>) {
        let Some(partner) = self.partner(id) else { return };
        let Some((call, _)) = self.call(id) else { return };
        let agreed = match (&call.fax, result) {
            (Fax::On(on), Ok(())) => Some(on.theirs.clone()),
            (Fax::Asked(_), Err(_)) => {
                call.fax = Fax::Audio;
                None
            }
            (Fax::Audio | Fax::Wished(_) | Fax::Invited(_) | Fax::Waiting(_) | Fax::Asked(_) | Fax::On(_), _) => return,
        };
        let Some((call, core)) = self.call(partner) else { return };
        match agreed {
            Some(theirs) => call.begin_fax(core, theirs),
            None => {
                call.drop_fax(core, 488, Some("the other party wants no fax"));
                call.go_on_reoffering(core);
            }
        }
    }
}
