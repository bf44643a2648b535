//! Addresses (RFC 3261 section 19.1; RFC 3966 for `tel:`).
//!
//! rsip's `Uri` would not do: it takes `john.doe@example.com` as a host, and so it does with `example.com?Replaces=x`
//! (Refer-To has such); it refuses IPv6 with a port, `tel:`, and every scheme it does not know, whose answer is 416
//! and, in To or From, none at all. A test holds these reasons.

use std::{fmt, str::FromStr};

use super::{
    Malformed,
    text::{self, Params},
};

/// The word before the colon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// `sip:`
    Sip,
    /// `sips:`
    Sips,
    /// `tel:`
    Tel,
    /// Any other, in lower case.
    Other(String),
}

impl Scheme {
    /// As it is written, without the colon.
    pub fn as_str(&self) -> &str {
        match self {
            Scheme::Sip => "sip",
            Scheme::Sips => "sips",
            Scheme::Tel => "tel",
            Scheme::Other(name) => name,
        }
    }
}

/// An address, parsed once. All parts keep the escapes they came with, so that printing gives back what was read (only
/// the scheme becomes lower case). `==` compares the writing; [`Uri::is_same`] compares as the RFC says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uri {
    /// The word before the colon.
    pub scheme: Scheme,
    /// What stands before `@`; the number of a `tel:` address.
    pub user: Option<String>,
    /// What stands between the user and `@`, behind a colon.
    pub password: Option<String>,
    /// A name, an IPv4 address, or an IPv6 address in brackets. Empty in a `tel:` address; all that stands behind the
    /// colon where the scheme is an unknown one.
    pub host: String,
    /// Where given.
    pub port: Option<u16>,
    /// `;name=value`, in order.
    pub params: Params,
    /// `?name=value&name=value`, in order.
    pub headers: Vec<(String, String)>,
}

impl Uri {
    /// `sip:host`, to be filled in.
    pub fn sip(user: Option<&str>, host: impl Into<String>, port: Option<u16>) -> Uri {
        Uri { user: user.map(str::to_owned), port, ..Uri::new(Scheme::Sip, host.into()) }
    }

    fn new(scheme: Scheme, host: String) -> Uri {
        Uri { scheme, user: None, password: None, host, port: None, params: Vec::new(), headers: Vec::new() }
    }

    /// Reads an address, with nothing around it.
    pub fn parse(text: &str) -> Result<Uri, Malformed> {
        Ok(Uri::read(text)?)
    }

    pub(super) fn read(text: &str) -> Result<Uri, &'static str> {
        if text.bytes().any(text::is_improper) || text::has_unreadable(text) {
            return Err("an address with improper characters");
        }
        let (scheme, rest) = text::cut(text, b':').ok_or("an address without a scheme")?;
        let tail = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.');
        if !scheme.starts_with(|c: char| c.is_ascii_alphabetic()) || !scheme.bytes().all(tail) || rest.is_empty() {
            return Err("an address without a proper scheme");
        }
        if scheme.eq_ignore_ascii_case("sip") {
            Uri::read_sip(Scheme::Sip, rest)
        } else if scheme.eq_ignore_ascii_case("sips") {
            Uri::read_sip(Scheme::Sips, rest)
        } else if scheme.eq_ignore_ascii_case("tel") {
            Uri::read_tel(rest)
        } else {
            Ok(Uri::new(Scheme::Other(scheme.to_ascii_lowercase()), rest.to_owned()))
        }
    }

    fn read_sip(scheme: Scheme, rest: &str) -> Result<Uri, &'static str> {
        check_escapes(rest)?;
        let (before, rest) = match text::cut(rest, b'@') {
            Some((before, rest)) => (Some(before), rest),
            None => (None, rest),
        };
        let (rest, headers) = match text::cut(rest, b'?') {
            Some((rest, headers)) => (rest, read_headers(headers)?),
            None => (rest, Vec::new()),
        };
        let (place, params) = text::cut_before(rest, b';');
        let (host, port) = text::host_port(place)?;
        let (user, password) = match before.map(|b| text::cut(b, b':').map_or((b, None), |(u, p)| (u, Some(p)))) {
            Some(("", _)) => return Err("an address with nothing before the @"),
            Some((user, password)) => (Some(user.to_owned()), password.map(str::to_owned)),
            None => (None, None),
        };
        Ok(Uri { scheme, user, password, host, port, params: read_params(params)?, headers })
    }

    fn read_tel(rest: &str) -> Result<Uri, &'static str> {
        let (number, params) = text::cut_before(rest, b';');
        let digit = |b: u8| b.is_ascii_hexdigit() || matches!(b, b'*' | b'#' | b'-' | b'.' | b'(' | b')');
        let bare = number.strip_prefix('+').unwrap_or(number);
        if bare.is_empty() || !bare.bytes().all(digit) {
            return Err("an improper telephone number");
        }
        let params = read_params(params)?;
        Ok(Uri { user: Some(number.to_owned()), params, ..Uri::new(Scheme::Tel, String::new()) })
    }

    /// True for `sip:` and `sips:`.
    pub fn is_sip(&self) -> bool {
        matches!(self.scheme, Scheme::Sip | Scheme::Sips)
    }

    /// The user without its escapes; `%00` and bytes that are no UTF-8 become U+FFFD.
    pub fn user_decoded(&self) -> Option<String> {
        self.user.as_deref().map(decode)
    }

    /// The value of a parameter: `Some(None)` where it stands without one.
    pub fn param(&self, name: &str) -> Option<Option<&str>> {
        text::find_param(&self.params, name)
    }

    /// Sets a parameter, in its place or at the end.
    pub fn set_param(&mut self, name: &str, value: Option<&str>) {
        text::set_param(&mut self.params, name, value.map(str::to_owned));
    }

    /// True where two addresses mean the same (RFC 3261 section 19.1.4). Not transitive, hence not `==`.
    pub fn is_same(&self, other: &Uri) -> bool {
        self.scheme == other.scheme
            && same_option(self.user.as_deref(), other.user.as_deref())
            && same_option(self.password.as_deref(), other.password.as_deref())
            && self.host.eq_ignore_ascii_case(&other.host)
            && self.port == other.port
            && same_params(self, other)
            && same_params(other, self)
            && same_headers(&self.headers, &other.headers)
    }
}

