//! Who asks: keys and sessions, and their scopes.

#![allow(unused_qualifications, reason = "of what utoipa makes out of the parameters")]

use std::{convert::Infallible, net::IpAddr, time::Duration};

use axum::{
    Json,
    extract::{ConnectInfo, FromRequestParts, State},
    http::{HeaderMap, StatusCode, header, request::Parts},
    response::Response,
};
use serde::{Deserialize, Serialize};
use tokio::{sync::oneshot, time::timeout};
use utoipa::ToSchema;

use super::{
    Context, Shared,
    limit::Knock,
    listen::Peer,
    memory::{Granted, Known, Mark, Recall},
    page::Part,
    problem::{self, Body, Id, Params, Problem},
};
use crate::store::{Key, Person, Scope};

/// The name of the cookie that holds a session.
pub(super) const COOKIE: &str = "switchhook";

/// A database that does not say whose a key is within this time is away.
const PATIENCE: Duration = Duration::from_secs(2);

/// A caller of the API who showed a good key, or a session.
pub(crate) struct Caller(pub Key);

/// A caller, and what they showed, which is looked at again for as long as a door stays open.
pub(crate) struct Pass {
    /// Who it is.
    pub(super) caller: Caller,
    /// What they showed.
    pub(super) proof: Proof,
    /// When their session is over, in ms since 1970; none: it is a key.
    pub(super) until_ms: Option<i64>,
}

/// What was shown, without the secret.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Proof {
    /// The secret of a key.
    Key(Mark),
    /// The token of a session.
    Session(Mark),
}

/// What somebody shows.
pub(super) enum Shown<'a> {
    /// The secret of a key.
    Key(&'a str),
    /// The token of a session.
    Session(&'a str),
    /// The token of a session, in a cookie: the browser shows it by itself.
    Cookie(&'a str),
}

/// What is shown, if anything.
pub(super) fn shown(headers: &HeaderMap) -> Option<Shown<'_>> {
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        let (scheme, secret) = value.to_str().ok()?.split_once(' ')?;
        let secret = scheme.eq_ignore_ascii_case("bearer").then_some(secret.trim())?;
        return Some(if secret.starts_with("sws_") { Shown::Session(secret) } else { Shown::Key(secret) });
    }
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut cookies = cookies.flat_map(|value| value.split(';')).filter_map(|one| one.trim().split_once('='));
    cookies.find(|(name, _)| *name == COOKIE).map(|(_, token)| Shown::Cookie(token))
}

/// False where a page of somebody else's makes the browser ask: what it asks comes with our cookie all the same.
fn is_own_page(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let Some(origin) = text(header::ORIGIN) else { return true };
    origin.split_once("://").map(|(_, host)| host) == text(header::HOST)
}

impl FromRequestParts<Shared> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, context: &Shared) -> Result<Caller, Problem> {
        Pass::from_request_parts(parts, context).await.map(|pass| pass.caller)
    }
}

/// The address that somebody asks from.
pub(super) struct Whence(pub IpAddr);

impl Whence {
    fn of(parts: &Parts) -> Whence {
        let ConnectInfo(Peer(from)) = parts.extensions.get().expect("each connection says from where it is");
        Whence(from.ip())
    }
}

impl FromRequestParts<Shared> for Whence {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &Shared) -> Result<Whence, Infallible> {
        Ok(Whence::of(parts))
    }
}

impl FromRequestParts<Shared> for Pass {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, context: &Shared) -> Result<Pass, Problem> {
        let refused = |detail| Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", "No access", detail);
        let shown = shown(&parts.headers);
        let shown = shown.ok_or_else(|| refused("a key is wanted: Authorization: Bearer swh_..., or a session"))?;
        if matches!(shown, Shown::Cookie(_)) && !is_own_page(&parts.headers) {
            return Err(refused("another site's page asks"));
        }
        let Whence(from) = Whence::of(parts);
        let proof = shown.proof();
        let granted = context.whose(&proof, from).await?;
        let Granted { key, until_ms } = granted.ok_or_else(|| refused("this key or session is not known"))?;
        context.knock(&key.id).await?;
        Ok(Pass { caller: Caller(key), proof, until_ms })
    }
}

impl Shown<'_> {
    fn proof(&self) -> Proof {
        match self {
            Shown::Key(secret) => Proof::Key(Mark::of(secret)),
            Shown::Session(token) | Shown::Cookie(token) => Proof::Session(Mark::of(token)),
        }
    }
}

impl Proof {
    fn mark(&self) -> &Mark {
        match self {
            Proof::Key(mark) | Proof::Session(mark) => mark,
        }
    }
}

impl Context {
    /// Whose it is; none: nobody's. While the database does not answer, those whom it knew lately are known.
    async fn whose(&self, proof: &Proof, from: IpAddr) -> Result<Option<Granted>, Problem> {
        let mark = proof.mark();
        let remembered = match self.recall(mark.clone(), from).await? {
            Known::TooOften(wait) => return Err(Problem::too_often(wait)),
            Known::Away(granted) => return granted.map(Some).ok_or_else(problem::away),
            Known::Ask(granted) => granted,
        };
        match self.look_up(proof).await {
            Ok(granted) => {
                self.remember(Recall::Is(mark.clone(), from, granted.clone())).await?;
                Ok(granted)
            }
            Err(error) => {
                self.remember(Recall::Away).await?;
                remembered.map(Some).ok_or_else(|| error.as_ref().map_or_else(problem::away, problem::database))
            }
        }
    }

