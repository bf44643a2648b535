//! Down to 8,000 samples a second, for those who only listen: each output sample is the mean of what it stands for.
//!
//! What folds back from above 4 kHz is damped, not gone; who listens for speech or tones below 2 kHz does not mind.

use crate::audio::RATE;

/// Makes 8,000 samples a second of 8,000, 16,000, 24,000, 32,000 or 48,000.
#[derive(Clone, Copy, Debug)]
pub struct Thin {
    factor: i32,
    sum: i32,
    count: i32,
}

impl Thin {
    /// From `rate` samples a second; a rate that is no multiple of 8,000 counts as the next lower one that is.
    pub fn new(rate: u32) -> Thin {
        Thin { factor: (rate / RATE).clamp(1, 12) as i32, sum: 0, count: 0 }
    }

    /// One sample in; one comes out for each group that is complete.
    pub fn push(&mut self, sample: i16) -> Option<i16> {
        self.sum += i32::from(sample);
        self.count += 1;
        if self.count < self.factor {
            return None;
        }
        let mean = self.sum / self.factor;
        (self.sum, self.count) = (0, 0);
        Some(mean as i16)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_become_their_mean_and_8_khz_stays_as_it_is() {
        let mut thin = Thin::new(48_000);
        let out: Vec<i16> =
            [1, 2, 3, 4, 5, 9, -6, -6, -6, -6, -6, -6, 7].iter().filter_map(|s| thin.push(*s)).collect();
        assert_eq!(out, [4, -6]);
        let mut same = Thin::new(8000);
        assert_eq!(same.push(i16::MIN), Some(i16::MIN));
    }
}
