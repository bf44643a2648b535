//! The server half of the stack: requests of peers, and our answers to them.

use super::{
    Event, Hop, Method, Output, Request, Response, ServerTx, Stack, invite_server,
    invite_server::InviteServer,
    routing::{self, Key},
    server::Server,
    transaction::{ServerEntry, ServerMachine, Tx},
    validate::validate,
};
use crate::time::Time;

/// Seconds after which one whom we have no room for may ask again.
const RETRY_AFTER: &str = "10";

impl Stack {
    /// Answers a request. A To-tag is added where there is none and the answer is more than 100 (one and the same for
    /// all answers to a request), Server, and Content-Length. Ignored where the transaction is over or has its final
    /// answer; but a 2xx to an INVITE may be sent again and again for 64*T1 (see [`Accept`](super::Accept)).
    pub fn respond(&mut self, now: Time, tx: ServerTx, mut response: Response) {
        let Some(entry) = self.servers.get_mut(&tx) else { return };
        let to = &mut response.headers.to;
        match to.tag() {
            Some(tag) if entry.tag.is_none() => entry.tag = Some(tag.to_owned()),
            None if response.code > 100 => to.set_tag(entry.tag.get_or_insert_with(|| self.names.tag())),
            Some(_) | None => {}
        }
        self.answer(now, tx, response);
    }

    fn answer(&mut self, now: Time, tx: ServerTx, mut response: Response) {
        self.put_agent("Server", &mut response.headers);
        let Some(entry) = self.servers.get_mut(&tx) else { return };
        entry.machine.respond(now, response.code, response.to_bytes());
        self.settle_server(tx);
    }

    /// A request came.
    pub(super) fn handle_request(&mut self, now: Time, hop: Hop, mut request: Request) {
        let Some(via) = request.headers.via.first_mut() else { return };
        routing::mark_source(via, hop);
        let keyed_as = if request.method == Method::Ack { Method::Invite } else { request.method };
        let Some(key) = Key::new(&request, keyed_as) else { return };
        let known = self.keys.get(&key).copied();
        match (request.method, known) {
            (Method::Ack, _) => self.handle_ack(now, hop, request, &key, known),
            (_, Some(tx)) => self.handle_resent(tx),
            (Method::Cancel, None) => self.handle_cancel(now, hop, request, key),
            (_, None) => self.handle_new(now, hop, request, key),
        }
    }

    fn handle_resent(&mut self, tx: ServerTx) {
        if let Some(entry) = self.servers.get_mut(&tx) {
            entry.machine.handle_request();
        }
        self.settle_server(tx);
    }

    fn handle_ack(&mut self, now: Time, hop: Hop, request: Request, key: &Key, known: Option<ServerTx>) {
        let entry = known.and_then(|tx| self.servers.get_mut(&tx));
        let for_user = match entry.map(|entry| &mut entry.machine) {
            Some(ServerMachine::Invite(machine)) => machine.handle_ack(now),
            Some(ServerMachine::Other(_)) => false,
            // Either of a 2xx, or of a refusal that left no trace but its tag.
            None => request.headers.to.tag() != Some(self.names.tag_of(key.as_str()).as_str()),
        };
        known.into_iter().for_each(|tx| self.settle_server(tx));
        if for_user {
            self.tell(Event::Ack { hop, request });
        }
    }

    /// Section 9.2. The CANCEL gets the To-tag of the INVITE's answers.
    fn handle_cancel(&mut self, now: Time, hop: Hop, request: Request, key: Key) {
        let invite = Key::new(&request, Method::Invite).and_then(|invite| self.keys.get(&invite)).copied();
        let entry = invite.and_then(|tx| Some((tx, self.servers.get_mut(&tx)?)));
        let Some((invite, entry)) = entry else {
            return self.refuse(hop, key.as_str(), request.response(481, None));
        };
        let tag = entry.tag.get_or_insert_with(|| self.names.tag()).clone();
        let news = match &mut entry.machine {
            ServerMachine::Invite(machine) => machine.handle_cancel(),
            ServerMachine::Other(_) => false,
        };
        let mut answer = request.response(200, None);
        if answer.headers.to.tag().is_none() {
            answer.headers.to.set_tag(&tag);
        }
        let tx = self.open(now, hop, &request, key);
        self.answer(now, tx, answer);
        if news {
            self.tell(Event::Cancel { tx: invite, request });
        }
    }

