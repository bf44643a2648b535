//! What a bridge of three and more is beyond a sum: who is the loudest, who whispers to whom, and the chime that tells
//! of who comes and goes.

use std::f32::consts::TAU;

use super::{Engine, Event, Frame, MAX_FRAME, Role, Slot, bridge::BridgeSlot, port::Port};
use crate::{
    audio::{
        mix,
        vad::{self, Vad},
    },
    codec::Rate,
    ids::PortId,
};

/// Ticks between two looks at who is the loudest: 200 ms.
const LOOK: u8 = 10;
/// After it was told, the next look comes after a second: who talk at once take turns more often than anybody can read.
const REST: u8 = 50;
/// Another must be so much louder (power) to be the loudest.
const LOUDER: f32 = 2.0;
/// How fast loudness follows what is said: a second.
const FOLLOW: f32 = 0.02;
/// Ticks of each half of the chime.
const HALF: u8 = 6;
/// Frequencies of the chime, lower and higher, in Hz, and its amplitude: -16 dBm0.
const CHIME: (f32, f32) = (660.0, 880.0);
const CHIME_AMPLITUDE: f32 = 3500.0;

/// What is louder (dBm0) is not taken for the noise of a room, however steady: it is music, or a tone.
const PROGRAMME: f32 = -36.0;
/// Ticks for which all are heard when a crowd begins: what is noise and what is speech must be heard first.
const LEARN: u8 = 100;

/// How somebody in a room speaks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Voice {
    vad: Vad,
    /// Mean power of what is said.
    loudness: f32,
    /// It was in the sum of the tick before.
    open: bool,
    /// Ticks in a crowd until it may be left out.
    learn: u8,
}

/// What becomes of a tick of somebody's audio. Edges are faded over the tick: where one noise begins and another ends
/// between two samples, everybody hears a click.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gate {
    Shut,
    Opens,
    Open,
    Shuts,
}

impl Voice {
    pub(super) fn new() -> Voice {
        let vad = Vad::new(super::TICK, std::time::Duration::from_millis(400));
        Voice { vad, loudness: 0.0, open: true, learn: LEARN }
    }

    /// What was said in a tick, in a crowd: heard where it is speech, or just was.
    fn handle(&mut self, said: &[i16]) -> Gate {
        let level = vad::level(said);
        let speaks = self.vad.handle_level(level);
        let power = said.iter().map(|s| f32::from(*s) * f32::from(*s)).sum::<f32>() / said.len().max(1) as f32;
        self.loudness += (if speaks { power } else { 0.0 } - self.loudness) * FOLLOW;
        let heard = speaks || level > PROGRAMME || self.learn > 0;
        self.learn = self.learn.saturating_sub(1);
        self.turn(heard)
    }

    /// Two speak, or one: all is heard.
    fn let_through(&mut self) -> Gate {
        self.learn = LEARN;
        self.turn(true)
    }

    fn turn(&mut self, open: bool) -> Gate {
        match (std::mem::replace(&mut self.open, open), open) {
            (false, false) => Gate::Shut,
            (false, true) => Gate::Opens,
            (true, true) => Gate::Open,
            (true, false) => Gate::Shuts,
        }
    }
}

/// What a bridge keeps of its room.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Salon {
    loudest: Option<PortId>,
    /// Ticks until the next look.
    rest: u8,
    chime: Option<Chime>,
    /// How many whisper.
    pub(super) whisperers: u16,
    /// How many speak to all.
    pub(super) speakers: u16,
}

/// Two notes, up for who comes, down for who goes.
#[derive(Clone, Copy, Debug)]
struct Chime {
    rising: bool,
    ticks: u8,
}

impl Salon {
    /// Sound the chime; one that sounds already begins anew.
    pub(super) fn chime(&mut self, rising: bool) {
        self.chime = Some(Chime { rising, ticks: 0 });
    }

    /// This tick's part of the chime at `rate`, where it sounds.
    fn sound(&mut self, rate: Rate, out: &mut [i16]) -> bool {
        let Some(chime) = &mut self.chime else { return false };
        let second = chime.ticks >= HALF;
        let frequency = if second == chime.rising { CHIME.1 } else { CHIME.0 };
        let from = usize::from(chime.ticks % HALF) * rate.frame();
        let length = usize::from(HALF) * rate.frame();
        let rise = rate.frame() as f32;
        for (at, sample) in (from..).zip(out.iter_mut()) {
            // Rises within a fiftieth and fades: nothing clicks.
            let shape = (at as f32 / rise).min(1.0) * (length - at) as f32 / length as f32;
            *sample = (CHIME_AMPLITUDE * shape * (TAU * frequency * at as f32 / rate.hz() as f32).sin()) as i16;
        }
        chime.ticks += 1;
        if chime.ticks == 2 * HALF {
            self.chime = None;
        }
        true
    }
}

