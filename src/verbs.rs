//! The words in which call control is asked for and answered: [`Request`] goes in, [`Reply`] comes back.
//!
//! A flow, the command-line phone and (later) queues, campaigns and the API all speak these; [`Origin`] says who asked.
//! Times are [`Duration`]s; digits are the characters `0-9 * # A-D`.

use std::{sync::Arc, time::Duration};

use crate::ids::{CallId, FlowId, RecordingId, RequestId};

/// Who asked, hence who gets the reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// A running script.
    Flow(FlowId),
    /// The operator's own command line.
    Console,
}

/// One thing to do to one call.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// Who asked.
    pub origin: Origin,
    /// Unique within the origin.
    pub id: RequestId,
    /// The call it is about; a flow may name its own call and the legs it dialled.
    pub call: CallId,
    /// What to do.
    pub verb: Verb,
}

/// What can be done to a call. Each is answered by exactly one [`Reply`], unless its flow is stopped first.
#[derive(Clone, Debug, PartialEq)]
pub enum Verb {
    /// Send 180 Ringing. Replies [`Reply::Done`] at once.
    Ring,
    /// Send 183 with SDP and open the media path to the caller. Replies when audio can be played.
    Progress,
    /// Send 200 OK. Replies when the ACK is in.
    Answer,
    /// Refuse an unanswered call. `code` is 300 to 699.
    Reject {
        /// SIP status code, 300 to 699.
        code: u16,
        /// Reason phrase; the RFC's own where absent.
        reason: Option<String>,
    },
    /// End the call: BYE, CANCEL or 603, as its state asks for. The flow goes on for its own call's `on_hangup` only.
    Hangup,
    /// Play sounds one after another. Replies [`Reply::Played`] at the end. Opens early media if the call is unanswered.
    Play {
        /// What to play, gapless.
        sounds: Vec<Sound>,
        /// Digits that stop it; empty: none does.
        stop_on: String,
    },
    /// Collect digits. Replies [`Reply::Digits`].
    Gather(Gather),
    /// Record what the party says and hears. Replies [`Reply::Recording`] at once where `wait` is false, else
    /// [`Reply::Recorded`] when it ended.
    Record(Record),
    /// Finish a recording. Replies [`Reply::Recorded`].
    RecordStop {
        /// Which one.
        recording: RecordingId,
    },
    /// Leave out what comes from now on / go on. Replies [`Reply::Done`].
    RecordPause {
        /// Which one.
        recording: RecordingId,
        /// True to pause, false to go on.
        paused: bool,
    },
    /// Ring other phones; the first to answer is bridged to this call. Replies [`Reply::Dialed`].
    Dial(Dial),
    /// Bridge with another call of this flow (if not bridged yet), and wait till one of them leaves.
    /// Replies [`Reply::Left`].
    Bridge {
        /// The other call.
        other: CallId,
        /// Digits of this call's party that end the wait and the bridge; empty: none.
        stop_on: String,
    },
    /// Enter a conference room, made when first entered and gone when the last party leaves. Replies [`Reply::Left`].
    Join {
        /// The room's name.
        room: String,
        /// Digits of this call's party that make it leave; empty: none.
        stop_on: String,
        /// True: hears, is not heard.
        muted: bool,
    },
    /// Send the party's own audio back. Replies [`Reply::Left`] on a `stop_on` digit or after `limit`.
    Echo {
        /// Digits that end it; empty: none.
        stop_on: String,
        /// Longest time, where given.
        limit: Option<Duration>,
    },
    /// Send RFC 4733 digits. Replies [`Reply::Done`] after the last one's end.
    SendDigits {
        /// `0-9 * # A-D`, and `,` for a pause of one second.
        digits: String,
        /// Length of each; the RFC's usual 100 ms, 40 to 5000 ms.
        length: Duration,
        /// Silence between them.
        gap: Duration,
    },
    /// Do nothing for a while. Replies [`Reply::Done`].
    Sleep(Duration),
    /// Set the vars that the call record keeps. Replies [`Reply::Done`] at once.
    SetVar {
        /// Name.
        name: String,
        /// Value; absent: forget it.
        value: Option<String>,
    },
}

