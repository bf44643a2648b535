//! RTCP of one port: sender and receiver reports about every 5 s, CNAME, BYE (RFC 3550 section 6).

use std::time::Duration;

use super::sender::Sender;
use crate::{
    chance::Chance,
    rtp::{
        rtcp::{self, Block, Compound, Packet},
        sequence::Reception,
        xr::Voip,
    },
    time::{Epoch, Time},
};

/// The reports of one port.
#[derive(Debug)]
pub(super) struct Report {
    /// Made anew for each call, so that it tells nothing (RFC 7022 section 4.2).
    cname: [u8; 16],
    next: Time,
    /// NTP time (middle bits) of the peer's last sender report, and when it came.
    heard: Option<(u32, Time)>,
    /// RTP packets sent when we reported last.
    reported: u64,
    /// A report was sent; only then there is somebody to say goodbye to.
    began: bool,
    round_trip: Option<Duration>,
    peer_lost: Option<u8>,
}

impl Report {
    pub(super) fn new(chance: &mut Chance) -> Report {
        let name = chance.bits();
        let cname = std::array::from_fn(|at| b"0123456789abcdef"[(name >> (4 * at)) as usize & 15]);
        let (next, heard, reported) = (Time::START, None, 0);
        Report { cname, next, heard, reported, began: false, round_trip: None, peer_lost: None }
    }

    /// Plan the next report: at half to one and a half of the interval (RFC 3550 section 6.3.1), so that many calls
    /// do not report in step.
    pub(super) fn plan(&mut self, now: Time, interval: Duration, chance: &mut Chance) {
        let part = 512 + chance.bits() as u32 % 1024;
        self.next = now + interval * part / 1024;
    }

    pub(super) fn due(&self, now: Time) -> bool {
        self.next <= now
    }

    /// A report was sent to the peer.
    pub(super) fn began(&self) -> bool {
        self.began
    }

    pub(super) fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }

    /// What the peer lost of ours at last, in 256ths.
    pub(super) fn peer_lost(&self) -> Option<u8> {
        self.peer_lost
    }

    /// A datagram that the gate let in; `ssrc` is our own.
    /// Gives what the peer says of our voice, where it does.
    pub(super) fn handle(&mut self, now: Time, epoch: Epoch, ssrc: u32, datagram: &[u8]) -> Option<Voip> {
        let mut told = None;
        for packet in rtcp::read(datagram) {
            match packet {
                Packet::Report { sender, blocks, .. } => {
                    if let Some(sender) = sender {
                        self.heard = Some((rtcp::middle(sender.ntp), now));
                    }
                    for block in blocks.filter(|block| block.ssrc == ssrc) {
                        self.peer_lost = Some(block.fraction);
                        self.round_trip = rtcp::round_trip(epoch.ntp(now), &block).or(self.round_trip);
                    }
                }
                Packet::Voip { seen, .. } if seen.ssrc == ssrc => told = Some(seen),
                Packet::Voip { .. } | Packet::Cname { .. } | Packet::Goodbye { .. } => {}
            }
        }
        told
    }

    /// Write the report that is due, or with `goodbye` the last one. Returns its length.
    pub(super) fn write(
        &mut self,
        time: (Time, Epoch),
        from: &Sender,
        about: &mut Reception,
        goodbye: bool,
        into: &mut [u8],
    ) -> usize {
        let (now, epoch) = time;
        let (packets, octets) = from.sent();
        let sender = (packets > self.reported).then(|| rtcp::Sender {
            ntp: epoch.ntp(now),
            timestamp: from.timestamp_at(now),
            packets: packets as u32,
            octets: octets as u32,
        });
        self.reported = packets;
        self.began = true;
        let (last_sr, delay) = self.heard.map_or((0, 0), |(middle, at)| (middle, rtcp::delay(now - at)));
        let block = about.report().map(|block| Block { last_sr, delay, ..block });
        let cname = str::from_utf8(&self.cname).expect("hexadecimal digits are ASCII");
        Compound { ssrc: from.ssrc(), sender, block, cname, goodbye }.write(into)
    }
}
