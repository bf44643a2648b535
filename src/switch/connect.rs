//! A call that we make: where to, and the INVITE (RFC 3261 section 13.2.1). What comes back to it is in `replied`.
//!
//! One leg may take several tries: each address that the name resolved to (RFC 3263 section 4.3), each target that a
//! 3xx named. All tries share Call-ID and From tag, with a CSeq of their own (RFC 3261 section 8.1.3.4).

use std::collections::VecDeque;

use bytes::Bytes;

use super::{
    Direction, Output,
    call::{About, Call, End, State},
    core::{Core, SDP},
    early::Early,
    outbound::Carrier,
    registrar::Reach,
    target,
};
use crate::{
    ids::QueryId,
    sdp,
    sip::{CSeq, ClientTx, Headers, Hop, Method, NameAddr, Request, Scheme, SessionWish, Target, Uri},
    time::Time,
};

/// What stays the same over all tries of one leg.
pub(super) struct Outgoing {
    pub from: NameAddr,
    /// Header fields of whoever asked for the call.
    pub headers: Vec<(String, String)>,
    /// Targets that are not tried yet.
    pub targets: VecDeque<Uri>,
    /// How many more a 3xx may add.
    pub redirects: usize,
    /// When ringing ends.
    pub give_up: Time,
    pub cseq: u32,
    /// The session timer that is asked for.
    pub session: SessionWish,
    /// The best answer so far.
    pub failed: Option<End>,
    /// Some target rang.
    pub rang: bool,
    /// Its way over carriers.
    pub carrier: Carrier,
    /// How to get to the first target, where that is a phone of ours.
    pub reach: Option<Reach>,
}

/// The name is being looked up, or the port opened.
pub(super) struct Locating {
    pub outgoing: Outgoing,
    pub uri: Uri,
    /// Where the target is, best first.
    pub places: VecDeque<Target>,
    pub query: Option<QueryId>,
}

/// The INVITE is out.
pub(super) struct Inviting {
    pub outgoing: Outgoing,
    pub uri: Uri,
    pub places: VecDeque<Target>,
    pub tx: ClientTx,
    pub request: Request,
    pub hop: Hop,
    /// Absent where the media do not come to us.
    pub offer: Option<(sdp::Session, sdp::Local)>,
    /// The dialogs that forks made so far.
    pub earlies: Vec<Early>,
    /// The early dialog whose session description is in force, by the peer's tag.
    pub early: Option<String>,
    /// Nobody said anything yet, or nothing but 100: then the next place has its turn, where there is one.
    pub silent: Option<Time>,
    /// Somebody said 100.
    pub trying: bool,
    /// The call is over and the INVITE cancelled; after this moment no more answer is waited for.
    pub canceled: Option<Time>,
}

impl Outgoing {
    /// The way to `place`: the one that the phone registered by, else the first that leads there.
    pub fn hop(&self, core: &Core, place: Target) -> Option<Hop> {
        let known = self.reach.as_ref().and_then(|reach| reach.hop);
        let known = known.filter(|hop| hop.remote == place.address && hop.transport == place.transport);
        known.or_else(|| target::hop(&core.config.sip, place))
    }

    /// How records name whom it is to reach: the number, else what the first target says.
    fn shown(&self) -> String {
        let number = self.carrier.ways.front().map(|way| way.number.to_string());
        number.or_else(|| self.targets.front().map(target::shown)).unwrap_or_default()
    }
}

impl Locating {
    /// When something is due: while it waits for its turn, it does not ring.
    pub fn timeout(&self) -> Time {
        self.outgoing.carrier.turn.timeout().unwrap_or(self.outgoing.give_up)
    }
}

impl Inviting {
    pub fn request(&self) -> &Request {
        &self.request
    }

    pub fn hop(&self) -> Hop {
        self.hop
    }

    /// The answer to our offer is here, from the fork with this tag.
    pub fn has_answer_of(&self, tag: Option<&str>) -> bool {
        self.early.is_some() && self.early.as_deref() == tag
    }

