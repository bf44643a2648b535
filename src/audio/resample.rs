//! From any rate to one of ours, for whole sounds in memory.

use rubato::{Fft, FixedSync, Indexing, Resampler, WindowFunction, audioadapter_buffers::direct::InterleavedSlice};

use crate::codec::Rate;

/// Our rate for a sound of `rate` samples a second: the highest that has something to gain, and is at most `most`. What
/// 22,050 or 24,000 samples a second have beyond 16,000 is hardly missed in speech, and 48,000 take three times the memory.
pub(super) fn fitting(rate: u32, most: Rate) -> Rate {
    let own = match rate {
        ..=8000 => Rate::Narrow,
        8001..=24_000 => Rate::Wide,
        24_001.. => Rate::Full,
    };
    own.min(most)
}

/// The longest sound that is made at a rate, in seconds: 115 MB of memory at most.
pub(super) fn longest(rate: Rate) -> u64 {
    match rate {
        Rate::Narrow | Rate::Wide => 3600,
        Rate::Full => 1200,
    }
}

/// Bring mono samples (full scale: 1.0) from `rate` to that of `to`. Only an eighth of a second of the source is held at a
/// time. An error: it is longer than [`longest`].
pub(super) fn bring(rate: u32, to: Rate, samples: impl Iterator<Item = f32>) -> Result<Vec<i16>, String> {
    let most = (longest(to) * u64::from(rate)) as usize;
    let mut left = most + 1;
    let mut samples = samples.inspect(|_| left -= 1).take(most + 1);
    let made = if rate == to.hz() { samples.map(to_i16).collect() } else { filtered(rate, to, &mut samples) };
    match left {
        0 => Err(format!("the sound lasts more than {} seconds, which is too much at {} Hz", longest(to), to.hz())),
        _ => Ok(made),
    }
}

fn filtered(rate: u32, to: Rate, samples: &mut impl Iterator<Item = f32>) -> Vec<i16> {
    // One transform over an eighth of a second: to 8 kHz, a filter that long falls from full level at 3.9 kHz to nothing at
    // 4 kHz.
    let chunk = (rate / 8) as usize;
    let mut resampler = Fft::<f32>::new_custom(
        rate as usize,
        to.hz() as usize,
        chunk,
        1,
        1,
        WindowFunction::BlackmanHarris2,
        FixedSync::Input,
    )
    .expect("both rates and the chunk are above 0, and there is one channel");
    // How many there are is known when the last one came.
    let (mut count, mut wanted) = (0_u64, usize::MAX);
    let mut trim = resampler.output_delay();
    let mut input = vec![0.0; resampler.input_frames_max()];
    let mut output = vec![0.0; resampler.output_frames_max()];
    let mut made = Vec::new();
    while made.len() < wanted {
        let needed = resampler.input_frames_next();
        let mut had = 0;
        for (slot, sample) in input.iter_mut().zip(samples.by_ref().take(needed)) {
            *slot = sample;
            had += 1;
        }
        count += had as u64;
        if had < needed {
            wanted = (count * u64::from(to.hz())).div_ceil(u64::from(rate)) as usize;
        }
        if made.len() >= wanted {
            break;
        }
        // Past the end, silence pushes the last samples out of the filter.
        let part = Indexing::new().partial_len(had);
        let from = InterleavedSlice::new(&input, 1, input.len()).expect("one channel of that many frames");
        let frames = output.len();
        let mut into = InterleavedSlice::new_mut(&mut output, 1, frames).expect("one channel of that many frames");
        let (_, written) =
            resampler.process_into_buffer(&from, &mut into, Some(&part)).expect("both buffers have the asked size");
        let skipped = trim.min(written);
        trim -= skipped;
        let room = wanted - made.len();
        made.extend(output[skipped..written].iter().take(room).copied().map(to_i16));
    }
    made
}

fn to_i16(sample: f32) -> i16 {
    // The cast puts what is too loud at full scale, and what is no number at zero.
    (sample * 32_768.0).round() as i16
}
