use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    sync::Arc,
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::os::fd::AsFd as _;

use super::*;
use crate::{
    codec::{Codec, Digits, OpusWish, Rate},
    ids::{BridgeId, PlayId, RecordingId},
    io::{
        disk::{self, DiskConfig, FromDisk},
        media_ports::{self, MediaPorts},
    },
    media::{Block, Ends, Layout, Payload, Pcm, Role, Shape, Stream},
    verbs::{FileFormat, Manner},
};

const PATIENCE: Duration = Duration::from_secs(5);
const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn engine_config() -> Config {
    Config {
        jitter_min: Duration::from_millis(20),
        jitter_max: Duration::from_millis(200),
        relatch_after: Duration::from_millis(500),
        silence_timeout: Duration::from_secs(60),
        rtp_timeout: None,
        rtcp_interval: Duration::from_secs(5),
        max_ports: 64,
    }
}

/// Media threads, and who controls them.
struct Bench {
    workers: Vec<Worker>,
    outbox: Ring<FromWorker>,
    disk: Ring<ToDisk>,
    media_ports: MediaPorts,
    ports: u64,
}

impl Bench {
    fn new(drivers: &[Choice], outbox: usize) -> io::Result<Bench> {
        let (outbox, disk, clock) = (Ring::new(outbox)?, Ring::new(64)?, Clock::start());
        let workers = drivers.iter().enumerate().map(|(number, driver)| {
            let config = WorkerConfig {
                id: WorkerId(number as u8),
                engine: engine_config(),
                clock,
                driver: *driver,
                gather: Gather::Auto,
                inbox: 256,
            };
            spawn(config, outbox.clone(), disk.clone())
        });
        let config =
            media_ports::Config { range: 20_000..=59_999, receive_buffer: 1 << 20, ..media_ports::Config::default() };
        let media_ports = MediaPorts::new(config, u64::from(std::process::id()) * 7919).map_err(io::Error::other)?;
        Ok(Bench { workers: workers.collect::<io::Result<_>>()?, outbox, disk, media_ports, ports: 0 })
    }

    fn send(&self, worker: usize, item: ToWorker) {
        self.workers[worker].handle.send(item).unwrap();
    }

    fn command(&self, worker: usize, command: Command) {
        self.send(worker, ToWorker::Command(command));
    }

    /// A port and the phone that talks to it, which sends to its RTP address.
    fn open(&mut self, worker: usize) -> (PortId, Phone) {
        self.ports += 1;
        let port = PortId(self.ports);
        let sockets = self.media_ports.bind(LOCALHOST).unwrap();
        let phone = Phone::new(sockets.rtp.local_addr().unwrap());
        let memory = Port::new(port, stream(phone.socket.local_addr().unwrap()), &engine_config(), self.ports);
        self.send(worker, ToWorker::Open { port, memory, sockets });
        (port, phone)
    }

    /// Two ports on one worker that hear each other.
    fn pair(&mut self, worker: usize) -> [(PortId, Phone); 2] {
        let pair = [self.open(worker), self.open(worker)];
        for (port, _) in &pair {
            self.command(worker, Command::Join { bridge: BridgeId(pair[0].0.0), port: *port, role: Role::Both });
        }
        pair
    }

    /// The next thing told that is not about a source or how it sounds.
    fn told(&self) -> FromWorker {
        loop {
            match wait(&self.outbox) {
                FromWorker::Event(_, Event::Latched { .. } | Event::Quality { .. }) => {}
                other => return other,
            }
        }
    }

    /// Wait until all these are told to be closed, in whatever order.
    fn wait_closed<const N: usize>(&self, mut ports: [PortId; N]) {
        let mut told = [(); N].map(|()| match self.told() {
            FromWorker::Event(_, Event::Closed { port, .. }) => port,
            other => panic!("{other:?}"),
        });
        ports.sort();
        told.sort();
        assert_eq!(told, ports);
    }

    /// Until the worker has done what it was told so far: it answers for a port that was not there before.
    fn wait_idle(&mut self, worker: usize) {
        let (port, _) = self.open(worker);
        self.command(worker, Command::Close { port });
        self.wait_closed([port]);
    }

    fn end(self) {
        for worker in self.workers {
            worker.handle.send(ToWorker::Shutdown).unwrap();
            worker.join();
        }
    }
}

fn wait<T>(ring: &Ring<T>) -> T {
    loop {
        if let Some(item) = ring.pop() {
            return item;
        }
        let woken = poll(&mut [PollFd::new(ring.as_fd(), PollFlags::POLLIN)], PollTimeout::from(5000_u16)).unwrap();
        assert_eq!(woken, 1, "nothing came");
        ring.acknowledge();
    }
}

