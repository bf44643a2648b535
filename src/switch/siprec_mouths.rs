//! The two ports of a leg to a recorder: what each side of the recorded call says leaves by one of them, encrypted where
//! the operator wants it (keys in SDP, RFC 4568), which makes sense where nobody on the way can read them: over TLS.

use std::net::SocketAddr;

use bytes::Bytes;

use super::{
    Output,
    call::{Call, End},
    core::Core,
    direct::Direct,
    port,
    secure::secret,
};
use crate::{
    codec::Rate,
    ids::{PortId, WorkerId},
    media::{self, Command, Shield, ShieldKeys, Shielding, Tools},
    sdp::{self, Agreed, Local, Policy, Proposal, Refusal, Security, Session},
    secure::Suite,
    sip::{Hop, Transport},
};

/// Both of them.
#[derive(Default)]
pub(super) struct Mouths {
    all: [Mouth; 2],
    /// What was offered, and what it was made of.
    offer: Option<(Session, Box<[Local; 2]>)>,
    /// What was told about the encryption of each.
    told: [Option<Shielding>; 2],
    /// The suite of each that is in use, or was before the line became plain.
    suites: [Option<Suite>; 2],
}

/// One port of such a leg.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Mouth {
    #[default]
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

impl Mouths {
    fn addresses(&self) -> Option<[SocketAddr; 2]> {
        match self.all {
            [Mouth::Open(_, _, first), Mouth::Open(_, _, second)] => Some([first, second]),
            _ => None,
        }
    }

    fn of(&mut self, port: PortId) -> Option<&mut Mouth> {
        self.all.iter_mut().find(|mouth| mouth.port().is_some_and(|(own, _)| own == port))
    }

    /// The ports that are there.
    pub fn ports(&self) -> impl Iterator<Item = (PortId, WorkerId)> {
        self.all.into_iter().filter_map(Mouth::port)
    }

    /// A suite that is left gets another key when it is agreed on again: see [`Security::left`].
    fn note_suites(&mut self, taken: &[Result<Agreed, Refusal>; 2]) {
        let Some((_, locals)) = &mut self.offer else { return };
        for ((taken, local), suite) in taken.iter().zip(locals.iter_mut()).zip(&mut self.suites) {
            let keys = taken.as_ref().ok().and_then(|agreed| agreed.protection.as_ref());
            let Some(sdp::Keys::Sdes { ours, .. }) = keys.map(|protection| &protection.keys) else { continue };
            if let Some(left) = suite.replace(ours.suite()).filter(|before| *before != ours.suite()) {
                let times = &mut local.security.left[left as usize];
                *times = times.wrapping_add(1);
            }
        }
    }

    /// None of them is left in the world.
    pub fn are_gone(&self) -> bool {
        self.all == [Mouth::None; 2]
    }
}

impl Call {
    /// Ask for the two ports of a leg to a recorder. Nothing happens where they are asked for already.
    pub fn open_mouths(&mut self, core: &mut Core, hop: Hop, v6: bool) {
        let (id, worker) = (self.id, self.worker.unwrap_or_else(|| core.lightest_worker()));
        let Some(siprec) = self.siprec.as_mut().filter(|siprec| siprec.mouths.are_gone()) else { return };
        for mouth in &mut siprec.mouths.all {
            let port = PortId(core.id());
            core.add_port(port, id, worker);
            *mouth = Mouth::Opening(port, worker);
            core.out.push_back(Output::OpenPort { port, worker, interface: hop.interface, v6 });
        }
    }

    /// The sockets of one of them are bound, or cannot be. False: it is no such port.
    pub fn mouth_opened(&mut self, core: &mut Core, port: PortId, result: &Result<SocketAddr, String>) -> bool {
        let Some(mouth) = self.siprec.as_mut().and_then(|siprec| siprec.mouths.of(port)) else { return false };
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
        let Some(addresses) = self.siprec.as_ref().and_then(|siprec| siprec.mouths.addresses()) else { return };
        let mut securities = match self.line_securities(core) {
            Ok(securities) => securities.into_iter(),
            Err(why) => {
                tracing::warn!(call = %self.name, why, "not recorded by SIPREC");
                self.about.error = Some(why.to_owned());
                return self.decide_gone(core, End::media(why.to_owned()));
            }
        };
        let locals = Box::new(addresses.map(|address| Local {
            address,
            session_id,
            version,
            codecs: codecs.clone(),
            relayed: Vec::new(),
            formats: Vec::new(),
            comfort: false,
            ptime,
            direction: sdp::Direction::SendOnly,
            security: securities.next().unwrap_or_default(),
        }));
        let offer = sdp::offer_both(&locals);
        let ours = offer.to_string().into();
        if let Some(siprec) = &mut self.siprec {
            siprec.mouths.offer = Some((offer, locals));
        }
        self.direct = Some(Box::new(Direct { ours, ..Direct::default() }));
        self.invite(core);
    }

