//! AI agents: looked at, made, changed and removed.

#![allow(unused_qualifications, reason = "of what utoipa makes out of the parameters")]

use std::collections::BTreeMap;

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
use crate::verbs::AiAgent;

/// A program that talks to callers; its key is not shown.
#[derive(Serialize, ToSchema)]
pub(crate) struct AiAgentView {
    /// By which flows name it.
    id: String,
    /// What people call it.
    name: String,
    /// What is to be known about it.
    notes: String,
    /// The language model.
    model: String,
    /// There is a key to the model's service.
    has_key: bool,
    /// What the model is told before anything is said.
    prompt: String,
    /// What else the model's service is told, by name.
    parameters: BTreeMap<String, String>,
    /// What makes speech of its text; empty: the server's own.
    tts: String,
    /// Whose voice; empty: the usual one.
    voice: String,
    /// What makes text of the caller's speech; empty: the server's own.
    stt: String,
    /// The language that is spoken; empty: found out.
    language: String,
    /// What the model may do by itself.
    tools: Vec<String>,
    /// It stands in the configuration, and cannot be changed here.
    fixed: bool,
    /// When it was made, in ms since 1970; null: it stands in the configuration.
    #[schema(required = false)]
    created_ms: Option<i64>,
    /// When it was changed last, in ms since 1970; null: it stands in the configuration.
    #[schema(required = false)]
    changed_ms: Option<i64>,
}

fn shown(Found { entry, made }: Found<AiAgent>) -> AiAgentView {
    let (fixed, (created_ms, changed_ms)) = (made.is_none(), made.unzip());
    AiAgentView {
        id: entry.id,
        name: entry.name,
        notes: entry.notes,
        model: entry.model,
        has_key: entry.key.is_some_and(|key| !key.is_empty()),
        prompt: entry.prompt,
        parameters: entry.parameters,
        tts: entry.tts,
        voice: entry.voice,
        stt: entry.stt,
        language: entry.language,
        tools: entry.tools,
        fixed,
        created_ms,
        changed_ms,
    }
}

/// AI agents.
#[utoipa::path(get, path = "/v1/ai-agents", tag = "queues", security(("key" = [])), params(Part), responses(
    (status = 200, description = "All AI agents, by id", body = [AiAgentView], headers(
        ("X-Next-Cursor" = String, description = "The `cursor` of the next part; absent: this was the last")))))]
pub(crate) async fn list(
    State(context): State<Shared>,
    caller: Caller,
    Params(part): Params<Part>,
) -> Result<Response, Problem> {
    context.entries((&caller, &part), shown).await
}

/// Make an AI agent.
#[utoipa::path(post, path = "/v1/ai-agents", tag = "queues", security(("key" = [])), request_body = AiAgent, responses(
    (status = 201, description = "It is kept", body = AiAgentView),
    (status = 409, description = "`there`: there is one of this id; `too_many`: there are 5,000", body = Problem)))]
pub(crate) async fn make(
    State(context): State<Shared>,
    caller: Caller,
    Body(new): Body<AiAgent>,
) -> Result<(StatusCode, Json<AiAgentView>), Problem> {
    Ok((StatusCode::CREATED, Json(shown(context.make_entry(&caller, new).await?))))
}

/// One AI agent.
#[utoipa::path(get, path = "/v1/ai-agents/{id}", tag = "queues", security(("key" = [])),
    params(("id" = String, Path, description = "The AI agent's id")), responses(
    (status = 200, description = "The AI agent", body = AiAgentView)))]
pub(crate) async fn one(
    State(context): State<Shared>,
    caller: Caller,
    Id(id): Id,
) -> Result<Json<AiAgentView>, Problem> {
    context.entry(&caller, &id).await.map(|found| Json(shown(found)))
}

/// Put another AI agent in its place, under its id; without `key` it keeps the one that it has.
#[utoipa::path(put, path = "/v1/ai-agents/{id}", tag = "queues", security(("key" = [])), request_body = AiAgent,
    params(("id" = String, Path, description = "The AI agent's id")), responses(
    (status = 200, description = "As it is now", body = AiAgentView),
    (status = 409, description = "`fixed`: it stands in the configuration", body = Problem)))]
pub(crate) async fn change(
    State(context): State<Shared>,
    caller: Caller,
    Id(id): Id,
    Body(new): Body<AiAgent>,
) -> Result<Json<AiAgentView>, Problem> {
    let with_key = |is: AiAgent| AiAgent { key: new.key.or(is.key), ..new };
    context.change_entry(&caller, &id, with_key).await.map(|found| Json(shown(found)))
}

/// Forget an AI agent.
#[utoipa::path(delete, path = "/v1/ai-agents/{id}", tag = "queues", security(("key" = [])),
    params(("id" = String, Path, description = "The AI agent's id")), responses(
    (status = 204, description = "It is forgotten"),
    (status = 409, description = "`fixed`: it stands in the configuration", body = Problem)))]
pub(crate) async fn remove(State(context): State<Shared>, caller: Caller, Id(id): Id) -> Result<StatusCode, Problem> {
    context.remove_entry::<AiAgent>(&caller, &id).await.map(|()| StatusCode::NO_CONTENT)
}
