//! From bytes to a [`Message`].
//!
//! rsip refuses folded fields and white space before the colon (both legal, RFC 3261 section 7.3.1), so lines are read
//! here: fields are unfolded, compact names made long, comma lists split. A fault does not end the reading, because
//! the answer to a bad request has to repeat what the fields behind the fault say.

use bytes::Bytes;

use super::{
    CSeq, Headers, Limits, Malformed, Message, Method, NameAddr, Request, Response, Uri, Via,
    cseq::{method_named, read_parts},
    headers::Kind,
    lines::{Lines, field, read_length},
    status::reason_phrase,
    text,
};

/// Longest field in bytes, all its folded lines together.
const MAX_LINE: usize = 16 * 1024;

/// What is wrong, and the code to answer with.
#[derive(Debug)]
struct Fault {
    code: u16,
    what: &'static str,
}

impl From<&'static str> for Fault {
    fn from(what: &'static str) -> Fault {
        Fault { code: 400, what }
    }
}

/// See [`Message::parse`].
pub(super) fn message(bytes: &[u8], limits: &Limits) -> Result<Message, Malformed> {
    let mut lines = Lines::new(bytes);
    let first = lines.next().unwrap_or_default();
    let mut draft = Draft::new();
    if bytes.len() > limits.max_message {
        draft.fault(Fault { code: 513, what: "more bytes than are taken" });
    }
    let start = Start::read(&first, &mut draft)?;
    for line in lines.by_ref() {
        draft.field(&line, &start, limits);
    }
    // The empty line may be missing where no body follows: a datagram ends the header as well.
    if lines.broken_off {
        draft.fault("a header that ends within a line");
    }
    let body = draft.body(lines.rest);
    match start {
        Start::Request { method, name, uri } => draft.request(method, name, uri, body),
        Start::Response { code, reason } => draft.response(code, reason, body),
    }
}

