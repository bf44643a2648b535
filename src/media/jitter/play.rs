//! The way out of the jitter buffer: decode what is due, make up what is missing, and get the delay right on the way.

use super::{
    FRAME, Jitter, Pulled, State, TICK, Workbench,
    store::Entry,
    stretch::{MAX_PIECE, ROOM},
};
use crate::{
    audio::{g722::AHEAD, opus::GRAIN},
    codec::Codec,
};

/// More delay than wanted is worth a cut from here, where it is quiet, and anywhere: 5 ms, 12.5 ms. Between nothing and
/// this much there is room for a pitch period more or less, so that cuts and stretches do not alternate.
const LONG: i64 = 40;
const TOO_LONG: i64 = 100;
/// Far too long or too short: the best place will do, however bad it is. 30 ms, 10 ms.
const FAR_TOO_LONG: i64 = 240;
const FAR_TOO_SHORT: i64 = -80;
/// A stretch goes so much further than needed at most.
const SPARE: usize = 80;
/// Otherwise the places that are joined must be that much alike.
const ALIKE: f32 = 0.75;
/// Ticks between two cuts, between two cuts of a far too long delay, and between two stretches.
const CUT_PAUSE: u32 = 10;
const HASTY_CUT_PAUSE: u32 = 4;
const STRETCH_PAUSE: u32 = 2;
/// Below this mean magnitude, or an eighth of the usual one, anything can be joined.
const QUIET: i32 = 40;

/// So much is made up by a codec itself at a time: 10 ms.
const OWN_PIECE: usize = 80;

/// What comes next in the line of samples.
enum Next {
    /// Samples, in the fifo.
    Ready,
    /// Nothing for so many samples; `lost`: because packets are missing.
    Gap { samples: i64, lost: bool },
    /// Nobody knows yet.
    Unknown,
}

impl Jitter {
    /// Fill the next frame: 20 ms at [`Jitter::rate`].
    pub(in crate::media) fn pull(&mut self, out: &mut [i16]) -> Pulled {
        self.begin_if_due();
        let pulled = match self.state {
            State::Playing { .. } => self.play(out),
            State::Idle | State::Buffering { .. } => self.rest(out),
        };
        self.tick += TICK;
        self.out = 0;
        self.pause = self.pause.saturating_sub(1);
        pulled
    }

    fn begin_if_due(&mut self) {
        let State::Buffering { offset } = self.state else { return };
        while self.store.front().is_some_and(|front| front.samples == 0) {
            self.store.pop();
        }
        let due = self.tick - offset;
        match self.store.front() {
            None => self.enter(State::Idle),
            Some(front) if front.place < due + TICK => {
                self.enter(State::Playing { decoded: due.min(front.place) });
            }
            Some(_) => {}
        }
    }

    /// Nothing to play. What was last heard fades away.
    fn rest(&mut self, out: &mut [i16]) -> Pulled {
        if self.bench.conceal.is_silent() {
            out.fill(0);
            return Pulled::Nothing;
        }
        self.bench.conceal.make_up(out);
        Pulled::Concealed
    }

