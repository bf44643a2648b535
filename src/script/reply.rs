//! What a script gets back.

use std::time::Duration;

use mlua::{IntoLua, Lua, MultiValue, Table, Value};

use super::{ask::Want, contacts, roster, texts};
use crate::{
    ids::{CallId, PlayId},
    verbs::{Failure, Figures, GatherEnd, Heard, LeaveReason, Member, RecordEnd, Reply},
};

/// The objects' metatables.
pub(super) struct Kinds {
    pub call: Table,
    pub recording: Table,
    pub playing: Table,
}

/// The values that the waiting function returns.
pub(super) fn values(lua: &Lua, kinds: &Kinds, want: Want, reply: Reply) -> mlua::Result<MultiValue> {
    let values = match (reply, want) {
        (Reply::Failed(failure), _) => failed(lua, failure)?,
        (Reply::Done, _) => vec![Value::Boolean(true)],
        (Reply::Playing(play), want) => playing(lua, kinds, &want, play)?,
        (Reply::At(place), _) => vec![seconds(place)],
        (Reply::Played { key, length }, _) => vec![Value::Boolean(true), digit(lua, key)?, seconds(length)],
        (Reply::Digits { digits, why }, _) => gathered(lua, digits, why)?,
        (Reply::Recording(id), Want::Recording(leg)) => {
            let table = object(lua, &kinds.recording, leg)?;
            table.raw_set("_recording", id.0.cast_signed())?;
            vec![Value::Table(table)]
        }
        (Reply::Recorded { recording, files, length, why }, want) => {
            let table = match want {
                Want::Recorded(table) => table,
                Want::Recording(leg) => object(lua, &kinds.recording, leg)?,
                Want::Plain | Want::Playing(_) | Want::Peer(_) | Want::Number => lua.create_table()?,
            };
            table.raw_set("_recording", recording.0.cast_signed())?;
            recorded(lua, &table, files, length, why)?;
            vec![Value::Table(table)]
        }
        (Reply::Dialed { call, target }, want) => {
            let peer = object(lua, &kinds.call, call)?;
            if let Want::Peer(targets) = want {
                peer.raw_set("target", targets.get(target).map(String::as_str))?;
                peer.raw_set("index", target + 1)?;
            }
            vec![Value::Table(peer)]
        }
        (Reply::Left(reason), _) => {
            let key = match reason {
                LeaveReason::Key(key) => Some(key),
                LeaveReason::PeerHungUp | LeaveReason::Limit | LeaveReason::Kicked => None,
            };
            vec![reason.as_str().into_lua(lua)?, digit(lua, key)?]
        }
        (Reply::Value(Some(text)), Want::Number) => match text.parse::<i64>() {
            Ok(number) => vec![Value::Integer(number)],
            Err(_) => vec![text.into_lua(lua)?],
        },
        (Reply::Value(value), _) => vec![value.into_lua(lua)?],
        (Reply::Heard { what, beep }, _) => {
            vec![what.map_or("unknown", Heard::as_str).into_lua(lua)?, Value::Boolean(beep)]
        }
        (Reply::Figures(figures), _) => vec![quality(lua, &figures)?],
        (Reply::Members(members), _) => vec![list(lua, members)?],
        (Reply::Sent { code }, _) => {
            let word = if code == 202 { "accepted" } else { "delivered" };
            vec![word.into_lua(lua)?, Value::Integer(code.into())]
        }
        (Reply::Message(text), _) => vec![texts::text(lua, &text)?],
        (Reply::Registrations(places), _) => vec![texts::places(lua, places)?],
        (Reply::Contact(contact), _) => vec![contacts::contact(lua, contact)?],
        (Reply::Resource(found), _) => vec![roster::resource(lua, found)?],
        (Reply::Transferred, _) => vec!["transferred".into_lua(lua)?],
        // No script asks for rooms.
        (Reply::Recording(_) | Reply::Rooms(_), _) => vec![Value::Boolean(true)],
    };
    Ok(MultiValue::from_vec(values))
}

/// The play that goes on beside the flow.
fn playing(lua: &Lua, kinds: &Kinds, want: &Want, play: PlayId) -> mlua::Result<Vec<Value>> {
    let leg = if let Want::Playing(leg) = want { *leg } else { CallId(0) };
    let table = object(lua, &kinds.playing, leg)?;
    table.raw_set("_play", play.0.cast_signed())?;
    Ok(vec![Value::Table(table)])
}

