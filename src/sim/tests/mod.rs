//! The simulator's tests, by what is tested; here is what they share.

mod calls;
mod digits;
mod flows;
mod hold;
mod limits;
mod media;
mod nat;
mod overload;
mod phone;
mod playing;
mod quality;
mod recording;
mod ring_all;
mod rooms;
mod soak;
mod streams;
mod transports;

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use super::{Datagram, Recording, SIP_PORT, Weather, World, hum};
use crate::{
    audio::{g711, goertzel},
    chance::Chance,
    conf::Conf,
    ids::RequestId,
    sip,
    switch::{
        CallRecord, Config, ConsoleReply, Counts, Direction, EndReason, GuardConfig, Input, Limits, Originate, Pattern,
        Phones, Route, Rules, Service, Status, TraceEvent,
    },
    time::Time,
};

const SERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
const PHONE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));
const BAD: Weather =
    Weather { latency: Duration::from_millis(20), jitter: Duration::from_millis(20), loss: 0.05, duplicated: 0.01 };

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn other(last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, last))
}

fn config(ip: IpAddr, routes: &[(&str, &str)]) -> Config {
    let conf = Conf::load(None).expect("the defaults");
    Config {
        sip: sip::Config {
            interfaces: vec![sip::Interface::plain(SocketAddr::new(ip, SIP_PORT))],
            t1: conf.sip.t1,
            t2: conf.sip.t2,
            t4: conf.sip.t4,
            timer_c: secs(180),
            max_message: conf.sip.max_message,
            max_headers: conf.sip.max_headers,
            max_transactions: conf.sip.max_transactions,
            udp_limit: 65_535,
            agent: String::new(),
        },
        media: conf.media.clone(),
        workers: 1,
        trunking: crate::switch::Trunking::default(),
        routes: routes
            .iter()
            .map(|(number, script)| Route {
                number: Pattern::parse(number).expect("a pattern"),
                service: Service::script(script),
            })
            .collect(),
        codecs: conf.codecs,
        relayed: Vec::new(),
        comfort_noise: false,
        ptime: 20,
        country: "us".into(),
        ring_limit: conf.sip.ring_limit,
        retry_after: secs(5),
        security: Default::default(),
        stir: Default::default(),
        rules: Rules::default(),
        trace: true,
        phones: Phones::default(),
        messages: Default::default(),
        guard: GuardConfig::default(),
        limits: Limits::default(),
    }
}

/// A server that runs `script` on number 100, and a phone that runs `phone` when it is answered.
fn world(weather: Weather, script: &str, phone: &str) -> World {
    let mut world = World::new(weather, 7);
    world.add(SERVER, config(SERVER, &[("100", "main.lua")]), &[("main.lua", script)]);
    world.add(PHONE, config(PHONE, &[("*", "answer.lua")]), &[("phone.lua", phone), ("answer.lua", phone)]);
    world
}

fn call(world: &mut World, target: &str) {
    call_from(world, PHONE, target, secs(60));
}

/// The phone at `ip` calls `target`, and gives up after `timeout`.
fn call_from(world: &mut World, ip: IpAddr, target: &str, timeout: Duration) {
    let originate = Originate {
        request: RequestId(1),
        target: target.into(),
        from: "phone".into(),
        script: Some("phone.lua".into()),
        vars: Vec::new(),
        headers: Vec::new(),
        timeout,
    };
    world.tell(ip, Input::Originate(originate));
}

/// A phone that runs `answer` when it is called and `phone` when it calls.
fn add_phone(world: &mut World, ip: IpAddr, answer: &str, phone: &str) {
    world.add(ip, config(ip, &[("*", "answer.lua")]), &[("answer.lua", answer), ("phone.lua", phone)]);
}

/// Nothing is left of any call at these hosts, a minute later.
fn assert_clean(world: &mut World, hosts: &[IpAddr]) {
    world.run_for(secs(60));
    for ip in hosts {
        assert_eq!(world.host(*ip).exchange.counts(), Counts::default(), "left behind at {ip}");
    }
}

/// The record of the call that came in.
fn inbound(world: &mut World, ip: IpAddr) -> CallRecord {
    let records = &world.host(ip).records;
    let found = records.iter().find(|record| record.direction == Direction::Inbound);
    found.unwrap_or_else(|| panic!("no inbound call at {ip}: {records:#?}")).clone()
}

fn var(record: &CallRecord, name: &str) -> String {
    record.vars.get(name).cloned().unwrap_or_default()
}

