use std::net::SocketAddr;

use proptest::prelude::*;

use super::*;
use crate::codec::{Digits, OpusWish, Rate};

mod fax;
mod samples;
mod security;
mod siprec;
use samples::*;

fn local() -> Local {
    Local {
        address: "192.0.2.7:40000".parse().unwrap(),
        session_id: 77,
        version: 1,
        codecs: vec![Codec::Pcmu, Codec::Pcma],
        relayed: vec![],
        formats: vec![],
        comfort: false,
        ptime: 20,
        direction: Direction::SendRecv,
        security: Security::default(),
    }
}

fn local6() -> Local {
    Local { address: "[2001:db8::7]:40000".parse().unwrap(), ..local() }
}

fn parse(text: &str) -> Session {
    Session::parse(text.as_bytes()).unwrap()
}

fn answered(text: &str) -> (Session, Agreed) {
    answer(&parse(text), &local()).unwrap()
}

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// A description with one audio line; `rest` are its attributes.
fn audio(formats: &str, rest: &str) -> String {
    format!(
        "v=0\r\no=- 1 1 IN IP4 198.51.100.1\r\ns=-\r\nc=IN IP4 198.51.100.1\r\nt=0 0\r\nm=audio 5004 RTP/AVP {formats}\r\n{rest}"
    )
}

// ---- parsing

#[test]
fn lines_may_end_with_lf_and_optional_ones_may_be_missing() {
    let session = parse("v=0\nc=IN IP4 198.51.100.1\nm=audio 5004 RTP/AVP 0\na=sendonly");
    assert_eq!(session.connection, Some(Host::Address("198.51.100.1".parse().unwrap())));
    assert_eq!(session.media[0].port, 5004);
    assert_eq!(session.media[0].direction, Some(Direction::SendOnly));
    assert_eq!(session.origin, parse("v=0").origin);
}

#[test]
fn unknown_and_odd_lines_are_passed_over() {
    let text = "v=0\r\no=strange\r\nnot a line\r\ny=1\r\nb=AS:64\r\nk=clear:x\r\nm=audio 5004/2 RTP/AVP 0 x 300\r\n\
        i=title\r\na=rtpmap:zzz\r\na=rtpmap:200 A/1\r\na=rtpmap:0 PCMU\r\na=ptime:\r\na=ptime:30.0\r\na=\r\n\u{feff}\r\n";
    let session = parse(text);
    let [media] = &session.media[..] else { panic!("{session:?}") };
    assert_eq!((media.port, media.ptime, media.maps.len()), (5004, Some(30), 0));
    assert_eq!(media.payloads().collect::<Vec<_>>(), [(0, Payload::Codec(Codec::Pcmu))]);
}

#[test]
fn errors_name_the_line() {
    let error = |text: &str| Session::parse(text.as_bytes()).unwrap_err().to_string();
    assert_eq!(error(""), "SDP line 1: v=0 is missing");
    assert_eq!(error("hello"), "SDP line 1: v=0 is missing");
    assert_eq!(error("v=1\r\n"), "SDP line 1: v=0 must come first");
    assert_eq!(error("\r\no=- 1 1 IN IP4 198.51.100.1\r\n"), "SDP line 2: v=0 must come first");
    assert_eq!(error("v=0\r\nm=audio\r\n"), "SDP line 2: m= needs kind, port, protocol and formats");
    assert_eq!(error("v=0\r\ns=-\r\nm=audio 99999 RTP/AVP 0\r\n"), "SDP line 3: m= has no port number");
    assert_eq!(error("v=0\r\nc=IN\r\n"), "SDP line 2: c= needs network, family and address");
}

#[test]
fn size_and_lines_are_limited() {
    let line = "m=audio 5004 RTP/AVP 0\r\n";
    assert!(Session::parse(format!("v=0\r\n{}", line.repeat(MAX_MEDIA)).as_bytes()).is_ok());
    let error = Session::parse(format!("v=0\r\n{}", line.repeat(MAX_MEDIA + 1)).as_bytes()).unwrap_err();
    assert_eq!(error, ParseError { line: MAX_MEDIA + 2, what: "too many m-lines" });
    let formats = " 0".repeat(MAX_FORMATS + 1);
    assert!(Session::parse(format!("v=0\r\nm=audio 1 RTP/AVP{formats}").as_bytes()).is_err());
    assert!(Session::parse(&[b'v'; MAX_BYTES + 1]).is_err());
}

