//! One web server that is told events: posted as they come, signed, in their order, and again until they are taken.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use hyper::{Method, header::CONTENT_TYPE};
use serde::Deserialize;
use tokio::{sync::watch, time::timeout};

use super::{now_ms, tellers::Tellers};
use crate::{
    hooks::{
        Url,
        http::{HttpError, ask, request, whole},
    },
    io::pass,
    store::{Candidate, Store, Stored, Told, Webhook},
    switch::Dialling,
};

/// Events in one request.
const BATCH: u32 = 100;
/// Longest wait for one answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// The first wait after a request that was not taken; each further one is twice as long.
const AGAIN: Duration = Duration::from_secs(1);
/// The longest one.
const SELDOM: Duration = Duration::from_secs(60);

/// Where events go, and which.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookConfig {
    /// By which it is named, and its place is remembered.
    pub name: String,
    /// Where to.
    pub to: Url,
    /// With this the requests are signed; empty: they are not.
    pub secret: String,
    /// Kinds of events, `*` at the end for any rest; empty: all.
    pub kinds: Vec<String>,
    /// Only of calls and messages with one of these numbers, whichever way they are written; empty: all.
    pub numbers: Vec<String>,
    /// It begins with the oldest event that is kept; else with what comes when it is there.
    pub whole: bool,
    /// When it was there first, in ms since 1970; absent: when the server started.
    pub since_ms: Option<i64>,
    /// PEM file: authorities of web servers.
    pub trust: PathBuf,
}

impl std::fmt::Debug for WebhookConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebhookConfig").field("name", &self.name).field("host", &self.to.host).finish_non_exhaustive()
    }
}

/// Is this kind among these? `*` at the end stands for any rest.
fn is_among(kinds: &[String], kind: &str) -> bool {
    let fits = |wanted: &String| match wanted.strip_suffix('*') {
        Some(start) => kind.starts_with(start),
        None => wanted == kind,
    };
    kinds.is_empty() || kinds.iter().any(fits)
}

/// Who an event is about, where it says so itself.
#[derive(Deserialize)]
struct About {
    data: Option<Parties>,
}

#[derive(Deserialize)]
struct Parties {
    from: Option<String>,
    to: Option<String>,
}

impl WebhookConfig {
    /// One that was made by the API. None: its address cannot be read, which was looked at when it was made.
    pub(super) fn made(made: Webhook, trust: &Path) -> Option<WebhookConfig> {
        let Webhook { name, url, secret, kinds, numbers, whole, created_ms } = made;
        let (to, since_ms) = (Url::parse(&url)?, Some(created_ms));
        Some(WebhookConfig { name, to, secret, kinds, numbers, whole, since_ms, trust: trust.to_owned() })
    }

    /// Is this event for it?
    fn wants(&self, event: &Candidate, dialling: &Dialling) -> bool {
        if !is_among(&self.kinds, &event.kind) {
            return false;
        }
        if self.numbers.is_empty() {
            return true;
        }
        let parties = event.parties.clone().or_else(|| {
            let Parties { from, to } = serde_json::from_str::<About>(&event.line).ok()?.data?;
            Some([from?, to?])
        });
        let is_one = |party: &String| self.numbers.iter().any(|number| dialling.same(number, party));
        parties.is_some_and(|parties| parties.iter().any(is_one))
    }
}

/// Why events are not told.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    /// They cannot be read, or nobody can write down which were told.
    #[error("the database: {0}")]
    Database(#[from] sqlx::Error),
    /// The web server does not take them.
    #[error("{0}")]
    Web(String),
}

/// Tells one webhook.
pub(super) struct Teller {
    pub webhook: WebhookConfig,
    pub all: Arc<Tellers>,
}

