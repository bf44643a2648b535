//! Where phones are: the bindings that REGISTER makes (RFC 3261 section 10, Path: RFC 3327, Outbound: RFC 5626). Plain
//! data and one rule book: who may register is decided elsewhere.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use serde::Serialize;

use crate::{
    sip::{Hop, NameAddr, Request, Uri},
    time::Time,
};

/// Longest Contact that is kept, in bytes.
const LONGEST_CONTACT: usize = 1024;
/// Most hops of a Path.
const MOST_PATH: usize = 8;
/// Where a phone that asks for keep-alives learns how often (RFC 5626 section 4.4), in seconds.
pub const FLOW_TIMER: &str = "120";

/// One place where a phone is reached, until `until`. May be written down and read back as it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Binding {
    /// Its Contact, with the parameters that it came with but for `expires`.
    pub contact: NameAddr,
    /// The way that its REGISTER came by, which is the way back, NAT or not. Absent: that connection broke.
    pub hop: Option<Hop>,
    /// The proxies on the way to it, nearest to us first.
    pub path: Vec<String>,
    /// Of its REGISTERs.
    pub call_id: String,
    /// Of its newest REGISTER.
    pub cseq: u32,
    /// When it is gone.
    pub until: Time,
    /// Value of `+sip.instance`: which phone it is, wherever it is.
    pub instance: Option<String>,
    /// Which of the phone's flows it is (RFC 5626); with it, the binding ends with its connection.
    pub reg_id: Option<u32>,
    /// User-Agent, at most 100 characters.
    pub agent: String,
    /// It did not answer our last keep-alive.
    pub silent: bool,
}

impl Binding {
    /// How an INVITE gets there.
    pub fn reach(&self) -> Reach {
        Reach { uri: self.contact.uri.clone(), hop: self.hop, route: self.path.clone() }
    }

    /// The same place: the same flow of the same phone, else the same address.
    fn is(&self, other: &Binding) -> bool {
        match (&self.instance, &other.instance) {
            (Some(a), Some(b)) => a == b && self.reg_id == other.reg_id,
            (Some(_) | None, None) | (None, Some(_)) => self.contact.uri.is_same(&other.contact.uri),
        }
    }
}

/// How a request gets to a phone.
#[derive(Clone, Debug, PartialEq)]
pub struct Reach {
    /// The Request-URI.
    pub uri: Uri,
    /// The way that the phone registered by.
    pub hop: Option<Hop>,
    /// Values of Route.
    pub route: Vec<String>,
}

/// What the operator allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Shortest time; a shorter wish gets 423.
    pub min: Duration,
    /// Longest time; a longer wish, or none, gets this.
    pub max: Duration,
    /// Contacts of this phone; beyond, the oldest is forgotten.
    pub contacts: usize,
}

/// Why a REGISTER was not done. Nothing has changed then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// 400.
    Malformed(&'static str),
    /// 423, with Min-Expires.
    TooBrief,
    /// 439: between us and the phone is a proxy that does not know Outbound.
    FirstHopLacksOutbound,
    /// 500: older than what we have.
    OutOfOrder,
}

/// Why a phone is no longer where it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Gone {
    /// It said so.
    Left,
    /// It did not say in time that it is still there.
    Expired,
    /// Its connection broke.
    ConnectionLost,
    /// It is at another place now, or another place of its user's took its room.
    Replaced,
}

/// A place where a phone was not before, or is no more.
#[derive(Clone, Debug, PartialEq)]
pub enum News {
    /// It is there.
    Came(Box<Binding>),
    /// It is not any more.
    Went(Box<Binding>, Gone),
}

/// All bindings, by the user that they are of.
#[derive(Debug, Default)]
pub struct Registrar {
    bindings: BTreeMap<String, Vec<Binding>>,
    due: BTreeSet<(Time, String)>,
    /// Users whose bindings are not what they were when somebody looked last.
    changed: BTreeSet<String>,
    /// What nobody has looked at yet.
    news: VecDeque<(String, News)>,
}

impl Registrar {
    /// What is registered for `user`, the newest last.
    pub fn of(&self, user: &str) -> &[Binding] {
        self.bindings.get(user).map_or(&[], Vec::as_slice)
    }