#[test]
fn a_printed_description_reads_the_same() {
    for (name, text, _) in OFFERS {
        let session = parse(text);
        assert_eq!(parse(&session.to_string()), session, "{name}");
    }
}

// ---- answering

#[test]
fn real_offers_are_answered_as_the_table_says() {
    for (name, text, expected) in OFFERS {
        let offer = parse(text);
        let local = if offer.is_ipv6() { local6() } else { local() };
        let got = match answer(&offer, &local) {
            Ok((session, agreed)) => {
                assert_eq!(session.media.len(), offer.media.len(), "{name}");
                agreed.why
            }
            Err(refusal) => refusal.to_string(),
        };
        assert_eq!(got, *expected, "{name}");
    }
}

#[test]
fn an_answer_is_printed_whole() {
    let (session, agreed) = answered(CISCO);
    let expected = "v=0\r\no=- 77 1 IN IP4 192.0.2.7\r\ns=-\r\nc=IN IP4 192.0.2.7\r\nt=0 0\r\n\
        m=audio 40000 RTP/AVP 0 8 101\r\n\
        a=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\n\
        a=fmtp:101 0-15\r\na=ptime:20\r\na=sendrecv\r\n";
    assert_eq!(session.to_string(), expected);
    assert_eq!(agreed.remote, Some(addr("198.51.100.20:16466")));
    assert_eq!(agreed.remote_rtcp, Some(addr("198.51.100.20:16467")));
    assert_eq!((agreed.send_digits, agreed.receive_digits), (Some(Digits::narrow(101)), vec![Digits::narrow(101)]));
}

#[test]
fn lines_that_are_not_taken_keep_kind_protocol_and_formats() {
    let (session, agreed) = answered(VIDEO_FAX_AND_TWO_AUDIOS);
    let lines: Vec<String> = session.media.iter().map(|m| m.to_string().lines().next().unwrap().to_owned()).collect();
    let expected = [
        "m=video 0 RTP/AVP 96 97",
        "m=audio 0 RTP/SAVP 0 8",
        "m=audio 40000 RTP/AVP 8",
        "m=image 0 udptl t38",
        "m=audio 0 RTP/AVP 0",
        "m=application 0 UDP/DTLS/SCTP webrtc-datachannel",
    ];
    assert_eq!(lines, expected);
    assert_eq!(agreed.media_index, 2);
}

#[test]
fn the_answer_keeps_the_offerers_order_and_numbers() {
    let (session, agreed) = answered(&audio("9 8 100 0", "a=rtpmap:100 telephone-event/8000\r\n"));
    assert_eq!(session.media[0].formats, ["8", "0", "100"]);
    assert_eq!(agreed.send, Some((8, Codec::Pcma)));
    assert_eq!(agreed.receive, [(8, Codec::Pcma), (0, Codec::Pcmu)]);
    let only_ulaw = Local { codecs: vec![Codec::Pcmu], ..local() };
    let (session, _) = answer(&parse(&audio("9 8 0", "")), &only_ulaw).unwrap();
    assert_eq!(session.media[0].formats, ["0"]);
}

#[test]
fn rtpmap_wins_over_the_static_meaning_of_a_number() {
    let text = audio("0 96 8", "a=rtpmap:0 opus/48000/2\r\na=rtpmap:96 pcma/8000\r\na=rtpmap:8 PCMA/8000\r\n");
    let (session, agreed) = answered(&text);
    assert_eq!(agreed.receive, [(96, Codec::Pcma)], "the first of two numbers for one codec");
    assert_eq!(session.media[0].formats, ["96"]);
    let stereo = audio("97", "a=rtpmap:97 PCMU/8000/2\r\n");
    assert!(matches!(answer(&parse(&stereo), &local()), Err(Refusal::NoCommonCodec { .. })));
    let wideband = audio("97", "a=rtpmap:97 PCMU/16000\r\n");
    assert!(matches!(answer(&parse(&wideband), &local()), Err(Refusal::NoCommonCodec { .. })));
}

#[test]
fn digits_alone_are_no_common_codec_and_need_our_clock() {
    let text = audio("18 101", "a=rtpmap:101 telephone-event/8000\r\n");
    let refusal = answer(&parse(&text), &local()).unwrap_err();
    assert_eq!(refusal, Refusal::NoCommonCodec { offered: "G729".into() });
    let text = audio("0 110 101", "a=rtpmap:110 telephone-event/48000\r\na=rtpmap:101 telephone-event/8000\r\n");
    assert_eq!(answered(&text).1.send_digits, Some(Digits::narrow(101)));
    let text = audio("0 110", "a=rtpmap:110 telephone-event/48000\r\n");
    assert_eq!(answered(&text).1.send_digits, None);
}

