//! Calls to look at.

#![allow(unused_qualifications, reason = "of what utoipa makes out of the parameters")]

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

use super::{
    Context, Shared,
    access::Caller,
    events::Told,
    page,
    problem::{self, Id, Params, Problem},
};
use crate::{
    store::{CallFilter, Event, Question, Scope, Standing},
    switch::{CallQuality, Dialling, Progress},
};

/// Which calls.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Wanted {
    /// `true`: only calls that go on, as they stand at this moment.
    #[serde(default)]
    #[param(required = false)]
    live: bool,
    /// `queued`, `initiated`, `ringing`, `in_progress`, `completed`, `failed`, `no_answer`, `busy` or `canceled`.
    #[param(max_length = 200, pattern = "^[^\\x00]*$")]
    status: Option<String>,
    /// Such as `caller_hangup`.
    #[param(max_length = 200, pattern = "^[^\\x00]*$")]
    end_reason: Option<String>,
    /// Between this number and another, whichever way they are written.
    #[param(max_length = 200, pattern = "^[^\\x00]*$")]
    number: Option<String>,
    /// `inbound` or `outbound`.
    #[param(max_length = 200, pattern = "^[^\\x00]*$")]
    direction: Option<String>,
    /// Began then or later, in ms since 1970.
    #[param(minimum = 0, maximum = 9007199254740991i64)]
    since_ms: Option<i64>,
    /// Began before that, in ms since 1970.
    #[param(minimum = 0, maximum = 9007199254740991i64)]
    until_ms: Option<i64>,
    /// At most so many, 1 to 500; else 50.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
    /// The `next` of the page before.
    #[param(pattern = "^[0-9]{1,15}_[0-9A-Za-z.-]{0,64}$")]
    cursor: Option<String>,
    /// `json`, `jsonl` or `csv`.
    #[param(pattern = "^(json|jsonl|csv)$")]
    format: Option<String>,
}

/// A call that goes on, as it stands at this moment.
#[derive(Serialize, ToSchema)]
pub(crate) struct LiveCall {
    #[serde(flatten)]
    #[schema(value_type = Progress)]
    call: Arc<Progress>,
    /// Seconds from its answer until now; 0: it was not answered yet.
    talk_seconds: f64,
    /// Seconds from its beginning until now.
    total_seconds: f64,
    /// What its port has seen so far, as of the last five seconds or so; absent: it has none, or too short a time.
    #[schema(value_type = Option<CallQuality>)]
    quality: Option<Arc<CallQuality>>,
}

impl LiveCall {
    fn new((call, quality): Standing, now_ms: i64) -> LiveCall {
        let now = u64::try_from(now_ms).unwrap_or_default();
        let until_now = |since: u64| now.saturating_sub(since) as f64 / 1000.0;
        let (talk_seconds, total_seconds) = (call.answer_ms.map_or(0.0, until_now), until_now(call.start_ms));
        LiveCall { call, talk_seconds, total_seconds, quality }
    }
}

/// Some calls, the newest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct Calls {
    /// Their records; of calls that go on: how they stand.
    pub(super) calls: Vec<Value>,
    /// The `cursor` of the next page; null: this was the last.
    #[schema(required = false)]
    pub(super) next: Option<String>,
}

impl Context {
    /// The calls that are not over, and how their audio goes.
    pub(super) async fn live(&self) -> Result<Vec<Standing>, Problem> {
        self.ask_journal(Question::Live).await
    }

    /// The events of a call that the database may not have yet.
    async fn coming(&self, id: &str) -> Result<Vec<Arc<Event>>, Problem> {
        self.ask_journal(|to| Question::Coming(id.to_owned(), to)).await
    }

    /// The end of a call that was over not long ago: the database may not have it yet.
    async fn ended(&self, id: &str) -> Result<Option<Arc<Event>>, Problem> {
        self.ask_journal(|to| Question::Ended(id.to_owned(), to)).await
    }

