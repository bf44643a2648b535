//! A re-INVITE of ours: the session is described anew, because the party is to be held, resumed or asked whether it is
//! still there (RFC 3261 section 14.1).
//!
//! ```text
//! Idle ──wanted──▶ Wanted ──dialog is free──▶ Asked ──2xx, refusal──▶ Idle
//!                     ▲                         └──491──▶ BackOff
//!                     └────────time──────────────────────────┘
//! ```
//!
//! One INVITE at a time is under way in a dialog: ours waits until the peer's is acknowledged. Where both crossed, each
//! side answers 491, waits for a random time that is never the same for both, and asks again if it still wants to.

use super::{
    TraceEvent,
    accept::description,
    call::{Call, End, Notice, State},
    core::{Core, SDP},
    forks::Sent,
    rules,
    task::Ask,
};
use crate::{
    sdp,
    sip::{ClientTx, Failure as TxFailure, Hop, Method, Request, Response, SessionTimer},
    time::Time,
    verbs::Failure,
};

/// Most times that a re-INVITE is sent again after a 491.
const TRIES: u32 = 6;

#[derive(Default)]
pub(super) struct Reoffer {
    step: Step,
    tries: u32,
    /// Who is told how it went.
    pub asks: Vec<Ask>,
    /// The last one that was answered with 2xx, which may come again.
    pub sent: Option<Sent>,
}

#[derive(Default)]
enum Step {
    #[default]
    Idle,
    /// To be sent as soon as no other INVITE is under way.
    Wanted,
    Asked(Box<Asked>),
    /// It is sent at this moment: it met the peer's, or there is no hurry.
    BackOff(Time),
}

struct Asked {
    tx: ClientTx,
    request: Request,
    hop: Hop,
    /// Absent where the media do not come to us.
    offer: Option<(sdp::Session, sdp::Local)>,
    /// Challenges that were answered.
    proofs: u8,
}

impl Reoffer {
    pub fn timeout(&self) -> Option<Time> {
        match self.step {
            Step::BackOff(until) => Some(until),
            Step::Idle | Step::Wanted | Step::Asked(_) => None,
        }
    }

    /// Our offer is out, its answer is not in.
    pub fn is_asked(&self) -> bool {
        matches!(self.step, Step::Asked(_))
    }

    fn is_mine(&self, tx: ClientTx) -> bool {
        matches!(&self.step, Step::Asked(asked) if asked.tx == tx)
    }

    /// The transaction that is in the books, and what may still be answered of it.
    pub fn leave(&mut self) -> (Option<ClientTx>, Option<Sent>) {
        let tx = match std::mem::take(&mut self.step) {
            Step::Asked(asked) => Some(asked.tx),
            Step::Idle | Step::Wanted | Step::BackOff(_) => None,
        };
        (tx, self.sent.take())
    }
}

impl Call {
    /// Describe the session anew, as it is to be now. [`Notice::Reoffered`] follows.
    pub fn reoffer(&mut self, core: &mut Core) {
        match self.reoffer.step {
            Step::Idle => {
                self.reoffer.tries = 0;
                self.reoffer.step = Step::Wanted;
                self.go_on_reoffering(core);
            }
            // It is looked at again when the answer is here, or sent as it is wanted then.
            Step::Wanted | Step::Asked(_) | Step::BackOff(_) => {}
        }
    }

    /// As [`Call::reoffer`], but not before this moment, where none is under way.
    pub fn reoffer_at(&mut self, moment: Time) {
        if matches!(self.reoffer.step, Step::Idle) {
            self.reoffer.tries = 0;
            self.reoffer.step = Step::BackOff(moment);
        }
    }

