//! The machine of this folder: messages and deadlines in, messages and events out.
//!
//! Requests of ours are in `uac.rs`, requests of peers in `uas.rs`; here are the door, the clockwork and the books.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    net::SocketAddr,
};

use super::{
    ClientTx, Config, Event, Hop, Limits, Malformed, Message, Output, Response, ServerTx,
    branch::Names,
    large::UdpOnly,
    routing::{self, Key},
    timers::Timers,
    transaction::{ClientEntry, ServerEntry, Tx},
};
use crate::time::Time;

/// What happened so far, and what is in work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Messages that could not be read.
    pub malformed: u64,
    /// Of these, those that could not be answered either.
    pub dropped_malformed: u64,
    /// Responses that no transaction waits for.
    pub dropped_stray: u64,
    /// Requests answered by the stack itself: 4xx and 5xx, malformed and overloading ones among them.
    pub refused: u64,
    /// Requests answered with 503 because there were too many.
    pub overloaded: u64,
    /// Messages sent once more, by a timer or because the peer did so.
    pub retransmitted: u64,
    /// Client transactions in work.
    pub clients: usize,
    /// Server transactions in work.
    pub servers: usize,
}

/// All transactions of one process. See the module.
#[derive(Debug)]
pub struct Stack {
    pub(super) config: Config,
    pub(super) timers: Timers,
    pub(super) names: Names,
    pub(super) clients: HashMap<Tx, ClientEntry>,
    pub(super) servers: HashMap<ServerTx, ServerEntry>,
    pub(super) keys: HashMap<Key, ServerTx>,
    pub(super) merges: HashMap<Box<str>, ServerTx>,
    pub(super) servers_ever: u64,
    /// Every transaction's next deadline.
    pub(super) due: BTreeSet<(Time, Tx)>,
    /// Every transaction that a broken transport matters to, by its hop.
    pub(super) hops: BTreeSet<(Hop, Tx)>,
    pub(super) out: VecDeque<Output>,
    /// Peers that take no TCP.
    pub(super) udp_only: UdpOnly,
    pub(super) counters: Counters,
}

impl Stack {
    /// `seed` makes branches and tags; it should be one that nobody can guess.
    pub fn new(config: Config, seed: u64) -> Stack {
        Stack {
            timers: Timers::new(&config),
            config,
            names: Names::new(seed),
            clients: HashMap::new(),
            servers: HashMap::new(),
            keys: HashMap::new(),
            merges: HashMap::new(),
            servers_ever: 0,
            due: BTreeSet::new(),
            hops: BTreeSet::new(),
            out: VecDeque::new(),
            udp_only: UdpOnly::default(),
            counters: Counters::default(),
        }
    }

    /// One whole message came; streams are framed by whoever reads them.
    pub fn handle_datagram(&mut self, now: Time, hop: Hop, bytes: &[u8]) {
        // Empty lines and zeros keep a NAT open (RFC 5626 section 3.5.1).
        if bytes.iter().all(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
            return;
        }
        let limits = Limits { max_headers: self.config.max_headers, max_message: self.config.max_message };
        match Message::parse(bytes, &limits) {
            Ok(Message::Request(request)) => self.handle_request(now, hop, request),
            Ok(Message::Response(response)) => self.handle_response(now, response),
            Err(malformed) => self.handle_malformed(hop, malformed),
        }
    }

    /// Nothing can be sent over `hop`: ICMP said so, or the connection was refused or broke.
    pub fn handle_transport_failed(&mut self, now: Time, hop: Hop) {
        let first = (hop, Tx::Client(ClientTx(0)));
        let affected: Vec<Tx> = self.hops.range(first..).take_while(|(h, _)| *h == hop).map(|(_, tx)| *tx).collect();
        for tx in affected {
            match tx {
                Tx::Client(_) | Tx::Cancel(_) if self.fall_back(now, tx) => {}
                Tx::Client(_) | Tx::Cancel(_) => {
                    self.clients.get_mut(&tx).into_iter().for_each(|entry| entry.machine.handle_transport_failed());
                }
                Tx::Server(id) => {
                    self.servers.get_mut(&id).into_iter().for_each(|entry| entry.machine.handle_transport_failed());
                }
            }
            self.settle(now, tx);
        }
    }

