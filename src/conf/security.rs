//! Encrypted media: `media.security`, and the same word of a phone, a trunk or recorders.

use super::{Fault, document::Media, settings::At};
use crate::{sdp::Policy, switch::MediaSecurity};

impl At<'_> {
    pub(super) fn media_security(&self, media: &Media) -> Result<MediaSecurity, Fault> {
        Ok(MediaSecurity {
            policy: self.policy("media.security", &media.security)?,
            dtls: self.one_of("media.keys", &media.keys, &["sdes", "dtls"])? == "dtls",
            ..MediaSecurity::default()
        })
    }

    /// Empty: nothing of its own.
    pub(super) fn own_policy(&self, key: &str, found: &str) -> Result<Option<Policy>, Fault> {
        if found.is_empty() { Ok(None) } else { self.policy(key, found).map(Some) }
    }

    pub(super) fn policy(&self, key: &str, found: &str) -> Result<Policy, Fault> {
        Ok(match self.one_of(key, found, &["off", "optional", "required"])?.as_str() {
            "off" => Policy::Off,
            "required" => Policy::Required,
            _ => Policy::Optional,
        })
    }
}
