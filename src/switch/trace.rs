//! Which call a SIP message belongs to, for those who want to see the messages of a call. Only done while somebody looks.

use bytes::Bytes;

use super::{Direction, TraceEvent, switch::Switch};
use crate::{
    ids::CallId,
    sip::{Hop, Limits, Message},
};

/// A message that was seen, till it is known whose it is.
pub(super) struct Seen {
    sent: bool,
    hop: Hop,
    bytes: Bytes,
}

impl Switch {
    pub(super) fn see(&mut self, sent: bool, hop: Hop, bytes: &Bytes) {
        if self.core.config.trace {
            self.seen.push(Seen { sent, hop, bytes: bytes.clone() });
        }
    }

    /// Tell what was seen, now that a new call is known.
    pub(super) fn tell_seen(&mut self) {
        for Seen { sent, hop, bytes } in std::mem::take(&mut self.seen) {
            let Some(call) = self.call_of(sent, &bytes) else { continue };
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let first_line = text.lines().next().unwrap_or_default().to_owned();
            self.core.trace(call, TraceEvent::Message { sent, hop, first_line, text });
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
            return self.core.dialogs.get(&(call_id, tag.to_owned())).copied();
        }
        let mut candidates = self.core.dialogs.range((call_id.clone(), String::new())..);
        let inbound = |id: &CallId| self.calls.get(id).is_some_and(|c| c.about.direction == Direction::Inbound);
        candidates.by_ref().take_while(|((id, _), _)| *id == call_id).map(|(_, call)| *call).find(inbound)
    }
}
