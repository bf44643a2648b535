//! The disk thread: recordings as files that are valid while they grow, and call records as lines of JSON.
//!
//! Encoding is done here, too. A WAV file says its length in its header. The header is written anew about once a
//! second, so that after a crash the file can be played up to there; MP3 and Ogg end anywhere. A full disk ends a
//! recording with an error; it ends nothing else.

mod file;
mod lame;
mod opus;
mod replace;

use std::{
    collections::{BTreeMap, VecDeque},
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    ops::ControlFlow,
    path::PathBuf,
    sync::{Arc, mpsc},
    thread::{self, JoinHandle},
    time::Duration,
};

use file::Recording;
use lame::Lame;
pub use replace::replace;

use super::{
    clock::Clock,
    ring::{Full, Ring},
    worker::{ToWorker, WorkerHandle},
};
use crate::{
    ids::{PortId, RecordingId},
    media::{Block, Command, Shape, Spent},
    time::Time,
    verbs::Torn,
};

/// Headers are brought up to date this often.
const PATCH: Duration = Duration::from_secs(1);
/// A disk that takes no call records is tried again so often.
const AGAIN: Duration = Duration::from_secs(1);
/// Call records that wait for such a disk.
const UNWRITTEN: usize = 20_000;
/// Something did not fit into a ring: try again so much later.
const RETRY: Duration = Duration::from_millis(5);

/// Where to write.
#[derive(Clone, Debug)]
pub struct DiskConfig {
    /// Folder of recordings; made if need be.
    pub recordings: PathBuf,
    /// File to which call records are added; absent: none are kept.
    pub call_records: Option<PathBuf>,
    /// Recordings are uploaded after their call: what is still to be uploaded lies beside each from its beginning on.
    pub upload: bool,
    /// Who is told of each call record that names recordings, too.
    pub archive: Option<mpsc::Sender<String>>,
    /// The process's clock.
    pub clock: Clock,
}

/// What the disk thread is told.
#[derive(Debug)]
pub enum ToDisk {
    /// A recording begins. To be sent before its [`Command::Record`]. An older file of this name is replaced.
    Open {
        /// Its name.
        recording: RecordingId,
        /// Path below the folder of recordings.
        file: String,
        /// How it is written.
        shape: Shape,
        /// What is known of its call, one JSON document: kept beside the file until the call's record takes its place.
        note: String,
    },
    /// What is known of a recording's call by now; it takes the place of what was noted before.
    Note {
        /// Its name.
        recording: RecordingId,
        /// One JSON document.
        note: String,
    },
    /// Audio; sent by media threads.
    Block {
        /// Which port, to send the block back.
        port: PortId,
        /// Of which recording.
        recording: RecordingId,
        /// The audio. Goes back by [`Command::Space`].
        block: Block,
        /// Who wants the block back.
        from: WorkerHandle,
    },
    /// No more blocks follow; sent by media threads. Answered by [`FromDisk::Written`].
    Done {
        /// Which recording.
        recording: RecordingId,
        /// Samples per channel. What has not come of them is written as silence.
        samples: u64,
    },
    /// A call record.
    CallRecord {
        /// One JSON document, without an end of line.
        line: String,
        /// It names recordings.
        recorded: bool,
    },
    /// Memory to be freed where that may take time.
    Free(Spent),
    /// Finish all files and end.
    Shutdown,
}

/// What the disk thread tells.
#[derive(Debug, PartialEq, Eq)]
pub enum FromDisk {
    /// A recording's file is complete; or is not, and why. Told once for each [`ToDisk::Open`].
    Written {
        /// Which recording.
        recording: RecordingId,
        /// The file, as it was given.
        result: Result<String, Torn>,
    },
    /// A call record could not be written for so long that there was no more room for it.
    CallRecordLost {
        /// The record.
        record: String,
        /// Why.
        reason: String,
    },
}

/// A running disk thread.
#[derive(Debug)]
pub struct Disk {
    thread: JoinHandle<()>,
}

impl Disk {
    /// Wait until it has ended, after [`ToDisk::Shutdown`].
    pub fn join(self) {
        // A panic has been printed.
        let _ = self.thread.join();
    }
}