    fn play(&mut self, out: &mut [i16]) -> Pulled {
        self.adjust();
        let scale = self.rate.scale();
        let mut filled = 0;
        let mut pulled = Pulled::Voice;
        while filled < out.len() {
            self.out = (filled / scale) as i64;
            let rest = &mut out[filled..];
            filled += match self.refill(1) {
                Next::Ready => {
                    let taken = self.bench.fifo.take(rest);
                    self.bench.conceal.hear(&mut rest[..taken]);
                    if self.own_made > 0 && !self.dtx.is_pause(self.own_made) {
                        pulled = Pulled::Concealed;
                    }
                    taken
                }
                Next::Gap { samples, lost: false } if self.settle(samples) => 0,
                Next::Gap { samples, lost: true } if self.join(samples as usize) => {
                    pulled = Pulled::Concealed;
                    0
                }
                Next::Gap { samples, lost } => {
                    let missing = (rest.len() / scale).min(samples as usize);
                    // A talk spurt may begin within a frame: the silence before it is not made up.
                    let silent = self.bench.conceal.is_silent() || self.dtx.is_pause(self.own_made);
                    if lost || !silent {
                        pulled = Pulled::Concealed;
                    }
                    let (own, taken) = match self.own_way(Some(samples as usize)) {
                        0 => (missing, self.make_up(&mut rest[..missing * scale])),
                        own => (own, 0),
                    };
                    self.made_up += if lost { own as u64 } else { 0 };
                    taken
                }
                Next::Unknown => {
                    let pause = self.dtx.is_pause(self.own_made);
                    if !pause {
                        pulled = Pulled::Concealed;
                    }
                    let (own, taken) = match self.own_way(None) {
                        0 => (rest.len() / scale, self.make_up(rest)),
                        own => (own, 0),
                    };
                    self.pending += if pause { 0 } else { own as u64 };
                    taken
                }
            };
        }
        if self.bench.conceal.is_silent() || self.own_made >= self.dtx.longest() {
            // The talk spurt is over. Packets that wait, wait for one that begins.
            let waiting = self.store.front().and(self.transit.target(self.least(), self.max));
            self.enter(waiting.map_or(State::Idle, |offset| State::Buffering { offset }));
        } else if pulled == Pulled::Voice {
            let mean = out.iter().map(|&s| i32::from(s).abs()).sum::<i32>() / out.len() as i32;
            self.loudness += mean - self.loudness / 16;
        }
        pulled
    }

    /// Decode the packet after a gap of so many units now, and fill the gap with what fits between what was heard and what
    /// follows. False: that cannot be done.
    fn join(&mut self, gap: usize) -> bool {
        let State::Playing { decoded } = self.state else { return false };
        let Some(front) = self.store.front().filter(|front| !self.own && front.codec != Codec::Opus) else {
            return false;
        };
        let length = usize::from(front.samples);
        if gap + length > ROOM || !self.bench.conceal.can_join(length) {
            return false;
        }
        self.note_wait(&front);
        let (payload, rate, scale) = (self.store.payload(), self.rate, self.rate.scale());
        let Workbench { decoder, fifo, conceal, .. } = &mut self.bench;
        let mut joined = false;
        fifo.append(0, |room| {
            // A guess at more than one packet is too far from what was there: the state is better left as it was.
            if front.codec == Codec::G722 && gap <= FRAME && conceal.is_hearing() {
                // There is room: the packet is longer than this.
                let guess = &mut room[..gap * scale + AHEAD];
                conceal.guess(guess);
                decoder.follow(front.codec, guess);
            }
            let (made, room) = room.split_at_mut(gap * scale);
            let written = decoder.decode(front.codec, rate, payload, room);
            joined = written >= length * scale;
            if !joined {
                return 0;
            }
            conceal.join(made, &room[..written]);
            made.len() + written
        });
        if !joined {
            return false;
        }
        self.made_up += gap as u64 + std::mem::take(&mut self.pending);
        self.enter(State::Playing { decoded: decoded + (gap + length) as i64 });
        self.played = self.played.max(front.number);
        self.store.pop();
        true
    }

    fn make_up(&mut self, out: &mut [i16]) -> usize {
        self.bench.conceal.make_up(out);
        if let State::Playing { decoded } = &mut self.state {
            *decoded += (out.len() / self.rate.scale()) as i64;
        }
        out.len()
    }

