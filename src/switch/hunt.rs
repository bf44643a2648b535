//! Ringing other phones for a caller: all at once or one after another, early media or ringback meanwhile; the first to
//! answer is bridged to the caller, the others are cancelled (RFC 3261 sections 13.2.2.4 and 16.7).

use super::{
    call::{Call, End, State},
    connect::Outgoing,
    direct::Direct,
    outbound::{Carrier, Plan},
    play::ringing,
    switch::Switch,
    target,
    task::{Ask, Doing, Task},
};
use crate::{
    ids::CallId,
    media::Role,
    verbs::{Dial, Failure, Reply, Strategy},
};

/// The call went in a circle: no leg is made of what came with a Max-Forwards of 0.
const HOPS: Failure = Failure::Limit("hops of a call");

/// The machine: part of the caller's task.
pub(super) struct Hunt {
    dial: Dial,
    /// The next target to ring.
    next: usize,
    /// Who rings, and which target that is.
    legs: Vec<(CallId, usize)>,
    /// The best failure so far, with its code.
    best: Option<(u16, Failure)>,
    /// Whose early media the caller hears.
    early: Option<CallId>,
    /// Who answered, while the caller itself is being answered.
    winner: Option<(CallId, usize)>,
}

impl Hunt {
    fn fail(&mut self, code: u16, failure: Failure) {
        let better = self.best.as_ref().is_none_or(|(best, _)| rank(code) < rank(*best));
        if better {
            self.best = Some((code, failure));
        }
    }
}

/// The code for a target that was not even called.
fn code_of(failure: &Failure) -> u16 {
    if *failure == HOPS {
        return 483;
    }
    match failure {
        Failure::Denied(_) => 403,
        Failure::Limit(_) => 503,
        Failure::Media(_) => 488,
        Failure::WrongState
        | Failure::NoSuchCall
        | Failure::NoSuchRecording
        | Failure::NoSuchPhone
        | Failure::HungUp
        | Failure::NoAnswer
        | Failure::Busy
        | Failure::Refused(_)
        | Failure::Unreachable
        | Failure::Sound(_)
        | Failure::Stream(_)
        | Failure::Disk(_)
        | Failure::Store(_) => 404,
    }
}

/// Which of several failures tells most (RFC 3261 section 16.7 step 6): 6xx, then the lowest class, and in it what the
/// caller could do something about. Lower is better.
fn rank(code: u16) -> (u16, u16) {
    let class = code / 100;
    let class = if class == 6 { 0 } else { class };
    let within = match code {
        401 | 407 | 415 | 420 | 484 => 0,
        486 => 1,
        408 | 480 => 2,
        487 => 9,
        _ => 3,
    };
    (class, within)
}

impl Switch {
    /// Begin to ring the targets. The caller is hearable, or hears nothing but 180 till the answer.
    pub(super) fn begin_dial(&mut self, ask: Ask, id: CallId, dial: Dial) -> Result<(), Failure> {
        let limit = self.core.config.limits.legs_per_flow;
        if dial.targets.is_empty() || !target::may_add(&dial.headers) {
            return Err(Failure::WrongState);
        }
        if dial.targets.len() > limit {
            return Err(Failure::Limit("legs of a flow"));
        }
        let number = dial.caller_id.clone();
        let (call, core) = self.call(id).ok_or(Failure::NoSuchCall)?;
        let ringable = matches!(call.state, State::Incoming(_) | State::Accepting(_) | State::Talking { .. });
        if !ringable {
            return Err(Failure::WrongState);
        }
        if let Some(number) = number {
            target::from(&number, &core.own_contact(), "check")?;
        }
        let worker = call.port.worker().or(call.worker).unwrap_or_else(|| core.lightest_worker());
        call.worker = Some(worker);
        if call.is_hearable() && call.direct.is_none() {
            let sound = dial.ringback.clone().unwrap_or_else(ringing);
            call.play(core, std::slice::from_ref(&sound))?;
        }
        let hunt = Hunt { dial, next: 0, legs: Vec::new(), best: None, early: None, winner: None };
        call.task = Some(Task { ask, doing: Doing::Dial(Box::new(hunt)) });
        self.part(id);
        self.ring_next(id);
        Ok(())
    }

