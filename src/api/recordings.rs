//! Recordings: which there are, what is in them, and away with them.

#![allow(unused_qualifications, reason = "of what utoipa makes out of the parameters")]

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::{Component, Path, PathBuf},
};

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    Context, Shared,
    access::Caller,
    page,
    problem::{self, Id, Params, Problem},
    range::{self, Part},
};
use crate::{
    hooks,
    store::{Kept, RecordingFilter, Scope},
    verbs::FileFormat,
};

/// Bytes that are read at a time.
const PIECE: usize = 64 << 10;

/// Which recordings.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Wanted {
    /// Of this call.
    #[param(max_length = 200, pattern = "^[^\\x00]*$")]
    call: Option<String>,
    /// Of calls between this number and another, and those that it is on; whichever way they are written.
    #[param(max_length = 200, pattern = "^[^\\x00]*$")]
    number: Option<String>,
    /// At most so many, 1 to 500; else 50.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
    /// The `next` of the page before.
    #[param(pattern = "^[0-9]{1,15}_[0-9A-Za-z.-]{0,64}$")]
    cursor: Option<String>,
}

/// A recording of a call that is over.
#[derive(Serialize, ToSchema)]
pub(crate) struct Recording {
    /// By which it is named.
    id: String,
    /// The call's id.
    call: String,
    /// Its file, below the folder of recordings.
    file: String,
    /// When the call began, in ms since 1970.
    at_ms: i64,
    /// Who called.
    from: String,
    /// Who was called.
    to: String,
    /// Who is on it: the numbers of all legs that were in the conversation while it was recorded.
    parties: Vec<String>,
    /// When it was erased, in ms since 1970; null: it was not.
    #[schema(required = false)]
    erased_ms: Option<i64>,
}

/// Some recordings, the newest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct Recordings {
    /// The recordings.
    recordings: Vec<Recording>,
    /// The `cursor` of the next page; null: this was the last.
    #[schema(required = false)]
    next: Option<String>,
}

fn shown(kept: Kept) -> Recording {
    let [from, to] = kept.parties;
    let Kept { id, call, file, at_ms, erased_ms, heard: parties, .. } = kept;
    Recording { id, call, file, at_ms, from, to, parties, erased_ms }
}

impl Context {
    /// The recording with this id that the key may hear.
    async fn recording(&self, caller: &Caller, id: &str) -> Result<Kept, Problem> {
        let found = self.store().await?.recording(id).await.map_err(|error| problem::database(&error))?;
        let found = found.filter(|kept| caller.sees(self, [&kept.parties[0], &kept.parties[1]]));
        found.ok_or_else(|| Problem::no_such("recording"))
    }

    /// Its file. What the index says is not trusted with other folders.
    fn file_of(&self, kept: &Kept) -> Result<PathBuf, Problem> {
        let path = Path::new(&kept.file);
        let below = path.components().all(|part| matches!(part, Component::Normal(_)));
        if below { Ok(self.config.recordings.join(path)) } else { Err(Problem::no_such("recording")) }
    }
}

fn gone() -> Problem {
    let detail = "its file is not here any more: erased, removed by age, or moved to where recordings are uploaded";
    Problem::new(StatusCode::GONE, "gone", "It is gone", detail)
}

/// Recordings of calls that are over, the newest first.
#[utoipa::path(get, path = "/v1/recordings", tag = "recordings", security(("key" = [])), params(Wanted), responses(
    (status = 200, description = "Recordings that the key may hear", body = Recordings)))]
pub(crate) async fn list(
    State(context): State<Shared>,
    caller: Caller,
    Params(wanted): Params<Wanted>,
) -> Result<Json<Recordings>, Problem> {
    caller.need(Scope::Read)?;
    let (limit, after) = (page::limit(wanted.limit)?, page::read(wanted.cursor.as_deref())?);
    page::word("call", wanted.call.as_ref())?;
    page::word("number", wanted.number.as_ref())?;
    let numbers = caller.0.ways(&context.config.dialling);
    let number = wanted.number.map(|number| context.config.dialling.ways(&number)).unwrap_or_default();
    let filter = RecordingFilter { call: wanted.call, number, numbers, after, limit };
    let found = context.store().await?.recordings(&filter).await;
    let (recordings, next) = found.map_err(|error| problem::database(&error))?;
    Ok(Json(Recordings { recordings: recordings.into_iter().map(shown).collect(), next: page::next(next) }))
}

/// One recording, without its sound.
#[utoipa::path(get, path = "/v1/recordings/{id}", tag = "recordings", security(("key" = [])),
    params(("id" = String, Path, description = "The recording's id")), responses(
    (status = 200, description = "The recording", body = Recording)))]
pub(crate) async fn one(State(context): State<Shared>, caller: Caller, Id(id): Id) -> Result<Json<Recording>, Problem> {
    caller.need(Scope::Read)?;
    context.recording(&caller, &id).await.map(|kept| Json(shown(kept)))
}

