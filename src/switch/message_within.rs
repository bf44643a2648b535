//! Messages within a call (RFC 3428 section 4): those of the party wait for the call's script, and the script's go to the
//! party.

use super::{
    Direction,
    call::{Call, Notice, State},
    core::Core,
    message::claimed_kind,
    message_record::{MessageRecord, Outside},
    switch::Switch,
    task::{Ask, Doing, Task},
    within::Purpose,
};
use crate::{
    ids::CallId,
    sip::{Method, Request, ServerTx},
    verbs::{Failure, Message, Messaging, Origin, Reply, Text},
};

/// Most messages that wait for a script to ask for them.
const KEPT: usize = 16;

impl Call {
    /// The script waits for a message.
    pub fn awaits_text(&self) -> bool {
        matches!(self.task.as_ref().map(|task| &task.doing), Some(Doing::Message { .. }))
    }

    /// A MESSAGE within the dialog.
    pub fn handle_message(&mut self, core: &mut Core, tx: ServerTx, request: &Request) {
        match core.read_text(request) {
            Ok(text) => self.take_text(core, tx, request, text),
            Err(unread) => core.refuse_text(tx, request, unread),
        }
    }

    /// A message of the party, be it within the dialog or not.
    pub fn take_text(&mut self, core: &mut Core, tx: ServerTx, request: &Request, text: Text) {
        if self.over.is_some() || self.flow.is_none() {
            return core.answer(tx, request, 480, &[]);
        }
        if self.texts.len() >= KEPT {
            return core.answer_later(tx, request);
        }
        tracing::info!(call = %self.name, bytes = text.text.len(), "message in call");
        let code = if self.awaits_text() { 200 } else { 202 };
        core.answer(tx, request, code, &[]);
        let about = self.about_text(core, Direction::Inbound, request);
        core.tell_message(about, Ok(code));
        self.texts.push_back(text);
        core.tell(self.id, Notice::Text);
    }

    /// Send a message within the dialog.
    fn text_party(&mut self, core: &mut Core, ask: Ask, message: Message) -> Result<(), Failure> {
        let State::Talking { dialog, .. } = &mut self.state else { return Err(Failure::WrongState) };
        let mut request = dialog.request(Method::Message, &core.contact(dialog.hop));
        request.headers.remove("Contact"); // A MESSAGE has none (section 4).
        for (name, value) in &message.headers {
            request.headers.push(name, value.as_str());
        }
        request.headers.set("Content-Type", content_type(&message.text.kind));
        request.body = message.text.text.into();
        let hop = core.in_dialog(dialog);
        self.ask_peer(core, request, hop, Purpose::Text(Some(ask)));
        Ok(())
    }

    /// The answer to it.
    pub fn text_answered(&self, core: &mut Core, ask: Option<Ask>, request: &Request, code: u16) {
        let result = match code {
            200..=299 => Ok(code),
            code => Err(Failure::Refused(code)),
        };
        self.text_over(core, ask, request, result);
    }

    /// What became of it. Nobody may be left who asks.
    pub fn text_over(&self, core: &mut Core, ask: Option<Ask>, request: &Request, result: Result<u16, Failure>) {
        let about = self.about_text(core, Direction::Outbound, request);
        core.tell_message(about, result.as_ref().copied());
        if let Some(ask) = ask {
            core.tell(self.id, Notice::Texted(ask, result));
        }
    }

    /// What is told of a message within this call.
    fn about_text(&self, core: &mut Core, direction: Direction, request: &Request) -> MessageRecord {
        let (from, to) = match direction == self.about.direction {
            true => (&self.about.from, &self.about.to),
            false => (&self.about.to, &self.about.from),
        };
        let (media_type, bytes) = (claimed_kind(request), request.body.len());
        let about = core.about_message(Outside { direction, from, to, media_type, bytes });
        let trunk = self.trunk.as_ref().map(|on| on.name.clone());
        MessageRecord { call: Some(self.name.clone()), trunk, ..about }
    }

    /// The call is over. Gives back who waits to hear of messages that are not answered.
    pub fn forget_texts(&mut self) -> Vec<Ask> {
        let asked = self.pending.iter_mut().filter_map(|pending| match &mut pending.purpose {
            Purpose::Text(ask) => ask.take(),
            Purpose::Refresh | Purpose::Prack | Purpose::Refer | Purpose::Notify | Purpose::Alive => None,
        });
        asked.collect()
    }
}

impl Switch {
    pub(super) fn begin_messaging(&mut self, ask: Ask, id: CallId, wish: Messaging) -> Result<Option<Reply>, Failure> {
        match wish {
            Messaging::Answer { code, reason } => match ask.origin {
                Origin::Flow(flow) => self.core.answer_letter(flow, code, reason.as_deref()).map(Some),
                Origin::Console => Err(Failure::WrongState),
            },
            Messaging::Send(message) => {
                if message.text.text.len() > self.core.config.messages.longest {
                    return Err(Failure::Limit("message length"));
                }
                if !super::target::may_add(&message.headers) {
                    return Err(Failure::WrongState);
                }
                match message.to {
                    Some(_) => self.send_message(ask, id, message).map(|()| None),
                    None => {
                        let (call, core) = self.commanded(ask, id)?;
                        call.text_party(core, ask, message).map(|()| None)
                    }
                }
            }
            Messaging::Await { timeout } => {
                let (call, core) = self.commanded(ask, id)?;
                if call.task.is_some() {
                    return Err(Failure::WrongState);
                }
                if let Some(text) = call.texts.pop_front() {
                    return Ok(Some(Reply::Message(text)));
                }
                call.task = Some(Task { ask, doing: Doing::Message { until: core.now + timeout } });
                Ok(None)
            }
        }
    }

    /// A call in progress that `ask` may command.
    fn commanded(&mut self, ask: Ask, id: CallId) -> Result<(&mut Call, &mut Core), Failure> {
        let may = self.calls.get(&id).is_some_and(|call| self.may(ask.origin, call));
        let (call, core) = self.call(id).filter(|_| may).ok_or(Failure::NoSuchCall)?;
        if call.over.is_some() { Err(Failure::HungUp) } else { Ok((call, core)) }
    }

    /// A message of the party is there.
    pub(super) fn on_text(&mut self, id: CallId) {
        let Some((call, _)) = self.call(id).filter(|(call, _)| call.awaits_text()) else { return };
        if let Some(text) = call.texts.pop_front() {
            self.finish_task(id, Reply::Message(text));
        }
    }

    /// How a message within a call went.
    pub(super) fn on_texted(&mut self, ask: Ask, result: Result<u16, Failure>) {
        let reply = result.map_or_else(Reply::Failed, |code| Reply::Sent { code });
        self.reply(ask, reply);
    }
}

/// The Content-Type of a text, which is UTF-8.
pub(super) fn content_type(kind: &str) -> String {
    if kind.starts_with("text/") { format!("{kind};charset=UTF-8") } else { kind.to_owned() }
}
