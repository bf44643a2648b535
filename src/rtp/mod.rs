//! RTP and RTCP (RFC 3550) and digits in RTP (RFC 4733): bytes in, numbers out. Nothing here allocates.
//!
//! - [`packet`]: the RTP header, read with the checks of A.1 and written.
//! - [`sequence`]: 16-bit sequence numbers made whole, losses and jitter counted.
//! - [`rtcp`]: sender and receiver reports, CNAME, BYE.
//! - [`xr`]: extended reports (RFC 3611): how a voice arrives, told to who sends it.
//! - [`emodel`]: what people would say of it (G.107, G.107.1).
//! - [`digits`]: key presses from telephone-event packets, and back.
//! - [`srtp`]: packets that nobody on the way can read or change.
//! - [`stun`]: what ICE asks and is answered.

pub mod digits;
pub mod emodel;
pub mod packet;
pub mod rtcp;
pub mod sequence;
pub mod srtp;
pub mod stun;
pub mod xr;

/// Longest packet that is read or written, in bytes.
pub const LONGEST: usize = 1500;

pub use packet::{HEADER, Header, read, write};
