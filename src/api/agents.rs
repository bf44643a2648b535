//! Agents: looked at, made, changed and removed.

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
use crate::verbs::Agent;

/// A person who takes calls.
#[derive(Serialize, ToSchema)]
pub(crate) struct AgentView {
    /// By which flows name it.
    id: String,
    /// What people call it.
    name: String,
    /// What is to be known about it.
    notes: String,
    /// What rings.
    addresses: Vec<String>,
    /// True: the addresses ring one after another; else all at once.
    in_turn: bool,
    /// What it is good at.
    tags: Vec<String>,
    /// It stands in the configuration, and cannot be changed here.
    fixed: bool,
    /// When it was made, in ms since 1970; null: it stands in the configuration.
    #[schema(required = false)]
    created_ms: Option<i64>,
    /// When it was changed last, in ms since 1970; null: it stands in the configuration.
    #[schema(required = false)]
    changed_ms: Option<i64>,
}

fn shown(Found { entry, made }: Found<Agent>) -> AgentView {
    let Agent { id, name, notes, addresses, in_turn, tags } = entry;
    let (fixed, (created_ms, changed_ms)) = (made.is_none(), made.unzip());
    AgentView { id, name, notes, addresses, in_turn, tags, fixed, created_ms, changed_ms }
}

/// Agents.
#[utoipa::path(get, path = "/v1/agents", tag = "queues", security(("key" = [])), params(Part), responses(
    (status = 200, description = "All agents, by id", body = [AgentView], headers(
        ("X-Next-Cursor" = String, description = "The `cursor` of the next part; absent: this was the last")))))]
pub(crate) async fn list(
    State(context): State<Shared>,
    caller: Caller,
    Params(part): Params<Part>,
) -> Result<Response, Problem> {
    context.entries((&caller, &part), shown).await
}

/// Make an agent.
#[utoipa::path(post, path = "/v1/agents", tag = "queues", security(("key" = [])), request_body = Agent, responses(
    (status = 201, description = "It is kept", body = AgentView),
    (status = 409, description = "`there`: there is one of this id; `too_many`: there are 5,000", body = Problem)))]
pub(crate) async fn make(
    State(context): State<Shared>,
    caller: Caller,
    Body(new): Body<Agent>,
) -> Result<(StatusCode, Json<AgentView>), Problem> {
    Ok((StatusCode::CREATED, Json(shown(context.make_entry(&caller, new).await?))))
}

/// One agent.
#[utoipa::path(get, path = "/v1/agents/{id}", tag = "queues", security(("key" = [])),
    params(("id" = String, Path, description = "The agent's id")), responses(
    (status = 200, description = "The agent", body = AgentView)))]
pub(crate) async fn one(State(context): State<Shared>, caller: Caller, Id(id): Id) -> Result<Json<AgentView>, Problem> {
    context.entry(&caller, &id).await.map(|found| Json(shown(found)))
}

/// Put another agent in its place, under its id.
#[utoipa::path(put, path = "/v1/agents/{id}", tag = "queues", security(("key" = [])), request_body = Agent,
    params(("id" = String, Path, description = "The agent's id")), responses(
    (status = 200, description = "As it is now", body = AgentView),
    (status = 409, description = "`fixed`: it stands in the configuration", body = Problem)))]
pub(crate) async fn change(
    State(context): State<Shared>,
    caller: Caller,
    Id(id): Id,
    Body(new): Body<Agent>,
) -> Result<Json<AgentView>, Problem> {
    context.change_entry(&caller, &id, |_| new).await.map(|found| Json(shown(found)))
}

/// Forget an agent.
#[utoipa::path(delete, path = "/v1/agents/{id}", tag = "queues", security(("key" = [])),
    params(("id" = String, Path, description = "The agent's id")), responses(
    (status = 204, description = "It is forgotten"),
    (status = 409, description = "`in_use`: queues name it; `fixed`: it stands in the configuration", body = Problem)))]
pub(crate) async fn remove(State(context): State<Shared>, caller: Caller, Id(id): Id) -> Result<StatusCode, Problem> {
    context.remove_entry::<Agent>(&caller, &id).await.map(|()| StatusCode::NO_CONTENT)
}
