//! What one reader of events is told: what happened after an event that it names, then what happens, as far as its key
//! and its filter go; and what it lost.
//!
//! What it wants waits for it in a line of its own, so that what it loses can be counted. The line has an end: whoever
//! reads too slowly loses the oldest, and delays nobody.

use std::{collections::VecDeque, sync::Arc};

use serde::{Deserialize, Serialize};
use tokio::{
    sync::{
        broadcast::{self, error::RecvError},
        mpsc,
    },
    task::JoinHandle,
};
use utoipa::ToSchema;

use super::{Shared, access::Pass, events::Interest, gate::Ticket, problem::Problem};
use crate::{
    store::{Event, Following, Key, Question},
    switch::Dialling,
};

/// Events that a reader may fall behind.
const BEHIND: usize = 16_384;
/// Events between the line and the reader.
const ON_THE_WAY: usize = 256;
/// Events that are read from the database at once.
const PAGE: u32 = 500;

/// Events that a reader did not get.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct Lost {
    /// Always `lost`.
    kind: &'static str,
    /// How many of those that the reader wants; null: it is not known which these were.
    #[schema(required = false)]
    count: Option<u64>,
    /// The `id` of the first of them: who wants them asks again with `after` one less than this.
    first: u64,
    /// The `id` of the last of them.
    last: u64,
}

impl Lost {
    const fn new(count: Option<u64>, first: u64, last: u64) -> Lost {
        Lost { kind: "lost", count, first, last }
    }

    /// These, and others that came after them.
    fn and(self, other: &Lost) -> Lost {
        let count = self.count.zip(other.count).map(|(these, others)| these + others);
        Lost::new(count, self.first, other.last)
    }

    /// As it is told.
    pub fn line(&self) -> String {
        serde_json::to_string(self).expect("numbers are plain data")
    }
}

/// What is told.
pub(super) enum News {
    Event { id: u64, kind: String, line: Arc<str> },
    Lost(Lost),
}

/// Which events, and whose key asks.
struct Wanted {
    interest: Interest,
    key: Key,
    dialling: Dialling,
}

impl Wanted {
    fn has(&self, kind: &str, call: &str, [from, to]: [&str; 2]) -> bool {
        let Interest { call: of, kinds, number, after: _ } = &self.interest;
        self.key.sees(&self.dialling, [from, to])
            && of.as_ref().is_none_or(|of| of == call)
            && kinds.as_ref().is_none_or(|kinds| kinds.split(',').any(|one| one.trim() == kind))
            && number.as_ref().is_none_or(|number| [from, to].iter().any(|party| self.dialling.same(number, party)))
    }

    fn has_event(&self, event: &Event) -> bool {
        self.has(event.kind, &event.call, event.parties.each_ref().map(String::as_str))
    }

    /// An event as the database has it.
    fn news(&self, id: u64, line: &str) -> Option<News> {
        let kept: Kept = serde_json::from_str(line).ok()?;
        let Parties { from, to } = kept.data.unwrap_or_default();
        let wanted = self.has(&kept.kind, &kept.call.unwrap_or_default(), [&from, &to]);
        wanted.then(|| News::Event { id, kind: kept.kind, line: line.into() })
    }
}

/// What decides about an event.
#[derive(Deserialize)]
struct Kept {
    kind: String,
    call: Option<String>,
    data: Option<Parties>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Parties {
    from: String,
    to: String,
}

/// What waits for the reader.
#[derive(Default)]
struct Line {
    /// Before all that waits.
    lost: Option<Lost>,
    waiting: VecDeque<Waiting>,
}

enum Waiting {
    Event(Arc<Event>),
    Lost(Lost),
}

impl Line {
    fn push(&mut self, one: Waiting) {
        if self.waiting.len() >= BEHIND
            && let Some(oldest) = self.waiting.pop_front()
        {
            let oldest = match oldest {
                Waiting::Event(event) => Lost::new(Some(1), event.id, event.id),
                Waiting::Lost(lost) => lost,
            };
            self.lost = Some(self.lost.take().map_or(oldest.clone(), |lost| lost.and(&oldest)));
        }
        self.waiting.push_back(one);
    }