/// One sound to play.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Sound {
    /// A WAV file, by its path below the prompt folder.
    File(String),
    /// Text spoken by the speech engine.
    Speech(Speech),
    /// A signal tone, for `length` (absent: for ever).
    Tone {
        /// Which one.
        tone: Tone,
        /// How long; absent: until stopped.
        length: Option<Duration>,
    },
    /// Nothing to be heard.
    Silence(Duration),
}

/// What the speech engine is asked to say.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Speech {
    /// The words; at most 4,000 characters.
    pub text: String,
    /// BCP 47 language, such as `en-US`; absent: the configuration's.
    pub language: Option<String>,
    /// The engine's own voice name; absent: the configuration's.
    pub voice: Option<String>,
}

/// Signal tones as networks play them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SignalTone {
    /// The far end rings.
    Ringing,
    /// The far end is busy.
    Busy,
    /// No way through.
    Congestion,
    /// Ready to dial.
    Dial,
}

/// A tone.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Tone {
    /// One short 1,000 Hz beep.
    Beep,
    /// A network's signal, in the cadence of `country` (ISO 3166 alpha-2, lower case; absent: the configuration's).
    Signal {
        /// Which signal.
        signal: SignalTone,
        /// Whose cadence.
        country: Option<String>,
    },
    /// Up to two frequencies, in Hz (20 to 3,800), without cadence.
    Frequencies(Vec<u16>),
}

/// How to collect digits.
#[derive(Clone, Debug, PartialEq)]
pub struct Gather {
    /// Played first; digits pressed meanwhile count.
    pub prompt: Vec<Sound>,
    /// Stop after this many, 1 to 128.
    pub max: usize,
    /// A digit among these ends it, and is not part of the digits.
    pub terminators: String,
    /// Longest pause before the first digit, from the end of the prompt.
    pub first_timeout: Duration,
    /// Longest pause between digits.
    pub timeout: Duration,
    /// The first digit stops the prompt; false: digits during the prompt wait behind it.
    pub barge_in: bool,
}

/// How to record.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// File name below the recording folder; absent: made from date and call id.
    pub file: Option<String>,
    /// Two channels, the party left and what it hears right; false: one channel with both mixed.
    pub stereo: bool,
    /// True: only what the party says (a voicemail), mono.
    pub party_only: bool,
    /// Ends after this much audio.
    pub max: Option<Duration>,
    /// Digits of the party that end it; empty: none.
    pub stop_on: String,
    /// True: the reply comes when the recording ended.
    pub wait: bool,
}

/// In which order the targets of a [`Dial`] are rung.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// All at once; the first answer wins.
    All,
    /// One after another, each for the whole timeout.
    InTurn,
}

/// How to ring other phones.
#[derive(Clone, Debug, PartialEq)]
pub struct Dial {
    /// `sip:` or `sips:` URIs, at least one.
    pub targets: Vec<String>,
    /// Order.
    pub strategy: Strategy,
    /// How long to ring: in all with [`Strategy::All`], each with [`Strategy::InTurn`].
    pub timeout: Duration,
    /// Let the caller hear the first target that sends audio before its answer.
    pub early_media: bool,
    /// The number shown to the targets; absent: the caller's own.
    pub caller_id: Option<String>,
    /// Header fields added to each INVITE, for names that are not the stack's own.
    pub headers: Vec<(String, String)>,
    /// What the caller hears meanwhile; absent: the configured country's ringing.
    pub ringback: Option<Sound>,
}

