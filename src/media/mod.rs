//! The media of one thread, sans-IO: [`Engine`] owns ports and bridges; packets and ticks come in, packets go out.
//!
//! Between opening and closing a port nothing is allocated, locked or logged. Memory that a port, a recording or a
//! sound needs is made outside and comes in with the command. All audio is linear 16-bit, mono; a tick handles 20 ms of
//! each port that is not merely relayed, as a [`Frame`] that knows its [`Rate`].
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
//! | `port` | one RTP endpoint, made of: `gate` (whom to hear and answer), `jitter`, `sender`, `report` (RTCP), `player`, `recorder`, `dialer` (digits out), `comfort` (noise) |
//! | `bridge` | who is with whom, and the sums of what they say |
//! | `room`, `tape` | what a bridge of three and more is beyond a sum; the recording of a bridge |
//! | `frame`, `tools` | 20 ms of audio; the coders of a port and what else its codecs need |
//! | `pass` | datagrams that are passed on untouched: a fax |
//! | `tap` | what others hear of a port, outside the engine or through another port |
//! | `watch` | peers that fall silent |
//! | `shield` | what stands before a port whose stream is encrypted |
//! | `batch`, `events` | what comes out |

#![cfg_attr(not(test), deny(clippy::wildcard_enum_match_arm))]

mod batch;
mod bridge;
mod chance;
mod comfort;
mod dialer;
mod ear;
mod engine;
mod events;
mod frame;
mod gate;
mod jitter;
mod metrics;
mod packets;
mod pass;
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
pub use engine::Engine;
pub use frame::{Frame, MAX_FRAME};
pub use metrics::{Bursts, Level};
pub use pcm::{Block, Layout, Pcm, Shape};
pub use port::Port;
pub use recorder::Ends;
pub use shield::{Pair, Shield, ShieldKeys, Shielding};
pub use tap::{Side, Tap, TapFrame, Tapping};
pub use tools::Tools;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use crate::{
    audio::progress::Progress,
    codec::{Codec, Digits, Foreign, OpusWish, Rate},
    ids::{BridgeId, PlayId, PortId, RecordingId, TapId},
    verbs::{Heard, Manner, RecordEnd, RecordMode, Steer},
};

/// Samples a second in which the engine counts time; its audio may have more ([`Rate`]).
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
    /// What the peer told about Opus.
    pub opus: OpusWish,
    /// Packet length that we send, in ms: a multiple of 10 from 10 to 60. Opus takes the next one that it has.
    pub ptime: u8,
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

