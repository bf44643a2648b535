//! Requests and responses (RFC 3261 section 7): parsed once, built, printed.

use std::fmt::Write;

use bytes::Bytes;

use super::{Headers, Method, Uri, cseq::method_name, parse, status::reason_phrase};

/// How much of a message is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most values of header fields; each element of a comma list counts. More is answered with 400.
    pub max_headers: usize,
    /// Most bytes in all. More is answered with 513.
    pub max_message: usize,
}

/// A message that cannot be used, and what to tell its sender.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct Malformed {
    /// What is wrong, for the log.
    pub what: String,
    /// The whole answer (400, 501, 505, 513) but for the To-tag, where the message is a request other than ACK that
    /// tells by its Via where to answer. What else it told is repeated as it came.
    pub answer: Option<Box<Response>>,
}

impl From<&str> for Malformed {
    fn from(what: &str) -> Malformed {
        Malformed { what: what.to_owned(), answer: None }
    }
}

/// One whole message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Asks.
    Request(Request),
    /// Answers.
    Response(Response),
}

impl Message {
    /// Reads one message that fills `bytes` (a datagram, or what the framer cut out of a stream). What comes behind
    /// the announced body is let go (RFC 3261 section 18.3).
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Message, Malformed> {
        parse::message(bytes, limits)
    }

    /// As it goes on the wire.
    pub fn to_bytes(&self) -> Bytes {
        match self {
            Message::Request(request) => request.to_bytes(),
            Message::Response(response) => response.to_bytes(),
        }
    }
}

/// Asks for something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// For what.
    pub method: Method,
    /// Of whom.
    pub uri: Uri,
    /// The header fields.
    pub headers: Headers,
    /// What comes with it; its type is in Content-Type.
    pub body: Bytes,
}

impl Request {
    /// As it goes on the wire.
    pub fn to_bytes(&self) -> Bytes {
        let mut out = String::with_capacity(1024 + self.body.len());
        write!(out, "{} {} SIP/2.0\r\n", method_name(self.method), self.uri).expect("a String takes everything");
        finish(out, &self.headers, &self.body)
    }

    /// An answer to this request, without To-tag, Contact and body (RFC 3261 section 8.2.6.2). `reason` absent: the
    /// registered phrase. Record-Route comes along where the answer can make a dialog (12.1.1), Timestamp in a 100.
    pub fn response(&self, code: u16, reason: Option<&str>) -> Response {
        let mut headers = self.headers.for_answer();
        let makes_dialog = matches!(self.method, Method::Invite | Method::Subscribe | Method::Refer | Method::Notify);
        if makes_dialog && (101..300).contains(&code) {
            self.copy("Record-Route", &mut headers);
        }
        if code == 100 {
            self.copy("Timestamp", &mut headers);
        }
        let reason = reason.unwrap_or(reason_phrase(code)).to_owned();
        Response { code, reason, headers, body: Bytes::new() }
    }

    fn copy(&self, name: &str, to: &mut Headers) {
        for value in self.headers.all(name) {
            to.push(name, value);
        }
    }
}

/// Answers a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// 100 to 699.
    pub code: u16,
    /// For people; may be empty.
    pub reason: String,
    /// The header fields.
    pub headers: Headers,
    /// What comes with it; its type is in Content-Type.
    pub body: Bytes,
}

impl Response {
    /// As it goes on the wire.
    pub fn to_bytes(&self) -> Bytes {
        let mut out = String::with_capacity(768 + self.body.len());
        let reason = self.reason.replace(['\r', '\n'], " ");
        write!(out, "SIP/2.0 {:03} {reason}\r\n", self.code).expect("a String takes everything");
        finish(out, &self.headers, &self.body)
    }
}

fn finish(mut out: String, headers: &Headers, body: &Bytes) -> Bytes {
    headers.write(&mut out, body.len()).expect("a String takes everything");
    let mut out = out.into_bytes();
    out.extend_from_slice(body);
    out.into()
}

#[cfg(test)]
mod tests;
