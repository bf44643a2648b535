//! What the codecs of a port need: made outside the engine, with the agreement that needs it.

use super::{Config, RATE, Stream, frame::Lasting, jitter::Workbench};
use crate::{
    audio::{Encoder, dtmf},
    codec::{Codec, Rate},
};

/// The coders of one port and the memory for audio at their rates.
pub struct Tools {
    pub(super) encoder: Encoder,
    pub(super) bench: Workbench,
    /// For what comes in a tick.
    pub(super) said: Lasting,
    pub(super) collected: Box<[i16]>,
    /// Where keys come as tones.
    pub(super) tones: Option<Box<dtmf::Detector>>,
}

/// Longest packet that is collected, in ms, with a tick to spare.
const COLLECTED: usize = 80;

impl Tools {
    /// For all that `stream` may bring and want.
    pub fn new(stream: &Stream, config: &Config) -> Box<Tools> {
        let comes: Vec<Codec> = stream.receive.iter().map(|payload| payload.codec).collect();
        let goes: Vec<Codec> = stream.send.iter().map(|payload| payload.codec).collect();
        let highest = |codecs: &[Codec]| codecs.iter().map(|codec| codec.rate()).max().unwrap_or_default();
        let room = COLLECTED * 8 * highest(&goes).scale();
        Box::new(Tools {
            encoder: Encoder::new(&goes, stream.opus),
            bench: Workbench::new(&comes, config.jitter_max.max(config.jitter_min)),
            said: Lasting::lasting(highest(&comes)),
            collected: vec![0; room].into_boxed_slice(),
            tones: listens(stream).then(|| Box::new(dtmf::Detector::new(RATE))),
        })
    }

    /// For nothing yet.
    pub(super) fn highest(&self) -> Rate {
        self.bench.highest()
    }
}

impl std::fmt::Debug for Tools {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tools").field("rate", &self.highest()).finish_non_exhaustive()
    }
}

/// Its keys come as tones: in audio that we decode, and no events are agreed on.
fn listens(stream: &Stream) -> bool {
    stream.receive_digits.is_empty() && stream.foreign.is_empty()
}
