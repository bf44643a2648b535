//! What turns the packets of one peer into samples: the decoder, the samples that are ready, and what is made up for those
//! that are missing; and the memory for packets that wait. Made outside the engine.

use std::time::Duration;

use super::{store::Store, stretch::Fifo};
use crate::{
    audio::{Conceal, Decoder},
    codec::{Codec, Rate},
};

/// See the module.
pub(in crate::media) struct Workbench {
    pub(super) decoder: Decoder,
    pub(super) fifo: Fifo,
    pub(super) conceal: Conceal,
    /// Memory for the packets that wait, until the buffer takes it.
    pub(super) store: Store,
    highest: Rate,
}

impl Workbench {
    /// Memory for what comes in these codecs, and waits for `most` at most.
    pub(in crate::media) fn new(codecs: &[Codec], most: Duration) -> Workbench {
        let highest = codecs.iter().map(|codec| codec.rate()).max().unwrap_or_default();
        Workbench {
            decoder: Decoder::new(codecs),
            fifo: Fifo::new(highest),
            conceal: Conceal::new(highest),
            store: Store::new(most, codecs),
            highest,
        }
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
