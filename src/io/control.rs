//! The control task: one Exchange, and the sockets, threads and timers around it. It carries bytes and values to and
//! fro; what they mean is decided below.

use std::{collections::HashMap, io, net::SocketAddr, sync::mpsc::TrySendError, time::Duration};

use tokio::sync::mpsc::{Receiver, error::TrySendError as TryError};

use crate::{
    audio::m3u,
    codec::Rate,
    exchange::Exchange,
    ids::{InterfaceId, LoadId, PortId, WorkerId},
    io::{
        clock::Clock,
        dns::Name,
        media_ports::{MediaPorts, Sockets},
        sounds::{FetchSound, Fresh, LoadFile, SpeakText},
        streams::ToStreams,
        udp::UdpSockets,
        waits::{Hook, Waits},
        worker::{FromWorker, ToWorker},
    },
    media,
    sip::{Backlog, Hop, Transport},
    switch::{Config, ConsoleReply, Counts, Input, Output, StreamNews, StreamOrder},
    verbs::{NoSound, NoStream, Sound, SoundFault, StreamFault, ToFlow},
};

mod ends;
mod facts;
mod files;
mod show;
mod wait;

pub use ends::{Ends, Fact, Figures, InterfaceAddress, Order, Seen, ToFlows, View, counts_of};
pub use facts::Facts;
pub(super) use wait::watched;
use wait::{readable, sleep_until};

/// Values taken from the inbox in one go.
const INPUTS_A_TURN: usize = 64;

/// The task.
pub struct Control {
    pub(super) clock: Clock,
    pub(super) exchange: Exchange,
    pub(super) udp: UdpSockets,
    ports: MediaPorts,
    interfaces: Vec<InterfaceAddress>,
    /// Bound, and waiting for their [`media::Command::Open`].
    bound: HashMap<PortId, Sockets>,
    fresh: Fresh,
    waits: Waits,
    /// Call records that the disk never took.
    records_lost: u64,
    pub(super) ends: Ends,
    /// SIP messages that came and are not read yet.
    pub(super) backlog: Backlog,
    /// What was told of how long they wait.
    pub(super) waited: Duration,
    /// Inputs that arose while outputs were carried out.
    echoes: Vec<Input>,
    stopped: bool,
}

impl Control {
    /// With everything that was opened and started before.
    pub fn new(
        clock: Clock,
        (config, seed): (Config, u64),
        udp: UdpSockets,
        (ports, interfaces): (MediaPorts, Vec<InterfaceAddress>),
        ends: Ends,
    ) -> Control {
        let exchange = Exchange::new(config, clock.epoch(), seed);
        Control {
            clock,
            exchange,
            udp,
            ports,
            interfaces,
            bound: HashMap::new(),
            fresh: Fresh::default(),
            waits: Waits::default(),
            records_lost: 0,
            ends,
            backlog: Backlog::default(),
            waited: Duration::ZERO,
            echoes: Vec::new(),
            stopped: false,
        }
    }

    /// Until [`Order::Stop`], or until nobody can give orders any more.
    pub async fn run(mut self, mut inbox: Receiver<Input>, mut orders: Receiver<Order>) -> io::Result<Counts> {
        let from_workers = watched(self.ends.from_workers.wake_fd()?)?;
        let from_disk = watched(self.ends.from_disk.wake_fd()?)?;
        let mut buffer = vec![0u8; 65_536];
        let mut inputs = Vec::with_capacity(INPUTS_A_TURN);
        while !self.stopped {
            tokio::select! {
                ready = self.udp.readable() => self.take_datagrams(ready?, &mut buffer),
                _ = inbox.recv_many(&mut inputs, INPUTS_A_TURN) => {
                    for input in inputs.drain(..) {
                        self.take_input(input);
                    }
                }
                ready = readable(&from_workers) => { ready?; self.take_events() }
                ready = readable(&from_disk) => { ready?; self.take_files() }
                order = orders.recv() => self.obey(order),
                () = sleep_until(&self.clock, self.exchange.timeout()) => {
                    self.exchange.handle_timeout(self.clock.now());
                    self.drain();
                }
                () = self.ends.facts.room(), if self.ends.facts.is_waiting() => self.catch_up(),
                () = std::future::ready(()), if !self.backlog.is_empty() => {}
            }
            self.work_off();
        }
        Ok(self.exchange.counts())
    }

    fn obey(&mut self, order: Option<Order>) {
        match order {
            Some(Order::Input(input)) => self.handle(*input),
            Some(Order::Counts) => {
                let (held, guarded) = (self.exchange.counts(), self.exchange.guarded());
                self.tell(Seen::Counts { held, guarded });
            }
            // Who asked may be gone.
            Some(Order::Figures(to)) => drop(to.send(self.figures())),
            Some(Order::View(to)) => drop(to.send(self.view())),
            Some(Order::Stop) | None => self.stopped = true,
        }
    }

