//! What calls cost by what is done with their audio: the share of a core that the media thread takes for a call, its
//! sockets and the disk thread's work counted, beside a bare loop that only sends packets on. A generator thread sends
//! 50 packets a second on each leg, evenly spread, and takes back what comes; a packet is late when it comes more than
//! 10 ms after the earliest of its stream would let expect. Packets that are sent on wait 1 ms for each other, all others
//! up to 5 ms: beside each stands the bare loop that wakes up as often. Speech-like noise goes in, so that silence saves nothing.
//! Run: `cargo bench --bench media [-- calls seconds] [words of the lines wanted]`. Figures depend on the machine and on
//! what else it does: compare lines of one run.

#[allow(dead_code, reason = "each bench uses some of it")]
#[path = "shared/thread.rs"]
mod thread;

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    path::Path,
    sync::Arc,
    time::Duration,
};

use nix::unistd::Pid;
use switchhook::{
    audio::Encoder,
    codec::{Codec, OpusWish, Rate},
    ids::{BridgeId, PlayId, PortId, RecordingId},
    io::{
        clock::Clock,
        disk::{self, Disk, DiskConfig, ToDisk},
        driver::Choice,
        media_ports::{self, MediaPorts, Sockets},
        pace::{Gather, PATIENT},
        ring::Ring,
    },
    media::{Block, Command, Ends, Layout, Pcm, Role, Shape},
    rtp::{self, Header, srtp::Seal},
    time::Time,
    verbs::{FileFormat, Manner},
};
use thread::{Failure, MediaThread, cpu_of, key, payload, stream, thread_named};

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const TICK: Duration = Duration::from_millis(20);
const LATE: Duration = Duration::from_millis(10);
const WARM_UP: Duration = Duration::from_secs(1);
/// Blocks of a recording: as many as a call has.
const BLOCKS: usize = 4;

/// What is done with the audio.
#[derive(Clone, Copy, PartialEq)]
enum Work {
    /// No engine: packets are sent on as they are, by a loop that wakes up so often.
    Bare(Duration),
    /// Legs that share a codec and a bridge.
    Bridge,
    /// The same with encrypted packets.
    Encrypted,
    /// The same with packets of 20 ms on one side, and of 30 ms on the other.
    Decoded,
    /// The same where keys may sound in the audio, which is listened to.
    Listened,
    /// A bridge whose one leg is recorded in stereo, to WAV.
    Recorded,
    /// A single leg hears a sound, again and again.
    Playing,
}

struct Case {
    name: &'static str,
    work: Work,
    /// The codec of each leg of a call.
    legs: &'static [Codec],
    /// Share of a core a call (a room: in all) that is to be reached at most, in percent.
    target: Option<f64>,
}

const fn case(name: &'static str, work: Work, legs: &'static [Codec], target: Option<f64>) -> Case {
    Case { name, work, legs, target }
}

/// As a thread that sends packets on as they come, with much to do.
const HURRIED: Duration = Duration::from_millis(1);

const CASES: [Case; 17] = [
    case("bare loop", Work::Bare(HURRIED), &[Codec::Pcmu; 2], None),
    case("bare loop, patient", Work::Bare(PATIENT), &[Codec::Pcmu; 2], None),
    case("relayed", Work::Bridge, &[Codec::Pcmu; 2], None),
    case("SRTP, relayed", Work::Encrypted, &[Codec::Pcmu; 2], Some(0.09)),
    case("decoded", Work::Decoded, &[Codec::Pcmu; 2], Some(0.08)),
    case("decoded, keys heard", Work::Listened, &[Codec::Pcmu; 2], None),
    case("recorded", Work::Recorded, &[Codec::Pcmu; 2], Some(0.08)),
    case("PCMU and PCMA", Work::Bridge, &[Codec::Pcmu, Codec::Pcma], Some(0.07)),
    case("PCMU and G722", Work::Bridge, &[Codec::Pcmu, Codec::G722], Some(0.12)),
    case("PCMU and opus", Work::Bridge, &[Codec::Pcmu, Codec::Opus], Some(0.50)),
    case("playing", Work::Playing, &[Codec::Pcmu], Some(0.03)),
    case("room of 10", Work::Bridge, &[Codec::Pcmu; 10], None),
    case("room of 100", Work::Bridge, &[Codec::Pcmu; 100], Some(5.0)),
    case("room of 500", Work::Bridge, &[Codec::Pcmu; 500], None),
    case("G722, room of 100", Work::Bridge, &[Codec::G722; 100], None),
    case("bare loop, again", Work::Bare(HURRIED), &[Codec::Pcmu; 2], None),
    case("the patient, again", Work::Bare(PATIENT), &[Codec::Pcmu; 2], None),
];

