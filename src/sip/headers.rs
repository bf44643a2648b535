//! The header fields of one message: the five that every message has, typed; the others as text in their order.

use std::{borrow::Cow, fmt::Write};

use super::{CSeq, NameAddr, Via, text};

/// How often a field may stand in a message, and where it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Typed, in a place of its own.
    Via,
    From,
    To,
    CallId,
    CSeq,
    /// Not kept: the body knows its length.
    ContentLength,
    /// A comma list.
    List,
    /// At most once.
    Once,
    /// Anything else.
    Text,
}

/// Long name, compact form, kind. What often comes stands first.
const KNOWN: [(&str, &str, Kind); 58] = [
    ("Via", "v", Kind::Via),
    ("From", "f", Kind::From),
    ("To", "t", Kind::To),
    ("Call-ID", "i", Kind::CallId),
    ("CSeq", "", Kind::CSeq),
    ("Content-Length", "l", Kind::ContentLength),
    ("Contact", "m", Kind::List),
    ("Max-Forwards", "", Kind::Once),
    ("Content-Type", "c", Kind::Once),
    ("Allow", "", Kind::List),
    ("Supported", "k", Kind::List),
    ("User-Agent", "", Kind::Text),
    ("Server", "", Kind::Text),
    ("Route", "", Kind::List),
    ("Record-Route", "", Kind::List),
    ("Require", "", Kind::List),
    ("Authorization", "", Kind::Text),
    ("Proxy-Authorization", "", Kind::Text),
    ("WWW-Authenticate", "", Kind::Text),
    ("Proxy-Authenticate", "", Kind::Text),
    ("Proxy-Require", "", Kind::List),
    ("Unsupported", "", Kind::List),
    ("Accept", "", Kind::List),
    ("Accept-Contact", "a", Kind::List),
    ("Accept-Encoding", "", Kind::List),
    ("Accept-Language", "", Kind::List),
    ("Alert-Info", "", Kind::List),
    ("Allow-Events", "u", Kind::List),
    ("Call-Info", "", Kind::List),
    ("Content-Disposition", "", Kind::Once),
    ("Content-Encoding", "e", Kind::List),
    ("Content-Language", "", Kind::List),
    ("Date", "", Kind::Once),
    ("Diversion", "", Kind::List),
    ("Error-Info", "", Kind::List),
    ("Event", "o", Kind::Once),
    ("Expires", "", Kind::Once),
    ("History-Info", "", Kind::List),
    ("Identity", "y", Kind::Text),
    ("In-Reply-To", "", Kind::List),
    ("MIME-Version", "", Kind::Once),
    ("Min-Expires", "", Kind::Once),
    ("Min-SE", "", Kind::Once),
    ("P-Asserted-Identity", "", Kind::List),
    ("P-Preferred-Identity", "", Kind::List),
    ("Path", "", Kind::List),
    ("Reason", "", Kind::List),
    ("Refer-To", "r", Kind::Once),
    ("Referred-By", "b", Kind::Once),
    ("Reject-Contact", "j", Kind::List),
    ("Replaces", "", Kind::Once),
    ("Request-Disposition", "d", Kind::List),
    ("Retry-After", "", Kind::Once),
    ("Service-Route", "", Kind::List),
    ("Session-Expires", "x", Kind::Once),
    ("Subject", "s", Kind::Once),
    ("Subscription-State", "", Kind::Once),
    ("Warning", "", Kind::List),
];

/// Long name and kind of a field, where we know it by this or its compact name.
fn find(name: &str) -> Option<(&'static str, Kind)> {
    let is = |(long, compact, _): &&(&str, &str, Kind)| match name.len() {
        1 => compact.eq_ignore_ascii_case(name),
        _ => long.eq_ignore_ascii_case(name),
    };
    KNOWN.iter().find(is).map(|(long, _, kind)| (*long, *kind))
}

/// The canonical name (long form; unknown ones as given) and kind of a field.
pub(super) fn known(name: &str) -> (Cow<'static, str>, Kind) {
    match find(name) {
        Some((long, kind)) => (Cow::Borrowed(long), kind),
        None => (Cow::Owned(name.to_owned()), Kind::Text),
    }
}

/// All header fields. Content-Length is not among them: it is printed from the body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Headers {
    /// The way the request came, nearest hop first.
    pub via: Vec<Via>,
    /// Who asks.
    pub from: NameAddr,
    /// Who was asked.
    pub to: NameAddr,
    /// The call's own name.
    pub call_id: String,
    /// The request's place in its dialog.
    pub cseq: CSeq,
    others: Vec<(Cow<'static, str>, String)>,
    /// Only in answers to malformed requests: the fields that could not be read, as they were sent. They are printed
    /// in place of the typed ones; an empty text leaves the field out.
    unread: Vec<(Kind, String)>,
}

