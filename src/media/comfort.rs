//! Comfort noise (RFC 3389): what is heard while a peer that leaves out silence says nothing.

use crate::chance::Chance;

/// White noise of one loudness. The spectrum that a peer may describe is left out: nobody hears it at that level.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Comfort {
    /// Largest sample.
    peak: i16,
}

impl Comfort {
    /// From the payload: its first byte is the level, in dB below the loudest (section 3.1).
    pub(super) fn read(payload: &[u8]) -> Option<Comfort> {
        let level = payload.first()? & 0x7f;
        let rms = 32_767.0 * 10.0_f32.powf(-f32::from(level) / 20.0);
        // Of samples that are spread evenly; and nothing that would hurt.
        Some(Comfort { peak: (rms * 3.0_f32.sqrt()).min(3000.0) as i16 })
    }

    /// Some of it.
    pub(super) fn fill(self, chance: &mut Chance, out: &mut [i16]) {
        for group in out.chunks_mut(4) {
            let word = chance.bits();
            for (at, sample) in group.iter_mut().enumerate() {
                let noise = i32::from((word >> (16 * at)) as u16 as i16);
                *sample = ((noise * i32::from(self.peak)) >> 15) as i16;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::speech::rms;

    #[test]
    fn the_noise_is_as_loud_as_the_peer_says_and_never_very_loud() {
        let mut out = [0; 8000];
        for (level, expected) in [(40, 327.0), (60, 32.7), (127, 0.0)] {
            Comfort::read(&[level]).unwrap().fill(&mut Chance::new(1), &mut out);
            let rms = rms(&out);
            assert!((rms - expected).abs() < 0.1 * expected + 0.6, "{level}: {rms}");
        }
        Comfort::read(&[0x80]).unwrap().fill(&mut Chance::new(1), &mut out);
        assert!(out.iter().all(|s| s.abs() <= 3000));
        assert_eq!(Comfort::read(&[]), None);
    }
}
