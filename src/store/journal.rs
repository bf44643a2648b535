//! The journal thread: facts become events, are written to the spool, and are told to who listens. Whoever is told an
//! event can rely on it: it is on the disk by then.

use std::{
    collections::{BTreeSet, VecDeque},
    io,
    path::PathBuf,
    sync::Arc,
    thread,
    time::Duration,
};

use tokio::sync::{broadcast, mpsc, oneshot, watch};

use super::{
    behind::Behind,
    event::{self, ENDED, Event, Live},
    question::{Following, Question, Unwritten},
    spool::{self, Spool},
    way::{Stored, Way},
};
use crate::io::{Fact, clock::Clock, pass};

/// Facts that may wait for the journal.
pub const WAITING: usize = 65_536;
/// Events that wait in memory for a disk that takes nothing.
const UNWRITTEN: usize = 200_000;
/// Facts taken at once.
const BATCH: usize = 1024;
/// Events that a reader may fall behind.
const BEHIND: usize = 16_384;
/// How long facts gather before they are written: bringing them to the disk once costs the kernel as much CPU (half a
/// millisecond) as 30 calls cost this thread. Who waits for the disk ends it.
const GATHER: Duration = Duration::from_millis(100);
/// How often a full disk is tried again.
const AGAIN: Duration = Duration::from_millis(500);

/// Where the journal writes.
#[derive(Clone, Debug)]
pub struct JournalConfig {
    /// Folder of the spool.
    pub folder: PathBuf,
    /// Most bytes of the spool.
    pub limit: u64,
    /// Dates the events.
    pub clock: Clock,
}

/// The journal from outside. It ends when [`Journal::facts`] is gone everywhere.
#[derive(Debug)]
pub struct Journal {
    /// What happened.
    pub facts: mpsc::Sender<Fact>,
    /// Questions.
    pub questions: mpsc::Sender<Question>,
    /// The number of the last event on disk; closed when the journal has ended.
    pub written: watch::Receiver<u64>,
    /// How far the database is.
    pub stored: watch::Sender<Stored>,
    /// The number of this run's first event.
    pub first: u64,
    /// The thread.
    pub thread: thread::JoinHandle<()>,
}

/// What joins the journal to the database's writer.
#[derive(Debug)]
pub struct Line {
    /// The number of the last event on disk; closed when the journal has ended.
    pub written: watch::Receiver<u64>,
    /// How far the database is.
    pub stored: watch::Sender<Stored>,
    /// Questions to the journal.
    pub questions: mpsc::Sender<Question>,
    /// The number of this run's first event, unless the numbers changed since.
    pub first: u64,
}

impl Journal {
    /// For the database's writer.
    pub fn line(&self) -> Line {
        let (written, stored, questions) = (self.written.clone(), self.stored.clone(), self.questions.clone());
        Line { written, stored, questions, first: self.first }
    }
}

struct Writer {
    clock: Clock,
    node: Arc<str>,
    spool: Spool,
    live: Live,
    /// What the database may not have yet.
    way: Way,
    stored: watch::Receiver<Stored>,
    /// Number of the next event.
    next: u64,
    unwritten: VecDeque<Arc<Event>>,
    buffer: Vec<u8>,
    /// Who waits until it is on the disk that a call was begun.
    waiting: Vec<(String, oneshot::Sender<()>)>,
    failing: bool,
    lost: u64,
    /// While events are lost: the calls that had begun before, whose ends are kept all the same. The others are not known
    /// to anybody.
    promised: Option<BTreeSet<String>>,
    /// Lost when the disk was full before.
    lost_before: u64,
    told: watch::Sender<u64>,
    readers: broadcast::Sender<Arc<Event>>,
}

