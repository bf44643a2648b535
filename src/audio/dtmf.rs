//! Keys as tones in the audio: ITU-T Q.23, recognised as Q.24 asks, with protection against speech that sounds like one.
//!
//! ```text
//! every 4 ms, over the last 20 ms under a Hann window:
//!   the strongest of 697 770 852 941 Hz and of 1209 1336 1477 1633 Hz
//!   both loud enough, neither much louder than the other,
//!   both at their own frequency (told by how their phase turns), both steady,
//!   and next to nothing else to be heard
//! five such looks in a row with one key: it is down.  Seven without: it is up.
//! ```
//!
//! A tone of 23 ms fits fewer than five looks, one of 40 ms at least six. Speech has overtones and moves: it fails in
//! one of the looks.
//!
//! Where a packet was lost, what is made up in its place proves nothing against a key: such looks neither end a press nor
//! begin the count anew ([`Detector::handle_made_up`]). Else a loss within a tone would make two presses of one.

use std::f64::consts::{PI, TAU};

use crate::audio::thin::Thin;

#[cfg(test)]
mod tests;

/// Samples of a look: 20 ms.
const WINDOW: usize = 160;
/// Samples from look to look: 4 ms.
const HOP: usize = 32;
/// Looks in a row that make a press.
const DOWN: u8 = 5;
/// Looks without the key that end it: an interruption of 10 ms is none (Q.24), a pause of 40 ms is.
const UP: u8 = 7;
/// Looks after made-up audio in which it may still be seen: what is left of it in the window, and 12 ms in which it is
/// cross-faded with what comes again.
const UNSURE: u8 = 7;
/// Amplitude of the quieter tone at least: -37 dBm0, which is -25 dBm0 less 8 dB of twist, with room for the codec.
const QUIETEST: f32 = 22_438.0 * 0.014;
/// The higher tone may be louder or quieter than the lower one by so much (power): +7 and -11 dB. Q.24 asks +4 and -8.
const TWIST: (f32, f32) = (0.08, 5.0);
/// Share of the whole power that the two tones must have.
const SHARE: f32 = 0.8;
/// How far a tone may be from its frequency. Q.24: 1.5 % must be taken, 3.5 % refused.
const OFF: f32 = 0.026;
/// How much the amplitudes may change from look to look, as a factor of power.
const STEADY: (f32, f32) = (0.5, 2.0);

const TONES: [f64; 8] = [697.0, 770.0, 852.0, 941.0, 1209.0, 1336.0, 1477.0, 1633.0];
const KEYS: [[u8; 4]; 4] = [*b"123A", *b"456B", *b"789C", *b"*0#D"];

/// One complex number.
#[derive(Clone, Copy, Debug, Default)]
struct Turn {
    re: f32,
    im: f32,
}

/// Each tone as it runs through a window, already shaped by the window.
static TABLE: [[Turn; WINDOW]; 8] = table();
/// What a steady sine of amplitude 1 gives at its own frequency: half the window's sum.
const GAIN: f32 = WINDOW as f32 / 4.0;
/// Power of a sine's windowed samples by its squared amplitude: half the sum of the window's squares.
const POWER: f32 = 3.0 * WINDOW as f32 / 16.0;
/// The window's own shape, squared, for the power of all that is heard.
static SQUARED: [f32; WINDOW] = squared();

/// Finds pressed keys in audio. One event a press, told about 35 ms after it began.
#[derive(Clone, Debug)]
pub struct Detector {
    thin: Thin,
    heard: [f32; WINDOW],
    /// Samples since the last look.
    fresh: usize,
    /// Looks in which made-up audio may be seen from now on.
    unsure: u8,
    /// What the tones gave in the look before.
    before: [Turn; 8],
    last: Option<Look>,
    state: State,
}

/// What a look found: a key, and how strong its tones are.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Look {
    key: u8,
    low: f32,
    high: f32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing is pressed; so many looks in a row found this key.
    Up { key: u8, looks: u8 },
    /// A press was told; so many looks in a row did not find it.
    Down { key: u8, missed: u8 },
}

const IDLE: State = State::Up { key: 0, looks: 0 };

