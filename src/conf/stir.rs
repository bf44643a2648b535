//! `[stir]`: whose signed calls are believed, and how ours are signed.

use std::{collections::BTreeMap, fs};

use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::{Fault, settings::At};
use crate::{
    hooks::CertificatesConfig,
    sip::stir::{Attestation, Reason, Signer, Trust},
    switch::{
        Pattern,
        stir::{Config, Signing, Treatment, Verifying},
    },
};

/// The table as it is written.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Stir {
    pub trust: String,
    pub fetch_ms: u64,
    pub fetch_from: Vec<String>,
    pub fetch_trust: String,
    pub keep_s: u64,
    pub cache: u64,
    pub mark: String,
    pub mark_script: String,
    pub key: String,
    pub certificate_url: String,
    pub origid: String,
    pub sign_to: Vec<String>,
    pub own: Vec<String>,
    pub customers: Vec<String>,
    pub others: String,
    pub treatment: BTreeMap<String, String>,
}

impl At<'_> {
    /// What the switch does with signatures.
    pub(super) fn stir(&self, stir: &Stir) -> Result<Config, Fault> {
        Ok(Config { verifying: self.verifying(stir)?, signing: self.signing(stir)? })
    }

    /// How certificates are fetched.
    pub(super) fn certificates(&self, stir: &Stir, agent: &str) -> Result<CertificatesConfig, Fault> {
        Ok(CertificatesConfig {
            patience: self.millis("stir.fetch_ms", stir.fetch_ms, 100..=30_000)?,
            hosts: stir.fetch_from.clone(),
            trust: stir.fetch_trust.clone().into(),
            agent: agent.to_owned(),
        })
    }

    fn verifying(&self, stir: &Stir) -> Result<Option<Verifying>, Fault> {
        let treatments = stir.treatment.iter().map(|(name, word)| self.treatment(name, word));
        let treatments = treatments.collect::<Result<_, _>>()?;
        let keep = self.seconds("stir.keep_s", stir.keep_s, 1..=604_800)?;
        let cache = self.number("stir.cache", stir.cache, 1..=10_000)?;
        if stir.mark.chars().any(char::is_control) {
            return Err(self.fault("stir.mark", format_args!("{:?}", stir.mark), "text without control characters"));
        }
        let script = &stir.mark_script;
        if script.split('/').any(|part| part == ".." || (part.is_empty() && !script.is_empty())) {
            return Err(self.fault("stir.mark_script", format_args!("{script:?}"), "a path below folders.scripts"));
        }
        let script = (!script.is_empty()).then(|| script.as_str().into());
        if stir.trust.is_empty() {
            return Ok(None);
        }
        let pem = self.file("stir.trust", &stir.trust)?;
        let trust = Trust::new(&pem).map_err(|why| {
            self.fault("stir.trust", format_args!("{:?} ({why})", stir.trust), "a PEM file with certificates")
        })?;
        Ok(Some(Verifying { trust, treatments, mark: stir.mark.clone(), script, cache, keep }))
    }

    fn treatment(&self, name: &str, word: &str) -> Result<(Reason, Treatment), Fault> {
        let key = format!("stir.treatment.{name}");
        let reason = Reason::ALL.into_iter().find(|reason| reason.as_str() == name).ok_or_else(|| {
            let names = Reason::ALL.map(Reason::as_str).join(", ");
            self.fault(&key, format_args!("`{name}`"), format_args!("one of {names}"))
        })?;
        let treatment = match self.one_of(&key, word, &["allow", "mark", "refuse"])?.as_str() {
            "refuse" => Treatment::Refuse,
            "mark" => Treatment::Mark,
            _ => Treatment::Allow,
        };
        Ok((reason, treatment))
    }

    fn signing(&self, stir: &Stir) -> Result<Option<Signing>, Fault> {
        let to = self.patterns("stir.sign_to", &stir.sign_to)?;
        let own = self.patterns("stir.own", &stir.own)?.into_iter().map(|pattern| (pattern, Attestation::A));
        let customers = self.patterns("stir.customers", &stir.customers)?;
        let customers = customers.into_iter().map(|pattern| (pattern, Attestation::B));
        let numbers = own.chain(customers).collect();
        let others = self.one_of("stir.others", &stir.others, &["A", "B", "C", "none"])?;
        if stir.key.is_empty() {
            return Ok(None);
        }
        let url = &stir.certificate_url;
        if !url.starts_with("https://") || !url.bytes().all(|b| b.is_ascii_graphic() && !b"<>\"".contains(&b)) {
            return Err(self.fault("stir.certificate_url", format_args!("{url:?}"), "an https:// address"));
        }
        let pem = String::from_utf8_lossy(&self.file("stir.key", &stir.key)?).into_owned();
        let signer = Signer::new(&pem, url)
            .map_err(|bad| self.fault("stir.key", format_args!("{:?} ({bad})", stir.key), "a PEM file with a key"))?;
        let origid = match stir.origid.as_str() {
            "" => origid(url),
            given if is_uuid(given) => given.to_ascii_lowercase(),
            other => return Err(self.fault("stir.origid", format_args!("{other:?}"), "a UUID, or empty")),
        };
        Ok(Some(Signing { signer, to, numbers, other: Attestation::parse(&others), origid }))
    }

    fn patterns(&self, key: &str, found: &[String]) -> Result<Vec<Pattern>, Fault> {
        let one = |text: &String| {
            Pattern::parse(text).map_err(|error| {
                let found = format!("\"{text}\" ({error})");
                self.fault(key, found, "digits, letters, X, N, and `*` at the end")
            })
        };
        found.iter().map(one).collect()
    }

    fn file(&self, key: &str, path: &str) -> Result<Vec<u8>, Fault> {
        fs::read(path).map_err(|error| self.fault(key, format_args!("{path:?} ({error})"), "a readable PEM file"))
    }
}

