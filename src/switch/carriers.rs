//! How carriers and phones stand, for who shows it: registrations and until when, calls in use, and what failed last.

use std::{collections::BTreeMap, fmt, sync::Arc};

use super::{Trunk, call::Call, core::Core, switch::Switch};
use crate::time::Time;

/// Something that failed, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// What, in a few words.
    pub why: String,
    /// When.
    pub at: Time,
}

/// How a carrier stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrunkView {
    /// Its name.
    pub name: String,
    /// Calls in use, both ways.
    pub calls: usize,
    /// Most calls at a time; 0: no limit.
    pub most: usize,
    /// Our registration there; absent: we have none.
    pub seat: Option<SeatView>,
    /// Its targets, and whether they answered when they were last asked; absent: nobody asked yet.
    pub targets: Vec<(String, Option<bool>)>,
    /// Why a call of ours was last not taken for a reason of the carrier's.
    pub trouble: Option<Trouble>,
}

/// Our registration with a carrier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeatView {
    /// Until when it keeps us; absent: it does not.
    pub until: Option<Time>,
    /// What failed last.
    pub trouble: Option<Trouble>,
}

/// Why a carrier did not take a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CallFault {
    /// It refused with this code.
    Refused(u16),
    /// It said nothing, or nothing but 100.
    Silent,
    /// Nothing can be delivered there.
    Unreachable,
}

impl fmt::Display for CallFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CallFault::Refused(code) => write!(f, "refused with {code}"),
            CallFault::Silent => f.write_str("no answer came"),
            CallFault::Unreachable => f.write_str("it could not be delivered"),
        }
    }
}

impl Call {
    /// Its INVITE failed, and the carrier that it went over is to blame.
    pub fn blame(&self, core: &mut Core, fault: CallFault) {
        if let Some(on) = &self.trunk {
            core.trunks.failed(&on.name, Trouble { why: fault.to_string(), at: core.now });
        }
    }

    /// As [`Self::blame`], where the code says that another carrier may do better.
    pub fn blame_for(&self, core: &mut Core, code: u16) {
        if core.config.trunking.outbound.next_on.contains(&code) {
            self.blame(core, CallFault::Refused(code));
        }
    }
}

impl Switch {
    /// How all carriers stand, in the order of the configuration.
    pub fn trunks(&self) -> Vec<TrunkView> {
        let core = &self.core;
        let view = |trunk: &Arc<Trunk>| {
            let (calls, trouble) = core.trunks.standing(&trunk.name);
            let (seat, targets) = core.links.view(trunk);
            TrunkView { name: trunk.name.to_string(), calls, most: trunk.calls, seat, targets, trouble }
        };
        core.config.trunking.trunks.iter().map(view).collect()
    }

    /// How many calls each phone has, by its user; those without are left out.
    pub fn phone_calls(&self) -> BTreeMap<String, usize> {
        let mut all = BTreeMap::new();
        for user in self.calls.values().filter(|call| call.over.is_none()).filter_map(|call| call.phone.as_deref()) {
            *all.entry(user.to_owned()).or_default() += 1;
        }
        all
    }
}
