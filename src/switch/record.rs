//! Recordings of a call, and of the rooms that its flow has recorded: begun, paused and finished by its flow, by a key, by their limit, or with the port. A recording
//! is over when the engine told its length *and* the disk closed the file.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{
    Output, RecordingNote,
    call::{Call, Notice},
    core::Core,
    happened::{self, What},
    play,
    switch::Switch,
    task::{Ask, Doing},
    voices,
};
use crate::{
    codec::Rate,
    ids::{BridgeId, CallId, PortId, RecordingId, WorkerId},
    media::{Block, Command, Ends, Layout, RATE, Shape},
    time::civil,
    verbs::{Failure, FileFormat, Record, RecordEnd, RecordMode, Reply, Torn, Voices, files_of},
};

/// The memory of one recording in the engine: two seconds in pieces of a quarter.
const BLOCKS: usize = 8;
const BLOCK: usize = RATE as usize / 4;

pub(super) struct Recording {
    pub id: RecordingId,
    stop_on: String,
    /// The key that stopped it.
    key: Option<char>,
    /// Who waits for its end.
    waiting: Option<Ask>,
    /// It makes two files.
    apart: bool,
    mode: RecordMode,
    rate: Rate,
    /// Where a room is recorded.
    tape: Option<Tape>,
    /// What the engine told: samples per channel, and why it ended.
    done: Option<(u64, RecordEnd)>,
    /// Its file, as it was ordered.
    file: String,
    /// What the party hears is in it, too.
    hears: bool,
    /// Who is on it.
    pub people: BTreeSet<String>,
    /// What the disk told: why it took no more, where it did not take all.
    written: Option<Result<(), Torn>>,
}

/// Of a room: its bridge, what stands for a port, and on which thread.
#[derive(Clone, Copy, Debug)]
struct Tape {
    bridge: BridgeId,
    name: PortId,
    worker: WorkerId,
}

/// What a recording is made of.
pub(super) struct Plan {
    pub recording: RecordingId,
    pub rate: Rate,
    pub ends: Ends,
    pub blocks: Vec<Block>,
    pub layout: Layout,
    file: String,
    shape: Shape,
}

impl Recording {
    /// It runs, and what the call's party says and hears is left out of it now.
    pub fn hides(&self) -> bool {
        self.mode != RecordMode::Keep && self.done.is_none() && self.tape.is_none()
    }

    /// Who is on each of its files.
    pub fn parties(&self) -> BTreeMap<String, Vec<String>> {
        voices::by_file(&self.file, self.apart, &self.people)
    }
}

impl Call {
    /// Begin to record.
    pub fn record(&mut self, core: &mut Core, how: &Record) -> Result<RecordingId, Failure> {
        let Some((port, worker)) = self.port.open().map(|open| (open.id, open.worker)) else {
            return Err(Failure::WrongState);
        };
        let plan = self.plan(core, how, self.rate())?;
        let Plan { recording, layout, rate, ends, .. } = plan;
        let blocks = self.note_recording(core, how, plan, (port, worker), None);
        self.command(core, Command::Record { port, recording, layout, rate, ends, blocks });
        Ok(recording)
    }

