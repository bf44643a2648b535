//! The forks of an INVITE that was answered: each 2xx gets its ACK, however often it comes, and those of other forks than
//! the first are ended (RFC 3261 section 13.2.2.4).

use super::core::Core;
use crate::sip::{ClientTx, Dialog, Hop, Method, Request, Response};

/// Forks of one INVITE that are remembered.
const FORKS: usize = 16;

/// An INVITE that was answered, with the ACK of each fork by the peer's tag.
pub(super) struct Sent {
    pub tx: ClientTx,
    request: Request,
    hop: Hop,
    acks: Vec<(String, Request, Hop)>,
}

impl Sent {
    /// An INVITE that may still be answered.
    pub fn new(tx: ClientTx, request: Request, hop: Hop) -> Sent {
        Sent { tx, request, hop, acks: Vec::new() }
    }

    /// A re-INVITE that was answered and acknowledged with `ack`.
    pub fn acknowledged(tx: ClientTx, request: Request, hop: Hop, ack: (String, Request, Hop)) -> Sent {
        Sent { tx, request, hop, acks: vec![ack] }
    }

    /// A 2xx after the first one: the same again, or that of another fork, which is ended.
    pub fn answer_again(&mut self, core: &mut Core, response: &Response) {
        if !(200..300).contains(&response.code) {
            return;
        }
        let tag = response.headers.to.tag().unwrap_or_default();
        if let Some((_, ack, hop)) = self.acks.iter().find(|(known, ..)| known == tag) {
            return core.stack.send_ack(core.now, ack.clone(), *hop);
        }
        if let Some(mut dialog) = self.acknowledge(core, response) {
            let bye = dialog.request(Method::Bye, &core.contact(self.hop));
            let hop = core.in_dialog(&dialog);
            core.stack.request(core.now, bye, hop);
        }
    }

    /// ACK a fork's first 2xx. None: it makes no dialog, or there are too many.
    pub fn acknowledge(&mut self, core: &mut Core, response: &Response) -> Option<Dialog> {
        let dialog = Dialog::uac(&self.request, response, self.hop).ok().filter(|_| self.acks.len() < FORKS)?;
        core.carries(self.hop);
        let (ack, hop) = (dialog.ack(self.request.headers.cseq.number), core.in_dialog(&dialog));
        core.stack.send_ack(core.now, ack.clone(), hop);
        let tag = response.headers.to.tag().unwrap_or_default().to_owned();
        self.acks.push((tag, ack, hop));
        Some(dialog)
    }
}
