//! Calls to make.

use std::{collections::BTreeMap, path::Path, time::Duration};

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;
use utoipa::ToSchema;

use super::{
    Config, Context, Shared,
    access::{Caller, plain},
    ask::Order,
    once::{Asked, once},
    problem::{self, Body, Id, Problem},
};
use crate::{
    ids::RequestId,
    store::{Question, Scope},
    switch::{ConsoleReply, Dialling, Originate, Pattern, best},
    verbs::Verb,
};

/// Longest wait for the disk.
const DISK: Duration = Duration::from_secs(1);

/// A call to be made.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewCall {
    /// A `sip:` or `sips:` URI, or a number.
    #[schema(min_length = 1, max_length = 500)]
    to: String,
    /// The number shown to the target.
    #[schema(min_length = 1, max_length = 100)]
    from: String,
    /// The script that the answered call runs; absent: it is steered by the API alone.
    #[serde(default)]
    #[schema(max_length = 200)]
    script: Option<String>,
    /// Variables of the script.
    #[serde(default)]
    vars: BTreeMap<String, String>,
    /// Header fields added to the INVITE, for names that are not the stack's own.
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// How long it may ring, in seconds, 1 to 600; absent: 60.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 600)]
    ring_s: Option<u64>,
    /// It is hung up so long after its answer, in seconds, 1 to 86,400; absent: never.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 86400)]
    limit_s: Option<u64>,
}

/// A call that was begun.
#[derive(Serialize, ToSchema)]
pub(crate) struct Begun {
    /// The call's id.
    pub id: String,
}

/// Numbers of its own are all that a key for some numbers calls from.
fn checked_from(from: &str, caller: &Caller, dialling: &Dialling) -> Result<(), Problem> {
    if !plain(from, 100) {
        return Err(Problem::field("from", "allowed: a number"));
    }
    if !caller.0.numbers.is_empty() && !caller.0.has(dialling, from) {
        let detail = "the key makes calls from its own numbers only";
        let problem = Problem::new(StatusCode::FORBIDDEN, "forbidden", "The key does not go so far", detail);
        return Err(Problem { field: Some("from".into()), ..problem });
    }
    Ok(())
}

fn checked(new: NewCall, caller: &Caller, config: &Config) -> Result<Order, Problem> {
    if !plain(&new.to, 500) {
        return Err(Problem::field("to", "allowed: a sip: or sips: URI, or a number"));
    }
    checked_from(&new.from, caller, &config.dialling)?;
    new.script.as_deref().map_or(Ok(()), |script| checked_script(script, &config.scripts))?;
    let ring = new.ring_s.unwrap_or(60);
    if !(1..=600).contains(&ring) {
        return Err(Problem::field("ring_s", "allowed: 1 to 600"));
    }
    checked_vars(&new.vars)?;
    if new.headers.len() > 50 || new.headers.iter().any(|(name, value)| !plain(name, 100) || !plain(value, 2000)) {
        return Err(Problem::field("headers", "allowed: up to 50, without line breaks"));
    }
    if new.limit_s.is_some_and(|limit| !(1..=86_400).contains(&limit)) {
        return Err(Problem::field("limit_s", "allowed: 1 to 86400"));
    }
    let originate = Originate {
        request: RequestId(0),
        target: new.to,
        from: new.from,
        script: new.script.map(Into::into),
        vars: new.vars.into_iter().collect(),
        headers: new.headers.into_iter().collect(),
        timeout: Duration::from_secs(ring),
    };
    Ok(Order { originate, then: None, limit: new.limit_s.map(Duration::from_secs) })
}

/// Make a call.
///
/// With the header `Idempotency-Key`, the same request makes one call, however often it comes.
#[utoipa::path(post, path = "/v1/calls", tag = "calls", security(("key" = [])), request_body = NewCall,
    params(("Idempotency-Key" = Option<String>, Header, description = "A name for this order, 1 to 200 characters",
        min_length = 1, max_length = 200, pattern = "^[!-~]{1,200}$")),
    responses(
    (status = 201, description = "The call is begun; its events tell how it goes", body = Begun),
    (status = 200, description = "It was begun before, by the same request", body = Begun),
    (status = 409, description = "It cannot be begun, or the name is in use", body = Problem)))]
