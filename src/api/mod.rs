//! The control API: HTTP for programs that look at calls, make them and steer them, and a stream of events.
//!
//! A thread of its own: whatever readers do here, calls are not delayed. Who asks shows a key; each key has a scope and,
//! where wanted, the numbers whose calls it may see.

mod access;
mod agents;
mod ai_agents;
mod ask;
mod audit;
mod calls;
mod contacts;
mod doc;
mod events;
mod figures;
mod finish;
mod first;
mod flows;
mod gate;
mod journal;
mod limit;
mod listen;
mod login;
mod look;
mod memory;
mod notes;
mod once;
mod page;
mod people;
mod play;
mod problem;
mod queues;
mod range;
mod reader;
mod recordings;
mod reload;
mod rooms;
mod roster;
mod shapes;
mod start;
mod steer;
mod tellers;
#[cfg(test)]
mod tests;
mod transcripts;
mod webhook;
mod webhooks;

use std::{io, net::SocketAddr, path::PathBuf, sync::Arc, thread, time::Duration};

use axum::{
    Router,
    extract::DefaultBodyLimit,
    middleware,
    routing::{delete, get, patch, post},
};
use tokio::sync::{OnceCell, mpsc, watch};

use crate::{
    io::{Order, clock::Clock},
    store::{Database, Question, Store},
    switch::{ConsoleReply, Dialling},
};
pub use ask::FIRST_REQUEST;
pub use listen::{MOST_CONNECTIONS, Secure};
use problem::Problem;
pub use reload::Reload;
pub use roster::FixedRoster;
pub use tellers::{Fixed, TellersConfig, spawn as spawn_webhooks};
pub use webhook::WebhookConfig;
pub use webhooks::{WebhookEnds, is_kind, is_name};

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
    /// Certificates; absent: plain HTTP.
    pub tls: Option<Secure>,
    /// How often a key may ask in a second; twice as often at once. 0: as often as it likes.
    pub requests_per_s: u32,
    /// Connections of an address that is not this machine's; 0: as many as there are.
    pub max_per_address: usize,
    /// How long a session lasts.
    pub session: Duration,
    /// The folder of scripts.
    pub scripts: PathBuf,
    /// The folder of recordings.
    pub recordings: PathBuf,
    /// How numbers are written here.
    pub dialling: Dialling,
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
    /// The program around, which reads the configuration.
    pub reload: mpsc::Sender<Reload>,
    /// The thread that tells webhooks.
    pub webhooks: WebhookEnds,
    /// Queues and agents of the configuration.
    pub roster: FixedRoster,
}

/// What all requests share.
pub(crate) struct Context {
    config: Config,
    orders: mpsc::WeakSender<Order>,
    questions: mpsc::Sender<Question>,
    asks: mpsc::Sender<ask::Ask>,
    door: mpsc::Sender<limit::Knock>,
    reload: mpsc::Sender<Reload>,
    webhooks: WebhookEnds,
    roster: FixedRoster,
    memory: mpsc::Sender<memory::Recall>,
    gate: mpsc::Sender<gate::Turn>,
    notes: mpsc::Sender<notes::Note>,
    /// The database takes no notes.
    notes_away: watch::Receiver<bool>,
    /// When the API began, in ms since 1970.
    started_ms: i64,
    store: OnceCell<Store>,
}

type Shared = Arc<Context>;

impl Context {
    async fn store(&self) -> Result<&Store, Problem> {
        self.opened().await.map_err(|error| problem::database(&error))
    }

    /// The same for who asks again and again, and does not say each time that the database is away.
    async fn opened(&self) -> Result<&Store, sqlx::Error> {
        self.store.get_or_try_init(|| Store::open(&self.config.database)).await
    }

    fn now_ms(&self) -> i64 {
        now_ms(self.config.clock)
    }
}

fn now_ms(clock: Clock) -> i64 {
    i64::try_from(clock.epoch().unix(clock.now()).as_millis()).unwrap_or(i64::MAX)
}

/// Start the thread. It ends with the server. Gives where it listens.
pub fn spawn(config: Config, ends: Ends) -> io::Result<SocketAddr> {
    let runtime = crate::io::runtime()?;
    let certificates = config.tls.clone().map(|secure| listen::Certificates::load(secure, config.clock)).transpose()?;
    let listener = runtime.block_on(tokio::net::TcpListener::bind(config.listen))?;
    let at = listener.local_addr()?;
    thread::Builder::new().name("api".into()).spawn(move || {
        runtime.block_on(async {
            let limits = listen::Limits::new(config.max_per_address);
            let ready = listen::open(listener, certificates, limits);
            serve(config, ends, |router| listen::serve(ready, router, limits)).await;
        });
    })?;
    Ok(at)
}

/// Do all that the API does, `answering` what is asked.
async fn serve<F: Future<Output = ()>>(config: Config, ends: Ends, answering: impl FnOnce(Router) -> F) {
    let (asks, asked) = mpsc::channel(256);
    let (door, knocks) = mpsc::channel(256);
    let Ends { orders, replies, questions, reload, webhooks, roster } = ends;
    let asking = ask::answer(asked, replies, orders.clone());
    let limiting = limit::keep(knocks, config.requests_per_s, config.clock);
    let (memory, recalls) = mpsc::channel(256);
    let remembering = memory::keep(recalls, config.clock);
    let (gate, turns) = mpsc::channel(256);
    let (notes, noted) = mpsc::channel(notes::WAITING);
    let (away, notes_away) = watch::channel(false);
    let (started_ms, store) = (now_ms(config.clock), OnceCell::new());
    let context = Context {
        config,
        orders,
        questions,
        asks,
        door,
        reload,
        webhooks,
        roster,
        memory,
        gate,
        notes,
        notes_away,
        started_ms,
        store,
    };
    let context = Arc::new(context);
    tokio::select! {
        // The server is gone.
        () = asking => {}
        () = limiting => {}
        () = remembering => {}
        () = notes::keep(context.clone(), noted, away) => {}
        () = gate::keep(context.clone(), turns) => {}
        () = answering(router(context.clone())) => {}
        () = first::make(context) => {}
    }
}

