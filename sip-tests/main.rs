//! The real program on loopback, against real peers: SIPp, baresip, Kamailio. Few tests, and each guards what the simulator
//! cannot: sockets, threads, kernels, other people's SIP.

#![expect(clippy::unwrap_used, reason = "what fails in a test fails the test")]

mod api;
mod baresip;
mod browser;
mod carrier;
mod comfort;
mod command_line;
mod digits;
mod docs;
mod doors;
mod endings;
mod fax;
mod g729;
mod happenings;
mod kamailio;
mod lengths;
mod listening;
mod live;
mod messages;
mod misbehaving;
mod names;
mod one_way;
mod phones;
mod play_control;
mod playing;
#[path = "../src/store/tests/postgres.rs"]
mod postgres;
mod progress;
mod queues;
mod readers;
mod recordings;
mod records;
mod reliability;
mod ring_all;
mod secure;
mod secure_changes;
mod silent;
mod sipp;
mod siprec;
mod sipvicious;
mod sound;
mod spoken;
mod stir;
mod store;
mod streams;
mod support;
mod telephony_errors;
mod transfers;
mod trunks;
mod vad;
mod watching;
mod webhooks;
mod wires;
