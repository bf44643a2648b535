//! Scripts and their calls: when a script starts, what its end does to its calls, and what the end of a call does to it.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
};

use super::{
    ConsoleReply, Originate, Output,
    call::{Call, End, Order},
    connect::Outgoing,
    outbound::Carrier,
    runs::RunEnd,
    switch::Switch,
    target,
    through::PutThrough,
    trunk::Caller,
};
use crate::{
    facts::{Facts, Start},
    ids::{CallId, FlowId, RequestId},
    verbs::{Failure, FlowEnd, Origin, Ran},
};

/// Legs that are gone, but that a script may still ask about.
const REMEMBERED: usize = 32;

pub(super) struct Flow {
    /// Its own call.
    pub call: CallId,
    /// All calls that it commands.
    pub calls: BTreeSet<CallId>,
    /// Legs that left lately.
    left: VecDeque<CallId>,
    /// Absent: a script runs it.
    pub through: Option<PutThrough>,
}

impl Flow {
    /// One that has no call, but goes by the name of one.
    pub fn without_call(call: CallId) -> Flow {
        Flow { call, calls: BTreeSet::new(), left: VecDeque::new(), through: None }
    }

    /// With its own call.
    pub fn new(call: CallId, through: Option<PutThrough>) -> Flow {
        Flow { call, calls: BTreeSet::from([call]), left: VecDeque::new(), through }
    }

    /// A leg left.
    pub fn forget(&mut self, id: CallId) {
        self.calls.remove(&id);
        if self.left.len() == REMEMBERED {
            self.left.pop_front();
        }
        self.left.push_back(id);
    }
}

impl Switch {
    /// Start a script on a call.
    pub(super) fn start_flow(&mut self, id: CallId, script: Arc<str>, vars: Vec<(String, String)>) {
        let flow = FlowId(self.core.id());
        let seed = self.core.random();
        let Some((call, core)) = self.call(id) else { return };
        tracing::info!(call = %call.name, %flow, script = &*script, "flow starts");
        call.flow = Some(flow);
        call.about.script = Some(script.clone());
        call.about.runs.begin(flow, script.clone(), core.now);
        let (facts, unix) = (call.facts(), core.epoch.unix(core.now));
        core.out.push_back(Output::Start(Start { flow, call: id, script, facts, vars, unix, seed }));
        self.flows.insert(flow, Flow::new(id, None));
    }

    /// The script is over: so is what it had in hand.
    pub(super) fn on_flow_ended(&mut self, id: FlowId, end: FlowEnd, ran: Ran) {
        let Some(flow) = self.flows.remove(&id) else { return self.left_behind(id, &end, ran) };
        self.core.letter_over(id, &end);
        let error = match &end {
            FlowEnd::Finished | FlowEnd::Stopped => None,
            FlowEnd::Error(text) => Some(text.clone()),
            FlowEnd::Limit(which) => Some(format!("limit reached: {which}")),
        };
        let name = self.calls.get(&flow.call).map(|call| call.name.as_str());
        match &error {
            Some(error) => tracing::warn!(call = name, flow = %id, error, "flow failed"),
            None => tracing::debug!(call = name, flow = %id, "flow ended"),
        }
        let how = RunEnd::of(&end);
        let end = match end {
            FlowEnd::Finished | FlowEnd::Stopped => End::FINISHED,
            FlowEnd::Error(_) => End::SCRIPT_ERROR,
            FlowEnd::Limit(_) => End::SCRIPT_LIMIT,
        };
        if let Some((call, core)) = self.call(flow.call) {
            call.about.runs.end(id, how, &ran, core.now);
            call.about.ran.then(ran);
            if error.is_some() {
                call.about.error = error;
            }
        }
        for call in flow.calls {
            let Some((call, core)) = self.call(call) else { continue };
            call.task = None;
            call.reoffer.asks.clear();
            if call.over.is_none() {
                let own = call.id == flow.call;
                call.hang_up(core, if own { end.clone() } else { End::HUNG_UP });
            }
        }
    }

    /// A script is over whose call has moved on to another one.
    fn left_behind(&mut self, id: FlowId, end: &FlowEnd, ran: Ran) {
        let call = self.moved.remove(&id);
        if let Some((call, core)) = call.and_then(|call| self.call(call)) {
            let how = match end {
                FlowEnd::Stopped => RunEnd::Replaced,
                FlowEnd::Finished | FlowEnd::Error(_) | FlowEnd::Limit(_) => RunEnd::of(end),
            };
            call.about.runs.end(id, how, &ran, core.now);
            let version = call.about.ran.version.take();
            call.about.ran.then(ran);
            // What runs, or ran last, is another text.
            call.about.ran.version = version;
        }
    }

    /// A call is over: tell who waits for it, end what hangs on it.
    pub(super) fn on_over(&mut self, id: CallId) {
        self.pass_reason_on(id);
        self.leave_transfers(id);
        self.part(id);
        self.loosen(id);
        self.leg_over(id);
        self.silence_recordings(id);
        self.siprec_over(id);
        let Some((call, core)) = self.call(id) else { return };
        let task = call.task.take();
        let mut asides = std::mem::take(&mut call.reoffer.asks);
        asides.extend(call.forget_texts());
        asides.extend(call.announced.take());
        asides.extend(call.dictation.give_up());
        asides.extend(call.leave_stream(core));
        let (flow, legs) = (call.flow, std::mem::take(&mut call.legs));
        let own = flow.filter(|flow| self.flows.get(flow).is_some_and(|flow| flow.call == id));
        match own {
            Some(flow) => self.stop_flow(flow),
            None => {
                if let Some(flow) = flow.and_then(|flow| self.flows.get_mut(&flow)) {
                    flow.forget(id);
                }
            }
        }
        // A flow that is unwound asks no more.
        let unwound = own.map(Origin::Flow);
        let asks = asides.into_iter().chain(task.map(|task| task.ask));
        for ask in asks.filter(|ask| Some(ask.origin) != unwound) {
            self.reply(ask, crate::verbs::Reply::Failed(Failure::HungUp));
        }
        for leg in legs {
            self.end_leg(leg, End::HUNG_UP);
        }
        self.order_over(id);
    }