/// What the engine is told to do.
#[derive(Debug)]
pub enum Command {
    /// A new port; silent until it is played to or joined.
    Open {
        /// Its name.
        port: PortId,
        /// Its memory (made by [`Port::new`] outside the engine).
        memory: Box<Port>,
    },
    /// A new agreement (re-INVITE, or the answer to our own offer). The source may latch anew.
    Update {
        /// Which port.
        port: PortId,
        /// What is agreed now.
        stream: Box<Stream>,
        /// What its codecs need (made by [`Tools::new`] outside the engine).
        tools: Box<Tools>,
    },
    /// Pass datagrams on as they are to the other port of the bridge, where it does so as well, until the next
    /// [`Command::Update`]: no audio, no reports, no encryption.
    Pass {
        /// Which port.
        port: PortId,
        /// Where SDP says that the peer receives.
        remote: SocketAddr,
    },
    /// Encrypt from now on, or otherwise than before. Counters go on where the key stays the same.
    Shield {
        /// Which port.
        port: PortId,
        /// Its memory (made by [`Shield::new`] outside the engine).
        shield: Box<Shield>,
    },
    /// The keys that a handshake found, for a port whose shield awaits them.
    Keys {
        /// Which port.
        port: PortId,
        /// Both sides.
        keys: Box<Pair>,
    },
    /// Send a datagram of a handshake.
    Handshake {
        /// Which port.
        port: PortId,
        /// The datagram.
        bytes: Box<[u8]>,
    },
    /// Forget the port. What it was doing ends, and is told; [`Event::Closed`] follows from the next
    /// [`Engine::handle_timeout`], which is due at once and sends the RTCP BYE.
    Close {
        /// Which port.
        port: PortId,
    },
    /// Put the port into a bridge, made when first named. A port is in one bridge at most: it leaves the old one.
    Join {
        /// Which bridge.
        bridge: BridgeId,
        /// Which port.
        port: PortId,
        /// Who hears whom.
        role: Role,
    },
    /// Take the port out of its bridge; the bridge goes with its last port.
    Leave {
        /// Which port.
        port: PortId,
    },
    /// Sound a short chime to all who hear in a port's bridge: somebody comes, or goes.
    Chime {
        /// Which port's; nothing happens where it is in none.
        port: PortId,
        /// True: comes.
        rising: bool,
    },
    /// Tell the port's party a key that was pressed elsewhere, as [`Command::Digits`] does.
    PassKey {
        /// Which port.
        port: PortId,
        /// `0-9 * # A-D`.
        key: char,
    },
    /// Send no tones for keys that are passed on from a partner: the party is told them in another way.
    LeaveTones {
        /// Which port.
        port: PortId,
    },
    /// Listen for who answers ([`Event::Heard`]) from now on, or no longer.
    Detect {
        /// Which port.
        port: PortId,
        /// Who listens, from the beginning (its memory is made outside the engine); nobody, to end it.
        listener: Option<Box<Progress>>,
    },
    /// Make what the port says as loud as what others say (automatic gain), or leave it as it is.
    Level {
        /// Which port.
        port: PortId,
        /// On or off.
        on: bool,
    },
    /// Send the port's own audio back to it, or stop doing so.
    Echo {
        /// Which port.
        port: PortId,
        /// On or off.
        on: bool,
    },
    /// Play sounds one after another without a gap, over whatever the port hears otherwise (which is silenced
    /// meanwhile). Answered by one [`Event::PlayDone`], also where the port is gone. What was playing is stopped first.
    Play {
        /// Which port.
        port: PortId,
        /// Its name.
        play: PlayId,
        /// What.
        sounds: Box<[Arc<Pcm>]>,
        /// How.
        manner: Manner,
    },
    /// Do something to a play. Answered by [`Event::PlayAt`], unless the play is over.
    Steer {
        /// Which port.
        port: PortId,
        /// Which play.
        play: PlayId,
        /// What.
        steer: Steer,
    },
    /// Stop playing; nothing happens where `play` is over.
    Stop {
        /// Which port.
        port: PortId,
        /// Which play.
        play: PlayId,
    },
    /// Record. Blocks come back one by one as [`Event::Recorded`]; the disk returns them with [`Command::Space`].
    /// Answered by one [`Event::RecordDone`]: at once where the port is gone or has two recordings already.
    Record {
        /// Which port.
        port: PortId,
        /// Its name.
        recording: RecordingId,
        /// What goes into which channel.
        layout: Layout,
        /// Of the samples in the blocks, whatever the rate of the call is or becomes.
        rate: Rate,
        /// When it ends by itself.
        ends: Ends,
        /// Empty blocks with their capacity.
        blocks: Vec<Block>,
    },
    /// Record what all say who are heard in a bridge, until the last of them leaves. As [`Command::Record`]; `name` stands
    /// for a port in all that is said about it, and is nobody else's.
    RecordBridge {
        /// Which bridge.
        bridge: BridgeId,
        /// In place of a port.
        name: PortId,
        /// Its name.
        recording: RecordingId,
        /// Of the samples in the blocks.
        rate: Rate,
        /// When it ends by itself.
        ends: Ends,
        /// Empty blocks with their capacity.
        blocks: Vec<Block>,
    },
    /// An emptied block.
    Space {
        /// Which port.
        port: PortId,
        /// Whose.
        recording: RecordingId,
        /// The block.
        block: Block,
    },
    /// What becomes of the sound from now on.
    RecordAs {
        /// Which port.
        port: PortId,
        /// Which recording.
        recording: RecordingId,
        /// From now on.
        mode: RecordMode,
    },
    /// Finish a recording. Answered by [`Event::RecordDone`].
    StopRecording {
        /// Which port.
        port: PortId,
        /// Which recording.
        recording: RecordingId,
    },
    /// Let somebody else hear a port; of too many taps, and where there is no port, the last is over at once.
    Tap {
        /// Which port.
        port: PortId,
        /// Its memory (made by [`Tapping::new`] outside the engine).
        tapping: Box<Tapping>,
    },
    /// Tap it no longer.
    Untap {
        /// Which port.
        port: PortId,
        /// Which tap.
        tap: TapId,
    },
    /// Let a tap have silence in the place of the port's sound, as long as that is, or the sound again.
    MaskTap {
        /// Which port.
        port: PortId,
        /// Which tap.
        tap: TapId,
        /// Silence from now on.
        on: bool,
    },
    /// Send what comes out of a tap, wherever that is, while nothing else is said to the port's party.
    Feed {
        /// Which port.
        port: PortId,
        /// Which tap; it has no other consumer.
        tap: Arc<Tap>,
    },
    /// Send digits, one after another, after those of at most four orders before: as RFC 4733 events, or as tones where
    /// the peer takes no events. Answered by one [`Event::DigitsSent`]: at once where there are more orders, or no port.
    Digits {
        /// Which port.
        port: PortId,
        /// `0-9 * # A-D`; `,` pauses for a second.
        digits: Box<str>,
        /// Length of each.
        length: Duration,
        /// Silence between two.
        gap: Duration,
    },
}

