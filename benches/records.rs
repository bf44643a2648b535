//! What records and events cost: calls through the journal, the spool and SQLite, without the calls themselves.
//!
//! `cargo bench --bench records`

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use switchhook::{
    ids::CallId,
    io::{Fact, clock::Clock},
    store::{Database, JournalConfig, WriterConfig, spawn_journal, spawn_writer},
    switch::{CallRecord, Direction, EndReason, Progress, Status},
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

fn record(call: usize) -> Fact {
    Fact::Record(Box::new(CallRecord {
        id: format!("1795226792117-{call}"),
        parent: None,
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
        code: Some(200),
        q850: Some(16),
        transferred: false,
        script: Some("menu.lua".into()),
        codec: Some("PCMU".into()),
        quality: Some(Default::default()),
        no_audio: None,
        recordings: vec![],
        stir: None,
        vars: Default::default(),
        error: None,
    }))
}

/// What a clock of the system shows.
fn read(clock: ClockId) -> Duration {
    clock_gettime(clock).expect("every Linux has it").into()
}

fn main() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let spool = folder.path().join("spool");
    let journal = spawn_journal(JournalConfig { folder: spool.clone(), limit: 1 << 30, clock: Clock::start() });
    let journal = journal.expect("the folder is there");
    let (told, _ready) = tokio::sync::oneshot::channel();
    let database = Database::file(&folder.path().join("x.sqlite"));
    let config = WriterConfig { database, folder: spool, event_days: 30, record_days: 0 };
    let writer = spawn_writer(config, journal.written.clone(), told).expect("the folder is there");
    let now = || read(ClockId::CLOCK_MONOTONIC);
    let cpu = || read(ClockId::CLOCK_PROCESS_CPUTIME_ID);
    let (began, spent) = (now(), cpu());
    for call in 0..CALLS {
        for status in [Status::Initiated, Status::Ringing, Status::InProgress] {
            journal.facts.blocking_send(progress(call, status)).expect("the journal runs");
        }
        journal.facts.blocking_send(record(call)).expect("the journal runs");
    }
    drop(journal.facts);
    journal.thread.join().expect("the journal ends well");
    let on_disk = now() - began;
    writer.join().expect("the writer ends well");
    let (took, spent) = (now() - began, cpu() - spent);
    println!("{CALLS} calls of four events each:");
    println!("  on the disk after {:.2} s, in SQLite after {:.2} s", on_disk.as_secs_f64(), took.as_secs_f64());
    println!("  {:.0} calls a second into SQLite", CALLS as f64 / took.as_secs_f64());
    println!("  {:.1} us of CPU a call, journal, spool and SQLite together", spent.as_micros() as f64 / CALLS as f64);
}
