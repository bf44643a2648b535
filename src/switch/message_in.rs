//! Messages that come in outside of calls: each starts the script of its number, or goes to the script of a call that
//! its sender has with that number.
//!
//! ```text
//! MESSAGE ──script's word──▶ its code (200: read; 202: seen to; 300-699: refused)
//!    ├──script ends without a word──▶ 200, or 500 where it failed
//!    └──PATIENCE──▶ 202: the script is still at it
//! ```

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use super::{
    Direction, Output, accept,
    call::Call,
    core::Core,
    desk::Who,
    flow::Flow,
    guard::Offence,
    message::claimed_kind,
    message_out::Sender,
    message_record::{MessageRecord, Outside},
    switch::Switch,
    target,
    trunk::{Caller, Trunk},
};
use crate::{
    facts::{Facts, Start},
    ids::{CallId, FlowId},
    sip::{Hop, Request, ServerTx},
    time::Time,
    verbs::{Failure, FlowEnd, Reply, Text},
};

/// How long the answer to a message waits for the script's word. The sender gives up after 32 s, and sends the message
/// again until then.
const PATIENCE: Duration = Duration::from_secs(2);

/// Most hops that a message has left (RFC 3261 section 20.22).
const MOST_HOPS: u32 = 255;

/// Messages whose scripts run.
#[derive(Default)]
pub(super) struct Arrived {
    flows: BTreeMap<FlowId, Letter>,
    /// Answers that are due; some may be given already.
    due: VecDeque<(Time, FlowId)>,
}

/// One message and its script.
struct Letter {
    about: MessageRecord,
    sender: Sender,
    /// Absent: it is answered.
    open: Option<(ServerTx, Request)>,
}

/// What is known of a message from outside of what it says.
struct Envelope {
    /// Number or user that it is for.
    to: String,
    caller: Caller,
    who: Who,
    trunk: Option<Arc<Trunk>>,
}

impl Arrived {
    pub fn timeout(&self) -> Option<Time> {
        self.due.front().map(|(at, _)| *at)
    }

    /// How many are not answered yet.
    pub fn len(&self) -> usize {
        self.flows.values().filter(|letter| letter.open.is_some()).count()
    }

    /// The flows, and only those, that a message started.
    pub fn flows(&self) -> Vec<FlowId> {
        self.flows.keys().copied().collect()
    }

    /// Who a flow that a message started speaks for.
    pub fn sender(&self, flow: FlowId) -> Option<&Sender> {
        self.flows.get(&flow).map(|letter| &letter.sender)
    }
}

impl Switch {
    /// A MESSAGE outside of any dialog.
    pub(super) fn on_message(&mut self, tx: ServerTx, hop: Hop, request: Request) {
        if self.draining.is_some() {
            return self.core.answer_later(tx, &request);
        }
        let Some(envelope) = self.core.open_envelope(tx, hop, &request) else { return };
        let about = self.core.about_letter(&envelope, &request);
        let text = match self.core.read_text(&request) {
            Ok(text) => text,
            Err(unread) => {
                self.core.tell_message(about, Ok(unread.code()));
                return self.core.refuse_text(tx, &request, unread);
            }
        };
        let (to, from) = (envelope.to.as_str(), envelope.caller.number.as_str());
        let in_call = self.call_between(&envelope, hop);
        let waiting = in_call.filter(|call| self.calls.get(call).is_some_and(|call| call.awaits_text()));
        let script = self.core.config.messages.find(to).map(|route| (route.script.clone(), route.vars.clone()));
        match (waiting, script, in_call) {
            (None, Some((script, vars)), _) => {
                if self.core.messages.arrived.flows.len() >= self.core.config.messages.flows {
                    return self.core.answer_later(tx, &request);
                }
                let hops = request.headers.max_forwards().unwrap_or(MOST_HOPS).min(MOST_HOPS).saturating_sub(1);
                let sender = Sender { from: to.to_owned(), account: envelope.account(), hops, call: None };
                let facts = envelope.facts(&about, hop, &request, text);
                tracing::info!(message = facts.id, from, to, script = &*script, source = %hop.remote, "message");
                let about = MessageRecord { script: Some(script), ..about };
                self.start_letter((tx, request), sender, about, facts, vars);
            }
            (Some(call), ..) | (None, None, Some(call)) => {
                if let Some((call, core)) = self.call(call) {
                    call.take_text(core, tx, &request, text);
                }
            }
            (None, None, None) => {
                if envelope.who.is_guest() && envelope.trunk.is_none() {
                    self.core.offence(hop, Offence::UnknownNumber);
                }
                tracing::info!(from, to, source = %hop.remote, "message for nobody");
                self.core.tell_message(about, Ok(404));
                self.core.answer(tx, &request, 404, &[]);
            }
        }
    }

    /// A call in progress of the sender's with the same number, and with a script.
    fn call_between(&self, envelope: &Envelope, hop: Hop) -> Option<CallId> {
        let same = |call: &Call| match envelope.who.phone() {
            Some(phone) => call.phone.as_ref() == Some(&phone),
            None => {
                let near = call.about.peer.is_some_and(|peer| peer.ip() == hop.remote.ip());
                near && call.phone.is_none() && call.about.from == envelope.caller.number
            }
        };
        let mut calls = self.calls.values().filter(|call| {
            call.over.is_none() && call.is_answered() && call.flow.is_some() && call.about.to == envelope.to
        });
        calls.find(|call| same(call)).map(|call| call.id)
    }

