//! Two bridged legs, and everything that can happen to them in every order: answer, cancel, bye, re-INVITE, update, refer,
//! hold, timeouts, lost messages. Every dialog ends on both sides, every call has exactly one final status, nothing stays.
//!
//! 10,000 orders; a million with `PROOF`, or as many as `ORDERS` says. A failure names the seed of its order.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
};

use super::{random::dialogs, transfer::Phone, *};
use crate::chance::Chance;

const A: &str = PHONE;
const B: &str = "203.0.113.1:5060";
const C: &str = "203.0.113.9:5060";
const FAX: &str = "v=0\r\nc=IN IP4 203.0.113.1\r\nm=image 7000 udptl t38\r\n";

struct Story {
    world: World,
    chance: Chance,
    caller: Caller,
    start: Start,
    peer: Option<CallId>,
    phones: BTreeMap<&'static str, Phone>,
    answered: Option<Response>,
}

impl Story {
    fn new(seed: u64) -> Story {
        let mut world = World::with(|config| {
            config.rules.transfer = TransferRule::All;
            config.rules.session.expires = secs(90);
            config.rules.hold = if seed.is_multiple_of(2) { HoldRule::Music } else { HoldRule::Relay };
        });
        let mut caller = Caller::new();
        let fields = if seed.is_multiple_of(3) { "Supported: timer, 100rel\r\n" } else { "" };
        let offer = match seed % 7 {
            0 => format!("{}m=image 7000 udptl t38\r\n", sdp()),
            1 => FAX.to_owned(),
            _ => sdp(),
        };
        let text = caller.text("INVITE", Some(("application/sdp", &offer)), fields);
        world.say(caller.at, text);
        world.settle();
        let start = world.node().starts[0].clone();
        let mut story = Story {
            world,
            chance: Chance::new(seed),
            caller,
            start,
            peer: None,
            phones: BTreeMap::new(),
            answered: None,
        };
        // Most orders begin where it becomes interesting.
        let first: &[u64] = match seed % 4 {
            0 => &[],
            1 => &[0, 2],
            2 => &[0, 4, 2],
            _ => &[2, 0, 1, 4],
        };
        for event in first {
            story.happen(*event);
        }
        story
    }

    fn ask(&mut self, verb: Verb) {
        let (flow, call) = (self.start.flow, self.start.call);
        let own = self.chance.below(3) > 0;
        let call = if own { call } else { self.peer.unwrap_or(call) };
        self.world.ask(flow, call, verb);
        self.world.settle();
    }

    fn dial(&mut self) {
        let dial = Dial {
            targets: vec![format!("sip:b@{B}")],
            strategy: Strategy::All,
            timeout: secs(20),
            early_media: true,
            caller_id: None,
            headers: vec![],
            ringback: None,
        };
        self.world.ask(self.start.flow, self.start.call, Verb::Dial(dial));
        self.world.settle();
    }

    /// The caller acknowledges what it was answered last.
    fn ack(&mut self) {
        let is = |message: &Message| match message {
            Message::Response(r) => r.code == 200 && r.headers.cseq.method == Method::Invite,
            Message::Request(_) => false,
        };
        let at = address(A);
        let found = self.world.inbox.iter().rposition(|(to, message)| *to == at && is(message));
        if let Some((_, Message::Response(response))) = found.and_then(|place| self.world.inbox.remove(place)) {
            self.answered = Some(response);
        }
        let Some(response) = self.answered.clone() else { return };
        let cseq = self.caller.cseq;
        self.caller.ack(&mut self.world, &response, None);
        self.caller.cseq = cseq.max(self.caller.cseq);
    }

    /// The caller asks for something in its dialog, or where it hopes for one.
    fn caller(&mut self, method: &str, body: Option<&str>, fields: &str) {
        if self.caller.to_tag.is_none() {
            return; // It would begin another call.
        }
        self.caller.cseq += 1;
        let text = self.caller.text(method, body.map(|body| ("application/sdp", body)), fields);
        self.world.say(self.caller.at, text);
        self.world.settle();
    }