    /// How it is to be recorded; `rate` is the highest that there is to be heard.
    pub fn plan(&self, core: &mut Core, how: &Record, rate: Rate) -> Result<Plan, Failure> {
        if self.recordings.len() >= core.config.limits.recordings_per_call {
            return Err(Failure::Limit("recordings of a call"));
        }
        let recording = RecordingId(core.id());
        let format =
            how.format.or_else(|| how.file.as_deref().and_then(FileFormat::of_file)).unwrap_or(FileFormat::Wav);
        let file = match &how.file {
            Some(file) => with_ending(file, format),
            None => {
                let day = date(core.epoch.unix(core.now).as_secs());
                format!("{day}/{}-{}.{}", self.name, recording.0, format.as_str())
            }
        };
        if !is_below(&file) {
            return Err(Failure::Media(format!("{file:?} is no path below the recording folder")));
        }
        let layout = match (how.voices, &how.room) {
            (Voices::Party, _) | (_, Some(_)) => Layout::Party,
            (Voices::Stereo | Voices::Apart, None) => Layout::Stereo,
            (Voices::Mixed, None) => Layout::Mix,
        };
        let rate = how.rate.unwrap_or(rate.min(core.config.rules.record_rate));
        let capacity = BLOCK * rate.scale() * usize::from(layout.channels());
        let blocks = (0..BLOCKS).map(|_| Block { samples: Vec::with_capacity(capacity) }).collect();
        let longest = how.max.into_iter().chain(core.config.rules.record_most).min();
        let ends = Ends {
            after: longest.map(|longest| samples(longest, rate)),
            quiet: how.end_of_silence.map(|quiet| samples(quiet, rate)),
        };
        let apart = how.voices == Voices::Apart && how.room.is_none();
        let shape = Shape { layout, format, apart, rate: rate.hz() };
        Ok(Plan { recording, rate, ends, blocks, layout, file, shape })
    }

    /// The recording runs from now on, at a port, or of a bridge at what stands for one. Gives the blocks that the engine
    /// is to fill.
    pub fn note_recording(
        &mut self,
        core: &mut Core,
        how: &Record,
        plan: Plan,
        (port, worker): (PortId, WorkerId),
        bridge: Option<BridgeId>,
    ) -> Vec<Block> {
        let Plan { recording, rate, blocks, file, shape, .. } = plan;
        core.recordings.insert(recording, self.id);
        let room = how.room.clone();
        let files = files_of(&file, shape.apart);
        self.happened(core, What::Recording { recording: recording.0, file: file.clone(), files, room });
        let people: BTreeSet<String> = self.people().collect();
        let recorded_parties = voices::by_file(&file, shape.apart, &people);
        let note = Box::new(RecordingNote { call: self.stands_now(core), recorded_parties });
        core.out.push_back(Output::OpenRecording { recording, file: file.clone(), shape, port, worker, note });
        core.tell(self.id, Notice::Records);
        self.recordings.push(Recording {
            id: recording,
            stop_on: how.stop_on.clone(),
            key: None,
            waiting: None,
            apart: shape.apart,
            mode: RecordMode::Keep,
            rate,
            tape: bridge.map(|bridge| Tape { bridge, name: port, worker }),
            done: None,
            file,
            hears: shape.layout != Layout::Party,
            people,
            written: None,
        });
        blocks
    }

    /// Tell the engine something about a recording, where it is there to be told.
    fn command_recording(&mut self, core: &mut Core, recording: RecordingId, make: impl FnOnce(PortId) -> Command) {
        let Some(found) = self.recordings.iter().find(|r| r.id == recording) else { return };
        match (found.tape, self.port.open().map(|open| open.id)) {
            (Some(tape), _) => core.media(tape.worker, make(tape.name)),
            (None, Some(port)) => self.command(core, make(port)),
            (None, None) => {}
        }
    }

    /// `ask` waits for the end of the recording.
    pub fn await_recording(&mut self, recording: RecordingId, ask: Ask) {
        if let Some(found) = self.recordings.iter_mut().find(|r| r.id == recording) {
            found.waiting = Some(ask);
        }
    }

    pub fn stop_recording(&mut self, core: &mut Core, recording: RecordingId, ask: Ask) -> Result<(), Failure> {
        let found = self.recordings.iter_mut().find(|r| r.id == recording && r.waiting.is_none());
        found.ok_or(Failure::NoSuchRecording)?.waiting = Some(ask);
        self.command_recording(core, recording, |port| Command::StopRecording { port, recording });
        Ok(())
    }

    pub fn record_as(&mut self, core: &mut Core, recording: RecordingId, mode: RecordMode) -> Result<(), Failure> {
        let found = self.recordings.iter_mut().find(|r| r.id == recording && r.done.is_none());
        let before = std::mem::replace(&mut found.ok_or(Failure::NoSuchRecording)?.mode, mode);
        if before != mode {
            self.happened(core, What::RecordingMode { recording: recording.0, mode: happened::mode(mode) });
        }
        self.command_recording(core, recording, |port| Command::RecordAs { port, recording, mode });
        Ok(())
    }

