//! Encrypted media of a call: what its descriptions say about it, and what the engine and the handshakes are told.

use std::net::SocketAddr;

use ring::hmac;

use super::{
    Output,
    call::{Call, State},
    core::Core,
    phones::NonceKey,
};
use crate::{
    ids::{PortId, WorkerId},
    media::{Command, Shield, ShieldKeys, Shielding},
    sdp::{self, Policy, Proposal, Secret, Security},
    secure::{Fingerprint, Suite},
    sip::Transport,
};

/// What the operator says about encrypted media.
#[derive(Clone, Debug, PartialEq)]
pub struct MediaSecurity {
    /// For all who have no word of their own.
    pub policy: Policy,
    /// Our own offers propose a DTLS handshake rather than keys in SDP. Browsers are always offered that.
    pub dtls: bool,
    /// Random and secret, made at each start: all keys come from it.
    pub key: NonceKey,
    /// SHA-256 of the certificate for handshakes; absent: there are none.
    pub fingerprint: Option<[u8; 32]>,
}

impl Default for MediaSecurity {
    fn default() -> MediaSecurity {
        MediaSecurity { policy: Policy::Optional, dtls: false, key: NonceKey([0; 32]), fingerprint: None }
    }
}

/// A DTLS handshake that is to be made for a port (RFC 5764).
#[derive(Clone, Debug, PartialEq)]
pub struct Handshake {
    /// We begin.
    pub active: bool,
    /// The peer's certificate must have one of these.
    pub fingerprints: Vec<Fingerprint>,
    /// Where the peer is to be.
    pub way: HandshakeWay,
}

/// By which way a handshake comes and goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandshakeWay {
    /// By the one that the checks of ICE chose.
    Chosen,
    /// SDP names this place, or none; NATs may let it come from elsewhere.
    Said(Option<SocketAddr>),
}

/// A handshake that failed. The peer may come yet, where it is not over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoKeys {
    /// Whose; absent: nobody answered.
    pub from: Option<SocketAddr>,
    /// Why, for people.
    pub why: String,
    /// No other is tried, or not by this peer.
    pub over: bool,
}

/// What was told about a port so far.
#[derive(Debug, Default)]
pub(super) struct Told {
    shielding: Option<Shielding>,
    /// The handshake that was begun.
    handshake: Option<Handshake>,
    /// The suite whose key from SDP is in use, or was before the stream became plain.
    suite: Option<Suite>,
    /// As [`Security::left`].
    left: [u16; Suite::ALL.len()],
}

impl Call {
    /// Our side of encryption in an offer or answer.
    pub fn security(&self, core: &Core) -> Security {
        let config = &core.config.security;
        let phone = self.phone.as_deref().and_then(|user| core.config.phones.user(user));
        let trunk = self.trunk.as_ref().and_then(|on| core.config.trunking.trunk(&on.name));
        let own = phone.and_then(|phone| phone.security).or(trunk.and_then(|trunk| trunk.security));
        let policy = own.unwrap_or(config.policy);
        let proposal = match (self.transport(core), policy) {
            (_, Policy::Off) => Proposal::Plain,
            (Some(Transport::Ws | Transport::Wss), _) if config.fingerprint.is_some() => Proposal::Dtls { ice: true },
            (_, Policy::Required) if config.dtls => Proposal::Dtls { ice: false },
            (_, Policy::Required) => Proposal::Sdes,
            // Keys that anybody on the way can read protect nobody; and a profile that the peer may not know costs calls.
            (Some(Transport::Tls), Policy::Optional) => Proposal::Sdes,
            (_, Policy::Optional) => Proposal::Plain,
        };
        let secret = secret(core, &self.name);
        let open = self.port.open();
        let left = open.map_or_else(Default::default, |open| open.told.left);
        let agreed = open.and_then(|open| open.agreed.as_ref()?.protection.as_ref());
        let ice = agreed.and_then(|agreed| match &agreed.keys {
            sdp::Keys::Dtls { ice, .. } => ice.clone(),
            sdp::Keys::Sdes { .. } => None,
        });
        Security { policy, proposal, secret, fingerprint: config.fingerprint, left, ice }
    }

    /// How its signalling travels, as far as that is known.
    pub fn transport(&self, core: &Core) -> Option<Transport> {
        match &self.state {
            State::Incoming(incoming) => Some(incoming.dialog.hop.transport),
            State::Accepting(accepting) => Some(accepting.dialog.hop.transport),
            State::Locating(locating) => {
                let place = *locating.places.front()?;
                locating.outgoing.hop(core, place).map(|hop| hop.transport)
            }
            State::Inviting(inviting) => Some(inviting.hop().transport),
            State::Talking { dialog, .. } => Some(dialog.hop.transport),
            State::Gone => None,
        }
    }

