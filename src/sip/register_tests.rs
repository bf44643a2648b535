use super::*;
use crate::sip::auth::Secret;

struct Bench {
    now: Time,
    register: Register,
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn contact() -> NameAddr {
    NameAddr::new(Uri::parse("sip:u@192.0.2.1:5060").unwrap())
}

impl Bench {
    fn new() -> Bench {
        let account = Account {
            registrar: Uri::parse("sip:carrier.example").unwrap(),
            address: Uri::parse("sip:u@carrier.example").unwrap(),
            credentials: Some(Credentials { user: "u".into(), secret: Secret::Password("p".into()) }),
            expires: secs(600),
        };
        let now = Time::START + secs(1);
        Bench { now, register: Register::new(now, account, ("id".into(), "t".into()), 7) }
    }

    /// Let time pass until something is asked; what is asked.
    fn asked(&mut self) -> Request {
        self.now = self.now.max(self.register.timeout().expect("something is to come"));
        self.register.handle_timeout(self.now);
        self.again()
    }

    fn again(&mut self) -> Request {
        match self.register.poll() {
            Some(Output::Ask) => self.register.request(&contact()),
            Some(Output::Send(request)) => *request,
            other => panic!("{other:?}"),
        }
    }

    fn says(&mut self, request: &Request, code: u16, fields: &[(&str, &str)]) {
        let mut response = request.response(code, None);
        fields.iter().for_each(|(name, value)| response.headers.push(name, *value));
        self.register.handle_response(self.now, &response, false, "c");
    }

