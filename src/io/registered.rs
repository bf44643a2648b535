//! Where phones are, on its way to the disk and back.

use super::control::Control;
use crate::switch::Binding;

impl Control {
    /// Before it runs: where a phone was when the program ran last.
    pub fn restore(&mut self, user: &str, bindings: Vec<Binding>) {
        self.exchange.restore_registrations(user, bindings);
    }

    /// Something changed: the disk shall know.
    pub(super) fn keep_registrations(&mut self, user: String, bindings: Vec<Binding>) {
        if self.ends.registrations.try_send((user, bindings)).is_err() {
            tracing::warn!("a registration is not kept over a restart: the disk is too slow");
        }
    }
}