    /// Whose the database says it is; none: nobody's. An error, and none where it took too long: it is away.
    pub(super) async fn look_up(&self, proof: &Proof) -> Result<Option<Granted>, Option<sqlx::Error>> {
        let look = async {
            let store = self.opened().await?;
            match proof {
                Proof::Key(Mark(hash)) => {
                    store.find_key(hash).await.map(|key| key.map(|key| Granted { key, until_ms: None }))
                }
                Proof::Session(Mark(hash)) => {
                    let found = store.find_session(hash, self.now_ms()).await;
                    let granted = |(person, until): (Person, i64)| Granted { key: person.key(), until_ms: Some(until) };
                    found.map(|found| found.map(granted))
                }
            }
        };
        timeout(PATIENCE, look).await.map_or(Err(None), |looked| looked.map_err(Some))
    }

    /// Who has this key comes: not too often.
    async fn knock(&self, id: &str) -> Result<(), Problem> {
        if self.config.requests_per_s == 0 {
            return Ok(());
        }
        let (answer, wait) = oneshot::channel();
        self.door.send(Knock::Key(id.to_owned(), answer)).await.map_err(|_| Problem::gone())?;
        wait.await.map_err(|_| Problem::gone())?.map_or(Ok(()), |wait| Err(Problem::too_often(wait)))
    }
}

/// Neither empty nor too long, and without control characters.
pub(super) fn plain(text: &str, most: usize) -> bool {
    !text.is_empty() && text.chars().count() <= most && !text.contains(char::is_control)
}

/// Numbers that a key or a person is for.
pub(super) fn checked_numbers(numbers: &[String]) -> Result<(), Problem> {
    if numbers.len() > 100 || !numbers.iter().all(|number| plain(number, 100) && !number.contains(',')) {
        return Err(Problem::field("numbers", "allowed: up to 100 numbers"));
    }
    Ok(())
}

impl Caller {
    /// Does the key see calls between these two?
    pub fn sees(&self, context: &Context, parties: [&str; 2]) -> bool {
        self.0.sees(&context.config.dialling, parties)
    }

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
    #[schema(max_items = 100)]
    numbers: Vec<String>,
}

/// All keys.
#[utoipa::path(get, path = "/v1/keys", tag = "access", security(("key" = [])), params(Part), responses(
    (status = 200, description = "All keys by their names, without their secrets", body = [KeyView], headers(
        ("X-Next-Cursor" = String, description = "The `cursor` of the next part; absent: this was the last")))))]
pub(crate) async fn list(
    State(context): State<Shared>,
    caller: Caller,
    Params(part): Params<Part>,
) -> Result<Response, Problem> {
    caller.need_everywhere(Scope::Admin)?;
    let keys = context.store().await?.keys().await.map_err(|error| problem::database(&error))?;
    part.of(keys.into_iter().map(|key| (format!("{} {}", key.name, key.id), view(key, None))).collect())
}

/// Make a key.
#[utoipa::path(post, path = "/v1/keys", tag = "access", security(("key" = [])), request_body = NewKey, responses(
    (status = 201, description = "The key, with its secret, which is shown this once", body = KeyView)))]
pub(crate) async fn make(
    State(context): State<Shared>,
    caller: Caller,
    Body(new): Body<NewKey>,
) -> Result<(StatusCode, Json<KeyView>), Problem> {
    caller.need_everywhere(Scope::Admin)?;
    let scope: Scope = new.scope.parse().map_err(|allowed| Problem::field("scope", format!("allowed: {allowed}")))?;
    if !plain(&new.name, 100) {
        return Err(Problem::field("name", "allowed: 1 to 100 characters"));
    }
    checked_numbers(&new.numbers)?;
    let made = context.store().await?.make_key(&new.name, scope, &new.numbers, context.now_ms()).await;
    let (key, secret) = made.map_err(|error| problem::database(&error))?;
    caller.note(&context, "key.make", &key.id).await;
    Ok((StatusCode::CREATED, Json(view(key, Some(secret)))))
}

/// Forget a key.
#[utoipa::path(delete, path = "/v1/keys/{id}", tag = "access", security(("key" = [])),
    params(("id" = String, Path, description = "The key's id")), responses(
    (status = 204, description = "It opens nothing any more")))]
pub(crate) async fn remove(State(context): State<Shared>, caller: Caller, Id(id): Id) -> Result<StatusCode, Problem> {
    caller.need_everywhere(Scope::Admin)?;
    let removed = context.store().await?.remove_key(&id).await.map_err(|error| problem::database(&error))?;
    if !removed {
        return Err(Problem::no_such("key"));
    }
    context.forget(&id).await?;
    caller.note(&context, "key.remove", &id).await;
    Ok(StatusCode::NO_CONTENT)
}
