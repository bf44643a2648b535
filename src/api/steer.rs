//! Calls to make and to steer.

use std::{collections::BTreeMap, time::Duration};

use axum::{
    Json,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::{
    Context, Shared,
    access::Caller,
    problem::{self, Body, Problem},
};
use crate::{
    ids::RequestId,
    store::Scope,
    switch::{ConsoleReply, Originate},
    verbs::{self, Record, Reply, Sound, Speech, Transfer, Verb, Voices},
};

/// What is over sooner is answered with its outcome; what takes longer goes on, and the events tell.
const PATIENCE: Duration = Duration::from_millis(500);
/// What a party agrees to by its answer.
const AGREEMENT: Duration = Duration::from_secs(10);

/// A call to be made.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewCall {
    /// A `sip:` or `sips:` URI, or a number.
    #[schema(min_length = 1, max_length = 500)]
    to: String,
    /// The number shown to the target.
    #[schema(min_length = 1, max_length = 100)]
    from: String,
    /// The script that the answered call runs; absent: it is steered by the API alone.
    #[serde(default)]
    script: Option<String>,
    /// Variables of the script.
    #[serde(default)]
    vars: BTreeMap<String, String>,
    /// Header fields added to the INVITE, for names that are not the stack's own.
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// How long it may ring, in seconds, 1 to 600; absent: 60.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 600)]
    ring_s: Option<u64>,
}

/// A call that was begun.
#[derive(Serialize, ToSchema)]
pub(crate) struct Begun {
    /// The call's id.
    id: String,
}

fn checked(new: NewCall, caller: &Caller) -> Result<Originate, Problem> {
    let plain = |text: &str, most: usize| !text.is_empty() && text.len() <= most && !text.contains(char::is_control);
    if !plain(&new.to, 500) {
        return Err(Problem::field("to", "allowed: a sip: or sips: URI, or a number"));
    }
    if !plain(&new.from, 100) {
        return Err(Problem::field("from", "allowed: a number"));
    }
    let numbers = &caller.0.numbers;
    if !numbers.is_empty() && !numbers.contains(&new.from) {
        let detail = "the key makes calls from its own numbers only";
        let problem = Problem::new(StatusCode::FORBIDDEN, "forbidden", "The key does not go so far", detail);
        return Err(Problem { field: Some("from".into()), ..problem });
    }
    let script_fits = |name: &String| plain(name, 200) && !name.contains("..") && !name.starts_with('/');
    if !new.script.as_ref().is_none_or(script_fits) {
        return Err(Problem::field("script", "allowed: a path below the folder of scripts"));
    }
    let ring = new.ring_s.unwrap_or(60);
    if !(1..=600).contains(&ring) {
        return Err(Problem::field("ring_s", "allowed: 1 to 600"));
    }
    if new.vars.len() > 100 || new.vars.iter().any(|(name, value)| name.len() > 256 || value.len() > 8192) {
        return Err(Problem::field("vars", "allowed: up to 100, of 8,192 bytes each"));
    }
    if new.headers.len() > 50 || new.headers.iter().any(|(name, value)| !plain(name, 100) || !plain(value, 2000)) {
        return Err(Problem::field("headers", "allowed: up to 50, without line breaks"));
    }
    Ok(Originate {
        request: RequestId(0),
        target: new.to,
        from: new.from,
        script: new.script.map(Into::into),
        vars: new.vars.into_iter().collect(),
        headers: new.headers.into_iter().collect(),
        timeout: Duration::from_secs(ring),
    })
}

/// Make a call.
///
/// With the header `Idempotency-Key`, the same request makes one call, however often it comes.
#[utoipa::path(post, path = "/v1/calls", tag = "calls", security(("key" = [])), request_body = NewCall,
    params(("Idempotency-Key" = Option<String>, Header, description = "A name for this order, 1 to 200 characters")),
    responses(
    (status = 201, description = "The call is begun; its events tell how it goes", body = Begun),
    (status = 200, description = "It was begun before, by the same request", body = Begun),
    (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem),
    (status = 404, body = Problem), (status = 409, body = Problem), (status = 413, body = Problem),
    (status = 503, body = Problem)))]
