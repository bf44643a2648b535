//! Contacts: looked at, made, changed and forgotten.

#![allow(unused_qualifications, reason = "of what utoipa makes out of the parameters")]

use std::collections::BTreeMap;

use axum::{Json, extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    Shared,
    access::{Caller, plain},
    calls::Calls,
    page,
    problem::{self, Body, Id, Params, Problem},
};
use crate::store::{self, CallFilter, ContactFilter, Scope};

/// Which contacts.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Wanted {
    /// With this number, whichever way it is written.
    #[param(max_length = 200, pattern = "^[^\\x00]*$")]
    number: Option<String>,
    /// With this in the name, in capital or small letters.
    #[param(max_length = 200, pattern = "^[^\\x00]*$")]
    text: Option<String>,
    /// At most so many, 1 to 500; else 50.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
    /// The `next` of the page before.
    #[param(pattern = "^[0-9]{1,15}_[0-9A-Za-z.-]{0,64}$")]
    cursor: Option<String>,
}

/// A contact.
#[derive(Serialize, ToSchema)]
pub(crate) struct Contact {
    /// By which it is named.
    id: String,
    /// Whose it is.
    name: String,
    /// Its numbers, the best first; without spaces.
    numbers: Vec<String>,
    /// What is known.
    notes: String,
    /// Values for flows, by name.
    vars: BTreeMap<String, String>,
    /// When it was made, in ms since 1970.
    created_ms: i64,
    /// When it was changed last, in ms since 1970.
    changed_ms: i64,
}

/// Some contacts, the newest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct Contacts {
    /// The contacts.
    contacts: Vec<Contact>,
    /// The `cursor` of the next page; null: this was the last.
    #[schema(required = false)]
    next: Option<String>,
}

/// A contact as it is to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewContact {
    /// Whose it is, 1 to 200 characters.
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    /// Its numbers, the best first; at most 20. Spaces in them are dropped.
    #[serde(default)]
    #[schema(max_items = 20)]
    numbers: Vec<String>,
    /// What is known, at most 10,000 characters.
    #[serde(default)]
    #[schema(max_length = 10000)]
    notes: String,
    /// Values for flows, by name.
    #[serde(default)]
    vars: BTreeMap<String, String>,
}

fn shown(contact: store::Contact) -> Contact {
    let store::Contact { id, name, numbers, notes, vars, created_ms, changed_ms } = contact;
    Contact { id, name, numbers, notes, vars, created_ms, changed_ms }
}

fn checked(new: NewContact) -> Result<store::Contact, Problem> {
    if !plain(&new.name, 200) {
        return Err(Problem::field("name", "allowed: 1 to 200 characters"));
    }
    let compact = |number: &String| number.chars().filter(|c| !c.is_whitespace()).collect::<String>();
    let numbers: Vec<String> = new.numbers.iter().map(compact).collect();
    let fit = |number: &String| plain(number, 200);
    if numbers.len() > 20 || !numbers.iter().all(fit) || !new.numbers.iter().all(fit) {
        return Err(Problem::field("numbers", "allowed: up to 20 numbers"));
    }
    if new.notes.chars().count() > 10_000 || new.notes.contains('\0') {
        return Err(Problem::field("notes", "allowed: up to 10,000 characters"));
    }
    super::start::checked_vars(&new.vars)?;
    Ok(store::Contact { name: new.name, numbers, notes: new.notes, vars: new.vars, ..store::Contact::default() })
}

/// Contacts, the newest first.
#[utoipa::path(get, path = "/v1/contacts", tag = "contacts", security(("key" = [])), params(Wanted), responses(
    (status = 200, description = "Contacts", body = Contacts)))]
pub(crate) async fn list(
    State(context): State<Shared>,
    caller: Caller,
    Params(wanted): Params<Wanted>,
) -> Result<Json<Contacts>, Problem> {
    caller.need_everywhere(Scope::Read)?;
    let (limit, after) = (page::limit(wanted.limit)?, page::read(wanted.cursor.as_deref())?);
    page::word("number", wanted.number.as_ref())?;
    page::word("text", wanted.text.as_ref())?;
    let numbers = wanted.number.map(|number| context.config.dialling.plain_ways(&number)).unwrap_or_default();
    let filter = ContactFilter { numbers, text: wanted.text, after, limit };
    let found = context.store().await?.contacts(&filter).await;
    let (contacts, next) = found.map_err(|error| problem::database(&error))?;
    Ok(Json(Contacts { contacts: contacts.into_iter().map(shown).collect(), next: page::next(next) }))
}

