//! One copy of a message on its way: one for each device of a phone, else one.

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;

use super::{
    core::Core,
    message_within::content_type,
    outbound::{Carrier, Plan},
    registrar::Reach,
    target,
    trunk::{Caller, Ticket},
};
use crate::{
    sip::{CSeq, Headers, Hop, Method, NameAddr, Request, Target as Address, Uri},
    verbs::{Failure, Message},
};

/// Max-Forwards of a message that follows from none (RFC 3261 section 8.1.1.6).
pub(super) const HOPS: u32 = 70;

/// One of its copies.
pub(super) struct Copy {
    /// Which message.
    pub of: u64,
    pub message: Arc<Message>,
    /// What it says; the copies share it.
    pub body: Bytes,
    pub hops: u32,
    pub from: NameAddr,
    pub call_id: String,
    pub cseq: u32,
    /// Targets that are not tried yet.
    pub targets: VecDeque<Uri>,
    /// How many more a 3xx may add.
    pub redirects: usize,
    pub carrier: Carrier,
    /// The carrier that it counts with.
    pub entered: Option<(Arc<str>, Option<Ticket>)>,
    /// How to get to the first target, where that is a phone of ours.
    pub reach: Option<Reach>,
    pub uri: Uri,
    /// Where the target is, best first.
    pub places: VecDeque<Address>,
    /// What was sent last.
    pub sent: Option<(Request, Hop)>,
    /// The best answer so far.
    pub failed: Option<Failure>,
}

impl Core {
    /// A copy that goes where `plan` says.
    pub fn copy_of(
        &mut self,
        of: u64,
        message: Arc<Message>,
        (mut from, caller): (NameAddr, Caller),
        plan: Plan,
    ) -> Copy {
        from.set_tag(&self.stack.new_tag());
        Copy {
            of,
            message,
            body: Bytes::new(),
            hops: HOPS,
            from,
            call_id: self.stack.new_call_id(),
            cseq: 0,
            targets: plan.targets,
            redirects: self.config.limits.redirects,
            carrier: Carrier::new(plan.ways, caller),
            entered: None,
            reach: plan.phone.map(|(_, reach)| reach),
            uri: Uri::sip(None, "invalid", None),
            places: VecDeque::new(),
            sent: None,
            failed: None,
        }
    }
}

impl Copy {
    /// The MESSAGE. It has no Contact (section 4).
    pub fn request(&self, core: &Core, hop: Hop) -> Request {
        let cseq = CSeq { number: self.cseq, method: Method::Message };
        let to = NameAddr::new(target::bare(&self.uri));
        let mut headers = Headers::new(self.from.clone(), to, self.call_id.clone(), cseq);
        // The address of another interface of ours is nobody's business on this one.
        let own = core.contact(hop);
        headers.from.uri.host.clone_from(&own.uri.host);
        for route in self.reach.iter().flat_map(|reach| &reach.route) {
            headers.push("Route", route.as_str());
        }
        for (name, value) in &self.message.headers {
            headers.push(name, value.as_str());
        }
        headers.set("Max-Forwards", self.hops.to_string());
        headers.set("Content-Type", content_type(&self.message.text.kind));
        self.carrier.dress(core, &own, &mut headers);
        Request { method: Method::Message, uri: self.uri.clone(), headers, body: self.body.clone() }
    }
}
