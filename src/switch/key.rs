//! Keys of the party: whom they are for.

use super::{bridge::Joined, switch::Switch, task::Doing};
use crate::{
    ids::CallId,
    verbs::{LeaveReason, Reply},
};

impl Switch {
    /// A key of the party: recordings first, then what is played, then the task; else, where the party is alone, it waits for the next gather.
    pub(super) fn on_key(&mut self, id: CallId, key: char) {
        let Some((call, core)) = self.call(id) else { return };
        if call.over.is_some() || call.key_stops_recording(core, key) || self.key_for_play(id, key) {
            return;
        }
        let Some((call, core)) = self.call(id) else { return };
        let now = core.now;
        match call.task.as_mut().map(|task| &mut task.doing) {
            Some(Doing::Gather(collector)) => {
                let step = collector.handle_key(now, key);
                self.gathered(id, step);
            }
            Some(Doing::Bridge { stop_on } | Doing::Room { stop_on }) if stop_on.contains(key) => {
                self.part(id);
                self.finish_task(id, Reply::Left(LeaveReason::Key(key)));
            }
            Some(Doing::Echo { stop_on, .. }) if stop_on.contains(key) => {
                self.end_echo(id, LeaveReason::Key(key));
            }
            // What was pressed in a conversation was meant for the other party, not for the next question.
            Some(_) | None if call.joined != Joined::Alone => {}
            Some(_) | None => call.keep_key(key),
        }
    }
}