/// A name that stays the same as long as the certificate's address does (RFC 9562 section 5.8).
fn origid(url: &str) -> String {
    let mut bytes: [u8; 32] = Sha256::digest(url).into();
    bytes[6] = (bytes[6] & 0x0f) | 0x80;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let mut text = String::with_capacity(36);
    for (at, byte) in bytes[..16].iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

fn is_uuid(text: &str) -> bool {
    let fits = |(at, c): (usize, char)| if matches!(at, 8 | 13 | 18 | 23) { c == '-' } else { c.is_ascii_hexdigit() };
    text.len() == 36 && text.chars().enumerate().all(fits)
}

#[cfg(test)]
mod tests {
    use super::{super::Conf, *};
    use crate::sip::stir::tests::{Kit, Wish};

    fn fault(text: &str) -> String {
        Conf::read("x.toml", text).unwrap_err().to_string()
    }

    #[test]
    fn neither_part_is_on_by_default() {
        assert_eq!(Conf::read("x.toml", "").unwrap().stir, Config::default());
    }

    #[test]
    fn every_reason_has_its_treatment_in_the_defaults() {
        let document = super::super::Document::read("x.toml", "").unwrap();
        let named: Vec<_> = document.stir.treatment.keys().map(String::as_str).collect();
        let mut all = Reason::ALL.map(Reason::as_str);
        all.sort_unstable();
        assert_eq!(named, all);
    }

    #[test]
    fn roots_and_key_are_read_from_their_files() {
        let (kit, folder) = (Kit::new(Wish::default()), tempfile::tempdir().unwrap());
        let (trust, key) = (folder.path().join("roots.pem"), folder.path().join("key.pem"));
        fs::write(&trust, &kit.root).unwrap();
        fs::write(&key, &kit.key).unwrap();
        let text = format!(
            "[stir]\ntrust = {trust:?}\nkey = {key:?}\ncertificate_url = \"https://x.example/c.pem\"\n\
             own = [\"+4930*\"]\n[stir.treatment]\nstale = \"refuse\"\n"
        );
        let stir = Conf::read("x.toml", &text).unwrap().stir;
        let (verifying, signing) = (stir.verifying.unwrap(), stir.signing.unwrap());
        assert_eq!(verifying.trust, kit.trust());
        assert_eq!(verifying.treatments[&Reason::Stale], Treatment::Refuse);
        assert_eq!(verifying.treatments[&Reason::Expired], Treatment::Mark, "the default stands");
        assert_eq!((signing.numbers.len(), signing.other), (1, Some(Attestation::C)));
        assert!(is_uuid(&signing.origid), "{}", signing.origid);
        let broken = format!("[stir]\ntrust = {key:?}\n");
        assert!(fault(&broken).starts_with("x.toml:2: stir.trust: found"), "{}", fault(&broken));
    }

    #[test]
    fn what_cannot_be_is_told_with_its_key() {
        for (text, want) in [
            ("[stir]\ntrust = \"/none.pem\"", "x.toml:2: stir.trust: found \"/none.pem\" (No such file"),
            ("[stir]\nkey = \"k\"\n", "x.toml:1: stir.certificate_url: found \"\"; allowed: an https:// address"),
            ("[stir]\nothers = \"D\"", "x.toml:2: stir.others: found \"D\"; allowed: A, B, C, none"),
            (
                "[stir]\nmark_script = \"../a.lua\"",
                "x.toml:2: stir.mark_script: found \"../a.lua\"; allowed: a path below",
            ),
            ("[stir]\nown = [\"1*2\"]", "x.toml:2: stir.own: found \"1*2\""),
            ("[stir.treatment]\nold = \"mark\"", "x.toml:2: stir.treatment.old: found `old`; allowed: one of missing"),
            (
                "[stir.treatment]\nstale = \"drop\"",
                "x.toml:2: stir.treatment.stale: found \"drop\"; allowed: allow, mark",
            ),
        ] {
            assert!(fault(text).starts_with(want), "{}", fault(text));
        }
    }
}
