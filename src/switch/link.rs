//! What binds us to each carrier while no call does: our registration with it, and whether its targets answer.

use std::{
    collections::{BTreeMap, VecDeque},
    net::IpAddr,
    sync::Arc,
};

use super::{
    ConsoleReply, Output, TrunkNews,
    carriers::{SeatView, Trouble},
    core::Core,
    errands::Purpose,
    happened::What,
    target,
    trunk::{Condition, Due, Health, Trunk, Trunking, is_well},
};
use crate::{
    ids::QueryId,
    sip::{
        CSeq, Failure, Headers, Method, NameAddr, Request, Response, Target,
        register::{self, Register, Why},
    },
    time::Time,
};

/// All carriers' links.
#[derive(Default)]
pub(super) struct Links {
    all: BTreeMap<Arc<str>, Link>,
    seekers: BTreeMap<QueryId, Seeker>,
    /// The earliest deadline of all.
    due: Option<Time>,
}

struct Link {
    trunk: Arc<Trunk>,
    seat: Option<Seat>,
    probes: Vec<Health>,
    /// Whether the carrier keeps our registration, as was told last.
    told: Option<bool>,
}

/// Our registration.
struct Seat {
    machine: Register,
    /// Where the registrar is, the one at hand first.
    places: VecDeque<Target>,
    /// What failed last.
    trouble: Option<Trouble>,
}

/// Who waits for a name.
#[derive(Clone)]
enum Seeker {
    Registrar(Arc<str>),
    Target { trunk: Arc<str>, target: usize, asked: Time },
}

impl Links {
    pub fn timeout(&self) -> Option<Time> {
        self.due
    }

    /// The carrier whose registrar is at `source`, and keeps us.
    pub fn registered_at(&self, source: IpAddr) -> Option<&Arc<Trunk>> {
        let source = source.to_canonical();
        let at =
            |seat: &Seat| seat.machine.is_registered() && seat.places.front().is_some_and(|p| p.address.ip() == source);
        self.all.values().find(|link| link.seat.as_ref().is_some_and(at)).map(|link| &link.trunk)
    }

    /// True where this target of the carrier did not answer when it was last asked.
    pub fn is_down(&self, trunk: &str, target: usize) -> bool {
        let probe = self.all.get(trunk).and_then(|link| link.probes.get(target));
        probe.is_some_and(|probe| probe.condition == Condition::Down)
    }

    /// Our registration with this carrier, and its targets.
    pub fn view(&self, trunk: &Trunk) -> (Option<SeatView>, Vec<(String, Option<bool>)>) {
        let link = self.all.get(&trunk.name);
        let seat = link.and_then(|link| link.seat.as_ref());
        let seat = seat.map(|seat| SeatView { until: seat.machine.until(), trouble: seat.trouble.clone() });
        let condition = |at: usize| match link.and_then(|link| link.probes.get(at)).map(|probe| probe.condition) {
            Some(Condition::Up) => Some(true),
            Some(Condition::Down) => Some(false),
            Some(Condition::Unknown) | None => None,
        };
        let targets = trunk.targets.iter().enumerate().map(|(at, uri)| (uri.to_string(), condition(at)));
        (seat, targets.collect())
    }

    fn arm(&mut self) {
        let of = |link: &Link| {
            let seat = link.seat.as_ref().and_then(|seat| seat.machine.timeout());
            link.probes.iter().map(Health::timeout).fold(seat, |a, b| Time::soonest(a, Some(b)))
        };
        self.due = self.all.values().filter_map(of).min();
    }

    fn seat(&mut self, trunk: &str) -> Option<&mut Seat> {
        self.all.get_mut(trunk)?.seat.as_mut()
    }
}

impl Core {
    /// Make the links what `config` says. Those that stay as they were go on.
    pub fn link_up(&mut self) {
        let trunking = self.config.trunking.clone();
        let gone: Vec<Arc<str>> =
            self.links.all.iter().filter(|(_, link)| !kept(&trunking, link)).map(|(n, _)| n.clone()).collect();
        for name in gone {
            self.leave(&name);
            self.links.all.remove(&name);
        }
        for trunk in &trunking.trunks {
            if !self.links.all.contains_key(&trunk.name) {
                let link = self.link(trunk);
                self.links.all.insert(trunk.name.clone(), link);
            }
        }
        self.links.arm();
    }

    fn link(&mut self, trunk: &Arc<Trunk>) -> Link {
        let now = self.now;
        let seat = trunk.registration.clone().map(|account| {
            let names = (self.stack.new_call_id(), self.stack.new_tag());
            let machine = Register::new(now, account, names, self.random());
            Seat { machine, places: VecDeque::new(), trouble: None }
        });
        let probes = if trunk.options.is_zero() { &[][..] } else { &trunk.targets };
        let probes = probes.iter().map(|_| Health::new(now, trunk.options)).collect();
        Link { trunk: trunk.clone(), seat, probes, told: None }
    }

