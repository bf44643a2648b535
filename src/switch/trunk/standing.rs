//! How each carrier stands: the calls that it has.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc, time::Duration};

use super::{Trunk, Trunking, limit::Pace};
use crate::{switch::carriers::Trouble, time::Time};

/// Why a carrier takes no more calls now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::switch) enum Full {
    /// As many calls as allowed.
    Calls,
    /// As many calls a second as allowed; one more may begin after this time.
    Pace(Duration),
    /// A cap of the operator's is used up.
    Cap,
    /// The operator took the carrier away.
    Gone,
}

impl Full {
    pub const fn as_str(self) -> &'static str {
        match self {
            Full::Calls => "trunk's calls",
            Full::Pace(_) => "trunk's calls a second",
            Full::Cap => "outbound cap",
            Full::Gone => "trunk is gone",
        }
    }
}

impl Full {
    /// When to come again; `else_after` where that is not known.
    pub fn after(self, else_after: Duration) -> Duration {
        match self {
            Full::Pace(wait) => wait,
            Full::Calls | Full::Cap | Full::Gone => else_after,
        }
    }
}

/// All carriers at this moment.
#[derive(Debug, Default)]
pub(in crate::switch) struct Trunks {
    standing: BTreeMap<Arc<str>, Standing>,
}

#[derive(Debug, Default)]
struct Standing {
    calls: usize,
    pace: Pace,
    trouble: Option<Trouble>,
}

impl Trunks {
    /// The carrier that calls from `source` belong to: the one that names it most exactly, the first of equals.
    pub fn of<'a>(&self, trunking: &'a Trunking, source: IpAddr) -> Option<&'a Arc<Trunk>> {
        let bits = |trunk: &Trunk| trunk.sources.iter().filter(|n| n.contains(source)).map(|n| n.bits()).max();
        let named = trunking.trunks.iter().filter_map(|trunk| Some((bits(trunk)?, trunk)));
        named.rev().max_by_key(|(bits, _)| *bits).map(|(_, trunk)| trunk)
    }

    /// A call begins over `trunk`; it is to be given back by [`Trunks::leave`]. An `emergency` always begins.
    pub fn enter(&mut self, trunk: &Trunk, now: Time, emergency: bool) -> Result<(), Full> {
        let standing = self.standing.entry(trunk.name.clone()).or_default();
        let wait = standing.pace.wait(now, trunk.calls_per_second);
        if !emergency && trunk.calls > 0 && standing.calls >= trunk.calls {
            return Err(Full::Calls);
        }
        if !emergency && wait > Duration::ZERO {
            return Err(Full::Pace(wait));
        }
        standing.pace.begin(now, trunk.calls_per_second);
        standing.calls += 1;
        Ok(())
    }

    /// A call was not taken by `trunk`.
    pub fn failed(&mut self, trunk: &Arc<str>, trouble: Trouble) {
        self.standing.entry(trunk.clone()).or_default().trouble = Some(trouble);
    }

    /// The calls that `trunk` has, and why it did not take one last.
    pub fn standing(&self, trunk: &str) -> (usize, Option<Trouble>) {
        self.standing.get(trunk).map_or((0, None), |standing| (standing.calls, standing.trouble.clone()))
    }

    /// A call over `trunk` is over.
    pub fn leave(&mut self, trunk: &str) {
        if let Some(standing) = self.standing.get_mut(trunk) {
            standing.calls = standing.calls.saturating_sub(1);
        }
    }
}
