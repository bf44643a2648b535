//! Where a dialled target leads: to an address, or to a number that goes over carriers, one after another until one
//! takes the call. Which of both may be dialled is the operator's to say; what is not allowed is denied.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use super::{
    ConsoleReply, TraceEvent,
    call::{Call, End, State},
    core::Core,
    queued::Turn,
    registrar::Reach,
    trunk::{self, Alarm, Caller, Counted, Denied, Full, Ticket, Trunk, Way},
};
use crate::{
    audio::g729,
    codec::Codec,
    ids::CallId,
    sip::{Headers, NameAddr, Request, Response, Uri},
    verbs::Failure,
};

/// Challenges of one carrier that are answered for one call.
const PROOFS: u8 = 4;

/// Where a target leads.
pub(super) struct Plan {
    /// Addresses to try at once or after another.
    pub targets: VecDeque<Uri>,
    /// The carriers to try, best first.
    pub ways: VecDeque<Way>,
    /// The device of a phone of ours.
    pub phone: Option<(Arc<str>, Reach)>,
}

impl Plan {
    /// To a device of the phone with this user.
    pub fn to_phone(user: Arc<str>, reach: Reach) -> Plan {
        Plan { targets: VecDeque::from([reach.uri.clone()]), ways: VecDeque::new(), phone: Some((user, reach)) }
    }

    /// The call passes every limit.
    pub fn is_emergency(&self) -> bool {
        self.ways.front().is_some_and(|way| way.emergency)
    }
}

/// A call's way over carriers: part of its INVITE's state.
#[derive(Default)]
pub(super) struct Carrier {
    /// The ways that are not tried yet.
    pub ways: VecDeque<Way>,
    /// The way at hand; absent: the call goes over no carrier.
    pub now: Option<Way>,
    /// Who stands behind the call.
    pub caller: Caller,
    /// Challenges of the carrier at hand that were answered.
    proofs: u8,
    /// Where every way is full.
    pub turn: Turn,
}

impl Carrier {
    pub fn new(ways: VecDeque<Way>, caller: Caller) -> Carrier {
        Carrier { ways, caller, ..Carrier::default() }
    }
}

/// The carrier that a call is with, or was with at last.
pub(super) struct OnTrunk {
    pub name: Arc<str>,
    /// It counts among the carrier's calls.
    counted: bool,
    /// Its place in the counts of the caps.
    ticket: Option<Ticket>,
    /// What it has cost, in millionths; absent: nobody counts, or not yet.
    pub cost: Option<u64>,
}

impl OnTrunk {
    fn new(name: &Arc<str>, ticket: Option<Ticket>) -> OnTrunk {
        OnTrunk { name: name.clone(), counted: true, ticket, cost: None }
    }
}

impl Core {
    /// Where `target` leads: a `sip:` address as it stands, a `tel:` address or a bare number over carriers.
    pub fn plan(&mut self, target: &str) -> Result<Plan, Failure> {
        let scheme = target.split_once(':').map(|(scheme, _)| scheme.to_ascii_lowercase());
        let number = match scheme.as_deref() {
            Some("tel") => {
                let uri = Uri::parse(target).map_err(|_| Failure::Unreachable)?;
                let separators = ['-', '.', '(', ')'];
                uri.user.unwrap_or_default().replace(separators, "")
            }
            Some(_) if self.config.trunking.outbound.allow_uris => {
                let uri = Uri::parse(target).map_err(|_| Failure::Unreachable)?;
                return Ok(Plan { targets: VecDeque::from([uri]), ways: VecDeque::new(), phone: None });
            }
            Some(_) => return Err(Failure::Denied("outbound.allow_uris is false")),
            None => target.to_owned(),
        };
        let mut seed = self.random();
        let chance = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            seed >> 33
        };
        match trunk::ways(&self.config.trunking, &number, chance) {
            Ok(mut ways) => {
                // Nobody is left out because he did not answer a moment ago, but others are asked first.
                ways.sort_by_key(|way| self.links.is_down(&way.trunk, way.target));
                Ok(Plan { targets: VecDeque::new(), ways: ways.into(), phone: None })
            }
            Err(denied @ (Denied::NoRule | Denied::Forbidden)) => {
                tracing::warn!(number, why = denied.as_str(), "outgoing call denied");
                Err(Failure::Denied(denied.as_str()))
            }
            Err(Denied::NoTarget | Denied::NoNumber) => Err(Failure::Unreachable),
        }
    }
}

