//! What must hold for any bytes. The fuzzer's target and the property tests call this.

use super::{Direction, Local, Policy, Security, Session, accept, answer, offer};
use crate::codec::Codec;

/// Any bytes can be read; what was understood prints as something that is understood in the same way; an answer has a line for each line
/// of the offer, whatever they are; and as an answer to our own offer it is taken or refused.
pub fn sdp(bytes: &[u8]) {
    let Ok(session) = Session::parse(bytes) else { return };
    let printed = session.to_string();
    let again = Session::parse(printed.as_bytes()).expect("what we print can be read");
    assert_eq!(again, session, "printed as {printed}");
    let local = Local {
        address: "192.0.2.7:40000".parse().expect("an address"),
        session_id: 1,
        version: 1,
        codecs: Codec::ALL.to_vec(),
        relayed: vec!["G729".to_owned()],
        formats: Vec::new(),
        comfort: true,
        ptime: 20,
        direction: Direction::SendRecv,
        security: Security { policy: Policy::Optional, fingerprint: Some([1; 32]), ..Security::default() },
    };
    if let Ok((answered, _)) = answer(&session, &local) {
        assert_eq!(answered.media.len(), session.media.len());
        assert!(Session::parse(answered.to_string().as_bytes()).is_ok(), "our answer can be read");
    }
    // Whatever comes of it, it comes without a panic.
    let _ = accept(&offer(&local), &session, &local);
}
