//! File descriptors: how many the configuration may need, and whether the system grants them.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::{api::MOST_CONNECTIONS, conf::Conf, io::interfaces::expand};

/// Kept for files, logs, the speech engine's pipes, epoll, eventfds.
const OTHERS: u64 = 200;

/// Not enough descriptors for what the configuration promises.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "sip.max_calls = {calls} and sip.max_connections = {connections} may need {needed} file descriptors; allowed here: {allowed}. \
     Raise the limit (ulimit -n, LimitNOFILE=) or lower these keys"
)]
pub struct TooFew {
    calls: usize,
    connections: usize,
    needed: u64,
    allowed: u64,
}

/// Raise the soft limit as far as is needed and allowed.
pub(super) fn grant(conf: &Conf) -> Result<(), TooFew> {
    let needed = needed(conf);
    // A system that does not tell its limit will tell when it is reached.
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return Ok(()) };
    if soft < needed {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, needed.min(hard), hard);
    }
    let allowed = getrlimit(Resource::RLIMIT_NOFILE).map_or(soft, |(soft, _)| soft);
    fits(conf, allowed)
}

/// Two sockets a leg, one a connection, five an address that is listened on, and those of the API.
fn needed(conf: &Conf) -> u64 {
    // An interface of all addresses becomes one for each; what cannot be listed fails when it is opened.
    let addresses = |bind| expand(bind).map_or(1, |all| all.len());
    let listened: usize = conf.interfaces.iter().map(|interface| addresses(interface.bind)).sum();
    let api = if conf.store.api.is_some() { MOST_CONNECTIONS } else { 0 };
    let sockets = 2 * conf.sip.max_calls + conf.sip.max_connections + 5 * listened + api;
    sockets as u64 + OTHERS
}

fn fits(conf: &Conf, allowed: u64) -> Result<(), TooFew> {
    let needed = needed(conf);
    if needed <= allowed {
        return Ok(());
    }
    Err(TooFew { calls: conf.sip.max_calls, connections: conf.sip.max_connections, needed, allowed })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_few_descriptors_are_told_with_the_keys_to_change() {
        let conf = Conf::read("x", "[[interface]]\nbind = \"127.0.0.1:0\"\n").unwrap();
        assert_eq!(fits(&conf, 100_000), Ok(()));
        let told = fits(&conf, 1024).unwrap_err().to_string();
        assert!(told.contains("sip.max_calls = 2000") && told.contains("5205") && told.contains("1024"), "{told}");
    }
}
