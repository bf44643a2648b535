//! io_uring: each socket has one multishot receive that fills provided buffers, and all sends of a turn go to the kernel
//! with the same system call that waits for the next one.
//!
//! A receive belongs to a place in the table of registered files. A place is used again only after the last completion
//! of its receive, so a completion can never be taken for one of a later port; the generation in its name says so, too.

#![expect(unsafe_code, reason = "the kernel is given addresses")]

use std::{
    collections::VecDeque,
    io,
    net::UdpSocket,
    os::fd::{AsRawFd, OwnedFd, RawFd},
    time::Duration,
};

use io_uring::{
    IoUring, cqueue, opcode, squeue,
    types::{Fd, Fixed, SubmitArgs, Timespec},
};
use socket2::SockAddr;

use super::{
    Counters, Received, Wait,
    about::About,
    buffers::{self, Buffers},
    drain,
    places::{Places, State},
    received::{self, Came},
    setup::{self, SENDS},
    stamps::Stamps,
};
use crate::{
    io::{clock::Clock, media_ports::Sockets},
    media::{Batch, Channel, Slot},
    time::Time,
};

/// A sleep that gathers ends early when this many packets came.
const GATHER: usize = buffers::COUNT as usize / 2;
/// A sleep that gathers looks around so often. Linux 6.18 was seen to sleep on with a completion in the ring where the least
/// and the most time to wait were both given to it and the completion came when the least time was over: once in a hundred
/// moves of a port on a busy machine. Where it gathers nothing, it never did.
const UNHEARD: Duration = Duration::from_millis(5);
/// A cancelled receive completes at once; the kernel gets this many times [`PATIENCE`] for it.
const TRIES: usize = 500;
const PATIENCE: Duration = Duration::from_millis(10);

const NO_FILE: RawFd = -1;

/// See the module.
pub struct Uring {
    /// Declared, hence closed, before the memory that the kernel knows.
    ring: IoUring,
    buffers: Buffers,
    /// Says how much room there is for a source address and a stamp; read by the kernel whenever a receive is armed.
    shape: Box<libc::msghdr>,
    addresses: Box<[SockAddr]>,
    wake: OwnedFd,
    places: Places,
    /// Read before their turn.
    ahead: VecDeque<Came>,
    /// The eventfd was reset since [`Uring::next`] last gave nothing: whoever wrote it must be heard before a sleep.
    called: bool,
    /// The buffer that was lent last.
    lent: Option<u16>,
    /// The kernel can gather by itself (6.12).
    gathers: bool,
    clock: Clock,
    stamps: Stamps,
    counters: Counters,
}

impl Uring {
    pub(super) fn open(wake: OwnedFd, max_ports: usize, clock: Clock) -> io::Result<Uring> {
        let (ring, places) = setup::ring(max_ports)?;
        // SAFETY: msghdr is a C struct of numbers and pointers, for which zero is a value.
        let mut shape: Box<libc::msghdr> = Box::new(unsafe { std::mem::zeroed() });
        shape.msg_namelen = received::NAME as u32;
        shape.msg_controllen = received::CONTROL;
        let no_address = SockAddr::from(std::net::SocketAddr::from(([0, 0, 0, 0], 0)));
        let gathers = ring.params().is_feature_min_timeout();
        let mut uring = Uring {
            ring,
            buffers: Buffers::new(),
            shape,
            addresses: vec![no_address; SENDS].into(),
            wake,
            places: Places::new(places, max_ports),
            ahead: VecDeque::with_capacity(buffers::COUNT as usize),
            called: false,
            lent: None,
            gathers,
            clock,
            stamps: Stamps::new(clock),
            counters: Counters::default(),
        };
        // SAFETY: the buffers live as long as `uring`, whose drop takes them from the kernel before they go.
        unsafe { uring.buffers.register(&uring.ring.submitter())? };
        uring.watch_wake();
        Ok(uring)
    }

