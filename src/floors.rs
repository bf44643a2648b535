//! The floors of the house, kept by a test: a folder names only folders below it, and below the sixth floor nobody
//! touches the world. It reads text, so it can be fooled; it guards against drift, not malice.

use std::{fs, path::Path};

/// Lowest floor first. Folders on one floor do not know each other; but the words on the ground may speak of each other.
const FLOORS: [&[&str]; 9] = [
    &["ids", "time", "chance", "codec", "facts", "secure", "verbs"],
    &["audio", "rtp", "sdp"],
    &["sip", "media"],
    &["switch"],
    &["exchange"],
    &["io"],
    &["script", "hooks", "store"],
    &["api"],
    &["conf", "server", "cli", "lib", "main", "floors", "sim", "vectors", "vectors_sip"],
];
/// Index of `io` above: the first floor that may touch the world.
const FIRST_FLOOR_WITH_IO: usize = 5;
/// Words of the outside world.
const WORLD: [&str; 14] = [
    "tokio::",
    "UdpSocket",
    "TcpStream",
    "TcpListener",
    "Instant",
    "SystemTime",
    "std::fs",
    "std::thread",
    "std::env",
    "rand::",
    "Mutex",
    "RwLock",
    ".await",
    "nix::",
];

#[test]
fn every_floor_knows_only_those_below() {
    let mut faults = Vec::new();
    walk(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")), None, &mut faults);
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

/// Longest file without its tests, in lines. Past 400 a file should be split; past this it must be.
const MOST_LINES: usize = 600;

#[test]
fn no_file_outgrows_one_concept() {
    let mut faults = Vec::new();
    each_file(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")), &mut |path, text| {
        let lines = text.lines().take_while(|line| line.trim() != "#[cfg(test)]").count();
        if lines > MOST_LINES && !path.to_string_lossy().contains("tests") {
            faults.push(format!("{}: {lines} lines, at most {MOST_LINES}", path.display()));
        }
    });
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn a_fault_is_found_when_there_is_one() {
    let mut faults = Vec::new();
    check_text("sip/x.rs", "sip", "use crate::switch::Switch;\nlet t = tokio::time::now();", &mut faults);
    assert_eq!(faults.len(), 2, "{faults:?}");
    faults.clear();
    check_text("sip/x.rs", "sip", "use crate::{ids::CallId, time::Time};", &mut faults);
    assert!(faults.is_empty(), "{faults:?}");
}

fn each_file(at: &Path, tell: &mut dyn FnMut(&Path, &str)) {
    for entry in fs::read_dir(at).expect("the sources are there") {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            each_file(&path, tell);
        } else if path.extension().is_some_and(|e| e == "rs") {
            tell(&path, &fs::read_to_string(&path).expect("UTF-8"));
        }
    }
}

fn walk(at: &Path, folder: Option<&str>, faults: &mut Vec<String>) {
    for entry in fs::read_dir(at).expect("the sources are there") {
        let path = entry.expect("readable").path();
        let name = path.file_stem().and_then(|s| s.to_str()).expect("UTF-8").to_owned();
        let folder = folder.unwrap_or(&name);
        if path.is_dir() {
            walk(&path, Some(folder), faults);
        } else {
            check_text(&path.display().to_string(), folder, &fs::read_to_string(&path).expect("UTF-8"), faults);
        }
    }
}

fn check_text(path: &str, folder: &str, text: &str, faults: &mut Vec<String>) {
    let own = floor(folder);
    if own == FLOORS.len() - 1 {
        return;
    }
    let code: String = text.lines().map(|l| l.split("//").next().unwrap_or("").trim()).collect();
    for other in code.split("crate::").skip(1).flat_map(named) {
        if other != folder && floor(other) >= own && (own, floor(other)) != (0, 0) {
            faults.push(format!("{path}: {folder} may not know {other}"));
        }
    }
    for word in WORLD.iter().filter(|w| own < FIRST_FLOOR_WITH_IO && holds(&code, w)) {
        faults.push(format!("{path}: {folder} may not touch {word}"));
    }
}

/// `word` is in there, not only as the beginning of a longer one.
fn holds(code: &str, word: &str) -> bool {
    code.match_indices(word).any(|(at, _)| {
        let next = code[at + word.len()..].chars().next();
        word.ends_with(':') || !next.is_some_and(|c| c.is_alphanumeric() || c == '_')
    })
}

/// The folders named right after `crate::`, be it one or a `{list, of, them}`.
fn named(rest: &str) -> Vec<&str> {
    let list = match rest.strip_prefix('{') {
        Some(list) => list.split_once("};").map_or(list, |(list, _)| list),
        None => rest.split([':', ';', ' ', ')', '>', ',', '(', '.']).next().unwrap_or(""),
    };
    list.split(',')
        .filter_map(|one| one.trim().split([':', ' ', ';']).next())
        .filter(|n| FLOORS.iter().any(|f| f.contains(n)))
        .collect()
}

fn floor(folder: &str) -> usize {
    let at = FLOORS.iter().position(|f| f.contains(&folder));
    at.unwrap_or_else(|| panic!("{folder} is on no floor: add it to FLOORS"))
}
