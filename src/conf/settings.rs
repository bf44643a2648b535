//! The configuration as the program uses it: ranges checked, names looked up, each folder's own `Config` filled in.

use std::{
    fmt::Display,
    fs,
    net::SocketAddr,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use super::{DEFAULTS, Document, Fault, Keys, StoreConf};
use crate::{
    audio::tone::countries,
    codec::Codec,
    hooks::{ArchiveConfig, CertificatesConfig, SpeechConfig, StreamConfig, WebConfig},
    io::{dns::DnsConfig, driver::Choice, pace::Gather, streams::tls::TlsConfig},
    media,
    script::Limits,
    sip::Transport,
    switch::{Access, GuardConfig, MediaSecurity, MessageConfig, Phones, Route, Rules, Trunking, stir},
    verbs::Roster,
};

/// Everything that the program is told.
#[derive(Clone, Debug, PartialEq)]
pub struct Conf {
    /// Directive of the log filter.
    pub log_level: String,
    /// For people or machines.
    pub log_format: LogFormat,
    /// Where files are.
    pub folders: Folders,
    /// Where call records and events are kept.
    pub store: StoreConf,
    /// Queues, agents and AI agents.
    pub roster: Arc<Roster>,
    /// SIP timers and limits; the rest comes with the interfaces that could be opened.
    pub sip: SipConf,
    /// Who is kept out; the access lists are with the interfaces.
    pub guard: GuardConfig,
    /// Certificates.
    pub tls: TlsConfig,
    /// How often the certificates' files are looked at.
    pub tls_reload: Duration,
    /// How names are looked up.
    pub dns: DnsConfig,
    /// How calls are kept once they are set up.
    pub rules: Rules,
    /// Where to listen.
    pub interfaces: Vec<InterfaceConf>,
    /// Media threads; 0: by the machine's size.
    pub workers: u8,
    /// How media packets are read and written.
    pub driver: Choice,
    /// UDP ports for RTP and RTCP.
    pub rtp_ports: RangeInclusive<u16>,
    /// Mark on RTP packets.
    pub rtp_dscp: u8,
    /// Gather wake-ups.
    pub gather: Gather,
    /// Best first.
    pub codecs: Vec<Codec>,
    /// Names of formats that are passed on, though we cannot decode them.
    pub relayed: Vec<String>,
    /// Comfort noise is sent in the place of silence.
    pub comfort_noise: bool,
    /// Packet length, ms.
    pub ptime: u8,
    /// Whether media is encrypted; its secrets are made at the start.
    pub security: MediaSecurity,
    /// Limits of the engines.
    pub media: media::Config,
    /// Whose tones.
    pub country: String,
    /// What becomes of recordings after their call.
    pub archive: ArchiveConfig,
    /// How text becomes sound.
    pub speech: SpeechConfig,
    /// How sounds are fetched from web servers.
    pub web: WebConfig,
    /// Programs outside that calls are streamed to.
    pub stream: StreamConfig,
    /// Limits of flows.
    pub script: Limits,
    /// Script threads.
    pub script_threads: u8,
    /// Fresh machines kept ready.
    pub script_pool: usize,
    /// Legs that one flow may dial at a time.
    pub max_legs: usize,
    /// Numbers to scripts.
    pub routes: Vec<Route>,
    /// Signed callers.
    pub stir: stir::Config,
    /// How their certificates are fetched.
    pub certificates: CertificatesConfig,
    /// Carriers, and which numbers may be called.
    pub trunking: Trunking,
    /// The phones that may register, and who else may call.
    pub phones: Phones,
    /// Text messages.
    pub messages: MessageConfig,
    /// All of it as it was written, to compare it with another.
    pub keys: Keys,
}

/// SIP timers and limits.
#[derive(Clone, Debug, PartialEq)]
pub struct SipConf {
    pub agent: String,
    pub tcp: bool,
    pub t1: Duration,
    pub t2: Duration,
    pub t4: Duration,
    pub ring_limit: Duration,
    pub max_message: usize,
    pub max_headers: usize,
    pub max_transactions: usize,
    pub max_connections: usize,
    pub max_calls: usize,
    pub drain: Duration,
    pub dscp: u8,
    pub failover: Duration,
    pub avoid: Duration,
}

/// One `[[interface]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfaceConf {
    /// Address and port to listen on; the address may be a wildcard.
    pub bind: SocketAddr,
    /// What peers are told; absent: `bind`.
    pub advertise: Option<Advertise>,
    /// Go on without it when the port is in use.
    pub allow_busy: bool,
    /// Who may talk to it.
    pub access: Access,
    /// Ports for TLS, WebSocket and secure WebSocket; 0: any free one.
    pub ports: [(Transport, Option<u16>); 3],
}

