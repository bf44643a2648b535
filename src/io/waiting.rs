//! Threads that wait for several things at once: the one way in which they are made.

use std::{future::Future, io, thread, time::Duration};

use tokio::runtime::{Builder, Runtime};

/// A runtime of one thread, with sockets and timers.
pub fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

/// Let `time` pass, before something is tried or asked again. All else that waits is woken by what it waits for.
#[allow(clippy::disallowed_methods, reason = "the one place")]
pub async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
}

/// A thread of its own for `work`, which ends with it. Of what would block it, so much at a time goes to other threads;
/// absent: as much as the runtime lets.
pub fn runs_alone(
    name: &str,
    blocking: Option<usize>,
    work: impl Future<Output = ()> + Send + 'static,
) -> io::Result<thread::JoinHandle<()>> {
    let mut builder = Builder::new_current_thread();
    if let Some(most) = blocking {
        builder.max_blocking_threads(most);
    }
    let runtime = builder.enable_all().build()?;
    thread::Builder::new().name(name.into()).spawn(move || runtime.block_on(work))
}
