//! The jitter buffer of one port: packets in as they come, one frame out each tick.
//!
//! Time is counted in units of 1/8000 s, whatever the rate of the audio, and in ticks: the n-th [`Jitter::pull`] plays the
//! samples from `n * 160` on. A packet that came is played, in units from now, in `timestamp + offset - tick`; the offset is
//! all there is to the delay.
//!
//! ```text
//! Idle ──packet──▶ Buffering ──its time has come──▶ Playing ──80 ms nothing──▶ Idle (Buffering, where packets wait)
//! ```
//!
//! - The delay starts small. It follows the largest transit of the last 8 seconds, one packet in a hundred left out
//!   ([`Transit`]): too short, and speech is stretched by a pitch period every other frame; too long, and now and then
//!   a period is dropped. Drifting clocks are the same thing, slower. Between talk spurts the delay is set at once.
//! - The delay counts from the moment in which a packet came, not from the tick after: where ticks and packets drift past
//!   each other, the delay stays what it was, and two parties of one recording stay aligned.
//! - What is missing is made up ([`Conceal`]), and fades to silence within 80 ms. If nothing waits by then, the sender
//!   has stopped: that was no loss, and the next packet begins a new talk spurt.
//! - Payloads wait encoded and are decoded by the codec that came with them, so that a stream may change its codec. Where
//!   the new one has another rate or clock, the buffer begins anew.
//! - Opus makes up by itself what is missing, and finds in the next packet what was lost (FEC). Where its sender leaves out
//!   silence, its noise goes on until the next packet ([`Dtx`]).
//! - The marker bit is not asked: sequence numbers and timestamps tell the same, and more reliably.
//!
//! All memory is taken in [`Workbench::new`]: as much as the most delay asks for.

mod dtx;
mod order;
mod play;
mod store;
mod stretch;
#[cfg(test)]
mod tests;
mod transit;
mod workbench;

use std::time::Duration;

pub(super) use self::workbench::Workbench;
use self::{
    dtx::Dtx,
    order::{Order, Place},
    store::{Entry, Store},
    transit::Transit,
};
use super::{FRAME, RATE};
use crate::{
    audio,
    codec::{Codec, Rate},
};

/// [`FRAME`] as a difference of timestamps.
const TICK: i64 = FRAME as i64;
/// Longest packet, in samples: 120 ms.
const LONGEST: usize = 960;
/// Transits this far above the least are another line of timestamps, not a delay: 2 s.
const IMPLAUSIBLE: i64 = 16_000;
/// A packet of audio.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packet<'a> {
    /// Its sequence number in 64 bits; a restarted stream goes on at least 3,000 higher.
    pub(super) number: u64,
    /// RTP timestamp, at the codec's clock.
    pub(super) timestamp: u32,
    /// What the payload is.
    pub(super) codec: Codec,
    /// The payload: at most 120 ms.
    pub(super) payload: &'a [u8],
    /// How long before the next tick it came, in units: a tick at most.
    pub(super) early: u16,
}

/// What a frame is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pulled {
    /// All of it came from the peer.
    Voice,
    /// Some or all of it was made up.
    Concealed,
    /// Silence: the peer sends nothing, or its packets are not due yet.
    Nothing,
}

/// What the buffer saw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Stats {
    /// Packets that came after their time, wholly or in part.
    pub(super) late: u64,
    /// Packets that came again.
    pub(super) duplicates: u64,
    /// Packets that were of no use: too long, empty, strays, or more than there is room for.
    pub(super) discarded: u64,
    /// Frames' worth of audio made up for packets that were lost or late. The fade after the sender's stop is none.
    pub(super) concealed: u64,
    /// How long packets wait from their coming until they are played: a running mean.
    pub(super) delay: Duration,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Jitter {
    state: State,
    /// Least and most delay, in samples.
    min: i64,
    max: i64,
    /// The tick of the next pull, in samples, and how many of the frame at hand are out.
    tick: i64,
    out: i64,
    order: Order,
    newest: Option<Newest>,
    transit: Transit,
    store: Store,
    bench: Workbench,
    /// Of the audio at present, and that which Opus is to have.
    rate: Rate,
    wish: Rate,
    /// The codec in use makes up by itself, and did so for this many units on end.
    own: bool,
    own_made: usize,
    dtx: Dtx,
    /// Number of the last packet that was decoded or passed over.
    played: i64,
    /// Made-up samples of which nobody knows yet whether they stand for a loss.
    pending: u64,
    /// Made-up samples that stand for one.
    made_up: u64,
    /// Ticks until the delay may be changed again.
    pause: u32,
    /// Usual mean magnitude of the samples, times 16.
    loudness: i32,
    /// Mean wait in samples, times 16.
    wait: i64,
    stats: Stats,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Nothing came, or nothing comes any more.
    Idle,
    /// The first packet of a talk spurt is played at its timestamp plus `offset`.
    Buffering { offset: i64 },
    /// `decoded` is the timestamp of the next sample to be decoded (those before are out, or in the fifo).
    Playing { decoded: i64 },
}

