//! Programs outside that calls are streamed to: `[stream]`.

use std::path::PathBuf;

use serde::Deserialize;

use super::{Document, Fault, settings::At};
use crate::hooks::StreamConfig;

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct StreamTable {
    pub hosts: Vec<String>,
    pub timeout_ms: u64,
    pub max: u64,
}

impl At<'_> {
    pub(super) fn stream(&self, document: &Document) -> Result<StreamConfig, Fault> {
        let stream = &document.stream;
        Ok(StreamConfig {
            hosts: self.hosts("stream.hosts", &stream.hosts)?,
            patience: self.millis("stream.timeout_ms", stream.timeout_ms, 100..=120_000)?,
            most: self.number("stream.max", stream.max, 0..=10_000)?,
            trust: PathBuf::from(&document.tls.trust),
            agent: document.sip.agent.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::conf::{Conf, DEFAULTS};

    #[test]
    fn by_default_every_public_host_may_be_sent_audio_and_others_are_named() {
        let stream = Conf::read("defaults", DEFAULTS).unwrap().stream;
        assert_eq!((stream.hosts.len(), stream.most, stream.patience), (0, 100, Duration::from_secs(5)));
        let text = "[stream]\nhosts = [\"10.0.0.7\", \"stt.example\"]\nmax = 7\n";
        let stream = Conf::read("x.toml", text).unwrap().stream;
        assert_eq!((stream.hosts.len(), stream.most), (2, 7));
        for (text, want) in [
            ("[stream]\nhosts = [\"ws://x\"]", "x.toml:2: stream.hosts: found \"ws://x\"; allowed: names of hosts"),
            ("[stream]\nmax = 10001", "x.toml:2: stream.max: found 10001; allowed: 0 to 10000"),
        ] {
            let told = Conf::read("x.toml", text).unwrap_err().to_string();
            assert!(told.starts_with(want), "{told}");
        }
    }
}
