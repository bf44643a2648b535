//! One RTP endpoint: what came from its peer, what goes to it, and what it is busy with.

use std::{net::SocketAddr, time::Duration};

use super::{
    Config, Frame, Payload, RATE, Stream, Tools,
    comfort::Comfort,
    dialer::Dialer,
    ear::Ear,
    events::Events,
    frame::Lasting,
    gate::Gate,
    jitter::Jitter,
    metrics::Metrics,
    pass::Passing,
    pause::Pause,
    player::Player,
    recorder::Recorder,
    report::Report,
    room::Voice,
    sender::{Format, Outlet, Sender},
    shield::Shield,
    tap::{Feed, TAPS, Tapping},
    watch::Watch,
};
use crate::{
    audio::{Convert, agc::Agc},
    chance::Chance,
    codec::{Codec, Rate},
    ids::{PortId, RecordingId},
    rtp::{digits, sequence::Reception},
    time::Time,
    verbs::RecordEnd,
};

mod heard;
mod kind;
mod quality;

pub(super) use kind::{Accepted, Hearing, Kind, Route};
use kind::{clock, kinds};

/// Recordings of one port at a time; one more ends at once.
pub(super) const RECORDINGS: usize = 2;

/// The memory of one RTP endpoint. Made outside the engine, so that opening it there costs nothing.
pub struct Port {
    pub(super) id: PortId,
    pub(super) stream: Box<Stream>,
    kinds: [Kind; 128],
    pub(super) route: Route,
    pub(super) gate: Gate,
    pub(super) reception: Reception,
    pub(super) digits: digits::Receiver,
    pub(super) ear: Ear,
    /// Keys are passed on to it as tones where it takes no events.
    pub(super) tones: bool,
    /// How it speaks in a room.
    pub(super) voice: Voice,
    /// Automatic gain, where it is wanted.
    pub(super) agc: Option<Agc>,
    jitter: Jitter,
    /// What the peer sends at present.
    pub(super) hearing: Hearing,
    /// The longest packet of audio that came since the agreement, in units of 1/8000 s; and whether it was told that it
    /// is too long for another party.
    pub(super) longest: u16,
    pub(super) repacked: bool,
    /// What it said in the tick `taken`; silence where it said nothing.
    pub(super) said: Lasting,
    /// The same at its bridge's rate, where that is another; and what is added, where that is not the same (`reshaped`).
    added: Frame,
    reshaped: bool,
    to_bridge: Convert,
    to_peer: Convert,
    /// The rate of what is sent: the highest that was wanted since the codec was agreed on.
    sending_rate: Rate,
    comfort: Option<Comfort>,
    /// Its peer sends comfort noise.
    pub(super) comforts: bool,
    /// The pauses in what it is sent.
    pub(super) pause: Pause,
    pub(super) taken: u64,
    spoke: bool,
    /// It spoke in that tick and is in its bridge's sum.
    pub(super) summed: bool,
    pub(super) sender: Sender,
    pub(super) dialer: Dialer,
    /// The dialer was busy in the tick before.
    pub(super) dialed: bool,
    pub(super) player: Option<Player>,
    pub(super) recorders: [Option<Recorder>; RECORDINGS],
    pub(super) echo: bool,
    pub(super) report: Report,
    pub(super) metrics: Metrics,
    jitter_max: Duration,
    pub(super) chance: Chance,
    pub(super) watch: Watch,
    pub(super) refused: u64,
    /// Of these, what is not proved with the keys.
    pub(super) unproved: u64,
    /// Where the last of them came from.
    pub(super) refused_from: Option<SocketAddr>,
    /// Where its stream is encrypted, or was.
    pub(super) shield: Option<Box<Shield>>,
    pub(super) taps: [Option<Box<Tapping>>; TAPS],
    /// What is said to it while nobody else does.
    pub(super) feed: Option<Feed>,
    /// Its datagrams are passed on untouched.
    pub(super) passing: Option<Passing>,
    /// Closed; it only waits for its goodbye to be sent.
    pub(super) closing: bool,
}

