//! Sounds of web servers: `[web]`.

use std::path::PathBuf;

use serde::Deserialize;

use super::{Document, Fault, settings::At};
use crate::hooks::WebConfig;

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct WebTable {
    pub hosts: Vec<String>,
    pub timeout_ms: u64,
    pub max_mb: u64,
    pub cache_mb: u64,
    pub keep_s: u64,
    pub keep_max_s: u64,
}

impl At<'_> {
    /// Hosts that may be asked, or sent something.
    pub(super) fn hosts(&self, key: &'static str, hosts: &[String]) -> Result<Vec<String>, Fault> {
        let proper = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-');
        match hosts.iter().find(|host| host.is_empty() || !host.bytes().all(proper)) {
            Some(bad) => Err(self.fault(key, format_args!("\"{bad}\""), "names of hosts, or IPv4 addresses")),
            None => Ok(hosts.to_vec()),
        }
    }

    pub(super) fn web(&self, document: &Document) -> Result<WebConfig, Fault> {
        let web = &document.web;
        Ok(WebConfig {
            hosts: self.hosts("web.hosts", &web.hosts)?,
            patience: self.millis("web.timeout_ms", web.timeout_ms, 100..=120_000)?,
            largest: self.number::<usize>("web.max_mb", web.max_mb, 1..=128)? << 20,
            cache: self.number::<usize>("web.cache_mb", web.cache_mb, 1..=65_536)? << 20,
            keep: self.seconds("web.keep_s", web.keep_s, 0..=2_592_000)?,
            keep_most: self.seconds("web.keep_max_s", web.keep_max_s, 0..=2_592_000)?,
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
    fn by_default_every_public_host_may_be_asked_for_sounds() {
        let web = Conf::read("defaults", DEFAULTS).unwrap().web;
        assert_eq!((web.hosts.len(), web.largest, web.keep), (0, 16 << 20, Duration::from_secs(300)));
    }

    #[test]
    fn hosts_and_limits_are_read_and_what_cannot_be_is_told() {
        let text = "[web]\nhosts = [\"prompts.example\", \"10.0.0.7\"]\nmax_mb = 2\nkeep_s = 0\n";
        let web = Conf::read("x.toml", text).unwrap().web;
        assert_eq!((web.hosts.len(), web.largest, web.keep), (2, 2 << 20, Duration::ZERO));
        for (text, want) in [
            ("[web]\nhosts = [\"http://x/\"]", "x.toml:2: web.hosts: found \"http://x/\"; allowed: names of hosts"),
            ("[web]\nmax_mb = 0", "x.toml:2: web.max_mb: found 0; allowed: 1 to 128"),
        ] {
            let told = Conf::read("x.toml", text).unwrap_err().to_string();
            assert!(told.starts_with(want), "{told}");
        }
    }
}
