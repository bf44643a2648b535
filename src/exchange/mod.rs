//! The whole logic in one machine. Today that is the [`Switch`] alone; queues, campaigns and triggers, and the routing
//! between them, have their place here.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    switch::{Binding, Config, Counts, Guarded, Input, Output, Switch, TrunkView},
    time::{Epoch, Time},
};

/// All that decides. [`Exchange::handle`] takes what happened, then [`Exchange::poll`] is drained, then
/// [`Exchange::timeout`] says when to come back.
pub struct Exchange {
    switch: Switch,
}

impl Exchange {
    /// Without calls. `epoch` dates the records; `seed` makes tags and identifiers.
    pub fn new(config: Config, epoch: Epoch, seed: u64) -> Exchange {
        Exchange { switch: Switch::new(config, epoch, seed) }
    }

    /// Something happened.
    pub fn handle(&mut self, now: Time, input: Input) {
        self.switch.handle(now, input);
    }

    /// Time passed.
    pub fn handle_timeout(&mut self, now: Time) {
        self.switch.handle_timeout(now);
    }

    /// The next moment [`Exchange::handle_timeout`] has something to do.
    pub fn timeout(&self) -> Option<Time> {
        self.switch.timeout()
    }

    /// The next thing to be done.
    pub fn poll(&mut self) -> Option<Output> {
        self.switch.poll()
    }

    /// What holds for what comes from now on.
    pub fn config(&self) -> &Config {
        self.switch.config()
    }

    /// No new calls are taken.
    pub fn is_draining(&self) -> bool {
        self.switch.is_draining()
    }

    /// Where phones are registered, by user.
    pub fn registrations(&self) -> impl Iterator<Item = (&str, &Binding)> {
        self.switch.registrations()
    }

    /// How all carriers stand.
    pub fn trunks(&self) -> Vec<TrunkView> {
        self.switch.trunks()
    }

    /// How many calls each phone has, by its user.
    pub fn phone_calls(&self) -> BTreeMap<String, usize> {
        self.switch.phone_calls()
    }

    /// As [`Switch::restore_registrations`].
    pub fn restore_registrations(&mut self, user: &str, bindings: Vec<Binding>) {
        self.switch.restore_registrations(user, bindings);
    }

    /// As [`Switch::names`].
    pub fn names(&self) -> BTreeSet<String> {
        self.switch.names()
    }

    /// What was kept out so far.
    pub fn guarded(&self) -> Guarded {
        self.switch.guarded()
    }

    /// What is held at the moment.
    pub fn counts(&self) -> Counts {
        self.switch.counts()
    }
}