    /// Take every registration back.
    pub fn leave_all(&mut self) {
        let all: Vec<Arc<str>> = self.links.all.keys().cloned().collect();
        all.iter().for_each(|name| self.leave(name));
        self.links.arm();
    }

    fn leave(&mut self, name: &Arc<str>) {
        if let Some(seat) = self.links.seat(name) {
            seat.machine.leave();
        }
        self.drive(name);
    }

    /// Time passed.
    pub fn links_timeout(&mut self) {
        if self.links.due.is_none_or(|due| due > self.now) {
            return;
        }
        let now = self.now;
        let all: Vec<Arc<str>> = self.links.all.keys().cloned().collect();
        for name in all {
            if let Some(seat) = self.links.seat(&name)
                && seat.machine.timeout().is_some_and(|due| due <= now)
            {
                seat.machine.handle_timeout(now);
                self.drive(&name);
            }
            let probes = self.links.all.get(&name).map_or(0, |link| link.probes.len());
            for target in 0..probes {
                let due = self.probe(&name, target).and_then(|probe| probe.handle_timeout(now));
                self.look_after(&name, target, due);
            }
        }
        self.links.arm();
    }

    /// Do what the registration asks for.
    fn drive(&mut self, name: &Arc<str>) {
        while let Some(output) = self.links.seat(name).and_then(|seat| seat.machine.poll()) {
            match output {
                register::Output::Ask => self.ask_registrar(name),
                register::Output::Send(request) => self.send_to_registrar(name, *request),
                register::Output::Changed(change) => self.tell_registration(name, change),
            }
        }
        self.links.arm();
    }

    fn ask_registrar(&mut self, name: &Arc<str>) {
        let Some(link) = self.links.all.get_mut(name) else { return };
        let (Some(seat), Some(account)) = (&mut link.seat, &link.trunk.registration) else { return };
        if seat.places.is_empty() {
            match target::locate(&account.registrar) {
                Ok(target::Place::At(place)) => seat.places.push_back(place),
                Ok(target::Place::Named { host, port, transport, secure }) => {
                    let query = QueryId(self.id());
                    self.links.seekers.insert(query, Seeker::Registrar(name.clone()));
                    return self.out.push_back(Output::Resolve { query, host, port, transport, secure });
                }
                Err(_) => return seat.machine.handle_failed(self.now, Why::NoPlace, false),
            }
        }
        let Some(hop) = seat.places.front().and_then(|place| target::hop(&self.config.sip, *place)) else {
            seat.places.pop_front();
            return seat.machine.handle_failed(self.now, Why::NoPlace, !seat.places.is_empty());
        };
        let user = account.address.user.clone();
        let mut contact = self.contact(hop);
        contact.uri.user = user.or(contact.uri.user);
        if let Some(seat) = self.links.seat(name) {
            let request = seat.machine.request(&contact);
            self.errand(request, hop, Purpose::Register { trunk: name.clone() });
        }
    }

    fn send_to_registrar(&mut self, name: &Arc<str>, request: Request) {
        let place = self.links.seat(name).and_then(|seat| seat.places.front().copied());
        if let Some(hop) = place.and_then(|place| target::hop(&self.config.sip, place)) {
            self.errand(request, hop, Purpose::Register { trunk: name.clone() });
        }
    }

    /// What came of a REGISTER.
    pub fn register_answered(&mut self, name: &Arc<str>, answer: Result<&Response, Failure>) {
        let cnonce = self.stack.new_tag();
        let now = self.now;
        let Some(seat) = self.links.seat(name) else { return };
        match answer {
            Ok(response) => {
                if matches!(response.code, 408 | 500..=599) {
                    seat.places.pop_front();
                }
                seat.machine.handle_response(now, response, !seat.places.is_empty(), &cnonce);
            }
            Err(why) => {
                seat.places.pop_front();
                seat.machine.handle_failed(now, why.into(), !seat.places.is_empty());
            }
        }
        self.drive(name);
    }

    /// A name was looked up for a link. False: for none.
    pub fn link_resolved(&mut self, query: QueryId, result: &Result<Vec<Target>, String>) -> bool {
        let Some(seeker) = self.links.seekers.remove(&query) else { return false };
        match seeker {
            Seeker::Registrar(name) => {
                let now = self.now;
                if let Some(seat) = self.links.seat(&name) {
                    seat.places = result.iter().flatten().copied().collect();
                    match seat.places.is_empty() {
                        true => seat.machine.handle_failed(now, Why::NoPlace, false),
                        false => self.ask_registrar(&name),
                    }
                }
                self.drive(&name);
            }
            Seeker::Target { trunk, target, asked } => match result.iter().flatten().next() {
                Some(place) => self.ask_target(&trunk, target, asked, *place),
                None => self.health_answered(&trunk, target, asked, Err(Failure::Transport)),
            },
        }
        true
    }

