//! SIP requests: those that begin something, and those within a dialog (RFC 3261 section 12.2.2).

use super::{
    call::{Call, End, State},
    core::{ALLOW, Core, SDP},
    guard::Offence,
    route,
    switch::Switch,
};
use crate::sip::{Dialog, Event, Hop, Method, Request, ServerTx};

impl Switch {
    /// What the stack tells.
    pub(super) fn on_event(&mut self, event: Event) {
        match event {
            Event::Request { tx, hop, request } => self.on_sip_request(tx, hop, request),
            Event::Ack { request, .. } => {
                if let Some((call, core)) = self.call_in_dialog(&request)
                    && call.dialog().is_none_or(|dialog| dialog.remote.tag() == request.headers.from.tag())
                {
                    call.handle_ack(core, &request);
                }
            }
            Event::Cancel { tx, .. } => {
                let call = self.core.invites.get(&tx).copied();
                if let Some((call, core)) = call.and_then(|call| self.call(call)) {
                    call.handle_cancel(core);
                }
            }
            Event::Response { tx, response } => match self.core.transactions.get(&tx).copied() {
                Some(call) => {
                    if let Some((call, core)) = self.call(call) {
                        call.handle_invite_response(core, tx, &response);
                    }
                }
                None => self.forks.answer(&mut self.core, tx, &response),
            },
            Event::Failed { tx, why } => {
                let call = self.core.transactions.get(&tx).copied();
                if let Some((call, core)) = call.and_then(|call| self.call(call)) {
                    call.handle_invite_failed(core, tx, why);
                }
            }
            Event::Lost { tx, .. } => {
                // Only an unanswered INVITE matters: its caller cannot be reached any more.
                if let Some(call) = self.core.invites.remove(&tx)
                    && let Some((call, core)) = self.call(call)
                {
                    call.decide_gone(core, End::BROKEN);
                }
            }
        }
    }

    fn call_in_dialog(&mut self, request: &Request) -> Option<(&mut Call, &mut Core)> {
        let tag = request.headers.to.tag()?;
        let call = *self.core.dialogs.get(&(request.headers.call_id.clone(), tag.to_owned()))?;
        self.call(call)
    }

    fn on_sip_request(&mut self, tx: ServerTx, hop: Hop, request: Request) {
        if request.headers.to.tag().is_some() {
            return match self.call_in_dialog(&request) {
                Some((call, core)) => call.handle_request(core, tx, &request),
                None => {
                    self.core.offence(hop, Offence::NoSuchDialog);
                    self.core.answer(tx, &request, 481, &[]);
                }
            };
        }
        match request.method {
            Method::Invite => self.on_invite(tx, hop, request),
            Method::Options if self.draining.is_some() => self.core.answer_later(tx, &request),
            Method::Options => self.core.answer_options(tx, &request),
            Method::Bye | Method::Info | Method::PRack | Method::Update => {
                self.core.offence(hop, Offence::NoSuchDialog);
                self.core.answer(tx, &request, 481, &[]);
            }
            Method::Ack
            | Method::Cancel
            | Method::Message
            | Method::Notify
            | Method::Publish
            | Method::Refer
            | Method::Register
            | Method::Subscribe => {
                self.core.offence(hop, Offence::NotServed);
                self.core.answer(tx, &request, 405, &[("Allow", ALLOW)]);
            }
        }
    }

    /// A new call, if there is room, a script for its number, and media in common.
    fn on_invite(&mut self, tx: ServerTx, hop: Hop, request: Request) {
        if self.draining.is_some() || self.calls.len() >= self.core.config.limits.calls {
            return self.core.answer_later(tx, &request);
        }
        if !takes_sdp(&request) {
            return self.core.answer(tx, &request, 406, &[]);
        }
        let Some(mut call) = Call::incoming(&mut self.core, tx, hop, request) else { return };
        let core = &mut self.core;
        let route = route::find(&core.config.routes, &call.about.to).cloned();
        let route = match route {
            Some(route) => call.read_offer(core).then_some(route),
            None => {
                core.offence(hop, Offence::UnknownNumber);
                call.about.error = Some("no script for this number".to_owned());
                call.refuse(core, 404, None, &[], End::NO_ROUTE);
                None
            }
        };
        let id = call.id;
        self.adopt(call);
        if let Some(route) = route {
            self.start_flow(id, route.script, route.vars);
        }
    }
}

/// False where Accept names what the answer may be, and SDP is not among it (RFC 3261 section 20.1).
fn takes_sdp(request: &Request) -> bool {
    let mut kinds = request.headers.all("Accept").filter(|kind| !kind.is_empty()).peekable();
    let sdp = |kind: &str| {
        let kind = kind.split(';').next().unwrap_or_default().trim();
        [SDP, "application/*", "*/*"].iter().any(|one| one.eq_ignore_ascii_case(kind))
    };
    kinds.peek().is_none() || kinds.any(sdp)
}

impl Core {
    fn answer_options(&mut self, tx: ServerTx, request: &Request) {
        self.answer(tx, request, 200, &[("Allow", ALLOW), ("Accept", SDP)]);
    }
}

impl Call {
    fn dialog(&mut self) -> Option<&mut Dialog> {
        match &mut self.state {
            State::Incoming(incoming) => Some(incoming.dialog()),
            State::Accepting(accepting) => Some(&mut accepting.dialog),
            State::Talking { dialog, .. } => Some(dialog),
            State::Locating(_) | State::Inviting(_) | State::Gone => None,
        }
    }

    /// A request within our dialog.
    fn handle_request(&mut self, core: &mut Core, tx: ServerTx, request: &Request) {
        if let Some(dialog) = self.dialog() {
            if dialog.remote.tag() != request.headers.from.tag() {
                return core.answer(tx, request, 481, &[]);
            }
            if !dialog.accepts(request) {
                return core.answer(tx, request, 500, &[]);
            }
        } else if !matches!(self.state, State::Inviting(_)) && request.method != Method::Bye {
            return core.answer(tx, request, 481, &[]);
        }
        match request.method {
            Method::Invite => self.handle_reinvite(core, tx, request),
            Method::Bye => self.handle_bye(core, tx, request),
            Method::Info => self.handle_info(core, tx, request),
            Method::Options => core.answer_options(tx, request),
            Method::Ack
            | Method::Cancel
            | Method::Message
            | Method::Notify
            | Method::PRack
            | Method::Publish
            | Method::Refer
            | Method::Register
            | Method::Subscribe
            | Method::Update => core.answer(tx, request, 405, &[("Allow", ALLOW)]),
        }
    }
}
