//! The folder of recordings as an archive: beside each recording lies what is known of its call, `x.mp3.json`, and,
//! until it is uploaded, an empty `x.mp3.todo`. A recording that is younger than a minute may still be written to.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::Value;

use crate::verbs::FileFormat;

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

/// Note what is known of the call; and that the file is to be uploaded.
pub(super) fn note(path: &Path, record: &str, upload: bool) -> io::Result<()> {
    let (json, new) = (beside(path, ".json"), beside(path, ".json.new"));
    if upload {
        fs::write(beside(path, ".todo"), b"")?;
    }
    fs::write(&new, record)?;
    fs::rename(new, json)
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

/// At `now` since 1970: remove what is older than `keep`, then the oldest until there are at most `most` bytes; not what is still to be
/// uploaded. Returns how many went.
pub(super) fn tidy(folder: &Path, now: Duration, keep: Option<Duration>, most: Option<u64>) -> usize {
    let kept = all(folder);
    let mut bytes: u64 = kept.iter().map(|kept| kept.size).sum();
    let mut removed = 0;
    for one in kept {
        let age = now.saturating_sub(one.changed);
        let old = keep.is_some_and(|keep| age >= keep);
        let too_much = most.is_some_and(|most| bytes > most);
        if !(old || too_much) || age < YOUNG || beside(&one.path, ".todo").exists() {
            continue;
        }
        match remove(&one.path) {
            Ok(()) => {
                bytes -= one.size;
                removed += 1;
            }
            Err(error) => tracing::error!(file = %one.path.display(), %error, "a recording cannot be removed"),
        }
    }
    removed
}

/// Remove every recording of calls from or to `number`. Returns those that are gone.
pub fn erase(folder: &Path, number: &str) -> io::Result<Vec<PathBuf>> {
    let mut gone = Vec::new();
    for kept in all(folder) {
        let Ok(text) = fs::read_to_string(beside(&kept.path, ".json")) else { continue };
        let Ok(record) = serde_json::from_str::<Value>(&text) else { continue };
        let is = |field: &str| record.get(field).and_then(Value::as_str).is_some_and(|party| same(party, number));
        if is("from") || is("to") {
            remove(&kept.path)?;
            gone.push(kept.path);
        }
    }
    Ok(gone)
}

/// Numbers are compared without what people write between digits.
fn same(a: &str, b: &str) -> bool {
    let plain = |text: &str| text.chars().filter(|c| !" -./()".contains(*c)).collect::<String>();
    plain(a).eq_ignore_ascii_case(&plain(b))
}