    fn cancel(&mut self) {
        let (tag, branch) = (self.caller.to_tag.take(), std::mem::replace(&mut self.caller.branch, 1));
        let cseq = std::mem::replace(&mut self.caller.cseq, 1);
        let text = self.caller.text("CANCEL", None, "");
        (self.caller.to_tag, self.caller.branch, self.caller.cseq) = (tag, branch, cseq);
        self.world.say(self.caller.at, text);
        self.world.settle();
    }

    /// The phone at `at` answers its newest INVITE, be it the first one or another.
    fn pick(&mut self, at: &'static str, code: u16) {
        let place = address(at);
        let found = self.world.inbox.iter().rev().find_map(|(to, message)| match message {
            Message::Request(request) if *to == place && request.method == Method::Invite => Some(request.clone()),
            Message::Request(_) | Message::Response(_) => None,
        });
        let Some(invite) = found else { return };
        let tag = format!("{}-{code}", &at[at.len() - 6..at.len() - 5]);
        let tag = invite.headers.to.tag().map_or(tag, str::to_owned);
        // A phone that says 200 once more goes on counting its requests where it was.
        let known = self.phones.get(at).is_some_and(|phone| phone.dialog.call_id == invite.headers.call_id);
        if code == 200 && invite.headers.to.tag().is_none() && !known {
            self.phones.insert(at, Phone::new(at, &invite, &tag));
        }
        let fax = invite.body.windows(5).any(|five| five == b"udptl") && self.chance.below(4) > 0;
        let body = if fax { FAX.to_owned() } else { sdp_at("203.0.113.1", 4100) };
        self.world.say(place, answer(&invite, code, &tag, (code == 200).then_some(&body)));
        self.world.settle();
        let replies = self.world.node().replies.iter().rev();
        let dialed = replies.filter_map(|(_, reply)| match reply {
            Reply::Dialed { call, .. } => Some(*call),
            _ => None,
        });
        self.peer = dialed.into_iter().next().or(self.peer);
    }

    /// Somebody answers the oldest other request that waits at `at`.
    fn oblige(&mut self, at: &str, code: u16) {
        let place = address(at);
        let found = self.world.inbox.iter().position(|(to, message)| match message {
            Message::Request(request) => *to == place && !matches!(request.method, Method::Invite | Method::Ack),
            Message::Response(_) => false,
        });
        if let Some((_, Message::Request(request))) = found.and_then(|found| self.world.inbox.remove(found)) {
            self.world.say(place, request.response(code, None).to_bytes());
            self.world.settle();
        }
    }

    fn phone(&mut self, at: &'static str, method: Method, fields: &[(&str, &str)], body: &str) {
        if let Some(phone) = self.phones.get_mut(at) {
            phone.send(&mut self.world, method, fields, body);
        }
    }

