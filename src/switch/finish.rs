//! The last steps of a call: its record, once nothing can change it any more, and its removal, once nothing of it is
//! left in the world.

use super::{
    CallQuality, CallRecord, Output,
    call::{Call, State},
    cdr,
    core::Core,
    forks::Sent,
    port::Port,
    switch::Switch,
};
use crate::{
    ids::CallId,
    sip::{ClientTx, Response},
    time::Time,
};

/// Answered INVITEs of calls that are gone: another fork may still answer.
#[derive(Default)]
pub(super) struct Forks {
    /// By the moment until which they are kept, which is in the order of their coming.
    waiting: std::collections::VecDeque<(Time, Sent)>,
}

impl Forks {
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    pub fn timeout(&self) -> Option<Time> {
        self.waiting.front().map(|(until, _)| *until)
    }

    pub fn handle_timeout(&mut self, now: Time) {
        while self.waiting.front().is_some_and(|(until, _)| *until <= now) {
            self.waiting.pop_front();
        }
    }

    pub fn keep(&mut self, core: &Core, sent: Sent) {
        self.waiting.push_back((core.now + 64 * core.config.sip.t1, sent));
    }

    pub fn answer(&mut self, core: &mut Core, tx: ClientTx, response: &Response) {
        if let Some((_, sent)) = self.waiting.iter_mut().find(|(_, sent)| sent.tx == tx) {
            sent.answer_again(core, response);
        }
    }
}

impl Switch {
    /// Write the record of an ended call, and let it go, as far as the time has come for either.
    pub(super) fn let_go(&mut self, id: CallId) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        let Some(over) = &call.over else { return };
        if !call.recorded {
            let late = over.until <= self.core.now;
            let flow = call.flow.and_then(|flow| self.flows.get(&flow)).is_some_and(|flow| flow.call == id);
            if !late && (flow || !call.is_silent() || !call.recordings.is_empty()) {
                return;
            }
            call.give_up_waiting(&mut self.core);
            call.recorded = true;
            if let Some(record) = call.record_of(&self.core) {
                self.core.out.push_back(Output::Record(Box::new(record)));
            }
        }
        if matches!(call.state, State::Gone) && call.is_silent() {
            self.remove(id);
        }
    }

    fn remove(&mut self, id: CallId) {
        let Some(mut call) = self.calls.remove(&id) else { return };
        self.core.desk.lamps.remove(&call);
        tracing::debug!(call = %call.name, "forgotten");
        self.core.dialogs.remove(&call.key);
        if self.core.config.trace {
            self.core.departed.keep(self.core.now + 64 * self.core.config.sip.t1, call.key, id);
        }
        if let Some(flow) = call.flow.and_then(|flow| self.flows.get_mut(&flow)) {
            flow.calls.remove(&id);
        }
        let (asked, reoffered) = call.reoffer.leave();
        for tx in asked.into_iter().chain(call.pending.drain(..).map(|asked| asked.tx)) {
            self.core.transactions.remove(&tx);
        }
        for sent in call.sent.take().into_iter().chain(reoffered) {
            self.core.transactions.remove(&sent.tx);
            self.forks.keep(&self.core, sent);
        }
    }
}

impl Call {
    /// None of its ports is left in the world.
    fn is_silent(&self) -> bool {
        self.port.is_gone() && self.siprec.as_ref().is_none_or(|siprec| siprec.mouths.are_gone())
    }

    /// What has not come by now is not waited for.
    fn give_up_waiting(&mut self, core: &mut Core) {
        self.abandon_port(core);
        self.abandon_mouths(core);
        self.leave_recordings(core);
    }

    fn record_of(&self, core: &Core) -> Option<CallRecord> {
        let (over, about) = (self.over.as_ref()?, &self.about);
        let unix = |at: Time| u64::try_from(core.epoch.unix(at).as_millis()).unwrap_or(u64::MAX);
        let heard = self.port.heard();
        let quality = match &self.port {
            Port::Closed { quality, .. } => Some(&**quality),
            Port::None | Port::Opening { .. } | Port::Open(_) | Port::Closing { .. } => None,
        };
        let listened = heard.filter(|heard| heard.receiving && self.is_answered());
        Some(CallRecord {
            id: self.name.clone(),
            parent: about.parent.clone(),
            partners: about.partners.clone(),
            direction: about.direction,
            from: about.from.clone(),
            to: about.to.clone(),
            trunk: self.trunk.as_ref().map(|on| on.name.to_string()),
            cost: self.trunk.as_ref().and_then(|on| on.cost).map(|millionths| millionths as f64 / 1e6),
            sip_call_id: self.key.0.clone(),
            peer: about.peer.map(|peer| peer.to_string()),
            start_ms: unix(about.started),
            answer_ms: about.answered.map(unix),
            end_ms: unix(over.at),
            talk_seconds: about.answered.map_or(0.0, |answered| (over.at - answered).as_secs_f64()),
            total_seconds: (over.at - about.started).as_secs_f64(),
            status: over.status,
            end_reason: over.end.reason,
            end_detail: over.end.detail,
            code: over.code,
            q850: self.why.cause,
            transferred: over.end.transferred,
            script: about.script.as_deref().map(str::to_owned),
            flow_version: about.ran.version.clone(),
            path: about.ran.steps().map(str::to_owned).collect(),
            path_left_out: about.ran.left_out(),
            runs: about.runs.told(&core.epoch),
            codec: heard.and_then(|heard| heard.codec).map(|codec| codec.to_string()),
            quality: quality.map(|quality| {
                let mut quality = CallQuality::from(quality);
                self.hearing.complete(about.started, &mut quality);
                quality
            }),
            no_audio: listened.zip(quality).and_then(|(heard, quality)| cdr::no_audio(heard.said, quality)),
            recordings: about.files.clone(),
            recorded_parties: about.recorded_parties.clone(),
            recording_errors: about.file_errors.clone(),
            stir: self.stir().cloned(),
            vars: about.vars.clone(),
            error: about.error.clone(),
        })
    }
}