#[test]
fn packet_length_follows_the_wish_that_can_be_met() {
    let ptime = |attributes: &str| answered(&audio("0", attributes)).1.ptime;
    assert_eq!(ptime(""), 20);
    assert_eq!(ptime("a=ptime:30\r\n"), 30);
    assert_eq!(ptime("a=ptime:60\r\n"), 60);
    assert_eq!(ptime("a=ptime:10\r\n"), 10);
    for odd in ["0", "5", "25", "70", "65535", "70000", "x"] {
        assert_eq!(ptime(&format!("a=ptime:{odd}\r\n")), 20, "{odd}");
    }
    assert_eq!(ptime("a=ptime:60\r\na=maxptime:40\r\n"), 40);
    assert_eq!(ptime("a=ptime:60\r\na=maxptime:45\r\n"), 40);
    assert_eq!(ptime("a=maxptime:150\r\n"), 20);
    assert_eq!(ptime("a=maxptime:5\r\n"), 10, "the least we can");
    let longest = |attributes: &str| answered(&audio("0", attributes)).1.longest;
    assert_eq!([longest(""), longest("a=maxptime:20\r\n"), longest("a=maxptime:5\r\n")], [None, Some(20), Some(10)]);
    assert_eq!(longest("a=maxptime:40000\r\n"), Some(255));
    let (session, agreed) = answer(&parse(&audio("0", "")), &Local { ptime: 40, ..local() }).unwrap();
    assert_eq!((session.media[0].ptime, agreed.ptime), (Some(40), 40));
}

#[test]
fn directions_answer_each_other() {
    use Direction::*;
    let table = [
        ("", SendRecv, SendRecv),
        ("a=sendrecv\r\n", SendRecv, SendRecv),
        ("a=sendonly\r\n", SendRecv, RecvOnly),
        ("a=recvonly\r\n", SendRecv, SendOnly),
        ("a=inactive\r\n", SendRecv, Inactive),
        ("a=sendrecv\r\n", SendOnly, SendOnly),
        ("a=sendonly\r\n", SendOnly, Inactive),
        ("a=recvonly\r\n", Inactive, Inactive),
    ];
    for (theirs, ours, expected) in table {
        let local = Local { direction: ours, ..local() };
        let (session, agreed) = answer(&parse(&audio("0", theirs)), &local).unwrap();
        assert_eq!(agreed.direction, expected, "{theirs} {ours:?}");
        assert_eq!(session.media[0].direction, Some(expected));
    }
}

#[test]
fn a_direction_of_the_session_holds_where_the_line_has_none() {
    let with = |line: &str| audio("0", line).replace("t=0 0\r\n", "t=0 0\r\na=sendonly\r\n");
    assert_eq!(answered(&with("")).1.direction, Direction::RecvOnly);
    assert_eq!(answered(&with("a=sendrecv\r\n")).1.direction, Direction::SendRecv);
}

#[test]
fn hold_and_resume_by_direction_keeps_the_address() {
    let (_, first) = answered(CISCO);
    let (session, held) = answered(&CISCO.replace("a=sendrecv", "a=sendonly"));
    assert_eq!(session.media[0].direction, Some(Direction::RecvOnly));
    assert_eq!((held.remote, held.direction), (first.remote, Direction::RecvOnly));
    let (_, resumed) = answered(CISCO);
    assert_eq!(resumed, first);
}

#[test]
fn hold_and_resume_by_address_sends_nothing_meanwhile() {
    let plain = audio("0", "");
    let (session, held) = answered(&plain.replace("c=IN IP4 198.51.100.1", "c=IN IP4 0.0.0.0"));
    assert_eq!((held.remote, held.remote_rtcp, held.direction), (None, None, Direction::RecvOnly));
    assert_eq!(session.media[0].port, 40000);
    let inactive = audio("0", "a=recvonly\r\n").replace("c=IN IP4 198.51.100.1", "c=IN IP4 0.0.0.0");
    assert_eq!(answered(&inactive).1.direction, Direction::Inactive);
    let (_, resumed) = answered(&plain);
    assert_eq!((resumed.remote, resumed.direction), (Some(addr("198.51.100.1:5004")), Direction::SendRecv));
    let held6 = plain.replace("c=IN IP4 198.51.100.1", "c=IN IP6 ::");
    assert_eq!(answer(&parse(&held6), &local6()).unwrap().1.remote, None);
}

