//! What the switch is told at its start, its limits, and what it counts.

use std::time::Duration;

use super::{GuardConfig, MediaSecurity, MessageConfig, Phones, Route, Rules, Trunking, stir};
use crate::{codec::Codec, media, sip};

/// What the switch is told at its start, and again when it changes.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The stack's timers, limits and interfaces. At least one interface.
    pub sip: sip::Config,
    /// Limits of the media threads.
    pub media: media::Config,
    /// How many media threads there are, at least 1.
    pub workers: u8,
    /// Which script answers which number.
    pub routes: Vec<Route>,
    /// Carriers, and which numbers may be called.
    pub trunking: Trunking,
    /// The phones that may register, and who else may call.
    pub phones: Phones,
    /// Text messages.
    pub messages: MessageConfig,
    /// The codecs that we offer and accept, best first, at least one.
    pub codecs: Vec<Codec>,
    /// Names of formats that we cannot decode but pass on between two parties that share them.
    pub relayed: Vec<String>,
    /// Comfort noise is sent in the place of silence, and offered.
    pub comfort_noise: bool,
    /// Packet length that we ask for and send, in ms.
    pub ptime: u8,
    /// Whose signal tones are played where nothing else is said: ISO 3166 alpha-2, lower case.
    pub country: String,
    /// How long an incoming call may ring before it gets 480.
    pub ring_limit: Duration,
    /// What Retry-After says where we are full or draining.
    pub retry_after: Duration,
    /// Whether media is encrypted.
    pub security: MediaSecurity,
    /// Signed callers.
    pub stir: stir::Config,
    /// How calls are kept once they are set up.
    pub rules: Rules,
    /// Give [`Output::Trace`](super::Output::Trace).
    pub trace: bool,
    /// Who is kept out.
    pub guard: GuardConfig,
    /// Limits.
    pub limits: Limits,
}

/// How much of everything there may be.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Calls at a time, in and out.
    pub calls: usize,
    /// Legs that a flow has at a time besides its own call.
    pub legs_per_flow: usize,
    /// Redirections (3xx) that one leg follows.
    pub redirects: usize,
    /// A target that says nothing for so long is left for the next one, where there is one.
    pub silent: Duration,
    /// A target that failed is tried after the others for so long.
    pub avoid: Duration,
    /// Sounds in one play.
    pub sounds: usize,
    /// Longest tone or silence in one piece.
    pub tone: Duration,
    /// Recordings of a call at a time.
    pub recordings_per_call: usize,
    /// Parties in a room.
    pub room: usize,
    /// Variables in a call record.
    pub vars: usize,
    /// How long an ended call waits for its port, its script and its files before the record is written without them.
    pub closing: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            calls: 10_000,
            legs_per_flow: 32,
            redirects: 5,
            silent: Duration::from_secs(2),
            avoid: Duration::from_secs(60),
            sounds: 64,
            tone: Duration::from_secs(600),
            recordings_per_call: 8,
            room: 200,
            vars: 100,
            closing: Duration::from_secs(10),
        }
    }
}

/// How many things the switch holds: a test sees that nothing is left behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Calls, also those that are ending.
    pub calls: usize,
    /// Running scripts.
    pub flows: usize,
    /// Ports that are open, opening or closing.
    pub ports: usize,
    /// Dialogs, early ones included.
    pub dialogs: usize,
    /// Transactions that a call waits for.
    pub transactions: usize,
    /// Sounds being loaded.
    pub loads: usize,
    /// Names being looked up.
    pub queries: usize,
    /// Certificates being fetched.
    pub certificates: usize,
    /// Recordings that run or are being written.
    pub recordings: usize,
    /// Calls whose audio is streamed.
    pub streams: usize,
    /// Conference rooms.
    pub rooms: usize,
    /// Outgoing calls that are over, but may still be answered by another fork.
    pub forks: usize,
    /// Who watches a phone or a mailbox.
    pub subscriptions: usize,
    /// Messages that are not answered yet, theirs and ours.
    pub messages: usize,
}
