//! Reading a session description: RFC 8866 section 5, generously.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr},
};

use super::{Direction, Host, Keying, Media, Origin, RtpMap, Session};

/// Longest description that is read, in bytes.
pub const MAX_BYTES: usize = 64 * 1024;
/// Most m-lines.
pub const MAX_MEDIA: usize = 32;
/// Most formats in an m-line.
pub const MAX_FORMATS: usize = 128;

/// Why a description cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// Counted from 1.
    pub line: usize,
    /// In words.
    pub what: &'static str,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SDP line {}: {}", self.line, self.what)
    }
}

impl std::error::Error for ParseError {}

impl Session {
    /// Reads a description. Lines end with LF or CRLF; only `v=` must be there.
    pub fn parse(text: &[u8]) -> Result<Session, ParseError> {
        if text.len() > MAX_BYTES {
            return Err(ParseError { line: 1, what: "the description is too long" });
        }
        let mut session = Session::empty();
        let mut begun = false;
        for (at, line) in text.split(|byte| *byte == b'\n').enumerate() {
            let line = String::from_utf8_lossy(line);
            let Some((kind, value)) = line.split_once('=') else { continue };
            let error = |what| ParseError { line: at + 1, what };
            if !begun {
                if (kind.trim(), value.trim()) != ("v", "0") {
                    return Err(error("v=0 must come first"));
                }
                begun = true;
                continue;
            }
            session.read(kind.trim(), value.trim()).map_err(error)?;
        }
        if begun { Ok(session) } else { Err(ParseError { line: 1, what: "v=0 is missing" }) }
    }

    fn empty() -> Session {
        Session {
            origin: Origin::unknown(),
            connection: None,
            direction: None,
            keying: Keying::default(),
            media: vec![],
        }
    }

    /// One line. Kinds that do not matter to us are passed over.
    fn read(&mut self, kind: &str, value: &str) -> Result<(), &'static str> {
        match (kind, self.media.last_mut()) {
            ("o", None) => self.origin = Origin::parse(value).unwrap_or_else(Origin::unknown),
            ("c", media) => {
                let host = Host::parse(value).ok_or("c= needs network, family and address")?;
                let connection = media.map_or(&mut self.connection, |media| &mut media.connection);
                // Further ones are addresses of a layered multicast: the first counts.
                connection.get_or_insert(host);
            }
            ("m", _) => {
                let media = Media::parse(value)?;
                if self.media.len() == MAX_MEDIA {
                    return Err("too many m-lines");
                }
                self.media.push(media);
            }
            ("a", Some(media)) => media.attribute(value),
            ("a", None) => {
                let (name, said) = value.split_once(':').unwrap_or((value, ""));
                if !self.keying.attribute(name.trim(), said.trim()) {
                    self.direction = Direction::from_name(value).or(self.direction);
                }
            }
            _ => {}
        }
        Ok(())
    }
}

impl Origin {
    fn unknown() -> Origin {
        Origin { user: "-".into(), session_id: 0, version: 0, host: Host::Address(Ipv4Addr::UNSPECIFIED.into()) }
    }

    /// `None`: not as it should be, which harms nobody.
    fn parse(value: &str) -> Option<Origin> {
        let mut words = value.splitn(4, ' ');
        let user = words.next().filter(|user| !user.is_empty() && !user.contains(char::is_whitespace))?;
        let session_id = words.next()?.parse().ok()?;
        let version = words.next()?.parse().ok()?;
        Some(Origin { user: user.to_owned(), session_id, version, host: Host::parse(words.next()?)? })
    }
}

impl Host {
    /// `IN IP4 192.0.2.1`. The family is taken from the address itself.
    fn parse(value: &str) -> Option<Host> {
        let address = value.split_whitespace().nth(2)?.split('/').next().filter(|text| !text.is_empty())?;
        let known = address.parse::<IpAddr>();
        Some(known.map_or_else(|_| Host::Name(address.to_owned()), Host::Address))
    }
}

impl Media {
    /// `audio 49170 RTP/AVP 0 8`.
    fn parse(value: &str) -> Result<Media, &'static str> {
        const WHAT: &str = "m= needs kind, port, protocol and formats";
        let mut words = value.split_whitespace();
        let kind = words.next().ok_or(WHAT)?.to_owned();
        let port = words.next().ok_or(WHAT)?;
        let protocol = words.next().ok_or(WHAT)?.to_owned();
        // A count of ports may follow a slash; the first is ours to use.
        let port = port.split('/').next().and_then(|port| port.parse().ok()).ok_or("m= has no port number")?;
        let formats: Vec<String> = words.map(str::to_owned).take(MAX_FORMATS + 1).collect();
        if formats.len() > MAX_FORMATS {
            return Err("too many formats");
        }
        Ok(Media { kind, port, protocol, formats, ..Media::default() })
    }

    /// One `a=` line. What cannot be understood is passed over: an odd attribute is no reason to lose a call.
    fn attribute(&mut self, attribute: &str) {
        let (name, value) = attribute.split_once(':').unwrap_or((attribute, ""));
        let value = value.trim();
        match name.trim() {
            "ptime" => self.ptime = leading_number(value).or(self.ptime),
            "maxptime" => self.maxptime = leading_number(value).or(self.maxptime),
            "rtcp" => {
                if let Some(port) = leading_number(value) {
                    self.rtcp = Some((port, value.split_once(' ').and_then(|(_, host)| Host::parse(host))));
                }
            }
            "rtpmap" => {
                if let Some((number, map)) = numbered(value).and_then(|(n, map)| Some((n, RtpMap::parse(map)?))) {
                    self.maps.entry(number).or_insert(map);
                }
            }
            "fmtp" => {
                if let Some((number, text)) = numbered(value) {
                    self.parameters.entry(number).or_insert_with(|| text.to_owned());
                }
            }
            _ if self.fax_attribute(attribute) => {}
            name if self.keying.attribute(name, value) => {}
            name => self.direction = Direction::from_name(name).or(self.direction),
        }
    }
}

impl RtpMap {
    /// `opus/48000/2`.
    fn parse(value: &str) -> Option<RtpMap> {
        let mut parts = value.split('/').map(str::trim);
        let name = parts.next().filter(|name| !name.is_empty())?.to_owned();
        let clock = parts.next()?.parse().ok()?;
        Some(RtpMap { name, clock, channels: parts.next().and_then(|n| n.parse().ok()).unwrap_or(1) })
    }
}

/// A payload type and what follows it.
fn numbered(value: &str) -> Option<(u8, &str)> {
    let (number, rest) = value.split_once(char::is_whitespace).unwrap_or((value, ""));
    Some((number.parse().ok().filter(|n| *n < 128)?, rest.trim()))
}

/// `20`, also out of `20.0` or `20 ms`.
fn leading_number(value: &str) -> Option<u16> {
    let end = value.find(|c: char| !c.is_ascii_digit()).unwrap_or(value.len());
    value[..end].parse().ok()
}
