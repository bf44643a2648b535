//! The media path takes and gives back no memory: an allocator that counts says so. Its own test program, because the
//! allocator is the program's.

use std::{
    alloc::{GlobalAlloc, Layout as Shape, System},
    cell::Cell,
    collections::VecDeque,
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use switchhook::{
    audio::progress::Progress,
    codec::{Codec, Digits, OpusWish, Rate},
    ids::{BridgeId, PlayId, PortId, RecordingId, TapId},
    io::g729,
    media::{
        Batch, Block, Channel, Command, Config, Ends, Engine, Event, Layout, Payload, Pcm, Port, Role, Shield,
        ShieldKeys, Shielding, Side, Spent, Stream, Tap, Tapping, Tools,
    },
    rtp::{self, Header, srtp::Seal},
    secure::{Key, Suite},
    time::{Epoch, Time},
    verbs::{Manner, Steer},
};

struct Counting;

thread_local! {
    static CALLS: Cell<(u64, u64)> = const { Cell::new((0, 0)) };
    static BYTES: Cell<i64> = const { Cell::new(0) };
}

#[expect(unsafe_code, reason = "an allocator cannot be written without; it only counts and passes on")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, shape: Shape) -> *mut u8 {
        CALLS.with(|calls| calls.set((calls.get().0 + 1, calls.get().1)));
        BYTES.with(|bytes| bytes.set(bytes.get() + shape.size() as i64));
        unsafe { System.alloc(shape) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, shape: Shape) {
        CALLS.with(|calls| calls.set((calls.get().0, calls.get().1 + 1)));
        BYTES.with(|bytes| bytes.set(bytes.get() - shape.size() as i64));
        unsafe { System.dealloc(memory, shape) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const PORTS: u64 = 6;
const PCMU: Payload = Payload { number: 0, codec: Codec::Pcmu };
const G722: Payload = Payload { number: 9, codec: Codec::G722 };
const OPUS: Payload = Payload { number: 111, codec: Codec::Opus };
const L16: Payload = Payload { number: 97, codec: Codec::L16Wide };
const G729: Payload = Payload { number: 18, codec: Codec::G729 };
const PCMA: Payload = Payload { number: 8, codec: Codec::Pcma };

fn config() -> Config {
    Config {
        jitter_min: Duration::from_millis(20),
        jitter_max: Duration::from_millis(200),
        relatch_after: Duration::from_secs(5),
        silence_timeout: Duration::from_secs(3),
        rtp_timeout: Some(Duration::from_secs(5)),
        rtcp_interval: Duration::from_secs(1),
        max_ports: 8,
    }
}

fn stream(n: u64) -> Stream {
    let codec = [PCMA, PCMU, G722, OPUS, PCMU, L16][n as usize % 6];
    Stream {
        remote: Some(address(n, 4000)),
        remote_rtcp: Some(address(n, 4001)),
        send: Some(codec),
        receive: vec![PCMU, PCMA, G722, OPUS, L16],
        foreign: vec![],
        // Two of them say and take keys as tones only.
        send_digits: (n % 4 != 3).then_some(Digits::narrow(101)),
        receive_digits: if n % 5 != 4 { vec![Digits::narrow(101)] } else { vec![] },
        comfort: None,
        send_comfort: None,
        opus: OpusWish::default(),
        ptime: [20, 10, 30, 60, 20, 40][n as usize % 6],
        longest: None,
        sending: true,
        receiving: true,
    }
}

fn address(n: u64, port: u16) -> SocketAddr {
    ([192, 0, 2, n as u8], port).into()
}

/// An engine, and how often memory was taken or given back within its calls.
struct Watched {
    engine: Engine,
    batch: Batch,
    now: Time,
    touched: (u64, u64),
    /// Blocks on their way back from the disk.
    disk: VecDeque<(PortId, RecordingId, Block)>,
    told: [u32; 4],
}

impl Watched {
    fn new() -> Watched {
        let now = Time::START + Duration::from_secs(1);
        let engine = Engine::new(config(), Epoch::default());
        Watched { engine, batch: Batch::new(64), now, touched: (0, 0), disk: VecDeque::new(), told: [0; 4] }
    }

    /// 20 ms pass.
    fn tick(&mut self) {
        self.now += Duration::from_millis(20);
        while self.engine.timeout().is_some_and(|due| due <= self.now) {
            self.call(|engine, batch, now| engine.handle_timeout(now, batch));
            self.drain();
        }
    }

    fn close_all(&mut self) {
        for n in 0..PORTS {
            self.command(Command::Close { port: PortId(n) });
            self.call(|engine, batch, now| engine.handle_timeout(now, batch));
            self.drain();
        }
    }

    fn call<T>(&mut self, what: impl FnOnce(&mut Engine, &mut Batch, Time) -> T) -> T {
        let before = CALLS.get();
        let result = what(&mut self.engine, &mut self.batch, self.now);
        let after = CALLS.get();
        self.touched.0 += after.0 - before.0;
        self.touched.1 += after.1 - before.1;
        self.batch.clear();
        result
    }

    fn command(&mut self, command: Command) {
        self.call(|engine, _, now| engine.handle_command(now, command));
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(event) = self.call(|engine, _, _| engine.poll()) {
            match event {
                Event::Recorded { port, recording, block } => self.disk.push_back((port, recording, block)),
                Event::PlayDone { .. } => self.told[0] += 1,
                Event::RecordDone { .. } => self.told[1] += 1,
                Event::Digit { .. } => self.told[2] += 1,
                Event::DigitsSent { .. } => self.told[3] += 1,
                Event::PlayAt { .. }
                | Event::Latched { .. }
                | Event::NoRtp { .. }
                | Event::Lost { .. }
                | Event::Handshake { .. }
                | Event::Quality { .. }
                | Event::Loudest { .. }
                | Event::Repacked { .. }
                | Event::Heard { .. }
                | Event::Closed { .. } => {}
            }
        }
        while let Some(spent) = self.call(|engine, _, _| engine.spent()) {
            // Freed out here, as a worker's owner would.
            drop::<Spent>(spent);
        }
    }

    fn packet(&mut self, n: u64, channel: Channel, bytes: &[u8]) {
        let Some(slot) = self.call(|engine, _, _| engine.slot(PortId(n))) else { return };
        let from = address(n, 4000);
        self.call(|engine, batch, now| engine.handle_packet(now, slot, channel, from, bytes, batch));
        self.drain();
    }

    /// What a flow might ask for in this tick.
    fn orders(&mut self, tick: u64) {
        let n = tick % PORTS;
        let port = PortId(n);
        match tick % 23 {
            0 => {
                let sound = |rate| Arc::new(Pcm { rate, samples: vec![100; 3000].into(), looped: false });
                let sounds = [sound(Rate::Narrow), sound(Rate::ALL[n as usize % 3])].into();
                let manner = Manner { volume: -3.0, times: Some(2), from: Duration::from_millis(10) };
                self.command(Command::Play { port, play: PlayId(tick), sounds, manner });
            }
            1 => {
                let play = PlayId(tick.saturating_sub(1));
                let steer = [Steer::Pause, Steer::Forward(Duration::from_millis(50)), Steer::Volume(3.0)];
                self.command(Command::Steer { port: PortId((tick - 1) % PORTS), play, steer: steer[n as usize % 3] });
            }
            2 => {
                let blocks = (0..4).map(|_| Block { samples: Vec::with_capacity(1000) }).collect();
                let (name, recording) = (PortId(1_000_000 + tick), RecordingId(tick));
                let (rate, ends) = (Rate::Wide, Ends { after: Some(9000), quiet: None });
                self.command(Command::RecordBridge { bridge: BridgeId(1), name, recording, rate, ends, blocks });
            }
            3 => {
                let blocks = (0..4).map(|_| Block { samples: Vec::with_capacity(1000) }).collect();
                let layout = [Layout::Stereo, Layout::Mix, Layout::Party][n as usize % 3];
                let (recording, ends) = (RecordingId(tick), Ends { after: Some(9000), quiet: Some(8000) });
                self.command(Command::Record { port, recording, layout, rate: Rate::Narrow, ends, blocks });
            }
            5 => {
                let (length, gap) = (Duration::from_millis(80), Duration::from_millis(40));
                self.command(Command::Digits { port, digits: "12,#".into(), length, gap });
            }
            8 => {
                let tools = Tools::new(&stream(n), &config());
                self.command(Command::Update { port, stream: Box::new(stream(n)), tools });
            }
            11 => self.command(Command::Leave { port }),
            6 => self.command(Command::Level { port, on: tick.is_multiple_of(2) }),
            9 => {
                let listener = tick.is_multiple_of(2).then(|| Box::new(Progress::new(8000)));
                self.command(Command::Detect { port, listener });
            }
            12 => self.command(Command::Chime { port, rising: tick.is_multiple_of(2) }),
            15 => self.command(Command::PassKey { port, key: '7' }),
            13 => self.command(Command::Echo { port, on: tick.is_multiple_of(2) }),
            17 => {
                let roles = [Role::Both, Role::Both, Role::Listen, Role::Speak, Role::Whisper(PortId(1))];
                let role = roles[tick as usize / 23 % 5];
                self.command(Command::Join { bridge: BridgeId(tick % 3), port, role });
            }
            _ => {}
        }
        if tick.is_multiple_of(5)
            && let Some((port, recording, block)) = self.disk.pop_front()
        {
            self.command(Command::Space { port, recording, block });
        }
    }
}

/// The ports whose streams are encrypted, each with another suite.
const SHIELDED: [(u64, Suite); 2] = [(0, Suite::AesCm128Sha1_80), (2, Suite::AeadAes256Gcm)];

fn key(suite: Suite) -> Key {
    Key::new(suite, &[7; 64][..suite.key_bytes() + suite.salt_bytes()]).expect("as long as it has to be")
}

#[test]
fn between_open_and_close_no_memory_is_taken_or_given_back() {
    let mut watched = Watched::new();
    for n in 0..PORTS {
        let memory = Port::new(PortId(n), stream(n), &config(), n);
        watched.command(Command::Open { port: PortId(n), memory });
        watched.command(Command::Join { bridge: BridgeId(n / 2), port: PortId(n), role: Role::Both });
    }
    let mut seals = Vec::new();
    for (n, suite) in SHIELDED {
        let keys = ShieldKeys::Known { ours: key(suite), theirs: key(suite) };
        let shield = Shield::new(Shielding { keys, mux: false, ice: None });
        watched.command(Command::Shield { port: PortId(n), shield });
        seals.push((n, Seal::new(&key(suite))));
    }
    for tick in 0..500_u64 {
        for n in 0..PORTS {
            let payload_type = if tick % 97 < 5 { 101 } else { (tick / 100 % 2 * 8) as u8 };
            let timestamp = if payload_type == 101 { tick / 97 * 97 } else { tick } as u32 * 160;
            let marker = tick == 0;
            let header = Header { payload_type, marker, sequence: tick as u16, timestamp, ssrc: n as u32 };
            let mut packet = [3; 192];
            rtp::write(&header, &mut packet);
            let length = if payload_type == 101 { 16 } else { 172 };
            let seal = seals.iter_mut().find(|(shielded, _)| *shielded == n);
            let length = seal.map_or(length, |(_, seal)| seal.rtp(&mut packet, length).expect("it has room"));
            watched.packet(n, Channel::Rtp, &packet[..length]);
            if tick % 50 == 0 {
                watched.packet(n, Channel::Rtcp, &[0x80, 201, 0, 1, 0, 0, 0, 1]);
                watched.packet(n, Channel::Rtcp, &packet);
            }
        }
        watched.orders(tick);
        watched.tick();
    }
    watched.close_all();
    let [plays, recordings, digits, dialed] = watched.told;
    assert!(plays > 15 && recordings > 15 && digits > 20 && dialed > 15, "it was busy: {:?}", watched.told);
    assert_eq!(watched.touched, (0, 0), "(taken, given back)");
}

/// Ports 0 and 1 pass a fax on; 2 to 5 speak each of these, and lose packets. The system's G.729 takes its memory elsewhere; what
/// is counted is ours.
fn lossy(n: u64) -> Stream {
    let codec = [PCMU, PCMU, G729, G722, OPUS, PCMU][n as usize];
    Stream { send: Some(codec), receive: vec![codec], ptime: 20, ..stream(n) }
}

/// A tap of the port with room for so many frames.
fn tapped(watched: &mut Watched, n: u64, (id, side, rate): (u64, Side, Rate)) -> Arc<Tap> {
    let tap = Tap::new(TapId(id), side, rate, 10);
    watched.command(Command::Tap { port: PortId(n), tapping: Tapping::new(tap.clone()) });
    tap
}

#[test]
fn taps_faxes_losses_and_the_systems_g729_take_no_memory_either() {
    g729::load().expect("libbcg729 is installed: make run installs it");
    let mut watched = Watched::new();
    for n in 0..PORTS {
        let memory = Port::new(PortId(n), lossy(n), &config(), n);
        watched.command(Command::Open { port: PortId(n), memory });
        watched.command(Command::Join { bridge: BridgeId(n / 2), port: PortId(n), role: Role::Both });
    }
    for n in 0..2 {
        watched.command(Command::Pass { port: PortId(n), remote: address(n, 4000) });
    }
    let (mut taken, mut passed, mut over) = (0, 0, 0);
    let mut taps: Vec<Arc<Tap>> = Vec::new();
    for tick in 0..500_u64 {
        for n in 0..PORTS {
            let (number, length) = [(0, 160), (0, 160), (18, 20), (9, 160), (111, 40), (0, 160)][n as usize];
            let (sequence, timestamp) = (tick as u16, tick as u32 * if n == 4 { 960 } else { 160 });
            let header = Header { payload_type: number, marker: tick == 0, sequence, timestamp, ssrc: n as u32 };
            // Opus: 20 ms of CELT, whatever that may sound like.
            let mut packet = [if n == 4 { 0xf8 } else { (tick * 37 % 251) as u8 }; 192];
            rtp::write(&header, &mut packet);
            let lost = (tick + n) % 11 < tick / 100;
            if !lost {
                watched.packet(n, Channel::Rtp, &packet[..rtp::HEADER + length]);
                passed += u64::from(n < 2);
            }
        }
        match tick % 50 {
            0 => {
                let port = 2 + tick / 50 % 4;
                taps.push(tapped(&mut watched, port, (tick + 1, Side::Said, Rate::Wide)));
                taps.push(tapped(&mut watched, port, (tick + 2, Side::Heard, Rate::Narrow)));
            }
            // One is left, the other goes to another port; a third port sends on what comes out of it.
            20 => watched.command(Command::Untap { port: PortId(2 + tick / 50 % 4), tap: TapId(tick - 19) }),
            30 => {
                let tap = taps.last().expect("there is one").clone();
                watched.command(Command::Feed { port: PortId(2 + (tick / 50 + 1) % 4), tap });
            }
            _ => {}
        }
        taken += taps.iter().step_by(2).filter_map(|tap| tap.take()).count();
        watched.tick();
    }
    watched.close_all();
    over += taps.iter().filter(|tap| tap.is_over()).count();
    let dropped: u64 = taps.iter().map(|tap| tap.dropped()).sum();
    assert!(taken > 100 && passed > 500 && dropped > 100, "it was busy: {taken} {passed} {dropped}");
    assert_eq!(over, taps.len(), "every tap is over with its port");
    assert_eq!(watched.touched, (0, 0), "(taken, given back)");
}

#[test]
fn a_port_needs_at_most_24_kib() {
    let before = BYTES.get();
    let narrow = Stream { send: Some(PCMU), receive: vec![PCMU, PCMA], ..stream(1) };
    let port = Port::new(PortId(1), narrow, &config(), 1);
    let bytes = BYTES.get() - before;
    assert!(bytes <= 24 * 1024, "{bytes}");
    assert_eq!(port.id(), PortId(1));
}
