//! The client half of the stack: requests of ours, and the responses to them.

use super::{
    ClientTx, Event, Headers, Hop, Method, Output, Request, Response, Stack, branch,
    client::Client,
    follow_up, invite_client,
    invite_client::InviteClient,
    routing,
    transaction::{ClientEntry, ClientMachine, Tx},
};
use crate::time::Time;

impl Stack {
    /// Sends a request over `hop`. Via, User-Agent, Content-Length, and Max-Forwards where it has none, are added.
    /// Not for ACK and CANCEL, which have calls of their own.
    pub fn request(&mut self, now: Time, mut request: Request, hop: Hop) -> ClientTx {
        debug_assert!(!matches!(request.method, Method::Ack | Method::Cancel), "ACK and CANCEL have their own calls");
        let mut id = ClientTx(self.names.number());
        while self.clients.contains_key(&Tx::Client(id)) {
            id = ClientTx(self.names.number());
        }
        self.dress(&mut request, hop, id.0);
        self.start(now, Tx::Client(id), request, hop);
        id
    }

    /// Takes an INVITE back. The CANCEL waits for the first provisional answer (RFC 3261 section 9.1); the INVITE still
    /// ends with a response or a failure of its own. `reason` is the value of Reason (RFC 3326). Does nothing where the
    /// final answer is there already.
    pub fn cancel(&mut self, now: Time, tx: ClientTx, reason: Option<&str>) {
        let tx = Tx::Client(tx);
        let Some(entry) = self.clients.get_mut(&tx) else { return };
        match &mut entry.machine {
            ClientMachine::Invite { machine, reason: kept, .. } => {
                *kept = reason.map(str::to_owned);
                machine.cancel(now);
                entry.fallback = None;
            }
            ClientMachine::Other(_) => return,
        }
        self.settle_client(now, tx);
    }

    /// Lets go of an INVITE that nobody answers: it is not sent again, and cancelled should somebody answer after all.
    /// As with [`Stack::cancel`], it still ends with a response or a failure of its own.
    pub fn abandon(&mut self, now: Time, tx: ClientTx) {
        let tx = Tx::Client(tx);
        let Some(entry) = self.clients.get_mut(&tx) else { return };
        match &mut entry.machine {
            ClientMachine::Invite { machine, .. } => {
                machine.abandon(now);
                entry.fallback = None;
            }
            ClientMachine::Other(_) => return,
        }
        self.settle_client(now, tx);
    }

    /// Sends the ACK of a 2xx over `hop`; it belongs to no transaction. Via, User-Agent and Max-Forwards are added.
    pub fn send_ack(&mut self, now: Time, mut ack: Request, hop: Hop) {
        let number = self.names.number();
        self.dress(&mut ack, hop, number);
        tracing::debug!("{now} ACK of {}", ack.headers.call_id);
        self.out.push_back(Output::Send { hop, bytes: ack.to_bytes() });
    }

    /// A response came.
    pub(super) fn handle_response(&mut self, now: Time, response: Response) {
        let Some((tx, id)) = self.client_of(&response) else {
            self.counters.dropped_stray += 1;
            return;
        };
        let entry = self.clients.get_mut(&tx).expect("client_of found it");
        let code = response.code;
        entry.fallback = None;
        let news = match &mut entry.machine {
            ClientMachine::Invite { machine, invite, .. } => machine.handle_response(now, code, || {
                let invite = invite.as_ref().expect("the INVITE is kept until the final answer");
                follow_up::ack(invite, &response).to_bytes()
            }),
            ClientMachine::Other(machine) => machine.handle_response(now, code),
        };
        self.settle_client(now, tx);
        if news && matches!(tx, Tx::Client(_)) {
            self.tell(Event::Response { tx: id, response });
        }
    }

    /// The transaction that `response` answers: the one Via is ours, and branch and method are known (17.1.3).
    fn client_of(&self, response: &Response) -> Option<(Tx, ClientTx)> {
        let [via] = response.headers.via.as_slice() else { return None };
        let id = ClientTx(branch::number(via.branch()?)?);
        let method = response.headers.cseq.method;
        let tx = if method == Method::Cancel { Tx::Cancel(id) } else { Tx::Client(id) };
        let entry = self.clients.get(&tx)?;
        (entry.method == method && routing::is_own(via, self.advertised(entry.hop))).then_some((tx, id))
    }

    /// Does what a client machine asks for, and keeps the books about it.
    pub(super) fn settle_client(&mut self, now: Time, tx: Tx) {
        let Some(entry) = self.clients.get_mut(&tx) else { return };
        let hop = entry.hop;
        let mut cancel = None;
        while let Some(output) = entry.machine.poll() {
            match output {
                invite_client::Output::Send(bytes) => self.out.push_back(Output::Send { hop, bytes }),
                invite_client::Output::Resend(bytes) => {
                    self.counters.retransmitted += 1;
                    self.out.push_back(Output::Send { hop, bytes });
                }
                invite_client::Output::Cancel => cancel = entry.machine.cancel_request(),
                invite_client::Output::Failed(why) => {
                    if let Tx::Client(tx) = tx {
                        self.out.push_back(Output::Event(Event::Failed { tx, why }));
                    }
                }
            }
        }
        entry.machine.shed();
        let at = entry.timeout();
        Stack::arm(&mut self.due, tx, &mut entry.armed, at);
        if entry.machine.is_terminated() {
            self.clients.remove(&tx);
            self.hops.remove(&(hop, tx));
            self.counters.clients = self.clients.len();
        }
        if let (Some(cancel), Tx::Client(id)) = (cancel, tx) {
            self.start(now, Tx::Cancel(id), cancel, hop);
        }
    }

    fn start(&mut self, now: Time, tx: Tx, mut request: Request, hop: Hop) {
        let (Tx::Client(id) | Tx::Cancel(id)) = tx else { return };
        let mut bytes = request.to_bytes();
        // A CANCEL goes the way of its INVITE.
        let (hop, fallback) = match tx {
            Tx::Client(_) => self.choose_way(now, &mut request, bytes.len(), hop),
            Tx::Cancel(_) | Tx::Server(_) => (hop, None),
        };
        if fallback.is_some() {
            bytes = request.to_bytes();
        }
        let reliable = hop.transport.is_reliable();
        let method = request.method;
        let machine = if method == Method::Invite {
            request.body = Default::default();
            let machine = InviteClient::new(now, self.timers, id, bytes, reliable);
            ClientMachine::Invite { machine, invite: Some(Box::new(request)), reason: None }
        } else {
            ClientMachine::Other(Client::new(now, self.timers, id, bytes, reliable))
        };
        self.clients.insert(tx, ClientEntry { hop, method, machine, fallback, armed: None });
        self.hops.insert((hop, tx));
        self.counters.clients = self.clients.len();
        self.settle_client(now, tx);
    }

    fn dress(&self, request: &mut Request, hop: Hop, number: u64) {
        let headers: &mut Headers = &mut request.headers;
        headers.via.clear();
        headers.via.push(routing::own_via(hop.transport, self.advertised(hop), number));
        if headers.get("Max-Forwards").is_none() {
            headers.push("Max-Forwards", "70");
        }
        self.put_agent("User-Agent", headers);
    }
}
