//! Messages that go out outside of calls (RFC 3428 section 5). Each device of a phone gets a copy; a number goes over
//! carriers, one after another until one takes it, like a call. Who asked hears of the first copy that is taken, else why
//! none was.
//!
//! ```text
//! Locating ──▶ Posted ──2xx──▶ told
//!     ▲           ├──401, 407──▶ Posted, with an answer
//!     └───────────┴──503, silence, next carrier
//! ```

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use bytes::Bytes;

use super::{
    Direction, Output,
    call::End,
    core::Core,
    message_copy::{Copy, HOPS},
    message_record::{MessageRecord, Outside},
    switch::Switch,
    target,
    task::Ask,
    trunk::Caller,
};
use crate::{
    ids::{CallId, QueryId},
    sip::{ClientTx, Failure as TxFailure, Hop, NameAddr, Request, Response, Target as Address, Uri},
    verbs::{Failure, Message, Origin, Reply},
};

/// Whose message it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sender {
    /// The number that it shows where the script names none.
    pub from: String,
    /// Who pays.
    pub account: String,
    /// Max-Forwards: one less than that of the message which it follows from, so that no message goes round for ever.
    pub hops: u32,
    /// The id of the call whose script sends it; absent: it is no call's.
    pub call: Option<String>,
}

/// Messages on their way.
#[derive(Default)]
pub(super) struct Sent {
    messages: BTreeMap<u64, Posted>,
    copies: BTreeMap<u64, Copy>,
    transactions: BTreeMap<ClientTx, u64>,
    queries: BTreeMap<QueryId, u64>,
}

/// One message.
struct Posted {
    /// Who is to be told, and what is to be told of it; absent: all that is done.
    ask: Option<(Ask, MessageRecord)>,
    /// Copies that are on their way.
    copies: usize,
    failed: Option<Failure>,
}

impl Sent {
    /// Messages on their way.
    pub fn len(&self) -> usize {
        self.messages.len()
    }
}

impl Switch {
    /// A script, or the operator, sends a message.
    pub(super) fn send_message(&mut self, ask: Ask, id: CallId, message: Message) -> Result<(), Failure> {
        let sender = self.sender(ask, id)?;
        let core = &mut self.core;
        if core.messages.sent.messages.len() >= core.config.messages.sending {
            return Err(Failure::Limit("messages under way"));
        }
        let to = message.to.clone().ok_or(Failure::WrongState)?;
        let shown = message.from.clone().unwrap_or(sender.from);
        let from = target::from(&shown, &core.own_contact(), "none")?;
        let plans = core.plans(&to)?;
        let of = core.id();
        let about = core.about_message(Outside {
            direction: Direction::Outbound,
            from: &shown,
            to: &to,
            media_type: message.text.kind.clone(),
            bytes: message.text.text.len(),
        });
        let ask = (ask, MessageRecord { call: sender.call, ..about });
        let caller = Caller { account: sender.account, number: shown, ..Caller::default() };
        tracing::info!(
            message = ask.1.id,
            to,
            copies = plans.len(),
            bytes = message.text.text.len(),
            "message goes out"
        );
        core.messages.sent.messages.insert(of, Posted { ask: Some(ask), copies: plans.len(), failed: None });
        let (body, hops) = (Bytes::from(message.text.text.clone()), sender.hops);
        let message = Arc::new(message);
        for plan in plans {
            let copy = Copy {
                hops,
                body: body.clone(),
                ..core.copy_of(of, message.clone(), (from.clone(), caller.clone()), plan)
            };
            let id = core.id();
            core.locate_copy(id, copy);
        }
        Ok(())
    }

    /// Who asks, as the addressee shall see it.
    fn sender(&self, ask: Ask, id: CallId) -> Result<Sender, Failure> {
        let own = match ask.origin {
            Origin::Console => id,
            Origin::Flow(flow) => {
                if let Some(sender) = self.core.messages.arrived.sender(flow) {
                    return Ok(sender.clone());
                }
                self.flows.get(&flow).ok_or(Failure::HungUp)?.call
            }
        };
        let call = self.calls.get(&own).ok_or(Failure::NoSuchCall)?;
        let from = match call.about.direction {
            Direction::Inbound => call.about.to.clone(),
            Direction::Outbound => call.about.from.clone(),
        };
        Ok(Sender { from, account: call.caller(&self.core, None).account, hops: HOPS, call: Some(call.name.clone()) })
    }
}

