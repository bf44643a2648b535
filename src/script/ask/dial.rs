//! Whom to ring, whom to send a party to, and the header fields that go along.

use std::time::Duration;

use mlua::{Table, Value};

use super::{Arguments, handle};
use crate::{
    ids::CallId,
    script::{
        args::{Given, Options, Refusal, describe, misuse},
        sounds::sound,
    },
    verbs::{Dial, Sound, Strategy, Transfer, Verb},
};

/// Most phones that one dial may ring.
const MOST_TARGETS: usize = 32;
/// How long a dial rings where the script does not say.
const RING_TIME: Duration = Duration::from_secs(30);

pub(super) fn dial(function: &str, given: &Arguments) -> Result<Dial, Refusal> {
    let known = ["strategy", "timeout", "early_media", "caller_id", "headers", "ringback"];
    let (targets, options) = match &given.a {
        Value::String(_) => {
            let target = target(&Given::argument(function, "the target", &given.a))?;
            (vec![target], Options::new(function, &given.b, &known, false)?)
        }
        Value::Table(table) => (targets(function, table)?, Options::new(function, &given.a, &known, true)?),
        other => {
            return misuse(format!(
                "{function}: give a SIP URI or a number, or a table of them, not {}",
                describe(other)
            ));
        }
    };
    let strategy = match options.get("strategy") {
        None => Strategy::All,
        Some(given) => match &given.value {
            Value::String(text) if text.as_bytes() == *b"all" => Strategy::All,
            Value::String(text) if text.as_bytes() == *b"in_turn" => Strategy::InTurn,
            _ => return given.wrong("'all' or 'in_turn'"),
        },
    };
    Ok(Dial {
        targets,
        strategy,
        timeout: options.seconds("timeout", 1.0)?.unwrap_or(RING_TIME),
        early_media: options.flag("early_media", false)?,
        caller_id: options.get("caller_id").map(|given| header_text(&given)).transpose()?,
        headers: options.get("headers").map_or(Ok(vec![]), |given| headers(&given))?,
        ringback: options.get("ringback").map(|given| ringback(&given)).transpose()?,
    })
}

pub(super) fn transfer(function: &str, given: &Arguments) -> Result<Verb, Refusal> {
    let options = Options::new(function, &given.b, &["timeout"], false)?;
    let timeout = options.seconds("timeout", 1.0)?.unwrap_or(RING_TIME * 2);
    Ok(Verb::Transfer(match handle(&given.a, "_leg")? {
        Some(other) => Transfer::Attended { other: CallId(other), timeout },
        None => Transfer::Blind { target: target(&Given::argument(function, "the target", &given.a))?, timeout },
    }))
}

fn targets(function: &str, table: &Table) -> Result<Vec<String>, Refusal> {
    let count = table.raw_len();
    if !(1..=MOST_TARGETS).contains(&count) {
        return misuse(format!("{function}: there must be 1 to {MOST_TARGETS} targets, not {count}"));
    }
    (1..=count)
        .map(|index| {
            let value: Value = table.raw_get(index)?;
            target(&Given::argument(function, &format!("target {index}"), &value))
        })
        .collect()
}

pub(in crate::script) fn target(given: &Given) -> Result<String, Refusal> {
    let uri = given.text(512)?;
    let scheme = |scheme: &str| {
        let rest = uri.get(..scheme.len()).filter(|start| start.eq_ignore_ascii_case(scheme));
        rest.is_some() && uri.len() > scheme.len()
    };
    let number = uri.len() <= 64 && uri.chars().all(|c| c.is_ascii_alphanumeric() || "-_.+*#".contains(c));
    if !(number || scheme("sip:") || scheme("sips:") || scheme("tel:"))
        || uri.chars().any(|c| c.is_whitespace() || c.is_control() || "<>\"".contains(c))
    {
        return given.wrong("a SIP URI such as 'sip:anna@example.com', or a number");
    }
    Ok(uri)
}

fn ringback(given: &Given) -> Result<Sound, Refusal> {
    sound(given)
}

/// Text that stands in one header line.
pub(in crate::script) fn header_text(given: &Given) -> Result<String, Refusal> {
    let text = given.text(256)?;
    if text.chars().any(char::is_control) { given.wrong("one line of text") } else { Ok(text) }
}

pub(in crate::script) fn headers(given: &Given) -> Result<Vec<(String, String)>, Refusal> {
    const OURS: [&str; 22] = [
        "via",
        "from",
        "to",
        "call-id",
        "cseq",
        "contact",
        "max-forwards",
        "route",
        "record-route",
        "content-length",
        "content-type",
        "content-encoding",
        "require",
        "supported",
        "allow",
        "user-agent",
        "authorization",
        "proxy-authorization",
        "rack",
        "rseq",
        "session-expires",
        "expires",
    ];
    let Value::Table(table) = &given.value else { return given.wrong("a table of names and values") };
    let mut headers = Vec::new();
    for pair in table.pairs::<Value, Value>() {
        let (name, value) = pair?;
        let name = Given { place: format!("{}: a name", given.place), value: name };
        let text = name.text(64)?;
        let token = text.chars().all(|c| c.is_ascii_alphanumeric() || "-.!%*_+`'~".contains(c));
        if !token || text.len() < 2 || OURS.contains(&text.to_ascii_lowercase().as_str()) {
            return name.wrong("a header name that is not the stack's own");
        }
        let value = Given { place: format!("{}: '{text}'", given.place), value };
        headers.push((text, header_text(&value)?));
        if headers.len() > 32 {
            return misuse(format!("{} has more than 32 entries", given.place));
        }
    }
    headers.sort();
    Ok(headers)
}