/// Start the thread.
pub fn spawn(config: JournalConfig) -> io::Result<Journal> {
    let spool = Spool::open(&config.folder, config.limit)?;
    let node = Arc::from(spool::name(&config.folder)?);
    let (facts, mut incoming) = mpsc::channel(WAITING);
    let (questions, mut asked) = mpsc::channel(256);
    let next = spool.next();
    let (told, written) = watch::channel(next - 1);
    let (tell_stored, stored) = watch::channel(Stored::default());
    let (readers, _) = broadcast::channel(BEHIND);
    let way = Way::new(spool.marks()?);
    let mut writer = Writer {
        clock: config.clock,
        node,
        spool,
        live: Live::default(),
        way,
        stored,
        next,
        unwritten: VecDeque::new(),
        buffer: Vec::new(),
        waiting: Vec::new(),
        failing: false,
        lost: 0,
        promised: None,
        lost_before: 0,
        told,
        readers,
    };
    let runtime = crate::io::runtime()?;
    let thread = thread::Builder::new().name("journal".into()).spawn(move || {
        writer.start();
        runtime.block_on(async {
            let mut batch = Vec::with_capacity(BATCH);
            let mut again = tokio::time::interval(AGAIN);
            again.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    count = incoming.recv_many(&mut batch, BATCH) => {
                        if count == 0 {
                            break;
                        }
                        batch.drain(..).for_each(|fact| writer.note(fact));
                        if count < BATCH && writer.waiting.is_empty() {
                            writer.gather(&mut incoming, &mut asked).await;
                        }
                        writer.write_where_possible();
                    }
                    Some(question) = asked.recv() => {
                        writer.answer(question, &mut incoming);
                        writer.write_where_possible();
                    }
                    _ = again.tick(), if writer.failing => writer.write(),
                }
            }
        });
    })?;
    Ok(Journal { facts, questions, written, stored: tell_stored, first: next, thread })
}

impl Writer {
    fn start(&mut self) {
        let event = event::started(self.next, self.now());
        self.next += 1;
        self.unwritten.push_back(Arc::new(event));
        self.write();
    }

    fn now(&self) -> u64 {
        let unix = self.clock.epoch().unix(self.clock.now());
        u64::try_from(unix.as_millis()).unwrap_or(u64::MAX)
    }

    /// Facts that come meanwhile wait, and wake nobody; who asks is answered. Somebody who waits for the disk ends it.
    async fn gather(&mut self, incoming: &mut mpsc::Receiver<Fact>, asked: &mut mpsc::Receiver<Question>) {
        let enough = pass(GATHER);
        tokio::pin!(enough);
        loop {
            tokio::select! {
                () = &mut enough => break,
                Some(question) = asked.recv() => {
                    self.answer(question, incoming);
                    if !self.waiting.is_empty() {
                        break;
                    }
                }
            }
        }
        self.note_all(incoming);
    }

    fn note_all(&mut self, incoming: &mut mpsc::Receiver<Fact>) {
        while let Ok(fact) = incoming.try_recv() {
            self.note(fact);
        }
    }

    /// Make an event of it, which is to be written.
    fn note(&mut self, fact: Fact) {
        if let Fact::Alive(names) = fact {
            let strays = self.live.strays(&names, self.now());
            return strays.into_iter().for_each(|fact| self.note(fact));
        }
        let is_full = self.unwritten.len() >= UNWRITTEN;
        if is_full && self.promised.is_none() {
            tracing::error!("no more events fit into memory: from now on they are lost, but not the ends of calls");
            self.promised = Some(self.live.ids());
        }
        // Also of an event that is lost: which calls go on is known in any case.
        let Some(event) = self.live.event(self.next, self.now(), fact) else { return };
        let promised = self.promised.as_mut().filter(|_| is_full);
        if promised.is_some_and(|ids| event.kind != ENDED || !ids.remove(&event.call)) {
            self.lost += 1;
            return;
        }
        self.next += 1;
        self.unwritten.push_back(Arc::new(event));
    }

    fn write_where_possible(&mut self) {
        if !self.failing {
            self.write();
        }
    }

