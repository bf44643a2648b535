//! Who answers a call that we made: the engine listens, the flow waits for what it finds.

use std::time::Duration;

use super::{call::Call, core::Core, switch::Switch, task::Doing};
use crate::{
    audio::progress::Progress,
    ids::CallId,
    media::{self, Command},
    time::Time,
    verbs::{Heard, Reply},
};

/// A flow waits for what is heard.
#[derive(Clone, Copy, Debug)]
pub(super) struct Detecting {
    /// Not longer than this.
    pub until: Time,
    /// Of a machine, its beep is waited for.
    beep: bool,
    machine: bool,
}

impl Detecting {
    /// What was found, where it ends the waiting.
    fn handle(&mut self, what: Heard) -> Option<Reply> {
        let (what, beep) = match what {
            // It goes on ringing: somebody may still answer.
            Heard::Ringing => return None,
            Heard::Machine if self.beep => {
                self.machine = true;
                return None;
            }
            Heard::Beep if !self.machine => return None,
            Heard::Beep => (Heard::Machine, true),
            Heard::Busy
            | Heard::Congestion
            | Heard::Dial
            | Heard::Sit
            | Heard::Fax
            | Heard::Human
            | Heard::Machine
            | Heard::Silence => (what, false),
        };
        Some(Reply::Heard { what: Some(what), beep })
    }

    /// The time is over.
    pub fn give_up(&self) -> Reply {
        Reply::Heard { what: self.machine.then_some(Heard::Machine), beep: false }
    }
}

impl Call {
    /// Begin to listen.
    pub fn detect(&mut self, core: &mut Core, beep: bool, timeout: Duration) -> Detecting {
        self.listen_for_answer(core, true);
        Detecting { until: core.now + timeout, beep, machine: false }
    }

    fn listen_for_answer(&mut self, core: &mut Core, on: bool) {
        if let Some(port) = self.port.open().map(|open| open.id) {
            let listener = on.then(|| Box::new(Progress::new(media::RATE)));
            self.command(core, Command::Detect { port, listener });
        }
    }
}

impl Switch {
    /// The engine heard something of who answers.
    pub(super) fn on_heard(&mut self, id: CallId, what: Heard) {
        let Some((call, _)) = self.call(id) else { return };
        if let Some(Doing::Detect(detecting)) = call.task.as_mut().map(|task| &mut task.doing)
            && let Some(reply) = detecting.handle(what)
        {
            self.end_detect(id, reply);
        }
    }

    pub(super) fn end_detect(&mut self, id: CallId, reply: Reply) {
        if let Some((call, core)) = self.call(id) {
            call.listen_for_answer(core, false);
        }
        self.finish_task(id, reply);
    }
}
