//! A look at a message without reading it: enough to tell whether it begins something, whose call it is, and with which
//! tool it was made.
//!
//! It costs a small part of what reading costs, and answers for nothing: what it takes for good may turn out malformed.

use std::borrow::Cow;

use super::{branch::TRACELESS, lines::Lines};

/// What is seen at a glance.
#[derive(Debug)]
pub struct Glance<'a> {
    /// The method, as it was sent; `None`: a response, or nothing known.
    pub method: Option<Cow<'a, str>>,
    /// The user of the Request-URI, as it was sent; `None`: it has none.
    pub number: Option<Cow<'a, str>>,
    /// The Call-ID.
    pub call_id: Option<Cow<'a, str>>,
    /// To has a tag: it belongs to a dialog.
    pub within: bool,
    /// That tag is one of an answer of ours that left no trace, as [`Stack::shed`](super::Stack::shed) gives: the ACK belongs
    /// to nothing that is here.
    pub idle: bool,
    /// The User-Agent.
    pub agent: Option<Cow<'a, str>>,
}

impl<'a> Glance<'a> {
    /// Looks at the head of a message.
    pub fn new(bytes: &'a [u8]) -> Glance<'a> {
        let mut lines = Lines::new(bytes);
        let first = lines.next();
        let number = first.as_ref().and_then(|line| part(line, number));
        let method = first.as_ref().and_then(|line| part(line, method));
        let mut glance = Glance { method, number, call_id: None, within: false, idle: false, agent: None };
        for line in lines {
            let Some(colon) = line.bytes().position(|b| b == b':') else { continue };
            let name = line[..colon].trim();
            if name.eq_ignore_ascii_case("Call-ID") || name.eq_ignore_ascii_case("i") {
                glance.call_id.get_or_insert_with(|| behind(line, colon));
            } else if name.eq_ignore_ascii_case("To") || name.eq_ignore_ascii_case("t") {
                let tag = tag(&line[colon + 1..]);
                glance.within |= tag.is_some();
                glance.idle |= tag.is_some_and(|tag| tag.starts_with(TRACELESS));
            } else if name.eq_ignore_ascii_case("User-Agent") {
                glance.agent.get_or_insert_with(|| behind(line, colon));
            }
        }
        glance
    }

    /// True for a request.
    pub fn is_request(&self) -> bool {
        self.method.is_some()
    }

    /// True for what would be a new call, or a text message outside of calls.
    pub fn is_new_work(&self) -> bool {
        matches!(self.method.as_deref(), Some("INVITE" | "MESSAGE")) && !self.within
    }
}

/// A part of a line, without a copy where the line is none.
fn part<'a>(line: &Cow<'a, str>, of: fn(&str) -> Option<&str>) -> Option<Cow<'a, str>> {
    match line {
        Cow::Borrowed(line) => of(line).map(Cow::Borrowed),
        Cow::Owned(line) => of(line).map(|part| Cow::Owned(part.to_owned())),
    }
}

/// The method of a request line.
fn method(line: &str) -> Option<&str> {
    let end = line.bytes().position(|b| b == b' ')?;
    let response = line.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("SIP/"));
    (!response && end > 0).then(|| &line[..end])
}

/// The user of the Request-URI of a request line, without its parameters; of a `tel:` address, the number.
fn number(line: &str) -> Option<&str> {
    let uri = line.split(' ').nth(1)?;
    let (scheme, rest) = uri.split_once(':')?;
    let user = match scheme.to_ascii_lowercase().as_str() {
        "tel" => rest,
        "sip" | "sips" => rest.split_once('@')?.0,
        _ => return None,
    };
    user.split([';', ':']).next().filter(|user| !user.is_empty())
}

