//! A call: one leg, from its INVITE to its record.
//!
//! ```text
//! in:   Incoming ──answer──▶ Accepting ──ACK──▶ Talking ──BYE──▶ Gone
//! out:  Locating ──▶ Inviting ──2xx──▶ Talking ──BYE──▶ Gone
//! ```
//!
//! Any state may go to Gone. Apart from the signalling, a call is *over* from the moment when its end is decided; what
//! is left then (a CANCEL's 487, the port's closing, the script's `on_hangup`) no longer changes its record.

use std::{collections::VecDeque, sync::Arc};

use super::{
    Status, TraceEvent,
    accept::Accepting,
    aside::Voice,
    bridge::Joined,
    connect::{Inviting, Locating},
    core::{Core, DialogKey},
    dictation::Dictation,
    direct::Direct,
    fax::{Fax, FaxNews},
    forks::Sent,
    hearing::Hearing,
    hold::Hold,
    incoming::Incoming,
    modify::Reinvite,
    outbound::OnTrunk,
    play::Player,
    port::Port,
    progress::Told,
    proof::Pending,
    reason::Why,
    record::Recording,
    reoffer::Reoffer,
    siprec::Siprec,
    stir::Signature,
    stream::Streaming,
    task::{Ask, Task},
    transfer::Moving,
    trunk::Caller,
    watchdog::Watchdog,
};
use crate::{
    codec::Codec,
    ids::{CallId, FlowId, PlayId, RequestId, WorkerId},
    sip::{Dialog, Reliable, SessionTimer},
    time::Time,
    verbs::{Failure, NoSound, Text},
};

mod about;
mod end;

pub(super) use about::About;
pub(super) use end::{End, Over};

/// Most keys that wait for a [`crate::verbs::Verb::Gather`] to come.
const KEYS_AHEAD: usize = 32;

/// Max-Forwards where nothing else is said (RFC 3261 section 8.1.1.6).
const HOPS: u32 = 70;

pub(super) struct Call {
    pub id: CallId,
    /// The id that logs and records carry.
    pub name: String,
    /// Call-ID and our tag.
    pub key: DialogKey,
    pub about: About,
    pub state: State,
    /// Our INVITE that was answered: forks may answer it again.
    pub sent: Option<Sent>,
    pub port: Port,
    /// Number and last version of our session description (RFC 4566 section 5.2).
    pub sdp_session: u64,
    pub sdp_version: u64,
    pub player: Player,
    /// Keys that nobody was waiting for when they came.
    pub keys: VecDeque<char>,
    /// Messages of the party that the script has not asked for yet.
    pub texts: VecDeque<Text>,
    pub task: Option<Task>,
    pub joined: Joined,
    /// How it takes part there.
    pub voice: Voice,
    /// Who asked for what is played beside everything else.
    pub announced: Option<Ask>,
    /// Keys that are sent to the party.
    pub dictation: Dictation,
    pub hold: Hold,
    /// Our re-INVITE, where there is one.
    pub reoffer: Reoffer,
    /// Its part in transfers.
    pub moving: Moving,
    /// Why it ends, as peers say.
    pub why: Why,
    /// REFERs that we sent.
    pub referrals: u32,
    pub session: Option<SessionTimer>,
    pub watchdog: Watchdog,
    /// The peer said that it knows UPDATE.
    pub peer_takes_update: bool,
    /// Other requests of ours within the dialog that are not answered yet.
    pub pending: Vec<Pending>,
    pub recordings: Vec<Recording>,
    /// The party says its keys by INFO.
    pub says_keys_by_info: bool,
    /// How its audio goes.
    pub hearing: Hearing,
    /// The flow that commands this call.
    pub flow: Option<FlowId>,
    /// The operator's order that made this call.
    pub order: Option<Order>,
    /// The call that dialled this one.
    pub parent: Option<CallId>,
    /// The carrier that it goes over or came from.
    pub trunk: Option<OnTrunk>,
    /// What its INVITE said about the caller, for the calls that it makes over carriers.
    pub caller: Option<Box<Caller>>,
    /// The phone of ours that it is with, by its user.
    pub phone: Option<Arc<str>>,
    /// The media thread that is to have the port.
    pub worker: Option<WorkerId>,
    pub signature: Signature,
    /// How many more it may go through (Max-Forwards): a call that goes in a circle ends.
    pub hops: u32,
    /// Codecs that come first in what we offer: those of the call that it is made for, which then need no transcoding.
    pub dearest: Vec<Codec>,
    /// Its media go from party to party, not through us.
    pub direct: Option<Box<Direct>>,
    /// It goes to somebody else's recorder.
    pub siprec: Option<Box<Siprec>>,
    /// The leg to the recorder that records it.
    pub recorder: Option<CallId>,
    /// Its audio goes to a program outside.
    pub streaming: Option<Box<Streaming>>,
    /// How far it has come from audio to a fax.
    pub fax: Fax,
    /// Of a call that we make: the number that it shows is known to be the caller's.
    pub vouched: bool,
    /// The calls that this one dialled.
    pub legs: Vec<CallId>,
    pub over: Option<Over>,
    /// The record was written.
    pub recorded: bool,
    /// How it stands, as was told last.
    pub told: Told,
    /// The earliest entry of the timer heap.
    pub scheduled: Option<Time>,
}

