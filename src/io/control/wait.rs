//! What the task waits for.

use std::{
    io,
    os::fd::{AsRawFd, OwnedFd},
};

use tokio::io::unix::AsyncFd;

use crate::{io::clock::Clock, time::Time};

#[expect(unsafe_code, reason = "tokio asks for a promise about the descriptor that only its owner can give")]
pub(in crate::io) fn watched<T: AsRawFd>(fd: T) -> io::Result<AsyncFd<T>> {
    // SAFETY: what is watched here (eventfds, an epoll instance) owns its descriptor: it gives the same one each time,
    // and closes it only when it is dropped, with the AsyncFd.
    unsafe { AsyncFd::register(fd) }.map_err(io::Error::from)
}

pub(super) async fn readable(fd: &AsyncFd<OwnedFd>) -> io::Result<()> {
    fd.readable().await?.clear_ready();
    Ok(())
}

pub(super) async fn sleep_until(clock: &Clock, at: Option<Time>) {
    match at {
        Some(at) => tokio::time::sleep_until(clock.instant(at).into()).await,
        None => std::future::pending().await,
    }
}