fn stream(remote: SocketAddr) -> Stream {
    let payload = Payload { number: 0, codec: Codec::Pcmu };
    Stream {
        remote: Some(remote),
        remote_rtcp: None,
        send: Some(payload),
        receive: vec![payload],
        foreign: Vec::new(),
        // Without events its audio would be listened to, not relayed.
        send_digits: Some(Digits::narrow(101)),
        receive_digits: vec![Digits::narrow(101)],
        comfort: None,
        send_comfort: None,
        opus: OpusWish::default(),
        ptime: 20,
        longest: None,
        sending: true,
        receiving: true,
    }
}

/// Sends numbered RTP packets, and hears others'.
struct Phone {
    socket: UdpSocket,
    to: SocketAddr,
}

impl Phone {
    fn new(to: SocketAddr) -> Phone {
        let socket = UdpSocket::bind((LOCALHOST, 0)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Phone { socket, to }
    }

    fn say(&self, number: u16) {
        let mut packet = [0xff; 172];
        packet[..12].copy_from_slice(&[0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4]);
        packet[2..4].copy_from_slice(&number.to_be_bytes());
        packet[4..8].copy_from_slice(&(u32::from(number) * 160).to_be_bytes());
        packet[100..102].copy_from_slice(&number.to_be_bytes());
        self.socket.send_to(&packet, self.to).unwrap();
    }

    /// The number of the next packet that comes.
    fn hear(&self) -> u16 {
        let mut packet = [0; 2000];
        let (length, from) = self.socket.recv_from(&mut packet).expect("a packet");
        assert_eq!((length, from), (172, self.to));
        u16::from_be_bytes([packet[100], packet[101]])
    }
}

/// Run a test with each driver that this machine allows; epoll it always does.
fn with_each(test: impl Fn(Bench)) {
    test(Bench::new(&[Choice::Epoll], 64).unwrap());
    match Bench::new(&[Choice::IoUring], 64) {
        Ok(bench) => test(bench),
        Err(error) => eprintln!("not tested with io_uring: {error}"),
    }
}

#[test]
fn two_phones_hear_each_other() {
    with_each(|mut bench| {
        let [(_, anna), (_, bo)] = bench.pair(0);
        // Commands and packets come by different ways: wait until the bridge stands.
        bench.wait_idle(0);
        for number in 1..200 {
            anna.say(number);
            assert_eq!(bo.hear(), number);
            bo.say(number + 1000);
            assert_eq!(anna.hear(), number + 1000);
        }
        // The counters are written at the end of a turn: the last packets may not be in them yet.
        assert!(bench.workers[0].handle.counters().received >= 390);
        bench.end();
    });
}

#[test]
fn a_command_does_not_wait_for_a_tick() {
    with_each(|mut bench| {
        // An open port makes the engine tick each 20 ms; answers that waited for it would come 20 ms apart.
        let _open = bench.open(0);
        let clock = Clock::start();
        let fastest = (0..20).map(|_| {
            let before = clock.now();
            bench.wait_idle(0);
            clock.now() - before
        });
        assert!(fastest.min().unwrap() < Duration::from_millis(10));
        bench.end();
    });
}

#[test]
fn an_idle_thread_is_woken_by_a_command() {
    with_each(|mut bench| {
        for _ in 0..3 {
            let (port, _) = bench.open(0);
            bench.command(0, Command::Close { port });
            bench.wait_closed([port]);
        }
        bench.end();
    });
}

#[test]
fn opening_and_closing_ports_loses_nothing_of_others() {
    with_each(|mut bench| {
        let [(_, anna), (_, bo)] = bench.pair(0);
        bench.wait_idle(0);
        for number in 1..500 {
            let [(one, caller), (two, _)] = bench.pair(0);
            caller.say(number);
            anna.say(number);
            bench.command(0, Command::Close { port: one });
            bench.command(0, Command::Close { port: two });
            assert_eq!(bo.hear(), number);
            caller.say(number + 1);
            bench.wait_closed([one, two]);
        }
        assert_eq!(bench.workers[0].handle.counters().send_dropped, 0);
        bench.end();
    });
}

#[test]
fn a_port_moves_to_another_thread_and_back_without_losing_a_packet() {
    for pair in [[Choice::Epoll, Choice::Epoll], [Choice::IoUring, Choice::IoUring], [Choice::IoUring, Choice::Epoll]] {
        let Ok(mut bench) = Bench::new(&pair, 64) else { continue };
        let (port, phone) = bench.open(0);
        bench.command(0, Command::Echo { port, on: true });
        bench.wait_idle(0);
        let mut heard = BTreeSet::new();
        let mut number = 0;
        for round in 0..60 {
            let (here, there) = (round % 2, 1 - round % 2);
            let to = bench.workers[there].handle.clone();
            let mut say = |count| {
                for _ in 0..count {
                    number += 1;
                    phone.say(number);
                }
            };
            say(20);
            bench.send(here, ToWorker::Move { port, to });
            say(20);
            // Not knowing yet that it has moved.
            bench.command(here, Command::Leave { port });
            match bench.told() {
                FromWorker::Moved { port: told, worker } => {
                    assert_eq!((told, worker), (port, WorkerId(there as u8)));
                }
                other => panic!("{other:?}"),
            }
            heard.extend((0..40).map(|_| phone.hear()));
        }
        assert_eq!(heard, (1..=60 * 40).collect());
        bench.end();
    }
}

#[test]
fn commands_follow_a_port_that_has_moved() {
    let mut bench = Bench::new(&[Choice::Epoll, Choice::Epoll], 64).unwrap();
    let (port, _) = bench.open(0);
    bench.send(0, ToWorker::Move { port, to: bench.workers[1].handle.clone() });
    bench.command(0, Command::Close { port });
    assert!(matches!(bench.told(), FromWorker::Moved { worker: WorkerId(1), .. }));
    assert!(matches!(bench.told(), FromWorker::Event(WorkerId(1), Event::Closed { .. })));
    bench.end();
}

#[test]
fn events_wait_while_nobody_reads_them() {
    let mut bench = Bench::new(&[Choice::Auto], 1).unwrap();
    let ports: [_; 20] = std::array::from_fn(|_| bench.open(0).0);
    for port in &ports {
        bench.command(0, Command::Close { port: *port });
    }
    bench.wait_closed(ports);
    bench.end();
}

#[test]
fn a_port_too_many_is_told_to_be_closed_and_its_sockets_are_free() {
    let mut bench = Bench::new(&[Choice::Auto], 64).unwrap();
    for _ in 0..engine_config().max_ports {
        bench.open(0);
    }
    let (port, phone) = bench.open(0);
    bench.wait_closed([port]);
    UdpSocket::bind(phone.to).unwrap();
    bench.end();
}

#[test]
fn a_panic_is_told() {
    let outbox = Ring::new(1).unwrap();
    watched(WorkerId(3), &outbox, || {});
    assert!(outbox.pop().is_none());
    watched(WorkerId(3), &outbox, || panic!("on purpose"));
    assert!(matches!(outbox.pop(), Some(FromWorker::Dead(WorkerId(3)))));
}

#[test]
fn what_a_port_records_is_a_file_in_the_end() {
    with_each(|mut bench| {
        let folder = tempfile::TempDir::new().unwrap();
        let written = Ring::new(8).unwrap();
        let config = DiskConfig {
            recordings: folder.path().into(),
            call_records: None,
            upload: false,
            archive: None,
            clock: Clock::start(),
        };
        let disk = disk::spawn(config, bench.disk.clone(), written.clone()).unwrap();
        let (port, _phone) = bench.open(0);
        let recording = RecordingId(5);
        let shape = Shape { layout: Layout::Mix, format: FileFormat::Wav, apart: false, rate: 8000 };
        bench.disk.push(ToDisk::Open { recording, file: "a.wav".into(), shape, note: String::new() }).unwrap();
        // Few small blocks, used again: they come back from the disk.
        let blocks = (0..8).map(|_| Block { samples: Vec::with_capacity(320) }).collect();
        let ends = Ends { after: Some(3200), quiet: None };
        bench.command(0, Command::Record { port, recording, layout: Layout::Mix, rate: Rate::Narrow, ends, blocks });
        let samples = Arc::new(Pcm { rate: Rate::Narrow, samples: [1000; 8000].into(), looped: true });
        bench.command(0, Command::Play { port, play: PlayId(1), sounds: [samples].into(), manner: Manner::default() });
        match bench.told() {
            FromWorker::Event(_, Event::RecordDone { samples: 3200, missed: 0, .. }) => {}
            other => panic!("{other:?}"),
        }
        assert_eq!(wait(&written), FromDisk::Written { recording, result: Ok("a.wav".into()) });
        let mut reader = hound::WavReader::open(folder.path().join("a.wav")).unwrap();
        let heard: Vec<i16> = reader.samples().map(Result::unwrap).collect();
        assert_eq!(heard.len(), 3200);
        assert!(heard[1600..].iter().all(|sample| *sample == 1000));
        bench.disk.push(ToDisk::Shutdown).unwrap();
        disk.join();
        bench.end();
    });
}
