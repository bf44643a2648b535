//! Recording a port: what the party says and hears, aligned to the sample, into blocks that others write down.
//!
//! The disk may be slow. Where no empty block is left, time goes by as a gap; it is counted, and written as silence when
//! there is room again, so that what follows is still at its place.

use super::{Block, Event, FRAME, Layout, MAX_FRAME, View, events::Events};
use crate::{
    audio::{Convert, quiet::Quiet},
    codec::Rate,
    ids::{PortId, RecordingId},
    verbs::{RecordEnd, RecordMode},
};

/// When a recording ends by itself, in samples per channel, at the recording's rate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ends {
    /// It is this long, gaps counted.
    pub after: Option<u64>,
    /// The party said nothing for this long.
    pub quiet: Option<u64>,
}

/// One recording.
#[derive(Debug)]
pub(super) struct Recorder {
    pub(super) id: RecordingId,
    layout: Layout,
    /// Of its samples; what is recorded is brought to it.
    rate: Rate,
    converts: [Convert; 2],
    /// Samples per channel, gaps counted, that may still come.
    left: u64,
    mode: RecordMode,
    /// Ends it after so many samples without a voice.
    quiet: Option<(Quiet, u64)>,
    filling: Option<Block>,
    empty: Vec<Block>,
    /// Most empty blocks that can be held without more memory.
    room: usize,
    written: u64,
    missed: u64,
    /// Samples of silence owed to the file.
    gap: u64,
}

impl Recorder {
    pub(super) fn new(id: RecordingId, layout: Layout, ends: Ends, blocks: Vec<Block>) -> Recorder {
        Recorder {
            id,
            layout,
            rate: Rate::Narrow,
            converts: [const { Convert::new() }; 2],
            left: ends.after.unwrap_or(u64::MAX),
            mode: RecordMode::Keep,
            quiet: ends.quiet.map(|most| (Quiet::default(), most)),
            filling: None,
            room: blocks.capacity(),
            empty: blocks,
            written: 0,
            missed: 0,
            gap: 0,
        }
    }

    /// With samples at `rate`.
    pub(super) fn at(self, rate: Rate) -> Recorder {
        Recorder { rate, ..self }
    }

    pub(super) fn rate(&self) -> Rate {
        self.rate
    }

    /// One tick, at whatever rates: what the party said, and what was sent to it. `Some`: it is over.
    pub(super) fn take_frames(
        &mut self,
        port: PortId,
        said: View<'_>,
        heard: View<'_>,
        events: &mut Events,
    ) -> Option<RecordEnd> {
        let mut converted = [[0; MAX_FRAME]; 2];
        let (rate, length) = (self.rate, self.rate.frame());
        if said.rate() == rate && heard.rate() == rate {
            return self.take(port, said.samples(), heard.samples(), events);
        }
        for (convert, (frame, out)) in self.converts.iter_mut().zip([said, heard].into_iter().zip(&mut converted)) {
            convert.run(frame.rate(), frame.samples(), rate, &mut out[..length]);
        }
        self.take(port, &converted[0][..length], &converted[1][..length], events)
    }

    /// As [`Recorder::take_frames`], where there is only what was said.
    pub(super) fn take_said(&mut self, port: PortId, said: View<'_>, events: &mut Events) -> Option<RecordEnd> {
        let (rate, mut converted) = (self.rate, [0; MAX_FRAME]);
        let converted = &mut converted[..rate.frame()];
        self.converts[0].run(said.rate(), said.samples(), rate, converted);
        self.take(port, converted, converted, events)
    }

    pub(super) fn set_mode(&mut self, mode: RecordMode) {
        self.mode = mode;
    }

    /// An empty block comes back from the disk; and back to the caller where there are more than there ever were.
    pub(super) fn handle_space(&mut self, mut block: Block) -> Option<Block> {
        if self.empty.len() == self.room {
            return Some(block);
        }
        block.samples.clear();
        self.empty.push(block);
        None
    }

