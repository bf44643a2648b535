//! Packet loss concealment: what was lost is made up from what was just heard.
//!
//! The idea is that of G.711 Appendix I: find the pitch of the last 50 ms, repeat the last pitch period, after 10 ms the
//! last two, after 20 ms the last three (one period over and over soon sounds like a machine), and get quieter. Here
//! nothing is held back for it: instead of delaying all audio by 3.75 ms to blend into the loss, the repetition starts
//! with the step that it would make, and lets that step die away.
//!
//! ```text
//! level  1.0 ──────┐10 ms
//!                    ╲___           60 ms: 0.25
//!                        ╲___ ______╲  80 ms: silence
//! ```
//!
//! The first good samples after a loss are cross-faded with the repetition going on below them. Where they are known before
//! the loss is to be heard, they go back into it as the past goes on into it ([`Conceal::join`]): that is better by half a
//! PESQ point at 5 % loss.
//!
//! All lengths in here are in samples at 8 kHz; at a higher rate they are multiplied, and the pitch is found roughly
//! first.

use crate::{audio::likeness::likeness, codec::Rate};

/// How much of the past is kept: three longest periods and the overlap.
const HISTORY: usize = 400;
/// Shortest pitch period, in samples: 400 Hz.
const MIN_PERIOD: usize = 20;
/// Longest pitch period, in samples: 66 Hz.
const MAX_PERIOD: usize = 120;
/// How many samples are compared with those one period before. More of them follow a voice that changes less well.
const WINDOW: usize = 60;
/// So much of what follows a gap must be known, to go back from there.
const LEAST_NEXT: usize = 80;
/// Below this likeness (1.0: the same) there is no pitch worth repeating.
const VOICED: f32 = 0.3;
/// The step into the repetition dies away within 3 ms.
const SETTLE: usize = 24;
/// Full level until here: 10 ms.
const FULL: usize = 80;
/// Falls to [`LOW_LEVEL`] until here: 60 ms.
const LOW: usize = 480;
/// Silence from here: 80 ms.
const SILENT: usize = 640;
const LOW_LEVEL: f32 = 0.25;
/// Longest cross-fade back: 10 ms.
const LONGEST_RETURN: usize = 80;

/// One stream's concealment. Give it every good sample with [`Conceal::hear`], ask for the lost ones with
/// [`Conceal::make_up`], in the order in which they are played. Pieces may have any length.
#[derive(Debug)]
pub struct Conceal {
    state: State,
    /// How many samples there are for one at 8 kHz.
    scale: usize,
    /// The last samples that were played, newest last; [`HISTORY`] of them at the present rate, room for the highest.
    history: Box<[i16]>,
    /// What is repeated: the history as it was when the loss began.
    source: Box<[i16]>,
    repetition: Repetition,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Nothing was ever heard.
    Fresh,
    /// Nothing is missing.
    Hearing,
    /// `made` samples were made up so far.
    MakingUp { made: usize },
    /// Good samples come again: `done` of `length` are cross-faded; `made` counts on.
    Returning { made: usize, done: usize, length: usize },
}

/// How the source is repeated.
#[derive(Clone, Copy, Debug)]
struct Repetition {
    /// Pitch period in samples.
    period: usize,
    /// So many periods at most: as many as the source holds, with the overlap.
    periods: usize,
    /// All of them from the start: there is no pitch.
    unvoiced: bool,
    /// From the sample that the repetition follows on to the one it would expect there.
    step: f32,
}

/// Samples that go on after their last one, for as long as is wanted.
#[derive(Clone, Copy)]
struct GoingOn<'a> {
    source: &'a [i16],
    repetition: Repetition,
    scale: usize,
}

impl Conceal {
    /// Nothing heard yet; memory for rates up to `highest`, which it begins with.
    pub fn new(highest: Rate) -> Conceal {
        let room = HISTORY * highest.scale();
        Conceal {
            state: State::Fresh,
            scale: highest.scale(),
            history: vec![0; room].into_boxed_slice(),
            source: vec![0; room].into_boxed_slice(),
            repetition: Repetition { period: MAX_PERIOD * highest.scale(), periods: 3, unvoiced: true, step: 0.0 },
        }
    }