    fn hunt(&mut self, caller: CallId) -> Option<&mut Hunt> {
        match self.calls.get_mut(&caller)?.task.as_mut()? {
            Task { doing: Doing::Dial(hunt), .. } => Some(hunt),
            _ => None,
        }
    }

    /// Which target of the hunt `leg` rings for.
    pub(super) fn place_in_hunt(&mut self, caller: CallId, leg: CallId) -> Option<usize> {
        let hunt = self.hunt(caller).filter(|hunt| hunt.winner.is_none())?;
        hunt.legs.iter().find(|(id, _)| *id == leg).map(|(_, place)| *place)
    }

    /// `leg` is rung for this target, too.
    pub(super) fn enter_hunt(&mut self, caller: CallId, leg: CallId, place: usize) {
        if let Some(hunt) = self.hunt(caller) {
            hunt.legs.push((leg, place));
        }
    }

    /// Ring the next target, or all of them. Where none is left and none rings, that was it.
    fn ring_next(&mut self, caller: CallId) {
        loop {
            let Some(hunt) = self.hunt(caller) else { return };
            if hunt.winner.is_some() {
                return;
            }
            let at = hunt.next;
            let busy = hunt.dial.strategy == Strategy::InTurn && !hunt.legs.is_empty();
            let Some(text) = hunt.dial.targets.get(at).filter(|_| !busy).cloned() else { break };
            hunt.next += 1;
            if let Err(failure) = self.ring(caller, at, &text)
                && let Some(hunt) = self.hunt(caller)
            {
                tracing::info!(target = text, ?failure, "cannot be dialled");
                hunt.fail(code_of(&failure), failure);
            }
        }
        if let Some(hunt) = self.hunt(caller)
            && hunt.legs.is_empty()
        {
            let (code, failure) = hunt.best.take().unwrap_or((404, Failure::Unreachable));
            self.note_refusal(caller, code);
            self.dial_failed(caller, failure);
        }
    }

    /// Ring one target.
    fn ring(&mut self, caller: CallId, at: usize, text: &str) -> Result<(), Failure> {
        let mut result = Err(Failure::Unreachable);
        for plan in self.core.plans(text)? {
            let one = self.ring_one(caller, at, plan);
            result = result.or(one);
        }
        result
    }

    /// Ring one device, or what else a target leads to.
    fn ring_one(&mut self, caller: CallId, at: usize, plan: Plan) -> Result<(), Failure> {
        let limits = &self.core.config.limits;
        if self.calls.len() >= limits.calls && !plan.is_emergency() {
            return Err(Failure::Limit("calls"));
        }
        let flow = self.calls.get(&caller).and_then(|call| call.flow);
        let legs = flow.and_then(|flow| self.flows.get(&flow)).map_or(0, |flow| flow.calls.len());
        if legs > limits.legs_per_flow && !plan.is_emergency() {
            return Err(Failure::Limit("legs of a flow"));
        }
        let Some(call) = self.calls.get(&caller) else { return Err(Failure::NoSuchCall) };
        let (shown, name, worker) = (call.about.from.clone(), call.name.clone(), call.worker);
        let (mark, vouched) = (call.mark(&self.core), call.is_vouched_for());
        let hops = call.hops.checked_sub(1).ok_or(HOPS)?;
        let dearest = call.offered();
        let told = call.direct.as_ref().map(|direct| direct.theirs.clone());
        let fax = call.fax_to_pass_on();
        let Some(hunt) = self.hunt(caller) else { return Err(Failure::WrongState) };
        let (timeout, mut headers) = (hunt.dial.timeout, hunt.dial.headers.clone());
        headers.push(("Max-Forwards".to_owned(), hops.to_string()));
        let caller_id = hunt.dial.caller_id.clone();
        let behind =
            self.calls.get(&caller).map(|call| call.caller(&self.core, caller_id.as_deref())).unwrap_or_default();
        // A number that the script chose is the operator's own affair.
        let (mark, vouched) = (mark.filter(|_| caller_id.is_none()), vouched || caller_id.is_some());
        let number = caller_id.unwrap_or(shown);
        let core = &mut self.core;
        let tag = core.stack.new_tag();
        let contact = core.own_contact();
        let mut from = target::from(&number, &contact, &tag).or_else(|_| target::from("anonymous", &contact, &tag))?;
        from.display = mark;
        let (give_up, redirects) = (core.now + timeout, core.config.limits.redirects);
        let carrier = Carrier::new(plan.ways, behind);
        let (phone, reach) = plan.phone.unzip();
        let (targets, session) = (plan.targets, core.config.rules.session);
        let (failed, rang) = (None, false);
        let outgoing =
            Outgoing { from, headers, targets, redirects, give_up, cseq: 0, session, failed, rang, carrier, reach };
        let mut leg = Call::outgoing(core, outgoing);
        (leg.flow, leg.parent, leg.worker, leg.phone) = (flow, Some(caller), worker, phone);
        (leg.about.parent, leg.vouched) = (Some(name), vouched);
        (leg.hops, leg.dearest, leg.fax) = (hops, dearest, fax);
        leg.direct = told.map(|ours| Box::new(Direct { ours, ..Direct::default() }));
        let id = leg.id;
        leg.locate(core);
        if let Some(hunt) = self.hunt(caller) {
            hunt.legs.push((id, at));
        }
        if let Some(call) = self.calls.get_mut(&caller) {
            call.legs.push(id);
        }
        self.adopt(leg);
        Ok(())
    }