/// Keep a contact.
#[utoipa::path(post, path = "/v1/contacts", tag = "contacts", security(("key" = [])), request_body = NewContact,
    responses((status = 201, description = "It is kept", body = Contact)))]
pub(crate) async fn make(
    State(context): State<Shared>,
    caller: Caller,
    Body(new): Body<NewContact>,
) -> Result<(StatusCode, Json<Contact>), Problem> {
    caller.need_everywhere(Scope::Call)?;
    let made = context.store().await?.add_contact(checked(new)?, context.now_ms()).await;
    let contact = made.map_err(|error| problem::database(&error))?;
    caller.note(&context, "contact.make", &contact.id).await;
    Ok((StatusCode::CREATED, Json(shown(contact))))
}

/// One contact.
#[utoipa::path(get, path = "/v1/contacts/{id}", tag = "contacts", security(("key" = [])),
    params(("id" = String, Path, description = "The contact's id")), responses(
    (status = 200, description = "The contact", body = Contact)))]
pub(crate) async fn one(State(context): State<Shared>, caller: Caller, Id(id): Id) -> Result<Json<Contact>, Problem> {
    caller.need_everywhere(Scope::Read)?;
    let found = context.store().await?.contact(&id).await.map_err(|error| problem::database(&error))?;
    found.map(|contact| Json(shown(contact))).ok_or_else(|| Problem::no_such("contact"))
}

/// The calls with a contact, the newest first, whichever way its numbers were written.
#[utoipa::path(get, path = "/v1/contacts/{id}/calls", tag = "contacts", security(("key" = [])),
    params(("id" = String, Path, description = "The contact's id"), page::Which), responses(
    (status = 200, description = "Their records; of calls that go on: how they stand", body = Calls)))]
pub(crate) async fn calls(
    State(context): State<Shared>,
    caller: Caller,
    Id(id): Id,
    Params(which): Params<page::Which>,
) -> Result<Json<Calls>, Problem> {
    caller.need_everywhere(Scope::Read)?;
    let (limit, after) = (which.limit()?, which.cursor()?);
    let store = context.store().await?;
    let found = store.contact(&id).await.map_err(|error| problem::database(&error))?;
    let contact = found.ok_or_else(|| Problem::no_such("contact"))?;
    let number: Vec<String> = contact.numbers.iter().flat_map(|one| context.config.dialling.ways(one)).collect();
    if number.is_empty() {
        return Ok(Json(Calls { calls: Vec::new(), next: None }));
    }
    let filter = CallFilter { number, after, limit, ..CallFilter::default() };
    let page = store.calls(&filter).await.map_err(|error| problem::database(&error))?;
    let calls = page.calls.into_iter().map(|call| call.document).collect();
    Ok(Json(Calls { calls, next: page::next(page.next) }))
}

/// Put another contact in its place.
#[utoipa::path(put, path = "/v1/contacts/{id}", tag = "contacts", security(("key" = [])), request_body = NewContact,
    params(("id" = String, Path, description = "The contact's id")), responses(
    (status = 200, description = "As it is now", body = Contact)))]
pub(crate) async fn change(
    State(context): State<Shared>,
    caller: Caller,
    Id(id): Id,
    Body(new): Body<NewContact>,
) -> Result<Json<Contact>, Problem> {
    caller.need_everywhere(Scope::Call)?;
    let contact = store::Contact { id, ..checked(new)? };
    let store = context.store().await?;
    let changed = store.change_contact(&contact, context.now_ms()).await.map_err(|error| problem::database(&error))?;
    if !changed {
        return Err(Problem::no_such("contact"));
    }
    caller.note(&context, "contact.change", &contact.id).await;
    let found = store.contact(&contact.id).await.map_err(|error| problem::database(&error))?;
    found.map(|contact| Json(shown(contact))).ok_or_else(|| Problem::no_such("contact"))
}

/// Forget a contact.
#[utoipa::path(delete, path = "/v1/contacts/{id}", tag = "contacts", security(("key" = [])),
    params(("id" = String, Path, description = "The contact's id")), responses(
    (status = 204, description = "It is forgotten")))]
pub(crate) async fn remove(State(context): State<Shared>, caller: Caller, Id(id): Id) -> Result<StatusCode, Problem> {
    caller.need_everywhere(Scope::Call)?;
    let removed = context.store().await?.remove_contact(&id).await.map_err(|error| problem::database(&error))?;
    if !removed {
        return Err(Problem::no_such("contact"));
    }
    caller.note(&context, "contact.remove", &id).await;
    Ok(StatusCode::NO_CONTENT)
}
