//! The source gate: who is heard, and where we send (symmetric RTP, RFC 4961).
//!
//! ```text
//! Waiting ──first well-formed packet──▶ Latched ──changed address in SDP──▶ Waiting
//! ```
//!
//! Behind a NAT the address in SDP is not where packets come from, so the first source is followed; strangers are
//! neither heard nor answered from then on. A source that SDP names outranks any other, and one on the host that SDP
//! names outranks a third host: so a stranger who came first does not stay. Between equals a new source must wait until
//! the latched one was silent: long as a rule, shortly after a new agreement (the phone may have changed its network).

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use super::Stream;
use crate::time::Time;

/// For how long after a changed address the old source is still heard, before it may latch again: a NAT may well send
/// from where it sent before.
const FAREWELL: Duration = Duration::from_millis(500);
/// Silence after which, soon after a new agreement, another source of the same rank is followed: five packets.
const SHORT_SILENCE: Duration = Duration::from_millis(100);

/// How well a source fits SDP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// Another host.
    Stranger,
    /// The host that SDP names.
    Host,
    /// The address and port that SDP names.
    Named,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Nobody was heard since the address was agreed on; we send to where SDP says. The source before the agreement is
    /// still heard for a moment.
    Waiting { old: Option<(SocketAddr, Time)> },
    /// `from` is heard and answered. Until `open_until` a short silence is enough to be replaced.
    Latched { from: SocketAddr, heard: Time, open_until: Time },
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// From the source that is followed.
    Heard,
    /// From the source that is followed from now on.
    Latched,
    /// From a stranger.
    Refused,
}

/// The gate of one port.
#[derive(Debug)]
pub(super) struct Gate {
    state: State,
    named: Option<SocketAddr>,
    named_rtcp: Option<SocketAddr>,
    /// Where valid RTCP came from, and when last.
    rtcp: Option<(SocketAddr, Time)>,
    relatch_after: Duration,
}

impl Gate {
    pub(super) fn new(stream: &Stream, relatch_after: Duration) -> Gate {
        Gate {
            state: State::Waiting { old: None },
            named: stream.remote,
            named_rtcp: stream.remote_rtcp,
            rtcp: None,
            relatch_after,
        }
    }

    /// SDP was agreed on anew.
    pub(super) fn handle_update(&mut self, now: Time, stream: &Stream) {
        let moved = stream.remote.is_some() && stream.remote != self.named && self.named.is_some();
        if stream.remote_rtcp != self.named_rtcp {
            self.named_rtcp = stream.remote_rtcp;
            self.rtcp = None;
        }
        // A hold by 0.0.0.0 names nobody: the address before it is kept, to tell whether the peer moved meanwhile.
        self.named = stream.remote.or(self.named);
        match &mut self.state {
            State::Latched { from, .. } if moved && self.named != Some(*from) => {
                let old = Some((*from, now + FAREWELL));
                self.state = State::Waiting { old };
                self.rtcp = None;
            }
            State::Latched { open_until, .. } => *open_until = now + self.relatch_after,
            State::Waiting { .. } => {}
        }
    }

    /// A well-formed RTP packet came. With `settled` (the peer sends nothing, because it is on hold) silence is no
    /// reason to follow somebody else.
    pub(super) fn handle_rtp(&mut self, now: Time, from: SocketAddr, settled: bool) -> Verdict {
        match &mut self.state {
            State::Waiting { old: Some((source, until)) } if *source == from && now < *until => return Verdict::Heard,
            State::Waiting { .. } => {}
            State::Latched { from: source, heard, .. } if *source == from => {
                *heard = now;
                return Verdict::Heard;
            }
            State::Latched { from: source, heard, open_until } => {
                let patience = if now < *open_until { SHORT_SILENCE } else { self.relatch_after };
                let silent = !settled && now - *heard >= patience;
                let better = rank(self.named, from) > rank(self.named, *source);
                if !(silent || better) {
                    return Verdict::Refused;
                }
                self.rtcp = None;
            }
        }
        self.state = State::Latched { from, heard: now, open_until: now };
        Verdict::Latched
    }