fn behind(line: Cow<'_, str>, colon: usize) -> Cow<'_, str> {
    match line {
        Cow::Borrowed(line) => Cow::Borrowed(line[colon + 1..].trim()),
        Cow::Owned(line) => Cow::Owned(line[colon + 1..].trim().to_owned()),
    }
}

/// The `tag` parameter behind the address. One within quotes or brackets is none of the header's.
fn tag(value: &str) -> Option<&str> {
    let params = value.rfind(['>', '"']).map_or(value, |end| &value[end + 1..]);
    params.split(';').skip(1).find_map(|param| {
        let (name, tag) = param.split_once('=').unwrap_or((param, ""));
        name.trim().eq_ignore_ascii_case("tag").then(|| tag.trim())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(text: &str) -> (Option<String>, Option<String>, bool, Option<String>) {
        let Glance { method, call_id, within, agent, .. } = Glance::new(text.as_bytes());
        (method.map(Cow::into_owned), call_id.map(Cow::into_owned), within, agent.map(Cow::into_owned))
    }

    #[test]
    fn a_glance_tells_what_begins_something() {
        let text = "INVITE sip:1@h SIP/2.0\r\nTo: \"a;tag=1\" <sip:1@h;tag=2>\r\ni : abc \r\nUSER-agent: x\r\n y\r\n\r\nTo: z;tag=1";
        let seen = look(text);
        assert_eq!(seen, (Some("INVITE".into()), Some("abc".into()), false, Some("x y".into())));
        assert!(Glance::new(text.as_bytes()).is_new_work());
        let new = |text: &str| Glance::new(text.as_bytes()).is_new_work();
        assert!(
            new("MESSAGE sip:1@h SIP/2.0\nTo: <sip:1@h>\n\n") && !new("OPTIONS sip:1@h SIP/2.0\nTo: <sip:1@h>\n\n")
        );
        assert!(!new("MESSAGE sip:1@h SIP/2.0\nTo: <sip:1@h>;tag=5\n\n"));
        assert!(look("BYE sip:1@h SIP/2.0\nt: sip:1@h ; TAG = 5\n\n").2);
        assert!(look("BYE sip:1@h SIP/2.0\nTo: <sip:1@h>\n ;tag=5\n\n").2, "folded");
        assert!(!look("BYE sip:1@h SIP/2.0\nTo: <sip:1@h>;stage=5\n\n").2);
    }

    #[test]
    fn a_glance_tells_whom_a_request_is_for() {
        let number = |line: &str| Glance::new(line.as_bytes()).number.map(Cow::into_owned);
        assert_eq!(number("INVITE sip:112@192.0.2.1 SIP/2.0\r\n").as_deref(), Some("112"));
        assert_eq!(number("INVITE SIPS:112;phone-context=x:pw@h;transport=tcp SIP/2.0\r\n").as_deref(), Some("112"));
        assert_eq!(number("INVITE tel:911;phone-context=us SIP/2.0\r\n").as_deref(), Some("911"));
        for line in ["INVITE sip:192.0.2.1 SIP/2.0", "SIP/2.0 200 OK", "INVITE urn:service:sos SIP/2.0", "INVITE", ""] {
            assert_eq!(number(line), None, "{line}");
        }
    }

    #[test]
    fn what_belongs_to_a_503_of_overload_is_known_by_its_tag() {
        let idle = |to: &str| Glance::new(format!("ACK sip:1@h SIP/2.0\nTo: {to}\n\n").as_bytes()).idle;
        assert!(idle(&format!("<sip:1@h>;tag={TRACELESS}0123")) && idle(&format!("sip:1@h ;Tag= {TRACELESS}0")));
        assert!(!idle("<sip:1@h>;tag=0123456789abcdef") && !idle(&format!("<sip:1@h;tag={TRACELESS}0>")));
    }

    #[test]
    fn responses_and_noise_begin_nothing() {
        for text in ["SIP/2.0 200 OK\r\nTo: <sip:1@h>\r\n\r\n", "", "\r\n\r\n", "é", "INVITE", " x y", "\u{0}"] {
            let glance = Glance::new(text.as_bytes());
            assert!(!glance.is_request() && !glance.is_new_work(), "{text:?}");
        }
    }
}
