//! Our registration with a registrar (RFC 3261 section 10.2): asked for, refreshed in time, asked for again with growing
//! patience where it failed (RFC 5626 section 4.5), given up at the end.
//!
//! ```text
//! Waiting ──time──▶ Asking ──2xx──▶ Registered ──time──▶ Asking
//!    ▲                │ 401, 407, 423, another target: asks again at once
//!    └───failure──────┘
//! any ──leave──▶ Leaving ──answer──▶ Off
//! ```

use std::{collections::VecDeque, fmt, time::Duration};

use super::{CSeq, Failure, Headers, Method, NameAddr, Request, Response, Uri, auth::Credentials, challenged::prove};
use crate::{chance::Chance, time::Time};

/// The first wait after a failure; it doubles (RFC 5626 section 4.5).
const FIRST_WAIT: Duration = Duration::from_secs(30);
/// The longest wait.
const LONGEST_WAIT: Duration = Duration::from_secs(1800);
/// The first wait after a refusal that a new attempt alone will not change.
const REFUSED_WAIT: Duration = Duration::from_secs(300);
/// The longest registration that a 423 can make us ask for.
const LONGEST: Duration = Duration::from_secs(7 * 86_400);
/// Challenges that are answered in one attempt.
const PROOFS: u8 = 4;

/// As whom we register, and with whom.
#[derive(Clone, Debug, PartialEq)]
pub struct Account {
    /// The registrar: the Request-URI, without user.
    pub registrar: Uri,
    /// Our public address there: From and To.
    pub address: Uri,
    /// What proves that it is ours.
    pub credentials: Option<Credentials>,
    /// For how long we ask to be registered.
    pub expires: Duration,
}

/// What is to be done, or has become of it.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Find a way to the registrar, and send there what [`Register::request`] makes for that way.
    Ask,
    /// Send this the way that the last request went.
    Send(Box<Request>),
    /// Tell the operator.
    Changed(Change),
}

/// What has become of the registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// We are registered, for this long unless refreshed. Not told again when it is refreshed.
    Registered(Duration),
    /// An attempt failed; the next one comes after `again`.
    Failed {
        /// Why.
        why: Why,
        /// The next attempt.
        again: Duration,
        /// The registration before still holds.
        still: bool,
    },
    /// It ran out, as no refresh came through.
    Lost,
    /// It is over because we said so.
    Left,
}

/// Why an attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The registrar's name leads nowhere.
    NoPlace,
    /// No answer came.
    TimedOut,
    /// It could not be delivered.
    Transport,
    /// User or password is wrong, or a challenge that we cannot answer.
    Credentials,
    /// Refused with this code.
    Refused(u16),
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::NoPlace => f.write_str("its name leads nowhere"),
            Why::TimedOut => f.write_str("no answer came"),
            Why::Transport => f.write_str("it could not be delivered"),
            Why::Credentials => f.write_str("user or password is wrong"),
            Why::Refused(code) => write!(f, "refused with {code}"),
        }
    }
}

