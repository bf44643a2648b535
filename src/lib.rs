//! Switchhook: a SIP user agent, an RTP mixer and a flow runner in one program.

pub mod audio;
pub mod codec;
pub mod exchange;
pub mod ids;
pub mod media;
pub mod rtp;
pub mod sdp;
pub mod sip;
pub mod switch;
pub mod time;
#[cfg(test)]
mod vectors;
pub mod verbs;

#[cfg(test)]
mod vectors_sip;
