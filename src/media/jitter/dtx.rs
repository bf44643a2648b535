//! Opus senders that leave out silence (DTX): what is heard until they send again.
//!
//! ```text
//! packets   ▮▮▮▮▮▮▮▯                   ▮                   ▮      ▯ two bytes at most, or nothing at all;
//! heard     speech  noise · · · · · ·  noise · · · · · ·           a refresh each 400 ms (RFC 7587 section 3.1.3)
//! ```
//!
//! libopus goes on with the noise of the room when it is asked to make up what is missing. For a sender that stopped, that
//! fades within 80 ms; for one that only is silent it goes on for a second: a noise that comes and goes with the refreshes
//! is worse than none. It is never louder than the room was, so that a voice whose packets are lost does not go on.

/// What is made up fades from here on, and is silence from there on, in units of 1/8000 s: 60 ms, 80 ms.
const FADES: usize = 480;
const SILENT: usize = 640;
/// The noise of a sender that leaves out silence goes on for so long: two refreshes and a half.
const COMFORT: usize = 8000;
/// A payload up to this long holds no audio (opus_encode(3)).
const EMPTY: usize = 2;
/// The noise of the room is followed down at once, and up by 1.5 dB a second.
const RISE: f32 = 1.0035;
/// What is made up may be so much louder than the quietest frame was: noise is not even.
const ABOVE: f32 = 1.5;

/// What is known of the sender.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dtx {
    /// It leaves out silence: a packet without audio came, or a time without a number.
    known: bool,
    /// Mean magnitude of the noise of the room.
    floor: f32,
    /// At what part of its loudness what is made up was heard last.
    gain: f32,
}

impl Dtx {
    pub(super) fn new() -> Dtx {
        Dtx { known: false, floor: f32::INFINITY, gain: 1.0 }
    }

    /// A packet was decoded.
    pub(super) fn hear(&mut self, payload: &[u8], samples: &[i16], scale: usize) {
        self.gain = 1.0;
        if payload.len() <= EMPTY {
            return self.known = true;
        }
        let frames = samples.len() as f32 / (160 * scale) as f32;
        self.floor = (self.floor * RISE.powf(frames)).min(loudness(samples));
    }

    /// There is time between two packets, and no number.
    pub(super) fn note_pause(&mut self) {
        self.known = true;
    }

    /// So long is made up at most, in units.
    pub(super) fn longest(&self) -> usize {
        if self.known { COMFORT } else { SILENT }
    }

    /// What is made up now stands for silence that was left out, not for a loss, as far as anybody knows.
    pub(super) fn is_pause(&self, made: usize) -> bool {
        self.known && made >= SILENT
    }

    /// Make what the codec made up, `made` units into the loss, as loud as it may be.
    pub(super) fn shape(&mut self, samples: &mut [i16], made: usize, scale: usize) {
        let end = made + samples.len() / scale;
        if end <= FADES {
            return;
        }
        let (from, to) = (self.gain, self.target(samples, end));
        let count = samples.len() as f32;
        for (at, sample) in samples.iter_mut().enumerate() {
            *sample = (f32::from(*sample) * (from + (to - from) * (at as f32 + 1.0) / count)) as i16;
        }
        self.gain = to;
    }

    /// The gain at the end of some samples, `end` units into the loss.
    fn target(&self, samples: &[i16], end: usize) -> f32 {
        match () {
            () if !self.known => (SILENT.saturating_sub(end)) as f32 / (SILENT - FADES) as f32,
            () if end >= COMFORT => 0.0,
            () => (self.floor * ABOVE / loudness(samples).max(1.0)).min(1.0),
        }
    }
}

fn loudness(samples: &[i16]) -> f32 {
    samples.iter().map(|s| f32::from(s.unsigned_abs())).sum::<f32>() / samples.len().max(1) as f32
}
