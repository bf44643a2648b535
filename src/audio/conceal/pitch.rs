//! The pitch of what was last heard.

use super::HISTORY;
use crate::{audio::likeness::likeness, codec::Rate};

/// Shortest pitch period, in samples: 400 Hz.
const MIN_PERIOD: usize = 20;
/// Longest pitch period, in samples: 66 Hz.
pub(super) const MAX_PERIOD: usize = 120;
/// How many samples are compared with those one period before. More of them follow a voice that changes less well.
const WINDOW: usize = 60;

/// The period at which the newest samples are most like those before them, and how much: 1.0 is the same. Sought at
/// 8 kHz, then around the place found at the full rate. Where there are few samples, short periods only.
pub(super) fn pitch(history: &[i16], scale: usize) -> (usize, f32) {
    let mut rough = [0.0; HISTORY];
    let length = history.len() / scale;
    for (to, group) in rough.iter_mut().zip(history.chunks_exact(scale)) {
        *to = group.iter().map(|&s| f32::from(s)).sum::<f32>() / scale as f32;
    }
    // A period and the overlap of its end must be there, too.
    let longest = MAX_PERIOD.min(length - WINDOW).min(length * 4 / 5);
    let mut best = best_period(&rough[..length], WINDOW, MIN_PERIOD..=longest, longest);
    if scale > 1 {
        let mut samples = [0.0; HISTORY * Rate::Full.scale()];
        for (to, &from) in samples.iter_mut().zip(history) {
            *to = f32::from(from);
        }
        let (rough, alike) = (best.0 * scale, best.1);
        let around = rough - (scale - 1)..=(rough + scale - 1).min(longest * scale);
        best = (best_period(&samples[..history.len()], WINDOW * scale, around, rough).0, alike);
    }
    best
}

/// Of these periods, the best one; `usual` where nothing is alike.
fn best_period(samples: &[f32], window: usize, periods: std::ops::RangeInclusive<usize>, usual: usize) -> (usize, f32) {
    let start = samples.len() - window;
    let newest = &samples[start..];
    let mut best = (usual, 0.0);
    for period in periods {
        let alike = likeness(newest, &samples[start - period..samples.len() - period]);
        if alike > best.1 {
            best = (period, alike);
        }
    }
    best
}
