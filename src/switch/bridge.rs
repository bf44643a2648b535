//! Who hears whom: two calls in a bridge of their own. Rooms, which have a name, are in `room`.

use super::{
    call::Call,
    core::Core,
    fax::ALONE,
    happened::What,
    switch::Switch,
    task::{Ask, Doing, Task},
};
use crate::{
    ids::{BridgeId, CallId},
    media::{Command, Role},
    verbs::{Failure, LeaveReason, Reply},
};

/// With whom a call is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Joined {
    Alone,
    /// With one other call.
    Peer {
        peer: CallId,
        bridge: BridgeId,
    },
    /// In the room of this name.
    Room(String),
    /// It listens in on another call.
    Watch {
        of: CallId,
    },
}

impl Call {
    pub fn enter_bridge(&mut self, core: &mut Core, bridge: BridgeId, role: Role, joined: Joined) {
        self.voice.role = role;
        if let Some(port) = self.port.open().map(|open| open.id) {
            let role = self.voice.heard();
            self.command(core, Command::Join { bridge, port, role });
        }
        self.voice.bridge = Some(bridge);
        let before = std::mem::replace(&mut self.joined, joined);
        if let Joined::Room(room) = &self.joined
            && self.joined != before
        {
            let room = room.clone();
            self.happened(core, What::Entered { room });
        }
    }

    pub fn leave_bridge(&mut self, core: &mut Core) {
        if let Some(port) = self.port.open().map(|open| open.id) {
            self.command(core, Command::Leave { port });
        }
        self.voice.bridge = None;
        if let Some(partner) = self.voice.partner.take() {
            self.happened(core, What::Parted { partner });
        }
        if let Joined::Room(room) = std::mem::replace(&mut self.joined, Joined::Alone) {
            self.happened(core, What::Left { room });
        }
        self.end_fax(core, ALONE);
    }
}

impl Switch {
    /// Bridge two calls, on the media thread of the first one. `role` is what the second one may do.
    pub(super) fn join(&mut self, first: CallId, second: CallId, role: Role) {
        // Who is with each other already stays in the same bridge: nothing is to be heard of the change.
        let bridge = match self.calls.get(&first).map(|call| &call.joined) {
            Some(Joined::Peer { peer, bridge }) if *peer == second => *bridge,
            Some(Joined::Peer { .. } | Joined::Room(_) | Joined::Watch { .. } | Joined::Alone) | None => {
                self.part(first);
                self.part(second);
                BridgeId(self.core.id())
            }
        };
        let worker = self.calls.get(&first).and_then(|call| call.port.worker());
        let direct = self.calls.get(&first).is_some_and(|call| call.direct.is_some());
        if worker.is_none() && !direct {
            return;
        }
        if let Some((call, core)) = self.call(second) {
            if let Some(worker) = worker {
                call.move_port(core, worker);
            }
            call.enter_bridge(core, bridge, role, Joined::Peer { peer: first, bridge });
        }
        if let Some((call, core)) = self.call(first) {
            call.enter_bridge(core, bridge, Role::Both, Joined::Peer { peer: second, bridge });
        }
        if role == Role::Both {
            self.introduce(first, second);
        }
        self.note_voices(first);
        self.tend_hold(first);
        self.tend_hold(second);
    }

    /// They talk with each other from now on: both records say so.
    fn introduce(&mut self, first: CallId, second: CallId) {
        let name = |id: &CallId| self.calls.get(id).map(|call| call.name.clone());
        let (Some(one), Some(other)) = (name(&first), name(&second)) else { return };
        for (id, partner) in [(first, other), (second, one)] {
            if let Some((call, core)) = self.call(id) {
                call.meets(core, partner);
            }
        }
    }

    /// Take a call out of its bridge or room. The peer that waits in a bridge is told that it is alone.
    pub(super) fn part(&mut self, id: CallId) {
        let Some(joined) = self.calls.get(&id).map(|call| call.joined.clone()) else { return };
        self.dismiss_watchers(id);
        let Some((call, core)) = self.call(id) else { return };
        match joined {
            Joined::Alone => {}
            Joined::Peer { peer, bridge } => {
                call.leave_bridge(core);
                self.dismiss_watchers(peer);
                let Some((call, core)) = self.call(peer) else { return };
                if call.joined == (Joined::Peer { peer: id, bridge }) {
                    call.leave_bridge(core);
                    if matches!(call.task, Some(Task { doing: Doing::Bridge { .. }, .. })) {
                        self.finish_task(peer, Reply::Left(LeaveReason::PeerHungUp));
                    }
                    self.tend_hold(peer);
                }
                self.tend_hold(id);
            }
            Joined::Room(name) => {
                call.leave_bridge(core);
                self.leave_room(id, &name);
            }
            Joined::Watch { of } => {
                call.leave_bridge(core);
                self.stop_watching(id, of);
            }
        }
    }

    /// Bridge `id` with another call of the same flow and wait.
    pub(super) fn begin_bridge(
        &mut self,
        ask: Ask,
        id: CallId,
        other: CallId,
        stop_on: String,
    ) -> Result<Option<Reply>, Failure> {
        let gone = Ok(Some(Reply::Left(LeaveReason::PeerHungUp)));
        let Some(peer) = self.calls.get(&other).filter(|peer| self.may(ask.origin, peer)) else {
            return if self.knew(ask.origin, other) { gone } else { Err(Failure::NoSuchCall) };
        };
        if peer.over.is_some() {
            return gone;
        }
        if id == other || !peer.is_hearable() || matches!(peer.joined, Joined::Room(_) | Joined::Watch { .. }) {
            return Err(Failure::WrongState);
        }
        if !matches!(peer.joined, Joined::Peer { peer, .. } if peer == id) {
            self.join(id, other, Role::Both);
        }
        let (call, _) = self.call(id).ok_or(Failure::NoSuchCall)?;
        call.task = Some(Task { ask, doing: Doing::Bridge { stop_on } });
        Ok(None)
    }
}
