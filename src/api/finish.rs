//! What changes something is carried through to its end, also where who asked for it goes away meanwhile: a connection that
//! closes drops what was being answered on it, wherever that was.

use axum::{
    extract::Request,
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::problem::Problem;

/// Answer what only looks here; anything else by a task of its own, which outlives the connection.
pub(super) async fn finish(request: Request, next: Next) -> Response {
    if request.method().is_safe() {
        return next.run(request).await;
    }
    // Where it panicked, the log says so.
    tokio::spawn(next.run(request)).await.unwrap_or_else(|_| Problem::gone().into_response())
}
