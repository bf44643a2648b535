//! The machine itself: it gives each input to the call it is about, lets calls tell each other, and keeps the time.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque},
};

use super::{
    Config, ConsoleReply, Counts, Input, Output, TraceEvent,
    call::{Call, End, Notice},
    core::{Core, guarding},
    finish::Forks,
    flow::Flow,
    room::Room,
    task::Doing,
};
use crate::{
    ids::{CallId, FlowId, PortId},
    media, sip,
    time::{Epoch, Time},
    verbs::Reply,
};

/// All calls and their signalling. [`Switch::handle`] takes what happened, then [`Switch::poll`] is drained, then
/// [`Switch::timeout`] says when to come back.
pub struct Switch {
    pub(super) core: Core,
    /// Boxed: a tree that moves its entries about had better move small ones.
    pub(super) calls: BTreeMap<CallId, Box<Call>>,
    pub(super) flows: BTreeMap<FlowId, Flow>,
    /// Flows that their calls have left, as long as they wind up.
    pub(super) moved: BTreeMap<FlowId, CallId>,
    pub(super) rooms: BTreeMap<String, Room>,
    /// Who listens in on which call.
    pub(super) watchers: BTreeMap<CallId, BTreeSet<CallId>>,
    pub(super) forks: Forks,
    /// What calls that are put through were answered, and did not look at yet.
    pub(super) through: VecDeque<(FlowId, Reply)>,
    /// Calls that something happened to: their timers and their ends are looked at when all is settled.
    pub(super) dirty: BTreeSet<CallId>,
    /// Taking no new calls.
    pub(super) draining: Option<Draining>,
    timers: BinaryHeap<Reverse<(Time, CallId)>>,
}

/// How far draining is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Draining {
    Waiting,
    Told,
}

impl Switch {
    /// Without calls. `epoch` dates the records; `seed` makes tags and identifiers, and should be one that nobody can
    /// guess.
    pub fn new(config: Config, epoch: Epoch, seed: u64) -> Switch {
        let mut core = Core::new(config, epoch, seed);
        core.link_up();
        Switch {
            core,
            calls: BTreeMap::new(),
            flows: BTreeMap::new(),
            moved: BTreeMap::new(),
            rooms: BTreeMap::new(),
            watchers: BTreeMap::new(),
            forks: Forks::default(),
            through: VecDeque::new(),
            dirty: BTreeSet::new(),
            draining: None,
            timers: BinaryHeap::new(),
        }
    }

    /// Something happened.
    pub fn handle(&mut self, now: Time, input: Input) {
        self.core.now = now;
        match input {
            Input::Datagram { hop, bytes } => self.on_datagram(hop, &bytes),
            Input::Waited(waited) => self.core.on_waited(waited),
            Input::TransportFailed { hop } => {
                self.core.link_closed(hop);
                self.core.stack.handle_transport_failed(now, hop);
                self.desk_lost(hop);
                self.calls_cut(hop);
            }
            Input::Resolved { query, result } if self.core.link_resolved(query, &result) => {}
            Input::Resolved { query, result } if self.core.message_resolved(query, &result) => {}
            Input::Resolved { query, result } => {
                let call = self.core.queries.remove(&query);
                if let Some((call, core)) = call.and_then(|call| self.call(call)) {
                    call.handle_resolved(core, query, result);
                }
            }
            Input::PortOpened { port, result } => {
                if let Some((call, core)) = self.call_of_port(port)
                    && !call.mouth_opened(core, port, &result)
                {
                    call.handle_port(core, result);
                }
            }
            Input::PortMoved { port, worker } => {
                if let Some((call, core)) = self.call_of_port(port) {
                    call.handle_moved(core, worker);
                }
            }
            Input::Media { event, .. } => self.on_media_event(event),
            Input::Shaken { port, result } => self.at_port(port, |call, core| call.handle_shaken(core, result)),
            Input::Loaded { load, result } => {
                let call = self.core.loads.remove(&load);
                if let Some((call, core)) = call.and_then(|call| self.call(call)) {
                    call.handle_loaded(core, load, result);
                }
            }
            Input::Listed { load, result } => {
                let call = self.core.loads.remove(&load);
                if let Some((call, core)) = call.and_then(|call| self.call(call)) {
                    call.handle_listed(core, load, result);
                }
            }
            Input::Found { url, result } => self.on_found(&url, result),
            Input::Request(request) => self.on_request(request),
            Input::FlowEnded { flow, end, ran } => self.on_flow_ended(flow, end, *ran),
            Input::RecordingWritten { recording, result } => self.on_recording_written(recording, result),
            Input::Streamed { stream, news } => self.on_streamed(stream, news),
            Input::Configure(config) => self.configure(*config),
            Input::Originate(wish) => self.on_originate(wish),
            Input::Drain => self.drain(),
            Input::HangUpAll => self.hang_up_all(),
        }
        self.settle();
    }

