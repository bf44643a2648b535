//! The engine of one media thread: its ports and bridges, and the commands to them.

use std::{
    collections::{HashMap, VecDeque},
    net::SocketAddr,
};

use super::{
    Block, Command, Config, Event, Role, Slot, Spent, Stream, TICK, Tools,
    bridge::Bridges,
    dialer::Order,
    events::Events,
    player::Player,
    port::{Port, Route},
    recorder::Recorder,
    tape::{TAPES, Tape},
};
use crate::{
    audio::progress::Progress,
    ids::{BridgeId, PlayId, PortId, RecordingId},
    time::{Epoch, Time},
    verbs::{RecordEnd, Steer},
};

/// Datagrams of handshakes that wait to be sent. One more is lost; it will be repeated.
const HANDS: usize = 256;

/// Owns the ports of one media thread. Packets come in by [`Engine::handle_packet`] and leave in the batch given with
/// them; ticks are run by [`Engine::handle_timeout`].
///
/// After each `handle_*`: send the batch, then [`Engine::poll`] till it is empty, then ask for [`Engine::timeout`].
pub struct Engine {
    pub(super) config: Config,
    pub(super) epoch: Epoch,
    pub(super) ports: Vec<Option<Box<Port>>>,
    free: Vec<Slot>,
    names: HashMap<PortId, Slot>,
    /// Ports in `ports` that are not closing.
    pub(super) open: usize,
    /// Ports that wait for their goodbye, and since when.
    pub(super) closing: Vec<Slot>,
    closing_since: Time,
    /// Datagrams of handshakes that wait to be sent.
    pub(super) hands: VecDeque<(Slot, Option<SocketAddr>, Box<[u8]>)>,
    pub(super) bridges: Bridges,
    /// Recordings of bridges.
    pub(super) tapes: Vec<Tape>,
    pub(super) events: Events,
    /// Number and time of the tick that is next, and the port that is next in it.
    pub(super) tick: u64,
    pub(super) next: Time,
    pub(super) cursor: usize,
    /// Somebody's packets are sent on as they come; and whether one such port was seen in the tick that is next.
    pub(super) hurries: bool,
    pub(super) hurrying: bool,
    pub(super) skipped: u64,
}

impl Engine {
    /// An engine without ports. `epoch`: for the NTP times in RTCP.
    pub fn new(config: Config, epoch: Epoch) -> Engine {
        let ports = config.max_ports;
        Engine {
            epoch,
            ports: Vec::with_capacity(ports),
            free: Vec::with_capacity(ports),
            // Twice the room: a hash table that is at most half full cleans up in place when names come and go.
            names: HashMap::with_capacity(2 * ports),
            open: 0,
            closing: Vec::with_capacity(ports),
            closing_since: Time::START,
            hands: VecDeque::with_capacity(HANDS),
            bridges: Bridges::new(ports),
            tapes: Vec::with_capacity(TAPES.min(ports)),
            events: Events::new(ports),
            tick: 1,
            next: Time::START,
            cursor: 0,
            hurries: false,
            hurrying: false,
            skipped: 0,
            config,
        }
    }

    /// Do what was asked for, at once.
    pub fn handle_command(&mut self, now: Time, command: Command) {
        match command {
            Command::Open { port, memory } => self.open(now, port, memory),
            Command::Update { port, stream, tools } => self.update(now, port, stream, tools),
            Command::Pass { port, remote } => self.pass(now, port, remote),
            Command::Shield { port, shield } => self.shield(port, shield),
            Command::Keys { port, keys } => self.set_keys(port, keys),
            Command::Handshake { port, to, bytes } => self.hand_over(port, to, bytes),
            Command::Close { port } => self.close(now, port),
            Command::Join { bridge, port, role } => {
                if let Some(slot) = self.slot(port) {
                    self.join(bridge, slot, role);
                }
            }
            Command::Leave { port } => {
                if let Some(slot) = self.slot(port) {
                    self.leave(slot);
                }
            }
            Command::Chime { port, rising } => {
                if let Some((bridge, _)) = self.slot(port).and_then(|slot| self.bridges.of(slot)) {
                    self.bridges.salon(bridge).chime(rising);
                }
            }
            Command::PassKey { port, key } => self.with(port, |port, _| port.dialer.pass(key)),
            Command::LeaveTones { port } => self.with(port, |port, _| port.tones = false),
            Command::Detect { port, listener } => self.detect(port, listener),
            Command::Level { port, on } => self.with(port, |port, _| port.set_level(on)),
            Command::Echo { port, on } => self.with(port, |port, _| port.echo = on),
            Command::Play { port, play, sounds, manner } => self.play(port, Player::new(play, sounds, manner)),
            Command::Steer { port, play, steer } => self.steer(port, play, steer),
            Command::Stop { port, play } => self.stop(port, play),
            Command::Record { port, recording, layout, rate, ends, blocks } => {
                self.record(port, Recorder::new(recording, layout, ends, blocks).at(rate));
            }
            Command::RecordBridge { bridge, name, recording, rate, ends, blocks } => {
                self.record_bridge(bridge, (name, recording), (rate, ends), blocks);
            }
            Command::Space { port, recording, block } => self.give_space(port, recording, block),
            Command::RecordAs { port, recording, mode } => {
                if let Some(recorder) = self.recorder(port, recording) {
                    recorder.set_mode(mode);
                }
            }
            Command::StopRecording { port, recording } => {
                self.stop_tape(port, recording);
                self.with(port, |port, events| port.stop_recording(recording, events));
            }
            Command::Tap { port, tapping } => self.tap(port, tapping),
            Command::Untap { port, tap } => self.untap(port, tap),
            Command::MaskTap { port, tap, on } => self.mask_tap(port, tap, on),
            Command::Feed { port, tap } => self.feed(port, tap),
            Command::Digits { port, digits, length, gap } => self.dial(port, Order { digits, length, gap }),
        }
    }

