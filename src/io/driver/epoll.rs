//! Level-triggered epoll: one system call tells which sockets have something, one reads each, one sends each.
//!
//! A socket carries one packet in 20 ms, so there is hardly ever a second one to read from it or to send on it: recvmmsg
//! and sendmmsg, which serve one socket, would only add their own cost. A socket that has more is reported again at once.

use std::{
    io::{self, IoSliceMut},
    net::{SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket},
    os::fd::{AsFd, AsRawFd, OwnedFd},
    time::Duration,
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, ppoll},
    sys::{
        epoll::{Epoll as EpollFd, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout},
        socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg},
        time::TimeSpec,
        timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags},
    },
};

use super::{Counters, Received, Wait, drain, stamps::Stamps};
use crate::{
    io::{clock::Clock, media_ports::Sockets},
    media::{Batch, Channel, Datagram, MAX_PACKET, Slot},
    time::Time,
};

/// Sockets reported in one turn.
const EVENTS: usize = 512;
/// What the events of the eventfd and the timer carry. Those of sockets carry generation, slot and channel.
const WAKE: u64 = u64::MAX;
const TIMER: u64 = u64::MAX - 1;

/// See the module.
pub struct Epoll {
    epoll: EpollFd,
    wake: OwnedFd,
    /// epoll_wait counts in milliseconds, a timerfd in nanoseconds.
    timer: TimerFd,
    /// What the timer is set to.
    alarm: Option<Time>,
    /// By slot.
    ports: Vec<Option<Open>>,
    /// Tells a port from an earlier one in the same slot.
    generation: u32,
    events: Box<[EpollEvent]>,
    /// How many of `events` were reported in this turn, and how many of those are done.
    reported: usize,
    done: usize,
    /// One byte longer than the longest packet, so that a longer one is noticed.
    buffer: Box<[u8; MAX_PACKET + 1]>,
    clock: Clock,
    stamps: Stamps,
    /// Room for the kernel's stamp.
    control: Vec<u8>,
    counters: Counters,
}

struct Open {
    generation: u32,
    sockets: Sockets,
}

/// A datagram that was read into the buffer.
struct Came {
    from: SocketAddr,
    at: Time,
    length: usize,
}