    /// One tick at the recording's rate.
    fn take(&mut self, port: PortId, said: &[i16], heard: &[i16], events: &mut Events) -> Option<RecordEnd> {
        const SILENCE: [i16; MAX_FRAME] = [0; MAX_FRAME];
        let (said, heard) = match self.mode {
            RecordMode::Keep => (said, heard),
            RecordMode::Mask => (&SILENCE[..said.len()], &SILENCE[..heard.len()]),
            RecordMode::Pause => return (self.left == 0).then_some(RecordEnd::Max),
        };
        let count = self.left.min(said.len() as u64) as usize;
        self.left -= count as u64;
        self.write_gap(port, events);
        let mut at = 0;
        while at < count && self.gap == 0 {
            let Some(room) = self.room(port, events) else { break };
            let end = (at + room).min(count);
            self.write(&said[at..end], &heard[at..end]);
            at = end;
        }
        let lost = (count - at) as u64;
        self.gap += lost;
        self.missed += lost;
        if self.left == 0 {
            return Some(RecordEnd::Max);
        }
        // What is masked is not judged: digits are keyed in silence.
        let (quiet, most) = self.quiet.as_mut().filter(|_| self.mode == RecordMode::Keep)?;
        (quiet.hear(said, self.rate.hz()) >= *most).then_some(RecordEnd::Silence)
    }

    /// The end: the last block is told, then the recording's end. What is left of the blocks comes back.
    pub(super) fn finish(mut self, port: PortId, why: RecordEnd, events: &mut Events) -> Vec<Block> {
        self.write_gap(port, events);
        match self.filling.take() {
            Some(block) if !block.samples.is_empty() => {
                events.push(Event::Recorded { port, recording: self.id, block });
            }
            Some(block) => self.empty.push(block),
            None => {}
        }
        let (recording, samples, missed) = (self.id, self.written, self.missed);
        events.push(Event::RecordDone { port, recording, samples, missed, why });
        self.empty
    }

    fn write_gap(&mut self, port: PortId, events: &mut Events) {
        const SILENCE: [i16; FRAME] = [0; FRAME];
        while self.gap > 0 {
            let Some(room) = self.room(port, events) else { return };
            let count = room.min(FRAME).min(self.gap.min(FRAME as u64) as usize);
            self.write(&SILENCE[..count], &SILENCE[..count]);
            self.gap -= count as u64;
        }
    }

    /// For how many samples per channel the block in hand has room, after handing on a full one. `None`: no block.
    fn room(&mut self, port: PortId, events: &mut Events) -> Option<usize> {
        let channels = usize::from(self.layout.channels());
        loop {
            let block = self.filling.take().or_else(|| self.empty.pop())?;
            let room = (block.samples.capacity() - block.samples.len()) / channels;
            if room > 0 {
                self.filling = Some(block);
                return Some(room);
            }
            if block.samples.is_empty() {
                // Given without memory: it can hold nothing.
                continue;
            }
            if let Err(Event::Recorded { block, .. }) =
                events.offer(Event::Recorded { port, recording: self.id, block })
            {
                self.filling = Some(block);
                return None;
            }
        }
    }