    fn take_events(&mut self) {
        self.ends.from_workers.acknowledge();
        while let Some(told) = self.ends.from_workers.pop() {
            match told {
                FromWorker::Event(_, media::Event::Handshake { port, from, bytes }) => {
                    self.ends.handshakes.packet(port, from, bytes);
                }
                FromWorker::Event(worker, event) => self.handle(Input::Media { worker, event }),
                FromWorker::Moved { port, worker } => {
                    self.ends.handshakes.moved(port, self.ends.workers[usize::from(worker.0)].clone());
                    self.handle(Input::PortMoved { port, worker });
                }
                FromWorker::Dead(worker) => {
                    tracing::error!(worker = worker.0, "a media thread died; its calls are silent")
                }
            }
        }
    }

    pub(super) fn handle(&mut self, input: Input) {
        let now = self.clock.now();
        if let Input::Loaded { load, result } = &input {
            self.fresh.loaded(now, *load, result);
            self.waits.ended(now, *load, result.is_ok());
        }
        self.exchange.handle(now, input);
        self.drain();
    }

    /// Carry out what the Exchange wants, until it wants nothing more.
    fn drain(&mut self) {
        loop {
            while let Some(output) = self.exchange.poll() {
                self.carry_out(output);
            }
            if self.echoes.is_empty() {
                return;
            }
            let now = self.clock.now();
            for input in std::mem::take(&mut self.echoes) {
                self.exchange.handle(now, input);
            }
        }
    }

    fn carry_out(&mut self, output: Output) {
        match output {
            Output::Send { hop, bytes } => self.send(hop, bytes),
            Output::Resolve { query, host, port, transport, secure } => {
                let name = Name { host, port, transport, secure };
                if self.ends.streams.try_send(ToStreams::Resolve { query, name }).is_err() {
                    self.echoes.push(Input::Resolved { query, result: Err("the resolver is overloaded".into()) });
                }
            }
            Output::Look { url } => {
                if let Err(refused) = self.ends.certificates.try_send(url) {
                    let (TryError::Full(url) | TryError::Closed(url)) = refused;
                    self.echoes.push(Input::Found { url, result: Err("too many are being fetched".into()) });
                }
            }
            Output::OpenPort { port, worker: _, interface, v6: _ } => self.open_port(port, interface),
            Output::MovePort { port, from, to } => self.move_port(port, from, to),
            Output::Handshake { port, worker, handshake } => {
                let worker = self.ends.workers[usize::from(worker.0)].clone();
                self.ends.handshakes.begin(port, worker, handshake);
            }
            Output::Media { worker, command } => self.command(worker, command),
            Output::Load { load, sound, rate } => self.load(load, sound, rate),
            Output::Stream(order) => self.stream(order),
            Output::OpenRecording { recording, file, shape, note, .. } => {
                self.open_recording(recording, file, (shape, &note));
            }
            Output::NoteRecording { recording, note } => self.note_recording(recording, &note),
            Output::Start(start) => {
                let flow = start.flow;
                if !(self.ends.flows)(ToFlow::Start(Box::new(start))) {
                    let end = crate::verbs::FlowEnd::Limit("script threads are overloaded");
                    self.echoes.push(Input::FlowEnded { flow, end, ran: Box::default() });
                }
            }
            Output::Reply { flow, request, reply } => self.tell_flow(ToFlow::Reply { flow, request, reply }),
            Output::Stop { flow } => self.tell_flow(ToFlow::Stop { flow }),
            Output::Progress(progress) => self.keep(Fact::Progress(progress)),
            Output::Record(record) => {
                self.record(&record);
                self.keep(Fact::Record(record));
            }
            Output::Happened(happening) => self.keep(Fact::Happened(happening)),
            Output::Message(record) => self.keep(Fact::Message(record)),
            Output::Quality { call, quality } => self.keep(Fact::Quality { call, quality }),
            Output::Trace(trace) => self.tell(Seen::Trace(trace)),
            Output::Console(reply) => self.reply(reply),
            Output::Registered { user, bindings } => self.keep_registrations(user, bindings),
        }
    }

    fn send(&mut self, hop: Hop, bytes: bytes::Bytes) {
        match hop.transport {
            Transport::Udp => {
                if let Some(remote) = self.udp.send(hop.interface, hop.remote, &bytes) {
                    self.echoes.push(Input::TransportFailed { hop: Hop { remote, ..hop } });
                }
            }
            Transport::Tcp | Transport::Tls | Transport::Ws | Transport::Wss => {
                if self.ends.streams.try_send(ToStreams::Send { hop, bytes }).is_err() {
                    self.echoes.push(Input::TransportFailed { hop });
                }
            }
        }
    }

