//! What answers a call that we made: the network's tones, a person, a machine and its beep.
//!
//! ```text
//! every 20 ms:   silence  |  low tone (300 to 700 Hz)  |  one tone at f  |  sound
//! segments:      runs of one kind
//! tones          by their cadence and frequencies: ringing, busy, congestion, dial, SIT, fax
//! sound          a short greeting and then a pause: a person.  A long one: a machine.
//! one tone       after a machine has spoken, alone and steady: its beep
//! ```

use self::beep::Beep;
use super::{
    sines::{Sines, sines},
    thin::Thin,
    vad::level,
};
use crate::verbs::Heard;

mod beep;
#[cfg(test)]
mod tests;

/// Samples of a frame, and frames of a second.
const FRAME: usize = 160;
const SECOND: u32 = 50;
/// Below this it is silence, in dBm0.
const SILENT: f32 = -45.0;
/// A greeting ends with so much silence.
const PAUSE: u32 = 45;
/// A greeting up to this long is a person's; a longer one is a machine's.
const GREETING: u32 = 105;
/// Whoever speaks so long without a pause is a machine, without waiting for its end.
const SPEECH: u32 = 140;
/// Frames of sound in a row that may be the edge of a tone.
const EDGE: u32 = 3;
/// Around a beep is silence, or what is so many dB below the loudest voice, which is forgotten at 5 dB a second.
const FAINT: f32 = 25.0;
const FORGOTTEN: f32 = 0.1;
/// One sample of so many is kept to tell low tones in noise; of the level so many dB may be gone then.
const LESS: usize = 4;
const MOST: f32 = 2.5;
/// Sounds shorter than this are no words.
const WORD: u32 = 4;
/// Nobody says anything for so long: nobody will.
const NOBODY: u32 = 5 * SECOND;
/// Cycles of a cadence that make it sure, and of one that is only quick.
const CYCLES: u8 = 3;
const QUICK: u8 = 6;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Silence,
    /// One or two tones between 300 and 700 Hz.
    Low,
    /// One tone elsewhere, in Hz.
    Tone(f32),
    Sound,
}

impl Kind {
    /// The same segment goes on.
    fn goes_on(self, next: Kind) -> bool {
        match (self, next) {
            (Kind::Tone(before), Kind::Tone(now)) => (now / before - 1.0).abs() < 0.03,
            (before, now) => before == now,
        }
    }
}

/// Listens to who answers. Each thing is told once, when it is sure.
#[derive(Clone, Debug)]
pub struct Progress {
    thin: Thin,
    frame: [i16; FRAME],
    filled: usize,
    now: Kind,
    /// Frames of the segment at hand.
    length: u32,
    /// A frame of another kind came; one alone does not end a segment.
    doubt: Option<Kind>,
    /// The tone segment before the silence at hand, in frames.
    tone: u32,
    /// Cycles of busy and of congestion in a row.
    cycles: (u8, u8),
    /// Cycles with a short pause in a row, however long their tones are: congestion in Brazil, in Turkey.
    quick: u8,
    /// Tones of the SIT so far.
    sit: u8,
    /// Frames since the greeting began, frames of silence within it at its end, and words.
    greeting: u32,
    quiet: u32,
    voiced: u32,
    /// Frames of tones in it: a tone in noise flickers, and is no voice.
    tonal: u32,
    /// Frames of sound in a row: the edges of tones are no voice.
    run: u32,
    /// Frames since the beginning in which nothing was heard.
    nothing: u32,
    beep: Beep,
    /// Level of the loudest that was heard of late, in dBm0.
    loudest: f32,
    told: u16,
}

impl Progress {
    /// For audio of `rate` samples a second, a multiple of 8,000.
    pub fn new(rate: u32) -> Progress {
        Progress {
            thin: Thin::new(rate),
            frame: [0; FRAME],
            filled: 0,
            now: Kind::Silence,
            length: 0,
            doubt: None,
            tone: 0,
            cycles: (0, 0),
            quick: 0,
            sit: 0,
            greeting: 0,
            quiet: 0,
            voiced: 0,
            tonal: 0,
            run: 0,
            nothing: 0,
            beep: Beep::NEW,
            loudest: SILENT,
            told: 0,
        }
    }