fn same_option(one: Option<&str>, other: Option<&str>) -> bool {
    one.map(normal) == other.map(normal)
}

/// Parameters that both have must be equal; four must not be missing on one side.
fn same_params(one: &Uri, other: &Uri) -> bool {
    one.params.iter().all(|(name, value)| match other.param(name) {
        Some(theirs) => match (value.as_deref(), theirs) {
            (Some(ours), Some(theirs)) => normal(ours).eq_ignore_ascii_case(&normal(theirs)),
            (ours, theirs) => ours == theirs,
        },
        None => !["user", "ttl", "method", "maddr"].iter().any(|must| name.eq_ignore_ascii_case(must)),
    })
}

/// Headers are never ignored; their order is.
fn same_headers(one: &[(String, String)], other: &[(String, String)]) -> bool {
    let has = |list: &[(String, String)], (name, value): &(String, String)| {
        list.iter().any(|(n, v)| n.eq_ignore_ascii_case(name) && normal(v) == normal(value))
    };
    one.len() == other.len() && one.iter().all(|h| has(other, h)) && other.iter().all(|h| has(one, h))
}

/// Escapes of characters that need none are undone, the others get upper case digits.
fn normal(part: &str) -> String {
    let mut out = String::with_capacity(part.len());
    let mut rest = part;
    while let Some((before, escape)) = rest.split_once('%') {
        out.push_str(before);
        match escape_byte(escape) {
            Some(byte) if byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&byte) => out.push(char::from(byte)),
            Some(byte) => out.push_str(&format!("%{byte:02X}")),
            None => out.push('%'),
        }
        rest = if escape_byte(escape).is_some() { &escape[2..] } else { escape };
    }
    out + rest
}

/// Undoes the escapes; `%00` and bytes that are no UTF-8 become U+FFFD.
pub(super) fn decode(part: &str) -> String {
    let mut out = Vec::with_capacity(part.len());
    let mut rest = part;
    while let Some((before, escape)) = rest.split_once('%') {
        out.extend_from_slice(before.as_bytes());
        match escape_byte(escape) {
            Some(0) => out.extend_from_slice("\u{fffd}".as_bytes()),
            Some(byte) => out.push(byte),
            None => out.push(b'%'),
        }
        rest = if escape_byte(escape).is_some() { &escape[2..] } else { escape };
    }
    out.extend_from_slice(rest.as_bytes());
    String::from_utf8_lossy(&out).into_owned()
}

/// The byte that the two hexadecimal digits at the start stand for.
fn escape_byte(text: &str) -> Option<u8> {
    let digits = text.get(..2)?;
    if digits.starts_with('+') { None } else { u8::from_str_radix(digits, 16).ok() }
}

fn check_escapes(text: &str) -> Result<(), &'static str> {
    if !text.as_bytes().contains(&b'%') {
        return Ok(());
    }
    let mut parts = text.split('%').skip(1);
    if parts.all(|part| escape_byte(part).is_some()) { Ok(()) } else { Err("an address with a broken escape") }
}

fn read_params(text: &str) -> Result<Params, &'static str> {
    let mut params = Params::new();
    if text.is_empty() {
        return Ok(params);
    }
    for one in text.split(';').skip(1) {
        let (name, value) = text::cut(one, b'=').map_or((one, None), |(n, v)| (n, Some(v)));
        if name.is_empty() || one.contains(['@', ',']) {
            return Err("an address with an improper parameter");
        }
        params.push((name.to_owned(), value.map(str::to_owned)));
    }
    Ok(params)
}

fn read_headers(text: &str) -> Result<Vec<(String, String)>, &'static str> {
    let one = |one: &str| match one.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("an address with an improper header"),
    };
    text.split('&').map(one).collect()
}

impl FromStr for Uri {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Uri, Malformed> {
        Uri::parse(text)
    }
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.scheme.as_str())?;
        f.write_str(":")?;
        if let Some(user) = &self.user {
            f.write_str(user)?;
            if let Some(password) = &self.password {
                f.write_str(":")?;
                f.write_str(password)?;
            }
            if self.scheme != Scheme::Tel {
                f.write_str("@")?;
            }
        }
        f.write_str(&self.host)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        text::write_params(f, &self.params)?;
        for (at, (name, value)) in self.headers.iter().enumerate() {
            write!(f, "{}{name}={value}", if at == 0 { '?' } else { '&' })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