pub(crate) async fn start(
    State(context): State<Shared>,
    caller: Caller,
    headers: HeaderMap,
    Body(new): Body<NewCall>,
) -> Result<(StatusCode, Json<Begun>), Problem> {
    caller.need(Scope::Call)?;
    let asked = Asked::new("/v1/calls", &headers, &new)?;
    let order = checked(new, &caller, &context.config)?;
    once(&context, caller, asked, order).await
}

/// Begin it. Where its id is known, it is on the disk that it was begun: a server that is killed after that knows of it.
pub(super) async fn begin(context: &Context, caller: &Caller, order: Order) -> Result<String, Problem> {
    let about = order.originate.target.clone();
    match context.originate(order).await? {
        ConsoleReply::Calling { name, .. } => {
            context.kept(&name).await;
            caller.note(context, "call.start", &format!("{name} {about}")).await;
            Ok(name)
        }
        ConsoleReply::Failed { failure, .. } => {
            caller.note_as(context, "call.start", &about, format!("refused: {}", failure.as_str())).await;
            Err(problem::failure(&failure))
        }
        other => unreachable!("{other:?} is no first reply to an order"),
    }
}

impl Context {
    /// Until it is on the disk that this call was begun. A disk that takes nothing is not waited for: the call goes on.
    async fn kept(&self, id: &str) {
        let kept = self.ask_journal(|to| Question::Kept(id.to_owned(), to));
        if !matches!(timeout(DISK, kept).await, Ok(Ok(()))) {
            tracing::warn!(call = id, "it is not on the disk yet that this call was begun");
        }
    }
}

/// Variables of a script.
pub(super) fn checked_vars(vars: &BTreeMap<String, String>) -> Result<(), Problem> {
    if vars.len() > 100 || vars.iter().any(|(name, value)| name.chars().count() > 256 || value.chars().count() > 8192) {
        return Err(Problem::field("vars", "allowed: up to 100, of 8,192 characters each"));
    }
    Ok(())
}

/// A script that can be run.
pub(super) fn checked_script(name: &str, scripts: &Path) -> Result<(), Problem> {
    let below = plain(name, 200) && !name.starts_with('/') && name.split('/').all(|part| part != "..");
    if below && scripts.join(name).is_file() {
        return Ok(());
    }
    Err(Problem::unfit("script", "allowed: a script below the folder of scripts"))
}

/// A call for which the rest is known already.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct QuickCall {
    /// Whom to call: a number, or a `sip:` or `sips:` URI. Either this or `contact`.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 500)]
    to: Option<String>,
    /// Whom to call: the id of a contact, at its first number.
    #[serde(default)]
    #[schema(max_length = 64)]
    contact: Option<String>,
    /// One of our numbers. It is shown to the target, and its flow runs when that answers.
    #[schema(min_length = 1, max_length = 100)]
    from: String,
    /// Variables of the flow, beside those of the contact and its `name`.
    #[serde(default)]
    vars: BTreeMap<String, String>,
}

/// Make a call from one of our numbers, with the flow of that number.
#[utoipa::path(post, path = "/v1/quick-calls", tag = "calls", security(("key" = [])), request_body = QuickCall,
    params(("Idempotency-Key" = Option<String>, Header, description = "A name for this order, 1 to 200 characters",
        min_length = 1, max_length = 200, pattern = "^[!-~]{1,200}$")),
    responses(
    (status = 201, description = "The call is begun; its events tell how it goes", body = Begun),
    (status = 200, description = "It was begun before, by the same request", body = Begun),
    (status = 409, description = "`unpublished`: no flow answers the number; or it cannot be begun", body = Problem)))]
