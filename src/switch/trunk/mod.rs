//! Carriers: where calls of which numbers go and come from, and what each carrier wants to see (RFC 3261, 3323, 3325).
//!
//! [`Trunking`] is what the operator wrote. [`Trunks`] is what became of it: who is in a call, what was spent, which
//! carrier answers and where we are registered. Nothing here knows of calls; `outbound.rs` joins the two.

mod cap;
mod choose;
mod config;
mod header;
mod health;
mod identity;
mod limit;
mod standing;

pub use cap::{Alarm, Cap, CapBy};
pub use config::{Identity, KeysOut, Outbound, Rewrite, Rule, Trail, Trunk, Trunking, Voucher};
pub use header::{HeaderRule, What};

pub(super) use cap::{Counted, Counts, Ticket};
pub(super) use choose::{Denied, Way, is_emergency, ways};
pub(super) use health::{Condition, Due, Health, is_well};
pub(super) use identity::{Caller, dress};
pub(super) use standing::{Full, Trunks};
