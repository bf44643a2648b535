//! How the server is: health, numbers, carriers, phones.

#![allow(unused_qualifications, reason = "of what utoipa makes out of the parameters")]

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use tokio::sync::oneshot;
use utoipa::ToSchema;

use super::{
    Context, Shared,
    access::Caller,
    page::Part,
    problem::{Params, Problem},
};
use crate::{
    io::{Order, View, clock::Clock},
    store::{Scope, Unwritten, Waiting},
    switch::{Binding, Trouble, TrunkView},
    time::Time,
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
#[utoipa::path(get, path = "/v1/numbers", tag = "server", security(("key" = [])), params(Part), responses(
    (status = 200, description = "All numbers, in the order of the configuration", body = [Number], headers(
        ("X-Next-Cursor" = String, description = "The `cursor` of the next part; absent: this was the last")))))]
pub(crate) async fn numbers(
    State(context): State<Shared>,
    caller: Caller,
    Params(part): Params<Part>,
) -> Result<Response, Problem> {
    caller.need_everywhere(Scope::Read)?;
    let numbers = context.view().await?.numbers.into_iter();
    part.of_ordered(numbers.map(|(number, script)| Number { number, script }))
}

/// Something that failed.
#[derive(Serialize, ToSchema)]
pub(crate) struct Failed {
    /// What, in a few words.
    why: String,
    /// When, in ms since 1970.
    at_ms: u64,
}

/// Where calls of a carrier go.
#[derive(Serialize, ToSchema)]
pub(crate) struct TrunkTarget {
    /// Its address.
    uri: String,
    /// Did it answer when it was last asked? Null: nobody asked (`options_s` is 0), or not yet.
    #[schema(required = false)]
    up: Option<bool>,
}

/// A carrier, and how it stands.
#[derive(Serialize, ToSchema)]
pub(crate) struct Trunk {
    /// Its name.
    name: String,
    /// Calls in use, both ways.
    calls: usize,
    /// Most calls at a time; 0: no limit.
    max_calls: usize,
    /// Are we registered there? Null: we have no account there.
    #[schema(required = false)]
    registered: Option<bool>,
    /// Seconds until that registration ends, unless it is refreshed, as it is in time; null: we are not registered.
    #[schema(required = false)]
    expires_s: Option<u64>,
    /// Why we could not register or refresh when that failed last; null: it never did.
    #[schema(required = false)]
    registration_error: Option<Failed>,
    /// Where its calls go.
    targets: Vec<TrunkTarget>,
    /// Those that do not answer.
    down: Vec<String>,
    /// Why it did not take a call of ours when that failed last for a reason of its own; null: it never did.
    #[schema(required = false)]
    call_error: Option<Failed>,
}

/// Seconds from now until then.
fn until(clock: Clock, then: Time) -> u64 {
    (then - clock.now()).as_secs()
}

fn failed(clock: Clock, trouble: Trouble) -> Failed {
    let at_ms = clock.epoch().unix(trouble.at).as_millis();
    Failed { why: trouble.why, at_ms: u64::try_from(at_ms).unwrap_or(u64::MAX) }
}

fn shown(clock: Clock, view: TrunkView) -> Trunk {
    let TrunkView { name, calls, most, seat, targets, trouble } = view;
    let down = targets.iter().filter(|(_, up)| *up == Some(false)).map(|(uri, _)| uri.clone());
    Trunk {
        name,
        calls,
        max_calls: most,
        registered: seat.as_ref().map(|seat| seat.until.is_some()),
        expires_s: seat.as_ref().and_then(|seat| seat.until).map(|then| until(clock, then)),
        registration_error: seat.and_then(|seat| seat.trouble).map(|trouble| failed(clock, trouble)),
        down: down.collect(),
        targets: targets.into_iter().map(|(uri, up)| TrunkTarget { uri, up }).collect(),
        call_error: trouble.map(|trouble| failed(clock, trouble)),
    }
}

/// Carriers, and how they stand.
#[utoipa::path(get, path = "/v1/trunks", tag = "server", security(("key" = [])), params(Part), responses(
    (status = 200, description = "All carriers, in the order of the configuration", body = [Trunk], headers(
        ("X-Next-Cursor" = String, description = "The `cursor` of the next part; absent: this was the last")))))]
pub(crate) async fn trunks(
    State(context): State<Shared>,
    caller: Caller,
    Params(part): Params<Part>,
) -> Result<Response, Problem> {
    caller.need_everywhere(Scope::Read)?;
    let clock = context.config.clock;
    part.of_ordered(context.view().await?.trunks.into_iter().map(|view| shown(clock, view)))
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
    /// Seconds until its registration ends, unless it registers again.
    expires_s: u64,
    /// It did not answer our last keep-alive.
    silent: bool,
    /// Calls in use, of all contacts of this user.
    calls: usize,
}

/// Registered phones.
#[utoipa::path(get, path = "/v1/phones", tag = "server", security(("key" = [])), params(Part), responses(
    (status = 200, description = "All contacts, by user", body = [Phone], headers(
        ("X-Next-Cursor" = String, description = "The `cursor` of the next part; absent: this was the last")))))]
pub(crate) async fn phones(
    State(context): State<Shared>,
    caller: Caller,
    Params(part): Params<Part>,
) -> Result<Response, Problem> {
    caller.need_everywhere(Scope::Read)?;
    let (clock, view) = (context.config.clock, context.view().await?);
    let phone = |(user, binding): (String, Binding)| {
        let contact = binding.contact.uri.to_string();
        let place = format!("{user} {contact} {} {}", binding.call_id, binding.reg_id.unwrap_or_default());
        let phone = Phone {
            contact,
            source: binding.hop.map(|hop| hop.remote.to_string()),
            agent: binding.agent,
            expires_s: until(clock, binding.until),
            silent: binding.silent,
            calls: view.phone_calls.get(&user).copied().unwrap_or_default(),
            user,
        };
        (place, phone)
    };
    part.of(view.phones.into_iter().map(phone).collect())
}
