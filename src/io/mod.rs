//! The world: clocks, sockets, threads and files. Everything below is a machine that is told of them.
//!
//! ```text
//! control ──ToWorker──▶ worker (media thread: an Engine, its sockets, a driver) ──Recorded──▶ disk
//!    ▲                     │  ▲                                                            │  │
//!    └────FromWorker───────┘  └──────────────────────────Space─────────────────────────────┘  │
//!    └──────────────────────────────────FromDisk──────────────────────────────────────────────┘
//! ```

pub mod clock;
pub mod driver;
pub mod media_ports;
pub mod ring;
mod thread;
