//! What happens to the sound of a call beside the steps of its way: told as it happens, and kept like the steps.

use std::net::SocketAddr;

use serde::Serialize;
use utoipa::ToSchema;

use super::{Output, call::Call, core::Core};
use crate::verbs::RecordEnd;

/// Something that happened on a call. Never told after its record.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Happening {
    /// The call's id, as records have it.
    #[serde(skip)]
    pub call: String,
    /// Who called.
    pub from: String,
    /// Who was called.
    pub to: String,
    /// What.
    #[serde(flatten)]
    pub what: Happened,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(untagged)]
pub enum Happened {
    /// One side does not hear the other.
    OneWay(OneWay),
    /// Somebody else speaks loudest in a conference room now.
    Speaker(Speaker),
    /// A recording is over.
    Recorded(Recorded),
}

impl Happened {
    /// The word for it.
    pub const fn kind(&self) -> &'static str {
        match self {
            Happened::OneWay(_) => "media.one_way",
            Happened::Speaker(_) => "room.speaker",
            Happened::Recorded(_) => "recording.stopped",
        }
    }
}

/// One-way audio, told once for each reason.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct OneWay {
    /// Why.
    pub reason: OneWayReason,
    /// The same in one line for people, with the addresses.
    pub text: String,
    /// Where SDP says that the party is, `address:port`; null: nowhere.
    pub sdp: Option<String>,
    /// Where packets come from, or came from; null: none came.
    pub source: Option<String>,
}

/// Why one side does not hear the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OneWayReason {
    /// No packet ever came.
    Nothing,
    /// Packets come, but none that may be heard: from a stranger, or of a format that was not agreed on.
    Refused,
    /// They came, and then no more.
    Stopped,
    /// They come with nothing but silence in them.
    Silence,
    /// The party reports that next to nothing of ours arrives.
    Unheard,
}

/// Who speaks.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Speaker {
    /// The room's name. The event's call is the one that speaks.
    pub room: String,
}

/// A recording that is over.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Recorded {
    /// Its number, as the API names it.
    pub recording: u64,
    /// Its files, as paths below the recording folder; empty: nothing could be written.
    pub files: Vec<String>,
    /// How long it was to be.
    pub seconds: f64,
    /// Why it is over.
    pub reason: RecordedReason,
    /// What went wrong, as the disk says; null: nothing.
    pub error: Option<String>,
}

/// Why a recording is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RecordedReason {
    /// It was stopped, or the call ended.
    Stopped,
    /// A key of the party.
    Key,
    /// It was as long as allowed.
    Max,
    /// The party was silent.
    Silence,
    /// The disk took no more, or not even its beginning.
    Disk,
}

impl From<RecordEnd> for RecordedReason {
    fn from(why: RecordEnd) -> RecordedReason {
        match why {
            RecordEnd::Stopped => RecordedReason::Stopped,
            RecordEnd::Key(_) => RecordedReason::Key,
            RecordEnd::Max => RecordedReason::Max,
            RecordEnd::Silence => RecordedReason::Silence,
        }
    }
}

impl Call {
    /// Tell what happened, unless all is told of the call already.
    pub(super) fn tell_happened(&self, core: &mut Core, what: Happened) {
        if self.recorded {
            return;
        }
        let (from, to) = (self.about.from.clone(), self.about.to.clone());
        let happening = Happening { call: self.name.clone(), from, to, what };
        core.out.push_back(Output::Happening(Box::new(happening)));
    }
}

/// As events have it.
pub(super) fn address(at: Option<SocketAddr>) -> Option<String> {
    at.map(|at| at.to_string())
}
