//! DTLS handshakes for media (RFC 5764), on a thread of their own: they compute for a millisecond and wait for answers,
//! which is no work for a media thread. It finds keys and hands them over to the port's media thread. The protocol itself
//! is in `dtls`.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    thread,
    time::Duration,
};

mod dtls;
#[cfg(test)]
mod tests;

pub use dtls::Certificate;
use dtls::{Dtls, Failed, Front};

use super::{
    clock::Clock,
    worker::{ToWorker, WorkerHandle},
};
use crate::{ids::PortId, media::Command, switch::Handshake, time::Time};

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
    Packet { port: PortId, bytes: Box<[u8]> },
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
    /// Start the thread.
    pub fn spawn(certificate: &Certificate, clock: Clock) -> io::Result<Handshakes> {
        let (words, inbox) = sync_channel(INBOX);
        let thread = Thread::new(certificate, clock)?;
        thread::Builder::new().name("handshakes".into()).spawn(move || thread.run(&inbox))?;
        Ok(Handshakes { words, ports: BTreeSet::new() })
    }

    /// A handshake for a port, on the media thread that has it. It takes the place of the one before.
    pub fn begin(&mut self, port: PortId, worker: WorkerHandle, handshake: Box<Handshake>) {
        self.ports.insert(port);
        self.tell(Word::Begin { port, worker, handshake });
    }

    /// A datagram came to a port.
    pub fn packet(&self, port: PortId, bytes: Box<[u8]>) {
        if self.ports.contains(&port) {
            self.tell(Word::Packet { port, bytes });
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

struct Thread {
    clock: Clock,
    front: Front,
    sessions: BTreeMap<PortId, Session>,
}

/// One association.
struct Session {
    dtls: Dtls,
    worker: WorkerHandle,
    step: Step,
}

/// How far it is.
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
    fn new(certificate: &Certificate, clock: Clock) -> io::Result<Thread> {
        Ok(Thread { clock, front: Front::new(certificate)?, sessions: BTreeMap::new() })
    }

    fn run(mut self, inbox: &Receiver<Word>) {
        loop {
            let now = self.clock.now();
            let due = self.sessions.values().filter_map(|session| session.step.due()).min();
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
            Word::Begin { port, worker, handshake } => match self.front.begin(*handshake) {
                Ok(dtls) => {
                    self.sessions.insert(port, Session { dtls, worker, step: Step::Waiting });
                    self.attend(now, port, None);
                }
                Err(why) => tracing::error!(%port, %why, "no keys for media: the handshake cannot begin"),
            },
            Word::Packet { port, bytes } => self.attend(now, port, Some(bytes)),
            Word::Moved { port, worker } => {
                if let Some(session) = self.sessions.get_mut(&port) {
                    session.worker = worker;
                }
            }
            Word::End { port } => drop(self.sessions.remove(&port)),
        }
    }

    fn handle_timeouts(&mut self, now: Time) {
        let is_due = |session: &Session| session.step.due().is_some_and(|due| due <= now);
        let due: Vec<PortId> = self.sessions.iter().filter(|(_, s)| is_due(s)).map(|(port, _)| *port).collect();
        for port in due {
            self.attend(now, port, None);
        }
    }

    /// Time goes on for an association, and perhaps a datagram came. A failure ends that association only; so does a
    /// panic, which a stranger's bytes might find.
    fn attend(&mut self, now: Time, port: PortId, packet: Option<Box<[u8]>>) {
        let Some(session) = self.sessions.get_mut(&port) else { return };
        let attend = || session.attend(now, port, packet);
        let why = match catch_unwind(AssertUnwindSafe(attend)) {
            Ok(Ok(())) => return,
            Ok(Err(why)) => why,
            Err(_) => Failed::Fault,
        };
        tracing::warn!(%port, %why, "no keys for media: the handshake failed");
        self.sessions.remove(&port);
    }
}

impl Session {
    fn attend(&mut self, now: Time, port: PortId, packet: Option<Box<[u8]>>) -> Result<(), Failed> {
        let went = self.dtls.go_on(packet);
        // Also what tells the peer of a failure.
        let mut said = false;
        for bytes in self.dtls.take_datagrams() {
            said = true;
            self.command(Command::Handshake { port, bytes });
        }
        if let Some(found) = went? {
            tracing::info!(%port, profile = found.profile, "media is encrypted");
            self.command(Command::Keys { port, keys: Box::new(found.keys) });
            self.step = Step::Done;
        }
        self.step = match self.step {
            Step::Waiting if said => Step::Shaking { due: now + LOOK, until: now + PATIENCE },
            Step::Shaking { until, .. } if until <= now => return Err(Failed::Silence),
            Step::Shaking { until, .. } => Step::Shaking { due: now + LOOK, until },
            step @ (Step::Waiting | Step::Done) => step,
        };
        Ok(())
    }

    fn command(&self, command: Command) {
        if self.worker.send(ToWorker::Command(command)).is_err() {
            tracing::error!(worker = self.worker.id().0, "a media thread takes no commands: one is lost");
        }
    }
}
