//! What turns the packets of one peer into samples: the decoder, the samples that are ready, and what is made up for those
//! that are missing. Made outside the engine.

use super::stretch::Fifo;
use crate::{
    audio::{Conceal, Decoder},
    codec::Rate,
};

/// See the module.
pub(in crate::media) struct Workbench {
    pub(super) decoder: Decoder,
    pub(super) fifo: Fifo,
    pub(super) conceal: Conceal,
    highest: Rate,
}

impl Workbench {
    /// Memory for audio of up to `highest`.
    pub(in crate::media) fn new(decoder: Decoder, highest: Rate) -> Workbench {
        Workbench { decoder, fifo: Fifo::new(highest), conceal: Conceal::new(highest), highest }
    }

    /// The highest rate that there is memory for.
    pub(in crate::media) fn highest(&self) -> Rate {
        self.highest
    }

    /// Nothing was heard yet, and what comes has this rate.
    pub(super) fn reset(&mut self, rate: Rate) {
        self.fifo.reset(rate);
        self.conceal.reset(rate);
    }

    /// The coders go on where those of `before` stopped.
    pub(super) fn take_over(&mut self, before: &mut Workbench) {
        self.decoder.take_over(&mut before.decoder);
    }
}

impl std::fmt::Debug for Workbench {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Workbench").field("highest", &self.highest).finish_non_exhaustive()
    }
}
