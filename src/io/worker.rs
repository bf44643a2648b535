//! A media thread: one [`crate::media::Engine`], the sockets of its ports, and a driver that reads and writes them.
//!
//! In a turn of the loop: send, sleep, packets, commands, ticks, events. Nothing is allocated, locked or logged between
//! opening and closing a port. Commands come through a ring whose eventfd ends the sleep, so they take effect at once;
//! events go out through a ring that is written to at most once a turn. Where that is full, the engine keeps its events.

mod turns;

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use super::{
    clock::Clock,
    disk::ToDisk,
    driver::{Choice, Counters},
    media_ports::Sockets,
    pace::Gather,
    ring::{Full, Ring},
    stats::{Load, Stats},
};
use crate::{
    ids::{PortId, WorkerId},
    media::{Command, Config, Event, Port},
};

/// Something did not fit into a ring: try again so much later.
const RETRY: Duration = Duration::from_millis(1);

/// How to run a media thread.
#[derive(Clone, Debug)]
pub struct WorkerConfig {
    /// Its number.
    pub id: WorkerId,
    /// The engine's limits.
    pub engine: Config,
    /// The process's clock.
    pub clock: Clock,
    /// Which driver.
    pub driver: Choice,
    /// Whether packets may gather.
    pub gather: Gather,
    /// Most commands that wait.
    pub inbox: usize,
}

/// What a media thread is told.
#[derive(Debug)]
pub enum ToWorker {
    /// A new port, as [`Command::Open`], with its sockets. Where the engine or the driver has no room,
    /// [`Event::Closed`] follows.
    Open {
        /// Its name.
        port: PortId,
        /// Its memory.
        memory: Box<Port>,
        /// Its sockets.
        sockets: Sockets,
    },
    /// Anything but [`Command::Open`].
    Command(Command),
    /// Give a port to another media thread, with its sockets and all packets. It leaves its bridge. Commands for it may
    /// go on coming here until [`FromWorker::Moved`]; they are passed on.
    Move {
        /// Which port.
        port: PortId,
        /// To whom.
        to: WorkerHandle,
    },
    /// The other end of a move; media threads send this to each other.
    Take {
        /// The port, as it was.
        memory: Box<Port>,
        /// Its sockets.
        sockets: Sockets,
    },
    /// End the thread. Open ports are dropped without a word.
    Shutdown,
}

/// What media threads tell.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "media threads allocate nothing, so nothing is boxed there")]
pub enum FromWorker {
    /// What the engine tells; never [`Event::Recorded`], which goes to the disk.
    Event(WorkerId, Event),
    /// The port is with this media thread now; commands go there.
    Moved {
        /// Which port.
        port: PortId,
        /// Where it is.
        worker: WorkerId,
    },
    /// The thread panicked. Its ports are gone.
    Dead(WorkerId),
}

/// How to reach a media thread.
#[derive(Clone, Debug)]
pub struct WorkerHandle {
    id: WorkerId,
    inbox: Ring<ToWorker>,
    stats: Arc<Stats>,
}

impl WorkerHandle {
    /// Its number.
    pub fn id(&self) -> WorkerId {
        self.id
    }

    /// Tell it something, and wake it up.
    pub fn send(&self, item: ToWorker) -> Result<(), Full<ToWorker>> {
        self.inbox.push(item)
    }

    /// What its driver saw up to its last turn.
    pub fn counters(&self) -> Counters {
        self.stats.read()
    }

    /// How it keeps up, up to its last turn.
    pub fn load(&self) -> Load {
        self.stats.load()
    }
}

#[cfg(test)]
impl WorkerHandle {
    /// A handle whose inbox is read by the test.
    pub(super) fn unconnected() -> io::Result<WorkerHandle> {
        Ok(WorkerHandle { id: WorkerId(0), inbox: Ring::new(64)?, stats: Arc::default() })
    }

    pub(super) fn inbox(&self) -> &Ring<ToWorker> {
        &self.inbox
    }
}

/// A running media thread.
#[derive(Debug)]
pub struct Worker {
    /// How to reach it.
    pub handle: WorkerHandle,
    /// `io_uring` or `epoll`.
    pub driver: &'static str,
    thread: JoinHandle<()>,
}

impl Worker {
    /// Wait until it has ended, after [`ToWorker::Shutdown`] or a panic.
    pub fn join(self) {
        // A panic has been told by FromWorker::Dead.
        let _ = self.thread.join();
    }
}

/// Start a media thread. Returns when its driver is open, or could not be.
pub fn spawn(config: WorkerConfig, outbox: Ring<FromWorker>, disk: Ring<ToDisk>) -> io::Result<Worker> {
    let handle = WorkerHandle { id: config.id, inbox: Ring::new(config.inbox)?, stats: Arc::default() };
    let (ready, opened) = std::sync::mpsc::sync_channel(1);
    let own = handle.clone();
    let thread = thread::Builder::new().name(format!("media-{}", config.id.0)).spawn(move || {
        super::thread::settle(config.id.0);
        // The driver belongs to the thread that opens it.
        let turns = match turns::Turns::new(config, own.clone(), outbox.clone(), disk) {
            Ok(turns) => turns,
            Err(error) => return drop(ready.send(Err(error))),
        };
        let _ = ready.send(Ok(turns.driver_name()));
        watched(own.id, &outbox, || turns.run());
    })?;
    let driver = opened.recv().map_err(io::Error::other)??;
    Ok(Worker { handle, driver, thread })
}

/// Run the thread; where it panics, say so.
fn watched(id: WorkerId, outbox: &Ring<FromWorker>, run: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(run)).is_ok() {
        return;
    }
    tracing::error!(worker = id.0, "a media thread panicked; its calls are lost");
    // It must be heard; but if nobody empties the ring for ten seconds, there is nobody to hear it.
    for _ in 0..10_000 {
        if outbox.push(FromWorker::Dead(id)).is_ok() {
            return;
        }
        thread::park_timeout(RETRY);
    }
}

#[cfg(test)]
mod tests;
