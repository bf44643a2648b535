//! The desk: who phones are, where they are, and how to ring them.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use super::{
    Config,
    call::Call,
    core::Core,
    guard::Offence,
    lamps::Lamps,
    outbound::Plan,
    phones::Phones,
    registrar::{FLOW_TIMER, Reach, Refusal, Registrar, Terms},
    route::{self, Service},
    switch::Switch,
    telephone,
};
use crate::{
    ids::CallId,
    sip::{
        CSeq, ClientTx, Headers, Hop, Method, NameAddr, Request, ServerTx, Transport, Uri,
        auth::{Asked, Realm, Verdict, claim},
    },
    time::Time,
    verbs::Failure,
};

/// Most keep-alives that are sent at once; the others follow in the next second, so that they do not come in a swarm.
const PINGS_AT_ONCE: usize = 200;

/// What the desk remembers.
pub(super) struct Desk {
    pub registrar: Registrar,
    pub lamps: Lamps,
    /// Who was parked where; some may have left.
    pub slots: BTreeMap<String, CallId>,
    realm: Realm,
    /// Keep-alives that are not answered yet: whose, and at which address.
    pings: BTreeMap<ClientTx, (String, Uri)>,
    /// Who is to be asked next, and when.
    next_ping: Option<Time>,
    to_ping: Vec<(String, Reach)>,
}

/// Who sent a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Who {
    /// A phone of ours, proven by its password.
    Phone(Arc<str>),
    /// A carrier, proven by its password.
    Trunk(Arc<str>),
    /// Anybody.
    Guest,
}

impl Who {
    /// The user of the phone.
    pub fn phone(&self) -> Option<Arc<str>> {
        match self {
            Who::Phone(user) => Some(user.clone()),
            Who::Trunk(_) | Who::Guest => None,
        }
    }

    /// Somebody who proved nothing.
    pub fn is_guest(&self) -> bool {
        matches!(self, Who::Guest)
    }

    /// The name of the carrier.
    pub fn trunk(&self) -> Option<&str> {
        match self {
            Who::Trunk(name) => Some(name),
            Who::Phone(_) | Who::Guest => None,
        }
    }
}

impl Desk {
    pub fn new(config: &Config) -> Desk {
        Desk {
            registrar: Registrar::default(),
            lamps: Lamps::default(),
            slots: BTreeMap::new(),
            realm: realm(&config.phones),
            pings: BTreeMap::new(),
            next_ping: None,
            to_ping: Vec::new(),
        }
    }

    /// The phones are others now: who is none any more is forgotten, and passwords are asked for anew.
    pub fn configure(&mut self, phones: &Phones) {
        self.realm = realm(phones);
        let gone = self.registrar.all().filter(|(user, _)| phones.user(user).is_none());
        for user in gone.map(|(user, _)| user.to_owned()).collect::<Vec<_>>() {
            self.registrar.set(&user, Vec::new());
        }
    }

    pub fn timeout(&self) -> Option<Time> {
        Time::soonest(self.lamps.timeout(), Time::soonest(self.registrar.timeout(), self.next_ping))
    }
}

fn realm(phones: &Phones) -> Realm {
    let mut realm = Realm::new(phones.realm.clone(), phones.key.0);
    realm.set_algorithms(phones.algorithms.clone());
    realm
}

impl Core {
    /// Who sent `request`, which begins something. None: he is asked for his password, or turned away.
    pub fn admit(&mut self, tx: ServerTx, hop: Hop, request: &Request) -> Option<Who> {
        let proving = self.config.trunking.trunks.iter().any(|trunk| trunk.proves);
        if self.config.phones.is_empty() && !proving {
            return Some(Who::Guest);
        }
        match self.check(hop, request, true) {
            Some(Verdict::Good) => {
                let user = self.claimed(request)?;
                let trunk = self.config.trunking.by_user(&user).filter(|_| self.config.phones.user(&user).is_none());
                Some(trunk.map_or_else(|| Who::Phone(user.as_str().into()), |trunk| Who::Trunk(trunk.name.clone())))
            }
            // A carrier that proves itself waits for the challenge: nobody can be told from it before.
            None if self.config.phones.guests && !proving && !self.says_to_be_ours(request) => Some(Who::Guest),
            None => {
                self.offence(hop, Offence::Challenged);
                self.challenge(tx, request, false)
            }
            Some(Verdict::Stale | Verdict::Replayed) => self.challenge(tx, request, true),
            // Unknown users and wrong passwords look the same from outside.
            Some(Verdict::Wrong | Verdict::Malformed) => self.challenge(tx, request, false),
        }
    }

