//! SIP requests: those that begin something, and those within a dialog (RFC 3261 section 12.2.2).

use super::{
    accept,
    call::{Call, End, Notice, State},
    core::{ALLOW, Core, SDP},
    desk::Who,
    guard::Offence,
    proof::Pending,
    switch::Switch,
    task::Ask,
    trunk,
};
use crate::sip::{ClientTx, Dialog, Event, Failure, Hop, Method, Request, Response, ServerTx};
use crate::verbs;

/// What a request of ours within a dialog, other than INVITE, is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// UPDATE: the session goes on.
    Refresh,
    /// PRACK: the INVITE's own answer decides what becomes of the call.
    Prack,
    /// REFER: the party is to call somebody else.
    Refer,
    /// NOTIFY: nobody waits for its answer.
    Notify,
    /// OPTIONS: the party is asked whether it is there.
    Alive,
    /// MESSAGE: the script wants to know how it went; absent: nobody does any more.
    Text(Option<Ask>),
}

/// Who has to answer a request within a dialog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Handled {
    /// Nobody any more.
    Already,
    ByTheSwitch,
}

/// Emergency calls that are taken beyond the limit of all calls.
const RESERVE: usize = 100;

impl Switch {
    /// What the stack tells.
    pub(super) fn on_event(&mut self, event: Event) {
        match event {
            Event::Request { tx, hop, request } => self.on_sip_request(tx, hop, request),
            Event::Ack { request, .. } => {
                let theirs = request.headers.from.tag();
                if let Some((call, core)) = self.call_in_dialog(&request)
                    && call.dialog(theirs).is_none_or(|dialog| dialog.remote.tag() == theirs)
                {
                    call.handle_ack(core, &request);
                }
            }
            Event::Cancel { tx, request } => {
                let call = self.core.invites.get(&tx).copied();
                if let Some((call, core)) = call.and_then(|call| self.call(call)) {
                    call.hear_reason(&request.headers);
                    call.handle_cancel(core);
                }
            }
            Event::Response { tx, response } if self.core.desk_answered(tx, Some(response.code)) => {}
            Event::Response { tx, response } if self.core.message_answered(tx, &response) => {}
            Event::Response { tx, response } => match self.core.transactions.get(&tx).copied() {
                Some(call) => {
                    if let Some((call, core)) = self.call(call) {
                        call.handle_response(core, tx, &response);
                    }
                }
                None if self.core.errand_answered(tx, &response) => {}
                None => self.forks.answer(&mut self.core, tx, &response),
            },
            Event::Failed { tx, .. } if self.core.desk_answered(tx, None) => {}
            Event::Failed { tx, why } if self.core.message_failed(tx, why) => {}
            Event::Failed { tx, why } => {
                self.core.errand_failed(tx, why);
                let call = self.core.transactions.get(&tx).copied();
                if let Some((call, core)) = call.and_then(|call| self.call(call)) {
                    call.handle_failed(core, tx, why);
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
            let Some((call, core)) = self.call_in_dialog(&request) else {
                if request.method == Method::Subscribe {
                    return self.core.on_resubscribe(tx, hop, &request);
                }
                self.core.offence(hop, Offence::NoSuchDialog);
                return self.core.answer(tx, &request, 481, &[]);
            };
            let id = call.id;
            // A transfer concerns other calls as well.
            if call.handle_request(core, tx, &request) == Handled::ByTheSwitch {
                self.on_refer(id, tx, &request);
            }
            return;
        }
        match request.method {
            Method::Invite if request.headers.get("Replaces").is_some() => self.on_replacing_invite(tx, hop, request),
            Method::Invite => self.on_invite(tx, hop, request),
            Method::Options if self.draining.is_some() => self.core.answer_later(tx, &request),
            Method::Options => self.core.answer_options(tx, &request),
            Method::Bye | Method::Info | Method::PRack | Method::Update => {
                self.core.offence(hop, Offence::NoSuchDialog);
                self.core.answer(tx, &request, 481, &[]);
            }
            Method::Message => self.on_message(tx, hop, request),
            Method::Subscribe if !self.core.config.phones.is_empty() => self.core.on_subscribe(tx, hop, &request),
            Method::Register if !self.core.config.phones.is_empty() => self.core.on_register(tx, hop, &request),
            Method::Ack
            | Method::Cancel
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
        if !takes_sdp(&request) {
            return self.core.answer(tx, &request, 406, &[]);
        }
        let core = &mut self.core;
        let number = accept::number(&request);
        let urgent = trunk::is_emergency(&core.config.trunking, &number);
        // Emergencies have room of their own, but no end of it: anybody can call such a number.
        let room = if urgent { RESERVE } else { 0 };
        if self.draining.is_some() || self.calls.len() >= core.config.limits.calls + room {
            return core.answer_later(tx, &request);
        }
        let source = hop.remote.ip();
        let trunk = core.trunks.of(&core.config.trunking, source).or_else(|| core.links.registered_at(source)).cloned();
        // A carrier is known by its address; everybody else says who he is.
        let who = if trunk.is_some() { Some(Who::Guest) } else { core.admit(tx, hop, &request) };
        let Some(who) = who else { return };
        let proven = who.trunk().and_then(|name| core.config.trunking.trunk(name)).cloned();
        let trunk = trunk.or(proven);
        if let Some(trunk) = &trunk
            && let Err(full) = core.trunks.enter(trunk, core.now, urgent)
        {
            tracing::info!(trunk = &*trunk.name, why = full.as_str(), "incoming call refused");
            return core.answer_after(tx, &request, full.after(core.config.retry_after));
        }
        let Some(mut call) = Call::incoming(core, tx, hop, request) else {
            return trunk.iter().for_each(|trunk| core.trunks.leave(&trunk.name));
        };
        call.remember_caller(core, trunk.as_deref());
        call.take_phone(core, who.phone());
        let route = match core.service_for(&call.about.to) {
            Some(route) => call.read_offer(core, route.is_direct()).then_some(route),
            None => {
                if who.is_guest() && trunk.is_none() {
                    core.offence(hop, Offence::UnknownNumber);
                }
                call.about.error = Some("nothing answers this number".to_owned());
                let code = core.config.rules.unknown_number;
                call.refuse(core, code, None, &[], End { code, ..End::NO_ROUTE });
                None
            }
        };
        let id = call.id;
        self.adopt(call);
        if let Some(service) = route {
            self.vet(id, service);
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
    /// The dialog with the party of this tag, as far as there is one.
    pub fn dialog(&mut self, tag: Option<&str>) -> Option<&mut Dialog> {
        match &mut self.state {
            State::Incoming(incoming) => Some(incoming.dialog()),
            State::Accepting(accepting) => Some(&mut accepting.dialog),
            State::Talking { dialog, .. } => Some(dialog),
            State::Inviting(inviting) => {
                let mut dialogs = inviting.earlies.iter_mut().map(|early| &mut early.dialog);
                dialogs.find(|dialog| dialog.remote.tag() == tag)
            }
            State::Locating(_) | State::Gone => None,
        }
    }

    /// An answer to a request of ours.
    fn handle_response(&mut self, core: &mut Core, tx: ClientTx, response: &Response) {
        self.watchdog.hear();
        match self.pending.iter().position(|asked| asked.tx == tx) {
            Some(_) if response.code < 200 => {}
            Some(at) => {
                let asked = self.pending.swap_remove(at);
                core.transactions.remove(&tx);
                let Some(Pending { purpose, request, .. }) = self.prove_pending(core, asked, response) else { return };
                match purpose {
                    Purpose::Refresh => self.handle_refreshed(core, response),
                    Purpose::Refer => self.refer_answered(core, response.code),
                    Purpose::Text(ask) => self.text_answered(core, ask, &request, response.code),
                    Purpose::Alive => self.watch_answered(core, Some(response.code)),
                    Purpose::Prack | Purpose::Notify => {}
                }
            }
            None => {
                if !self.handle_reoffer_response(core, tx, response) {
                    self.handle_invite_response(core, tx, response);
                }
            }
        }
    }

    /// No answer comes to a request of ours.
    fn handle_failed(&mut self, core: &mut Core, tx: ClientTx, why: Failure) {
        match self.pending.iter().position(|asked| asked.tx == tx) {
            Some(at) => {
                let Pending { purpose, request, .. } = self.pending.swap_remove(at);
                core.transactions.remove(&tx);
                match purpose {
                    Purpose::Text(ask) => self.text_over(core, ask, &request, Err(verbs::Failure::NoAnswer)),
                    Purpose::Refresh => self.handle_refresh_failed(core, why),
                    Purpose::Refer => core.tell(self.id, Notice::Referred(Err(verbs::Failure::Unreachable))),
                    Purpose::Alive => self.watch_answered(core, None),
                    Purpose::Prack | Purpose::Notify => {}
                }
            }
            None => {
                if !self.handle_reoffer_failed(core, tx, why) {
                    self.handle_invite_failed(core, tx, why);
                }
            }
        }
    }

    /// A request within our dialog.
    fn handle_request(&mut self, core: &mut Core, tx: ServerTx, request: &Request) -> Handled {
        if let Some(code) = self.out_of_order(request) {
            core.answer(tx, request, code, &[]);
            return Handled::Already;
        }
        self.watchdog.hear();
        self.serve(core, tx, request)
    }

    /// The code for a request that does not fit into the dialog.
    fn out_of_order(&mut self, request: &Request) -> Option<u16> {
        if let Some(dialog) = self.dialog(request.headers.from.tag()) {
            if dialog.remote.tag() != request.headers.from.tag() {
                return Some(481);
            }
            if !dialog.accepts(request) {
                return Some(500);
            }
        } else if !matches!(self.state, State::Inviting(_)) && request.method != Method::Bye {
            return Some(481);
        }
        None
    }

    fn serve(&mut self, core: &mut Core, tx: ServerTx, request: &Request) -> Handled {
        match request.method {
            Method::Refer => return Handled::ByTheSwitch,
            Method::Invite => self.handle_reinvite(core, tx, request),
            Method::Bye => self.handle_bye(core, tx, request),
            Method::Info => self.handle_info(core, tx, request),
            Method::Options => core.answer_options(tx, request),
            Method::Update => self.handle_update(core, tx, request),
            Method::PRack => self.handle_prack(core, tx, request),
            Method::Notify => self.handle_notify(core, tx, request),
            Method::Message => self.handle_message(core, tx, request),
            Method::Ack | Method::Cancel | Method::Publish | Method::Register | Method::Subscribe => {
                core.answer(tx, request, 405, &[("Allow", ALLOW)])
            }
        }
        Handled::Already
    }
}