    pub fn timeout(&self) -> Time {
        let last = self.canceled.unwrap_or(self.outgoing.give_up);
        self.silent.map_or(last, |silent| silent.min(last))
    }
}

impl Call {
    /// A new leg to the targets of `outgoing`. Its first steps are taken by [`Call::locate`].
    pub fn outgoing(core: &mut Core, outgoing: Outgoing) -> Call {
        let tag = outgoing.from.tag().unwrap_or_default().to_owned();
        let about = About::new(Direction::Outbound, &outgoing.from.uri, outgoing.shown(), core.now);
        let key = (core.stack.new_call_id(), tag);
        let uri = Uri::sip(None, "invalid", None);
        let locating = Locating { outgoing, uri, places: VecDeque::new(), query: None };
        Call::new(core, key, about, State::Locating(Box::new(locating)))
    }

    /// Turn to the next target.
    pub fn locate(&mut self, core: &mut Core) {
        let State::Locating(locating) = &mut self.state else { return };
        let next = locating.outgoing.targets.pop_front().or_else(|| self.next_way(core));
        if next.is_none() && self.wait_for_turn(core) {
            return;
        }
        let State::Locating(locating) = &mut self.state else { return };
        let Some(uri) = next else {
            let end = locating.outgoing.failed.take().unwrap_or(End::UNREACHABLE);
            let code = end.code;
            return self.decide_gone_with(core, end, Some(code));
        };
        // The reach is that of the first target; what a 3xx names is elsewhere.
        if locating.outgoing.cseq > 0 {
            locating.outgoing.reach = None;
        }
        let place = match locating.outgoing.reach.as_ref().and_then(|reach| reach.hop) {
            Some(hop) => Ok(target::Place::At(Target { transport: hop.transport, address: hop.remote })),
            None => target::locate(&uri),
        };
        locating.uri = uri;
        locating.places.clear();
        match place {
            Ok(target::Place::At(place)) => {
                locating.places.push_back(place);
                self.try_next(core);
            }
            Ok(target::Place::Named { host, port, transport, secure }) => {
                let query = QueryId(core.id());
                locating.query = Some(query);
                core.queries.insert(query, self.id);
                core.out.push_back(Output::Resolve { query, host, port, transport, secure });
            }
            Err(why) => self.target_failed(core, End::UNREACHABLE, why),
        }
    }

    /// Nothing came of this target.
    pub fn target_failed(&mut self, core: &mut Core, end: End, why: &str) {
        tracing::info!(call = %self.name, why, "target failed");
        if let State::Locating(locating) = &mut self.state {
            self.about.error = Some(why.to_owned());
            locating.outgoing.failed.get_or_insert(end);
        }
        self.locate(core);
    }

    /// Go to the next address of the target: open the port where there is none yet, else send the INVITE.
    pub fn try_next(&mut self, core: &mut Core) {
        let State::Locating(locating) = &mut self.state else { return };
        let family = self.port.open().map(|open| open.address.is_ipv6());
        while let Some(place) = locating.places.pop_front() {
            let fits = family.is_none_or(|v6| v6 == place.address.is_ipv6());
            let Some(hop) = locating.outgoing.hop(core, place).filter(|_| fits) else { continue };
            locating.places.push_front(place);
            return match self.port.open() {
                Some(_) => self.invite(core),
                None if self.direct.is_some() => self.invite(core),
                None if self.siprec.is_some() => self.open_mouths(core, hop, place.address.is_ipv6()),
                None => self.open_port(core, hop, place.address.is_ipv6()),
            };
        }
        self.target_failed(core, End::UNREACHABLE, "no interface reaches the target's addresses");
    }

