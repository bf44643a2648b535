//! Hold and resume, from either side. A party that waits hears music: the one that a script holds or parks, and the one
//! whose partner in a bridge holds (RFC 3264 section 8.4; RFC 5359 section 2.1).

use std::time::Duration;

use super::{
    bridge::Joined,
    call::{Call, State},
    core::Core,
    happened::{By, What},
    play::Player,
    rules::HoldRule,
    switch::Switch,
    task::{Ask, Doing},
};
use crate::{
    ids::CallId,
    sdp::Direction,
    verbs::{Failure, Reply, Sound, Tone},
};

/// The pause between two beeps, where there is no music.
const PAUSE: Duration = Duration::from_secs(10);

/// Who of a call and its party waits for the other.
#[derive(Default)]
pub(super) struct Hold {
    /// A script holds the party.
    pub by_script: bool,
    /// That was told.
    told: bool,
    /// The other party of the bridge holds, and this one was told so.
    pub relayed: bool,
    /// The party holds us.
    pub by_party: bool,
    /// What the script wants to be heard.
    music: Option<Sound>,
    /// The player plays our music.
    pub on_air: bool,
    /// The music could not be had.
    broken: bool,
}

impl Call {
    /// What our next description of the session says.
    pub fn wanted_direction(&self) -> Direction {
        if self.hold.by_script || self.hold.relayed { Direction::SendOnly } else { Direction::SendRecv }
    }

    fn hold_music(&self, core: &Core) -> Vec<Sound> {
        let configured = || core.config.rules.hold_music.as_deref().map(Sound::named);
        match self.hold.music.clone().or_else(configured).filter(|_| !self.hold.broken) {
            Some(music) => vec![music],
            None => vec![Sound::Tone { tone: Tone::Beep, length: None }, Sound::Silence(PAUSE)],
        }
    }

    fn start_music(&mut self, core: &mut Core) {
        let music = self.hold_music(core);
        if self.play(core, &music).is_ok() {
            self.hold.on_air = true;
        } else if !self.hold.broken {
            self.hold.broken = true;
            self.start_music(core);
        }
    }
}

impl Switch {
    /// A script holds a call.
    pub(super) fn begin_hold(&mut self, ask: Ask, id: CallId, music: Option<Sound>) -> Result<Option<Reply>, Failure> {
        let (call, core) = self.call(id).ok_or(Failure::NoSuchCall)?;
        if !matches!(call.state, State::Talking { .. } | State::Accepting(_)) {
            return Err(Failure::WrongState);
        }
        (call.hold.music, call.hold.broken) = (music, false);
        if call.hold.by_script {
            return Ok(Some(Reply::Done));
        }
        call.hold.by_script = true;
        call.reoffer.asks.push(ask);
        call.reoffer(core);
        Ok(None)
    }

    /// A script takes a call back.
    pub(super) fn begin_resume(&mut self, ask: Ask, id: CallId) -> Result<Option<Reply>, Failure> {
        let (call, core) = self.call(id).ok_or(Failure::NoSuchCall)?;
        if !matches!(call.state, State::Talking { .. } | State::Accepting(_)) {
            return Err(Failure::WrongState);
        }
        if !call.hold.by_script {
            return Ok(Some(Reply::Done));
        }
        call.hold.by_script = false;
        call.reoffer.asks.push(ask);
        call.reoffer(core);
        self.tend_music(id);
        Ok(None)
    }

    /// Our re-INVITE is through.
    pub(super) fn on_reoffered(&mut self, id: CallId, result: Result<(), Failure>) {
        let Some((call, _)) = self.call(id) else { return };
        let asks = std::mem::take(&mut call.reoffer.asks);
        if call.direct.is_some() {
            return self.directly_reoffered(id, &result);
        }
        self.fax_reoffered(id, &result);
        let Some((call, core)) = self.call(id) else { return };
        if result.is_err() {
            // The session stays what it was.
            let held = call.port.open().and_then(|open| open.agreed.as_ref()).is_some_and(|a| !a.direction.receives());
            call.hold.by_script = call.hold.by_script && held;
            call.hold.relayed = call.hold.relayed && held;
        }
        let by = By::Us;
        if std::mem::replace(&mut call.hold.told, call.hold.by_script) != call.hold.by_script {
            call.happened(core, if call.hold.by_script { What::Held { by } } else { What::Resumed { by } });
        }
        for ask in asks {
            let reply = result.as_ref().map_or_else(|failure| Reply::Failed(failure.clone()), |()| Reply::Done);
            self.reply(ask, reply);
        }
        self.tend_music(id);
    }

    /// The party holds us, or does not any more.
    pub(super) fn on_held(&mut self, id: CallId) {
        let Some((call, core)) = self.call(id) else { return };
        let (held, by) = (call.hold.by_party, By::Party);
        tracing::info!(call = %call.name, held, "hold by the party");
        call.happened(core, if held { What::Held { by } } else { What::Resumed { by } });
        if let Joined::Peer { peer, .. } = call.joined {
            self.tend_hold(peer);
        }
        self.tend_hold(id);
    }

    /// Let a call hear music where it waits for its partner, and tell it so where that is the rule.
    pub(super) fn tend_hold(&mut self, id: CallId) {
        let waits = self.waits_for_partner(id);
        let rule = self.core.config.rules.hold;
        if let Some((call, core)) = self.call(id) {
            let relayed = waits && rule == HoldRule::Relay;
            let answered = matches!(call.state, State::Talking { .. } | State::Accepting(_)) && call.over.is_none();
            if call.hold.relayed != relayed && answered {
                call.hold.relayed = relayed;
                call.reoffer(core);
            }
        }
        self.tend_music(id);
    }

    fn waits_for_partner(&self, id: CallId) -> bool {
        let partner = self.calls.get(&id).and_then(|call| match call.joined {
            Joined::Peer { peer, .. } => self.calls.get(&peer),
            Joined::Alone | Joined::Room(_) | Joined::Watch { .. } => None,
        });
        partner.is_some_and(|partner| partner.hold.by_party)
    }

    /// Start or stop the music of a call, as its state wants it.
    pub(super) fn tend_music(&mut self, id: CallId) {
        let waits = self.waits_for_partner(id);
        let Some((call, core)) = self.call(id) else { return };
        let doing = call.task.as_ref().map(|task| &task.doing);
        let (busy, parked) = (matches!(doing, Some(Doing::Dial(_))), matches!(doing, Some(Doing::Park { .. })));
        let wanted = (waits || parked || call.hold.by_script) && call.over.is_none() && call.is_hearable() && !busy;
        if wanted && matches!(call.player, Player::Idle) {
            call.start_music(core);
        } else if !wanted && call.hold.on_air {
            call.hush(core);
        }
    }

    /// The player is through. True: it was our music, which begins again.
    pub(super) fn music_over(&mut self, id: CallId, had: bool) -> bool {
        let Some((call, _)) = self.call(id) else { return false };
        if !std::mem::take(&mut call.hold.on_air) {
            return false;
        }
        call.hold.broken |= !had;
        self.tend_music(id);
        true
    }
}
