//! The API: where it listens, how, and how often somebody may ask.

use std::{net::SocketAddr, time::Duration};

use super::{Document, Fault, settings::At};

/// The API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiConf {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Over TLS only, with the certificates of `tls`.
    pub tls: bool,
    /// How often a key may ask in a second; 0: as often as it likes.
    pub requests_per_s: u32,
    /// Connections of an address that is not this machine's; 0: as many as there are.
    pub max_per_address: usize,
    /// How long a session of somebody who logged in lasts.
    pub session: Duration,
}

impl At<'_> {
    /// Absent: there is none.
    pub(super) fn api(&self, document: &Document) -> Result<Option<ApiConf>, Fault> {
        let api = &document.api;
        let requests_per_s = self.number("api.requests_per_s", api.requests_per_s, 0..=1_000_000)?;
        let max_per_address = self.number("api.max_per_address", api.max_per_address, 0..=256)?;
        let hours: u64 = self.number("api.session_hours", api.session_hours, 1..=8760)?;
        if api.listen.is_empty() {
            return Ok(None);
        }
        let allowed = "address:port, such as 127.0.0.1:8088, or empty";
        let listen = api.listen.parse();
        let listen = listen.map_err(|_| self.fault("api.listen", format_args!("\"{}\"", api.listen), allowed))?;
        if api.tls && document.tls.certificate.is_empty() {
            return Err(self.fault("api.tls", "true, and tls.certificate is empty", "false, or a certificate"));
        }
        let session = Duration::from_secs(3600 * hours);
        Ok(Some(ApiConf { listen, tls: api.tls, requests_per_s, max_per_address, session }))
    }
}

#[cfg(test)]
mod tests {
    use crate::conf::Conf;

    #[test]
    fn tls_for_the_api_wants_a_certificate() {
        let listen = "[api]\nlisten = \"127.0.0.1:0\"\n";
        let conf = Conf::read("x", listen).unwrap();
        let api = conf.store.api.expect("it listens");
        assert!(!api.tls);
        let told = Conf::read("x", &format!("{listen}tls = true\n")).unwrap_err().to_string();
        assert!(told.contains("api.tls") && told.contains("tls.certificate is empty"), "{told}");
        let told = Conf::read("x", "[api]\nlisten = \"here\"\n").unwrap_err().to_string();
        assert!(told.contains("api.listen") && told.contains("\"here\""), "{told}");
    }
}
