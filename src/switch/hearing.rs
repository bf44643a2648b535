//! How the audio of a call goes while it goes on: from where it came, how good it is, and what is wrong with it.

use std::{fmt, net::SocketAddr};

use super::{
    Happened, NoKeys, OneWay, OneWayReason, Output, TraceEvent,
    call::{Call, End},
    cdr::CallQuality,
    core::Core,
    port::Port,
};
use crate::{
    media::Quality,
    time::Time,
    verbs::{Failure, Figures, Reply},
};

/// Most places that are remembered to have sent audio.
const PLACES: usize = 16;
/// Reports in a row that say the same before it is believed: 10 to 15 s.
const REPORTS: u8 = 2;
/// The party hears next to nothing of us where it lost so much, in 256ths.
const DEAF: u8 = 230;

/// What is known of a call's audio.
#[derive(Debug, Default)]
pub(super) struct Hearing {
    /// From where audio came, and when first from there.
    places: Vec<(Time, SocketAddr)>,
    last: Option<Box<Quality>>,
    /// Reports in a row in which the party heard nothing of us, and in which it said nothing but silence.
    deaf: u8,
    silent: u8,
    /// Reports in a row in which packets came, none of them proved.
    unproved: u8,
    /// The handshake that failed last.
    no_keys: Option<Box<NoKeys>>,
    alarms: Vec<Alarm>,
}

/// What is wrong with a call's audio, told once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Alarm {
    /// Nothing ever came.
    Nothing { said: Option<SocketAddr> },
    /// Packets came, the last of them from there, but so many as came were refused.
    Refused { said: Option<SocketAddr>, from: Option<SocketAddr>, refused: u64 },
    /// The handshake for its keys failed.
    NoKeys { said: Option<SocketAddr>, fault: Box<NoKeys> },
    /// Packets come, the last refused one from there, but so many are not proved with the keys.
    Unproved { said: Option<SocketAddr>, from: Option<SocketAddr>, unproved: u64 },
    /// It came, and then no more.
    Stopped { from: SocketAddr },
    /// Packets come, with silence in them.
    Silence { from: Option<SocketAddr> },
    /// The party reports that it lost nearly all of what we sent.
    Unheard { to: Option<SocketAddr> },
}

impl Alarm {
    /// Nothing comes.
    const fn is_silence(&self) -> bool {
        match self {
            Alarm::Nothing { .. }
            | Alarm::Refused { .. }
            | Alarm::NoKeys { .. }
            | Alarm::Unproved { .. }
            | Alarm::Stopped { .. } => true,
            Alarm::Silence { .. } | Alarm::Unheard { .. } => false,
        }
    }

    /// As events have it; `said`: where SDP says that the party is.
    fn told(&self, said: Option<SocketAddr>) -> OneWay {
        let (reason, source) = match *self {
            Alarm::Nothing { .. } => (OneWayReason::Nothing, None),
            Alarm::Refused { from, .. } => (OneWayReason::Refused, from),
            Alarm::NoKeys { ref fault, .. } => (OneWayReason::Keys, fault.from),
            Alarm::Unproved { from, .. } => (OneWayReason::Keys, from),
            Alarm::Stopped { from } => (OneWayReason::Stopped, Some(from)),
            Alarm::Silence { from } => (OneWayReason::Silence, from),
            Alarm::Unheard { to } => (OneWayReason::Unheard, to),
        };
        OneWay { reason, text: self.to_string(), sdp: said, source }
    }
}

