//! Two stacks on a bad network, driven by a row of bytes: what the fuzzer and the property test run.
//!
//! Whatever their users, the network and garbage do to them: every request ends in exactly one final outcome, and five
//! minutes later nothing is left.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::Duration,
};

use bytes::Bytes;

use super::{
    Accept, AcceptOutput, CSeq, ClientTx, Config, Dialog, Event, Headers, Hop, Interface, Method, NameAddr, Output,
    Request, Response, ServerTx, Stack, Transport, Uri,
};
use crate::{ids::InterfaceId, time::Time};

/// No wait of the RFC is longer than timer C and what may come before and after it: 32 + 180 + 32 s.
const SETTLED: Duration = Duration::from_secs(300);

/// The two sides.
const SIDES: [usize; 2] = [0, 1];

/// How a request of ours stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Open,
    /// A 2xx to an INVITE; more of them may come.
    Accepted,
    /// Any other final response, or a failure. Nothing may follow.
    Over,
}

/// Interprets `choices` as operations of two users and of the network between them. Panics where a promise of
/// [`Stack`] is broken.
pub fn two_stacks_settle(choices: &[u8]) {
    let mut world = World::new(choices);
    while !world.choices.is_empty() {
        world.step();
    }
    world.wind_down();
}

/// Bytes as decisions. When they run out, everything goes well.
struct Choices<'a>(&'a [u8]);

impl<'a> Choices<'a> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn next(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return u8::MAX };
        self.0 = rest;
        *first
    }

    fn below(&mut self, count: usize) -> usize {
        usize::from(self.next()) % count.max(1)
    }

    fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }
}

/// A message under way.
struct Packet {
    to: usize,
    transport: Transport,
    bytes: Bytes,
}

/// A request that its user has not given a final answer to.
struct Asked {
    side: usize,
    tx: ServerTx,
    request: Request,
    hop: Hop,
}

struct World<'a> {
    choices: Choices<'a>,
    now: Time,
    stacks: [Stack; 2],
    /// By the time of arrival and the order of sending.
    wire: BTreeMap<(Time, u64), Packet>,
    sent: u64,
    /// The newest message, for garbage to be made of.
    newest: Bytes,
    requests: BTreeMap<(usize, ClientTx), (Outcome, Request, Hop)>,
    asked: Vec<Asked>,
    accepts: Vec<(usize, Accept, Dialog)>,
    /// Server transactions told of; each may be told once.
    told: BTreeSet<(usize, ServerTx)>,
}

