//! What the engine adds to a bare relay loop: CPU time a packet, and latency, in one run on one machine.
//!
//! The bare loop uses the same driver, sockets and wake policy as the media thread, reads source addresses, and sends
//! each packet to its one destination unchanged. Packets are 172 bytes, 50 a second on each leg; legs are joined by two.
//! A generator thread that knows nothing of the relay sends them evenly spread and takes them back; each carries the
//! time when it was sent. Run: `cargo bench --bench relay [-- legs seconds epoll|io_uring] [srtp]`. With `srtp` a third relay is
//! measured: each packet comes encrypted (AES_CM_128_HMAC_SHA1_80) and leaves encrypted anew; its latency is not. Figures depend on the machine and on what
//! else it does; the ratio engine/bare is what counts.

#[allow(dead_code, reason = "each bench uses some of it")]
#[path = "shared/thread.rs"]
mod thread;

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    time::Duration,
};

use switchhook::{
    codec::Codec,
    ids::{BridgeId, PortId},
    io::{
        clock::Clock,
        driver::Choice,
        media_ports::{self, MediaPorts, Sockets},
        pace::Gather,
        ring::Ring,
    },
    media::{Command, Role},
    rtp::srtp::Seal,
    time::Time,
};
use thread::{Failure, MediaThread, key};

const PACKET: usize = 172;
const PACKETS_A_SECOND: usize = 50;
const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const WARM_UP: Duration = Duration::from_millis(600);
/// Of a core, for the run under load.
const LOAD: f64 = 0.8;
const MOST_LEGS: usize = 6000;

/// `[legs] [seconds] [epoll | io_uring] [srtp]`
fn main() -> Result<(), Failure> {
    let only = |name: &str| std::env::args().any(|argument| argument == name);
    let numbers: Vec<usize> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    let legs = numbers.first().copied().unwrap_or(1000).next_multiple_of(2).min(MOST_LEGS);
    let length = Duration::from_secs(numbers.get(1).copied().unwrap_or(2) as u64);
    let clock = Clock::start();
    println!("{legs} legs, {} packets a second, {PACKET} bytes, loopback", legs * PACKETS_A_SECOND);
    println!("driver    wake-up   relay   legs  CPU µs/packet  of a core  sleeps/s    p50 ms  p99 ms  lost");
    for (driver, other) in [(Choice::Epoll, "io_uring"), (Choice::IoUring, "epoll")] {
        if only(other) {
            continue;
        }
        for gather in [0, 150, 1000].map(Duration::from_micros) {
            let wake = Gather::Fixed(gather);
            let mut cost = [0.0; 2];
            if only("srtp")
                && let Some(figures) = measure(Kind::Srtp, driver, wake, legs, length, clock)?
            {
                figures.print(Kind::Srtp, driver, wake, legs);
                // A call has two legs, 50 packets a second each.
                println!("{:>57} {:.3} % of a core a call", "", figures.cpu_per_packet() * 1e-4 * 100.0);
            }
            // By turns, so that what else the machine does hits both.
            for round in 0..4 {
                let kind = if round % 2 == 0 { Kind::Bare } else { Kind::Engine };
                let Some(figures) = measure(kind, driver, wake, legs, length, clock)? else { continue };
                figures.print(kind, driver, wake, legs);
                cost[round % 2] += figures.cpu_per_packet() / 2.0;
            }
            println!("{:>57} engine/bare {:.2}", "", cost[1] / cost[0]);
        }
        for wake in [Gather::Auto, Gather::Fixed(Duration::from_millis(1))] {
            under_load(driver, wake, legs, length, clock)?;
        }
    }
    Ok(())
}

/// The engine with so many legs that it takes [`LOAD`] of a core.
fn under_load(driver: Choice, wake: Gather, legs: usize, length: Duration, clock: Clock) -> Result<(), Failure> {
    let mut legs = 2 * legs;
    for _ in 0..3 {
        let Some(figures) = measure(Kind::Engine, driver, wake, legs, length, clock)? else { return Ok(()) };
        figures.print(Kind::Engine, driver, wake, legs);
        let wanted = (legs as f64 * LOAD / figures.of_a_core()) as usize / 2 * 2;
        if wanted.abs_diff(legs) * 20 < legs || wanted >= MOST_LEGS && legs == MOST_LEGS {
            break;
        }
        legs = wanted.clamp(2, MOST_LEGS);
    }
    Ok(())
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Bare,
    Engine,
    /// The engine with encrypted legs.
    Srtp,
}

