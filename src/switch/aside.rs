//! What is done to a call beside its flow: its party is muted, and something is announced to it.

use super::{call::Call, core::Core, happened::What, play::Player, task::Ask};
use crate::{
    ids::BridgeId,
    media::{Command, Role},
    verbs::{Failure, Manner, Play, Reply, Sound},
};

/// How a call takes part in a bridge or room.
pub(super) struct Voice {
    /// What it was given there.
    pub role: Role,
    /// Where that is; absent: nowhere.
    pub bridge: Option<BridgeId>,
    /// The id of the call that it talks with there.
    pub partner: Option<String>,
    muted: bool,
}

impl Default for Voice {
    fn default() -> Voice {
        Voice { role: Role::Both, bridge: None, partner: None, muted: false }
    }
}

impl Voice {
    /// What is left of its role while it is muted.
    pub fn heard(&self) -> Role {
        match self.role {
            role if !self.muted => role,
            Role::Both | Role::Listen | Role::Whisper(_) => Role::Listen,
            Role::Speak | Role::Idle => Role::Idle,
        }
    }
}

impl Call {
    /// The party is no longer heard, or again, wherever it is and comes to.
    pub fn mute(&mut self, core: &mut Core, on: bool) -> Result<(), Failure> {
        if self.direct.is_some() {
            // Its audio does not come by here.
            return Err(Failure::WrongState);
        }
        if std::mem::replace(&mut self.voice.muted, on) != on {
            self.happened(core, if on { What::Muted {} } else { What::Unmuted {} });
        }
        if let (Some(bridge), Some(port)) = (self.voice.bridge, self.port.open().map(|open| open.id)) {
            let role = self.voice.heard();
            self.command(core, Command::Join { bridge, port, role });
        }
        Ok(())
    }

    /// Play these, where nothing else is being played but the music of a hold, which goes on afterwards.
    pub fn announce(&mut self, core: &mut Core, ask: Ask, sounds: Vec<Sound>, manner: Manner) -> Result<(), Failure> {
        let free = matches!(self.player, Player::Idle) || self.hold.on_air;
        if !free || !self.is_hearable() || self.direct.is_some() {
            return Err(Failure::WrongState);
        }
        self.play_as(core, &Play { manner, ..Play::new(sounds) })?;
        self.announced = Some(ask);
        Ok(())
    }

    /// Something else is played, or nothing any more.
    pub fn announcement_over(&mut self, core: &mut Core) {
        if let Some(ask) = self.announced.take() {
            core.reply(ask, Reply::Failed(Failure::WrongState));
        }
    }
}
