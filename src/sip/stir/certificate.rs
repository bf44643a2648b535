//! Who signs: a chain of certificates from the signer's up to a root of the trust list (RFC 8226; RFC 5280 section 6
//! as far as such chains need it). Withdrawn certificates are not asked for: keep the chains that are fetched short-lived.

use std::ops::RangeInclusive;

use x509_parser::prelude::{FromDer, Pem, X509Certificate};

use super::{Reason, authority::Authority};

/// Most certificates in one file.
const LONGEST_CHAIN: usize = 8;
/// TNAuthList (RFC 8226 section 9).
const TN_AUTH_LIST: &str = "1.3.6.1.5.5.7.1.26";
/// JWTClaimConstraints (RFC 8226 section 8), and their successor (RFC 9118): claims that a signer may make.
const CLAIM_CONSTRAINTS: [&str; 2] = ["1.3.6.1.5.5.7.1.27", "1.3.6.1.5.5.7.1.33"];
/// Extensions whose meaning is looked at, or that can only make a chain be used for something else: basicConstraints,
/// keyUsage, subjectAltName, certificatePolicies, extKeyUsage, authorityKeyIdentifier, subjectKeyIdentifier, TNAuthList.
const UNDERSTOOD: [&str; 8] =
    ["2.5.29.19", "2.5.29.15", "2.5.29.17", "2.5.29.32", "2.5.29.37", "2.5.29.35", "2.5.29.14", TN_AUTH_LIST];
const EC_KEY: &str = "1.2.840.10045.2.1";
const P256: &str = "1.2.840.10045.3.1.7";

/// The roots that are trusted.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Trust {
    roots: Vec<Vec<u8>>,
}

/// A signer's certificate whose chain leads to a trusted root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// The point on P-256, uncompressed.
    pub(super) key: Vec<u8>,
    /// What each certificate of the chain says that has a TNAuthList; the signer's own has one.
    authorities: Vec<Authority>,
    /// When all of the chain is valid, in seconds since 1970.
    valid: RangeInclusive<i64>,
}

impl Certificate {
    /// The signer's service provider code, where its certificate has one.
    pub fn provider(&self) -> Option<&str> {
        self.authorities.first()?.provider.as_deref()
    }

    /// True at this moment, in seconds since 1970.
    pub(super) fn is_valid_at(&self, unix: u64) -> bool {
        i64::try_from(unix).is_ok_and(|unix| self.valid.contains(&unix))
    }

    /// True where it may speak for this number.
    pub(super) fn holds(&self, number: &str) -> bool {
        self.authorities.iter().all(|authority| authority.holds(number))
    }
}

impl std::fmt::Debug for Trust {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Trust of {} roots", self.roots.len())
    }
}

impl Trust {
    /// The roots in a PEM file, one or more. Else why not.
    pub fn new(pem: &[u8]) -> Result<Trust, String> {
        let mut roots = Vec::new();
        for block in Pem::iter_from_buffer(pem) {
            let block = block.map_err(|error| error.to_string())?;
            X509Certificate::from_der(&block.contents).map_err(|error| error.to_string())?;
            roots.push(block.contents);
        }
        if roots.is_empty() { Err("no certificate in it".to_owned()) } else { Ok(Trust { roots }) }
    }

    /// Reads what was fetched, the signer's certificate first (PEM, or one certificate in DER), and finds its way to a
    /// root. Whether it is valid now is asked later, each time that it is used.
    pub fn read(&self, fetched: &[u8]) -> Result<Certificate, Reason> {
        let blocks = blocks(fetched)?;
        let chain = blocks.iter().map(|der| parse(der)).collect::<Result<Vec<_>, _>>()?;
        let roots = self.roots.iter().map(|der| parse(der)).collect::<Result<Vec<_>, _>>()?;
        let signer = chain.first().ok_or(Reason::BadCertificate)?;
        let key = key(signer).ok_or(Reason::BadCertificate)?;
        let own = authority(signer)?.ok_or(Reason::NotAuthorized)?;
        let mut found = Certificate { key, authorities: vec![own], valid: validity(signer) };
        let mut here = signer;
        // Each step goes one certificate up; the file's length bounds them.
        for below in 0..=chain.len() {
            check_extensions(here)?;
            if below > 0 && !may_issue(here, below - 1) {
                return Err(Reason::Untrusted);
            }
            if let Some(root) = roots.iter().find(|root| issued(root, here) || root.as_raw() == here.as_raw()) {
                found.add(root)?;
                return Ok(found);
            }
            here = chain[1..].iter().find(|above| issued(above, here)).ok_or(Reason::Untrusted)?;
            found.add(here)?;
        }
        Err(Reason::Untrusted)
    }
}