    /// The password of `request`, be it a phone's or, with `trunks`, a carrier's; none where it brings none for our
    /// realm.
    fn check(&mut self, hop: Hop, request: &Request, trunks: bool) -> Option<Verdict> {
        let header = answer(request, self.desk.realm.name())?.to_owned();
        let user = claim(&header).map(|claim| claim.user)?;
        let known = self.config.phones.user(&user).map(|phone| &phone.credentials);
        let carrier = self.config.trunking.by_user(&user).filter(|_| trunks);
        let known = known.or(carrier.and_then(|trunk| trunk.credentials.as_ref()));
        let uri = request.uri.to_string();
        let method = request.headers.cseq.method.to_string();
        let asked = Asked { method: &method, uri: &uri, body: &request.body };
        let verdict = self.desk.realm.check(self.now, &header, known, &asked);
        if matches!(verdict, Verdict::Wrong | Verdict::Malformed) {
            let user: String = user.chars().take(64).collect();
            tracing::warn!(source = %hop.remote, user, method, ?verdict, "wrong password or unknown user");
            self.offence(hop, Offence::FailedAuth);
        } else if verdict == Verdict::Good {
            self.guard.forgive(hop.remote.ip());
        }
        Some(verdict)
    }

    fn claimed(&self, request: &Request) -> Option<String> {
        answer(request, self.desk.realm.name()).and_then(claim).map(|claim| claim.user)
    }

    fn challenge(&mut self, tx: ServerTx, request: &Request, stale: bool) -> Option<Who> {
        let challenges = self.desk.realm.challenge(self.now, stale);
        let fields: Vec<(&str, &str)> = challenges.iter().map(|one| ("WWW-Authenticate", one.as_str())).collect();
        self.answer(tx, request, 401, &fields);
        None
    }

    /// From names our realm or an address of ours: who says so must prove it, whether there is such a phone or not.
    fn says_to_be_ours(&self, request: &Request) -> bool {
        self.is_ours(&request.headers.from.uri)
    }

    /// Where the address that a party of ours gives leads: one with our own host and port names a phone or a number, as if
    /// it had been dialled.
    pub fn plan_of(&mut self, uri: &Uri) -> Result<Plan, Failure> {
        let user = uri.user_decoded().filter(|_| uri.is_sip() && self.is_ours(uri) && self.is_own_port(uri));
        match user {
            Some(number) => self.plans(&number)?.into_iter().next().ok_or(Failure::Unreachable),
            None => self.plan(&uri.to_string()),
        }
    }

    fn is_ours(&self, uri: &Uri) -> bool {
        let host = &uri.host;
        let bare: Option<IpAddr> = host.trim_matches(['[', ']']).parse().ok();
        let own = |ip| self.config.sip.interfaces.iter().any(|i| i.advertised.ip() == ip);
        host.eq_ignore_ascii_case(self.desk.realm.name()) || bare.is_some_and(own)
    }

    fn is_own_port(&self, uri: &Uri) -> bool {
        let mut own = self.config.sip.interfaces.iter();
        uri.port.is_none() || own.any(|i| [Some(i.advertised.port()), i.tls, i.ws, i.wss].contains(&uri.port))
    }

    /// REGISTER (RFC 3261 section 10.3).
    pub fn on_register(&mut self, tx: ServerTx, hop: Hop, request: &Request) {
        let Some(Who::Phone(user)) = self.admit_phone(tx, hop, request) else { return };
        let Some(phone) = self.config.phones.user(&user) else { return };
        let wanted = request.headers.to.uri.user_decoded().unwrap_or_default();
        if wanted != *user && wanted != phone.number {
            tracing::warn!(source = %hop.remote, phone = &*user, wanted, "may not register for another");
            return self.answer(tx, request, 403, &[]);
        }
        let (min, max) = (self.config.phones.min_expires, self.config.phones.max_expires);
        let terms = Terms { min, max, contacts: phone.max_contacts };
        match self.desk.registrar.register(self.now, terms, &user, request, hop) {
            Ok(flow) => {
                let contacts = self.desk.registrar.of(&user).len();
                tracing::info!(phone = &*user, source = %hop.remote, contacts, "registered");
                self.answer_register(tx, request, &user, flow);
                self.schedule_pings();
            }
            Err(refusal) => self.refuse_register(tx, request, refusal),
        }
    }

