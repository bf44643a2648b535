//! A call that somebody else's machine records (SIPREC, RFC 7866): a leg of its own goes to the recorder, tells it who
//! speaks, and sends it what each side of the call says. The call itself knows nothing of it and goes on without it.
//!
//! ```text
//! call ──its port is tapped──▶ two taps ──feed──▶ two ports of the leg ──RTP──▶ recorder
//! leg:  Locating ──both ports are open──▶ Inviting ──2xx: the taps begin──▶ Talking ──the call or the recorder ends──▶ Gone
//! ```
//!
//! The leg is a call without a port of its own, like one whose audio goes past us; its two ports are in
//! `siprec_mouths`, and what it is not to hear in `siprec_mask`.

use super::{
    accept::warning,
    call::{Call, End},
    connect::Outgoing,
    happened::What,
    outbound::Carrier,
    siprec_mask::Mask,
    siprec_mouths::Mouths,
    siprec_words::{self, Party},
    switch::Switch,
    target,
    task::Ask,
    trunk::Caller,
};
use crate::{
    ids::{CallId, TapId},
    media::{Command, Side, Tap, Tapping},
    sdp::Policy,
    sip::{NameAddr, Uri},
    verbs::{Failure, Reply},
};

/// Frames that may wait in a tap: a second.
const ROOM: usize = 50;
/// How long a recorder may take to answer.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);
/// The user by which we call recorders.
const USER: &str = "switchhook";

/// Who records calls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recorders {
    /// Where calls are recorded that name no recorder of their own: a `sip:` address.
    pub usual: Option<Uri>,
    /// Every call that comes in is recorded there from its answer on.
    pub always: bool,
    /// Whether what is sent to recorders is encrypted, with keys in SDP; where they are not reached over TLS, it cannot be.
    pub security: Policy,
}

/// What a leg to a recorder knows.
pub(super) struct Siprec {
    /// The call that is recorded.
    pub of: CallId,
    /// Who waits for the recorder's answer.
    ask: Option<Ask>,
    pub mouths: Mouths,
    /// Who speaks, in the recorder's words.
    metadata: String,
    /// Names of the taps that feed it.
    pub taps: Vec<TapId>,
    /// What is not to be heard: see `siprec_mask`.
    pub mask: Mask,
}

impl Siprec {
    /// Makes the INVITE one that a recorder expects (section 6.1); `body` is the description alone.
    pub fn dress(&self, name: &str, request: &mut crate::sip::Request) {
        if let Some(mut contact) = request.headers.contact() {
            contact.params.push(("+sip.src".to_owned(), None));
            request.headers.set("Contact", contact.to_string());
        }
        request.headers.push("Require", "siprec");
        request.headers.set("Accept", "application/sdp, application/rs-metadata");
        request.headers.set("MIME-Version", "1.0");
        let (kind, body) = siprec_words::parts(name, &request.body, &self.metadata);
        request.headers.set("Content-Type", kind);
        request.body = body.into();
    }
}

impl Call {
    /// Who speaks in this call: its party, and what it called.
    fn parties(&mut self) -> [Party; 2] {
        let (from, to) = (self.about.from.clone(), self.about.to.clone());
        let shown = |named: &NameAddr, number: String| Party {
            address: target::bare(&named.uri).to_string(),
            name: named.display.clone().unwrap_or(number),
        };
        let inbound = self.about.direction == super::Direction::Inbound;
        let (theirs, ours) = if inbound { (from, to) } else { (to, from) };
        match self.dialog(None) {
            Some(dialog) => [shown(&dialog.remote, theirs), shown(&dialog.local, ours)],
            None => [theirs, ours].map(|number| Party { address: format!("sip:{number}@invalid"), name: number }),
        }
    }
}

impl Switch {
    /// Have a call recorded by `recorder`, or by the usual one. `ask` hears how that goes.
    pub(super) fn begin_siprec(
        &mut self,
        ask: Option<Ask>,
        id: CallId,
        recorder: Option<&str>,
    ) -> Result<Option<Reply>, Failure> {
        let uri = match recorder {
            Some(text) => self.core.plans(text)?.pop().and_then(|mut plan| plan.targets.pop_front()),
            None => self.core.config.rules.recorders.usual.clone(),
        };
        let uri = uri.ok_or(Failure::Unreachable)?;
        if self.calls.len() >= self.core.config.limits.calls {
            return Err(Failure::Limit("calls"));
        }
        let (call, core) = self.call(id).ok_or(Failure::NoSuchCall)?;
        if call.recorder.is_some() || call.direct.is_some() || !call.is_hearable() {
            return Err(Failure::WrongState);
        }
        let (started, parties) = (core.epoch.unix(core.now).as_secs(), call.parties());
        let ids = std::array::from_fn(|_| [core.random(), core.random()]);
        let metadata = siprec_words::metadata(&parties, started, &ids);
        let (name, worker) = (call.name.clone(), call.port.worker());
        let tag = core.stack.new_tag();
        let from = target::from(USER, &core.own_contact(), &tag)?;
        let outgoing = Outgoing {
            from,
            headers: vec![("X-Recorded-Call".to_owned(), name.clone())],
            targets: [uri].into(),
            redirects: core.config.limits.redirects,
            give_up: core.now + PATIENCE,
            cseq: 0,
            session: core.config.rules.session,
            failed: None,
            rang: false,
            carrier: Carrier::new(Default::default(), Caller::default()),
            reach: None,
        };
        let mut leg = Call::outgoing(core, outgoing);
        (leg.about.parent, leg.worker) = (Some(name), worker);
        let (mouths, taps, mask) = (Mouths::default(), Vec::new(), Mask::default());
        leg.siprec = Some(Box::new(Siprec { of: id, ask, mouths, metadata, taps, mask }));
        call.recorder = Some(leg.id);
        leg.locate(core);
        self.adopt(leg);
        Ok(None)
    }

