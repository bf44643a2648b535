//! What scripts see of the registrar.

use super::core::Core;
use crate::verbs::{Failure, Registration, Reply};

impl Core {
    /// Where the phone with this number or user is registered, the newest last.
    pub fn registrations_of(&self, phone: &str) -> Result<Reply, Failure> {
        let phone = self.config.phones.called(phone).ok_or(Failure::NoSuchPhone)?;
        let bindings = self.desk.registrar.of(&phone.credentials.user).iter();
        let places = bindings.filter(|binding| binding.until > self.now).map(|binding| Registration {
            contact: binding.contact.uri.to_string(),
            source: binding.hop.map(|hop| hop.remote.to_string()),
            transport: binding.hop.map(|hop| hop.transport.name()),
            agent: binding.agent.clone(),
            expires: binding.until - self.now,
            answers: !binding.silent,
        });
        Ok(Reply::Registrations(places.collect()))
    }
}
