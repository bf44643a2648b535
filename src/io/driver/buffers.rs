//! Buffers that io_uring fills as datagrams come: a ring in memory shared with the kernel says which ones are free.
//!
//! A buffer belongs either to the kernel (it is in the ring) or to us (a completion named it, and it was not given
//! back). Only ours is ever looked at. See io_uring_register_buf_ring(3).

#![expect(unsafe_code, reason = "memory shared with the kernel")]

use std::{
    alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error},
    io,
    ptr::NonNull,
    sync::atomic::{AtomicU16, Ordering::Release},
};

use io_uring::{Submitter, types::BufRingEntry};

/// How many; a power of two.
pub(super) const COUNT: u16 = 512;
/// Bytes of each.
pub(super) const SIZE: usize = 2048;
/// The only group of buffers in our rings.
pub(super) const GROUP: u16 = 0;

const PAGE: usize = 4096;
const RING_BYTES: usize = COUNT as usize * size_of::<BufRingEntry>();

/// The buffers and their ring.
pub(super) struct Buffers {
    /// First the ring, then the buffers: one piece, aligned to a page.
    memory: NonNull<u8>,
    /// How many were ever put into the ring, modulo 65536.
    tail: u16,
    /// Which ones are ours: completions name them, and a name that is not ours would be a kernel's bug.
    ours: Box<[bool]>,
}

// SAFETY: the memory is owned by this value alone, and has no tie to a thread.
unsafe impl Send for Buffers {}

impl Buffers {
    pub(super) fn new() -> Buffers {
        let layout = layout();
        // SAFETY: the layout's size is not zero.
        let memory = unsafe { alloc_zeroed(layout) };
        let Some(memory) = NonNull::new(memory) else { handle_alloc_error(layout) };
        Buffers { memory, tail: 0, ours: vec![true; COUNT as usize].into() }
    }

    /// Tell the kernel of the buffers, and give it all of them.
    ///
    /// # Safety
    ///
    /// `self` must live until the ring of `submitter` is closed.
    pub(super) unsafe fn register(&mut self, submitter: &Submitter<'_>) -> io::Result<()> {
        // SAFETY: the memory holds a ring of COUNT entries, aligned to a page, and lives as long as the caller promises.
        unsafe { submitter.register_buf_ring_with_flags(self.memory.as_ptr() as u64, COUNT, GROUP, 0)? };
        (0..COUNT).for_each(|id| self.give_back(id));
        Ok(())
    }

    /// A completion says that the kernel filled buffer `id`: from now on it is ours. None: no such buffer.
    pub(super) fn claim(&mut self, id: u16) -> Option<()> {
        let ours = self.ours.get_mut(usize::from(id))?;
        debug_assert!(!*ours, "the kernel fills only buffers that it was given");
        *ours = true;
        Some(())
    }

    /// The bytes of a buffer that is ours.
    pub(super) fn bytes(&mut self, id: u16) -> Option<&mut [u8]> {
        self.ours.get(usize::from(id)).filter(|ours| **ours)?;
        // SAFETY: `id` is below COUNT, so the slice lies within the memory; the buffer is ours, so the kernel does not
        // write to it; the slice borrows `self`, so there is no other one.
        Some(unsafe { std::slice::from_raw_parts_mut(self.buffer(id), SIZE) })
    }

    /// Let the kernel fill the buffer again. Nothing happens where it is not ours.
    pub(super) fn give_back(&mut self, id: u16) {
        let Some(ours) = self.ours.get_mut(usize::from(id)).filter(|ours| **ours) else { return };
        *ours = false;
        let place = usize::from(self.tail & (COUNT - 1));
        let address = self.buffer(id) as u64;
        // SAFETY: `place` is below COUNT; the kernel does not read an entry before the tail passes it. The entry's last
        // field, which in the first entry is the tail itself, is left alone.
        let entry = unsafe { &mut *self.memory.as_ptr().cast::<BufRingEntry>().add(place) };
        entry.set_addr(address);
        entry.set_len(SIZE as u32);
        entry.set_bid(id);
        self.tail = self.tail.wrapping_add(1);
        // SAFETY: the first entry exists; its tail field is two bytes, aligned, and only ever written here.
        let tail = unsafe { AtomicU16::from_ptr(BufRingEntry::tail(self.memory.as_ptr().cast()).cast_mut()) };
        tail.store(self.tail, Release);
    }

    /// Where buffer `id`, which is below COUNT, begins.
    fn buffer(&self, id: u16) -> *mut u8 {
        // SAFETY: the memory holds the ring and COUNT buffers.
        unsafe { self.memory.as_ptr().add(RING_BYTES + usize::from(id) * SIZE) }
    }
}

impl Drop for Buffers {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout; the kernel's ring is closed, as `register` demands.
        unsafe { dealloc(self.memory.as_ptr(), layout()) };
    }
}

fn layout() -> Layout {
    Layout::from_size_align(RING_BYTES + COUNT as usize * SIZE, PAGE).expect("small, and a page is a power of two")
}
