//! The way of answers (RFC 3261 sections 18.2 and 17.2.3, RFC 3581): which transaction a request belongs to, and where
//! its answer goes.

use std::{
    fmt::Write,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use super::{Hop, Method, Request, Transport, Via, branch, cseq::method_name};

/// Where SIP is where no port is named.
const DEFAULT_PORT: u16 = 5060;

/// What tells one server transaction from another (section 17.2.3). An ACK has the key of its INVITE.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key(Arc<str>);

impl Key {
    /// The key of the transaction of `method` that `request` belongs to: its own method, or INVITE for ACK and for what
    /// a CANCEL is about. `None` where there is no Via.
    pub fn new(request: &Request, method: Method) -> Option<Key> {
        let headers = &request.headers;
        let via = headers.via.first()?;
        let mut key = String::with_capacity(96);
        let method = method_name(method);
        let done = match via.branch() {
            Some(branch) if branch::is_unique(branch) => return Some(Key::unique(method, branch, via)),
            // RFC 2543 without the To-tag, which an ACK has and its INVITE has not; in a dialog CSeq tells them apart.
            Some(_) | None => {
                let (from, call_id, number) = (tag(request), &headers.call_id, headers.cseq.number);
                write!(key, "{method}\n{via}\n{from}\n{call_id}\n{number}\n{}", request.uri)
            }
        };
        done.expect("writing to a string cannot fail");
        Some(Key(key.into()))
    }

    /// The key of a request of which nothing but method and topmost Via is known. `None` where the branch is not unique.
    pub fn of(method: Method, via: &Via) -> Option<Key> {
        let branch = via.branch().filter(|branch| branch::is_unique(branch))?;
        Some(Key::unique(method_name(method), branch, via))
    }

    fn unique(method: &str, branch: &str, via: &Via) -> Key {
        let (host, port) = (via.host.to_ascii_lowercase(), via.port.unwrap_or(DEFAULT_PORT));
        Key(format!("{method}\n{branch}\n{host}\n{port}").into())
    }

    /// The key as text; it never contains what would let two keys be taken for one.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What two requests have in common that are one and came by different ways (section 8.2.2.2). `None` within a dialog.
pub fn merge_key(request: &Request) -> Option<Box<str>> {
    let headers = &request.headers;
    if headers.to.tag().is_some() {
        return None;
    }
    let (from, call_id, cseq) = (tag(request), &headers.call_id, headers.cseq);
    Some(format!("{cseq}\n{from}\n{call_id}").into())
}

fn tag(request: &Request) -> &str {
    request.headers.from.tag().unwrap_or("")
}

/// Writes down in `via` where the request really came from (section 18.2.1; RFC 3581 section 4).
pub fn mark_source(via: &mut Via, hop: Hop) {
    let source = hop.remote;
    let asked = via.rport().is_some();
    if asked {
        via.set_param("rport", Some(&source.port().to_string()));
    }
    if asked || host_address(&via.host) != Some(source.ip()) {
        via.set_param("received", Some(&source.ip().to_string()));
    }
}

/// Where the answer to a request goes that came over `hop` with `via` (section 18.2.2). It never goes to another host
/// than the request came from: `maddr` would make us a tool for flooding third parties.
pub fn reply_hop(via: &Via, hop: Hop) -> Hop {
    match hop.transport {
        Transport::Tcp | Transport::Tls | Transport::Ws | Transport::Wss => hop,
        Transport::Udp if via.rport().is_some() || via.port == Some(0) => hop,
        Transport::Udp => {
            let port = via.port.unwrap_or(DEFAULT_PORT);
            Hop { remote: SocketAddr::new(hop.remote.ip(), port), ..hop }
        }
    }
}

/// Our own Via for a request over `transport`, reached at `advertised`.
pub fn own_via(transport: Transport, advertised: SocketAddr, number: u64) -> Via {
    let params = vec![("branch".to_owned(), Some(branch::branch(number))), ("rport".to_owned(), None)];
    let host = match advertised.ip() {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    };
    Via { transport: transport.as_str().to_owned(), host, port: Some(advertised.port()), params }
}

/// True where `via` names us, reached at `advertised`.
pub fn is_own(via: &Via, advertised: SocketAddr) -> bool {
    via.port.unwrap_or(DEFAULT_PORT) == advertised.port() && host_address(&via.host) == Some(advertised.ip())
}

fn host_address(host: &str) -> Option<IpAddr> {
    host.trim_matches(['[', ']']).parse().ok()
}
