//! What a killed server recorded is in the records of the calls that it left behind, and in the index.

use super::*;

fn told(call: &str, what: Happened) -> Fact {
    Fact::Happened(Box::new(Happening { call: Some(call.into()), from: "4711".into(), to: "100".into(), what }))
}

fn begun(recording: u64, files: &[&str]) -> Happened {
    let files = files.iter().map(|file| (*file).to_owned()).collect();
    Happened::Recording { recording, file: "x.wav".into(), files, room: None }
}

fn over(recording: u64, files: &[&str]) -> Happened {
    let files = files.iter().map(|file| (*file).to_owned()).collect();
    Happened::Recorded { recording, files, seconds: 1.0, reason: "stopped", error: None }
}

#[tokio::test]
async fn a_call_that_was_left_behind_names_the_files_of_its_recordings() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::file(&folder.path().join("a.sqlite"));
    let running = start(folder.path(), &database);
    for call in ["a-1", "a-2"] {
        running.tell(progress(call, Status::InProgress)).await;
    }
    running.tell(told("a-1", begun(1, &["whole.wav"]))).await;
    running.tell(told("a-1", over(1, &["whole.wav"]))).await;
    running.tell(told("a-1", begun(2, &["lost.wav"]))).await;
    running.tell(told("a-1", over(2, &[]))).await;
    running.tell(told("a-1", begun(3, &["cut-said.wav", "cut-heard.wav"]))).await;
    running.stop();

    let lines = Ring::new(64).unwrap();
    let tell = |journal: &Journal| Tell { facts: Some(journal.facts.downgrade()), lines: Some(lines.clone()) };
    let running = start_telling(folder.path(), &database, 0, tell);
    let store = Store::open(&database).await.unwrap();
    let files = ["whole.wav", "cut-said.wav", "cut-heard.wav"];
    let filter = RecordingFilter { limit: 10, ..RecordingFilter::default() };
    let indexed = async {
        loop {
            let (kept, _) = store.recordings(&filter).await.unwrap();
            if kept.len() == files.len() {
                return kept;
            }
            pass(Duration::from_millis(50)).await;
        }
    };
    let mut kept = tokio::time::timeout(Duration::from_secs(30), indexed).await.expect("the index has them");
    kept.sort_by(|one, other| one.id.cmp(&other.id));
    assert_eq!(kept.iter().map(|kept| kept.file.as_str()).collect::<Vec<_>>(), files);
    assert!(kept.iter().all(|kept| kept.call == "a-1" && kept.parties == ["4711", "100"]));
    let document = store.call("a-1").await.unwrap().unwrap().document;
    assert_eq!((&document["end_reason"], &document["recordings"]), (&"reconciled".into(), &files.to_vec().into()));
    running.stop();
    let mut told = Vec::new();
    while let Some(ToDisk::CallRecord { line, recorded }) = lines.pop() {
        told.push((line.contains("\"a-1\""), recorded));
    }
    told.sort_unstable();
    assert_eq!(told, [(false, false), (true, true)], "the archive is told of who has recordings");
}

/// The files that are found with this number, and who is on the first of them.
async fn found(store: &Store, number: &str) -> (Vec<String>, Vec<String>) {
    let filter = RecordingFilter { number: vec![number.into()], limit: 10, ..RecordingFilter::default() };
    let (kept, _) = store.recordings(&filter).await.unwrap();
    let heard = kept.first().map(|kept| kept.heard.clone()).unwrap_or_default();
    (kept.into_iter().map(|kept| kept.file).collect(), heard)
}

async fn finds_recordings_by_who_is_on_them(folder: &Path, database: &Database) {
    let running = start(folder, database);
    let Fact::Record(mut over) = record("r-1", 1_800_000_900_000) else { panic!("it is one") };
    over.recordings = vec!["a.wav".into(), "b.wav".into()];
    let people = |people: &[&str]| people.iter().map(|one| (*one).to_owned()).collect();
    over.recorded_parties.insert("a.wav".into(), people(&["4711", "100", "555_1", "x\ny"]));
    over.recorded_parties.insert("b.wav".into(), people(&["4711", "100"]));
    running.tell(Fact::Record(over)).await;
    running.stop();
    let store = Store::open(database).await.unwrap();
    let heard = people(&["4711", "100", "555_1", "x\u{fffd}y"]);
    assert_eq!(found(&store, "555_1").await, (vec!["a.wav".into()], heard));
    for nobody in ["555", "55511", "555%", "y", "%", ""] {
        assert_eq!(found(&store, nobody).await.0, Vec::<String>::new(), "{nobody:?}");
    }
    assert_eq!(found(&store, "100").await.0.len(), 2);
}

#[tokio::test]
async fn a_recording_is_found_by_whoever_is_on_it_in_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::file(&folder.path().join("a.sqlite"));
    finds_recordings_by_who_is_on_them(folder.path(), &database).await;
}

#[tokio::test]
async fn a_recording_is_found_by_whoever_is_on_it_in_postgresql() {
    let Some(postgres) = Postgres::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    finds_recordings_by_who_is_on_them(folder.path(), &Database::parse(&postgres.url()).unwrap()).await;
}
