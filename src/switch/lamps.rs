//! Lamps and waiting messages: who subscribed to which phone, and what they are told (RFC 6665, 4235, 3842).

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    sync::Arc,
};

use super::{
    Direction,
    call::{Call, State},
    core::{ALLOW, Core, DialogKey},
    desk::Who,
    switch::Switch,
};
use crate::{
    ids::CallId,
    sip::{ClientTx, Hop, Package, Request, ServerTx, Subscription},
    time::Time,
    verbs::Failure,
};

/// Most subscriptions of one phone.
const MOST: usize = 256;
/// Most calls of a phone that a document tells of.
const MOST_SHOWN: usize = 20;

/// Who watches what.
#[derive(Default)]
pub(super) struct Lamps {
    watches: BTreeMap<DialogKey, Watch>,
    due: BTreeSet<(Time, DialogKey)>,
    /// The calls of each phone.
    calls: BTreeMap<Arc<str>, BTreeSet<CallId>>,
    /// Phones of which something may have changed.
    changed: BTreeSet<Arc<str>>,
    /// New and old messages, by phone.
    mailboxes: BTreeMap<Arc<str>, (u32, u32)>,
    notifies: BTreeMap<ClientTx, DialogKey>,
}

struct Watch {
    subscription: Subscription,
    /// The phone that watches.
    by: Arc<str>,
    /// The phone that is watched.
    of: Arc<str>,
    /// What was told last, but for its version.
    told: String,
    /// A NOTIFY is not answered yet: the next one waits for that.
    pending: bool,
}

/// What a lamp shows of one call.
struct Shown {
    id: u64,
    out: bool,
    state: &'static str,
    with: String,
    /// What another phone needs to take it, while it rings: Call-ID, the phone's tag, our tag (RFC 4235 section 4.1).
    names: Option<(String, String, String)>,
}

impl Lamps {
    pub fn timeout(&self) -> Option<Time> {
        self.due.first().map(|(at, _)| *at)
    }

    pub fn len(&self) -> usize {
        self.watches.len()
    }

    /// A call of a phone has begun.
    pub fn add(&mut self, call: &Call) {
        if let Some(user) = &call.phone {
            self.calls.entry(user.clone()).or_default().insert(call.id);
        }
    }

    /// It is gone.
    pub fn remove(&mut self, call: &Call) {
        let Some(user) = &call.phone else { return };
        if let Some(calls) = self.calls.get_mut(user) {
            calls.remove(&call.id);
            if calls.is_empty() {
                self.calls.remove(user);
            }
        }
    }

    /// The calls of a phone.
    pub fn calls_of(&self, user: &str) -> Vec<CallId> {
        self.calls.get(user).into_iter().flatten().copied().collect()
    }

    /// Something may have changed about a phone.
    pub fn touch(&mut self, user: &Arc<str>) {
        if self.watches.values().any(|watch| watch.of == *user) {
            self.changed.insert(user.clone());
        }
    }

    fn end(&mut self, key: &DialogKey) {
        if let Some(watch) = self.watches.remove(key) {
            self.due.remove(&(watch.subscription.until, key.clone()));
        }
    }

    /// The end of a NOTIFY. False: it was none.
    pub fn answered(&mut self, tx: ClientTx, code: Option<u16>) -> bool {
        let Some(key) = self.notifies.get(&tx).cloned() else { return false };
        if code.is_some_and(|code| code < 200) {
            return true;
        }
        self.notifies.remove(&tx);
        match code {
            Some(200..=299) => {
                if let Some(watch) = self.watches.get_mut(&key) {
                    watch.pending = false;
                    self.changed.insert(watch.of.clone());
                }
            }
            // Who cannot be told any more has no subscription (RFC 6665 section 4.2.2).
            Some(_) | None => self.end(&key),
        }
        true
    }
}

