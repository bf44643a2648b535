//! Words about sounds: what there is to be heard, and why one cannot be had.

use std::time::Duration;

/// One sound to play.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Sound {
    /// A WAV, MP3 or Ogg file, by its path below the prompt folder.
    File(String),
    /// Such a file on a web server, by its `http://` or `https://` address.
    Web(String),
    /// Text spoken by the speech engine.
    Speech(Speech),
    /// A signal tone, for `length` (absent: for ever).
    Tone {
        /// Which one.
        tone: Tone,
        /// How long; absent: until stopped.
        length: Option<Duration>,
    },
    /// Nothing to be heard.
    Silence(Duration),
}

impl Sound {
    /// The sound of this name: an address of the web, or a path below the prompt folder.
    pub fn named(name: &str) -> Sound {
        let web = ["http://", "https://"].into_iter().any(|scheme| name.starts_with(scheme));
        if web { Sound::Web(name.to_owned()) } else { Sound::File(name.to_owned()) }
    }
}

/// What the speech engine is asked to say.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Speech {
    /// The words; at most 4,000 characters.
    pub text: String,
    /// BCP 47 language, such as `en-US`; absent: the configuration's.
    pub language: Option<String>,
    /// The engine's own voice name; absent: the configuration's.
    pub voice: Option<String>,
}

/// Signal tones as networks play them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SignalTone {
    /// The far end rings.
    Ringing,
    /// The far end is busy.
    Busy,
    /// No way through.
    Congestion,
    /// Ready to dial.
    Dial,
}

/// A tone.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Tone {
    /// One short 1,000 Hz beep.
    Beep,
    /// A network's signal, in the cadence of `country` (ISO 3166 alpha-2, lower case; absent: the configuration's).
    Signal {
        /// Which signal.
        signal: SignalTone,
        /// Whose cadence.
        country: Option<String>,
    },
    /// Up to two frequencies, in Hz (20 to 3,800), without cadence.
    Frequencies(Vec<u16>),
}

/// Why a sound cannot be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoSound {
    /// In a word.
    pub fault: SoundFault,
    /// Which sound, and what is wrong with it.
    pub text: String,
}

impl NoSound {
    /// `text` says which sound, and what is wrong.
    pub fn new(fault: SoundFault, text: impl Into<String>) -> NoSound {
        NoSound { fault, text: text.into() }
    }
}

/// What is wrong with a sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SoundFault {
    /// There is no such file, here or on its server.
    Missing,
    /// It is there, but cannot be read.
    Unreadable,
    /// It is no sound that we can decode.
    Format,
    /// It is larger or longer than allowed.
    TooLarge,
    /// The operator does not allow to go there.
    Denied,
    /// Its server did not answer in time.
    Timeout,
    /// Its server cannot be reached, or does not prove who it is.
    Unreachable,
    /// Its server answered with an error of this status.
    Status(u16),
    /// The speech engine failed.
    Engine,
    /// Too many sounds are being loaded.
    Overload,
}

impl SoundFault {
    /// As scripts see it.
    pub const fn as_str(self) -> &'static str {
        match self {
            SoundFault::Missing => "missing",
            SoundFault::Unreadable => "unreadable",
            SoundFault::Format => "format",
            SoundFault::TooLarge => "too_large",
            SoundFault::Denied => "denied",
            SoundFault::Timeout => "timeout",
            SoundFault::Unreachable => "unreachable",
            SoundFault::Status(_) => "status",
            SoundFault::Engine => "engine",
            SoundFault::Overload => "overload",
        }
    }
}
