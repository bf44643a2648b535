use super::*;
use crate::secure::{IceName, Suite};

fn local_with(policy: Policy, proposal: Proposal) -> Local {
    let security =
        Security { policy, proposal, secret: Secret([7; 32]), fingerprint: Some([0xab; 32]), ..Security::default() };
    Local { security, ..local() }
}

fn peer(policy: Policy, proposal: Proposal) -> Local {
    let security =
        Security { policy, proposal, secret: Secret([9; 32]), fingerprint: Some([0xcd; 32]), ..Security::default() };
    Local { security, address: "192.0.2.99:5004".parse().unwrap(), ..local() }
}

/// Both ends' agreements after `offerer` offered and `answerer` answered.
fn settle(offerer: &Local, answerer: &Local) -> Result<(Agreed, Agreed), Refusal> {
    let offer = parse(&offer(offerer).to_string());
    let (answered, theirs) = answer(&offer, answerer)?;
    let answered = parse(&answered.to_string());
    Ok((accept(&offer, &answered, offerer)?, theirs))
}

#[test]
fn two_ends_agree_on_keys_in_sdp() {
    for (policy, proposal, answers, encrypted) in [
        (Policy::Required, Proposal::Sdes, Policy::Optional, true),
        (Policy::Optional, Proposal::Sdes, Policy::Required, true),
        (Policy::Optional, Proposal::Sdes, Policy::Off, false),
        (Policy::Optional, Proposal::Plain, Policy::Optional, false),
    ] {
        let (ours, theirs) =
            settle(&local_with(policy, proposal), &peer(answers, Proposal::Plain)).expect("they agree");
        match (ours.protection, theirs.protection) {
            (Some(ours), Some(theirs)) if encrypted => {
                let (Keys::Sdes { ours: a, theirs: b }, Keys::Sdes { ours: c, theirs: d }) = (ours.keys, theirs.keys)
                else {
                    panic!("from SDP")
                };
                assert!(a == d && b == c && a != b);
                assert_eq!(a.suite(), Suite::AeadAes256Gcm);
            }
            (None, None) if !encrypted => {}
            other => panic!("{policy:?} {answers:?}: {other:?}"),
        }
    }
}

#[test]
fn who_requires_encryption_agrees_on_nothing_else() {
    let plain = parse(&audio("0", ""));
    let refusal = answer(&plain, &local_with(Policy::Required, Proposal::Sdes)).unwrap_err();
    assert_eq!(refusal.to_string(), "audio is not encrypted, which is required here");
    let ours = local_with(Policy::Required, Proposal::Sdes);
    assert!(matches!(accept(&offer(&ours), &plain, &ours), Err(Refusal::Security { .. })));
    let strange = audio("0", "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:short\r\n").replace("RTP/AVP", "RTP/SAVP");
    let refusal = answer(&parse(&strange), &local_with(Policy::Optional, Proposal::Plain)).unwrap_err();
    assert_eq!(refusal.to_string(), "no key or certificate that we understand");
}

#[test]
fn keys_with_identifiers_or_parameters_are_passed_over() {
    let key = "inline:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    for (line, taken) in [
        (format!("4 AES_CM_128_HMAC_SHA1_80 {key}|2^31"), true),
        (format!("4 AES_CM_128_HMAC_SHA1_80 {key}"), true),
        (format!("4 AES_CM_128_HMAC_SHA1_80 {key}|2^31|1:4"), false),
        (format!("4 AES_CM_128_HMAC_SHA1_80 {key} UNENCRYPTED_SRTP"), false),
        (format!("4 F8_128_HMAC_SHA1_80 {key}"), false),
        (format!("4 AES_256_CM_HMAC_SHA1_80 {key}"), false),
    ] {
        let offer = audio("0", &format!("a=crypto:{line}\r\n")).replace("RTP/AVP", "RTP/SAVP");
        let answered = answer(&parse(&offer), &local_with(Policy::Optional, Proposal::Plain));
        assert_eq!(answered.is_ok(), taken, "{line}");
        if let Ok((answered, _)) = answered {
            let line = &answered.media[0];
            assert_eq!((line.protocol.as_str(), line.keying.crypto[0].tag), ("RTP/SAVP", 4));
        }
    }
}

