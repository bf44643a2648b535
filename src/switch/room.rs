//! Rooms: who is in them and may speak and hear there, and those who listen in on a call that is not theirs.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    TraceEvent,
    bridge::Joined,
    call::Call,
    core::Core,
    happened::What,
    switch::Switch,
    task::{Ask, Doing, Task},
};
use crate::{
    ids::{BridgeId, CallId, PortId, RecordingId, WorkerId},
    media::{Command, Role},
    verbs::{Entry, Failure, LeaveReason, Member, Reply, RoomOrder},
};

/// Longest name of a room.
const NAME: usize = 128;

pub(super) struct Room {
    bridge: BridgeId,
    /// The media thread of all its ports.
    worker: WorkerId,
    members: BTreeMap<CallId, Seat>,
    /// Who spoke loudest at last.
    loudest: Option<CallId>,
    /// Its recordings; also such as are over.
    pub tapes: BTreeSet<RecordingId>,
}

/// How a member takes part.
#[derive(Clone, Copy, Debug, Default)]
struct Seat {
    muted: bool,
    deaf: bool,
    /// A chime tells that it comes and goes.
    chimes: bool,
}

impl Seat {
    fn role(self) -> Role {
        match (self.muted, self.deaf) {
            (false, false) => Role::Both,
            (true, false) => Role::Listen,
            (false, true) => Role::Speak,
            (true, true) => Role::Idle,
        }
    }
}

impl Room {
    pub fn bridge(&self) -> BridgeId {
        self.bridge
    }

    /// The media thread of all its ports.
    pub fn worker(&self) -> WorkerId {
        self.worker
    }

    /// Who is there, in the order in which their calls began.
    pub fn members(&self) -> impl Iterator<Item = CallId> {
        self.members.keys().copied()
    }

    /// Whether a chime is to be heard for this one, who leaves.
    fn remove(&mut self, id: CallId) -> bool {
        if self.loudest == Some(id) {
            self.loudest = None;
        }
        self.members.remove(&id).is_some_and(|seat| seat.chimes)
    }
}

impl Call {
    fn chime(&mut self, core: &mut Core, rising: bool) {
        if let Some(port) = self.port.open().map(|open| open.id) {
            self.command(core, Command::Chime { port, rising });
        }
    }

    fn level(&mut self, core: &mut Core, on: bool) {
        if let Some(port) = self.port.open().map(|open| open.id) {
            self.command(core, Command::Level { port, on });
        }
    }
}

impl Switch {
    /// Enter a room, made when first entered.
    pub(super) fn enter_room(&mut self, id: CallId, name: String, muted: bool, entry: Entry) -> Result<(), Failure> {
        if name.is_empty() || name.len() > NAME {
            return Err(Failure::Limit("length of a room's name"));
        }
        let members = self.rooms.get(&name).map_or(0, |room| room.members.len());
        if members >= self.core.config.limits.room {
            return Err(Failure::Limit("parties in a room"));
        }
        self.part(id);
        let worker = self.calls.get(&id).and_then(|call| call.port.worker()).ok_or(Failure::WrongState)?;
        let bridge = BridgeId(self.core.id());
        let room = self.rooms.entry(name.clone());
        let room = room.or_insert_with(|| Room {
            bridge,
            worker,
            members: BTreeMap::new(),
            loudest: None,
            tapes: BTreeSet::new(),
        });
        let seat = Seat { muted, deaf: entry.deaf, chimes: entry.chime };
        room.members.insert(id, seat);
        let (bridge, worker) = (room.bridge, room.worker);
        if let Some((call, core)) = self.call(id) {
            call.move_port(core, worker);
            call.enter_bridge(core, bridge, seat.role(), Joined::Room(name));
            if entry.level {
                call.level(core, true);
            }
            if seat.chimes {
                call.chime(core, true);
            }
        }
        self.note_voices(id);
        Ok(())
    }

    /// The call is out of the bridge; the room forgets it, and goes with the last one.
    pub(super) fn leave_room(&mut self, id: CallId, name: &str) {
        let Some(room) = self.rooms.get_mut(name) else { return };
        let chimes = room.remove(id);
        let witness = room.members.keys().next().copied();
        if witness.is_none() {
            self.rooms.remove(name);
        }
        if let Some((call, core)) = self.call(id) {
            call.level(core, false);
        }
        if let Some((call, core)) = witness.filter(|_| chimes).and_then(|id| self.call(id)) {
            call.chime(core, false);
        }
    }

    /// What a script orders in a room.
    pub(super) fn order_in_room(&mut self, order: RoomOrder) -> Result<Reply, Failure> {
        let (name, member, change) = match order {
            RoomOrder::Rooms => return Ok(Reply::Rooms(self.views())),
            RoomOrder::Members { room } => return Ok(Reply::Members(self.members(&room))),
            RoomOrder::Mute { room, member, on } => (room, member, Change::Muted(on)),
            RoomOrder::Deafen { room, member, on } => (room, member, Change::Deaf(on)),
            RoomOrder::Kick { room, member } => (room, member, Change::Out),
        };
        let id = self.named(&member).ok_or(Failure::NoSuchCall)?;
        let room = self.rooms.get_mut(&name).ok_or(Failure::NoSuchCall)?;
        let (bridge, seat) = (room.bridge, room.members.get_mut(&id).ok_or(Failure::NoSuchCall)?);
        match change {
            Change::Muted(on) => seat.muted = on,
            Change::Deaf(on) => seat.deaf = on,
            Change::Out => {
                self.part(id);
                self.left(id, LeaveReason::Kicked);
                return Ok(Reply::Done);
            }
        }
        let role = seat.role();
        if let Some((call, core)) = self.call(id) {
            call.enter_bridge(core, bridge, role, Joined::Room(name));
        }
        Ok(Reply::Done)
    }