impl Core {
    /// A SUBSCRIBE that begins something.
    pub fn on_subscribe(&mut self, tx: ServerTx, hop: Hop, request: &Request) {
        let Some(package) = request.headers.get("Event").and_then(Package::parse) else {
            return self.answer(tx, request, 489, &[("Allow-Events", Package::ALLOWED)]);
        };
        let Some(Who::Phone(by)) = self.admit_phone(tx, hop, request) else { return };
        let wanted = request.uri.user_decoded().unwrap_or_default();
        let Some(of) = self.config.phones.called(&wanted).map(|phone| Arc::<str>::from(&*phone.credentials.user))
        else {
            return self.answer(tx, request, 404, &[]);
        };
        if package == Package::MessageSummary && of != by {
            return self.answer(tx, request, 403, &[]); // Messages are the owner's business.
        }
        let Some(until) = self.subscribed_until(tx, request) else { return };
        if self.desk.lamps.watches.values().filter(|watch| watch.by == by).count() >= MOST {
            return self.answer_later(tx, request);
        }
        let tag = self.stack.new_tag();
        match Subscription::accept(request, hop, &tag, package, until) {
            Ok(subscription) => {
                let key = (request.headers.call_id.clone(), tag);
                self.answer_subscribe(tx, request, hop, (until, &key.1));
                self.desk.lamps.due.insert((until, key.clone()));
                let watch = Watch { subscription, by, of, told: String::new(), pending: false };
                self.desk.lamps.changed.insert(watch.of.clone());
                self.desk.lamps.watches.insert(key, watch);
            }
            Err(bad) => {
                let warning = super::accept::warning(&bad.what);
                self.answer(tx, request, 400, &[("Warning", &warning)]);
            }
        }
    }

    /// A SUBSCRIBE within a dialog: on with it, or its end.
    pub fn on_resubscribe(&mut self, tx: ServerTx, hop: Hop, request: &Request) {
        let key = (request.headers.call_id.clone(), request.headers.to.tag().unwrap_or_default().to_owned());
        let known = self.desk.lamps.watches.get(&key).map(|watch| watch.subscription.dialog.remote.tag());
        if known != Some(request.headers.from.tag()) {
            return self.answer(tx, request, 481, &[]);
        }
        let Some(until) = self.subscribed_until(tx, request) else { return };
        let Some(watch) = self.desk.lamps.watches.get_mut(&key) else { return };
        let before = watch.subscription.until;
        if !watch.subscription.refresh(request, hop, until) {
            return self.answer(tx, request, 500, &[]);
        }
        watch.told.clear(); // Each SUBSCRIBE is answered with the whole state.
        self.desk.lamps.changed.insert(watch.of.clone());
        self.desk.lamps.due.remove(&(before, key.clone()));
        self.desk.lamps.due.insert((until, key.clone()));
        self.answer_subscribe(tx, request, hop, (until, &key.1));
    }

    /// When the subscription ends that is asked for; none where that was too soon, and told.
    fn subscribed_until(&mut self, tx: ServerTx, request: &Request) -> Option<Time> {
        let (min, max) = (self.config.phones.min_expires, self.config.phones.max_expires);
        let wish = request.headers.get("Expires").and_then(|text| text.parse().ok());
        let wish = wish.map_or(max, std::time::Duration::from_secs).min(max);
        if !wish.is_zero() && wish < min {
            let least = min.as_secs().to_string();
            self.answer(tx, request, 423, &[("Min-Expires", &least)]);
            return None;
        }
        Some(self.now + wish)
    }

    fn answer_subscribe(&mut self, tx: ServerTx, request: &Request, hop: Hop, (until, tag): (Time, &str)) {
        let mut response = request.response(200, None);
        response.headers.to.set_tag(tag);
        response.headers.push("Contact", self.contact(hop).to_string());
        response.headers.push("Expires", (until - self.now).as_secs().to_string());
        response.headers.push("Allow", ALLOW);
        self.respond(tx, response);
    }

    /// Set how many messages wait for a phone.
    pub fn set_mailbox(&mut self, number: &str, new: u32, old: u32) -> Result<(), Failure> {
        let phone = self.config.phones.called(number).ok_or(Failure::Unreachable)?;
        let user: Arc<str> = phone.credentials.user.as_str().into();
        self.desk.lamps.touch(&user);
        self.desk.lamps.mailboxes.insert(user, (new, old));
        Ok(())
    }

    /// Subscriptions that have ended are told so, once.
    pub fn lamps_timeout(&mut self) {
        while let Some((_, key)) = self.desk.lamps.due.first().filter(|(at, _)| *at <= self.now).cloned() {
            self.desk.lamps.due.pop_first();
            if let Some(watch) = self.desk.lamps.watches.get_mut(&key) {
                watch.told.clear();
                self.desk.lamps.changed.insert(watch.of.clone());
            }
        }
    }

    fn account(&self, user: &str, hop: Hop) -> String {
        let number = self.config.phones.user(user).map_or(user, |phone| phone.number.as_str());
        let mut uri = self.contact(hop).uri;
        (uri.user, uri.port) = (Some(number.replace('#', "%23")), None);
        uri.params.clear();
        uri.to_string()
    }

    fn summary(&self, of: &str, account: &str) -> String {
        let (new, old) = self.desk.lamps.mailboxes.get(of).copied().unwrap_or_default();
        let waiting = if new > 0 { "yes" } else { "no" };
        format!("Messages-Waiting: {waiting}\r\nMessage-Account: {account}\r\nVoice-Message: {new}/{old} (0/0)\r\n")
    }
}

