//! The session timer of a call: refreshed by UPDATE where the peer allows it, else by re-INVITE; a session that nobody
//! refreshed is over (RFC 4028).

use super::{
    call::{Call, End, State},
    core::Core,
    within::Purpose,
};
use crate::sip::{Failure, Headers, Method, Request, Response, ServerTx, SessionDue, SessionTimer};

/// Whether the sender knows UPDATE, where it says what it knows.
pub(super) fn takes_update(headers: &Headers) -> Option<bool> {
    let mut allowed = headers.all("Allow").peekable();
    allowed.peek()?;
    Some(allowed.any(|method| method.eq_ignore_ascii_case("UPDATE")))
}

impl Call {
    /// What the peer says of itself.
    pub fn learn_peer(&mut self, headers: &Headers) {
        self.peer_takes_update = takes_update(headers).unwrap_or(self.peer_takes_update);
    }

    /// Refuse what would have us refresh too often. True: done.
    pub fn refuse_brief_session(&self, core: &mut Core, tx: ServerTx, request: &Request) -> bool {
        let wish = core.config.rules.session;
        let brief = wish.refuses(&request.headers);
        if brief {
            core.answer(tx, request, 422, &[("Min-SE", &wish.min.as_secs().to_string())]);
        }
        brief
    }

    /// Put our side of the session timer into our 2xx to `request`.
    pub fn agree_session(&mut self, core: &Core, request: &Headers, response: &mut Response) {
        let timer = SessionTimer::uas(core.now, request, &core.config.rules.session, self.session.as_ref());
        // Whatever is too brief was refused before.
        self.session = timer.unwrap_or(None);
        if let Some(timer) = &self.session {
            timer.answer(request, &mut response.headers);
        }
    }

    /// What is due in the session timer.
    pub fn session_timeout(&mut self, core: &mut Core) {
        match self.session.as_mut().and_then(|session| session.handle_timeout(core.now)) {
            None => {}
            Some(SessionDue::Refresh) => self.refresh(core),
            Some(SessionDue::Expired) => {
                self.about.error.get_or_insert_with(|| "the session expired: nobody refreshed it".to_owned());
                self.hang_up(core, End::EXPIRED);
            }
        }
    }

    fn refresh(&mut self, core: &mut Core) {
        if !self.peer_takes_update {
            return self.reoffer(core);
        }
        let State::Talking { dialog, .. } = &mut self.state else { return };
        let mut request = dialog.request(Method::Update, &core.contact(dialog.hop));
        let hop = core.in_dialog(dialog);
        core.introduce(&mut request.headers, dialog.hop);
        if let Some(session) = &self.session {
            session.ask_again(&mut request.headers);
        }
        self.ask_peer(core, request, hop, Purpose::Refresh);
    }

    /// The answer to a refresh by UPDATE.
    pub fn handle_refreshed(&mut self, core: &mut Core, response: &Response) {
        let headers = &response.headers;
        match response.code {
            200..=299 => {
                self.session = SessionTimer::uac(core.now, headers);
                if let State::Talking { dialog, .. } = &mut self.state {
                    dialog.refresh_target(headers);
                }
            }
            405 | 501 => {
                self.peer_takes_update = false;
                self.reoffer(core);
            }
            408 | 481 => self.lose_peer(core, "the peer knows nothing of the call any more"),
            422 => {
                if let Some(session) = &mut self.session {
                    session.raise(headers);
                    self.refresh(core);
                }
            }
            // It is tried again, until the session expires.
            _ => {}
        }
    }

    /// No answer comes to a refresh.
    pub fn handle_refresh_failed(&mut self, core: &mut Core, why: Failure) {
        self.lose_peer(
            core,
            match why {
                Failure::TimedOut => "the refresh of the session got no answer",
                Failure::Transport => "the refresh of the session could not be delivered",
            },
        );
    }

    /// The peer is gone (RFC 3261 section 12.2.1.2).
    pub fn lose_peer(&mut self, core: &mut Core, why: &str) {
        self.about.error.get_or_insert_with(|| why.to_owned());
        self.hang_up(core, End::BROKEN);
    }
}