#[test]
fn the_lines_address_wins_over_the_sessions() {
    let (_, agreed) = answered(&audio("0", "c=IN IP4 198.51.100.99\r\n"));
    assert_eq!(agreed.remote, Some(addr("198.51.100.99:5004")));
    let without_session = audio("0", "c=IN IP4 198.51.100.99\r\n").replace("c=IN IP4 198.51.100.1\r\n", "");
    assert_eq!(answered(&without_session).1.remote, Some(addr("198.51.100.99:5004")));
}

#[test]
fn addresses_that_cannot_be_sent_to_are_refused() {
    let refusal = |address: &str| {
        let text = audio("0", "").replace("c=IN IP4 198.51.100.1", address);
        answer(&parse(&text), &local()).unwrap_err().to_string()
    };
    assert_eq!(refusal("x=none"), "the connection address cannot be used: none");
    assert_eq!(refusal("c=IN IP4 pbx.example.com"), "the connection address cannot be used: pbx.example.com");
    assert_eq!(refusal("c=IN IP4 a\"b\\"), "the connection address cannot be used: ab", "fit for a quoted string");
    assert_eq!(refusal("c=IN IP4 224.2.1.1/127"), "the connection address cannot be used: 224.2.1.1");
    assert_eq!(refusal("c=IN IP4 255.255.255.255"), "the connection address cannot be used: 255.255.255.255");
    let other = "media is at 2001:db8::1, ours at 192.0.2.7: not the same IP version";
    assert_eq!(refusal("c=IN IP6 2001:db8::1"), other);
}

#[test]
fn an_answer_has_the_family_of_our_address() {
    let text = audio("0", "").replace("c=IN IP4 198.51.100.1", "c=IN IP6 2001:db8::1");
    assert!(parse(&text).is_ipv6());
    let (session, agreed) = answer(&parse(&text), &local6()).unwrap();
    assert!(session.to_string().contains("c=IN IP6 2001:db8::7\r\n"));
    assert_eq!(agreed.remote, Some(addr("[2001:db8::1]:5004")));
}

#[test]
fn rtcp_goes_where_the_attribute_says_else_one_port_above() {
    let rtcp = |attribute: &str| answered(&audio("0", attribute)).1.remote_rtcp;
    assert_eq!(rtcp(""), Some(addr("198.51.100.1:5005")));
    assert_eq!(rtcp("a=rtcp:6000\r\n"), Some(addr("198.51.100.1:6000")));
    assert_eq!(rtcp("a=rtcp:6000 IN IP4 198.51.100.5\r\n"), Some(addr("198.51.100.5:6000")));
    assert_eq!(rtcp("a=rtcp:0\r\n"), None);
    assert_eq!(rtcp("a=rtcp:6000 IN IP4 nowhere\r\n"), None);
    let last = audio("0", "").replace("5004", "65535");
    assert_eq!(answered(&last).1.remote_rtcp, None);
}

// ---- offering

#[test]
fn our_offer_is_printed_whole() {
    let expected = "v=0\r\no=- 77 1 IN IP4 192.0.2.7\r\ns=-\r\nc=IN IP4 192.0.2.7\r\nt=0 0\r\n\
        m=audio 40000 RTP/AVP 0 8 101\r\n\
        a=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\n\
        a=fmtp:101 0-15\r\na=ptime:20\r\na=sendrecv\r\n";
    assert_eq!(offer(&local()).to_string(), expected);
    assert!(offer(&local6()).to_string().contains("c=IN IP6 2001:db8::7\r\n"));
}

#[test]
fn a_late_offer_is_accepted_from_the_ack() {
    // INVITE without a description: our offer is in the 200, the answer in the ACK.
    let offered = offer(&local());
    let agreed = accept(&offered, &parse(&audio("8", "a=ptime:30\r\n")), &local()).unwrap();
    assert_eq!(agreed.send, Some((8, Codec::Pcma)));
    assert_eq!(agreed.receive, [(8, Codec::Pcma)]);
    assert_eq!((agreed.send_digits, agreed.receive_digits), (None, vec![]));
    assert_eq!((agreed.ptime, agreed.direction), (30, Direction::SendRecv));
    assert_eq!(agreed.why, "PCMA under 8, the first we speak of PCMA; no digits; 30 ms, we sendrecv");
}

