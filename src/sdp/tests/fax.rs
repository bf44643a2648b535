//! Descriptions of faxes: T.38 annex D.

use super::*;

const OFFER: &str = "v=0\r\no=gw 1 2 IN IP4 198.51.100.1\r\ns=-\r\nc=IN IP4 198.51.100.1\r\nt=0 0\r\n\
                     m=audio 0 RTP/AVP 0\r\nm=image 4444 udptl t38\r\na=T38FaxVersion:0\r\na=T38MaxBitRate:14400\r\n\
                     a=T38FaxFillBitRemoval\r\na=T38FaxRateManagement:transferredTCF\r\na=T38FaxMaxBuffer:262\r\n\
                     a=T38FaxUdpEC:t38UDPRedundancy\r\n";

fn fax(text: &str) -> Result<Fax, Refusal> {
    Fax::of(&parse(text), "192.0.2.7".parse().unwrap())
}

#[test]
fn a_fax_is_told_to_the_other_side_as_it_stands_with_our_address() {
    let session = parse(OFFER);
    assert!(session.is_fax());
    let theirs = fax(OFFER).unwrap();
    assert_eq!(theirs.remote, addr("198.51.100.1:4444"));
    let (_, agreed) = answered(&audio("0", ""));
    let offer = fax_offer(&agreed, &theirs, &local()).to_string();
    let said = OFFER.split_once("udptl t38\r\n").unwrap().1;
    assert!(offer.ends_with(&format!("m=image 40000 udptl t38\r\n{said}")), "in the place of the audio: {offer}");
    assert_eq!(offer.matches("m=").count(), 1);

    let answer = "v=0\r\no=- 1 1 IN IP4 203.0.113.1\r\ns=-\r\nc=IN IP4 203.0.113.1\r\nt=0 0\r\n\
                  m=image 7000 udptl t38\r\na=T38FaxVersion:0\r\na=T38MaxBitRate:9600\r\n";
    let answer = fax_answer(&session, &fax(answer).unwrap(), &local()).to_string();
    let lines = "m=audio 0 RTP/AVP 0\r\nm=image 40000 udptl t38\r\na=T38FaxVersion:0\r\na=T38MaxBitRate:9600\r\n";
    assert!(answer.ends_with(lines), "{answer}");
}

#[test]
fn audio_comes_back_in_its_place_and_the_line_of_the_fax_stays_empty() {
    let (_, mut agreed) = answered(&audio("0", ""));
    let theirs = fax(OFFER).unwrap();
    let in_place = fax_offer(&agreed, &theirs, &local());
    agreed.keep_lines(&in_place);
    let again = reoffer(&local(), &agreed).to_string();
    assert!(again.contains("m=audio 40000 RTP/AVP 0 ") && !again.contains("image"), "{again}");

    agreed.keep_lines(&fax_answer(&parse(OFFER), &theirs, &local()));
    let again = reoffer(&local(), &agreed).to_string();
    let lines: Vec<&str> = again.lines().filter(|line| line.starts_with("m=")).collect();
    assert!(lines[0].starts_with("m=audio 40000 RTP/AVP 0 "), "{again}");
    assert_eq!(lines[1..], ["m=image 0 udptl t38"]);
}

#[test]
fn a_fax_that_comes_first_is_offered_alone_or_beside_audio_and_audio_finds_a_line_after_it() {
    let theirs = fax(OFFER).unwrap();
    let alone = fax_invitation(&theirs, &local(), true);
    assert!(alone.is_fax() && alone.media.len() == 1);
    let beside = fax_invitation(&theirs, &local(), false);
    assert!(beside.has_fax() && !beside.is_fax());
    let text = beside.to_string();
    let lines: Vec<&str> = text.lines().filter(|line| line.starts_with("m=")).collect();
    assert_eq!(lines, ["m=audio 40000 RTP/AVP 0 8 101", "m=image 40000 udptl t38"]);

    let first = |session: &Session| {
        let agreed = Agreed::of_fax(session, &theirs, &local());
        let again = reoffer(&local(), &agreed).to_string();
        let during = fax_offer(&agreed, &theirs, &local()).to_string();
        [again, during].map(|text| text.lines().filter(|line| line.starts_with("m=")).collect::<Vec<_>>().join("|"))
    };
    assert_eq!(first(&alone), ["m=audio 40000 RTP/AVP 0 8 101", "m=image 40000 udptl t38"]);
    assert_eq!(
        first(&beside),
        ["m=audio 40000 RTP/AVP 0 8 101|m=image 0 udptl t38", "m=audio 0 RTP/AVP 0 8 101|m=image 40000 udptl t38"]
    );
}

#[test]
fn audio_wins_where_both_are_offered_and_what_is_no_fax_of_ours_is_none() {
    assert!(!parse(&OFFER.replace("m=audio 0", "m=audio 4000")).is_fax());
    assert!(!parse(&OFFER.replace("m=image 4444", "m=image 0")).is_fax());
    assert!(!parse(&OFFER.replace("udptl", "RTP/AVP")).is_fax());
    let refused = |from: &str, to: &str| fax(&OFFER.replace(from, to)).unwrap_err().to_string();
    assert_eq!(refused("m=image 4444", "m=image 0"), "no fax over UDPTL: audio with port 0, image with port 0");
    assert_eq!(refused("c=IN IP4 198.51.100.1", "c=IN IP4 0.0.0.0"), "the connection address cannot be used: 0.0.0.0");
    assert!(refused("c=IN IP4 198.51.100.1", "c=IN IP6 2001:db8::1").contains("not the same IP version"));
}

#[test]
fn strange_attributes_neither_grow_without_end_nor_break_a_line() {
    let long = format!("{OFFER}{}", format!("a=T38Odd:{}\u{1}x\r\n", "y".repeat(1000)).repeat(50));
    let printed = fax_offer(&answered(&audio("0", "")).1, &fax(&long).unwrap(), &local()).to_string();
    assert!(printed.len() < 6000 && !printed.contains('\u{1}'), "{}", printed.len());
    fuzz::sdp(long.as_bytes());
}