impl Core {
    /// Turn to the next target.
    fn locate_copy(&mut self, id: u64, mut copy: Copy) {
        while let Some(uri) = copy.targets.pop_front().or_else(|| self.copy_way(&mut copy)) {
            if copy.cseq > 0 {
                copy.reach = None; // It is that of the first target.
            }
            let place = match copy.reach.as_ref().and_then(|reach| reach.hop) {
                Some(hop) => Ok(target::Place::At(Address { transport: hop.transport, address: hop.remote })),
                None => target::locate(&uri),
            };
            copy.uri = uri;
            match place {
                Ok(target::Place::At(place)) => {
                    copy.places = VecDeque::from([place]);
                    return self.post_copy(id, copy);
                }
                Ok(target::Place::Named { host, port, transport, secure }) => {
                    let query = QueryId(self.id());
                    self.messages.sent.queries.insert(query, id);
                    self.messages.sent.copies.insert(id, copy);
                    return self.out.push_back(Output::Resolve { query, host, port, transport, secure });
                }
                Err(why) => {
                    tracing::info!(to = %copy.uri, why, "message's target failed");
                    copy.failed.get_or_insert(Failure::Unreachable);
                }
            }
        }
        let failure = copy.failed.take().unwrap_or(Failure::Unreachable);
        self.copy_over(copy, Err(failure));
    }

    /// The next carrier that takes it.
    fn copy_way(&mut self, copy: &mut Copy) -> Option<Uri> {
        loop {
            let way = copy.carrier.ways.pop_front()?;
            let uri = way.uri.clone();
            if copy.entered.as_ref().is_none_or(|(name, _)| *name != way.trunk) {
                self.leave_way(copy, false);
                match self.enter_trunk(CallId(0), &way, &copy.carrier.caller.account) {
                    Ok(ticket) => copy.entered = Some((way.trunk.clone(), ticket)),
                    Err(full) => {
                        tracing::info!(trunk = &*way.trunk, why = full.as_str(), "trunk takes no message");
                        copy.failed.get_or_insert(Failure::Limit(full.as_str()));
                        continue;
                    }
                }
            }
            copy.carrier.now = Some(way);
            return Some(uri);
        }
    }

    /// It no longer counts among the carrier's calls; where it was `taken`, among those of the caps it does.
    fn leave_way(&mut self, copy: &mut Copy, taken: bool) {
        let Some((trunk, ticket)) = copy.entered.take() else { return };
        self.trunks.leave(&trunk);
        if let Some(ticket) = ticket.filter(|_| !taken) {
            self.counts.withdrawn(ticket);
        }
    }

    /// Send it to the next place of the target.
    fn post_copy(&mut self, id: u64, mut copy: Copy) {
        while let Some(place) = copy.places.pop_front() {
            let known = copy.reach.as_ref().and_then(|reach| reach.hop).filter(|hop| hop.remote == place.address);
            let Some(hop) = known.or_else(|| target::hop(&self.config.sip, place)) else { continue };
            copy.cseq += 1;
            let request = copy.request(self, hop);
            return self.send_copy(id, copy, request, hop);
        }
        copy.failed.get_or_insert(Failure::Unreachable);
        self.locate_copy(id, copy);
    }

    fn send_copy(&mut self, id: u64, mut copy: Copy, request: Request, hop: Hop) {
        let tx = self.stack.request(self.now, request.clone(), hop);
        copy.sent = Some((request, hop));
        self.messages.sent.transactions.insert(tx, id);
        self.messages.sent.copies.insert(id, copy);
    }

    /// A name was looked up. False: not for a message.
    pub fn message_resolved(&mut self, query: QueryId, result: &Result<Vec<Address>, String>) -> bool {
        let Some(id) = self.messages.sent.queries.remove(&query) else { return false };
        if let Some(mut copy) = self.messages.sent.copies.remove(&id) {
            let mut places: Vec<Address> = result.iter().flatten().copied().collect();
            places.retain(|place| target::hop(&self.config.sip, *place).is_some());
            self.failover.put_in_order(self.now, &mut places);
            copy.places = places.into();
            self.post_copy(id, copy);
        }
        true
    }

