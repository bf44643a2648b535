//! The loop of a media thread.

use std::{collections::VecDeque, io, time::Duration};

use super::{FromWorker, RETRY, ToWorker, WorkerConfig, WorkerHandle};
use crate::{
    ids::PortId,
    io::{
        clock::Clock,
        disk::ToDisk,
        driver::{Driver, Wait},
        media_ports::Sockets,
        pace::Pace,
        ring::{Full, Ring},
        stats::Load,
    },
    media::{Batch, Command, Engine, Event, Port, Slot},
    time::Time,
};

/// Who comes later than this to a tick is late: packets leave unevenly.
const LATE: Duration = Duration::from_millis(5);
/// Datagrams that leave together.
const BATCH: usize = 256;
/// A packet makes no more datagrams than this.
const ROOM_FOR_ONE: usize = 8;
/// Blocks that wait here while the disk's ring is full, without more memory.
const OVERFLOW: usize = 1024;
/// Ports that moved away are remembered, so that commands on their way here find them; so many of them.
const MOVED: usize = 256;

/// What the thread owns.
pub(super) struct Turns {
    handle: WorkerHandle,
    clock: Clock,
    engine: Engine,
    driver: Driver,
    batch: Batch,
    pace: Pace,
    /// By slot.
    ports: Vec<Option<PortId>>,
    outbox: Ring<FromWorker>,
    /// Did not fit into the outbox yet. The engine keeps its events while there is something here.
    untold: VecDeque<FromWorker>,
    disk: Ring<ToDisk>,
    /// Did not fit into the disk's ring. No more than there are blocks, and recordings that end.
    overflow: VecDeque<ToDisk>,
    /// For other media threads: ports, and commands that follow them.
    parcels: VecDeque<(WorkerHandle, ToWorker)>,
    moved: VecDeque<(PortId, WorkerHandle)>,
    /// Ticks that it came too late to.
    late: u64,
}

impl Turns {
    pub(super) fn new(
        config: WorkerConfig,
        handle: WorkerHandle,
        outbox: Ring<FromWorker>,
        disk: Ring<ToDisk>,
    ) -> io::Result<Turns> {
        let ports = config.engine.max_ports;
        Ok(Turns {
            driver: Driver::open(config.driver, handle.inbox.wake_fd()?, ports, config.clock)?,
            handle,
            clock: config.clock,
            engine: Engine::new(config.engine, config.clock.epoch()),
            batch: Batch::new(BATCH),
            pace: Pace::new(config.gather),
            ports: Vec::with_capacity(ports),
            outbox,
            untold: VecDeque::with_capacity(1),
            disk,
            overflow: VecDeque::with_capacity(OVERFLOW),
            parcels: VecDeque::new(),
            moved: VecDeque::with_capacity(MOVED),
            late: 0,
        })
    }

    pub(super) fn run(mut self) {
        while self.turn() {}
        self.driver.send(&mut self.batch);
    }

