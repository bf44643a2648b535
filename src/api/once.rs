//! Orders with a name (`Idempotency-Key`): the same one makes one call, however often it comes, and whatever becomes of
//! the database or of who asked meanwhile.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    http::{HeaderMap, StatusCode},
};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::{
    Shared,
    access::Caller,
    ask::Order,
    problem::{self, Problem},
    start::{Begun, begin},
};
use crate::io::pass;

/// What came of an order is written down later where the database was away; it is tried so often.
const AGAIN: Duration = Duration::from_secs(1);

/// What was asked, and how the answer finds it again.
pub(super) struct Asked {
    /// The name; none: each request is an order of its own.
    name: Option<String>,
    /// The hash of the request: there may be secrets in it.
    hash: String,
}

impl Asked {
    /// At this door.
    pub fn new(door: &str, headers: &HeaderMap, body: &impl Serialize) -> Result<Asked, Problem> {
        let name = match headers.get("idempotency-key") {
            None => None,
            Some(name) => {
                let fits = |name: &&str| (1..=200).contains(&name.len());
                let name = name.to_str().ok().filter(fits);
                let name =
                    name.ok_or_else(|| Problem::field("Idempotency-Key", "allowed: 1 to 200 ASCII characters"))?;
                Some(name.to_owned())
            }
        };
        let body = serde_json::to_string(body).map_err(|error| Problem::field("", error))?;
        let digest = Sha256::digest(format!("{door}\n{body}"));
        Ok(Asked { name, hash: digest.iter().map(|byte| format!("{byte:02x}")).collect() })
    }
}

fn conflict(kind: &'static str, detail: &str) -> Problem {
    Problem::new(StatusCode::CONFLICT, kind, "The order was given before", detail)
}

/// Make the call that is asked for, unless that was done.
pub(super) async fn once(
    context: &Shared,
    caller: Caller,
    asked: Asked,
    order: Order,
) -> Result<(StatusCode, Json<Begun>), Problem> {
    let Asked { name: Some(name), hash } = asked else {
        return Ok((StatusCode::CREATED, Json(Begun { id: begin(context, &caller, order).await? })));
    };
    let owner = caller.0.id.clone();
    let (place, now) = ((owner.as_str(), name.as_str()), context.now_ms());
    let store = context.store().await?;
    let before =
        store.order(place, &hash, (&context.webhooks.node, now)).await.map_err(|error| problem::database(&error))?;
    if let Some(before) = before {
        if before.body != hash {
            return Err(conflict("other_order", "with another request"));
        }
        if let Some(id) = before.call {
            return Ok((StatusCode::OK, Json(Begun { id })));
        }
        // An earlier run of this server took it, and ended before it could say what came of it: whatever call it made ended
        // with it. Of another server nobody knows that.
        let ours = before.node.is_empty() || before.node == context.webhooks.node;
        let is_left = ours && before.at_ms < context.started_ms;
        let again = is_left && store.order_again(place, before.at_ms, now).await.map_err(|e| problem::database(&e))?;
        if !again {
            return Err(conflict("in_hand", "and is being carried out"));
        }
    }
    let id = carry_out(context, &caller, (owner, name), order).await?;
    Ok((StatusCode::CREATED, Json(Begun { id })))
}

async fn carry_out(
    context: &Shared,
    caller: &Caller,
    place: (String, String),
    order: Order,
) -> Result<String, Problem> {
    let begun = begin(context, caller, order).await;
    let call = begun.as_ref().ok().cloned();
    if !write(context, &place, call.as_deref()).await {
        let context = Arc::clone(context);
        // The call is made all the same; until this is written, the name is in hand.
        tokio::spawn(async move {
            while !write(&context, &place, call.as_deref()).await {
                pass(AGAIN).await;
            }
        });
    }
    begun
}

/// False: the database is away.
async fn write(context: &Shared, place: &(String, String), call: Option<&str>) -> bool {
    let Ok(store) = context.store().await else { return false };
    store.ordered((&place.0, &place.1), call).await.is_ok()
}
