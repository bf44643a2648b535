//! What may be done to something while it is played: by its flow, by the operator, and by keys of the party.

use std::{collections::VecDeque, time::Duration};

use super::{
    call::Call,
    core::Core,
    play::{Player, length},
    switch::Switch,
    task::{Ask, Doing},
};
use crate::{
    ids::{CallId, PlayId},
    media::Command,
    verbs::{Failure, Manner, Play, PlayKey, Reply, Steer, VOLUME},
};

/// How much louder or softer a key makes it, in dB.
const NOTCH: f32 = 3.0;
/// Orders that may wait for the engine's answer.
const ASKS: usize = 32;

/// What a play's keys mean, and how it stands.
#[derive(Default)]
pub(super) struct Hand {
    pub manner: Manner,
    stop_on: String,
    keys: Vec<(char, PlayKey)>,
    step: Duration,
    paused: bool,
    /// It began and ends with an event.
    pub told: bool,
    /// Who is to be told where it is; `None`: a key asked, nobody is told.
    asks: VecDeque<Option<Ask>>,
}

/// What became of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pressed {
    /// It means nothing to what is played.
    Nothing,
    /// It did something to it.
    Steered,
    /// It stops it.
    Stop,
}

impl Hand {
    pub fn new(play: &Play) -> Hand {
        let manner = Manner { volume: play.manner.volume.clamp(VOLUME.0, VOLUME.1), ..play.manner };
        let (stop_on, keys) = (play.stop_on.clone(), play.keys.clone());
        Hand { manner, stop_on, keys, step: play.step, paused: false, told: true, asks: VecDeque::new() }
    }

    /// Without keys; events tell of it.
    pub fn plain() -> Hand {
        Hand { told: true, ..Hand::default() }
    }

    /// What this key is to do.
    fn turn(&mut self, key: char) -> Option<Steer> {
        let (_, what) = self.keys.iter().find(|(known, _)| *known == key)?;
        Some(match what {
            PlayKey::Pause if self.paused => Steer::Resume,
            PlayKey::Pause => Steer::Pause,
            PlayKey::Back => Steer::Back(self.step),
            PlayKey::Forward => Steer::Forward(self.step),
            PlayKey::Restart => Steer::Seek(Duration::ZERO),
            PlayKey::Louder => Steer::Volume(self.manner.volume + NOTCH),
            PlayKey::Softer => Steer::Volume(self.manner.volume - NOTCH),
        })
    }

    /// Note what is done.
    fn take(&mut self, steer: Steer) -> Steer {
        match steer {
            Steer::Pause => self.paused = true,
            Steer::Resume => self.paused = false,
            Steer::Volume(volume) => {
                self.manner.volume = volume.clamp(VOLUME.0, VOLUME.1);
                return Steer::Volume(self.manner.volume);
            }
            Steer::Seek(_) | Steer::Forward(_) | Steer::Back(_) | Steer::Tell => {}
        }
        steer
    }

    /// It is over: nobody can say where it is.
    pub fn give_up(mut self, core: &mut Core) {
        for ask in self.asks.drain(..).flatten() {
            core.reply(ask, Reply::Failed(Failure::WrongState));
        }
    }
}

impl Call {
    /// Do something to what is played; `ask` is told where it is then.
    pub fn steer(
        &mut self,
        core: &mut Core,
        ask: Option<Ask>,
        (which, steer): (Option<PlayId>, Steer),
    ) -> Result<(), Failure> {
        let Some(port) = self.port.open().map(|open| open.id) else { return Err(Failure::WrongState) };
        let Player::Playing { play, hand } = &mut self.player else { return Err(Failure::WrongState) };
        let play = *play;
        if which.is_some_and(|which| which != play) || self.hold.on_air {
            return Err(Failure::WrongState);
        }
        if hand.asks.len() >= ASKS {
            return Err(Failure::Limit("orders to one play at a time"));
        }
        hand.asks.push_back(ask);
        let steer = hand.take(steer);
        self.command(core, Command::Steer { port, play, steer });
        Ok(())
    }

    /// Stop what is played.
    pub fn stop_play(&mut self, core: &mut Core, which: Option<PlayId>) -> Result<Reply, Failure> {
        match &self.player {
            Player::Playing { play, .. } if which.is_none_or(|which| which == *play) && !self.hold.on_air => {
                self.stop_playing(core);
                Ok(Reply::Done)
            }
            Player::Idle | Player::Loading { .. } | Player::Playing { .. } => Err(Failure::WrongState),
        }
    }

    /// A key of the party, while something may be played.
    pub fn key_steers(&mut self, core: &mut Core, key: char) -> Pressed {
        let (hand, on_air) = match &mut self.player {
            Player::Idle => return Pressed::Nothing,
            Player::Loading { hand, .. } => (hand, false),
            Player::Playing { hand, .. } => (hand, true),
        };
        if let Some(steer) = hand.turn(key).filter(|_| on_air) {
            // Where too many came at once, one is left out.
            let _ = self.steer(core, None, (None, steer));
            return Pressed::Steered;
        }
        if hand.stop_on.contains(key) { Pressed::Stop } else { Pressed::Nothing }
    }
}

impl Switch {
    /// The engine tells where a play is.
    pub(super) fn on_play_at(&mut self, id: CallId, play: PlayId, at: u64) {
        let Some((call, _)) = self.call(id) else { return };
        let Player::Playing { play: now, hand } = &mut call.player else { return };
        if *now == play
            && let Some(Some(ask)) = hand.asks.pop_front()
        {
            self.reply(ask, Reply::At(length(at)));
        }
    }

    /// A key of the party. True: it was for what is played, and is nobody else's.
    pub(super) fn key_for_play(&mut self, id: CallId, key: char) -> bool {
        let Some((call, core)) = self.call(id) else { return false };
        match call.key_steers(core, key) {
            Pressed::Nothing => return false,
            Pressed::Steered => return true,
            Pressed::Stop => {}
        }
        let mut waits = false;
        if let Some(Doing::Play { key: stopped, wait }) = call.task.as_mut().map(|task| &mut task.doing) {
            if stopped.is_some() {
                return false;
            }
            (*stopped, waits) = (Some(key), *wait);
        }
        if !call.stop_playing(core) {
            // It had not begun.
            match waits {
                true => self.play_ended(id, 0),
                false => self.finish_task(id, Reply::Failed(Failure::WrongState)),
            }
        }
        // What plays beside is only stopped: the key is for what the call does.
        waits
    }
}