    fn start_letter(
        &mut self,
        open: (ServerTx, Request),
        sender: Sender,
        about: MessageRecord,
        facts: Facts,
        vars: Vec<(String, String)>,
    ) {
        let core = &mut self.core;
        let (flow, call, seed) = (FlowId(core.id()), CallId(core.id()), core.random());
        let script = about.script.clone().unwrap_or_default();
        let letter = Letter { about, sender, open: Some(open) };
        core.messages.arrived.flows.insert(flow, letter);
        core.messages.arrived.due.push_back((core.now + PATIENCE, flow));
        let unix = core.epoch.unix(core.now);
        core.out.push_back(Output::Start(Start { flow, call, script, facts, vars, unix, seed }));
        self.flows.insert(flow, Flow::without_call(call));
    }
}

impl Core {
    /// Who sent a MESSAGE, and for whom it is. None: it is answered.
    fn open_envelope(&mut self, tx: ServerTx, hop: Hop, request: &Request) -> Option<Envelope> {
        let source = hop.remote.ip();
        let trunk = self.trunks.of(&self.config.trunking, source).or_else(|| self.links.registered_at(source)).cloned();
        let who = if trunk.is_some() { Who::Guest } else { self.admit(tx, hop, request)? };
        let proven = who.trunk().and_then(|name| self.config.trunking.trunk(name)).cloned();
        let trunk = trunk.or(proven);
        let mut caller = Caller::of(request, trunk.as_ref().is_some_and(|trunk| trunk.trusted));
        let mut to = accept::number(request);
        if let Some(trunk) = &trunk {
            // A message counts as a call that is over at once: the carrier's pace holds for both.
            if let Err(full) = self.trunks.enter(trunk, self.now, false) {
                tracing::info!(trunk = &*trunk.name, why = full.as_str(), "incoming message refused");
                self.answer_after(tx, request, full.after(self.config.retry_after));
                return None;
            }
            self.trunks.leave(&trunk.name);
            to = trunk.called(&to, &request.headers.to.uri);
            caller.number = trunk.caller(&caller.number);
        }
        if let Some(phone) = who.phone().and_then(|user| self.config.phones.user(&user)) {
            caller.number.clone_from(&phone.number);
        }
        Some(Envelope { to, caller, who, trunk })
    }

    fn about_letter(&mut self, envelope: &Envelope, request: &Request) -> MessageRecord {
        let from = if envelope.caller.private { "" } else { envelope.caller.number.as_str() };
        let about = self.about_message(Outside {
            direction: Direction::Inbound,
            from,
            to: &envelope.to,
            media_type: claimed_kind(request),
            bytes: request.body.len(),
        });
        MessageRecord { trunk: envelope.trunk.as_ref().map(|trunk| trunk.name.clone()), ..about }
    }

    /// A flow answers the message that it was started for.
    pub fn answer_letter(&mut self, flow: FlowId, code: u16, reason: Option<&str>) -> Result<Reply, Failure> {
        let letter = self.messages.arrived.flows.get_mut(&flow).ok_or(Failure::WrongState)?;
        if !(200..=699).contains(&code) {
            return Err(Failure::WrongState);
        }
        let (tx, request) = letter.open.take().ok_or(Failure::WrongState)?;
        tracing::info!(message = letter.about.id, code, "message answered");
        let about = letter.about.clone();
        self.tell_message(about, Ok(code));
        self.respond(tx, request.response(code, reason));
        Ok(Reply::Done)
    }

    /// A flow is over: so is the message that started it, if one did.
    pub fn letter_over(&mut self, flow: FlowId, end: &FlowEnd) {
        let code = match end {
            FlowEnd::Finished => 200,
            FlowEnd::Stopped => 503,
            FlowEnd::Error(_) | FlowEnd::Limit(_) => 500,
        };
        // Where the script has said its word, that stands.
        let _ = self.answer_letter(flow, code, None);
        self.messages.arrived.flows.remove(&flow);
    }

    /// Whose scripts take their time: the messages have arrived, at any rate.
    pub fn letters_timeout(&mut self) {
        while let Some((_, flow)) = self.messages.arrived.due.front().copied().filter(|(at, _)| *at <= self.now) {
            self.messages.arrived.due.pop_front();
            let _ = self.answer_letter(flow, 202, None);
        }
    }
}

impl Envelope {
    fn facts(&self, about: &MessageRecord, hop: Hop, request: &Request, text: Text) -> Facts {
        Facts {
            id: about.id.clone(),
            caller: about.from.clone(),
            caller_name: self.caller.display.clone(),
            called: self.to.clone(),
            sip_call_id: request.headers.call_id.clone(),
            phone: self.who.phone().map(|user| user.to_string()),
            trunk: about.trunk.as_deref().map(str::to_owned),
            source: hop.remote.to_string(),
            inbound: true,
            headers: target::extras(&request.headers),
            message: Some(Box::new(text)),
            ..Facts::default()
        }
    }

    /// Whose messages these are: caps count by it.
    fn account(&self) -> String {
        self.who.phone().map_or_else(|| self.caller.number.clone(), |phone| phone.to_string())
    }
}
