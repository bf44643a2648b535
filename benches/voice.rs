//! How speech comes out of the engine after a bad network: plays each piece of speech through each codec and network, and
//! writes what a recording of the leg holds, what it would hold if losses were silence, and what the packets hold that go to
//! the other party of a bridge. Time is virtual. The scores are given by `docs/tools/voice_quality.py`, which makes the pieces: 16-bit little-endian samples without a head, in files
//! `NAME.8000.raw` and `NAME.16000.raw`. Run: `cargo bench --bench voice -- FOLDER-OF-PIECES FOLDER-OF-RESULTS`; each line
//! it prints tells of one result.

use std::{error::Error, fs, net::SocketAddr, path::Path, time::Duration};

use switchhook::{
    audio::{Decoder, Encoder},
    chance::Chance,
    codec::{Codec, Digits, OpusWish, Rate},
    conf::Conf,
    ids::{BridgeId, PortId, RecordingId},
    media::{Batch, Block, Channel, Command, Config, Ends, Engine, Event, Layout, Payload, Port, Role, Slot, Stream},
    rtp::{self, Header},
    time::{Epoch, Time},
};

const CODECS: [Codec; 4] = [Codec::Pcmu, Codec::Pcma, Codec::G722, Codec::Opus];
/// The path takes at least this long.
const PATH: Duration = Duration::from_millis(25);
/// The recording goes on for so long after the last packet.
const AFTER: Duration = Duration::from_millis(500);
const PEER: ([u8; 4], u16) = ([192, 0, 2, 1], 4000);
/// The other party, and our ports of both.
const OTHER: ([u8; 4], u16) = ([192, 0, 2, 2], 4000);
const PORT: PortId = PortId(1);
const OTHER_PORT: PortId = PortId(2);

/// What a network does to packets.
#[derive(Clone, Copy)]
struct Network {
    /// Share of the packets that is lost, in percent.
    loss: u32,
    /// So many are lost in a row.
    burst: u32,
    /// Most that a packet takes longer than the fastest, in ms; all between are as likely.
    jitter: u32,
}

const fn lossy(loss: u32, burst: u32) -> Network {
    Network { loss, burst, jitter: 0 }
}

const fn jittery(jitter: u32) -> Network {
    Network { loss: 0, burst: 1, jitter }
}

const NETWORKS: [Network; 17] = [
    lossy(0, 1),
    lossy(1, 1),
    lossy(3, 1),
    lossy(5, 1),
    lossy(10, 1),
    lossy(20, 1),
    lossy(1, 3),
    lossy(3, 3),
    lossy(5, 3),
    lossy(10, 3),
    lossy(20, 3),
    jittery(10),
    jittery(20),
    jittery(40),
    jittery(80),
    jittery(120),
    Network { loss: 5, burst: 1, jitter: 20 },
];

/// One packet on its way: when it comes (absent: never), and what it is.
struct Sent {
    comes: Option<Time>,
    bytes: Vec<u8>,
}

/// What came of one run.
struct Heard {
    samples: Vec<i16>,
    /// Mean time in the jitter buffer.
    delay: Duration,
    concealed: u64,
    late: u64,
    lost: u64,
}

