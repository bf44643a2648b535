//! Whose key or session it is, also while the database does not answer: those that it knew lately are remembered. What
//! it says counts as long as it says something, so that a key that is removed opens nothing any more.

use std::{collections::HashMap, net::IpAddr, time::Duration};

use tokio::sync::{mpsc, oneshot};

use super::{
    Context,
    limit::{Limiter, house},
    problem::Problem,
};
use crate::{
    io::clock::Clock,
    store::{Key, secret_hash},
    time::Time,
};

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

/// What is shown, as it is remembered, and as the database has it: nobody can read the secret in it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Mark(pub String);

impl Mark {
    /// Of the secret of a key, or the token of a session.
    pub fn of(secret: &str) -> Mark {
        Mark(secret_hash(secret))
    }
}

/// Who is let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Granted {
    /// Whose key or session it is.
    pub key: Key,
    /// When the session is over, in ms since 1970; none: it is a key.
    pub until_ms: Option<i64>,
}

/// What is known of what was shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// The database has to say whose it is. Where it does not, it is this one's.
    Ask(Option<Granted>),
    /// The database was away a moment ago: it is this one's, or nobody can tell.
    Away(Option<Granted>),
    /// Too many unknown ones come from there.
    TooOften(Duration),
}

/// What the memory is told and asked.
#[derive(Debug)]
pub(super) enum Recall {
    /// Whose is it, shown from this address?
    Whose(Mark, IpAddr, oneshot::Sender<Known>),
    /// The database says so: it is this one's, or nobody's.
    Is(Mark, IpAddr, Option<Granted>),
    /// The database does not answer.
    Away,
    /// Whatever this key or person has shown counts no more.
    Forget(String),
}

struct Memory {
    known: HashMap<Mark, Seen>,
    strangers: Limiter,
    /// The database did not answer, and is not asked until then.
    away: Option<Time>,
}

/// Somebody whom the database knew.
struct Seen {
    granted: Granted,
    /// When it knew them last.
    at: Time,
    /// Until when that counts.
    until: Time,
}

impl Memory {
    fn new() -> Memory {
        Memory { known: HashMap::new(), strangers: Limiter::new(STRANGERS), away: None }
    }

