//! A transfer by the party's own hands: we ask it with REFER to call somebody else, and hear by NOTIFY how that went
//! (RFC 3515, RFC 5589).

use super::{
    call::{Call, End, Notice, State},
    core::Core,
    happened::{By, What},
    switch::Switch,
    task::{Ask, Doing, Task},
    within::Purpose,
};
use crate::{
    ids::CallId,
    sip::{Dialog, Headers, Method, NameAddr, ReferTo, Replaces, Request, ServerTx, Uri, read_sipfrag},
    time::Time,
    verbs::{Failure, Reply, Transfer},
};

/// The task of a call whose party was asked to call somebody else.
pub(super) struct Referring {
    /// When it is given up.
    pub until: Time,
    /// The party said that the new call rings.
    rang: bool,
}

impl Switch {
    /// A script transfers a call. Replies when the party told how it went.
    pub(super) fn begin_transfer(&mut self, ask: Ask, id: CallId, wish: &Transfer) -> Result<Option<Reply>, Failure> {
        let refer_to = match wish {
            Transfer::Blind { target, .. } => blind(target)?,
            Transfer::Attended { other, .. } => {
                let other = self.calls.get(other).filter(|other| self.may(ask.origin, other));
                let other = other.ok_or(Failure::NoSuchCall)?;
                if other.id == id {
                    return Err(Failure::WrongState);
                }
                attended(other)?
            }
        };
        let timeout = wish.timeout();
        let (call, core) = self.call(id).ok_or(Failure::NoSuchCall)?;
        if call.task.is_some() {
            return Err(Failure::WrongState);
        }
        let until = core.now + timeout;
        call.send_refer(core, &refer_to)?;
        let target = refer_to.uri.to_string();
        call.happened(core, What::Transferring { by: By::Us, target });
        call.task = Some(Task { ask, doing: Doing::Transfer(Referring { until, rang: false }) });
        Ok(None)
    }

    /// The party told how the transfer goes: a code, or why none will come.
    pub(super) fn on_referred(&mut self, id: CallId, result: Result<u16, Failure>) {
        let Some((call, _)) = self.call(id) else { return };
        let Some(Task { doing: Doing::Transfer(referring), .. }) = &mut call.task else { return };
        let reply = match result {
            Ok(0..=199) => {
                referring.rang |= matches!(result, Ok(180..=189));
                return;
            }
            Ok(200..=299) => Reply::Transferred,
            Ok(code) => Reply::Failed(End::refused(code, referring.rang).failure),
            Err(failure) => Reply::Failed(failure),
        };
        self.transfer_over(id, reply);
    }

    /// It is known how a transfer went, or it took too long.
    pub(super) fn transfer_over(&mut self, id: CallId, reply: Reply) {
        if let Some((call, core)) = self.call(id) {
            let by = By::Us;
            let what = if let Reply::Failed(failure) = &reply {
                What::NotTransferred { by, reason: failure.as_str().to_owned() }
            } else {
                What::Transferred { by }
            };
            call.happened(core, what);
        }
        self.finish_task(id, reply);
    }
}

fn blind(target: &str) -> Result<ReferTo, Failure> {
    let uri = Uri::parse(target).map_err(|_| Failure::Unreachable)?;
    if !uri.is_sip() { Err(Failure::Unreachable) } else { Ok(ReferTo { uri, replaces: None }) }
}

/// The party of `other` is to be called, in the place of our call with it.
fn attended(other: &Call) -> Result<ReferTo, Failure> {
    let State::Talking { dialog, .. } = &other.state else { return Err(Failure::WrongState) };
    let tag = |of: &NameAddr| of.tag().map(str::to_owned).ok_or(Failure::WrongState);
    let replaces = Replaces {
        call_id: dialog.call_id.clone(),
        to_tag: tag(&dialog.remote)?,
        from_tag: tag(&dialog.local)?,
        early_only: false,
    };
    Ok(ReferTo { uri: dialog.target.clone(), replaces: Some(replaces) })
}

impl Call {
    fn send_refer(&mut self, core: &mut Core, refer_to: &ReferTo) -> Result<(), Failure> {
        let State::Talking { dialog, .. } = &mut self.state else { return Err(Failure::WrongState) };
        let contact = core.contact(dialog.hop);
        let mut request = dialog.request(Method::Refer, &contact);
        request.headers.set("Refer-To", refer_to.to_string());
        request.headers.set("Referred-By", contact.to_string());
        let hop = core.in_dialog(dialog);
        self.referrals += 1;
        self.ask_peer(core, request, hop, Purpose::Refer);
        Ok(())
    }

    /// The answer to our REFER: it only says whether the party tries.
    pub fn refer_answered(&self, core: &mut Core, code: u16) {
        if code >= 300 {
            core.tell(self.id, Notice::Referred(Err(Failure::Refused(code))));
        }
    }

    /// A NOTIFY within the dialog.
    pub fn handle_notify(&self, core: &mut Core, tx: ServerTx, request: &Request) {
        let headers = &request.headers;
        let event = headers.get("Event").or(headers.get("o")).unwrap_or_default();
        if !event.split(';').next().is_some_and(|event| event.trim().eq_ignore_ascii_case("refer")) {
            return core.answer(tx, request, 489, &[("Allow-Events", "refer")]);
        }
        if self.referrals == 0 {
            return core.answer(tx, request, 481, &[]);
        }
        core.answer(tx, request, 200, &[]);
        match read_sipfrag(&request.body) {
            Some(code) if code >= 200 || !is_terminated(headers) => core.tell(self.id, Notice::Referred(Ok(code))),
            // Nothing more will be told.
            Some(_) | None if is_terminated(headers) => {
                core.tell(self.id, Notice::Referred(Err(Failure::NoAnswer)));
            }
            Some(_) | None => {}
        }
    }
}

fn is_terminated(headers: &Headers) -> bool {
    let state = headers.get("Subscription-State").unwrap_or_default();
    state.split(';').next().is_some_and(|state| state.trim().eq_ignore_ascii_case("terminated"))
}

/// NOTIFY within `dialog` about the REFER with this CSeq: the new call is so far.
pub(super) fn notify(core: &Core, dialog: &mut Dialog, refer: u32, code: u16) -> Request {
    let mut request = dialog.request(Method::Notify, &core.contact(dialog.hop));
    let headers = &mut request.headers;
    headers.set("Event", format!("refer;id={refer}"));
    headers.set("Subscription-State", if code < 200 { "active;expires=180" } else { "terminated;reason=noresource" });
    headers.set("Content-Type", format!("{};version=2.0", crate::sip::SIPFRAG));
    request.body = crate::sip::sipfrag(code).into();
    request
}