    /// Nothing heard yet, at `rate` from now on.
    pub fn reset(&mut self, rate: Rate) {
        self.state = State::Fresh;
        self.scale = rate.scale().min(self.history.len() / HISTORY);
        self.history.fill(0);
    }

    /// So many samples at the present rate.
    fn at_rate(&self, samples: usize) -> usize {
        samples * self.scale
    }

    fn history(&self) -> &[i16] {
        &self.history[..HISTORY * self.scale]
    }

    /// Good samples, on their way to be played. After a loss they are cross-faded in place.
    pub fn hear(&mut self, samples: &mut [i16]) {
        if let State::MakingUp { made } = self.state {
            self.state = State::Returning { made, done: 0, length: return_length(made / self.scale) * self.scale };
        }
        if matches!(self.state, State::Fresh) {
            self.state = State::Hearing;
        }
        if let State::Returning { made, done, length } = self.state {
            let now = samples.len().min(length - done);
            for (at, sample) in samples.iter_mut().take(now).enumerate() {
                let share = (done + at + 1) as f32 / (length + 1) as f32;
                let below = self.repeated(made + at);
                *sample = (below + share * (f32::from(*sample) - below)) as i16;
            }
            self.state = if done + now < length {
                State::Returning { made: made + now, done: done + now, length }
            } else {
                State::Hearing
            };
        }
        self.remember(samples);
    }

    /// Fill `out` with what is likely to have been there.
    pub fn make_up(&mut self, out: &mut [i16]) {
        let made = match self.state {
            State::Fresh => return out.fill(0),
            State::MakingUp { made } => made,
            State::Hearing | State::Returning { .. } => {
                self.begin();
                0
            }
        };
        for (at, sample) in out.iter_mut().enumerate() {
            *sample = self.repeated(made + at) as i16;
        }
        // Past the fade the count has no meaning any more; it must not run over in a call of weeks.
        self.state = State::MakingUp { made: (made + out.len()).min(self.at_rate(SILENT)) };
        self.remember(out);
    }

    /// Nothing is missing at the moment.
    pub fn is_hearing(&self) -> bool {
        match self.state {
            State::Hearing | State::Returning { .. } => true,
            State::Fresh | State::MakingUp { .. } => false,
        }
    }

    /// What [`Conceal::make_up`] would give if a loss began now; nothing is changed by it.
    pub fn guess(&mut self, out: &mut [i16]) {
        self.begin();
        for (at, sample) in out.iter_mut().enumerate() {
            *sample = self.repeated(at) as i16;
        }
    }

    /// Fill `gap` where it is known already what comes after it: `next`, at least 10 ms of good samples. What is before it goes
    /// on into the gap, what is after it goes back into it, turned round, and one fades into the other. The gap is no loss
    /// any more: it is to be heard as good samples are. [`Conceal::can_join`] is asked before.
    pub fn join(&mut self, gap: &mut [i16], next: &[i16]) {
        let scale = self.scale;
        let known = next.len().min(self.at_rate(HISTORY));
        let made = match self.state {
            State::MakingUp { made } => made,
            State::Fresh | State::Hearing | State::Returning { .. } => {
                self.begin();
                0
            }
        };
        let mut turned = [0; HISTORY * Rate::Full.scale()];
        for (to, from) in turned[..known].iter_mut().zip(next[..known].iter().rev()) {
            *to = *from;
        }
        let source = &turned[..known];
        let back = GoingOn { source, repetition: Repetition::of(source, scale), scale };
        let length = gap.len();
        for (at, sample) in gap.iter_mut().enumerate() {
            let turn = std::f32::consts::PI * (at + 1) as f32 / (length + 1) as f32;
            let share = 0.5 - 0.5 * turn.cos();
            let (before, after) = (self.repeated(made + at), back.sample(length - 1 - at));
            *sample = (before + share * (after - before)) as i16;
        }
        self.state = State::Hearing;
    }

    /// Something was heard before, and so many samples at 8 kHz are enough to go back from.
    pub fn can_join(&self, next: usize) -> bool {
        next >= LEAST_NEXT && !matches!(self.state, State::Fresh)
    }

