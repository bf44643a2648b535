//! An INVITE that came in: how it becomes a call, what is read of its offer, and how it is refused (RFC 3261 section
//! 13.3.1). What its caller is told before the answer is in `provisional`, the answer in `accept`.

use super::{
    Direction, TraceEvent,
    accept::{description, number, warning},
    call::{About, Call, End, State},
    core::{Core, SDP},
    direct::Direct,
    provisional::{Told, Wish},
    session::takes_update,
};
use crate::{
    codec::Codec,
    sdp,
    sip::{Dialog, Hop, Reliable, Request, Response, Scheme, ServerTx},
    time::Time,
    verbs::Failure,
};

pub(super) struct Incoming {
    pub tx: ServerTx,
    pub request: Request,
    pub dialog: Box<Dialog>,
    pub offer: Option<sdp::Session>,
    /// Provisional answers that wait for a PRACK.
    pub reliable: Option<Reliable>,
    /// The caller demands that all of them do.
    pub reliable_all: bool,
    /// What the caller knows so far.
    pub told: Told,
    /// What is to be done as soon as the port is open.
    pub wish: Wish,
    /// When it gets 480.
    pub give_up: Time,
}

impl Incoming {
    pub fn has_early_media(&self) -> bool {
        matches!(self.told, Told::EarlyMedia { .. })
    }

    /// Our offer waits for its PRACK.
    pub fn has_offered(&self) -> bool {
        matches!(self.told, Told::Offered(_))
    }

    /// The caller was told that it rings.
    pub fn rings(&self) -> bool {
        match self.told {
            Told::Nothing => false,
            Told::Ringing | Told::Offered(_) | Told::EarlyMedia { .. } => true,
        }
    }

    pub fn dialog(&mut self) -> &mut Dialog {
        &mut self.dialog
    }

    pub fn forget_wish(&mut self) {
        self.wish = Wish::Nothing;
    }

    /// A response within our dialog, with a session description where there is one.
    pub fn response(&self, core: &Core, code: u16, body: Option<&str>) -> Response {
        let mut response = self.request.response(code, None);
        if let Some(tag) = self.dialog.local.tag() {
            response.headers.to.set_tag(tag);
        }
        // Of RFC 3261 section 12.1.1: the Request-URI, else the Record-Route, else the Contact.
        let sips = [&self.request.uri, &self.dialog.next_hop_uri()].iter().any(|uri| uri.scheme == Scheme::Sips);
        core.introduce_for(&mut response.headers, self.dialog.hop, sips);
        if let Some(body) = body {
            response.headers.set("Content-Type", SDP);
            response.body = body.to_owned().into();
        }
        response
    }
}

impl Call {
    /// A call out of an INVITE. None: it could form no dialog, and is answered.
    pub fn incoming(core: &mut Core, tx: ServerTx, hop: Hop, request: Request) -> Option<Call> {
        let tag = core.stack.new_tag();
        let dialog = match Dialog::uas(&request, hop, &tag) {
            Ok(dialog) => Box::new(dialog),
            Err(bad) => {
                core.answer(tx, &request, 400, &[("Warning", &warning(&bad.what))]);
                return None;
            }
        };
        core.carries(hop);
        let wish = core.config.rules.session;
        if wish.refuses(&request.headers) {
            core.answer(tx, &request, 422, &[("Min-SE", &wish.min.as_secs().to_string())]);
            return None;
        }
        let about = About {
            peer: Some(hop.remote),
            ..About::new(Direction::Inbound, &request.headers.from.uri, number(&request), core.now)
        };
        let key = (request.headers.call_id.clone(), tag);
        let give_up = core.now + core.config.ring_limit;
        let (told, wish) = (Told::Nothing, Wish::Nothing);
        let (reliable, reliable_all) = Incoming::reliability(core, &request);
        let incoming = Incoming { tx, request, dialog, offer: None, reliable, reliable_all, told, wish, give_up };
        let mut call = Call::new(core, key, about, State::Incoming(Box::new(incoming)));
        if let State::Incoming(incoming) = &call.state {
            let headers = &incoming.request.headers;
            let hops = headers.max_forwards().map_or(call.hops, |hops| hops.min(call.hops));
            let update = takes_update(headers);
            (call.hops, call.peer_takes_update) = (hops, update.unwrap_or(call.peer_takes_update));
        }
        core.invites.insert(tx, call.id);
        Some(call)
    }

