//! Who someone is: digest authentication as SIP has it (RFC 3261 section 22, RFC 7616, RFC 8760), for both sides.
//!
//! The client's side is a function: [`authorize`] answers a challenge. The server's side is a small machine: [`Realm`]
//! makes challenges whose nonces it can recognise without keeping them, and checks the answers.

mod client;
mod digest;
mod read;
mod server;
#[cfg(test)]
mod tests;

pub use client::{Authorization, Challenge, authorize};
pub use read::{Claim, claim};
pub use server::{Realm, Verdict};

/// How the digest is made, weakest first (RFC 8760 section 2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// What every phone can, and what no one should rely on.
    Md5,
    /// SHA-256.
    Sha256,
    /// SHA-512/256, which is not SHA-512 cut short.
    Sha512_256,
}

impl Algorithm {
    /// All, strongest first, which is the order of the challenges.
    pub const ALL: [Algorithm; 3] = [Algorithm::Sha512_256, Algorithm::Sha256, Algorithm::Md5];

    /// As it stands in a header.
    pub const fn as_str(self) -> &'static str {
        match self {
            Algorithm::Md5 => "MD5",
            Algorithm::Sha256 => "SHA-256",
            Algorithm::Sha512_256 => "SHA-512-256",
        }
    }

    /// Reads a header's or a conf's word, whatever its case.
    pub fn parse(word: &str) -> Option<Algorithm> {
        Self::ALL.into_iter().find(|a| a.as_str().eq_ignore_ascii_case(word))
    }

    /// Length of its digest, as hexadecimal digits.
    pub const fn hex_len(self) -> usize {
        match self {
            Algorithm::Md5 => 32,
            Algorithm::Sha256 | Algorithm::Sha512_256 => 64,
        }
    }
}

/// A name and what proves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// The digest's username.
    pub user: String,
    /// What only the two know.
    pub secret: Secret,
}

/// A password, or what it was made into. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// As it is typed; good for every algorithm and realm.
    Password(String),
    /// H(user:realm:password), good for this algorithm and this realm only.
    Ha1 {
        /// H.
        algorithm: Algorithm,
        /// The realm that was hashed into it.
        realm: String,
        /// The hash in lower-case hexadecimal digits.
        hex: String,
    },
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Secret::Password(_) => f.write_str("Password(..)"),
            Secret::Ha1 { algorithm, realm, hex: _ } => {
                f.debug_struct("Ha1").field("algorithm", algorithm).field("realm", realm).finish_non_exhaustive()
            }
        }
    }
}

/// The request that is authenticated.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Its method.
    pub method: &'a str,
    /// Its Request-URI.
    pub uri: &'a str,
    /// Its body, which counts with qop=auth-int only.
    pub body: &'a [u8],
}
