//! The addresses that the server listens on: each `[[interface]]` opened, wildcards as one interface an address.

use std::{io, net::SocketAddr};

use crate::{
    conf::{Conf, InterfaceConf},
    ids::InterfaceId,
    io::{BindError, InterfaceAddress, interfaces::expand, streams, udp},
    sip::{Interface, Transport},
};

/// One interface that was opened.
pub(super) struct Opened {
    pub udp: std::net::UdpSocket,
    /// Those for connections, by what is spoken on them.
    pub listeners: Vec<(Transport, std::net::TcpListener)>,
    /// What is bound.
    pub bound: SocketAddr,
    /// What Via and Contact say.
    pub sip: Interface,
    /// What media uses.
    pub media: InterfaceAddress,
}

impl Opened {
    /// Its number, when it is the `index`-th that was opened.
    pub(super) fn id(&self, index: usize) -> InterfaceId {
        InterfaceId(u8::try_from(index).expect("checked when it was opened"))
    }
}

impl Opened {
    /// What an operator is told: `udp 192.0.2.1:5060, tcp, tls 5061`.
    pub(super) fn told(&self) -> String {
        let mut told = format!("udp {}", self.bound);
        for (transport, socket) in &self.listeners {
            told += ", ";
            told += &transport.as_str().to_ascii_lowercase();
            let port = socket.local_addr().map_or(self.bound.port(), |address| address.port());
            if port != self.bound.port() {
                told += &format!(" {port}");
            }
        }
        told
    }
}

/// Why an interface could not be opened; names its key.
#[derive(Debug, thiserror::Error)]
#[error("interface[{index}].bind: {source}")]
pub struct InterfaceError {
    index: usize,
    source: BindError,
}

/// How often a free port is tried when the port is left to the system: UDP and TCP must get the same one.
const TRIES: usize = 20;

/// Open all of them.
pub(super) fn open(conf: &Conf) -> Result<Vec<Opened>, InterfaceError> {
    let mut opened = Vec::new();
    for (index, interface) in conf.interfaces.iter().enumerate() {
        let failed = |source| InterfaceError { index, source };
        let addresses = expand(interface.bind)
            .map_err(|source| failed(BindError { what: "SIP", address: interface.bind, source }))?;
        for address in addresses {
            match open_one(conf, interface, address) {
                Ok((udp, listeners, bound)) => {
                    let ip = interface.advertise.map_or(bound.ip(), |advertise| advertise.ip);
                    let port = interface.advertise.and_then(|advertise| advertise.port).unwrap_or(bound.port());
                    opened.push(Opened {
                        sip: reached(SocketAddr::new(ip, port), &listeners),
                        udp,
                        listeners,
                        bound,
                        media: InterfaceAddress { bind: bound.ip(), advertised: ip },
                    });
                }
                Err(error) if interface.allow_busy => tracing::warn!(%error, "going on without this interface"),
                Err(error) => return Err(failed(error)),
            }
        }
    }
    Ok(opened)
}

type Listeners = Vec<(Transport, std::net::TcpListener)>;
type Sockets = (std::net::UdpSocket, Listeners, SocketAddr);

fn open_one(conf: &Conf, interface: &InterfaceConf, address: SocketAddr) -> Result<Sockets, BindError> {
    let (udp, tcp, bound) = open_pair(conf, address)?;
    let mut listeners: Listeners = tcp.map(|tcp| (Transport::Tcp, tcp)).into_iter().collect();
    for (transport, port) in interface.ports {
        let Some(port) = port else { continue };
        if transport.is_secure() && conf.tls.certificate.is_none() {
            let source = io::Error::other("tls.certificate is empty; allowed: a PEM file");
            return Err(BindError { what: what(transport), address, source });
        }
        let at = SocketAddr::new(bound.ip(), port);
        listeners.push((transport, streams::listen(what(transport), at, conf.sip.dscp)?));
    }
    Ok((udp, listeners, bound))
}

