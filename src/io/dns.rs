//! Names looked up as SIP wants it (RFC 3263): NAPTR, SRV, then addresses. Answers are kept as long as they say, at most
//! as long as the operator says; that a name or a server is not there is kept for a moment only.

use std::{
    hash::{BuildHasher, RandomState},
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use futures_util::future::join_all;
use hickory_resolver::{
    TokioResolver,
    config::{ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolverConfig, ResolverOpts},
    net::{NetError, runtime::TokioRuntimeProvider},
    proto::rr::{RData, RecordType},
};
use tokio::time::timeout;

use crate::sip::{Naptr, Srv, Target, Transport, records};

/// Longest time for a name to be found, with all that it takes.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest time that "there is no such record" is believed.
const NEGATIVE: Duration = Duration::from_secs(30);
/// Targets that are taken of one name.
const MOST: usize = 32;
/// Questions that one connection to a server may have open.
const QUESTIONS: usize = 1024;

/// Who is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsConfig {
    /// Servers; empty: those of the system.
    pub servers: Vec<SocketAddr>,
    /// How long one server may take.
    pub timeout: Duration,
    /// Longest time that an answer is kept.
    pub max_ttl: Duration,
    /// How many answers are kept.
    pub cache: u64,
}

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

/// Looks names up. Copies share what they know.
#[derive(Clone)]
pub struct Dns {
    resolver: TokioResolver,
}

impl Dns {
    /// To be called within the runtime that will ask.
    pub fn new(config: &DnsConfig) -> Result<Dns, NetError> {
        let mut builder = if config.servers.is_empty() {
            TokioResolver::builder_tokio()?
        } else {
            let servers = config.servers.iter().map(|at| server(*at)).collect();
            let servers = ResolverConfig::from_name_servers(servers);
            TokioResolver::builder_with_config(servers, TokioRuntimeProvider::default())
        };
        let options: &mut ResolverOpts = builder.options_mut();
        options.timeout = config.timeout;
        options.attempts = 1;
        options.cache_size = config.cache;
        options.positive_max_ttl = Some(config.max_ttl);
        options.negative_max_ttl = Some(NEGATIVE.min(config.max_ttl));
        options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
        options.max_active_requests = QUESTIONS;
        Ok(Dns { resolver: builder.build()? })
    }

    /// Where the name leads to, best first; else why nowhere.
    pub async fn resolve(&self, name: Name) -> Result<Vec<Target>, String> {
        let host = name.host.clone();
        let mut targets = match timeout(PATIENCE, self.targets(name)).await {
            Ok(found) => found?,
            Err(_) => return Err(format!("{host}: no answer from the DNS within {} s", PATIENCE.as_secs())),
        };
        targets.truncate(MOST);
        if targets.is_empty() { Err(format!("{host}: no address")) } else { Ok(targets) }
    }

    async fn targets(&self, name: Name) -> Result<Vec<Target>, String> {
        let Name { host, port, transport, secure } = name;
        let alone = transport.unwrap_or(if secure { Transport::Tls } else { Transport::Udp });
        let found = match (port, transport) {
            // A port says that SRV records are not wanted (section 4.2).
            (Some(_), _) => Vec::new(),
            (None, Some(transport)) => self.srv(transport, &records::srv_name(transport, &host)).await?,
            (None, None) => self.by_services(&host, secure).await?,
        };
        if !found.is_empty() {
            return Ok(found);
        }
        let addresses = self.addresses(&host).await.map_err(|error| format!("{host}: {error}"))?;
        let port = port.unwrap_or(alone.default_port());
        Ok(addresses.into_iter().map(|ip| target(alone, ip, port)).collect())
    }

    /// The transports that the domain offers, then the hosts of each (section 4.1).
    async fn by_services(&self, host: &str, secure: bool) -> Result<Vec<Target>, String> {
        let ways = records::ways(self.naptr(host).await, secure);
        let mut targets = Vec::new();
        for (transport, name) in &ways {
            targets.extend(self.srv(*transport, name).await?);
        }
        if !targets.is_empty() {
            return Ok(targets);
        }
        let names: Vec<_> = records::usual(secure).iter().map(|t| (*t, records::srv_name(*t, host))).collect();
        for found in join_all(names.iter().map(|(transport, name)| self.srv(*transport, name))).await {
            match found {
                Ok(found) if found.is_empty() => {}
                decided => return decided,
            }
        }
        Ok(Vec::new())
    }

    /// A domain without NAPTR, or a server that does not know them, costs nothing but the question.
    async fn naptr(&self, host: &str) -> Vec<Naptr> {
        let Ok(found) = self.resolver.lookup(absolute(host), RecordType::NAPTR).await else { return Vec::new() };
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let read = |data: &RData| match data {
            RData::NAPTR(naptr) => Some(Naptr {
                order: naptr.order,
                preference: naptr.preference,
                flags: text(&naptr.flags),
                service: text(&naptr.services),
                replacement: naptr.replacement.to_ascii(),
            }),
            _ => None,
        };
        found.answers().iter().filter_map(|record| read(&record.data)).collect()
    }

    /// The hosts of an SRV name in the order of trying, with their addresses. Empty: there is no such record. An error:
    /// the domain says that it has no such service (RFC 2782: the host `.`).
    async fn srv(&self, transport: Transport, name: &str) -> Result<Vec<Target>, String> {
        let Ok(found) = self.resolver.lookup(absolute(name), RecordType::SRV).await else { return Ok(Vec::new()) };
        let read = |data: &RData| match data {
            RData::SRV(srv) => {
                let (priority, weight, port) = (srv.priority, srv.weight, srv.port);
                Some(Srv { priority, weight, port, host: srv.target.to_ascii() })
            }
            _ => None,
        };
        let all: Vec<Srv> = found.answers().iter().filter_map(|record| read(&record.data)).collect();
        if !all.is_empty() && all.iter().all(|srv| srv.host == ".") {
            return Err(format!("{name}: there is no such service"));
        }
        let dice = RandomState::new();
        let mut thrown = 0u32;
        let ordered = records::in_order(all, |most| {
            thrown += 1;
            (dice.hash_one(thrown) % (u64::from(most) + 1)) as u32
        });
        let looked_up = ordered.iter().take(MOST).map(|srv| async {
            // A host without an address is one target less, not the end of the others.
            let addresses = self.addresses(&srv.host).await.unwrap_or_default();
            addresses.into_iter().map(|ip| target(transport, ip, srv.port)).collect::<Vec<_>>()
        });
        Ok(join_all(looked_up).await.concat())
    }

    async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, NetError> {
        Ok(self.resolver.lookup_ip(absolute(host)).await?.iter().collect())
    }
}

fn server(at: SocketAddr) -> NameServerConfig {
    let connection = |mut connection: ConnectionConfig| {
        connection.port = at.port();
        connection
    };
    let connections = vec![connection(ConnectionConfig::udp()), connection(ConnectionConfig::tcp())];
    NameServerConfig::new(at.ip(), true, connections)
}

/// A name with a dot is meant as it is; the search list of the system is for short names only.
fn absolute(host: &str) -> String {
    if host.contains('.') && !host.ends_with('.') { format!("{host}.") } else { host.to_owned() }
}

fn target(transport: Transport, ip: IpAddr, port: u16) -> Target {
    Target { transport, address: SocketAddr::new(ip, port) }
}

#[cfg(test)]
mod tests;
