//! What becomes of each port's audio: decided here, at every change, for all that the change touches.
//!
//! ```text
//! two in a bridge, one codec, nothing else on     packets are relayed as they come
//! echo, nothing else on                           packets are relayed back
//! the packets of one are too long for the other   decoded, and packed anew
//! somebody hears or records it in another way     decoded at each tick
//! nobody does                                     dropped, after being counted
//! ```

use super::{
    Engine, Event, Payload, Role, Slot,
    bridge::BridgeSlot,
    port::{Hearing, Port, Route},
};
use crate::codec::Rate;

impl Engine {
    /// Something changed at a port, or at the bridge it is in.
    pub(super) fn settle(&mut self, slot: Slot) {
        let Some((bridge, _)) = self.bridges.of(slot) else {
            if let Some(port) = self.port(slot) {
                port.set_rate(Rate::Wide);
                let route = alone(port, slot);
                self.enter(slot, route);
            }
            return;
        };
        self.settle_rate(bridge);
        match self.bridges.pair(bridge) {
            Some(pair) => self.settle_pair(bridge, pair),
            None => self.settle_all(bridge),
        }
    }

    fn settle_pair(&mut self, bridge: BridgeSlot, [a, b]: [(Slot, Role); 2]) {
        let (same, fit) = match (self.peek(a.0), self.peek(b.0)) {
            (Some(a), Some(b)) => (relays(a, b) && relays(b, a), fits(a, b) && fits(b, a)),
            (None, _) | (_, None) => (false, false),
        };
        if same && !fit {
            self.tell_repacked(a.0, b.0);
            self.tell_repacked(b.0, a.0);
        }
        let taped = self.is_taped(bridge);
        let relayed = same && fit && !taped;
        self.bridges.set_mixed(bridge, !relayed);
        for ((from, speaker), (to, hearer)) in [(a, b), (b, a)] {
            let heard = (speaker.is_heard() && hearer.hears()) || (taped && speaker.speaks());
            let needed = heard || self.peek(from).is_some_and(|port| port.echo || port.attends());
            // A key that comes as a tone goes on as an event where the other takes events; else the tone itself does.
            let converts = self.peek(to).is_some_and(|port| port.stream.send_digits.is_some());
            if let Some(port) = self.port(from) {
                port.ear.set_muting(converts);
            }
            let route = match (relayed, needed) {
                (true, true) => Route::Relay(to),
                (false, true) => Route::Decode,
                (_, false) => Route::Idle,
            };
            self.enter(from, route);
        }
    }

    /// The length of its packets is all that keeps `from` from being relayed to `to`.
    fn tell_repacked(&mut self, from: Slot, to: Slot) {
        let (Some(port), Some(other)) = (self.peek(from), self.peek(to)) else { return };
        let Some(most) = other.stream.longest.filter(|_| !port.repacked && !fits(port, other)) else { return };
        let repacked = Event::Repacked { port: port.id, ms: port.longest / 8, most };
        // Where there is no room for it, it is told at the next change.
        let told = self.events.offer(repacked).is_ok();
        if let Some(port) = self.port(from) {
            port.repacked = told;
        }
    }

    /// A bridge adds at the second highest rate of its members: nobody else could say or hear more.
    fn settle_rate(&mut self, bridge: BridgeSlot) {
        let (mut highest, mut second) = (Rate::Narrow, Rate::Narrow);
        let mut at = self.bridges.first(bridge);
        while let Some(slot) = at {
            at = self.bridges.next(slot);
            let rate = self.peek(slot).map_or(Rate::Narrow, Port::best_rate);
            second = second.max(rate.min(highest));
            highest = highest.max(rate);
        }
        self.bridges.set_rate(bridge, second);
        at = self.bridges.first(bridge);
        while let Some(slot) = at {
            at = self.bridges.next(slot);
            if let Some(port) = self.port(slot) {
                port.set_rate(second);
            }
        }
    }

    /// One alone, or three and more.
    fn settle_all(&mut self, bridge: BridgeSlot) {
        self.bridges.set_mixed(bridge, true);
        let company = self.bridges.count(bridge) > 1 || self.is_taped(bridge);
        let mut at = self.bridges.first(bridge);
        while let Some(slot) = at {
            at = self.bridges.next(slot);
            let heard = company && self.bridges.of(slot).is_some_and(|(_, role)| role.is_heard());
            let needed = heard || self.peek(slot).is_some_and(|port| port.echo || port.attends());
            if let Some(port) = self.port(slot) {
                port.ear.set_muting(true);
            }
            self.enter(slot, if needed { Route::Decode } else { Route::Idle });
        }
    }

    /// The only place where a route changes.
    pub(super) fn enter(&mut self, slot: Slot, route: Route) {
        let Some(port) = self.port(slot) else { return };
        let old = port.route;
        if old == route {
            return;
        }
        port.enter(route);
        self.hurries |= matches!(route, Route::Relay(_));
        for end in [old, route] {
            match end {
                Route::Relay(to) => {
                    if let Some(port) = self.port(to) {
                        port.sender.end_relay();
                    }
                }
                Route::Idle | Route::Decode => {}
            }
        }
    }

    pub(super) fn peek(&self, slot: Slot) -> Option<&Port> {
        self.ports.get(slot.0 as usize)?.as_deref()
    }
}

fn alone(port: &Port, slot: Slot) -> Route {
    let only_echo = port.echo && port.player.is_none() && !port.attends() && !port.dialer.busy();
    match () {
        () if only_echo && relays_codec(port, port) && fits(port, port) => Route::Relay(slot),
        () if port.echo || port.attends() => Route::Decode,
        () => Route::Idle,
    }
}

/// Whether `to` understands all that comes from `from`, and neither does anything else.
fn relays(from: &Port, to: &Port) -> bool {
    // Events that the other does not take become tones, which needs audio that we decode.
    let events = from.stream.receive_digits.is_empty() || to.stream.send_digits.is_some();
    // And so does noise that it does not take.
    let noise = !from.comforts || to.stream.comfort.is_some();
    let codec = events && noise && relays_codec(from, to);
    let shared = match from.hearing {
        Hearing::Nothing => codec || relays_foreign(from, to),
        Hearing::Audio(_) => codec,
        Hearing::Foreign => relays_foreign(from, to),
    };
    shared && !from.busy()
}

fn relays_codec(from: &Port, to: &Port) -> bool {
    let Some(Payload { codec, .. }) = to.stream.send else { return false };
    from.stream.send.is_some_and(|send| send.codec == codec) && from.hears(codec)
}

/// Whether the packets of `from` are short enough for `to`. How long they are is seen when they come: what `from` wishes
/// to get says nothing of what it sends.
fn fits(from: &Port, to: &Port) -> bool {
    to.stream.longest.is_none_or(|most| from.longest <= u16::from(most) * 8)
}

fn relays_foreign(from: &Port, to: &Port) -> bool {
    let known = |format: &str| to.stream.foreign.iter().any(|known| &*known.format == format);
    from.stream.foreign.iter().any(|foreign| known(&foreign.format))
}
