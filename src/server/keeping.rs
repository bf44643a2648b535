//! The threads that keep what happened: the journal, and the store behind it.

use std::{net::SocketAddr, path::PathBuf, thread::JoinHandle};

use tokio::sync::{mpsc, oneshot, watch};

use super::{StartError, start::system};
use crate::{
    api,
    conf::Conf,
    ids::RequestId,
    io::{
        Fact, Order,
        clock::Clock,
        disk::ToDisk,
        ring::Ring,
        streams::tls::{ClientCertificates, TlsConfig},
    },
    store::{self, Database, JournalConfig, Question, WriterConfig},
    switch::ConsoleReply,
};

/// What the server holds of them.
pub struct Keeping {
    /// What happened.
    pub facts: mpsc::Sender<Fact>,
    /// Questions to the journal.
    pub questions: mpsc::Sender<Question>,
    /// Who is told events.
    pub webhooks: Webhooks,
    /// What is to be waited for at the end.
    pub threads: Threads,
}

/// They end by themselves when nobody can tell them anything any more.
pub struct Threads {
    journal: JoinHandle<()>,
    writer: JoinHandle<()>,
}

impl Threads {
    /// Until the last fact is in the database, or in the spool where that cannot be reached.
    pub fn join(self) {
        for thread in [self.journal, self.writer] {
            if thread.join().is_err() {
                tracing::error!("a thread of the store died");
            }
        }
    }
}

/// The database that `conf` names.
pub fn database(conf: &Conf) -> Database {
    conf.store.database.clone().unwrap_or_else(|| Database::file(&conf.folders.state.join("switchhook.sqlite")))
}

fn spool(conf: &Conf) -> PathBuf {
    conf.folders.state.join("spool")
}

/// The API, from the control task.
pub struct Api {
    /// Answers to requests from this number on.
    pub replies: (RequestId, mpsc::UnboundedSender<ConsoleReply>),
    /// Where it listens.
    pub at: SocketAddr,
    /// Over TLS.
    pub secure: bool,
}

impl Keeping {
    /// Start the API, where there is to be one.
    pub fn api(
        &self,
        conf: &Conf,
        clock: Clock,
        (orders, reload, roster): (&mpsc::Sender<Order>, mpsc::Sender<api::Reload>, api::FixedRoster),
    ) -> Result<Option<Api>, StartError> {
        let Some(wanted) = &conf.store.api else { return Ok(None) };
        let (to, replies) = mpsc::unbounded_channel();
        // Programs show keys, not certificates.
        let files = TlsConfig { clients: ClientCertificates::Off, ..conf.tls.clone() };
        let tls = wanted.tls.then_some(api::Secure { files, reload: conf.tls_reload });
        let config = api::Config {
            listen: wanted.listen,
            database: database(conf),
            clock,
            requests_per_s: wanted.requests_per_s,
            max_per_address: wanted.max_per_address,
            session: wanted.session,
            scripts: conf.folders.scripts.clone(),
            recordings: conf.folders.recordings.clone(),
            dialling: conf.store.dialling.clone(),
            tls,
        };
        let (questions, webhooks) = (self.questions.clone(), self.webhooks.ends());
        let ends = api::Ends { orders: orders.downgrade(), replies, questions, reload, webhooks, roster };
        let at = api::spawn(config, ends).map_err(system("api.listen"))?;
        Ok(Some(Api { replies: (RequestId(api::FIRST_REQUEST), to), at, secure: wanted.tls }))
    }

    /// Start the threads. A database that is not there stops nobody: it is looked for, and meanwhile the spool fills.
    /// Records of calls that an earlier run left behind are told to `lines`.
    pub fn start(conf: &Conf, clock: Clock, lines: Ring<ToDisk>) -> Result<Keeping, StartError> {
        let config = JournalConfig { folder: spool(conf), limit: conf.store.spool, clock };
        let journal = store::spawn_journal(config).map_err(system("folders.state"))?;
        let config = WriterConfig {
            database: database(conf),
            folder: spool(conf),
            days: conf.store.days,
            reconciled: store::Tell { facts: Some(journal.facts.downgrade()), lines: Some(lines) },
        };
        let webhooks = Webhooks::start(conf, clock, &journal)?;
        // Nobody waits for the database.
        let (told, _) = oneshot::channel();
        let writer = store::spawn_writer(config, journal.line(), told).map_err(system("folders.state"))?;
        let threads = Threads { journal: journal.thread, writer };
        Ok(Keeping { facts: journal.facts, questions: journal.questions, webhooks, threads })
    }
}

/// The thread that tells webhooks, from outside. It ends by itself, and nobody waits for web servers at the end.
pub struct Webhooks {
    /// Those of the configuration.
    pub fixed: watch::Sender<api::Fixed>,
    node: String,
    changed: mpsc::Sender<()>,
}

impl Webhooks {
    fn start(conf: &Conf, clock: Clock, journal: &store::Journal) -> Result<Webhooks, StartError> {
        let node = store::spool_name(&spool(conf)).map_err(system("folders.state"))?;
        let (fixed, seen) = watch::channel(fixed(conf));
        let (changed, changes) = mpsc::channel(1);
        let config = api::TellersConfig {
            database: database(conf),
            node: node.clone(),
            clock,
            dialling: conf.store.dialling.clone(),
            trust: conf.tls.trust.clone(),
        };
        let stored = journal.stored.subscribe();
        api::spawn_webhooks(config, seen, changes, stored).map_err(system("webhooks thread"))?;
        Ok(Webhooks { fixed, node, changed })
    }

    fn ends(&self) -> api::WebhookEnds {
        let (node, fixed) = (self.node.clone(), self.fixed.subscribe());
        api::WebhookEnds { node, fixed, changed: self.changed.clone() }
    }
}

/// The webhooks of the configuration.
pub fn fixed(conf: &Conf) -> api::Fixed {
    conf.store.webhooks.clone().into()
}
