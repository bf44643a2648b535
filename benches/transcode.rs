//! What calls cost in the engine whose two legs do not share a codec: CPU time of decoding, adding, converting and
//! encoding, without sockets. Each leg gets speech-like noise in its own codec, a packet each 20 ms; time is virtual, so
//! that nothing but the engine's own work is counted. Run: `cargo bench --bench transcode [-- calls seconds]`.

use std::{net::SocketAddr, time::Duration};

use nix::time::{ClockId, clock_gettime};
use switchhook::{
    audio::Encoder,
    codec::{Codec, Digits, OpusWish, Rate},
    ids::{BridgeId, PortId},
    media::{Batch, Channel, Command, Config, Engine, Payload, Port, Role, Slot, Stream},
    rtp::{self, Header},
    time::{Epoch, Time},
};

const MIXES: [(&str, &[Codec]); 9] = [
    ("PCMU, relayed", &[Codec::Pcmu, Codec::Pcmu]),
    ("PCMU and PCMA", &[Codec::Pcmu, Codec::Pcma]),
    ("PCMU and G722", &[Codec::Pcmu, Codec::G722]),
    ("PCMU and L16/16000", &[Codec::Pcmu, Codec::L16Wide]),
    ("PCMU and opus", &[Codec::Pcmu, Codec::Opus]),
    ("G722 and opus", &[Codec::G722, Codec::Opus]),
    ("PCMU, room of 100", &[Codec::Pcmu; 100]),
    ("G722, room of 100", &[Codec::G722; 100]),
    ("PCMU, room of 500", &[Codec::Pcmu; 500]),
];

struct Leg {
    slot: Slot,
    from: SocketAddr,
    packets: Vec<Vec<u8>>,
    codec: Codec,
    next: Header,
}

fn main() {
    let numbers: Vec<usize> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    let calls = numbers.first().copied().unwrap_or(100);
    let seconds = numbers.get(1).copied().unwrap_or(10);
    println!("{calls} calls for {seconds} s of virtual time; rooms: one room");
    println!("what                   legs   µs a leg and tick   % of a core a call (rooms: in all)");
    for (name, codecs) in MIXES {
        let groups = if codecs.len() > 2 { 1 } else { calls };
        let (legs, cost) = run(codecs, groups, seconds);
        let shown = if codecs.len() > 2 { cost * legs as f64 } else { cost * 2.0 };
        println!("{name:<20} {legs:>6}   {:>17.2}   {:>10.4}", cost * 20_000.0, shown * 100.0);
    }
}

/// How many legs, and the share of a core that each takes.
fn run(codecs: &[Codec], groups: usize, seconds: usize) -> (usize, f64) {
    let config = Config {
        jitter_min: Duration::from_millis(20),
        jitter_max: Duration::from_millis(200),
        relatch_after: Duration::from_secs(2),
        silence_timeout: Duration::from_secs(30),
        rtp_timeout: None,
        rtcp_interval: Duration::from_secs(5),
        max_ports: codecs.len() * groups,
    };
    let mut engine = Engine::new(config.clone(), Epoch(Duration::from_secs(1_700_000_000)));
    let mut batch = Batch::new(1024);
    let mut now = Time::from_start(Duration::from_secs(1));
    let mut legs: Vec<Leg> = (0..codecs.len() * groups)
        .map(|n| open(&mut engine, &config, now, n as u64, codecs[n % codecs.len()], (n / codecs.len()) as u64))
        .collect();
    let mut spent = Duration::ZERO;
    for tick in 0..50 * seconds + 50 {
        let began = cpu();
        for leg in &mut legs {
            let packet = &mut leg.packets[tick % 50];
            rtp::write(&leg.next, packet);
            engine.handle_packet(now, leg.slot, Channel::Rtp, leg.from, packet, &mut batch);
            if batch.room() == 0 {
                batch.clear();
            }
            leg.next.sequence = leg.next.sequence.wrapping_add(1);
            leg.next.timestamp = leg.next.timestamp.wrapping_add(leg.codec.clock() / 50);
        }
        now += Duration::from_millis(20);
        while engine.timeout().is_some_and(|due| due <= now) {
            engine.handle_timeout(now, &mut batch);
            batch.clear();
        }
        if tick >= 50 {
            spent += cpu() - began;
        }
        while engine.poll().is_some() || engine.spent().is_some() {}
    }
    (legs.len(), spent.as_secs_f64() / seconds as f64 / legs.len() as f64)
}

fn open(engine: &mut Engine, config: &Config, now: Time, n: u64, codec: Codec, bridge: u64) -> Leg {
    let from = SocketAddr::from(([192, 0, 2, 1], 4000 + n as u16));
    let payload = Payload { number: codec.static_payload_type().unwrap_or(96), codec };
    let stream = Stream {
        remote: Some(from),
        remote_rtcp: None,
        send: Some(payload),
        receive: vec![payload],
        foreign: vec![],
        // Without events its audio would be listened to for keys.
        send_digits: Some(Digits::narrow(101)),
        receive_digits: vec![Digits::narrow(101)],
        comfort: None,
        opus: OpusWish { fec: true, ..OpusWish::default() },
        ptime: 20,
        sending: true,
        receiving: true,
    };
    let port = PortId(n + 1);
    let memory = Port::new(port, stream, config, n);
    engine.handle_command(now, Command::Open { port, memory });
    engine.handle_command(now, Command::Join { bridge: BridgeId(bridge + 1), port, role: Role::Both });
    let slot = engine.slot(port).expect("it was opened");
    let next = Header { payload_type: payload.number, marker: false, sequence: 0, timestamp: 0, ssrc: n as u32 };
    Leg { slot, from, packets: packets(codec, n), codec, next }
}

/// A second of noise that comes and goes like syllables.
fn packets(codec: Codec, seed: u64) -> Vec<Vec<u8>> {
    let rate = codec.rate_for(Rate::Wide);
    let mut encoder = Encoder::new(&[codec], OpusWish { fec: true, ..OpusWish::default() });
    let (mut chance, mut low) = (seed as u32 + 1, 0.0_f32);
    (0..50)
        .map(|n| {
            let samples: Vec<i16> = (0..rate.frame())
                .map(|_| {
                    chance = chance.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    low += 0.2 * ((chance >> 16) as f32 - 32_768.0 - low);
                    (low * if n % 12 < 9 { 0.5 } else { 0.01 }) as i16
                })
                .collect();
            let mut packet = vec![0; rtp::HEADER + 1300];
            let length = encoder.encode(codec, rate, &samples, &mut packet[rtp::HEADER..]);
            packet.truncate(rtp::HEADER + length);
            packet
        })
        .collect()
}

fn cpu() -> Duration {
    Duration::from(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("the clock is there"))
}
