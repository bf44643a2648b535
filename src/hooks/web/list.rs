//! Play lists of web servers: small texts, asked for each time they are played.

use std::sync::Arc;

use tokio::time::timeout;

use super::{Answer, Config, WebError, follow};
use crate::{
    audio::m3u,
    io::FetchSound,
    switch::Input,
    verbs::{NoSound, Sound},
};

/// The list at an address, as an answer to who wants it played.
pub(super) async fn fetch(config: Arc<Config>, FetchSound { load, url, .. }: FetchSound) -> Input {
    let patience = config.patience;
    let late = |_| WebError::Timeout(patience.as_millis());
    let result = match timeout(patience, follow(&config, &url, None)).await.map_err(late) {
        Ok(Ok(Answer::Body { bytes, .. })) => m3u::entries(&url, &bytes),
        // Nothing was here before that could be the same.
        Ok(Ok(Answer::Same { .. } | Answer::Elsewhere(_))) => told(&url, &WebError::Http),
        Ok(Err(error)) | Err(error) => told(&url, &error),
    };
    Input::Listed { load, result }
}

fn told(url: &str, error: &WebError) -> Result<Vec<Sound>, NoSound> {
    Err(NoSound::new(error.fault(), format!("{url}: {error}")))
}