/// Start the disk thread, which reads `inbox`.
pub fn spawn(config: DiskConfig, inbox: Ring<ToDisk>, outbox: Ring<FromDisk>) -> io::Result<Disk> {
    fs::create_dir_all(&config.recordings)?;
    let thread = thread::Builder::new().name("disk".into()).spawn(move || Writer::new(config, inbox, outbox).run())?;
    Ok(Disk { thread })
}

struct Writer {
    config: DiskConfig,
    inbox: Ring<ToDisk>,
    outbox: Ring<FromDisk>,
    recordings: BTreeMap<RecordingId, Recording>,
    /// Headers are due.
    patch: Time,
    /// Did not fit into the rings they are for.
    untold: VecDeque<FromDisk>,
    space: VecDeque<(WorkerHandle, Command)>,
    /// Where call records go, while there are some at hand. Opened for each burst, so that who keeps logs short may
    /// move the file away.
    records: Option<File>,
    /// The last call record was cut off by an error.
    torn: bool,
    /// Call records that the disk did not take, the oldest first; and when it is tried again.
    unwritten: VecDeque<String>,
    again: Time,
    /// Once it was needed.
    lame: Option<Arc<Lame>>,
}

impl Writer {
    fn new(config: DiskConfig, inbox: Ring<ToDisk>, outbox: Ring<FromDisk>) -> Writer {
        let now = config.clock.now();
        let patch = now + PATCH;
        Writer {
            config,
            inbox,
            outbox,
            recordings: BTreeMap::new(),
            patch,
            untold: VecDeque::new(),
            space: VecDeque::new(),
            records: None,
            torn: false,
            unwritten: VecDeque::new(),
            again: now,
            lame: None,
        }
    }

    fn run(mut self) {
        loop {
            self.sleep();
            self.inbox.acknowledge();
            while let Some(item) = self.inbox.pop() {
                if self.handle(item).is_break() {
                    return self.finish();
                }
            }
            let now = self.config.clock.now();
            self.write_again(now);
            self.records = None;
            self.patch_headers(now);
            self.tell();
        }
    }

    /// Until something comes, headers are due, or a ring may have room again.
    fn sleep(&self) {
        let waiting = !self.untold.is_empty() || !self.space.is_empty();
        let until_patch = (!self.recordings.is_empty()).then(|| self.patch - self.config.clock.now());
        let until_again = (!self.unwritten.is_empty()).then(|| self.again - self.config.clock.now());
        let timeout = until_patch.into_iter().chain(until_again).chain(waiting.then_some(RETRY)).min();
        super::wait_for(&self.inbox, timeout);
        // Call records and memory to be freed come one by one; nobody waits for them.
        super::pause();
    }

    fn handle(&mut self, item: ToDisk) -> ControlFlow<()> {
        match item {
            ToDisk::Open { recording, file, shape, note } => self.open(recording, file, (shape, &note)),
            ToDisk::Block { port, recording, mut block, from } => {
                if let Some(opened) = self.recordings.get_mut(&recording) {
                    opened.add(&block.samples);
                }
                block.samples.clear();
                self.space.push_back((from, Command::Space { port, recording, block }));
            }
            ToDisk::Done { recording, samples } => self.done(recording, samples),
            ToDisk::Note { recording, note } => self.note(recording, &note),
            ToDisk::CallRecord { line, recorded } => self.call_record(line, recorded),
            ToDisk::Free(spent) => drop(spent),
            ToDisk::Shutdown => return ControlFlow::Break(()),
        }
        ControlFlow::Continue(())
    }

    fn open(&mut self, recording: RecordingId, name: String, (shape, note): (Shape, &str)) {
        let in_use = self.recordings.values().any(|other| other.name() == name);
        let created = if in_use {
            Err(io::Error::new(io::ErrorKind::AlreadyExists, "another recording is being written to it"))
        } else {
            Recording::create(&self.config.recordings, &name, shape, recording.0, &mut self.lame)
        };
        match created {
            Ok(opened) => {
                if let Err(error) = opened.note(&self.config.recordings, note, self.config.upload) {
                    tracing::error!(file = name, %error, "nothing can be noted of a recording");
                }
                self.recordings.insert(recording, opened);
            }
            Err(error) => {
                tracing::error!(%recording, file = name, %error, "cannot record");
                let torn = Torn { why: format!("{name}: {error}"), begun: false };
                self.untold.push_back(FromDisk::Written { recording, result: Err(torn) });
            }
        }
    }

