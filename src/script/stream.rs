//! What scripts write where a call's audio is to be streamed.

use mlua::Value;

use super::args::{Given, Options, Refusal, misuse};
use crate::{
    codec::Rate,
    verbs::{Sides, Stream, Verb},
};

/// Longest address, token and data, in bytes.
const LONGEST_URL: usize = 2048;
const LONGEST_TOKEN: usize = 4096;
const LONGEST_DATA: usize = 4096;

/// `call:stream { url = "wss://...", ... }`.
pub(super) fn stream(function: &str, value: &Value) -> Result<Verb, Refusal> {
    let options = Options::new(function, value, &["url", "sides", "rate", "token", "data"], false)?;
    let Some(given) = options.get("url") else {
        return misuse(format!("{function}: option 'url' must be a ws:// or wss:// address"));
    };
    let url = given.text(LONGEST_URL)?;
    if !(url.starts_with("ws://") || url.starts_with("wss://")) || !url.bytes().all(|b| b.is_ascii_graphic()) {
        return given.wrong("a ws:// or wss:// address without white space");
    }
    let token = options.text("token", LONGEST_TOKEN)?;
    if token.as_ref().is_some_and(|token| !token.bytes().all(|b| b.is_ascii_graphic())) {
        return misuse(format!("{function}: option 'token' must be one word of ASCII letters, digits and signs"));
    }
    let sides = options.get("sides").map_or(Ok(Sides::Said), |given| sides(&given))?;
    let rate = options.get("rate").map_or(Ok(Rate::Wide), |given| rate(&given))?;
    let data = options.text("data", LONGEST_DATA)?;
    Ok(Verb::Stream(Stream { url, sides, rate, token, data }))
}

fn sides(given: &Given) -> Result<Sides, Refusal> {
    let found = Sides::ALL.into_iter().find(|sides| match &given.value {
        Value::String(text) => &*text.as_bytes() == sides.as_str().as_bytes(),
        _ => false,
    });
    match found {
        Some(sides) => Ok(sides),
        None => given.wrong("'said', 'heard' or 'both'"),
    }
}

fn rate(given: &Given) -> Result<Rate, Refusal> {
    match given.whole(8000..=16_000)? {
        8000 => Ok(Rate::Narrow),
        16_000 => Ok(Rate::Wide),
        _ => given.wrong("8000 or 16000"),
    }
}