impl Port {
    /// Makes all the memory that the port will ever need. `seed` decides on SSRC, first sequence number and timestamp
    /// (RFC 3550 section 5.1): it must not be guessable.
    pub fn new(id: PortId, stream: Stream, config: &Config, seed: u64) -> Box<Port> {
        let mut chance = Chance::new(seed);
        let start = chance.bits();
        let report = Report::new(&mut chance);
        let tools = *Tools::new(&stream, config);
        let first = ((start >> 32) as u32, start as u16 & 0x7fff, chance.bits() as u32);
        let mut sender = Sender::new(first, tools.encoder, tools.collected);
        sender.set_clock(clock(&stream));
        Box::new(Port {
            id,
            kinds: kinds(&stream),
            route: Route::Idle,
            gate: Gate::new(&stream, config.relatch_after),
            tones: true,
            voice: Voice::new(),
            agc: None,
            ear: Ear::new(tools.tones),
            stream: Box::new(stream),
            reception: Reception::new(RATE),
            digits: digits::Receiver::default(),
            jitter: Jitter::new(config.jitter_min, config.jitter_max, tools.bench),
            hearing: Hearing::Nothing,
            longest: 0,
            repacked: false,
            said: tools.said,
            added: Frame::silent(Rate::Narrow),
            reshaped: false,
            to_bridge: Convert::new(),
            to_peer: Convert::new(),
            sending_rate: Rate::Narrow,
            comfort: None,
            comforts: false,
            pause: Pause::new(),
            taken: 0,
            spoke: false,
            summed: false,
            sender,
            dialer: Dialer::new(),
            dialed: false,
            player: None,
            recorders: [const { None }; RECORDINGS],
            echo: false,
            report,
            metrics: Metrics::default(),
            jitter_max: config.jitter_max,
            chance,
            watch: Watch::new(config),
            refused: 0,
            unproved: 0,
            refused_from: None,
            shield: None,
            taps: [const { None }; TAPS],
            feed: None,
            passing: None,
            closing: false,
        })
    }

    /// Its name.
    pub fn id(&self) -> PortId {
        self.id
    }

    /// The engine has it now.
    pub(super) fn open(&mut self, now: Time, interval: Duration) {
        self.report.plan(now, interval, &mut self.chance);
        self.expect_audio(now);
    }

    /// A new agreement; the old one comes back, to be freed elsewhere, and so does what is not needed of the tools.
    pub(super) fn update(&mut self, now: Time, stream: Box<Stream>, tools: &mut Tools) -> Box<Stream> {
        self.passing = None;
        self.gate.handle_update(now, &stream);
        self.kinds = kinds(&stream);
        let codec = |stream: &Stream| stream.send.map(|payload| payload.codec);
        if codec(&stream) == codec(&self.stream) {
            self.sender.encoder().set_wish(stream.opus);
        } else {
            self.sender.equip(&mut tools.encoder, &mut tools.collected);
            self.sending_rate = Rate::Narrow;
        }
        if stream.send != self.stream.send {
            self.sender.drop_collected();
        }
        self.ear.equip(&mut tools.tones);
        self.sender.set_clock(clock(&stream));
        self.jitter.equip(&mut tools.bench);
        if !self.said.is_like(&tools.said) {
            std::mem::swap(&mut self.said, &mut tools.said);
            (self.spoke, self.summed) = (false, false);
        }
        let old = std::mem::replace(&mut self.stream, stream);
        self.hearing = Hearing::Nothing;
        (self.longest, self.repacked) = (0, false);
        self.comforts = false;
        self.pause.end();
        self.expect_audio(now);
        old
    }

    /// Where RTP goes, if the peer wants any.
    pub(super) fn destination(&self) -> Option<SocketAddr> {
        let wanted = self.stream.sending && self.stream.remote.is_some() && self.passing.is_none();
        self.gate.rtp_destination().filter(|_| wanted)
    }

    /// Where RTCP goes: also while the stream is on hold.
    pub(super) fn rtcp_destination(&self) -> Option<SocketAddr> {
        self.gate.rtcp_destination().filter(|_| self.stream.remote.is_some() && self.passing.is_none())
    }

    /// It plays, records, echoes, dials or listens: no relaying.
    pub(super) fn busy(&self) -> bool {
        self.player.is_some() || self.echo || self.dialer.busy() || self.attends()
    }

    /// What the party says is wanted here, whoever else hears it.
    pub(super) fn attends(&self) -> bool {
        self.records() || self.is_tapped() || self.ear.listens() || self.agc.is_some()
    }

    pub(super) fn records(&self) -> bool {
        self.recorders.iter().any(Option::is_some)
    }

    pub(super) fn kind(&self, payload_type: u8) -> Kind {
        self.kinds[usize::from(payload_type & 0x7f)]
    }

    /// Whether its peer may send this, and (as far as is known) does.
    pub(super) fn hears(&self, codec: Codec) -> bool {
        let may = self.stream.receive.iter().any(|payload| payload.codec == codec);
        may && match self.hearing {
            Hearing::Nothing => true,
            Hearing::Audio(hearing) => hearing == codec,
            Hearing::Foreign => false,
        }
    }

