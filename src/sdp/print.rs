//! Writing a session description: RFC 8866 section 5, lines in its order, each ended by CRLF.

use std::{
    fmt::{self, Display, Formatter},
    net::IpAddr,
};

use super::{Host, Media, RtpMap, Session};

impl Display for Session {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let origin = &self.origin;
        write!(f, "v=0\r\no={} {} {} {}\r\n", origin.user, origin.session_id, origin.version, origin.host)?;
        write!(f, "s=-\r\n")?;
        if let Some(host) = &self.connection {
            write!(f, "c={host}\r\n")?;
        }
        write!(f, "t=0 0\r\n")?;
        if let Some(direction) = self.direction {
            write!(f, "a={}\r\n", direction.name())?;
        }
        self.keying.print(f)?;
        self.media.iter().try_for_each(|media| media.fmt(f))
    }
}

impl Display for Media {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "m={} {} {}", self.kind, self.port, self.protocol)?;
        self.formats.iter().try_for_each(|format| write!(f, " {format}"))?;
        write!(f, "\r\n")?;
        if let Some(host) = &self.connection {
            write!(f, "c={host}\r\n")?;
        }
        for (number, RtpMap { name, clock, channels }) in &self.maps {
            write!(f, "a=rtpmap:{number} {name}/{clock}")?;
            if *channels != 1 {
                write!(f, "/{channels}")?;
            }
            write!(f, "\r\n")?;
        }
        for (number, text) in &self.parameters {
            write!(f, "a=fmtp:{number} {text}\r\n")?;
        }
        if let Some(ptime) = self.ptime {
            write!(f, "a=ptime:{ptime}\r\n")?;
        }
        if let Some(maxptime) = self.maxptime {
            write!(f, "a=maxptime:{maxptime}\r\n")?;
        }
        match &self.rtcp {
            Some((port, Some(host))) => write!(f, "a=rtcp:{port} {host}\r\n")?,
            Some((port, None)) => write!(f, "a=rtcp:{port}\r\n")?,
            None => {}
        }
        if let Some(label) = self.label {
            write!(f, "a=label:{label}\r\n")?;
        }
        self.fax.iter().try_for_each(|attribute| write!(f, "a={attribute}\r\n"))?;
        self.keying.print(f)?;
        match self.direction {
            Some(direction) => write!(f, "a={}\r\n", direction.name()),
            None => Ok(()),
        }
    }
}

impl Display for Host {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Host::Address(address @ IpAddr::V4(_)) => write!(f, "IN IP4 {address}"),
            Host::Address(address @ IpAddr::V6(_)) => write!(f, "IN IP6 {address}"),
            Host::Name(name) => write!(f, "IN IP4 {name}"),
        }
    }
}