/// Who hears whom in a bridge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Speaks and hears.
    Both,
    /// Hears, is not heard.
    Listen,
    /// Is heard, hears nothing (a callee before its answer).
    Speak,
    /// Neither hears nor is heard.
    Idle,
    /// Hears all, is heard by this port alone.
    Whisper(PortId),
}

impl Role {
    /// Everybody who hears in the bridge hears it.
    pub const fn speaks(self) -> bool {
        matches!(self, Role::Both | Role::Speak)
    }

    /// Somebody hears it.
    pub const fn is_heard(self) -> bool {
        matches!(self, Role::Both | Role::Speak | Role::Whisper(_))
    }

    /// It hears the bridge.
    pub const fn hears(self) -> bool {
        matches!(self, Role::Both | Role::Listen | Role::Whisper(_))
    }
}

/// What the engine tells.
#[derive(Debug)]
pub enum Event {
    /// One key press of the party, told once, when it begins: as an event (RFC 4733 section 2.5.1.4: by its RTP
    /// timestamp), or as a tone in the audio where no events are agreed on.
    Digit {
        /// Which port.
        port: PortId,
        /// `0-9 * # A-D`.
        key: char,
    },
    /// Where a play is, after [`Command::Steer`].
    PlayAt {
        /// Which port.
        port: PortId,
        /// Which play.
        play: PlayId,
        /// Samples since the beginning of its first sound, at [`RATE`].
        at: u64,
    },
    /// A play ended.
    PlayDone {
        /// Which port.
        port: PortId,
        /// Which play.
        play: PlayId,
        /// Samples that were played, at [`RATE`] (on hold they are not heard, but time goes on).
        samples: u64,
        /// True: it ran to its end.
        finished: bool,
    },
    /// The last of the digits was sent.
    DigitsSent {
        /// Which port.
        port: PortId,
    },
    /// Audio comes from here; told when it first comes, and when the source changes.
    Latched {
        /// Which port.
        port: PortId,
        /// The source that is heard and answered.
        from: SocketAddr,
    },
    /// No packet has come for [`Config::silence_timeout`] though the peer should send.
    NoRtp {
        /// Which port.
        port: PortId,
    },
    /// Neither RTP nor RTCP has come for [`Config::rtp_timeout`] though the peer should send: it is gone. Told again after
    /// as long.
    Lost {
        /// Which port.
        port: PortId,
    },
    /// What [`Command::Detect`] asked for; each thing is told once.
    Heard {
        /// Which port.
        port: PortId,
        /// What.
        what: Heard,
    },
    /// How it goes, about as often as RTCP reports are sent.
    Quality {
        /// Which port.
        port: PortId,
        /// What it saw so far.
        quality: Quality,
    },
    /// Of three and more in a bridge this one is the loudest now.
    Loudest {
        /// Which port.
        port: PortId,
    },
    /// A full (or last) block of a recording.
    Recorded {
        /// Which port.
        port: PortId,
        /// Whose.
        recording: RecordingId,
        /// The audio.
        block: Block,
    },
    /// The recording ended, by command, by its limit or with its port; no block follows.
    RecordDone {
        /// Which port.
        port: PortId,
        /// Which recording.
        recording: RecordingId,
        /// Samples per channel.
        samples: u64,
        /// Samples per channel that had no room (the disk was too slow) and are silence in the file.
        missed: u64,
        /// What ended it, as far as the engine knows: keys are not its own.
        why: RecordEnd,
    },
    /// A datagram of a DTLS handshake came. It is copied: handshakes are short, and rare beside audio.
    Handshake {
        /// Which port.
        port: PortId,
        /// The datagram.
        bytes: Box<[u8]>,
    },
    /// The port is gone. Its sockets may be closed.
    Closed {
        /// Which port.
        port: PortId,
        /// What it saw.
        quality: Quality,
    },
}

