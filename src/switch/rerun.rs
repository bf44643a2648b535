//! A call moves to another flow: the one before ends as if its call had, and the call goes on.

use std::sync::Arc;

use super::{
    Output,
    call::{End, State},
    switch::Switch,
    task::Doing,
};
use crate::{
    ids::{CallId, FlowId},
    verbs::{Failure, Origin, Reply},
};

impl Switch {
    /// Run this script on a call, in the place of what runs there.
    pub(super) fn run_another(
        &mut self,
        id: CallId,
        script: Arc<str>,
        vars: Vec<(String, String)>,
    ) -> Result<(), Failure> {
        let call = self.calls.get(&id).ok_or(Failure::NoSuchCall)?;
        // A leg belongs to the flow that dialled it; a call that we make has no flow before its answer.
        let own = call.flow.is_none_or(|flow| self.flows.get(&flow).is_none_or(|flow| flow.call == id));
        let ready = match call.state {
            State::Incoming(_) | State::Accepting(_) | State::Talking { .. } => true,
            State::Locating(_) | State::Inviting(_) | State::Gone => false,
        };
        if !own || !ready || call.parent.is_some() || call.direct.is_some() {
            return Err(Failure::WrongState);
        }
        if let Some(flow) = call.flow {
            self.end_flow_only(id, flow);
        }
        self.start_flow(id, script, vars);
        Ok(())
    }

    /// End a flow and the legs that it dialled, but not its own call.
    fn end_flow_only(&mut self, id: CallId, flow: FlowId) {
        self.part(id);
        let Some((call, core)) = self.call(id) else { return };
        call.hush(core);
        if matches!(call.task.as_ref().map(|task| &task.doing), Some(Doing::Echo { .. })) {
            call.echo(core, false);
        }
        // The flow hears nothing any more; others that wait for something are told.
        let task = call.task.take().map(|task| task.ask);
        let asks: Vec<_> = std::mem::take(&mut call.reoffer.asks).into_iter().chain(task).collect();
        let legs = std::mem::take(&mut call.legs);
        let old = self.flows.remove(&flow);
        for ask in asks.into_iter().filter(|ask| ask.origin != Origin::Flow(flow)) {
            self.reply(ask, Reply::Failed(Failure::WrongState));
        }
        let scripted = old.as_ref().is_some_and(|old| old.through.is_none());
        if scripted {
            self.moved.insert(flow, id);
            self.core.out.push_back(Output::Stop { flow });
        }
        let others = old.map(|old| old.calls).unwrap_or_default();
        for other in legs.into_iter().chain(others).filter(|other| *other != id) {
            self.end_leg(other, End::HUNG_UP);
        }
        self.tend_music(id);
    }
}
