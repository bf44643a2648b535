//! The folder of recordings as an archive: beside each recording lies what is known of its call, `x.mp3.json` (from its
//! beginning on; in the end the call's record), and, from its beginning on until it is uploaded, an empty `x.mp3.todo`. A
//! recording that is younger than a minute, or locked, may still be written to.

use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::Value;

use super::Quota;
use crate::{io::disk::replace, verbs::FileFormat};

/// The field of a note that says who is on each file.
const PARTIES: &str = "recorded_parties";
/// Younger files are left alone.
const YOUNG: Duration = Duration::from_secs(60);

/// One recording.
#[derive(Debug)]
pub(super) struct Kept {
    pub path: PathBuf,
    size: u64,
    /// Since 1970.
    changed: Duration,
}

/// All recordings below `folder`, the oldest first.
pub(super) fn all(folder: &Path) -> Vec<Kept> {
    let mut found = Vec::new();
    walk(folder, &mut found);
    found.sort_by(|a, b| (a.changed, &a.path).cmp(&(b.changed, &b.path)));
    found
}

fn walk(folder: &Path, found: &mut Vec<Kept>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let (path, Ok(data)) = (entry.path(), entry.metadata()) else { continue };
        if data.is_dir() {
            walk(&path, found);
        } else if path.to_str().and_then(FileFormat::of_file).is_some() {
            let changed = Duration::from_secs(u64::try_from(data.mtime()).unwrap_or(0));
            found.push(Kept { path, size: data.len(), changed });
        }
    }
}

/// `x.mp3` with `.json` or `.todo` after it.
pub(super) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// Note what is known of the call; and that the file is to be uploaded. Who is on it stays known, where a record that
/// comes after a kill does not know it.
pub(super) fn note(path: &Path, name: &str, record: &str, upload: bool) -> io::Result<()> {
    let before = call_of(path)[PARTIES][name].take();
    let mut call: Value = serde_json::from_str(record).unwrap_or_default();
    let lacks = before.is_array() && call.is_object() && call[PARTIES][name].is_null();
    if lacks {
        call[PARTIES][name] = before;
    }
    let record = if lacks { call.to_string() } else { record.to_owned() };
    if upload {
        fs::write(beside(path, ".todo"), b"")?;
    }
    replace(&beside(path, ".json"), &record)
}

/// Somebody writes to it, however long ago the last time is: the recording pauses.
fn is_written(path: &Path) -> bool {
    fs::File::open(path).is_ok_and(|file| matches!(file.try_lock_shared(), Err(fs::TryLockError::WouldBlock)))
}

/// Remove a recording with all that lies beside it.
pub fn remove(path: &Path) -> io::Result<()> {
    fs::remove_file(path)?;
    for ending in [".json", ".todo"] {
        match fs::remove_file(beside(path, ending)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

/// What is known of the recording's call; null: nothing.
fn call_of(path: &Path) -> Value {
    let text = fs::read_to_string(beside(path, ".json")).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}

/// The number of ours in whose name the call was; empty: it is not known.
fn number_of(path: &Path) -> String {
    let call = call_of(path);
    let field = if call["direction"] == "outbound" { "from" } else { "to" };
    call[field].as_str().unwrap_or_default().to_owned()
}

/// At `now` since 1970: remove what the quota wants gone, the oldest first; not what is still to be uploaded. Returns how
/// many went.
pub(super) fn tidy(folder: &Path, now: Duration, quota: Quota) -> usize {
    let kept = all(folder);
    let mut bytes: u64 = kept.iter().map(|kept| kept.size).sum();
    // Only looked into where it matters.
    let owner = |one: &Kept| quota.most_of_number.map(|_| number_of(&one.path)).unwrap_or_default();
    let mut of_number: BTreeMap<String, u64> = BTreeMap::new();
    let kept: Vec<(String, Kept)> = kept.into_iter().map(|one| (owner(&one), one)).collect();
    for (number, one) in &kept {
        *of_number.entry(number.clone()).or_default() += one.size;
    }
    let mut removed = 0;
    for (number, one) in kept {
        let age = now.saturating_sub(one.changed);
        let old = quota.keep.is_some_and(|keep| age >= keep);
        let its = of_number.entry(number.clone()).or_default();
        let too_much = quota.most.is_some_and(|most| bytes > most)
            || quota.most_of_number.is_some_and(|most| !number.is_empty() && *its > most);
        if !(old || too_much) || age < YOUNG || is_written(&one.path) || beside(&one.path, ".todo").exists() {
            continue;
        }
        match remove(&one.path) {
            Ok(()) => {
                bytes -= one.size;
                *its -= one.size;
                removed += 1;
            }
            Err(error) => tracing::error!(file = %one.path.display(), %error, "a recording cannot be removed"),
        }
    }
    removed
}

/// Remove every recording of calls from or to the number that `is` knows, and all others that it is on. Returns those
/// that are gone.
pub fn erase(folder: &Path, is: impl Fn(&str) -> bool) -> io::Result<Vec<PathBuf>> {
    let mut gone = Vec::new();
    for kept in all(folder) {
        let call = call_of(&kept.path);
        let name = kept.path.strip_prefix(folder).unwrap_or(&kept.path).to_string_lossy();
        let on_it = call[PARTIES][&*name].as_array().into_iter().flatten();
        if on_it.chain([&call["from"], &call["to"]]).filter_map(Value::as_str).any(&is) {
            remove(&kept.path)?;
            gone.push(kept.path);
        }
    }
    Ok(gone)
}