    /// The slot of an open port: valid once [`Command::Open`] was handled.
    pub fn slot(&self, port: PortId) -> Option<Slot> {
        self.names.get(&port).copied()
    }

    /// Whether packets are sent on as they come. All others are of no use before the next tick.
    pub fn hurries(&self) -> bool {
        self.hurries
    }

    /// When [`Engine::handle_timeout`] has something to do. `None`: no port is open.
    pub fn timeout(&self) -> Option<Time> {
        let tick = (self.open > 0).then_some(self.next);
        let goodbye = (!self.closing.is_empty()).then_some(self.closing_since);
        let hands = (!self.hands.is_empty()).then_some(Time::START);
        Time::soonest(Time::soonest(tick, goodbye), hands)
    }

    /// What there is to tell.
    pub fn poll(&mut self) -> Option<Event> {
        self.events.poll()
    }

    /// Memory to be freed on some other thread.
    pub fn spent(&mut self) -> Option<Spent> {
        self.events.spent()
    }

    /// How many ticks were left out, because the thread came much too late.
    pub fn skipped_ticks(&self) -> u64 {
        self.skipped
    }

    /// Take a port out, to move it to another engine: it leaves its bridge and keeps all else.
    pub fn give(&mut self, port: PortId) -> Option<Box<Port>> {
        let slot = self.names.remove(&port)?;
        self.leave(slot);
        self.enter(slot, Route::Idle);
        self.open -= 1;
        let port = self.ports.get_mut(slot.0 as usize)?.take();
        self.free.push(slot);
        port
    }

    /// Put in a port from another engine. It fits in any case: a call is not lost for want of a slot.
    pub fn take(&mut self, now: Time, port: Box<Port>) -> Slot {
        let slot = self.put(now, port);
        self.settle(slot);
        slot
    }

    fn open(&mut self, now: Time, id: PortId, mut memory: Box<Port>) {
        if self.open + self.closing.len() >= self.config.max_ports || self.names.contains_key(&id) {
            self.events.push(Event::Closed { port: id, quality: memory.quality() });
            return self.events.spend(Spent::Port(memory));
        }
        memory.id = id;
        memory.open(now, self.config.rtcp_interval);
        self.put(now, memory);
    }

    fn put(&mut self, now: Time, mut port: Box<Port>) -> Slot {
        // The ticks of another engine have other numbers.
        port.taken = 0;
        if self.open == 0 {
            self.next = now + TICK;
            self.cursor = 0;
        }
        self.open += 1;
        let id = port.id;
        let slot = match self.free.pop() {
            Some(slot) => {
                self.ports[slot.0 as usize] = Some(port);
                slot
            }
            None => {
                self.ports.push(Some(port));
                Slot((self.ports.len() - 1) as u32)
            }
        };
        self.names.insert(id, slot);
        slot
    }

    fn update(&mut self, now: Time, port: PortId, stream: Box<Stream>, mut tools: Box<Tools>) {
        let slot = self.slot(port);
        let old = match slot.and_then(|slot| self.port(slot)) {
            Some(port) => port.update(now, stream, &mut tools),
            None => stream,
        };
        self.events.spend(Spent::Stream(old));
        self.events.spend(Spent::Tools(tools));
        if let Some(slot) = slot {
            self.settle(slot);
        }
    }

    fn give_space(&mut self, port: PortId, recording: RecordingId, mut block: Block) {
        block.samples.clear();
        let refused = match self.recorder(port, recording) {
            Some(recorder) => recorder.handle_space(block),
            None => Some(block),
        };
        if let Some(block) = refused {
            self.events.spend(Spent::Block(block));
        }
    }

