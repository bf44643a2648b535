//! Playing sounds: files and speech are loaded, tones and silence are made here, then the port plays all of them in one
//! go.

use std::{sync::Arc, time::Duration};

use super::{
    Output,
    call::{Call, Notice},
    core::Core,
    happened::{self, What},
    steer::Hand,
    switch::Switch,
    task::Doing,
};
use crate::{
    audio,
    codec::Rate,
    ids::{CallId, LoadId, PlayId},
    media::{Command, Pcm, RATE},
    verbs::{Failure, NoSound, Play, Reply, SignalTone, Sound, SoundFault, Tone},
};

/// Tones that are kept, and the longest one that is.
const TONES: usize = 64;
const TONE_SAMPLES: usize = 10 * RATE as usize;

/// What a call is playing.
pub(super) enum Player {
    Idle,
    /// Some sounds are still missing.
    Loading {
        sounds: Vec<Option<Arc<Pcm>>>,
        loads: Vec<Missing>,
        hand: Box<Hand>,
    },
    Playing {
        play: PlayId,
        hand: Box<Hand>,
    },
}

/// A sound that is being loaded.
pub(super) struct Missing {
    pub load: LoadId,
    /// Its place among the sounds.
    pub place: usize,
    /// Of how many play lists, one within another, it is an entry.
    pub depth: u8,
}

/// What the caller hears while others are rung.
pub(super) fn ringing() -> Sound {
    Sound::Tone { tone: Tone::Signal { signal: SignalTone::Ringing, country: None }, length: None }
}

/// Samples as time.
pub(super) fn length(samples: u64) -> Duration {
    Duration::from_micros(samples.saturating_mul(1_000_000 / u64::from(RATE)))
}

impl Call {
    /// Play these, once and as they are; what was being played is over without a word. [`Notice::Played`] or
    /// [`Notice::NotPlayed`] follows.
    pub fn play(&mut self, core: &mut Core, sounds: &[Sound]) -> Result<(), Failure> {
        self.play_by(core, sounds, Hand::default())
    }

    /// As [`Call::play`]; events tell of it.
    pub fn play_told(&mut self, core: &mut Core, sounds: &[Sound]) -> Result<(), Failure> {
        self.play_by(core, sounds, Hand::plain())
    }

    /// As [`Call::play_told`], in its own manner; [`Notice::Playing`] comes when it begins.
    pub fn play_as(&mut self, core: &mut Core, play: &Play) -> Result<(), Failure> {
        self.play_by(core, &play.sounds, Hand::new(play))
    }

    fn play_by(&mut self, core: &mut Core, sounds: &[Sound], hand: Hand) -> Result<(), Failure> {
        if sounds.len() > core.config.limits.sounds {
            return Err(Failure::Limit("sounds in one play"));
        }
        self.forget_play(core);
        self.announcement_over(core);
        self.hold.on_air = false;
        let made = sounds.iter().map(|sound| core.make(sound)).collect::<Result<Vec<_>, _>>()?;
        let missing = made.iter().zip(sounds).enumerate().filter(|(_, (made, _))| made.is_none());
        let (rate, mut loads) = (self.rate(), Vec::new());
        for (at, (_, sound)) in missing {
            let load = LoadId(core.id());
            loads.push(Missing { load, place: at, depth: 0 });
            core.loads.insert(load, self.id);
            core.out.push_back(Output::Load { load, sound: sound.clone(), rate });
        }
        if hand.told {
            self.happened(core, What::Playing { sounds: happened::named(sounds) });
        }
        self.player = Player::Loading { sounds: made, loads, hand: Box::new(hand) };
        self.play_when_loaded(core);
        Ok(())
    }

    /// The highest rate that is of use to the party.
    pub fn rate(&self) -> Rate {
        let agreed = self.port.open().and_then(|open| open.agreed.as_ref());
        let spoken = agreed.and_then(|agreed| agreed.send.as_ref().map(|(_, codec)| (*codec, agreed.opus.rate)));
        spoken.map_or(Rate::Narrow, |(codec, opus)| codec.rate_for(opus))
    }

    /// A sound is there, or cannot be had.
    pub fn handle_loaded(&mut self, core: &mut Core, load: LoadId, result: Result<Arc<Pcm>, NoSound>) {
        let Player::Loading { sounds, loads, .. } = &mut self.player else { return };
        let Some(found) = loads.iter().position(|missing| missing.load == load) else { return };
        let Missing { place, .. } = loads.swap_remove(found);
        match result {
            Ok(pcm) => {
                if let Some(sound) = sounds.get_mut(place) {
                    *sound = Some(pcm);
                }
                self.play_when_loaded(core);
            }
            Err(why) => {
                self.end_play(core, What::NotPlayed { reason: why.fault.as_str().to_owned() });
                core.tell(self.id, Notice::NotPlayed(why));
            }
        }
    }

    pub fn play_when_loaded(&mut self, core: &mut Core) {
        let Player::Loading { sounds, loads, hand } = &mut self.player else { return };
        if !loads.is_empty() {
            return;
        }
        let sounds: Box<[Arc<Pcm>]> = sounds.drain(..).flatten().collect();
        let (play, hand) = (PlayId(core.id()), std::mem::take(hand));
        let manner = hand.manner;
        self.player = Player::Playing { play, hand };
        core.tell(self.id, Notice::Playing(play));
        match self.port.open().map(|open| open.id) {
            Some(port) if !sounds.is_empty() => self.command(core, Command::Play { port, play, sounds, manner }),
            Some(_) | None => self.handle_played(core, play, 0),
        }
    }

