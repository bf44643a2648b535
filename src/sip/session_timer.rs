//! Session timers (RFC 4028): a call whose peer has vanished ends by itself, because one side has to say now and then
//! that it is still there.
//!
//! ```text
//! agreed at 0 s ── refresher: refresh at half ──────▶ agreed anew
//!       └───────── nobody refreshed: BYE at the end, less a third of the time or 32 s
//! ```
//!
//! [`SessionTimer`] is plain data with a deadline; its owner sends the refresh, as UPDATE or re-INVITE.

use std::time::Duration;

use super::{Headers, text};
use crate::time::Time;

/// The shortest interval that the RFC allows (section 4).
pub const LEAST_SESSION: Duration = Duration::from_secs(90);
/// How long before its end a session that nobody refreshed is given up, at the most (section 10).
const MARGIN: Duration = Duration::from_secs(32);
/// Shortest time between two tries to refresh.
const TRY_AGAIN: Duration = Duration::from_secs(5);

/// What we would like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionWish {
    /// Interval that is asked for, and the longest one that is agreed to; zero: we ask for none, and take any.
    pub expires: Duration,
    /// Shortest interval that is agreed to, at least [`LEAST_SESSION`].
    pub min: Duration,
}

/// The peer wants to refresh more often than we allow: 422, with our Min-SE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooBrief;

/// What is to be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionDue {
    /// Send a refresh.
    Refresh,
    /// End the call.
    Expired,
}

/// One session's timer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionTimer {
    interval: Duration,
    /// We refresh.
    ours: bool,
    refresh_at: Time,
    expires_at: Time,
}

impl SessionWish {
    /// Put it into an INVITE that begins a session.
    pub fn ask(&self, headers: &mut Headers) {
        if !self.expires.is_zero() {
            headers.set("Session-Expires", self.expires.max(self.min).as_secs().to_string());
            if self.min > LEAST_SESSION {
                headers.set("Min-SE", self.min.as_secs().to_string());
            }
        }
    }

    /// True where `headers` ask for an interval that is too short, and know what 422 means (section 9).
    pub fn refuses(&self, headers: &Headers) -> bool {
        let asked = seconds(headers, "Session-Expires");
        supports(headers, "timer") && asked.is_some_and(|asked| asked < self.min)
    }
}

impl SessionTimer {
    /// What the peer's 2xx to our INVITE or UPDATE agreed to (section 7.2); `None`: the session has no timer.
    pub fn uac(now: Time, response: &Headers) -> Option<SessionTimer> {
        let interval = seconds(response, "Session-Expires")?.max(LEAST_SESSION);
        Some(SessionTimer::new(now, interval, refresher(response) != Some("uas")))
    }

    /// What we agree to in our 2xx to `request` (section 9). `running`: the timer of the session so far.
    pub fn uas(
        now: Time,
        request: &Headers,
        wish: &SessionWish,
        running: Option<&SessionTimer>,
    ) -> Result<Option<SessionTimer>, TooBrief> {
        if wish.refuses(request) {
            return Err(TooBrief);
        }
        let knows = supports(request, "timer");
        let least = seconds(request, "Min-SE").unwrap_or(LEAST_SESSION).max(LEAST_SESSION);
        let asked = seconds(request, "Session-Expires");
        let ours = if wish.expires.is_zero() { None } else { Some(wish.expires.max(wish.min).max(least)) };
        let interval = match (asked, ours) {
            (Some(asked), Some(ours)) => asked.min(ours).max(least),
            (Some(asked), None) => asked.max(LEAST_SESSION),
            (None, Some(ours)) if knows => ours,
            (None, _) => return Ok(None),
        };
        let we_refresh = match refresher(request) {
            Some("uac") if knows => false,
            Some("uas") => true,
            Some(_) | None => running.map_or(!knows, |running| running.ours),
        };
        Ok(Some(SessionTimer::new(now, interval, we_refresh)))
    }

    fn new(now: Time, interval: Duration, ours: bool) -> SessionTimer {
        let end = interval.saturating_sub((interval / 3).min(MARGIN));
        SessionTimer { interval, ours, refresh_at: now + interval / 2, expires_at: now + end }
    }

    /// Put what was agreed into our 2xx to `request`.
    pub fn answer(&self, request: &Headers, response: &mut Headers) {
        let who = if self.ours { "uas" } else { "uac" };
        response.set("Session-Expires", format!("{};refresher={who}", self.interval.as_secs()));
        if supports(request, "timer") {
            response.push("Require", "timer");
        }
    }

    /// Put it into a refresh of ours, or any other INVITE or UPDATE within the session (section 7.4).
    pub fn ask_again(&self, headers: &mut Headers) {
        let who = if self.ours { "uac" } else { "uas" };
        headers.set("Session-Expires", format!("{};refresher={who}", self.interval.as_secs()));
    }

    /// The peer answered a refresh with 422: from now on no less than it says.
    pub fn raise(&mut self, refusal: &Headers) {
        self.interval = self.interval.max(least(refusal).unwrap_or(LEAST_SESSION));
    }

    /// The next moment [`Self::handle_timeout`] has something to do.
    pub fn timeout(&self) -> Time {
        if self.ours { self.refresh_at.min(self.expires_at) } else { self.expires_at }
    }

    /// What is due now. A refresh that leads nowhere is tried again until the end.
    pub fn handle_timeout(&mut self, now: Time) -> Option<SessionDue> {
        if self.expires_at <= now {
            return Some(SessionDue::Expired);
        }
        let due = self.ours && self.refresh_at <= now;
        if due {
            self.refresh_at = now + ((self.expires_at - now) / 2).max(TRY_AGAIN);
        }
        due.then_some(SessionDue::Refresh)
    }
}

