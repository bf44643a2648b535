//! Whose key or session it is, also while the database does not answer: those that it knew lately are remembered. What
//! it says counts as long as it says something, so that a key that is removed opens nothing any more.

use std::{collections::HashMap, net::IpAddr, time::Duration};

use sha2::{Digest, Sha256};
use tokio::sync::{mpsc, oneshot};

use super::{Context, limit::Limiter, problem::Problem};
use crate::{io::clock::Clock, store::Key, time::Time};

/// Keys and sessions that are remembered; of more, those that were seen longest ago are forgotten.
const MOST: usize = 1000;
/// How long the database need not be asked whether it still knows one: who was thrown out meanwhile, by another
/// server, is not in for ever.
const BELIEVED: Duration = Duration::from_secs(12 * 3600);
/// A database that did not answer is asked again after so long, by one request.
const AGAIN: Duration = Duration::from_secs(1);
/// Secrets that nobody knows, from one address: so many at once, then ten in a second. Nobody guesses one; but each costs
/// a look into the database.
const STRANGERS: (u32, Duration) = (200, Duration::from_millis(100));

/// What is shown, as it is remembered: nobody can read the secret in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Mark([u8; 32]);

impl Mark {
    /// Of the secret of a key, or the token of a session.
    pub fn of(secret: &str) -> Mark {
        Mark(Sha256::digest(secret.as_bytes()).into())
    }
}

/// What is known of what was shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// The database has to say whose it is. Where it does not, it is this one's.
    Ask(Option<Key>),
    /// The database was away a moment ago: it is this one's, or nobody can tell.
    Away(Option<Key>),
    /// Too many unknown ones come from there.
    TooOften(Duration),
}

/// What the memory is told and asked.
#[derive(Debug)]
pub(super) enum Recall {
    /// Whose is it, shown from this address?
    Whose(Mark, IpAddr, oneshot::Sender<Known>),
    /// The database says so: it is this one's, or nobody's.
    Is(Mark, IpAddr, Option<Key>),
    /// The database does not answer.
    Away,
    /// Whatever this key or person has shown counts no more.
    Forget(String),
}

struct Memory {
    known: HashMap<Mark, (Key, Time)>,
    strangers: Limiter,
    /// The database did not answer, and is not asked until then.
    away: Option<Time>,
}

impl Memory {
    fn new() -> Memory {
        Memory { known: HashMap::new(), strangers: Limiter::new(STRANGERS), away: None }
    }

    fn whose(&mut self, now: Time, mark: Mark, from: IpAddr) -> Known {
        let known = self.known.get(&mark).filter(|(_, seen)| now - *seen < BELIEVED).map(|(key, _)| key.clone());
        if known.is_none()
            && let Some(wait) = self.strangers.wait(now, &from.to_string())
        {
            return Known::TooOften(wait);
        }
        match self.away {
            Some(until) if now < until => Known::Away(known),
            Some(_) => {
                // One asks; who comes while it does is not kept waiting.
                self.away = Some(now + AGAIN);
                Known::Ask(known)
            }
            None => Known::Ask(known),
        }
    }

    fn is(&mut self, now: Time, (mark, from): (Mark, IpAddr), key: Option<Key>) {
        self.away = None;
        let Some(key) = key else {
            self.known.remove(&mark);
            // It was let in this time; the next ones may not be.
            let _ = self.strangers.come(now, &from.to_string());
            return;
        };
        if self.known.len() >= MOST && !self.known.contains_key(&mark) {
            let oldest = self.known.iter().min_by_key(|(_, (_, seen))| *seen).map(|(mark, _)| *mark);
            oldest.map(|mark| self.known.remove(&mark));
        }
        self.known.insert(mark, (key, now));
    }
}