pub(crate) async fn start(
    State(context): State<Shared>,
    caller: Caller,
    headers: HeaderMap,
    Body(new): Body<NewCall>,
) -> Result<(StatusCode, Json<Begun>), Problem> {
    caller.need(Scope::Call)?;
    let asked = serde_json::to_string(&new).map_err(|error| Problem::field("", error))?;
    let originate = checked(new, &caller)?;
    let name = match headers.get("idempotency-key") {
        None => None,
        Some(name) => {
            let name = name.to_str().ok().filter(|name| (1..=200).contains(&name.len()));
            Some(name.ok_or_else(|| Problem::field("Idempotency-Key", "allowed: 1 to 200 ASCII characters"))?)
        }
    };
    let Some(name) = name else {
        return Ok((StatusCode::CREATED, Json(Begun { id: begin(&context, &caller, originate).await? })));
    };
    let store = context.store().await?;
    let order = (caller.0.id.as_str(), name);
    let before = store.order(order, &asked, context.now_ms()).await.map_err(|error| problem::database(&error))?;
    let conflict = |kind, detail| Problem::new(StatusCode::CONFLICT, kind, "The order was given before", detail);
    match before {
        Some((body, _)) if body != asked => Err(conflict("other_order", "with another body")),
        Some((_, call)) if call.is_empty() => Err(conflict("in_hand", "and is being carried out")),
        Some((_, id)) => Ok((StatusCode::OK, Json(Begun { id }))),
        None => {
            let begun = begin(&context, &caller, originate).await;
            let call = begun.as_ref().ok().map(String::as_str);
            store.ordered(order, call).await.map_err(|error| problem::database(&error))?;
            Ok((StatusCode::CREATED, Json(Begun { id: begun? })))
        }
    }
}

async fn begin(context: &Context, caller: &Caller, originate: Originate) -> Result<String, Problem> {
    let about = originate.target.clone();
    match context.originate(originate).await? {
        ConsoleReply::Calling { name, .. } => {
            caller.note(context, "call.start", &format!("{name} {about}")).await;
            Ok(name)
        }
        ConsoleReply::Failed { failure, .. } => Err(problem::failure(&failure)),
        other => unreachable!("{other:?} is no first reply to an order"),
    }
}

/// Do `verb` to the call, and say how it went.
async fn steer(
    context: &Context,
    caller: &Caller,
    id: &str,
    (what, verb, patience): (&str, Verb, Duration),
) -> Result<(StatusCode, Json<Value>), Problem> {
    caller.need(Scope::Call)?;
    let call = context.live_call(caller, id).await?;
    caller.note(context, what, id).await;
    let outcome = match context.command(call.call, verb, patience).await? {
        None => return Ok((StatusCode::ACCEPTED, Json(json!({"outcome": "begun"})))),
        Some(ConsoleReply::Reply { reply: Reply::Failed(failure), .. }) => return Err(problem::failure(&failure)),
        Some(ConsoleReply::Reply { reply: Reply::Recording(recording), .. }) => {
            json!({"outcome": "recording", "recording": recording.0})
        }
        Some(_) => json!({"outcome": "done"}),
    };
    Ok((StatusCode::OK, Json(outcome)))
}

macro_rules! steering {
    ($(#[$doc:meta])* $name:ident, $path:literal, $body:ty) => {
        $(#[$doc])*
        #[utoipa::path(post, path = $path, tag = "calls", security(("key" = [])), request_body = $body,
            params(("id" = String, Path, description = "The call's id")), responses(
            (status = 200, description = "It is done", body = Object),
            (status = 202, description = "It is begun, and takes its time", body = Object),
            (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem),
            (status = 404, body = Problem), (status = 409, body = Problem), (status = 413, body = Problem),
            (status = 503, body = Problem)))]
        pub(crate) async fn $name(
            State(context): State<Shared>,
            caller: Caller,
            Path(id): Path<String>,
            Body(body): Body<$body>,
        ) -> Result<(StatusCode, Json<Value>), Problem> {
            caller.need(Scope::Call)?;
            steer(&context, &caller, &id, body.verb()?).await
        }
    };
}

type Wish = (&'static str, Verb, Duration);

/// Nothing more to say.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Plainly {}

/// What to play: one of the two.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Play {
    /// A file below the folder of prompts, or its `http://` or `https://` address.
    #[serde(default)]
    file: Option<String>,
    /// Text to be spoken, at most 4,000 characters.
    #[serde(default)]
    text: Option<String>,
}

impl Play {
    fn verb(self) -> Result<Wish, Problem> {
        let sound = match (self.file, self.text) {
            (Some(file), None) if !file.is_empty() && file.len() < 500 => Sound::named(&file),
            (None, Some(text)) if (1..=4000).contains(&text.chars().count()) => {
                Sound::Speech(Speech { text, language: None, voice: None })
            }
            _ => return Err(Problem::field("file", "allowed: a file, or text of 1 to 4,000 characters in its place")),
        };
        Ok(("call.play", Verb::Play(verbs::Play::new(vec![sound])), PATIENCE))
    }
}

