//! Digits as telephone events: RFC 4733. An event has the RTP timestamp of its beginning in each of its packets.
//!
//! ```text
//! tick      0     20     40 ...  100    120    140 ms         (a digit of 100 ms, ticks of 20 ms)
//! marker    M
//! duration 160    320    480 ... 800    800    800  units
//! end                             E      E      E
//! ```

use std::time::Duration;

use crate::{rtp::packet::Header, time::Time};

/// The RTP clock of telephone-event, in Hz; we agree on no other.
pub const CLOCK: u32 = 8000;
/// Bytes of an event.
pub const EVENT: usize = 4;

/// Keys by event code 0 to 15 (RFC 4733 section 3.2).
const KEYS: &[u8; 16] = b"0123456789*#ABCD";
/// Between two packets of an event, in units of [`CLOCK`]: our tick.
const STEP: u32 = CLOCK / 50;
/// The longest duration a packet can carry; a longer event goes on as a new segment (RFC 4733 section 2.5.1.3).
const SEGMENT: u32 = 0xffff;
/// An event whose end is lost is over after this long without a packet: three intervals of 50 ms, the longest interval
/// in use (RFC 4733 section 2.5.2.2).
const MISSED: Duration = Duration::from_millis(150);
/// How often the last packet of an event or segment is sent (RFC 4733 section 2.5.1.4).
const ENDS: u8 = 3;
/// How many presses are remembered, to know their late packets again.
const REMEMBERED: usize = 16;

/// The event code of a key; letters of either case.
pub fn code(key: char) -> Option<u8> {
    let key = u8::try_from(key).ok()?.to_ascii_uppercase();
    KEYS.iter().position(|k| *k == key).map(|at| at as u8)
}

/// The key of an event code.
pub fn key(code: u8) -> Option<char> {
    KEYS.get(usize::from(code)).map(|k| char::from(*k))
}

/// A key went down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Press {
    /// `0-9 * # A-D`.
    pub key: char,
}

/// What tells two presses apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    timestamp: u32,
    code: u8,
}

/// The newest event, which later packets may carry on.
#[derive(Clone, Copy, Debug)]
struct Newest {
    identity: Identity,
    sequence: u16,
    /// An end packet came: no segment follows.
    ended: bool,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Up,
    Down { key: char, until: Time },
}

/// Turns event packets into presses: one for each timestamp, however many of its packets come, in whatever order.
#[derive(Clone, Debug)]
pub struct Receiver {
    state: State,
    ssrc: u32,
    newest: Option<Newest>,
    seen: [Option<Identity>; REMEMBERED],
    oldest: usize,
}

impl Default for Receiver {
    fn default() -> Receiver {
        Receiver { state: State::Up, ssrc: 0, newest: None, seen: [None; REMEMBERED], oldest: 0 }
    }
}

impl Receiver {
    /// An event packet came. A press is told with its first packet, so that a menu reacts at once. Of several events in
    /// one packet (RFC 4733 section 2.5.1.5, not seen in practice) the first is read.
    pub fn handle(&mut self, now: Time, header: &Header, payload: &[u8]) -> Option<Press> {
        self.handle_timeout(now);
        let &[code, flags, ..] = payload.first_chunk::<EVENT>()?;
        let key = key(code)?;
        if header.ssrc != self.ssrc {
            *self = Receiver { ssrc: header.ssrc, ..Receiver::default() };
        }
        let identity = Identity { timestamp: header.timestamp, code };
        let known = self.seen.contains(&Some(identity));
        let carried_on = !known && self.carries_on(header, code);
        if !known {
            self.remember(identity);
        }
        // A packet that was overtaken by a newer one says nothing of what is down now.
        let overtaken = self.newest.is_some_and(|newest| is_before(header.sequence, newest.sequence));
        if !overtaken {
            let ended =
                flags & 0x80 != 0 || self.newest.is_some_and(|newest| newest.identity == identity && newest.ended);
            self.newest = Some(Newest { identity, sequence: header.sequence, ended });
            self.enter(if ended { State::Up } else { State::Down { key, until: now + MISSED } });
        }
        (!known && !carried_on).then_some(Press { key })
    }

    /// The key that is down.
    pub fn down(&self) -> Option<char> {
        match self.state {
            State::Up => None,
            State::Down { key, .. } => Some(key),
        }
    }

    /// When a key counts as released though its end was lost.
    pub fn timeout(&self) -> Option<Time> {
        match self.state {
            State::Up => None,
            State::Down { until, .. } => Some(until),
        }
    }

    /// Releases a key whose packets have ceased.
    pub fn handle_timeout(&mut self, now: Time) {
        match self.state {
            State::Down { until, .. } if until <= now => self.enter(State::Up),
            State::Down { .. } | State::Up => {}
        }
    }

    /// A segment of an event that is longer than a packet can say: same key, a whole number of segments later, no end
    /// and no marker between.
    fn carries_on(&self, header: &Header, code: u8) -> bool {
        self.newest.is_some_and(|newest| {
            let later = header.timestamp.wrapping_sub(newest.identity.timestamp);
            newest.identity.code == code
                && !newest.ended
                && !header.marker
                && later < 1 << 31
                && later.is_multiple_of(SEGMENT)
        })
    }

    fn remember(&mut self, identity: Identity) {
        self.seen[self.oldest] = Some(identity);
        self.oldest = (self.oldest + 1) % REMEMBERED;
    }

    fn enter(&mut self, next: State) {
        self.state = next;
    }
}

