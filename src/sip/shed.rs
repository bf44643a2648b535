//! 503 for a new call or message that is not even read: when we are behind, saying so must cost far less than the call
//! would.

use bytes::Bytes;

use super::{
    Hop, Output, Stack, Via,
    cseq::method_named,
    headers::Kind,
    lines::{Lines, field},
    routing::{self, Key},
    text,
};

/// The parts of a request that its answer repeats, in their order.
struct Repeated {
    via: Via,
    lines: String,
}

impl Stack {
    /// Answers `request`, which begins something, with 503 and Retry-After (RFC 3261 section 21.5.4), and leaves no
    /// trace: the peer's ACK of an INVITE is known by the tag ([`Glance::idle`](super::Glance::idle)). False: it is to be read, since it cannot be answered in
    /// this way, or came before.
    pub fn shed(&mut self, hop: Hop, request: &[u8], retry_after: u64) -> bool {
        let Some(Repeated { via, lines }) = self.repeated(hop, request) else { return false };
        let hop = routing::reply_hop(&via, hop);
        let mut answer = format!("SIP/2.0 503 Service Unavailable\r\n{lines}Retry-After: {retry_after}\r\n");
        if !self.config.agent.is_empty() {
            answer.push_str(&format!("Server: {}\r\n", self.config.agent));
        }
        answer.push_str("Content-Length: 0\r\n\r\n");
        self.counters.overloaded += 1;
        self.counters.refused += 1;
        self.out.push_back(Output::Send { hop, bytes: Bytes::from(answer) });
        true
    }

    fn repeated(&self, hop: Hop, request: &[u8]) -> Option<Repeated> {
        let mut lines = Lines::new(request);
        let method = method_named(lines.next()?.split(' ').next()?)?;
        let (mut top, mut out) = (None, String::with_capacity(512));
        let mut tag = None;
        let mut once = Vec::with_capacity(4);
        for line in lines {
            let Some((name, kind, value)) = field(&line) else { continue };
            match kind {
                Kind::Via if top.is_none() => {
                    let mut values = text::list(value, true);
                    let mut via = Via::parse(values.next()?).ok()?;
                    routing::mark_source(&mut via, hop);
                    // Without a branch of its own the ACK could not be told from another.
                    let key = Key::of(method, &via)?;
                    if self.keys.contains_key(&key) {
                        return None;
                    }
                    tag = Some(self.names.tag_of(key.as_str()));
                    out.push_str(&format!("Via: {via}\r\n"));
                    values.for_each(|via| out.push_str(&format!("Via: {via}\r\n")));
                    top = Some(via);
                }
                Kind::To => {
                    out.push_str(&format!("To: {value};tag={}\r\n", tag.as_ref()?));
                    once.push(kind);
                }
                Kind::Via | Kind::From | Kind::CallId | Kind::CSeq => {
                    out.push_str(&format!("{name}: {value}\r\n"));
                    if kind != Kind::Via {
                        once.push(kind);
                    }
                }
                Kind::ContentLength | Kind::List | Kind::Once | Kind::Text => {}
            }
        }
        let whole =
            once.len() == 4 && [Kind::From, Kind::To, Kind::CallId, Kind::CSeq].iter().all(|k| once.contains(k));
        whole.then_some(Repeated { via: top?, lines: out })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        ids::InterfaceId,
        sip::{Config, Interface, Limits, Message, Transport},
        time::Time,
    };

    fn stack() -> Stack {
        let config = Config {
            interfaces: vec![Interface::plain("192.0.2.1:5060".parse().unwrap())],
            t1: Duration::from_millis(500),
            t2: Duration::from_secs(4),
            t4: Duration::from_secs(5),
            timer_c: Duration::from_secs(180),
            max_message: 65_535,
            udp_limit: 65_535,
            max_headers: 100,
            max_transactions: 10,
            agent: "Switchhook".into(),
        };
        Stack::new(config, 1)
    }

    fn hop() -> Hop {
        let remote = "198.51.100.7:1024".parse().unwrap();
        Hop { transport: Transport::Udp, interface: InterfaceId(0), remote }
    }

