//! Names looked up (RFC 3263).

use std::time::Duration;

use tokio::{net::lookup_host, time::timeout};

use crate::sip::{Target, Transport};

/// Longest time for a name to be found.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is to be looked up, as the address says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// Host name.
    pub host: String,
    /// Port, where the address has one.
    pub port: Option<u16>,
    /// Transport, where the address has one.
    pub transport: Option<Transport>,
    /// Only what is encrypted will do.
    pub secure: bool,
}

/// Where the name leads to, best first; else why nowhere.
pub async fn resolve(name: Name) -> Result<Vec<Target>, String> {
    let host = name.host;
    let fallback = if name.secure { Transport::Tls } else { Transport::Udp };
    let transport = name.transport.unwrap_or(fallback);
    let found = timeout(PATIENCE, lookup_host((host.as_str(), name.port.unwrap_or(transport.default_port())))).await;
    match found {
        Ok(Ok(addresses)) => {
            let targets: Vec<Target> = addresses.map(|address| Target { transport, address }).collect();
            if targets.is_empty() { Err(format!("{host} has no address")) } else { Ok(targets) }
        }
        Ok(Err(error)) => Err(format!("{host}: {error}")),
        Err(_) => Err(format!("{host}: no answer from the resolver within {} s", PATIENCE.as_secs())),
    }
}
