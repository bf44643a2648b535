//! How a request is answered, and why it cannot be done.

use std::time::Duration;

use super::{Contact, Figures, Heard, Member, NoSound, NoStream, RecordEnd, Registration, Resource, RoomView, Text};
use crate::ids::{CallId, PlayId, RecordingId};

/// The answer to a [`Request`](super::Request).
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// Done, nothing to tell.
    Done,
    /// Something is being played now.
    Playing(PlayId),
    /// Where a play is, from the beginning of its first sound.
    At(Duration),
    /// Playing ended.
    Played {
        /// The digit that stopped it, if one did.
        key: Option<char>,
        /// How much was sent.
        length: Duration,
    },
    /// Digits were collected (perhaps none).
    Digits {
        /// What was pressed, without the terminator.
        digits: String,
        /// What ended it.
        why: GatherEnd,
    },
    /// A recording runs.
    Recording(RecordingId),
    /// A recording ended.
    Recorded {
        /// Which one.
        recording: RecordingId,
        /// The file, as a path below the recording folder; two of them with [`Voices::Apart`](super::Voices::Apart).
        files: Vec<String>,
        /// Its length.
        length: Duration,
        /// What ended it.
        why: RecordEnd,
    },
    /// Somebody answered, and is bridged to the caller.
    Dialed {
        /// The new leg.
        call: CallId,
        /// Which of the targets it is, counted from 0.
        target: usize,
    },
    /// A bridge, room or echo was left.
    Left(LeaveReason),
    /// Who is in a room.
    Members(Vec<Member>),
    /// Which rooms there are, by name.
    Rooms(Vec<RoomView>),
    /// How the audio goes.
    Figures(Box<Figures>),
    /// Who answers.
    Heard {
        /// What was heard; absent: nothing that is sure, in the time given.
        what: Option<Heard>,
        /// The machine's beep was heard.
        beep: bool,
    },
    /// The party was transferred.
    Transferred,
    /// A value from the key-value store; absent: no such key.
    Value(Option<String>),
    /// Whom a number belongs to; absent: nobody who is known.
    Contact(Option<Box<Contact>>),
    /// A message was taken with this code: 200 where it arrived, 202 where somebody keeps it for later.
    Sent {
        /// 200 to 299.
        code: u16,
    },
    /// A message of the call's party.
    Message(Text),
    /// Where a phone is; empty: nowhere.
    Registrations(Vec<Registration>),
    /// A queue, agent or AI agent; absent: there is none of this id.
    Resource(Option<Box<Resource>>),
    /// It could not be done.
    Failed(Failure),
}

/// What ended a [`Gather`](super::Gather).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GatherEnd {
    /// As many digits as asked for.
    Max,
    /// This terminator.
    Terminator(char),
    /// Pause after a digit.
    Timeout,
    /// No digit at all.
    NoInput,
}

/// Why a bridge, room or echo was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaveReason {
    /// The other party hung up.
    PeerHungUp,
    /// This digit.
    Key(char),
    /// The time limit.
    Limit,
    /// Somebody put it out of the room.
    Kicked,
}

impl LeaveReason {
    /// As scripts see it.
    pub const fn as_str(self) -> &'static str {
        match self {
            LeaveReason::PeerHungUp => "peer_hangup",
            LeaveReason::Key(_) => "key",
            LeaveReason::Limit => "limit",
            LeaveReason::Kicked => "kicked",
        }
    }
}

/// Why a [`Request`](super::Request) could not be done: the expected failures, which scripts get as `nil, reason`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The call is not in a state for it (say, answering an answered call).
    WrongState,
    /// No such call, or not this flow's.
    NoSuchCall,
    /// No such recording, or it ended.
    NoSuchRecording,
    /// No phone of ours has this number or user.
    NoSuchPhone,
    /// The call ended meanwhile.
    HungUp,
    /// Dial: nobody answered in time (also 408 and 480 after ringing).
    NoAnswer,
    /// Dial: 486 or 600.
    Busy,
    /// Dial: refused with this code.
    Refused(u16),
    /// Dial: the operator's rules deny the target; why.
    Denied(&'static str),
    /// Dial: no way there (name not found, nothing listens, 404, 503, ...).
    Unreachable,
    /// A sound could not be had; what and why.
    Sound(NoSound),
    /// Audio cannot be streamed; where to and why.
    Stream(NoStream),
    /// No media in common, or none could be opened.
    Media(String),
    /// The disk took no more of a recording, or none of it; why. What it took can be played.
    Disk(String),
    /// A limit of the configuration was reached; which.
    Limit(&'static str),
    /// The key-value store failed; why.
    Store(String),
}

impl Failure {
    /// The word that scripts see.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Failure::WrongState => "wrong_state",
            Failure::NoSuchCall => "no_such_call",
            Failure::NoSuchRecording => "no_such_recording",
            Failure::NoSuchPhone => "no_such_phone",
            Failure::HungUp => "hangup",
            Failure::NoAnswer => "no_answer",
            Failure::Busy => "busy",
            Failure::Refused(_) => "refused",
            Failure::Denied(_) => "denied",
            Failure::Unreachable => "unreachable",
            Failure::Sound(_) => "sound",
            Failure::Stream(_) => "stream",
            Failure::Media(_) => "media",
            Failure::Disk(_) => "disk",
            Failure::Limit(_) => "limit",
            Failure::Store(_) => "store",
        }
    }
}
