//! A party of a bridge transfers the other one: it sends REFER, and we do the calling ourselves (RFC 5589 section 7 from
//! the view of a B2BUA). The moved party keeps its call with us; only its partner changes.
//!
//! ```text
//! blind      party A ═ us ═ party B    A: REFER to C.   we ring C, tell A how far it is; C answers: B ═ us ═ C, BYE to A
//! attended   A ═ us ═ B, A ═ us ═ C    A: REFER to C, in the place of the second call: B ═ us ═ C, BYE to A twice
//! ```
//!
//! A may hang up as soon as its REFER is accepted. If C does not answer then, B's call ends; if A is still there, nothing
//! has changed.

use super::{
    bridge::Joined,
    call::{Call, End, State},
    connect::Outgoing,
    core::Core,
    happened::{By, What},
    outbound::Carrier,
    play::ringing,
    refer,
    replaces::Replaced,
    rules::TransferRule,
    switch::Switch,
    target,
    task::Doing,
    within::Purpose,
};
use crate::{
    ids::CallId,
    sip::{NameAddr, ReferTo, Request, ServerTx, Uri},
    verbs::{Failure, LeaveReason, Reply},
};

/// How long the target of a transfer rings.
const RING: std::time::Duration = std::time::Duration::from_secs(60);

/// What a call has to do with transfers.
#[derive(Default)]
pub(super) struct Moving {
    /// Lives only as long as this one; both name each other.
    pub tied: Option<CallId>,
    /// The target that rings for this call, which is moved to it or asked for that.
    pub target: Option<CallId>,
    /// This call is the target of a transfer.
    pub referral: Option<Referral>,
    /// This call takes the place of another one.
    pub replaces: Option<Replaced>,
}

/// For whom a target rings.
#[derive(Clone, Copy)]
pub(super) struct Referral {
    /// Who asked.
    referrer: CallId,
    /// Who is to be connected.
    moved: CallId,
    /// CSeq of the REFER.
    refer: u32,
    /// The referrer wants to hear how it goes.
    notify: bool,
}

impl Switch {
    /// A party of ours asks to be replaced by somebody else. Its CSeq is in order.
    pub(super) fn on_refer(&mut self, id: CallId, tx: ServerTx, request: &Request) {
        match self.judge_refer(id, request) {
            Err(code) => self.core.answer(tx, request, code, &[]),
            Ok((refer_to, moved)) => {
                let headers = &request.headers;
                let notify = !headers.get("Refer-Sub").is_some_and(|value| value.trim().eq_ignore_ascii_case("false"));
                let fields = [("Refer-Sub", if notify { "true" } else { "false" })];
                self.core.answer(tx, request, 202, &fields);
                let referral = Referral { referrer: id, moved, refer: headers.cseq.number, notify };
                let by = headers.get("Referred-By").map(str::to_owned);
                if let Some((call, core)) = self.call(id) {
                    let target = refer_to.uri.to_string();
                    call.happened(core, What::Transferring { by: By::Party, target });
                }
                self.move_to(referral, refer_to, by);
            }
        }
    }

    /// Where to, and who is moved; else the code of the refusal.
    fn judge_refer(&self, id: CallId, request: &Request) -> Result<(ReferTo, CallId), u16> {
        let call = self.calls.get(&id).filter(|call| call.over.is_none()).ok_or(481u16)?;
        let allowed = match self.core.config.rules.transfer {
            TransferRule::Nobody => false,
            TransferRule::Trusted => call.is_trusted(),
            TransferRule::All => true,
        };
        if !allowed || call.direct.is_some() {
            return Err(603);
        }
        let refer_to = request.headers.get("Refer-To").and_then(ReferTo::parse).ok_or(400u16)?;
        if !refer_to.uri.is_sip() {
            return Err(416);
        }
        let Joined::Peer { peer, .. } = call.joined else { return Err(603) };
        let moved = self.calls.get(&peer).ok_or(603u16)?;
        let talking = |call: &Call| matches!(call.state, State::Talking { .. });
        if !talking(call) || !talking(moved) || call.moving.target.is_some() || moved.moving.target.is_some() {
            return Err(491);
        }
        Ok((refer_to, peer))
    }