    fn note(&self, recording: RecordingId, note: &str) {
        let Some(opened) = self.recordings.get(&recording) else { return };
        if let Err(error) = opened.note_again(&self.config.recordings, note) {
            tracing::error!(file = opened.name(), %error, "nothing can be noted of a recording");
        }
    }

    /// Nothing is told where opening failed: that was told then.
    fn done(&mut self, id: RecordingId, samples: u64) {
        let Some(recording) = self.recordings.remove(&id) else { return };
        self.untold.push_back(FromDisk::Written { recording: id, result: recording.finish(samples) });
    }

    fn call_record(&mut self, record: String, recorded: bool) {
        // Its files are complete: a call's record comes after its recordings.
        if recorded && let Some(archive) = &self.config.archive {
            let told = archive.send(record.clone()).is_ok();
            debug_assert!(told, "the archive ends after the disk");
        }
        if self.config.call_records.is_none() {
            return;
        }
        // Those before it come first.
        if !self.unwritten.is_empty() {
            return self.keep_unwritten(record);
        }
        if let Err(error) = self.write_record(&record) {
            tracing::error!(%error, "call records cannot be written; they wait in memory");
            self.again = self.config.clock.now() + AGAIN;
            self.keep_unwritten(record);
        }
    }

    fn keep_unwritten(&mut self, record: String) {
        if self.unwritten.len() < UNWRITTEN {
            return self.unwritten.push_back(record);
        }
        self.untold.push_back(FromDisk::CallRecordLost { record, reason: "too many wait for the disk".to_owned() });
    }

    /// Try those again that the disk did not take.
    fn write_again(&mut self, now: Time) {
        if self.unwritten.is_empty() || now < self.again {
            return;
        }
        while let Some(record) = self.unwritten.pop_front() {
            if self.write_record(&record).is_err() {
                self.unwritten.push_front(record);
                self.again = now + AGAIN;
                return;
            }
        }
        tracing::warn!("call records are written again");
    }

    fn write_record(&mut self, record: &str) -> io::Result<()> {
        let Some(path) = &self.config.call_records else { return Ok(()) };
        let opened = match self.records.take() {
            Some(file) => Ok(file),
            None => OpenOptions::new().create(true).append(true).open(path),
        };
        let start = if self.torn { "\n" } else { "" };
        let line = format!("{start}{record}\n");
        let written = opened.and_then(|mut file| {
            self.torn = true;
            file.write_all(line.as_bytes())?;
            self.records = Some(file);
            Ok(())
        });
        if written.is_ok() {
            self.torn = false;
        }
        written
    }

    fn patch_headers(&mut self, now: Time) {
        if self.patch <= now {
            self.recordings.values_mut().for_each(Recording::patch);
            self.patch = now + PATCH;
        }
    }

    fn tell(&mut self) {
        while let Some(item) = self.untold.pop_front() {
            if let Err(Full(item)) = self.outbox.push(item) {
                self.untold.push_front(item);
                break;
            }
        }
        while let Some((to, command)) = self.space.pop_front() {
            if let Err(Full(ToWorker::Command(command))) = to.send(ToWorker::Command(command)) {
                self.space.push_front((to, command));
                break;
            }
        }
    }

    /// What is still open is closed as it is.
    fn finish(mut self) {
        let open: Vec<_> = self.recordings.keys().copied().collect();
        open.into_iter().for_each(|recording| self.done(recording, 0));
        self.write_again(self.again);
        for record in std::mem::take(&mut self.unwritten) {
            tracing::error!(record, "a call record was not written; it is only in this line");
        }
        self.tell();
    }
}

#[cfg(test)]
mod tests;