    pub(super) fn add(&mut self, slot: Slot, sockets: Sockets) -> io::Result<()> {
        self.close(slot);
        let rtp = self.settle(slot, Channel::Rtp, sockets.rtp)?;
        let rtcp = match self.settle(slot, Channel::Rtcp, sockets.rtcp) {
            Ok(rtcp) => rtcp,
            Err(error) => {
                drop(self.clear(rtp));
                return Err(error);
            }
        };
        self.places.join(slot, [rtp, rtcp]);
        self.arm(rtp);
        self.arm(rtcp);
        Ok(())
    }

    /// Put a socket into a free place.
    fn settle(&mut self, slot: Slot, channel: Channel, socket: UdpSocket) -> io::Result<u32> {
        let no_room = || io::Error::new(io::ErrorKind::QuotaExceeded, "no room for another media port");
        let next = self.places.next_free().ok_or_else(no_room)?;
        self.ring.submitter().register_files_update(next, &[socket.as_raw_fd()])?;
        self.places.fill(slot, channel, socket).ok_or_else(no_room)
    }

    /// Take the socket out of a place that receives nothing any more.
    fn clear(&mut self, place: u32) -> Option<UdpSocket> {
        // Cannot fail for a place of the table; and if so, the next socket put there replaces this one.
        let _ = self.ring.submitter().register_files_update(place, &[NO_FILE]);
        self.places.empty(place)
    }

    /// Begin to receive.
    fn arm(&mut self, place: u32) {
        *self.places.state(place) = State::Armed;
        let shape: *const libc::msghdr = &raw const *self.shape;
        let receive = opcode::RecvMsgMulti::new(Fixed(place), shape, buffers::GROUP).build();
        // SAFETY: `shape` lives as long as the ring, and so do the buffers of the group.
        unsafe { self.push(receive.user_data(self.places.receive(place).number())) };
    }

    /// End a receive; its last completion comes soon.
    fn cancel(&mut self, place: u32, state: State) {
        *self.places.state(place) = state;
        let receive = self.places.receive(place).number();
        let cancel = opcode::AsyncCancel::new(receive).build().user_data(About::Cancel.number());
        // SAFETY: it carries no address.
        unsafe { self.push(cancel) };
    }

    pub(super) fn close(&mut self, slot: Slot) {
        for place in self.places.leave(slot).into_iter().flatten() {
            match *self.places.state(place) {
                State::Armed => self.cancel(place, State::Closing),
                State::Stopping => *self.places.state(place) = State::Closing,
                State::Idle | State::Stopped => drop(self.clear(place)),
                State::Free | State::Closing => {}
            }
        }
    }

    pub(super) fn stop(&mut self, slot: Slot) {
        let Some(both) = self.places.of(slot) else { return };
        for place in both {
            match *self.places.state(place) {
                State::Armed => self.cancel(place, State::Stopping),
                State::Idle => *self.places.state(place) = State::Stopped,
                State::Free | State::Closing | State::Stopping | State::Stopped => {}
            }
        }
        for _ in 0..TRIES {
            if both.iter().all(|place| *self.places.state(*place) == State::Stopped) {
                return;
            }
            self.enter(1, Some(PATIENCE), Duration::ZERO);
            self.read_ahead();
        }
        panic!("io_uring did not end a receive that was cancelled");
    }

    pub(super) fn take(&mut self, slot: Slot) -> Option<Sockets> {
        let both = self.places.of(slot)?;
        if both.iter().any(|place| *self.places.state(*place) != State::Stopped) {
            return None;
        }
        let [rtp, rtcp] = self.places.leave(slot)?.map(|place| self.clear(place));
        Some(Sockets { rtp: rtp?, rtcp: rtcp? })
    }

