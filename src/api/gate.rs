//! Streams that stay open: what opened one is looked at again and again, and where it counts no more, or for less than it
//! did, the stream ends. So a key that is taken back, somebody who is dismissed and a session that is over hear nothing
//! more within a second, whoever took it back: this server, another one, or a command at the machine.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::http::StatusCode;
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{MissedTickBehavior, interval},
};

use super::{
    Context, Shared,
    access::{Pass, Proof},
    memory::Granted,
    problem::Problem,
};
use crate::store::Key;

/// How often the database is asked.
const EACH: Duration = Duration::from_millis(500);
/// Streams of one key or person at a time, so that one leaves room for others.
const MOST: usize = 32;

/// The right to hear a stream, for as long as it lasts.
#[derive(Debug)]
pub(super) struct Ticket {
    counts: watch::Receiver<()>,
    _place: Arc<()>,
}

impl Ticket {
    /// It does not count any more.
    pub fn is_over(&self) -> bool {
        self.counts.has_changed().is_err()
    }

    /// Until it does not count any more.
    pub fn over(&self) -> impl Future<Output = ()> + use<> {
        let mut counts = self.counts.clone();
        async move {
            // Nothing is ever sent: the other end is dropped.
            while counts.changed().await.is_ok() {}
        }
    }
}

/// What the gate is told.
pub(super) enum Turn {
    /// Somebody wants to hear a stream.
    Enter(Box<Pass>, oneshot::Sender<Option<Ticket>>),
    /// What somebody may do has changed.
    Look,
    /// What the database says of those who hear streams, as far as it answers.
    Seen(Vec<(Proof, Option<Granted>)>),
}

/// Those who were let in by the same key or session.
struct Open {
    key: Key,
    until_ms: Option<i64>,
    /// As long as this is there, their tickets count.
    tickets: watch::Sender<()>,
    /// Each ticket has one of these, beside this one.
    place: Arc<()>,
}

impl Open {
    fn heard(&self) -> usize {
        Arc::strong_count(&self.place) - 1
    }
}

/// What is known of the streams that are open.
#[derive(Default)]
struct Gate {
    open: BTreeMap<Proof, Open>,
    /// The database is being asked.
    asking: bool,
    /// Something changed since it is.
    again: bool,
}

impl Gate {
    /// None: there are as many streams of this key or person as there may be.
    fn enter(&mut self, Pass { caller, proof, until_ms }: Pass) -> Option<Ticket> {
        let key = caller.0;
        // Who was let in by this before had other rights: that is over.
        self.open.retain(|at, open| *at != proof || open.key == key);
        let heard = self.open.values().filter(|open| open.key.id == key.id).map(Open::heard).sum::<usize>();
        if heard >= MOST {
            return None;
        }
        let new = || Open { key, until_ms, tickets: watch::channel(()).0, place: Arc::default() };
        let open = self.open.entry(proof).or_insert_with(new);
        Some(Ticket { counts: open.tickets.subscribe(), _place: open.place.clone() })
    }

    /// Whom the database is to be asked about now.
    fn look(&mut self, now_ms: i64) -> Vec<Proof> {
        self.open.retain(|_, open| open.heard() > 0 && open.until_ms.is_none_or(|until| now_ms < until));
        if self.asking {
            self.again = true;
            return Vec::new();
        }
        self.asking = !self.open.is_empty();
        self.open.keys().cloned().collect()
    }

    /// The database has answered. True: it is to be asked again.
    fn seen(&mut self, answers: Vec<(Proof, Option<Granted>)>) -> bool {
        for (proof, granted) in answers {
            let granted = granted.map(|granted| granted.key);
            self.open.retain(|at, open| *at != proof || granted.as_ref() == Some(&open.key));
        }
        self.asking = false;
        std::mem::take(&mut self.again)
    }
}

/// Keep the gate until the server is gone.
pub(super) async fn keep(context: Shared, mut turns: mpsc::Receiver<Turn>) {
    let mut gate = Gate::default();
    let mut ticks = interval(EACH);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let turn = tokio::select! {
            turn = turns.recv() => match turn {
                Some(turn) => turn,
                None => return,
            },
            _ = ticks.tick() => Turn::Look,
        };
        let look = match turn {
            Turn::Enter(pass, to) => {
                // Who asked may be gone.
                let _ = to.send(gate.enter(*pass));
                false
            }
            Turn::Look => true,
            Turn::Seen(answers) => gate.seen(answers),
        };
        if look {
            let asked = gate.look(context.now_ms());
            if !asked.is_empty() {
                tokio::spawn(ask(context.clone(), asked));
            }
        }
    }
}

