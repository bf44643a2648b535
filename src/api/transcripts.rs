//! What was said on calls: kept turn by turn by whoever listens, read by whoever may see the call.

#![allow(unused_qualifications, reason = "of what utoipa makes out of the parameters")]

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    Shared,
    access::{Caller, plain},
    calls, page,
    problem::{self, Body, Id, Params, Problem},
};
use crate::store::{self, Scope};

/// Something that was said.
#[derive(Serialize, ToSchema)]
pub(crate) struct Turn {
    /// Counted from 1.
    turn: i64,
    /// When, in ms since 1970.
    at_ms: i64,
    /// Who said it, such as `caller` or `agent`.
    who: String,
    /// What.
    text: String,
}

/// Something that was said just now.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Said {
    /// Who said it, such as `caller` or `agent`; 1 to 64 characters.
    #[schema(min_length = 1, max_length = 64)]
    who: String,
    /// What, at most 10,000 characters.
    #[schema(max_length = 10000)]
    text: String,
}

/// A turn that was kept.
#[derive(Serialize, ToSchema)]
pub(crate) struct Counted {
    /// Its number.
    turn: i64,
}

/// What was said on a call, in order.
#[utoipa::path(get, path = "/v1/calls/{id}/transcript", tag = "calls", security(("key" = [])),
    params(("id" = String, Path, description = "The call's id"), page::Since), responses(
    (status = 200, description = "What was said, as far as somebody wrote it down", body = [Turn], headers(
        ("X-Next-Cursor" = i64, description = "The `after` of the next page; absent: this was the last")))))]
pub(crate) async fn one(
    State(context): State<Shared>,
    caller: Caller,
    Id(id): Id,
    Params(since): Params<page::Since>,
) -> Result<Response, Problem> {
    caller.need(Scope::Read)?;
    let limit = since.limit()?;
    let after = since.after()?.try_into().unwrap_or(i64::MAX);
    calls::found(&context, &caller, &id).await?;
    let turns = context.store().await?.transcript(&id, after, limit + 1).await;
    let mut turns = turns.map_err(|error| problem::database(&error))?;
    let more = turns.len() > limit as usize;
    turns.truncate(limit as usize);
    let last = turns.last().map(|last| last.turn).filter(|_| more);
    let turn = |one: store::Turn| Turn { turn: one.turn, at_ms: one.at_ms, who: one.who, text: one.text };
    let turns: Vec<Turn> = turns.into_iter().map(turn).collect();
    let mut response = Json(turns).into_response();
    response.headers_mut().extend(last.map(|last| (page::NEXT, last.into())));
    Ok(response)
}

/// Write down what was said on a call.
#[utoipa::path(post, path = "/v1/calls/{id}/transcript", tag = "calls", security(("key" = [])), request_body = Said,
    params(("id" = String, Path, description = "The call's id")), responses(
    (status = 201, description = "It is kept", body = Counted)))]
pub(crate) async fn add(
    State(context): State<Shared>,
    caller: Caller,
    Id(id): Id,
    Body(said): Body<Said>,
) -> Result<(StatusCode, Json<Counted>), Problem> {
    caller.need(Scope::Call)?;
    if !plain(&said.who, 64) {
        return Err(Problem::field("who", "allowed: 1 to 64 characters"));
    }
    if said.text.chars().count() > 10_000 || said.text.contains('\0') {
        return Err(Problem::field("text", "allowed: up to 10,000 characters"));
    }
    calls::found(&context, &caller, &id).await?;
    let added = context.store().await?.add_turn(&id, (&said.who, &said.text), context.now_ms()).await;
    let turn = added.map_err(|error| problem::database(&error))?;
    Ok((StatusCode::CREATED, Json(Counted { turn })))
}
