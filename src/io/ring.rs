//! A bounded queue between threads, with an eventfd that wakes whoever waits for it.
//!
//! Any number of threads may push; one thread pops. The eventfd is written only when the reader has not been woken
//! yet, so a burst costs one system call.

use std::{
    fmt, io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
};

use crossbeam_queue::ArrayQueue;
use nix::sys::eventfd::{EfdFlags, EventFd};

/// The queue; a copy is another end of the same one.
pub struct Ring<T>(Arc<Inner<T>>);

struct Inner<T> {
    queue: ArrayQueue<T>,
    wake: EventFd,
    /// The reader has been woken and has not begun to read since.
    woken: AtomicBool,
}

/// The queue is full; here is the item back.
#[derive(Debug)]
pub struct Full<T>(pub T);

impl<T> Ring<T> {
    /// A queue of `capacity` items.
    pub fn new(capacity: usize) -> io::Result<Ring<T>> {
        let wake = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        Ok(Ring(Arc::new(Inner { queue: ArrayQueue::new(capacity), wake, woken: AtomicBool::new(false) })))
    }

    /// Add an item and wake the reader.
    pub fn push(&self, item: T) -> Result<(), Full<T>> {
        self.push_quietly(item)?;
        self.wake();
        Ok(())
    }

    /// Add an item; the reader sees it when it looks, or at the next [`Ring::wake`].
    pub fn push_quietly(&self, item: T) -> Result<(), Full<T>> {
        self.0.queue.push(item).map_err(Full)
    }

    /// Wake the reader, unless that has been done already.
    pub fn wake(&self) {
        if !self.0.woken.swap(true, SeqCst) {
            // The only failure is a counter at its end, and then the reader is awake anyway.
            let _ = self.0.wake.write(1);
        }
    }

    /// The reader is about to pop: pushes from now on wake it again. To be called before popping, else a wake-up may
    /// be missed. Resets the eventfd.
    pub fn acknowledge(&self) {
        // EAGAIN: nobody wrote.
        let _ = self.0.wake.read();
        self.listen();
    }

    /// As [`Ring::acknowledge`], where something else reads the eventfd. True: the reader was woken since the last time,
    /// so there may be items.
    ///
    /// Whoever reads the eventfd after this and before going to sleep has to ask again: a push in between has called, and
    /// will not call again.
    pub(super) fn listen(&self) -> bool {
        let woken = self.0.woken.load(SeqCst);
        if woken {
            self.0.woken.store(false, SeqCst);
        }
        woken
    }

    /// The oldest item.
    pub fn pop(&self) -> Option<T> {
        self.0.queue.pop()
    }

    /// True: the next push would fail.
    pub fn is_full(&self) -> bool {
        self.0.queue.is_full()
    }

    /// The eventfd, to be waited on: readable means that there may be items.
    pub fn wake_fd(&self) -> io::Result<OwnedFd> {
        self.0.wake.as_fd().try_clone_to_owned()
    }
}

impl<T> Clone for Ring<T> {
    fn clone(&self) -> Self {
        Ring(Arc::clone(&self.0))
    }
}

impl<T> AsFd for Ring<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.wake.as_fd()
    }
}

impl<T> fmt::Debug for Ring<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ring({} of {})", self.0.queue.len(), self.0.queue.capacity())
    }
}

#[cfg(test)]
mod tests {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

    use super::*;

    fn readable<T>(ring: &Ring<T>) -> bool {
        poll(&mut [PollFd::new(ring.as_fd(), PollFlags::POLLIN)], PollTimeout::ZERO).unwrap() == 1
    }

    #[test]
    fn a_full_ring_gives_the_item_back() {
        let ring = Ring::new(1).unwrap();
        ring.push(1).unwrap();
        assert!(ring.is_full());
        assert_eq!(ring.push(2).unwrap_err().0, 2);
        assert_eq!(ring.pop(), Some(1));
        ring.push(3).unwrap();
    }

    #[test]
    fn a_push_wakes_a_reader_that_has_acknowledged() {
        let ring = Ring::new(4).unwrap();
        assert!(!readable(&ring));
        ring.push(1).unwrap();
        assert!(readable(&ring));
        ring.acknowledge();
        assert!(!readable(&ring));
        ring.push(2).unwrap();
        assert!(readable(&ring));
    }

    #[test]
    fn a_quiet_push_wakes_nobody() {
        let ring = Ring::new(4).unwrap();
        ring.push_quietly(1).unwrap();
        assert!(!readable(&ring));
        ring.wake();
        assert!(readable(&ring));
    }

    #[test]
    fn a_wake_up_that_somebody_else_took_is_still_known() {
        let ring = Ring::new(4).unwrap();
        assert!(!ring.listen());
        ring.push(1).unwrap();
        ring.0.wake.read().unwrap();
        ring.push(2).unwrap();
        assert!(!readable(&ring), "it has been called, and is not called twice");
        assert!(ring.listen());
        assert!(!ring.listen());
        ring.push(3).unwrap();
        assert!(readable(&ring));
    }

    #[test]
    fn nothing_is_lost_between_two_threads() {
        let ring = Ring::new(8).unwrap();
        let far = ring.clone();
        let writer = std::thread::spawn(move || {
            for number in 0..20_000_u32 {
                let mut item = number;
                while let Err(Full(back)) = far.push(item) {
                    item = back;
                    std::thread::yield_now();
                }
            }
        });
        let mut expected = 0;
        while expected < 20_000 {
            poll(&mut [PollFd::new(ring.as_fd(), PollFlags::POLLIN)], PollTimeout::from(5_000_u16)).unwrap();
            assert!(readable(&ring), "woken for every item");
            ring.acknowledge();
            while let Some(number) = ring.pop() {
                assert_eq!(number, expected);
                expected += 1;
            }
        }
        writer.join().unwrap();
    }
}
