//! The tick: each 20 ms every port says, hears and sends 160 samples, unless its packets are relayed.

use std::time::Duration;

use super::{
    Batch, Channel, Engine, Event, Frame, Payload, Quality, Slot, TICK,
    dialer::Step,
    events::Events,
    pause::Sent,
    port::{Port, Route},
    sender::Outlet,
    watch::Silent,
};
use crate::{
    codec::{Codec, Digits, Rate},
    rtp::digits::Packet,
    time::{Epoch, Time},
};

/// A thread that comes later than this leaves out the ticks it missed: sending them in a burst would help nobody.
const TOO_LATE: Duration = Duration::from_millis(200);
/// Datagrams that one port can send in one tick: two of audio, the rest of a collected one, of digits the end of one and
/// the beginning of the next, a report.
const PER_PORT: usize = 8;

impl Engine {
    /// Run what is due. Stops early where `out` has no room: [`Engine::timeout`] is due still; send and call again.
    pub fn handle_timeout(&mut self, now: Time, out: &mut Batch) {
        self.send_hands(out);
        while let Some(slot) = self.closing.last().copied() {
            if out.room() == 0 {
                return;
            }
            self.say_goodbye(now, slot, out);
            self.closing.pop();
            self.remove(slot);
        }
        while self.open > 0 && self.next <= now {
            if self.cursor == 0 {
                self.skip(now);
            }
            while self.cursor < self.ports.len() {
                if out.room() < PER_PORT && !out.datagrams().is_empty() {
                    return;
                }
                self.tick_port(now, Slot(self.cursor as u32), out);
                self.cursor += 1;
            }
            self.run_tapes();
            self.hurries = std::mem::take(&mut self.hurrying);
            self.cursor = 0;
            self.tick += 1;
            self.next += TICK;
        }
    }

    fn skip(&mut self, now: Time) {
        let late = now - self.next;
        if late > TOO_LATE {
            let ticks = (late.as_millis() / TICK.as_millis()) as u32;
            self.next += TICK * ticks;
            self.tick += u64::from(ticks);
            self.skipped += u64::from(ticks);
        }
    }

    fn tick_port(&mut self, now: Time, slot: Slot, out: &mut Batch) {
        let (tick, at) = (self.tick, self.next);
        let place = self.bridges.of(slot);
        let alone = place.is_none();
        let mixed = place.filter(|(bridge, _)| self.bridges.mixed(*bridge));
        if let Some((bridge, _)) = mixed
            && self.bridges.begin(bridge, tick)
        {
            self.gather(bridge);
        }
        let Some(Some(port)) = self.ports.get_mut(slot.0 as usize) else { return };
        if port.closing {
            return;
        }
        self.hurrying |= matches!(port.route, Route::Relay(_)) || port.passing.is_some();
        port.take(tick);
        if port.ear.listens() {
            self.tell_what_is_heard(slot);
        }
        let Some(Some(port)) = self.ports.get_mut(slot.0 as usize) else { return };
        let mut frame = Frame::silent(Rate::Narrow);
        let speaks = match (&mut port.player, mixed) {
            (Some(player), _) => {
                player.fill(&mut frame);
                true
            }
            (None, Some((bridge, role))) => {
                if role.hears() {
                    let own = (port.summed && !port.echo).then(|| port.said_at(self.bridges.rate(bridge)));
                    self.bridges.mix(bridge, own, &mut frame);
                    if self.bridges.salon(bridge).whisperers > 0 {
                        self.add_whispers(bridge, slot, &mut frame);
                    }
                }
                true
            }
            (None, None) if port.feed.is_some() => {
                port.feed.iter().for_each(|feed| feed.fill(&mut frame));
                true
            }
            (None, None) if port.echo && port.route == Route::Decode => {
                frame.copy_from(port.said.view());
                true
            }
            // Nobody talks to this party now. Silence is sent all the same: it keeps the way through NAT open, and the
            // peer's watch on RTP quiet. What is relayed needs no filling.
            (None, None) => alone && !port.echo,
        };
        let Some(Some(port)) = self.ports.get_mut(slot.0 as usize) else { return };
        let mark = out.datagrams().len();
        port.send(slot, at, &mut frame, speaks, (out, &mut self.events));
        let changed = port.end_tick(&frame, &mut self.events);
        let reported = port.send_report(slot, (now, self.epoch), self.config.rtcp_interval, out);
        port.shield_since(mark, out);
        if let Some(quality) = reported {
            // The next one says more.
            drop(self.events.offer(Event::Quality { port: port.id, quality }));
        }
        if let Some(silent) = port.watch.handle_timeout(now) {
            if silent == Silent::Quiet {
                // Why it is so is in what was seen till now, which may not have been told yet.
                drop(self.events.offer(Event::Quality { port: port.id, quality: port.quality() }));
            }
            // Where the queue is nearly full, nobody could act on it anyway; a loss is told again.
            drop(self.events.offer(silent.event(port.id)));
        }
        if changed {
            self.settle(slot);
        }
    }