impl Call {
    /// An INVITE came, perhaps from a carrier, where it counts already: its numbers become ours.
    pub fn remember_caller(&mut self, core: &mut Core, trunk: Option<&Trunk>) {
        if core.config.trunking.trunks.is_empty() {
            return; // No call goes where it could matter.
        }
        let Some(invite) = self.invite_request() else { return };
        let mut caller = Caller::of(invite, trunk.is_some_and(|trunk| trunk.trusted));
        if let Some(trunk) = trunk {
            let called = trunk.called(&self.about.to, &invite.headers.to.uri);
            caller.number = trunk.caller(&caller.number);
            let known = !caller.private && !caller.number.is_empty();
            self.about.from = if known { caller.number.clone() } else { "anonymous".to_owned() };
            self.about.to = called;
            self.trunk = Some(OnTrunk::new(&trunk.name, None));
            core.trace(self.id, TraceEvent::Call(format!("from trunk {}", trunk.name)));
        }
        caller.dialled.clone_from(&self.about.to);
        self.caller = Some(Box::new(caller));
    }

    /// Who stands behind the calls that this one makes; `shown`: the number that it wants to show.
    pub fn caller(&self, core: &Core, shown: Option<&str>) -> Caller {
        let mut caller = self.caller.as_deref().cloned().unwrap_or_default();
        caller.formats = self.only_relayed(core);
        caller.account = self.phone.as_deref().unwrap_or(&self.about.from).to_owned();
        if caller.number.is_empty() && !caller.private {
            caller.number.clone_from(&self.about.from);
        }
        if let Some(shown) = shown {
            caller.private = shown.eq_ignore_ascii_case("anonymous");
            caller.display.clear();
            if !caller.private {
                caller.number = shown.to_owned();
            }
        }
        caller
    }

    /// The codecs that this call offers and takes: those that the other party speaks come first, in its order.
    pub fn codecs(&self, core: &Core) -> Vec<Codec> {
        let trunk = self.trunk.as_ref().and_then(|on| core.config.trunking.trunk(&on.name));
        let mut codecs = match trunk {
            Some(trunk) if !trunk.codecs.is_empty() => trunk.codecs.clone(),
            Some(_) | None => core.config.codecs.clone(),
        };
        codecs.retain(|codec| *codec != Codec::G729 || g729::is_there());
        if !self.dearest.is_empty() {
            let place = |codec: &Codec| self.dearest.iter().position(|dear| dear == codec).unwrap_or(usize::MAX);
            codecs.sort_by_key(place);
        }
        codecs
    }

    /// Leave the carrier at hand, and turn to the next one that takes the call. None: none is left.
    pub fn next_way(&mut self, core: &mut Core) -> Option<Uri> {
        loop {
            let State::Locating(locating) = &mut self.state else { return None };
            let way = locating.outgoing.carrier.ways.pop_front()?;
            let uri = way.uri.clone();
            let account = locating.outgoing.carrier.caller.account.clone();
            let stays = self.trunk.as_ref().is_some_and(|on| on.counted && on.name == way.trunk);
            if !stays {
                self.withdraw(core);
                match core.enter_trunk(self.id, &way, &account) {
                    Ok(ticket) => {
                        self.trunk = Some(OnTrunk::new(&way.trunk, ticket));
                        self.has_turn(core);
                    }
                    Err(full) => {
                        self.skip_way(core, &way, full);
                        continue;
                    }
                }
            }
            tracing::info!(call = %self.name, trunk = &*way.trunk, to = %uri, "goes over trunk");
            core.trace(self.id, TraceEvent::Call(format!("over trunk {} to {uri}", way.trunk)));
            if let State::Locating(locating) = &mut self.state {
                locating.outgoing.carrier.now = Some(way);
                locating.outgoing.carrier.proofs = 0;
            }
            return Some(uri);
        }
    }

    fn skip_way(&mut self, core: &mut Core, way: &Way, full: Full) {
        tracing::info!(call = %self.name, trunk = &*way.trunk, why = full.as_str(), "trunk takes no call");
        core.trace(self.id, TraceEvent::Call(format!("not over trunk {}: {}", way.trunk, full.as_str())));
        let patience = core.config.trunking.trunk(&way.trunk).map_or(Duration::ZERO, |trunk| trunk.queue);
        if let State::Locating(locating) = &mut self.state {
            let end = End { failure: Failure::Limit(full.as_str()), ..End::UNREACHABLE };
            locating.outgoing.failed.get_or_insert(end);
            locating.outgoing.carrier.turn.note(core.now, patience, way, full);
        }
    }