/// How to record.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Recording {
    /// True: the party left and what it hears right; else both mixed.
    #[serde(default)]
    stereo: bool,
    /// Longest time in seconds, 1 to 86,400; absent: until the call ends.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 86400)]
    max_s: Option<u64>,
}

impl Recording {
    fn verb(self) -> Result<Wish, Problem> {
        if self.max_s.is_some_and(|max| !(1..=86_400).contains(&max)) {
            return Err(Problem::field("max_s", "allowed: 1 to 86400"));
        }
        let max = self.max_s.map(Duration::from_secs);
        let (file, stop_on) = (None, String::new());
        let voices = if self.stereo { Voices::Stereo } else { Voices::Mixed };
        let (format, end_of_silence, room, rate) = (None, None, None, None);
        let (beep, wait) = (false, false);
        let record = Record { file, format, voices, room, rate, max, end_of_silence, stop_on, beep, wait };
        Ok(("call.record", Verb::Record(record), AGREEMENT))
    }
}

/// Whom the party is to call.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Target {
    /// A `sip:` URI.
    #[schema(min_length = 1, max_length = 500)]
    to: String,
}

impl Target {
    fn verb(self) -> Result<Wish, Problem> {
        if self.to.is_empty() || self.to.len() > 500 || self.to.contains(char::is_control) {
            return Err(Problem::field("to", "allowed: a sip: URI"));
        }
        let transfer = Transfer::Blind { target: self.to, timeout: Duration::from_secs(60) };
        Ok(("call.transfer", Verb::Transfer(transfer), PATIENCE))
    }
}

/// Keys to be pressed.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Digits {
    /// `0-9 * # A-D`, and `,` for a pause of one second; 1 to 128.
    #[schema(pattern = "^[0-9*#A-D,]{1,128}$")]
    digits: String,
}

impl Digits {
    fn verb(self) -> Result<Wish, Problem> {
        let fit = |c: char| c.is_ascii_digit() || matches!(c, '*' | '#' | 'A'..='D' | ',');
        if !(1..=128).contains(&self.digits.len()) || !self.digits.chars().all(fit) {
            return Err(Problem::field("digits", "allowed: 1 to 128 of 0-9 * # A-D and ,"));
        }
        let (length, gap) = (Duration::from_millis(100), Duration::from_millis(100));
        Ok(("call.digits", Verb::SendDigits { digits: self.digits, length, gap }, PATIENCE))
    }
}

macro_rules! plainly {
    ($(#[$doc:meta])* $name:ident, $path:literal, $what:literal, $verb:expr) => {
        $(#[$doc])*
        #[utoipa::path(post, path = $path, tag = "calls", security(("key" = [])),
            params(("id" = String, Path, description = "The call's id")), responses(
            (status = 200, description = "It is done", body = Object),
            (status = 202, description = "It is begun, and takes its time", body = Object),
            (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem),
            (status = 404, body = Problem), (status = 409, body = Problem), (status = 413, body = Problem),
            (status = 503, body = Problem)))]
        pub(crate) async fn $name(
            State(context): State<Shared>,
            caller: Caller,
            Path(id): Path<String>,
            Body(Plainly {}): Body<Plainly>,
        ) -> Result<(StatusCode, Json<Value>), Problem> {
            steer(&context, &caller, &id, ($what, $verb, AGREEMENT)).await
        }
    };
}

plainly!(
    /// End a call.
    hangup, "/v1/calls/{id}/hangup", "call.hangup", Verb::Hangup
);
plainly!(
    /// Put the party on hold: it hears music.
    hold, "/v1/calls/{id}/hold", "call.hold", Verb::Hold { music: None }
);
plainly!(
    /// End the hold.
    resume, "/v1/calls/{id}/resume", "call.resume", Verb::Resume
);
steering!(
    /// Play a sound to the party; the call must be doing nothing else.
    play, "/v1/calls/{id}/play", Play
);
steering!(
    /// Record the call.
    record, "/v1/calls/{id}/record", Recording
);
steering!(
    /// Ask the party to call somebody else instead of us.
    transfer, "/v1/calls/{id}/transfer", Target
);
steering!(
    /// Press keys.
    digits, "/v1/calls/{id}/digits", Digits
);