pub(crate) async fn quick(
    State(context): State<Shared>,
    caller: Caller,
    headers: HeaderMap,
    Body(new): Body<QuickCall>,
) -> Result<(StatusCode, Json<Begun>), Problem> {
    caller.need(Scope::Call)?;
    let asked = Asked::new("/v1/quick-calls", &headers, &new)?;
    checked_from(&new.from, &caller, &context.config.dialling)?;
    let mut vars = BTreeMap::new();
    let to = match (new.to, new.contact) {
        (Some(to), None) => to,
        (None, Some(id)) => {
            caller.need_everywhere(Scope::Call)?;
            super::page::word("contact", Some(&id))?;
            let found = context.store().await?.contact(&id).await.map_err(|error| problem::database(&error))?;
            let contact = found.ok_or_else(|| Problem::unfit("contact", "allowed: the id of a contact"))?;
            vars = contact.vars;
            vars.insert("name".into(), contact.name);
            contact.numbers.into_iter().next().ok_or_else(|| Problem::unfit("contact", "it has no number"))?
        }
        _ => return Err(Problem::unfit("to", "allowed: this, or a contact in its place")),
    };
    vars.extend(new.vars);
    let numbers = context.view().await?.numbers;
    let flow = answering(numbers, &new.from);
    let Some(script) = flow.filter(|script| checked_script(script, &context.config.scripts).is_ok()) else {
        let detail = "no flow answers this number, so none can run on the call";
        return Err(Problem { field: Some("from".into()), ..Problem::conflict("unpublished", detail) });
    };
    let (headers, ring_s, limit_s) = (BTreeMap::new(), None, None);
    let new = NewCall { to, from: new.from, script: Some(script), vars, headers, ring_s, limit_s };
    let order = checked(new, &caller, &context.config)?;
    once(&context, caller, asked, order).await
}

/// What answers a number, of the numbers and patterns of the configuration: the same as if it were called.
fn answering(numbers: Vec<(String, String)>, number: &str) -> Option<String> {
    let (patterns, mut scripts): (Vec<_>, Vec<_>) = numbers
        .into_iter()
        .filter_map(|(pattern, script)| Pattern::parse(&pattern).ok().map(|pattern| (pattern, script)))
        .unzip();
    best(patterns.iter(), number).map(|at| scripts.swap_remove(at))
}

/// Who wants to hear a call.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Listener {
    /// Where they are called: a number, or a `sip:` or `sips:` URI.
    #[schema(min_length = 1, max_length = 500)]
    to: String,
    /// The number shown to them.
    #[schema(min_length = 1, max_length = 100)]
    from: String,
    /// True: the party of the call, and nobody else, hears them.
    #[serde(default)]
    whisper: bool,
}

/// Call somebody, who hears this call when they answer; it must be bridged or in a room. Their call ends with it.
#[utoipa::path(post, path = "/v1/calls/{id}/listen", tag = "calls", security(("key" = [])), request_body = Listener,
    params(("id" = String, Path, description = "The call's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "A name for this order, 1 to 200 characters",
        min_length = 1, max_length = 200, pattern = "^[!-~]{1,200}$")),
    responses(
    (status = 201, description = "The listener is being called", body = Begun),
    (status = 200, description = "They were called before, by the same request", body = Begun),
    (status = 409, description = "They cannot be called", body = Problem)))]
pub(crate) async fn listen(
    State(context): State<Shared>,
    caller: Caller,
    Id(id): Id,
    headers: HeaderMap,
    Body(new): Body<Listener>,
) -> Result<(StatusCode, Json<Begun>), Problem> {
    caller.need(Scope::Call)?;
    let asked = Asked::new(&format!("/v1/calls/{id}/listen"), &headers, &new)?;
    let watched = context.live_call(&caller, &id).await?;
    let (vars, headers) = (BTreeMap::new(), BTreeMap::new());
    let call = NewCall { to: new.to, from: new.from, script: None, vars, headers, ring_s: None, limit_s: None };
    let order = checked(call, &caller, &context.config)?;
    let listen = Verb::Listen { call: watched.id.clone(), whisper: new.whisper, stop_on: String::new() };
    let who = Caller(caller.0.clone());
    let done = once(&context, caller, asked, Order { then: Some(listen), ..order }).await;
    who.note_result(&context, "call.listen", &id, &done).await;
    done
}