    /// Audio goes on.
    pub fn handle(&mut self, samples: &[i16], mut tell: impl FnMut(Heard)) {
        for &sample in samples {
            let Some(sample) = self.thin.push(sample) else { continue };
            self.frame[self.filled] = sample;
            self.filled += 1;
            if self.filled == FRAME {
                self.filled = 0;
                let told = &mut self.told.clone();
                self.look(&mut |heard: Heard| {
                    let bit = 1 << heard as u16;
                    if *told & bit == 0 {
                        *told |= bit;
                        tell(heard);
                    }
                });
                self.told = *told;
            }
        }
    }

    fn look(&mut self, tell: &mut dyn FnMut(Heard)) {
        let (kind, hz) = kind(&self.frame);
        self.listen_to_voice(kind, tell);
        self.listen_for_beep(kind, hz, tell);
        match self.doubt {
            _ if self.now.goes_on(kind) => {
                self.length += 1 + u32::from(self.doubt.is_some());
                self.doubt = None;
            }
            Some(doubt) if doubt.goes_on(kind) => {
                self.end_segment(kind, tell);
                (self.now, self.length, self.doubt) = (kind, 2, None);
            }
            Some(_) | None => self.doubt = Some(kind),
        }
        self.long_segment(tell);
    }

    /// A segment is over; `next` is what follows.
    fn end_segment(&mut self, next: Kind, tell: &mut dyn FnMut(Heard)) {
        match self.now {
            Kind::Low => self.tone = self.length,
            Kind::Silence => self.end_pause(next, tell),
            Kind::Tone(frequency) => self.end_tone(frequency, tell),
            Kind::Sound => (self.tone, self.cycles, self.quick) = (0, (0, 0), 0),
        }
    }

    /// A tone and the silence after it make one cycle of a cadence.
    fn end_pause(&mut self, next: Kind, tell: &mut dyn FnMut(Heard)) {
        let (on, off) = (self.tone, self.length);
        if on == 0 || next != Kind::Low {
            (self.cycles, self.quick) = ((0, 0), 0);
            return;
        }
        self.quick = if (6..=42).contains(&on) && (6..=17).contains(&off) { self.quick.saturating_add(1) } else { 0 };
        let even = on.abs_diff(off) <= 3 + on.max(off) / 5 || ((10..=14).contains(&on) && off <= 40);
        self.cycles = match on + off {
            13..=30 if even => (0, self.cycles.1 + 1),
            31..=83 if even => (self.cycles.0 + 1, 0),
            _ => (0, 0),
        };
        if self.cycles.0 == CYCLES {
            tell(Heard::Busy);
        }
        let busy = self.told & (1 << Heard::Busy as u16) != 0;
        if self.cycles.1 == CYCLES + 1 || (self.quick >= QUICK && !busy) {
            self.quick = QUICK;
            tell(Heard::Congestion);
        }
    }

    /// One tone is over: a part of a SIT.
    fn end_tone(&mut self, frequency: f32, tell: &mut dyn FnMut(Heard)) {
        let sit = match frequency {
            f if (890.0..1010.0).contains(&f) => 1,
            f if (1340.0..1460.0).contains(&f) => 2,
            f if (1740.0..1860.0).contains(&f) => 3,
            _ => 0,
        };
        let long = (8..=24).contains(&self.length);
        self.sit = if long && sit == self.sit + 1 { sit } else { u8::from(long && sit == 1) };
        if self.sit == 3 {
            tell(Heard::Sit);
        }
    }

    /// After a machine has spoken for a while.
    fn listen_for_beep(&mut self, kind: Kind, hz: Option<f32>, tell: &mut dyn FnMut(Heard)) {
        let level = level(&self.frame);
        self.loudest = level.max(self.loudest - FORGOTTEN);
        let frame = match hz {
            _ if kind == Kind::Silence || level < self.loudest - FAINT => beep::Frame::Silence,
            Some(hz) => beep::Frame::Tone(hz, level),
            None => beep::Frame::Sound,
        };
        let machine = self.told & (1 << Heard::Machine as u16) != 0 || self.voiced >= SPEECH / 2;
        if self.beep.handle(frame) && machine {
            tell(Heard::Beep);
        }
    }