impl Certificate {
    /// One more certificate above: what it does not hold, those below cannot hold.
    fn add(&mut self, above: &X509Certificate<'_>) -> Result<(), Reason> {
        self.authorities.extend(authority(above)?);
        let (own, other) = (&self.valid, validity(above));
        self.valid = *own.start().max(other.start())..=*own.end().min(other.end());
        Ok(())
    }
}

fn blocks(fetched: &[u8]) -> Result<Vec<Vec<u8>>, Reason> {
    if fetched.first() == Some(&0x30) {
        return Ok(vec![fetched.to_vec()]);
    }
    let blocks = Pem::iter_from_buffer(fetched).take(LONGEST_CHAIN).map(|block| block.map(|block| block.contents));
    blocks.collect::<Result<Vec<_>, _>>().map_err(|_| Reason::BadCertificate)
}

fn parse(der: &[u8]) -> Result<X509Certificate<'_>, Reason> {
    X509Certificate::from_der(der).map(|(_, certificate)| certificate).map_err(|_| Reason::BadCertificate)
}

/// The signer's key, if it is on P-256 and may sign.
fn key(signer: &X509Certificate<'_>) -> Option<Vec<u8>> {
    let public = signer.public_key();
    let curve = public.algorithm.parameters.as_ref()?.as_oid().ok()?;
    let may_sign = signer.key_usage().ok()?.is_none_or(|usage| usage.value.digital_signature());
    let fits = public.algorithm.algorithm.to_id_string() == EC_KEY && curve.to_id_string() == P256 && may_sign;
    let point: &[u8] = &public.subject_public_key.data;
    (fits && point.len() == 65).then(|| point.to_vec())
}

fn authority(certificate: &X509Certificate<'_>) -> Result<Option<Authority>, Reason> {
    let mut found = None;
    for extension in certificate.extensions() {
        if extension.oid.to_id_string() == TN_AUTH_LIST {
            if found.is_some() {
                return Err(Reason::BadCertificate);
            }
            found = Some(Authority::read(extension.value).ok_or(Reason::BadCertificate)?);
        }
    }
    Ok(found)
}

fn validity(certificate: &X509Certificate<'_>) -> RangeInclusive<i64> {
    let validity = certificate.validity();
    validity.not_before.timestamp()..=validity.not_after.timestamp()
}

/// No critical extension that we do not know (RFC 5280 section 4.2), and none that restricts claims in ways that are
/// not looked at here.
fn check_extensions(certificate: &X509Certificate<'_>) -> Result<(), Reason> {
    let fine = certificate.extensions().iter().all(|extension| {
        let oid = extension.oid.to_id_string();
        let understood = UNDERSTOOD.contains(&oid.as_str());
        !CLAIM_CONSTRAINTS.contains(&oid.as_str()) && (understood || !extension.critical)
    });
    if fine { Ok(()) } else { Err(Reason::Untrusted) }
}

/// True where `above` may issue certificates, with `between` more issuers below it.
fn may_issue(above: &X509Certificate<'_>, between: usize) -> bool {
    let Ok(Some(basic)) = above.basic_constraints() else { return false };
    let deep = basic.value.path_len_constraint.is_none_or(|most| between <= usize::try_from(most).unwrap_or(0));
    let usage = above.key_usage().is_ok_and(|usage| usage.is_none_or(|usage| usage.value.key_cert_sign()));
    basic.value.ca && deep && usage
}

/// True where `above` signed `below`.
fn issued(above: &X509Certificate<'_>, below: &X509Certificate<'_>) -> bool {
    above.subject().as_raw() == below.issuer().as_raw()
        && below.as_raw() != above.as_raw()
        && below.verify_signature(Some(above.public_key())).is_ok()
}
