//! What comes from a port's peer, from its packets to what is heard of it in a tick.

use std::{net::SocketAddr, time::Duration};

use super::{Accepted, Kind, Port, Route};
use crate::{
    audio,
    codec::Codec,
    media::{
        Event, TICK,
        comfort::Comfort,
        events::Events,
        gate::Verdict,
        jitter::{Packet, Pulled},
    },
    rtp::{Header, sequence::Place},
    time::Time,
};

impl Port {
    /// A well-formed RTP packet came from `from`. `None`: it is not to be heard.
    pub(in crate::media) fn accept<'a>(
        &mut self,
        now: Time,
        from: SocketAddr,
        (header, payload): (Header, &'a [u8]),
        events: &mut Events,
    ) -> Option<Accepted<'a>> {
        let kind = self.kind(header.payload_type);
        if kind == Kind::Refused {
            self.refuse(from);
            return None;
        }
        match self.gate.handle_rtp(now, from, !self.stream.receiving) {
            Verdict::Heard => {}
            Verdict::Latched => {
                // Where the queue is nearly full this is not told; the quality at the end says it again.
                drop(events.offer(Event::Latched { port: self.id, from }));
            }
            Verdict::Refused => {
                self.refuse(from);
                return None;
            }
        }
        self.watch.handle_rtp(now);
        let (number, restarted) = match self.reception.handle(now, &header) {
            Place::At(number) => (number, false),
            Place::Restarted(number) => (number, true),
            Place::Suspect => return None,
        };
        self.metrics.handle_packet(number, restarted);
        self.stream.receiving.then_some(Accepted { kind, header, payload, number, restarted })
    }

    /// A packet of audio came. True: none was as long before.
    pub(in crate::media) fn is_longest(&mut self, codec: Codec, payload: &[u8]) -> bool {
        let length = audio::units_in(codec, payload).min(u16::MAX.into()) as u16;
        let longest = length > self.longest;
        self.longest = self.longest.max(length);
        longest
    }

    /// Audio to be heard at its tick; it came `before` the next one.
    pub(in crate::media) fn hear(&mut self, codec: Codec, packet: &Accepted<'_>, before: Duration) {
        let Accepted { number, header, payload, .. } = *packet;
        self.comfort = None;
        let early = (before.min(TICK).as_micros() / 125) as u16;
        self.jitter.push(Packet { number, timestamp: header.timestamp, codec, payload, early });
    }

    /// A packet without audio, such as digits.
    pub(in crate::media) fn pass_over(&mut self, packet: &Accepted<'_>) {
        self.jitter.skip(packet.number);
    }

    /// Noise, as long as nothing is said.
    pub(in crate::media) fn hear_comfort(&mut self, packet: &Accepted<'_>) {
        self.pass_over(packet);
        self.comfort = Comfort::read(packet.payload);
    }

    /// Take what is to be heard in this tick; a second time it is the same. True: there is something.
    pub(in crate::media) fn take(&mut self, tick: u64) -> bool {
        if self.taken == tick {
            return self.spoke;
        }
        self.taken = tick;
        (self.summed, self.reshaped) = (false, false);
        let (mut spoke, mut made_up) = (false, false);
        if self.route == Route::Decode {
            let out = self.said.reset(self.jitter.rate());
            let pulled = self.jitter.pull(out);
            (spoke, made_up) = (pulled != Pulled::Nothing, pulled == Pulled::Concealed);
            if let Some(comfort) = self.comfort.filter(|_| !spoke) {
                comfort.fill(&mut self.chance, out);
                spoke = true;
            }
        } else if self.spoke {
            self.said.silence();
        }
        // One frame in eight tells how loud the peer is.
        if spoke && tick.is_multiple_of(8) {
            self.metrics.handle_audio(self.said.samples());
        }
        if self.route == Route::Decode && self.ear.handle(self.said.view(), made_up) {
            self.said.silence();
        }
        if let Some(agc) = self.agc.as_mut().filter(|_| spoke) {
            agc.handle(self.said.samples_mut());
        }
        self.spoke = spoke;
        spoke
    }
}