    /// A call that came in is answered: where all are recorded, so is it.
    pub(super) fn record_always(&mut self, id: CallId) {
        let inbound = self.calls.get(&id).is_some_and(|call| call.about.direction == super::Direction::Inbound);
        if self.core.config.rules.recorders.always
            && inbound
            && let Err(failure) = self.begin_siprec(None, id, None)
        {
            tracing::warn!(call = ?self.calls.get(&id).map(|call| call.name.as_str()), ?failure, "not recorded by SIPREC");
        }
    }

    /// A recorder answered: it hears the call from now on. False: it is no recorder.
    pub(super) fn recorder_answers(&mut self, id: CallId) -> bool {
        let Some((leg, core)) = self.call(id) else { return false };
        if leg.siprec.is_none() {
            return false;
        }
        let heeded = leg.hear_recorder(core);
        let Some(siprec) = &mut leg.siprec else { return false };
        let (of, ask, recorder) = (siprec.of, siprec.ask.take(), leg.name.clone());
        let rate = match heeded {
            Ok(rate) => rate,
            Err(why) => {
                siprec.ask = ask;
                leg.hang_up(core, End::media(why));
                return true;
            }
        };
        let taps = [Side::Said, Side::Heard].map(|side| Tap::new(TapId(core.id()), side, rate, ROOM));
        siprec.taps = taps.iter().map(|tap| tap.id).collect();
        for ((port, worker), tap) in siprec.mouths.ports().zip(&taps) {
            core.media(worker, Command::Feed { port, tap: tap.clone() });
        }
        if let Some((call, core)) = self.call(of)
            && let Some(port) = call.port.open().map(|open| open.id)
        {
            call.happened(core, What::Siprec { recorder });
            for tap in taps {
                call.command(core, Command::Tap { port, tapping: Tapping::new(tap) });
            }
        }
        self.tend_mask(of);
        if let Some(ask) = ask {
            self.reply(ask, Reply::Done);
        }
        true
    }

    /// A recorder describes its media anew: it pauses, goes on, moves. False: it is no recorder.
    pub(super) fn recorder_described(&mut self, id: CallId) -> bool {
        let Some((leg, core)) = self.call(id).filter(|(leg, _)| leg.siprec.is_some()) else { return false };
        let Some(direct) = &mut leg.direct else { return true };
        let Some((tx, request)) = direct.waiting.take() else { return true };
        match leg.answer_recorder(core, &request.body) {
            Ok(ours) => leg.answer_directly(core, tx, &request, ours),
            Err(why) => core.answer(tx, &request, 488, &[("Warning", &warning(&why))]),
        }
        true
    }

    /// Have a call recorded no longer.
    pub(super) fn end_siprec(&mut self, id: CallId) -> Result<Option<Reply>, Failure> {
        let (call, _) = self.call(id).ok_or(Failure::NoSuchCall)?;
        let leg = call.recorder.take().ok_or(Failure::NoSuchRecording)?;
        if let Some((leg, core)) = self.call(leg) {
            leg.hang_up(core, End::FINISHED);
        }
        Ok(Some(Reply::Done))
    }

    /// A recorded call is over, or its recorder is.
    pub(super) fn siprec_over(&mut self, id: CallId) {
        let Some((call, core)) = self.call(id) else { return };
        let failure = call.over.as_ref().map_or(Failure::HungUp, |over| over.end.failure.clone());
        let (recorder, siprec) = (call.recorder.take(), call.siprec.as_mut());
        if let Some(siprec) = siprec {
            let (of, ask, taps) = (siprec.of, siprec.ask.take(), std::mem::take(&mut siprec.taps));
            call.close_mouths(core);
            self.leave_recorded(of, id, taps);
            if let Some(ask) = ask {
                self.reply(ask, Reply::Failed(failure));
            }
        }
        if let Some((leg, core)) = recorder.and_then(|leg| self.call(leg)) {
            // Its flow is gone with it: nobody is to be told.
            leg.siprec.iter_mut().for_each(|siprec| siprec.ask = None);
            leg.hang_up(core, End::FINISHED);
        }
    }

    fn leave_recorded(&mut self, of: CallId, leg: CallId, taps: Vec<TapId>) {
        let recorder = self.calls.get(&leg).map(|leg| leg.name.clone()).filter(|_| !taps.is_empty());
        let Some((call, core)) = self.call(of) else { return };
        if let Some(recorder) = recorder {
            call.happened(core, What::SiprecOver { recorder });
        }
        if call.recorder == Some(leg) {
            call.recorder = None;
        }
        let Some(port) = call.port.open().map(|open| open.id) else { return };
        for tap in taps {
            call.command(core, Command::Untap { port, tap });
        }
    }
}