    /// The codec makes up what is missing, where it can: `gap` units, or nobody knows how many. The last of them may be in
    /// the packet after the gap (FEC). Returns how many units are in the fifo now; 0: it cannot.
    fn own_way(&mut self, gap: Option<usize>) -> usize {
        let State::Playing { decoded } = self.state else { return 0 };
        if !self.own {
            return 0;
        }
        let front = self.store.front().filter(|front| gap.is_some() && front.codec == Codec::Opus);
        // The redundant data is of the packet before, which is taken to be as long.
        let known = front.map_or(0, |front| usize::from(front.samples));
        let (wanted, next) = match gap {
            Some(gap) if gap <= known => (gap, front.map(|_| self.store.payload())),
            Some(gap) => ((gap - known).min(OWN_PIECE), None),
            None => (OWN_PIECE, None),
        };
        let (rate, scale, made) = (self.rate, self.rate.scale(), self.own_made);
        let rounded = wanted.div_ceil(GRAIN) * GRAIN;
        let (decoder, dtx) = (&mut self.bench.decoder, &mut self.dtx);
        // What is recovered ends where the packet begins: too much of it is too much in front.
        let skip = rounded - wanted;
        let written = self.bench.fifo.append(skip, |room| {
            let Some(room) = room.get_mut(..rounded * scale) else { return 0 };
            let written = decoder.make_up(rate, next, room);
            if next.is_none() {
                dtx.shape(&mut room[..written], made, scale);
            }
            written
        });
        if written != rounded {
            return 0;
        }
        self.own_made += wanted;
        self.enter(State::Playing { decoded: decoded + wanted as i64 });
        wanted
    }

    /// A pause that the sender made may be longer or shorter: the place to get the delay right. False: it is.
    fn settle(&mut self, pause: i64) -> bool {
        let shift = self.excess().min(pause);
        self.pending = 0;
        if let State::Playing { decoded } = &mut self.state {
            *decoded += shift;
        }
        shift != 0
    }

    /// Decode what comes next until `wanted` samples are ready, or something is missing.
    fn refill(&mut self, wanted: usize) -> Next {
        let State::Playing { mut decoded } = self.state else { return Next::Unknown };
        while self.bench.fifo.len() < wanted {
            let Some(front) = self.store.front() else { return Next::Unknown };
            if front.samples > 0 && front.place > decoded {
                return Next::Gap { samples: front.place - decoded, lost: front.number > self.played + 1 };
            }
            if front.end() > decoded && front.samples > 0 {
                self.note_wait(&front);
                self.made_up += if front.number > self.played + 1 { self.pending } else { 0 };
                let (skip, payload, rate) = ((decoded - front.place) as usize, self.store.payload(), self.rate);
                let (decoder, dtx) = (&mut self.bench.decoder, &mut self.dtx);
                let written = self.bench.fifo.append(skip, |room| {
                    let written = decoder.decode(front.codec, rate, payload, room);
                    if front.codec == Codec::Opus {
                        dtx.hear(payload, &room[..written], rate.scale());
                    }
                    written
                });
                if written < usize::from(front.samples) {
                    // What cannot be decoded is lost.
                    self.store.pop();
                    continue;
                }
                (self.own, self.own_made) = (front.codec == Codec::Opus, 0);
                decoded = front.end();
                self.enter(State::Playing { decoded });
            }
            // Where the sender sent something else meanwhile, what was missing is no loss either.
            self.pending = 0;
            self.played = self.played.max(front.number);
            self.store.pop();
        }
        Next::Ready
    }

    /// How long the next packet waited.
    fn note_wait(&mut self, front: &Entry) {
        let wait = front.place + self.offset().unwrap_or(0) - front.arrived;
        self.wait += if self.wait == 0 { wait * 16 } else { wait - self.wait / 16 };
    }

    /// Bring the delay closer to what is wanted, where that is not heard. Being too short by one sample is too short: each
    /// packet would come after its first sample's time.
    fn adjust(&mut self) {
        let excess = self.excess();
        if self.pause > 0 || (0..LONG).contains(&excess) {
            return;
        }
        self.refill(FRAME + MAX_PIECE);
        let loudness = self.bench.fifo.loudness();
        let quiet = loudness < QUIET || loudness * 8 * 16 < self.loudness;
        let far = !(FAR_TOO_SHORT..FAR_TOO_LONG).contains(&excess);
        let alike = if quiet || far { -1.0 } else { ALIKE };
        if excess < 0 {
            if self.bench.fifo.lengthen((-excess) as usize + SPARE, alike).is_some() {
                self.pause = STRETCH_PAUSE;
            }
        } else if (quiet || excess >= TOO_LONG) && self.bench.fifo.shorten(excess as usize, FRAME, alike).is_some() {
            self.pause = if far { HASTY_CUT_PAUSE } else { CUT_PAUSE };
        }
    }
}