    /// A target rings.
    pub(super) fn leg_rings(&mut self, leg: CallId) {
        let Some(caller) = self.caller_of(leg) else { return };
        if let Some((call, core)) = self.call(caller) {
            // Fails where the caller is answered already, and hears ringback.
            let _ = call.ring(core);
        }
    }

    /// What the caller hears meanwhile came to its end, and begins anew; where it cannot be `had`, the network's
    /// ringing is heard instead.
    pub(super) fn ringback_over(&mut self, caller: CallId, had: bool) {
        let Some(hunt) = self.hunt(caller).filter(|hunt| hunt.early.is_none() && hunt.winner.is_none()) else { return };
        if !had {
            hunt.dial.ringback = None;
        }
        let ringback = hunt.dial.ringback.clone().unwrap_or_else(ringing);
        if let Some((call, core)) = self.call(caller)
            && call.play(core, std::slice::from_ref(&ringback)).is_err()
        {
            call.forget_play(core);
        }
    }

    /// A target sends audio before its answer.
    pub(super) fn leg_has_early_media(&mut self, leg: CallId) {
        let Some(caller) = self.caller_of(leg) else { return };
        let hearable = self.calls.get(&caller).is_some_and(|call| call.is_hearable());
        let Some(hunt) = self.hunt(caller) else { return };
        if hunt.early.is_some() || hunt.winner.is_some() {
            return self.leg_rings(leg);
        }
        let alone = hunt.legs.len() == 1 && hunt.next == hunt.dial.targets.len();
        if self.calls.get(&caller).is_some_and(|call| call.direct.is_some()) {
            // Who answers must say the same as who was heard before: so only where nobody else can.
            return if alone { self.early_directly(caller, leg) } else { self.leg_rings(leg) };
        }
        if !hearable && self.open_early(caller) {
            if let Some(hunt) = self.hunt(caller) {
                hunt.early = Some(leg);
            }
            return;
        }
        let Some(hunt) = self.hunt(caller).filter(|hunt| hearable && hunt.dial.early_media) else {
            return self.leg_rings(leg);
        };
        hunt.early = Some(leg);
        if let Some((call, core)) = self.call(caller) {
            call.hush(core);
        }
        self.join(caller, leg, Role::Speak);
    }

    /// Whose early media the caller is to hear.
    pub(super) fn early_leg(&mut self, caller: CallId) -> Option<CallId> {
        self.hunt(caller)?.early
    }