    const REST: &str = "v: SIP/2.0/UDP b;branch=2, SIP/2.0/UDP c;branch=3\r\nf: Anna <sip:a@b>;tag=1\r\n\
                        To: <sip:100@h>\r\nCall-ID: x@y\r\n";

    fn text(method: &str, to_tag: &str) -> String {
        let rest = REST.replace("<sip:100@h>", &format!("<sip:100@h>{to_tag}"));
        format!(
            "{method} sip:100@h SIP/2.0\r\nVia: SIP/2.0/UDP a:5070;branch=z9hG4bK1;rport\r\n{rest}CSeq: 1 {method}\r\n\
             Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
        )
    }

    #[test]
    fn a_call_that_is_shed_gets_a_proper_503_and_its_ack_leaves_no_trace() {
        let mut stack = stack();
        assert!(stack.shed(hop(), text("INVITE", "").as_bytes(), 5));
        let Some(Output::Send { hop: to, bytes }) = stack.poll() else { panic!("an answer") };
        assert_eq!(to, hop(), "rport was asked for");
        let limits = Limits { max_headers: 100, max_message: 65_535 };
        let Ok(Message::Response(answer)) = Message::parse(&bytes, &limits) else { panic!("a response") };
        let headers = &answer.headers;
        assert_eq!((answer.code, headers.get("Retry-After"), headers.cseq.number), (503, Some("5"), 1));
        assert_eq!(headers.via.len(), 3);
        assert_eq!(headers.via[0].rport(), Some(Some(1024)));
        assert_eq!((headers.call_id.as_str(), headers.from.tag()), ("x@y", Some("1")));
        let tag = format!(";tag={}", headers.to.tag().expect("a tag"));
        stack.handle_datagram(Time::START, hop(), text("ACK", &tag).as_bytes());
        assert!(stack.poll().is_none() && stack.is_empty(), "the ACK is nobody else's business");
    }

    #[test]
    fn the_same_call_gets_the_same_tag_again() {
        let mut stack = stack();
        let mut shed = || {
            assert!(stack.shed(hop(), text("INVITE", "").as_bytes(), 5));
            match stack.poll() {
                Some(Output::Send { bytes, .. }) => bytes,
                Some(Output::Event(_)) | None => panic!("an answer"),
            }
        };
        assert_eq!(shed(), shed());
    }

    #[test]
    fn a_message_is_shed_as_a_call_is_unless_it_came_before() {
        let mut stack = stack();
        let message = text("MESSAGE", "");
        assert!(stack.shed(hop(), message.as_bytes(), 5));
        let Some(Output::Send { bytes, .. }) = stack.poll() else { panic!("an answer") };
        assert!(bytes.starts_with(b"SIP/2.0 503 ") && bytes.windows(11).any(|w| w == b"1 MESSAGE\r\n"));
        assert!(stack.poll().is_none() && stack.is_empty());
        // One that is being seen to is not refused when it comes again.
        stack.handle_datagram(Time::START, hop(), message.as_bytes());
        assert!(matches!(stack.poll(), Some(Output::Event(_))));
        assert!(!stack.shed(hop(), message.as_bytes(), 5));
        assert!(stack.shed(hop(), text("INVITE", "").as_bytes(), 5), "the same branch, but another request");
    }

    #[test]
    fn what_lacks_a_part_of_its_answer_is_left_to_the_reader() {
        let whole = text("INVITE", "");
        for line in
            ["Via: SIP/2.0/UDP a:5070;branch=z9hG4bK1;rport\r\n", "f: Anna <sip:a@b>;tag=1\r\n", "Call-ID: x@y\r\n"]
        {
            let mut stack = stack();
            assert!(!stack.shed(hop(), whole.replace(line, "").as_bytes(), 5), "{line}");
            assert!(stack.poll().is_none());
        }
        assert!(!stack().shed(hop(), whole.replace("z9hG4bK1", "1").as_bytes(), 5), "RFC 2543");
        assert!(!stack().shed(hop(), whole.replace("CSeq", "CSeq: 1 INVITE\r\nCSeq").as_bytes(), 5), "twice");
        assert!(!stack().shed(hop(), b"", 5));
    }
}