    fn move_to(&mut self, referral: Referral, refer_to: ReferTo, referred_by: Option<String>) {
        self.notify(referral, 100);
        let ours = refer_to.replaces.as_ref().and_then(|replaces| self.find_replaced(replaces));
        match ours {
            Some(second) => self.move_within(referral, second),
            None => self.move_by_call(referral, refer_to, referred_by),
        }
    }

    /// Attended, and the second call is with us, too: connect the two far ends.
    fn move_within(&mut self, referral: Referral, second: CallId) {
        let partner = self.calls.get(&second).and_then(|call| match call.joined {
            Joined::Peer { peer, .. } => Some(peer),
            Joined::Alone | Joined::Room(_) | Joined::Watch { .. } => None,
        });
        let Referral { referrer, moved, .. } = referral;
        match partner.filter(|partner| *partner != moved && second != referrer && second != moved) {
            Some(partner) => {
                self.notify(referral, 200);
                self.connect_pair(moved, partner);
                self.end_leg(referrer, End::TRANSFERRED);
                self.end_leg(second, End::TRANSFERRED);
            }
            None => self.notify(referral, 603),
        }
    }

    /// Ring the target for the moved party.
    fn move_by_call(&mut self, referral: Referral, refer_to: ReferTo, referred_by: Option<String>) {
        let Some(moved) = self.calls.get(&referral.moved) else { return self.notify(referral, 481) };
        let (number, parent, worker) = (moved.party_number(), moved.name.clone(), moved.port.worker());
        if self.draining.is_some() || self.calls.len() >= self.core.config.limits.calls {
            return self.notify(referral, 503);
        }
        // The moved party is shown to the target; who moves it answers for the cost.
        let (mut behind, vouched) = (moved.caller(&self.core, None), moved.is_vouched_for());
        if let Some(referrer) = self.calls.get(&referral.referrer) {
            behind.account = referrer.caller(&self.core, None).account;
        }
        let core = &mut self.core;
        let plan = match core.plan_of(&refer_to.uri) {
            Ok(plan) => plan,
            Err(Failure::Denied(_)) => return self.notify(referral, 603),
            Err(_) => return self.notify(referral, 404),
        };
        let (tag, contact) = (core.stack.new_tag(), core.own_contact());
        let from = target::from(&number, &contact, &tag).or_else(|_| target::from("anonymous", &contact, &tag));
        let Ok(from) = from else { return self.notify(referral, 500) };
        let replaces = refer_to.replaces.map(|replaces| ("Replaces".to_owned(), replaces.to_string()));
        let by = referred_by.filter(|by| !by.contains(char::is_control)).map(|by| referrer_at(by, &contact));
        let by = by.map(|by| ("Referred-By".to_owned(), by));
        let headers = replaces.into_iter().chain(by).collect();
        let (give_up, redirects) = (core.now + RING, core.config.limits.redirects);
        let (phone, reach) = plan.phone.unzip();
        let (targets, session, failed, rang) = (plan.targets, core.config.rules.session, None, false);
        let carrier = Carrier::new(plan.ways, behind);
        let outgoing =
            Outgoing { from, headers, targets, redirects, give_up, cseq: 0, session, failed, rang, carrier, reach };
        let mut leg = Call::outgoing(core, outgoing);
        (leg.worker, leg.phone, leg.vouched) = (worker, phone, vouched);
        leg.about.parent = Some(parent);
        leg.moving.referral = Some(referral);
        let id = leg.id;
        for party in [referral.referrer, referral.moved] {
            if let Some(call) = self.calls.get_mut(&party) {
                call.moving.target = Some(id);
            }
        }
        leg.locate(&mut self.core);
        self.adopt(leg);
    }