    /// Who is in a room, in the order in which their calls began; nobody where there is no such room.
    fn members(&self, name: &str) -> Vec<Member> {
        let Some(room) = self.rooms.get(name) else { return Vec::new() };
        let member = |(id, seat): (&CallId, &Seat)| {
            let call = self.calls.get(id)?;
            let party = if call.parent.is_some() { &call.about.to } else { &call.about.from };
            Some(Member {
                id: call.name.clone(),
                party: party.clone(),
                muted: seat.muted,
                deaf: seat.deaf,
                loudest: room.loudest == Some(*id),
            })
        };
        room.members.iter().filter_map(member).collect()
    }

    /// Hear what another call hears and says, and where `whisper` be heard by its party alone.
    pub(super) fn begin_listen(
        &mut self,
        ask: Ask,
        id: CallId,
        other: &str,
        (whisper, stop_on): (bool, String),
    ) -> Result<(), Failure> {
        let of = self.named(other).filter(|of| *of != id).ok_or(Failure::NoSuchCall)?;
        let watched = self.calls.get(&of).filter(|call| call.over.is_none()).ok_or(Failure::NoSuchCall)?;
        let (Some(port), Some(worker)) = (watched.port.open().map(|open| open.id), watched.port.worker()) else {
            return Err(Failure::WrongState);
        };
        let bridge = match &watched.joined {
            Joined::Peer { bridge, .. } => *bridge,
            Joined::Room(name) => self.rooms.get(name).map(Room::bridge).ok_or(Failure::WrongState)?,
            Joined::Alone | Joined::Watch { .. } => return Err(Failure::WrongState),
        };
        self.part(id);
        let role = if whisper { Role::Whisper(port) } else { Role::Listen };
        let (call, core) = self.call(id).ok_or(Failure::NoSuchCall)?;
        call.move_port(core, worker);
        call.enter_bridge(core, bridge, role, Joined::Watch { of });
        call.task = Some(Task { ask, doing: Doing::Room { stop_on } });
        let listener = call.name.clone();
        self.watchers.entry(of).or_default().insert(id);
        if whisper {
            self.note_voices(id);
        }
        if let Some((call, core)) = self.call(of) {
            call.happened(core, What::Listened { listener, whisper });
        }
        Ok(())
    }

    /// The call that was listened in on left its bridge: there is nothing to hear any more.
    pub(super) fn dismiss_watchers(&mut self, of: CallId) {
        for watcher in self.watchers.remove(&of).unwrap_or_default() {
            if let Some((call, core)) = self.call(watcher)
                && call.joined == (Joined::Watch { of })
            {
                call.leave_bridge(core);
                self.tell_unlistened(watcher, of);
                self.left(watcher, LeaveReason::PeerHungUp);
            }
        }
    }

    pub(super) fn stop_watching(&mut self, id: CallId, of: CallId) {
        if let Some(watchers) = self.watchers.get_mut(&of) {
            watchers.remove(&id);
            if watchers.is_empty() {
                self.watchers.remove(&of);
            }
            self.tell_unlistened(id, of);
        }
    }

    fn tell_unlistened(&mut self, watcher: CallId, of: CallId) {
        let listener = self.calls.get(&watcher).map(|call| call.name.clone());
        if let (Some(listener), Some((call, core))) = (listener, self.call(of)) {
            call.happened(core, What::Unlistened { listener });
        }
    }

    /// The engine says who is the loudest.
    pub(super) fn on_loudest(&mut self, port: PortId) {
        let Some((call, core)) = self.call_of_port(port) else { return };
        let id = call.id;
        core.trace(id, TraceEvent::Media("speaks loudest in its room".to_owned()));
        if let Joined::Room(name) = &call.joined {
            let name = name.clone();
            call.happened(core, What::Speaker { room: name.clone() });
            if let Some(room) = self.rooms.get_mut(&name) {
                room.loudest = Some(id);
            }
        }
    }

    /// A call that waits in a room is told that it is out of it.
    fn left(&mut self, id: CallId, why: LeaveReason) {
        let task = self.calls.get(&id).and_then(|call| call.task.as_ref());
        if matches!(task.map(|task| &task.doing), Some(Doing::Room { .. })) {
            self.finish_task(id, Reply::Left(why));
        }
    }

    /// A call by the id that scripts and records know it by.
    fn named(&self, name: &str) -> Option<CallId> {
        let id = CallId(name.rsplit_once('-')?.1.parse().ok()?);
        self.calls.get(&id).filter(|call| call.name == name).map(|call| call.id)
    }
}

/// What is to become of a member.
enum Change {
    Muted(bool),
    Deaf(bool),
    Out,
}
