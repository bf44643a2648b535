//! What we say about ourselves: offers, and the audio line of our answers.

use std::net::SocketAddr;

use super::{Agreed, DIGITS_CLOCK, Direction, Format, Host, Keying, Media, Origin, RtpMap, Security, Session};
use crate::codec::{Codec, Digits};

/// Payload types that have no static meaning (RFC 3551 section 6).
const DYNAMIC: std::ops::RangeInclusive<u8> = 96..=127;
/// The number under which everyone expects telephone-event; and, by its clock, that for Opus.
const DIGITS: u8 = 101;
const WIDE_DIGITS: u8 = 110;
/// Comfort noise (RFC 3551 section 6).
const COMFORT: u8 = 13;
/// The number that Opus mostly has.
const OPUS: u8 = 111;
/// The events that we take: the sixteen keys (RFC 4733 section 3.2).
const KEYS: &str = "0-15";
/// What we would like of the peer's Opus (RFC 7587 section 6.1): data to make up losses.
const OPUS_PARAMETERS: &str = "useinbandfec=1";

/// We send no descriptions of silence, and want none (RFC 4856 section 2.1.9).
const G729_PARAMETERS: &str = "annexb=no";

/// Our side.
#[derive(Clone, Debug, PartialEq)]
pub struct Local {
    /// Where we receive RTP, as the peer is to see it; RTCP goes to the port above.
    pub address: SocketAddr,
    /// The same for the whole dialog.
    pub session_id: u64,
    /// One more than in our description before, if there was one in this dialog.
    pub version: u64,
    /// What we speak, dearest first.
    pub codecs: Vec<Codec>,
    /// Names of formats that we do not speak but pass on: taken where there is no codec of ours.
    pub relayed: Vec<String>,
    /// Offered in the place of our codecs: all that the other party of the call has.
    pub formats: Vec<Format>,
    /// Comfort noise is offered, and sent in the place of silence where it is agreed on (RFC 3389).
    pub comfort: bool,
    /// Packet length in ms: what we would like to get, and send where the peer has no wish. 10 to 60, a multiple of 10.
    pub ptime: u8,
    /// What we want to do: [`Direction::SendOnly`] or [`Direction::Inactive`] put the peer on hold.
    pub direction: Direction,
    /// Whether and how it is encrypted.
    pub security: Security,
}

/// A first offer, in an INVITE or in the 200 of an INVITE that had none.
pub fn offer(local: &Local) -> Session {
    let payloads = if local.formats.is_empty() { numbers(local, &[], &[]) } else { vec![] };
    let (protocol, keying) = local.security.offered(None, local);
    let mut audio = local.audio(protocol, &payloads);
    audio.take_formats(&local.formats);
    audio.take_digits(&digits(&payloads, &[]));
    audio.take_comfort(comfort(local, &payloads));
    audio.keying = keying;
    local.session(vec![audio])
}

/// An offer within a session: same m-lines in the same order, same payload types (RFC 3264 section 8). The codec in use
/// comes first.
pub fn reoffer(local: &Local, agreed: &Agreed) -> Session {
    let mut media = agreed.lines.clone();
    let protocol = media.get(agreed.media_index).map_or("RTP/AVP", |line| line.protocol.as_str());
    let in_use: Vec<Codec> = agreed.send.iter().map(|(_, codec)| *codec).collect();
    let foreign: Vec<Format> =
        agreed.foreign.iter().map(|(format, number)| Format { number: *number, ..format.clone() }).collect();
    let only_foreign = in_use.is_empty() && !foreign.is_empty();
    let payloads = if only_foreign { vec![] } else { numbers(local, &in_use, &agreed.receive) };
    let mut audio = local.audio(protocol, &payloads);
    audio.take_formats(&foreign);
    audio.take_digits(&digits(&payloads, &agreed.receive_digits));
    let free = |number: &u8| !audio.formats.contains(&number.to_string());
    let noise = agreed.comfort.or_else(|| comfort(local, &payloads)).filter(free);
    audio.take_comfort(noise);
    audio.keying = local.security.offered(Some(agreed), local).1;
    audio.keying.mid = media.get(agreed.media_index).and_then(|line| line.keying.mid.clone());
    match media.get_mut(agreed.media_index) {
        Some(line) => *line = audio,
        None => media.push(audio),
    }
    local.session(media)
}

/// Our codecs under their payload types: those named `first`, then those `known` by a number, then the rest in our
/// order.
fn numbers(local: &Local, first: &[Codec], known: &[(u8, Codec)]) -> Vec<(u8, Codec)> {
    let ours = |codec: &Codec| local.codecs.contains(codec);
    let known_codecs = known.iter().map(|(_, codec)| *codec);
    let wanted = first.iter().copied().chain(known_codecs).chain(local.codecs.iter().copied());
    let mut payloads: Vec<(u8, Codec)> = vec![];
    for codec in wanted.filter(ours) {
        if payloads.iter().any(|(_, had)| *had == codec) {
            continue;
        }
        let taken = |number: &u8| payloads.iter().any(|(n, _)| n == number) || known.iter().any(|(n, _)| n == number);
        let number = known.iter().find(|(_, had)| *had == codec).map(|(number, _)| *number);
        let number = number.or_else(|| free_number(usual_number(codec), taken));
        payloads.extend(number.map(|number| (number, codec)));
    }
    payloads
}

