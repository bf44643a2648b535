//! Sounds going out to a port, one after another without a gap.

use std::sync::Arc;

use super::{Frame, Pcm};
use crate::{codec::Rate, ids::PlayId};

/// One play.
#[derive(Debug)]
pub(super) struct Player {
    pub(super) id: PlayId,
    sounds: Box<[Arc<Pcm>]>,
    /// Which sound, and which sample of it, is next.
    sound: usize,
    sample: usize,
    /// Samples played, counted at 48 kHz.
    played: u64,
}

impl Player {
    pub(super) fn new(id: PlayId, sounds: Box<[Arc<Pcm>]>) -> Player {
        Player { id, sounds, sound: 0, sample: 0, played: 0 }
    }

    /// The next 20 ms, at the rate of the sound that is next; silence after the end, or after a sound that is followed by
    /// one of another rate.
    pub(super) fn fill(&mut self, frame: &mut Frame) {
        let rate = self.sounds.get(self.sound).map_or(Rate::Narrow, |pcm| pcm.rate);
        let out = frame.reset(rate);
        let mut filled = 0;
        while filled < out.len() {
            let Some(pcm) = self.sounds.get(self.sound).filter(|pcm| pcm.rate == rate) else { break };
            let rest = pcm.samples.get(self.sample..).unwrap_or_default();
            let take = rest.len().min(out.len() - filled);
            out[filled..filled + take].copy_from_slice(&rest[..take]);
            filled += take;
            self.sample += take;
            if take == rest.len() {
                self.sample = 0;
                // An empty sound ends even where it is looped: it would never fill anything.
                if !pcm.looped || pcm.samples.is_empty() {
                    self.sound += 1;
                }
            }
        }
        out[filled..].fill(0);
        self.played += (filled * (Rate::Full.scale() / rate.scale())) as u64;
    }

    /// Whether all was played.
    pub(super) fn finished(&self) -> bool {
        // Empty sounds at the end are played without a frame of their own.
        self.sounds.get(self.sound..).unwrap_or_default().iter().all(|pcm| pcm.samples.is_empty())
    }

    /// Samples played so far, at [`super::RATE`].
    pub(super) fn played(&self) -> u64 {
        self.played / Rate::Full.scale() as u64
    }

    /// The sounds, to be freed elsewhere.
    pub(super) fn into_sounds(self) -> Box<[Arc<Pcm>]> {
        self.sounds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pcm(samples: &[i16], looped: bool) -> Arc<Pcm> {
        Arc::new(Pcm { rate: Rate::Narrow, samples: samples.into(), looped })
    }

    fn next(player: &mut Player) -> Vec<i16> {
        let mut frame = Frame::silent(Rate::Full);
        player.fill(&mut frame);
        frame.samples().to_vec()
    }

    #[test]
    fn sounds_follow_each_other_without_a_gap_and_the_rest_is_silence() {
        let sounds = [pcm(&[1; 100], false), pcm(&[], true), pcm(&[2; 100], false)];
        let mut player = Player::new(PlayId(1), sounds.into());
        let out = next(&mut player);
        assert!(out[..100].iter().all(|s| *s == 1) && out[100..].iter().all(|s| *s == 2));
        assert!(!player.finished());
        let out = next(&mut player);
        assert!(out[..40].iter().all(|s| *s == 2) && out[40..].iter().all(|s| *s == 0));
        assert!(player.finished());
        assert_eq!(player.played(), 200);
    }

    #[test]
    fn a_looped_sound_never_ends() {
        let mut player = Player::new(PlayId(1), [pcm(&[1, 2, 3], true), pcm(&[7; 10], false)].into());
        let mut out = Vec::new();
        for _ in 0..100 {
            out = next(&mut player);
            assert!(out.iter().all(|s| (1..=3).contains(s)));
        }
        assert_eq!(out[..4], [1, 2, 3, 1], "99 frames before are a whole number of turns");
        assert!(!player.finished());
    }

    #[test]
    fn a_sound_of_another_rate_begins_with_the_next_tick_and_the_length_is_that_in_time() {
        let wide = Arc::new(Pcm { rate: Rate::Wide, samples: [5; 320].into(), looped: false });
        let mut player = Player::new(PlayId(1), [pcm(&[1; 100], false), wide].into());
        assert_eq!(next(&mut player), [[1; 100].as_slice(), &[0; 60]].concat());
        assert_eq!(next(&mut player), [5; 320]);
        assert!(player.finished());
        assert_eq!(player.played(), 260);
    }

    #[test]
    fn nothing_to_play_is_finished_at_once() {
        assert!(Player::new(PlayId(1), Box::new([])).finished());
        assert!(Player::new(PlayId(1), [pcm(&[], true)].into()).finished());
    }
}
