use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpListener,
    sync::mpsc,
};

use tempfile::TempDir;

use super::*;

/// A call's record with these recordings.
fn record(from: &str, to: &str, files: &[&str]) -> String {
    serde_json::json!({"id": "c-1", "from": from, "to": to, "recordings": files}).to_string()
}

fn config(folder: &Path, upload: Option<Upload>) -> ArchiveConfig {
    ArchiveConfig { folder: folder.to_owned(), quota: Quota::default(), upload, trust: PathBuf::new() }
}

/// What a server saw: the first line, the head, the body.
type Seen = (String, String, Vec<u8>);

/// A server that answers one request after another with these codes, and tells what it saw.
fn server(codes: &'static [u16]) -> (u16, Receiver<Seen>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (tell, seen) = mpsc::channel();
    thread::spawn(move || {
        for code in codes {
            let (mut stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let (mut first, mut head, mut length) = (String::new(), String::new(), 0);
            reader.read_line(&mut first).unwrap();
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                if let Some(value) = line.strip_prefix("Content-Length: ") {
                    length = value.trim().parse().unwrap();
                }
                if line == "\r\n" {
                    break;
                }
                head.push_str(&line);
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            tell.send((first, head, body)).unwrap();
            write!(stream, "HTTP/1.1 {code} Word\r\nContent-Length: 0\r\n\r\n").unwrap();
        }
    });
    (port, seen)
}

fn upload(port: u16, to: Destination, remove: bool) -> Option<Upload> {
    let place = Url::folder(&format!("http://127.0.0.1:{port}/box/")).unwrap();
    Some(Upload { place, to, remove })
}

fn next(seen: &Receiver<Seen>) -> Seen {
    seen.recv_timeout(Duration::from_secs(20)).expect("the server is asked")
}

#[test]
fn a_recording_is_sent_to_the_webhook_again_until_it_is_taken_and_goes_then() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("day/a b.mp3");
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, b"sound").unwrap();
    let (port, seen) = server(&[503, 200]);
    let to = Destination::Webhook { token: "t0k".into() };
    let (records, inbox) = mpsc::channel();
    let archive = spawn(config(folder.path(), upload(port, to, true)), Clock::start(), inbox).unwrap();
    records.send(record("1", "2", &["day/a b.mp3"])).unwrap();
    for _ in 0..2 {
        let (first, head, body) = next(&seen);
        assert_eq!((first.as_str(), body.as_slice()), ("POST /box/ HTTP/1.1\r\n", b"sound".as_slice()));
        for line in ["Authorization: Bearer t0k", "X-Recording: day/a%20b.mp3", "X-Call: c-1", "audio/mpeg"] {
            assert!(head.contains(line), "{head}");
        }
    }
    drop(records);
    archive.join().unwrap();
    assert_eq!(fs::read_dir(file.parent().unwrap()).unwrap().count(), 0, "nothing is left of it");
}

#[test]
fn what_was_not_uploaded_is_sent_to_the_bucket_after_a_restart() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("a.wav");
    fs::write(&file, b"x").unwrap();
    // As a process left it that died before the upload.
    shelf::note(&file, "a.wav", &record("1", "2", &["a.wav"]), true).unwrap();
    let (port, seen) = server(&[200]);
    let key = S3Key { id: "id".into(), secret: "s".into(), region: "eu".into() };
    let (records, inbox) = mpsc::channel::<String>();
    let archive =
        spawn(config(folder.path(), upload(port, Destination::S3(key), false)), Clock::start(), inbox).unwrap();
    let (first, head, body) = next(&seen);
    assert_eq!((first.as_str(), body.as_slice()), ("PUT /box/a.wav HTTP/1.1\r\n", b"x".as_slice()));
    // SHA-256 of "x".
    let hash = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881";
    assert!(head.contains(&format!("X-Amz-Content-Sha256: {hash}")) && head.contains("Credential=id/"), "{head}");
    drop(records);
    archive.join().unwrap();
    assert!(file.exists() && !shelf::beside(&file, ".todo").exists(), "kept here, and not to be sent again");
}

