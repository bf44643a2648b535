//! Text messages (SIP MESSAGE, RFC 3428) and where phones are: what flows may ask about them.

use std::time::Duration;

/// A message as it came in or goes out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// Its media type without parameters, in lower case: `text/plain`.
    pub kind: String,
    /// What it says; perhaps empty.
    pub text: String,
}

/// What can be done with messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Messaging {
    /// Send one. Replies [`super::Reply::Sent`] as soon as somebody took it.
    Send(Message),
    /// Answer the message that the flow was started for, once. Replies [`super::Reply::Done`].
    Answer {
        /// SIP status code, 200 to 699 (200: it was read; 202: it will be seen to).
        code: u16,
        /// Reason phrase; the RFC's own where absent.
        reason: Option<String>,
    },
    /// Wait for the next message of the call's party, within the call. Replies [`super::Reply::Message`].
    Await {
        /// How long; [`super::Failure::NoAnswer`] after that.
        timeout: Duration,
    },
}

/// A message to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// A `sip:` URI or a number; absent: the party of the call, within the call.
    pub to: Option<String>,
    /// The number that it shows; absent: the one that was called, or that the message came for.
    pub from: Option<String>,
    /// What it says.
    pub text: Text,
    /// Header fields added, for names that are not the stack's own.
    pub headers: Vec<(String, String)>,
}

/// One place where a phone is registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// The URI of its Contact.
    pub contact: String,
    /// Where its REGISTER came from, `address:port`; absent: that connection broke.
    pub source: Option<String>,
    /// `udp`, `tcp`, `tls`, `ws` or `wss`; absent as `source`.
    pub transport: Option<&'static str>,
    /// Its User-Agent, perhaps empty.
    pub agent: String,
    /// When it is over, if it is not refreshed.
    pub expires: Duration,
    /// False: it did not answer our last question whether it is there.
    pub answers: bool,
}
