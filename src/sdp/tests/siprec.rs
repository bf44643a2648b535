//! Descriptions of recording sessions.

use super::*;

fn locals() -> [Local; 2] {
    [40_000, 40_002].map(|port| Local {
        address: ([192, 0, 2, 7], port).into(),
        direction: Direction::SendOnly,
        ..local()
    })
}

#[test]
fn two_labelled_lines_are_offered_which_only_we_send() {
    let text = offer_both(&locals()).to_string();
    let lines: Vec<&str> =
        text.lines().filter(|line| line.starts_with("m=") || line.contains("label") || *line == "a=sendonly").collect();
    assert_eq!(
        lines,
        [
            "m=audio 40000 RTP/AVP 0 8 101",
            "a=label:1",
            "a=sendonly",
            "m=audio 40002 RTP/AVP 0 8 101",
            "a=label:2",
            "a=sendonly"
        ]
    );
}

#[test]
fn a_recorder_may_take_both_or_one() {
    let (offer, text) = (offer_both(&locals()), audio("8", "a=recvonly\r\nm=audio 6000 RTP/AVP 0\r\na=recvonly\r\n"));
    let [first, second] = accept_both(&offer, &parse(&text), &locals());
    let (first, second) = (first.unwrap(), second.unwrap());
    assert_eq!((first.send, first.remote), (Some((8, Codec::Pcma)), Some(addr("198.51.100.1:5004"))));
    assert_eq!((second.send, second.remote), (Some((0, Codec::Pcmu)), Some(addr("198.51.100.1:6000"))));
    assert_eq!((first.direction, second.direction), (Direction::SendOnly, Direction::SendOnly));
    let [first, second] = accept_both(&offer, &parse(&text.replace("m=audio 6000", "m=audio 0")), &locals());
    assert!(first.is_ok() && second.is_err());
    let [first, second] = accept_both(&offer, &parse(&audio("0", "")), &locals());
    assert!(first.is_ok() && second.is_err(), "a line is missing");
}

#[test]
fn a_recorder_that_describes_its_lines_anew_is_answered_line_by_line() {
    let text = audio("8", "a=inactive\r\nm=audio 6000 RTP/AVP 0\r\na=recvonly\r\nm=audio 7000 RTP/AVP 0\r\n");
    let (ours, [first, second]) = answer_both(&parse(&text), &locals());
    let printed = ours.to_string();
    let lines: Vec<&str> = printed.lines().filter(|line| line.starts_with("m=") || line.contains("label")).collect();
    assert_eq!(
        lines,
        ["m=audio 40000 RTP/AVP 8", "a=label:1", "m=audio 40002 RTP/AVP 0", "a=label:2", "m=audio 0 RTP/AVP 0"]
    );
    assert_eq!((first.unwrap().direction, second.unwrap().direction), (Direction::Inactive, Direction::SendOnly));
    let (ours, [first, second]) = answer_both(&parse(&audio("0", "m=audio 0 RTP/AVP 0\r\n")), &locals());
    assert!(first.is_ok() && second.is_err() && ours.media[1].port == 0);
}