impl Detector {
    /// For audio of `rate` samples a second, a multiple of 8,000.
    pub fn new(rate: u32) -> Detector {
        Detector {
            thin: Thin::new(rate),
            heard: [0.0; WINDOW],
            fresh: 0,
            unsure: 0,
            before: [Turn::default(); 8],
            last: None,
            state: IDLE,
        }
    }

    /// Audio goes on. Each press is told once: `0-9 * # A-D`.
    pub fn handle(&mut self, samples: &[i16], pressed: impl FnMut(char)) {
        self.hear(samples, 0, pressed);
    }

    /// The same, of audio that stands, wholly or in part, for what was lost.
    pub fn handle_made_up(&mut self, samples: &[i16], pressed: impl FnMut(char)) {
        self.hear(samples, UNSURE + 1, pressed);
    }

    fn hear(&mut self, samples: &[i16], unsure: u8, mut pressed: impl FnMut(char)) {
        for &sample in samples {
            let Some(sample) = self.thin.push(sample) else { continue };
            self.heard[WINDOW - HOP + self.fresh] = f32::from(sample);
            self.fresh += 1;
            if self.fresh == HOP {
                self.unsure = self.unsure.max(unsure);
                if let Some(key) = self.look() {
                    pressed(char::from(key));
                }
                self.heard.copy_within(HOP.., 0);
                self.fresh = 0;
            }
        }
    }

    /// A key is down, or probably is: what is heard now is no speech.
    pub fn down(&self) -> bool {
        match self.state {
            State::Down { .. } => true,
            State::Up { looks, .. } => looks >= 3,
        }
    }

    fn look(&mut self) -> Option<u8> {
        let found = self.find();
        let steady = match (found, self.last) {
            (Some(now), Some(before)) => now.key == before.key && now.steady(before),
            (Some(_), None) | (None, _) => true,
        };
        self.last = found;
        let key = found.filter(|_| steady).map(|look| look.key);
        let unsure = self.unsure > 0;
        self.unsure = self.unsure.saturating_sub(1);
        let (next, pressed) = match (self.state, key) {
            (State::Up { key, looks }, Some(found)) if key == found && looks + 1 == DOWN => {
                (State::Down { key, missed: 0 }, Some(key))
            }
            (State::Up { key, looks }, Some(found)) if key == found => (State::Up { key, looks: looks + 1 }, None),
            (State::Up { .. }, Some(found)) => (State::Up { key: found, looks: 1 }, None),
            (State::Down { key, .. }, Some(found)) if key == found => (State::Down { key, missed: 0 }, None),
            (state @ (State::Up { .. } | State::Down { .. }), _) if unsure => (state, None),
            (State::Up { .. }, None) => (IDLE, None),
            (State::Down { missed, .. }, found) if missed + 1 == UP => {
                (found.map_or(IDLE, |key| State::Up { key, looks: 1 }), None)
            }
            (State::Down { key, missed }, _) => (State::Down { key, missed: missed + 1 }, None),
        };
        self.state = next;
        pressed
    }

    fn find(&mut self) -> Option<Look> {
        let power: f32 = self.heard.iter().zip(&SQUARED).map(|(s, w)| s * s * w).sum();
        if power < QUIETEST * QUIETEST * POWER {
            self.before = [Turn::default(); 8];
            return None;
        }
        let now: [Turn; 8] = std::array::from_fn(|tone| correlate(&self.heard, &TABLE[tone]));
        let before = std::mem::replace(&mut self.before, now);
        let strongest = |tones: std::ops::Range<usize>| {
            tones.max_by(|a, b| now[*a].power().total_cmp(&now[*b].power())).unwrap_or(0)
        };
        let (row, column) = (strongest(0..4), strongest(4..8));
        let low = amplitude(row, before[row], now[row])?;
        let high = amplitude(column, before[column], now[column])?;
        let twist = high / low;
        let quiet = low.min(high) < QUIETEST * QUIETEST;
        if quiet || twist < TWIST.0 || twist > TWIST.1 || (low + high) * POWER < SHARE * power {
            return None;
        }
        Some(Look { key: KEYS[row][column - 4], low, high })
    }
}

impl Look {
    fn steady(&self, before: Look) -> bool {
        let within = |now: f32, then: f32| now > then * STEADY.0 && now < then * STEADY.1;
        within(self.low, before.low) && within(self.high, before.high)
    }
}

