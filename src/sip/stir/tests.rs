use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, date_time_ymd,
};

use super::*;
use crate::sip::{Message, Request, Uri};

/// 2026-07-01 12:00 UTC.
pub const NOW: u64 = 1_782_907_200;
pub const URL: &str = "https://certificates.example/shaken.pem";
pub const ORIGID: &str = "4aec94e2-508c-4c1c-907b-3737bac0a80e";

/// Keys and a chain as an operator gets them: root, one authority between, and the signer's own.
pub struct Kit {
    pub root: String,
    pub chain: String,
    pub key: String,
}

/// What is to be wrong, or at least different.
pub struct Wish {
    /// The signer's TNAuthList.
    pub numbers: Option<Vec<u8>>,
    /// Years in which the signer's certificate begins and ends.
    pub years: (i32, i32),
    /// The one between may issue certificates.
    pub authority: bool,
    /// Another extension of the signer's.
    pub extension: Option<CustomExtension>,
}

impl Default for Wish {
    fn default() -> Wish {
        Wish { numbers: Some(of_provider("709J")), years: (2026, 2027), authority: true, extension: None }
    }
}

fn tlv(tag: u8, inside: &[u8]) -> Vec<u8> {
    [&[tag, u8::try_from(inside.len()).unwrap()], inside].concat()
}

/// A TNAuthList with a provider's code.
pub fn of_provider(code: &str) -> Vec<u8> {
    tlv(0x30, &tlv(0xa0, &tlv(0x16, code.as_bytes())))
}

/// A TNAuthList with one number.
pub fn of_number(number: &str) -> Vec<u8> {
    tlv(0x30, &tlv(0xa2, &tlv(0x16, number.as_bytes())))
}

fn params(name: &str, years: (i32, i32)) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    (params.not_before, params.not_after) = (date_time_ymd(years.0, 1, 1), date_time_ymd(years.1, 1, 1));
    params
}

fn authority(name: &str, is: bool) -> CertificateParams {
    let mut params = params(name, (2020, 2040));
    params.is_ca = if is { IsCa::Ca(BasicConstraints::Unconstrained) } else { IsCa::ExplicitNoCa };
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    params
}

impl Kit {
    pub fn new(wish: Wish) -> Kit {
        let root_key = KeyPair::generate().unwrap();
        let root = authority("Root", true).self_signed(&root_key).unwrap();
        let root_issuer = Issuer::new(authority("Root", true), root_key);
        let middle_key = KeyPair::generate().unwrap();
        let middle = authority("Middle", wish.authority).signed_by(&middle_key, &root_issuer).unwrap();
        let middle_issuer = Issuer::new(authority("Middle", wish.authority), middle_key);
        let key = KeyPair::generate().unwrap();
        let mut own = params("SHAKEN 709J", wish.years);
        own.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let list = |der| CustomExtension::from_oid_content(&[1, 3, 6, 1, 5, 5, 7, 1, 26], der);
        own.custom_extensions.extend(wish.numbers.map(list));
        own.custom_extensions.extend(wish.extension);
        let own = own.signed_by(&key, &middle_issuer).unwrap();
        Kit { root: root.pem(), chain: own.pem() + &middle.pem(), key: key.serialize_pem() }
    }

    pub fn trust(&self) -> Trust {
        Trust::new(self.root.as_bytes()).unwrap()
    }

    pub fn signer(&self) -> Signer {
        Signer::new(&self.key, URL).unwrap()
    }

    fn certificate(&self) -> Result<Certificate, Reason> {
        self.trust().read(self.chain.as_bytes())
    }
}

pub fn claims() -> Claims {
    Claims {
        orig: "12155551212".into(),
        dest: vec!["12155551213".into()],
        iat: NOW,
        shaken: Some((Attestation::A, ORIGID.into())),
    }
}

