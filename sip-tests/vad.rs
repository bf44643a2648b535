//! Speech told from pauses, by our detector and by that of WebRTC beside it, in voices that were kept apart, with noise
//! that is quiet and with noise that is not. `docs/listening.md` has what this prints.

use std::time::Duration;

use switchhook::audio::vad::{Vad, level};
use webrtc_vad::{SampleRate, VadMode};

use crate::listening::{HELD_OUT, voice};

const FRAME: Duration = Duration::from_millis(20);
const HANGOVER: Duration = Duration::from_millis(200);

/// Who listens.
enum Listener {
    Ours(Vad),
    /// And for how many frames more it is speech.
    Theirs(webrtc_vad::Vad, u32),
}

impl Listener {
    fn all() -> [(&'static str, Listener); 3] {
        let theirs = |mode| Listener::Theirs(webrtc_vad::Vad::new_with_rate_and_mode(SampleRate::Rate8kHz, mode), 0);
        [
            ("ours", Listener::Ours(Vad::new(FRAME, HANGOVER))),
            ("webrtc-vad, mode 3", theirs(VadMode::VeryAggressive)),
            ("webrtc-vad, mode 2", theirs(VadMode::Aggressive)),
        ]
    }

    fn handle(&mut self, frame: &[i16]) -> bool {
        match self {
            Listener::Ours(vad) => vad.handle(frame),
            Listener::Theirs(vad, left) => {
                let voice = vad.is_voice_segment(frame).expect("20 ms at 8 kHz");
                let before = *left > 0;
                *left = if voice { (HANGOVER.as_millis() / FRAME.as_millis()) as u32 } else { left.saturating_sub(1) };
                voice || before
            }
        }
    }
}

/// Frames of speech and of pauses, and how many of each were heard as speech.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    speech: usize,
    heard: usize,
    pauses: usize,
    wrong: usize,
}

impl Counts {
    /// Of the speech, what is heard as speech.
    fn recall(&self) -> f64 {
        100.0 * self.heard as f64 / self.speech as f64
    }

    /// Of what is heard as speech, what is speech.
    fn precision(&self) -> f64 {
        100.0 * self.heard as f64 / (self.heard + self.wrong) as f64
    }

    /// Of the pauses, what is heard as pauses.
    fn pauses(&self) -> f64 {
        100.0 - 100.0 * self.wrong as f64 / self.pauses as f64
    }
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (recall, precision, pauses) = (self.recall(), self.precision(), self.pauses());
        write!(f, "recall {recall:.1} %, precision {precision:.1} %, pauses {pauses:.1} %")
    }
}

/// Speech is what is louder than -35 dBm0 without the noise, a pause what is quieter for more than 300 ms; what is between
/// is neither.
fn measure(listeners: &mut [(&str, Listener); 3], clean: &[i16], noise_dbm0: f64) -> [Counts; 3] {
    let peak = 15_866.0 * 3.0_f64.sqrt() * 10.0_f64.powf(noise_dbm0 / 20.0);
    let (mut seed, mut counts, mut since) = (1_u64, [Counts::default(); 3], 0);
    let mut noise = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (((seed >> 33) as f64 / f64::from(1_u32 << 31) * 2.0 - 1.0) * peak) as i16
    };
    for frame in clean.chunks_exact(160) {
        let noisy: Vec<i16> = frame.iter().map(|sample| sample.saturating_add(noise())).collect();
        let loud = level(frame) > -35.0;
        since = if loud { 0 } else { since + 1 };
        for ((_, listener), counts) in listeners.iter_mut().zip(&mut counts) {
            let heard = listener.handle(&noisy);
            if loud {
                counts.speech += 1;
                counts.heard += usize::from(heard);
            } else if since > 15 {
                counts.pauses += 1;
                counts.wrong += usize::from(heard);
            }
        }
    }
    counts
}

#[test]
fn speech_is_told_from_pauses_in_voices_that_were_kept_apart_as_well_as_webrtc_tells_it() {
    // Recall, precision and pauses of ours at least.
    for (noise, least) in [(-50.0, [99.0, 99.7, 96.9]), (-35.0, [98.0, 99.9, 99.9])] {
        let mut all = [Counts::default(); 3];
        for name in HELD_OUT {
            let clean = voice(name, 1);
            let mut listeners = Listener::all();
            for (at, counts) in measure(&mut listeners, &clean, noise).into_iter().enumerate() {
                println!("{noise} dBm0, {}, {name}: {counts}", listeners[at].0);
                all[at].speech += counts.speech;
                all[at].heard += counts.heard;
                all[at].pauses += counts.pauses;
                all[at].wrong += counts.wrong;
            }
        }
        for ((who, _), counts) in Listener::all().iter().zip(all) {
            println!("{noise} dBm0, {who}, all: {counts}");
        }
        let found = [all[0].recall(), all[0].precision(), all[0].pauses()];
        assert!(found.iter().zip(least).all(|(found, least)| *found >= least), "{noise} dBm0: {found:?}");
        assert!(all[0].recall() > all[1].recall() - 0.6, "hardly less than WebRTC's");
    }
}
