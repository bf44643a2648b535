//! Flows in versions: a text is uploaded, looked at by the compiler, and put into service when somebody says so.

#![allow(unused_qualifications, reason = "of what utoipa makes out of the parameters")]

use std::fs;

use axum::{Json, extract::State, http::StatusCode, response::Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    Shared,
    access::Caller,
    page::Part,
    problem::{self, Body, Id, Numbered, Params, Problem},
};
use crate::{
    io::disk::replace,
    script::{Program, mark_version},
    store::{self, Scope},
};

/// Longest body of an upload: a script of a megabyte, as JSON.
pub const LONGEST: usize = 3 << 20;
/// Longest text of a flow; the scripts' own limit.
const LONGEST_TEXT: usize = 1 << 20;

/// A flow that has versions.
#[derive(Serialize, ToSchema)]
pub(crate) struct Flow {
    /// Its name: a path below the folder of scripts.
    flow: String,
    /// Its newest version.
    newest: i64,
    /// The version in service; null: none of these.
    #[schema(required = false)]
    active: Option<i64>,
}

/// A version of a flow.
#[derive(Serialize, ToSchema)]
pub(crate) struct Version {
    /// The flow.
    flow: String,
    /// Counted from 1.
    version: i64,
    /// What was said about it.
    note: String,
    /// The id of a key, or `user:` and a name.
    made_by: String,
    /// When, in ms since 1970.
    made_ms: i64,
}

/// A text for a flow.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Upload {
    /// Lua, at most a megabyte; of a flow document (`.json`): JSON.
    #[schema(max_length = 1048576, pattern = "^[^\\x00]*$")]
    text: String,
    /// What is to be said about it.
    #[serde(default)]
    #[schema(max_length = 500)]
    note: String,
}

/// A version that was kept.
#[derive(Serialize, ToSchema)]
pub(crate) struct Uploaded {
    /// The flow.
    flow: String,
    /// Its number.
    version: i64,
}

/// The text of a version.
#[derive(Serialize, ToSchema)]
pub(crate) struct Text {
    /// The flow.
    flow: String,
    /// Its number.
    version: i64,
    /// What it says.
    text: String,
}

/// Which version.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Which {
    /// Its number.
    #[schema(minimum = 1, maximum = 9007199254740991i64)]
    version: i64,
}

enum Kind {
    Lua,
    Document,
}

/// `folder/name.lua`, or `.json`.
fn kind(flow: &str) -> Result<Kind, Problem> {
    let part = |part: &str| {
        let (first, rest) = part.split_at_checked(1)?;
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        (first.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && rest.chars().all(fits)).then_some(())
    };
    let plain = flow.len() <= 200 && flow.split('/').all(|one| part(one).is_some());
    match flow.rsplit_once('.') {
        Some((_, "lua")) if plain => Ok(Kind::Lua),
        Some((_, "json")) if plain => Ok(Kind::Document),
        Some(_) | None => {
            Err(Problem::unfit("id", "allowed: a name that ends with .lua or .json, of letters, digits, _ - . and /"))
        }
    }
}

/// Flows that have versions, by name.
#[utoipa::path(get, path = "/v1/flows", tag = "flows", security(("key" = [])), params(Part), responses(
    (status = 200, description = "All flows that have versions", body = [Flow], headers(
        ("X-Next-Cursor" = String, description = "The `cursor` of the next part; absent: this was the last")))))]
pub(crate) async fn list(
    State(context): State<Shared>,
    caller: Caller,
    Params(part): Params<Part>,
) -> Result<Response, Problem> {
    caller.need_everywhere(Scope::Read)?;
    let flows = context.store().await?.flows().await.map_err(|error| problem::database(&error))?;
    let flow = |one: store::Activity| Flow { flow: one.flow, newest: one.newest, active: one.active };
    part.of(flows.into_iter().map(|one| (one.flow.clone(), flow(one))).collect())
}

/// The versions of a flow, the newest first.
#[utoipa::path(get, path = "/v1/flows/{id}/versions", tag = "flows", security(("key" = [])),
    params(("id" = String, Path, description = "The flow's name"), Part), responses(
    (status = 200, description = "Its versions", body = [Version], headers(
        ("X-Next-Cursor" = String, description = "The `cursor` of the next part; absent: this was the last")))))]
pub(crate) async fn versions(
    State(context): State<Shared>,
    caller: Caller,
    Id(flow): Id,
    Params(part): Params<Part>,
) -> Result<Response, Problem> {
    caller.need_everywhere(Scope::Read)?;
    let versions = context.store().await?.versions(&flow).await.map_err(|error| problem::database(&error))?;
    if versions.is_empty() {
        return Err(Problem::no_such("flow"));
    }
    let version = |one: store::Version| {
        let store::Version { flow, version, note, made_by, made_ms } = one;
        Version { flow, version, note, made_by, made_ms }
    };
    // The newest first.
    let place = |one: &store::Version| format!("{:020}", i64::MAX - one.version);
    part.of(versions.into_iter().map(|one| (place(&one), version(one))).collect())
}

