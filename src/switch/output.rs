//! What the switch wants done, and what it tells.

use std::sync::Arc;

use bytes::Bytes;

use super::{
    Alarm, Binding, CallQuality, CallRecord, Handshake, Happening, MessageRecord, Progress, RecordingNote, StreamOrder,
};
use crate::{
    codec::Rate,
    facts::Start,
    ids::{CallId, FlowId, InterfaceId, LoadId, PortId, QueryId, RecordingId, RequestId, WorkerId},
    media, sip,
    time::Time,
    verbs::{Failure, Reply, Sound},
};

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
    /// Look a name up (RFC 3263). Answered by [`Input::Resolved`](super::Input::Resolved).
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
    /// Fetch a signer's certificate. Answered by [`Input::Found`](super::Input::Found) within seconds.
    Look {
        /// Its address; begins with `https://`. A stranger wrote it.
        url: String,
    },
    /// Bind an even UDP port and the odd one above, and keep the sockets until [`media::Command::Open`] takes them to
    /// the worker. Answered by [`Input::PortOpened`](super::Input::PortOpened).
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
    /// Move an open port with its sockets to another media thread. Answered by
    /// [`Input::PortMoved`](super::Input::PortMoved); no command for the port goes out in between.
    MovePort {
        /// Which port.
        port: PortId,
        /// Where it is.
        from: WorkerId,
        /// Where it goes.
        to: WorkerId,
    },
    /// Make a DTLS handshake for an open port: its datagrams come as [`media::Event::Handshake`] and go as
    /// [`media::Command::Handshake`], and its keys go as [`media::Command::Keys`]. It takes the place of the one
    /// before, and ends with the port.
    Handshake {
        /// Which port.
        port: PortId,
        /// Its thread at this moment.
        worker: WorkerId,
        /// With whom.
        handshake: Box<Handshake>,
    },
    /// Command a media thread. Open comes once after each successful [`Input::PortOpened`](super::Input::PortOpened);
    /// Close releases the sockets.
    Media {
        /// Which thread.
        worker: WorkerId,
        /// What.
        command: media::Command,
    },
    /// Load a [`Sound::File`], fetch a [`Sound::Web`] or speak a [`Sound::Speech`]. Answered by
    /// [`Input::Loaded`](super::Input::Loaded).
    Load {
        /// Name of the load.
        load: LoadId,
        /// What.
        sound: Sound,
        /// The highest rate that is of use.
        rate: Rate,
    },
    /// Stream a call's audio to a program outside. Answered by [`Input::Streamed`](super::Input::Streamed).
    Stream(Box<StreamOrder>),
    /// Create the file of a recording; blocks follow from the worker. Answered by
    /// [`Input::RecordingWritten`](super::Input::RecordingWritten) at its end.
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
        /// Its call, and who is on it. So the file can be told from others, even where the call never comes to a record.
        note: Box<RecordingNote>,
    },
    /// There is more to be known of a recording.
    NoteRecording {
        /// Which one.
        recording: RecordingId,
        /// Takes the place of the note before.
        note: Box<RecordingNote>,
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
    /// How the audio of a call goes so far: told every few seconds while it goes on.
    Quality {
        /// The call's id, as records have it.
        call: String,
        /// What its port saw.
        quality: Box<CallQuality>,
    },
    /// A call is over, and this is what is known of it.
    Record(Box<CallRecord>),
    /// Something happened beside the steps of a call. Of a call it comes after its first [`Output::Progress`] and before
    /// its [`Output::Record`].
    Happened(Box<Happening>),
    /// What became of a text message.
    Message(Box<MessageRecord>),
    /// Something to look at, where [`Config::trace`](super::Config::trace) is on.
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
    /// The call of [`Originate`](super::Originate) has begun.
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
    /// Answers a [`Request`](crate::verbs::Request) of [`crate::verbs::Origin::Console`].
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
