//! What records, events and the API cost. Without the calls themselves: journal, spool and SQLite, as fast as they go
//! (`flood`) and at the pace of calls (`steady`). With the real program: calls that the API starts (`api`), and what
//! ten readers of events do to the audio of 300 calls (`pacing`).
//!
//! `cargo bench --bench records [-- flood|steady|api|pacing]`

mod api;
mod pacing;
mod phone;
#[allow(dead_code, reason = "each bench uses some of it")]
#[path = "../shared/mod.rs"]
mod shared;

use std::{collections::BTreeMap, fs, thread, time::Duration};

use shared::{Failure, calibrate, wait};

use nix::time::{ClockId, clock_gettime};
use switchhook::{
    ids::CallId,
    io::{Fact, clock::Clock},
    store::{Database, Days, Journal, JournalConfig, WriterConfig, spawn_journal, spawn_writer},
    switch::{CallRecord, Direction, EndReason, FlowRun, Progress, RunEnd, Status},
};

const CALLS: usize = 50_000;

fn progress(call: usize, status: Status) -> Fact {
    Fact::Progress(Box::new(Progress {
        id: format!("1795226792117-{call}"),
        call: CallId(call as u64),
        parent: None,
        direction: Direction::Inbound,
        from: "+4930123456".into(),
        to: "100".into(),
        trunk: Some("carrier".into()),
        sip_call_id: "60fec8041bb9ae5934c7a77adfdb3892".into(),
        start_ms: 1_795_226_793_419,
        answer_ms: None,
        status,
        script: Some("menu.lua".into()),
    }))
}

const PATH: [&str; 4] = ["menu.lua:3 answer", "menu.lua:7 play", "menu.lua:8 gather", "menu.lua:14 dial"];

fn record(call: usize) -> Fact {
    Fact::Record(Box::new(CallRecord {
        id: format!("1795226792117-{call}"),
        parent: None,
        partners: Vec::new(),
        direction: Direction::Inbound,
        from: "+4930123456".into(),
        to: "100".into(),
        trunk: Some("carrier".into()),
        cost: None,
        sip_call_id: "60fec8041bb9ae5934c7a77adfdb3892".into(),
        peer: Some("192.0.2.44:5060".into()),
        start_ms: 1_795_226_793_419,
        answer_ms: Some(1_795_226_793_520),
        end_ms: 1_795_226_796_580,
        talk_seconds: 3.06,
        total_seconds: 3.161,
        status: Status::Completed,
        end_reason: EndReason::CallerHangup,
        end_detail: None,
        code: Some(200),
        q850: Some(16),
        transferred: false,
        script: Some("menu.lua".into()),
        flow_version: Some("7".into()),
        path: PATH.map(str::to_owned).into(),
        path_left_out: 0,
        runs: vec![FlowRun {
            script: "menu.lua".into(),
            version: Some("7".into()),
            began_ms: 1_795_226_793_420,
            ended_ms: Some(1_795_226_796_580),
            end: Some(RunEnd::CallOver),
            path: PATH.map(str::to_owned).into(),
            path_left_out: 0,
        }],
        codec: Some("PCMU".into()),
        quality: Some(Default::default()),
        no_audio: None,
        recordings: vec![],
        recorded_parties: Default::default(),
        recording_errors: Vec::new(),
        stir: None,
        vars: Default::default(),
        error: None,
    }))
}

/// What a clock of the system shows.
fn read(clock: ClockId) -> Duration {
    clock_gettime(clock).expect("every Linux has it").into()
}

/// Microseconds of CPU of each thread but this one, by name.
fn threads() -> BTreeMap<String, f64> {
    let mut found = BTreeMap::new();
    let this = std::process::id().to_string();
    for thread in fs::read_dir("/proc/self/task").expect("proc is there").flatten() {
        // A thread may end meanwhile.
        let name = fs::read_to_string(thread.path().join("comm")).unwrap_or_default();
        let spent = fs::read_to_string(thread.path().join("schedstat")).unwrap_or_default();
        let ns: f64 = spent.split(' ').next().and_then(|ns| ns.parse().ok()).unwrap_or(0.0);
        if thread.file_name().to_str() != Some(&this) {
            *found.entry(name.trim().to_owned()).or_default() += ns / 1000.0;
        }
    }
    found
}

