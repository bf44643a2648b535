//! What scripts write where something is to be played, and what they do to it while it lasts.

use std::time::Duration;

use mlua::Value;

use super::{
    args::{ALL_DIGITS, Given, Options, Refusal, describe, misuse},
    ask::{Arguments, Asked, Want, handle},
    sounds::{sounds, speech, tone},
    vm::Step,
};
use crate::{
    ids::{CallId, PlayId},
    verbs::{Manner, Play, PlayKey, Sound, Steer, VOLUME, Verb},
};

/// Functions of something that is being played.
pub(super) const OF_PLAYING: [&str; 8] = ["back", "forward", "pause", "position", "resume", "seek", "stop", "volume"];

/// The options of all that plays.
const KNOWN: [&str; 8] = ["stop_on", "volume", "times", "loop", "from", "keys", "step", "wait"];
/// Most times that something is played, where it is not for ever.
const MOST_TIMES: i64 = 1_000_000;
/// Longest step of a key.
const LONGEST_STEP: f64 = 3600.0;

/// `call:play`, `call:say` or `call:tone`.
pub(super) fn play(name: &str, function: &str, leg: CallId, given: &Arguments) -> Result<(Verb, Want), Refusal> {
    let more: &[&str] = match name {
        "say" => &["language", "voice"],
        "tone" => &["seconds", "country"],
        _ => &[],
    };
    let known = [&KNOWN, more].concat();
    let options = Options::new(function, &given.b, &known, false)?;
    let play = match name {
        "say" => one(speech(&Given::argument(function, "the text", &given.a), &options)?),
        "tone" => one(tone(&Given::argument(function, "the tone", &given.a), &options)?),
        _ => Play::new(sounds(&Given::argument(function, "the sound", &given.a))?),
    };
    let play = with(function, play, &options)?;
    let want = if play.wait { Want::Plain } else { Want::Playing(leg) };
    Ok((Verb::Play(play), want))
}

fn one(sound: Sound) -> Play {
    Play::new(vec![sound])
}

fn with(function: &str, play: Play, options: &Options) -> Result<Play, Refusal> {
    let times = options.get("times").map(|given| given.whole(1..=MOST_TIMES)).transpose()?;
    let times = match (options.flag("loop", false)?, times) {
        (true, None) => None,
        (true, Some(_)) => return misuse(format!("{function}: 'loop' and 'times' exclude each other")),
        (false, times) => Some(u32::try_from(times.unwrap_or(1)).expect("a million fits")),
    };
    let manner = Manner {
        volume: options.get("volume").map_or(Ok(0.0), |given| volume(&given))?,
        times,
        from: options.seconds("from", 0.0)?.unwrap_or_default(),
    };
    let keys = options.get("keys").map_or(Ok(vec![]), |given| keys(&given))?;
    let step = options.get("step").map(|given| given.seconds_up_to(0.1, LONGEST_STEP)).transpose()?;
    let (stop_on, wait) = (options.digits("stop_on", "")?, options.flag("wait", true)?);
    if let Some((digit, _)) = keys.iter().find(|(digit, _)| stop_on.contains(*digit) && stop_on != ALL_DIGITS) {
        return misuse(format!("{function}: '{digit}' is both in 'stop_on' and in 'keys'"));
    }
    Ok(Play { stop_on, manner, keys, step: step.unwrap_or(play.step), wait, ..play })
}

fn volume(given: &Given) -> Result<f32, Refusal> {
    let (least, most) = VOLUME;
    #[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
    let volume = match given.value {
        Value::Integer(volume) => volume.clamp(-1000, 1000) as f32,
        Value::Number(volume) => volume as f32,
        _ => f32::NAN,
    };
    match (least..=most).contains(&volume) {
        true => Ok(volume),
        false => given.wrong(&format!("a number of decibels from {least} to {most}")),
    }
}

/// `{ pause = "5", back = "4" }`: one digit each.
fn keys(given: &Given) -> Result<Vec<(char, PlayKey)>, Refusal> {
    let names = PlayKey::ALL.map(PlayKey::as_str);
    let options = Options::new(&given.place, &given.value, &names, false)?;
    let mut keys = Vec::new();
    for key in PlayKey::ALL {
        let Some(given) = options.get(key.as_str()) else { continue };
        let digits = given.digits(ALL_DIGITS, false)?;
        let mut digits = digits.chars();
        let (Some(digit), None) = (digits.next(), digits.next()) else { return given.wrong("one digit") };
        if keys.iter().any(|(other, _)| *other == digit) {
            return misuse(format!("{}: '{digit}' is there twice", given.place));
        }
        keys.push((digit, key));
    }
    Ok(keys)
}

/// A function of something that is being played.
pub(super) fn playing(operation: &str, given: &Arguments) -> Result<Asked, Refusal> {
    let function = format!("playing:{operation}");
    let (Some(leg), Some(play)) = (handle(&given.own, "_leg")?, handle(&given.own, "_play")?) else {
        let found = describe(&given.own);
        return misuse(format!(
            "{function}: write it with a colon, on what call:play gave with wait = false; found {found}"
        ));
    };
    let play = Some(PlayId(play));
    let argument = |name| Given::argument(&function, name, &given.a);
    let time = |name| -> Result<Duration, Refusal> { argument(name).seconds(0.0) };
    let steer = match operation {
        "stop" => return Ok(Asked { step: Step::Request(CallId(leg), Verb::StopPlay { play }), want: Want::Plain }),
        "pause" => Steer::Pause,
        "resume" => Steer::Resume,
        "seek" => Steer::Seek(time("the place")?),
        "forward" => Steer::Forward(time("the time")?),
        "back" => Steer::Back(time("the time")?),
        "volume" => Steer::Volume(volume(&argument("the volume"))?),
        _ => Steer::Tell,
    };
    Ok(Asked { step: Step::Request(CallId(leg), Verb::Steer { play, steer }), want: Want::Plain })
}
