//! io_uring: each socket has one multishot receive that fills provided buffers, and all sends of a turn go to the kernel
//! with the same system call that waits for the next one.
//!
//! A receive belongs to a place in the table of registered files. A place is used again only after the last completion
//! of its receive, so a completion can never be taken for one of a later port; the generation in its name says so, too.
//!
//! ```text
//! Free ──add──▶ Armed ──close──▶ Closing ──last completion──▶ Free
//!               │   ▲ └──stop──▶ Stopping ─last completion──▶ Stopped ──take──▶ Free
//!               ▼   └─ next turn
//!              Idle (no buffer was left, or the socket had an error)
//! ```

#![expect(unsafe_code, reason = "the kernel is given addresses")]

use std::{
    collections::VecDeque,
    io,
    net::UdpSocket,
    os::fd::{AsRawFd, OwnedFd, RawFd},
    time::Duration,
};

use io_uring::{
    IoUring, Probe, cqueue, opcode, squeue,
    types::{Fd, Fixed, SubmitArgs, Timespec},
};
use nix::sys::resource::{Resource, getrlimit};
use socket2::SockAddr;

use super::{
    Counters, Received, Wait,
    buffers::{self, Buffers},
    drain,
    received::{self, Came},
};
use crate::{
    io::media_ports::Sockets,
    media::{Batch, Channel, Slot},
};

/// Room for submissions.
const SUBMISSIONS: u32 = 512;
/// Sends that go to the kernel at once; each needs an address that stays in its place until then.
const SENDS: usize = 256;
/// A sleep that gathers ends early when this many packets came.
const GATHER: usize = 64;
/// Places beyond two for each port: of ports that are being closed.
const SPARE_PLACES: usize = 64;
/// A cancelled receive completes at once; the kernel gets this many times [`PATIENCE`] for it.
const TRIES: usize = 500;
const PATIENCE: Duration = Duration::from_millis(10);

const NO_FILE: RawFd = -1;

/// See the module.
pub struct Uring {
    /// Declared, hence closed, before the memory that the kernel knows.
    ring: IoUring,
    buffers: Buffers,
    /// Says how much room there is for a source address; read by the kernel whenever a receive is armed.
    shape: Box<libc::msghdr>,
    addresses: Box<[SockAddr]>,
    wake: OwnedFd,
    /// By place.
    places: Box<[Place]>,
    free: Vec<u32>,
    /// Places of RTP and RTCP, by slot.
    by_slot: Vec<Option<[u32; 2]>>,
    /// To be armed in the next turn.
    idle: Vec<u32>,
    /// Read before their turn.
    ahead: VecDeque<Came>,
    /// The buffer that was lent last.
    lent: Option<u16>,
    /// The kernel can gather by itself (6.12).
    gathers: bool,
    counters: Counters,
}

struct Place {
    slot: Slot,
    channel: Channel,
    generation: u32,
    socket: Option<UdpSocket>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Free,
    Armed,
    Idle,
    Closing,
    Stopping,
    Stopped,
}

/// What a completion is about: carried in its 64 bits as a kind, a generation (24 bits) and a place (32).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum About {
    Receive { generation: u32, place: u32 },
    Send,
    Wake,
    Cancel,
}

impl About {
    fn number(self) -> u64 {
        match self {
            About::Receive { generation, place } => u64::from(generation & 0xff_ffff) << 32 | u64::from(place),
            About::Send => 1 << 56,
            About::Wake => 2 << 56,
            About::Cancel => 3 << 56,
        }
    }

    fn of(number: u64) -> About {
        match number >> 56 {
            0 => About::Receive { generation: (number >> 32) as u32, place: number as u32 },
            1 => About::Send,
            2 => About::Wake,
            _ => About::Cancel,
        }
    }
}