    /// True where all that is made up is silence by now.
    pub fn is_silent(&self) -> bool {
        match self.state {
            State::Fresh => true,
            State::MakingUp { made } => made >= self.at_rate(SILENT),
            State::Hearing | State::Returning { .. } => false,
        }
    }

    /// A loss begins.
    fn begin(&mut self) {
        let length = self.at_rate(HISTORY);
        self.source[..length].copy_from_slice(&self.history[..length]);
        self.repetition = Repetition::of(self.history(), self.scale);
    }

    /// Made-up sample number `at`, counted from the start of the loss.
    fn repeated(&self, at: usize) -> f32 {
        let source = &self.source[..self.at_rate(HISTORY)];
        GoingOn { source, repetition: self.repetition, scale: self.scale }.sample(at)
    }

    fn remember(&mut self, samples: &[i16]) {
        let length = HISTORY * self.scale;
        let newest = &samples[samples.len().saturating_sub(length)..];
        self.history.copy_within(newest.len()..length, 0);
        self.history[length - newest.len()..length].copy_from_slice(newest);
    }
}

impl Repetition {
    /// Of these samples, at `scale` for one at 8 kHz.
    fn of(source: &[i16], scale: usize) -> Repetition {
        let (period, alike) = pitch(source, scale);
        // What closes the cycle comes from before it.
        let periods = (source.len().saturating_sub(period / 4) / period).clamp(1, 3);
        let unvoiced = alike < VOICED;
        let repeated = if unvoiced { periods * period } else { period };
        let last = source.len() - 1;
        let step = f32::from(source[last]) - f32::from(source[last - repeated.min(last)]);
        Repetition { period, periods, unvoiced, step }
    }
}

impl GoingOn<'_> {
    /// Sample number `at` after the last one.
    fn sample(&self, at: usize) -> f32 {
        let scale = self.scale;
        if at >= SILENT * scale {
            return 0.0;
        }
        let Repetition { period, periods: most, unvoiced, step } = self.repetition;
        let overlap = period / 4;
        let longer = FULL * scale;
        let periods = if unvoiced { most } else { (1 + at / longer).min(most) };
        let mut value = self.cycle(periods, at);
        let since = at - longer * (periods - 1).min(at / longer);
        if periods > 1 && !unvoiced && since < overlap {
            // One more period joins in: blend, at the same place of the pitch.
            let share = (since + 1) as f32 / (overlap + 1) as f32;
            let before = self.cycle(periods - 1, at);
            value = before + share * (value - before);
        }
        let settle = SETTLE * scale;
        if at < settle {
            value += step * (1.0 - (at + 1) as f32 / (settle + 1) as f32);
        }
        (value * level(at as f32 / scale as f32)).clamp(i16::MIN.into(), i16::MAX.into())
    }

    /// The last `periods` periods, round and round. The end of the cycle is blended with what came before its start,
    /// so that it closes without a step.
    fn cycle(&self, periods: usize, at: usize) -> f32 {
        let source = self.source;
        let length = periods * self.repetition.period;
        let overlap = self.repetition.period / 4;
        let place = at % length;
        let value = f32::from(source[source.len() - length + place]);
        let Some(blended) = (place + overlap).checked_sub(length) else { return value };
        let share = (blended + 1) as f32 / (overlap + 1) as f32;
        let before = f32::from(source[source.len() + place - 2 * length]);
        value + share * (before - value)
    }
}

/// The longer the loss, the longer the way back: 4 ms, and 4 ms more for each 10 ms. Silence needs no more than 4 ms.
fn return_length(made: usize) -> usize {
    if made >= SILENT { 32 } else { (32 + made / 80 * 32).min(LONGEST_RETURN) }
}

/// `at` in samples at 8 kHz.
fn level(at: f32) -> f32 {
    const FULL_UNTIL: f32 = FULL as f32;
    const LOW_FROM: f32 = LOW as f32;
    const SILENT_FROM: f32 = SILENT as f32;
    match at {
        ..FULL_UNTIL => 1.0,
        FULL_UNTIL..LOW_FROM => 1.0 - (1.0 - LOW_LEVEL) * (at - FULL_UNTIL) / (LOW_FROM - FULL_UNTIL),
        LOW_FROM..SILENT_FROM => LOW_LEVEL * (SILENT_FROM - at) / (SILENT_FROM - LOW_FROM),
        _ => 0.0,
    }
}