    /// Look at the INVITE's offer; `direct`: it is for somebody else. False: the call is refused because of it.
    pub fn read_offer(&mut self, core: &mut Core, direct: bool) -> bool {
        let (codecs, security) = (self.codecs(core), self.security(core));
        let State::Incoming(incoming) = &mut self.state else { return false };
        let offer = match description(&incoming.request.headers, &incoming.request.body) {
            Ok(offer) => offer,
            Err(bad) => {
                self.refuse_offer(core, bad.code, bad.why);
                return false;
            }
        };
        let Some(offer) = offer else { return true };
        if direct {
            let theirs = incoming.request.body.clone();
            self.direct = Some(Box::new(Direct { theirs, ..Direct::default() }));
            incoming.offer = Some(offer);
            return true;
        }
        let local = sdp::Local {
            address: incoming.dialog.hop.remote,
            session_id: 0,
            version: 0,
            codecs,
            relayed: core.config.relayed.clone(),
            formats: Vec::new(),
            comfort: core.config.comfort_noise,
            ptime: core.config.ptime,
            direction: sdp::Direction::SendRecv,
            security,
        };
        let audio = sdp::answer(&offer, &local).map(drop).map_err(|refusal| refusal.to_string());
        match self.wish_for_fax(core, (&offer, local.address.ip()), audio) {
            Ok(()) => {
                if let State::Incoming(incoming) = &mut self.state {
                    incoming.offer = Some(offer);
                }
                true
            }
            Err(why) => {
                self.refuse_offer(core, 488, why);
                false
            }
        }
    }

    pub fn refuse_offer(&mut self, core: &mut Core, code: u16, why: String) {
        core.trace(self.id, TraceEvent::Sdp(why.clone()));
        let fields = [("Accept", SDP.to_owned()), ("Warning", warning(&why))];
        self.about.error = Some(why.clone());
        self.refuse(core, code, None, &fields, End { code, ..End::media(why) });
    }

    /// The INVITE, for the facts of the flow.
    pub fn invite_request(&self) -> Option<&Request> {
        match &self.state {
            State::Incoming(incoming) => Some(&incoming.request),
            State::Accepting(_) | State::Locating(_) | State::Inviting(_) | State::Talking { .. } | State::Gone => None,
        }
    }

    /// The codecs that the party speaks, as far as it said so, dearest first.
    pub fn offered(&self) -> Vec<Codec> {
        match (&self.state, self.port.open().and_then(|open| open.agreed.as_ref())) {
            (_, Some(agreed)) => {
                let sent = agreed.send.map(|(_, codec)| codec);
                let rest = agreed.receive.iter().map(|(_, codec)| *codec).filter(|codec| Some(*codec) != sent);
                sent.into_iter().chain(rest).collect()
            }
            (State::Incoming(incoming), None) => incoming.offer.as_ref().map(sdp::Session::codecs).unwrap_or_default(),
            (
                State::Accepting(_) | State::Locating(_) | State::Inviting(_) | State::Talking { .. } | State::Gone,
                None,
            ) => Vec::new(),
        }
    }

    /// The caller gave up, or the transport of its INVITE broke.
    pub fn handle_cancel(&mut self, core: &mut Core) {
        self.refuse(core, 487, None, &[], End::BY_PARTY);
    }

    /// Refuse the unanswered INVITE, as a flow asks.
    pub fn reject(&mut self, core: &mut Core, code: u16, reason: Option<&str>) -> Result<(), Failure> {
        let refusable = matches!(self.state, State::Incoming(_)) && (300..=699).contains(&code);
        if !refusable || reason.is_some_and(|r| r.chars().any(char::is_control)) {
            return Err(Failure::WrongState);
        }
        self.refuse(core, code, reason, &[], End::refusing(code));
        Ok(())
    }

    /// Refuse the unanswered INVITE.
    pub fn refuse(&mut self, core: &mut Core, code: u16, reason: Option<&str>, fields: &[(&str, String)], end: End) {
        if !matches!(self.state, State::Incoming(_)) {
            return;
        }
        let State::Incoming(incoming) = self.enter(State::Gone) else { return };
        let mut response = incoming.request.response(code, reason);
        response.headers.to.set_tag(&self.key.1);
        self.give_reason(core, &mut response.headers);
        for (name, value) in fields {
            response.headers.push(name, value.as_str());
        }
        core.invites.remove(&incoming.tx);
        core.respond(incoming.tx, response);
        self.decide(core, end, Some(code));
    }
}
