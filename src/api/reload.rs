//! The configuration is read again, as SIGHUP does it.

use std::time::Duration;

use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use tokio::{sync::oneshot, time::timeout};
use utoipa::ToSchema;

use super::{
    Shared,
    access::Caller,
    problem::{Body, Problem},
};
use crate::store::Scope;

/// Longest wait for the program around.
const PATIENCE: Duration = Duration::from_secs(20);

/// Asks the program around to read the configuration again.
#[derive(Debug)]
pub struct Reload {
    /// Only tell what would change.
    pub only_plan: bool,
    /// What changes, line by line; else why nothing does.
    pub answer: oneshot::Sender<Result<Vec<String>, Vec<String>>>,
}

/// How to read it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct How {
    /// True: nothing is changed; the answer tells what would be.
    #[serde(default)]
    only_plan: bool,
}

/// What changes.
#[derive(Serialize, ToSchema)]
pub(crate) struct Plan {
    /// A line each, such as `+ trunk new`.
    changes: Vec<String>,
    /// False: nothing was changed yet.
    taken: bool,
}

/// Read the configuration again. It is taken as a whole or not at all; calls go on.
#[utoipa::path(post, path = "/v1/reload", tag = "server", security(("key" = [])), request_body = How, responses(
    (status = 200, description = "What changes", body = Plan),
    (status = 409, description = "It is not taken; all stays as it was. `detail` has a line for each reason",
     body = Problem)))]
pub(crate) async fn reload(
    State(context): State<Shared>,
    caller: Caller,
    Body(how): Body<How>,
) -> Result<Json<Plan>, Problem> {
    caller.need_everywhere(Scope::Admin)?;
    let only_plan = how.only_plan;
    let (answer, answered) = oneshot::channel();
    context.reload.send(Reload { only_plan, answer }).await.map_err(|_| Problem::gone())?;
    // A server that drains reads nothing any more.
    let done = timeout(PATIENCE, answered).await.ok().and_then(Result::ok).ok_or_else(Problem::gone)?;
    let changes = done.map_err(|faults| Problem::conflict("not_reloaded", faults.join("\n")));
    if !only_plan {
        let about = changes.as_ref().map_or_else(|_| String::new(), |changes| format!("{} changes", changes.len()));
        caller.note_result(&context, "server.reload", &about, &changes).await;
    }
    let changes = changes?;
    Ok(Json(Plan { changes, taken: !only_plan }))
}