    /// The highest rate that its peer can speak or hear, as far as is known.
    pub(super) fn best_rate(&self) -> Rate {
        let send = self.stream.send.map(|payload| payload.codec);
        let comes = match self.hearing {
            Hearing::Audio(codec) => Some(codec),
            Hearing::Nothing | Hearing::Foreign => send,
        };
        let goes = send.map_or(Rate::Narrow, |codec| match codec {
            Codec::Opus => self.stream.opus.rate,
            Codec::Pcmu | Codec::Pcma | Codec::G722 | Codec::L16 | Codec::L16Wide | Codec::G729 => codec.rate(),
        });
        comes.map_or(goes, |codec| goes.max(codec.rate()))
    }

    /// The rate of what surrounds it: that at which Opus is decoded.
    pub(super) fn set_rate(&mut self, around: Rate) {
        let recorded = self.recorders.iter().flatten().map(Recorder::rate).max().unwrap_or_default();
        self.jitter.set_wish(around.max(recorded).max(self.tapped_rate()));
    }

    /// What it said in this tick, at the rate of its bridge.
    pub(super) fn said_at(&self, rate: Rate) -> &[i16] {
        if self.said.rate() == rate && !self.reshaped { self.said.samples() } else { self.added.samples() }
    }

    /// What it adds to its bridge in this tick, to be changed: after [`Port::convert_said`].
    pub(super) fn reshape_said(&mut self, rate: Rate) -> &mut [i16] {
        if self.said.rate() == rate && !self.reshaped {
            self.added.copy_from(self.said.view());
        }
        self.reshaped = true;
        self.added.samples_mut()
    }

    /// Bring what it said in this tick to the rate of its bridge.
    pub(super) fn convert_said(&mut self, rate: Rate) {
        if self.said.rate() != rate {
            self.to_bridge.run(self.said.rate(), self.said.samples(), rate, self.added.reset(rate));
        }
    }

    /// Send `frame`, at the rate that the codec has.
    pub(super) fn send_frame(&mut self, at: Time, frame: &Frame, payload: Payload, outlet: &mut Outlet<'_>) {
        let format = Format { payload, ptime: self.stream.ptime };
        self.sending_rate = self.sending_rate.max(frame.rate()).min(self.stream.opus.rate);
        let rate = payload.codec.rate_for(self.sending_rate);
        if rate == frame.rate() {
            return self.sender.frame(at, frame, format, outlet);
        }
        let mut converted = Frame::silent(rate);
        self.to_peer.run(frame.rate(), frame.samples(), rate, converted.samples_mut());
        self.sender.frame(at, &converted, format, outlet);
    }

    /// Something else is done with the audio from now on; what was still to be heard is forgotten.
    pub(super) fn enter(&mut self, route: Route) {
        self.route = route;
        self.comfort = None;
        self.jitter.reset();
    }

    /// Stop playing, if it does.
    pub(super) fn end_play(&mut self, finished: bool, events: &mut Events) {
        if let Some(player) = self.player.take() {
            events.play_done(self.id, player, finished);
        }
    }

    /// Finish a recording, if it runs.
    pub(super) fn stop_recording(&mut self, recording: RecordingId, events: &mut Events) {
        let mine = |place: &&mut Option<Recorder>| place.as_ref().is_some_and(|recorder| recorder.id == recording);
        if let Some(recorder) = self.recorders.iter_mut().find(mine).and_then(Option::take) {
            events.record_done(self.id, recorder, RecordEnd::Stopped);
        }
    }

    /// The port closes: all that somebody waits for is answered.
    pub(super) fn end_everything(&mut self, events: &mut Events) {
        self.end_play(false, events);
        for recorder in self.recorders.iter_mut().filter_map(Option::take) {
            events.record_done(self.id, recorder, RecordEnd::Stopped);
        }
        while let Some(order) = self.dialer.give_up() {
            events.digits_sent(self.id, order);
        }
        self.untap(None, events);
        self.closing = true;
    }

    pub(super) fn expect_audio(&mut self, now: Time) {
        // A fax has long pauses.
        let expected = self.stream.receiving && self.stream.remote.is_some() && self.passing.is_none();
        self.watch.set(now, expected);
    }
}

impl std::fmt::Debug for Port {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Port").field("id", &self.id).field("stream", &self.stream).finish_non_exhaustive()
    }
}