    /// The engine is through with `play`.
    pub fn handle_played(&mut self, core: &mut Core, play: PlayId, samples: u64) {
        if matches!(self.player, Player::Playing { play: now, .. } if now == play) {
            self.end_play(core, What::Played { seconds: Some(length(samples).as_secs_f64()) });
            core.tell(self.id, Notice::Played { samples });
        }
    }

    /// Stop. True where [`Notice::Played`] will follow, because something was on the air.
    pub fn stop_playing(&mut self, core: &mut Core) -> bool {
        let (Player::Playing { play, .. }, Some(open)) = (&self.player, self.port.open()) else {
            self.forget_play(core);
            return false;
        };
        let (port, play) = (open.id, *play);
        self.command(core, Command::Stop { port, play });
        true
    }

    /// Stop, and do not tell when that is done.
    pub fn hush(&mut self, core: &mut Core) {
        self.stop_playing(core);
        self.forget_play(core);
        self.announcement_over(core);
        self.hold.on_air = false;
    }

    /// Nothing is played any more, as far as this call is concerned.
    pub fn forget_play(&mut self, core: &mut Core) {
        self.end_play(core, What::Played { seconds: None });
    }

    fn end_play(&mut self, core: &mut Core, what: What) {
        let hand = match std::mem::replace(&mut self.player, Player::Idle) {
            Player::Idle => return,
            Player::Loading { loads, hand, .. } => {
                for missing in loads {
                    core.loads.remove(&missing.load);
                }
                hand
            }
            Player::Playing { hand, .. } => hand,
        };
        if hand.told {
            self.happened(core, what);
        }
        hand.give_up(core);
    }
}

impl Switch {
    /// A play begins: who does not wait for its end is told now.
    pub(super) fn play_begins(&mut self, id: CallId, play: PlayId) {
        let Some((call, _)) = self.call(id) else { return };
        if matches!(call.task.as_ref().map(|task| &task.doing), Some(Doing::Play { wait: false, .. })) {
            self.finish_task(id, Reply::Playing(play));
        }
    }

    /// What was being played is over.
    pub(super) fn play_ended(&mut self, id: CallId, samples: u64) {
        let Some((call, core)) = self.call(id) else { return };
        let now = core.now;
        if let Some(ask) = call.announced.take() {
            return self.reply(ask, Reply::Played { key: None, length: length(samples) });
        }
        match call.task.as_mut().map(|task| &mut task.doing) {
            Some(Doing::Play { key, wait: true }) => {
                let reply = Reply::Played { key: *key, length: length(samples) };
                self.finish_task(id, reply);
            }
            Some(Doing::Gather(collector)) => {
                let step = collector.handle_prompt_end(now);
                self.gathered(id, step);
            }
            Some(Doing::Beep(_)) => self.record_after_beep(id),
            Some(Doing::Dial(_)) => self.ringback_over(id, samples > 0),
            Some(_) | None => {}
        }
    }

    /// What was to be played cannot be had.
    pub(super) fn play_failed(&mut self, id: CallId, why: NoSound) {
        let Some((call, _)) = self.call(id) else { return };
        tracing::warn!(call = %call.name, why = why.text, fault = why.fault.as_str(), "cannot play");
        if let Some(ask) = call.announced.take() {
            return self.reply(ask, Reply::Failed(Failure::Sound(why)));
        }
        match call.task.as_ref().map(|task| &task.doing) {
            Some(Doing::Play { .. } | Doing::Gather(_) | Doing::Beep(_)) => {
                self.finish_task(id, Reply::Failed(Failure::Sound(why)))
            }
            Some(Doing::Dial(_)) => self.ringback_over(id, false),
            Some(_) | None => {}
        }
    }
}

impl Core {
    /// A sound that needs no loading; `None` for those that do.
    fn make(&mut self, sound: &Sound) -> Result<Option<Arc<Pcm>>, Failure> {
        let longest = self.config.limits.tone;
        let allowed =
            |length: Duration| if length <= longest { Ok(()) } else { Err(Failure::Limit("length of a sound")) };
        match sound {
            Sound::File(_) | Sound::Web(_) | Sound::Speech(_) => Ok(None),
            Sound::Silence(length) => {
                allowed(*length)?;
                let samples = length.as_millis() * u128::from(RATE) / 1000;
                let samples = vec![0; usize::try_from(samples).unwrap_or(0)].into_boxed_slice();
                Ok(Some(Arc::new(Pcm { rate: Rate::Narrow, samples, looped: false })))
            }
            Sound::Tone { tone, length } => {
                length.map_or(Ok(()), allowed)?;
                if let Some(made) = self.tones.get(sound) {
                    return Ok(Some(made.clone()));
                }
                let made = audio::tone::tone(tone, *length, &self.config.country);
                let unheard_of =
                    |unknown: audio::tone::UnknownTone| NoSound::new(SoundFault::Missing, unknown.to_string());
                let made = made.map_err(|unknown| Failure::Sound(unheard_of(unknown)))?;
                let keep = self.tones.len() < TONES && made.samples.len() <= TONE_SAMPLES;
                let made =
                    Arc::new(Pcm { rate: Rate::Narrow, samples: made.samples.into_boxed_slice(), looped: made.looped });
                if keep {
                    self.tones.insert(sound.clone(), made.clone());
                }
                Ok(Some(made))
            }
        }
    }
}