/// Arguments: the folder of the pieces, that of the results, and (where wanted) the one codec to play through.
fn main() -> Result<(), Box<dyn Error>> {
    let folders: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let [pieces, results, only @ ..] = &folders[..] else {
        return Err("say the folder of the pieces and that of the results".into());
    };
    let media = Conf::load(None).map_err(|fault| fault.to_string())?.media;
    let config = Config { rtcp_interval: Duration::from_secs(1), ..media };
    fs::create_dir_all(results)?;
    let mut names: Vec<String> = fs::read_dir(pieces)?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.strip_suffix(".8000.raw").map(str::to_owned))
        .collect();
    names.sort();
    println!("codec,loss,burst,jitter,piece,kind,rate,file,delay_ms,concealed,late,lost");
    for (n, name) in names.iter().enumerate() {
        // Ticks lie anywhere between packets.
        let phase = Duration::from_millis(n as u64 * 7 % 20);
        for codec in CODECS.into_iter().filter(|codec| only.is_empty() || only.contains(&codec.to_string())) {
            let rate = codec.rate_for(Rate::Wide);
            let speech = read(&Path::new(pieces).join(format!("{name}.{}.raw", rate.hz())))?;
            for network in NETWORKS {
                let sent = send(&speech, codec, network, n as u64 + 1);
                let say = |kind: &str, heard: &Heard| -> Result<(), Box<dyn Error>> {
                    let Network { loss, burst, jitter } = network;
                    let file = format!("{codec}-{loss}-{burst}-{jitter}-{name}-{kind}.raw");
                    let bytes: Vec<u8> = heard.samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
                    fs::write(Path::new(results).join(&file), bytes)?;
                    let (hz, delay) = (rate.hz(), heard.delay.as_secs_f64() * 1e3);
                    let Heard { concealed, late, lost, .. } = heard;
                    println!(
                        "{codec},{loss},{burst},{jitter},{name},{kind},{hz},{file},{delay:.1},{concealed},{late},{lost}"
                    );
                    Ok(())
                };
                let [recorded, passed_on] = through_engine(&sent, codec, &config, phase);
                say("engine", &recorded)?;
                say("sent", &passed_on)?;
                if network.jitter == 0 {
                    say("silence", &with_silence(&sent, codec))?;
                }
            }
        }
    }
    Ok(())
}

fn read(path: &Path) -> Result<Vec<i16>, Box<dyn Error>> {
    let bytes = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(bytes.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect())
}

fn payload(codec: Codec) -> Payload {
    Payload { number: codec.static_payload_type().unwrap_or(96), codec }
}

/// All packets of the speech, in the order in which they were sent.
fn send(speech: &[i16], codec: Codec, network: Network, seed: u64) -> Vec<Sent> {
    let rate = codec.rate_for(Rate::Wide);
    let mut encoder = Encoder::new(&[codec], OpusWish { fec: true, ..OpusWish::default() });
    // As the reports of the leg would tell.
    encoder.set_loss(network.loss as u8);
    let mut chance = Chance::new(seed);
    let share = f64::from(network.loss) / 100.0;
    // So many of those that do not follow a burst begin one, that the share comes out.
    let burst = f64::from(network.burst);
    let begins = share / (burst - share * (burst - 1.0));
    let mut left = 0;
    let mut sent = Vec::new();
    for (n, frame) in speech.chunks_exact(rate.frame()).enumerate() {
        let mut bytes = vec![0; rtp::HEADER + 1300];
        let (sequence, timestamp) = (n as u16, n as u32 * codec.clock() / 50);
        let payload_type = payload(codec).number;
        rtp::write(&Header { payload_type, marker: n == 0, sequence, timestamp, ssrc: 1 }, &mut bytes);
        let length = encoder.encode(codec, rate, frame, &mut bytes[rtp::HEADER..]);
        bytes.truncate(rtp::HEADER + length);
        let (falls, waits) = (chance.share(), chance.share());
        if left == 0 && falls < begins {
            left = network.burst;
        }
        let lost = left > 0;
        left = left.saturating_sub(1);
        let at = Time::from_start(Duration::from_secs(1) + Duration::from_millis(20) * (n as u32 + 1)) + PATH;
        let comes = at + Duration::from_millis(network.jitter.into()).mul_f64(waits);
        sent.push(Sent { comes: (!lost).then_some(comes), bytes });
    }
    sent
}

