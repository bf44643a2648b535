//! What is told of each text message when its fate is known: whose it was, how long it was, and what became of it. What
//! it says is nobody's business here.

use std::sync::Arc;

use serde::Serialize;
use utoipa::ToSchema;

use super::{Direction, Output, core::Core};
use crate::{time::Time, verbs::Failure};

/// One message that was taken, refused, sent or not delivered.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct MessageRecord {
    /// The id that logs carry.
    pub id: String,
    /// Which way it went.
    pub direction: Direction,
    /// The id of the call within which it came or went, or whose script sent it; absent: none.
    pub call: Option<String>,
    /// Who sent it: number or user, `anonymous` where there is none.
    pub from: String,
    /// Whom it is for: number, user or address.
    pub to: String,
    /// The carrier that it came from or went over; absent: none.
    #[schema(value_type = Option<String>)]
    pub trunk: Option<Arc<str>>,
    /// The script that it started; absent: none.
    #[schema(value_type = Option<String>)]
    pub script: Option<Arc<str>>,
    /// Its media type, such as `text/plain`.
    pub media_type: String,
    /// How long it is.
    pub bytes: usize,
    /// When it came or was handed in, in ms since 1970.
    pub start_ms: u64,
    /// When it was answered or given up, in ms since 1970.
    pub end_ms: u64,
    /// The SIP code that it was answered with; absent: there was no answer.
    pub code: Option<u16>,
    /// Why it could not be sent, in the word that scripts get; absent: it was, or it came in.
    pub error: Option<&'static str>,
}

/// What a message is, before it is known what becomes of it.
pub(super) struct Outside<'a> {
    pub direction: Direction,
    pub from: &'a str,
    pub to: &'a str,
    pub media_type: String,
    pub bytes: usize,
}

impl MessageRecord {
    /// True where somebody took it.
    pub fn is_taken(&self) -> bool {
        self.code.is_some_and(|code| code < 300)
    }
}

impl Core {
    /// What is to be told of a message one day.
    pub fn about_message(&mut self, outside: Outside<'_>) -> MessageRecord {
        let Outside { direction, from, to, media_type, bytes } = outside;
        let start_ms = self.unix_ms();
        let from = if from.is_empty() { "anonymous" } else { from };
        MessageRecord {
            id: format!("{}-m{}", self.epoch.unix(Time::START).as_secs(), self.id()),
            direction,
            call: None,
            from: from.to_owned(),
            to: to.to_owned(),
            trunk: None,
            script: None,
            media_type,
            bytes,
            start_ms,
            end_ms: start_ms,
            code: None,
            error: None,
        }
    }

    /// It was answered with this code, or why it was not.
    pub fn tell_message(&mut self, mut record: MessageRecord, result: Result<u16, &Failure>) {
        record.end_ms = self.unix_ms();
        (record.code, record.error) = match result {
            Ok(code) => (Some(code), None),
            Err(Failure::Refused(code)) => (Some(*code), Some(Failure::Refused(*code).as_str())),
            Err(failure) => (None, Some(failure.as_str())),
        };
        self.out.push_back(Output::Message(Box::new(record)));
    }

    fn unix_ms(&self) -> u64 {
        u64::try_from(self.epoch.unix(self.now).as_millis()).unwrap_or(u64::MAX)
    }
}
