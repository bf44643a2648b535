//! Call control, sans-IO: [`Switch`] owns the calls, answers and makes them, and does what flows ask for.
//!
//! What happens comes in as [`Input`], what is to be done goes out as [`Output`]: SIP messages, commands to the media
//! threads, replies to scripts, call records. Ports, sounds, names and files are asked for and come back as inputs.

#![cfg_attr(not(test), deny(clippy::wildcard_enum_match_arm))]

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;

use crate::{
    codec::{Codec, Rate},
    facts::Start,
    ids::{CallId, FlowId, InterfaceId, LoadId, PortId, QueryId, RecordingId, RequestId, StreamId, WorkerId},
    media, sip,
    time::Time,
    verbs::{Failure, FlowEnd, NoSound, Reply, Request, Sound},
};

mod accept;
mod aside;
mod bridge;
mod call;
mod cdr;
mod close;
mod connect;
mod console;
mod core;
mod desk;
mod detect;
mod direct;
mod door;
mod early;
mod errands;
mod failover;
mod fax;
mod finish;
mod flow;
mod forks;
mod gather;
pub mod guard;
mod hearing;
mod hold;
mod hunt;
mod incoming;
mod info;
mod key;
mod lamps;
mod link;
mod list;
mod message;
mod message_copy;
mod message_in;
mod message_out;
mod message_record;
mod message_within;
mod modify;
mod network;
mod outbound;
mod park;
mod phones;
mod play;
mod port;
mod progress;
mod proof;
mod provisional;
mod reason;
mod record;
mod refer;
mod registered;
mod registrar;
mod reoffer;
mod replaces;
mod replied;
mod rerun;
mod room;
mod route;
mod rules;
mod secure;
mod session;
mod siprec;
mod siprec_words;
mod steer;
pub mod stir;
mod stream;
#[expect(clippy::module_inception, reason = "the machine that the folder is named after")]
mod switch;
mod tape;
mod target;
mod task;
#[cfg(test)]
#[expect(clippy::wildcard_enum_match_arm, reason = "tests pick what they look for")]
mod tests;
mod through;
mod trace;
mod transfer;
mod trunk;
mod update;
mod whereabouts;
mod within;

pub use cdr::{CallQuality, CallRecord, Direction, EndReason, Status};
pub use guard::{Access, GuardConfig, Guarded};
pub use message::{MessageConfig, MessageRoute};
pub use message_record::MessageRecord;
pub use network::{BadNetwork, Network};
pub use phones::{NonceKey, Phone, Phones};
pub use progress::Progress;
pub use registrar::{Binding, Registrar};
pub use route::{BadPattern, Pattern, Route, Service, Through};
pub use rules::{HoldRule, Rules, TransferRule};
pub use secure::{Handshake, MediaSecurity};
pub use siprec::Recorders;
pub use stream::{StreamAbout, StreamNews, StreamOrder};
pub use switch::Switch;
pub use trunk::{
    Alarm, Cap, CapBy, HeaderRule, Identity, Outbound, Rewrite, Rule, Trail, Trunk, Trunking, Voucher, What,
};

