//! Datagrams that are passed on untouched between two ports: a fax over UDPTL (ITU-T T.38), which we need not understand.

use std::net::SocketAddr;
use std::time::Duration;

use super::{Batch, Channel, Engine, Event, MAX_PACKET, Slot, gate::Verdict};
use crate::{ids::PortId, time::Time};

/// For how long after the change audio may still be under way. A fax begins to count its packets at zero (T.38 section
/// 9.1), so none of its own looks like RTP in that time.
const LATE_AUDIO: Duration = Duration::from_secs(2);

/// A port whose datagrams are passed on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Passing {
    /// What looks like RTP is not passed on before.
    since: Time,
}

impl Engine {
    /// Pass datagrams on from now on.
    pub(super) fn pass(&mut self, now: Time, port: PortId, remote: SocketAddr) {
        let Some(slot) = self.slot(port) else { return };
        let Some(port) = self.port(slot) else { return };
        port.stream.remote = Some(remote);
        port.gate.handle_update(now, &port.stream);
        port.passing.get_or_insert(Passing { since: now + LATE_AUDIO });
        port.expect_audio(now);
        self.hurries = true;
        self.settle(slot);
    }

    pub(super) fn is_passing(&self, slot: Slot) -> bool {
        matches!(self.ports.get(slot.0 as usize), Some(Some(port)) if port.passing.is_some())
    }

    /// A datagram for a port that passes them on.
    pub(super) fn handle_passed(
        &mut self,
        now: Time,
        (slot, channel): (Slot, Channel),
        from: SocketAddr,
        packet: &[u8],
        out: &mut Batch,
    ) {
        let Some(port) = self.port(slot) else { return };
        let Some(Passing { since }) = port.passing else { return };
        let late_audio = now < since && matches!(packet.first(), Some(128..=191));
        if channel == Channel::Rtcp || late_audio {
            return;
        }
        if packet.len() > MAX_PACKET {
            port.refuse(from);
            return;
        }
        match port.gate.handle_rtp(now, from, false) {
            Verdict::Heard => {}
            Verdict::Latched => {
                let port = port.id;
                drop(self.events.offer(Event::Latched { port, from }));
            }
            Verdict::Refused => {
                port.refuse(from);
                return;
            }
        }
        let Some(partner) = self.bridges.partner(slot) else { return };
        let to = self.peek(partner).filter(|port| port.passing.is_some()).and_then(|port| port.gate.rtp_destination());
        if let Some(to) = to {
            out.push(partner, Channel::Rtp, to, |bytes| {
                bytes[..packet.len()].copy_from_slice(packet);
                packet.len()
            });
        }
    }
}