impl Teller {
    /// Until the database's writer has ended. `stored` says how far the database is.
    pub async fn run(self, mut stored: watch::Receiver<Stored>) {
        let (name, host) = (&self.webhook.name, &self.webhook.to.host);
        let mut wait = AGAIN;
        loop {
            // What comes from now on is news.
            stored.mark_unchanged();
            match self.tell_all().await {
                Ok(()) => {
                    if wait > AGAIN {
                        tracing::warn!(webhook = name, host, "it takes events again");
                    }
                    wait = AGAIN;
                    if stored.changed().await.is_err() {
                        return;
                    }
                }
                Err(why) => {
                    if wait == AGAIN {
                        tracing::error!(webhook = name, host, %why, "it takes no events; they wait");
                    }
                    if stored.has_changed().is_err() {
                        return;
                    }
                    pass(wait).await;
                    wait = (2 * wait).min(SELDOM);
                }
            }
        }
    }

    /// All events that the database has.
    async fn tell_all(&self) -> Result<(), Trouble> {
        let (store, name, node) = (self.all.store().await?, self.webhook.name.as_str(), self.all.node.as_str());
        let mut told = match store.told(name, node).await? {
            Some(told) => told,
            None => self.begin(store).await?,
        };
        loop {
            let found = store.candidates(node, (told.done, told.since_ms), BATCH).await?;
            let Some(last) = found.last().map(|event| event.id) else { return Ok(()) };
            let wanted = found.iter().filter(|event| self.webhook.wants(event, &self.all.dialling));
            let lines: Vec<&str> = wanted.map(|event| event.line.as_str()).collect();
            if !lines.is_empty() {
                if let Err(why) = self.post(&lines).await {
                    if told.trouble != why {
                        let since = if told.trouble.is_empty() { self.now_ms() } else { told.trouble_ms };
                        let told = Told { trouble: why.clone(), trouble_ms: since, ..told };
                        store.has_told(name, node, &told).await?;
                    }
                    return Err(Trouble::Web(why));
                }
                told = Told { taken_ms: self.now_ms(), trouble: String::new(), trouble_ms: 0, ..told };
            }
            told.done = last;
            store.has_told(name, node, &told).await?;
        }
    }

    /// Where a webhook begins that was told nothing yet.
    async fn begin(&self, store: &Store) -> Result<Told, Trouble> {
        let WebhookConfig { name, whole, since_ms, .. } = &self.webhook;
        let since_ms = if *whole { 0 } else { since_ms.unwrap_or(self.all.started_ms) };
        let done = store.last_before(&self.all.node, since_ms).await?;
        let told = Told { done, since_ms, ..Told::default() };
        store.has_told(name, &self.all.node, &told).await?;
        Ok(told)
    }

    fn now_ms(&self) -> i64 {
        now_ms(self.all.clock)
    }

    async fn post(&self, lines: &[&str]) -> Result<(), String> {
        let body = format!("[{}]", lines.join(","));
        let now = self.all.clock.epoch().unix(self.all.clock.now()).as_secs();
        let answer = timeout(PATIENCE, post(&self.webhook, now, body)).await;
        answer.unwrap_or_else(|_| Err(format!("no answer within {} s", PATIENCE.as_secs())))
    }
}

/// The value of `Switchhook-Signature`: HMAC-SHA256 over the time, a dot and the body.
fn signature(secret: &str, now: u64, body: &str) -> String {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret.as_bytes());
    let tag = ring::hmac::sign(&key, format!("{now}.{body}").as_bytes());
    let hex: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("t={now},v1={hex}")
}

async fn post(config: &WebhookConfig, now: u64, body: String) -> Result<(), String> {
    let url = &config.to;
    let told = |error: HttpError| error.to_string();
    let mut head = request(Method::POST, url).header(CONTENT_TYPE, "application/json");
    if !config.secret.is_empty() {
        head = head.header("Switchhook-Signature", signature(&config.secret, now, &body));
    }
    let request = head.body(whole(body)).map_err(|error| told(error.into()))?;
    let at = url.anywhere().await.map_err(|error| error.to_string())?;
    let answer = ask((url, &at[..]), &config.trust, request, None).await.map_err(told)?;
    match answer.status() {
        status if status.is_success() => Ok(()),
        status => Err(format!("the answer is {}", status.as_u16())),
    }
}

#[cfg(test)]
#[path = "webhook_tests.rs"]
mod tests;
