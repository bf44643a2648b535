//! Packets coming in.

use std::net::SocketAddr;

use super::{
    Batch, Channel, Engine, Event, FRAME, RATE, Slot,
    port::{Accepted, Hearing, Kind, Port, Route},
    sender::{Outlet, Relayed},
};
use crate::{
    audio::{self, g711},
    codec::Codec,
    rtp::{self, Header, rtcp},
    time::Time,
};

impl Engine {
    /// A datagram came to a port. A relayed one leaves at once in `out`, which must have room for one more: else it is
    /// lost.
    #[expect(clippy::too_many_arguments, reason = "each says another thing about one packet, on the hottest path")]
    pub fn handle_packet(
        &mut self,
        now: Time,
        slot: Slot,
        channel: Channel,
        from: SocketAddr,
        packet: &[u8],
        out: &mut Batch,
    ) {
        if self.is_passing(slot) {
            return self.handle_passed(now, (slot, channel), from, packet, out);
        }
        if self.is_shielded(slot) {
            return self.handle_shielded(now, slot, channel, from, packet, out);
        }
        match channel {
            Channel::Rtp => self.handle_rtp(now, slot, from, packet, out),
            Channel::Rtcp => self.handle_rtcp(now, slot, from, packet),
        }
    }

    pub(super) fn handle_rtp(&mut self, now: Time, slot: Slot, from: SocketAddr, packet: &[u8], out: &mut Batch) {
        let Some(Some(port)) = self.ports.get_mut(slot.0 as usize) else { return };
        if port.closing {
            return;
        }
        let Some((header, payload)) = rtp::read(packet) else {
            port.refuse(from);
            return;
        };
        let read = (header, &packet[payload]);
        let Some(accepted) = port.accept(now, from, read, &mut self.events) else { return };
        match accepted.kind {
            Kind::Audio(codec) => {
                // Longer packets than before may be too long for the other party.
                if port.is_longest(codec, accepted.payload) || port.hearing != Hearing::Audio(codec) {
                    self.change_codec(slot, Hearing::Audio(codec));
                }
            }
            Kind::Foreign(_) if port.hearing != Hearing::Foreign => self.change_codec(slot, Hearing::Foreign),
            Kind::Digits => {
                if let Some(press) = port.digits.handle(now, &accepted.header, accepted.payload) {
                    self.events.push_digit(Event::Digit { port: port.id, key: press.key });
                    self.pass_digit(slot, press.key, false);
                }
            }
            Kind::Comfort if !port.comforts => self.begin_comfort(slot),
            Kind::Comfort | Kind::Foreign(_) | Kind::Refused => {}
        }
        let before = self.next - now;
        let Some(port) = self.port(slot) else { return };
        match (port.route, accepted.kind) {
            (Route::Relay(to), kind) => {
                if accepted.number.is_multiple_of(16) {
                    port.look_at(kind, accepted.payload);
                }
                self.relay(now, (slot, to), &accepted, out);
            }
            (Route::Decode, Kind::Audio(codec)) => port.hear(codec, &accepted, before),
            (Route::Decode, Kind::Comfort) => port.hear_comfort(&accepted),
            (Route::Decode, Kind::Digits | Kind::Foreign(_) | Kind::Refused) => port.pass_over(&accepted),
            (Route::Idle, kind) => {
                if accepted.number.is_multiple_of(16) {
                    port.look_at(kind, accepted.payload);
                }
            }
        }
    }

    /// The peer sends another codec than before, or longer packets, which it may; a relay may no longer do.
    fn change_codec(&mut self, slot: Slot, hearing: Hearing) {
        if let Some(port) = self.port(slot) {
            port.hearing = hearing;
            self.settle(slot);
        }
    }

    /// The peer sends comfort noise: where the other party takes none, it is no longer relayed but heard as noise.
    fn begin_comfort(&mut self, slot: Slot) {
        if let Some(port) = self.port(slot) {
            port.comforts = true;
            self.settle(slot);
        }
    }

    /// In a mixed bridge of two that speak, the other gets the digit made anew: as an event, or as a tone where it takes
    /// no events, unless it came as a `tone` and is heard as such.
    pub(super) fn pass_digit(&mut self, slot: Slot, key: char, tone: bool) {
        let Some((bridge, role)) = self.bridges.of(slot) else { return };
        if !self.bridges.mixed(bridge) || !role.speaks() {
            return;
        }
        let Some(partner) = self.bridges.partner(slot) else { return };
        if self.bridges.of(partner).is_some_and(|(_, role)| !role.hears()) {
            return;
        }
        if let Some(port) = self.port(partner).filter(|port| port.stream.send_digits.is_some() || (port.tones && !tone))
        {
            port.dialer.pass(key);
        }
    }

