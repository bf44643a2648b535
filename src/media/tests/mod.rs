//! The engine in virtual time, with packets made by hand.

#![expect(clippy::wildcard_enum_match_arm, reason = "a test picks the events it is about")]

use std::{f64::consts::TAU, sync::Arc};

use super::*;
use crate::{
    audio::{self, goertzel},
    codec::Rate,
    ids::{BridgeId, PlayId, PortId, RecordingId},
    rtp::{self, Header},
    time::{Epoch, Time},
    verbs::{Manner, RecordEnd, RecordMode, Steer},
};

mod aligned;
mod bridges;
mod chaos;
mod codecs;
mod lengths;
mod life;
mod listeners;
mod pass;
mod pauses;
mod relay;
mod rooms;
mod shields;
mod sounds;
mod taps;
mod tones;
mod tones_lost;
mod traces;

pub(super) const PCMU: Payload = Payload { number: 0, codec: Codec::Pcmu };
pub(super) const PCMA: Payload = Payload { number: 8, codec: Codec::Pcma };

/// A moment, in ms.
pub(super) fn at(ms: u64) -> Time {
    Time::from_start(Duration::from_millis(ms))
}

/// PCMU and digits both ways, with a peer at `remote`.
pub(super) fn stream_to(remote: SocketAddr) -> Stream {
    Stream {
        remote: Some(remote),
        remote_rtcp: Some(SocketAddr::new(remote.ip(), remote.port() + 1)),
        send: Some(PCMU),
        receive: vec![PCMU],
        foreign: vec![],
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

fn config() -> Config {
    Config {
        jitter_min: Duration::from_millis(20),
        jitter_max: Duration::from_millis(200),
        relatch_after: Duration::from_secs(5),
        silence_timeout: Duration::from_secs(10),
        rtp_timeout: Some(Duration::from_secs(60)),
        rtcp_interval: Duration::from_secs(5),
        max_ports: 8,
    }
}

/// Where phone `n` is.
fn address(n: u64) -> SocketAddr {
    ([192, 0, 2, n as u8], 4000).into()
}

/// One datagram that the engine sent.
struct Sent {
    at: Time,
    slot: Slot,
    channel: Channel,
    to: SocketAddr,
    bytes: Vec<u8>,
}

impl Sent {
    fn rtp(&self) -> Option<(Header, &[u8])> {
        let (header, payload) = rtp::read(&self.bytes).filter(|_| self.channel == Channel::Rtp)?;
        Some((header, &self.bytes[payload]))
    }
}

/// A phone that speaks in a tone of its own.
struct Phone {
    port: PortId,
    slot: Slot,
    from: SocketAddr,
    payload: Payload,
    next: Header,
    spoken: usize,
    tone: f64,
    encoder: audio::Encoder,
}

impl Phone {
    /// The next packet of 20 ms.
    fn speak(&mut self) -> Vec<u8> {
        let (codec, rate) = (self.payload.codec, self.payload.codec.rate_for(Rate::Wide));
        let samples: Vec<i16> = (self.spoken..self.spoken + rate.frame())
            .map(|n| (8000.0 * (TAU * self.tone * n as f64 / f64::from(rate.hz())).sin()) as i16)
            .collect();
        self.spoken += samples.len();
        let mut payload = [0; MAX_PACKET];
        let length = self.encoder.encode(codec, rate, &samples, &mut payload);
        let packet = self.packet(self.payload.number, &payload[..length]);
        self.next.timestamp = self.next.timestamp.wrapping_add(codec.clock() / 50);
        packet
    }

    /// A packet of any kind, at the phone's present time.
    fn packet(&mut self, payload_type: u8, payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![0; rtp::HEADER];
        rtp::write(&Header { payload_type, ..self.next }, &mut packet);
        packet.extend_from_slice(payload);
        self.next.sequence = self.next.sequence.wrapping_add(1);
        self.next.marker = false;
        packet
    }

    /// One press: three packets, the last of them sent thrice, in 100 ms.
    fn press(&mut self, code: u8) -> Vec<Vec<u8>> {
        self.next.marker = true;
        let durations = [(160, 0), (480, 0), (800, 0x80), (800, 0x80), (800, 0x80)];
        let packets = durations.map(|(duration, end): (u16, u8)| {
            let [high, low] = duration.to_be_bytes();
            self.packet(101, &[code, end | 10, high, low])
        });
        self.next.timestamp = self.next.timestamp.wrapping_add(800);
        packets.into()
    }
}

/// One engine, its time, and all that came out of it.
struct World {
    engine: Engine,
    now: Time,
    batch: Batch,
    sent: Vec<Sent>,
    events: Vec<Event>,
}

impl World {
    fn new() -> World {
        World::with(config(), 64)
    }

    fn with(config: Config, batch: usize) -> World {
        let engine = Engine::new(config, Epoch(Duration::from_secs(1_700_000_000)));
        World { engine, now: at(1000), batch: Batch::new(batch), sent: vec![], events: vec![] }
    }

    /// Phone `n` at its usual place; its tone is 400 Hz and 300 Hz more for each before it.
    fn open(&mut self, n: u64) -> Phone {
        self.open_with(n, stream_to(address(n)))
    }

    fn open_with(&mut self, n: u64, stream: Stream) -> Phone {
        let port = PortId(n);
        let payload = stream.send.expect("a phone speaks");
        let memory = Port::new(port, stream, &self.engine.config, n);
        self.command(Command::Open { port, memory });
        let slot = self.engine.slot(port).expect("was opened");
        let next = Header {
            payload_type: 0,
            marker: true,
            sequence: 65000_u16.wrapping_add(n as u16),
            timestamp: n as u32 * 1000,
            ssrc: 7 + n as u32,
        };
        let mut encoder = audio::Encoder::new(&[payload.codec], OpusWish { fec: true, ..OpusWish::default() });
        encoder.set_loss(10);
        Phone { port, slot, from: address(n), payload, next, spoken: 0, tone: 100.0 + 300.0 * n as f64, encoder }
    }

    fn command(&mut self, command: Command) {
        self.engine.handle_command(self.now, command);
        self.drain();
    }

    fn join(&mut self, phones: &[&Phone]) {
        for phone in phones {
            self.join_as(phone, Role::Both);
        }
    }

    fn join_as(&mut self, phone: &Phone, role: Role) {
        self.command(Command::Join { bridge: BridgeId(1), port: phone.port, role });
    }

    fn update(&mut self, phone: &Phone, change: impl FnOnce(&mut Stream)) {
        let mut stream = stream_to(address(phone.port.0));
        change(&mut stream);
        let tools = Tools::new(&stream, &self.engine.config);
        self.command(Command::Update { port: phone.port, stream: Box::new(stream), tools });
    }

    fn play(&mut self, phone: &Phone, play: u64, samples: Vec<i16>) {
        let sounds = [Arc::new(Pcm { rate: Rate::Narrow, samples: samples.into(), looped: false })].into();
        self.command(Command::Play { port: phone.port, play: PlayId(play), sounds, manner: Manner::default() });
    }

    fn record(&mut self, phone: &Phone, recording: u64, layout: Layout) {
        let blocks = (0..100).map(|_| Block { samples: Vec::with_capacity(1600) }).collect();
        let recording = RecordingId(recording);
        let (rate, ends) = (Rate::Narrow, Ends::default());
        self.command(Command::Record { port: phone.port, recording, layout, rate, ends, blocks });
    }

    /// A packet of `phone` comes in; what leaves in the same wake-up is returned.
    fn receive(&mut self, phone: &Phone, packet: &[u8]) -> Vec<(Header, Vec<u8>)> {
        self.receive_from(phone, phone.from, packet)
    }

    fn receive_from(&mut self, phone: &Phone, from: SocketAddr, packet: &[u8]) -> Vec<(Header, Vec<u8>)> {
        let before = self.sent.len();
        self.engine.handle_packet(self.now, phone.slot, Channel::Rtp, from, packet, &mut self.batch);
        self.drain();
        let new = self.sent[before..].iter().filter_map(Sent::rtp);
        new.map(|(header, payload)| (header, payload.to_vec())).collect()
    }

    /// Time goes on; ticks run when they are due.
    fn run(&mut self, ms: u64) {
        let until = self.now + Duration::from_millis(ms);
        while let Some(due) = self.engine.timeout().filter(|due| *due <= until) {
            self.now = self.now.max(due);
            self.engine.handle_timeout(self.now, &mut self.batch);
            self.drain();
        }
        self.now = until;
    }

    /// Time goes on while these speak.
    fn talk(&mut self, ms: u64, phones: &mut [&mut Phone]) {
        for _ in 0..ms / 20 {
            for phone in phones.iter_mut() {
                let packet = phone.speak();
                self.receive(phone, &packet);
            }
            self.run(20);
        }
    }

    fn drain(&mut self) {
        for datagram in self.batch.datagrams() {
            let (slot, channel, to) = (datagram.slot, datagram.channel, datagram.to);
            self.sent.push(Sent { at: self.now, slot, channel, to, bytes: datagram.bytes().to_vec() });
        }
        self.batch.clear();
        self.events.extend(std::iter::from_fn(|| self.engine.poll()));
        while self.engine.spent().is_some() {}
    }

    /// RTP that was sent to a phone.
    fn packets(&self, phone: &Phone) -> Vec<(Header, &[u8])> {
        self.sent.iter().filter(|sent| sent.slot == phone.slot).filter_map(Sent::rtp).collect()
    }

    /// What a phone heard in the last `ms`, packet after packet; digits are left out.
    fn heard(&self, phone: &Phone, ms: u64) -> Vec<i16> {
        let fresh = |sent: &&Sent| self.now - sent.at < Duration::from_millis(ms);
        let sent = self.sent.iter().filter(|sent| sent.slot == phone.slot).filter(fresh);
        let audio = sent.filter_map(Sent::rtp).filter(|(header, _)| header.payload_type != 101);
        audio.flat_map(|(header, payload)| decoded(header.payload_type, payload)).collect()
    }

    /// RTP to a phone must be one stream: no number missing or twice, time in step with the samples. Gaps are allowed
    /// before a marker only; digits stand still.
    fn assert_one_stream(&self, phone: &Phone) {
        let packets = self.packets(phone);
        assert!(!packets.is_empty());
        for pair in packets.windows(2) {
            let ((a, payload), (b, _)) = (pair[0], pair[1]);
            assert_eq!(a.ssrc, b.ssrc);
            assert_eq!(a.sequence.wrapping_add(1), b.sequence, "{a:?} {b:?}");
            if a.payload_type != 101 && b.payload_type != 101 {
                let step = b.timestamp.wrapping_sub(a.timestamp) as usize;
                assert!(step == payload.len() || (b.marker && step > payload.len() && step < 80_000), "{a:?} {b:?}");
            }
        }
    }

    fn keys(&self, phone: &Phone) -> String {
        let key = |event: &Event| match event {
            Event::Digit { port, key } if *port == phone.port => Some(*key),
            _ => None,
        };
        self.events.iter().filter_map(key).collect()
    }

    fn count(&self, which: impl Fn(&Event) -> bool) -> usize {
        self.events.iter().filter(|event| which(event)).count()
    }
}

fn decoded(payload_type: u8, payload: &[u8]) -> Vec<i16> {
    let codec = if payload_type == 8 { Codec::Pcma } else { Codec::Pcmu };
    let mut samples = vec![0; payload.len()];
    audio::Decoder::new(&[]).decode(codec, Rate::Narrow, payload, &mut samples);
    samples
}

/// Whether the tone of `phone` is in it, at about the level it was spoken; nothing between there and not there is right.
fn has_tone(samples: &[i16], phone: &Phone) -> bool {
    let whole = 8000.0_f64.powi(2) / 2.0;
    let share = goertzel::power(samples, phone.tone, RATE) / whole;
    assert!(!samples.is_empty() && !(0.01..0.7).contains(&share), "{share} of the tone");
    share > 0.5
}
