//! Requests of ours that no call waits for: goodbyes that a carrier may challenge, registrations, questions after health.

use std::sync::Arc;

use super::core::Core;
use crate::{
    sip::{ClientTx, Failure, Hop, Request, Response, prove},
    time::Time,
};

/// Challenges that are answered for one errand.
const PROOFS: u8 = 3;

pub(super) struct Errand {
    purpose: Purpose,
    request: Request,
    hop: Hop,
    proofs: u8,
}

/// What it is for.
#[derive(Clone)]
pub(super) enum Purpose {
    /// Ends something; its answer matters to nobody, but a challenge of this carrier is answered.
    Goodbye { trunk: Arc<str> },
    /// Our registration with this carrier.
    Register { trunk: Arc<str> },
    /// OPTIONS to a target of this carrier, asked then.
    Health { trunk: Arc<str>, target: usize, asked: Time },
}

impl Core {
    /// Send a request that no call waits for.
    pub fn errand(&mut self, request: Request, hop: Hop, purpose: Purpose) {
        self.errand_again(Errand { purpose, request, hop, proofs: 0 });
    }

    fn errand_again(&mut self, errand: Errand) {
        let tx = self.stack.request(self.now, errand.request.clone(), errand.hop);
        self.errands.insert(tx, errand);
    }

    /// `request` with the answer to the challenge in `response`, where we are known to `trunk`.
    pub fn prove(&mut self, trunk: &str, request: &Request, response: &Response) -> Option<Request> {
        let cnonce = self.stack.new_tag();
        let credentials = self.config.trunking.trunk(trunk)?.credentials.as_ref()?;
        prove(request, response, credentials, &cnonce)
    }

    /// An answer to something that no call waits for. False: to no errand either.
    pub fn errand_answered(&mut self, tx: ClientTx, response: &Response) -> bool {
        if response.code < 200 {
            return self.errands.contains_key(&tx);
        }
        let Some(mut errand) = self.errands.remove(&tx) else { return false };
        match errand.purpose.clone() {
            Purpose::Goodbye { trunk } => {
                let again = self.prove(&trunk, &errand.request, response).filter(|_| errand.proofs < PROOFS);
                if let Some(again) = again {
                    errand.request = again;
                    errand.proofs += 1;
                    self.errand_again(errand);
                }
            }
            Purpose::Register { trunk } => self.register_answered(&trunk, Ok(response)),
            Purpose::Health { trunk, target, asked } => self.health_answered(&trunk, target, asked, Ok(response)),
        }
        true
    }

    /// No answer will come to something that no call waits for.
    pub fn errand_failed(&mut self, tx: ClientTx, why: Failure) {
        let Some(errand) = self.errands.remove(&tx) else { return };
        match errand.purpose {
            Purpose::Goodbye { .. } => {}
            Purpose::Register { trunk } => self.register_answered(&trunk, Err(why)),
            Purpose::Health { trunk, target, asked } => self.health_answered(&trunk, target, asked, Err(why)),
        }
    }
}
