//! The arithmetic of digests (RFC 7616 section 3.4).

use md5::Md5;
use sha2::{Digest, Sha256, Sha512_256};

use super::{Algorithm, Asked, Credentials, Secret};

/// What is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Qop {
    /// Method and URI.
    Auth,
    /// Method, URI and body.
    AuthInt,
}

impl Qop {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Qop::Auth => "auth",
            Qop::AuthInt => "auth-int",
        }
    }
}

/// What goes into a response beside the secret and the request.
pub(super) struct Terms<'a> {
    pub(super) algorithm: Algorithm,
    /// The algorithm's `-sess` variant.
    pub(super) session: bool,
    pub(super) realm: &'a str,
    pub(super) nonce: &'a str,
    pub(super) cnonce: &'a str,
    /// As it is written: eight hexadecimal digits.
    pub(super) count: &'a str,
    /// None: as in RFC 2069, without count and cnonce.
    pub(super) qop: Option<Qop>,
}

/// The hash of the parts with colons between them, in lower-case hexadecimal digits.
pub(super) fn hash(algorithm: Algorithm, parts: &[&[u8]]) -> String {
    match algorithm {
        Algorithm::Md5 => hash_with::<Md5>(parts),
        Algorithm::Sha256 => hash_with::<Sha256>(parts),
        Algorithm::Sha512_256 => hash_with::<Sha512_256>(parts),
    }
}

fn hash_with<H: Digest>(parts: &[&[u8]]) -> String {
    let mut hash = H::new();
    for (at, part) in parts.iter().enumerate() {
        if at > 0 {
            hash.update(b":");
        }
        hash.update(part);
    }
    hex(&hash.finalize())
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble)]);
    bytes.iter().flat_map(|&byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// The response to a challenge; none where the secret is made for another algorithm or realm. The same work is done for
/// each kind of secret, so that time tells nobody which one it is.
pub(super) fn response(terms: &Terms<'_>, credentials: &Credentials, asked: &Asked<'_>) -> Option<String> {
    let password = match &credentials.secret {
        Secret::Password(password) => password.as_str(),
        Secret::Ha1 { .. } => "",
    };
    let made = hash(terms.algorithm, &[credentials.user.as_bytes(), terms.realm.as_bytes(), password.as_bytes()]);
    let (ha1, fits) = match &credentials.secret {
        Secret::Password(_) => (made, true),
        Secret::Ha1 { algorithm, realm, hex } => {
            (hex.to_ascii_lowercase(), *algorithm == terms.algorithm && realm == terms.realm)
        }
    };
    let response = with_ha1(terms, ha1, asked);
    fits.then_some(response)
}

fn with_ha1(terms: &Terms<'_>, ha1: String, asked: &Asked<'_>) -> String {
    let h = |parts: &[&[u8]]| hash(terms.algorithm, parts);
    let (nonce, cnonce) = (terms.nonce.as_bytes(), terms.cnonce.as_bytes());
    let ha1 = if terms.session { h(&[ha1.as_bytes(), nonce, cnonce]) } else { ha1 };
    let (method, uri) = (asked.method.as_bytes(), asked.uri.as_bytes());
    let ha2 = match terms.qop {
        Some(Qop::AuthInt) => h(&[method, uri, h(&[asked.body]).as_bytes()]),
        Some(Qop::Auth) | None => h(&[method, uri]),
    };
    match terms.qop {
        Some(qop) => {
            h(&[ha1.as_bytes(), nonce, terms.count.as_bytes(), cnonce, qop.as_str().as_bytes(), ha2.as_bytes()])
        }
        None => h(&[ha1.as_bytes(), nonce, ha2.as_bytes()]),
    }
}
