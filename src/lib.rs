//! Switchhook: a SIP user agent, an RTP mixer and a flow runner in one program.

pub mod codec;
pub mod ids;
pub mod script;
pub mod time;
pub mod verbs;
