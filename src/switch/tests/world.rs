//! Switches on a network in memory, with engines, scripts and a disk by hand.

use super::*;

/// How long a datagram travels.
pub(super) const TRIP: Duration = Duration::from_millis(5);

/// A switch and what its surroundings saw.
pub(super) struct Node {
    pub(super) switch: Switch,
    pub(super) address: SocketAddr,
    pub(super) starts: Vec<Start>,
    pub(super) replies: Vec<(RequestId, Reply)>,
    pub(super) stops: Vec<FlowId>,
    pub(super) progress: Vec<Progress>,
    pub(super) qualities: Vec<(String, CallQuality)>,
    pub(super) notes: Vec<(RecordingId, RecordingNote)>,
    pub(super) messages: Vec<MessageRecord>,
    pub(super) happenings: Vec<Happening>,
    pub(super) records: Vec<CallRecord>,
    pub(super) console: Vec<ConsoleReply>,
    pub(super) registered: Vec<(String, Vec<Binding>)>,
    pub(super) traces: Vec<Trace>,
    pub(super) commands: Vec<(WorkerId, Command)>,
    pub(super) opened: Vec<(PortId, WorkerId)>,
    pub(super) moves: Vec<(PortId, WorkerId, WorkerId)>,
    pub(super) handshakes: Vec<(PortId, Handshake)>,
    pub(super) loads: Vec<(LoadId, Sound)>,
    /// For which rates they were asked.
    pub(super) rates: Vec<Rate>,
    pub(super) queries: Vec<(QueryId, String)>,
    pub(super) files: Vec<(RecordingId, String)>,
    pub(super) streams: Vec<StreamOrder>,
    pub(super) looks: Vec<String>,
    /// What Play goes on to; without it, plays last until stopped.
    pub(super) plays_end: bool,
    pub(super) next_request: u64,
    pub(super) next_port: u16,
}

impl Node {
    /// This call has its record.
    fn is_over(&self, call: &str) -> bool {
        self.records.iter().any(|record| record.id == call)
    }
}

pub(super) struct World {
    pub(super) now: Time,
    pub(super) nodes: Vec<Node>,
    /// Datagrams under way.
    pub(super) net: BTreeMap<(Time, u64), (SocketAddr, SocketAddr, Bytes)>,
    pub(super) sent: u64,
    /// What came to addresses that no switch has.
    pub(super) inbox: VecDeque<(SocketAddr, Message)>,
    /// What switches said, be it lost or not.
    pub(super) said: Vec<Message>,
    /// Messages whose text says true here are lost.
    pub(super) lose: Box<dyn FnMut(&str) -> bool>,
    /// Do the surroundings answer by themselves?
    pub(super) automatic: bool,
}

/// What every test begins with. Parties by hand answer no OPTIONS: the watchdog sleeps.
pub(super) fn config(at: SocketAddr) -> Config {
    let route = |number: &str| Route {
        number: Pattern::parse(number).unwrap(),
        service: Service::Script {
            script: Arc::from(format!("{number}.lua")),
            vars: vec![("number".into(), number.into())],
        },
    };
    Config {
        sip: sip::Config {
            interfaces: vec![Interface::plain(at)],
            t1: millis(500),
            t2: secs(4),
            t4: secs(5),
            timer_c: secs(180),
            max_message: 65_535,
            max_headers: 100,
            max_transactions: 1000,
            udp_limit: 65_535,
            agent: "Switchhook".into(),
        },
        media: media::Config {
            jitter_min: millis(20),
            jitter_max: millis(200),
            relatch_after: secs(1),
            silence_timeout: secs(10),
            rtp_timeout: None,
            rtcp_interval: secs(5),
            max_ports: 100,
        },
        workers: 2,
        routes: vec![route("100"), route("2XX")],
        trunking: Trunking::default(),
        codecs: vec![Codec::Pcmu, Codec::Pcma],
        relayed: vec![],
        comfort_noise: false,
        ptime: 20,
        country: "de".into(),
        ring_limit: secs(180),
        retry_after: secs(30),
        security: Default::default(),
        stir: Default::default(),
        rules: Rules { watchdog: Duration::ZERO, ..Rules::default() },
        trace: false,
        phones: Phones::default(),
        messages: Default::default(),
        guard: GuardConfig::default(),
        limits: Limits::default(),
    }
}

