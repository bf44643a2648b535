//! What is told of calls and messages: an event has a number of its own, counted up over restarts, and an order within its call.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use serde::{Deserialize, Serialize, Serializer, ser::SerializeMap};
use serde_json::value::RawValue;

use super::{question::Standing, reconcile};
use crate::{
    io::Fact,
    switch::{CallQuality, CallRecord, Direction, EndReason, Happening, MessageRecord, Progress, Status},
};

/// One event, as it is told to readers and written down.
#[derive(Clone, Debug)]
pub struct Event {
    /// Its number; the next one has the next number.
    pub id: u64,
    /// What kind, such as `call.ringing`.
    pub kind: &'static str,
    /// The call that it is about; empty: none. A message is an event of its own, also within a call.
    pub call: String,
    /// Who calls, and who is called; of a message who sent it, and for whom; else empty.
    pub parties: [String; 2],
    /// All of it: one JSON object without line breaks.
    pub line: Arc<str>,
}

/// An event as it is read back.
#[derive(Debug, Deserialize)]
pub struct Written<'a> {
    /// When, in ms since 1970.
    pub at_ms: u64,
    /// What kind.
    pub kind: &'a str,
    /// The call that it is about.
    pub call: Option<&'a str>,
    /// A [`Progress`] or [`CallRecord`] where [`Self::is_step`]; of a message its [`MessageRecord`]; else a [`Happening`],
    /// or nothing.
    #[serde(borrow)]
    pub data: Option<&'a RawValue>,
}

impl Written<'_> {
    /// It says how a call stands: its data are what the call's row is made of.
    pub fn is_step(&self) -> bool {
        matches!(self.kind, "call.queued" | "call.initiated" | "call.ringing" | "call.in_progress" | ENDED)
    }
}

/// The word for a step.
pub const fn kind(status: Status) -> &'static str {
    match status {
        Status::Queued => "call.queued",
        Status::Initiated => "call.initiated",
        Status::Ringing => "call.ringing",
        Status::InProgress => "call.in_progress",
        Status::Completed | Status::Failed | Status::NoAnswer | Status::Busy | Status::Canceled => ENDED,
    }
}

/// The word for what became of a message.
fn kind_of_message(record: &MessageRecord) -> &'static str {
    match (record.direction, record.is_taken()) {
        (Direction::Inbound, true) => "message.received",
        (Direction::Inbound, false) => "message.refused",
        (Direction::Outbound, true) => "message.sent",
        (Direction::Outbound, false) => "message.failed",
    }
}

/// The kind of a call's last event.
pub const ENDED: &str = "call.ended";
/// The kind of the event that a server starts.
pub const STARTED: &str = "server.started";

struct Line<'a, T: Serialize> {
    id: u64,
    at_ms: u64,
    kind: &'a str,
    call: Option<&'a str>,
    order: u32,
    data: Option<&'a T>,
}

impl<T: Serialize> Serialize for Line<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &self.id)?;
        map.serialize_entry("at_ms", &self.at_ms)?;
        map.serialize_entry("kind", self.kind)?;
        map.serialize_entry("call", &self.call)?;
        map.serialize_entry("order", &self.order)?;
        map.serialize_entry("data", &self.data)?;
        map.end()
    }
}

