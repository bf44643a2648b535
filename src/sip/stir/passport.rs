//! The signed claim about a call: PASSporT (RFC 8225) in the Identity header (RFC 8224 section 4), full or compact,
//! bare or with SHAKEN's claims (RFC 8588).
//!
//! ```text
//! Identity: <header>.<payload>.<signature>;info=<https://...>;alg=ES256;ppt=shaken        full
//! Identity: ..<signature>;info=<https://...>;alg=ES256                                    compact: the rest is the message's
//! ```

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use p256::{
    SecretKey,
    ecdsa::{Signature, SigningKey, signature::Signer as _},
    pkcs8::DecodePrivateKey,
};
use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use serde::{Deserialize, Serialize};

use super::{Attestation, Certificate, FRESH, Reason, called, caller, canonical, date::read_date};
use crate::sip::{Headers, Uri, text};

/// Most Identity headers of a message that are looked at.
const MOST: usize = 8;
/// Longest address of a certificate, in bytes.
const LONGEST_URL: usize = 1000;

/// What is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// Caller's number, canonical.
    pub orig: String,
    /// Called numbers, canonical; at least one.
    pub dest: Vec<String>,
    /// When, in seconds since 1970.
    pub iat: u64,
    /// SHAKEN's claims; absent: a bare PASSporT.
    pub shaken: Option<(Attestation, String)>,
}

impl Claims {
    /// How sure the signer is.
    pub fn attestation(&self) -> Option<Attestation> {
        self.shaken.as_ref().map(|(attestation, _)| *attestation)
    }

    /// The signer's own name for where the call came from: a UUID.
    pub fn origid(&self) -> Option<&str> {
        self.shaken.as_ref().map(|(_, origid)| origid.as_str())
    }
}

// The fields stand in the order in which they are signed: RFC 8225 section 9 sorts them, and has no white space.

#[derive(Deserialize, Serialize)]
struct Head {
    alg: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    ppt: Option<String>,
    typ: String,
    x5u: String,
}

#[derive(Deserialize, Serialize)]
struct Body {
    #[serde(skip_serializing_if = "Option::is_none")]
    attest: Option<String>,
    dest: Dest,
    iat: u64,
    orig: Orig,
    #[serde(skip_serializing_if = "Option::is_none")]
    origid: Option<String>,
}

#[derive(Deserialize, Serialize)]
struct Dest {
    #[serde(default)]
    tn: Vec<String>,
}

#[derive(Deserialize, Serialize)]
struct Orig {
    /// Absent: an address signed the call (RFC 8225's `uri`), which no TNAuthList can speak for.
    tn: Option<String>,
}

impl Head {
    fn new(ppt: Option<&str>, x5u: &str) -> Head {
        Head { alg: "ES256".into(), ppt: ppt.map(str::to_owned), typ: "passport".into(), x5u: x5u.to_owned() }
    }
}

/// What the signature is made of: both parts in base64url, joined by a dot.
fn to_be_signed(claims: &Claims, x5u: &str) -> String {
    let head = Head::new(claims.shaken.as_ref().map(|_| "shaken"), x5u);
    let body = Body {
        attest: claims.attestation().map(|attestation| attestation.as_str().to_owned()),
        dest: Dest { tn: claims.dest.clone() },
        iat: claims.iat,
        orig: Orig { tn: Some(claims.orig.clone()) },
        origid: claims.origid().map(str::to_owned),
    };
    let part = |json: serde_json::Result<Vec<u8>>| BASE64.encode(json.expect("plain data has a JSON form"));
    format!("{}.{}", part(serde_json::to_vec(&head)), part(serde_json::to_vec(&body)))
}

/// A key that cannot sign.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no private key on P-256 in PEM (PKCS #8 or SEC 1)")]
pub struct BadKey;

