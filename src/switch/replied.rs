//! What comes back to our INVITE: its early answers, the answer, where else to ask, or why there is none (RFC 3261 section
//! 13.2.2).

use super::{
    accept::description,
    call::{Call, End, Notice, State},
    carriers::CallFault,
    connect::{Inviting, Locating},
    core::Core,
    forks::Sent,
};
use crate::sip::{ClientTx, Failure as TxFailure, NameAddr, Response, SessionTimer, Target, least_session};

impl Call {
    /// An answer to our INVITE.
    pub fn handle_invite_response(&mut self, core: &mut Core, tx: ClientTx, response: &Response) {
        self.hear(core, tx, response.code);
        match &self.state {
            State::Inviting(inviting) if inviting.tx == tx => match response.code {
                0..=100 => {}
                101..=199 => self.provisional(core, response),
                200..=299 => self.accepted(core, response),
                300..=399 => self.redirected(core, tx, response),
                401 | 407 if self.prove(core, tx, response) => {}
                422 => self.too_brief(core, tx, response),
                code => {
                    self.hear_reason(&response.headers);
                    self.blame_for(core, code);
                    self.refused(core, tx, code);
                }
            },
            State::Inviting(_)
            | State::Incoming(_)
            | State::Accepting(_)
            | State::Locating(_)
            | State::Talking { .. }
            | State::Gone => {
                if let Some(sent) = self.sent.as_mut().filter(|sent| sent.tx == tx) {
                    sent.answer_again(core, response);
                }
            }
        }
    }

    fn provisional(&mut self, core: &mut Core, response: &Response) {
        if !self.learn_early(core, response) {
            return;
        }
        self.learn_peer(&response.headers);
        let State::Inviting(inviting) = &mut self.state else { return };
        if inviting.canceled.is_some() {
            return;
        }
        inviting.outgoing.rang = true;
        if response.code == 180 {
            core.tell(self.id, Notice::Ringing);
        }
        if self.hear_early(core, response) {
            return;
        }
        let State::Inviting(inviting) = &mut self.state else { return };
        if inviting.early.is_some() {
            return; // The first fork that describes its media is the one that is heard.
        }
        let Ok(Some(answer)) = description(&response.headers, &response.body) else { return };
        let Some((offer, local)) = inviting.offer.clone() else { return };
        if self.take_invited(core, (&offer, &local), &answer).is_ok() {
            if let State::Inviting(inviting) = &mut self.state {
                inviting.early = Some(response.headers.to.tag().unwrap_or_default().to_owned());
            }
            // A fax cannot be heard.
            let news = if self.fax.is_on() { Notice::Ringing } else { Notice::EarlyMedia };
            core.tell(self.id, news);
        }
    }

    fn accepted(&mut self, core: &mut Core, response: &Response) {
        let State::Inviting(inviting) = self.enter(State::Gone) else { return };
        let Inviting { tx, request, hop, offer, earlies, early, canceled, .. } = *inviting;
        let mut sent = Sent::new(tx, request, hop);
        let dialog = sent.acknowledge(core, response);
        self.sent = Some(sent);
        let Some(mut dialog) = dialog else { return self.decide(core, End::BROKEN, Some(response.code)) };
        Call::go_on_from(&earlies, &mut dialog);
        self.enter(State::Talking { dialog: Box::new(dialog), reinvite: None });
        if canceled.is_some() {
            return self.say_bye(core);
        }
        self.learn_peer(&response.headers);
        self.session = SessionTimer::uac(core.now, &response.headers);
        self.about.answered = Some(core.now);
        self.trunk_answered(core);
        self.about.error = None;
        let Some(offer) = offer else { return self.hear_answer(core, response) };
        let taken = match description(&response.headers, &response.body) {
            Ok(Some(answer)) => self.take_invited(core, (&offer.0, &offer.1), &answer).map(|()| Some(answer)),
            // An answer that came in this dialog's 18x stands.
            Ok(None) if early.as_deref() == Some(response.headers.to.tag().unwrap_or_default()) => Ok(None),
            Ok(None) => Err("the answer has no session description".to_owned()),
            Err(bad) => Err(bad.why),
        };
        match taken {
            Ok(answer) => {
                self.settle_invited(core, answer.as_ref());
                core.tell(self.id, Notice::Answered);
            }
            Err(why) => {
                self.about.error = Some(why.clone());
                self.hang_up(core, End::media(why));
            }
        }
    }

