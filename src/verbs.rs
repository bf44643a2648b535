//! The words in which call control is asked for and answered: [`Request`] goes in, [`Reply`] comes back.
//!
//! A flow, the command-line phone and (later) queues, campaigns and the API all speak these; [`Origin`] says who asked.
//! Times are [`Duration`]s; digits are the characters `0-9 * # A-D`.

mod heard;
mod play;
mod record;
mod rooms;
mod sound;
mod stream;

pub use heard::{Figures, Heard};
pub use play::{Manner, Play, PlayKey, Steer, VOLUME};
pub use record::{FileFormat, Record, RecordEnd, RecordMode, Voices, leg_files};
pub use rooms::{Entry, Member, RoomOrder, RoomView};
pub use sound::{NoSound, SignalTone, Sound, SoundFault, Speech, Tone};
pub use stream::{NoStream, Sides, Stream, StreamFault};

use std::{sync::Arc, time::Duration};

mod message;

pub use message::{Message, Messaging, Registration, Text};

use crate::{
    facts::Start,
    ids::{CallId, FlowId, PlayId, RecordingId, RequestId},
};

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
    /// Play sounds one after another. Replies [`Reply::Played`] at the end, or [`Reply::Playing`] where nobody waits for
    /// it. Opens early media if the call is unanswered.
    Play(Play),
    /// Do something to what the call is playing. Replies [`Reply::At`].
    Steer {
        /// Which play; absent: whatever it is.
        play: Option<PlayId>,
        /// What.
        steer: Steer,
    },
    /// Stop what the call is playing. Replies [`Reply::Done`] at once; the play is answered for itself.
    StopPlay {
        /// Which play; absent: whatever it is.
        play: Option<PlayId>,
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
    /// What becomes of the sound from now on. Replies [`Reply::Done`].
    RecordAs {
        /// Which one.
        recording: RecordingId,
        /// From now on.
        mode: RecordMode,
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
        /// What else.
        entry: Entry,
    },
    /// Hear another call of ours, with all that it hears, without being heard. Replies [`Reply::Left`] when that call
    /// leaves its bridge or room, or on a digit.
    Listen {
        /// The other call's id, as records have it; it is bridged or in a room.
        call: String,
        /// True: its party, and nobody else, hears this call's.
        whisper: bool,
        /// Digits of this call's party that end it; empty: none.
        stop_on: String,
    },
    /// Who answers: a person, a machine, or the network? Replies [`Reply::Heard`].
    Detect {
        /// Of a machine wait for its beep, too.
        beep: bool,
        /// How long to listen.
        timeout: Duration,
    },
    /// Have the call recorded by another machine as well (SIPREC, RFC 7866). Replies [`Reply::Done`] when that answered.
    Siprec {
        /// A `sip:` address; absent: the configuration's.
        recorder: Option<String>,
    },
    /// Have it recorded there no longer. Replies [`Reply::Done`] at once.
    SiprecStop,
    /// Send the call's audio to a program outside, as it comes. Replies [`Reply::Done`] when that takes it.
    Stream(Stream),
    /// Send it there no longer. Replies [`Reply::Done`] at once.
    StreamStop,
    /// How does the call's audio go? Replies [`Reply::Figures`] at once; [`Failure::WrongState`] in its first seconds.
    Figures,
    /// Order something in a room, from inside or outside. Replies at once.
    Room(RoomOrder),
    /// Send the party's own audio back. Replies [`Reply::Left`] on a `stop_on` digit or after `limit`.
    Echo {
        /// Digits that end it; empty: none.
        stop_on: String,
        /// Longest time, where given.
        limit: Option<Duration>,
    },
    /// Send digits: as RFC 4733 events, or as tones where the party takes none. Replies [`Reply::Done`] after the last one's end.
    SendDigits {
        /// `0-9 * # A-D`, and `,` for a pause of one second.
        digits: String,
        /// Length of each; the RFC's usual 100 ms, 40 to 5000 ms.
        length: Duration,
        /// Silence between them.
        gap: Duration,
    },
    /// Put the party on hold: it hears music, and sends nothing. Replies [`Reply::Done`] when it agreed.
    Hold {
        /// What it hears; absent: the configuration's music.
        music: Option<Sound>,
    },
    /// End the hold. Replies [`Reply::Done`] when the party agreed.
    Resume,
    /// Ask the party to call somebody else instead of us (REFER). Replies [`Reply::Transferred`] when it says that it
    /// did; the call is still there then.
    Transfer(Transfer),
    /// Do nothing for a while. Replies [`Reply::Done`].
    Sleep(Duration),
    /// Answer in the place of a phone that rings. The call becomes a leg of the flow that rings it, and its own flow
    /// ends; a reply comes only where that fails.
    Pickup {
        /// The phone's number or user.
        phone: String,
    },
    /// Wait in a slot until another call fetches this one. Replies [`Reply::Dialed`] with the call that did.
    Park {
        /// The slot's name; one call at a time.
        slot: String,
        /// How long to wait; [`Failure::NoAnswer`] after that.
        timeout: Duration,
    },
    /// Fetch the call that is parked in a slot; as [`Verb::Pickup`].
    Retrieve {
        /// The slot's name.
        slot: String,
    },
    /// Tell how many messages wait for a phone of ours: its lamp shows it. Replies [`Reply::Done`] at once.
    Mailbox {
        /// Its number or user.
        phone: String,
        /// Messages that were not heard yet.
        new: u32,
        /// Messages that were.
        old: u32,
    },
    /// Do something with text messages. What needs no call may be asked in the name of any call.
    Messaging(Messaging),
    /// Tell where a phone of ours is registered. Replies [`Reply::Registrations`] at once; needs no call.
    Registrations {
        /// Its number or user.
        phone: String,
    },
    /// The party is no longer heard in bridges and rooms, or again; it hears as before. Replies [`Reply::Done`] at once.
    Mute {
        /// True: no longer heard.
        on: bool,
    },
    /// Play sounds beside whatever the call does otherwise, where nothing else is played to it. Replies
    /// [`Reply::Played`] at the end; [`Failure::WrongState`] where something else is played or begins to be.
    Announce {
        /// What to play, gapless.
        sounds: Vec<Sound>,
        /// How.
        manner: Manner,
    },
    /// End the call's flow, as if its call had ended, with all calls that it dialled; the call itself goes on with this
    /// script. Replies [`Reply::Done`] at once, where the script's own call asked for it: never.
    Run {
        /// The script.
        script: Arc<str>,
        /// Its variables.
        vars: Vec<(String, String)>,
    },
    /// Set the vars that the call record keeps. Replies [`Reply::Done`] at once.
    SetVar {
        /// Name.
        name: String,
        /// Value; absent: forget it.
        value: Option<String>,
    },
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
    /// `sip:` or `sips:` URIs, or numbers; at least one.
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

/// Whom the party is to call.
#[derive(Clone, Debug, PartialEq)]
pub enum Transfer {
    /// Anybody.
    Blind {
        /// A `sip:` URI.
        target: String,
        /// How long to wait for the outcome.
        timeout: Duration,
    },
    /// The party of another call of ours, which the new call replaces.
    Attended {
        /// That call; answered.
        other: CallId,
        /// How long to wait for the outcome.
        timeout: Duration,
    },
}

impl Transfer {
    /// How long to wait for the outcome.
    pub fn timeout(&self) -> Duration {
        match self {
            Transfer::Blind { timeout, .. } | Transfer::Attended { timeout, .. } => *timeout,
        }
    }
}

/// The answer to a [`Request`].
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// Done, nothing to tell.
    Done,
    /// Something is being played now.
    Playing(PlayId),
    /// Where a play is, from the beginning of its first sound.
    At(Duration),
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
        /// The file, as a path below the recording folder; two of them with [`Voices::Apart`].
        files: Vec<String>,
        /// Its length.
        length: Duration,
        /// What ended it.
        why: RecordEnd,
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
    /// Who is in a room.
    Members(Vec<Member>),
    /// Which rooms there are, by name.
    Rooms(Vec<RoomView>),
    /// How the audio goes.
    Figures(Box<Figures>),
    /// Who answers.
    Heard {
        /// What was heard; absent: nothing that is sure, in the time given.
        what: Option<Heard>,
        /// The machine's beep was heard.
        beep: bool,
    },
    /// The party was transferred.
    Transferred,
    /// A value from the key-value store; absent: no such key.
    Value(Option<String>),
    /// A message was taken with this code: 200 where it arrived, 202 where somebody keeps it for later.
    Sent {
        /// 200 to 299.
        code: u16,
    },
    /// A message of the call's party.
    Message(Text),
    /// Where a phone is; empty: nowhere.
    Registrations(Vec<Registration>),
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
    /// Somebody put it out of the room.
    Kicked,
}