    /// A well-formed RTCP packet came. True: it is the peer's. Only the host that is heard (or, before, that SDP names)
    /// is believed; its port is followed.
    pub(super) fn handle_rtcp(&mut self, now: Time, from: SocketAddr) -> bool {
        if !self.host().into_iter().chain(self.named_rtcp_host()).any(|host| host == from.ip()) {
            return false;
        }
        match &mut self.rtcp {
            Some((source, heard)) if *source == from => *heard = now,
            Some((_, heard)) if now - *heard < self.relatch_after => return false,
            Some(_) | None => self.rtcp = Some((from, now)),
        }
        true
    }

    /// A packet from there proved to be the peer's: that is where it is now.
    pub(super) fn follow(&mut self, from: SocketAddr) {
        self.named = Some(from);
    }

    /// Where RTP goes.
    pub(super) fn rtp_destination(&self) -> Option<SocketAddr> {
        self.source().or(self.named)
    }

    /// Where RTCP goes: to where valid RTCP came from, else where SDP says, else, where the peer is not where SDP
    /// says, to the port above the one that is heard.
    pub(super) fn rtcp_destination(&self) -> Option<SocketAddr> {
        if let Some((from, _)) = self.rtcp {
            return Some(from);
        }
        match self.source() {
            Some(source) if Some(source) != self.named => {
                Some(SocketAddr::new(source.ip(), source.port().saturating_add(1)))
            }
            Some(_) | None => self.named_rtcp,
        }
    }

    /// The source that is heard, if anyone is.
    pub(super) fn source(&self) -> Option<SocketAddr> {
        match self.state {
            State::Latched { from, .. } => Some(from),
            State::Waiting { .. } => None,
        }
    }

    fn host(&self) -> Option<IpAddr> {
        self.rtp_destination().map(|to| to.ip())
    }

    /// SDP may name another host for RTCP; it counts as long as the peer is where SDP says.
    fn named_rtcp_host(&self) -> Option<IpAddr> {
        let moved = self.source().is_some_and(|source| Some(source) != self.named);
        self.named_rtcp.filter(|_| !moved).map(|named| named.ip())
    }
}