fn router(context: Shared) -> Router {
    Router::new()
        .route("/healthz", get(look::health))
        .route("/metrics", get(figures::metrics))
        .route("/openapi.json", get(doc::document))
        .route("/docs", get(doc::page))
        .route("/v1/reload", post(reload::reload))
        .route("/v1/events", get(events::stream))
        .route("/v1/events/socket", get(events::socket))
        .route("/v1/webhooks", get(webhooks::list).post(webhooks::make))
        .route("/v1/webhooks/{id}", get(webhooks::one).patch(webhooks::change).delete(webhooks::remove))
        .route("/v1/numbers", get(look::numbers))
        .route("/v1/trunks", get(look::trunks))
        .route("/v1/phones", get(look::phones))
        .merge(calls())
        .merge(rooms())
        .merge(kept())
        .merge(waiting())
        .merge(access())
        .fallback(problem::nothing_here)
        .method_not_allowed_fallback(problem::wrong_method)
        .layer(DefaultBodyLimit::max(LONGEST_BODY))
        .layer(middleware::from_fn(finish::finish))
        .with_state(context)
}

fn calls() -> Router<Shared> {
    Router::new()
        .route("/v1/calls", get(calls::list).post(start::start))
        .route("/v1/quick-calls", post(start::quick))
        .route("/v1/calls/{id}", get(calls::one))
        .route("/v1/calls/{id}/events", get(calls::events))
        .route("/v1/calls/{id}/transcript", get(transcripts::one).post(transcripts::add))
        .route("/v1/calls/{id}/hangup", post(steer::hangup))
        .route("/v1/calls/{id}/play", post(play::play))
        .route("/v1/calls/{id}/play/steer", post(play::steering))
        .route("/v1/calls/{id}/play/stop", post(play::stop))
        .route("/v1/calls/{id}/record", post(steer::record))
        .route("/v1/calls/{id}/record/stop", post(steer::record_stop))
        .route("/v1/calls/{id}/record/mode", post(steer::record_mode))
        .route("/v1/calls/{id}/siprec/mask", post(steer::siprec_mask))
        .route("/v1/calls/{id}/hold", post(steer::hold))
        .route("/v1/calls/{id}/resume", post(steer::resume))
        .route("/v1/calls/{id}/mute", post(steer::mute))
        .route("/v1/calls/{id}/unmute", post(steer::unmute))
        .route("/v1/calls/{id}/listen", post(start::listen))
        .route("/v1/calls/{id}/transfer", post(steer::transfer))
        .route("/v1/calls/{id}/digits", post(steer::digits))
        .route("/v1/calls/{id}/flow", post(steer::flow))
}

fn rooms() -> Router<Shared> {
    Router::new()
        .route("/v1/rooms", get(rooms::list))
        .route("/v1/rooms/{room}", get(rooms::members))
        .route("/v1/rooms/{room}/member", post(rooms::member))
        .route("/v1/rooms/{room}/record", post(rooms::record))
        .route("/v1/rooms/{room}/record/mode", post(rooms::record_mode))
}

fn kept() -> Router<Shared> {
    let uploads = post(flows::upload).layer(DefaultBodyLimit::max(flows::LONGEST)).get(flows::versions);
    Router::new()
        .route("/v1/contacts", get(contacts::list).post(contacts::make))
        .route("/v1/contacts/{id}", get(contacts::one).put(contacts::change).delete(contacts::remove))
        .route("/v1/contacts/{id}/calls", get(contacts::calls))
        .route("/v1/flows", get(flows::list))
        .route("/v1/flows/{id}/versions", uploads)
        .route("/v1/flows/{id}/versions/{version}", get(flows::version))
        .route("/v1/flows/{id}/activate", post(flows::activate))
        .route("/v1/recordings", get(recordings::list))
        .route("/v1/recordings/{id}", get(recordings::one).delete(recordings::erase))
        .route("/v1/recordings/{id}/audio", get(recordings::audio))
}

fn waiting() -> Router<Shared> {
    Router::new()
        .route("/v1/queues", get(queues::list).post(queues::make))
        .route("/v1/queues/{id}", get(queues::one).put(queues::change).delete(queues::remove))
        .route("/v1/agents", get(agents::list).post(agents::make))
        .route("/v1/agents/{id}", get(agents::one).put(agents::change).delete(agents::remove))
        .route("/v1/ai-agents", get(ai_agents::list).post(ai_agents::make))
        .route("/v1/ai-agents/{id}", get(ai_agents::one).put(ai_agents::change).delete(ai_agents::remove))
}

fn access() -> Router<Shared> {
    Router::new()
        .route("/v1/session", get(login::look).post(login::begin).delete(login::end))
        .route("/v1/keys", get(access::list).post(access::make))
        .route("/v1/keys/{id}", delete(access::remove))
        .route("/v1/users", get(people::list).post(people::make))
        .route("/v1/users/{id}", patch(people::change).delete(people::remove))
        .route("/v1/audit", get(audit::list))
}
