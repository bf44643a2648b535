//! Recordings of bridges: all that is said in a room, whoever comes and goes, as long as somebody is in it.

use super::{Block, Ends, Engine, Frame, Layout, bridge::BridgeSlot, recorder::Recorder};
use crate::{
    codec::Rate,
    ids::{BridgeId, PortId, RecordingId},
    verbs::RecordEnd,
};

/// Recordings of bridges at a time; one more ends at once.
pub(super) const TAPES: usize = 256;

/// One recording of a bridge.
#[derive(Debug)]
pub(super) struct Tape {
    bridge: BridgeSlot,
    /// What stands in place of a port in all that is said about it.
    name: PortId,
    recorder: Recorder,
}

impl Engine {
    /// Record a bridge.
    pub(super) fn record_bridge(
        &mut self,
        bridge: BridgeId,
        (name, recording): (PortId, RecordingId),
        (rate, ends): (Rate, Ends),
        blocks: Vec<Block>,
    ) {
        let recorder = Recorder::new(recording, Layout::Party, ends, blocks).at(rate);
        match self.bridges.named(bridge).filter(|_| self.tapes.len() < self.tapes.capacity()) {
            Some(bridge) => {
                self.tapes.push(Tape { bridge, name, recorder });
                self.settle_bridge(bridge);
            }
            None => self.events.record_done(name, recorder, RecordEnd::Stopped),
        }
    }

    /// The recording of a bridge under these names.
    pub(super) fn tape(&mut self, name: PortId, recording: RecordingId) -> Option<&mut Recorder> {
        let tape = self.tapes.iter_mut().find(|tape| tape.name == name && tape.recorder.id == recording)?;
        Some(&mut tape.recorder)
    }

    /// Finish one, where there is one.
    pub(super) fn stop_tape(&mut self, name: PortId, recording: RecordingId) {
        let is = |tape: &Tape| tape.name == name && tape.recorder.id == recording;
        if let Some(at) = self.tapes.iter().position(is) {
            self.end_tape(at, RecordEnd::Stopped);
        }
    }

    /// Somebody listens to all that is said in a bridge.
    pub(super) fn is_taped(&self, bridge: BridgeSlot) -> bool {
        self.tapes.iter().any(|tape| tape.bridge == bridge)
    }

    /// The last one left a bridge.
    pub(super) fn end_tapes(&mut self, bridge: BridgeSlot) {
        while let Some(at) = self.tapes.iter().position(|tape| tape.bridge == bridge) {
            self.end_tape(at, RecordEnd::Stopped);
        }
    }

    /// The end of a tick: what was said in it.
    pub(super) fn run_tapes(&mut self) {
        let mut said = Frame::silent(Rate::Narrow);
        for at in (0..self.tapes.len()).rev() {
            let tape = &mut self.tapes[at];
            if self.bridges.is_added_up(tape.bridge, self.tick) {
                self.bridges.mix(tape.bridge, None, &mut said);
            } else {
                said.silence();
            }
            if let Some(why) = tape.recorder.take_said(tape.name, said.view(), &mut self.events) {
                self.end_tape(at, why);
            }
        }
    }

    fn end_tape(&mut self, at: usize, why: RecordEnd) {
        let Tape { bridge, name, recorder } = self.tapes.swap_remove(at);
        self.events.record_done(name, recorder, why);
        self.settle_bridge(bridge);
    }

    /// What becomes of the audio of all who are in a bridge may change.
    fn settle_bridge(&mut self, bridge: BridgeSlot) {
        if let Some(slot) = self.bridges.first(bridge) {
            self.settle(slot);
        }
    }
}