    /// Like [`Core::admit`], but guests are no phones.
    pub fn admit_phone(&mut self, tx: ServerTx, hop: Hop, request: &Request) -> Option<Who> {
        match self.check(hop, request, false) {
            Some(Verdict::Good) => Some(Who::Phone(self.claimed(request)?.into())),
            Some(Verdict::Stale | Verdict::Replayed) => self.challenge(tx, request, true),
            None => {
                self.offence(hop, Offence::Challenged);
                self.challenge(tx, request, false)
            }
            Some(Verdict::Wrong | Verdict::Malformed) => self.challenge(tx, request, false),
        }
    }

    fn answer_register(&mut self, tx: ServerTx, request: &Request, user: &str, flow: bool) {
        let mut response = request.response(200, None);
        for binding in self.desk.registrar.of(user) {
            let mut contact = binding.contact.clone();
            contact.set_param("expires", Some(&(binding.until - self.now).as_secs().to_string()));
            response.headers.push("Contact", contact.to_string());
        }
        for path in request.headers.all("Path") {
            response.headers.push("Path", path);
        }
        if flow {
            response.headers.push("Require", "outbound");
            response.headers.push("Flow-Timer", FLOW_TIMER);
        }
        self.respond(tx, response);
    }

    fn refuse_register(&mut self, tx: ServerTx, request: &Request, refusal: Refusal) {
        match refusal {
            Refusal::Malformed(what) => {
                let warning = super::accept::warning(&format!("improper {what}"));
                self.answer(tx, request, 400, &[("Warning", &warning)]);
            }
            Refusal::TooBrief => {
                let least = self.config.phones.min_expires.as_secs().to_string();
                self.answer(tx, request, 423, &[("Min-Expires", &least)]);
            }
            Refusal::FirstHopLacksOutbound => {
                let response = request.response(439, Some("First Hop Lacks Outbound Support"));
                self.respond(tx, response);
            }
            Refusal::OutOfOrder => self.answer(tx, request, 500, &[]),
        }
    }

    /// Where `target` leads: to each device of the phone that it names, else where [`Core::plan`] says.
    pub fn plans(&mut self, target: &str) -> Result<Vec<Plan>, Failure> {
        let named = if target.contains(':') { None } else { self.config.phones.called(target) };
        let Some(phone) = named else { return self.plan(target).map(|plan| vec![plan]) };
        let user: Arc<str> = phone.credentials.user.as_str().into();
        let bindings = self.desk.registrar.of(&user).iter();
        let plans: Vec<Plan> = bindings.map(|binding| Plan::to_phone(user.clone(), binding.reach())).collect();
        if plans.is_empty() { Err(Failure::Unreachable) } else { Ok(plans) }
    }

    /// What answers a call to `number`: a route for just this number, else the script of the phone with this number,
    /// else a route for numbers like it.
    pub fn service_for(&self, number: &str) -> Option<Service> {
        let route = route::find(&self.config.routes, number);
        let exact = route.is_some_and(|route| route.number.is_exact());
        let mut ways = telephone::ways(number).into_iter();
        let phone = ways.find_map(|way| self.config.phones.called(&way)).filter(|_| !exact);
        match (phone, &self.config.phones.script) {
            (Some(phone), Some(script)) => {
                let vars = vec![("phone".to_owned(), phone.number.clone())];
                Some(Service::Script { script: script.clone(), vars })
            }
            (Some(_) | None, _) => route.map(|route| route.service.clone()),
        }
    }

    pub fn schedule_pings(&mut self) {
        if let Some(gap) = self.config.phones.keep_alive
            && self.desk.next_ping.is_none()
        {
            self.desk.next_ping = Some(self.now + gap);
        }
    }

    /// What is due at the desk.
    pub fn desk_timeout(&mut self) {
        for user in self.desk.registrar.handle_timeout(self.now) {
            tracing::info!(phone = user, contacts = self.desk.registrar.of(&user).len(), "registration ended");
        }
        self.lamps_timeout();
        if self.desk.next_ping.is_some_and(|at| at <= self.now) {
            self.ping();
        }
    }

