//! Signed callers in calls: an INVITE that comes in is judged before its script starts, one that goes out is signed.
//!
//! ```text
//! INVITE ─▶ Identity read, fits? ─no─▶ verdict ─▶ treatment: the script starts, or the call is refused
//!                  └─yes─▶ certificate known? ─no─▶ Look ... Found ─▶ checked ─▶ verdict
//! ```
//!
//! A call that waits for a certificate is a call like any other: it can be cancelled, and it counts. What is fetched is
//! fetched once for all that wait for it, and kept; that it could not be fetched is kept for a moment, too.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;

use super::{
    Direction, Output, Pattern, TraceEvent,
    call::{Call, End},
    core::Core,
    route::Service,
    switch::Switch,
    trunk,
};
use crate::{
    facts::{Stir, StirVerdict},
    ids::CallId,
    sip::{
        Request,
        stir::{Attestation, Certificate, Claims, Identity, Reason, Signer, Trust, called, caller, write_date},
    },
    time::Time,
};

/// How long it is believed that a certificate cannot be had.
const MISSING: Duration = Duration::from_secs(10);
/// Certificates that are fetched at a time; who needs more is not verified.
const FETCHES: usize = 64;

/// What is done with a caller who is not verified.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Treatment {
    /// Its script starts, and sees the verdict.
    #[default]
    Allow,
    /// The same, and phones that the script rings show [`Verifying::mark`] for a name.
    Mark,
    /// The INVITE is refused with the code of RFC 8224 section 6.2.2, unless it is for an emergency number.
    Refuse,
}

/// Signed callers. Neither part is on by default.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    /// Absent: callers are not verified.
    pub verifying: Option<Verifying>,
    /// Absent: our calls are not signed.
    pub signing: Option<Signing>,
}

/// How callers are verified.
#[derive(Clone, Debug, PartialEq)]
pub struct Verifying {
    /// Whose signers are believed.
    pub trust: Trust,
    /// By reason; those that are not named are allowed.
    pub treatments: BTreeMap<Reason, Treatment>,
    /// The name that is shown for marked callers.
    pub mark: String,
    /// The script that takes the calls of marked callers; absent: the one of the number. Its variable `script` names
    /// that one.
    pub script: Option<Arc<str>>,
    /// Certificates that are kept.
    pub cache: usize,
    /// How long.
    pub keep: Duration,
}

/// How our calls are signed.
#[derive(Clone, Debug, PartialEq)]
pub struct Signing {
    /// With which key.
    pub signer: Signer,
    /// Dialled numbers whose calls are signed.
    pub to: Vec<Pattern>,
    /// Callers' numbers that are known to be theirs (A), or whose callers are known (B). With or without `+`.
    pub numbers: Vec<(Pattern, Attestation)>,
    /// For all other callers; absent: their calls are not signed.
    pub other: Option<Attestation>,
    /// Our name for where the calls come from: a UUID (RFC 8588 section 5).
    pub origid: String,
}

impl Signing {
    /// How sure we are of this number. Nothing is known of a number that a stranger only says is its own.
    fn attestation(&self, number: &str, vouched: bool) -> Option<Attestation> {
        let plus = format!("+{number}");
        let fits = |pattern: &Pattern| pattern.matches(&plus) || pattern.matches(number);
        let rule = self.numbers.iter().find(|(pattern, _)| vouched && fits(pattern));
        rule.map(|(_, attestation)| *attestation).or(self.other)
    }
}

/// What is known of a call's signature.
pub(super) enum Signature {
    /// Nobody asked.
    Unasked,
    /// The signer's certificate is being fetched; then the script starts.
    Waiting(Box<Waiting>),
    /// It was judged, or made by us.
    Known { told: Stir, marked: bool },
}

pub(super) struct Waiting {
    identity: Identity,
    /// What answers as soon as the caller is judged.
    service: Service,
}

/// What was fetched, and who waits for what, by address.
#[derive(Default)]
pub(super) struct Certificates {
    entries: BTreeMap<String, Entry>,
    /// How many of them are being fetched.
    coming: usize,
}

enum Entry {
    Asked(Vec<CallId>),
    Known { result: Result<Arc<Certificate>, Reason>, until: Time },
}

/// What asking for a certificate gave.
enum Asked {
    Known(Result<Arc<Certificate>, Reason>),
    /// It is on its way; `first`: it has to be fetched.
    Coming {
        first: bool,
    },
}

impl Certificates {
    /// How many are being fetched.
    pub fn coming(&self) -> usize {
        self.coming
    }

    /// What was found is not believed any more: the roots changed.
    pub fn forget(&mut self) {
        self.entries.retain(|_, entry| matches!(entry, Entry::Asked(_)));
    }