impl Uring {
    pub(super) fn open(wake: OwnedFd, max_ports: usize) -> io::Result<Uring> {
        // The kernel refuses a table that is larger than the number of files we may open.
        let files = getrlimit(Resource::RLIMIT_NOFILE).map_or(1024, |(soft, _)| soft as usize);
        let places = (2 * max_ports + SPARE_PLACES).min(files).min(1 << 20);
        // Every receive may end and every buffer be filled before we read one completion.
        let completions = (places + buffers::COUNT as usize + SENDS).next_power_of_two() as u32;
        let ring = IoUring::builder()
            .setup_single_issuer()
            // Linux 6.1, hence also multishot recvmsg (6.0) and buffer rings (5.19).
            .setup_defer_taskrun()
            .setup_submit_all()
            .setup_clamp()
            .setup_cqsize(completions)
            .build(SUBMISSIONS)?;
        check_operations(&ring)?;
        ring.submitter().register_files_sparse(places as u32)?;
        // SAFETY: msghdr is a C struct of numbers and pointers, for which zero is a value.
        let mut shape: Box<libc::msghdr> = Box::new(unsafe { std::mem::zeroed() });
        shape.msg_namelen = received::NAME as u32;
        let no_address = SockAddr::from(std::net::SocketAddr::from(([0, 0, 0, 0], 0)));
        let gathers = ring.params().is_feature_min_timeout();
        let mut uring = Uring {
            ring,
            buffers: Buffers::new(),
            shape,
            addresses: vec![no_address; SENDS].into(),
            wake,
            places: (0..places).map(|_| Place::free()).collect(),
            free: (0..places as u32).rev().collect(),
            by_slot: Vec::with_capacity(max_ports),
            idle: Vec::with_capacity(places),
            ahead: VecDeque::with_capacity(buffers::COUNT as usize),
            lent: None,
            gathers,
            counters: Counters::default(),
        };
        // SAFETY: the buffers live as long as `uring`, whose drop takes them from the kernel before they go.
        unsafe { uring.buffers.register(&uring.ring.submitter())? };
        uring.watch_wake();
        Ok(uring)
    }

    pub(super) fn add(&mut self, slot: Slot, sockets: Sockets) -> io::Result<()> {
        self.close(slot);
        let index = slot.0 as usize;
        if self.by_slot.len() <= index {
            self.by_slot.resize(index + 1, None);
        }
        if self.free.len() < 2 {
            return Err(io::Error::new(io::ErrorKind::QuotaExceeded, "no room for another media port"));
        }
        let rtp = self.settle(slot, Channel::Rtp, sockets.rtp)?;
        match self.settle(slot, Channel::Rtcp, sockets.rtcp) {
            Ok(rtcp) => self.by_slot[index] = Some([rtp, rtcp]),
            Err(error) => {
                drop(self.clear(rtp));
                return Err(error);
            }
        }
        self.by_slot[index].into_iter().flatten().for_each(|place| self.arm(place));
        Ok(())
    }

    /// Put a socket into a free place.
    fn settle(&mut self, slot: Slot, channel: Channel, socket: UdpSocket) -> io::Result<u32> {
        let index = self.free.pop().ok_or(io::ErrorKind::QuotaExceeded)?;
        if let Err(error) = self.ring.submitter().register_files_update(index, &[socket.as_raw_fd()]) {
            self.free.push(index);
            return Err(error);
        }
        let place = &mut self.places[index as usize];
        place.slot = slot;
        place.channel = channel;
        place.generation = (place.generation + 1) & 0xff_ffff;
        place.socket = Some(socket);
        Ok(index)
    }

    /// Begin to receive.
    fn arm(&mut self, index: u32) {
        let place = &mut self.places[index as usize];
        place.state = State::Armed;
        let about = About::Receive { generation: place.generation, place: index };
        let shape: *const libc::msghdr = &raw const *self.shape;
        let receive = opcode::RecvMsgMulti::new(Fixed(index), shape, buffers::GROUP).build();
        // SAFETY: `shape` lives as long as the ring; the buffers are the group's.
        unsafe { self.push(receive.user_data(about.number())) };
    }

    pub(super) fn close(&mut self, slot: Slot) {
        for index in self.leave_slot(slot).into_iter().flatten() {
            match self.places[index as usize].state {
                State::Armed => self.cancel(index, State::Closing),
                State::Stopping => self.places[index as usize].state = State::Closing,
                State::Idle | State::Stopped => drop(self.clear(index)),
                State::Free | State::Closing => {}
            }
        }
    }

    pub(super) fn stop(&mut self, slot: Slot) {
        let Some(Some(both)) = self.by_slot.get(slot.0 as usize).copied() else { return };
        for index in both {
            match self.places[index as usize].state {
                State::Armed => self.cancel(index, State::Stopping),
                State::Idle => self.places[index as usize].state = State::Stopped,
                State::Free | State::Closing | State::Stopping | State::Stopped => {}
            }
        }
        for _ in 0..TRIES {
            if both.iter().all(|index| self.places[*index as usize].state == State::Stopped) {
                return;
            }
            self.enter(1, Some(PATIENCE), Duration::ZERO);
            self.read_ahead();
        }
        panic!("io_uring did not end a receive that was cancelled");
    }

