//! Calls that begin with a fax: an INVITE that offers one, alone or beside audio, is passed on with it, and answered as
//! the other party answers. Nobody but that party can take it, so whoever answers without one gets audio, or 488.
//!
//! ```text
//! who calls    Wished ──the other party took it──▶ On      Wished ──it did not──▶ Audio; 488 where there is none
//! the other    Invited ──its answer has it────────▶ On      Invited ──audio────▶ Audio; refused where there is none
//! ```

use std::time::Duration;

use super::{
    call::{Call, State},
    core::Core,
    fax::Fax,
    switch::Switch,
};
use crate::{
    ids::CallId,
    sdp::{self, Local, Session},
};

/// Why an answer without a fax will not do.
const NONE: &str = "the other party wants no fax";
/// Why a script cannot answer it by itself.
const ALONE: &str = "a fax needs another party that takes it";

/// A fax that a caller offers in its INVITE.
#[derive(Clone)]
pub(super) struct Wished {
    /// What the caller says of itself.
    theirs: sdp::Fax,
    /// There is no audio that we could take.
    alone: bool,
    /// What the party says that took it.
    taken: Option<sdp::Fax>,
}

/// A fax that we offer in our INVITE.
pub(super) struct Invited {
    /// What the caller says of itself.
    pub other: sdp::Fax,
    /// Without audio beside it.
    pub alone: bool,
}

impl Call {
    /// Look at the fax of a caller's `offer`; `audio` is what is wrong with its audio. Else why the offer is refused.
    pub fn wish_for_fax(
        &mut self,
        core: &Core,
        (offer, ours): (&Session, std::net::IpAddr),
        audio: Result<(), String>,
    ) -> Result<(), String> {
        if !offer.has_fax() {
            return audio;
        }
        let theirs =
            self.fax_allowed(core).and_then(|()| sdp::Fax::of(offer, ours).map_err(|refusal| refusal.to_string()));
        match (theirs, audio) {
            (Ok(theirs), audio) => {
                self.fax = Fax::Wished(Box::new(Wished { theirs, alone: audio.is_err(), taken: None }));
                Ok(())
            }
            (Err(_), Ok(())) => Ok(()),
            (Err(why), Err(_)) => Err(why),
        }
    }

    /// What a leg of this caller's is to be invited with.
    pub fn fax_to_pass_on(&self) -> Fax {
        match &self.fax {
            Fax::Wished(wished) => {
                Fax::Invited(Box::new(Invited { other: wished.theirs.clone(), alone: wished.alone }))
            }
            Fax::Audio | Fax::Invited(_) | Fax::Waiting(_) | Fax::Asked(_) | Fax::On(_) => Fax::Audio,
        }
    }

    /// Why the fax, without which there is nothing to offer, may not be offered to this party. Where there is audio as
    /// well, it is left out.
    pub fn refuse_to_offer_fax(&mut self, core: &Core) -> Option<String> {
        let alone = match &self.fax {
            Fax::Invited(invited) => invited.alone,
            Fax::Audio | Fax::Wished(_) | Fax::Waiting(_) | Fax::Asked(_) | Fax::On(_) => return None,
        };
        let why = self.fax_allowed(core).err()?;
        self.fax = Fax::Audio;
        alone.then_some(why)
    }

    /// The answer to our INVITE's offer.
    pub fn take_invited(
        &mut self,
        core: &mut Core,
        (offer, local): (&Session, &Local),
        answer: &Session,
    ) -> Result<(), String> {
        let (other, alone) = match &self.fax {
            Fax::Invited(invited) => (Some(invited.other.clone()), invited.alone),
            Fax::On(on) => (Some(on.other()), false),
            Fax::Audio | Fax::Wished(_) | Fax::Waiting(_) | Fax::Asked(_) => (None, false),
        };
        if let Some(other) = other.filter(|_| answer.is_fax()) {
            let theirs = sdp::Fax::of(answer, local.address.ip()).map_err(|refusal| refusal.to_string())?;
            self.begin_with_fax(core, (theirs, other), (offer, local));
            return Ok(());
        }
        if alone {
            return Err(NONE.to_owned());
        }
        let agreed = sdp::accept(offer, answer, local).map_err(|refusal| refusal.to_string())?;
        self.agree(core, agreed);
        Ok(())
    }

    /// Our INVITE is answered, by `answer` or by what came before. A party that took both audio and fax is asked to do
    /// without the fax: they would share a port.
    pub fn settle_invited(&mut self, core: &mut Core, answer: Option<&Session>) {
        match &self.fax {
            Fax::Invited(_) => {
                self.fax = Fax::Audio;
                if answer.is_some_and(Session::has_fax) {
                    self.reoffer(core);
                }
            }
            Fax::Audio | Fax::Wished(_) | Fax::Waiting(_) | Fax::Asked(_) | Fax::On(_) => {}
        }
    }

    /// Our answer to an INVITE that offers a fax. `None`: it is answered with audio; `Some(None)`: it is refused.
    pub fn answer_wished(&mut self, core: &mut Core) -> Option<Option<String>> {
        let wished = match &self.fax {
            Fax::Wished(wished) => (**wished).clone(),
            Fax::Audio | Fax::Invited(_) | Fax::Waiting(_) | Fax::Asked(_) | Fax::On(_) => return None,
        };
        let Wished { theirs, alone, taken } = wished;
        let Some(other) = taken else {
            if alone {
                self.refuse_offer(core, 488, ALONE.to_owned());
                return Some(None);
            }
            self.fax = Fax::Audio;
            return None;
        };
        let Some(local) = self.local(core) else { return Some(None) };
        let State::Incoming(incoming) = &self.state else { return Some(None) };
        let answer = sdp::fax_answer(incoming.offer.as_ref()?, &other, &local);
        self.begin_with_fax(core, (theirs, other), (&answer, &local));
        Some(Some(answer.to_string()))
    }

    /// Nothing can be heard before somebody took the fax.
    pub fn has_only_fax(&self) -> bool {
        match &self.fax {
            Fax::Wished(wished) => wished.alone,
            Fax::Audio | Fax::Invited(_) | Fax::Waiting(_) | Fax::Asked(_) | Fax::On(_) => false,
        }
    }

    fn begin_with_fax(
        &mut self,
        core: &mut Core,
        (theirs, other): (sdp::Fax, sdp::Fax),
        (ours, local): (&Session, &Local),
    ) {
        if let Some(open) = self.port.open_mut() {
            open.agreed.get_or_insert_with(|| sdp::Agreed::of_fax(ours, &theirs, local));
        }
        self.pass_fax(core, &theirs, ours);
        self.fax = Fax::on(theirs, other);
    }
}

impl Switch {
    /// `leg` answered. Where it took the caller's fax, the caller will get it; where the caller has audio by now, the leg
    /// is offered that.
    pub(super) fn hand_fax(&mut self, caller: CallId, leg: CallId) {
        let told = self.calls.get(&leg).and_then(|leg| match &leg.fax {
            Fax::On(on) => Some(on.theirs()),
            Fax::Audio | Fax::Wished(_) | Fax::Invited(_) | Fax::Waiting(_) | Fax::Asked(_) => None,
        });
        let Some(told) = told else { return };
        let waits = self.calls.get_mut(&caller).and_then(|call| match (&call.state, &mut call.fax) {
            (State::Incoming(_), Fax::Wished(wished)) => Some(wished),
            _ => None,
        });
        if let Some(wished) = waits {
            wished.taken = Some(told);
        } else if let Some((call, core)) = self.call(leg) {
            call.end_fax(core, Duration::ZERO);
        }
    }
}