impl From<Failure> for Why {
    fn from(why: Failure) -> Why {
        match why {
            Failure::TimedOut => Why::TimedOut,
            Failure::Transport => Why::Transport,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// For the next attempt.
    Waiting {
        again: Time,
    },
    /// For the answer.
    Asking,
    /// Until it is time to refresh.
    Registered {
        refresh: Time,
    },
    /// For the answer to our goodbye.
    Leaving,
    Off,
}

/// The machine. Its user finds the way and runs the transactions.
#[derive(Debug)]
pub struct Register {
    account: Account,
    call_id: String,
    tag: String,
    cseq: u32,
    state: State,
    /// Until when the registrar keeps us.
    until: Option<Time>,
    /// What is asked for: the account's, or what a 423 wants.
    expires: Duration,
    failures: u32,
    proofs: u8,
    /// The request that is out.
    asked: Option<Request>,
    chance: Chance,
    out: VecDeque<Output>,
}

impl Register {
    /// To be registered from `now` on. `call_id` and `tag` stay the same over all attempts (RFC 3261 section 10.2.4);
    /// `chance` spreads the attempts of many that failed at once.
    pub fn new(now: Time, account: Account, (call_id, tag): (String, String), chance: u64) -> Register {
        let expires = account.expires;
        let state = State::Waiting { again: now };
        let (asked, out) = (None, VecDeque::new());
        Register {
            account,
            call_id,
            tag,
            cseq: 0,
            state,
            until: None,
            expires,
            failures: 0,
            proofs: 0,
            asked,
            chance: Chance::new(chance),
            out,
        }
    }

    /// Until when the registrar keeps us; absent: it does not.
    pub fn until(&self) -> Option<Time> {
        self.until
    }

    /// True while the registrar keeps us.
    pub fn is_registered(&self) -> bool {
        self.until.is_some()
    }

    /// The next thing to be done.
    pub fn poll(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    /// The next moment [`Register::handle_timeout`] has something to do.
    pub fn timeout(&self) -> Option<Time> {
        let next = match self.state {
            State::Waiting { again } => Some(again),
            State::Registered { refresh } => Some(refresh),
            State::Asking | State::Leaving | State::Off => None,
        };
        Time::soonest(next, self.until)
    }

    /// Time passed.
    pub fn handle_timeout(&mut self, now: Time) {
        if self.until.is_some_and(|until| until <= now) {
            self.until = None;
            self.out.push_back(Output::Changed(Change::Lost));
        }
        match self.state {
            State::Waiting { again: due } | State::Registered { refresh: due } if due <= now => {
                self.proofs = 0;
                self.ask();
            }
            State::Waiting { .. } | State::Registered { .. } | State::Asking | State::Leaving | State::Off => {}
        }
    }

    fn ask(&mut self) {
        self.enter(State::Asking);
        self.out.push_back(Output::Ask);
    }

    fn enter(&mut self, state: State) {
        tracing::debug!(address = %self.account.address, from = ?self.state, to = ?state, "registration");
        self.state = state;
    }

    /// Say goodbye, where we are registered.
    pub fn leave(&mut self) {
        match self.state {
            State::Leaving | State::Off => {}
            State::Waiting { .. } | State::Asking | State::Registered { .. } if self.until.is_some() => {
                self.proofs = 0;
                self.enter(State::Leaving);
                self.out.push_back(Output::Ask);
            }
            State::Waiting { .. } | State::Asking | State::Registered { .. } => self.enter(State::Off),
        }
    }

    /// The REGISTER for the way at hand; `contact` is where we are reached on it.
    pub fn request(&mut self, contact: &NameAddr) -> Request {
        self.cseq += 1;
        let cseq = CSeq { number: self.cseq, method: Method::Register };
        let to = NameAddr::new(self.account.address.clone());
        let mut from = to.clone();
        from.set_tag(&self.tag);
        let mut headers = Headers::new(from, to, self.call_id.clone(), cseq);
        let expires = if self.state == State::Leaving { 0 } else { self.expires.as_secs() };
        headers.push("Contact", contact.to_string());
        headers.push("Expires", expires.to_string());
        let uri = self.account.registrar.clone();
        let request = Request { method: Method::Register, uri, headers, body: Default::default() };
        self.asked = Some(request.clone());
        request
    }

    /// The registrar answered. `elsewhere`: there is another way to it. `cnonce` is fresh and random.
    pub fn handle_response(&mut self, now: Time, response: &Response, elsewhere: bool, cnonce: &str) {
        if !matches!(self.state, State::Asking | State::Leaving) || response.code < 200 {
            return;
        }
        match response.code {
            200..=299 if self.state == State::Leaving => self.left(),
            200..=299 => self.granted(now, response),
            401 | 407 => self.challenged(now, response, cnonce),
            423 => self.too_brief(now, response),
            408 | 500..=599 if elsewhere => self.out.push_back(Output::Ask),
            code => self.failed(now, Why::Refused(code), retry_after(response)),
        }
    }

    /// No answer will come, or there is no way. `elsewhere`: there is another way.
    pub fn handle_failed(&mut self, now: Time, why: Why, elsewhere: bool) {
        match self.state {
            State::Asking | State::Leaving if elsewhere => self.out.push_back(Output::Ask),
            State::Asking | State::Leaving => self.failed(now, why, Duration::ZERO),
            State::Waiting { .. } | State::Registered { .. } | State::Off => {}
        }
    }

    fn granted(&mut self, now: Time, response: &Response) {
        let granted = self.granted_time(response);
        if granted.is_zero() {
            return self.failed(now, Why::Refused(response.code), Duration::ZERO);
        }
        self.failures = 0;
        let news = self.until.is_none();
        self.until = Some(now + granted);
        self.enter(State::Registered { refresh: now + granted * 4 / 5 });
        if news {
            self.out.push_back(Output::Changed(Change::Registered(granted)));
        }
    }

    /// How long the registrar keeps us: what it says of our own Contact, else of all, else what we asked for (RFC 3261
    /// section 10.2.4).
    fn granted_time(&self, response: &Response) -> Duration {
        let asked = self.asked.as_ref().and_then(|asked| asked.headers.contact());
        let all: Vec<NameAddr> = response.headers.all("Contact").filter_map(|c| NameAddr::parse(c).ok()).collect();
        let own = all.iter().find(|c| asked.as_ref().is_some_and(|asked| asked.uri.is_same(&c.uri)));
        // Some write a public address in place of our private one.
        let own = own.or(if all.len() == 1 { all.first() } else { None });
        let seconds = own.and_then(|c| c.param("expires").flatten()).or_else(|| response.headers.get("Expires"));
        seconds.and_then(|s| s.trim().parse().ok()).map_or(self.expires, Duration::from_secs).min(LONGEST)
    }

    fn challenged(&mut self, now: Time, response: &Response, cnonce: &str) {
        let again = match (&self.asked, &self.account.credentials) {
            (Some(asked), Some(credentials)) if self.proofs < PROOFS => prove(asked, response, credentials, cnonce),
            (_, _) => None,
        };
        match again {
            Some(again) => {
                self.proofs += 1;
                self.cseq = again.headers.cseq.number;
                self.asked = Some(again.clone());
                self.out.push_back(Output::Send(Box::new(again)));
            }
            None => self.failed(now, Why::Credentials, Duration::ZERO),
        }
    }

    /// The registrar wants to be asked for more (RFC 3261 section 10.2.8).
    fn too_brief(&mut self, now: Time, response: &Response) {
        let least = response.headers.get("Min-Expires").and_then(|s| s.trim().parse().ok()).map(Duration::from_secs);
        match least {
            Some(least) if least > self.expires && least <= LONGEST => {
                self.expires = least;
                self.out.push_back(Output::Ask);
            }
            Some(_) | None => self.failed(now, Why::Refused(423), Duration::ZERO),
        }
    }

    fn failed(&mut self, now: Time, why: Why, at_least: Duration) {
        if self.state == State::Leaving {
            return self.left();
        }
        let first = match why {
            Why::Credentials | Why::Refused(400..=407 | 409..=499 | 600..) => REFUSED_WAIT,
            Why::NoPlace | Why::TimedOut | Why::Transport | Why::Refused(_) => FIRST_WAIT,
        };
        let most = (first * 2u32.saturating_pow(self.failures.min(16))).min(LONGEST_WAIT);
        self.failures += 1;
        // Between half of it and all of it, so that not all who failed come back at once.
        let part = self.chance.below(1000) as u32;
        let again = (most / 2 + most / 2 * part / 1000).max(at_least.min(LONGEST_WAIT));
        self.enter(State::Waiting { again: now + again });
        let still = self.until.is_some_and(|until| until > now);
        self.out.push_back(Output::Changed(Change::Failed { why, again, still }));
    }

    fn left(&mut self) {
        self.until = None;
        self.enter(State::Off);
        self.out.push_back(Output::Changed(Change::Left));
    }
}

fn retry_after(response: &Response) -> Duration {
    let said = response.headers.get("Retry-After").unwrap_or_default();
    let digits: String = said.trim().chars().take_while(char::is_ascii_digit).collect();
    Duration::from_secs(digits.parse().unwrap_or(0))
}

#[cfg(test)]
#[path = "register_tests.rs"]
mod tests;
