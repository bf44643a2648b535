//! The flows that ran on a call, one after another, for its record.

use std::{collections::VecDeque, sync::Arc};

use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    ids::FlowId,
    time::{Epoch, Time},
    verbs::{FlowEnd, Ran},
};

/// Most runs that a record tells of: the last ones.
const KEPT: usize = 32;

/// One run of a flow on a call.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct FlowRun {
    /// The script.
    #[schema(value_type = String)]
    pub script: Arc<str>,
    /// Which text of it: as the record's `flow_version`. Absent: it never came to run.
    #[schema(value_type = Option<String>)]
    pub version: Option<Arc<str>>,
    /// When it began, in ms since 1970.
    pub began_ms: u64,
    /// When it ended, in ms since 1970; absent: it had not when the record was made.
    pub ended_ms: Option<u64>,
    /// How it ended; absent: it had not.
    pub end: Option<RunEnd>,
    /// What it did, step by step, with its line. At most the first 32 and the last 32 steps.
    pub path: Vec<String>,
    /// Steps between these that were left out.
    pub path_left_out: u64,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunEnd {
    /// The script's last line was reached.
    Finished,
    /// The call was over before.
    CallOver,
    /// The call moved on to another flow.
    Replaced,
    /// The script failed.
    Error,
    /// A limit stopped it.
    Limit,
}

impl RunEnd {
    /// As the script thread tells it.
    pub(super) fn of(end: &FlowEnd) -> RunEnd {
        match end {
            FlowEnd::Finished => RunEnd::Finished,
            FlowEnd::Stopped => RunEnd::CallOver,
            FlowEnd::Error(_) => RunEnd::Error,
            FlowEnd::Limit(_) => RunEnd::Limit,
        }
    }
}

struct Run {
    flow: FlowId,
    script: Arc<str>,
    began: Time,
    ended: Option<(Time, RunEnd)>,
    ran: Ran,
}

/// See the module's words.
#[derive(Default)]
pub(super) struct Runs(VecDeque<Run>);

impl Runs {
    /// A flow begins.
    pub fn begin(&mut self, flow: FlowId, script: Arc<str>, now: Time) {
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        self.0.push_back(Run { flow, script, began: now, ended: None, ran: Ran::default() });
    }

    /// It is over. What is no run of a script is not known here.
    pub fn end(&mut self, flow: FlowId, end: RunEnd, ran: &Ran, now: Time) {
        if let Some(run) = self.0.iter_mut().rfind(|run| run.flow == flow) {
            run.ended = Some((now, end));
            run.ran = ran.clone();
        }
    }

    /// As the record has them.
    pub fn told(&self, epoch: &Epoch) -> Vec<FlowRun> {
        let unix = |at: Time| u64::try_from(epoch.unix(at).as_millis()).unwrap_or(u64::MAX);
        let told = |run: &Run| FlowRun {
            script: run.script.clone(),
            version: run.ran.version.clone(),
            began_ms: unix(run.began),
            ended_ms: run.ended.map(|(at, _)| unix(at)),
            end: run.ended.map(|(_, end)| end),
            path: run.ran.steps().map(str::to_owned).collect(),
            path_left_out: run.ran.left_out(),
        };
        self.0.iter().map(told).collect()
    }
}
