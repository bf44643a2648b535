//! How a media thread reads and writes the sockets of its ports: one small interface, two ways.
//!
//! One turn of the thread: [`Driver::turn`] sends what is ready and sleeps; [`Driver::next`] gives the packets that
//! came, one by one; answers go into the batch that the next turn (or [`Driver::send`], when it is full) sends.

mod about;
mod buffers;
mod epoll;
mod places;
mod received;
mod setup;
mod stamps;
mod uring;

use std::{fmt, io, net::SocketAddr, os::fd::OwnedFd, time::Duration};

use self::{epoll::Epoll, uring::Uring};
use super::{clock::Clock, media_ports::Sockets};
use crate::{
    media::{Batch, Channel, Slot},
    time::Time,
};

/// Which way is wished for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// io_uring where the kernel allows it, else epoll.
    #[default]
    Auto,
    /// io_uring or nothing.
    IoUring,
    /// epoll.
    Epoll,
}

/// How long to sleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// Wake up then, at the latest; absent: when something comes.
    pub until: Option<Time>,
    /// Wake up for packets no sooner than this after the last time, so that one wake-up serves many. Zero: at once.
    pub apart: Duration,
}

/// A datagram that came. Its bytes may be changed in place.
#[derive(Debug)]
pub struct Received<'a> {
    /// On which port.
    pub slot: Slot,
    /// On which of its sockets.
    pub channel: Channel,
    /// From where.
    pub from: SocketAddr,
    /// When it came, which may be before the thread woke up.
    pub at: Time,
    /// What, [`crate::media::MAX_PACKET`] bytes at most.
    pub bytes: &'a mut [u8],
}

/// What a driver saw since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Times the thread woke up.
    pub turns: u64,
    /// Datagrams received.
    pub received: u64,
    /// Datagrams sent.
    pub sent: u64,
    /// Datagrams that the system would not send: its buffer was full, no route, a firewall said no.
    pub send_dropped: u64,
    /// Datagrams longer than [`crate::media::MAX_PACKET`]; dropped.
    pub too_long: u64,
    /// Errors when receiving, such as the ones that ICMP causes; drained and forgotten.
    pub receive_errors: u64,
    /// Times a socket had to wait because all receive buffers were in use (io_uring only).
    pub starved: u64,
}

/// io_uring or epoll.
pub enum Driver {
    /// Level-triggered epoll and one system call a datagram.
    Epoll(Box<Epoll>),
    /// Multishot receive and batched sends.
    IoUring(Box<Uring>),
}

impl Driver {
    /// A driver for the calling thread, which alone may use it. `wake` is an eventfd that ends a sleep. `max_ports` is
    /// how many ports there may be at a time.
    pub fn open(choice: Choice, wake: OwnedFd, max_ports: usize, clock: Clock) -> io::Result<Driver> {
        let epoll = |wake| Ok(Driver::Epoll(Box::new(Epoll::open(wake, clock)?)));
        let uring = |wake| Ok(Driver::IoUring(Box::new(Uring::open(wake, max_ports, clock)?)));
        match choice {
            Choice::Epoll => epoll(wake),
            Choice::IoUring => uring(wake),
            Choice::Auto => uring(wake.try_clone()?).or_else(|error: io::Error| {
                tracing::info!(%error, "io_uring is not to be had here; using epoll");
                epoll(wake)
            }),
        }
    }

    /// `io_uring` or `epoll`.
    pub fn name(&self) -> &'static str {
        match self {
            Driver::Epoll(_) => "epoll",
            Driver::IoUring(_) => "io_uring",
        }
    }

    /// Read the sockets of a port from now on, and send its datagrams from them. What waits in them is read, too. Where
    /// `slot` is in use, the sockets there are closed first.
    pub fn add(&mut self, slot: Slot, sockets: Sockets) -> io::Result<()> {
        match self {
            Driver::Epoll(epoll) => epoll.add(slot, sockets),
            Driver::IoUring(uring) => uring.add(slot, sockets),
        }
    }

    /// Close the sockets of a port. Nothing that came for it is given out any more.
    pub fn close(&mut self, slot: Slot) {
        match self {
            Driver::Epoll(epoll) => drop(epoll.take(slot)),
            Driver::IoUring(uring) => uring.close(slot),
        }
    }

    /// Read no more from a port that is to be moved. What has been read already comes from [`Driver::next`]; when that
    /// is empty, [`Driver::take`] may be called.
    pub fn stop(&mut self, slot: Slot) {
        match self {
            // Nothing is read ahead.
            Driver::Epoll(_) => {}
            Driver::IoUring(uring) => uring.stop(slot),
        }
    }

    /// The sockets of a stopped port, with what waits in them.
    pub fn take(&mut self, slot: Slot) -> Option<Sockets> {
        match self {
            Driver::Epoll(epoll) => epoll.take(slot),
            Driver::IoUring(uring) => uring.take(slot),
        }
    }

    /// Send what is in the batch, empty it, and sleep until a datagram comes, the eventfd is written or time is up.
    /// Gives the moment of waking up.
    pub fn turn(&mut self, batch: &mut Batch, wait: Wait) -> Time {
        match self {
            Driver::Epoll(epoll) => epoll.turn(batch, wait),
            Driver::IoUring(uring) => uring.turn(batch, wait),
        }
    }

    /// Send what is in the batch, and empty it.
    pub fn send(&mut self, batch: &mut Batch) {
        match self {
            Driver::Epoll(epoll) => epoll.send(batch),
            Driver::IoUring(uring) => uring.send(batch),
        }
    }

    /// The next datagram that came in this turn.
    #[expect(clippy::should_implement_trait, reason = "an iterator cannot lend")]
    pub fn next(&mut self) -> Option<Received<'_>> {
        match self {
            Driver::Epoll(epoll) => epoll.next(),
            Driver::IoUring(uring) => uring.next(),
        }
    }

    /// What was seen so far.
    pub fn counters(&self) -> &Counters {
        match self {
            Driver::Epoll(epoll) => epoll.counters(),
            Driver::IoUring(uring) => uring.counters(),
        }
    }
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Driver({}, {:?})", self.name(), self.counters())
    }
}

/// Reset the eventfd that ended a sleep.
fn drain(wake: &OwnedFd) {
    // EAGAIN: nothing to reset.
    let _ = nix::unistd::read(wake, &mut [0; 8]);
}

#[cfg(test)]
mod tests;
