//! What is played to calls by the API, how, and what becomes of it meanwhile.

use std::time::Duration;

use axum::{Json, extract::State, http::StatusCode};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{
    Shared,
    access::Caller,
    problem::{Body, Id, Problem},
    steer::{AGREEMENT, Outcome, PATIENCE, steer},
};
use crate::{
    store::Scope,
    verbs::{Manner, Sound, Speech, Steer, VOLUME, Verb},
};

/// Most sounds of one play.
const MOST: usize = 64;
/// Most times that it is played, where that is not for ever.
const MOST_TIMES: u32 = 1_000_000;
/// Longest time that can be said: a day.
const LONGEST_S: f64 = 86_400.0;
/// A file's or address's longest name.
const LONGEST_NAME: usize = 500;

/// What to play: one of the three; and how.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Play {
    /// A file below the folder of prompts, or its `http://` or `https://` address; a play list (`.m3u`), too.
    #[serde(default)]
    file: Option<String>,
    /// Several of them, one after another: up to 64.
    #[serde(default)]
    files: Option<Vec<String>>,
    /// Text to be spoken, at most 4,000 characters.
    #[serde(default)]
    text: Option<String>,
    /// Louder or softer than it is, in dB; absent: as it is.
    #[serde(default)]
    #[schema(minimum = -60, maximum = 20)]
    volume_db: Option<f64>,
    /// How often all of it is played; absent: once.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 1000000)]
    times: Option<u32>,
    /// True: for ever, until it is stopped.
    #[serde(default, rename = "loop")]
    forever: bool,
    /// Seconds that are left out at the beginning, the first time.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 86400)]
    from_s: Option<f64>,
}

impl Play {
    fn verb(self) -> Result<Verb, Problem> {
        let manner = self.manner()?;
        let named = |file: &String| !file.is_empty() && file.len() < LONGEST_NAME;
        let sounds = match (self.file, self.files, self.text) {
            (Some(file), None, None) if named(&file) => vec![Sound::named(&file)],
            (None, Some(files), None) if (1..=MOST).contains(&files.len()) && files.iter().all(named) => {
                files.iter().map(|file| Sound::named(file)).collect()
            }
            (None, None, Some(text)) if (1..=4000).contains(&text.chars().count()) => {
                vec![Sound::Speech(Speech { text, language: None, voice: None })]
            }
            _ => {
                let allowed = "allowed: a file; in its place 1 to 64 files, or text of 1 to 4,000 characters";
                return Err(Problem::unfit("file", allowed));
            }
        };
        Ok(Verb::Announce { sounds, manner })
    }

    fn manner(&self) -> Result<Manner, Problem> {
        let times = match (self.forever, self.times) {
            (true, None) => None,
            (false, times) if (1..=MOST_TIMES).contains(&times.unwrap_or(1)) => Some(times.unwrap_or(1)),
            (false, _) => return Err(Problem::field("times", "allowed: 1 to 1000000")),
            (true, Some(_)) => return Err(Problem::unfit("times", "allowed: nothing where loop is true")),
        };
        let volume = self.volume_db.map_or(Ok(0.0), |volume| decibels("volume_db", volume))?;
        let from = self.from_s.map_or(Ok(Duration::ZERO), |from| seconds("from_s", from))?;
        Ok(Manner { volume, times, from })
    }
}

fn decibels(field: &str, volume: f64) -> Result<f32, Problem> {
    let (least, most) = VOLUME;
    #[expect(clippy::cast_possible_truncation, reason = "a hundredth of a decibel is not heard")]
    let volume = volume as f32;
    let fits = (least..=most).contains(&volume);
    fits.then_some(volume).ok_or_else(|| Problem::field(field, format_args!("allowed: {least} to {most}")))
}

fn seconds(field: &str, seconds: f64) -> Result<Duration, Problem> {
    let fits = (0.0..=LONGEST_S).contains(&seconds);
    fits.then(|| Duration::from_secs_f64(seconds)).ok_or_else(|| Problem::field(field, "allowed: 0 to 86400"))
}