/// What a recording of the leg holds, and what is sent to the other party: as linear samples, so that no second codec
/// counts.
fn through_engine(sent: &[Sent], codec: Codec, config: &Config, phase: Duration) -> [Heard; 2] {
    let mut engine = Engine::new(config.clone(), Epoch(Duration::from_secs(1_700_000_000)));
    let mut batch = Batch::new(64);
    let mut now = Time::from_start(Duration::from_secs(1)) + phase;
    let slot = open(&mut engine, now, (PORT, PEER.into()), codec, config);
    record(&mut engine, now, codec);
    let linear = if codec.rate_for(Rate::Wide) == Rate::Wide { Codec::L16Wide } else { Codec::L16 };
    let other = open(&mut engine, now, (OTHER_PORT, OTHER.into()), linear, config);
    for port in [PORT, OTHER_PORT] {
        engine.handle_command(now, Command::Join { bridge: BridgeId(1), port, role: Role::Both });
    }
    let mut passed_on = Vec::new();
    let mut heard = Heard { samples: Vec::new(), delay: Duration::ZERO, concealed: 0, late: 0, lost: 0 };
    let mut delays = Vec::new();
    let mut coming: Vec<(Time, &[u8])> = sent.iter().filter_map(|sent| Some((sent.comes?, &sent.bytes[..]))).collect();
    coming.sort_by_key(|(comes, _)| *comes);
    let end = coming.last().map_or(now, |(comes, _)| *comes) + AFTER;
    let mut coming = coming.into_iter().peekable();
    while now < end {
        let packet = coming.peek().map_or(end, |(comes, _)| *comes);
        let tick = engine.timeout().map_or(end, |tick| tick.min(end));
        now = packet.min(tick);
        if packet < tick {
            let (_, bytes) = coming.next().expect("it was peeked at");
            engine.handle_packet(now, slot, Channel::Rtp, PEER.into(), bytes, &mut batch);
        } else if now < end {
            engine.handle_timeout(now, &mut batch);
        }
        for datagram in batch.datagrams().iter().filter(|d| d.slot == other && d.channel == Channel::Rtp) {
            let samples = datagram.bytes()[rtp::HEADER..].chunks_exact(2);
            passed_on.extend(samples.map(|pair| i16::from_be_bytes([pair[0], pair[1]])));
        }
        batch.clear();
        drain(&mut engine, now, &mut heard, &mut delays);
    }
    engine.handle_command(now, Command::Close { port: PORT });
    engine.handle_timeout(now, &mut batch);
    drain(&mut engine, now, &mut heard, &mut delays);
    heard.delay = delays.iter().sum::<Duration>() / delays.len().max(1) as u32;
    let passed_on = Heard { samples: passed_on, ..heard };
    [heard, passed_on]
}

fn open(engine: &mut Engine, now: Time, (port, peer): (PortId, SocketAddr), codec: Codec, config: &Config) -> Slot {
    let stream = Stream {
        remote: Some(peer),
        remote_rtcp: None,
        send: Some(payload(codec)),
        receive: vec![payload(codec)],
        foreign: vec![],
        send_digits: Some(Digits::narrow(101)),
        receive_digits: vec![Digits::narrow(101)],
        comfort: None,
        send_comfort: None,
        opus: OpusWish { fec: true, ..OpusWish::default() },
        ptime: 20,
        longest: None,
        sending: true,
        receiving: true,
    };
    engine.handle_command(now, Command::Open { port, memory: Port::new(port, stream, config, port.0) });
    engine.slot(port).expect("it was opened")
}

fn record(engine: &mut Engine, now: Time, codec: Codec) {
    let rate = codec.rate_for(Rate::Wide);
    let blocks = (0..8).map(|_| Block { samples: Vec::with_capacity(rate.frame() * 50) }).collect();
    let (recording, layout, ends) = (RecordingId(1), Layout::Party, Ends::default());
    engine.handle_command(now, Command::Record { port: PORT, recording, layout, rate, ends, blocks });
}

fn drain(engine: &mut Engine, now: Time, heard: &mut Heard, delays: &mut Vec<Duration>) {
    while let Some(event) = engine.poll() {
        match event {
            Event::Recorded { port, recording, block } => {
                heard.samples.extend(&block.samples);
                engine.handle_command(now, Command::Space { port, recording, block });
            }
            Event::Quality { port: PORT, quality } if quality.received > 0 => delays.push(quality.buffer),
            Event::Closed { port: PORT, quality } => {
                (heard.concealed, heard.late, heard.lost) = (quality.concealed, quality.late, quality.lost);
            }
            _ => {}
        }
    }
    while engine.spent().is_some() {}
}

/// What is heard where each lost packet is 20 ms of silence.
fn with_silence(sent: &[Sent], codec: Codec) -> Heard {
    let rate = codec.rate_for(Rate::Wide);
    let mut decoder = Decoder::new(&[codec]);
    let mut heard = Heard { samples: Vec::new(), delay: Duration::ZERO, concealed: 0, late: 0, lost: 0 };
    for packet in sent {
        let mut frame = vec![0; rate.frame()];
        match packet.comes {
            Some(_) => {
                decoder.decode(codec, rate, &packet.bytes[rtp::HEADER..], &mut frame);
            }
            None => heard.lost += 1,
        }
        heard.samples.extend(frame);
    }
    heard
}