    fn handle_new(&mut self, now: Time, hop: Hop, request: Request, key: Key) {
        let merge = routing::merge_key(&request);
        let merged = merge.as_ref().is_some_and(|merge| self.merges.contains_key(merge));
        if self.servers.len() >= self.config.max_transactions {
            self.counters.overloaded += 1;
            let mut answer = request.response(503, None);
            answer.headers.push("Retry-After", RETRY_AFTER);
            return self.refuse(hop, key.as_str(), answer);
        }
        if let Err(answer) = validate(&request, merged) {
            // In a dialog the ACK would look like that of a 2xx, were there no transaction to take it.
            if request.method == Method::Invite && request.headers.to.tag().is_some() {
                self.counters.refused += 1;
                let tx = self.open(now, hop, &request, key);
                return self.answer(now, tx, *answer);
            }
            return self.refuse(hop, key.as_str(), *answer);
        }
        let tx = self.open(now, hop, &request, key);
        if let (Some(merge), Some(entry)) = (merge, self.servers.get_mut(&tx)) {
            entry.merge = Some(merge.clone());
            self.merges.insert(merge, tx);
        }
        self.tell(Event::Request { tx, hop, request });
    }

    /// A new server transaction. An INVITE is answered with 100 at once.
    fn open(&mut self, now: Time, hop: Hop, request: &Request, key: Key) -> ServerTx {
        self.servers_ever += 1;
        let tx = ServerTx(self.servers_ever);
        let reliable = hop.transport.is_reliable();
        let machine = if request.method == Method::Invite {
            let mut trying = request.response(100, None);
            self.put_agent("Server", &mut trying.headers);
            ServerMachine::Invite(InviteServer::new(self.timers, tx, trying.to_bytes(), reliable))
        } else {
            ServerMachine::Other(Server::new(now, self.timers, tx, reliable))
        };
        let hop = request.headers.via.first().map_or(hop, |via| routing::reply_hop(via, hop));
        self.keys.insert(key.clone(), tx);
        // The others lose nothing with their transport.
        if request.method == Method::Invite {
            self.hops.insert((hop, Tx::Server(tx)));
        }
        self.servers.insert(tx, ServerEntry { hop, key, merge: None, tag: None, machine, armed: None });
        self.counters.servers = self.servers.len();
        self.settle_server(tx);
        tx
    }

    /// Does what a server machine asks for, and keeps the books about it.
    pub(super) fn settle_server(&mut self, tx: ServerTx) {
        let Some(entry) = self.servers.get_mut(&tx) else { return };
        let hop = entry.hop;
        while let Some(output) = entry.machine.poll() {
            match output {
                invite_server::Output::Send(bytes) => self.out.push_back(Output::Send { hop, bytes }),
                invite_server::Output::Resend(bytes) => {
                    self.counters.retransmitted += 1;
                    self.out.push_back(Output::Send { hop, bytes });
                }
                invite_server::Output::Lost(why) => self.out.push_back(Output::Event(Event::Lost { tx, why })),
            }
        }
        Stack::arm(&mut self.due, Tx::Server(tx), &mut entry.armed, entry.machine.timeout());
        if entry.machine.is_terminated() {
            self.close(tx);
        }
    }

    fn close(&mut self, tx: ServerTx) {
        let Some(entry) = self.servers.remove(&tx) else { return };
        self.keys.remove(&entry.key);
        self.hops.remove(&(entry.hop, Tx::Server(tx)));
        entry.merge.iter().for_each(|merge| {
            self.merges.remove(merge);
        });
        self.counters.servers = self.servers.len();
    }
}
