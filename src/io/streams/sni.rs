//! Which of several certificates is shown: the one for the name that the client asks for (SNI, RFC 6066 section 3).

use std::sync::Arc;

use rustls::{
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use x509_parser::{extensions::GeneralName, parse_x509_certificate};

/// All certificates of a server.
#[derive(Debug)]
pub struct BySni {
    /// For who asks for nothing, or for a name that no other is for.
    first: Arc<CertifiedKey>,
    /// The others, each with its names in small letters.
    more: Vec<(Vec<String>, Arc<CertifiedKey>)>,
}

impl BySni {
    /// `first` is shown where no other fits.
    pub fn new(first: CertifiedKey, more: Vec<CertifiedKey>) -> BySni {
        let named = |key: CertifiedKey| (names(&key), Arc::new(key));
        BySni { first: Arc::new(first), more: more.into_iter().map(named).collect() }
    }

    fn choose(&self, name: Option<&str>) -> Arc<CertifiedKey> {
        let Some(name) = name.map(str::to_ascii_lowercase) else { return self.first.clone() };
        let found = self.more.iter().find(|(names, _)| names.iter().any(|pattern| fits(pattern, &name)));
        found.map_or(&self.first, |(_, key)| key).clone()
    }
}

impl ResolvesServerCert for BySni {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.choose(hello.server_name()))
    }
}

/// The names that a certificate is for; none where it cannot be read.
fn names(key: &CertifiedKey) -> Vec<String> {
    let Some(Ok((_, certificate))) = key.cert.first().map(|der| parse_x509_certificate(der)) else { return Vec::new() };
    let Ok(Some(names)) = certificate.subject_alternative_name() else { return Vec::new() };
    let name = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        _ => None,
    };
    names.value.general_names.iter().filter_map(name).collect()
}

/// `*.example.com` fits `a.example.com`, and not `a.b.example.com` (RFC 6125 section 6.4.3).
fn fits(pattern: &str, name: &str) -> bool {
    match pattern.strip_prefix("*.") {
        Some(domain) => name.split_once('.').is_some_and(|(_, rest)| rest == domain),
        None => pattern == name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_one_label() {
        assert!(fits("pbx.example.com", "pbx.example.com"));
        assert!(fits("*.example.com", "pbx.example.com"));
        assert!(!fits("*.example.com", "a.pbx.example.com"));
        assert!(!fits("*.example.com", "example.com"));
    }
}