impl Case {
    fn is_room(&self) -> bool {
        self.legs.len() > 2
    }
}

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let numbers: Vec<usize> = arguments.iter().filter_map(|argument| argument.parse().ok()).collect();
    let calls = numbers.first().copied().unwrap_or(100);
    let length = Duration::from_secs(numbers.get(1).copied().unwrap_or(5) as u64);
    let words: Vec<&String> = arguments.iter().filter(|argument| argument.parse::<usize>().is_err()).collect();
    let clock = Clock::start();
    println!(
        "{calls} calls (rooms: one), {} s each, loopback; % of a core: a call's (a room's: in all)",
        length.as_secs()
    );
    println!("what                 legs  µs a packet  % of a core  target  a leg   late  lost");
    for case in CASES.iter().filter(|case| words.is_empty() || words.iter().any(|&word| case.name.contains(word))) {
        let groups = if case.is_room() { 1 } else { calls };
        let figures = measure(case, groups, length, clock)?;
        figures.print(case, groups);
    }
    Ok(())
}

struct Figures {
    cpu: Duration,
    length: Duration,
    sent: usize,
    came: usize,
    late: usize,
    legs: usize,
}

impl Figures {
    fn print(&self, case: &Case, groups: usize) {
        let share = 100.0 * self.cpu.as_secs_f64() / self.length.as_secs_f64();
        let packet = self.cpu.as_secs_f64() * 1e6 / self.came.max(1) as f64;
        let target = case.target.map_or("-".to_owned(), |target| format!("{target:.2}"));
        let late = 100.0 * self.late as f64 / self.came.max(1) as f64;
        let lost = self.sent.saturating_sub(self.came);
        println!(
            "{:<19} {:>5} {packet:>12.2} {:>12.4} {target:>7} {:>6.4} {late:>5.2}% {lost:>5}",
            case.name,
            self.legs,
            share / groups as f64,
            share / self.legs as f64,
        );
    }
}

fn measure(case: &Case, groups: usize, length: Duration, clock: Clock) -> Result<Figures, Failure> {
    let generator = UdpSocket::bind((LOCALHOST, 0))?;
    let peer = generator.local_addr()?;
    let range = media_ports::Config { range: 10_000..=65_000, ..media_ports::Config::default() };
    let mut ports = MediaPorts::new(range, clock.now().since_start().as_nanos() as u64)?;
    let legs = case.legs.len() * groups;
    let sockets = (0..legs).map(|_| ports.bind(LOCALHOST)).collect::<Result<Vec<_>, _>>()?;
    let addresses: Vec<SocketAddr> = sockets.iter().map(|pair| pair.rtp.local_addr()).collect::<Result<_, _>>()?;
    let folder = tempfile::tempdir()?;
    let mut writer = (case.work == Work::Recorded).then(|| Writer::start(folder.path(), clock)).transpose()?;
    let thread = under_test(case, sockets, peer, writer.as_ref(), clock)?;
    let mut load = Generator::new(generator, case, addresses, clock)?;
    thread.apart_from_us();
    load.run(WARM_UP)?;
    load.begin();
    let used = |writer: &Option<Writer>| -> Result<Duration, Failure> {
        Ok(thread.cpu()? + writer.as_ref().map_or(Ok(Duration::ZERO), |writer| cpu_of(writer.thread))?)
    };
    let (before, began) = (used(&writer)?, clock.now());
    load.run(length)?;
    let (cpu, length) = (used(&writer)? - before, clock.now() - began);
    load.wait();
    thread.end();
    if let Some(writer) = writer.take() {
        writer.end();
    }
    let (came, late) = load.came_and_late();
    Ok(Figures { cpu, length, sent: load.sent, came, late, legs })
}

