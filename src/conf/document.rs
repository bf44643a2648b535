//! The file as it is written: one struct a table, every key required, because the user's file is laid over the defaults.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{
    DEFAULTS, Fault, Keys,
    messages::MessagesTable,
    phones::{PhoneTable, PhonesTable},
    stir::Stir,
    stream::StreamTable,
    trunks::{OutboundTable, TrunkTable},
    web::WebTable,
    webhooks::{NumberingTable, WebhookTable},
};
use crate::verbs::{Agent, AiAgent, Queue};

/// The whole file.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "each key is explained where users read it: in conf/switchhook.toml")]
pub struct Document {
    /// All of it as it was written.
    #[serde(skip)]
    pub keys: Keys,
    pub log: Log,
    pub folders: Folders,
    pub store: StoreTable,
    pub api: ApiTable,
    #[serde(default)]
    pub webhook: Vec<WebhookTable>,
    pub numbering: NumberingTable,
    pub sip: Sip,
    pub guard: Guard,
    pub tls: Tls,
    pub dns: Dns,
    pub interface: Vec<Interface>,
    pub call: Call,
    pub media: Media,
    pub recording: Recording,
    pub siprec: Siprec,
    pub speech: Speech,
    pub web: WebTable,
    pub stream: StreamTable,
    pub script: Script,
    pub number: Vec<Number>,
    pub stir: Stir,
    #[serde(default)]
    pub trunk: Vec<TrunkTable>,
    pub outbound: OutboundTable,
    pub phones: PhonesTable,
    pub messages: MessagesTable,
    #[serde(default)]
    pub message: Vec<Number>,
    #[serde(default)]
    pub phone: Vec<PhoneTable>,
    #[serde(default)]
    pub queue: Vec<Queue>,
    #[serde(default)]
    pub agent: Vec<Agent>,
    #[serde(default)]
    pub ai_agent: Vec<AiAgent>,
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Log {
    pub level: String,
    pub format: String,
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Folders {
    pub scripts: String,
    pub prompts: String,
    pub recordings: String,
    pub records: String,
    pub state: String,
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct ApiTable {
    pub listen: String,
    pub tls: bool,
    pub requests_per_s: u64,
    pub max_per_address: u64,
    pub session_hours: u64,
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct StoreTable {
    pub database: String,
    pub spool_mb: u64,
    pub event_days: u64,
    pub record_days: u64,
    pub audit_days: u64,
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Sip {
    pub agent: String,
    pub tcp: bool,
    pub t1_ms: u64,
    pub t2_ms: u64,
    pub t4_ms: u64,
    pub ring_limit_s: u64,
    pub max_message: u64,
    pub max_headers: u64,
    pub max_transactions: u64,
    pub max_connections: u64,
    pub max_calls: u64,
    pub drain_s: u64,
    pub dscp: u64,
    pub failover_ms: u64,
    pub avoid_s: u64,
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    pub certificate: String,
    pub key: String,
    pub more: Vec<String>,
    pub trust: String,
    pub verify: bool,
    pub client_certificates: String,
    pub reload_s: u64,
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Dns {
    pub servers: Vec<String>,
    pub timeout_ms: u64,
    pub max_ttl_s: u64,
    pub cache: u64,
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Interface {
    pub bind: String,
    #[serde(default)]
    pub advertise: String,
    #[serde(default)]
    pub allow_busy: bool,
    #[serde(default)]
    pub allow: Vec<String>,
    #[serde(default)]
    pub deny: Vec<String>,
    #[serde(default)]
    pub tls: Port,
    #[serde(default)]
    pub ws: Port,
    #[serde(default)]
    pub wss: Port,
}

/// A port, or a word such as `off`.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(untagged)]
pub enum Port {
    Number(i64),
    Word(String),
}

impl Default for Port {
    fn default() -> Port {
        Port::Word("off".to_owned())
    }
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Call {
    pub hold: String,
    pub hold_music: String,
    pub transfer: String,
    pub unknown_number: u64,
    pub reliable: bool,
    pub fax: bool,
    pub session_timer_s: u64,
    pub session_min_s: u64,
    pub watchdog_s: u64,
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Siprec {
    pub recorder: String,
    pub always: bool,
    pub security: String,
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Guard {
    pub trusted: Vec<String>,
    pub rate: u64,
    pub burst: u64,
    pub ban_after: u64,
    pub window_s: u64,
    pub ban_s: u64,
    pub ban_max_s: u64,
    pub scanners: Vec<String>,
    pub max_sources: u64,
    pub shed_after_ms: u64,
    pub shed_answers: u64,
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Media {
    pub workers: u64,
    pub driver: String,
    pub rtp_ports: String,
    pub dscp: u64,
    pub gather_us: String,
    pub codecs: Vec<String>,
    pub relayed: Vec<String>,
    pub ptime_ms: u64,
    pub comfort_noise: bool,
    pub security: String,
    pub keys: String,
    pub jitter_min_ms: u64,
    pub jitter_max_ms: u64,
    pub relatch_after_ms: u64,
    pub silence_timeout_s: u64,
    pub rtp_timeout_s: u64,
    pub rtcp_interval_s: u64,
    pub country: String,
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Recording {
    pub max_rate: u64,
    pub keep_days: u64,
    pub max_gb: u64,
    pub number_max_gb: u64,
    pub max_minutes: u64,
    pub upload: String,
    pub upload_url: String,
    pub upload_key: String,
    pub upload_secret: String,
    pub upload_region: String,
    pub upload_remove: bool,
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Speech {
    pub engine: String,
    pub voice: String,
    pub language: String,
    pub cache_mb: u64,
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Script {
    pub threads: u64,
    pub memory_mb: u64,
    pub slice_instructions: u64,
    pub max_instructions_m: u64,
    pub run_ms: u64,
    pub ending_ms: u64,
    pub coroutines: u64,
    pub pool: u64,
    pub max_legs: u64,
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Number {
    pub number: String,
    #[serde(default)]
    pub script: String,
    #[serde(default)]
    pub vars: BTreeMap<String, String>,
    #[serde(default)]
    pub dial: Vec<String>,
    #[serde(default)]
    pub in_turn: bool,
    #[serde(default = "a_minute")]
    pub ring_s: u64,
    #[serde(default = "relay")]
    pub media: String,
}

fn relay() -> String {
    "relay".to_owned()
}

const fn a_minute() -> u64 {
    60
}

impl Document {
    /// The defaults with `text` laid over them. `file` is only named in faults.
    pub fn read(file: &str, text: &str) -> Result<Document, Fault> {
        let over: toml::Table = text.parse().map_err(|error| Fault::syntax(file, text, &error))?;
        let mut whole: toml::Table = DEFAULTS.parse().expect("the defaults are read by a test");
        lay(&mut whole, over);
        let keys = Keys::new(whole.clone());
        let read = serde_path_to_error::deserialize(toml::Value::Table(whole));
        let document: Document =
            read.map_err(|error| Fault::shape(file, text, &error.path().to_string(), error.inner().message()))?;
        Ok(Document { keys, ..document })
    }
}

/// Tables are laid key by key; anything else, lists too, is replaced.
fn lay(under: &mut toml::Table, over: toml::Table) {
    for (key, value) in over {
        match (under.get_mut(&key), value) {
            (Some(toml::Value::Table(under)), toml::Value::Table(over)) => lay(under, over),
            (_, value) => {
                under.insert(key, value);
            }
        }
    }
}
