//! The watch for a peer that falls silent.
//!
//! ```text
//! Allowed ⇄ Until ──nothing for `quiet`: Quiet──▶ Told ──neither RTP nor RTCP for `lost`: Lost──▶ Told
//!             ▲───────────────RTP──────────────────┘
//! ```
//!
//! A party may have switched its microphone off, so silence alone is only told. Where its reports stop, too, it is gone.
//! That is told again and again: a call that cannot be ended yet is ended the next time.

use std::time::Duration;

use super::{Config, Event};
use crate::{ids::PortId, time::Time};

/// What is to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Silent {
    /// No RTP came, though it should.
    Quiet,
    /// It is gone.
    Lost,
}

impl Silent {
    pub(super) fn event(self, port: PortId) -> Event {
        match self {
            Silent::Quiet => Event::NoRtp { port },
            Silent::Lost => Event::Lost { port },
        }
    }
}

/// See the module.
#[derive(Clone, Copy, Debug)]
pub(super) struct Watch {
    state: State,
    quiet: Duration,
    lost: Option<Duration>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// It need not send.
    Allowed,
    /// It should send before this.
    Until(Time),
    /// It did not, and this was told; it is lost at that time.
    Told { lost: Option<Time> },
}

impl Watch {
    /// Nothing is expected yet.
    pub(super) fn new(config: &Config) -> Watch {
        Watch { state: State::Allowed, quiet: config.silence_timeout, lost: config.rtp_timeout }
    }

    /// The peer should send from now on, or need not.
    pub(super) fn set(&mut self, now: Time, should_send: bool) {
        self.state = match self.state {
            _ if !should_send => State::Allowed,
            State::Allowed => State::Until(now + self.quiet),
            State::Until(_) | State::Told { .. } => self.state,
        };
    }

    /// RTP came.
    pub(super) fn handle_rtp(&mut self, now: Time) {
        match self.state {
            State::Allowed => {}
            State::Until(_) | State::Told { .. } => self.state = State::Until(now + self.quiet),
        }
    }

    /// RTCP came: the peer is there, though it says nothing.
    pub(super) fn handle_rtcp(&mut self, now: Time) {
        if let State::Told { lost } = &mut self.state {
            *lost = self.lost.map(|lost| now + lost);
        }
    }

    /// What is to be told now.
    pub(super) fn handle_timeout(&mut self, now: Time) -> Option<Silent> {
        match self.state {
            State::Until(at) if at <= now => {
                let lost = self.lost.map(|lost| at + lost.saturating_sub(self.quiet));
                self.state = State::Told { lost };
                Some(Silent::Quiet)
            }
            State::Told { lost: Some(at) } if at <= now => {
                self.state = State::Told { lost: self.lost.map(|lost| now + lost) };
                Some(Silent::Lost)
            }
            State::Allowed | State::Until(_) | State::Told { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch(lost: Option<u64>) -> Watch {
        let (silence_timeout, rtp_timeout) = (Duration::from_secs(30), lost.map(Duration::from_secs));
        let mut watch = Watch { state: State::Allowed, quiet: silence_timeout, lost: rtp_timeout };
        watch.set(second(0), true);
        watch
    }

    fn second(seconds: u64) -> Time {
        Time::from_start(Duration::from_secs(seconds))
    }

    /// The seconds in which something is told, up to `until`.
    fn told(watch: &mut Watch, from: u64, until: u64) -> Vec<(u64, Silent)> {
        (from..=until).filter_map(|s| Some((s, watch.handle_timeout(second(s))?))).collect()
    }

    #[test]
    fn silence_is_told_once_and_the_loss_after_its_time_and_again_later() {
        let mut silent = watch(Some(300));
        let expected = [(30, Silent::Quiet), (300, Silent::Lost), (600, Silent::Lost)];
        assert_eq!(told(&mut silent, 0, 700), expected);
        assert_eq!(told(&mut watch(None), 0, 700), [(30, Silent::Quiet)]);
        assert_eq!(
            told(&mut watch(Some(10)), 0, 35),
            [(30, Silent::Quiet), (31, Silent::Lost)],
            "no sooner than silence"
        );
    }

    #[test]
    fn rtp_begins_anew_and_rtcp_alone_keeps_the_call_though_its_silence_is_told() {
        let mut silent = watch(Some(300));
        told(&mut silent, 0, 200);
        silent.handle_rtp(second(200));
        assert_eq!(told(&mut silent, 200, 500), [(230, Silent::Quiet), (500, Silent::Lost)]);
        let mut reports = watch(Some(300));
        let all: Vec<_> = (0..1000_u64)
            .filter_map(|s| {
                if s % 5 == 0 {
                    reports.handle_rtcp(second(s));
                }
                Some((s, reports.handle_timeout(second(s))?))
            })
            .collect();
        assert_eq!(all, [(30, Silent::Quiet)]);
        assert_eq!(told(&mut reports, 1000, 1300), [(1295, Silent::Lost)], "300 s after the last report");
    }

    #[test]
    fn on_hold_nothing_is_expected() {
        let mut watch = watch(Some(300));
        watch.set(second(10), false);
        watch.handle_rtp(second(20));
        assert_eq!(told(&mut watch, 10, 1000), []);
        watch.set(second(1000), true);
        assert_eq!(told(&mut watch, 1000, 1100), [(1030, Silent::Quiet)]);
    }
}