fn what(transport: Transport) -> &'static str {
    match transport {
        Transport::Udp => "SIP over UDP",
        Transport::Tcp => "SIP over TCP",
        Transport::Tls => "SIP over TLS",
        Transport::Ws => "SIP over WebSocket",
        Transport::Wss => "SIP over secure WebSocket",
    }
}

/// UDP, and TCP on the same port.
fn open_pair(
    conf: &Conf,
    address: SocketAddr,
) -> Result<(std::net::UdpSocket, Option<std::net::TcpListener>, SocketAddr), BindError> {
    let mut tries = if address.port() == 0 { TRIES } else { 1 };
    loop {
        tries -= 1;
        let udp = udp::bind(address, conf.sip.dscp)?;
        let bound = udp.local_addr().map_err(|source| BindError { what: what(Transport::Udp), address, source })?;
        if !conf.sip.tcp {
            return Ok((udp, None, bound));
        }
        match streams::listen(what(Transport::Tcp), bound, conf.sip.dscp) {
            Ok(tcp) => return Ok((udp, Some(tcp), bound)),
            Err(error) if tries == 0 => return Err(error),
            Err(_) => {}
        }
    }
}

/// What Via and Contact say: ports are told as they are bound, only that of UDP and TCP may be another one outside.
fn reached(advertised: SocketAddr, listeners: &Listeners) -> Interface {
    let port = |wanted| {
        let listener = listeners.iter().find(|(transport, _)| *transport == wanted);
        listener.and_then(|(_, socket)| socket.local_addr().ok()).map(|address| address.port())
    };
    let (tls, ws, wss) = (port(Transport::Tls), port(Transport::Ws), port(Transport::Wss));
    Interface { tls, ws, wss, ..Interface::plain(advertised) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_names_the_key_and_the_address() {
        let taken = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let text = format!("[[interface]]\nbind = \"{}\"\n", taken.local_addr().unwrap());
        let told = open(&Conf::read("x", &text).unwrap()).err().unwrap().to_string();
        assert!(told.starts_with("interface[0].bind: ") && told.contains("in use"), "{told}");
        let conf = Conf::read("x", &format!("{text}allow_busy = true\n")).unwrap();
        assert!(open(&conf).unwrap().is_empty(), "it may go on without");
    }

    #[test]
    fn a_free_port_is_the_same_for_udp_and_tcp_and_the_advertised_address_is_told() {
        let conf = Conf::read("x", "[[interface]]\nbind = \"127.0.0.1:0\"\nadvertise = \"203.0.113.5\"\n").unwrap();
        let opened = open(&conf).unwrap();
        assert_eq!(opened.len(), 1);
        assert_eq!(opened[0].listeners[0].1.local_addr().unwrap(), opened[0].bound);
        assert_eq!(opened[0].sip.advertised.ip(), "203.0.113.5".parse::<std::net::IpAddr>().unwrap());
        assert_eq!(opened[0].sip.advertised.port(), opened[0].bound.port());
        assert_eq!(opened[0].media.bind, opened[0].bound.ip());
    }

    #[test]
    fn tls_without_a_certificate_names_the_key() {
        let conf = Conf::read("x", "[[interface]]\nbind = \"127.0.0.1:0\"\ntls = 0\n").unwrap();
        let told = open(&conf).err().unwrap().to_string();
        assert!(told.contains("SIP over TLS") && told.contains("tls.certificate is empty"), "{told}");
    }

    #[test]
    fn each_transport_has_its_port_and_is_told() {
        let text = "[[interface]]\nbind = \"127.0.0.1:0\"\nws = 0\n";
        let opened = open(&Conf::read("x", text).unwrap()).unwrap().remove(0);
        let ws = opened.sip.ws.expect("it listens");
        assert_ne!(ws, opened.bound.port());
        assert_eq!(opened.told(), format!("udp {}, tcp, ws {ws}", opened.bound));
        assert_eq!((opened.sip.tls, opened.sip.wss), (None, None));
    }
}
