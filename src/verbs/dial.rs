//! Whom to ring, and whom the party is to call.

use std::time::Duration;

use super::Sound;
use crate::ids::CallId;

/// In which order the targets of a [`Dial`] are rung.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// All at once; the first answer wins.
    All,
    /// One after another, each for the whole timeout.
    InTurn,
}

/// How to ring other phones.
#[derive(Clone, Debug, PartialEq)]
pub struct Dial {
    /// `sip:` or `sips:` URIs, or numbers; at least one.
    pub targets: Vec<String>,
    /// Order.
    pub strategy: Strategy,
    /// How long to ring: in all with [`Strategy::All`], each with [`Strategy::InTurn`].
    pub timeout: Duration,
    /// Let the caller hear the first target that sends audio before its answer.
    pub early_media: bool,
    /// The number shown to the targets; absent: the caller's own.
    pub caller_id: Option<String>,
    /// Header fields added to each INVITE, for names that are not the stack's own.
    pub headers: Vec<(String, String)>,
    /// What the caller hears meanwhile; absent: the configured country's ringing.
    pub ringback: Option<Sound>,
}

/// Whom the party is to call.
#[derive(Clone, Debug, PartialEq)]
pub enum Transfer {
    /// Anybody.
    Blind {
        /// A `sip:` URI.
        target: String,
        /// How long to wait for the outcome.
        timeout: Duration,
    },
    /// The party of another call of ours, which the new call replaces.
    Attended {
        /// That call; answered.
        other: CallId,
        /// How long to wait for the outcome.
        timeout: Duration,
    },
}

impl Transfer {
    /// How long to wait for the outcome.
    pub fn timeout(&self) -> Duration {
        match self {
            Transfer::Blind { timeout, .. } | Transfer::Attended { timeout, .. } => *timeout,
        }
    }
}
