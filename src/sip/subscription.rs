//! The notifier's side of a subscription (RFC 6665): plain data, and the requests that come of it.

use super::{Dialog, Hop, Malformed, Method, NameAddr, Request};
use crate::time::Time;

/// What can be subscribed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Package {
    /// The calls of a phone: lamps (RFC 4235).
    Dialog,
    /// How many messages wait (RFC 3842).
    MessageSummary,
}

impl Package {
    /// Both, as Allow-Events says it.
    pub const ALLOWED: &'static str = "dialog, message-summary";

    /// The package that an Event header names.
    pub fn parse(event: &str) -> Option<Package> {
        let name = event.split(';').next().unwrap_or(event).trim();
        [Package::Dialog, Package::MessageSummary].into_iter().find(|p| p.as_str().eq_ignore_ascii_case(name))
    }

    /// As Event says it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Package::Dialog => "dialog",
            Package::MessageSummary => "message-summary",
        }
    }

    /// Type of the bodies of its NOTIFYs.
    pub const fn content_type(self) -> &'static str {
        match self {
            Package::Dialog => "application/dialog-info+xml",
            Package::MessageSummary => "application/simple-message-summary",
        }
    }
}

/// Who wants to be told of something, until when.
#[derive(Clone, Debug, PartialEq)]
pub struct Subscription {
    /// Between the subscriber and us.
    pub dialog: Dialog,
    /// What it is about.
    pub package: Package,
    /// When it ends, unless it is refreshed.
    pub until: Time,
    /// Event as it came, with its `id` where it has one.
    event: String,
    /// How many NOTIFYs were sent: the version of the next document.
    pub version: u32,
}

impl Subscription {
    /// The subscription that `request`, which came over `hop`, begins; `tag` is ours.
    pub fn accept(request: &Request, hop: Hop, tag: &str, package: Package, until: Time) -> Result<Self, Malformed> {
        let dialog = Dialog::uas(request, hop, tag)?;
        let event = request.headers.get("Event").unwrap_or(package.as_str()).to_owned();
        Ok(Subscription { dialog, package, until, event, version: 0 })
    }

    /// A SUBSCRIBE within the dialog. False: it is out of order.
    pub fn refresh(&mut self, request: &Request, hop: Hop, until: Time) -> bool {
        if !self.dialog.accepts(request) {
            return false;
        }
        self.dialog.refresh_target(&request.headers);
        (self.until, self.dialog.hop) = (until, hop);
        true
    }

    /// The next NOTIFY. After `until` it says that the subscription is over.
    pub fn notify(&mut self, now: Time, contact: &NameAddr, body: String) -> Request {
        let mut notify = self.dialog.request(Method::Notify, contact);
        let left = (self.until - now).as_secs();
        let state = match self.until > now {
            true => format!("active;expires={left}"),
            false => "terminated;reason=timeout".to_owned(),
        };
        notify.headers.push("Event", self.event.as_str());
        notify.headers.push("Subscription-State", state);
        notify.headers.push("Content-Type", self.package.content_type());
        notify.body = body.into();
        self.version += 1;
        notify
    }
}