    fn tell_registration(&mut self, name: &Arc<str>, change: register::Change) {
        self.registration_happened(name, &change);
        match change {
            register::Change::Registered(length) => tracing::info!(trunk = &**name, ?length, "registered"),
            register::Change::Failed { why, again, still } => {
                let trouble = Trouble { why: why.to_string(), at: self.now };
                self.links.seat(name).into_iter().for_each(|seat| seat.trouble = Some(trouble.clone()));
                tracing::warn!(trunk = &**name, ?why, ?again, still, "registration failed");
            }
            register::Change::Lost => tracing::warn!(trunk = &**name, "registration ran out"),
            register::Change::Left => tracing::info!(trunk = &**name, "no longer registered"),
        }
        self.console(ConsoleReply::Trunk { trunk: name.clone(), news: TrunkNews::Registration(change) });
    }

    /// Events tell of it when it changes, not each time that it is refreshed or refused again.
    fn registration_happened(&mut self, name: &Arc<str>, change: &register::Change) {
        let (kept, reason) = match change {
            register::Change::Registered(_) => (true, String::new()),
            register::Change::Failed { why, still, .. } => (*still, format!("{why:?}").to_lowercase()),
            register::Change::Lost => (false, "expired".to_owned()),
            register::Change::Left => (false, "left".to_owned()),
        };
        let Some(link) = self.links.all.get_mut(name) else { return };
        if link.told.replace(kept) == Some(kept) {
            return;
        }
        let trunk = name.to_string();
        let what = if kept { What::TrunkRegistered { trunk } } else { What::TrunkUnregistered { trunk, reason } };
        self.trunk_happened(what);
    }

    fn probe(&mut self, name: &str, target: usize) -> Option<&mut Health> {
        self.links.all.get_mut(name)?.probes.get_mut(target)
    }

    fn look_after(&mut self, name: &Arc<str>, target: usize, due: Option<Due>) {
        match due {
            None => {}
            Some(Due::Changed(condition)) => self.tell_health(name, target, condition),
            Some(Due::Ask) => {
                let Some(uri) = self.links.all.get(name).and_then(|link| link.trunk.targets.get(target)) else {
                    return;
                };
                let place = target::locate(uri);
                let asked = self.now;
                match place {
                    Ok(target::Place::At(place)) => self.ask_target(name, target, asked, place),
                    Ok(target::Place::Named { host, port, transport, secure }) => {
                        let query = QueryId(self.id());
                        let seeker = Seeker::Target { trunk: name.clone(), target, asked };
                        self.links.seekers.insert(query, seeker);
                        self.out.push_back(Output::Resolve { query, host, port, transport, secure });
                    }
                    Err(_) => self.health_answered(name, target, asked, Err(Failure::Transport)),
                }
            }
        }
    }

    fn ask_target(&mut self, name: &Arc<str>, target: usize, asked: Time, place: Target) {
        let uri = self.links.all.get(name).and_then(|link| link.trunk.targets.get(target)).cloned();
        let (Some(uri), Some(hop)) = (uri, target::hop(&self.config.sip, place)) else {
            return self.health_answered(name, target, asked, Err(Failure::Transport));
        };
        let contact = self.contact(hop);
        let mut from = NameAddr::new(target::bare(&contact.uri));
        from.set_tag(&self.stack.new_tag());
        let cseq = CSeq { number: 1, method: Method::Options };
        let call_id = self.stack.new_call_id();
        let mut headers = Headers::new(from, NameAddr::new(target::bare(&uri)), call_id, cseq);
        headers.set("Contact", contact.to_string());
        headers.set("Accept", super::core::SDP);
        let request = Request { method: Method::Options, uri, headers, body: Default::default() };
        self.errand(request, hop, Purpose::Health { trunk: name.clone(), target, asked });
    }

    /// What came of the question after a target's health.
    pub fn health_answered(&mut self, name: &Arc<str>, target: usize, asked: Time, answer: Result<&Response, Failure>) {
        let well = answer.is_ok_and(|response| is_well(response.code));
        let due = self.probe(name, target).and_then(|probe| probe.handle_answer(asked, well));
        self.look_after(name, target, due);
        self.links.arm();
    }

    fn tell_health(&mut self, name: &Arc<str>, target: usize, condition: Condition) {
        let Some(uri) = self.links.all.get(name).and_then(|link| link.trunk.targets.get(target)).cloned() else {
            return;
        };
        let up = condition != Condition::Down;
        match up {
            true => tracing::info!(trunk = &**name, target = %uri, "target answers"),
            false => tracing::warn!(trunk = &**name, target = %uri, "target does not answer"),
        }
        let (trunk, target) = (name.to_string(), uri.to_string());
        self.trunk_happened(if up { What::TrunkUp { trunk, target } } else { What::TrunkDown { trunk, target } });
        self.console(ConsoleReply::Trunk { trunk: name.clone(), news: TrunkNews::Target { uri, up } });
    }
}

fn kept(trunking: &Trunking, link: &Link) -> bool {
    trunking.trunk(&link.trunk.name) == Some(&link.trunk)
}
