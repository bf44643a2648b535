//! The lasting things that a call does, and for whom.

use crate::{
    ids::{RecordingId, RequestId},
    switch::{detect::Detecting, gather::Collector, hunt::Hunt, info::Dictated, refer::Referring},
    time::Time,
    verbs::{Origin, Record, Verb},
};

/// Who asked, and under which number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::switch) struct Ask {
    pub origin: Origin,
    pub id: RequestId,
}

/// The lasting thing that a call does.
pub(in crate::switch) struct Task {
    pub ask: Ask,
    pub doing: Doing,
}

pub(in crate::switch) enum Doing {
    /// The ACK is waited for.
    Answer,
    /// Media is waited for, to do this.
    Media(Box<Verb>),
    Play {
        /// What stopped it.
        key: Option<char>,
        /// Until its end; false: until it begins.
        wait: bool,
    },
    Gather(Box<Collector>),
    Record(RecordingId),
    /// It plays the beep before this recording.
    Beep(Box<Record>),
    Dial(Box<Hunt>),
    Bridge {
        stop_on: String,
    },
    Room {
        stop_on: String,
    },
    Echo {
        stop_on: String,
        until: Option<Time>,
    },
    SendDigits,
    /// Keys go out by INFO.
    SendInfo(Dictated),
    Transfer(Referring),
    /// It waits to be fetched.
    Park {
        slot: String,
        until: Time,
    },
    Sleep {
        until: Time,
    },
    /// Who answers?
    Detect(Detecting),
    /// A message of the party is waited for.
    Message {
        until: Time,
    },
}

impl Doing {
    /// The digits that the party presses now are a secret.
    pub fn is_secret(&self) -> bool {
        match self {
            Doing::Gather(collector) => collector.is_secret(),
            Doing::Media(verb) => matches!(&**verb, Verb::Gather(gather) if gather.secret),
            Doing::Answer
            | Doing::Play { .. }
            | Doing::Record(_)
            | Doing::Beep(_)
            | Doing::Dial(_)
            | Doing::Bridge { .. }
            | Doing::Room { .. }
            | Doing::Echo { .. }
            | Doing::SendDigits
            | Doing::SendInfo(_)
            | Doing::Transfer(_)
            | Doing::Park { .. }
            | Doing::Sleep { .. }
            | Doing::Detect(_)
            | Doing::Message { .. } => false,
        }
    }
}

impl Task {
    pub fn timeout(&self) -> Option<Time> {
        match &self.doing {
            Doing::Gather(collector) => collector.timeout(),
            Doing::Echo { until, .. } => *until,
            Doing::Sleep { until } | Doing::Message { until } | Doing::Park { until, .. } => Some(*until),
            Doing::Transfer(referring) => Some(referring.until),
            Doing::Detect(detecting) => Some(detecting.until),
            Doing::SendInfo(order) => Some(order.next),
            Doing::Answer
            | Doing::Media(_)
            | Doing::Play { .. }
            | Doing::Record(_)
            | Doing::Beep(_)
            | Doing::Dial(_)
            | Doing::Bridge { .. }
            | Doing::Room { .. }
            | Doing::SendDigits => None,
        }
    }
}
