//! The torture messages of RFC 4475 and RFC 5118, read from the folder that `SWITCHHOOK_VECTORS` names.
//!
//! For each: what reading it gives, and which layer has the last word with what.

use std::{env, fs, path::PathBuf};

use crate::sip::{Limits, Message, fuzz};

/// What reading a message gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// A message; the later layer decides.
    Parsed,
    /// Malformed, answered with this code at once.
    Refused(u16),
    /// Malformed, no answer possible or allowed.
    Dropped,
}

use Verdict::{Dropped, Parsed, Refused};

/// File, what reading gives, what comes of it and where (in brackets: the RFC allows either).
#[rustfmt::skip]
const RFC4475: [(&str, Verdict, &str); 50] = [
    ("wsinv",      Parsed,       "switch: 481, its To has a tag of no dialog of ours"),
    ("intmeth",    Refused(501), "read: 501"),
    ("esc01",      Parsed,       "stack: sips is none of ours here, a call all the same"),
    ("escnull",    Parsed,       "switch: 405, no registrar"),
    ("esc02",      Refused(501), "read: 501; %47 is no escape in a method"),
    ("lwsdisp",    Parsed,       "switch: 200 to OPTIONS"),
    ("longreq",    Parsed,       "switch: a call"),
    ("dblreq",     Parsed,       "switch: 405, no registrar; what follows the body is let go"),
    ("semiuri",    Parsed,       "switch: 200 to OPTIONS"),
    ("transports", Parsed,       "switch: 200 to OPTIONS"),
    ("mpart01",    Parsed,       "switch: 405 to MESSAGE"),
    ("unreason",   Parsed,       "stack: no such transaction, dropped"),
    ("noreason",   Parsed,       "stack: no such transaction, dropped"),
    ("badinv01",   Refused(400), "read: 400"),
    ("clerr",      Refused(400), "read: 400"),
    ("ncl",        Refused(400), "read: 400"),
    ("scalar02",   Refused(400), "read: 400 for the CSeq"),
    ("scalarlg",   Dropped,      "read: dropped"),
    ("quotbal",    Refused(400), "read: 400"),
    ("ltgtruri",   Refused(400), "read: 400 (or the brackets let go by)"),
    ("lwsruri",    Refused(400), "read: 400"),
    ("lwsstart",   Refused(400), "read: 400 (or liberal)"),
    ("trws",       Refused(400), "read: 400 (or liberal)"),
    ("escruri",    Refused(400), "read: 400 (or the headers let go by)"),
    ("baddate",    Parsed,       "switch: a call; Date is not looked at (or 400)"),
    ("regbadct",   Refused(400), "read: 400"),
    ("badaspec",   Refused(400), "read: 400 (or liberal)"),
    ("baddn",      Parsed,       "switch: 200 to OPTIONS, missing quotes inferred (or 400)"),
    ("badvers",    Refused(505), "read: 505"),
    ("mismatch01", Refused(400), "read: 400"),
    ("mismatch02", Refused(501), "read: 501 (or 400)"),
    ("bigcode",    Dropped,      "read: dropped"),
    ("badbranch",  Parsed,       "stack: matched as RFC 2543 does (or 400)"),
    ("insuf",      Refused(400), "read: 400"),
    ("unkscm",     Parsed,       "stack: 416"),
    ("novelsc",    Parsed,       "stack: 416"),
    ("unksm2",     Parsed,       "switch: 405, no registrar (a registrar: 400)"),
    ("bext01",     Parsed,       "stack: 420 with Unsupported"),
    ("invut",      Parsed,       "switch: 415"),
    ("regaut01",   Parsed,       "switch: 405, no registrar"),
    ("multi01",    Refused(400), "read: 400"),
    ("mcl01",      Refused(400), "read: 400; on a stream the connection is closed"),
    ("bcast",      Parsed,       "stack: no such transaction, dropped"),
    ("zeromf",     Parsed,       "stack: 483 (an endpoint may go on)"),
    ("cparam01",   Parsed,       "switch: 405, no registrar"),
    ("cparam02",   Parsed,       "switch: 405, no registrar"),
    ("regescrt",   Parsed,       "switch: 405, no registrar"),
    ("sdp01",      Parsed,       "switch: 406 (or 400)"),
    ("inv2543",    Parsed,       "stack: matched as RFC 2543 does; a call"),
    ("test",       Dropped,      "read: dropped, no SIP version; in the archive only, the RFC does not speak of it"),
];

#[rustfmt::skip]
const RFC5118: [(&str, Verdict, &str); 12] = [
    ("ipv6-good",                    Parsed,       "switch: 405, no registrar"),
    ("ipv6-bad",                     Refused(400), "read: 400"),
    ("port-ambiguous",               Parsed,       "switch: 405, no registrar; the port is part of the address"),
    ("port-unambiguous",             Parsed,       "switch: 405, no registrar"),
    ("via-received-param-with-delim", Parsed,      "switch: 481 to BYE"),
    ("via-received-param-no-delim",  Parsed,       "switch: 200 to OPTIONS"),
    ("ipv6-in-sdp",                  Parsed,       "switch: a call, or 488 where there is no common codec"),
    ("mult-ip-in-header",            Parsed,       "switch: 481 to BYE"),
    ("mult-ip-in-sdp",               Parsed,       "switch: a call"),
    ("ipv4-mapped-ipv6",             Parsed,       "switch: a call, or 488 where there is no common codec"),
    ("ipv6-bug-abnf-3-colons",       Parsed,       "switch: 200 to OPTIONS; three colons are taken as two"),
    ("ipv6-correct-abnf-2-colons",   Parsed,       "switch: 200 to OPTIONS"),
];

/// `None`: not asked for.
fn folder(name: &str) -> Option<PathBuf> {
    let Some(root) = env::var_os("SWITCHHOOK_VECTORS") else {
        println!("left out: SWITCHHOOK_VECTORS names no folder with {name}/");
        return None;
    };
    let folder = PathBuf::from(root).join(name);
    assert!(folder.is_dir(), "{} is missing", folder.display());
    Some(folder)
}

fn parse(bytes: &[u8]) -> (Verdict, String) {
    match Message::parse(bytes, &Limits { max_headers: 256, max_message: 65_535 }) {
        Ok(_) => (Parsed, String::new()),
        Err(malformed) => match malformed.answer {
            Some(answer) => (Refused(answer.code), malformed.what),
            None => (Dropped, malformed.what),
        },
    }
}

fn check(name: &str, suffix: &str, table: &[(&str, Verdict, &str)]) {
    let Some(folder) = folder(name) else { return };
    assert_eq!(fs::read_dir(&folder).unwrap().count(), table.len(), "messages in {name}");
    let mut faults = Vec::new();
    for (file, expected, after) in table {
        let bytes = fs::read(folder.join(format!("{file}{suffix}"))).unwrap();
        let (verdict, what) = parse(&bytes);
        println!("{name} {file:30} {:13} {what:45} {after}", format!("{verdict:?}"));
        if verdict != *expected {
            faults.push(format!("{file}: {verdict:?} ({what}), expected {expected:?}"));
        }
        fuzz::message(&bytes);
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn every_torture_message_of_rfc_4475_gets_its_verdict() {
    check("rfc4475", ".dat", &RFC4475);
}

#[test]
fn every_torture_message_of_rfc_5118_gets_its_verdict() {
    check("rfc5118", "", &RFC5118);
}