    /// The call with this id that is not over, and that the key may see.
    pub(super) async fn live_call(&self, caller: &Caller, id: &str) -> Result<Arc<Progress>, Problem> {
        Ok(self.standing(caller, id).await?.0)
    }

    /// The same, with how its audio goes.
    async fn standing(&self, caller: &Caller, id: &str) -> Result<Standing, Problem> {
        let found = self.ask_journal(|to| Question::Find(id.to_owned(), to)).await?;
        let seen = found.filter(|(call, _)| caller.sees(self, [&call.from, &call.to]));
        seen.ok_or_else(|| Problem::no_such("call in progress"))
    }
}

fn filter(wanted: Wanted, caller: &Caller, dialling: &Dialling) -> Result<CallFilter, Problem> {
    let limit = page::limit(wanted.limit)?;
    let after = page::read(wanted.cursor.as_deref())?;
    for (name, value) in [
        ("status", &wanted.status),
        ("end_reason", &wanted.end_reason),
        ("number", &wanted.number),
        ("direction", &wanted.direction),
    ] {
        page::word(name, value.as_ref())?;
    }
    for (name, value) in [("since_ms", wanted.since_ms), ("until_ms", wanted.until_ms)] {
        if value.is_some_and(|at| !(0..=page::LATEST).contains(&at)) {
            return Err(Problem::field(name, "allowed: ms since 1970"));
        }
    }
    let Wanted { status, end_reason, number, direction, since_ms, until_ms, .. } = wanted;
    let number = number.map(|number| dialling.ways(&number)).unwrap_or_default();
    let numbers = caller.0.ways(dialling);
    Ok(CallFilter { status, end_reason, number, direction, since_ms, until_ms, after, limit, numbers })
}

fn passes(filter: &CallFilter, call: &Progress) -> bool {
    let word = |wanted: &Option<String>, found: String| wanted.as_ref().is_none_or(|wanted| *wanted == found);
    let start = i64::try_from(call.start_ms).unwrap_or(i64::MAX);
    let direction = serde_json::to_value(call.direction).ok().and_then(|word| word.as_str().map(str::to_owned));
    word(&filter.status, call.status.to_string())
        && filter.end_reason.is_none()
        && (filter.number.is_empty() || [&call.from, &call.to].iter().any(|party| filter.number.contains(party)))
        && word(&filter.direction, direction.unwrap_or_default())
        && filter.since_ms.is_none_or(|since| start >= since)
        && filter.until_ms.is_none_or(|until| start < until)
        && filter.after.as_ref().is_none_or(|(at, id)| (start, &call.id) < (*at, id))
}

/// Calls, the newest first.
#[utoipa::path(get, path = "/v1/calls", tag = "calls", security(("key" = [])), params(Wanted), responses(
    (status = 200, description = "Calls that the key may see", content(
        (Calls = "application/json"), (String = "application/jsonl"), (String = "text/csv")))))]
pub(crate) async fn list(
    State(context): State<Shared>,
    caller: Caller,
    Params(wanted): Params<Wanted>,
) -> Result<Response, Problem> {
    caller.need(Scope::Read)?;
    let format = wanted.format.clone();
    let live = wanted.live;
    let filter = filter(wanted, &caller, &context.config.dialling)?;
    let (calls, next) = if live {
        let mut calls = context.live().await?;
        calls.retain(|(call, _)| caller.sees(&context, [&call.from, &call.to]) && passes(&filter, call));
        calls.sort_by(|(a, _), (b, _)| (b.start_ms, &b.id).cmp(&(a.start_ms, &a.id)));
        let more = calls.len() > filter.limit as usize;
        calls.truncate(filter.limit as usize);
        let next = calls.last().filter(|_| more).map(|(last, _)| (last.start_ms as i64, last.id.clone()));
        let now = context.now_ms();
        (calls.into_iter().map(|call| json!(LiveCall::new(call, now))).collect(), next)
    } else {
        let page = context.store().await?.calls(&filter).await.map_err(|error| problem::database(&error))?;
        (page.calls.into_iter().map(|call| call.document).collect(), page.next)
    };
    let calls = Calls { calls, next: page::next(next) };
    match format.as_deref().unwrap_or("json") {
        "json" => Ok(axum::Json(calls).into_response()),
        "jsonl" => {
            Ok(text("application/jsonl", calls.next, calls.calls.iter().map(|call| format!("{call}\n")).collect()))
        }
        "csv" => Ok(text("text/csv", calls.next, csv(&calls.calls))),
        _ => Err(Problem::field("format", "allowed: json, jsonl or csv")),
    }
}