/// Journal, spool and SQLite, in a folder that goes with it.
struct Kept {
    journal: Journal,
    writer: thread::JoinHandle<()>,
    _folder: tempfile::TempDir,
}

impl Kept {
    fn start() -> Kept {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let spool = folder.path().join("spool");
        let journal = spawn_journal(JournalConfig { folder: spool.clone(), limit: 1 << 30, clock: Clock::start() });
        let journal = journal.expect("the folder is there");
        let (told, _ready) = tokio::sync::oneshot::channel();
        let database = Database::file(&folder.path().join("x.sqlite"));
        let days = Days { events: 30, ..Days::default() };
        let config = WriterConfig { database, folder: spool, days, reconciled: Default::default() };
        let writer = spawn_writer(config, journal.line(), told).expect("the folder is there");
        Kept { journal, writer, _folder: folder }
    }

    /// Its threads are over: the next run has names of its own.
    fn stop(self) {
        drop(self.journal.facts);
        self.journal.thread.join().expect("the journal ends well");
        self.writer.join().expect("the writer ends well");
    }

    fn tell(&self, fact: Fact) {
        self.journal.facts.blocking_send(fact).expect("the journal runs");
    }

    fn begin(&self, call: usize) {
        for status in [Status::Initiated, Status::Ringing, Status::InProgress] {
            self.tell(progress(call, status));
        }
    }
}

/// As fast as it goes.
fn flood() {
    let kept = Kept::start();
    let (now, cpu) = (|| read(ClockId::CLOCK_MONOTONIC), || read(ClockId::CLOCK_PROCESS_CPUTIME_ID));
    let (began, spent) = (now(), cpu());
    for call in 0..CALLS {
        kept.begin(call);
        kept.tell(record(call));
    }
    drop(kept.journal.facts);
    kept.journal.thread.join().expect("the journal ends well");
    let on_disk = now() - began;
    kept.writer.join().expect("the writer ends well");
    let (took, spent) = (now() - began, cpu() - spent);
    println!("{CALLS} calls of four events each, as fast as they go:");
    println!("  on the disk after {:.2} s, in SQLite after {:.2} s", on_disk.as_secs_f64(), took.as_secs_f64());
    println!("  {:.0} calls a second into SQLite", CALLS as f64 / took.as_secs_f64());
    println!("  {:.1} us of CPU a call, journal, spool and SQLite together", spent.as_micros() as f64 / CALLS as f64);
}

/// At the pace of real calls, each of which lasts a second.
fn steady(rate: usize, seconds: usize) {
    let kept = Kept::start();
    let began = read(ClockId::CLOCK_MONOTONIC);
    let mut before = BTreeMap::new();
    for call in 0..rate * (seconds + 1) {
        if call == rate {
            before = threads();
        }
        let due =
            began + Duration::from_secs(1) * u32::try_from(call).expect("few") / u32::try_from(rate).expect("few");
        let left = due.saturating_sub(read(ClockId::CLOCK_MONOTONIC));
        wait(&[], left).expect("waiting works");
        kept.begin(call);
        if let Some(over) = call.checked_sub(rate) {
            kept.tell(record(over));
        }
    }
    let after = threads();
    let calls = (rate * seconds) as f64;
    let each = after.iter().map(|(name, us)| (name, (us - before.get(name).unwrap_or(&0.0)) / calls));
    let total: f64 = each.clone().map(|(_, us)| us).sum();
    let parts: Vec<String> = each.map(|(name, us)| format!("{name} {us:.1}")).collect();
    println!("{rate} calls a second, four events each, for {seconds} s:");
    println!("  {total:.1} us of CPU a call (target 60): {}", parts.join(", "));
    kept.stop();
}

fn main() -> Result<(), Failure> {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let is = |name: &str| wanted.is_empty() || wanted.iter().any(|word| word == name);
    println!("calibration: {:.0} ms for a fixed amount of work", calibrate());
    if is("flood") {
        flood();
    }
    if is("steady") {
        steady(500, 10);
        steady(100, 10);
    }
    if is("api") {
        api::run()?;
    }
    if is("pacing") {
        pacing::run()?;
    }
    println!("calibration: {:.0} ms for a fixed amount of work", calibrate());
    Ok(())
}