impl Turn {
    fn power(self) -> f32 {
        self.re * self.re + self.im * self.im
    }
}

fn correlate(heard: &[f32; WINDOW], tone: &[Turn; WINDOW]) -> Turn {
    // Four sums side by side, so that the processor need not wait for one.
    let (mut re, mut im) = ([0.0f32; 4], [0.0f32; 4]);
    for (samples, turns) in heard.as_chunks::<4>().0.iter().zip(tone.as_chunks::<4>().0) {
        for lane in 0..4 {
            re[lane] += samples[lane] * turns[lane].re;
            im[lane] += samples[lane] * turns[lane].im;
        }
    }
    Turn { re: re.iter().sum(), im: im.iter().sum() }
}

/// Squared amplitude of a tone; `None` where it is too far from its frequency. How far is told by the phase that it
/// gained since the look before, beyond what it should have; what the window takes away there is given back.
fn amplitude(tone: usize, before: Turn, now: Turn) -> Option<f32> {
    if before.power() <= 0.0 {
        return None;
    }
    // In a window of its own each tone begins at phase 0: after a hop it is ahead by what it turned meanwhile.
    let expected = (TONES[tone] * HOP as f64 / 8000.0).fract() as f32 * TAU as f32;
    let gained = now.im.atan2(now.re) - before.im.atan2(before.re) - expected;
    let gained = gained - (gained / TAU as f32).round() * TAU as f32;
    let off = gained / TAU as f32 * 8000.0 / HOP as f32;
    if off.abs() > OFF * TONES[tone] as f32 {
        return None;
    }
    // A Hann window's answer beside its centre: sin(πx) / (πx (1 - x²)), x in lines of 50 Hz.
    let x = off.abs() * WINDOW as f32 / 8000.0;
    let kept = if x < 1e-3 { 1.0 } else { (PI as f32 * x).sin() / (PI as f32 * x * (1.0 - x * x)) };
    Some(now.power() / (GAIN * kept).powi(2))
}

/// Sine and cosine of an angle below 2, by their series: the compiler cannot call the library's.
const fn sine(angle: f64) -> (f64, f64) {
    let (mut sine, mut cosine, mut term, mut n) = (0.0, 0.0, 1.0, 0);
    while n < 24 {
        match n % 4 {
            0 => cosine += term,
            1 => sine += term,
            2 => cosine -= term,
            _ => sine -= term,
        }
        n += 1;
        term *= angle / n as f64;
    }
    (sine, cosine)
}

/// Hann: 0 at the edges, 1 in the middle.
const fn window(step: (f64, f64), turn: (f64, f64)) -> (f64, (f64, f64)) {
    let next = (turn.0 * step.1 + turn.1 * step.0, turn.1 * step.1 - turn.0 * step.0);
    (0.5 - 0.5 * turn.1, next)
}

const fn table() -> [[Turn; WINDOW]; 8] {
    let mut table = [[Turn { re: 0.0, im: 0.0 }; WINDOW]; 8];
    let hann = sine(TAU / WINDOW as f64);
    let mut tone = 0;
    while tone < 8 {
        let step = sine(TAU * TONES[tone] / 8000.0);
        let (mut turn, mut shape, mut at) = ((0.0, 1.0), sine(PI / WINDOW as f64), 0);
        while at < WINDOW {
            let (weight, next) = window(hann, shape);
            shape = next;
            table[tone][at] = Turn { re: (turn.1 * weight) as f32, im: (-turn.0 * weight) as f32 };
            turn = (turn.0 * step.1 + turn.1 * step.0, turn.1 * step.1 - turn.0 * step.0);
            at += 1;
        }
        tone += 1;
    }
    table
}

const fn squared() -> [f32; WINDOW] {
    let mut squared = [0.0; WINDOW];
    let hann = sine(TAU / WINDOW as f64);
    let (mut shape, mut at) = (sine(PI / WINDOW as f64), 0);
    while at < WINDOW {
        let (weight, next) = window(hann, shape);
        shape = next;
        squared[at] = (weight * weight) as f32;
        at += 1;
    }
    squared
}
