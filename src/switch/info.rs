//! Keys that come as SIP INFO instead of RTP events: `application/dtmf-relay` (`Signal=5`, a line each) and
//! `application/dtmf` (the key alone), as gateways and softphones send them; no RFC says how.

use super::{
    call::{Call, Notice},
    core::Core,
};
use crate::sip::{Request, ServerTx};

/// What INFO may carry.
const KINDS: &str = "application/dtmf-relay, application/dtmf";

impl Call {
    /// An INFO within the dialog.
    pub fn handle_info(&mut self, core: &mut Core, tx: ServerTx, request: &Request) {
        if request.body.is_empty() {
            return core.answer(tx, request, 200, &[]);
        }
        let kind = request.headers.get("Content-Type").unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        let text = String::from_utf8_lossy(&request.body);
        let key = if kind.eq_ignore_ascii_case("application/dtmf-relay") {
            relayed(&text)
        } else if kind.eq_ignore_ascii_case("application/dtmf") {
            key(&text)
        } else {
            return core.answer(tx, request, 415, &[("Accept", KINDS)]);
        };
        let Some(key) = key else { return core.answer(tx, request, 400, &[]) };
        core.answer(tx, request, 200, &[]);
        core.tell(self.id, Notice::Key(key));
    }
}

fn relayed(text: &str) -> Option<char> {
    let signal = |line: &str| {
        let (name, value) = line.split_once(['=', ':'])?;
        name.trim().eq_ignore_ascii_case("signal").then(|| key(value)).flatten()
    };
    text.lines().find_map(signal)
}

/// A key by its name or by its number (RFC 4733 section 3.2: 10 is the star, 11 the pound, 12 to 15 are A to D).
fn key(text: &str) -> Option<char> {
    let text = text.trim();
    let mut characters = text.chars();
    match (characters.next()?, characters.next()) {
        (c @ ('0'..='9' | '*' | '#'), None) => Some(c),
        (c @ ('A'..='D' | 'a'..='d'), None) => Some(c.to_ascii_uppercase()),
        _ => {
            ["10", "11", "12", "13", "14", "15"].iter().position(|n| *n == text).and_then(|at| "*#ABCD".chars().nth(at))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_from_the_bodies_that_phones_send() {
        for (text, want) in [
            ("Signal=5\r\nDuration=160\r\n", Some('5')),
            ("Duration=160\nsignal = # \n", Some('#')),
            ("Signal: *\r\n", Some('*')),
            ("Signal=d", Some('D')),
            ("Signal=11", Some('#')),
            ("Signal=", None),
            ("Signal=99", None),
            ("", None),
        ] {
            assert_eq!(relayed(text), want, "{text:?}");
        }
        assert_eq!(key(" 7\r\n"), Some('7'));
        assert_eq!(key("hello"), None);
    }
}