    fn referral_of(&self, leg: CallId) -> Option<Referral> {
        self.calls.get(&leg).and_then(|call| call.moving.referral)
    }

    /// The target of a transfer rings. False: this call is none.
    pub(super) fn target_rings(&mut self, leg: CallId) -> bool {
        let Some(referral) = self.referral_of(leg) else { return false };
        self.notify(referral, 180);
        self.let_wait(referral.moved);
        true
    }

    /// The moved party hears ringing, where its partner is gone already.
    fn let_wait(&mut self, moved: CallId) {
        if let Some((call, core)) = self.call(moved)
            && call.joined == Joined::Alone
            && matches!(call.player, super::play::Player::Idle)
        {
            // Fails where there is no media; then there is nothing to hear anyway.
            let _ = call.play(core, &[ringing()]);
        }
    }

    /// The target of a transfer answered. False: this call is none.
    pub(super) fn target_answers(&mut self, leg: CallId) -> bool {
        let Some(referral) = self.referral_of(leg) else { return false };
        self.forget_target(leg);
        self.notify(referral, 200);
        if self.calls.get(&referral.moved).is_none_or(|moved| moved.over.is_some()) {
            self.end_leg(leg, End::HUNG_UP);
            return true;
        }
        self.connect_pair(referral.moved, leg);
        self.end_leg(referral.referrer, End::TRANSFERRED);
        true
    }

    /// The target of a transfer is gone without an answer: who still talks goes on.
    pub(super) fn target_over(&mut self, leg: CallId) {
        let Some(referral) = self.referral_of(leg) else { return };
        let code = self.calls.get(&leg).and_then(|call| call.over.as_ref()).map_or(500, |over| over.end.code);
        self.forget_target(leg);
        self.notify(referral, if code < 300 { 487 } else { code });
        let Some((moved, core)) = self.call(referral.moved) else { return };
        if moved.joined != Joined::Alone || moved.over.is_some() {
            return;
        }
        moved.hush(core);
        if matches!(moved.task.as_ref().map(|task| &task.doing), Some(Doing::Bridge { .. })) {
            self.finish_task(referral.moved, Reply::Left(LeaveReason::PeerHungUp));
        } else if moved.flow.is_none() {
            moved.hang_up(core, End::HUNG_UP);
        }
    }

    fn forget_target(&mut self, leg: CallId) {
        let Some(referral) = self.calls.get_mut(&leg).and_then(|call| call.moving.referral.take()) else { return };
        for party in [referral.referrer, referral.moved] {
            if let Some(call) = self.calls.get_mut(&party).filter(|call| call.moving.target == Some(leg)) {
                call.moving.target = None;
            }
        }
    }

    /// A call is over: the part that it plays in transfers.
    pub(super) fn leave_transfers(&mut self, id: CallId) {
        if let Some(leg) = self.calls.get(&id).and_then(|call| call.moving.target)
            && let Some(referral) = self.referral_of(leg)
        {
            if referral.referrer == id {
                // It asked, and hung up: the other one waits alone.
                self.unjoin(id);
                self.free(referral.moved);
                self.let_wait(referral.moved);
            } else {
                self.end_leg(leg, End::HUNG_UP);
            }
        }
        self.target_over(id);
        self.replacement_over(id);
    }

    /// A call is over: so is the one that is tied to it, unless a script or the operator has that.
    pub(super) fn loosen(&mut self, id: CallId) {
        let Some(other) = self.calls.get_mut(&id).and_then(|call| call.moving.tied.take()) else { return };
        let Some(call) = self.calls.get_mut(&other).filter(|call| call.moving.tied == Some(id)) else { return };
        call.moving.tied = None;
        if call.flow.is_none() && call.order.is_none() {
            self.end_leg(other, End::HUNG_UP);
        }
    }

