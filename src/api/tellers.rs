//! The thread that tells webhooks: those of the configuration and those that were made by the API, each at its own pace,
//! so that one that is stuck delays no other.

use std::{collections::BTreeMap, io, path::PathBuf, sync::Arc, thread, time::Duration};

use tokio::{
    sync::{OnceCell, mpsc, watch},
    task::{AbortHandle, JoinSet},
};

use super::{
    now_ms,
    webhook::{Teller, WebhookConfig},
};
use crate::{
    io::{clock::Clock, pass, runs_alone},
    store::{Database, Store, Stored},
    switch::Dialling,
};

/// How often it is looked for webhooks that another server of the same database has made.
const LOOK: Duration = Duration::from_secs(30);
/// A database that does not answer is asked again after so long.
const AGAIN: Duration = Duration::from_secs(1);

/// Webhooks that stand in the configuration.
pub type Fixed = Arc<[WebhookConfig]>;

/// What the thread needs.
#[derive(Clone, Debug)]
pub struct TellersConfig {
    /// Where events are, and webhooks that were made by the API.
    pub database: Database,
    /// By which the database knows this server.
    pub node: String,
    /// The process's clock.
    pub clock: Clock,
    /// How numbers are written here.
    pub dialling: Dialling,
    /// PEM file: authorities of the web servers of webhooks that were made by the API.
    pub trust: PathBuf,
}

/// What tellers share.
pub(super) struct Tellers {
    pub node: String,
    pub clock: Clock,
    pub dialling: Dialling,
    /// When the server started, in ms since 1970.
    pub started_ms: i64,
    database: Database,
    trust: PathBuf,
    store: OnceCell<Store>,
}

impl Tellers {
    pub async fn store(&self) -> Result<&Store, sqlx::Error> {
        self.store.get_or_try_init(|| Store::open(&self.database)).await
    }

    /// All webhooks that there are to be; of two of a name the one of the configuration.
    async fn wanted(&self, fixed: &Fixed) -> Result<BTreeMap<String, WebhookConfig>, sqlx::Error> {
        let made = self.store().await?.webhooks().await?;
        let made = made.into_iter().filter_map(|one| WebhookConfig::made(one, &self.trust));
        let all = made.chain(fixed.iter().cloned());
        Ok(all.map(|webhook| (webhook.name.clone(), webhook)).collect())
    }
}

/// Start the thread. It ends when the database's writer has ended; `stored` says how far the database is with the events
/// of this server. `changed`: somebody has made, changed or removed a webhook.
pub fn spawn(
    config: TellersConfig,
    fixed: watch::Receiver<Fixed>,
    changed: mpsc::Receiver<()>,
    stored: watch::Receiver<Stored>,
) -> io::Result<thread::JoinHandle<()>> {
    let TellersConfig { database, node, clock, dialling, trust } = config;
    let (started_ms, store) = (now_ms(clock), OnceCell::new());
    let all = Arc::new(Tellers { node, clock, dialling, started_ms, database, trust, store });
    runs_alone("webhooks", None, keep(all, fixed, changed, stored))
}

async fn keep(
    all: Arc<Tellers>,
    mut fixed: watch::Receiver<Fixed>,
    mut changed: mpsc::Receiver<()>,
    stored: watch::Receiver<Stored>,
) {
    let mut running = Running { tasks: JoinSet::new(), now: BTreeMap::new(), stored: stored.clone() };
    let over = gone(stored);
    tokio::pin!(over);
    loop {
        let now = fixed.borrow_and_update().clone();
        let wait = match all.wanted(&now).await {
            Ok(wanted) => {
                running.become_these(&all, wanted);
                LOOK
            }
            Err(error) => {
                tracing::debug!(%error, "the database does not say which webhooks there are");
                AGAIN
            }
        };
        tokio::select! {
            () = &mut over => return,
            () = told(&mut changed) => {}
            done = fixed.changed() => if done.is_err() { return },
            () = pass(wait) => {}
        }
    }
}

/// Somebody says so. Where nobody can, this never ends.
async fn told(changed: &mut mpsc::Receiver<()>) {
    if changed.recv().await.is_none() {
        std::future::pending().await
    }
}

async fn gone(mut stored: watch::Receiver<Stored>) {
    while stored.changed().await.is_ok() {}
}

/// The webhooks that are told at the moment.
struct Running {
    tasks: JoinSet<()>,
    now: BTreeMap<String, (WebhookConfig, AbortHandle)>,
    stored: watch::Receiver<Stored>,
}

impl Running {
    fn become_these(&mut self, all: &Arc<Tellers>, wanted: BTreeMap<String, WebhookConfig>) {
        self.now.retain(|name, (is, task)| {
            let stays = wanted.get(name) == Some(is);
            if !stays {
                // What it was just posting comes again from the one in its place.
                task.abort();
            }
            stays
        });
        for (name, webhook) in wanted {
            if self.now.contains_key(&name) {
                continue;
            }
            let teller = Teller { webhook: webhook.clone(), all: all.clone() };
            let task = self.tasks.spawn(teller.run(self.stored.clone()));
            self.now.insert(name, (webhook, task));
        }
        // Those that were ended.
        while self.tasks.try_join_next().is_some() {}
    }
}
