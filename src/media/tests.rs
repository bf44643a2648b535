//! The engine in virtual time, with packets made by hand.

use std::{net::SocketAddr, time::Duration};

use super::*;

/// A moment, in ms.
pub(super) fn at(ms: u64) -> Time {
    Time::from_start(Duration::from_millis(ms))
}

/// PCMU and digits both ways, with a peer at `remote`.
pub(super) fn stream_to(remote: SocketAddr) -> Stream {
    let pcmu = Payload { number: 0, codec: Codec::Pcmu };
    Stream {
        remote: Some(remote),
        remote_rtcp: Some(SocketAddr::new(remote.ip(), remote.port() + 1)),
        send: pcmu,
        receive: vec![pcmu],
        foreign: vec![],
        send_digits: Some(101),
        receive_digits: Some(101),
        ptime: 20,
        sending: true,
        receiving: true,
    }
}
