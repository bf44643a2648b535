//! Which call a SIP message belongs to, for those who want to see the messages of a call. Only done while somebody looks.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use super::{Direction, Output, Trace, TraceEvent, core::DialogKey, switch::Switch};
use crate::{
    ids::CallId,
    sip::{Hop, Limits, Message},
    time::Time,
};

/// Something that was seen, in its order.
pub(super) enum Seen {
    /// A message: whose it is may only be known when the input is settled.
    Message {
        sent: bool,
        hop: Hop,
        bytes: Bytes,
    },
    Fact {
        call: CallId,
        what: TraceEvent,
    },
}

/// Calls that are gone: the answer to their BYE, or the 487 after their CANCEL, is theirs still.
#[derive(Default)]
pub(super) struct Departed {
    calls: BTreeMap<DialogKey, CallId>,
    /// Until when each is kept, which is in the order of their going.
    until: VecDeque<(Time, DialogKey)>,
}

impl Departed {
    pub fn keep(&mut self, until: Time, key: DialogKey, call: CallId) {
        self.calls.insert(key.clone(), call);
        self.until.push_back((until, key));
    }

    fn forget(&mut self, now: Time) {
        while let Some((_, key)) = self.until.pop_front_if(|(until, _)| *until <= now) {
            self.calls.remove(&key);
        }
    }
}

impl Switch {
    pub(super) fn see(&mut self, sent: bool, hop: Hop, bytes: &Bytes) {
        if self.core.config.trace {
            self.core.seen.push(Seen::Message { sent, hop, bytes: bytes.clone() });
        }
    }

    /// Tell what was seen, now that a new call is known.
    pub(super) fn tell_seen(&mut self) {
        self.core.departed.forget(self.core.now);
        for seen in std::mem::take(&mut self.core.seen) {
            let (call, what) = match seen {
                Seen::Fact { call, what } => (call, what),
                Seen::Message { sent, hop, bytes } => {
                    let Some(call) = self.call_of(sent, &bytes) else { continue };
                    let text = String::from_utf8_lossy(&bytes).into_owned();
                    let first_line = text.lines().next().unwrap_or_default().to_owned();
                    (call, TraceEvent::Message { sent, hop, first_line, text })
                }
            };
            self.core.out.push_back(Output::Trace(Trace { at: self.core.now, call, what }));
        }
    }

    fn call_of(&self, sent: bool, bytes: &[u8]) -> Option<CallId> {
        let config = &self.core.config.sip;
        let limits = Limits { max_headers: config.max_headers, max_message: config.max_message };
        let message = Message::parse(bytes, &limits).ok()?;
        let (headers, is_request) = match &message {
            Message::Request(request) => (&request.headers, true),
            Message::Response(response) => (&response.headers, false),
        };
        // From is whose request it was; so our tag stands there in what we ask and in the answers to it.
        let ours = if sent == is_request { &headers.from } else { &headers.to };
        let call_id = headers.call_id.clone();
        if let Some(tag) = ours.tag() {
            let key = (call_id, tag.to_owned());
            return self.core.dialogs.get(&key).or_else(|| self.core.departed.calls.get(&key)).copied();
        }
        let mut candidates = self.core.dialogs.range((call_id.clone(), String::new())..);
        let inbound = |id: &CallId| self.calls.get(id).is_some_and(|c| c.about.direction == Direction::Inbound);
        candidates.by_ref().take_while(|((id, _), _)| *id == call_id).map(|(_, call)| *call).find(inbound)
    }
}