    /// What is told before a segment is over.
    fn long_segment(&mut self, tell: &mut dyn FnMut(Heard)) {
        match self.now {
            Kind::Low if self.length == 4 * SECOND => tell(Heard::Dial),
            // A ring is followed by a longer pause than any busy tone has.
            Kind::Silence if self.length == SECOND + 10 && (17..=125).contains(&self.tone) => tell(Heard::Ringing),
            // T.30 allows 38 Hz to either side.
            Kind::Tone(f) if (1060.0..1140.0).contains(&f) && self.length == 20 && self.voiced < WORD => {
                tell(Heard::Fax);
            }
            Kind::Tone(f) if (2060.0..2140.0).contains(&f) && self.length == SECOND => tell(Heard::Fax),
            Kind::Low | Kind::Silence | Kind::Tone(_) | Kind::Sound => {}
        }
    }

    /// A person or a machine, by how long the greeting is.
    fn listen_to_voice(&mut self, kind: Kind, tell: &mut dyn FnMut(Heard)) {
        self.run = if kind == Kind::Sound { self.run + 1 } else { 0 };
        self.tonal += u32::from(matches!(kind, Kind::Low | Kind::Tone(_)));
        if self.run < EDGE {
            if self.voiced == 0 {
                self.nothing = if kind == Kind::Silence { self.nothing + 1 } else { 0 };
                self.tonal = if kind == Kind::Silence { 0 } else { self.tonal };
                if self.nothing == NOBODY && self.told == 0 {
                    tell(Heard::Silence);
                }
                return;
            }
            self.greeting += 1;
            self.quiet += 1;
            if self.quiet == PAUSE {
                self.end_greeting(tell);
            }
            return;
        }
        // The first frames of the run belong to it.
        let frames = if self.run == EDGE { EDGE } else { 1 };
        self.greeting += if self.voiced == 0 { frames } else { 1 };
        self.voiced += frames;
        self.quiet = 0;
        if self.greeting >= SPEECH && self.voiced * 2 > self.greeting {
            self.told_of_person(Heard::Machine, tell);
        }
    }

    fn end_greeting(&mut self, tell: &mut dyn FnMut(Heard)) {
        let length = self.greeting - self.quiet;
        if self.voiced < WORD || self.tonal > 2 * self.voiced {
            // A click or a tone: no greeting yet.
            (self.greeting, self.quiet, self.voiced, self.tonal) = (0, 0, 0, 0);
            return;
        }
        self.told_of_person(if length <= GREETING { Heard::Human } else { Heard::Machine }, tell);
    }

    /// The first judgement stands.
    fn told_of_person(&mut self, heard: Heard, tell: &mut dyn FnMut(Heard)) {
        let both = 1 << Heard::Human as u16 | 1 << Heard::Machine as u16;
        if self.told & both == 0 {
            tell(heard);
        }
    }
}

/// What a frame is, and the frequency of the one tone that it is.
fn kind(frame: &[i16; FRAME]) -> (Kind, Option<f32>) {
    if level(frame) < SILENT {
        return (Kind::Silence, None);
    }
    let low = 300.0..700.0;
    match sines(frame, super::RATE) {
        Sines::One(f) if low.contains(&f) => (Kind::Low, Some(f)),
        Sines::One(f) if f > 300.0 => (Kind::Tone(f), Some(f)),
        Sines::Two(f, high) if low.contains(&f) && high < 750.0 => (Kind::Low, None),
        Sines::Other if is_low(frame) => (Kind::Low, None),
        Sines::One(_) | Sines::Two(..) | Sines::Other => (Kind::Sound, None),
    }
}

/// Two low tones in noise: without what is above 1 kHz the noise is less, and the tones are easier to tell.
fn is_low(frame: &[i16; FRAME]) -> bool {
    let mut low = [0; FRAME / LESS - 1];
    for (at, sample) in low.iter_mut().enumerate() {
        // Two averages of four, one after the other.
        let shape = [1, 2, 3, 4, 3, 2, 1];
        let sum: i32 = frame[at * LESS..].iter().zip(shape).map(|(s, w)| i32::from(*s) * w).sum();
        *sample = (sum / 16) as i16;
    }
    let all = level(frame);
    let most = level(&low) > all - MOST;
    most && match sines(&low, super::RATE / LESS as u32) {
        Sines::Two(f, high) => f > 300.0 && high < 750.0,
        Sines::One(_) | Sines::Other => false,
    }
}
