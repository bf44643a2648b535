//! `[call]`: how calls are kept once they are set up.

use std::time::Duration;

use super::{Document, Fault, settings::At};
use crate::{
    sip::SessionWish,
    switch::{HoldRule, Rules, TransferRule},
};

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
            reliable: call.reliable,
            fax: call.fax,
            session: SessionWish {
                expires: match call.session_timer_s {
                    0 => Duration::ZERO,
                    some => self.seconds("call.session_timer_s", some, 90..=86_400)?,
                },
                min: self.seconds("call.session_min_s", call.session_min_s, 90..=86_400)?,
            },
            hold_music: self.prompt("call.hold_music", &call.hold_music)?,
        })
    }

    /// A path below the prompt folder; empty: none.
    fn prompt(&self, key: &str, found: &str) -> Result<Option<String>, Fault> {
        let bad = found.contains(['\\', '\0']) || found.split('/').any(|part| matches!(part, "" | "." | ".."));
        match found {
            "" => Ok(None),
            _ if bad => Err(self.fault(
                key,
                format_args!("\"{found}\""),
                "a path below the prompt folder, without '..', or empty",
            )),
            path => Ok(Some(path.to_owned())),
        }
    }
}
