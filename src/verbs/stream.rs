//! Words about audio that is streamed to a program outside while a call goes on.

use crate::codec::Rate;

/// What is to be streamed, and where to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    /// A `ws://` or `wss://` address.
    pub url: String,
    /// Whose voice.
    pub sides: Sides,
    /// Of the samples: [`Rate::Narrow`] or [`Rate::Wide`].
    pub rate: Rate,
    /// Proves to the far end who we are (RFC 6750); absent: nothing does.
    pub token: Option<String>,
    /// Whatever the far end is to know besides.
    pub data: Option<String>,
}

/// What of a call is streamed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sides {
    /// What the party says: one channel.
    Said,
    /// What the party hears: one channel.
    Heard,
    /// Both: what it says left, what it hears right.
    Both,
}

impl Sides {
    /// All of them.
    pub const ALL: [Sides; 3] = [Sides::Said, Sides::Heard, Sides::Both];

    /// As scripts name it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Sides::Said => "said",
            Sides::Heard => "heard",
            Sides::Both => "both",
        }
    }
}

/// Why audio cannot be streamed, or no longer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoStream {
    /// In a word.
    pub fault: StreamFault,
    /// Where to, and what is wrong.
    pub text: String,
}

/// What is wrong with the far end of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamFault {
    /// It is no address that we understand, or the operator does not allow to go there.
    Denied,
    /// It cannot be reached, or does not prove who it is.
    Unreachable,
    /// It did not answer in time, or takes nothing any more.
    Timeout,
    /// It answered with this HTTP status in place of a WebSocket.
    Status(u16),
    /// It ended the stream, or broke the rules of WebSocket.
    Closed,
    /// As many streams as allowed are there already.
    Overload,
}

impl StreamFault {
    /// As scripts see it.
    pub const fn as_str(self) -> &'static str {
        match self {
            StreamFault::Denied => "denied",
            StreamFault::Unreachable => "unreachable",
            StreamFault::Timeout => "timeout",
            StreamFault::Status(_) => "status",
            StreamFault::Closed => "closed",
            StreamFault::Overload => "overload",
        }
    }
}