    /// Keys that came as tones, and who answers.
    fn tell_what_is_heard(&mut self, slot: Slot) {
        while let Some(port) = self.port(slot)
            && let Some(what) = port.ear.found()
        {
            let port = port.id;
            self.events.push_digit(Event::Heard { port, what });
        }
        while let Some(port) = self.port(slot)
            && let Some(key) = port.ear.pressed()
        {
            let id = port.id;
            self.events.push_digit(Event::Digit { port: id, key });
            self.pass_digit(slot, key, true);
        }
    }

    /// BYE, to a peer that knows of us.
    fn say_goodbye(&mut self, now: Time, slot: Slot, out: &mut Batch) {
        let time = (now, self.epoch);
        let Some(Some(port)) = self.ports.get_mut(slot.0 as usize) else { return };
        if let Some(to) = port.rtcp_destination().filter(|_| port.report.began() || port.sender.sent().0 > 0) {
            let mark = out.datagrams().len();
            out.push(slot, Channel::Rtcp, to, |bytes| {
                port.report.write(time, &port.sender, &mut port.reception, true, bytes)
            });
            port.shield_since(mark, out);
        }
    }
}

impl Port {
    /// Sends `frame` (if it `speaks`), or digits in its place. What is not sent becomes silence in `frame`.
    fn send(&mut self, slot: Slot, at: Time, frame: &mut Frame, speaks: bool, to: (&mut Batch, &mut Events)) {
        let (batch, events) = to;
        let mut outlet = self.destination().map(|to| Outlet { batch, slot, to });
        let dialing = self.dialer.busy();
        let tones = dialing && self.stream.send_digits.is_none() && self.stream.send.is_some();
        if tones {
            let id = self.id;
            self.dialer.sound(frame.reset(Rate::Narrow), |order| events.digits_sent(id, order));
        }
        let speaks = speaks || tones;
        let replaced = dialing && !tones && self.send_digits(at, outlet.as_mut(), events);
        match (&mut outlet, self.stream.send) {
            (Some(outlet), Some(payload)) if speaks && !replaced => {
                return match self.stream.send_comfort.filter(|_| !tones) {
                    Some(number) => self.send_or_pause(at, frame, (payload, number), outlet),
                    None => self.send_frame(at, frame, payload, outlet),
                };
            }
            (Some(outlet), Some(payload)) => self.flush(payload, outlet),
            (Some(_) | None, _) => self.sender.drop_collected(),
        }
        self.pause.end();
        frame.silence();
        if dialing {
            self.sender.pass(at);
        }
    }

    /// Send `frame`, or comfort noise under `number` where it is a pause.
    fn send_or_pause(&mut self, at: Time, frame: &Frame, (payload, number): (Payload, u8), outlet: &mut Outlet<'_>) {
        match self.pause.handle(frame.samples(), self.player.is_some()) {
            Sent::Audio => self.send_frame(at, frame, payload, outlet),
            Sent::Noise(level) => {
                self.flush(payload, outlet);
                self.sender.comfort(at, level, number, outlet);
            }
            Sent::Nothing => self.sender.rest(at),
        }
    }