#[test]
fn each_side_receives_under_its_own_numbers() {
    let text = audio("96 97", "a=rtpmap:96 PCMU/8000\r\na=rtpmap:97 telephone-event/8000\r\n");
    let agreed = accept(&offer(&local()), &parse(&text), &local()).unwrap();
    assert_eq!((agreed.send, &agreed.receive[..]), (Some((96, Codec::Pcmu)), &[(0, Codec::Pcmu)][..]));
    assert_eq!((agreed.send_digits, agreed.receive_digits), (Some(Digits::narrow(97)), vec![Digits::narrow(101)]));
}

#[test]
fn an_answer_that_takes_nothing_is_refused() {
    let refusal = |text: &str| accept(&offer(&local()), &parse(text), &local()).unwrap_err();
    assert!(matches!(refusal("v=0\r\n"), Refusal::NoAudio { .. }));
    let zero = audio("0", "").replace("5004", "0");
    assert_eq!(refusal(&zero).to_string(), "no audio over plain RTP: m-line 1 (audio with port 0)");
    let secure = audio("0", "").replace("RTP/AVP", "RTP/SAVP");
    assert_eq!(refusal(&secure).to_string(), "no audio over plain RTP: m-line 1 (audio over RTP/SAVP)");
    assert_eq!(refusal(&audio("9", "")), Refusal::NoCommonCodec { offered: "G722".into() });
    let only_ulaw = Local { codecs: vec![Codec::Pcmu], ..local() };
    let refusal = accept(&offer(&only_ulaw), &parse(&audio("8", "")), &local()).unwrap_err();
    assert_eq!(refusal, Refusal::NoCommonCodec { offered: "PCMA".into() }, "not what we offered");
}

#[test]
fn our_hold_is_seen_in_what_we_agree_on() {
    let held = Local { direction: Direction::SendOnly, ..local() };
    let agreed = accept(&offer(&held), &parse(&audio("0", "a=recvonly\r\n")), &held).unwrap();
    assert_eq!(agreed.direction, Direction::SendOnly);
    let agreed = accept(&offer(&held), &parse(&audio("0", "")), &held).unwrap();
    assert_eq!(agreed.direction, Direction::SendOnly, "a peer that overlooks our hold is held all the same");
    let agreed = accept(&offer(&local()), &parse(&audio("0", "a=inactive\r\n")), &local()).unwrap();
    assert_eq!(agreed.direction, Direction::Inactive);
}

#[test]
fn a_new_offer_keeps_lines_and_numbers_and_counts_on() {
    let text = VIDEO_FAX_AND_TWO_AUDIOS
        .replace("RTP/AVP 8\r\n", "RTP/AVP 96 97\r\na=rtpmap:96 PCMA/8000\r\na=rtpmap:97 telephone-event/8000\r\n");
    let (first, agreed) = answered(&text);
    let again = reoffer(&Local { version: 2, direction: Direction::SendOnly, ..local() }, &agreed);
    assert_eq!((again.origin.session_id, again.origin.version), (77, 2));
    assert_eq!(again.media.len(), first.media.len());
    let audio = &again.media[2];
    assert_eq!(audio.formats, ["96", "0", "97"], "the codec in use first, another one offered anew, digits as before");
    assert_eq!(audio.direction, Some(Direction::SendOnly));
    for (at, line) in again.media.iter().enumerate().filter(|(at, _)| *at != 2) {
        assert_eq!(line, &first.media[at]);
    }
}

#[test]
fn a_new_offer_after_ours_was_accepted_can_be_accepted_again() {
    let answer = parse(&audio("96 97", "a=rtpmap:96 PCMA/8000\r\na=rtpmap:97 telephone-event/8000\r\n"));
    let agreed = accept(&offer(&local()), &answer, &local()).unwrap();
    let next = Local { version: 2, ..local() };
    let again = reoffer(&next, &agreed);
    assert_eq!(again.media[0].formats, ["8", "0", "101"], "our numbers, the codec in use first");
    assert_eq!(accept(&again, &answer, &next).unwrap().send, agreed.send);
}

