//! What the store is told, where it cannot follow for a while: the ends of calls wait for room, so that no call stays
//! open that is over; what else there was is counted as lost.

use std::collections::{BTreeSet, VecDeque};

use tokio::sync::mpsc::{Sender, error::TrySendError};

use super::{Control, Fact};
use crate::switch::CallRecord;

/// Records that wait for room. It is for the calls that were under way when there was none any more; a store that lets
/// more than these wait is as good as dead.
const LATE: usize = 65_536;

/// The way to the store.
pub struct Facts {
    to: Sender<Fact>,
    late: VecDeque<Box<CallRecord>>,
    /// What found no room, since the start.
    lost: u64,
    /// The end of a call is among it: the store takes that call for one that goes on.
    strays: bool,
    /// It was told that there is no room.
    full: bool,
}

impl Facts {
    /// To this store.
    pub fn new(to: Sender<Fact>) -> Facts {
        Facts { to, late: VecDeque::new(), lost: 0, strays: false, full: false }
    }

    /// Tell the store.
    pub fn keep(&mut self, fact: Fact) {
        match self.to.try_send(fact) {
            Ok(()) => {}
            Err(TrySendError::Full(Fact::Record(record))) if self.late.len() < LATE => self.late.push_back(record),
            // It is told again in a moment.
            Err(TrySendError::Full(Fact::Quality { .. })) => {}
            Err(TrySendError::Full(fact) | TrySendError::Closed(fact)) => self.lose(&fact),
        }
    }

    fn lose(&mut self, fact: &Fact) {
        if !std::mem::replace(&mut self.full, true) {
            tracing::error!("the store cannot follow: what happens to calls is not in it, but their ends come later");
        }
        self.lost += 1;
        self.strays |= matches!(fact, Fact::Record(_));
    }

    /// Something is to be told when there is room.
    pub fn is_waiting(&self) -> bool {
        (self.full || !self.late.is_empty()) && !self.to.is_closed()
    }

    /// Until there is room.
    pub async fn room(&self) {
        // Where the store is gone, nobody waits any more.
        let _ = self.to.reserve().await;
    }

    /// There is room: tell what waits. Where ends were lost, the store is told which calls go on.
    pub fn catch_up(&mut self, live: impl FnOnce() -> BTreeSet<String>) {
        while let Some(record) = self.late.pop_front() {
            if let Err(TrySendError::Full(Fact::Record(record)) | TrySendError::Closed(Fact::Record(record))) =
                self.to.try_send(Fact::Record(record))
            {
                return self.late.push_front(record);
            }
        }
        if self.strays && self.to.try_send(Fact::Alive(live())).is_err() {
            return;
        }
        if self.full {
            tracing::warn!(lost = self.lost, "the store can follow again");
        }
        (self.strays, self.full) = (false, false);
    }

    /// What found no room, since the start.
    pub fn lost(&self) -> u64 {
        self.lost
    }
}

impl Control {
    pub(super) fn keep(&mut self, fact: Fact) {
        self.ends.facts.keep(fact);
    }

    pub(super) fn catch_up(&mut self) {
        let exchange = &self.exchange;
        self.ends.facts.catch_up(|| exchange.names());
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;
    use crate::switch::{Happened, Happening};

    fn happening() -> Fact {
        let what = Happened::Speaker { room: "r".into() };
        Fact::Happened(Box::new(Happening { call: None, from: String::new(), to: String::new(), what }))
    }

    fn end(id: &str) -> Fact {
        Fact::Record(Box::new(CallRecord::sample(id)))
    }

    fn told(store: &mut mpsc::Receiver<Fact>) -> Vec<String> {
        let mut told = Vec::new();
        while let Ok(fact) = store.try_recv() {
            told.push(match fact {
                Fact::Record(record) => record.id,
                Fact::Happened(_) => "happening".into(),
                Fact::Alive(names) => format!("alive {}", names.into_iter().collect::<Vec<_>>().join(" ")),
                other => panic!("{other:?}"),
            });
        }
        told
    }

    #[test]
    fn the_ends_of_calls_come_later_and_what_else_there_was_is_counted() {
        let (to, mut store) = mpsc::channel(2);
        let mut facts = Facts::new(to);
        for id in ["a", "b", "c", "d", "e"] {
            facts.keep(happening());
            facts.keep(end(id));
        }
        assert_eq!((facts.lost(), facts.is_waiting()), (4, true));
        assert_eq!(told(&mut store), ["happening", "a"]);
        let live = || -> BTreeSet<String> { panic!("no end was lost") };
        facts.catch_up(live);
        assert_eq!((told(&mut store), facts.is_waiting()), (vec!["b".into(), "c".into()], true));
        facts.catch_up(live);
        assert_eq!((told(&mut store), facts.is_waiting()), (vec!["d".into(), "e".into()], false));
        facts.keep(happening());
        assert_eq!((told(&mut store).len(), facts.lost()), (1, 4));
    }

    #[test]
    fn a_store_that_lost_ends_is_told_which_calls_go_on() {
        let (to, mut store) = mpsc::channel(1);
        let mut facts = Facts::new(to);
        for _ in 0..LATE + 3 {
            facts.keep(end("x"));
        }
        assert_eq!(facts.lost(), 2);
        let mut count = 0;
        while facts.is_waiting() {
            let told = told(&mut store);
            count += told.iter().filter(|one| *one == "x").count();
            facts.catch_up(|| ["l1".to_owned(), "l2".to_owned()].into());
        }
        assert_eq!((count, told(&mut store)), (LATE + 1, vec!["alive l1 l2".into()]));
    }

    #[test]
    fn nobody_waits_for_a_store_that_is_gone() {
        let (to, store) = mpsc::channel(1);
        let mut facts = Facts::new(to);
        facts.keep(end("a"));
        facts.keep(end("b"));
        drop(store);
        assert!(!facts.is_waiting());
        facts.keep(end("c"));
        assert_eq!(facts.lost(), 1);
    }
}