/// An operator's key, and where its certificate is to be found.
#[derive(Clone, PartialEq)]
pub struct Signer {
    key: SigningKey,
    x5u: String,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signer for {}", self.x5u)
    }
}

impl Signer {
    /// With the private key in `pem`, and the address of its certificate chain.
    pub fn new(pem: &str, x5u: &str) -> Result<Signer, BadKey> {
        // openssl may write the name of the curve as a block of its own in front.
        let sec1 = pem.find("-----BEGIN EC PRIVATE KEY-----").map(|at| &pem[at..]);
        let secret = match sec1 {
            Some(pem) => SecretKey::from_sec1_pem(pem.trim()).map_err(|_| BadKey)?,
            None => SecretKey::from_pkcs8_pem(pem.trim()).map_err(|_| BadKey)?,
        };
        Ok(Signer { key: SigningKey::from(secret), x5u: x5u.to_owned() })
    }

    /// The value of the Identity header, in full form.
    pub fn sign(&self, claims: &Claims) -> String {
        let signed = to_be_signed(claims, &self.x5u);
        let signature: Signature = self.key.sign(signed.as_bytes());
        let ppt = if claims.shaken.is_some() { ";ppt=shaken" } else { "" };
        format!("{signed}.{};info=<{}>;alg=ES256{ppt}", BASE64.encode(signature.to_bytes()), self.x5u)
    }
}

/// An Identity header that could be read. Nothing of it is proven yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    claims: Claims,
    signed: String,
    signature: [u8; 64],
    url: String,
}

/// The parts of the header's value.
struct Parts<'a> {
    token: &'a str,
    info: &'a str,
    alg: Option<&'a str>,
    ppt: Option<&'a str>,
}

impl Identity {
    /// The first Identity header of a kind that we know.
    pub fn read(headers: &Headers) -> Result<Identity, Reason> {
        let mut why = Reason::Missing;
        for value in headers.all("Identity").take(MOST) {
            match Identity::parse(value, headers) {
                Ok(identity) => return Ok(identity),
                // What is broken tells more than what is only unknown.
                Err(Reason::Unsupported) if why != Reason::Missing => {}
                Err(reason) => why = reason,
            }
        }
        Err(why)
    }

    fn parse(value: &str, headers: &Headers) -> Result<Identity, Reason> {
        let parts = Parts::read(value);
        let known = parts.alg.is_none_or(|alg| alg == "ES256") && parts.ppt.is_none_or(|ppt| ppt == "shaken");
        if !known {
            return Err(Reason::Unsupported);
        }
        if !parts.info.starts_with("https://") || parts.info.len() > LONGEST_URL {
            return Err(Reason::NoCertificate);
        }
        let [head, body, signature] = parts.token.split('.').collect::<Vec<_>>()[..] else {
            return Err(Reason::Malformed);
        };
        let url = parts.info.to_owned();
        let signature = BASE64.decode(signature).ok().and_then(|bytes| bytes.try_into().ok());
        let signature: [u8; 64] = signature.ok_or(Reason::Malformed)?;
        if head.is_empty() && body.is_empty() {
            let claims = compact(&parts, headers)?;
            return Ok(Identity { signed: to_be_signed(&claims, &url), claims, signature, url });
        }
        let claims = full(&parts, head, body)?;
        Ok(Identity { claims, signed: format!("{head}.{body}"), signature, url })
    }

    /// What it claims.
    pub fn claims(&self) -> &Claims {
        &self.claims
    }

    /// Where the signer's certificate is to be fetched; begins with `https://`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Whether the claims are those of the message that they came with, and fresh at `unix`, in seconds since 1970.
    /// `uri` is the request's: a call that was sent on may be signed again for where it goes.
    pub fn fits(&self, headers: &Headers, uri: &Uri, unix: u64) -> Result<(), Reason> {
        if self.claims.iat.abs_diff(unix) > FRESH {
            return Err(Reason::Stale);
        }
        if caller(headers).as_ref() != Some(&self.claims.orig) {
            return Err(Reason::WrongCaller);
        }
        let asked = uri.user_decoded().and_then(|user| canonical(&user));
        let mut numbers = called(headers).into_iter().chain(asked);
        if numbers.any(|number| self.claims.dest.contains(&number)) { Ok(()) } else { Err(Reason::WrongCalled) }
    }

