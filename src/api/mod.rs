//! The control API: HTTP for programs that look at calls, make them and steer them, and a stream of events.
//!
//! A thread of its own: whatever readers do here, calls are not delayed. Who asks shows a key; each key has a scope and,
//! where wanted, the numbers whose calls it may see.

mod access;
mod ask;
mod calls;
mod doc;
mod events;
mod look;
mod problem;
mod steer;
#[cfg(test)]
mod tests;
mod webhook;

use std::{io, net::SocketAddr, sync::Arc, thread};

use axum::{
    Router,
    extract::DefaultBodyLimit,
    routing::{delete, get, post},
};
use tokio::sync::{OnceCell, mpsc};

use crate::{
    io::{Order, clock::Clock},
    store::{Database, Question, Scope, Store},
    switch::ConsoleReply,
};
pub use ask::FIRST_REQUEST;
use problem::Problem;
pub use webhook::{Address, WebhookConfig, spawn as spawn_webhook};

/// Longest body of a request.
const LONGEST_BODY: usize = 64 << 10;

/// Where to listen, and what can be shown.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen; port 0: any free one.
    pub listen: SocketAddr,
    /// Keys, records and events.
    pub database: Database,
    /// The process's clock.
    pub clock: Clock,
}

/// The rest of the server, from here.
#[derive(Debug)]
pub struct Ends {
    /// The control task; it ends when nobody else gives it orders.
    pub orders: mpsc::WeakSender<Order>,
    /// What it answers.
    pub replies: mpsc::UnboundedReceiver<ConsoleReply>,
    /// The journal.
    pub questions: mpsc::Sender<Question>,
}

/// What all requests share.
pub(crate) struct Context {
    config: Config,
    orders: mpsc::WeakSender<Order>,
    questions: mpsc::Sender<Question>,
    asks: mpsc::Sender<ask::Ask>,
    store: OnceCell<Store>,
}

type Shared = Arc<Context>;

impl Context {
    async fn store(&self) -> Result<&Store, Problem> {
        let opened = self.store.get_or_try_init(|| Store::open(&self.config.database)).await;
        opened.map_err(|error| problem::database(&error))
    }

    fn now_ms(&self) -> i64 {
        let unix = self.config.clock.epoch().unix(self.config.clock.now());
        i64::try_from(unix.as_millis()).unwrap_or(i64::MAX)
    }
}

/// Start the thread. It ends with the server. Gives where it listens.
pub fn spawn(config: Config, ends: Ends) -> io::Result<SocketAddr> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let listener = runtime.block_on(tokio::net::TcpListener::bind(config.listen))?;
    let at = listener.local_addr()?;
    thread::Builder::new().name("api".into()).spawn(move || runtime.block_on(serve(config, ends, listener)))?;
    Ok(at)
}

async fn serve(config: Config, ends: Ends, listener: tokio::net::TcpListener) {
    let (asks, asked) = mpsc::channel(256);
    let Ends { orders, replies, questions } = ends;
    let answering = ask::answer(asked, replies, orders.clone());
    let context = Arc::new(Context { config, orders, questions, asks, store: OnceCell::new() });
    tokio::select! {
        // The server is gone.
        () = answering => {}
        done = axum::serve(listener, router(context.clone())).into_future() => {
            if let Err(error) = done {
                tracing::error!(%error, "the API has stopped");
            }
        }
        () = first_key(context) => {}
    }
}

/// Whoever starts a server without keys gets one, shown this once.
async fn first_key(context: Shared) {
    let made = async {
        let store = context.store().await?;
        let none = store.keys().await.map_err(|error| problem::database(&error))?.is_empty();
        if none {
            let made = store.make_key("first", Scope::Admin, &[], context.now_ms()).await;
            let (_, secret) = made.map_err(|error| problem::database(&error))?;
            println!("API key with all rights, shown only this once: {secret}");
        }
        Ok::<(), Problem>(())
    };
    if let Err(problem) = made.await {
        tracing::error!(why = problem.detail, "no first key was made for the API");
    }
    std::future::pending().await
}

fn router(context: Shared) -> Router {
    Router::new()
        .route("/healthz", get(look::health))
        .route("/metrics", get(look::metrics))
        .route("/openapi.json", get(doc::document))
        .route("/docs", get(doc::page))
        .route("/v1/calls", get(calls::list).post(steer::start))
        .route("/v1/calls/{id}", get(calls::one))
        .route("/v1/calls/{id}/events", get(calls::events))
        .route("/v1/calls/{id}/hangup", post(steer::hangup))
        .route("/v1/calls/{id}/play", post(steer::play))
        .route("/v1/calls/{id}/record", post(steer::record))
        .route("/v1/calls/{id}/hold", post(steer::hold))
        .route("/v1/calls/{id}/resume", post(steer::resume))
        .route("/v1/calls/{id}/transfer", post(steer::transfer))
        .route("/v1/calls/{id}/digits", post(steer::digits))
        .route("/v1/events", get(events::stream))
        .route("/v1/events/socket", get(events::socket))
        .route("/v1/numbers", get(look::numbers))
        .route("/v1/trunks", get(look::trunks))
        .route("/v1/phones", get(look::phones))
        .route("/v1/keys", get(access::list).post(access::make))
        .route("/v1/keys/{id}", delete(access::remove))
        .fallback(problem::nothing_here)
        .method_not_allowed_fallback(problem::wrong_method)
        .layer(DefaultBodyLimit::max(LONGEST_BODY))
        .with_state(context)
}
