//! Sound as a picture of one line, and what there is to say about it.

/// Eight heights, by level.
const BARS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// Quieter than this counts as silence, in dB below full scale.
const FLOOR_DB: f64 = -60.0;

/// The level of the samples over time, in `columns` characters: blank is −60 dB below full scale or less.
pub fn waveform(samples: &[i16], columns: usize) -> String {
    let step = samples.len().div_ceil(columns.max(1)).max(1);
    samples
        .chunks(step)
        .map(|chunk| {
            let height = (level_db(chunk) - FLOOR_DB) / -FLOOR_DB * (BARS.len() - 1) as f64;
            BARS[(height.round().max(0.0) as usize).min(BARS.len() - 1)]
        })
        .collect()
}

/// Root mean square in dB below full scale; [`f64::NEG_INFINITY`] for pure silence.
pub fn level_db(samples: &[i16]) -> f64 {
    let sum: f64 = samples.iter().map(|s| f64::from(*s) * f64::from(*s)).sum();
    let mean = sum / samples.len().max(1) as f64;
    10.0 * (mean / (32768.0 * 32768.0)).log10()
}

/// Seconds of the samples (at `rate`) that are louder than silence, in steps of 20 ms.
pub fn seconds_heard(samples: &[i16], rate: u32) -> f64 {
    let step = (rate / 50).max(1) as usize;
    samples.chunks(step).filter(|chunk| level_db(chunk) > -50.0).count() as f64 * 0.02
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loud_is_high_and_silence_is_blank() {
        let mut samples = vec![0i16; 800];
        samples.extend([20_000, -20_000].repeat(400));
        assert_eq!(waveform(&samples, 4), "  ▇▇");
        assert!((seconds_heard(&samples, 8000) - 0.1).abs() < 1e-9);
        assert!((level_db(&samples[800..]) + 4.29).abs() < 0.01);
    }

    #[test]
    fn nothing_at_all_is_no_picture() {
        assert_eq!(waveform(&[], 10), "");
    }
}
