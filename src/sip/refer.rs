//! The words of a transfer: Refer-To and what it carries (RFC 3515, RFC 3891), and the sipfrag in which its outcome is
//! told (RFC 3420).

use std::fmt;

use super::{NameAddr, Uri, status::reason_phrase, text, uri::decode};

/// The type of a NOTIFY's body that tells how a transfer goes.
pub const SIPFRAG: &str = "message/sipfrag";

/// Which dialog is to be replaced, as the one who is to replace it names it (RFC 3891 section 6.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replaces {
    /// Its Call-ID.
    pub call_id: String,
    /// The tag of the side that reads this.
    pub to_tag: String,
    /// The tag of that side's peer.
    pub from_tag: String,
    /// Only if it is not answered yet.
    pub early_only: bool,
}

impl Replaces {
    /// Reads the value of the header field.
    pub fn parse(value: &str) -> Option<Replaces> {
        let (call_id, params) = value.split_once(';')?;
        let mut replaces = Replaces {
            call_id: text::trim(call_id).to_owned(),
            to_tag: String::new(),
            from_tag: String::new(),
            early_only: false,
        };
        for param in params.split(';').map(text::trim) {
            match param.split_once('=') {
                Some((name, tag)) if name.eq_ignore_ascii_case("to-tag") => replaces.to_tag = tag.to_owned(),
                Some((name, tag)) if name.eq_ignore_ascii_case("from-tag") => replaces.from_tag = tag.to_owned(),
                None if param.eq_ignore_ascii_case("early-only") => replaces.early_only = true,
                Some(_) | None => {}
            }
        }
        let whole = [&replaces.call_id, &replaces.to_tag, &replaces.from_tag].iter().all(|part| !part.is_empty());
        whole.then_some(replaces)
    }
}

impl fmt::Display for Replaces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{};to-tag={};from-tag={}", self.call_id, self.to_tag, self.from_tag)?;
        if self.early_only { f.write_str(";early-only") } else { Ok(()) }
    }
}

/// Where a REFER points to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReferTo {
    /// The address, without header fields.
    pub uri: Uri,
    /// The call that the new one is to take the place of: an attended transfer.
    pub replaces: Option<Replaces>,
}

impl ReferTo {
    /// Reads the value of the header field. None: it cannot be read, or asks for anything else than an INVITE.
    pub fn parse(value: &str) -> Option<ReferTo> {
        let mut uri = NameAddr::parse(value).ok()?.uri;
        let invites = match uri.param("method") {
            None => true,
            Some(method) => method.is_some_and(|method| method.eq_ignore_ascii_case("INVITE")),
        };
        let headers = std::mem::take(&mut uri.headers);
        let replaces = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("Replaces"));
        let replaces = match replaces {
            None => None,
            Some((_, value)) => Some(Replaces::parse(&decode(value))?),
        };
        uri.params.retain(|(name, _)| !name.eq_ignore_ascii_case("method"));
        invites.then_some(ReferTo { uri, replaces })
    }
}

impl fmt::Display for ReferTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut uri = self.uri.clone();
        uri.headers.clear();
        if let Some(replaces) = &self.replaces {
            uri.headers.push(("Replaces".to_owned(), escape(&replaces.to_string())));
        }
        write!(f, "<{uri}>")
    }
}

/// What may not stand in the value of an address's header field (RFC 3261 section 19.1.1).
fn escape(value: &str) -> String {
    let mut out = String::with_capacity(value.len() * 2);
    for byte in value.bytes() {
        match byte {
            b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'-' | b'_' | b'.' | b'!' | b'~' | b'*' | b'\'' => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// The body of a NOTIFY: how far the new call is.
pub fn sipfrag(code: u16) -> String {
    format!("SIP/2.0 {code} {}\r\n", reason_phrase(code))
}

/// The status in the body of a NOTIFY.
pub fn read_sipfrag(body: &[u8]) -> Option<u16> {
    let text = std::str::from_utf8(body).ok()?;
    let rest = text.trim_start().strip_prefix("SIP/2.0 ")?;
    rest.get(..3)?.parse().ok().filter(|code| (100..700).contains(code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refer_to_is_read_and_printed_with_the_call_that_it_replaces() {
        let text = "<sip:carol@192.0.2.9:5070;transport=tcp?Replaces=a%40b%3Bto-tag%3D7%3Bfrom-tag%3D8>";
        let refer = ReferTo::parse(text).unwrap();
        let replaces = refer.replaces.clone().unwrap();
        assert_eq!(
            (replaces.call_id.as_str(), replaces.to_tag.as_str(), replaces.from_tag.as_str()),
            ("a@b", "7", "8")
        );
        assert_eq!(refer.uri.to_string(), "sip:carol@192.0.2.9:5070;transport=tcp");
        assert_eq!(refer.to_string(), text);
        let blind = ReferTo::parse("Carol <sip:carol@192.0.2.9;method=INVITE>").unwrap();
        assert_eq!((blind.to_string().as_str(), blind.replaces), ("<sip:carol@192.0.2.9>", None));
    }

    #[test]
    fn what_is_no_call_or_names_none_is_refused() {
        for text in
            ["<sip:a@b;method=BYE>", "<sip:a@b?Replaces=x>", "<sip:a@b?Replaces=x%3Bto-tag%3D1>", "nonsense", ""]
        {
            assert_eq!(ReferTo::parse(text), None, "{text}");
        }
        assert_eq!(Replaces::parse("a;from-tag=1;to-tag=2;early-only").map(|r| r.early_only), Some(true));
        assert_eq!(Replaces::parse("a;from-tag=;to-tag=2"), None);
    }

    #[test]
    fn an_outcome_is_told_in_one_line() {
        assert_eq!(sipfrag(200), "SIP/2.0 200 OK\r\n");
        assert_eq!(read_sipfrag(sipfrag(486).as_bytes()), Some(486));
        assert_eq!(read_sipfrag(b"SIP/2.0 603 Decline\r\nVia: x\r\n\r\n"), Some(603));
        for bad in [&b""[..], b"SIP/2.0", b"SIP/2.0 99 x", b"SIP/2.0 x", b"\xff\xfe", b"INVITE sip:a@b SIP/2.0"] {
            assert_eq!(read_sipfrag(bad), None);
        }
    }
}
