//! One file to one server: a blocking HTTP/1.1 request of which only the status matters (RFC 9110, 9112).

use std::{
    fs::File,
    io::{self, Read, Write},
    net::{TcpStream, ToSocketAddrs},
    path::Path,
    sync::Arc,
    time::Duration,
};

use ring::digest;
use rustls::{ClientConfig, ClientConnection, StreamOwned, pki_types::ServerName};

use super::{
    Destination, Upload,
    s3::{Signed, authorization, encoded, hex, timestamp},
};

/// Longest wait for the other end at any point.
const PATIENCE: Duration = Duration::from_secs(30);
/// Longest head of an answer, in bytes.
const LONGEST_HEAD: usize = 16 << 10;

/// Whatever bytes go to and come from.
trait Line: Read + Write {}
impl Line for TcpStream {}
impl Line for StreamOwned<ClientConnection, TcpStream> {}

/// An `http://` or `https://` address, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    secure: bool,
    /// As `Host` says it.
    authority: String,
    host: String,
    port: u16,
    /// Without a slash at its end.
    path: String,
}

impl Place {
    pub(super) fn is_secure(&self) -> bool {
        self.secure
    }

    /// Reads an address that the operator wrote; no user, no query.
    pub fn parse(url: &str) -> Option<Place> {
        let (secure, rest) = match url.split_once("://")? {
            ("http", rest) => (false, rest),
            ("https", rest) => (true, rest),
            _ => return None,
        };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) => (host, port.parse().ok().filter(|port| *port > 0)?),
            None => (authority, if secure { 443 } else { 80 }),
        };
        let proper = !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-".contains(&b));
        let graphic = path.bytes().all(|b| b.is_ascii_graphic() && !b"?#".contains(&b));
        let (authority, host, path) = (authority.to_owned(), host.to_owned(), path.trim_end_matches('/').to_owned());
        (proper && graphic).then_some(Place { secure, authority, host, port, path })
    }
}

/// Send `file`, which is called `name` there and belongs to `call`. `unix` is the time since 1970. An error says what the
/// other end said.
pub(super) fn send(
    upload: &Upload,
    tls: &Arc<ClientConfig>,
    (file, name): (&Path, &str),
    call: &str,
    unix: Duration,
) -> io::Result<()> {
    let mut body = File::open(file)?;
    let length = body.metadata()?.len();
    let place = &upload.place;
    let path = format!("{}/{}", place.path, encoded(name));
    let kind = match name.rsplit('.').next() {
        Some("mp3") => "audio/mpeg",
        Some("ogg") => "audio/ogg",
        _ => "audio/wav",
    };
    let head = match &upload.to {
        Destination::Webhook { token } => {
            let sign = if token.is_empty() { String::new() } else { format!("Authorization: Bearer {token}\r\n") };
            let name = encoded(name);
            format!("POST {}/ HTTP/1.1\r\n{sign}X-Recording: {name}\r\nX-Call: {call}\r\n", place.path)
        }
        Destination::S3(key) => {
            let hash = hash(&mut body)?;
            body = File::open(file)?;
            let time = timestamp(unix);
            let headers = [("host", place.authority.as_str()), ("x-amz-content-sha256", &hash), ("x-amz-date", &time)];
            let sign = authorization(key, "PUT", &Signed { path: &path, headers: &headers, hash: &hash }, &time);
            format!(
                "PUT {path} HTTP/1.1\r\nx-amz-content-sha256: {hash}\r\nx-amz-date: {time}\r\nAuthorization: {sign}\r\n"
            )
        }
    };
    let head = format!(
        "{head}Host: {}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n",
        place.authority
    );
    let mut line = connect(place, tls)?;
    line.write_all(head.as_bytes())?;
    io::copy(&mut body.take(length), &mut line)?;
    line.flush()?;
    status(&mut *line)
}

fn connect(place: &Place, tls: &Arc<ClientConfig>) -> io::Result<Box<dyn Line>> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in (place.host.as_str(), place.port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(stream) => {
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                if !place.secure {
                    return Ok(Box::new(stream));
                }
                let name = ServerName::try_from(place.host.clone()).map_err(io::Error::other)?;
                let secured = ClientConnection::new(Arc::clone(tls), name).map_err(io::Error::other)?;
                return Ok(Box::new(StreamOwned::new(secured, stream)));
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// 2xx is success. Interim answers are passed over.
fn status(line: &mut dyn Line) -> io::Result<()> {
    let mut head = Vec::new();
    let mut byte = [0];
    loop {
        while !head.ends_with(b"\r\n\r\n") {
            if head.len() > LONGEST_HEAD || line.read(&mut byte)? == 0 {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server gave no proper answer"));
            }
            head.push(byte[0]);
        }
        let first = String::from_utf8_lossy(head.split(|b| *b == b'\r').next().unwrap_or_default()).into_owned();
        match first.split(' ').nth(1).and_then(|code| code.parse::<u16>().ok()) {
            Some(100..=199) => head.clear(),
            Some(200..=299) => return Ok(()),
            _ => return Err(io::Error::other(format!("the server says {}", first.escape_default()))),
        }
    }
}

fn hash(body: &mut File) -> io::Result<String> {
    let mut context = digest::Context::new(&digest::SHA256);
    let mut some = vec![0; 64 << 10];
    loop {
        match body.read(&mut some)? {
            0 => return Ok(hex(context.finish().as_ref())),
            count => context.update(&some[..count]),
        }
    }
}
