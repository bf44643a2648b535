//! Opening everything in order: what can fail for the operator's reasons fails here, before a call is taken.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, mpsc as std_mpsc},
    thread,
    time::Duration,
};

use tokio::sync::{mpsc, watch};

use super::{
    Server, Wishes,
    budget::{self, TooFew},
    interfaces::{self, InterfaceError, Opened},
};
use crate::{
    codec::Codec,
    conf::Conf,
    hooks,
    ids::{FlowId, WorkerId},
    io::{
        clock::Clock,
        control::{Control, Ends, Facts, Order, Seen, ToFlows},
        disk::{self, Disk, DiskConfig, FromDisk, ToDisk},
        g729,
        handshakes::{Certificate, Handshakes},
        media_ports::{self, MediaPorts},
        ring::Ring,
        sounds::{self, FetchSound, LoadFile, SpeakText},
        streams::{
            self, Listener,
            tls::{Tls, TlsError},
        },
        udp::UdpSockets,
        worker::{self, FromWorker, ToWorker, Worker, WorkerConfig, WorkerHandle},
    },
    script, sip, store,
    switch::{self, Counts, Input},
    verbs::{Keep, Roster, ToFlow},
};

/// An INVITE that rings for longer is given up, at the earliest (RFC 3261 section 16.6).
pub(super) const TIMER_C: Duration = Duration::from_secs(180);
/// Values that may wait for the control task.
const INBOX: usize = 16_384;
/// Commands a media thread may have waiting: several for each of its ports.
const COMMANDS_A_PORT: usize = 8;