    /// Its recordings of rooms that are not over.
    pub fn running_tapes(&self) -> impl Iterator<Item = (RecordingId, BridgeId)> {
        let running = self.recordings.iter().filter(|recording| recording.done.is_none());
        running.filter_map(|recording| Some((recording.id, recording.tape?.bridge)))
    }

    /// Its recordings that go on and have in them what it hears.
    pub fn hearing_recordings(&self) -> impl Iterator<Item = RecordingId> {
        let hears = |recording: &&Recording| recording.hears && recording.tape.is_none() && recording.done.is_none();
        self.recordings.iter().filter(hears).map(|recording| recording.id)
    }

    /// Another call has the recording from now on; nobody waits for it there.
    pub fn give_tape(&mut self, recording: RecordingId) -> Option<Recording> {
        let at = self.recordings.iter().position(|r| r.id == recording)?;
        let given = self.recordings.swap_remove(at);
        Some(Recording { stop_on: String::new(), key: None, waiting: None, ..given })
    }

    /// The disk is through with a recording: what there is of it belongs to the call. Gives its files, and what went wrong.
    fn note_files(&mut self, ended: &Recording, written: Result<(), Torn>) -> (Vec<String>, Option<String>) {
        let error = written.err();
        let there = error.as_ref().is_none_or(|torn| torn.begun);
        let files = if there { files_of(&ended.file, ended.apart) } else { Vec::new() };
        let error = error.map(|torn| torn.why);
        self.about.files.extend(files.iter().cloned());
        if !files.is_empty() {
            self.about.recorded_parties.extend(ended.parties());
        }
        self.about.file_errors.extend(error.clone());
        (files, error)
    }

    /// The call is let go, though the disk is not through with its recordings.
    pub fn leave_recordings(&mut self, core: &mut Core) {
        for recording in std::mem::take(&mut self.recordings) {
            core.recordings.remove(&recording.id);
            let error = format!("{}: the disk was not through with it", recording.file);
            self.about.file_errors.push(error.clone());
            let (recording, error) = (recording.id.0, Some(error));
            self.happened(core, What::Recorded { recording, files: Vec::new(), seconds: 0.0, reason: "disk", error });
        }
    }

    /// A key. True where it stopped a recording, and is nobody else's.
    pub fn key_stops_recording(&mut self, core: &mut Core, key: char) -> bool {
        let mut stopped = Vec::new();
        for recording in &mut self.recordings {
            if recording.stop_on.contains(key) && recording.key.is_none() && recording.done.is_none() {
                recording.key = Some(key);
                stopped.push(recording.id);
            }
        }
        for &recording in &stopped {
            self.command_recording(core, recording, |port| Command::StopRecording { port, recording });
        }
        !stopped.is_empty()
    }
}

impl Switch {
    /// The engine is through with a recording.
    pub(super) fn on_record_done(&mut self, recording: RecordingId, (samples, missed): (u64, u64), why: RecordEnd) {
        if missed > 0 {
            tracing::warn!(%recording, missed, "the disk was too slow: the recording has gaps");
        }
        if let Some(found) = self.recording(recording) {
            found.done = Some((samples, why));
        }
        if let Some(call) = self.core.recordings.get(&recording) {
            self.tend_mask(*call);
        }
        self.finish_recording(recording);
    }

    /// The disk is through with a recording.
    pub(super) fn on_recording_written(&mut self, recording: RecordingId, result: Result<String, Torn>) {
        if let Err(Torn { why, begun }) = &result {
            tracing::error!(%recording, why, begun, "a recording is not whole");
        }
        if let Some((call, core)) = self.recording_call(recording)
            && let Some(found) = call.recordings.iter_mut().find(|r| r.id == recording)
        {
            // A disk that fails at once stops the engine, too.
            let stop = result.is_err() && found.done.is_none();
            found.written = Some(result.map(drop));
            if stop {
                call.command_recording(core, recording, |port| Command::StopRecording { port, recording });
            }
        }
        self.finish_recording(recording);
    }