    /// Whether `certificate` made the signature, is valid at `unix`, and may speak for the caller's number.
    pub fn check(&self, certificate: &Certificate, unix: u64) -> Result<(), Reason> {
        if !certificate.is_valid_at(unix) {
            return Err(Reason::Expired);
        }
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &certificate.key);
        key.verify(self.signed.as_bytes(), &self.signature).map_err(|_| Reason::BadSignature)?;
        if certificate.holds(&self.claims.orig) { Ok(()) } else { Err(Reason::NotAuthorized) }
    }
}

impl Parts<'_> {
    fn read(value: &str) -> Parts<'_> {
        let next = |text: &str| text::find_outside(text, b';').unwrap_or(text.len());
        let (token, mut rest) = value.split_at(next(value));
        let mut parts = Parts { token: token.trim(), info: "", alg: None, ppt: None };
        while let Some(param) = rest.strip_prefix(';') {
            let (param, after) = param.split_at(next(param));
            rest = after;
            let Some((name, value)) = param.split_once('=') else { continue };
            let (name, value) = (name.trim(), value.trim());
            let bare = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
            if name.eq_ignore_ascii_case("info") {
                parts.info = bare.strip_prefix('<').and_then(|url| url.strip_suffix('>')).unwrap_or(bare);
            } else if name.eq_ignore_ascii_case("alg") {
                parts.alg = Some(bare);
            } else if name.eq_ignore_ascii_case("ppt") {
                parts.ppt = Some(bare);
            }
        }
        parts
    }
}

/// The claims that the header itself carries.
fn full(parts: &Parts<'_>, head: &str, body: &str) -> Result<Claims, Reason> {
    let decode = |part: &str| BASE64.decode(part).map_err(|_| Reason::Malformed);
    let head: Head = serde_json::from_slice(&decode(head)?).map_err(|_| Reason::Malformed)?;
    if head.alg != "ES256" || head.ppt.as_deref().is_some_and(|ppt| ppt != "shaken") {
        return Err(Reason::Unsupported);
    }
    let same = head.x5u == parts.info && parts.ppt.is_none_or(|ppt| head.ppt.as_deref() == Some(ppt));
    if head.typ != "passport" || !same {
        return Err(Reason::Malformed);
    }
    let body: Body = serde_json::from_slice(&decode(body)?).map_err(|_| Reason::Malformed)?;
    let shaken = match head.ppt {
        None => None,
        Some(_) => {
            let attestation = body.attest.as_deref().and_then(Attestation::parse).ok_or(Reason::Malformed)?;
            Some((attestation, body.origid.filter(|id| id.len() <= 64).ok_or(Reason::Malformed)?))
        }
    };
    let orig = body.orig.tn.ok_or(Reason::Unsupported)?;
    Ok(Claims { orig, dest: body.dest.tn, iat: body.iat, shaken })
}

/// The claims that are to be taken from the message: both numbers, and its Date (RFC 8224 section 6.2). SHAKEN has
/// claims that no message carries elsewhere, so it has no compact form.
fn compact(parts: &Parts<'_>, headers: &Headers) -> Result<Claims, Reason> {
    if parts.ppt.is_some() {
        return Err(Reason::Malformed);
    }
    let iat = headers.get("Date").and_then(read_date).ok_or(Reason::Malformed)?;
    let orig = caller(headers).ok_or(Reason::WrongCaller)?;
    let dest = vec![called(headers).ok_or(Reason::WrongCalled)?];
    Ok(Claims { orig, dest, iat, shaken: None })
}