/// The audio packet with the highest number: the timestamps of others are measured from it.
#[derive(Clone, Copy, Debug)]
struct Newest {
    number: i64,
    timestamp: u32,
    clock: u32,
    place: i64,
    samples: i64,
}

impl Jitter {
    /// An empty buffer that delays by `min` to `max` more than the fastest packet needs.
    pub(super) fn new(min: Duration, max: Duration, mut bench: Workbench) -> Jitter {
        let samples = |time: Duration| time.as_millis().min(60_000) as i64 * 8;
        let mut jitter = Jitter {
            state: State::Idle,
            min: samples(min),
            max: samples(max.max(min)),
            tick: 0,
            out: 0,
            order: Order::default(),
            newest: None,
            transit: Transit::new(),
            store: std::mem::replace(&mut bench.store, Store::none()),
            bench,
            rate: Rate::Narrow,
            wish: Rate::Narrow,
            own: false,
            own_made: 0,
            dtx: Dtx::new(),
            played: 0,
            pending: 0,
            made_up: 0,
            pause: 0,
            loudness: 0,
            wait: 0,
            stats: Stats::default(),
        };
        jitter.bench.reset(Rate::Narrow);
        jitter
    }

    /// Samples a second of the next frames, until a packet says otherwise.
    pub(super) fn rate(&self) -> Rate {
        self.rate
    }

    /// The rate to decode at, where the codec leaves the choice (Opus).
    pub(super) fn set_wish(&mut self, wish: Rate) {
        self.wish = wish;
    }

    /// Other codecs may come from now on. Memory that is not needed stays in `bench`.
    pub(super) fn equip(&mut self, bench: &mut Workbench) {
        if bench.highest() != self.bench.highest() || bench.store.room() != self.store.room() {
            bench.take_over(&mut self.bench);
            std::mem::swap(&mut bench.store, &mut self.store);
            std::mem::swap(bench, &mut self.bench);
            self.rate = Rate::Narrow;
            self.reset();
        }
    }

    /// A packet came.
    pub(super) fn push(&mut self, packet: Packet<'_>) {
        let rate = packet.codec.rate_for(self.wish).min(self.bench.highest());
        if rate != self.rate {
            self.rate = rate;
            self.reset();
        }
        if self.is_new(packet.number as i64) {
            self.push_audio(packet);
        }
    }

    /// A packet of the stream that carries no audio (digits, comfort noise): its number is no loss.
    pub(super) fn skip(&mut self, number: u64) {
        if self.is_new(number as i64) && !matches!(self.state, State::Idle) {
            // Where there is no room for it, its number counts as a loss; nothing else comes of it.
            self.store.insert(Entry::new(number as i64, 0, self.tick, 0, Codec::Pcmu), &[]);
        }
    }

    /// What happened so far; kept over [`Jitter::reset`].
    pub(super) fn stats(&self) -> Stats {
        let wait = Duration::from_millis((self.wait / 16 / 8).max(0) as u64);
        Stats { concealed: self.made_up.div_ceil(FRAME as u64), delay: wait, ..self.stats }
    }

    /// Forget the stream, as when it was not played for a while. The next packet begins a new one.
    pub(super) fn reset(&mut self) {
        self.order = Order::default();
        self.begin_anew();
        self.bench.reset(self.rate);
    }

    /// Another stream, or the same one begun again.
    fn begin_anew(&mut self) {
        self.enter(State::Idle);
        self.newest = None;
        self.transit = Transit::new();
        self.dtx = Dtx::new();
    }

    /// The only place where the state changes.
    fn enter(&mut self, state: State) {
        match state {
            State::Idle => {
                self.store.clear();
                self.own_made = 0;
            }
            State::Buffering { .. } => {}
            State::Playing { .. } => return self.state = state,
        }
        self.bench.fifo.clear();
        self.pending = 0;
        self.state = state;
    }

    /// What is between the tick and the timestamp played at it.
    fn offset(&self) -> Option<i64> {
        match self.state {
            State::Idle => None,
            State::Buffering { offset } => Some(offset),
            State::Playing { decoded } => Some(self.tick + self.out - decoded + self.bench.fifo.len() as i64),
        }
    }

