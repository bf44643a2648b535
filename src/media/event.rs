//! What the engine tells, what a port saw, and the memory that comes back.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use super::{Block, Bursts, Level, Pair, Pcm, Port, Shield, Stream, Tap, Tapping, Tools};
use crate::{
    audio::progress::Progress,
    ids::{PlayId, PortId, RecordingId},
    rtp::emodel::Scale,
    verbs::{Heard, RecordEnd},
};

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
    /// Where a play is, after [`Command::Steer`](super::Command::Steer).
    PlayAt {
        /// Which port.
        port: PortId,
        /// Which play.
        play: PlayId,
        /// Samples since the beginning of its first sound, at [`RATE`](super::RATE).
        at: u64,
    },
    /// A play ended.
    PlayDone {
        /// Which port.
        port: PortId,
        /// Which play.
        play: PlayId,
        /// Samples that were played, at [`RATE`](super::RATE) (on hold they are not heard, but time goes on).
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
    /// No packet has come for [`Config::silence_timeout`](super::Config::silence_timeout) though the peer should send.
    NoRtp {
        /// Which port.
        port: PortId,
    },
    /// Neither RTP nor RTCP has come for [`Config::rtp_timeout`](super::Config::rtp_timeout) though the peer should
    /// send: it is gone. Told again after as long.
    Lost {
        /// Which port.
        port: PortId,
    },
    /// What [`Command::Detect`](super::Command::Detect) asked for; each thing is told once.
    Heard {
        /// Which port.
        port: PortId,
        /// What.
        what: Heard,
    },
    /// The peer's packets are longer than the other party takes: they are no longer relayed, but decoded and packed anew.
    /// Told once for each agreement.
    Repacked {
        /// Which port they come to.
        port: PortId,
        /// How long they are, in ms.
        ms: u16,
        /// The longest that the other party takes, in ms.
        most: u8,
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
        /// Where it came from.
        from: SocketAddr,
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
    /// Packets refused: not RTP, or from a stranger, or not proved with the keys.
    pub refused: u64,
    /// Those of them that are not proved with the keys agreed on, or came before there were keys.
    pub unproved: u64,
    /// Where the last of them came from.
    pub refused_from: Option<SocketAddr>,
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
    /// R of the E-model for what is heard here, 0 to 93.2, or 129 of a wideband call (G.107, G.107.1); absent: nothing
    /// came.
    pub r: Option<f32>,
    /// By which of these it is judged.
    pub scale: Scale,
    /// What people would say of the conversation, 1 to 4.5.
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
