//! Via: the way a request came, hence the way its answer goes (RFC 3261 section 20.42, RFC 3581).

use std::{fmt, net::IpAddr, str::FromStr};

use super::{
    Malformed,
    text::{self, Params},
};

/// One hop of the way, parsed once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Via {
    /// `UDP`, `TCP` or another, as it came.
    pub transport: String,
    /// Where answers go: a name, an IPv4 address, or an IPv6 address in brackets.
    pub host: String,
    /// Where given.
    pub port: Option<u16>,
    /// In order.
    pub params: Params,
}

impl Via {
    /// Reads one value of the header. The version is read and let go, whatever it is: the request line decides about it.
    pub fn parse(text: &str) -> Result<Via, Malformed> {
        match Via::read(text)? {
            (via, None) => Ok(via),
            (_, Some(fault)) => Err(fault.into()),
        }
    }

    /// A fault in the parameters comes beside what stands before it: enough to send a 400 to.
    pub(super) fn read(text: &str) -> Result<(Via, Option<&'static str>), &'static str> {
        let mut parts = text.splitn(3, '/');
        let (Some(name), Some(version), Some(rest)) = (parts.next(), parts.next(), parts.next()) else {
            return Err("a Via without its protocol");
        };
        if !text::trim(name).eq_ignore_ascii_case("SIP") || !text::is_token(text::trim(version)) {
            return Err("a Via of another protocol");
        }
        let rest = text::trim(rest);
        let (transport, rest) = rest.split_once([' ', '\t']).ok_or("a Via without a host")?;
        if !text::is_token(transport) {
            return Err("a Via without a transport");
        }
        let (place, params) = text::cut_before(rest, b';');
        let (host, port) = text::host_port(text::trim(place))?;
        let (params, fault) = text::params_read(params);
        Ok((Via { transport: transport.to_owned(), host, port, params }, fault))
    }

    /// The branch, where there is one.
    pub fn branch(&self) -> Option<&str> {
        self.param("branch").flatten()
    }

    /// Where the request really came from, with or without brackets around IPv6 (RFC 5118 section 4.5).
    pub fn received(&self) -> Option<IpAddr> {
        self.param("received").flatten()?.trim_matches(['[', ']']).parse().ok()
    }

    /// `Some(None)`: asked for (RFC 3581 section 3). `Some(Some(port))`: filled in.
    pub fn rport(&self) -> Option<Option<u16>> {
        self.param("rport").map(|value| value.and_then(|port| port.parse().ok()))
    }

    /// The value of a parameter: `Some(None)` where it stands without one.
    pub fn param(&self, name: &str) -> Option<Option<&str>> {
        text::find_param(&self.params, name)
    }

    /// Sets a parameter, in its place or at the end.
    pub fn set_param(&mut self, name: &str, value: Option<&str>) {
        text::set_param(&mut self.params, name, value.map(str::to_owned));
    }
}

impl FromStr for Via {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Via, Malformed> {
        Via::parse(text)
    }
}

impl fmt::Display for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SIP/2.0/{} {}", self.transport, self.host)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        text::write_params(f, &self.params)
    }
}