    fn open_port(&mut self, port: PortId, interface: InterfaceId) {
        let result = match self.interfaces.get(usize::from(interface.0)) {
            None => Err(format!("interface {} is not open", interface.0)),
            Some(address) => self.ports.bind(address.bind).map_err(|error| error.to_string()).and_then(|sockets| {
                let local = sockets.rtp.local_addr().map_err(|error| error.to_string())?;
                self.bound.insert(port, sockets);
                Ok(SocketAddr::new(address.advertised, local.port()))
            }),
        };
        self.echoes.push(Input::PortOpened { port, result });
    }

    fn command(&mut self, worker: WorkerId, command: media::Command) {
        let order = match command {
            media::Command::Open { port, memory } => {
                let sockets = self.bound.remove(&port).expect("Open follows a successful PortOpened");
                ToWorker::Open { port, memory, sockets }
            }
            media::Command::Close { port } => {
                self.ends.handshakes.end(port);
                ToWorker::Command(media::Command::Close { port })
            }
            command => ToWorker::Command(command),
        };
        self.tell_worker(worker, order);
    }

    fn move_port(&mut self, port: PortId, from: WorkerId, to: WorkerId) {
        let to = self.ends.workers[usize::from(to.0)].clone();
        self.tell_worker(from, ToWorker::Move { port, to });
    }

    /// The rings are sized for every port to have several commands waiting: one that is full means a dead thread.
    fn tell_worker(&mut self, worker: WorkerId, order: ToWorker) {
        if self.ends.workers[usize::from(worker.0)].send(order).is_err() {
            tracing::error!(worker = worker.0, "a media thread takes no commands: one is lost");
        }
    }

    fn load(&mut self, load: LoadId, sound: Sound, rate: Rate) {
        let now = self.clock.now();
        let refused = match sound {
            Sound::File(path) => self.load_file(load, (path, rate)),
            Sound::Web(url) => match self.ends.web.try_send(FetchSound { load, url, rate }) {
                Ok(()) => {
                    self.waits.began(now, load, Hook::Web);
                    None
                }
                Err(_) => Some("too many sounds are being fetched"),
            },
            Sound::Speech(speech) => match self.ends.speech.try_send(SpeakText { load, speech, rate }) {
                Ok(()) => {
                    self.waits.began(now, load, Hook::Speech);
                    None
                }
                Err(_) => Some("too many texts wait to be spoken"),
            },
            Sound::Tone { .. } | Sound::Silence(_) => unreachable!("the switch makes tones and silence by itself"),
        };
        if let Some(why) = refused {
            let result = Err(NoSound::new(SoundFault::Overload, why));
            self.echoes.push(Input::Loaded { load, result });
        }
    }

    fn stream(&mut self, order: Box<StreamOrder>) {
        if let Err(refused) = self.ends.listeners.try_send(order) {
            let (TryError::Full(order) | TryError::Closed(order)) = refused;
            let why = NoStream { fault: StreamFault::Overload, text: "too many streams wait to be opened".to_owned() };
            let news = StreamNews::Over { frames: 0, dropped: 0, why: Some(why) };
            self.echoes.push(Input::Streamed { stream: order.stream, news });
        }
    }

    fn load_file(&mut self, load: LoadId, sound: (String, Rate)) -> Option<&'static str> {
        if let Some(pcm) = self.fresh.get(self.clock.now(), &sound) {
            self.echoes.push(Input::Loaded { load, result: Ok(pcm) });
            return None;
        }
        let (path, rate) = sound.clone();
        match self.ends.sounds.try_send(LoadFile { load, path, rate }) {
            Ok(()) => {
                // A play list is no sound that could be kept.
                if !m3u::is_list(&sound.0) {
                    self.fresh.asked(load, sound);
                }
                self.waits.began(self.clock.now(), load, Hook::File);
                None
            }
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => Some("too many files are being read"),
        }
    }

    fn tell_flow(&mut self, word: ToFlow) {
        if !(self.ends.flows)(word) {
            tracing::error!("a script thread takes no more words: one is lost");
        }
    }

    fn reply(&self, reply: ConsoleReply) {
        if let Some((first, api)) = &self.ends.api {
            let its = reply.request().is_some_and(|request| request >= *first);
            if its || matches!(reply, ConsoleReply::Trunk { .. }) {
                // An API that is gone asks nothing.
                let _ = api.send(reply.clone());
            }
            if its {
                return;
            }
        }
        self.tell(Seen::Console(reply));
    }

    fn tell(&self, seen: Seen) {
        // The program around may not care to listen.
        let _ = self.ends.program.send(seen);
    }
}
