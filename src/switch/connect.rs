//! A call that we make: where to, the INVITE, its early dialogs, the answer or the failure (RFC 3261 section 13.2).
//!
//! One leg may take several tries: each address that the name resolved to (RFC 3263 section 4.3), each target that a
//! 3xx named. All tries share Call-ID and From tag, with a CSeq of their own (RFC 3261 section 8.1.3.4). Of several
//! forks that answer, the first one stays; the others get ACK and BYE (section 13.2.2.4).

use std::collections::VecDeque;

use bytes::Bytes;

use super::{
    Direction, Output,
    accept::description,
    call::{About, Call, End, Notice, State},
    core::{Core, SDP},
    early::Early,
    outbound::Carrier,
    registrar::Reach,
    target,
};
use crate::{
    ids::QueryId,
    sdp,
    sip::{
        CSeq, ClientTx, Dialog, Failure as TxFailure, Headers, Hop, Method, NameAddr, Request, Response, Scheme,
        SessionTimer, SessionWish, Target, Uri, least_session,
    },
    time::Time,
};

/// Forks of one INVITE that are remembered.
const FORKS: usize = 16;

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
    offer: Option<(sdp::Session, sdp::Local)>,
    /// The dialogs that forks made so far.
    pub earlies: Vec<Early>,
    /// The early dialog whose session description is in force, by the peer's tag.
    early: Option<String>,
    /// Nobody said anything yet, or nothing but 100: then the next place has its turn, where there is one.
    pub silent: Option<Time>,
    /// Somebody said 100.
    pub trying: bool,
    /// The call is over and the INVITE cancelled; after this moment no more answer is waited for.
    canceled: Option<Time>,
}

/// An INVITE that was answered, with the ACK of each fork by the peer's tag.
pub(super) struct Sent {
    pub tx: ClientTx,
    request: Request,
    hop: Hop,
    acks: Vec<(String, Request, Hop)>,
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

impl Sent {
    /// An INVITE that may still be answered.
    pub fn new(tx: ClientTx, request: Request, hop: Hop) -> Sent {
        Sent { tx, request, hop, acks: Vec::new() }
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
        let about = About {
            parent: None,
            direction: Direction::Outbound,
            from: outgoing.from.uri.user_decoded().unwrap_or_else(|| "anonymous".to_owned()),
            to: outgoing.shown(),
            peer: None,
            started: core.now,
            answered: None,
            script: None,
            vars: Default::default(),
            files: Vec::new(),
            error: None,
        };
        let key = (core.stack.new_call_id(), tag);
        let uri = Uri::sip(None, "invalid", None);
        let locating = Locating { outgoing, uri, places: VecDeque::new(), query: None };
        Call::new(core, key, about, State::Locating(Box::new(locating)))
    }