    /// All there are, by user.
    pub fn all(&self) -> impl Iterator<Item = (&str, &Binding)> {
        self.bindings.iter().flat_map(|(user, all)| all.iter().map(|one| (user.as_str(), one)))
    }

    /// Puts `bindings` in the place of what `user` had; for who kept them over a restart.
    pub fn set(&mut self, user: &str, bindings: Vec<Binding>) {
        for old in self.bindings.remove(user).into_iter().flatten() {
            self.due.remove(&(old.until, user.to_owned()));
        }
        self.due.extend(bindings.iter().map(|one| (one.until, user.to_owned())));
        if !bindings.is_empty() {
            self.bindings.insert(user.to_owned(), bindings);
        }
        self.changed.insert(user.to_owned());
    }

    /// As [`Registrar::set`]; who came and went is news.
    fn change(&mut self, user: &str, bindings: Vec<Binding>, why: Gone) {
        let there = |all: &[Binding], one: &Binding| all.iter().any(|other| other.contact.uri == one.contact.uri);
        let old = self.of(user).to_vec();
        for one in old.iter().filter(|one| !there(&bindings, one)) {
            let why = if bindings.iter().any(|other| other.is(one)) { Gone::Replaced } else { why };
            self.news.push_back((user.to_owned(), News::Went(Box::new(one.clone()), why)));
        }
        for one in bindings.iter().filter(|one| !there(&old, one)) {
            self.news.push_back((user.to_owned(), News::Came(Box::new(one.clone()))));
        }
        self.set(user, bindings);
    }

    /// The next place where a phone came or went, by its user.
    pub fn take_news(&mut self) -> Option<(String, News)> {
        self.news.pop_front()
    }

    /// A user whose bindings changed since they were asked for last, and what they are now.
    pub fn take_changed(&mut self) -> Option<(String, Vec<Binding>)> {
        let user = self.changed.pop_first()?;
        let bindings = self.of(&user).to_vec();
        Some((user, bindings))
    }

    /// Does what a REGISTER of `user`, which came over `hop`, asks for; all of it or nothing. True: it made a flow of
    /// RFC 5626.
    pub fn register(
        &mut self,
        now: Time,
        terms: Terms,
        user: &str,
        request: &Request,
        hop: Hop,
    ) -> Result<bool, Refusal> {
        let headers = &request.headers;
        let contacts: Vec<&str> = headers.all("Contact").collect();
        if contacts.is_empty() {
            return Ok(false); // A question, no wish.
        }
        let expires = match headers.get("Expires") {
            None => None,
            Some(text) => Some(seconds(text).ok_or(Refusal::Malformed("Expires"))?),
        };
        let mut bindings = self.of(user).to_vec();
        let (call_id, cseq) = (&headers.call_id, headers.cseq.number);
        let newer = |old: &Binding| old.call_id != *call_id || old.cseq < cseq;
        if contacts.contains(&"*") {
            if contacts.len() > 1 || expires != Some(0) {
                return Err(Refusal::Malformed("Contact: * stands alone, with Expires: 0"));
            }
            if !bindings.iter().all(newer) {
                return Err(Refusal::OutOfOrder);
            }
            self.change(user, Vec::new(), Gone::Left);
            return Ok(false);
        }
        let mut flow = false;
        for contact in contacts {
            let (binding, lasts) = read(now, terms, request, hop, (contact, expires))?;
            flow |= binding.reg_id.is_some();
            let old = bindings.iter().position(|old| old.is(&binding));
            if let Some(old) = old {
                if !newer(&bindings[old]) {
                    return Err(Refusal::OutOfOrder);
                }
                bindings.remove(old);
            }
            if lasts {
                bindings.push(binding);
            }
        }
        let beyond = bindings.len().saturating_sub(terms.contacts.max(1));
        bindings.drain(..beyond);
        self.change(user, bindings, if beyond > 0 { Gone::Replaced } else { Gone::Left });
        Ok(flow)
    }