    fn detect(&mut self, id: PortId, mut listener: Option<Box<Progress>>) {
        self.with(id, |port, _| port.ear.set_listener(&mut listener));
        if let Some(old) = listener {
            self.events.spend(Spent::Listener(old));
        }
    }

    /// The name is gone at once; the slot is free, and the closing told, when the goodbye is on its way.
    fn close(&mut self, now: Time, id: PortId) {
        let Some(slot) = self.names.remove(&id) else { return };
        self.leave(slot);
        self.enter(slot, Route::Idle);
        if let Some(Some(port)) = self.ports.get_mut(slot.0 as usize) {
            port.end_everything(&mut self.events);
        }
        self.open -= 1;
        if self.closing.is_empty() {
            self.closing_since = now;
        }
        self.closing.push(slot);
    }

    /// A closing port whose goodbye was said.
    pub(super) fn remove(&mut self, slot: Slot) {
        let Some(port) = self.ports.get_mut(slot.0 as usize).and_then(Option::take) else { return };
        self.events.push(Event::Closed { port: port.id, quality: port.quality() });
        self.events.spend(Spent::Port(port));
        self.free.push(slot);
    }

    fn join(&mut self, bridge: BridgeId, slot: Slot, role: Role) {
        if !self.bridges.is_in(slot, bridge) {
            self.leave(slot);
        }
        self.bridges.join(bridge, slot, role);
        self.settle(slot);
    }

    fn leave(&mut self, slot: Slot) {
        let Some(bridge) = self.bridges.leave(slot) else { return };
        if let Some(port) = self.port(slot) {
            port.summed = false;
        }
        self.settle(slot);
        match self.bridges.first(bridge) {
            Some(other) => self.settle(other),
            None => self.end_tapes(bridge),
        }
    }

    fn play(&mut self, id: PortId, player: Player) {
        let Some(slot) = self.slot(id) else { return self.events.play_done(id, player, false) };
        if let Some(Some(port)) = self.ports.get_mut(slot.0 as usize) {
            port.end_play(false, &mut self.events);
            port.player = Some(player);
        }
        self.settle(slot);
    }

    fn stop(&mut self, port: PortId, play: PlayId) {
        self.with(port, |port, events| {
            if port.player.as_ref().is_some_and(|player| player.id == play) {
                port.end_play(false, events);
            }
        });
    }

    fn steer(&mut self, id: PortId, play: PlayId, steer: Steer) {
        let player = self.slot(id).and_then(|slot| self.port(slot)).and_then(|port| port.player.as_mut());
        if let Some(player) = player.filter(|player| player.id == play) {
            let at = player.steer(steer);
            self.events.push(Event::PlayAt { port: id, play, at });
        }
    }

    fn record(&mut self, id: PortId, recorder: Recorder) {
        let slot = self.slot(id);
        let place = slot.and_then(|slot| self.ports.get_mut(slot.0 as usize)).and_then(Option::as_mut);
        match place.and_then(|port| port.recorders.iter_mut().find(|place| place.is_none())) {
            Some(place) => *place = Some(recorder),
            None => self.events.record_done(id, recorder, RecordEnd::Stopped),
        }
        if let Some(slot) = slot {
            self.settle(slot);
        }
    }

    fn dial(&mut self, id: PortId, order: Order) {
        let slot = self.slot(id);
        let port = slot.and_then(|slot| self.ports.get_mut(slot.0 as usize)).and_then(Option::as_mut);
        let refused = match port {
            Some(port) => port.dialer.order(order),
            None => Some(order),
        };
        if let Some(order) = refused {
            self.events.digits_sent(id, order);
        }
        if let Some(slot) = slot {
            self.settle(slot);
        }
    }

    fn recorder(&mut self, port: PortId, recording: RecordingId) -> Option<&mut Recorder> {
        let Some(slot) = self.slot(port) else { return self.tape(port, recording) };
        self.port(slot)?.recorders.iter_mut().flatten().find(|recorder| recorder.id == recording)
    }

    /// Do something to a port that may change what becomes of its audio.
    pub(super) fn with(&mut self, id: PortId, what: impl FnOnce(&mut Port, &mut Events)) {
        let Some(slot) = self.slot(id) else { return };
        if let Some(Some(port)) = self.ports.get_mut(slot.0 as usize) {
            what(port, &mut self.events);
        }
        self.settle(slot);
    }

    /// An open port.
    pub(super) fn port(&mut self, slot: Slot) -> Option<&mut Port> {
        self.ports.get_mut(slot.0 as usize)?.as_deref_mut().filter(|port| !port.closing)
    }
}
