//! What the control task shows of itself and of the media threads.

use super::{Control, Figures, View};

impl Control {
    /// How busy everybody is.
    pub(super) fn figures(&self) -> Figures {
        let trunks = &self.exchange.config().trunking.trunks;
        Figures {
            counts: self.exchange.counts(),
            draining: self.exchange.is_draining(),
            workers: self.ends.workers.iter().map(|worker| (worker.counters(), worker.load())).collect(),
            hooks: self.waits.waited().to_vec(),
            trunks: trunks.iter().map(|trunk| trunk.name.to_string()).collect(),
            phones: self.exchange.registrations().count(),
            records_lost: self.records_lost,
            facts_lost: self.ends.facts.lost(),
        }
    }

    /// How things are.
    pub(super) fn view(&self) -> View {
        let phones = self.exchange.registrations().map(|(user, at)| (user.to_owned(), at.clone())).collect();
        let config = self.exchange.config();
        View {
            counts: self.exchange.counts(),
            draining: self.exchange.is_draining(),
            numbers: config.routes.iter().map(|r| (r.number.to_string(), r.service.to_string())).collect(),
            trunks: self.exchange.trunks(),
            phone_calls: self.exchange.phone_calls(),
            phones,
        }
    }
}
