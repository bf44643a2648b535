//! What others are not to hear of a call: somebody else's recorder and a program that the call is streamed to get
//! silence while a recording of ours is paused or masked (card digits); the recorder also while a script says so.

use super::{call::Call, switch::Switch};
use crate::{
    ids::CallId,
    media::Command,
    verbs::{Failure, Reply},
};

/// What a leg to a recorder knows of it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Mask {
    /// The script said so.
    asked: bool,
    /// The taps are told.
    told: bool,
}

impl Call {
    /// A recording of its own leaves out what is said now.
    pub(super) fn is_hidden(&self) -> bool {
        self.recordings.iter().any(super::record::Recording::hides)
    }
}

impl Switch {
    /// Let the recorder of a call hear silence, or the call again.
    pub(super) fn mask_siprec(&mut self, id: CallId, on: bool) -> Result<Option<Reply>, Failure> {
        let recorder = self.calls.get(&id).and_then(|call| call.recorder).ok_or(Failure::NoSuchRecording)?;
        let siprec = self.calls.get_mut(&recorder).and_then(|leg| leg.siprec.as_mut());
        siprec.ok_or(Failure::NoSuchRecording)?.mask.asked = on;
        self.tend_mask(id);
        Ok(Some(Reply::Done))
    }

    /// The script said that the recorder of this call is to hear silence.
    pub(super) fn siprec_is_masked(&self, call: &Call) -> bool {
        let recorder = call.recorder.and_then(|recorder| self.calls.get(&recorder));
        recorder.and_then(|leg| leg.siprec.as_ref()).is_some_and(|siprec| siprec.mask.asked)
    }

    /// Something changed about what others may hear of a call.
    pub(super) fn tend_mask(&mut self, id: CallId) {
        if let Some((call, core)) = self.call(id) {
            call.mask_stream(core);
        }
        let Some((hidden, recorder)) = self.calls.get(&id).and_then(|call| Some((call.is_hidden(), call.recorder?)))
        else {
            return;
        };
        let Some(siprec) = self.calls.get_mut(&recorder).and_then(|leg| leg.siprec.as_mut()) else { return };
        let on = hidden || siprec.mask.asked;
        if siprec.taps.is_empty() || siprec.mask.told == on {
            return;
        }
        siprec.mask.told = on;
        let taps = siprec.taps.clone();
        let Some((call, core)) = self.call(id) else { return };
        let Some(port) = call.port.open().map(|open| open.id) else { return };
        for tap in taps {
            call.command(core, Command::MaskTap { port, tap, on });
        }
    }
}
