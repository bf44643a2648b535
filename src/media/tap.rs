//! Taps: what one side of a call says, frame by frame, for whoever listens outside the engine: a transcription, an AI, a
//! recorder of somebody else's.
//!
//! ```text
//! port ──each tick──▶ Tap (bounded; the oldest frame gives way) ──take──▶ consumer, on whatever thread
//!                                                               └──feed──▶ another port, which sends it to its peer
//! ```
//!
//! The contract: the engine never waits, allocates or frees for a tap. A consumer that is too slow loses the oldest
//! frames; frames are numbered, so it sees which, and the tap counts them. [`Tap::is_over`] says that no more will come.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use crossbeam_queue::ArrayQueue;

use super::{Engine, Frame, MAX_FRAME, Spent, View, events::Events, port::Port};
use crate::{
    audio::Convert,
    codec::Rate,
    ids::{PortId, TapId},
};

/// Taps of one port at a time; one more is over at once.
pub(super) const TAPS: usize = 4;
/// Samples of the longest frame: taps have telephone or wideband quality.
const LONGEST: usize = Rate::Wide.frame();
/// More frames than this waiting for a port that sends them on are late: the oldest are left out.
const LATE: usize = 5;

/// What is tapped of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// What its party says.
    Said,
    /// What its party hears.
    Heard,
}

/// 20 ms of a tap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TapFrame {
    /// Counted from 0, whether or not a frame was lost: its place in time.
    pub number: u64,
    rate: Rate,
    samples: [i16; LONGEST],
}

impl TapFrame {
    /// The samples, at the rate of the tap.
    pub fn samples(&self) -> &[i16] {
        &self.samples[..self.rate.frame()]
    }
}

/// The queue between a port and its consumer; shared by both, locked by neither.
#[derive(Debug)]
pub struct Tap {
    /// Its name.
    pub id: TapId,
    /// What is tapped.
    pub side: Side,
    /// Of its frames.
    pub rate: Rate,
    frames: ArrayQueue<TapFrame>,
    dropped: AtomicU64,
    over: AtomicBool,
}

impl Tap {
    /// A queue for `room` frames of 20 ms, at 16 kHz or, for any other `rate`, 8 kHz.
    pub fn new(id: TapId, side: Side, rate: Rate, room: usize) -> Arc<Tap> {
        let rate = if rate == Rate::Wide { Rate::Wide } else { Rate::Narrow };
        let (dropped, over) = (AtomicU64::new(0), AtomicBool::new(false));
        Arc::new(Tap { id, side, rate, frames: ArrayQueue::new(room.max(1)), dropped, over })
    }

    /// The oldest frame that waits.
    pub fn take(&self) -> Option<TapFrame> {
        self.frames.pop()
    }

    /// Frames that were lost because nobody took them in time.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    fn put(&self, frame: TapFrame) {
        if self.frames.force_push(frame).is_some() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// As if a port had said this in its tick `number`.
    #[cfg(test)]
    pub(crate) fn give(&self, number: u64, samples: &[i16]) {
        let mut frame = TapFrame { number, rate: self.rate, samples: [0; LONGEST] };
        frame.samples[..samples.len()].copy_from_slice(samples);
        self.put(frame);
    }

    /// Nothing more is wanted: it is over, also where no port was ever tapped.
    pub fn end(&self) {
        self.over.store(true, Ordering::Release);
    }

    /// Nothing will come after what still waits.
    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }
}

/// A port's end of a tap, with the memory that it needs.
#[derive(Debug)]
pub struct Tapping {
    tap: Arc<Tap>,
    convert: Convert,
    number: u64,
    /// It is not to hear what there is.
    masked: bool,
}

impl Tapping {
    /// For one port.
    pub fn new(tap: Arc<Tap>) -> Box<Tapping> {
        Box::new(Tapping { tap, convert: Convert::new(), number: 0, masked: false })
    }

    /// One tick of the port.
    fn hear(&mut self, said: View<'_>, heard: View<'_>) {
        let frame = match self.tap.side {
            Side::Said => said,
            Side::Heard => heard,
        };
        let rate = self.tap.rate;
        let mut out = TapFrame { number: self.number, rate, samples: [0; LONGEST] };
        if !self.masked {
            self.convert.run(frame.rate(), frame.samples(), rate, &mut out.samples[..rate.frame()]);
        }
        self.number += 1;
        self.tap.put(out);
    }

    fn end(&self) {
        self.tap.end();
    }
}

/// A port's other use of a tap: what comes out of it goes to the port's peer.
#[derive(Debug)]
pub(super) struct Feed(pub(super) Arc<Tap>);

impl Feed {
    /// The next 20 ms; silence where there are none yet.
    pub(super) fn fill(&self, frame: &mut Frame) {
        while self.0.frames.len() > LATE {
            self.0.frames.pop();
        }
        let out = frame.reset(self.0.rate);
        match self.0.take() {
            Some(tapped) => out.copy_from_slice(tapped.samples()),
            None => out.fill(0),
        }
    }
}

impl Engine {
    /// Tap a port.
    pub(super) fn tap(&mut self, id: PortId, tapping: Box<Tapping>) {
        let mut tapping = Some(tapping);
        self.with(id, |port, _| {
            if let Some(place) = port.taps.iter_mut().find(|place| place.is_none()) {
                *place = tapping.take();
            }
        });
        if let Some(refused) = tapping {
            refused.end();
            self.events.spend(Spent::Tap(refused));
        }
    }

    /// Tap it no longer.
    pub(super) fn untap(&mut self, id: PortId, tap: TapId) {
        self.with(id, |port, events| port.untap(Some(tap), events));
    }

    /// Let a tap of it have silence, or the sound again.
    pub(super) fn mask_tap(&mut self, id: PortId, tap: TapId, on: bool) {
        self.with(id, |port, _| {
            for tapping in port.taps.iter_mut().flatten().filter(|tapping| tapping.tap.id == tap) {
                tapping.masked = on;
            }
        });
    }

    /// A port sends what comes out of a tap.
    pub(super) fn feed(&mut self, id: PortId, tap: Arc<Tap>) {
        let mut feed = Some(Feed(tap));
        self.with(id, |port, _| std::mem::swap(&mut port.feed, &mut feed));
        if let Some(Feed(tap)) = feed {
            self.events.spend(Spent::Fed(tap));
        }
    }
}

impl Port {
    pub(super) fn is_tapped(&self) -> bool {
        self.taps.iter().any(Option::is_some)
    }

    /// The highest rate of its taps.
    pub(super) fn tapped_rate(&self) -> Rate {
        self.taps.iter().flatten().map(|tapping| tapping.tap.rate).max().unwrap_or_default()
    }

    /// One tick: what it said, and what was `sent`.
    pub(super) fn hear_taps(&mut self, sent: &Frame) {
        for tapping in self.taps.iter_mut().flatten() {
            tapping.hear(self.said.view(), sent.view());
        }
    }

    /// End this tap, or all.
    pub(super) fn untap(&mut self, tap: Option<TapId>, events: &mut Events) {
        let ends = |tapping: &mut Box<Tapping>| tap.is_none_or(|tap| tapping.tap.id == tap);
        for place in &mut self.taps {
            if let Some(tapping) = place.take_if(ends) {
                tapping.end();
                events.spend(Spent::Tap(tapping));
            }
        }
        if tap.is_none()
            && let Some(Feed(tap)) = self.feed.take()
        {
            events.spend(Spent::Fed(tap));
        }
    }
}

const _: () = assert!(LONGEST <= MAX_FRAME);
