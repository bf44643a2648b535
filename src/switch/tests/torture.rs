//! The torture messages of RFC 4475 and RFC 5118 given to the whole server, from the folder that `SWITCHHOOK_VECTORS`
//! names. For each: what comes back, and what the RFC says about it.

use std::{env, fs, path::PathBuf};

use super::*;

/// What the server makes of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Verdict {
    /// Nothing comes back, and nothing has begun.
    Dropped,
    /// This final answer.
    Answered(u16),
    /// A call has begun: its script runs, nothing final yet.
    Call,
}

use Verdict::{Answered, Call, Dropped};

/// File, verdict, and the RFC's section with its reason.
#[rustfmt::skip]
const RFC4475: [(&str, Verdict, &str); 50] = [
    ("wsinv",      Answered(481), "3.1.1.1 well-formed, all the white space there is; To has the tag of no dialog of ours"),
    ("intmeth",    Answered(501), "3.1.1.2 well-formed; a method that we do not know"),
    ("esc01",      Call,          "3.1.1.3 escaped characters compare as what they stand for"),
    ("escnull",    Answered(405), "3.1.1.4 escaped nulls are allowed in a user; REGISTER without phones"),
    ("esc02",      Answered(501), "3.1.1.5 a percent is no escape in a method: unknown"),
    ("lwsdisp",    Answered(200), "3.1.1.6 no space between display name and <"),
    ("longreq",    Call,          "3.1.1.7 long values everywhere"),
    ("dblreq",     Answered(405), "3.1.1.8 what follows the body of a datagram is ignored; REGISTER without phones"),
    ("semiuri",    Answered(200), "3.1.1.9 semicolons are allowed in the user part"),
    ("transports", Answered(200), "3.1.1.10 unknown transports in lower Vias"),
    ("mpart01",    Answered(415), "3.1.1.11 multipart with binary; of messages only text is taken"),
    ("unreason",   Dropped,       "3.1.1.12 a response with a Unicode phrase, to nothing that we asked"),
    ("noreason",   Dropped,       "3.1.1.13 a response with an empty phrase, to nothing that we asked"),
    ("badinv01",   Answered(400), "3.1.2.1 stray separators"),
    ("clerr",      Answered(400), "3.1.2.2 Content-Length larger than the message: 400 over UDP"),
    ("ncl",        Answered(400), "3.1.2.3 negative Content-Length: 400"),
    ("scalar02",   Answered(400), "3.1.2.4 scalars beyond their limits: 400"),
    ("scalarlg",   Dropped,       "3.1.2.5 a response with scalars beyond their limits: discarded"),
    ("quotbal",    Answered(400), "3.1.2.6 an unfinished quotation in To: 400"),
    ("ltgtruri",   Answered(400), "3.1.2.7 brackets around the Request-URI: 400 (liberal is allowed)"),
    ("lwsruri",    Answered(400), "3.1.2.8 white space within the Request-URI: 400"),
    ("lwsstart",   Answered(400), "3.1.2.9 several spaces in the request line: 400 (liberal is allowed)"),
    ("trws",       Answered(400), "3.1.2.10 spaces behind the request line: 400 (liberal is allowed)"),
    ("escruri",    Answered(400), "3.1.2.11 escaped headers in the Request-URI: 400 (liberal is allowed)"),
    ("baddate",    Call,          "3.1.2.12 a Date of another zone: taken, as it is not looked at (400 is allowed)"),
    ("regbadct",   Answered(400), "3.1.2.13 a Contact with headers and no brackets: 400"),
    ("badaspec",   Answered(400), "3.1.2.14 spaces within an addr-spec: 400 (liberal is allowed)"),
    ("baddn",      Answered(200), "3.1.2.15 a display name that is no token: taken as quoted (400 is allowed)"),
    ("badvers",    Answered(505), "3.1.2.16 an unknown version: 505"),
    ("mismatch01", Answered(400), "3.1.2.17 CSeq of another method: 400"),
    ("mismatch02", Answered(501), "3.1.2.18 an unknown method, and CSeq of another: 501 (or 400)"),
    ("bigcode",    Dropped,       "3.1.2.19 a status code that is too long: discarded"),
    ("badbranch",  Answered(200), "3.2.1 a branch of the cookie only: matched as RFC 2543 does"),
    ("insuf",      Answered(400), "3.3.1 what every message must have is missing: 400"),
    ("unkscm",     Answered(416), "3.3.2 an unknown scheme in the Request-URI: 416"),
    ("novelsc",    Answered(416), "3.3.3 a known scheme that is no SIP: 416"),
    ("unksm2",     Answered(405), "3.3.4 unknown schemes in To and From; REGISTER without phones"),
    ("bext01",     Answered(420), "3.3.5 unknown extensions are required: 420"),
    ("invut",      Answered(415), "3.3.6 a body of an unknown type: 415"),
    ("regaut01",   Answered(405), "3.3.7 an unknown authorization scheme is ignored; REGISTER without phones"),
    ("multi01",    Answered(400), "3.3.8 several values where one may be: 400"),
    ("mcl01",      Answered(400), "3.3.9 several Content-Lengths: 400"),
    ("bcast",      Dropped,       "3.3.10 a 200 with a broadcast Via: discarded"),
    ("zeromf",     Answered(483), "3.3.11 Max-Forwards 0: 483 (an endpoint may answer 200)"),
    ("cparam01",   Answered(405), "3.3.12 a contact parameter that is unknown; REGISTER without phones"),
    ("cparam02",   Answered(405), "3.3.13 a URI parameter that is unknown; REGISTER without phones"),
    ("regescrt",   Answered(405), "3.3.14 escaped Route in a Contact; REGISTER without phones"),
    ("sdp01",      Answered(406), "3.3.15 Accept without SDP: 406 (or 400)"),
    ("inv2543",    Call,          "3.4.1 an INVITE of RFC 2543"),
    ("test",       Dropped,       "in the archive only: no SIP version"),
];

