//! The addresses that the server listens on: each `[[interface]]` opened, wildcards as one interface an address.

use std::net::SocketAddr;

use crate::{
    conf::Conf,
    ids::InterfaceId,
    io::{BindError, InterfaceAddress, interfaces::expand, streams, udp},
    sip::Interface,
    switch::Access,
};

/// One interface that was opened.
pub(super) struct Opened {
    pub udp: std::net::UdpSocket,
    pub tcp: Option<std::net::TcpListener>,
    /// What is bound.
    pub bound: SocketAddr,
    /// What Via and Contact say.
    pub sip: Interface,
    /// Who may talk to it.
    pub access: Access,
    /// What media uses.
    pub media: InterfaceAddress,
}

impl Opened {
    /// Its number, when it is the `index`-th that was opened.
    pub(super) fn id(&self, index: usize) -> InterfaceId {
        InterfaceId(u8::try_from(index).expect("checked when it was opened"))
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
            match open_one(conf, address) {
                Ok((udp, tcp, bound)) => {
                    let ip = interface.advertise.map_or(bound.ip(), |advertise| advertise.ip);
                    let port = interface.advertise.and_then(|advertise| advertise.port).unwrap_or(bound.port());
                    opened.push(Opened {
                        udp,
                        tcp,
                        bound,
                        access: interface.access.clone(),
                        sip: Interface { advertised: SocketAddr::new(ip, port) },
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

type Sockets = (std::net::UdpSocket, Option<std::net::TcpListener>, SocketAddr);

fn open_one(conf: &Conf, address: SocketAddr) -> Result<Sockets, BindError> {
    let mut tries = if address.port() == 0 { TRIES } else { 1 };
    loop {
        tries -= 1;
        let udp = udp::bind(address, conf.sip.dscp)?;
        let bound = udp.local_addr().map_err(|source| BindError { what: "SIP over UDP", address, source })?;
        if !conf.sip.tcp {
            return Ok((udp, None, bound));
        }
        match streams::listen(bound, conf.sip.dscp) {
            Ok(tcp) => return Ok((udp, Some(tcp), bound)),
            Err(error) if tries == 0 => return Err(error),
            Err(_) => {}
        }
    }
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
        assert_eq!(opened[0].tcp.as_ref().unwrap().local_addr().unwrap(), opened[0].bound);
        assert_eq!(opened[0].sip.advertised.ip(), "203.0.113.5".parse::<std::net::IpAddr>().unwrap());
        assert_eq!(opened[0].sip.advertised.port(), opened[0].bound.port());
        assert_eq!(opened[0].media.bind, opened[0].bound.ip());
    }
}