    fn ask(&mut self, now: Time, most: usize, url: &str, call: CallId) -> Asked {
        match self.entries.get_mut(url) {
            Some(Entry::Known { result, until }) if *until > now => return Asked::Known(result.clone()),
            Some(Entry::Asked(waiting)) => {
                waiting.push(call);
                return Asked::Coming { first: false };
            }
            Some(Entry::Known { .. }) | None => {}
        }
        if self.coming >= FETCHES {
            return Asked::Known(Err(Reason::NoCertificate));
        }
        self.entries.insert(url.to_owned(), Entry::Asked(vec![call]));
        self.coming += 1;
        self.shrink(most);
        Asked::Coming { first: true }
    }

    /// Who waited for it.
    fn found(&mut self, url: &str, result: Result<Arc<Certificate>, Reason>, until: Time) -> Vec<CallId> {
        let before = self.entries.insert(url.to_owned(), Entry::Known { result, until });
        self.waited(before)
    }

    /// Who waited for what nobody needs any more.
    fn give_up(&mut self, url: &str) -> Vec<CallId> {
        let before = self.entries.remove(url);
        self.waited(before)
    }

    fn waited(&mut self, before: Option<Entry>) -> Vec<CallId> {
        match before {
            Some(Entry::Asked(waiting)) => {
                self.coming -= 1;
                waiting
            }
            Some(Entry::Known { .. }) | None => Vec::new(),
        }
    }

    /// What would be forgotten first makes room.
    fn shrink(&mut self, most: usize) {
        while self.entries.len() > most.max(FETCHES) {
            let known = self.entries.iter().filter_map(|(url, entry)| match entry {
                Entry::Known { until, .. } => Some((*until, url)),
                Entry::Asked(_) => None,
            });
            let Some(url) = known.min().map(|(_, url)| url.clone()) else { return };
            self.entries.remove(&url);
        }
    }
}

impl Switch {
    /// Let `service` answer a call that came in, once its caller is judged.
    pub(super) fn vet(&mut self, id: CallId, service: Service) {
        // A phone of ours proved by its password who it is.
        let phone = self.calls.get(&id).is_some_and(|call| call.phone.is_some());
        let verifying = self.core.config.stir.verifying.as_ref().filter(|_| !phone);
        let Some(most) = verifying.map(|verifying| verifying.cache) else {
            return self.serve(id, service);
        };
        let Some((call, core)) = self.call(id) else { return };
        let Some(invite) = call.invite_request() else { return };
        let unix = core.unix();
        let identity = match Identity::read(&invite.headers) {
            Ok(identity) => identity,
            Err(reason) => return self.judge(id, None, Err(reason), service),
        };
        if let Err(reason) = identity.fits(&invite.headers, &invite.uri, unix) {
            return self.judge(id, Some(identity), Err(reason), service);
        }
        match core.certificates.ask(core.now, most, identity.url(), id) {
            Asked::Known(found) => {
                let outcome = found.and_then(|certificate| identity.check(&certificate, unix));
                self.judge(id, Some(identity), outcome, service);
            }
            Asked::Coming { first } => {
                if first {
                    core.out.push_back(Output::Look { url: identity.url().to_owned() });
                }
                call.signature = Signature::Waiting(Box::new(Waiting { identity, service }));
            }
        }
    }

    /// A certificate came, or did not.
    pub(super) fn on_found(&mut self, url: &str, result: Result<Bytes, String>) {
        let core = &mut self.core;
        let Some(verifying) = &core.config.stir.verifying else {
            let waiting = core.certificates.give_up(url);
            return self.let_start(waiting);
        };
        let (result, keep) = match result {
            Ok(bytes) => (verifying.trust.read(&bytes).map(Arc::new), verifying.keep),
            Err(why) => {
                tracing::warn!(url, why, "a signer's certificate cannot be fetched");
                (Err(Reason::NoCertificate), MISSING)
            }
        };
        let unix = core.unix();
        let waiting = core.certificates.found(url, result.clone(), core.now + keep);
        for id in waiting {
            let Some(Waiting { identity, service }) = self.waiting(id) else { continue };
            let outcome = result.clone().and_then(|certificate| identity.check(&certificate, unix));
            self.judge(id, Some(identity), outcome, service);
        }
    }

    /// Nobody verifies any more: who waited goes on.
    fn let_start(&mut self, waiting: Vec<CallId>) {
        for id in waiting {
            if let Some(Waiting { service, .. }) = self.waiting(id) {
                self.serve(id, service);
            }
        }
    }

    /// What a call waited with; None: it is over.
    fn waiting(&mut self, id: CallId) -> Option<Waiting> {
        let (call, _) = self.call(id)?;
        match std::mem::replace(&mut call.signature, Signature::Unasked) {
            Signature::Waiting(waiting) if call.over.is_none() => Some(*waiting),
            Signature::Waiting(_) => None,
            other @ (Signature::Unasked | Signature::Known { .. }) => {
                call.signature = other;
                None
            }
        }
    }