#[test]
fn opus_is_named_with_two_channels_and_its_wishes_are_heard() {
    let wide = Local { codecs: vec![Codec::G722, Codec::Opus, Codec::Pcmu], ..local() };
    let offered = offer(&wide).to_string();
    assert!(offered.contains("m=audio 40000 RTP/AVP 9 111 0 101 110\r\n"), "{offered}");
    for line in
        ["rtpmap:9 G722/8000", "rtpmap:111 opus/48000/2", "fmtp:111 useinbandfec=1", "rtpmap:110 telephone-event/48000"]
    {
        assert!(offered.contains(&format!("a={line}\r\n")), "{line}");
    }
    let theirs = audio(
        "96 0 97 101",
        "a=rtpmap:96 opus/48000/2\r\na=fmtp:96 minptime=10; useinbandfec=1;usedtx=1; maxaveragebitrate=20000;maxplaybackrate=16000\r\n\
         a=rtpmap:97 telephone-event/48000\r\na=rtpmap:101 telephone-event/8000\r\n",
    );
    let (session, agreed) = answer(&parse(&theirs), &wide).unwrap();
    assert_eq!(session.media[0].formats, ["96", "0", "97", "101"]);
    assert_eq!(agreed.send, Some((96, Codec::Opus)));
    assert_eq!(agreed.send_digits, Some(Digits { number: 97, clock: 48_000 }));
    let wish = OpusWish { fec: true, dtx: true, bitrate: Some(20_000), rate: Rate::Wide };
    assert_eq!(agreed.opus, wish);
    let mono = audio("96", "a=rtpmap:96 opus/48000\r\n");
    assert!(answer(&parse(&mono), &wide).is_err(), "RFC 7587 section 7: always two");
}

#[test]
fn comfort_noise_is_taken_where_it_is_offered() {
    let (session, agreed) = answered(&audio("0 13", ""));
    assert_eq!((session.media[0].formats.join(" "), agreed.comfort), ("0 13".to_owned(), Some(13)));
    assert_eq!(agreed.send_comfort, None, "it is taken, and not sent");
    assert_eq!(answered(&audio("0", "")).1.comfort, None);
}

#[test]
fn comfort_noise_is_offered_and_sent_only_where_we_want_it_and_the_codec_has_its_clock() {
    let wants = Local { comfort: true, codecs: vec![Codec::Opus, Codec::Pcmu], ..local() };
    let ours = offer(&wants);
    assert!(ours.media[0].formats.contains(&"13".to_owned()) && ours.to_string().contains("a=rtpmap:13 CN/8000\r\n"));
    assert!(!offer(&local()).media[0].formats.contains(&"13".to_owned()));
    let only_opus = Local { codecs: vec![Codec::Opus], ..wants.clone() };
    assert!(!offer(&only_opus).media[0].formats.contains(&"13".to_owned()));
    let opus = "a=rtpmap:111 opus/48000/2\r\n";
    for (theirs, taken, sent) in [("0 13", Some(13), Some(13)), ("0", None, None), ("111 0 13", Some(13), None)] {
        let agreed = accept(&ours, &parse(&audio(theirs, opus)), &wants).unwrap();
        assert_eq!((agreed.comfort, agreed.send_comfort), (taken, sent), "{theirs}");
        let (_, agreed) = answer(&parse(&audio(theirs, opus)), &wants).unwrap();
        assert_eq!((agreed.comfort, agreed.send_comfort), (taken, sent), "{theirs}");
        let again = reoffer(&wants, &agreed);
        assert_eq!(again.media[0].formats.iter().filter(|format| *format == "13").count(), 1, "{theirs}");
    }
}

#[test]
fn a_format_that_is_only_passed_on_is_taken_where_nothing_else_is_and_offered_to_the_other_side() {
    let local = Local { relayed: vec!["G729".into()], ..local() };
    let text = audio("18 101", "a=fmtp:18 annexb=no\r\na=rtpmap:101 telephone-event/8000\r\n");
    let (session, agreed) = answer(&parse(&text), &local).unwrap();
    assert_eq!(session.media[0].formats, ["18", "101"]);
    assert!(session.to_string().contains("a=rtpmap:18 G729/8000\r\n") && session.to_string().contains("annexb=no"));
    assert_eq!((agreed.send, agreed.receive.len(), agreed.foreign[0].1), (None, 0, 18));
    assert_eq!(agreed.why, "G729 under 18, only passed on, of G729; digits under 101; 20 ms, we sendrecv");
    let with_ours = answer(&parse(&audio("18 0", "")), &local).unwrap().1;
    assert_eq!((with_ours.send, with_ours.foreign), (Some((0, Codec::Pcmu)), vec![]));

    let onward = Local { formats: parse(&text).formats(&local.relayed), ..local.clone() };
    let offered = offer(&onward);
    assert_eq!(offered.media[0].formats, ["18", "101"], "nothing that would have to be decoded");
    let theirs = parse(&audio("97", "a=rtpmap:97 G729/8000\r\n"));
    let agreed = accept(&offered, &theirs, &onward).unwrap();
    assert_eq!((agreed.foreign[0].0.number, agreed.foreign[0].1), (97, 18), "their number out, ours in");
    assert!(accept(&offered, &parse(&audio("0", "")), &onward).is_err());
    assert_eq!(reoffer(&onward, &agreed).media[0].formats, ["18", "101"]);
}

