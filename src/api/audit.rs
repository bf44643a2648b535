//! What was done by the API, and by whom.

#![allow(unused_qualifications, reason = "of what utoipa makes out of the parameters")]

use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    Shared,
    access::Caller,
    page,
    problem::{self, Params, Problem},
};
use crate::store::{Done, Scope};

/// Which page.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Wanted {
    /// At most so many, 1 to 500; else 50.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
    /// The `next` of the page before.
    #[param(pattern = "^[0-9]{1,15}_[0-9A-Za-z.-]{0,64}$")]
    cursor: Option<String>,
}

/// Something that was done.
#[derive(Serialize, ToSchema)]
pub(crate) struct Entry {
    /// When, in ms since 1970.
    at_ms: i64,
    /// The id of a key, `user:` and a name, or `command`: somebody at the machine.
    who: String,
    /// What, such as `call.hangup`.
    what: String,
    /// To what.
    about: String,
    /// `done`, `begun` (it takes its time, and events tell more), or `refused: ` and a word for why.
    outcome: String,
}

/// What was done, the newest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct Entries {
    /// What was done.
    entries: Vec<Entry>,
    /// The `cursor` of the next page; null: this was the last.
    #[schema(required = false)]
    next: Option<String>,
}

/// What was done by the API, the newest first.
#[utoipa::path(get, path = "/v1/audit", tag = "access", security(("key" = [])), params(Wanted), responses(
    (status = 200, description = "What was done", body = Entries)))]
pub(crate) async fn list(
    State(context): State<Shared>,
    caller: Caller,
    Params(wanted): Params<Wanted>,
) -> Result<Json<Entries>, Problem> {
    caller.need_everywhere(Scope::Admin)?;
    let (limit, after) = (page::limit(wanted.limit)?, page::read(wanted.cursor.as_deref())?);
    let found = context.store().await?.done(after.as_ref(), limit).await;
    let (done, next) = found.map_err(|error| problem::database(&error))?;
    let entry = |Done { at_ms, who, what, about, outcome }| Entry { at_ms, who, what, about, outcome };
    Ok(Json(Entries { entries: done.into_iter().map(entry).collect(), next: page::next(next) }))
}
