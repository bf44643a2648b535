//! Calls to steer.

use std::{collections::BTreeMap, time::Duration};

use axum::{Json, extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    Context, Shared,
    access::{Caller, plain},
    problem::{self, Body, Id, Problem},
    start::{checked_script, checked_vars},
};
use crate::{
    ids::RecordingId,
    store::Scope,
    switch::ConsoleReply,
    verbs::{Record, RecordMode, Reply, Transfer, Verb, Voices},
};

/// What is over sooner is answered with its outcome; what takes longer goes on, and the events tell.
pub(super) const PATIENCE: Duration = Duration::from_millis(500);
/// What a party agrees to by its answer.
pub(super) const AGREEMENT: Duration = Duration::from_secs(10);

/// How it went.
#[derive(Serialize, ToSchema)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// It takes its time; the call's events tell more.
    Begun {},
    /// It is done.
    Done {
        /// Of a sound: where it is.
        #[serde(skip_serializing_if = "Option::is_none")]
        seconds: Option<f64>,
    },
    /// A recording runs.
    Recording {
        /// Its number, by which it is paused and finished.
        recording: u64,
    },
    /// A recording is finished.
    Recorded {
        /// Its files, as paths below the recording folder.
        files: Vec<String>,
        /// How long it is.
        seconds: f64,
    },
}

/// Do `verb` to the call, and say how it went.
pub(super) async fn steer(
    context: &Context,
    caller: &Caller,
    id: &str,
    (what, verb, patience): (&str, Verb, Duration),
) -> Result<(StatusCode, Json<Outcome>), Problem> {
    caller.need(Scope::Call)?;
    let call = context.live_call(caller, id).await?;
    let done = context.command(call.call, verb, patience).await?;
    let word = match &done {
        Some(ConsoleReply::Reply { reply: Reply::Failed(failure), .. }) => format!("refused: {}", failure.as_str()),
        Some(_) => "done".to_owned(),
        None => "begun".to_owned(),
    };
    caller.note_as(context, what, id, word).await;
    match done {
        None => Ok((StatusCode::ACCEPTED, Json(Outcome::Begun {}))),
        Some(ConsoleReply::Reply { reply: Reply::Failed(failure), .. }) => Err(problem::failure(&failure)),
        Some(ConsoleReply::Reply { reply, .. }) => Ok(outcome(reply)),
        Some(_) => Ok(outcome(Reply::Done)),
    }
}

/// How it went.
pub(super) fn outcome(reply: Reply) -> (StatusCode, Json<Outcome>) {
    let told = match reply {
        Reply::Recording(recording) => Outcome::Recording { recording: recording.0 },
        Reply::Recorded { files, length, .. } => Outcome::Recorded { files, seconds: length.as_secs_f64() },
        Reply::At(place) => Outcome::Done { seconds: Some(place.as_secs_f64()) },
        _ => Outcome::Done { seconds: None },
    };
    (StatusCode::OK, Json(told))
}

/// One way to steer a call: what it is called, where it is, what it takes, and what that means.
macro_rules! steering {
    ($(#[$doc:meta])* $name:ident, $path:literal, $body:ty, $wish:expr) => {
        $(#[$doc])*
        #[utoipa::path(post, path = $path, tag = "calls", security(("key" = [])), request_body = $body,
            params(("id" = String, Path, description = "The call's id")), responses(
            (status = 200, description = "It is done", body = Outcome),
            (status = 202, description = "It is begun, and takes its time", body = Outcome),
            (status = 409, description = "The call does not allow it now", body = Problem)))]
        pub(crate) async fn $name(
            State(context): State<Shared>,
            caller: Caller,
            Id(id): Id,
            Body(body): Body<$body>,
        ) -> Result<(StatusCode, Json<Outcome>), Problem> {
            caller.need(Scope::Call)?;
            let wish: fn($body, &Context) -> Result<Wish, Problem> = $wish;
            steer(&context, &caller, &id, wish(body, &context)?).await
        }
    };
}

type Wish = (&'static str, Verb, Duration);

/// Nothing more to say.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Plainly {}

/// How to record.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewRecording {
    /// True: the party left and what it hears right; else both mixed.
    #[serde(default)]
    stereo: bool,
    /// Longest time in seconds, 1 to 86,400; absent: until the call ends.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 86400)]
    max_s: Option<u64>,
}