/// What came out of one run.
struct Figures {
    cpu: Duration,
    length: Duration,
    /// How often the thread went to sleep.
    sleeps: u64,
    sent: usize,
    /// Of the packets that came back.
    latencies: Vec<Duration>,
}

impl Figures {
    fn cpu_per_packet(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.latencies.len().max(1) as f64
    }

    fn of_a_core(&self) -> f64 {
        self.cpu.as_secs_f64() / self.length.as_secs_f64()
    }

    fn latency_ms(&self, percent: usize) -> f64 {
        let at = (self.latencies.len() * percent / 100).min(self.latencies.len().saturating_sub(1));
        self.latencies.get(at).map_or(f64::NAN, |latency| latency.as_secs_f64() * 1e3)
    }

    fn print(&self, kind: Kind, driver: Choice, wake: Gather, legs: usize) {
        let driver = if driver == Choice::Epoll { "epoll" } else { "io_uring" };
        let relay = match kind {
            Kind::Bare => "bare",
            Kind::Engine => "engine",
            Kind::Srtp => "srtp",
        };
        let wake = match wake {
            Gather::Auto => "auto".into(),
            Gather::Fixed(Duration::ZERO) => "at once".into(),
            Gather::Fixed(gather) => format!("{gather:?}"),
        };
        let (cpu, core) = (self.cpu_per_packet(), 100.0 * self.of_a_core());
        let (p50, p99) = (self.latency_ms(50), self.latency_ms(99));
        let sleeps = self.sleeps as f64 / self.length.as_secs_f64();
        let lost = self.sent.saturating_sub(self.latencies.len());
        println!(
            "{driver:9} {wake:9} {relay:6} {legs:5} {cpu:14.2} {core:9.0} % {sleeps:9.0} {p50:9.3} {p99:7.3} {lost:5}"
        );
    }
}

/// One run. None: this machine does not have the driver.
fn measure(
    kind: Kind,
    driver: Choice,
    wake: Gather,
    legs: usize,
    length: Duration,
    clock: Clock,
) -> Result<Option<Figures>, Failure> {
    let generator = UdpSocket::bind((LOCALHOST, 0))?;
    let to = generator.local_addr()?;
    let config = media_ports::Config { range: 10_000..=65_000, ..media_ports::Config::default() };
    let mut ports = MediaPorts::new(config, clock.now().since_start().as_nanos() as u64)?;
    let sockets = (0..legs).map(|_| ports.bind(LOCALHOST)).collect::<Result<Vec<_>, _>>()?;
    let addresses = sockets.iter().map(|pair| pair.rtp.local_addr()).collect::<io::Result<Vec<_>>>()?;
    let relay = match (kind, wake) {
        (Kind::Bare, Gather::Fixed(apart)) => MediaThread::bare(driver, apart, sockets, to, clock),
        (Kind::Bare, Gather::Auto) => return Err("the bare loop has no load to look at".into()),
        (Kind::Engine | Kind::Srtp, _) => engine(kind, driver, wake, sockets, to, clock),
    };
    let relay = match relay {
        Ok(relay) => relay,
        Err(error) => {
            println!("{driver:?}: {error}");
            return Ok(None);
        }
    };
    let mut generator = Generator::new(generator, addresses, clock, kind == Kind::Srtp)?;
    relay.apart_from_us();
    generator.run(WARM_UP)?;
    generator.forget();
    let (before, slept) = (relay.cpu()?, relay.sleeps()?);
    let (start, begin) = (generator.sent, clock.now());
    generator.run(length)?;
    let (cpu, length, sent) = (relay.cpu()? - before, clock.now() - begin, generator.sent - start);
    let sleeps = relay.sleeps()? - slept;
    relay.end();
    let mut latencies = generator.forget();
    latencies.sort_unstable();
    Ok(Some(Figures { cpu, length, sleeps, sent, latencies }))
}

