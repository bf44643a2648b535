//! A media thread in this process, with real sockets; and a bare loop over the same driver, which says how little such a
//! thread can cost.

use std::{
    fs, io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
        mpsc,
    },
    thread,
    time::Duration,
};

use nix::{
    sched::{CpuSet, sched_setaffinity},
    time::{ClockId, clock_gettime},
    unistd::{Pid, gettid},
};
use switchhook::{
    codec::{Codec, Digits, OpusWish},
    ids::{PortId, WorkerId},
    io::{
        clock::Clock,
        disk::ToDisk,
        driver::{Choice, Driver, Wait},
        media_ports::Sockets,
        pace::Gather,
        ring::{Full, Ring},
        worker::{ToWorker, Worker, WorkerConfig, WorkerHandle, spawn},
    },
    media::{Batch, Channel, Command, Config, Payload, Port, Shield, ShieldKeys, Shielding, Slot, Stream},
    secure::{Key, Suite},
    time::Time,
};

pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The thread under test.
pub struct MediaThread {
    thread: Pid,
    under_test: UnderTest,
}

enum UnderTest {
    Bare(thread::JoinHandle<()>, Arc<AtomicBool>),
    Engine(Worker),
}

impl MediaThread {
    /// Sends what comes from `to` on to `to`, from the other socket of each two.
    pub fn bare(
        choice: Choice,
        apart: Duration,
        sockets: Vec<Sockets>,
        to: SocketAddr,
        clock: Clock,
    ) -> Result<MediaThread, Failure> {
        let over = Arc::new(AtomicBool::new(false));
        let (ready, opened) = mpsc::sync_channel::<Result<Pid, io::Error>>(1);
        let stop = Arc::clone(&over);
        let thread = thread::spawn(move || {
            let driver = match bare_driver(choice, sockets, clock) {
                Ok(driver) => driver,
                Err(error) => return drop(ready.send(Err(error))),
            };
            let _ = ready.send(Ok(gettid()));
            bare_loop(driver, apart, to, clock, &stop);
        });
        Ok(MediaThread { thread: opened.recv()??, under_test: UnderTest::Bare(thread, over) })
    }

    /// The engine, with room for so many legs; its blocks go to `disk`.
    pub fn engine(
        driver: Choice,
        gather: Gather,
        legs: usize,
        disk: Ring<ToDisk>,
        clock: Clock,
    ) -> Result<MediaThread, Failure> {
        let config =
            WorkerConfig { id: WorkerId(0), engine: engine_config(legs), clock, driver, gather, inbox: 4 * legs + 16 };
        // Nobody listens to what it tells: that each port heard its source.
        let worker = spawn(config, Ring::new(4 * legs + 16)?, disk)?;
        Ok(MediaThread { thread: thread_named("media-0")?, under_test: UnderTest::Engine(worker) })
    }

    /// A leg of the engine.
    pub fn open(&self, port: PortId, stream: Stream, sockets: Sockets, legs: usize) {
        let memory = Port::new(port, stream, &engine_config(legs), port.0);
        self.tell(ToWorker::Open { port, memory, sockets });
    }

    /// From now on its packets are encrypted, both ways by [`key`].
    pub fn encrypt(&self, port: PortId) {
        let keys = ShieldKeys::Known { ours: key(), theirs: key() };
        let shield = Shield::new(Shielding { keys, mux: false, ice: None });
        self.command(Command::Shield { port, shield });
    }

    pub fn command(&self, command: Command) {
        self.tell(ToWorker::Command(command));
    }

    /// The bare loop takes no orders.
    fn tell(&self, item: ToWorker) {
        if let UnderTest::Engine(worker) = &self.under_test {
            tell(&worker.handle, item);
        }
    }

    /// CPU time of the thread so far: its own CLOCK_THREAD_CPUTIME_ID, asked for from outside.
    pub fn cpu(&self) -> Result<Duration, Failure> {
        cpu_of(self.thread)
    }

    pub fn sleeps(&self) -> Result<u64, Failure> {
        let status = fs::read_to_string(format!("/proc/self/task/{}/status", self.thread))?;
        let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        Ok(line.unwrap_or("0").trim().parse()?)
    }