/// Why the server could not start, in one line.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address.
    #[error(transparent)]
    Interface(#[from] InterfaceError),
    /// A certificate.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// File descriptors.
    #[error(transparent)]
    Budget(#[from] TooFew),
    /// RTP ports.
    #[error("media.rtp_ports: {0}")]
    Ports(#[from] media_ports::BindError),
    /// A folder, a thread, a driver.
    #[error("{what}: {source}")]
    System {
        /// What was to be opened; where it is a key's, the key.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

pub(super) fn system(what: &'static str) -> impl FnOnce(io::Error) -> StartError {
    move |source| StartError::System { what, source }
}

/// A number that differs between processes and moments.
pub fn unique() -> u64 {
    let clock = Clock::start();
    let nanos = clock.epoch().unix(clock.now()).as_nanos() as u64;
    nanos.rotate_left(20) ^ u64::from(std::process::id()).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// Random bytes that nobody can guess.
fn secret() -> [u8; 32] {
    let mut bytes = [0; 32];
    ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut bytes).expect("the kernel gives randomness");
    bytes
}

/// Whether every address can be opened, without keeping any.
pub fn check_addresses(conf: &Conf) -> Result<(), StartError> {
    interfaces::open(conf)?;
    Tls::load(&conf.tls)?;
    budget::grant(conf)?;
    Ok(())
}

pub(super) fn start(conf: &Conf, wishes: Wishes) -> Result<Server, StartError> {
    budget::grant(conf)?;
    let clock = Clock::start();
    let runtime = crate::io::runtime().map_err(system("control runtime"))?;
    let opened = interfaces::open(conf)?;
    let addresses: Vec<SocketAddr> = opened.iter().map(|one| one.bound).collect();
    let mut listening: Vec<String> = opened.iter().map(Opened::told).collect();
    let (inbox, inputs) = mpsc::channel::<Input>(INBOX);
    let (orders, to_obey) = mpsc::channel::<Order>(64);
    let (program, seen) = mpsc::unbounded_channel::<Seen>();
    let to_disk = Ring::new(waiting(conf).max(8192)).map_err(system("eventfd"))?;
    let store = super::keeping::Keeping::start(conf, clock, to_disk.clone())?;
    let (reload, reloads) = mpsc::channel(8);
    let roster = watch::Sender::new(conf.roster.clone());
    let api = store.api(conf, clock, (&orders, reload, roster.subscribe()))?;
    listening.extend(api.as_ref().map(|api| {
        let over = if api.secure { "HTTPS" } else { "HTTP" };
        format!("{}, the API over {over}", api.at)
    }));
    let media = Media::start(conf, clock, to_disk)?;
    let certificate = Certificate::generate().map_err(system("certificate for media"))?;
    let fingerprint = certificate.fingerprint();
    let told = media.told(conf);
    let webhooks = store.webhooks.fixed.clone();
    let config = switch_config(conf, &opened, media.workers.len(), (wishes, fingerprint));
    let task = Task {
        clock,
        seed: unique(),
        config: config.clone(),
        handshakes: Handshakes::spawn(&certificate, clock, inbox.clone()).map_err(system("handshakes thread"))?,
        ports: MediaPorts::new(ports_config(conf), unique())?,
        streams: start_streams(conf, &opened, inbox.clone())?,
        sounds: start_sounds(conf, inbox.clone())?,
        speech: start_speech(conf, inbox.clone())?,
        web: start_web(conf, clock, inbox.clone())?,
        certificates: start_certificates(conf, inbox.clone())?,
        listeners: start_listeners(conf, inbox.clone())?,
        flows: start_scripts(conf, clock, inbox, roster.subscribe())?,
        registrations: Registrations::start(conf, clock)?,
        media,
        opened,
        program,
        store,
        api,
    };
    let control = thread::Builder::new()
        .name("control".into())
        .spawn(move || runtime.block_on(task.run(inputs, to_obey)))
        .map_err(system("control thread"))?;
    Ok(Server { addresses, listening, orders, seen, reloads, control, media: told, config, webhooks, roster })
}

/// All that the control task is made of.
struct Task {
    clock: Clock,
    seed: u64,
    config: switch::Config,
    ports: MediaPorts,
    streams: mpsc::Sender<streams::ToStreams>,
    sounds: std_mpsc::SyncSender<LoadFile>,
    speech: mpsc::Sender<SpeakText>,
    web: mpsc::Sender<FetchSound>,
    certificates: mpsc::Sender<String>,
    listeners: mpsc::Sender<Box<switch::StreamOrder>>,
    flows: ToFlows,
    handshakes: Handshakes,
    registrations: Registrations,
    media: Media,
    opened: Vec<Opened>,
    program: mpsc::UnboundedSender<Seen>,
    store: super::keeping::Keeping,
    api: Option<super::keeping::Api>,
}

impl Task {
    async fn run(self, inputs: mpsc::Receiver<Input>, orders: mpsc::Receiver<Order>) -> Counts {
        let Media { workers, from_workers, to_disk, from_disk, disk } = self.media;
        let handles: Vec<WorkerHandle> = workers.iter().map(|worker| worker.handle.clone()).collect();
        let ends = Ends {
            streams: self.streams,
            sounds: self.sounds,
            speech: self.speech,
            web: self.web,
            certificates: self.certificates,
            listeners: self.listeners,
            flows: self.flows,
            handshakes: self.handshakes,
            workers: handles,
            from_workers,
            registrations: self.registrations.sender,
            disk: to_disk.clone(),
            from_disk,
            facts: Facts::new(self.store.facts),
            api: self.api.map(|api| api.replies),
            program: self.program,
        };
        let interfaces = self.opened.iter().map(|one| one.media).collect();
        let sockets = self.opened.into_iter().map(|one| one.udp).collect();
        let udp = UdpSockets::new(sockets).expect("epoll is there on every Linux");
        let mut control = Control::new(self.clock, (self.config, self.seed), udp, (self.ports, interfaces), ends);
        for (user, bindings) in self.registrations.before {
            control.restore(&user, bindings);
        }
        let counts = control.run(inputs, orders).await.expect("eventfds can be waited for");
        for worker in workers {
            // A full ring belongs to a thread that is dead already.
            let _ = worker.handle.send(ToWorker::Shutdown);
            worker.join();
        }
        let _ = to_disk.push(ToDisk::Shutdown);
        disk.join();
        self.store.threads.join();
        // It ends with the control task, which is gone; it has panicked or written all.
        let _ = self.registrations.thread.join();
        counts
    }
}

/// Where phones are, beyond the life of the program.
struct Registrations {
    before: Vec<(String, Vec<switch::Binding>)>,
    sender: mpsc::Sender<(String, Vec<switch::Binding>)>,
    thread: thread::JoinHandle<()>,
}

impl Registrations {
    fn start(conf: &Conf, clock: Clock) -> Result<Registrations, StartError> {
        let folder = &conf.folders.state;
        let before = store::load_registrations(folder, clock).map_err(system("folders.state"))?;
        let (sender, jobs) = mpsc::channel(4096);
        let thread = store::spawn_registrations(folder, clock, jobs).map_err(system("folders.state"))?;
        Ok(Registrations { before, sender, thread })
    }
}

/// Commands that may wait for a media thread.
fn waiting(conf: &Conf) -> usize {
    (COMMANDS_A_PORT * conf.sip.max_calls).max(1024)
}

/// The media threads and the disk behind them.
struct Media {
    workers: Vec<Worker>,
    from_workers: Ring<FromWorker>,
    to_disk: Ring<ToDisk>,
    from_disk: Ring<FromDisk>,
    disk: Disk,
}

impl Media {
    fn start(conf: &Conf, clock: Clock, to_disk: Ring<ToDisk>) -> Result<Media, StartError> {
        let ring = |source| StartError::System { what: "eventfd", source };
        let count = if conf.workers == 0 { default_workers() } else { conf.workers };
        let waiting = waiting(conf);
        let from_workers = Ring::new(2 * waiting).map_err(ring)?;
        let from_disk = Ring::new(waiting).map_err(ring)?;
        let (tell_archive, records) = std::sync::mpsc::channel();
        hooks::spawn_archive(conf.archive.clone(), clock, records).map_err(system("archive thread"))?;
        let config = DiskConfig {
            recordings: conf.folders.recordings.clone(),
            call_records: Some(conf.folders.records.join("calls.jsonl")),
            upload: conf.archive.upload.is_some(),
            archive: Some(tell_archive),
            clock,
        };
        std::fs::create_dir_all(&conf.folders.records).map_err(system("folders.records"))?;
        let disk = disk::spawn(config, to_disk.clone(), from_disk.clone()).map_err(system("folders.recordings"))?;
        let worker = |index: u8| {
            let config = WorkerConfig {
                id: WorkerId(index),
                engine: conf.media.clone(),
                clock,
                driver: conf.driver,
                gather: conf.gather,
                inbox: waiting,
            };
            worker::spawn(config, from_workers.clone(), to_disk.clone()).map_err(system("media.driver"))
        };
        let workers = (0..count).map(worker).collect::<Result<Vec<_>, _>>()?;
        Ok(Media { workers, from_workers, to_disk, from_disk, disk })
    }

    fn told(&self, conf: &Conf) -> String {
        let threads = self.workers.len();
        let driver = self.workers.first().map_or("", |worker| worker.driver);
        let (first, last) = (conf.rtp_ports.start(), conf.rtp_ports.end());
        format!("media: {threads} thread{} on {driver}, RTP ports {first}-{last}", if threads == 1 { "" } else { "s" })
    }
}

/// One for every two cores: the other one is for signalling, scripts and the kernel's side of the network.
fn default_workers() -> u8 {
    let cores = thread::available_parallelism().map_or(1, |cores| cores.get());
    u8::try_from(cores / 2).unwrap_or(64).clamp(1, 64)
}

fn ports_config(conf: &Conf) -> media_ports::Config {
    media_ports::Config { range: conf.rtp_ports.clone(), dscp: conf.rtp_dscp, ..Default::default() }
}

fn start_streams(
    conf: &Conf,
    opened: &[Opened],
    inbox: mpsc::Sender<Input>,
) -> Result<mpsc::Sender<streams::ToStreams>, StartError> {
    let (sender, orders) = mpsc::channel(4096);
    let config = streams::Config {
        interfaces: opened.iter().map(|one| one.bound).collect(),
        max_message: conf.sip.max_message,
        max_connections: conf.sip.max_connections,
        dscp: conf.sip.dscp,
        tls: conf.tls.clone(),
        reload: conf.tls_reload,
        dns: conf.dns.clone(),
    };
    let certificates = Tls::load(&conf.tls)?;
    let mut listeners = Vec::new();
    for (index, one) in opened.iter().enumerate() {
        for (transport, socket) in &one.listeners {
            let socket = socket.try_clone().map_err(system("SIP over streams"))?;
            listeners.push(Listener { transport: *transport, interface: one.id(index), socket });
        }
    }
    streams::spawn(config, certificates, listeners, orders, inbox).map_err(system("streams thread"))?;
    Ok(sender)
}

fn start_sounds(conf: &Conf, inbox: mpsc::Sender<Input>) -> Result<std_mpsc::SyncSender<LoadFile>, StartError> {
    let (sender, jobs) = std_mpsc::sync_channel(4096);
    sounds::spawn(conf.folders.prompts.clone(), conf.speech.cache, jobs, inbox).map_err(system("sounds thread"))?;
    Ok(sender)
}

fn start_speech(conf: &Conf, inbox: mpsc::Sender<Input>) -> Result<mpsc::Sender<SpeakText>, StartError> {
    let (sender, jobs) = mpsc::channel(4096);
    hooks::spawn_speech(conf.speech.clone(), jobs, inbox).map_err(system("speech thread"))?;
    Ok(sender)
}

fn start_web(conf: &Conf, clock: Clock, inbox: mpsc::Sender<Input>) -> Result<mpsc::Sender<FetchSound>, StartError> {
    let (sender, jobs) = mpsc::channel(4096);
    hooks::spawn_web(conf.web.clone(), clock, jobs, inbox).map_err(system("web thread"))?;
    Ok(sender)
}

fn start_certificates(conf: &Conf, inbox: mpsc::Sender<Input>) -> Result<mpsc::Sender<String>, StartError> {
    let (sender, jobs) = mpsc::channel(256);
    hooks::spawn_certificates(conf.certificates.clone(), jobs, inbox).map_err(system("certificates thread"))?;
    Ok(sender)
}

fn start_listeners(
    conf: &Conf,
    inbox: mpsc::Sender<Input>,
) -> Result<mpsc::Sender<Box<switch::StreamOrder>>, StartError> {
    let (sender, orders) = mpsc::channel(256);
    hooks::spawn_stream(conf.stream.clone(), orders, inbox).map_err(system("listeners thread"))?;
    Ok(sender)
}

fn start_scripts(
    conf: &Conf,
    clock: Clock,
    control: mpsc::Sender<Input>,
    roster: watch::Receiver<Arc<Roster>>,
) -> Result<ToFlows, StartError> {
    let (keep, kept) = mpsc::channel::<Keep>(4096);
    let config = script::Config { folder: conf.folders.scripts.clone(), pool: conf.script_pool, limits: conf.script };
    let outbox = script::Outbox { control, keep };
    let spawn = |index| {
        let time = move || clock.now();
        script::spawn(usize::from(index), config.clone(), time, outbox.clone()).map_err(system("script thread"))
    };
    let threads = (0..conf.script_threads).map(spawn).collect::<Result<Vec<_>, _>>()?;
    let answer = || {
        let answers = threads.clone();
        Box::new(move |flow: FlowId, request, reply| {
            // A script thread that is gone has no flow that could wait for this.
            let _ = thread_of(&answers, flow).blocking_send(ToFlow::Reply { flow, request, reply });
        })
    };
    let (asked, questions) = mpsc::channel(1024);
    let (database, dialling) = (super::keeping::database(conf), conf.store.dialling.clone());
    let config = store::LookupConfig { database, dialling, clock, roster };
    store::spawn_lookup(config, questions, answer()).map_err(system("lookup thread"))?;
    store::spawn_keep(&conf.folders.state, kept, asked, answer()).map_err(system("folders.state"))?;
    Ok(Box::new(move |word| thread_of(&threads, word.flow()).try_send(word).is_ok()))
}

fn thread_of(threads: &[mpsc::Sender<ToFlow>], flow: FlowId) -> &mpsc::Sender<ToFlow> {
    &threads[(flow.0 % threads.len() as u64) as usize]
}

/// The access lists of the configuration are by `[[interface]]`; the switch wants them by address that was opened.
fn guard_config(conf: &Conf, opened: &[Opened]) -> switch::GuardConfig {
    switch::GuardConfig { access: opened.iter().map(|one| one.access.clone()).collect(), ..conf.guard.clone() }
}

fn security_config(conf: &Conf, fingerprint: [u8; 32]) -> switch::MediaSecurity {
    let (key, fingerprint) = (switch::NonceKey(secret()), Some(fingerprint));
    switch::MediaSecurity { key, fingerprint, ..conf.security.clone() }
}

/// Names of formats that are passed on: with G.729 where it should be coded and cannot be.
pub(super) fn relayed(conf: &Conf) -> Vec<String> {
    let mut relayed = conf.relayed.clone();
    let lists = conf.trunking.trunks.iter().map(|trunk| &trunk.codecs).chain([&conf.codecs]);
    if lists.flatten().any(|codec| *codec == Codec::G729)
        && let Err(why) = g729::load()
    {
        tracing::warn!("{why}");
        relayed.push(Codec::G729.name().to_owned());
    }
    relayed
}

pub(super) fn switch_config(
    conf: &Conf,
    opened: &[Opened],
    workers: usize,
    (wishes, fingerprint): (Wishes, [u8; 32]),
) -> switch::Config {
    switch::Config {
        sip: sip::Config {
            interfaces: opened.iter().map(|one| one.sip).collect(),
            t1: conf.sip.t1,
            t2: conf.sip.t2,
            t4: conf.sip.t4,
            timer_c: conf.sip.ring_limit.max(TIMER_C),
            max_message: conf.sip.max_message,
            max_headers: conf.sip.max_headers,
            max_transactions: conf.sip.max_transactions,
            udp_limit: if conf.sip.tcp { 1300 } else { conf.sip.max_message },
            agent: conf.sip.agent.clone(),
        },
        media: conf.media.clone(),
        workers: u8::try_from(workers).expect("conf allows 64"),
        routes: conf.routes.clone(),
        trunking: conf.trunking.clone(),
        messages: conf.messages.clone(),
        phones: switch::Phones { key: switch::NonceKey(secret()), ..conf.phones.clone() },
        codecs: conf.codecs.clone(),
        relayed: relayed(conf),
        comfort_noise: conf.comfort_noise,
        ptime: conf.ptime,
        country: conf.country.clone(),
        ring_limit: conf.sip.ring_limit,
        retry_after: Duration::from_secs(5),
        security: security_config(conf, fingerprint),
        stir: conf.stir.clone(),
        rules: conf.rules.clone(),
        trace: wishes.trace,
        guard: guard_config(conf, opened),
        limits: switch::Limits {
            calls: conf.sip.max_calls,
            legs_per_flow: conf.max_legs,
            silent: conf.sip.failover,
            avoid: conf.sip.avoid,
            ..Default::default()
        },
    }
}
