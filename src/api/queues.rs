//! Queues: looked at, made, changed and removed.

#![allow(unused_qualifications, reason = "of what utoipa makes out of the parameters")]

use axum::{Json, extract::State, http::StatusCode, response::Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    Shared,
    access::Caller,
    page::Part,
    problem::{Body, Id, Params, Problem},
    roster::Found,
};
use crate::verbs::Queue;

/// Where callers wait until an agent takes them.
#[derive(Serialize, ToSchema)]
pub(crate) struct QueueView {
    /// By which flows name it.
    id: String,
    /// What people call it.
    name: String,
    /// What is to be known about it.
    notes: String,
    /// The agents that take its callers, by their ids; empty: all whom the tags fit.
    agents: Vec<String>,
    /// Only agents with at least one of these take its callers; empty: all of `agents`.
    tags: Vec<String>,
    /// The script that callers hear while they wait; empty: none of its own.
    wait_script: String,
    /// How long a caller may wait, in seconds; 0: as long as it likes.
    wait_limit_s: u32,
    /// How long caller and agent may talk, in seconds; 0: as long as they like.
    talk_limit_s: u32,
    /// It stands in the configuration, and cannot be changed here.
    fixed: bool,
    /// When it was made, in ms since 1970; null: it stands in the configuration.
    #[schema(required = false)]
    created_ms: Option<i64>,
    /// When it was changed last, in ms since 1970; null: it stands in the configuration.
    #[schema(required = false)]
    changed_ms: Option<i64>,
}

fn shown(Found { entry, made }: Found<Queue>) -> QueueView {
    let Queue { id, name, notes, agents, tags, wait_script, wait_limit_s, talk_limit_s } = entry;
    let (fixed, (created_ms, changed_ms)) = (made.is_none(), made.unzip());
    QueueView { id, name, notes, agents, tags, wait_script, wait_limit_s, talk_limit_s, fixed, created_ms, changed_ms }
}

/// Queues.
#[utoipa::path(get, path = "/v1/queues", tag = "queues", security(("key" = [])), params(Part), responses(
    (status = 200, description = "All queues, by id", body = [QueueView], headers(
        ("X-Next-Cursor" = String, description = "The `cursor` of the next part; absent: this was the last")))))]
pub(crate) async fn list(
    State(context): State<Shared>,
    caller: Caller,
    Params(part): Params<Part>,
) -> Result<Response, Problem> {
    context.entries((&caller, &part), shown).await
}

/// Make a queue.
#[utoipa::path(post, path = "/v1/queues", tag = "queues", security(("key" = [])), request_body = Queue, responses(
    (status = 201, description = "It is kept", body = QueueView),
    (status = 409, description = "`there`: there is one of this id; `too_many`: there are 5,000", body = Problem)))]
pub(crate) async fn make(
    State(context): State<Shared>,
    caller: Caller,
    Body(new): Body<Queue>,
) -> Result<(StatusCode, Json<QueueView>), Problem> {
    Ok((StatusCode::CREATED, Json(shown(context.make_entry(&caller, new).await?))))
}

/// One queue.
#[utoipa::path(get, path = "/v1/queues/{id}", tag = "queues", security(("key" = [])),
    params(("id" = String, Path, description = "The queue's id")), responses(
    (status = 200, description = "The queue", body = QueueView)))]
pub(crate) async fn one(State(context): State<Shared>, caller: Caller, Id(id): Id) -> Result<Json<QueueView>, Problem> {
    context.entry(&caller, &id).await.map(|found| Json(shown(found)))
}

/// Put another queue in its place, under its id.
#[utoipa::path(put, path = "/v1/queues/{id}", tag = "queues", security(("key" = [])), request_body = Queue,
    params(("id" = String, Path, description = "The queue's id")), responses(
    (status = 200, description = "As it is now", body = QueueView),
    (status = 409, description = "`fixed`: it stands in the configuration", body = Problem)))]
pub(crate) async fn change(
    State(context): State<Shared>,
    caller: Caller,
    Id(id): Id,
    Body(new): Body<Queue>,
) -> Result<Json<QueueView>, Problem> {
    context.change_entry(&caller, &id, |_| new).await.map(|found| Json(shown(found)))
}

/// Forget a queue.
#[utoipa::path(delete, path = "/v1/queues/{id}", tag = "queues", security(("key" = [])),
    params(("id" = String, Path, description = "The queue's id")), responses(
    (status = 204, description = "It is forgotten"),
    (status = 409, description = "`fixed`: it stands in the configuration", body = Problem)))]
pub(crate) async fn remove(State(context): State<Shared>, caller: Caller, Id(id): Id) -> Result<StatusCode, Problem> {
    context.remove_entry::<Queue>(&caller, &id).await.map(|()| StatusCode::NO_CONTENT)
}
