use std::time::Duration;

use super::*;
use crate::time::Time;

fn mufasa(password: &str) -> Credentials {
    Credentials { user: "Mufasa".to_owned(), secret: Secret::Password(password.to_owned()) }
}

const PAGE: Asked<'_> = Asked { method: "GET", uri: "/dir/index.html", body: b"" };
const REGISTER: Asked<'_> = Asked { method: "REGISTER", uri: "sip:pbx.example", body: b"" };

fn answered(challenge: &str, credentials: &Credentials, asked: &Asked<'_>, cnonce: &str) -> String {
    authorize([challenge].into_iter(), credentials, asked, cnonce, 1).expect("a challenge that we can answer").value
}

fn has(value: &str, response: &str) -> bool {
    value.contains(&format!("response=\"{response}\""))
}

#[test]
fn the_example_of_rfc_2617_comes_out() {
    let challenge = r#"Digest realm="testrealm@host.com", qop="auth,auth-int", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", opaque="5ccc069c403ebaf9f0171e9517f40e41""#;
    let value = answered(challenge, &mufasa("Circle Of Life"), &PAGE, "0a4f113b");
    assert!(has(&value, "6629fae49393a05397450978507c4ef1"), "{value}");
    assert!(value.contains(r#"opaque="5ccc069c403ebaf9f0171e9517f40e41""#), "{value}");
    assert!(value.ends_with("algorithm=MD5, qop=auth, nc=00000001"), "{value}");
}

#[test]
fn the_examples_of_rfc_7616_come_out() {
    let challenge = |algorithm| {
        format!(
            "Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", algorithm={algorithm}, \
             nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\""
        )
    };
    let cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
    let md5 = answered(&challenge("MD5"), &mufasa("Circle of Life"), &PAGE, cnonce);
    assert!(has(&md5, "8ca523f5e9506fed4657c9700eebdbec"), "{md5}");
    let sha = answered(&challenge("SHA-256"), &mufasa("Circle of Life"), &PAGE, cnonce);
    assert!(has(&sha, "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"), "{sha}");
}

/// RFC 7616 section 3.9.2 as its erratum 4897 corrects it: the text's own figure is no SHA-512/256.
#[test]
fn the_corrected_example_of_sha_512_256_comes_out() {
    let challenge = r#"Digest realm="api@example.org", qop="auth", algorithm=SHA-512-256, nonce="5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK", opaque="HRPCssKJSGjCrkzDg8OhwpzCiGPChXYjwrI2QmXDnsOS", charset=UTF-8, userhash=true"#;
    let who = Credentials { user: "Jäsøn Doe".to_owned(), secret: Secret::Password("Secret, or not?".to_owned()) };
    let asked = Asked { method: "GET", uri: "/doe.json", body: b"" };
    let value = answered(challenge, &who, &asked, "NTg6RKcb9boFIAS3KrFK9BGeh+iDa/sm6jUMp2wds69v");
    assert!(has(&value, "3798d4131c277846293534c3edc11bd8a5e4cdcbff78b05db9d95eeb1cec68a5"), "{value}");
}

#[test]
fn a_challenge_without_qop_is_answered_as_in_rfc_2069() {
    let value = answered(r#"Digest realm="r", nonce="n""#, &mufasa("p"), &PAGE, "c");
    // H(H(Mufasa:r:p):n:H(GET:/dir/index.html)), by hand with md5sum.
    let ha1 = digest::hash(Algorithm::Md5, &[b"Mufasa:r:p"]);
    let ha2 = digest::hash(Algorithm::Md5, &[b"GET:/dir/index.html"]);
    let right = digest::hash(Algorithm::Md5, &[format!("{ha1}:n:{ha2}").as_bytes()]);
    assert!(has(&value, &right), "{value}");
    assert!(!value.contains("nc=") && !value.contains("cnonce"), "{value}");
}

#[test]
fn the_first_challenge_that_can_be_answered_is_answered() {
    let challenges = [
        r#"Basic realm="r""#,
        r#"Digest realm="r", nonce="a", algorithm=SHA-9, qop="auth""#,
        r#"Digest realm="r", nonce="b", algorithm=SHA-256, qop="auth-strange""#,
        r#"Digest realm="r", nonce="c", algorithm=SHA-256, qop="auth""#,
        r#"Digest realm="r", nonce="d", algorithm=MD5, qop="auth""#,
    ];
    let done = authorize(challenges.into_iter(), &mufasa("p"), &PAGE, "c", 1).expect("the fourth");
    assert_eq!(done.challenge.nonce, "c");
    let hex = digest::hash(Algorithm::Md5, &[b"Mufasa", b"r", b"p"]);
    let ha1 = Secret::Ha1 { algorithm: Algorithm::Md5, realm: "r".to_owned(), hex };
    let hashed = Credentials { user: "Mufasa".to_owned(), secret: ha1 };
    let same = authorize(challenges.into_iter(), &hashed, &PAGE, "c", 1).expect("the fifth");
    assert_eq!(same.challenge.nonce, "d", "the hash is good for MD5 only");
    let plain = authorize(challenges[4..].iter().copied(), &mufasa("p"), &PAGE, "c", 1).expect("the fifth");
    assert_eq!(plain.value, same.value);
}

#[test]
fn a_session_digest_is_another_one() {
    let plain = answered(r#"Digest realm="r", nonce="n", qop="auth""#, &mufasa("p"), &PAGE, "c");
    let session = answered(r#"Digest realm="r", nonce="n", qop="auth", algorithm=md5-sess"#, &mufasa("p"), &PAGE, "c");
    assert!(session.contains("algorithm=MD5-sess"), "{session}");
    let response = |value: &str| value.split("response=").nth(1).expect("there").to_owned();
    assert_ne!(response(&plain), response(&session));
}

#[test]
fn a_secret_is_never_printed() {
    let ha1 = Secret::Ha1 { algorithm: Algorithm::Md5, realm: "r".to_owned(), hex: "5ec2e7".to_owned() };
    let text = format!("{:?} {:?}", mufasa("hakuna"), Credentials { user: "u".to_owned(), secret: ha1 });
    assert!(!text.contains("hakuna") && !text.contains("5ec2e7"), "{text}");
}

fn at(seconds: u64) -> Time {
    Time::START + Duration::from_secs(seconds)
}

fn realm() -> Realm {
    Realm::new("pbx.example".to_owned(), [7; 32])
}

/// Answers what `realm` asks, `count` being the nonce count.
fn answer(challenges: &[String], who: &Credentials, count: u32) -> String {
    let challenges = challenges.iter().map(String::as_str);
    authorize(challenges, who, &REGISTER, "cnonce", count).expect("ours can be answered").value
}

#[test]
fn every_algorithm_is_offered_strongest_first_and_accepted() {
    let mut realm = realm();
    let who = mufasa("p");
    let challenges = realm.challenge(at(0), false);
    let offered: Vec<_> = challenges.iter().map(|c| c.split("algorithm=").nth(1).unwrap_or("")).collect();
    assert_eq!(offered, ["SHA-512-256", "SHA-256", "MD5"]);
    for (count, challenge) in (1..).zip(&challenges) {
        let value = answer(std::slice::from_ref(challenge), &who, count);
        assert_eq!(claim(&value), Some(Claim { user: "Mufasa".to_owned(), realm: "pbx.example".to_owned() }));
        assert_eq!(realm.check(at(1), &value, Some(&who), &REGISTER), Verdict::Good, "{value}");
    }
}

#[test]
fn a_wrong_password_an_unknown_user_and_another_request_are_wrong() {
    let mut realm = realm();
    let who = mufasa("p");
    let value = answer(&realm.challenge(at(0), false), &who, 1);
    assert_eq!(realm.check(at(1), &value, Some(&mufasa("q")), &REGISTER), Verdict::Wrong);
    assert_eq!(realm.check(at(1), &value, None, &REGISTER), Verdict::Wrong);
    let invite = Asked { method: "INVITE", ..REGISTER };
    assert_eq!(realm.check(at(1), &value, Some(&who), &invite), Verdict::Wrong);
    let to_bo = value.replace("uri=\"sip:pbx", "uri=\"sip:bo@pbx");
    assert_eq!(realm.check(at(1), &to_bo, Some(&who), &REGISTER), Verdict::Wrong, "made for another");
    let behind_a_proxy = Asked { uri: "sip:10.0.0.1:5080;transport=tcp", ..REGISTER };
    assert_eq!(realm.check(at(1), &value, Some(&who), &behind_a_proxy), Verdict::Good, "a proxy changed the host");
}

#[test]
fn the_password_nobodys_opens_no_unknown_user() {
    let mut realm = realm();
    let value = answer(&realm.challenge(at(0), false), &mufasa("nobody's"), 1);
    assert_eq!(realm.check(at(1), &value, None, &REGISTER), Verdict::Wrong);
}

#[test]
fn a_nonce_serves_many_requests_each_count_once_in_any_order() {
    let mut realm = realm();
    let who = mufasa("p");
    let challenges = realm.challenge(at(0), false);
    let mut check = |count| realm.check(at(1), &answer(&challenges, &who, count), Some(&who), &REGISTER);
    assert_eq!(check(1), Verdict::Good);
    assert_eq!(check(1), Verdict::Replayed);
    assert_eq!(check(4), Verdict::Good);
    assert_eq!(check(3), Verdict::Good, "requests may overtake each other");
    assert_eq!(check(3), Verdict::Replayed);
    assert_eq!(check(500), Verdict::Good);
    assert_eq!(check(2), Verdict::Replayed, "too far behind to tell");
    assert_eq!(check(u32::MAX), Verdict::Good);
}

#[test]
fn two_phones_challenged_at_the_same_moment_do_not_share_counts() {
    let mut realm = realm();
    let (simba, who) = (Credentials { user: "Simba".to_owned(), ..mufasa("p") }, mufasa("p"));
    let (a, b) = (realm.challenge(at(0), false), realm.challenge(at(0), false));
    assert_eq!(realm.check(at(0), &answer(&a, &who, 1), Some(&who), &REGISTER), Verdict::Good);
    assert_eq!(realm.check(at(0), &answer(&b, &simba, 1), Some(&simba), &REGISTER), Verdict::Good);
}

#[test]
fn an_old_or_foreign_nonce_with_the_right_password_is_stale() {
    let mut realm = realm();
    let who = mufasa("p");
    let value = answer(&realm.challenge(at(0), false), &who, 1);
    assert_eq!(realm.check(at(301), &value, Some(&who), &REGISTER), Verdict::Stale);
    let before_the_restart = answer(&Realm::new("pbx.example".to_owned(), [8; 32]).challenge(at(0), false), &who, 1);
    assert_eq!(realm.check(at(1), &before_the_restart, Some(&who), &REGISTER), Verdict::Stale);
    assert_eq!(realm.check(at(1), &before_the_restart, Some(&mufasa("q")), &REGISTER), Verdict::Wrong);
    assert!(realm.challenge(at(1), true).iter().all(|c| c.ends_with(", stale=true")));
}

#[test]
fn an_old_phone_without_qop_gets_in_once_a_nonce() {
    let mut realm = realm();
    let who = mufasa("p");
    realm.set_algorithms(vec![Algorithm::Md5]);
    let challenge = realm.challenge(at(0), false).remove(0).replace("qop=\"auth\", ", "");
    let value = answer(&[challenge], &who, 1);
    assert_eq!(realm.check(at(1), &value, Some(&who), &REGISTER), Verdict::Good);
    assert_eq!(realm.check(at(1), &value, Some(&who), &REGISTER), Verdict::Replayed);
}

#[test]
fn what_was_not_offered_or_cannot_be_read_is_malformed() {
    let mut realm = realm();
    realm.set_algorithms(vec![Algorithm::Sha256]);
    let who = mufasa("p");
    let value = answer(&realm.challenge(at(0), false), &who, 1);
    let bad = [
        String::new(),
        "Basic TXVmYXNhOnA=".to_owned(),
        "Digest".to_owned(),
        "Digest username=\"Mufasa".to_owned(),
        value.replace("SHA-256", "MD5"),
        value.replace("qop=auth", "qop=auth-int"),
        value.replace("nc=00000001", "nc=1"),
        value.replace("nc=00000001", "nc=00000000"),
        value.replace("nc=00000001", "nc=+0000001"),
        value.replace("username", "name"),
    ];
    for one in bad {
        assert_eq!(realm.check(at(1), &one, Some(&who), &REGISTER), Verdict::Malformed, "{one}");
    }
    assert_eq!(realm.check(at(1), &value, Some(&who), &REGISTER), Verdict::Good);
}

#[test]
fn nonces_beyond_the_table_are_stale_and_never_replayed() {
    let mut realm = realm();
    realm.set_algorithms(vec![Algorithm::Md5]);
    let who = mufasa("p");
    let first = answer(&realm.challenge(at(0), false), &who, 1);
    assert_eq!(realm.check(at(0), &first, Some(&who), &REGISTER), Verdict::Good);
    for _ in 0..server::MOST_NONCES {
        let value = answer(&realm.challenge(at(0), false), &who, 1);
        assert_eq!(realm.check(at(0), &value, Some(&who), &REGISTER), Verdict::Good);
    }
    assert_eq!(realm.check(at(0), &first, Some(&who), &REGISTER), Verdict::Stale);
}