    /// What is collected is sent, unless it is no whole frame of Opus.
    fn flush(&mut self, payload: Payload, outlet: &mut Outlet<'_>) {
        match payload.codec {
            Codec::Opus => self.sender.drop_collected(),
            Codec::Pcmu | Codec::Pcma | Codec::G722 | Codec::L16 | Codec::L16Wide | Codec::G729 => {
                self.sender.flush(payload, outlet);
            }
        }
    }

    /// True: a key is down in this tick.
    fn send_digits(&mut self, at: Time, mut outlet: Option<&mut Outlet<'_>>, events: &mut Events) -> bool {
        let Some(digits) = self.stream.send_digits else {
            while let Some(order) = self.dialer.give_up() {
                events.digits_sent(self.id, order);
            }
            return false;
        };
        // The dialer has a time of its own: 8,000 units a second, whatever the clock of the stream.
        let (now, timestamp) = (((at - Time::START).as_micros() / 125) as u32, self.sender.tick(at));
        let clock = self.sender.clock();
        let down = self.dialer.down();
        while let Some(step) = self.dialer.poll(now) {
            match (step, &mut outlet) {
                (Step::Send(packet), Some(outlet)) => {
                    if let Some(payload) = self.stream.send {
                        self.flush(payload, outlet);
                    }
                    let age = now.wrapping_sub(packet.timestamp).wrapping_mul(clock / 8000);
                    let packet = at_clock(packet, timestamp.wrapping_sub(age), digits);
                    self.sender.digit(&packet, digits.number, outlet);
                }
                (Step::Send(_), None) => {}
                (Step::Done(order), _) => events.digits_sent(self.id, order),
            }
        }
        down || self.dialer.down()
    }

    /// Records the tick, and ends what is over. True: something is.
    fn end_tick(&mut self, sent: &Frame, events: &mut Events) -> bool {
        let mut ended = false;
        self.hear_taps(sent);
        for place in &mut self.recorders {
            if let Some(recorder) = place
                && let Some(why) = recorder.take_frames(self.id, self.said.view(), sent.view(), events)
                && let Some(recorder) = place.take()
            {
                events.record_done(self.id, recorder, why);
                ended = true;
            }
        }
        if self.player.as_ref().is_some_and(|player| player.finished()) {
            self.end_play(true, events);
            ended = true;
        }
        let dialing = self.dialer.busy();
        ended |= self.dialed && !dialing;
        self.dialed = dialing;
        ended
    }

    /// Sends the report that is due: SR or RR, and how the peer's voice arrives (XR). Gives what it is made of.
    fn send_report(&mut self, slot: Slot, time: (Time, Epoch), interval: Duration, out: &mut Batch) -> Option<Quality> {
        if !self.report.due(time.0) {
            return None;
        }
        self.report.plan(time.0, interval, &mut self.chance);
        let quality = self.quality();
        if let Some(to) = self.rtcp_destination() {
            let voip = self.voip(&quality);
            out.push(slot, Channel::Rtcp, to, |bytes| {
                let length = self.report.write(time, &self.sender, &mut self.reception, false, bytes);
                length + voip.map_or(0, |voip| voip.write(self.sender.ssrc(), &mut bytes[length..]))
            });
        }
        Some(quality)
    }
}

/// A packet of a digit, made for 8 kHz, as it is sent: its length at the clock of telephone-event. What is longer than can
/// be said, stays as long as can be.
fn at_clock(packet: Packet, timestamp: u32, digits: Digits) -> Packet {
    let [code, flags, high, low] = packet.payload;
    let length = u32::from(u16::from_be_bytes([high, low])) * (digits.clock / 8000);
    let [high, low] = u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes();
    Packet { timestamp, payload: [code, flags, high, low], ..packet }
}