#[test]
fn what_a_killed_server_left_is_sent_once_and_the_record_that_comes_later_is_noted() {
    let folder = TempDir::new().unwrap();
    let [left, new] = ["left.wav", "new.wav"].map(|name| folder.path().join(name));
    [&left, &new].iter().for_each(|path| fs::write(path, b"x").unwrap());
    // As the disk notes it when a recording begins.
    shelf::note(&left, "left.wav", &serde_json::json!({"id": "c-1", "from": "1", "to": "2"}).to_string(), true)
        .unwrap();
    let (port, seen) = server(&[200, 200]);
    let (records, inbox) = mpsc::channel();
    let to = Destination::Webhook { token: String::new() };
    let archive = spawn(config(folder.path(), upload(port, to, false)), Clock::start(), inbox).unwrap();
    let name =
        |(_, head, _): &Seen| head.lines().find_map(|line| line.strip_prefix("X-Recording: ").map(str::to_owned));
    assert_eq!(name(&next(&seen)).as_deref(), Some("left.wav"));
    records.send(record("1", "2", &["left.wav"])).unwrap();
    records.send(record("1", "2", &["new.wav"])).unwrap();
    assert_eq!(name(&next(&seen)).as_deref(), Some("new.wav"), "not the first one again");
    drop(records);
    archive.join().unwrap();
    assert!([&left, &new].iter().all(|path| !shelf::beside(path, ".todo").exists()));
    let noted = fs::read_to_string(shelf::beside(&left, ".json")).unwrap();
    assert_eq!(noted, record("1", "2", &["left.wav"]));
}

#[test]
fn old_recordings_go_first_and_those_to_be_uploaded_stay() {
    let folder = TempDir::new().unwrap();
    let now = Duration::from_secs(2_000_000_000);
    for (name, age_days) in [("a.wav", 40), ("b.ogg", 20), ("c.mp3", 10), ("d.wav", 5), ("notes.txt", 90)] {
        let path = folder.path().join(name);
        fs::write(&path, [0; 1000]).unwrap();
        let changed = std::time::UNIX_EPOCH + now - Duration::from_secs(86_400 * age_days);
        fs::File::options().write(true).open(&path).unwrap().set_modified(changed).unwrap();
    }
    fs::write(folder.path().join("b.ogg.todo"), b"").unwrap();
    let quota = Quota { keep: Some(Duration::from_secs(86_400 * 15)), most: Some(2000), most_of_number: None };
    assert_eq!(shelf::tidy(folder.path(), now, quota), 2);
    let mut left: Vec<_> =
        fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    left.sort();
    assert_eq!(left, ["b.ogg", "b.ogg.todo", "d.wav", "notes.txt"], "a is too old, c was too much");
}

#[test]
fn a_recording_that_pauses_for_hours_stays_until_it_is_over() {
    let folder = TempDir::new().unwrap();
    let now = Duration::from_secs(2_000_000_000);
    let path = folder.path().join("a.wav");
    fs::write(&path, [0; 1000]).unwrap();
    let recording = fs::File::options().write(true).open(&path).unwrap();
    recording.set_modified(std::time::UNIX_EPOCH + now - Duration::from_secs(7200)).unwrap();
    recording.lock().unwrap();
    let quota = Quota { keep: Some(Duration::from_secs(3600)), most: Some(0), most_of_number: None };
    assert_eq!((shelf::tidy(folder.path(), now, quota), path.exists()), (0, true));
    drop(recording);
    assert_eq!((shelf::tidy(folder.path(), now, quota), path.exists()), (1, false));
}