    fn is_empty(&self) -> bool {
        self.lost.is_none() && self.waiting.is_empty()
    }

    fn pop(&mut self) -> Option<Waiting> {
        self.lost.take().map(Waiting::Lost).or_else(|| self.waiting.pop_front())
    }
}

/// Take what happens from the journal, however slowly the reader reads, and hand it on one by one.
async fn take(
    mut events: broadcast::Receiver<Arc<Event>>,
    wanted: Arc<Wanted>,
    reader: mpsc::Sender<Waiting>,
    mut last: u64,
) {
    let mut line = Line::default();
    let mut note = |line: &mut Line, event: Arc<Event>| {
        // So busy that the journal did not wait for this thread.
        if event.id > last + 1 {
            line.push(Waiting::Lost(Lost::new(None, last + 1, event.id - 1)));
        }
        last = event.id;
        if wanted.has_event(&event) {
            line.push(Waiting::Event(event));
        }
    };
    loop {
        tokio::select! {
            happened = events.recv() => match happened {
                Ok(event) => {
                    note(&mut line, event);
                    // All that is there: the journal's own line is short.
                    while let Ok(event) = events.try_recv() {
                        note(&mut line, event);
                    }
                }
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => break,
            },
            room = reader.reserve(), if !line.is_empty() => {
                let Ok(mut room) = room else { return };
                while let Some(one) = line.pop() {
                    room.send(one);
                    let Ok(more) = reader.try_reserve() else { break };
                    room = more;
                }
            }
        }
    }
    while let Some(one) = line.pop() {
        if reader.send(one).await.is_err() {
            return;
        }
    }
}

/// How far a reader has come.
enum Stage {
    /// It reads what the database has.
    Database,
    /// What the database did not have when it began.
    Hand(Vec<Arc<Event>>),
    /// What happens.
    Now,
}

/// What one reader is told.
pub(super) struct Reader {
    context: Shared,
    ticket: Ticket,
    wanted: Arc<Wanted>,
    stage: Stage,
    /// All up to this event was told, unless it was not wanted.
    after: u64,
    /// The last event that happened before the reader began.
    begun: u64,
    node: Arc<str>,
    ready: VecDeque<News>,
    happening: mpsc::Receiver<Waiting>,
    taking: JoinHandle<()>,
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.taking.abort();
    }
}

impl Reader {
    pub async fn begin(context: &Shared, pass: Pass, interest: Interest) -> Result<Reader, Problem> {
        let key = pass.caller.0.clone();
        let ticket = context.enter(pass).await?;
        let following = context.ask_journal(|to| Question::Follow { after: interest.after, to }).await?;
        let Following { events, at_hand, last: begun, node } = following;
        // An id that was not reached yet is of another server: what happens from now on is all that can be told.
        let (stage, after) = match interest.after {
            Some(after) if after < begun => (Stage::Database, after),
            Some(_) | None => (Stage::Now, begun),
        };
        let stage = match (stage, at_hand) {
            (Stage::Database, at_hand) if at_hand.first().is_some_and(|first| first.id <= after + 1) => {
                Stage::Hand(at_hand)
            }
            (stage, _) => stage,
        };
        let dialling = context.config.dialling.clone();
        let wanted = Arc::new(Wanted { interest, key, dialling });
        let (reader, happening) = mpsc::channel(ON_THE_WAY);
        let taking = tokio::spawn(take(events, wanted.clone(), reader, begun));
        let ready = VecDeque::new();
        Ok(Reader { context: context.clone(), ticket, wanted, stage, after, begun, node, ready, happening, taking })
    }

    /// What is to be told next; none: nothing more, as the server stops, or what let the reader in counts no more. May be
    /// dropped while it waits, and asked again.
    pub async fn next(&mut self) -> Option<News> {
        if self.ticket.is_over() {
            return None;
        }
        let over = self.ticket.over();
        tokio::select! {
            biased;
            () = over => None,
            news = self.news() => news,
        }
    }

