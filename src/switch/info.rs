//! Keys that come as SIP INFO instead of RTP events: `application/dtmf-relay` (`Signal=5`, a line each) and
//! `application/dtmf` (the key alone), as gateways and softphones send them; no RFC says how.

use std::{collections::VecDeque, time::Duration};

use super::{
    KeysOut,
    bridge::Joined,
    call::{Call, Notice, State},
    core::Core,
    switch::Switch,
    task::Doing,
    within::Purpose,
};
use crate::{
    ids::CallId,
    media::Command,
    sdp,
    sip::{Method, Request, ServerTx},
    time::Time,
    verbs::Reply,
};

/// `,` among keys to be sent.
const PAUSE: Duration = Duration::from_secs(1);
/// How long a key lasts that is passed on.
const LENGTH: Duration = Duration::from_millis(160);

/// What INFO may carry.
const KINDS: &str = "application/dtmf-relay, application/dtmf";

impl Call {
    /// An INFO within the dialog.
    pub fn handle_info(&mut self, core: &mut Core, tx: ServerTx, request: &Request) {
        if request.body.is_empty() {
            return core.answer(tx, request, 200, &[]);
        }
        let kind = request.headers.get("Content-Type").unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        let text = String::from_utf8_lossy(&request.body);
        let key = if kind.eq_ignore_ascii_case("application/dtmf-relay") {
            relayed(&text)
        } else if kind.eq_ignore_ascii_case("application/dtmf") {
            key(&text)
        } else {
            return core.answer(tx, request, 415, &[("Accept", KINDS)]);
        };
        let Some(key) = key else { return core.answer(tx, request, 400, &[]) };
        core.answer(tx, request, 200, &[]);
        if !self.says_keys_by_info {
            self.says_keys_by_info = true;
            if matches!(self.keys_out(core), KeysOut::Auto | KeysOut::Info) {
                self.leave_tones_to_info(core);
            }
        }
        core.tell(self.id, Notice::InfoKey(key));
    }

    /// Who says keys by INFO is told them so where it takes no events: never by tones as well.
    fn leave_tones_to_info(&mut self, core: &mut Core) {
        if let Some(port) = self.port.open().map(|open| open.id) {
            self.command(core, Command::LeaveTones { port });
        }
    }

    /// How the operator wants the party to be told keys.
    fn keys_out(&self, core: &Core) -> KeysOut {
        let trunk = self.trunk.as_ref().and_then(|on| core.config.trunking.trunk(&on.name));
        trunk.map_or(KeysOut::Auto, |trunk| trunk.keys_out)
    }

    /// Something is agreed on: where keys are not to go as events it is as if there were none.
    pub fn choose_keys(&mut self, core: &mut Core, agreed: &mut sdp::Agreed) {
        match self.keys_out(core) {
            KeysOut::Auto | KeysOut::Events => {}
            KeysOut::Tones => agreed.send_digits = None,
            KeysOut::Info => {
                agreed.send_digits = None;
                self.leave_tones_to_info(core);
            }
        }
    }

    /// Keys for the party go by INFO.
    pub fn takes_info(&self, core: &Core) -> bool {
        let events = self.port.open().and_then(|open| open.agreed.as_ref()).and_then(|agreed| agreed.send_digits);
        let wanted = match self.keys_out(core) {
            KeysOut::Auto => self.says_keys_by_info && events.is_none(),
            KeysOut::Info => true,
            KeysOut::Events | KeysOut::Tones => false,
        };
        wanted && matches!(self.state, State::Talking { .. })
    }

    /// Tell the party a key.
    pub fn send_info(&mut self, core: &mut Core, key: char, length: Duration) {
        let State::Talking { dialog, .. } = &mut self.state else { return };
        let mut request = dialog.request(Method::Info, &core.contact(dialog.hop));
        request.headers.set("Content-Type", "application/dtmf-relay");
        request.body = format!("Signal={key}\r\nDuration={}\r\n", length.as_millis()).into_bytes().into();
        let hop = core.in_dialog(dialog);
        self.ask_peer(core, request, hop, Purpose::Notify);
    }
}

/// Keys that go out by INFO, one after another.
#[derive(Debug)]
pub(super) struct Dictated {
    /// What is left.
    keys: VecDeque<char>,
    length: Duration,
    gap: Duration,
    /// When the next is due.
    pub next: Time,
}

impl Dictated {
    pub fn new(now: Time, digits: &str, length: Duration, gap: Duration) -> Dictated {
        Dictated { keys: digits.chars().collect(), length, gap, next: now }
    }

    /// What is to be done now: send this key, so long, or only wait for the next; none: the order is done.
    pub fn step(&mut self, now: Time) -> Option<(Option<char>, Duration)> {
        let key = self.keys.pop_front()?;
        let key = Some(key).filter(|key| *key != ',');
        self.next = now + if key.is_none() { PAUSE } else { self.length + self.gap };
        Some((key, self.length))
    }
}

impl Switch {
    /// The next key of an order goes out, or the order is done.
    pub(super) fn dictate(&mut self, id: CallId) {
        let Some((call, core)) = self.call(id) else { return };
        let Some(Doing::SendInfo(order)) = call.task.as_mut().map(|task| &mut task.doing) else { return };
        match order.step(core.now) {
            Some((Some(key), length)) => call.send_info(core, key, length),
            Some((None, _)) => {}
            None => self.finish_task(id, Reply::Done),
        }
    }

    /// A key that the engine cannot pass on to the other party: it came by INFO, or has to go out so.
    pub(super) fn pass_key(&mut self, id: CallId, key: char, by_info: bool) {
        let Some(Joined::Peer { peer, .. }) = self.calls.get(&id).map(|call| &call.joined) else { return };
        let peer = *peer;
        let Some((call, core)) = self.call(peer) else { return };
        if call.takes_info(core) {
            return call.send_info(core, key, LENGTH);
        }
        if let Some(port) = call.port.open().map(|open| open.id).filter(|_| by_info) {
            call.command(core, Command::PassKey { port, key });
        }
    }
}

fn relayed(text: &str) -> Option<char> {
    let signal = |line: &str| {
        let (name, value) = line.split_once(['=', ':'])?;
        name.trim().eq_ignore_ascii_case("signal").then(|| key(value)).flatten()
    };
    text.lines().find_map(signal)
}

/// A key by its name or by its number (RFC 4733 section 3.2: 10 is the star, 11 the pound, 12 to 15 are A to D).
fn key(text: &str) -> Option<char> {
    let text = text.trim();
    let mut characters = text.chars();
    match (characters.next()?, characters.next()) {
        (c @ ('0'..='9' | '*' | '#'), None) => Some(c),
        (c @ ('A'..='D' | 'a'..='d'), None) => Some(c.to_ascii_uppercase()),
        _ => {
            ["10", "11", "12", "13", "14", "15"].iter().position(|n| *n == text).and_then(|at| "*#ABCD".chars().nth(at))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_from_the_bodies_that_phones_send() {
        for (text, want) in [
            ("Signal=5\r\nDuration=160\r\n", Some('5')),
            ("Duration=160\nsignal = # \n", Some('#')),
            ("Signal: *\r\n", Some('*')),
            ("Signal=d", Some('D')),
            ("Signal=11", Some('#')),
            ("Signal=", None),
            ("Signal=99", None),
            ("", None),
        ] {
            assert_eq!(relayed(text), want, "{text:?}");
        }
        assert_eq!(key(" 7\r\n"), Some('7'));
        assert_eq!(key("hello"), None);
    }
}
