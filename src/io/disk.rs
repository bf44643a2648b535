//! The disk thread: recordings as WAV files that are valid while they grow, and call records as lines of JSON.
//!
//! A WAV file says its length in its header. The header is written anew about once a second, so that after a crash the
//! file can be played up to there. A full disk ends a recording with an error; it ends nothing else.

use std::{
    collections::{BTreeMap, VecDeque},
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    ops::ControlFlow,
    os::unix::fs::FileExt as _,
    path::{Component, Path, PathBuf},
    thread::{self, JoinHandle},
    time::Duration,
};

use super::{
    clock::Clock,
    ring::{Full, Ring},
    worker::{ToWorker, WorkerHandle},
};
use crate::{
    audio::wav,
    ids::{PortId, RecordingId},
    media::{Block, Command, Layout, RATE, Spent},
    time::Time,
};

/// Headers are brought up to date this often.
const PATCH: Duration = Duration::from_secs(1);
/// Something did not fit into a ring: try again so much later.
const RETRY: Duration = Duration::from_millis(5);

/// Where to write.
#[derive(Clone, Debug)]
pub struct DiskConfig {
    /// Folder of recordings; made if need be.
    pub recordings: PathBuf,
    /// File to which call records are added; absent: none are kept.
    pub call_records: Option<PathBuf>,
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
        /// Gives the number of channels.
        layout: Layout,
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
    /// A call record: one JSON document, without an end of line.
    CallRecord(String),
    /// Memory to be freed where that may take time.
    Free(Spent),
    /// Finish all files and end.
    Shutdown,
}

/// What the disk thread tells.
#[derive(Debug, PartialEq, Eq)]
pub enum FromDisk {
    /// A recording's file is complete; or could not be written, and why. Told once for each [`ToDisk::Open`].
    Written {
        /// Which recording.
        recording: RecordingId,
        /// The file, as it was given.
        result: Result<String, String>,
    },
    /// A call record could not be written.
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
    /// Samples as bytes, on their way to a file.
    bytes: Vec<u8>,
}

struct Recording {
    file: File,
    name: String,
    channels: u16,
    /// Bytes of audio in the file, and in its header.
    written: u64,
    in_header: u64,
    /// Why it is given up.
    failed: Option<String>,
}

impl Writer {
    fn new(config: DiskConfig, inbox: Ring<ToDisk>, outbox: Ring<FromDisk>) -> Writer {
        let patch = config.clock.now() + PATCH;
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
            bytes: Vec::new(),
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
            self.records = None;
            self.patch_headers(self.config.clock.now());
            self.tell();
        }
    }

    /// Until something comes, headers are due, or a ring may have room again.
    fn sleep(&self) {
        let waiting = !self.untold.is_empty() || !self.space.is_empty();
        let until_patch = (!self.recordings.is_empty()).then(|| self.patch - self.config.clock.now());
        let timeout = until_patch.into_iter().chain(waiting.then_some(RETRY)).min();
        super::wait_for(&self.inbox, timeout);
        // Call records and memory to be freed come one by one; nobody waits for them.
        super::pause();
    }

    fn handle(&mut self, item: ToDisk) -> ControlFlow<()> {
        match item {
            ToDisk::Open { recording, file, layout } => self.open(recording, file, layout),
            ToDisk::Block { port, recording, mut block, from } => {
                if let Some(opened) = self.recordings.get_mut(&recording) {
                    opened.add(&block.samples, &mut self.bytes);
                }
                block.samples.clear();
                self.space.push_back((from, Command::Space { port, recording, block }));
            }
            ToDisk::Done { recording, samples } => self.done(recording, samples),
            ToDisk::CallRecord(record) => self.call_record(record),
            ToDisk::Free(spent) => drop(spent),
            ToDisk::Shutdown => return ControlFlow::Break(()),
        }
        ControlFlow::Continue(())
    }

    fn open(&mut self, recording: RecordingId, name: String, layout: Layout) {
        let in_use = self.recordings.values().any(|other| other.name == name);
        let created = if in_use {
            Err(io::Error::new(io::ErrorKind::AlreadyExists, "another recording is being written to it"))
        } else {
            create(&self.config.recordings, &name)
        };
        match created.and_then(|file| Recording::new(file, name.clone(), layout.channels())) {
            Ok(opened) => {
                self.recordings.insert(recording, opened);
            }
            Err(error) => {
                tracing::error!(%recording, file = name, %error, "cannot record");
                self.untold.push_back(FromDisk::Written { recording, result: Err(format!("{name}: {error}")) });
            }
        }
    }

    /// Nothing is told where opening failed: that was told then.
    fn done(&mut self, id: RecordingId, samples: u64) {
        let Some(mut recording) = self.recordings.remove(&id) else { return };
        recording.pad(samples, &mut self.bytes);
        recording.patch();
        let result = match recording.failed {
            None => Ok(recording.name),
            Some(reason) => Err(format!("{}: {reason}", recording.name)),
        };
        self.untold.push_back(FromDisk::Written { recording: id, result });
    }

    fn call_record(&mut self, record: String) {
        let Some(path) = &self.config.call_records else { return };
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
        match written {
            Ok(()) => self.torn = false,
            Err(error) => {
                tracing::error!(path = %path.display(), %error, "a call record is lost");
                self.untold.push_back(FromDisk::CallRecordLost { record, reason: error.to_string() });
            }
        }
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
        self.tell();
    }
}

