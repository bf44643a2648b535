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
            wait(Duration::from_millis(50)).await;
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