/// The period at which the newest samples are most like those before them, and how much: 1.0 is the same. Sought at
/// 8 kHz, then around the place found at the full rate. Where there are few samples, short periods only.
fn pitch(history: &[i16], scale: usize) -> (usize, f32) {
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

#[cfg(test)]
mod tests {
    use std::f32::consts::TAU;

    use super::*;
    use crate::audio::speech::{largest_step, rms, speech};

    fn tone(frequency: f32, samples: usize) -> Vec<i16> {
        (0..samples).map(|n| (8000.0 * (TAU * frequency * n as f32 / 8000.0).sin()) as i16).collect()
    }

    /// Play `signal` in frames of 20 ms, losing those that `lost` names.
    fn play(signal: &[i16], lost: impl Fn(usize) -> bool) -> Vec<i16> {
        let mut conceal = Conceal::new(Rate::Narrow);
        let mut played = signal.to_vec();
        for (n, frame) in played.chunks_mut(160).enumerate() {
            if lost(n) { conceal.make_up(frame) } else { conceal.hear(frame) }
        }
        played
    }

    #[test]
    fn without_loss_nothing_is_changed() {
        let signal = speech(1, 16_000);
        assert_eq!(play(&signal, |_| false), signal);
    }

    #[test]
    fn a_lost_frame_of_a_steady_tone_is_hardly_to_be_told_from_the_tone() {
        for frequency in [100.0, 160.0, 250.0, 400.0, 1000.0] {
            let signal = tone(frequency, 3200);
            let played = play(&signal, |n| n == 10);
            let error: Vec<i16> = played.iter().zip(&signal).map(|(a, b)| a - b).collect();
            let lost = 1600..1760;
            assert!(rms(&error[lost.clone()]) < 0.35 * rms(&signal[lost.clone()]), "{frequency} Hz");
            assert!(rms(&played[lost]) > 0.7 * 8000.0 / 2.0_f64.sqrt(), "{frequency} Hz is too quiet");
            assert!(largest_step(&played) <= largest_step(&signal) * 3 / 2, "{frequency} Hz clicks");
        }
    }

    #[test]
    fn speech_with_losses_has_no_silent_frame_no_click_and_keeps_its_level() {
        for seed in 1..20 {
            let signal = speech(seed, 80_000);
            let played = play(&signal, |n| n % 17 == 9 || n % 50 == 20 || n % 50 == 21);
            for (n, frame) in played.chunks(160).enumerate().skip(3) {
                let around = rms(&signal[(n - 3) * 160..(n * 160 + 320).min(signal.len())]);
                assert!(frame.iter().any(|&s| s != 0), "frame {n} of {seed} is plain silence");
                assert!(rms(frame) > 0.1 * around, "frame {n} of {seed}: {} of {around}", rms(frame));
                assert!(rms(frame) < 3.0 * around, "frame {n} of {seed}: {} of {around}", rms(frame));
                let near = (n - 3) * 160..(n * 160 + 320).min(signal.len());
                let (heard, said) = (largest_step(&played[n * 160 - 1..n * 160 + 160]), largest_step(&signal[near]));
                assert!(heard <= said * 3 / 2 + 50, "frame {n} of {seed} steps by {heard}, speech by {said}");
            }
        }
    }

    /// Play `signal` as [`play`] does, with what follows a loss known before.
    fn play_joined(signal: &[i16], rate: Rate, lost: impl Fn(usize) -> bool) -> Vec<i16> {
        let mut conceal = Conceal::new(rate);
        let mut played = signal.to_vec();
        let length = rate.frame();
        for n in 0..played.len() / length {
            let (before, next) = played.split_at_mut((n + 1) * length);
            let frame = &mut before[n * length..];
            if lost(n) {
                assert!(conceal.can_join(160));
                conceal.join(frame, &next[..length]);
            }
            conceal.hear(frame);
        }
        played
    }

    #[test]
    fn a_gap_whose_other_side_is_known_is_closer_to_what_was_said_and_changes_nothing_after_it() {
        let (mut joined, mut alone) = (0.0, 0.0);
        for seed in 1..20 {
            let signal = speech(seed, 80_000);
            let lost = |n| n % 17 == 9;
            let error = |played: &[i16]| {
                rms(&played.iter().zip(&signal).map(|(a, b)| a.saturating_sub(*b)).collect::<Vec<_>>())
            };
            let played = play_joined(&signal, Rate::Narrow, lost);
            joined += error(&played);
            alone += error(&play(&signal, lost));
            for n in (0..500).filter(|n| n % 17 != 9) {
                assert_eq!(played[n * 160..][..160], signal[n * 160..][..160], "frame {n} of {seed}");
            }
            for n in (9..499).step_by(17) {
                let near = (n - 3) * 160..(n * 160 + 480).min(signal.len());
                let (heard, said) = (largest_step(&played[n * 160 - 1..n * 160 + 161]), largest_step(&signal[near]));
                assert!(heard <= said * 3 / 2 + 50, "frame {n} of {seed} steps by {heard}, speech by {said}");
            }
        }
        assert!(joined < 0.85 * alone, "{joined} against {alone}");
    }

    #[test]
    fn a_joined_gap_in_a_steady_tone_is_the_tone_at_every_rate() {
        for rate in Rate::ALL {
            let hz = rate.hz() as f32;
            let signal: Vec<i16> =
                (0..rate.frame() * 20).map(|n| (8000.0 * (TAU * 250.0 * n as f32 / hz).sin()) as i16).collect();
            let played = play_joined(&signal, rate, |n| n == 10);
            let error: Vec<i16> = played.iter().zip(&signal).map(|(a, b)| a - b).collect();
            let lost = rate.frame() * 10..rate.frame() * 11;
            assert!(rms(&error[lost.clone()]) < 0.2 * rms(&signal[lost]), "{rate:?}");
        }
    }

    #[test]
    fn the_shortest_that_may_follow_a_gap_is_10_ms_and_silence_is_no_ground_to_join_on() {
        let mut conceal = Conceal::new(Rate::Narrow);
        assert!(!conceal.can_join(160));
        conceal.hear(&mut tone(250.0, 400));
        assert!(conceal.can_join(80) && !conceal.can_join(79));
        let mut gap = [0; 480];
        conceal.join(&mut gap, &tone(250.0, 80));
        assert!(gap.iter().any(|s| *s != 0));
    }

    #[test]
    fn a_long_loss_gets_quieter_and_is_silent_after_80_ms() {
        let signal = speech(3, 1600 + 160 * 10);
        let mut conceal = Conceal::new(Rate::Narrow);
        let mut heard = signal[..1600].to_vec();
        conceal.hear(&mut heard);
        let levels: Vec<f64> = (0..6)
            .map(|_| {
                let mut frame = [0; 160];
                conceal.make_up(&mut frame);
                rms(&frame)
            })
            .collect();
        assert!(levels[0] > levels[2] && levels[2] > levels[3] && levels[3] > 0.0, "{levels:?}");
        assert_eq!(levels[4..], [0.0, 0.0]);
        assert!(conceal.is_silent());
        let mut back = tone(500.0, 160);
        conceal.hear(&mut back);
        assert!(back[0].abs() < 400 && !conceal.is_silent());
        assert_eq!(back[32..], tone(500.0, 160)[32..], "faded in within 4 ms");
    }

    #[test]
    fn pieces_of_any_length_give_the_same_as_whole_frames() {
        let signal = speech(5, 4800);
        let whole = play(&signal, |n| n == 12);
        let mut conceal = Conceal::new(Rate::Narrow);
        let mut pieces = signal;
        for (n, piece) in pieces.chunks_mut(10).enumerate() {
            if n / 16 == 12 { conceal.make_up(piece) } else { conceal.hear(piece) }
        }
        assert_eq!(pieces, whole);
    }

    #[test]
    fn a_loss_before_anything_was_heard_is_silence() {
        let mut conceal = Conceal::new(Rate::Narrow);
        let mut frame = [9; 160];
        conceal.make_up(&mut frame);
        assert_eq!(frame, [0; 160]);
        conceal.hear(&mut []);
        conceal.make_up(&mut []);
        conceal.hear(&mut [i16::MIN; 1000]);
        conceal.make_up(&mut [0; 1000]);
    }
}
