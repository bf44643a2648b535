//! A record, where tests need one.

use std::collections::BTreeMap;

use crate::switch::{CallRecord, Direction, EndReason, Status};

impl CallRecord {
    /// Of a call that was answered and hung up.
    pub fn sample(id: &str) -> CallRecord {
        CallRecord {
            id: id.into(),
            parent: None,
            partners: Vec::new(),
            direction: Direction::Inbound,
            from: "4711".into(),
            to: "100".into(),
            trunk: None,
            cost: None,
            sip_call_id: "x".into(),
            peer: None,
            start_ms: 1_800_000_000_000,
            answer_ms: Some(1_800_000_000_100),
            end_ms: 1_800_000_001_000,
            talk_seconds: 0.9,
            total_seconds: 1.0,
            status: Status::Completed,
            end_reason: EndReason::CallerHangup,
            end_detail: None,
            code: Some(200),
            q850: None,
            transferred: false,
            script: None,
            flow_version: None,
            path: Vec::new(),
            path_left_out: 0,
            runs: Vec::new(),
            codec: None,
            quality: None,
            no_audio: None,
            recordings: Vec::new(),
            recorded_parties: Default::default(),
            recording_errors: Vec::new(),
            stir: None,
            vars: BTreeMap::new(),
            error: None,
        }
    }
}
