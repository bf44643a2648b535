//! How a call is to end, and how it ended.

use crate::{
    switch::{EndDetail, EndReason, Status},
    time::Time,
    verbs::Failure,
};

/// How a call is to end.
#[derive(Clone, Debug)]
pub(in crate::switch) struct End {
    pub reason: EndReason,
    /// The status where it was not answered.
    pub unanswered: Status,
    /// What an unanswered INVITE of the peer is refused with; what the peer said, where it did.
    pub code: u16,
    /// What the one who dialled it is told.
    pub failure: Failure,
    /// Somebody else answered: a phone that rang need not show a missed call.
    pub elsewhere: bool,
    /// Somebody else took its place.
    pub transferred: bool,
    /// What exactly it was.
    pub detail: Option<EndDetail>,
}

impl End {
    /// The script came to its end, or hung up with [`End::canceled`].
    pub const FINISHED: End = End::new(EndReason::AgentCompleted, Status::NoAnswer, 480, Failure::HungUp);
    /// No script answers the number.
    pub const NO_ROUTE: End = End::new(EndReason::AgentUnavailable, Status::Failed, 404, Failure::Unreachable);
    /// Ended on demand.
    pub const HUNG_UP: End = End::new(EndReason::AgentCompleted, Status::Canceled, 603, Failure::HungUp);
    /// Another target of the hunt answered.
    pub const ELSEWHERE: End = End {
        reason: EndReason::AgentCompleted,
        unanswered: Status::Canceled,
        code: 603,
        failure: Failure::HungUp,
        elsewhere: true,
        transferred: false,
        detail: None,
    };
    /// The party hung up.
    pub const BY_PARTY: End = End::new(EndReason::CallerHangup, Status::Canceled, 487, Failure::HungUp);
    /// It rang for too long.
    pub const NO_ANSWER: End = End::new(EndReason::NoAnswer, Status::NoAnswer, 480, Failure::NoAnswer);
    /// Nothing can be reached there.
    pub const UNREACHABLE: End = End::new(EndReason::TelephonyError, Status::Failed, 503, Failure::Unreachable);
    /// The script failed.
    pub const SCRIPT_ERROR: End = End::new(EndReason::AgentError, Status::Failed, 500, Failure::HungUp);
    /// A limit stopped the script.
    pub const SCRIPT_LIMIT: End = End::new(EndReason::AgentCrashed, Status::Failed, 500, Failure::HungUp);
    /// Somebody else took its place.
    pub const TRANSFERRED: End = End {
        reason: EndReason::AgentCompleted,
        unanswered: Status::Canceled,
        code: 603,
        failure: Failure::HungUp,
        elsewhere: false,
        transferred: true,
        detail: None,
    };
    /// The session timer ran out.
    pub const EXPIRED: End = End::lost(EndDetail::SessionExpired, Failure::HungUp);
    /// The peer's media stopped, and its reports with them.
    pub const GONE: End = End::lost(EndDetail::RtpTimeout, Failure::HungUp);
    /// Nobody saw its end, and the party does not say that it is there.
    pub const LEFT_BEHIND: End = End::new(EndReason::Reconciled, Status::Failed, 500, Failure::HungUp);
    /// The peer's connection closed, and it is not there without it.
    pub const CUT: End = End::lost(EndDetail::TransportLost, Failure::HungUp);
    /// Nobody acknowledged our 2xx.
    pub const NO_ACK: End = End::lost(EndDetail::NoAck, Failure::Unreachable);
    /// The peer's signalling went wrong.
    pub const BROKEN: End = End::new(EndReason::TelephonyError, Status::Failed, 500, Failure::Unreachable);

    const fn new(reason: EndReason, unanswered: Status, code: u16, failure: Failure) -> End {
        End { reason, unanswered, code, failure, elsewhere: false, transferred: false, detail: None }
    }

    /// The party is gone without a word.
    const fn lost(detail: EndDetail, failure: Failure) -> End {
        let (reason, unanswered) = (EndReason::TelephonyError, Status::Failed);
        End { reason, unanswered, code: 500, failure, elsewhere: false, transferred: false, detail: Some(detail) }
    }

    /// What CANCEL says about it (RFC 3326 section 2).
    pub const fn cancel_reason(&self) -> Option<&'static str> {
        if self.elsewhere { Some("SIP;cause=200;text=\"Call completed elsewhere\"") } else { None }
    }

    /// The offered media will not do.
    pub fn media(why: String) -> End {
        End::new(EndReason::TelephonyError, Status::Failed, 488, Failure::Media(why))
    }

    /// Our INVITE is refused with `code`; `rang` where a 18x came first.
    pub fn refused(code: u16, rang: bool) -> End {
        match code {
            486 | 600 => End::new(EndReason::Busy, Status::Busy, code, Failure::Busy),
            408 | 480 if rang => End { code, ..End::NO_ANSWER },
            404 | 408 | 410 | 480 | 484 | 502 | 503 | 504 | 604 => End { code, ..End::UNREACHABLE },
            code => End::new(EndReason::TelephonyError, Status::Failed, code, Failure::Refused(code)),
        }
    }

    /// We refuse an INVITE with `code`.
    pub fn refusing(code: u16) -> End {
        match code {
            486 | 600 => End::new(EndReason::Busy, Status::Busy, code, Failure::Busy),
            408 | 480 => End { code, ..End::NO_ANSWER },
            code => End::new(EndReason::AgentCompleted, Status::Failed, code, Failure::Refused(code)),
        }
    }
}

/// How a call ended.
#[derive(Clone, Debug)]
pub(in crate::switch) struct Over {
    pub at: Time,
    pub status: Status,
    pub end: End,
    /// The final code of the INVITE, where there was one.
    pub code: Option<u16>,
    /// When the record is written at the latest.
    pub until: Time,
}