/// When the first SIP message that begins so arrived, which `ip` sent to `peer`, or got from it; PRACK and its answer
/// aside.
fn when(world: &mut World, ip: IpAddr, sent: bool, peer: IpAddr, line: &str) -> Option<Time> {
    let (from, to) = if sent { (ip, peer) } else { (peer, ip) };
    let found = |(_, datagram): &&(Time, Datagram)| {
        let way = datagram.from.ip() == from && datagram.to == SocketAddr::new(to, SIP_PORT);
        way && datagram.bytes.starts_with(line.as_bytes()) && !is_about_prack(&datagram.bytes)
    };
    world.wire().iter().find(found).map(|(at, _)| *at)
}

fn is_about_prack(message: &[u8]) -> bool {
    let mut lines = message.split(|byte| *byte == b'\n');
    lines.any(|line| line.starts_with(b"CSeq:") && line.trim_ascii_end().ends_with(b"PRACK"))
}

/// RTP audio that arrived at a host, decoded, with the times of arrival. PCMU only.
fn audio_at(world: &World, ip: IpAddr) -> Vec<(Time, Vec<i16>)> {
    let rtp = |(at, datagram): &(Time, Datagram)| {
        let (port, bytes) = (datagram.to.port(), &datagram.bytes);
        let audio = datagram.to.ip() == ip && port >= 20_000 && port.is_multiple_of(2) && bytes.len() > 12;
        (audio && bytes[1] & 0x7f == 0).then(|| {
            let mut samples = vec![0; bytes.len() - 12];
            g711::decode_ulaw(&bytes[12..], &mut samples);
            (*at, samples)
        })
    };
    world.wire().iter().filter_map(rtp).collect()
}

/// The longest time without a packet of audio.
fn longest_gap(heard: &[(Time, Vec<i16>)]) -> Duration {
    heard.windows(2).map(|pair| pair[1].0 - pair[0].0).max().unwrap_or(Duration::MAX)
}

/// True where a good part of these samples is that tone.
fn holds(samples: &[i16], frequency: f64) -> bool {
    let energy: f64 = samples.iter().map(|s| f64::from(*s).powi(2)).sum();
    energy > 1e6 && goertzel::power(samples, frequency, 8000) * samples.len() as f64 > 0.25 * energy
}

/// Seconds of a channel of which the tone is a good part, perhaps beside another one.
fn seconds_with(recording: &Recording, channel: usize, frequency: f64) -> f64 {
    channel_of(recording, channel).chunks_exact(160).filter(|frame| holds(frame, frequency)).count() as f64 * 0.02
}

fn channel_of(recording: &Recording, channel: usize) -> Vec<i16> {
    let channels = usize::from(recording.layout.channels());
    recording.samples.iter().skip(channel).step_by(channels).copied().collect()
}

/// Largest difference of neighbouring samples: a click shows here.
fn largest_jump(samples: &[i16]) -> i32 {
    samples.windows(2).map(|pair| (i32::from(pair[1]) - i32::from(pair[0])).abs()).max().unwrap_or(0)
}

fn ended(world: &mut World) -> bool {
    world
        .host(PHONE)
        .console
        .iter()
        .any(|told| matches!(told, ConsoleReply::Ended { .. } | ConsoleReply::Failed { .. }))
}

fn run_to_the_end(world: &mut World) {
    assert!(world.run_until(secs(600), ended), "the call never ended: {:?}", story(world));
    // Retransmissions, and what must be kept to answer them, are gone after 64*T1 and a little.
    world.run_for(secs(60));
    for ip in [SERVER, PHONE] {
        assert_eq!(world.host(ip).exchange.counts(), Counts::default(), "left behind at {ip}");
    }
}

fn story(world: &mut World) -> Vec<String> {
    let line = |what: &TraceEvent| match what {
        TraceEvent::Message { sent, first_line, .. } => format!("{} {first_line}", if *sent { "->" } else { "<-" }),
        TraceEvent::Sdp(text) | TraceEvent::Media(text) | TraceEvent::Call(text) => text.clone(),
    };
    world.host(PHONE).traces.iter().map(|trace| format!("{} {}", trace.at, line(&trace.what))).collect()
}

/// Seconds of a channel that hold the tone.
fn seconds_of(recording: &Recording, channel: usize, frequency: f64) -> f64 {
    let channels = usize::from(recording.layout.channels());
    let samples: Vec<i16> = recording.samples.iter().skip(channel).step_by(channels).copied().collect();
    let holds = |frame: &&[i16]| {
        let energy: f64 = frame.iter().map(|s| f64::from(*s).powi(2)).sum();
        energy > 1e6 && goertzel::power(frame, frequency, 8000) * frame.len() as f64 > 0.5 * energy
    };
    samples.chunks_exact(160).filter(holds).count() as f64 * 0.02
}

fn recording<'a>(world: &'a mut World, ip: IpAddr, name: &str) -> &'a Recording {
    let host = world.host(ip);
    host.recordings.values().find(|recording| recording.file == name).unwrap_or_else(|| panic!("no {name}"))
}
