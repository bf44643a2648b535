//! The media of one thread, sans-IO: [`Engine`] owns ports and bridges; packets and ticks come in, packets go out.
//!
//! Between opening and closing a port nothing is allocated, locked or logged. Memory that a port, a recording or a
//! sound needs is made outside and comes in with the command. All audio is linear 16-bit, mono; a tick handles 20 ms of
//! each port that is not merely relayed, as a [`Frame`] that knows its [`Rate`](crate::codec::Rate).
//!
//! ```text
//! peer ─▶ jitter ─▶ said (rate of its codec) ─▶ bridge (its own rate) ─▶ sender (rate of its codec) ─▶ peer
//!                      └─▶ recording (rate of the recording)   ▲
//!                                        player (rate of the sound)
//! ```
//!
//! - A port says at the rate of the codec that comes ([`Codec::rate`]), and is sent to at that of the codec that goes;
//!   Opus works at whatever rate is wanted.
//! - A bridge adds at the second highest rate of its members: nobody could say or hear more.
//! - Rates meet in a `Convert` (polyphase, 2 ms), one for each way in and out; equal rates cost nothing.
//! - Counts of samples in commands and events are at [`RATE`], whatever the audio's rate, except in recordings, which
//!   count at their own.
//!
//! | file | what |
//! |---|---|
//! | `engine` | ports by name and slot, and the commands to them |
//! | `packets`, `tick` | the two ways in which time goes by: a packet comes, 20 ms are over |
//! | `route` | relay, decode or drop: decided at every change |
//! | `port` | one RTP endpoint, made of: `gate` (whom to hear and answer), `jitter`, `sender`, `report` (RTCP), `player`, `recorder`, `dialer` (digits out), `comfort` and `pause` (noise in and out) |
//! | `bridge` | who is with whom, and the sums of what they say |
//! | `room`, `tape` | what a bridge of three and more is beyond a sum; the recording of a bridge |
//! | `frame`, `tools` | 20 ms of audio; the coders of a port and what else its codecs need |
//! | `pass` | datagrams that are passed on untouched: a fax |
//! | `tap` | what others hear of a port, outside the engine or through another port |
//! | `watch` | peers that fall silent |
//! | `shield` | what stands before a port whose stream is encrypted |
//! | `command`, `event` | the words in which it is told what to do, and tells what happened |
//! | `batch`, `events` | what comes out |

#![cfg_attr(not(test), deny(clippy::wildcard_enum_match_arm))]

mod batch;
mod bridge;
mod comfort;
mod command;
mod dialer;
mod ear;
mod engine;
mod event;
mod events;
mod frame;
mod gate;
mod jitter;
mod metrics;
mod packets;
mod pass;
mod pause;
mod pcm;
mod player;
mod port;
mod recorder;
mod report;
mod room;
mod route;
mod sender;
mod shield;
mod tap;
mod tape;
#[cfg(test)]
mod tests;
mod tick;
mod tools;
mod watch;

pub use batch::{Batch, Datagram};
pub use command::{Command, Role};
pub use engine::Engine;
pub use event::{Event, Quality, Spent};
pub use frame::{Frame, MAX_FRAME, View};
pub use metrics::{Bursts, Level};
pub use pcm::{Block, Layout, Pcm, Shape};
pub use port::Port;
pub use recorder::Ends;
pub use shield::{Pair, Shield, ShieldKeys, Shielding};
pub use tap::{Side, Tap, TapFrame, Tapping};
pub use tools::Tools;

use std::{net::SocketAddr, time::Duration};

use crate::codec::{Codec, Digits, Foreign, OpusWish};

/// Samples a second in which the engine counts time; its audio may have more ([`Rate`](crate::codec::Rate)).
pub const RATE: u32 = 8000;
/// Length of a tick.
pub const TICK: Duration = Duration::from_millis(20);
/// Samples in a tick at [`RATE`].
pub const FRAME: usize = 160;
/// Longest datagram that is read or written, in bytes.
pub const MAX_PACKET: usize = 1500;

/// Index of a port within its engine, for the packet path. May be used again after the port is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u32);

/// The two sockets of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Channel {
    /// RTP: the even port.
    Rtp,
    /// RTCP: the odd port above.
    Rtcp,
}

/// What the offer/answer exchange agreed on for one port.
#[derive(Clone, Debug, PartialEq)]
pub struct Stream {
    /// Where SDP says that the peer receives RTP; absent: the peer asked for none (port 0, or 0.0.0.0).
    pub remote: Option<SocketAddr>,
    /// Where SDP says that the peer receives RTCP (RFC 3605, else the port above).
    pub remote_rtcp: Option<SocketAddr>,
    /// What we send, and under which payload type; absent: nothing that we can encode was agreed, only `foreign`.
    pub send: Option<Payload>,
    /// What may come, by payload type.
    pub receive: Vec<Payload>,
    /// Formats that were agreed on though we know no codec for them: relayed untouched between two ports that both have
    /// them.
    pub foreign: Vec<Foreign>,
    /// telephone-event as we send it (RFC 4733); absent: not agreed.
    pub send_digits: Option<Digits>,
    /// telephone-event as it may come.
    pub receive_digits: Vec<Digits>,
    /// Comfort noise (RFC 3389) may come, and is passed on, under this payload type.
    pub comfort: Option<u8>,
    /// Where there is only silence to be sent, comfort noise is, under this payload type; absent: packets of silence.
    pub send_comfort: Option<u8>,
    /// What the peer told about Opus.
    pub opus: OpusWish,
    /// Packet length that we send, in ms: a multiple of 10 from 10 to 60. Opus takes the next one that it has.
    pub ptime: u8,
    /// The longest packet that the peer takes, in ms; absent: it does not say. Longer ones are not relayed to it.
    pub longest: Option<u8>,
    /// The peer wants to hear us (sendrecv, recvonly on its side).
    pub sending: bool,
    /// The peer may be heard.
    pub receiving: bool,
}

/// A codec under its payload type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payload {
    /// RTP payload type, 0 to 127.
    pub number: u8,
    /// What it carries.
    pub codec: Codec,
}

/// Limits of an engine.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Jitter buffer: least delay from the coming of a packet. Below a tick, what ticks need counts.
    pub jitter_min: Duration,
    /// Jitter buffer: most delay above the fastest packet's coming.
    pub jitter_max: Duration,
    /// A source that was silent this long may be followed by another one.
    pub relatch_after: Duration,
    /// Tell [`Event::NoRtp`] after this long without a packet.
    pub silence_timeout: Duration,
    /// Tell [`Event::Lost`] after this long without RTP and RTCP, but not before [`Event::NoRtp`]; absent: never.
    pub rtp_timeout: Option<Duration>,
    /// Time between RTCP reports (RFC 3550 section 6.2 asks for about 5 s).
    pub rtcp_interval: Duration,
    /// Most ports.
    pub max_ports: usize,
}
