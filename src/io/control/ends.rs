//! What the control task is asked and tells, and the ends of the other threads that it holds.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::mpsc::SyncSender,
};

use tokio::sync::{
    mpsc::{Sender, UnboundedSender},
    oneshot,
};

use super::Facts;
use crate::{
    ids::RequestId,
    io::{
        disk::{FromDisk, ToDisk},
        driver::Counters,
        handshakes::Handshakes,
        ring::Ring,
        sounds::{FetchSound, LoadFile, SpeakText},
        stats::Load,
        streams::ToStreams,
        waits::{Hook, Waited},
        worker::{FromWorker, WorkerHandle},
    },
    switch::{
        Binding, CallQuality, CallRecord, ConsoleReply, Counts, Guarded, Happening, Input, MessageRecord, Progress,
        StreamOrder, Trace, TrunkView,
    },
    verbs::ToFlow,
};

/// Hands a word to the script thread of its flow; false: that thread is gone or overfull.
pub type ToFlows = Box<dyn FnMut(ToFlow) -> bool + Send>;

/// What the control task tells the program around it.
#[derive(Debug)]
pub enum Seen {
    /// Something on a call, where tracing is on.
    Trace(Trace),
    /// An answer to the operator.
    Console(ConsoleReply),
    /// Answers [`Order::Counts`].
    Counts {
        /// What is held.
        held: Counts,
        /// What was kept out.
        guarded: Guarded,
    },
}

/// How things are.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// What is held.
    pub counts: Counts,
    /// No new calls are taken.
    pub draining: bool,
    /// Numbers, and the scripts that answer them.
    pub numbers: Vec<(String, String)>,
    /// How the carriers stand.
    pub trunks: Vec<TrunkView>,
    /// Contacts of phones, by user.
    pub phones: Vec<(String, Binding)>,
    /// How many calls each phone has, by user.
    pub phone_calls: BTreeMap<String, usize>,
}

/// How the control task and the media threads are.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// What is held.
    pub counts: Counts,
    /// No new calls are taken.
    pub draining: bool,
    /// What the media threads saw, and how they keep up.
    pub workers: Vec<(Counters, Load)>,
    /// How long sounds took, by where they come from.
    pub hooks: Vec<(Hook, Waited)>,
    /// Names of the carriers.
    pub trunks: Vec<String>,
    /// Contacts of registered phones.
    pub phones: usize,
    /// Call records that the disk never took.
    pub records_lost: u64,
    /// What the store found no room for.
    pub facts_lost: u64,
}

/// What is held, by names.
pub fn counts_of(counts: &Counts) -> [(&'static str, usize); 14] {
    [
        ("calls", counts.calls),
        ("certificates", counts.certificates),
        ("flows", counts.flows),
        ("ports", counts.ports),
        ("dialogs", counts.dialogs),
        ("transactions", counts.transactions),
        ("loads", counts.loads),
        ("queries", counts.queries),
        ("recordings", counts.recordings),
        ("streams", counts.streams),
        ("rooms", counts.rooms),
        ("forks", counts.forks),
        ("subscriptions", counts.subscriptions),
        ("messages", counts.messages),
    ]
}

/// What the store is told of calls and messages.
#[derive(Debug)]
pub enum Fact {
    /// A call has come further.
    Progress(Box<Progress>),
    /// A call is over.
    Record(Box<CallRecord>),
    /// A call of an earlier run is found to be over; its last event has this place in its order.
    Reconciled(Box<CallRecord>, u32),
    /// Something happened beside the steps of a call.
    Happened(Box<Happening>),
    /// These calls go on, by their ids, and no other: of some the end found no room.
    Alive(BTreeSet<String>),
    /// What became of a text message.
    Message(Box<MessageRecord>),
    /// How the audio of a call goes so far.
    Quality {
        /// The call's id, as records have it.
        call: String,
        /// As it stands.
        quality: Box<CallQuality>,
    },
}

/// What the program asks of the control task.
#[derive(Debug)]
pub enum Order {
    /// Hand this to the Exchange.
    Input(Box<Input>),
    /// Tell [`Seen::Counts`].
    Counts,
    /// Show how busy everybody is.
    Figures(oneshot::Sender<Figures>),
    /// Show how things are.
    View(oneshot::Sender<View>),
    /// Stop at once.
    Stop,
}

/// The addresses of one interface.
#[derive(Clone, Copy, Debug)]
pub struct InterfaceAddress {
    /// What media sockets are bound to.
    pub bind: IpAddr,
    /// What SDP says.
    pub advertised: IpAddr,
}

/// The other threads, from here.
pub struct Ends {
    /// TCP and names.
    pub streams: Sender<ToStreams>,
    /// Sounds from files.
    pub sounds: SyncSender<LoadFile>,
    /// Sounds from web servers.
    pub web: Sender<FetchSound>,
    /// Sounds from text.
    pub speech: Sender<SpeakText>,
    /// Audio for programs outside.
    pub listeners: Sender<Box<StreamOrder>>,
    /// Addresses of signers' certificates.
    pub certificates: Sender<String>,
    /// Scripts.
    pub flows: ToFlows,
    /// The media threads, by [`WorkerId`](crate::ids::WorkerId).
    pub workers: Vec<WorkerHandle>,
    /// Keys for media.
    pub handshakes: Handshakes,
    /// What the media threads tell.
    pub from_workers: Ring<FromWorker>,
    /// Recordings and call records.
    pub disk: Ring<ToDisk>,
    /// Where phones are, to be kept.
    pub registrations: Sender<(String, Vec<Binding>)>,
    /// What the disk tells.
    pub from_disk: Ring<FromDisk>,
    /// The store of records and events.
    pub facts: Facts,
    /// The API, where there is one: it gets the answers to requests from this number on, and what is new of carriers.
    pub api: Option<(RequestId, UnboundedSender<ConsoleReply>)>,
    /// The program around.
    pub program: UnboundedSender<Seen>,
}
