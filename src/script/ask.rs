//! The functions of the call API: what a script asks for becomes a [`Verb`] or a [`KeepOp`].

use std::time::Duration;

use mlua::{Table, Value};

use super::{
    args::{ALL_DIGITS, Given, Options, Refusal, describe, misuse},
    contacts, play, roster,
    sounds::{sound, sounds, speech},
    texts,
    vm::Step,
};
use crate::{
    ids::CallId,
    verbs::{Gather, KeepOp, Verb},
};

mod company;
mod dial;
mod record;

use company::company;
use dial::{dial, transfer};
use record::{record, recording};

pub(super) use dial::{header_text, headers, target};

/// Longest key of the store, in bytes.
const LONGEST_KEY: usize = 256;
/// Longest value of the store, in bytes.
const LONGEST_VALUE: usize = 65_536;
/// How long a call is parked where the script does not say.
const PARK_TIME: Duration = Duration::from_secs(120);
/// How long a gather waits for a digit where the script does not say.
const DIGIT_TIME: Duration = Duration::from_secs(5);

/// Functions of a call.
pub(super) const OF_CALL: [&str; 37] = [
    "answer",
    "bridge",
    "deafen",
    "detect",
    "dial",
    "echo",
    "gather",
    "hangup",
    "hold",
    "join",
    "kick",
    "listen",
    "mailbox",
    "members",
    "mute",
    "pickup",
    "park",
    "retrieve",
    "play",
    "progress",
    "quality",
    "record",
    "reject",
    "resume",
    "ring",
    "say",
    "send_digits",
    "send_message",
    "siprec",
    "siprec_mask",
    "siprec_stop",
    "sleep",
    "stream",
    "stream_stop",
    "tone",
    "transfer",
    "wait_message",
];
/// Functions of a recording.
pub(super) const OF_RECORDING: [&str; 4] = ["mask", "pause", "resume", "stop"];
/// Functions of the store.
pub(super) const OF_STORE: [&str; 3] = ["add", "get", "set"];

/// Is there a function `name` among those of `prefix`?
pub(super) fn is_function(prefix: &str, name: &str) -> bool {
    match prefix {
        "call." => OF_CALL.contains(&name),
        "recording." => OF_RECORDING.contains(&name),
        "playing." => play::OF_PLAYING.contains(&name),
        "message." => texts::OF_MESSAGE.contains(&name),
        "messages." => texts::OF_MESSAGES.contains(&name),
        "phones." => texts::OF_PHONES.contains(&name),
        "contacts." => contacts::OF_CONTACTS.contains(&name),
        _ if roster::kind(prefix).is_some() => roster::OF_ROSTER.contains(&name),
        _ => OF_STORE.contains(&name),
    }
}

/// What the script waits for.
pub(super) struct Asked {
    /// The step to take.
    pub step: Step,
    /// How the reply is turned into values.
    pub want: Want,
}

/// What the script gets for the reply, where the reply alone does not tell.
pub(super) enum Want {
    /// As the reply says.
    Plain,
    /// An object for what this call is playing.
    Playing(CallId),
    /// A recording object of this call.
    Recording(CallId),
    /// The end of this recording object.
    Recorded(Table),
    /// A call object for one of these targets.
    Peer(Vec<String>),
    /// A whole number.
    Number,
}

/// The arguments behind the function's name.
pub(super) struct Arguments {
    /// The flow's own call.
    pub call: CallId,
    pub own: Value,
    pub a: Value,
    pub b: Value,
}

