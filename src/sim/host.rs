//! One simulated machine: an Exchange, its Engines and its scripts, driven as the control task drives them.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use super::{flows::Flows, net::Datagram};
use crate::{
    audio::m3u,
    exchange::Exchange,
    ids::{LoadId, PortId, RecordingId, WorkerId},
    media::{self, Batch, Channel, Command, Engine, Event, Pcm, Slot},
    sip::{Hop, Target, Transport},
    switch::{
        CallQuality, CallRecord, Config, ConsoleReply, Happening, Input, MessageRecord, Output, Progress, StreamNews,
        StreamOrder, Trace,
    },
    time::{Epoch, Time},
    verbs::{NoSound, Sound, SoundFault, ToFlow},
};

/// Where the first RTP port lies.
const FIRST_PORT: u16 = 20_000;
/// SIP port of every host.
pub const SIP_PORT: u16 = 5060;

/// A port as the network sees it.
#[derive(Clone, Copy, Debug)]
struct Socket {
    worker: WorkerId,
    port: PortId,
}

/// A recording as it would be on disk.
#[derive(Clone, Debug)]
pub struct Recording {
    /// Its name.
    pub file: String,
    /// Its channels.
    pub layout: media::Layout,
    /// Samples a second.
    pub rate: u32,
    /// Interleaved samples.
    pub samples: Vec<i16>,
    port: PortId,
    worker: WorkerId,
}

/// One machine.
pub struct Host {
    /// Its address.
    pub ip: IpAddr,
    /// Its logic.
    pub exchange: Exchange,
    engines: Vec<Engine>,
    flows: Flows,
    sockets: BTreeMap<u16, Socket>,
    addresses: BTreeMap<PortId, u16>,
    slots: BTreeMap<(WorkerId, Slot), u16>,
    next_port: u16,
    /// Where names lead to.
    pub names: BTreeMap<String, Vec<Target>>,
    /// Sounds by path, or by address.
    pub prompts: BTreeMap<String, Arc<Pcm>>,
    /// Play lists by path, or by address.
    pub lists: BTreeMap<String, String>,
    /// Recordings, in order of their ids.
    pub recordings: BTreeMap<RecordingId, Recording>,
    /// Streams that were wanted; their far ends take them at once.
    pub streams: Vec<StreamOrder>,
    /// How calls came along.
    pub progress: Vec<Progress>,
    /// How the audio of calls went, as was told last.
    pub qualities: BTreeMap<String, CallQuality>,
    /// What became of text messages.
    pub messages: Vec<MessageRecord>,
    /// What happened beside the steps of calls.
    pub happenings: Vec<Happening>,
    /// Records of finished calls.
    pub records: Vec<CallRecord>,
    /// What was traced.
    pub traces: Vec<Trace>,
    /// What the console was told.
    pub console: Vec<ConsoleReply>,
    batch: Batch,
}

impl Host {
    pub(super) fn new(ip: IpAddr, config: Config, scripts: &[(&str, &str)], (epoch, seed): (Epoch, u64)) -> Host {
        let engines = (0..config.workers).map(|_| Engine::new(config.media.clone(), epoch)).collect();
        Host {
            ip,
            exchange: Exchange::new(config, epoch, seed),
            engines,
            flows: Flows::new(scripts),
            sockets: BTreeMap::new(),
            addresses: BTreeMap::new(),
            slots: BTreeMap::new(),
            next_port: FIRST_PORT,
            names: BTreeMap::new(),
            prompts: BTreeMap::new(),
            lists: BTreeMap::new(),
            recordings: BTreeMap::new(),
            streams: Vec::new(),
            progress: Vec::new(),
            qualities: BTreeMap::new(),
            messages: Vec::new(),
            happenings: Vec::new(),
            records: Vec::new(),
            traces: Vec::new(),
            console: Vec::new(),
            batch: Batch::new(512),
        }
    }

    /// SIP address.
    pub fn sip(&self) -> SocketAddr {
        SocketAddr::new(self.ip, SIP_PORT)
    }

    pub(super) fn timeout(&self) -> Option<Time> {
        let engines = self.engines.iter().fold(None, |soonest, engine| Time::soonest(soonest, engine.timeout()));
        Time::soonest(self.exchange.timeout(), engines)
    }