    /// As its driver calls itself.
    pub(super) fn driver_name(&self) -> &'static str {
        self.driver.name()
    }

    /// False: it was the last one.
    fn turn(&mut self) -> bool {
        let until = self.deadline();
        // Nothing to wait for: whoever comes first is heard at once.
        let apart = until.map_or(Duration::ZERO, |_| self.pace.apart(self.engine.hurries()));
        let wait = Wait { until, apart };
        let now = self.driver.turn(&mut self.batch, wait);
        let packets = self.handle_packets();
        self.pace.handle_packets(now, packets);
        let go_on = self.handle_inbox(now);
        self.handle_timeout(now);
        self.tell();
        self.post();
        self.handle.stats.write(self.driver.counters());
        self.handle.stats.write_load(Load { late: self.late, skipped: self.engine.skipped_ticks() });
        go_on
    }

    fn deadline(&self) -> Option<Time> {
        let waiting = !self.untold.is_empty() || !self.overflow.is_empty() || !self.parcels.is_empty();
        let longest = waiting.then(|| self.clock.now() + RETRY);
        Time::soonest(self.engine.timeout(), longest)
    }

    fn handle_packets(&mut self) -> u32 {
        let mut count = 0;
        while let Some(came) = self.driver.next() {
            self.engine.handle_packet(came.at, came.slot, came.channel, came.from, came.bytes, &mut self.batch);
            count += 1;
            if self.batch.room() < ROOM_FOR_ONE {
                self.driver.send(&mut self.batch);
            }
        }
        count
    }

    fn handle_timeout(&mut self, now: Time) {
        if self.engine.timeout().is_some_and(|due| due + LATE < now) {
            self.late += 1;
        }
        while self.engine.timeout().is_some_and(|due| due <= now) {
            self.engine.handle_timeout(now, &mut self.batch);
            // It is due still: the batch was full.
            if self.engine.timeout().is_some_and(|due| due <= now) {
                self.driver.send(&mut self.batch);
            }
        }
    }

    fn handle_inbox(&mut self, now: Time) -> bool {
        // Giving a port away may take the wake-up of the next command, hence the outer loop.
        while self.handle.inbox.listen() {
            while let Some(item) = self.handle.inbox.pop() {
                match item {
                    ToWorker::Open { port, memory, sockets } => self.open(now, port, memory, sockets),
                    ToWorker::Command(command) => self.handle_command(now, command),
                    ToWorker::Move { port, to } => self.give(port, to),
                    ToWorker::Take { memory, sockets } => self.take(now, memory, sockets),
                    ToWorker::Shutdown => return false,
                }
            }
        }
        true
    }

    fn open(&mut self, now: Time, port: PortId, memory: Box<Port>, sockets: Sockets) {
        self.engine.handle_command(now, Command::Open { port, memory });
        // No slot: the engine is full, and tells so.
        if let Some(slot) = self.engine.slot(port) {
            self.connect(now, port, slot, sockets);
        }
    }

    fn take(&mut self, now: Time, memory: Box<Port>, sockets: Sockets) {
        let port = memory.id();
        let slot = self.engine.take(now, memory);
        self.moved.retain(|(other, _)| *other != port);
        self.connect(now, port, slot, sockets);
        self.untold.push_back(FromWorker::Moved { port, worker: self.handle.id });
    }

    fn connect(&mut self, now: Time, port: PortId, slot: Slot, sockets: Sockets) {
        let index = slot.0 as usize;
        if self.ports.len() <= index {
            self.ports.resize(index + 1, None);
        }
        self.ports[index] = Some(port);
        if self.driver.add(slot, sockets).is_err() {
            self.engine.handle_command(now, Command::Close { port });
        }
    }

    fn handle_command(&mut self, now: Time, command: Command) {
        let port = port_of(&command);
        match self.moved.iter().find(|(moved, _)| *moved == port) {
            Some((_, to)) => self.parcels.push_back((to.clone(), ToWorker::Command(command))),
            None => self.engine.handle_command(now, command),
        }
    }

    /// Give a port away. Its packets that were read go through the engine here, the others with the sockets.
    fn give(&mut self, port: PortId, to: WorkerHandle) {
        let Some(slot) = self.engine.slot(port) else { return };
        if to.id == self.handle.id {
            self.untold.push_back(FromWorker::Moved { port, worker: to.id });
            return;
        }
        self.driver.stop(slot);
        self.handle_packets();
        self.driver.send(&mut self.batch);
        let (Some(memory), Some(sockets)) = (self.engine.give(port), self.driver.take(slot)) else { return };
        self.ports[slot.0 as usize] = None;
        if self.moved.len() == MOVED {
            self.moved.pop_front();
        }
        self.moved.push_back((port, to.clone()));
        self.parcels.push_back((to, ToWorker::Take { memory, sockets }));
    }

    /// Hand the engine's events on.
    fn tell(&mut self) {
        self.empty_overflow();
        let (mut told, mut recorded) = (false, false);
        while let Some(item) = self.untold.pop_front().or_else(|| self.next_event(&mut recorded)) {
            match self.outbox.push_quietly(item) {
                Ok(()) => told = true,
                Err(Full(item)) => {
                    self.untold.push_front(item);
                    break;
                }
            }
        }
        if told {
            self.outbox.wake();
        }
        while self.overflow.is_empty()
            && let Some(spent) = self.engine.spent()
        {
            recorded = true;
            self.write_down(ToDisk::Free(spent));
        }
        if recorded {
            self.disk.wake();
        }
    }

    /// The next event that is for control. What is for the disk goes there.
    fn next_event(&mut self, recorded: &mut bool) -> Option<FromWorker> {
        while let Some(event) = self.engine.poll() {
            match event {
                Event::Recorded { port, recording, block } => {
                    *recorded = true;
                    let from = self.handle.clone();
                    self.write_down(ToDisk::Block { port, recording, block, from });
                    continue;
                }
                Event::RecordDone { recording, samples, .. } => {
                    *recorded = true;
                    self.write_down(ToDisk::Done { recording, samples });
                }
                Event::Closed { port, .. } => self.close(port),
                _ => {}
            }
            return Some(FromWorker::Event(self.handle.id, event));
        }
        None
    }

    fn close(&mut self, port: PortId) {
        // Its goodbye is in the batch.
        self.driver.send(&mut self.batch);
        if let Some(index) = self.ports.iter().position(|other| *other == Some(port)) {
            self.ports[index] = None;
            self.driver.close(Slot(index as u32));
        }
    }

    fn write_down(&mut self, item: ToDisk) {
        if self.overflow.is_empty() {
            if let Err(Full(item)) = self.disk.push_quietly(item) {
                self.overflow.push_back(item);
            }
        } else {
            self.overflow.push_back(item);
        }
    }

    fn empty_overflow(&mut self) {
        while let Some(item) = self.overflow.pop_front() {
            if let Err(Full(item)) = self.disk.push(item) {
                self.overflow.push_front(item);
                return;
            }
        }
    }

    /// Send parcels off; but not before the disk has what those ports recorded here.
    fn post(&mut self) {
        if !self.overflow.is_empty() || !self.untold.is_empty() {
            return;
        }
        while let Some((to, item)) = self.parcels.pop_front() {
            if let Err(Full(item)) = to.send(item) {
                self.parcels.push_front((to, item));
                return;
            }
        }
    }
}

fn port_of(command: &Command) -> PortId {
    match command {
        Command::Open { port, .. }
        | Command::Update { port, .. }
        | Command::Pass { port, .. }
        | Command::Shield { port, .. }
        | Command::Keys { port, .. }
        | Command::Handshake { port, .. }
        | Command::Close { port }
        | Command::Join { port, .. }
        | Command::Leave { port }
        | Command::Chime { port, .. }
        | Command::Level { port, .. }
        | Command::Detect { port, .. }
        | Command::PassKey { port, .. }
        | Command::LeaveTones { port }
        | Command::Echo { port, .. }
        | Command::Play { port, .. }
        | Command::Steer { port, .. }
        | Command::RecordBridge { name: port, .. }
        | Command::Stop { port, .. }
        | Command::Record { port, .. }
        | Command::Space { port, .. }
        | Command::RecordAs { port, .. }
        | Command::StopRecording { port, .. }
        | Command::Tap { port, .. }
        | Command::Untap { port, .. }
        | Command::MaskTap { port, .. }
        | Command::Feed { port, .. }
        | Command::Digits { port, .. } => *port,
    }
}