/// The answer to a [`Request`].
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// Done, nothing to tell.
    Done,
    /// Playing ended.
    Played {
        /// The digit that stopped it, if one did.
        key: Option<char>,
        /// How much was sent.
        length: Duration,
    },
    /// Digits were collected (perhaps none).
    Digits {
        /// What was pressed, without the terminator.
        digits: String,
        /// What ended it.
        why: GatherEnd,
    },
    /// A recording runs.
    Recording(RecordingId),
    /// A recording ended.
    Recorded {
        /// Which one.
        recording: RecordingId,
        /// The file, as a path below the recording folder.
        file: String,
        /// Its length.
        length: Duration,
        /// The digit that stopped it, if one did.
        key: Option<char>,
    },
    /// Somebody answered, and is bridged to the caller.
    Dialed {
        /// The new leg.
        call: CallId,
        /// Which of the targets it is, counted from 0.
        target: usize,
    },
    /// A bridge, room or echo was left.
    Left(LeaveReason),
    /// A value from the key-value store; absent: no such key.
    Value(Option<String>),
    /// It could not be done.
    Failed(Failure),
}

/// What ended a [`Gather`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GatherEnd {
    /// As many digits as asked for.
    Max,
    /// This terminator.
    Terminator(char),
    /// Pause after a digit.
    Timeout,
    /// No digit at all.
    NoInput,
}

/// Why a bridge, room or echo was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaveReason {
    /// The other party hung up.
    PeerHungUp,
    /// This digit.
    Key(char),
    /// The time limit.
    Limit,
}

impl LeaveReason {
    /// As scripts see it.
    pub const fn as_str(self) -> &'static str {
        match self {
            LeaveReason::PeerHungUp => "peer_hangup",
            LeaveReason::Key(_) => "key",
            LeaveReason::Limit => "limit",
        }
    }
}

/// Why a [`Request`] could not be done: the expected failures, which scripts get as `nil, reason`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The call is not in a state for it (say, answering an answered call).
    WrongState,
    /// No such call, or not this flow's.
    NoSuchCall,
    /// No such recording, or it ended.
    NoSuchRecording,
    /// The call ended meanwhile.
    HungUp,
    /// Dial: nobody answered in time (also 408 and 480 after ringing).
    NoAnswer,
    /// Dial: 486 or 600.
    Busy,
    /// Dial: refused with this code.
    Refused(u16),
    /// Dial: no way there (name not found, nothing listens, 404, 503, ...).
    Unreachable,
    /// A sound could not be had; what and why.
    Sound(String),
    /// No media in common, or none could be opened.
    Media(String),
    /// A limit of the configuration was reached; which.
    Limit(&'static str),
    /// The key-value store failed; why.
    Store(String),
}

impl Failure {
    /// The word that scripts see.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Failure::WrongState => "wrong_state",
            Failure::NoSuchCall => "no_such_call",
            Failure::NoSuchRecording => "no_such_recording",
            Failure::HungUp => "hangup",
            Failure::NoAnswer => "no_answer",
            Failure::Busy => "busy",
            Failure::Refused(_) => "refused",
            Failure::Unreachable => "unreachable",
            Failure::Sound(_) => "sound",
            Failure::Media(_) => "media",
            Failure::Limit(_) => "limit",
            Failure::Store(_) => "store",
        }
    }
}

/// What a flow is started with.
#[derive(Clone, Debug, PartialEq)]
pub struct Start {
    /// The new run.
    pub flow: FlowId,
    /// Its call.
    pub call: CallId,
    /// Script name, a path below the script folder.
    pub script: Arc<str>,
    /// What is known of the call.
    pub facts: Facts,
    /// Variables given with the number or the order.
    pub vars: Vec<(String, String)>,
    /// Seconds since 1970 when it began: the script's `os.time` starts here.
    pub unix: Duration,
    /// Seed of the script's `math.random`.
    pub seed: u64,
}

/// What a flow knows of its call.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// The id that logs and records carry.
    pub id: String,
    /// User part of From, `anonymous` where there is none.
    pub caller: String,
    /// Display name of From.
    pub caller_name: String,
    /// User part of the Request-URI.
    pub called: String,
    /// SIP Call-ID of the leg.
    pub sip_call_id: String,
    /// Where the INVITE came from, `address:port`.
    pub source: String,
    /// False: we made the call.
    pub inbound: bool,
    /// Header fields of the INVITE whose names begin with `X-`, as they came.
    pub headers: Vec<(String, String)>,
}

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
