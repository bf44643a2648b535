//! Who is on recordings: whoever is in the conversation while it is recorded, and whose call ordered it. By these numbers
//! recordings are found and erased.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{Output, Progress, bridge::Joined, call::Call, core::Core, switch::Switch};
use crate::{
    ids::{CallId, RecordingId},
    verbs::files_of,
};

/// Most people that one recording names. A room through which more went in one recording names no more.
const MOST: usize = 1000;

/// What lies beside a recording while it goes on.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RecordingNote {
    /// Its call.
    #[serde(flatten)]
    pub call: Progress,
    /// As [`CallRecord::recorded_parties`](super::CallRecord::recorded_parties): of its own files.
    pub recorded_parties: BTreeMap<String, Vec<String>>,
}

/// For each of the files of a recording its people.
pub(super) fn by_file(file: &str, apart: bool, people: &BTreeSet<String>) -> BTreeMap<String, Vec<String>> {
    files_of(file, apart).into_iter().map(|file| (file, people.iter().cloned().collect())).collect()
}

impl Call {
    /// The numbers of its leg.
    pub fn people(&self) -> impl Iterator<Item = String> {
        let known = |party: &&String| !party.is_empty() && *party != "anonymous";
        [&self.about.from, &self.about.to].into_iter().filter(known).cloned()
    }

    /// They are on the recording, too.
    fn add_voices(&mut self, core: &mut Core, recording: RecordingId, people: &BTreeSet<String>) {
        let Some(found) = self.recordings.iter_mut().find(|r| r.id == recording) else { return };
        let room = MOST.saturating_sub(found.people.len());
        let new: Vec<String> = people.difference(&found.people).take(room).cloned().collect();
        if new.is_empty() {
            return;
        }
        found.people.extend(new);
        let recorded_parties = found.parties();
        let note = Box::new(RecordingNote { call: self.stands_now(core), recorded_parties });
        core.out.push_back(Output::NoteRecording { recording, note });
    }
}

impl Switch {
    /// A room is recorded: all who are in it are on it.
    pub(super) fn note_tape(&mut self, room: &str, recording: RecordingId) {
        let Some(room) = self.rooms.get_mut(room) else { return };
        room.tapes.retain(|tape| self.core.recordings.contains_key(tape));
        room.tapes.insert(recording);
        let member = room.members().next();
        if let Some(member) = member {
            self.note_voices(member);
        }
    }

    /// Somebody came to this call, or it began to record: who is with it is on what is recorded there from now on.
    pub(super) fn note_voices(&mut self, id: CallId) {
        let Some(call) = self.calls.get(&id) else { return };
        let (group, tapes) = match &call.joined {
            Joined::Alone => (vec![id], Vec::new()),
            Joined::Peer { peer, .. } => (vec![id, *peer], Vec::new()),
            Joined::Room(name) => match self.rooms.get(name) {
                Some(room) => (room.members().collect(), room.tapes.iter().copied().collect()),
                None => return,
            },
            // Where it whispers it is heard.
            Joined::Watch { of } => match self.calls.get(of).map(|call| &call.joined) {
                Some(Joined::Peer { .. } | Joined::Room(_)) => return self.note_voices(*of),
                Some(Joined::Alone | Joined::Watch { .. }) | None => return,
            },
        };
        let owner = |recording: RecordingId| Some((*self.core.recordings.get(&recording)?, recording));
        let mut recorded: BTreeSet<(CallId, RecordingId)> = tapes.into_iter().filter_map(owner).collect();
        for member in group.iter().filter_map(|id| self.calls.get(id)) {
            recorded.extend(member.hearing_recordings().map(|recording| (member.id, recording)));
        }
        if recorded.is_empty() {
            return;
        }
        let watchers = group.iter().filter_map(|member| self.watchers.get(member)).flatten();
        let all = group.iter().chain(watchers).filter_map(|id| self.calls.get(id));
        let people: BTreeSet<String> = all.flat_map(|call| call.people()).collect();
        for (owner, recording) in recorded {
            if let Some((call, core)) = self.call(owner) {
                call.add_voices(core, recording, &people);
            }
        }
    }
}
