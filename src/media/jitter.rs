//! Stand-in until the real one is merged.
use super::FRAME;
use crate::{audio, codec::Codec, time::Time};
use std::time::Duration;
#[derive(Debug)]
pub(super) struct Jitter {
    frames: std::collections::VecDeque<[i16; FRAME]>,
    late: u64,
}
impl Jitter {
    pub(super) fn new(_: Duration, _: Duration) -> Jitter {
        Jitter { frames: std::collections::VecDeque::with_capacity(16), late: 0 }
    }
    pub(super) fn put(&mut self, _: Time, _: u64, _: u32, codec: Codec, payload: &[u8]) {
        let mut f = [0; FRAME];
        audio::decode(codec, payload, &mut f);
        if self.frames.len() < 16 {
            self.frames.push_back(f);
        } else {
            self.late += 1;
        }
    }
    pub(super) fn pull(&mut self, out: &mut [i16; FRAME]) -> bool {
        match self.frames.pop_front() {
            Some(f) => {
                *out = f;
                true
            }
            None => false,
        }
    }
    pub(super) fn reset(&mut self) {
        self.frames.clear();
    }
    pub(super) fn late(&self) -> u64 {
        self.late
    }
    pub(super) fn concealed(&self) -> u64 {
        0
    }
}
