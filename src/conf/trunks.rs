//! Carriers and outgoing calls: `[[trunk]]`, `[outbound]`, `[[outbound.rule]]`.

use std::{collections::BTreeSet, sync::Arc};

use serde::Deserialize;

use super::{Document, Fault, settings::At};
use crate::{
    codec::Codec,
    sip::{
        Uri,
        auth::{Credentials, Secret},
        register::Account,
    },
    switch::{
        Cap, CapBy, HeaderRule, Identity, KeysOut, Network, Outbound, Pattern, Rewrite, Rule, Trail, Trunk, Trunking,
        Voucher, What,
    },
};

#[derive(Clone, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct TrunkTable {
    pub name: String,
    pub target: Vec<String>,
    pub source: Vec<String>,
    pub trusted: bool,
    pub max_calls: u64,
    pub max_calls_per_second: u64,
    pub queue_s: u64,
    pub codecs: Vec<String>,
    pub security: String,
    pub in_called: Vec<RewriteTable>,
    pub in_caller: Vec<RewriteTable>,
    pub out_caller: Vec<RewriteTable>,
    pub from_user: String,
    pub from_host: String,
    pub identity: String,
    pub diversion: String,
    pub history: String,
    pub headers: Vec<HeaderTable>,
    pub user: String,
    pub password: String,
    pub proves: bool,
    pub register: String,
    pub register_expires_s: u64,
    pub options_s: u64,
    pub progress_ms: u64,
    pub keys_out: String,
}

