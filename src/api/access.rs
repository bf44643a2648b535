//! Who asks: keys and their scopes.

use axum::{
    Json,
    extract::{FromRequestParts, Path, State},
    http::{StatusCode, header, request::Parts},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    Context, Shared,
    problem::{self, Body, Problem},
};
use crate::store::{Key, Scope};

/// A caller of the API who showed a good key.
pub(crate) struct Caller(pub Key);

impl FromRequestParts<Shared> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, context: &Shared) -> Result<Caller, Problem> {
        let shown = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let secret = shown.and_then(|value| {
            let (scheme, secret) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then_some(secret.trim())
        });
        let refused = |detail| Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", "No access", detail);
        let secret = secret.ok_or_else(|| refused("a key is wanted: Authorization: Bearer swh_..."))?;
        let found = context.store().await?.find_key(secret).await.map_err(|error| problem::database(&error))?;
        found.map(Caller).ok_or_else(|| refused("this key is not known"))
    }
}

impl Caller {
    /// Refuse keys that do not go so far.
    pub fn need(&self, scope: Scope) -> Result<(), Problem> {
        if self.0.scope >= scope {
            return Ok(());
        }
        let detail = format!("the key's scope is {}; needed: {}", self.0.scope.as_str(), scope.as_str());
        Err(Problem::new(StatusCode::FORBIDDEN, "forbidden", "The key does not go so far", detail))
    }

    /// As [`Caller::need`], for what concerns all numbers.
    pub fn need_everywhere(&self, scope: Scope) -> Result<(), Problem> {
        self.need(scope)?;
        if self.0.numbers.is_empty() {
            return Ok(());
        }
        let (title, detail) = ("The key does not go so far", "the key is for some numbers only");
        Err(Problem::new(StatusCode::FORBIDDEN, "forbidden", title, detail))
    }

    /// Remember what was done.
    pub async fn note(&self, context: &Context, what: &str, about: &str) {
        let noted = match context.store().await {
            Ok(store) => store.note(context.now_ms(), &self.0.id, what, about).await.map_err(|e| problem::database(&e)),
            Err(problem) => Err(problem),
        };
        if noted.is_err() {
            tracing::warn!(key = self.0.id, what, about, "done by a key of the API; the audit log did not take it");
        }
    }
}

/// A key, without its secret.
#[derive(Serialize, ToSchema)]
pub(crate) struct KeyView {
    /// By which it is named.
    id: String,
    /// What it is for.
    name: String,
    /// `read`, `call` or `admin`; each includes those before it.
    scope: &'static str,
    /// The numbers whose calls it sees and makes; empty: all.
    numbers: Vec<String>,
    /// The secret; only in the answer that makes the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
}

fn view(key: Key, secret: Option<String>) -> KeyView {
    KeyView { id: key.id, name: key.name, scope: key.scope.as_str(), numbers: key.numbers, secret }
}

/// A key to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewKey {
    /// What it is for, 1 to 100 characters.
    #[schema(min_length = 1, max_length = 100)]
    name: String,
    /// `read`, `call` or `admin`.
    #[schema(pattern = "^(read|call|admin)$")]
    scope: String,
    /// The numbers whose calls it may see and make; empty: all.
    #[serde(default)]
    numbers: Vec<String>,
}

/// All keys.
#[utoipa::path(get, path = "/v1/keys", tag = "keys", security(("key" = [])), responses(
    (status = 200, description = "All keys, without their secrets", body = [KeyView]),
    (status = 401, body = Problem), (status = 403, body = Problem), (status = 503, body = Problem)))]
pub(crate) async fn list(State(context): State<Shared>, caller: Caller) -> Result<Json<Vec<KeyView>>, Problem> {
    caller.need_everywhere(Scope::Admin)?;
    let keys = context.store().await?.keys().await.map_err(|error| problem::database(&error))?;
    Ok(Json(keys.into_iter().map(|key| view(key, None)).collect()))
}

/// Make a key.
#[utoipa::path(post, path = "/v1/keys", tag = "keys", security(("key" = [])), request_body = NewKey, responses(
    (status = 201, description = "The key, with its secret, which is shown this once", body = KeyView),
    (status = 400, body = Problem), (status = 401, body = Problem), (status = 403, body = Problem),
    (status = 413, body = Problem), (status = 503, body = Problem)))]
pub(crate) async fn make(
    State(context): State<Shared>,
    caller: Caller,
    Body(new): Body<NewKey>,
) -> Result<(StatusCode, Json<KeyView>), Problem> {
    caller.need_everywhere(Scope::Admin)?;
    let scope: Scope = new.scope.parse().map_err(|allowed| Problem::field("scope", format!("allowed: {allowed}")))?;
    let plain = |text: &str| !text.is_empty() && text.chars().count() <= 100 && !text.contains(char::is_control);
    if !plain(&new.name) {
        return Err(Problem::field("name", "allowed: 1 to 100 characters"));
    }
    if new.numbers.len() > 100 || !new.numbers.iter().all(|number| plain(number) && !number.contains(',')) {
        return Err(Problem::field("numbers", "allowed: up to 100 numbers"));
    }
    let made = context.store().await?.make_key(&new.name, scope, &new.numbers, context.now_ms()).await;
    let (key, secret) = made.map_err(|error| problem::database(&error))?;
    caller.note(&context, "key.make", &key.id).await;
    Ok((StatusCode::CREATED, Json(view(key, Some(secret)))))
}

/// Forget a key.
#[utoipa::path(delete, path = "/v1/keys/{id}", tag = "keys", security(("key" = [])),
    params(("id" = String, Path, description = "The key's id")), responses(
    (status = 204, description = "It opens nothing any more"),
    (status = 401, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem),
    (status = 503, body = Problem)))]
pub(crate) async fn remove(
    State(context): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    caller.need_everywhere(Scope::Admin)?;
    let removed = context.store().await?.remove_key(&id).await.map_err(|error| problem::database(&error))?;
    if !removed {
        return Err(Problem::no_such("key"));
    }
    caller.note(&context, "key.remove", &id).await;
    Ok(StatusCode::NO_CONTENT)
}