// ---- anything at all

/// A real offer or answer with pieces changed, doubled or taken away.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let change = (any::<prop::sample::Index>(), 0..4_u8, any::<u8>(), 0..40_usize);
    (0..OFFERS.len(), prop::collection::vec(change, 0..8)).prop_map(|(which, changes)| {
        let mut text = OFFERS[which].1.as_bytes().to_vec();
        for (at, how, byte, length) in changes {
            if text.is_empty() {
                break;
            }
            let at = at.index(text.len());
            let end = (at + length).min(text.len());
            match how {
                0 => text[at] = byte,
                1 => drop(text.drain(at..end)),
                2 => {
                    text.splice(at..at, b"0123456789 \r\n=:/"[usize::from(byte % 16)..].iter().copied()).for_each(drop)
                }
                _ => {
                    let piece = text[at..end].to_vec();
                    text.splice(at..at, piece).for_each(drop);
                }
            }
        }
        text
    })
}

fn check_any(bytes: &[u8]) -> Result<(), TestCaseError> {
    let Ok(session) = Session::parse(bytes) else { return Ok(()) };
    let printed = session.to_string();
    prop_assert_eq!(Session::parse(printed.as_bytes()), Ok(session.clone()));
    let _ = accept(&offer(&local()), &session, &local());
    let local = if session.is_ipv6() { local6() } else { local() };
    let Ok((reply, agreed)) = answer(&session, &local) else { return Ok(()) };
    prop_assert_eq!(reply.media.len(), session.media.len());
    let taken: Vec<usize> = (0..reply.media.len()).filter(|at| reply.media[*at].port != 0).collect();
    prop_assert_eq!(taken, vec![agreed.media_index]);
    prop_assert_eq!(Session::parse(reply.to_string().as_bytes()), Ok(reply));
    let (number, codec) = agreed.send.expect("nothing is only passed on");
    prop_assert!(agreed.receive.contains(&(number, codec)));
    prop_assert!((10..=60).contains(&agreed.ptime) && agreed.ptime.is_multiple_of(10));
    prop_assert!(!agreed.why.contains(['\r', '\n', '"']));
    let again = reoffer(&local, &agreed);
    prop_assert_eq!(again.media.len(), session.media.len());
    prop_assert!(again.media[agreed.media_index].formats.contains(&number.to_string()));
    // Another of us answers the new offer, and we understand it.
    let (answered, theirs) = answer(&again, &local).expect("our own offers are plain audio");
    prop_assert_eq!(answered.media.len(), again.media.len());
    let ours = accept(&again, &answered, &local).expect("our own answers are plain audio");
    prop_assert_eq!((ours.send, ours.media_index), (agreed.send, agreed.media_index));
    prop_assert_eq!(
        (ours.send, ours.receive, ours.receive_digits),
        (theirs.send, theirs.receive, theirs.receive_digits)
    );
    Ok(())
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        fuzz::sdp(&bytes);
        check_any(&bytes)?;
        check_any(&[b"v=0\n", &bytes[..]].concat())?;
    }

    #[test]
    fn a_changed_description_never_panics_and_its_answer_has_a_line_for_each(bytes in mutated()) {
        fuzz::sdp(&bytes);
        check_any(&bytes)?;
    }

    #[test]
    fn any_mix_of_lines_is_answered_line_by_line(
        lines in prop::collection::vec(prop::sample::select(LINES), 1..20),
    ) {
        check_any(format!("v=0\r\nc=IN IP4 198.51.100.1\r\n{}\r\n", lines.join("\r\n")).as_bytes())?;
    }
}