    pub(super) fn turn(&mut self, batch: &mut Batch, wait: Wait) -> Time {
        self.give_back_lent();
        while let Some(place) = self.places.next_idle() {
            self.arm(place);
        }
        self.queue(batch);
        let mut now = self.clock.now();
        if !wait.apart.is_zero() {
            // First the sends, which take their time.
            self.submit();
            now = self.clock.now();
        }
        let gather =
            Time::soonest(Some(self.stamps.woke() + wait.apart), wait.until).map_or(Duration::ZERO, |end| end - now);
        let left = wait.until.map(|until| until - now);
        if self.called || !self.ahead.is_empty() {
            self.enter(1, Some(Duration::ZERO), Duration::ZERO);
        } else if gather.is_zero() {
            self.enter(1, left, Duration::ZERO);
        } else if self.gathers {
            self.gather(gather, wait.until);
        } else {
            self.enter(GATHER, Some(gather), Duration::ZERO);
        }
        self.submit();
        batch.clear();
        self.counters.turns += 1;
        self.stamps.wake()
    }

    pub(super) fn send(&mut self, batch: &mut Batch) {
        self.queue(batch);
        self.submit();
        batch.clear();
    }

    /// Queue the sends of a batch. To be followed by [`Uring::submit`] before the batch changes.
    fn queue(&mut self, batch: &Batch) {
        for (number, datagram) in batch.datagrams().iter().enumerate() {
            let nth = number % SENDS;
            if nth == 0 && number > 0 {
                // The addresses are needed again.
                self.submit();
            }
            let Some([rtp, rtcp]) = self.places.of(datagram.slot) else {
                self.counters.send_dropped += 1;
                continue;
            };
            let place = if datagram.channel == Channel::Rtp { rtp } else { rtcp };
            let address = &mut self.addresses[nth];
            *address = SockAddr::from(datagram.to);
            let bytes = datagram.bytes();
            let send = opcode::Send::new(Fixed(place), bytes.as_ptr(), bytes.len() as u32)
                // Done or failed, but never waiting, when the submission returns.
                .flags(libc::MSG_DONTWAIT)
                .dest_addr(address.as_ptr().cast())
                .dest_addr_len(address.len())
                .build()
                .flags(squeue::Flags::SKIP_SUCCESS)
                .user_data(About::Send.number());
            self.counters.sent += 1;
            // SAFETY: the kernel reads bytes and address while the send is submitted, and not later (MSG_DONTWAIT); they
            // stay as they are until then: our callers, and the check of `nth` above, submit before changing them.
            unsafe { self.push(send) };
        }
    }

    /// # Safety
    ///
    /// What the entry points to must stay valid until the kernel is done with it.
    unsafe fn push(&mut self, entry: squeue::Entry) {
        // SAFETY: passed on to the caller.
        while unsafe { self.ring.submission().push(&entry) }.is_err() {
            self.submit();
        }
    }

    /// Hand all queued entries to the kernel.
    fn submit(&mut self) {
        for _ in 0..TRIES {
            if self.ring.submission().is_empty() {
                return;
            }
            if self.ring.submit().is_err() {
                // The kernel is short of memory, or of room for completions.
                self.read_ahead();
            }
        }
        panic!("io_uring takes no submissions any more");
    }

    /// Hand over what is queued, and wait for `want` completions, for one after `gathering`, or till time is up.
    fn enter(&mut self, want: usize, timeout: Option<Duration>, gathering: Duration) {
        let mut args = SubmitArgs::new().min_wait_usec(gathering.as_micros() as u32);
        let timeout = timeout.map(Timespec::from);
        if let Some(timeout) = &timeout {
            args = args.timespec(timeout);
        }
        // Time is up, a signal, no room for completions: in each case what came is read next.
        let _ = self.ring.submitter().submit_with_args(want, &args);
    }

