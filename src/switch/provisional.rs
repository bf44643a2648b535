//! What a caller is told before the answer: that it rings, and what it hears meanwhile (RFC 3261 section 13.3.1.1).
//!
//! Where the INVITE has no offer, the first answer that the caller acknowledges carries ours, and its PRACK the answer
//! to that (RFC 3262 section 5). A caller that acknowledges none gets our offer in the 200, and no early media.
//!
//! ```text
//! offer:          INVITE ──▶ 183 (answer) ──▶ 200 (the same)
//! none, 100rel:   INVITE ──▶ 183 (offer) ──PRACK (answer)──▶ 200
//! none:           INVITE ──▶ 180 ──▶ 200 (offer) ──ACK (answer)──▶
//! ```

use super::{
    call::{Call, Notice, State},
    core::Core,
};
use crate::{sdp, sip::Request, verbs::Failure};

/// What the caller knows so far.
pub(super) enum Told {
    Nothing,
    Ringing,
    /// Our offer, and what it was made of; the PRACK is to bring the answer.
    Offered(Box<(sdp::Session, sdp::Local)>),
    /// With our answer; absent: it was the caller who answered.
    EarlyMedia {
        answer: Option<String>,
    },
}

/// What is to be done as soon as the port is open. The later ones do what the earlier ones are for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Wish {
    Nothing,
    /// Tell that it rings, in an answer that must carry our offer.
    Ring,
    EarlyMedia,
    Answer,
}

impl Call {
    /// Tell the caller that it rings; nothing more where it knows already.
    pub fn ring(&mut self, core: &mut Core) -> Result<(), Failure> {
        let State::Incoming(incoming) = &mut self.state else { return Err(Failure::WrongState) };
        match incoming.told {
            Told::Nothing if incoming.offer.is_none() && incoming.reliable_all => return self.wish(core, Wish::Ring),
            Told::Nothing => {
                incoming.told = Told::Ringing;
                let response = incoming.response(core, 180, None);
                incoming.provisional(core, response);
            }
            Told::Ringing | Told::Offered(_) | Told::EarlyMedia { .. } => {}
        }
        Ok(())
    }

    /// Open the media path before the answer. [`Notice::Media`] tells how that went.
    pub fn progress(&mut self, core: &mut Core) -> Result<(), Failure> {
        self.wish(core, Wish::EarlyMedia)
    }

    /// Answer. [`Notice::Answered`] follows the ACK, [`Notice::Media`] where there is no port.
    pub fn answer(&mut self, core: &mut Core) -> Result<(), Failure> {
        self.wish(core, Wish::Answer)
    }

    fn wish(&mut self, core: &mut Core, wish: Wish) -> Result<(), Failure> {
        if wish == Wish::EarlyMedia && self.has_only_fax() {
            return Err(Failure::Media("a fax has no audio".to_owned()));
        }
        let State::Incoming(incoming) = &mut self.state else { return Err(Failure::WrongState) };
        if wish == Wish::EarlyMedia && incoming.offer.is_none() && incoming.reliable.is_none() {
            let why = "the INVITE has no offer, and its caller no PRACK: answer first";
            return Err(Failure::Media(why.to_owned()));
        }
        incoming.wish = incoming.wish.max(wish);
        let hop = incoming.dialog.hop;
        let v6 = incoming.offer.as_ref().map_or(hop.remote.is_ipv6(), sdp::Session::is_ipv6);
        if self.port.open().is_some() || self.direct.is_some() {
            self.go_on_incoming(core);
        } else {
            self.open_port(core, hop, v6);
        }
        Ok(())
    }

    /// The port is open: do what was wished for.
    pub fn go_on_incoming(&mut self, core: &mut Core) {
        let State::Incoming(incoming) = &mut self.state else { return };
        // The final answer must not overtake a description of the media that may be lost (RFC 3262 section 3).
        if incoming.wish == Wish::Answer && incoming.awaits_prack() {
            return;
        }
        match std::mem::replace(&mut incoming.wish, Wish::Nothing) {
            Wish::Nothing => {}
            Wish::Ring => self.offer_early(core, 180),
            Wish::EarlyMedia => self.send_early_media(core),
            Wish::Answer => self.send_answer(core),
        }
    }

    fn send_early_media(&mut self, core: &mut Core) {
        let State::Incoming(incoming) = &self.state else { return };
        match (&incoming.offer, &incoming.told) {
            (Some(_), _) => {
                if self.describe_early(core) {
                    core.tell(self.id, Notice::Media(Ok(())));
                }
            }
            (None, Told::Nothing | Told::Ringing) => self.offer_early(core, 183),
            // The PRACK will tell.
            (None, Told::Offered(_)) => {}
            (None, Told::EarlyMedia { .. }) => core.tell(self.id, Notice::Media(Ok(()))),
        }
    }

    /// As [`Call::progress`], with what the other party says of its media.
    pub fn progress_directly(&mut self, core: &mut Core) {
        self.describe_early(core);
    }

    /// Answer the INVITE's offer before the INVITE. False: there is no answer to it.
    fn describe_early(&mut self, core: &mut Core) -> bool {
        let Some(answer) = self.answer_offer(core) else { return false };
        let State::Incoming(incoming) = &mut self.state else { return false };
        let response = incoming.response(core, 183, Some(&answer));
        incoming.told = Told::EarlyMedia { answer: Some(answer) };
        incoming.provisional(core, response);
        true
    }

    /// Make our offer in an answer that the caller acknowledges.
    fn offer_early(&mut self, core: &mut Core, code: u16) {
        let Some(local) = self.local(core) else { return };
        self.expect_security(core, &local);
        let offer = sdp::offer(&local);
        let State::Incoming(incoming) = &mut self.state else { return };
        let response = incoming.response(core, code, Some(&offer.to_string()));
        incoming.told = Told::Offered(Box::new((offer, local)));
        incoming.provisional(core, response);
    }

    /// The PRACK of our offer came: its answer, or why that will not do. None: it is not about an offer of ours.
    pub fn take_early_answer(&mut self, core: &mut Core, prack: &Request) -> Option<Result<(), String>> {
        let State::Incoming(incoming) = &mut self.state else { return None };
        let offered = match std::mem::replace(&mut incoming.told, Told::Ringing) {
            Told::Offered(offered) => offered,
            told @ (Told::Nothing | Told::Ringing | Told::EarlyMedia { .. }) => {
                incoming.told = told;
                return None;
            }
        };
        let taken = self.take_answer(core, &offered.0, &offered.1, prack);
        if taken.is_ok() {
            if let State::Incoming(incoming) = &mut self.state {
                incoming.told = Told::EarlyMedia { answer: None };
            }
            core.tell(self.id, Notice::Media(Ok(())));
        }
        Some(taken)
    }
}
