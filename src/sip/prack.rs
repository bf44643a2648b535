//! Provisional answers that are sure to arrive (RFC 3262): each carries a number, is resent until its PRACK comes, and
//! the next one waits for that.
//!
//! ```text
//! Idle ──send──▶ Waiting ──PRACK──▶ Idle, or the next one
//!                   │  resent at T1, 2*T1, 4*T1, ...
//!                   └──64*T1──▶ given up: the INVITE is refused
//! ```

use std::{collections::VecDeque, time::Duration};

use super::{
    Config, Headers, Method, Request, Response,
    cseq::method_name,
    text,
    timers::{Resend, Timers},
};
use crate::time::Time;

/// Answers that may wait behind the one that is under way; more are dropped, as they may be with any provisional one.
const QUEUE: usize = 4;

/// What the owner must do next.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly every one is a response, and it is handed on at once")]
pub enum ReliableOutput {
    /// Answer the INVITE with this.
    Send(Response),
    /// No PRACK came: refuse the INVITE.
    GaveUp,
}

/// The provisional answers of one INVITE.
#[derive(Debug)]
pub struct Reliable {
    timers: Timers,
    last: u32,
    waiting: Option<Waiting>,
    queue: VecDeque<Response>,
    out: VecDeque<ReliableOutput>,
}

#[derive(Debug)]
struct Waiting {
    response: Response,
    resend: Resend,
    give_up: Time,
}

impl Reliable {
    /// `first`: any number; RSeq begins near it.
    pub fn new(config: &Config, first: u32) -> Reliable {
        let (waiting, queue, out) = (None, VecDeque::new(), VecDeque::new());
        Reliable { timers: Timers::new(config), last: first & 0x00ff_ffff, waiting, queue, out }
    }

    /// Send `response` (101 to 199), now or when those before it have arrived.
    pub fn send(&mut self, now: Time, mut response: Response) {
        if self.waiting.is_some() {
            if self.queue.len() < QUEUE {
                self.queue.push_back(response);
            }
            return;
        }
        self.last += 1;
        response.headers.push("Require", "100rel");
        response.headers.set("RSeq", self.last.to_string());
        self.out.push_back(ReliableOutput::Send(response.clone()));
        let resend = Resend::new(now, self.timers.t1, Duration::MAX);
        self.waiting = Some(Waiting { response, resend, give_up: now + self.timers.long() });
    }

    /// True while a PRACK is waited for.
    pub fn is_waiting(&self) -> bool {
        self.waiting.is_some()
    }

    /// A PRACK came. False: it belongs to nothing that waits, and gets 481 (section 3).
    pub fn handle_prack(&mut self, now: Time, prack: &Request) -> bool {
        let Some(waiting) = &self.waiting else { return false };
        let of = waiting.response.headers.cseq;
        let mut words = prack.headers.get("RAck").unwrap_or_default().split_ascii_whitespace();
        let mut number = || words.next().and_then(|word| word.parse::<u32>().ok());
        let fits = number() == Some(self.last) && number() == Some(of.number);
        let fits = fits && words.next().is_some_and(|method| method.eq_ignore_ascii_case(method_name(of.method)));
        if fits {
            self.waiting = None;
            if let Some(next) = self.queue.pop_front() {
                self.send(now, next);
            }
        }
        fits
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Time) {
        let Some(waiting) = &mut self.waiting else { return };
        if waiting.give_up <= now {
            (self.waiting, self.queue) = (None, VecDeque::new());
            self.out.push_back(ReliableOutput::GaveUp);
        } else if waiting.resend.is_due(now) {
            self.out.push_back(ReliableOutput::Send(waiting.response.clone()));
        }
    }

    /// The next moment [`Self::handle_timeout`] has something to do.
    pub fn timeout(&self) -> Option<Time> {
        self.waiting.as_ref().map(|waiting| waiting.resend.at().min(waiting.give_up))
    }

    /// What to do next; drain it after every call.
    pub fn poll(&mut self) -> Option<ReliableOutput> {
        self.out.pop_front()
    }
}

/// The RSeq of a provisional answer that demands a PRACK.
pub fn rseq(response: &Headers) -> Option<u32> {
    let required = response.all("Require").any(|tag| tag.eq_ignore_ascii_case("100rel"));
    response.get("RSeq").filter(|_| required).and_then(|value| text::trim(value).parse().ok())
}

