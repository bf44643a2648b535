//! Where a SIP address leads to, as far as that can be said without asking the DNS.

use std::net::{IpAddr, SocketAddr};

use crate::{
    ids::InterfaceId,
    sip::{Config, Dialog, Headers, Hop, NameAddr, Scheme, Transport, Uri},
    verbs::Failure,
};

const SIP_PORT: u16 = 5060;

/// Header fields that are the stack's own, or that would change what an INVITE means. Those of an extra header are
/// compared case ignored; one-letter names are all compact forms of these.
const OWN: [&str; 27] = [
    "accept",
    "allow",
    "authorization",
    "call-id",
    "contact",
    "content-disposition",
    "content-encoding",
    "content-length",
    "content-type",
    "cseq",
    "date",
    "from",
    "max-forwards",
    "mime-version",
    "min-se",
    "proxy-authorization",
    "proxy-require",
    "record-route",
    "replaces",
    "require",
    "route",
    "session-expires",
    "supported",
    "timestamp",
    "to",
    "user-agent",
    "via",
];

/// Where a target is.
pub(super) enum Place {
    At(SocketAddr),
    Named { host: String, port: Option<u16>, transport: Option<Transport> },
}

/// Where `uri` leads to; else why nowhere.
pub(super) fn locate(uri: &Uri) -> Result<Place, &'static str> {
    if uri.scheme != Scheme::Sip {
        return Err("only sip: addresses can be called");
    }
    let transport = match uri.param("transport") {
        None => None,
        Some(Some(name)) if name.eq_ignore_ascii_case("udp") => Some(Transport::Udp),
        Some(Some(name)) if name.eq_ignore_ascii_case("tcp") => Some(Transport::Tcp),
        Some(_) => return Err("only UDP and TCP can carry the call"),
    };
    if uri.port == Some(0) || uri.host.is_empty() {
        return Err("nothing can be reached at that address");
    }
    Ok(match literal(uri) {
        Some(address) => Place::At(address),
        None => Place::Named { host: uri.host.clone(), port: uri.port, transport },
    })
}

/// The transport of `uri`; UDP where it says nothing.
pub(super) fn transport(uri: &Uri) -> Transport {
    match uri.param("transport").flatten() {
        Some(name) if name.eq_ignore_ascii_case("tcp") => Transport::Tcp,
        Some(_) | None => Transport::Udp,
    }
}

fn literal(uri: &Uri) -> Option<SocketAddr> {
    let bare = uri.host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(&uri.host);
    let ip: IpAddr = bare.parse().ok()?;
    Some(SocketAddr::new(ip, uri.port.unwrap_or(SIP_PORT)))
}

/// The first interface of the address's family.
pub(super) fn interface(config: &Config, to: SocketAddr) -> Option<InterfaceId> {
    let at = config.interfaces.iter().position(|i| i.advertised.is_ipv6() == to.is_ipv6())?;
    u8::try_from(at).ok().map(InterfaceId)
}

/// Where a dialog's requests go: to the first Route or the peer's Contact where that is an address, else the way the
/// dialog came. A connection is kept while the address is the same, and so is the way to a peer who tells a private
/// address but is seen under a public one.
pub(super) fn in_dialog(dialog: &Dialog) -> Hop {
    let (hop, uri) = (dialog.hop, dialog.next_hop_uri());
    match literal(&uri) {
        Some(remote) if remote.ip() == hop.remote.ip() && hop.transport == Transport::Tcp => hop,
        Some(remote) if is_private(remote.ip()) && !is_private(hop.remote.ip()) => hop,
        Some(remote) if remote.port() != 0 && remote.is_ipv6() == hop.remote.is_ipv6() => {
            Hop { transport: transport(&uri), remote, ..hop }
        }
        Some(_) | None => hop,
    }
}

fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_private() || ip.is_link_local() || ip.is_loopback() || ip.is_unspecified(),
        IpAddr::V6(ip) => (ip.segments()[0] & 0xfe00) == 0xfc00 || ip.is_loopback() || ip.is_unspecified(),
    }
}

/// What goes into To: the address without the headers and the transport, which belong to the way, not to the person.
pub(super) fn bare(uri: &Uri) -> Uri {
    let mut bare = uri.clone();
    bare.headers.clear();
    bare.params.clear();
    bare
}

/// How records name a target: its user, else its host.
pub(super) fn shown(uri: &Uri) -> String {
    uri.user_decoded().unwrap_or_else(|| uri.host.clone())
}

/// From, with our tag. `number` is shown to the target; it may be anything that the user part of an address can be.
pub(super) fn from(number: &str, contact: &NameAddr, tag: &str) -> Result<NameAddr, Failure> {
    let host = contact.uri.host.clone();
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.!~*'()&=+$,;?/%#".contains(c);
    if number.is_empty() || !number.chars().all(allowed) {
        return Err(Failure::WrongState);
    }
    let user = number.replace('#', "%23");
    let uri = Uri::parse(&format!("sip:{user}@{host}")).map_err(|_| Failure::WrongState)?;
    let mut from = NameAddr::new(uri);
    from.set_tag(tag);
    Ok(from)
}

/// True where these header fields may be added to an INVITE: proper names that are not the stack's own, values without
/// line ends.
pub(super) fn may_add(headers: &[(String, String)]) -> bool {
    let token = |c: char| c.is_ascii_alphanumeric() || "-.!%*_+`'~".contains(c);
    headers.iter().all(|(name, value)| {
        name.len() > 1
            && name.chars().all(token)
            && !OWN.iter().any(|own| own.eq_ignore_ascii_case(name))
            && !value.chars().any(char::is_control)
    })
}

/// The header fields of an INVITE that a script gets to see.
pub(super) fn extras(headers: &Headers) -> Vec<(String, String)> {
    let own = headers.others().filter(|(name, _)| name.len() > 2 && name[..2].eq_ignore_ascii_case("x-"));
    own.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}
