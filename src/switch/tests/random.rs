//! Whatever happens in whatever order, every call ends, leaves one record, and nothing is left behind.

use proptest::{
    prelude::{Just, ProptestConfig, any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest},
    strategy::Strategy as Choice,
};

use std::collections::BTreeSet;

use super::*;
use crate::verbs::{Messaging, Text};

const PHONES: [&str; 3] = ["203.0.113.1:5060", "203.0.113.2:5060", "203.0.113.3:5060"];

#[derive(Clone, Debug)]
enum Deed {
    /// A new caller.
    Invite {
        late: bool,
        /// What it says about provisional answers.
        reliable: &'static str,
    },
    /// A caller acknowledges the provisional answer that came last, with a description of its media or without one.
    Prack {
        body: bool,
    },
    Update,
    /// A caller acknowledges what it was last answered, if anything.
    Ack,
    Cancel,
    Bye,
    Reinvite,
    /// A caller sends a text message, within its call or beside it.
    Message {
        within: bool,
    },
    /// A phone answers its oldest open INVITE.
    Phone {
        phone: usize,
        code: u16,
        body: bool,
    },
    /// A phone answers whatever else it was asked.
    PhoneAnswers {
        phone: usize,
    },
    /// The script wants something of the newest flow's call.
    Verb(u8),
    Key(char),
    EndFlow(bool),
    Wait(u64),
    Lose(bool),
    MediaAnswers(bool),
}

fn deed() -> impl Choice<Value = Deed> {
    prop_oneof![
        2 => (any::<bool>(), prop::sample::select(vec!["", "Supported: 100rel\r\n", "Require: 100rel\r\n"]))
            .prop_map(|(late, reliable)| Deed::Invite { late, reliable }),
        3 => any::<bool>().prop_map(|body| Deed::Prack { body }),
        1 => Just(Deed::Update),
        3 => Just(Deed::Ack),
        1 => Just(Deed::Cancel),
        1 => Just(Deed::Bye),
        1 => Just(Deed::Reinvite),
        2 => any::<bool>().prop_map(|within| Deed::Message { within }),
        6 => (0..3usize, prop::sample::select(vec![180u16, 183, 200, 200, 302, 404, 486, 487, 503, 603]), any::<bool>())
            .prop_map(|(phone, code, body)| Deed::Phone { phone, code, body }),
        3 => (0..3usize).prop_map(|phone| Deed::PhoneAnswers { phone }),
        8 => (0..25u8).prop_map(Deed::Verb),
        1 => prop::sample::select(vec!['1', '#', '*']).prop_map(Deed::Key),
        1 => any::<bool>().prop_map(Deed::EndFlow),
        3 => prop::sample::select(vec![1u64, 100, 3000, 21_000, 40_000]).prop_map(Deed::Wait),
        1 => any::<bool>().prop_map(Deed::Lose),
        1 => any::<bool>().prop_map(Deed::MediaAnswers),
    ]
}

/// A text message to `to`, or within the call.
fn text(to: Option<String>) -> Verb {
    let text = Text { kind: "text/plain".into(), text: "hi".into() };
    Verb::Messaging(Messaging::Send(verbs::Message { to, from: None, text, headers: vec![] }))
}

fn verb(number: u8, other: CallId) -> Verb {
    let targets = |n: usize| PHONES.iter().take(n).map(|at| format!("sip:x@{at}")).collect();
    let hunt = |n, strategy, early_media| {
        let timeout = secs(15);
        let (caller_id, headers, ringback) = (None, vec![], None);
        Verb::Dial(Dial { targets: targets(n), strategy, timeout, early_media, caller_id, headers, ringback })
    };
    match number {
        0 => Verb::Ring,
        1 => Verb::Progress,
        2 | 3 => Verb::Answer,
        4 => Verb::Reject { code: 486, reason: None },
        5 => Verb::Hangup,
        6 => Verb::Play(Play { stop_on: "#".into(), ..Play::new(vec![Sound::File("a.wav".into())]) }),
        7 => Verb::Sleep(secs(1)),
        8 => hunt(3, Strategy::All, true),
        9 => hunt(2, Strategy::InTurn, true),
        10 => hunt(2, Strategy::All, false),
        11 => Verb::Bridge { other, stop_on: "*".into() },
        12 => Verb::Join { room: "r".into(), stop_on: "*".into(), muted: false, entry: Default::default() },
        13 => Verb::Record(Record { voices: Voices::Stereo, beep: true, stop_on: "#".into(), ..mixed() }),
        14 => Verb::Echo { stop_on: "1".into(), limit: Some(secs(2)) },
        15 => text(Some(format!("sip:x@{}", PHONES[0]))),
        16 => text(Some("sip:x@name.example".into())),
        17 => text(None),
        18 => Verb::Messaging(Messaging::Await { timeout: secs(2) }),
        19 => Verb::Messaging(Messaging::Answer { code: 200, reason: None }),
        20 => Verb::Park { slot: "1".into(), timeout: secs(3) },
        21 => Verb::Steer { play: None, steer: Steer::Pause },
        22 => Verb::Play(Play { wait: false, ..Play::new(vec![Sound::File("a.wav".into())]) }),
        23 => Verb::Record(Record { room: Some("r".into()), ..mixed() }),
        _ => Verb::SetVar { name: "x".into(), value: Some("y".into()) },
    }
}

