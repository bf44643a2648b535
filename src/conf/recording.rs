//! How long recordings are kept, and where they go: `[recording]`.

use std::{path::PathBuf, time::Duration};

use super::{Document, Fault, settings::At};
use crate::hooks::{ArchiveConfig, Destination, Quota, S3Key, Upload, Url};

impl At<'_> {
    pub(super) fn archive(&self, document: &Document) -> Result<ArchiveConfig, Fault> {
        let recording = &document.recording;
        let days: u64 = self.number("recording.keep_days", recording.keep_days, 0..=36_500)?;
        let gigabytes: u64 = self.number("recording.max_gb", recording.max_gb, 0..=1_000_000)?;
        let of_number: u64 = self.number("recording.number_max_gb", recording.number_max_gb, 0..=1_000_000)?;
        let place = || {
            Url::folder(&recording.upload_url).ok_or_else(|| {
                let found = format!("\"{}\"", recording.upload_url);
                self.fault("recording.upload_url", found, "http:// or https://, a name, and perhaps a port and a path")
            })
        };
        let to = match self.one_of("recording.upload", &recording.upload, &["off", "webhook", "s3"])?.as_str() {
            "webhook" => {
                Some(Destination::Webhook { token: self.word("recording.upload_secret", &recording.upload_secret)? })
            }
            "s3" => Some(Destination::S3(S3Key {
                id: self.word("recording.upload_key", &recording.upload_key)?,
                secret: self.word("recording.upload_secret", &recording.upload_secret)?,
                region: self.word("recording.upload_region", &recording.upload_region)?,
            })),
            _ => None,
        };
        let upload = match to {
            Some(to) => Some(Upload { place: place()?, to, remove: recording.upload_remove }),
            None => None,
        };
        Ok(ArchiveConfig {
            folder: PathBuf::from(&document.folders.recordings),
            quota: Quota {
                keep: (days > 0).then(|| Duration::from_secs(days * 86_400)),
                most: (gigabytes > 0).then_some(gigabytes << 30),
                most_of_number: (of_number > 0).then_some(of_number << 30),
            },
            upload,
            trust: PathBuf::from(&document.tls.trust),
        })
    }

    /// What stands in one header line.
    fn word(&self, key: &str, found: &str) -> Result<String, Fault> {
        if found.bytes().all(|b| b.is_ascii_graphic()) {
            return Ok(found.to_owned());
        }
        // What was found may be a secret.
        Err(self.fault(key, "white space or other strange characters", "ASCII letters, digits and signs"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conf::{Conf, DEFAULTS};

    #[test]
    fn by_default_recordings_stay_and_go_nowhere() {
        let archive = Conf::read("defaults", DEFAULTS).unwrap().archive;
        assert_eq!((archive.quota, archive.upload), (Quota::default(), None));
    }

    #[test]
    fn a_bucket_and_limits_are_read_and_a_secret_is_not_told() {
        let text = "[recording]\nkeep_days = 30\nmax_gb = 2\nnumber_max_gb = 1\nupload = \"s3\"\n\
                    upload_url = \"https://s3.example.com:9000/calls/\"\nupload_key = \"id\"\nupload_secret = \"s\"\n";
        let archive = Conf::read("x.toml", text).unwrap().archive;
        let keep = Some(Duration::from_secs(30 * 86_400));
        assert_eq!(archive.quota, Quota { keep, most: Some(2 << 30), most_of_number: Some(1 << 30) });
        assert!(matches!(archive.upload, Some(Upload { to: Destination::S3(_), remove: false, .. })));
        let wrong = text.replace("\"s\"\n", "\"my secret\"\n");
        let told = Conf::read("x.toml", &wrong).unwrap_err().to_string();
        assert!(told.contains("recording.upload_secret") && !told.contains("my secret"), "{told}");
        let told = Conf::read("x.toml", "[recording]\nupload = \"webhook\"\n").unwrap_err().to_string();
        assert!(told.contains("recording.upload_url"), "{told}");
    }
}
