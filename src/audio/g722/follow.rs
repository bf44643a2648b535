//! A decoder through a loss. Its state is what the sender's encoder made of all samples before; where some of them are lost,
//! both would drift apart, and what comes next would be decoded with the wrong scale and prediction for tens of milliseconds.
//! So what is played in the place of the loss is encoded once more, and the state follows that (as G.722 Appendix III does).
//!
//! ```text
//! made up ─▶ QMF analysis, 22 samples ahead of the state ─▶ quantizers ─▶ both bands adapt
//!                                     └─▶ the synthesis filter's past: the next samples go on without a step
//! ```

use super::{BACKWARDS, Decoder, FILTER, TAPS, dot, quantize};

/// How many samples after the loss must be guessed as well: the delay of both filters together.
pub const AHEAD: usize = 2 * (TAPS - 1);

/// Pairs of samples that are looked at in one go.
const PIECE: usize = 80;

impl Decoder {
    /// So many samples are lost, and `made` is played in their place; the last [`AHEAD`] of it are a guess at what follows.
    pub fn follow(&mut self, made: &[i16]) {
        let mut from = 0;
        while from + 2 * TAPS <= made.len() {
            let to = made.len().min(from + 2 * PIECE + AHEAD);
            self.follow_piece(&made[from..to]);
            from += 2 * ((to - from) / 2 - (TAPS - 1));
        }
    }

    fn follow_piece(&mut self, made: &[i16]) {
        let (mut even, mut odd) = ([0; PIECE + TAPS - 1], [0; PIECE + TAPS - 1]);
        let mut pairs = 0;
        for (pair, (even, odd)) in made.chunks_exact(2).zip(even.iter_mut().zip(&mut odd)) {
            (*even, *odd) = (pair[0], pair[1]);
            pairs += 1;
        }
        for at in 0..pairs - (TAPS - 1) {
            let (first, second) = (dot(&FILTER, &even[at..at + TAPS]), dot(&BACKWARDS, &odd[at..at + TAPS]));
            let bounded = |band: i32| (band >> 14).clamp(-16_384, 16_383);
            let (low, high) = (bounded(second + first), bounded(second - first));
            quantize((&mut self.low, &mut self.high), (low, high));
            self.past.push(low, high);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Encoder;
    use super::*;
    use crate::audio::speech::{largest_step, speech};

    /// 16 kHz: speech of 8 kHz, each sample between two.
    fn wide(seed: u64, samples: usize) -> Vec<i16> {
        let narrow = speech(seed, samples / 2 + 1);
        narrow.windows(2).flat_map(|pair| [pair[0], ((i32::from(pair[0]) + i32::from(pair[1])) / 2) as i16]).collect()
    }

    /// Decode with the frames that `lost` names left out; there the decoder is told what was there, or nothing.
    fn heard(signal: &[i16], lost: impl Fn(usize) -> bool, told: bool) -> Vec<i16> {
        let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new());
        let mut whole = Decoder::new();
        let (mut out, mut truth) = (Vec::new(), Vec::new());
        let packets: Vec<Vec<u8>> = signal
            .chunks_exact(320)
            .map(|frame| {
                let mut bytes = vec![0; 160];
                encoder.encode(frame, &mut bytes);
                let mut samples = vec![0; 320];
                whole.decode(&bytes, &mut samples);
                truth.extend(samples);
                bytes
            })
            .collect();
        for (n, packet) in packets.iter().enumerate() {
            let mut samples = vec![0; 320];
            if lost(n) && told {
                decoder.follow(&truth[320 * n..320 * (n + 1) + AHEAD]);
                samples.copy_from_slice(&truth[320 * n..320 * (n + 1)]);
            } else if !lost(n) {
                decoder.decode(packet, &mut samples);
            }
            out.extend(samples);
        }
        out
    }

    fn error(heard: &[i16], want: &[i16]) -> f64 {
        let squares = heard.iter().zip(want).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2));
        (squares.sum::<f64>() / heard.len() as f64).sqrt()
    }

    #[test]
    fn a_decoder_that_follows_a_good_guess_hears_what_comes_next_as_if_nothing_was_lost() {
        let signal = wide(3, 16_000);
        let whole = heard(&signal, |_| false, false);
        let lost = |n: usize| n % 10 == 7;
        let (following, alone) = (heard(&signal, lost, true), heard(&signal, lost, false));
        // Only the frames right after a loss: those in it were given.
        let after =
            |samples: &[i16]| samples.chunks_exact(320).skip(8).step_by(10).flatten().copied().collect::<Vec<_>>();
        let (better, worse) = (error(&after(&following), &after(&whole)), error(&after(&alone), &after(&whole)));
        assert!(better < worse / 3.0, "{better} against {worse}");
    }

    #[test]
    fn there_is_no_step_where_good_samples_come_again() {
        let signal = wide(5, 16_000);
        let whole = heard(&signal, |_| false, false);
        let following = heard(&signal, |n| n % 10 == 7, true);
        assert!(largest_step(&following) < largest_step(&whole) * 5 / 4);
    }

    #[test]
    fn in_pieces_of_any_length_it_comes_to_the_same() {
        let made = wide(7, 2000);
        let mut whole = Decoder::new();
        whole.follow(&made);
        let mut pieces = Decoder::new();
        let ends = [0, 22, 320, 322, 1000, 2000 - AHEAD];
        for pair in ends.windows(2) {
            pieces.follow(&made[pair[0]..pair[1] + AHEAD]);
        }
        assert_eq!(format!("{whole:?}"), format!("{pieces:?}"));
    }

    #[test]
    fn too_little_is_left_alone() {
        let mut decoder = Decoder::new();
        decoder.follow(&[1000; AHEAD + 1]);
        decoder.follow(&[]);
        assert_eq!(format!("{decoder:?}"), format!("{:?}", Decoder::new()));
        decoder.follow(&[i16::MAX; AHEAD + 3]);
    }
}
