//! A call that somebody else's machine records (SIPREC, RFC 7866): a leg of its own goes to the recorder, tells it who
//! speaks, and sends it what each side of the call says. The call itself knows nothing of it and goes on without it.
//!
//! ```text
//! call ──its port is tapped──▶ two taps ──feed──▶ two ports of the leg ──RTP──▶ recorder
//! leg:  Locating ──both ports are open──▶ Inviting ──2xx: the taps begin──▶ Talking ──the call or the recorder ends──▶ Gone
//! ```
//!
//! The leg is a call without a port of its own, like one whose audio goes past us; its two ports are kept here.

use std::net::SocketAddr;

use super::{
    Output,
    call::{Call, End},
    connect::Outgoing,
    core::Core,
    direct::Direct,
    outbound::Carrier,
    port,
    siprec_words::{self, Party},
    switch::Switch,
    target,
    task::Ask,
    trunk::Caller,
};
use crate::{
    codec::Rate,
    ids::{CallId, PortId, TapId, WorkerId},
    media::{self, Command, Side, Tap, Tapping, Tools},
    sdp::{self, Local, Session},
    sip::{Hop, NameAddr, Uri},
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
}

/// What a leg to a recorder knows.
pub(super) struct Siprec {
    /// The call that is recorded.
    of: CallId,
    /// Who waits for the recorder's answer.
    ask: Option<Ask>,
    mouths: [Mouth; 2],
    /// What was offered, and what it was made of.
    offer: Option<(Session, Box<[Local; 2]>)>,
    /// Who speaks, in the recorder's words.
    metadata: String,
    /// Names of the taps that feed it.
    taps: Vec<TapId>,
}

/// One port of such a leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mouth {
    None,
    Opening(PortId, WorkerId),
    Open(PortId, WorkerId, SocketAddr),
    Closing(PortId, WorkerId),
}

impl Mouth {
    fn port(self) -> Option<(PortId, WorkerId)> {
        match self {
            Mouth::None => None,
            Mouth::Opening(port, worker) | Mouth::Open(port, worker, _) | Mouth::Closing(port, worker) => {
                Some((port, worker))
            }
        }
    }
}

impl Siprec {
    fn addresses(&self) -> Option<[SocketAddr; 2]> {
        match self.mouths {
            [Mouth::Open(_, _, first), Mouth::Open(_, _, second)] => Some([first, second]),
            _ => None,
        }
    }

    fn mouth(&mut self, port: PortId) -> Option<&mut Mouth> {
        self.mouths.iter_mut().find(|mouth| mouth.port().is_some_and(|(own, _)| own == port))
    }

    /// None of its ports is left in the world.
    pub fn is_gone(&self) -> bool {
        self.mouths == [Mouth::None; 2]
    }

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
    /// Ask for the two ports of a leg to a recorder. Nothing happens where they are asked for already.
    pub fn open_mouths(&mut self, core: &mut Core, hop: Hop, v6: bool) {
        let (id, worker) = (self.id, self.worker.unwrap_or_else(|| core.lightest_worker()));
        let Some(siprec) = self.siprec.as_mut().filter(|siprec| siprec.is_gone()) else { return };
        for mouth in &mut siprec.mouths {
            let port = PortId(core.id());
            core.add_port(port, id, worker);
            *mouth = Mouth::Opening(port, worker);
            core.out.push_back(Output::OpenPort { port, worker, interface: hop.interface, v6 });
        }
    }

    /// The sockets of one of them are bound, or cannot be. False: it is no such port.
    pub fn mouth_opened(&mut self, core: &mut Core, port: PortId, result: &Result<SocketAddr, String>) -> bool {
        let Some(mouth) = self.siprec.as_mut().and_then(|siprec| siprec.mouth(port)) else { return false };
        let Mouth::Opening(_, worker) = *mouth else { return true };
        match result {
            Ok(address) => {
                *mouth = Mouth::Open(port, worker, *address);
                let seed = core.random();
                let memory = media::Port::new(port, port::unagreed(core), &core.config.media, seed);
                core.media(worker, Command::Open { port, memory });
                if self.over.is_some() { self.close_mouths(core) } else { self.describe_both(core) }
            }
            Err(why) => {
                *mouth = Mouth::None;
                core.remove_port(port, worker);
                self.decide_gone(core, End::media(why.clone()));
            }
        }
        true
    }

