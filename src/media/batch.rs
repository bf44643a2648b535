//! Datagrams on their way out.

use std::net::SocketAddr;

use super::{Channel, MAX_PACKET, Slot};

/// Datagrams on their way out, in memory made once.
pub struct Batch {
    used: usize,
    slots: Box<[Datagram]>,
}

/// One datagram of a [`Batch`].
pub struct Datagram {
    /// From which port of the engine.
    pub slot: Slot,
    /// From which of its sockets.
    pub channel: Channel,
    /// Where to.
    pub to: SocketAddr,
    pub(super) len: usize,
    pub(super) bytes: [u8; MAX_PACKET],
}

impl Datagram {
    /// What to send.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl Batch {
    /// Room for `capacity` datagrams.
    pub fn new(capacity: usize) -> Batch {
        let empty = || Datagram {
            slot: Slot(0),
            channel: Channel::Rtp,
            to: SocketAddr::from(([0, 0, 0, 0], 0)),
            len: 0,
            bytes: [0; MAX_PACKET],
        };
        Batch { used: 0, slots: (0..capacity).map(|_| empty()).collect() }
    }

    /// Add a datagram whose bytes `write` puts into the buffer it is given, returning how many. False: no room, nothing
    /// was added.
    pub fn push(
        &mut self,
        slot: Slot,
        channel: Channel,
        to: SocketAddr,
        write: impl FnOnce(&mut [u8]) -> usize,
    ) -> bool {
        self.offer(slot, channel, to, |bytes| Some(write(bytes)))
    }

    /// As [`Batch::push`]; nothing is added either where `write` gives `None`.
    pub fn offer(
        &mut self,
        slot: Slot,
        channel: Channel,
        to: SocketAddr,
        write: impl FnOnce(&mut [u8]) -> Option<usize>,
    ) -> bool {
        let Some(datagram) = self.slots.get_mut(self.used) else { return false };
        let Some(length) = write(&mut datagram.bytes) else { return false };
        datagram.slot = slot;
        datagram.channel = channel;
        datagram.to = to;
        datagram.len = length.min(MAX_PACKET);
        self.used += 1;
        true
    }

    /// Change what was pushed since there were `mark` datagrams; those for which `keep` says false are left out.
    pub(super) fn rework(&mut self, mark: usize, mut keep: impl FnMut(&mut Datagram) -> bool) {
        let mut kept = mark;
        for at in mark..self.used {
            if keep(&mut self.slots[at]) {
                if kept != at {
                    self.slots.swap(kept, at);
                }
                kept += 1;
            }
        }
        self.used = kept;
    }

    /// How many more fit.
    pub fn room(&self) -> usize {
        self.slots.len() - self.used
    }

    /// What is to be sent.
    pub fn datagrams(&self) -> &[Datagram] {
        &self.slots[..self.used]
    }

    /// Forget what was sent.
    pub fn clear(&mut self) {
        self.used = 0;
    }
}
