//! A call whose audio goes to a program outside as it comes: a transcription, an AI that listens.
//!
//! ```text
//! call:stream ──▶ Calling ──the program takes it: the taps begin──▶ On ──the program, the script or the call ends──▶ gone
//! ```
//!
//! The call goes on as if there were no stream: what the program does not take in time is lost, and counted.

use std::sync::Arc;

use super::{Direction, Output, TraceEvent, call::Call, core::Core, happened::What, switch::Switch, task::Ask};
use crate::{
    codec::Rate,
    ids::{CallId, StreamId, TapId},
    media::{Command, Side, Tap, Tapping},
    verbs::{Failure, NoStream, Reply, Sides, Stream},
};

/// Frames that may wait in a tap: two seconds.
const ROOM: usize = 100;

/// A stream to be opened.
#[derive(Debug)]
pub struct StreamOrder {
    /// Its name.
    pub stream: StreamId,
    /// Where to, and what the far end is to know.
    pub wish: Stream,
    /// What it is told of the call.
    pub about: StreamAbout,
    /// What is said and what is heard, as far as wanted. Nothing comes before [`StreamNews::Open`]; the stream is over when
    /// both are.
    pub taps: Vec<Arc<Tap>>,
}

/// Which call a stream is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamAbout {
    /// The call's id, as records have it.
    pub call: String,
    /// Who calls.
    pub from: String,
    /// Who is called.
    pub to: String,
    /// True: the call came in.
    pub inbound: bool,
}

/// What becomes of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamNews {
    /// The far end takes it.
    Open,
    /// It is over. Comes once, and last.
    Over {
        /// Frames of 20 ms that were sent.
        frames: u64,
        /// Those that were left out because the far end was too slow.
        dropped: u64,
        /// Why it is over before its call; absent: it ended with the taps.
        why: Option<NoStream>,
    },
}

/// What a call knows of its stream.
pub(super) struct Streaming {
    stream: StreamId,
    /// Who waits for the far end to take it.
    ask: Option<Ask>,
    taps: Vec<Arc<Tap>>,
    /// The taps give silence.
    masked: bool,
}

impl Call {
    /// Have the audio streamed; `ask` hears how that goes.
    fn stream(&mut self, core: &mut Core, ask: Ask, wish: Stream) -> Result<(), Failure> {
        if self.streaming.is_some() || self.direct.is_some() || !self.is_hearable() {
            return Err(Failure::WrongState);
        }
        let sides: &[Side] = match wish.sides {
            Sides::Said => &[Side::Said],
            Sides::Heard => &[Side::Heard],
            Sides::Both => &[Side::Said, Side::Heard],
        };
        let rate = wish.rate.min(Rate::Wide);
        let taps: Vec<Arc<Tap>> = sides.iter().map(|side| Tap::new(TapId(core.id()), *side, rate, ROOM)).collect();
        let stream = StreamId(core.id());
        core.streams.insert(stream, self.id);
        self.streaming = Some(Box::new(Streaming { stream, ask: Some(ask), taps: taps.clone(), masked: false }));
        let about = StreamAbout {
            call: self.name.clone(),
            from: self.about.from.clone(),
            to: self.about.to.clone(),
            inbound: self.about.direction == Direction::Inbound,
        };
        core.out.push_back(Output::Stream(Box::new(StreamOrder { stream, wish, about, taps })));
        Ok(())
    }

    /// The far end takes it.
    fn stream_opened(&mut self, core: &mut Core) {
        let Some(streaming) = &mut self.streaming else { return };
        let (ask, taps) = (streaming.ask.take(), streaming.taps.clone());
        match self.port.open().map(|open| open.id) {
            Some(port) => {
                for tap in taps {
                    self.command(core, Command::Tap { port, tapping: Tapping::new(tap) });
                }
            }
            None => taps.iter().for_each(|tap| tap.end()),
        }
        self.happened(core, What::Streaming {});
        self.mask_stream(core);
        if let Some(ask) = ask {
            core.reply(ask, Reply::Done);
        }
    }

    /// Let the stream have silence while a recording leaves out what is said, or the sound again.
    pub fn mask_stream(&mut self, core: &mut Core) {
        let on = self.is_hidden();
        let Some(port) = self.port.open().map(|open| open.id) else { return };
        // Before the far end takes it there are no taps.
        let Some(streaming) = self.streaming.as_mut().filter(|s| s.ask.is_none() && s.masked != on) else { return };
        streaming.masked = on;
        let taps: Vec<TapId> = streaming.taps.iter().map(|tap| tap.id).collect();
        for tap in taps {
            self.command(core, Command::MaskTap { port, tap, on });
        }
    }

    /// Nothing more goes to the stream; what it has already is still sent. Gives who waits for it.
    pub fn leave_stream(&mut self, core: &mut Core) -> Option<Ask> {
        let streaming = self.streaming.take()?;
        core.streams.remove(&streaming.stream);
        if streaming.ask.is_none() {
            self.happened(core, What::Streamed {});
        }
        let port = self.port.open().map(|open| open.id);
        for tap in streaming.taps {
            tap.end();
            if let Some(port) = port {
                self.command(core, Command::Untap { port, tap: tap.id });
            }
        }
        streaming.ask
    }
}

impl Switch {
    /// Have a call's audio streamed.
    pub(super) fn begin_stream(&mut self, ask: Ask, id: CallId, wish: Stream) -> Result<Option<Reply>, Failure> {
        let (call, core) = self.call(id).ok_or(Failure::NoSuchCall)?;
        call.stream(core, ask, wish).map(|()| None)
    }

    /// Have it streamed no longer.
    pub(super) fn end_stream(&mut self, id: CallId) -> Result<Option<Reply>, Failure> {
        let (call, core) = self.call(id).ok_or(Failure::NoSuchCall)?;
        if call.streaming.is_none() {
            return Err(Failure::WrongState);
        }
        if let Some(ask) = call.leave_stream(core) {
            core.reply(ask, Reply::Failed(Failure::WrongState));
        }
        Ok(Some(Reply::Done))
    }

    /// A stream is open, or over. What comes of one that was left already, is of no interest.
    pub(super) fn on_streamed(&mut self, stream: StreamId, news: StreamNews) {
        let Some(id) = self.core.streams.get(&stream).copied() else { return };
        let Some((call, core)) = self.call(id) else { return };
        match news {
            StreamNews::Open => call.stream_opened(core),
            StreamNews::Over { frames, dropped, why } => {
                let ask = call.leave_stream(core);
                let why = why.unwrap_or_else(|| NoStream {
                    fault: crate::verbs::StreamFault::Overload,
                    text: "there are too many taps of this call".to_owned(),
                });
                tracing::warn!(call = %call.name, frames, dropped, why = why.text, "a stream ended before its call");
                core.trace(id, TraceEvent::Media(format!("its stream is over: {}", why.text)));
                if let Some(ask) = ask {
                    core.reply(ask, Reply::Failed(Failure::Stream(why)));
                }
            }
        }
    }
}