fn under_test(
    case: &Case,
    sockets: Vec<Sockets>,
    peer: SocketAddr,
    writer: Option<&Writer>,
    clock: Clock,
) -> Result<MediaThread, Failure> {
    if let Work::Bare(apart) = case.work {
        return MediaThread::bare(Choice::IoUring, apart, sockets, peer, clock);
    }
    let count = sockets.len();
    let disk = writer.map_or_else(|| Ring::new(16), |writer| Ok(writer.inbox.clone()))?;
    let thread = MediaThread::engine(Choice::IoUring, Gather::Fixed(HURRIED), count, disk, clock)?;
    for (number, sockets) in sockets.into_iter().enumerate() {
        let port = PortId(number as u64);
        let mut stream = stream(peer, payload(case.legs[number % case.legs.len()]));
        if case.work == Work::Decoded && number % 2 == 1 {
            stream.ptime = 30;
        }
        if case.work == Work::Listened {
            (stream.send_digits, stream.receive_digits) = (None, vec![]);
        }
        thread.open(port, stream, sockets, count);
        if case.work == Work::Encrypted {
            thread.encrypt(port);
        }
        if case.work == Work::Playing {
            let (play, manner) = (PlayId(port.0), Manner { times: None, ..Manner::default() });
            thread.command(Command::Play { port, play, sounds: Box::new([sound()]), manner });
            continue;
        }
        let bridge = BridgeId((number / case.legs.len()) as u64);
        thread.command(Command::Join { bridge, port, role: Role::Both });
        if let Some(writer) = writer.filter(|_| number % 2 == 0) {
            thread.command(writer.record(port));
        }
    }
    Ok(thread)
}

/// Ten seconds that are not silence.
fn sound() -> Arc<Pcm> {
    let mut noise = Noise::new(1);
    Arc::new(Pcm {
        rate: Rate::Narrow,
        samples: (0..80_000).map(|n| noise.next(n % 1600 < 1200)).collect(),
        looped: false,
    })
}

/// The disk thread, which writes recordings.
struct Writer {
    inbox: Ring<ToDisk>,
    thread: Pid,
    disk: Disk,
}

impl Writer {
    fn start(folder: &Path, clock: Clock) -> Result<Writer, Failure> {
        let inbox = Ring::new(4096)?;
        let config =
            DiskConfig { recordings: folder.to_owned(), call_records: None, upload: false, archive: None, clock };
        let disk = disk::spawn(config, inbox.clone(), Ring::new(4096)?)?;
        Ok(Writer { inbox, thread: thread_named("disk")?, disk })
    }

    fn record(&self, port: PortId) -> Command {
        let (recording, layout, rate) = (RecordingId(port.0), Layout::Stereo, Rate::Narrow);
        let shape = Shape { layout, format: FileFormat::Wav, apart: false, rate: rate.hz() };
        let opened =
            self.inbox.push(ToDisk::Open { recording, file: format!("{}.wav", port.0), shape, note: String::new() });
        opened.unwrap_or_else(|_| panic!("the disk's ring has room for so many calls"));
        // Half a second each, as those of a call.
        let blocks = (0..BLOCKS).map(|_| Block { samples: Vec::with_capacity(2 * 4000) }).collect();
        Command::Record { port, recording, layout, rate, ends: Ends::default(), blocks }
    }

    fn end(self) {
        let told = self.inbox.push(ToDisk::Shutdown);
        told.unwrap_or_else(|_| panic!("the disk has written what came before"));
        self.disk.join();
    }
}

/// Noise whose loudness comes and goes.
struct Noise {
    chance: u32,
    low: f32,
}

impl Noise {
    fn new(seed: u32) -> Noise {
        Noise { chance: seed, low: 0.0 }
    }

    fn next(&mut self, loud: bool) -> i16 {
        self.chance = self.chance.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        self.low += 0.2 * ((self.chance >> 16) as f32 - 32_768.0 - self.low);
        (self.low * if loud { 0.5 } else { 0.01 }) as i16
    }
}

/// A second of packets.
fn packets(codec: Codec, seed: u64) -> Vec<Vec<u8>> {
    let rate = codec.rate_for(Rate::Wide);
    let mut encoder = Encoder::new(&[codec], OpusWish { fec: true, ..OpusWish::default() });
    let mut noise = Noise::new(seed as u32 + 1);
    (0..50)
        .map(|n| {
            let samples: Vec<i16> = (0..rate.frame()).map(|_| noise.next(n % 12 < 9)).collect();
            let mut packet = vec![0; rtp::HEADER + 1300];
            let length = encoder.encode(codec, rate, &samples, &mut packet[rtp::HEADER..]);
            packet.truncate(rtp::HEADER + length);
            packet
        })
        .collect()
}

struct Leg {
    ours: SocketAddr,
    codec: Codec,
    packets: Arc<Vec<Vec<u8>>>,
    next: Header,
    seal: Option<Seal>,
    /// Of each packet that came: how long after the zero of its stream's clock, in µs.
    came: Vec<i64>,
}