    /// What was read from the configuration anew; what the stack was made with stays.
    fn configure(&mut self, config: Config) {
        let sip = self.core.config.sip.clone();
        if self.core.config.stir.verifying != config.stir.verifying {
            self.core.certificates.forget();
        }
        if self.core.config.trunking.outbound.caps != config.trunking.outbound.caps {
            self.core.counts.forget();
        }
        self.core.config = Config { sip, ..config };
        self.core.link_up();
        self.core.call_all();
        self.core.desk.configure(&self.core.config.phones);
        self.core.guard.configure(guarding(&self.core.config));
    }

    /// The next moment [`Switch::handle_timeout`] has something to do.
    pub fn timeout(&self) -> Option<Time> {
        let calls = self.timers.peek().map(|Reverse((at, _))| *at);
        let stack = Time::soonest(self.core.stack.timeout(), self.core.links.timeout());
        let others = Time::soonest(self.forks.timeout(), self.core.desk.timeout());
        let others = Time::soonest(others, self.core.messages.arrived.timeout());
        Time::soonest(calls, Time::soonest(stack, others))
    }

    /// Time passed.
    pub fn handle_timeout(&mut self, now: Time) {
        self.core.now = now;
        self.core.stack.handle_timeout(now);
        self.forks.handle_timeout(now);
        self.core.links_timeout();
        self.core.desk_timeout();
        self.core.letters_timeout();
        while let Some(Reverse((at, id))) = self.timers.peek().copied().filter(|Reverse((at, _))| *at <= now) {
            self.timers.pop();
            let Some((call, core)) = self.call(id) else { continue };
            if call.scheduled == Some(at) {
                call.scheduled = None;
            }
            call.handle_timeout(core);
            self.task_timeout(id);
        }
        self.settle();
    }

    /// The next thing to be done.
    pub fn poll(&mut self) -> Option<Output> {
        self.core.out.pop_front().or_else(|| self.poll_registered()).or_else(|| self.poll_phones())
    }

    /// What holds for what comes from now on.
    pub fn config(&self) -> &Config {
        &self.core.config
    }

    /// No new calls are taken.
    pub fn is_draining(&self) -> bool {
        self.draining.is_some()
    }

    /// What is held at the moment.
    pub fn counts(&self) -> Counts {
        Counts {
            calls: self.calls.len(),
            flows: self.flows.len(),
            ports: self.core.ports.len(),
            dialogs: self.core.dialogs.len(),
            transactions: self.core.transactions.len() + self.core.invites.len(),
            loads: self.core.loads.len(),
            queries: self.core.queries.len(),
            certificates: self.core.certificates.coming(),
            recordings: self.core.recordings.len(),
            streams: self.core.streams.len(),
            rooms: self.rooms.len(),
            forks: self.forks.len(),
            subscriptions: self.core.desk.lamps.len(),
            messages: self.core.messages.arrived.len() + self.core.messages.sent.len(),
        }
    }

    fn drain(&mut self) {
        self.draining = self.draining.or(Some(Draining::Waiting));
        self.core.leave_all();
    }