    fn whose(&mut self, now: Time, mark: &Mark, from: IpAddr) -> Known {
        let known = self.known.get(mark).filter(|seen| now < seen.until).map(|seen| seen.granted.clone());
        if known.is_none()
            && let Some(wait) = self.strangers.wait(now, &house(from).to_string())
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

    /// What the database says; a session is over in `left`.
    fn is(&mut self, now: Time, (mark, from): (Mark, IpAddr), granted: Option<(Granted, Duration)>) {
        self.away = None;
        let Some((granted, left)) = granted else {
            self.known.remove(&mark);
            // It was let in this time; the next ones may not be.
            let _ = self.strangers.come(now, &house(from).to_string());
            return;
        };
        if self.known.len() >= MOST && !self.known.contains_key(&mark) {
            let oldest = self.known.iter().min_by_key(|(_, seen)| seen.at).map(|(mark, _)| mark.clone());
            oldest.map(|mark| self.known.remove(&mark));
        }
        self.known.insert(mark, Seen { granted, at: now, until: now + left.min(BELIEVED) });
    }
}

/// Remember until the server is gone.
pub(super) async fn keep(mut asked: mpsc::Receiver<Recall>, clock: Clock) {
    let mut memory = Memory::new();
    while let Some(recall) = asked.recv().await {
        let now = clock.now();
        match recall {
            // Who asked may be gone.
            Recall::Whose(mark, from, answer) => drop(answer.send(memory.whose(now, &mark, from))),
            Recall::Is(mark, from, granted) => {
                let left = |until_ms: i64| u64::try_from(until_ms - super::now_ms(clock)).unwrap_or(0);
                let left = |granted: &Granted| granted.until_ms.map_or(BELIEVED, |ms| Duration::from_millis(left(ms)));
                memory.is(now, (mark, from), granted.map(|granted| (granted.clone(), left(&granted))));
            }
            Recall::Away => memory.away = Some(now + AGAIN),
            Recall::Forget(id) => memory.known.retain(|_, seen| seen.granted.key.id != id),
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

    /// What this key or person was allowed has changed: it is asked anew, also of their streams that are open.
    pub(super) async fn forget(&self, id: &str) -> Result<(), Problem> {
        self.remember(Recall::Forget(id.to_owned())).await?;
        self.look_at_streams().await
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::store::Scope;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn key(id: &str) -> Granted {
        let key = Key { id: id.into(), name: String::new(), scope: Scope::Call, numbers: Vec::new() };
        Granted { key, until_ms: None }
    }

    fn known(id: &str) -> Option<(Granted, Duration)> {
        Some((key(id), BELIEVED))
    }

    #[test]
    fn while_the_database_is_away_one_request_a_second_asks_it_and_who_was_known_gets_in() {
        let (mut memory, now) = (Memory::new(), Time::START);
        let (mark, stranger) = (Mark::of("a"), Mark::of("b"));
        assert_eq!(memory.whose(now, &mark, HERE), Known::Ask(None));
        memory.is(now, (mark.clone(), HERE), known("a"));
        assert_eq!(memory.whose(now, &mark, HERE), Known::Ask(Some(key("a"))), "the database counts while it answers");
        memory.away = Some(now + AGAIN);
        assert_eq!(memory.whose(now, &mark, HERE), Known::Away(Some(key("a"))));
        assert_eq!(memory.whose(now, &stranger, HERE), Known::Away(None));
        assert_eq!(memory.whose(now + AGAIN, &mark, HERE), Known::Ask(Some(key("a"))));
        assert_eq!(memory.whose(now + AGAIN, &mark, HERE), Known::Away(Some(key("a"))), "only one asks");
        memory.is(now + AGAIN, (mark.clone(), HERE), None);
        assert_eq!(memory.whose(now + AGAIN, &mark, HERE), Known::Ask(None), "it is there again, and has said no");
    }

    #[test]
    fn nobody_is_believed_for_ever_and_the_memory_is_bounded() {
        let (mut memory, now) = (Memory::new(), Time::START);
        for n in 0..=MOST {
            let at = now + Duration::from_millis(n as u64);
            memory.is(at, (Mark::of(&n.to_string()), HERE), known("a"));
        }
        assert_eq!(memory.known.len(), MOST);
        assert_eq!(memory.whose(now, &Mark::of("0"), HERE), Known::Ask(None), "the oldest is forgotten");
        let late = now + BELIEVED + Duration::from_secs(2);
        assert_eq!(memory.whose(late, &Mark::of("5"), HERE), Known::Ask(None));
    }

    #[test]
    fn who_tries_secrets_is_slowed_down_and_those_who_are_known_there_are_not() {
        let (mut memory, now) = (Memory::new(), Time::START + Duration::from_secs(100));
        memory.is(now, (Mark::of("good"), HERE), known("a"));
        for n in 0..STRANGERS.0 {
            assert_eq!(memory.whose(now, &Mark::of(&n.to_string()), HERE), Known::Ask(None));
            memory.is(now, (Mark::of(&n.to_string()), HERE), None);
        }
        assert_eq!(memory.whose(now, &Mark::of("x"), HERE), Known::TooOften(STRANGERS.1));
        assert_eq!(memory.whose(now, &Mark::of("good"), HERE), Known::Ask(Some(key("a"))));
        let elsewhere = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
        assert_eq!(memory.whose(now, &Mark::of("x"), elsewhere), Known::Ask(None));
    }
    #[test]
    fn a_session_that_is_over_is_over_also_while_the_database_is_away() {
        let (mut memory, now, mark) = (Memory::new(), Time::START, Mark::of("a"));
        let session = Granted { until_ms: Some(60_000), ..key("user:anna") };
        memory.is(now, (mark.clone(), HERE), Some((session.clone(), Duration::from_secs(60))));
        memory.away = Some(now + Duration::from_secs(100));
        assert_eq!(memory.whose(now + Duration::from_secs(59), &mark, HERE), Known::Away(Some(session)));
        assert_eq!(memory.whose(now + Duration::from_secs(60), &mark, HERE), Known::Away(None));
    }
}