impl Recording {
    fn new(file: File, name: String, channels: u16) -> io::Result<Recording> {
        file.write_all_at(&wav::header(channels, RATE, 0), 0)?;
        Ok(Recording { file, name, channels, written: 0, in_header: 0, failed: None })
    }

    fn add(&mut self, samples: &[i16], bytes: &mut Vec<u8>) {
        if self.failed.is_some() {
            return;
        }
        bytes.clear();
        bytes.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
        match self.file.write_all_at(bytes, HEADER + self.written) {
            Ok(()) => self.written += bytes.len() as u64,
            Err(error) => self.fail(&error),
        }
    }

    /// Silence up to so many samples per channel.
    fn pad(&mut self, samples: u64, bytes: &mut Vec<u8>) {
        let frame = 2 * u64::from(self.channels);
        let mut missing = samples.saturating_mul(frame).saturating_sub(self.written) / 2;
        while missing > 0 && self.failed.is_none() {
            let some = missing.min(SILENCE.len() as u64);
            self.add(&SILENCE[..some as usize], bytes);
            missing -= some;
        }
    }

    /// Bring the header up to date.
    fn patch(&mut self) {
        if self.failed.is_some() || self.in_header == self.written {
            return;
        }
        let samples = self.written / (2 * u64::from(self.channels));
        match self.file.write_all_at(&wav::header(self.channels, RATE, samples), 0) {
            Ok(()) => self.in_header = self.written,
            Err(error) => self.fail(&error),
        }
    }

    fn fail(&mut self, error: &io::Error) {
        tracing::error!(file = self.name, %error, "a recording ends here");
        // What was written can be played, if the disk still takes these few bytes.
        let samples = self.written / (2 * u64::from(self.channels));
        let _ = self.file.write_all_at(&wav::header(self.channels, RATE, samples), 0);
        self.failed = Some(error.to_string());
    }
}

/// Make the file, and the folders that its name goes through. No name leads out of `folder`.
fn create(folder: &Path, name: &str) -> io::Result<File> {
    let name = Path::new(name);
    let stays_inside = name.components().all(|part| matches!(part, Component::Normal(_)));
    if !stays_inside || name.file_name().is_none() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a name below the folder of recordings"));
    }
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap_or(folder))?;
    OpenOptions::new().create(true).write(true).truncate(true).open(path)
}

/// Bytes before the audio.
const HEADER: u64 = 44;
const SILENCE: [i16; 4000] = [0; 4000];

#[cfg(test)]
mod tests;