    fn change(&mut self) -> Option<Change> {
        match self.register.poll() {
            Some(Output::Changed(change)) => Some(change),
            None => None,
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    fn failed(&mut self) -> (Why, Duration) {
        match self.change() {
            Some(Change::Failed { why, again, .. }) => (why, again),
            other => panic!("{other:?}"),
        }
    }
}

const CHALLENGE: (&str, &str) = ("WWW-Authenticate", "Digest realm=\"r\", nonce=\"n\", qop=\"auth\"");

#[test]
fn a_registration_is_refreshed_before_it_runs_out_with_the_same_call_id_and_a_growing_cseq() {
    let mut bench = Bench::new();
    let first = bench.asked();
    assert_eq!(first.uri.to_string(), "sip:carrier.example");
    assert_eq!(first.headers.get("Expires"), Some("600"));
    bench.says(&first, 200, &[("Contact", "<sip:other@x>;expires=9, <sip:u@192.0.2.1:5060>;expires=100")]);
    assert_eq!(bench.change(), Some(Change::Registered(secs(100))));
    let before = bench.now;
    let second = bench.asked();
    assert_eq!(bench.now - before, secs(80));
    assert_eq!(second.headers.call_id, first.headers.call_id);
    assert_eq!(second.headers.cseq.number, first.headers.cseq.number + 1);
    bench.says(&second, 200, &[("Expires", "50")]);
    assert_eq!(bench.change(), None, "nothing new");
    assert!(bench.register.is_registered());
    let before = bench.now;
    bench.asked();
    assert_eq!(bench.now - before, secs(40));
}

#[test]
fn the_time_that_is_granted_is_that_of_our_contact_else_of_all_else_the_one_we_asked_for() {
    for (fields, granted) in [
        (vec![], 600),
        (vec![("Expires", "90")], 90),
        (vec![("Contact", "<sip:u@203.0.113.5:1024>;expires=70"), ("Expires", "90")], 70),
        (vec![("Contact", "<sip:a@x>;expires=1, <sip:b@x>;expires=2"), ("Expires", "90")], 90),
        (vec![("Contact", "<sip:u@192.0.2.1:5060>;expires=never")], 600),
        (vec![("Expires", "99999999999")], 7 * 86_400),
    ] {
        let mut bench = Bench::new();
        let request = bench.asked();
        bench.says(&request, 200, &fields);
        assert_eq!(bench.change(), Some(Change::Registered(secs(granted))), "{fields:?}");
    }
}

#[test]
fn a_challenge_is_answered_and_a_wrong_password_is_not_tried_in_a_hurry() {
    let mut bench = Bench::new();
    let first = bench.asked();
    bench.says(&first, 401, &[CHALLENGE]);
    let second = bench.again();
    assert!(second.headers.get("Authorization").unwrap().contains("username=\"u\""));
    assert_eq!(second.headers.cseq.number, 2);
    bench.says(&second, 401, &[CHALLENGE]);
    let (why, again) = bench.failed();
    assert_eq!(why, Why::Credentials);
    assert!(again >= secs(150) && again <= secs(300), "{again:?}");
}

#[test]
fn a_registrar_whose_nonces_are_always_stale_is_left_alone() {
    let mut bench = Bench::new();
    let mut request = bench.asked();
    for _ in 0..PROOFS {
        bench.says(&request, 401, &[("WWW-Authenticate", "Digest realm=\"r\", nonce=\"n\", stale=true")]);
        request = bench.again();
    }
    bench.says(&request, 401, &[("WWW-Authenticate", "Digest realm=\"r\", nonce=\"n\", stale=true")]);
    assert_eq!(bench.failed().0, Why::Credentials);
}

#[test]
fn a_registrar_that_wants_more_time_gets_it_at_once_and_from_then_on() {
    let mut bench = Bench::new();
    let first = bench.asked();
    bench.says(&first, 423, &[("Min-Expires", "1200")]);
    let second = bench.again();
    assert_eq!(second.headers.get("Expires"), Some("1200"));
    bench.says(&second, 423, &[("Min-Expires", "1200")]);
    assert_eq!(bench.failed().0, Why::Refused(423), "it does not mean it");
    assert_eq!(bench.asked().headers.get("Expires"), Some("1200"));
}

#[test]
fn the_waits_after_failures_grow_to_half_an_hour_and_shrink_with_success() {
    let mut bench = Bench::new();
    for most in [30, 60, 120, 240, 480, 960, 1800, 1800] {
        bench.asked();
        bench.register.handle_failed(bench.now, Why::TimedOut, false);
        let (why, again) = bench.failed();
        assert_eq!(why, Why::TimedOut);
        assert!(again >= secs(most) / 2 && again <= secs(most), "{again:?} of {most}");
    }
    let request = bench.asked();
    bench.says(&request, 200, &[]);
    bench.change();
    bench.asked();
    bench.register.handle_failed(bench.now, Why::Transport, false);
    let Some(Change::Failed { again, still: true, .. }) = bench.change() else { panic!("it still holds") };
    assert!(again <= secs(30));
}

#[test]
fn retry_after_is_obeyed() {
    let mut bench = Bench::new();
    let request = bench.asked();
    bench.says(&request, 503, &[("Retry-After", "400 (soon);duration=9")]);
    assert_eq!(bench.failed(), (Why::Refused(503), secs(400)));
    let request = bench.asked();
    bench.says(&request, 503, &[("Retry-After", "99999999")]);
    assert_eq!(bench.failed().1, LONGEST_WAIT);
}

#[test]
fn another_way_is_tried_at_once() {
    let mut bench = Bench::new();
    bench.asked();
    bench.register.handle_failed(bench.now, Why::Transport, true);
    let request = bench.again();
    let response = request.response(503, None);
    bench.register.handle_response(bench.now, &response, true, "c");
    let request = bench.again();
    assert_eq!(request.headers.cseq.number, 3);
    let response = request.response(403, None);
    bench.register.handle_response(bench.now, &response, true, "c");
    assert_eq!(bench.failed().0, Why::Refused(403), "a refusal is no fault of the way");
}

#[test]
fn a_registration_that_no_refresh_saves_is_lost_and_told() {
    let mut bench = Bench::new();
    let request = bench.asked();
    bench.says(&request, 200, &[("Expires", "60")]);
    bench.change();
    let until = bench.now + secs(60);
    bench.asked();
    bench.register.handle_failed(bench.now, Why::TimedOut, false);
    assert!(matches!(bench.change(), Some(Change::Failed { still: true, .. })));
    bench.now = until;
    bench.register.handle_timeout(until);
    assert_eq!(bench.change(), Some(Change::Lost));
    assert!(!bench.register.is_registered());
}

#[test]
fn leaving_takes_the_registration_back_and_asks_for_nothing_more() {
    let mut bench = Bench::new();
    let request = bench.asked();
    bench.says(&request, 200, &[]);
    bench.change();
    bench.register.leave();
    let goodbye = bench.again();
    assert_eq!(goodbye.headers.get("Expires"), Some("0"));
    bench.says(&goodbye, 401, &[CHALLENGE]);
    let goodbye = bench.again();
    bench.says(&goodbye, 200, &[]);
    assert_eq!(bench.change(), Some(Change::Left));
    assert_eq!(bench.register.timeout(), None);

    let mut bench = Bench::new();
    bench.asked();
    bench.register.leave();
    assert_eq!(bench.register.poll(), None, "there is nothing to take back");
}