impl LeaveReason {
    /// As scripts see it.
    pub const fn as_str(self) -> &'static str {
        match self {
            LeaveReason::PeerHungUp => "peer_hangup",
            LeaveReason::Key(_) => "key",
            LeaveReason::Limit => "limit",
            LeaveReason::Kicked => "kicked",
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
    /// No phone of ours has this number or user.
    NoSuchPhone,
    /// The call ended meanwhile.
    HungUp,
    /// Dial: nobody answered in time (also 408 and 480 after ringing).
    NoAnswer,
    /// Dial: 486 or 600.
    Busy,
    /// Dial: refused with this code.
    Refused(u16),
    /// Dial: the operator's rules deny the target; why.
    Denied(&'static str),
    /// Dial: no way there (name not found, nothing listens, 404, 503, ...).
    Unreachable,
    /// A sound could not be had; what and why.
    Sound(NoSound),
    /// Audio cannot be streamed; where to and why.
    Stream(NoStream),
    /// No media in common, or none could be opened.
    Media(String),
    /// The disk took no more of a recording, or none of it; why. What it took can be played.
    Disk(String),
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
            Failure::NoSuchPhone => "no_such_phone",
            Failure::HungUp => "hangup",
            Failure::NoAnswer => "no_answer",
            Failure::Busy => "busy",
            Failure::Refused(_) => "refused",
            Failure::Denied(_) => "denied",
            Failure::Unreachable => "unreachable",
            Failure::Sound(_) => "sound",
            Failure::Stream(_) => "stream",
            Failure::Media(_) => "media",
            Failure::Disk(_) => "disk",
            Failure::Limit(_) => "limit",
            Failure::Store(_) => "store",
        }
    }
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
