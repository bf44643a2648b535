//! The world: clocks, sockets, threads and files. Everything below is a machine that is told of them.
//!
//! ```text
//! control ──ToWorker──▶ worker (media thread: an Engine, its sockets, a driver) ──Recorded──▶ disk
//!    ▲                     │  ▲                                                            │  │
//!    └────FromWorker───────┘  └──────────────────────────Space─────────────────────────────┘  │
//!    └──────────────────────────────────FromDisk──────────────────────────────────────────────┘
//! ```

pub mod clock;
pub mod disk;
pub mod driver;
pub mod media_ports;
pub mod pace;
pub mod ring;
mod stats;
mod thread;
pub mod worker;
