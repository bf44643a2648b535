//! What a payload type means to a port, and what becomes of what comes.

use crate::{
    codec::Codec,
    media::{RATE, Slot, Stream},
    rtp::Header,
};

/// What a payload type means to a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::media) enum Kind {
    /// Not agreed on.
    Refused,
    /// Audio that we can decode.
    Audio(Codec),
    /// telephone-event.
    Digits,
    /// How loud the noise is while nobody speaks (RFC 3389).
    Comfort,
    /// Agreed on, not known to us: by its place in the agreement.
    Foreign(u8),
}

/// What becomes of the peer's audio.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::media) enum Route {
    /// Nobody hears it.
    Idle,
    /// Its packets go to this port as they are (which is the port itself with echo).
    Relay(Slot),
    /// It is decoded at each tick.
    Decode,
}

/// What a peer sends at present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::media) enum Hearing {
    /// Nothing came since the agreement.
    Nothing,
    Audio(Codec),
    Foreign,
}

/// A packet that passed the gate.
#[derive(Clone, Copy, Debug)]
pub(in crate::media) struct Accepted<'a> {
    pub(in crate::media) kind: Kind,
    pub(in crate::media) header: Header,
    pub(in crate::media) payload: &'a [u8],
    /// Its sequence number in 64 bits.
    pub(in crate::media) number: u64,
    /// Its source began anew: it does not go on from the packets before.
    pub(in crate::media) restarted: bool,
}

pub(super) fn kinds(stream: &Stream) -> [Kind; 128] {
    let mut kinds = [Kind::Refused; 128];
    let mut set = |number: u8, kind| kinds[usize::from(number & 0x7f)] = kind;
    stream.foreign.iter().zip(0..).for_each(|(foreign, at)| set(foreign.receive, Kind::Foreign(at)));
    stream.receive.iter().for_each(|payload| set(payload.number, Kind::Audio(payload.codec)));
    stream.comfort.into_iter().for_each(|number| set(number, Kind::Comfort));
    stream.receive_digits.iter().for_each(|digits| set(digits.number, Kind::Digits));
    kinds
}

/// The clock of what is sent.
pub(super) fn clock(stream: &Stream) -> u32 {
    let own = stream.send.map(|payload| payload.codec.clock());
    own.or_else(|| stream.foreign.first().map(|foreign| foreign.clock)).filter(|clock| *clock >= RATE).unwrap_or(RATE)
}
