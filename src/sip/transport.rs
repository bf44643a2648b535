//! What SIP travels on (RFC 3261 section 18; WebSocket: RFC 7118), where peers are, and how we are reached.

use std::net::SocketAddr;

use crate::ids::InterfaceId;

/// What a message travels on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// Datagrams.
    Udp,
    /// A stream, framed by Content-Length.
    Tcp,
    /// The same, encrypted.
    Tls,
    /// WebSocket: one message a frame. The peer is the one who connects.
    Ws,
    /// The same, encrypted.
    Wss,
}

impl Transport {
    /// All there are.
    pub const ALL: [Transport; 5] = [Transport::Udp, Transport::Tcp, Transport::Tls, Transport::Ws, Transport::Wss];

    /// As Via says it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Transport::Udp => "UDP",
            Transport::Tcp => "TCP",
            Transport::Tls => "TLS",
            Transport::Ws => "WS",
            Transport::Wss => "WSS",
        }
    }

    /// As scripts see it.
    pub const fn name(self) -> &'static str {
        match self {
            Transport::Udp => "udp",
            Transport::Tcp => "tcp",
            Transport::Tls => "tls",
            Transport::Ws => "ws",
            Transport::Wss => "wss",
        }
    }

    /// As the parameter `transport` of a `sip:` address says it. Secure WebSocket has no word of its own there: it is
    /// `ws` (RFC 7118 section 5.2.2). `tls` is what everybody writes, though RFC 3261 section 26.2.2 discourages it.
    pub const fn param(self) -> &'static str {
        match self {
            Transport::Udp => "udp",
            Transport::Tcp => "tcp",
            Transport::Tls => "tls",
            Transport::Ws | Transport::Wss => "ws",
        }
    }

    /// The transport that a word of Via or of the parameter `transport` names.
    pub fn from_word(word: &str) -> Option<Transport> {
        Transport::ALL.into_iter().find(|transport| transport.as_str().eq_ignore_ascii_case(word))
    }

    /// True where the transport itself resends what is lost.
    pub const fn is_reliable(self) -> bool {
        match self {
            Transport::Udp => false,
            Transport::Tcp | Transport::Tls | Transport::Ws | Transport::Wss => true,
        }
    }

    /// True where nobody on the way can read along.
    pub const fn is_secure(self) -> bool {
        match self {
            Transport::Udp | Transport::Tcp | Transport::Ws => false,
            Transport::Tls | Transport::Wss => true,
        }
    }

    /// The same, encrypted; UDP becomes TLS (RFC 3261 section 26.2.2: `sips:` goes over TLS).
    pub const fn secured(self) -> Transport {
        match self {
            Transport::Udp | Transport::Tcp | Transport::Tls => Transport::Tls,
            Transport::Ws | Transport::Wss => Transport::Wss,
        }
    }

    /// Where SIP is where no port is named.
    pub const fn default_port(self) -> u16 {
        match self {
            Transport::Udp | Transport::Tcp => 5060,
            Transport::Tls => 5061,
            Transport::Ws => 80,
            Transport::Wss => 443,
        }
    }

    /// True where we may open the connection ourselves. A WebSocket is opened by the browser (RFC 7118 section 4).
    pub const fn can_connect(self) -> bool {
        match self {
            Transport::Udp | Transport::Tcp | Transport::Tls => true,
            Transport::Ws | Transport::Wss => false,
        }
    }
}

/// One step to a peer: over which transport, from which of our interfaces, to whom. For a stream, `remote` names the
/// connection, be it ours or theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hop {
    /// Over what.
    pub transport: Transport,
    /// From where.
    pub interface: InterfaceId,
    /// To whom.
    pub remote: SocketAddr,
}

/// Where a request may be sent to: one of the places that a name leads to (RFC 3263).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target {
    /// Over what.
    pub transport: Transport,
    /// To whom.
    pub address: SocketAddr,
}

/// How we are reached on one interface; goes into Via and Contact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Address and port of UDP and TCP to put into Via and Contact (the advertised ones where there is NAT).
    pub advertised: SocketAddr,
    /// Port of TLS, where it is listened to.
    pub tls: Option<u16>,
    /// Port of WebSocket, where it is listened to.
    pub ws: Option<u16>,
    /// Port of secure WebSocket, where it is listened to.
    pub wss: Option<u16>,
}

impl Interface {
    /// With UDP and TCP only.
    pub const fn plain(advertised: SocketAddr) -> Interface {
        Interface { advertised, tls: None, ws: None, wss: None }
    }

    /// Where peers reach us over `transport`. Where nobody listens for it, the port is that of UDP: such peers are
    /// called, and answer over the same connection.
    pub fn reached(&self, transport: Transport) -> SocketAddr {
        let port = match transport {
            Transport::Udp | Transport::Tcp => None,
            Transport::Tls => self.tls,
            Transport::Ws => self.ws,
            Transport::Wss => self.wss,
        };
        SocketAddr::new(self.advertised.ip(), port.unwrap_or(self.advertised.port()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_back_in_any_case() {
        for transport in Transport::ALL {
            assert_eq!(Transport::from_word(transport.as_str()), Some(transport));
            assert_eq!(Transport::from_word(&transport.as_str().to_lowercase()), Some(transport));
        }
        assert_eq!(Transport::from_word("SCTP"), None);
    }

    #[test]
    fn what_is_secured_is_secure_and_stays_so() {
        for transport in Transport::ALL {
            assert!(transport.secured().is_secure());
            assert_eq!(transport.secured().secured(), transport.secured());
        }
    }

    #[test]
    fn each_transport_is_reached_on_its_own_port() {
        let advertised: SocketAddr = "192.0.2.1:5060".parse().unwrap();
        let interface = Interface { tls: Some(5061), ws: Some(8080), ..Interface::plain(advertised) };
        let port = |transport| interface.reached(transport).port();
        assert_eq!(Transport::ALL.map(port), [5060, 5060, 5061, 8080, 5060]);
    }
}