/// Ask the database beside everything else: it may take its time. While it does not answer, streams stay open, as keys
/// that were seen lately still open doors then.
async fn ask(context: Shared, asked: Vec<Proof>) {
    let mut answers = Vec::with_capacity(asked.len());
    for proof in asked {
        let Ok(granted) = context.look_up(&proof).await else { break };
        answers.push((proof, granted));
    }
    // The server may be gone.
    let _ = context.gate.send(Turn::Seen(answers)).await;
}

impl Context {
    /// Let somebody hear a stream.
    pub(super) async fn enter(&self, pass: Pass) -> Result<Ticket, Problem> {
        let (to, ticket) = oneshot::channel();
        self.gate.send(Turn::Enter(Box::new(pass), to)).await.map_err(|_| Problem::gone())?;
        let full = format!("{MOST} streams of this key or person are open");
        let full = Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_streams", "Too many streams", full);
        ticket.await.map_err(|_| Problem::gone())?.ok_or(full)
    }

    /// What somebody may do has changed.
    pub(super) async fn look_at_streams(&self) -> Result<(), Problem> {
        self.gate.send(Turn::Look).await.map_err(|_| Problem::gone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        api::{access::Caller, memory::Mark},
        store::Scope,
    };

    fn granted(id: &str, numbers: &[&str]) -> Granted {
        let numbers = numbers.iter().map(|number| (*number).to_owned()).collect();
        Granted { key: Key { id: id.into(), name: String::new(), scope: Scope::Read, numbers }, until_ms: None }
    }

    fn pass(secret: &str, Granted { key, until_ms }: Granted) -> Pass {
        Pass { caller: Caller(key), proof: Proof::Key(Mark::of(secret)), until_ms }
    }

    #[test]
    fn a_stream_ends_when_what_opened_it_is_gone_or_allows_something_else() {
        let mut gate = Gate::default();
        let (gone, narrowed, same) = (granted("a", &[]), granted("b", &["1", "2"]), granted("c", &["1"]));
        let tickets =
            [("a", &gone), ("b", &narrowed), ("c", &same)].map(|(s, g)| gate.enter(pass(s, g.clone())).unwrap());
        let asked = gate.look(0);
        assert_eq!(asked.len(), 3);
        assert!(gate.look(0).is_empty(), "one question at a time");
        let says = |proof: &Proof| match proof {
            proof if *proof == pass("a", gone.clone()).proof => None,
            proof if *proof == pass("b", gone.clone()).proof => Some(granted("b", &["1"])),
            _ => Some(same.clone()),
        };
        assert!(gate.seen(asked.iter().map(|proof| (proof.clone(), says(proof))).collect()), "something changed since");
        assert_eq!(tickets.each_ref().map(Ticket::is_over), [true, true, false]);
        // A database that does not answer ends nothing.
        assert_eq!(gate.look(0).len(), 1);
        assert!(!gate.seen(Vec::new()));
        assert!(!tickets[2].is_over());
        drop(tickets);
        assert!(gate.look(0).is_empty() && gate.open.is_empty(), "nobody is asked about who went away");
    }

    #[test]
    fn a_session_that_is_over_ends_its_streams_without_the_database() {
        let mut gate = Gate::default();
        let session = Granted { until_ms: Some(1000), ..granted("user:anna", &[]) };
        let ticket = gate.enter(pass("s", session)).unwrap();
        assert_eq!(gate.look(999).len(), 1);
        assert!(!ticket.is_over());
        gate.look(1000);
        assert!(ticket.is_over());
    }

    #[test]
    fn one_key_leaves_room_for_others() {
        let mut gate = Gate::default();
        let key = granted("a", &[]);
        let mut tickets: Vec<Ticket> = (0..MOST).map(|_| gate.enter(pass("a", key.clone())).unwrap()).collect();
        assert!(gate.enter(pass("a", key.clone())).is_none());
        assert!(gate.enter(pass("another session", key.clone())).is_none(), "of the same person");
        assert!(gate.enter(pass("b", granted("b", &[]))).is_some());
        tickets.pop();
        assert!(gate.enter(pass("a", key)).is_some(), "one has gone");
    }
}