    /// A tag for From or To.
    pub fn new_tag(&mut self) -> String {
        self.names.tag()
    }

    /// A Call-ID.
    pub fn new_call_id(&mut self) -> String {
        self.names.call_id()
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Time) {
        while let Some(&(at, tx)) = self.due.first().filter(|(at, _)| *at <= now) {
            self.due.remove(&(at, tx));
            match tx {
                Tx::Client(_) | Tx::Cancel(_) => {
                    let Some(entry) = self.clients.get_mut(&tx) else { continue };
                    entry.armed = None;
                    if entry.fallback.as_ref().is_some_and(|fallback| fallback.at <= now) {
                        self.fall_back(now, tx);
                    } else {
                        entry.machine.handle_timeout(now);
                    }
                }
                Tx::Server(id) => {
                    if let Some(entry) = self.servers.get_mut(&id) {
                        entry.armed = None;
                        entry.machine.handle_timeout(now);
                    }
                }
            }
            self.settle(now, tx);
        }
    }

    /// The next moment [`Self::handle_timeout`] has something to do.
    pub fn timeout(&self) -> Option<Time> {
        self.due.first().map(|(at, _)| *at)
    }

    /// What to do next; drain it after every call.
    pub fn poll(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    /// The books.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// True where nothing is in work and nothing waits to be polled.
    pub fn is_empty(&self) -> bool {
        let transactions = self.clients.len() + self.servers.len() + self.keys.len() + self.merges.len();
        transactions + self.due.len() + self.hops.len() + self.out.len() == 0
    }

    fn handle_malformed(&mut self, hop: Hop, malformed: Malformed) {
        self.counters.malformed += 1;
        tracing::debug!("malformed message from {}: {}", hop.remote, malformed.what);
        match malformed.answer {
            Some(mut answer) => {
                answer.headers.via.first_mut().into_iter().for_each(|via| routing::mark_source(via, hop));
                let of = answer.headers.call_id.clone();
                self.refuse(hop, &of, *answer);
            }
            None => self.counters.dropped_malformed += 1,
        }
    }

    /// Answers without a transaction (RFC 3261 section 8.2.7): the peer's resends get the same answer again, with the
    /// same tag, which follows from `of`.
    pub(super) fn refuse(&mut self, hop: Hop, of: &str, mut answer: Response) {
        let Some(via) = answer.headers.via.first() else { return };
        let hop = routing::reply_hop(via, hop);
        if answer.headers.to.tag().is_none() {
            answer.headers.to.set_tag(&self.names.tag_of(of));
        }
        self.counters.refused += 1;
        self.put_agent("Server", &mut answer.headers);
        self.out.push_back(Output::Send { hop, bytes: answer.to_bytes() });
    }

    pub(super) fn tell(&mut self, event: Event) {
        self.out.push_back(Output::Event(event));
    }

    pub(super) fn put_agent(&self, name: &str, headers: &mut super::Headers) {
        if !self.config.agent.is_empty() && headers.get(name).is_none() {
            headers.push(name, self.config.agent.as_str());
        }
    }

    pub(super) fn advertised(&self, hop: Hop) -> SocketAddr {
        let interface = self.config.interfaces.get(usize::from(hop.interface.0));
        interface.expect("hops name interfaces of the configuration").reached(hop.transport)
    }

    /// Does what the machine of `tx` asks for, and keeps the books about it.
    pub(super) fn settle(&mut self, now: Time, tx: Tx) {
        match tx {
            Tx::Client(_) | Tx::Cancel(_) => self.settle_client(now, tx),
            Tx::Server(id) => self.settle_server(id),
        }
    }

    /// Sets the one deadline of `tx`.
    pub(super) fn arm(due: &mut BTreeSet<(Time, Tx)>, tx: Tx, armed: &mut Option<Time>, at: Option<Time>) {
        if *armed == at {
            return;
        }
        armed.iter().for_each(|old| {
            due.remove(&(*old, tx));
        });
        due.extend(at.map(|at| (at, tx)));
        *armed = at;
    }
}
