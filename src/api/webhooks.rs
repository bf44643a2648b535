//! Webhooks: looked at, made, changed and removed.

#![allow(unused_qualifications, reason = "of what utoipa makes out of the parameters")]

use std::path::Path;

use axum::{Json, extract::State, http::StatusCode, response::Response};
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, watch};
use utoipa::ToSchema;

use super::{
    Context, Shared,
    access::Caller,
    page::Part,
    problem::{self, Body, Id, Params, Problem},
    tellers::Fixed,
    webhook::WebhookConfig,
};
use crate::{
    hooks::Url,
    store::{self, Scope, Store, Told},
};

/// Most webhooks that can be made.
const MOST: usize = 50;
/// Events are counted up to this.
const COUNTED: i64 = 10_000;

/// What joins the API to the thread that tells webhooks.
#[derive(Debug)]
pub struct WebhookEnds {
    /// By which the database knows this server.
    pub node: String,
    /// Those of the configuration.
    pub fixed: watch::Receiver<Fixed>,
    /// Says that there are others now.
    pub changed: mpsc::Sender<()>,
}

/// A web server that is told events.
#[derive(Serialize, ToSchema)]
pub(crate) struct Webhook {
    /// By which it is named.
    name: String,
    /// Where events are posted to, without what is behind a `?`: that may be a secret.
    url: String,
    /// It has a secret, which signs what is posted.
    signed: bool,
    /// The kinds of events that it is told; empty: all.
    kinds: Vec<String>,
    /// Only of calls and messages with one of these numbers; empty: all.
    numbers: Vec<String>,
    /// It stands in the configuration, and cannot be changed here.
    fixed: bool,
    /// The `id` of the last event that it was told, or that is not for it.
    done: i64,
    /// Events that were not looked at yet, those that are not for it included; counted up to 10,000.
    waiting: i64,
    /// When it took some last, in ms since 1970; null: never yet.
    #[schema(required = false)]
    taken_ms: Option<i64>,
    /// Why it takes none; null: it does, as far as anybody knows.
    #[schema(required = false)]
    trouble: Option<String>,
    /// Since when it takes none, in ms since 1970.
    #[schema(required = false)]
    trouble_ms: Option<i64>,
}

/// A webhook to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewWebhook {
    /// 1 to 64 letters, digits, `.`, `_`, `-`.
    #[schema(pattern = "^[A-Za-z0-9._-]{1,64}$")]
    name: String,
    /// Where events are posted to: `http://` or `https://`.
    #[schema(max_length = 2000, pattern = "^https?://[A-Za-z0-9.-]{1,253}(:[0-9]{1,5})?([/?][!-~]*)?$")]
    url: String,
    /// Signs what is posted; empty: nothing does.
    #[serde(default)]
    #[schema(max_length = 200)]
    secret: String,
    /// The kinds of events that it is told, such as `call.ended`, or `call.*`; empty: all.
    #[serde(default)]
    #[schema(max_items = 50)]
    kinds: Vec<String>,
    /// Only of calls and messages with one of these numbers, whichever way they are written; empty: all.
    #[serde(default)]
    #[schema(max_items = 100)]
    numbers: Vec<String>,
    /// True: it begins with the oldest event that is kept; else with what happens from now on.
    #[serde(default)]
    all: bool,
}

/// What is to be different. A webhook goes on from where it was.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OtherWebhook {
    /// Where events are posted to; absent: as it is.
    #[serde(default)]
    #[schema(max_length = 2000, pattern = "^https?://[A-Za-z0-9.-]{1,253}(:[0-9]{1,5})?([/?][!-~]*)?$")]
    url: Option<String>,
    /// Signs what is posted; empty: nothing does; absent: as it is.
    #[serde(default)]
    #[schema(max_length = 200)]
    secret: Option<String>,
    /// The kinds of events that it is told; absent: as they are.
    #[serde(default)]
    #[schema(max_items = 50)]
    kinds: Option<Vec<String>>,
    /// The numbers; absent: as they are.
    #[serde(default)]
    #[schema(max_items = 100)]
    numbers: Option<Vec<String>>,
}

/// Can a webhook be called so?
pub fn is_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    (1..=64).contains(&name.len()) && name.chars().all(fits)
}

/// Is this a kind of events, or the beginning of some with `*` at its end?
pub fn is_kind(kind: &str) -> bool {
    let word = kind.strip_suffix('*').unwrap_or(kind);
    let fits = |c: char| c.is_ascii_lowercase() || matches!(c, '.' | '_');
    !kind.is_empty() && word.len() <= 64 && word.chars().all(fits)
}

