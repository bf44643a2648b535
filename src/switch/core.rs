//! What all calls share: the SIP stack, the configuration, the queue of outputs, and which call an answer belongs to.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use super::{
    Config, ConsoleReply, Output, TraceEvent,
    call::Notice,
    desk::Desk,
    errands::Errand,
    forks::Sent,
    guard::{Guard, GuardConfig, Offence},
    link::Links,
    message::Messages,
    overload::Overload,
    queued::Lines,
    stir::Certificates,
    task::Ask,
    trace::{Departed, Seen},
    trunk::{self, Trunks},
};
use crate::{
    chance::Chance,
    ids::{CallId, InterfaceId, LoadId, PortId, QueryId, RecordingId, StreamId, WorkerId},
    media::{Command, Pcm},
    sip::{ClientTx, Failover, Headers, Hop, NameAddr, Request, Response, Scheme, ServerTx, Stack, Transport, Uri},
    time::{Epoch, Time},
    verbs::{Origin, Reply, Sound},
};

/// The methods that we understand.
pub(super) const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, PRACK, UPDATE, REFER, NOTIFY, MESSAGE";
/// The extensions that we know in any request (RFC 3891, RFC 4028). In an INVITE there is 100rel as well.
pub(super) const SUPPORTED: &str = "replaces, timer";
/// The only body that an INVITE may carry.
pub(super) const SDP: &str = "application/sdp";

/// A dialog as its messages name it: Call-ID and our own tag (RFC 3261 section 12).
pub(super) type DialogKey = (String, String);

pub(super) struct Core {
    /// The moment of the input at hand.
    pub now: Time,
    pub epoch: Epoch,
    pub config: Config,
    pub stack: Stack,
    pub guard: Guard,
    pub overload: Overload,
    pub out: VecDeque<Output>,
    /// What calls tell the switch about themselves.
    pub notices: VecDeque<(CallId, Notice)>,
    pub dialogs: BTreeMap<DialogKey, CallId>,
    /// INVITEs that came in and are not answered with 2xx yet.
    pub invites: BTreeMap<ServerTx, CallId>,
    pub transactions: BTreeMap<ClientTx, CallId>,
    pub ports: BTreeMap<PortId, CallId>,
    pub queries: BTreeMap<QueryId, CallId>,
    pub loads: BTreeMap<LoadId, CallId>,
    pub recordings: BTreeMap<RecordingId, CallId>,
    pub streams: BTreeMap<StreamId, CallId>,
    /// Of those who sign calls.
    pub certificates: Certificates,
    /// What is to be traced, in its order.
    pub seen: Vec<Seen>,
    /// Whose late messages may still come; only kept for the trace.
    pub departed: Departed,
    /// Tones that were made already; only ever looked up.
    pub tones: HashMap<Sound, Arc<Pcm>>,
    /// How the carriers stand.
    pub trunks: Trunks,
    /// Who waits for one.
    pub lines: Lines,
    /// What was called over carriers.
    pub counts: trunk::Counts,
    /// What binds us to carriers.
    pub links: Links,
    /// Requests of ours that no call waits for.
    pub errands: BTreeMap<ClientTx, Errand>,
    /// Who phones are, and where.
    pub desk: Desk,
    /// Text messages under way.
    pub messages: Messages,
    /// Which targets failed lately.
    pub failover: Failover,
    /// INVITEs that were left because nobody answered: they are kept as forks.
    pub left: Vec<Sent>,
    /// Connections that are gone.
    pub closed: BTreeSet<Hop>,
    /// Connections that calls came or went over: only where one of these closes are the calls looked at.
    carriers: BTreeSet<Hop>,
    per_worker: Vec<usize>,
    last_id: u64,
    chance: Chance,
}

/// Carriers are known by their addresses and have limits of their own: the guard trusts them.
pub(super) fn guarding(config: &Config) -> GuardConfig {
    let mut guard = config.guard.clone();
    guard.trusted.extend(config.trunking.trunks.iter().flat_map(|trunk| trunk.sources.iter().copied()));
    guard
}

impl Core {
    pub fn new(config: Config, epoch: Epoch, seed: u64) -> Core {
        Core {
            now: Time::START,
            epoch,
            stack: Stack::new(config.sip.clone(), seed),
            guard: Guard::new(guarding(&config)),
            overload: Overload::default(),
            per_worker: vec![0; usize::from(config.workers.max(1))],
            out: VecDeque::new(),
            notices: VecDeque::new(),
            dialogs: BTreeMap::new(),
            invites: BTreeMap::new(),
            transactions: BTreeMap::new(),
            ports: BTreeMap::new(),
            queries: BTreeMap::new(),
            loads: BTreeMap::new(),
            recordings: BTreeMap::new(),
            streams: BTreeMap::new(),
            certificates: Certificates::default(),
            seen: Vec::new(),
            departed: Departed::default(),
            tones: HashMap::new(),
            trunks: Trunks::default(),
            lines: Lines::default(),
            counts: trunk::Counts::default(),
            links: Links::default(),
            errands: BTreeMap::new(),
            desk: Desk::new(&config),
            config,
            messages: Messages::default(),
            failover: Failover::default(),
            left: Vec::new(),
            closed: BTreeSet::new(),
            carriers: BTreeSet::new(),
            last_id: 0,
            chance: Chance::new(seed),
        }
    }

    /// A number that was not given out before, for any kind of identifier.
    pub fn id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// A call has its dialog over this way.
    pub fn carries(&mut self, hop: Hop) {
        if hop.transport.is_reliable() {
            self.carriers.insert(hop);
        }
    }

    /// This way is no more. True: calls had their dialogs over it.
    pub fn carried(&mut self, hop: Hop) -> bool {
        self.carriers.remove(&hop)
    }

