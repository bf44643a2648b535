//! An INVITE that came in, until its ACK: ringing, early media, the answer, the refusal (RFC 3261 section 13.3).
//!
//! An INVITE without an offer gets ours in the 200, and its answer comes in the ACK ("late offer"; RFC 3261 section
//! 13.2.1). There is no early media for it, since a 183 cannot be acknowledged here.

use super::{
    Direction, TraceEvent,
    call::{About, Call, End, Notice, State},
    core::{Core, SDP},
    direct::Direct,
    session::takes_update,
};
use crate::{
    codec::Codec,
    sdp,
    sip::{Accept, AcceptOutput, Dialog, Hop, Reliable, Request, Response, Scheme, ServerTx},
    time::Time,
    verbs::Failure,
};

pub(super) struct Incoming {
    pub tx: ServerTx,
    request: Request,
    pub dialog: Box<Dialog>,
    pub offer: Option<sdp::Session>,
    /// Provisional answers that wait for a PRACK.
    pub reliable: Option<Reliable>,
    /// The caller demands that all of them do.
    pub reliable_all: bool,
    told: Told,
    wish: Wish,
    /// When it gets 480.
    pub give_up: Time,
}

/// What the caller knows so far.
enum Told {
    Nothing,
    Ringing,
    EarlyMedia { answer: String },
}

/// What is to be done as soon as the port is open.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wish {
    Nothing,
    EarlyMedia,
    Answer,
}

/// The 2xx is out, its ACK is not in.
pub(super) struct Accepting {
    pub dialog: Box<Dialog>,
    pub accept: Accept,
    pub cseq: u32,
    /// Our late offer, and what it was made of.
    pub offer: Option<(sdp::Session, sdp::Local)>,
    /// The call is over: BYE follows the ACK (RFC 3261 section 15).
    pub ending: bool,
}

/// Why a body is no offer: the code to refuse it with, and a Warning.
pub(super) struct BadBody {
    pub code: u16,
    pub why: String,
}

/// The session description that a message carries, where it carries one.
pub(super) fn description(headers: &crate::sip::Headers, body: &[u8]) -> Result<Option<sdp::Session>, BadBody> {
    if body.is_empty() {
        return Ok(None);
    }
    let kind = headers.get("Content-Type").unwrap_or(SDP);
    let kind = kind.split(';').next().unwrap_or(kind).trim();
    if !kind.eq_ignore_ascii_case(SDP) {
        return Err(BadBody { code: 415, why: format!("cannot read {}", kind.escape_default()) });
    }
    sdp::Session::parse(body).map(Some).map_err(|e| BadBody { code: 400, why: e.to_string() })
}

/// The number that is called: the user without its parameters (RFC 3261 section 19.1.6).
pub(super) fn number(invite: &Request) -> String {
    let user = invite.uri.user_decoded().unwrap_or_default();
    user.split(';').next().unwrap_or_default().to_owned()
}

/// A Warning header with our own text (RFC 3261 section 20.43).
pub(super) fn warning(why: &str) -> String {
    let plain = why.chars().map(|c| if c.is_control() || c == '"' || c == '\\' { ' ' } else { c });
    format!("399 switchhook \"{}\"", plain.collect::<String>())
}

impl Incoming {
    pub fn has_early_media(&self) -> bool {
        matches!(self.told, Told::EarlyMedia { .. })
    }

    /// The caller was told that it rings.
    pub fn rings(&self) -> bool {
        match self.told {
            Told::Nothing => false,
            Told::Ringing | Told::EarlyMedia { .. } => true,
        }
    }

    pub fn dialog(&mut self) -> &mut Dialog {
        &mut self.dialog
    }

    pub fn forget_wish(&mut self) {
        self.wish = Wish::Nothing;
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
        let wish = core.config.rules.session;
        if wish.refuses(&request.headers) {
            core.answer(tx, &request, 422, &[("Min-SE", &wish.min.as_secs().to_string())]);
            return None;
        }
        let about = About {
            parent: None,
            direction: Direction::Inbound,
            from: request.headers.from.uri.user_decoded().unwrap_or_else(|| "anonymous".to_owned()),
            to: number(&request),
            peer: Some(hop.remote),
            started: core.now,
            answered: None,
            script: None,
            vars: Default::default(),
            files: Vec::new(),
            error: None,
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
            ptime: core.config.ptime,
            direction: sdp::Direction::SendRecv,
            security,
        };
        match sdp::answer(&offer, &local) {
            Ok(_) => {
                incoming.offer = Some(offer);
                true
            }
            Err(refusal) => {
                self.refuse_offer(core, 488, refusal.to_string());
                false
            }
        }
    }

