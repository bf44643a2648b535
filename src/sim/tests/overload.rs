//! Three times as many calls as we can take, with what each message costs as a model: the calls in progress must not
//! notice, and we must still take about as many as we can.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::*;
use crate::{
    ids::InterfaceId,
    sip::{Backlog, Hop, Limits as SipLimits, Message, Transport, Waiting},
    switch::Network,
};

/// A call is an INVITE, an ACK and a BYE: 100 a second are what we can take. A real machine is a hundred times as fast.
const INVITE: Duration = Duration::from_micros(8500);
const ACK: Duration = Duration::from_micros(500);
const OTHER: Duration = Duration::from_millis(1);
/// What shedding costs; the benchmark says how much less than an INVITE it is.
const SHED: Duration = Duration::from_micros(400);
const BEST: u64 = 100;
const STANDING: u64 = 20;
const HOLD: Duration = Duration::from_secs(2);

fn caller() -> SocketAddr {
    SocketAddr::new(other(9), SIP_PORT)
}

fn text(method: &str, call: u64, cseq: u32, to_tag: Option<&str>, branch: &str) -> Bytes {
    let body = match method {
        "INVITE" => "v=0\r\no=- 1 1 IN IP4 10.0.0.9\r\ns=-\r\nc=IN IP4 10.0.0.9\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n",
        _ => "",
    };
    let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
    let tag = to_tag.map(|tag| format!(";tag={tag}")).unwrap_or_default();
    let text = format!(
        "{method} sip:100@10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.9;branch=z9hG4bK{branch}\r\nMax-Forwards: 70\r\n\
         From: <sip:load@10.0.0.9>;tag=load\r\nTo: <sip:100@10.0.0.1>{tag}\r\nCall-ID: load{call}\r\n\
         CSeq: {cseq} {method}\r\nContact: <sip:load@10.0.0.9>\r\n{kind}Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    text.into()
}

/// The server behind its backlog, and everybody who calls it.
struct Load {
    world: World,
    backlog: Backlog,
    /// What is on its way to the server.
    arrivals: BTreeMap<(Time, u64), Bytes>,
    sent: u64,
    /// How much of the wire was looked at.
    looked: usize,
    tags: BTreeMap<u64, String>,
    answered: BTreeSet<u64>,
    shed: BTreeSet<u64>,
    ended: BTreeSet<u64>,
    /// When requests of standing calls were sent, by CSeq and call.
    asked: BTreeMap<(u64, u32), Time>,
    slowest: Duration,
}

impl Load {
    fn new() -> Load {
        let quiet = Weather { latency: Duration::ZERO, jitter: Duration::ZERO, loss: 0.0, duplicated: 0.0 };
        let mut world = World::new(quiet, 3);
        let mut config = config(SERVER, &[("100", "main.lua")]);
        config.trace = false;
        config.guard.trusted = vec!["10.0.0.0/8".parse::<Network>().unwrap()];
        world.add(SERVER, config, &[("main.lua", "call:answer() call:sleep(600)")]);
        world.tap();
        Load {
            world,
            backlog: Backlog::default(),
            arrivals: BTreeMap::new(),
            sent: 0,
            looked: 0,
            tags: BTreeMap::new(),
            answered: BTreeSet::new(),
            shed: BTreeSet::new(),
            ended: BTreeSet::new(),
            asked: BTreeMap::new(),
            slowest: Duration::ZERO,
        }
    }

    fn send(&mut self, at: Time, bytes: Bytes) {
        self.sent += 1;
        self.arrivals.insert((at, self.sent), bytes);
    }

    /// Calls `first..` at a steady rate, from now on for `length`.
    fn offer(&mut self, first: u64, rate: u64, length: Duration) -> u64 {
        let count = rate * length.as_secs();
        for n in 0..count {
            let at = self.world.now + Duration::from_secs(1) * u32::try_from(n).unwrap() / u32::try_from(rate).unwrap();
            self.send(at, text("INVITE", first + n, 1, None, &format!("i{}", first + n)));
        }
        count
    }

    fn run_until(&mut self, end: Time) {
        while self.world.now < end {
            let now = self.world.now;
            while let Some(entry) = self.arrivals.first_entry().filter(|entry| entry.key().0 <= now) {
                let hop = Hop { transport: Transport::Udp, interface: InterfaceId(0), remote: caller() };
                let at = entry.key().0;
                self.backlog.push(at, hop, entry.remove());
            }
            let waited = self.backlog.waited(now);
            self.world.tell(SERVER, Input::Waited(waited));
            let next = match self.backlog.pop() {
                Some(Waiting { hop, bytes, .. }) => {
                    let before = self.world.host(SERVER).exchange.guarded().shed;
                    let cost = match bytes[0] {
                        b'I' => INVITE,
                        b'A' => ACK,
                        _ => OTHER,
                    };
                    self.world.tell(SERVER, Input::Datagram { hop, bytes });
                    let shed = self.world.host(SERVER).exchange.guarded().shed > before;
                    now + if shed { SHED } else { cost }
                }
                None => self.arrivals.keys().next().map_or(end, |(at, _)| (*at).min(end)),
            };
            self.world.run_for(next - now);
            self.look();
        }
    }

    /// What the callers do about what came to them.
    fn look(&mut self) {
        let came: Vec<(Time, Vec<u8>)> = self.world.wire()[self.looked..]
            .iter()
            .filter(|(_, datagram)| datagram.to == caller())
            .map(|(at, datagram)| (*at, datagram.bytes.clone()))
            .collect();
        self.looked = self.world.wire().len();
        for (at, bytes) in came {
            let limits = SipLimits { max_headers: 100, max_message: 65_535 };
            let Ok(Message::Response(response)) = Message::parse(&bytes, &limits) else { panic!("a response") };
            let call: u64 = response.headers.call_id.strip_prefix("load").unwrap().parse().unwrap();
            let tag = response.headers.to.tag().map(str::to_owned);
            match (response.headers.cseq.method, response.code) {
                (_, 100) => {}
                (sip::Method::Invite, code) => {
                    let branch = if code == 200 { format!("a{call}") } else { format!("i{call}") };
                    self.send(at, text("ACK", call, 1, tag.as_deref(), &branch));
                    if code != 200 {
                        assert_eq!((code, response.headers.get("Retry-After")), (503, Some("5")));
                        self.shed.insert(call);
                    } else if self.answered.insert(call) && call >= STANDING {
                        self.send(at + HOLD, text("BYE", call, 2, tag.as_deref(), &format!("b{call}")));
                    }
                    self.tags.insert(call, tag.unwrap());
                }
                (_, code) => {
                    assert_eq!(code, 200, "a request in a call");
                    if let Some(asked) = self.asked.remove(&(call, response.headers.cseq.number)) {
                        self.slowest = self.slowest.max(at - asked);
                    } else {
                        self.ended.insert(call);
                    }
                }
            }
        }
    }

    /// Every standing call asks something twice a second.
    fn ask(&mut self, length: Duration) {
        for n in 0..u32::try_from(2 * length.as_secs()).unwrap() {
            for call in 0..STANDING {
                let at = self.world.now + Duration::from_millis(500) * n + Duration::from_millis(25 * call);
                let tag = self.tags[&call].clone();
                self.asked.insert((call, n + 10), at);
                self.send(at, text("OPTIONS", call, n + 10, Some(&tag), &format!("o{call}x{n}")));
            }
        }
    }
}

#[test]
fn at_three_times_the_best_load_calls_in_progress_notice_nothing() {
    let mut load = Load::new();
    load.offer(0, STANDING, secs(1));
    load.run_until(load.world.now + secs(3));
    assert_eq!(load.answered.len() as u64, STANDING);
    // The best load: what one second holds, nothing shed.
    let length = secs(10);
    let best = load.offer(1000, BEST * 8 / 10, length);
    load.ask(length);
    load.run_until(load.world.now + length + secs(5));
    assert!(load.shed.is_empty() && load.answered.len() as u64 == STANDING + best, "{}", load.answered.len());
    assert!(load.asked.is_empty());
    let undisturbed = load.slowest;
    // Three times as much.
    let before = load.answered.len() as u64;
    load.slowest = Duration::ZERO;
    let offered = load.offer(10_000, 3 * BEST, length);
    load.ask(length);
    let storm = load.world.now + length;
    load.run_until(storm);
    load.run_until(storm + secs(5));
    let taken = load.answered.len() as u64 - before;
    let shed = load.shed.len() as u64;
    println!(
        "offered {offered}, taken {taken}, refused with 503 {shed}; slowest answer in a call {:?}, undisturbed {:?}",
        load.slowest, undisturbed
    );
    assert_eq!(taken + shed, offered, "each got an answer");
    assert!(taken >= BEST * length.as_secs() * 7 / 10, "taken: {taken}");
    assert!(load.asked.is_empty(), "each request in a call was answered");
    // One INVITE may be in work when it comes, and others of its kind are before it.
    assert!(load.slowest <= Duration::from_millis(100), "{:?}", load.slowest);
    assert_eq!(load.ended.len() as u64, taken + best, "each ended as it wanted");
    assert_eq!(load.world.host(SERVER).exchange.counts().calls as u64, STANDING);
    assert_eq!(load.backlog.dropped, 0);
}