/// What a port saw in its life.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Quality {
    /// RTP packets sent.
    pub sent: u64,
    /// RTP packets received from the source that was heard.
    pub received: u64,
    /// Packets that never came (by sequence number).
    pub lost: u64,
    /// Packets that came after their time to be played.
    pub late: u64,
    /// Frames made up by concealment.
    pub concealed: u64,
    /// Packets refused: not RTP, or from a stranger.
    pub refused: u64,
    /// Interarrival jitter at the end (RFC 3550 section 6.4.1), in microseconds.
    pub jitter_us: u32,
    /// Round trip by RTCP (RFC 3550 section 6.4.1), in microseconds; absent: never measured.
    pub round_trip_us: Option<u32>,
    /// What the peer says that it lost of ours (RTCP RR), 0 to 255 of 256, at the end.
    pub peer_lost_fraction: Option<u8>,
    /// The source that was heard last.
    pub source: Option<SocketAddr>,
    /// How its losses lie together.
    pub bursts: Bursts,
    /// How long packets wait in the jitter buffer, as a mean.
    pub buffer: Duration,
    /// How loud the peer is; absent: nothing was looked at.
    pub level: Option<Level>,
    /// R of the E-model (G.107) for what is heard here, 0 to 100; absent: nothing came.
    pub r: Option<f32>,
    /// What people would say of the conversation, 1 to 4.5 (G.107 annex B).
    pub mos: Option<f32>,
    /// The same without what delay takes away.
    pub mos_listening: Option<f32>,
    /// What the peer says of how we are heard (RTCP XR).
    pub peer_mos: Option<f32>,
}

/// Memory that the engine is done with. It is handed back rather than freed on the media thread.
#[derive(Debug)]
pub enum Spent {
    /// Of a closed port.
    Port(Box<Port>),
    /// Of an agreement that was replaced.
    Stream(Box<Stream>),
    /// Of coders that are not needed.
    Tools(Box<Tools>),
    /// Of a play that ended.
    Sounds(Box<[Arc<Pcm>]>),
    /// Empty blocks of a recording that ended.
    Blocks(Vec<Block>),
    /// A block that came back too late.
    Block(Block),
    /// Of digits that were sent.
    Digits(Box<str>),
    /// Of encryption that was replaced.
    Shield(Box<Shield>),
    /// Of listening for who answers that ended.
    Listener(Box<Progress>),
    /// Of a tap that is over.
    Tap(Box<Tapping>),
    /// A tap that fed a port.
    Fed(Arc<Tap>),
    /// Of keys that were replaced, or came too late.
    Keys(Box<Pair>),
    /// Of a datagram that was sent.
    Bytes(Box<[u8]>),
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