    async fn news(&mut self) -> Option<News> {
        loop {
            if let Some(news) = self.ready.pop_front() {
                return Some(news);
            }
            match &mut self.stage {
                Stage::Database => self.read().await,
                Stage::Hand(at_hand) => {
                    let at_hand = std::mem::take(at_hand);
                    self.look_through(at_hand);
                }
                Stage::Now => return self.now().await,
            }
        }
    }

    /// The next page of the database.
    async fn read(&mut self) {
        let after = i64::try_from(self.after).unwrap_or(i64::MAX);
        let read = match self.context.store().await {
            Ok(store) => store.events_after(&self.node, after, PAGE).await.map_err(|e| super::problem::database(&e)),
            Err(problem) => Err(problem),
        };
        let rows = read.unwrap_or_default();
        let all = rows.len() < PAGE as usize;
        for (id, line) in rows {
            let id = u64::try_from(id).unwrap_or_default();
            self.come_to(id);
            self.ready.extend(self.wanted.news(id, &line));
        }
        if all || self.after >= self.begun {
            self.stage = Stage::Hand(self.at_hand().await);
        }
    }

    /// What the database does not have, asked anew: meanwhile it got more.
    async fn at_hand(&self) -> Vec<Arc<Event>> {
        loop {
            match self.context.ask_journal(|to| Question::Follow { after: Some(self.after), to }).await {
                Ok(following) => return following.at_hand,
                Err(problem) if problem.kind == "journal_stuck" => {}
                Err(_) => return Vec::new(),
            }
        }
    }

    fn look_through(&mut self, at_hand: Vec<Arc<Event>>) {
        for event in at_hand {
            if event.id <= self.after || event.id > self.begun {
                continue;
            }
            self.come_to(event.id);
            if self.wanted.has_event(&event) {
                let kind = event.kind.to_owned();
                self.ready.push_back(News::Event { id: event.id, kind, line: event.line.clone() });
            }
        }
        if self.after < self.begun {
            self.come_to(self.begun + 1);
            self.after = self.begun;
        }
        self.stage = Stage::Now;
    }

    /// An event is next; what should have been before it is nowhere any more, or not anywhere yet.
    fn come_to(&mut self, id: u64) {
        if id > self.after + 1 {
            self.ready.push_back(News::Lost(Lost::new(None, self.after + 1, id - 1)));
        }
        self.after = id;
    }

    async fn now(&mut self) -> Option<News> {
        loop {
            match self.happening.recv().await? {
                // The database had it already.
                Waiting::Event(event) if event.id <= self.after => {}
                Waiting::Lost(lost) if lost.last <= self.after => {}
                Waiting::Event(event) => {
                    let (id, kind) = (event.id, event.kind.to_owned());
                    return Some(News::Event { id, kind, line: event.line.clone() });
                }
                Waiting::Lost(lost) => return Some(News::Lost(lost)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(id: u64) -> Waiting {
        let (call, parties) = (String::new(), Default::default());
        Waiting::Event(Arc::new(Event { id, kind: "call.ringing", call, parties, line: "{}".into() }))
    }

    #[test]
    fn a_line_that_is_full_loses_the_oldest_and_says_which_they_were() {
        let mut line = Line::default();
        // Every other event is wanted.
        (0..BEHIND as u64 + 10).for_each(|at| line.push(event(at * 2 + 1)));
        let Some(Waiting::Lost(lost)) = line.pop() else { panic!("it lost some") };
        assert_eq!(lost, Lost::new(Some(10), 1, 19));
        assert_eq!(lost.line(), r#"{"kind":"lost","count":10,"first":1,"last":19}"#);
        let Some(Waiting::Event(next)) = line.pop() else { panic!("the rest is there") };
        assert_eq!((next.id, line.waiting.len()), (21, BEHIND - 1));
    }

    #[test]
    fn what_nobody_counted_makes_the_whole_count_unknown() {
        let mut line = Line::default();
        line.push(Waiting::Lost(Lost::new(None, 1, 7)));
        (8..9 + BEHIND as u64).for_each(|id| line.push(event(id)));
        let Some(Waiting::Lost(lost)) = line.pop() else { panic!("it lost some") };
        assert_eq!(lost, Lost::new(None, 1, 8));
    }
}
