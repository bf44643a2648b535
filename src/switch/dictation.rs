//! Keys to a call's party, by order of its flow or, beside whatever the call does, of the operator.

use std::{collections::VecDeque, time::Duration};

use super::{
    call::Call,
    core::Core,
    info::Dictated,
    switch::Switch,
    task::{Ask, Doing, check_digits},
};
use crate::{
    ids::CallId,
    media::Command,
    time::Time,
    verbs::{Failure, Reply},
};

/// Orders of one call at a time: so many the engine takes ([`Command::Digits`]).
const ORDERS: usize = 4;

/// The orders that are under way, each kind in the order in which they were given.
#[derive(Default)]
pub(super) struct Dictation {
    /// Those that the engine carries out, and who waits for it; none: the call's task does.
    sent: VecDeque<Option<Ask>>,
    /// Those beside the call's task that go out by INFO.
    by_info: VecDeque<(Ask, Dictated)>,
}

impl Dictation {
    /// When the next key of an order beside the task is due.
    pub fn timeout(&self) -> Option<Time> {
        self.by_info.front().map(|(_, order)| order.next)
    }

    /// Who waits for an order beside the task; there will be no answer of the engine.
    pub fn give_up(&mut self) -> Vec<Ask> {
        let waiting = self.sent.drain(..).flatten();
        waiting.chain(self.by_info.drain(..).map(|(ask, _)| ask)).collect()
    }
}

impl Call {
    /// Have the engine send keys; `ask` is answered when it has, else the call's task is over.
    pub(super) fn send_digits(
        &mut self,
        core: &mut Core,
        ask: Option<Ask>,
        (digits, length, gap): (&str, Duration, Duration),
    ) -> Result<(), Failure> {
        let Some(open) = self.port.open() else { return Err(Failure::WrongState) };
        check_digits(digits)?;
        if open.agreed.is_none() {
            return Err(Failure::WrongState);
        }
        if self.dictation.sent.len() >= ORDERS {
            return Err(Failure::Limit("orders of digits at a time"));
        }
        let port = open.id;
        self.dictation.sent.push_back(ask);
        self.command(core, Command::Digits { port, digits: digits.into(), length, gap });
        Ok(())
    }

    /// Send keys beside whatever the call does: they are heard in the place of what is said to the party meanwhile.
    pub fn dictate_beside(
        &mut self,
        core: &mut Core,
        ask: Ask,
        (digits, length, gap): (&str, Duration, Duration),
    ) -> Result<(), Failure> {
        if !self.takes_info(core) {
            return self.send_digits(core, Some(ask), (digits, length, gap));
        }
        check_digits(digits)?;
        if matches!(self.task.as_ref().map(|task| &task.doing), Some(Doing::SendInfo(_))) {
            return Err(Failure::WrongState);
        }
        if self.dictation.by_info.len() >= ORDERS {
            return Err(Failure::Limit("orders of digits at a time"));
        }
        self.dictation.by_info.push_back((ask, Dictated::new(core.now, digits, length, gap)));
        Ok(())
    }

    /// What is due of the orders that go out by INFO; gives who is to be told that its order is done.
    fn dictate_due(&mut self, core: &mut Core) -> Option<Ask> {
        let (ask, order) = self.dictation.by_info.front_mut().filter(|(_, order)| order.next <= core.now)?;
        match order.step(core.now) {
            Some((Some(key), length)) => self.send_info(core, key, length),
            Some((None, _)) => {}
            None => {
                let ask = *ask;
                self.dictation.by_info.pop_front();
                if let Some((_, next)) = self.dictation.by_info.front_mut() {
                    next.next = core.now;
                }
                return Some(ask);
            }
        }
        None
    }
}

impl Switch {
    /// Keys that go out by INFO beside the call's task.
    pub(super) fn dictation_timeout(&mut self, id: CallId) {
        let Some((call, core)) = self.call(id) else { return };
        if let Some(ask) = call.dictate_due(core) {
            self.reply(ask, Reply::Done);
        }
    }

    /// The engine has sent the keys of an order.
    pub(super) fn digits_sent(&mut self, id: CallId) {
        let Some((call, _)) = self.call(id) else { return };
        let sending = matches!(call.task.as_ref().map(|task| &task.doing), Some(Doing::SendDigits));
        match call.dictation.sent.pop_front() {
            Some(Some(ask)) => self.reply(ask, Reply::Done),
            Some(None) if sending => self.finish_task(id, Reply::Done),
            Some(None) | None => {}
        }
    }
}