impl NewRecording {
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
        if !plain(&self.to, 500) {
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

/// A recording that runs.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Running {
    /// Its number, from the answer that began it.
    #[schema(maximum = 9007199254740991i64)]
    recording: u64,
}

/// What becomes of the sound from now on.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Mode {
    /// The recording's number, from the answer that began it.
    #[schema(maximum = 9007199254740991i64)]
    recording: u64,
    /// `keep`; `pause`: it is left out; `mask`: it is silence in the file.
    #[schema(pattern = "^(keep|pause|mask)$")]
    mode: String,
}

impl Mode {
    fn verb(self) -> Result<Wish, Problem> {
        let mode = match self.mode.as_str() {
            "keep" => RecordMode::Keep,
            "pause" => RecordMode::Pause,
            "mask" => RecordMode::Mask,
            _ => return Err(Problem::field("mode", "allowed: keep, pause or mask")),
        };
        Ok(("call.record_mode", Verb::RecordAs { recording: RecordingId(self.recording), mode }, AGREEMENT))
    }
}

/// What somebody else's recorder (SIPREC) hears.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Mask {
    /// True: silence; false: the call again.
    on: bool,
}

/// Where the call goes on.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Another {
    /// The script.
    #[schema(min_length = 1, max_length = 200)]
    script: String,
    /// Its variables.
    #[serde(default)]
    vars: BTreeMap<String, String>,
}

impl Another {
    fn verb(self, context: &Context) -> Result<Wish, Problem> {
        checked_script(&self.script, &context.config.scripts)?;
        checked_vars(&self.vars)?;
        let verb = Verb::Run { script: self.script.into(), vars: self.vars.into_iter().collect() };
        Ok(("call.flow", verb, AGREEMENT))
    }
}

fn plainly(what: &'static str, verb: Verb) -> Result<Wish, Problem> {
    Ok((what, verb, AGREEMENT))
}

steering!(
    /// End a call.
    hangup, "/v1/calls/{id}/hangup", Plainly, |Plainly {}, _| plainly("call.hangup", Verb::Hangup)
);
steering!(
    /// Put the party on hold: it hears music.
    hold, "/v1/calls/{id}/hold", Plainly, |Plainly {}, _| plainly("call.hold", Verb::Hold { music: None })
);
steering!(
    /// End the hold.
    resume, "/v1/calls/{id}/resume", Plainly, |Plainly {}, _| plainly("call.resume", Verb::Resume)
);
steering!(
    /// The party is no longer heard by those that it is bridged with, or in its room.
    mute, "/v1/calls/{id}/mute", Plainly, |Plainly {}, _| plainly("call.mute", Verb::Mute { on: true })
);
steering!(
    /// The party is heard again.
    unmute, "/v1/calls/{id}/unmute", Plainly, |Plainly {}, _| plainly("call.unmute", Verb::Mute { on: false })
);
steering!(
    /// Record the call. The answer has the recording's number.
    record, "/v1/calls/{id}/record", NewRecording, |body, _| body.verb()
);
steering!(
    /// Finish a recording.
    record_stop, "/v1/calls/{id}/record/stop", Running,
    |body, _| plainly("call.record_stop", Verb::RecordStop { recording: RecordingId(body.recording) })
);
steering!(
    /// Leave what is said out of a recording, make it silence, or keep it again.
    record_mode, "/v1/calls/{id}/record/mode", Mode, |body, _| body.verb()
);
steering!(
    /// Let the recorder of somebody else's (SIPREC) that the call goes to hear silence, or the call again. Our own
    /// recordings do not change.
    siprec_mask, "/v1/calls/{id}/siprec/mask", Mask,
    |Mask { on }, _| plainly("call.siprec_mask", Verb::SiprecMask { on })
);
steering!(
    /// Ask the party to call somebody else instead of us.
    transfer, "/v1/calls/{id}/transfer", Target, |body, _| body.verb()
);
steering!(
    /// Press keys.
    digits, "/v1/calls/{id}/digits", Digits, |body, _| body.verb()
);
steering!(
    /// Move the call to another flow. The one before ends as if its call had, with the calls that it dialled.
    flow, "/v1/calls/{id}/flow", Another, |body, context| body.verb(context)
);