    /// The flow's own call is gone: the script is unwound, its other legs end.
    fn stop_flow(&mut self, id: FlowId) {
        let calls = match self.flows.get(&id) {
            Some(flow) if flow.through.is_some() => self.flows.remove(&id).map(|flow| flow.calls),
            Some(flow) => Some(flow.calls.clone()),
            None => None,
        };
        if self.flows.contains_key(&id) {
            self.core.out.push_back(Output::Stop { flow: id });
        }
        let calls = calls.unwrap_or_default();
        for call in calls {
            if let Some((call, _)) = self.call(call) {
                call.task = None;
                call.reoffer.asks.clear();
            }
            self.end_leg(call, End::HUNG_UP);
        }
    }

    pub(super) fn is_own_call(&self, origin: Origin, call: CallId) -> bool {
        match origin {
            Origin::Flow(flow) => self.flows.get(&flow).is_some_and(|flow| flow.call == call),
            Origin::Console => false,
        }
    }

    /// The call was one of this origin's, and is gone.
    pub(super) fn knew(&self, origin: Origin, call: CallId) -> bool {
        match origin {
            Origin::Flow(flow) => self.flows.get(&flow).is_some_and(|flow| flow.left.contains(&call)),
            Origin::Console => false,
        }
    }

    /// Take a new call in.
    pub(super) fn adopt(&mut self, call: Call) {
        if let Some(flow) = call.flow.and_then(|flow| self.flows.get_mut(&flow)) {
            flow.calls.insert(call.id);
        }
        self.core.desk.lamps.add(&call);
        self.dirty.insert(call.id);
        self.calls.insert(call.id, Box::new(call));
    }

    /// The operator wants a call.
    pub(super) fn on_originate(&mut self, wish: Originate) {
        let request = wish.request;
        if let Err(failure) = self.originate(wish) {
            self.core.console(ConsoleReply::Failed { request, failure, code: None });
        }
    }

    fn originate(&mut self, wish: Originate) -> Result<(), Failure> {
        let plan = self.core.plans(&wish.target)?.pop().ok_or(Failure::Unreachable)?;
        let full = self.calls.len() >= self.core.config.limits.calls && !plan.is_emergency();
        if self.draining.is_some() || full {
            return Err(Failure::Limit("calls"));
        }
        if !target::may_add(&wish.headers) {
            return Err(Failure::WrongState);
        }
        let core = &mut self.core;
        let tag = core.stack.new_tag();
        let from = target::from(&wish.from, &core.own_contact(), &tag)?;
        let (give_up, redirects) = (core.now + wish.timeout, core.config.limits.redirects);
        let session = core.config.rules.session;
        let (targets, headers) = (plan.targets, wish.headers);
        let (phone, reach) = plan.phone.unzip();
        let caller = Caller { account: wish.from.clone(), number: wish.from, ..Caller::default() };
        let carrier = Carrier::new(plan.ways, caller);
        let (failed, rang) = (None, false);
        let outgoing =
            Outgoing { from, headers, targets, redirects, give_up, cseq: 0, session, failed, rang, carrier, reach };
        let mut call = Call::outgoing(core, outgoing);
        call.phone = phone;
        call.order = Some(Order { request: wish.request, script: wish.script, vars: wish.vars });
        core.console(ConsoleReply::Calling { request: wish.request, call: call.id, name: call.name.clone() });
        call.locate(core);
        self.adopt(call);
        Ok(())
    }

    /// An ordered call was answered.
    pub(super) fn order_answered(&mut self, id: CallId) {
        let Some((call, core)) = self.call(id) else { return };
        let Some(order) = &mut call.order else { return };
        let (script, vars) = (order.script.clone(), std::mem::take(&mut order.vars));
        core.console(ConsoleReply::Answered { request: order.request, call: id });
        if let Some(script) = script {
            self.start_flow(id, script, vars);
        }
    }

    fn order_over(&mut self, id: CallId) {
        let Some((call, core)) = self.call(id) else { return };
        let Some(request) = call.order.as_ref().map(|order| order.request) else { return };
        core.console(call.told(request));
    }
}

impl Call {
    /// What the operator hears of the end of an ordered call.
    fn told(&self, request: RequestId) -> ConsoleReply {
        match &self.over {
            Some(over) if !self.is_answered() => {
                ConsoleReply::Failed { request, failure: over.end.failure.clone(), code: over.code }
            }
            Some(_) | None => ConsoleReply::Ended { request, call: self.id },
        }
    }

    fn facts(&self) -> Facts {
        let invite = self.invite_request();
        Facts {
            id: self.name.clone(),
            caller: self.about.from.clone(),
            caller_name: invite.and_then(|i| i.headers.from.display.clone()).unwrap_or_default(),
            called: self.about.to.clone(),
            sip_call_id: self.key.0.clone(),
            phone: self.phone.as_ref().map(|user| user.to_string()),
            trunk: self.trunk.as_ref().map(|on| on.name.to_string()),
            source: self.about.peer.map(|peer| peer.to_string()).unwrap_or_default(),
            inbound: invite.is_some(),
            headers: invite.map(|i| target::extras(&i.headers)).unwrap_or_default(),
            stir: self.stir().cloned().map(Box::new),
            message: None,
        }
    }
}
