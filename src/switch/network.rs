//! A block of addresses, as operators write it: `192.0.2.0/24`, `2001:db8::/32`, or one address (RFC 4632, RFC 4291).

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
    str::FromStr,
};

/// Addresses that begin with the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    first: IpAddr,
    /// How many bits they share: 0 to 32, or to 128.
    bits: u8,
}

/// A text that names no block of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no network")]
pub struct BadNetwork;

impl Network {
    /// The blocks from which the machine itself speaks.
    pub const LOOPBACK: [Network; 2] = [
        Network { first: IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 0)), bits: 8 },
        Network { first: IpAddr::V6(Ipv6Addr::LOCALHOST), bits: 128 },
    ];

    /// True where `ip` is one of them. An IPv4 address mapped into IPv6 is the IPv4 address.
    pub fn contains(&self, ip: IpAddr) -> bool {
        match (self.first, ip.to_canonical()) {
            (IpAddr::V4(first), IpAddr::V4(ip)) => {
                let differ = u32::from(first) ^ u32::from(ip);
                differ.leading_zeros() >= u32::from(self.bits)
            }
            (IpAddr::V6(first), IpAddr::V6(ip)) => {
                let differ = u128::from(first) ^ u128::from(ip);
                differ.leading_zeros() >= u32::from(self.bits)
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

impl Network {
    /// How many bits must be the same: of two networks that contain an address, the one with more says more.
    pub fn bits(&self) -> u8 {
        self.bits
    }
}

impl From<IpAddr> for Network {
    fn from(ip: IpAddr) -> Network {
        let first = ip.to_canonical();
        Network { first, bits: if first.is_ipv4() { 32 } else { 128 } }
    }
}

impl FromStr for Network {
    type Err = BadNetwork;

    fn from_str(text: &str) -> Result<Network, BadNetwork> {
        let Some((first, bits)) = text.split_once('/') else {
            return text.parse::<IpAddr>().map(Network::from).map_err(|_| BadNetwork);
        };
        let first: IpAddr = first.parse().map_err(|_| BadNetwork)?;
        let most = if first.is_ipv4() { 32 } else { 128 };
        let digits = !bits.is_empty() && bits.bytes().all(|b| b.is_ascii_digit());
        let bits = bits.parse().ok().filter(|bits| digits && *bits <= most).ok_or(BadNetwork)?;
        Ok(Network { first, bits })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(network: &str, ip: &str) -> bool {
        network.parse::<Network>().unwrap().contains(ip.parse().unwrap())
    }

    #[test]
    fn a_network_holds_the_addresses_that_share_its_bits() {
        assert!(holds("192.0.2.0/24", "192.0.2.255"));
        assert!(!holds("192.0.2.0/24", "192.0.3.0"));
        assert!(holds("192.0.2.7", "192.0.2.7"));
        assert!(!holds("192.0.2.7", "192.0.2.6"));
        assert!(holds("2001:db8::/32", "2001:db8:ffff::1"));
        assert!(!holds("2001:db8::/32", "2001:db9::1"));
        assert!(holds("0.0.0.0/0", "203.0.113.9"));
        assert!(!holds("0.0.0.0/0", "2001:db8::1"));
        assert!(holds("192.0.2.0/24", "::ffff:192.0.2.9"), "mapped into IPv6");
        assert!(Network::LOOPBACK.iter().any(|n| n.contains("::1".parse().unwrap())));
    }

    #[test]
    fn what_names_no_network_is_refused() {
        for text in ["", "/", "192.0.2.0/", "192.0.2.0/33", "192.0.2.0/+8", "2001:db8::/129", "name/8", "1.2.3/8"] {
            assert_eq!(text.parse::<Network>(), Err(BadNetwork), "{text}");
        }
    }
}