/// A password is never printed.
impl std::fmt::Debug for TrunkTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TrunkTable").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Default for TrunkTable {
    fn default() -> TrunkTable {
        TrunkTable {
            name: String::new(),
            target: Vec::new(),
            source: Vec::new(),
            trusted: false,
            max_calls: 0,
            max_calls_per_second: 0,
            queue_s: 0,
            codecs: Vec::new(),
            security: String::new(),
            in_called: Vec::new(),
            in_caller: Vec::new(),
            out_caller: Vec::new(),
            from_user: String::new(),
            from_host: String::new(),
            identity: "none".to_owned(),
            diversion: "drop".to_owned(),
            history: "drop".to_owned(),
            headers: Vec::new(),
            user: String::new(),
            password: String::new(),
            proves: false,
            register: String::new(),
            register_expires_s: 600,
            options_s: 0,
            progress_ms: 0,
            keys_out: "auto".to_owned(),
        }
    }
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct RewriteTable {
    pub number: String,
    #[serde(default)]
    pub strip: u64,
    #[serde(default)]
    pub prepend: String,
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct HeaderTable {
    pub name: String,
    pub action: String,
    #[serde(default)]
    pub value: String,
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct OutboundTable {
    pub allow_uris: bool,
    pub rewrite: Vec<RewriteTable>,
    pub emergency: Vec<String>,
    pub next_on: Vec<u64>,
    #[serde(default)]
    pub rule: Vec<RuleTable>,
    #[serde(default)]
    pub cap: Vec<CapTable>,
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct CapTable {
    pub number: String,
    pub by: String,
    #[serde(default)]
    pub calls: u64,
    #[serde(default)]
    pub spend: f64,
    #[serde(default = "hour")]
    pub period_s: u64,
    #[serde(default = "most")]
    pub alarm_percent: u64,
}

fn hour() -> u64 {
    3600
}

fn most() -> u64 {
    80
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct RuleTable {
    pub number: String,
    #[serde(default)]
    pub trunk: String,
    #[serde(default)]
    pub strip: u64,
    #[serde(default)]
    pub prepend: String,
    #[serde(default)]
    pub price: f64,
    #[serde(default = "one")]
    pub priority: u64,
    #[serde(default = "one")]
    pub weight: u64,
}

fn one() -> u64 {
    1
}

/// Millionths of what is written as a price.
const MILLION: f64 = 1e6;

impl At<'_> {
    pub(super) fn trunking(&self, document: &Document) -> Result<Trunking, Fault> {
        let mut trunks: Vec<Arc<Trunk>> = Vec::new();
        for (index, table) in document.trunk.iter().enumerate() {
            let trunk = self.trunk(&format!("trunk[{index}]"), table)?;
            if trunks.iter().any(|other| other.name == trunk.name) {
                return Err(self.fault(&format!("trunk[{index}].name"), quoted(&table.name), "each name once"));
            }
            trunks.push(Arc::new(trunk));
        }
        let outbound = self.outbound(&document.outbound, &trunks)?;
        Ok(Trunking { trunks, outbound })
    }

    fn trunk(&self, place: &str, table: &TrunkTable) -> Result<Trunk, Fault> {
        let key = |name: &str| format!("{place}.{name}");
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if table.name.is_empty() || !table.name.chars().all(plain) {
            return Err(self.fault(&key("name"), quoted(&table.name), "letters, digits, `-`, `_`, `.`"));
        }
        let codecs = match table.codecs.is_empty() {
            true => Vec::<Codec>::new(),
            false => self.codecs(&key("codecs"), &table.codecs)?,
        };
        Ok(Trunk {
            name: Arc::from(table.name.as_str()),
            targets: self.each(&key("target"), &table.target, target, "sip:host, sip:host:port, without user")?,
            sources: self.each(&key("source"), &table.source, network, "an IP address, or address/bits")?,
            trusted: table.trusted,
            calls: self.number(&key("max_calls"), table.max_calls, 0..=1_000_000)?,
            calls_per_second: self.number(&key("max_calls_per_second"), table.max_calls_per_second, 0..=10_000)?,
            queue: self.seconds(&key("queue_s"), table.queue_s, 0..=3600)?,
            codecs,
            security: self.own_policy(&key("security"), &table.security)?,
            in_called: self.rewrites(&key("in_called"), &table.in_called)?,
            in_caller: self.rewrites(&key("in_caller"), &table.in_caller)?,
            out_caller: self.rewrites(&key("out_caller"), &table.out_caller)?,
            identity: self.identity(&key, table)?,
            headers: self.headers(&key("headers"), &table.headers)?,
            credentials: credentials(table),
            proves: self.proves(&key, table)?,
            registration: self.registration(&key, table)?,
            options: self.seconds(&key("options_s"), table.options_s, 0..=86_400)?,
            progress: self.millis(&key("progress_ms"), table.progress_ms, 0..=60_000)?,
            keys_out: self.keys_out(&key("keys_out"), &table.keys_out)?,
        })
    }

    fn keys_out(&self, key: &str, found: &str) -> Result<KeysOut, Fault> {
        Ok(match self.one_of(key, found, &["auto", "rfc4733", "info", "inband"])?.as_str() {
            "rfc4733" => KeysOut::Events,
            "info" => KeysOut::Info,
            "inband" => KeysOut::Tones,
            _ => KeysOut::Auto,
        })
    }

    /// Each of several texts read by `read`, which yields None for what is not allowed.
    fn each<T>(
        &self,
        key: &str,
        found: &[String],
        read: impl Fn(&str) -> Option<T>,
        allowed: &str,
    ) -> Result<Vec<T>, Fault> {
        found.iter().map(|text| read(text).ok_or_else(|| self.fault(key, quoted(text), allowed))).collect()
    }

    fn identity(&self, key: &impl Fn(&str) -> String, table: &TrunkTable) -> Result<Identity, Fault> {
        let trail = |name: &str, found: &str| {
            let word = self.one_of(&key(name), found, &["drop", "keep", "set"])?;
            Ok(match word.as_str() {
                "keep" => Trail::Keep,
                "set" => Trail::Set,
                _ => Trail::Drop,
            })
        };
        let part = |name: &str, found: &str, uri: String| match found.is_empty() {
            true => Ok(None),
            false if Uri::parse(&uri).is_ok() => Ok(Some(found.to_owned())),
            false => Err(self.fault(&key(name), quoted(found), "what can stand there in a SIP address")),
        };
        Ok(Identity {
            from_user: part("from_user", &table.from_user, format!("sip:{}@x", table.from_user))?,
            from_host: part("from_host", &table.from_host, format!("sip:x@{}", table.from_host))?,
            voucher: match self.one_of(&key("identity"), &table.identity, &["none", "pai", "ppi", "rpid"])?.as_str() {
                "pai" => Voucher::Asserted,
                "ppi" => Voucher::Preferred,
                "rpid" => Voucher::RemoteParty,
                _ => Voucher::Nothing,
            },
            diversion: trail("diversion", &table.diversion)?,
            history: trail("history", &table.history)?,
        })
    }

    fn registration(&self, key: &impl Fn(&str) -> String, table: &TrunkTable) -> Result<Option<Account>, Fault> {
        if table.register.is_empty() {
            return Ok(None);
        }
        let allowed = "sip:host, sip:host:port, without user";
        let registrar = target(&table.register);
        let registrar = registrar.ok_or_else(|| self.fault(&key("register"), quoted(&table.register), allowed))?;
        let host = if table.from_host.is_empty() { &registrar.host } else { &table.from_host };
        let address = Uri::parse(&format!("sip:{}@{host}", table.user)).map_err(|_| {
            let allowed = "the user that registers, as it stands in a SIP address";
            self.fault(&key("user"), quoted(&table.user), allowed)
        })?;
        let expires = self.seconds(&key("register_expires_s"), table.register_expires_s, 30..=604_800)?;
        Ok(Some(Account { registrar, address, credentials: credentials(table), expires }))
    }

    fn proves(&self, key: &impl Fn(&str) -> String, table: &TrunkTable) -> Result<bool, Fault> {
        if table.proves && credentials(table).is_none() {
            return Err(self.fault(&key("proves"), "true without user and password", "both of them, or false"));
        }
        Ok(table.proves)
    }

    fn rewrites(&self, key: &str, found: &[RewriteTable]) -> Result<Vec<Rewrite>, Fault> {
        let one = |table: &RewriteTable| {
            let strip = self.number(key, table.strip, 0..=64)?;
            let prepend = self.prefix(key, &table.prepend)?;
            Ok(Rewrite { number: self.pattern(key, &table.number)?, strip, prepend })
        };
        found.iter().map(one).collect()
    }

    fn prefix(&self, key: &str, found: &str) -> Result<String, Fault> {
        let proper = found.chars().all(|c| c.is_ascii_digit() || "+*#".contains(c));
        proper.then(|| found.to_owned()).ok_or_else(|| self.fault(key, quoted(found), "digits, `+`, `*`, `#`"))
    }

    fn pattern(&self, key: &str, found: &str) -> Result<Pattern, Fault> {
        let allowed = "digits, letters, X, N, and `*` at the end";
        Pattern::parse(found).map_err(|error| self.fault(key, format_args!("\"{found}\" ({error})"), allowed))
    }

    fn headers(&self, key: &str, found: &[HeaderTable]) -> Result<Vec<HeaderRule>, Fault> {
        let one = |table: &HeaderTable| {
            let what = match self.one_of(key, &table.action, &["set", "add", "remove", "copy"])?.as_str() {
                "set" => What::Set(table.value.clone()),
                "add" => What::Add(table.value.clone()),
                "remove" => What::Remove,
                _ => What::Copy,
            };
            let rule = HeaderRule { name: table.name.clone(), what };
            let allowed = "a header that the stack does not need, and a value of one line";
            if rule.is_allowed() { Ok(rule) } else { Err(self.fault(key, quoted(&table.name), allowed)) }
        };
        found.iter().map(one).collect()
    }

    fn outbound(&self, table: &OutboundTable, trunks: &[Arc<Trunk>]) -> Result<Outbound, Fault> {
        let code = |code: &u64| self.number("outbound.next_on", *code, 400..=599);
        let rule = |(index, table): (usize, &RuleTable)| {
            let key = |name: &str| format!("outbound.rule[{index}].{name}");
            let known = trunks.iter().find(|trunk| *trunk.name == *table.trunk);
            if known.is_none() && !table.trunk.is_empty() {
                let names: Vec<&str> = trunks.iter().map(|trunk| &*trunk.name).collect();
                let allowed = format!("the name of a trunk ({}), or empty to deny", names.join(", "));
                return Err(self.fault(&key("trunk"), quoted(&table.trunk), allowed));
            }
            Ok(Rule {
                number: self.pattern(&key("number"), &table.number)?,
                trunk: known.map(|trunk| trunk.name.clone()),
                strip: self.number(&key("strip"), table.strip, 0..=64)?,
                prepend: self.prefix(&key("prepend"), &table.prepend)?,
                price: self.price(&key("price"), table.price)?,
                priority: self.number(&key("priority"), table.priority, 0..=1000)?,
                weight: self.number(&key("weight"), table.weight, 0..=1000)?,
            })
        };
        Ok(Outbound {
            allow_uris: table.allow_uris,
            rewrite: self.rewrites("outbound.rewrite", &table.rewrite)?,
            emergency: table
                .emergency
                .iter()
                .map(|n| self.prefix("outbound.emergency", n))
                .collect::<Result<_, _>>()?,
            next_on: table.next_on.iter().map(code).collect::<Result<BTreeSet<_>, _>>()?,
            rules: table.rule.iter().enumerate().map(rule).collect::<Result<_, _>>()?,
            caps: table.cap.iter().enumerate().map(|cap| self.cap(cap)).collect::<Result<_, _>>()?,
        })
    }

    fn cap(&self, (index, table): (usize, &CapTable)) -> Result<Cap, Fault> {
        let key = |name: &str| format!("outbound.cap[{index}].{name}");
        let calls: u32 = self.number(&key("calls"), table.calls, 0..=100_000_000)?;
        let spend = self.price(&key("spend"), table.spend)?;
        if calls == 0 && spend == 0 {
            return Err(self.fault(&key("calls"), "neither calls nor spend", "one of both, or both"));
        }
        Ok(Cap {
            number: self.pattern(&key("number"), &table.number)?,
            by: match self.one_of(&key("by"), &table.by, &["trunk", "caller", "all"])?.as_str() {
                "trunk" => CapBy::Trunk,
                "caller" => CapBy::Caller,
                _ => CapBy::All,
            },
            calls: (calls > 0).then_some(calls),
            spend: (spend > 0).then_some(spend),
            period: self.seconds(&key("period_s"), table.period_s, 1..=31_622_400)?,
            alarm: self.number(&key("alarm_percent"), table.alarm_percent, 1..=100)?,
        })
    }

    /// An amount of money, in millionths.
    fn price(&self, key: &str, found: f64) -> Result<u64, Fault> {
        if !(0.0..=1e6).contains(&found) {
            return Err(self.fault(key, found, "0 to 1000000"));
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked")]
        Ok((found * MILLION).round() as u64)
    }
}

fn quoted(text: &str) -> String {
    format!("{text:?}")
}

fn credentials(table: &TrunkTable) -> Option<Credentials> {
    let known = !table.user.is_empty() && !table.password.is_empty();
    known.then(|| Credentials { user: table.user.clone(), secret: Secret::Password(table.password.clone()) })
}

fn target(text: &str) -> Option<Uri> {
    Uri::parse(text).ok().filter(|uri| uri.is_sip() && uri.user.is_none() && uri.headers.is_empty())
}

fn network(text: &str) -> Option<Network> {
    text.parse().ok()
}

#[cfg(test)]
#[path = "trunks_tests.rs"]
mod tests;