    /// The carrier's party answered: the call costs from now on.
    pub fn trunk_answered(&mut self, core: &mut Core) {
        if let Some(ticket) = self.trunk.as_mut().and_then(|on| on.ticket.as_mut()) {
            core.counts.answered(&core.config.trunking.outbound.caps, core.now, ticket);
        }
    }

    /// The call goes elsewhere, before anybody answered.
    fn withdraw(&mut self, core: &mut Core) {
        let Some(ticket) = self.trunk.as_mut().and_then(|on| on.ticket.take()) else { return self.leave_trunk(core) };
        core.counts.withdrawn(ticket);
        self.leave_trunk(core);
    }

    /// The call is over, and no longer counts among its carrier's calls.
    pub fn leave_trunk(&mut self, core: &mut Core) {
        let Some(on) = &mut self.trunk else { return };
        if std::mem::replace(&mut on.counted, false) {
            core.trunks.leave(&on.name);
            core.call_next(&on.name);
        }
        if let Some(ticket) = on.ticket.take() {
            let mut alarms = Vec::new();
            let caps = &core.config.trunking.outbound.caps;
            on.cost = Some(core.counts.ended(caps, core.now, ticket, &mut alarms));
            alarms.into_iter().for_each(|alarm| core.raise(self.id, alarm));
        }
    }
}

impl Core {
    /// A call of `account`'s begins over the carrier of `way`.
    pub fn enter_trunk(&mut self, call: CallId, way: &Way, account: &str) -> Result<Option<Ticket>, Full> {
        let trunking = &self.config.trunking;
        let Some(trunk) = trunking.trunk(&way.trunk) else { return Err(Full::Gone) };
        if !way.emergency && self.lines.has_others_before(&way.trunk, call) {
            return Err(Full::Calls);
        }
        let counted = Counted { number: &way.number, trunk: &way.trunk, caller: account, price: way.price };
        let mut alarms = Vec::new();
        let caps = if way.emergency { &[][..] } else { &trunking.outbound.caps };
        let admitted = self.counts.admit(caps, self.now, counted, &mut alarms);
        let entered = match admitted {
            Err(_) => Err(Full::Cap),
            Ok(ticket) => match self.trunks.enter(trunk, self.now, way.emergency) {
                Ok(()) => Ok(Some(ticket)),
                Err(full) => {
                    self.counts.withdrawn(ticket);
                    Err(full)
                }
            },
        };
        alarms.into_iter().for_each(|alarm| self.raise(call, alarm));
        entered
    }

    /// Tell the operator that a cap is used up so far.
    fn raise(&mut self, call: CallId, alarm: Alarm) {
        let Alarm { cap, who, calls, spent, denied } = &alarm;
        tracing::warn!(cap, who, calls, spent, denied, "outbound cap");
        self.trace(call, TraceEvent::Call(format!("outbound cap {cap}: {calls} calls, denied: {denied}")));
        self.console(ConsoleReply::Alarm(alarm));
    }
}

impl Carrier {
    /// True where an INVITE that failed with `code` is to be tried with the next carrier.
    pub fn goes_on(&self, core: &Core, code: u16, rang: bool) -> bool {
        let left = !self.ways.is_empty() && core.config.trunking.outbound.next_on.contains(&code);
        left && !(rang && matches!(code, 408 | 480))
    }

    /// `invite` with the answer to the challenge of the carrier at hand, where we are known to it.
    pub fn prove(&mut self, core: &mut Core, invite: &Request, response: &Response) -> Option<Request> {
        let way = self.now.as_ref().filter(|_| self.proofs < PROOFS)?;
        let again = core.prove(&way.trunk, invite, response)?;
        self.proofs += 1;
        Some(again)
    }

    /// Make the INVITE what the carrier at hand wants to see; `own`: how it reaches us.
    pub fn dress(&self, core: &Core, own: &NameAddr, headers: &mut Headers) {
        let Some(way) = &self.now else { return };
        let Some(trunk) = core.config.trunking.trunk(&way.trunk) else { return };
        trunk::dress(trunk, &self.caller, own, &way.uri, headers);
    }
}
