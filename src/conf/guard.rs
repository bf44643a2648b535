//! `[guard]`, and the access lists of the interfaces.

use super::{
    Fault,
    document::{self, Document},
    settings::At,
};
use crate::switch::{Access, GuardConfig, Network};

impl At<'_> {
    pub(super) fn guard(&self, document: &Document) -> Result<GuardConfig, Fault> {
        let guard = &document.guard;
        let scanners = guard.scanners.iter().map(|name| name.to_lowercase()).collect::<Vec<_>>();
        if scanners.iter().any(|name| name.trim().is_empty()) {
            return Err(self.fault("guard.scanners", "\"\"", "names; an empty one would be everybody's"));
        }
        Ok(GuardConfig {
            trusted: self.networks("guard.trusted", &guard.trusted)?,
            access: Vec::new(),
            rate: self.number("guard.rate", guard.rate, 0..=1_000_000)?,
            burst: self.number("guard.burst", guard.burst, 1..=1_000_000)?,
            ban_after: self.number("guard.ban_after", guard.ban_after, 0..=1_000_000)?,
            window: self.seconds("guard.window_s", guard.window_s, 1..=86_400)?,
            ban: self.seconds("guard.ban_s", guard.ban_s, 1..=31_536_000)?,
            ban_max: self.seconds("guard.ban_max_s", guard.ban_max_s, guard.ban_s..=31_536_000)?,
            scanners,
            max_sources: self.number("guard.max_sources", guard.max_sources, 100..=10_000_000)?,
            shed_after: self.millis("guard.shed_after_ms", guard.shed_after_ms, 0..=10_000)?,
            shed_answers: self.number("guard.shed_answers", guard.shed_answers, 0..=1_000_000)?,
        })
    }

    pub(super) fn access(&self, index: usize, interface: &document::Interface) -> Result<Access, Fault> {
        let list = |name: &str, found: &[String]| self.networks(&format!("interface[{index}].{name}"), found);
        Ok(Access { allow: list("allow", &interface.allow)?, deny: list("deny", &interface.deny)? })
    }

    fn networks(&self, key: &str, found: &[String]) -> Result<Vec<Network>, Fault> {
        let one = |text: &String| {
            let allowed = "an address, or a network such as 192.0.2.0/24 or 2001:db8::/32";
            text.parse().map_err(|_| self.fault(key, format_args!("\"{text}\""), allowed))
        };
        found.iter().map(one).collect()
    }
}