fn invite(identity: &str, extra: &str) -> Request {
    let identity = if identity.is_empty() { String::new() } else { format!("Identity: {identity}\r\n") };
    let text = format!(
        "INVITE sip:+12155551213@192.0.2.1;user=phone SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK1\r\n\
         From: \"A\" <sip:+1-215-555-1212@carrier.example;user=phone>;tag=a\r\nTo: <tel:+12155551213>\r\n\
         Call-ID: 1@a\r\nCSeq: 1 INVITE\r\n{identity}{extra}Content-Length: 0\r\n\r\n"
    );
    let limits = crate::sip::Limits { max_headers: 100, max_message: 65_535 };
    match Message::parse(text.as_bytes(), &limits).unwrap() {
        Message::Request(request) => request,
        Message::Response(_) => unreachable!("it is written as a request"),
    }
}

/// All that a verifier does.
fn verify(kit: &Kit, request: &Request, now: u64) -> Result<Claims, Reason> {
    let identity = Identity::read(&request.headers)?;
    identity.fits(&request.headers, &request.uri, now)?;
    identity.check(&kit.certificate()?, now)?;
    Ok(identity.claims().clone())
}

fn sign_and_verify(kit: &Kit, claims: &Claims) -> Result<Claims, Reason> {
    verify(kit, &invite(&kit.signer().sign(claims), ""), NOW)
}

#[test]
fn what_an_operator_signs_is_verified_by_the_root_that_is_trusted() {
    let kit = Kit::new(Wish::default());
    assert_eq!(sign_and_verify(&kit, &claims()), Ok(claims()));
    let bare = Claims { shaken: None, ..claims() };
    assert_eq!(sign_and_verify(&kit, &bare), Ok(bare));
    assert_eq!(kit.certificate().unwrap().provider(), Some("709J"));
}

#[test]
fn the_signed_text_is_sorted_and_without_white_space() {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    let value = Kit::new(Wish::default()).signer().sign(&claims());
    let (token, params) = value.split_once(';').unwrap();
    let parts: Vec<_> = token.split('.').map(|part| URL_SAFE_NO_PAD.decode(part).unwrap()).collect();
    let head = r#"{"alg":"ES256","ppt":"shaken","typ":"passport","x5u":"https://certificates.example/shaken.pem"}"#;
    assert_eq!(String::from_utf8(parts[0].clone()).unwrap(), head);
    let body = format!(
        r#"{{"attest":"A","dest":{{"tn":["12155551213"]}},"iat":{NOW},"orig":{{"tn":"12155551212"}},"origid":"{ORIGID}"}}"#
    );
    assert_eq!(String::from_utf8(parts[1].clone()).unwrap(), body);
    assert_eq!(parts[2].len(), 64, "r and s, not DER");
    assert_eq!(params, format!("info=<{URL}>;alg=ES256;ppt=shaken"));
}

#[test]
fn signing_twice_gives_the_same_signature() {
    let kit = Kit::new(Wish::default());
    assert_eq!(kit.signer().sign(&claims()), kit.signer().sign(&claims()));
}

#[test]
fn the_compact_form_takes_its_claims_from_the_message() {
    let kit = Kit::new(Wish::default());
    let full = kit.signer().sign(&Claims { shaken: None, ..claims() });
    let (token, params) = full.split_once(';').unwrap();
    let compact = format!("..{};{params}", token.rsplit('.').next().unwrap());
    let date = format!("Date: {}\r\n", write_date(NOW));
    assert!(verify(&kit, &invite(&compact, &date), NOW).is_ok());
    let other = format!("Date: {}\r\n", write_date(NOW + 1));
    assert_eq!(verify(&kit, &invite(&compact, &other), NOW), Err(Reason::BadSignature), "another date");
    assert_eq!(verify(&kit, &invite(&compact, ""), NOW), Err(Reason::Malformed), "no date");
    let shaken = format!("{compact};ppt=shaken");
    assert_eq!(verify(&kit, &invite(&shaken, &date), NOW), Err(Reason::Malformed), "SHAKEN has no compact form");
}

