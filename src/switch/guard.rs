//! Who may talk to us, and how much: access lists, a rate for each source, and bans for those who do harm.
//!
//! ```text
//! unknown ──offences──▶ suspected ──too many in the window──▶ banned ──time──▶ suspected (the next ban is twice as long)
//! ```
//!
//! A source is an IPv4 address, or the /64 of an IPv6 address, which is what one customer has. Each offence adds points,
//! and points are forgotten at a steady rate. Both tables have a limit: the source that was silent for longest is
//! forgotten first, and the ban that ends soonest is lifted first.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv6Addr},
    time::Duration,
};

use super::network::Network;
use crate::{ids::InterfaceId, time::Time};

/// Points of a plain offence; `ban_after` counts those.
const PLAIN: f64 = 10.0;
/// A source moves to the front of those that are remembered at most so often: it saves work in a flood.
const FRESH: Duration = Duration::from_secs(1);
/// How often a ban of the same source may have doubled.
const DOUBLINGS: u32 = 16;

/// What is allowed.
#[derive(Clone, Debug, PartialEq)]
pub struct GuardConfig {
    /// Never limited and never banned.
    pub trusted: Vec<Network>,
    /// Who may talk to an interface at all, by [`InterfaceId`]; absent: everybody.
    pub access: Vec<Access>,
    /// Requests a second of one source, outside the calls that it has with us; 0: any number.
    pub rate: u32,
    /// How many may come at once.
    pub burst: u32,
    /// Plain offences within `window` that bring a ban; 0: nobody is banned.
    pub ban_after: u32,
    /// How long it takes until so many offences are forgotten.
    pub window: Duration,
    /// The first ban of a source; each further one is twice as long.
    pub ban: Duration,
    /// The longest ban.
    pub ban_max: Duration,
    /// Parts of the User-Agent of tools that only attackers have, in lower case: banned at once.
    pub scanners: Vec<String>,
    /// Sources that are remembered, and as many bans.
    pub max_sources: usize,
    /// New calls and messages get 503 where those that come keep waiting for longer than this to be looked at; zero: never.
    pub shed_after: Duration,
    /// So many of them a second get that answer, those beyond get none; 0: each does.
    pub shed_answers: u32,
}

impl Default for GuardConfig {
    fn default() -> GuardConfig {
        GuardConfig {
            trusted: Network::LOOPBACK.to_vec(),
            access: Vec::new(),
            rate: 50,
            burst: 200,
            ban_after: 10,
            window: Duration::from_secs(60),
            ban: Duration::from_secs(300),
            ban_max: Duration::from_secs(86_400),
            scanners: ["friendly-scanner", "sipvicious", "sundayddr", "sipcli", "pplsip"].map(String::from).to_vec(),
            max_sources: 10_000,
            shed_after: Duration::from_millis(100),
            shed_answers: 1000,
        }
    }
}

/// Who may talk to an interface. What is denied is denied, also where it is allowed; `allow` empty: everybody else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// Only these.
    pub allow: Vec<Network>,
    /// Not these.
    pub deny: Vec<Network>,
}

impl Access {
    fn admits(&self, ip: IpAddr) -> bool {
        let among = |networks: &[Network]| networks.iter().any(|network| network.contains(ip));
        !among(&self.deny) && (self.allow.is_empty() || among(&self.allow))
    }
}

/// What a source did wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offence {
    /// A message that cannot be read.
    Malformed,
    /// A call to a number that nobody answers, from somebody whom we do not know.
    UnknownNumber,
    /// A wrong password, or an unknown user.
    FailedAuth,
    /// A request in a dialog that there is not.
    NoSuchDialog,
    /// A method that we do not serve.
    NotServed,
    /// Asked for a password. One who knows it has this offence taken back by [`Guard::forgive`].
    Challenged,
    /// Above the rate.
    TooFast,
    /// The tool names itself.
    Scanner,
}