#[test]
fn the_oldest_of_a_number_go_where_it_has_too_many_and_those_of_others_stay() {
    let folder = TempDir::new().unwrap();
    let now = Duration::from_secs(2_000_000_000);
    for (at, (name, direction, from, to)) in [
        ("a.wav", "inbound", "1", "200"),
        ("b.wav", "outbound", "200", "2"),
        ("c.wav", "inbound", "3", "300"),
        ("d.wav", "inbound", "4", "200"),
        ("e.wav", "", "", ""),
    ]
    .into_iter()
    .enumerate()
    {
        let path = folder.path().join(name);
        fs::write(&path, [0; 1000]).unwrap();
        if !direction.is_empty() {
            let call = serde_json::json!({"direction": direction, "from": from, "to": to}).to_string();
            shelf::note(&path, name, &call, false).unwrap();
        }
        let changed = std::time::UNIX_EPOCH + now - Duration::from_secs(10_000 - 1000 * at as u64);
        fs::File::options().write(true).open(&path).unwrap().set_modified(changed).unwrap();
    }
    let quota = Quota { most_of_number: Some(1500), ..Quota::default() };
    assert_eq!(shelf::tidy(folder.path(), now, quota), 2);
    let left = ["a.wav", "b.wav", "c.wav", "d.wav", "e.wav"].map(|name| folder.path().join(name).exists());
    assert_eq!(left, [false, false, true, true, true], "those of 200 were too many");
    assert_eq!(shelf::tidy(folder.path(), now, quota), 0);
}

#[test]
fn what_was_erased_before_its_call_was_over_does_not_come_back() {
    let folder = TempDir::new().unwrap();
    let (records, inbox) = mpsc::channel();
    let archive = spawn(config(folder.path(), None), Clock::start(), inbox).unwrap();
    records.send(record("1", "2", &["gone.wav"])).unwrap();
    drop(records);
    archive.join().unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn all_recordings_that_a_number_is_on_are_erased_and_no_others() {
    let folder = TempDir::new().unwrap();
    for (name, from, to, on_it) in [
        ("a.wav", "1", "9", &["1", "9"][..]),
        ("x/b.mp3", "8", "1", &["8", "1"]),
        ("c.wav", "8", "9", &["8", "9"]),
        ("heard.wav", "8", "9", &["8", "9", "1"]),
        ("old.wav", "1", "9", &[]),
    ] {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, b"").unwrap();
        // Who is on another file of the call is not on this one.
        let parties = serde_json::json!({name: on_it, "other.wav": ["1"]});
        let call = serde_json::json!({"from": from, "to": to, "recorded_parties": parties});
        shelf::note(&path, name, &call.to_string(), false).unwrap();
    }
    let mut gone = erase(folder.path(), |party| party == "1").unwrap();
    gone.sort();
    assert_eq!(gone, ["a.wav", "heard.wav", "old.wav", "x/b.mp3"].map(|name| folder.path().join(name)));
    assert!(!folder.path().join("x/b.mp3").exists() && !folder.path().join("x/b.mp3.json").exists());
    assert!(folder.path().join("c.wav").exists());
    assert!(erase(folder.path(), |party| party == "1").unwrap().is_empty());
}

#[test]
fn a_record_that_does_not_know_who_is_on_a_recording_does_not_make_it_forgotten() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.wav");
    fs::write(&path, b"").unwrap();
    let begun = serde_json::json!({"from": "8", "to": "9", "recorded_parties": {"a.wav": ["1", "8", "9"]}});
    shelf::note(&path, "a.wav", &begun.to_string(), false).unwrap();
    shelf::note(&path, "a.wav", &record("8", "9", &["a.wav"]), false).unwrap();
    let noted: Value = serde_json::from_str(&fs::read_to_string(shelf::beside(&path, ".json")).unwrap()).unwrap();
    assert_eq!((&noted["recorded_parties"]["a.wav"][0], &noted["id"]), (&"1".into(), &"c-1".into()));
    // One that knows better is believed.
    let known = serde_json::json!({"from": "8", "to": "9", "recorded_parties": {"a.wav": ["8"]}});
    shelf::note(&path, "a.wav", &known.to_string(), false).unwrap();
    assert!(erase(folder.path(), |party| party == "1").unwrap().is_empty());
}
