//! Session descriptions (RFC 8866) and what two sides make of them (offer/answer, RFC 3264). Pure: text in, values out.
//!
//! - [`Session::parse`] is tolerant: what it does not know it passes over, what is missing it does without. `Display`
//!   prints with CRLF.
//! - [`offer`], [`reoffer`]: what we propose. [`answer`]: what we make of the peer's proposal. [`accept`]: what the
//!   peer's answer makes of ours. The last two give an [`Agreed`], or a [`Refusal`] for a 488.
//!
//! One audio stream over RTP/AVP or RTP/AVPF, or over their encrypted kin where [`Security`] wants that, is taken; every
//! other m-line is refused with port 0. Within a session audio may give way to a [`Fax`], and come back.

mod fax;
mod foreign;
pub mod fuzz;
mod keying;
mod negotiate;
mod offer;
mod parse;
mod print;
mod security;
mod siprec;

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, net::IpAddr};

pub use fax::{Fax, fax_answer, fax_invitation, fax_offer};
pub use foreign::Format;
pub use keying::{Crypto, Keying, Setup};
pub use negotiate::{Agreed, Refusal, accept, answer};
pub use offer::{Local, offer, reoffer};
pub use parse::{MAX_BYTES, MAX_FORMATS, MAX_MEDIA, ParseError};
pub use security::{Keys, Policy, Proposal, Protection, Secret, Security};
pub use siprec::{accept_both, answer_both, offer_both};

use crate::codec::Codec;

/// A session description: what of it matters to us.
#[derive(Clone, Debug, PartialEq)]
pub struct Session {
    /// `o=`.
    pub origin: Origin,
    /// `c=` for the m-lines without their own.
    pub connection: Option<Host>,
    /// Direction for the m-lines without their own.
    pub direction: Option<Direction>,
    /// What it says about encryption for all m-lines.
    pub keying: Keying,
    /// The m-lines, in order.
    pub media: Vec<Media>,
}

/// Who made a description, and which edition it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Origin {
    /// Mostly `-`.
    pub user: String,
    /// The same for the whole session.
    pub session_id: u64,
    /// Grows with every change.
    pub version: u64,
    /// The maker's machine.
    pub host: Host,
}

/// An address in `c=`, `o=` or `a=rtcp`.
#[derive(Clone, Debug, PartialEq)]
pub enum Host {
    /// `IN IP4` or `IN IP6` with numbers. A TTL (multicast) is left out.
    Address(IpAddr),
    /// A name, or something we do not know.
    Name(String),
}

/// One m-line and its attributes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Media {
    /// `audio`, `video`, `image`, `application`...
    pub kind: String,
    /// 0: refused, or not wanted any more.
    pub port: u16,
    /// `RTP/AVP`...
    pub protocol: String,
    /// Payload types where the protocol is RTP; otherwise anything.
    pub formats: Vec<String>,
    /// `c=`.
    pub connection: Option<Host>,
    /// `a=sendrecv` and its like.
    pub direction: Option<Direction>,
    /// `a=ptime`: packet length that the maker would like to get, in ms.
    pub ptime: Option<u16>,
    /// `a=maxptime`: the longest packet that the maker can take, in ms.
    pub maxptime: Option<u16>,
    /// `a=rtcp` (RFC 3605): port, and address where it is not that of RTP.
    pub rtcp: Option<(u16, Option<Host>)>,
    /// `a=rtpmap` by payload type.
    pub maps: BTreeMap<u8, RtpMap>,
    /// `a=fmtp` by payload type.
    pub parameters: BTreeMap<u8, String>,
    /// `a=label` (RFC 4574), of lines of our own.
    pub label: Option<u8>,
    /// `a=T38...`, as written.
    pub fax: Vec<String>,
    /// What it says about encryption.
    pub keying: Keying,
}

/// `a=rtpmap`: what a payload type carries.
#[derive(Clone, Debug, PartialEq)]
pub struct RtpMap {
    /// Encoding name, as written.
    pub name: String,
    /// RTP clock in Hz.
    pub clock: u32,
    /// Channels; 1 where nothing is said.
    pub channels: u8,
}

/// Which way media flows, seen from the maker of the description (RFC 3264 section 5.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// Both ways.
    #[default]
    SendRecv,
    /// The maker only sends.
    SendOnly,
    /// The maker only receives.
    RecvOnly,
    /// Neither.
    Inactive,
}

impl Direction {
    /// From its two halves.
    pub const fn new(sends: bool, receives: bool) -> Direction {
        match (sends, receives) {
            (true, true) => Direction::SendRecv,
            (true, false) => Direction::SendOnly,
            (false, true) => Direction::RecvOnly,
            (false, false) => Direction::Inactive,
        }
    }

    /// The maker sends.
    pub const fn sends(self) -> bool {
        matches!(self, Direction::SendRecv | Direction::SendOnly)
    }

    /// The maker receives.
    pub const fn receives(self) -> bool {
        matches!(self, Direction::SendRecv | Direction::RecvOnly)
    }