/// A second of silence.
fn second() -> Arc<Pcm> {
    Arc::new(Pcm { rate: Rate::Narrow, samples: vec![0; 8000].into(), looped: false })
}

impl World {
    /// One switch at 192.0.2.1:5060.
    pub(super) fn new() -> World {
        World::with(|_| {})
    }

    pub(super) fn with(change: impl FnOnce(&mut Config)) -> World {
        let mut config = config(address("192.0.2.1:5060"));
        change(&mut config);
        let mut world = World {
            now: Time::START + secs(1),
            nodes: vec![],
            net: BTreeMap::new(),
            sent: 0,
            inbox: VecDeque::new(),
            said: vec![],
            lose: Box::new(|_| false),
            automatic: true,
        };
        world.add(config);
        world
    }

    pub(super) fn add(&mut self, config: Config) -> usize {
        let address = config.sip.interfaces[0].advertised;
        self.nodes.push(Node {
            switch: Switch::new(config, Epoch(secs(1_700_000_000)), 7 + self.nodes.len() as u64),
            address,
            starts: vec![],
            replies: vec![],
            stops: vec![],
            progress: vec![],
            qualities: vec![],
            notes: vec![],
            messages: vec![],
            happenings: vec![],
            records: vec![],
            console: vec![],
            registered: vec![],
            traces: vec![],
            commands: vec![],
            opened: vec![],
            moves: vec![],
            handshakes: vec![],
            loads: vec![],
            rates: vec![],
            queries: vec![],
            files: vec![],
            streams: vec![],
            looks: vec![],
            plays_end: true,
            next_request: 0,
            next_port: 10_000,
        });
        self.nodes.len() - 1
    }

    pub(super) fn input(&mut self, node: usize, input: Input) {
        self.nodes[node].switch.handle(self.now, input);
        self.drain(node);
    }

    pub(super) fn drain(&mut self, node: usize) {
        while let Some(output) = self.nodes[node].switch.poll() {
            self.output(node, output);
        }
    }

    pub(super) fn output(&mut self, at: usize, output: Output) {
        let node = &mut self.nodes[at];
        match output {
            Output::Send { hop, bytes } => {
                let from = node.address;
                self.said.push(parsed(&bytes));
                self.send(from, hop.remote, bytes);
            }
            Output::Resolve { query, host, .. } => node.queries.push((query, host)),
            Output::Look { url } => node.looks.push(url),
            Output::OpenPort { port, worker, .. } => {
                node.opened.push((port, worker));
                node.next_port += 2;
                let result = Ok((node.address.ip(), node.next_port).into());
                if self.automatic {
                    self.input(at, Input::PortOpened { port, result });
                }
            }
            Output::Handshake { port, handshake, .. } => node.handshakes.push((port, *handshake)),
            Output::MovePort { port, from, to } => {
                node.moves.push((port, from, to));
                if self.automatic {
                    self.input(at, Input::PortMoved { port, worker: to });
                }
            }
            Output::Media { worker, command } => self.command(at, worker, command),
            Output::Load { load, sound, rate } => {
                node.loads.push((load, sound));
                node.rates.push(rate);
                if self.automatic {
                    self.input(at, Input::Loaded { load, result: Ok(second()) });
                }
            }
            Output::OpenRecording { recording, file, note, .. } => {
                node.files.push((recording, file));
                node.notes.push((recording, *note));
            }
            Output::NoteRecording { recording, note } => node.notes.push((recording, *note)),
            Output::Stream(order) => node.streams.push(*order),
            Output::Start(start) => node.starts.push(start),
            Output::Reply { request, reply, .. } => node.replies.push((request, reply)),
            Output::Stop { flow } => {
                node.stops.push(flow);
                if self.automatic {
                    self.input(at, Input::FlowEnded { flow, end: FlowEnd::Stopped, ran: Box::default() });
                }
            }
            Output::Progress(progress) => {
                assert!(!node.is_over(&progress.id), "{progress:?} after its record");
                node.progress.push(*progress);
            }
            Output::Record(record) => node.records.push(*record),
            Output::Trace(trace) => node.traces.push(trace),
            Output::Console(reply) => node.console.push(reply),
            Output::Happened(happening) => {
                assert!(!happening.call.iter().any(|call| node.is_over(call)), "{happening:?} after its record");
                node.happenings.push(*happening);
            }
            Output::Message(record) => node.messages.push(*record),
            Output::Quality { call, quality } => node.qualities.push((call, *quality)),
            Output::Registered { user, bindings } => node.registered.push((user, bindings)),
        }
    }

