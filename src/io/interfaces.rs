//! The machine's addresses: what `0.0.0.0` and `[::]` stand for, one by one.

use std::{
    io,
    net::{IpAddr, SocketAddr},
};

use nix::{ifaddrs::getifaddrs, net::if_::InterfaceFlags};

/// The addresses that `bind` stands for: itself, or, where it is `0.0.0.0` or `[::]`, every address of its family on an
/// interface that is up. A datagram to a wildcard socket would not tell which of our addresses it came to, and an
/// answer from another address is dropped by most peers; so each address gets a socket of its own.
pub fn expand(bind: SocketAddr) -> io::Result<Vec<SocketAddr>> {
    if !bind.ip().is_unspecified() {
        return Ok(vec![bind]);
    }
    let mut found: Vec<SocketAddr> = getifaddrs()?
        .filter(|interface| interface.flags.contains(InterfaceFlags::IFF_UP))
        .filter_map(|interface| interface.address)
        .filter_map(|address| {
            let v4 = address.as_sockaddr_in().map(|a| IpAddr::V4(a.ip()));
            v4.or_else(|| address.as_sockaddr_in6().map(|a| IpAddr::V6(a.ip())))
        })
        .filter(|ip| ip.is_ipv4() == bind.is_ipv4() && !is_link_local(*ip))
        .map(|ip| SocketAddr::new(ip, bind.port()))
        .collect();
    // Others before loopback: what has no better reason to choose takes the first.
    found.sort_by_key(|address| address.ip().is_loopback());
    found.dedup();
    if found.is_empty() {
        return Err(io::Error::new(io::ErrorKind::AddrNotAvailable, format!("no interface has an address for {bind}")));
    }
    Ok(found)
}

/// IPv6 link-local addresses need a zone, which SIP and SDP cannot carry.
fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(_) => false,
        IpAddr::V6(ip) => ip.segments()[0] & 0xffc0 == 0xfe80,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_stands_for_addresses_with_the_same_port_and_loopback_last() {
        let all = expand("0.0.0.0:5060".parse().unwrap()).unwrap();
        assert!(all.iter().all(|a| a.port() == 5060 && a.is_ipv4() && !a.ip().is_unspecified()), "{all:?}");
        assert!(all.last().unwrap().ip().is_loopback(), "{all:?}");
    }

    #[test]
    fn an_address_stands_for_itself() {
        let one: SocketAddr = "127.0.0.1:5060".parse().unwrap();
        assert_eq!(expand(one).unwrap(), [one]);
    }
}