fn is_before(a: u16, b: u16) -> bool {
    (a.wrapping_sub(b) as i16) < 0
}

/// One packet to send; sequence number, SSRC and payload type are the port's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// First packet of the event.
    pub marker: bool,
    /// RTP timestamp: the beginning of the event or segment.
    pub timestamp: u32,
    /// The event.
    pub payload: [u8; EVENT],
}

/// One digit being sent. All times are RTP timestamps at [`CLOCK`].
#[derive(Clone, Copy, Debug)]
enum Sending {
    Idle,
    /// `began`: of this segment; `left`: units from there to the end of the digit; `next`: the next packet is due.
    Down {
        code: u8,
        began: u32,
        left: u32,
        gap: u32,
        next: u32,
        marker: bool,
    },
    Gap {
        until: u32,
    },
}

/// The last packet of an event or segment, to be sent again.
#[derive(Clone, Copy, Debug)]
struct Repeat {
    packet: Packet,
    left: u8,
    next: u32,
}

/// Sends digits, one at a time. Ask [`Sender::poll`] at each tick until it gives nothing.
#[derive(Clone, Debug)]
pub struct Sender {
    state: Sending,
    repeat: Option<Repeat>,
}

impl Default for Sender {
    fn default() -> Sender {
        Sender { state: Sending::Idle, repeat: None }
    }
}

impl Sender {
    /// Begins to send `key` at the tick whose RTP timestamp is `timestamp`, for `length`, and then be silent for
    /// `gap`. False: it is no key, or the one before is not done.
    pub fn start(&mut self, timestamp: u32, key: char, length: Duration, gap: Duration) -> bool {
        let Some(code) = code(key) else { return false };
        if self.busy() {
            return false;
        }
        let (left, gap) = (units(length).max(STEP), units(gap));
        self.enter(Sending::Down { code, began: timestamp, left, gap, next: timestamp, marker: true });
        true
    }

    /// A digit, its repeated end or the silence after it is not over.
    pub fn busy(&self) -> bool {
        !matches!(self.state, Sending::Idle) || self.repeat.is_some()
    }

    /// The key that is down.
    pub fn key(&self) -> Option<char> {
        match self.state {
            Sending::Down { code, .. } => key(code),
            Sending::Gap { .. } | Sending::Idle => None,
        }
    }

    /// A key is down: events are sent in the place of audio. Ask before polling: the tick of the last packet counts, too.
    pub fn down(&self) -> bool {
        matches!(self.state, Sending::Down { .. })
    }

    /// The next packet at the tick whose RTP timestamp is `timestamp`.
    pub fn poll(&mut self, timestamp: u32) -> Option<Packet> {
        self.repeat(timestamp).or_else(|| self.go_on(timestamp))
    }

    fn repeat(&mut self, timestamp: u32) -> Option<Packet> {
        let repeat = self.repeat.as_mut().filter(|repeat| due(repeat.next, timestamp))?;
        let packet = repeat.packet;
        repeat.left -= 1;
        repeat.next = timestamp.wrapping_add(STEP);
        if repeat.left == 0 {
            self.repeat = None;
        }
        Some(packet)
    }

    fn go_on(&mut self, timestamp: u32) -> Option<Packet> {
        match self.state {
            Sending::Down { code, began, left, gap, next, marker } if due(next, timestamp) => {
                // Like an audio packet, it covers the tick that begins at its moment.
                let duration = timestamp.wrapping_add(STEP).wrapping_sub(began).min(left);
                let packet = |duration: u32, end: bool| {
                    let [.., high, low] = duration.to_be_bytes();
                    let flags = u8::from(end) << 7 | VOLUME;
                    Packet { marker, timestamp: began, payload: [code, flags, high, low] }
                };
                let next = timestamp.wrapping_add(STEP);
                if duration > SEGMENT {
                    // The new segment's first packet leaves in this tick as well.
                    let (began, left) = (began.wrapping_add(SEGMENT), left - SEGMENT);
                    let last = packet(SEGMENT, false);
                    self.enter(Sending::Down { code, began, left, gap, next: timestamp, marker: false });
                    return Some(self.repeating(last, next));
                }
                if duration < left {
                    self.enter(Sending::Down { code, began, left, gap, next, marker: false });
                    return Some(packet(duration, false));
                }
                let last = packet(duration, true);
                self.enter(Sending::Gap { until: began.wrapping_add(left).wrapping_add(gap) });
                Some(self.repeating(last, next))
            }
            Sending::Gap { until } if due(until, timestamp) => {
                self.enter(Sending::Idle);
                None
            }
            Sending::Down { .. } | Sending::Gap { .. } | Sending::Idle => None,
        }
    }

    fn repeating(&mut self, packet: Packet, next: u32) -> Packet {
        self.repeat = Some(Repeat { packet: Packet { marker: false, ..packet }, left: ENDS - 1, next });
        packet
    }

    fn enter(&mut self, next: Sending) {
        self.state = next;
    }
}

/// Loudness of a digit, in dB below the most: -10 dBm0 (RFC 4733 section 2.3.4).
const VOLUME: u8 = 10;

fn due(at: u32, now: u32) -> bool {
    now.wrapping_sub(at) < 1 << 31
}

/// A length in units of [`CLOCK`]; an hour at most.
fn units(length: Duration) -> u32 {
    let ms = length.as_millis().min(3_600_000) as u32;
    ms * (CLOCK / 1000)
}

#[cfg(test)]
mod tests;