impl Epoll {
    pub(super) fn open(wake: OwnedFd, clock: Clock) -> io::Result<Epoll> {
        let epoll = EpollFd::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC)?;
        epoll.add(&wake, EpollEvent::new(EpollFlags::EPOLLIN, WAKE))?;
        epoll.add(&timer, EpollEvent::new(EpollFlags::EPOLLIN, TIMER))?;
        Ok(Epoll {
            epoll,
            wake,
            timer,
            alarm: None,
            ports: Vec::new(),
            generation: 0,
            events: vec![EpollEvent::empty(); EVENTS].into(),
            reported: 0,
            done: 0,
            buffer: Box::new([0; MAX_PACKET + 1]),
            clock,
            stamps: Stamps::new(clock),
            control: nix::cmsg_space!(TimeSpec),
            counters: Counters::default(),
        })
    }

    pub(super) fn add(&mut self, slot: Slot, sockets: Sockets) -> io::Result<()> {
        drop(self.take(slot));
        let index = slot.0 as usize;
        if self.ports.len() <= index {
            self.ports.resize_with(index + 1, || None);
        }
        // 31 bits, so that no socket's event looks like the eventfd's.
        self.generation = (self.generation + 1) & 0x7fff_ffff;
        for (socket, channel) in [(&sockets.rtp, Channel::Rtp), (&sockets.rtcp, Channel::Rtcp)] {
            let event = EpollEvent::new(EpollFlags::EPOLLIN, mark(self.generation, slot, channel));
            self.epoll.add(socket, event)?;
        }
        self.ports[index] = Some(Open { generation: self.generation, sockets });
        Ok(())
    }

    pub(super) fn take(&mut self, slot: Slot) -> Option<Sockets> {
        let Open { sockets, .. } = self.ports.get_mut(slot.0 as usize)?.take()?;
        for socket in [&sockets.rtp, &sockets.rtcp] {
            // Cannot fail for a socket that was added; and if so, its events would be those of an unknown generation.
            let _ = self.epoll.delete(socket);
        }
        Some(sockets)
    }

    pub(super) fn turn(&mut self, batch: &mut Batch, wait: Wait) -> Time {
        self.send(batch);
        let now = self.clock.now();
        let timeout = if wait.until.is_some_and(|until| until <= now) {
            EpollTimeout::ZERO
        } else {
            let gather = Time::soonest(Some(self.stamps.woke() + wait.apart), wait.until)
                .map_or(Duration::ZERO, |end| end - now);
            if !gather.is_zero() {
                // Sleeps through packets, not through commands. Interrupted by a signal: a shorter sleep.
                let wake = &mut [PollFd::new(self.wake.as_fd(), PollFlags::POLLIN)];
                let _ = ppoll(wake, Some(gather.into()), None);
            }
            self.set_alarm(wait.until);
            EpollTimeout::NONE
        };
        // Interrupted by a signal: an empty turn.
        self.reported = self.epoll.wait(&mut self.events, timeout).unwrap_or(0);
        self.done = 0;
        self.counters.turns += 1;
        self.stamps.wake()
    }

    fn set_alarm(&mut self, at: Option<Time>) {
        if self.alarm == at {
            return;
        }
        self.alarm = at;
        let set = match at {
            // Zero would mean never.
            Some(at) => {
                let left = (at - self.clock.now()).max(Duration::from_nanos(1));
                self.timer.set(Expiration::OneShot(left.into()), TimerSetTimeFlags::empty())
            }
            None => self.timer.unset(),
        };
        set.expect("a valid timer takes any time");
    }

    pub(super) fn send(&mut self, batch: &mut Batch) {
        for datagram in batch.datagrams() {
            let sent = self.socket(datagram).is_some_and(|s| s.send_to(datagram.bytes(), datagram.to).is_ok());
            if sent {
                self.counters.sent += 1;
            } else {
                self.counters.send_dropped += 1;
            }
        }
        batch.clear();
    }

    fn socket(&self, datagram: &Datagram) -> Option<&UdpSocket> {
        let open = self.ports.get(datagram.slot.0 as usize)?.as_ref()?;
        Some(open.sockets.on(datagram.channel))
    }

    pub(super) fn next(&mut self) -> Option<Received<'_>> {
        loop {
            let event = self.events[..self.reported].get(self.done)?;
            self.done += 1;
            match event.data() {
                WAKE => drain(&self.wake),
                // Reset when it is next set.
                TIMER => {}
                mark => {
                    if let Some((slot, channel, came)) = self.read(mark) {
                        let bytes = &mut self.buffer[..came.length];
                        return Some(Received { slot, channel, from: came.from, at: came.at, bytes });
                    }
                }
            }
        }
    }

    fn read(&mut self, mark: u64) -> Option<(Slot, Channel, Came)> {
        let (generation, slot, channel) = unmark(mark);
        let open = self.ports.get(slot.0 as usize)?.as_ref().filter(|open| open.generation == generation)?;
        match receive(open.sockets.on(channel), &mut self.buffer[..], &mut self.control) {
            Ok((length, ..)) if length > MAX_PACKET => {
                self.counters.too_long += 1;
                None
            }
            Ok((length, Some(from), stamp)) => {
                self.counters.received += 1;
                Some((slot, channel, Came { from, at: self.stamps.time(stamp), length }))
            }
            Ok((_, None, _)) | Err(Errno::EAGAIN) => None,
            Err(_) => {
                self.counters.receive_errors += 1;
                None
            }
        }
    }

    pub(super) fn counters(&self) -> &Counters {
        &self.counters
    }
}

/// Length, source and the wall clock's time of the next datagram.
fn receive(
    socket: &UdpSocket,
    buffer: &mut [u8],
    control: &mut [u8],
) -> nix::Result<(usize, Option<SocketAddr>, Option<Duration>)> {
    let mut parts = [IoSliceMut::new(buffer)];
    let came = recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut parts, Some(control), MsgFlags::empty())?;
    let stamp = came.cmsgs()?.find_map(|message| match message {
        ControlMessageOwned::ScmTimestampns(stamp) => Some(Duration::from(stamp)),
        _ => None,
    });
    Ok((came.bytes, came.address.and_then(address), stamp))
}

fn address(from: SockaddrStorage) -> Option<SocketAddr> {
    let four = from.as_sockaddr_in().map(|from| SocketAddrV4::from(*from).into());
    four.or_else(|| from.as_sockaddr_in6().map(|from| SocketAddrV6::from(*from).into()))
}

/// Generation, slot and channel in the number that an event carries; the slot has 31 bits of it.
fn mark(generation: u32, slot: Slot, channel: Channel) -> u64 {
    u64::from(generation) << 32 | u64::from(slot.0) << 1 | u64::from(channel == Channel::Rtcp)
}

fn unmark(mark: u64) -> (u32, Slot, Channel) {
    let channel = if mark & 1 == 0 { Channel::Rtp } else { Channel::Rtcp };
    ((mark >> 32) as u32, Slot((mark as u32) >> 1), channel)
}
