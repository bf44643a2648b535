use std::os::fd::AsFd as _;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use std::path::PathBuf;

use tempfile::TempDir;

use super::*;
use crate::{
    audio,
    codec::Rate,
    io::worker::WorkerHandle,
    media::Layout,
    verbs::{FileFormat, leg_files},
};

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
        let config = DiskConfig {
            recordings,
            call_records: Some(call_records),
            upload: false,
            archive: None,
            clock: Clock::start(),
        };
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
        self.inbox
            .push(ToDisk::Open {
                recording,
                file: file.into(),
                shape: shape(layout, FileFormat::Wav),
                note: String::new(),
            })
            .unwrap();
    }

    fn block(&self, recording: RecordingId, samples: &[i16]) {
        let block = Block { samples: samples.to_vec() };
        self.inbox.push(ToDisk::Block { port: P, recording, block, from: self.worker.clone() }).unwrap();
    }

    fn done(&self, recording: RecordingId, samples: u64) -> Result<String, Torn> {
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

fn shape(layout: Layout, format: FileFormat) -> Shape {
    Shape { layout, format, apart: false, rate: 8000 }
}

/// The sound in a file, at 8,000 Hz.
fn decoded(path: PathBuf) -> Vec<i16> {
    audio::decode_file(&fs::read(path).unwrap(), Rate::Narrow).unwrap().1
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
    let config = DiskConfig {
        recordings: folder.path().into(),
        call_records: None,
        upload: false,
        archive: None,
        clock: Clock::start(),
    };
    let mut writer = Writer::new(config, Ring::new(1).unwrap(), Ring::new(1).unwrap());
    let from = WorkerHandle::unconnected().unwrap();
    let add = |writer: &mut Writer, value: i16| {
        let block = Block { samples: vec![value; 400] };
        assert!(writer.handle(ToDisk::Block { port: P, recording: R, block, from: from.clone() }).is_continue());
    };
    assert!(
        writer
            .handle(ToDisk::Open {
                recording: R,
                file: "a.wav".into(),
                shape: shape(Layout::Party, FileFormat::Wav),
                note: String::new()
            })
            .is_continue()
    );
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
    let FromDisk::Written { recording: R, result: Err(torn) } = bench.told() else { panic!("not told") };
    assert!(torn.why.starts_with("full: ") && torn.why.contains("space") && !torn.begun, "{torn:?}");
    bench.block(R, &[1]);
    assert!(matches!(wait(bench.worker.inbox()), ToWorker::Command(Command::Space { .. })));
    bench.inbox.push(ToDisk::Done { recording: R, samples: 1 }).unwrap();
    bench.inbox.push(ToDisk::CallRecord { line: "{}".into(), recorded: false }).unwrap();
    bench.inbox.push(ToDisk::Shutdown).unwrap();
    bench.disk.join();
    assert_eq!(bench.outbox.pop(), None, "a call record waits; it is not lost");
}

#[test]
fn call_records_wait_for_a_disk_that_takes_none_and_come_in_their_order() {
    let folder = TempDir::new().unwrap();
    let (recordings, records) = (folder.path().join("rec"), folder.path().join("later/calls.jsonl"));
    let bench = Bench::new(folder, recordings, records.clone());
    bench.inbox.push(ToDisk::CallRecord { line: "1".into(), recorded: false }).unwrap();
    // An answer says that what came before was looked at.
    bench.open(R, "a.wav", Layout::Party);
    assert!(bench.done(R, 0).is_ok());
    fs::create_dir(records.parent().unwrap()).unwrap();
    bench.inbox.push(ToDisk::CallRecord { line: "2".into(), recorded: false }).unwrap();
    bench.inbox.push(ToDisk::Shutdown).unwrap();
    bench.disk.join();
    assert_eq!(fs::read_to_string(records).unwrap(), "1\n2\n");
}

#[test]
fn of_too_many_call_records_that_wait_the_newest_is_told_to_be_lost() {
    let folder = TempDir::new().unwrap();
    let (inbox, outbox) = (Ring::new(64).unwrap(), Ring::new(64).unwrap());
    let call_records = Some(folder.path().join("nowhere/calls.jsonl"));
    let config = DiskConfig {
        recordings: folder.path().into(),
        call_records,
        upload: false,
        archive: None,
        clock: Clock::start(),
    };
    let mut writer = Writer::new(config, inbox, outbox);
    for number in 0..UNWRITTEN {
        writer.call_record(number.to_string(), false);
    }
    assert!(writer.untold.is_empty());
    writer.call_record("one more".into(), false);
    assert!(matches!(writer.untold.pop_front(), Some(FromDisk::CallRecordLost { record, .. }) if record == "one more"));
}

#[test]
fn a_disk_that_fills_up_ends_the_recording_and_keeps_what_was_written() {
    let folder = TempDir::new().unwrap();
    let mut recording =
        Recording::create(folder.path(), "a.wav", shape(Layout::Party, FileFormat::Wav), 1, &mut None).unwrap();
    recording.add(&[1, 2, 3]);
    recording.fail(&io::ErrorKind::StorageFull.into());
    recording.add(&[4]);
    recording.patch();
    recording.note(folder.path(), "{}", false).unwrap();
    assert!(!folder.path().join("a.wav.todo").exists());
    recording.note(folder.path(), "{}", true).unwrap();
    assert!(
        folder.path().join("a.wav.todo").exists(),
        "a server that is killed now has it uploaded after its next start"
    );
    let torn = recording.finish(100).unwrap_err();
    assert!(torn.why.contains("space") && torn.begun, "{torn:?}");
    assert_eq!(fs::read_to_string(folder.path().join("a.wav.json")).unwrap(), "{}");
    assert_eq!(samples(folder.path().join("a.wav")), (1, vec![1, 2, 3]));
}

/// `seconds` of a tone that begins and ends with a louder chirp, told as milliseconds: where the chirps are.
fn chirped(seconds: usize) -> Vec<i16> {
    let tone =
        |n: usize, hertz: f64, level: f64| (level * (n as f64 * hertz * std::f64::consts::TAU / 8000.0).sin()) as i16;
    let count = 8000 * seconds;
    (0..count)
        .map(|n| if n < 800 || n >= count - 800 { tone(n, 1200.0, 12_000.0) } else { tone(n, 400.0, 1500.0) })
        .collect()
}

/// Where it is loud first and last, in samples.
fn loud(samples: &[i16]) -> (usize, usize) {
    let is_loud = |s: &i16| s.unsigned_abs() > 5000;
    (samples.iter().position(is_loud).unwrap(), samples.iter().rposition(is_loud).unwrap())
}

#[test]
fn every_format_holds_the_sound_at_its_place_and_for_its_time() {
    let said = chirped(10);
    for (format, most) in [(FileFormat::Wav, 0), (FileFormat::Mp3, 2000), (FileFormat::Ogg, 8)] {
        let bench = Bench::usual();
        let name = format!("a.{}", format.as_str());
        let shape = shape(Layout::Mix, format);
        bench.inbox.push(ToDisk::Open { recording: R, file: name.clone(), shape, note: String::new() }).unwrap();
        for block in said.chunks(2000) {
            bench.block(R, block);
        }
        // Two seconds of silence that had no room.
        assert_eq!(bench.done(R, 96_000), Ok(name.clone()));
        let heard = decoded(bench.path(&name));
        assert!(heard.len().abs_diff(96_000) <= most, "{name}: {}", heard.len());
        let (first, last) = loud(&heard);
        assert!((last - first).abs_diff(79_999) <= 160, "{name}: {first} to {last}");
        assert!(first <= 160.max(most), "{name}: {first}");
        bench.inbox.push(ToDisk::Shutdown).unwrap();
        bench.disk.join();
    }
}

#[test]
fn every_format_takes_every_rate() {
    for format in FileFormat::ALL {
        for rate in Rate::ALL {
            let bench = Bench::usual();
            let name = format!("a.{}", format.as_str());
            let shape = Shape { rate: rate.hz(), ..shape(Layout::Party, format) };
            bench.inbox.push(ToDisk::Open { recording: R, file: name.clone(), shape, note: String::new() }).unwrap();
            // What the lower rates cannot carry: 0.4 of the rate.
            let said: Vec<i16> = (0..rate.frame() * 100)
                .map(|n| (8000.0 * (std::f64::consts::TAU * 0.4 * n as f64).sin()) as i16)
                .collect();
            for block in said.chunks(rate.frame() * 10) {
                bench.block(R, block);
            }
            assert_eq!(bench.done(R, said.len() as u64), Ok(name.clone()));
            let (found, heard) = audio::decode_file(&fs::read(bench.path(&name)).unwrap(), Rate::Full).unwrap();
            assert_eq!(found, rate, "{name}");
            assert!(heard.len().abs_diff(said.len()) <= 2400, "{name} at {rate:?}: {}", heard.len());
            bench.inbox.push(ToDisk::Shutdown).unwrap();
            bench.disk.join();
            let middle = &heard[heard.len() / 4..heard.len() / 2];
            let power = audio::goertzel::power(middle, 0.4 * f64::from(rate.hz()), rate.hz());
            // Coders leave out what is high and hardly heard; a file of PCM has it all.
            if format == FileFormat::Wav {
                assert!((power / (8000.0_f64.powi(2) / 2.0) - 1.0).abs() < 0.05, "{name} at {rate:?}: {power}");
            }
        }
    }
}

#[test]
fn each_side_has_a_file_of_its_own_where_they_are_kept_apart() {
    for format in FileFormat::ALL {
        let bench = Bench::usual();
        let name = format!("x/a.{}", format.as_str());
        let shape = Shape { apart: true, ..shape(Layout::Stereo, format) };
        bench.inbox.push(ToDisk::Open { recording: R, file: name.clone(), shape, note: String::new() }).unwrap();
        let said = chirped(4);
        for block in said.chunks(1000) {
            let both: Vec<i16> = block.iter().flat_map(|s| [*s, 0]).collect();
            bench.block(R, &both);
        }
        assert_eq!(bench.done(R, 32_000), Ok(name.clone()));
        let [said, heard] = leg_files(&name).map(|name| decoded(bench.path(&name)));
        loud(&said);
        assert!(heard.iter().all(|s| s.unsigned_abs() < 50), "{name}: the other side said nothing");
        assert!(said.len().abs_diff(heard.len()) <= 1, "both are as long");
    }
}

#[test]
fn a_file_that_nobody_finished_plays_up_to_the_last_second() {
    for format in FileFormat::ALL {
        let folder = TempDir::new().unwrap();
        let name = format!("a.{}", format.as_str());
        let mut recording =
            Recording::create(folder.path(), &name, shape(Layout::Stereo, format), 1, &mut None).unwrap();
        for (at, block) in chirped(30).chunks(1000).enumerate() {
            recording.add(&block.iter().flat_map(|s| [*s, *s]).collect::<Vec<_>>());
            if at % 8 == 7 {
                recording.patch();
            }
        }
        // As the process dies: what the encoder holds is gone with it.
        std::mem::forget(recording);
        let heard = decoded(folder.path().join(&name));
        assert!((8000 * 29..=8000 * 30 + 800).contains(&heard.len()), "{name}: {}", heard.len());
    }
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
        bench.inbox.push(ToDisk::CallRecord { line: record.into(), recorded: false }).unwrap();
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

#[test]
fn a_recording_is_locked_as_long_as_it_may_go_on() {
    let bench = Bench::usual();
    bench.open(R, "a.wav", Layout::Mix);
    bench.block(R, &[1; 160]);
    let locked = || {
        let file = File::open(bench.path("a.wav"));
        file.is_ok_and(|file| matches!(file.try_lock_shared(), Err(fs::TryLockError::WouldBlock)))
    };
    while fs::metadata(bench.path("a.wav")).map_or(0, |data| data.len()) <= 44 {
        thread::yield_now();
    }
    assert!(locked());
    bench.done(R, 160).unwrap();
    assert!(!locked(), "it is over");
}