    fn hang_up_all(&mut self) {
        self.drain();
        let all: Vec<CallId> = self.calls.keys().copied().collect();
        for id in all {
            if let Some((call, core)) = self.call(id) {
                call.hang_up(core, End::HUNG_UP);
            }
        }
        for flow in self.core.messages.arrived.flows() {
            self.core.out.push_back(Output::Stop { flow });
        }
    }

    /// A call and what all calls share. Whatever is done to the call, its timer and its end are looked at afterwards.
    pub(super) fn call(&mut self, id: CallId) -> Option<(&mut Call, &mut Core)> {
        let call = self.calls.get_mut(&id)?;
        self.dirty.insert(id);
        Some((&mut **call, &mut self.core))
    }

    pub(super) fn call_of_port(&mut self, port: PortId) -> Option<(&mut Call, &mut Core)> {
        let call = *self.core.ports.get(&port)?;
        self.call(call)
    }

    /// Let everything take its course until nothing moves.
    fn settle(&mut self) {
        loop {
            if let Some(output) = self.core.stack.poll() {
                self.on_stack_output(output);
            } else if let Some((call, notice)) = self.core.notices.pop_front() {
                self.on_notice(call, notice);
            } else if let Some((flow, reply)) = self.through.pop_front() {
                self.go_on_through(flow, reply);
            } else if let Some(sent) = self.core.left.pop() {
                self.forks.keep(&self.core, sent);
            } else if let Some(id) = self.dirty.pop_first() {
                self.schedule(id);
                self.lamp(id);
                self.tell_progress(id);
                self.let_go(id);
            } else if self.tell_lamps() {
                continue;
            } else {
                break;
            }
        }
        self.tell_seen();
        if self.draining == Some(Draining::Waiting) && self.calls.is_empty() {
            self.draining = Some(Draining::Told);
            self.core.console(ConsoleReply::Drained);
        }
    }

    fn on_stack_output(&mut self, output: sip::Output) {
        match output {
            sip::Output::Send { hop, bytes } => {
                self.see(true, hop, &bytes);
                self.core.out.push_back(Output::Send { hop, bytes });
            }
            sip::Output::Event(event) => self.on_event(event),
        }
    }

    /// Whoever watches the call's phone is to be told.
    fn lamp(&mut self, id: CallId) {
        if let Some(user) = self.calls.get(&id).and_then(|call| call.phone.as_ref()) {
            self.core.desk.lamps.touch(user);
        }
    }

