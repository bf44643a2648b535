//! SIP, sans-IO (RFC 3261): messages, the four transactions, dialogs. Bytes and time come in, bytes and events go out.
//!
//! [`Stack`] is the machine: it reads messages, runs the transactions, answers by itself what the RFC lets no user
//! decide (400, 416, 420, 482, 483, 501, 505, CANCEL, retransmissions), and gives everything else to its user as an
//! [`Event`]. A [`Dialog`] is plain data that the user owns.

#![cfg_attr(not(test), deny(clippy::wildcard_enum_match_arm))]

use std::time::Duration;

use bytes::Bytes;
pub use rsip::Method;

mod accept;
pub mod auth;
mod backlog;
mod branch;
mod challenged;
mod client;
mod cseq;
mod dialog;
mod failover;
mod follow_up;
mod framing;
pub mod fuzz;
pub mod fuzz_stack;
mod glance;
mod headers;
mod invite_client;
mod invite_server;
mod large;
mod lines;
mod message;
mod name_addr;
mod parse;
mod prack;
mod reason;
pub mod records;
mod refer;
pub mod register;
mod routing;
mod server;
mod session_timer;
mod shed;
mod stack;
#[cfg(test)]
mod stack_tests;
mod status;
pub mod stir;
mod subscription;
mod text;
mod timers;
mod transaction;
mod transport;
mod uac;
mod uas;
mod uri;
mod validate;
mod via;

pub use accept::{Accept, AcceptOutput};
pub use backlog::{Backlog, Waiting};
pub use challenged::prove;
pub use cseq::CSeq;
pub use dialog::Dialog;
pub use failover::Failover;
pub use framing::{Framed, Framer, FramingError};
pub use fuzz_stack::two_stacks_settle;
pub use glance::Glance;
pub use headers::Headers;
pub use message::{Limits, Malformed, Message, Request, Response};
pub use name_addr::NameAddr;
pub use prack::{Reliable, ReliableOutput, rack, rseq};
pub use reason::Reason;
pub use records::{Naptr, Srv};
pub use refer::{ReferTo, Replaces, SIPFRAG, read_sipfrag, sipfrag};
pub use session_timer::{
    LEAST_SESSION, SessionDue, SessionTimer, SessionWish, TooBrief, least as least_session, supports,
};
pub use stack::{Counters, Stack};
pub use status::reason_phrase;
pub use subscription::{Package, Subscription};
pub use text::Params;
pub use transport::{Hop, Interface, Target, Transport};
pub use uri::{Scheme, Uri};
pub use via::Via;

/// Timers and limits of the stack.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// By [`InterfaceId`](crate::ids::InterfaceId).
    pub interfaces: Vec<Interface>,
    /// Round-trip estimate; 500 ms (RFC 3261 section 17.1.1.1).
    pub t1: Duration,
    /// Longest gap between resends; 4 s.
    pub t2: Duration,
    /// How long a message may stay in the network; 5 s.
    pub t4: Duration,
    /// Longest wait for a final response after a provisional one; 180 s (Timer C's floor).
    pub timer_c: Duration,
    /// Longest message in bytes; longer ones get 513 (UDP cannot carry them anyway).
    pub max_message: usize,
    /// Most header fields in a message; more get 400.
    pub max_headers: usize,
    /// Most server transactions at a time; more get 503 with Retry-After.
    pub max_transactions: usize,
    /// Requests of more bytes than this go over TCP where the peer takes it (RFC 3261 section 18.1.1: 1300).
    pub udp_limit: usize,
    /// Value of Server and User-Agent; empty: left out.
    pub agent: String,
}

/// A server transaction, ours to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerTx(pub u64);

/// A client transaction, ours to hear the answer of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientTx(pub u64);

/// What the stack asks of the world, or tells its user.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "an event costs a move; a box would cost an allocation")]
pub enum Output {
    /// Put these bytes on the wire.
    Send {
        /// Where to.
        hop: Hop,
        /// One whole message.
        bytes: Bytes,
    },
    /// Tell the user.
    Event(Event),
}

/// What the user of the stack must know or decide.
#[derive(Debug)]
pub enum Event {
    /// A new request, not a retransmission, not ACK, not CANCEL. To be answered by [`Stack::respond`].
    Request {
        /// Answer here.
        tx: ServerTx,
        /// Where it came from, which is where the answers go.
        hop: Hop,
        /// What was asked.
        request: Request,
    },
    /// An ACK that belongs to a 2xx (those of failures end in the transaction).
    Ack {
        /// Where it came from.
        hop: Hop,
        /// The ACK.
        request: Request,
    },
    /// The INVITE `tx` is cancelled. The CANCEL is answered already; the INVITE is to be answered with 487.
    Cancel {
        /// The INVITE's transaction.
        tx: ServerTx,
        /// The CANCEL, for its Reason.
        request: Request,
    },
    /// A response, not a retransmission. For INVITE: any number of 1xx, then 2xx (each fork's, and each again when it
    /// is resent, so that it can be acknowledged again) or one failure, whose ACK is sent already.
    Response {
        /// Whose.
        tx: ClientTx,
        /// The answer.
        response: Response,
    },
    /// No final answer will come.
    Failed {
        /// Whose.
        tx: ClientTx,
        /// Why.
        why: Failure,
    },
    /// The answer to `tx` may not have arrived: no ACK for a failure in 64*T1, or its transport broke.
    Lost {
        /// Whose.
        tx: ServerTx,
        /// Why.
        why: Failure,
    },
}

/// Why a transaction failed without a word from the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Nothing came in time (as good as 408).
    TimedOut,
    /// The transport could not deliver (ICMP, refused or broken connection; as good as 503).
    Transport,
}
