//! How the server is: health, figures, numbers, carriers, phones.

use std::fmt::Write;

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use tokio::sync::oneshot;
use utoipa::ToSchema;

use super::{Context, Shared, access::Caller, problem::Problem};
use crate::{
    io::{Order, View},
    store::{Question, Scope, Totals, Waiting},
};

impl Context {
    pub(super) async fn view(&self) -> Result<View, Problem> {
        let (to, view) = oneshot::channel();
        let orders = self.orders.upgrade().ok_or_else(Problem::gone)?;
        orders.send(Order::View(to)).await.map_err(|_| Problem::gone())?;
        view.await.map_err(|_| Problem::gone())
    }

    async fn waiting(&self) -> Result<Waiting, Problem> {
        let (to, waiting) = oneshot::channel();
        self.questions.send(Question::Waiting(to)).await.map_err(|_| Problem::gone())?;
        waiting.await.map_err(|_| Problem::gone())
    }

    async fn totals(&self) -> Result<Totals, Problem> {
        let (to, totals) = oneshot::channel();
        self.questions.send(Question::Totals(to)).await.map_err(|_| Problem::gone())?;
        totals.await.map_err(|_| Problem::gone())
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

/// Does the server take calls? Needs no key.
#[utoipa::path(get, path = "/healthz", tag = "server", responses(
    (status = 200, description = "It does", body = Health), (status = 503, description = "It does not", content(
        (Health = "application/json"), (Problem = "application/problem+json")))))]
pub(crate) async fn health(State(context): State<Shared>) -> Result<Response, Problem> {
    let (view, waiting) = (context.view().await?, context.waiting().await?);
    let (code, status) = match view.draining {
        true => (StatusCode::SERVICE_UNAVAILABLE, "draining"),
        false => (StatusCode::OK, "ok"),
    };
    Ok((code, Json(Health { status, calls: view.counts.calls, store: store_word(&waiting) })).into_response())
}

/// Figures for Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "server", security(("key" = [])), responses(
    (status = 200, description = "Figures, in Prometheus' text format", body = String, content_type = "text/plain")))]
pub(crate) async fn metrics(State(context): State<Shared>, caller: Caller) -> Result<Response, Problem> {
    caller.need_everywhere(Scope::Read)?;
    let (view, totals, live) = (context.view().await?, context.totals().await?, context.live().await?);
    let mut text = String::new();
    let mut states = [("queued", 0), ("initiated", 0), ("ringing", 0), ("in_progress", 0)];
    for call in live {
        let state = states.iter_mut().find(|(name, _)| *name == call.status.to_string());
        state.into_iter().for_each(|(_, count)| *count += 1);
    }
    head(&mut text, "switchhook_calls", "gauge", "Calls that are not over, by state");
    for (state, count) in states {
        // Writing to a string cannot fail; so below.
        let _ = writeln!(text, "switchhook_calls{{state=\"{state}\"}} {count}");
    }
    head(&mut text, "switchhook_calls_ended_total", "counter", "Calls that are over, by status and end reason");
    for ((status, reason), count) in &totals.ended {
        let _ = writeln!(text, "switchhook_calls_ended_total{{status=\"{status}\",reason=\"{reason}\"}} {count}");
    }
    head(&mut text, "switchhook_talk_seconds_total", "counter", "Time from answer to end of all calls");
    let _ = writeln!(text, "switchhook_talk_seconds_total {:.3}", totals.talk_seconds);
    head(
        &mut text,
        "switchhook_setup_seconds",
        "histogram",
        "Time from the beginning of answered calls to their answer",
    );
    let mut sum = 0;
    for (limit, count) in &totals.setup {
        sum += count;
        let _ = writeln!(text, "switchhook_setup_seconds_bucket{{le=\"{limit}\"}} {sum}");
    }
    let _ = writeln!(text, "switchhook_setup_seconds_bucket{{le=\"+Inf\"}} {}", totals.answered);
    let _ = writeln!(text, "switchhook_setup_seconds_sum {:.3}", totals.setup_seconds);
    let _ = writeln!(text, "switchhook_setup_seconds_count {}", totals.answered);
    head(&mut text, "switchhook_packets_total", "counter", "RTP packets of calls that are over");
    for (what, count) in totals.packets {
        let _ = writeln!(text, "switchhook_packets_total{{what=\"{what}\"}} {count}");
    }
    head(&mut text, "switchhook_held", "gauge", "What the server holds");
    let held = crate::io::counts_of(&view.counts);
    for (what, count) in held {
        let _ = writeln!(text, "switchhook_held{{what=\"{what}\"}} {count}");
    }
    store_figures(&mut text, &context.waiting().await?);
    head(&mut text, "switchhook_phones", "gauge", "Contacts of registered phones");
    let _ = writeln!(text, "switchhook_phones {}", view.phones.len());
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response())
}

/// What the database does not have yet.
fn store_figures(text: &mut String, waiting: &Waiting) {
    let up = u8::from(!waiting.failing);
    let age = waiting.oldest_ms as f64 / 1000.0;
    for (name, help, value) in [
        ("switchhook_store_up", "1: the database takes what it should have; 0: it takes nothing", up.to_string()),
        ("switchhook_store_waiting_events", "Events that the database does not have yet", waiting.events.to_string()),
        ("switchhook_store_waiting_bytes", "Their bytes in the spool, to the next batch", waiting.bytes.to_string()),
        ("switchhook_store_waiting_seconds", "For how long the oldest of them has waited", format!("{age:.3}")),
    ] {
        head(text, name, "gauge", help);
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{name} {value}");
    }
}

fn head(text: &mut String, name: &str, kind: &str, help: &str) {
    let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
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
