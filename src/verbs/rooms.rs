//! Words about conference rooms.

use crate::ids::RecordingId;

/// How a room is entered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// Is heard, hears nothing.
    pub deaf: bool,
    /// A chime tells the others that it comes and goes.
    pub chime: bool,
    /// Its voice is made as loud as the others' (automatic gain).
    pub level: bool,
}

/// What can be ordered in a room. A member is named by its call's id, as records have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoomOrder {
    /// Which rooms are there? Replies [`Reply::Rooms`](super::Reply::Rooms).
    Rooms,
    /// Who is there? Replies [`Reply::Members`](super::Reply::Members).
    Members {
        /// The room.
        room: String,
    },
    /// A member is no longer heard, or again. Replies [`Reply::Done`](super::Reply::Done).
    Mute {
        /// The room.
        room: String,
        /// Who.
        member: String,
        /// True: no longer heard.
        on: bool,
    },
    /// A member no longer hears, or again. Replies [`Reply::Done`](super::Reply::Done).
    Deafen {
        /// The room.
        room: String,
        /// Who.
        member: String,
        /// True: no longer hears.
        on: bool,
    },
    /// A member leaves the room; its flow goes on. Replies [`Reply::Done`](super::Reply::Done).
    Kick {
        /// The room.
        room: String,
        /// Who.
        member: String,
    },
}

/// A room that somebody is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomView {
    /// Its name.
    pub room: String,
    /// How many are there.
    pub members: usize,
    /// Recordings of it that run.
    pub recordings: Vec<RecordingId>,
}

/// Who is in a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its call's id, as records have it.
    pub id: String,
    /// The party's number.
    pub party: String,
    /// It is not heard.
    pub muted: bool,
    /// It does not hear.
    pub deaf: bool,
    /// Of three and more it spoke loudest at last.
    pub loudest: bool,
}