/// The sound of a recording; with the header `Range`, the part of it that is asked for.
#[utoipa::path(get, path = "/v1/recordings/{id}/audio", tag = "recordings", security(("key" = [])),
    params(("id" = String, Path, description = "The recording's id"),
        ("Range" = Option<String>, Header, description = "One part, such as `bytes=1000-1999`, `bytes=1000-` or \
            `bytes=-1000`; anything else is as if it was not there")), responses(
    (status = 200, description = "The file", content(
        (Vec<u8> = "audio/wav"), (Vec<u8> = "audio/mpeg"), (Vec<u8> = "audio/ogg"))),
    (status = 206, description = "A part of the file", headers(("Content-Range" = String, description = "Which part")),
        content((Vec<u8> = "audio/wav"), (Vec<u8> = "audio/mpeg"), (Vec<u8> = "audio/ogg"))),
    (status = 410, description = "Its file is not here any more", body = Problem),
    (status = 416, description = "The file is not so long", body = Problem)))]
pub(crate) async fn audio(
    State(context): State<Shared>,
    caller: Caller,
    Id(id): Id,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    caller.need(Scope::Read)?;
    let kept = context.recording(&caller, &id).await?;
    let path = context.file_of(&kept)?;
    let opened = tokio::task::spawn_blocking(move || open(&path, &headers));
    let (file, part, length) = opened.await.map_err(|_| Problem::gone())?.map_err(|_| gone())?;
    let (code, range) = match part {
        Part::Whole => (StatusCode::OK, None),
        Part::Bytes { first, length: bytes } => {
            (StatusCode::PARTIAL_CONTENT, Some(format!("bytes {first}-{}/{length}", first + bytes - 1)))
        }
        Part::Beyond => {
            let detail = format!("the file has {length} bytes");
            let problem = Problem::new(StatusCode::RANGE_NOT_SATISFIABLE, "range", "There is no such part", detail);
            return Ok(([(header::CONTENT_RANGE, format!("bytes */{length}"))], problem).into_response());
        }
    };
    caller.note(&context, "recording.fetch", &id).await;
    let kind = match FileFormat::of_file(&kept.file) {
        Some(FileFormat::Mp3) => "audio/mpeg",
        Some(FileFormat::Ogg) => "audio/ogg",
        Some(FileFormat::Wav) | None => "audio/wav",
    };
    let fields = [
        (header::CONTENT_TYPE, kind.to_owned()),
        (header::CONTENT_LENGTH, file.limit().to_string()),
        (header::ACCEPT_RANGES, "bytes".to_owned()),
    ];
    let body = axum::body::Body::from_stream(futures_util::stream::try_unfold(file, pieces));
    Ok((code, fields, range.map(|range| [(header::CONTENT_RANGE, range)]), body).into_response())
}

/// A file at the beginning of the part that is asked for, which part that is, and how long the file is.
fn open(path: &Path, headers: &HeaderMap) -> io::Result<(io::Take<File>, Part, u64)> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let part = range::part(headers, length);
    let (first, bytes) = match part {
        Part::Whole => (0, length),
        Part::Bytes { first, length } => (first, length),
        Part::Beyond => (0, 0),
    };
    file.seek(SeekFrom::Start(first))?;
    Ok((file.take(bytes), part, length))
}

/// The next piece of a file, read beside everything else.
async fn pieces(mut file: io::Take<File>) -> io::Result<Option<(Vec<u8>, io::Take<File>)>> {
    let read = tokio::task::spawn_blocking(move || {
        let mut piece = vec![0; PIECE.min(usize::try_from(file.limit()).unwrap_or(PIECE))];
        let length = file.read(&mut piece)?;
        piece.truncate(length);
        Ok::<_, io::Error>((piece, file))
    });
    let (piece, file) = read.await.map_err(io::Error::other)??;
    Ok((!piece.is_empty()).then_some((piece, file)))
}

/// Erase a recording: its file here, and what lies beside it. That it was there stays known.
#[utoipa::path(delete, path = "/v1/recordings/{id}", tag = "recordings", security(("key" = [])),
    params(("id" = String, Path, description = "The recording's id")), responses(
    (status = 204, description = "It is gone"),
    (status = 409, description = "The disk did not let go of it", body = Problem)))]
pub(crate) async fn erase(State(context): State<Shared>, caller: Caller, Id(id): Id) -> Result<StatusCode, Problem> {
    caller.need(Scope::Admin)?;
    let kept = context.recording(&caller, &id).await?;
    let path = context.file_of(&kept)?;
    let removed = tokio::task::spawn_blocking(move || hooks::erase_file(&path)).await.map_err(|_| Problem::gone())?;
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::error!(file = kept.file, %error, "a recording cannot be removed");
            return Err(Problem::conflict("disk", "the disk did not let go of it"));
        }
        Ok(()) | Err(_) => {}
    }
    let store = context.store().await?;
    store.recording_erased(&id, context.now_ms()).await.map_err(|error| problem::database(&error))?;
    caller.note(&context, "recording.erase", &id).await;
    Ok(StatusCode::NO_CONTENT)
}
