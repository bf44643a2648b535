//! The media end of a call: its port is asked for when first needed, opened in the engine as soon as the sockets are
//! bound, told each agreement, and closed with the call.

use std::net::SocketAddr;

use super::{
    Output, TraceEvent,
    call::{Call, Notice, State},
    core::Core,
    secure::Told,
};
use crate::{
    codec::{Codec, Digits, OpusWish},
    ids::{PortId, WorkerId},
    media::{self, Command, Payload, Quality, Stream},
    sdp,
    sip::Hop,
};

/// Payload type of telephone-event where we are the first to name one.
const DIGITS: u8 = 101;

pub(super) enum Port {
    None,
    Opening { id: PortId, worker: WorkerId },
    Open(Box<Open>),
    Closing { id: PortId, worker: WorkerId, agreed: Option<Heard> },
    Closed { agreed: Option<Heard>, quality: Box<Quality> },
}

pub(super) struct Open {
    pub id: PortId,
    pub worker: WorkerId,
    /// What SDP tells the peer.
    pub address: SocketAddr,
    pub agreed: Option<sdp::Agreed>,
    /// What was told about its encryption.
    pub told: Told,
    /// Commands that wait for the port to arrive at its new worker.
    held: Option<Vec<Command>>,
}

/// What the record says of the last agreement.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heard {
    /// Where SDP said that the peer receives.
    pub said: Option<SocketAddr>,
    pub codec: Option<Codec>,
    /// The peer should have sent.
    pub receiving: bool,
}

impl Port {
    pub fn open(&self) -> Option<&Open> {
        match self {
            Port::Open(open) => Some(open),
            Port::None | Port::Opening { .. } | Port::Closing { .. } | Port::Closed { .. } => None,
        }
    }

    pub fn open_mut(&mut self) -> Option<&mut Open> {
        match self {
            Port::Open(open) => Some(open),
            Port::None | Port::Opening { .. } | Port::Closing { .. } | Port::Closed { .. } => None,
        }
    }

    /// Nothing of it is left in the world.
    pub fn is_gone(&self) -> bool {
        matches!(self, Port::None | Port::Closed { .. })
    }

    fn id_and_worker(&self) -> Option<(PortId, WorkerId)> {
        match self {
            Port::Opening { id, worker } | Port::Closing { id, worker, .. } => Some((*id, *worker)),
            Port::Open(open) => Some((open.id, open.worker)),
            Port::None | Port::Closed { .. } => None,
        }
    }

    pub fn worker(&self) -> Option<WorkerId> {
        self.id_and_worker().map(|(_, worker)| worker)
    }

    pub fn heard(&self) -> Option<Heard> {
        match self {
            Port::Closing { agreed, .. } | Port::Closed { agreed, .. } => *agreed,
            Port::Open(open) => open.agreed.as_ref().map(heard),
            Port::None | Port::Opening { .. } => None,
        }
    }
}

impl Call {
    /// Ask for a port, on the worker that is meant to have it or on the one with the least to do. Nothing happens where there is one.
    pub fn open_port(&mut self, core: &mut Core, hop: Hop, v6: bool) {
        if !matches!(self.port, Port::None) {
            return;
        }
        let (port, worker) = (PortId(core.id()), self.worker.unwrap_or_else(|| core.lightest_worker()));
        core.add_port(port, self.id, worker);
        self.port = Port::Opening { id: port, worker };
        core.out.push_back(Output::OpenPort { port, worker, interface: hop.interface, v6 });
    }

    /// The sockets are bound, or cannot be.
    pub fn handle_port(&mut self, core: &mut Core, result: Result<SocketAddr, String>) {
        let Port::Opening { id, worker } = self.port else { return };
        let address = match result {
            Ok(address) => address,
            Err(why) => {
                core.remove_port(id, worker);
                self.port = Port::None;
                tracing::warn!(call = %self.name, why, "no port");
                return self.no_port(core, why);
            }
        };
        let seed = core.random();
        let memory = media::Port::new(id, unagreed(core), &core.config.media, seed);
        core.media(worker, Command::Open { port: id, memory });
        self.port = Port::Open(Box::new(Open { id, worker, address, agreed: None, told: Told::default(), held: None }));
        match &self.state {
            State::Incoming(_) => self.go_on_incoming(core),
            State::Locating(_) => self.invite(core),
            State::Accepting(_) | State::Inviting(_) | State::Talking { .. } => {}
            State::Gone => self.close_port(core),
        }
        if self.over.is_some() {
            self.close_port(core);
        }
    }

