//! What the operator asks for that names no call: rooms, and recordings wherever they are.

use super::{
    switch::Switch,
    task::{Ask, Begun},
};
use crate::{
    ids::CallId,
    verbs::{Failure, RoomView, Verb},
};

impl Switch {
    /// A request of the console that is about no single call.
    pub(super) fn begin_without_call(&mut self, ask: Ask, verb: Verb) -> Begun {
        if let Verb::Room(order) = verb {
            return self.order_in_room(order).map(Some);
        }
        let call = self.whose(&verb).ok_or(Failure::NoSuchCall)?;
        self.begin_in_call(ask, call, verb)
    }

    /// The call that such a request is to be done by: somebody in the room, or who has the recording.
    fn whose(&self, verb: &Verb) -> Option<CallId> {
        if let Verb::Record(record) = verb {
            let room = self.rooms.get(record.room.as_deref()?)?;
            return room.members().next();
        }
        if let Verb::RecordStop { recording } | Verb::RecordAs { recording, .. } = verb {
            return self.core.recordings.get(recording).copied();
        }
        None
    }

    /// All rooms, by name.
    pub(super) fn views(&self) -> Vec<RoomView> {
        let view = |(name, room): (&String, &super::room::Room)| {
            let tapes = self.calls.values().flat_map(|call| call.running_tapes());
            let mine = tapes.filter(|(_, bridge)| *bridge == room.bridge());
            RoomView {
                room: name.clone(),
                members: room.members().count(),
                recordings: mine.map(|(recording, _)| recording).collect(),
            }
        };
        self.rooms.iter().map(view).collect()
    }
}
