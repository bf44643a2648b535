//! Digits going out of a port: those that a flow sends, and those that are passed on through a mixed bridge.

use std::{collections::VecDeque, time::Duration};

use crate::{
    audio::tone,
    media::{FRAME, RATE},
    rtp::digits::{Packet, Sender},
};

/// Orders that wait for each other; one more is answered at once, unsent.
const ORDERS: usize = 4;
/// Keys that wait to be passed on; more are dropped.
const PASSED: usize = 16;
/// `,` in an order, in samples.
const PAUSE: u32 = 8000;
/// Length of a key that is passed on, and the silence after it: what phones use.
const LENGTH: Duration = Duration::from_millis(100);
const GAP: Duration = Duration::from_millis(60);

/// What a flow asked for.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) digits: Box<str>,
    pub(super) length: Duration,
    pub(super) gap: Duration,
}

/// What is to be done now.
#[derive(Debug)]
pub(super) enum Step {
    /// Send this.
    Send(Packet),
    /// The last digit of this order was sent.
    Done(Order),
}

/// The digits of one port.
#[derive(Debug)]
pub(super) struct Dialer {
    sender: Sender,
    orders: VecDeque<Order>,
    /// Where in the first order the next digit is.
    at: usize,
    /// A pause runs until this RTP timestamp.
    pause: Option<u32>,
    passed: VecDeque<char>,
    /// Samples of the key that is down that were sounded, where keys go out as tones.
    sounded: u32,
    /// Ticks, counted in samples, of keys that go out as tones.
    clock: u32,
}

impl Dialer {
    pub(super) fn new() -> Dialer {
        Dialer {
            sender: Sender::default(),
            orders: VecDeque::with_capacity(ORDERS),
            at: 0,
            pause: None,
            passed: VecDeque::with_capacity(PASSED),
            sounded: 0,
            clock: 0,
        }
    }

    /// Send these after the ones before. They come back where too many wait.
    pub(super) fn order(&mut self, order: Order) -> Option<Order> {
        if self.orders.len() == ORDERS {
            return Some(order);
        }
        self.orders.push_back(order);
        None
    }

    /// Pass on a key that was pressed elsewhere.
    pub(super) fn pass(&mut self, key: char) {
        if self.passed.len() < PASSED {
            self.passed.push_back(key);
        }
    }

    /// Something is being sent, or waits for it.
    pub(super) fn busy(&self) -> bool {
        self.sender.busy() || !self.orders.is_empty() || !self.passed.is_empty()
    }

    /// A key is down: no audio now.
    pub(super) fn down(&self) -> bool {
        self.sender.down()
    }

    /// The next thing to do at the tick whose RTP timestamp is `timestamp`.
    pub(super) fn poll(&mut self, timestamp: u32) -> Option<Step> {
        loop {
            if let Some(packet) = self.sender.poll(timestamp) {
                return Some(Step::Send(packet));
            }
            if self.sender.busy() || self.pause.is_some_and(|until| (timestamp.wrapping_sub(until) as i32) < 0) {
                return None;
            }
            self.pause = None;
            if let Some(key) = self.passed.pop_front() {
                self.sender.start(timestamp, key, LENGTH, GAP);
                continue;
            }
            let order = self.orders.front()?;
            let next = order.digits.get(self.at..).and_then(|rest| rest.chars().next());
            self.at += next.map_or(0, char::len_utf8);
            match next {
                Some(',') => self.pause = Some(timestamp.wrapping_add(PAUSE)),
                // What is no key is passed over.
                Some(key) => drop(self.sender.start(timestamp, key, order.length, order.gap)),
                None => {
                    self.at = 0;
                    return self.orders.pop_front().map(Step::Done);
                }
            }
        }
    }

    /// One tick of keys as tones, for a peer that takes no events: what is to be heard in `frame`, silence between two
    /// keys. Each order that is done is told.
    pub(super) fn sound(&mut self, frame: &mut [i16], mut done: impl FnMut(Order)) {
        self.clock = self.clock.wrapping_add(FRAME as u32);
        let before = self.sender.key();
        while let Some(step) = self.poll(self.clock) {
            match step {
                Step::Send(packet) if packet.marker => self.sounded = 0,
                Step::Send(_) => {}
                Step::Done(order) => done(order),
            }
        }
        frame.fill(0);
        if let Some(key) = self.sender.key().or(before) {
            tone::sound_key(key, RATE, self.sounded, frame);
            self.sounded += FRAME as u32;
        }
    }

    /// Gives up the oldest order: the port closes, or its peer takes no digits.
    pub(super) fn give_up(&mut self) -> Option<Order> {
        self.at = 0;
        self.pause = None;
        self.passed.clear();
        self.orders.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(digits: &str) -> Order {
        Order { digits: digits.into(), length: Duration::from_millis(100), gap: Duration::from_millis(100) }
    }

    /// The keys with the tick at which they begin, and the tick at which the order is done.
    fn run(dialer: &mut Dialer) -> (Vec<(u8, u32)>, Option<u32>) {
        let (mut keys, mut done) = (Vec::new(), None);
        for tick in 0..1000 {
            while let Some(step) = dialer.poll(tick * 160) {
                match step {
                    Step::Send(packet) if packet.marker => keys.push((packet.payload[0], tick)),
                    Step::Send(_) => {}
                    Step::Done(_) => done = Some(tick),
                }
            }
        }
        (keys, done)
    }

    #[test]
    fn digits_follow_each_other_with_gaps_and_a_comma_waits_a_second() {
        let mut dialer = Dialer::new();
        dialer.order(order("1x2,#"));
        let (keys, done) = run(&mut dialer);
        assert_eq!(keys, [(1, 0), (2, 10), (11, 70)]);
        assert_eq!(done, Some(80));
        assert!(!dialer.busy());
    }

    #[test]
    fn orders_wait_for_each_other_and_one_too_many_comes_back() {
        let mut dialer = Dialer::new();
        for _ in 0..ORDERS {
            assert!(dialer.order(order("5")).is_none());
        }
        assert!(dialer.order(order("6")).is_some());
        assert_eq!(run(&mut dialer).0.len(), ORDERS);
    }

    #[test]
    fn keys_passed_on_are_bounded() {
        let mut dialer = Dialer::new();
        for _ in 0..1000 {
            dialer.pass('7');
        }
        assert_eq!(run(&mut dialer).0.len(), PASSED);
    }
}