#[test]
fn each_thing_that_is_wrong_has_its_own_reason() {
    let kit = Kit::new(Wish::default());
    let signed = kit.signer().sign(&claims());
    assert_eq!(verify(&kit, &invite("", ""), NOW), Err(Reason::Missing));
    let asked = |claims: Claims| sign_and_verify(&kit, &claims);
    assert_eq!(asked(Claims { orig: "12155551299".into(), ..claims() }), Err(Reason::WrongCaller));
    assert_eq!(asked(Claims { dest: vec!["12155551299".into()], ..claims() }), Err(Reason::WrongCalled));
    for (age, want) in [(60, true), (61, false)] {
        assert_eq!(verify(&kit, &invite(&signed, ""), NOW + age).is_ok(), want, "{age} s old");
        assert_eq!(verify(&kit, &invite(&signed, ""), NOW - age).is_ok(), want, "{age} s in the future");
    }
    assert_eq!(verify(&kit, &invite(&signed, ""), NOW + 61), Err(Reason::Stale));
    let other = Kit::new(Wish::default());
    let forged = other.signer().sign(&claims());
    assert_eq!(verify(&kit, &invite(&forged, ""), NOW), Err(Reason::BadSignature), "another key");
    let elsewhere = Kit { chain: other.chain, ..Kit { root: kit.root.clone(), ..Kit::new(Wish::default()) } };
    assert_eq!(verify(&elsewhere, &invite(&forged, ""), NOW), Err(Reason::Untrusted), "another root");
}

#[test]
fn each_thing_that_is_wrong_with_a_certificate_has_its_own_reason() {
    let of = |wish: Wish| sign_and_verify(&Kit::new(wish), &claims()).map(|_| ());
    assert_eq!(of(Wish { years: (2024, 2025), ..Wish::default() }), Err(Reason::Expired), "over");
    assert_eq!(of(Wish { years: (2027, 2028), ..Wish::default() }), Err(Reason::Expired), "not begun");
    assert_eq!(of(Wish { numbers: None, ..Wish::default() }), Err(Reason::NotAuthorized), "no TNAuthList");
    assert_eq!(of(Wish { numbers: Some(of_number("12155551212")), ..Wish::default() }), Ok(()));
    let other = Some(of_number("12155551299"));
    assert_eq!(of(Wish { numbers: other, ..Wish::default() }), Err(Reason::NotAuthorized), "another number");
    assert_eq!(of(Wish { numbers: Some(vec![0x30, 9, 1]), ..Wish::default() }), Err(Reason::BadCertificate));
    assert_eq!(of(Wish { authority: false, ..Wish::default() }), Err(Reason::Untrusted), "who issued it may not");
    let mut unknown = CustomExtension::from_oid_content(&[1, 2, 3, 4], vec![5, 0]);
    assert_eq!(of(Wish { extension: Some(unknown.clone()), ..Wish::default() }), Ok(()), "unknown, but not critical");
    unknown.set_criticality(true);
    assert_eq!(of(Wish { extension: Some(unknown), ..Wish::default() }), Err(Reason::Untrusted));
    let constraints = CustomExtension::from_oid_content(&[1, 3, 6, 1, 5, 5, 7, 1, 27], vec![0x30, 0]);
    assert_eq!(of(Wish { extension: Some(constraints), ..Wish::default() }), Err(Reason::Untrusted));
}

#[test]
fn a_chain_without_the_one_between_leads_nowhere_unless_that_one_is_trusted_itself() {
    let kit = Kit::new(Wish::default());
    let end = kit.chain.find("-----END CERTIFICATE-----").unwrap() + "-----END CERTIFICATE-----\n".len();
    let (own, middle) = kit.chain.split_at(end);
    assert_eq!(kit.trust().read(own.as_bytes()), Err(Reason::Untrusted));
    assert!(Trust::new(middle.trim().as_bytes()).unwrap().read(own.as_bytes()).is_ok());
    for broken in ["", "hello", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        assert_eq!(kit.trust().read(broken.as_bytes()), Err(Reason::BadCertificate), "{broken}");
    }
}