/// The engine, with a bridge of each two legs.
fn engine(
    kind: Kind,
    driver: Choice,
    gather: Gather,
    sockets: Vec<Sockets>,
    to: SocketAddr,
    clock: Clock,
) -> Result<MediaThread, Failure> {
    let legs = sockets.len();
    let engine = MediaThread::engine(driver, gather, legs, Ring::new(1024)?, clock)?;
    for (number, sockets) in sockets.into_iter().enumerate() {
        let port = PortId(number as u64);
        engine.open(port, thread::stream(to, thread::payload(Codec::Pcmu)), sockets, legs);
        if kind == Kind::Srtp {
            engine.encrypt(port);
        }
        engine.command(Command::Join { bridge: BridgeId(number as u64 / 2), port, role: Role::Both });
    }
    Ok(engine)
}

/// Sends evenly spread packets to all legs, and takes in what comes back. Never sleeps, so that nothing has to wake it.
struct Generator {
    socket: UdpSocket,
    legs: Vec<SocketAddr>,
    clock: Clock,
    /// Packets so far; leg and sequence number follow from it.
    sent: usize,
    next: Time,
    latencies: Vec<Duration>,
    packet: [u8; PACKET],
    /// By leg, where they are encrypted.
    seals: Vec<Seal>,
}

impl Generator {
    fn new(socket: UdpSocket, legs: Vec<SocketAddr>, clock: Clock, encrypted: bool) -> io::Result<Generator> {
        socket.set_nonblocking(true)?;
        let sizes = socket2::SockRef::from(&socket);
        sizes.set_recv_buffer_size(4 << 20)?;
        sizes.set_send_buffer_size(4 << 20)?;
        let seals = legs.iter().filter(|_| encrypted).map(|_| Seal::new(&key())).collect();
        let (next, latencies, packet) = (clock.now(), Vec::new(), [0xd5; PACKET]);
        Ok(Generator { socket, legs, clock, sent: 0, next, latencies, packet, seals })
    }

    fn run(&mut self, length: Duration) -> io::Result<()> {
        let gap = Duration::from_secs(1) / (self.legs.len() * PACKETS_A_SECOND) as u32;
        self.latencies.reserve((length.as_nanos() / gap.as_nanos()) as usize * 2);
        self.next = self.clock.now();
        let end = self.next + length;
        while self.next < end {
            // Held up itself: no burst to make up for it, which no peer would send.
            if self.clock.now() - self.next > Duration::from_millis(2) {
                self.next = self.clock.now();
            }
            // A few at a time, so that what comes back is not left waiting.
            for _ in 0..8 {
                if self.next > self.clock.now() {
                    break;
                }
                self.send_one();
                self.next += gap;
            }
            self.receive();
        }
        // What is still on its way.
        let end = self.clock.now() + Duration::from_millis(20);
        while self.clock.now() < end {
            self.receive();
        }
        Ok(())
    }

    fn send_one(&mut self) {
        let leg = self.sent % self.legs.len();
        let number = self.sent / self.legs.len();
        self.packet[..2].copy_from_slice(&[0x80, 0]);
        self.packet[2..4].copy_from_slice(&(number as u16).to_be_bytes());
        self.packet[4..8].copy_from_slice(&(number as u32 * 160).to_be_bytes());
        self.packet[8..12].copy_from_slice(&(leg as u32 + 1).to_be_bytes());
        let now = self.clock.now().since_start().as_nanos() as u64;
        self.packet[12..20].copy_from_slice(&now.to_be_bytes());
        // A packet that does not go out is a lost one.
        let _ = match self.seals.get_mut(leg) {
            None => self.socket.send_to(&self.packet, self.legs[leg]),
            Some(seal) => {
                let mut sealed = [0; PACKET + 20];
                sealed[..PACKET].copy_from_slice(&self.packet);
                let length = seal.rtp(&mut sealed, PACKET).expect("there is room");
                self.socket.send_to(&sealed[..length], self.legs[leg])
            }
        };
        self.sent += 1;
    }

    fn receive(&mut self) {
        let mut packet = [0; 2048];
        for _ in 0..32 {
            let Ok((length, _)) = self.socket.recv_from(&mut packet) else { return };
            // Shorter ones are RTCP.
            if length > PACKET && !self.seals.is_empty() {
                self.latencies.push(Duration::ZERO);
            } else if length == PACKET {
                let sent = u64::from_be_bytes(packet[12..20].try_into().expect("eight bytes"));
                let latency = self.clock.now() - Time::from_start(Duration::from_nanos(sent));
                self.latencies.push(latency);
            }
        }
    }

    fn forget(&mut self) -> Vec<Duration> {
        std::mem::take(&mut self.latencies)
    }
}