    /// What an engine and a disk would do at once.
    pub(super) fn command(&mut self, at: usize, worker: WorkerId, command: Command) {
        let event = match &command {
            Command::Close { port } => Some(media::Event::Closed { port: *port, quality: Quality::default() }),
            // What is longer than five seconds (the beeps of a hold) plays on.
            Command::Play { port, play, sounds, .. }
                if self.nodes[at].plays_end
                    && sounds.iter().all(|s| !s.looped)
                    && sounds.iter().map(|s| s.samples.len()).sum::<usize>() < 40_000 =>
            {
                let samples = sounds.iter().map(|s| s.samples.len() as u64).sum();
                Some(media::Event::PlayDone { port: *port, play: *play, samples, finished: true })
            }
            Command::Stop { port, play } => {
                Some(media::Event::PlayDone { port: *port, play: *play, samples: 800, finished: false })
            }
            Command::Steer { port, play, .. } => Some(media::Event::PlayAt { port: *port, play: *play, at: 4000 }),
            Command::StopRecording { port, recording } => {
                let (port, recording) = (*port, *recording);
                Some(media::Event::RecordDone { port, recording, samples: 16_000, missed: 0, why: RecordEnd::Stopped })
            }
            Command::Digits { port, .. } => Some(media::Event::DigitsSent { port: *port }),
            _ => None,
        };
        let written = match &command {
            Command::StopRecording { recording, .. } => Some(*recording),
            _ => None,
        };
        self.nodes[at].commands.push((worker, command));
        let Some(event) = event.filter(|_| self.automatic) else { return };
        self.input(at, Input::Media { worker, event });
        if let Some(recording) = written {
            let file = self.nodes[at].files.iter().find(|(id, _)| *id == recording).unwrap().1.clone();
            self.input(at, Input::RecordingWritten { recording, result: Ok(file) });
        }
    }

    pub(super) fn send(&mut self, from: SocketAddr, to: SocketAddr, bytes: Bytes) {
        if (self.lose)(&String::from_utf8_lossy(&bytes)) {
            return;
        }
        self.sent += 1;
        self.net.insert((self.now + TRIP, self.sent), (from, to, bytes));
    }

    /// Let time pass.
    pub(super) fn run(&mut self, length: Duration) {
        let until = self.now + length;
        loop {
            let datagram = self.net.first_key_value().map(|((at, _), _)| *at);
            let timer = self.nodes.iter().filter_map(|node| node.switch.timeout()).min();
            let Some(next) = Time::soonest(datagram, timer).filter(|at| *at <= until) else { break };
            self.now = self.now.max(next);
            if datagram == Some(next) {
                let ((_, _), (from, to, bytes)) = self.net.pop_first().unwrap();
                self.deliver(from, to, bytes);
            } else {
                for node in 0..self.nodes.len() {
                    self.nodes[node].switch.handle_timeout(self.now);
                    self.drain(node);
                }
            }
        }
        self.now = until;
    }

    /// Long enough for messages to go back and forth, too short for a resend.
    pub(super) fn settle(&mut self) {
        self.run(millis(100));
    }

    pub(super) fn deliver(&mut self, from: SocketAddr, to: SocketAddr, bytes: Bytes) {
        match self.nodes.iter().position(|node| node.address == to) {
            Some(node) => {
                let hop = Hop { transport: Transport::Udp, interface: InterfaceId(0), remote: from };
                self.input(node, Input::Datagram { hop, bytes });
            }
            None => self.inbox.push_back((to, parsed(&bytes))),
        }
    }

    /// Send what a peer at `from` says to the first switch.
    pub(super) fn say(&mut self, from: SocketAddr, text: impl Into<Bytes>) {
        let to = self.nodes[0].address;
        self.send(from, to, text.into());
    }

    /// The next request with `method` that came to `at`; other messages before it are forgotten.
    pub(super) fn request_at(&mut self, at: SocketAddr, method: Method) -> SipRequest {
        let found = self.inbox.iter().position(|(to, message)| match message {
            Message::Request(request) => *to == at && request.method == method,
            Message::Response(_) => false,
        });
        let seen = self.seen();
        let place = found.unwrap_or_else(|| panic!("no {method} came to {at}, but {seen:?}"));
        match self.inbox.remove(place) {
            Some((_, Message::Request(request))) => request,
            _ => unreachable!("just seen"),
        }
    }