impl fmt::Display for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = |at: Option<SocketAddr>| at.map_or("nowhere".to_owned(), |at| at.to_string());
        match self {
            Alarm::Nothing { said } => write!(f, "no packet came; SDP says {}", place(*said)),
            Alarm::Refused { said, from, refused } => {
                let (said, from) = (place(*said), place(*from));
                write!(f, "SDP says {said}, packets come from {from}, and are refused: {refused} so far")
            }
            Alarm::NoKeys { said, fault } => {
                let with = fault.from.map_or_else(String::new, |from| format!(" with {from}"));
                write!(f, "SDP says {}, the handshake for keys{with} failed: {}", place(*said), fault.why)
            }
            Alarm::Unproved { said, from, unproved } => {
                let (said, from) = (place(*said), place(*from));
                write!(f, "SDP says {said}, packets come from {from}, and no key opens them: {unproved} so far")
            }
            Alarm::Stopped { from } => write!(f, "packets came from {from}, and then no more"),
            Alarm::Silence { from } => write!(f, "packets come from {}, with nothing but silence", place(*from)),
            Alarm::Unheard { to } => write!(f, "we send to {}, which says that next to nothing arrives", place(*to)),
        }
    }
}

impl Hearing {
    /// Audio comes from a new place.
    pub fn latched(&mut self, now: Time, from: SocketAddr) {
        if self.places.len() < PLACES {
            self.places.push((now, from));
        }
    }

    /// Packets that came, as the last report has it.
    pub fn packets(&self) -> u64 {
        self.last.as_ref().map_or(0, |seen| seen.received)
    }

    /// Adds to a record what is known beyond the port's last words.
    pub fn complete(&self, started: Time, record: &mut CallQuality) {
        let place = |(at, from): &(Time, SocketAddr)| format!("{from} after {:.1} s", (*at - started).as_secs_f64());
        record.sources = self.places.iter().map(place).collect();
        record.alarms = self.alarms.iter().map(Alarm::to_string).collect();
    }
}

impl Call {
    /// A report of the media thread.
    pub fn handle_quality(&mut self, core: &mut Core, quality: Quality) {
        self.listen_for_faults(core, &quality);
        if self.over.is_none() {
            // As the record will have it, were the call over now.
            let mut so_far = CallQuality::from(&quality);
            self.hearing.complete(self.about.started, &mut so_far);
            core.out.push_back(Output::Quality { call: self.name.clone(), quality: Box::new(so_far) });
        }
        self.hearing.last = Some(Box::new(quality));
    }

    fn listen_for_faults(&mut self, core: &mut Core, quality: &Quality) {
        let talking = self.is_answered() && self.over.is_none();
        let heard = self.port.heard().filter(|_| talking);
        let Some(heard) = heard else { return };
        let came = self.hearing.last.as_ref().map_or(0, |before| before.received) < quality.received;
        // The share is of the whole call: silence so far means that nothing was ever said.
        let mute = came && quality.level.is_some_and(|level| level.silent > 0.995);
        let deaf = quality.peer_lost_fraction.is_some_and(|lost| lost >= DEAF);
        let before = self.hearing.last.as_ref().map_or(0, |before| before.unproved);
        let unproved = !came && before < quality.unproved;
        let count = |on: bool, so_far: u8| if on { so_far.saturating_add(1) } else { 0 };
        self.hearing.silent = count(mute, self.hearing.silent);
        self.hearing.deaf = count(deaf, self.hearing.deaf);
        self.hearing.unproved = count(unproved, self.hearing.unproved);
        if self.hearing.unproved >= REPORTS {
            let (said, from, unproved) = (heard.said, quality.refused_from, quality.unproved);
            self.alarm(core, Alarm::Unproved { said, from, unproved });
        }
        if self.hearing.silent >= REPORTS {
            self.alarm(core, Alarm::Silence { from: quality.source });
        }
        if self.hearing.deaf >= REPORTS {
            self.alarm(core, Alarm::Unheard { to: quality.source.or(heard.said) });
        }
    }

