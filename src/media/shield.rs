//! What stands between a port and the network where a stream is encrypted: SRTP, the way that ICE found, RTCP on the
//! port of RTP, and DTLS datagrams handed out to whoever does the handshake.
//!
//! ```text
//! first byte   0-3 STUN: answered here (ICE-lite, RFC 8445 section 2.5)
//!              20-63 DTLS: told as Event::Handshake          (RFC 7983)
//!              128-191 RTP and RTCP: decrypted, then as ever
//! ```
//!
//! A port without a shield never comes here. The keys, and the memory they need, are made outside the engine.

use std::net::SocketAddr;

use super::{Batch, Channel, Datagram, Engine, Event, MAX_PACKET, Slot, Spent, port::Port};
use crate::{
    rtp::{
        srtp::{Open, Seal},
        stun,
    },
    secure::{IceName, Key},
    time::Time,
};

/// How a port is shielded.
#[derive(Clone, Debug, PartialEq)]
pub struct Shielding {
    /// Where the keys come from.
    pub keys: ShieldKeys,
    /// RTCP comes and goes on the port of RTP (RFC 5761).
    pub mux: bool,
    /// Our name for ICE: packets go to where the peer's checks came from.
    pub ice: Option<IceName>,
}

/// Where the keys of a port come from.
#[derive(Clone, Debug, PartialEq)]
pub enum ShieldKeys {
    /// There are none any more: plain RTP.
    Plain,
    /// They are known.
    Known {
        /// What we encrypt with.
        ours: Key,
        /// What the peer encrypts with.
        theirs: Key,
    },
    /// They will come with [`super::Command::Keys`], or with another shield. Nothing is heard or said till then.
    Awaited,
}

/// The two sides of a stream's keys, as a handshake found them.
#[derive(Debug)]
pub struct Pair {
    /// For what we send.
    pub seal: Seal,
    /// For what comes.
    pub open: Open,
}

/// The shield of one port.
#[derive(Debug)]
pub struct Shield {
    how: Shielding,
    /// Kept where the stream is plain for a while: its counters must not begin anew under the same key.
    keys: Option<Pair>,
    /// The way that the peer's checks chose.
    chosen: Option<SocketAddr>,
}

impl Shield {
    /// With all its memory.
    pub fn new(how: Shielding) -> Box<Shield> {
        let keys = match &how.keys {
            ShieldKeys::Known { ours, theirs } => Some(Pair { seal: Seal::new(ours), open: Open::new(theirs) }),
            ShieldKeys::Plain | ShieldKeys::Awaited => None,
        };
        Box::new(Shield { how, keys, chosen: None })
    }

    /// Goes on from the shield before: whoever uses the same key goes on counting (RFC 3711 section 3.3.1).
    fn follow(&mut self, old: &mut Shield) {
        // The way that was chosen holds until the checks of a restart choose another (RFC 8445 section 9).
        if self.how.ice.is_some() == old.how.ice.is_some() {
            self.chosen = old.chosen;
        }
        match (&mut self.keys, old.keys.take()) {
            (Some(own), Some(mut keys)) => {
                if own.seal.key() == keys.seal.key() {
                    std::mem::swap(&mut own.seal, &mut keys.seal);
                }
                if own.open.key() == keys.open.key() {
                    std::mem::swap(&mut own.open, &mut keys.open);
                } else {
                    own.open.follow(&keys.open);
                }
                old.keys = Some(keys);
            }
            (own @ None, keys) => *own = keys,
            (Some(_), None) => {}
        }
    }

    /// Makes a datagram fit to leave, where `home` is where the port sends RTP. False: it must not leave.
    fn seal(&mut self, datagram: &mut Datagram, home: Option<SocketAddr>) -> bool {
        let sealed = match (&self.how.keys, &mut self.keys, datagram.channel) {
            (ShieldKeys::Plain, _, _) => Some(datagram.len),
            (ShieldKeys::Known { .. } | ShieldKeys::Awaited, None, _) => None,
            (_, Some(keys), Channel::Rtp) => keys.seal.rtp(&mut datagram.bytes, datagram.len),
            (_, Some(keys), Channel::Rtcp) => keys.seal.rtcp(&mut datagram.bytes, datagram.len),
        };
        let Some(len) = sealed else { return false };
        datagram.len = len;
        let muxed = self.how.mux && datagram.channel == Channel::Rtcp;
        let to = if self.how.ice.is_some() { self.chosen } else { home.filter(|_| muxed).or(Some(datagram.to)) };
        if muxed {
            datagram.channel = Channel::Rtp;
        }
        datagram.to = to.unwrap_or(datagram.to);
        to.is_some()
    }

    /// A datagram in the clear, in place. `None`: it is not the peer's.
    fn open(&mut self, rtcp: bool, packet: &mut [u8]) -> Option<usize> {
        match (&self.how.keys, &mut self.keys) {
            (ShieldKeys::Plain, _) => Some(packet.len()),
            (ShieldKeys::Known { .. } | ShieldKeys::Awaited, None) => None,
            (_, Some(keys)) if rtcp => keys.open.rtcp(packet),
            (_, Some(keys)) => keys.open.rtp(packet),
        }
    }
}

impl Port {
    /// What the port pushed since `mark` is encrypted, or held back.
    pub(super) fn shield_since(&mut self, mark: usize, out: &mut Batch) {
        let home = self.gate.rtp_destination();
        if let Some(shield) = &mut self.shield {
            out.rework(mark, |datagram| shield.seal(datagram, home));
        }
    }
}