    pub(super) fn handle_timeout(&mut self, now: Time, out: &mut Vec<Datagram>) {
        if self.exchange.timeout().is_some_and(|at| at <= now) {
            self.exchange.handle_timeout(now);
        }
        for index in 0..self.engines.len() {
            while self.engines[index].timeout().is_some_and(|at| at <= now) {
                self.engines[index].handle_timeout(now, &mut self.batch);
                self.flush(index, out);
            }
        }
        self.settle(now, out);
    }

    /// A datagram for this host; false: nobody listens on its port.
    pub(super) fn handle_datagram(&mut self, now: Time, datagram: Datagram, out: &mut Vec<Datagram>) -> bool {
        let port = datagram.to.port();
        if port == SIP_PORT || datagram.transport.is_reliable() {
            let hop = Hop { transport: datagram.transport, interface: Default::default(), remote: datagram.from };
            self.handle(now, Input::Datagram { hop, bytes: datagram.bytes.into() }, out);
            return true;
        }
        let channel = if port.is_multiple_of(2) { Channel::Rtp } else { Channel::Rtcp };
        let Some(socket) = self.sockets.get(&(port & !1)).copied() else { return false };
        let engine = &mut self.engines[usize::from(socket.worker.0)];
        if let Some(slot) = engine.slot(socket.port) {
            let bytes = datagram.bytes;
            engine.handle_packet(now, slot, channel, datagram.from, &bytes, &mut self.batch);
            self.flush(usize::from(socket.worker.0), out);
        }
        self.settle(now, out);
        true
    }

    /// ICMP says that `to` cannot be reached.
    pub(super) fn handle_unreachable(&mut self, now: Time, link: (Transport, SocketAddr), out: &mut Vec<Datagram>) {
        let hop = Hop { transport: link.0, interface: Default::default(), remote: link.1 };
        self.handle(now, Input::TransportFailed { hop }, out);
    }

    pub(super) fn handle(&mut self, now: Time, input: Input, out: &mut Vec<Datagram>) {
        self.exchange.handle(now, input);
        self.settle(now, out);
    }

    /// Carry everything out until nobody wants anything.
    fn settle(&mut self, now: Time, out: &mut Vec<Datagram>) {
        loop {
            if let Some(output) = self.exchange.poll() {
                self.carry_out(now, output, out);
            } else if let Some(input) = self.flows.poll(now) {
                self.exchange.handle(now, input);
            } else if let Some((worker, event)) = self.next_event() {
                self.take_event(now, worker, event);
            } else {
                return;
            }
        }
    }

    fn next_event(&mut self) -> Option<(usize, Event)> {
        self.engines.iter_mut().enumerate().find_map(|(index, engine)| engine.poll().map(|event| (index, event)))
    }

    fn take_event(&mut self, now: Time, worker: usize, event: Event) {
        if let Event::Recorded { port, recording, mut block } = event {
            if let Some(kept) = self.recordings.get_mut(&recording) {
                kept.samples.extend_from_slice(&block.samples);
            }
            block.samples.clear();
            self.engines[worker].handle_command(now, Command::Space { port, recording, block });
            return;
        }
        let written = match &event {
            Event::RecordDone { recording, .. } => {
                self.recordings.get(recording).map(|kept| (*recording, kept.file.clone()))
            }
            _ => None,
        };
        if let Event::Closed { port, .. } = &event
            && let Some(number) = self.addresses.remove(port)
        {
            self.sockets.remove(&number);
        }
        self.exchange.handle(now, Input::Media { worker: WorkerId(worker as u8), event });
        if let Some((recording, file)) = written {
            self.exchange.handle(now, Input::RecordingWritten { recording, result: Ok(file) });
        }
    }