    /// An answer to a message. False: to none of ours.
    pub fn message_answered(&mut self, tx: ClientTx, response: &Response) -> bool {
        if response.code < 200 {
            return self.messages.sent.transactions.contains_key(&tx);
        }
        let Some((id, mut copy)) = self.take_copy(tx) else { return false };
        match response.code {
            200..=299 => {
                if let Some((_, hop)) = &copy.sent {
                    self.failover.worked(Address { transport: hop.transport, address: hop.remote });
                }
                self.copy_over(copy, Ok(response.code));
            }
            300..=399 => {
                let contacts = response.headers.all("Contact").filter_map(|c| NameAddr::parse(c).ok());
                for contact in contacts.take(copy.redirects).collect::<Vec<_>>() {
                    copy.redirects -= 1;
                    copy.targets.push_back(contact.uri);
                }
                self.copy_failed(id, copy, response.code);
            }
            code => match self.prove_copy(&mut copy, response) {
                Some((again, hop)) => self.send_copy(id, copy, again, hop),
                None => self.copy_failed(id, copy, code),
            },
        }
        true
    }

    /// No answer comes to a message. False: to none of ours.
    pub fn message_failed(&mut self, tx: ClientTx, why: TxFailure) -> bool {
        let Some((id, copy)) = self.take_copy(tx) else { return false };
        // As good as 503 where there is another place (RFC 3263 section 4.3).
        let code = match why {
            TxFailure::Transport => 503,
            TxFailure::TimedOut => {
                if copy.places.is_empty() {
                    408
                } else {
                    503
                }
            }
        };
        if let Some((_, hop)) = &copy.sent {
            let place = Address { transport: hop.transport, address: hop.remote };
            self.failover.failed(self.now, place, self.config.limits.avoid);
        }
        self.copy_failed(id, copy, code);
        true
    }

    fn take_copy(&mut self, tx: ClientTx) -> Option<(u64, Copy)> {
        let id = self.messages.sent.transactions.remove(&tx)?;
        Some((id, self.messages.sent.copies.remove(&id)?))
    }

    fn prove_copy(&mut self, copy: &mut Copy, response: &Response) -> Option<(Request, Hop)> {
        let (request, hop) = copy.sent.take()?;
        let again = copy.carrier.prove(self, &request, response)?;
        copy.cseq = again.headers.cseq.number;
        Some((again, hop))
    }

    /// Another place, another target, another carrier; or the end.
    fn copy_failed(&mut self, id: u64, mut copy: Copy, code: u16) {
        if code == 503 && !copy.places.is_empty() {
            return self.post_copy(id, copy);
        }
        if !copy.carrier.goes_on(self, code, false) {
            copy.carrier.ways.clear();
        }
        if code >= 600 {
            copy.targets.clear();
        }
        copy.failed = Some(End::refused(code, false).failure);
        self.locate_copy(id, copy);
    }

    fn copy_over(&mut self, mut copy: Copy, result: Result<u16, Failure>) {
        self.leave_way(&mut copy, result.is_ok());
        let Some(posted) = self.messages.sent.messages.get_mut(&copy.of) else { return };
        posted.copies -= 1;
        let last = posted.copies == 0;
        let told = match result {
            Ok(code) => posted.ask.take().map(|ask| (ask, Ok(code))),
            Err(failure) => {
                let failure = posted.failed.get_or_insert(failure).clone();
                posted.ask.take_if(|_| last).map(|ask| (ask, Err(failure)))
            }
        };
        if last {
            self.messages.sent.messages.remove(&copy.of);
        }
        if let Some(((ask, about), result)) = told {
            let trunk = copy.carrier.now.as_ref().map(|way| way.trunk.clone());
            self.tell_message(MessageRecord { trunk, ..about }, result.as_ref().copied());
            self.reply(ask, result.map_or_else(Reply::Failed, |code| Reply::Sent { code }));
        }
    }
}