    /// The target wants the session to be refreshed less often: ask again, once (RFC 4028 section 7.3).
    fn too_brief(&mut self, core: &mut Core, tx: ClientTx, response: &Response) {
        let State::Inviting(inviting) = &mut self.state else { return };
        let wish = &mut inviting.outgoing.session;
        let least = least_session(&response.headers).filter(|least| *least > wish.min && !wish.expires.is_zero());
        let Some(least) = least.filter(|_| inviting.canceled.is_none()) else {
            return self.refused(core, tx, response.code);
        };
        wish.min = least;
        core.transactions.remove(&tx);
        let State::Inviting(inviting) = self.enter(State::Gone) else { return };
        let Inviting { outgoing, uri, mut places, hop, .. } = *inviting;
        places.push_front(Target { transport: hop.transport, address: hop.remote });
        self.enter(State::Locating(Box::new(Locating { outgoing, uri, places, query: None })));
        self.invite(core);
    }

    fn redirected(&mut self, core: &mut Core, tx: ClientTx, response: &Response) {
        if let State::Inviting(inviting) = &mut self.state {
            let outgoing = &mut inviting.outgoing;
            let contacts = response.headers.all("Contact").filter_map(|c| NameAddr::parse(c).ok());
            for contact in contacts.take(outgoing.redirects).collect::<Vec<_>>() {
                outgoing.redirects -= 1;
                tracing::info!(call = %self.name, to = %contact.uri, "redirected");
                outgoing.targets.push_back(contact.uri);
            }
        }
        self.refused(core, tx, response.code);
    }

    /// The carrier wants to know who we are: send the INVITE again with an answer. False: there is none.
    fn prove(&mut self, core: &mut Core, tx: ClientTx, response: &Response) -> bool {
        let State::Inviting(inviting) = &mut self.state else { return false };
        if inviting.canceled.is_some() {
            return false;
        }
        let Some(again) = inviting.outgoing.carrier.prove(core, &inviting.request, response) else { return false };
        core.transactions.remove(&tx);
        inviting.outgoing.cseq = again.headers.cseq.number;
        inviting.tx = core.request(self.id, again.clone(), inviting.hop);
        inviting.request = again;
        (inviting.silent, inviting.trying) = (Some(core.now + core.config.limits.silent), false);
        true
    }

    /// The INVITE failed with this code: another address, another target, or the end.
    fn refused(&mut self, core: &mut Core, tx: ClientTx, code: u16) {
        core.transactions.remove(&tx);
        let State::Inviting(inviting) = self.enter(State::Gone) else { return };
        if inviting.canceled.is_some() {
            return;
        }
        let Inviting { mut outgoing, uri, places, .. } = *inviting;
        let elsewhere = code == 503 && !places.is_empty();
        let end = End::refused(code, outgoing.rang);
        let onward = outgoing.carrier.goes_on(core, code, outgoing.rang);
        if !elsewhere && !onward {
            outgoing.carrier.ways.clear();
        }
        let stop = code >= 600 || (!elsewhere && !onward && outgoing.targets.is_empty());
        if stop {
            return self.decide(core, end, Some(code));
        }
        outgoing.failed = Some(end);
        self.enter(State::Locating(Box::new(Locating { outgoing, uri, places, query: None })));
        if elsewhere { self.try_next(core) } else { self.locate(core) }
    }

    /// No answer will come to our INVITE.
    pub fn handle_invite_failed(&mut self, core: &mut Core, tx: ClientTx, why: TxFailure) {
        if !matches!(&self.state, State::Inviting(inviting) if inviting.tx == tx) {
            return;
        }
        self.place_failed(core);
        self.about.error = Some(match why {
            TxFailure::TimedOut => "the INVITE got no answer".to_owned(),
            TxFailure::Transport => "the INVITE could not be delivered".to_owned(),
        });
        let fault = match why {
            TxFailure::TimedOut => CallFault::Silent,
            TxFailure::Transport => CallFault::Unreachable,
        };
        self.blame(core, fault);
        match why {
            // As good as 503, so that another address is tried in both cases (RFC 3263 section 4.3).
            TxFailure::Transport => self.refused(core, tx, 503),
            TxFailure::TimedOut => {
                let rest = matches!(&self.state, State::Inviting(inviting) if !inviting.places.is_empty());
                self.refused(core, tx, if rest { 503 } else { 408 });
            }
        }
    }
}
