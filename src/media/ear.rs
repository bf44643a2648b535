//! What a port listens for in its party's audio: keys that come as tones, where none come as events, and who answers.
//!
//! Keys are heard in what the jitter buffer gives, so each frame that holds one can be silenced before anybody hears
//! it: the other party gets the key once, as an event or as a tone of ours, never twice.

use super::{FRAME, View};
use crate::{
    audio::{Convert, dtmf, progress::Progress},
    codec::Rate,
    verbs::Heard,
};

/// Keys that one tick can end: two, of 40 ms each, overlap it at most.
const KEYS: usize = 2;
/// Findings that one tick can have.
const FOUND: usize = 3;

/// The ear of one port.
#[derive(Debug)]
pub(super) struct Ear {
    /// From the rate of what is said to 8,000 samples a second.
    convert: Convert,
    /// There where keys come as tones only: no telephone-event is agreed on.
    tones: Option<Box<dtmf::Detector>>,
    /// Who hears the party is told its keys in another way.
    mutes: bool,
    pressed: [Option<char>; KEYS],
    /// Who answers?
    progress: Option<Box<Progress>>,
    found: [Option<Heard>; FOUND],
}

impl Ear {
    pub(super) fn new(tones: Option<Box<dtmf::Detector>>) -> Ear {
        Ear {
            convert: Convert::new(),
            tones,
            mutes: false,
            pressed: [None; KEYS],
            progress: None,
            found: [None; FOUND],
        }
    }

    /// A new agreement. What is not needed stays in `tones`, or goes there, to be freed elsewhere.
    pub(super) fn equip(&mut self, tones: &mut Option<Box<dtmf::Detector>>) {
        if self.tones.is_some() != tones.is_some() {
            std::mem::swap(&mut self.tones, tones);
            self.convert = Convert::new();
            self.pressed = [None; KEYS];
        }
    }

    pub(super) fn set_muting(&mut self, mutes: bool) {
        self.mutes = mutes;
    }

    /// Who listens for who answers: the one before goes into `listener`, to be freed elsewhere.
    pub(super) fn set_listener(&mut self, listener: &mut Option<Box<Progress>>) {
        std::mem::swap(&mut self.progress, listener);
        self.found = [None; FOUND];
    }

    /// Something is listened for.
    pub(super) fn listens(&self) -> bool {
        self.tones.is_some() || self.progress.is_some()
    }

    /// What the party said in this tick; `made_up`: some of it stands for what was lost. True: it is no speech, and not for
    /// others.
    pub(super) fn handle(&mut self, said: View<'_>, made_up: bool) -> bool {
        if !self.listens() {
            return false;
        }
        if said.rate() == Rate::Narrow {
            return self.listen(said.samples(), made_up);
        }
        let mut narrow = [0; FRAME];
        self.convert.run(said.rate(), said.samples(), Rate::Narrow, &mut narrow);
        self.listen(&narrow, made_up)
    }

    /// The same, at 8,000 samples a second.
    fn listen(&mut self, said: &[i16], made_up: bool) -> bool {
        if let Some(progress) = &mut self.progress {
            let found = &mut self.found;
            progress.handle(said, |heard| {
                if let Some(place) = found.iter_mut().find(|place| place.is_none()) {
                    *place = Some(heard);
                }
            });
        }
        let Some(tones) = &mut self.tones else { return false };
        let pressed = &mut self.pressed;
        let mut tell = |key| {
            if let Some(place) = pressed.iter_mut().find(|place| place.is_none()) {
                *place = Some(key);
            }
        };
        match made_up {
            true => tones.handle_made_up(said, &mut tell),
            false => tones.handle(said, &mut tell),
        }
        self.mutes && tones.down()
    }

    /// The next thing that was found out about who answers.
    pub(super) fn found(&mut self) -> Option<Heard> {
        self.found.iter_mut().find_map(Option::take)
    }

    /// The next key that was heard.
    pub(super) fn pressed(&mut self) -> Option<char> {
        self.pressed.iter_mut().find_map(Option::take)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{super::RATE, *};
    use crate::audio::tone;

    fn hear(ear: &mut Ear, samples: &[i16]) -> (String, usize) {
        let (mut keys, mut muted) = (String::new(), 0);
        for frame in samples.chunks(160) {
            muted += usize::from(ear.listen(frame, false));
            keys.extend(std::iter::from_fn(|| ear.pressed()));
        }
        (keys, muted)
    }

    #[test]
    fn keys_are_heard_and_muted_only_where_that_is_wanted() {
        let mut sound = tone::digit('7', Duration::from_millis(100)).unwrap();
        sound.resize(1600, 0);
        assert_eq!(hear(&mut Ear::new(None), &sound), (String::new(), 0));
        let mut ear = Ear::new(Some(Box::new(dtmf::Detector::new(RATE))));
        assert_eq!(hear(&mut ear, &sound), ("7".to_owned(), 0));
        ear.set_muting(true);
        let (keys, muted) = hear(&mut ear, &sound);
        assert!(keys == "7" && (4..=6).contains(&muted), "{muted}");
    }
}
