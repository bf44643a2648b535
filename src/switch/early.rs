//! Before the answer: reliable provisional answers in both directions (RFC 3262), and the early dialogs that our INVITE
//! makes, one for each fork that speaks up.

use super::{
    accept::description,
    call::{Call, End, State},
    core::{Core, SDP},
    incoming::Incoming,
    within::Purpose,
};
use crate::sip::{Dialog, Method, Reliable, ReliableOutput, Request, Response, ServerTx, rack, rseq, supports};

/// Early dialogs of one INVITE that are remembered.
const MOST: usize = 16;

/// One fork of our INVITE that is not answered yet.
pub(super) struct Early {
    pub dialog: Dialog,
    /// Its newest provisional answer that was acknowledged.
    rseq: Option<u32>,
}

impl Incoming {
    /// Make the machine for reliable answers, where the caller knows them.
    pub fn reliability(core: &mut Core, request: &Request) -> (Option<Reliable>, bool) {
        let required = request.headers.all("Require").any(|tag| tag.eq_ignore_ascii_case("100rel"));
        let wanted = required || (core.config.rules.reliable && supports(&request.headers, "100rel"));
        let first = core.random() as u32;
        (wanted.then(|| Reliable::new(&core.config.sip, first)), required)
    }

    /// Send a provisional answer: reliably where it describes media, or where the caller demands it of all.
    pub fn provisional(&mut self, core: &mut Core, response: Response) {
        let plain = self.reliable.is_none() || (response.body.is_empty() && !self.reliable_all);
        match &mut self.reliable {
            Some(reliable) if !plain => {
                reliable.send(core.now, response);
                self.send_reliably(core);
            }
            Some(_) | None => core.respond(self.tx, response),
        }
    }

    /// Do what the machine asks for. True: it gave up.
    fn send_reliably(&mut self, core: &mut Core) -> bool {
        let mut gave_up = false;
        while let Some(output) = self.reliable.as_mut().and_then(Reliable::poll) {
            match output {
                ReliableOutput::Send(response) => core.respond(self.tx, response),
                ReliableOutput::GaveUp => gave_up = true,
            }
        }
        gave_up
    }

    /// A provisional answer is not acknowledged yet: the final one waits for that.
    pub fn awaits_prack(&self) -> bool {
        self.reliable.as_ref().is_some_and(Reliable::is_waiting)
    }
}

impl Call {
    /// A PRACK within the dialog; its CSeq is in order.
    pub fn handle_prack(&mut self, core: &mut Core, tx: ServerTx, request: &Request) {
        let State::Incoming(incoming) = &mut self.state else { return core.answer(tx, request, 481, &[]) };
        let fits = incoming.reliable.as_mut().is_some_and(|reliable| reliable.handle_prack(core.now, request));
        if !fits {
            return core.answer(tx, request, 481, &[]);
        }
        incoming.send_reliably(core);
        let mut response = request.response(200, None);
        if let Some(taken) = self.take_early_answer(core, request) {
            core.respond(tx, response);
            return match taken {
                Ok(()) => self.go_on_incoming(core),
                Err(why) => self.refuse_offer(core, 488, why),
            };
        }
        // Media may be described anew in it (section 5).
        let from = request.headers.from.tag();
        match description(&request.headers, &request.body)
            .map(|offer| offer.map(|o| self.answer_update(core, &o, from)))
        {
            Ok(None) => {}
            Ok(Some(Ok(body))) => {
                response.headers.set("Content-Type", SDP);
                response.body = body.into();
            }
            Ok(Some(Err((code, _)))) => return core.answer(tx, request, code, &[]),
            Err(bad) => return core.answer(tx, request, bad.code, &[]),
        }
        core.respond(tx, response);
        self.go_on_incoming(core);
    }

    /// Resend a provisional answer, or refuse an INVITE whose caller acknowledges none.
    pub fn reliable_timeout(&mut self, core: &mut Core) {
        let State::Incoming(incoming) = &mut self.state else { return };
        if let Some(reliable) = &mut incoming.reliable {
            reliable.handle_timeout(core.now);
        }
        if incoming.send_reliably(core) {
            self.about.error.get_or_insert_with(|| "no PRACK came".to_owned());
            self.refuse(core, 500, None, &[], End::BROKEN);
        }
    }

    /// A provisional answer to our INVITE with a To-tag: remember the early dialog, acknowledge where that is wanted.
    /// False: it is no news, or came out of order (section 4).
    pub fn learn_early(&mut self, core: &mut Core, response: &Response) -> bool {
        let State::Inviting(inviting) = &mut self.state else { return false };
        let headers = &response.headers;
        let wanted = rseq(headers);
        let Some(tag) = headers.to.tag() else { return wanted.is_none() };
        let known = inviting.earlies.iter().position(|early| early.dialog.remote.tag() == Some(tag));
        let at = match known {
            Some(at) => at,
            None => {
                let dialog = Dialog::uac(inviting.request(), response, inviting.hop());
                let Some(dialog) = dialog.ok().filter(|_| inviting.earlies.len() < MOST) else {
                    return wanted.is_none();
                };
                inviting.earlies.push(Early { dialog, rseq: None });
                inviting.earlies.len() - 1
            }
        };
        let Some(early) = inviting.earlies.get_mut(at) else { return false };
        if headers.contact().is_some() {
            early.dialog.refresh_target(headers);
        }
        let Some(number) = wanted else { return true };
        if early.rseq.is_some_and(|last| Some(number) != last.checked_add(1)) {
            return false;
        }
        early.rseq = Some(number);
        let dialog = &mut early.dialog;
        let mut prack = dialog.request(Method::PRack, &core.contact(dialog.hop));
        prack.headers.set("RAck", rack(number, headers));
        let hop = core.in_dialog(dialog);
        self.ask_peer(core, prack, hop, Purpose::Prack);
        true
    }

    /// The dialog that the early one with this tag becomes goes on where that one was.
    pub fn go_on_from(earlies: &[Early], dialog: &mut Dialog) {
        if let Some(early) = earlies.iter().find(|early| early.dialog.remote.tag() == dialog.remote.tag()) {
            dialog.local_seq = dialog.local_seq.max(early.dialog.local_seq);
            dialog.remote_seq = early.dialog.remote_seq;
        }
    }
}
