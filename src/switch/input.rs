//! What the switch is told.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;

use super::{Config, NoKeys, StreamNews};
use crate::{
    ids::{FlowId, LoadId, PortId, QueryId, RecordingId, RequestId, StreamId, WorkerId},
    media, sip,
    verbs::{FlowEnd, NoSound, Ran, Request, Sound, Torn},
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
    /// Answers [`Output::Resolve`](super::Output::Resolve).
    Resolved {
        /// Which query.
        query: QueryId,
        /// Where the name leads to, best first; else why nowhere.
        result: Result<Vec<sip::Target>, String>,
    },
    /// Answers [`Output::OpenPort`](super::Output::OpenPort).
    PortOpened {
        /// Which port.
        port: PortId,
        /// The advertised RTP address; RTCP is on the port above. Else why none could be had.
        result: Result<SocketAddr, String>,
    },
    /// Answers [`Output::MovePort`](super::Output::MovePort): commands for the port go to `worker` from now on.
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
    /// What became of a handshake of [`Output::Handshake`](super::Output::Handshake). Several may fail before one is
    /// through.
    Shaken {
        /// For which port.
        port: PortId,
        /// The media thread has the keys; else why there are none.
        result: Result<(), Box<NoKeys>>,
    },
    /// Answers [`Output::Load`](super::Output::Load).
    Loaded {
        /// Which load.
        load: LoadId,
        /// The sound, else why there is none.
        result: Result<Arc<media::Pcm>, NoSound>,
    },
    /// Answers [`Output::Load`](super::Output::Load) where the sound is a play list.
    Listed {
        /// Which load.
        load: LoadId,
        /// Its entries, at least one, else why there are none.
        result: Result<Vec<Sound>, NoSound>,
    },
    /// Answers [`Output::Look`](super::Output::Look), exactly once.
    Found {
        /// Its address.
        url: String,
        /// What lies there: PEM or DER, not looked at yet. Else why there is nothing.
        result: Result<Bytes, String>,
    },
    /// A flow or the console asks for something.
    Request(Request),
    /// A script is over. Comes exactly once for each [`Output::Start`](super::Output::Start), also after
    /// [`Output::Stop`](super::Output::Stop).
    FlowEnded {
        /// Which run.
        flow: FlowId,
        /// How.
        end: FlowEnd,
        /// What it did until then.
        ran: Box<Ran>,
    },
    /// The disk closed the file of a recording, or could not write it. Comes exactly once for each
    /// [`Output::OpenRecording`](super::Output::OpenRecording).
    RecordingWritten {
        /// Which recording.
        recording: RecordingId,
        /// The file, as a path below the recording folder; else why it is not whole.
        result: Result<String, Torn>,
    },
    /// What becomes of an [`Output::Stream`](super::Output::Stream).
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
    /// End all calls as if each had been hung up, and take no new ones; told as
    /// [`ConsoleReply::Drained`](super::ConsoleReply::Drained) when done.
    HangUpAll,
}

/// A call that the operator asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct Originate {
    /// Carried by each [`ConsoleReply`](super::ConsoleReply) about it.
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
