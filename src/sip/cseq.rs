//! CSeq: a number and a method (RFC 3261 section 20.16).

use std::{fmt, str::FromStr};

use super::{Malformed, Method, text};

/// The place of a request in its dialog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CSeq {
    /// Counts up within a dialog.
    pub number: u32,
    /// The request's own.
    pub method: Method,
}

impl CSeq {
    /// Reads the header's value.
    pub fn parse(text: &str) -> Result<CSeq, Malformed> {
        let (number, method) = read_parts(text)?;
        let method = method_named(method).ok_or("a CSeq with an unknown method")?;
        Ok(CSeq { number, method })
    }
}

/// Number and method's name, be it known or not.
pub(super) fn read_parts(text: &str) -> Result<(u32, &str), &'static str> {
    let (number, method) = text::trim(text).split_once([' ', '\t']).ok_or("a CSeq without a method")?;
    let method = text::trim(method);
    if !number.bytes().all(|b| b.is_ascii_digit()) || !text::is_token(method) {
        return Err("an improper CSeq");
    }
    let number = number.parse().map_err(|_| "a CSeq beyond 32 bits")?;
    Ok((number, method))
}

/// Methods are compared case and all (RFC 3261 section 7.1), which rsip's own reading does not.
pub(super) fn method_named(name: &str) -> Option<Method> {
    Some(match name {
        "INVITE" => Method::Invite,
        "ACK" => Method::Ack,
        "BYE" => Method::Bye,
        "CANCEL" => Method::Cancel,
        "OPTIONS" => Method::Options,
        "REGISTER" => Method::Register,
        "INFO" => Method::Info,
        "MESSAGE" => Method::Message,
        "NOTIFY" => Method::Notify,
        "PRACK" => Method::PRack,
        "PUBLISH" => Method::Publish,
        "REFER" => Method::Refer,
        "SUBSCRIBE" => Method::Subscribe,
        "UPDATE" => Method::Update,
        _ => return None,
    })
}

/// The method as it is written; rsip's own printing allocates twice.
pub(super) const fn method_name(method: Method) -> &'static str {
    match method {
        Method::Invite => "INVITE",
        Method::Ack => "ACK",
        Method::Bye => "BYE",
        Method::Cancel => "CANCEL",
        Method::Options => "OPTIONS",
        Method::Register => "REGISTER",
        Method::Info => "INFO",
        Method::Message => "MESSAGE",
        Method::Notify => "NOTIFY",
        Method::PRack => "PRACK",
        Method::Publish => "PUBLISH",
        Method::Refer => "REFER",
        Method::Subscribe => "SUBSCRIBE",
        Method::Update => "UPDATE",
    }
}

impl FromStr for CSeq {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<CSeq, Malformed> {
        CSeq::parse(text)
    }
}

impl fmt::Display for CSeq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.number, method_name(self.method))
    }
}