    /// How much longer than wanted packets wait; negative: too short.
    fn excess(&self) -> i64 {
        let target = self.transit.target(self.least(), self.max);
        self.offset().zip(target).map_or(0, |(offset, target)| offset - target)
    }

    /// The least delay. An Opus packet holds what was lost before it (FEC): where packets are lost, it is waited for.
    fn least(&self) -> i64 {
        let waits = self.own && self.made_up > 0;
        if waits { self.min.max(2 * TICK) } else { self.min }
    }

    fn is_new(&mut self, number: i64) -> bool {
        match self.order.place(number) {
            Place::New => true,
            Place::Restart => {
                self.begin_anew();
                true
            }
            Place::Duplicate => {
                self.stats.duplicates += 1;
                false
            }
        }
    }

    fn push_audio(&mut self, packet: Packet<'_>) {
        let number = packet.number as i64;
        let samples = audio::units_in(packet.codec, packet.payload);
        if !(1..=LONGEST).contains(&samples) {
            return self.stats.discarded += 1;
        }
        let place = self.locate(number, packet.timestamp, packet.codec.clock(), samples as i64);
        let came = self.tick - i64::from(packet.early).min(TICK);
        let (transit, needed) = (came - place, self.tick - place);
        let entry = Entry::new(number, place, came, samples as u16, packet.codec);
        match self.state {
            State::Idle => {
                let offset = self.first_offset(transit, needed);
                self.played = number - 1;
                self.enter(State::Buffering { offset });
            }
            State::Playing { decoded } if place < decoded => {
                self.stats.late += 1;
                self.made_up += std::mem::take(&mut self.pending);
                if entry.end() <= decoded {
                    return self.transit.note(self.tick, transit, needed);
                }
            }
            State::Buffering { .. } | State::Playing { .. } => {}
        }
        self.transit.note(self.tick, transit, needed);
        if !self.store.insert(entry, packet.payload) {
            self.stats.discarded += 1;
        }
        self.catch_up();
    }

    /// The offset for the first packet of a talk spurt.
    fn first_offset(&mut self, transit: i64, needed: i64) -> i64 {
        let (Some(target), Some(least)) = (self.transit.target(self.least(), self.max), self.transit.least()) else {
            return needed.max(transit + self.min);
        };
        let fits = (needed..=needed + self.max).contains(&target);
        if fits && !self.transit.is_stale(self.tick) {
            return target;
        }
        // The line of timestamps was moved, or the clocks drifted. The jitter will be what it was.
        self.transit = Transit::new();
        needed.max(transit + target - least)
    }

    /// The extended timestamp of a packet. Where it is out of all proportion, the sender has jumped to another line of
    /// timestamps: the packet is put where its sequence number says.
    fn locate(&mut self, number: i64, timestamp: u32, clock: u32, samples: i64) -> i64 {
        if self.newest.is_some_and(|newest| newest.clock != clock) {
            self.begin_anew();
        }
        let unit = i64::from(clock / RATE);
        let mut place = i64::from(timestamp) / unit;
        if let Some(newest) = self.newest {
            place = newest.place + i64::from(timestamp.wrapping_sub(newest.timestamp) as i32) / unit;
            let transit = self.tick - place;
            let plausible =
                |least| (least - self.max - LONGEST as i64..least + self.max + IMPLAUSIBLE).contains(&transit);
            if !self.transit.least().is_none_or(plausible) {
                place = newest.place + (number - newest.number) * newest.samples;
            }
        }
        if self.newest.is_some_and(|newest| newest.number + 1 == number && newest.place + newest.samples < place) {
            self.dtx.note_pause();
        }
        if self.newest.is_none_or(|newest| newest.number < number) {
            self.newest = Some(Newest { number, timestamp, clock, place, samples });
        }
        place
    }

    /// Where more waits than the most that may wait, skip what is too old.
    fn catch_up(&mut self) {
        let least = self.transit.least().unwrap_or(i64::MAX / 2);
        let Some(target) = self.transit.target(self.least(), self.max) else { return };
        if self.offset().is_none_or(|offset| offset <= least + self.max + TICK) {
            return;
        }
        match self.state {
            State::Idle => {}
            State::Buffering { .. } => self.enter(State::Buffering { offset: target }),
            State::Playing { .. } => {
                self.bench.fifo.clear();
                // A loss of no length: what follows is cross-faded.
                self.bench.conceal.make_up(&mut []);
                self.enter(State::Playing { decoded: self.tick - target });
            }
        }
    }
}