    fn refuse_offer(&mut self, core: &mut Core, code: u16, why: String) {
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

    /// Tell the caller that it rings; nothing more where it knows already.
    pub fn ring(&mut self, core: &mut Core) -> Result<(), Failure> {
        let State::Incoming(incoming) = &mut self.state else { return Err(Failure::WrongState) };
        if let Told::Nothing = incoming.told {
            incoming.told = Told::Ringing;
            let response = incoming.response(core, 180, None);
            incoming.provisional(core, response);
        }
        Ok(())
    }

    /// Open the media path before the answer. [`Notice::Media`] tells how that went.
    pub fn progress(&mut self, core: &mut Core) -> Result<(), Failure> {
        self.wish(core, Wish::EarlyMedia)
    }

    /// Answer. [`Notice::Answered`] follows the ACK, [`Notice::Media`] where there is no port.
    pub fn answer(&mut self, core: &mut Core) -> Result<(), Failure> {
        self.wish(core, Wish::Answer)
    }

    fn wish(&mut self, core: &mut Core, wish: Wish) -> Result<(), Failure> {
        let State::Incoming(incoming) = &mut self.state else { return Err(Failure::WrongState) };
        if wish == Wish::EarlyMedia && incoming.offer.is_none() {
            return Err(Failure::Media("the INVITE has no offer: answer first".to_owned()));
        }
        if incoming.wish != Wish::Answer {
            incoming.wish = wish;
        }
        let hop = incoming.dialog.hop;
        let v6 = incoming.offer.as_ref().map_or(hop.remote.is_ipv6(), sdp::Session::is_ipv6);
        if self.port.open().is_some() || self.direct.is_some() {
            self.go_on_incoming(core);
        } else {
            self.open_port(core, hop, v6);
        }
        Ok(())
    }

    /// The port is open: do what was wished for.
    pub fn go_on_incoming(&mut self, core: &mut Core) {
        let State::Incoming(incoming) = &mut self.state else { return };
        // The final answer must not overtake a description of the media that may be lost (RFC 3262 section 3).
        if incoming.wish == Wish::Answer && incoming.awaits_prack() {
            return;
        }
        match std::mem::replace(&mut incoming.wish, Wish::Nothing) {
            Wish::Nothing => {}
            Wish::EarlyMedia => self.send_early_media(core),
            Wish::Answer => self.send_answer(core),
        }
    }

    fn send_early_media(&mut self, core: &mut Core) {
        if let Some(answer) = self.answer_offer(core) {
            let State::Incoming(incoming) = &mut self.state else { return };
            let response = incoming.response(core, 183, Some(&answer));
            incoming.told = Told::EarlyMedia { answer };
            incoming.provisional(core, response);
            core.tell(self.id, Notice::Media(Ok(())));
        }
    }

    /// As [`Call::progress`], with what the other party says of its media.
    pub fn progress_directly(&mut self, core: &mut Core) {
        let Some(answer) = self.answer_offer(core) else { return };
        let State::Incoming(incoming) = &mut self.state else { return };
        let response = incoming.response(core, 183, Some(&answer));
        incoming.told = Told::EarlyMedia { answer };
        incoming.provisional(core, response);
    }

    /// Our answer to the INVITE's offer; the same in 183 and 200.
    fn answer_offer(&mut self, core: &mut Core) -> Option<String> {
        if let Some(direct) = &self.direct {
            return Some(String::from_utf8_lossy(&direct.ours).into_owned());
        }
        let mut local = self.local(core)?;
        let dearest = self.dearest.first().copied();
        let State::Incoming(incoming) = &mut self.state else { return None };
        // What the other party answered with, where this one speaks it, too: nothing is to be transcoded then.
        let spoken = incoming.offer.as_ref().map(sdp::Session::codecs).unwrap_or_default();
        if let Some(codec) = dearest.filter(|codec| spoken.contains(codec) && local.codecs.contains(codec)) {
            local.codecs = vec![codec];
        }
        if let Told::EarlyMedia { answer } = &incoming.told {
            return Some(answer.clone());
        }
        match sdp::answer(incoming.offer.as_ref()?, &local) {
            Ok((answer, agreed)) => {
                self.agree(core, agreed);
                Some(answer.to_string())
            }
            Err(refusal) => {
                core.tell(self.id, Notice::Media(Err(refusal.to_string())));
                None
            }
        }
    }

    fn send_answer(&mut self, core: &mut Core) {
        let State::Incoming(incoming) = &self.state else { return };
        let (body, offer) = match incoming.offer {
            Some(_) => (self.answer_offer(core), None),
            None => match self.local(core) {
                Some(local) => {
                    self.expect_security(core, &local);
                    let offer = sdp::offer(&local);
                    (Some(offer.to_string()), Some((offer, local)))
                }
                None => (None, None),
            },
        };
        let Some(body) = body else { return };
        let State::Incoming(incoming) = self.enter(State::Gone) else { return };
        let mut response = incoming.response(core, 200, Some(&body));
        self.agree_session(core, &incoming.request.headers, &mut response);
        core.respond(incoming.tx, response.clone());
        core.invites.remove(&incoming.tx);

        let accept = Accept::new(core.now, &core.config.sip, incoming.tx, response);
        let cseq = incoming.request.headers.cseq.number;
        self.enter(State::Accepting(Box::new(Accepting {
            dialog: incoming.dialog,
            accept,
            cseq,
            offer,
            ending: false,
        })));
        if self.is_hearable() {
            core.tell(self.id, Notice::Media(Ok(())));
        }
    }

    /// The ACK of a 2xx came.
    pub fn handle_ack(&mut self, core: &mut Core, ack: &Request) {
        let number = ack.headers.cseq.number;
        match &mut self.state {
            State::Accepting(accepting) if accepting.cseq == number => self.acknowledged(core, ack),
            State::Talking { reinvite: Some(reinvite), .. } if reinvite.cseq == number => {
                self.reinvite_acknowledged(core, ack);
            }
            State::Accepting(_)
            | State::Talking { .. }
            | State::Incoming(_)
            | State::Locating(_)
            | State::Inviting(_)
            | State::Gone => {}
        }
    }

    fn acknowledged(&mut self, core: &mut Core, ack: &Request) {
        let State::Accepting(accepting) = self.enter(State::Gone) else { return };
        self.enter(State::Talking { dialog: accepting.dialog, reinvite: None });
        if accepting.ending {
            return self.say_bye(core);
        }
        self.about.answered = Some(core.now);
        if let Some((offer, local)) = accepting.offer {
            if let Err(why) = self.take_answer(core, &offer, &local, ack) {
                return self.hang_up(core, End::media(why));
            }
            core.tell(self.id, Notice::Media(Ok(())));
        }
        core.tell(self.id, Notice::Answered);
        self.go_on_reoffering(core);
    }

    /// The answer to our late offer, out of an ACK.
    pub fn take_answer(
        &mut self,
        core: &mut Core,
        offer: &sdp::Session,
        local: &sdp::Local,
        ack: &Request,
    ) -> Result<(), String> {
        let answer = description(&ack.headers, &ack.body).map_err(|bad| bad.why)?;
        let answer = answer.ok_or_else(|| "the ACK carries no answer to our offer".to_owned())?;
        let agreed = sdp::accept(offer, &answer, local).map_err(|refusal| refusal.to_string())?;
        self.agree(core, agreed);
        Ok(())
    }

    /// Resend the 2xx, or give up waiting for its ACK.
    pub fn accept_timeout(&mut self, core: &mut Core) {
        let State::Accepting(accepting) = &mut self.state else { return };
        accepting.accept.handle_timeout(core.now);
        let mut gave_up = false;
        while let Some(output) = accepting.accept.poll() {
            match output {
                AcceptOutput::Resend(response) => core.respond(accepting.accept.tx(), response),
                AcceptOutput::GaveUp => gave_up = true,
            }
        }
        if gave_up {
            let State::Accepting(accepting) = self.enter(State::Gone) else { return };
            self.enter(State::Talking { dialog: accepting.dialog, reinvite: None });
            self.about.error.get_or_insert_with(|| "no ACK came".to_owned());
            self.say_bye(core);
            self.decide(core, End::BROKEN, Some(200));
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

impl Incoming {
    /// A response within our dialog, with a session description where there is one.
    fn response(&self, core: &Core, code: u16, body: Option<&str>) -> Response {
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
