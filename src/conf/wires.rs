//! What carries SIP besides UDP and TCP, and who looks names up: `[tls]`, `[dns]` and the ports of `[[interface]]`.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

use super::{
    Document, Fault,
    document::{Interface, Port},
    settings::At,
};
use crate::{
    io::{
        dns::DnsConfig,
        streams::tls::{ClientCertificates, TlsConfig},
    },
    sip::Transport,
};

/// Where DNS is where no port is named.
const DNS_PORT: u16 = 53;

impl At<'_> {
    pub(super) fn tls(&self, document: &Document) -> Result<TlsConfig, Fault> {
        let tls = &document.tls;
        let file = |text: &String| (!text.is_empty()).then(|| PathBuf::from(text));
        let clients =
            self.one_of("tls.client_certificates", &tls.client_certificates, &["off", "asked", "required"])?;
        if tls.certificate.is_empty() && !tls.key.is_empty() {
            return Err(self.fault("tls.key", format_args!("{:?}", tls.key), "a file beside tls.certificate"));
        }
        Ok(TlsConfig {
            certificate: file(&tls.certificate),
            key: file(&tls.key),
            more: tls.more.iter().map(PathBuf::from).collect(),
            trust: PathBuf::from(&tls.trust),
            verify: tls.verify,
            clients: match clients.as_str() {
                "asked" => ClientCertificates::Asked,
                "required" => ClientCertificates::Required,
                _ => ClientCertificates::Off,
            },
        })
    }

    pub(super) fn dns(&self, document: &Document) -> Result<DnsConfig, Fault> {
        let dns = &document.dns;
        let one = |text: &String| {
            let alone = || text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, DNS_PORT));
            let server = text.parse().or_else(|_| alone());
            server.map_err(|_| {
                self.fault("dns.servers", format_args!("\"{text}\""), "address or address:port, such as 192.0.2.53")
            })
        };
        Ok(DnsConfig {
            servers: dns.servers.iter().map(one).collect::<Result<_, _>>()?,
            timeout: self.millis("dns.timeout_ms", dns.timeout_ms, 10..=60_000)?,
            max_ttl: self.seconds("dns.max_ttl_s", dns.max_ttl_s, 0..=604_800)?,
            cache: self.number("dns.cache", dns.cache, 0..=1_000_000)?,
        })
    }

    pub(super) fn transports(
        &self,
        index: usize,
        interface: &Interface,
    ) -> Result<[(Transport, Option<u16>); 3], Fault> {
        let one = |name: &str, found: &Port, transport: Transport| {
            let port = match found {
                Port::Word(word) if word.eq_ignore_ascii_case("off") => Ok(None),
                Port::Number(number) => u16::try_from(*number).map(Some).map_err(|_| number.to_string()),
                Port::Word(word) => Err(format!("\"{word}\"")),
            };
            let key = || format!("interface[{index}].{name}");
            Ok((transport, port.map_err(|found| self.fault(&key(), found, "a port, 0 to 65535, or \"off\""))?))
        };
        Ok([
            one("tls", &interface.tls, Transport::Tls)?,
            one("ws", &interface.ws, Transport::Ws)?,
            one("wss", &interface.wss, Transport::Wss)?,
        ])
    }
}
