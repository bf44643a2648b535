//! A small HTTPS client: one GET of one small file, no redirection, no cookies, no connection kept (RFC 9110, 9112).

use std::{io, net::SocketAddr, sync::Arc};

use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

use super::address::Url;

/// Longest answer, in bytes.
const LONGEST: usize = 128 << 10;

/// What lies at `url`, an `https://` address, asked of the server at `at`.
pub(super) async fn get(connector: &TlsConnector, url: &Url, at: &[SocketAddr], agent: &str) -> io::Result<Vec<u8>> {
    let name = ServerName::try_from(url.host.clone()).map_err(io::Error::other)?;
    let stream = TcpStream::connect(at).await?;
    let mut stream = connector.connect(name, stream).await?;
    let (path, place) = (&url.path, url.authority());
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
}
