//! RTP and RTCP (RFC 3550) and digits in RTP (RFC 4733): bytes in, numbers out. Nothing here allocates.
//!
//! - [`packet`]: the RTP header, read with the checks of A.1 and written.
//! - [`sequence`]: 16-bit sequence numbers made whole, losses and jitter counted.
//! - [`rtcp`]: sender and receiver reports, CNAME, BYE.
//! - [`xr`]: extended reports (RFC 3611): how a voice arrives, told to who sends it.
//! - [`emodel`]: what people would say of it (G.107).
//! - [`digits`]: key presses from telephone-event packets, and back.

pub mod digits;
pub mod emodel;
pub mod packet;
pub mod rtcp;
pub mod sequence;
pub mod xr;

pub use packet::{HEADER, Header, read, write};
