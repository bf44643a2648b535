//! Text messages and phones, as scripts write and get them.

use std::time::Duration;

use mlua::{IntoLua, Lua, Table, Value};

use super::{
    args::{Given, Options, Refusal, misuse},
    ask::{Arguments, header_text, headers, target},
};
use crate::{
    facts::Facts,
    verbs::{Message, Messaging, Registration, Text, Verb},
};

/// Longest text of a message, in bytes; the configuration may allow less.
const LONGEST: usize = 65_536;
/// How long a script waits for a message where it does not say.
const WAIT: Duration = Duration::from_secs(60);

/// Functions of the message that started the flow.
pub(super) const OF_MESSAGE: [&str; 2] = ["accept", "reject"];
/// Functions of `messages`.
pub(super) const OF_MESSAGES: [&str; 1] = ["send"];
/// Functions of `phones`.
pub(super) const OF_PHONES: [&str; 1] = ["registrations"];

/// `message:accept()`, `message:reject(486)`.
pub(super) fn of_message(operation: &str, given: &Arguments) -> Result<Verb, Refusal> {
    let function = format!("message:{operation}");
    if !matches!(&given.own, Value::Table(_)) {
        return misuse(format!("{function}: write it with a colon, {function}(...)"));
    }
    if operation == "accept" {
        return Ok(Verb::Messaging(Messaging::Answer { code: 200, reason: None }));
    }
    let code = Given::argument(&function, "the code", &given.a).whole(300..=699)?;
    let reason = Given::argument(&function, "the reason", &given.b).optional();
    let reason = reason.map(|reason| header_text(&reason)).transpose()?;
    let code = u16::try_from(code).expect("699 fits");
    Ok(Verb::Messaging(Messaging::Answer { code, reason }))
}

/// `messages.send { to = ..., text = ... }`.
pub(super) fn send(given: &Arguments) -> Result<Verb, Refusal> {
    let function = "messages.send";
    let options = Options::new(function, &given.own, &["to", "text", "from", "type", "headers"], false)?;
    let Some(to) = options.get("to") else { return misuse(format!("{function}: 'to' is missing")) };
    let to = Some(target(&to)?);
    let Some(text) = options.get("text") else { return misuse(format!("{function}: 'text' is missing")) };
    let from = options.get("from").map(|from| header_text(&from)).transpose()?;
    Ok(Verb::Messaging(Messaging::Send(message(to, from, &text, &options)?)))
}

/// `call:send_message(text, options)`: to the party of the call.
pub(super) fn send_within(function: &str, given: &Arguments) -> Result<Verb, Refusal> {
    let options = Options::new(function, &given.b, &["type", "headers"], false)?;
    let text = Given::argument(function, "the text", &given.a);
    Ok(Verb::Messaging(Messaging::Send(message(None, None, &text, &options)?)))
}

/// `call:wait_message(seconds)`.
pub(super) fn wait(function: &str, given: &Arguments) -> Result<Verb, Refusal> {
    let timeout = Given::argument(function, "the time", &given.a).optional();
    let timeout = timeout.map_or(Ok(WAIT), |time| time.seconds(0.0))?;
    Ok(Verb::Messaging(Messaging::Await { timeout }))
}

/// `phones.registrations(phone)`.
pub(super) fn registrations(given: &Arguments) -> Result<Verb, Refusal> {
    let phone = Given::argument("phones.registrations", "the phone", &given.own).text(64)?;
    Ok(Verb::Registrations { phone })
}

fn message(to: Option<String>, from: Option<String>, text: &Given, options: &Options) -> Result<Message, Refusal> {
    let kind = match options.get("type") {
        None => "text/plain".to_owned(),
        Some(given) => {
            let kind = given.text(100)?;
            let token = |c: char| c.is_ascii_alphanumeric() || "-.+_!#$&^".contains(c);
            let halves = kind.split('/').collect::<Vec<_>>();
            let proper = halves.len() == 2 && halves.iter().all(|half| !half.is_empty() && half.chars().all(token));
            if !proper {
                return given.wrong("a media type such as 'text/plain'");
            }
            kind.to_ascii_lowercase()
        }
    };
    let text = text.text(LONGEST)?;
    let headers = options.get("headers").map_or(Ok(vec![]), |given| headers(&given))?;
    Ok(Message { to, from, text: Text { kind, text }, headers })
}

/// What a script gets of a message within its call.
pub(super) fn text(lua: &Lua, text: &Text) -> mlua::Result<Value> {
    let table = lua.create_table()?;
    table.raw_set("text", text.text.as_str())?;
    table.raw_set("type", text.kind.as_str())?;
    Ok(Value::Table(table))
}

/// `message`: what started the flow, where that was a message.
pub(super) fn letter(lua: &Lua, facts: &Facts) -> mlua::Result<Option<Table>> {
    let Some(text) = &facts.message else { return Ok(None) };
    let table = lua.create_table()?;
    let texts = [
        ("id", &facts.id),
        ("from", &facts.caller),
        ("from_name", &facts.caller_name),
        ("to", &facts.called),
        ("source", &facts.source),
        ("text", &text.text),
        ("type", &text.kind),
    ];
    for (name, value) in texts {
        table.raw_set(name, value.as_str())?;
    }
    table.raw_set("phone", facts.phone.as_deref())?;
    table.raw_set("trunk", facts.trunk.as_deref())?;
    Ok(Some(table))
}

/// Where a phone is.
pub(super) fn places(lua: &Lua, places: Vec<Registration>) -> mlua::Result<Value> {
    let place = |place: Registration| {
        let table = lua.create_table()?;
        table.raw_set("contact", place.contact)?;
        table.raw_set("source", place.source)?;
        table.raw_set("transport", place.transport)?;
        table.raw_set("agent", place.agent)?;
        table.raw_set("expires", place.expires.as_secs())?;
        table.raw_set("answers", place.answers)?;
        Ok(table)
    };
    let places = places.into_iter().map(place).collect::<mlua::Result<Vec<_>>>()?;
    places.into_lua(lua)
}