    /// The port is open: send the INVITE to the first address.
    pub fn invite(&mut self, core: &mut Core) {
        let local = self.local(core);
        if local.is_none() && self.direct.is_none() {
            return;
        }
        if let Some(why) = self.refuse_to_offer_fax(core) {
            return self.decide_gone(core, End::media(why));
        }
        let described = local.map(|local| (self.fax.invitation(&local).unwrap_or_else(|| sdp::offer(&local)), local));
        if let Some((offer, local)) = &described
            && !offer.is_fax()
        {
            self.expect_security(core, local);
        }
        let State::Locating(locating) = self.enter(State::Gone) else { return };
        let Locating { mut outgoing, uri, mut places, .. } = *locating;
        let Some(hop) = places.pop_front().and_then(|place| outgoing.hop(core, place)) else {
            let locating = Locating { outgoing, uri, places, query: None };
            self.enter(State::Locating(Box::new(locating)));
            return self.target_failed(core, End::UNREACHABLE, "no interface reaches the target's addresses");
        };
        outgoing.cseq += 1;
        let told = self.direct.as_ref().map(|direct| direct.ours.clone()).unwrap_or_default();
        let body = described.as_ref().map_or(told, |(offer, _)| offer.to_string().into());
        let mut request = self.invitation(core, &outgoing, &uri, hop, body);
        self.sign(core, &mut request);
        self.about.peer = Some(hop.remote);
        let tx = core.request(self.id, request.clone(), hop);
        let (early, earlies, canceled) = (None, Vec::new(), None);
        let silent = Some(core.now + core.config.limits.silent);
        let inviting = Inviting {
            outgoing,
            uri,
            places,
            tx,
            request,
            hop,
            offer: described,
            earlies,
            early,
            silent,
            trying: false,
            canceled,
        };
        self.enter(State::Inviting(Box::new(inviting)));
    }

    fn invitation(&self, core: &Core, outgoing: &Outgoing, uri: &Uri, hop: Hop, body: Bytes) -> Request {
        let cseq = CSeq { number: outgoing.cseq, method: Method::Invite };
        let to = NameAddr::new(target::bare(uri));
        let mut headers = Headers::new(outgoing.from.clone(), to, self.key.0.clone(), cseq);
        // The address of another interface of ours is nobody's business on this one.
        let own = core.contact(hop);
        headers.from.uri.host.clone_from(&own.uri.host);
        core.introduce_for(&mut headers, hop, uri.scheme == Scheme::Sips);
        outgoing.session.ask(&mut headers);
        if core.config.rules.reliable {
            headers.push("Supported", "100rel");
        }
        headers.set("Content-Type", SDP);
        for route in outgoing.reach.iter().flat_map(|reach| &reach.route) {
            headers.push("Route", route.as_str());
        }
        for (name, value) in &outgoing.headers {
            headers.push(name, value.as_str());
        }
        outgoing.carrier.dress(core, &own, &mut headers);
        let mut request = Request { method: Method::Invite, uri: uri.clone(), headers, body };
        if let Some(siprec) = &self.siprec {
            siprec.dress(&self.name, &mut request);
        }
        request
    }

    /// Ringing took too long, or the answer to a CANCEL.
    pub fn invite_timeout(&mut self, core: &mut Core) {
        let State::Inviting(inviting) = &self.state else { return };
        if inviting.timeout() > core.now {
            return;
        }
        if inviting.silent.is_some_and(|silent| silent <= core.now) {
            return self.leave_silent(core);
        }
        match inviting.canceled {
            None => self.hang_up(core, End::NO_ANSWER),
            Some(_) => {
                core.transactions.remove(&inviting.tx);
                self.enter(State::Gone);
            }
        }
    }

    /// CANCEL the INVITE (RFC 3261 section 9.1): its answer is still waited for, for 64*T1.
    pub fn cancel_invite(&mut self, core: &mut Core, reason: Option<&str>) {
        let until = core.now + 65 * core.config.sip.t1;
        if let State::Inviting(inviting) = &mut self.state
            && inviting.canceled.is_none()
        {
            inviting.canceled = Some(until);
            inviting.silent = None;
            core.stack.cancel(core.now, inviting.tx, reason);
        }
    }
}
