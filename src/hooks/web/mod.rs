//! Sounds of web servers: fetched beside all else, decoded once, kept as long as their server says or the operator allows.
//!
//! A sound that was kept long enough is asked for again by its version; where its server fails just then, what is here is
//! played. An address may be a stranger's: only hosts that the operator names, or that are public, are asked.

mod http;
mod list;

use std::{
    collections::{HashMap, hash_map::Entry},
    io,
    path::PathBuf,
    sync::Arc,
    thread,
    time::Duration,
};

use tokio::{
    sync::mpsc,
    task::{JoinSet, spawn_blocking},
    time::timeout,
};

use super::{
    address::{Closed, Url},
    http::{HttpError, ask},
};
use crate::{
    audio::m3u,
    codec::Rate,
    ids::LoadId,
    io::{FetchSound, SoundCache, clock::Clock, decode_sound},
    media::Pcm,
    switch::Input,
    time::Time,
    verbs::{NoSound, SoundFault},
};
use http::{Answer, Version};

/// Sounds fetched at a time; the others wait.
const AT_ONCE: usize = 16;
/// Redirections that are followed.
const REDIRECTS: usize = 3;

/// Who may be asked, for how much, and how long it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Hosts that are asked, wherever they are; empty: every one with a public address.
    pub hosts: Vec<String>,
    /// How long a sound may take to come.
    pub patience: Duration,
    /// Largest file, in bytes.
    pub largest: usize,
    /// Bytes of decoded sounds that are kept.
    pub cache: usize,
    /// How long one is played without asking again, where its server does not say.
    pub keep: Duration,
    /// The same at most, whatever the server says.
    pub keep_most: Duration,
    /// PEM file: authorities of the web servers.
    pub trust: PathBuf,
    /// What we call ourselves.
    pub agent: String,
}

/// Why a sound cannot be fetched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum WebError {
    #[error("no http:// or https:// address that we understand")]
    Address,
    #[error("{0} is not among the hosts of web.hosts")]
    Host(String),
    #[error("{0} has no public address, and web.hosts does not name it")]
    Private(String),
    #[error("it did not come within {0} ms")]
    Timeout(u128),
    #[error("{0}")]
    Connection(String),
    #[error("the answer is no HTTP")]
    Http,
    #[error("the server says {0}")]
    Status(u16),
    #[error("more than {REDIRECTS} redirections")]
    Redirects,
    #[error("more than {0} bytes")]
    TooLarge(usize),
    #[error("{0}")]
    Format(String),
}

impl From<io::Error> for WebError {
    fn from(error: io::Error) -> WebError {
        WebError::Connection(error.to_string())
    }
}

impl From<HttpError> for WebError {
    fn from(error: HttpError) -> WebError {
        match error {
            HttpError::NoHttp => WebError::Http,
            HttpError::TooLarge(most) => WebError::TooLarge(most),
            HttpError::Request(_) => WebError::Address,
            error @ (HttpError::Trust(_) | HttpError::Connection(_) | HttpError::Early) => {
                WebError::Connection(error.to_string())
            }
        }
    }
}

impl WebError {
    fn fault(&self) -> SoundFault {
        match self {
            WebError::Address | WebError::Host(_) | WebError::Private(_) => SoundFault::Denied,
            WebError::Timeout(_) => SoundFault::Timeout,
            WebError::Connection(_) | WebError::Http => SoundFault::Unreachable,
            WebError::Status(404 | 410) => SoundFault::Missing,
            WebError::Status(code) => SoundFault::Status(*code),
            WebError::Redirects => SoundFault::Status(302),
            WebError::TooLarge(_) => SoundFault::TooLarge,
            WebError::Format(_) => SoundFault::Format,
        }
    }

    /// The server may be well again in a while; what it gave before is as good as it was.
    fn passes(&self) -> bool {
        match self {
            WebError::Timeout(_) | WebError::Connection(_) | WebError::Http => true,
            WebError::Status(code) => *code >= 500 || *code == 429,
            WebError::Address
            | WebError::Host(_)
            | WebError::Private(_)
            | WebError::Redirects
            | WebError::TooLarge(_)
            | WebError::Format(_) => false,
        }
    }
}

/// A sound by its address, for a rate.
type Key = (String, Rate);

/// What is known of a sound that is kept.
#[derive(Clone, Debug)]
struct Kept {
    until: Time,
    version: Version,
}

/// What came of asking.
enum Fetched {
    New { pcm: Arc<Pcm>, version: Version, keep: Option<Duration> },
    Same { keep: Option<Duration> },
}

/// Start the thread that fetches. It ends when the sender of `jobs` is gone.
pub fn spawn(
    config: Config,
    clock: Clock,
    mut jobs: mpsc::Receiver<FetchSound>,
    control: mpsc::Sender<Input>,
) -> io::Result<thread::JoinHandle<()>> {
    // They look names up and decode, which takes memory.
    crate::io::runs_alone("web", Some(4), async move {
        let mut shelf = Shelf::new(config, clock);
        let (mut fetching, mut listing) = (JoinSet::new(), JoinSet::new());
        loop {
            let answers = tokio::select! {
                job = jobs.recv(), if fetching.len() + listing.len() < AT_ONCE => {
                    let Some(job) = job else { return };
                    if m3u::is_list(&job.url) {
                        listing.spawn(list::fetch(Arc::clone(&shelf.config), job));
                        continue;
                    }
                    match shelf.ask(job) {
                        Asked::Here(load, pcm) => vec![(load, Ok(pcm))],
                        Asked::OnItsWay => vec![],
                        Asked::Fetch(key, version) => {
                            let config = Arc::clone(&shelf.config);
                            fetching.spawn(async move { (fetch(&config, &key, version).await, key) });
                            vec![]
                        }
                    }
                }
                Some(Ok((result, key))) = fetching.join_next() => shelf.came(&key, result),
                Some(Ok(answer)) = listing.join_next() => {
                    let _ = control.send(answer).await;
                    continue;
                }
            };
            for (load, result) in answers {
                let _ = control.send(Input::Loaded { load, result }).await;
            }
        }
    })
}

