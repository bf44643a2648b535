//! SIP messages on their way in: taken from the sockets soon, read in turns, and those of calls in progress first.

use std::time::Duration;

use crate::{
    ids::InterfaceId,
    io::{control::Control, udp::Received},
    sip::{Hop, Transport, Waiting},
    switch::Input,
};

/// Datagrams taken from one socket before the others have their turn: taken, they are safe from a full socket.
const DATAGRAMS_A_TURN: usize = 512;
/// Messages read before anything else has its turn.
const MESSAGES_A_TURN: usize = 32;

impl Control {
    pub(super) fn take_input(&mut self, input: Input) {
        match input {
            Input::Datagram { hop, bytes } => self.backlog.push(self.clock.now(), hop, bytes),
            Input::TransportFailed { hop } => {
                // What came over a connection is read before its end.
                while self.backlog.holds(hop) {
                    self.read_one();
                }
                self.handle(Input::TransportFailed { hop });
            }
            input => self.handle(input),
        }
    }

    fn read_one(&mut self) {
        let waited = self.backlog.waited(self.clock.now());
        self.tell_waited(waited);
        if let Some(Waiting { hop, bytes, .. }) = self.backlog.pop() {
            self.handle(Input::Datagram { hop, bytes });
        }
    }

    /// Read what came, a turn's worth.
    pub(super) fn work_off(&mut self) {
        for _ in 0..MESSAGES_A_TURN {
            if self.backlog.is_empty() {
                break;
            }
            self.read_one();
        }
        if self.backlog.is_empty() {
            self.tell_waited(Duration::ZERO);
        }
    }

    fn tell_waited(&mut self, waited: Duration) {
        if self.waited != waited {
            self.waited = waited;
            self.exchange.handle(self.clock.now(), Input::Waited(waited));
        }
    }

    pub(super) fn take_datagrams(&mut self, ready: (InterfaceId, bool), buffer: &mut [u8]) {
        for _ in 0..DATAGRAMS_A_TURN {
            let hop = |remote| Hop { transport: Transport::Udp, interface: ready.0, remote };
            match self.udp.receive(ready, buffer) {
                Received::Datagram(len, from) => {
                    let bytes = bytes::Bytes::copy_from_slice(&buffer[..len]);
                    self.backlog.push(self.clock.now(), hop(from), bytes);
                }
                Received::Unreachable(to) => self.handle(Input::TransportFailed { hop: hop(to) }),
                Received::Again => {}
                Received::Nothing => return,
            }
        }
    }
}