    /// The same, seen from the other side.
    pub const fn reversed(self) -> Direction {
        Direction::new(self.receives(), self.sends())
    }

    /// What both allow; both seen from the same side.
    pub const fn and(self, other: Direction) -> Direction {
        Direction::new(self.sends() && other.sends(), self.receives() && other.receives())
    }

    /// The attribute's name.
    pub const fn name(self) -> &'static str {
        match self {
            Direction::SendRecv => "sendrecv",
            Direction::SendOnly => "sendonly",
            Direction::RecvOnly => "recvonly",
            Direction::Inactive => "inactive",
        }
    }

    /// The direction that the attribute `name` says.
    pub fn from_name(name: &str) -> Option<Direction> {
        [Direction::SendRecv, Direction::SendOnly, Direction::RecvOnly, Direction::Inactive]
            .into_iter()
            .find(|direction| direction.name() == name)
    }
}

/// What a payload type of an m-line means to us.
#[derive(Clone, Debug, PartialEq)]
enum Payload {
    Codec(Codec),
    /// telephone-event at this clock.
    Digits(u32),
    /// CN (RFC 3389).
    Comfort,
    /// Its name, and its clock where it is not 8 kHz; for people.
    Other(String),
}

/// Encoding names of static payload types (RFC 3551 section 6), for telling what was offered.
const STATIC_NAMES: [(u8, &str); 5] = [(3, "GSM"), (4, "G723"), (5, "DVI4"), (7, "LPC"), (15, "G728")];

impl Media {
    /// It is RTP in a profile that we speak.
    fn is_plain_rtp(&self) -> bool {
        ["RTP/AVP", "RTP/AVPF"].iter().any(|known| self.protocol.eq_ignore_ascii_case(known))
    }

    fn is_audio(&self) -> bool {
        self.kind.eq_ignore_ascii_case("audio")
    }

    /// The payload types in the maker's order of preference. `a=rtpmap` wins over the static meaning of a number.
    fn payloads(&self) -> impl Iterator<Item = (u8, Payload)> {
        let numbers = self.formats.iter().filter_map(|format| format.parse().ok().filter(|n| *n < 128));
        numbers.map(|number| (number, self.payload(number)))
    }

    fn payload(&self, number: u8) -> Payload {
        let Some(map) = self.maps.get(&number) else {
            let known = Codec::ALL.into_iter().find(|codec| codec.static_payload_type() == Some(number));
            if number == COMFORT {
                return Payload::Comfort;
            }
            let name = || STATIC_NAMES.iter().find(|(n, _)| *n == number).map(|(_, name)| (*name).to_owned());
            return known.map_or_else(|| Payload::Other(name().unwrap_or_else(|| number.to_string())), Payload::Codec);
        };
        let is = |name: &str| map.name.eq_ignore_ascii_case(name);
        match Codec::from_name(&map.name, map.clock, map.channels) {
            Some(codec) => Payload::Codec(codec),
            None if is("telephone-event")
                && (map.clock == DIGITS_CLOCK || Codec::ALL.map(Codec::clock).contains(&map.clock)) =>
            {
                Payload::Digits(map.clock)
            }
            None if is("CN") && map.clock == DIGITS_CLOCK => Payload::Comfort,
            None if map.clock == DIGITS_CLOCK => Payload::Other(shown(&map.name)),
            None => Payload::Other(format!("{}/{}", shown(&map.name), map.clock)),
        }
    }
}

/// The clock of telephone-event that goes with every codec, in Hz. Others only go with a codec of their own clock.
const DIGITS_CLOCK: u32 = 8000;
/// The static payload type of CN (RFC 3551 section 6).
const COMFORT: u8 = 13;

impl Session {
    /// The codecs of ours that its audio names, in its order.
    pub fn codecs(&self) -> Vec<Codec> {
        let audio = self.media.iter().find(|media| media.is_audio() && media.port != 0);
        let payloads = audio.into_iter().flat_map(Media::payloads);
        let codec = |(_, payload)| match payload {
            Payload::Codec(codec) => Some(codec),
            Payload::Digits(_) | Payload::Comfort | Payload::Other(_) => None,
        };
        payloads.filter_map(codec).collect()
    }

    /// The peer's audio or fax comes by IPv6, as far as it says: the family that our own address must have.
    pub fn is_ipv6(&self) -> bool {
        let audio = self.media.iter().find(|media| media.is_audio() && media.port != 0);
        let line = audio.or_else(|| self.media.iter().find(|media| media.is_fax()));
        let host = line.and_then(|media| media.connection.as_ref()).or(self.connection.as_ref());
        matches!(host, Some(Host::Address(IpAddr::V6(address))) if address.to_ipv4_mapped().is_none())
    }
}

/// The peer's words, fit for our log and for a quoted string in a header: short, printable, without quotes.
fn shown(text: &str) -> String {
    text.chars().filter(|c| c.is_ascii_graphic() && !matches!(c, '"' | '\\')).take(32).collect()
}
