//! Formats that we cannot decode but pass on between two parties that share them: G.729 and its like.

use super::{Media, Payload, RtpMap, Session};
use crate::codec::{Codec, Foreign};

/// A format as an m-line has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Format {
    /// Payload type there.
    pub number: u8,
    /// Encoding name.
    pub name: String,
    /// RTP clock in Hz.
    pub clock: u32,
    /// Channels.
    pub channels: u8,
    /// `a=fmtp`, as it was written.
    pub parameters: String,
}

impl Format {
    /// Two parties that have these in common understand each other; what else their parameters say is between them.
    fn is_like(&self, other: &Format) -> bool {
        self.name.eq_ignore_ascii_case(&other.name) && (self.clock, self.channels) == (other.clock, other.channels)
    }

    /// In the words of the media, where it comes under the number `receive`.
    pub fn foreign(&self, receive: u8) -> Foreign {
        let format = format!("{}/{}/{}", self.name.to_ascii_uppercase(), self.clock, self.channels);
        Foreign { receive, send: self.number, format: format.into(), clock: self.clock }
    }
}

impl Media {
    /// The formats of this line that are named in `relayed`.
    pub(super) fn foreign(&self, relayed: &[String]) -> Vec<Format> {
        let formats = self.payloads().filter_map(|(number, payload)| {
            let shown = match payload {
                Payload::Other(shown) => shown,
                // Not every machine can decode it.
                Payload::Codec(codec @ Codec::G729) => codec.name().to_owned(),
                Payload::Codec(_) | Payload::Digits(_) | Payload::Comfort => return None,
            };
            let (name, clock, channels) = match self.maps.get(&number) {
                Some(map) => (map.name.clone(), map.clock, map.channels),
                None => (shown, 8000, 1),
            };
            let parameters = self.parameters.get(&number).map_or("", String::as_str);
            let parameters = parameters.chars().filter(|c| !c.is_control()).collect();
            Some(Format { number, name, clock, channels, parameters })
        });
        formats.filter(|format| relayed.iter().any(|name| name.eq_ignore_ascii_case(&format.name))).collect()
    }

    /// Adds formats under their own numbers.
    pub(super) fn take_formats(&mut self, formats: &[Format]) {
        for Format { number, name, clock, channels, parameters } in formats {
            self.formats.push(number.to_string());
            self.maps.insert(*number, RtpMap { name: name.clone(), clock: *clock, channels: *channels });
            if !parameters.is_empty() {
                self.parameters.insert(*number, parameters.clone());
            }
        }
    }
}

/// Of `theirs`, each with the number that our own offer gave to it.
pub(super) fn matched(theirs: Vec<Format>, ours: &[Format]) -> Vec<(Format, u8)> {
    let number = |format: &Format| ours.iter().find(|ours| ours.is_like(format)).map(|ours| ours.number);
    theirs.into_iter().filter_map(|format| number(&format).map(|number| (format, number))).collect()
}

impl Session {
    /// Its audio has one of these codecs.
    pub fn speaks_any(&self, codecs: &[Codec]) -> bool {
        let audio = self.media.iter().find(|media| media.is_audio() && media.port != 0);
        let one = |payload: Payload| matches!(payload, Payload::Codec(codec) if codecs.contains(&codec));
        audio.is_some_and(|audio| audio.payloads().any(|(_, payload)| one(payload)))
    }

    /// The formats of its audio that are named in `relayed`.
    pub fn formats(&self, relayed: &[String]) -> Vec<Format> {
        let audio = self.media.iter().find(|media| media.is_audio() && media.port != 0);
        audio.map_or_else(Vec::new, |audio| audio.foreign(relayed))
    }
}
