//! Sessions: people log in with a name and a password, and show the token that they get, or the cookie.

use std::net::IpAddr;

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{AppendHeaders, IntoResponse},
};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use utoipa::ToSchema;

use super::{
    Context, Shared,
    access::{COOKIE, Caller, Shown, Whence, plain, shown},
    limit::Knock,
    problem::{self, Body, Problem},
};
use crate::store::{Password, Person};

/// Who wants in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Login {
    /// The name.
    #[schema(min_length = 1, max_length = 64)]
    user: String,
    /// The password.
    #[schema(min_length = 1, max_length = 200)]
    password: String,
}

/// A session that was begun.
#[derive(Serialize, ToSchema)]
pub(crate) struct Session {
    /// To be shown as a key is: `Authorization: Bearer ...`. The cookie holds the same.
    token: String,
    /// When it is over, in ms since 1970.
    expires_ms: i64,
    /// Whose it is.
    #[serde(flatten)]
    who: Who,
}

/// Who asks.
#[derive(Serialize, ToSchema)]
pub(crate) struct Who {
    /// The id of a key, or `user:` and a name.
    id: String,
    /// The name.
    name: String,
    /// `read`, `call` or `admin`; each includes those before it.
    scope: &'static str,
    /// The numbers whose calls it sees and makes; empty: all.
    numbers: Vec<String>,
}

fn who(key: &crate::store::Key) -> Who {
    Who { id: key.id.clone(), name: key.name.clone(), scope: key.scope.as_str(), numbers: key.numbers.clone() }
}

/// The same for a name that nobody has and for a wrong password.
fn wrong() -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", "No access", "the name or the password is wrong")
}

impl Context {
    /// Somebody there tries to log in by this name: not too often.
    async fn knock_to_log_in(&self, from: IpAddr, name: &str) -> Result<(), Problem> {
        let (answer, wait) = oneshot::channel();
        self.door.send(Knock::Login(from, name.to_owned(), answer)).await.map_err(|_| Problem::gone())?;
        wait.await.map_err(|_| Problem::gone())?.map_or(Ok(()), |wait| Err(Problem::too_often(wait)))
    }

    async fn prove(&self, login: Login) -> Result<Person, Problem> {
        let store = self.store().await?;
        let found = store.person(&login.user).await.map_err(|error| problem::database(&error))?;
        let (person, password) = found.map_or_else(|| (None, Password::nobodys()), |(person, pw)| (Some(person), pw));
        let is = tokio::task::spawn_blocking(move || password.is(&login.password));
        match (person, is.await.map_err(|_| Problem::gone())?) {
            (Some(person), true) => Ok(person),
            (Some(person), false) => {
                tracing::warn!(user = person.name, "a wrong password was shown to the API");
                Caller(person.key()).note(self, "session.refused", "").await;
                Err(wrong())
            }
            // Names that strangers make up fill no log.
            (None, _) => Err(wrong()),
        }
    }
}

/// Log in.
///
/// The answer sets the cookie `switchhook`, too, for pages in a browser.
#[utoipa::path(post, path = "/v1/session", tag = "access", request_body = Login, responses(
    (status = 201, description = "A session", body = Session), (status = 400, body = Problem),
    (status = 401, description = "The name or the password is wrong", body = Problem),
    (status = 413, body = Problem), (status = 429, description = "Too many tries", body = Problem),
    (status = 503, body = Problem)))]
pub(crate) async fn begin(
    State(context): State<Shared>,
    Whence(from): Whence,
    Body(login): Body<Login>,
) -> Result<impl IntoResponse, Problem> {
    if !plain(&login.user, 64) || login.password.chars().count() > 200 {
        return Err(wrong());
    }
    context.knock_to_log_in(from, &login.user).await?;
    let person = context.prove(login).await?;
    let now = context.now_ms();
    let store = context.store().await?;
    let length = context.config.session;
    let expires_ms = now.saturating_add(i64::try_from(length.as_millis()).unwrap_or(i64::MAX));
    let token = store.begin_session(&person.name, now, expires_ms).await.map_err(|error| problem::database(&error))?;
    let key = person.key();
    Caller(key.clone()).note(&context, "session.begin", "").await;
    let secure = if context.config.tls.is_some() { "; Secure" } else { "" };
    let age = length.as_secs();
    let cookie = format!("{COOKIE}={token}; Path=/; HttpOnly; SameSite=Strict; Max-Age={age}{secure}");
    let session = Session { token, expires_ms, who: who(&key) };
    Ok((StatusCode::CREATED, AppendHeaders([(header::SET_COOKIE, cookie)]), Json(session)))
}

/// Who asks?
#[utoipa::path(get, path = "/v1/session", tag = "access", security(("key" = [])), responses(
    (status = 200, description = "Whose key or session it is", body = Who)))]
pub(crate) async fn look(caller: Caller) -> Json<Who> {
    Json(who(&caller.0))
}

/// Log out. A key stays what it is.
#[utoipa::path(delete, path = "/v1/session", tag = "access", security(("key" = [])), responses(
    (status = 204, description = "The session is over"),
    (status = 409, description = "It was a key that was shown", body = Problem)))]
pub(crate) async fn end(
    State(context): State<Shared>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<impl IntoResponse, Problem> {
    let token = match shown(&headers) {
        Some(Shown::Session(token) | Shown::Cookie(token)) => token,
        Some(Shown::Key(_)) | None => return Err(Problem::conflict("no_session", "a key is no session")),
    };
    context.store().await?.end_session(token).await.map_err(|error| problem::database(&error))?;
    context.forget(&caller.0.id).await?;
    caller.note(&context, "session.end", "").await;
    let cookie = format!("{COOKIE}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0");
    Ok((StatusCode::NO_CONTENT, AppendHeaders([(header::SET_COOKIE, cookie)])))
}