/// What [`super::Originate`] asked for, until the call is over.
pub(super) struct Order {
    pub request: RequestId,
    pub script: Option<Arc<str>>,
    pub vars: Vec<(String, String)>,
}

/// Where the signalling stands. Each state carries its data and its deadlines.
pub(super) enum State {
    Incoming(Box<Incoming>),
    Accepting(Box<Accepting>),
    Locating(Box<Locating>),
    Inviting(Box<Inviting>),
    Talking { dialog: Box<Dialog>, reinvite: Option<Box<Reinvite>> },
    Gone,
}

impl State {
    const fn name(&self) -> &'static str {
        match self {
            State::Incoming(_) => "incoming",
            State::Accepting(_) => "accepting",
            State::Locating(_) => "locating",
            State::Inviting(_) => "inviting",
            State::Talking { .. } => "talking",
            State::Gone => "gone",
        }
    }
}

/// What a call tells the switch about itself.
#[derive(Debug)]
pub(super) enum Notice {
    /// The party can be played to now, or why it cannot.
    Media(Result<(), String>),
    /// The peer of our INVITE rings.
    Ringing,
    /// The peer of our INVITE may send audio before its answer.
    EarlyMedia,
    /// In: the ACK is there. Out: the 2xx is there.
    Answered,
    /// A key was pressed.
    Key(char),
    /// It began to record.
    Records,
    /// A key came by INFO.
    InfoKey(char),
    /// All of it is there, and it begins.
    Playing(PlayId),
    /// What was being played is over.
    Played { samples: u64 },
    /// It could not be played.
    NotPlayed(NoSound),
    /// Our re-INVITE is through.
    Reoffered(Result<(), Failure>),
    /// A carrier that it waits for may have room.
    Turn,
    /// How a transfer goes that we asked the party for: a code, or why none will come.
    Referred(Result<u16, Failure>),
    /// The party holds us, or does not any more.
    Held,
    /// A message of the party came.
    Text,
    /// How the script's message to the party went.
    Texted(Ask, Result<u16, Failure>),
    /// The party of a call without a port describes its media anew.
    Described,
    /// A change from audio to a fax, or back.
    Fax(FaxNews),
    /// The end is decided.
    Over,
}

impl Call {
    pub fn new(core: &mut Core, key: DialogKey, about: About, state: State) -> Call {
        let id = CallId(core.id());
        let name = format!("{}-{}", core.epoch.unix(Time::START).as_millis(), id.0);
        core.dialogs.insert(key.clone(), id);
        tracing::info!(call = %name, from = about.from, to = about.to, direction = ?about.direction, "new call");
        Call {
            id,
            name,
            key,
            about,
            state,
            sent: None,
            port: Port::None,
            sdp_session: core.random() >> 12,
            sdp_version: 0,
            player: Player::Idle,
            keys: VecDeque::new(),
            texts: VecDeque::new(),
            task: None,
            voice: Voice::default(),
            announced: None,
            dictation: Dictation::default(),
            joined: Joined::Alone,
            hold: Hold::default(),
            reoffer: Reoffer::default(),
            moving: Moving::default(),
            why: Why::default(),
            referrals: 0,
            session: None,
            watchdog: Watchdog::default(),
            peer_takes_update: false,
            pending: Vec::new(),
            recordings: Vec::new(),
            says_keys_by_info: false,
            hearing: Hearing::default(),
            flow: None,
            order: None,
            parent: None,
            trunk: None,
            caller: None,
            phone: None,
            worker: None,
            signature: Signature::Unasked,
            hops: HOPS,
            dearest: Vec::new(),
            direct: None,
            siprec: None,
            recorder: None,
            streaming: None,
            fax: Fax::Audio,
            vouched: true,
            legs: Vec::new(),
            over: None,
            recorded: false,
            told: Told::default(),
            scheduled: None,
        }
    }

