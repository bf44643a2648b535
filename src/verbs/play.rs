//! Words about playing: what, how, and what may be done to it while it lasts.

use std::time::Duration;

use super::Sound;

/// Softest and loudest, in dB beside the sound as it is.
pub const VOLUME: (f32, f32) = (-60.0, 20.0);

/// What to play, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct Play {
    /// One after another, gapless.
    pub sounds: Vec<Sound>,
    /// Digits that stop it; empty: none does.
    pub stop_on: String,
    /// How it sounds.
    pub manner: Manner,
    /// Digits that do something else to it.
    pub keys: Vec<(char, PlayKey)>,
    /// How far [`PlayKey::Back`] and [`PlayKey::Forward`] go.
    pub step: Duration,
    /// True: the reply comes at its end; false: when it begins, and it plays beside what else the call does.
    pub wait: bool,
}

impl Play {
    /// These, as they are, once.
    pub fn new(sounds: Vec<Sound>) -> Play {
        let (stop_on, manner, keys, step) = (String::new(), Manner::default(), Vec::new(), Duration::from_secs(5));
        Play { sounds, stop_on, manner, keys, step, wait: true }
    }
}

/// How sounds are played.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Manner {
    /// Beside the sounds as they are, in dB; within [`VOLUME`].
    pub volume: f32,
    /// How often all of them are played; absent: until stopped.
    pub times: Option<u32>,
    /// How much is left out at the beginning, the first time.
    pub from: Duration,
}

impl Default for Manner {
    fn default() -> Manner {
        Manner { volume: 0.0, times: Some(1), from: Duration::ZERO }
    }
}

/// What a digit does to what is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlayKey {
    /// Pauses it, or lets it go on.
    Pause,
    /// Goes back by a step.
    Back,
    /// Goes forward by a step.
    Forward,
    /// Goes to the beginning.
    Restart,
    /// Makes it louder by 3 dB.
    Louder,
    /// Makes it softer by 3 dB.
    Softer,
}

impl PlayKey {
    /// All of them.
    pub const ALL: [PlayKey; 6] =
        [PlayKey::Pause, PlayKey::Back, PlayKey::Forward, PlayKey::Restart, PlayKey::Louder, PlayKey::Softer];

    /// As scripts name it.
    pub const fn as_str(self) -> &'static str {
        match self {
            PlayKey::Pause => "pause",
            PlayKey::Back => "back",
            PlayKey::Forward => "forward",
            PlayKey::Restart => "restart",
            PlayKey::Louder => "louder",
            PlayKey::Softer => "softer",
        }
    }
}

/// What can be done to something that is being played. Places are times since the beginning of the first sound.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Steer {
    /// Silence, and time stands still.
    Pause,
    /// Go on.
    Resume,
    /// Go on from here; past the end: that is the end.
    Seek(Duration),
    /// Go forward by so much.
    Forward(Duration),
    /// Go back by so much; not before the beginning.
    Back(Duration),
    /// So loud from now on, in dB beside the sounds as they are.
    Volume(f32),
    /// Nothing: only tell where it is.
    Tell,
}
