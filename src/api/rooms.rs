//! Conference rooms: who is there, who is heard, and recordings of them. A room concerns the calls of many numbers, so a key
//! for some numbers only has no say here.

#![allow(unused_qualifications, reason = "of what utoipa makes out of the parameters")]

use std::time::Duration;

use axum::{Json, extract::State, http::StatusCode, response::Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    Context, Shared,
    access::Caller,
    page::Part,
    problem::{self, Body, Id, Params, Problem},
    steer::{AGREEMENT, Outcome, outcome},
};
use crate::{
    ids::{CallId, RecordingId},
    store::Scope,
    switch::ConsoleReply,
    verbs::{FileFormat, Record, RecordMode, Reply, RoomOrder, RoomView, Verb, Voices},
};

/// A room.
#[derive(Serialize, ToSchema)]
pub(crate) struct Room {
    /// Its name.
    room: String,
    /// How many are there.
    members: usize,
    /// Numbers of its recordings that run.
    recordings: Vec<u64>,
}

/// Somebody in a room.
#[derive(Serialize, ToSchema)]
pub(crate) struct Member {
    /// Its call's id.
    id: String,
    /// Its number.
    party: String,
    /// It is not heard.
    muted: bool,
    /// It does not hear.
    deaf: bool,
    /// Of three and more it spoke loudest at last.
    loudest: bool,
}

/// Ask the switch something that concerns no single call.
async fn ask(context: &Context, verb: Verb) -> Result<Reply, Problem> {
    match context.command(CallId::NONE, verb, AGREEMENT).await? {
        Some(ConsoleReply::Reply { reply: Reply::Failed(failure), .. }) => Err(problem::failure(&failure)),
        Some(ConsoleReply::Reply { reply, .. }) => Ok(reply),
        Some(_) | None => Err(Problem::gone()),
    }
}

async fn views(context: &Context) -> Result<Vec<RoomView>, Problem> {
    match ask(context, Verb::Room(RoomOrder::Rooms)).await? {
        Reply::Rooms(rooms) => Ok(rooms),
        _ => Ok(Vec::new()),
    }
}

async fn view(context: &Context, name: &str) -> Result<RoomView, Problem> {
    let found = views(context).await?.into_iter().find(|room| room.room == name);
    found.ok_or_else(|| Problem::no_such("room"))
}

/// Rooms that somebody is in.
#[utoipa::path(get, path = "/v1/rooms", tag = "rooms", security(("key" = [])), params(Part), responses(
    (status = 200, description = "All rooms, by name", body = [Room], headers(
        ("X-Next-Cursor" = String, description = "The `cursor` of the next part; absent: this was the last")))))]
pub(crate) async fn list(
    State(context): State<Shared>,
    caller: Caller,
    Params(part): Params<Part>,
) -> Result<Response, Problem> {
    caller.need_everywhere(Scope::Read)?;
    let room = |view: RoomView| Room {
        room: view.room,
        members: view.members,
        recordings: view.recordings.into_iter().map(|recording| recording.0).collect(),
    };
    part.of(views(&context).await?.into_iter().map(|view| (view.room.clone(), room(view))).collect())
}

/// Who is in a room, in the order in which their calls began.
#[utoipa::path(get, path = "/v1/rooms/{room}", tag = "rooms", security(("key" = [])),
    params(("room" = String, Path, description = "The room's name"), Part), responses(
    (status = 200, description = "Its members", body = [Member], headers(
        ("X-Next-Cursor" = String, description = "The `cursor` of the next part; absent: this was the last")))))]
pub(crate) async fn members(
    State(context): State<Shared>,
    caller: Caller,
    Id(room): Id,
    Params(part): Params<Part>,
) -> Result<Response, Problem> {
    caller.need_everywhere(Scope::Read)?;
    view(&context, &room).await?;
    let Reply::Members(members) = ask(&context, Verb::Room(RoomOrder::Members { room })).await? else {
        return part.of(Vec::<(String, Member)>::new());
    };
    let member = |member: crate::verbs::Member| {
        let crate::verbs::Member { id, party, muted, deaf, loudest } = member;
        (begun(&id), Member { id, party, muted, deaf, loudest })
    };
    part.of(members.into_iter().map(member).collect())
}

/// The place of a call among others that began before and after it, by its id: numbers that count up.
fn begun(id: &str) -> String {
    id.split('-').map(|number| format!("{number:0>20}")).collect::<Vec<_>>().join("-")
}

/// What is to be done to a member.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Order {
    /// The id of its call.
    #[schema(min_length = 1, max_length = 64)]
    member: String,
    /// `mute` (it is no longer heard), `unmute`, `deafen` (it no longer hears), `undeafen`, or `kick`: it leaves the
    /// room, and its flow goes on.
    #[schema(pattern = "^(mute|unmute|deafen|undeafen|kick)$")]
    action: String,
}

/// Mute, deafen or put out a member of a room.
#[utoipa::path(post, path = "/v1/rooms/{room}/member", tag = "rooms", security(("key" = [])), request_body = Order,
    params(("room" = String, Path, description = "The room's name")), responses(
    (status = 200, description = "It is done", body = Outcome),
    (status = 409, description = "The call or the room does not allow it now", body = Problem)))]