/// What all calls that are over come to.
#[derive(Clone, Debug)]
pub struct Totals {
    /// How many, by status and end reason.
    pub ended: BTreeMap<(String, String), u64>,
    /// How many were answered.
    pub answered: u64,
    /// How many were answered within so many seconds, and not within fewer of the list.
    pub setup: [(&'static str, u64); SETUP.len()],
    /// Seconds until all answers.
    pub setup_seconds: f64,
    /// Seconds from all answers to the ends.
    pub talk_seconds: f64,
    /// How many were answered, and how many not, by direction and trunk; without a trunk: empty.
    pub answers: BTreeMap<(&'static str, String), [u64; 2]>,
    /// How many ended since their script failed or was stopped, by script and end reason.
    pub flow_errors: BTreeMap<(String, String), u64>,
    /// How many had a mean opinion score up to this, and not up to a lower one of the list.
    pub mos: [(&'static str, u64); MOS.len()],
    /// How many had any.
    pub scored: u64,
    /// All scores together.
    pub mos_sum: f64,
    /// RTP packets: sent, received, lost, late.
    pub packets: [(&'static str, u64); 4],
}

/// Upper ends of the classes of [`Totals::setup`], in seconds.
const SETUP: [(&str, u64); 8] =
    [("0.1", 100), ("0.5", 500), ("1", 1000), ("2", 2000), ("5", 5000), ("10", 10_000), ("30", 30_000), ("60", 60_000)];

/// Upper ends of the classes of [`Totals::mos`].
const MOS: [(&str, f64); 7] =
    [("1.5", 1.5), ("2", 2.0), ("2.5", 2.5), ("3", 3.0), ("3.5", 3.5), ("4", 4.0), ("4.5", 4.5)];
/// Scripts and trunks that are counted by themselves; of more the others together.
const NAMES: usize = 200;
/// The name of those.
const OTHERS: &str = "(others)";

impl Default for Totals {
    fn default() -> Totals {
        Totals {
            ended: BTreeMap::new(),
            answered: 0,
            setup: SETUP.map(|(name, _)| (name, 0)),
            setup_seconds: 0.0,
            talk_seconds: 0.0,
            answers: BTreeMap::new(),
            flow_errors: BTreeMap::new(),
            mos: MOS.map(|(name, _)| (name, 0)),
            scored: 0,
            mos_sum: 0.0,
            packets: ["sent", "received", "lost", "late"].map(|name| (name, 0)),
        }
    }
}

impl Totals {
    fn add(&mut self, record: &CallRecord) {
        *self.ended.entry((record.status.to_string(), record.end_reason.to_string())).or_default() += 1;
        if let Some(answer) = record.answer_ms {
            let took = answer.saturating_sub(record.start_ms);
            self.answered += 1;
            self.setup_seconds += took as f64 / 1000.0;
            self.talk_seconds += record.talk_seconds;
            if let Some(class) = SETUP.iter().position(|(_, limit)| took <= *limit) {
                self.setup[class].1 += 1;
            }
        }
        self.add_answer(record);
        self.add_flow_error(record);
        if let Some(mos) = record.quality.as_ref().and_then(|quality| quality.mos) {
            self.scored += 1;
            self.mos_sum += mos;
            if let Some(class) = MOS.iter().position(|(_, limit)| mos <= *limit) {
                self.mos[class].1 += 1;
            }
        }
        let quality = record.quality.clone().unwrap_or_default();
        let counts = [quality.sent, quality.received, quality.lost, quality.late];
        for (at, count) in self.packets.iter_mut().zip(counts) {
            at.1 += count;
        }
    }
}

impl Totals {
    fn add_answer(&mut self, record: &CallRecord) {
        let direction = match record.direction {
            Direction::Inbound => "inbound",
            Direction::Outbound => "outbound",
        };
        let mut place = (direction, record.trunk.clone().unwrap_or_default());
        if self.answers.len() >= NAMES && !self.answers.contains_key(&place) {
            place.1 = OTHERS.to_owned();
        }
        let [answered, not] = self.answers.entry(place).or_default();
        *(if record.answer_ms.is_some() { answered } else { not }) += 1;
    }

    fn add_flow_error(&mut self, record: &CallRecord) {
        if !matches!(record.end_reason, EndReason::AgentError | EndReason::AgentCrashed) {
            return;
        }
        let mut place = (record.script.clone().unwrap_or_default(), record.end_reason.to_string());
        if self.flow_errors.len() >= NAMES && !self.flow_errors.contains_key(&place) {
            place.0 = OTHERS.to_owned();
        }
        *self.flow_errors.entry(place).or_default() += 1;
    }
}

/// What is known of a call that is not over.
struct Known {
    progress: Arc<Progress>,
    /// Events that it had.
    told: u32,
    quality: Option<Arc<CallQuality>>,
}

/// The calls that are not over, and how many events each had: makes events out of facts.
#[derive(Default)]
pub struct Live {
    calls: HashMap<String, Known>,
    totals: Totals,
    /// Where events are written before it is known how long they are.
    buffer: Vec<u8>,
}

impl Live {
    /// The event for a fact; none: it is only known from now on.
    pub fn event(&mut self, id: u64, at_ms: u64, fact: Fact) -> Option<Event> {
        Some(match fact {
            Fact::Progress(progress) => {
                let progress: Arc<Progress> = Arc::from(progress);
                let new = || Known { progress: progress.clone(), told: 0, quality: None };
                let known = self.calls.entry(progress.id.clone()).or_insert_with(new);
                known.progress = progress.clone();
                known.told += 1;
                let order = known.told;
                let kind = kind(progress.status);
                let call = progress.id.as_str();
                let line = Line { id, at_ms, kind, call: Some(call), order, data: Some(&*progress) };
                let parties = [progress.from.clone(), progress.to.clone()];
                Event { id, kind, call: progress.id.clone(), parties, line: text(&line, &mut self.buffer) }
            }
            Fact::Record(record) => {
                let order = self.calls.remove(&record.id).map_or(1, |known| known.told + 1);
                self.ended((id, at_ms), *record, order)
            }
            Fact::Reconciled(record, order) => {
                self.calls.remove(&record.id);
                self.ended((id, at_ms), *record, order)
            }
            // It is no event, but a question of several: see `strays`.
            Fact::Alive(_) => return None,
            Fact::Happened(happening) => {
                let order = match &happening.call {
                    Some(call) => {
                        // Nothing comes after a call's record.
                        let known = self.calls.get_mut(call)?;
                        known.told += 1;
                        known.told
                    }
                    None => 0,
                };
                let (kind, call) = (happening.what.kind(), happening.call.as_deref());
                let line = Line { id, at_ms, kind, call, order, data: Some(&*happening) };
                let line = text(&line, &mut self.buffer);
                let Happening { call, from, to, .. } = *happening;
                Event { id, kind, call: call.unwrap_or_default(), parties: [from, to], line }
            }
            Fact::Message(record) => {
                let kind = kind_of_message(&record);
                let line = Line { id, at_ms, kind, call: None, order: 0, data: Some(&*record) };
                let line = text(&line, &mut self.buffer);
                Event { id, kind, call: String::new(), parties: [record.from, record.to], line }
            }
            Fact::Quality { call, quality } => {
                if let Some(known) = self.calls.get_mut(&call) {
                    known.quality = Some(Arc::from(quality));
                }
                return None;
            }
        })
    }

    fn ended(&mut self, (id, at_ms): (u64, u64), record: CallRecord, order: u32) -> Event {
        self.totals.add(&record);
        let kind = kind(record.status);
        let line = Line { id, at_ms, kind, call: Some(&record.id), order, data: Some(&record) };
        let line = text(&line, &mut self.buffer);
        Event { id, kind, call: record.id, parties: [record.from, record.to], line }
    }

    /// This call, where it is not over.
    pub fn standing(&self, id: &str) -> Option<Standing> {
        self.calls.get(id).map(Known::standing)
    }

    /// What the calls that are over come to.
    pub fn totals(&self) -> &Totals {
        &self.totals
    }

    /// All calls that are not over, in no order.
    pub fn all(&self) -> Vec<Standing> {
        self.calls.values().map(Known::standing).collect()
    }

    /// Their ids.
    pub fn ids(&self) -> BTreeSet<String> {
        self.calls.keys().cloned().collect()
    }

    /// The ends of those that are over, since they are not among `alive`.
    pub fn strays(&self, alive: &BTreeSet<String>, now_ms: u64) -> Vec<Fact> {
        let over = self.calls.values().filter(|known| !alive.contains(&known.progress.id));
        let end = |known: &Known| Fact::Reconciled(Box::new(reconcile::stray(&known.progress, now_ms)), known.told + 1);
        over.map(end).collect()
    }
}

impl Known {
    fn standing(&self) -> Standing {
        (self.progress.clone(), self.quality.clone())
    }
}

/// The event that the server starts: what earlier runs left behind is over.
pub fn started(id: u64, at_ms: u64) -> Event {
    let line = Line::<()> { id, at_ms, kind: STARTED, call: None, order: 0, data: None };
    Event { id, kind: STARTED, call: String::new(), parties: Default::default(), line: text(&line, &mut Vec::new()) }
}

fn text<T: Serialize>(line: &Line<'_, T>, buffer: &mut Vec<u8>) -> Arc<str> {
    buffer.clear();
    serde_json::to_writer(&mut *buffer, line).expect("an event is plain data");
    std::str::from_utf8(buffer).expect("JSON is UTF-8").into()
}