fn usual_number(codec: Codec) -> u8 {
    match codec {
        Codec::Opus => OPUS,
        Codec::Pcmu | Codec::Pcma | Codec::G722 | Codec::L16 | Codec::L16Wide | Codec::G729 => {
            codec.static_payload_type().unwrap_or(*DYNAMIC.start())
        }
    }
}

/// telephone-event at 8 kHz, and at each other clock that a codec has but L16's; under the numbers already `known`.
fn digits(payloads: &[(u8, Codec)], known: &[Digits]) -> Vec<Digits> {
    let wide = payloads.iter().any(|(_, codec)| *codec == Codec::Opus);
    let clocks = std::iter::once((DIGITS_CLOCK, DIGITS)).chain(wide.then_some((Codec::Opus.clock(), WIDE_DIGITS)));
    let mut digits: Vec<Digits> = vec![];
    for (clock, wish) in clocks {
        let taken = |number: &u8| {
            payloads.iter().any(|(n, _)| n == number) || digits.iter().any(|digits| digits.number == *number)
        };
        let known = known.iter().find(|known| known.clock == clock).map(|known| known.number);
        let number = known.filter(|number| !taken(number)).or_else(|| free_number(wish, taken));
        digits.extend(number.map(|number| Digits { number, clock }));
    }
    digits
}

/// Comfort noise, where we want it and a codec has its clock.
fn comfort(local: &Local, payloads: &[(u8, Codec)]) -> Option<u8> {
    (local.comfort && payloads.iter().any(|(_, codec)| takes_comfort(*codec))).then_some(COMFORT)
}

/// Whether comfort noise may stand in its place: it has the same clock, and no description of silence of its own.
pub(super) fn takes_comfort(codec: Codec) -> bool {
    match codec {
        Codec::Pcmu | Codec::Pcma | Codec::G722 | Codec::L16 => true,
        Codec::Opus | Codec::L16Wide | Codec::G729 => false,
    }
}

/// `wish`, or the first dynamic number that is free.
fn free_number(wish: u8, taken: impl Fn(&u8) -> bool) -> Option<u8> {
    std::iter::once(wish).chain(DYNAMIC).find(|number| !taken(number))
}

impl Local {
    /// The whole description around `media`.
    pub(super) fn session(&self, media: Vec<Media>) -> Session {
        let host = Host::Address(self.address.ip());
        let (session_id, version) = (self.session_id, self.version);
        let origin = Origin { user: "-".into(), session_id, version, host: host.clone() };
        // A browser wants to see that it need not wait for checks of ours, and a bundle of the one line there is.
        let lite = media.iter().any(|line| line.keying.candidate.is_some());
        let bundle = media.iter().find(|line| line.keying.candidate.is_some()).and_then(|line| line.keying.mid.clone());
        let keying = Keying { lite, bundle, ..Keying::default() };
        Session { origin, connection: Some(host), direction: None, keying, media }
    }

    /// Our audio line.
    pub(super) fn audio(&self, protocol: &str, payloads: &[(u8, Codec)]) -> Media {
        let mut media = Media {
            kind: "audio".into(),
            port: self.address.port(),
            protocol: protocol.to_owned(),
            ptime: Some(self.ptime.into()),
            direction: Some(self.direction),
            ..Media::default()
        };
        for (number, codec) in payloads {
            media.formats.push(number.to_string());
            let map = RtpMap { name: codec.name().into(), clock: codec.clock(), channels: codec.channels() };
            media.maps.insert(*number, map);
            let parameters = match codec {
                Codec::Opus => OPUS_PARAMETERS,
                Codec::G729 => G729_PARAMETERS,
                Codec::Pcmu | Codec::Pcma | Codec::G722 | Codec::L16 | Codec::L16Wide => continue,
            };
            media.parameters.insert(*number, parameters.into());
        }
        media
    }
}

impl Media {
    /// Adds telephone-event.
    pub(super) fn take_digits(&mut self, digits: &[Digits]) {
        for &Digits { number, clock } in digits {
            self.formats.push(number.to_string());
            self.maps.insert(number, RtpMap { name: "telephone-event".into(), clock, channels: 1 });
            self.parameters.insert(number, KEYS.into());
        }
    }

    /// Adds CN under `number`.
    pub(super) fn take_comfort(&mut self, number: Option<u8>) {
        let Some(number) = number else { return };
        self.formats.push(number.to_string());
        self.maps.insert(number, RtpMap { name: "CN".into(), clock: DIGITS_CLOCK, channels: 1 });
    }
}