    /// The only place where the state changes. Gives back what it was.
    pub fn enter(&mut self, next: State) -> State {
        tracing::debug!(call = %self.name, from = self.state.name(), to = next.name(), "state");
        std::mem::replace(&mut self.state, next)
    }

    pub fn is_answered(&self) -> bool {
        self.about.answered.is_some()
    }

    /// Decide the end; what comes later does not change it. `code`: the final code of the INVITE.
    pub fn decide(&mut self, core: &mut Core, mut end: End, code: Option<u16>) {
        if self.over.is_some() {
            return;
        }
        let (status, code) = match self.is_answered() {
            true => (Status::Completed, Some(200)),
            false => (end.unanswered, code),
        };
        end.reason = end.reason.paired(status);
        // Operators get the record, which says this and more.
        tracing::debug!(call = %self.name, %status, reason = %end.reason, code, "over");
        core.trace(self.id, TraceEvent::Call(format!("over: {status}, {}", end.reason)));
        let until = core.now + core.config.limits.closing;
        self.over = Some(Over { at: core.now, status, end, code, until });
        self.forget_play(core);
        self.drop_described(core, 487);
        self.drop_fax(core, 487, None);
        self.keys.clear();
        self.texts.clear();
        self.leave_trunk(core);
        core.leave_lines(self.id);
        self.close_port(core);
        self.close_mouths(core);
        core.tell(self.id, Notice::Over);
    }

    /// Keep a key for who asks next; the oldest are forgotten.
    pub fn keep_key(&mut self, key: char) {
        if self.keys.len() == KEYS_AHEAD {
            self.keys.pop_front();
        }
        self.keys.push_back(key);
    }

    /// The next moment [`Call::handle_timeout`] has something to do.
    pub fn timeout(&self) -> Option<Time> {
        let signalling = match &self.state {
            State::Incoming(incoming) => {
                let prack = incoming.reliable.as_ref().and_then(Reliable::timeout);
                Time::soonest(Some(incoming.give_up), prack)
            }
            State::Accepting(accepting) => accepting.accept.timeout(),
            State::Locating(locating) => Some(locating.timeout()),
            State::Inviting(inviting) => Some(inviting.timeout()),
            State::Talking { reinvite, .. } => {
                let reinvites =
                    Time::soonest(reinvite.as_ref().and_then(|r| r.accept.timeout()), self.reoffer.timeout());
                let session = self.session.as_ref().map(SessionTimer::timeout);
                Time::soonest(reinvites, Time::soonest(session, self.watchdog.timeout()))
            }
            State::Gone => None,
        };
        let task = self.task.as_ref().and_then(Task::timeout);
        let closing = self.over.as_ref().filter(|_| !self.recorded).map(|over| over.until);
        Time::soonest(self.dictation.timeout(), Time::soonest(signalling, Time::soonest(task, closing)))
    }

    /// What is due in the signalling. The task's part is the switch's.
    pub fn handle_timeout(&mut self, core: &mut Core) {
        match &self.state {
            State::Incoming(incoming) if incoming.give_up <= core.now => self.hang_up(core, End::NO_ANSWER),
            State::Incoming(_) => self.reliable_timeout(core),
            State::Accepting(_) => self.accept_timeout(core),
            State::Locating(locating) if locating.timeout() > core.now => {}
            State::Locating(locating) if locating.outgoing.carrier.turn.is_waiting() => self.try_turn(core),
            State::Locating(_) => self.hang_up(core, End::NO_ANSWER),
            State::Inviting(_) => self.invite_timeout(core),
            State::Talking { .. } => {
                self.reinvite_timeout(core);
                self.reoffer_timeout(core);
                self.session_timeout(core);
                self.watch_timeout(core);
            }
            State::Gone => {}
        }
    }
}
