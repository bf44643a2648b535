use std::os::fd::AsFd as _;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use std::path::PathBuf;

use tempfile::TempDir;

use super::*;
use crate::io::worker::WorkerHandle;

const R: RecordingId = RecordingId(7);
const P: PortId = PortId(3);

/// A disk thread, the folder it writes to, and a media thread's inbox that gets the blocks back.
struct Bench {
    folder: TempDir,
    inbox: Ring<ToDisk>,
    outbox: Ring<FromDisk>,
    worker: WorkerHandle,
    disk: Disk,
}

impl Bench {
    fn new(folder: TempDir, recordings: PathBuf, call_records: PathBuf) -> Bench {
        let (inbox, outbox) = (Ring::new(64).unwrap(), Ring::new(64).unwrap());
        let config = DiskConfig { recordings, call_records: Some(call_records), clock: Clock::start() };
        let disk = spawn(config, inbox.clone(), outbox.clone()).unwrap();
        Bench { folder, inbox, outbox, worker: WorkerHandle::unconnected().unwrap(), disk }
    }

    fn usual() -> Bench {
        let folder = TempDir::new().unwrap();
        let (recordings, records) = (folder.path().join("rec"), folder.path().join("calls.jsonl"));
        Bench::new(folder, recordings, records)
    }

    /// Everything it writes to is a full disk.
    fn full() -> Bench {
        Bench::new(TempDir::new().unwrap(), "/dev".into(), "/dev/full".into())
    }

    fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join("rec").join(file)
    }

    fn open(&self, recording: RecordingId, file: &str, layout: Layout) {
        self.inbox.push(ToDisk::Open { recording, file: file.into(), layout }).unwrap();
    }

    fn block(&self, recording: RecordingId, samples: &[i16]) {
        let block = Block { samples: samples.to_vec() };
        self.inbox.push(ToDisk::Block { port: P, recording, block, from: self.worker.clone() }).unwrap();
    }

    fn done(&self, recording: RecordingId, samples: u64) -> Result<String, String> {
        self.inbox.push(ToDisk::Done { recording, samples }).unwrap();
        match self.told() {
            FromDisk::Written { recording: told, result } if told == recording => result,
            other => panic!("{other:?}"),
        }
    }

    fn told(&self) -> FromDisk {
        wait(&self.outbox)
    }
}

fn wait<T>(ring: &Ring<T>) -> T {
    loop {
        if let Some(item) = ring.pop() {
            return item;
        }
        let woken = poll(&mut [PollFd::new(ring.as_fd(), PollFlags::POLLIN)], PollTimeout::from(5000_u16)).unwrap();
        assert_eq!(woken, 1, "nothing came");
        ring.acknowledge();
    }
}

fn samples(path: PathBuf) -> (u16, Vec<i16>) {
    let mut reader = hound::WavReader::open(path).unwrap();
    let spec = reader.spec();
    assert_eq!((spec.sample_rate, spec.bits_per_sample), (8000, 16));
    (spec.channels, reader.samples().map(Result::unwrap).collect())
}

#[test]
fn a_recording_is_a_file_that_others_can_read() {
    let bench = Bench::usual();
    bench.open(R, "2026/call.wav", Layout::Stereo);
    bench.block(R, &[1, -1, 2, -2]);
    bench.block(R, &[3, i16::MIN]);
    assert_eq!(bench.done(R, 3), Ok("2026/call.wav".into()));
    assert_eq!(samples(bench.path("2026/call.wav")), (2, vec![1, -1, 2, -2, 3, i16::MIN]));
}