impl Engine {
    /// Add up what the members of a bridge say. Of three and more who speak, those who are silent are left out; two hear
    /// each other's pauses, whoever listens to them.
    pub(super) fn gather(&mut self, bridge: BridgeSlot) {
        let (crowd, rate) = (self.bridges.salon(bridge).speakers > 2, self.bridges.rate(bridge));
        let mut loudest: Option<(f32, PortId)> = None;
        let mut at = self.bridges.first(bridge);
        while let Some(slot) = at {
            at = self.bridges.next(slot);
            let Some((_, role)) = self.bridges.of(slot) else { continue };
            let heard = role.speaks();
            let tick = self.tick;
            let Some(Some(port)) = self.ports.get_mut(slot.0 as usize) else { continue };
            let spoke = port.take(tick);
            let gate = match (heard, crowd) {
                (false, _) => Gate::Shut,
                (true, false) => port.voice.let_through(),
                (true, true) => {
                    let gate = port.voice.handle(port.said.samples());
                    let loudness = port.voice.loudness;
                    if loudest.is_none_or(|(most, _)| loudness > most) {
                        loudest = Some((loudness, port.id));
                    }
                    gate
                }
            };
            port.summed = spoke && gate != Gate::Shut;
            if port.summed || matches!(role, Role::Whisper(_)) {
                port.convert_said(rate);
            }
            if port.summed {
                port.fade_said(rate, gate);
                self.bridges.add(bridge, port.said_at(rate));
            }
        }
        let mut chime = [0; MAX_FRAME];
        let chime = &mut chime[..rate.frame()];
        if self.bridges.salon(bridge).sound(rate, chime) {
            self.bridges.add(bridge, chime);
        }
        if crowd {
            self.look_who_is_loudest(bridge, loudest);
        }
    }

    fn look_who_is_loudest(&mut self, bridge: BridgeSlot, found: Option<(f32, PortId)>) {
        let salon = self.bridges.salon(bridge);
        if salon.rest > 1 {
            salon.rest -= 1;
            return;
        }
        salon.rest = LOOK;
        let before = salon.loudest;
        // Somebody must have spoken at all: above -45 dBm0.
        let Some((loudness, port)) = found.filter(|(loudness, _)| *loudness > 8000.0) else { return };
        if before == Some(port) {
            return;
        }
        let held =
            before.and_then(|id| self.slot(id)).and_then(|slot| self.port(slot)).map_or(0.0, |p| p.voice.loudness);
        if loudness > held * LOUDER && self.events.offer(Event::Loudest { port }).is_ok() {
            let salon = self.bridges.salon(bridge);
            (salon.loudest, salon.rest) = (Some(port), REST);
        }
    }

    /// Adds to `frame`, which is at the bridge's rate, what is whispered to the port in `slot`.
    pub(super) fn add_whispers(&mut self, bridge: BridgeSlot, slot: Slot, frame: &mut Frame) {
        let Some(to) = self.port(slot).map(|port| port.id) else { return };
        let (mut at, rate) = (self.bridges.first(bridge), self.bridges.rate(bridge));
        while let Some(other) = at {
            at = self.bridges.next(other);
            if self.bridges.of(other).is_some_and(|(_, role)| role == Role::Whisper(to))
                && let Some(port) = self.port(other)
            {
                mix::add(frame.samples_mut(), port.said_at(rate));
            }
        }
    }
}

impl Port {
    /// What is said to the bridge in a tick in which it is let in, or left out from then on. What it said itself, which is
    /// recorded and listened to, stays as it is.
    fn fade_said(&mut self, rate: Rate, gate: Gate) {
        let from = match gate {
            Gate::Shut | Gate::Open => return,
            Gate::Opens => 0.0,
            Gate::Shuts => 1.0,
        };
        let frame = self.reshape_said(rate);
        let count = frame.len() as f32;
        for (at, sample) in frame.iter_mut().enumerate() {
            let gain = f32::abs(from - (at as f32 + 0.5) / count);
            *sample = (f32::from(*sample) * gain) as i16;
        }
    }

    /// Make what it says as loud as what others say, or leave it as it is.
    pub(super) fn set_level(&mut self, on: bool) {
        self.agc = on.then(Default::default);
    }
}