    fn happen(&mut self, event: u64) {
        let held = format!("{}a=sendonly\r\n", sdp());
        let to_c = format!("<sip:c@{C}>");
        match event {
            0 => self.ask(Verb::Answer),
            1 => self.ack(),
            2 => self.dial(),
            3 => self.pick(B, 180),
            4 => self.pick(B, 200),
            5 => self.pick(B, 486),
            6 => self.cancel(),
            7 => self.caller("BYE", None, ""),
            8 => self.caller("INVITE", Some(&sdp()), ""),
            9 => self.caller("INVITE", Some(&held), ""),
            10 => self.caller("UPDATE", None, ""),
            11 => self.caller("REFER", None, &format!("Refer-To: {to_c}\r\n")),
            12 => self.phone(B, Method::Bye, &[], ""),
            13 => self.phone(B, Method::Invite, &[("Content-Type", "application/sdp")], &held),
            14 => self.phone(B, Method::Refer, &[("Refer-To", &to_c)], ""),
            15 => self.pick(C, 180),
            16 => self.pick(C, 200),
            17 => self.pick(C, 603),
            18 => self.phone(C, Method::Bye, &[], ""),
            19 => self.ask(Verb::Hold { music: None }),
            20 => self.ask(Verb::Resume),
            21 => {
                let target = format!("sip:c@{C}");
                self.ask(Verb::Transfer(verbs::Transfer::Blind { target, timeout: secs(5) }));
            }
            22 => self.ask(Verb::Hangup),
            23 => {
                let fields = [("Event", "refer"), ("Subscription-State", "terminated")];
                self.phone(B, Method::Notify, &fields, "SIP/2.0 200 OK\r\n");
            }
            24 => {
                let (at, code) = (self.chance.of(&[A, B, C]), self.chance.of(&[200, 488, 491, 481]));
                self.pick(at, code);
            }
            25 | 26 => {
                let (at, code) = (self.chance.of(&[A, B, C]), self.chance.of(&[200, 200, 481]));
                self.oblige(at, code);
            }
            27 => self.world.run(millis(self.chance.of(&[10, 600, 3000]))),
            28 => self.world.run(secs(self.chance.of(&[21, 33, 61]))),
            29 => self.world.lose = Box::new(|_| true),
            30 => self.world.lose = Box::new(|_| false),
            31 => self.caller("INVITE", Some(FAX), ""),
            33 => self.ask(Verb::Siprec { recorder: Some(format!("sip:c@{C}")) }),
            34 => self.ask(Verb::SiprecStop),
            32 => self.phone(B, Method::Invite, &[("Content-Type", "application/sdp")], FAX),
            _ => {
                let other = self.peer.unwrap_or(CallId(1));
                self.ask(Verb::Bridge { other, stop_on: String::new() });
            }
        }
    }

    fn end(mut self) -> World {
        self.world.lose = Box::new(|_| false);
        self.world.end_flow(self.start.flow, FlowEnd::Finished);
        self.world.run(secs(500));
        // Two whom a transfer connected talk on, whoever else has left, until one of them hangs up.
        for at in [B, C] {
            self.phone(at, Method::Bye, &[], "");
        }
        self.world.run(secs(100));
        self.world
    }
}

/// What is wrong at the end of an order; nothing, as it should be.
fn faults(world: &World) -> Vec<String> {
    let mut faults = Vec::new();
    if world.node().switch.counts() != Counts::default() {
        faults.push(format!("left behind: {:?}", world.node().switch.counts()));
    }
    let (made, ended) = dialogs(world);
    faults.extend(made.difference(&ended).map(|dialog| format!("never ended: {dialog:?}")));
    let records = &world.node().records;
    let ids: BTreeSet<&str> = records.iter().map(|record| record.id.as_str()).collect();
    if ids.len() != records.len() {
        faults.push("a call has two records".into());
    }
    let calls: BTreeSet<&str> = records.iter().map(|record| record.sip_call_id.as_str()).collect();
    if calls.len() != records.len() {
        faults.push("a call is told of under two names".into());
    }
    let mut finals: BTreeMap<(&str, u32, u16), BTreeSet<u16>> = BTreeMap::new();
    for message in &world.said {
        if let Message::Response(r) = message
            && r.code >= 200
            && r.headers.cseq.method == Method::Invite
        {
            finals.entry((&r.headers.call_id, r.headers.cseq.number, 0)).or_default().insert(r.code);
        }
    }
    faults.extend(finals.iter().filter(|(_, codes)| codes.len() > 1).map(|(of, codes)| format!("{of:?}: {codes:?}")));
    faults
}

fn orders() -> u64 {
    let given = env::var("ORDERS").ok().and_then(|text| text.parse().ok());
    given.unwrap_or(if env::var_os("PROOF").is_some() { 1_000_000 } else { 10_000 })
}

#[test]
fn every_order_of_events_on_two_legs_ends_every_dialog_once_and_leaves_nothing() {
    let first = env::var("FIRST_ORDER").ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    let count = orders();
    for seed in first..first + count {
        let mut story = Story::new(seed);
        let mut told = Vec::new();
        for _ in 0..2 + story.chance.below(9) {
            let event = story.chance.below(36);
            told.push(event);
            story.happen(event);
        }
        let world = story.end();
        let faults = faults(&world);
        assert!(faults.is_empty(), "order {seed}, events {told:?}: {faults:#?}");
    }
}