/// Turn the call of `name` into what is to be asked.
pub(super) fn ask(name: &str, given: &Arguments) -> Result<Asked, Refusal> {
    if let Some(operation) = name.strip_prefix("store.") {
        return keep(name, operation, given);
    }
    if name.starts_with("contacts.") {
        return contacts::find(name, given);
    }
    if let Some(kind) = roster::kind(name) {
        return roster::get(name, kind, given);
    }
    if let Some(operation) = name.strip_prefix("recording.") {
        return recording(operation, given);
    }
    if let Some(operation) = name.strip_prefix("playing.") {
        return play::playing(operation, given);
    }
    let callless = match name.split_once('.') {
        Some(("message", operation)) => Some(texts::of_message(operation, given)?),
        Some(("messages", _)) => Some(texts::send(given)?),
        Some(("phones", _)) => Some(texts::registrations(given)?),
        Some(_) | None => None,
    };
    if let Some(verb) = callless {
        return Ok(Asked { step: Step::Request(given.call, verb), want: Want::Plain });
    }
    let name = name.strip_prefix("call.").unwrap_or(name);
    let function = format!("call:{name}");
    let leg = leg(&function, &given.own)?;
    let (verb, want) = verb(name, &function, leg, given)?;
    Ok(Asked { step: Step::Request(leg, verb), want })
}

fn verb(name: &str, function: &str, leg: CallId, given: &Arguments) -> Result<(Verb, Want), Refusal> {
    let verb = match name {
        "answer" => Verb::Answer,
        "ring" => Verb::Ring,
        "progress" => Verb::Progress,
        "hangup" => Verb::Hangup,
        "reject" => reject(function, given)?,
        "play" | "say" | "tone" => return play::play(name, function, leg, given),
        "gather" => Verb::Gather(gather(function, given)?),
        "record" => {
            let record = record(function, given)?;
            return Ok((Verb::Record(record), Want::Recording(leg)));
        }
        "dial" => {
            let dial = dial(function, given)?;
            let targets = dial.targets.clone();
            return Ok((Verb::Dial(dial), Want::Peer(targets)));
        }
        "bridge" => {
            let options = Options::new(function, &given.b, &["stop_on"], false)?;
            let Some(other) = handle(&given.a, "_leg")? else {
                return Given::argument(function, "the other call", &given.a).wrong("a call object");
            };
            Verb::Bridge { other: CallId(other), stop_on: options.digits("stop_on", "")? }
        }
        "siprec" | "siprec_mask" | "siprec_stop" | "stream" | "stream_stop" | "join" | "listen" | "detect"
        | "quality" | "members" | "mute" | "deafen" | "kick" => company(name, function, given)?,
        "echo" => {
            let options = Options::new(function, &given.a, &["stop_on", "limit"], false)?;
            Verb::Echo { stop_on: options.digits("stop_on", "")?, limit: options.seconds("limit", 0.0)? }
        }
        "pickup" => Verb::Pickup { phone: Given::argument(function, "the phone", &given.a).text(64)? },
        "retrieve" => Verb::Retrieve { slot: Given::argument(function, "the slot", &given.a).text(64)? },
        "park" => return park(function, given),
        "mailbox" => mailbox(function, given)?,
        "send_digits" => send_digits(function, given)?,
        "hold" => {
            let options = Options::new(function, &given.a, &["music"], false)?;
            Verb::Hold { music: options.get("music").map(|given| sound(&given)).transpose()? }
        }
        "resume" => Verb::Resume,
        "transfer" => transfer(function, given)?,
        "send_message" => texts::send_within(function, given)?,
        "wait_message" => texts::wait(function, given)?,
        "sleep" => Verb::Sleep(Given::argument(function, "the time", &given.a).seconds(0.0)?),
        _ => return misuse(format!("{function}: there is no such function")),
    };
    Ok((verb, Want::Plain))
}

/// The number that an object of ours carries under `name`.
pub(super) fn handle(value: &Value, name: &str) -> Result<Option<u64>, Refusal> {
    let Value::Table(table) = value else { return Ok(None) };
    match table.raw_get::<Value>(name)? {
        Value::Integer(number) => Ok(Some(number.cast_unsigned())),
        _ => Ok(None),
    }
}

fn leg(function: &str, own: &Value) -> Result<CallId, Refusal> {
    match handle(own, "_leg")? {
        Some(leg) => Ok(CallId(leg)),
        None => {
            misuse(format!("{function}: write it with a colon, {function}(...), on a call; found {}", describe(own)))
        }
    }
}

