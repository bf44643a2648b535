//! What the engine has to tell and to give back, in queues whose memory is made once.

use std::collections::VecDeque;

use super::{Event, Spent, dialer::Order, player::Player, recorder::Recorder};
use crate::{ids::PortId, verbs::RecordEnd};

/// Events for each port that fit: a close ends a play, digits and recordings, with their last blocks, in one go.
const PER_PORT: usize = 16;
const SPARE: usize = 64;

/// Events on their way to the owner.
pub(super) struct Events {
    queue: VecDeque<Event>,
    spent: VecDeque<Spent>,
}

impl Events {
    pub(super) fn new(ports: usize) -> Events {
        let room = PER_PORT * ports + SPARE;
        Events { queue: VecDeque::with_capacity(room), spent: VecDeque::with_capacity(room) }
    }

    /// Something that somebody waits for: an answer to a command. There are no more of them than commands, so they
    /// always go in.
    pub(super) fn push(&mut self, event: Event) {
        self.queue.push_back(event);
    }

    /// Something that the peer made happen: it uses the room that is there, up to the last.
    pub(super) fn push_digit(&mut self, event: Event) {
        if self.queue.len() < self.queue.capacity() {
            self.queue.push_back(event);
        }
    }

    /// Something less urgent: comes back where only half the room is left.
    #[expect(clippy::result_large_err, reason = "media threads allocate nothing, so nothing is boxed there")]
    pub(super) fn offer(&mut self, event: Event) -> Result<(), Event> {
        if self.queue.len() >= self.queue.capacity() / 2 {
            return Err(event);
        }
        self.queue.push_back(event);
        Ok(())
    }

    /// A play is over.
    pub(super) fn play_done(&mut self, port: PortId, player: Player, finished: bool) {
        self.push(Event::PlayDone { port, play: player.id, samples: player.played(), finished });
        self.spend(Spent::Sounds(player.into_sounds()));
    }

    /// A recording is over.
    pub(super) fn record_done(&mut self, port: PortId, recorder: Recorder, why: RecordEnd) {
        let blocks = recorder.finish(port, why, self);
        self.spend(Spent::Blocks(blocks));
    }

    /// An order of digits is over.
    pub(super) fn digits_sent(&mut self, port: PortId, order: Order) {
        self.push(Event::DigitsSent { port });
        self.spend(Spent::Digits(order.digits));
    }

    /// The oldest.
    pub(super) fn poll(&mut self) -> Option<Event> {
        self.queue.pop_front()
    }

    /// Memory to be freed by somebody else; freed here only where nobody fetches it.
    pub(super) fn spend(&mut self, spent: Spent) {
        if self.spent.len() < self.spent.capacity() {
            self.spent.push_back(spent);
        }
    }

    /// The oldest piece of memory to be freed.
    pub(super) fn spent(&mut self) -> Option<Spent> {
        self.spent.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lesser_events_leave_half_the_room_to_digits_and_those_to_answers() {
        let mut events = Events::new(1);
        let digit = || Event::Digit { port: PortId(1), key: '1' };
        while events.offer(Event::NoRtp { port: PortId(1) }).is_ok() {}
        let lesser = events.queue.len();
        for _ in 0..1000 {
            events.push_digit(digit());
        }
        assert!(lesser * 2 <= events.queue.len() + 1 && events.queue.len() < 1000);
        events.push(Event::DigitsSent { port: PortId(1) });
        let mut last = None;
        while let Some(event) = events.poll() {
            last = Some(event);
        }
        assert!(matches!(last, Some(Event::DigitsSent { .. })));
    }
}