#[test]
fn headers_that_cannot_be_right_are_told_apart() {
    let kit = Kit::new(Wish::default());
    let good = kit.signer().sign(&claims());
    let (token, _) = good.split_once(';').unwrap();
    let read = |value: &str| Identity::read(&invite(value, "").headers).map(|_| ());
    assert_eq!(read(&format!("{token};info=<{URL}>;alg=ES256;ppt=\"shaken\"")), Ok(()));
    assert_eq!(read(&format!("{token};info=<{URL}>")), Ok(()), "RFC 8224 leaves alg and ppt to the header");
    assert_eq!(read(&format!("{token};info=<{URL}>;ppt=div")), Err(Reason::Unsupported));
    assert_eq!(read(&format!("{token};info=<{URL}>;alg=RS256")), Err(Reason::Unsupported));
    assert_eq!(read(&format!("{token};alg=ES256")), Err(Reason::NoCertificate), "no info");
    let plain = format!("{token};info=<http://certificates.example/x.pem>");
    assert_eq!(read(&plain), Err(Reason::NoCertificate), "not https");
    let other = format!("{token};info=<https://other.example/x.pem>");
    assert_eq!(read(&other), Err(Reason::Malformed), "two addresses of one certificate");
    for value in ["a.b", "a.b.c", "...", "", "a", "e30.e30.AAAA", ";;;"] {
        assert_eq!(read(&format!("{value};info=<{URL}>")), Err(Reason::Malformed), "{value}");
    }
    for value in ["\"", "<", "\"a.b.c", "<a.b.c"] {
        assert_eq!(read(&format!("{value};info=<{URL}>")), Err(Reason::NoCertificate), "{value} swallows the rest");
    }
    let body = format!("Identity: {good}\r\n");
    let both = invite(&format!("{token};info=<{URL}>;ppt=div"), &body);
    assert!(Identity::read(&both.headers).is_ok(), "the one that we know counts, wherever it stands");
}

#[test]
fn no_cut_or_flipped_header_passes_or_panics() {
    let kit = Kit::new(Wish::default());
    let (certificate, good) = (kit.certificate().unwrap(), kit.signer().sign(&claims()));
    let token = good.split(';').next().unwrap().len();
    for at in 0..token {
        let mut broken = good.clone().into_bytes();
        broken[at] = if broken[at] == b'A' { b'B' } else { b'A' };
        for text in [String::from_utf8(broken).unwrap(), good[..at].to_owned()] {
            let identity = Identity::read(&invite(&text, "").headers);
            // The last character of a part may hold bits that mean nothing; the decoder refuses them.
            let passed = identity.is_ok_and(|identity| identity.check(&certificate, NOW).is_ok());
            assert!(!passed, "changed at {at}");
        }
    }
}

#[test]
fn numbers_are_compared_without_plus_and_separators() {
    for (text, want) in [
        ("+1 (215) 555-1212", Some("12155551212")),
        ("12155551212;phone-context=+1", Some("12155551212")),
        ("*67#", Some("*67#")),
        ("anna", None),
        ("", None),
        ("+", None),
        ("1+2", None),
        ("1234567890123456", None),
    ] {
        assert_eq!(canonical(text).as_deref(), want, "{text}");
    }
}

#[test]
fn the_asserted_number_counts_only_where_from_has_none() {
    let asserted = "P-Asserted-Identity: \"X\" <sip:x@y>, <tel:+12155550000>\r\n";
    let mut request = invite("", asserted);
    assert_eq!(caller(&request.headers).as_deref(), Some("12155551212"));
    request.headers.from.uri = Uri::parse("sip:anonymous@anonymous.invalid").unwrap();
    assert_eq!(caller(&request.headers).as_deref(), Some("12155550000"));
}

#[test]
fn keys_are_taken_as_openssl_writes_them() {
    let sec1 = p256::SecretKey::from_slice(&[7; 32]).unwrap().to_sec1_pem(Default::default()).unwrap();
    let with_curve = format!("-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n{}", *sec1);
    assert!(Signer::new(&sec1, URL).is_ok());
    assert!(Signer::new(&with_curve, URL).is_ok());
    assert_eq!(Signer::new("hello", URL).unwrap_err(), BadKey);
    assert!(!format!("{:?}", Signer::new(&sec1, URL).unwrap()).contains("7, 7"), "the key is never printed");
}
