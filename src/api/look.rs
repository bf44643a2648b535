//! How the server is: health, figures, numbers, carriers, phones.

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use tokio::sync::oneshot;
use utoipa::ToSchema;

use super::{Context, Shared, access::Caller, problem::Problem};
use crate::{
    io::{Order, View},
    store::{Scope, Unwritten, Waiting},
};

impl Context {
    pub(super) async fn view(&self) -> Result<View, Problem> {
        let (to, view) = oneshot::channel();
        let orders = self.orders.upgrade().ok_or_else(Problem::gone)?;
        orders.send(Order::View(to)).await.map_err(|_| Problem::gone())?;
        view.await.map_err(|_| Problem::gone())
    }
}

/// How the server is.
#[derive(Serialize, ToSchema)]
pub(crate) struct Health {
    /// `ok`, or `draining`: it takes no new calls.
    status: &'static str,
    /// Calls in progress.
    calls: usize,
    /// Of the database: `ok`; `behind`: records have waited for it for more than ten seconds; `lost`: it takes nothing.
    /// Calls go on, and what it should have waits on the disk.
    store: &'static str,
    /// Of the disk of `folders.state`: `ok`, or `full`: it takes nothing, and what happens waits in memory.
    disk: &'static str,
}

/// So long records may wait for the database before that is worth a word, in ms.
const BEHIND: u64 = 10_000;

fn store_word(waiting: &Waiting) -> &'static str {
    match waiting {
        Waiting { failing: true, .. } => "lost",
        Waiting { oldest_ms, .. } if *oldest_ms > BEHIND => "behind",
        Waiting { .. } => "ok",
    }
}

fn disk_word(unwritten: &Unwritten) -> &'static str {
    if unwritten.failing { "full" } else { "ok" }
}

/// Does the server take calls? Needs no key.
#[utoipa::path(get, path = "/healthz", tag = "server", responses(
    (status = 200, description = "It does", body = Health), (status = 503, description = "It does not", content(
        (Health = "application/json"), (Problem = "application/problem+json")))))]
pub(crate) async fn health(State(context): State<Shared>) -> Result<Response, Problem> {
    let (figures, waiting) = (context.figures().await?, context.waiting().await?);
    let (code, status) = match figures.draining {
        true => (StatusCode::SERVICE_UNAVAILABLE, "draining"),
        false => (StatusCode::OK, "ok"),
    };
    let (calls, store, disk) = (figures.counts.calls, store_word(&waiting), disk_word(&context.unwritten().await?));
    Ok((code, Json(Health { status, calls, store, disk })).into_response())
}

/// A number, and what answers it.
#[derive(Serialize, ToSchema)]
pub(crate) struct Number {
    /// The number, or a pattern of numbers.
    number: String,
    /// Its script.
    script: String,
}

/// Numbers, and the scripts that answer them.
#[utoipa::path(get, path = "/v1/numbers", tag = "server", security(("key" = [])), responses(
    (status = 200, description = "All numbers", body = [Number])))]
pub(crate) async fn numbers(State(context): State<Shared>, caller: Caller) -> Result<Json<Vec<Number>>, Problem> {
    caller.need_everywhere(Scope::Read)?;
    let numbers = context.view().await?.numbers.into_iter();
    Ok(Json(numbers.map(|(number, script)| Number { number, script }).collect()))
}

/// A carrier, and how it stands.
#[derive(Serialize, ToSchema)]
pub(crate) struct Trunk {
    /// Its name.
    name: String,
    /// Are we registered there? Null: that was never tried.
    #[schema(required = false)]
    registered: Option<bool>,
    /// Targets that do not answer.
    down: Vec<String>,
}

/// Carriers, and how they stand.
#[utoipa::path(get, path = "/v1/trunks", tag = "server", security(("key" = [])), responses(
    (status = 200, description = "All carriers", body = [Trunk])))]
pub(crate) async fn trunks(State(context): State<Shared>, caller: Caller) -> Result<Json<Vec<Trunk>>, Problem> {
    caller.need_everywhere(Scope::Read)?;
    let mut standings = context.standings().await?;
    let trunk = |name: String| {
        let standing = standings.remove(&name).unwrap_or_default();
        let mut down: Vec<String> = standing.targets.into_iter().filter(|(_, up)| !up).map(|(uri, _)| uri).collect();
        down.sort();
        Trunk { name, registered: standing.registered, down }
    };
    Ok(Json(context.view().await?.trunks.into_iter().map(trunk).collect()))
}

/// A contact of a phone.
#[derive(Serialize, ToSchema)]
pub(crate) struct Phone {
    /// The phone's user.
    user: String,
    /// Where it is reached.
    contact: String,
    /// Where its REGISTER came from; null: that connection broke.
    #[schema(required = false)]
    source: Option<String>,
    /// What it says it is.
    agent: String,
    /// It did not answer our last keep-alive.
    silent: bool,
}

/// Registered phones.
#[utoipa::path(get, path = "/v1/phones", tag = "server", security(("key" = [])), responses(
    (status = 200, description = "All contacts", body = [Phone])))]
pub(crate) async fn phones(State(context): State<Shared>, caller: Caller) -> Result<Json<Vec<Phone>>, Problem> {
    caller.need_everywhere(Scope::Read)?;
    let phones = context.view().await?.phones.into_iter();
    let phone = |(user, binding): (String, crate::switch::Binding)| Phone {
        user,
        contact: binding.contact.uri.to_string(),
        source: binding.hop.map(|hop| hop.remote.to_string()),
        agent: binding.agent,
        silent: binding.silent,
    };
    Ok(Json(phones.map(phone).collect()))
}
