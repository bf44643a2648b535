//! Messages that came and are not read yet: what belongs to calls in progress goes first, and what begins something
//! waits its turn.
//!
//! While little waits there is but one row, in the order of arrival. Past that, what begins something stands in a row of
//! its own, and so does a CANCEL, lest it overtakes its INVITE. Both rows have their limits; what comes to a full one is
//! dropped and counted, as a full network would: peers resend.

use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;

use super::{Glance, Hop};
use crate::time::Time;

/// So many in one row cost less than telling them apart.
const FEW: usize = 8;
/// Most messages and bytes in one row.
const MOST: usize = 16_384;
const MOST_BYTES: usize = 32 << 20;

/// One that waits.
#[derive(Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Since when.
    pub since: Time,
    /// Where it came from.
    pub hop: Hop,
    /// One whole message.
    pub bytes: Bytes,
}

#[derive(Debug, Default)]
struct Row {
    waiting: VecDeque<Waiting>,
    bytes: usize,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Backlog {
    /// Of calls in progress, answers, and everything while there is little.
    first: Row,
    /// What begins something.
    new: Row,
    /// Messages that found no room.
    pub dropped: u64,
}

impl Backlog {
    /// One came.
    pub fn push(&mut self, now: Time, hop: Hop, bytes: Bytes) {
        let few = self.new.waiting.is_empty() && self.first.waiting.len() < FEW;
        let row = if few || !is_new(&bytes) { &mut self.first } else { &mut self.new };
        if !row.push(Waiting { since: now, hop, bytes }) {
            self.dropped += 1;
        }
    }

    /// The next one to read.
    pub fn pop(&mut self) -> Option<Waiting> {
        self.first.pop().or_else(|| self.new.pop())
    }

    /// How long the next one of those that begin something has waited.
    pub fn waited(&self, now: Time) -> Duration {
        self.new.waiting.front().map_or(Duration::ZERO, |waiting| now - waiting.since)
    }

    /// True where something waits that came over `hop`.
    pub fn holds(&self, hop: Hop) -> bool {
        [&self.first, &self.new].iter().any(|row| row.waiting.iter().any(|waiting| waiting.hop == hop))
    }

    /// True where nothing waits.
    pub fn is_empty(&self) -> bool {
        self.first.waiting.is_empty() && self.new.waiting.is_empty()
    }
}

impl Row {
    fn push(&mut self, waiting: Waiting) -> bool {
        let room = self.waiting.len() < MOST && self.bytes + waiting.bytes.len() <= MOST_BYTES;
        if room {
            self.bytes += waiting.bytes.len();
            self.waiting.push_back(waiting);
        }
        room
    }

    fn pop(&mut self) -> Option<Waiting> {
        let waiting = self.waiting.pop_front()?;
        self.bytes -= waiting.bytes.len();
        Some(waiting)
    }
}

/// A request outside a dialog. An ACK always belongs to something.
fn is_new(bytes: &[u8]) -> bool {
    let glance = Glance::new(bytes);
    !glance.within && glance.method.as_deref().is_some_and(|method| method != "ACK")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ids::InterfaceId, sip::Transport};

    fn hop() -> Hop {
        let remote = "198.51.100.7:1024".parse().unwrap();
        Hop { transport: Transport::Udp, interface: InterfaceId(0), remote }
    }

    fn at(ms: u64) -> Time {
        Time::START + Duration::from_millis(ms)
    }

    fn push(backlog: &mut Backlog, now: Time, text: &str) {
        backlog.push(now, hop(), text.to_owned().into());
    }

    fn row(backlog: &mut Backlog) -> Vec<String> {
        let text = |waiting: Waiting| String::from_utf8_lossy(&waiting.bytes).lines().next().unwrap().to_owned();
        std::iter::from_fn(|| backlog.pop()).map(text).collect()
    }

    #[test]
    fn few_messages_stay_in_their_order() {
        let mut backlog = Backlog::default();
        let texts = ["INVITE a SIP/2.0\n\n", "CANCEL a SIP/2.0\n\n", "BYE a SIP/2.0\nTo: <a>;tag=1\n\n"];
        texts.iter().for_each(|text| push(&mut backlog, at(0), text));
        assert_eq!(backlog.waited(at(100)), Duration::ZERO);
        assert!(backlog.holds(hop()) && !backlog.holds(Hop { transport: Transport::Tcp, ..hop() }));
        assert_eq!(row(&mut backlog), ["INVITE a SIP/2.0", "CANCEL a SIP/2.0", "BYE a SIP/2.0"]);
    }

    #[test]
    fn calls_in_progress_overtake_new_ones_and_a_cancel_does_not_overtake_its_invite() {
        let mut backlog = Backlog::default();
        (0..FEW).for_each(|_| push(&mut backlog, at(0), "ACK x SIP/2.0\n\n"));
        push(&mut backlog, at(5), "INVITE a SIP/2.0\n\n");
        push(&mut backlog, at(6), "BYE a SIP/2.0\nTo: <a>;tag=1\n\n");
        push(&mut backlog, at(7), "SIP/2.0 200 OK\n\n");
        push(&mut backlog, at(8), "ACK a SIP/2.0\n\n");
        assert_eq!(backlog.waited(at(105)), Duration::from_millis(100));
        (0..FEW).for_each(|_| drop(backlog.pop()));
        // Little waits again, but the INVITE is still there.
        push(&mut backlog, at(9), "CANCEL a SIP/2.0\n\n");
        let want = ["BYE a SIP/2.0", "SIP/2.0 200 OK", "ACK a SIP/2.0", "INVITE a SIP/2.0", "CANCEL a SIP/2.0"];
        assert_eq!(row(&mut backlog), want);
        assert!(backlog.is_empty());
    }

    #[test]
    fn a_full_row_drops_and_counts_and_leaves_room_for_the_other() {
        let mut backlog = Backlog::default();
        (0..FEW).for_each(|_| push(&mut backlog, at(0), "ACK x SIP/2.0\n\n"));
        (0..MOST + 10).for_each(|_| push(&mut backlog, at(0), "INVITE a SIP/2.0\n\n"));
        assert_eq!(backlog.dropped, 10);
        push(&mut backlog, at(0), "BYE a SIP/2.0\nTo: <a>;tag=1\n\n");
        assert_eq!(backlog.dropped, 10);
        let long = format!("INVITE a SIP/2.0\n{}\n\n", "x".repeat(60_000));
        let mut backlog = Backlog::default();
        (0..2000).for_each(|_| push(&mut backlog, at(0), &long));
        assert!(backlog.dropped > 0 && backlog.new.bytes <= MOST_BYTES);
        assert_eq!(row(&mut backlog).len() as u64 + backlog.dropped, 2000);
        assert_eq!((backlog.first.bytes, backlog.new.bytes), (0, 0));
    }
}