impl Headers {
    /// Only the given fields.
    pub fn new(from: NameAddr, to: NameAddr, call_id: String, cseq: CSeq) -> Headers {
        Headers { via: Vec::new(), from, to, call_id, cseq, others: Vec::with_capacity(16), unread: Vec::new() }
    }

    /// The first value of the field, by long or compact name, case ignored. The five typed fields and Content-Length
    /// are not found here.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// Every value in order; one for each element where the field is a comma list, empty ones left out.
    pub fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        let (name, kind) = find(name).unwrap_or((name, Kind::Text));
        // Lists are kept as they came and split here: most are never asked for.
        let list = kind == Kind::List;
        let fields = self.others.iter().filter(move |(n, _)| n.eq_ignore_ascii_case(name));
        let values = fields.flat_map(move |(_, value)| text::list(value, list));
        values.filter(move |one| !list || !one.is_empty())
    }

    /// Every field but the typed ones: long name and whole value, in order.
    pub fn others(&self) -> impl Iterator<Item = (&str, &str)> {
        self.others.iter().map(|(name, value)| (name.as_ref(), value.as_str()))
    }

    /// Adds a field behind those that are there. Line ends become spaces, so that no value can
    /// smuggle in a field. The typed fields, Content-Length, and names that are none, are not taken.
    pub fn push(&mut self, name: &str, value: impl Into<String>) {
        let (name, kind) = known(name);
        let mut value = value.into();
        if value.contains(['\r', '\n']) {
            value = value.replace(['\r', '\n'], " ");
        }
        match kind {
            Kind::Via | Kind::From | Kind::To | Kind::CallId | Kind::CSeq | Kind::ContentLength => {}
            Kind::List | Kind::Once | Kind::Text if text::is_token(&name) => self.add(name, &value),
            Kind::List | Kind::Once | Kind::Text => {}
        }
    }

    /// Adds a field whose name and value are known to be good.
    pub(super) fn add(&mut self, name: Cow<'static, str>, value: &str) {
        self.others.push((name, text::trim(value).to_owned()));
    }

    /// Replaces all values of the field.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        self.remove(name);
        self.push(name, value);
    }

    /// Removes all values of the field.
    pub fn remove(&mut self, name: &str) {
        let (name, _) = find(name).unwrap_or((name, Kind::Text));
        self.others.retain(|(n, _)| !n.eq_ignore_ascii_case(name));
    }

    /// The first Contact, unless it is `*`.
    pub fn contact(&self) -> Option<NameAddr> {
        self.get("Contact").and_then(|value| NameAddr::read(value).ok())
    }

    /// How many hops are left.
    pub fn max_forwards(&self) -> Option<u32> {
        self.get("Max-Forwards")?.parse().ok()
    }

    /// Notes what a field that could not be read was, for the answer to repeat.
    pub(super) fn note_unread(&mut self, kind: Kind, text: &str) {
        self.unread.push((kind, text.replace('\r', " ")));
    }

    fn unread(&self, kind: Kind) -> Option<&str> {
        self.unread.iter().find(|(k, _)| *k == kind).map(|(_, text)| text.as_str())
    }

    /// The fields that every answer repeats (RFC 3261 section 8.2.6.2).
    pub(super) fn for_answer(&self) -> Headers {
        Headers {
            via: self.via.clone(),
            from: self.from.clone(),
            to: self.to.clone(),
            call_id: self.call_id.clone(),
            cseq: self.cseq,
            others: Vec::new(),
            unread: self.unread.clone(),
        }
    }

    /// Writes all fields, Content-Length last, and the empty line.
    pub(super) fn write(&self, out: &mut String, body: usize) -> std::fmt::Result {
        for via in &self.via {
            write!(out, "Via: {via}\r\n")?;
        }
        match self.unread(Kind::From) {
            Some(text) => write_unread(out, "From", text),
            None => write!(out, "From: {}\r\n", self.from)?,
        }
        match self.unread(Kind::To) {
            Some(text) => write_unread(out, "To", text),
            None => write!(out, "To: {}\r\n", self.to)?,
        }
        write_unread(out, "Call-ID", &self.call_id);
        match self.unread(Kind::CSeq) {
            Some(text) => write_unread(out, "CSeq", text),
            None => write!(out, "CSeq: {}\r\n", self.cseq)?,
        }
        for (name, value) in &self.others {
            for part in [name, ": ", value, "\r\n"] {
                out.push_str(part);
            }
        }
        write!(out, "Content-Length: {body}\r\n\r\n")
    }
}

fn write_unread(out: &mut String, name: &str, text: &str) {
    if !text.is_empty() {
        for part in [name, ": ", text, "\r\n"] {
            out.push_str(part);
        }
    }
}