    fn carry_out(&mut self, now: Time, output: Output, out: &mut Vec<Datagram>) {
        match output {
            Output::Send { hop, bytes } => {
                let transport = hop.transport;
                out.push(Datagram { transport, from: self.sip(), to: hop.remote, bytes: bytes.to_vec() });
            }
            Output::Resolve { query, host, port: _, transport: _, secure: _ } => {
                let result = self.names.get(&host).cloned().ok_or(format!("{host}: no such name"));
                self.exchange.handle(now, Input::Resolved { query, result });
            }
            Output::Look { url } => {
                let result = Err("there is no web in this world".to_owned());
                self.exchange.handle(now, Input::Found { url, result });
            }
            Output::OpenPort { port, worker, interface: _, v6: _ } => {
                let number = self.next_port;
                self.next_port += 2;
                self.sockets.insert(number, Socket { worker, port });
                self.addresses.insert(port, number);
                let result = Ok(SocketAddr::new(self.ip, number));
                self.exchange.handle(now, Input::PortOpened { port, result });
            }
            // There are no certificates in this world.
            Output::Handshake { .. } => {}
            Output::MovePort { port, from, to } => self.move_port(now, port, (from, to)),
            Output::Media { worker, command } => {
                let opened = if let Command::Open { port, .. } = &command { Some(*port) } else { None };
                self.engines[usize::from(worker.0)].handle_command(now, command);
                if let Some(port) = opened {
                    self.place(worker, port);
                }
            }
            Output::Load { load, sound, rate: _ } => self.load(now, load, &sound),
            Output::OpenRecording { recording, file, shape, port, worker, note: _ } => {
                let (layout, rate) = (shape.layout, shape.rate);
                let kept = Recording { file, layout, rate, samples: Vec::new(), port, worker };
                self.recordings.insert(recording, kept);
            }
            Output::NoteRecording { .. } => {}
            Output::Stream(order) => {
                let stream = order.stream;
                self.streams.push(*order);
                self.exchange.handle(now, Input::Streamed { stream, news: StreamNews::Open });
            }
            Output::Start(start) => self.flows.handle(now, ToFlow::Start(Box::new(start))),
            Output::Reply { flow, request, reply } => self.flows.handle(now, ToFlow::Reply { flow, request, reply }),
            Output::Stop { flow } => self.flows.handle(now, ToFlow::Stop { flow }),
            Output::Progress(progress) => self.progress.push(*progress),
            Output::Record(record) => self.records.push(*record),
            Output::Happened(happening) => self.happenings.push(*happening),
            Output::Message(record) => self.messages.push(*record),
            Output::Quality { call, quality } => drop(self.qualities.insert(call, *quality)),
            Output::Trace(trace) => self.traces.push(trace),
            Output::Console(reply) => self.console.push(reply),
            Output::Registered { .. } => {}
        }
    }

    /// Remember the network's name for a port's slot.
    fn place(&mut self, worker: WorkerId, port: PortId) {
        let slot = self.engines[usize::from(worker.0)].slot(port);
        if let (Some(slot), Some(number)) = (slot, self.addresses.get(&port)) {
            self.slots.insert((worker, slot), *number);
        }
    }

    fn move_port(&mut self, now: Time, port: PortId, (from, to): (WorkerId, WorkerId)) {
        if let Some(memory) = self.engines[usize::from(from.0)].give(port) {
            self.engines[usize::from(to.0)].take(now, memory);
            self.place(to, port);
        }
        for socket in self.sockets.values_mut().filter(|socket| socket.port == port) {
            socket.worker = to;
        }
        for recording in self.recordings.values_mut().filter(|recording| recording.port == port) {
            recording.worker = to;
        }
        self.exchange.handle(now, Input::PortMoved { port, worker: to });
    }

    fn load(&mut self, now: Time, load: LoadId, sound: &Sound) {
        if let Sound::File(name) | Sound::Web(name) = sound
            && m3u::is_list(name)
        {
            let missing = || NoSound::new(SoundFault::Missing, format!("{name}: no such file"));
            let result = self.lists.get(name).ok_or_else(missing).and_then(|text| m3u::entries(name, text.as_bytes()));
            return self.exchange.handle(now, Input::Listed { load, result });
        }
        let result = match sound {
            Sound::File(path) | Sound::Web(path) => {
                let missing = || NoSound::new(SoundFault::Missing, format!("{path}: no such file"));
                self.prompts.get(path).cloned().ok_or_else(missing)
            }
            // A voice that hums a note for 50 ms a letter: long and loud enough to be recognised.
            Sound::Speech(speech) => Ok(super::hum(440.0, speech.text.chars().count() * 400)),
            Sound::Tone { .. } | Sound::Silence(_) => unreachable!("the switch makes these by itself"),
        };
        self.exchange.handle(now, Input::Loaded { load, result });
    }

    fn flush(&mut self, worker: usize, out: &mut Vec<Datagram>) {
        for datagram in self.batch.datagrams() {
            let Some(number) = self.slots.get(&(WorkerId(worker as u8), datagram.slot)).copied() else { continue };
            let number = if datagram.channel == Channel::Rtp { number } else { number + 1 };
            out.push(Datagram {
                transport: Transport::Udp,
                from: SocketAddr::new(self.ip, number),
                to: datagram.to,
                bytes: datagram.bytes().to_vec(),
            });
        }
        self.batch.clear();
    }
}
