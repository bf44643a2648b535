//! How long packets are on their way, and the delay that this asks for.
//!
//! A packet's transit is the moment in which it came minus its timestamp, in samples; only differences of transits mean
//! anything. It is played at the next tick at the soonest: that is the offset it needs. The last 8 seconds are kept, in 10
//! blocks, each with its least transit and the largest offsets that were needed.
//!
//! What is asked for above the least transit is asked for by time, not by ticks. Otherwise each drift of the sender's clock
//! past our ticks would change the delay by a whole tick.
//! One packet in a hundred may come too late: to wait for it, too, would cost all others more delay than it is worth.

/// How many blocks, and how many samples' time each lasts.
const BLOCKS: usize = 10;
const BLOCK: i64 = 6400;
/// How many of the largest are kept of each block.
const LARGEST: usize = 5;
/// One packet in so many may be late, but always one, so that a single stray does not raise the delay.
const ALLOWED: usize = 100;
/// Older knowledge than 10 s says little: clocks drift.
const STALE: i64 = 80_000;

#[derive(Clone, Copy, Debug)]
struct Block {
    least: i64,
    /// Of what was needed, largest first.
    largest: [i64; LARGEST],
    count: usize,
}

const EMPTY: Block = Block { least: i64::MAX, largest: [i64::MIN; LARGEST], count: 0 };

#[derive(Debug)]
pub(super) struct Transit {
    blocks: [Block; BLOCKS],
    current: usize,
    /// When the current block began, and when something was noted last.
    began: i64,
    noted: i64,
    range: Option<Range>,
}

/// What all that is kept comes to.
#[derive(Clone, Copy, Debug)]
struct Range {
    /// The least transit of all blocks, and of the last second or so: the path may have become longer, or the clocks
    /// drift.
    least: i64,
    recent: i64,
    /// The offset at which all but the allowed ones are in time.
    peak: i64,
}

impl Transit {
    pub(super) fn new() -> Transit {
        Transit { blocks: [EMPTY; BLOCKS], current: 0, began: 0, noted: 0, range: None }
    }

    /// A packet came, to be played at `tick` at the soonest, for which it would have `needed` this offset.
    pub(super) fn note(&mut self, tick: i64, transit: i64, needed: i64) {
        if self.is_stale(tick) {
            *self = Transit::new();
        }
        if self.range.is_none() {
            self.began = tick;
        }
        self.noted = tick;
        if tick - self.began >= BLOCK {
            self.current = (self.current + 1) % BLOCKS;
            self.blocks[self.current] = EMPTY;
            self.began = tick;
        }
        let block = &mut self.blocks[self.current];
        block.count += 1;
        block.least = block.least.min(transit);
        keep_largest(&mut block.largest, needed);
        self.range = Some(self.measure());
    }

    /// What is known is too old to go by.
    pub(super) fn is_stale(&self, tick: i64) -> bool {
        tick - self.noted > STALE
    }

    /// The least transit of late, if anything is known.
    pub(super) fn least(&self) -> Option<i64> {
        self.range.map(|range| range.least)
    }

    /// The offset to play at, where the delay above the least is to be within `min` and `max`.
    pub(super) fn target(&self, min: i64, max: i64) -> Option<i64> {
        self.range.map(|Range { least, recent, peak }| {
            let most = least + max.max(min);
            peak.clamp(most.min(recent + min), most)
        })
    }

    fn measure(&self) -> Range {
        let mut largest = [i64::MIN; LARGEST];
        let (mut least, mut count) = (i64::MAX, 0);
        for block in self.blocks.iter().filter(|block| block.count > 0) {
            least = least.min(block.least);
            count += block.count;
            block.largest.iter().for_each(|&needed| keep_largest(&mut largest, needed));
        }
        let allowed = (count / ALLOWED).clamp(1, LARGEST - 1);
        let before = &self.blocks[(self.current + BLOCKS - 1) % BLOCKS];
        // An empty block has the highest least there is. With a single packet there is no second largest.
        let recent = self.blocks[self.current].least.min(before.least);
        Range { least, recent, peak: largest[allowed].max(least) }
    }
}

fn keep_largest(largest: &mut [i64; LARGEST], needed: i64) {
    let at = largest.partition_point(|&known| known >= needed);
    if at < LARGEST {
        largest.copy_within(at..LARGEST - 1, at + 1);
        largest[at] = needed;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_covers_all_but_one_in_a_hundred() {
        let mut transit = Transit::new();
        for n in 0..398 {
            // Three very late ones, and a spread of 0 to 19 otherwise.
            let needed = 1000 + if n % 100 == 80 && n > 100 { 900 } else { n % 20 };
            transit.note(n * 160, needed, needed);
        }
        assert_eq!(transit.least(), Some(1000));
        assert_eq!(transit.target(0, 5000), Some(1019));
        transit.note(398 * 160, 1700, 1700);
        assert_eq!(transit.target(0, 5000), Some(1700));
        assert_eq!(transit.target(0, 300), Some(1300), "no more than the most");
        assert_eq!(transit.target(800, 5000), Some(1800), "no less than the least");
    }

    #[test]
    fn one_stray_is_ignored_two_are_not_and_both_are_forgotten_in_time() {
        let mut transit = Transit::new();
        transit.note(0, 0, 0);
        transit.note(160, 500, 500);
        assert_eq!(transit.target(0, 5000), Some(0));
        transit.note(320, 400, 400);
        assert_eq!(transit.target(0, 5000), Some(400));
        for n in 3..420 {
            transit.note(n * 160, 0, 0);
        }
        assert_eq!(transit.target(0, 5000), Some(0));
        transit.note(420 * 160 + STALE + 1, 7777, 7777);
        assert_eq!(transit.least(), Some(7777), "after a long silence all is new");
    }

    #[test]
    fn a_clock_that_drifts_past_the_ticks_does_not_change_what_is_asked_for() {
        let mut transit = Transit::new();
        let mut asked = Vec::new();
        for n in 0..10_000 {
            // 200 ppm slow: after 100 s each packet comes a whole tick later.
            let came = n * 160 + n * 160 / 5000;
            let tick = (came + 159) / 160 * 160;
            transit.note(tick, came - n * 160, tick - n * 160);
            asked.push(transit.target(160, 5000).expect("something came") - (came - n * 160));
        }
        let (least, most) = (asked.iter().min(), asked.iter().max());
        assert!(least >= Some(&155) && most <= Some(&162), "{least:?} to {most:?}");
    }
}