    fn relay(&mut self, now: Time, (from, slot): (Slot, Slot), accepted: &Accepted<'_>, out: &mut Batch) {
        let Accepted { kind, header, payload, number, .. } = *accepted;
        let foreign = match kind {
            Kind::Foreign(at) => self.foreign_number(from, slot, at),
            Kind::Audio(_) | Kind::Digits | Kind::Comfort | Kind::Refused => None,
        };
        let Some(port) = self.port(slot) else { return };
        if accepted.restarted {
            port.sender.end_relay();
        }
        let Some(to) = port.destination() else {
            // What is left out on hold is no loss to be seen by the peer.
            return port.sender.end_relay();
        };
        let clock = port.sender.clock();
        let (payload_type, length) = match kind {
            Kind::Audio(codec) => {
                let length = audio::units_in(codec, payload) as u32 * (clock / RATE);
                (port.stream.send.map(|send| send.number), length)
            }
            Kind::Digits => (port.stream.send_digits.map(|digits| digits.number), duration(payload)),
            Kind::Comfort => (port.stream.comfort, clock / 50),
            Kind::Foreign(_) => (foreign, clock / 50),
            Kind::Refused => (None, 0),
        };
        let Some(payload_type) = payload_type else { return };
        let header = Header { payload_type, ..header };
        let relayed = Relayed { number, header, payload, length };
        let mark = out.datagrams().len();
        port.sender.relay(now, &relayed, &mut Outlet { batch: out, slot, to });
        port.shield_since(mark, out);
    }

    /// Under which number `to` gets the foreign format `at` of `from`, if it has it, too.
    fn foreign_number(&self, from: Slot, to: Slot, at: u8) -> Option<u8> {
        let format = &self.peek(from)?.stream.foreign.get(usize::from(at))?.format;
        let mut known = self.peek(to)?.stream.foreign.iter();
        known.find(|known| known.format == *format).map(|known| known.send)
    }

    pub(super) fn handle_rtcp(&mut self, now: Time, slot: Slot, from: SocketAddr, packet: &[u8]) {
        let epoch = self.epoch;
        let Some(port) = self.port(slot) else { return };
        // The gate is asked last: only a well-formed packet may move the address that we answer.
        if rtcp::read(packet).next().is_none() || !port.gate.handle_rtcp(now, from) {
            port.refuse(from);
            return;
        }
        port.watch.handle_rtcp(now);
        let ours = port.sender.ssrc();
        if let Some(told) = port.report.handle(now, epoch, ours, packet) {
            port.metrics.told = Some(told);
        }
        if let Some(lost) = port.report.peer_lost() {
            port.sender.encoder().set_loss((u16::from(lost) * 100).div_ceil(256) as u8);
        }
    }
}

impl Port {
    /// How loud is what nobody decodes? A packet of G.722, G.729 or Opus says nothing without those before it.
    fn look_at(&mut self, kind: Kind, payload: &[u8]) {
        let mut samples = [0; FRAME];
        let count = match kind {
            Kind::Audio(Codec::Pcmu) => g711::decode_ulaw(payload, &mut samples),
            Kind::Audio(Codec::Pcma) => g711::decode_alaw(payload, &mut samples),
            Kind::Audio(Codec::L16 | Codec::L16Wide) => {
                let pairs = payload.chunks_exact(2).zip(&mut samples);
                pairs.map(|(pair, sample)| *sample = i16::from_be_bytes([pair[0], pair[1]])).count()
            }
            Kind::Audio(Codec::G722 | Codec::Opus | Codec::G729) => 0,
            Kind::Digits | Kind::Comfort | Kind::Foreign(_) | Kind::Refused => 0,
        };
        if count > 0 {
            self.metrics.handle_audio(&samples[..count]);
        }
    }
}

/// How long an event has lasted (RFC 4733 section 2.3.5), in samples.
fn duration(payload: &[u8]) -> u32 {
    match payload {
        [_, _, high, low, ..] => u32::from(u16::from_be_bytes([*high, *low])),
        _ => 0,
    }
}
