//! Requests too large for a datagram (RFC 3261 section 18.1.1): they go over TCP. Where the peer refuses that, or says
//! nothing there for a while, the same request goes over UDP after all; to the peer it is one and the same transaction.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use super::{
    Hop, Request, Stack, Transport,
    client::Client,
    invite_client::InviteClient,
    transaction::{ClientMachine, Tx},
};
use crate::time::Time;

/// How long a peer is known to take no TCP.
const KNOWN: Duration = Duration::from_secs(600);
/// How many of them are known at a time.
const MOST: usize = 1024;

/// What goes over UDP where TCP will not do.
#[derive(Debug)]
pub struct Fallback {
    /// The request, Via and all.
    request: Box<Request>,
    /// TCP has so long.
    pub at: Time,
}

/// Peers that take no TCP, each until when this is believed.
#[derive(Debug, Default)]
pub struct UdpOnly(BTreeMap<SocketAddr, Time>);

impl UdpOnly {
    fn contains(&self, now: Time, peer: SocketAddr) -> bool {
        self.0.get(&peer).is_some_and(|until| *until > now)
    }

    fn insert(&mut self, now: Time, peer: SocketAddr) {
        self.0.retain(|_, until| *until > now);
        if self.0.len() < MOST {
            self.0.insert(peer, now + KNOWN);
        }
    }
}

impl Stack {
    /// Turns a request to TCP that is too large for `hop`. Gives the way, and what to go back to.
    pub(super) fn choose_way(
        &self,
        now: Time,
        request: &mut Request,
        length: usize,
        hop: Hop,
    ) -> (Hop, Option<Fallback>) {
        let fits = hop.transport != Transport::Udp || length <= self.config.udp_limit;
        if fits || self.udp_only.contains(now, hop.remote) {
            return (hop, None);
        }
        let fallback = Fallback { request: Box::new(request.clone()), at: now + 2 * self.timers.t1 };
        let over_tcp = Hop { transport: Transport::Tcp, ..hop };
        if let Some(via) = request.headers.via.first_mut() {
            via.transport = Transport::Tcp.as_str().to_owned();
        }
        tracing::debug!(remote = %hop.remote, length, "too large for a datagram: over TCP");
        (over_tcp, Some(fallback))
    }

    /// TCP will not do. False where there is nothing to go back to.
    pub(super) fn fall_back(&mut self, now: Time, tx: Tx) -> bool {
        let (Tx::Client(id) | Tx::Cancel(id)) = tx else { return false };
        let Some(entry) = self.clients.get_mut(&tx) else { return false };
        let Some(Fallback { mut request, .. }) = entry.fallback.take() else { return false };
        self.hops.remove(&(entry.hop, tx));
        entry.hop.transport = Transport::Udp;
        self.hops.insert((entry.hop, tx));
        self.udp_only.insert(now, entry.hop.remote);
        let bytes = request.to_bytes();
        entry.machine = match &entry.machine {
            ClientMachine::Invite { reason, .. } => {
                let machine = InviteClient::new(now, self.timers, id, bytes, false);
                request.body = Default::default();
                ClientMachine::Invite { machine, invite: Some(request), reason: reason.clone() }
            }
            ClientMachine::Other(_) => ClientMachine::Other(Client::new(now, self.timers, id, bytes, false)),
        };
        tracing::info!(remote = %entry.hop.remote, "no TCP there: a large request goes over UDP");
        true
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{CSeq, Config, Event, Failure, Headers, Message, Method, Output, Uri, stack_tests},
        *,
    };
    use crate::{ids::InterfaceId, sip::Limits};

    const LIMITS: Limits = Limits { max_headers: 100, max_message: 65_535 };

    fn at(ms: u64) -> Time {
        Time::START + Duration::from_millis(ms)
    }

    fn stack() -> Stack {
        let config = Config { udp_limit: 1300, ..stack_tests::config() };
        Stack::new(config, 1)
    }

    fn hop(transport: Transport) -> Hop {
        Hop { transport, interface: InterfaceId(0), remote: "198.51.100.2:5060".parse().unwrap() }
    }