/// The keys, why no more are waited for, and the key that ended it.
fn gathered(lua: &Lua, digits: String, why: GatherEnd) -> mlua::Result<Vec<Value>> {
    let (word, key) = match why {
        GatherEnd::Max => ("max", None),
        GatherEnd::Terminator(key) => ("terminator", Some(key)),
        GatherEnd::Timeout => ("timeout", None),
        GatherEnd::NoInput => ("no_input", None),
    };
    Ok(vec![digits.into_lua(lua)?, word.into_lua(lua)?, digit(lua, key)?])
}

/// What became of a recording.
fn recorded(lua: &Lua, table: &Table, files: Vec<String>, length: Duration, why: RecordEnd) -> mlua::Result<()> {
    table.raw_set("file", files.first().map(String::as_str))?;
    table.raw_set("files", files)?;
    table.raw_set("seconds", length.as_secs_f64())?;
    table.raw_set("why", why.as_str())?;
    let key = match why {
        RecordEnd::Key(key) => Some(key),
        RecordEnd::Stopped | RecordEnd::Max | RecordEnd::Silence => None,
    };
    table.raw_set("key", digit(lua, key)?)
}

/// How the audio goes: a table.
fn quality(lua: &Lua, figures: &Figures) -> mlua::Result<Value> {
    let table = lua.create_table()?;
    table.raw_set("mos", figures.mos)?;
    table.raw_set("r_factor", figures.r_factor)?;
    table.raw_set("peer_mos", figures.peer_mos)?;
    table.raw_set("loss", figures.loss)?;
    table.raw_set("late", figures.late)?;
    table.raw_set("peer_loss", figures.peer_loss)?;
    table.raw_set("jitter", figures.jitter)?;
    table.raw_set("round_trip", figures.round_trip)?;
    table.raw_set("level", figures.level)?;
    table.raw_set("alarm", figures.alarm.as_deref())?;
    Ok(Value::Table(table))
}

/// Who is in a room: a list of tables.
fn list(lua: &Lua, members: Vec<Member>) -> mlua::Result<Value> {
    let list = lua.create_table()?;
    for member in members {
        let table = lua.create_table()?;
        table.raw_set("id", member.id)?;
        table.raw_set("party", member.party)?;
        table.raw_set("muted", member.muted)?;
        table.raw_set("deaf", member.deaf)?;
        table.raw_set("loudest", member.loudest)?;
        list.raw_push(table)?;
    }
    Ok(Value::Table(list))
}

/// A new object of `kind` for `leg`.
pub(super) fn object(lua: &Lua, kind: &Table, leg: CallId) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    table.raw_set("_leg", leg.0.cast_signed())?;
    table.set_metatable(Some(kind.clone()))?;
    Ok(table)
}

fn failed(lua: &Lua, failure: Failure) -> mlua::Result<Vec<Value>> {
    let word = failure.as_str().into_lua(lua)?;
    if let Failure::Sound(why) = failure {
        let fault = why.fault.as_str().into_lua(lua)?;
        return Ok(vec![Value::Nil, word, why.text.into_lua(lua)?, fault]);
    }
    if let Failure::Stream(why) = failure {
        let fault = why.fault.as_str().into_lua(lua)?;
        return Ok(vec![Value::Nil, word, why.text.into_lua(lua)?, fault]);
    }
    let detail = match failure {
        Failure::Refused(code) => Value::Integer(code.into()),
        Failure::Media(why) | Failure::Disk(why) | Failure::Store(why) => why.into_lua(lua)?,
        Failure::Limit(which) | Failure::Denied(which) => which.into_lua(lua)?,
        Failure::Sound(_)
        | Failure::Stream(_)
        | Failure::WrongState
        | Failure::NoSuchCall
        | Failure::NoSuchRecording
        | Failure::NoSuchPhone
        | Failure::HungUp
        | Failure::NoAnswer
        | Failure::Busy
        | Failure::Unreachable => Value::Nil,
    };
    Ok(if detail.is_nil() { vec![Value::Nil, word] } else { vec![Value::Nil, word, detail] })
}

fn digit(lua: &Lua, key: Option<char>) -> mlua::Result<Value> {
    key.map(String::from).into_lua(lua)
}

fn seconds(length: Duration) -> Value {
    Value::Number(length.as_secs_f64())
}
