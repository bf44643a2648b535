//! Recordings: how one is asked for, and what is done with it.

use mlua::Value;

use super::{Arguments, Asked, Want, handle};
use crate::{
    codec::Rate,
    ids::{CallId, RecordingId},
    script::{
        args::{Given, Options, Refusal, describe, misuse},
        vm::Step,
    },
    verbs::{FileFormat, Record, RecordMode, Verb, Voices},
};

pub(super) fn record(function: &str, given: &Arguments) -> Result<Record, Refusal> {
    let known = [
        "file",
        "format",
        "stereo",
        "party_only",
        "legs",
        "room",
        "rate",
        "max",
        "end_of_silence",
        "stop_on",
        "beep",
        "wait",
    ];
    let options = Options::new(function, &given.a, &known, false)?;
    let flag = |name| options.flag(name, false);
    let room = options.text("room", 64)?;
    let voices = match (flag("stereo")?, flag("party_only")?, flag("legs")?, &room) {
        (false, false, false, _) => Voices::Mixed,
        (true, false, false, None) => Voices::Stereo,
        (false, true, false, None) => Voices::Party,
        (false, false, true, None) => Voices::Apart,
        _ => return misuse(format!("{function}: 'stereo', 'party_only', 'legs' and 'room' exclude each other")),
    };
    let stop_on = options.digits("stop_on", "")?;
    let end_of_silence = options.seconds("end_of_silence", 0.1)?;
    // Who names an end wants to know of it.
    let ends = !stop_on.is_empty() || end_of_silence.is_some();
    Ok(Record {
        file: options.get("file").map(|given| given.path()).transpose()?,
        format: options.get("format").map(|given| format(&given)).transpose()?,
        voices,
        room,
        rate: options.get("rate").map(|given| rate(&given)).transpose()?,
        max: options.seconds("max", 0.1)?,
        end_of_silence,
        stop_on,
        beep: options.flag("beep", false)?,
        wait: options.flag("wait", ends)?,
    })
}

fn rate(given: &Given) -> Result<Rate, Refusal> {
    let hertz = given.whole(8000..=48_000)?;
    match u32::try_from(hertz).ok().and_then(Rate::from_hz) {
        Some(rate) => Ok(rate),
        None => given.wrong("8000, 16000 or 48000"),
    }
}

fn format(given: &Given) -> Result<FileFormat, Refusal> {
    let found = FileFormat::ALL.into_iter().find(|format| match &given.value {
        Value::String(text) => &*text.as_bytes() == format.as_str().as_bytes(),
        _ => false,
    });
    match found {
        Some(format) => Ok(format),
        None => given.wrong("'wav', 'mp3' or 'ogg'"),
    }
}

pub(super) fn recording(operation: &str, given: &Arguments) -> Result<Asked, Refusal> {
    let function = format!("recording:{operation}");
    let (Value::Table(table), Some(leg), Some(id)) =
        (&given.own, handle(&given.own, "_leg")?, handle(&given.own, "_recording")?)
    else {
        return misuse(format!(
            "{function}: write it with a colon, on what call:record gave; found {}",
            describe(&given.own)
        ));
    };
    let recording = RecordingId(id);
    let (verb, want) = match operation {
        "stop" => (Verb::RecordStop { recording }, Want::Recorded(table.clone())),
        "pause" => (Verb::RecordAs { recording, mode: RecordMode::Pause }, Want::Plain),
        "mask" => (Verb::RecordAs { recording, mode: RecordMode::Mask }, Want::Plain),
        _ => (Verb::RecordAs { recording, mode: RecordMode::Keep }, Want::Plain),
    };
    Ok(Asked { step: Step::Request(CallId(leg), verb), want })
}