#[rustfmt::skip]
const RFC5118: [(&str, Verdict, &str); 12] = [
    ("ipv6-good",                     Answered(405), "4.1 an IPv6 reference; REGISTER without phones"),
    ("ipv6-bad",                      Answered(400), "4.2 an IPv6 address without brackets: 400"),
    ("port-ambiguous",                Answered(405), "4.3 the port is part of the address; REGISTER without phones"),
    ("port-unambiguous",              Answered(405), "4.4 address and port; REGISTER without phones"),
    ("via-received-param-with-delim", Answered(481), "4.5 received with brackets: let through; BYE of no dialog"),
    ("via-received-param-no-delim",   Answered(200), "4.5 received without brackets"),
    ("ipv6-in-sdp",                   Answered(488), "4.6 IPv6 in SDP is read; G.726 is no codec of ours"),
    ("mult-ip-in-header",             Answered(481), "4.7 IPv4 and IPv6 in one header; BYE of no dialog"),
    ("mult-ip-in-sdp",                Call,          "4.8 IPv4 and IPv6 in one SDP"),
    ("ipv4-mapped-ipv6",              Answered(488), "4.9 IPv4 mapped into IPv6 is read; G.726 is no codec of ours"),
    ("ipv6-bug-abnf-3-colons",        Answered(200), "4.10 three colons, the old grammar's fault: taken as two"),
    ("ipv6-correct-abnf-2-colons",    Answered(200), "4.10 two colons"),
];

/// The folder of messages; `None`: not asked for.
fn folder(name: &str) -> Option<PathBuf> {
    let Some(root) = env::var_os("SWITCHHOOK_VECTORS") else {
        println!("left out: SWITCHHOOK_VECTORS names no folder with {name}/");
        return None;
    };
    let folder = PathBuf::from(root).join(name);
    assert!(folder.is_dir(), "{} is missing", folder.display());
    Some(folder)
}

/// Every number is answered by a script; so what is refused is refused for the message's sake.
fn verdict(bytes: Vec<u8>) -> (Verdict, String) {
    let mut world = World::with(|config| {
        let any = Pattern::parse("*").unwrap();
        config.routes = vec![Route { number: any, service: Service::script("any.lua") }];
    });
    let hop = Hop { transport: Transport::Udp, interface: InterfaceId(0), remote: address(PHONE) };
    let node = &mut world.nodes[0];
    node.switch.handle(world.now, Input::Datagram { hop, bytes: bytes.into() });
    let (mut verdict, mut said) = (Dropped, String::new());
    while let Some(output) = node.switch.poll() {
        match output {
            Output::Start(_) => verdict = Call,
            Output::Send { bytes, .. } => {
                let line = String::from_utf8_lossy(&bytes).lines().next().unwrap_or_default().to_owned();
                let code = line.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a response");
                if code >= 200 {
                    (verdict, said) = (Answered(code), line);
                }
            }
            _ => {}
        }
    }
    (verdict, said)
}

fn check(name: &str, suffix: &str, table: &[(&str, Verdict, &str)]) {
    let Some(folder) = folder(name) else { return };
    assert_eq!(fs::read_dir(&folder).unwrap().count(), table.len(), "messages in {name}");
    let mut faults = Vec::new();
    println!("| {name} | verdict | expected | why |\n|---|---|---|---|");
    for (file, expected, why) in table {
        let (verdict, said) = verdict(fs::read(folder.join(format!("{file}{suffix}"))).unwrap());
        println!("| {file} | {verdict:?} {said} | {expected:?} | {why} |");
        if verdict != *expected {
            faults.push(format!("{file}: {verdict:?} {said}, expected {expected:?}: {why}"));
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn the_server_gives_every_torture_message_of_rfc_4475_its_verdict() {
    check("rfc4475", ".dat", &RFC4475);
}

#[test]
fn the_server_gives_every_torture_message_of_rfc_5118_its_verdict() {
    check("rfc5118", "", &RFC5118);
}
