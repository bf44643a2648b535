//! What is on its way into the database: the last events are at hand until it has them, and how much waits is known
//! however much it is.

use std::{collections::VecDeque, sync::Arc};

use super::event::{ENDED, Event};

/// Most events at hand. As a rule it is those of a second; so many (some 15 MB) only while the database is
/// lost.
const MOST: usize = 16_384;
/// Most marks: the database may be lost for days.
const MARKS: usize = 4096;

/// How far the database is, as its writer says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    /// Number of the last event that it has; absent: it was not reached since the start.
    pub done: Option<u64>,
    /// It takes nothing.
    pub failing: bool,
}

/// What the database does not have yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// Events; of those of earlier runs at most so many.
    pub events: u64,
    /// Their bytes on the disk, to the next batch.
    pub bytes: u64,
    /// For how long the oldest has waited, in ms.
    pub oldest_ms: u64,
    /// The database takes nothing.
    pub failing: bool,
}

/// Some lines of the spool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Number of the last one.
    pub last: u64,
    /// Their bytes.
    pub bytes: u64,
    /// When the first one was written, in ms since 1970.
    pub at_ms: u64,
}

/// See the module's words.
pub struct Way {
    events: VecDeque<Arc<Event>>,
    marks: VecDeque<Mark>,
    /// Batches in one mark, and in the last one.
    grain: usize,
    filled: usize,
    /// The bytes of all marks.
    bytes: u64,
    done: u64,
    last: u64,
    failing: bool,
}

impl Way {
    /// With what earlier runs left in the spool, of which nobody has said yet that the database has it.
    pub fn new(marks: Vec<Mark>) -> Way {
        let (done, last) = (0, marks.last().map_or(0, |mark| mark.last));
        let bytes = marks.iter().map(|mark| mark.bytes).sum();
        Way { events: VecDeque::new(), marks: marks.into(), grain: 1, filled: 1, bytes, done, last, failing: false }
    }

    /// These are on the disk.
    pub fn wrote(&mut self, events: impl Iterator<Item = Arc<Event>>, bytes: u64, at_ms: u64) {
        for event in events {
            if self.events.len() == MOST {
                self.events.pop_front();
            }
            self.last = event.id;
            self.events.push_back(event);
        }
        self.bytes += bytes;
        match self.marks.back_mut() {
            Some(mark) if self.filled < self.grain => {
                self.filled += 1;
                (mark.last, mark.bytes) = (self.last, mark.bytes + bytes);
            }
            Some(_) | None => {
                if self.marks.len() == MARKS {
                    self.thin_out();
                }
                self.marks.push_back(Mark { last: self.last, bytes, at_ms });
                self.filled = 1;
            }
        }
    }

    /// Of each two marks one is made, and the next ones are twice as coarse.
    fn thin_out(&mut self) {
        self.grain *= 2;
        let mut thin = VecDeque::with_capacity(MARKS);
        while let Some(one) = self.marks.pop_front() {
            let next = self.marks.pop_front();
            thin.push_back(next.map_or(one, |next| Mark { bytes: one.bytes + next.bytes, at_ms: one.at_ms, ..next }));
        }
        self.marks = thin;
    }

    /// The database is so far.
    pub fn stored(&mut self, stored: Stored) {
        self.failing = stored.failing;
        self.done = self.done.max(stored.done.unwrap_or(0));
        while self.events.front().is_some_and(|event| event.id <= self.done) {
            self.events.pop_front();
        }
        while self.marks.front().is_some_and(|mark| mark.last <= self.done) {
            self.bytes -= self.marks.pop_front().map_or(0, |mark| mark.bytes);
        }
        if self.marks.is_empty() {
            self.grain = 1;
        }
    }

    /// The events of this call that are at hand, in order.
    pub fn of(&self, call: &str) -> Vec<Arc<Event>> {
        self.events.iter().filter(|event| event.call == call).cloned().collect()
    }

    /// The events after this number that are at hand, in order.
    pub fn after(&self, id: u64) -> Vec<Arc<Event>> {
        self.events.iter().filter(|event| event.id > id).cloned().collect()
    }

    /// The end of this call, where that is at hand.
    pub fn end_of(&self, call: &str) -> Option<Arc<Event>> {
        self.events.iter().rev().find(|event| event.kind == ENDED && event.call == call).cloned()
    }

    /// What waits.
    pub fn waiting(&self, now_ms: u64) -> Waiting {
        let oldest_ms = self.marks.front().map_or(0, |mark| now_ms.saturating_sub(mark.at_ms));
        Waiting { events: self.last.saturating_sub(self.done), bytes: self.bytes, oldest_ms, failing: self.failing }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(id: u64, kind: &'static str) -> Arc<Event> {
        Arc::new(Event { id, kind, call: format!("c-{}", id / 4), parties: Default::default(), line: "{}".into() })
    }

    fn done(done: u64) -> Stored {
        Stored { done: Some(done), failing: false }
    }

    #[test]
    fn events_are_at_hand_until_the_database_has_them() {
        let mut way = Way::new(Vec::new());
        way.wrote((4..12).map(|id| event(id, if id % 4 == 3 { ENDED } else { "call.ringing" })), 800, 1000);
        assert_eq!(way.of("c-1").iter().map(|event| event.id).collect::<Vec<_>>(), [4, 5, 6, 7]);
        assert_eq!(way.end_of("c-2").unwrap().id, 11);
        way.stored(done(9));
        assert!(way.of("c-1").is_empty() && way.end_of("c-1").is_none());
        assert_eq!(way.of("c-2").len(), 2);
        assert_eq!(way.waiting(1500), Waiting { events: 2, bytes: 800, oldest_ms: 500, failing: false });
        way.stored(Stored { done: None, failing: true });
        assert_eq!(way.waiting(1500), Waiting { events: 2, bytes: 800, oldest_ms: 500, failing: true });
        way.stored(done(11));
        assert_eq!(way.waiting(9000), Waiting::default());
    }

    #[test]
    fn a_database_that_is_lost_for_long_takes_no_more_memory_and_what_waits_stays_known() {
        let mut way = Way::new(vec![Mark { last: 3, bytes: 50, at_ms: 7 }]);
        for id in 4..100_004 {
            way.wrote(std::iter::once(event(id, "call.ringing")), 10, id);
        }
        assert_eq!((way.events.len(), way.marks.len() <= MARKS), (MOST, true));
        assert!(way.of("c-1").is_empty(), "only the last ones are at hand");
        assert_eq!(way.of("c-25000").len(), 4);
        let waiting = way.waiting(100_007);
        assert_eq!((waiting.events, waiting.bytes, waiting.oldest_ms), (100_003, 1_000_050, 100_000));
        way.stored(done(50_003));
        let waiting = way.waiting(100_003);
        assert_eq!(waiting.events, 50_000);
        assert!((500_000..505_000).contains(&waiting.bytes), "{waiting:?}");
        assert!((49_900..50_500).contains(&waiting.oldest_ms), "{waiting:?}");
        way.stored(done(100_003));
        assert_eq!(way.waiting(1), Waiting::default());
    }
}
