//! The switch in virtual time: switches and hand-written peers on a network in memory, engines and scripts by hand.

mod aside;
mod caller;
mod codecs;
mod dial;
mod direct;
mod early;
mod failover;
mod fax;
mod fax_first;
mod guard;
mod happened;
mod hold;
mod incoming;
mod info;
mod late;
mod lists;
mod message_records;
mod messages;
mod modify;
mod numbers;
mod outgoing;
mod phones;
mod random;
mod reason;
mod rooms;
mod sample;
mod secure;
mod session;
mod siprec;
mod sound_told;
mod sounds;
mod steer;
mod stir;
mod stream;
mod through;
mod topology;
mod torture;
mod transfer;
mod trunks;
mod two_legs;
mod voices;
mod watchdog;
mod world;

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;

use super::*;
use crate::{
    codec::{Codec, Rate},
    facts::{Facts, Start},
    ids::{CallId, FlowId, InterfaceId, LoadId, PortId, QueryId, RecordingId, RequestId, WorkerId},
    media::{self, Command, Pcm, Quality},
    sip::{self, Hop, Interface, Limits as SipLimits, Message, Method, Request as SipRequest, Response, Transport},
    time::{Epoch, Time},
    verbs::{
        self, Dial, Failure, FlowEnd, Gather, Manner, NoSound, Origin, Play, PlayKey, Ran, Record, RecordEnd,
        RecordMode, Reply, Request, Sound, SoundFault, Steer, Strategy, Verb, Voices,
    },
};
use caller::*;
use world::*;

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// One target, rung for so many seconds.
fn ringing(target: &str, seconds: u64) -> Dial {
    Dial {
        targets: vec![target.to_owned()],
        strategy: Strategy::All,
        timeout: secs(seconds),
        early_media: false,
        caller_id: None,
        headers: vec![],
        ringback: None,
    }
}

fn udp(text: &str) -> sip::Target {
    sip::Target { transport: Transport::Udp, address: address(text) }
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn millis(ms: u64) -> Duration {
    Duration::from_millis(ms)
}
