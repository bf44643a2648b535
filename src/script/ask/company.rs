//! What there is to do where others are in the call, too.

use std::time::Duration;

use super::Arguments;
use crate::{
    script::{
        args::{Given, Options, Refusal, misuse},
        stream,
    },
    verbs::{Entry, RoomOrder, Verb},
};

/// How long a detection listens where the script does not say.
const DETECT_TIME: Duration = Duration::from_secs(20);

/// What there is to do where others are in the call, too: rooms, listening in, who it is and how it sounds.
pub(super) fn company(name: &str, function: &str, given: &Arguments) -> Result<Verb, Refusal> {
    Ok(match name {
        "join" => {
            let known = ["stop_on", "muted", "deaf", "chime", "level"];
            let options = Options::new(function, &given.b, &known, false)?;
            let room = Given::argument(function, "the room", &given.a).text(64)?;
            let flag = |name| options.flag(name, false);
            let entry = Entry { deaf: flag("deaf")?, chime: flag("chime")?, level: flag("level")? };
            Verb::Join { room, stop_on: options.digits("stop_on", "")?, muted: flag("muted")?, entry }
        }
        "listen" => {
            let options = Options::new(function, &given.b, &["stop_on", "whisper"], false)?;
            let call = Given::argument(function, "the other call's id", &given.a).text(64)?;
            let whisper = options.flag("whisper", false)?;
            Verb::Listen { call, whisper, stop_on: options.digits("stop_on", "")? }
        }
        "detect" => {
            let options = Options::new(function, &given.a, &["beep", "timeout"], false)?;
            let timeout = options.seconds("timeout", 1.0)?.unwrap_or(DETECT_TIME);
            Verb::Detect { beep: options.flag("beep", false)?, timeout }
        }
        "siprec" => {
            let options = Options::new(function, &given.a, &["recorder"], false)?;
            Verb::Siprec { recorder: options.text("recorder", 256)? }
        }
        "siprec_mask" => Verb::SiprecMask { on: Options::new(function, &given.a, &["on"], false)?.flag("on", true)? },
        "siprec_stop" => Verb::SiprecStop,
        "stream" => stream::stream(function, &given.a)?,
        "stream_stop" => Verb::StreamStop,
        "quality" => Verb::Figures,
        "members" => Verb::Room(RoomOrder::Members { room: Given::argument(function, "the room", &given.a).text(64)? }),
        _ => Verb::Room(room_order(name, function, given)?),
    })
}

fn room_order(name: &str, function: &str, given: &Arguments) -> Result<RoomOrder, Refusal> {
    let known: &[&str] = if name == "kick" { &["member"] } else { &["member", "on"] };
    let options = Options::new(function, &given.b, known, false)?;
    let room = Given::argument(function, "the room", &given.a).text(64)?;
    let Some(member) = options.text("member", 64)? else {
        return misuse(format!("{function}: option 'member' must be the id of a call in the room"));
    };
    Ok(match name {
        "mute" => RoomOrder::Mute { room, member, on: options.flag("on", true)? },
        "deafen" => RoomOrder::Deafen { room, member, on: options.flag("on", true)? },
        _ => RoomOrder::Kick { room, member },
    })
}