/// Something happened.
#[derive(Debug)]
pub enum Input {
    /// One whole SIP message arrived (streams are cut into messages outside).
    Datagram {
        /// Where it came from, which is where answers go.
        hop: sip::Hop,
        /// The message.
        bytes: Bytes,
    },
    /// How long requests that begin something wait at the moment before they come here: how far behind we are. Holds
    /// until it is told again.
    Waited(Duration),
    /// Nothing can be delivered there: ICMP, or a refused or broken connection.
    TransportFailed {
        /// Where.
        hop: sip::Hop,
    },
    /// Answers [`Output::Resolve`].
    Resolved {
        /// Which query.
        query: QueryId,
        /// Where the name leads to, best first; else why nowhere.
        result: Result<Vec<sip::Target>, String>,
    },
    /// Answers [`Output::OpenPort`].
    PortOpened {
        /// Which port.
        port: PortId,
        /// The advertised RTP address; RTCP is on the port above. Else why none could be had.
        result: Result<SocketAddr, String>,
    },
    /// Answers [`Output::MovePort`]: commands for the port go to `worker` from now on.
    PortMoved {
        /// Which port.
        port: PortId,
        /// Where it is now.
        worker: WorkerId,
    },
    /// A media thread tells something. Never [`media::Event::Recorded`]: blocks go to the disk by themselves.
    Media {
        /// Which thread.
        worker: WorkerId,
        /// What.
        event: media::Event,
    },
    /// Answers [`Output::Load`].
    Loaded {
        /// Which load.
        load: LoadId,
        /// The sound, else why there is none.
        result: Result<Arc<media::Pcm>, NoSound>,
    },
    /// Answers [`Output::Load`] where the sound is a play list.
    Listed {
        /// Which load.
        load: LoadId,
        /// Its entries, at least one, else why there are none.
        result: Result<Vec<Sound>, NoSound>,
    },
    /// Answers [`Output::Look`], exactly once.
    Found {
        /// Its address.
        url: String,
        /// What lies there: PEM or DER, not looked at yet. Else why there is nothing.
        result: Result<Bytes, String>,
    },
    /// A flow or the console asks for something.
    Request(Request),
    /// A script is over. Comes exactly once for each [`Output::Start`], also after [`Output::Stop`].
    FlowEnded {
        /// Which run.
        flow: FlowId,
        /// How.
        end: FlowEnd,
    },
    /// The disk closed the file of a recording, or could not write it. Comes exactly once for each
    /// [`Output::OpenRecording`].
    RecordingWritten {
        /// Which recording.
        recording: RecordingId,
        /// The file, as a path below the recording folder; else why there is none.
        result: Result<String, String>,
    },
    /// What becomes of an [`Output::Stream`].
    Streamed {
        /// Which one.
        stream: StreamId,
        /// What.
        news: StreamNews,
    },
    /// A new configuration, for what comes from now on. The part of [`sip::Config`] is read at the start only.
    Configure(Box<Config>),
    /// The operator asks for a call.
    Originate(Originate),
    /// Take no new calls, and tell when the last one is over.
    Drain,
    /// End all calls as if each had been hung up, and take no new ones; told as [`ConsoleReply::Drained`] when done.
    HangUpAll,
}

/// A call that the operator asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct Originate {
    /// Carried by each [`ConsoleReply`] about it.
    pub request: RequestId,
    /// A `sip:` or `sips:` URI, or a number.
    pub target: String,
    /// The number shown to the target.
    pub from: String,
    /// The script that the answered call runs; absent: the console says what to do.
    pub script: Option<Arc<str>>,
    /// Variables of the script.
    pub vars: Vec<(String, String)>,
    /// Header fields added to the INVITE, for names that are not the stack's own.
    pub headers: Vec<(String, String)>,
    /// How long to ring.
    pub timeout: Duration,
}

/// What is to be done.
#[derive(Debug)]
pub enum Output {
    /// Put a SIP message on the wire.
    Send {
        /// Where to.
        hop: sip::Hop,
        /// One whole message.
        bytes: Bytes,
    },
    /// Look a name up (RFC 3263). Answered by [`Input::Resolved`].
    Resolve {
        /// Name of the query.
        query: QueryId,
        /// The host name.
        host: String,
        /// The port of the URI, where it has one.
        port: Option<u16>,
        /// The transport of the URI, where it has one.
        transport: Option<sip::Transport>,
        /// True for `sips:`: only what is encrypted will do.
        secure: bool,
    },
    /// Fetch a signer's certificate. Answered by [`Input::Found`] within seconds.
    Look {
        /// Its address; begins with `https://`. A stranger wrote it.
        url: String,
    },
    /// Bind an even UDP port and the odd one above, and keep the sockets until [`media::Command::Open`] takes them to
    /// the worker. Answered by [`Input::PortOpened`].
    OpenPort {
        /// Name of the port.
        port: PortId,
        /// The media thread that will have it.
        worker: WorkerId,
        /// On which interface.
        interface: InterfaceId,
        /// True: IPv6.
        v6: bool,
    },
    /// Move an open port with its sockets to another media thread. Answered by [`Input::PortMoved`]; no command for
    /// the port goes out in between.
    MovePort {
        /// Which port.
        port: PortId,
        /// Where it is.
        from: WorkerId,
        /// Where it goes.
        to: WorkerId,
    },
    /// Make a DTLS handshake for an open port: its datagrams come as [`media::Event::Handshake`] and go as
    /// [`media::Command::Handshake`], and its keys go as [`media::Command::Keys`]. It takes the place of the one before,
    /// and ends with the port.
    Handshake {
        /// Which port.
        port: PortId,
        /// Its thread at this moment.
        worker: WorkerId,
        /// With whom.
        handshake: Box<Handshake>,
    },
    /// Command a media thread. Open comes once after each successful [`Input::PortOpened`]; Close releases the sockets.
    Media {
        /// Which thread.
        worker: WorkerId,
        /// What.
        command: media::Command,
    },
    /// Load a [`Sound::File`], fetch a [`Sound::Web`] or speak a [`Sound::Speech`]. Answered by [`Input::Loaded`], or
    /// [`Input::Listed`].
    Load {
        /// Name of the load.
        load: LoadId,
        /// What.
        sound: Sound,
        /// The highest rate that is of use.
        rate: Rate,
    },
    /// Stream a call's audio to a program outside. Answered by [`Input::Streamed`].
    Stream(Box<StreamOrder>),
    /// Create the file of a recording; blocks follow from the worker. Answered by [`Input::RecordingWritten`] at its
    /// end.
    OpenRecording {
        /// Name of the recording.
        recording: RecordingId,
        /// Path below the recording folder: relative, without `..`.
        file: String,
        /// How it is written.
        shape: media::Shape,
        /// The port that is recorded.
        port: PortId,
        /// The thread of the port.
        worker: WorkerId,
    },
    /// Start a script.
    Start(Start),
    /// Answer a script.
    Reply {
        /// Which run.
        flow: FlowId,
        /// Which of its requests.
        request: RequestId,
        /// The answer.
        reply: Reply,
    },
    /// The flow's call is gone: unwind the script. Its pending requests are not answered any more.
    Stop {
        /// Which run.
        flow: FlowId,
    },
    /// A call has come further, and stands like this now. Never comes after its [`Output::Record`].
    Progress(Box<Progress>),
    /// A call is over, and this is what is known of it.
    Record(Box<CallRecord>),
    /// What became of a text message.
    Message(Box<MessageRecord>),
    /// Something to look at, where [`Config::trace`] is on.
    Trace(Trace),
    /// Answer the operator.
    Console(ConsoleReply),
    /// A phone registered, or its registration ended.
    Registered {
        /// The phone's user.
        user: String,
        /// All that it has now, the newest last.
        bindings: Vec<Binding>,
    },
}

