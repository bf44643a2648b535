//! How long packets are on their way, and the delay that this asks for.
//!
//! A packet's transit is the tick at which it could be played first minus its timestamp, in samples; only differences of
//! transits mean anything. The last 8 seconds are kept, in 16 blocks, each with its least transit and its largest ones.
//! One packet in a hundred may come too late: to wait for it, too, would cost all others more delay than it is worth.

/// How many blocks, and how many samples' time each lasts.
const BLOCKS: usize = 16;
const BLOCK: i64 = 4000;
/// How many of the largest are kept of each block.
const LARGEST: usize = 5;
/// One packet in so many may be late, but always one, so that a single stray does not raise the delay.
const ALLOWED: usize = 100;
/// Older knowledge than 10 s says little: clocks drift.
const STALE: i64 = 80_000;

#[derive(Clone, Copy, Debug)]
struct Block {
    least: i64,
    /// Largest first.
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
    /// The least transit of all blocks, and the one at which all but the allowed ones are in time.
    range: Option<(i64, i64)>,
}

impl Transit {
    pub(super) fn new() -> Transit {
        Transit { blocks: [EMPTY; BLOCKS], current: 0, began: 0, noted: 0, range: None }
    }

    /// A packet came, to be played at `tick` at the soonest.
    pub(super) fn note(&mut self, tick: i64, transit: i64) {
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
        keep_largest(&mut block.largest, transit);
        self.range = Some(self.measure());
    }

    /// What is known is too old to go by.
    pub(super) fn is_stale(&self, tick: i64) -> bool {
        tick - self.noted > STALE
    }

    /// The least transit of late, if anything is known.
    pub(super) fn least(&self) -> Option<i64> {
        self.range.map(|(least, _)| least)
    }

    /// The transit up to which to wait, where the delay above the least is to be within `min` and `max`.
    pub(super) fn target(&self, min: i64, max: i64) -> Option<i64> {
        self.range.map(|(least, peak)| peak.clamp(least + min, least + max.max(min)))
    }

    fn measure(&self) -> (i64, i64) {
        let mut largest = [i64::MIN; LARGEST];
        let (mut least, mut count) = (i64::MAX, 0);
        for block in self.blocks.iter().filter(|block| block.count > 0) {
            least = least.min(block.least);
            count += block.count;
            block.largest.iter().for_each(|&transit| keep_largest(&mut largest, transit));
        }
        let allowed = (count / ALLOWED).clamp(1, LARGEST - 1);
        // With a single packet there is no second largest.
        (least, largest[allowed].max(least))
    }
}

fn keep_largest(largest: &mut [i64; LARGEST], transit: i64) {
    let at = largest.partition_point(|&known| known >= transit);
    if at < LARGEST {
        largest.copy_within(at..LARGEST - 1, at + 1);
        largest[at] = transit;
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
            transit.note(n * 160, 1000 + if n % 100 == 80 && n > 100 { 900 } else { n % 20 });
        }
        assert_eq!(transit.least(), Some(1000));
        assert_eq!(transit.target(0, 5000), Some(1019));
        transit.note(398 * 160, 1700);
        assert_eq!(transit.target(0, 5000), Some(1700));
        assert_eq!(transit.target(0, 300), Some(1300), "no more than the most");
        assert_eq!(transit.target(800, 5000), Some(1800), "no less than the least");
    }

    #[test]
    fn one_stray_is_ignored_two_are_not_and_both_are_forgotten_in_time() {
        let mut transit = Transit::new();
        transit.note(0, 0);
        transit.note(160, 500);
        assert_eq!(transit.target(0, 5000), Some(0));
        transit.note(320, 400);
        assert_eq!(transit.target(0, 5000), Some(400));
        for n in 3..420 {
            transit.note(n * 160, 0);
        }
        assert_eq!(transit.target(0, 5000), Some(0));
        transit.note(420 * 160 + STALE + 1, 7777);
        assert_eq!(transit.least(), Some(7777), "after a long silence all is new");
    }
}
