//! What is noted of a call for its record, while it goes on.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use crate::{
    sip::Uri,
    switch::{Direction, runs::Runs, telephone},
    time::Time,
    verbs::Ran,
};

/// Most calls that a record says it talked with.
const PARTNERS: usize = 32;

/// What the record will say.
pub(in crate::switch) struct About {
    /// The name of the call whose flow dialled this one.
    pub parent: Option<String>,
    /// The names of the calls that it talked with, in turn.
    pub partners: Vec<String>,
    pub direction: Direction,
    pub from: String,
    pub to: String,
    pub peer: Option<SocketAddr>,
    pub started: Time,
    pub answered: Option<Time>,
    pub script: Option<Arc<str>>,
    pub vars: BTreeMap<String, String>,
    pub files: Vec<String>,
    pub recorded_parties: BTreeMap<String, Vec<String>>,
    pub file_errors: Vec<String>,
    pub error: Option<String>,
    /// What its scripts did, as far as they are over.
    pub ran: Ran,
    /// Each of its scripts by itself.
    pub runs: Runs,
}

impl About {
    /// A call begins now, in the name of `from`.
    pub fn new(direction: Direction, from: &Uri, to: String, now: Time) -> About {
        About {
            parent: None,
            partners: Vec::new(),
            direction,
            from: telephone::of(from).unwrap_or_else(|| "anonymous".to_owned()),
            to,
            peer: None,
            started: now,
            answered: None,
            script: None,
            vars: BTreeMap::new(),
            files: Vec::new(),
            recorded_parties: BTreeMap::new(),
            file_errors: Vec::new(),
            error: None,
            ran: Ran::default(),
            runs: Runs::default(),
        }
    }

    /// It talks with this one now.
    pub fn note_partner(&mut self, partner: &str) {
        self.partners.retain(|known| known != partner);
        if self.partners.len() == PARTNERS {
            self.partners.remove(0);
        }
        self.partners.push(partner.to_owned());
    }
}