fn checked(wish: &store::Webhook) -> Result<(), Problem> {
    if wish.url.len() > 2000 || Url::parse(&wish.url).is_none() {
        return Err(Problem::unfit("url", "allowed: an http:// or https:// address"));
    }
    if wish.secret.chars().count() > 200 || wish.secret.contains('\0') {
        return Err(Problem::field("secret", "allowed: up to 200 characters"));
    }
    if wish.kinds.len() > 50 || !wish.kinds.iter().all(|kind| is_kind(kind)) {
        return Err(Problem::field("kinds", "allowed: up to 50 kinds, such as call.ended or call.*"));
    }
    super::access::checked_numbers(&wish.numbers)
}

/// An address without what may be a secret in it.
fn public(url: &Url) -> String {
    let scheme = if url.secure { "https" } else { "http" };
    let path = url.path.split('?').next().unwrap_or_default();
    format!("{scheme}://{}{path}", url.authority())
}

impl Context {
    /// All webhooks, by name: those of the configuration, and those that were made here.
    async fn webhooks(&self) -> Result<Vec<(WebhookConfig, bool)>, Problem> {
        let made = self.store().await?.webhooks().await.map_err(|error| problem::database(&error))?;
        let fixed = self.webhooks.fixed.borrow().clone();
        let is_fixed = |name: &str| fixed.iter().any(|one| one.name == name);
        let made = made
            .into_iter()
            .filter(|one| !is_fixed(&one.name))
            .filter_map(|one| WebhookConfig::made(one, Path::new("")));
        let mut all: Vec<_> = made.map(|one| (one, false)).collect();
        all.extend(fixed.iter().map(|one| (one.clone(), true)));
        all.sort_by(|(a, _), (b, _)| a.name.cmp(&b.name));
        Ok(all)
    }

    async fn shown(&self, store: &Store, (webhook, fixed): (WebhookConfig, bool)) -> Result<Webhook, Problem> {
        let node = &self.webhooks.node;
        let told = store.told(&webhook.name, node).await.map_err(|error| problem::database(&error))?;
        let waiting = match &told {
            Some(told) => store.count_after(node, told.done, COUNTED).await,
            None => Ok(0),
        };
        let Told { done, taken_ms, trouble, trouble_ms, .. } = told.unwrap_or_default();
        let is_troubled = !trouble.is_empty();
        Ok(Webhook {
            url: public(&webhook.to),
            signed: !webhook.secret.is_empty(),
            name: webhook.name,
            kinds: webhook.kinds,
            numbers: webhook.numbers,
            fixed,
            done,
            waiting: waiting.map_err(|error| problem::database(&error))?,
            taken_ms: (taken_ms > 0).then_some(taken_ms),
            trouble: is_troubled.then_some(trouble),
            trouble_ms: is_troubled.then_some(trouble_ms),
        })
    }

    /// As it is now.
    async fn webhook(&self, name: &str) -> Result<Webhook, Problem> {
        let found = self.webhooks().await?.into_iter().find(|(one, _)| one.name == name);
        let found = found.ok_or_else(|| Problem::no_such("webhook"))?;
        self.shown(self.store().await?, found).await
    }

    /// The one of this name that was made here.
    async fn made_webhook(&self, name: &str) -> Result<store::Webhook, Problem> {
        if self.webhooks.fixed.borrow().iter().any(|one| one.name == name) {
            return Err(Problem::conflict("fixed", "it stands in the configuration"));
        }
        let made = self.store().await?.webhooks().await.map_err(|error| problem::database(&error))?;
        made.into_iter().find(|one| one.name == name).ok_or_else(|| Problem::no_such("webhook"))
    }

    /// False: there is one of this name.
    async fn add_webhook(&self, new: &store::Webhook) -> Result<bool, Problem> {
        self.store().await?.add_webhook(new).await.map_err(|error| problem::database(&error))
    }

    /// There are others now.
    fn webhooks_changed(&self) {
        // Where the thread has not looked since somebody said so, it will.
        let _ = self.webhooks.changed.try_send(());
    }
}

/// Web servers that are told events, and how far each is.
#[utoipa::path(get, path = "/v1/webhooks", tag = "events", security(("key" = [])), params(Part), responses(
    (status = 200, description = "All webhooks, by name", body = [Webhook], headers(
        ("X-Next-Cursor" = String, description = "The `cursor` of the next part; absent: this was the last")))))]
pub(crate) async fn list(
    State(context): State<Shared>,
    caller: Caller,
    Params(part): Params<Part>,
) -> Result<Response, Problem> {
    caller.need_everywhere(Scope::Admin)?;
    let (store, mut all) = (context.store().await?, Vec::new());
    for webhook in context.webhooks().await? {
        all.push((webhook.0.name.clone(), context.shown(store, webhook).await?));
    }
    part.of(all)
}