    fn no_port(&mut self, core: &mut Core, why: String) {
        match &mut self.state {
            State::Incoming(incoming) => {
                incoming.forget_wish();
                core.tell(self.id, Notice::Media(Err(why)));
            }
            State::Locating(_) => self.decide_gone(core, super::call::End::media(why)),
            State::Accepting(_) | State::Inviting(_) | State::Talking { .. } | State::Gone => {}
        }
    }

    /// Tell the engine what is agreed.
    pub fn agree(&mut self, core: &mut Core, mut agreed: sdp::Agreed) {
        tracing::info!(call = %self.name, why = agreed.why, "media agreed");
        core.trace(self.id, TraceEvent::Sdp(agreed.why.clone()));
        self.secure(core, &agreed);
        self.choose_keys(core, &mut agreed);
        let Port::Open(open) = &mut self.port else { return };
        let (port, stream) = (open.id, Box::new(stream(&agreed)));
        let tools = media::Tools::new(&stream, &core.config.media);
        let held = !agreed.direction.sends();
        open.agreed = Some(agreed);
        self.audio_again(core);
        self.command(core, Command::Update { port, stream, tools });
        if std::mem::replace(&mut self.hold.by_party, held) != held {
            core.tell(self.id, Notice::Held);
        }
    }

    /// Command the call's own port, now or when it has arrived at its worker.
    pub fn command(&mut self, core: &mut Core, command: Command) {
        let Port::Open(open) = &mut self.port else { return };
        match &mut open.held {
            Some(held) => held.push(command),
            None => core.media(open.worker, command),
        }
    }

    /// Move the port to `worker`, where it is not there yet.
    pub fn move_port(&mut self, core: &mut Core, worker: WorkerId) {
        let Port::Open(open) = &mut self.port else { return };
        if open.worker == worker {
            return;
        }
        let from = std::mem::replace(&mut open.worker, worker);
        core.move_port(from, worker);
        if open.held.is_none() {
            open.held = Some(Vec::new());
            core.out.push_back(Output::MovePort { port: open.id, from, to: worker });
        }
    }

    /// The port arrived at `worker`.
    pub fn handle_moved(&mut self, core: &mut Core, worker: WorkerId) {
        let Port::Open(open) = &mut self.port else { return };
        if open.worker != worker {
            // It was sent on while it was on its way.
            let (port, to) = (open.id, open.worker);
            return core.out.push_back(Output::MovePort { port, from: worker, to });
        }
        for command in open.held.take().unwrap_or_default() {
            let closing = matches!(command, Command::Close { .. });
            core.media(worker, command);
            if closing {
                self.enter_closing();
                return;
            }
        }
    }

    /// Close the port. Where it is opening or on its way, that is done when it is there.
    pub fn close_port(&mut self, core: &mut Core) {
        let Port::Open(open) = &mut self.port else { return };
        let port = open.id;
        match &mut open.held {
            Some(held) => held.push(Command::Close { port }),
            None => {
                core.media(open.worker, Command::Close { port });
                self.enter_closing();
            }
        }
    }

    fn enter_closing(&mut self) {
        if let Port::Open(open) = &self.port {
            self.port = Port::Closing { id: open.id, worker: open.worker, agreed: self.port.heard() };
        }
    }

    /// The engine closed the port.
    pub fn handle_closed(&mut self, core: &mut Core, quality: Quality) {
        let agreed = self.port.heard();
        if let Some((id, worker)) = self.port.id_and_worker() {
            core.remove_port(id, worker);
        }
        self.port = Port::Closed { agreed, quality: Box::new(quality) };
    }

    /// Give the port up though the engine never said that it is closed.
    pub fn abandon_port(&mut self, core: &mut Core) {
        if let Some((id, worker)) = self.port.id_and_worker() {
            tracing::warn!(call = %self.name, port = %id, "the media thread never closed the port");
            core.remove_port(id, worker);
            self.port = Port::None;
        }
    }