    /// Bring what waits to the disk, then tell it.
    fn write(&mut self) {
        while !self.unwritten.is_empty() {
            self.buffer.clear();
            let count = self.unwritten.len().min(BATCH);
            for event in self.unwritten.iter().take(count) {
                self.buffer.extend_from_slice(event.line.as_bytes());
                self.buffer.push(b'\n');
            }
            if let Err(error) = self.spool.append(&self.buffer, count as u64) {
                if !self.failing {
                    tracing::error!(%error, "events and call records cannot be written; they wait in memory");
                }
                self.failing = true;
                return;
            }
            let now = self.now();
            self.way.stored(*self.stored.borrow_and_update());
            self.way.wrote(self.unwritten.iter().take(count).cloned(), self.buffer.len() as u64, now);
            for event in self.unwritten.drain(..count) {
                // Nobody need listen.
                let _ = self.readers.send(event);
            }
            self.told.send_replace(self.spool.next() - 1);
        }
        self.tell_waiting();
        if self.failing {
            tracing::warn!(lost = self.lost, "events and call records are written again");
            self.lost_before += self.lost;
            (self.failing, self.lost, self.promised) = (false, 0, None);
        }
    }

    /// All that was noted is on the disk. A call of which nothing was noted yet is about to be.
    fn tell_waiting(&mut self) {
        for (id, to) in std::mem::take(&mut self.waiting) {
            if self.live.standing(&id).is_some() || self.way.end_of(&id).is_some() {
                // Who waited may be gone.
                let _ = to.send(());
            } else if !to.is_closed() {
                self.waiting.push((id, to));
            }
        }
    }

    /// Who asks knows of what happened before: a call that was just begun is found.
    fn answer(&mut self, question: Question, incoming: &mut mpsc::Receiver<Fact>) {
        self.note_all(incoming);
        self.way.stored(*self.stored.borrow_and_update());
        // Who asked may be gone by now.
        match question {
            Question::Live(to) => drop(to.send(self.live.all())),
            Question::Find(id, to) => drop(to.send(self.live.standing(&id))),
            Question::Coming(id, to) => drop(to.send(self.coming(&id))),
            Question::Ended(id, to) => drop(to.send(self.end_of(&id))),
            Question::Kept(id, to) => self.waiting.push((id, to)),
            Question::Waiting(to) => drop(to.send(self.way.waiting(self.now()))),
            Question::Unwritten(to) => {
                let (events, failing, lost) = (self.unwritten.len(), self.failing, self.lost_before + self.lost);
                let _ = to.send(Unwritten { events, failing, lost });
            }
            Question::Totals(to) => drop(to.send(self.live.totals().clone())),
            Question::Renumber(behind, to) => {
                if self.renumber(behind) {
                    let _ = to.send(());
                }
            }
            Question::Follow { after, to } => drop(to.send(Following {
                events: self.readers.subscribe(),
                at_hand: after.map(|after| self.way.after(after)).unwrap_or_default(),
                last: self.spool.next() - 1,
                node: self.node.clone(),
            })),
        }
    }

    /// False: the disk takes nothing.
    fn renumber(&mut self, Behind { done, from }: Behind) -> bool {
        self.write_where_possible();
        if !self.unwritten.is_empty() {
            return false;
        }
        let (was, marks) = (self.spool.next(), self.spool.renumber(from, done).and_then(|()| self.spool.marks()));
        match marks {
            Ok(marks) => {
                let lines = was.saturating_sub(from);
                tracing::warn!(
                    from = was,
                    to = done + 1,
                    lines,
                    "the database has events with the spool's numbers: it counts on from others"
                );
                // What was at hand comes from the database soon, under its new number.
                self.way = Way::new(marks);
                self.next = self.spool.next();
                self.told.send_replace(self.next - 1);
                true
            }
            Err(error) => {
                tracing::error!(%error, "the spool's numbers lie behind the database, and it cannot be given others");
                false
            }
        }
    }

    /// The events of a call that the database may not have yet, also those that are not on the disk yet.
    fn coming(&self, call: &str) -> Vec<Arc<Event>> {
        let unwritten = self.unwritten.iter().filter(|event| event.call == call).cloned();
        self.way.of(call).into_iter().chain(unwritten).collect()
    }

    fn end_of(&self, call: &str) -> Option<Arc<Event>> {
        let unwritten = self.unwritten.iter().rev().find(|event| event.kind == ENDED && event.call == call);
        unwritten.cloned().or_else(|| self.way.end_of(call))
    }
}