struct Story {
    world: World,
    callers: Vec<Caller>,
    answered: Option<Response>,
    asked: usize,
}

impl Story {
    #[expect(clippy::too_many_lines, reason = "a table of deeds")]
    fn happen(&mut self, deed: Deed) {
        let world = &mut self.world;
        match deed {
            Deed::Invite { late, reliable } => {
                let call_id = format!("call{}", self.callers.len());
                let mut caller = Caller { call_id, ..Caller::new() };
                let body = (!late).then(sdp);
                let invite = caller.text("INVITE", body.as_deref().map(|sdp| ("application/sdp", sdp)), reliable);
                world.say(caller.at, invite);
                world.settle();
                self.callers.push(caller);
            }
            Deed::Prack { body } => self.prack(body),
            Deed::Update => {
                if let Some(caller) = self.callers.last_mut().filter(|caller| caller.to_tag.is_some()) {
                    caller.send(world, "UPDATE", Some(("application/sdp", &sdp())));
                }
            }
            Deed::Ack => {
                let Some(caller) = self.callers.last_mut() else { return };
                let at = world.inbox.iter().rposition(|(to, message)| match message {
                    Message::Response(r) => {
                        *to == caller.at && r.code == 200 && r.headers.cseq.method == Method::Invite
                    }
                    Message::Request(_) => false,
                });
                if let Some((_, Message::Response(response))) = at.and_then(|at| world.inbox.remove(at)) {
                    self.answered = Some(response);
                }
                let Some(response) = self.answered.clone() else { return };
                if response.headers.call_id == caller.call_id {
                    caller.ack(world, &response, Some(&sdp()));
                }
            }
            Deed::Cancel => {
                let Some(caller) = self.callers.last_mut() else { return };
                let tag = caller.to_tag.take();
                let text = caller.text("CANCEL", None, "");
                caller.to_tag = tag;
                world.say(caller.at, text);
                world.settle();
            }
            Deed::Bye => {
                if let Some(caller) = self.callers.last_mut() {
                    caller.send(world, "BYE", None);
                }
            }
            Deed::Reinvite => {
                if let Some(caller) = self.callers.last_mut().filter(|caller| caller.to_tag.is_some()) {
                    caller.send(world, "INVITE", Some(("application/sdp", &sdp())));
                }
            }
            Deed::Message { within } => {
                if let Some(caller) = self.callers.last_mut() {
                    let tag = caller.to_tag.take();
                    caller.to_tag = tag.clone().filter(|_| within);
                    caller.send(world, "MESSAGE", Some(("text/plain", "hi")));
                    caller.to_tag = tag;
                }
            }
            Deed::Phone { phone, code, body } => self.phone(phone, Some((code, body))),
            Deed::PhoneAnswers { phone } => self.phone(phone, None),
            Deed::Verb(number) => {
                let Some(start) = world.node().starts.last().cloned() else { return };
                let dialed = world.node().replies.iter().rev().find_map(|(_, reply)| match reply {
                    Reply::Dialed { call, .. } => Some(*call),
                    _ => None,
                });
                world.ask(start.flow, start.call, verb(number, dialed.unwrap_or(CallId(1))));
                self.asked += 1;
                self.world.settle();
            }
            Deed::Key(key) => {
                if let Some(last) = world.node().opened.len().checked_sub(1) {
                    world.key(last, key);
                }
            }
            Deed::EndFlow(error) => {
                if let Some(flow) = world.node().starts.last().map(|start| start.flow) {
                    let end = if error { FlowEnd::Error("x".into()) } else { FlowEnd::Finished };
                    world.end_flow(flow, end);
                }
            }
            Deed::Wait(ms) => world.run(millis(ms)),
            Deed::Lose(all) => world.lose = Box::new(move |_| all),
            Deed::MediaAnswers(does) => world.automatic = does,
        }
    }

    fn prack(&mut self, body: bool) {
        let Some(caller) = self.callers.last_mut() else { return };
        let early = self.world.inbox.iter().rev().find_map(|(to, message)| match message {
            Message::Response(r) if *to == caller.at && r.headers.call_id == caller.call_id => {
                Some((r.headers.get("RSeq")?.to_owned(), r.headers.to.tag()?.to_owned()))
            }
            Message::Response(_) | Message::Request(_) => None,
        });
        let Some((number, tag)) = early else { return };
        caller.to_tag = Some(tag);
        caller.cseq += 1;
        let description = body.then(sdp);
        let description = description.as_deref().map(|sdp| ("application/sdp", sdp));
        let text = caller.text("PRACK", description, &format!("RAck: {number} 1 INVITE\r\n"));
        self.world.say(caller.at, text);
        self.world.settle();
    }