#[test]
fn emptied_blocks_go_back_with_their_memory() {
    let bench = Bench::usual();
    bench.open(R, "a.wav", Layout::Party);
    bench.block(R, &[5; 400]);
    match wait(bench.worker.inbox()) {
        ToWorker::Command(Command::Space { port: P, recording: R, block }) => {
            assert!(block.samples.is_empty() && block.samples.capacity() >= 400);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn while_it_grows_the_file_is_valid_up_to_its_last_second() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.wav");
    let config = DiskConfig { recordings: folder.path().into(), call_records: None, clock: Clock::start() };
    let mut writer = Writer::new(config, Ring::new(1).unwrap(), Ring::new(1).unwrap());
    let from = WorkerHandle::unconnected().unwrap();
    let add = |writer: &mut Writer, value: i16| {
        let block = Block { samples: vec![value; 400] };
        assert!(writer.handle(ToDisk::Block { port: P, recording: R, block, from: from.clone() }).is_continue());
    };
    assert!(writer.handle(ToDisk::Open { recording: R, file: "a.wav".into(), layout: Layout::Party }).is_continue());
    assert_eq!(samples(path.clone()), (1, vec![]));
    add(&mut writer, 1);
    let due = writer.patch;
    writer.patch_headers(due);
    add(&mut writer, 2);
    writer.patch_headers(due + PATCH / 2);
    // As if the process died here: nothing is finished.
    assert_eq!(samples(path.clone()), (1, vec![1; 400]));
    writer.patch_headers(due + PATCH);
    assert_eq!(samples(path), (1, [[1; 400], [2; 400]].concat()));
}

#[test]
fn what_never_came_is_silence_at_the_end() {
    let bench = Bench::usual();
    bench.open(R, "a.wav", Layout::Stereo);
    bench.block(R, &[1, 2]);
    assert!(bench.done(R, 10_000).is_ok());
    let (_, samples) = samples(bench.path("a.wav"));
    assert_eq!(samples.len(), 20_000);
    assert_eq!((&samples[..2], samples[2..].iter().max()), (&[1, 2][..], Some(&0)));
}

#[test]
fn a_full_disk_is_told_once_and_gives_the_blocks_back() {
    let bench = Bench::full();
    bench.open(R, "full", Layout::Party);
    let FromDisk::Written { recording: R, result: Err(reason) } = bench.told() else { panic!("not told") };
    assert!(reason.contains("space"), "{reason}");
    bench.block(R, &[1]);
    assert!(matches!(wait(bench.worker.inbox()), ToWorker::Command(Command::Space { .. })));
    bench.inbox.push(ToDisk::Done { recording: R, samples: 1 }).unwrap();
    bench.inbox.push(ToDisk::CallRecord("{}".into())).unwrap();
    assert!(matches!(bench.told(), FromDisk::CallRecordLost { record, .. } if record == "{}"));
}

#[test]
fn a_disk_that_fills_up_ends_the_recording_and_keeps_what_was_written() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.wav");
    let file = File::create(&path).unwrap();
    let mut recording = Recording::new(file, "a.wav".into(), 1).unwrap();
    let mut bytes = Vec::new();
    recording.add(&[1, 2, 3], &mut bytes);
    recording.fail(&io::ErrorKind::StorageFull.into());
    recording.add(&[4], &mut bytes);
    recording.pad(100, &mut bytes);
    recording.patch();
    assert_eq!(samples(path), (1, vec![1, 2, 3]));
    assert!(recording.failed.is_some_and(|reason| reason.contains("space")));
}

#[test]
fn no_name_leads_out_of_the_folder_and_no_file_has_two_recordings() {
    let bench = Bench::usual();
    bench.open(R, "a.wav", Layout::Party);
    for (number, name) in ["../a.wav", "/tmp/a.wav", "b/../../a.wav", "", "a.wav"].into_iter().enumerate() {
        let recording = RecordingId(100 + number as u64);
        bench.open(recording, name, Layout::Party);
        assert!(matches!(bench.told(), FromDisk::Written { recording: told, result: Err(_) } if told == recording));
    }
    assert!(bench.done(R, 0).is_ok());
}

#[test]
fn call_records_are_lines_that_are_added() {
    let bench = Bench::usual();
    let path = bench.folder.path().join("calls.jsonl");
    fs::write(&path, "{\"old\":1}\n").unwrap();
    for record in ["{\"call\":1}", "{\"call\":2}"] {
        bench.inbox.push(ToDisk::CallRecord(record.into())).unwrap();
    }
    bench.inbox.push(ToDisk::Shutdown).unwrap();
    bench.disk.join();
    assert_eq!(fs::read_to_string(path).unwrap(), "{\"old\":1}\n{\"call\":1}\n{\"call\":2}\n");
}

#[test]
fn shutting_down_completes_open_files() {
    let bench = Bench::usual();
    bench.open(R, "a.wav", Layout::Party);
    bench.block(R, &[9; 100]);
    bench.inbox.push(ToDisk::Shutdown).unwrap();
    let path = bench.path("a.wav");
    bench.disk.join();
    assert_eq!(bench.outbox.pop(), Some(FromDisk::Written { recording: R, result: Ok("a.wav".into()) }));
    assert_eq!(samples(path), (1, vec![9; 100]));
}