/// One web server that is told events.
#[utoipa::path(get, path = "/v1/webhooks/{id}", tag = "events", security(("key" = [])),
    params(("id" = String, Path, description = "The name")), responses(
    (status = 200, description = "The webhook", body = Webhook)))]
pub(crate) async fn one(State(context): State<Shared>, caller: Caller, Id(name): Id) -> Result<Json<Webhook>, Problem> {
    caller.need_everywhere(Scope::Admin)?;
    context.webhook(&name).await.map(Json)
}

/// Tell a web server events: JSON arrays of up to 100, by POST, in their order, again until they are taken.
#[utoipa::path(post, path = "/v1/webhooks", tag = "events", security(("key" = [])), request_body = NewWebhook, responses(
    (status = 201, description = "It is told what happens from now on", body = Webhook),
    (status = 409, description = "`there`: there is one of this name; `too_many`: there are 50", body = Problem)))]
pub(crate) async fn make(
    State(context): State<Shared>,
    caller: Caller,
    Body(new): Body<NewWebhook>,
) -> Result<(StatusCode, Json<Webhook>), Problem> {
    caller.need_everywhere(Scope::Admin)?;
    if !is_name(&new.name) {
        return Err(Problem::field("name", "allowed: 1 to 64 letters, digits, . _ -"));
    }
    let NewWebhook { name, url, secret, kinds, numbers, all: whole } = new;
    let wish = store::Webhook { name, url, secret, kinds, numbers, whole, created_ms: context.now_ms() };
    checked(&wish)?;
    let there = context.webhooks().await?;
    let is_there = there.iter().any(|(one, _)| one.name == wish.name);
    if !is_there && there.iter().filter(|(_, fixed)| !fixed).count() >= MOST {
        return Err(Problem::conflict("too_many", format!("there are {MOST} webhooks")));
    }
    let added = !is_there && context.add_webhook(&wish).await?;
    if !added {
        return Err(Problem::conflict("there", "there is a webhook of this name"));
    }
    context.webhooks_changed();
    caller.note(&context, "webhook.make", &wish.name).await;
    Ok((StatusCode::CREATED, Json(context.webhook(&wish.name).await?)))
}

/// Change a webhook; it goes on from where it was.
#[utoipa::path(patch, path = "/v1/webhooks/{id}", tag = "events", security(("key" = [])), request_body = OtherWebhook,
    params(("id" = String, Path, description = "The name")), responses(
    (status = 200, description = "As it is now", body = Webhook),
    (status = 409, description = "`fixed`: it stands in the configuration", body = Problem)))]
pub(crate) async fn change(
    State(context): State<Shared>,
    caller: Caller,
    Id(name): Id,
    Body(other): Body<OtherWebhook>,
) -> Result<Json<Webhook>, Problem> {
    caller.need_everywhere(Scope::Admin)?;
    let is = context.made_webhook(&name).await?;
    let OtherWebhook { url, secret, kinds, numbers } = other;
    let wish = store::Webhook {
        url: url.unwrap_or(is.url),
        secret: secret.unwrap_or(is.secret),
        kinds: kinds.unwrap_or(is.kinds),
        numbers: numbers.unwrap_or(is.numbers),
        ..is
    };
    checked(&wish)?;
    let changed = context.store().await?.change_webhook(&wish).await.map_err(|error| problem::database(&error))?;
    if !changed {
        return Err(Problem::no_such("webhook"));
    }
    context.webhooks_changed();
    caller.note(&context, "webhook.change", &name).await;
    context.webhook(&name).await.map(Json)
}

/// Tell a web server nothing any more.
#[utoipa::path(delete, path = "/v1/webhooks/{id}", tag = "events", security(("key" = [])),
    params(("id" = String, Path, description = "The name")), responses(
    (status = 204, description = "It is forgotten, and how far it was"),
    (status = 409, description = "`fixed`: it stands in the configuration", body = Problem)))]
pub(crate) async fn remove(State(context): State<Shared>, caller: Caller, Id(name): Id) -> Result<StatusCode, Problem> {
    caller.need_everywhere(Scope::Admin)?;
    context.made_webhook(&name).await?;
    let removed = context.store().await?.remove_webhook(&name).await.map_err(|error| problem::database(&error))?;
    if !removed {
        return Err(Problem::no_such("webhook"));
    }
    context.webhooks_changed();
    caller.note(&context, "webhook.remove", &name).await;
    Ok(StatusCode::NO_CONTENT)
}