    fn serve(&mut self, id: CallId, service: Service) {
        match service {
            Service::Script { script, vars } => self.start_flow(id, script, vars),
            Service::Through(through) => self.put_through(id, &through),
        }
    }

    /// The verdict is there: note it, and do as the operator wishes.
    fn judge(&mut self, id: CallId, identity: Option<Identity>, outcome: Result<(), Reason>, service: Service) {
        let Some((call, core)) = self.call(id) else { return };
        let claims = identity.as_ref().map(Identity::claims);
        let reason = outcome.err();
        let told = Stir {
            verdict: match reason {
                None => StirVerdict::Passed,
                Some(Reason::Missing) => StirVerdict::Unsigned,
                Some(_) => StirVerdict::Failed,
            },
            attest: claims.and_then(Claims::attestation).map(Attestation::as_str),
            reason: reason.map(Reason::as_str),
            origid: claims.and_then(Claims::origid).map(str::to_owned),
        };
        let (verdict, why) = (told.verdict.as_str(), told.reason.unwrap_or("-"));
        tracing::info!(call = %call.name, verdict, attest = told.attest, why, "caller's signature");
        core.trace(id, TraceEvent::Call(format!("caller's signature: {verdict}, {why}")));
        let verifying = core.config.stir.verifying.as_ref();
        let treatment = reason.and_then(|reason| verifying?.treatments.get(&reason).copied()).unwrap_or_default();
        let urgent = trunk::is_emergency(&core.config.trunking, &call.about.to);
        call.signature = Signature::Known { told, marked: treatment == Treatment::Mark };
        match reason {
            Some(reason) if treatment == Treatment::Refuse && !urgent => {
                let (code, phrase) = reason.answer();
                let why = format!("STIR;cause={code};text=\"{}\"", reason.as_str());
                call.about.error = Some(format!("caller not verified: {}", reason.as_str()));
                call.refuse(core, code, Some(phrase), &[("Reason", why)], End::refusing(code));
            }
            Some(_) if treatment == Treatment::Mark => {
                let script = verifying.and_then(|verifying| verifying.script.clone());
                self.serve(id, marked(script, service));
            }
            Some(_) | None => self.serve(id, service),
        }
    }
}

/// What answers a marked caller.
fn marked(script: Option<Arc<str>>, own: Service) -> Service {
    let Some(script) = script else { return own };
    let vars = match own {
        Service::Script { script: own, mut vars } => {
            vars.retain(|(name, _)| name != "script");
            vars.push(("script".to_owned(), own.to_string()));
            vars
        }
        Service::Through(_) => Vec::new(),
    };
    Service::Script { script, vars }
}

impl Core {
    /// Seconds since 1970.
    fn unix(&self) -> u64 {
        self.epoch.unix(self.now).as_secs()
    }
}

impl Call {
    /// What its script and its record are told about the signature.
    pub fn stir(&self) -> Option<&Stir> {
        match &self.signature {
            Signature::Known { told, .. } => Some(told),
            Signature::Unasked | Signature::Waiting(_) => None,
        }
    }

    /// The name to be shown for the caller of this call, where it is to be marked.
    pub fn mark(&self, core: &Core) -> Option<String> {
        let marked = matches!(self.signature, Signature::Known { marked: true, .. });
        core.config.stir.verifying.as_ref().filter(|_| marked).map(|verifying| verifying.mark.clone())
    }

    /// True where the number that this caller shows may be taken for the caller's own: we made the call, the caller is a
    /// phone of ours, or the number is verified.
    pub fn is_vouched_for(&self) -> bool {
        let ours = self.about.direction == Direction::Outbound || self.phone.is_some();
        ours || self.stir().is_some_and(|told| told.verdict == StirVerdict::Passed)
    }

    /// Sign our INVITE, where the operator wishes that, and nobody else did.
    pub fn sign(&mut self, core: &Core, request: &mut Request) {
        let Some(signing) = &core.config.stir.signing else { return };
        let dialled = request.uri.user_decoded().unwrap_or_default();
        let wanted = signing.to.iter().any(|pattern| pattern.matches(&dialled));
        if !wanted || request.headers.get("Identity").is_some() {
            return;
        }
        let headers = &mut request.headers;
        let Some((orig, dest)) = caller(headers).zip(called(headers)) else { return };
        let Some(attestation) = signing.attestation(&orig, self.vouched) else { return };
        let (iat, origid) = (core.unix(), signing.origid.clone());
        let told = Stir {
            verdict: StirVerdict::Signed,
            attest: Some(attestation.as_str()),
            reason: None,
            origid: Some(origid.clone()),
        };
        let claims = Claims { orig, dest: vec![dest], iat, shaken: Some((attestation, origid)) };
        headers.set("Date", write_date(iat));
        headers.push("Identity", signing.signer.sign(&claims));
        self.signature = Signature::Known { told, marked: false };
    }
}