    /// Bridge two calls that had other partners; from now on each lives as long as the other.
    pub(super) fn connect_pair(&mut self, stays: CallId, comes: CallId) {
        for id in [stays, comes] {
            self.unjoin(id);
            self.free(id);
            if let Some(old) = self.calls.get_mut(&id).and_then(|call| call.moving.tied.take())
                && let Some(call) = self.calls.get_mut(&old)
            {
                call.moving.tied = None;
            }
            if let Some((call, core)) = self.call(id) {
                call.hush(core);
            }
        }
        for (id, other) in [(stays, comes), (comes, stays)] {
            if let Some(call) = self.calls.get_mut(&id) {
                call.moving.tied = Some(other);
            }
        }
        self.join(stays, comes, crate::media::Role::Both);
    }

    /// Part two calls of a bridge without anybody's wait being over.
    pub(super) fn unjoin(&mut self, id: CallId) {
        let Some((call, core)) = self.call(id) else { return };
        let Joined::Peer { peer, .. } = call.joined else { return };
        call.leave_bridge(core);
        if let Some((call, core)) = self.call(peer)
            && matches!(call.joined, Joined::Peer { peer, .. } if peer == id)
        {
            call.leave_bridge(core);
        }
    }

    /// Take a leg away from the script that dialled it, so that it outlives the script.
    fn free(&mut self, id: CallId) {
        let Some(call) = self.calls.get(&id) else { return };
        let Some(flow) = call.flow.filter(|flow| self.flows.get(flow).is_none_or(|flow| flow.call != id)) else {
            return;
        };
        let parent = call.parent;
        if let Some(flow) = self.flows.get_mut(&flow) {
            flow.forget(id);
        }
        if let Some(parent) = parent.and_then(|parent| self.calls.get_mut(&parent)) {
            parent.legs.retain(|leg| *leg != id);
        }
        let Some((call, _)) = self.call(id) else { return };
        (call.flow, call.parent) = (None, None);
        let asks = std::mem::take(&mut call.reoffer.asks);
        for ask in asks.into_iter().chain(call.task.take().map(|task| task.ask)) {
            self.reply(ask, Reply::Failed(Failure::HungUp));
        }
    }

    /// Tell the referrer how far the new call is, if it is still there and wants to know.
    fn notify(&mut self, referral: Referral, code: u16) {
        if let Some((call, core)) = self.call(referral.referrer) {
            let by = By::Party;
            match code {
                0..200 => {}
                200..300 => call.happened(core, What::Transferred { by }),
                _ => call.happened(core, What::NotTransferred { by, reason: code.to_string() }),
            }
        }
        if !referral.notify {
            return;
        }
        if let Some((call, core)) = self.call(referral.referrer) {
            call.tell_referrer(core, referral.refer, code);
        }
    }
}

impl Call {
    /// We called it, so we know who it is; or the phone that called proved who it is.
    fn is_trusted(&self) -> bool {
        self.phone.is_some() || self.about.direction == super::Direction::Outbound
    }

    /// The number of the party, to be shown to whom it is connected with.
    fn party_number(&self) -> String {
        match self.about.direction {
            super::Direction::Inbound => self.about.from.clone(),
            super::Direction::Outbound => self.about.to.clone(),
        }
    }

    fn tell_referrer(&mut self, core: &mut Core, refer: u32, code: u16) {
        let State::Talking { dialog, .. } = &mut self.state else { return };
        let request = refer::notify(core, dialog, refer, code);
        let hop = core.in_dialog(dialog);
        self.ask_peer(core, request, hop, Purpose::Notify);
    }
}

/// Referred-By as the target is told it: an address of a machine is hidden behind ours, a name of a domain is not.
fn referrer_at(by: String, own: &NameAddr) -> String {
    match NameAddr::parse(&by) {
        Ok(who) if who.uri.host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok() => {
            let uri = Uri::sip(who.uri.user.as_deref(), own.uri.host.clone(), None);
            NameAddr::new(uri).to_string()
        }
        Ok(_) | Err(_) => by,
    }
}
