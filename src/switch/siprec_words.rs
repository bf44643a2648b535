//! What a recorder is told in words: who takes part in the call and which line is whose (RFC 7865), beside the
//! description of the media (RFC 7866 section 6.1.1).

use std::fmt::Write;

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::lamps::escaped;
use crate::time::civil;

/// Who takes part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Party {
    /// Its address.
    pub address: String,
    /// As people know it.
    pub name: String,
}

/// Session, the two parties, their two streams: numbers that nobody else has.
pub(super) type Ids = [[u64; 2]; 5];

/// The two parts of an INVITE's body: Content-Type, and the body itself.
pub(super) fn parts(name: &str, description: &[u8], metadata: &str) -> (String, Vec<u8>) {
    // Neither part is anybody else's text without being escaped, and no line of either begins so.
    let boundary = format!("switchhook-{name}");
    let mut body = format!("--{boundary}\r\nContent-Type: application/sdp\r\n\r\n").into_bytes();
    body.extend_from_slice(description);
    let head = "Content-Type: application/rs-metadata+xml\r\nContent-Disposition: recording-session";
    body.extend_from_slice(format!("\r\n--{boundary}\r\n{head}\r\n\r\n{metadata}\r\n--{boundary}--\r\n").as_bytes());
    (format!("multipart/mixed;boundary=\"{boundary}\""), body)
}

/// All that is known when the recording begins, at `unix` seconds since 1970: the first party says what line 1 has, and
/// hears what line 2 has.
pub(super) fn metadata(parties: &[Party; 2], unix: u64, ids: &Ids) -> String {
    let [session, first, second, one, two] = ids.map(uuid);
    let time = moment(unix);
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n");
    let participants = [(first, &one, &two), (second, &two, &one)];
    // Writing to a string cannot fail.
    let _ = write!(
        xml,
        "<recording xmlns=\"urn:ietf:params:xml:ns:recording:1\">\r\n<datamode>complete</datamode>\r\n\
         <session session_id=\"{session}\">\r\n<start-time>{time}</start-time>\r\n</session>\r\n"
    );
    for (party, (id, ..)) in parties.iter().zip(&participants) {
        let (address, name) = (escaped(&party.address), escaped(&party.name));
        let _ = write!(
            xml,
            "<participant participant_id=\"{id}\">\r\n<nameID aor=\"{address}\">\r\n<name xml:lang=\"en\">{name}</name>\r\n\
             </nameID>\r\n</participant>\r\n"
        );
    }
    for (stream, label) in [(&one, 1), (&two, 2)] {
        let _ = write!(
            xml,
            "<stream stream_id=\"{stream}\" session_id=\"{session}\">\r\n<label>{label}</label>\r\n</stream>\r\n"
        );
    }
    for (id, ..) in &participants {
        let _ = write!(
            xml,
            "<participantsessionassoc participant_id=\"{id}\" session_id=\"{session}\">\r\n\
             <associate-time>{time}</associate-time>\r\n</participantsessionassoc>\r\n"
        );
    }
    for (id, send, receive) in &participants {
        let _ = write!(
            xml,
            "<participantstreamassoc participant_id=\"{id}\">\r\n<send>{send}</send>\r\n<recv>{receive}</recv>\r\n\
             </participantstreamassoc>\r\n"
        );
    }
    xml.push_str("</recording>\r\n");
    xml
}

/// A version 4 UUID as the metadata has it: its bytes in base 64 (RFC 7865 section 7).
fn uuid([high, low]: [u64; 2]) -> String {
    let high = high & !0xf000 | 0x4000;
    let low = low & !(0b11 << 62) | 1 << 63;
    STANDARD.encode([high.to_be_bytes(), low.to_be_bytes()].concat())
}

/// `2026-08-01T12:00:00Z`.
fn moment(unix: u64) -> String {
    let (year, month, day) = civil(unix);
    let (hour, minute, second) = (unix / 3600 % 24, unix / 60 % 60, unix % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_metadata_say_who_says_what() {
        let party = |address: &str, name: &str| Party { address: address.into(), name: name.into() };
        let parties = [party("sip:anna@phone", "Anna <\"&\">"), party("sip:100@192.0.2.1", "100")];
        let xml = metadata(&parties, 1_767_225_599, &[[1, 1], [2, 2], [3, 3], [4, 4], [5, 5]]);
        assert!(xml.contains("<start-time>2025-12-31T23:59:59Z</start-time>"));
        assert!(xml.contains("aor=\"sip:anna@phone\"") && !xml.contains("<\"&\">"), "{xml}");
        let of = |n: u64| uuid([n, n]);
        let said = format!(
            "<participantstreamassoc participant_id=\"{}\">\r\n<send>{}</send>\r\n<recv>{}</recv>",
            of(2),
            of(4),
            of(5)
        );
        assert!(xml.contains(&said), "{xml}");
        assert!(xml.contains(&format!(
            "<stream stream_id=\"{}\" session_id=\"{}\">\r\n<label>1</label>",
            of(4),
            of(1)
        )));
    }

    #[test]
    fn the_body_has_two_parts_between_lines_that_neither_has() {
        let (kind, body) = parts("7-1", b"v=0\r\n", "<x/>");
        assert_eq!(kind, "multipart/mixed;boundary=\"switchhook-7-1\"");
        let text = String::from_utf8(body).unwrap();
        let parts: Vec<&str> = text.split("--switchhook-7-1").collect();
        assert_eq!(parts[0], "");
        assert_eq!(parts[1], "\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n\r\n");
        assert!(parts[2].ends_with("\r\n\r\n<x/>\r\n") && parts[3] == "--\r\n" && parts.len() == 4);
    }

    #[test]
    fn names_are_uuids_of_the_random_kind() {
        let bytes = STANDARD.decode(uuid([u64::MAX, 0])).unwrap();
        assert_eq!((bytes.len(), bytes[6] >> 4, bytes[8] >> 6), (16, 4, 2));
    }
}
