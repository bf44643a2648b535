//! The names of the codecs, and the rates of audio, shared by the negotiation (sdp), the coders (audio) and the ports
//! (media).

use std::fmt;

/// How many samples a second: each is a whole multiple of the one before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rate {
    /// 8,000 Hz: the telephone.
    #[default]
    Narrow,
    /// 16,000 Hz: G.722, wideband.
    Wide,
    /// 48,000 Hz: all that can be heard.
    Full,
}

impl Rate {
    /// All of them, lowest first.
    pub const ALL: [Rate; 3] = [Rate::Narrow, Rate::Wide, Rate::Full];

    /// Samples a second.
    pub const fn hz(self) -> u32 {
        match self {
            Rate::Narrow => 8000,
            Rate::Wide => 16_000,
            Rate::Full => 48_000,
        }
    }

    /// How many samples there are for one at [`Rate::Narrow`]: 1, 2 or 6.
    pub const fn scale(self) -> usize {
        match self {
            Rate::Narrow => 1,
            Rate::Wide => 2,
            Rate::Full => 6,
        }
    }

    /// Samples in 20 ms.
    pub const fn frame(self) -> usize {
        160 * self.scale()
    }

    /// The rate of so many samples a second.
    pub fn from_hz(hz: u32) -> Option<Rate> {
        Rate::ALL.into_iter().find(|rate| rate.hz() == hz)
    }
}

/// An audio codec that we can encode and decode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Codec {
    /// G.711 µ-law, 8 kHz, 64 kbit/s.
    Pcmu,
    /// G.711 A-law, 8 kHz, 64 kbit/s.
    Pcma,
    /// G.722, 16 kHz, 64 kbit/s; its RTP clock is 8 kHz all the same (RFC 3551 section 4.5.2).
    G722,
    /// Opus (RFC 6716, 7587), up to 48 kHz; its RTP clock is always 48 kHz.
    Opus,
    /// Linear 16-bit samples, big-endian, at 8 kHz (RFC 3551 section 4.5.11).
    L16,
    /// The same at 16 kHz.
    L16Wide,
    /// G.729, 8 kHz, 8 kbit/s; coded only where the system has libbcg729, else passed on.
    G729,
}

impl Codec {
    /// All of them, in our own order of preference.
    pub const ALL: [Codec; 7] =
        [Codec::Pcmu, Codec::Pcma, Codec::G722, Codec::Opus, Codec::L16, Codec::L16Wide, Codec::G729];

    /// The encoding name of `a=rtpmap` (RFC 3551 section 6).
    pub const fn name(self) -> &'static str {
        match self {
            Codec::Pcmu => "PCMU",
            Codec::Pcma => "PCMA",
            Codec::G722 => "G722",
            Codec::Opus => "opus",
            Codec::L16 | Codec::L16Wide => "L16",
            Codec::G729 => "G729",
        }
    }

    /// The name of the operator's file: that of [`Codec::name`], with the rate where there are two.
    pub const fn word(self) -> &'static str {
        match self {
            Codec::Pcmu | Codec::Pcma | Codec::G722 | Codec::Opus | Codec::L16 | Codec::G729 => self.name(),
            Codec::L16Wide => "L16/16000",
        }
    }

    /// The RTP clock, in Hz: a multiple of 8,000.
    pub const fn clock(self) -> u32 {
        match self {
            Codec::Pcmu | Codec::Pcma | Codec::G722 | Codec::L16 | Codec::G729 => 8000,
            Codec::L16Wide => 16_000,
            Codec::Opus => 48_000,
        }
    }

    /// The channels that `a=rtpmap` names. Opus is always written with two (RFC 7587 section 7), whatever is sent.
    pub const fn channels(self) -> u8 {
        match self {
            Codec::Pcmu | Codec::Pcma | Codec::G722 | Codec::L16 | Codec::L16Wide | Codec::G729 => 1,
            Codec::Opus => 2,
        }
    }

    /// The rate of its audio; Opus works at every rate up to this.
    pub const fn rate(self) -> Rate {
        match self {
            Codec::Pcmu | Codec::Pcma | Codec::L16 | Codec::G729 => Rate::Narrow,
            Codec::G722 | Codec::L16Wide => Rate::Wide,
            Codec::Opus => Rate::Full,
        }
    }

    /// The rate at which it works where `wish` is the rate of the audio around it.
    pub fn rate_for(self, wish: Rate) -> Rate {
        match self {
            Codec::Opus => wish,
            Codec::Pcmu | Codec::Pcma | Codec::G722 | Codec::L16 | Codec::L16Wide | Codec::G729 => self.rate(),
        }
    }

    /// The static payload type of RFC 3551, where the codec has one.
    pub const fn static_payload_type(self) -> Option<u8> {
        match self {
            Codec::Pcmu => Some(0),
            Codec::Pcma => Some(8),
            Codec::G722 => Some(9),
            Codec::G729 => Some(18),
            Codec::Opus | Codec::L16 | Codec::L16Wide => None,
        }
    }

    /// The codec of an encoding name, clock and number of channels; case is ignored.
    pub fn from_name(name: &str, clock: u32, channels: u8) -> Option<Codec> {
        let is = |c: &Codec| c.name().eq_ignore_ascii_case(name) && c.clock() == clock && c.channels() == channels;
        Codec::ALL.into_iter().find(is)
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// telephone-event (RFC 4733) under its payload type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digits {
    /// RTP payload type, 0 to 127.
    pub number: u8,
    /// Its RTP clock in Hz: that of the audio beside it (RFC 4733 section 2.1), 8,000 or 48,000.
    pub clock: u32,
}

impl Digits {
    /// At 8 kHz, under `number`.
    pub const fn narrow(number: u8) -> Digits {
        Digits { number, clock: 8000 }
    }
}

/// A format that we cannot decode but pass on between two parties that both have it (G.729 and its like).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Foreign {
    /// Payload type under which it comes.
    pub receive: u8,
    /// Payload type under which it is sent.
    pub send: u8,
    /// Name, clock, channels and parameters, as one word: two parties that say the same mean the same.
    pub format: Box<str>,
    /// Its RTP clock in Hz.
    pub clock: u32,
}

/// What a party told about the Opus that it wants to get (RFC 7587 section 6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpusWish {
    /// It can use the redundant data of in-band FEC.
    pub fec: bool,
    /// It would rather get nothing while nobody speaks.
    pub dtx: bool,
    /// Most bits a second.
    pub bitrate: Option<u32>,
    /// Highest rate that it plays.
    pub rate: Rate,
}

impl Default for OpusWish {
    fn default() -> OpusWish {
        OpusWish { fec: false, dtx: false, bitrate: None, rate: Rate::Full }
    }
}
