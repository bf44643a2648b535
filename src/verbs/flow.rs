//! What passes between a script and the rest beside requests: its beginning and end, and the key-value store.

use super::{Reply, ResourceKind};
use crate::{
    facts::Start,
    ids::{FlowId, RequestId},
};

/// How a flow ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FlowEnd {
    /// The script's last line was reached.
    Finished,
    /// The call was gone; the script was unwound.
    Stopped,
    /// The script failed: message and traceback.
    Error(String),
    /// A limit was reached: which.
    Limit(&'static str),
}

/// A request to the persistent key-value store, and what to do there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keep {
    /// Who asked.
    pub flow: FlowId,
    /// Carried by the reply.
    pub id: RequestId,
    /// What.
    pub op: KeepOp,
}

/// What the key-value store can do. Keys are at most 256, values at most 65,536 bytes long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeepOp {
    /// Replies [`Reply::Value`].
    Get {
        /// Key.
        key: String,
    },
    /// Replies [`Reply::Done`].
    Set {
        /// Key.
        key: String,
        /// Value; absent: the key is removed.
        value: Option<String>,
    },
    /// Whom does this number belong to, whichever way it is written? Replies [`Reply::Contact`].
    Contact {
        /// The number.
        number: String,
    },
    /// The queue, agent or AI agent of this id. Replies [`Reply::Resource`].
    Resource {
        /// Which kind.
        kind: ResourceKind,
        /// Its id.
        id: String,
    },
    /// Add to a whole number (0 where there is none) in one step. Replies [`Reply::Value`] with the sum.
    Add {
        /// Key.
        key: String,
        /// How much, may be negative.
        by: i64,
    },
}

/// What a script thread is told.
#[derive(Clone, Debug, PartialEq)]
pub enum ToFlow {
    /// Start a run.
    Start(Box<Start>),
    /// Answer one of its requests.
    Reply {
        /// Which run.
        flow: FlowId,
        /// Which request.
        request: RequestId,
        /// The answer.
        reply: Reply,
    },
    /// Its call is gone: unwind.
    Stop {
        /// Which run.
        flow: FlowId,
    },
}

impl ToFlow {
    /// Which run it is about.
    pub fn flow(&self) -> FlowId {
        match self {
            ToFlow::Start(start) => start.flow,
            ToFlow::Reply { flow, .. } | ToFlow::Stop { flow } => *flow,
        }
    }
}
