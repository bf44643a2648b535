//! The world: clocks, sockets, threads and files. Everything below is a machine that is told of them.
//!
//! ```text
//! control ──ToWorker──▶ worker (media thread: an Engine, its sockets, a driver) ──Recorded──▶ disk
//!    ▲                     │  ▲                                                            │  │
//!    └────FromWorker───────┘  └──────────────────────────Space─────────────────────────────┘  │
//!    └──────────────────────────────────FromDisk──────────────────────────────────────────────┘
//! ```

pub mod clock;
pub mod control;
pub mod disk;
pub mod dns;
pub mod driver;
pub mod g729;
pub mod handshakes;
mod inbound;
pub mod interfaces;
pub mod media_ports;
pub mod pace;
mod registered;
pub mod ring;
pub mod sounds;
mod stats;
pub mod streams;
mod thread;
pub mod trust;
pub mod udp;
mod waiting;
mod waits;
pub mod worker;

use std::{os::fd::AsFd, time::Duration};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

pub use control::{Fact, Figures, InterfaceAddress, Order, Seen, View, counts_of};
pub use sounds::{FetchSound, SoundCache, SpeakText, decode as decode_sound};
pub use stats::Load;
pub use thread::allocate_in_steps;
pub use waiting::{pass, runs_alone, runtime};
pub use waits::{CLASSES as WAIT_CLASSES, Hook, Waited};

/// How long a thread that nobody waits for lets work gather, once there is some: waking it costs more than the work.
const GATHER: Duration = Duration::from_millis(20);

/// Wait until `fd` can be read, for at most `longest`.
pub fn wait_for(fd: &impl AsFd, longest: Option<Duration>) {
    // Rounded up, lest it wakes up for nothing.
    let timeout = longest.and_then(|time| PollTimeout::try_from(time + Duration::from_millis(1)).ok());
    // Interrupted by a signal: the caller looks, finds nothing, and waits again.
    let _ = poll(&mut [PollFd::new(fd.as_fd(), PollFlags::POLLIN)], timeout.unwrap_or(PollTimeout::NONE));
}

/// Let work gather.
pub fn pause() {
    let timeout = PollTimeout::try_from(GATHER).expect("20 ms fit");
    let _ = poll(&mut [], timeout);
}

/// An address that could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("{what} on {address}: {source}")]
pub struct BindError {
    /// For what.
    pub what: &'static str,
    /// Which.
    pub address: std::net::SocketAddr,
    /// What the system said.
    pub source: std::io::Error,
}