/// As text; where there is more, the next page is in a header.
fn text(kind: &'static str, next: Option<String>, text: String) -> Response {
    let mut response = ([(header::CONTENT_TYPE, kind)], text).into_response();
    if let Some(next) = next.and_then(|next| next.parse().ok()) {
        response.headers_mut().insert(page::NEXT, next);
    }
    response
}

/// A dot leads into an object.
const COLUMNS: [&str; 33] = [
    "id",
    "parent",
    "direction",
    "from",
    "to",
    "trunk",
    "start_ms",
    "answer_ms",
    "end_ms",
    "talk_seconds",
    "status",
    "end_reason",
    "code",
    "q850",
    "script",
    "flow_version",
    "path",
    "codec",
    "error",
    "peer",
    "total_seconds",
    "cost",
    "transferred",
    "recordings",
    "quality.mos",
    "quality.lost",
    "quality.jitter_ms",
    "quality.round_trip_ms",
    "vars",
    "partners",
    "end_detail",
    "recording_errors",
    "runs",
];

fn at<'a>(call: &'a Value, column: &str) -> &'a Value {
    column.split('.').fold(call, |value, name| &value[name])
}

/// One of several in a cell: of a run its script, version and end.
fn entry(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Object(run) => {
            let words = ["script", "version", "end"].iter().filter_map(|name| run.get(*name)?.as_str());
            words.collect::<Vec<_>>().join(" ")
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => value.to_string(),
    }
}

/// RFC 4180. What a spreadsheet would take for a formula is shown as text.
fn csv(calls: &[Value]) -> String {
    let quoted = |text: &str| {
        let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']) && text.parse::<f64>().is_err();
        let text = text.replace('"', "\"\"");
        if formula { format!("\"'{text}\"") } else { format!("\"{text}\"") }
    };
    let cell = |value: &Value| match value {
        Value::Null => String::new(),
        Value::String(text) => quoted(text),
        Value::Array(all) => quoted(&all.iter().map(entry).collect::<Vec<_>>().join("; ")),
        Value::Object(fields) if fields.is_empty() => String::new(),
        fields @ Value::Object(_) => quoted(&fields.to_string()),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
    };
    let mut lines = format!("{}\r\n", COLUMNS.join(","));
    for call in calls {
        let cells: Vec<String> = COLUMNS.iter().map(|column| cell(at(call, column))).collect();
        lines.push_str(&cells.join(","));
        lines.push_str("\r\n");
    }
    lines
}

/// A call, as kept; where the database has nothing yet, as it stands.
#[utoipa::path(get, path = "/v1/calls/{id}", tag = "calls", security(("key" = [])),
    params(("id" = String, Path, description = "The call's id")), responses(
    (status = 200, description = "Its record; while it goes on, how it stands", body = Object)))]
pub(crate) async fn one(
    State(context): State<Shared>,
    caller: Caller,
    Id(id): Id,
) -> Result<axum::Json<Value>, Problem> {
    caller.need(Scope::Read)?;
    found(&context, &caller, &id).await.map(axum::Json)
}

/// A call as it stands; where it is over, its record, be it in the database yet or not.
pub(super) async fn found(context: &Context, caller: &Caller, id: &str) -> Result<Value, Problem> {
    if let Ok(call) = context.standing(caller, id).await {
        return Ok(json!(LiveCall::new(call, context.now_ms())));
    }
    let sees = |event: &Event| caller.sees(context, event.parties.each_ref().map(|party| &**party));
    if let Some(event) = context.ended(id).await?.filter(|event| sees(event)) {
        let mut event: Value = serde_json::from_str(&event.line).unwrap_or_default();
        return Ok(event["data"].take());
    }
    kept(context, caller, id).await
}