impl Offence {
    /// For log lines.
    pub const fn as_str(self) -> &'static str {
        match self {
            Offence::Malformed => "malformed messages",
            Offence::UnknownNumber => "unknown numbers",
            Offence::FailedAuth => "failed authentication",
            Offence::NoSuchDialog => "requests in no dialog",
            Offence::NotServed => "methods that are not served",
            Offence::Challenged => "unanswered challenges",
            Offence::TooFast => "too many requests",
            Offence::Scanner => "a scanner's User-Agent",
        }
    }

    /// What it adds; endless: a ban at once.
    const fn points(self) -> f64 {
        match self {
            Offence::Malformed | Offence::UnknownNumber | Offence::FailedAuth | Offence::NotServed => PLAIN,
            // Late ends of calls that we forgot, such as after a restart, are honest.
            Offence::NoSuchDialog => PLAIN / 5.0,
            Offence::Challenged => PLAIN / 10.0,
            Offence::TooFast => PLAIN / 50.0,
            Offence::Scanner => f64::INFINITY,
        }
    }
}

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is taken.
    Admitted,
    /// The access list of the interface does not let it in.
    Denied,
    /// Its source is banned.
    Banned,
    /// Its source asks too often.
    TooFast,
}

/// What was kept out so far, and what is remembered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Guarded {
    /// Messages that an access list kept out.
    pub denied: u64,
    /// Messages of banned sources.
    pub banned: u64,
    /// Requests above the rate of their source.
    pub too_fast: u64,
    /// Offences.
    pub offences: u64,
    /// Bans so far.
    pub bans: u64,
    /// New calls and messages that got 503 because we are behind.
    pub shed: u64,
    /// And those that got no answer.
    pub unanswered: u64,
    /// Bans in force.
    pub in_force: usize,
    /// Sources remembered.
    pub sources: usize,
}

/// What is known of a source that is not trusted.
#[derive(Debug)]
struct Suspect {
    /// Requests that it may still make at `filled`.
    tokens: f64,
    filled: Time,
    /// Points at `scored`.
    score: f64,
    scored: Time,
    /// How often it was banned.
    bans: u32,
    /// Its place among those that are remembered.
    seen: Time,
}

#[derive(Debug)]
struct Ban {
    until: Time,
    /// Messages it kept out.
    dropped: u64,
}

/// See the module.
#[derive(Debug)]
pub struct Guard {
    config: GuardConfig,
    suspects: BTreeMap<IpAddr, Suspect>,
    /// The suspects by when they were last seen.
    order: BTreeSet<(Time, IpAddr)>,
    bans: BTreeMap<IpAddr, Ban>,
    /// The bans by when they end.
    ends: BTreeSet<(Time, IpAddr)>,
    counted: Guarded,
}

impl Guard {
    /// Knows nobody yet.
    pub fn new(config: GuardConfig) -> Guard {
        Guard {
            config,
            suspects: BTreeMap::new(),
            order: BTreeSet::new(),
            bans: BTreeMap::new(),
            ends: BTreeSet::new(),
            counted: Guarded::default(),
        }
    }

    /// What holds from now on. Bans stay, but for those who are trusted now.
    pub fn configure(&mut self, config: GuardConfig) {
        self.config = config;
        let trusted: Vec<IpAddr> = self.bans.keys().copied().filter(|ip| self.trusts(*ip)).collect();
        trusted.into_iter().for_each(|ip| self.lift(ip));
    }

    /// What holds.
    pub fn config(&self) -> &GuardConfig {
        &self.config
    }

    /// The books.
    pub fn counters(&self) -> Guarded {
        Guarded { in_force: self.bans.len(), sources: self.suspects.len(), ..self.counted }
    }

    /// True for those who are never limited and never banned.
    pub fn trusts(&self, ip: IpAddr) -> bool {
        self.config.trusted.iter().any(|network| network.contains(ip))
    }

    /// A message came from `ip`. `new`: it is a request outside the calls that we know. What belongs to a call that is
    /// there is always taken, unless an access list forbids: a ban does not cut calls.
    pub fn admit(&mut self, now: Time, interface: InterfaceId, ip: IpAddr, new: bool) -> Verdict {
        if self.config.access.get(usize::from(interface.0)).is_some_and(|access| !access.admits(ip)) {
            self.counted.denied += 1;
            return Verdict::Denied;
        }
        if !new || self.trusts(ip) {
            return Verdict::Admitted;
        }
        let source = source(ip);
        if self.is_banned(now, source) {
            self.counted.banned += 1;
            return Verdict::Banned;
        }
        if self.config.rate > 0 && !self.take(now, source) {
            self.counted.too_fast += 1;
            self.note(now, ip, Offence::TooFast);
            return Verdict::TooFast;
        }
        Verdict::Admitted
    }