    fn phone(&mut self, phone: usize, code: Option<(u16, bool)>) {
        let at = address(PHONES[phone]);
        let found = self.world.inbox.iter().position(|(to, message)| match message {
            Message::Request(request) => {
                *to == at && (request.method == Method::Invite) == code.is_some() && request.method != Method::Ack
            }
            Message::Response(_) => false,
        });
        let Some((_, Message::Request(request))) = found.map(|place| self.world.inbox[place].clone()) else { return };
        if code.is_none_or(|(code, _)| code >= 300)
            && let Some(place) = found
        {
            self.world.inbox.remove(place);
        }
        let (code, body) = code.unwrap_or((200, false));
        let body = body.then(sdp);
        let tag = format!("phone{phone}-{code}");
        self.world.say(at, answer(&request, code, &tag, body.as_deref()));
        self.world.settle();
    }
}

/// Call-ID and the tag of the peer.
pub(super) type DialogKey = (String, String);

/// Dialogs that came into being, and those that were ended, by Call-ID and the peer's tag.
pub(super) fn dialogs(world: &World) -> (BTreeSet<DialogKey>, BTreeSet<DialogKey>) {
    let (mut made, mut ended) = (BTreeSet::new(), BTreeSet::new());
    for message in &world.said {
        match message {
            Message::Request(r) if r.method == Method::Bye => ended.insert(key(&r.headers, &r.headers.to)),
            Message::Request(r)
                if r.method == Method::Ack && r.headers.to.tag().is_some_and(|t| t.ends_with("-200")) =>
            {
                made.insert(key(&r.headers, &r.headers.to))
            }
            Message::Response(r) if r.code == 200 && r.headers.cseq.method == Method::Invite => {
                made.insert(key(&r.headers, &r.headers.from))
            }
            // The caller's own BYE is only good with our tag in it.
            Message::Response(r) if r.code == 200 && r.headers.cseq.method == Method::Bye => {
                ended.insert(key(&r.headers, &r.headers.from))
            }
            Message::Request(_) | Message::Response(_) => false,
        };
    }
    (made, ended)
}

fn key(headers: &sip::Headers, peer: &sip::NameAddr) -> DialogKey {
    (headers.call_id.clone(), peer.tag().unwrap_or_default().to_owned())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn every_order_of_events_ends_with_nothing_left_and_one_record_a_call(deeds in prop::collection::vec(deed(), 1..60)) {
        let route = MessageRoute { number: Pattern::parse("*").unwrap(), script: "sms.lua".into(), vars: vec![] };
        let world = World::with(|config| config.messages.routes = vec![route]);
        let mut story = Story { world, callers: vec![], answered: None, asked: 0 };
        for deed in deeds {
            story.happen(deed);
        }
        let mut world = story.world;
        // The world answers again, and every script comes to its end.
        world.automatic = true;
        world.lose = Box::new(|_| false);
        for (query, _) in std::mem::take(&mut world.nodes[0].queries) {
            world.input(0, Input::Resolved { query, result: Err("no such name".into()) });
        }
        let flows: Vec<FlowId> = world.node().starts.iter().map(|start| start.flow).collect();
        for flow in flows {
            world.end_flow(flow, FlowEnd::Finished);
        }
        world.run(secs(400));
        prop_assert_eq!(world.node().switch.counts(), Counts::default());
        let mut ids: Vec<&str> = world.node().records.iter().map(|record| record.id.as_str()).collect();
        let written = ids.len();
        ids.sort_unstable();
        ids.dedup();
        prop_assert_eq!(ids.len(), written, "one record a call");
        let steps: Vec<(String, Status)> =
            world.node().progress.iter().map(|step| (step.id.clone(), step.status)).collect();
        for record in &world.node().records {
            let steps: Vec<Status> = steps.iter().filter(|(id, _)| *id == record.id).map(|(_, status)| *status).collect();
            prop_assert!(steps.windows(2).all(|two| two[0].rank() <= two[1].rank()), "backwards: {steps:?}");
            prop_assert!(steps.iter().all(|status| !status.is_final()) && record.status.is_final());
            prop_assert_eq!(record.end_reason.paired(record.status), record.end_reason);
            let answered = steps.contains(&Status::InProgress);
            prop_assert!(!answered || record.status == Status::Completed, "{steps:?}, then {}", record.status);
        }
        let (made, ended) = dialogs(&world);
        let left: Vec<_> = made.difference(&ended).collect();
        prop_assert!(left.is_empty(), "dialogs without an end: {left:?}");
        let opened = world.commands().iter().filter(|name| **name == "Open").count();
        let closed = world.commands().iter().filter(|name| **name == "Close").count();
        prop_assert_eq!(opened, closed, "each port that was opened is closed");
        let mut requests: Vec<RequestId> = world.node().replies.iter().map(|(id, _)| *id).collect();
        let replies = requests.len();
        requests.sort_unstable();
        requests.dedup();
        prop_assert_eq!(requests.len(), replies, "no request is answered twice");
        prop_assert!(replies <= story.asked);
    }
}