/// One thing seen on a call.
#[derive(Clone, Debug, PartialEq)]
pub struct Trace {
    /// When.
    pub at: Time,
    /// On which call.
    pub call: CallId,
    /// What.
    pub what: TraceEvent,
}

/// What was seen.
#[derive(Clone, Debug, PartialEq)]
pub enum TraceEvent {
    /// A SIP message.
    Message {
        /// True: we sent it.
        sent: bool,
        /// To or from where.
        hop: sip::Hop,
        /// Its first line.
        first_line: String,
        /// All of it.
        text: String,
    },
    /// Why the codecs, directions and addresses are as they are, in one line.
    Sdp(String),
    /// What the media thread saw, in one line.
    Media(String),
    /// What the switch decided, in one line.
    Call(String),
}

/// What the operator is told.
#[derive(Clone, Debug, PartialEq)]
pub enum ConsoleReply {
    /// The call of [`Originate`] has begun.
    Calling {
        /// The order.
        request: RequestId,
        /// The new call.
        call: CallId,
        /// The id that logs and records carry.
        name: String,
    },
    /// It was answered; its script, where it has one, is starting.
    Answered {
        /// The order.
        request: RequestId,
        /// The call.
        call: CallId,
    },
    /// It was not answered.
    Failed {
        /// The order.
        request: RequestId,
        /// Why.
        failure: Failure,
        /// The SIP code behind it, where there is one.
        code: Option<u16>,
    },
    /// The answered call is over.
    Ended {
        /// The order.
        request: RequestId,
        /// The call.
        call: CallId,
    },
    /// Answers a [`Request`] of [`crate::verbs::Origin::Console`].
    Reply {
        /// Which.
        request: RequestId,
        /// The answer.
        reply: Reply,
    },
    /// Draining, and no call is left.
    Drained,
    /// Something about a carrier.
    Trunk {
        /// The carrier.
        trunk: Arc<str>,
        /// What.
        news: TrunkNews,
    },
    /// A cap on outgoing calls is used up, or nearly.
    Alarm(Alarm),
}

impl ConsoleReply {
    /// The order or request that it answers; absent: none.
    pub fn request(&self) -> Option<RequestId> {
        match self {
            ConsoleReply::Calling { request, .. }
            | ConsoleReply::Answered { request, .. }
            | ConsoleReply::Failed { request, .. }
            | ConsoleReply::Ended { request, .. }
            | ConsoleReply::Reply { request, .. } => Some(*request),
            ConsoleReply::Drained | ConsoleReply::Trunk { .. } | ConsoleReply::Alarm(_) => None,
        }
    }
}

/// What is new about a carrier.
#[derive(Clone, Debug, PartialEq)]
pub enum TrunkNews {
    /// Our registration with it.
    Registration(sip::register::Change),
    /// One of its targets answers again, or no longer.
    Target {
        /// The target.
        uri: sip::Uri,
        /// True: it answers.
        up: bool,
    },
}

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
    /// Give [`Output::Trace`].
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