    /// Somebody did wrong.
    pub fn note(&mut self, now: Time, ip: IpAddr, offence: Offence) {
        if self.config.ban_after == 0 || self.trusts(ip) {
            return;
        }
        self.counted.offences += 1;
        let source = source(ip);
        let most = f64::from(self.config.ban_after) * PLAIN;
        let per_second = most / self.config.window.as_secs_f64();
        let suspect = self.suspect(now, source);
        let forgotten = (now - suspect.scored).as_secs_f64() * per_second;
        suspect.score = (suspect.score - forgotten).max(0.0) + offence.points();
        suspect.scored = now;
        if suspect.score >= most {
            suspect.score = 0.0;
            suspect.bans += 1;
            let times = suspect.bans;
            self.ban(now, source, offence, times);
        }
    }

    /// It knew the password after all: takes back one [`Offence::Challenged`].
    pub fn forgive(&mut self, ip: IpAddr) {
        if let Some(suspect) = self.suspects.get_mut(&source(ip)) {
            suspect.score = (suspect.score - Offence::Challenged.points()).max(0.0);
        }
    }

    /// A new call or message got 503 because we are behind.
    pub(super) fn count_shed(&mut self) {
        self.counted.shed += 1;
    }

    /// One got no answer: saying so to each was too much, too.
    pub(super) fn count_unanswered(&mut self) {
        self.counted.unanswered += 1;
    }

    fn is_banned(&mut self, now: Time, source: IpAddr) -> bool {
        let Some(ban) = self.bans.get_mut(&source) else { return false };
        if ban.until > now {
            ban.dropped += 1;
            return true;
        }
        tracing::info!(%source, dropped = ban.dropped, "ban is over");
        self.lift(source);
        false
    }

    fn ban(&mut self, now: Time, source: IpAddr, offence: Offence, times: u32) {
        let doubled = self.config.ban.saturating_mul(1 << times.saturating_sub(1).min(DOUBLINGS));
        let length = doubled.min(self.config.ban_max);
        self.lift(source);
        if self.bans.len() >= self.config.max_sources
            && let Some((_, soonest)) = self.ends.first().copied()
        {
            self.lift(soonest);
        }
        let until = now + length;
        self.bans.insert(source, Ban { until, dropped: 0 });
        self.ends.insert((until, source));
        self.counted.bans += 1;
        tracing::warn!(%source, why = offence.as_str(), seconds = length.as_secs(), times, "banned");
    }

    fn lift(&mut self, source: IpAddr) {
        if let Some(ban) = self.bans.remove(&source) {
            self.ends.remove(&(ban.until, source));
        }
    }

    /// One request of its rate.
    fn take(&mut self, now: Time, source: IpAddr) -> bool {
        let (rate, burst) = (f64::from(self.config.rate), f64::from(self.config.burst.max(1)));
        let suspect = self.suspect(now, source);
        suspect.tokens = (suspect.tokens + (now - suspect.filled).as_secs_f64() * rate).min(burst);
        suspect.filled = now;
        let enough = suspect.tokens >= 1.0;
        if enough {
            suspect.tokens -= 1.0;
        }
        enough
    }

    fn suspect(&mut self, now: Time, source: IpAddr) -> &mut Suspect {
        let known = self.suspects.get(&source).map(|suspect| suspect.seen);
        if known.is_none()
            && self.suspects.len() >= self.config.max_sources
            && let Some((_, oldest)) = self.order.pop_first()
        {
            self.suspects.remove(&oldest);
        }
        if known.is_none_or(|seen| now - seen >= FRESH) {
            known.iter().for_each(|seen| {
                self.order.remove(&(*seen, source));
            });
            self.order.insert((now, source));
        }
        let tokens = f64::from(self.config.burst.max(1));
        let fresh = || Suspect { tokens, filled: now, score: 0.0, scored: now, bans: 0, seen: now };
        let suspect = self.suspects.entry(source).or_insert_with(fresh);
        if now - suspect.seen >= FRESH {
            suspect.seen = now;
        }
        suspect
    }
}

/// Whom the address stands for.
fn source(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.into(),
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64).into(),
    }
}

#[cfg(test)]
mod tests;
