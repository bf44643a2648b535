//! A sound that goes on: its last pitch periods, round and round, and quieter.

use super::pitch::pitch;

/// Below this likeness (1.0: the same) there is no pitch worth repeating.
const VOICED: f32 = 0.3;
/// The step into the repetition dies away within 3 ms.
const SETTLE: usize = 24;
/// Full level until here: 10 ms.
const FULL: usize = 80;
/// Falls to [`LOW_LEVEL`] until here: 60 ms.
const LOW: usize = 480;
/// Silence from here: 80 ms.
pub(super) const SILENT: usize = 640;
const LOW_LEVEL: f32 = 0.25;

/// How the source is repeated.
#[derive(Clone, Copy, Debug)]
pub(super) struct Repetition {
    /// Pitch period in samples.
    pub(super) period: usize,
    /// So many periods at most: as many as the source holds, with the overlap.
    pub(super) periods: usize,
    /// All of them from the start: there is no pitch.
    pub(super) unvoiced: bool,
    /// From the sample that the repetition follows on to the one it would expect there.
    pub(super) step: f32,
}

/// Samples that go on after their last one, for as long as is wanted.
#[derive(Clone, Copy)]
pub(super) struct GoingOn<'a> {
    pub(super) source: &'a [i16],
    pub(super) repetition: Repetition,
    pub(super) scale: usize,
}

impl Repetition {
    /// Of these samples, at `scale` for one at 8 kHz.
    pub(super) fn of(source: &[i16], scale: usize) -> Repetition {
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
    pub(super) fn sample(&self, at: usize) -> f32 {
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