    fn request(method: Method, size: usize) -> Request {
        let from = "<sip:a@192.0.2.1>;tag=1".parse().unwrap();
        let to = "<sip:b@198.51.100.2>".parse().unwrap();
        let headers = Headers::new(from, to, "call".to_owned(), CSeq { number: 1, method });
        let uri: Uri = "sip:b@198.51.100.2".parse().unwrap();
        Request { method, uri, headers, body: vec![b'x'; size].into() }
    }

    /// Transport and text of what is sent, and events as text.
    fn drain(stack: &mut Stack) -> Vec<(Transport, Message)> {
        let mut sent = Vec::new();
        while let Some(output) = stack.poll() {
            if let Output::Send { hop, bytes } = output {
                sent.push((hop.transport, Message::parse(&bytes, &LIMITS).unwrap()));
            }
        }
        sent
    }

    fn via(message: &Message) -> (String, String) {
        let Message::Request(request) = message else { panic!("a request was expected") };
        let via = &request.headers.via[0];
        (via.transport.clone(), via.branch().unwrap().to_owned())
    }

    #[test]
    fn a_large_request_goes_over_tcp_and_a_small_one_over_udp() {
        let mut stack = stack();
        stack.request(at(0), request(Method::Invite, 200), hop(Transport::Udp));
        assert_eq!(drain(&mut stack)[0].0, Transport::Udp);
        stack.request(at(0), request(Method::Invite, 2000), hop(Transport::Udp));
        let sent = drain(&mut stack);
        assert_eq!((sent[0].0, via(&sent[0].1).0.as_str()), (Transport::Tcp, "TCP"));
    }

    #[test]
    fn refused_tcp_sends_it_over_udp_with_the_same_branch_and_the_peer_is_remembered() {
        for method in [Method::Invite, Method::Message] {
            let mut stack = stack();
            stack.request(at(0), request(method, 2000), hop(Transport::Udp));
            let first = drain(&mut stack);
            stack.handle_transport_failed(at(10), hop(Transport::Tcp));
            let second = drain(&mut stack);
            assert_eq!(second.len(), 1);
            assert_eq!((second[0].0, via(&second[0].1).0.as_str()), (Transport::Udp, "UDP"));
            assert_eq!(via(&first[0].1).1, via(&second[0].1).1);
            stack.request(at(20), request(method, 2000), hop(Transport::Udp));
            assert_eq!(drain(&mut stack)[0].0, Transport::Udp, "TCP is not tried again");
            stack.request(at(700_000), request(method, 2000), hop(Transport::Udp));
            assert!(drain(&mut stack).iter().any(|(transport, _)| *transport == Transport::Tcp), "after a while it is");
        }
    }

    #[test]
    fn silence_on_tcp_sends_it_over_udp_after_a_second() {
        let mut stack = stack();
        stack.request(at(0), request(Method::Invite, 2000), hop(Transport::Udp));
        drain(&mut stack);
        assert_eq!(stack.timeout(), Some(at(1000)));
        stack.handle_timeout(at(1000));
        assert_eq!(drain(&mut stack)[0].0, Transport::Udp);
        assert_eq!(stack.timeout(), Some(at(1500)), "from then on it is resent as over UDP");
    }

    #[test]
    fn an_answer_over_tcp_settles_that_tcp_is_used() {
        let mut stack = stack();
        stack.request(at(0), request(Method::Invite, 2000), hop(Transport::Udp));
        let Message::Request(sent) = drain(&mut stack).remove(0).1 else { panic!("a request was expected") };
        stack.handle_datagram(at(100), hop(Transport::Tcp), &sent.response(100, None).to_bytes());
        stack.handle_timeout(at(5000));
        assert!(drain(&mut stack).is_empty());
        stack.handle_transport_failed(at(6000), hop(Transport::Tcp));
        let failed = std::iter::from_fn(|| stack.poll())
            .any(|output| matches!(output, Output::Event(Event::Failed { why: Failure::Transport, .. })));
        assert!(failed, "a connection that breaks later is a failure");
    }

    #[test]
    fn a_call_that_is_cancelled_before_is_not_sent_again() {
        let mut stack = stack();
        let tx = stack.request(at(0), request(Method::Invite, 2000), hop(Transport::Udp));
        stack.cancel(at(10), tx, None);
        drain(&mut stack);
        stack.handle_transport_failed(at(20), hop(Transport::Tcp));
        assert!(drain(&mut stack).is_empty());
        assert!(stack.is_empty());
    }
}