    /// Send the re-INVITE that is wanted, if nothing is in its way.
    pub fn go_on_reoffering(&mut self, core: &mut Core) {
        let free = matches!(&self.state, State::Talking { reinvite: None, .. }) && !self.fax.waits();
        if !matches!(self.reoffer.step, Step::Wanted) || !free || self.over.is_some() {
            return;
        }
        let local = self.local(core);
        let told = self.direct.as_ref().map(|direct| direct.ours.clone());
        if local.is_none() && told.is_none() {
            self.reoffer.step = Step::Idle;
            return core.tell(self.id, Notice::Reoffered(Err(Failure::WrongState)));
        }
        let agreed = self.port.open().and_then(|open| open.agreed.as_ref());
        let described = |local: &sdp::Local| match agreed {
            Some(agreed) => self.fax.offer(agreed, local).unwrap_or_else(|| sdp::reoffer(local, agreed)),
            None => sdp::offer(local),
        };
        let offer = local.map(|local| (described(&local), local));
        let body = offer.as_ref().map_or(told.unwrap_or_default(), |(offer, _)| offer.to_string().into());
        let State::Talking { dialog, .. } = &mut self.state else { return };
        let mut request = dialog.request(Method::Invite, &core.contact(dialog.hop));
        let hop = core.in_dialog(dialog);
        core.introduce(&mut request.headers, dialog.hop);
        request.headers.set("Content-Type", SDP);
        request.body = body;
        if let Some(session) = &self.session {
            session.ask_again(&mut request.headers);
        }
        let tx = core.request(self.id, request.clone(), hop);
        self.reoffer.step = Step::Asked(Box::new(Asked { tx, request, hop, offer, proofs: 0 }));
    }

    /// An answer to our re-INVITE. False: `tx` is none.
    pub fn handle_reoffer_response(&mut self, core: &mut Core, tx: ClientTx, response: &Response) -> bool {
        if let Some(sent) = self.reoffer.sent.as_mut().filter(|sent| sent.tx == tx) {
            sent.answer_again(core, response);
            return true;
        }
        if !self.reoffer.is_mine(tx) {
            return false;
        }
        match response.code {
            0..=199 => {}
            200..=299 => self.reoffer_accepted(core, response),
            401 | 407 if self.prove_reoffer(core, tx, response) => {}
            491 => self.reoffer_crossed(core, tx),
            422 if self.session.is_some() => self.reoffer_too_brief(core, tx, response),
            408 | 481 => self.reoffer_broken(core, tx, &format!("the re-INVITE was answered with {}", response.code)),
            code => self.reoffer_refused(core, tx, Failure::Refused(code)),
        }
        true
    }

    /// The carrier wants to know who we are: send the re-INVITE again with an answer. False: there is none.
    fn prove_reoffer(&mut self, core: &mut Core, tx: ClientTx, response: &Response) -> bool {
        let Step::Asked(mut asked) = std::mem::take(&mut self.reoffer.step) else { return false };
        let again = self.proven(core, &asked.request, response, asked.proofs);
        let proven = again.is_some();
        if let Some(again) = again {
            core.transactions.remove(&tx);
            asked.tx = core.request(self.id, again.clone(), asked.hop);
            (asked.request, asked.proofs) = (again, asked.proofs + 1);
        }
        self.reoffer.step = Step::Asked(asked);
        proven
    }

    /// No answer comes to our re-INVITE: the peer is gone (RFC 3261 section 12.2.1.2). False: `tx` is none.
    pub fn handle_reoffer_failed(&mut self, core: &mut Core, tx: ClientTx, why: TxFailure) -> bool {
        let mine = self.reoffer.is_mine(tx);
        if mine {
            self.reoffer_broken(
                core,
                tx,
                match why {
                    TxFailure::TimedOut => "the re-INVITE got no answer",
                    TxFailure::Transport => "the re-INVITE could not be delivered",
                },
            );
        }
        mine
    }