    /// For session numbers, SSRCs and the scripts' own seeds. Nothing secret hangs on it.
    pub fn random(&mut self) -> u64 {
        self.chance.bits()
    }

    pub fn tell(&mut self, call: CallId, notice: Notice) {
        self.notices.push_back((call, notice));
    }

    pub fn console(&mut self, reply: ConsoleReply) {
        self.out.push_back(Output::Console(reply));
    }

    /// Answer a request.
    pub fn reply(&mut self, ask: Ask, reply: Reply) {
        // Never all of it: digits and texts are in there.
        let failure = if let Reply::Failed(failure) = &reply { Some(failure.as_str()) } else { None };
        tracing::debug!(origin = ?ask.origin, request = %ask.id, failure, "reply");
        match ask.origin {
            Origin::Flow(flow) => self.out.push_back(Output::Reply { flow, request: ask.id, reply }),
            Origin::Console => self.console(ConsoleReply::Reply { request: ask.id, reply }),
        }
    }

    pub fn media(&mut self, worker: WorkerId, command: Command) {
        self.out.push_back(Output::Media { worker, command });
    }

    pub fn trace(&mut self, call: CallId, what: TraceEvent) {
        if self.config.trace {
            self.seen.push(Seen::Fact { call, what });
        }
    }

    /// Send a request whose answer `call` wants to hear.
    pub fn request(&mut self, call: CallId, request: Request, hop: Hop) -> ClientTx {
        let tx = self.stack.request(self.now, request, hop);
        self.transactions.insert(tx, call);
        tx
    }

    pub fn respond(&mut self, tx: ServerTx, response: Response) {
        self.stack.respond(self.now, tx, response);
    }

    /// Answer with nothing but a code and these header fields.
    pub fn answer(&mut self, tx: ServerTx, request: &Request, code: u16, fields: &[(&str, &str)]) {
        let mut response = request.response(code, None);
        for (name, value) in fields {
            response.headers.push(name, *value);
        }
        self.respond(tx, response);
    }

    /// The peer on the far side of `hop` did wrong.
    pub fn offence(&mut self, hop: Hop, offence: Offence) {
        self.guard.note(self.now, hop.remote.ip(), offence);
    }

    /// 503 with Retry-After, for who comes while we are full or draining.
    pub fn answer_later(&mut self, tx: ServerTx, request: &Request) {
        self.answer_after(tx, request, self.config.retry_after);
    }

    /// 503 with Retry-After: come again after this time.
    pub fn answer_after(&mut self, tx: ServerTx, request: &Request, after: Duration) {
        let seconds = after.as_secs().max(1).to_string();
        self.answer(tx, request, 503, &[("Retry-After", &seconds)]);
    }

    /// How peers on the far side of `hop` reach us.
    pub fn contact(&self, hop: Hop) -> NameAddr {
        let at = usize::from(hop.interface.0);
        let advertised = self.config.sip.interfaces.get(at).map_or(hop.remote, |i| i.reached(hop.transport));
        let host = match advertised.is_ipv6() {
            true => format!("[{}]", advertised.ip()),
            false => advertised.ip().to_string(),
        };
        let mut uri = Uri::sip(Some("switchhook"), host, Some(advertised.port()));
        if hop.transport != Transport::Udp {
            uri.set_param("transport", Some(hop.transport.param()));
        }
        NameAddr::new(uri)
    }

    /// How we are reached where no hop is known yet: on the first interface.
    pub fn own_contact(&self) -> NameAddr {
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 5060));
        self.contact(Hop { transport: Transport::Udp, interface: InterfaceId(0), remote: nowhere })
    }

    /// Contact, Allow and Supported: what dialog-forming messages carry.
    pub fn introduce(&self, headers: &mut Headers, hop: Hop) {
        headers.set("Contact", self.contact(hop).to_string());
        headers.set("Allow", ALLOW);
        headers.set("Supported", SUPPORTED);
    }

    /// As [`Core::introduce`]; `sips`: the peer is called by such an address, so ours is one, too (RFC 3261 sections
    /// 8.1.1.8 and 12.1.1).
    pub fn introduce_for(&self, headers: &mut Headers, hop: Hop, sips: bool) {
        self.introduce(headers, hop);
        if sips && hop.transport.is_secure() {
            let mut contact = self.contact(hop);
            contact.uri.scheme = Scheme::Sips;
            contact.uri.params.retain(|(name, _)| hop.transport != Transport::Tls || name != "transport");
            headers.set("Contact", contact.to_string());
        }
    }

    /// The media thread with the fewest ports.
    pub fn lightest_worker(&self) -> WorkerId {
        let at = (0..self.per_worker.len()).min_by_key(|at| self.per_worker[*at]).unwrap_or(0);
        WorkerId(u8::try_from(at).unwrap_or(0))
    }

    pub fn add_port(&mut self, port: PortId, call: CallId, worker: WorkerId) {
        self.ports.insert(port, call);
        if let Some(load) = self.per_worker.get_mut(usize::from(worker.0)) {
            *load += 1;
        }
    }

    pub fn remove_port(&mut self, port: PortId, worker: WorkerId) {
        self.ports.remove(&port);
        if let Some(load) = self.per_worker.get_mut(usize::from(worker.0)) {
            *load = load.saturating_sub(1);
        }
    }

    pub fn move_port(&mut self, from: WorkerId, to: WorkerId) {
        for (worker, by) in [(from, -1), (to, 1)] {
            if let Some(load) = self.per_worker.get_mut(usize::from(worker.0)) {
                *load = load.saturating_add_signed(by);
            }
        }
    }
}
