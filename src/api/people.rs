//! People who log in: made, changed and removed by administrators.

#![allow(unused_qualifications, reason = "of what utoipa makes out of the parameters")]

use axum::{Json, extract::State, http::StatusCode, response::Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    Shared,
    access::{Caller, checked_numbers, plain},
    page::Part,
    problem::{self, Body, Id, Params, Problem},
};
use crate::store::{Password, Person, Scope};

/// Shortest password, in characters (NIST SP 800-63B section 5.1.1.2).
const SHORTEST: usize = 8;

/// Somebody who may log in.
#[derive(Serialize, ToSchema)]
pub(crate) struct User {
    /// By which they log in.
    name: String,
    /// `read`, `call` or `admin`; each includes those before it.
    role: &'static str,
    /// The numbers whose calls they see and make; empty: all.
    numbers: Vec<String>,
}

/// Somebody who is to be let in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewUser {
    /// 1 to 64 letters, digits, `.`, `_`, `-`, `@`.
    #[schema(pattern = "^[A-Za-z0-9._@-]{1,64}$")]
    name: String,
    /// 8 to 200 characters.
    #[schema(min_length = 8, max_length = 200)]
    password: String,
    /// `read`, `call` or `admin`.
    #[schema(pattern = "^(read|call|admin)$")]
    role: String,
    /// The numbers whose calls they may see and make; empty: all.
    #[serde(default)]
    #[schema(max_items = 100)]
    numbers: Vec<String>,
}

/// What is to be different.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Change {
    /// `read`, `call` or `admin`; absent: as it is.
    #[serde(default)]
    #[schema(pattern = "^(read|call|admin)$")]
    role: Option<String>,
    /// The numbers whose calls they may see and make; absent: as they are.
    #[serde(default)]
    #[schema(max_items = 100)]
    numbers: Option<Vec<String>>,
    /// Another password, 8 to 200 characters, which ends all sessions; absent: as it is.
    #[serde(default)]
    #[schema(min_length = 8, max_length = 200)]
    password: Option<String>,
}

fn user(person: Person) -> User {
    User { name: person.name, role: person.role.as_str(), numbers: person.numbers }
}

fn role(text: &str) -> Result<Scope, Problem> {
    text.parse().map_err(|allowed| Problem::field("role", format!("allowed: {allowed}")))
}

pub(super) fn checked_password(text: &str) -> Result<(), Problem> {
    let length = text.chars().count();
    if (SHORTEST..=200).contains(&length) {
        Ok(())
    } else {
        Err(Problem::field("password", "allowed: 8 to 200 characters"))
    }
}

/// Hash a password, beside everything else: it takes its time.
pub(super) async fn hashed(plain: String) -> Result<Password, Problem> {
    tokio::task::spawn_blocking(move || Password::new(&plain)).await.map_err(|_| Problem::gone())
}

/// Everybody who may log in.
#[utoipa::path(get, path = "/v1/users", tag = "access", security(("key" = [])), params(Part), responses(
    (status = 200, description = "Everybody, by name", body = [User], headers(
        ("X-Next-Cursor" = String, description = "The `cursor` of the next part; absent: this was the last")))))]
pub(crate) async fn list(
    State(context): State<Shared>,
    caller: Caller,
    Params(part): Params<Part>,
) -> Result<Response, Problem> {
    caller.need_everywhere(Scope::Admin)?;
    let people = context.store().await?.people().await.map_err(|error| problem::database(&error))?;
    part.of(people.into_iter().map(|person| (person.name.clone(), user(person))).collect())
}

/// Let somebody log in.
#[utoipa::path(post, path = "/v1/users", tag = "access", security(("key" = [])), request_body = NewUser, responses(
    (status = 201, description = "They may log in", body = User),
    (status = 409, description = "Somebody of this name is there", body = Problem)))]
pub(crate) async fn make(
    State(context): State<Shared>,
    caller: Caller,
    Body(new): Body<NewUser>,
) -> Result<(StatusCode, Json<User>), Problem> {
    caller.need_everywhere(Scope::Admin)?;
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '@');
    if !plain(&new.name, 64) || !new.name.chars().all(fits) {
        return Err(Problem::field("name", "allowed: 1 to 64 letters, digits, . _ - @"));
    }
    checked_password(&new.password)?;
    checked_numbers(&new.numbers)?;
    let person = Person { role: role(&new.role)?, name: new.name, numbers: new.numbers };
    let password = hashed(new.password).await?;
    let added = context.store().await?.add_person(&person, &password, context.now_ms()).await;
    if !added.map_err(|error| problem::database(&error))? {
        return Err(Problem::conflict("there", "somebody of this name is there"));
    }
    caller.note(&context, "user.make", &person.name).await;
    Ok((StatusCode::CREATED, Json(user(person))))
}

/// Give somebody another role, other numbers or another password. Everybody may change their own password.
#[utoipa::path(patch, path = "/v1/users/{id}", tag = "access", security(("key" = [])), request_body = Change,
    params(("id" = String, Path, description = "The name")), responses(
    (status = 200, description = "It holds at once, in open sessions, too", body = User)))]
pub(crate) async fn change(
    State(context): State<Shared>,
    caller: Caller,
    Id(name): Id,
    Body(change): Body<Change>,
) -> Result<Json<User>, Problem> {
    let own = caller.0.id == format!("user:{name}") && change.role.is_none() && change.numbers.is_none();
    if !own {
        caller.need_everywhere(Scope::Admin)?;
    }
    change.password.as_deref().map_or(Ok(()), checked_password)?;
    change.numbers.as_deref().map_or(Ok(()), checked_numbers)?;
    let store = context.store().await?;
    let found = store.person(&name).await.map_err(|error| problem::database(&error))?;
    let (before, _) = found.ok_or_else(|| Problem::no_such("user"))?;
    let role = change.role.as_deref().map_or(Ok(before.role), role)?;
    let person = Person { role, numbers: change.numbers.unwrap_or(before.numbers), name: before.name };
    store.change_person(&person).await.map_err(|error| problem::database(&error))?;
    if let Some(password) = change.password {
        let password = hashed(password).await?;
        store.change_password(&name, &password).await.map_err(|error| problem::database(&error))?;
    }
    context.forget(&format!("user:{name}")).await?;
    caller.note(&context, "user.change", &name).await;
    Ok(Json(user(person)))
}

/// Let somebody log in no more; their sessions end.
#[utoipa::path(delete, path = "/v1/users/{id}", tag = "access", security(("key" = [])),
    params(("id" = String, Path, description = "The name")), responses(
    (status = 204, description = "They are out")))]
pub(crate) async fn remove(State(context): State<Shared>, caller: Caller, Id(name): Id) -> Result<StatusCode, Problem> {
    caller.need_everywhere(Scope::Admin)?;
    let removed = context.store().await?.remove_person(&name).await.map_err(|error| problem::database(&error))?;
    if !removed {
        return Err(Problem::no_such("user"));
    }
    context.forget(&format!("user:{name}")).await?;
    caller.note(&context, "user.remove", &name).await;
    Ok(StatusCode::NO_CONTENT)
}
