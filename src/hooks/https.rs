//! A small HTTPS client: one GET of one small file, no redirection, no cookies, no connection kept (RFC 9110, 9112).

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

/// Longest answer, in bytes.
const LONGEST: usize = 128 << 10;

/// An `https://` address, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    /// A name or an IPv4 address.
    pub host: String,
    pub port: u16,
    /// Path and query; begins with a slash.
    path: String,
}

impl Address {
    /// Reads an address that a stranger wrote.
    pub fn parse(url: &str) -> Option<Address> {
        let rest = url.strip_prefix("https://")?;
        let rest = rest.split('#').next().unwrap_or(rest);
        let (place, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (host, port) = match place.split_once(':') {
            Some((host, port)) => (host, port.parse().ok().filter(|port| *port > 0)?),
            None => (place, 443),
        };
        let proper = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-');
        let fits = !host.is_empty() && host.len() <= 253 && host.bytes().all(proper);
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        let graphic = path.bytes().all(|b| b.is_ascii_graphic());
        (fits && graphic).then(|| Address { host: host.to_ascii_lowercase(), port, path })
    }
}

/// True for addresses of the public internet: an address that a stranger wrote must not lead into our own network.
pub(super) fn is_public(ip: IpAddr) -> bool {
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

/// What lies at `address`, asked of the server at `at`.
pub(super) async fn get(
    connector: &TlsConnector,
    address: &Address,
    at: &[SocketAddr],
    agent: &str,
) -> io::Result<Vec<u8>> {
    let name = ServerName::try_from(address.host.clone()).map_err(io::Error::other)?;
    let stream = TcpStream::connect(at).await?;
    let mut stream = connector.connect(name, stream).await?;
    let Address { host, port, path } = address;
    let place = if *port == 443 { host.clone() } else { format!("{host}:{port}") };
    let ask = format!(
        "GET {path} HTTP/1.1\r\nHost: {place}\r\nUser-Agent: {agent}\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(ask.as_bytes()).await?;
    stream.flush().await?;
    let mut answer = Vec::new();
    loop {
        let end = stream.read_buf(&mut answer).await? == 0;
        match body(&answer, end).map_err(io::Error::other)? {
            Some(body) => return Ok(body),
            None if end => return Err(io::ErrorKind::UnexpectedEof.into()),
            None if answer.len() > LONGEST => return Err(io::Error::other("the answer is too long")),
            None => {}
        }
    }
}

/// A client that believes servers whose certificates these authorities signed (PEM).
pub fn connector(trust: &[u8]) -> Result<TlsConnector, String> {
    use rustls::pki_types::{CertificateDer, pem::PemObject};
    let mut roots = rustls::RootCertStore::empty();
    let certificates = CertificateDer::pem_slice_iter(trust).collect::<Result<Vec<_>, _>>();
    roots.add_parsable_certificates(certificates.map_err(|error| error.to_string())?);
    if roots.is_empty() {
        return Err("no certificate in it".to_owned());
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// The body of an answer, as soon as it is whole. `end`: nothing more comes.
fn body(answer: &[u8], end: bool) -> Result<Option<Vec<u8>>, String> {
    let Some(at) = answer.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let head = std::str::from_utf8(&answer[..at]).map_err(|_| "the answer is no HTTP")?;
    let rest = &answer[at + 4..];
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap_or_default();
    if !status.starts_with("HTTP/1.") {
        return Err("the answer is no HTTP".to_owned());
    }
    if status.split(' ').nth(1) != Some("200") {
        return Err(format!("the server says {}", status.escape_default()));
    }
    let mut length = None;
    let mut chunked = false;
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        if name.eq_ignore_ascii_case("content-length") {
            length = Some(value.trim().parse::<usize>().map_err(|_| "an improper Content-Length")?);
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            chunked = value.trim().eq_ignore_ascii_case("chunked");
        }
    }
    match length {
        _ if chunked => joined(rest),
        Some(length) => Ok(rest.get(..length).map(<[u8]>::to_vec)),
        None => Ok(end.then(|| rest.to_vec())),
    }
}

/// The chunks as one, once the last is there (RFC 9112 section 7.1).
fn joined(mut rest: &[u8]) -> Result<Option<Vec<u8>>, String> {
    let mut whole = Vec::new();
    loop {
        let Some(end) = rest.windows(2).position(|two| two == b"\r\n") else { return Ok(None) };
        let line = std::str::from_utf8(&rest[..end]).map_err(|_| "an improper chunk")?;
        let size = line.split(';').next().unwrap_or(line).trim();
        let size = usize::from_str_radix(size, 16).map_err(|_| "an improper chunk")?;
        if size == 0 {
            return Ok(Some(whole));
        }
        let after = rest.get(end + 2..).filter(|after| after.len() >= 2 && after.len() - 2 >= size);
        let Some(after) = after else { return Ok(None) };
        whole.extend_from_slice(&after[..size]);
        rest = &after[size + 2..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_apart_and_strange_ones_are_refused() {
        let of = |url: &str| Address::parse(url).map(|a| (a.host, a.port, a.path));
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
    fn an_answer_is_whole_when_its_length_its_chunks_or_its_connection_say_so() {
        let of = |text: &str, end| body(text.as_bytes(), end);
        let some = |text: &str| Ok(Some(text.as_bytes().to_vec()));
        assert_eq!(of("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcd", false), some("abc"));
        assert_eq!(of("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", true), Ok(None));
        assert_eq!(of("HTTP/1.1 200 OK\r\n\r\nab", false), Ok(None));
        assert_eq!(of("HTTP/1.1 200 OK\r\n\r\nab", true), some("ab"));
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n";
        assert_eq!(of(chunked, false), some("abcde"));
        for end in chunked.find("3\r\n").unwrap()..chunked.len() - 4 {
            assert_eq!(of(&chunked[..end], false), Ok(None), "cut at {end}");
        }
        assert!(of("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", false).is_err());
        let huge = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n";
        assert_eq!(of(huge, false), Ok(None));
    }

    #[test]
    fn only_200_will_do() {
        let told = body(b"HTTP/1.1 302 Found\r\nLocation: https://x/\r\n\r\n", true).unwrap_err();
        assert_eq!(told, "the server says HTTP/1.1 302 Found");
        assert!(body(b"SSH-2.0-x\r\n\r\n", true).is_err());
        assert_eq!(body(b"HTTP/1.1 200 OK\r\n", true), Ok(None));
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