    /// Both slices are as long, and fit into the block in hand.
    fn write(&mut self, said: &[i16], heard: &[i16]) {
        let Some(block) = &mut self.filling else { return };
        match self.layout {
            Layout::Party => block.samples.extend_from_slice(said),
            Layout::Mix => {
                let both = said.iter().zip(heard);
                block.samples.extend(both.map(|(a, b)| a.saturating_add(*b)));
            }
            Layout::Stereo => block.samples.extend(said.iter().zip(heard).flat_map(|(a, b)| [*a, *b])),
        }
        self.written += said.len() as u64;
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::wildcard_enum_match_arm, reason = "a test picks the events it is about")]

    use super::*;

    const P: PortId = PortId(1);
    const R: RecordingId = RecordingId(2);

    fn blocks(count: usize, capacity: usize) -> Vec<Block> {
        (0..count).map(|_| Block { samples: Vec::with_capacity(capacity) }).collect()
    }

    /// The samples of all blocks, and the end: (samples, missed).
    fn drain(events: &mut Events) -> (Vec<Vec<i16>>, Option<(u64, u64)>) {
        let (mut told, mut done) = (Vec::new(), None);
        while let Some(event) = events.poll() {
            match event {
                Event::Recorded { block, .. } => told.push(block.samples),
                Event::RecordDone { samples, missed, .. } => done = Some((samples, missed)),
                other => panic!("{other:?}"),
            }
        }
        (told, done)
    }

    #[test]
    fn stereo_blocks_hold_the_party_left_and_what_it_hears_right() {
        let mut events = Events::new(1);
        let mut recorder = Recorder::new(R, Layout::Stereo, Ends::default(), blocks(4, 400));
        for n in 0..4 {
            assert_eq!(recorder.take(P, &[n; FRAME], &[-n; FRAME], &mut events), None);
        }
        recorder.finish(P, RecordEnd::Stopped, &mut events);
        let (told, done) = drain(&mut events);
        assert_eq!(told.iter().map(Vec::len).collect::<Vec<_>>(), [400, 400, 400, 80]);
        let all: Vec<_> = told.concat();
        assert!(all.chunks(2).enumerate().all(|(at, pair)| pair == [(at / 160) as i16, -((at / 160) as i16)]));
        assert_eq!(done, Some((640, 0)));
    }

    #[test]
    fn a_mix_saturates() {
        let mut events = Events::new(1);
        let mut recorder = Recorder::new(R, Layout::Mix, Ends::default(), blocks(1, 160));
        recorder.take(P, &[30000; FRAME], &[30000; FRAME], &mut events);
        recorder.finish(P, RecordEnd::Stopped, &mut events);
        assert_eq!(drain(&mut events).0, [vec![i16::MAX; FRAME]]);
    }

    #[test]
    fn the_limit_cuts_within_a_tick() {
        let mut events = Events::new(1);
        let mut recorder = Recorder::new(R, Layout::Party, Ends { after: Some(200), quiet: None }, blocks(2, 1000));
        assert_eq!(recorder.take(P, &[1; FRAME], &[0; FRAME], &mut events), None);
        assert_eq!(recorder.take(P, &[1; FRAME], &[0; FRAME], &mut events), Some(RecordEnd::Max));
        recorder.finish(P, RecordEnd::Stopped, &mut events);
        assert_eq!(drain(&mut events), (vec![vec![1; 200]], Some((200, 0))));
    }

    #[test]
    fn what_had_no_room_is_silence_of_the_same_length_once_there_is_room() {
        let mut events = Events::new(1);
        let mut recorder = Recorder::new(R, Layout::Party, Ends::default(), blocks(1, 160));
        for n in 1..=3 {
            recorder.take(P, &[n; FRAME], &[0; FRAME], &mut events);
        }
        assert_eq!(drain(&mut events).0, [vec![1; FRAME]]);
        assert!(recorder.handle_space(Block { samples: Vec::with_capacity(600) }).is_none());
        recorder.take(P, &[4; FRAME], &[0; FRAME], &mut events);
        recorder.finish(P, RecordEnd::Stopped, &mut events);
        let expected = [vec![0; 320], vec![4; 160]].concat();
        assert_eq!(drain(&mut events), (vec![expected], Some((640, 320))));
    }

    #[test]
    fn a_pause_leaves_out_what_comes_meanwhile_and_a_mask_makes_it_silence() {
        let mut events = Events::new(1);
        let mut recorder = Recorder::new(R, Layout::Mix, Ends::default(), blocks(1, 1000));
        for (n, mode) in [(1, RecordMode::Keep), (2, RecordMode::Pause), (3, RecordMode::Mask), (4, RecordMode::Keep)] {
            recorder.set_mode(mode);
            recorder.take(P, &[n; FRAME], &[n; FRAME], &mut events);
        }
        recorder.finish(P, RecordEnd::Stopped, &mut events);
        assert_eq!(drain(&mut events).0, [[[2; FRAME], [0; FRAME], [8; FRAME]].concat()]);
    }

    #[test]
    fn silence_ends_it_unless_it_is_masked() {
        let mut events = Events::new(1);
        let ends = Ends { after: None, quiet: Some(800) };
        let mut recorder = Recorder::new(R, Layout::Party, ends, blocks(1, 10_000));
        let mut take = |value: i16, mode| {
            recorder.set_mode(mode);
            recorder.take(P, &[value; FRAME], &[9000; FRAME], &mut events)
        };
        for _ in 0..10 {
            assert_eq!(take(5000, RecordMode::Keep), None);
        }
        for _ in 0..20 {
            assert_eq!(take(0, RecordMode::Mask), None);
        }
        for _ in 0..4 {
            assert_eq!(take(0, RecordMode::Keep), None);
        }
        assert_eq!(take(0, RecordMode::Keep), Some(RecordEnd::Silence), "what the party hears does not count");
    }

    #[test]
    fn blocks_without_memory_and_blocks_too_many_do_no_harm() {
        let mut events = Events::new(1);
        let mut recorder = Recorder::new(R, Layout::Stereo, Ends::default(), blocks(2, 0));
        recorder.take(P, &[1; FRAME], &[1; FRAME], &mut events);
        assert!(recorder.handle_space(Block::default()).is_none());
        assert!(recorder.handle_space(Block::default()).is_none());
        assert!(recorder.handle_space(Block::default()).is_some());
        recorder.finish(P, RecordEnd::Stopped, &mut events);
        assert_eq!(drain(&mut events), (vec![], Some((0, 160))));
    }
}