impl<'a> World<'a> {
    fn new(choices: &'a [u8]) -> World<'a> {
        World {
            choices: Choices(choices),
            now: Time::START,
            stacks: SIDES.map(|side| Stack::new(config(side), side as u64)),
            wire: BTreeMap::new(),
            sent: 0,
            newest: Bytes::new(),
            requests: BTreeMap::new(),
            asked: Vec::new(),
            accepts: Vec::new(),
            told: BTreeSet::new(),
        }
    }

    fn step(&mut self) {
        match self.choices.next() % 12 {
            0..=2 => self.request(),
            3 => self.answer_one(180),
            4 => self.answer_one(200),
            5 => self.answer_one(486),
            6 => self.cancel_one(),
            7 => self.garbage(),
            8 => self.break_transport(),
            9 => {
                let pause = Duration::from_secs(self.choices.next().into());
                self.run_until(self.now + pause);
            }
            _ => self.advance(),
        }
        self.drain();
    }

    /// Nothing new, no loss: everything must come to its end.
    fn wind_down(&mut self) {
        let until = self.now + SETTLED;
        while !self.asked.is_empty() {
            self.answer_one(603);
            self.drain();
        }
        self.run_until(until);
        for (tx, (outcome, ..)) in &self.requests {
            assert_ne!(*outcome, Outcome::Open, "{tx:?} never ended");
        }
        for stack in &self.stacks {
            assert!(stack.is_empty(), "left over: {stack:?}");
        }
        assert!(self.accepts.iter().all(|(_, accept, _)| accept.is_done()));
    }

    fn run_until(&mut self, until: Time) {
        while self.next_moment().is_some_and(|at| at <= until) {
            self.advance();
            self.drain();
            while self.choices.is_empty() && !self.asked.is_empty() {
                self.answer_one(603);
                self.drain();
            }
        }
        self.now = self.now.max(until);
    }

    fn next_moment(&self) -> Option<Time> {
        let wire = self.wire.keys().next().map(|(at, _)| *at);
        let stacks = self.stacks.iter().map(Stack::timeout);
        let accepts = self.accepts.iter().map(|(_, accept, _)| accept.timeout());
        stacks.chain(accepts).fold(wire, Time::soonest)
    }

    /// Goes to the next moment at which something happens, and lets it happen.
    fn advance(&mut self) {
        let Some(at) = self.next_moment() else { return };
        self.now = self.now.max(at);
        while let Some(entry) = self.wire.first_entry().filter(|entry| entry.key().0 <= self.now) {
            let Packet { to, transport, bytes } = entry.remove();
            self.stacks[to].handle_datagram(self.now, hop(transport, 1 - to), &bytes);
        }
        for stack in &mut self.stacks {
            stack.handle_timeout(self.now);
            assert!(stack.timeout().is_none_or(|next| next > self.now), "what is due was not done");
        }
        for (side, accept, _) in &mut self.accepts {
            accept.handle_timeout(self.now);
            while let Some(output) = accept.poll() {
                match output {
                    AcceptOutput::Resend(response) => self.stacks[*side].respond(self.now, accept.tx(), response),
                    AcceptOutput::GaveUp => {}
                }
            }
        }
        self.accepts.retain(|(_, accept, _)| !accept.is_done());
    }

    fn request(&mut self) {
        let side = self.choices.below(2);
        let method = [Method::Invite, Method::Invite, Method::Options, Method::Bye][self.choices.below(4)];
        let transport = if self.choices.below(3) == 0 { Transport::Tcp } else { Transport::Udp };
        let stack = &mut self.stacks[side];
        let mut from = NameAddr::new(uri(side));
        from.set_tag(&stack.new_tag());
        let cseq = CSeq { number: 1, method };
        let mut headers = Headers::new(from, NameAddr::new(uri(1 - side)), stack.new_call_id(), cseq);
        headers.push("Contact", format!("<{}>", uri(side)));
        let request = Request { method, uri: uri(1 - side), headers, body: Bytes::new() };
        let hop = hop(transport, 1 - side);
        let tx = stack.request(self.now, request.clone(), hop);
        self.requests.insert((side, tx), (Outcome::Open, request, hop));
    }

    fn answer_one(&mut self, code: u16) {
        if self.asked.is_empty() {
            return;
        }
        let which = self.choices.below(self.asked.len());
        let Asked { side, tx, request, hop } = &self.asked[which];
        let (side, tx, hop) = (*side, *tx, *hop);
        let mut response = request.response(code, None);
        let dialog = Dialog::uas(request, hop, "answerer").ok().filter(|_| request.method == Method::Invite);
        if let (Some(dialog), 200) = (dialog, code) {
            response.headers.push("Contact", format!("<{}>", uri(side)));
            response.headers.to = dialog.local.clone();
            self.accepts.push((side, Accept::new(self.now, &config(side), tx, response.clone()), dialog));
        }
        self.stacks[side].respond(self.now, tx, response);
        if code >= 200 {
            self.asked.remove(which);
        }
    }

    fn cancel_one(&mut self) {
        let which = self.choices.below(self.requests.len());
        if let Some(&(side, tx)) = self.requests.keys().nth(which) {
            match self.choices.below(3) {
                0 => self.stacks[side].abandon(self.now, tx),
                _ => self.stacks[side].cancel(self.now, tx, Some("SIP;cause=200")),
            }
        }
    }

    /// The newest message with some bytes changed, or bytes from nowhere.
    fn garbage(&mut self) {
        let (to, count) = (self.choices.below(2), self.choices.below(8));
        let from_nowhere = self.choices.below(4) == 0;
        let mut bytes = if from_nowhere { self.choices.take(64).to_vec() } else { self.newest.to_vec() };
        for _ in 0..count {
            let (at, value) = (self.choices.below(256) * 256 + self.choices.below(256), self.choices.next());
            let length = bytes.len().max(1);
            bytes.get_mut(at % length).into_iter().for_each(|byte| *byte = value);
        }
        self.stacks[to].handle_datagram(self.now, hop(Transport::Udp, 1 - to), &bytes);
    }

    fn break_transport(&mut self) {
        let side = self.choices.below(2);
        if self.choices.below(2) == 0 {
            return self.stacks[side].handle_transport_failed(self.now, hop(Transport::Udp, 1 - side));
        }
        self.wire.retain(|_, packet| packet.transport != Transport::Tcp);
        for side in SIDES {
            self.stacks[side].handle_transport_failed(self.now, hop(Transport::Tcp, 1 - side));
        }
    }

    fn drain(&mut self) {
        for side in SIDES {
            while let Some(output) = self.stacks[side].poll() {
                match output {
                    Output::Send { hop, bytes } => self.send(side, hop, bytes),
                    Output::Event(event) => self.hear(side, event),
                }
            }
        }
    }

    /// UDP loses, doubles and delays as the choices say; TCP does not.
    fn send(&mut self, side: usize, hop: Hop, bytes: Bytes) {
        if hop.remote != address(1 - side) {
            return; // an answer to garbage
        }
        self.newest = bytes.clone();
        let fate = if hop.transport == Transport::Udp { self.choices.next() } else { u8::MAX };
        let copies = match fate {
            0..=50 => 0,
            51..=70 => 2,
            _ => 1,
        };
        for copy in 0..copies {
            let extra = if fate < 128 { u64::from(fate) * (copy + 1) * 10 } else { 0 };
            let at = self.now + Duration::from_millis(10 + extra);
            self.sent += 1;
            self.wire.insert((at, self.sent), Packet { to: 1 - side, transport: hop.transport, bytes: bytes.clone() });
        }
    }

    fn hear(&mut self, side: usize, event: Event) {
        match event {
            Event::Request { tx, hop, request } => {
                assert!(self.told.insert((side, tx)), "{tx:?} told twice");
                self.asked.push(Asked { side, tx, request, hop });
            }
            Event::Ack { request, .. } => {
                let call_id = &request.headers.call_id;
                let of_call = |(s, _, dialog): &&mut (usize, Accept, Dialog)| *s == side && dialog.call_id == *call_id;
                self.accepts.iter_mut().filter(of_call).for_each(|(_, accept, _)| accept.handle_ack());
            }
            Event::Cancel { tx, .. } => {
                let Some(which) = self.asked.iter().position(|asked| asked.side == side && asked.tx == tx) else {
                    return;
                };
                let asked = self.asked.remove(which);
                self.stacks[side].respond(self.now, tx, asked.request.response(487, None));
            }
            Event::Response { tx, response } => self.hear_response(side, tx, &response),
            Event::Failed { tx, .. } => self.conclude(side, tx, Outcome::Over),
            Event::Lost { tx, .. } => self.asked.retain(|asked| asked.side != side || asked.tx != tx),
        }
    }

    fn hear_response(&mut self, side: usize, tx: ClientTx, response: &Response) {
        let (_, request, hop) = &self.requests[&(side, tx)];
        let (method, hop) = (request.method, *hop);
        match response.code {
            ..=199 => self.conclude(side, tx, Outcome::Open),
            200..=299 if method == Method::Invite => {
                if let Ok(dialog) = Dialog::uac(request, response, hop) {
                    self.stacks[side].send_ack(self.now, dialog.ack(dialog.local_seq), hop);
                }
                self.conclude(side, tx, Outcome::Accepted);
            }
            _ => self.conclude(side, tx, Outcome::Over),
        }
    }

    fn conclude(&mut self, side: usize, tx: ClientTx, next: Outcome) {
        let (outcome, ..) = self.requests.get_mut(&(side, tx)).expect("we asked this");
        let right = match *outcome {
            Outcome::Open => true,
            Outcome::Accepted => next == Outcome::Accepted,
            Outcome::Over => false,
        };
        assert!(right, "{tx:?} was {outcome:?} and became {next:?}");
        *outcome = next;
    }
}

fn config(side: usize) -> Config {
    Config {
        interfaces: vec![Interface::plain(address(side))],
        t1: Duration::from_millis(500),
        t2: Duration::from_secs(4),
        t4: Duration::from_secs(5),
        timer_c: Duration::from_secs(180),
        max_message: 65_535,
        max_headers: 100,
        max_transactions: 20,
        // All that the second side asks is too large for a datagram.
        udp_limit: if side == 0 { 65_535 } else { 0 },
        agent: String::new(),
    }
}

fn address(side: usize) -> SocketAddr {
    let last = if side == 0 { 1 } else { 2 };
    SocketAddr::from(([10, 0, 0, last], 5060))
}

fn uri(side: usize) -> Uri {
    let address = address(side);
    Uri::sip(None, address.ip().to_string(), Some(address.port()))
}

fn hop(transport: Transport, to: usize) -> Hop {
    Hop { transport, interface: InterfaceId(0), remote: address(to) }
}