fn reject(function: &str, given: &Arguments) -> Result<Verb, Refusal> {
    let code = Given::argument(function, "the code", &given.a).whole(300..=699)?;
    let reason = Given::argument(function, "the reason", &given.b).optional();
    let reason = reason.map(|reason| header_text(&reason)).transpose()?;
    Ok(Verb::Reject { code: u16::try_from(code).expect("699 fits"), reason })
}

fn gather(function: &str, given: &Arguments) -> Result<Gather, Refusal> {
    let known =
        ["prompt", "say", "language", "voice", "max", "terminators", "timeout", "first_timeout", "barge_in", "secret"];
    let options = Options::new(function, &given.a, &known, false)?;
    let mut prompt = options.get("prompt").map_or(Ok(vec![]), |given| sounds(&given))?;
    if let Some(text) = options.get("say") {
        prompt.push(speech(&text, &options)?);
    }
    let max = options.get("max").map_or(Ok(1), |given| given.whole(1..=128))?;
    let timeout = options.seconds("timeout", 0.0)?.unwrap_or(DIGIT_TIME);
    Ok(Gather {
        prompt,
        max: usize::try_from(max).expect("128 fits"),
        terminators: options.digits("terminators", "#")?,
        first_timeout: options.seconds("first_timeout", 0.0)?.unwrap_or(timeout),
        timeout,
        barge_in: options.flag("barge_in", true)?,
        secret: options.flag("secret", false)?,
    })
}

fn mailbox(function: &str, given: &Arguments) -> Result<Verb, Refusal> {
    let phone = Given::argument(function, "the phone", &given.a).text(64)?;
    let options = Options::new(function, &given.b, &["new", "old"], false)?;
    let count = |name: &str| options.get(name).map_or(Ok(0), |given| given.whole(0..=1_000_000));
    let number = |count: i64| u32::try_from(count).expect("a million fits");
    Ok(Verb::Mailbox { phone, new: number(count("new")?), old: number(count("old")?) })
}

fn park(function: &str, given: &Arguments) -> Result<(Verb, Want), Refusal> {
    let options = Options::new(function, &given.b, &["timeout"], false)?;
    let slot = Given::argument(function, "the slot", &given.a).text(64)?;
    let timeout = options.seconds("timeout", 1.0)?.unwrap_or(PARK_TIME);
    Ok((Verb::Park { slot: slot.clone(), timeout }, Want::Peer(vec![slot])))
}

fn send_digits(function: &str, given: &Arguments) -> Result<Verb, Refusal> {
    let options = Options::new(function, &given.b, &["length", "gap"], false)?;
    let digits = Given::argument(function, "the digits", &given.a).digits(&format!("{ALL_DIGITS},"), false)?;
    if digits.is_empty() {
        return misuse(format!("{function}: the digits must not be empty"));
    }
    let time = |name: &str| options.get(name).map_or(Ok(Duration::from_millis(100)), |t| t.seconds_up_to(0.04, 5.0));
    Ok(Verb::SendDigits { digits, length: time("length")?, gap: time("gap")? })
}

fn keep(function: &str, operation: &str, given: &Arguments) -> Result<Asked, Refusal> {
    let key = Given::argument(function, "the key", &given.own).text(LONGEST_KEY)?;
    let value = Given::argument(function, "the value", &given.a);
    let (op, want) = match operation {
        "get" => (KeepOp::Get { key }, Want::Plain),
        "set" => (KeepOp::Set { key, value: kept_value(&value, LONGEST_VALUE)? }, Want::Plain),
        _ => {
            let by = value.optional().map_or(Ok(1), |given| given.whole(i64::MIN..=i64::MAX))?;
            (KeepOp::Add { key, by }, Want::Number)
        }
    };
    Ok(Asked { step: Step::Keep(op), want })
}

/// A text, number, boolean or nothing, as text.
pub(super) fn kept_value(given: &Given, most: usize) -> Result<Option<String>, Refusal> {
    let text = match &given.value {
        Value::Nil => return Ok(None),
        Value::Boolean(yes) => yes.to_string(),
        Value::Integer(number) => number.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) if text.as_bytes().is_empty() => String::new(),
        Value::String(_) => given.text(most)?,
        _ => return given.wrong("a text, a number, true, false or nil"),
    };
    Ok(Some(text))
}