    /// The party sends nothing though it should.
    pub fn handle_silence(&mut self, core: &mut Core) {
        let said = self.port.heard().and_then(|heard| heard.said);
        let (hearing, seen) = (&self.hearing, self.hearing.last.as_deref());
        let (refused, unproved) = seen.map_or((0, 0), |seen| (seen.refused, seen.unproved));
        let from = seen.and_then(|seen| seen.refused_from);
        let alarm = match (hearing.places.last(), &hearing.no_keys) {
            (None, Some(fault)) => Alarm::NoKeys { said, fault: fault.clone() },
            (Some(_), _) if hearing.unproved > 0 => Alarm::Unproved { said, from, unproved },
            (Some((_, from)), _) => Alarm::Stopped { from: *from },
            (None, None) if refused == 0 => Alarm::Nothing { said },
            (None, None) if unproved * 2 > refused => Alarm::Unproved { said, from, unproved },
            (None, None) => Alarm::Refused { said, from, refused },
        };
        self.alarm(core, alarm);
    }

    /// A handshake for keys is through, or failed. A failure is an alarm only when no other is tried, or when nothing is
    /// heard in the end: it may have been a stranger's.
    pub fn hear_of_keys(&mut self, core: &mut Core, result: Result<(), Box<NoKeys>>) {
        let Err(fault) = result else {
            self.hearing.no_keys = None;
            return core.trace(self.id, TraceEvent::Media("the handshake for keys is through".to_owned()));
        };
        let from = fault.from.map_or_else(|| "nobody".to_owned(), |from| from.to_string());
        core.trace(self.id, TraceEvent::Media(format!("a handshake for keys with {from} failed: {}", fault.why)));
        let over = fault.over && self.hearing.places.is_empty();
        self.hearing.no_keys = Some(fault);
        if over && self.is_answered() && self.over.is_none() {
            self.handle_silence(core);
        }
    }

    /// The party sends neither audio nor reports though it should: it is gone, and nobody will say BYE.
    pub fn handle_lost(&mut self, core: &mut Core) {
        let talking = matches!(self.port, Port::Open(_)) && self.is_answered();
        if !talking || self.over.is_some() {
            return;
        }
        let why = self.hearing.alarms.iter().find(|alarm| alarm.is_silence()).map(Alarm::to_string);
        let why = why.unwrap_or_else(|| "packets came, and then no more".to_owned());
        tracing::warn!(call = %self.name, why, "the party is gone");
        self.about.error = Some(format!("neither audio nor reports came any more: {why}"));
        self.hang_up(core, End::GONE);
    }

    /// The party's packets are longer than the other party takes.
    pub fn handle_repacked(&mut self, core: &mut Core, ms: u16, most: u8) {
        let what = format!("its packets of {ms} ms are packed anew: the other party takes {most} ms at most");
        tracing::info!(call = %self.name, what);
        core.trace(self.id, TraceEvent::Media(what));
    }

    fn alarm(&mut self, core: &mut Core, alarm: Alarm) {
        let reason = |alarm: &Alarm| alarm.told(None).reason;
        let known = self.hearing.alarms.iter().any(|a| reason(a) == reason(&alarm));
        if known {
            return;
        }
        tracing::warn!(call = %self.name, %alarm, "one-way audio");
        core.trace(self.id, TraceEvent::Media(alarm.to_string()));
        let said = self.port.heard().and_then(|heard| heard.said);
        self.happened(core, Happened::OneWay(alarm.told(said)));
        self.hearing.alarms.push(alarm);
    }

    /// How the audio goes, for a script.
    pub fn figures(&self) -> Result<Reply, Failure> {
        let Some(seen) = self.hearing.last.as_deref() else { return Err(Failure::WrongState) };
        let record = CallQuality::from(seen);
        let expected = (seen.received + seen.lost).max(1);
        Ok(Reply::Figures(Box::new(Figures {
            mos: record.mos,
            r_factor: record.r_factor,
            peer_mos: record.peer_mos,
            loss: seen.lost as f64 / expected as f64,
            late: seen.late as f64 / expected as f64,
            peer_loss: record.peer_lost,
            jitter: f64::from(seen.jitter_us) / 1e6,
            round_trip: seen.round_trip_us.map(|us| f64::from(us) / 1e6),
            level: seen.level.and_then(|level| level.speech).map(f64::from),
            alarm: self.hearing.alarms.last().map(Alarm::to_string),
        })))
    }
}