#[test]
fn a_browser_and_we_agree_on_a_handshake_whoever_offers() {
    let browser = Proposal::Dtls { ice: true };
    let (ours, theirs) =
        settle(&local_with(Policy::Optional, browser), &peer(Policy::Optional, Proposal::Plain)).unwrap();
    for (agreed, is_active, byte) in [(&ours, true, 0xcd), (&theirs, false, 0xab)] {
        let protection = agreed.protection.as_ref().unwrap();
        let Keys::Dtls { active, fingerprints, ice } = &protection.keys else { panic!("DTLS") };
        // Who may choose lets the other side begin: it comes through its own NAT.
        assert_eq!((*active, fingerprints[0].bytes[0]), (is_active, byte));
        assert!(ice.is_some() && protection.mux);
    }
    let said = offer(&local_with(Policy::Optional, browser)).to_string();
    for line in ["UDP/TLS/RTP/SAVPF", "a=ice-lite", "a=group:BUNDLE 0", "a=setup:actpass", "a=rtcp-mux", "typ host"] {
        assert!(said.contains(line), "{line} in {said}");
    }
}

/// What Chromium sends, without what does not matter here.
const BROWSER: &str = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n\
    m=audio 9 UDP/TLS/RTP/SAVPF 111 0 8 110\r\nc=IN IP4 0.0.0.0\r\na=rtcp:9 IN IP4 0.0.0.0\r\n\
    a=candidate:1 1 udp 2113937151 x.local 50000 typ host\r\na=ice-ufrag:aBcD\r\n\
    a=ice-pwd:0123456789012345678901234\r\na=ice-options:trickle\r\na=fingerprint:sha-256 ";

#[test]
fn a_browser_that_names_no_address_is_no_peer_on_hold() {
    let hex = ["0A"; 32].join(":");
    let text = format!("{BROWSER}{hex}\r\na=setup:actpass\r\na=mid:0\r\na=sendrecv\r\na=rtcp-mux\r\n");
    let local = local_with(Policy::Optional, Proposal::Plain);
    let (answered, agreed) = answer(&parse(&text), &local).unwrap();
    assert_eq!((agreed.direction, agreed.remote.is_some()), (Direction::SendRecv, true));
    let protection = agreed.protection.clone().unwrap();
    let Keys::Dtls { active: false, ice: Some((ours, theirs)), .. } = protection.keys else { panic!("over ICE") };
    assert_eq!(theirs, IceName { user: "aBcD".into(), password: "0123456789012345678901234".into() });
    assert!(ours.user.len() >= 4 && ours.password.len() >= 22);
    let said = answered.to_string();
    for line in ["a=mid:0", "a=setup:passive", "a=ice-lite", "a=group:BUNDLE 0", "a=candidate:1 1 UDP"] {
        assert!(said.contains(line), "{line} in {said}");
    }
    // Within the session the same names and keys are said again.
    let again = reoffer(&Local { version: 3, ..local }, &agreed);
    assert_eq!(again.media[0].keying.ice, answered.media[0].keying.ice);
    assert_eq!(again.media[0].keying.fingerprints, answered.media[0].keying.fingerprints);
    assert_eq!(again.media[0].protocol, "UDP/TLS/RTP/SAVPF");
}

#[test]
fn a_session_goes_on_with_its_keys() {
    let ours = local_with(Policy::Required, Proposal::Sdes);
    let (agreed, theirs) = settle(&ours, &peer(Policy::Optional, Proposal::Plain)).unwrap();
    let again = reoffer(&Local { version: 2, ..ours.clone() }, &agreed);
    let (answered, next) = answer(&again, &peer(Policy::Optional, Proposal::Plain)).unwrap();
    assert_eq!(next.protection, theirs.protection, "seen from the peer");
    let after = accept(&again, &answered, &ours).unwrap();
    assert_eq!(after.protection, agreed.protection);
}

#[test]
fn secrets_are_never_printed() {
    let shown = format!("{:?}", local_with(Policy::Required, Proposal::Sdes));
    assert!(shown.contains("Secret(..)") && !shown.contains("7, 7"), "{shown}");
}