/// Remember until the server is gone.
pub(super) async fn keep(mut asked: mpsc::Receiver<Recall>, clock: Clock) {
    let mut memory = Memory::new();
    while let Some(recall) = asked.recv().await {
        let now = clock.now();
        match recall {
            // Who asked may be gone.
            Recall::Whose(mark, from, answer) => drop(answer.send(memory.whose(now, mark, from))),
            Recall::Is(mark, from, key) => memory.is(now, (mark, from), key),
            Recall::Away => memory.away = Some(now + AGAIN),
            Recall::Forget(id) => memory.known.retain(|_, (key, _)| key.id != id),
        }
    }
}

impl Context {
    pub(super) async fn recall(&self, mark: Mark, from: IpAddr) -> Result<Known, Problem> {
        let (answer, known) = oneshot::channel();
        self.remember(Recall::Whose(mark, from, answer)).await?;
        known.await.map_err(|_| Problem::gone())
    }

    pub(super) async fn remember(&self, recall: Recall) -> Result<(), Problem> {
        self.memory.send(recall).await.map_err(|_| Problem::gone())
    }

    /// What this key or person was allowed has changed.
    pub(super) async fn forget(&self, id: &str) -> Result<(), Problem> {
        self.remember(Recall::Forget(id.to_owned())).await
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::store::Scope;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn key(id: &str) -> Key {
        Key { id: id.into(), name: String::new(), scope: Scope::Call, numbers: Vec::new() }
    }

    #[test]
    fn while_the_database_is_away_one_request_a_second_asks_it_and_who_was_known_gets_in() {
        let (mut memory, now) = (Memory::new(), Time::START);
        let (mark, stranger) = (Mark::of("a"), Mark::of("b"));
        assert_eq!(memory.whose(now, mark, HERE), Known::Ask(None));
        memory.is(now, (mark, HERE), Some(key("a")));
        assert_eq!(memory.whose(now, mark, HERE), Known::Ask(Some(key("a"))), "the database counts while it answers");
        memory.away = Some(now + AGAIN);
        assert_eq!(memory.whose(now, mark, HERE), Known::Away(Some(key("a"))));
        assert_eq!(memory.whose(now, stranger, HERE), Known::Away(None));
        assert_eq!(memory.whose(now + AGAIN, mark, HERE), Known::Ask(Some(key("a"))));
        assert_eq!(memory.whose(now + AGAIN, mark, HERE), Known::Away(Some(key("a"))), "only one asks");
        memory.is(now + AGAIN, (mark, HERE), None);
        assert_eq!(memory.whose(now + AGAIN, mark, HERE), Known::Ask(None), "it is there again, and has said no");
    }

    #[test]
    fn nobody_is_believed_for_ever_and_the_memory_is_bounded() {
        let (mut memory, now) = (Memory::new(), Time::START);
        for n in 0..=MOST {
            let at = now + Duration::from_millis(n as u64);
            memory.is(at, (Mark::of(&n.to_string()), HERE), Some(key("a")));
        }
        assert_eq!(memory.known.len(), MOST);
        assert_eq!(memory.whose(now, Mark::of("0"), HERE), Known::Ask(None), "the oldest is forgotten");
        let late = now + BELIEVED + Duration::from_secs(2);
        assert_eq!(memory.whose(late, Mark::of("5"), HERE), Known::Ask(None));
    }

    #[test]
    fn who_tries_secrets_is_slowed_down_and_those_who_are_known_there_are_not() {
        let (mut memory, now) = (Memory::new(), Time::START + Duration::from_secs(100));
        memory.is(now, (Mark::of("good"), HERE), Some(key("a")));
        for n in 0..STRANGERS.0 {
            assert_eq!(memory.whose(now, Mark::of(&n.to_string()), HERE), Known::Ask(None));
            memory.is(now, (Mark::of(&n.to_string()), HERE), None);
        }
        assert_eq!(memory.whose(now, Mark::of("x"), HERE), Known::TooOften(STRANGERS.1));
        assert_eq!(memory.whose(now, Mark::of("good"), HERE), Known::Ask(Some(key("a"))));
        let elsewhere = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
        assert_eq!(memory.whose(now, Mark::of("x"), elsewhere), Known::Ask(None));
    }
}