/// What peers are told instead of the address that is bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advertise {
    /// Public address.
    pub ip: std::net::IpAddr,
    /// Public SIP port; absent: the one that is bound.
    pub port: Option<u16>,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
}

/// Where files are.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each key is explained where users read it: in conf/switchhook.toml")]
pub struct Folders {
    pub scripts: PathBuf,
    pub prompts: PathBuf,
    pub recordings: PathBuf,
    pub records: PathBuf,
    pub state: PathBuf,
}

impl Conf {
    /// The configuration of `file`; absent: the defaults.
    pub fn load(file: Option<&Path>) -> Result<Conf, Fault> {
        let Some(file) = file else { return Conf::read("defaults", DEFAULTS) };
        let name = file.display().to_string();
        let text = fs::read_to_string(file).map_err(|error| Fault {
            file: name.clone(),
            line: None,
            key: String::new(),
            what: format!("{error}; allowed: a readable TOML file"),
        })?;
        Conf::read(&name, &text)
    }

    /// The configuration in `text`, laid over the defaults. `file` is only named in faults.
    pub fn read(file: &str, text: &str) -> Result<Conf, Fault> {
        let document = Document::read(file, text)?;
        let at = At { file, text };
        at.interfaces(&document)?;
        let script = &document.script;
        let media = &document.media;
        Ok(Conf {
            log_level: at.one_of("log.level", &document.log.level, &["error", "warn", "info", "debug", "trace"])?,
            log_format: match at.one_of("log.format", &document.log.format, &["text", "json"])?.as_str() {
                "json" => LogFormat::Json,
                _ => LogFormat::Text,
            },
            folders: folders(&document),
            store: at.store(&document)?,
            roster: Arc::new(at.roster(&document)?),
            sip: at.sip(&document)?,
            guard: at.guard(&document)?,
            tls: at.tls(&document)?,
            tls_reload: at.seconds("tls.reload_s", document.tls.reload_s, 1..=86_400)?,
            dns: at.dns(&document)?,
            rules: at.rules(&document)?,
            interfaces: at.interfaces(&document)?,
            workers: at.number("media.workers", media.workers, 0..=64)?,
            driver: match at.one_of("media.driver", &media.driver, &["auto", "io_uring", "epoll"])?.as_str() {
                "io_uring" => Choice::IoUring,
                "epoll" => Choice::Epoll,
                _ => Choice::Auto,
            },
            rtp_ports: at.ports("media.rtp_ports", &media.rtp_ports)?,
            rtp_dscp: at.number("media.dscp", media.dscp, 0..=63)?,
            gather: at.gather("media.gather_us", &media.gather_us)?,
            codecs: at.codecs("media.codecs", &media.codecs)?,
            relayed: media.relayed.clone(),
            comfort_noise: media.comfort_noise,
            ptime: at.ptime("media.ptime_ms", media.ptime_ms)?,
            security: at.media_security(media)?,
            media: at.media(&document)?,
            country: at.one_of("media.country", &media.country, &countries().collect::<Vec<_>>())?,
            archive: at.archive(&document)?,
            speech: SpeechConfig {
                engine: document.speech.engine.clone(),
                voice: document.speech.voice.clone(),
                language: document.speech.language.clone(),
                cache: at.number::<usize>("speech.cache_mb", document.speech.cache_mb, 0..=65_536)? << 20,
            },
            web: at.web(&document)?,
            stream: at.stream(&document)?,
            script: at.limits(&document)?,
            script_threads: at.number("script.threads", script.threads, 1..=64)?,
            script_pool: at.number("script.pool", script.pool, 0..=10_000)?,
            max_legs: at.number("script.max_legs", script.max_legs, 1..=1000)?,
            routes: at.routes(&document)?,
            stir: at.stir(&document.stir)?,
            certificates: at.certificates(&document.stir, &document.sip.agent)?,
            trunking: at.trunking(&document)?,
            phones: at.phones(&document)?,
            messages: at.messages(&document)?,
            keys: document.keys,
        })
    }
}

