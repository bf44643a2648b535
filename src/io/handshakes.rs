//! DTLS handshakes for media (RFC 5764), on a thread of their own: they compute for a millisecond and wait for answers,
//! which is no work for a media thread. It finds keys and hands them over to the port's media thread; the
//! control task is told how it went. What belongs to one port is in `session`, the protocol itself in `dtls`.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::SocketAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    thread,
    time::Duration,
};

mod dtls;
mod session;
#[cfg(test)]
mod tests;

pub use dtls::Certificate;
use dtls::{Failed, Front};
use session::Session;
use tokio::sync::mpsc::Sender;

use super::{clock::Clock, worker::WorkerHandle};
use crate::{
    ids::PortId,
    switch::{Handshake, Input, NoKeys},
    time::Time,
};

/// Words that wait; one more is lost, as a datagram may be.
const INBOX: usize = 4096;
/// Longest wait of the thread when nothing is due.
const IDLE: Duration = Duration::from_secs(60);
/// How often it is looked whether a flight is to be sent again; the first time is after a second (RFC 6347 section
/// 4.2.4.1).
const LOOK: Duration = Duration::from_millis(200);
/// How long a handshake may take from its first datagram.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug)]
enum Word {
    Begin { port: PortId, worker: WorkerHandle, handshake: Box<Handshake> },
    Packet { port: PortId, from: SocketAddr, bytes: Box<[u8]> },
    Moved { port: PortId, worker: WorkerHandle },
    End { port: PortId },
}

/// How the control task reaches the thread.
#[derive(Debug)]
pub struct Handshakes {
    words: SyncSender<Word>,
    ports: BTreeSet<PortId>,
}

impl Handshakes {
    /// Start the thread. It tells `control` how each handshake went.
    pub fn spawn(certificate: &Certificate, clock: Clock, control: Sender<Input>) -> io::Result<Handshakes> {
        let (words, inbox) = sync_channel(INBOX);
        let thread = Thread::new(certificate, clock, control)?;
        thread::Builder::new().name("handshakes".into()).spawn(move || thread.run(&inbox))?;
        Ok(Handshakes { words, ports: BTreeSet::new() })
    }

    /// A handshake for a port, on the media thread that has it. It takes the place of the one before.
    pub fn begin(&mut self, port: PortId, worker: WorkerHandle, handshake: Box<Handshake>) {
        self.ports.insert(port);
        self.tell(Word::Begin { port, worker, handshake });
    }

    /// A datagram came to a port.
    pub fn packet(&self, port: PortId, from: SocketAddr, bytes: Box<[u8]>) {
        if self.ports.contains(&port) {
            self.tell(Word::Packet { port, from, bytes });
        }
    }

    /// Another media thread has the port.
    pub fn moved(&self, port: PortId, worker: WorkerHandle) {
        if self.ports.contains(&port) {
            self.tell(Word::Moved { port, worker });
        }
    }

    /// The port is gone.
    pub fn end(&mut self, port: PortId) {
        if self.ports.remove(&port) {
            self.tell(Word::End { port });
        }
    }

    fn tell(&self, word: Word) {
        if self.words.try_send(word).is_err() {
            tracing::warn!("handshakes cannot follow: one word is lost");
        }
    }
}

/// What becomes of a handshake.
type Shaken = Result<(), Box<NoKeys>>;

struct Thread {
    clock: Clock,
    front: Front,
    control: Sender<Input>,
    sessions: BTreeMap<PortId, Session>,
}

/// How far an association is.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// The peer is to begin.
    Waiting,
    /// Under way.
    Shaking {
        /// When it is looked after.
        due: Time,
        /// When it is given up.
        until: Time,
    },
    /// The keys are found. The peer may still lack our last flight.
    Done,
}

impl Step {
    fn due(self) -> Option<Time> {
        match self {
            Step::Shaking { due, .. } => Some(due),
            Step::Waiting | Step::Done => None,
        }
    }
}

impl Thread {
    fn new(certificate: &Certificate, clock: Clock, control: Sender<Input>) -> io::Result<Thread> {
        Ok(Thread { clock, front: Front::new(certificate)?, control, sessions: BTreeMap::new() })
    }

    fn run(mut self, inbox: &Receiver<Word>) {
        loop {
            let now = self.clock.now();
            let due = self.sessions.values().filter_map(Session::due).min();
            let wait = due.map_or(IDLE, |due| due - now).min(IDLE);
            match inbox.recv_timeout(wait) {
                Ok(word) => self.handle(self.clock.now(), word),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.handle_timeouts(self.clock.now());
        }
    }

    fn handle(&mut self, now: Time, word: Word) {
        match word {
            Word::Begin { port, worker, handshake } => {
                self.sessions.insert(port, Session::new(port, worker, *handshake));
                self.attend(port, |session, front| session.start(now, front));
            }
            Word::Packet { port, from, bytes } => {
                self.attend(port, |session, front| session.handle_packet(now, front, from, bytes));
            }
            Word::Moved { port, worker } => {
                if let Some(session) = self.sessions.get_mut(&port) {
                    session.moved(worker);
                }
            }
            Word::End { port } => drop(self.sessions.remove(&port)),
        }
    }

    fn handle_timeouts(&mut self, now: Time) {
        let is_due = |session: &Session| session.due().is_some_and(|due| due <= now);
        let due: Vec<PortId> = self.sessions.iter().filter(|(_, s)| is_due(s)).map(|(port, _)| *port).collect();
        for port in due {
            self.attend(port, |session, front| session.handle_timeout(now, front));
        }
    }

    /// Something is done for a port. A failure ends nothing of another port; nor does a panic, which a stranger's bytes
    /// might find.
    fn attend(&mut self, port: PortId, what: impl FnOnce(&mut Session, &Front) -> Option<Shaken>) {
        let Some(session) = self.sessions.get_mut(&port) else { return };
        let front = &self.front;
        let attended = catch_unwind(AssertUnwindSafe(|| what(session, front)));
        let (result, over) = match attended {
            Ok(result) => (result, session.is_over()),
            Err(_) => (Some(Err(Box::new(NoKeys { from: None, why: Failed::Fault.to_string(), over: true }))), true),
        };
        if over {
            self.sessions.remove(&port);
        }
        // Where control cannot follow, the silence that comes of it is told all the same.
        if let Some(result) = result {
            drop(self.control.try_send(Input::Shaken { port, result }));
        }
    }
}