    fn reoffer_accepted(&mut self, core: &mut Core, response: &Response) {
        let Step::Asked(asked) = std::mem::take(&mut self.reoffer.step) else { return };
        let Asked { tx, request, hop, offer, .. } = *asked;
        if let State::Talking { dialog, .. } = &mut self.state {
            dialog.refresh_target(&response.headers);
            let (ack, way) = (dialog.ack(request.headers.cseq.number), core.in_dialog(dialog));
            core.stack.send_ack(core.now, ack.clone(), way);
            let tag = response.headers.to.tag().unwrap_or_default().to_owned();
            self.keep_reoffer(core, Sent::acknowledged(tx, request, hop, (tag, ack, way)));
        }
        self.learn_peer(&response.headers);
        self.session = SessionTimer::uac(core.now, &response.headers);
        let Some(offer) = offer else { return self.hear_reoffered(core, response) };
        let answer = description(&response.headers, &response.body);
        if offer.0.is_fax() {
            return self.take_fax_answer(core, &offer, answer.ok().flatten());
        }
        let agreed = match answer {
            Ok(Some(answer)) => sdp::accept(&offer.0, &answer, &offer.1).map_err(|refusal| refusal.to_string()),
            Ok(None) => Err("the answer to the re-INVITE has no session description".to_owned()),
            Err(bad) => Err(bad.why),
        };
        match agreed {
            Ok(agreed) => {
                self.agree(core, agreed);
                let asked = offer.1.direction;
                if asked == self.wanted_direction() && !self.fax.is_wanted() {
                    core.tell(self.id, Notice::Reoffered(Ok(())));
                } else {
                    self.reoffer(core);
                }
            }
            Err(why) => {
                self.about.error = Some(why.clone());
                self.hang_up(core, End::media(why));
            }
        }
    }

    /// The dialog ends. A 2xx that comes all the same is acknowledged, so that the peer does not send it for ever.
    pub fn abandon_reoffer(&mut self, core: &mut Core) {
        let State::Talking { dialog, .. } = &self.state else { return };
        match std::mem::take(&mut self.reoffer.step) {
            Step::Asked(asked) => {
                let Asked { tx, request, hop, .. } = *asked;
                let ack = (dialog.ack(request.headers.cseq.number), core.in_dialog(dialog));
                let tag = dialog.remote.tag().unwrap_or_default().to_owned();
                self.keep_reoffer(core, Sent::acknowledged(tx, request, hop, (tag, ack.0, ack.1)));
            }
            Step::Idle | Step::Wanted | Step::BackOff(_) => {}
        }
    }

    fn keep_reoffer(&mut self, core: &mut Core, sent: Sent) {
        if let Some(old) = self.reoffer.sent.replace(sent) {
            core.transactions.remove(&old.tx);
        }
    }

    /// Both sides asked at once.
    fn reoffer_crossed(&mut self, core: &mut Core, tx: ClientTx) {
        self.reoffer.tries += 1;
        if self.reoffer.tries >= TRIES {
            return self.reoffer_refused(core, tx, Failure::Refused(491));
        }
        core.transactions.remove(&tx);
        let owner = self.about.direction == super::Direction::Outbound;
        let wait = rules::back_off(owner, core.random());
        core.trace(self.id, TraceEvent::Call(format!("re-INVITEs crossed: again in {} ms", wait.as_millis())));
        self.reoffer.step = Step::BackOff(core.now + wait);
    }

    /// The peer wants the session to be refreshed less often.
    fn reoffer_too_brief(&mut self, core: &mut Core, tx: ClientTx, response: &Response) {
        self.reoffer.tries += 1;
        if self.reoffer.tries >= TRIES {
            return self.reoffer_refused(core, tx, Failure::Refused(422));
        }
        core.transactions.remove(&tx);
        if let Some(session) = &mut self.session {
            session.raise(&response.headers);
        }
        self.reoffer.step = Step::Wanted;
        self.go_on_reoffering(core);
    }

    fn reoffer_refused(&mut self, core: &mut Core, tx: ClientTx, failure: Failure) {
        core.transactions.remove(&tx);
        self.reoffer.step = Step::Idle;
        core.tell(self.id, Notice::Reoffered(Err(failure)));
    }

    fn reoffer_broken(&mut self, core: &mut Core, tx: ClientTx, why: &str) {
        core.transactions.remove(&tx);
        self.reoffer.step = Step::Idle;
        self.lose_peer(core, why);
    }

    /// The back-off is over.
    pub fn reoffer_timeout(&mut self, core: &mut Core) {
        if self.reoffer.timeout().is_some_and(|at| at <= core.now) {
            self.reoffer.step = Step::Wanted;
            self.go_on_reoffering(core);
        }
    }
}