/// Keep a new version of a flow. It must compile; it is not in service yet.
#[utoipa::path(post, path = "/v1/flows/{id}/versions", tag = "flows", security(("key" = [])), request_body = Upload,
    params(("id" = String, Path, description = "The flow's name, such as `menu.lua`")), responses(
    (status = 201, description = "It is kept", body = Uploaded)))]
pub(crate) async fn upload(
    State(context): State<Shared>,
    caller: Caller,
    Id(flow): Id,
    Body(new): Body<Upload>,
) -> Result<(StatusCode, Json<Uploaded>), Problem> {
    caller.need_everywhere(Scope::Admin)?;
    if new.text.len() > LONGEST_TEXT || new.text.contains('\0') {
        return Err(Problem::field("text", "allowed: up to a megabyte of text without NUL"));
    }
    if new.note.chars().count() > 500 || new.note.contains('\0') {
        return Err(Problem::field("note", "allowed: up to 500 characters"));
    }
    match kind(&flow)? {
        Kind::Lua => {
            Program::compile(&flow, new.text.as_bytes()).map_err(|error| Problem::unfit("text", error))?;
        }
        Kind::Document => {
            let read = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(&new.text);
            read.map_err(|error| Problem::unfit("text", error))?;
        }
    }
    let by = (caller.0.id.as_str(), context.now_ms());
    let added = context.store().await?.add_version((&flow, &new.text), &new.note, by).await;
    let version = added.map_err(|error| problem::database(&error))?;
    caller.note(&context, "flow.upload", &format!("{flow} {version}")).await;
    Ok((StatusCode::CREATED, Json(Uploaded { flow, version })))
}

/// The text of a version.
#[utoipa::path(get, path = "/v1/flows/{id}/versions/{version}", tag = "flows", security(("key" = [])),
    params(("id" = String, Path, description = "The flow's name"),
        ("version" = i64, Path, description = "The version's number")), responses(
    (status = 200, description = "Its text", body = Text)))]
pub(crate) async fn version(
    State(context): State<Shared>,
    caller: Caller,
    Numbered(flow, version): Numbered,
) -> Result<Json<Text>, Problem> {
    caller.need_everywhere(Scope::Read)?;
    let found = context.store().await?.version_text(&flow, version).await.map_err(|error| problem::database(&error))?;
    let text = found.ok_or_else(|| Problem::no_such("version"))?;
    Ok(Json(Text { flow, version, text }))
}

/// Put a version into service: it becomes the file below the folder of scripts, and new calls run it within a second.
#[utoipa::path(post, path = "/v1/flows/{id}/activate", tag = "flows", security(("key" = [])), request_body = Which,
    params(("id" = String, Path, description = "The flow's name")), responses(
    (status = 200, description = "It is in service", body = Uploaded),
    (status = 409, description = "`no_runner`: documents are kept, but not run; `disk`: the file was not written",
     body = Problem)))]
pub(crate) async fn activate(
    State(context): State<Shared>,
    caller: Caller,
    Id(flow): Id,
    Body(which): Body<Which>,
) -> Result<Json<Uploaded>, Problem> {
    caller.need_everywhere(Scope::Admin)?;
    let (store, version) = (context.store().await?, which.version);
    let found = store.version_text(&flow, version).await.map_err(|error| problem::database(&error))?;
    let text = found.ok_or_else(|| Problem::no_such("version"))?;
    match kind(&flow)? {
        Kind::Lua => {}
        Kind::Document => return Err(Problem::conflict("no_runner", "this server runs Lua; documents are only kept")),
    }
    let (folder, name) = (context.config.scripts.clone(), flow.clone());
    let written = tokio::task::spawn_blocking(move || {
        // Records name the version of what ran.
        mark_version(&folder, &name, version, &text)?;
        let file = folder.join(name);
        fs::create_dir_all(file.parent().unwrap_or(&folder))?;
        replace(&file, &text)
    });
    let written = written.await.map_err(|_| Problem::gone())?;
    written.map_err(|error| {
        tracing::error!(flow, %error, "a flow could not be put into service");
        Problem::conflict("disk", "the file could not be written; the one before stays in service")
    })?;
    let by = (caller.0.id.as_str(), context.now_ms());
    store.activate(&flow, version, by).await.map_err(|error| problem::database(&error))?;
    caller.note(&context, "flow.activate", &format!("{flow} {version}")).await;
    Ok(Json(Uploaded { flow, version }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flow_is_named_by_a_path_below_the_folder() {
        for good in ["menu.lua", "shop/menu-2.lua", "a/b/c.d.lua"] {
            assert!(matches!(kind(good), Ok(Kind::Lua)), "{good}");
        }
        assert!(matches!(kind("flow.json"), Ok(Kind::Document)));
        for bad in
            ["menu", ".lua", "../a.lua", "/a.lua", "a//b.lua", "a/.b.lua", "a b.lua", "a\\b.lua", "x.exe", "./a.lua"]
        {
            assert!(kind(bad).is_err(), "{bad}");
        }
    }
}