async fn kept(context: &Context, caller: &Caller, id: &str) -> Result<Value, Problem> {
    let found = context.store().await?.call(id).await.map_err(|error| problem::database(&error))?;
    let found = found.filter(|call| caller.sees(context, [&call.parties[0], &call.parties[1]]));
    found.map(|call| call.document).ok_or_else(|| Problem::no_such("call"))
}

/// What happened to a call, in order. Where there is more, `X-Next-Cursor` is the `after` of the next page.
#[utoipa::path(get, path = "/v1/calls/{id}/events", tag = "calls", security(("key" = [])),
    params(("id" = String, Path, description = "The call's id"), page::Since), responses(
    (status = 200, description = "Its events", body = [Told], headers(
        ("X-Next-Cursor" = u64, description = "The `after` of the next page; absent: this was the last")))))]
pub(crate) async fn events(
    State(context): State<Shared>,
    caller: Caller,
    Id(id): Id,
    Params(since): Params<page::Since>,
) -> Result<Response, Problem> {
    caller.need(Scope::Read)?;
    let (after, limit) = (since.after()?, since.limit()? as usize);
    // What the database takes between the two questions is there twice, not never.
    let coming = context.coming(&id).await?;
    match coming.last() {
        Some(event) if !caller.sees(&context, event.parties.each_ref().map(|party| &**party)) => {
            return Err(Problem::no_such("call"));
        }
        Some(_) => {}
        None => drop(kept(&context, &caller, &id).await?),
    }
    let read = |line: &str| serde_json::from_str::<Value>(line).ok().map(|event| (event["id"].as_u64(), event));
    let mut events: BTreeMap<_, _> = coming.iter().filter_map(|event| read(&event.line)).collect();
    if events.values().next().is_none_or(|first| first["order"] != 1) {
        let lines = context.store().await?.events_of(&id, after, limit + 1).await;
        let lines = lines.map_err(|error| problem::database(&error))?;
        events.extend(lines.iter().filter_map(|line| read(line)));
    }
    events.retain(|id, _| id.is_some_and(|id| id > after));
    let more = events.len() > limit;
    let events: Vec<(Option<u64>, Value)> = events.into_iter().take(limit).collect();
    let last = events.last().and_then(|(id, _)| *id).filter(|_| more);
    let mut response = axum::Json(events.into_iter().map(|(_, event)| event).collect::<Vec<_>>()).into_response();
    if let Some(last) = last {
        response.headers_mut().insert(page::NEXT, last.into());
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_a_line_a_call_and_no_formulas() {
        let call = json!({"id": "1-1", "from": "=cmd()", "to": "+491234", "error": "say \"x\",\nthen", "code": 200,
            "flow_version": "7", "path": ["a.lua:1 answer", "a.lua:2 play"], "total_seconds": 1.5, "recordings": ["x.wav"],
            "quality": {"mos": 4.1}, "vars": {"k": "v"}, "partners": ["1-2", "1-3"],
            "runs": [{"script": "a.lua", "version": "7", "end": "replaced"}, {"script": "b.lua", "version": null}]});
        let text = csv(&[call]);
        let (head, line) = text.split_once("\r\n").unwrap();
        assert!(head.starts_with("id,parent,direction"));
        assert_eq!(
            line,
            "\"1-1\",,,\"'=cmd()\",\"+491234\",,,,,,,,200,,,\"7\",\"a.lua:1 answer; a.lua:2 play\",,\"say \"\"x\"\",\nthen\",,1.5,,,\"x.wav\",4.1,,,,\"{\"\"k\"\":\"\"v\"\"}\",\"1-2; 1-3\",,,\"a.lua 7 replaced; b.lua\"\r\n"
        );
    }
}
