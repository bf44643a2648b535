//! How a call comes along while it is not over: each step is told once, and none goes back.

use std::{collections::BTreeSet, sync::Arc};

use serde::Serialize;
use utoipa::ToSchema;

use super::{
    Direction, Output, Status,
    call::{Call, State},
    core::Core,
    switch::Switch,
};
use crate::ids::CallId;

/// How a call stands.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Progress {
    /// The id that logs and records carry.
    pub id: String,
    /// By which commands name it; only good while the server runs.
    #[serde(skip)]
    pub call: CallId,
    /// The id of the call whose flow dialled this one.
    pub parent: Option<String>,
    /// Which way it is set up.
    pub direction: Direction,
    /// Who calls: user part, `anonymous` where there is none.
    pub from: String,
    /// Who is called: user part of the Request-URI.
    pub to: String,
    /// The trunk that it came from or goes over; absent: none.
    #[schema(value_type = Option<String>)]
    pub trunk: Option<Arc<str>>,
    /// SIP Call-ID.
    pub sip_call_id: String,
    /// When it began, in ms since 1970.
    pub start_ms: u64,
    /// When it was answered, in ms since 1970; absent: not yet.
    pub answer_ms: Option<u64>,
    /// How far it is; never a final one.
    pub status: Status,
    /// The script that runs on it.
    #[schema(value_type = Option<String>)]
    pub script: Option<Arc<str>>,
}

/// What was told of a call.
#[derive(Default)]
pub(super) struct Told {
    status: Option<Status>,
    script: Option<Arc<str>>,
    /// Other things that happened.
    pub happenings: u32,
}

impl Told {
    /// Its first step was told.
    pub fn is_anything(&self) -> bool {
        self.status.is_some()
    }
}

impl Switch {
    /// The ids, as records have them, of all calls that have no record yet.
    pub fn names(&self) -> BTreeSet<String> {
        self.calls.values().filter(|call| !call.recorded).map(|call| call.name.clone()).collect()
    }

    /// Tell how a call stands, where that is news.
    pub(super) fn tell_progress(&mut self, id: CallId) {
        if let Some(call) = self.calls.get_mut(&id) {
            call.tell_progress(&mut self.core);
        }
    }
}

impl Call {
    /// Tell how it stands, where that is news.
    pub(super) fn tell_progress(&mut self, core: &mut Core) {
        if self.over.is_some() {
            return;
        }
        let status = self.told.status.map_or(self.standing(), |told| told.max(self.standing()));
        if self.told.status == Some(status) && self.told.script == self.about.script {
            return;
        }
        (self.told.status, self.told.script) = (Some(status), self.about.script.clone());
        let progress = self.stand(core, status);
        core.out.push_back(Output::Progress(Box::new(progress)));
    }

    fn standing(&self) -> Status {
        if self.is_answered() {
            return Status::InProgress;
        }
        match &self.state {
            State::Incoming(incoming) if incoming.rings() => Status::Ringing,
            State::Incoming(_) | State::Accepting(_) => Status::Initiated,
            State::Locating(_) => Status::Queued,
            State::Inviting(inviting) if inviting.outgoing.rang => Status::Ringing,
            State::Inviting(_) => Status::Initiated,
            // Without an answer it is on its way out.
            State::Talking { .. } | State::Gone => Status::Initiated,
        }
    }

    /// How it stands at this moment.
    pub fn stands_now(&self, core: &Core) -> Progress {
        self.stand(core, self.standing())
    }

    fn stand(&self, core: &Core, status: Status) -> Progress {
        let unix = |at| u64::try_from(core.epoch.unix(at).as_millis()).unwrap_or(u64::MAX);
        let about = &self.about;
        Progress {
            id: self.name.clone(),
            call: self.id,
            parent: about.parent.clone(),
            direction: about.direction,
            from: about.from.clone(),
            to: about.to.clone(),
            trunk: self.trunk.as_ref().map(|on| on.name.clone()),
            sip_call_id: self.key.0.clone(),
            start_ms: unix(about.started),
            answer_ms: about.answered.map(unix),
            status,
            script: about.script.clone(),
        }
    }
}