    /// The next final response, or one with `code`, that came to `at`.
    pub(super) fn response_at(&mut self, at: SocketAddr, code: u16) -> Response {
        let found = self.inbox.iter().position(|(to, message)| match message {
            Message::Request(_) => false,
            Message::Response(response) => *to == at && response.code == code,
        });
        let seen = self.seen();
        let place = found.unwrap_or_else(|| panic!("no {code} came to {at}, but {seen:?}"));
        match self.inbox.remove(place) {
            Some((_, Message::Response(response))) => response,
            _ => unreachable!("just seen"),
        }
    }

    /// What lies in the inbox, in short.
    pub(super) fn seen(&self) -> Vec<String> {
        let short = |(to, message): &(SocketAddr, Message)| match message {
            Message::Request(request) => format!("{to} {}", request.method),
            Message::Response(response) => format!("{to} {} {}", response.code, response.headers.cseq.method),
        };
        self.inbox.iter().map(short).collect()
    }

    /// Ask the first switch for something in the name of `flow`.
    pub(super) fn ask(&mut self, flow: FlowId, call: CallId, verb: Verb) -> RequestId {
        let node = &mut self.nodes[0];
        node.next_request += 1;
        let id = RequestId(node.next_request);
        self.input(0, Input::Request(Request { origin: Origin::Flow(flow), id, call, verb }));
        id
    }

    pub(super) fn reply(&self, id: RequestId) -> Option<&Reply> {
        let mut replies = self.nodes[0].replies.iter().filter(|(request, _)| *request == id);
        let reply = replies.next().map(|(_, reply)| reply);
        assert!(replies.next().is_none(), "one reply to each request");
        reply
    }

    pub(super) fn end_flow(&mut self, flow: FlowId, end: FlowEnd) {
        self.input(0, Input::FlowEnded { flow, end, ran: Box::default() });
    }

    /// A key by RTP.
    pub(super) fn key(&mut self, call: usize, key: char) {
        let (port, worker) = self.nodes[0].opened[call];
        self.input(0, Input::Media { worker, event: media::Event::Digit { port, key } });
    }

    pub(super) fn node(&self) -> &Node {
        &self.nodes[0]
    }

    /// Names of the commands to the engine.
    pub(super) fn commands(&self) -> Vec<&'static str> {
        self.nodes[0].commands.iter().map(|(_, command)| name(command)).collect()
    }

    /// Nothing is left behind, and each call left one record.
    #[track_caller]
    pub(super) fn assert_clean(&mut self, records: usize) {
        self.run(secs(200));
        for node in &self.nodes {
            assert_eq!(node.switch.counts(), Counts::default());
        }
        assert_eq!(self.nodes[0].records.len(), records, "{:?}", self.nodes[0].records);
    }
}

pub(super) fn parsed(bytes: &[u8]) -> Message {
    let limits = SipLimits { max_headers: 100, max_message: 65_535 };
    Message::parse(bytes, &limits).expect("a proper message")
}

pub(super) fn name(command: &Command) -> &'static str {
    match command {
        Command::Open { .. } => "Open",
        Command::Update { .. } => "Update",
        Command::Pass { .. } => "Pass",
        Command::Shield { .. } => "Shield",
        Command::Keys { .. } => "Keys",
        Command::Handshake { .. } => "Handshake",
        Command::Close { .. } => "Close",
        Command::Join { .. } => "Join",
        Command::Leave { .. } => "Leave",
        Command::Chime { .. } => "Chime",
        Command::Level { .. } => "Level",
        Command::Detect { .. } => "Detect",
        Command::PassKey { .. } => "PassKey",
        Command::LeaveTones { .. } => "LeaveTones",
        Command::Echo { on: true, .. } => "Echo on",
        Command::Echo { on: false, .. } => "Echo off",
        Command::Play { .. } => "Play",
        Command::Steer { .. } => "Steer",
        Command::RecordBridge { .. } => "RecordBridge",
        Command::Stop { .. } => "Stop",
        Command::Record { .. } => "Record",
        Command::Space { .. } => "Space",
        Command::RecordAs { .. } => "RecordAs",
        Command::StopRecording { .. } => "StopRecording",
        Command::Tap { .. } => "Tap",
        Command::Untap { .. } => "Untap",
        Command::MaskTap { .. } => "MaskTap",
        Command::Feed { .. } => "Feed",
        Command::Digits { .. } => "Digits",
    }
}