/// The sounds that are here, and who waits for others.
struct Shelf {
    config: Arc<Config>,
    clock: Clock,
    cache: SoundCache<Key>,
    kept: HashMap<Key, Kept>,
    waiting: HashMap<Key, Vec<LoadId>>,
}

/// What is to be done about a wish.
enum Asked {
    Here(LoadId, Arc<Pcm>),
    OnItsWay,
    Fetch(Key, Option<Version>),
}

type Answers = Vec<(LoadId, Result<Arc<Pcm>, NoSound>)>;

impl Shelf {
    fn new(config: Config, clock: Clock) -> Shelf {
        let (cache, config) = (SoundCache::new(config.cache), Arc::new(config));
        Shelf { config, clock, cache, kept: HashMap::new(), waiting: HashMap::new() }
    }

    fn ask(&mut self, FetchSound { load, url, rate }: FetchSound) -> Asked {
        let key = (url, rate);
        let here = self.cache.get(&key).zip(self.kept.get(&key));
        if let Some((pcm, kept)) = &here
            && self.clock.now() < kept.until
        {
            return Asked::Here(load, Arc::clone(pcm));
        }
        let version = here.map(|(_, kept)| kept.version.clone());
        match self.waiting.entry(key) {
            Entry::Occupied(mut waiting) => {
                waiting.get_mut().push(load);
                Asked::OnItsWay
            }
            Entry::Vacant(place) => {
                let key = place.key().clone();
                place.insert(vec![load]);
                Asked::Fetch(key, version)
            }
        }
    }

    fn came(&mut self, key: &Key, result: Result<Fetched, WebError>) -> Answers {
        let (now, usual, most) = (self.clock.now(), self.config.keep, self.config.keep_most);
        let until = |keep: Option<Duration>| now + keep.unwrap_or(usual).min(most);
        let before = self.cache.get(key);
        let answer = match (result, before) {
            (Ok(Fetched::New { pcm, version, keep }), _) => {
                self.kept.insert(key.clone(), Kept { until: until(keep), version });
                self.cache.put(key.clone(), &pcm);
                // The cache has let others go.
                let cache = &self.cache;
                self.kept.retain(|key, _| cache.has(key));
                Ok(pcm)
            }
            (Ok(Fetched::Same { keep }), Some(pcm)) => {
                if let Some(kept) = self.kept.get_mut(key) {
                    kept.until = until(keep);
                }
                Ok(pcm)
            }
            (Err(error), Some(pcm)) if error.passes() => {
                tracing::warn!(url = key.0, %error, "a sound cannot be fetched anew: the one before is played");
                Ok(pcm)
            }
            (Err(error), _) => {
                self.kept.remove(key);
                Err(NoSound::new(error.fault(), format!("{}: {error}", key.0)))
            }
            (Ok(Fetched::Same { .. }), None) => {
                Err(NoSound::new(SoundFault::Overload, format!("{}: the cache is too small for it", key.0)))
            }
        };
        let waiting = self.waiting.remove(key).unwrap_or_default();
        waiting.into_iter().map(|load| (load, answer.clone())).collect()
    }
}

/// What is at an address now; `version`: what is here already.
async fn fetch(config: &Arc<Config>, key: &Key, version: Option<Version>) -> Result<Fetched, WebError> {
    let patience = config.patience;
    let answer = timeout(patience, follow(config, &key.0, version.as_ref())).await;
    let (bytes, version, keep) = match answer.map_err(|_| WebError::Timeout(patience.as_millis()))?? {
        Answer::Body { bytes, version, keep } => (bytes, version, keep),
        Answer::Same { keep } => return Ok(Fetched::Same { keep }),
        Answer::Elsewhere(_) => return Err(WebError::Redirects),
    };
    let (rate, most) = (key.1, config.cache);
    let decoded = spawn_blocking(move || decode_sound(&bytes, rate, most)).await;
    let pcm = decoded.map_err(|_| WebError::Format("its decoder gave up".to_owned()))?.map_err(WebError::Format)?;
    Ok(Fetched::New { pcm, version, keep })
}

/// Asks, and goes where it is sent.
async fn follow(config: &Config, url: &str, known: Option<&Version>) -> Result<Answer, WebError> {
    let mut url = Url::parse(url).ok_or(WebError::Address)?;
    for _ in 0..=REDIRECTS {
        match get(config, &url, known).await? {
            Answer::Elsewhere(other) => url = other,
            answer @ (Answer::Body { .. } | Answer::Same { .. }) => return Ok(answer),
        }
    }
    Err(WebError::Redirects)
}

async fn get(config: &Config, url: &Url, known: Option<&Version>) -> Result<Answer, WebError> {
    let at = url.places(&config.hosts).await.map_err(|closed| match closed {
        Closed::Unnamed => WebError::Host(url.host.clone()),
        Closed::Unknown(error) => error.into(),
        Closed::Private => WebError::Private(url.host.clone()),
    })?;
    let request = http::request(url, &config.agent, known)?;
    let answer = ask((url, &at[..]), &config.trust, request, Some(config.largest)).await?;
    http::answer(url, known, answer)
}

#[cfg(test)]
mod tests;