    /// We offer: what comes before the answer is not heard where it cannot be plain; but the checks of ICE are answered.
    pub fn expect_security(&mut self, core: &mut Core, local: &sdp::Local) {
        let security = &local.security;
        let ice = match (security.policy, security.proposal) {
            (Policy::Off, _) | (_, Proposal::Plain) | (Policy::Optional, Proposal::Sdes) => return,
            (_, Proposal::Dtls { ice: true }) => Some(security.ice()),
            (_, Proposal::Dtls { ice: false }) | (Policy::Required, Proposal::Sdes) => None,
        };
        self.tell_shield(core, Shielding { keys: ShieldKeys::Awaited, mux: ice.is_some(), ice });
    }

    /// Something was agreed on: the engine and the handshakes are told what is new about it.
    pub fn secure(&mut self, core: &mut Core, agreed: &sdp::Agreed) {
        let Some(protection) = &agreed.protection else {
            // Where it never was encrypted there is nothing to say.
            if self.port.open().is_some_and(|open| open.told.shielding.is_some()) {
                self.tell_shield(core, Shielding { keys: ShieldKeys::Plain, mux: false, ice: None });
            }
            return;
        };
        self.note_suite(&protection.keys);
        let mux = protection.mux;
        match &protection.keys {
            sdp::Keys::Sdes { ours, theirs } => {
                let keys = ShieldKeys::Known { ours: *ours, theirs: *theirs };
                self.tell_shield(core, Shielding { keys, mux, ice: None });
            }
            sdp::Keys::Dtls { active, fingerprints, ice } => {
                let ours = ice.as_ref().map(|(ours, _)| ours.clone());
                self.tell_shield(core, Shielding { keys: ShieldKeys::Awaited, mux, ice: ours });
                let way = if ice.is_some() { HandshakeWay::Chosen } else { HandshakeWay::Said(agreed.remote) };
                self.begin_handshake(core, Handshake { active: *active, fingerprints: fingerprints.clone(), way });
            }
        }
    }

    /// A suite that is left gets another key when it is agreed on again.
    fn note_suite(&mut self, keys: &sdp::Keys) {
        let Some(open) = self.port.open_mut() else { return };
        let now = match keys {
            sdp::Keys::Sdes { ours, .. } => Some(ours.suite()),
            sdp::Keys::Dtls { .. } => None,
        };
        let before = std::mem::replace(&mut open.told.suite, now);
        if let Some(left) = before.filter(|before| now != Some(*before)) {
            let times = &mut open.told.left[left as usize];
            *times = times.wrapping_add(1);
        }
    }

    fn tell_shield(&mut self, core: &mut Core, shielding: Shielding) {
        let Some(open) = self.port.open_mut() else { return };
        if open.told.shielding.as_ref() == Some(&shielding) {
            return;
        }
        open.told.shielding = Some(shielding.clone());
        let port = open.id;
        self.command(core, Command::Shield { port, shield: Shield::new(shielding) });
    }

    /// An association lasts as long as certificate and way stay the same, whoever offers anew (RFC 8842 section 4).
    fn begin_handshake(&mut self, core: &mut Core, handshake: Handshake) {
        let Some(open) = self.port.open_mut() else { return };
        // A peer on hold by 0.0.0.0 has not moved.
        if let Some(had) = &open.told.handshake
            && had.fingerprints == handshake.fingerprints
            && (had.way == handshake.way || handshake.way == HandshakeWay::Said(None))
        {
            return;
        }
        open.told.handshake = Some(handshake.clone());
        let (port, worker): (PortId, WorkerId) = (open.id, open.worker);
        core.out.push_back(Output::Handshake { port, worker, handshake: Box::new(handshake) });
    }

    /// A handshake is through, or failed.
    pub fn handle_shaken(&mut self, core: &mut Core, result: Result<(), Box<NoKeys>>) {
        let over = result.as_ref().is_err_and(|fault| fault.over);
        if let Some(open) = self.port.open_mut().filter(|_| over) {
            // What is agreed on next begins another.
            open.told.handshake = None;
        }
        self.hear_of_keys(core, result);
    }
}

/// From which the keys of what has this name come.
pub(super) fn secret(core: &Core, name: &str) -> Secret {
    let made = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &core.config.security.key.0), name.as_bytes());
    Secret(made.as_ref().try_into().expect("SHA-256 gives 32 bytes"))
}
