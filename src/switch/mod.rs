//! Call control, sans-IO: [`Switch`] owns the calls, answers and makes them, and does what flows ask for.
//!
//! What happens comes in as [`Input`], what is to be done goes out as [`Output`]: SIP messages, commands to the media
//! threads, replies to scripts, call records. Ports, sounds, names and files are asked for and come back as inputs.

#![cfg_attr(not(test), deny(clippy::wildcard_enum_match_arm))]

mod accept;
mod aside;
mod bridge;
mod call;
mod carriers;
mod cdr;
mod close;
mod config;
mod connect;
mod console;
mod core;
mod desk;
mod detect;
mod dialling;
mod dictation;
mod direct;
mod door;
mod early;
mod errands;
mod failover;
mod fax;
mod fax_first;
mod finish;
mod flow;
mod forks;
mod gather;
pub mod guard;
mod happened;
mod hearing;
mod hold;
mod hunt;
mod incoming;
mod info;
mod input;
mod key;
mod lamps;
mod link;
mod list;
mod message;
mod message_copy;
mod message_in;
mod message_out;
mod message_record;
mod message_within;
mod modify;
mod network;
mod outbound;
mod output;
mod overload;
mod park;
mod phones;
mod play;
mod port;
mod progress;
mod proof;
mod provisional;
mod queued;
mod reason;
mod record;
mod refer;
mod registered;
mod registrar;
mod reoffer;
mod replaces;
mod replied;
mod rerun;
mod room;
mod route;
mod rules;
mod runs;
mod secure;
mod session;
mod siprec;
mod siprec_mask;
mod siprec_mouths;
mod siprec_words;
mod steer;
pub mod stir;
mod stream;
#[expect(clippy::module_inception, reason = "the machine that the folder is named after")]
mod switch;
mod tape;
mod target;
mod task;
mod telephone;
#[cfg(test)]
#[expect(clippy::wildcard_enum_match_arm, reason = "tests pick what they look for")]
mod tests;
mod through;
mod trace;
mod transfer;
mod trunk;
mod update;
mod voices;
mod watchdog;
mod whereabouts;
mod within;

pub use carriers::{SeatView, Trouble, TrunkView};
pub use cdr::{CallQuality, CallRecord, Direction, EndDetail, EndReason, MosScale, Status};
pub use config::{Config, Counts, Limits};
pub use dialling::Dialling;
pub use guard::{Access, GuardConfig, Guarded};
pub use happened::{By, Happening, OneWay, OneWayReason, What as Happened};
pub use input::{Input, Originate};
pub use message::{MessageConfig, MessageRoute};
pub use message_record::MessageRecord;
pub use network::{BadNetwork, Network};
pub use output::{ConsoleReply, Output, Trace, TraceEvent, TrunkNews};
pub use phones::{NonceKey, Phone, Phones};
pub use progress::Progress;
pub use registrar::{Binding, Gone, Registrar};
pub use route::{BadPattern, Pattern, Route, Service, Through, best};
pub use rules::{HoldRule, Rules, TransferRule};
pub use runs::{FlowRun, RunEnd};
pub use secure::{Handshake, HandshakeWay, MediaSecurity, NoKeys};
pub use siprec::Recorders;
pub use stream::{StreamAbout, StreamNews, StreamOrder};
pub use switch::Switch;
pub use trunk::{
    Alarm, Cap, CapBy, HeaderRule, Identity, KeysOut, Outbound, Rewrite, Rule, Trail, Trunk, Trunking, Voucher, What,
};
pub use voices::RecordingNote;