impl Engine {
    /// A new shield; what it replaces is freed elsewhere.
    pub(super) fn shield(&mut self, port: crate::ids::PortId, mut shield: Box<Shield>) {
        let Some(slot) = self.slot(port) else { return self.events.spend(Spent::Shield(shield)) };
        let Some(port) = self.port(slot) else { return };
        if let Some(mut old) = port.shield.take() {
            shield.follow(&mut old);
            port.shield = Some(shield);
            self.events.spend(Spent::Shield(old));
        } else {
            port.shield = Some(shield);
        }
    }

    /// The handshake is through.
    pub(super) fn set_keys(&mut self, port: crate::ids::PortId, mut pair: Box<Pair>) {
        let slot = self.slot(port);
        let shield = slot.and_then(|slot| self.port(slot)).and_then(|port| port.shield.as_mut());
        if let Some(Shield { how: Shielding { keys: ShieldKeys::Awaited, .. }, keys, .. }) = shield.map(Box::as_mut) {
            match keys {
                Some(keys) => std::mem::swap(keys, &mut pair),
                // Only the first time: nothing is allocated, but the emptied box is freed here.
                None => return *keys = Some(*pair),
            }
        }
        self.events.spend(Spent::Keys(pair));
    }

    /// Send a datagram of the handshake with the next [`Engine::handle_timeout`], which is due at once.
    pub(super) fn hand_over(&mut self, port: crate::ids::PortId, to: Option<SocketAddr>, bytes: Box<[u8]>) {
        match self.slot(port) {
            Some(slot) if self.hands.len() < self.hands.capacity() => self.hands.push_back((slot, to, bytes)),
            Some(_) | None => self.events.spend(Spent::Bytes(bytes)),
        }
    }

    /// Send what the handshakes want to send, as far as there is room.
    pub(super) fn send_hands(&mut self, out: &mut Batch) {
        while out.room() > 0
            && let Some((slot, to, bytes)) = self.hands.pop_front()
        {
            if let Some(port) = self.port(slot)
                && let Some(shield) = &port.shield
                && let Some(to) = shield.chosen.or(to).or(port.gate.rtp_destination())
            {
                out.push(slot, Channel::Rtp, to, |into| {
                    let len = bytes.len().min(into.len());
                    into[..len].copy_from_slice(&bytes[..len]);
                    len
                });
            }
            self.events.spend(Spent::Bytes(bytes));
        }
    }

    /// The port at `slot` has a shield.
    pub(super) fn is_shielded(&self, slot: Slot) -> bool {
        matches!(self.ports.get(slot.0 as usize), Some(Some(port)) if port.shield.is_some())
    }

    /// A datagram for a port with a shield.
    #[expect(clippy::too_many_arguments, reason = "each says another thing about one packet, on the hottest path")]
    pub(super) fn handle_shielded(
        &mut self,
        now: Time,
        slot: Slot,
        channel: Channel,
        from: SocketAddr,
        packet: &[u8],
        out: &mut Batch,
    ) {
        let Some(port) = self.port(slot) else { return };
        let id = port.id;
        let Some(shield) = &mut port.shield else { return };
        let handled = match packet.first() {
            Some(0..=3) => shield.answer_check((slot, channel), from, packet, out),
            Some(20..=63) if channel == Channel::Rtp && shield.takes_hands(from) => {
                // Where the queue is nearly full it is lost, as on any network: handshakes are repeated.
                drop(self.events.offer(Event::Handshake { port: id, from, bytes: packet.into() }));
                true
            }
            Some(128..=191) if packet.len() <= MAX_PACKET => {
                let mut clear = [0; MAX_PACKET];
                let clear = &mut clear[..packet.len()];
                clear.copy_from_slice(packet);
                let rtcp = channel == Channel::Rtcp || shield.how.mux && matches!(packet.get(1), Some(192..=223));
                match shield.open(rtcp, clear) {
                    Some(len) => return self.handle_clear(now, (slot, rtcp), from, &clear[..len], out),
                    None => {
                        port.unproved += 1;
                        false
                    }
                }
            }
            Some(_) | None => false,
        };
        if !handled && let Some(port) = self.port(slot) {
            port.refuse(from);
        }
    }

    fn handle_clear(
        &mut self,
        now: Time,
        (slot, rtcp): (Slot, bool),
        from: SocketAddr,
        packet: &[u8],
        out: &mut Batch,
    ) {
        let Some(port) = self.port(slot) else { return };
        if port.shield.as_ref().is_some_and(|shield| shield.how.ice.is_some()) {
            // It is proved to be the peer's, and the peer may take whatever way it likes.
            port.gate.follow(from);
        }
        match rtcp {
            true => self.handle_rtcp(now, slot, from, packet),
            false => self.handle_rtp(now, slot, from, packet, out),
        }
    }
}

impl Shield {
    /// Without ICE a handshake may come from anywhere: its certificate proves it in the end. With ICE it comes by the chosen way.
    fn takes_hands(&self, from: SocketAddr) -> bool {
        self.how.ice.is_none() || self.chosen == Some(from)
    }

    /// Answer a check of connectivity. False: it is no check of this peer.
    fn answer_check(
        &mut self,
        (slot, channel): (Slot, Channel),
        from: SocketAddr,
        packet: &[u8],
        out: &mut Batch,
    ) -> bool {
        let Some(IceName { user, password }) = &self.how.ice else { return false };
        let Some(request) = stun::read(packet, user, password) else { return false };
        if request.nominates || self.chosen.is_none() {
            self.chosen = Some(from);
        }
        out.push(slot, channel, from, |bytes| request.answer(from, password, bytes));
        true
    }
}