/// Sends evenly spread packets on all legs, and takes in what comes back. Never sleeps, so that nothing has to wake it.
struct Generator {
    socket: UdpSocket,
    legs: Vec<Leg>,
    by_port: BTreeMap<u16, usize>,
    clock: Clock,
    sent: usize,
    /// Whose turn it is, counted on.
    turn: usize,
    /// When.
    next: Time,
}

impl Generator {
    fn new(socket: UdpSocket, case: &Case, legs: Vec<SocketAddr>, clock: Clock) -> Result<Generator, Failure> {
        socket.set_nonblocking(true)?;
        let sizes = socket2::SockRef::from(&socket);
        sizes.set_recv_buffer_size(4 << 20)?;
        sizes.set_send_buffer_size(4 << 20)?;
        let by_port = legs.iter().enumerate().map(|(leg, ours)| (ours.port(), leg)).collect();
        // The bare loop asks only how many bytes there are.
        let spoken: Vec<_> =
            case.legs.iter().enumerate().map(|(n, codec)| Arc::new(packets(*codec, n as u64))).collect();
        let leg = |(n, ours): (usize, SocketAddr)| {
            let codec = case.legs[n % case.legs.len()];
            let number = payload(codec).number;
            Leg {
                ours,
                codec,
                packets: Arc::clone(&spoken[n % spoken.len()]),
                next: Header { payload_type: number, marker: false, sequence: 0, timestamp: 0, ssrc: n as u32 + 1 },
                seal: (case.work == Work::Encrypted).then(|| Seal::new(&key())),
                came: Vec::new(),
            }
        };
        let legs = legs.into_iter().enumerate().map(leg).collect();
        Ok(Generator { socket, legs, by_port, clock, sent: 0, turn: 0, next: clock.now() })
    }

    /// What is counted begins.
    fn begin(&mut self) {
        self.sent = 0;
        self.legs.iter_mut().for_each(|leg| leg.came.clear());
    }

    fn run(&mut self, length: Duration) -> Result<(), Failure> {
        let gap = TICK / self.legs.len() as u32;
        let mut next = self.next;
        let end = next + length;
        while next < end {
            // A few at a time, so that what comes back is not left waiting.
            for _ in 0..8 {
                if next > self.clock.now() {
                    break;
                }
                self.send_one()?;
                next += gap;
            }
            self.receive();
        }
        self.next = next;
        Ok(())
    }

    /// What is still on its way.
    fn wait(&mut self) {
        let end = self.clock.now() + TICK;
        while self.clock.now() < end {
            self.receive();
        }
    }

    fn send_one(&mut self) -> Result<(), Failure> {
        let (count, tick) = (self.legs.len(), self.turn / self.legs.len());
        let leg = &mut self.legs[self.turn % count];
        let mut bytes = [0; 2048];
        let spoken = &leg.packets[tick % leg.packets.len()];
        let mut length = spoken.len();
        bytes[..length].copy_from_slice(spoken);
        rtp::write(&leg.next, &mut bytes);
        if let Some(seal) = &mut leg.seal {
            length = seal.rtp(&mut bytes, length).ok_or("no room to encrypt")?;
        }
        leg.next.sequence = leg.next.sequence.wrapping_add(1);
        leg.next.timestamp = leg.next.timestamp.wrapping_add(leg.codec.clock() / 50);
        // A packet that does not go out is a lost one.
        let _ = self.socket.send_to(&bytes[..length], leg.ours);
        self.turn += 1;
        self.sent += 1;
        Ok(())
    }

    fn receive(&mut self) {
        let mut bytes = [0; 2048];
        for _ in 0..32 {
            let Ok((length, from)) = self.socket.recv_from(&mut bytes) else { return };
            let Some(&leg) = self.by_port.get(&from.port()).filter(|_| length > rtp::HEADER) else { continue };
            let leg = &mut self.legs[leg];
            let timestamp = u32::from_be_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]);
            let since = self.clock.now() - Time::from_start(Duration::ZERO);
            let spoken = i64::from(timestamp) * 1_000_000 / i64::from(leg.codec.clock());
            leg.came.push(since.as_micros() as i64 - spoken);
        }
    }

    /// Packets that came, and those of them that came late.
    fn came_and_late(&self) -> (usize, usize) {
        let late = |leg: &Leg| {
            let earliest = leg.came.iter().min().copied().unwrap_or_default();
            leg.came.iter().filter(|came| **came - earliest > LATE.as_micros() as i64).count()
        };
        (self.legs.iter().map(|leg| leg.came.len()).sum(), self.legs.iter().map(late).sum())
    }
}
