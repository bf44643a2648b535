//! Where phones are, for who shows or keeps it: told whenever it changes, and taken back after a restart.

use super::{Binding, Output, switch::Switch};

impl Switch {
    /// Where phones are registered: by user, the newest last.
    pub fn registrations(&self) -> impl Iterator<Item = (&str, &Binding)> {
        self.core.desk.registrar.all()
    }

    /// Puts `bindings`, kept from before a restart, in the place of what `user` had. Connections are gone: who was behind
    /// one is called at the address that it told, and flows of Outbound (RFC 5626) end with them. So does what came by an
    /// interface that is no more.
    pub fn restore_registrations(&mut self, user: &str, bindings: Vec<Binding>) {
        let core = &mut self.core;
        if core.config.phones.user(user).is_none() {
            return;
        }
        let interfaces = &core.config.sip.interfaces;
        let usable = |mut one: Binding| {
            let Some(hop) = one.hop else { return Some(one) };
            let interface = interfaces.get(usize::from(hop.interface.0));
            let there = interface.is_some_and(|i| i.advertised.is_ipv6() == hop.remote.is_ipv6());
            if there && !hop.transport.is_reliable() {
                return Some(one);
            }
            one.hop = None;
            (one.reg_id.is_none() && hop.transport.can_connect()).then_some(one)
        };
        let bindings: Vec<Binding> = bindings.into_iter().filter_map(usable).collect();
        core.desk.registrar.set(user, bindings);
        core.schedule_pings();
    }

    /// The next change.
    pub(super) fn poll_registered(&mut self) -> Option<Output> {
        let (user, bindings) = self.core.desk.registrar.take_changed()?;
        Some(Output::Registered { user, bindings })
    }
}
