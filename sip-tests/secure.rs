//! baresip with encrypted media: keys in SDP (its module `srtp`), or by a handshake (`dtls_srtp`), for which Debian's
//! baresip 1.0 has an RSA certificate; a browser, in `browser`, has an ECDSA one.

use crate::{
    baresip::{Phone, hear_each_other, heard},
    command_line::{seconds_of, tone},
    support::{Server, breathe},
};

/// Takes digits, tells them, and plays a tone of 600 Hz for a second.
const SCRIPT: &str = "call:answer()
    vars.digits = call:gather{max = 2, first_timeout = 30, timeout = 30}
    call:tone({600}, {seconds = 1})
    call:sleep(0.3)";

/// A call of a baresip whose account wants `mediaenc`: keys are pressed, the tone is heard, and its own is recorded.
fn call(server: &Server, mediaenc: &str) {
    let folder = tempfile::tempdir().unwrap();
    tone(&folder.path().join("speak.wav"), 1000.0, 8000, 120);
    let account = format!("<sip:baresip@127.0.0.1>;regint=0;mediaenc={mediaenc}");
    let mut phone = Phone::with_account(folder.path(), &folder.path().join("speak.wav"), &account);
    phone.dial(&format!("sip:100@{}", server.sip));
    for key in ["4", "2"] {
        phone.tell("sndcode", key);
        (0..15).for_each(|_| breathe(server.sip));
        phone.tell("sndcode", "\\u0004");
        (0..10).for_each(|_| breathe(server.sip));
    }
    phone.wait_for_event("CALL_CLOSED");
    drop(phone);
    let (channels, _) = crate::support::read_wav(&heard(folder.path()));
    let heard = seconds_of(&channels[0], 600.0);
    assert!((0.9..=1.1).contains(&heard), "{mediaenc}: {heard} s of the tone");
}

fn server(security: &str) -> Server {
    let conf = format!("[[number]]\nnumber = \"100\"\nscript = \"menu.lua\"\n[media]\nsecurity = \"{security}\"\n");
    Server::start(&conf, &[("menu.lua", SCRIPT)])
}

/// All that was said was encrypted: the server takes nothing else here.
fn takes(mediaenc: &str, said: &str) {
    let server = server("required");
    call(&server, mediaenc);
    server.wait_for(said);
    let record = server.wait_for_records(1).remove(0);
    assert_eq!(record["vars"]["digits"], "42", "{record:#}");
    server.wait_until_idle();
}

#[test]
fn baresip_with_keys_in_sdp_is_heard_and_hears() {
    takes("srtp-mand", "by SDES");
}

#[test]
fn baresip_that_only_offers_encryption_gets_it() {
    takes("srtp", "by SDES");
}

#[test]
fn baresip_with_a_handshake_and_an_rsa_certificate_is_heard_and_hears() {
    takes("dtls_srtp", "media is encrypted");
}

/// Both are in a room, and each hears the other one only.
#[test]
fn a_call_with_keys_by_a_handshake_and_a_plain_one_hear_each_other() {
    hear_each_other([";mediaenc=dtls_srtp", ""]);
}

#[test]
fn baresip_without_encryption_is_refused_where_it_is_required() {
    let server = server("required");
    let folder = tempfile::tempdir().unwrap();
    tone(&folder.path().join("speak.wav"), 1000.0, 8000, 10);
    let account = "<sip:baresip@127.0.0.1>;regint=0";
    let mut phone = Phone::with_account(folder.path(), &folder.path().join("speak.wav"), account);
    phone.tell("dial", &format!("sip:100@{}", server.sip));
    phone.wait_for_event("CALL_CLOSED");
    let record = server.wait_for_records(1).remove(0);
    assert_eq!(record["code"], 488, "{record:#}");
}

/// One is encrypted, the other is not; both hear each other through the server.
#[test]
fn an_encrypted_call_and_a_plain_one_are_bridged() {
    hear_each_other([";mediaenc=srtp-mand", ""]);
}
