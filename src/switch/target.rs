//! Where a SIP address leads to, as far as that can be said without asking the DNS.

use std::net::{IpAddr, SocketAddr};

use crate::{
    ids::InterfaceId,
    sip::{Config, Dialog, Headers, Hop, Interface, NameAddr, Scheme, Target, Transport, Uri},
    verbs::Failure,
};

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
    At(Target),
    Named { host: String, port: Option<u16>, transport: Option<Transport>, secure: bool },
}

/// Where `uri` leads to; else why nowhere.
pub(super) fn locate(uri: &Uri) -> Result<Place, &'static str> {
    if !uri.is_sip() {
        return Err("only sip: and sips: addresses can be called");
    }
    let secure = uri.scheme == Scheme::Sips;
    let transport = match uri.param("transport") {
        None => None,
        Some(word) => match word.and_then(Transport::from_word) {
            Some(transport) => Some(if secure { transport.secured() } else { transport }),
            None => return Err("none of our transports can carry the call"),
        },
    };
    if transport.is_some_and(|transport| !transport.can_connect()) {
        return Err("a WebSocket is opened by the peer: it is called over the connection that it made");
    }
    if uri.port == Some(0) || uri.host.is_empty() {
        return Err("nothing can be reached at that address");
    }
    Ok(match literal(uri) {
        Some(address) => Place::At(Target { transport: self::transport(uri), address }),
        None => Place::Named { host: uri.host.clone(), port: uri.port, transport, secure },
    })
}

/// The transport of `uri`; UDP where it says nothing, TLS where that is `sips:`.
fn transport(uri: &Uri) -> Transport {
    let named = uri.param("transport").flatten().and_then(Transport::from_word).unwrap_or(Transport::Udp);
    if uri.scheme == Scheme::Sips { named.secured() } else { named }
}

fn literal(uri: &Uri) -> Option<SocketAddr> {
    let bare = uri.host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(&uri.host);
    let ip: IpAddr = bare.parse().ok()?;
    Some(SocketAddr::new(ip, uri.port.unwrap_or(transport(uri).default_port())))
}

/// The way to `target`: from the first interface of the address's family that is reached over its transport, else from
/// the first of the family.
pub(super) fn hop(config: &Config, target: Target) -> Option<Hop> {
    let Target { transport, address: remote } = target;
    let fits = |i: &Interface| i.advertised.is_ipv6() == remote.is_ipv6();
    let listens = |i: &Interface| transport != Transport::Tls || i.tls.is_some();
    let mut interfaces = config.interfaces.iter();
    let at = interfaces.position(|i| fits(i) && listens(i)).or_else(|| config.interfaces.iter().position(fits))?;
    Some(Hop { transport, interface: InterfaceId(u8::try_from(at).ok()?), remote })
}

/// Where a dialog's requests go: to the first Route or the peer's Contact where that is an address, else the way the
/// dialog came. A connection is kept while the address is the same, and so is the way to a peer who tells a private
/// address but is seen under a public one.
pub(super) fn in_dialog(dialog: &Dialog) -> Hop {
    let (hop, uri) = (dialog.hop, dialog.next_hop_uri());
    match literal(&uri) {
        Some(remote) if remote.ip() == hop.remote.ip() && hop.transport.is_reliable() => hop,
        Some(_) if !transport(&uri).can_connect() => hop,
        Some(remote) if is_private(remote.ip()) && !is_private(hop.remote.ip()) => hop,
        Some(remote) if remote.port() != 0 && remote.is_ipv6() == hop.remote.is_ipv6() => {
            Hop { transport: transport(&uri), remote, ..hop }
        }
        Some(_) | None => hop,
    }
}

/// The way to the address that a dialog's next hop names, whatever connections there were; none where it names none.
pub(super) fn anew(dialog: &Dialog) -> Option<Hop> {
    let uri = dialog.next_hop_uri();
    let transport = transport(&uri);
    let remote =
        literal(&uri).filter(|remote| remote.port() != 0 && remote.is_ipv6() == dialog.hop.remote.is_ipv6())?;
    transport.can_connect().then_some(Hop { transport, remote, ..dialog.hop })
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
