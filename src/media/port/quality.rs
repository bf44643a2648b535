//! What a port saw, in numbers.

use std::{net::SocketAddr, time::Duration};

use super::{Hearing, Port};
use crate::{
    media::{Quality, metrics},
    rtp::xr::Voip,
};

impl Port {
    /// A packet from there is not to be heard.
    pub(in crate::media) fn refuse(&mut self, from: SocketAddr) {
        self.refused += 1;
        self.refused_from = Some(from);
    }

    /// What it saw.
    pub(in crate::media) fn quality(&self) -> Quality {
        let micros = |span: Duration| span.as_micros().min(u128::from(u32::MAX)) as u32;
        let jitter = self.jitter.stats();
        let mut quality = Quality {
            sent: self.sender.sent().0,
            received: self.reception.received(),
            lost: self.reception.lost().max(0) as u64,
            late: jitter.late,
            concealed: jitter.concealed,
            refused: self.refused,
            unproved: self.unproved,
            refused_from: self.refused_from,
            jitter_us: micros(self.reception.jitter()),
            round_trip_us: self.report.round_trip().map(micros),
            peer_lost_fraction: self.report.peer_lost(),
            source: self.gate.source(),
            buffer: jitter.delay,
            ..Quality::default()
        };
        let codec = match self.hearing {
            Hearing::Nothing => self.stream.send.map(|payload| payload.codec),
            Hearing::Audio(codec) => Some(codec),
            Hearing::Foreign => None,
        };
        let ptime = Duration::from_millis(u64::from(self.stream.ptime));
        self.metrics.complete(&mut quality, codec, ptime);
        quality
    }

    /// What we tell the peer of its voice, once there is something to tell.
    pub(in crate::media) fn voip(&self, quality: &Quality) -> Option<Voip> {
        metrics::voip(self.reception.ssrc(), quality, self.jitter_max)
    }
}
