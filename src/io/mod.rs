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
pub mod interfaces;
pub mod media_ports;
pub mod pace;
pub mod ring;
pub mod sounds;
mod stats;
pub mod streams;
mod thread;
pub mod udp;
pub mod worker;

pub use control::{InterfaceAddress, Order, Seen};
pub use sounds::{SoundCache, SpeakText};

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