    /// Put the call's next deadline into the heap, where it is earlier than the one that is there.
    fn schedule(&mut self, id: CallId) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        if let Some(at) = call.timeout()
            && call.scheduled.is_none_or(|scheduled| at < scheduled)
        {
            call.scheduled = Some(at);
            self.timers.push(Reverse((at, id)));
        }
    }

    /// A call tells something about itself.
    fn on_notice(&mut self, id: CallId, notice: Notice) {
        self.dirty.insert(id);
        match notice {
            Notice::Media(result) => self.on_media(id, result),
            Notice::Ringing => {
                if !self.target_rings(id) {
                    self.leg_rings(id);
                }
            }
            Notice::EarlyMedia => self.leg_has_early_media(id),
            Notice::Answered => self.on_answered(id),
            Notice::Key(key) => {
                self.tell_key(id, key);
                self.pass_key(id, key, false);
                self.on_key(id, key);
            }
            Notice::Records => self.note_voices(id),
            Notice::InfoKey(key) => {
                self.tell_key(id, key);
                self.pass_key(id, key, true);
                self.on_key(id, key);
            }
            Notice::Playing(play) => self.play_begins(id, play),
            Notice::Played { samples } => {
                if !self.music_over(id, samples > 0) {
                    self.play_ended(id, samples);
                    self.tend_music(id);
                }
            }
            Notice::NotPlayed(why) => {
                if !self.music_over(id, false) {
                    self.play_failed(id, why);
                    self.tend_music(id);
                }
            }
            Notice::Turn => {
                if let Some((call, core)) = self.call(id) {
                    call.try_turn(core);
                }
            }
            Notice::Reoffered(result) => self.on_reoffered(id, result),
            Notice::Held => self.on_held(id),
            Notice::Referred(result) => self.on_referred(id, result),
            Notice::Text => self.on_text(id),
            Notice::Texted(ask, result) => self.on_texted(ask, result),
            Notice::Described => self.on_described(id),
            Notice::Fax(news) => self.on_fax(id, news),
            Notice::Over => self.on_over(id),
        }
    }

    fn on_answered(&mut self, id: CallId) {
        let Some((call, core)) = self.call(id).filter(|(call, _)| call.over.is_none()) else { return };
        tracing::info!(call = %call.name, "answered");
        call.watch(core);
        if self.target_answers(id) || self.replacement_answered(id) || self.recorder_answers(id) {
            return;
        }
        self.record_always(id);
        let Some(call) = self.calls.get(&id) else { return };
        match (call.parent, call.order.is_some(), call.task.as_ref().map(|task| &task.doing)) {
            (Some(_), ..) => self.leg_answers(id),
            (None, true, _) => self.order_answered(id),
            (None, false, Some(Doing::Answer)) => self.finish_task(id, Reply::Done),
            (None, false, Some(Doing::Dial(_))) => self.connect_winner(id),
            (None, false, _) => {}
        }
    }

    fn on_media_event(&mut self, event: media::Event) {
        match event {
            media::Event::Digit { port, key } => {
                if let Some((call, core)) = self.call_of_port(port) {
                    core.tell(call.id, Notice::Key(key));
                }
            }
            media::Event::PlayDone { port, play, samples, .. } => {
                if let Some((call, core)) = self.call_of_port(port) {
                    call.handle_played(core, play, samples);
                }
            }
            media::Event::PlayAt { port, play, at } => {
                if let Some(id) = self.call_of_port(port).map(|(call, _)| call.id) {
                    self.on_play_at(id, play, at);
                }
            }
            media::Event::DigitsSent { port } => {
                if let Some(id) = self.call_of_port(port).map(|(call, _)| call.id) {
                    self.digits_sent(id);
                }
            }
            media::Event::Latched { port, from } => {
                if let Some((call, core)) = self.call_of_port(port) {
                    tracing::info!(call = %call.name, %from, "audio comes");
                    core.trace(call.id, TraceEvent::Media(format!("audio comes from {from}")));
                    call.hearing.latched(core.now, from);
                }
            }
            media::Event::Repacked { port, ms, most } => {
                if let Some((call, core)) = self.call_of_port(port) {
                    call.handle_repacked(core, ms, most);
                }
            }
            media::Event::NoRtp { port } => self.at_port(port, |call, core| call.handle_silence(core)),
            media::Event::Lost { port } => self.at_port(port, |call, core| call.handle_lost(core)),
            media::Event::Quality { port, quality } => {
                self.at_port(port, |call, core| call.handle_quality(core, quality));
            }
            media::Event::Heard { port, what } => {
                if let Some(id) = self.call_of_port(port).map(|(call, _)| call.id) {
                    self.on_heard(id, what);
                }
            }
            media::Event::Loudest { port } => self.on_loudest(port),
            // Blocks go from the media thread to the disk, handshakes to their own thread.
            media::Event::Recorded { .. } | media::Event::Handshake { .. } => {}
            media::Event::RecordDone { recording, samples, missed, why, .. } => {
                self.on_record_done(recording, (samples, missed), why);
            }
            media::Event::Closed { port, quality } => {
                if let Some((call, core)) = self.call_of_port(port)
                    && !call.mouth_closed(core, port)
                {
                    call.handle_closed(core, quality);
                }
            }
        }
    }

    fn at_port(&mut self, port: PortId, what: impl FnOnce(&mut Call, &mut Core)) {
        if let Some((call, core)) = self.call_of_port(port) {
            what(call, core);
        }
    }
}