pub(crate) async fn member(
    State(context): State<Shared>,
    caller: Caller,
    Id(room): Id,
    Body(Order { member, action }): Body<Order>,
) -> Result<(StatusCode, Json<Outcome>), Problem> {
    caller.need_everywhere(Scope::Call)?;
    if member.is_empty() || member.len() > 64 {
        return Err(Problem::field("member", "allowed: the id of a call"));
    }
    let about = format!("{room} {member}");
    let (what, order) = match action.as_str() {
        "mute" => ("room.mute", RoomOrder::Mute { room, member, on: true }),
        "unmute" => ("room.unmute", RoomOrder::Mute { room, member, on: false }),
        "deafen" => ("room.deafen", RoomOrder::Deafen { room, member, on: true }),
        "undeafen" => ("room.undeafen", RoomOrder::Deafen { room, member, on: false }),
        "kick" => ("room.kick", RoomOrder::Kick { room, member }),
        _ => return Err(Problem::field("action", "allowed: mute, unmute, deafen, undeafen or kick")),
    };
    let done = ask(&context, Verb::Room(order)).await;
    caller.note_result(&context, what, &about, &done).await;
    Ok(outcome(done?))
}

/// How to record a room.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewTape {
    /// Longest time in seconds, 1 to 86,400; absent: until the last one leaves.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 86400)]
    max_s: Option<u64>,
    /// `wav`, `mp3` or `ogg`; absent: `wav`.
    #[serde(default)]
    #[schema(pattern = "^(wav|mp3|ogg)$")]
    format: Option<String>,
}

impl NewTape {
    fn verb(self, room: String) -> Result<Verb, Problem> {
        if self.max_s.is_some_and(|max| !(1..=86_400).contains(&max)) {
            return Err(Problem::field("max_s", "allowed: 1 to 86400"));
        }
        let named = |name: String| {
            let found = FileFormat::ALL.into_iter().find(|format| format.as_str() == name);
            found.ok_or_else(|| Problem::field("format", "allowed: wav, mp3 or ogg"))
        };
        let (max, format) = (self.max_s.map(Duration::from_secs), self.format.map(named).transpose()?);
        let (file, stop_on, rate, end_of_silence) = (None, String::new(), None, None);
        let (voices, room, beep, wait) = (Voices::Mixed, Some(room), false, false);
        Ok(Verb::Record(Record { file, format, voices, room, rate, max, end_of_silence, stop_on, beep, wait }))
    }
}

/// Record all who are heard in a room. The answer has the recording's number; the file is in the record of one of its calls.
#[utoipa::path(post, path = "/v1/rooms/{room}/record", tag = "rooms", security(("key" = [])),
    request_body = NewTape, params(("room" = String, Path, description = "The room's name")), responses(
    (status = 200, description = "It is recorded", body = Outcome),
    (status = 409, description = "The call or the room does not allow it now", body = Problem)))]
pub(crate) async fn record(
    State(context): State<Shared>,
    caller: Caller,
    Id(room): Id,
    Body(new): Body<NewTape>,
) -> Result<(StatusCode, Json<Outcome>), Problem> {
    caller.need_everywhere(Scope::Call)?;
    let verb = new.verb(room.clone())?;
    view(&context, &room).await?;
    let done = ask(&context, verb).await;
    caller.note_result(&context, "room.record", &room, &done).await;
    Ok(outcome(done?))
}

/// A recording of the room that runs.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RunningTape {
    /// Its number, from the answer that began it, or from the list of rooms.
    #[schema(maximum = 9007199254740991i64)]
    recording: u64,
    /// `keep`; `pause`: what is said is left out; `mask`: it is silence in the file; `stop`: it is finished.
    #[schema(pattern = "^(keep|pause|mask|stop)$")]
    mode: String,
}

/// Leave what is said out of a room's recording, make it silence, keep it again, or finish the recording.
#[utoipa::path(post, path = "/v1/rooms/{room}/record/mode", tag = "rooms", security(("key" = [])),
    request_body = RunningTape, params(("room" = String, Path, description = "The room's name")), responses(
    (status = 200, description = "It is done", body = Outcome),
    (status = 409, description = "The call or the room does not allow it now", body = Problem)))]
pub(crate) async fn record_mode(
    State(context): State<Shared>,
    caller: Caller,
    Id(room): Id,
    Body(RunningTape { recording, mode }): Body<RunningTape>,
) -> Result<(StatusCode, Json<Outcome>), Problem> {
    caller.need_everywhere(Scope::Call)?;
    let recording = RecordingId(recording);
    let (what, verb) = match mode.as_str() {
        "keep" => ("room.record_keep", Verb::RecordAs { recording, mode: RecordMode::Keep }),
        "pause" => ("room.record_pause", Verb::RecordAs { recording, mode: RecordMode::Pause }),
        "mask" => ("room.record_mask", Verb::RecordAs { recording, mode: RecordMode::Mask }),
        "stop" => ("room.record_stop", Verb::RecordStop { recording }),
        _ => return Err(Problem::field("mode", "allowed: keep, pause, mask or stop")),
    };
    if !view(&context, &room).await?.recordings.contains(&recording) {
        return Err(Problem::no_such("recording of this room"));
    }
    let done = ask(&context, verb).await;
    caller.note_result(&context, what, &room, &done).await;
    Ok(outcome(done?))
}