    /// It has one core, who calls this the other. A wish: without it the figures are noisier.
    pub fn apart_from_us(&self) {
        for (thread, core) in [(self.thread, 0), (gettid(), 1)] {
            let mut only = CpuSet::new();
            let _ = only.set(core).and_then(|()| sched_setaffinity(thread, &only));
        }
    }

    pub fn end(self) {
        match self.under_test {
            UnderTest::Bare(thread, over) => {
                over.store(true, Relaxed);
                thread.join().expect("the loop does not panic");
            }
            UnderTest::Engine(worker) => {
                tell(&worker.handle, ToWorker::Shutdown);
                worker.join();
            }
        }
    }
}

pub fn cpu_of(thread: Pid) -> Result<Duration, Failure> {
    const OF_ONE_THREAD_BY_SCHEDULER: i32 = 6;
    let clock = ClockId::from_raw((!thread.as_raw() << 3) | OF_ONE_THREAD_BY_SCHEDULER);
    Ok(Duration::from(clock_gettime(clock)?))
}

/// A thread gives itself its name, a moment after it was made.
pub fn thread_named(name: &str) -> Result<Pid, Failure> {
    for _ in 0..10_000 {
        for task in fs::read_dir("/proc/self/task")? {
            let path = task?.path();
            if fs::read_to_string(path.join("comm"))?.trim() == name {
                let id = path.file_name().and_then(|id| id.to_str()).unwrap_or_default();
                return Ok(Pid::from_raw(id.parse()?));
            }
        }
        thread::yield_now();
    }
    Err(format!("no thread {name}").into())
}

/// What a leg speaks with `peer`, which knows keys as events: without them its audio would be listened to for keys.
pub fn stream(peer: SocketAddr, payload: Payload) -> Stream {
    Stream {
        remote: Some(peer),
        remote_rtcp: Some(peer),
        send: Some(payload),
        receive: vec![payload],
        foreign: Vec::new(),
        send_digits: Some(Digits::narrow(101)),
        receive_digits: vec![Digits::narrow(101)],
        comfort: None,
        send_comfort: None,
        opus: OpusWish { fec: true, ..OpusWish::default() },
        ptime: 20,
        longest: None,
        sending: true,
        receiving: true,
    }
}

/// As its packets carry it.
pub fn payload(codec: Codec) -> Payload {
    Payload { number: codec.static_payload_type().unwrap_or(96), codec }
}

/// One for all: what it costs is the same.
pub fn key() -> Key {
    Key::new(Suite::AesCm128Sha1_80, &[7; 30]).expect("as many bytes as it wants")
}

fn tell(worker: &WorkerHandle, item: ToWorker) {
    let mut item = item;
    while let Err(Full(back)) = worker.send(item) {
        item = back;
        thread::yield_now();
    }
}

fn engine_config(max_ports: usize) -> Config {
    Config {
        jitter_min: Duration::from_millis(20),
        jitter_max: Duration::from_millis(200),
        relatch_after: Duration::from_millis(500),
        silence_timeout: Duration::from_secs(60),
        rtp_timeout: None,
        rtcp_interval: Duration::from_secs(5),
        max_ports,
    }
}

fn bare_driver(choice: Choice, sockets: Vec<Sockets>, clock: Clock) -> io::Result<Driver> {
    let wake = Ring::<()>::new(1)?.wake_fd()?;
    let mut driver = Driver::open(choice, wake, sockets.len(), clock)?;
    for (number, sockets) in sockets.into_iter().enumerate() {
        driver.add(Slot(number as u32), sockets)?;
    }
    Ok(driver)
}

fn bare_loop(mut driver: Driver, apart: Duration, to: SocketAddr, clock: Clock, over: &AtomicBool) {
    let mut batch = Batch::new(256);
    let mut now: Time = clock.now();
    while !over.load(Relaxed) {
        now = driver.turn(&mut batch, Wait { until: Some(now + Duration::from_millis(20)), apart });
        while let Some(came) = driver.next() {
            if came.from != to {
                continue;
            }
            batch.push(Slot(came.slot.0 ^ 1), Channel::Rtp, to, |bytes| {
                bytes[..came.bytes.len()].copy_from_slice(came.bytes);
                came.bytes.len()
            });
            if batch.room() == 0 {
                driver.send(&mut batch);
            }
        }
    }
}
