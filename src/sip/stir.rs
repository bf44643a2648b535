//! Signed callers: STIR (RFC 8224, 8225, 8226) and SHAKEN (RFC 8588). The provider of a caller signs who calls whom and
//! when; the provider of the called party checks it.
//!
//! ```text
//! signing:    Claims ──Signer::sign──▶ value of Identity
//! verifying:  Headers ──Identity::read──▶ Identity ──fits──▶ its certificate by Identity::url, Trust::read
//!             ──▶ Certificate ──Identity::check──▶ verified, or a Reason
//! ```
//!
//! All of it is plain computing. Certificates are fetched by the world, the time comes in. Signing is deterministic
//! (RFC 6979): it needs no random numbers, so it can be done here, and a simulated run signs the same twice.

mod authority;
mod certificate;
mod date;
mod number;
mod passport;
#[cfg(test)]
pub(crate) mod tests;

pub use certificate::{Certificate, Trust};
pub use date::write_date;
pub use number::{called, caller, canonical};
pub use passport::{BadKey, Claims, Identity, Signer};

/// How long a signature is fresh, in seconds, before and after the moment that it names (RFC 8224 section 6.2.1).
const FRESH: u64 = 60;

/// How sure the signer is that the caller may use the number (RFC 8588 section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Attestation {
    /// Full: the caller is known, and the number is the caller's.
    A,
    /// Partial: the caller is known, the number is not known to be the caller's.
    B,
    /// Gateway: only where the call came in is known.
    C,
}

impl Attestation {
    /// All of them.
    pub const ALL: [Attestation; 3] = [Attestation::A, Attestation::B, Attestation::C];

    /// The letter of the claim.
    pub const fn as_str(self) -> &'static str {
        match self {
            Attestation::A => "A",
            Attestation::B => "B",
            Attestation::C => "C",
        }
    }

    /// Reads the letter.
    pub fn parse(text: &str) -> Option<Attestation> {
        Attestation::ALL.into_iter().find(|one| one.as_str() == text)
    }
}

/// Why a caller is not verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// There is no Identity header.
    Missing,
    /// Only kinds of signature that we do not know, such as `ppt=div`.
    Unsupported,
    /// Not to be read, or its parts contradict each other.
    Malformed,
    /// Signed more than 60 s ago, or in the future.
    Stale,
    /// Signed for another caller.
    WrongCaller,
    /// Signed for another called number.
    WrongCalled,
    /// The certificate could not be fetched.
    NoCertificate,
    /// What was fetched is no certificate for this.
    BadCertificate,
    /// No chain leads to a root of the trust list.
    Untrusted,
    /// A certificate of the chain is not valid now.
    Expired,
    /// The certificate's TNAuthList does not hold the caller's number.
    NotAuthorized,
    /// The signature is not the certificate's.
    BadSignature,
}

impl Reason {
    /// All of them.
    pub const ALL: [Reason; 12] = [
        Reason::Missing,
        Reason::Unsupported,
        Reason::Malformed,
        Reason::Stale,
        Reason::WrongCaller,
        Reason::WrongCalled,
        Reason::NoCertificate,
        Reason::BadCertificate,
        Reason::Untrusted,
        Reason::Expired,
        Reason::NotAuthorized,
        Reason::BadSignature,
    ];

    /// The word that configurations, scripts and records have for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Reason::Missing => "missing",
            Reason::Unsupported => "unsupported",
            Reason::Malformed => "malformed",
            Reason::Stale => "stale",
            Reason::WrongCaller => "wrong_caller",
            Reason::WrongCalled => "wrong_called",
            Reason::NoCertificate => "no_certificate",
            Reason::BadCertificate => "bad_certificate",
            Reason::Untrusted => "untrusted",
            Reason::Expired => "expired",
            Reason::NotAuthorized => "not_authorized",
            Reason::BadSignature => "bad_signature",
        }
    }

    /// The code and phrase that RFC 8224 section 6.2.2 has for it.
    pub const fn answer(self) -> (u16, &'static str) {
        match self {
            Reason::Missing | Reason::Unsupported => (428, "Use Identity Header"),
            Reason::Stale => (403, "Stale Date"),
            Reason::NoCertificate => (436, "Bad Identity Info"),
            Reason::BadCertificate | Reason::Untrusted | Reason::Expired | Reason::NotAuthorized => {
                (437, "Unsupported Credential")
            }
            Reason::Malformed | Reason::WrongCaller | Reason::WrongCalled | Reason::BadSignature => {
                (438, "Invalid Identity Header")
            }
        }
    }
}
