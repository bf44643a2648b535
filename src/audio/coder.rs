//! One direction of a call through whatever codec it uses: each coder keeps its own state.

use super::{g711, g722, g729, l16, opus};
use crate::codec::{Codec, OpusWish, Rate};

/// Decodes what one peer sends.
pub struct Decoder {
    g722: g722::Decoder,
    /// Absent: Opus was not agreed on.
    opus: Option<opus::Decoder>,
    /// Absent: it was not agreed on, or there is no library.
    g729: Option<g729::Decoder>,
}

impl Decoder {
    /// For these codecs; G.711 and L16 need no memory of their own, and G.722 is always there.
    pub fn new(codecs: &[Codec]) -> Decoder {
        let g729 = if codecs.contains(&Codec::G729) { g729::Decoder::new() } else { None };
        Decoder { g722: g722::Decoder::new(), opus: codecs.contains(&Codec::Opus).then(opus::Decoder::new), g729 }
    }

    /// Decode a payload into `out`. Returns how many samples were written: what the payload holds, or as many as fit. Their
    /// rate is that of the codec; Opus takes `rate`.
    pub fn decode(&mut self, codec: Codec, rate: Rate, payload: &[u8], out: &mut [i16]) -> usize {
        match codec {
            Codec::Pcmu => g711::decode_ulaw(payload, out),
            Codec::Pcma => g711::decode_alaw(payload, out),
            Codec::G722 => self.g722.decode(payload, out),
            Codec::L16 | Codec::L16Wide => l16::decode(payload, out),
            Codec::Opus => self.opus.as_mut().map_or(0, |opus| opus.decode(rate, payload, out)),
            Codec::G729 => self.g729.as_mut().map_or(0, |g729| g729.decode(payload, out)),
        }
    }

    /// So many samples of this codec are lost, and `made` is played in their place; the last [`g722::AHEAD`] of it are a
    /// guess at what follows. The state of G.722 goes along with that; others need no such thing, or see to it by themselves.
    pub fn follow(&mut self, codec: Codec, made: &[i16]) {
        match codec {
            Codec::G722 => self.g722.follow(made),
            Codec::Pcmu | Codec::Pcma | Codec::L16 | Codec::L16Wide | Codec::Opus | Codec::G729 => {}
        }
    }

    /// Make up what was lost before the payload `next`, where the codec can do that better than we: Opus. `out` is as long
    /// as what was lost, in multiples of [`opus::GRAIN`]. Returns how many samples were written.
    pub fn make_up(&mut self, rate: Rate, next: Option<&[u8]>, out: &mut [i16]) -> usize {
        match (&mut self.opus, next) {
            (Some(opus), Some(next)) => opus.recover(rate, next, out),
            (Some(opus), None) => opus.make_up(rate, out),
            (None, _) => 0,
        }
    }

    /// Go on with the state of the one before, as far as both have it; the rest of that one stays behind in `before`.
    pub fn take_over(&mut self, before: &mut Decoder) {
        std::mem::swap(&mut self.g722, &mut before.g722);
        if self.opus.is_some() && before.opus.is_some() {
            std::mem::swap(&mut self.opus, &mut before.opus);
        }
        if self.g729.is_some() && before.g729.is_some() {
            std::mem::swap(&mut self.g729, &mut before.g729);
        }
    }
}

/// Encodes what one peer hears.
pub struct Encoder {
    g722: g722::Encoder,
    /// Absent: Opus was not agreed on.
    opus: Option<opus::Encoder>,
    /// Absent: it was not agreed on, or there is no library.
    g729: Option<g729::Encoder>,
}

impl Encoder {
    /// For these codecs, as [`Decoder::new`].
    pub fn new(codecs: &[Codec], wish: OpusWish) -> Encoder {
        let opus = codecs.contains(&Codec::Opus).then(|| opus::Encoder::new(wish));
        let g729 = if codecs.contains(&Codec::G729) { g729::Encoder::new() } else { None };
        Encoder { g722: g722::Encoder::new(), opus, g729 }
    }

    /// Encode samples into `out`. Returns how many bytes were written: what the samples need, or as many as fit. The
    /// samples have the codec's rate; with Opus `rate`, and are one frame; 0 bytes of it need not be sent.
    pub fn encode(&mut self, codec: Codec, rate: Rate, samples: &[i16], out: &mut [u8]) -> usize {
        match codec {
            Codec::Pcmu => g711::encode_ulaw(samples, out),
            Codec::Pcma => g711::encode_alaw(samples, out),
            Codec::G722 => self.g722.encode(samples, out),
            Codec::L16 | Codec::L16Wide => l16::encode(samples, out),
            Codec::Opus => self.opus.as_mut().map_or(0, |opus| opus.encode(rate, samples, out)),
            Codec::G729 => self.g729.as_mut().map_or(0, |g729| g729.encode(samples, out)),
        }
    }

    /// The peer lost so many percent of late: see [`opus::Encoder::set_loss`].
    pub fn set_loss(&mut self, percent: u8) {
        if let Some(opus) = &mut self.opus {
            opus.set_loss(percent);
        }
    }

    /// What the peer wants of Opus is something else now.
    pub fn set_wish(&mut self, wish: OpusWish) {
        if let Some(opus) = &mut self.opus {
            opus.set_wish(wish);
        }
    }
}

/// How long a payload lasts, in samples at 8 kHz; 0 for what is none of the codec.
pub fn units_in(codec: Codec, payload: &[u8]) -> usize {
    match codec {
        Codec::Pcmu | Codec::Pcma | Codec::G722 => payload.len(),
        Codec::L16 => payload.len() / 2,
        Codec::L16Wide => payload.len() / 4,
        Codec::Opus => opus::units(payload),
        Codec::G729 => g729::units(payload),
    }
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Encoder").field("opus", &self.opus.is_some()).finish_non_exhaustive()
    }
}