    /// Keep the NAT open between us and the phones on UDP, and see who is still there. Connections keep themselves
    /// open (RFC 5626 section 3.5).
    fn ping(&mut self) {
        if self.desk.to_ping.is_empty() {
            let on_udp = |hop: Option<Hop>| hop.is_some_and(|hop| hop.transport == Transport::Udp);
            // Who still owes an answer is not asked again: the older question would be answered last.
            let waiting: BTreeSet<String> =
                self.desk.pings.values().map(|(user, uri)| format!("{user} {uri}")).collect();
            let owes = |user: &str, uri: &Uri| waiting.contains(&format!("{user} {uri}"));
            let all = self.desk.registrar.all().filter(|(_, binding)| on_udp(binding.hop));
            let all = all.filter(|(user, binding)| !owes(user, &binding.contact.uri));
            self.desk.to_ping = all.map(|(user, binding)| (user.to_owned(), binding.reach())).collect();
        }
        let now = self.desk.to_ping.len().saturating_sub(PINGS_AT_ONCE);
        for (user, reach) in self.desk.to_ping.split_off(now) {
            let Some(hop) = reach.hop else { continue };
            let contact = reach.uri.clone();
            let options = self.out_of_dialog(Method::Options, &reach, hop);
            let tx = self.stack.request(self.now, options, hop);
            self.desk.pings.insert(tx, (user, contact));
        }
        let more = !self.desk.to_ping.is_empty();
        let gap = if more { Some(std::time::Duration::from_secs(1)) } else { self.config.phones.keep_alive };
        let anybody = self.desk.registrar.all().next().is_some();
        self.desk.next_ping = gap.filter(|_| anybody).map(|gap| self.now + gap);
    }

    /// A request of ours to a phone, outside of any dialog.
    pub fn out_of_dialog(&mut self, method: Method, reach: &Reach, hop: Hop) -> Request {
        let mut from = self.contact(hop);
        from.uri.params.clear();
        from.uri.port = None;
        from.set_tag(&self.stack.new_tag());
        let to = NameAddr::new(super::target::bare(&reach.uri));
        let mut headers = Headers::new(from, to, self.stack.new_call_id(), CSeq { number: 1, method });
        for route in &reach.route {
            headers.push("Route", route.as_str());
        }
        Request { method, uri: reach.uri.clone(), headers, body: Default::default() }
    }

    /// The end of a request that the desk sent: an answer, or none. False: it is not the desk's.
    pub fn desk_answered(&mut self, tx: ClientTx, code: Option<u16>) -> bool {
        if self.desk.lamps.answered(tx, code) {
            return true;
        }
        let Some((user, contact)) = self.desk.pings.get(&tx).cloned() else { return false };
        if code.is_none_or(|code| code >= 200) {
            self.desk.pings.remove(&tx);
            self.desk.registrar.note_silence(&user, &contact, code.is_none());
        }
        true
    }
}

/// The answer to a challenge of `realm`.
fn answer<'a>(request: &'a Request, realm: &str) -> Option<&'a str> {
    let headers = &request.headers;
    let mut all = headers.all("Authorization").chain(headers.all("Proxy-Authorization"));
    all.find(|one| claim(one).is_some_and(|claim| claim.realm == realm))
}

impl Call {
    /// Who calls is a phone of ours: its number is the caller's, whatever it says.
    pub fn take_phone(&mut self, core: &Core, user: Option<Arc<str>>) {
        self.phone = user;
        if let Some(phone) = self.phone.as_deref().and_then(|user| core.config.phones.user(user)) {
            self.about.from.clone_from(&phone.number);
            if let Some(caller) = &mut self.caller {
                caller.number.clone_from(&phone.number);
            }
        }
    }
}

impl Switch {
    /// Nothing can be sent over `hop` any more.
    pub(super) fn desk_lost(&mut self, hop: Hop) {
        for user in self.core.desk.registrar.handle_broken(hop) {
            let contacts = self.core.desk.registrar.of(&user).len();
            tracing::info!(phone = user, %hop.remote, contacts, "connection of a phone broke");
        }
    }
}