/// The RAck of the PRACK to a provisional answer with this RSeq.
pub fn rack(rseq: u32, response: &Headers) -> String {
    let cseq = response.cseq;
    debug_assert_eq!(cseq.method, Method::Invite, "only INVITE has reliable provisional answers");
    format!("{rseq} {} {}", cseq.number, method_name(cseq.method))
}

#[cfg(test)]
mod tests {
    use super::{super::*, *};

    fn at(ms: u64) -> Time {
        Time::START + Duration::from_millis(ms)
    }

    fn config() -> Config {
        Config {
            interfaces: vec![],
            t1: Duration::from_millis(500),
            t2: Duration::from_secs(4),
            t4: Duration::from_secs(5),
            timer_c: Duration::from_secs(180),
            max_message: 65_535,
            max_headers: 100,
            max_transactions: 10,
            agent: String::new(),
            udp_limit: 1300,
        }
    }

    fn request(method: Method, fields: &[(&str, &str)]) -> Request {
        let who: NameAddr = "<sip:a@b>".parse().unwrap();
        let mut headers = Headers::new(who.clone(), who, "c".to_owned(), CSeq { number: 7, method });
        for (name, value) in fields {
            headers.push(name, *value);
        }
        Request { method, uri: "sip:a@b".parse().unwrap(), headers, body: Bytes::new() }
    }

    fn sent(reliable: &mut Reliable) -> Vec<String> {
        let line = |output| match output {
            ReliableOutput::Send(r) => format!("{} {}", r.code, r.headers.get("RSeq").unwrap()),
            ReliableOutput::GaveUp => "gave up".to_owned(),
        };
        std::iter::from_fn(|| reliable.poll()).map(line).collect()
    }

    fn prack(rack: &str) -> Request {
        request(Method::PRack, &[("RAck", rack)])
    }

    #[test]
    fn each_answer_is_resent_till_its_prack_and_the_next_one_waits() {
        let mut reliable = Reliable::new(&config(), 10);
        let invite = request(Method::Invite, &[]);
        reliable.send(at(0), invite.response(180, None));
        reliable.send(at(0), invite.response(183, None));
        assert_eq!(sent(&mut reliable), ["180 11"]);
        for ms in [500, 1500, 3500] {
            assert_eq!(reliable.timeout(), Some(at(ms)));
            reliable.handle_timeout(at(ms));
            assert_eq!(sent(&mut reliable), ["180 11"]);
        }
        for wrong in ["12 7 INVITE", "11 8 INVITE", "11 7 BYE", "11 7", "", "x y z"] {
            assert!(!reliable.handle_prack(at(4000), &prack(wrong)), "{wrong}");
        }
        assert!(reliable.handle_prack(at(4000), &prack("11 7 INVITE")));
        assert_eq!(sent(&mut reliable), ["183 12"]);
        assert!(!reliable.handle_prack(at(4100), &prack("11 7 INVITE")), "once only");
        assert!(reliable.is_waiting());
        assert!(reliable.handle_prack(at(4100), &prack("12  7 invite")));
        assert!(!reliable.is_waiting());
        assert_eq!(reliable.timeout(), None);
    }

    #[test]
    fn an_answer_without_prack_is_given_up_after_64_t1() {
        let mut reliable = Reliable::new(&config(), 10);
        reliable.send(at(0), request(Method::Invite, &[]).response(183, None));
        let mut times = 0;
        while let Some(next) = reliable.timeout() {
            reliable.handle_timeout(next);
            times += 1;
            assert!(next <= at(32_000));
        }
        assert_eq!(times, 7, "six resends, and the end");
        assert_eq!(sent(&mut reliable).last().unwrap(), "gave up");
    }

    #[test]
    fn only_an_answer_that_requires_it_is_acknowledged() {
        let invite = request(Method::Invite, &[]);
        let mut response = invite.response(183, None);
        response.headers.push("RSeq", "5");
        assert_eq!(rseq(&response.headers), None);
        response.headers.push("Require", "100rel");
        assert_eq!(rseq(&response.headers), Some(5));
        assert_eq!(rack(5, &response.headers), "5 7 INVITE");
    }
}
