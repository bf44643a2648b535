//! Recordings of rooms: ordered by a call, in the room or outside; they go on when that call ends, as long as somebody is
//! in the room, and are in the record of the last one whose they were.

use super::{
    switch::Switch,
    task::{Ask, Doing, Task},
};
use crate::{
    codec::Rate,
    ids::{BridgeId, CallId, PortId, RecordingId},
    media::Command,
    verbs::{Failure, Record, Reply},
};

impl Switch {
    /// Record a room.
    pub(super) fn begin_room_record(&mut self, ask: Ask, id: CallId, how: &Record) -> Result<Option<Reply>, Failure> {
        if how.wait && self.calls.get(&id).is_some_and(|call| call.task.is_some()) {
            return Err(Failure::WrongState);
        }
        let room = how.room.as_deref().and_then(|name| self.rooms.get(name)).ok_or(Failure::NoSuchCall)?;
        let (bridge, worker) = (room.bridge(), room.worker());
        let rate = room.members().filter_map(|id| self.calls.get(&id)).map(|call| call.rate()).max();
        let (call, core) = self.call(id).ok_or(Failure::NoSuchCall)?;
        let plan = call.plan(core, how, rate.unwrap_or(Rate::Narrow))?;
        let (recording, rate, ends) = (plan.recording, plan.rate, plan.ends);
        let name = PortId(core.id());
        let blocks = call.note_recording(core, how, plan, (name, worker), Some(bridge));
        core.media(worker, Command::RecordBridge { bridge, name, recording, rate, ends, blocks });
        let reply = match how.wait {
            false => Some(Reply::Recording(recording)),
            true => {
                call.await_recording(recording, ask);
                call.task = Some(Task { ask, doing: Doing::Record(recording) });
                None
            }
        };
        self.note_tape(how.room.as_deref().unwrap_or_default(), recording);
        Ok(reply)
    }

    /// A call is over: who is in the room that it has recorded, has the recording from now on.
    pub(super) fn hand_tapes_on(&mut self, id: CallId) {
        let Some(call) = self.calls.get(&id) else { return };
        let tapes: Vec<(RecordingId, BridgeId)> = call.running_tapes().collect();
        for (recording, bridge) in tapes {
            let room = self.rooms.values().find(|room| room.bridge() == bridge);
            let heir = room.and_then(|room| room.members().find(|member| *member != id));
            if let Some(heir) = heir.filter(|heir| self.calls.contains_key(heir)) {
                self.hand_tape_on(recording, (id, heir));
            }
        }
    }

    fn hand_tape_on(&mut self, recording: RecordingId, (from, to): (CallId, CallId)) {
        let Some((call, _)) = self.call(from) else { return };
        let Some(tape) = call.give_tape(recording) else { return };
        let Some((call, core)) = self.call(to) else { return };
        core.recordings.insert(recording, to);
        call.recordings.push(tape);
    }
}
