//! RTP and RTCP (RFC 3550) and digits in RTP (RFC 4733): bytes in, numbers out. Nothing here allocates.
//!
//! - [`packet`]: the RTP header, read with the checks of A.1 and written.
//! - [`sequence`]: 16-bit sequence numbers made whole, losses and jitter counted.
//! - [`rtcp`]: sender and receiver reports, CNAME, BYE.
//! - [`digits`]: key presses from telephone-event packets, and back.
//! - [`srtp`]: packets that nobody on the way can read or change.
//! - [`stun`]: what ICE asks and is answered.

pub mod digits;
pub mod packet;
pub mod rtcp;
pub mod sequence;
pub mod srtp;
pub mod stun;

/// Longest packet that is read or written, in bytes.
pub const LONGEST: usize = 1500;

pub use packet::{HEADER, Header, read, write};
