//! Switchhook: a SIP user agent, an RTP mixer and a flow runner in one program.

pub mod api;
pub mod audio;
pub mod chance;
pub mod cli;
pub mod codec;
pub mod conf;
pub mod exchange;
pub mod facts;
pub mod hooks;
pub mod ids;
pub mod io;
pub mod media;
pub mod rtp;
pub mod script;
pub mod sdp;
pub mod secure;
pub mod server;
pub mod sim;
pub mod sip;
pub mod store;
pub mod switch;
pub mod time;
#[cfg(test)]
mod vectors;
pub mod verbs;

#[cfg(test)]
mod floors;
#[cfg(test)]
mod vectors_sip;