    /// How each line is encrypted, with a key of its own. Where everybody on the way could read the keys, there are none.
    fn line_securities(&self, core: &Core) -> Result<[Security; 2], &'static str> {
        let policy = core.config.rules.recorders.security;
        let private = matches!(self.transport(core), Some(Transport::Tls | Transport::Wss));
        let (policy, proposal) = match (policy, private) {
            (Policy::Off, _) | (Policy::Optional, false) => (Policy::Off, Proposal::Plain),
            (Policy::Required, false) => {
                return Err("what goes to recorders must be encrypted, and this one is not reached over TLS");
            }
            (Policy::Optional | Policy::Required, true) => (policy, Proposal::Sdes),
        };
        Ok([1, 2].map(|label| {
            let secret = secret(core, &format!("{} line {label}", self.name));
            Security { policy, proposal, secret, ..Security::default() }
        }))
    }

    /// The recorder answered our offer. Gives the best rate of the lines that it takes.
    pub fn hear_recorder(&mut self, core: &mut Core) -> Result<Rate, String> {
        let said = self.direct.as_ref().map(|direct| direct.theirs.clone()).unwrap_or_default();
        let theirs = Session::parse(&said).map_err(|error| error.to_string())?;
        let Some((offer, locals)) = self.siprec.as_ref().and_then(|siprec| siprec.mouths.offer.as_ref()) else {
            return Err("nothing was offered".into());
        };
        let taken = sdp::accept_both(offer, &theirs, locals);
        // If it asks again what we said, it is told as an answer would say it.
        let ours = sdp::answer_both(&theirs, locals).0.to_string().into();
        let rate = self.heed_recorder(core, taken)?;
        if let Some(direct) = &mut self.direct {
            direct.ours = ours;
        }
        Ok(rate)
    }

    /// The recorder describes its media anew: our answer.
    pub fn answer_recorder(&mut self, core: &mut Core, body: &[u8]) -> Result<Bytes, String> {
        let theirs = Session::parse(body).map_err(|error| error.to_string())?;
        self.sdp_version += 1;
        let version = self.sdp_version;
        let Some((_, locals)) = self.siprec.as_mut().and_then(|siprec| siprec.mouths.offer.as_mut()) else {
            return Err("nothing was offered".into());
        };
        locals.iter_mut().for_each(|local| local.version = version);
        let (ours, taken) = sdp::answer_both(&theirs, locals);
        self.heed_recorder(core, taken)?;
        let ours: Bytes = ours.to_string().into();
        if let Some(direct) = &mut self.direct {
            (direct.ours, direct.theirs) = (ours.clone(), body.to_vec().into());
        }
        Ok(ours)
    }

    /// The ports are told what was agreed on. Gives the best rate of them.
    fn heed_recorder(&mut self, core: &mut Core, taken: [Result<Agreed, Refusal>; 2]) -> Result<Rate, String> {
        let Some(siprec) = &mut self.siprec else { return Err("nothing is recorded".into()) };
        let mut best: Result<Rate, String> = Err("no line was taken".to_owned());
        siprec.mouths.note_suites(&taken);
        let Mouths { all, told, .. } = &mut siprec.mouths;
        for ((taken, mouth), told) in taken.into_iter().zip(all).zip(told) {
            match (taken, mouth) {
                (Ok(agreed), Mouth::Open(port, worker, _)) => {
                    let (port, worker) = (*port, *worker);
                    let rate = agreed.send.map_or(Rate::Narrow, |(_, codec)| codec.rate());
                    best = Ok(best.unwrap_or_default().max(rate));
                    if let Some(new) = shielding(&agreed, told.as_ref()) {
                        core.media(worker, Command::Shield { port, shield: Shield::new(new.clone()) });
                        *told = Some(new);
                    }
                    let stream = Box::new(port::stream(&agreed));
                    let tools = Tools::new(&stream, &core.config.media);
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
        for mouth in self.siprec.iter_mut().flat_map(|siprec| &mut siprec.mouths.all) {
            if let Mouth::Open(port, worker, _) = *mouth {
                *mouth = Mouth::Closing(port, worker);
                core.media(worker, Command::Close { port });
            }
        }
    }

    /// The engine closed one of them. False: it is no such port.
    pub fn mouth_closed(&mut self, core: &mut Core, port: PortId) -> bool {
        let Some(mouth) = self.siprec.as_mut().and_then(|siprec| siprec.mouths.of(port)) else { return false };
        if let Some((port, worker)) = std::mem::replace(mouth, Mouth::None).port() {
            core.remove_port(port, worker);
        }
        true
    }

    /// Give them up though the engine never said that they are closed.
    pub fn abandon_mouths(&mut self, core: &mut Core) {
        for mouth in self.siprec.iter_mut().flat_map(|siprec| &mut siprec.mouths.all) {
            if let Some((port, worker)) = std::mem::replace(mouth, Mouth::None).port() {
                core.remove_port(port, worker);
            }
        }
    }
}

/// What is new about a port's encryption.
fn shielding(agreed: &Agreed, told: Option<&Shielding>) -> Option<Shielding> {
    let new = match agreed.protection.as_ref().map(|protection| (&protection.keys, protection.mux)) {
        Some((sdp::Keys::Sdes { ours, theirs }, mux)) => {
            Shielding { keys: ShieldKeys::Known { ours: *ours, theirs: *theirs }, mux, ice: None }
        }
        // No certificate of ours is ever named to a recorder.
        Some((sdp::Keys::Dtls { .. }, _)) => return None,
        None if told.is_none() => return None,
        None => Shielding { keys: ShieldKeys::Plain, mux: false, ice: None },
    };
    (told != Some(&new)).then_some(new)
}
