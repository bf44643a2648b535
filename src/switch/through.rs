//! Numbers that are put through without a script: the switch itself does what the shortest script would. It rings the
//! targets, bridges the first who answers with the caller, and hangs up when one of them does.
//!
//! ```text
//! Dial ──Dialed──▶ Bridge ──Left──▶ the flow ends
//!   └──Failed──▶ the caller is refused as the targets refused
//! ```
//!
//! Such a call has a flow as others do, so that pickup, transfers, limits and records know no difference; its replies
//! come here instead of to a script thread.

use super::{flow::Flow, route::Through, switch::Switch};
use crate::{
    ids::{CallId, FlowId, RequestId},
    media::Role,
    verbs::{Dial, Failure, FlowEnd, Origin, Ran, Reply, Request, Verb},
};

/// Nobody answers these requests by number.
const REQUEST: RequestId = RequestId(0);

/// A flow that the switch runs by itself.
pub(super) struct PutThrough {
    /// What the target that told most was refused with.
    pub code: Option<u16>,
}

impl Switch {
    /// Ring the targets of `through` for a call that came in.
    pub(super) fn put_through(&mut self, id: CallId, through: &Through) {
        let flow = FlowId(self.core.id());
        let Some((call, _)) = self.call(id) else { return };
        let targets = through.targets(&call.about.to);
        tracing::info!(call = %call.name, ?targets, "put through");
        call.flow = Some(flow);
        let dial = Dial {
            targets,
            strategy: through.strategy,
            timeout: through.timeout,
            early_media: false,
            caller_id: None,
            headers: Vec::new(),
            ringback: None,
        };
        self.flows.insert(flow, Flow::new(id, Some(PutThrough { code: None })));
        self.wish(flow, id, Verb::Dial(dial));
    }

    pub(super) fn is_put_through(&self, flow: FlowId) -> bool {
        self.flows.get(&flow).is_some_and(|flow| flow.through.is_some())
    }

    fn wish(&mut self, flow: FlowId, call: CallId, verb: Verb) {
        self.on_request(Request { origin: Origin::Flow(flow), id: REQUEST, call, verb });
    }

    /// What became of the wish before.
    pub(super) fn go_on_through(&mut self, flow: FlowId, reply: Reply) {
        let Some(own) = self.flows.get(&flow).map(|flow| flow.call) else { return };
        match reply {
            Reply::Dialed { call, .. } => {
                self.wish(flow, own, Verb::Bridge { other: call, stop_on: String::new() });
            }
            Reply::Failed(failure) => self.refuse_through(flow, own, &failure),
            Reply::Left(_)
            | Reply::Done
            | Reply::Transferred
            | Reply::Played { .. }
            | Reply::Playing(_)
            | Reply::At(_)
            | Reply::Digits { .. }
            | Reply::Recording(_)
            | Reply::Recorded { .. }
            | Reply::Sent { .. }
            | Reply::Message(_)
            | Reply::Registrations(_)
            | Reply::Heard { .. }
            | Reply::Figures(_)
            | Reply::Members(_)
            | Reply::Rooms(_)
            | Reply::Contact(_)
            | Reply::Resource(_)
            | Reply::Value(_) => self.on_flow_ended(flow, FlowEnd::Finished, Ran::default()),
        }
    }

    /// Nobody took the call: the caller hears why.
    fn refuse_through(&mut self, flow: FlowId, own: CallId, failure: &Failure) {
        let told = self.flows.get(&flow).and_then(|flow| flow.through.as_ref()).and_then(|through| through.code);
        if let Some((call, core)) = self.call(own) {
            // Fails where the caller is answered, as by a target that is gone again: then it is hung up.
            let _ = call.reject(core, passed_on(told, failure), None);
        }
        self.on_flow_ended(flow, FlowEnd::Finished, Ran::default());
    }

    /// The targets of `caller` are given up; the best of their answers was `code`.
    pub(super) fn note_refusal(&mut self, caller: CallId, code: u16) {
        let flow = self.calls.get(&caller).and_then(|call| call.flow);
        let through = flow.and_then(|flow| self.flows.get_mut(&flow)).and_then(|flow| flow.through.as_mut());
        if let Some(through) = through {
            through.code = Some(code);
        }
    }

    /// A target of a caller that is put through sends audio before its answer: the caller gets to hear it. False: the
    /// caller cannot, or it is a script's to say.
    pub(super) fn open_early(&mut self, caller: CallId) -> bool {
        let Some(flow) = self.calls.get(&caller).and_then(|call| call.flow) else { return false };
        if !self.is_put_through(flow) {
            return false;
        }
        self.call(caller).is_some_and(|(call, core)| call.progress(core).is_ok())
    }

    /// The caller is hearable now: whom it waited for is heard.
    pub(super) fn early_opened(&mut self, caller: CallId) {
        let Some(leg) = self.early_leg(caller) else { return };
        self.join(caller, leg, Role::Speak);
    }
}

/// The code that tells the caller why a target refused. What was between the target and us stays there.
fn passed_on(code: Option<u16>, failure: &Failure) -> u16 {
    let ours = match failure {
        Failure::Busy => 486,
        Failure::NoAnswer | Failure::HungUp => 480,
        Failure::Denied(_) => 403,
        Failure::Limit(_) => 503,
        Failure::Media(_) => 488,
        Failure::Unreachable => 404,
        Failure::Refused(code) => *code,
        Failure::WrongState
        | Failure::NoSuchCall
        | Failure::NoSuchRecording
        | Failure::NoSuchPhone
        | Failure::Sound(_)
        | Failure::Stream(_)
        | Failure::Disk(_)
        | Failure::Store(_) => 500,
    };
    match code.unwrap_or(ours) {
        // Redirected in a circle, or to where nobody is.
        300..=399 => 480,
        // It was us who could not say who we are.
        401 | 407 => 503,
        // Something about our own INVITE.
        400 | 402 | 405 | 406 | 411..=424 | 481 | 487 | 491 | 494 | 0..=299 | 700.. => 500,
        code => code,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_gets_the_targets_own_refusal_but_nothing_about_our_side_of_it() {
        assert_eq!(passed_on(Some(486), &Failure::Busy), 486);
        assert_eq!(passed_on(Some(404), &Failure::Unreachable), 404);
        assert_eq!(passed_on(Some(603), &Failure::Refused(603)), 603);
        assert_eq!(passed_on(Some(407), &Failure::Refused(407)), 503);
        assert_eq!(passed_on(Some(302), &Failure::Refused(302)), 480);
        assert_eq!(passed_on(Some(422), &Failure::Refused(422)), 500);
        assert_eq!(passed_on(None, &Failure::Denied("no rule")), 403);
    }
}