    /// Sleep till packets have gathered for so long, or time is up; in short pieces, see [`UNHEARD`].
    fn gather(&mut self, gathering: Duration, until: Option<Time>) {
        loop {
            let left = until.map_or(UNHEARD, |until| until - self.clock.now());
            self.enter(GATHER, Some(left.min(UNHEARD)), gathering);
            if left <= UNHEARD || !self.ring.completion().is_empty() {
                return;
            }
        }
    }

    pub(super) fn next(&mut self) -> Option<Received<'_>> {
        self.give_back_lent();
        let Some(Came { slot, channel, from, stamp, buffer, payload }) = self.came() else {
            self.called = false;
            return None;
        };
        self.lent = Some(buffer);
        let bytes = self.buffers.bytes(buffer)?.get_mut(payload)?;
        Some(Received { slot, channel, from, at: self.stamps.time(stamp), bytes })
    }

    fn give_back_lent(&mut self) {
        if let Some(buffer) = self.lent.take() {
            self.buffers.give_back(buffer);
        }
    }

    fn came(&mut self) -> Option<Came> {
        if let Some(came) = self.ahead.pop_front() {
            return Some(came);
        }
        loop {
            let completion = self.completion()?;
            if let Some(came) = self.handle(&completion) {
                return Some(came);
            }
        }
    }

    fn read_ahead(&mut self) {
        while let Some(completion) = self.completion() {
            let came = self.handle(&completion);
            self.ahead.extend(came);
        }
    }

    fn completion(&mut self) -> Option<cqueue::Entry> {
        self.ring.completion().next()
    }

    fn handle(&mut self, completion: &cqueue::Entry) -> Option<Came> {
        match About::of(completion.user_data()) {
            About::Receive { generation, place } => return self.received(generation, place, completion),
            // Only failures are told.
            About::Send => {
                self.counters.sent -= 1;
                self.counters.send_dropped += 1;
            }
            About::Wake => {
                drain(&self.wake);
                self.called = true;
                if !cqueue::more(completion.flags()) {
                    self.watch_wake();
                }
            }
            About::Cancel => {}
        }
        None
    }

    fn received(&mut self, generation: u32, index: u32, completion: &cqueue::Entry) -> Option<Came> {
        let buffer = cqueue::buffer_select(completion.flags()).filter(|id| self.buffers.claim(*id).is_some());
        let Some(place) = self.places.completed(generation, index) else {
            buffer.into_iter().for_each(|id| self.buffers.give_back(id));
            return None;
        };
        let (slot, channel, open) = (place.slot, place.channel, place.state != State::Closing);
        if !cqueue::more(completion.flags()) && self.places.handle_end(index) {
            drop(self.clear(index));
        }
        let Ok(length) = usize::try_from(completion.result()) else {
            match -completion.result() {
                libc::ENOBUFS => self.counters.starved += 1,
                libc::ECANCELED => {}
                _ => self.counters.receive_errors += 1,
            }
            buffer.into_iter().for_each(|id| self.buffers.give_back(id));
            return None;
        };
        let buffer = buffer?;
        let bytes = self.buffers.bytes(buffer)?;
        match received::read(&bytes[..length.min(buffers::SIZE)]) {
            Some((from, stamp, payload)) if open => {
                self.counters.received += 1;
                return Some(Came { slot, channel, from, stamp, buffer, payload });
            }
            Some(_) => {}
            None => self.counters.too_long += 1,
        }
        self.buffers.give_back(buffer);
        None
    }

    fn watch_wake(&mut self) {
        let poll = opcode::PollAdd::new(Fd(self.wake.as_raw_fd()), libc::POLLIN as u32).multi(true).build();
        // SAFETY: it carries no address.
        unsafe { self.push(poll.user_data(About::Wake.number())) };
    }

    pub(super) fn counters(&self) -> &Counters {
        &self.counters
    }
}

impl Drop for Uring {
    fn drop(&mut self) {
        // No receive may fill a buffer after this, though the kernel ends them in its own time.
        let _ = self.ring.submitter().unregister_buf_ring(buffers::GROUP);
    }
}
