//! The disk thread: recordings as WAV files that are valid while they grow, and call records as lines of JSON.
//!
//! A WAV file says its length in its header. The header is written anew about once a second, so that after a crash the
//! file can be played up to there. A full disk ends a recording with an error; it ends nothing else.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::{fd::AsFd as _, unix::fs::FileExt as _},
    path::{Component, Path, PathBuf},
    thread::{self, JoinHandle},
    time::Duration,
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

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
    untold: Vec<FromDisk>,
    space: Vec<(WorkerHandle, Command)>,
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
