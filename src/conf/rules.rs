//! `[call]`: how calls are kept once they are set up.

use std::time::Duration;

use super::{Document, Fault, document::Siprec, settings::At};
use crate::{
    codec::Rate,
    sip::{SessionWish, Uri},
    switch::{HoldRule, Recorders, Rules, TransferRule},
    verbs::Sound,
};

/// What a call may be refused with whose number nothing answers (RFC 3261 section 21).
const REFUSALS: [u16; 8] = [403, 404, 410, 480, 486, 503, 603, 604];

impl At<'_> {
    pub(super) fn rules(&self, document: &Document) -> Result<Rules, Fault> {
        let call = &document.call;
        Ok(Rules {
            hold: match self.one_of("call.hold", &call.hold, &["music", "relay"])?.as_str() {
                "relay" => HoldRule::Relay,
                _ => HoldRule::Music,
            },
            transfer: match self.one_of("call.transfer", &call.transfer, &["nobody", "trusted", "all"])?.as_str() {
                "nobody" => TransferRule::Nobody,
                "all" => TransferRule::All,
                _ => TransferRule::Trusted,
            },
            unknown_number: self.unknown_number(call.unknown_number)?,
            reliable: call.reliable,
            fax: call.fax,
            session: SessionWish {
                expires: match call.session_timer_s {
                    0 => Duration::ZERO,
                    some => self.seconds("call.session_timer_s", some, 90..=86_400)?,
                },
                min: self.seconds("call.session_min_s", call.session_min_s, 90..=86_400)?,
            },
            watchdog: match call.watchdog_s {
                0 => Duration::ZERO,
                some => self.seconds("call.watchdog_s", some, 5..=86_400)?,
            },
            cut: Duration::from_secs(2 * document.media.rtcp_interval_s.min(300) + 1),
            record_rate: self.rate("recording.max_rate", document.recording.max_rate)?,
            record_most: match self.number("recording.max_minutes", document.recording.max_minutes, 0..=10_080)? {
                0 => None,
                minutes => Some(Duration::from_secs(60 * minutes)),
            },
            hold_music: self.prompt("call.hold_music", &call.hold_music)?,
            recorders: self.recorders(&document.siprec)?,
        })
    }

    fn unknown_number(&self, found: u64) -> Result<u16, Fault> {
        let code = REFUSALS.into_iter().find(|code| u64::from(*code) == found);
        let allowed = || REFUSALS.map(|code| code.to_string()).join(", ");
        code.ok_or_else(|| self.fault("call.unknown_number", found, allowed()))
    }

    fn recorders(&self, siprec: &Siprec) -> Result<Recorders, Fault> {
        let usual = match siprec.recorder.as_str() {
            "" => None,
            text => match Uri::parse(text).ok().filter(Uri::is_sip) {
                Some(uri) => Some(uri),
                None => {
                    let found = format_args!("\"{text}\"");
                    return Err(self.fault("siprec.recorder", found, "a sip: or sips: address, or empty"));
                }
            },
        };
        if siprec.always && usual.is_none() {
            return Err(self.fault("siprec.always", "true", "false, where siprec.recorder is empty"));
        }
        Ok(Recorders { usual, always: siprec.always, security: self.policy("siprec.security", &siprec.security)? })
    }

    fn rate(&self, key: &str, found: u64) -> Result<Rate, Fault> {
        let rate = u32::try_from(found).ok().and_then(Rate::from_hz);
        rate.ok_or_else(|| self.fault(key, found, Rate::ALL.map(|rate| rate.hz().to_string()).join(", ")))
    }

    /// A path below the prompt folder, or an address of the web; empty: none.
    fn prompt(&self, key: &str, found: &str) -> Result<Option<String>, Fault> {
        if let Sound::Web(url) = Sound::named(found) {
            return Ok(Some(url));
        }
        let bad = found.contains(['\\', '\0']) || found.split('/').any(|part| matches!(part, "" | "." | ".."));
        match found {
            "" => Ok(None),
            _ if bad => Err(self.fault(
                key,
                format_args!("\"{found}\""),
                "a path below the prompt folder, without '..', an http(s) address, or empty",
            )),
            path => Ok(Some(path.to_owned())),
        }
    }
}
