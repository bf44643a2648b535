//! What becomes of recordings after their call: they are noted with their call's numbers, uploaded, kept for a while,
//! removed when they are old or too many, and erased when somebody asks for it. One thread, which may wait.
//!
//! What is still to be uploaded is a file beside the recording, from its beginning on, so that neither a restart nor a
//! killed server forgets anything. A server that does
//! not take a file is asked again after a second, then after twice as long each time, up to ten minutes, for ever.

mod s3;
mod send;
mod shelf;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeSet, VecDeque},
    fs, io,
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, RecvTimeoutError},
    thread,
    time::Duration,
};

use serde_json::Value;

use super::address::Url;
use crate::{io::clock::Clock, time::Time};

pub use s3::S3Key;
pub use shelf::{erase, remove as erase_file};

/// The folder is looked through this often.
const TIDY: Duration = Duration::from_secs(600);
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_secs(600);

/// How recordings are kept.
#[derive(Clone, Debug, PartialEq)]
pub struct ArchiveConfig {
    /// The folder of recordings.
    pub folder: PathBuf,
    /// Which go.
    pub quota: Quota,
    /// Uploaded after their call.
    pub upload: Option<Upload>,
    /// Certificates of the authorities that servers are believed by, a PEM file.
    pub trust: PathBuf,
}

/// Which recordings are removed; never such as are still to be uploaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    /// Those that are so old.
    pub keep: Option<Duration>,
    /// The oldest, when there are more bytes.
    pub most: Option<u64>,
    /// The oldest of calls of one number of ours, when there are more bytes of these.
    pub most_of_number: Option<u64>,
}

/// Where recordings go.
#[derive(Clone, Debug, PartialEq)]
pub struct Upload {
    /// Address: of a bucket (and perhaps a folder in it), or of a webhook.
    pub place: Url,
    /// In which way.
    pub to: Destination,
    /// Remove them here when they are there.
    pub remove: bool,
}

/// A kind of server.
#[derive(Clone, Debug, PartialEq)]
pub enum Destination {
    /// Each file is the body of a POST.
    Webhook {
        /// Sent as a bearer token, where not empty.
        token: String,
    },
    /// S3-compatible storage: each file is an object of its name.
    S3(S3Key),
}

/// Start the thread. It reads call records, as JSON lines, and ends when their sender is gone.
pub fn spawn(config: ArchiveConfig, clock: Clock, records: Receiver<String>) -> io::Result<thread::JoinHandle<()>> {
    let runtime = crate::io::runtime()?;
    thread::Builder::new().name("archive".into()).spawn(move || Archive::new(config, clock, runtime).run(&records))
}

struct Archive {
    config: ArchiveConfig,
    clock: Clock,
    /// For uploads; nothing runs there otherwise.
    runtime: tokio::runtime::Runtime,
    /// To be uploaded, by their paths.
    waiting: VecDeque<PathBuf>,
    /// Waiting since before the start: their calls' records may come yet, where a server was killed during the call.
    left: BTreeSet<PathBuf>,
    /// How long to wait after the next failure.
    retry: Duration,
}

impl Archive {
    fn new(config: ArchiveConfig, clock: Clock, runtime: tokio::runtime::Runtime) -> Archive {
        let waiting = shelf::all(&config.folder).into_iter().map(|kept| kept.path);
        let waiting: VecDeque<_> = waiting.filter(|path| shelf::beside(path, ".todo").exists()).collect();
        let left = waiting.iter().cloned().collect();
        Archive { config, clock, runtime, waiting, left, retry: FIRST_RETRY }
    }

    fn run(mut self, records: &Receiver<String>) {
        let (mut tidy, mut upload) = (self.clock.now(), self.clock.now());
        loop {
            let now = self.clock.now();
            if now >= tidy {
                self.tidy(self.clock.epoch().unix(now));
                tidy = now + TIDY;
            }
            if now >= upload && !self.waiting.is_empty() {
                upload = now + self.upload_next();
            }
            let waiting = !self.waiting.is_empty();
            let until = Time::soonest(Some(tidy), waiting.then_some(upload)).unwrap_or(tidy);
            match records.recv_timeout(until - self.clock.now()) {
                Ok(record) => self.note(&record),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn tidy(&self, now: Duration) {
        if self.config.quota == Quota::default() {
            return;
        }
        let removed = shelf::tidy(&self.config.folder, now, self.config.quota);
        if removed > 0 {
            tracing::info!(removed, "old recordings were removed");
        }
    }

    /// A call is over: note its recordings.
    fn note(&mut self, record: &str) {
        let Ok(call) = serde_json::from_str::<Value>(record) else { return };
        let files = call.get("recordings").and_then(Value::as_array).into_iter().flatten();
        for file in files.filter_map(Value::as_str) {
            let path = self.config.folder.join(file);
            if !path.exists() {
                // It was erased meanwhile: nothing of it is to come back.
                continue;
            }
            // What was left behind waits already, or is uploaded by now.
            let upload = self.config.upload.is_some() && !self.left.remove(&path);
            match shelf::note(&path, file, record, upload) {
                Ok(()) if upload => self.waiting.push_back(path),
                Ok(()) => {}
                Err(error) => tracing::error!(file, %error, "nothing can be noted of a recording"),
            }
        }
    }

    /// Send the next one. Returns how long to wait before another.
    fn upload_next(&mut self) -> Duration {
        let (Some(path), Some(upload)) = (self.waiting.pop_front(), &self.config.upload) else { return TIDY };
        if !path.exists() {
            return Duration::ZERO;
        }
        match self.send(upload, &path) {
            Ok(()) => {
                self.retry = FIRST_RETRY;
                let done = fs::remove_file(shelf::beside(&path, ".todo"));
                let done = if upload.remove { done.and_then(|()| shelf::remove(&path)) } else { done };
                match done {
                    Ok(()) => tracing::info!(file = %path.display(), "a recording was uploaded"),
                    Err(error) => tracing::error!(file = %path.display(), %error, "uploaded, but not noted so"),
                }
                Duration::ZERO
            }
            Err(error) => {
                let pause = self.retry;
                tracing::warn!(file = %path.display(), %error, again_in = ?pause, "a recording was not taken");
                self.retry = (pause * 2).min(LAST_RETRY);
                self.waiting.push_back(path);
                pause
            }
        }
    }

    fn send(&self, upload: &Upload, path: &Path) -> io::Result<()> {
        let name = path.strip_prefix(&self.config.folder).unwrap_or(path).to_string_lossy().into_owned();
        let record = fs::read_to_string(shelf::beside(path, ".json")).unwrap_or_default();
        let call = serde_json::from_str::<Value>(&record).unwrap_or_default();
        let id = call.get("id").and_then(Value::as_str).unwrap_or_default();
        let unix = self.clock.epoch().unix(self.clock.now());
        self.runtime.block_on(send::send(upload, &self.config.trust, (path, &name), id, unix))
    }
}