    /// A target answered. The first one wins; whoever comes later is told goodbye.
    pub(super) fn leg_answers(&mut self, leg: CallId) {
        let Some(caller) = self.caller_of(leg) else { return self.end_leg(leg, End::ELSEWHERE) };
        let Some(hunt) = self.hunt(caller) else { return self.end_leg(leg, End::ELSEWHERE) };
        let place = hunt.legs.iter().position(|(id, _)| *id == leg);
        let Some(place) = place.filter(|_| hunt.winner.is_none()) else { return self.end_leg(leg, End::ELSEWHERE) };
        let winner = hunt.legs.swap_remove(place);
        hunt.winner = Some(winner);
        let losers = std::mem::take(&mut hunt.legs);
        let other_early = hunt.early.take().is_some_and(|early| early != leg);
        for (loser, _) in losers {
            self.end_leg(loser, End::ELSEWHERE);
        }
        if other_early {
            self.part(caller);
        }
        self.hand_answer(caller, leg);
        self.hand_fax(caller, leg);
        let spoken = self.calls.get(&leg).map(|call| call.offered()).unwrap_or_default();
        let Some((call, core)) = self.call(caller) else { return };
        call.dearest = spoken;
        call.hush(core);
        match call.state {
            State::Incoming(_) => {
                if let Err(failure) = call.answer(core) {
                    self.dial_failed(caller, failure);
                    self.end_leg(leg, End::HUNG_UP);
                }
            }
            State::Accepting(_) | State::Locating(_) | State::Inviting(_) | State::Gone => {}
            State::Talking { .. } => self.connect_winner(caller),
        }
    }

    /// The caller is answered: if somebody waits for that, bridge them.
    pub(super) fn connect_winner(&mut self, caller: CallId) {
        let Some((leg, target)) = self.hunt(caller).and_then(|hunt| hunt.winner) else { return };
        self.join(caller, leg, Role::Both);
        self.finish_task(caller, Reply::Dialed { call: leg, target });
    }

    /// A leg ended; where it was still rung for somebody, that goes on without it.
    pub(super) fn leg_over(&mut self, leg: CallId) {
        let Some(call) = self.calls.get(&leg) else { return };
        let (Some(caller), Some(over)) = (call.parent, call.over.clone()) else { return };
        if let Some(call) = self.calls.get_mut(&caller) {
            call.legs.retain(|id| *id != leg);
        }
        let Some(hunt) = self.hunt(caller) else { return };
        if hunt.winner.is_some_and(|(winner, _)| winner == leg) {
            return self.dial_failed(caller, Failure::HungUp);
        }
        let Some(place) = hunt.legs.iter().position(|(id, _)| *id == leg) else { return };
        hunt.legs.remove(place);
        hunt.fail(over.end.code, over.end.failure);
        let was_early = hunt.early.is_some_and(|early| early == leg);
        if was_early {
            hunt.early = None;
            self.part(caller);
            self.ringback_over(caller, true);
        }
        self.ring_next(caller);
    }

    /// The caller cannot be given media: whoever answered is told goodbye.
    pub(super) fn dial_without_caller(&mut self, caller: CallId, why: String) {
        let legs = self.hunt(caller).map(|hunt| {
            let winner = hunt.winner.map(|(leg, _)| leg);
            hunt.legs.iter().map(|(leg, _)| *leg).chain(winner).collect::<Vec<_>>()
        });
        self.dial_failed(caller, Failure::Media(why));
        for leg in legs.unwrap_or_default() {
            self.end_leg(leg, End::HUNG_UP);
        }
    }

    fn dial_failed(&mut self, caller: CallId, failure: Failure) {
        if let Some((call, core)) = self.call(caller) {
            call.hush(core);
        }
        self.finish_task(caller, Reply::Failed(failure));
    }

    /// The call for whom `leg` is being rung.
    fn caller_of(&self, leg: CallId) -> Option<CallId> {
        let call = self.calls.get(&leg)?;
        call.parent.filter(|_| call.over.is_none())
    }

    pub(super) fn end_leg(&mut self, leg: CallId, end: End) {
        if let Some((call, core)) = self.call(leg)
            && call.over.is_none()
        {
            call.hang_up(core, end);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_failure_that_is_told_is_the_one_that_says_most() {
        let best = |codes: &[u16]| *codes.iter().min_by_key(|code| rank(**code)).unwrap();
        assert_eq!(best(&[486, 603]), 603, "6xx is about the person, not the phone");
        assert_eq!(best(&[503, 404, 486]), 486);
        assert_eq!(best(&[503, 408, 404]), 408);
        assert_eq!(best(&[500, 302]), 302);
        assert_eq!(best(&[404, 407, 486]), 407);
        assert_eq!(best(&[404, 487]), 404);
    }
}