    /// Our side of an offer or answer. Each description of a session has a version of its own (RFC 3264 section 8).
    pub fn local(&mut self, core: &Core) -> Option<sdp::Local> {
        let address = self.port.open()?.address;
        let security = self.security(core);
        self.sdp_version += 1;
        Some(sdp::Local {
            address,
            session_id: self.sdp_session,
            version: self.sdp_version,
            codecs: self.codecs(core),
            relayed: core.config.relayed.clone(),
            formats: self.passed_formats(),
            comfort: core.config.comfort_noise,
            ptime: core.config.ptime,
            direction: self.wanted_direction(),
            security,
        })
    }

    /// The formats that the caller shares with nobody but another party: what an offer on its behalf must carry.
    fn passed_formats(&self) -> Vec<sdp::Format> {
        match &self.state {
            State::Locating(locating) => locating.outgoing.carrier.caller.formats.clone(),
            State::Inviting(inviting) => inviting.outgoing.carrier.caller.formats.clone(),
            State::Incoming(_) | State::Accepting(_) | State::Talking { .. } | State::Gone => Vec::new(),
        }
    }

    /// What the party speaks, where we can only pass it on.
    pub fn only_relayed(&self, core: &Core) -> Vec<sdp::Format> {
        if let Some(agreed) = self.port.open().and_then(|open| open.agreed.as_ref()) {
            let foreign = || agreed.foreign.iter().map(|(format, _)| format.clone()).collect();
            return if agreed.send.is_none() { foreign() } else { Vec::new() };
        }
        let State::Incoming(incoming) = &self.state else { return Vec::new() };
        let Some(offer) = &incoming.offer else { return Vec::new() };
        if offer.speaks_any(&self.codecs(core)) { Vec::new() } else { offer.formats(&core.config.relayed) }
    }

    /// The party can be played to.
    pub fn is_hearable(&self) -> bool {
        let told = match &self.state {
            State::Incoming(incoming) => incoming.has_early_media(),
            State::Accepting(_) | State::Talking { .. } => true,
            State::Locating(_) | State::Inviting(_) | State::Gone => false,
        };
        told && (self.direct.is_some() || self.port.open().is_some_and(|open| open.agreed.is_some()))
    }
}

fn heard(agreed: &sdp::Agreed) -> Heard {
    Heard { said: agreed.remote, codec: agreed.send.map(|(_, codec)| codec), receiving: stream(agreed).receiving }
}

/// The agreement in the engine's words.
pub(super) fn stream(agreed: &sdp::Agreed) -> Stream {
    let payload = |&(number, codec): &(u8, Codec)| Payload { number, codec };
    let (sending, receiving) = match agreed.direction {
        sdp::Direction::SendRecv => (true, true),
        sdp::Direction::SendOnly => (true, false),
        sdp::Direction::RecvOnly => (false, true),
        sdp::Direction::Inactive => (false, false),
    };
    Stream {
        remote: agreed.remote,
        remote_rtcp: agreed.remote_rtcp,
        send: agreed.send.as_ref().map(payload),
        receive: agreed.receive.iter().map(payload).collect(),
        foreign: agreed.foreign.iter().map(|(format, receive)| format.foreign(*receive)).collect(),
        send_digits: agreed.send_digits,
        receive_digits: agreed.receive_digits.clone(),
        comfort: agreed.comfort,
        send_comfort: agreed.send_comfort,
        opus: agreed.opus,
        ptime: agreed.ptime,
        longest: agreed.longest,
        sending,
        receiving,
    }
}

/// Before anything is agreed: send nothing, take what our offer would name.
pub(super) fn unagreed(core: &Core) -> Stream {
    let payload = |codec: &Codec| codec.static_payload_type().map(|number| Payload { number, codec: *codec });
    let receive: Vec<Payload> = core.config.codecs.iter().filter_map(payload).collect();
    Stream {
        remote: None,
        remote_rtcp: None,
        send: None,
        receive,
        foreign: Vec::new(),
        send_digits: None,
        receive_digits: vec![Digits::narrow(DIGITS)],
        comfort: None,
        send_comfort: None,
        opus: OpusWish::default(),
        ptime: core.config.ptime,
        longest: None,
        sending: false,
        receiving: true,
    }
}