fn folders(document: &Document) -> Folders {
    let of = |text: &String| PathBuf::from(text);
    let folders = &document.folders;
    Folders {
        scripts: of(&folders.scripts),
        prompts: of(&folders.prompts),
        recordings: of(&folders.recordings),
        records: of(&folders.records),
        state: of(&folders.state),
    }
}

/// Where the values were found, for faults.
pub(super) struct At<'a> {
    pub file: &'a str,
    pub text: &'a str,
}

impl At<'_> {
    pub(super) fn fault(&self, key: &str, found: impl Display, allowed: impl Display) -> Fault {
        Fault::value(self.file, self.text, key, found, allowed)
    }

    pub(super) fn number<T: TryFrom<u64>>(
        &self,
        key: &str,
        found: u64,
        allowed: RangeInclusive<u64>,
    ) -> Result<T, Fault> {
        let fits = allowed.contains(&found).then(|| T::try_from(found).ok()).flatten();
        fits.ok_or_else(|| self.fault(key, found, format_args!("{} to {}", allowed.start(), allowed.end())))
    }

    pub(super) fn millis(&self, key: &str, found: u64, allowed: RangeInclusive<u64>) -> Result<Duration, Fault> {
        self.number(key, found, allowed).map(Duration::from_millis)
    }

    pub(super) fn seconds(&self, key: &str, found: u64, allowed: RangeInclusive<u64>) -> Result<Duration, Fault> {
        self.number(key, found, allowed).map(Duration::from_secs)
    }

    pub(super) fn one_of(&self, key: &str, found: &str, allowed: &[&str]) -> Result<String, Fault> {
        match allowed.iter().find(|one| one.eq_ignore_ascii_case(found)) {
            Some(one) => Ok((*one).to_owned()),
            None => Err(self.fault(key, format_args!("\"{found}\""), allowed.join(", "))),
        }
    }

    fn sip(&self, document: &Document) -> Result<SipConf, Fault> {
        let sip = &document.sip;
        if sip.agent.chars().any(char::is_control) {
            return Err(self.fault("sip.agent", format_args!("{:?}", sip.agent), "text without control characters"));
        }
        Ok(SipConf {
            agent: sip.agent.clone(),
            tcp: sip.tcp,
            t1: self.millis("sip.t1_ms", sip.t1_ms, 10..=10_000)?,
            t2: self.millis("sip.t2_ms", sip.t2_ms, sip.t1_ms..=60_000)?,
            t4: self.millis("sip.t4_ms", sip.t4_ms, 10..=60_000)?,
            ring_limit: self.seconds("sip.ring_limit_s", sip.ring_limit_s, 1..=3600)?,
            max_message: self.number("sip.max_message", sip.max_message, 1500..=1_048_576)?,
            max_headers: self.number("sip.max_headers", sip.max_headers, 20..=10_000)?,
            max_transactions: self.number("sip.max_transactions", sip.max_transactions, 10..=10_000_000)?,
            max_connections: self.number("sip.max_connections", sip.max_connections, 0..=1_000_000)?,
            max_calls: self.number("sip.max_calls", sip.max_calls, 1..=1_000_000)?,
            drain: self.seconds("sip.drain_s", sip.drain_s, 0..=86_400)?,
            dscp: self.number("sip.dscp", sip.dscp, 0..=63)?,
            failover: self.millis("sip.failover_ms", sip.failover_ms, 100..=60_000)?,
            avoid: self.seconds("sip.avoid_s", sip.avoid_s, 0..=86_400)?,
        })
    }

    fn interfaces(&self, document: &Document) -> Result<Vec<InterfaceConf>, Fault> {
        if document.interface.is_empty() || document.interface.len() > 64 {
            return Err(self.fault("interface", document.interface.len(), "1 to 64 tables [[interface]]"));
        }
        let one = |(index, interface): (usize, &super::document::Interface)| {
            let bind = interface.bind.parse().map_err(|_| {
                let found = format!("\"{}\"", interface.bind);
                self.fault(
                    &format!("interface[{index}].bind"),
                    found,
                    "address:port, such as 192.0.2.1:5060 or [::]:5060",
                )
            })?;
            let advertise = self.advertise(index, &interface.advertise)?;
            let access = self.access(index, interface)?;
            let ports = self.transports(index, interface)?;
            Ok(InterfaceConf { bind, advertise, allow_busy: interface.allow_busy, ports, access })
        };
        document.interface.iter().enumerate().map(one).collect()
    }

    fn advertise(&self, index: usize, found: &str) -> Result<Option<Advertise>, Fault> {
        if found.is_empty() {
            return Ok(None);
        }
        if let Ok(ip) = found.parse() {
            return Ok(Some(Advertise { ip, port: None }));
        }
        match found.parse::<SocketAddr>() {
            Ok(address) => Ok(Some(Advertise { ip: address.ip(), port: Some(address.port()) })),
            Err(_) => {
                let key = format!("interface[{index}].advertise");
                Err(self.fault(&key, format_args!("\"{found}\""), "an IP address, or address:port, or empty"))
            }
        }
    }

    fn ports(&self, key: &str, found: &str) -> Result<RangeInclusive<u16>, Fault> {
        let range = found.split_once('-').and_then(|(first, last)| {
            let (first, last) = (first.trim().parse::<u16>().ok()?, last.trim().parse::<u16>().ok()?);
            (first >= 1024 && last > first).then_some(first..=last)
        });
        range.ok_or_else(|| {
            self.fault(key, format_args!("\"{found}\""), "FIRST-LAST, from 1024 to 65535, two or more ports")
        })
    }

    fn gather(&self, key: &str, found: &str) -> Result<Gather, Fault> {
        if found.eq_ignore_ascii_case("auto") {
            return Ok(Gather::Auto);
        }
        match found.parse::<u64>() {
            Ok(micros @ 0..=1000) => Ok(Gather::Fixed(Duration::from_micros(micros))),
            Ok(_) | Err(_) => Err(self.fault(key, format_args!("\"{found}\""), "auto, or \"0\" to \"1000\"")),
        }
    }

    pub(super) fn codecs(&self, key: &str, found: &[String]) -> Result<Vec<Codec>, Fault> {
        let names = Codec::ALL.map(Codec::word).join(", ");
        let one = |name: &String| {
            let codec = Codec::ALL.into_iter().find(|codec| codec.word().eq_ignore_ascii_case(name));
            codec.ok_or_else(|| self.fault(key, format_args!("\"{name}\""), &names))
        };
        let codecs = found.iter().map(one).collect::<Result<Vec<_>, _>>()?;
        if codecs.is_empty() {
            return Err(self.fault(key, "none", format_args!("one or more of {names}")));
        }
        Ok(codecs)
    }

    fn ptime(&self, key: &str, found: u64) -> Result<u8, Fault> {
        match found {
            10 | 20 | 30 | 40 | 60 => self.number(key, found, 10..=60),
            _ => Err(self.fault(key, found, "10, 20, 30, 40 or 60")),
        }
    }

    fn media(&self, document: &Document) -> Result<media::Config, Fault> {
        let media = &document.media;
        let jitter_min = self.millis("media.jitter_min_ms", media.jitter_min_ms, 0..=500)?;
        Ok(media::Config {
            jitter_min,
            jitter_max: self.millis("media.jitter_max_ms", media.jitter_max_ms, media.jitter_min_ms.max(20)..=1000)?,
            relatch_after: self.millis("media.relatch_after_ms", media.relatch_after_ms, 100..=600_000)?,
            silence_timeout: self.seconds("media.silence_timeout_s", media.silence_timeout_s, 1..=86_400)?,
            rtp_timeout: match media.rtp_timeout_s {
                0 => None,
                found => Some(self.seconds("media.rtp_timeout_s", found, media.silence_timeout_s..=86_400)?),
            },
            rtcp_interval: self.seconds("media.rtcp_interval_s", media.rtcp_interval_s, 1..=300)?,
            max_ports: self.number("sip.max_calls", document.sip.max_calls, 1..=1_000_000)?,
        })
    }

    fn limits(&self, document: &Document) -> Result<Limits, Fault> {
        let script = &document.script;
        Ok(Limits {
            memory: self.number::<usize>("script.memory_mb", script.memory_mb, 1..=4096)? << 20,
            slice_instructions: self.number(
                "script.slice_instructions",
                script.slice_instructions,
                1000..=10_000_000,
            )?,
            instructions: self.number::<u64>("script.max_instructions_m", script.max_instructions_m, 1..=1_000_000)?
                * 1_000_000,
            run_time: self.millis("script.run_ms", script.run_ms, 10..=600_000)?,
            ending_time: self.millis("script.ending_ms", script.ending_ms, 1..=60_000)?,
            coroutines: self.number("script.coroutines", script.coroutines, 0..=10_000)?,
            ..Limits::default()
        })
    }
}