/// The interval that a 422 demands (section 7.1).
pub fn least(refusal: &Headers) -> Option<Duration> {
    seconds(refusal, "Min-SE")
}

/// True where Supported or Require names this option tag.
pub fn supports(headers: &Headers, tag: &str) -> bool {
    headers.all("Supported").chain(headers.all("Require")).any(|one| one.eq_ignore_ascii_case(tag))
}

fn seconds(headers: &Headers, name: &str) -> Option<Duration> {
    let value = headers.get(name)?.split(';').next()?;
    text::trim(value).parse::<u32>().ok().map(|seconds| Duration::from_secs(seconds.into()))
}

fn refresher(headers: &Headers) -> Option<&'static str> {
    let value = headers.get("Session-Expires")?;
    let mut params = value.split(';').skip(1).filter_map(|param| param.split_once('='));
    let (_, who) = params.find(|(name, _)| text::trim(name).eq_ignore_ascii_case("refresher"))?;
    ["uac", "uas"].into_iter().find(|known| known.eq_ignore_ascii_case(text::trim(who)))
}

#[cfg(test)]
mod tests {
    use super::{super::*, *};

    const WISH: SessionWish = SessionWish { expires: Duration::from_secs(1800), min: Duration::from_secs(120) };

    fn at(seconds: u64) -> Time {
        Time::START + Duration::from_secs(seconds)
    }

    fn headers(fields: &[(&str, &str)]) -> Headers {
        let cseq = CSeq { number: 1, method: Method::Invite };
        let who: NameAddr = "<sip:a@b>".parse().unwrap();
        let mut headers = Headers::new(who.clone(), who, "c".to_owned(), cseq);
        for (name, value) in fields {
            headers.push(name, *value);
        }
        headers
    }

    /// What our answer says to a request with these fields.
    fn answered(fields: &[(&str, &str)]) -> Option<String> {
        let request = headers(fields);
        let timer = SessionTimer::uas(at(0), &request, &WISH, None).expect("long enough")?;
        let mut response = headers(&[]);
        timer.answer(&request, &mut response);
        let required = if response.get("Require") == Some("timer") { " required" } else { "" };
        Some(format!("{}{required}", response.get("Session-Expires").unwrap()))
    }

    #[test]
    fn who_refreshes_and_how_often_follows_from_what_the_caller_can_and_wants() {
        let timer = ("Supported", "timer");
        assert_eq!(answered(&[]), None, "a caller without timers is left alone");
        assert_eq!(answered(&[timer]).as_deref(), Some("1800;refresher=uac required"));
        for (asked, want) in [
            ("600", "600;refresher=uac required"),
            ("7200", "1800;refresher=uac required"),
            ("600;refresher=uas", "600;refresher=uas required"),
            ("600; Refresher=UAC", "600;refresher=uac required"),
        ] {
            assert_eq!(answered(&[timer, ("Session-Expires", asked)]).as_deref(), Some(want), "{asked}");
        }
        // A proxy asked for it, the caller knows nothing of it: we refresh, and demand nothing.
        assert_eq!(answered(&[("x", "600")]).as_deref(), Some("600;refresher=uas"));
        assert_eq!(
            answered(&[timer, ("x", "3600"), ("Min-SE", "2400")]).as_deref(),
            Some("2400;refresher=uac required")
        );
    }

    #[test]
    fn an_interval_below_the_least_is_refused_where_the_caller_understands_why() {
        let request = headers(&[("Supported", "timer"), ("Session-Expires", "119")]);
        assert_eq!(SessionTimer::uas(at(0), &request, &WISH, None), Err(TooBrief));
        let request = headers(&[("Session-Expires", "119")]);
        assert!(SessionTimer::uas(at(0), &request, &WISH, None).is_ok());
        assert_eq!(least(&headers(&[("Min-SE", "300")])), Some(Duration::from_secs(300)));
    }

    #[test]
    fn refresher_refreshes_at_half_and_the_other_side_gives_up_before_the_end() {
        let mut ours = SessionTimer::uac(at(0), &headers(&[("Session-Expires", "200;refresher=uac")])).unwrap();
        assert_eq!(ours.timeout(), at(100));
        assert_eq!(ours.handle_timeout(at(99)), None);
        assert_eq!(ours.handle_timeout(at(100)), Some(SessionDue::Refresh));
        assert_eq!(ours.handle_timeout(at(100)), None);
        assert_eq!(ours.timeout(), at(134), "nothing came of it: once more");
        let mut theirs = SessionTimer::uac(at(0), &headers(&[("x", "200;refresher=uas")])).unwrap();
        assert_eq!(theirs.timeout(), at(168));
        assert_eq!(theirs.handle_timeout(at(168)), Some(SessionDue::Expired));
        let short = SessionTimer::uac(at(0), &headers(&[("x", "90;refresher=uas")])).unwrap();
        assert_eq!(short.timeout(), at(60));
        assert_eq!(SessionTimer::uac(at(0), &headers(&[])), None);
    }

    #[test]
    fn roles_stay_over_refreshes_of_either_side() {
        let ours = SessionTimer::uac(at(0), &headers(&[("x", "200;refresher=uac")])).unwrap();
        let mut again = headers(&[]);
        ours.ask_again(&mut again);
        assert_eq!(again.get("Session-Expires"), Some("200;refresher=uac"));
        let request = headers(&[("Supported", "timer"), ("Session-Expires", "200")]);
        let kept = SessionTimer::uas(at(50), &request, &WISH, Some(&ours)).unwrap().unwrap();
        let mut response = headers(&[]);
        kept.answer(&request, &mut response);
        assert_eq!(response.get("Session-Expires"), Some("200;refresher=uas"));
    }
}