    /// Turn to the next target.
    pub fn locate(&mut self, core: &mut Core) {
        let State::Locating(locating) = &mut self.state else { return };
        let next = locating.outgoing.targets.pop_front().or_else(|| self.next_way(core));
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
        if let Some(local) = &local {
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
        let offer = local.map(|local| (sdp::offer(&local), local));
        let told = self.direct.as_ref().map(|direct| direct.ours.clone()).unwrap_or_default();
        let body = offer.as_ref().map_or(told, |(offer, _)| offer.to_string().into());
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
            offer,
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
        Request { method: Method::Invite, uri: uri.clone(), headers, body }
    }

    /// An answer to our INVITE.
    pub fn handle_invite_response(&mut self, core: &mut Core, tx: ClientTx, response: &Response) {
        self.hear(core, tx, response.code);
        match &self.state {
            State::Inviting(inviting) if inviting.tx == tx => match response.code {
                0..=100 => {}
                101..=199 => self.provisional(core, response),
                200..=299 => self.accepted(core, response),
                300..=399 => self.redirected(core, tx, response),
                401 | 407 if self.prove(core, tx, response) => {}
                422 => self.too_brief(core, tx, response),
                code => {
                    self.hear_reason(&response.headers);
                    self.refused(core, tx, code);
                }
            },
            State::Inviting(_)
            | State::Incoming(_)
            | State::Accepting(_)
            | State::Locating(_)
            | State::Talking { .. }
            | State::Gone => {
                if let Some(sent) = self.sent.as_mut().filter(|sent| sent.tx == tx) {
                    sent.answer_again(core, response);
                }
            }
        }
    }

    fn provisional(&mut self, core: &mut Core, response: &Response) {
        if !self.learn_early(core, response) {
            return;
        }
        self.learn_peer(&response.headers);
        let State::Inviting(inviting) = &mut self.state else { return };
        if inviting.canceled.is_some() {
            return;
        }
        inviting.outgoing.rang = true;
        if response.code == 180 {
            core.tell(self.id, Notice::Ringing);
        }
        if self.hear_early(core, response) {
            return;
        }
        let State::Inviting(inviting) = &mut self.state else { return };
        if inviting.early.is_some() {
            return; // The first fork that describes its media is the one that is heard.
        }
        let Ok(Some(answer)) = description(&response.headers, &response.body) else { return };
        let Some((offer, local)) = &inviting.offer else { return };
        if let Ok(agreed) = sdp::accept(offer, &answer, local) {
            inviting.early = Some(response.headers.to.tag().unwrap_or_default().to_owned());
            self.agree(core, agreed);
            core.tell(self.id, Notice::EarlyMedia);
        }
    }

    fn accepted(&mut self, core: &mut Core, response: &Response) {
        let State::Inviting(inviting) = self.enter(State::Gone) else { return };
        let Inviting { tx, request, hop, offer, earlies, early, canceled, .. } = *inviting;
        let mut sent = Sent::new(tx, request, hop);
        let dialog = sent.acknowledge(core, response);
        self.sent = Some(sent);
        let Some(mut dialog) = dialog else { return self.decide(core, End::BROKEN, Some(response.code)) };
        Call::go_on_from(&earlies, &mut dialog);
        self.enter(State::Talking { dialog: Box::new(dialog), reinvite: None });
        if canceled.is_some() {
            return self.say_bye(core);
        }
        self.learn_peer(&response.headers);
        self.session = SessionTimer::uac(core.now, &response.headers);
        self.about.answered = Some(core.now);
        self.trunk_answered(core);
        self.about.error = None;
        let Some(offer) = offer else { return self.hear_answer(core, response) };
        let agreed = match description(&response.headers, &response.body) {
            Ok(Some(answer)) => sdp::accept(&offer.0, &answer, &offer.1).map(Some).map_err(|r| r.to_string()),
            // An answer that came in this dialog's 18x stands.
            Ok(None) if early.as_deref() == Some(response.headers.to.tag().unwrap_or_default()) => Ok(None),
            Ok(None) => Err("the answer has no session description".to_owned()),
            Err(bad) => Err(bad.why),
        };
        match agreed {
            Ok(agreed) => {
                if let Some(agreed) = agreed {
                    self.agree(core, agreed);
                }
                core.tell(self.id, Notice::Answered);
            }
            Err(why) => {
                self.about.error = Some(why.clone());
                self.hang_up(core, End::media(why));
            }
        }
    }

    /// The target wants the session to be refreshed less often: ask again, once (RFC 4028 section 7.3).
    fn too_brief(&mut self, core: &mut Core, tx: ClientTx, response: &Response) {
        let State::Inviting(inviting) = &mut self.state else { return };
        let wish = &mut inviting.outgoing.session;
        let least = least_session(&response.headers).filter(|least| *least > wish.min && !wish.expires.is_zero());
        let Some(least) = least.filter(|_| inviting.canceled.is_none()) else {
            return self.refused(core, tx, response.code);
        };
        wish.min = least;
        core.transactions.remove(&tx);
        let State::Inviting(inviting) = self.enter(State::Gone) else { return };
        let Inviting { outgoing, uri, mut places, hop, .. } = *inviting;
        places.push_front(Target { transport: hop.transport, address: hop.remote });
        self.enter(State::Locating(Box::new(Locating { outgoing, uri, places, query: None })));
        self.invite(core);
    }

    fn redirected(&mut self, core: &mut Core, tx: ClientTx, response: &Response) {
        if let State::Inviting(inviting) = &mut self.state {
            let outgoing = &mut inviting.outgoing;
            let contacts = response.headers.all("Contact").filter_map(|c| NameAddr::parse(c).ok());
            for contact in contacts.take(outgoing.redirects).collect::<Vec<_>>() {
                outgoing.redirects -= 1;
                tracing::info!(call = %self.name, to = %contact.uri, "redirected");
                outgoing.targets.push_back(contact.uri);
            }
        }
        self.refused(core, tx, response.code);
    }

    /// The carrier wants to know who we are: send the INVITE again with an answer. False: there is none.
    fn prove(&mut self, core: &mut Core, tx: ClientTx, response: &Response) -> bool {
        let State::Inviting(inviting) = &mut self.state else { return false };
        if inviting.canceled.is_some() {
            return false;
        }
        let Some(again) = inviting.outgoing.carrier.prove(core, &inviting.request, response) else { return false };
        core.transactions.remove(&tx);
        inviting.outgoing.cseq = again.headers.cseq.number;
        inviting.tx = core.request(self.id, again.clone(), inviting.hop);
        inviting.request = again;
        (inviting.silent, inviting.trying) = (Some(core.now + core.config.limits.silent), false);
        true
    }

    /// The INVITE failed with this code: another address, another target, or the end.
    fn refused(&mut self, core: &mut Core, tx: ClientTx, code: u16) {
        core.transactions.remove(&tx);
        let State::Inviting(inviting) = self.enter(State::Gone) else { return };
        if inviting.canceled.is_some() {
            return;
        }
        let Inviting { mut outgoing, uri, places, .. } = *inviting;
        let elsewhere = code == 503 && !places.is_empty();
        let end = End::refused(code, outgoing.rang);
        let onward = outgoing.carrier.goes_on(core, code, outgoing.rang);
        if !elsewhere && !onward {
            outgoing.carrier.ways.clear();
        }
        let stop = code >= 600 || (!elsewhere && !onward && outgoing.targets.is_empty());
        if stop {
            return self.decide(core, end, Some(code));
        }
        outgoing.failed = Some(end);
        self.enter(State::Locating(Box::new(Locating { outgoing, uri, places, query: None })));
        if elsewhere { self.try_next(core) } else { self.locate(core) }
    }

    /// No answer will come to our INVITE.
    pub fn handle_invite_failed(&mut self, core: &mut Core, tx: ClientTx, why: TxFailure) {
        if !matches!(&self.state, State::Inviting(inviting) if inviting.tx == tx) {
            return;
        }
        self.place_failed(core);
        self.about.error = Some(match why {
            TxFailure::TimedOut => "the INVITE got no answer".to_owned(),
            TxFailure::Transport => "the INVITE could not be delivered".to_owned(),
        });
        match why {
            // As good as 503, so that another address is tried in both cases (RFC 3263 section 4.3).
            TxFailure::Transport => self.refused(core, tx, 503),
            TxFailure::TimedOut => {
                let rest = matches!(&self.state, State::Inviting(inviting) if !inviting.places.is_empty());
                self.refused(core, tx, if rest { 503 } else { 408 });
            }
        }
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

impl Sent {
    /// A re-INVITE that was answered and acknowledged with `ack`.
    pub fn acknowledged(tx: ClientTx, request: Request, hop: Hop, ack: (String, Request, Hop)) -> Sent {
        Sent { tx, request, hop, acks: vec![ack] }
    }

    /// A 2xx after the first one: the same again, or that of another fork, which is ended.
    pub fn answer_again(&mut self, core: &mut Core, response: &Response) {
        if !(200..300).contains(&response.code) {
            return;
        }
        let tag = response.headers.to.tag().unwrap_or_default();
        if let Some((_, ack, hop)) = self.acks.iter().find(|(known, ..)| known == tag) {
            return core.stack.send_ack(core.now, ack.clone(), *hop);
        }
        if let Some(mut dialog) = self.acknowledge(core, response) {
            let bye = dialog.request(Method::Bye, &core.contact(self.hop));
            let hop = core.in_dialog(&dialog);
            core.stack.request(core.now, bye, hop);
        }
    }

    /// ACK a fork's first 2xx. None: it makes no dialog, or there are too many.
    fn acknowledge(&mut self, core: &mut Core, response: &Response) -> Option<Dialog> {
        let dialog = Dialog::uac(&self.request, response, self.hop).ok().filter(|_| self.acks.len() < FORKS)?;
        let (ack, hop) = (dialog.ack(self.request.headers.cseq.number), core.in_dialog(&dialog));
        core.stack.send_ack(core.now, ack.clone(), hop);
        let tag = response.headers.to.tag().unwrap_or_default().to_owned();
        self.acks.push((tag, ack, hop));
        Some(dialog)
    }
}
