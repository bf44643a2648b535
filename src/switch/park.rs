//! Calls that change hands: a phone picks up what rings another one, or fetches a call that was parked. Who takes the
//! call becomes a leg of its flow, as if it had been dialled and had answered; its own script ends there.

use std::time::Duration;

use super::{
    Output,
    call::{End, State},
    happened::What,
    switch::Switch,
    task::{Ask, Doing, Task},
};
use crate::{
    ids::{CallId, FlowId},
    media::Role,
    verbs::{Failure, Reply},
};

/// Slots after which those that are free again are cleared away.
const MANY_SLOTS: usize = 1000;

impl Switch {
    /// `id` answers in the place of a device of the phone `number` that rings.
    pub(super) fn begin_pickup(&mut self, id: CallId, number: &str) -> Result<Option<Reply>, Failure> {
        self.may_take(id)?;
        let phone = self.core.config.phones.called(number).ok_or(Failure::Unreachable)?;
        let legs = self.core.desk.lamps.calls_of(&phone.credentials.user);
        let found = legs.into_iter().find_map(|leg| {
            let call = self.calls.get(&leg).filter(|call| call.over.is_none())?;
            let ringing = matches!(call.state, State::Inviting(_) | State::Locating(_));
            // Who takes a call hears it through us.
            let caller = call.parent.filter(|caller| ringing && *caller != id && call.direct.is_none())?;
            Some((caller, self.place_in_hunt(caller, leg)?))
        });
        let (caller, place) = found.ok_or(Failure::Unreachable)?;
        self.hand_over(id, caller)?;
        self.enter_hunt(caller, id, place);
        self.leg_answers(id);
        Ok(None)
    }

    /// `id` has answered in the place of `leg`, which rings a phone for `caller`: it becomes a leg of the caller's flow.
    pub(super) fn pick_up_ringing(&mut self, id: CallId, leg: CallId, caller: CallId) {
        let (place, flow) = (self.place_in_hunt(caller, leg), self.calls.get(&caller).and_then(|call| call.flow));
        let (Some(place), Some(flow)) = (place, flow) else { return self.end_leg(id, End::ELSEWHERE) };
        self.give_to(id, caller, flow);
        self.enter_hunt(caller, id, place);
        self.leg_answers(id);
    }

    /// Wait in `slot` to be fetched.
    pub(super) fn begin_park(&mut self, ask: Ask, id: CallId, slot: String, timeout: Duration) -> Result<(), Failure> {
        if self.parked(&slot).is_some() {
            return Err(Failure::Busy);
        }
        let until = self.core.now + timeout;
        let (call, core) = self.call(id).ok_or(Failure::NoSuchCall)?;
        call.task = Some(Task { ask, doing: Doing::Park { slot: slot.clone(), until } });
        call.happened(core, What::Parked { slot: slot.clone() });
        self.core.desk.slots.insert(slot, id);
        if self.core.desk.slots.len() > MANY_SLOTS {
            let slots = std::mem::take(&mut self.core.desk.slots);
            let taken = slots.into_iter().filter(|(slot, id)| self.is_parked(*id, slot)).collect();
            self.core.desk.slots = taken;
        }
        self.tend_music(id);
        Ok(())
    }

    /// `id` fetches the call that is parked in `slot`.
    pub(super) fn begin_retrieve(&mut self, id: CallId, slot: &str) -> Result<Option<Reply>, Failure> {
        self.may_take(id)?;
        let parked = self.parked(slot).filter(|parked| *parked != id).ok_or(Failure::Unreachable)?;
        self.hand_over(id, parked)?;
        self.join(parked, id, Role::Both);
        let by = self.calls.get(&id).map(|call| call.name.clone());
        self.unpark(parked, slot.to_owned(), by, Reply::Dialed { call: id, target: 0 });
        Ok(None)
    }

    /// Nobody fetched the call in time.
    pub(super) fn park_is_over(&mut self, id: CallId, slot: String) {
        self.unpark(id, slot, None, Reply::Failed(Failure::NoAnswer));
    }

    fn unpark(&mut self, id: CallId, slot: String, by: Option<String>, reply: Reply) {
        if let Some((call, core)) = self.call(id) {
            call.happened(core, What::Unparked { slot, by });
        }
        self.finish_task(id, reply);
        self.tend_music(id);
    }

    /// Who is in `slot`.
    fn parked(&self, slot: &str) -> Option<CallId> {
        let id = *self.core.desk.slots.get(slot)?;
        self.is_parked(id, slot).then_some(id)
    }

    fn is_parked(&self, id: CallId, slot: &str) -> bool {
        let task = self.calls.get(&id).filter(|call| call.over.is_none()).and_then(|call| call.task.as_ref());
        task.is_some_and(|task| matches!(&task.doing, Doing::Park { slot: own, .. } if own == slot))
    }

    /// Only a script's own answered call may take another one.
    fn may_take(&self, id: CallId) -> Result<(), Failure> {
        let call = self.calls.get(&id).ok_or(Failure::NoSuchCall)?;
        let own = call.flow.and_then(|flow| self.flows.get(&flow)).is_some_and(|flow| flow.call == id);
        let ready = own && matches!(call.state, State::Talking { .. }) && call.task.is_none();
        if ready { Ok(()) } else { Err(Failure::WrongState) }
    }

    /// `id` leaves its own flow, which ends, and becomes a leg of that of `to`.
    fn hand_over(&mut self, id: CallId, to: CallId) -> Result<(), Failure> {
        let flow = self.calls.get(&to).and_then(|call| call.flow).ok_or(Failure::Unreachable)?;
        let Some(old) = self.calls.get(&id).and_then(|call| call.flow) else { return Err(Failure::WrongState) };
        self.part(id);
        let others = self.flows.remove(&old).map(|flow| flow.calls).unwrap_or_default();
        self.core.out.push_back(Output::Stop { flow: old });
        for other in others.into_iter().filter(|other| *other != id) {
            self.end_leg(other, End::HUNG_UP);
        }
        self.give_to(id, to, flow);
        Ok(())
    }

    /// `id` becomes a leg of `flow`, with its call `to`.
    fn give_to(&mut self, id: CallId, to: CallId, flow: FlowId) {
        let name = self.calls.get(&to).map(|call| call.name.clone());
        if let Some((call, core)) = self.call(id) {
            call.hush(core);
            tracing::info!(call = %call.name, with = name, "takes another call");
            (call.flow, call.parent, call.about.parent) = (Some(flow), Some(to), name);
        }
        if let Some(flow) = self.flows.get_mut(&flow) {
            flow.calls.insert(id);
        }
        if let Some((call, _)) = self.call(to) {
            call.legs.push(id);
        }
    }
}