    /// Both ports are open: the recorder is invited.
    fn describe_both(&mut self, core: &mut Core) {
        let codecs = self.codecs(core);
        self.sdp_version += 1;
        let (session_id, version, ptime) = (self.sdp_session, self.sdp_version, core.config.ptime);
        let Some(siprec) = &mut self.siprec else { return };
        let Some(addresses) = siprec.addresses() else { return };
        let locals = Box::new(addresses.map(|address| Local {
            address,
            session_id,
            version,
            codecs: codecs.clone(),
            relayed: Vec::new(),
            formats: Vec::new(),
            ptime,
            direction: sdp::Direction::SendOnly,
            security: sdp::Security::default(),
        }));
        let offer = sdp::offer_both(&locals);
        let ours = offer.to_string().into();
        siprec.offer = Some((offer, locals));
        self.direct = Some(Box::new(Direct { ours, ..Direct::default() }));
        self.invite(core);
    }

    /// The recorder said what it wants: its ports are told. Gives the best rate of them.
    fn heed_recorder(&mut self, core: &mut Core) -> Result<Rate, String> {
        let said = self.direct.as_ref().map(|direct| direct.theirs.clone()).unwrap_or_default();
        let theirs = Session::parse(&said).map_err(|error| error.to_string())?;
        let Some(siprec) = &self.siprec else { return Err("nothing is recorded".into()) };
        let Some((offer, locals)) = &siprec.offer else { return Err("nothing was offered".into()) };
        let mut best: Result<Rate, String> = Err("no line was taken".to_owned());
        for (taken, mouth) in sdp::accept_both(offer, &theirs, locals).into_iter().zip(siprec.mouths) {
            match (taken, mouth) {
                (Ok(agreed), Mouth::Open(port, worker, _)) => {
                    let rate = agreed.send.map_or(Rate::Narrow, |(_, codec)| codec.rate());
                    best = Ok(best.unwrap_or_default().max(rate));
                    let stream = Box::new(port::stream(&agreed));
                    let tools = Tools::new(&stream);
                    core.media(worker, Command::Update { port, stream, tools });
                }
                (Err(refusal), _) => best = best.map_err(|_| refusal.to_string()),
                (Ok(_), Mouth::None | Mouth::Opening(..) | Mouth::Closing(..)) => {}
            }
        }
        best
    }

    /// Close the ports of a leg to a recorder; those that are opening are closed when they are there.
    pub fn close_mouths(&mut self, core: &mut Core) {
        for mouth in self.siprec.iter_mut().flat_map(|siprec| &mut siprec.mouths) {
            if let Mouth::Open(port, worker, _) = *mouth {
                *mouth = Mouth::Closing(port, worker);
                core.media(worker, Command::Close { port });
            }
        }
    }

    /// The engine closed one of them. False: it is no such port.
    pub fn mouth_closed(&mut self, core: &mut Core, port: PortId) -> bool {
        let Some(mouth) = self.siprec.as_mut().and_then(|siprec| siprec.mouth(port)) else { return false };
        if let Some((port, worker)) = std::mem::replace(mouth, Mouth::None).port() {
            core.remove_port(port, worker);
        }
        true
    }

    /// Give them up though the engine never said that they are closed.
    pub fn abandon_mouths(&mut self, core: &mut Core) {
        for mouth in self.siprec.iter_mut().flat_map(|siprec| &mut siprec.mouths) {
            if let Some((port, worker)) = std::mem::replace(mouth, Mouth::None).port() {
                core.remove_port(port, worker);
            }
        }
    }

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
        let (mouths, taps) = ([Mouth::None; 2], Vec::new());
        leg.siprec = Some(Box::new(Siprec { of: id, ask, mouths, offer: None, metadata, taps }));
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
        let heeded = leg.heed_recorder(core);
        let Some(siprec) = &mut leg.siprec else { return false };
        let (of, ask) = (siprec.of, siprec.ask.take());
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
        for (mouth, tap) in siprec.mouths.into_iter().zip(&taps) {
            if let Some((port, worker)) = mouth.port() {
                core.media(worker, Command::Feed { port, tap: tap.clone() });
            }
        }
        if let Some((call, core)) = self.call(of)
            && let Some(port) = call.port.open().map(|open| open.id)
        {
            for tap in taps {
                call.command(core, Command::Tap { port, tapping: Tapping::new(tap) });
            }
        }
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
        let (ours, before) = (direct.ours.clone(), std::mem::replace(&mut direct.theirs, request.body.clone()));
        match leg.heed_recorder(core) {
            Ok(_) => leg.answer_directly(core, tx, &request, ours),
            Err(_) => {
                if let Some(direct) = &mut leg.direct {
                    direct.theirs = before;
                }
                core.answer(tx, &request, 488, &[]);
            }
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
        let Some((call, core)) = self.call(of) else { return };
        if call.recorder == Some(leg) {
            call.recorder = None;
        }
        let Some(port) = call.port.open().map(|open| open.id) else { return };
        for tap in taps {
            call.command(core, Command::Untap { port, tap });
        }
    }
}