    pub(super) fn take(&mut self, slot: Slot) -> Option<Sockets> {
        let both = self.by_slot.get(slot.0 as usize).copied().flatten()?;
        if both.iter().any(|index| self.places[*index as usize].state != State::Stopped) {
            return None;
        }
        let [rtp, rtcp] = self.leave_slot(slot)?.map(|index| self.clear(index));
        Some(Sockets { rtp: rtp?, rtcp: rtcp? })
    }

    fn leave_slot(&mut self, slot: Slot) -> Option<[u32; 2]> {
        self.by_slot.get_mut(slot.0 as usize)?.take()
    }

    /// End a receive; its last completion comes soon.
    fn cancel(&mut self, index: u32, state: State) {
        let place = &mut self.places[index as usize];
        place.state = state;
        let receive = About::Receive { generation: place.generation, place: index };
        let cancel = opcode::AsyncCancel::new(receive.number()).build().user_data(About::Cancel.number());
        // SAFETY: it carries no address.
        unsafe { self.push(cancel) };
    }

    /// Take the socket out of a place that receives nothing any more.
    fn clear(&mut self, index: u32) -> Option<UdpSocket> {
        // Cannot fail for a place of the table; and if so, the next socket put there replaces this one.
        let _ = self.ring.submitter().register_files_update(index, &[NO_FILE]);
        self.places[index as usize].state = State::Free;
        self.free.push(index);
        self.places[index as usize].socket.take()
    }

    pub(super) fn turn(&mut self, batch: &mut Batch, wait: Wait) {
        self.give_back_lent();
        self.arm_idle();
        self.queue(batch);
        let gathering = wait.gathering();
        if gathering.is_zero() {
            self.enter(1, wait.left(), Duration::ZERO);
        } else if self.gathers {
            self.enter(GATHER, wait.left(), gathering);
        } else {
            self.enter(GATHER, Some(gathering), Duration::ZERO);
        }
        self.submit();
        batch.clear();
        self.counters.turns += 1;
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
            let Some(Some([rtp, rtcp])) = self.by_slot.get(datagram.slot.0 as usize) else {
                self.counters.send_dropped += 1;
                continue;
            };
            let index = if datagram.channel == Channel::Rtp { *rtp } else { *rtcp };
            let address = &mut self.addresses[nth];
            *address = SockAddr::from(datagram.to);
            let bytes = datagram.bytes();
            let send = opcode::Send::new(Fixed(index), bytes.as_ptr(), bytes.len() as u32)
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

    pub(super) fn next(&mut self) -> Option<Received<'_>> {
        self.give_back_lent();
        let Came { slot, channel, from, buffer, payload } = self.came()?;
        self.lent = Some(buffer);
        let bytes = self.buffers.bytes(buffer)?.get_mut(payload)?;
        Some(Received { slot, channel, from, bytes })
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
        let place = self.places.get_mut(index as usize).filter(|place| place.generation == generation)?;
        let (slot, channel, open) = (place.slot, place.channel, place.state != State::Closing);
        if !cqueue::more(completion.flags()) {
            self.ended(index);
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
            Some((from, payload)) if open => {
                self.counters.received += 1;
                return Some(Came { slot, channel, from, buffer, payload });
            }
            Some(_) => {}
            None => self.counters.too_long += 1,
        }
        self.buffers.give_back(buffer);
        None
    }

    /// The last completion of a receive is in.
    fn ended(&mut self, index: u32) {
        let place = &mut self.places[index as usize];
        match place.state {
            State::Armed => {
                place.state = State::Idle;
                self.idle.push(index);
            }
            State::Closing => drop(self.clear(index)),
            State::Stopping => place.state = State::Stopped,
            State::Free | State::Idle | State::Stopped => {}
        }
    }

    fn arm_idle(&mut self) {
        while let Some(index) = self.idle.pop() {
            // It may have been closed or stopped meanwhile, and even be in use again.
            if self.places[index as usize].state == State::Idle {
                self.arm(index);
            }
        }
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

impl Place {
    fn free() -> Place {
        Place { slot: Slot(0), channel: Channel::Rtp, generation: 0, socket: None, state: State::Free }
    }
}

/// The kernel may be new enough, and still forbid some.
fn check_operations(ring: &IoUring) -> io::Result<()> {
    let mut probe = Probe::new();
    ring.submitter().register_probe(&mut probe)?;
    let needed = [opcode::RecvMsgMulti::CODE, opcode::Send::CODE, opcode::PollAdd::CODE, opcode::AsyncCancel::CODE];
    if needed.iter().all(|code| probe.is_supported(*code)) {
        Ok(())
    } else {
        Err(io::Error::new(io::ErrorKind::Unsupported, "io_uring lacks an operation"))
    }
}