impl Switch {
    /// Tell who watches a phone of which something changed. True: somebody was told.
    pub(super) fn tell_lamps(&mut self) -> bool {
        let Some(of) = self.core.desk.lamps.changed.pop_first() else { return false };
        let calls = self.shown(&of);
        let watches = self.core.desk.lamps.watches.iter();
        let keys: Vec<DialogKey> = watches.filter(|(_, watch)| watch.of == of).map(|(key, _)| key.clone()).collect();
        for key in keys {
            self.core.tell_watch(&key, &calls);
        }
        true
    }

    /// The calls of a phone, as its lamp shows them.
    fn shown(&self, of: &Arc<str>) -> Vec<Shown> {
        let calls = self.core.desk.lamps.calls.get(of).into_iter().flatten();
        let calls = calls.filter_map(|id| self.calls.get(id)).filter(|call| call.over.is_none());
        calls.take(MOST_SHOWN).map(|call| call.shown()).collect()
    }
}

impl Core {
    fn tell_watch(&mut self, key: &DialogKey, calls: &[Shown]) {
        let Some(watch) = self.desk.lamps.watches.get(key) else { return };
        if watch.pending {
            return; // Its answer brings us back here.
        }
        let hop = watch.subscription.dialog.hop;
        let (of, over) = (watch.of.clone(), watch.subscription.until <= self.now);
        let account = self.account(&of, hop);
        let body = match watch.subscription.package {
            Package::Dialog => document(calls, &account, watch.subscription.version),
            Package::MessageSummary => self.summary(&of, &account),
        };
        let plain = match watch.subscription.package {
            Package::Dialog => document(calls, &account, 0),
            Package::MessageSummary => body.clone(),
        };
        let (contact, now) = (self.contact(hop), self.now);
        let way = self.in_dialog(&watch.subscription.dialog);
        let Some(watch) = self.desk.lamps.watches.get_mut(key) else { return };
        if watch.told == plain {
            return;
        }
        (watch.told, watch.pending) = (plain, true);
        let notify = watch.subscription.notify(now, &contact, body);
        let tx = self.stack.request(now, notify, way);
        if over {
            return self.desk.lamps.end(key);
        }
        self.desk.lamps.notifies.insert(tx, key.clone());
    }
}

impl Call {
    fn shown(&self) -> Shown {
        let state = match &self.state {
            State::Accepting(_) | State::Talking { .. } => "confirmed",
            State::Incoming(_) | State::Locating(_) | State::Inviting(_) => "early",
            State::Gone => "terminated",
        };
        // What comes in from the phone is what the phone makes.
        let out = self.about.direction == Direction::Inbound;
        let with = if out { &self.about.to } else { &self.about.from };
        Shown { id: self.id.0, out, state, with: with.clone(), names: self.names_while_ringing() }
    }

    /// The dialog that rings the phone. Those of calls in progress are not told: whoever knows them can take the call.
    fn names_while_ringing(&self) -> Option<(String, String, String)> {
        let State::Inviting(inviting) = &self.state else { return None };
        let theirs = inviting.earlies.iter().find_map(|early| early.dialog.remote.tag())?;
        Some((self.key.0.clone(), theirs.to_owned(), self.key.1.clone()))
    }
}

/// What a phone is doing (RFC 4235 section 4).
fn document(calls: &[Shown], account: &str, version: u32) -> String {
    let mut out = format!(
        "<?xml version=\"1.0\"?>\r\n<dialog-info xmlns=\"urn:ietf:params:xml:ns:dialog-info\" version=\"{version}\" \
         state=\"full\" entity=\"{}\">\r\n",
        escaped(account)
    );
    for Shown { id, out: made, state, with, names } in calls {
        let direction = if *made { "initiator" } else { "recipient" };
        let names = names.as_ref().map_or_else(String::new, |(call_id, theirs, ours)| {
            let [call_id, theirs, ours] = [call_id, theirs, ours].map(|name| escaped(name));
            format!(" call-id=\"{call_id}\" local-tag=\"{theirs}\" remote-tag=\"{ours}\"")
        });
        write!(
            out,
            "<dialog id=\"{id}\"{names} direction=\"{direction}\"><state>{state}</state><remote><identity>{}</identity>\
             </remote></dialog>\r\n",
            escaped(with)
        )
        .expect("a String takes everything");
    }
    out.push_str("</dialog-info>\r\n");
    out
}

/// Text as XML can hold it.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.chars().filter(|c| !c.is_control()) {
        match char {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            _ => out.push(char),
        }
    }
    out
}