fn rank(named: Option<SocketAddr>, from: SocketAddr) -> Rank {
    match named {
        Some(named) if named == from => Rank::Named,
        Some(named) if named.ip() == from.ip() => Rank::Host,
        Some(_) | None => Rank::Stranger,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::tests::{at, stream_to};

    const SDP: &str = "192.0.2.1:4000";
    const NAT: &str = "203.0.113.7:50001";
    const STRANGER: &str = "198.51.100.66:6666";

    fn a(address: &str) -> SocketAddr {
        address.parse().unwrap()
    }

    fn gate() -> Gate {
        Gate::new(&stream_to(a(SDP)), Duration::from_secs(5))
    }

    #[test]
    fn before_anything_is_heard_we_send_to_where_sdp_says() {
        let gate = gate();
        assert_eq!(gate.rtp_destination(), Some(a(SDP)));
        assert_eq!(gate.rtcp_destination(), Some(a("192.0.2.1:4001")));
    }

    #[test]
    fn the_first_source_is_followed_and_strangers_are_refused_after_it() {
        let mut gate = gate();
        assert_eq!(gate.handle_rtp(at(0), a(NAT), false), Verdict::Latched);
        for ms in 1..4000 {
            assert_eq!(gate.handle_rtp(at(ms), a(STRANGER), false), Verdict::Refused);
            if ms % 20 == 0 {
                assert_eq!(gate.handle_rtp(at(ms), a(NAT), false), Verdict::Heard);
            }
        }
        assert_eq!(gate.rtp_destination(), Some(a(NAT)));
        assert_eq!(gate.rtcp_destination(), Some(a("203.0.113.7:50002")));
    }

    #[test]
    fn a_stranger_who_came_first_gives_way_to_the_address_in_sdp_and_never_comes_back() {
        let mut gate = gate();
        assert_eq!(gate.handle_rtp(at(0), a(STRANGER), false), Verdict::Latched);
        assert_eq!(gate.handle_rtp(at(1), a("192.0.2.1:4444"), false), Verdict::Latched);
        assert_eq!(gate.handle_rtp(at(2), a(STRANGER), false), Verdict::Refused);
        assert_eq!(gate.handle_rtp(at(3), a(SDP), false), Verdict::Latched);
        assert_eq!(gate.handle_rtp(at(4), a("192.0.2.1:4444"), false), Verdict::Refused);
    }

    #[test]
    fn after_a_long_silence_another_source_is_followed_but_not_on_hold() {
        let mut gate = gate();
        gate.handle_rtp(at(0), a(SDP), false);
        assert_eq!(gate.handle_rtp(at(4999), a(NAT), false), Verdict::Refused);
        assert_eq!(gate.handle_rtp(at(5000), a(NAT), true), Verdict::Refused);
        assert_eq!(gate.handle_rtp(at(5000), a(NAT), false), Verdict::Latched);
    }

    #[test]
    fn a_changed_address_is_answered_at_once_while_the_old_source_is_still_heard_for_a_moment() {
        let mut gate = gate();
        gate.handle_rtp(at(0), a(NAT), false);
        let moved = stream_to(a("192.0.2.9:7000"));
        gate.handle_update(at(1000), &moved);
        assert_eq!(gate.rtp_destination(), moved.remote);
        assert_eq!(gate.handle_rtp(at(1020), a(NAT), false), Verdict::Heard);
        assert_eq!(gate.rtp_destination(), moved.remote);
        assert_eq!(gate.handle_rtp(at(1040), a("192.0.2.9:7000"), false), Verdict::Latched);
        assert_eq!(gate.handle_rtp(at(1060), a(NAT), false), Verdict::Refused);
    }

    #[test]
    fn a_nat_that_goes_on_sending_from_its_old_place_is_followed_there_again() {
        let mut gate = gate();
        gate.handle_rtp(at(0), a(NAT), false);
        gate.handle_update(at(1000), &stream_to(a("10.0.0.9:7000")));
        assert_eq!(gate.handle_rtp(at(1499), a(NAT), false), Verdict::Heard);
        assert_eq!(gate.handle_rtp(at(1500), a(NAT), false), Verdict::Latched);
        assert_eq!(gate.rtp_destination(), Some(a(NAT)));
    }

    #[test]
    fn an_agreement_that_changes_nothing_opens_the_gate_only_to_who_comes_when_the_source_fell_silent() {
        let mut gate = gate();
        gate.handle_rtp(at(0), a(NAT), false);
        gate.handle_update(at(1000), &stream_to(a(SDP)));
        gate.handle_rtp(at(1010), a(NAT), false);
        assert_eq!(gate.handle_rtp(at(1100), a(STRANGER), false), Verdict::Refused);
        assert_eq!(gate.handle_rtp(at(1110), a("203.0.113.99:1000"), false), Verdict::Latched);
        assert_eq!(gate.handle_rtp(at(1300), a(NAT), false), Verdict::Refused);
    }

    #[test]
    fn rtcp_is_believed_from_the_host_that_is_heard_and_its_port_is_followed() {
        let mut gate = gate();
        assert!(!gate.handle_rtcp(at(0), a(STRANGER)));
        gate.handle_rtp(at(0), a(NAT), false);
        assert!(!gate.handle_rtcp(at(1), a(STRANGER)));
        assert!(!gate.handle_rtcp(at(1), a("192.0.2.1:4001")), "SDP's host is not the one that is heard");
        assert!(gate.handle_rtcp(at(2), a("203.0.113.7:61000")));
        assert_eq!(gate.rtcp_destination(), Some(a("203.0.113.7:61000")));
        assert!(!gate.handle_rtcp(at(3), a("203.0.113.7:61001")), "one source at a time");
    }

    #[test]
    fn hold_by_an_empty_address_keeps_the_source() {
        let mut gate = gate();
        gate.handle_rtp(at(0), a(NAT), false);
        let mut hold = stream_to(a(SDP));
        hold.remote = None;
        gate.handle_update(at(100), &hold);
        gate.handle_update(at(9000), &stream_to(a(SDP)));
        assert_eq!(gate.rtp_destination(), Some(a(NAT)));
    }
}
