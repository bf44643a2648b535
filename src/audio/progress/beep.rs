//! A machine's beep: one tone that stands alone and does not move. A voice hums, too, but its hum glides and swells, and is
//! part of a word.
//!
//! ```text
//! silence ≥ 60 ms  |  one tone, 120 ms to 1.5 s, within 2.5 % and 3 dB  |  silence
//!                 └ a frame at either edge may be anything ┘
//! ```

/// Frames of silence before it.
const ALONE: u32 = 3;
/// Its length, in frames.
const LENGTH: std::ops::RangeInclusive<u32> = 6..=75;
/// How much its frequency may move, as a part, and its level, in dB.
const MOVES: f32 = 0.025;
const SWELLS: f32 = 3.0;

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Frame {
    Silence,
    /// One tone: its frequency in Hz, and its level in dBm0.
    Tone(f32, f32),
    /// Anything else.
    Sound,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    /// So many frames of silence, after something else.
    Quiet { frames: u32 },
    /// One frame of sound after silence: the edge of a tone, or of a word.
    Edge,
    /// A tone after silence; `ended`: with one frame of something else.
    Tone { tone: Tone, ended: bool },
    /// No tone that could be one.
    Other,
}

/// A tone as far as it was heard. Its first and its last frame may hold a part of it only: they do not count.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Tone {
    frames: u32,
    last: Option<(f32, f32)>,
    hz: (f32, f32),
    level: (f32, f32),
}

impl Tone {
    const NEW: Tone = Tone { frames: 1, last: None, hz: (f32::MAX, 0.0), level: (f32::MAX, f32::MIN) };

    fn goes_on(self, hz: f32, level: f32) -> Tone {
        let mut tone = Tone { frames: self.frames + 1, last: Some((hz, level)), ..self };
        if let Some((hz, level)) = self.last {
            tone.hz = (self.hz.0.min(hz), self.hz.1.max(hz));
            tone.level = (self.level.0.min(level), self.level.1.max(level));
        }
        tone
    }

    fn is_beep(&self) -> bool {
        let steady = self.hz.1 <= self.hz.0 * (1.0 + MOVES) && self.level.1 - self.level.0 <= SWELLS;
        steady && LENGTH.contains(&self.frames)
    }
}

/// Listens for a beep.
#[derive(Clone, Copy, Debug)]
pub(super) struct Beep(State);

impl Beep {
    /// Nothing was heard yet.
    pub(super) const NEW: Beep = Beep(State::Quiet { frames: 0 });

    /// The next frame. True: a beep is over.
    pub(super) fn handle(&mut self, frame: Frame) -> bool {
        let (next, beep) = match (self.0, frame) {
            (State::Quiet { frames }, Frame::Silence) => (State::Quiet { frames: frames.saturating_add(1) }, false),
            (State::Quiet { frames }, Frame::Tone(..)) if frames >= ALONE => {
                (State::Tone { tone: Tone::NEW, ended: false }, false)
            }
            (State::Quiet { frames }, Frame::Sound) if frames >= ALONE => (State::Edge, false),
            (State::Edge, Frame::Tone(..)) => (State::Tone { tone: Tone::NEW, ended: false }, false),
            (State::Tone { tone, ended: false }, Frame::Tone(hz, level)) => {
                (State::Tone { tone: tone.goes_on(hz, level), ended: false }, false)
            }
            (State::Tone { tone, ended: false }, Frame::Sound) => (State::Tone { tone, ended: true }, false),
            (State::Tone { tone, .. }, Frame::Silence) => (State::Quiet { frames: 1 }, tone.is_beep()),
            (State::Edge | State::Other, Frame::Silence) => (State::Quiet { frames: 1 }, false),
            (State::Quiet { .. } | State::Edge | State::Tone { .. } | State::Other, _) => (State::Other, false),
        };
        self.0 = next;
        beep
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(frames: impl IntoIterator<Item = Frame>) -> usize {
        let mut beep = Beep::NEW;
        frames.into_iter().filter(|frame| beep.handle(*frame)).count()
    }

    /// Silence, these frames, silence.
    fn alone(frames: Vec<Frame>) -> usize {
        let silence = [Frame::Silence; 5];
        heard([&silence[..], &frames, &silence].concat())
    }

    fn tone(count: usize) -> Vec<Frame> {
        vec![Frame::Tone(1000.0, -15.0); count]
    }

    #[test]
    fn a_steady_tone_between_silences_is_one_also_where_its_edges_are_no_tone() {
        assert_eq!((alone(tone(6)), alone(tone(75))), (1, 1));
        let edges = [vec![Frame::Sound], tone(10), vec![Frame::Sound]].concat();
        assert_eq!(alone(edges), 1);
        let partly = [vec![Frame::Tone(900.0, -25.0)], tone(10), vec![Frame::Tone(1100.0, -28.0)]].concat();
        assert_eq!(alone(partly), 1);
    }

    #[test]
    fn what_is_too_short_too_long_or_part_of_a_word_is_none() {
        assert_eq!((alone(tone(5)), alone(tone(76))), (0, 0));
        let word = vec![Frame::Sound; 2];
        assert_eq!(alone([word.clone(), tone(10)].concat()), 0);
        assert_eq!(alone([tone(10), word].concat()), 0);
        assert_eq!(heard([vec![Frame::Silence; 2], tone(10), vec![Frame::Silence]].concat()), 0);
    }

    #[test]
    fn what_glides_or_swells_is_none() {
        let glides = (0..10).map(|n| Frame::Tone(400.0 + 2.0 * n as f32, -15.0)).collect();
        let swells = (0..10).map(|n| Frame::Tone(400.0, -20.0 + 0.5 * n as f32)).collect();
        assert_eq!((alone(glides), alone(swells)), (0, 0));
    }
}
