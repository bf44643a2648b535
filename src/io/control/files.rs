//! What the control task has to do with files: recordings and call records, which the disk thread writes.

use super::Control;
use crate::{
    ids::RecordingId,
    io::{
        disk::{FromDisk, ToDisk},
        ring::Full,
    },
    media,
    switch::{CallRecord, Input, RecordingNote},
    verbs::Torn,
};

impl Control {
    /// What the disk thread tells.
    pub(super) fn take_files(&mut self) {
        self.ends.from_disk.acknowledge();
        while let Some(told) = self.ends.from_disk.pop() {
            match told {
                FromDisk::Written { recording, result } => self.handle(Input::RecordingWritten { recording, result }),
                FromDisk::CallRecordLost { record, reason } => {
                    self.records_lost += 1;
                    tracing::error!(record, reason, "a call record was not written; it is only in this line");
                }
            }
        }
    }

    /// Have the file of a recording made.
    pub(super) fn open_recording(
        &mut self,
        recording: RecordingId,
        file: String,
        (shape, note): (media::Shape, &RecordingNote),
    ) {
        let note = serde_json::to_string(note).expect("how a call stands is plain data");
        if self.ends.disk.push(ToDisk::Open { recording, file: file.clone(), shape, note }).is_err() {
            let torn = Torn { why: format!("{file}: the disk cannot follow"), begun: false };
            self.echoes.push(Input::RecordingWritten { recording, result: Err(torn) });
        }
    }

    /// Have what is known of a recording kept beside it.
    pub(super) fn note_recording(&mut self, recording: RecordingId, note: &RecordingNote) {
        let note = serde_json::to_string(note).expect("how a call stands is plain data");
        if self.ends.disk.push(ToDisk::Note { recording, note }).is_err() {
            tracing::error!(%recording, "the disk cannot follow: who is on a recording is noted at its end only");
        }
    }

    /// A call is over: its record goes to the log and to the disk.
    pub(super) fn record(&mut self, record: &CallRecord) {
        let line = serde_json::to_string(record).expect("a record is plain data");
        tracing::info!(
            call = record.id,
            from = record.from,
            to = record.to,
            status = %record.status,
            reason = %record.end_reason,
            code = record.code,
            talked = %format_args!("{:.1}s", record.talk_seconds),
            error = record.error,
            "call ended"
        );
        let recorded = !record.recordings.is_empty();
        if let Err(Full(ToDisk::CallRecord { line, .. })) = self.ends.disk.push(ToDisk::CallRecord { line, recorded }) {
            tracing::error!(record = line, "the disk cannot follow: this call's record is only in this line");
        }
    }
}