    /// A connection broke: flows of Outbound end with it; other phones are still called at the address they told.
    /// Gives back the users who lost a binding.
    pub fn handle_broken(&mut self, hop: Hop) -> Vec<String> {
        if !hop.transport.is_reliable() {
            return Vec::new(); // What ICMP says of a phone is anybody's word.
        }
        let touched = self.bindings.iter().filter(|(_, all)| all.iter().any(|one| one.hop == Some(hop)));
        let users: Vec<String> = touched.map(|(user, _)| user.clone()).collect();
        for user in &users {
            let mut bindings = self.of(user).to_vec();
            bindings.retain(|one| one.hop != Some(hop) || (one.reg_id.is_none() && hop.transport.can_connect()));
            for one in bindings.iter_mut().filter(|one| one.hop == Some(hop)) {
                one.hop = None;
            }
            self.change(user, bindings, Gone::ConnectionLost);
        }
        users
    }

    /// Notes whether a phone answers.
    pub fn note_silence(&mut self, user: &str, contact: &Uri, silent: bool) {
        let all = self.bindings.get_mut(user).into_iter().flatten();
        all.filter(|one| one.contact.uri == *contact).for_each(|one| one.silent = silent);
    }

    /// When the next binding ends.
    pub fn timeout(&self) -> Option<Time> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Forgets what is over. Gives back the users who lost a binding.
    pub fn handle_timeout(&mut self, now: Time) -> Vec<String> {
        let mut users = Vec::new();
        while let Some((_, user)) = self.due.first().filter(|(at, _)| *at <= now).cloned() {
            let left = self.of(&user).iter().filter(|one| one.until > now).cloned().collect();
            self.change(&user, left, Gone::Expired);
            users.push(user);
        }
        users
    }
}

/// The binding that one Contact asks for, and whether it is to last.
fn read(
    now: Time,
    terms: Terms,
    request: &Request,
    hop: Hop,
    (contact, expires): (&str, Option<u64>),
) -> Result<(Binding, bool), Refusal> {
    let headers = &request.headers;
    let mut contact = NameAddr::parse(contact).map_err(|_| Refusal::Malformed("Contact"))?;
    if !contact.uri.is_sip() || contact.to_string().len() > LONGEST_CONTACT {
        return Err(Refusal::Malformed("Contact"));
    }
    // A parameter that cannot be read counts as the header's, or as none (section 10.2.1.1).
    let wish = contact.param("expires").flatten().and_then(seconds).or(expires);
    let lasts = wish != Some(0);
    let wish = wish.map_or(terms.max, Duration::from_secs);
    if lasts && wish < terms.min {
        return Err(Refusal::TooBrief);
    }
    contact.params.retain(|(name, _)| !name.eq_ignore_ascii_case("expires"));
    let path: Vec<String> = headers.all("Path").map(str::to_owned).collect();
    if path.len() > MOST_PATH || path.iter().any(|one| NameAddr::parse(one).is_err()) {
        return Err(Refusal::Malformed("Path"));
    }
    let instance = contact.param("+sip.instance").flatten().map(str::to_owned);
    let outbound = headers.all("Supported").chain(headers.all("Require")).any(|o| o.eq_ignore_ascii_case("outbound"));
    let reg_id = contact.param("reg-id").flatten().and_then(|id| id.parse().ok()).filter(|id| *id > 0);
    // Over UDP a flow would have to be kept open by STUN, which we do not speak: that is an ordinary binding.
    let reg_id: Option<u32> = reg_id.filter(|_| outbound && instance.is_some() && hop.transport.is_reliable());
    if reg_id.is_some() && headers.via.len() > 1 && !path.last().is_some_and(|edge| knows_outbound(edge)) {
        return Err(Refusal::FirstHopLacksOutbound);
    }
    let binding = Binding {
        hop: Some(hop),
        path,
        call_id: headers.call_id.clone(),
        cseq: headers.cseq.number,
        until: now + wish.min(terms.max),
        instance,
        reg_id,
        agent: headers.get("User-Agent").unwrap_or_default().chars().take(100).collect(),
        silent: false,
        contact,
    };
    Ok((binding, lasts))
}

/// The phone's first proxy keeps its flow (RFC 5626 section 5.1). It stands last, as each proxy puts itself in front.
fn knows_outbound(edge: &str) -> bool {
    NameAddr::parse(edge).is_ok_and(|edge| edge.uri.param("ob").is_some())
}

/// Seconds; more than 32 bits can hold count as that (section 20.19).
fn seconds(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().map_or(u64::from(u32::MAX), |all: u64| all.min(u64::from(u32::MAX))))
}
