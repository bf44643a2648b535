//! A request once more, with the answer to the challenge that it got (RFC 3261 section 22).

use super::{
    Request, Response,
    auth::{Asked, Challenge, Credentials, authorize},
    cseq::method_name,
};

/// `request` with the answer to the challenges of `response` (401 or 407), ready to be sent: a new transaction, the next
/// CSeq. None where nothing can be answered, or where the same realm has heard these credentials already and does not
/// say that only the nonce has aged. `cnonce` is fresh and random.
pub fn prove(request: &Request, response: &Response, credentials: &Credentials, cnonce: &str) -> Option<Request> {
    let (asks, answers) = match response.code {
        401 => ("WWW-Authenticate", "Authorization"),
        407 => ("Proxy-Authenticate", "Proxy-Authorization"),
        _ => return None,
    };
    let told = |realm: &str| {
        let realm = format!("realm=\"{realm}\"");
        request.headers.all(answers).any(|answer| answer.contains(&realm))
    };
    let open = |header: &&str| Challenge::parse(header).is_some_and(|c| c.stale || !told(&c.realm));
    let uri = request.uri.to_string();
    let asked = Asked { method: method_name(request.method), uri: &uri, body: &request.body };
    let proof = authorize(response.headers.all(asks).filter(open), credentials, &asked, cnonce, 1)?;
    let mut again = request.clone();
    if told(&proof.challenge.realm) {
        again.headers.remove(answers);
    }
    // Another realm on the way (section 22.3) hears its own answer beside the first.
    again.headers.push(answers, proof.value);
    again.headers.via.clear();
    again.headers.cseq.number += 1;
    Some(again)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::{CSeq, Headers, Method, NameAddr, Uri, auth::Secret};

    fn request() -> Request {
        let uri = Uri::parse("sip:+4930@carrier.example").unwrap();
        let cseq = CSeq { number: 7, method: Method::Invite };
        let headers = Headers::new(NameAddr::new(uri.clone()), NameAddr::new(uri.clone()), "id".into(), cseq);
        Request { method: Method::Invite, uri, headers, body: Default::default() }
    }

    fn challenge(code: u16, realm: &str, more: &str) -> Response {
        let mut response = request().response(code, None);
        let name = if code == 401 { "WWW-Authenticate" } else { "Proxy-Authenticate" };
        response.headers.push(name, format!("Digest realm=\"{realm}\", nonce=\"n{more}\", qop=\"auth\"{more}"));
        response
    }

    fn credentials() -> Credentials {
        Credentials { user: "u".into(), secret: Secret::Password("p".into()) }
    }

    #[test]
    fn a_challenge_is_answered_once_and_again_when_its_nonce_has_aged() {
        let again = prove(&request(), &challenge(407, "r", ""), &credentials(), "c").unwrap();
        assert_eq!(again.headers.cseq.number, 8);
        assert!(again.headers.get("Proxy-Authorization").unwrap().contains("uri=\"sip:+4930@carrier.example\""));
        assert_eq!(again.headers.get("Authorization"), None);
        assert_eq!(prove(&again, &challenge(407, "r", ""), &credentials(), "c"), None, "the password is wrong");
        let third = prove(&again, &challenge(407, "r", ", stale=true"), &credentials(), "c").unwrap();
        assert_eq!(third.headers.all("Proxy-Authorization").count(), 1);
    }

    #[test]
    fn proxy_and_server_and_a_second_proxy_each_hear_their_answer() {
        let first = prove(&request(), &challenge(407, "near", ""), &credentials(), "c").unwrap();
        let second = prove(&first, &challenge(407, "far", ""), &credentials(), "c").unwrap();
        let third = prove(&second, &challenge(401, "end", ""), &credentials(), "c").unwrap();
        assert_eq!(third.headers.all("Proxy-Authorization").count(), 2);
        assert_eq!(third.headers.all("Authorization").count(), 1);
        assert_eq!(third.headers.cseq.number, 10);
    }

    #[test]
    fn what_is_no_challenge_that_we_know_is_not_answered() {
        assert_eq!(prove(&request(), &challenge(403, "r", ""), &credentials(), "c"), None);
        let mut odd = request().response(401, None);
        odd.headers.push("WWW-Authenticate", "NTLM abc");
        odd.headers.push("WWW-Authenticate", "Digest realm=\"r\", nonce=\"n\", algorithm=ROT13");
        assert_eq!(prove(&request(), &odd, &credentials(), "c"), None);
    }
}
