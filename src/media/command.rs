//! What the engine is told to do.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use super::{Block, Ends, Layout, Pair, Pcm, Port, Shield, Stream, Tap, Tapping, Tools};
use crate::{
    audio::progress::Progress,
    codec::Rate,
    ids::{BridgeId, PlayId, PortId, RecordingId, TapId},
    verbs::{Manner, RecordMode, Steer},
};

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
        /// Where to; absent: where audio goes. With ICE it goes by the chosen way.
        to: Option<SocketAddr>,
        /// The datagram.
        bytes: Box<[u8]>,
    },
    /// Forget the port. What it was doing ends, and is told; [`Event::Closed`](super::Event::Closed) follows from the
    /// next [`Engine::handle_timeout`](super::Engine::handle_timeout), which is due at once and sends the RTCP BYE.
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
    /// Listen for who answers ([`Event::Heard`](super::Event::Heard)) from now on, or no longer.
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
    /// meanwhile). Answered by one [`Event::PlayDone`](super::Event::PlayDone), also where the port is gone. What was
    /// playing is stopped first.
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
    /// Do something to a play. Answered by [`Event::PlayAt`](super::Event::PlayAt), unless the play is over.
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
    /// Record. Blocks come back one by one as [`Event::Recorded`](super::Event::Recorded); the disk returns them with
    /// [`Command::Space`]. Answered by one [`Event::RecordDone`](super::Event::RecordDone): at once where the port is
    /// gone or has two recordings already.
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
    /// Record what all say who are heard in a bridge, until the last of them leaves. As [`Command::Record`]; `name`
    /// stands for a port in all that is said about it, and is nobody else's.
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
    /// Finish a recording. Answered by [`Event::RecordDone`](super::Event::RecordDone).
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
    /// the peer takes no events. Answered by one [`Event::DigitsSent`](super::Event::DigitsSent): at once where there
    /// are more orders, or no port.
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