/// The first line.
enum Start<'a> {
    Request { method: Option<Method>, name: &'a str, uri: Option<Uri> },
    Response { code: u16, reason: &'a str },
}

impl<'a> Start<'a> {
    /// Faults that can be answered go to `draft`.
    fn read(line: &'a str, draft: &mut Draft) -> Result<Start<'a>, Malformed> {
        if line.get(..4).is_some_and(|word| word.eq_ignore_ascii_case("SIP/")) {
            return Start::read_response(line).ok_or(Malformed::from("a response with an improper first line"));
        }
        let tail = line.trim_end();
        let version = tail.rsplit([' ', '\t']).next().unwrap_or_default();
        if !version.get(..4).is_some_and(|word| word.eq_ignore_ascii_case("SIP/")) {
            return Err(Malformed::from("not a SIP message"));
        }
        if !version.eq_ignore_ascii_case("SIP/2.0") {
            draft.fault(Fault { code: 505, what: "another version of SIP" });
        }
        let name = line.split([' ', '\t']).next().unwrap_or_default();
        let method = method_named(name);
        let uri = line.strip_prefix(name).and_then(|rest| rest.strip_prefix(' '));
        let uri = uri.and_then(|rest| rest.strip_suffix(version)).and_then(|rest| rest.strip_suffix(' '));
        let uri = match uri {
            Some(uri) if text::is_token(name) => draft.keep(Uri::read(uri)),
            _ => draft.keep(Err("an improper request line")),
        };
        if uri.as_ref().is_some_and(|uri| !uri.headers.is_empty()) {
            draft.fault("headers in the Request-URI");
        }
        if method.is_none() {
            draft.fault(Fault { code: 501, what: "an unknown method" });
        }
        Ok(Start::Request { method, name, uri })
    }

    fn read_response(line: &'a str) -> Option<Start<'a>> {
        let (version, rest) = line.split_once(' ')?;
        let (code, reason) = rest.split_once(' ').unwrap_or((rest, ""));
        let digits = code.len() == 3 && code.bytes().all(|b| b.is_ascii_digit());
        let code = code.parse().ok().filter(|code| digits && (100..700).contains(code))?;
        (version.eq_ignore_ascii_case("SIP/2.0") && !reason.contains('\r')).then_some(Start::Response { code, reason })
    }
}

/// A message half read: what was understood, and the first thing that was not.
struct Draft {
    headers: Headers,
    /// The fields that came, of those that must come once.
    seen: Vec<Kind>,
    length: Option<usize>,
    /// How many values of fields were taken, each element of a comma list being one.
    values: usize,
    fault: Option<Fault>,
}

impl Draft {
    fn new() -> Draft {
        // Stands in for what does not come or cannot be read; such a message never leaves this file as a good one.
        let nobody = NameAddr::new(Uri::sip(None, "", None));
        let cseq = CSeq { number: 0, method: Method::Options };
        let headers = Headers::new(nobody.clone(), nobody, String::new(), cseq);
        Draft { headers, seen: Vec::new(), length: None, values: 0, fault: None }
    }

    /// The first fault is the one that is told.
    fn fault(&mut self, fault: impl Into<Fault>) {
        self.fault.get_or_insert(fault.into());
    }

    fn keep<T>(&mut self, result: Result<T, &'static str>) -> Option<T> {
        result.map_err(|what| self.fault(what)).ok()
    }

    fn field(&mut self, line: &str, start: &Start, limits: &Limits) {
        let Some((name, kind, value)) = field(line) else { return self.fault("an improper line") };
        if line.len() > MAX_LINE {
            return self.fault("a line too long");
        }
        let elements = match kind {
            Kind::Via => return self.via(value, limits),
            Kind::From | Kind::To | Kind::CallId | Kind::CSeq | Kind::ContentLength => {
                return self.single(kind, value, start);
            }
            Kind::List => 1 + value.bytes().filter(|b| *b == b',').count(),
            Kind::Once | Kind::Text => 1,
        };
        if !self.has_room(elements, limits) {
            return;
        }
        if kind == Kind::Once && self.headers.get(&name).is_some() {
            return self.fault("a field twice that may come once");
        }
        self.headers.add(name, value);
    }

    fn via(&mut self, value: &str, limits: &Limits) {
        for one in text::list(value, true) {
            // Behind a broken one nothing is taken: the answer's way would have a gap.
            if self.seen.contains(&Kind::Via) || !self.has_room(1, limits) {
                return;
            }
            let (via, fault) = match Via::read(one) {
                Ok((via, fault)) => (Some(via), fault),
                Err(fault) => (None, Some(fault)),
            };
            self.headers.via.extend(via);
            if let Some(fault) = fault {
                self.seen.push(Kind::Via);
                self.fault(fault);
            }
        }
    }

    /// Takes the room for so many values; where there is not enough, they must be left out, which bounds all later work.
    fn has_room(&mut self, values: usize, limits: &Limits) -> bool {
        let room = values <= limits.max_headers - self.values;
        if room {
            self.values += values;
        } else {
            self.fault("more fields than are taken");
        }
        room
    }

    fn single(&mut self, kind: Kind, value: &str, start: &Start) {
        if self.seen.contains(&kind) {
            return self.fault("a field twice that may come once");
        }
        self.seen.push(kind);
        let read = match kind {
            Kind::From => NameAddr::read(value).map(|from| self.headers.from = from),
            Kind::To => NameAddr::read(value).map(|to| self.headers.to = to),
            Kind::CallId => self.call_id(value),
            Kind::CSeq => self.cseq(value, start),
            Kind::ContentLength => read_length(value).map(|length| self.length = Some(length)),
            Kind::Via | Kind::List | Kind::Once | Kind::Text => Ok(()),
        };
        if let Err(what) = read {
            self.headers.note_unread(kind, value);
            self.fault(what);
        }
    }

    fn call_id(&mut self, value: &str) -> Result<(), &'static str> {
        value.clone_into(&mut self.headers.call_id);
        if text::is_call_id(value) { Ok(()) } else { Err("an improper Call-ID") }
    }

    fn cseq(&mut self, value: &str, start: &Start) -> Result<(), &'static str> {
        let (number, name) = read_parts(value)?;
        let method = method_named(name);
        match start {
            Start::Request { name: wanted, .. } if *wanted != name => return Err("a CSeq of another method"),
            Start::Response { .. } if method.is_none() => return Err("a CSeq of an unknown method"),
            Start::Request { .. } | Start::Response { .. } => {}
        }
        match method {
            Some(method) => self.headers.cseq = CSeq { number, method },
            // No fault of its own: the request line has the same.
            None => self.headers.note_unread(Kind::CSeq, value),
        }
        Ok(())
    }

    /// What of `rest` is the body.
    fn body(&mut self, rest: &[u8]) -> Bytes {
        let length = self.length.unwrap_or(rest.len());
        if length > rest.len() {
            self.fault("a body shorter than its Content-Length");
        }
        Bytes::copy_from_slice(rest.get(..length).unwrap_or(rest))
    }

    /// What must be in every message is there, and what would be dangerous to misread can be read.
    fn check(&mut self) {
        let needed =
            [(Kind::From, "no From"), (Kind::To, "no To"), (Kind::CallId, "no Call-ID"), (Kind::CSeq, "no CSeq")];
        for (kind, what) in needed {
            if !self.seen.contains(&kind) {
                self.headers.note_unread(kind, "");
                self.fault(what);
            }
        }
        let hops = self.headers.get("Max-Forwards").map(|hops| hops.parse::<u8>().is_ok() && !hops.starts_with('+'));
        if hops == Some(false) {
            self.fault("an improper Max-Forwards");
        }
        let bad = |contact: &str| contact != "*" && NameAddr::read(contact).is_err();
        if self.headers.all("Contact").any(bad) {
            self.fault("an improper Contact");
        }
    }

    fn request(
        mut self,
        method: Option<Method>,
        name: &str,
        uri: Option<Uri>,
        body: Bytes,
    ) -> Result<Message, Malformed> {
        self.check();
        match (self.fault.take(), method, uri) {
            (None, Some(method), Some(uri)) if !self.headers.via.is_empty() => {
                Ok(Message::Request(Request { method, uri, headers: self.headers, body }))
            }
            (fault, ..) => Err(self.refuse(fault.unwrap_or(Fault::from("no Via")), name)),
        }
    }

    fn refuse(self, fault: Fault, method: &str) -> Malformed {
        let Fault { code, what } = fault;
        // What is wrong goes into the phrase of a 400 (RFC 3261 section 21.4.1).
        let reason = if code == 400 { format!("Bad Request: {what}") } else { reason_phrase(code).to_owned() };
        let answerable = method != "ACK" && !self.headers.via.is_empty();
        let headers = self.headers.for_answer();
        let answer = answerable.then(|| Box::new(Response { code, reason, headers, body: Bytes::new() }));
        Malformed { what: what.to_owned(), answer }
    }

    fn response(mut self, code: u16, reason: &str, body: Bytes) -> Result<Message, Malformed> {
        self.check();
        if self.headers.via.is_empty() {
            self.fault("no Via");
        }
        match self.fault {
            None => Ok(Message::Response(Response { code, reason: reason.to_owned(), headers: self.headers, body })),
            Some(fault) => Err(Malformed::from(fault.what)),
        }
    }
}