/// What is to be done to what the call plays, whoever began it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Steering {
    /// `pause`, `resume`, `seek` (to `seconds` from the beginning), `forward`, `back` (by `seconds`), `volume` (to
    /// `volume_db`), or `tell`: only where it is.
    #[schema(pattern = "^(pause|resume|seek|forward|back|volume|tell)$")]
    action: String,
    /// For `seek`, `forward` and `back`.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 86400)]
    seconds: Option<f64>,
    /// For `volume`: beside the sound as it is.
    #[serde(default)]
    #[schema(minimum = -60, maximum = 20)]
    volume_db: Option<f64>,
}

impl Steering {
    fn verb(self) -> Result<Verb, Problem> {
        let time = || match self.seconds {
            Some(given) => seconds("seconds", given),
            None => Err(Problem::unfit("seconds", "this action needs it")),
        };
        let steer = match self.action.as_str() {
            "pause" => Steer::Pause,
            "resume" => Steer::Resume,
            "tell" => Steer::Tell,
            "seek" => Steer::Seek(time()?),
            "forward" => Steer::Forward(time()?),
            "back" => Steer::Back(time()?),
            "volume" => {
                let given = self.volume_db.ok_or_else(|| Problem::unfit("volume_db", "this action needs it"))?;
                Steer::Volume(decibels("volume_db", given)?)
            }
            _ => {
                let allowed = "allowed: pause, resume, seek, forward, back, volume or tell";
                return Err(Problem::field("action", allowed));
            }
        };
        Ok(Verb::Steer { play: None, steer })
    }
}

/// Play sounds to the party, beside its flow; nothing else must be played to it.
#[utoipa::path(post, path = "/v1/calls/{id}/play", tag = "calls", security(("key" = [])), request_body = Play,
    params(("id" = String, Path, description = "The call's id")), responses(
    (status = 200, description = "It is over already", body = Outcome),
    (status = 202, description = "It is begun, and takes its time", body = Outcome),
    (status = 409, description = "The call does not allow it now", body = Problem)))]
pub(crate) async fn play(
    State(context): State<Shared>,
    caller: Caller,
    Id(id): Id,
    Body(body): Body<Play>,
) -> Result<(StatusCode, Json<Outcome>), Problem> {
    caller.need(Scope::Call)?;
    steer(&context, &caller, &id, ("call.play", body.verb()?, PATIENCE)).await
}

/// Pause what is played to the party, go elsewhere in it, change its volume. The answer says where it is, in seconds.
#[utoipa::path(post, path = "/v1/calls/{id}/play/steer", tag = "calls", security(("key" = [])),
    request_body = Steering, params(("id" = String, Path, description = "The call's id")), responses(
    (status = 200, description = "It is done: where it is now, in `seconds`", body = Outcome),
    (status = 409, description = "Nothing is played to it", body = Problem)))]
pub(crate) async fn steering(
    State(context): State<Shared>,
    caller: Caller,
    Id(id): Id,
    Body(body): Body<Steering>,
) -> Result<(StatusCode, Json<Outcome>), Problem> {
    caller.need(Scope::Call)?;
    steer(&context, &caller, &id, ("call.play_steer", body.verb()?, AGREEMENT)).await
}

/// Nothing more to say.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Silently {}

/// Stop what is played to the party, whoever began it.
#[utoipa::path(post, path = "/v1/calls/{id}/play/stop", tag = "calls", security(("key" = [])),
    request_body = Silently, params(("id" = String, Path, description = "The call's id")), responses(
    (status = 200, description = "It is silent", body = Outcome),
    (status = 409, description = "Nothing is played to it", body = Problem)))]
pub(crate) async fn stop(
    State(context): State<Shared>,
    caller: Caller,
    Id(id): Id,
    Body(Silently {}): Body<Silently>,
) -> Result<(StatusCode, Json<Outcome>), Problem> {
    caller.need(Scope::Call)?;
    steer(&context, &caller, &id, ("call.play_stop", Verb::StopPlay { play: None }, AGREEMENT)).await
}
