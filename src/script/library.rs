//! The scripts: read from a folder, compiled once, and read again when their files change.
//!
//! A file is looked at when a flow starts that needs it, at most once a second. What changed serves new calls; running
//! calls keep what they have. A script that no longer compiles leaves the one before in service.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use mlua::{Lua, LuaOptions, StdLib, chunk::ChunkMode};

use super::version;
use crate::time::Time;

/// A file is looked at again after this long.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// Largest script, in bytes.
const LARGEST: u64 = 1 << 20;
/// Most scripts that are kept compiled.
const MOST_KEPT: usize = 10_000;

/// A compiled script.
#[derive(Clone)]
pub struct Program {
    /// Path below the script folder.
    pub name: Arc<str>,
    /// Lua bytecode, with line numbers.
    pub code: Rc<[u8]>,
    /// Which text it was, see [`crate::verbs::Ran::version`].
    pub version: Arc<str>,
}

impl Program {
    /// Compile `text`; `name` stands in its error messages.
    pub fn compile(name: &str, text: &[u8]) -> Result<Program, ScriptError> {
        let lua =
            Lua::new_with(StdLib::NONE, LuaOptions::new()).expect("no library is asked for that could be refused");
        let chunk = lua.load(without_shebang(text)).set_name(format!("@{name}")).set_mode(ChunkMode::Text);
        match chunk.into_function() {
            Ok(function) => {
                Ok(Program { name: name.into(), code: function.dump(false).into(), version: version::hash(text) })
            }
            Err(mlua::Error::SyntaxError { message, .. }) => Err(ScriptError::Syntax(message)),
            Err(other) => Err(ScriptError::Syntax(format!("{name}: {other}"))),
        }
    }
}

/// A first line with `#!` is left out, its end kept for the line numbers.
fn without_shebang(text: &[u8]) -> &[u8] {
    if text.starts_with(b"#") {
        let end = text.iter().position(|&c| c == b'\n').unwrap_or(text.len());
        return &text[end..];
    }
    text
}

/// Why there is no script.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScriptError {
    /// No such file.
    #[error("there is no script '{0}' in the script folder")]
    Missing(String),
    /// It cannot be read: name and cause.
    #[error("{0}: {1}")]
    Unreadable(String, String),
    /// It does not compile: Lua's message, with file and line.
    #[error("{0}")]
    Syntax(String),
    /// Not a path below the folder.
    #[error("'{0}' is not a path below the script folder")]
    BadName(String),
}

/// What tells one version of a file from another.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    seconds: i64,
    nanoseconds: i64,
    size: u64,
    inode: u64,
}

struct Entry {
    /// None: look at once.
    looked: Option<Time>,
    /// Of the file last read, whether it compiled or not; none: there was no file.
    stamp: Option<Stamp>,
    /// What is in service, or why there is nothing.
    result: Result<Program, ScriptError>,
}

/// The scripts of one thread.
pub struct Library {
    folder: PathBuf,
    entries: BTreeMap<String, Entry>,
    complaints: Vec<String>,
}

impl Library {
    /// The scripts below `folder`; nothing is read yet.
    pub fn new(folder: PathBuf) -> Library {
        Library { folder, entries: BTreeMap::new(), complaints: Vec::new() }
    }

    /// The script `name`, as its file is now, or was within the last second, or when it last compiled.
    pub fn get(&mut self, now: Time, name: &str) -> Result<Program, ScriptError> {
        if let Some(entry) = self.entries.get(name)
            && entry.looked.is_some_and(|looked| now - looked < LOOK_AGAIN)
        {
            return entry.result.clone();
        }
        let path = path_below(&self.folder, name)?;
        let old = self.entries.remove(name);
        if self.entries.len() >= MOST_KEPT {
            self.entries.clear();
        }
        let entry = self.look(now, name, &path, old);
        let result = entry.result.clone();
        self.entries.insert(name.into(), entry);
        result
    }

    fn compile(&self, name: &str, path: &Path) -> Result<Program, ScriptError> {
        let program = Program::compile(name, &read(name, path)?)?;
        let number = version::number(&self.folder, name, &program.version);
        Ok(Program { version: number.unwrap_or(program.version), ..program })
    }

    /// What is to be logged: each broken version of a script that has an older one in service, once.
    pub fn take_complaints(&mut self) -> Vec<String> {
        std::mem::take(&mut self.complaints)
    }

    fn look(&mut self, now: Time, name: &str, path: &Path, old: Option<Entry>) -> Entry {
        let stamp = stamp(name, path);
        let new_stamp = stamp.as_ref().ok().copied();
        if let Some(old) = old {
            if old.stamp == new_stamp {
                return Entry { looked: Some(now), ..old };
            }
            let new = stamp.and_then(|_| self.compile(name, path));
            let result = match (new, old.result) {
                (Err(error), Ok(program)) => {
                    self.complaints.push(format!("{error}; the one before stays in service"));
                    Ok(program)
                }
                (new, _) => new,
            };
            return Entry { looked: Some(now), stamp: new_stamp, result };
        }
        let result = stamp.and_then(|_| self.compile(name, path));
        Entry { looked: Some(now), stamp: new_stamp, result }
    }
}

/// Compile every script below `folder`, and say what is wrong.
pub fn check(folder: &Path) -> Vec<ScriptError> {
    let mut names = BTreeSet::new();
    let mut errors = Vec::new();
    list(folder, "", &mut names, &mut errors);
    for name in names {
        let result = read(&name, &folder.join(&name)).and_then(|text| Program::compile(&name, &text));
        errors.extend(result.err());
    }
    errors
}

fn list(folder: &Path, prefix: &str, names: &mut BTreeSet<String>, errors: &mut Vec<ScriptError>) {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => return errors.push(ScriptError::Unreadable(folder.display().to_string(), error.to_string())),
    };
    for entry in entries.flatten() {
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => list(&entry.path(), &format!("{name}/"), names, errors),
            _ if name.ends_with(".lua") => {
                names.insert(name);
            }
            _ => {}
        }
    }
}

fn path_below(folder: &Path, name: &str) -> Result<PathBuf, ScriptError> {
    let plain = |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains(['\\', '\0']);
    if name.len() > 255 || !name.split('/').all(plain) {
        return Err(ScriptError::BadName(name.chars().take(255).collect()));
    }
    Ok(folder.join(name))
}

fn stamp(name: &str, path: &Path) -> Result<Stamp, ScriptError> {
    let data = fs::metadata(path).map_err(|error| unreadable(name, &error))?;
    Ok(Stamp { seconds: data.mtime(), nanoseconds: data.mtime_nsec(), size: data.size(), inode: data.ino() })
}

fn read(name: &str, path: &Path) -> Result<Vec<u8>, ScriptError> {
    let data = fs::metadata(path).map_err(|error| unreadable(name, &error))?;
    if !data.is_file() || data.len() > LARGEST {
        return Err(ScriptError::Unreadable(name.into(), format!("not a file of at most {LARGEST} bytes")));
    }
    fs::read(path).map_err(|error| unreadable(name, &error))
}

fn unreadable(name: &str, error: &std::io::Error) -> ScriptError {
    match error.kind() {
        std::io::ErrorKind::NotFound => ScriptError::Missing(name.into()),
        _ => ScriptError::Unreadable(name.into(), error.to_string()),
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Program({}, {} bytes)", self.name, self.code.len())
    }
}
