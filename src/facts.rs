//! What a flow is told of its call when it starts.

use std::{sync::Arc, time::Duration};

use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    ids::{CallId, FlowId},
    verbs::Text,
};

/// What a flow is started with.
#[derive(Clone, Debug, PartialEq)]
pub struct Start {
    /// The new run.
    pub flow: FlowId,
    /// Its call.
    pub call: CallId,
    /// Script name, a path below the script folder.
    pub script: Arc<str>,
    /// What is known of the call.
    pub facts: Facts,
    /// Variables given with the number or the order.
    pub vars: Vec<(String, String)>,
    /// Seconds since 1970 when it began: the script's `os.time` starts here.
    pub unix: Duration,
    /// Seed of the script's `math.random`.
    pub seed: u64,
}

/// What a flow knows of its call.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// The id that logs and records carry.
    pub id: String,
    /// User part of From, `anonymous` where there is none.
    pub caller: String,
    /// Display name of From.
    pub caller_name: String,
    /// User part of the Request-URI.
    pub called: String,
    /// SIP Call-ID of the leg.
    pub sip_call_id: String,
    /// User of the phone of ours that calls, or is called; proven by its password.
    pub phone: Option<String>,
    /// Where the INVITE came from, `address:port`.
    pub source: String,
    /// The trunk that it came from; absent: none.
    pub trunk: Option<String>,
    /// False: we made the call.
    pub inbound: bool,
    /// Header fields of the INVITE whose names begin with `X-`, as they came.
    pub headers: Vec<(String, String)>,
    /// The caller's signature; absent: nobody looked.
    pub stir: Option<Box<Stir>>,
    /// There is no call: the flow was started for this message.
    pub message: Option<Box<Text>>,
}

/// What is known of the signature of a call (STIR/SHAKEN).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Stir {
    /// How it went.
    pub verdict: StirVerdict,
    /// How sure the signer is of the caller's number: `A`, `B` or `C` (RFC 8588 section 4). Proven only where it passed.
    pub attest: Option<&'static str>,
    /// Why it did not pass: a word such as `stale` or `bad_signature`.
    pub reason: Option<&'static str>,
    /// The signer's name for where the call came from.
    pub origid: Option<String>,
}

/// How the check of a signature went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StirVerdict {
    /// The caller's provider signed this call.
    Passed,
    /// There is a signature, and it proves nothing.
    Failed,
    /// There is none.
    Unsigned,
    /// We made the call and signed it.
    Signed,
}

impl StirVerdict {
    /// As scripts see it.
    pub const fn as_str(self) -> &'static str {
        match self {
            StirVerdict::Passed => "passed",
            StirVerdict::Failed => "failed",
            StirVerdict::Unsigned => "unsigned",
            StirVerdict::Signed => "signed",
        }
    }
}
