//! Text messages (SIP MESSAGE, RFC 3428): what the operator allows, and how one is read. They come in by `message_in`,
//! go out by `message_out`, and pass within calls by `message_within`.

use std::sync::Arc;

use super::{Pattern, core::Core, message_in::Arrived, message_out::Sent};
use crate::{
    sip::{Request, ServerTx},
    verbs::Text,
};

/// What is kept of a message's type, in bytes.
const LONGEST_KIND: usize = 100;

/// What a message without a type is.
const PLAIN: &str = "text/plain";

/// What the operator allows.
#[derive(Clone, Debug, PartialEq)]
pub struct MessageConfig {
    /// Which script handles a message to which number.
    pub routes: Vec<MessageRoute>,
    /// The media types that are taken, in lower case; the others get 415.
    pub kinds: Vec<String>,
    /// Longest body, in bytes, both ways; longer ones get 413.
    pub longest: usize,
    /// Scripts that handle messages at a time; then they get 503.
    pub flows: usize,
    /// Messages that are on their way out at a time.
    pub sending: usize,
}

impl Default for MessageConfig {
    fn default() -> MessageConfig {
        MessageConfig { routes: Vec::new(), kinds: vec![PLAIN.to_owned()], longest: 16_384, flows: 1000, sending: 1000 }
    }
}

/// Which script handles a message to which number.
#[derive(Clone, Debug, PartialEq)]
pub struct MessageRoute {
    /// The numbers.
    pub number: Pattern,
    /// Script name, a path below the script folder.
    pub script: Arc<str>,
    /// Variables that the script starts with.
    pub vars: Vec<(String, String)>,
}

impl MessageConfig {
    /// The route of `number`, by the rules of calls' routes: the most exact one, the first of equals; a number with `+`
    /// is tried as it stands first, then without.
    pub(super) fn find(&self, number: &str) -> Option<&MessageRoute> {
        let best = |number: &str| {
            let fitting = self.routes.iter().rev().filter(|route| route.number.matches(number));
            fitting.max_by_key(|route| route.number.exactness())
        };
        best(number).or_else(|| number.strip_prefix('+').and_then(best))
    }
}

/// All messages that are under way.
#[derive(Default)]
pub(super) struct Messages {
    pub arrived: Arrived,
    pub sent: Sent,
}

/// Why a message is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unread {
    /// 400: not in the character set that it claims to be in.
    Garbled,
    /// 413.
    TooLong,
    /// 415, with what would be taken.
    Kind,
    /// 415: nothing is unpacked.
    Packed,
}

impl Unread {
    /// What it is answered with.
    pub const fn code(self) -> u16 {
        match self {
            Unread::Garbled => 400,
            Unread::TooLong => 413,
            Unread::Kind | Unread::Packed => 415,
        }
    }
}

/// What a message claims to be: its media type, cut where it is longer than any that is taken.
pub(super) fn claimed_kind(request: &Request) -> String {
    let (kind, _) = kind(request.headers.get("Content-Type").unwrap_or(PLAIN));
    kind.chars().take(LONGEST_KIND).collect()
}

impl Core {
    /// What a MESSAGE says.
    pub fn read_text(&self, request: &Request) -> Result<Text, Unread> {
        let (config, headers) = (&self.config.messages, &request.headers);
        if request.body.len() > config.longest {
            return Err(Unread::TooLong);
        }
        let mut codings = headers.all("Content-Encoding").flat_map(|value| value.split(','));
        if codings.any(|coding| !matches!(coding.trim().to_ascii_lowercase().as_str(), "" | "identity")) {
            return Err(Unread::Packed);
        }
        let (kind, charset) = kind(headers.get("Content-Type").unwrap_or(PLAIN));
        if kind.len() > LONGEST_KIND || !config.kinds.contains(&kind) {
            return Err(Unread::Kind);
        }
        match charset.as_deref() {
            None | Some("utf-8" | "us-ascii") => {}
            Some(_) => return Err(Unread::Kind),
        }
        let text = std::str::from_utf8(&request.body).map_err(|_| Unread::Garbled)?;
        Ok(Text { kind, text: text.to_owned() })
    }

    /// Answer a MESSAGE that is not taken.
    pub fn refuse_text(&mut self, tx: ServerTx, request: &Request, unread: Unread) {
        let field = match unread {
            Unread::Garbled => Some(("Warning", super::accept::warning("the text is not UTF-8"))),
            Unread::TooLong => None,
            Unread::Kind => Some(("Accept", self.config.messages.kinds.join(", "))),
            Unread::Packed => Some(("Accept-Encoding", "identity".to_owned())),
        };
        let fields: Vec<(&str, &str)> = field.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.answer(tx, request, unread.code(), &fields);
    }
}

/// A media type in lower case, and its character set.
fn kind(header: &str) -> (String, Option<String>) {
    let mut parts = header.split(';');
    let kind = parts.next().unwrap_or_default().trim().to_ascii_lowercase();
    let charset = parts.find_map(|part| {
        let (name, value) = part.split_once('=')?;
        let own = name.trim().eq_ignore_ascii_case("charset");
        own.then(|| value.trim().trim_matches('"').to_ascii_lowercase())
    });
    (kind, charset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_exact_route_wins_and_the_plus_may_be_left_out() {
        let route = |number: &str| MessageRoute {
            number: Pattern::parse(number).unwrap(),
            script: Arc::from(number),
            vars: Vec::new(),
        };
        let routes = ["*", "49*", "4930", "4930"].map(route).to_vec();
        let config = MessageConfig { routes, ..MessageConfig::default() };
        let found = |number: &str| config.find(number).map(|route| &*route.script);
        assert_eq!((found("7"), found("491"), found("4930")), (Some("*"), Some("49*"), Some("4930")));
        assert!(std::ptr::eq(config.find("4930").unwrap(), &raw const config.routes[2]), "the first of equals");
        let config = MessageConfig { routes: vec![route("49*")], ..MessageConfig::default() };
        assert!(config.find("+491").is_some() && config.find("7").is_none());
    }

    #[test]
    fn a_type_is_read_without_its_parameters() {
        assert_eq!(kind("Text/Plain ; format=flowed; Charset=\"UTF-8\""), ("text/plain".into(), Some("utf-8".into())));
        assert_eq!(kind("text/plain"), ("text/plain".into(), None));
        assert_eq!(kind(""), (String::new(), None));
    }
}
