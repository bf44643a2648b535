//! Addresses of web servers, as strangers write them: taken apart, and kept out of our own network.

use std::{
    io,
    net::{IpAddr, SocketAddr},
};

use tokio::net::lookup_host;

/// Longest address, in bytes.
const LONGEST_URL: usize = 2048;

/// Why a server is not asked.
#[derive(Debug)]
pub(super) enum Closed {
    /// It is not among the hosts that are named.
    Unnamed,
    /// Its name leads nowhere.
    Unknown(io::Error),
    /// It has no public address.
    Private,
}

/// An `http://` or `https://` address, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// It is `https://`.
    pub secure: bool,
    /// A name or an IPv4 address, in lower case.
    pub host: String,
    /// From 1.
    pub port: u16,
    /// Path and query; begins with a slash.
    pub path: String,
}

impl Url {
    /// Reads an address that a stranger wrote.
    pub fn parse(text: &str) -> Option<Url> {
        let (scheme, rest) = text.split_once("://").filter(|_| text.len() <= LONGEST_URL)?;
        let secure = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            _ => return None,
        };
        let rest = rest.split('#').next().unwrap_or(rest);
        let (place, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (host, port) = match place.split_once(':') {
            Some((host, port)) => (host, port.parse().ok().filter(|port| *port > 0)?),
            None => (place, if secure { 443 } else { 80 }),
        };
        let proper = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-');
        let fits = !host.is_empty() && host.len() <= 253 && host.bytes().all(proper);
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        let graphic = path.bytes().all(|b| b.is_ascii_graphic());
        (fits && graphic).then(|| Url { secure, host: host.to_ascii_lowercase(), port, path })
    }

    /// Reads an address that the operator wrote, to which paths are added: without user, query and fragment.
    pub fn folder(text: &str) -> Option<Url> {
        Url::parse(text).filter(|_| !text.contains(['?', '#']))
    }

    /// Where `Location` leads from here: a whole address, or a path on the same server.
    pub fn follow(&self, location: &str) -> Option<Url> {
        if location.contains("://") {
            return Url::parse(location);
        }
        let path = location.split('#').next().unwrap_or(location);
        let graphic = path.len() <= LONGEST_URL && path.bytes().all(|b| b.is_ascii_graphic());
        let whole = path.starts_with('/') && !path.starts_with("//") && graphic;
        whole.then(|| Url { path: path.to_owned(), ..self.clone() })
    }

    /// Host, and port where it is not the usual one.
    pub fn authority(&self) -> String {
        let usual = if self.secure { 443 } else { 80 };
        if self.port == usual { self.host.clone() } else { format!("{}:{}", self.host, self.port) }
    }

    /// Where its server is, of what may be asked: the hosts named are, wherever they are; where none are named, every one
    /// with a public address is.
    pub(super) async fn places(&self, hosts: &[String]) -> Result<Vec<SocketAddr>, Closed> {
        let named = hosts.iter().any(|host| host.eq_ignore_ascii_case(&self.host));
        if !named && !hosts.is_empty() {
            return Err(Closed::Unnamed);
        }
        let mut places = self.anywhere().await.map_err(Closed::Unknown)?;
        places.retain(|at| named || is_public(at.ip()));
        if places.is_empty() { Err(Closed::Private) } else { Ok(places) }
    }

    /// Where its server is, be it in our own network: for addresses that the operator wrote.
    pub async fn anywhere(&self) -> io::Result<Vec<SocketAddr>> {
        Ok(lookup_host((self.host.as_str(), self.port)).await?.collect())
    }
}

/// True for addresses of the public internet: an address that a stranger wrote must not lead into our own network.
fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, c, _] = ip.octets();
            let shared = a == 100 && (64..128).contains(&b);
            let special = a == 0 || a >= 224 || (a, b, c) == (192, 0, 0) || (a == 198 && (b == 18 || b == 19));
            !(ip.is_private() || ip.is_loopback() || ip.is_link_local() || shared || special)
        }
        IpAddr::V6(ip) => match ip.to_ipv4_mapped() {
            Some(ip) => is_public(IpAddr::V4(ip)),
            // Only 2000::/3 is given out, and 2002::/16 holds an IPv4 address of anybody.
            None => (ip.segments()[0] & 0xe000) == 0x2000 && ip.segments()[0] != 0x2002,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_apart_and_strange_ones_are_refused() {
        let of = |url: &str| Url::parse(url).map(|u| (u.secure, u.host, u.port, u.path));
        assert_eq!(of("http://X.example/a?b#c"), Some((false, "x.example".into(), 80, "/a?b".into())));
        assert_eq!(of("https://x.example:8443"), Some((true, "x.example".into(), 8443, "/".into())));
        for url in
            ["ftp://x/", "http://", "http://u@x/", "http://x:0/", "http://x/a b", "http://x/\r\nA: b", "http://[::1]/"]
        {
            assert_eq!(of(url), None, "{url}");
        }
        assert_eq!(Url::parse(&format!("http://x/{}", "a".repeat(LONGEST_URL))), None);
    }

    #[test]
    fn a_redirection_leads_to_a_path_or_a_whole_address() {
        let here = Url::parse("https://x.example/a").unwrap();
        let to = |location: &str| here.follow(location).map(|u| format!("{}{}{}", u.secure, u.host, u.path));
        assert_eq!(to("/b?c#d").as_deref(), Some("truex.example/b?c"));
        assert_eq!(to("http://y.example/b").as_deref(), Some("falsey.example/b"));
        for location in ["b", "//y.example/b", "ftp://y.example/", "/a b", ""] {
            assert_eq!(to(location), None, "{location}");
        }
    }

    #[test]
    fn a_folder_has_neither_query_nor_fragment() {
        assert_eq!(Url::folder("https://x.example/a/").map(|url| url.path).as_deref(), Some("/a/"));
        for url in ["http://x.example/a?b", "http://x.example/a#b", "http://x.example#", "ftp://x.example/"] {
            assert_eq!(Url::folder(url), None, "{url}");
        }
    }

    #[test]
    fn an_address_of_a_secure_server_is_taken_apart_and_strange_ones_are_refused() {
        let of = |url: &str| Url::parse(url).filter(|a| a.secure).map(|a| (a.host, a.port, a.path));
        let want = ("cr.example".to_owned(), 443, "/a/b.pem?x=1".to_owned());
        assert_eq!(of("https://CR.example/a/b.pem?x=1#here"), Some(want));
        assert_eq!(of("https://cr.example:8443"), Some(("cr.example".into(), 8443, "/".into())));
        assert_eq!(of("https://cr.example?x"), Some(("cr.example".into(), 443, "/?x".into())));
        for url in [
            "http://cr.example/",
            "https://",
            "https:///x",
            "https://user@cr.example/",
            "https://cr.example:0/",
            "https://cr.example:99999/",
            "https://cr.example/a b",
            "https://cr.example/\r\nHost: x",
            "https://[::1]/x",
        ] {
            assert_eq!(of(url), None, "{url}");
        }
    }

    #[test]
    fn addresses_of_our_own_network_are_not_public() {
        for ip in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "::1",
            "::",
            "fe80::1",
            "fd00::1",
            "ff02::1",
            "::ffff:10.0.0.1",
            "2002:a00:1::1",
        ] {
            assert!(!is_public(ip.parse().unwrap()), "{ip}");
        }
        for ip in ["9.9.9.9", "172.32.0.1", "2620:fe::fe"] {
            assert!(is_public(ip.parse().unwrap()), "{ip}");
        }
    }
}