    fn recording_call(&mut self, recording: RecordingId) -> Option<(&mut Call, &mut Core)> {
        let call = *self.core.recordings.get(&recording)?;
        self.call(call)
    }

    fn recording(&mut self, recording: RecordingId) -> Option<&mut Recording> {
        let (call, _) = self.recording_call(recording)?;
        call.recordings.iter_mut().find(|r| r.id == recording)
    }

    fn finish_recording(&mut self, recording: RecordingId) {
        let Some((call, core)) = self.recording_call(recording) else { return };
        let over = |r: &Recording| r.id == recording && r.written.is_some() && r.done.is_some();
        let Some(at) = call.recordings.iter().position(over) else { return };
        let mut ended = call.recordings.remove(at);
        core.recordings.remove(&recording);
        let (Some((samples, why)), Some(written)) = (ended.done, ended.written.take()) else { return };
        let length = play::length(samples / ended.rate.scale() as u64);
        let why = ended.key.map_or(why, RecordEnd::Key);
        let (files, error) = call.note_files(&ended, written);
        let over = What::Recorded {
            recording: recording.0,
            files: files.clone(),
            seconds: length.as_secs_f64(),
            reason: if error.is_some() { "disk" } else { why.as_str() },
            error: error.clone(),
        };
        call.happened(core, over);
        let reply = match error {
            None => Reply::Recorded { recording, files, length, why },
            Some(why) => Reply::Failed(Failure::Disk(why)),
        };
        let id = call.id;
        if let Some(ask) = ended.waiting {
            self.end_task_if(id, |doing| matches!(doing, Doing::Record(waiting) if *waiting == recording));
            self.reply(ask, reply);
        }
    }

    /// The call is over: nobody is told about its recordings any more. Those of rooms become another's, who is there.
    pub(super) fn silence_recordings(&mut self, call: CallId) {
        self.hand_tapes_on(call);
        if let Some((call, _)) = self.call(call) {
            for recording in &mut call.recordings {
                recording.waiting = None;
            }
        }
    }
}

/// So much time in samples at `rate`.
fn samples(length: Duration, rate: Rate) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX).saturating_mul(u64::from(rate.hz() / 1000))
}

fn with_ending(file: &str, format: FileFormat) -> String {
    if FileFormat::of_file(file) == Some(format) { file.to_owned() } else { format!("{file}.{}", format.as_str()) }
}

/// A relative path that stays below its folder.
fn is_below(file: &str) -> bool {
    let part = |part: &str| !part.is_empty() && part != "." && part != ".." && !part.starts_with('~');
    file.len() <= 255
        && file.split('/').all(part)
        && !file.contains(['\\', '\0', ':'])
        && !file.chars().any(char::is_control)
}

/// The day as `YYYY-MM-DD`, from seconds since 1970.
fn date(unix: u64) -> String {
    let (year, month, day) = civil(unix);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_named_right_around_leap_days_and_new_year() {
        for (unix, want) in [
            (0, "1970-01-01"),
            (951_782_400, "2000-02-29"),
            (951_868_800, "2000-03-01"),
            (1_767_225_599, "2025-12-31"),
            (1_767_225_600, "2026-01-01"),
            (4_107_542_399, "2100-02-28"),
            (4_107_542_400, "2100-03-01"),
        ] {
            assert_eq!(date(unix), want);
        }
    }

    #[test]
    fn a_recording_cannot_be_written_outside_its_folder() {
        for bad in ["/etc/passwd", "../x.wav", "a/../../x.wav", "", "a//b.wav", "~/x.wav", "a\\b.wav", "a\nb.wav"] {
            assert!(!is_below(bad), "{bad:?}");
        }
        assert!(is_below("2026/voicemail-7.wav"));
        assert_eq!(with_ending("a.b", FileFormat::Wav), "a.b.wav");
        assert_eq!(with_ending("a.MP3", FileFormat::Mp3), "a.MP3");
    }
}
